//! Tasks that are formulas: a few coordinates, no data, and a minimum that is known.
//!
//! Losses and gradients are computed in f64 and rounded once. Training, validation and test measure the
//! same. Where every run would start at the same point, the seed moves the start a little, so that five
//! seeds say more than one.

mod catalogue;
mod streams;
mod surfaces;

use std::sync::Arc;

pub(super) use catalogue::{FAMILIES, TASKS};

use super::{Gradient, Measurement, ParameterSpec, Part, Problem, Task, Workload};
use crate::Result;
use crate::rng::{Purpose, Stream};

/// A differentiable function of a few coordinates.
trait Function: Send + Sync + 'static {
    /// Where the run of a seed starts.
    fn start(&self, stream: &mut Stream) -> Vec<f64>;

    /// The loss at `x`, without noise; its gradient is written to `gradient`.
    fn at(&self, x: &[f64], gradient: &mut [f64]) -> f64;

    /// What gradient evaluation `step` sees in its place.
    fn seen(&self, _step: usize, _noise: &mut Stream, x: &[f64], gradient: &mut [f64]) -> f64 {
        self.at(x, gradient)
    }

    /// All points with the smallest loss.
    fn minima(&self) -> Vec<Vec<f64>>;
}

/// A start near `center`: each coordinate moves by at most `spread`.
fn near(center: &[f64], spread: f64, stream: &mut Stream) -> Vec<f64> {
    center.iter().map(|c| c + spread * f64::from(2.0 * stream.uniform() - 1.0)).collect()
}

/// A number with mean 0 and variance 1, nearly normal: the sum of twelve uniform ones. It is the same on
/// every machine, which logarithms and cosines are not.
fn noise(stream: &mut Stream) -> f64 {
    (0..12).map(|_| f64::from(stream.uniform())).sum::<f64>() - 6.0
}

struct Formula<F> {
    task: &'static Task,
    function: F,
}

/// The workload of a function.
fn open<F: Function>(task: &'static Task, function: F) -> Result<Arc<dyn Workload>> {
    Ok(Arc::new(Formula { task, function }))
}

impl<F: Function> Formula<F> {
    fn start(&self, seed: u64) -> Vec<f64> {
        self.function.start(&mut Stream::new(self.task.name, seed, Purpose::Init, 0))
    }
}

impl<F: Function> Workload for Formula<F> {
    fn problem(self: Arc<Self>, seed: u64) -> Result<Box<dyn Problem>> {
        let start = self.start(seed);
        let zero = vec![0.0; start.len()];
        let specs = self.parameters();
        Ok(Box::new(Descent { formula: self, seed, specs, x: zero.clone(), slope: zero, start }))
    }

    fn parameters(&self) -> Vec<ParameterSpec> {
        let count = self.start(0).len();
        vec![ParameterSpec { name: "x".to_owned(), shape: vec![count], fan_in: count }]
    }

    fn optimum(&self) -> Option<f64> {
        let minimum = self.function.minima().into_iter().next()?;
        Some(self.function.at(&minimum, &mut vec![0.0; minimum.len()]))
    }
}

struct Descent<F> {
    formula: Arc<Formula<F>>,
    seed: u64,
    specs: Vec<ParameterSpec>,
    start: Vec<f64>,
    x: Vec<f64>,
    slope: Vec<f64>,
}

impl<F: Function> Descent<F> {
    fn place(&mut self, values: &[Vec<f32>]) {
        for (x, value) in self.x.iter_mut().zip(&values[0]) {
            *x = f64::from(*value);
        }
    }
}

impl<F: Function> Problem for Descent<F> {
    fn parameters(&self) -> &[ParameterSpec] {
        &self.specs
    }

    fn initial_values(&self) -> Vec<Vec<f32>> {
        vec![self.start.iter().map(|x| *x as f32).collect()]
    }

    fn gradient(
        &mut self,
        step: usize,
        values: &mut [Vec<f32>],
        gradients: &mut [Gradient],
    ) -> Result<f64> {
        self.place(values);
        let task = self.formula.task;
        let mut noise = Stream::new(task.name, self.seed, Purpose::Noise, step as u64);
        let loss = self.formula.function.seen(step, &mut noise, &self.x, &mut self.slope);
        let gradient = gradients[0].dense();
        gradient.clear();
        gradient.extend(self.slope.iter().map(|g| *g as f32));
        Ok(loss)
    }

    fn evaluate(&mut self, _: Part, values: &mut [Vec<f32>]) -> Result<Measurement> {
        self.place(values);
        let loss = self.formula.function.at(&self.x, &mut self.slope);
        let distance =
            |m: Vec<f64>| m.iter().zip(&self.x).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt();
        let minima = self.formula.function.minima();
        let nearest = minima.into_iter().map(distance).fold(f64::INFINITY, f64::min);
        // A coordinate that is not a number is no nearer than infinity.
        let nearest = if self.x.iter().all(|x| x.is_finite()) { nearest } else { f64::INFINITY };
        Ok(Measurement { loss, metric: Some(nearest) })
    }
}

#[cfg(test)]
mod tests;
