//! Schedules: a hyper-parameter as a function of the step, held as data.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::plateau::Plateau;

/// A step that no training reaches: where a schedule without an end is looked at in its stead.
pub(crate) const FAR: u64 = 1 << 40;

/// A value that changes with the step number.
///
/// Steps count from 0, the first step taken, and are evaluated in `f64` once per step. A schedule
/// is plain data: it can be compared, printed, saved in a checkpoint, and evaluated at any step
/// without having run the ones before; only [`Plateau`] reacts to what it is told.
///
/// After its last step a schedule stays at its final value.
///
/// ```
/// use thalweg::Schedule;
/// let lr = Schedule::cosine(0.1, 0.0, 100).after_warmup(10);
/// assert!((lr.value(0) - 0.01).abs() < 1e-15); // the first step is not wasted on zero
/// assert_eq!(lr.value(10), 0.1);
/// assert!(lr.value(110) < 1e-15);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// The same value at every step.
    Constant(#[serde(with = "number")] f64),
    /// `base · factorᵏ` with `k` the number of whole periods of `every` steps gone by
    /// (torch `StepLR`). It may grow, as [`Exponential`](Self::Exponential) may.
    Step {
        /// Value before the first change.
        base: f64,
        /// What each change multiplies by, finite and not negative; not 0 where the hyper-parameter cannot be.
        factor: f64,
        /// Steps between changes, at least 1.
        every: u64,
    },
    /// `base · factorᵏ` with `k` the number of `milestones` reached (torch `MultiStepLR`).
    MultiStep {
        /// Value before the first milestone.
        base: f64,
        /// What each milestone multiplies by, finite and not negative.
        factor: f64,
        /// The steps at which the value changes, ascending.
        milestones: Vec<u64>,
    },
    /// `base · factor^step` (torch `ExponentialLR`). With a factor above 1 it grows without end, which is
    /// what a test for the learning rate's range does: allowed for what has no largest value, a learning
    /// rate, but not for a rate below 1, unless another schedule follows
    /// ([`Sequential`](Self::Sequential)).
    Exponential {
        /// Value at step 0.
        base: f64,
        /// What every step multiplies by, finite and not negative; not 0 where the hyper-parameter cannot be.
        factor: f64,
    },
    /// `to + (from − to)·(1 − step/steps)^power`; `power` 1 is linear (torch `PolynomialLR`).
    Polynomial {
        /// Value at step 0.
        from: f64,
        /// Value at `steps` and later.
        to: f64,
        /// Steps to get there, at least 1.
        steps: u64,
        /// Exponent, greater than 0.
        power: f64,
    },
    /// Half a cosine from `from` to `to` (Loshchilov & Hutter 2017, arXiv 1608.03983, one cycle).
    Cosine {
        /// Value at step 0.
        from: f64,
        /// Value at `steps` and later.
        to: f64,
        /// Steps to get there, at least 1.
        steps: u64,
    },
    /// Cosine with warm restarts (SGDR, Loshchilov & Hutter 2017, arXiv 1608.03983).
    CosineRestarts {
        /// Value at the start of each cycle.
        from: f64,
        /// Value that each cycle approaches.
        to: f64,
        /// Length of the first cycle in steps, at least 1.
        first: u64,
        /// How many times longer each cycle is than the one before, at least 1.
        growth: u64,
    },
    /// The one-cycle policy: a cosine up to `peak`, a cosine down far below the start
    /// (Smith & Topin 2018, arXiv 1708.07120; anchors as in torch `OneCycleLR`).
    OneCycle {
        /// The highest value.
        peak: f64,
        /// The first value, torch's default `peak / 25`.
        start: f64,
        /// The last value, torch's default `start / 10⁴`.
        end: f64,
        /// Length of the whole cycle in steps, at least 2.
        steps: u64,
        /// Share of the steps that go up, in (0, 1), torch's default 0.3.
        rising: f64,
    },
    /// Warm-up, stable, decay (Hu et al. 2024, arXiv 2404.06395): linear up, constant, linear down.
    Wsd {
        /// Value of the stable part.
        peak: f64,
        /// Value at the end of the decay.
        end: f64,
        /// Steps of linear warm-up.
        warmup: u64,
        /// Steps at the peak.
        stable: u64,
        /// Steps of linear decay, at least 1.
        decay: u64,
    },
    /// `peak · min((step+1)/warmup, √(warmup/(step+1)))` (Vaswani et al. 2017, arXiv 1706.03762).
    InverseSqrt {
        /// Value at the end of the warm-up.
        peak: f64,
        /// Steps of linear warm-up, at least 1.
        warmup: u64,
    },
    /// A linear warm-up of `steps` steps to the first value of `then`, which starts after it.
    /// Step `k` of the warm-up has the share `(k+1)/steps`, so that the first step does something.
    Warmup {
        /// Length of the warm-up in steps.
        steps: u64,
        /// What follows; its step 0 is the first step after the warm-up.
        then: Box<Schedule>,
    },
    /// One schedule after another, each counting from its own start; the last one stays.
    Sequential(Vec<(u64, Schedule)>),
    /// Lower the value when a measured quantity stops improving.
    Plateau(Plateau),
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Schedule::Constant(value) => write!(f, "{value}"),
            other => write!(f, "{other:?}"),
        }
    }
}

