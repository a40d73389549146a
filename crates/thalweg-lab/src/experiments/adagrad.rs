//! X29 and X30: what becomes of AdaGrad's rate, and whose rate AdaDelta uses.

use thalweg::Chain;
use thalweg::recipes::{adadelta, adagrad, gd};

use super::figure::{Axis, Figure, numbered};
use super::stream::Rng;
use super::walk::{Walk, bowl, bowl_gradient, falls, log_slope, mean, tuned};
use super::{Experiment, Record, Verdict};
use crate::Result;

pub(super) const ALL: &[Experiment] = &[
    Experiment {
        name: "adagrad-decay",
        row: "X29",
        source: "002 AdaGrad; 004 §5.2",
        claim: "AdaGrad's effective rate falls to zero",
        correct: "only if the sum of squared gradients diverges; on x²/2 from 10 it settles at 0.031559",
        errata: &["E31"],
        decides: &[
            "rate on x²/2 from 10",
            "rate on x²/2 from 10, step 20 000 by step 10 000",
            "rate under noise, step 20 000 by step 10 000",
        ],
        features: &["F063", "F067"],
        expected: Verdict::HoldsIf("the sum of squared gradients diverges"),
        run: decay,
    },
    Experiment {
        name: "adagrad-sparse",
        row: "X29",
        source: "002 AdaGrad; 004 §5.4",
        claim: "a feature that fires with probability p keeps an effective rate 1/√p times as large",
        correct: "so it does",
        errata: &[],
        decides: &[
            "rate of a feature of 1 % by that of one of 100 %",
            "the same, firing at random, mean of 200 features",
        ],
        features: &["F065"],
        expected: Verdict::Holds,
        run: sparse,
    },
    Experiment {
        name: "size-is-not-curvature",
        row: "X29",
        source: "003 §2",
        claim: "accumulated squared gradients carry the second derivative",
        correct: "size is not curvature: on straight lines, which have none, the rate is 1/(slope·√t)",
        errata: &["E47"],
        decides: &["rate by 1/(slope·√t), less 1, slope 100"],
        features: &["F068", "F069"],
        expected: Verdict::Refuted,
        run: straight_line,
    },
    Experiment {
        name: "step-against-size",
        row: "X29",
        source: "003 §2",
        claim: "the step of gradient descent is usually inversely proportional to the size of the gradient",
        correct: "it is proportional to it, η·g; inversely proportional to the accumulated size is AdaGrad's rate, whose step does not depend on the size of all gradients",
        errata: &["E46"],
        decides: &[
            "slope of ln step on ln |g|, gradient descent",
            "slope of ln step on ln |g|, AdaGrad",
            "slope of ln rate on ln |g|, AdaGrad",
        ],
        features: &["F069"],
        expected: Verdict::Refuted,
        run: against_size,
    },
    Experiment {
        name: "adadelta-rate",
        row: "X30",
        source: "002 RMSProp & AdaDelta",
        claim: "AdaDelta does away with the global learning rate",
        correct: "ε is the rate: the first step is √(ε/(1 − ρ)), and steps to a loss follow ε",
        errata: &["E35"],
        decides: &[
            "steps to a loss of 0.001 on the bowl, ε = 1e-8",
            "steps to a loss of 0.001 on the bowl, ε = 1e-2",
        ],
        features: &["F079"],
        expected: Verdict::Refuted,
        run: delta,
    },
];

