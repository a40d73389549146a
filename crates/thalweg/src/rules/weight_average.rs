//! Running averages of the parameter (Polyak & Juditsky 1992; as a running average, Ruppert 1988).

use crate::hyper::{Hyper, Hypers, Range};
use crate::real::Real;
use crate::registry::{Entry, log_range};
use crate::rule::{At, Here, Rule, Slot, slot_as};

/// Where a running average of the parameter starts.
pub trait AverageStart: Hypers + Default + Clone + Send + Sync + 'static {
    /// The average before the first step, of a parameter at `x`.
    fn before<F: Real>(x: F) -> F;
    /// Share of the average that is kept at this step.
    fn kept<F: Real>(at: &At<F>, decay: &Hyper) -> F::Wide;
    /// What the average is multiplied by to be evaluated.
    fn correction<F: Real>(at: &At<F>, decay: &Hyper) -> F::Wide;
}

crate::hypers! {
    /// At the parameter after the first step (torch, Keras).
    pub struct FromFirst {}
}

impl AverageStart for FromFirst {
    fn before<F: Real>(x: F) -> F {
        x
    }
    fn kept<F: Real>(at: &At<F>, decay: &Hyper) -> F::Wide {
        let later = F::Wide::named("[t > 1]", if at.is_first() { 0.0 } else { 1.0 });
        (at.get(decay) * later).called("d")
    }
    fn correction<F: Real>(_: &At<F>, _: &Hyper) -> F::Wide {
        F::Wide::number(1.0)
    }
}

crate::hypers! {
    /// At zero; the evaluation corrects the bias, as Adam does for its moments (`optax.ema`).
    pub struct FromZero {}
}

impl AverageStart for FromZero {
    fn before<F: Real>(_: F) -> F {
        F::number(0.0)
    }
    fn kept<F: Real>(at: &At<F>, decay: &Hyper) -> F::Wide {
        at.get(decay)
    }
    fn correction<F: Real>(at: &At<F>, decay: &Hyper) -> F::Wide {
        at.correction(decay)
    }
}

crate::hypers! {
    /// At the parameter before the first step: a copy of the model, made before training, as
    /// `optax.incremental_update` goes on from.
    pub struct FromInitial {}
}

impl AverageStart for FromInitial {
    fn before<F: Real>(x: F) -> F {
        x
    }
    fn kept<F: Real>(at: &At<F>, decay: &Hyper) -> F::Wide {
        at.get(decay)
    }
    fn correction<F: Real>(_: &At<F>, _: &Hyper) -> F::Wide {
        F::Wide::number(1.0)
    }
}

crate::hypers! {
    /// A running average of the parameter after each step, which is what is evaluated. Training is
    /// what it would be without it.
    ///
    /// Last in its chain, after [`Scale`](crate::rules::Scale): it reads `x − u`, in the sweep that
    /// writes it. Elsewhere, and over a geometry, it is an error.
    pub struct WeightAverage<S: AverageStart = FromFirst> {
        /// Share of the average kept per step (torch 0.999).
        average_decay "δ" = 0.999 in Range::RATE,
        with start: S = S::default(),
    }
}

impl<S: AverageStart> Rule for WeightAverage<S> {
    type Memory<F: Real> = [F; 1];
    const SLOTS: &'static [Slot] = &[slot_as("average", "a").exact()];
    const HAS_VIEW: bool = true;
    const LAST: bool = true;

    fn start<F: Real>(&self, x: F) -> [F; 1] {
        [S::before(x)]
    }

    #[inline(always)]
    fn at<F: Real>(
        &self,
        at: &At<F>,
    ) -> impl Fn(F, Here<F>, [F; 1]) -> (F, [F; 1]) + Copy + Send + Sync + use<F, S> {
        let [new] = at.lift([F::Wide::number(1.0) - S::kept(at, &self.average_decay)]);
        move |u, here, [average]| {
            let next = (here.x - u).called("y");
            // What is kept and what is new would be rounded apart, and not add up to one.
            (u, [average + new * (next - average)])
        }
    }

    #[inline(always)]
    fn view<F: Real>(&self, at: &At<F>) -> impl Fn(F, [F; 1]) -> F + Copy + Send + Sync + use<F, S> {
        let [correct] = at.lift([S::correction(at, &self.average_decay)]);
        move |_, [average]| correct * average
    }
}

const TUNE: &[crate::registry::Tune] = &[log_range("lr", 1e-4, 1e0)];

crate::registry::blocks!(
    rule WeightAverage<FromFirst>,
    rule WeightAverage<FromZero>,
    rule WeightAverage<FromInitial>,
);

pub(crate) const ENTRIES: &[Entry] = &[
    Entry {
        name: "weight_average",
        title: "Weight average (Adam)",
        summary: "Adam that evaluates a running average of its parameters.",
        source: "Polyak & Juditsky 1992; torch.optim.swa_utils.get_ema_multi_avg_fn",
        chain: recipes::weight_average,
        tune: TUNE,
    },
    Entry {
        name: "weight_average@optax",
        title: "Weight average (Adam, optax)",
        summary: "The average starts at zero and is corrected for it.",
        source: "optax.ema of the parameters",
        chain: recipes::weight_average_optax,
        tune: TUNE,
    },
    Entry {
        name: "weight_average@keras",
        title: "Weight average (Adam, Keras)",
        summary: "An average that keeps 0.99 per step, around Keras' Adam.",
        source: "keras.optimizers.Adam(use_ema=True)",
        chain: recipes::weight_average_keras,
        tune: TUNE,
    },
];

pub mod recipes {
    //! Ready-made chains.
    use super::{FromZero, WeightAverage};
    use crate::chain::Chain;
    use crate::rules::recipes::{adam, adam_keras};

    /// Adam, evaluated at its running average as torch keeps it: `average_decay` 0.999.
    pub fn weight_average() -> Chain {
        adam().then(<WeightAverage>::default())
    }

    /// Adam, evaluated at the average that `optax.ema` keeps if it is given the parameters, bias-corrected:
    /// `average_decay` 0.999. That of `optax.incremental_update` is `WeightAverage::<FromInitial>`.
    pub fn weight_average_optax() -> Chain {
        adam().then(WeightAverage::<FromZero>::default())
    }

    /// Adam as in Keras with `use_ema`: `average_decay` 0.99.
    pub fn weight_average_keras() -> Chain {
        adam_keras().then(<WeightAverage>::default().average_decay(0.99))
    }
}
