//! Surfaces without noise.

use super::near;
use crate::rng::Stream;
use crate::tasks::formula::{Function, distance};

/// `½ Σ hᵢ yᵢ²`, where `y` is `x`, or `x` turned by Householder reflections so that no axis is special.
pub(super) struct Bowl {
    pub curvatures: Vec<f64>,
    /// The unit normal of the reflection; `None` leaves the axes as they are.
    normal: Option<Vec<f64>>,
}

impl Bowl {
    pub(super) fn new(curvatures: &[f64], rotated: bool) -> Self {
        let count = curvatures.len();
        // In two dimensions this turns the axes by 45°: the reflection maps the first axis onto the
        // diagonal. In more it maps it onto the main diagonal.
        let mut normal = vec![-1.0 / (count as f64).sqrt(); count];
        normal[0] += 1.0;
        let length = normal.iter().map(|n| n * n).sum::<f64>().sqrt();
        let unit = (rotated && length > 0.0).then(|| normal.iter().map(|n| n / length).collect());
        Bowl { curvatures: curvatures.to_vec(), normal: unit }
    }

    /// The reflection, which is its own inverse.
    fn reflect(&self, x: &[f64]) -> Vec<f64> {
        let Some(normal) = &self.normal else { return x.to_vec() };
        let along: f64 = normal.iter().zip(x).map(|(n, x)| n * x).sum();
        normal.iter().zip(x).map(|(n, x)| x - 2.0 * along * n).collect()
    }
}

impl Function for Bowl {
    fn start(&self, stream: &mut Stream) -> Vec<f64> {
        self.reflect(&near(&vec![1.0; self.curvatures.len()], 0.1, stream))
    }

    fn at(&self, x: &[f64], gradient: &mut [f64]) -> f64 {
        let y = self.reflect(x);
        let slope: Vec<f64> = y.iter().zip(&self.curvatures).map(|(y, h)| h * y).collect();
        gradient.copy_from_slice(&self.reflect(&slope));
        0.5 * y.iter().zip(&slope).map(|(y, g)| y * g).sum::<f64>()
    }

    fn minima(&self) -> Vec<Vec<f64>> {
        vec![vec![0.0; self.curvatures.len()]]
    }

    fn metric(&self, x: &[f64], _: f64) -> Option<f64> {
        Some(distance(&self.minima(), x))
    }
}

/// Rosenbrock's function, `(1 − x)² + 100 (y − x²)²`.
pub(super) struct Rosenbrock;

impl Function for Rosenbrock {
    fn start(&self, stream: &mut Stream) -> Vec<f64> {
        near(&[-1.2, 1.0], 0.05, stream)
    }

    fn at(&self, x: &[f64], gradient: &mut [f64]) -> f64 {
        let (a, b) = (1.0 - x[0], x[1] - x[0] * x[0]);
        gradient.copy_from_slice(&[-2.0 * a - 400.0 * x[0] * b, 200.0 * b]);
        a * a + 100.0 * b * b
    }

    fn minima(&self) -> Vec<Vec<f64>> {
        vec![vec![1.0, 1.0]]
    }

    fn metric(&self, x: &[f64], _: f64) -> Option<f64> {
        Some(distance(&self.minima(), x))
    }
}

/// `½ x² + ¼ (y² − 1)²`: a saddle at the origin, towards which the start leads, and a minimum on either
/// side.
pub(super) struct Saddle;

impl Function for Saddle {
    fn start(&self, stream: &mut Stream) -> Vec<f64> {
        near(&[1.5, 1e-3], 5e-4, stream)
    }

    fn at(&self, x: &[f64], gradient: &mut [f64]) -> f64 {
        let valley = x[1] * x[1] - 1.0;
        gradient.copy_from_slice(&[x[0], valley * x[1]]);
        0.5 * x[0] * x[0] + 0.25 * valley * valley
    }

    fn minima(&self) -> Vec<Vec<f64>> {
        vec![vec![0.0, -1.0], vec![0.0, 1.0]]
    }

    fn metric(&self, x: &[f64], _: f64) -> Option<f64> {
        Some(distance(&self.minima(), x))
    }
}

/// Of one coordinate: `50 x²` up to a distance of 1 from the minimum, and from there on a slope of 0.01.
pub(super) struct FlatToSteep;

impl Function for FlatToSteep {
    fn start(&self, stream: &mut Stream) -> Vec<f64> {
        near(&[3.0], 0.1, stream)
    }

    fn at(&self, x: &[f64], gradient: &mut [f64]) -> f64 {
        let far = x[0].abs() > 1.0;
        gradient[0] = if far { 0.01 * x[0].signum() } else { 100.0 * x[0] };
        if far { 50.0 + 0.01 * (x[0].abs() - 1.0) } else { 50.0 * x[0] * x[0] }
    }

    fn minima(&self) -> Vec<Vec<f64>> {
        vec![vec![0.0]]
    }

    fn metric(&self, x: &[f64], _: f64) -> Option<f64> {
        Some(distance(&self.minima(), x))
    }
}

/// Linear regression of one variable: the sum over ten points of `(y − b − w x)²`.
pub(super) struct Regression;

/// The points of the lecture notes.
const POINTS: [[f64; 2]; 10] = [
    [338.0, 640.0],
    [333.0, 633.0],
    [328.0, 619.0],
    [207.0, 393.0],
    [226.0, 428.0],
    [25.0, 27.0],
    [179.0, 193.0],
    [60.0, 66.0],
    [208.0, 226.0],
    [606.0, 1591.0],
];

impl Function for Regression {
    fn start(&self, stream: &mut Stream) -> Vec<f64> {
        near(&[-120.0, -4.0], 0.2, stream)
    }

    fn at(&self, x: &[f64], gradient: &mut [f64]) -> f64 {
        gradient.fill(0.0);
        let mut sum = 0.0;
        for [input, output] in POINTS {
            let residual = output - x[0] - x[1] * input;
            gradient[0] -= 2.0 * residual;
            gradient[1] -= 2.0 * residual * input;
            sum += residual * residual;
        }
        sum
    }

    fn minima(&self) -> Vec<Vec<f64>> {
        let count = POINTS.len() as f64;
        let mean = |i: usize| POINTS.iter().map(|p| p[i]).sum::<f64>() / count;
        let (x, y) = (mean(0), mean(1));
        let moment = |i: usize, m: f64| POINTS.iter().map(|p| (p[0] - x) * (p[i] - m)).sum::<f64>();
        let slope = moment(1, y) / moment(0, x);
        vec![vec![y - slope * x, slope]]
    }

    fn metric(&self, x: &[f64], _: f64) -> Option<f64> {
        Some(distance(&self.minima(), x))
    }
}
