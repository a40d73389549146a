//! X10–X12: what noise and sparsity do to products of successive gradients.

use thalweg::recipes::{meta_egd, meta_egd_momentum, meta_egd_sparse, momentum, nesterov};
use thalweg::rules::Scale;
use thalweg::{Chain, Optimizer, Param, Probe};

use super::figure::{Axis, Figure, numbered};
use super::gains::raw;
use super::rules::ProductOfBuffers;
use super::stream::Rng;
use super::walk::{Walk, bowl_gradient, distance, mean, tuned};
use super::{Experiment, Record, Verdict};
use crate::Result;

pub(super) const ALL: &[Experiment] = &[
    Experiment {
        name: "noisy-products",
        row: "X10",
        source: "000 §7.3 eq. 54",
        claim: "independent noise leaves the expected product of successive gradients unbiased",
        correct: "the second gradient depends on the first through the parameter: −η·h·σ²/(2 − η·h) at rest, so the gain decays",
        errata: &["E18"],
        decides: &["mean product at η = 0.1", "mean product at η = 0.5"],
        features: &["F039", "F046", "F048"],
        expected: Verdict::Refuted,
        run: noisy_products,
    },
    Experiment {
        name: "product-variance",
        row: "X10",
        source: "000 §7.3 eq. 55",
        claim: "the variance of the product is g₁²·σ₂² + g₂²·σ₁²",
        correct: "plus σ₁²·σ₂², which dominates near the optimum",
        errata: &["E19"],
        decides: &["exact variance", "variance by the source", "variance of a million products"],
        features: &["F040"],
        expected: Verdict::Refuted,
        run: product_variance,
    },
    Experiment {
        name: "three-scenarios",
        row: "X10",
        source: "000 §4.5, §5.3, §10.3",
        claim: "small steady gradients make the gain grow slowly, large ones exponentially, and oscillating ones have products of alternating sign",
        correct: "any steady gradient makes it grow exponentially, by γ·g² a step; the products of an oscillating gradient are all negative and the gain shrinks",
        errata: &["E14", "E23"],
        decides: &[
            "ln ν, 100 gradients of 0.1",
            "ln ν, 100 gradients of 2",
            "negative products of the oscillation, of 99",
        ],
        features: &["F029", "F032"],
        expected: Verdict::HoldsIf("the gradient is steady"),
        run: scenarios,
    },
    Experiment {
        name: "momentum-gain",
        row: "X11",
        source: "000 §11.1 eq. 56",
        claim: "with Nesterov's momentum the gain learns from v_{t−1}·v_t",
        correct: "from v_{t−1}·g_t: the product of the buffers is positive under pure noise; and the momentum is not Nesterov's but the heavy ball's",
        errata: &["E24"],
        decides: &[
            "ν after 300 steps, the source's product",
            "ν after 300 steps, the corrected product",
            "eq. 56 at γ = 0 less the heavy ball, 100 steps on the bowl",
            "eq. 56 at γ = 0 less Nesterov's momentum, 100 steps on the bowl",
        ],
        features: &["F051"],
        expected: Verdict::Refuted,
        run: momentum_gain,
    },
    Experiment {
        name: "sparse-gains",
        row: "X12",
        source: "000 §10.2",
        claim: "MetaEGD is recommended for sparse gradients",
        correct: "a product is zero unless a feature fires twice in a row; the last non-zero gradient must be kept",
        errata: &["E22"],
        decides: &["ν after 10 000 steps", "ln ν with the last non-zero gradient kept"],
        features: &["F046"],
        expected: Verdict::Refuted,
        run: sparse,
    },
];

/// Coordinates times steps are the 4·10⁵ steps of the reference.
pub(super) const WIDTH: usize = 1000;
pub(super) const STEPS: usize = 400;
/// So small that the gain stays 1 while its logarithm counts.
const COUNTER: f64 = 1e-12;

/// Gradient descent on `x²/2` with noise of variance 1 in many coordinates at once, brought to where
/// its distribution no longer changes.
pub(super) struct Noisy {
    opt: Optimizer<f64>,
    pub(super) x: Vec<f64>,
    rng: Rng,
    /// The share of positive products of the last step.
    aligned: f64,
}

