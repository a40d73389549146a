//! `thalweg diff`: two comparisons against each other.

use std::path::{Path, PathBuf};

use clap::Args;

use super::table::Table;
use crate::protocol::{Change, Loss, changes, shown};
use crate::store::Database;
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
    let (before, after) = (losses(&args.before)?, losses(&args.after)?);
    let changes = changes(&before, &after);
    if args.json {
        return super::print_json(&changes);
    }
    let mut table = Table::new(&[
        "task",
        "optimizer",
        "rank",
        "loss A",
        "loss B",
        "B - A",
        "95 % bootstrap",
        "p (Holm)",
        "verdict",
    ]);
    for row in &changes.rows {
        let interval = row.interval.map(|i| format!("{} .. {}", shown(i.low), shown(i.high)));
        table.row([
            row.task.clone(),
            row.optimizer.clone(),
            format!("{} -> {}", row.rank[0], row.rank[1]),
            shown(row.loss[0]),
            shown(row.loss[1]),
            shown(row.difference.mean),
            interval.unwrap_or_else(|| "-".to_owned()),
            format!("{:.3}", row.p_adjusted),
            verdict(row).to_owned(),
        ]);
    }
    let mut text = table.render();
    for flip in &changes.flips {
        text += &format!("{}: {} and {} changed places\n", flip.task, flip.fell, flip.rose);
    }
    for (names, side) in changes.only_in.iter().zip(["A", "B"]) {
        if !names.is_empty() {
            text += &format!("only in {side}: {}\n", names.join(", "));
        }
    }
    super::print(&text)
}

fn verdict(row: &Change) -> &'static str {
    match (row.identical, row.distinguishable, row.difference.mean > 0.0) {
        (true, ..) => "the same bits",
        (_, false, _) => "not distinguishable",
        (_, _, true) => "worse",
        (_, _, false) => "better",
    }
}

/// The test losses of the final runs in a directory.
fn losses(directory: &Path) -> Result<Vec<Loss>> {
    let kept = Database::read(directory)?.kept(false)?;
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
