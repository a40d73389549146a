use crate::hyper::Range;
use crate::part::{Geometry, Join, Part};
use crate::real::Real;
use crate::rule::{At, Here, Slot, slot_as};

crate::hypers! {
    /// EG± (Kivinen & Warmuth 1997): a signed parameter as the difference of two positive ones,
    /// each stepped multiplicatively; `x = w₊ − w₋`.
    ///
    /// A start at `x` is split so that `w₊·w₋ = β²/4`, which the steps keep: without rescaling it
    /// is [`Hypentropy`](crate::geometry::Hypentropy) exactly.
    pub struct EgPm {
        /// Twice the geometric mean of the two weights, in units of the parameter (ours 1).
        beta "β" once = 1.0 in Range::POSITIVE,
    }
}

crate::hypers! {
    /// EG± with all weights of a tensor rescaled after each step to the sum `total`: a bound on
    /// the l1 norm of the parameter. Two extra reading passes.
    pub struct BoundedEgPm {
        /// Twice the geometric mean of the two weights at the start, in units of the parameter (ours 1).
        beta "β" once = 1.0 in Range::POSITIVE,
        /// The sum of all weights, in units of the parameter (ours 1).
        total "U" = 1.0 in Range::POSITIVE,
    }
}

const SLOTS: &[Slot] = &[slot_as("log_plus", "φ₊").exact(), slot_as("log_minus", "φ₋").exact()];

/// The logarithms of the two weights of `x`.
fn split<F: Real>(x: F, beta: f64) -> [F; 2] {
    let (zero, half, quarter) = (F::number(0.0), F::number(0.5), F::number(0.25));
    let (a, beta) = (x.abs(), F::number(beta).away_from_zero());
    // In units of the larger of the two, whose square neither vanishes nor overflows.
    let unit = a.max(beta);
    let (share, rest) = (a / unit, beta / unit);
    let larger = half * (share + (share * share + rest * rest).sqrt()) * unit;
    // From the product, not the difference, which would cancel.
    let smaller = quarter * (beta / larger) * beta;
    let (large, small) = (larger.ln(), smaller.away_from_zero().ln());
    let negative = || x.lt(zero);
    [F::select(negative(), small, large), F::select(negative(), large, small)]
}

impl Geometry for EgPm {}

impl Part for EgPm {
    type Memory<F: Real> = [F; 2];
    type Scalars<F: Real> = [F; 0];
    type Terms<F: Real> = [F; 0];
    const SLOTS: &'static [Slot] = SLOTS;
    const PASSES: usize = 0;

    fn start<F: Real>(&self, x: F) -> [F; 2] {
        split(x, self.beta.value(0))
    }

    #[inline(always)]
    fn at<F: Real>(
        &self,
        _: &At<F>,
        _: [F; 0],
    ) -> impl Fn(F, Here<F>, [F; 2]) -> (F, [F; 2]) + Copy + Send + Sync + use<F> {
        |u, _, [plus, minus]| {
            let (plus, minus) = (plus - u, minus + u);
            (plus.exp() - minus.exp(), [plus, minus])
        }
    }
}

impl Geometry for BoundedEgPm {}

impl Part for BoundedEgPm {
    type Memory<F: Real> = [F; 2];
    type Scalars<F: Real> = [F; 1];
    type Terms<F: Real> = [F; 2];
    const SLOTS: &'static [Slot] = SLOTS;
    const SCALARS: &'static [Slot] = &[slot_as("log_z", "ζ")];
    const JOIN: &'static [Join] = &[Join::Max, Join::Sum];
    const PASSES: usize = 2;

    fn start<F: Real>(&self, x: F) -> [F; 2] {
        split(x, self.beta.value(0))
    }

    #[inline(always)]
    fn terms<F: Real>(
        &self,
        _: &At<F>,
        _: usize,
        [shift]: [F; 1],
    ) -> impl Fn(F, Here<F>, [F; 2]) -> [F; 2] + Copy + Send + Sync + use<F> {
        move |u, _, [plus, minus]| {
            let (plus, minus) = (plus - u, minus + u);
            [plus.max(minus), (plus - shift).exp() + (minus - shift).exp()]
        }
    }

    fn settle<W: Real<Wide = W>>(
        &self,
        at: &At<W>,
        pass: usize,
        [largest, sum]: [W; 2],
        [shift]: [W; 1],
    ) -> [W; 1] {
        if pass == 0 { [largest] } else { [shift + (sum / at.get(&self.total)).ln()] }
    }

    #[inline(always)]
    fn at<F: Real>(
        &self,
        _: &At<F>,
        [log_z]: [F; 1],
    ) -> impl Fn(F, Here<F>, [F; 2]) -> (F, [F; 2]) + Copy + Send + Sync + use<F> {
        move |u, _, [plus, minus]| {
            let (plus, minus) = (plus - u - log_z, minus + u - log_z);
            (plus.exp() - minus.exp(), [plus, minus])
        }
    }
}
