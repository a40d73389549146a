//! Gradient centralisation (Yong et al. 2020, arXiv 2004.01461): the gradients of one output sum to
//! zero.

use crate::part::{Fold, Join, Part, Scope, Supply};
use crate::real::Real;
use crate::registry::Entry;
use crate::rule::{At, Here, Slot, slot_as};

crate::hypers! {
    /// Takes the mean of its row from every gradient. A row holds the weights of one output: one index
    /// of the first axis; vectors stay as they are. One extra reading pass.
    pub struct Centralize {}
}

impl Fold for Centralize {}

impl Part for Centralize {
    type Memory<F: Real> = [F; 1];
    type Scalars<F: Real> = [F; 1];
    type Terms<F: Real> = [F; 2];
    const SCALARS: &'static [Slot] = &[slot_as("mean", "ḡ")];
    const JOIN: &'static [Join] = &[Join::Sum; 2];
    const SCOPE: Scope = Scope::Row;
    const SUPPLY: Supply = Supply::Row;
    const ON_GRADIENT: bool = true;

    fn skips(&self, shape: &[usize]) -> bool {
        shape.len() < 2
    }

    #[inline(always)]
    fn terms<F: Real>(
        &self,
        _: &At<F>,
        _: usize,
        _: [F; 1],
    ) -> impl Fn(F, Here<F>, [F; 1]) -> [F; 2] + Copy + Send + Sync + use<F> {
        let one = F::number(1.0);
        move |g, _, _| [g, one]
    }

    fn settle<W: Real<Wide = W>>(&self, _: &At<W>, _: usize, [sum, n]: [W; 2], _: [W; 1]) -> [W; 1] {
        [sum / n.called("n")]
    }

    #[inline(always)]
    fn at<F: Real>(
        &self,
        _: &At<F>,
        _: [F; 1],
    ) -> impl Fn(F, Here<F>, [F; 1]) -> (F, [F; 1]) + Copy + Send + Sync + use<F> {
        |g, _, [mean]| (g - mean, [mean])
    }
}

crate::registry::blocks!(fold Centralize);

pub(crate) const ENTRIES: &[Entry] = &[];

pub mod recipes {
    //! None: it is put before a direction.
}
