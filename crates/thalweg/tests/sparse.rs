//! Gradients of few rows: the dense step where a zero gradient changes nothing, `SparseAdam` where it
//! would, and the same bits in whatever order the rows come.

mod common;

use common::prng::Rng;
use common::walk::distance_relative;
use half::bf16;
use thalweg::recipes::*;
use thalweg::{Chain, LowPrecision, NonFinite, Optimizer, Outcome, Param, Storage, registry};

fn build<E: thalweg::Element>(chain: Chain, threads: usize) -> Optimizer<E> {
    Optimizer::<E>::builder().rest("all", chain).threads(threads).build().expect("a chain")
}

/// Rows drawn with repetition, and their values.
fn draw(rng: &mut Rng, rows: usize, count: usize, width: usize) -> (Vec<u32>, Vec<f64>) {
    let index = (0..count).map(|_| (rng.next_u64() % rows as u64) as u32).collect();
    (index, rng.normal(count * width))
}

fn dense(rows: &[u32], values: &[f64], shape: [usize; 2]) -> Vec<f64> {
    let mut all = vec![0.0; shape[0] * shape[1]];
    for (row, value) in rows.iter().zip(values.chunks(shape[1].max(1))) {
        let start = *row as usize * shape[1];
        all[start..].iter_mut().zip(value).for_each(|(sum, v)| *sum += v);
    }
    all
}

#[test]
fn where_zero_changes_nothing_it_is_the_dense_step() {
    // Widths on both sides of a chunk and a block; enough rows for several threads.
    for (shape, count) in
        [([50, 3], 9), ([7, 64], 5), ([4, 2500], 3), ([9000, 8], 6000), ([5, 1], 0)]
    {
        for chain in [gd(), adagrad(), meta_egd_sparse()] {
            let mut rng = Rng::new(shape[1] as u64);
            let start = rng.normal(shape[0] * shape[1]);
            let (mut x, mut y, mut z) = (start.clone(), start.clone(), start);
            let mut opts = [1, 1, 3].map(|threads| build::<f64>(chain.clone(), threads));
            for _ in 0..4 {
                let (rows, values) = draw(&mut rng, shape[0], count, shape[1]);
                let whole = dense(&rows, &values, shape);
                let sparse = |x| Param::of("x", &shape, x).sparse_grad(&rows, &values);
                let report = opts[0].step(&mut [sparse(&mut x)]).expect("a step");
                let norm = whole.iter().map(|g| g * g).sum::<f64>().sqrt();
                assert!((report.grad_norm.expect("a norm") - norm).abs() <= 1e-12 * norm);
                let _ =
                    opts[1].step(&mut [Param::new("x", &shape, &mut y, &whole)]).expect("a step");
                let _ = opts[2].step(&mut [sparse(&mut z)]).expect("a step");
            }
            assert!(x == y, "{shape:?} {chain:?}");
            assert!(x == z, "{shape:?} {chain:?}");
            for slot in chain.slots() {
                assert!(opts[0].slot("x", &slot) == opts[1].slot("x", &slot), "{slot} {chain:?}");
            }
        }
    }
}

/// A table of six rows of two, and gradients of some of them, one row twice, as torch was given them.
const TABLE: [f64; 12] = [0.5, -0.25, 1.0, 2.0, -1.5, 0.75, 0.1, 0.2, 3.0, -3.0, 0.0, 1.0];
const STEPS: [(&[u32], &[f64]); 3] = [
    (&[4, 1, 4], &[0.5, -1.0, 2.0, 0.25, 0.125, 3.0]),
    (&[0, 1], &[1.0, 1.0, -0.5, 0.001]),
    (&[5, 4, 0, 5], &[1e-3, 2.0, 0.7, -0.7, -2.0, 1e-6, 0.5, 0.5]),
];

