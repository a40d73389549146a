//! `thalweg whatif`: other ways to go on from a point of a run.

use std::path::{Path, PathBuf};

use clap::Args;

use super::diff::{RATIOS, SOLVED};
use super::doctor::locate;
use super::rerun::{job, same_data};
use super::table::{self, Table, fitted};
use crate::optimizers;
use crate::protocol::stats::scale::Scale;
use crate::protocol::{Alternative, Counterfactual, Job, RunSpec, Way, counterfactual, shown};
use crate::store::{self, Database, Kept};
use crate::{Error, Result, report};

/// Arguments of `thalweg whatif`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    thalweg whatif thalweg-out/digits-mlp/adam                   on every final seed, from the middle\n  \
    thalweg whatif thalweg-out/digits-mlp/adam --at 0.9 --with momentum,lion\n  \
    thalweg whatif thalweg-out/digits-mlp/adam --out whatif      with figures\n  \
    thalweg whatif thalweg-out/digits-mlp/adam/2 --workers 1 --json\n\n\
    The run is made again up to that point. From there it goes on as it was, with its optimizer's state \
    emptied, and with each other optimizer: one that has watched (its state is that of having seen every \
    gradient of the run) and one with an empty state. Batches, schedule and budget stay those of the run. \
    Optimizers have the hyper-parameters that the comparison chose for them, or else their defaults.")]
pub struct WhatIfArgs {
    /// An optimizer on a task in a result directory of `compare` (DIR/TASK/OPTIMIZER), or one of its final
    /// runs (DIR/TASK/OPTIMIZER/SEED).
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// After which share of the gradient evaluations, at least 0 and less than 1.
    #[arg(long, value_name = "SHARE", default_value_t = 0.5, allow_negative_numbers = true)]
    pub at: f64,
    /// The other optimizers, separated by commas. Default: all that were compared on the task.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub with: Vec<String>,
    /// Runs at once. Default: one per core. Does not change the results.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub workers: Option<usize>,
    /// Directory for `whatif.html` (open it in a browser), `whatif.json` and every figure as SVG (and PNG, if the
    /// program was built with the feature `png`).
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Print one JSON object instead of tables.
    #[arg(long)]
    pub json: bool,
}

pub(super) fn run(args: &WhatIfArgs) -> Result<()> {
    if !(0.0..1.0).contains(&args.at) {
        return Err(Error::usage(
            format!("--at is {}, and no run goes on from there", args.at),
            "give a share of the gradient evaluations from 0 to less than 1",
        ));
    }
    let workers = args.workers.unwrap_or_else(store::threads);
    if workers == 0 {
        return Err(Error::usage("--workers is empty or zero", "give --workers at least one"));
    }
    let (directory, wanted) = locate(&args.run)?;
    let database = Database::read(&directory)?;
    optimizers::recall(&database.facts()?)?;
    let kept = database.kept(false)?;
    let specs = specs(&directory, &kept, &wanted)?;
    let task = specs[0].task;
    let (others, left_out) = others(&kept, &specs[0], &args.with)?;
    if let Some(out) = &args.out {
        store::prepare(out)?;
    }
    for why in left_out {
        crate::cli::say!("left out: {why}");
    }
    let workload = (task.open)(task)?;
    same_data(
        task.name,
        database.fact(&store::data_key(task.name))?.as_deref(),
        &workload.data_sha256(),
    )?;
    let at = (args.at * specs[0].budget as f64) as usize;
    let Some(answer) = counterfactual(&specs, &workload, at, &others, workers)? else {
        return Err(Error::failed("there are no runs to branch", "report this defect"));
    };
    if let Some(out) = &args.out {
        write(out, &answer)?;
    }
    if args.json {
        return super::print_json(&answer);
    }
    super::print(&text(&answer, table::room()))
}

/// The final runs that the path names.
fn specs(directory: &Path, kept: &[Kept], wanted: &[String]) -> Result<Vec<RunSpec>> {
    let finals = || kept.iter().filter(|run| run.phase == "final");
    let known = || {
        let mut names: Vec<String> =
            finals().map(|run| format!("{}/{}", run.task, run.optimizer)).collect();
        names.dedup();
        match names.is_empty() {
            true => {
                "finish the comparison: give the same `thalweg compare` command again".to_owned()
            }
            false => format!("choose one of: {}, or a seed of one of them", names.join(", ")),
        }
    };
    let [task, optimizer, seeds @ ..] = wanted else {
        return Err(Error::usage(
            format!(
                "{} is not one optimizer on one task",
                directory.join(wanted.join("/")).display()
            ),
            known(),
        ));
    };
    let named = |run: &&Kept| {
        (&run.task, &run.optimizer) == (task, optimizer)
            && seeds.first().is_none_or(|seed| *seed == run.seed.to_string())
    };
    let specs = finals().filter(named).map(|run| Ok(job(run)?.spec)).collect::<Result<Vec<_>>>()?;
    match specs.is_empty() {
        true => Err(Error::usage(
            format!("{} has no final run of `{}`", directory.display(), wanted.join("/")),
            known(),
        )),
        false => Ok(specs),
    }
}

