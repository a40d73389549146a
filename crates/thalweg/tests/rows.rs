//! Parts that see rows of a tensor, and noise: against optax, against direct sums, and by the laws of
//! the engine.

use std::path::Path;

use thalweg::rules::{AdaptiveClip, Centralize, GradientNoise, Momentum, Scale};
use thalweg::{At, Chain, Element, Fold, Here, Isa, Join, Optimizer, Param, Part, Real};
use thalweg::{Scope, Slot, Supply, slot};

fn numbers(value: &toml::Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(|v| v.as_float().expect("a number")).collect()
}

/// The chain of a method: before a direction, as optax chains it.
fn chain(method: &str, lr: f64) -> Chain {
    let first = match method {
        "adaptive_clip" => Chain::new(()).fold(AdaptiveClip::default().clipping(0.1)),
        "centralize" => Chain::new(()).fold(Centralize::default()),
        other => panic!("{other}"),
    };
    first.then((Momentum::default(), Scale::default().lr(lr)))
}

fn run<E: Element>(
    chain: Chain,
    shape: &[usize],
    x: &[f64],
    gradients: &[Vec<f64>],
    (isa, threads): (Isa, usize),
) -> Vec<f64> {
    let mut opt =
        Optimizer::<E>::builder().rest("all", chain).isa(isa).threads(threads).build().unwrap();
    let lift = |v: &[f64]| v.iter().map(|v| E::lift(*v)).collect::<Vec<E>>();
    let mut x = lift(x);
    for g in gradients {
        assert!(opt.step(&mut [Param::new("x", shape, &mut x, &lift(g))]).unwrap().applied());
    }
    x.iter().map(|v| v.widen()).collect()
}

/// Every instruction set, on one thread and on two.
fn machines() -> impl Iterator<Item = (Isa, usize)> {
    Isa::available().into_iter().flat_map(|isa| [(isa, 1), (isa, 2)])
}

#[test]
fn rows_as_in_optax() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/rows.toml");
    let table: toml::Table = std::fs::read_to_string(file).unwrap().parse().unwrap();
    let cases = table["case"].as_array().unwrap();
    assert_eq!(cases.len(), 8);
    for case in cases {
        let method = case["method"].as_str().unwrap();
        let shape: Vec<usize> = case["shape"]
            .as_array()
            .unwrap()
            .iter()
            .map(|v| v.as_integer().unwrap() as usize)
            .collect();
        let gradients: Vec<Vec<f64>> =
            case["gradients"].as_array().unwrap().iter().map(numbers).collect();
        let (x0, want) = (numbers(&case["x0"]), numbers(&case["x"]));
        let lr = table["lr"].as_float().unwrap();
        for machine in machines() {
            let got = run::<f64>(chain(method, lr), &shape, &x0, &gradients, machine);
            // A centred sum of either sign loses digits where it cancels.
            let largest = want.iter().chain(&x0).fold(0.0, |a: f64, v| a.max(v.abs()));
            for (i, (got, want)) in got.iter().zip(&want).enumerate() {
                let tolerance = 1e-12 * want.abs().max(1e-3 * largest);
                assert!(
                    (got - want).abs() <= tolerance,
                    "{method} {shape:?} {machine:?} [{i}]: {got:e}, not {want:e}"
                );
            }
        }
    }
}

/// Numbers of both signs and many sizes.
fn wild(n: usize, salt: usize) -> Vec<f64> {
    (0..n)
        .map(|i| {
            let k = (i * 7919 + salt * 104_729) % 1009;
            (k as f64 - 504.0) * 10f64.powi((k % 13) as i32 - 6)
        })
        .collect()
}

/// Rows that end within chunks, blocks and spans, and rows longer than a span.
const SHAPES: &[&[usize]] =
    &[&[3, 20_001], &[5, 16_384], &[700, 3, 7], &[40_000], &[1, 1], &[0, 4], &[]];

#[test]
fn rows_are_summed_wherever_they_end() {
    for shape in SHAPES {
        let n: usize = shape.iter().product();
        let (x, g) = (wild(n, 1), wild(n, 2));
        let width = if shape.len() < 2 { n } else { shape[1..].iter().product() };
        let mut want = g.clone();
        for (g, x) in want.chunks_mut(width.max(1)).zip(x.chunks(width.max(1))) {
            let norm = |v: &[f64]| v.iter().map(|v| v * v).sum::<f64>().sqrt();
            let factor = (0.1 * norm(x).max(1e-3) / norm(g)).min(1.0);
            g.iter_mut().for_each(|g| *g *= factor);
        }
        let chain = || {
            Chain::new(())
                .fold(AdaptiveClip::default().clipping(0.1))
                .then(Scale::default().lr(1.0))
        };
        for machine in machines() {
            let got = run::<f64>(chain(), shape, &x, std::slice::from_ref(&g), machine);
            for ((got, x), want) in got.iter().zip(&x).zip(&want) {
                let allowed = 1e-13 * want.abs() + f64::EPSILON * x.abs();
                assert!((x - got - want).abs() <= allowed, "{shape:?} {machine:?}");
            }
        }
    }
}

