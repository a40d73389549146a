use super::entropy::positive;
use crate::part::{Geometry, Join, Part};
use crate::real::Real;
use crate::rule::{At, Here, Slot, slot_as};

crate::hypers! {
    /// The probability simplex: normalised exponentiated gradient, `x·exp(−u)/Z` with `Z` the sum
    /// over the tensor (Hedge; Kivinen & Warmuth 1997), by log-sum-exp.
    ///
    /// Each tensor is one distribution. A positive start is normalised by the first step. Two
    /// extra reading passes.
    pub struct Simplex {}
}

impl Geometry for Simplex {}

impl Part for Simplex {
    type Memory<F: Real> = [F; 1];
    type Scalars<F: Real> = [F; 1];
    type Terms<F: Real> = [F; 2];
    const SLOTS: &'static [Slot] = &[slot_as("log_x", "φ").exact()];
    const SCALARS: &'static [Slot] = &[slot_as("log_z", "ζ")];
    const JOIN: &'static [Join] = &[Join::Max, Join::Sum];
    const PASSES: usize = 2;

    fn start<F: Real>(&self, x: F) -> [F; 1] {
        [x.ln()]
    }

    fn admits(&self, x: f64) -> Result<(), &'static str> {
        positive(x)
    }

    #[inline(always)]
    fn terms<F: Real>(
        &self,
        _: &At<F>,
        _: usize,
        [shift]: [F; 1],
    ) -> impl Fn(F, Here<F>, [F; 1]) -> [F; 2] + Copy + Send + Sync + use<F> {
        move |u, _, [phi]| {
            let phi = phi - u;
            [phi, (phi - shift).exp()]
        }
    }

    fn settle<W: Real<Wide = W>>(
        &self,
        _: &At<W>,
        pass: usize,
        [largest, sum]: [W; 2],
        [shift]: [W; 1],
    ) -> [W; 1] {
        if pass == 0 { [largest] } else { [shift + sum.ln()] }
    }

    #[inline(always)]
    fn at<F: Real>(
        &self,
        _: &At<F>,
        [log_z]: [F; 1],
    ) -> impl Fn(F, Here<F>, [F; 1]) -> (F, [F; 1]) + Copy + Send + Sync + use<F> {
        move |u, _, [phi]| {
            let phi = phi - u - log_z;
            (phi.exp(), [phi])
        }
    }
}
