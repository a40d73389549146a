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

/// How long it takes to compare a task's optimizers on two cores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Tier {
    /// At most half a minute, with nothing but what ships inside the program.
    Smoke,
    /// At most a quarter of an hour, on real data.
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
        if self.percent { format!("{:.2} %", 100.0 * value) } else { format!("{value:.4}") }
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

/// The picture of a task with two coordinates: `f` over a rectangle, for contours under trajectories.
#[derive(Debug, Clone, Copy)]
pub struct Plane {
    /// The range of the first coordinate.
    pub x: [f64; 2],
    /// The range of the second coordinate.
    pub y: [f64; 2],
    /// What the coordinates are called.
    pub labels: [&'static str; 2],
    /// The loss at a point, without noise.
    pub value: fn(f64, f64) -> f64,
    /// Where the loss is smallest.
    pub minima: &'static [[f64; 2]],
}

/// How the learning rate changes over a run; the tuned value is its peak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// It does not change.
    Constant,
    /// It rises linearly over the first twentieth of the run and falls to zero along half a cosine.
    WarmupCosine,
}

impl Schedule {
    /// One phrase for reports.
    pub fn describe(self) -> &'static str {
        match self {
            Schedule::Constant => "constant",
            Schedule::WarmupCosine => "linear warm-up over 5 % of the run, then cosine to zero",
        }
    }

    /// The number of warm-up steps in a run of `budget` steps.
    pub fn warmup(self, budget: usize) -> usize {
        match self {
            Schedule::Constant => 0,
            Schedule::WarmupCosine => budget / 20,
        }
    }
}
