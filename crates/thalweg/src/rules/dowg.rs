//! DoWG (Khaled, Mishchenko & Jin 2023, arXiv 2305.16284): distance over gradients that are weighted
//! by the distance, so early gradients do not keep the rate small for ever.

use crate::hyper::Range;
use crate::part::{Fold, Join, Part, Scope};
use crate::real::Real;
use crate::registry::{Entry, log_range};
use crate::rule::{At, Here, Slot, slot, slot_as};

crate::hypers! {
    /// Multiplies the update by `r̄²/(√v + ε)`: the square of the largest distance of the
    /// parameters from their start, over the root of the sum of all squared gradients, each times `r̄²` as it was then.
    pub struct Dowg {
        /// The first distance, in units of the parameter (official code: √1e-4).
        first "r_ε" = 1e-2 in Range::POSITIVE,
        /// Added to the root, in units of a distance times a gradient (official code: 1e-4).
        eps "ε" = 1e-4 in Range::NON_NEGATIVE,
    }
}

impl Fold for Dowg {}

impl Part for Dowg {
    type Memory<F: Real> = [F; 1];
    type Scalars<F: Real> = [F; 2];
    type Terms<F: Real> = [F; 2];
    const SLOTS: &'static [Slot] = &[slot_as("x0", "x₀").exact()];
    const SCALARS: &'static [Slot] = &[slot_as("distance", "r̄"), slot("v")];
    const JOIN: &'static [Join] = &[Join::Sum; 2];
    const SCOPE: Scope = Scope::Groups;

    fn start<F: Real>(&self, x: F) -> [F; 1] {
        [x]
    }

    #[inline(always)]
    fn terms<F: Real>(
        &self,
        _: &At<F>,
        _: usize,
        _: [F; 2],
    ) -> impl Fn(F, Here<F>, [F; 1]) -> [F; 2] + Copy + Send + Sync + use<F> {
        |u, Here { x, .. }, [x0]| {
            let way = x - x0;
            [way * way, u * u]
        }
    }

    fn settle<W: Real<Wide = W>>(
        &self,
        at: &At<W>,
        _: usize,
        [way, square]: [W; 2],
        [distance, sum]: [W; 2],
    ) -> [W; 2] {
        // The first distance never changes, so it may stand in every maximum: no step is special.
        let distance = distance.max(way.sqrt()).max(at.get(&self.first));
        [distance, sum + distance * distance * square]
    }

    #[inline(always)]
    fn at<F: Real>(
        &self,
        at: &At<F>,
        [distance, sum]: [F; 2],
    ) -> impl Fn(F, Here<F>, [F; 1]) -> (F, [F; 1]) + Copy + Send + Sync + use<F> {
        let wide = distance.widen();
        let [square, root] = at.lift([wide * wide, sum.widen().sqrt() + at.get(&self.eps)]);
        let root = root.away_from_zero();
        // As in DoG: the rate itself may be more than `f32` holds.
        move |u, _, memory| (square * u / root, memory)
    }
}

crate::registry::blocks!(fold Dowg);

pub(crate) const ENTRIES: &[Entry] = &[Entry {
    name: "dowg",
    title: "DoWG",
    summary: "Gradient descent at a rate of distance over weighted gradients, without a rate to tune.",
    source: "Khaled, Mishchenko & Jin 2023, arXiv 2305.16284",
    chain: recipes::dowg,
    tune: &[log_range("lr", 1e-1, 1e1)],
}];

pub mod recipes {
    //! Ready-made chains.
    use super::Dowg;
    use crate::chain::Chain;
    use crate::rules::Scale;

    /// DoWG: `lr` 1, `first` 0.01, `eps` 1e-4 (official code).
    pub fn dowg() -> Chain {
        Chain::new(()).fold(Dowg::default()).then(Scale::default().lr(1.0))
    }
}
