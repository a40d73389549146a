//! Tasks that are functions: computed in f64, rounded once, the same for training, validation and test.

use std::sync::Arc;

use super::{Gradient, Measurement, ParameterSpec, Part, Problem, Task, Workload};
use crate::Result;
use crate::rng::{Purpose, Stream};

/// A differentiable function of all coordinates of its parameters, one after another.
pub(super) trait Function: Send + Sync + 'static {
    /// Names and shapes of the parameters.
    fn parameters(&self) -> Vec<ParameterSpec> {
        let count = self.start(&mut Stream::new("", 0, Purpose::Init, 0)).len();
        vec![ParameterSpec { name: "x".to_owned(), shape: vec![count], fan_in: count }]
    }

    /// Where the run of a seed starts.
    fn start(&self, stream: &mut Stream) -> Vec<f64>;

    /// The loss at `x`, without noise; its gradient is written to `gradient`.
    fn at(&self, x: &[f64], gradient: &mut [f64]) -> f64;

    /// What gradient evaluation `step` sees in its place.
    fn seen(&self, _step: usize, _noise: &mut Stream, x: &[f64], gradient: &mut [f64]) -> f64 {
        self.at(x, gradient)
    }

    /// All points with the smallest loss, where they are known.
    fn minima(&self) -> Vec<Vec<f64>> {
        Vec::new()
    }

    /// The smallest loss, where it is known.
    fn optimum(&self) -> Option<f64> {
        let minimum = self.minima().into_iter().next()?;
        Some(self.at(&minimum, &mut vec![0.0; minimum.len()]))
    }

    /// The task's metric at `x`, where the loss is `loss`.
    fn metric(&self, _x: &[f64], _loss: f64) -> Option<f64> {
        None
    }
}

/// The distance from `x` to the nearest of `minima`; infinite if a coordinate is not finite.
pub(super) fn distance(minima: &[Vec<f64>], x: &[f64]) -> f64 {
    if !x.iter().all(|x| x.is_finite()) {
        return f64::INFINITY;
    }
    let one = |m: &Vec<f64>| m.iter().zip(x).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt();
    minima.iter().map(one).fold(f64::INFINITY, f64::min)
}

struct Formula<F> {
    task: &'static Task,
    function: F,
}

/// The workload of a function.
pub(super) fn open<F: Function>(task: &'static Task, function: F) -> Result<Arc<dyn Workload>> {
    Ok(Arc::new(Formula { task, function }))
}

impl<F: Function> Workload for Formula<F> {
    fn problem(self: Arc<Self>, seed: u64) -> Result<Box<dyn Problem>> {
        let start = self.function.start(&mut Stream::new(self.task.name, seed, Purpose::Init, 0));
        let zero = vec![0.0; start.len()];
        let specs = self.parameters();
        Ok(Box::new(Descent { formula: self, seed, specs, x: zero.clone(), slope: zero, start }))
    }

    fn parameters(&self) -> Vec<ParameterSpec> {
        self.function.parameters()
    }

    fn optimum(&self) -> Option<f64> {
        self.function.optimum()
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
        for (x, value) in self.x.iter_mut().zip(values.iter().flatten()) {
            *x = f64::from(*value);
        }
    }
}

impl<F: Function> Problem for Descent<F> {
    fn parameters(&self) -> &[ParameterSpec] {
        &self.specs
    }

    fn initial_values(&self) -> Vec<Vec<f32>> {
        let mut rest = self.start.iter().map(|x| *x as f32);
        self.specs.iter().map(|s| rest.by_ref().take(s.len()).collect()).collect()
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
        let mut rest = self.slope.iter().map(|g| *g as f32);
        for (spec, gradient) in self.specs.iter().zip(gradients) {
            let gradient = gradient.dense();
            gradient.clear();
            gradient.extend(rest.by_ref().take(spec.len()));
        }
        Ok(loss)
    }

    fn evaluate(&mut self, _: Part, values: &mut [Vec<f32>]) -> Result<Measurement> {
        self.place(values);
        let loss = self.formula.function.at(&self.x, &mut self.slope);
        Ok(Measurement { loss, metric: self.formula.function.metric(&self.x, loss) })
    }
}

/// Compares the gradient of a function at a point with differences of its loss.
#[cfg(test)]
pub(super) fn check_gradient(name: &str, function: &dyn Function, x: &[f64]) {
    let mut gradient = vec![0.0; x.len()];
    let mut unused = gradient.clone();
    function.at(x, &mut gradient);
    for i in 0..x.len() {
        let h = 1e-5 * x[i].abs().max(1e-2);
        let mut at = |offset: f64| {
            let mut moved = x.to_vec();
            moved[i] += offset;
            function.at(&moved, &mut unused)
        };
        let difference = (at(h) - at(-h)) / (2.0 * h);
        let bound = 2e-6 * (1.0 + gradient[i].abs());
        let (found, expected) = (gradient[i], difference);
        assert!((found - expected).abs() < bound, "{name}, {i}: {found}, differences {expected}");
    }
}
