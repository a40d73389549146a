//! X22: weight decay, coupled and decoupled.

use thalweg::Chain;
use thalweg::recipes::{adam, adam_l2, adamw};
use thalweg::rules::{L2, Scale};

use super::figure::{Axis, Figure, numbered};
use super::rules::DecayAfter;
use super::stream::Rng;
use super::walk::{Walk, distance, mean, tuned};
use super::{Experiment, Record, Verdict};
use crate::Result;

pub(super) const ALL: &[Experiment] = &[
    Experiment {
        name: "l2-in-adam",
        row: "X22",
        source: "002 AdamW",
        claim: "L2 in Adam decays a weight by η·λ/(√v + ε) per step",
        correct: "only while the data gradient dominates v; alone, the penalty cancels and the weight moves about η per step whatever λ is",
        errata: &["E38"],
        decides: &[
            "weight after 1000 steps without data gradient, λ = 0.1",
            "weight after 1000 steps without data gradient, λ = 0.0001",
        ],
        features: &["F086"],
        expected: Verdict::HoldsIf("the data gradient dominates v"),
        run: coupled,
    },
    Experiment {
        name: "adamw-decoupled",
        row: "X22",
        source: "002 AdamW",
        claim: "AdamW decays every weight by η·λ per step, whatever its gradients are",
        correct: "so it does, exactly (1 − η·λ)^t without data gradient",
        errata: &["E37"],
        decides: &["decay per step, noise 0.1", "decay per step, noise 100"],
        features: &["F087"],
        expected: Verdict::Holds,
        run: decoupled,
    },
    Experiment {
        name: "decay-order",
        row: "X22",
        source: "002 AdamW, editor's note",
        claim: "decaying after the step is AdamW",
        correct: "it differs by η²·λ·u from torch, which decays first; the paper's own form does not multiply the decay by the rate",
        errata: &["E37"],
        decides: &["x[1], decay before the step", "x[1], decay after the step"],
        features: &["F088"],
        expected: Verdict::Refuted,
        run: order,
    },
    Experiment {
        name: "l2-minimum",
        row: "X22",
        source: "002 AdamW",
        claim: "L2 moves the minimum of h·(x − 1)²/2 to h/(h + λ)",
        correct: "so it does, in Adam as in plain descent",
        errata: &[],
        decides: &["Adam + L2, h = 1", "descent + L2, h = 1"],
        features: &["F086"],
        expected: Verdict::Holds,
        run: minimum,
    },
];

/// The weight after 1000 steps without data gradient.
fn alone(chain: Chain, decay: f64) -> Result<f64> {
    let mut walk = Walk::new(tuned(chain, &[("lr", 1e-3), ("decay", decay)])?, &[1.0])?;
    walk.descend(1000, |_| vec![0.0])?;
    Ok(walk.x[0])
}

/// The decay per step under noise of this size: coordinates in pairs with opposite noise, so that
/// their sum shows the decay alone. Also the path of the mean.
fn under_noise(chain: Chain, noise: f64) -> Result<(f64, Vec<(f64, f64)>)> {
    let mut rng = Rng::new(22);
    let mut walk = Walk::new(tuned(chain, &[("lr", 1e-3), ("decay", 0.01)])?, &[1.0; 200])?;
    let mut path = vec![];
    for t in 1..=4000 {
        let signs = (0..100).map(|_| noise * rng.sign());
        let g: Vec<f64> = signs.flat_map(|s| [s, -s]).collect();
        walk.step(&g)?;
        path.push((f64::from(t), mean(&walk.x)));
    }
    Ok((-mean(&walk.x).ln() / 4000.0, path))
}

fn coupled(r: &mut Record) -> Result<()> {
    let want = [(0.1, "0.257665085"), (0.01, "0.257665628"), (1e-4, "0.257725382")];
    let mut ends = vec![];
    for (decay, want) in want {
        ends.push(alone(adam_l2(), decay)?);
        r.printed(
            &format!("weight after 1000 steps without data gradient, λ = {decay}"),
            ends[ends.len() - 1],
            want,
        );
    }
    r.claim("no data gradient: a thousandth of λ decays less", (ends[0] - ends[2]).abs() > 0.01);
    let mut figure = Figure::new(
        "l2-in-adam",
        "Mean weight under noise of standard deviation s, λ = 0.01, rate 0.001",
        Axis::linear("step"),
        Axis::linear("mean weight"),
    );
    for noise in [0.1, 1.0, 10.0, 100.0] {
        let (rate, path) = under_noise(adam_l2(), noise)?;
        let want = 1e-3 * 0.01 / noise;
        r.relative(&format!("L2, decay per step, noise {noise}"), rate, want, 0.01);
        r.claim(&format!("noise {noise}"), (rate / want - 1.0).abs() <= 0.01);
        figure = figure.line(&format!("L2, s = {noise}"), path);
    }
    r.figure(figure.line("AdamW, s = 1", under_noise(adamw(), 1.0)?.1));
    Ok(())
}

