//! X37, X45, X50: rates, and what is said of AdaBelief and Adam.

use thalweg::recipes::{adabelief, adabelief_optax, adagrad, adam, gd, rmsprop};

use super::figure::{Axis, Figure, numbered};
use super::stream::Rng;
use super::walk::{Walk, bowl_gradient, distance, falls, tuned};
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
        name: "adabelief-epsilon",
        row: "X37",
        source: "004 body",
        claim: "AdaBelief's s is β₂·s + (1 − β₂)·(g − m)², with ε beside its root only",
        correct: "paper and code add ε to s at every step, where it accumulates up to ε/(1 − β₂); the distance of 1.9e-5 after 60 steps in E53 names no problem",
        errata: &["E53"],
        decides: &[
            "distance of both forms after 60 steps on the bowl, ε = 1e-8",
            "step 10000 at g = 1, η = 0.001, ε inside s",
            "step 10000 at g = 1, η = 0.001, ε beside the root",
        ],
        features: &["F117"],
        expected: Verdict::Refuted,
        run: inside,
    },
    Experiment {
        name: "sgd-rate",
        row: "X45",
        source: "004 §10.1",
        claim: "the best rate of SGD on strongly convex functions is 1/√t, from E L − L* ≤ ‖θ₀ − θ*‖²/(2·η·t) + η·σ²/2",
        correct: "the bound displayed is the convex one, with no μ in it; here it is (1 − η·μ)^t and a floor: with η = 1/(μ·t) the rate is 1/t, and a constant rate has the floor η·σ²/(2 − η)",
        errata: &["E70"],
        decides: &[
            "t·E x² with η = 1/t, t = 100",
            "t·E x² with η = 1/t, t = 1000",
            "L after 100 steps of 0.1 without noise",
            "the displayed bound for it",
        ],
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

fn inside(r: &mut Record) -> Result<()> {
    const EPS: f64 = 1e-8;
    let forms = [
        ("ε inside s", tuned(adabelief(), &[("eps", EPS)])?),
        ("ε beside the root", tuned(adabelief_optax(), &[("eps", EPS), ("eps_root", 0.0)])?),
    ];
    let mut figure = Figure::new(
        "adabelief-epsilon",
        "AdaBelief's steps on a constant gradient of 1, rate 0.001, ε = 1e-8",
        Axis::log("step"),
        Axis::log("length of the step"),
    );
    let (mut places, mut lasts) = (vec![], vec![]);
    for (name, chain) in forms {
        let mut walk = Walk::new(tuned(chain.clone(), &[("lr", 0.05)])?, &[1.0; 3])?;
        walk.descend(60, bowl_gradient)?;
        places.push(walk.x);
        let steps = falls(tuned(chain, &[("lr", 1e-3)])?, 1.0, 10_000)?;
        r.note(&format!("step 10000 at g = 1, η = 0.001, {name}"), steps[9_999]);
        lasts.push(steps[9_999]);
        figure = figure.line(name, numbered(steps));
    }
    let apart = distance(&places[0], &places[1]);
    r.note("distance of both forms after 60 steps on the bowl, ε = 1e-8", apart);
    r.claim("the bowl, 60 steps at the rate 0.05: the same place", apart < 1e-12);
    let ratio = lasts[1] / lasts[0];
    r.claim("constant gradient, 10 000 steps: the same step", (ratio - 1.0).abs() < 0.01);
    r.figure(figure);
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
    // Where there is no noise, what the displayed bound has of a rate shows alone.
    let mut still = Walk::new(tuned(gd(), &[("lr", 0.1)])?, &[1.0])?;
    still.descend(100, <[f64]>::to_vec)?;
    let left = 0.5 * still.x[0] * still.x[0];
    r.relative("L after 100 steps of 0.1 without noise", left, 0.5 * 0.9f64.powi(200), 1e-9);
    r.note("the displayed bound for it", 1.0 / (2.0 * 0.1 * 100.0));
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
