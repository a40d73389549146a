//! `thalweg list`.

use serde::Serialize;

use super::args::{ListArgs, Listing};
use super::table::{self, Table, fitted};
use crate::data::{self, SOURCES, State};
use crate::optimizers::{self, Range, StateBytes};
use crate::tasks::{self, Domain, Metric, Tier};
use crate::{Error, Result};

#[derive(Serialize)]
struct OptimizerRow {
    name: &'static str,
    summary: &'static str,
    tune: Vec<Range>,
    gradients_per_step: usize,
    state_bytes: StateBytes,
}

#[derive(Serialize)]
struct TaskRow {
    name: &'static str,
    summary: &'static str,
    groups: &'static [&'static str],
    tier: Tier,
    data: &'static str,
    /// The command that fetches the data, if they are absent.
    needs: Option<String>,
    loss: &'static str,
    metric: Option<Metric>,
    domain: Domain,
    batch: usize,
    budget: usize,
    trials: usize,
    seeds: usize,
    schedule: &'static str,
    optimizers: Vec<&'static str>,
}

#[derive(Serialize)]
struct DataRow {
    name: String,
    summary: &'static str,
    state: State,
    licence: &'static str,
    citation: &'static str,
}

pub(super) fn run(args: &ListArgs) -> Result<()> {
    if args.tier.is_some() && args.what != Listing::Tasks {
        return Err(Error::usage(
            "--tier chooses among tasks, and nothing else has a tier",
            "leave --tier out, or use it with `thalweg list tasks`",
        ));
    }
    match args.what {
        Listing::Optimizers => optimizers(args.json),
        Listing::Tasks => tasks(args.json, args.tier),
        Listing::Data => data(args.json),
        Listing::Experiments => super::experiment::list(args.json),
    }
}

fn optimizers(json: bool) -> Result<()> {
    let rows: Vec<OptimizerRow> = optimizers::all()
        .into_iter()
        .map(|e| {
            let state_bytes = optimizers::state_bytes(e.name)?;
            Ok(OptimizerRow {
                name: e.name,
                summary: e.summary,
                tune: e.tune,
                gradients_per_step: e.gradients_per_step,
                state_bytes,
            })
        })
        .collect::<Result<_>>()?;
    if json {
        return super::print_json(&rows);
    }
    let mut table = Table::new(&["name", "f32", "bf16", "8-bit", "tuned over", "method"]);
    for row in rows {
        let StateBytes { f32, bf16, block8 } = row.state_bytes;
        let bytes = [f32, bf16, block8].map(|b| format!("{b:.0}"));
        let ranges = row.tune.iter().map(|r| format!("{} {:.0e}..{:.0e}", r.hyper, r.low, r.high));
        let ranges = ranges.collect::<Vec<_>>().join(", ");
        let [f32, bf16, block8] = bytes;
        table.row([row.name.to_owned(), f32, bf16, block8, ranges, row.summary.to_owned()]);
    }
    let room = table::room();
    let note = "\n  f32, bf16, 8-bit: bytes of state per coordinate of an f32 parameter, by the storage chosen\n  \
                (8-bit adds one scale per 1,024 coordinates; positions stay f32). A parameter in bf16 or f16 adds\n  \
                2 bytes for what rounding cuts off (the default), 4 for master weights, or none (stochastic rounding).\n";
    super::print(&(table.fitted(room, &[0, 5, 4, 1, 2, 3]) + &fitted(note, room)))
}

fn tasks(json: bool, tier: Option<Tier>) -> Result<()> {
    let rows: Vec<TaskRow> =
        tasks::select(&["all".to_owned()], tier)?.into_iter().map(task_row).collect();
    if json {
        return super::print_json(&rows);
    }
    let mut table = Table::new(&["name", "tier", "metric", "data", "budget", "task"]);
    for r in rows {
        let data = match r.needs {
            _ if r.data.is_empty() => "-".to_owned(),
            Some(command) => format!("{}: needs `{command}`", r.data),
            None => r.data.to_owned(),
        };
        table.row([
            r.name.to_owned(),
            r.tier.name().to_owned(),
            r.metric.map_or("-", |m| m.name).to_owned(),
            data,
            r.budget.to_string(),
            r.summary.to_owned(),
        ]);
    }
    let mut text = String::new();
    for family in tasks::families() {
        text +=
            &format!("\n  {}@PARAMETER ({}): {}", family.name, family.parameter, family.summary);
    }
    text += &format!("\n  Groups: all, {}\n", tasks::groups().join(", "));
    let room = table::room();
    super::print(&(table.fitted(room, &[0, 5, 4, 1, 3, 2]) + &fitted(&text, room)))
}

/// Whether the program can say where a task's data come from: those of a task that a user's program has added
/// (whose name has no `@`) are that program's business.
fn knows(task: &tasks::Task) -> bool {
    task.name.contains('@') || SOURCES.iter().any(|source| source.name == task.data)
}

fn task_row(task: &'static tasks::Task) -> TaskRow {
    TaskRow {
        name: task.name,
        summary: task.summary,
        groups: task.groups,
        tier: task.tier,
        data: task.data,
        needs: data::needs(task.data).filter(|_| knows(task)),
        loss: task.loss,
        metric: task.metric,
        domain: task.domain,
        batch: task.batch,
        budget: task.budget,
        trials: task.trials,
        seeds: task.seeds,
        schedule: task.schedule.describe(),
        optimizers: optimizers::defaults(task).iter().map(|e| e.name).collect(),
    }
}

pub(super) fn data(json: bool) -> Result<()> {
    let mut rows = SOURCES
        .iter()
        .map(|s| {
            Ok(DataRow {
                name: s.name.to_owned(),
                summary: s.summary,
                state: data::state(s)?,
                licence: s.licence,
                citation: s.citation,
            })
        })
        .collect::<Result<Vec<_>>>()?;
    rows.extend(data::own_texts()?.into_iter().map(|name| DataRow {
        name,
        summary: "a text of your own",
        state: State::Present,
        licence: "yours to know",
        citation: "",
    }));
    if json {
        return super::print_json(&rows);
    }
    let mut table = Table::new(&["name", "state", "holds", "licence"]);
    for r in rows {
        let state = match r.state {
            State::Embedded => "in the program".to_owned(),
            State::Present if !data::is_whole(&r.name)? => {
                format!("damaged: `{}`", data::remedy(&r.name))
            }
            State::Present => "in the cache".to_owned(),
            State::Absent => {
                data::needs(&r.name).map_or_else(String::new, |c| format!("absent: `{c}`"))
            }
        };
        table.row([r.name, state, r.summary.to_owned(), r.licence.to_owned()]);
    }
    super::print(&table.fitted(table::room(), &[0, 1, 2, 3]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_data_that_can_be_fetched_or_taken_in_are_needed() {
        let needs = |name: &'static str, data: &'static str| {
            let known = tasks::select(&[], None).unwrap()[0];
            task_row(Box::leak(Box::new(tasks::Task { name, data, ..*known }))).needs
        };
        assert_eq!(needs("springs", "springs"), None);
        let text = needs("lm@no-such-text", "no-such-text");
        assert_eq!(text.as_deref(), Some("thalweg data add no-such-text PATH"));
    }
}
