//! `thalweg compare`.

use std::path::Path;
use std::time::Instant;

use serde::Deserialize;

use super::args::CompareArgs;
use super::progress::{self, How};
use super::stop;
use super::table::{self, Table, wrapped};
use crate::protocol::stats::scale::Scale;
use crate::protocol::{
    Observer, Plan, Side, Standing, Target, TaskOutcome, compare_in, open, shown,
};
use crate::store::{self, Database, Document};
use crate::tasks::{self, Task};
use crate::{Error, Result, data, optimizers, report};

/// What is written beside the runs.
const RESULTS: &str = "results.json";
const REPORT: &str = "report.html";

/// The note that holds the seconds of the calls before.
const SECONDS: &str = "seconds";

pub(super) fn run(args: &CompareArgs) -> Result<()> {
    let how = How::of(args.tui, args.quiet)?;
    let tasks = tasks::select(&args.tasks, args.tier)?;
    let earlier =
        args.targets.as_deref().map(|directory| targets(directory, &tasks)).transpose()?;
    let plan = Plan {
        tasks,
        optimizers: match &args.optimizers[..] {
            [] => None,
            names => Some(optimizers::select(names)?),
        },
        seeds: args.seeds,
        trials: args.trials,
        budget: args.budget,
        tune: args.tune.clone(),
        targets: earlier.unwrap_or_default(),
        study: args.study,
        workers: args.workers.unwrap_or_else(store::threads),
    };
    fetched(&plan)?;
    let start = Instant::now();
    // Before anything is written: a request that cannot be met leaves no directory behind.
    let workloads = open(&plan)?;
    store::prepare(&args.out)?;
    if let Some(directory) = &args.svg_dir {
        report::prepare(directory)?;
    }
    if args.fresh {
        Database::remove(&args.out)?;
        // What was made of the runs goes with them.
        for name in [RESULTS, REPORT] {
            let _ = std::fs::remove_file(args.out.join(name));
        }
    }
    let database = Database::open(&args.out, &store::facts(&plan, &workloads))?;
    database.note("command", &store::command_line(&super::words()))?;
    for (key, value) in store::notes(&workloads) {
        database.note(&key, &value)?;
    }
    stop::listen(args.quiet);
    let work = |observer: &dyn Observer| compare_in(&plan, &workloads, &database, observer);
    let outcome = progress::watch(&plan, how, work)?;
    let before = database.fact(SECONDS)?.and_then(|text| text.parse().ok()).unwrap_or(0.0);
    let seconds = before + start.elapsed().as_secs_f64();
    let document = Document::new(outcome, super::words(), seconds);
    let written = write(args, &database, &document);
    // A full disk takes nothing from whoever has waited for the table.
    if args.json {
        super::print(&(document.to_json()? + "\n"))?;
    } else {
        let room = table::room();
        for task in &document.outcome.tasks {
            super::print(&table(task, room))?;
        }
    }
    written?;
    if !args.quiet {
        crate::cli::say!(
            "{:.0} s; report: {}",
            document.manifest.seconds,
            args.out.join(REPORT).display()
        );
    }
    match &document.outcome.interrupted {
        None => Ok(()),
        Some(how_far) => Err(Error::interrupted(
            format!("{how_far}; the report holds what there is"),
            "give the same command again to continue",
        )),
    }
}

/// Writes everything that is made of the runs.
fn write(args: &CompareArgs, database: &Database, document: &Document) -> Result<()> {
    database.note(SECONDS, &document.manifest.seconds.to_string())?;
    store::write(&args.out, RESULTS, &document.to_json()?)?;
    store::write(&args.out, REPORT, &report::render(document))?;
    match &args.svg_dir {
        Some(directory) => report::save(document, directory),
        None => Ok(()),
    }
}

/// An error that names all data sets that are still to be fetched, and one command for them.
fn fetched(plan: &Plan) -> Result<()> {
    let absent = data::to_fetch(plan.tasks.iter().map(|task| task.data));
    let (what, them) = match absent.len() {
        0 => return Ok(()),
        1 => ("the data set", "is"),
        _ => ("the data sets", "are"),
    };
    Err(Error::failed(
        format!("{what} {} {them} not on this machine", absent.join(", ")),
        format!("run `thalweg data get {}` once, while online", absent.join(" ")),
    ))
}

