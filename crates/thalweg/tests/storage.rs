//! Storage: half-precision parameters and gradients, state in bf16 and 8 bits, and that none of it
//! depends on threads, instruction sets or a break in the run.

mod common;
mod proof;

use common::prng::Rng;
use half::{bf16, f16};
use thalweg::recipes::*;
use thalweg::{Chain, Isa, LowPrecision, Optimizer, Param, Storage, Stored, registry};

fn build(chain: Chain, storage: Storage, low: LowPrecision) -> Optimizer<f32> {
    let builder = Optimizer::<f32>::builder().rest("all", chain).threads(1);
    builder.storage(storage).low_precision(low).seed(7).build().expect("a valid optimizer")
}

fn normal(rng: &mut Rng, n: usize, size: f64) -> Vec<f32> {
    rng.normal(n).into_iter().map(|v| (size * v) as f32).collect()
}

/// Mean absolute and mean relative difference.
fn errors(a: &[f32], b: &[f32]) -> (f64, f64) {
    let n = a.len() as f64;
    let pairs = || a.iter().zip(b).map(|(a, b)| (f64::from(*a), f64::from(*b)));
    let absolute = pairs().map(|(a, b)| (a - b).abs()).sum::<f64>() / n;
    let relative = pairs().map(|(a, b)| (a - b).abs() / (a.abs() + 1e-9)).sum::<f64>() / n;
    (absolute, relative)
}

/// How far 8-bit state leads from exact state in 50 steps on parameters of size 0.1 with gradients of
/// size 0.01 at the default rate, the worst of the steps; `together` lets both go on from the same
/// parameters after each step.
fn eight_bit_errors(chain: Chain, together: bool) -> (f64, f64) {
    let n = 64 * 1024;
    let mut rng = Rng::new(42);
    let mut exact = normal(&mut rng, n, 0.1);
    let mut packed = exact.clone();
    let mut opts = [Storage::Native, Storage::Block8]
        .map(|storage| build(chain.clone(), storage, LowPrecision::default()));
    let mut worst = (0.0f64, 0.0f64);
    for _ in 0..50 {
        let g = normal(&mut rng, n, 0.01);
        for (opt, x) in opts.iter_mut().zip([&mut exact, &mut packed]) {
            assert!(opt.step(&mut [Param::new("x", &[n], x, &g)]).expect("a step").applied());
        }
        let now = errors(&exact, &packed);
        worst = (worst.0.max(now.0), worst.1.max(now.1));
        if together {
            packed.copy_from_slice(&exact);
        }
    }
    worst
}

#[test]
fn eight_bit_adam_stays_near_the_exact_one() {
    for chain in [adam(), adamw()] {
        // The bound that bitsandbytes sets, here although the exact optimizer keeps its own state.
        let (absolute, _) = eight_bit_errors(chain.clone(), true);
        assert!(absolute < 6e-5, "{chain:?}: {absolute:e}");
        // Left to themselves they part by a small share of the 50 steps of 1e-3.
        let (absolute, _) = eight_bit_errors(chain, false);
        assert!(absolute < 6e-4, "{absolute:e}");
    }
}

