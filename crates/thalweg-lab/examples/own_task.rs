//! A task of your own in one file: your data, your model, your loss. The whole `thalweg` command then
//! knows it:
//!
//! ```sh
//! cargo run --release --example own_task -- list tasks
//! cargo run --release --example own_task -- compare springs --optimizers gd,adam,adagrad
//! ```
//!
//! Here the data are measurements of a damped spring, and the model has four parameters in two groups. A
//! task needs three things: a [`Task`], which describes; a [`Workload`], which holds the data; and a
//! [`Problem`], which computes losses and gradients. Use any engine you like inside of it.

use std::process::ExitCode;
use std::sync::Arc;

use thalweg_lab::data;
use thalweg_lab::rng::{Purpose, Stream};
use thalweg_lab::tasks::{
    self, Batches, Domain, Gradient, Limit, Measurement, Metric, ParameterSpec, Part, Problem,
    Schedule, Task, Tier, Workload,
};
use thalweg_lab::{Error, Result};

/// What the laboratory must know before the data are loaded.
pub const SPRINGS: Task = Task {
    name: "springs",
    summary: "the motion of a damped spring from 200 noisy measurements",
    groups: &[],
    tier: Tier::Smoke,
    data: "springs",
    loss: "mean squared error in cm^2",
    metric: Some(Metric::RMSE),
    // Negative numbers are fine for all parameters: updates are subtracted.
    domain: Domain::Free,
    // A run whose loss rises above a thousand times that of the start has diverged.
    limit: Limit::Times(1e3),
    // The noise of the data keeps the loss far above zero, so there is no loss at which all is done.
    floor: None,
    // Gradients are of batches, but what a run is judged by is measured on examples that were held out. It
    // would be noisy if gradients alone were, as those of a formula with noise of its own.
    noisy: false,
    // Nothing changes in the middle of a run.
    event: None,
    // Not two coordinates, so there is no map to draw.
    plane: None,
    open,
    batch: 20,
    budget: 400,
    trials: 8,
    seeds: 5,
    shortlist: &["gd", "momentum", "adagrad", "rmsprop", "adam"],
    evaluations: 20,
    schedule: Schedule::Constant,
};

/// A measurement: the time in s and the place in cm.
type Point = (f64, f64);

/// The data in three parts. All runs share them, so they never change.
struct Springs {
    task: &'static Task,
    parts: [Vec<Point>; 3],
}

/// Loads the data. Yours come from a file, say; these are made here.
fn open(task: &'static Task) -> Result<Arc<dyn Workload>> {
    let mut noise = Stream::new("springs", 0, Purpose::Split, 0);
    let mut measure = |i: usize| {
        let t = i as f64 / 50.0;
        let place = 2.0 * (-0.4 * t).exp() * (3.0 * t + 0.5).cos();
        (t, place + 0.1 * f64::from(noise.uniform() - 0.5))
    };
    let all: Vec<Point> = (0..200).map(&mut measure).collect();
    let part = |k: usize| all.iter().copied().skip(k).step_by(5).collect::<Vec<_>>();
    let train = [part(0), part(1), part(2)].concat();
    if train.is_empty() {
        return Err(Error::failed("there are no measurements", "measure the spring again"));
    }
    Ok(Arc::new(Springs { task, parts: [train, part(3), part(4)] }))
}

impl Workload for Springs {
    fn problem(self: Arc<Self>, seed: u64) -> Result<Box<dyn Problem>> {
        let batches = Batches::new(self.task.name, seed, self.parts[0].len(), self.task.batch);
        Ok(Box::new(Fit { specs: self.parameters(), springs: self, batches, seed }))
    }

    fn parameters(&self) -> Vec<ParameterSpec> {
        ["motion", "shape"]
            .map(|name| ParameterSpec { name: name.to_owned(), shape: vec![2], fan_in: 1 })
            .to_vec()
    }

    fn examples(&self) -> [usize; 3] {
        [0, 1, 2].map(|k| self.parts[k].len())
    }

    /// With it `rerun` and `diff` notice that the data have changed.
    fn data_sha256(&self) -> String {
        let numbers = self.parts.iter().flatten().flat_map(|(t, place)| [*t, *place]);
        data::sha256(&numbers.flat_map(f64::to_le_bytes).collect::<Vec<u8>>())
    }
}

/// One run: its seed decides where it starts and in which order it sees the data, and nothing else does.
struct Fit {
    springs: Arc<Springs>,
    specs: Vec<ParameterSpec>,
    batches: Batches,
    seed: u64,
}

/// The squared error of a measurement, and its derivatives with respect to frequency and phase (the
/// motion), damping and amplitude (the shape).
fn error([frequency, phase, damping, amplitude]: [f64; 4], (t, place): Point) -> (f64, [f64; 4]) {
    let (decay, angle) = ((-damping * t).exp(), frequency * t + phase);
    let residual = amplitude * decay * angle.cos() - place;
    let turn = -2.0 * residual * amplitude * decay * angle.sin();
    let scale = 2.0 * residual * decay * angle.cos();
    (residual * residual, [turn * t, turn, -amplitude * t * scale, scale])
}

fn numbers(values: &[Vec<f32>]) -> [f64; 4] {
    [values[0][0], values[0][1], values[1][0], values[1][1]].map(f64::from)
}

impl Problem for Fit {
    fn parameters(&self) -> &[ParameterSpec] {
        &self.specs
    }

    fn initial_values(&self) -> Vec<Vec<f32>> {
        let mut stream = Stream::new(self.springs.task.name, self.seed, Purpose::Init, 0);
        let mut near = |center: f32| center + 0.2 * (stream.uniform() - 0.5);
        vec![vec![near(2.8), near(0.0)], vec![near(0.1), near(1.0)]]
    }

    fn gradient(
        &mut self,
        step: usize,
        values: &mut [Vec<f32>],
        gradients: &mut [Gradient],
    ) -> Result<f64> {
        let batch = self.batches.at(step);
        let (mut loss, mut sum) = (0.0, [0.0; 4]);
        for point in batch.iter().map(|i| self.springs.parts[0][*i as usize]) {
            let (own, slope) = error(numbers(values), point);
            loss += own / batch.len() as f64;
            sum.iter_mut().zip(slope).for_each(|(s, g)| *s += g / batch.len() as f64);
        }
        for (gradient, slope) in gradients.iter_mut().zip(sum.chunks_exact(2)) {
            let gradient = gradient.dense();
            gradient.clear();
            gradient.extend(slope.iter().map(|g| *g as f32));
        }
        Ok(loss)
    }

    fn evaluate(&mut self, part: Part, values: &mut [Vec<f32>]) -> Result<Measurement> {
        let points = match part {
            Part::Train => &self.springs.parts[0],
            Part::Validation => &self.springs.parts[1],
            Part::Test => &self.springs.parts[2],
        };
        let sum: f64 = points.iter().map(|p| error(numbers(values), *p).0).sum();
        let loss = sum / points.len() as f64;
        Ok(Measurement { loss, metric: Some(loss.sqrt()) })
    }
}

/// Registers the task, and is the `thalweg` command from there on.
#[allow(dead_code, reason = "the test of this example registers the task itself")]
fn main() -> ExitCode {
    match tasks::register(SPRINGS) {
        Ok(_) => thalweg_lab::cli::main(),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
