//! Who won: the ranking of every task, every seed, and the tasks side by side.

use super::{Part, Section, has_runs, no_runs};
use crate::protocol::stats::scale::Scale;
use crate::protocol::{Standing, TaskOutcome};
use crate::report::detail::left_out;
use crate::report::draw::{Cell, HeatMap, Name, Strip, StripChart};
use crate::report::figure::{Figure, table};
use crate::report::markup::{capital, count, escape, number};
use crate::report::shown::Shown;
use crate::report::tables;
use crate::report::view::{View, id};

/// The section.
pub(in crate::report) fn section(view: &View<'_>) -> Section {
    let mut section = Section::per_task(view, "results", "Results", |task| {
        let mut parts = vec![Part::Html(about(task)), Part::Html(ranking(view, task))];
        parts.push(if has_runs(task) { seeds(view, task).into() } else { no_runs() });
        parts.extend(pairs(task).map(Part::from));
        parts
    });
    if view.tasks().len() > 1 && view.tasks().iter().any(has_runs) {
        section.parts.insert(0, ranks(view).into());
    }
    section
}

/// The section without its figures.
pub(in crate::report) fn rankings(view: &View<'_>) -> Section {
    Section::per_task(view, "results", "Results", |task| {
        vec![Part::Html(about(task)), Part::Html(ranking(view, task))]
    })
}

/// The ranking, as much of it as is shown.
fn ranking(view: &View<'_>, task: &TaskOutcome) -> String {
    let rows = view.detail.rows;
    let missing = left_out(task.standings.len().min(rows), task.standings.len(), "rows");
    tables::ranking(task, rows, &|name| view.look(name))
        + &if missing.is_empty() {
            missing
        } else {
            format!("<p class=\"caption\">{missing}</p>\n")
        }
}

fn about(task: &TaskOutcome) -> String {
    let [train, validation, test] = task.examples;
    let share = |taken: usize, of: usize| match taken == of {
        true => of.to_string(),
        false => format!("{taken} of {of}"),
    };
    let examples = match task.data {
        "" if task.noisy => "a formula that is seen through noise in training and without it in validation \
                             and test; a run counts as it ends, by the mean over the last tenth of its \
                             measurements"
            .to_owned(),
        "" => "a formula, on which training, validation and test are the same".to_owned(),
        _ => format!(
            "{train} {} to train on, {} to select on, {} to report on; batches of {}",
            task.unit,
            share(task.evaluated[0], validation),
            share(task.evaluated[1], test),
            task.batch
        ),
    };
    let floor = match (task.floor, task.optimum) {
        // It may differ from the smallest loss in the last digits only.
        (Some(floor), Some(smallest)) if smallest != 0.0 => format!(
            "; less than {} above the smallest it counts as that, for less is round-off",
            number(floor - smallest)
        ),
        (Some(floor), _) => {
            format!("; below {} it counts as that, for less is round-off", number(floor))
        }
        (None, _) => String::new(),
    };
    format!(
        "<p class=\"about\">{}. Loss: {}{floor}. {} coordinates, {}; {examples}. {} gradient evaluations per \
         run. Learning rate: {}. Final runs on {}.</p>\n",
        escape(task.summary),
        escape(task.loss),
        task.parameters,
        task.domain.describe(),
        task.budget,
        task.schedule.describe(),
        count(task.seeds.len(), "seed"),
    )
}

