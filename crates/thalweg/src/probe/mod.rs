//! Probes: numbers read from a block while it is in the cache.

mod ahead;
mod moments;

pub use moments::Moments;

use crate::chain::Chain;
use crate::engine::drive::Watch;
use crate::engine::kernel::Gather;
use crate::engine::plan::Sums;
use crate::engine::stage::{AnyStage, Moment, PartStage, Situation};
use crate::engine::tensor::Tensor;
use crate::engine::{Element, Isa};
use crate::error::Error;
use crate::part::{Join, Part};
use crate::real::Real;
use crate::rule::{At, Here};

/// What a probe measures. Probes read each block while the step has it in the cache, so they cost
/// no pass over memory.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Probe {
    /// The learned gains of a chain that has them: extremes, coordinates at the bounds, share of
    /// positive alignments, and quantiles of the effective learning rate.
    Gains,
    /// First and second moments of a chain that has them: agreement of the gradient with the momentum,
    /// coordinates where ε is in charge, second moments that half precision would lose.
    Moments,
}

/// What a probe read at one step from one parameter.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Reading {
    /// The parameter.
    pub param: String,
    /// What was found.
    pub gains: Gains,
}

/// What [`Probe::Moments`] read at one step from one parameter.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct MomentReading {
    /// The parameter.
    pub param: String,
    /// What was found.
    pub moments: Moments,
}

/// The learned gains of one parameter after a step. Where a gradient of few rows was
/// [stepped alone](crate::Param::sparse_grad), of those rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Gains {
    /// Smallest gain.
    pub min: f64,
    /// Largest gain, the sup-norm.
    pub max: f64,
    /// Share of coordinates at the lower bound.
    pub at_min: f64,
    /// Share of coordinates at the upper bound.
    pub at_max: f64,
    /// Share of coordinates whose gradient points the way the remembered direction did, among
    /// those where neither is zero: the gradient that the gain learns from, as the rules before it
    /// (clip, L2, noise) have left it. NaN if there are none, or if one of those rules redefines it and is
    /// not this library's.
    pub aligned: f64,
    /// Effective learning rate at [`QUANTILES`], from at most 4,096 coordinates spread over them:
    /// `lr·gain`, times the scale that EGDD and funnelled SGDM learn besides; the learned rate itself for
    /// hypergradient descent.
    pub rates: [f64; QUANTILES.len()],
}

/// The quantiles that [`Gains::rates`] gives.
pub const QUANTILES: [f64; 5] = [0.05, 0.25, 0.5, 0.75, 0.95];

/// Where a part keeps a learned gain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GainPlace {
    /// One per coordinate, in this slot of the part.
    Slot(usize),
    /// One for all coordinates, this scalar of the part.
    Scalar(usize),
}

/// Where a rule keeps its learned gains, within its own slots and scalars.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GainSlots {
    /// The place of the gain.
    pub gain: GainPlace,
    /// Whether that place holds the logarithm of the gain.
    pub logarithm: bool,
    /// Whether the gain is the learning rate itself, and not a factor of `lr`.
    pub is_rate: bool,
    /// A scalar of the part that the step is multiplied by besides.
    pub scale: Option<usize>,
    /// The slot of the remembered direction.
    pub direction: usize,
    /// Lower bound of the gain.
    pub min: f64,
    /// Upper bound of the gain.
    pub max: f64,
}

impl GainSlots {
    /// A factor of `lr` for every coordinate, its logarithm in slot 0, between these bounds; the remembered
    /// direction in the slot given.
    pub(crate) fn per_coordinate(direction: usize, min: f64, max: f64) -> GainSlots {
        let gain = GainPlace::Slot(0);
        GainSlots { gain, logarithm: true, is_rate: false, scale: None, direction, min, max }
    }

    /// A learning rate of its own, not below zero, in this scalar; the remembered direction in the slot
    /// given.
    pub(crate) fn rate(scalar: usize, direction: usize) -> GainSlots {
        GainSlots {
            gain: GainPlace::Scalar(scalar),
            logarithm: false,
            is_rate: true,
            ..GainSlots::per_coordinate(direction, 0.0, f64::INFINITY)
        }
    }

    /// The same, with the slots `by` places further on.
    pub(crate) fn shifted(self, by: usize) -> GainSlots {
        let gain = match self.gain {
            GainPlace::Slot(k) => GainPlace::Slot(k + by),
            scalar => scalar,
        };
        GainSlots { gain, direction: self.direction + by, ..self }
    }

