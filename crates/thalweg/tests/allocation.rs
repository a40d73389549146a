//! After the first step none allocates, but for what rayon's pool queues: counted by the allocator, on every
//! thread.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use common::prng::Rng;
use half::bf16;
use thalweg::recipes::{adamw, egdd, lamb, meta_egd_sparse};
use thalweg::rules::WeightAverage;
use thalweg::sam::{Ascent, Sam};
use thalweg::{
    Builder, Chain, Element, LossScale, LowPrecision, Optimizer, Param, Schedule, Storage,
    biases_and_norms, registry,
};

/// The system's allocator, counting.
struct Counting;

static COUNT: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: everything is the system allocator's.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(at, layout) }
    }
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.realloc(at, layout, size) }
    }
}

/// Steps that may allocate: the first makes the state.
const WARM: usize = 1;

/// Allocations in each of the steps after the first.
fn counted(step: &mut dyn FnMut()) -> Vec<usize> {
    (0..WARM).for_each(|_| step());
    let count = |_| {
        let before = COUNT.load(Ordering::Relaxed);
        step();
        COUNT.load(Ordering::Relaxed) - before
    };
    // Collected into room that is there before anything is counted.
    let mut counts = Vec::with_capacity(4);
    counts.extend((0..4).map(count));
    counts
}

const SHAPES: [&[usize]; 4] = [&[70, 1000], &[3, 4, 5], &[33], &[]];

/// Four tensors, one of them without a gradient at every step, as a closure that steps them.
fn steps<E: Element>(mut opt: Optimizer<E>) -> impl FnMut() {
    let mut rng = Rng::new(7);
    let mut draw = |shape: &&[usize]| -> Vec<E> {
        let n = shape.iter().product();
        // Positive, so that every geometry admits them, and of row sums below 1.
        rng.normal(n).into_iter().map(|v| E::lift(1e-3 * v.abs() + 1e-6)).collect()
    };
    let mut values: Vec<Vec<E>> = SHAPES.iter().map(&mut draw).collect();
    let gradients: Vec<Vec<E>> = SHAPES.iter().map(&mut draw).collect();
    move || {
        let [a, b, c, d] = values.get_disjoint_mut([0, 1, 2, 3]).expect("four tensors");
        let report = opt
            .step(&mut [
                Param::new("a.weight", SHAPES[0], a, &gradients[0]),
                Param::new("b.weight", SHAPES[1], b, &gradients[1]),
                Param::new("c.bias", SHAPES[2], c, &gradients[2]),
                Param::without_gradient("d", SHAPES[3], d),
            ])
            .expect("a step");
        assert!(report.applied() && *report.without_gradient == ["d"]);
    }
}

fn built<E: Element>(builder: Builder) -> impl FnMut() {
    steps(builder.build::<E>().expect("a valid optimizer"))
}

fn all(chain: impl Into<Chain>) -> Builder {
    Builder::new().rest("all", chain)
}

/// Half-precision weights, accumulated and scaled gradients, a norm to clip, an average, a copy.
fn whole_tail(low: LowPrecision) -> impl FnMut() {
    let chain = adamw().then(<WeightAverage>::default());
    let builder = all(chain).threads(2).clip_global_norm(1e-3).loss_scale(LossScale::default());
    let mut opt: Optimizer<f32> = builder.low_precision(low).build().expect("a valid optimizer");
    let (n, shape) = (40_000, [40_000]);
    let mut values = vec![bf16::from_f32(0.1); n];
    let (mut gradient, mut copy) = (vec![bf16::ONE; n], vec![bf16::ZERO; n]);
    move || {
        gradient.fill(bf16::from_f32(0.5));
        for last in [false, true] {
            let param = Param::of("x", &shape, &mut values).grad_to_zero(&mut gradient);
            let list = &mut [param.copy_to(&mut copy)];
            let report =
                if last { opt.step_weighted(list, 3.0) } else { opt.accumulate(list, 2.0) };
            assert!(report.expect("a step").applied());
        }
    }
}

