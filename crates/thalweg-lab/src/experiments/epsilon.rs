//! X24 and X50: where ε stands and what it does.

use thalweg::recipes::{adadelta, adagrad, adam, rmsprop};
use thalweg::rules::{AdaGrad, RmsProp, Scale};
use thalweg::{Chain, Denominator, Inside};

use super::figure::{Axis, Figure};
use super::rules::CorrectedMean;
use super::walk::{Walk, falls, tuned};
use super::{Experiment, Record, Verdict};
use crate::Result;

pub(super) const ALL: &[Experiment] = &[
    Experiment {
        name: "epsilon-placement",
        row: "X24",
        source: "002 AdaGrad, RMSProp; 003 §2; 004 §5.1, §6.1",
        claim: "√(v + ε) and √v + ε are the same guard against division by zero",
        correct: "with ε = 1e-8 the first step at |g| = 1e-6 is 0.01 of the rate inside the root and 0.99 outside",
        errata: &["E29"],
        decides: &[
            "AdaGrad inside 1e-8, first step/rate at |g| = 1e-6",
            "AdaGrad outside 1e-8, first step/rate at |g| = 1e-6",
        ],
        features: &["F062", "F073", "F089"],
        expected: Verdict::HoldsIf("the gradient is far above the root of ε"),
        run: placement,
    },
    Experiment {
        name: "epsilon-cap",
        row: "X24",
        source: "004 §4.3",
        claim: "ε gives the effective rate the lower bound η/ε",
        correct: "an upper bound, as 002 has it",
        errata: &["E58"],
        decides: &["highest effective rate times ε/η, ε = 1e-8"],
        features: &["F089", "F112"],
        expected: Verdict::Refuted,
        run: cap,
    },
    Experiment {
        name: "epsilon-large",
        row: "X50",
        source: "004 §11.2",
        claim: "with ε too large Adam degenerates to SGD",
        correct: "to SGD with a bias-corrected momentum, at a distance in proportion to 1/ε; the reference's 1.9e-7 at ε = 1e6 names no problem: it is that of x²/4 from 2, and not that of x²/2 from 1",
        errata: &[],
        decides: &[
            "distance at ε = 1e6 by that at ten times ε",
            "distance at ε = 1e6 on x²/2 from 1",
            "distance at ε = 1e6 on x²/4 from 2",
        ],
        features: &["F091"],
        expected: Verdict::Holds,
        run: large,
    },
];

fn first(chain: &Chain, g: f64) -> Result<f64> {
    Ok(falls(tuned(chain.clone(), &[("lr", 1.0)])?, g, 1)?[0])
}

fn placement(r: &mut Record) -> Result<()> {
    let inside = AdaGrad::<Inside>::default().denominator(Inside::new(1e-8));
    let rms_inside = RmsProp::<Inside>::default().rho(0.9).denominator(Inside::new(1e-8));
    let chains = [
        ("AdaGrad outside 1e-10", tuned(adagrad(), &[("eps", 1e-10)])?),
        ("AdaGrad outside 1e-8", tuned(adagrad(), &[("eps", 1e-8)])?),
        ("AdaGrad inside 1e-8", Chain::new((inside, Scale::default().lr(1.0)))),
        ("Adam 1e-8", tuned(adam(), &[("eps", 1e-8)])?),
        ("RMSProp outside 1e-8", tuned(rmsprop(), &[("rho", 0.9), ("eps", 1e-8)])?),
        ("RMSProp inside 1e-8", Chain::new((rms_inside, Scale::default()))),
        ("AdaDelta 1e-6", tuned(adadelta(), &[("rho", 0.9), ("eps", 1e-6)])?),
    ];
    let table = [
        (1e-2, "1.000000 .999999 .999950 .999999 3.162268 3.160698 3.015113e-3"),
        (1e-4, ".999999 .999900 .7071068 .999900 3.161278 .9534626 9.995004e-5"),
        (1e-6, ".999900 .990099 9.9995e-3 .990099 3.065343 9.99995e-3 1.00000e-6"),
        (1e-8, ".990099 .500000 1.00000e-4 .500000 .759747 1.00000e-4 1.00000e-8"),
    ];
    for (g, row) in table {
        for ((name, chain), want) in chains.iter().zip(row.split(' ')) {
            r.printed(&format!("{name}, first step/rate at |g| = {g:e}"), first(chain, g)?, want);
        }
        let (outside, inside) = (first(&chains[1].1, g)?, first(&chains[2].1, g)?);
        r.claim(&format!("AdaGrad, ε = 1e-8, |g| = {g:e}"), (outside / inside - 1.0).abs() < 1e-3);
    }
    let mut figure = Figure::new(
        "epsilon-placement",
        "The first step by the size of the gradient",
        Axis::log("|g|"),
        Axis::log("first step / rate"),
    );
    for (name, chain) in &chains {
        let sizes = (0..=80).map(|k| 10f64.powf(-10.0 + 0.1 * f64::from(k)));
        let points = sizes.map(|g| Ok((g, first(chain, g)?))).collect::<Result<Vec<_>>>()?;
        figure = figure.line(name, points);
    }
    r.figure(figure);
    Ok(())
}