#[test]
fn lazy_adam_is_sparse_adam() {
    // torch.optim.SparseAdam 2.15.0 in float64: ε is added to the uncorrected root, as in Keras.
    let chain = adam_keras().with("eps", 1e-8).expect("eps").with("lr", 0.01).expect("lr");
    let mut opt = build::<f64>(chain, 1);
    let mut x = TABLE.to_vec();
    for (rows, values) in STEPS {
        let param = Param::of("x", &[6, 2], &mut x).sparse_grad(rows, values);
        assert!(opt.step(&mut [param]).expect("a step").applied());
    }
    let want = [
        0.49570149536792396,
        -0.26319356966749424,
        0.98530532058953,
        1.9832697121544547,
        -1.5,
        0.75,
        0.1,
        0.2,
        2.9814038106046867,
        -3.0133176986172185,
        -0.006388131961840045,
        0.9936118648140572,
    ];
    assert!(distance_relative(&x, &want) < 1e-12, "{x:?}");
}

#[test]
fn damped_momentum_is_the_dense_step_as_in_torch() {
    // torch.optim.SGD 2.15.0 on sparse gradients in float64, with lr 0.1, momentum 0.9 and dampening 0.5: the
    // rows that come later are damped from their first gradient on, and all rows move on.
    let chain = |dampening| {
        let chain = momentum().with("lr", 0.1).and_then(|c| c.with("dampening", dampening));
        chain.expect("in range")
    };
    let mut opt = build::<f64>(chain(0.5), 1);
    let mut x = TABLE.to_vec();
    for (rows, values) in STEPS {
        let param = Param::of("x", &[6, 2], &mut x).exact_sparse_grad(rows, values);
        assert!(opt.step(&mut [param]).expect("a step").applied());
    }
    let want = [
        0.505,
        -0.34500004999999995,
        0.5055,
        1.9321549999999998,
        -1.5,
        0.75,
        0.1,
        0.2,
        2.795625,
        -3.5069999999999997,
        -0.025050000000000003,
        0.875,
    ];
    assert!(distance_relative(&x, &want) < 1e-12, "{x:?}");
    // A few rows alone cannot have a first step of their own; undamped, no step is unlike the others.
    let param = Param::of("x", &[6, 2], &mut x).sparse_grad(&[1], &[1.0, 1.0]);
    let sentence = opt.step(&mut [param]).expect_err("a refusal").to_string();
    assert!(
        sentence.contains("`Momentum`") && sentence.contains("exact_sparse_grad"),
        "{sentence}"
    );
    assert!(chain(0.0).takes_rows() && !chain(0.5).takes_rows());
    let scheduled = chain(0.0).with("dampening", thalweg::Schedule::linear(0.5, 0.0, 3));
    assert!(!scheduled.expect("in range").takes_rows());
}

/// Steps on rows, all of them stepped, beside steps on the same gradient made dense: bit for bit the same.
fn exact_is_dense<E: thalweg::Element>(
    chain: &Chain,
    (shape, count): ([usize; 2], usize),
    (storage, threads): (Storage, usize),
    what: &str,
) {
    let mut rng = Rng::new(shape[1] as u64);
    let lift = |values: Vec<f64>| values.into_iter().map(E::lift).collect::<Vec<E>>();
    let start = rng.normal(shape[0] * shape[1]).into_iter().map(|v| 0.1 + v.abs()).collect();
    let mut x = [lift(start), vec![]];
    x[1] = x[0].clone();
    let mut opts = [0, 1].map(|_| {
        let builder = Optimizer::<E>::builder().rest("all", chain.clone()).clip_global_norm(50.0);
        builder.storage(storage).threads(threads).build().expect("a chain")
    });
    for step in 0..4 {
        let (rows, values) = draw(&mut rng, shape[0], count, shape[1]);
        // Multiples of 1/64 below 8: sums are exact, in whatever order they are taken.
        let values: Vec<f64> = values
            .into_iter()
            .map(|v| (v * 64.0).round().clamp(-512.0, 512.0) / 64.0 + 0.0)
            .collect();
        let (whole, values) = (lift(dense(&rows, &values, shape)), lift(values));
        let [sparse, full] = &mut x;
        let sparse = Param::of("x", &shape, sparse).exact_sparse_grad(&rows, &values);
        let full = Param::new("x", &shape, full, &whole);
        // Of three batches the second waits for the third.
        let [a, b] = &mut opts;
        let (a, b) = match step {
            1 => (a.accumulate(&mut [sparse], 2.0), b.accumulate(&mut [full], 2.0)),
            _ => (a.step(&mut [sparse]), b.step(&mut [full])),
        };
        assert_eq!(a.expect("a step").grad_norm, b.expect("a step").grad_norm, "{what}");
    }
    assert!(x[0] == x[1], "{what} {shape:?} {storage:?}");
    let [a, b] = opts.map(|opt| opt.save_bytes().expect("a checkpoint"));
    assert!(a == b, "{what} {shape:?} {storage:?}: state");
}

