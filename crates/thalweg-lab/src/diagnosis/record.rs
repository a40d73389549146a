//! Looking at a run while it goes: numbers that cost nothing where nobody looks.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use thalweg::{Optimizer, QUANTILES, StepReport, Storage};

use crate::tasks::{Gradient, ParameterSpec};

/// What one step showed. Norms are Euclidean; a number that is not finite stands as `f64::MAX`, a share
/// of nothing is absent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// The step, from 1.
    pub step: usize,
    /// The loss of its gradient evaluation.
    pub loss: f64,
    /// The learning rate, if the optimizer has one.
    pub lr: Option<f64>,
    /// What clipping by the norm over all parameters multiplied the gradients by; 1 if nothing.
    pub clip_factor: f64,
    /// `⟨g₋₁, g⟩` over all parameters, the mean over the steps since the last probe: an estimate of the squared norm
    /// of the true gradient. Of a parameter with more than 4,096 coordinates a sample is looked at, and counted
    /// for all. Successive batches of one epoch share no example, so what one has too much of the other lacks: the
    /// product is smaller than that of independent batches, by what is added to it here.
    pub signal: f64,
    /// `‖g − g₋₁‖²/2`, likewise: an estimate of the trace of a gradient's covariance.
    ///
    /// With `signal` it gives the simple noise scale `B·noise/signal` of McCandlish et al. 2018 (arXiv
    /// 1812.06162, appendix A.1) from two batch sizes: `B`, of each of two successive batches, and
    /// `2B`, of both together. That the step between them moved the parameters a little is neglected;
    /// it makes the noise look larger.
    pub noise: f64,
    /// One entry per parameter.
    pub layers: Vec<Layer>,
}

/// What one step showed of one parameter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Layer {
    /// The parameter's name.
    pub parameter: String,
    /// Its number of axes.
    pub axes: usize,
    /// Its coordinates.
    pub coordinates: usize,
    /// Norm of the gradient.
    pub gradient_norm: f64,
    /// Norm of the parameter before the step.
    pub weight_norm: f64,
    /// Norm of the parameter before the first step; absent in results of before it was recorded.
    pub start_norm: Option<f64>,
    /// Norm of the step.
    pub update_norm: f64,
    /// Share of coordinates whose gradient was zero in every gradient looked at so far: that of each probe
    /// and the one before it.
    pub untouched: f64,
    /// Gradients looked at so far.
    pub looked: usize,
    /// The 5, 25, 50, 75 and 95 % quantiles of the effective learning rate: the distance a coordinate moved per
    /// unit of the running mean of its gradient, over as long a memory as the optimizer's own (of its gradient,
    /// if it has none), over at most 4,096 coordinates. What the optimizer keeps plays no part, for one keeps a
    /// mean, another a sum, a third its own steps.
    pub rates: Option<[f64; QUANTILES.len()]>,
    /// Share of coordinates whose gradient has the sign it had one step before.
    pub successive: Option<f64>,
    /// Share of coordinates whose gradient has the sign of the momentum.
    pub momentum: Option<f64>,
    /// Share of coordinates where ε outweighs the second moment, of those that have one that is more than
    /// round-off beside the parameter's largest.
    pub eps_dominates: Option<f64>,
    /// Norm of the roots of the second moments, over the coordinates that have a gradient at this step; absent where
    /// gradients are summed and not averaged. Moments that have yet to fill up (Adam's, before their correction) count
    /// as they are, which is too small.
    pub remembered: Option<f64>,
    /// Share of the second moments above zero that f16 would round to zero.
    pub lost_in_f16: Option<f64>,
    /// Share of the second moments above zero that bf16 would round to zero.
    pub lost_in_bf16: Option<f64>,
    /// Share of the second moments above zero that lie below the lowest 8-bit code of their block; absent where they
    /// are kept in 8 bits, or would not be because the parameter is small.
    pub lost_in_8_bit: Option<f64>,
    /// Share of the second moments above zero that stand at the lowest 8-bit code of their block; absent where they are
    /// not kept in 8 bits.
    pub at_lowest_code: Option<f64>,
    /// Learned gains.
    pub gains: Option<Gains>,
    /// What clipping by this parameter's norm multiplied the gradient by.
    pub clip_factor: Option<f64>,
    /// What its trust ratio multiplied the update by (LAMB, LARS).
    pub trust_ratio: Option<f64>,
    /// What the limits of its trust ratio make of the parameter's norm, over that norm: 1 between them.
    pub norm_counted: Option<f64>,
}

