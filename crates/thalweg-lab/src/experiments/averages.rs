//! X21 and X23: running averages and their start.

use thalweg::Chain;
use thalweg::recipes::{adam, rmsprop, rmsprop_momentum};
use thalweg::rules::Scale;

use super::figure::{Axis, Figure, numbered};
use super::rules::Uncorrected;
use super::stream::Rng;
use super::walk::{Walk, falls, mean, tuned};
use super::{Experiment, Record, Verdict};
use crate::Result;

pub(super) const ALL: &[Experiment] = &[
    Experiment {
        name: "tracking-error",
        row: "X21",
        source: "004 §6.2",
        claim: "the error of the running mean square shrinks by β per step",
        correct: "its expectation does; of Gaussian gradients the spread stays √(2(1 − β)/(1 + β))",
        errata: &["E59"],
        decides: &["standard deviation of v, β = 0.9"],
        features: &["F078", "F083"],
        expected: Verdict::HoldsIf("the gradient is constant, or in expectation"),
        run: tracking,
    },
    Experiment {
        name: "momentum-variance",
        row: "X21",
        source: "002 Adam; 004 §4.4, §6.3",
        claim: "momentum reduces the variance of the gradient to (1 − β₁)/(1 + β₁) of it",
        correct: "so it does for independent gradients",
        errata: &[],
        decides: &["variance of m, β₁ = 0.9"],
        features: &["F084", "F113"],
        expected: Verdict::Holds,
        run: momentum_variance,
    },
    Experiment {
        name: "ema-expansion",
        row: "X21",
        source: "004 §4.2, §6.2",
        claim: "v_t = (1 − β)/(1 − β^t)·Σ β^(t−i)·g_i²",
        correct: "v_t = (1 − β)·Σ; the displayed form is the corrected average",
        errata: &["E59"],
        decides: &["v after five gradients of 2, β = 0.9", "the displayed sum"],
        features: &["F081", "F083"],
        expected: Verdict::Refuted,
        run: expansion,
    },
    Experiment {
        name: "bias-correction",
        row: "X23",
        source: "000 §5.1 eq. 43-44",
        claim: "Adam is m/(√v + ε) with plain averages",
        correct: "both averages are corrected; without that the first step is 3.16 and the twelfth 6.57 times the rate",
        errata: &["E13"],
        decides: &["first step/rate, as printed", "step 12/rate, as printed"],
        features: &["F031", "F080", "F081"],
        expected: Verdict::Refuted,
        run: bias_correction,
    },
    Experiment {
        name: "adam-is-rmsprop",
        row: "X23",
        source: "002 Adam; 004 §6.3",
        claim: "Adam is RMSProp with momentum",
        correct: "with momentum in place of the gradient and the averages corrected for their start; what is called RMSProp with momentum averages g/√v, and is another method",
        errata: &["E60"],
        decides: &[
            "first step by Adam's",
            "step 30 000 by Adam's",
            "momentum on g/√v, largest difference from Adam's step in steps 29 001 to 30 000, by the rate",
        ],
        features: &["F085"],
        expected: Verdict::HoldsIf(
            "momentum averages the gradient and not g/√v, and the start of the averages has been forgotten",
        ),
        run: adam_is_rmsprop,
    },
];

fn variance(values: &[f64]) -> f64 {
    let middle = mean(values);
    values.iter().map(|v| (v - middle).powi(2)).sum::<f64>() / values.len() as f64
}

