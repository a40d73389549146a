//! One training run: single-threaded, and a pure function of its specification but for the clock.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::Result;
use crate::data::{DataSet, Examples};
use crate::optimizers::{Entry, Stepped, Stepper};
use crate::rng::{Purpose, Stream};
use crate::tasks::engine::NetworkModel;
use crate::tasks::{Batch, Model, Score, Task};

use super::Phase;

/// Everything that determines a run.
#[derive(Debug, Clone)]
pub struct RunSpec {
    /// The task.
    pub task: &'static Task,
    /// The optimizer's name.
    pub optimizer: &'static str,
    /// Values of the tuned hyper-parameters; the others keep their defaults.
    pub hypers: Vec<(&'static str, f64)>,
    /// The seed of initial values and data order.
    pub seed: u64,
    /// Gradient evaluations.
    pub budget: usize,
}

impl RunSpec {
    /// The run of `entry` on `task` with these hyper-parameters.
    pub fn new(
        task: &'static Task,
        entry: &Entry,
        hypers: Vec<(&'static str, f64)>,
        seed: u64,
        budget: usize,
    ) -> Self {
        RunSpec { task, optimizer: entry.name, hypers, seed, budget }
    }
}

/// Loss and accuracy on a part of the data.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Measurement {
    /// Mean cross-entropy in nats.
    pub loss: f64,
    /// Share classified correctly.
    pub accuracy: f64,
}

impl From<Score> for Measurement {
    fn from(score: Score) -> Self {
        Measurement { loss: score.loss(), accuracy: score.accuracy() }
    }
}

/// What was measured at one moment of a run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Point {
    /// Gradient evaluations so far.
    pub step: usize,
    /// Seconds spent on gradients and steps so far, evaluation not counted.
    pub seconds: f64,
    /// Mean of the batch losses since the previous point; `None` at the start.
    pub train_loss: Option<f64>,
    /// On the validation examples.
    pub validation: Measurement,
}

/// Why and when a run was given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Divergence {
    /// The gradient evaluation at which it showed.
    pub step: usize,
    /// What showed.
    pub reason: String,
}

/// A finished run.
#[derive(Debug, Clone)]
pub struct Run {
    /// What was run.
    pub spec: RunSpec,
    /// The measurements, the first before any step.
    pub points: Vec<Point>,
    /// Set if the run diverged; it then counts as the worst possible, and is never dropped.
    pub divergence: Option<Divergence>,
    /// The point with the lowest validation loss, and the test result at it (final runs only).
    pub best: Option<Point>,
    /// See `best`.
    pub test: Option<Measurement>,
    /// Seconds spent on gradients.
    pub gradient_seconds: f64,
    /// Seconds spent in the optimizer.
    pub optimizer_seconds: f64,
    /// Gradient evaluations actually spent.
    pub gradients: usize,
}

impl Run {
    /// The lowest validation loss of the run; infinite if it diverged.
    pub fn validation_loss(&self) -> f64 {
        match (&self.divergence, &self.best) {
            (None, Some(best)) => best.validation.loss,
            _ => f64::INFINITY,
        }
    }
}

/// A loss this many times the initial one is a divergence even while it is finite.
const DIVERGED: f64 = 1e3;

/// Examples evaluated at once: few enough to stay in the cache.
const CHUNK: usize = 250;

/// Trains once.
pub fn train(spec: &RunSpec, data: &DataSet, phase: Phase) -> Result<Run> {
    let mut trainer = Trainer::new(spec, data)?;
    trainer.record(0)?;
    let every = (spec.budget / spec.task.evaluations).max(1);
    for step in 1..=spec.budget {
        if let Err(reason) = trainer.advance()? {
            trainer.run.divergence = Some(Divergence { step, reason });
            break;
        }
        if (step % every == 0 && spec.budget - step >= every) || step == spec.budget {
            trainer.record(step)?;
        }
    }
    trainer.finish(phase)
}

struct Trainer<'a> {
    data: &'a DataSet,
    model: NetworkModel,
    stepper: Stepper,
    values: Vec<Vec<f32>>,
    /// The values at the best point, on which the test result will be measured.
    best_values: Vec<Vec<f32>>,
    gradients: Vec<Vec<f32>>,
    batches: Batches<'a>,
    batch: Batch,
    initial_loss: f64,
    losses: Vec<f64>,
    gradient_time: Duration,
    optimizer_time: Duration,
    run: Run,
}

