//! The description of a task.

use std::fmt;
use std::sync::Arc;

use super::Workload;
use crate::Result;

/// A training task. Its definition is fixed: results of the same task are comparable.
#[derive(Clone, Copy)]
pub struct Task {
    /// The name used on the command line.
    pub name: &'static str,
    /// One line on what is trained.
    pub summary: &'static str,
    /// Words that select this task together with others, such as `digits` or `convex`.
    pub groups: &'static [&'static str],
    /// How long a comparison of its optimizers takes.
    pub tier: Tier,
    /// The data set; empty for a formula.
    pub data: &'static str,
    /// What the loss is, and in what unit.
    pub loss: &'static str,
    /// What is measured beside the loss.
    pub metric: Option<Metric>,
    /// Where the parameters live.
    pub domain: Domain,
    /// When a loss that is still finite counts as a divergence.
    pub limit: Limit,
    /// The loss at which the task is solved, if it has one: lower ones are measured as this one, because
    /// only round-off tells them apart. It must not be below the smallest loss there is.
    pub floor: Option<f64>,
    /// Whether gradients are noisy while evaluation is not, and nothing is held out. The lowest of many
    /// such evaluations is luck that no test set corrects, so a run is judged by where it ends: the mean
    /// over the last tenth of its measurements.
    pub noisy: bool,
    /// The gradient evaluation at which gradients change for good, if that is what the task is about.
    pub event: Option<usize>,
    /// The picture of a task with two coordinates.
    pub plane: Option<&'static Plane>,
    /// Loads what the task needs. It gets the task itself, so that several tasks can share a function.
    pub open: fn(&'static Task) -> Result<Arc<dyn Workload>>,
    /// Examples per gradient; 0 for a formula.
    pub batch: usize,
    /// Gradient evaluations per run, unless the user asks for another number.
    pub budget: usize,
    /// Tuning trials per optimizer, unless the user asks for another number.
    pub trials: usize,
    /// Seeds of the final runs, unless the user asks for another number.
    pub seeds: usize,
    /// The optimizers that are compared unless the user names some; empty for all but presets.
    pub shortlist: &'static [&'static str],
    /// How often the validation examples are evaluated over a run, the start not counted.
    pub evaluations: usize,
    /// The factor that multiplies the learning rate over a run.
    pub schedule: Schedule,
}

impl Task {
    /// Examples per gradient, 1 where a formula adds noise of its own; `None` where gradients at one point
    /// are all the same.
    pub(crate) fn noisy_batch(&self) -> Option<usize> {
        (self.noisy || self.batch > 0).then_some(self.batch.max(1))
    }

    /// The loss as it is counted: not below the [`floor`](Task::floor). NaN stays NaN.
    pub fn counted(&self, loss: f64) -> f64 {
        self.floor.filter(|floor| loss < *floor).unwrap_or(loss)
    }

    /// Whether weight decay is part of what is compared. It is there for what is held out; a formula says
    /// itself where its minimum is, and decay pulls towards zero, which is there or is not.
    pub fn takes_decay(&self) -> bool {
        !self.is_formula()
    }

    /// Whether validation and test measure the same as training: there are no examples to hold out.
    pub fn is_formula(&self) -> bool {
        self.data.is_empty()
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").field("name", &self.name).finish_non_exhaustive()
    }
}

/// How long it takes by the clock to compare the optimizers of one task on two cores; several tasks take the sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Tier {
    /// At most half a minute per task, with nothing but what ships inside the program.
    Smoke,
    /// At most a quarter of an hour per task, on real data: slow networks are compared with fewer
    /// optimizers.
    Standard,
    /// Longer.
    Full,
}

impl Tier {
    /// The name used on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Tier::Smoke => "smoke",
            Tier::Standard => "standard",
            Tier::Full => "full",
        }
    }
}

/// What is measured beside the loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Metric {
    /// Its name in the field.
    pub name: &'static str,
    /// Whether a larger value is better.
    pub higher_is_better: bool,
    /// Whether it is a share between 0 and 1, to be shown in percent.
    pub percent: bool,
}

impl Metric {
    /// The share of examples classified correctly.
    pub const ACCURACY: Metric = Metric { name: "accuracy", higher_is_better: true, percent: true };
    /// The square root of the mean squared error, in the unit of what is predicted.
    pub const RMSE: Metric = Metric { name: "RMSE", higher_is_better: false, percent: false };
    /// The exponential of the mean cross-entropy per token.
    pub const PERPLEXITY: Metric =
        Metric { name: "perplexity", higher_is_better: false, percent: false };

    /// A value as people read it.
    pub fn show(self, value: f64) -> String {
        match value.abs() {
            _ if self.percent => format!("{:.2} %", 100.0 * value),
            size if size > 0.0 && size < 1e-3 => format!("{value:.2e}"),
            _ => format!("{value:.4}"),
        }
    }

