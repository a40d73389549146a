//! Yogi (Zaheer et al. 2018, "Adaptive Methods for Nonconvex Optimization"): Adam whose second moment
//! moves by the size of the squared gradient, whatever the distance.

use crate::convention::{Both, Denominator, Outside};
use crate::hyper::{Hyper, Hypers, Range};
use crate::real::Real;
use crate::registry::{Entry, log_range};
use crate::rule::{At, Here, Rule, Slot, slot};

/// Where Yogi's first moment starts, and whether the bias of the moments is removed.
pub trait YogiStart: Hypers + Default + Clone + Send + Sync + 'static {
    /// The first moment before the first step.
    fn first(&self) -> f64;
    /// What corrects a moment with this decay rate.
    fn correction<F: Real>(at: &At<F>, beta: &Hyper) -> F::Wide;
}

crate::hypers! {
    /// The first moment starts at zero and nothing is corrected (paper).
    pub struct AtRest {}
}

impl YogiStart for AtRest {
    fn first(&self) -> f64 {
        0.0
    }
    fn correction<F: Real>(_: &At<F>, _: &Hyper) -> F::Wide {
        F::Wide::number(1.0)
    }
}

crate::hypers! {
    /// The first moment starts at a positive number too, and both are corrected as if they had
    /// started at zero (optax, TensorFlow Addons, pytorch-optimizer). It moves without any gradient.
    pub struct AtInitial {
        /// The first moment before the first step, in units of the gradient (optax 1e-6).
        initial_m "m₀" once = 1e-6 in Range::ANY,
    }
}

impl YogiStart for AtInitial {
    fn first(&self) -> f64 {
        self.initial_m.value(0)
    }
    fn correction<F: Real>(at: &At<F>, beta: &Hyper) -> F::Wide {
        at.correction(beta)
    }
}

crate::hypers! {
    /// Yogi's direction: Adam's, with `v ← v − (1−β₂)·sign(v − g²)·g²`. Where gradients become small,
    /// `v` falls by their own size and not by its own, so the step grows slowly.
    pub struct Yogi<E: Denominator = Outside, S: YogiStart = AtRest> {
        /// Decay rate of the first moment (paper 0.9).
        beta1 "β₁" = 0.9 in Range::RATE,
        /// One minus the share of the squared gradient by which v moves (paper 0.999).
        beta2 "β₂" = 0.999 in Range::RATE,
        /// The second moment before the first step, in units of the squared gradient (paper 1e-6).
        initial "v₀" once = 1e-6 in Range::NON_NEGATIVE,
        with denominator: E = E::new(1e-3),
        with start: S = S::default(),
    }
}

impl<E: Denominator, S: YogiStart> Rule for Yogi<E, S> {
    type Memory<F: Real> = [F; 2];
    const SLOTS: &'static [Slot] = &[slot("m"), slot("v").non_negative()];

    fn start<F: Real>(&self, _: F) -> [F; 2] {
        [F::number(self.start.first()), F::number(self.initial.value(0))]
    }

    #[inline(always)]
    fn at<F: Real>(
        &self,
        at: &At<F>,
    ) -> impl Fn(F, Here<F>, [F; 2]) -> (F, [F; 2]) + Copy + Send + Sync + use<F, E, S> {
        let [b1, a1, _] = at.ema(&self.beta1);
        let [_, a2, _] = at.ema(&self.beta2);
        let [c1] = at.lift([S::correction(at, &self.beta1)]);
        let root = self.denominator.at(at, S::correction(at, &self.beta2));
        move |g, _, [m, v]| {
            let m = b1 * m + a1 * g;
            let square = g * g;
            let v = v - a2 * (v - square).sign() * square;
            (c1 * m / root(v), [m, v])
        }
    }
}

const TUNE: &[crate::registry::Tune] = &[log_range("lr", 1e-4, 1e0)];

crate::registry::blocks!(
    rule Yogi<crate::Outside, AtRest>,
    rule Yogi<crate::Both, AtInitial>,
);

pub(crate) const ENTRIES: &[Entry] = &[
    Entry {
        name: "yogi",
        title: "Yogi",
        summary: "Adam whose second moment forgets slowly when gradients become small.",
        source: "Zaheer et al. 2018 (NeurIPS)",
        chain: recipes::yogi,
        tune: TUNE,
    },
    Entry {
        name: "yogi@optax",
        title: "Yogi (optax)",
        summary: "Yogi with both moments started at 1e-6 and corrected as if at zero.",
        source: "optax.yogi",
        chain: recipes::yogi_optax,
        tune: TUNE,
    },
];

pub mod recipes {
    //! Ready-made chains.
    use super::{AtInitial, Both, Yogi};
    use crate::chain::Chain;
    use crate::rules::Scale;

    /// Yogi, the paper's form: `lr` 0.01, `beta1` 0.9, `beta2` 0.999, `initial` 1e-6, `eps` 1e-3.
    pub fn yogi() -> Chain {
        Chain::new((<Yogi>::default(), Scale::default().lr(0.01)))
    }

    /// Yogi as in optax, which asks for the rate (1e-3 here); `initial_m` 1e-6 and `eps_root` 0.
    pub fn yogi_optax() -> Chain {
        Chain::new((Yogi::<Both, AtInitial>::default(), Scale::default()))
    }
}
