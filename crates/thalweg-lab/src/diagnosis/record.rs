//! Looking at a run while it goes: numbers that cost nothing where nobody looks.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use thalweg::{Optimizer, QUANTILES, StepReport};

use crate::tasks::ParameterSpec;

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
    /// `⟨g₋₁, g⟩` over all parameters: an estimate of the squared norm of the true gradient.
    pub signal: f64,
    /// `‖g − g₋₁‖²/2` over all parameters: an estimate of the trace of a gradient's covariance.
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
    /// Norm of the step.
    pub update_norm: f64,
    /// Share of coordinates whose gradient was zero in every gradient looked at so far (two per probe).
    pub untouched: f64,
    /// Gradients looked at so far.
    pub looked: usize,
    /// The 5, 25, 50, 75 and 95 % quantiles of the effective learning rate: the learning rate times
    /// the gain if gains are learned; otherwise the distance a coordinate moved per unit of its running
    /// mean gradient (of its gradient, if there is none), over at most 4,096 coordinates.
    pub rates: Option<[f64; QUANTILES.len()]>,
    /// Share of coordinates whose gradient has the sign it had one step before.
    pub successive: Option<f64>,
    /// Share of coordinates whose gradient has the sign of the momentum.
    pub momentum: Option<f64>,
    /// Share of coordinates where ε outweighs the second moment, of those that have one.
    pub eps_dominates: Option<f64>,
    /// Share of the second moments above zero that f16 would round to zero.
    pub lost_in_f16: Option<f64>,
    /// Share of the second moments above zero that bf16 would round to zero.
    pub lost_in_bf16: Option<f64>,
    /// Share of the second moments above zero that lie below the lowest 8-bit code of their block.
    pub lost_in_8_bit: Option<f64>,
    /// Learned gains.
    pub gains: Option<Gains>,
    /// What clipping by this parameter's norm multiplied the gradient by.
    pub clip_factor: Option<f64>,
    /// What its trust ratio multiplied the update by (LAMB, LARS).
    pub trust_ratio: Option<f64>,
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
            ("update_norm", Some(self.update_norm)),
            ("untouched", Some(self.untouched)),
            ("sign_agreement", self.successive),
            ("momentum_agreement", self.momentum),
            ("eps_dominates", self.eps_dominates),
            ("lost_in_f16", self.lost_in_f16),
            ("lost_in_bf16", self.lost_in_bf16),
            ("lost_in_8_bit", self.lost_in_8_bit),
            ("layer_clip_factor", self.clip_factor),
            ("trust_ratio", self.trust_ratio),
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
    touched: Vec<Vec<bool>>,
    looked: usize,
    probes: Vec<Probe>,
}

impl Recorder {
    /// Looks every `every` steps (0: never) at these parameters.
    pub fn new(every: usize, parameters: &[ParameterSpec]) -> Self {
        Recorder {
            every,
            parameters: parameters.to_vec(),
            previous: Vec::new(),
            before: Vec::new(),
            touched: parameters.iter().map(|p| vec![false; p.len()]).collect(),
            looked: 0,
            probes: Vec::new(),
        }
    }

    /// Whether step `step` (from 1) is looked at. The first never is: no gradient came before it.
    pub fn is_due(&self, step: usize) -> bool {
        self.every > 0 && step > 1 && (step.is_multiple_of(self.every) || step.is_power_of_two())
    }

