//! Gradient clipping by value and by norm (Pascanu et al. 2013, arXiv 1211.5063).
//!
//! The norm over all parameters of all groups is the optimizer's business:
//! [`Builder::clip_global_norm`](crate::Builder::clip_global_norm).

use crate::hyper::Range;
use crate::part::{Fold, Join, Part};
use crate::real::Real;
use crate::registry::Entry;
use crate::rule::{At, Here, Rule, Slot, slot};

crate::hypers! {
    /// Limits every coordinate of the gradient to `[−limit, limit]`.
    pub struct ClipValue {
        /// The limit, in units of the gradient (ours 1).
        limit "c" = 1.0 in Range::LIMIT,
    }
}

impl Rule for ClipValue {
    type Memory<F: Real> = [F; 0];
    const ON_GRADIENT: bool = true;

    #[inline(always)]
    fn at<F: Real>(
        &self,
        at: &At<F>,
    ) -> impl Fn(F, Here<F>, [F; 0]) -> (F, [F; 0]) + Copy + Send + Sync + use<F> {
        let [limit] = at.lift([at.get(&self.limit)]);
        move |g, _, []| (g.clamp(-limit, limit), [])
    }
}

crate::hypers! {
    /// Scales the gradient of a tensor to the norm `max_norm` if its Euclidean norm is larger.
    /// One extra reading pass. In `f64` a norm whose square is not finite (beyond 1e154) counts as infinite:
    /// its gradient becomes zero. [`clip_global_norm`](crate::Builder::clip_global_norm) has no such end.
    pub struct ClipNorm {
        /// The largest norm of a tensor's gradient (ours 1).
        max_norm "c" = 1.0 in Range::LIMIT,
    }
}

impl Fold for ClipNorm {}

impl Part for ClipNorm {
    type Memory<F: Real> = [F; 0];
    type Scalars<F: Real> = [F; 1];
    type Terms<F: Real> = [F; 1];
    const SCALARS: &'static [Slot] = &[slot("factor")];
    const JOIN: &'static [Join] = &[Join::Sum];
    const ON_GRADIENT: bool = true;

    #[inline(always)]
    fn terms<F: Real>(
        &self,
        _: &At<F>,
        _: usize,
        _: [F; 1],
    ) -> impl Fn(F, Here<F>, [F; 0]) -> [F; 1] + Copy + Send + Sync + use<F> {
        |g, _, []| [g * g]
    }

    fn settle<W: Real<Wide = W>>(&self, at: &At<W>, _: usize, [square]: [W; 1], _: [W; 1]) -> [W; 1] {
        let (norm, max) = (square.sqrt(), at.get(&self.max_norm));
        [W::select(max.lt(norm), max / norm, W::number(1.0))]
    }

    #[inline(always)]
    fn at<F: Real>(
        &self,
        _: &At<F>,
        [factor]: [F; 1],
    ) -> impl Fn(F, Here<F>, [F; 0]) -> (F, [F; 0]) + Copy + Send + Sync + use<F> {
        move |g, _, []| (factor * g, [])
    }
}

crate::hypers! {
    /// Gathers the sum of the squares of the gradient; what the step's guard reads.
    pub struct SquaredNorm {}
}

impl Part for SquaredNorm {
    type Memory<F: Real> = [F; 0];
    type Scalars<F: Real> = [F; 0];
    type Terms<F: Real> = [F; 1];
    const JOIN: &'static [Join] = &[Join::Sum];

    #[inline(always)]
    fn terms<F: Real>(
        &self,
        _: &At<F>,
        _: usize,
        _: [F; 0],
    ) -> impl Fn(F, Here<F>, [F; 0]) -> [F; 1] + Copy + Send + Sync + use<F> {
        |_, here, []| [here.g * here.g]
    }

    fn at<F: Real>(
        &self,
        _: &At<F>,
        _: [F; 0],
    ) -> impl Fn(F, Here<F>, [F; 0]) -> (F, [F; 0]) + Copy + Send + Sync + use<F> {
        |u, _, []| (u, [])
    }
}

crate::registry::blocks!(rule ClipValue, fold ClipNorm);

pub(crate) const ENTRIES: &[Entry] = &[];
pub(crate) mod recipes {}
