//! X07 and X08: which gains grow most, and what it takes for them to stay finite.

use thalweg::recipes::{egdd, meta_egd};
use thalweg::{NonFinite, Optimizer, Param};

use super::figure::{Axis, Figure};
use super::gains::raw;
use super::walk::{CURVATURE, Walk, bowl, bowl_gradient, tuned};
use super::{Experiment, Record, Verdict};
use crate::Result;

pub(super) const ALL: &[Experiment] = &[
    Experiment {
        name: "gain-order",
        row: "X07",
        source: "000 §12.1",
        claim: "on the bowl diag(1, 10, 100) the gains end as ν₃ > ν₂ > ν₁",
        correct: "ln ν = γ·λ²·r/(1 − r²) with r = 1 − η·λ, for small γ; a clip of the products reverses the order, and so do signs",
        errata: &["E27"],
        decides: &["η·λ₃ up to which ν₃ > ν₂", "η·λ₃ up to which ν₃ > 1"],
        features: &["F054", "F037"],
        expected: Verdict::HoldsIf("γ is small, products are not clipped and η·λ₃ < 0.95012"),
        run: order,
    },
    Experiment {
        name: "meta-egd-defaults",
        row: "X08",
        source: "000 §8.2, §10.1, §10.3, §12.1",
        claim: "η = 0.001, γ = 0.1 and gains within [0.001, 1000] train the source's own bowl",
        correct: "they diverge, as does any γ from 0.001 on at that rate: the product must be clipped or free of scale",
        errata: &["E28", "E23"],
        decides: &["ν₃ at step 2", "step at which the loss is infinite"],
        features: &["F045", "F050"],
        expected: Verdict::Refuted,
        run: defaults,
    },
    Experiment {
        name: "product-clip",
        row: "X08",
        source: "000 §7.1 eq. 51, §7.2",
        claim: "clipping the products keeps the gains from exploding",
        correct: "so it does, and the bowl is trained; the order of the gains is then reversed",
        errata: &["E27"],
        decides: &[
            "largest gain without the clip, γ = 0.1",
            "ν, γ = 0.1, 200 steps[1]",
            "ν, γ = 0.1, 200 steps[2]",
            "ν, γ = 0.1, 200 steps[3]",
        ],
        features: &["F037", "F038"],
        expected: Verdict::Holds,
        run: clip,
    },
    Experiment {
        name: "gamma-scale",
        row: "X15",
        source: "000 §10.1",
        claim: "γ between 0.01 and 0.5 suits every problem",
        correct: "γ has the unit of 1/gradient²; only signs or directions do not depend on the scale of the loss",
        errata: &["E10"],
        decides: &["ν₃, loss × 0.001", "ν₃, loss × 1000"],
        features: &["F045"],
        expected: Verdict::Refuted,
        run: scale,
    },
];

/// `ln ν / γ` for small γ, where the gains do not yet change the path.
fn law(lr: f64, h: f64) -> f64 {
    let r = 1.0 - lr * h;
    h * h * r / (1.0 - r * r)
}

fn small_gamma(lr: f64, gamma: f64, steps: usize) -> Result<Vec<f64>> {
    let mut walk = Walk::new(raw(meta_egd(), lr, gamma)?, &[1.0; 3])?;
    walk.descend(steps, bowl_gradient)?;
    Ok(walk.slot("ell")?.iter().map(|ell| ell / gamma).collect())
}

/// The learning rate, between two others, above which `holds` no longer does.
fn last_rate(mut low: f64, mut high: f64, holds: impl Fn(f64) -> Result<bool>) -> Result<f64> {
    for _ in 0..30 {
        let middle = 0.5 * (low + high);
        if holds(middle)? { low = middle } else { high = middle }
    }
    Ok(0.5 * (low + high))
}

/// Gains after `steps` steps with clipped products.
fn clipped(gamma: f64, steps: usize) -> Result<Walk> {
    let chain = tuned(meta_egd(), &[("gamma", gamma), ("clip", 1.0), ("lr", 1e-3)])?;
    let mut walk = Walk::new(chain, &[1.0; 3])?;
    walk.descend(steps, bowl_gradient)?;
    Ok(walk)
}

fn ordered(gains: &[f64]) -> bool {
    gains[2] > gains[1] && gains[1] > gains[0]
}

