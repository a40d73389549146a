//! Rprop (Riedmiller & Braun 1993; here the form of Igel & Hüsken 2003 without backtracking,
//! iRprop⁻): every coordinate has a step of its own that only the signs of gradients change.

use crate::hyper::{Hypers, Range};
use crate::real::Real;
use crate::registry::{Entry, log_range};
use crate::rule::{At, Here, Rule, Slot, slot, slot_as};

/// When the step that a gradient has led to is taken.
pub trait Timing: Hypers + Default + Clone + Send + Sync + 'static {
    /// `(update, what is remembered)`: from where the sign has turned, the gradient, the new step, and
    /// what was remembered before.
    fn act<F: Real>(turned: F::Mask, g: F, step: F, prev: F) -> (F, F);
}

crate::hypers! {
    /// At once; the gradient is remembered (torch).
    pub struct AtThisStep {}
}

impl Timing for AtThisStep {
    #[inline(always)]
    fn act<F: Real>(turned: F::Mask, g: F, step: F, _: F) -> (F, F) {
        let zero = F::number(0.0);
        (F::select(turned, zero, step * g.sign()), F::select(turned, zero, g))
    }
}

crate::hypers! {
    /// One gradient later, and only if that has the same sign; the step is remembered (optax). The
    /// first gradient moves nothing.
    pub struct AtNextStep {}
}

impl Timing for AtNextStep {
    #[inline(always)]
    fn act<F: Real>(turned: F::Mask, g: F, step: F, prev: F) -> (F, F) {
        let zero = F::number(0.0);
        (F::select(turned, zero, prev), F::select(turned, zero, step * g.sign()))
    }
}

crate::hypers! {
    /// Rprop: a step that grows while the gradient keeps its sign and shrinks when it turns. After a
    /// turn the coordinate rests for one step, and the next gradient is taken as the first.
    ///
    /// For full batches: with noise in the gradient, signs turn whatever the slope. It brings its
    /// own step, so no [`Scale`](crate::rules::Scale) follows it.
    pub struct Rprop<T: Timing = AtThisStep> {
        /// The step at the start, in units of the parameter; later steps do not read it (torch 0.01).
        lr "η₀" once = 1e-2 in Range::NON_NEGATIVE,
        /// Factor of the step where the sign has turned (torch 0.5).
        eta_minus "η₋" = 0.5 in Range::OPEN_UNIT,
        /// Factor of the step where the sign has stayed (torch 1.2).
        eta_plus "η₊" = 1.2 in Range::above(1.0),
        /// The smallest step (torch 1e-6).
        step_min "s_min" = 1e-6 in Range::NON_NEGATIVE,
        /// The largest step (torch 50).
        step_max "s_max" = 50.0 in Range::LIMIT,
        with timing: T = T::default(),
    }
}

impl<T: Timing> Rule for Rprop<T> {
    type Memory<F: Real> = [F; 2];
    const SLOTS: &'static [Slot] = &[slot("prev").exact(), slot_as("step", "s").exact()];

    fn check(&self) -> Result<(), crate::Error> {
        self.step_min.below(&self.step_max)
    }

    fn start<F: Real>(&self, _: F) -> [F; 2] {
        [F::number(0.0), F::number(self.lr.value(0))]
    }

    #[inline(always)]
    fn at<F: Real>(
        &self,
        at: &At<F>,
    ) -> impl Fn(F, Here<F>, [F; 2]) -> (F, [F; 2]) + Copy + Send + Sync + use<F, T> {
        let [shrink, grow] = at.lift([at.get(&self.eta_minus), at.get(&self.eta_plus)]);
        let [low, high] = at.lift([at.get(&self.step_min), at.get(&self.step_max)]);
        let (zero, one) = (F::number(0.0), F::number(1.0));
        move |g, _, [prev, step]| {
            // Signs, and not the product: that of two small gradients may not be representable.
            let agreement = g.sign() * prev.sign();
            let turned = agreement.lt(zero);
            let factor = F::select(turned, shrink, F::select(zero.lt(agreement), grow, one));
            let step = (step * factor).clamp(low, high);
            let (u, prev) = T::act(turned, g, step, prev);
            (u, [prev, step])
        }
    }
}

const TUNE: &[crate::registry::Tune] = &[log_range("lr", 1e-4, 1e0)];

crate::registry::blocks!(
    rule Rprop<AtThisStep>,
    rule Rprop<AtNextStep>,
);

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
        summary: "Rprop that takes each step one gradient later.",
        source: "optax.rprop",
        chain: recipes::rprop_optax,
        tune: TUNE,
    },
];

pub mod recipes {
    //! Ready-made chains.
    use super::{AtNextStep, Rprop};
    use crate::chain::Chain;

    /// Rprop as in torch: steps from `lr` 0.01, times 0.5 or 1.2, within [1e-6, 50].
    pub fn rprop() -> Chain {
        Chain::new(<Rprop>::default())
    }

    /// Rprop as in optax, which takes each step one gradient later.
    pub fn rprop_optax() -> Chain {
        Chain::new(Rprop::<AtNextStep>::default())
    }
}
