//! ADOPT (Taniguchi et al. 2024, arXiv 2411.02853): Adam that divides by the second moment before it
//! has seen the gradient, and so converges for every β₂.

use crate::convention::{Denominator, Floor};
use crate::hyper::{Hypers, Range};
use crate::real::Real;
use crate::registry::{Entry, log_range};
use crate::rule::{At, Here, Rule, Slot, slot};

/// Which number of the step the limit of the normed gradient follows.
pub trait ClipClock: Hypers + Default + Clone + Send + Sync + 'static {
    /// The number, given the step from 1.
    fn count<W: Real<Wide = W>>(t: W) -> W;
}

crate::hypers! {
    /// Steps taken before this one, `t − 1`: paper, official code and optax.
    pub struct StepsBefore {}
}

impl ClipClock for StepsBefore {
    fn count<W: Real<Wide = W>>(t: W) -> W {
        t - W::number(1.0)
    }
}

crate::hypers! {
    /// The number of this step, `t`: pytorch-optimizer.
    pub struct StepsSoFar {}
}

impl ClipClock for StepsSoFar {
    fn count<W: Real<Wide = W>>(t: W) -> W {
        t
    }
}

crate::hypers! {
    /// ADOPT's direction: the running mean of `g / max(√v, ε)`, limited to `±(t−1)^¼`, with `v` from
    /// before this gradient. The first step only starts `v`.
    pub struct Adopt<E: Denominator = Floor, C: ClipClock = StepsBefore> {
        /// Decay rate of the running mean (official code 0.9).
        beta1 "β₁" = 0.9 in Range::RATE,
        /// Decay rate of the second moment (official code 0.9999).
        beta2 "β₂" = 0.9999 in Range::RATE,
        /// The limit of the normed gradient is the number of the step to this power (paper ¼).
        clip_power "p" = 0.25 in Range::NON_NEGATIVE,
        with denominator: E = E::new(1e-6),
        with clock: C = C::default(),
    }
}

impl<E: Denominator, C: ClipClock> Rule for Adopt<E, C> {
    type Memory<F: Real> = [F; 2];
    const SLOTS: &'static [Slot] = &[slot("m"), slot("v").non_negative()];
    const WHOLE: bool = true;

    #[inline(always)]
    fn at<F: Real>(
        &self,
        at: &At<F>,
    ) -> impl Fn(F, Here<F>, [F; 2]) -> (F, [F; 2]) + Copy + Send + Sync + use<F, E, C> {
        let [b1, a1, _] = at.ema(&self.beta1);
        let [b2, a2, _] = at.ema(&self.beta2);
        let (zero, one) = (F::number(0.0), F::number(1.0));
        let [limit] = at.lift([C::count(at.t()).pow(at.get(&self.clip_power)).called("c")]);
        // The first step leaves m as it is and takes g² for v.
        let [b1, a1, b2, a2] =
            if at.is_first() { [one, zero, zero, one] } else { [b1, a1, b2, a2] };
        let root = self.denominator.at(at, F::Wide::number(1.0));
        move |g, _, [m, v]| {
            let normed = (g / root(v)).clamp(-limit, limit);
            let m = b1 * m + a1 * normed;
            let v = b2 * v + a2 * g * g;
            (m, [m, v])
        }
    }
}

const TUNE: &[crate::registry::Tune] = &[log_range("lr", 1e-4, 1e0)];

crate::registry::blocks!(
    rule Adopt<crate::Floor, StepsBefore>,
    rule Adopt<crate::Floor, StepsSoFar>,
);

pub(crate) const ENTRIES: &[Entry] = &[
    Entry {
        name: "adopt",
        title: "ADOPT",
        summary: "Adam that norms each gradient by the second moment before it, for any β₂.",
        source: "Taniguchi et al. 2024, arXiv 2411.02853; optax.contrib.adopt",
        chain: recipes::adopt,
        tune: TUNE,
    },
    Entry {
        name: "adopt@pytorch_optimizer",
        title: "ADOPT (pytorch-optimizer)",
        summary: "ADOPT whose limit is one step ahead.",
        source: "pytorch_optimizer.ADOPT",
        chain: recipes::adopt_pytorch_optimizer,
        tune: TUNE,
    },
];

pub mod recipes {
    //! Ready-made chains.
    use super::{Adopt, Floor, StepsSoFar};
    use crate::chain::Chain;
    use crate::rules::Scale;

    /// ADOPT, the form of paper, official code and optax: `lr` 1e-3, `beta1` 0.9, `beta2` 0.9999,
    /// `eps` 1e-6, `clip_power` 0.25.
    pub fn adopt() -> Chain {
        Chain::new((<Adopt>::default(), Scale::default()))
    }

    /// ADOPT as in pytorch-optimizer: the limit is `t^¼` and not `(t−1)^¼`.
    pub fn adopt_pytorch_optimizer() -> Chain {
        Chain::new((Adopt::<Floor, StepsSoFar>::default(), Scale::default()))
    }
}
