//! The protocol: who runs how often with which hyper-parameters, and what may be concluded.
//!
//! Every optimizer gets the same number of gradient evaluations per run and the same number of tuning
//! trials, at shared quasi-random points of its declared ranges. The trial with the lowest validation
//! loss is repeated on fresh seeds; the test set is seen by those runs only. All optimizers share the
//! initial values and the order of the data of each seed, so they can be compared in pairs.

mod executor;
mod outcome;
pub mod sobol;
pub mod stats;
mod training;

pub use executor::in_parallel;
pub(crate) use outcome::shown;
pub use outcome::{
    Band, CurvePoint, Edge, Outcome, Rules, SeedResult, Side, Standing, TaskOutcome, Trial,
};
pub use training::{Divergence, Point, Run, RunSpec, train};

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::optimizers::{self, Entry};
use crate::tasks::{Task, Workload};
use crate::{Error, Result};

/// The seed of all tuning runs. The final seeds start at [`FIRST_SEED`], so no run of the final
/// comparison repeats one that hyper-parameters were selected on.
pub const TUNING_SEED: u64 = 0;

/// The first seed of the final runs.
pub const FIRST_SEED: u64 = 1;

/// What is to be compared.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The tasks.
    pub tasks: Vec<&'static Task>,
    /// The optimizers; `None` takes those that each task names.
    pub optimizers: Option<Vec<Entry>>,
    /// The number of final seeds; `None` takes the task's own number.
    pub seeds: Option<usize>,
    /// Tuning trials per optimizer and task; `None` takes the task's own number.
    pub trials: Option<usize>,
    /// Gradient evaluations per run; `None` takes the task's own number.
    pub budget: Option<usize>,
    /// Runs at once, one per core. Changes how long it takes, never what comes out.
    pub workers: usize,
}

impl Plan {
    /// Gradient evaluations per run of `task`.
    pub fn budget(&self, task: &Task) -> usize {
        self.budget.unwrap_or(task.budget)
    }

    /// Tuning trials of an optimizer on `task`: none if it declares nothing to tune.
    pub fn trials(&self, task: &Task, entry: &Entry) -> usize {
        if entry.tune.is_empty() { 0 } else { self.trials.unwrap_or(task.trials) }
    }

    /// The seeds of the final runs of `task`.
    pub fn seeds(&self, task: &Task) -> impl Iterator<Item = u64> + use<> {
        FIRST_SEED..FIRST_SEED + self.seeds.unwrap_or(task.seeds) as u64
    }

    /// The optimizers that are compared on `task`.
    pub fn entries(&self, task: &Task) -> Vec<Entry> {
        self.optimizers.clone().unwrap_or_else(|| optimizers::defaults(task))
    }

    /// The optimizers of all tasks, each once, with the number of its runs.
    pub fn runs(&self) -> Vec<(Entry, usize)> {
        let mut all: Vec<(Entry, usize)> = Vec::new();
        for task in &self.tasks {
            for entry in self.entries(task) {
                let runs = self.trials(task, &entry) + self.seeds(task).count();
                match all.iter_mut().find(|(e, _)| e.name == entry.name) {
                    Some((_, sum)) => *sum += runs,
                    None => all.push((entry, runs)),
                }
            }
        }
        all
    }

    fn check(&self) -> Result<()> {
        let positive = [
            (self.seeds.unwrap_or(1), "--seeds"),
            (self.trials.unwrap_or(1), "--trials"),
            (self.budget.unwrap_or(1), "--budget"),
            (self.optimizers.as_ref().map_or(1, Vec::len), "--optimizers"),
            (self.tasks.len(), "TASK"),
        ];
        match positive.iter().find(|(n, _)| *n == 0) {
            Some((_, flag)) => Err(Error::usage(
                format!("{flag} is empty or zero"),
                format!("give {flag} at least one"),
            )),
            None => Ok(()),
        }
    }
}

/// Whether a run selects hyper-parameters or counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// It is one of the tuning trials.
    Tuning,
    /// It enters the result.
    Final,
}

/// Hears of runs as they end, on the thread that ran them.
pub trait Observer: Sync {
    /// A run has ended.
    fn ended(&self, phase: Phase, run: &Run);
}

/// Runs the whole comparison.
pub fn compare(plan: &Plan, observer: &dyn Observer) -> Result<Outcome> {
    plan.check()?;
    let mut workloads: BTreeMap<&str, Arc<dyn Workload>> = BTreeMap::new();
    for task in &plan.tasks {
        workloads.insert(task.name, (task.open)(task)?);
    }
    let run = |phase: Phase, specs: Vec<RunSpec>| -> Result<Vec<Run>> {
        in_parallel(plan.workers, specs, |spec| {
            let run = train(spec, &workloads[spec.task.name], phase)?;
            observer.ended(phase, &run);
            Ok(run)
        })
    };
    let trials = run(Phase::Tuning, tuning_runs(plan))?;
    let finals = run(Phase::Final, final_runs(plan, &trials))?;
    Ok(outcome::of(plan, &workloads, &trials, finals))
}

/// The trials of every optimizer on every task, at shared points of the unit cube.
fn tuning_runs(plan: &Plan) -> Vec<RunSpec> {
    let mut specs = Vec::new();
    for task in &plan.tasks {
        for entry in &plan.entries(task) {
            let dimensions = entry.tune.len().min(sobol::DIMENSIONS);
            let count = plan.trials(task, entry);
            for point in sobol::points(task.name, TUNING_SEED, dimensions, count) {
                let hypers =
                    entry.tune.iter().zip(&point).map(|(r, u)| (r.hyper, r.at(*u))).collect();
                specs.push(RunSpec::new(task, entry, hypers, TUNING_SEED, plan.budget(task)));
            }
        }
    }
    specs
}

/// The best trial of every optimizer on every task, on the final seeds.
fn final_runs(plan: &Plan, trials: &[Run]) -> Vec<RunSpec> {
    let mut specs = Vec::new();
    for task in &plan.tasks {
        for entry in &plan.entries(task) {
            let hypers = best_trial(trials, task.name, entry.name).map(|t| t.spec.hypers.clone());
            for seed in plan.seeds(task) {
                let hypers = hypers.clone().unwrap_or_default();
                specs.push(RunSpec::new(task, entry, hypers, seed, plan.budget(task)));
            }
        }
    }
    specs
}

/// The trial with the lowest validation loss. If all diverged, the one that lasted longest.
fn best_trial<'a>(trials: &'a [Run], task: &str, optimizer: &str) -> Option<&'a Run> {
    trials.iter().filter(|t| t.spec.task.name == task && t.spec.optimizer == optimizer).min_by(
        |a, b| {
            let lasted = |r: &Run| r.divergence.as_ref().map_or(usize::MAX, |d| d.step);
            let (x, y) = (a.validation_loss(), b.validation_loss());
            x.total_cmp(&y).then(lasted(b).cmp(&lasted(a)))
        },
    )
}

#[cfg(test)]
mod tests;
