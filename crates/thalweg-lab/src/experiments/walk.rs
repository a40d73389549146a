//! One optimizer of the library on one vector, in double precision.

use thalweg::{Chain, Element, Optimizer, Param};

use crate::{Error, Result};

impl From<thalweg::Error> for Error {
    fn from(error: thalweg::Error) -> Self {
        defect(format!("the optimizer refused: {error}"))
    }
}

/// One optimizer and the vector it moves.
pub(super) struct Walk {
    pub(super) opt: Optimizer<f64>,
    pub(super) x: Vec<f64>,
    shape: [usize; 1],
}

impl Walk {
    /// The optimizer of `chain` at the place `x`.
    pub(super) fn new(chain: impl Into<Chain>, x: &[f64]) -> Result<Walk> {
        let opt = Optimizer::<f64>::builder().rest("all", chain).threads(1).build()?;
        Ok(Walk { opt, x: x.to_vec(), shape: [x.len()] })
    }

    /// One step with this gradient.
    pub(super) fn step(&mut self, g: &[f64]) -> Result<()> {
        let params = &mut [Param::new("x", &self.shape, &mut self.x, g)];
        advance(&mut self.opt, params)
    }

    /// `count` steps with the gradient taken where the vector is.
    pub(super) fn descend(
        &mut self,
        count: usize,
        gradient: impl Fn(&[f64]) -> Vec<f64>,
    ) -> Result<()> {
        (0..count).try_for_each(|_| {
            let g = gradient(&self.x);
            self.step(&g)
        })
    }

    /// A step's effect on the first coordinate, as a fall.
    pub(super) fn fall(&mut self, g: f64) -> Result<f64> {
        let before = self.x[0];
        self.step(&[g])?;
        Ok(before - self.x[0])
    }

    /// The optimizer's memory of this name.
    pub(super) fn slot(&self, name: &str) -> Result<&[f64]> {
        self.opt.slot("x", name).ok_or_else(|| missing(name))
    }

    /// The optimizer's number of this name.
    pub(super) fn scalar(&self, name: &str) -> Result<f64> {
        self.opt.scalar("x", name).ok_or_else(|| missing(name))
    }

    /// The gains of a rule that keeps their logarithm.
    pub(super) fn gains(&self) -> Result<Vec<f64>> {
        Ok(self.slot("ell")?.iter().map(|ell| ell.exp()).collect())
    }
}

/// One step, which must be taken.
pub(super) fn advance<E: Element>(
    opt: &mut Optimizer<E>,
    params: &mut [Param<'_, E>],
) -> Result<()> {
    match opt.step(params)?.applied() {
        true => Ok(()),
        false => Err(defect("a step was refused: a gradient is not finite")),
    }
}

/// An error that no user can cause.
pub(super) fn defect(problem: impl Into<String>) -> Error {
    Error::failed(
        problem,
        "this is a defect of the experiment; please report it with the experiment's name",
    )
}

fn missing(name: &str) -> Error {
    defect(format!("the optimizer has no memory called `{name}`"))
}

/// The chain with these hyper-parameters.
pub(super) fn tuned(mut chain: Chain, hypers: &[(&str, f64)]) -> Result<Chain> {
    for (name, value) in hypers {
        chain.set(name, *value)?;
    }
    Ok(chain)
}

/// The falls of `count` steps, each with the gradient `g`.
pub(super) fn falls(chain: Chain, g: f64, count: usize) -> Result<Vec<f64>> {
    let mut walk = Walk::new(chain, &[0.0])?;
    (0..count).map(|_| walk.fall(g)).collect()
}

/// A count of steps, at the learning rate at which it is least.
#[derive(Debug, Clone, Copy)]
pub(super) struct Best {
    pub(super) lr: f64,
    pub(super) steps: f64,
}

/// Learning rates from 100 down to 0.001, twenty to each power of ten.
pub(super) fn rates() -> impl Iterator<Item = f64> {
    (-60..=40).rev().map(|k| 10f64.powf(f64::from(k) / 20.0))
}

/// The best of some rates. `steps` counts at a rate, and may stop at the count that comes with it, which
/// is the least so far: at most ten thousand.
pub(super) fn best(
    rates: impl Iterator<Item = f64>,
    steps: impl Fn(f64, f64) -> Result<f64>,
) -> Result<Best> {
    let mut best = Best { lr: f64::NAN, steps: 1e4 };
    for lr in rates {
        let count = steps(lr, best.steps)?;
        if count < best.steps {
            best = Best { lr, steps: count };
        }
    }
    Ok(best)
}

/// Runs of one method from several starts. From a single one, some rate leads to the minimum by chance
/// (all coordinates at 1 and a first step of 1, say), and the best rate would be that.
pub(super) struct Runs<'a> {
    pub(super) starts: &'a [Vec<f64>],
    pub(super) gradient: &'a dyn Fn(&[f64]) -> Vec<f64>,
    pub(super) loss: &'a dyn Fn(&[f64]) -> f64,
}

