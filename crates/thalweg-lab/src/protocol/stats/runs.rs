//! Runs against runs that share their seeds.

use super::scale::{Distance, Scale};
use super::{paired_p, paired_p_on};

/// By what the runs of a task are compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Yardstick {
    /// The scale of losses.
    pub scale: Scale,
    /// The loss at which the task is solved, if it has one.
    pub floor: Option<f64>,
    /// The number of gradient evaluations between measurements.
    pub every: f64,
}

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
    /// Whether all of both have solved the task: they are then compared by how soon, in gradient evaluations.
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
    /// Whether there are runs, and all came down to this loss.
    fn solve(&self, floor: f64) -> bool {
        !self.losses.is_empty() && self.losses.iter().all(|loss| *loss <= floor)
    }

    /// How far these are from `others`, paired in order.
    pub fn against(&self, others: &Runs, by: Yardstick) -> Against {
        let Yardstick { scale, floor, every } = by;
        if floor.is_some_and(|floor| self.solve(floor) && others.solve(floor)) {
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
        let by = |scale| Yardstick { scale, floor: Some(0.5), every: 10.0 };
        let apart = slow.against(&soon, by(Scale::Plain));
        assert!(apart.in_gradients && apart.p < 0.01);
        assert!((apart.distance.mean.mean - 740.0 / 3.0).abs() < 1e-9);
        assert_eq!(soon.against(&soon, by(Scale::Above(0.0))).p, 1.0);
        // Equal losses are no solution by themselves.
        let alike = slow.against(&soon, Yardstick { floor: None, ..by(Scale::Plain) });
        assert!(!alike.in_gradients && alike.distance.mean.mean == 0.0);
        // One that did not come so far, or diverged, makes it a matter of losses.
        for loss in [0.6, f64::INFINITY] {
            let mut other = soon.clone();
            other.losses[1] = loss;
            let apart = other.against(&slow, by(Scale::Plain));
            assert!(!apart.in_gradients && apart.distance.mean.mean > 0.0);
        }
        let lost: Runs = [[f64::INFINITY, 9.0]; 3].into_iter().collect();
        assert!(!lost.against(&lost, by(Scale::Plain)).in_gradients);
    }
}
