//! What a comparison says, as data.

use serde::{Deserialize, Serialize};

use crate::diagnosis::{Courses, Finding};
use crate::optimizers::Range;
use crate::protocol::Phase;
use crate::protocol::stats::basin::Basin;
use crate::protocol::stats::bootstrap::Interval;
use crate::protocol::stats::order::BestOf;
use crate::protocol::stats::profile::Profile;
use crate::protocol::stats::scale::Scale;
use crate::protocol::stats::{Estimate, mean};
use crate::protocol::training::{Divergence, Point};
use crate::tasks::{Domain, Metric, Plane, Schedule, Tier};

/// The result of a comparison.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// The rules it was made under.
    pub rules: Rules,
    /// One result per task.
    pub tasks: Vec<TaskOutcome>,
    /// Performance profiles over all tasks and targets: a problem is a target of a task (equal ones are one), the cost of an
    /// optimizer its median gradient evaluations to it over the final seeds, misses infinite. What an
    /// optimizer has no final runs on is no problem of its. The highest score first.
    pub profiles: Vec<Profile>,
    /// What was not done because the comparison was interrupted; `None` if it is complete.
    pub interrupted: Option<String>,
    /// What must not be concluded from it.
    pub cannot_say: Vec<String>,
}

/// The rules of a comparison.
#[derive(Debug, Clone, Serialize)]
pub struct Rules {
    /// The seed of the tuning trials.
    pub tuning_seed: u64,
    /// The first seed of the repetitions.
    pub repeat_seed: u64,
    /// How often the search goes on after screening.
    pub rounds: usize,
    /// Runs at once.
    pub workers: usize,
    /// The rules in sentences, for readers.
    pub words: Vec<String>,
}

/// The result on one task.
#[derive(Debug, Clone, Serialize)]
pub struct TaskOutcome {
    /// The task's name.
    pub task: &'static str,
    /// One line on what is trained.
    pub summary: &'static str,
    /// How long a comparison takes.
    pub tier: Tier,
    /// What the loss is.
    pub loss: &'static str,
    /// The loss at which the task is solved: lower ones were measured as this one.
    pub floor: Option<f64>,
    /// Whether runs are judged by where they end, a mean over the last tenth of their measurements, and
    /// not at their lowest validation loss: all that is called lowest below is then that mean.
    pub noisy: bool,
    /// What is measured beside the loss.
    pub metric: Option<Metric>,
    /// Where the parameters live.
    pub domain: Domain,
    /// The data set; empty for a formula, whose validation and test measure the same as training.
    pub data: &'static str,
    /// SHA-256 of the data.
    pub data_sha256: String,
    /// Training, validation and test examples.
    pub examples: [usize; 3],
    /// Of the validation and the test examples, those that an evaluation takes.
    pub evaluated: [usize; 2],
    /// What examples are counted in.
    pub unit: String,
    /// Coordinates of the model.
    pub parameters: usize,
    /// Examples per gradient.
    pub batch: usize,
    /// Gradient evaluations per run.
    pub budget: usize,
    /// How the learning rate changes over a run.
    pub schedule: Schedule,
    /// The seeds of the final runs.
    pub seeds: Vec<u64>,
    /// The smallest loss there is, where that is known.
    pub optimum: Option<f64>,
    /// On which scale test losses are averaged and compared.
    pub scale: Scale,
    /// The heights of a task of two coordinates.
    pub map: Option<Map>,
    /// The median validation loss before any step, over all runs.
    pub initial_loss: f64,
    /// What "reaching a target" means here, the easiest first. Empty if every repetition diverged.
    pub targets: Vec<Target>,
    /// Optimizers that are ruled out as the best at the end but were ahead of the first earlier.
    pub flips: Vec<Flip>,
    /// Who had the lowest mean validation loss so far at a quarter, half and three quarters of the budget and at
    /// its end.
    pub leaders: Vec<Leader>,
    /// Every two optimizers, in the order of their ranks.
    pub pairs: Vec<Pair>,
    /// What sets the first apart from all that are ruled out, as far as the probes of the final runs tell.
    pub apart: Vec<Apart>,
    /// The optimizers that were not compared though they were asked for, a sentence for each reason.
    pub left_out: Vec<String>,
    /// The result in a sentence or two.
    pub verdict: String,
    /// One result per optimizer, the lowest typical test loss first.
    pub standings: Vec<Standing>,
}

