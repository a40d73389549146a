//! What is looked at before anything is written: non-finite gradients, and the norm.

use super::{LossScale, NonFinite, Optimizer, Outcome, StepReport};
use crate::engine::Element;
use crate::engine::drive::Sweep;
use crate::engine::plan::Sums;
use crate::engine::stage::{AnyStage, Gathers, Moment, PartStage, Situation};
use crate::engine::tensor::Tensor;
use crate::error::Error;
use crate::hyper::{HyperSpec, Range};
use crate::rules::SquaredNorm;

/// What [`Builder::clip_global_norm`](super::Builder::clip_global_norm) sets.
pub(super) static MAX_NORM: HyperSpec = HyperSpec {
    name: "clip_global_norm",
    symbol: "c",
    doc: "The largest norm over all gradients.",
    default: f64::INFINITY,
    range: Range::LIMIT,
    once: false,
};

/// Why nothing is written.
pub(super) struct Refusal {
    /// Whose gradients are not finite, and in how many places.
    pub(super) refused: Vec<(String, u64)>,
    /// What had been done to the gradients before; nothing, or the end of a sentence.
    pub(super) when: &'static str,
}

const SCALED: &str = ", once loss scale and weight are applied";
const ADDED: &str = ", once added to those accumulated (`discard_accumulated` forgets them)";

impl<E: Element> Optimizer<E> {
    /// The limit of the norm over all gradients at the next step, if there is one.
    pub(super) fn limit(&self) -> Option<f64> {
        Some(self.max_norm.value(self.steps)).filter(|limit| limit.is_finite())
    }

