//! LAMB (You et al. 2020, arXiv 1904.00962): Adam whose step is as long as the tensor is large.

use crate::error::Error;
use crate::hyper::{Hypers, Range};
use crate::part::{Fold, Join, Part};
use crate::real::Real;
use crate::registry::{Entry, Tune, log_range};
use crate::rule::{At, Here, Slot, slot_as};

/// What the ratio takes for the norm of the tensor: the paper's φ.
pub trait NormBounds: Hypers + Default + Clone + Send + Sync + 'static {
    /// φ of the norm, both not negative.
    fn bounded<W: Real<Wide = W>>(&self, at: &At<W>, norm: W) -> W;

    /// Whether the bounds, each in its range, go together.
    ///
    /// # Errors
    /// [`Error::Conflict`] if they do not.
    fn check(&self) -> Result<(), Error> {
        Ok(())
    }
}

crate::hypers! {
    /// The norm as it is (optax, Keras, timm).
    pub struct Unbounded {}
}

impl NormBounds for Unbounded {
    fn bounded<W: Real<Wide = W>>(&self, _: &At<W>, norm: W) -> W {
        norm
    }
}

crate::hypers! {
    /// The norm limited to `[γ_min, γ_max]`, so that a large tensor takes no longer steps than one of γ_max,
    /// and a small one no shorter ones than one of γ_min.
    pub struct Bounded {
        /// The least norm that counts (pytorch_optimizer 0).
        norm_min "γ_min" = 0.0 in Range::NON_NEGATIVE,
        /// The largest norm that counts (pytorch_optimizer 10).
        norm_max "γ_max" = 10.0 in Range::LIMIT,
    }
}

impl NormBounds for Bounded {
    fn bounded<W: Real<Wide = W>>(&self, at: &At<W>, norm: W) -> W {
        norm.clamp(at.get(&self.norm_min), at.get(&self.norm_max)).called("φ")
    }

    fn check(&self) -> Result<(), Error> {
        self.norm_min.below(&self.norm_max)
    }
}

/// The ratio of two norms times τ, or 1 where one of them is zero: a tensor of zeros could never leave
/// them otherwise.
fn ratio<W: Real<Wide = W>>(trust: W, x: W, u: W) -> W {
    W::select(W::number(0.0).lt(x.min(u)), trust * x / u, W::number(1.0))
}

crate::hypers! {
    /// Scales the update of a tensor to `τ·φ(‖x‖)/‖u‖` times itself, so that a step is a share of the
    /// tensor's norm. Where either norm is zero the update stays as it is. One extra reading pass.
    pub struct TrustRatio<B: NormBounds = Unbounded> {
        /// Length of the update in units of the tensor's norm (LAMB 1, LARS 1e-3).
        trust "τ" = 1.0 in Range::NON_NEGATIVE,
        with bounds: B = B::default(),
    }
}

impl<B: NormBounds> Fold for TrustRatio<B> {}

impl<B: NormBounds> Part for TrustRatio<B> {
    type Memory<F: Real> = [F; 0];
    type Scalars<F: Real> = [F; 1];
    type Terms<F: Real> = [F; 2];
    const SCALARS: &'static [Slot] = &[slot_as("ratio", "r")];
    const JOIN: &'static [Join] = &[Join::Sum; 2];

    #[inline(always)]
    fn terms<F: Real>(
        &self,
        _: &At<F>,
        _: usize,
        _: [F; 1],
    ) -> impl Fn(F, Here<F>, [F; 0]) -> [F; 2] + Copy + Send + Sync + use<F, B> {
        |u, Here { x, .. }, []| {
            let u = u.called("u");
            [x * x, u * u]
        }
    }

    fn settle<W: Real<Wide = W>>(&self, at: &At<W>, _: usize, [x, u]: [W; 2], _: [W; 1]) -> [W; 1] {
        [ratio(at.get(&self.trust), self.bounds.bounded(at, x.sqrt()), u.sqrt())]
    }

    fn check(&self) -> Result<(), Error> {
        self.bounds.check()
    }

    #[inline(always)]
    fn at<F: Real>(
        &self,
        _: &At<F>,
        [ratio]: [F; 1],
    ) -> impl Fn(F, Here<F>, [F; 0]) -> (F, [F; 0]) + Copy + Send + Sync + use<F, B> {
        move |u, _, []| (ratio * u.called("u"), [])
    }
}

crate::hypers! {
    /// Keras' ratio and decay: `x ← (1 − η·λ)·x` comes before the step, so the ratio has the norm of the
    /// decayed tensor: `τ·(1 − η·λ)·‖x‖/‖u‖`. It stands before [`Scale`](crate::rules::Scale) and
    /// must have its learning rate. One extra reading pass.
    pub struct DecayedTrustRatio {
        /// Length of the update in units of the tensor's norm (ours 1).
        trust "τ" = 1.0 in Range::NON_NEGATIVE,
        /// Share of the parameter removed per step and unit of learning rate (Keras 0).
        decay "λ" = 0.0 in Range::NON_NEGATIVE,
        /// The learning rate that follows (ours 1e-3).
        lr "η" = 1e-3 in Range::NON_NEGATIVE,
    }
}

