//! Schedule-free learning (Defazio et al. 2024, arXiv 2405.15682).

use crate::convention::{Denominator, Outside};
use crate::hyper::{Hyper, Hypers, Range};
use crate::part::{Fold, Part};
use crate::real::Real;
use crate::registry::{Entry, log_range};
use crate::rule::{At, Here, Rule, Slot, slot, slot_as};

/// What the learning rate of [`ScheduleFree`] is multiplied by at each step.
pub trait ScheduleFreeRate: Hypers + Default + Clone + Send + Sync + 'static {
    /// The rate of this step.
    fn rate<F: Real>(&self, at: &At<F>, lr: &Hyper) -> F::Wide;
}

crate::hypers! {
    /// The learning rate as its schedule has it.
    pub struct PlainRate {}
}

impl ScheduleFreeRate for PlainRate {
    fn rate<F: Real>(&self, at: &At<F>, lr: &Hyper) -> F::Wide {
        at.get(lr)
    }
}

crate::hypers! {
    /// The learning rate rectified as in RAdam (Liu et al. 2020, arXiv 1908.03265): zero while no
    /// more than four gradients' worth of variance is known, then rising towards itself.
    pub struct RectifiedRate {
        /// Decay rate of the second moment that the direction is divided by; at 0.6 the rate would stay zero (official 0.999).
        beta2 "β₂" = 0.999 in Range { low: 0.6, ..Range::OPEN_UNIT },
    }
}

impl ScheduleFreeRate for RectifiedRate {
    fn rate<F: Real>(&self, at: &At<F>, lr: &Hyper) -> F::Wide {
        let [zero, one, two, four] = [0.0, 1.0, 2.0, 4.0].map(F::Wide::number);
        let beta2 = at.get(&self.beta2);
        let fade = beta2.pow(at.t());
        let most = (two / (one - beta2) - one).called("N_max");
        let n = (most - two * at.t() * fade / (one - fade)).called("N");
        let excess = (n - four).max(zero);
        // A short second memory never has the variance of four gradients: N_max itself may be 4.
        let whole = ((most - four) * (most - two) * n).away_from_zero();
        at.get(lr) * (excess * (n - two) * most / whole).sqrt().called("R")
    }
}

crate::hypers! {
    /// Schedule-free learning around the direction `d` that reaches it. Steps go to `z`; their
    /// weighted average is what is evaluated; the gradient is taken at the parameter, which stands
    /// between the two: `x = (1 − β₁)·z + β₁·average`.
    ///
    /// The average is not stored: the [evaluation](crate::Optimizer::evaluation) computes it from
    /// the parameter and `z`. A step enters it with the weight `tʳ·η_maxᵖ`, where `η_max` is the largest
    /// rate so far, so that the steps of a warm-up count little. It contains the learning rate and
    /// stands in the place of [`Scale`](crate::rules::Scale), last in its chain. The direction
    /// should have no momentum of its own.
    pub struct ScheduleFree<R: ScheduleFreeRate = PlainRate> {
        /// Learning rate, in units of the parameter per unit of update. A warm-up is a schedule of it (official AdamW 2.5e-3).
        lr "η" = 2.5e-3 in Range::NON_NEGATIVE,
        /// Share of the average in the parameter, to be left constant; `momentum` in the official SGD (official 0.9).
        beta1 "β₁" once = 0.9 in Range::OPEN_UNIT,
        /// Power of the step number in the weights of the average (official 0).
        weight_step_power "r" = 0.0 in Range::NON_NEGATIVE,
        /// Power of the largest learning rate so far in the weights of the average (official 2).
        weight_lr_power "p" = 2.0 in Range::NON_NEGATIVE,
        with rate: R = R::default(),
    }
}

impl<R: ScheduleFreeRate> Fold for ScheduleFree<R> {}

impl<R: ScheduleFreeRate> Part for ScheduleFree<R> {
    type Memory<F: Real> = [F; 1];
    type Scalars<F: Real> = [F; 3];
    type Terms<F: Real> = [F; 0];
    const SLOTS: &'static [Slot] = &[slot("z").exact()];
    const SCALARS: &'static [Slot] =
        &[slot_as("lr_max", "η_max"), slot_as("weight_sum", "W"), slot_as("weight", "c")];
    const HAS_VIEW: bool = true;
    const LAST: bool = true;

    fn start<F: Real>(&self, x: F) -> [F; 1] {
        [x]
    }

    fn settle<W: Real<Wide = W>>(
        &self,
        at: &At<W>,
        _: usize,
        _: [W; 0],
        [lr_max, sum, _]: [W; 3],
    ) -> [W; 3] {
        let lr_max = lr_max.max(self.rate.rate(at, &self.lr));
        let weight = at.t().pow(at.get(&self.weight_step_power))
            * lr_max.pow(at.get(&self.weight_lr_power));
        let weight = weight.called("w");
        let sum = sum + weight;
        // As long as every rate was zero, nothing enters the average.
        [lr_max, sum, weight / sum.away_from_zero()]
    }

