//! X19 and X21: what Adam's two moments are averages of, and how long they remember.

use thalweg::recipes::{adabelief, adam, rmsprop, rmsprop_centered};

use super::figure::{Axis, Figure, numbered};
use super::stream::Rng;
use super::walk::{Walk, mean, tuned};
use super::{Experiment, Record, Verdict};
use crate::Result;

pub(super) const ALL: &[Experiment] = &[
    Experiment {
        name: "v-is-variance",
        row: "X21",
        source: "002 Adam",
        claim: "v = β₂·v + (1 − β₂)·g² estimates the variance of the gradient",
        correct: "E v = E g², the variance and the squared mean; centred RMSProp's v − m² and AdaBelief's s are the forms of the variance",
        errata: &["E36"],
        decides: &[
            "v for gradients N(3, 2²)",
            "centred, v − m² for gradients N(3, 2²)",
            "v for gradients N(0, 2²)",
        ],
        features: &["F080"],
        expected: Verdict::HoldsIf("the mean of the gradient is 0"),
        run: variance,
    },
    Experiment {
        name: "corrected-moment",
        row: "X21",
        source: "004 §4.2",
        claim: "E v̂_t ≈ E g_t²",
        correct: "exactly so at every step while the mean square of the gradients stays the same; where it changes v̂ is a mean of the past",
        errata: &["E56"],
        decides: &["v̂ by E g² at step 1, steady", "v̂ by E g² at step 1000, falling by 1 % a step"],
        features: &["F081", "F083"],
        expected: Verdict::HoldsIf("the mean square of the gradients does not change"),
        run: corrected,
    },
    Experiment {
        name: "beta-order",
        row: "X21",
        source: "002 Adam; 004 body, §4.4",
        claim: "β₁ < β₂: the direction needs a short memory to turn, the size a long one to be steady",
        correct: "so it is with 0.9 and 0.999, and with either in the other's place it is not",
        errata: &[],
        decides: &[
            "steps until m has turned with the gradient, β₁ = 0.9",
            "steps until m has turned with the gradient, β₁ = 0.999",
            "spread of 1/√v̂ by its mean, β₂ = 0.9",
            "spread of 1/√v̂ by its mean, β₂ = 0.999",
        ],
        features: &["F082"],
        expected: Verdict::Holds,
        run: order,
    },
    Experiment {
        name: "moment-reset",
        row: "X19",
        source: "004 §11.1",
        claim: "where the statistics of the gradients change, moments set back to zero help",
        correct: "so they do, upwards and downwards: Adam's steps are right at once, and not after thousands of steps",
        errata: &[],
        decides: &[
            "steps until Adam's step is right, gradients from 1 to 0.01, moments kept",
            "steps until Adam's step is right, gradients from 1 to 0.01, moments set back",
        ],
        features: &["F142"],
        expected: Verdict::Holds,
        run: reset,
    },
];

/// Gradients N(`middle`, 2²) for many coordinates, as long as no average remembers its start.
fn at_rest(chain: thalweg::Chain, middle: f64) -> Result<Walk> {
    let (mut rng, mut walk) = (Rng::new(36), Walk::new(chain, &[0.0; 2000])?);
    for _ in 0..1000 {
        walk.step(&rng.normal(2000).into_iter().map(|z| middle + 2.0 * z).collect::<Vec<f64>>())?;
    }
    Ok(walk)
}