impl Noisy {
    pub(super) fn new(lr: f64, seed: u64) -> Result<Noisy> {
        let builder = Optimizer::<f64>::builder().rest("all", raw(meta_egd(), lr, COUNTER)?);
        let opt = builder.probe(Probe::Gains).threads(1).build()?;
        let mut noisy = Noisy { opt, x: vec![0.0; WIDTH], rng: Rng::new(seed), aligned: f64::NAN };
        (0..(10.0 / lr) as usize).try_for_each(|_| noisy.step())?;
        Ok(noisy)
    }

    pub(super) fn step(&mut self) -> Result<()> {
        let noise = self.rng.normal(WIDTH);
        let g: Vec<f64> = self.x.iter().zip(noise).map(|(x, noise)| x + noise).collect();
        let report = self.opt.step(&mut [Param::new("x", &[WIDTH], &mut self.x, &g)])?;
        self.aligned = report.readings.first().map_or(f64::NAN, |r| r.gains.aligned);
        Ok(())
    }

    /// The sum of all products of successive gradients so far.
    fn products(&self) -> f64 {
        self.opt.slot("x", "ell").unwrap_or_default().iter().sum::<f64>() / COUNTER
    }
}

/// Mean product of successive gradients, and the share of negative products.
fn products(lr: f64, seed: u64) -> Result<(f64, f64)> {
    let mut noisy = Noisy::new(lr, seed)?;
    let (before, mut negative) = (noisy.products(), 0.0);
    for _ in 0..STEPS {
        noisy.step()?;
        negative += 1.0 - noisy.aligned;
    }
    Ok(((noisy.products() - before) / (STEPS * WIDTH) as f64, negative / STEPS as f64))
}

fn noisy_products(r: &mut Record) -> Result<()> {
    let (slow, _) = products(0.1, 10)?;
    r.near("mean product at η = 0.1", slow, -0.0526, 0.004);
    let (fast, negative) = products(0.5, 11)?;
    r.near("mean product at η = 0.5", fast, -0.3333, 0.006);
    r.near("share of negative products at η = 0.5", negative, 0.580, 0.003);
    r.claim("η = 0.1: the mean is the squared mean gradient, 0", slow.abs() <= 0.004);
    r.claim("η = 0.5: the mean is the squared mean gradient, 0", fast.abs() <= 0.006);
    let rates = || (1..=20).map(|k| 0.05 * f64::from(k));
    let measured = rates().map(|lr| Ok((lr, products(lr, 100)?.0))).collect::<Result<Vec<_>>>()?;
    r.figure(
        Figure::new(
            "noisy-products",
            "Mean product of successive gradients of noisy descent on x²/2, at rest",
            Axis::linear("learning rate η"),
            Axis::linear("mean product"),
        )
        .bound("−η/(2 − η)", rates().map(|lr| (lr, -lr / (2.0 - lr))))
        .points("measured", measured),
    );
    Ok(())
}

/// The variance of `count` products of N(0.5, 1.2²) and N(−0.3, 0.8²), with the deviations times `noise`.
fn variance_of_products(count: usize, noise: f64) -> Result<f64> {
    let mut rng = Rng::new(12);
    let mut draw = |mean: f64, deviation: f64| -> Vec<f64> {
        rng.normal(count).into_iter().map(|z| mean + noise * deviation * z).collect()
    };
    let mut walk = Walk::new(raw(meta_egd(), 0.0, COUNTER)?, &vec![0.0; count])?;
    walk.step(&draw(0.5, 1.2))?;
    walk.step(&draw(-0.3, 0.8))?;
    let products: Vec<f64> = walk.slot("ell")?.iter().map(|ell| ell / COUNTER).collect();
    let middle = mean(&products);
    Ok(products.iter().map(|p| (p - middle) * (p - middle)).sum::<f64>() / count as f64)
}

