//! X08 and X17: forms in which source 000 writes its gains, beside what they are said to be.

use thalweg::recipes::{meta_egd, meta_egd_tensor};
use thalweg::{Chain, Schedule};

use super::figure::{Axis, Figure, numbered};
use super::gains::raw;
use super::walk::{CURVATURE, Walk, bowl_gradient, tuned};
use super::{Experiment, Record, Verdict};
use crate::Result;

pub(super) const ALL: &[Experiment] = &[
    Experiment {
        name: "merged-gamma",
        row: "X17",
        source: "000 body, §4.4 eq. 39-40; 001 Meta-LR",
        claim: "ν·exp(γ·η·g_{t−1}·g_t) is ν·exp(γ'·g_{t−1}·g_t) with γ' = γ·η",
        correct: "while η is constant; under a schedule of η the derivative has the η of the step, and the merged γ' keeps its first",
        errata: &["E10"],
        decides: &[
            "ln ν after 200 steps by eq. 39, η falling to a tenth",
            "ln ν after 200 steps by eq. 40, η falling to a tenth",
        ],
        features: &["F026"],
        expected: Verdict::HoldsIf("the learning rate is constant"),
        run: merged,
    },
    Experiment {
        name: "group-gain",
        row: "X17",
        source: "000 §11.3 eq. 58",
        claim: "ν^(k) ⊙ exp(γ_k·g^(k)_{t−1} ⊙ g^(k)_t) is one gain for each group k",
        correct: "⊙ makes it a gain per coordinate, in a group as without one; a gain of the group learns from ⟨g_{t−1}, g_t⟩",
        errata: &["E26"],
        decides: &[
            "different gains in one group of three coordinates, eq. 58",
            "different gains in one group of three coordinates, by the inner product",
        ],
        features: &["F053"],
        expected: Verdict::Refuted,
        run: group,
    },
    Experiment {
        name: "log-space-gains",
        row: "X08",
        source: "000 §7.1 eq. 49-50",
        claim: "with ln ν kept in place of ν nothing overflows",
        correct: "eq. 50 still takes exp(ln ν), which overflows at the same step; what helps is a bound on ln ν",
        errata: &["E17"],
        decides: &[
            "step at which the gain is infinite, ν kept, products of 1",
            "step at which the gain is infinite, ln ν kept, products of 1",
            "largest gain of 10 000 steps, ln ν bounded, products of 1",
        ],
        features: &["F035", "F036"],
        expected: Verdict::Refuted,
        run: log_space,
    },
];

/// The chain with an η that falls to a tenth in 200 steps, or stays.
fn falling(chain: Chain, falls: bool) -> Result<(Chain, Schedule)> {
    let at = |base: f64| match falls {
        true => Schedule::Exponential { base, factor: 0.1f64.powf(1.0 / 200.0) },
        false => Schedule::Constant(base),
    };
    // γ·η at γ = 0.1 and η = 0.001.
    Ok((chain.with("lr", at(1e-3))?, at(1e-4)))
}

/// `ln ν` of the steepest coordinate but one of the bowl after each of 200 steps.
fn learned(chain: Chain) -> Result<Vec<f64>> {
    let mut walk = Walk::new(chain, &[1.0; 3])?;
    let step = |_| {
        walk.descend(1, bowl_gradient)?;
        Ok(walk.slot("ell")?[1])
    };
    (0..200).map(step).collect()
}

fn merged(r: &mut Record) -> Result<()> {
    let mut figure = Figure::new(
        "merged-gamma",
        "What the gain of curvature 10 learns on the bowl, γ·η = 0.0001 at the start",
        Axis::linear("step"),
        Axis::linear("ln ν"),
    );
    for (name, falls) in [("η constant", false), ("η falling to a tenth", true)] {
        let (chain, product) = falling(raw(meta_egd(), 1e-3, 1e-4)?, falls)?;
        let derivative = learned(chain.clone().with("gamma", product)?)?;
        let merged = learned(chain)?;
        let [by_39, by_40] = [derivative[199], merged[199]];
        r.note(&format!("ln ν after 200 steps by eq. 39, {name}"), by_39);
        r.note(&format!("ln ν after 200 steps by eq. 40, {name}"), by_40);
        r.claim(name, (by_40 / by_39 - 1.0).abs() < 1e-9);
        figure = figure.line(&format!("eq. 40, {name}"), numbered(merged));
        if falls {
            figure = figure.line(&format!("eq. 39, {name}"), numbered(derivative));
        }
    }
    r.figure(figure);
    Ok(())
}

/// How many different numbers there are.
fn different(gains: &[f64]) -> usize {
    let mut bits: Vec<u64> = gains.iter().map(|nu| nu.to_bits()).collect();
    bits.sort_unstable();
    bits.dedup();
    bits.len()
}