fn variance(r: &mut Record) -> Result<()> {
    let rho = &[("rho", 0.99)];
    let means = [0.0, 1.0, 2.0, 3.0];
    let (mut squares, mut centred, mut surprises) = (vec![], vec![], vec![]);
    for middle in means {
        let v = mean(at_rest(tuned(rmsprop(), rho)?, middle)?.slot("v")?);
        let walk = at_rest(tuned(rmsprop_centered(), rho)?, middle)?;
        let off = walk.slot("v")?.iter().zip(walk.slot("mean")?).map(|(v, m)| v - m * m);
        let spread = mean(&off.collect::<Vec<f64>>());
        let belief = tuned(adabelief(), &[("beta2", 0.99)])?;
        let surprise = mean(at_rest(belief, middle)?.slot("s")?);
        let gradients = format!("for gradients N({middle}, 2²)");
        r.relative(&format!("v {gradients}"), v, middle * middle + 4.0, 0.02);
        r.relative(
            &format!("centred, v − m² {gradients}"),
            spread,
            4.0 * (1.0 - 0.01 / 1.99),
            0.02,
        );
        r.relative(&format!("AdaBelief, s {gradients}"), surprise, 4.0 * 1.62 / 1.9, 0.02);
        r.claim(&format!("gradients N({middle}, 2²)"), (v / 4.0 - 1.0).abs() < 0.05);
        squares.push((middle, v));
        centred.push((middle, spread));
        surprises.push((middle, surprise));
    }
    r.figure(
        Figure::new(
            "v-is-variance",
            "Running means of gradients of variance 4 by the mean of the gradient",
            Axis::linear("mean of the gradient"),
            Axis::linear("value"),
        )
        .bound("variance", [(0.0, 4.0), (3.0, 4.0)])
        .bound("second moment", (0..=30).map(|k| 0.1 * f64::from(k)).map(|m| (m, 4.0 + m * m)))
        .points("v", squares)
        .points("centred RMSProp, v − m²", centred)
        .points("AdaBelief, s", surprises),
    );
    Ok(())
}

/// `v̂` by the mean square of the gradient after each of a thousand steps, the mean of many coordinates;
/// the deviation of the gradient changes by `factor` per step.
fn corrected_by_square(factor: f64) -> Result<Vec<f64>> {
    let (mut rng, mut walk) = (Rng::new(56), Walk::new(adam(), &[0.0; 1000])?);
    (1..=1000)
        .map(|t| {
            let size = factor.powi(t);
            walk.step(&rng.normal(1000).into_iter().map(|z| size * z).collect::<Vec<f64>>())?;
            Ok(mean(walk.slot("v")?) / (1.0 - 0.999f64.powi(t)) / (size * size))
        })
        .collect()
}

fn corrected(r: &mut Record) -> Result<()> {
    let mut figure = Figure::new(
        "corrected-moment",
        "v̂ by the mean square of the gradient at the same step, β₂ = 0.999",
        Axis::log("step"),
        Axis::log("v̂ / E g²"),
    );
    for (name, factor) in
        [("steady", 1.0), ("falling by 1 % a step", 0.99), ("rising by 1 % a step", 1.01)]
    {
        let ratios = corrected_by_square(factor)?;
        for t in [1, 10, 100, 1000] {
            let what = format!("v̂ by E g² at step {t}, {name}");
            // The mean of a thousand squares is within a seventh of theirs in all but one of a thousand cases.
            match factor == 1.0 {
                true => r.near(&what, ratios[t - 1], 1.0, 0.15),
                false => r.note(&what, ratios[t - 1]),
            }
        }
        let near = [1, 10, 100, 1000].iter().all(|t| (ratios[t - 1] - 1.0).abs() < 0.15);
        r.claim(&format!("mean square {name}, steps 1 to 1000"), near);
        figure = figure.line(name, numbered(ratios));
    }
    r.figure(figure.bound("the claim", [(1.0, 1.0), (1000.0, 1.0)]));
    Ok(())
}

/// After a thousand gradients of 1, the step at which the first moment points along gradients of −1.
fn turn(beta1: f64) -> Result<(Option<usize>, Vec<f64>)> {
    let mut walk = Walk::new(tuned(adam(), &[("beta1", beta1)])?, &[0.0])?;
    (0..1000).try_for_each(|_| walk.step(&[1.0]))?;
    let step = |_| {
        walk.step(&[-1.0])?;
        Ok(walk.slot("m")?[0])
    };
    let path = (0..1000).map(step).collect::<Result<Vec<f64>>>()?;
    Ok((path.iter().position(|m| *m < 0.0).map(|t| t + 1), path))
}

