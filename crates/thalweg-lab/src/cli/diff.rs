//! `thalweg diff`: two comparisons against each other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::table::{self, Table};
use crate::optimizers::RECIPE;
use crate::protocol::stats::scale::Scale;
use crate::protocol::{Change, Changes, Loss, changes, shown};
use crate::store::{self, Database, Facts, first_difference};
use crate::{Error, Result};

/// Arguments of `thalweg diff`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  thalweg diff results-before results-after")]
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
    let [a, b] = [before, after].map(|facts| circumstances(facts));
    let both = a.iter().filter_map(|(what, before)| Some((*what, [*before, *b.get(what)?])));
    both.filter(|(_, [before, after])| before != after)
        .map(|(what, values)| Apart { what: what.to_owned(), values: values.map(str::to_owned) })
        .collect()
}

/// What decides results, by name, the plan line by line.
fn circumstances(facts: &Facts) -> BTreeMap<&str, &str> {
    let decides = |key: &str| {
        ["version", "program_sha256", "cpu_features"].contains(&key)
            || key.starts_with(&store::data_key(""))
            || key.starts_with(RECIPE)
    };
    let plan = facts.iter().filter(|(key, _)| key == "plan").flat_map(|(_, plan)| plan.lines());
    let lines = plan.map(|line| line.split_once(": ").unwrap_or((line, "yes")));
    let others = facts.iter().filter(|(key, _)| decides(key)).map(|(k, v)| (&**k, &**v));
    others.chain(lines).collect()
}

/// What a table says of losses that are compared by ratios.
pub(super) const RATIOS: &str = "×: how many times as far above the smallest loss, which is known; losses are \
                                 geometric means, tested by logarithms\n";

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
            true => format!("× {}", shown(value)),
            false => shown(value),
        };
        let interval = row.interval.map(|i| format!("{} .. {}", distance(i.low), shown(i.high)));
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
        let (changed, pairs) = (own.len(), rows.len() * (rows.len() - 1) / 2);
        let tau = 1.0 - 2.0 * changed as f64 / pairs as f64;
        text += &format!(
            "{task}: {changed} of {pairs} pairs changed places (Kendall's rank correlation {tau:.2})\n"
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
    let kept = database.kept(false)?;
    let finals = kept.into_iter().filter(|run| run.phase == "final");
    let losses: Vec<Loss> = finals
        .map(|run| Loss {
            loss: run.test_loss.filter(|_| run.divergence.is_none()).unwrap_or(f64::INFINITY),
            task: run.task,
            optimizer: run.optimizer,
            seed: run.seed,
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