/// The ranking of a task, not wider than `room` characters if it is given, as far as that can be.
fn table(task: &TaskOutcome, room: Option<usize>) -> String {
    let (text, left_out) = fitted(task, room);
    let mut notes = String::new();
    if room.is_some() && text.contains(['↑', '↓']) {
        notes += "↑ or ↓: the highest or lowest value tried\n";
    }
    if !left_out.is_empty() {
        notes +=
            &format!("left out for want of room: {} (the report has all)\n", left_out.join(", "));
    }
    for sentence in &task.left_out {
        notes += &format!("{sentence}\n");
    }
    let heading = format!(
        "{}: {} gradients{} per run; `may be`: the best one is among these, at 95 % confidence",
        task.task,
        task.budget,
        if task.batch == 0 { String::new() } else { format!(" of {} examples", task.batch) },
    );
    let lines = |text: &str| room.map_or_else(|| text.to_owned(), |room| wrapped(text, room));
    let notes = table::fitted(&notes, room);
    format!("\n{}\n{text}{notes}\n{}\n", lines(&heading), lines(&task.verdict))
}

/// As many columns as there is room for, and the names of the others.
fn fitted(task: &TaskOutcome, room: Option<usize>) -> (String, Vec<String>) {
    let full = ranking(task, Words::Full);
    match room {
        Some(room) if full.width() > room => {
            ranking(task, Words::Short).render_within(room, &IMPORTANCE)
        }
        _ => (full.render(), Vec::new()),
    }
}

/// How much is said in a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Words {
    Full,
    Short,
}

const COLUMNS: usize = 9;

/// The columns by their number, the one that is left out last first. The first five are the result.
const IMPORTANCE: [usize; COLUMNS] = [2, 0, 3, 1, 4, 5, 6, 7, 8];

fn ranking(task: &TaskOutcome, words: Words) -> Table<COLUMNS> {
    let metric = task.metric.map_or("metric", |m| m.name);
    let mut table = Table::new(&[
        "rank",
        "best?",
        "optimizer",
        match task.scale {
            Scale::Above(minimum) if minimum != 0.0 => "above minimum",
            _ => "test loss",
        },
        match task.scale {
            Scale::Plain => "± 95 %",
            Scale::Above(_) => "×/÷ 95 %",
        },
        match words {
            Words::Full => metric,
            // "excess over the optimum" is wider than any value.
            Words::Short => metric.split(' ').next().unwrap_or(metric),
        },
        "tuned",
        "diverged",
        "step µs",
    ]);
    for s in &task.standings {
        let interval = match (s.test_loss.half_width, s.test_factor) {
            (Some(half_width), _) => shown(half_width),
            (None, Some(factor)) if factor < 1e3 => format!("{factor:.3}"),
            (None, Some(factor)) => format!("{factor:.1e}"),
            (None, None) => "-".to_owned(),
        };
        // An interrupted comparison may have no final run of it yet.
        let known = |value: f64, text: String| if value.is_nan() { "-".to_owned() } else { text };
        let best = match s.may_be_best {
            _ if !task.has_best() => "-",
            true => "may be",
            false => "no",
        };
        table.row([
            s.rank.to_string(),
            known(s.test_loss.mean, best.to_owned()),
            s.optimizer.to_owned(),
            known(s.test_loss.mean, shown(task.scale.left(s.test_loss.mean))),
            interval,
            match (task.metric, &s.test_metric) {
                (Some(metric), Some(value)) => known(value.mean, metric.show(value.mean)),
                _ => "-".to_owned(),
            },
            tuned(s, words),
            format!("{}/{}", s.diverged_runs, s.runs),
            known(s.test_loss.mean, format!("{:.1}", s.step_microseconds)),
        ]);
    }
    table
}