/// The other optimizers: those asked for, or all that were compared on the task; and why some of these are left
/// out.
fn others(kept: &[Kept], own: &RunSpec, asked: &[String]) -> Result<(Vec<Way>, Vec<String>)> {
    let (mut compared, mut unknown) = (Vec::new(), Vec::new());
    let finals: Vec<&Kept> =
        kept.iter().filter(|run| run.phase == "final" && run.task == own.task.name).collect();
    for runs in finals.chunk_by(|a, b| a.is_beside(b)) {
        match job(runs[0]) {
            Ok(Job { spec, .. }) => {
                compared.push(Way { optimizer: spec.optimizer, hypers: spec.hypers });
            }
            Err(error) => unknown.push(error.problem().to_owned()),
        }
    }
    if asked.is_empty() {
        compared.retain(|way| way.optimizer != own.optimizer);
        return Ok((compared, unknown));
    }
    let named: Vec<String> = asked.iter().filter(|name| *name != "all").cloned().collect();
    let named = optimizers::select(&named)?;
    let (mut ways, mut left_out) = (Vec::new(), Vec::new());
    for entry in optimizers::select(asked)? {
        // Of `all` who asks expects no more than what there is.
        let is_named = named.iter().any(|e| e.name == entry.name);
        if entry.name == own.optimizer {
            let why = "leads the runs, and goes on as it was and with an empty state in any case";
            left_out.extend(is_named.then(|| format!("{} {why}", entry.name)));
        } else if let Some(reason) = optimizers::unfit(entry.name, own.task.domain) {
            let why = format!("{} makes no sense on {}: {reason}", entry.name, own.task.name);
            if is_named {
                return Err(Error::usage(why, "name other optimizers with --with"));
            }
            left_out.push(why);
        } else {
            let tuned = compared.iter().find(|way| way.optimizer == entry.name).cloned();
            ways.push(tuned.unwrap_or(Way { optimizer: entry.name, hypers: Vec::new() }));
        }
    }
    Ok((ways, left_out))
}

/// The answer as a page and as JSON, and every figure on its own.
fn write(out: &Path, answer: &Counterfactual) -> Result<()> {
    store::write(out, "whatif.json", &store::json(answer)?)?;
    store::write(out, "whatif.html", &report::ways(answer))?;
    report::save_pictures(&report::ways_apart(answer)?, out, "--out")
}

fn text(answer: &Counterfactual, room: Option<usize>) -> String {
    let steps = steps(answer).fitted(room, &[0, 1, 2, 3, 4, 5]);
    let rest = rest(answer).fitted(room, &[0, 1, 2, 5, 3, 4]);
    let ratios = if answer.scale == Scale::Plain { "" } else { RATIOS };
    let solved = answer.alternatives.iter().skip(1).any(|a| a.in_gradients);
    let note = ratios.to_owned() + if solved { SOLVED } else { "" };
    let before = format!(
        "{}\n\nOne step from there: the loss of its own batch, {} before, at the step as it is and at the best \
         of lengths from 0.01 to 100 times as long\n",
        answer.sentence(),
        shown(answer.batch_loss),
    );
    let between = "\nThe rest of the run: test loss, and against the run as it was\n";
    let lines = |text: &str| fitted(text, room);
    lines(&before) + &steps + &lines(between) + &rest + &lines(&note)
}

fn steps(answer: &Counterfactual) -> Table<6> {
    let mut table =
        Table::new(&["way", "change", "best length", "change", "cos descent", "cos as it was"]);
    let of = |a: &Alternative| -> Option<[String; 5]> {
        let fan = a.step.as_ref()?;
        let (length, change) = answer.best(fan)?;
        Some([
            signed(answer.change(fan)),
            format!("{length:.2}"),
            signed(change),
            format!("{:.3}", fan.cosine_descent),
            format!("{:.3}", fan.cosine_kept),
        ])
    };
    for alternative in &answer.alternatives {
        let [a, b, c, d, e] = of(alternative).unwrap_or_else(|| ["-"; 5].map(str::to_owned));
        table.row([alternative.name(), a, b, c, d, e]);
    }
    table
}

/// A change with its sign.
fn signed(change: f64) -> String {
    match change {
        c if c.is_finite() => format!("{c:+.2e}"),
        c => format!("{c}"),
    }
}

fn rest(answer: &Counterfactual) -> Table<6> {
    let mut table =
        Table::new(&["way", "test loss", "difference", "95 % bootstrap", "p (Holm)", "verdict"]);
    for (i, a) in answer.alternatives.iter().enumerate() {
        let distance = |value: f64| match answer.scale {
            _ if a.in_gradients => format!("{value:+.0} evaluations"),
            Scale::Plain => signed(value),
            Scale::Above(_) => format!("× {}", shown(value)),
        };
        let interval = a.interval.map(|i| format!("{} .. {}", distance(i.low), distance(i.high)));
        let verdict = match (a.distinguishable, answer.is_worse(a)) {
            (false, _) => "not distinguishable",
            (true, true) => "worse",
            (true, false) => "better",
        };
        let [difference, interval, p, verdict] = match i {
            0 => [String::new(), String::new(), String::new(), String::new()],
            _ => [
                distance(a.difference),
                interval.unwrap_or_else(|| "-".to_owned()),
                format!("{:.3}", a.p_adjusted),
                verdict.to_owned(),
            ],
        };
        table.row([a.name(), shown(a.test_loss), difference, interval, p, verdict]);
    }
    table
}
