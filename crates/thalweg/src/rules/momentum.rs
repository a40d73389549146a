//! Momentum (Polyak 1964) and Nesterov's form of it (Nesterov 1983; Sutskever et al. 2013).

use crate::hyper::Range;
use crate::member::Member;
use crate::real::Real;
use crate::registry::{Entry, log_range};
use crate::rule::{At, Here, Rule, Slot, slot};
use crate::schedule::Schedule;

crate::hypers! {
    /// Heavy-ball momentum: `buf ← μ·buf + (1−d)·g`, the update is `buf` (torch's convention; the
    /// first step stores `g` undamped).
    ///
    /// Before [`Scale`](crate::rules::Scale) the learning rate multiplies the buffer when it is
    /// used, after it the rate is stored in the buffer (Keras, Sutskever); the two differ as soon
    /// as the rate changes.
    ///
    /// With dampening a few rows of a tensor cannot be stepped alone: which of them has its first step is
    /// not known. torch steps a momentum on sparse gradients as on dense ones.
    pub struct Momentum {
        /// Share of the buffer kept (ours 0.9; torch 0).
        momentum "μ" = 0.9 in Range::RATE,
        /// Share of the gradient left out after the first step (torch 0).
        dampening "d" = 0.0 in Range::UNIT,
    }
}

impl Rule for Momentum {
    type Memory<F: Real> = [F; 1];
    const SLOTS: &'static [Slot] = &[slot("buf")];

    fn members(&self, see: &mut dyn FnMut(Member)) {
        // Undamped, the first step is like the others.
        let whole = !matches!(self.dampening.schedule(), Schedule::Constant(0.0));
        see(Member { whole, ..Member::of_rule::<Self>() });
    }

    #[inline(always)]
    fn at<F: Real>(
        &self,
        at: &At<F>,
    ) -> impl Fn(F, Here<F>, [F; 1]) -> (F, [F; 1]) + Copy + Send + Sync + use<F> {
        let one = F::Wide::number(1.0);
        let new = if at.is_first() { one } else { one - at.get(&self.dampening) };
        let [mu, new] = at.lift([at.get(&self.momentum), new]);
        move |g, _, [buf]| {
            let buf = mu * buf + new * g;
            (buf, [buf])
        }
    }
}

crate::hypers! {
    /// Nesterov momentum: the update is `g + μ·buf` with `buf ← μ·buf + g`.
    pub struct Nesterov {
        /// Share of the buffer kept (ours 0.9; torch 0).
        momentum "μ" = 0.9 in Range::RATE,
    }
}

impl Rule for Nesterov {
    type Memory<F: Real> = [F; 1];
    const SLOTS: &'static [Slot] = &[slot("buf")];

    #[inline(always)]
    fn at<F: Real>(
        &self,
        at: &At<F>,
    ) -> impl Fn(F, Here<F>, [F; 1]) -> (F, [F; 1]) + Copy + Send + Sync + use<F> {
        let [mu] = at.lift([at.get(&self.momentum)]);
        move |g, _, [buf]| {
            let buf = mu * buf + g;
            (g + mu * buf, [buf])
        }
    }
}

const TUNE: &[crate::registry::Tune] = &[log_range("lr", 1e-3, 1e1)];

crate::registry::blocks!(rule Momentum, rule Nesterov);

pub(crate) const ENTRIES: &[Entry] = &[
    Entry {
        name: "momentum",
        title: "Momentum",
        summary: "Heavy ball; the learning rate multiplies the buffer when it is used.",
        source: "Polyak 1964; torch.optim.SGD",
        chain: recipes::momentum,
        tune: TUNE,
    },
    Entry {
        name: "momentum@keras",
        title: "Momentum (Keras)",
        summary: "Heavy ball with the learning rate stored in the buffer.",
        source: "Sutskever et al. 2013; keras.optimizers.SGD",
        chain: recipes::momentum_keras,
        tune: TUNE,
    },
    Entry {
        name: "momentum@optax",
        title: "Momentum (optax)",
        summary: "optax.sgd with momentum; torch's form without dampening.",
        source: "optax.sgd",
        chain: recipes::momentum,
        tune: TUNE,
    },
    Entry {
        name: "nesterov",
        title: "Nesterov momentum",
        summary: "Momentum that looks one step ahead.",
        source: "Nesterov 1983; Sutskever et al. 2013; torch.optim.SGD",
        chain: recipes::nesterov,
        tune: TUNE,
    },
    Entry {
        name: "nesterov@keras",
        title: "Nesterov momentum (Keras)",
        summary: "Nesterov momentum with the learning rate stored in the buffer.",
        source: "keras.optimizers.SGD",
        chain: recipes::nesterov_keras,
        tune: TUNE,
    },
    Entry {
        name: "nesterov@optax",
        title: "Nesterov momentum (optax)",
        summary: "optax.sgd with nesterov=True; the same as torch's.",
        source: "optax.sgd",
        chain: recipes::nesterov,
        tune: TUNE,
    },
];

pub mod recipes {
    //! Ready-made chains.
    use crate::chain::Chain;
    use crate::rules::{Momentum, Nesterov, Scale};

    /// Momentum, torch's and optax's form. `lr` 1e-3 (torch), `momentum` 0.9, `dampening` 0.
    pub fn momentum() -> Chain {
        Chain::new((Momentum::default(), Scale::default()))
    }

    /// Momentum, Keras' form: the learning rate is inside the buffer. `lr` 0.01 (Keras).
    pub fn momentum_keras() -> Chain {
        Chain::new((Scale::default().lr(0.01), Momentum::default()))
    }

    /// Nesterov momentum, torch's and optax's form. `lr` 1e-3 (torch), `momentum` 0.9.
    pub fn nesterov() -> Chain {
        Chain::new((Nesterov::default(), Scale::default()))
    }

    /// Nesterov momentum, Keras' form: the learning rate is inside the buffer. `lr` 0.01 (Keras).
    pub fn nesterov_keras() -> Chain {
        Chain::new((Scale::default().lr(0.01), Nesterov::default()))
    }
}
