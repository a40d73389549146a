//! `thalweg list`.

use serde::Serialize;

use super::args::{ListArgs, Listing};
use super::table::Table;
use crate::Result;
use crate::data::{self, SOURCES, State};
use crate::optimizers::{self, Range};
use crate::tasks::TASKS;

#[derive(Serialize)]
struct OptimizerRow {
    name: &'static str,
    summary: &'static str,
    tune: Vec<Range>,
}

#[derive(Serialize)]
struct TaskRow {
    name: &'static str,
    summary: &'static str,
    data: &'static str,
    parameters: usize,
    batch: usize,
    budget: usize,
    trials: usize,
    schedule: &'static str,
}

#[derive(Serialize)]
struct DataRow {
    name: &'static str,
    summary: &'static str,
    state: State,
    licence: &'static str,
    citation: &'static str,
}

pub(super) fn run(args: &ListArgs) -> Result<()> {
    match args.what {
        Listing::Optimizers => optimizers(args.json),
        Listing::Tasks => tasks(args.json),
        Listing::Data => data(args.json),
        Listing::Experiments => super::experiment::list(args.json),
    }
}

fn optimizers(json: bool) -> Result<()> {
    let rows: Vec<OptimizerRow> = optimizers::all()
        .into_iter()
        .map(|e| OptimizerRow { name: e.name, summary: e.summary, tune: e.tune })
        .collect();
    if json {
        return super::print_json(&rows);
    }
    let mut table = Table::new(&["name", "tuned over", "method"]);
    for row in rows {
        let ranges = row.tune.iter().map(|r| format!("{} {:.0e}..{:.0e}", r.hyper, r.low, r.high));
        let ranges = ranges.collect::<Vec<_>>().join(", ");
        table.row([row.name.to_owned(), ranges, row.summary.to_owned()]);
    }
    super::print(&table.render())
}

fn tasks(json: bool) -> Result<()> {
    let rows: Vec<TaskRow> = TASKS
        .iter()
        .map(|t| TaskRow {
            name: t.name,
            summary: t.summary,
            data: t.data,
            parameters: (t.network)().parameters().iter().map(|p| p.len()).sum(),
            batch: t.batch,
            budget: t.budget,
            trials: t.trials,
            schedule: t.schedule.describe(),
        })
        .collect();
    if json {
        return super::print_json(&rows);
    }
    let mut table =
        Table::new(&["name", "data", "parameters", "batch", "budget", "trials", "task"]);
    for r in rows {
        table.row([
            r.name.to_owned(),
            r.data.to_owned(),
            r.parameters.to_string(),
            r.batch.to_string(),
            r.budget.to_string(),
            r.trials.to_string(),
            r.summary.to_owned(),
        ]);
    }
    super::print(&table.render())
}

pub(super) fn data(json: bool) -> Result<()> {
    let rows = SOURCES
        .iter()
        .map(|s| {
            Ok(DataRow {
                name: s.name,
                summary: s.summary,
                state: data::state(s)?,
                licence: s.licence,
                citation: s.citation,
            })
        })
        .collect::<Result<Vec<_>>>()?;
    if json {
        return super::print_json(&rows);
    }
    let mut table = Table::new(&["name", "state", "holds", "licence"]);
    for r in rows {
        let state = match r.state {
            State::Embedded => "in the program".to_owned(),
            State::Present => "in the cache".to_owned(),
            State::Absent => format!("absent: `thalweg data get {}`", r.name),
        };
        table.row([r.name.to_owned(), state, r.summary.to_owned(), r.licence.to_owned()]);
    }
    super::print(&table.render())
}