/// Numbers in JSON, which has no infinity: a limit that is none is the string "inf".
mod number {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Written {
        Number(f64),
        Text(String),
    }

    pub(super) fn serialize<S: Serializer>(value: &f64, to: S) -> Result<S::Ok, S::Error> {
        let written = if value.is_finite() {
            Written::Number(*value)
        } else {
            Written::Text(value.to_string())
        };
        written.serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
        match Written::deserialize(from)? {
            Written::Number(value) => Ok(value),
            Written::Text(text) => text.parse().map_err(serde::de::Error::custom),
        }
    }
}

/// Half a cosine from `from` (at 0) to `to` (at 1).
fn half_cosine(from: f64, to: f64, part: f64) -> f64 {
    to + (from - to) * 0.5 * (1.0 + libm::cos(std::f64::consts::PI * part))
}

impl Schedule {
    /// A straight line from `from` to `to` in `steps` steps.
    pub fn linear(from: f64, to: f64, steps: u64) -> Schedule {
        Schedule::Polynomial { from, to, steps, power: 1.0 }
    }

    /// Half a cosine from `from` to `to` in `steps` steps.
    pub fn cosine(from: f64, to: f64, steps: u64) -> Schedule {
        Schedule::Cosine { from, to, steps }
    }

    /// The one-cycle policy with torch's defaults for start, end and the rising share.
    pub fn one_cycle(peak: f64, steps: u64) -> Schedule {
        let start = peak / 25.0;
        Schedule::OneCycle { peak, start, end: start / 1e4, steps, rising: 0.3 }
    }

    /// This schedule, begun after a linear warm-up of `steps` steps.
    pub fn after_warmup(self, steps: u64) -> Schedule {
        Schedule::Warmup { steps, then: Box::new(self) }
    }

    /// The value at `step`, counted from 0. That of a malformed schedule (a [`Step`](Self::Step) every 0
    /// steps, an empty [`Sequential`](Self::Sequential)), which no optimizer accepts, means nothing.
    pub fn value(&self, step: u64) -> f64 {
        let part = |steps: u64| (step as f64 / steps as f64).min(1.0);
        match self {
            Schedule::Constant(value) => *value,
            Schedule::Step { base, factor, every } => {
                base * libm::pow(*factor, (step / every.max(&1)) as f64)
            }
            Schedule::MultiStep { base, factor, milestones } => {
                let reached = milestones.iter().filter(|m| **m <= step).count();
                base * libm::pow(*factor, reached as f64)
            }
            Schedule::Exponential { base, factor } => base * libm::pow(*factor, step as f64),
            Schedule::Polynomial { from, to, steps, power } => {
                to + (from - to) * libm::pow(1.0 - part(*steps), *power)
            }
            Schedule::Cosine { from, to, steps } => half_cosine(*from, *to, part(*steps)),
            Schedule::CosineRestarts { from, to, first, growth } => {
                let (at, length) = cycle(step, *first, *growth);
                half_cosine(*from, *to, at as f64 / length as f64)
            }
            Schedule::OneCycle { peak, start, end, steps, rising } => {
                let last = steps.saturating_sub(1) as f64;
                let top = rising * *steps as f64 - 1.0;
                let at = (step as f64).min(last);
                if at <= top {
                    half_cosine(*start, *peak, at / top)
                } else {
                    half_cosine(*peak, *end, (at - top) / (last - top))
                }
            }
            Schedule::Wsd { peak, end, warmup, stable, decay } => {
                if step < *warmup {
                    peak * (step + 1) as f64 / *warmup as f64
                } else {
                    let fallen = step.saturating_sub(warmup.saturating_add(*stable));
                    let fallen = fallen.min(*decay) as f64;
                    // The share first: it is exactly 1 at the end, where a product would be rounded.
                    peak + (end - peak) * (fallen / *decay as f64)
                }
            }
            Schedule::InverseSqrt { peak, warmup } => {
                let ratio = (step as f64 + 1.0) / *warmup as f64;
                peak * ratio.min(1.0 / ratio.sqrt())
            }
            Schedule::Warmup { steps, then } => {
                if step < *steps {
                    then.value(0) * (step + 1) as f64 / *steps as f64
                } else {
                    then.value(step - steps)
                }
            }
            Schedule::Sequential(parts) => {
                let (k, at) = place(parts, step);
                parts.get(k).map_or(f64::NAN, |(_, part)| part.value(at))
            }
            Schedule::Plateau(plateau) => plateau.value,
        }
    }