impl<'a> Trainer<'a> {
    fn new(spec: &'a RunSpec, data: &'a DataSet) -> Result<Self> {
        let network = (spec.task.network)();
        let values = network.initial_values(spec.task.name, spec.seed);
        Ok(Trainer {
            data,
            model: NetworkModel::new(&network, 1),
            stepper: Stepper::new(spec.optimizer, &spec.hypers, spec.task.schedule, spec.budget)?,
            best_values: values.clone(),
            gradients: vec![Vec::new(); values.len()],
            values,
            batches: Batches { spec, count: data.train.len(), epoch: 0, order: Vec::new(), at: 0 },
            batch: Batch::default(),
            initial_loss: f64::NAN,
            losses: Vec::new(),
            gradient_time: Duration::ZERO,
            optimizer_time: Duration::ZERO,
            run: Run {
                spec: spec.clone(),
                points: Vec::new(),
                divergence: None,
                best: None,
                test: None,
                gradient_seconds: 0.0,
                optimizer_seconds: 0.0,
                gradients: 0,
            },
        })
    }

    /// One gradient and one step. The inner error says why the run has diverged.
    fn advance(&mut self) -> Result<std::result::Result<(), String>> {
        let order = self.batches.next();
        fill(&mut self.batch, self.data, &self.data.train, order);
        let start = Instant::now();
        let (model, values) = (&mut self.model, &mut self.values);
        let loss = f64::from(model.loss_and_gradients(values, &self.batch, &mut self.gradients)?);
        self.gradient_time += start.elapsed();
        self.run.gradients += 1;
        if !loss.is_finite() {
            return Ok(Err("the training loss is not finite".to_owned()));
        }
        if loss > DIVERGED * self.initial_loss {
            return Ok(Err(format!(
                "the training loss is above {DIVERGED} times the initial loss"
            )));
        }
        self.losses.push(loss);
        let start = Instant::now();
        let stepped = self.stepper.step(self.model.parameters(), &mut self.values, &self.gradients);
        self.optimizer_time += start.elapsed();
        Ok(match stepped {
            Stepped::Applied => Ok(()),
            Stepped::Refused(reason) => Err(reason),
        })
    }

    /// Measures where the run stands.
    fn record(&mut self, step: usize) -> Result<()> {
        let validation: Measurement =
            score(&mut self.model, &mut self.values, self.data, &self.data.validation)?.into();
        if step == 0 {
            self.initial_loss = validation.loss;
        }
        let train_loss = (!self.losses.is_empty())
            .then(|| super::stats::mean(&std::mem::take(&mut self.losses)));
        let seconds = (self.gradient_time + self.optimizer_time).as_secs_f64();
        let point = Point { step, seconds, train_loss, validation };
        self.run.points.push(point);
        if self.run.best.is_none_or(|best| validation.loss < best.validation.loss) {
            self.run.best = Some(point);
            for (best, value) in self.best_values.iter_mut().zip(&self.values) {
                best.copy_from_slice(value);
            }
        }
        if !validation.loss.is_finite() {
            let reason = "the validation loss is not finite".to_owned();
            self.run.divergence = Some(Divergence { step, reason });
        }
        Ok(())
    }

    fn finish(mut self, phase: Phase) -> Result<Run> {
        if phase == Phase::Final && self.run.divergence.is_none() {
            let (model, values) = (&mut self.model, &mut self.best_values);
            self.run.test = Some(score(model, values, self.data, &self.data.test)?.into());
        }
        self.run.gradient_seconds = self.gradient_time.as_secs_f64();
        self.run.optimizer_seconds = self.optimizer_time.as_secs_f64();
        Ok(self.run)
    }
}

/// The order of the training examples: a fresh permutation per epoch, the incomplete last batch left out.
struct Batches<'a> {
    spec: &'a RunSpec,
    count: usize,
    epoch: u64,
    order: Vec<u32>,
    at: usize,
}

impl Batches<'_> {
    fn next(&mut self) -> &[u32] {
        let size = self.spec.task.batch.min(self.count);
        if self.at + size > self.order.len() {
            let (task, seed) = (self.spec.task.name, self.spec.seed);
            self.order =
                Stream::new(task, seed, Purpose::Order, self.epoch).permutation(self.count);
            self.epoch += 1;
            self.at = 0;
        }
        self.at += size;
        &self.order[self.at - size..self.at]
    }
}

/// Fills `batch` with the normalised examples at `indices`.
fn fill(batch: &mut Batch, data: &DataSet, examples: &Examples, indices: &[u32]) {
    let pixels = data.pixels();
    batch.inputs.clear();
    batch.labels.clear();
    for &i in indices {
        let image = &examples.images[i as usize * pixels..][..pixels];
        batch.inputs.extend(image.iter().map(|p| f32::from(*p) * data.scale + data.offset));
        batch.labels.push(examples.labels[i as usize]);
    }
}

fn score(
    model: &mut NetworkModel,
    values: &mut [Vec<f32>],
    data: &DataSet,
    examples: &Examples,
) -> Result<Score> {
    let indices: Vec<u32> = (0..examples.len() as u32).collect();
    let mut batch = Batch::default();
    let mut total = Score::default();
    for chunk in indices.chunks(CHUNK) {
        fill(&mut batch, data, examples, chunk);
        total += model.evaluate(values, &batch)?;
    }
    Ok(total)
}