fn tracking(r: &mut Record) -> Result<()> {
    let rms = |rho: f64| tuned(rmsprop(), &[("rho", rho)]);
    let mut walk = Walk::new(rms(0.9)?, &[0.0])?;
    let mut errors = vec![1.0];
    for _ in 0..100 {
        walk.step(&[1.0])?;
        errors.push(1.0 - walk.slot("v")?[0]);
    }
    let off = (0..=50).map(|t| (errors[t] - 0.9f64.powi(t as i32)).abs()).fold(0.0, f64::max);
    let figure = Figure::new(
        "tracking-error",
        "How far the running mean square of gradients of size 1 is from 1, β = 0.9",
        Axis::linear("step"),
        Axis::log("error of v"),
    )
    .bound("β^t", (0..=100).map(|t| (f64::from(t), 0.9f64.powi(t))))
    .points("constant gradient", (0..=100).step_by(5).map(|t| (t as f64, errors[t])));
    let (mut spreads, mut average) = (vec![], vec![]);
    r.near("constant gradient, difference from 0.9^t", off, 0.0, 1e-12);
    r.claim("constant gradient", off <= 1e-12);
    // A thousand coordinates are a thousand runs.
    let mut rng = Rng::new(21);
    for (rho, want) in [(0.9, 0.3244), (0.99, 0.1003)] {
        let mut walk = Walk::new(rms(rho)?, &[0.0; 1000])?;
        let (mut variances, mut means) = (vec![], vec![]);
        for t in 1..=3000 {
            walk.step(&rng.normal(1000))?;
            let v = walk.slot("v")?;
            if rho == 0.9 && t <= 100 {
                let squares: Vec<f64> = v.iter().map(|v| (v - 1.0).powi(2)).collect();
                spreads.push(mean(&squares).sqrt());
                average.push((mean(v) - 1.0).abs());
            }
            if t > 1000 && t % 100 == 0 {
                variances.push(variance(v));
                means.push(mean(v));
            }
        }
        let spread = mean(&variances).sqrt();
        r.relative(&format!("standard deviation of v, β = {rho}"), spread, want, 0.03);
        // After a thousand steps the bound of the source is below 1e-4.
        r.claim(
            &format!("Gaussian gradients in expectation, β = {rho}"),
            (mean(&means) - 1.0).abs() < 0.01,
        );
        r.claim(&format!("Gaussian gradients along a path, β = {rho}"), spread < 1e-2);
    }
    let floor = f64::sqrt(2.0 * 0.1 / 1.9);
    r.figure(
        figure
            .line("Gaussian gradients, root mean square of 1000 paths", numbered(spreads))
            .line("Gaussian gradients, error of the mean of 1000 paths", numbered(average))
            .bound("√(2(1 − β)/(1 + β))", [(0.0, floor), (100.0, floor)]),
    );
    Ok(())
}

/// The variance of Adam's first moment under standard normal gradients.
fn variance_of_momentum(beta1: f64) -> Result<f64> {
    let mut rng = Rng::new(22);
    let mut walk = Walk::new(tuned(adam(), &[("beta1", beta1)])?, &[0.0; 1000])?;
    let mut variances = vec![];
    for t in 1..=1000 {
        walk.step(&rng.normal(1000))?;
        if t > 200 && t % 20 == 0 {
            variances.push(variance(walk.slot("m")?));
        }
    }
    Ok(mean(&variances))
}

fn momentum_variance(r: &mut Record) -> Result<()> {
    let promised = |beta1: f64| (1.0 - beta1) / (1.0 + beta1);
    let mut points = vec![];
    for beta1 in [0.0, 0.25, 0.5, 0.75, 0.9, 0.97] {
        let variance = variance_of_momentum(beta1)?;
        points.push((beta1, variance));
        if beta1 == 0.9 {
            r.relative("variance of m, β₁ = 0.9", variance, 0.0526, 0.03);
            r.claim("Gaussian gradients", (variance / promised(beta1) - 1.0).abs() <= 0.03);
        }
    }
    let betas = (0..=98).map(|k| 0.01 * f64::from(k));
    r.figure(
        Figure::new(
            "momentum-variance",
            "Variance of the running mean of Gaussian gradients of variance 1",
            Axis::linear("β₁"),
            Axis::log("variance of m"),
        )
        .bound("(1 − β₁)/(1 + β₁)", betas.map(|beta1| (beta1, promised(beta1))))
        .points("measured", points),
    );
    Ok(())
}

fn expansion(r: &mut Record) -> Result<()> {
    let mut walk = Walk::new(tuned(adam(), &[("beta2", 0.9)])?, &[0.0])?;
    let (mut kept, mut displayed) = (vec![], vec![]);
    for t in 1..=40 {
        walk.step(&[2.0])?;
        kept.push(walk.slot("v")?[0]);
        let sum: f64 = (0..t).map(|i| 4.0 * 0.9f64.powi(i)).sum();
        displayed.push(0.1 / (1.0 - 0.9f64.powi(t)) * sum);
    }
    r.printed("v after five gradients of 2, β = 0.9", kept[4], "1.638");
    r.printed("the displayed sum", displayed[4], "4.000000");
    r.claim("five gradients of 2", (kept[4] - displayed[4]).abs() < 1e-9);
    r.figure(
        Figure::new(
            "ema-expansion",
            "The running mean square of gradients of 2, β = 0.9",
            Axis::linear("step t"),
            Axis::linear("v"),
        )
        .line("the optimizer's v", numbered(kept))
        .bound("(1 − β)/(1 − β^t)·Σ, as displayed", numbered(displayed)),
    );
    Ok(())
}

