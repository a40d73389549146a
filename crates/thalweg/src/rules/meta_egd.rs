//! MetaEGD: one learning rate per coordinate, learned by exponentiated gradient descent on the
//! one-step hypergradient. The corrected form of the source documents (E10–E28).
//!
//! A gain ν multiplies the update. One step back, the loss depends on ν through
//! `∂f/∂ν = −η·d₋₁·g`, so exponentiated gradient descent multiplies ν by `exp(γ·d₋₁·g)`: the gain
//! grows while the gradient keeps the sign of the direction that was taken, and shrinks when it
//! turns. The logarithm ℓ = ln ν is what is stored, so nothing overflows before the bounds hold.

use crate::hyper::{Hypers, Range};
use crate::probe::GainSlots;
use crate::real::Real;
use crate::registry::{Entry, log_range};
use crate::rule::{At, Here, Kind, Rule, Slot, slot, slot_as};

/// What of the last direction and the new gradient moves the gain.
pub trait Signal: Hypers + Default + Clone + Send + Sync + 'static {
    /// What kind of number the remembered direction is to it.
    const MEMORY: Kind = Kind::Signed;

    /// The signal of one coordinate; 0 if either is 0.
    fn signal<F: Real>(last: F, g: F) -> F;
}

crate::hypers! {
    /// The product, as in the source documents. It has the units of a squared gradient, so γ must
    /// be chosen for the problem and for every scaling of the loss (E10).
    pub struct Product {}
}

impl Signal for Product {
    #[inline(always)]
    fn signal<F: Real>(last: F, g: F) -> F {
        last * g
    }
}

crate::hypers! {
    /// The sign of the product: −1, 0 or 1, whatever the scale of the loss.
    pub struct Sign {}
}

impl Signal for Sign {
    // Codes of eight bits have none for small numbers beside large ones, and zero has no sign.
    const MEMORY: Kind = Kind::Exact;

    #[inline(always)]
    fn signal<F: Real>(last: F, g: F) -> F {
        last.sign() * g.sign()
    }
}

crate::hypers! {
    /// `2ab/(a² + b²)`: between −1 and 1, small when the two sizes are far apart; scale-free.
    pub struct Balance {}
}

impl Signal for Balance {
    #[inline(always)]
    fn signal<F: Real>(last: F, g: F) -> F {
        let (a, b) = (last.abs(), g.abs());
        let (zero, one) = (F::number(0.0), F::number(1.0));
        let larger = a.max(b);
        // The ratio first: the squares could leave the range.
        let ratio = a.min(b) / F::select(zero.lt(larger), larger, one);
        last.sign() * g.sign() * (ratio + ratio) / (one + ratio * ratio)
    }
}

/// Which direction is remembered.
pub trait Keep: Hypers + Default + Clone + Send + Sync + 'static {
    /// The new memory.
    fn keep<F: Real>(last: F, d: F) -> F;
}

crate::hypers! {
    /// The last one.
    pub struct Last {}
}

impl Keep for Last {
    #[inline(always)]
    fn keep<F: Real>(_: F, d: F) -> F {
        d
    }
}

crate::hypers! {
    /// The last one that was not zero, so that the gains of rare features learn too (E22).
    pub struct LastNonZero {}
}

impl Keep for LastNonZero {
    #[inline(always)]
    fn keep<F: Real>(last: F, d: F) -> F {
        let zero = F::number(0.0);
        F::select(zero.lt(d.abs()), d, last)
    }
}

crate::hypers! {
    /// Learned per-coordinate gains around whatever direction comes before it in the chain.
    ///
    /// Directly on the gradient it is MetaEGD: `ℓ ← clamp(ℓ + γ·clamp(prev·g, ±c))`, update `e^ℓ·d`.
    pub struct MetaEgd<S: Signal = Product, K: Keep = Last> {
        /// Rate at which the logarithm of the gain learns, per unit of signal (ours 0.01).
        gamma "γ" = 1e-2 in Range::NON_NEGATIVE,
        /// The signal is limited to ± this; infinity for no limit (ours 1).
        clip "c" = 1.0 in Range::LIMIT,
        /// Smallest gain (ours 1e-3).
        nu_min "ν_min" = 1e-3 in Range::POSITIVE,
        /// Largest gain (ours 1000).
        nu_max "ν_max" = 1e3 in Range::POSITIVE,
        with signal: S = S::default(),
        with keep: K = K::default(),
    }
}

