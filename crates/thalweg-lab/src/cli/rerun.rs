//! `thalweg rerun`: one run again, compared bit for bit.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::optimizers::{self, Entry};
use crate::protocol::{Archive, Job, Phase, Run, RunSpec, first_difference, train};
use crate::store::{self, Database, Kept};
use crate::tasks::Task;
use crate::{Error, Result, tasks};

/// Arguments of `thalweg rerun`.
#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 the same bits, 1 not.\n\nExamples:\n  \
    thalweg rerun digits-mlp/adamw/1          the final run on seed 1\n  \
    thalweg rerun digits-mlp/adamw/t3         tuning trial 3 (t0: the defaults)\n  \
    thalweg rerun digits-mlp/adamw/t3/1001    a repetition of trial 3\n  \
    thalweg rerun mnist-mlp/adamw/1 --out mnist-report --json")]
pub struct RerunArgs {
    /// The run: TASK/OPTIMIZER/SEED, TASK/OPTIMIZER/tN or TASK/OPTIMIZER/tN/SEED.
    pub cell: String,
    /// The --out directory of the comparison.
    #[arg(long, value_name = "DIR", default_value = "thalweg-out")]
    pub out: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

#[derive(Serialize)]
struct Answer {
    cell: String,
    identical: bool,
    first_difference: Option<String>,
    /// The gradient evaluations after which it shows, if it has a place in the run.
    first_difference_at: Option<usize>,
    same_program: bool,
    measurements: usize,
    positions: usize,
    probes: usize,
    test_loss: Option<f64>,
}

pub(super) fn run(args: &RerunArgs) -> Result<()> {
    let database = Database::read(&args.out)?;
    optimizers::recall(&database.facts()?)?;
    let kept = database.cell(&args.cell)?;
    let job = job(&kept)?;
    let before = database.find(&job)?.ok_or_else(|| gone(&args.cell))?;
    let task = job.spec.task;
    let workload = (task.open)(task)?;
    let held = database.fact(&store::data_key(task.name))?;
    same_data(task.name, held.as_deref(), &workload.data_sha256())?;
    let again = train(&job.spec, &workload, job.phase)?;
    let difference = first_difference(&before, &again);
    let program = store::program_sha256();
    let same_program = database.fact("program_sha256")?.is_some_and(|held| held == program);
    let answer = Answer {
        cell: kept.cell(),
        identical: difference.is_none(),
        first_difference: difference.as_ref().map(ToString::to_string),
        first_difference_at: difference.and_then(|d| d.gradients),
        same_program,
        measurements: again.points.len(),
        positions: again.trajectory.len(),
        probes: again.probes.len(),
        test_loss: again.test.map(|t| t.loss),
    };
    if args.json {
        super::print_json(&answer)?;
    } else if answer.identical {
        super::print(&words(&answer, &again))?;
    }
    match answer.first_difference {
        None => Ok(()),
        Some(difference) => Err(Error::failed(
            format!("{} is not reproduced: {difference}", answer.cell),
            if same_program {
                "report this defect with the directory of results"
            } else {
                "use the program that made the results; this one is another build"
            },
        )),
    }
}

fn words(answer: &Answer, run: &Run) -> String {
    let end = match (&run.divergence, answer.test_loss) {
        (Some(divergence), _) => {
            format!("divergence after {} gradient evaluations", divergence.step)
        }
        (None, Some(loss)) => format!("test loss {loss:?}"),
        (None, None) => format!("validation loss {:?}", run.validation_loss()),
    };
    let all = [
        (answer.measurements, "measurements"),
        (answer.positions, "positions"),
        (answer.probes, "probes"),
    ];
    let all: Vec<String> =
        all.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    format!("{}: the same bits in all {}, {end}\n", answer.cell, all.join(" and "))
}

/// Other data would be told as a difference of numbers, after the whole run and without its cause.
pub(super) fn same_data(task: &str, held: Option<&str>, now: &str) -> Result<()> {
    match held {
        Some(held) if held != now => Err(Error::failed(
            format!(
                "the data of {task} are not those of the run: their SHA-256 was {held}, now it is {now}"
            ),
            "use the old data (for a text of your own give the old file to `thalweg data add`, else use the \
             version of the program that made the results), or make the comparison again",
        )),
        _ => Ok(()),
    }
}

fn gone(cell: &str) -> Error {
    Error::failed(format!("the run `{cell}` is gone"), "run the comparison again")
}

/// The run that was kept, as one that can be made.
pub(super) fn job(kept: &Kept) -> Result<Job> {
    let unknown = |what: &str, name: &str| {
        Error::failed(
            format!("this program knows no {what} called `{name}`"),
            "use the program that made these results",
        )
    };
    let task = tasks::select(std::slice::from_ref(&kept.task), None);
    let task =
        *task.ok().as_deref().and_then(<[_]>::first).ok_or_else(|| unknown("task", &kept.task))?;
    let entries = optimizers::select(std::slice::from_ref(&kept.optimizer)).unwrap_or_default();
    let entry = entries.first().ok_or_else(|| unknown("optimizer", &kept.optimizer))?;
    let hypers = kept.hypers.iter().map(|(name, value)| Ok((named(entry, task, name)?, *value)));
    let hypers = hypers.collect::<Result<Vec<_>>>()?;
    let phase = Phase::ALL.into_iter().find(|p| p.name() == kept.phase).ok_or_else(|| {
        Error::failed(
            format!("the run `{}` has the unknown phase `{}`", kept.cell(), kept.phase),
            "use the version of the program that made the results",
        )
    })?;
    let spec = RunSpec::new(task, entry, hypers, kept.seed, kept.budget);
    Ok(Job::new(phase, kept.trial, spec))
}

/// The hyper-parameter of this name, which the comparison may have tuned though the optimizer does not ask for it.
fn named(entry: &Entry, task: &Task, name: &str) -> Result<&'static str> {
    let declared = entry.tune.iter().map(|range| range.hyper);
    let fixed = optimizers::fixed(entry, task).into_iter().map(|(hyper, _)| hyper);
    declared.chain(fixed).find(|hyper| *hyper == name).ok_or_else(|| {
        Error::failed(
            format!("{} has no `{name}` in this version", entry.name),
            "use the version of the program that made the results",
        )
    })
}
