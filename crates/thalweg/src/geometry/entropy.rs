use crate::part::{Geometry, Part};
use crate::real::Real;
use crate::rule::{At, Here, Slot, slot_as};

crate::hypers! {
    /// Negative entropy, `Σ x·ln x − x`: exponentiated gradient descent, `x·exp(−u)`
    /// (Kivinen & Warmuth 1997).
    ///
    /// Positive parameters stay positive. The logarithm is what is stored and stepped, so a
    /// coordinate that underflows in `x` can come back. Zero is absorbing (E01), so parameters
    /// must start above it. A parameter changed from outside is overwritten by its logarithm's
    /// value at the next step.
    pub struct NegativeEntropy {}
}

impl Geometry for NegativeEntropy {}

impl Part for NegativeEntropy {
    type Memory<F: Real> = [F; 1];
    type Scalars<F: Real> = [F; 0];
    type Terms<F: Real> = [F; 0];
    const SLOTS: &'static [Slot] = &[slot_as("log_x", "φ").exact()];
    const PASSES: usize = 0;

    fn start<F: Real>(&self, x: F) -> [F; 1] {
        [x.ln()]
    }

    fn admits(&self, x: f64) -> Result<(), &'static str> {
        positive(x)
    }

    #[inline(always)]
    fn at<F: Real>(
        &self,
        _: &At<F>,
        _: [F; 0],
    ) -> impl Fn(F, Here<F>, [F; 1]) -> (F, [F; 1]) + Copy + Send + Sync + use<F> {
        |u, _, [phi]| {
            let phi = phi - u;
            (phi.exp(), [phi])
        }
    }
}

/// The domain of the entropic maps.
pub(super) fn positive(x: f64) -> Result<(), &'static str> {
    if x > 0.0 && x.is_finite() {
        Ok(())
    } else {
        Err("are not positive and finite; this geometry needs a start above zero")
    }
}