impl Runs<'_> {
    /// Steps until the loss is below 1e-6, the mean of all runs; `limit` if it is no less.
    pub(super) fn steps(&self, chain: Chain, limit: f64) -> Result<f64> {
        // One vector of all runs: rules see each coordinate alone.
        let mut walk = Walk::new(chain, &self.starts.concat())?;
        let width = walk.x.len() / self.starts.len();
        let mut arrivals = vec![None; self.starts.len()];
        for t in 1.. {
            let g: Vec<f64> = walk.x.chunks(width).flat_map(self.gradient).collect();
            let total: f64 = arrivals.iter().map(|at| at.unwrap_or(f64::from(t))).sum();
            let mean = total / arrivals.len() as f64;
            if mean >= limit || !g.iter().all(|g| g.is_finite()) {
                break;
            }
            walk.step(&g)?;
            for (at, x) in arrivals.iter_mut().zip(walk.x.chunks(width)) {
                *at = at.or(((self.loss)(x) < 1e-6).then_some(f64::from(t)));
            }
            if arrivals.iter().all(Option::is_some) {
                return Ok(mean);
            }
        }
        Ok(limit)
    }
}

/// The curvature of [`bowl`] along each axis.
pub(super) const CURVATURE: [f64; 3] = [1.0, 10.0, 100.0];

/// The bowl `(x₁² + 10·x₂² + 100·x₃²)/2`.
pub(super) fn bowl(x: &[f64]) -> f64 {
    CURVATURE.iter().zip(x).map(|(h, x)| 0.5 * h * x * x).sum()
}

/// The gradient of [`bowl`].
pub(super) fn bowl_gradient(x: &[f64]) -> Vec<f64> {
    CURVATURE.iter().zip(x).map(|(h, x)| h * x).collect()
}

/// The largest difference of two coordinates; NaN counts as the largest of all.
pub(super) fn distance(a: &[f64], b: &[f64]) -> f64 {
    let differences = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    differences.max_by(f64::total_cmp).unwrap_or(0.0)
}

/// The mean of some numbers.
pub(super) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The slope of the least-squares line through the logarithms of both coordinates.
pub(super) fn log_slope(points: &[(f64, f64)]) -> f64 {
    let (x, y): (Vec<f64>, Vec<f64>) = points.iter().map(|(x, y)| (x.ln(), y.ln())).unzip();
    let (x0, y0) = (mean(&x), mean(&y));
    let covariance: f64 = x.iter().zip(&y).map(|(x, y)| (x - x0) * (y - y0)).sum();
    covariance / x.iter().map(|x| (x - x0) * (x - x0)).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_power_law_has_its_power_as_slope() {
        let points: Vec<_> =
            (1..10).map(|x| (f64::from(x), 3.0 * f64::from(x).powf(1.5))).collect();
        assert!((log_slope(&points) - 1.5).abs() < 1e-12);
    }

    #[test]
    fn the_distance_to_nan_is_not_small() {
        assert!(distance(&[1.0, f64::NAN], &[1.0, 2.0]).is_nan());
        assert_eq!(distance(&[1.0, 4.0], &[1.5, 2.0]), 2.0);
    }
}