fn product_variance(r: &mut Record) -> Result<()> {
    let variance = variance_of_products(1_000_000, 1.0)?;
    let (a, b) = (1.2_f64 * 1.2, 0.8 * 0.8);
    let source = 0.25 * b + 0.09 * a;
    r.printed("exact variance", a * b + source, "1.2112");
    r.printed("variance by the source", source, "0.2896");
    // Three standard errors of a million products.
    r.near("variance of a million products", variance, 1.2112, 0.015);
    r.claim("N(0.5, 1.2²) times N(−0.3, 0.8²)", (variance - source).abs() <= 0.015);
    let mut points = vec![(1.0, variance)];
    for noise in [0.1, 0.2, 0.4, 0.7, 1.5, 3.0] {
        points.push((noise, variance_of_products(100_000, noise)?));
    }
    let shares = || (0..=30).map(|k| 0.1 * 30f64.powf(f64::from(k) / 30.0));
    r.figure(
        Figure::new(
            "product-variance",
            "Variance of N(0.5, (1.2·s)²) times N(−0.3, (0.8·s)²)",
            Axis::log("size of the noise s"),
            Axis::log("variance of the product"),
        )
        .bound("source: g₁²·σ₂² + g₂²·σ₁²", shares().map(|s| (s, s * s * source)))
        .bound("with σ₁²·σ₂²", shares().map(|s| (s, s * s * source + s.powi(4) * a * b)))
        .points("measured", points),
    );
    Ok(())
}

fn scenarios(r: &mut Record) -> Result<()> {
    let run = |gradient: &dyn Fn(usize) -> f64| -> Result<Vec<f64>> {
        let mut walk = Walk::new(raw(meta_egd(), 0.0, 0.01)?, &[0.0])?;
        (0..100)
            .map(|t| {
                walk.step(&[gradient(t)])?;
                Ok(walk.slot("ell")?[0])
            })
            .collect()
    };
    let [small, large] = [run(&|_| 0.1)?, run(&|_| 2.0)?];
    let oscillating = run(&|t| if t % 2 == 0 { 1.0 } else { -1.0 })?;
    // ln ν is γ times the sum of 99 products.
    r.near("ln ν, 100 gradients of 0.1", small[99], 0.01 * 99.0 * 0.01, 1e-12);
    r.near("ln ν, 100 gradients of 2", large[99], 0.01 * 99.0 * 4.0, 1e-12);
    r.near("ln ν, 100 gradients of 1 and −1 in turn", oscillating[99], -0.01 * 99.0, 1e-12);
    let falling = oscillating.windows(2).filter(|w| w[1] < w[0]).count();
    r.count("negative products of the oscillation, of 99", Some(falling), Some(99), 0);
    r.claim("small steady gradient: grows slowly", small[99] > 0.0 && small[99] < large[99]);
    // Exponentially is by the same factor at every step, not merely far.
    let factors: Vec<f64> = large.windows(2).map(|w| w[1] - w[0]).collect();
    let even = factors.iter().all(|f| *f > 0.0 && (f - factors[0]).abs() < 1e-12);
    r.claim("large steady gradient: grows exponentially", even);
    r.claim("oscillating gradient: products of both signs", falling != 99 && falling != 0);
    let figure = Figure::new(
        "three-scenarios",
        "The logarithm of the gain in the source's three scenarios, γ = 0.01",
        Axis::linear("step"),
        Axis::linear("ln ν"),
    );
    r.figure(
        figure
            .line("g = 0.1", numbered(small))
            .line("g = 2", numbered(large))
            .line("g = 1, −1, 1, …", numbered(oscillating)),
    );
    Ok(())
}

