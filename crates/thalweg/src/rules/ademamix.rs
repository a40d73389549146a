//! AdEMAMix (Pagliardini, Ablin & Grangier 2024, arXiv 2409.03137): Adam with a second, slow momentum.

use crate::convention::{Both, Denominator, Outside};
use crate::hyper::{Hyper, Hypers, Range};
use crate::real::Real;
use crate::registry::{Entry, log_range};
use crate::rule::{At, Here, Rule, Slot, slot, slot_as};

/// How the weight and the memory of the slow momentum come to their final values.
pub trait SlowStart: Hypers + Default + Clone + Send + Sync + 'static {
    /// `(α, β₃)` of the step, given their final values and β₁.
    fn at<F: Real>(&self, at: &At<F>, alpha: &Hyper, beta1: &Hyper, beta3: &Hyper)
    -> [F::Wide; 2];
}

crate::hypers! {
    /// They have them from the start (the default of optax and pytorch-optimizer).
    pub struct AtOnce {}
}

impl SlowStart for AtOnce {
    fn at<F: Real>(&self, at: &At<F>, alpha: &Hyper, _: &Hyper, beta3: &Hyper) -> [F::Wide; 2] {
        [at.get(alpha), at.get(beta3)]
    }
}

crate::hypers! {
    /// The paper's schedules over the first `warmup` steps: α grows linearly from 0, and the
    /// half-life of the slow momentum grows linearly from that of β₁.
    pub struct Gradual {
        /// Number of steps until α and β₃ have their final values (the paper takes the whole run).
        warmup "T" = 10000.0 in Range::POSITIVE,
    }
}

impl SlowStart for Gradual {
    fn at<F: Real>(
        &self,
        at: &At<F>,
        alpha: &Hyper,
        beta1: &Hyper,
        beta3: &Hyper,
    ) -> [F::Wide; 2] {
        let one = F::Wide::number(1.0);
        let share = (at.t() / at.get(&self.warmup)).min(one).called("s");
        // Linear in 1/ln β, the half-life.
        let life = (one - share) / at.get(beta1).ln() + share / at.get(beta3).ln();
        let beta = (one / life).exp().min(at.get(beta3));
        [(share * at.get(alpha)).called("α_t"), beta.called("β_t")]
    }
}

crate::hypers! {
    /// AdEMAMix's direction: `(m̂ + α·m₂) / (√v̂ + ε)`, with a momentum `m₂` over thousands of steps
    /// beside Adam's. Its bias is not corrected, so it comes in slowly.
    pub struct AdEmaMix<E: Denominator = Outside, S: SlowStart = AtOnce> {
        /// Decay rate of the fast momentum (paper 0.9).
        beta1 "β₁" = 0.9 in Range::RATE,
        /// Decay rate of the second moment (paper 0.999).
        beta2 "β₂" = 0.999 in Range::RATE,
        /// Decay rate of the slow momentum (paper 0.9999).
        beta3 "β₃" = 0.9999 in Range::RATE,
        /// Weight of the slow momentum (paper 4 to 10; optax and pytorch-optimizer 5).
        alpha "α" = 5.0 in Range::NON_NEGATIVE,
        with denominator: E = E::new(1e-8),
        with slow_start: S = S::default(),
    }
}

impl<E: Denominator, S: SlowStart> Rule for AdEmaMix<E, S> {
    type Memory<F: Real> = [F; 3];
    const SLOTS: &'static [Slot] = &[slot("m"), slot_as("slow", "m₂"), slot("v").non_negative()];

    #[inline(always)]
    fn at<F: Real>(
        &self,
        at: &At<F>,
    ) -> impl Fn(F, Here<F>, [F; 3]) -> (F, [F; 3]) + Copy + Send + Sync + use<F, E, S> {
        let [b1, a1, c1] = at.ema(&self.beta1);
        let [b2, a2, _] = at.ema(&self.beta2);
        let [alpha, beta3] = self.slow_start.at(at, &self.alpha, &self.beta1, &self.beta3);
        let [alpha, b3, a3] = at.lift([alpha, beta3, F::Wide::number(1.0) - beta3]);
        let root = self.denominator.at(at, at.correction(&self.beta2));
        move |g, _, [m, slow, v]| {
            let m = b1 * m + a1 * g;
            let slow = b3 * slow + a3 * g;
            let v = b2 * v + a2 * g * g;
            ((c1 * m + alpha * slow) / root(v), [m, slow, v])
        }
    }
}

const TUNE: &[crate::registry::Tune] =
    &[log_range("lr", 1e-4, 1e0), log_range("decay", 1e-4, 1e-1)];
const PAPER: &str = "Pagliardini, Ablin & Grangier 2024, arXiv 2409.03137; pytorch_optimizer.AdEMAMix";

crate::registry::blocks!(
    rule AdEmaMix<crate::Outside, AtOnce>,
    rule AdEmaMix<crate::Outside, Gradual>,
    rule AdEmaMix<crate::Both, AtOnce>,
);

pub(crate) const ENTRIES: &[Entry] = &[
    Entry {
        name: "ademamix",
        title: "AdEMAMix",
        summary: "AdamW with a second momentum that remembers thousands of steps.",
        source: PAPER,
        chain: recipes::ademamix,
        tune: TUNE,
    },
    Entry {
        name: "ademamix@optax",
        title: "AdEMAMix (optax)",
        summary: "AdEMAMix with a second ε under the root, 0 by default.",
        source: "optax.contrib.ademamix",
        chain: recipes::ademamix_optax,
        tune: TUNE,
    },
    Entry {
        name: "ademamix_scheduled",
        title: "AdEMAMix, scheduled",
        summary: "AdEMAMix with the paper's schedules: weight and memory of the slow momentum grow.",
        source: PAPER,
        chain: recipes::ademamix_scheduled,
        tune: TUNE,
    },
];

pub mod recipes {
    //! Ready-made chains.
    use super::{AdEmaMix, Both, Gradual, Outside};
    use crate::chain::Chain;
    use crate::rule::Rule;
    use crate::rules::{DecayWeights, Scale};

    fn with(direction: impl Rule) -> Chain {
        Chain::new((direction, DecayWeights::default().decay(0.0), Scale::default()))
    }

    /// AdEMAMix: `lr` 1e-3, `beta1` 0.9, `beta2` 0.999, `beta3` 0.9999, `alpha` 5, `eps` 1e-8, `decay` 0.
    pub fn ademamix() -> Chain {
        with(<AdEmaMix>::default())
    }

    /// AdEMAMix as in optax, with `eps_root` (0) under the root.
    pub fn ademamix_optax() -> Chain {
        with(AdEmaMix::<Both>::default())
    }

    /// AdEMAMix with the paper's schedules over `warmup` (10,000) steps.
    pub fn ademamix_scheduled() -> Chain {
        with(AdEmaMix::<Outside, Gradual>::default())
    }
}