    /// The slot of the gain, if every coordinate has one.
    fn slot(self) -> Option<usize> {
        match self.gain {
            GainPlace::Slot(k) => Some(k),
            GainPlace::Scalar(_) => None,
        }
    }

    /// A value of the slot as a gain.
    fn to_gain(self, value: f64) -> f64 {
        if self.logarithm { value.exp() } else { value }
    }

    /// A gain as a value of the slot, as the sweep rounds it.
    fn value<E: Element>(&self, gain: f64) -> f64 {
        // The rules take this crate's own logarithm, which may differ in the last place.
        E::lift(if self.logarithm { Real::ln(gain) } else { gain }).widen()
    }
}

crate::hypers! {
    /// Counts the coordinates whose gradient agrees with a remembered direction.
    pub(crate) struct Alignment {}
}

impl Part for Alignment {
    type Memory<F: Real> = [F; 1];
    type Scalars<F: Real> = [F; 0];
    type Terms<F: Real> = [F; 2];
    const JOIN: &'static [Join] = &[Join::Sum, Join::Sum];
    const NATIVE: bool = true;

    #[inline(always)]
    fn terms<F: Real>(
        &self,
        _: &At<F>,
        _: usize,
        _: [F; 0],
    ) -> impl Fn(F, Here<F>, [F; 1]) -> [F; 2] + Copy + Send + Sync + use<F> {
        |_, here, [d]| {
            let (zero, one) = (F::number(0.0), F::number(1.0));
            // Positive if both are of one sign; no product, which could underflow.
            let same = d.min(here.g).max(-d.max(here.g));
            let neither_zero = d.abs().min(here.g.abs());
            let count = |mask| F::select(mask, one, zero);
            [count(zero.lt(same)), count(zero.lt(neither_zero))]
        }
    }

    fn at<F: Real>(
        &self,
        _: &At<F>,
        _: [F; 0],
    ) -> impl Fn(F, Here<F>, [F; 1]) -> (F, [F; 1]) + Copy + Send + Sync + use<F> {
        |u, _, memory| (u, memory)
    }
}

crate::hypers! {
    /// Extremes of a slot, and how often it stands at its bounds.
    pub(crate) struct Extremes {
        /// Lower bound of the slot.
        low "low" = 0.0 in crate::Range::ANY,
        /// Upper bound of the slot.
        high "high" = 0.0 in crate::Range::ANY,
    }
}

impl Part for Extremes {
    type Memory<F: Real> = [F; 1];
    type Scalars<F: Real> = [F; 0];
    type Terms<F: Real> = [F; 4];
    const JOIN: &'static [Join] = &[Join::Max, Join::Max, Join::Sum, Join::Sum];
    const NATIVE: bool = true;

    #[inline(always)]
    fn terms<F: Real>(
        &self,
        at: &At<F>,
        _: usize,
        _: [F; 0],
    ) -> impl Fn(F, Here<F>, [F; 1]) -> [F; 4] + Copy + Send + Sync + use<F> {
        let [low, high] = at.lift([at.get(&self.low), at.get(&self.high)]);
        let (zero, one) = (F::number(0.0), F::number(1.0));
        move |_, _, [v]| {
            let inside_low = F::select(low.lt(v), zero, one);
            let inside_high = F::select(v.lt(high), zero, one);
            [v, -v, inside_low, inside_high]
        }
    }

    fn at<F: Real>(
        &self,
        _: &At<F>,
        _: [F; 0],
    ) -> impl Fn(F, Here<F>, [F; 1]) -> (F, [F; 1]) + Copy + Send + Sync + use<F> {
        |u, _, memory| (u, memory)
    }
}

/// The gains of a chain with the slots counted over the whole chain, and the stage that has them.
fn gains_of(chain: &Chain, clock: u64) -> Option<(usize, GainSlots)> {
    let mut first = 0;
    for (k, stage) in chain.stages().iter().enumerate() {
        if let Some(gains) = stage.gains(clock) {
            return Some((k, gains.shifted(first)));
        }
        first += stage.slot_count();
    }
    None
}

