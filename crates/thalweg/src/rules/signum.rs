//! Signs of gradients (Bernstein et al. 2018, arXiv 1802.04434): signSGD and, with momentum, Signum.

use crate::hyper::Range;
use crate::real::Real;
use crate::registry::{Entry, log_range};
use crate::rule::{At, Here, Rule, Slot, slot};

crate::hypers! {
    /// The sign of the update: −1, 0 or 1.
    pub struct SignOf {}
}

impl Rule for SignOf {
    type Memory<F: Real> = [F; 0];

    #[inline(always)]
    fn at<F: Real>(
        &self,
        _: &At<F>,
    ) -> impl Fn(F, Here<F>, [F; 0]) -> (F, [F; 0]) + Copy + Send + Sync + use<F> {
        move |u, _, []| (u.sign(), [])
    }
}

crate::hypers! {
    /// Signum's direction: the sign of the running mean of the gradient.
    pub struct Signum {
        /// Decay rate of the running mean (Signum's paper 0.9).
        beta1 "β₁" = 0.9 in Range::RATE,
    }
}

impl Rule for Signum {
    type Memory<F: Real> = [F; 1];
    const SLOTS: &'static [Slot] = &[slot("m")];

    #[inline(always)]
    fn at<F: Real>(
        &self,
        at: &At<F>,
    ) -> impl Fn(F, Here<F>, [F; 1]) -> (F, [F; 1]) + Copy + Send + Sync + use<F> {
        let [b, a, _] = at.ema(&self.beta1);
        move |g, _, [m]| {
            let m = b * m + a * g;
            (m.sign(), [m])
        }
    }
}

const TUNE: &[crate::registry::Tune] = &[log_range("lr", 1e-5, 1e-1)];

crate::registry::blocks!(
    rule SignOf,
    rule Signum,
);

pub(crate) const ENTRIES: &[Entry] = &[
    Entry {
        name: "signum",
        title: "Signum",
        summary: "The sign of the running mean of the gradient.",
        source: "Bernstein et al. 2018, arXiv 1802.04434; optax.signum",
        chain: recipes::signum,
        tune: TUNE,
    },
    Entry {
        name: "signum@pytorch_optimizer",
        title: "Signum (pytorch-optimizer)",
        summary: "Signum with decoupled decay, 0 by default.",
        source: "pytorch_optimizer.SignSGD",
        chain: recipes::signum_pytorch_optimizer,
        tune: TUNE,
    },
    Entry {
        name: "sign_sgd",
        title: "signSGD",
        summary: "The sign of the gradient.",
        source: "Bernstein et al. 2018, arXiv 1802.04434; optax.sign_sgd",
        chain: recipes::sign_sgd,
        tune: TUNE,
    },
];

pub mod recipes {
    //! Ready-made chains.
    use super::{SignOf, Signum};
    use crate::chain::Chain;
    use crate::rules::{DecayWeights, Scale};

    /// Signum: `lr` 1e-4 (paper), `beta1` 0.9.
    pub fn signum() -> Chain {
        Chain::new((Signum::default(), Scale::default().lr(1e-4)))
    }

    /// Signum as in pytorch-optimizer: `lr` 1e-3, `beta1` 0.9, `decay` 0.
    pub fn signum_pytorch_optimizer() -> Chain {
        let decay = DecayWeights::default().decay(0.0);
        Chain::new((Signum::default(), decay, Scale::default()))
    }

    /// signSGD: `lr` 1e-4 (paper).
    pub fn sign_sgd() -> Chain {
        Chain::new((SignOf::default(), Scale::default().lr(1e-4)))
    }
}
