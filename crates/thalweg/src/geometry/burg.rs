use super::entropy::positive;
use crate::part::{Geometry, Join, Part};
use crate::real::Real;
use crate::rule::{At, Here};

crate::hypers! {
    /// The Burg entropy (log barrier), `−Σ ln x`: `x / (1 + x·u)`.
    ///
    /// A step is only possible while `1 + x·u > 0`, and its result a positive number; one that is not is
    /// refused before anything changes. One extra reading pass for that check.
    pub struct Burg {}
}

impl Geometry for Burg {}

impl Part for Burg {
    type Memory<F: Real> = [F; 0];
    type Scalars<F: Real> = [F; 0];
    type Terms<F: Real> = [F; 1];
    const JOIN: &'static [Join] = &[Join::Sum];
    // It must see the number that the sweep divides by: in single precision that is 0 where it is not in double.
    const NATIVE: bool = true;

    fn admits(&self, x: f64) -> Result<(), &'static str> {
        positive(x)
    }

    #[inline(always)]
    fn terms<F: Real>(
        &self,
        _: &At<F>,
        _: usize,
        _: [F; 0],
    ) -> impl Fn(F, Here<F>, [F; 0]) -> [F; 1] + Copy + Send + Sync + use<F> {
        let (zero, one, infinity) = (F::number(0.0), F::number(1.0), F::number(f64::INFINITY));
        move |u, here, []| {
            let x = here.x / (one + here.x * u);
            [F::select(zero.lt(x), F::select(x.lt(infinity), zero, one), one)]
        }
    }

    fn refuse(&self, [outside]: [f64; 1]) -> Option<(u64, &'static str)> {
        let what = "have no positive x/(1 + x·u), as where 1 + x·u ≤ 0; lower the learning rate";
        (outside > 0.0).then_some((outside as u64, what))
    }

    #[inline(always)]
    fn at<F: Real>(
        &self,
        _: &At<F>,
        _: [F; 0],
    ) -> impl Fn(F, Here<F>, [F; 0]) -> (F, [F; 0]) + Copy + Send + Sync + use<F> {
        let one = F::number(1.0);
        move |u, here, []| (here.x / (one + here.x * u), [])
    }
}