    /// Shows `see` the steps between which the schedule is monotone; its extremes are among their values.
    pub(crate) fn knots(&self, see: &mut dyn FnMut(u64)) {
        match self {
            Schedule::Constant(_) | Schedule::Plateau(_) => see(0),
            Schedule::Step { .. } | Schedule::Exponential { .. } => {
                [0, FAR].into_iter().for_each(see)
            }
            Schedule::MultiStep { milestones, .. } => {
                see(0);
                milestones.iter().for_each(|step| see(*step));
            }
            Schedule::Polynomial { steps, .. } | Schedule::Cosine { steps, .. } => {
                [0, *steps].into_iter().for_each(see);
            }
            Schedule::CosineRestarts { first, growth, .. } => {
                // Longer cycles come nearer to `to`.
                let (mut end, mut length) = (*first.max(&1), *first.max(&1));
                [0, end - 1].into_iter().for_each(&mut *see);
                while *growth > 1 && end < FAR {
                    length = length.saturating_mul(*growth);
                    end = end.saturating_add(length);
                    see(end.min(FAR) - 1);
                }
            }
            Schedule::OneCycle { steps, rising, .. } => {
                let top = (rising * *steps as f64 - 1.0) as u64;
                [0, top, top.saturating_add(1), steps.saturating_sub(1)].into_iter().for_each(see);
            }
            Schedule::Wsd { warmup, stable, decay, .. } => {
                let fall = warmup.saturating_add(*stable);
                [0, *warmup, fall, fall.saturating_add(*decay)].into_iter().for_each(see);
            }
            Schedule::InverseSqrt { warmup, .. } => {
                [0, warmup.saturating_sub(1), FAR].into_iter().for_each(see);
            }
            Schedule::Warmup { steps, then } => {
                see(0);
                then.knots(&mut |knot| see(knot.saturating_add(*steps)));
            }
            Schedule::Sequential(parts) => {
                let mut start = 0u64;
                for (length, part) in parts {
                    part.knots(&mut |knot| see(start.saturating_add(knot.min(FAR))));
                    start = start.saturating_add(*length);
                    see(start.saturating_sub(1));
                }
            }
        }
    }

    /// The highest value the schedule reaches or, if a plateau has lowered it, has reached.
    pub fn peak(&self) -> f64 {
        let mut peak = f64::NEG_INFINITY;
        self.plateaus(&mut |plateau| peak = plateau.start.map_or(peak, |start| peak.max(start)));
        self.knots(&mut |knot| peak = peak.max(self.value(knot)));
        peak
    }

    /// Shows the plateaus in the schedule.
    pub(crate) fn plateaus(&self, see: &mut dyn FnMut(&Plateau)) {
        match self {
            Schedule::Plateau(plateau) => see(plateau),
            Schedule::Warmup { then, .. } => then.plateaus(see),
            Schedule::Sequential(parts) => parts.iter().for_each(|(_, part)| part.plateaus(see)),
            _ => {}
        }
    }

    /// Whether it multiplies by a factor for ever: zero and infinity are then what it tends to, and no
    /// value that it is meant to take.
    pub(crate) fn is_endless(&self) -> bool {
        match self {
            Schedule::Step { base, factor, .. } | Schedule::Exponential { base, factor } => {
                *base > 0.0 && *factor > 0.0
            }
            Schedule::Warmup { then, .. } => then.is_endless(),
            Schedule::Sequential(parts) => parts.last().is_some_and(|(_, part)| part.is_endless()),
            _ => false,
        }
    }

    /// Tells the plateau that gives the value at `step`, if one does, the metric.
    pub(crate) fn observe(&mut self, step: u64, metric: f64) {
        match self {
            Schedule::Plateau(plateau) => plateau.observe(metric),
            Schedule::Warmup { steps, then } if step >= *steps => {
                then.observe(step - *steps, metric)
            }
            Schedule::Sequential(parts) => {
                let (k, at) = place(parts, step);
                if let Some((_, part)) = parts.get_mut(k) {
                    part.observe(at, metric);
                }
            }
            _ => {}
        }
    }

    /// Takes over what the plateaus of a saved schedule of the same shape have done.
    pub(crate) fn resume(&mut self, saved: &Schedule) {
        match (self, saved) {
            (Schedule::Plateau(here), Schedule::Plateau(then)) => here.resume(then),
            (Schedule::Warmup { then: here, .. }, Schedule::Warmup { then, .. }) => {
                here.resume(then);
            }
            (Schedule::Sequential(here), Schedule::Sequential(then)) => {
                here.iter_mut().zip(then).for_each(|((_, h), (_, t))| h.resume(t));
            }
            _ => {}
        }
    }

