//! Functions whose gradients change over the run or are noisy.

use super::{near, noise};
use crate::rng::Stream;
use crate::tasks::formula::{Function, distance};

/// The noisy quadratic model (Zhang et al. 2019, arXiv 1907.04164): `½ Σ hᵢ xᵢ²` with curvatures spread
/// evenly over their logarithm, and gradient noise whose covariance is the Hessian.
pub(super) struct NoisyQuadratic;

const CURVATURES: usize = 20;

impl NoisyQuadratic {
    /// From 1 down to 0.01.
    fn curvature(i: usize) -> f64 {
        10f64.powf(-2.0 * i as f64 / (CURVATURES - 1) as f64)
    }
}

impl Function for NoisyQuadratic {
    fn start(&self, stream: &mut Stream) -> Vec<f64> {
        (0..CURVATURES).map(|_| noise(stream)).collect()
    }

    fn at(&self, x: &[f64], gradient: &mut [f64]) -> f64 {
        let mut loss = 0.0;
        for (i, (x, g)) in x.iter().zip(gradient).enumerate() {
            *g = Self::curvature(i) * x;
            loss += 0.5 * *g * x;
        }
        loss
    }

    fn seen(&self, _: usize, stream: &mut Stream, x: &[f64], gradient: &mut [f64]) -> f64 {
        let loss = self.at(x, gradient);
        for (i, g) in gradient.iter_mut().enumerate() {
            *g += Self::curvature(i).sqrt() * noise(stream);
        }
        loss
    }

    fn minima(&self) -> Vec<Vec<f64>> {
        vec![vec![0.0; CURVATURES]]
    }

    fn metric(&self, x: &[f64], _: f64) -> Option<f64> {
        Some(distance(&self.minima(), x))
    }
}

/// `½ (x² + 10 y²)` with noise, multiplied by 100 from one evaluation on, as if the loss had changed its unit.
/// Evaluation is in the first unit.
pub(super) struct ScaleJump;

/// The gradient evaluation at which the gradients jump, and by what factor.
pub(super) const JUMP: (usize, f64) = (300, 100.0);

impl Function for ScaleJump {
    fn start(&self, stream: &mut Stream) -> Vec<f64> {
        near(&[3.0, 1.0], 0.1, stream)
    }

    fn at(&self, x: &[f64], gradient: &mut [f64]) -> f64 {
        gradient.copy_from_slice(&[x[0], 10.0 * x[1]]);
        0.5 * (x[0] * gradient[0] + x[1] * gradient[1])
    }

    fn seen(&self, step: usize, stream: &mut Stream, x: &[f64], gradient: &mut [f64]) -> f64 {
        let loss = self.at(x, gradient);
        let factor = if step < JUMP.0 { 1.0 } else { JUMP.1 };
        gradient.iter_mut().for_each(|g| *g = factor * (*g + 0.1 * noise(stream)));
        factor * loss
    }

    fn minima(&self) -> Vec<Vec<f64>> {
        vec![vec![0.0, 0.0]]
    }

    fn metric(&self, x: &[f64], _: f64) -> Option<f64> {
        Some(distance(&self.minima(), x))
    }
}

/// `½ |x − a|²` in five coordinates, the last of which has no gradient until late: a feature that first
/// appears when all others have been learned.
pub(super) struct LateFeature;

/// The gradient evaluation at which the last coordinate appears.
pub(super) const LATE: usize = 300;
const TARGET: [f64; 5] = [1.0, -2.0, 0.5, 1.5, 2.0];

impl Function for LateFeature {
    fn start(&self, stream: &mut Stream) -> Vec<f64> {
        near(&[0.0; 5], 0.1, stream)
    }

    fn at(&self, x: &[f64], gradient: &mut [f64]) -> f64 {
        let mut loss = 0.0;
        for ((x, a), g) in x.iter().zip(TARGET).zip(gradient) {
            *g = x - a;
            loss += 0.5 * *g * *g;
        }
        loss
    }

    fn seen(&self, step: usize, stream: &mut Stream, x: &[f64], gradient: &mut [f64]) -> f64 {
        let loss = self.at(x, gradient);
        gradient.iter_mut().for_each(|g| *g += 0.1 * noise(stream));
        if step < LATE {
            gradient[4] = 0.0;
        }
        loss
    }

    fn minima(&self) -> Vec<Vec<f64>> {
        vec![TARGET.to_vec()]
    }

    fn metric(&self, x: &[f64], _: f64) -> Option<f64> {
        Some(distance(&self.minima(), x))
    }
}
