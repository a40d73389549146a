//! `thalweg diff`: two comparisons against each other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::table::{self, Table};
use crate::optimizers::RECIPE;
use crate::protocol::stats::scale::Scale;
use crate::protocol::{Change, Changes, Loss, changes, shown};
use crate::store::{self, Database, Facts, Kept, first_difference};
use crate::tasks;
use crate::{Error, Result};

/// Arguments of `thalweg diff`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  thalweg diff results-before results-after\n  \
    thalweg diff thalweg-out study-1 --json")]
pub struct DiffArgs {
    /// The --out directory of the first comparison.
    #[arg(value_name = "A")]
    pub before: PathBuf,
    /// The --out directory of the second.
    #[arg(value_name = "B")]
    pub after: PathBuf,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    pub json: bool,
}

pub(super) fn run(args: &DiffArgs) -> Result<()> {
    let (before, after) = (Database::read(&args.before)?, Database::read(&args.after)?);
    let (a, b) = (losses(&before, &args.before)?, losses(&after, &args.after)?);
    let minima = minima(&a, [&before, &after])?;
    let changes = changes(&a, &b, |task| minima.get(task).copied());
    if changes.rows.is_empty() {
        let [a, b] = changes.only_in.map(|names| names.join(", "));
        return Err(Error::usage(
            format!("no optimizer on a task is in both: A has {a}, B has {b}"),
            "give two comparisons that share one; `thalweg compare` takes tasks and --optimizers",
        ));
    }
    let apart = apart(&before.facts()?, &after.facts()?);
    if args.json {
        return super::print_json(&Answer { apart: &apart, changes: &changes });
    }
    super::print(&text(&apart, &changes, table::room()))
}

/// A circumstance in which the two differ.
#[derive(Debug, PartialEq, Serialize)]
struct Apart {
    /// What it is: a line of the plan, `version`, `program_sha256`, `cpu_features`, `data_sha256/TASK` or
    /// `recipe/OPTIMIZER`.
    what: String,
    /// How it is in each.
    values: [String; 2],
}

/// Both as JSON.
#[derive(Serialize)]
struct Answer<'a> {
    apart: &'a [Apart],
    #[serde(flatten)]
    changes: &'a Changes,
}

/// The circumstances that decide results and are not the same. Of the plans, the lines on tasks and
/// optimizers that both hold.
fn apart(before: &Facts, after: &Facts) -> Vec<Apart> {
    let sides = [before, after].map(|facts| circumstances(facts));
    let shared = |task: &str| sides.iter().all(|side| side.contains_key(&*format!("task {task}")));
    // A comparison that was not given the targets of a task has its own.
    let own = |what: &str| what.rsplit_once(TARGET).is_some_and(|(_, task)| shared(task));
    let names: BTreeSet<&str> = sides.iter().flat_map(|side| side.keys().copied()).collect();
    let of = |what: &str, side: usize| match sides[side].get(what) {
        Some(value) => Some((*value).to_owned()),
        None => own(what).then(|| "its own".to_owned()),
    };
    let both = names.into_iter().filter_map(|what| Some((what, [of(what, 0)?, of(what, 1)?])));
    both.filter(|(_, [before, after])| before != after)
        .map(|(what, values)| Apart { what: what.to_owned(), values })
        .collect()
}

/// What stands before the task in a plan's line on a target.
const TARGET: &str = " target of ";

/// A plan's line on the tuning study, which the first one does not have.
const STUDY: &str = "tuning study";

/// What decides results, by name, the plan line by line.
fn circumstances(facts: &Facts) -> BTreeMap<&str, &str> {
    let decides = |key: &str| {
        ["version", "program_sha256", "cpu_features"].contains(&key)
            || key.starts_with(&store::data_key(""))
            || key.starts_with(RECIPE)
    };
    let plan = facts.iter().filter(|(key, _)| key == "plan").flat_map(|(_, plan)| plan.lines());
    let lines = plan.map(|line| match line.strip_prefix(STUDY) {
        Some(number) => (STUDY, number.trim_start()),
        None => line.split_once(": ").unwrap_or((line, "yes")),
    });
    let others = facts.iter().filter(|(key, _)| decides(key)).map(|(k, v)| (&**k, &**v));
    [(STUDY, "0")].into_iter().chain(others).chain(lines).collect()
}

/// What a table says of losses that are compared by ratios.
pub(super) const RATIOS: &str = "×: how many times as far above the smallest loss, which is known; losses are \
                                 geometric means, tested by logarithms\n";

/// What a table says of runs that are compared by how soon they solve their task.
pub(super) const SOLVED: &str = "evaluations: how many more gradient evaluations it takes to solve the task, as both do on \
                                 every seed\n";

