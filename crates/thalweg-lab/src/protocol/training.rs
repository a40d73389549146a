//! One training run: single-threaded, and a pure function of its specification but for the clock.

mod branch;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::Result;
use crate::diagnosis::{self, Case, Finding, Probe, Recorder};
use crate::optimizers::{Entry, Stepped, Stepper, gradients_per_step};
use crate::tasks::{Domain, Gradient, Measurement, ParameterSpec, Part, Problem, Task, Workload};

use super::{Phase, interrupt};
use branch::Watcher;

pub(super) use branch::{Branch, MULTIPLES, OneStep, Turn, branches};
pub use branch::{Memory, Way};

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

    /// The learning rate, if that is tuned.
    pub fn lr(&self) -> Option<f64> {
        self.hypers.iter().find(|(hyper, _)| *hyper == "lr").map(|(_, lr)| *lr)
    }

    /// Gradient evaluations between measurements.
    pub fn every(&self) -> usize {
        (self.budget / self.task.evaluations).max(1)
    }
}

/// What was measured at one moment of a run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Point {
    /// Gradient evaluations so far.
    pub step: usize,
    /// Seconds spent on gradients and steps so far, batches and evaluation not counted.
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
    /// The point with the lowest validation loss, and the test result at it (final runs only). On a
    /// [noisy](Task::noisy) task the last point, or the first of those at its end that are all at the floor, and the
    /// mean test result over the [ending](Run::ending).
    pub best: Option<Point>,
    /// See `best`.
    pub test: Option<Measurement>,
    /// Seconds spent on gradients, getting their batches ready not counted.
    pub gradient_seconds: f64,
    /// Seconds spent in the optimizer.
    pub optimizer_seconds: f64,
    /// Gradient evaluations actually spent.
    pub gradients: usize,
    /// Where the run went on a task with a [`Plane`](crate::tasks::Plane): the start, then the point
    /// after every [`stride`](Run::stride)-th step.
    pub trajectory: Vec<[f64; 2]>,
    /// Steps between points of the trajectory.
    pub stride: usize,
    /// What the diagnosis looked at (final runs only).
    pub probes: Vec<Probe>,
    /// What the diagnosis found; nothing in a run that was not probed, unless it diverged.
    pub findings: Vec<Finding>,
}

impl Run {
    /// The lowest validation loss of the run, or on a [noisy](Task::noisy) task the mean over its
    /// [ending](Run::ending); infinite if it diverged.
    pub fn validation_loss(&self) -> f64 {
        match (&self.divergence, &self.best) {
            (None, Some(_)) if self.spec.task.noisy => {
                let losses = self.ending().iter().map(|p| p.validation.loss);
                super::stats::mean(&losses.collect::<Vec<_>>())
            }
            (None, Some(best)) => best.validation.loss,
            _ => f64::INFINITY,
        }
    }

    /// The last validation loss, or on a [noisy](Task::noisy) task the mean over the [ending](Run::ending).
    fn end(&self) -> f64 {
        let last = if self.spec.task.noisy {
            self.ending()
        } else {
            &self.points[self.points.len() - 1..]
        };
        super::stats::mean(&last.iter().map(|p| p.validation.loss).collect::<Vec<_>>())
    }

    /// The points in the last tenth of the budget, or else the last one.
    pub fn ending(&self) -> &[Point] {
        ending(&self.points, self.spec.budget)
    }
}

/// The points in the last tenth of the budget, or else the last one.
pub(crate) fn ending(points: &[Point], budget: usize) -> &[Point] {
    let late = points.iter().filter(|p| is_late(p.step, budget)).count();
    &points[points.len().saturating_sub(late.max(1))..]
}

/// Whether so many gradient evaluations fall into the last tenth of the budget.
pub(super) fn is_late(step: usize, budget: usize) -> bool {
    10 * step > 9 * budget
}

/// How often the diagnosis looks at a final run, apart from its first steps.
const PROBES: usize = 24;

/// The longest trajectory that is kept: more points than a picture can show apart.
const TRAJECTORY: usize = 2_000;

/// Trains once.
pub fn train(spec: &RunSpec, workload: &Arc<dyn Workload>, phase: Phase) -> Result<Run> {
    train_watched(spec, workload, phase, &|_| {})
}