/// What the probes gather in the sweep, for these chains at these moments: two watches for gains, if
/// they are asked for and there are any, then two for moments.
pub(crate) fn watches<E: Element>(
    probes: &[Probe],
    isa: Isa,
    chains: &[(&Chain, Moment)],
) -> Vec<Watch<E>> {
    let mut watches = vec![];
    let gains: Vec<Option<GainSlots>> =
        chains.iter().map(|(chain, moment)| Some(gains_of(chain, moment.clock)?.1)).collect();
    if probes.contains(&Probe::Gains) && gains.iter().any(Option::is_some) {
        let directions = gains.iter().map(|g| g.map(|g| g.direction));
        watches.push(alignment(isa, chains, directions));
        let after = gains.iter().map(|g| {
            g.and_then(|g| {
                let (low, high) = (g.value::<E>(g.min), g.value::<E>(g.max));
                let extremes = Extremes::default().low(low).high(high);
                Some((gather(isa, &PartStage::<_, false>(extremes)), g.slot()?))
            })
        });
        watches.push(watch_after(after.collect(), Extremes::JOIN));
    }
    if probes.contains(&Probe::Moments) {
        let slots = chains.iter().map(|(chain, moment)| moments::slots_of(chain, *moment));
        let slots: Vec<moments::MomentSlots> = slots.collect();
        watches.push(alignment(isa, chains, slots.iter().map(|s| s.first)));
        let after = slots.iter().map(|s| {
            let counts = |slot| (gather(isa, &PartStage::<_, false>(moments::counts(s))), slot);
            s.second.map(counts)
        });
        watches.push(watch_after(after.collect(), moments::Counts::JOIN));
    }
    watches
}

/// Terms and the first slot they read.
type Terms<E> = Option<(Box<dyn Gather<E>>, usize)>;

fn gather<E: Element>(isa: Isa, part: &dyn AnyStage) -> Box<dyn Gather<E>> {
    let mut one = vec![];
    let moment = Moment { t: 1, clock: 0 };
    E::stage(part).gather(Situation { isa, moment, scalars: &[] }, 0, &mut one, 0);
    one.remove(0)
}

fn watch_after<E>(terms: Vec<Terms<E>>, join: &'static [Join]) -> Watch<E> {
    Watch { before: false, terms, ahead: vec![], join }
}

/// How far the gradients agree with these slots, one of each chain that has one, before the formulas run.
fn alignment<E: Element>(
    isa: Isa,
    chains: &[(&Chain, Moment)],
    slots: impl Iterator<Item = Option<usize>>,
) -> Watch<E> {
    let (mut terms, mut ahead) = (vec![], vec![]);
    for ((chain, moment), slot) in chains.iter().zip(slots) {
        // A chain of which it cannot be known what its rule sees is left out.
        let seen = slot.and_then(|slot| Some((slot, ahead::of(isa, chain, *moment, slot)?)));
        let alignment = PartStage::<_, false>(Alignment::default());
        terms.push(seen.as_ref().map(|(slot, _)| (gather(isa, &alignment), *slot)));
        ahead.push(seen.and_then(|(_, ahead)| ahead));
    }
    Watch { before: true, terms, ahead, join: Alignment::JOIN }
}