#[test]
fn exact_rows_are_the_dense_step_whatever_the_method() {
    let mut chains: Vec<(String, Chain)> = vec![];
    chains.extend(registry::all().into_iter().map(|e| (e.name.to_owned(), (e.chain)())));
    let simplex = adam().over(thalweg::geometry::Simplex::default());
    chains.push(("simplex".to_owned(), simplex));
    let centred = Chain::new(()).fold(thalweg::rules::Centralize::default()).append(adam());
    chains.push(("centralize".to_owned(), centred));
    for (name, chain) in &chains {
        // Widths on both sides of a chunk and a block; nothing, and no row.
        for case in
            [([50, 3], 9), ([7, 64], 5), ([4, 2500], 3), ([5, 1], 0), ([0, 4], 0), ([3, 0], 2)]
        {
            exact_is_dense::<f64>(chain, case, (Storage::Native, 1), name);
            exact_is_dense::<f32>(chain, case, (Storage::Block8, 1), name);
        }
    }
    // Enough coordinates for several threads, and for asking the memory ahead.
    for storage in [Storage::Native, Storage::Bf16] {
        exact_is_dense::<f32>(&adamw(), ([9000, 64], 700), (storage, 3), "adamw");
    }
}

#[test]
fn the_order_of_the_rows_does_not_matter_and_half_precision_is_possible() {
    let shape = [300, 24];
    let mut ends = vec![];
    for reversed in [false, true] {
        let builder = Optimizer::<f32>::builder().rest("all", adamw()).threads(1);
        let builder = builder.storage(Storage::Bf16).low_precision(LowPrecision::Stochastic);
        let mut opt = builder.build::<f32>().expect("a chain");
        let mut x = vec![bf16::ONE; shape[0] * shape[1]];
        let mut rng = Rng::new(4);
        for _ in 0..3 {
            let mut rows: Vec<u32> = (0..300).filter(|_| rng.uniform() < 0.3).collect();
            let values = rng.normal(rows.len() * shape[1]);
            let mut values: Vec<f32> = values.into_iter().map(|v| v as f32).collect();
            if reversed {
                rows.reverse();
                values = values.chunks(shape[1]).rev().flatten().copied().collect();
            }
            let param = Param::of("x", &shape, &mut x).sparse_grad(&rows, &values);
            assert!(opt.step(&mut [param]).expect("a step").applied());
        }
        ends.push((x, opt.save_bytes().expect("a checkpoint")));
    }
    assert!(ends[0] == ends[1]);
}

