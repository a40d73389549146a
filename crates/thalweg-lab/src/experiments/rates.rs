//! X37, X44, X45, X50: rates, regret, and what is said of AdaBelief and Adam.

use thalweg::recipes::{adabelief, adagrad, adam, amsgrad, gd, rmsprop};
use thalweg::rules::Scale;
use thalweg::{Chain, Schedule};

use super::figure::{Axis, Figure, numbered};
use super::rules::UncorrectedAmsGrad;
use super::stream::Rng;
use super::walk::{Walk, falls, tuned};
use super::{Experiment, Record, Verdict};
use crate::Result;

pub(super) const ALL: &[Experiment] = &[
    Experiment {
        name: "adabelief-variance",
        row: "X37",
        source: "004 body",
        claim: "AdaBelief's s estimates the variance of the gradient",
        correct: "g − m = β₁·(g − m_old), so s tends to 2β₁²/(1 + β₁) of it, 0.8526 at β₁ = 0.9",
        errata: &["E53"],
        decides: &["mean of s for gradients N(3, 2²)"],
        features: &["F117"],
        expected: Verdict::Refuted,
        run: surprise,
    },
    Experiment {
        name: "adabelief-constant",
        row: "X37",
        source: "004 body",
        claim: "AdaBelief's m is the mean gradient of the places visited, and its step stays a sensible size",
        correct: "m only follows it; on a constant gradient s vanishes and the step grows 35-fold in 2000 steps",
        errata: &["E53"],
        decides: &["step 1 at g = 1, η = 0.001", "step 2000 at g = 1, η = 0.001"],
        features: &["F117"],
        expected: Verdict::Refuted,
        run: constant,
    },
    Experiment {
        name: "adam-regret",
        row: "X44",
        source: "004 §10.2",
        claim: "the average regret of Adam vanishes",
        correct: "not with a short memory (Reddi, Kale & Kumar 2018): 2/3 on a problem of period three, unless one of the two moments remembers longer; AMSGrad, AdaGrad and descent vanish",
        errata: &["E71"],
        decides: &[
            "Adam(0, 0.1), average regret after 30000",
            "Adam(0, 0.999), average regret after 30000",
            "Adam(0.9, 0.1), average regret after 30000",
            "AMSGrad, average regret after 30000",
        ],
        features: &["F134"],
        expected: Verdict::HoldsIf("the memory of one moment is long enough for the problem"),
        run: regret,
    },
    Experiment {
        name: "sgd-rate",
        row: "X45",
        source: "004 §10.1",
        claim: "the best rate of SGD on strongly convex functions is 1/√t",
        correct: "with η = 1/(μ·t) it is 1/t; a constant rate has the floor η·σ²/(2 − η)",
        errata: &["E70"],
        decides: &["t·E x² with η = 1/t, t = 100", "t·E x² with η = 1/t, t = 1000"],
        features: &["F133"],
        expected: Verdict::Refuted,
        run: sgd,
    },
    Experiment {
        name: "adam-descends",
        row: "X50",
        source: "004 §10.4",
        claim: "Adam always moves downhill",
        correct: "only methods without momentum do",
        errata: &["E73"],
        decides: &["steps uphill of 500 on x²/2, η = 0.1", "steps uphill of 1000, RMSProp"],
        features: &["F140"],
        expected: Verdict::Refuted,
        run: descends,
    },
];

/// The mean of AdaBelief's s over `width` coordinates with gradients N(3, 2²), at rest.
fn mean_surprise(beta1: f64, width: usize) -> Result<f64> {
    let mut rng = Rng::new(37);
    let mut walk = Walk::new(tuned(adabelief(), &[("beta1", beta1)])?, &vec![0.0; width])?;
    let (mut sum, mut count) = (0.0, 0.0);
    for t in 1..=10_000 {
        let g: Vec<f64> = rng.normal(width).into_iter().map(|z| 3.0 + 2.0 * z).collect();
        walk.step(&g)?;
        if t > 8000 && t % 50 == 0 {
            sum += walk.slot("s")?.iter().sum::<f64>();
            count += width as f64;
        }
    }
    Ok(sum / count)
}

fn surprise(r: &mut Record) -> Result<()> {
    let s = mean_surprise(0.9, 200)?;
    r.relative("mean of s for gradients N(3, 2²)", s, 3.4105, 0.01);
    r.claim("gradients of variance 4", (s / 4.0 - 1.0).abs() < 0.05);
    let mut points = vec![(0.9, s)];
    for beta1 in [0.3, 0.5, 0.7, 0.8, 0.98] {
        points.push((beta1, mean_surprise(beta1, 20)?));
    }
    let law = |beta1: f64| 8.0 * beta1 * beta1 / (1.0 + beta1);
    r.figure(
        Figure::new(
            "adabelief-variance",
            "AdaBelief's s for gradients of variance 4",
            Axis::linear("β₁"),
            Axis::linear("mean of s"),
        )
        .bound("variance of the gradient", [(0.2, 4.0), (1.0, 4.0)])
        .bound("2β₁²/(1 + β₁) of it", (20..=100).map(|k| 0.01 * f64::from(k)).map(|b| (b, law(b))))
        .points("measured", points),
    );
    Ok(())
}

