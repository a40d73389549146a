//! X13 and X14: the source's two theorems on MetaEGD.

use thalweg::recipes::meta_egd;

use super::figure::{Axis, Figure};
use super::gains::raw;
use super::noise::{Noisy, STEPS, WIDTH};
use super::walk::Walk;
use super::{Experiment, Record, Verdict};
use crate::Result;

pub(super) const ALL: &[Experiment] = &[
    Experiment {
        name: "convex-rate",
        row: "X13",
        source: "000 §6.1 Theorem 2",
        claim: "on convex functions the mean loss falls as ln T/√T",
        correct: "false for every γ > 0: on |x| there is a cycle of four steps whose size does not depend on T",
        errata: &["E15"],
        decides: &["mean |x|, T = 90000 by T = 10000", "ln T/√T, T = 90000 by T = 10000"],
        features: &["F033", "F151"],
        expected: Verdict::Refuted,
        run: convex_rate,
    },
    Experiment {
        name: "noise-floor",
        row: "X14",
        source: "000 §6.2 Theorem 3, eq. 47",
        claim: "the floor of a strongly convex run is of order η²·σ²/μ",
        correct: "η·σ²/(μ·(2 − η·μ)): one power of the rate",
        errata: &["E16"],
        decides: &["ratio of the floors for ten times the rate"],
        features: &["F034"],
        expected: Verdict::Refuted,
        run: noise_floor,
    },
];

/// A start on `|x|` from which growing steps end up in the cycle, and the length of the longest step.
fn cycle(lr: f64, gamma: f64) -> (f64, f64) {
    let q = gamma.exp();
    // The first of the growing steps that is longer than 1.
    let k = ((1.0 / lr).ln() / gamma).ceil();
    let s = lr * (k * gamma).exp();
    (lr * (((k + 1.0) * gamma).exp() - 1.0) / (q - 1.0) - s * (1.0 + 1.0 / q) / 2.0, s)
}

fn convex_rate(r: &mut Record) -> Result<()> {
    let (mut curve, mut fell) = (vec![], vec![]);
    let settings = [
        (0.5, 10_000, Some("2.564345"), 0.74355),
        (1.0, 10_000, Some("1.326985"), 0.74228),
        (0.5, 90_000, None, 0.67257),
    ];
    for (gamma, rounds, start, want) in settings {
        let (lr, case) = (1.0 / f64::from(rounds).sqrt(), format!("γ = {gamma}, T = {rounds}"));
        let (x0, _) = cycle(lr, gamma);
        if let Some(start) = start {
            r.printed(&format!("start, {case}"), x0, start);
        }
        let mut walk = Walk::new(raw(meta_egd(), lr, gamma)?, &[x0])?;
        let mut sum = 0.0;
        for t in 1..=rounds {
            sum += walk.x[0].abs();
            if rounds == 90_000 {
                curve.push((f64::from(t), sum / f64::from(t)));
            }
            walk.descend(1, |x| vec![x[0].signum()])?;
        }
        let mean = sum / f64::from(rounds);
        r.relative(&format!("mean |x|, {case}"), mean, want, 1e-3);
        let promised = f64::from(rounds).ln() * lr;
        r.note(&format!("ln T/√T, {case}"), promised);
        if gamma == 0.5 {
            fell.push((mean, promised));
        }
    }
    // The theorem has a constant that it does not name: what can fail is the fall from one T to another.
    // Half of it, in logarithms, would do.
    let [measured, promised] = [fell[1].0 / fell[0].0, fell[1].1 / fell[0].1];
    r.note("mean |x|, T = 90000 by T = 10000", measured);
    r.note("ln T/√T, T = 90000 by T = 10000", promised);
    r.claim("|x|, γ = 0.5, from T = 10000 to T = 90000", measured <= promised.sqrt());
    r.figure(
        Figure::new(
            "convex-rate",
            "Mean loss of MetaEGD on |x|, γ = 0.5, η = 1/300",
            Axis::log("step t"),
            Axis::log("mean |x| so far"),
        )
        .line("measured", curve)
        .bound(
            "ln t/√t",
            (2..=90_000).map(|t| (f64::from(t), f64::from(t).ln() / f64::from(t).sqrt())),
        ),
    );
    Ok(())
}

/// The mean square of noisy descent at rest.
fn floor(lr: f64) -> Result<f64> {
    let (mut noisy, mut sum) = (Noisy::new(lr, 14)?, 0.0);
    for _ in 0..STEPS {
        noisy.step()?;
        sum += noisy.x.iter().map(|x| x * x).sum::<f64>();
    }
    Ok(sum / (STEPS * WIDTH) as f64)
}

fn noise_floor(r: &mut Record) -> Result<()> {
    let (high, low) = (floor(0.2)?, floor(0.02)?);
    r.near("E x² at η = 0.2", high, 0.1111, 0.002);
    r.near("E x² at η = 0.02", low, 0.0101, 0.0005);
    // Ten times the rate: a hundred times the floor by the source, eleven times by the correct form.
    r.note("ratio of the floors for ten times the rate", high / low);
    r.claim("η from 0.02 to 0.2: the floor grows a hundredfold", high / low > 50.0);
    let rates = || [0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8].into_iter();
    let measured = rates().map(|lr| Ok((lr, floor(lr)?))).collect::<Result<Vec<_>>>()?;
    r.figure(
        Figure::new(
            "noise-floor",
            "Mean square of noisy descent on x²/2, at rest",
            Axis::log("learning rate η"),
            Axis::log("E x²"),
        )
        .bound("source: η²", rates().map(|lr| (lr, lr * lr)))
        .bound("η/(2 − η)", rates().map(|lr| (lr, lr / (2.0 - lr))))
        .points("measured", measured),
    );
    Ok(())
}