/// bitsandbytes' own test (`test_optimizer8bit`): after every step the exact optimizer goes on from the
/// parameters and from the decoded state of the 8-bit one. Bounds: 6e-5 and 6e-4.
#[test]
fn eight_bit_state_keeps_the_bounds_of_bitsandbytes() {
    /// The step of a step number, a gradient and the slots, which it renews.
    type Formula = fn(i32, f32, &mut [f32]) -> f32;
    let all: [(Chain, &[&str], Formula); 5] = [
        (adam(), &["m", "v"], |t, g, s| {
            let (c1, c2) = (1.0 - 0.9f32.powi(t), 1.0 - 0.999f32.powi(t));
            s[0] = 0.9 * s[0] + 0.1 * g;
            s[1] = 0.999 * s[1] + 0.001 * g * g;
            1e-3 * (s[0] / c1) / ((s[1] / c2).sqrt() + 1e-8)
        }),
        (momentum(), &["buf"], |_, g, s| {
            s[0] = 0.9 * s[0] + g;
            1e-3 * s[0]
        }),
        (rmsprop(), &["v"], |_, g, s| {
            s[0] = 0.99 * s[0] + 0.01 * g * g;
            1e-2 * g / (s[0].sqrt() + 1e-8)
        }),
        (adagrad(), &["sum"], |_, g, s| {
            s[0] += g * g;
            1e-2 * g / (s[0].sqrt() + 1e-10)
        }),
        (lion(), &["m"], |_, g, s| {
            let step = (1e-4f32).copysign(0.9 * s[0] + 0.1 * g);
            s[0] = 0.99 * s[0] + 0.01 * g;
            step
        }),
    ];
    let n = 64 * 1024;
    for (chain, slots, formula) in all {
        let mut rng = Rng::new(42);
        let mut packed = normal(&mut rng, n, 0.1);
        let (mut exact, mut state) = (packed.clone(), vec![[0.0f32; 2]; n]);
        let mut opt = build(chain, Storage::Block8, LowPrecision::default());
        for t in 1..=50 {
            let g = normal(&mut rng, n, 0.01);
            let _ = opt.step(&mut [Param::new("x", &[n], &mut packed, &g)]).expect("a step");
            for i in 0..n {
                exact[i] -= formula(t, g[i], &mut state[i]);
            }
            let (absolute, relative) = errors(&exact, &packed);
            let what = format!("{slots:?}, step {t}");
            assert!(absolute < 6e-5 && relative < 6e-4, "{what}: {absolute:e} {relative:e}");
            for (k, slot) in slots.iter().enumerate() {
                // What one encoding costs: of a block's largest, half a part in 64 (128 without sign).
                let coded = opt.slot_values("x", slot).expect("a slot");
                let own: Vec<f32> = state.iter().map(|s| s[k]).collect();
                let (error, _) = errors(&own, &coded);
                let size = own.iter().map(|s| f64::from(s.abs())).sum::<f64>() / n as f64;
                assert!(error < 0.02 * size, "{what}: {slot} is off by {:e}", error / size);
                state.iter_mut().zip(coded).for_each(|(s, coded)| s[k] = coded);
            }
            exact.copy_from_slice(&packed);
        }
    }
}

/// Sizes of gradients that differ by a factor of a hundred within a block.
fn mixed_gradients(rng: &mut Rng, n: usize) -> Vec<f32> {
    let sizes = (0..n).map(|i| 10f32.powf((i % 5) as f32 / 2.0 - 2.0));
    normal(rng, n, 1.0).into_iter().zip(sizes).map(|(g, size)| g * size).collect()
}

#[test]
fn eight_bit_state_neither_fades_nor_grows_in_thousands_of_steps() {
    // What is coded at every step must not lose a share of itself each time. Long averages show it; those of
    // ten thousand steps (β = 0.9999) change by less than 8 bits resolve, and lag behind.
    let n = 8192;
    let cases: [(&str, Chain, &[&str], f64); 7] = [
        ("adam", adam(), &["v"], 0.1),
        ("rmsprop", rmsprop(), &["v"], 0.1),
        ("adagrad", adagrad(), &["sum"], 0.1),
        ("amsgrad", amsgrad(), &["v", "v_max"], 0.1),
        ("adopt", adopt(), &["v"], 0.4),
        ("lion", lion(), &["m"], 0.1),
        ("ademamix", ademamix(), &["slow", "v"], 0.4),
    ];
    for (name, chain, slots, bound) in cases {
        let mut opts = [Storage::Native, Storage::Block8]
            .map(|storage| build(chain.clone(), storage, LowPrecision::default()));
        let mut xs = [vec![0.1f32; n], vec![0.1f32; n]];
        let mut rng = Rng::new(11);
        for _ in 0..4000 {
            // A mean besides the noise, for what averages signs.
            let g: Vec<f32> = mixed_gradients(&mut rng, n).iter().map(|g| g + 0.05).collect();
            for (opt, x) in opts.iter_mut().zip(&mut xs) {
                assert!(opt.step(&mut [Param::new("x", &[n], x, &g)]).expect("a step").applied());
            }
        }
        for slot in slots {
            let [exact, packed] = opts.each_ref().map(|opt| {
                let values = opt.slot_values("x", slot).expect("a slot");
                values.iter().map(|v| f64::from(v.abs())).sum::<f64>() / n as f64
            });
            assert!((packed / exact - 1.0).abs() < bound, "{name} {slot}: {packed:e} {exact:e}");
        }
    }
}