fn tuned(standing: &Standing, words: Words) -> String {
    let values = standing.chosen.iter().map(|(hyper, value)| {
        let edge =
            standing.edges.iter().find(|e| e.hyper == *hyper).map(|e| match (e.side, words) {
                (Side::Low, Words::Full) => " (lowest tried)",
                (Side::High, Words::Full) => " (highest tried)",
                (Side::Low, Words::Short) => " ↓",
                (Side::High, Words::Short) => " ↑",
            });
        format!("{hyper} {value:.2e}{}", edge.unwrap_or_default())
    });
    let mut text = values.collect::<Vec<_>>().join(", ");
    if standing.extensions.iter().any(|e| e.all_diverged) {
        text += match words {
            Words::Full => " (every trial of the declared range diverged)",
            Words::Short => " (below its range)",
        };
    }
    text
}

/// The targets of an earlier comparison, by task.
///
/// # Errors
/// If it has none of `tasks`, or did not come to its end: its targets would follow from the optimizers that came
/// first.
fn targets(directory: &Path, tasks: &[&Task]) -> Result<Vec<(String, Vec<Target>)>> {
    #[derive(Deserialize)]
    struct Document {
        outcome: Outcome,
    }
    #[derive(Deserialize)]
    struct Outcome {
        tasks: Vec<Targets>,
        interrupted: Option<String>,
    }
    #[derive(Deserialize)]
    struct Targets {
        task: String,
        targets: Vec<Target>,
    }
    let path = match directory.is_dir() {
        true => directory.join(RESULTS),
        false => directory.to_path_buf(),
    };
    let wrong = |problem: String| {
        Error::usage(
            format!("cannot take targets from {}: {problem}", path.display()),
            "give --targets the --out directory of an earlier comparison that came to its end",
        )
    };
    let text = std::fs::read_to_string(&path).map_err(|e| wrong(e.to_string()))?;
    let document: Document = serde_json::from_str(&text).map_err(|e| wrong(e.to_string()))?;
    let Outcome { tasks: held, interrupted } = document.outcome;
    if let Some(how_far) = interrupted {
        return Err(wrong(how_far));
    }
    if !held.iter().any(|held| tasks.iter().any(|task| task.name == held.task)) {
        let held: Vec<String> = held.into_iter().map(|held| held.task).collect();
        return Err(wrong(format!("of the tasks asked for it has none, but {}", held.join(", "))));
    }
    Ok(held.into_iter().map(|held| (held.task, held.targets)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Silent, compare};

    #[test]
    fn the_ranking_fits_the_terminal_and_says_what_it_leaves_out() {
        let names = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        let plan = Plan {
            tasks: tasks::select(&names(&["rosenbrock", "digits-softmax"]), None).unwrap(),
            optimizers: Some(
                optimizers::select(&names(&["adamw", "gd", "schedule_free_adamw"])).unwrap(),
            ),
            seeds: Some(2),
            trials: Some(4),
            budget: Some(20),
            tune: Vec::new(),
            targets: Vec::new(),
            study: 0,
            workers: 2,
        };
        let outcome = compare(&plan, &Silent).unwrap();
        let [ratios, plain] = &outcome.tasks[..] else { panic!("two tasks") };
        for task in [ratios, plain] {
            let full = table(task, None);
            assert_eq!(full, table(task, Some(1_000)));
            assert!(!full.contains("left out") && full.contains(task.metric.unwrap().name));
            for room in [40, 80, 100, 125, 140] {
                let text = table(task, Some(room));
                let widest = text.lines().map(|l| l.chars().count()).max().unwrap();
                assert!(widest <= room, "{widest} > {room}\n{text}");
                // Every column is there or named below, on as many lines as it takes.
                let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
                for column in ["optimizer", "best?", "95 %", "tuned", "diverged", "step µs"] {
                    assert!(text.contains(column), "{column}\n{text}");
                }
            }
            assert!(table(task, Some(80)).contains("left out for want of room: "));
            assert!(table(task, Some(5)).contains("schedule_free_adamw"));
        }
        assert!(table(ratios, None).contains("×/÷ 95 %") && table(plain, None).contains("± 95 %"));
        // Where all diverged nobody may be the best.
        let mut lost = plain.clone();
        lost.standings.iter_mut().for_each(|s| s.test_loss.mean = f64::INFINITY);
        let marked = |task| table(task, None).matches("   may be   ").count();
        assert!(marked(plain) > 0 && marked(&lost) == 0, "{}", table(&lost, None));
    }
}