/// Losses in single precision that differ by this share or less do so by the order of their sums: some twenty units
/// in the last place.
const ROUND_OFF: f64 = 1e-6;

impl TaskOutcome {
    /// The optimizers that may be the best where one in `1 / error` such statements may be wrong: of those that solve
    /// the task, if several do, the ones that may be the soonest. None if all diverged.
    pub fn may_be_best(&self, error: f64) -> Vec<&'static str> {
        let solved = self.standings.iter().any(|s| s.p_soonest.is_some());
        let may_be = |s: &&Standing| match solved {
            true => s.p_soonest.is_some_and(|p| p >= error),
            false => s.p_best >= error && s.test_loss.mean.is_finite(),
        };
        self.standings.iter().filter(may_be).map(|s| s.optimizer).collect()
    }

    /// Whether anybody may be the best: nobody, if the first diverged.
    pub fn has_best(&self) -> bool {
        self.standings.first().is_some_and(|first| first.test_loss.mean.is_finite())
    }

    /// The optimizers of which a final run was made, in the order of their ranks.
    pub fn ran(&self) -> impl Iterator<Item = &Standing> {
        self.standings.iter().filter(|s| s.has_runs())
    }

    /// The places of the targets that count: where many optimizers end at the same loss, but for round-off, targets
    /// of several levels are one.
    pub fn distinct_targets(&self) -> Vec<usize> {
        let left = |i: usize| self.scale.left(self.targets[i].loss);
        let same = |a: f64, b: f64| (a - b).abs() <= ROUND_OFF * a.abs().max(b.abs());
        let distinct = |i: &usize| (0..*i).all(|before| !same(left(before), left(*i)));
        (0..self.targets.len()).filter(distinct).collect()
    }
}

/// A function of two coordinates over a rectangle, sampled for contours.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Map {
    /// The range of the first coordinate.
    pub x: [f64; 2],
    /// The range of the second coordinate.
    pub y: [f64; 2],
    /// What the coordinates are called.
    pub labels: [&'static str; 2],
    /// Samples along each coordinate, the ends of its range included.
    pub nodes: usize,
    /// The heights, row by row from the smallest second coordinate.
    pub heights: Vec<f32>,
    /// Where the loss is smallest.
    pub minima: Vec<[f64; 2]>,
}

impl Map {
    /// Samples along each coordinate: enough for smooth contours on a whole page; every other one is
    /// enough for a small picture.
    const NODES: usize = 113;

    /// The heights of a plane.
    pub(super) fn of(plane: &Plane) -> Self {
        let at = |[low, high]: [f64; 2], i: usize| {
            low + (high - low) * i as f64 / (Self::NODES - 1) as f64
        };
        let row = |j: usize| {
            (0..Self::NODES).map(move |i| (plane.value)(at(plane.x, i), at(plane.y, j)) as f32)
        };
        Map {
            x: plane.x,
            y: plane.y,
            labels: plane.labels,
            nodes: Self::NODES,
            heights: (0..Self::NODES).flat_map(row).collect(),
            minima: plane.minima.to_vec(),
        }
    }

    /// Every other sample of each coordinate.
    pub fn thinned(&self) -> Self {
        let even = |j: usize| (0..self.nodes).step_by(2).map(move |i| j * self.nodes + i);
        let kept = (0..self.nodes).step_by(2).flat_map(even);
        let heights = kept.filter_map(|k| self.heights.get(k).copied()).collect();
        Map { nodes: self.nodes.div_ceil(2), heights, ..self.clone() }
    }
}

/// How hard a target is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// The median repetition of about three quarters of the optimizers reaches it.
    Easy,
    /// That of about half of them does.
    Medium,
    /// That of about a tenth of them does. Not the best alone: the lowest of many medians of three is luck, which
    /// its own final runs would miss.
    Hard,
}

/// A validation loss to be reached.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// How hard it is.
    pub level: Level,
    /// The loss: of the optimizers' median validation losses over the repetitions of their chosen trial
    /// (diverged ones left out here, and here only), the lower decile for a hard target, the median for
    /// a medium one and the upper quartile for an easy one. Or what an earlier comparison found so
    /// ([`Plan::targets`](crate::protocol::Plan::targets)).
    pub loss: f64,
}

