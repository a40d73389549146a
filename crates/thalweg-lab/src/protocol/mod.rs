//! The protocol: who runs how often with which hyper-parameters, and what may be concluded.
//!
//! Every optimizer gets the same number of gradient evaluations per run and the same number of runs:
//!
//! 1. *Screening*: its defaults, and trials at shared scrambled-Sobol points of its declared ranges, on
//!    one seed.
//!    If all of them diverge, the screen is repeated at lower learning rates, with as many trials as the
//!    gradient evaluations pay for that the diverged ones left.
//! 2. *Extension*: a few more trials. An optimizer whose best trial lies at the edge of its range gets
//!    them in the next decade beyond it, any other inside its ranges.
//! 3. *Repetition*: the best trials on fresh seeds; the lowest median validation loss is chosen.
//! 4. *Final*: the chosen configuration on further fresh seeds. Only these runs see the test set.
//!
//! All optimizers share the initial values and the order of the data of each seed, so they can be
//! compared in pairs. Schedules are always completed, and a divergence counts as the worst result. Where
//! gradients are noisy and nothing is held out, a run counts as it ends, not as it was at its luckiest.

mod counterfactual;
mod difference;
mod executor;
pub mod interrupt;
mod outcome;
mod plan;
mod reproduce;
mod search;
pub mod sobol;
pub mod stats;
mod training;

pub use counterfactual::{Alternative, Counterfactual, Fan, counterfactual};
pub use difference::{Change, Changes, Loss, RankFlip, changes};
pub use executor::in_parallel;
pub(crate) use outcome::shown;
pub use outcome::{
    Apart, Band, CurvePoint, Edge, Extension, Flip, Half, Leader, Level, Map, Outcome, Pair,
    Repeat, Rules, SeedResult, Side, Standing, Target, TaskOutcome, ToTarget, Trial,
};
pub use plan::{FINAL_SEEDS, FIRST_SEED, LOWERINGS, Plan, REPEAT_SEED, ROUNDS, TUNING_SEED};
pub use reproduce::{Difference, first_difference};
pub use search::{Job, Record};
pub(crate) use training::ending;
use training::train_watched;
pub use training::{Divergence, Memory, Point, Run, RunSpec, Way, train};

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::tasks::{Task, Workload};
use crate::{Result, optimizers};
use search::Contest;

/// What a run is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// It shows what the optimizer's own defaults do, and is never selected.
    Default,
    /// It is one of the shared tuning trials.
    Screening,
    /// It is one of the further trials: beyond the edge of a range if the best trial lies there, or at
    /// lower learning rates if every trial diverged.
    Extension,
    /// It repeats one of the best trials on a fresh seed.
    Repeat,
    /// It enters the result.
    Final,
}

impl Phase {
    /// All phases, in their order.
    pub const ALL: [Phase; 5] =
        [Phase::Default, Phase::Screening, Phase::Extension, Phase::Repeat, Phase::Final];

    /// The name in stores and exports.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Default => "default",
            Phase::Screening => "screening",
            Phase::Extension => "extension",
            Phase::Repeat => "repeat",
            Phase::Final => "final",
        }
    }
}

/// Hears of runs as they end, on the thread that ran them.
pub trait Observer: Sync {
    /// A run has ended, or was found in the archive.
    fn ended(&self, phase: Phase, run: &Run);

    /// A run that is being made has been measured once more. It may be given up and never end.
    fn measured(&self, _phase: Phase, _run: &Run) {}

    /// An optimizer gets this run beyond those that [`Plan::runs_of`] counts, because it diverged in every
    /// trial.
    fn added(&self, _job: &Job) {}
}

/// The observer that does nothing.
#[derive(Debug, Clone, Copy)]
pub struct Silent;

impl Observer for Silent {
    fn ended(&self, _: Phase, _: &Run) {}
}

/// Remembers runs, so that an interrupted comparison can continue.
pub trait Archive: Sync {
    /// The run of an earlier session, exactly as it was kept.
    ///
    /// # Errors
    /// If the archive cannot be read.
    fn find(&self, job: &Job) -> Result<Option<Run>>;

    /// Keeps a run that has ended, all of it or nothing.
    ///
    /// # Errors
    /// If the archive cannot be written.
    fn keep(&self, record: &Record) -> Result<()>;
}