    /// What a run that diverged counts as.
    pub fn worst(self) -> f64 {
        match (self.higher_is_better, self.percent) {
            (true, true) => 0.0,
            (true, false) => f64::NEG_INFINITY,
            (false, _) => f64::INFINITY,
        }
    }
}

/// Where the parameters of a task live. Every optimizer's update is applied through the mirror map that
/// keeps them there, so that none is favoured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Domain {
    /// Anywhere: the update is subtracted.
    Free,
    /// All coordinates are positive: the update is applied multiplicatively.
    Positive,
    /// The coordinates of each parameter are positive and sum to one.
    Simplex,
}

impl Domain {
    /// One phrase for reports.
    pub fn describe(self) -> &'static str {
        match self {
            Domain::Free => "unconstrained",
            Domain::Positive => "positive, every update applied through negative entropy",
            Domain::Simplex => "the probability simplex, every update applied through it",
        }
    }
}

/// When a training loss that is still finite counts as a divergence.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    /// Above so many times the loss before training: for losses whose smallest value is about zero and
    /// that start above it. A loss that starts at zero has no limit.
    Times(f64),
    /// Above this loss: for losses that may start at zero or below.
    Above(f64),
}

impl Limit {
    /// The largest loss that is no divergence, for a run that starts at `initial`.
    pub fn loss(self, initial: f64) -> f64 {
        match self {
            Limit::Times(_) if initial == 0.0 => f64::INFINITY,
            Limit::Times(factor) => initial + (factor - 1.0) * initial.abs(),
            Limit::Above(loss) => loss,
        }
    }

    /// What is above the limit, in words.
    pub fn describe(self) -> String {
        match self {
            Limit::Times(factor) => format!("above {factor} times the initial loss"),
            Limit::Above(loss) => format!("above {loss}"),
        }
    }
}

/// The picture of a task with two coordinates: `f` over a rectangle, for contours under trajectories.
#[derive(Clone, Copy)]
pub struct Plane {
    /// The range of the first coordinate.
    pub x: [f64; 2],
    /// The range of the second coordinate.
    pub y: [f64; 2],
    /// What the coordinates are called.
    pub labels: [&'static str; 2],
    /// The loss at a point, without noise.
    pub value: &'static (dyn Fn(f64, f64) -> f64 + Sync),
    /// Where the loss is smallest.
    pub minima: &'static [[f64; 2]],
}

/// Tasks that differ in one parameter, named `NAME@PARAMETER`; one is made when it is asked for.
#[derive(Clone, Copy)]
pub struct Family {
    /// What stands before the `@`.
    pub name: &'static str,
    /// What the parameter is, and its range.
    pub parameter: &'static str,
    /// A name that is in the family.
    pub example: &'static str,
    /// One line on what is trained.
    pub summary: &'static str,
    /// Makes the task of a full name and the parameter in it; the error says which parameters are fit.
    pub make: fn(&'static str, &str) -> Result<Task>,
}

/// How the learning rate changes over a run; the tuned value is its peak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// It does not change.
    Constant,
    /// It rises linearly over the first twentieth of the run and stays.
    Warmup,
    /// It rises linearly over the first twentieth of the run and falls to zero along half a cosine.
    WarmupCosine,
}

impl Schedule {
    /// One phrase for reports.
    pub fn describe(self) -> &'static str {
        match self {
            Schedule::Constant => "constant",
            Schedule::Warmup => "linear warm-up over 5 % of the run, then constant",
            Schedule::WarmupCosine => "linear warm-up over 5 % of the run, then cosine to zero",
        }
    }

    /// The number of warm-up steps in a run of `budget` steps.
    pub fn warmup(self, budget: usize) -> usize {
        match self {
            Schedule::Constant => 0,
            Schedule::Warmup | Schedule::WarmupCosine => budget / 20,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_below_the_floor_count_as_the_floor() {
        let plain = crate::tasks::select(&["digits-softmax".to_owned()], None).unwrap()[0];
        assert_eq!(plain.counted(-1e-90), -1e-90);
        let task = Task { floor: Some(1e-12), ..*plain };
        assert_eq!([0.0, 1e-90, 1e-12, 1.0].map(|l| task.counted(l)), [1e-12, 1e-12, 1e-12, 1.0]);
        assert!(task.counted(f64::NAN).is_nan() && task.counted(f64::INFINITY).is_infinite());
    }

    #[test]
    fn limits_hold_wherever_a_loss_starts() {
        assert_eq!(Limit::Times(1e3).loss(2.0), 2e3);
        assert_eq!(Limit::Times(1e3).loss(0.0), f64::INFINITY);
        assert!(Limit::Times(1e3).loss(-1.0) > 100.0);
        assert_eq!(Limit::Above(5.0).loss(-1.0), 5.0);
    }
}