/// Every seed of every optimizer.
fn seeds(view: &View<'_>, task: &TaskOutcome) -> Figure {
    let shown = Shown(task.scale);
    let mean = match task.scale {
        Scale::Plain => "arithmetic",
        Scale::Above(_) => "geometric",
    };
    let (axis, ceiling) = shown.beside(task);
    let beyond = match ceiling.is_finite() {
        true => format!("losses above {}, and divergences", number(ceiling)),
        false => "divergences".to_owned(),
    };
    let title = capital(&shown.label(&format!("test loss of every seed on {}", task.task)));
    let description = format!(
        "One row per optimizer, best first: {} as dots, their {mean} mean as a tick and its 95 % \
         interval as a bar, and whether it may be the best. Crosses at the end are {beyond}.",
        count(task.seeds.len(), "seed")
    );
    let chart = StripChart {
        name: Name::new(id(&[task.task, "seeds"]), &title, description),
        label: shown.label("test loss"),
        note_label: "best?",
        scale: axis,
        ceiling,
        rows: task.standings.iter().map(|s| strip(view, task, s)).collect(),
    };
    Figure {
        id: id(&[task.task, "seeds"]),
        title,
        caption: format!(
            "Dots are seeds, the tick is their {mean} mean, the bar its 95 % interval. At the right stands \
             whether the optimizer may be the best, as in the table above. Tests compare seed by seed, so \
             bars that overlap say little about them. Crosses are {beyond}."
        ),
        pictures: vec![chart.render()],
        table: numbers(task),
        live: None,
    }
}

fn strip<'a>(view: &View<'_>, task: &TaskOutcome, s: &'a Standing) -> Strip<'a> {
    let shown = Shown(task.scale);
    // Nobody is called the best among those that all diverged.
    let diverged = task.standings.first().is_some_and(|s| !s.test_loss.mean.is_finite());
    Strip {
        name: s.optimizer,
        look: view.look(s.optimizer),
        values: s.seeds.iter().map(|r| shown.loss(r.test_loss)).collect(),
        mean: shown.loss(s.test_loss.mean),
        interval: shown.interval(s),
        note: match s.may_be_best {
            _ if diverged || !s.has_runs() => "–",
            true => "may be",
            false => "no",
        },
    }
}

/// The test loss of every seed, as it is drawn.
fn numbers(task: &TaskOutcome) -> String {
    let rows = task.standings.iter().map(|s| {
        let values = s.seeds.iter().map(|r| number(Shown(task.scale).loss(r.test_loss)));
        [s.optimizer.to_owned()].into_iter().chain(values).collect()
    });
    let labels: Vec<String> = task.seeds.iter().map(|s| format!("seed {s}")).collect();
    let header: Vec<&str> = ["optimizer"].into_iter().chain(labels.iter().map(|l| &**l)).collect();
    table(&header, rows)
}

/// The most optimizers of which every pair is drawn.
const PAIRED: usize = 24;

/// Every two optimizers of a task, where there are more than the ranking compares.
fn pairs(task: &TaskOutcome) -> Option<Figure> {
    let shown: Vec<&Standing> = task.ran().take(PAIRED).collect();
    // One seed tells nobody apart: every cell would say so.
    if shown.len() < 3 || task.pairs.is_empty() || task.seeds.len() < 2 {
        return None;
    }
    let ranks: Vec<String> = shown.iter().map(|s| s.rank.to_string()).collect();
    let row = |s: &Standing| shown.iter().map(|other| pair(task, s, other)).collect::<Vec<Cell>>();
    let rows: Vec<(&str, Vec<Cell>)> = shown.iter().map(|s| (s.optimizer, row(s))).collect();
    let header: Vec<&str> = ["optimizer"].into_iter().chain(ranks.iter().map(|r| &**r)).collect();
    let numbers = rows.iter().map(|(name, cells)| {
        [(*name).to_owned()].into_iter().chain(cells.iter().map(|c| c.hint.clone())).collect()
    });
    let numbers = table(&header, numbers);
    let title = format!("Every pair on {}", task.task);
    let map = HeatMap {
        name: Name::new(
            id(&[task.task, "pairs"]),
            &title,
            format!(
                "{0} rows and {0} columns in the order of ranks, a cell for each pair.",
                shown.len()
            ),
        ),
        key: "+ the row is better than the column (numbered by rank), − worse, ≈ not distinguishable",
        columns: ranks.iter().map(|r| &**r).collect(),
        rows,
    };
    Some(Figure {
        id: id(&[task.task, "pairs"]),
        title,
        caption: format!(
            "For two that you had in mind before you looked: “+” says that the optimizer of the row is better \
             than that of the column (numbered by rank), “−” worse, “≈” not distinguishable with {}, by a \
             two-sided paired t test of this pair alone. Of equal ones a pair in twenty looks unequal, so do \
             not search this picture for differences; who may be the best stands above. The numbers say how \
             far the row is behind the column, with p.{}{}",
            count(task.seeds.len(), "seed"),
            match task.pairs.iter().any(|p| p.in_gradients) {
                true =>
                    " Two that solve the task on every seed are compared by the gradient evaluations that takes.",
                false => "",
            },
            left_out(shown.len(), task.ran().count(), "pairs"),
        ),
        pictures: vec![map.render()],
        table: numbers,
        live: None,
    })
}