/// The gain's update: `(γ, c, ln ν_min, ln ν_max)` as a function of `(ℓ, signal)`.
#[inline(always)]
fn learn<F: Real>(at: &At<F>, hypers: [&crate::Hyper; 4]) -> impl Fn(F, F) -> F + Copy + Send + Sync + use<F> {
    let [gamma, clip, low, high] = hypers.map(|h| at.get(h));
    let [gamma, clip, low, high] = at.lift([gamma, clip, low.ln(), high.ln()]);
    move |ell, signal: F| (ell + gamma * signal.clamp(-clip, clip)).clamp(low, high)
}

impl<S: Signal, K: Keep> Rule for MetaEgd<S, K> {
    type Memory<F: Real> = [F; 2];
    const SLOTS: &'static [Slot] = &[slot_as("ell", "ℓ").exact(), slot("prev").of(S::MEMORY)];

    #[inline(always)]
    fn at<F: Real>(
        &self,
        at: &At<F>,
    ) -> impl Fn(F, Here<F>, [F; 2]) -> (F, [F; 2]) + Copy + Send + Sync + use<F, S, K> {
        let learn = learn(at, [&self.gamma, &self.clip, &self.nu_min, &self.nu_max]);
        move |d, here, [ell, prev]| {
            let ell = learn(ell, S::signal(prev, here.g));
            (ell.exp() * d, [ell, K::keep(prev, d)])
        }
    }

    fn check(&self) -> Result<(), crate::Error> {
        self.nu_min.below(&self.nu_max)
    }

    fn gains(&self, clock: u64) -> Option<GainSlots> {
        let (min, max) = (self.nu_min.value(clock), self.nu_max.value(clock));
        Some(GainSlots::per_coordinate(1, min, max))
    }
}

crate::hypers! {
    /// MetaEGD on momentum with the buffer as its own memory: `signal(buf, g)` with the buffer
    /// *before* the new gradient enters it, which is the derivative; the source's product of the
    /// two buffers grows without bound on pure noise (E24).
    pub struct MetaEgdMomentum<S: Signal = Product> {
        /// Share of the buffer kept (ours 0.9).
        momentum "μ" = 0.9 in Range::RATE,
        /// Rate at which the logarithm of the gain learns, per unit of signal (ours 0.01).
        gamma "γ" = 1e-2 in Range::NON_NEGATIVE,
        /// The signal is limited to ± this; infinity for no limit (ours 1).
        clip "c" = 1.0 in Range::LIMIT,
        /// Smallest gain (ours 1e-3).
        nu_min "ν_min" = 1e-3 in Range::POSITIVE,
        /// Largest gain (ours 1000).
        nu_max "ν_max" = 1e3 in Range::POSITIVE,
        with signal: S = S::default(),
    }
}

impl<S: Signal> Rule for MetaEgdMomentum<S> {
    type Memory<F: Real> = [F; 2];
    const SLOTS: &'static [Slot] = &[slot_as("ell", "ℓ").exact(), slot("buf").of(S::MEMORY)];

    #[inline(always)]
    fn at<F: Real>(
        &self,
        at: &At<F>,
    ) -> impl Fn(F, Here<F>, [F; 2]) -> (F, [F; 2]) + Copy + Send + Sync + use<F, S> {
        let [mu] = at.lift([at.get(&self.momentum)]);
        let learn = learn(at, [&self.gamma, &self.clip, &self.nu_min, &self.nu_max]);
        move |d, here, [ell, buf]| {
            let ell = learn(ell, S::signal(buf, here.g));
            let buf = mu * buf + d;
            (ell.exp() * buf, [ell, buf])
        }
    }

    fn check(&self) -> Result<(), crate::Error> {
        self.nu_min.below(&self.nu_max)
    }

