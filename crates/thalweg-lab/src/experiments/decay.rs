//! X22: weight decay, coupled and decoupled.

use thalweg::Chain;
use thalweg::recipes::{adam, adam_l2, adamw};
use thalweg::rules::{DecayWeights, L2, Scale};

use super::figure::{Axis, Figure, numbered};
use super::rules::DecayAfter;
use super::stream::Rng;
use super::walk::{Walk, bowl_gradient, distance, mean, tuned};
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
        errata: &[],
        decides: &["decay per step, noise 0.1", "decay per step, noise 100"],
        features: &["F087"],
        expected: Verdict::Holds,
        run: decoupled,
    },
    Experiment {
        name: "decay-order",
        row: "X22",
        source: "002 AdamW, editor's note",
        claim: "θ' = θ − η·step, then θ' ← θ' − η·λ·θ is AdamW",
        correct: "as printed, with the old θ in the decay, it is torch's θ·(1 − η·λ) − η·step to the last digits; E37 reads the new θ' into it, which is another method (SOAP's code), η²·λ·step away; the paper's own form does not multiply the decay by the rate",
        errata: &["E37"],
        decides: &[
            "x[1], torch: decay before the step",
            "x[1], as printed: the old θ decays",
            "x[1], decay of what the step has left",
        ],
        features: &["F088"],
        expected: Verdict::HoldsIf("the θ that decays is the old one, as printed"),
        run: order,
    },
    Experiment {
        name: "decay-original",
        row: "X22",
        source: "002 AdamW, editor's note",
        claim: "θ − (step + α·λ·θ), the original text, is not AdamW, and θ − η·(step + λ·θ) is",
        correct: "where the step contains α, as the source's own update of Adam does, both are the same; they differ only if it is left out",
        errata: &["E37"],
        decides: &[
            "distance of the two after 100 steps on the bowl, α in the step",
            "distance of the two after 100 steps on the bowl, α left out",
        ],
        features: &["F088"],
        expected: Verdict::HoldsIf("the step leaves out α"),
        run: original,
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

/// The editor's note as it is printed, at the decay 0.1: after the step a share of the θ before it is taken away, as
/// in the note's original, `θ − (step + α·λ·θ)`.
fn old_decays(lr: f64) -> DecayWeights {
    DecayWeights::default().decay(0.1 * lr)
}

/// The three readings, at the decay 0.1: torch's, which decays first; the note's as printed; and decay of
/// what the step has left.
fn readings(lr: f64) -> Result<[Chain; 3]> {
    let step = || tuned(adam(), &[("eps", 0.0), ("lr", lr)]);
    Ok([
        tuned(adamw(), &[("lr", lr), ("decay", 0.1), ("eps", 0.0)])?,
        step()?.then(old_decays(lr)),
        step()?.then(DecayAfter::default().decay(0.1).lr(lr)),
    ])
}

/// Where one step of a reading leads.
fn one_step(chain: Chain) -> Result<Vec<f64>> {
    let mut walk = Walk::new(chain, &[1.0, -2.0, 0.5])?;
    walk.step(&[0.3, -1.0, 2.0])?;
    Ok(walk.x)
}

/// How far two methods are from each other after a hundred steps on the bowl.
fn apart([one, other]: [Chain; 2]) -> Result<f64> {
    let end = |chain: Chain| -> Result<Vec<f64>> {
        let mut walk = Walk::new(chain, &[1.0; 3])?;
        walk.descend(100, bowl_gradient)?;
        Ok(walk.x)
    };
    Ok(distance(&end(one)?, &end(other)?))
}

fn order(r: &mut Record) -> Result<()> {
    let names = [
        "torch: decay before the step",
        "as printed: the old θ decays",
        "decay of what the step has left",
    ];
    let want = [[0.89, -1.88, 0.395], [0.89, -1.88, 0.395], [0.891, -1.881, 0.396]];
    for ((name, chain), want) in names.iter().zip(readings(0.1)?).zip(want) {
        for (i, (x, want)) in one_step(chain)?.into_iter().zip(want).enumerate() {
            r.near(&format!("x[{}], {name}", i + 1), x, want, 1e-12);
        }
    }
    let [torch, printed, after] = readings(0.1)?;
    let [printed, after] = [apart([torch.clone(), printed])?, apart([torch, after])?];
    r.note("as printed, distance from torch after 100 steps on the bowl", printed);
    r.note("decay of what the step has left, distance from torch after them", after);
    r.claim("as printed: the old θ decays", printed < 1e-12);
    r.claim("E37's reading: what the step has left decays", after < 1e-12);
    let differences = [1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3].map(|lr| {
        let [torch, _, after] = readings(lr)?;
        Ok((lr, distance(&one_step(torch)?, &one_step(after)?)))
    });
    r.figure(
        Figure::new(
            "decay-order",
            "What it changes in the first step to decay what it has left, and not the old θ, λ = 0.1",
            Axis::log("learning rate η"),
            Axis::log("difference of the parameters"),
        )
        .bound("η²·λ·|u| with |u| = 1", [(1e-3, 1e-7), (0.3, 9e-3)])
        .points("measured", differences.into_iter().collect::<Result<Vec<_>>>()?),
    );
    Ok(())
}

/// The original and its correction at the decay 0.1, with a step of the length `in_step` in the former.
fn edited(rate: f64, in_step: f64) -> Result<[Chain; 2]> {
    let original = tuned(adam(), &[("lr", in_step)])?.then(old_decays(rate));
    Ok([original, tuned(adamw(), &[("lr", rate), ("decay", 0.1)])?])
}

fn original(r: &mut Record) -> Result<()> {
    for (name, in_step) in [("α in the step", 0.05), ("α left out", 1.0)] {
        let distance = apart(edited(0.05, in_step)?)?;
        let what = format!("distance of the two after 100 steps on the bowl, {name}");
        match in_step == 1.0 {
            true => r.note(&what, distance),
            false => r.near(&what, distance, 0.0, 1e-12),
        }
        r.claim(&format!("{name}: they differ"), distance > 1e-12);
    }
    let mut figure = Figure::new(
        "decay-original",
        "The first coordinate of the bowl, α = 0.05 and λ = 0.1",
        Axis::linear("step"),
        Axis::linear("x₁"),
    );
    let [contains, correction] = edited(0.05, 0.05)?;
    let [leaves_out, _] = edited(0.05, 1.0)?;
    let path = |chain: Chain| -> Result<Vec<f64>> {
        let mut walk = Walk::new(chain, &[1.0; 3])?;
        let step = |_| {
            walk.descend(1, bowl_gradient)?;
            Ok(walk.x[0])
        };
        (0..100).map(step).collect()
    };
    figure = figure
        .line("correction: θ − η·(step + λ·θ)", numbered(path(correction)?))
        .points("original, α in the step", numbered(path(contains)?).step_by(5))
        .line("original, α left out", numbered(path(leaves_out)?));
    r.figure(figure);
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
