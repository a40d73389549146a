//! DoG (Ivgi, Hinder & Carmon 2023, arXiv 2302.12022): the distance travelled over the gradients
//! seen is the learning rate.

use crate::hyper::Range;
use crate::part::{Fold, Join, Part, Scope};
use crate::real::Real;
use crate::registry::{Entry, log_range};
use crate::rule::{At, Here, Slot, slot, slot_as};

crate::hypers! {
    /// Multiplies the update by `r̄/√(G + ε)`: the largest distance of the group from its start,
    /// over the root of the sum of all squared gradients.
    ///
    /// The first distance is `r₀·(1 + ‖x₀‖)`. Squares are of what reaches the fold.
    pub struct Dog {
        /// The first distance, as a share of `1 + ‖x₀‖` (official 1e-6; 1e-4 with batch norm).
        reps_rel "r₀" = 1e-6 in Range::POSITIVE,
        /// Added to the sum of squares, in units of a squared gradient (official code: 1e-8).
        eps "ε" = 1e-8 in Range::NON_NEGATIVE,
    }
}

impl Fold for Dog {}

impl Part for Dog {
    type Memory<F: Real> = [F; 1];
    type Scalars<F: Real> = [F; 2];
    type Terms<F: Real> = [F; 3];
    const SLOTS: &'static [Slot] = &[slot_as("x0", "x₀").exact()];
    const SCALARS: &'static [Slot] = &[slot_as("distance", "r̄"), slot("G")];
    const JOIN: &'static [Join] = &[Join::Sum; 3];
    const SCOPE: Scope = Scope::Group;

    fn start<F: Real>(&self, x: F) -> [F; 1] {
        [x]
    }

    #[inline(always)]
    fn terms<F: Real>(
        &self,
        _: &At<F>,
        _: usize,
        _: [F; 2],
    ) -> impl Fn(F, Here<F>, [F; 1]) -> [F; 3] + Copy + Send + Sync + use<F> {
        |u, Here { x, .. }, [x0]| {
            let way = x - x0;
            [way * way, u * u, x0 * x0]
        }
    }

    fn settle<W: Real<Wide = W>>(
        &self,
        at: &At<W>,
        _: usize,
        [way, square, start]: [W; 3],
        [distance, sum]: [W; 2],
    ) -> [W; 2] {
        // The first distance never changes, so it may stand in every maximum: no step is special.
        let first = at.get(&self.reps_rel) * (W::number(1.0) + start.sqrt());
        [distance.max(way.sqrt()).max(first), sum + square]
    }

    #[inline(always)]
    fn at<F: Real>(
        &self,
        at: &At<F>,
        [distance, sum]: [F; 2],
    ) -> impl Fn(F, Here<F>, [F; 1]) -> (F, [F; 1]) + Copy + Send + Sync + use<F> {
        let root = (sum.widen() + at.get(&self.eps)).sqrt();
        let [root] = at.lift([root]);
        let root = root.away_from_zero();
        // Not a rate times u: where there was no gradient yet, the rate may be more than `f32` holds.
        move |u, _, memory| (distance * u / root, memory)
    }
}

crate::registry::blocks!(fold Dog);

pub(crate) const ENTRIES: &[Entry] = &[Entry {
    name: "dog",
    title: "DoG",
    summary: "Gradient descent at a rate of distance over gradients, without a rate to tune.",
    source: "Ivgi, Hinder & Carmon 2023, arXiv 2302.12022; dog-optimizer",
    chain: recipes::dog,
    tune: &[log_range("lr", 1e-1, 1e1)],
}];

pub mod recipes {
    //! Ready-made chains.
    use super::Dog;
    use crate::chain::Chain;
    use crate::rules::Scale;

    /// DoG: `lr` 1, `reps_rel` 1e-6, `eps` 1e-8 (official code).
    pub fn dog() -> Chain {
        Chain::new(()).fold(Dog::default()).then(Scale::default().lr(1.0))
    }
}