impl Probe {
    /// Every number: whose it is (a parameter's name, or `model`), what it is, its value.
    pub fn numbers(&self) -> Vec<(&str, String, f64)> {
        let mut numbers = vec![
            ("model", "clip_factor".to_owned(), self.clip_factor),
            ("model", "gradient_signal".to_owned(), self.signal),
            ("model", "gradient_noise".to_owned(), self.noise),
        ];
        numbers.extend(self.lr.map(|lr| ("model", "lr".to_owned(), lr)));
        numbers.extend(self.layers.iter().flat_map(Layer::numbers));
        numbers
    }
}

impl Layer {
    fn numbers(&self) -> impl Iterator<Item = (&str, String, f64)> {
        let gains = self.gains.as_ref();
        let gain = |f: fn(&Gains) -> f64| gains.map(f);
        let mut numbers: Vec<(String, Option<f64>)> = [
            ("gradient_norm", Some(self.gradient_norm)),
            ("weight_norm", Some(self.weight_norm)),
            ("start_norm", self.start_norm),
            ("update_norm", Some(self.update_norm)),
            ("untouched", Some(self.untouched)),
            ("sign_agreement", self.successive),
            ("momentum_agreement", self.momentum),
            ("eps_dominates", self.eps_dominates),
            ("remembered", self.remembered),
            ("lost_in_f16", self.lost_in_f16),
            ("lost_in_bf16", self.lost_in_bf16),
            ("lost_in_8_bit", self.lost_in_8_bit),
            ("at_lowest_code", self.at_lowest_code),
            ("layer_clip_factor", self.clip_factor),
            ("trust_ratio", self.trust_ratio),
            ("norm_counted", self.norm_counted),
            ("gain_min", gain(|g| g.min)),
            ("gain_max", gain(|g| g.max)),
            ("gains_at_min", gain(|g| g.at_min)),
            ("gains_at_max", gain(|g| g.at_max)),
            ("gains_aligned", gains.and_then(|g| g.aligned)),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into();
        for (q, rate) in QUANTILES.iter().zip(self.rates.iter().flatten()) {
            numbers.push((format!("rate_q{:02.0}", 100.0 * q), Some(*rate)));
        }
        let name = self.parameter.as_str();
        numbers.into_iter().filter_map(move |(key, value)| Some((name, key, value?)))
    }
}

/// The learned gains of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Gains {
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// Share at the lower bound.
    pub at_min: f64,
    /// Share at the upper bound.
    pub at_max: f64,
    /// Share whose gradient has the sign of the direction that was taken last.
    pub aligned: Option<f64>,
}

/// Looks at a run every so many steps, and at every power of two so that a short life leaves traces.
#[derive(Debug)]
pub struct Recorder {
    every: usize,
    parameters: Vec<ParameterSpec>,
    previous: Vec<Vec<f32>>,
    before: Vec<Vec<f32>>,
    /// The norm of each parameter before the first step.
    start: Vec<f64>,
    touched: Vec<Vec<bool>>,
    /// Decay rate of the running means.
    memory: f64,
    /// What share of their noise the product of two successive gradients lacks.
    shared: f64,
    /// What is followed at every step, per parameter.
    samples: Vec<Sample>,
    /// The gradients seen.
    seen: i32,
    /// Sums of what [`Probe::signal`] and [`Probe::noise`] are means of, and the steps in them.
    pub(super) pairs: (f64, f64, usize),
    looked: usize,
    probes: Vec<Probe>,
}

impl Recorder {
    /// Looks every `every` steps (0: never) at these parameters, which an optimizer steps whose momentum
    /// decays by `memory` per step (0: it has none). Batches are `portion` of the examples of an epoch, drawn
    /// without replacement (0: of examples without end).
    pub fn new(every: usize, parameters: &[ParameterSpec], memory: f64, portion: f64) -> Self {
        Recorder {
            every,
            memory,
            // Of two batches of one epoch E⟨a, b⟩ is ‖g‖² − portion·noise; so many pairs of batches are of one.
            shared: portion * (1.0 - portion),
            samples: parameters.iter().map(Sample::of).collect(),
            seen: 0,
            pairs: (0.0, 0.0, 0),
            parameters: parameters.to_vec(),
            previous: Vec::new(),
            before: Vec::new(),
            start: Vec::new(),
            touched: parameters.iter().map(|p| vec![false; p.len()]).collect(),
            looked: 0,
            probes: Vec::new(),
        }
    }