    #[inline(always)]
    fn at<F: Real>(
        &self,
        at: &At<F>,
        [_, _, c]: [F; 3],
    ) -> impl Fn(F, Here<F>, [F; 1]) -> (F, [F; 1]) + Copy + Send + Sync + use<F, R> {
        let [lr, b1] = at.lift([self.rate.rate(at, &self.lr), at.get(&self.beta1)]);
        let one = F::number(1.0);
        let through = lr * (one - b1 * (one - c));
        move |d, here, [z]| {
            let d = d.called("d");
            (c * (here.x - z) + through * d, [z - lr * d])
        }
    }

    #[inline(always)]
    fn view<F: Real>(
        &self,
        at: &At<F>,
        _: [F; 3],
    ) -> impl Fn(F, [F; 1]) -> F + Copy + Send + Sync + use<F, R> {
        let b1 = at.get(&self.beta1);
        let [b1, a1] = at.lift([b1, F::Wide::number(1.0) - b1]);
        move |x, [z]| (x - a1 * z) / b1
    }
}

crate::hypers! {
    /// The gradient over its running root mean square, corrected for the start at zero: Adam's
    /// direction without the first moment.
    pub struct CorrectedRms<E: Denominator = Outside> {
        /// Decay rate of the second moment (official 0.999).
        beta2 "β₂" = 0.999 in Range::RATE,
        with denominator: E = E::new(1e-8),
    }
}

impl<E: Denominator> Rule for CorrectedRms<E> {
    type Memory<F: Real> = [F; 1];
    const SLOTS: &'static [Slot] = &[slot("v").non_negative()];

    #[inline(always)]
    fn at<F: Real>(
        &self,
        at: &At<F>,
    ) -> impl Fn(F, Here<F>, [F; 1]) -> (F, [F; 1]) + Copy + Send + Sync + use<F, E> {
        let [b2, a2, _] = at.ema(&self.beta2);
        let root = self.denominator.at(at, at.correction(&self.beta2));
        move |g, _, [v]| {
            let v = b2 * v + a2 * g * g;
            (g / root(v), [v])
        }
    }
}

const TUNE: &[crate::registry::Tune] = &[log_range("lr", 1e-4, 1e1)];
const TUNE_W: &[crate::registry::Tune] =
    &[log_range("lr", 1e-4, 1e0), log_range("decay", 1e-4, 1e-1)];

crate::registry::blocks!(
    fold ScheduleFree<PlainRate>,
    fold ScheduleFree<RectifiedRate>,
    rule CorrectedRms<crate::Outside>,
);

pub(crate) const ENTRIES: &[Entry] = &[
    Entry {
        name: "schedule_free_sgd",
        title: "Schedule-free SGD",
        summary: "Gradient descent that evaluates the average of its steps and needs no schedule.",
        source: "Defazio et al. 2024, arXiv 2405.15682; schedulefree.SGDScheduleFree 1.4.1",
        chain: recipes::schedule_free_sgd,
        tune: TUNE,
    },
    Entry {
        name: "schedule_free_adamw",
        title: "Schedule-free AdamW",
        summary: "AdamW that evaluates the average of its steps and needs no schedule.",
        source: "Defazio et al. 2024, arXiv 2405.15682; schedulefree.AdamWScheduleFree 1.4.1",
        chain: recipes::schedule_free_adamw,
        tune: TUNE_W,
    },
    Entry {
        name: "schedule_free_radam",
        title: "Schedule-free RAdam",
        summary: "Schedule-free AdamW with RAdam's warm-up built in.",
        source: "Defazio et al. 2024, arXiv 2405.15682; schedulefree.RAdamScheduleFree 1.4.1",
        chain: recipes::schedule_free_radam,
        tune: TUNE_W,
    },
];

pub mod recipes {
    //! Ready-made chains.
    use super::{CorrectedRms, RectifiedRate, ScheduleFree};
    use crate::chain::Chain;
    use crate::rules::DecayWeights;

    /// Schedule-free SGD, the official defaults: `lr` 1, `beta1` 0.9, `decay` 0.
    pub fn schedule_free_sgd() -> Chain {
        Chain::new(DecayWeights::default().decay(0.0)).fold(<ScheduleFree>::default().lr(1.0))
    }

    /// Schedule-free AdamW, the official defaults: `lr` 2.5e-3, `beta1` 0.9, `beta2` 0.999, `eps`
    /// 1e-8, `decay` 0.
    pub fn schedule_free_adamw() -> Chain {
        let direction = (<CorrectedRms>::default(), DecayWeights::default().decay(0.0));
        Chain::new(direction).fold(<ScheduleFree>::default())
    }

    /// Schedule-free RAdam, the official defaults: those of [`schedule_free_adamw`].
    pub fn schedule_free_radam() -> Chain {
        let direction = (<CorrectedRms>::default(), DecayWeights::default().decay(0.0));
        Chain::new(direction).fold(ScheduleFree::<RectifiedRate>::default())
    }
}