fn constant(r: &mut Record) -> Result<()> {
    let steps = falls(adabelief(), 1.0, 2000)?;
    let want = ["1.1111e-3", "1.6354e-3", "4.9551e-3", "2.0031e-2", "3.8633e-2"];
    for (t, want) in [1, 10, 100, 1000, 2000].into_iter().zip(want) {
        r.printed(&format!("step {t} at g = 1, η = 0.001"), steps[t - 1], want);
    }
    r.claim(
        "constant gradient: no step is twice the first",
        steps.iter().all(|s| *s < 2.0 * steps[0]),
    );
    r.figure(
        Figure::new(
            "adabelief-constant",
            "Steps on a constant gradient of 1, rate 0.001",
            Axis::log("step"),
            Axis::log("length of the step"),
        )
        .line("AdaBelief", numbered(steps))
        .line("Adam", numbered(falls(adam(), 1.0, 2000)?)),
    );
    Ok(())
}

/// The chain with the learning rate ½/√t.
fn falling(mut chain: Chain, hypers: &[(&str, f64)]) -> Result<Chain> {
    chain.set("lr", Schedule::InverseSqrt { peak: 0.5, warmup: 1 })?;
    tuned(chain, hypers)
}

/// Average regret on the three-periodic problem of Reddi et al. after every round, and where it ends:
/// the loss is `3x` in every third round and `−x` in the others, x in [−1, 1].
fn average_regret(chain: Chain) -> Result<(Vec<f64>, f64)> {
    let mut walk = Walk::new(chain, &[1.0])?;
    let (mut suffered, mut slopes, mut regrets) = (0.0, 0.0, vec![]);
    for t in 1..=30_000 {
        let slope = if t % 3 == 1 { 3.0 } else { -1.0 };
        suffered += slope * walk.x[0];
        slopes += slope;
        walk.step(&[slope])?;
        walk.x[0] = walk.x[0].clamp(-1.0, 1.0);
        // The best fixed point is an end of the interval.
        regrets.push((suffered + f64::abs(slopes)) / f64::from(t));
    }
    Ok((regrets, walk.x[0]))
}

fn regret(r: &mut Record) -> Result<()> {
    // The reference corrects no average; without a first moment that makes Adam RMSProp.
    let long = Chain::new((UncorrectedAmsGrad::default(), Scale::default()));
    let methods = [
        ("Adam(0, 0.1)", falling(rmsprop(), &[("rho", 0.1)])?, [".69274", ".67482", ".66923"]),
        ("AMSGrad", falling(long, &[])?, [".20083", ".02735", ".00503"]),
        ("AdaGrad", tuned(adagrad(), &[("lr", 0.5)])?, [".16717", ".0276", ".0062"]),
        ("gradient descent", falling(gd(), &[])?, [".11401", ".03223", ".0098"]),
    ];
    let mut figure = Figure::new(
        "adam-regret",
        "Average regret on the three-periodic problem",
        Axis::log("round"),
        Axis::log("average regret"),
    );
    for (name, chain, want) in methods {
        let (regrets, end) = average_regret(chain)?;
        for (t, want) in [300, 3000, 30_000].into_iter().zip(want) {
            r.printed(&format!("{name}, average regret after {t}"), regrets[t - 1], want);
        }
        if name == "Adam(0, 0.1)" {
            r.near("Adam(0, 0.1), x in the end", end, 1.0, 1e-12);
            r.claim("β₁ = 0, β₂ = 0.1", regrets[29_999] < 0.1 * regrets[299]);
        }
        figure = figure.line(name, numbered(regrets));
    }
    let (defaults, _) = average_regret(falling(adam(), &[])?)?;
    r.at_most("Adam(0.9, 0.999), average regret after 30 000", defaults[29_999], 0.0052);
    r.claim("β₁ = 0.9, β₂ = 0.999", defaults[29_999] < 0.1 * defaults[299]);
    // Which of the two memories it is: each long alone.
    for (beta1, beta2) in [(0.0, 0.999), (0.9, 0.1)] {
        let hypers = [("beta1", beta1), ("beta2", beta2)];
        let (regrets, _) = average_regret(falling(adam(), &hypers)?)?;
        r.note(&format!("Adam({beta1}, {beta2}), average regret after 30000"), regrets[29_999]);
        r.claim(&format!("β₁ = {beta1}, β₂ = {beta2}"), regrets[29_999] < 0.1 * regrets[299]);
    }
    let (corrected, _) = average_regret(falling(amsgrad(), &[("beta1", 0.0), ("beta2", 0.1)])?)?;
    r.at_most("AMSGrad with corrected averages after 30 000", corrected[29_999], 0.0052);
    r.figure(figure.line("Adam(0.9, 0.999)", numbered(defaults)));
    Ok(())
}

