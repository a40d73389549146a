//! `thalweg export`: the runs of a comparison for other tools.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::doctor::found;
use crate::diagnosis::{Finding, Probe};
use crate::optimizers::gradients_per_step;
use crate::store::export::{self, tensorboard};
use crate::store::{Database, Kept};
use crate::{Error, Result};

/// Arguments of `thalweg export`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    thalweg export thalweg-out --format csv > runs.csv\n  \
    thalweg export thalweg-out --format tensorboard && tensorboard --logdir thalweg-out/tb\n  \
    thalweg export thalweg-out --cell digits-mlp/adamw/1 --format jsonl --to adamw.jsonl")]
pub struct ExportArgs {
    /// The --out directory of a comparison, or its runs.sqlite.
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// The format.
    #[arg(long, value_name = "FORMAT", default_value = "jsonl")]
    pub format: Format,
    /// Only this run: TASK/OPTIMIZER/SEED, TASK/OPTIMIZER/tN or TASK/OPTIMIZER/tN/SEED.
    #[arg(long, value_name = "CELL")]
    pub cell: Option<String>,
    /// Where to write: a file, or a directory for `tensorboard`. Default: standard output, but `tb` beside the
    /// runs for `tensorboard` and `runs.parquet` for `parquet`.
    #[arg(long, value_name = "PATH")]
    pub to: Option<PathBuf>,
}

/// What other tools read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One JSON object per line: the manifest, the runs, their measurements, probes and findings.
    Jsonl,
    /// One line per measurement.
    Csv,
    /// Event files, one directory per run.
    Tensorboard,
    /// One long table, for pandas, polars and DuckDB. Needs the feature `parquet`.
    Parquet,
}

pub(super) fn run(args: &ExportArgs) -> Result<()> {
    if args.format == Format::Parquet && cfg!(not(feature = "parquet")) {
        return Err(Error::usage(
            "--format parquet is not part of this program: it was built without the feature `parquet`",
            "build it with the feature, `cargo run --release --features parquet -- export ...`, or choose \
             --format csv",
        ));
    }
    let database = Database::read(&args.run)?;
    let all = database.kept(true)?;
    let one = args.cell.as_ref().map(|cell| database.cell(cell)).transpose()?;
    let runs = one.as_ref().map_or(&all[..], std::slice::from_ref);
    match args.format {
        Format::Jsonl => {
            let saw = |run: &Kept| Ok((probes(&database, run)?, findings(&database, &all, run)?));
            text(args, &export::jsonl(&database.facts()?, runs, saw)?, runs.len())
        }
        Format::Csv => text(args, &export::csv(runs), runs.len()),
        Format::Tensorboard => {
            let beside = if args.run.is_dir() { Some(&*args.run) } else { args.run.parent() };
            let to = args.to.clone().unwrap_or_else(|| beside.unwrap_or(Path::new("")).join("tb"));
            unmixed(&database, &to)?;
            events(&database, runs, &to)?;
            // One trial is not what they have in common.
            if one.is_none() {
                of_trials(runs, &to)?;
            }
            wrote(
                runs.len(),
                &format!("{0}: look at them with `tensorboard --logdir {0}`", to.display()),
            );
            Ok(())
        }
        #[cfg(feature = "parquet")]
        Format::Parquet => {
            let to = args.to.clone().unwrap_or_else(|| PathBuf::from("runs.parquet"));
            export::parquet::write(&to, runs)?;
            wrote(runs.len(), &to.display().to_string());
            Ok(())
        }
        #[cfg(not(feature = "parquet"))]
        Format::Parquet => Ok(()),
    }
}

fn text(args: &ExportArgs, text: &str, runs: usize) -> Result<()> {
    let Some(path) = &args.to else { return super::print(text) };
    std::fs::write(path, text).map_err(|e| unwritable(path, &e))?;
    wrote(runs, &path.display().to_string());
    Ok(())
}

/// Says where the runs are, unless they went to standard output.
fn wrote(runs: usize, place: &str) {
    crate::cli::say!("{runs} {} in {place}", if runs == 1 { "run" } else { "runs" });
}

/// Refuses a directory with runs that are not of these results: TensorBoard would show all as one comparison.
fn unmixed(database: &Database, to: &Path) -> Result<()> {
    let own = database.kept(false)?;
    let own: Vec<String> = own.iter().flat_map(|run| [name(run), trials_name(run)]).collect();
    for entry in std::fs::read_dir(to).into_iter().flatten().flatten() {
        let held = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() && !own.contains(&held) {
            return Err(Error::usage(
                format!("{} holds other runs, such as {held}", to.display()),
                "remove that directory, or give --to another one",
            ));
        }
    }
    Ok(())
}

/// The directory of a run.
fn name(run: &Kept) -> String {
    let Kept { task, optimizer, trial, phase, seed, .. } = run;
    format!("{task}__{optimizer}__t{trial}-{phase}__seed{seed}")
}

/// The directory of what the trials of a run's optimizer have in common.
fn trials_name(run: &Kept) -> String {
    format!("{}__{}__trials__seed0", run.task, run.optimizer)
}

fn events(database: &Database, runs: &[Kept], to: &Path) -> Result<()> {
    for run in runs {
        write(to, &name(run), &tensorboard::run(run, &probes(database, run)?))?;
    }
    Ok(())
}

/// What the trials of each optimizer have in common.
fn of_trials(runs: &[Kept], to: &Path) -> Result<()> {
    let mut trials: Vec<&Kept> = runs.iter().filter(|run| run.is_trial()).collect();
    // Sorted by task and optimizer already; the chunks are the trials of one optimizer on one task.
    trials.sort_by(|a, b| (&a.task, &a.optimizer).cmp(&(&b.task, &b.optimizer)));
    for chunk in trials.chunk_by(|a, b| a.is_beside(b)) {
        write(to, &trials_name(chunk[0]), &tensorboard::trials(chunk))?;
    }
    Ok(())
}

fn write(to: &Path, name: &str, events: &[u8]) -> Result<()> {
    tensorboard::write(to, name, events).map_err(|e| unwritable(to, &e))
}

/// What the diagnosis looked at along a run, its moments counted in gradient evaluations as those of measurements are.
fn probes(database: &Database, run: &Kept) -> Result<Vec<Probe>> {
    let mut probes = database.probes(run.id)?;
    probes.iter_mut().for_each(|probe| probe.step *= gradients_per_step(&run.optimizer));
    Ok(probes)
}

/// What it found there, with what `all` runs of the comparison know of the advice, as `doctor` tells it; its moments
/// counted likewise.
fn findings(database: &Database, all: &[Kept], run: &Kept) -> Result<Vec<Finding>> {
    let mut findings = found(database, all, &[run])?;
    findings.iter_mut().for_each(|finding| finding.since *= gradients_per_step(&run.optimizer));
    Ok(findings)
}

fn unwritable(path: &Path, error: &std::io::Error) -> Error {
    Error::failed(
        format!("cannot write {}: {error}", path.display()),
        "give --to a place you may write to",
    )
}
