use crate::hyper::Range;
use crate::part::{Geometry, Part};
use crate::real::Real;
use crate::rule::{At, Here, Slot, slot_as};

crate::hypers! {
    /// Hypentropy (Ghai, Hazan & Singer 2020, arXiv 1902.01903): `β·sinh(asinh(x/β) − u)`.
    ///
    /// For signed parameters: between gradient descent (β large, learning rate divided by β) and
    /// exponentiated gradient on each sign (β small). The dual value is stored, so β must not
    /// change.
    pub struct Hypentropy {
        /// Where the map turns from linear to logarithmic, in units of the parameter (ours 1).
        beta "β" once = 1.0 in Range::POSITIVE,
    }
}

impl Geometry for Hypentropy {}

impl Part for Hypentropy {
    type Memory<F: Real> = [F; 1];
    type Scalars<F: Real> = [F; 0];
    type Terms<F: Real> = [F; 0];
    const SLOTS: &'static [Slot] = &[slot_as("dual", "θ").exact()];
    const PASSES: usize = 0;

    fn start<F: Real>(&self, x: F) -> [F; 1] {
        [(x / F::number(self.beta.value(0)).away_from_zero()).asinh()]
    }

    #[inline(always)]
    fn at<F: Real>(
        &self,
        at: &At<F>,
        _: [F; 0],
    ) -> impl Fn(F, Here<F>, [F; 1]) -> (F, [F; 1]) + Copy + Send + Sync + use<F> {
        let [beta] = at.lift([at.get(&self.beta)]);
        let beta = beta.away_from_zero();
        move |u, _, [dual]| {
            let dual = dual - u;
            (beta * dual.sinh(), [dual])
        }
    }
}