    /// Looks for gradients that are not finite, or would not be once they are scaled, and sets the clip
    /// factor.
    pub(super) fn guard<'p>(
        &self,
        sweep: &mut Sweep<'_, E>,
        scale: f64,
        name: impl Fn(usize) -> &'p str,
        by_name: &[usize],
        (norm_terms, sums): (&mut Gathers<E>, &mut Sums),
        report: &mut StepReport,
    ) -> Option<Refusal> {
        if !self.checks() && report.clip_global_norm.is_none() {
            return None;
        }
        let part = PartStage::<_, false>(SquaredNorm::default());
        let moment = Moment { t: 1, clock: 0 };
        let situation = Situation { isa: self.isa, moment, scalars: &[] };
        E::stage(&part as &dyn AnyStage).gather(situation, 0, norm_terms, 0);
        sweep.squares(norm_terms[0].as_ref(), sums);
        let mut norm = by_name.iter().map(|t| sums.of(*t)[0]).sum::<f64>().sqrt();
        if !norm.is_finite() {
            let refused = self.beyond(sweep.tensors, E::number(1.0), &name);
            if refused.is_empty() {
                let gradients = || sweep.tensors.iter().flat_map(|t| t.gradient(self.isa));
                norm = norm_of_huge(|| gradients().map(|g| g.widen()));
            } else if self.checks() {
                report.grad_norm = Some(norm);
                let summed = sweep.tensors.iter().any(|t| t.sum.is_some());
                return Some(Refusal { refused, when: if summed { ADDED } else { "" } });
            }
        }
        norm *= scale;
        report.grad_norm = Some(norm);
        let limit = report.clip_global_norm;
        let exceeded = limit.filter(|limit| norm > *limit && norm.is_finite());
        let factor = exceeded.map_or(1.0, |limit| limit / norm);
        sweep.scale = E::lift(scale * factor);
        // No coordinate exceeds the norm, nor twice the norm when rounded. Zero is none times infinity.
        if self.checks() && !(fits::<E>(scale * factor) && fits::<E>(2.0 * norm * factor)) {
            let refused = self.beyond(sweep.tensors, sweep.scale, &name);
            if !refused.is_empty() {
                return Some(Refusal { refused, when: SCALED });
            }
        }
        report.clip_factor = factor;
        None
    }

    /// Looks at sums that a batch of this norm, times `weight`, would be added to.
    pub(super) fn guard_sums<'p>(
        &self,
        tensors: &[Tensor<'_, E>],
        weight: f64,
        norm: Option<f64>,
        name: impl Fn(usize) -> &'p str,
    ) -> Option<Refusal> {
        // As many batches that are so far below the largest number as this do not add up to it, so that
        // hardly any batch costs another reading pass.
        const BATCHES: f64 = (1u64 << 32) as f64;
        let norm = norm.filter(|_| self.checks())?;
        if fits::<E>(BATCHES * weight * norm.max(1.0)) {
            return None;
        }
        let refused = self.beyond(tensors, E::number(1.0), &name);
        (!refused.is_empty()).then_some(Refusal { refused, when: ADDED })
    }

    fn checks(&self) -> bool {
        self.non_finite != NonFinite::Unchecked
    }

    /// The tensors whose gradient is not finite times `factor`, and in how many places.
    fn beyond<'p>(
        &self,
        tensors: &[Tensor<'_, E>],
        factor: E,
        name: &impl Fn(usize) -> &'p str,
    ) -> Vec<(String, u64)> {
        let count = |t: &Tensor<'_, E>| {
            let gradient = t.gradient(self.isa);
            gradient.iter().filter(|g| !(**g * factor).widen().is_finite()).count() as u64
        };
        let counts = tensors.iter().map(count).enumerate().filter(|(_, count)| *count > 0);
        counts.map(|(t, count)| (name(t).to_owned(), count)).collect()
    }

    /// Whether the refusal of a step or batch counts towards the limit: a smaller loss scale may be all that
    /// it takes.
    fn counts(&self) -> bool {
        let hopeful = self.loss_scale.as_ref().is_some_and(LossScale::adapts);
        !(hopeful && self.non_finite != NonFinite::Fail)
    }

    /// How many refusals in a row are an error.
    fn most_refused(&self) -> u64 {
        match self.non_finite {
            NonFinite::Skip { limit } => limit,
            _ => 1,
        }
    }

    /// Whether one more refusal is an error, which leaves the gradients to be looked at.
    pub(super) fn gives_up(&self) -> bool {
        self.counts() && self.refused_in_a_row + 1 >= self.most_refused()
    }

    /// Zeroes the gradients of a refusal that are to be.
    pub(super) fn let_go(&self, sweep: &Sweep<'_, E>) {
        if !self.gives_up() {
            sweep.clear();
        }
    }

    pub(super) fn refuse(
        &mut self,
        Refusal { refused, when }: Refusal,
        report: &mut StepReport,
    ) -> Result<(), Error> {
        let limit = self.most_refused();
        if self.gives_up() {
            let (parameter, count) = refused[0].clone();
            let row = if limit > 1 { format!(", {limit} refused in a row") } else { String::new() };
            let more = format!("{when}{row}");
            return Err(Error::NonFinite { parameter, count, step: self.steps + 1, more });
        }
        self.refused_in_a_row += u64::from(self.counts());
        if let Some(scale) = &mut self.loss_scale {
            scale.overflowed();
        }
        report.outcome = Outcome::Refused(refused);
        Ok(())
    }
}

/// Whether a number is finite in the number type of the formulas.
fn fits<E: Element>(number: f64) -> bool {
    E::lift(number).widen().is_finite()
}

/// The norm of finite numbers whose squares leave the range of `f64`.
pub(super) fn norm_of_huge<I: Iterator<Item = f64>>(all: impl Fn() -> I) -> f64 {
    let largest = all().fold(0.0, |a: f64, g| a.max(g.abs()));
    let ratio = all().map(|g| (g / largest) * (g / largest)).sum::<f64>().sqrt();
    // Beyond the largest number a limit would turn the gradient to zero.
    (largest * ratio).min(f64::MAX)
}
