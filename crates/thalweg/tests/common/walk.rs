//! One optimizer on one vector, and comparisons with printed numbers.

use thalweg::{Chain, Optimizer, Param};

/// One optimizer and the vector it moves.
pub struct Walk {
    pub opt: Optimizer<f64>,
    pub x: Vec<f64>,
    shape: [usize; 1],
}

impl Walk {
    pub fn new(chain: impl Into<Chain>, x: &[f64]) -> Walk {
        let opt = Optimizer::<f64>::builder().rest("all", chain).threads(1).build();
        Walk { opt: opt.expect("a valid chain"), x: x.to_vec(), shape: [x.len()] }
    }

    /// One step with each of these gradients.
    pub fn along(chain: impl Into<Chain>, x: &[f64], gradients: &[Vec<f64>]) -> Walk {
        let mut walk = Walk::new(chain, x);
        gradients.iter().for_each(|g| walk.step(g));
        walk
    }

    /// One step with this gradient.
    pub fn step(&mut self, g: &[f64]) {
        let mut params = [Param::new("x", &self.shape, &mut self.x, g)];
        assert!(self.opt.step(&mut params).expect("a step").applied());
    }

    /// `count` steps with the gradient taken where the vector is.
    pub fn descend(&mut self, count: usize, gradient: impl Fn(&[f64]) -> Vec<f64>) {
        for _ in 0..count {
            let g = gradient(&self.x);
            self.step(&g);
        }
    }

    /// A step's effect on the only coordinate, as a fall.
    pub fn fall(&mut self, g: f64) -> f64 {
        let before = self.x[0];
        self.step(&[g]);
        before - self.x[0]
    }

    pub fn slot(&self, name: &str) -> &[f64] {
        self.opt.slot("x", name).expect("a slot of this name")
    }
}

/// The chain with these hyper-parameters.
pub fn tuned(mut chain: Chain, hypers: &[(&str, f64)]) -> Chain {
    for (name, value) in hypers {
        chain.set(name, *value).expect("a hyper-parameter of this name");
    }
    chain
}

/// The bowl `(x₁² + 10·x₂² + 100·x₃²)/2`.
pub fn bowl(x: &[f64]) -> f64 {
    CURVATURE.iter().zip(x).map(|(h, x)| 0.5 * h * x * x).sum()
}

/// The gradient of [`bowl`].
pub fn bowl_gradient(x: &[f64]) -> Vec<f64> {
    CURVATURE.iter().zip(x).map(|(h, x)| h * x).collect()
}

const CURVATURE: [f64; 3] = [1.0, 10.0, 100.0];

/// The largest difference of two coordinates.
pub fn distance(a: &[f64], b: &[f64]) -> f64 {
    largest(a, b, |a, b| a - b)
}

/// The largest difference of two coordinates, as a share of the second.
pub fn distance_relative(a: &[f64], b: &[f64]) -> f64 {
    largest(a, b, |a, b| (a - b) / b)
}

fn largest(a: &[f64], b: &[f64], difference: impl Fn(f64, f64) -> f64) -> f64 {
    assert_eq!(a.len(), b.len());
    // In this order NaN is the largest of all.
    let differences = a.iter().zip(b).map(|(a, b)| difference(*a, *b).abs());
    differences.max_by(f64::total_cmp).expect("at least one coordinate")
}

#[track_caller]
pub fn near(got: f64, want: f64, tolerance: f64) {
    assert!((got - want).abs() <= tolerance, "{got:e} is not {want:e} ± {tolerance:e}");
}

#[track_caller]
pub fn near_relative(got: f64, want: f64, tolerance: f64) {
    near(got, want, tolerance * want.abs());
}

/// Whether `got` rounds to the number as it is printed: half a unit of its last digit.
#[track_caller]
pub fn printed(got: f64, want: &str) {
    let (mantissa, exponent) = want.split_once('e').unwrap_or((want, "0"));
    let decimals = mantissa.split_once('.').map_or(0, |(_, digits)| digits.len() as i32);
    let exponent: i32 = exponent.parse().expect("an exponent");
    let half = 0.5 * 10f64.powi(exponent - decimals);
    // A hair more: the printed number itself is not exact in binary.
    near(got, want.parse().expect("a number"), half * (1.0 + 1e-6));
}

#[track_caller]
pub fn all_printed(got: &[f64], want: &[&str]) {
    assert_eq!(got.len(), want.len());
    got.iter().zip(want).for_each(|(got, want)| printed(*got, want));
}
