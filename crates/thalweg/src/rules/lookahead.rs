//! Lookahead (Zhang, Lucas, Hinton & Ba 2019, arXiv 1907.08610).

use crate::hyper::Range;
use crate::real::Real;
use crate::registry::{Entry, log_range};
use crate::rule::{At, Here, Rule, Slot, slot_as};

/// Whole numbers of steps.
pub(crate) const STEPS: Range =
    Range { low: 1.0, high: f64::INFINITY, low_allowed: true, high_allowed: false };

crate::hypers! {
    /// Lookahead: every `k` steps the slow weights go a part of the way to the parameter, and the
    /// parameter starts anew from them. The slow weights are what is evaluated.
    ///
    /// Last in its chain, after [`Scale`](crate::rules::Scale): what reaches it is the step, and
    /// what it returns is subtracted from the parameter. Elsewhere, and over a geometry, it is an
    /// error.
    pub struct Lookahead {
        /// Steps between visits of the slow weights, rounded to a whole number (paper 5).
        k "k" = 5.0 in STEPS,
        /// Part of the way that the slow weights go (paper 0.5).
        alpha "α" = 0.5 in Range::UNIT,
    }
}

impl Rule for Lookahead {
    type Memory<F: Real> = [F; 1];
    const SLOTS: &'static [Slot] = &[slot_as("slow", "φ").exact()];
    const HAS_VIEW: bool = true;
    const LAST: bool = true;

    fn start<F: Real>(&self, x: F) -> [F; 1] {
        [x]
    }

    #[inline(always)]
    fn at<F: Real>(
        &self,
        at: &At<F>,
    ) -> impl Fn(F, Here<F>, [F; 1]) -> (F, [F; 1]) + Copy + Send + Sync + use<F> {
        let [alpha, rest, one] =
            at.lift([at.get(&self.alpha), at.remainder(&self.k), F::Wide::number(1.0)]);
        move |u, here, [slow]| {
            let visit = rest.lt(one);
            let fast = (here.x - u).called("y");
            let next = slow + alpha * (fast - slow);
            (F::select(visit, here.x - next, u), [F::select(visit, next, slow)])
        }
    }

    #[inline(always)]
    fn view<F: Real>(&self, _: &At<F>) -> impl Fn(F, [F; 1]) -> F + Copy + Send + Sync + use<F> {
        |_, [slow]| slow
    }
}

crate::registry::blocks!(rule Lookahead);

pub(crate) const ENTRIES: &[Entry] = &[Entry {
    name: "lookahead",
    title: "Lookahead (Adam)",
    summary: "Adam whose slow weights go half-way to it every few steps and take it along.",
    source: "Zhang et al. 2019, arXiv 1907.08610; pytorch_optimizer.Lookahead 4.1.0",
    chain: recipes::lookahead,
    tune: &[log_range("lr", 1e-4, 1e0)],
}];

pub mod recipes {
    //! Ready-made chains.
    use super::Lookahead;
    use crate::chain::Chain;
    use crate::rules::{Adam, Scale};

    /// Lookahead around Adam: `k` 5, `alpha` 0.5 (paper), Adam's `lr` 1e-3.
    pub fn lookahead() -> Chain {
        Chain::new((<Adam>::default(), Scale::default(), Lookahead::default()))
    }
}