/// How `row` did against `column`.
fn pair(task: &TaskOutcome, row: &Standing, column: &Standing) -> Cell {
    let of = |first: &Standing, second: &Standing| {
        task.pairs.iter().find(|p| p.optimizers == [first.optimizer, second.optimizer])
    };
    let (pair, ahead) = match (of(row, column), of(column, row)) {
        (Some(pair), _) => (pair, true),
        (None, Some(pair)) => (pair, false),
        (None, None) => return Cell { shade: None, text: String::new(), hint: "–".to_owned() },
    };
    let (shade, text) = match (pair.distinguishable, ahead) {
        (false, _) => (None, "≈"),
        (true, true) => (Some(0.0), "+"),
        (true, false) => (Some(1.0), "−"),
    };
    let difference = number(if ahead { -pair.behind } else { pair.behind });
    let behind = match task.scale {
        _ if pair.in_gradients => format!("{difference} evaluations"),
        Scale::Plain => difference,
        Scale::Above(_) if ahead => format!("× {}", number(1.0 / pair.behind)),
        Scale::Above(_) => format!("× {}", number(pair.behind)),
    };
    let hint = format!("{text} {behind}, p {}", number(pair.p));
    Cell { shade, text: text.to_owned(), hint }
}

/// The rank of every optimizer on every task.
fn ranks(view: &View<'_>) -> Figure {
    let tasks = view.tasks();
    let cell = |task: &TaskOutcome, name: &str| {
        let standing = task.ran().find(|s| s.optimizer == name);
        let shown = Shown(task.scale);
        let best = task.may_be_best(0.05);
        standing.map_or(
            Cell { shade: None, text: String::new(), hint: "no final runs".to_owned() },
            |s| {
                let last = (task.standings.len().max(2) - 1) as f64;
                let equal = if s.rank > 1 && best.contains(&name) { "=" } else { "" };
                Cell {
                    shade: Some((s.rank - 1) as f64 / last),
                    text: format!("{}{equal}", s.rank),
                    hint: format!(
                        "{name} on {}: {} {}",
                        task.task,
                        shown.label("test loss"),
                        number(shown.loss(s.test_loss.mean))
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
            format!(
                "{} optimizers on {} tasks; the more a cell stands out from the page, the better.",
                rows.len(),
                tasks.len()
            ),
        ),
        key: "1 has the lowest typical test loss or is the soonest, = may be the best as well",
        columns,
        rows,
    };
    Figure {
        id: "ranks".to_owned(),
        title: "Ranks by task".to_owned(),
        caption:
            "1 has the lowest typical test loss, and where several solve a task it is the soonest; “=” may be \
             the best as well, at 95 % confidence on that task by itself. What is said of all tasks together, at \
             the top of the page, asks for more of each and so rules out fewer. The more a cell stands out from \
             the page, the better; an empty cell has no final runs."
                .to_owned(),
        pictures: vec![map.render()],
        table: numbers,
        live: None,
    }
}
