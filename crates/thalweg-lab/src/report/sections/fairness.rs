//! The audit: what each optimizer was given, what it spent, and what should make the reader doubt.

use super::{Part, Section};
use crate::protocol::{Standing, TaskOutcome};
use crate::report::draw::{Bar, BarChart, Name};
use crate::report::figure::{Figure, table};
use crate::report::markup::{escape, number};
use crate::report::tables;
use crate::report::view::{View, id};

/// The section.
pub(in crate::report) fn section(view: &View<'_>) -> Section {
    Section::per_task(view, "fairness", "Was it fair?", |task| {
        vec![Part::Html(tables::fairness(task)), flips(task), times(task).into()]
    })
    .saying(&rules(view))
}

fn rules(view: &View<'_>) -> String {
    let words = &view.document.outcome.rules.words;
    let items: String = words.iter().map(|text| format!("<li>{}</li>", escape(text))).collect();
    format!("<ul class=\"rules\">{items}</ul>\n")
}

/// Whether another budget would have told another story.
fn flips(task: &TaskOutcome) -> Part {
    let leaders: Vec<String> = task
        .leaders
        .iter()
        .map(|l| format!("{} after {} ({})", escape(l.optimizer), l.step, number(l.loss)))
        .collect();
    let lowest = if task.noisy { "Validation loss" } else { "Lowest validation loss so far" };
    let mut html = format!(
        "<p>{lowest}, the best optimizer at each quarter of the budget: {}.</p>",
        leaders.join(", ")
    );
    if leaders.is_empty() {
        html.clear();
    }
    if let Some(first) = task.flips.first() {
        let rows = task.flips.iter().map(|f| vec![f.loser.to_owned(), format!("up to {}", f.step)]);
        html += &format!(
            "<details><summary>{} that are ruled out as the best were ahead of {} earlier: a smaller \
             budget might have named one of them</summary><div class=\"wide\">{}</div></details>\n",
            task.flips.len(),
            escape(first.winner),
            table(&["ahead before", "gradient evaluations"], rows)
        );
    }
    Part::Html(html)
}

/// Where the time of a step goes.
fn times(task: &TaskOutcome) -> Figure {
    let mut standings: Vec<&Standing> = task.standings.iter().collect();
    let step = |s: &Standing| s.gradient_microseconds + s.step_microseconds;
    standings.sort_by(|a, b| step(a).total_cmp(&step(b)));
    let bar = |s: &&Standing| Bar {
        name: s.optimizer,
        parts: vec![s.gradient_microseconds, s.step_microseconds],
        note: format!("{} + {}", number(s.gradient_microseconds), number(s.step_microseconds)),
    };
    let bars: Vec<Bar<'_>> = standings.iter().map(bar).collect();
    let rows = standings.iter().map(|s| {
        vec![s.optimizer.to_owned(), number(s.gradient_microseconds), number(s.step_microseconds)]
    });
    let numbers = table(&["optimizer", "gradient, µs", "optimizer step, µs"], rows);
    let title = format!("Time of a step on {}", task.task);
    let chart = BarChart {
        name: Name::new(
            id(&[task.task, "times"]),
            &title,
            "One bar per optimizer, the shortest step first: microseconds of its gradients, then of the \
             optimizer itself.",
        ),
        label: "microseconds, mean over the final runs".to_owned(),
        parts: vec!["gradient", "optimizer"],
        bars,
    };
    Figure {
        id: id(&[task.task, "times"]),
        title,
        caption: "The whole of a step, its gradients and the optimizer itself; the shortest first."
            .to_owned(),
        pictures: vec![chart.render()],
        table: numbers,
        live: None,
    }
}
