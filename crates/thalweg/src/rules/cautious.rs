//! Cautious optimizers (Liang et al. 2024, arXiv 2411.16085): only coordinates whose update agrees
//! with the gradient move.

use crate::part::{Fold, Join, Part};
use crate::real::Real;
use crate::registry::{Entry, log_range};
use crate::rule::{At, Here, Slot, slot_as};

crate::hypers! {
    /// Leaves out the coordinates of a tensor where update and gradient have not the same sign, and
    /// divides the others by their share, at least 1/1000 (official code). It stands after any
    /// direction. One extra reading pass.
    pub struct Cautious {}
}

impl Fold for Cautious {}

impl Part for Cautious {
    type Memory<F: Real> = [F; 0];
    type Scalars<F: Real> = [F; 1];
    type Terms<F: Real> = [F; 2];
    const SCALARS: &'static [Slot] = &[slot_as("factor", "f")];
    const JOIN: &'static [Join] = &[Join::Sum; 2];
    // Counts, of the very mask the sweep applies.
    const NATIVE: bool = true;

    #[inline(always)]
    fn terms<F: Real>(
        &self,
        _: &At<F>,
        _: usize,
        _: [F; 1],
    ) -> impl Fn(F, Here<F>, [F; 0]) -> [F; 2] + Copy + Send + Sync + use<F> {
        let (zero, one) = (F::number(0.0), F::number(1.0));
        // A product of signs does not underflow.
        move |u, Here { g, .. }, []| {
            [F::select(zero.lt(u.called("u").sign() * g.sign()), one, zero), one]
        }
    }

    fn settle<W: Real<Wide = W>>(
        &self,
        _: &At<W>,
        _: usize,
        [agree, n]: [W; 2],
        _: [W; 1],
    ) -> [W; 1] {
        let share = (agree / n.called("n")).max(W::number(1e-3)).called("share");
        [W::number(1.0) / share]
    }

    #[inline(always)]
    fn at<F: Real>(
        &self,
        _: &At<F>,
        [factor]: [F; 1],
    ) -> impl Fn(F, Here<F>, [F; 0]) -> (F, [F; 0]) + Copy + Send + Sync + use<F> {
        let zero = F::number(0.0);
        move |u, Here { g, .. }, []| {
            let u = u.called("u");
            (F::select(zero.lt(u.sign() * g.sign()), factor * u, zero), [])
        }
    }
}

crate::registry::blocks!(fold Cautious);

pub(crate) const ENTRIES: &[Entry] = &[Entry {
    name: "cautious_adamw",
    title: "Cautious AdamW",
    summary: "AdamW that moves only coordinates whose update agrees with the gradient.",
    source: "Liang et al. 2024, arXiv 2411.16085",
    chain: recipes::cautious_adamw,
    tune: &[log_range("lr", 1e-4, 1e0), log_range("decay", 1e-4, 1e-1)],
}];

pub mod recipes {
    //! Ready-made chains.
    use super::Cautious;
    use crate::chain::Chain;
    use crate::rules::{Adam, DecayWeights, Scale};

    /// AdamW (torch's form) with the cautious mask before the decay: `lr` 1e-3, `decay` 1e-2.
    pub fn cautious_adamw() -> Chain {
        Chain::new(<Adam>::default())
            .fold(Cautious::default())
            .then((DecayWeights::default(), Scale::default()))
    }
}
