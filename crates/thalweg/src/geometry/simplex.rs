use super::entropy::positive;
use crate::part::{Geometry, Join, Part};
use crate::real::Real;
use crate::rule::{At, Here, Slot, slot, slot_as};

crate::hypers! {
    /// The probability simplex: normalised exponentiated gradient, `x·exp(−u)/Z` with `Z` the sum
    /// over the tensor (Hedge; Kivinen & Warmuth 1997), by log-sum-exp.
    ///
    /// Each tensor is one distribution. A positive start is normalised by the first step. Two
    /// extra reading passes. What all updates of the tensor have in common is taken off first, exactly:
    /// it changes nothing, and rounding as large as it would keep the sum from being one.
    pub struct Simplex {}
}

impl Geometry for Simplex {}

impl Part for Simplex {
    type Memory<F: Real> = [F; 1];
    type Scalars<F: Real> = [F; 2];
    type Terms<F: Real> = [F; 3];
    const SLOTS: &'static [Slot] = &[slot_as("log_x", "φ").exact()];
    const SCALARS: &'static [Slot] = &[slot("common"), slot_as("log_z", "ζ")];
    const JOIN: &'static [Join] = &[Join::Max, Join::Max, Join::Sum];
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
        [_, largest]: [F; 2],
    ) -> impl Fn(F, Here<F>, [F; 1]) -> [F; 3] + Copy + Send + Sync + use<F> {
        move |u, _, [phi]| {
            let phi = phi - u;
            [-u, phi, (phi - largest).exp()]
        }
    }

    fn settle<W: Real<Wide = W>>(
        &self,
        _: &At<W>,
        pass: usize,
        [common, largest, sum]: [W; 3],
        [_, before]: [W; 2],
    ) -> [W; 2] {
        [common, if pass == 0 { largest } else { before - common + sum.ln() }]
    }

    #[inline(always)]
    fn at<F: Real>(
        &self,
        _: &At<F>,
        [common, log_z]: [F; 2],
    ) -> impl Fn(F, Here<F>, [F; 1]) -> (F, [F; 1]) + Copy + Send + Sync + use<F> {
        move |u, _, [phi]| {
            let phi = (phi - log_z) - (u + common);
            (phi.exp(), [phi])
        }
    }
}