#[test]
fn every_instruction_set_and_thread_count_gives_the_same_bits() {
    for shape in SHAPES {
        let n: usize = shape.iter().product();
        let gradients = [wild(n, 3), wild(n, 4)];
        let chain = || {
            Chain::new(())
                .fold(GradientNoise::default().seed(5.0))
                .fold(Centralize::default())
                .fold(AdaptiveClip::default())
                .then((Momentum::default(), Scale::default()))
        };
        let mut all = machines().map(|m| run::<f32>(chain(), shape, &wild(n, 5), &gradients, m));
        let first = all.next().unwrap();
        assert!(all.all(|other| other.iter().zip(&first).all(|(a, b)| a.to_bits() == b.to_bits())));
    }
}

#[test]
fn vectors_are_not_centred_and_rows_then_sum_to_zero() {
    let g = wild(12, 6);
    let chain = || Chain::new(()).fold(Centralize::default()).then(Scale::default().lr(1.0));
    let machine = (Isa::detect().unwrap(), 1);
    let vector = run::<f64>(chain(), &[12], &[0.0; 12], std::slice::from_ref(&g), machine);
    assert!(vector.iter().zip(&g).all(|(x, g)| *x == -g));
    let rows = run::<f64>(chain(), &[3, 4], &[0.0; 12], std::slice::from_ref(&g), machine);
    for (row, g) in rows.chunks(4).zip(g.chunks(4)) {
        let size: f64 = g.iter().map(|g| g.abs()).sum();
        assert!(row.iter().sum::<f64>().abs() <= 1e-15 * size);
    }
}

#[test]
fn rows_and_noise_remember_nothing() {
    let chain = Chain::new(())
        .fold(AdaptiveClip::default())
        .fold(Centralize::default())
        .fold(GradientNoise::default());
    assert_eq!((chain.memory_per_coordinate(), chain.scalars().len()), (0, 0));
    let page = chain.formulas().to_string();
    assert!(page.contains("Σ_row(g²)") && page.contains("ξ"), "{page}");
}

/// The noise of one step on zero gradients, `−σ·ξ`.
fn noise(seed: f64, name: &str, step: usize, n: usize) -> Vec<f64> {
    let noise = GradientNoise::default().variance(1.0).seed(seed);
    let chain = Chain::new(()).fold(noise).then(Scale::default().lr(1.0));
    let mut opt = Optimizer::<f64>::new(chain).unwrap();
    let (shape, zeros) = ([n], vec![0.0; n]);
    let mut x = zeros.clone();
    let mut before = x.clone();
    for _ in 0..step {
        before.clone_from(&x);
        assert!(opt.step(&mut [Param::new(name, &shape, &mut x, &zeros)]).unwrap().applied());
    }
    x.iter().zip(&before).map(|(x, b)| x - b).collect()
}

#[test]
fn noise_has_the_variance_of_its_step_and_depends_on_seed_name_and_step() {
    let n = 20_000;
    let spread = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>() / n as f64;
    let first = noise(0.0, "x", 1, n);
    // Four standard errors, √2/√n each.
    let error = 4.0 * (2.0 / n as f64).sqrt();
    assert!((spread(&first) - 1.0).abs() < error);
    assert!((spread(&noise(0.0, "x", 9, n)) * 9f64.powf(0.55) - 1.0).abs() < error);
    for other in [noise(1.0, "x", 1, n), noise(0.0, "y", 1, n), noise(0.0, "x", 2, n)] {
        let size = (spread(&first) * spread(&other)).sqrt();
        let inner = first.iter().zip(&other).map(|(a, b)| a * b).sum::<f64>() / n as f64;
        assert!((inner / size).abs() < 4.0 / (n as f64).sqrt());
    }
    assert_eq!(first, noise(0.0, "x", 1, n));
}