fn decay(r: &mut Record) -> Result<()> {
    let mut walk = Walk::new(tuned(adagrad(), &[("lr", 1.0)])?, &[10.0])?;
    let mut quadratic = vec![];
    for t in 1..=20_000 {
        walk.descend(1, <[f64]>::to_vec)?;
        quadratic.push((f64::from(t), 1.0 / walk.slot("sum")?[0].sqrt()));
    }
    let sum = walk.slot("sum")?[0];
    r.printed("accumulator on x²/2 from 10", sum, "1004.018484");
    let rate = 1.0 / sum.sqrt();
    r.printed("rate on x²/2 from 10", rate, ".031559");
    r.near("x in the end", walk.x[0], 0.0, 1e-20);
    // A rate that falls as 1/√t is at 0.71 of what it was when half of the steps were taken.
    let halved = |path: &[(f64, f64)]| path[19_999].1 / path[9_999].1;
    r.note("rate on x²/2 from 10, step 20 000 by step 10 000", halved(&quadratic));
    r.claim("x²/2 from 10, 20 000 steps", halved(&quadratic) < 0.8);
    let (mut rng, count) = (Rng::new(29), 20_000);
    let mut walk = Walk::new(tuned(adagrad(), &[("lr", 1.0), ("eps", 0.0)])?, &[0.0; 8])?;
    let mut noisy = vec![];
    for t in 1..=count {
        walk.step(&rng.normal(8))?;
        noisy.push((f64::from(t), 1.0 / walk.slot("sum")?[0].sqrt()));
    }
    for (i, sum) in walk.slot("sum")?.iter().enumerate() {
        let scaled = (f64::from(count) / sum).sqrt();
        r.near(&format!("rate·√t under noise, coordinate {}", i + 1), scaled, 1.0, 0.02);
    }
    r.note("rate under noise, step 20 000 by step 10 000", halved(&noisy));
    r.claim("Gaussian gradients, 20 000 steps", halved(&noisy) < 0.8);
    r.figure(
        Figure::new(
            "adagrad-decay",
            "AdaGrad's effective rate",
            Axis::log("step"),
            Axis::log("rate"),
        )
        .line("x²/2 from 10", quadratic)
        .line("Gaussian gradients", noisy)
        .bound("1/√t", (1..=count).map(|t| (f64::from(t), 1.0 / f64::from(t).sqrt()))),
    );
    Ok(())
}

/// The effective rate of a feature that fires every `every` steps by that of one that always does, at
/// step 10 000.
fn sparse_rate(every: usize) -> Result<f64> {
    let mut walk = Walk::new(tuned(adagrad(), &[("lr", 1.0), ("eps", 0.0)])?, &[0.0, 0.0])?;
    for t in 1..10_000 {
        walk.step(&[1.0, f64::from(u8::from(t % every == 0))])?;
    }
    let before = walk.x.clone();
    walk.step(&[1.0, 1.0])?;
    Ok((before[1] - walk.x[1]) / (before[0] - walk.x[0]))
}

fn sparse(r: &mut Record) -> Result<()> {
    let mut points = vec![];
    for every in [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000] {
        let (p, ratio) = (1.0 / every as f64, sparse_rate(every)?);
        if every == 100 {
            r.relative("rate of a feature of 1 % by that of one of 100 %", ratio, 10.0, 1e-12);
            r.claim("p = 0.01, in every hundredth step", (ratio - 10.0).abs() < 1e-9);
        }
        points.push((p, ratio));
    }
    // With a probability, and not in every hundredth step: the firings of each feature differ then.
    let (mut rng, count) = (Rng::new(30), 10_000);
    let mut walk = Walk::new(tuned(adagrad(), &[("lr", 1.0), ("eps", 0.0)])?, &[0.0; 200])?;
    for _ in 0..count {
        let fires = |_| f64::from(u8::from(rng.uniform() < 0.01));
        walk.step(&(0..200).map(fires).collect::<Vec<f64>>())?;
    }
    let sums = walk.slot("sum")?.iter();
    let ratio = mean(&sums.map(|sum| (f64::from(count) / sum).sqrt()).collect::<Vec<_>>());
    r.note("the same, firing at random, mean of 200 features", ratio);
    r.claim("p = 0.01, at random", (ratio - 10.0).abs() < 0.2);
    r.figure(
        Figure::new(
            "adagrad-sparse",
            "AdaGrad's rate for a rare feature by that for one that always fires",
            Axis::log("probability p that the feature fires"),
            Axis::log("ratio of the rates"),
        )
        .bound("1/√p", points.iter().map(|(p, _)| (*p, 1.0 / p.sqrt())))
        .points("measured at step 10 000", points),
    );
    Ok(())
}

