//! What of the moments can be read from a block: agreement with the momentum, ε in charge, underflow.

use crate::chain::Chain;
use crate::engine::stage::{AnyStage, Moment};
use crate::hyper::Block;
use crate::part::{Join, Part};
use crate::real::Real;
use crate::rule::{At, Here, Kind};

/// The moments of one parameter at a step.
///
/// The first moment is the first slot called `m` or `buf`, the second moment the slot called `v_max`,
/// `v`, `s` or `sum`. Shares of something that a chain does not have, or of no coordinates, are NaN.
#[derive(Clone, Debug, PartialEq)]
pub struct Moments {
    /// Share of coordinates whose gradient has the sign of the first moment before the step, among
    /// those where neither is zero; the gradient as rules before it (clip, L2, noise) have left it. NaN
    /// also if one of those redefines it and is not this library's.
    pub aligned: f64,
    /// Share of coordinates whose second moment is still zero after the step: none has ever had a
    /// gradient, unless all of it has decayed.
    pub still_zero: f64,
    /// Share of coordinates for which ε outweighs the root of the second moment in the divisor, among
    /// those whose second moment is not zero: there the method is gradient descent with the rate
    /// `lr/ε`. What is compared follows the place of ε ([`Outside`](crate::Outside): `√v̂ < ε`;
    /// [`Inside`](crate::Inside): `v̂ < ε`; [`Hat`](crate::Hat): `√v < ε`), and what of `v` is
    /// corrected is the method's. NaN where something else is under the root (centred RMSProp), while
    /// nothing is divided (RAdam's first steps), and for rules that are not this library's.
    pub eps_dominates: f64,
    /// Share of the second moments above zero that f16 would round to zero.
    pub lost_in_f16: f64,
    /// Share of the second moments above zero that bf16 would round to zero.
    pub lost_in_bf16: f64,
}

/// Half the smallest number of f16 and of bf16: what is not larger is rounded to zero.
const LOST_IN_F16: f64 = f64::from_bits((1023 - 25) << 52);
const LOST_IN_BF16: f64 = f64::from_bits((1023 - 134) << 52);

/// Where a chain keeps its moments, as slots of the whole chain.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct MomentSlots {
    pub(crate) first: Option<usize>,
    pub(crate) second: Option<usize>,
    /// The second moment below which ε is in charge; NaN if the chain has no ε.
    threshold: f64,
}

impl MomentSlots {
    /// Whether there is nothing to read.
    pub(crate) fn is_blind(&self) -> bool {
        self.first.is_none() && self.second.is_none()
    }
}

/// The moments of a chain at a moment.
pub(crate) fn slots_of(chain: &Chain, moment: Moment) -> MomentSlots {
    let mut found = MomentSlots { threshold: f64::NAN, ..MomentSlots::default() };
    let mut at = 0;
    for stage in chain.stages() {
        let slots = stage.slots();
        let named = |names: &[&str], kind| {
            let of = |name| slots.iter().position(|s| s.name == name && s.kind == kind);
            names.iter().find_map(|name| of(*name)).map(|k| at + k)
        };
        found.first = found.first.or_else(|| named(&["m", "buf"], Kind::Signed));
        if found.second.is_none() {
            found.second = named(&["v_max", "v", "s", "sum"], Kind::NonNegative);
            if found.second.is_some() {
                found.threshold = threshold(stage.as_ref(), moment);
            }
        }
        at += slots.len();
    }
    found
}

/// The second moment at which ε and the root of the moment are equal.
fn threshold(stage: &dyn AnyStage, moment: Moment) -> f64 {
    let blocks = stage.blocks();
    let with_denominator =
        |block: &Block| Some((block.clone(), part(block, "denominator")?.clone()));
    let Some((rule, denominator)) = blocks.iter().find_map(with_denominator) else {
        return f64::NAN;
    };
    let Some(corrected) = corrected(&rule, moment) else { return f64::NAN };
    let eps = value(&denominator, "eps", moment).unwrap_or(0.0);
    let root = value(&denominator, "eps_root", moment).unwrap_or(0.0);
    match denominator.name() {
        "Inside" => eps / corrected,
        "Hat" => eps * eps,
        "HatBoth" => root.max(eps * eps - root),
        _ => root.max(eps * eps - root) / corrected,
    }
}