#[test]
fn a_second_moment_in_bf16_needs_stochastic_rounding() {
    // v tends to g² by 0.1 % of the way per step: less than half a last digit of bf16.
    let n = 4096;
    let g = vec![1.0f32; n];
    let mut opt = build(adam(), Storage::Bf16, LowPrecision::default());
    let mut x = vec![0.0f32; n];
    for _ in 0..3000 {
        let _ = opt.step(&mut [Param::new("x", &[n], &mut x, &g)]).expect("a step");
    }
    let v = opt.slot_values("x", "v").expect("v");
    let mean = v.iter().map(|v| f64::from(*v)).sum::<f64>() / n as f64;
    let want = 1.0 - 0.999f64.powi(3000);
    assert!((mean - want).abs() < 2e-3, "{mean} is not {want}");
    assert!(v.iter().all(|v| bf16::from_f32(*v).to_f32() == *v));
    // Rounded to the nearest it stops where a step is half a last digit.
    let mut nearest = bf16::ZERO;
    for _ in 0..3000 {
        nearest = bf16::from_f32(0.999 * nearest.to_f32() + 0.001);
    }
    assert!(nearest.to_f32() < 0.3, "{nearest}");
}

/// Where 2,000 steps of gradient descent end that should together move every coordinate from 1 to 0.9.
fn descend<S: Stored<f32> + PartialEq + std::fmt::Debug>(
    low: LowPrecision,
    to: fn(f32) -> S,
    from: fn(S) -> f32,
) -> f64 {
    let n = 4096;
    let mut opt = build(gd().with("lr", 5e-5).expect("lr"), Storage::Native, low);
    let mut x = vec![to(1.0); n];
    let g = vec![to(1.0); n];
    for _ in 0..2000 {
        let _ = opt.step(&mut [Param::of("x", &[n], &mut x).grad(&g)]).expect("a step");
    }
    x.iter().map(|x| f64::from(from(*x))).sum::<f64>() / n as f64
}

#[test]
fn what_makes_up_for_low_precision() {
    use LowPrecision::*;
    for (low, bf, hf) in [
        // The last digit of bf16 at 0.9 is 2⁻⁸: half of it is as near as one number can be.
        (Master, 2e-3, 3e-4),
        (Compensated, 2e-3, 3e-4),
        (Stochastic, 5e-4, 1e-4),
    ] {
        let (b, h) =
            (descend(low, bf16::from_f32, bf16::to_f32), descend(low, f16::from_f32, f16::to_f32));
        assert!((b - 0.9).abs() < bf, "{low:?} bf16: {b}");
        assert!((h - 0.9).abs() < hf, "{low:?} f16: {h}");
    }
    // Steps of a hundredth of the last digit are lost.
    assert_eq!(descend(Nearest, bf16::from_f32, bf16::to_f32), 1.0);
    assert_eq!(descend(Nearest, f16::from_f32, f16::to_f32), 1.0);
}

#[test]
fn compensation_in_f16_counts_steps_below_the_smallest_number_of_the_format() {
    for (lr, steps) in [(2e-8, 100_000), (1e-7, 20_000), (1e-6, 2_000)] {
        let chain = gd().with("lr", lr).expect("lr");
        let mut opt = build(chain, Storage::Native, LowPrecision::Compensated);
        let mut x = [f16::from_f32(0.01)];
        for _ in 0..steps {
            let _ = opt.step(&mut [Param::of("x", &[1], &mut x).grad(&[1.0f32])]).expect("a step");
        }
        let moved = 0.01 - x[0].to_f64();
        let exact = lr * f64::from(steps);
        // The last digit of single precision is a twentieth of the smallest step.
        assert!((moved - exact).abs() < 0.06 * exact, "{lr}: {moved}, not {exact}");
    }
}

