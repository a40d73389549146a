//! Rprop (Riedmiller & Braun 1993; here the form of Igel & Hüsken 2003 without backtracking,
//! iRprop⁻): every coordinate has a step of its own that only the signs of gradients change.

use crate::hyper::Range;
use crate::real::Real;
use crate::registry::{Entry, log_range};
use crate::rule::{At, Here, Rule, Slot, slot, slot_as};

crate::hypers! {
    /// Rprop: a step that grows while the gradient keeps its sign and shrinks when it turns. After a
    /// turn the coordinate rests for one step, and the next gradient is taken as the first.
    ///
    /// For full batches: with noise in the gradient, signs turn whatever the slope. It brings its
    /// own step, so no [`Scale`](crate::rules::Scale) follows it.
    pub struct Rprop {
        /// The step at the start, in units of the parameter; later steps do not read it.
        lr "η₀" = 1e-2 in Range::NON_NEGATIVE,
        /// Factor of the step where the sign has turned.
        eta_minus "η₋" = 0.5 in Range::UNIT,
        /// Factor of the step where the sign has stayed.
        eta_plus "η₊" = 1.2 in Range::above(1.0),
        /// The smallest step.
        step_min "s_min" = 1e-6 in Range::NON_NEGATIVE,
        /// The largest step.
        step_max "s_max" = 50.0 in Range::LIMIT,
    }
}

impl Rule for Rprop {
    type Memory<F: Real> = [F; 2];
    const SLOTS: &'static [Slot] = &[slot("prev"), slot_as("step", "s")];

    fn start<F: Real>(&self, _: F) -> [F; 2] {
        [F::number(0.0), F::number(self.lr.value(0))]
    }

    #[inline(always)]
    fn at<F: Real>(
        &self,
        at: &At<F>,
    ) -> impl Fn(F, Here<F>, [F; 2]) -> (F, [F; 2]) + Copy + Send + Sync + use<F> {
        let [shrink, grow] = at.lift([at.get(&self.eta_minus), at.get(&self.eta_plus)]);
        let [low, high] = at.lift([at.get(&self.step_min), at.get(&self.step_max)]);
        let (zero, one) = (F::number(0.0), F::number(1.0));
        move |g, _, [prev, step]| {
            // Signs, and not the product: that of two small gradients may not be representable.
            let agreement = g.sign() * prev.sign();
            let turned = agreement.lt(zero);
            let factor = F::select(turned, shrink, F::select(zero.lt(agreement), grow, one));
            let step = (step * factor).clamp(low, high);
            let g = F::select(turned, zero, g);
            (step * g.sign(), [g, step])
        }
    }
}

const TUNE: &[crate::registry::Tune] = &[log_range("lr", 1e-4, 1e0)];

pub(crate) const ENTRIES: &[Entry] = &[
    Entry {
        name: "rprop",
        title: "Rprop",
        summary: "A step per coordinate, grown and shrunk by the signs of successive gradients.",
        source: "Riedmiller & Braun 1993; Igel & Hüsken 2003; torch.optim.Rprop",
        chain: recipes::rprop,
        tune: TUNE,
    },
    Entry {
        name: "rprop@optax",
        title: "Rprop (optax)",
        summary: "Rprop as in torch.",
        source: "optax.rprop",
        chain: recipes::rprop,
        tune: TUNE,
    },
];

pub mod recipes {
    //! Ready-made chains.
    use super::Rprop;
    use crate::chain::Chain;

    /// Rprop, torch's and optax's form: steps from `lr` 0.01, times 0.5 or 1.2, within [1e-6, 50].
    pub fn rprop() -> Chain {
        Chain::new(Rprop::default())
    }
}