/// When the final runs of an optimizer reached a target.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ToTarget {
    /// The target's level.
    pub level: Level,
    /// The target's loss.
    pub loss: f64,
    /// Gradient evaluations at the first measurement at or below it, per seed; `None` is a miss, that is,
    /// more than the budget. If the task is [noisy](TaskOutcome::noisy), where one measurement may be luck:
    /// at the first measurement from which on the mean over the last tenth of the budget stays at or below
    /// it until the end.
    pub gradients: Vec<Option<usize>>,
    /// Seconds until then, per seed.
    pub seconds: Vec<Option<f64>>,
    /// How many seeds reached it.
    pub reached: usize,
    /// The median gradient evaluations, misses counted as infinite; `None` if that is what it is.
    pub median_gradients: Option<f64>,
    /// The median seconds, likewise.
    pub median_seconds: Option<f64>,
}

/// A rank that flips with the budget: a smaller one might have named another optimizer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Flip {
    /// The first at the end.
    pub winner: &'static str,
    /// One that is ruled out as the best, and was ahead of the first earlier.
    pub loser: &'static str,
    /// The last gradient evaluation at which the loser's lowest validation loss so far, averaged over the
    /// seeds, was lower.
    pub step: usize,
}

/// In which half of its probes something holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Half {
    /// In the earlier one.
    Earlier,
    /// In the later one.
    Later,
    /// In each of them.
    Both,
}

/// Something in which the first differs from all that are ruled out: all of its seeds lie on one side of
/// all of theirs. It may be why it is the first, or come of that.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Apart {
    /// The [`key`](crate::diagnosis::Quantity::key) of a quantity, in the whole model.
    pub quantity: &'static str,
    /// When.
    pub half: Half,
    /// Whether the first lies above the others.
    pub higher: bool,
    /// The lowest and the highest of its seeds, each the median over the probes of that half (of both, over
    /// those of the later).
    pub first: [f64; 2],
    /// The same of all seeds of those that are ruled out.
    pub others: [f64; 2],
}

/// Two optimizers of a task against each other, on the seeds that both have run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pair {
    /// The one that ranks before the other, and the other.
    pub optimizers: [&'static str; 2],
    /// Whether both solve the task on every seed, and are compared by the gradient evaluations that takes.
    pub in_gradients: bool,
    /// How far the other is behind: as [`behind_first`](Standing::behind_first), or by how many gradient evaluations.
    pub behind: f64,
    /// The 95 % bootstrap interval of that.
    pub interval: Option<Interval>,
    /// Two-sided paired t test on the task's scale, or of gradient evaluations, of this pair alone: for a question that was asked before
    /// the losses were seen.
    pub p: f64,
    /// Whether that is below 0.05.
    pub distinguishable: bool,
}

/// Who leads at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Leader {
    /// Gradient evaluations so far.
    pub step: usize,
    /// The optimizer with the lowest validation loss so far, averaged over the seeds.
    pub optimizer: &'static str,
    /// That loss.
    pub loss: f64,
}