#[test]
fn a_file_from_before_version_3_has_the_remainder_of_f16_as_it_is() {
    let step = |opt: &mut Optimizer<f32>, x: &mut [f16]| {
        let _ = opt.step(&mut [Param::of("x", &[3], x).grad(&[0.02f32, -0.7, 3e-4])]).unwrap();
    };
    let new =
        || build(gd().with("lr", 1.0).expect("lr"), Storage::Native, LowPrecision::Compensated);
    let (mut opt, mut x) = (new(), [100.0, 3.0, 0.5].map(f16::from_f32));
    step(&mut opt, &mut x);
    let low = opt.slot_values("x", "@low").expect("a slot");
    let bytes = opt.save_bytes().expect("bytes");
    let (_, metadata) = safetensors::SafeTensors::read_metadata(&bytes).expect("a file");
    let header = metadata.metadata().as_ref().expect("a header")["thalweg"].clone();
    let old = header.replace("\"version\":3", "\"version\":2");
    assert_ne!(old, header);
    let raw: Vec<u8> = low.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect();
    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F16, vec![3], &raw);
    let header = std::collections::HashMap::from([("thalweg".to_owned(), old)]);
    let file = safetensors::serialize([("x/@low", view.expect("a view"))], Some(header));
    let mut again = new();
    let _ = again.load_bytes(&file.expect("a file")).expect("the state");
    assert_eq!(again.slot_values("x", "@low"), Some(low));
    let mut y = x;
    step(&mut opt, &mut x);
    step(&mut again, &mut y);
    assert_eq!(x, y);
}

#[test]
fn a_slot_says_how_it_is_kept() {
    for storage in [Storage::Native, Storage::Bf16, Storage::Block8] {
        let mut opt = build(adam(), storage, LowPrecision::Compensated);
        let (mut large, mut small) = (vec![1.0; Storage::SMALL], vec![1.0; Storage::SMALL - 1]);
        let gradient = vec![0.5f32; Storage::SMALL];
        let (n, fewer) = ([Storage::SMALL], [Storage::SMALL - 1]);
        let _ = opt
            .step(&mut [
                Param::new("large", &n, &mut large, &gradient),
                Param::new("small", &fewer, &mut small, &gradient[1..]),
            ])
            .expect("a step");
        let of_small = if storage == Storage::Block8 { Storage::Native } else { storage };
        for slot in ["m", "v"] {
            assert_eq!(opt.slot_storage("large", slot), Some(storage));
            assert_eq!(opt.slot_storage("small", slot), Some(of_small));
        }
        assert_eq!(opt.slot_storage("large", "w"), None);
        assert_eq!(opt.slot_storage("another", "v"), None);
    }
}

#[test]
fn what_rounding_cut_off_does_not_follow_a_parameter_that_the_user_replaces() {
    fn run<S: Stored<f32>>(to: fn(f32) -> S, from: fn(S) -> f32) {
        let chain = gd().with("lr", 1.0).expect("lr");
        let mut opt = build(chain, Storage::Native, LowPrecision::Compensated);
        let mut x = [to(100.0)];
        let _ = opt.step(&mut [Param::of("x", &[1], &mut x).grad(&[0.02f32])]).expect("a step");
        // It goes on with what was cut off ...
        let low = opt.slot_values("x", "@low").expect("a slot")[0];
        assert!((from(x[0]) + low - 99.98).abs() < 2e-4, "{low}");
        // ... but not from somewhere else.
        let state = opt.save_bytes().expect("bytes");
        for new in [0.01f32, 0.0, -3e-5] {
            let mut x = [to(new)];
            let _ = opt.load_bytes(&state).expect("the state");
            let _ = opt.step(&mut [Param::of("x", &[1], &mut x).grad(&[0.0f32])]).expect("a step");
            assert_eq!(from(x[0]), from(to(new)));
        }
    }
    run(bf16::from_f32, bf16::to_f32);
    run(f16::from_f32, f16::to_f32);
}

