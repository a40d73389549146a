//! From runs to results: everything the report draws is computed here.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::stats::{Estimate, mean};
use super::training::{Divergence, Point, Run};
use super::{Plan, TUNING_SEED, best_trial};
use crate::optimizers::{Entry, Range};
use crate::tasks::{Domain, Metric, Schedule, Task, Tier, Workload};

/// The result of a comparison.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// The rules it was made under.
    pub rules: Rules,
    /// One result per task.
    pub tasks: Vec<TaskOutcome>,
    /// What must not be concluded from it.
    pub cannot_say: Vec<String>,
}

/// The rules of a comparison.
#[derive(Debug, Clone, Serialize)]
pub struct Rules {
    /// The seed of the tuning trials.
    pub tuning_seed: u64,
    /// Runs at once.
    pub workers: usize,
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
    /// The result in a sentence or two.
    pub verdict: String,
    /// One result per optimizer, the lowest mean test loss first.
    pub standings: Vec<Standing>,
}

/// How one optimizer did on one task.
#[derive(Debug, Clone, Serialize)]
pub struct Standing {
    /// The optimizer.
    pub optimizer: &'static str,
    /// One line on the method.
    pub summary: &'static str,
    /// 1 for the lowest mean test loss.
    pub rank: usize,
    /// The ranges that were searched.
    pub ranges: Vec<Range>,
    /// Every tuning trial.
    pub trials: Vec<Trial>,
    /// The hyper-parameters of the best trial.
    pub chosen: Vec<(&'static str, f64)>,
    /// Tuned hyper-parameters whose best value was the outermost one tried.
    pub edges: Vec<Edge>,
    /// The final runs.
    pub seeds: Vec<SeedResult>,
    /// The loss on the test set; a diverged seed counts as infinite.
    pub test_loss: Estimate,
    /// The task's metric on the test set; a diverged seed counts as the worst possible value.
    pub test_metric: Option<Estimate>,
    /// The test loss minus that of the first-ranked optimizer, paired by seed.
    pub behind_first: Estimate,
    /// Whether the paired difference to the first-ranked optimizer may be zero.
    pub may_equal_first: bool,
    /// Means over the final seeds.
    pub curve: Vec<CurvePoint>,
    /// Tuning trials that diverged.
    pub diverged_trials: usize,
    /// Final runs that diverged.
    pub diverged_seeds: usize,
    /// Gradient evaluations spent, tuning included.
    pub gradients_spent: usize,
    /// Seconds spent, tuning included, evaluation not.
    pub seconds_spent: f64,
    /// Microseconds per step inside the optimizer, mean over the final runs.
    pub step_microseconds: f64,
    /// Microseconds per gradient, mean over the final runs.
    pub gradient_microseconds: f64,
}

/// One tuning trial.
#[derive(Debug, Clone, Serialize)]
pub struct Trial {
    /// The tuned hyper-parameters.
    pub hypers: Vec<(&'static str, f64)>,
    /// The lowest validation loss; infinite if the run diverged.
    pub validation_loss: f64,
    /// Why it diverged, if it did.
    pub divergence: Option<Divergence>,
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

/// Mean and extremes over the seeds.
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
    fn of(values: &[f64]) -> Self {
        Band {
            mean: mean(values),
            low: values.iter().copied().fold(f64::INFINITY, f64::min),
            high: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        }
    }
}

/// The final runs at one moment, over the seeds that had not diverged by then.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct CurvePoint {
    /// Gradient evaluations so far.
    pub step: usize,
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

/// The outcome of `plan`.
pub(super) fn of(
    plan: &Plan,
    workloads: &BTreeMap<&str, Arc<dyn Workload>>,
    trials: &[Run],
    finals: Vec<Run>,
) -> Outcome {
    let tasks: Vec<TaskOutcome> = plan
        .tasks
        .iter()
        .map(|task| task_outcome(plan, task, workloads[task.name].as_ref(), trials, &finals))
        .collect();
    let cannot_say = limits(plan, &tasks);
    let rules = Rules { tuning_seed: TUNING_SEED, workers: plan.workers };
    Outcome { rules, tasks, cannot_say }
}

fn task_outcome(
    plan: &Plan,
    task: &'static Task,
    workload: &dyn Workload,
    trials: &[Run],
    finals: &[Run],
) -> TaskOutcome {
    let mut standings: Vec<Standing> =
        plan.entries(task).iter().map(|entry| standing(entry, task, trials, finals)).collect();
    // Equal losses (two optimizers that diverged on some seed) fall back to the metric, then to the
    // order in which the optimizers were asked for.
    let sign = if task.metric.is_some_and(|m| m.higher_is_better) { -1.0 } else { 1.0 };
    let metric = |s: &Standing| s.test_metric.as_ref().map_or(0.0, |m| sign * m.mean);
    standings.sort_by(|a, b| {
        let by_metric = metric(a).total_cmp(&metric(b));
        a.test_loss.mean.total_cmp(&b.test_loss.mean).then(by_metric)
    });
    let losses = |s: &Standing| s.seeds.iter().map(|r| r.test_loss).collect::<Vec<_>>();
    let first = standings.first().map(losses).unwrap_or_default();
    for (i, standing) in standings.iter_mut().enumerate() {
        standing.rank = i + 1;
        standing.behind_first = Estimate::of_differences(&losses(standing), &first);
        standing.may_equal_first = i == 0 || standing.behind_first.may_be_zero();
    }
    TaskOutcome {
        task: task.name,
        summary: task.summary,
        tier: task.tier,
        loss: task.loss,
        metric: task.metric,
        domain: task.domain,
        data: task.data,
        data_sha256: workload.data_sha256(),
        examples: workload.examples(),
        parameters: workload.parameters().iter().map(|p| p.len()).sum(),
        batch: task.batch,
        budget: plan.budget(task),
        schedule: task.schedule,
        seeds: plan.seeds(task).collect(),
        verdict: verdict(task, &standings, plan.seeds(task).count()),
        standings,
    }
}

fn standing(entry: &Entry, task: &Task, trials: &[Run], finals: &[Run]) -> Standing {
    let own = |r: &&Run| r.spec.task.name == task.name && r.spec.optimizer == entry.name;
    let finals: Vec<&Run> = finals.iter().filter(own).collect();
    let best = best_trial(trials, task.name, entry.name);
    let trials: Vec<&Run> = trials.iter().filter(own).collect();
    let seeds: Vec<SeedResult> = finals.iter().map(|r| seed_result(r)).collect();
    let of =
        |f: &dyn Fn(&SeedResult) -> f64| Estimate::of(&seeds.iter().map(f).collect::<Vec<_>>());
    let per_step = |f: fn(&Run) -> f64| {
        let steps: usize = finals.iter().map(|r| r.gradients).sum();
        1e6 * finals.iter().map(|r| f(r)).sum::<f64>() / steps.max(1) as f64
    };
    let all = || trials.iter().chain(&finals);
    Standing {
        optimizer: entry.name,
        summary: entry.summary,
        rank: 0,
        ranges: entry.tune.clone(),
        edges: best.map(|best| edges(best, &trials)).unwrap_or_default(),
        chosen: best.map(|best| best.spec.hypers.clone()).unwrap_or_default(),
        test_loss: of(&|s| s.test_loss),
        test_metric: task.metric.map(|metric| of(&|s| s.test_metric.unwrap_or(metric.worst()))),
        behind_first: Estimate::of(&[]),
        may_equal_first: false,
        curve: curve(&finals, task.metric),
        diverged_trials: trials.iter().filter(|r| r.divergence.is_some()).count(),
        diverged_seeds: finals.iter().filter(|r| r.divergence.is_some()).count(),
        gradients_spent: all().map(|r| r.gradients).sum(),
        seconds_spent: all().map(|r| r.gradient_seconds + r.optimizer_seconds).sum(),
        step_microseconds: per_step(|r| r.optimizer_seconds),
        gradient_microseconds: per_step(|r| r.gradient_seconds),
        trials: trials
            .iter()
            .map(|r| Trial {
                hypers: r.spec.hypers.clone(),
                validation_loss: r.validation_loss(),
                divergence: r.divergence.clone(),
            })
            .collect(),
        seeds,
    }
}

fn seed_result(run: &Run) -> SeedResult {
    SeedResult {
        seed: run.spec.seed,
        best_step: run.best.map_or(0, |p| p.step),
        validation_loss: run.validation_loss(),
        test_loss: run.test.map_or(f64::INFINITY, |t| t.loss),
        test_metric: run
            .spec
            .task
            .metric
            .map(|metric| run.test.and_then(|t| t.metric).unwrap_or_else(|| metric.worst())),
        divergence: run.divergence.clone(),
        points: run.points.clone(),
        trajectory: run.trajectory.clone(),
        stride: run.stride,
    }
}

/// Which of the best trial's values are the outermost of all that were tried.
fn edges(best: &Run, trials: &[&Run]) -> Vec<Edge> {
    if trials.len() < 2 {
        return Vec::new();
    }
    best.spec
        .hypers
        .iter()
        .enumerate()
        .filter_map(|(i, (hyper, value))| {
            let others = trials.iter().map(|t| t.spec.hypers[i].1);
            let side = if others.clone().all(|v| v <= *value) {
                Side::High
            } else if others.clone().all(|v| v >= *value) {
                Side::Low
            } else {
                return None;
            };
            Some(Edge { hyper, side })
        })
        .collect()
}

fn curve(finals: &[&Run], metric: Option<Metric>) -> Vec<CurvePoint> {
    let longest = finals.iter().max_by_key(|r| r.points.len());
    let Some(longest) = longest else { return Vec::new() };
    longest
        .points
        .iter()
        .enumerate()
        .map(|(i, point)| {
            let points: Vec<&Point> = finals.iter().filter_map(|r| r.points.get(i)).collect();
            let over = |f: fn(&Point) -> f64| points.iter().map(|p| f(p)).collect::<Vec<_>>();
            let train: Vec<f64> = points.iter().filter_map(|p| p.train_loss).collect();
            let metrics: Vec<f64> = points.iter().filter_map(|p| p.validation.metric).collect();
            let share = metric.filter(|m| m.higher_is_better && m.percent);
            let errors: Vec<f64> =
                metrics.iter().filter(|_| share.is_some()).map(|m| 1.0 - m).collect();
            CurvePoint {
                step: point.step,
                seconds: mean(&over(|p| p.seconds)),
                train_loss: (!train.is_empty()).then(|| Band::of(&train)),
                validation_loss: Band::of(&over(|p| p.validation.loss)),
                validation_metric: (!metrics.is_empty()).then(|| Band::of(&metrics)),
                validation_error: (!errors.is_empty()).then(|| Band::of(&errors)),
            }
        })
        .collect()
}

/// `a`, `a and b`, or `a, b and c`.
fn enumerate(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [init @ .., last] => format!("{} and {last}", init.join(", ")),
    }
}

/// A loss, with as many digits as can be read.
pub(crate) fn shown(loss: f64) -> String {
    if loss == 0.0 || loss.is_infinite() || loss.abs() >= 1e-3 {
        format!("{loss:.4}")
    } else {
        format!("{loss:.2e}")
    }
}

/// As many optimizers as a sentence can list.
const NAMED: usize = 6;

fn verdict(task: &Task, standings: &[Standing], seeds: usize) -> String {
    let Some(first) = standings.first() else { return String::new() };
    if first.test_loss.mean.is_infinite() {
        return format!("Every optimizer diverged on at least one seed of {}.", task.name);
    }
    let mut text = format!(
        "{} has the lowest mean test loss on {} ({}{}).",
        first.optimizer,
        task.name,
        shown(first.test_loss.mean),
        match (task.metric, &first.test_metric) {
            (Some(metric), Some(value)) => {
                format!(", test {} {}", metric.name, metric.show(value.mean))
            }
            _ => String::new(),
        }
    );
    let equal: Vec<&str> =
        standings[1..].iter().filter(|s| s.may_equal_first).map(|s| s.optimizer).collect();
    if !equal.is_empty() {
        let them = match equal.len() {
            1..=NAMED => enumerate(&equal),
            n => format!("{n} of the {} others", standings.len() - 1),
        };
        text += &format!(
            " With {seeds} {} it cannot be told apart from {them}.",
            if seeds == 1 { "seed" } else { "seeds" }
        );
    }
    text
}

fn limits(plan: &Plan, tasks: &[TaskOutcome]) -> Vec<String> {
    let mut limits = vec![
        "These are small models on small data, trained on a CPU. Nothing here ranks optimizers for \
         large models, other data or other budgets."
            .to_owned(),
        "Intervals come from a few seeds and assume independent, roughly normal results. They do not \
         contain the luck of the tuning trials, which were run on one seed."
            .to_owned(),
        "Comparing every optimizer with the best one picks the luckiest of many: small leads are not \
         findings."
            .to_owned(),
        "Only the hyper-parameters with a range above were tuned; all others keep their defaults."
            .to_owned(),
        format!(
            "Seconds were measured with {} single-threaded runs at once on a machine that may have \
             had other work; compare them within this report only.",
            plan.workers
        ),
    ];
    let budget = tasks.iter().any(|t| t.standings.iter().any(|s| !s.edges.is_empty()));
    if budget {
        limits.push(
            "Where a best value lies at the edge of its range, the optimizer may do better outside."
                .to_owned(),
        );
    }
    limits
}