/// The mean square of two thousand runs of stochastic gradient descent on `x²/2` with standard normal
/// noise, after `steps` steps at the rate `lr(t)`.
fn mean_square(rng: &mut Rng, lr: impl Fn(f64) -> f64, steps: u32, start: f64) -> Result<f64> {
    const RUNS: usize = 2000;
    let mut walk = Walk::new(gd(), &[start; RUNS])?;
    for t in 1..=steps {
        walk.opt.set(None, "lr", lr(f64::from(t)))?;
        let noise = rng.normal(RUNS);
        let g: Vec<f64> = walk.x.iter().zip(noise).map(|(x, z)| x + z).collect();
        walk.step(&g)?;
    }
    Ok(walk.x.iter().map(|x| x * x).sum::<f64>() / RUNS as f64)
}

fn sgd(r: &mut Record) -> Result<()> {
    let mut rng = Rng::new(45);
    let mut points = vec![];
    for t in [30, 100, 300, 1000] {
        let square = mean_square(&mut rng, |t| 1.0 / t, t, 1.0)?;
        r.near(&format!("t·E x² with η = 1/t, t = {t}"), f64::from(t) * square, 1.0, 0.1);
        points.push((f64::from(t), square));
    }
    for lr in [0.02, 0.1, 0.5] {
        let floor = mean_square(&mut rng, |_| lr, (20.0 / lr) as u32, 1.0)?;
        r.relative(&format!("E x² at rest, η = {lr}"), floor, lr / (2.0 - lr), 0.05);
    }
    let root = mean_square(&mut rng, |t| 0.1 / t.sqrt(), 10_000, 0.0)?;
    r.near("√t·E x² with η = 0.1/√t, t = 10 000", 100.0 * root, 0.05, 0.005);
    let slope = super::walk::log_slope(&points);
    r.claim("η = 1/t: E x² falls no faster than 1/√t", slope > -0.6);
    r.figure(
        Figure::new(
            "sgd-rate",
            "Mean square of stochastic gradient descent on x²/2 with η = 1/t",
            Axis::log("step t"),
            Axis::log("E x²"),
        )
        .bound("1/√t", points.iter().map(|p| (p.0, 1.0 / p.0.sqrt())))
        .bound("1/t", points.iter().map(|p| (p.0, 1.0 / p.0)))
        .points("2000 runs", points),
    );
    Ok(())
}

fn descends(r: &mut Record) -> Result<()> {
    for (lr, want) in [(0.01, 34), (0.1, 192), (0.5, 183)] {
        let mut walk = Walk::new(tuned(adam(), &[("lr", lr)])?, &[1.0])?;
        let (mut path, mut wrong) = (vec![(0.0, 1.0)], vec![]);
        for t in 1..=500 {
            let g = walk.x[0];
            let uphill = walk.fall(g)? * g < 0.0;
            path.push((f64::from(t), walk.x[0]));
            wrong.extend(uphill.then_some((f64::from(t), walk.x[0])));
        }
        let uphill = wrong.len();
        r.count(&format!("steps uphill of 500 on x²/2, η = {lr}"), Some(uphill), Some(want), 0);
        r.claim(&format!("x²/2 from 1, η = {lr}"), uphill == 0);
        if lr == 0.1 {
            let shown = |p: &(f64, f64)| p.0 <= 100.0;
            r.figure(
                Figure::new(
                    "adam-descends",
                    "Adam on x²/2 from 1, η = 0.1: the first 100 steps",
                    Axis::linear("step"),
                    Axis::linear("x"),
                )
                .line("x", path.into_iter().filter(shown))
                .points(
                    &format!("after a step uphill ({uphill} of 500)"),
                    wrong.into_iter().filter(shown),
                )
                .bound("minimum", [(0.0, 0.0), (100.0, 0.0)]),
            );
        }
    }
    let mut rng = Rng::new(50);
    let gradients = rng.normal(1000);
    let methods = [("descent", gd()), ("AdaGrad", adagrad()), ("RMSProp", rmsprop())];
    for (name, chain) in methods {
        let mut walk = Walk::new(chain, &[0.0])?;
        let mut uphill = 0;
        for g in &gradients {
            uphill += usize::from(walk.fall(*g)? * g < 0.0);
        }
        r.count(&format!("steps uphill of 1000, {name}"), Some(uphill), Some(0), 0);
    }
    Ok(())
}