fn uncorrected(eps: f64) -> Chain {
    Chain::new((Uncorrected::default().eps(eps), Scale::default().lr(1.0)))
}

fn bias_correction(r: &mut Record) -> Result<()> {
    let corrected = tuned(adam(), &[("eps", 0.0), ("lr", 1.0)])?;
    let first = falls(corrected.clone(), 0.4, 1)?[0];
    r.near("first step/rate, corrected", first, 1.0, 1e-12);
    // The reference's last digit is that of ε = 1e-8 beside a gradient of about this size.
    r.printed("first step/rate, as printed", falls(uncorrected(1e-8), 0.4, 1)?[0], "3.162275");
    let plain = falls(uncorrected(0.0), 1.0, 1000)?;
    let want = ["5.7971", "6.5279", "6.5685", "3.2408", "1.2576"];
    for (t, want) in [5, 10, 12, 100, 1000].into_iter().zip(want) {
        r.printed(&format!("step {t}/rate, as printed"), plain[t - 1], want);
    }
    let largest = plain.iter().copied().fold(0.0, f64::max);
    r.near("largest step of a thousand less the twelfth", largest - plain[11], 0.0, 0.0);
    let steady = falls(corrected, 1.0, 1000)?;
    let off = steady.iter().map(|f| (f - 1.0).abs()).fold(0.0, f64::max);
    r.near("corrected, largest difference of a step from the rate", off, 0.0, 1e-11);
    r.claim("constant gradient: the step is the rate", (plain[0] - 1.0).abs() < 0.01);
    r.figure(
        Figure::new(
            "bias-correction",
            "Adam's step on a constant gradient, in units of the rate",
            Axis::log("step"),
            Axis::linear("step / rate"),
        )
        .line("as the source prints it", numbered(plain))
        .line("corrected", numbered(steady)),
    );
    Ok(())
}

fn adam_is_rmsprop(r: &mut Record) -> Result<()> {
    let mut rng = Rng::new(23);
    let mut rmsprop = Walk::new(uncorrected(0.0), &[0.0])?;
    let mut adam = Walk::new(tuned(adam(), &[("eps", 0.0), ("lr", 1.0)])?, &[0.0])?;
    // Its buffer is a sum: at a tenth of the rate it is a mean, as Adam's is.
    let sum = &[("eps", 0.0), ("lr", 0.1), ("rho", 0.999), ("momentum", 0.9)];
    let mut library = Walk::new(tuned(rmsprop_momentum(), sum)?, &[0.0])?;
    let (mut ratios, mut corrections, mut off) = (vec![], vec![], 0.0_f64);
    let mut apart = 0.0_f64;
    for t in 1..=30_000 {
        let g = rng.normal(1)[0];
        let step = adam.fall(g)?;
        let ratio = rmsprop.fall(g)? / step;
        let other = (library.fall(g)? - step).abs();
        if t > 29_000 {
            apart = apart.max(other);
        }
        let correction = (1.0 - 0.9f64.powi(t)) / (1.0 - 0.999f64.powi(t)).sqrt();
        // Where both stand a thousand times the step away, the difference loses three digits more.
        off = off.max((ratio / correction - 1.0).abs().min(1.0) * f64::from(u8::from(t <= 100)));
        ratios.push(ratio);
        corrections.push(correction);
    }
    let (first, last) = (ratios[0], ratios[29_999]);
    r.printed("first step by Adam's", first, "3.162278");
    r.near("ratio of the steps off (1 − β₁^t)/√(1 − β₂^t), 100 steps", off, 0.0, 1e-9);
    r.near("step 30 000 by Adam's", last, 1.0, 1e-6);
    r.note(
        "momentum on g/√v, largest difference from Adam's step in steps 29 001 to 30 000, by the rate",
        apart,
    );
    r.claim("first step", (first - 1.0).abs() < 1e-6);
    r.claim("after 30 000 steps", (last - 1.0).abs() < 1e-6);
    r.claim("momentum on g/√v (torch), after 30 000 steps", apart < 1e-6);
    r.figure(
        Figure::new(
            "adam-is-rmsprop",
            "A step of RMSProp with momentum by one of Adam, Gaussian gradients",
            Axis::log("step t"),
            Axis::linear("ratio of the steps"),
        )
        .line("measured", numbered(ratios))
        .bound("(1 − β₁^t)/√(1 − β₂^t)", numbered(corrections))
        .bound("the same method", [(1.0, 1.0), (30_000.0, 1.0)]),
    );
    Ok(())
}