fn group(r: &mut Record) -> Result<()> {
    let mut by_coordinate = Walk::new(raw(meta_egd(), 1e-3, 1e-4)?, &[1.0; 3])?;
    let shared = tuned(meta_egd_tensor(), &[("lr", 1e-3), ("gamma", 0.01)])?;
    let mut shared = Walk::new(shared, &[1.0; 3])?;
    let (mut paths, mut one, mut together) = ([vec![], vec![], vec![]], vec![], vec![]);
    for _ in 0..200 {
        by_coordinate.descend(1, bowl_gradient)?;
        for (path, nu) in paths.iter_mut().zip(by_coordinate.gains()?) {
            path.push(nu);
        }
        // The gain of the group as each coordinate feels it: its step by the rate and the gradient.
        let (before, g) = (shared.x.clone(), bowl_gradient(&shared.x));
        shared.step(&g)?;
        one.push(shared.scalar("ell")?.exp());
        let felt = before.iter().zip(&shared.x).zip(&g).map(|((a, b), g)| (a - b) / (1e-3 * g));
        together = felt.collect();
    }
    let coordinates = different(&by_coordinate.gains()?);
    let what = "different gains in one group of three coordinates";
    r.count(&format!("{what}, eq. 58"), Some(coordinates), Some(3), 0);
    let off = together.iter().map(|nu| (nu / one[199] - 1.0).abs()).fold(0.0, f64::max);
    r.near("by the inner product, what a coordinate feels off the group's gain", off, 0.0, 1e-9);
    r.count(&format!("{what}, by the inner product"), Some(usize::from(off < 1e-9)), Some(1), 0);
    r.claim("the bowl as one group, 200 steps: one gain", coordinates == 1);
    let mut figure = Figure::new(
        "group-gain",
        "Gains of the bowl's coordinates in one group",
        Axis::log("step"),
        Axis::log("gain ν"),
    );
    for (h, path) in CURVATURE.iter().zip(paths) {
        figure = figure.line(&format!("eq. 58, curvature {h}"), numbered(path));
    }
    r.figure(figure.line("by the cosine of the group's gradients, all three", numbered(one)));
    Ok(())
}

/// The gain after each step under products of this size, with γ = 0.1: kept as it is, as its logarithm, and as a
/// bounded logarithm by the library.
fn kept(product: f64) -> Result<[Vec<f64>; 3]> {
    let mut walk = Walk::new(raw(meta_egd(), 0.0, 0.1)?, &[0.0])?;
    let (mut nu, mut ell, mut gains) = (1.0_f64, 0.0_f64, [vec![], vec![], vec![]]);
    walk.step(&[product.sqrt()])?;
    for _ in 0..10_000 {
        nu *= (0.1 * product).exp();
        ell += 0.1 * product;
        walk.step(&[product.sqrt()])?;
        for (gains, gain) in gains.iter_mut().zip([nu, ell.exp(), walk.gains()?[0]]) {
            gains.push(gain);
        }
    }
    Ok(gains)
}

fn log_space(r: &mut Record) -> Result<()> {
    let mut figure = Figure::new(
        "log-space-gains",
        "Gains under products of 1, γ = 0.1, as long as they are finite",
        Axis::linear("step"),
        Axis::linear("ln ν"),
    );
    for product in [1.0, 100.0, 1e4] {
        let [plain, logarithm, bounded] = kept(product)?;
        let first = |gains: &[f64]| gains.iter().position(|nu| nu.is_infinite()).map(|t| t + 1);
        let first_or_never = |gains: &[f64]| first(gains).map_or(f64::INFINITY, |t| t as f64);
        let what = "step at which the gain is infinite";
        r.steps(&format!("{what}, ν kept, products of {product}"), first_or_never(&plain));
        r.steps(&format!("{what}, ln ν kept, products of {product}"), first_or_never(&logarithm));
        let largest = bounded.iter().copied().fold(0.0, f64::max);
        let what = format!("largest gain of 10 000 steps, ln ν bounded, products of {product}");
        r.relative(&what, largest, 1000.0, 1e-9);
        let case = format!("products of {product}, 10 000 steps: exp(ln ν) stays finite");
        r.claim(&case, first(&logarithm).is_none());
        if product == 1.0 {
            let finite = |gains: Vec<f64>| {
                numbered(gains.into_iter().map(f64::ln)).filter(|p| p.1.is_finite())
            };
            figure = figure
                .line("ln ν kept", finite(logarithm))
                .points("ν kept", finite(plain).step_by(700))
                .line("ln ν kept and bounded", finite(bounded));
        }
    }
    r.figure(figure);
    Ok(())
}