/// How one optimizer did on one task.
#[derive(Debug, Clone, Serialize)]
pub struct Standing {
    /// The optimizer.
    pub optimizer: &'static str,
    /// One line on the method.
    pub summary: &'static str,
    /// Gradient evaluations per step.
    pub gradients_per_step: usize,
    /// 1 for the lowest typical test loss.
    pub rank: usize,
    /// The ranges that the optimizer declares, or whoever compares has given in their place.
    pub declared: Vec<Range>,
    /// The ranges that were searched, extensions included.
    pub ranges: Vec<Range>,
    /// By how much which range was extended, because the best trial lay at its edge or every trial
    /// diverged.
    pub extensions: Vec<Extension>,
    /// Every tuning trial.
    pub trials: Vec<Trial>,
    /// The hyper-parameters that were not tuned, with their values.
    pub fixed: Vec<(&'static str, f64)>,
    /// The hyper-parameters of the chosen trial.
    pub chosen: Vec<(&'static str, f64)>,
    /// The number of the chosen trial; 0 for the defaults.
    pub chosen_trial: usize,
    /// The repetitions on fresh seeds among which it was chosen, the best in screening first.
    pub repeats: Vec<Repeat>,
    /// Tuned hyper-parameters whose chosen value is still the outermost one tried.
    pub edges: Vec<Edge>,
    /// The lowest validation loss with the optimizer's own defaults, on the tuning seed; infinite if it
    /// diverged. `None` if that run was not made.
    pub default_loss: Option<f64>,
    /// The expected lowest validation loss of 1, 2, ... screening trials. A trial that diverged or did
    /// worse counts as the loss before training: whoever tried it has an untrained model.
    pub tunability: Vec<BestOf>,
    /// The learning rates that work; `None` if all diverged or the rate is not tuned.
    pub basin: Option<Basin>,
    /// The final runs.
    pub seeds: Vec<SeedResult>,
    /// When the final runs reached each target.
    pub to_target: Vec<ToTarget>,
    /// The typical loss on the test set: the mean, or the smallest loss there is plus the geometric mean of
    /// what is left above it, as the task's [`scale`](TaskOutcome::scale) says. A diverged seed counts as
    /// infinite.
    pub test_loss: Estimate,
    /// The 95 % interval of what is left above the smallest loss, as a factor up and down; `None` where
    /// losses are averaged as they are, and `test_loss` has the interval.
    pub test_factor: Option<f64>,
    /// The task's metric on the test set; a diverged seed counts as the worst possible value.
    pub test_metric: Option<Estimate>,
    /// The test loss minus that of the first-ranked optimizer, paired by seed; where losses are compared by
    /// ratios, how many times as much is left above the smallest loss.
    pub behind_first: Estimate,
    /// The 95 % interval of such a ratio, as a factor up and down.
    pub behind_factor: Option<f64>,
    /// The 95 % bootstrap interval of `behind_first`.
    pub behind_interval: Option<Interval>,
    /// How well the losses agree with this being the optimizer with the lowest typical loss: the smallest
    /// p-value of its one-sided paired t tests against each other one, times their number (Bonferroni).
    pub p_best: f64,
    /// Whether this may be the best: `p_best` is at least 0.05, and the loss is finite or the first's is not
    /// either; where anybody has a `p_soonest`, that is at least 0.05. At 95 % confidence the best one is among
    /// these. With fewer than two finite losses of the first nothing is ruled out.
    pub may_be_best: bool,
    /// How well the gradient evaluations agree with this being the soonest of those that solve the task on every
    /// seed, as [`p_best`](Self::p_best) has it of losses; `None` if it does not, or no other one does, or there
    /// is one seed, or runs are missing.
    pub p_soonest: Option<f64>,
    /// Means over the final seeds, up to the last measurement before the first of them diverged.
    pub curve: Vec<CurvePoint>,
    /// What the diagnosis found in the final runs, each with the number of them: first what most have, the
    /// most severe first.
    pub findings: Vec<Finding>,
    /// What the probes of the final runs hold, to draw; the probes themselves are in the file of runs.
    #[serde(skip)]
    pub courses: Courses,
    /// Tuning trials that diverged, those with the defaults and repetitions left out.
    pub diverged_trials: usize,
    /// Final runs that diverged.
    pub diverged_seeds: usize,
    /// All runs of any kind that diverged.
    pub diverged_runs: usize,
    /// All runs of any kind.
    pub runs: usize,
    /// Gradient evaluations spent, tuning included.
    pub gradients_spent: usize,
    /// Seconds spent, tuning included, evaluation not.
    pub seconds_spent: f64,
    /// Microseconds per step inside the optimizer, median of the final runs: the machine may have had other work.
    pub step_microseconds: f64,
    /// Microseconds per step in its gradient evaluations, median of the final runs.
    pub gradient_microseconds: f64,
}

impl Standing {
    /// Whether any of its final runs was made: the comparison may have been interrupted before.
    pub fn has_runs(&self) -> bool {
        !self.seeds.is_empty()
    }

    /// Whether every final run got down to `floor`, the loss at which the task is solved.
    pub fn solved(&self, floor: Option<f64>) -> bool {
        let at_floor = |floor: f64| self.seeds.iter().all(|s| s.test_loss <= floor);
        self.has_runs() && floor.is_some_and(at_floor)
    }

    /// Gradient evaluations between measurements, if there was more than one.
    pub fn every(&self) -> Option<usize> {
        let [first, second, ..] = self.seeds.first()?.points[..] else { return None };
        Some(second.step - first.step)
    }

    /// The gradient evaluations to the lowest validation loss, mean over the final runs.
    pub fn mean_best_step(&self) -> f64 {
        mean(&self.seeds.iter().map(|s| s.best_step as f64).collect::<Vec<_>>())
    }
}

/// One tuning trial.
#[derive(Debug, Clone, Serialize)]
pub struct Trial {
    /// The number of the configuration, from 1.
    pub number: usize,
    /// Whether it belongs to screening or to an extension.
    pub phase: Phase,
    /// The tuned hyper-parameters.
    pub hypers: Vec<(&'static str, f64)>,
    /// The lowest validation loss (the mean at the end, if the task is [noisy](TaskOutcome::noisy));
    /// infinite if the run diverged.
    pub validation_loss: f64,
    /// Why it diverged, if it did.
    pub divergence: Option<Divergence>,
}

/// A trial on fresh seeds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Repeat {
    /// The number of the trial.
    pub trial: usize,
    /// The lowest validation loss on each fresh seed; infinite if it diverged.
    pub losses: Vec<f64>,
    /// Their median.
    pub median: f64,
}

/// An end of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// The smallest value tried.
    Low,
    /// The largest value tried.
    High,
}

/// A best value that lies at the edge of what was tried: a wider range might do better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Edge {
    /// The hyper-parameter.
    pub hyper: &'static str,
    /// Which edge.
    pub side: Side,
}