    /// Whether step `step` (from 1) is looked at. The first never is: no gradient came before it.
    pub fn is_due(&self, step: usize) -> bool {
        self.every > 0 && step > 1 && (step.is_multiple_of(self.every) || step.is_power_of_two())
    }

    /// To be called with the gradients of every step before it is taken.
    pub fn see(&mut self, gradients: &[Gradient]) {
        if self.every == 0 {
            return;
        }
        self.seen += 1;
        let (mut signal, mut noise) = (0.0, 0.0);
        for (sample, gradient) in self.samples.iter_mut().zip(gradients) {
            let of_all = sample.take(gradient, self.memory);
            signal += of_all.0 + self.shared * of_all.1;
            noise += of_all.1;
        }
        // The first gradient has none before it.
        if self.seen > 1 {
            let (signals, noises, steps) = self.pairs;
            self.pairs = (signals + signal, noises + noise, steps + 1);
        }
    }

    /// To be called between gradient and step `step` if the step [is due](Self::is_due), or the next
    /// one is, as it is at the first; it does nothing at other steps.
    pub fn before(&mut self, step: usize, values: &[Vec<f32>], gradients: &[Cow<'_, [f32]>]) {
        if self.start.is_empty() {
            self.start = values.iter().map(|v| norm(v.iter().map(|x| f64::from(*x)))).collect();
        }
        if !self.is_due(step) {
            return self.keep(step, gradients);
        }
        self.before.resize_with(values.len(), Vec::new);
        for (to, from) in self.before.iter_mut().zip(values) {
            to.clone_from(from);
        }
        self.look(gradients);
    }

    /// To be called after step `step` if it was due, with what the optimizer said.
    pub fn after(
        &mut self,
        step: usize,
        loss: f64,
        values: &[Vec<f32>],
        gradients: &[Cow<'_, [f32]>],
        optimizer: &Optimizer<f32>,
        report: &StepReport,
    ) {
        if !self.is_due(step) || self.previous.is_empty() {
            return;
        }
        let (signal, noise, steps) = std::mem::take(&mut self.pairs);
        let mean = |sum: f64| finite(sum / steps.max(1) as f64);
        let layer = |k: usize| self.layer(k, &values[k], &gradients[k], optimizer, report);
        self.probes.push(Probe {
            step,
            loss: finite(loss),
            lr: report.lr.iter().find_map(|(_, lr)| *lr),
            clip_factor: report.clip_factor,
            signal: mean(signal),
            noise: mean(noise),
            layers: (0..self.parameters.len()).map(layer).collect(),
        });
        self.keep(step, gradients);
    }

    /// What was recorded.
    pub fn into_probes(self) -> Vec<Probe> {
        self.probes
    }

    /// Remembers the gradient if the next step is due.
    fn keep(&mut self, step: usize, gradients: &[Cow<'_, [f32]>]) {
        if self.is_due(step + 1) {
            self.previous = gradients.iter().map(|g| g.to_vec()).collect();
            // That of a step that is due was looked at before it.
            if !self.is_due(step) {
                self.look(gradients);
            }
        }
    }

    fn look(&mut self, gradients: &[Cow<'_, [f32]>]) {
        self.looked += 1;
        for (touched, gradient) in self.touched.iter_mut().zip(gradients) {
            for (touched, g) in touched.iter_mut().zip(gradient.iter()) {
                *touched |= *g != 0.0;
            }
        }
    }

    fn layer(
        &self,
        k: usize,
        value: &[f32],
        gradient: &[f32],
        optimizer: &Optimizer<f32>,
        report: &StepReport,
    ) -> Layer {
        let (spec, before) = (&self.parameters[k], &self.before[k]);
        let moved: Vec<f64> =
            value.iter().zip(before).map(|(a, b)| f64::from(*a) - f64::from(*b)).collect();
        let gains = report.readings.iter().find(|r| r.param == spec.name).map(|r| &r.gains);
        let moments = report.moments.iter().find(|r| r.param == spec.name).map(|r| &r.moments);
        let second = second_moment(&spec.name, optimizer);
        let storage = |slot| optimizer.slot_storage(&spec.name, slot);
        let coded = second.as_ref().filter(|(slot, _)| storage(slot) == Some(Storage::Block8));
        let plain = second.as_ref().filter(|_| coded.is_none() && spec.len() >= Storage::SMALL);
        let weight_norm = norm(before.iter().map(|x| f64::from(*x)));
        let trust_ratio = optimizer.scalar(&spec.name, "ratio").map(finite);
        let moment = |f: fn(&thalweg::Moments) -> f64| moments.map(f).filter(|v| !v.is_nan());
        Layer {
            parameter: spec.name.clone(),
            axes: spec.shape.len(),
            coordinates: spec.len(),
            gradient_norm: norm(gradient.iter().map(|g| f64::from(*g))),
            weight_norm,
            start_norm: self.start.get(k).copied(),
            update_norm: norm(moved.iter().copied()),
            untouched: share(self.touched[k].iter().map(|t| !t)).unwrap_or(0.0),
            looked: self.looked,
            rates: self.rates(k, &moved, gradient),
            successive: agreement(&self.previous[k], gradient),
            momentum: moment(|m| m.aligned),
            eps_dominates: moment(|m| m.eps_dominates)
                .and_then(|share| above_round_off(share, &second.as_ref()?.1)),
            remembered: second
                .as_ref()
                .filter(|(slot, _)| *slot != SUM)
                .map(|(_, v)| remembered(v, gradient)),
            lost_in_f16: moment(|m| m.lost_in_f16),
            lost_in_bf16: moment(|m| m.lost_in_bf16),
            lost_in_8_bit: plain.and_then(|(_, v)| below(v, Storage::LEAST)),
            at_lowest_code: coded.and_then(|(_, v)| below(v, LOWEST_CODE)),
            gains: gains.map(|g| Gains {
                min: finite(g.min),
                max: finite(g.max),
                at_min: g.at_min,
                at_max: g.at_max,
                aligned: Some(g.aligned).filter(|v| !v.is_nan()),
            }),
            clip_factor: optimizer.scalar(&spec.name, "factor"),
            trust_ratio,
            norm_counted: trust_ratio.and_then(|_| counted(weight_norm, optimizer)),
        }
    }
}

/// The number, or the largest there is in place of one that is not finite.
pub(super) fn finite(value: f64) -> f64 {
    if value.is_finite() { value } else { f64::MAX }
}

fn norm(values: impl Iterator<Item = f64>) -> f64 {
    finite(values.map(|v| v * v).sum::<f64>().sqrt())
}

/// The share that is true; `None` of none.
fn share(values: impl Iterator<Item = bool>) -> Option<f64> {
    let (yes, all) = values.fold((0usize, 0usize), |(yes, all), v| (yes + usize::from(v), all + 1));
    (all > 0).then(|| yes as f64 / all as f64)
}

/// The share of coordinates of equal sign, among those where neither is zero.
fn agreement(a: &[f32], b: &[f32]) -> Option<f64> {
    let both = a.iter().zip(b).filter(|(a, b)| **a != 0.0 && **b != 0.0);
    share(both.map(|(a, b)| (*a > 0.0) == (*b > 0.0)))
}

/// The slot of a second moment that is a sum of squares, and no mean.
const SUM: &str = "sum";

/// The second moment of a parameter and its slot, whatever its name.
fn second_moment(parameter: &str, optimizer: &Optimizer<f32>) -> Option<(&'static str, Vec<f32>)> {
    let values = |slot| Some((slot, optimizer.slot_values(parameter, slot)?));
    ["v_max", "v", "s", SUM].into_iter().find_map(values)
}

fn remembered(moment: &[f32], gradient: &[f32]) -> f64 {
    let now = moment.iter().zip(gradient).filter(|(_, g)| **g != 0.0);
    finite(now.map(|(v, _)| f64::from(*v)).sum::<f64>().sqrt())
}

/// What the limits of a trust ratio, those of the first group that has some, leave of a norm.
fn counted(norm: f64, optimizer: &Optimizer<f32>) -> Option<f64> {
    let limit = |name| optimizer.groups().find_map(|(_, chain)| chain.hyper(name).ok());
    let [low, high] = [limit("norm_min")?, limit("norm_max")?].map(|hyper| hyper.value(0));
    (norm > 0.0).then(|| finite(norm.max(low).min(high) / norm))
}

/// A bound between what the lowest and the second 8-bit code give back, in units of the block's largest.
const LOWEST_CODE: f32 = 8.0 * Storage::LEAST;

/// The share of moments above zero that lie below a bound in units of their block's largest.
fn below(moment: &[f32], bound: f32) -> Option<f64> {
    let below = moment.chunks(Storage::BLOCK).flat_map(|block| {
        let largest = block.iter().copied().fold(0.0, f32::max);
        block.iter().filter(|v| **v > 0.0).map(move |v| v / largest < bound)
    });
    share(below)
}

/// Second moments this far below the largest of their parameter are those of gradients that are round-off
/// beside its others: a key's bias, say, which softmax cancels. Their root is a millionth, or less.
const ROUND_OFF: f32 = 1e-12;

/// The share of coordinates where ε dominates without those where nothing but round-off would be adapted to;
/// they are taken to be among them.
fn above_round_off(share: f64, moment: &[f32]) -> Option<f64> {
    let largest = moment.iter().copied().fold(0.0, f32::max);
    let positive = moment.iter().filter(|v| **v > 0.0).count();
    let nothing = moment.iter().filter(|v| **v > 0.0 && **v < ROUND_OFF * largest).count();
    let rest = positive - nothing;
    (rest > 0).then(|| ((share * positive as f64 - nothing as f64) / rest as f64).clamp(0.0, 1.0))
}

/// Some coordinates of a parameter, followed at every step: all of a small one, evenly spread ones of a large one.
#[derive(Debug)]
struct Sample {
    /// One of so many coordinates is in it.
    stride: usize,
    /// Coordinates of the parameter per coordinate in it.
    weight: f64,
    now: Vec<f32>,
    last: Vec<f32>,
    /// The running mean of the gradient, from zero.
    mean: Vec<f64>,
}

impl Sample {
    fn of(parameter: &ParameterSpec) -> Self {
        const MOST: usize = 4096;
        let stride = parameter.len().div_ceil(MOST).max(1);
        let count = parameter.len().div_ceil(stride);
        let weight = parameter.len() as f64 / count.max(1) as f64;
        let zeros = || vec![0.0; count];
        Sample { stride, weight, now: zeros(), last: zeros(), mean: vec![0.0; count] }
    }

    /// Takes the next gradient into it; what it adds to the sums of [`Probe::signal`] and [`Probe::noise`].
    fn take(&mut self, gradient: &Gradient, memory: f64) -> (f64, f64) {
        std::mem::swap(&mut self.now, &mut self.last);
        match gradient {
            Gradient::Dense(values) => {
                let all = values.iter().step_by(self.stride);
                self.now.iter_mut().zip(all).for_each(|(to, g)| *to = *g);
            }
            Gradient::Rows { rows, values } => {
                self.now.fill(0.0);
                let width = values.len().checked_div(rows.len()).unwrap_or(0);
                for (i, g) in values.iter().enumerate() {
                    let at = rows[i / width] as usize * width + i % width;
                    if at.is_multiple_of(self.stride) {
                        self.now[at / self.stride] += g;
                    }
                }
            }
        }
        let (mut signal, mut noise) = (0.0, 0.0);
        for ((mean, now), last) in self.mean.iter_mut().zip(&self.now).zip(&self.last) {
            let (a, b) = (f64::from(*last), f64::from(*now));
            *mean = memory * *mean + (1.0 - memory) * b;
            signal += a * b;
            noise += (b - a) * (b - a) / 2.0;
        }
        (self.weight * signal, self.weight * noise)
    }
}

impl Recorder {
    /// Quantiles of the distance moved per unit of the mean gradient, among coordinates that have a gradient:
    /// others move by their decay, while their running mean fades to nothing.
    fn rates(&self, k: usize, moved: &[f64], gradient: &[f32]) -> Option<[f64; QUANTILES.len()]> {
        let whole = 1.0 - self.memory.powi(self.seen);
        let stride = self.samples[k].stride;
        let all = moved.iter().zip(gradient).step_by(stride).zip(&self.samples[k].mean);
        let pairs = all.filter(|((_, g), mean)| **g != 0.0 && **mean != 0.0);
        let mut rates: Vec<f64> =
            pairs.map(|((x, _), mean)| finite((x * whole / mean).abs())).collect();
        if rates.is_empty() {
            return None;
        }
        rates.sort_by(f64::total_cmp);
        Some(QUANTILES.map(|q| rates[(q * (rates.len() - 1) as f64).round() as usize]))
    }
}