#[test]
fn what_cannot_be_is_an_error_that_names_it() {
    #[track_caller]
    fn says(result: Result<thalweg::StepReport, thalweg::Error>, words: &[&str]) {
        let sentence = result.expect_err("an error").to_string();
        assert!(words.iter().all(|w| sentence.contains(w)), "{sentence}");
    }
    let (mut x, mut copy) = (vec![1.0f32; 12], [0.0f32; 12]);
    let mut opt = build::<f32>(adam(), 1);
    fn of(x: &mut [f32]) -> Param<'_, f32> {
        Param::of("x", &[6, 2], x)
    }
    says(opt.step(&mut [of(&mut x).sparse_grad(&[6], &[1.0, 1.0])]), &["6 rows", "row 6"]);
    // A product that wraps to 0, as many as the value has: the row would lie in memory that was not lent.
    let mut plain = build::<f32>(gd().with("lr", 1.0).expect("in range"), 1);
    let (lent, beyond) = x.split_at_mut(0);
    let param = Param::of("x", &[1 << (usize::BITS - 1), 2], lent).sparse_grad(&[5], &[1.0, 2.0]);
    says(plain.step(&mut [param]), &["shape", "more coordinates than can be addressed"]);
    assert_eq!(beyond, [1.0; 12]);
    says(opt.step(&mut [of(&mut x).sparse_grad(&[1], &[1.0])]), &["rows of 2", "1 values for 1"]);
    let both = of(&mut x).sparse_grad(&[1], &[1.0, 1.0]).copy_to(&mut copy);
    says(opt.step(&mut [both]), &["copy", "stale"]);
    let sparse = of(&mut x).sparse_grad(&[1], &[1.0, 1.0]);
    says(opt.accumulate(&mut [sparse], 1.0), &["cannot be accumulated"]);
    let nan = of(&mut x).sparse_grad(&[1], &[1.0, f32::NAN]);
    let report = opt.step(&mut [nan]).expect("a report");
    assert!(!report.applied() && x == [1.0; 12]);
    let nan =
        of(&mut x).exact_sparse_grad(&[5, 1, 5], &[1.0, f32::NAN, f32::NAN, 0.0, 0.0, f32::NAN]);
    let report = opt.step(&mut [nan]).expect("a report");
    assert_eq!(report.outcome, Outcome::Refused(vec![("x".to_owned(), 2)]));
    assert!(x == [1.0; 12]);
    let exact = of(&mut x).exact_sparse_grad(&[1], &[1.0, 1.0]).copy_to(&mut copy);
    assert!(opt.step(&mut [exact]).expect("a step").applied() && copy == *x);
    x.fill(1.0);
    let builder = Optimizer::<f32>::builder().rest("all", adam()).storage(Storage::Block8);
    let builder = builder.non_finite(NonFinite::Unchecked);
    let mut opt = builder.build::<f32>().expect("a chain");
    let mut large = vec![1.0f32; 8192];
    let row = Param::of("x", &[8, 1024], &mut large).sparse_grad(&[1], &[0.1; 1024]);
    says(opt.step(&mut [row]), &["8-bit", "bf16"]);
}

#[test]
fn a_geometry_of_the_whole_tensor_takes_no_rows() {
    use thalweg::geometry::{NegativeEntropy, Simplex};
    let step = |chain: Chain| {
        let mut x = vec![0.25f64; 4];
        let param = Param::of("x", &[4], &mut x).sparse_grad(&[1], &[1.0]);
        build::<f64>(chain, 1).step(&mut [param]).map(|report| report.applied())
    };
    assert!(step(gd().over(NegativeEntropy::default())).expect("a step"));
    let sentence = step(gd().over(Simplex::default())).expect_err("an error").to_string();
    assert!(sentence.contains("\"x\"") && sentence.contains("exact_sparse_grad"), "{sentence}");
}

#[test]
fn what_goes_by_the_steps_of_the_whole_tensor_takes_no_rows() {
    let step = |chain: &Chain, exact: bool| {
        let mut x = vec![0.25f64; 4];
        let param = Param::of("x", &[4], &mut x);
        let param = match exact {
            true => param.exact_sparse_grad(&[1], &[1.0]),
            false => param.sparse_grad(&[1], &[1.0]),
        };
        build::<f64>(chain.clone(), 1).step(&mut [param]).map(|report| report.applied())
    };
    let mut refused = vec![];
    for entry in registry::all() {
        let chain = (entry.chain)();
        assert!(step(&chain, true).expect("a step"), "{}", entry.name);
        match step(&chain, false) {
            Ok(applied) => assert!(applied && chain.takes_rows(), "{}", entry.name),
            Err(error) => {
                let error = error.to_string();
                assert!(error.contains("\"x\"") && error.contains("exact_sparse_grad"), "{error}");
                assert!(!chain.takes_rows());
                refused.push(entry.name);
            }
        }
        assert!(!chain.has_view() || !chain.takes_rows(), "{}", entry.name);
    }
    let learned = ["prodigy", "prodigy_guarded", "d_adapt_sgd", "d_adapt_adam", "mechanic"];
    let of_all = ["adopt", "adan", "lookahead", "swa", "asgd", "schedule_free_sgd"];
    for name in of_all.into_iter().chain(learned) {
        assert!(refused.contains(&name), "{name} is not among {refused:?}");
    }
    for name in ["gd", "adam", "momentum", "lamb", "dog", "dowg"] {
        assert!(!refused.contains(&name), "{name}");
    }
}