impl Fold for DecayedTrustRatio {}

impl Part for DecayedTrustRatio {
    type Memory<F: Real> = [F; 0];
    type Scalars<F: Real> = [F; 1];
    type Terms<F: Real> = [F; 2];
    const SCALARS: &'static [Slot] = &[slot_as("ratio", "r")];
    const JOIN: &'static [Join] = &[Join::Sum; 2];

    #[inline(always)]
    fn terms<F: Real>(
        &self,
        _: &At<F>,
        _: usize,
        _: [F; 1],
    ) -> impl Fn(F, Here<F>, [F; 0]) -> [F; 2] + Copy + Send + Sync + use<F> {
        |u, Here { x, .. }, []| {
            let u = u.called("u");
            [x * x, u * u]
        }
    }

    fn settle<W: Real<Wide = W>>(&self, at: &At<W>, _: usize, [x, u]: [W; 2], _: [W; 1]) -> [W; 1] {
        let left = (W::number(1.0) - at.get(&self.lr) * at.get(&self.decay)).abs();
        [ratio(at.get(&self.trust), left * x.sqrt(), u.sqrt())]
    }

    #[inline(always)]
    fn at<F: Real>(
        &self,
        at: &At<F>,
        [ratio]: [F; 1],
    ) -> impl Fn(F, Here<F>, [F; 0]) -> (F, [F; 0]) + Copy + Send + Sync + use<F> {
        let [decay] = at.lift([at.get(&self.decay)]);
        move |u, Here { x, .. }, []| (ratio * u.called("u") + decay * x, [])
    }
}

crate::registry::blocks!(
    fold TrustRatio<Unbounded>,
    fold TrustRatio<Bounded>,
    fold DecayedTrustRatio,
);

const TUNE: &[Tune] = &[log_range("lr", 1e-4, 1e0)];

pub(crate) const ENTRIES: &[Entry] = &[
    Entry {
        name: "lamb",
        title: "LAMB",
        summary: "AdamW whose step is a share of the tensor's norm.",
        source: "You et al. 2020, arXiv 1904.00962",
        chain: recipes::lamb,
        tune: &[log_range("lr", 1e-4, 1e0), log_range("decay", 1e-4, 1e-1)],
    },
    Entry {
        name: "lamb@optax",
        title: "LAMB (optax)",
        summary: "LAMB without decay and with a second ε under the root.",
        source: "optax.lamb",
        chain: recipes::lamb_optax,
        tune: TUNE,
    },
    Entry {
        name: "lamb@keras",
        title: "LAMB (Keras)",
        summary: "LAMB with ε 1e-7 and a decay that comes before the ratio, 0 by default.",
        source: "keras.optimizers.Lamb",
        chain: recipes::lamb_keras,
        tune: TUNE,
    },
    Entry {
        name: "lamb@paper",
        title: "LAMB (paper)",
        summary: "LAMB with the paper's limits of the tensor's norm.",
        source: "You et al. 2020, arXiv 1904.00962, algorithm 2",
        chain: recipes::lamb_paper,
        tune: &[log_range("lr", 1e-4, 1e0), log_range("decay", 1e-4, 1e-1)],
    },
];

pub mod recipes {
    //! Ready-made chains.
    use super::{Bounded, DecayedTrustRatio, TrustRatio};
    use crate::chain::Chain;
    use crate::convention::{Both, Denominator, Outside};
    use crate::rules::{Adam, DecayWeights, Scale};

    /// LAMB with φ(‖x‖) = ‖x‖, as its authors ran it: `lr` 1e-3, `eps` 1e-6, `decay` 1e-2 inside the ratio.
    pub fn lamb() -> Chain {
        let direction = <Adam>::default().denominator(Outside::new(1e-6));
        Chain::new((direction, DecayWeights::default()))
            .fold(<TrustRatio>::default())
            .then(Scale::default())
    }

    /// LAMB as in optax: `eps` 1e-6, `eps_root` 0, `decay` 0.
    pub fn lamb_optax() -> Chain {
        let direction = Adam::<Both>::default().denominator(Both::new(1e-6));
        Chain::new((direction, DecayWeights::default().decay(0.0)))
            .fold(<TrustRatio>::default())
            .then(Scale::default())
    }

    /// LAMB as in Keras: `eps` 1e-7, `decay` 0, which comes before the ratio.
    pub fn lamb_keras() -> Chain {
        let direction = <Adam>::default().denominator(Outside::new(1e-7));
        Chain::new(direction).fold(DecayedTrustRatio::default()).then(Scale::default())
    }

    /// LAMB as the paper writes it, with ‖x‖ limited to [`norm_min`, `norm_max`], which it does not
    /// give: 0 and 10 (pytorch_optimizer).
    pub fn lamb_paper() -> Chain {
        let direction = <Adam>::default().denominator(Outside::new(1e-6));
        Chain::new((direction, DecayWeights::default()))
            .fold(TrustRatio::<Bounded>::default())
            .then(Scale::default())
    }
}