fn momentum_gain(r: &mut Record) -> Result<()> {
    let mut rng = Rng::new(13);
    let mut walk = Walk::new(raw(meta_egd_momentum(), 0.0, COUNTER)?, &[0.0; WIDTH])?;
    (0..100).try_for_each(|_| walk.step(&rng.normal(WIDTH)))?;
    let total =
        |walk: &Walk| Ok::<f64, crate::Error>(walk.slot("ell")?.iter().sum::<f64>() / COUNTER);
    let (before, mut source) = (total(&walk)?, 0.0);
    for _ in 0..STEPS {
        let last = walk.slot("buf")?.to_vec();
        walk.step(&rng.normal(WIDTH))?;
        source += last.iter().zip(walk.slot("buf")?).map(|(a, b)| a * b).sum::<f64>();
    }
    let count = (STEPS * WIDTH) as f64;
    r.near("mean of v_{t−1}·v_t under noise", source / count, 4.737, 0.1);
    let corrected = (total(&walk)? - before) / count;
    r.near("mean of v_{t−1}·g_t under noise", corrected, 0.0, 0.02);
    let (source, corrected, paths) = noise_gains()?;
    r.relative("ν after 300 steps, the source's product", source, 991.4, 1e-3);
    r.relative("ν after 300 steps, the corrected product", corrected, 0.8825, 1e-3);
    r.claim("300 steps of pure noise: the gain stays near 1", (0.1..10.0).contains(&source));
    let place = |chain: Chain| -> Result<Vec<f64>> {
        let mut walk = Walk::new(chain, &[1.0; 3])?;
        walk.descend(100, bowl_gradient)?;
        Ok(walk.x)
    };
    let still = ProductOfBuffers::default().gamma(0.0);
    let printed = place(Chain::new((still, Scale::default().lr(0.01))))?;
    let rate = &[("lr", 0.01)];
    let ball = distance(&printed, &place(tuned(momentum(), rate)?)?);
    let ahead = distance(&printed, &place(tuned(nesterov(), rate)?)?);
    r.near("eq. 56 at γ = 0 less the heavy ball, 100 steps on the bowl", ball, 0.0, 1e-12);
    r.note("eq. 56 at γ = 0 less Nesterov's momentum, 100 steps on the bowl", ahead);
    r.claim("γ = 0 on the bowl: the momentum is Nesterov's", ahead < 1e-12);
    let [source, corrected] = paths;
    r.figure(
        Figure::new(
            "momentum-gain",
            "The gain under pure noise, γ = 0.01, momentum 0.9",
            Axis::linear("step"),
            Axis::log("gain ν"),
        )
        .line("source: v_{t−1}·v_t", source)
        .line("corrected: v_{t−1}·g_t", corrected),
    );
    Ok(())
}

type Path = Vec<(f64, f64)>;

/// The last gains and all of them, by the source's product and by the corrected one.
fn noise_gains() -> Result<(f64, f64, [Path; 2])> {
    let mut walk = Walk::new(raw(meta_egd_momentum(), 0.0, 0.01)?, &[0.0])?;
    let (mut source, mut paths, mut last) = (0.0_f64, [vec![], vec![]], 0.0);
    for (t, g) in Rng::new(4).normal(300).into_iter().enumerate() {
        walk.step(&[g])?;
        let buffer = walk.slot("buf")?[0];
        // The form of the source runs into the largest gain that it allows.
        source = (source + 0.01 * last * buffer).min(1000f64.ln());
        last = buffer;
        paths[0].push((t as f64 + 1.0, source.exp()));
        paths[1].push((t as f64 + 1.0, walk.gains()?[0]));
    }
    Ok((source.exp(), walk.gains()?[0], paths))
}

fn sparse(r: &mut Record) -> Result<()> {
    let run = |chain: Chain| -> Result<Vec<f64>> {
        let mut walk = Walk::new(tuned(chain, &[("gamma", 0.1)])?, &[0.0])?;
        let step = |t: usize| {
            walk.step(&[if t.is_multiple_of(100) { 1.0 } else { 0.0 }])?;
            Ok(walk.slot("ell")?[0])
        };
        (0..10_000).map(step).collect()
    };
    let plain = run(meta_egd())?;
    let last = plain[9_999];
    r.near("ν after 10 000 steps", last.exp(), 1.0, 0.0);
    // A hundred firings are 99 products of 1.
    let keeps = run(tuned(meta_egd_sparse(), &[("nu_max", 1e6)])?)?;
    r.near("ln ν with the last non-zero gradient kept", keeps[9_999], 9.9, 1e-12);
    r.claim("a feature that fires every hundredth step: its gain learns", last > 0.0);
    r.figure(
        Figure::new(
            "sparse-gains",
            "The gain of a feature that fires every hundredth step, γ = 0.1",
            Axis::linear("step"),
            Axis::linear("ln ν"),
        )
        .line("MetaEGD", numbered(plain))
        .line("with the last non-zero gradient kept", numbered(keeps)),
    );
    Ok(())
}
