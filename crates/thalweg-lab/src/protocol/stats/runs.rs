//! Runs against runs that share their seeds.

use super::scale::{Distance, Scale};
use super::{paired_p, paired_p_on};

/// What came of runs, in the order of their seeds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Runs {
    /// Test losses; infinite for a run that diverged.
    pub losses: Vec<f64>,
    /// Gradient evaluations to the lowest validation loss.
    pub gradients: Vec<f64>,
}

/// How far runs are from others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Against {
    /// Whether all of both came to one and the same loss, which is that of a solved task: they are then compared by
    /// how soon, in gradient evaluations.
    pub in_gradients: bool,
    /// By how much, or by which factor.
    pub distance: Distance,
    /// Two-sided paired t test of that.
    pub p: f64,
}

/// Whether runs this far from others, on average, are worse, sure or not.
pub fn is_worse(distance: f64, in_gradients: bool, scale: Scale) -> bool {
    distance > if in_gradients { 0.0 } else { scale.alike() }
}

impl FromIterator<[f64; 2]> for Runs {
    /// Of each run its test loss and its gradient evaluations.
    fn from_iter<I: IntoIterator<Item = [f64; 2]>>(runs: I) -> Self {
        let (losses, gradients) = runs.into_iter().map(|[loss, spent]| (loss, spent)).unzip();
        Runs { losses, gradients }
    }
}

impl Runs {
    /// How far these are from `others`, paired in order; `every` is the number of gradient evaluations between
    /// measurements.
    pub fn against(&self, others: &Runs, scale: Scale, every: f64) -> Against {
        let level = self.losses.first().copied().filter(|loss| loss.is_finite());
        let at_level = |runs: &Runs| runs.losses.iter().all(|loss| Some(*loss) == level);
        if level.is_some() && at_level(self) && at_level(others) {
            return Against {
                in_gradients: true,
                distance: Scale::Plain.distance(&others.gradients, &self.gradients),
                p: paired_p_on(&self.gradients, &others.gradients, every),
            };
        }
        Against {
            in_gradients: false,
            distance: scale.distance(&others.losses, &self.losses),
            p: paired_p(&scale.places(&self.losses), &scale.places(&others.losses)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_that_solve_their_task_are_compared_by_how_soon() {
        let slow: Runs = [[0.5, 300.0], [0.5, 340.0], [0.5, 310.0]].into_iter().collect();
        let soon: Runs = [[0.5, 60.0], [0.5, 80.0], [0.5, 70.0]].into_iter().collect();
        let apart = slow.against(&soon, Scale::Plain, 10.0);
        assert!(apart.in_gradients && apart.p < 0.01);
        assert!((apart.distance.mean.mean - 740.0 / 3.0).abs() < 1e-9);
        assert_eq!(soon.against(&soon, Scale::Above(0.0), 10.0).p, 1.0);
        // One that did not come so far, or diverged, makes it a matter of losses.
        for loss in [0.6, f64::INFINITY] {
            let mut other = soon.clone();
            other.losses[1] = loss;
            let apart = other.against(&slow, Scale::Plain, 10.0);
            assert!(!apart.in_gradients && apart.distance.mean.mean > 0.0);
        }
        let lost: Runs = [[f64::INFINITY, 9.0]; 3].into_iter().collect();
        assert!(!lost.against(&lost, Scale::Plain, 10.0).in_gradients);
    }
}