/// A stretch beyond a range that was searched because the best trial lay at that edge, or because every
/// trial had diverged.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Extension {
    /// The hyper-parameter.
    pub hyper: &'static str,
    /// Which edge.
    pub side: Side,
    /// The smallest value of the stretch.
    pub low: f64,
    /// The largest.
    pub high: f64,
    /// Whether every trial before had diverged.
    pub all_diverged: bool,
}

/// One final run.
#[derive(Debug, Clone, Serialize)]
pub struct SeedResult {
    /// The seed.
    pub seed: u64,
    /// The gradient evaluation with the lowest validation loss.
    pub best_step: usize,
    /// Validation loss there; infinite if the run diverged.
    pub validation_loss: f64,
    /// Test loss there; infinite if the run diverged.
    pub test_loss: f64,
    /// The task's metric there; the worst possible value if the run diverged.
    pub test_metric: Option<f64>,
    /// Why it diverged, if it did.
    pub divergence: Option<Divergence>,
    /// Everything measured on the way.
    pub points: Vec<Point>,
    /// Where the run went on a task of two coordinates: the start, then every `stride`-th step.
    pub trajectory: Vec<[f64; 2]>,
    /// Steps between points of the trajectory.
    pub stride: usize,
}

/// Mean and extremes over the seeds; the mean of a validation loss is on the task's scale.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Band {
    /// The mean.
    pub mean: f64,
    /// The smallest.
    pub low: f64,
    /// The largest.
    pub high: f64,
}

impl Band {
    /// Mean and extremes of `values`; the mean is arithmetic where not all have a place on the scale.
    pub(super) fn of(values: &[f64], scale: Scale) -> Self {
        let above = match scale {
            Scale::Above(minimum) => Some(minimum),
            Scale::Plain => None,
        };
        Band {
            mean: Scale::of(above, values.iter().copied()).typical(values),
            low: values.iter().copied().fold(f64::INFINITY, f64::min),
            high: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        }
    }
}

/// The final runs at one moment before any of them diverged, on four clocks.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct CurvePoint {
    /// Steps of the optimizer so far.
    pub step: usize,
    /// Gradient evaluations so far.
    pub gradients: usize,
    /// Training examples seen so far, repetitions counted, those of a step once however many gradients it
    /// takes; 0 for a formula.
    pub samples: usize,
    /// Mean seconds so far, evaluation not counted.
    pub seconds: f64,
    /// Training loss since the previous point; `None` at the start.
    pub train_loss: Option<Band>,
    /// Validation loss.
    pub validation_loss: Band,
    /// The task's metric on the validation examples.
    pub validation_metric: Option<Band>,
    /// One minus the metric, if that is a share that should be large: the share of errors.
    pub validation_error: Option<Band>,
}
