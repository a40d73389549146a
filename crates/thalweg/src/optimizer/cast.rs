//! Who takes part in a step.

use super::fit::width;
use super::sparse::Merged;
use super::{Optimizer, Param};
use crate::engine::Element;
use crate::engine::stream::{Extent, Rows};

/// What is done with the gradients of a call.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Act {
    Step,
    Accumulate,
}

/// The parameters that take part in a step or an accumulation. It is kept from one to the next: while
/// the list stays the same, nothing is sorted or allocated.
#[derive(Default)]
pub(super) struct Cast<E> {
    /// The state of each parameter of the list.
    pub(super) order: Vec<usize>,
    /// Which of the list take part.
    pub(super) active: Vec<usize>,
    /// Those that take part in the order of their names, so that the order of the list does not change
    /// a sum over them.
    pub(super) by_name: Vec<usize>,
    /// The rows of each that takes part, in order, where its gradient is sparse.
    merged: Vec<Merged<E>>,
    /// What the caller says this batch counts.
    pub(super) weight: f64,
    /// Whether earlier batches are to be used too.
    pub(super) summed: bool,
}

impl<E: Element> Cast<E> {
    /// Forgets the list: its parameters or their states are no longer what they were.
    pub(super) fn clear(&mut self) {
        self.order.clear();
        self.active.clear();
        self.by_name.clear();
    }

    /// What of the `t`-th that takes part is stepped, and what its gradient is of.
    pub(super) fn extent<'r>(&'r self, t: usize, params: &'r [Param<'_, E>]) -> Extent<Rows<'r>> {
        let param = &params[self.active[t]];
        param.extent().map(|given| self.merged[t].rows(given, width(param.shape)))
    }
}

impl<E: Element> Optimizer<E> {
    /// Whether earlier batches are to be used too.
    pub(super) fn uses_sums(&self, act: Act) -> bool {
        act == Act::Step && self.accumulated > 0.0 && self.states.iter().any(|s| s.waits())
    }

    /// Finds out who of the list, whose states are known, takes part.
    pub(super) fn enlist(
        &self,
        params: &[Param<'_, E>],
        cast: &mut Cast<E>,
        weight: f64,
        act: Act,
    ) {
        let summed = self.uses_sums(act);
        let takes_part = |k: &usize| {
            let state = &self.states[cast.order[*k]];
            let active = params[*k].grad.is_some() && !state.frozen;
            active || (summed && state.waits())
        };
        let active = (0..params.len()).filter(takes_part);
        if !active.clone().eq(cast.active.iter().copied()) || cast.by_name.is_empty() {
            cast.active = active.collect();
            cast.by_name = (0..cast.active.len()).collect();
            cast.by_name.sort_unstable_by_key(|t| params[cast.active[*t]].name);
        }
        (cast.weight, cast.summed) = (weight, summed);
        if params.iter().any(Param::is_sparse) {
            cast.merged.resize_with(cast.active.len(), Merged::default);
            for (merged, k) in cast.merged.iter_mut().zip(&cast.active) {
                let param = &params[*k];
                let Some(gradient) = &param.grad else { continue };
                if let Extent::Rows(rows) | Extent::Scattered(rows) = gradient.extent {
                    merged.merge(self.isa, rows, &gradient.values, width(param.shape));
                }
            }
        }
    }
}