    /// To be called between gradient and step `step` if the step [is due](Self::is_due), or the next
    /// one is; it does nothing at other steps.
    pub fn before(&mut self, step: usize, values: &[Vec<f32>], gradients: &[Cow<'_, [f32]>]) {
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
        let (mut signal, mut noise) = (0.0, 0.0);
        for (last, now) in self.previous.iter().zip(gradients) {
            for (a, b) in last.iter().zip(now.iter()) {
                let (a, b) = (f64::from(*a), f64::from(*b));
                signal += a * b;
                noise += (b - a) * (b - a) / 2.0;
            }
        }
        let layer = |k: usize| self.layer(k, &values[k], &gradients[k], optimizer, report);
        self.probes.push(Probe {
            step,
            loss: finite(loss),
            lr: report.lr.iter().find_map(|(_, lr)| *lr),
            clip_factor: report.clip_factor,
            signal: finite(signal),
            noise: finite(noise),
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
            self.look(gradients);
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
        let moment = |f: fn(&thalweg::Moments) -> f64| moments.map(f).filter(|v| !v.is_nan());
        Layer {
            parameter: spec.name.clone(),
            axes: spec.shape.len(),
            coordinates: spec.len(),
            gradient_norm: norm(gradient.iter().map(|g| f64::from(*g))),
            weight_norm: norm(before.iter().map(|x| f64::from(*x))),
            update_norm: norm(moved.iter().copied()),
            untouched: share(self.touched[k].iter().map(|t| !t)).unwrap_or(0.0),
            looked: self.looked,
            rates: match gains {
                // Behind a second moment a gain multiplies a direction that has no unit.
                Some(gains) if second_moment(&spec.name, optimizer).is_none() => Some(gains.rates),
                _ => rates(&moved, gradient, &spec.name, optimizer),
            },
            successive: agreement(&self.previous[k], gradient),
            momentum: moment(|m| m.aligned),
            eps_dominates: moment(|m| m.eps_dominates),
            lost_in_f16: moment(|m| m.lost_in_f16),
            lost_in_bf16: moment(|m| m.lost_in_bf16),
            lost_in_8_bit: second_moment(&spec.name, optimizer).and_then(|v| below_codes(&v)),
            gains: gains.map(|g| Gains {
                min: finite(g.min),
                max: finite(g.max),
                at_min: g.at_min,
                at_max: g.at_max,
                aligned: Some(g.aligned).filter(|v| !v.is_nan()),
            }),
            clip_factor: optimizer.scalar(&spec.name, "factor"),
            trust_ratio: optimizer.scalar(&spec.name, "ratio").map(finite),
        }
    }
}

fn finite(value: f64) -> f64 {
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

/// The second moment of a parameter, whatever its name.
fn second_moment(parameter: &str, optimizer: &Optimizer<f32>) -> Option<Vec<f32>> {
    ["v_max", "v", "s", "sum"].iter().find_map(|slot| optimizer.slot_values(parameter, slot))
}

/// Coordinates that share the scale of an 8-bit format.
const BLOCK: usize = 1024;
/// The lowest 8-bit code of a number that is never negative, in units of the block's largest.
const LOWEST_CODE: f32 = 1.0 / 16_777_216.0;

fn below_codes(moment: &[f32]) -> Option<f64> {
    let below = moment.chunks(BLOCK).flat_map(|block| {
        let largest = block.iter().copied().fold(0.0, f32::max);
        block.iter().filter(|v| **v > 0.0).map(move |v| v / largest < LOWEST_CODE)
    });
    share(below)
}

/// Quantiles of the distance moved per unit of what moved it, among coordinates that have a gradient: others
/// move by their decay, while their running mean fades to nothing.
fn rates(
    moved: &[f64],
    gradient: &[f32],
    parameter: &str,
    optimizer: &Optimizer<f32>,
) -> Option<[f64; QUANTILES.len()]> {
    const MOST: usize = 4096;
    // A buffer behind a second moment holds normalised gradients, of no unit.
    let buffer = || match second_moment(parameter, optimizer) {
        None => optimizer.slot_values(parameter, "buf"),
        Some(_) => None,
    };
    let mean = optimizer.slot_values(parameter, "m").or_else(buffer);
    let direction = mean.as_deref().unwrap_or(gradient);
    let stride = moved.len().div_ceil(MOST).max(1);
    let all = moved.iter().zip(direction).zip(gradient).step_by(stride);
    let pairs = all.filter(|((_, d), g)| **d != 0.0 && **g != 0.0).map(|(pair, _)| pair);
    let mut rates: Vec<f64> = pairs.map(|(x, d)| finite((x / f64::from(*d)).abs())).collect();
    if rates.is_empty() {
        return None;
    }
    rates.sort_by(f64::total_cmp);
    Some(QUANTILES.map(|q| rates[(q * (rates.len() - 1) as f64).round() as usize]))
}
