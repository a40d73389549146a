//! RMSProp (Hinton 2012, lecture 6e) and its centred form (Graves 2013, arXiv 1308.0850).

use crate::convention::{Denominator, Outside};
use crate::hyper::Range;
use crate::real::Real;
use crate::registry::{Entry, log_range};
use crate::rule::{At, Here, Rule, Slot, slot};

crate::hypers! {
    /// RMSProp's direction: `v ← ρ·v + (1−ρ)·g²`, the update is `g / (√v + ε)`. There is no bias
    /// correction, so the first step is `1/√(1−ρ)` times the learning rate.
    pub struct RmsProp<E: Denominator = Outside> {
        /// Decay rate of the mean square (torch 0.99, optax, Keras and the lecture 0.9).
        rho "ρ" = 0.99 in Range::RATE,
        /// What the mean square starts from, in units of the squared gradient (TensorFlow 1 and timm 1).
        initial "v₀" once = 0.0 in Range::NON_NEGATIVE,
        with denominator: E = E::new(1e-8),
    }
}

impl<E: Denominator> Rule for RmsProp<E> {
    type Memory<F: Real> = [F; 1];
    const SLOTS: &'static [Slot] = &[slot("v").non_negative()];

    fn start<F: Real>(&self, _: F) -> [F; 1] {
        [F::number(self.initial.value(0))]
    }

    #[inline(always)]
    fn at<F: Real>(
        &self,
        at: &At<F>,
    ) -> impl Fn(F, Here<F>, [F; 1]) -> (F, [F; 1]) + Copy + Send + Sync + use<F, E> {
        let [rho, new, _] = at.ema(&self.rho);
        let root = self.denominator.at(at, F::Wide::number(1.0));
        move |g, _, [v]| {
            let v = rho * v + new * g * g;
            (g / root(v), [v])
        }
    }
}

crate::hypers! {
    /// Centred RMSProp: divides by the root of `v − mean²`, an estimate of the variance.
    ///
    /// On a nearly constant gradient the difference is round-off; it is bounded at zero here,
    /// where other libraries take the root of a negative number.
    pub struct CenteredRmsProp<E: Denominator = Outside> {
        /// Decay rate of mean and mean square (torch 0.99, optax and Keras 0.9).
        rho "ρ" = 0.99 in Range::RATE,
        /// What the mean square starts from, in units of the squared gradient (TensorFlow 1 and timm 1).
        initial "v₀" once = 0.0 in Range::NON_NEGATIVE,
        with denominator: E = E::new(1e-8),
    }
}

impl<E: Denominator> Rule for CenteredRmsProp<E> {
    type Memory<F: Real> = [F; 2];
    const SLOTS: &'static [Slot] = &[slot("v").non_negative(), slot("mean")];

    fn start<F: Real>(&self, _: F) -> [F; 2] {
        [self.initial.value(0), 0.0].map(F::number)
    }

    #[inline(always)]
    fn at<F: Real>(
        &self,
        at: &At<F>,
    ) -> impl Fn(F, Here<F>, [F; 2]) -> (F, [F; 2]) + Copy + Send + Sync + use<F, E> {
        let [rho, new, _] = at.ema(&self.rho);
        let root = self.denominator.at(at, F::Wide::number(1.0));
        move |g, _, [v, mean]| {
            let v = rho * v + new * g * g;
            let mean = rho * mean + new * g;
            let variance = (v - mean * mean).max(F::number(0.0));
            (g / root(variance), [v, mean])
        }
    }
}

const TUNE: &[crate::registry::Tune] = &[log_range("lr", 1e-4, 1e-1)];

/// One row of the table below.
const fn entry(
    name: &'static str,
    title: &'static str,
    summary: &'static str,
    source: &'static str,
    chain: fn() -> crate::chain::Chain,
) -> Entry {
    Entry { name, title, summary, source, chain, tune: TUNE }
}

const OUTSIDE: &str = "Divides by a running root mean square of the gradient; ε outside the root.";
const INSIDE: &str = "Divides by a running root mean square of the gradient; ε inside the root.";
const CENTERED: &str = "Divides by a running standard deviation of the gradient.";
const MOMENTUM: &str = "RMSProp with momentum on the normalised gradient.";
const STORED: &str = "RMSProp with momentum that stores the learning rate.";
const TORCH: &str = "Hinton 2012; torch.optim.RMSprop";
const OPTAX: &str = "optax.rmsprop";
const KERAS: &str = "keras.optimizers.RMSprop";

crate::registry::blocks!(
    rule RmsProp<Outside>,
    rule RmsProp<crate::Inside>,
    rule RmsProp<crate::Hat>,
    rule RmsProp<crate::Floor>,
    rule RmsProp<crate::Both>,
    rule CenteredRmsProp<Outside>,
    rule CenteredRmsProp<crate::Inside>,
    rule CenteredRmsProp<crate::Hat>,
    rule CenteredRmsProp<crate::Floor>,
    rule CenteredRmsProp<crate::Both>,
);