fn cap(r: &mut Record) -> Result<()> {
    let mut figure = Figure::new(
        "epsilon-cap",
        "Adam's effective rate in units of η/ε: never above it, and far below for large gradients",
        Axis::log("|g|"),
        Axis::log("effective rate · ε/η"),
    );
    for eps in [1e-8, 1e-6, 1e-4] {
        let (mut highest, mut lowest, mut curve) = (0.0_f64, f64::INFINITY, vec![]);
        for g in (0..=24).map(|k| 10f64.powf(0.5 * f64::from(k) - 12.0)) {
            let chain = tuned(adam(), &[("lr", 1.0), ("eps", eps)])?;
            let rates = falls(chain, g, 5)?.into_iter().map(|fall| fall / g);
            (highest, lowest) = rates
                .clone()
                .fold((highest, lowest), |(high, low), rate| (high.max(rate), low.min(rate)));
            curve.push((g, rates.fold(0.0, f64::max) * eps));
        }
        figure = figure.line(&format!("ε = {eps:e}"), curve);
        r.at_most(
            &format!("highest effective rate times ε/η, ε = {eps:e}"),
            highest * eps,
            1.0 + 1e-12,
        );
        r.claim(&format!("gradients from 1e-12 to 1, ε = {eps:e}"), lowest * eps >= 1.0);
    }
    r.figure(figure.bound("η/ε, the source's lower bound", [(1e-12, 1.0), (1.0, 1.0)]));
    Ok(())
}

/// How far Adam with a huge ε is from momentum without any, fifty steps from `start` on
/// `curvature·x²/2`.
fn distance_to_momentum(eps: f64, curvature: f64, start: f64) -> Result<f64> {
    let mut adam = Walk::new(tuned(adam(), &[("lr", 0.1 * eps), ("eps", eps)])?, &[start])?;
    let mean = Chain::new((CorrectedMean::default(), Scale::default().lr(0.1)));
    let mut mean = Walk::new(mean, &[start])?;
    adam.descend(50, |x| vec![curvature * x[0]])?;
    mean.descend(50, |x| vec![curvature * x[0]])?;
    Ok((adam.x[0] - mean.x[0]).abs())
}

fn large(r: &mut Record) -> Result<()> {
    // X50 names no problem for its number. Any number comes out on some problem; what decides is that the
    // distance is in proportion to 1/ε.
    r.note("distance at ε = 1e6 on x²/2 from 1", distance_to_momentum(1e6, 1.0, 1.0)?);
    let named = distance_to_momentum(1e6, 0.5, 2.0)?;
    r.printed("distance at ε = 1e6 on x²/4 from 2", named, "1.9e-7");
    let sizes = [1.0, 10.0, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7];
    let distances = sizes
        .map(|eps| distance_to_momentum(eps, 1.0, 1.0))
        .into_iter()
        .collect::<Result<Vec<_>>>()?;
    for (pair, eps) in distances.windows(2).zip(sizes).skip(4) {
        let shrinks = pair[0] / pair[1];
        r.relative(&format!("distance at ε = {eps:e} by that at ten times ε"), shrinks, 10.0, 1e-3);
        r.claim(&format!("ε = {eps:e}"), pair[0] < 1e-4);
    }
    r.figure(
        Figure::new(
            "epsilon-large",
            "Adam at rate 0.1·ε on x²/2 from 1: distance from bias-corrected momentum after 50 steps",
            Axis::log("ε"),
            Axis::log("distance"),
        )
        .line("measured", sizes.into_iter().zip(distances)),
    );
    Ok(())
}