#[test]
fn a_parameter_at_the_end_of_its_format_stays_finite_and_comes_back() {
    for low in [LowPrecision::Compensated, LowPrecision::Stochastic] {
        let mut opt = build(gd().with("lr", 1.0).expect("lr"), Storage::Native, low);
        let mut x = [f16::MAX];
        for (g, want) in [(-20.0f32, 65504.0), (0.0, 65504.0), (5504.0, 60000.0)] {
            let report = opt.step(&mut [Param::of("x", &[1], &mut x).grad(&[g])]).expect("a step");
            assert!(report.applied());
            assert_eq!(x[0].to_f32(), want, "{low:?}");
        }
    }
}

#[test]
fn master_weights_are_the_single_precision_run() {
    let (n, mut rng) = (1500, Rng::new(3));
    let start: Vec<bf16> = normal(&mut rng, n, 1.0).into_iter().map(bf16::from_f32).collect();
    let mut low = start.clone();
    let mut exact: Vec<f32> = start.iter().map(|x| x.to_f32()).collect();
    let mut opts = [(); 2].map(|()| build(adamw(), Storage::Native, LowPrecision::Master));
    for step in 0..20 {
        let g: Vec<bf16> = normal(&mut rng, n, 1.0).into_iter().map(bf16::from_f32).collect();
        let wide: Vec<f32> = g.iter().map(|g| g.to_f32()).collect();
        let _ = opts[0].step(&mut [Param::of("x", &[n], &mut low).grad(&g)]).expect("a step");
        let _ = opts[1].step(&mut [Param::new("x", &[n], &mut exact, &wide)]).expect("a step");
        assert!(low.iter().zip(&exact).all(|(l, e)| *l == bf16::from_f32(*e)));
        assert_eq!(opts[0].slot("x", "@master"), Some(&exact[..]));
        if step == 10 {
            // The user loads other weights: they count, not the master.
            low[3] = bf16::from_f32(5.0);
            exact[3] = 5.0;
        }
    }
    assert_eq!(opts[0].state_bytes(), 3 * 4 * n);
}

#[test]
fn a_gradient_in_half_precision_is_the_number_it_stands_for() {
    let (n, mut rng) = (1100, Rng::new(5));
    let g: Vec<f16> = normal(&mut rng, n, 0.1).into_iter().map(f16::from_f32).collect();
    let wide: Vec<f32> = g.iter().map(|g| g.to_f32()).collect();
    let mut ends = vec![];
    for half in [true, false] {
        let mut opt = build(adam(), Storage::Native, LowPrecision::default());
        let mut x = vec![0.5f32; n];
        for _ in 0..3 {
            let shape = [n];
            let param = Param::of("x", &shape, &mut x);
            let param = if half { param.grad(&g) } else { param.grad(&wide) };
            let report = opt.step(&mut [param]).expect("a step");
            assert!(report.grad_norm.expect("a norm") > 0.0);
        }
        ends.push(x);
    }
    assert_eq!(ends[0], ends[1]);
}

/// What a run leaves, under one way of storing things.
#[derive(Clone, Copy, Debug)]
struct Way {
    storage: Storage,
    low: LowPrecision,
    threads: usize,
    isa: Isa,
    /// Saved and loaded after each step.
    broken: bool,
}

/// A format of sixteen bits.
trait Sixteen: Stored<f32> + Copy {
    fn of(value: f32) -> Self;
    fn bits(self) -> u16;
}
impl Sixteen for bf16 {
    fn of(value: f32) -> bf16 {
        bf16::from_f32(value)
    }
    fn bits(self) -> u16 {
        self.to_bits()
    }
}
impl Sixteen for f16 {
    fn of(value: f32) -> f16 {
        f16::from_f32(value)
    }
    fn bits(self) -> u16 {
        self.to_bits()
    }
}