fn order(r: &mut Record) -> Result<()> {
    let got = small_gamma(1e-3, 1e-9, 20_000)?;
    r.all_printed("ln ν/γ at γ = 1e-9", &got, &["499.74975", "4974.86206", "47367.358"]);
    let want = CURVATURE.map(|h| law(1e-3, h));
    r.all_printed("the law for it", &want, &["499.74987", "4974.87437", "47368.42105"]);
    for i in 0..3 {
        r.relative(&format!("law against measurement, {}", i + 1), got[i], want[i], 1e-4);
    }
    let gains = |lr: f64| small_gamma(lr, 1e-12, 1000);
    let last_ordered = last_rate(9e-3, 1e-2, |lr| Ok(gains(lr)?[2] > gains(lr)?[1]))?;
    r.printed("η·λ₃ up to which ν₃ > ν₂", 100.0 * last_ordered, "0.95012");
    let last_growing = last_rate(9.5e-3, 1.1e-2, |lr| Ok(gains(lr)?[2] > 0.0))?;
    r.relative("η·λ₃ up to which ν₃ > 1", 100.0 * last_growing, 1.0, 1e-9);
    for lr in [1e-3, 0.0095, 0.01, 0.015] {
        r.claim(&format!("small γ, η = {lr}"), ordered(&gains(lr)?));
    }
    let mut walk = Walk::new(raw(meta_egd(), 1e-3, 1e-4)?, &[1.0; 3])?;
    walk.descend(200, bowl_gradient)?;
    r.claim("γ = 0.0001, η = 0.001", ordered(&walk.gains()?));
    r.claim("products clipped at 1, γ = 0.1", ordered(&clipped(0.1, 200)?.gains()?));
    let mut signs = Walk::new(egdd(), &[1.0; 3])?;
    signs.descend(200, bowl_gradient)?;
    r.claim("signs in place of products (EGDD)", ordered(signs.slot("gain")?));
    let rates = || (1..=198).map(|k| f64::from(k) * 1e-4);
    let figure = Figure::new(
        "gain-order",
        "ln ν/γ on the bowl for small γ: the order turns at η = 0.0095",
        Axis::linear("learning rate η"),
        Axis::linear("ln ν / γ").between(-5000.0, 20_000.0),
    );
    // Below these rates the first coordinate is not at rest after as many steps.
    let measured = [3e-3, 5e-3, 7e-3, 0.0095, 0.011, 0.013, 0.015, 0.017];
    let measured = measured
        .map(|lr| Ok((lr, small_gamma(lr, 1e-12, 3000)?)))
        .into_iter()
        .collect::<Result<Vec<_>>>()?;
    let curve = |figure: Figure, i: usize| {
        let h = CURVATURE[i];
        figure.line(&format!("law, curvature {h}"), rates().map(|lr| (lr, law(lr, h)))).points(
            &format!("measured, curvature {h}"),
            measured.iter().map(|(lr, ell)| (*lr, ell[i])),
        )
    };
    r.figure((0..3).fold(figure, curve));
    Ok(())
}

fn defaults(r: &mut Record) -> Result<()> {
    let chain = raw(meta_egd(), 1e-3, 0.1)?;
    let builder = Optimizer::<f64>::builder().rest("all", chain).non_finite(NonFinite::Fail);
    let mut opt = builder.threads(1).build()?;
    let (mut x, mut path, mut first_infinite, mut refused) = (vec![1.0; 3], vec![], None, None);
    for t in 1..=1200 {
        let g = bowl_gradient(&x);
        if opt.step(&mut [Param::new("x", &[3], &mut x, &g)]).is_err() {
            refused = Some(t);
            break;
        }
        if t == 2 {
            let ell = opt.slot("x", "ell").unwrap_or_default();
            r.relative("ν₃ at step 2", ell.get(2).map_or(f64::NAN, |ell| ell.exp()), 1000.0, 1e-12);
        }
        let loss = bowl(&x);
        path.push((f64::from(t), loss));
        first_infinite = first_infinite.or(loss.is_infinite().then_some(t));
    }
    let first = first_infinite.map_or(f64::INFINITY, f64::from);
    r.at_most("step at which the loss is infinite", first, 200.0);
    r.claim("γ = 0.1", first_infinite.is_none());
    let refusals = usize::from(refused.is_some());
    r.count("runs that end in a refused step and not in NaN, of 1", Some(refusals), Some(1), 0);
    for gamma in [1e-3, 1e-2, 0.5] {
        let mut walk = Walk::new(raw(meta_egd(), 1e-3, gamma)?, &[1.0; 3])?;
        walk.descend(200, bowl_gradient)?;
        r.above(&format!("loss after 200 steps, γ = {gamma}"), bowl(&walk.x), 1e10);
        r.claim(&format!("γ = {gamma}"), bowl(&walk.x) < 55.5);
    }
    let finite = path.into_iter().filter(|p| p.1.is_finite());
    r.figure(
        Figure::new(
            "meta-egd-defaults",
            "The source's defaults on the source's bowl",
            Axis::linear("step"),
            Axis::log("loss"),
        )
        .line("γ = 0.1", finite),
    );
    Ok(())
}