/// The table and what is to be said about it.
fn text(apart: &[Apart], changes: &Changes, room: Option<usize>) -> String {
    let mut text = String::new();
    for Apart { what, values: [a, b] } in apart {
        // Of a recipe the line that differs is enough.
        let line = |text, other| first_difference(text, other).trim_matches([' ', ',']).to_owned();
        let (a, b) = (line(a, b), line(b, a));
        text += &format!("not the same {what}: {a} in A, {b} in B\n");
    }
    let other_data = |task: &str| apart.iter().any(|a| a.what == store::data_key(task));
    let mut table = Table::new(&[
        "task",
        "optimizer",
        "seeds",
        "rank",
        "loss A",
        "loss B",
        "A to B",
        "95 % bootstrap",
        "p (Holm)",
        "verdict",
    ]);
    for row in &changes.rows {
        let ratio = row.scale != Scale::Plain;
        let distance = |value: f64| match ratio {
            _ if row.in_gradients => format!("{value:+.0} evaluations"),
            true => format!("× {}", shown(value)),
            false => shown(value),
        };
        let interval = row.interval.map(|i| match row.in_gradients {
            true => format!("{:+.0} .. {:+.0}", i.low, i.high),
            false => format!("{} .. {}", distance(i.low), shown(i.high)),
        });
        table.row([
            row.task.clone(),
            row.optimizer.clone(),
            row.seeds.to_string(),
            format!("{} -> {}", row.rank[0], row.rank[1]),
            shown(row.loss[0]),
            shown(row.loss[1]),
            distance(row.distance.mean),
            interval.unwrap_or_else(|| "-".to_owned()),
            format!("{:.3}", row.p_adjusted),
            if other_data(&row.task) { "other data" } else { verdict(row) }.to_owned(),
        ]);
    }
    let table = table.fitted(room, &[1, 0, 9, 6, 4, 5, 3, 7, 8, 2]);
    let mut notes = String::new();
    if changes.rows.iter().any(|row| row.scale != Scale::Plain) {
        notes += RATIOS;
    }
    if changes.rows.iter().any(|row| row.in_gradients) {
        notes += SOLVED;
    }
    notes += &flips(changes);
    for (names, side) in changes.only_in.iter().zip(["A", "B"]) {
        if !names.is_empty() {
            notes += &format!("only in {side}: {}\n", names.join(", "));
        }
    }
    table::fitted(&text, room) + &table + &table::fitted(&notes, room)
}

/// Of how many pairs the order changed, and of which if they are few.
fn flips(changes: &Changes) -> String {
    let mut text = String::new();
    for rows in changes.rows.chunk_by(|a, b| a.task == b.task) {
        let task = &rows[0].task;
        let own: Vec<_> = changes.flips.iter().filter(|flip| flip.task == *task).collect();
        if own.is_empty() {
            continue;
        }
        let (changed, pairs) = (own.len(), changes.ordered(task));
        let correlation = 1.0 - 2.0 * changed as f64 / pairs as f64;
        text += &format!(
            "{task}: {changed} of {pairs} pairs changed places (rank correlation {correlation:.2})\n"
        );
        for flip in own.iter().filter(|_| changed <= PAIRS) {
            text += &format!("{task}: {} and {} changed places\n", flip.fell, flip.rose);
        }
    }
    text
}

/// The most pairs that are named.
const PAIRS: usize = 6;

fn verdict(row: &Change) -> &'static str {
    match (row.identical, row.distinguishable, row.is_worse()) {
        (true, ..) => "the same bits",
        (_, false, _) => "not distinguishable",
        (_, _, true) => "worse",
        (_, _, false) => "better",
    }
}

/// The smallest loss of each task, where it is known and both say the same.
fn minima(losses: &[Loss], databases: [&Database; 2]) -> Result<BTreeMap<String, f64>> {
    let tasks: BTreeSet<&str> = losses.iter().map(|l| &*l.task).collect();
    let mut minima = BTreeMap::new();
    for task in tasks {
        let [a, b] = databases.map(|db| db.fact(&store::optimum_key(task)));
        let minimum = a?.zip(b?).filter(|(a, b)| a == b).and_then(|(a, _)| a.parse().ok());
        minima.extend(minimum.map(|m| (task.to_owned(), m)));
    }
    Ok(minima)
}

/// The test losses of the final runs in a directory.
fn losses(database: &Database, directory: &Path) -> Result<Vec<Loss>> {
    let kept = database.kept(true)?;
    let finals = kept.into_iter().filter(|run| run.phase == "final");
    let losses: Vec<Loss> = finals
        .map(|run| {
            let step = |i: usize| run.points.get(i).map_or(0, |point| point.step) as f64;
            Loss {
                loss: run.test_loss.filter(|_| run.divergence.is_none()).unwrap_or(f64::INFINITY),
                gradients: run.best_point.map_or(0.0, step),
                every: (step(1) - step(0)).max(0.0),
                floor: tasks::select(std::slice::from_ref(&run.task), None)
                    .ok()
                    .and_then(|tasks| tasks[0].floor),
                bits: bits(&run),
                task: run.task,
                optimizer: run.optimizer,
                seed: run.seed,
            }
        })
        .collect();
    if losses.is_empty() {
        return Err(Error::usage(
            format!("{} holds no final runs yet", directory.display()),
            "finish it: give the same `thalweg compare` command again",
        ));
    }
    Ok(losses)
}

/// What two runs have in common bit for bit if they are the same; not how long they took.
fn bits(run: &Kept) -> Vec<u64> {
    let test = [run.test_loss, run.test_metric];
    let hypers = run.hypers.iter().map(|(_, value)| Some(*value));
    let points = run.points.iter().flat_map(|point| {
        let validation = point.validation;
        [Some(point.step as f64), point.train_loss, Some(validation.loss), validation.metric]
    });
    let all = hypers.chain(test).chain(points);
    all.map(|value| value.map_or(u64::MAX, f64::to_bits)).collect()
}