/// Trains once, and shows the unfinished run after each measurement.
pub(super) fn train_watched(
    spec: &RunSpec,
    workload: &Arc<dyn Workload>,
    phase: Phase,
    watch: &dyn Fn(&Run),
) -> Result<Run> {
    let mut trainer = Trainer::new(spec, workload, phase)?;
    trainer.record(phase)?;
    watch(&trainer.run);
    trainer.drive(spec.budget, phase, watch)?;
    // The caller asks as well whether the run was abandoned, and drops it.
    trainer.finish(phase)
}

struct Trainer {
    problem: Box<dyn Problem>,
    parameters: Vec<ParameterSpec>,
    stepper: Stepper,
    /// Steps taken or tried.
    steps: usize,
    /// What the step in hand sees: its number among the batches of a data set, and of a formula, whose noise
    /// and changes come with time, among the gradient evaluations.
    batch: usize,
    values: Vec<Vec<f32>>,
    /// What the optimizer is judged at: averages, for some, while training stands elsewhere.
    judged: Vec<Vec<f32>>,
    /// What was judged at the best point, on which the test result will be measured.
    best_values: Vec<Vec<f32>>,
    /// The test results over the ending of a noisy run.
    ending: Vec<Measurement>,
    gradients: Vec<Gradient>,
    /// Optimizers that see every gradient of the run, and move nothing of it.
    watchers: Vec<Watcher>,
    initial_loss: f64,
    losses: Vec<f64>,
    recorder: Recorder,
    gradient_time: Duration,
    optimizer_time: Duration,
    run: Run,
}

