//! Who won: the ranking of every task, every seed, and the tasks side by side.

use super::{Part, Section};
use crate::protocol::{Standing, TaskOutcome};
use crate::report::draw::{Cell, HeatMap, Name, Scale, Strip, StripChart};
use crate::report::figure::{Figure, table};
use crate::report::markup::{escape, number};
use crate::report::tables;
use crate::report::view::{View, id};

/// The section.
pub(in crate::report) fn section(view: &View<'_>) -> Section {
    let mut section = Section::per_task(view, "results", "Results", |task| {
        vec![
            Part::Html(about(task)),
            Part::Html(tables::ranking(task, &|name| view.look(name))),
            seeds(view, task).into(),
        ]
    });
    if view.tasks().len() > 1 {
        section.parts.insert(0, ranks(view).into());
    }
    section
}

fn about(task: &TaskOutcome) -> String {
    let [train, validation, test] = task.examples;
    let examples = match task.data {
        "" => "a formula, on which training, validation and test are the same".to_owned(),
        _ => format!(
            "{train} examples to train on, {validation} to select on, {test} to report on; batches of {}",
            task.batch
        ),
    };
    let floor = match task.floor {
        // The floor of a loss that is large at its minimum differs from it in the last digits only.
        Some(floor) => format!(
            "; below {} it counts as that, for less is round-off",
            if floor < 1e3 { number(floor) } else { floor.to_string() }
        ),
        None => String::new(),
    };
    format!(
        "<p class=\"about\">{}. Loss: {}{floor}. {} coordinates, {}; {examples}. {} gradient evaluations per \
         run. Learning rate: {}. Final runs on {} seeds.</p>\n",
        escape(task.summary),
        escape(task.loss),
        task.parameters,
        task.domain.describe(),
        task.budget,
        task.schedule.describe(),
        task.seeds.len(),
    )
}

/// Every seed of every optimizer.
fn seeds(view: &View<'_>, task: &TaskOutcome) -> Figure {
    let best = task.standings.first().map_or(1.0, |s| s.test_loss.mean);
    let row = |s: &Standing| Strip {
        name: s.optimizer,
        look: view.look(s.optimizer),
        values: s.seeds.iter().map(|r| r.test_loss).collect(),
        mean: s.test_loss.mean,
        half_width: s.test_loss.half_width,
        note: s.letters.clone(),
    };
    let chart = StripChart {
        name: Name::new(
            id(&[task.task, "seeds"]),
            format!("Test loss of every seed on {}", task.task),
            format!(
                "One row per optimizer, best first: {} seeds as dots, the mean as a tick and its 95 % \
                 interval as a bar. Losses above three times the best run off the axis.",
                task.seeds.len()
            ),
        ),
        label: "test loss".to_owned(),
        note_label: "alike",
        scale: Scale::Linear,
        ceiling: 3.0 * best,
        rows: task.standings.iter().map(row).collect(),
    };
    let rows = task.standings.iter().map(|s| {
        let values = s.seeds.iter().map(|r| number(r.test_loss));
        [s.optimizer.to_owned()].into_iter().chain(values).collect()
    });
    let labels: Vec<String> = task.seeds.iter().map(|s| format!("seed {s}")).collect();
    let header: Vec<&str> = ["optimizer"].into_iter().chain(labels.iter().map(|l| &**l)).collect();
    Figure {
        id: id(&[task.task, "seeds"]),
        title: format!("Test loss of every seed on {}", task.task),
        caption: "Dots are seeds, the tick is their mean, the bar its 95 % interval. Optimizers \
                  that share a letter are not told apart by tests between all pairs. A cross lies beyond the axis."
            .to_owned(),
        pictures: vec![chart.render()],
        table: table(&header, rows),
        live: None,
    }
}

/// The rank of every optimizer on every task.
fn ranks(view: &View<'_>) -> Figure {
    let tasks = view.tasks();
    let cell = |task: &TaskOutcome, name: &str| {
        let standing = task.standings.iter().find(|s| s.optimizer == name);
        standing.map_or(
            Cell { shade: None, text: String::new(), hint: "not run".to_owned() },
            |s| {
                let last = (task.standings.len().max(2) - 1) as f64;
                let equal = if s.may_be_best && s.rank > 1 { "=" } else { "" };
                Cell {
                    shade: Some((s.rank - 1) as f64 / last),
                    text: format!("{}{equal}", s.rank),
                    hint: format!(
                        "{name} on {}: test loss {}",
                        task.task,
                        number(s.test_loss.mean)
                    ),
                }
            },
        )
    };
    let rows: Vec<(&str, Vec<Cell>)> = view
        .order
        .iter()
        .map(|name| (*name, tasks.iter().map(|t| cell(t, name)).collect()))
        .collect();
    let columns: Vec<&str> = tasks.iter().map(|t| t.task).collect();
    let header: Vec<&str> = ["optimizer"].into_iter().chain(columns.iter().copied()).collect();
    let numbers = rows.iter().map(|(name, cells)| {
        [(*name).to_owned()].into_iter().chain(cells.iter().map(|c| c.text.clone())).collect()
    });
    let numbers = table(&header, numbers);
    let map = HeatMap {
        name: Name::new(
            "ranks",
            "Ranks by task",
            format!("{} optimizers on {} tasks; dark is good.", rows.len(), tasks.len()),
        ),
        columns,
        rows,
    };
    Figure {
        id: "ranks".to_owned(),
        title: "Ranks by task".to_owned(),
        caption: "1 has the lowest mean test loss; “=” may be the best as well. Dark is good; an \
                  empty cell was not run."
            .to_owned(),
        pictures: vec![map.render()],
        table: numbers,
        live: None,
    }
}