    fn gains(&self, clock: u64) -> Option<GainSlots> {
        let (min, max) = (self.nu_min.value(clock), self.nu_max.value(clock));
        Some(GainSlots::per_coordinate(1, min, max))
    }
}

const SOURCE: &str = "the source documents' MetaEGD, corrected; ingredients of Amid et al. 2022, arXiv 2202.00145";
const TUNE: &[crate::registry::Tune] = &[log_range("lr", 1e-3, 1e1), log_range("gamma", 1e-3, 1e0)];

crate::registry::blocks!(
    rule MetaEgd<Product, Last>,
    rule MetaEgd<Product, LastNonZero>,
    rule MetaEgd<Sign, Last>,
    rule MetaEgd<Sign, LastNonZero>,
    rule MetaEgd<Balance, Last>,
    rule MetaEgd<Balance, LastNonZero>,
    rule MetaEgdMomentum<Product>,
    rule MetaEgdMomentum<Sign>,
    rule MetaEgdMomentum<Balance>,
);

pub(crate) const ENTRIES: &[Entry] = &[
    Entry {
        name: "meta_egd",
        title: "MetaEGD",
        summary: "Per-coordinate gains learned from the products of successive gradients.",
        source: SOURCE,
        chain: recipes::meta_egd,
        tune: TUNE,
    },
    Entry {
        name: "meta_egd_momentum",
        title: "MetaEGD with momentum",
        summary: "MetaEGD on a momentum buffer, with the corrected meta-gradient.",
        source: SOURCE,
        chain: recipes::meta_egd_momentum,
        tune: TUNE,
    },
    Entry {
        name: "meta_egd_sign",
        title: "MetaEGD, scale-free",
        summary: "MetaEGD driven by signs: the same gains whatever the loss is multiplied by.",
        source: SOURCE,
        chain: recipes::meta_egd_sign,
        tune: TUNE,
    },
    Entry {
        name: "meta_egd_sparse",
        title: "MetaEGD for sparse gradients",
        summary: "MetaEGD that remembers the last gradient that was not zero.",
        source: SOURCE,
        chain: recipes::meta_egd_sparse,
        tune: TUNE,
    },
    Entry {
        name: "meta_egd_adam",
        title: "Adam with learned gains",
        summary: "Scale-free MetaEGD around Adam's direction.",
        source: SOURCE,
        chain: recipes::meta_egd_adam,
        tune: &[log_range("lr", 1e-4, 1e-1), log_range("gamma", 1e-3, 1e-1)],
    },
];

pub mod recipes {
    //! Ready-made chains.
    use super::{Last, LastNonZero, MetaEgd, MetaEgdMomentum, Product, Sign};
    use crate::chain::Chain;
    use crate::rules::{Adam, Scale};

    /// MetaEGD: `lr` 1e-3, `gamma` 0.01, products limited to ±`clip` 1, gains in
    /// [`nu_min` 1e-3, `nu_max` 1e3]. (The source's γ = 0.1 without a limit diverges on its own
    /// example, E28.)
    pub fn meta_egd() -> Chain {
        Chain::new((<MetaEgd>::default(), Scale::default()))
    }

    /// MetaEGD on momentum: `momentum` 0.9, the rest as [`meta_egd`].
    pub fn meta_egd_momentum() -> Chain {
        Chain::new((<MetaEgdMomentum>::default(), Scale::default()))
    }

    /// MetaEGD driven by the signs of the products.
    pub fn meta_egd_sign() -> Chain {
        Chain::new((MetaEgd::<Sign, Last>::default(), Scale::default()))
    }

    /// MetaEGD that keeps the last non-zero gradient.
    pub fn meta_egd_sparse() -> Chain {
        Chain::new((MetaEgd::<Product, LastNonZero>::default(), Scale::default()))
    }

    /// Adam's direction with gains learned from signs.
    pub fn meta_egd_adam() -> Chain {
        Chain::new((<Adam>::default(), MetaEgd::<Sign, Last>::default(), Scale::default()))
    }
}