impl Trainer {
    fn new(spec: &RunSpec, workload: &Arc<dyn Workload>, phase: Phase) -> Result<Self> {
        let problem = Arc::clone(workload).problem(spec.seed)?;
        let values = problem.initial_values();
        let (task, budget) = (spec.task, spec.budget);
        let steps = budget / gradients_per_step(spec.optimizer);
        let every = if phase == Phase::Final { (steps / PROBES).max(1) } else { 0 };
        let parameters = problem.parameters().to_vec();
        let stepper = Stepper::new(spec.optimizer, &spec.hypers, task, budget)?;
        let portion = task.batch as f64 / workload.examples()[0].max(task.batch).max(1) as f64;
        let recorder = Recorder::new(every, &parameters, stepper.memory(), portion);
        let mut trainer = Trainer {
            problem,
            parameters,
            steps: 0,
            batch: 0,
            stepper,
            judged: values.clone(),
            best_values: values.clone(),
            ending: Vec::new(),
            gradients: vec![Gradient::default(); values.len()],
            values,
            watchers: Vec::new(),
            initial_loss: f64::NAN,
            losses: Vec::new(),
            recorder,
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
                trajectory: Vec::new(),
                stride: steps.div_ceil(TRAJECTORY).max(1),
                probes: Vec::new(),
                findings: Vec::new(),
            },
        };
        trainer.trace();
        Ok(trainer)
    }

    /// Trains until `until` gradient evaluations are spent, or the run diverges or is abandoned.
    fn drive(&mut self, until: usize, phase: Phase, watch: &dyn Fn(&Run)) -> Result<()> {
        let (budget, every) = (self.run.spec.budget, self.run.spec.every());
        let cost = gradients_per_step(self.run.spec.optimizer);
        // What the last step cannot use of an odd budget is left.
        while self.run.gradients + cost <= until
            && self.run.divergence.is_none()
            && !interrupt::abandoned()
        {
            let before = self.run.gradients;
            if let Err(reason) = self.advance()? {
                let step = self.run.gradients;
                self.run.divergence = Some(Divergence { step, reason });
                break;
            }
            let spent = self.run.gradients;
            // Where a step takes two evaluations, the first step at or after the moment is measured.
            let (moment, last) = (spent / every * every, spent + cost > budget);
            if (moment > before && budget - moment >= every) || last {
                self.record(phase)?;
                watch(&self.run);
            }
        }
        Ok(())
    }

    /// Notes where the run stands in the plane of its task, if that has one.
    fn trace(&mut self) {
        if self.run.spec.task.plane.is_some() && self.steps.is_multiple_of(self.run.stride) {
            let mut at = self.values.iter().flatten().map(|v| f64::from(*v));
            if let (Some(x), Some(y)) = (at.next(), at.next()) {
                self.run.trajectory.push([x, y]);
            }
        }
    }

    /// What the next step will see: see [`batch`](Self::batch).
    fn next_batch(&self) -> usize {
        if self.run.spec.task.is_formula() { self.run.gradients } else { self.steps }
    }

    /// One batch and one step. The inner error says why the run has diverged.
    fn advance(&mut self) -> Result<std::result::Result<(), String>> {
        let batch = self.next_batch();
        self.batch = batch;
        self.problem.prepare(batch)?;
        let start = Instant::now();
        let loss = self.problem.gradient(batch, &mut self.values, &mut self.gradients)?;
        self.gradient_time += start.elapsed();
        self.run.gradients += 1;
        self.steps += 1;
        if !loss.is_finite() {
            return Ok(Err("the training loss is not finite".to_owned()));
        }
        let limit = self.run.spec.task.limit;
        if loss > limit.loss(self.initial_loss) {
            return Ok(Err(format!("the training loss is {}", limit.describe())));
        }
        self.losses.push(self.run.spec.task.counted(loss));
        for watcher in &mut self.watchers {
            watcher.see(&self.parameters, &self.values, &self.gradients)?;
        }
        let stepped = self.step(loss)?;
        self.trace();
        Ok(match stepped {
            Stepped::Applied => Ok(()),
            Stepped::Refused(reason) => Err(reason),
        })
    }

    /// Whether the run has come to the floor of its task.
    fn solved(&self) -> bool {
        self.run.best.is_some_and(|p| Some(p.validation.loss) == self.run.spec.task.floor)
    }

    /// One step of the optimizer, looked at if that is due.
    fn step(&mut self, loss: f64) -> Result<Stepped> {
        let step = self.steps;
        // What a run does at the floor of its task is round-off, and says nothing of its health.
        let solved = self.solved();
        self.recorder.see(&self.gradients);
        let watched = !solved && self.recorder.is_due(step);
        if !solved && (watched || self.recorder.is_due(step + 1)) {
            self.recorder.before(step, &self.values, &views(&self.parameters, &self.gradients));
        }
        // What is looked at is the gradient where the run stands; a second one may be taken elsewhere.
        let first = watched.then(|| self.gradients.clone());
        self.stepper.probe(watched);
        let stepped = self.apply(watched)?;
        if let (Some(first), Stepped::Applied, Some((optimizer, report))) =
            (first, &stepped, self.stepper.seen())
        {
            let gradients = views(&self.parameters, &first);
            self.recorder.after(step, loss, &self.values, &gradients, optimizer, report);
        }
        Ok(stepped)
    }

    /// The step itself, and the second gradient of the same batch if the optimizer asks for it. A step that is
    /// watched takes longer than it would, so it counts as long as those before it on average.
    fn apply(&mut self, watched: bool) -> Result<Stepped> {
        let Trainer { problem, run, .. } = self;
        let (batch, mut second) = (self.batch, Duration::ZERO);
        let mut again = |values: &mut [Vec<f32>], gradients: &mut [Gradient]| {
            let start = Instant::now();
            let loss = problem.gradient(batch, values, gradients);
            second += start.elapsed();
            run.gradients += 1;
            loss
        };
        let start = Instant::now();
        let (values, gradients) = (&mut self.values, &mut self.gradients);
        let stepped = self.stepper.step(&self.parameters, values, gradients, &mut again);
        let taken = start.elapsed().saturating_sub(second);
        let before = u32::try_from(self.steps.saturating_sub(1)).unwrap_or(u32::MAX);
        self.optimizer_time +=
            match watched.then(|| self.optimizer_time.checked_div(before)).flatten() {
                Some(usual) => usual,
                None => taken,
            };
        self.gradient_time += second;
        stepped
    }

    /// Measures where the run is to be judged.
    fn record(&mut self, phase: Phase) -> Result<()> {
        let (step, noisy) = (self.run.gradients, self.run.spec.task.noisy);
        self.stepper.judged(&self.parameters, &self.values, &mut self.judged)?;
        let mut validation = self.problem.evaluate(Part::Validation, &mut self.judged)?;
        validation.loss = self.run.spec.task.counted(validation.loss);
        if step == 0 {
            self.initial_loss = validation.loss;
        }
        let train_loss = (!self.losses.is_empty())
            .then(|| super::stats::mean(&std::mem::take(&mut self.losses)));
        let seconds = (self.gradient_time + self.optimizer_time).as_secs_f64();
        let point = Point { step, seconds, train_loss, validation };
        self.run.points.push(point);
        if noisy && phase == Phase::Final && is_late(step, self.run.spec.budget) {
            let test = self.test()?;
            self.ending.push(test);
        }
        if noisy || self.run.best.is_none_or(|best| validation.loss < best.validation.loss) {
            self.run.best = Some(point);
            for (best, value) in self.best_values.iter_mut().zip(&self.judged) {
                best.copy_from_slice(value);
            }
        }
        if !validation.loss.is_finite() {
            let reason = "the validation loss is not finite".to_owned();
            self.run.divergence = Some(Divergence { step, reason });
        }
        Ok(())
    }

    /// The test result of what was judged last.
    fn test(&mut self) -> Result<Measurement> {
        let mut test = self.problem.evaluate(Part::Test, &mut self.judged)?;
        test.loss = self.run.spec.task.counted(test.loss);
        Ok(test)
    }

    /// A run on a noisy task that ends at the floor was there for good after its last measurement above.
    fn settle(&mut self) {
        let Task { noisy: true, floor: Some(floor), .. } = *self.run.spec.task else { return };
        let above = self.run.points.iter().rposition(|p| p.validation.loss > floor);
        let first = self.run.points.get(above.map_or(0, |i| i + 1));
        if let (Some(first), None) = (first, &self.run.divergence) {
            self.run.best = Some(*first);
        }
    }

    fn finish(mut self, phase: Phase) -> Result<Run> {
        self.settle();
        // The test part of a run that was given up would only keep its user waiting.
        if phase == Phase::Final && self.run.divergence.is_none() && !interrupt::abandoned() {
            self.run.test = Some(match &self.ending[..] {
                [] => {
                    std::mem::swap(&mut self.judged, &mut self.best_values);
                    self.test()?
                }
                ending => average(ending),
            });
        }
        self.run.gradient_seconds = self.gradient_time.as_secs_f64();
        self.run.optimizer_seconds = self.optimizer_time.as_secs_f64();
        let solved = self.solved();
        self.run.probes = self.recorder.into_probes();
        // Findings count steps, as probes do.
        let cost = gradients_per_step(self.run.spec.optimizer);
        let divergence =
            self.run.divergence.as_ref().map(|d| (d.step.div_ceil(cost), d.reason.as_str()));
        let task = self.run.spec.task;
        let case = Case {
            divergence,
            batch: task.noisy_batch(),
            solved,
            losses: Some([self.initial_loss, self.run.end()]),
            bounded: task.domain != Domain::Free,
            memory: self.stepper.memory(),
        };
        self.run.findings = diagnosis::diagnose(&case, &self.run.probes);
        Ok(self.run)
    }
}

/// The mean of measurements.
fn average(all: &[Measurement]) -> Measurement {
    let mean = |of: &dyn Fn(&Measurement) -> Option<f64>| {
        super::stats::mean(&all.iter().filter_map(of).collect::<Vec<_>>())
    };
    let metric = all.iter().all(|m| m.metric.is_some()).then(|| mean(&|m| m.metric));
    Measurement { loss: mean(&|m| Some(m.loss)), metric }
}

/// The gradients as the diagnosis looks at them: with the zeros of rows that have none.
fn views<'g>(parameters: &[ParameterSpec], gradients: &'g [Gradient]) -> Vec<Cow<'g, [f32]>> {
    let view = |(parameter, gradient): (&ParameterSpec, &'g Gradient)| match gradient {
        Gradient::Dense(values) => Cow::Borrowed(&values[..]),
        Gradient::Rows { .. } => Cow::Owned(gradient.to_dense(&parameter.shape)),
    };
    parameters.iter().zip(gradients).map(view).collect()
}