fn straight_line(r: &mut Record) -> Result<()> {
    let mut same = true;
    let mut figure = Figure::new(
        "size-is-not-curvature",
        "AdaGrad on straight lines, whose curvature is 0: the rate follows the slope",
        Axis::log("step t"),
        Axis::log("step / slope"),
    );
    for slope in [1.0, 100.0] {
        let steps = falls(tuned(adagrad(), &[("lr", 1.0), ("eps", 0.0)])?, slope, 1000)?;
        let law = |t: usize| 1.0 / (slope * ((t + 1) as f64).sqrt());
        let off = (0..1000).map(|t| (steps[t] / slope / law(t) - 1.0).abs()).fold(0.0, f64::max);
        r.near(&format!("rate by 1/(slope·√t), less 1, slope {slope}"), off, 0.0, 1e-12);
        same &= off <= 1e-12;
        figure = figure
            .line(
                &format!("slope {slope}"),
                numbered(steps.into_iter().map(|step| step / slope).collect::<Vec<_>>()),
            )
            .points(
                &format!("1/({slope}·√t)"),
                [1, 3, 10, 30, 100, 300, 1000].map(|t| (t as f64, law(t - 1))),
            );
    }
    r.figure(figure);
    // Both lines have curvature zero: a rate that carried it would be the same on both.
    r.claim("lines of slope 1 and 100: the same curvature, the same rate", !same);
    Ok(())
}

fn against_size(r: &mut Record) -> Result<()> {
    let sizes = || (-4..=4).map(|k| 10f64.powf(0.5 * f64::from(k)));
    // The tenth step, so that AdaGrad has something accumulated.
    let steps = |chain: &Chain| -> Result<Vec<(f64, f64)>> {
        sizes().map(|g| Ok((g, falls(chain.clone(), g, 10)?[9]))).collect()
    };
    let plain = steps(&tuned(gd(), &[("lr", 0.1)])?)?;
    let ada = steps(&tuned(adagrad(), &[("lr", 0.1), ("eps", 0.0)])?)?;
    let rates: Vec<_> = ada.iter().map(|(g, step)| (*g, step / g)).collect();
    let slope = log_slope(&plain);
    r.near("slope of ln step on ln |g|, gradient descent", slope, 1.0, 1e-9);
    r.near("slope of ln step on ln |g|, AdaGrad", log_slope(&ada), 0.0, 1e-9);
    r.near("slope of ln rate on ln |g|, AdaGrad", log_slope(&rates), -1.0, 1e-9);
    r.claim("gradients from 0.01 to 100: descent's step falls", slope < 0.0);
    r.figure(
        Figure::new(
            "step-against-size",
            "The tenth step at rate 0.1 by the size of all gradients",
            Axis::log("|g|"),
            Axis::log("step"),
        )
        .line("gradient descent", plain)
        .line("AdaGrad", ada)
        .bound("inversely proportional", sizes().map(|g| (g, 0.1 / g))),
    );
    Ok(())
}

fn delta(r: &mut Record) -> Result<()> {
    r.printed("first step at g = 1", falls(adadelta(), 1.0, 1)?[0], "3.162262e-03");
    let (mut points, mut all) = (vec![], vec![]);
    for (eps, want) in [(1e-8, 1839), (1e-6, 374), (1e-4, 77), (1e-2, 10)] {
        let chain = tuned(adadelta(), &[("eps", eps)])?;
        let first = falls(chain.clone(), 1e6, 1)?[0];
        r.relative(
            &format!("first step at a large g, ε = {eps:e}"),
            first,
            (eps / 0.1f64).sqrt(),
            1e-9,
        );
        let mut walk = Walk::new(chain, &[1.0; 3])?;
        let mut steps = None;
        for t in 1..3000 {
            walk.descend(1, bowl_gradient)?;
            if bowl(&walk.x) < 1e-3 {
                steps = Some(t);
                break;
            }
        }
        r.count(
            &format!("steps to a loss of 0.001 on the bowl, ε = {eps:e}"),
            steps,
            Some(want),
            0,
        );
        points.push((eps, steps.unwrap_or(usize::MAX) as f64));
        all.push(steps.unwrap_or(usize::MAX));
    }
    r.claim(
        "the bowl: ε from 1e-8 to 1e-2 makes less than twice the difference",
        all[0] < 2 * all[3],
    );
    r.figure(
        Figure::new(
            "adadelta-rate",
            "AdaDelta on the bowl: ε is its learning rate",
            Axis::log("ε"),
            Axis::log("steps to a loss of 0.001"),
        )
        .line("AdaDelta", points),
    );
    Ok(())
}