/// Rows in any order, some repeatedly.
fn sparse(chain: Chain) -> impl FnMut() {
    let mut opt: Optimizer<f32> = all(chain).threads(1).build().expect("a valid optimizer");
    let mut table = vec![0.5f32; 500 * 7];
    let gradient = vec![0.1f32; 5 * 7];
    move || {
        let rows = [44, 3, 44, 499, 0];
        let param = Param::without_gradient("table", &[500, 7], &mut table);
        let report = opt.step(&mut [param.sparse_grad(&rows, &gradient)]).expect("a step");
        assert!(report.applied());
    }
}

/// Two gradients per step, of a parameter that is decoded and copied.
fn sharpness() -> impl FnMut() {
    let mut opt: Optimizer<f32> = all(adamw()).threads(1).build().expect("a valid optimizer");
    let (sam, shape) = (<Sam>::default(), [3000]);
    let (mut x, mut copy) = (vec![bf16::from_f32(0.1); 3000], vec![bf16::ZERO; 3000]);
    let gradient = vec![bf16::from_f32(0.5); 3000];
    move || {
        let mut list = [Param::of("x", &shape, &mut x).grad(&gradient).copy_to(&mut copy)];
        match sam.perturb(&mut opt, &mut list).expect("finite") {
            Ascent::Perturbed(second) => {
                let report = second.step(&mut list).expect("a step");
                assert!(report.applied());
            }
            Ascent::Refused(report) => panic!("{report:?}"),
        }
    }
}

/// A parameter that takes no part, in a format that is decoded, but for its copy.
fn idle() -> impl FnMut() {
    let mut opt: Optimizer<f32> = all(adamw()).threads(1).build().expect("a valid optimizer");
    let (mut x, mut y, mut copy) =
        (vec![0.1f32; 10], vec![bf16::ONE; 3000], vec![bf16::ZERO; 3000]);
    move || {
        let param = Param::of("y", &[3000], &mut y).copy_to(&mut copy);
        let list = &mut [Param::new("x", &[10], &mut x, &[0.5; 10]), param];
        assert!(opt.step(list).expect("a step").applied() && copy[2999] == bf16::ONE);
    }
}

fn main() {
    let mut guilty = vec![];
    // One after another, so that no thread of the next is being started meanwhile.
    let mut check = |name: &str, step: &mut dyn FnMut()| {
        let counts = counted(step);
        if counts.iter().any(|c| *c > 0) {
            guilty.push(format!("{name}: {counts:?}"));
        }
    };
    for entry in registry::all() {
        for threads in [1, 2] {
            let name = format!("{} on {threads}", entry.name);
            check(&name, &mut built::<f32>(all((entry.chain)()).threads(threads)));
        }
    }
    check("f64", &mut built::<f64>(all(adamw()).threads(2).clip_global_norm(1e-3)));
    for storage in [Storage::Bf16, Storage::Block8] {
        let builder = all(adamw()).threads(2).storage(storage);
        check(&format!("{storage:?}"), &mut built::<f32>(builder));
    }
    let cosine = adamw().with("lr", Schedule::cosine(1e-3, 0.0, 9)).expect("in range");
    let groups = Builder::new()
        .group("no decay", biases_and_norms(), egdd())
        .group("b", "b.*", lamb())
        .rest("rest", cosine);
    check("groups", &mut built::<f32>(groups.threads(1)));
    for low in [LowPrecision::Compensated, LowPrecision::Master, LowPrecision::Stochastic] {
        check(&format!("tail, {low:?}"), &mut whole_tail(low));
    }
    check("sam", &mut sharpness());
    check("idle", &mut idle());
    check("sparse adamw", &mut sparse(adamw()));
    check("sparse meta_egd", &mut sparse(meta_egd_sparse()));
    // What is handed to rayon's pool is allocated: once per pass and helper, and its queue now and then.
    let counts = counted(&mut built::<f32>(all(adamw()).clip_global_norm(1e-3)));
    let most = 2 * rayon::current_num_threads();
    assert!(counts.iter().all(|count| *count <= most), "in rayon's pool: {counts:?}, not {most}");
    assert!(guilty.is_empty(), "steps after the first allocate:\n{}", guilty.join("\n"));
    println!("no step allocates after the first: ok");
}