/// The standard deviation of `1/√v̂` by its mean, over coordinates with Gaussian gradients.
fn unsteady(beta2: f64) -> Result<f64> {
    let (mut rng, mut walk) =
        (Rng::new(82), Walk::new(tuned(adam(), &[("beta2", beta2)])?, &[0.0; 1000])?);
    (0..3000).try_for_each(|_| walk.step(&rng.normal(1000)))?;
    let rates: Vec<f64> = walk.slot("v")?.iter().map(|v| 1.0 / v.sqrt()).collect();
    let squares: Vec<f64> = rates.iter().map(|rate| (rate - mean(&rates)).powi(2)).collect();
    Ok(mean(&squares).sqrt() / mean(&rates))
}

fn order(r: &mut Record) -> Result<()> {
    let mut figure = Figure::new(
        "beta-order",
        "Adam's m after the gradient has turned from 1 to −1",
        Axis::log("steps since the turn"),
        Axis::linear("m"),
    );
    let mut turns = vec![];
    for (beta1, beta2) in [(0.9, 0.999), (0.999, 0.9)] {
        let (turned, path) = turn(beta1)?;
        r.steps(
            &format!("steps until m has turned with the gradient, β₁ = {beta1}"),
            turned.map_or(f64::INFINITY, |t| t as f64),
        );
        let spread = unsteady(beta2)?;
        r.note(&format!("spread of 1/√v̂ by its mean, β₂ = {beta2}"), spread);
        turns.push((turned.unwrap_or(usize::MAX), spread));
        figure = figure.line(&format!("β₁ = {beta1}"), numbered(path));
    }
    let [(short, steady), (long, unsteady)] = [turns[0], turns[1]];
    r.claim(
        "the gradient turns: m at 0.9 follows ten times as soon as at 0.999",
        10 * short <= long,
    );
    r.claim(
        "Gaussian gradients: 1/√v̂ at 0.999 is five times as steady as at 0.9",
        5.0 * steady <= unsteady,
    );
    r.figure(figure.bound("turned", [(1.0, 0.0), (1000.0, 0.0)]));
    Ok(())
}

/// Adam's steps in units of its rate on gradients of size `after`, with moments that have seen ten thousand
/// gradients of size 1, or none.
fn steps_after(after: f64, kept: bool) -> Result<Vec<f64>> {
    let mut walk = Walk::new(tuned(adam(), &[("lr", 1.0)])?, &[0.0])?;
    if kept {
        (0..10_000).try_for_each(|_| walk.step(&[1.0]))?;
    }
    (0..20_000).map(|_| walk.fall(after)).collect()
}

fn reset(r: &mut Record) -> Result<()> {
    let mut figure = Figure::new(
        "moment-reset",
        "Adam's step by its rate after gradients of 1 have jumped",
        Axis::log("steps since the jump"),
        Axis::log("step / rate"),
    );
    for after in [0.01, 100.0] {
        let mut right = vec![];
        for (state, kept) in [("moments kept", true), ("moments set back", false)] {
            let steps = steps_after(after, kept)?;
            // For good: on its way up or down a step may be right for a moment.
            let last_wrong = steps.iter().rposition(|step| (step - 1.0).abs() > 0.1);
            let from = last_wrong.map_or(1, |t| t + 2);
            let case = format!("gradients from 1 to {after}, {state}");
            r.note(&format!("steps until Adam's step is right, {case}"), from as f64);
            right.push(from);
            figure = figure.line(&format!("to {after}, {state}"), numbered(steps));
        }
        let case = format!("gradients from 1 to {after}: right ten times as soon");
        r.claim(&case, 10 * right[1] <= right[0]);
    }
    r.figure(figure);
    Ok(())
}