fn run<S: Sixteen>(chain: &Chain, way: Way) -> (Vec<u16>, Vec<u8>) {
    let lengths = [40 * 1024 + 77, 5000, 1, 64, 0];
    let make = || {
        let builder = Optimizer::<f32>::builder().rest("all", chain.clone()).isa(way.isa);
        let builder = builder.threads(way.threads).storage(way.storage).low_precision(way.low);
        builder.seed(11).build::<f32>().expect("a valid optimizer")
    };
    let mut rng = Rng::new(9);
    let mut tensors: Vec<Vec<S>> = lengths
        .iter()
        .map(|n| (0..*n).map(|_| S::of(rng.uniform() as f32 + 0.5)).collect())
        .collect();
    let names: Vec<String> = (0..lengths.len()).map(|k| format!("t{k}")).collect();
    let mut opt = make();
    for _ in 0..3 {
        let grads: Vec<Vec<f16>> = lengths
            .iter()
            .map(|n| (0..*n).map(|_| f16::from_f32(0.1 * rng.uniform() as f32 - 0.05)).collect())
            .collect();
        let shapes: Vec<[usize; 1]> = lengths.iter().map(|n| [*n]).collect();
        let mut params: Vec<Param<'_, f32>> = tensors
            .iter_mut()
            .zip(&grads)
            .zip(names.iter().zip(&shapes))
            .map(|((x, g), (name, shape))| Param::of(name, shape, x).grad(g))
            .collect();
        assert!(opt.step(&mut params).expect("a step").applied());
        if way.broken {
            let saved = opt.save_bytes().expect("a checkpoint");
            opt = make();
            assert!(opt.load_bytes(&saved).expect("the same optimizer").differences.is_empty());
        }
    }
    let values = tensors.iter().flatten().map(|x| x.bits()).collect();
    (values, opt.save_bytes().expect("a checkpoint"))
}

#[test]
fn storage_keeps_the_laws_of_the_engine() {
    keeps_the_laws::<bf16>();
}

#[test]
fn storage_keeps_the_laws_of_the_engine_in_half_precision() {
    keeps_the_laws::<f16>();
}

fn keeps_the_laws<S: Sixteen>() {
    use LowPrecision::*;
    // One chain of each kind: one loop, stages, a fold, a group's fold, a geometry, learned gains.
    let chains = [
        adamw(),
        Chain::new(<thalweg::rules::Adam>::default()).then(thalweg::rules::Scale::default()),
        egdd(),
        meta_egd_tensor(),
        gd().over(thalweg::geometry::NegativeEntropy::default()),
        meta_egd_momentum(),
    ];
    for chain in &chains {
        for (storage, low) in [
            (Storage::Bf16, Compensated),
            (Storage::Block8, Master),
            (Storage::Native, Stochastic),
            (Storage::Block8, Nearest),
        ] {
            let isa = Isa::Scalar;
            let plain = Way { storage, low, threads: 1, isa, broken: false };
            let want = run::<S>(chain, plain);
            for isa in Isa::available() {
                assert!(run::<S>(chain, Way { isa, ..plain }) == want, "{isa} {plain:?} {chain:?}");
            }
            let isa = Isa::available()[0];
            for way in [Way { threads: 3, isa, ..plain }, Way { broken: true, isa, ..plain }] {
                assert!(run::<S>(chain, way) == want, "{way:?} {chain:?}");
            }
        }
    }
}

#[test]
fn every_chain_keeps_the_laws_in_low_precision() {
    let best = Isa::available()[0];
    for sentence in proof::sentences() {
        for (storage, low) in [
            (Storage::Bf16, LowPrecision::Stochastic),
            (Storage::Block8, LowPrecision::Compensated),
        ] {
            let plain = Way { storage, low, threads: 1, isa: best, broken: false };
            let want = run::<bf16>(&sentence.chain, plain);
            for way in [
                Way { isa: Isa::Baseline, ..plain },
                Way { threads: 3, ..plain },
                Way { broken: true, ..plain },
            ] {
                assert!(run::<bf16>(&sentence.chain, way) == want, "{way:?} {}", sentence.name);
            }
        }
    }
}