/// An archive that remembers nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Forgetful;

impl Archive for Forgetful {
    fn find(&self, _: &Job) -> Result<Option<Run>> {
        Ok(None)
    }

    fn keep(&self, _: &Record) -> Result<()> {
        Ok(())
    }
}

/// The loaded tasks of a plan, by name.
pub type Workloads = BTreeMap<&'static str, Arc<dyn Workload>>;

/// Loads the data of every task.
///
/// # Errors
/// If data are absent or damaged, or a recipe does not take the parameters of a task.
pub fn open(plan: &Plan) -> Result<Workloads> {
    plan.check()?;
    let open = |task: &&'static Task| -> Result<_> {
        let workload = (task.open)(task)?;
        for entry in plan.entries(task) {
            optimizers::check_groups(&entry, task, &workload.parameters())?;
        }
        Ok((task.name, workload))
    };
    plan.tasks.iter().map(open).collect()
}

/// Runs the whole comparison and keeps nothing.
///
/// # Errors
/// If the plan is empty, data are absent, or the engine fails.
pub fn compare(plan: &Plan, observer: &dyn Observer) -> Result<Outcome> {
    compare_in(plan, &open(plan)?, &Forgetful, observer)
}

/// Runs what the archive does not hold yet of the comparison. After an [`interrupt`] the outcome is that
/// of the runs that have ended.
///
/// # Errors
/// If the plan is empty, the archive fails, or the engine fails.
pub fn compare_in(
    plan: &Plan,
    workloads: &Workloads,
    archive: &dyn Archive,
    observer: &dyn Observer,
) -> Result<Outcome> {
    plan.check()?;
    let pairs = plan.tasks.iter().flat_map(|t| plan.entries(t).into_iter().map(move |e| (*t, e)));
    let mut contests: Vec<Contest> =
        pairs.enumerate().map(|(i, (task, entry))| Contest::new(i, task, entry)).collect();
    let run = |contests: &mut Vec<Contest>, jobs: Vec<Job>| -> Result<()> {
        let owners: Vec<usize> = jobs.iter().map(|j| j.contest).collect();
        let records =
            in_parallel(plan.workers, jobs, |job| perform(job, workloads, archive, observer))?;
        for (owner, record) in owners.into_iter().zip(records) {
            contests[owner].records.extend(record);
        }
        Ok(())
    };
    let screening = contests.iter().flat_map(|c| c.screening(plan)).collect();
    run(&mut contests, screening)?;
    for _ in 0..LOWERINGS {
        if !interrupt::requested() {
            let lowered: Vec<Job> = contests.iter_mut().flat_map(|c| c.lower(plan)).collect();
            lowered.iter().for_each(|job| observer.added(job));
            run(&mut contests, lowered)?;
        }
    }
    for round in 0..ROUNDS {
        if !interrupt::requested() {
            let further = contests.iter_mut().flat_map(|c| c.further(plan, round)).collect();
            run(&mut contests, further)?;
        }
    }
    for stage in [Contest::repeats, Contest::finals] {
        if !interrupt::requested() {
            let jobs = contests.iter().flat_map(|c| stage(c, plan)).collect();
            run(&mut contests, jobs)?;
        }
    }
    Ok(outcome::of(plan, workloads, &contests))
}

/// Finds or makes a run; `None` if the comparison has been interrupted.
fn perform(
    job: &Job,
    workloads: &Workloads,
    archive: &dyn Archive,
    observer: &dyn Observer,
) -> Result<Option<Record>> {
    if interrupt::requested() {
        return Ok(None);
    }
    let (phase, trial) = (job.phase, job.trial);
    if let Some(run) = archive.find(job)? {
        observer.ended(phase, &run);
        return Ok(Some(Record { phase, trial, run }));
    }
    let watch = |run: &Run| observer.measured(phase, run);
    let run = train_watched(&job.spec, &workloads[job.spec.task.name], phase, &watch)?;
    if interrupt::abandoned() {
        return Ok(None);
    }
    observer.ended(phase, &run);
    let record = Record { phase, trial, run };
    archive.keep(&record)?;
    Ok(Some(record))
}

#[cfg(test)]
mod tests;