pub(crate) const ENTRIES: &[Entry] = &[
    entry("rmsprop", "RMSProp", OUTSIDE, TORCH, recipes::rmsprop),
    entry("rmsprop@optax", "RMSProp (optax)", INSIDE, OPTAX, recipes::rmsprop_optax),
    entry("rmsprop@keras", "RMSProp (Keras)", INSIDE, KERAS, recipes::rmsprop_keras),
    entry("rmsprop_centered", "Centred RMSProp", CENTERED, TORCH, recipes::rmsprop_centered),
    entry(
        "rmsprop_centered@optax",
        "Centred RMSProp (optax)",
        CENTERED,
        OPTAX,
        recipes::rmsprop_centered_optax,
    ),
    entry(
        "rmsprop_centered@keras",
        "Centred RMSProp (Keras)",
        CENTERED,
        KERAS,
        recipes::rmsprop_centered_keras,
    ),
    entry("rmsprop_momentum", "RMSProp with momentum", MOMENTUM, TORCH, recipes::rmsprop_momentum),
    entry(
        "rmsprop_momentum@optax",
        "RMSProp with momentum (optax)",
        STORED,
        OPTAX,
        recipes::rmsprop_momentum_optax,
    ),
    entry(
        "rmsprop_momentum@keras",
        "RMSProp with momentum (Keras)",
        STORED,
        KERAS,
        recipes::rmsprop_momentum_keras,
    ),
    entry(
        "rmsprop_centered_momentum",
        "Centred RMSProp with momentum",
        MOMENTUM,
        TORCH,
        recipes::rmsprop_centered_momentum,
    ),
    entry(
        "rmsprop_centered_momentum@optax",
        "Centred RMSProp with momentum (optax)",
        STORED,
        OPTAX,
        recipes::rmsprop_centered_momentum_optax,
    ),
    entry(
        "rmsprop_centered_momentum@keras",
        "Centred RMSProp with momentum (Keras)",
        STORED,
        KERAS,
        recipes::rmsprop_centered_momentum_keras,
    ),
];

pub mod recipes {
    //! Ready-made chains.
    use crate::chain::Chain;
    use crate::convention::Inside;
    use crate::rules::{CenteredRmsProp, Momentum, RmsProp, Scale};

    fn inside(eps: f64) -> RmsProp<Inside> {
        RmsProp::<Inside>::default().rho(0.9).denominator(Inside::default().eps(eps))
    }

    fn centered_inside(eps: f64) -> CenteredRmsProp<Inside> {
        CenteredRmsProp::<Inside>::default().rho(0.9).denominator(Inside::default().eps(eps))
    }

    /// RMSProp as in torch: `lr` 0.01, `rho` 0.99, `eps` 1e-8 outside the root.
    pub fn rmsprop() -> Chain {
        Chain::new((<RmsProp>::default(), Scale::default().lr(0.01)))
    }

    /// RMSProp as in optax: `rho` 0.9, `eps` 1e-8 inside the root; `lr` 1e-3.
    pub fn rmsprop_optax() -> Chain {
        Chain::new((inside(1e-8), Scale::default()))
    }

    /// RMSProp as in Keras: `lr` 1e-3, `rho` 0.9, `eps` 1e-7 inside the root.
    pub fn rmsprop_keras() -> Chain {
        Chain::new((inside(1e-7), Scale::default()))
    }

    /// Centred RMSProp as in torch: `lr` 0.01, `rho` 0.99, `eps` 1e-8 outside the root.
    pub fn rmsprop_centered() -> Chain {
        Chain::new((<CenteredRmsProp>::default(), Scale::default().lr(0.01)))
    }

    /// Centred RMSProp as in optax: `rho` 0.9, `eps` 1e-8 inside the root; `lr` 1e-3.
    pub fn rmsprop_centered_optax() -> Chain {
        Chain::new((centered_inside(1e-8), Scale::default()))
    }

    /// Centred RMSProp as in Keras: `lr` 1e-3, `rho` 0.9, `eps` 1e-7 inside the root.
    pub fn rmsprop_centered_keras() -> Chain {
        Chain::new((centered_inside(1e-7), Scale::default()))
    }

    /// RMSProp with momentum as in torch: momentum acts on the normalised gradient, the learning
    /// rate multiplies the buffer when it is used. `lr` 0.01, `momentum` 0.9.
    pub fn rmsprop_momentum() -> Chain {
        Chain::new((<RmsProp>::default(), Momentum::default(), Scale::default().lr(0.01)))
    }

    /// RMSProp with momentum as in optax: the buffer stores the learning rate.
    pub fn rmsprop_momentum_optax() -> Chain {
        Chain::new((inside(1e-8), Scale::default(), Momentum::default()))
    }

    /// RMSProp with momentum as in Keras: the buffer stores the learning rate.
    pub fn rmsprop_momentum_keras() -> Chain {
        Chain::new((inside(1e-7), Scale::default(), Momentum::default()))
    }

    /// Centred RMSProp with momentum as in torch.
    pub fn rmsprop_centered_momentum() -> Chain {
        let direction = <CenteredRmsProp>::default();
        Chain::new((direction, Momentum::default(), Scale::default().lr(0.01)))
    }

    /// Centred RMSProp with momentum as in optax: the buffer stores the learning rate.
    pub fn rmsprop_centered_momentum_optax() -> Chain {
        Chain::new((centered_inside(1e-8), Scale::default(), Momentum::default()))
    }

    /// Centred RMSProp with momentum as in Keras: the buffer stores the learning rate.
    pub fn rmsprop_centered_momentum_keras() -> Chain {
        Chain::new((centered_inside(1e-7), Scale::default(), Momentum::default()))
    }
}