fn decoupled(r: &mut Record) -> Result<()> {
    let want = [(0.1, "0.904832893559"), (0.01, "0.990049784246"), (1e-4, "0.999900004995")];
    for (decay, want) in want {
        let end = alone(adamw(), decay)?;
        r.printed(
            &format!("weight after 1000 steps without data gradient, λ = {decay}"),
            end,
            want,
        );
        let exact = (1.0 - 1e-3 * decay).powi(1000);
        r.near(&format!("less (1 − η·λ)^1000, λ = {decay}"), end - exact, 0.0, 1e-12);
        r.claim(&format!("no data gradient, λ = {decay}"), (end - exact).abs() <= 1e-12);
    }
    let (mut kept, mut coupled) = (vec![], vec![]);
    for noise in [0.1, 1.0, 10.0, 100.0] {
        let (rate, _) = under_noise(adamw(), noise)?;
        r.relative(&format!("decay per step, noise {noise}"), rate, 1e-5, 0.01);
        r.claim(&format!("noise {noise}"), (rate / 1e-5 - 1.0).abs() <= 0.01);
        kept.push((noise, rate));
        coupled.push((noise, under_noise(adam_l2(), noise)?.0));
    }
    r.figure(
        Figure::new(
            "adamw-decoupled",
            "How fast a weight decays under noise, λ = 0.01 and rate 0.001",
            Axis::log("standard deviation of the gradient"),
            Axis::log("decay per step"),
        )
        .bound("η·λ", [(0.1, 1e-5), (100.0, 1e-5)])
        .points("AdamW", kept)
        .points("Adam + L2", coupled),
    );
    Ok(())
}

/// Where one step leads that decays before it, and one that decays after it, at the decay 0.1.
fn orders(lr: f64) -> Result<[Vec<f64>; 2]> {
    let (start, g) = ([1.0, -2.0, 0.5], [0.3, -1.0, 2.0]);
    let first = [("lr", lr), ("decay", 0.1), ("eps", 0.0)];
    let mut before = Walk::new(tuned(adamw(), &first)?, &start)?;
    before.step(&g)?;
    let decay = DecayAfter::default().decay(0.1).lr(lr);
    let chain = tuned(adam(), &[("eps", 0.0), ("lr", lr)])?.then(decay);
    let mut after = Walk::new(chain, &start)?;
    after.step(&g)?;
    Ok([before.x, after.x])
}

fn order(r: &mut Record) -> Result<()> {
    let [before, after] = orders(0.1)?;
    for (i, (first, last)) in
        [(0.89, 0.891), (-1.88, -1.881), (0.395, 0.396)].into_iter().enumerate()
    {
        r.near(&format!("x[{}], decay before the step", i + 1), before[i], first, 1e-12);
        r.near(&format!("x[{}], decay after the step", i + 1), after[i], last, 1e-12);
    }
    r.claim("first step with η = λ = 0.1", distance(&before, &after) < 1e-12);
    let differences = [1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3].map(|lr| {
        let [before, after] = orders(lr)?;
        Ok((lr, distance(&before, &after)))
    });
    r.figure(
        Figure::new(
            "decay-order",
            "What the order of decay and step changes in the first step, λ = 0.1",
            Axis::log("learning rate η"),
            Axis::log("difference of the parameters"),
        )
        .bound("η²·λ·|u| with |u| = 1", [(1e-3, 1e-7), (0.3, 9e-3)])
        .points("measured", differences.into_iter().collect::<Result<Vec<_>>>()?),
    );
    Ok(())
}

fn minimum(r: &mut Record) -> Result<()> {
    let mut figure = Figure::new(
        "l2-minimum",
        "Descent with a penalty of λ = 0.1 on h·(x − 1)²/2 from 0",
        Axis::log("step"),
        Axis::linear("x"),
    );
    for (h, want) in [(1.0, "0.909091"), (10.0, "0.990099")] {
        let adam = tuned(adam_l2(), &[("lr", 0.01), ("decay", 0.1)])?;
        let plain = Chain::new((L2::default().decay(0.1), Scale::default().lr(0.05)));
        for (name, chain) in [("Adam + L2", adam), ("descent + L2", plain)] {
            let (mut walk, mut path) = (Walk::new(chain, &[0.0])?, vec![]);
            for _ in 0..5000 {
                walk.descend(1, |x| vec![h * (x[0] - 1.0)])?;
                path.push(walk.x[0]);
            }
            r.printed(&format!("{name}, h = {h}"), walk.x[0], want);
            r.claim(&format!("{name}, h = {h}"), (walk.x[0] - h / (h + 0.1)).abs() < 1e-6);
            figure = figure.line(&format!("{name}, h = {h}"), numbered(path));
        }
        let minimum = h / (h + 0.1);
        figure = figure.bound(&format!("h/(h + λ), h = {h}"), [(1.0, minimum), (5000.0, minimum)]);
    }
    r.figure(figure);
    Ok(())
}