fn clip(r: &mut Record) -> Result<()> {
    // What the clip is held against: the same without it, whose gains stand at their largest allowed.
    let mut unclipped = Walk::new(raw(meta_egd(), 1e-3, 0.1)?, &[1.0; 3])?;
    unclipped.descend(100, bowl_gradient)?;
    let free = unclipped.gains()?.into_iter().fold(0.0, f64::max);
    r.note("largest gain without the clip, γ = 0.1", free);
    r.claim("γ = 0.1: without the clip they explode", free >= 999.0 && bowl(&unclipped.x) > 1e10);
    let fast = clipped(0.1, 200)?;
    let gains = fast.gains()?;
    r.all_printed("ν, γ = 0.1, 200 steps", &gains, &["51.60089436", "28.18444499", "5.41806247"]);
    r.printed("loss, γ = 0.1, 200 steps", bowl(&fast.x), "1.966e-08");
    r.claim("γ = 0.1", bowl(&fast.x) < 1e-6 && gains.iter().all(|nu| *nu < 1000.0));
    let slow = clipped(0.01, 500)?;
    let gains = slow.gains()?;
    r.all_printed("ν, γ = 0.01, 500 steps", &gains, &["5.93032131", "3.78158069", "1.48037137"]);
    r.printed("loss, γ = 0.01, 500 steps", bowl(&slow.x), "7.277e-03");
    r.claim("γ = 0.01", bowl(&slow.x) < 1.0 && gains.iter().all(|nu| *nu < 1000.0));
    let mut figure = Figure::new(
        "product-clip",
        "The loss of MetaEGD on the bowl, products limited to ±1",
        Axis::linear("step"),
        Axis::log("loss"),
    );
    for gamma in [0.1, 0.01] {
        let loss = |t: usize| Ok((t as f64, bowl(&clipped(gamma, t)?.x)));
        let path = (1..=200).map(loss).collect::<Result<Vec<_>>>()?;
        figure = figure.line(&format!("γ = {gamma}"), path);
    }
    r.figure(figure);
    Ok(())
}

/// The gains after 100 steps on the bowl times `scale`, with the rate divided by it.
fn rescaled(scale: f64) -> Result<Vec<f64>> {
    let mut walk = Walk::new(raw(meta_egd(), 1e-3 / scale, 1e-4)?, &[1.0; 3])?;
    walk.descend(100, |x| bowl_gradient(x).iter().map(|g| scale * g).collect())?;
    walk.gains()
}

fn scale(r: &mut Record) -> Result<()> {
    let (small, large) = (rescaled(1e-3)?, rescaled(1e3)?);
    r.printed("ν₁, loss × 0.001", small[0], "1.00000001");
    r.printed("ν₃, loss × 0.001", small[2], "1.000005");
    for (name, nu) in ["ν₁", "ν₂", "ν₃"].iter().zip(&large) {
        r.relative(&format!("{name}, loss × 1000"), *nu, 1000.0, 1e-12);
    }
    for (g, gain) in [(1.0, 1e-1), (1e-2, 1e-5), (1e-4, 1e-9)] {
        let mut walk = Walk::new(raw(meta_egd(), 1e-3, 0.1)?, &[0.0])?;
        walk.step(&[g])?;
        walk.step(&[g])?;
        let ell = walk.slot("ell")?[0];
        r.relative(&format!("ln ν per step at |g| = {g}, γ = 0.1"), ell, gain, 1e-12);
    }
    let mut paths = [vec![], vec![], vec![]];
    for k in -12..=12 {
        let scale = 10f64.powf(0.25 * f64::from(k));
        for (path, nu) in paths.iter_mut().zip(rescaled(scale)?) {
            path.push((scale, nu));
        }
    }
    let figure = Figure::new(
        "gamma-scale",
        "The gains after 100 steps on the bowl times a scale, with γ = 0.0001 and η by the scale",
        Axis::log("scale of the loss"),
        Axis::log("gain ν"),
    );
    let named = CURVATURE.iter().zip(paths);
    let figure =
        named.fold(figure, |figure, (h, path)| figure.line(&format!("curvature {h}"), path));
    r.figure(figure.bound("largest gain allowed", [(1e-3, 1e3), (1e3, 1e3)]));
    let moderate = |gains: &[f64]| gains.iter().all(|nu| *nu < 999.0) && gains[2] > 1.01;
    r.claim("loss × 0.001: the gains move", moderate(&small));
    r.claim("loss × 1000: the gains stay off their bounds", moderate(&large));
    Ok(())
}
