//! What is looked at before anything is written: non-finite gradients, and the norm.

use super::{LossScale, NonFinite, Optimizer, Outcome, StepReport};
use crate::engine::Element;
use crate::engine::drive::Sweep;
use crate::engine::plan::Sums;
use crate::engine::stage::{AnyStage, Gathers, Moment, PartStage, Situation};
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

impl<E: Element> Optimizer<E> {
    /// The limit of the norm over all gradients at the next step, if there is one.
    pub(super) fn limit(&self) -> Option<f64> {
        Some(self.max_norm.value(self.steps)).filter(|limit| limit.is_finite())
    }

    /// Looks for non-finite gradients and sets the clip factor. Returns the parameters refused.
    pub(super) fn guard<'p>(
        &self,
        sweep: &mut Sweep<'_, E>,
        scale: f64,
        name: impl Fn(usize) -> &'p str,
        by_name: &[usize],
        (norm_terms, sums): (&mut Gathers<E>, &mut Sums),
        report: &mut StepReport,
    ) -> Option<Vec<(String, u64)>> {
        if self.non_finite == NonFinite::Unchecked && report.clip_global_norm.is_none() {
            return None;
        }
        let part = PartStage::<_, false>(SquaredNorm::default());
        let moment = Moment { t: 1, clock: 0 };
        let situation = Situation { isa: self.isa, moment, scalars: &[] };
        E::stage(&part as &dyn AnyStage).gather(situation, 0, norm_terms, 0);
        sweep.squares(norm_terms[0].as_ref(), sums);
        let mut norm = by_name.iter().map(|t| sums.of(*t)[0]).sum::<f64>().sqrt();
        if !norm.is_finite() {
            let gradients: Vec<Vec<E>> =
                sweep.tensors.iter().map(|t| t.gradient(self.isa)).collect();
            let refused: Vec<(String, u64)> = gradients
                .iter()
                .enumerate()
                .filter_map(|(t, grad)| {
                    let count = grad.iter().filter(|g| !g.widen().is_finite()).count() as u64;
                    (count > 0).then(|| (name(t).to_owned(), count))
                })
                .collect();
            if refused.is_empty() {
                norm = norm_of_huge(|| gradients.iter().flatten().map(|g| g.widen()));
            } else if self.non_finite != NonFinite::Unchecked {
                report.grad_norm = Some(norm);
                return Some(refused);
            }
        }
        norm *= scale;
        report.grad_norm = Some(norm);
        let limit = report.clip_global_norm;
        if let Some(limit) = limit.filter(|limit| norm > *limit && norm.is_finite()) {
            report.clip_factor = limit / norm;
            sweep.scale = E::lift(scale * report.clip_factor);
        }
        None
    }

    pub(super) fn refuse(
        &mut self,
        refused: Vec<(String, u64)>,
        report: &mut StepReport,
    ) -> Result<(), Error> {
        let hopeful = self.loss_scale.as_ref().is_some_and(LossScale::adapts);
        if let Some(scale) = &mut self.loss_scale {
            scale.overflowed();
        }
        // A smaller scale may be all that it takes.
        let counts = !(hopeful && self.non_finite != NonFinite::Fail);
        self.refused_in_a_row += u64::from(counts);
        let limit = match self.non_finite {
            NonFinite::Skip { limit } => limit,
            _ => 1,
        };
        if counts && self.refused_in_a_row >= limit {
            let (parameter, count) = refused[0].clone();
            let more =
                if limit > 1 { format!(", {limit} refused in a row") } else { String::new() };
            return Err(Error::NonFinite { parameter, count, step: self.steps + 1, more });
        }
        report.outcome = Outcome::Refused(refused);
        Ok(())
    }
}

/// The norm of finite numbers whose squares leave the range of `f64`.
pub(super) fn norm_of_huge<I: Iterator<Item = f64>>(all: impl Fn() -> I) -> f64 {
    let largest = all().fold(0.0, |a: f64, g| a.max(g.abs()));
    let ratio = all().map(|g| (g / largest) * (g / largest)).sum::<f64>().sqrt();
    // Beyond the largest number a limit would turn the gradient to zero.
    (largest * ratio).min(f64::MAX)
}