    /// The values that a schedule, unless it is constant, moves between.
    fn numbers(&self) -> Vec<f64> {
        match self {
            Schedule::Step { base, .. }
            | Schedule::MultiStep { base, .. }
            | Schedule::Exponential { base, .. } => vec![*base],
            Schedule::Polynomial { from, to, .. }
            | Schedule::Cosine { from, to, .. }
            | Schedule::CosineRestarts { from, to, .. } => vec![*from, *to],
            Schedule::OneCycle { peak, start, end, .. } => vec![*peak, *start, *end],
            Schedule::Wsd { peak, end, .. } => vec![*peak, *end],
            Schedule::InverseSqrt { peak, .. } => vec![*peak],
            Schedule::Plateau(p) => {
                [p.value, p.threshold, p.floor].into_iter().chain(p.start).chain(p.best).collect()
            }
            Schedule::Constant(_) | Schedule::Warmup { .. } | Schedule::Sequential(_) => vec![],
        }
    }

    /// Checks the numbers that define the shape; the values are checked against the range of the
    /// hyper-parameter they are for.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let bad = |what: &str| Err(Error::Schedule { what: what.to_owned() });
        if self.numbers().iter().any(|v| !v.is_finite()) {
            return bad(&format!(
                "{self:?} holds a number that is not finite; only a constant may"
            ));
        }
        match self {
            Schedule::Step { factor, .. }
            | Schedule::MultiStep { factor, .. }
            | Schedule::Exponential { factor, .. }
                if !(*factor >= 0.0 && factor.is_finite()) =>
            {
                bad(&format!("factor is {factor}; it must be finite and not negative"))
            }
            Schedule::Step { every: 0, .. } => bad("Step.every is 0; it must be at least 1"),
            Schedule::Polynomial { steps: 0, .. } | Schedule::Cosine { steps: 0, .. } => {
                bad("steps is 0; a schedule needs at least 1 step to get from one value to another")
            }
            Schedule::Polynomial { power, .. } if !(power.is_finite() && *power > 0.0) => {
                bad(&format!("Polynomial.power is {power}; it must be greater than 0"))
            }
            Schedule::CosineRestarts { first, growth, .. } if *first == 0 || *growth == 0 => {
                bad("CosineRestarts.first and .growth must be at least 1")
            }
            Schedule::OneCycle { steps, rising, .. }
                if *steps < 2 || !(*rising > 0.0 && *rising < 1.0) =>
            {
                bad(&format!(
                    "OneCycle needs steps ≥ 2 and rising in (0, 1), not {steps} and {rising}"
                ))
            }
            Schedule::OneCycle { steps, rising, .. } if rising * *steps as f64 <= 1.0 => {
                bad("OneCycle.rising · steps must be more than 1, or nothing rises")
            }
            Schedule::Wsd { decay: 0, .. } => bad("Wsd.decay is 0; it must be at least 1"),
            Schedule::InverseSqrt { warmup: 0, .. } => {
                bad("InverseSqrt.warmup is 0; it must be at least 1")
            }
            Schedule::MultiStep { milestones, .. } if !milestones.is_sorted() => {
                bad("MultiStep.milestones must be ascending")
            }
            Schedule::Sequential(parts) if parts.is_empty() => {
                bad("Sequential is empty; give it at least one (length, schedule)")
            }
            Schedule::Sequential(parts) => parts.iter().try_for_each(|(_, p)| p.check()),
            Schedule::Warmup { then, .. } => then.check(),
            Schedule::Plateau(p) if !(p.factor > 0.0 && p.factor < 1.0) => {
                bad(&format!("Plateau.factor is {}; it must lie in (0, 1)", p.factor))
            }
            Schedule::Plateau(Plateau { value, start: Some(start), .. }) if start < value => {
                bad(&format!(
                    "Plateau.start is {start}, but the value now is {value}; it must not be smaller, \
                     being the value before the first reduction"
                ))
            }
            _ => Ok(()),
        }
    }
}

/// Which part is active at `step`, and at what step of its own.
fn place(parts: &[(u64, Schedule)], step: u64) -> (usize, u64) {
    let (last, mut at) = (parts.len().saturating_sub(1), step);
    for (k, (length, _)) in parts[..last].iter().enumerate() {
        if at < *length {
            return (k, at);
        }
        at -= length;
    }
    (last, at)
}

/// Where `step` lies in its cycle, and that cycle's length.
fn cycle(step: u64, first: u64, growth: u64) -> (u64, u64) {
    let first = first.max(1);
    if growth <= 1 {
        return (step % first, first);
    }
    let (mut at, mut length) = (step, first);
    while at >= length {
        at -= length;
        length = length.saturating_mul(growth);
    }
    (at, length)
}