#[test]
fn random_rounding_is_anothers_for_another_seed_parameter_slot_and_step() {
    // Values are alike everywhere, so only the noise tells which coordinates are rounded up.
    let n = 4096;
    let mut draws: Vec<Vec<bool>> = vec![];
    let rounded_up = |opt: &Optimizer<f32>, param: &str, slot: &str| {
        let values = opt.slot_values(param, slot).expect("a slot");
        let middle = values.iter().sum::<f32>() / n as f32;
        values.iter().map(|v| *v > middle).collect()
    };
    for seed in [7, 8] {
        let start = |chain: Chain| {
            let builder = Optimizer::<f32>::builder().rest("all", chain).storage(Storage::Bf16);
            builder.seed(seed).build::<f32>().expect("a chain")
        };
        let mut opt = start(adam());
        let (mut x, mut y, g, shape) = (vec![0.5f32; n], vec![0.5f32; n], vec![0.3f32; n], [n]);
        let params =
            &mut [Param::new("x", &shape, &mut x, &g), Param::new("y", &shape, &mut y, &g)];
        assert!(opt.step(params).expect("a step").applied());
        for (param, slot) in [("x", "m"), ("x", "v"), ("y", "m"), ("y", "v")] {
            draws.push(rounded_up(&opt, param, slot));
        }
        // Gradients that lead from what was rounded to one value again.
        let mut opt = start(adagrad());
        for _ in 0..2 {
            let sums = opt.slot_values("z", "sum").unwrap_or(vec![0.0; n]);
            let g: Vec<f32> = sums.iter().map(|sum| (sum.ceil() + 1.1 - sum).sqrt()).collect();
            assert!(
                opt.step(&mut [Param::new("z", &shape, &mut x, &g)]).expect("a step").applied()
            );
            draws.push(rounded_up(&opt, "z", "sum"));
        }
    }
    let share = |of: &dyn Fn(usize) -> bool| (0..n).filter(|i| of(*i)).count() as f64 / n as f64;
    for (k, a) in draws.iter().enumerate() {
        let up = share(&|i| a[i]);
        assert!((0.02..0.98).contains(&up), "draw {k}: {up}");
        for (l, b) in draws[..k].iter().enumerate() {
            let other = share(&|i| b[i]);
            let by_chance = up * other + (1.0 - up) * (1.0 - other);
            // Six standard errors.
            let alike = share(&|i| a[i] == b[i]);
            assert!((alike - by_chance).abs() < 6.0 * 0.5 / 64.0, "{k} {l}: {alike} {by_chance}");
        }
    }
}

#[test]
fn every_optimizer_steps_in_every_storage_and_stays_finite() {
    for entry in registry::all() {
        for storage in [Storage::Bf16, Storage::Block8] {
            let mut opt = build((entry.chain)(), storage, LowPrecision::Compensated);
            let mut rng = Rng::new(1);
            let mut x: Vec<bf16> = vec![bf16::from_f32(0.5); 6000];
            for step in 0..6 {
                // Sizes from 1e-9 to 1e3 within every block, and zeros.
                let g: Vec<f32> = (0..6000)
                    .map(|i| if i % 17 == 0 { 0.0 } else { 10f64.powi(i % 13 - 9) * rng.sign() })
                    .map(|g| g as f32)
                    .collect();
                let report = opt.step(&mut [Param::of("x", &[6000], &mut x).grad(&g)]);
                assert!(report.expect("a step").applied(), "{} {storage:?} {step}", entry.name);
            }
            assert!(x.iter().all(|x| x.is_finite()), "{} {storage:?}", entry.name);
            let native = 4 * 6000 * (entry.chain)().memory_per_coordinate();
            assert!(opt.state_bytes() <= native + 2 * 6000, "{} {storage:?}", entry.name);
        }
    }
}

#[test]
fn a_moment_that_overflows_leaves_the_rest_of_its_block_alone() {
    // Shorter tensors keep their state in single precision.
    const N: usize = 6000;
    for entry in registry::all() {
        let mut opt = build((entry.chain)(), Storage::Block8, LowPrecision::default());
        let (mut x, mut g) = (vec![0.5f32; N], vec![1e-3f32; N]);
        // Its square is infinite in single precision.
        g[7] = 3e25;
        for _ in 0..3 {
            let report = opt.step(&mut [Param::new("x", &[N], &mut x, &g)]).expect("a step");
            assert!(report.applied());
            g[7] = 1e-3;
        }
        let finite = |v: &[f32]| (0..N).all(|k| k == 7 || v[k].is_finite());
        let summed = !(entry.chain)().scalars().is_empty() || (entry.chain)().reading_passes() > 0;
        // A sum over the tensor may be infinite, too; what that moves is the method's.
        if !summed {
            assert!(finite(&x), "{}", entry.name);
            for slot in (entry.chain)().slots() {
                assert!(
                    finite(&opt.slot_values("x", &slot).expect("a slot")),
                    "{} {slot}",
                    entry.name
                );
            }
        }
    }
}