fn value(block: &Block, name: &str, moment: Moment) -> Option<f64> {
    let hyper = block.hypers.iter().find(|h| h.spec().name == name);
    hyper.map(|h| h.value(moment.clock))
}

fn part<'b>(block: &'b Block, place: &str) -> Option<&'b Block> {
    block.parts.iter().find(|(at, _)| *at == place).map(|(_, part)| part)
}

/// What a rule multiplies the second moment by before it takes the root, if that is all it does.
fn corrected(rule: &Block, moment: Moment) -> Option<f64> {
    let t = moment.t as f64;
    let hyper = |name| value(rule, name, moment);
    let average = |beta: f64| 1.0 / (1.0 - libm::pow(beta, t));
    let form = |place| part(rule, place).map(Block::name);
    match rule.name() {
        "AdaGrad" | "RmsProp" | "Adopt" => Some(1.0),
        "Adam" | "AdEmaMix" | "LaProp" | "CorrectedRms" => hyper("beta2").map(average),
        "Adan" => hyper("beta3").map(average),
        "AmsGrad" if form("maximum") != Some("Raw") => Some(1.0),
        "Yogi" if form("start") == Some("AtRest") => Some(1.0),
        "AmsGrad" | "Yogi" => hyper("beta2").map(average),
        "NAdam" => {
            let beta = hyper("beta2")?;
            let paper = form("path") == Some("PaperMomentum");
            Some(average(beta) * if paper { beta } else { 1.0 })
        }
        "RAdam" => {
            let (beta, threshold) = (hyper("beta2")?, hyper("threshold")?);
            (crate::rules::rectify(beta, t).0 > threshold).then(|| average(beta))
        }
        _ => None,
    }
}

crate::hypers! {
    /// Counts second moments: above zero, below the threshold of ε, lost in half precision.
    pub(crate) struct Counts {
        /// The second moment at which ε and its root are equal.
        threshold "τ" = 0.0 in crate::Range::ANY,
    }
}

/// What counts the second moments of these slots.
pub(crate) fn counts(slots: &MomentSlots) -> Counts {
    Counts::default().threshold(if slots.threshold.is_nan() { 0.0 } else { slots.threshold })
}

impl Part for Counts {
    type Memory<F: Real> = [F; 1];
    type Scalars<F: Real> = [F; 0];
    type Terms<F: Real> = [F; 4];
    const JOIN: &'static [Join] = &[Join::Sum; 4];
    const NATIVE: bool = true;

    #[inline(always)]
    fn terms<F: Real>(
        &self,
        at: &At<F>,
        _: usize,
        _: [F; 0],
    ) -> impl Fn(F, Here<F>, [F; 1]) -> [F; 4] + Copy + Send + Sync + use<F> {
        let [threshold] = at.lift([at.get(&self.threshold)]);
        let (zero, one) = (F::number(0.0), F::number(1.0));
        let (f16, bf16) = (F::number(LOST_IN_F16), F::number(LOST_IN_BF16));
        move |_, _, [v]| {
            let positive = F::select(zero.lt(v), one, zero);
            let not_above = |limit: F| F::select(limit.lt(v), zero, positive);
            let below = F::select(v.lt(threshold), positive, zero);
            [positive, below, not_above(f16), not_above(bf16)]
        }
    }

    fn at<F: Real>(
        &self,
        _: &At<F>,
        _: [F; 0],
    ) -> impl Fn(F, Here<F>, [F; 1]) -> (F, [F; 1]) + Copy + Send + Sync + use<F> {
        |u, _, memory| (u, memory)
    }
}

/// The reading of a tensor of `n` coordinates from what was gathered.
pub(crate) fn moments(slots: &MomentSlots, n: usize, aligned: &[f64], counts: &[f64]) -> Moments {
    let second = |share: f64| if slots.second.is_some() { share } else { f64::NAN };
    let first = |share: f64| if slots.first.is_some() { share } else { f64::NAN };
    let eps = if slots.threshold.is_nan() { f64::NAN } else { counts[1] / counts[0] };
    Moments {
        aligned: first(aligned[0] / aligned[1]),
        still_zero: second(1.0 - counts[0] / n as f64),
        eps_dominates: second(eps),
        lost_in_f16: second(counts[2] / counts[0]),
        lost_in_bf16: second(counts[3] / counts[0]),
    }
}
