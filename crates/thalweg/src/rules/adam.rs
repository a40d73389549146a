//! Adam (Kingma & Ba 2015, arXiv 1412.6980) and AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101).

use crate::convention::{Denominator, Outside};
use crate::hyper::Range;
use crate::real::Real;
use crate::registry::{Entry, log_range};
use crate::rule::{At, Here, Rule, Slot, slot};

crate::hypers! {
    /// Adam's direction: running averages `m` of the gradient and `v` of its square, both corrected
    /// for their start at zero; the update is `m̂ / (√v̂ + ε)`.
    pub struct Adam<E: Denominator = Outside> {
        /// Decay rate of the first moment (Adam's paper 0.9).
        beta1 "β₁" = 0.9 in Range::RATE,
        /// Decay rate of the second moment (Adam's paper 0.999).
        beta2 "β₂" = 0.999 in Range::RATE,
        with denominator: E = E::new(1e-8),
    }
}

impl<E: Denominator> Rule for Adam<E> {
    type Memory<F: Real> = [F; 2];
    const SLOTS: &'static [Slot] = &[slot("m"), slot("v").non_negative()];

    #[inline(always)]
    fn at<F: Real>(
        &self,
        at: &At<F>,
    ) -> impl Fn(F, Here<F>, [F; 2]) -> (F, [F; 2]) + Copy + Send + Sync + use<F, E> {
        let [b1, a1, c1] = at.ema(&self.beta1);
        let [b2, a2, _] = at.ema(&self.beta2);
        let root = self.denominator.at(at, at.correction(&self.beta2));
        move |g, _, [m, v]| {
            let m = b1 * m + a1 * g;
            let v = b2 * v + a2 * g * g;
            (c1 * m / root(v), [m, v])
        }
    }
}

const TUNE: &[crate::registry::Tune] = &[log_range("lr", 1e-4, 1e0)];
const TUNE_W: &[crate::registry::Tune] =
    &[log_range("lr", 1e-4, 1e0), log_range("decay", 1e-4, 1e-1)];

/// One row of the table below.
const fn entry(
    name: &'static str,
    title: &'static str,
    summary: &'static str,
    source: &'static str,
    chain: fn() -> crate::chain::Chain,
    tune: &'static [crate::registry::Tune],
) -> Entry {
    Entry { name, title, summary, source, chain, tune }
}

crate::registry::blocks!(
    rule Adam<Outside>,
    rule Adam<crate::Inside>,
    rule Adam<crate::Hat>,
    rule Adam<crate::Floor>,
    rule Adam<crate::Both>,
    rule Adam<crate::HatBoth>,
);

pub(crate) const ENTRIES: &[Entry] = &[
    entry(
        "adam",
        "Adam",
        "Running mean over running root mean square of the gradient, bias-corrected.",
        "Kingma & Ba 2015, arXiv 1412.6980; torch.optim.Adam",
        recipes::adam,
        TUNE,
    ),
    entry(
        "adam@optax",
        "Adam (optax)",
        "Adam with a second ε under the root, 0 by default.",
        "optax.adam",
        recipes::adam_optax,
        TUNE,
    ),
    entry(
        "adam@keras",
        "Adam (Keras)",
        "Adam with ε 1e-7 added before the bias is removed (ε-hat).",
        "keras.optimizers.Adam",
        recipes::adam_keras,
        TUNE,
    ),
    entry(
        "adam_l2",
        "Adam + L2",
        "Adam with coupled weight decay: the decay is divided by √v too.",
        "torch.optim.Adam with weight_decay",
        recipes::adam_l2,
        TUNE_W,
    ),
    entry(
        "adamw",
        "AdamW",
        "Adam with decoupled weight decay.",
        "Loshchilov & Hutter 2019, arXiv 1711.05101; torch.optim.AdamW",
        recipes::adamw,
        TUNE_W,
    ),
    entry(
        "adamw@optax",
        "AdamW (optax)",
        "AdamW with decay 1e-4 and a second ε under the root.",
        "optax.adamw",
        recipes::adamw_optax,
        TUNE_W,
    ),
    entry(
        "adamw@keras",
        "AdamW (Keras)",
        "AdamW with decay 4e-3 and ε-hat 1e-7.",
        "keras.optimizers.AdamW",
        recipes::adamw_keras,
        TUNE_W,
    ),
    entry(
        "adamw@paper",
        "AdamW (paper)",
        "The paper's form: the decay follows the schedule but not the size of the rate.",
        "Loshchilov & Hutter 2019, arXiv 1711.05101",
        recipes::adamw_paper,
        TUNE_W,
    ),
];

pub mod recipes {
    //! Ready-made chains.
    use crate::chain::Chain;
    use crate::convention::{Both, Denominator, Hat};
    use crate::rules::{Adam, DecayWeights, IndependentDecay, L2, Scale};

    /// Adam, the paper's and torch's form: `lr` 1e-3, `beta1` 0.9, `beta2` 0.999, `eps` 1e-8.
    pub fn adam() -> Chain {
        Chain::new((<Adam>::default(), Scale::default()))
    }

    /// Adam as in optax, with `eps_root` (0) under the root besides `eps`.
    pub fn adam_optax() -> Chain {
        Chain::new((Adam::<Both>::default(), Scale::default()))
    }

    /// Adam as in Keras: `eps` 1e-7 is added before the bias is removed.
    pub fn adam_keras() -> Chain {
        Chain::new((Adam::<Hat>::default().denominator(Hat::new(1e-7)), Scale::default()))
    }

    /// Adam with coupled L2, as torch's `weight_decay`; `decay` 1e-2.
    pub fn adam_l2() -> Chain {
        Chain::new((L2::default(), <Adam>::default(), Scale::default()))
    }

    /// AdamW as in torch: `lr` 1e-3, `decay` 1e-2.
    pub fn adamw() -> Chain {
        Chain::new((<Adam>::default(), DecayWeights::default(), Scale::default()))
    }

    /// AdamW as in optax: `decay` 1e-4.
    pub fn adamw_optax() -> Chain {
        let decay = DecayWeights::default().decay(1e-4);
        Chain::new((Adam::<Both>::default(), decay, Scale::default()))
    }

    /// AdamW as in Keras: `decay` 4e-3, `eps` 1e-7 added before the bias is removed.
    pub fn adamw_keras() -> Chain {
        let direction = Adam::<Hat>::default().denominator(Hat::new(1e-7));
        Chain::new((direction, DecayWeights::default().decay(4e-3), Scale::default()))
    }

    /// AdamW as in the paper: the decay is multiplied by the schedule of `lr`, relative to its
    /// peak, and not by `lr`.
    pub fn adamw_paper() -> Chain {
        Chain::new((<Adam>::default(), IndependentDecay::default(), Scale::default()))
    }
}
