//! Adaptive gradient clipping (Brock et al. 2021, arXiv 2102.06171): a gradient's norm is limited to a
//! share of its weights' norm, output by output.

use crate::hyper::Range;
use crate::part::{Fold, Join, Part, Scope, Supply};
use crate::real::Real;
use crate::registry::Entry;
use crate::rule::{At, Here, Slot, slot_as};

crate::hypers! {
    /// Scales the gradient of a row to the norm `λ·max(‖x‖, ε)` of that row if its norm is larger. A
    /// row holds the weights of one output: one index of the first axis; a vector is one row. The
    /// authors leave the last layer out. One extra reading pass.
    pub struct AdaptiveClip {
        /// Largest norm of the gradient in units of the weights' norm (paper 0.01).
        clipping "λ" = 1e-2 in Range::LIMIT,
        /// Smallest norm of weights that counts, so that zeros can leave zero (paper 1e-3).
        eps "ε" = 1e-3 in Range::POSITIVE,
    }
}

impl Fold for AdaptiveClip {}

impl Part for AdaptiveClip {
    type Memory<F: Real> = [F; 1];
    type Scalars<F: Real> = [F; 1];
    type Terms<F: Real> = [F; 2];
    const SCALARS: &'static [Slot] = &[slot_as("factor", "f")];
    const JOIN: &'static [Join] = &[Join::Sum; 2];
    const SCOPE: Scope = Scope::Row;
    const SUPPLY: Supply = Supply::Row;
    const ON_GRADIENT: bool = true;

    fn scalars(&self) -> [f64; 1] {
        [1.0]
    }

    #[inline(always)]
    fn terms<F: Real>(
        &self,
        _: &At<F>,
        _: usize,
        _: [F; 1],
    ) -> impl Fn(F, Here<F>, [F; 1]) -> [F; 2] + Copy + Send + Sync + use<F> {
        |g, Here { x, .. }, _| [g * g, x * x]
    }

    fn settle<W: Real<Wide = W>>(&self, at: &At<W>, _: usize, [g, x]: [W; 2], _: [W; 1]) -> [W; 1] {
        let most = at.get(&self.clipping) * x.sqrt().max(at.get(&self.eps));
        [W::number(1.0).min(most / g.sqrt().away_from_zero())]
    }

    #[inline(always)]
    fn at<F: Real>(
        &self,
        _: &At<F>,
        _: [F; 1],
    ) -> impl Fn(F, Here<F>, [F; 1]) -> (F, [F; 1]) + Copy + Send + Sync + use<F> {
        |g, _, [factor]| (factor * g, [factor])
    }
}

crate::registry::blocks!(fold AdaptiveClip);

pub(crate) const ENTRIES: &[Entry] = &[];

pub mod recipes {
    //! None: it is put before a direction.
}