/// What the probes have found, in words of the reader. `scalar` is that of a tensor: by its number, the
/// stage and its place there.
pub(crate) fn readings<E: Element>(
    chains: &[(&Chain, Moment)],
    tensors: &[Tensor<'_, E>],
    names: &[&str],
    gathered: &[Sums],
    probes: &[Probe],
    scalar: &dyn Fn(usize, usize, usize) -> f64,
) -> (Vec<Reading>, Vec<MomentReading>) {
    // Watches come in pairs, gains first.
    let (gains, moments) = match (gathered, probes.contains(&Probe::Moments)) {
        ([a, b, c, d], true) => (Some((a, b)), Some((c, d))),
        ([c, d], true) => (None, Some((c, d))),
        ([a, b], false) => (Some((a, b)), None),
        _ => (None, None),
    };
    let gains = gains.map(|sums| gain_readings(chains, tensors, names, sums, scalar));
    let moments = moments.map(|(aligned, counts)| {
        let some = tensors.iter().enumerate().filter(|(_, t)| t.len > 0);
        let read = some.filter_map(|(t, tensor)| {
            let (chain, moment) = &chains[tensor.chain];
            let slots = moments::slots_of(chain, *moment);
            (!slots.is_blind()).then(|| MomentReading {
                param: names[t].to_owned(),
                moments: moments::moments(&slots, tensor.len, aligned.of(t), counts.of(t)),
            })
        });
        read.collect()
    });
    (gains.unwrap_or_default(), moments.unwrap_or_default())
}

fn gain_readings<E: Element>(
    chains: &[(&Chain, Moment)],
    tensors: &[Tensor<'_, E>],
    names: &[&str],
    (aligned, extremes): (&Sums, &Sums),
    scalar: &dyn Fn(usize, usize, usize) -> f64,
) -> Vec<Reading> {
    let mut readings = vec![];
    for (t, tensor) in tensors.iter().enumerate().filter(|(_, t)| t.len > 0) {
        let (chain, moment) = &chains[tensor.chain];
        let Some((stage, slots)) = gains_of(chain, moment.clock) else { continue };
        let lr = if slots.is_rate { None } else { chain.value("lr", moment.clock) };
        let rate = slots.scale.map_or(1.0, |k| scalar(t, stage, k)) * lr.unwrap_or(1.0);
        let ([min, max], at, values) = match slots.gain {
            GainPlace::Slot(k) => {
                // A gain is an exact slot, so it is never packed.
                let Some(values) = tensor.slots.slot(k) else { continue };
                let [high, low, at_min, at_max] = std::array::from_fn(|k| extremes.of(t)[k]);
                let n = tensor.len as f64;
                let rates = quantiles(tensor.len, |start, count, sample: &mut Vec<E>| {
                    tensor.each_place(start, count, |_, at, n| sample.extend(&values[at..at + n]));
                });
                ([-low, high], [at_min / n, at_max / n], rates)
            }
            GainPlace::Scalar(k) => {
                let value = scalar(t, stage, k);
                let at = [
                    value <= slots.value::<f64>(slots.min),
                    value >= slots.value::<f64>(slots.max),
                ];
                ([value; 2], at.map(|at| f64::from(u8::from(at))), [value; QUANTILES.len()])
            }
        };
        let gains = Gains {
            min: slots.to_gain(min),
            max: slots.to_gain(max),
            at_min: at[0],
            at_max: at[1],
            aligned: aligned.of(t)[0] / aligned.of(t)[1],
            rates: values.map(|v| rate * slots.to_gain(v)),
        };
        readings.push(Reading { param: names[t].to_owned(), gains });
    }
    readings
}

/// The [`QUANTILES`] of `len` values, from at most 4,096 of them in runs of 64: `read` adds those from a
/// place on, so many of them.
fn quantiles<E: Element>(
    len: usize,
    read: impl Fn(usize, usize, &mut Vec<E>),
) -> [f64; QUANTILES.len()] {
    const RUN: usize = 64;
    const RUNS: usize = 64;
    let stride = (len / RUNS).max(RUN);
    let mut sample = vec![];
    (0..len).step_by(stride).for_each(|at| read(at, RUN.min(len - at), &mut sample));
    let mut sample: Vec<f64> = sample.into_iter().map(E::widen).collect();
    let last = (sample.len() - 1) as f64;
    let mut smaller = &mut sample[..];
    // From the largest on: what a selection leaves before its place holds all smaller quantiles.
    let mut values = QUANTILES;
    for value in values.iter_mut().rev() {
        let place = (*value * last).round() as usize;
        *value = *smaller.select_nth_unstable_by(place, f64::total_cmp).1;
        smaller = &mut smaller[..=place];
    }
    values
}

/// A probe must find something to read.
pub(crate) fn check(probes: &[Probe], chains: &[&Chain]) -> Result<(), Error> {
    let blind = |probe: &&Probe| !chains.iter().any(|chain| sees(**probe, chain));
    match probes.iter().find(blind) {
        None => Ok(()),
        Some(Probe::Gains) => Err(Error::Engine(
            "Probe::Gains: no group's chain learns gains; add `MetaEgd`, `GroupGain`, `Egdd` or \
             `Hypergradient`, or drop the probe"
                .to_owned(),
        )),
        Some(Probe::Moments) => Err(Error::Engine(
            "Probe::Moments: no group's chain keeps a first or second moment; add a rule with a slot \
             called `m`, `buf`, `v`, `s` or `sum`, or drop the probe"
                .to_owned(),
        )),
    }
}

/// Whether a chain has something that the probe can read.
pub(crate) fn sees(probe: Probe, chain: &Chain) -> bool {
    match probe {
        Probe::Gains => gains_of(chain, 0).is_some(),
        Probe::Moments => !moments::slots_of(chain, Moment { t: 1, clock: 0 }).is_blind(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_sorted_sample() {
        for n in [1usize, 2, 5, 64, 100, 1013] {
            // 7 and 1013, 100, 64, 5, 2 have no common divisor, so every number comes up once.
            let slot: Vec<f64> = (0..n).map(|i| (7 * i % n) as f64 - 2.0).collect();
            let mut sorted = slot.clone();
            sorted.sort_by(f64::total_cmp);
            let place = |q: f64| (q * (n - 1) as f64).round() as usize;
            let read = |at: usize, n: usize, to: &mut Vec<f64>| to.extend(&slot[at..at + n]);
            assert_eq!(quantiles(n, read), QUANTILES.map(|q| sorted[place(q)]), "{n}");
        }
    }
}