#[test]
fn the_bytes_that_are_stated_are_those_that_are_held() {
    const N: usize = 8192;
    for entry in registry::all() {
        for storage in [Storage::Native, Storage::Bf16, Storage::Block8] {
            let chain = (entry.chain)();
            let stated = chain.bytes_per_coordinate(storage);
            let mut opt = build(chain, storage, LowPrecision::default());
            let (mut x, g) = (vec![0.5f32; N], vec![0.25f32; N]);
            let report = opt.step(&mut [Param::new("x", &[N], &mut x, &g)]).expect("a step");
            assert!(report.applied());
            assert_eq!(opt.state_bytes() as f64 / N as f64, stated, "{} {storage:?}", entry.name);
        }
    }
}

#[test]
fn what_makes_up_for_rounding_costs_the_bytes_that_are_stated() {
    const N: usize = 8192;
    let all = [
        (LowPrecision::Compensated, 2),
        (LowPrecision::Master, 4),
        (LowPrecision::Stochastic, 0),
        (LowPrecision::Nearest, 0),
    ];
    for (low, stated) in all {
        for storage in [Storage::Native, Storage::Bf16, Storage::Block8] {
            let state = adamw().bytes_per_coordinate(storage);
            let mut opt = build(adamw(), storage, low);
            let (mut x, g) = (vec![bf16::from_f32(0.5); N], vec![bf16::from_f32(0.25); N]);
            let report = opt.step(&mut [Param::of("x", &[N], &mut x).grad(&g)]).expect("a step");
            assert!(report.applied());
            let bytes = opt.state_bytes() as f64 / N as f64;
            assert_eq!(bytes, state + f64::from(stated), "{low:?} {storage:?}");
        }
    }
}

#[test]
fn another_format_than_before_is_an_error() {
    let mut opt = build(adam(), Storage::Native, LowPrecision::default());
    let (mut x, mut y, g) = ([bf16::ONE; 2], [1.0f32; 2], [1.0f32; 2]);
    let _ = opt.step(&mut [Param::of("x", &[2], &mut x).grad(&g)]).expect("a step");
    let error = opt.step(&mut [Param::new("x", &[2], &mut y, &g)]).expect_err("an error");
    assert!(error.to_string().contains("another number format"), "{error}");
    let mut small = [0.0f32; 1];
    let param = Param::of("y", &[2], &mut y).grad(&g).copy_to(&mut small);
    let error = opt.step(&mut [param]).expect_err("an error").to_string();
    assert!(error.contains("buffer for its copy has 1"), "{error}");
    let builder = Optimizer::<f32>::builder().rest("all", adam());
    let error = builder.group_storage("head", Storage::Bf16).build::<f32>().expect_err("an error");
    assert!(error.to_string().contains("\"head\"") && error.to_string().contains("all"), "{error}");
}

/// Where only a sign of what is remembered is read, small numbers beside large ones must keep theirs: zero, the code
/// of eight bits that is nearest to them, has none.
#[test]
fn signs_of_small_numbers_survive_eight_bits() {
    let signs: [(fn() -> Chain, &str); 4] =
        [(rprop, "step"), (meta_egd_sign, "ell"), (meta_egd_adam, "ell"), (egdd, "gain")];
    for (chain, learned) in signs {
        let n = 4096;
        let gradient: Vec<f32> = (0..n).map(|i| if i % 2 == 0 { 1.0 } else { 1e-7 }).collect();
        let ends = [Storage::Native, Storage::Block8].map(|storage| {
            let mut opt = build(chain(), storage, LowPrecision::default());
            let mut x = vec![0.0f32; n];
            for _ in 0..20 {
                let _ = opt.step(&mut [Param::new("x", &[n], &mut x, &gradient)]).expect("a step");
            }
            opt.slot_values("x", learned).expect("a slot of this name")
        });
        assert!(ends[0] == ends[1], "{learned}");
    }
}