#[test]
fn sparse_rows_are_clipped_and_disturbed_as_dense_ones() {
    let chain = || {
        Chain::new(())
            .fold(AdaptiveClip::default())
            .fold(GradientNoise::default())
            .then(Scale::default())
    };
    let (shape, rows) = ([4, 3], [3u32, 1]);
    let values = wild(6, 7);
    let mut dense = vec![0.0; 12];
    dense[9..].copy_from_slice(&values[..3]);
    dense[3..6].copy_from_slice(&values[3..]);
    let (mut a, mut b) = (wild(12, 8), wild(12, 8));
    let mut opt = Optimizer::<f64>::new(chain()).unwrap();
    assert!(opt.step(&mut [Param::new("x", &shape, &mut a, &dense)]).unwrap().applied());
    let mut opt = Optimizer::<f64>::new(chain()).unwrap();
    assert!(
        opt.step(&mut [Param::of("x", &shape, &mut b).sparse_grad(&rows, &values)])
            .unwrap()
            .applied()
    );
    assert_eq!((&a[3..6], &a[9..]), (&b[3..6], &b[9..]));
    assert_eq!(b[..3], wild(12, 8)[..3]);
}

#[test]
fn groups_and_tensors_do_not_see_each_others_rows() {
    let shapes: [&[usize]; 4] = [&[3, 20_001], &[7], &[40, 11], &[5, 2, 3]];
    let chains = || {
        let centred = Chain::new(()).fold(Centralize::default()).then(Scale::default().lr(1.0));
        let clipped = Chain::new(()).fold(AdaptiveClip::default().clipping(0.1));
        [centred, clipped.then(Scale::default().lr(1.0))]
    };
    let names = ["a.0", "a.1", "b.0", "b.1"];
    let [centred, clipped] = chains();
    let mut opt = Optimizer::<f64>::builder()
        .group("a", "a.*", centred)
        .group("b", "b.*", clipped)
        .build()
        .unwrap();
    let len = |shape: &[usize]| shape.iter().product::<usize>();
    let mut x: Vec<Vec<f64>> = shapes.iter().map(|s| wild(len(s), 7)).collect();
    let g: Vec<Vec<f64>> = shapes.iter().map(|s| wild(len(s), 8)).collect();
    let mut params: Vec<_> = (names.iter().zip(shapes).zip(&mut x).zip(&g))
        .map(|(((name, shape), x), g)| Param::new(name, shape, x, g))
        .collect();
    assert!(opt.step(&mut params).unwrap().applied());
    for (k, shape) in shapes.iter().enumerate() {
        let chain = chains().into_iter().nth(k / 2).unwrap();
        let machine = (Isa::detect().unwrap(), 1);
        let alone =
            run::<f64>(chain, shape, &wild(len(shape), 7), std::slice::from_ref(&g[k]), machine);
        assert!(alone == x[k], "{}", names[k]);
    }
}

thalweg::hypers! {
    /// Divides every gradient by the sum of its row, which must be positive.
    struct ShareOfRow {}
}

impl Fold for ShareOfRow {}

impl Part for ShareOfRow {
    type Memory<F: Real> = [F; 1];
    type Scalars<F: Real> = [F; 1];
    type Terms<F: Real> = [F; 1];
    const SCALARS: &'static [Slot] = &[slot("sum")];
    const JOIN: &'static [Join] = &[Join::Sum];
    const SCOPE: Scope = Scope::Row;
    const SUPPLY: Supply = Supply::Row;

    fn terms<F: Real>(
        &self,
        _: &At<F>,
        _: usize,
        _: [F; 1],
    ) -> impl Fn(F, Here<F>, [F; 1]) -> [F; 1] + Copy + Send + Sync + use<F> {
        |g, _, _| [g]
    }

    fn refuse(&self, [sum]: [f64; 1]) -> Option<(u64, &'static str)> {
        (sum <= 0.0).then_some((1, "has a row whose sum is not positive"))
    }

    fn settle<W: Real<Wide = W>>(&self, _: &At<W>, _: usize, sum: [W; 1], _: [W; 1]) -> [W; 1] {
        sum
    }

    fn at<F: Real>(
        &self,
        _: &At<F>,
        _: [F; 1],
    ) -> impl Fn(F, Here<F>, [F; 1]) -> (F, [F; 1]) + Copy + Send + Sync + use<F> {
        |g, _, [sum]| (g / sum, [sum])
    }
}

#[test]
fn a_part_of_the_users_own_may_refuse_a_row() {
    let mut opt: Optimizer<f64> =
        Optimizer::new(Chain::new(()).fold(ShareOfRow::default())).expect("a chain");
    let mut x = [0.0; 4];
    let mut step = |g: [f64; 4]| {
        let answer = opt.step(&mut [Param::new("x", &[2, 2], &mut x, &g)]);
        (answer.map(|r| r.applied()).map_err(|e| e.to_string()), x)
    };
    assert_eq!(step([1.0, 3.0, 2.0, 2.0]), (Ok(true), [-0.25, -0.75, -0.5, -0.5]));
    let (said, x) = step([1.0, 3.0, 2.0, -2.0]);
    assert!(said.is_err_and(|why| why.contains("a row whose sum is not positive")));
    assert_eq!(x, [-0.25, -0.75, -0.5, -0.5]);
}
