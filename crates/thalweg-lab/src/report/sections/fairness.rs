//! The audit: what each optimizer was given, what it spent, and what should make the reader doubt.

use super::{Part, Section, has_runs};
use crate::protocol::stats::quantile;
use crate::protocol::{Point, Standing, TaskOutcome};
use crate::report::draw::{Bar, BarChart, Name};
use crate::report::figure::{Figure, table};
use crate::report::markup::{capital, escape, number};
use crate::report::shown::Shown;
use crate::report::tables;
use crate::report::view::{View, id};

/// The section.
pub(in crate::report) fn section(view: &View<'_>) -> Section {
    Section::per_task(view, "fairness", "Was it fair?", |task| {
        let mut parts = vec![Part::Html(tables::fairness(task)), flips(task)];
        parts.extend(has_runs(task).then(|| Part::from(times(task))));
        parts
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
    let shown = Shown(task.scale);
    let leaders: Vec<String> = task
        .leaders
        .iter()
        .map(|l| {
            format!("{} after {} ({})", escape(l.optimizer), l.step, number(shown.loss(l.loss)))
        })
        .collect();
    let lowest = if task.noisy { "validation loss" } else { "lowest validation loss so far" };
    let lowest = capital(&shown.label(lowest));
    let mut html = format!(
        "<p>{lowest}, the best optimizer at each quarter of the budget: {}.</p>",
        leaders.join(", ")
    );
    if leaders.is_empty() {
        html.clear();
    }
    if let Some(first) = task.flips.first() {
        let rows = task.flips.iter().map(|f| vec![f.loser.to_owned(), format!("up to {}", f.step)]);
        let who = match task.flips.len() {
            1 => ["One that is ruled out as the best was", "it"].map(str::to_owned),
            n => [format!("{n} that are ruled out as the best were"), "one of them".to_owned()],
        };
        html += &format!(
            "<details><summary>{} ahead of {} earlier: a smaller budget might have named {}</summary>\
             <div class=\"wide\">{}</div></details>\n",
            who[0],
            escape(first.winner),
            who[1],
            table(&["ahead before", "gradient evaluations"], rows)
        );
    }
    Part::Html(html)
}

/// The microseconds of a whole step, median and quartiles over the final runs: machines have other work, and
/// a mean says nothing about that.
fn over_runs(s: &Standing) -> String {
    let of = |points: &[Point]| {
        let last = points.last().filter(|p| p.step >= s.gradients_per_step)?;
        Some(1e6 * last.seconds / (last.step / s.gradients_per_step) as f64)
    };
    let mut all: Vec<f64> = s.seeds.iter().filter_map(|r| of(&r.points)).collect();
    all.sort_by(f64::total_cmp);
    let [low, median, high] = [0.25, 0.5, 0.75].map(|q| number(quantile(&all, q)));
    format!("{median} ({low} to {high})")
}

/// Where the time of a step goes.
fn times(task: &TaskOutcome) -> Figure {
    let mut standings: Vec<&Standing> = task.ran().collect();
    let step = |s: &Standing| s.gradient_microseconds + s.step_microseconds;
    standings.sort_by(|a, b| step(a).total_cmp(&step(b)));
    let bar = |s: &&Standing| Bar {
        name: s.optimizer,
        parts: vec![s.gradient_microseconds, s.step_microseconds],
        note: format!("{} + {}", number(s.gradient_microseconds), number(s.step_microseconds)),
    };
    let bars: Vec<Bar<'_>> = standings.iter().map(bar).collect();
    let rows = standings.iter().map(|s| {
        let medians = [s.gradient_microseconds, s.step_microseconds].map(number);
        [s.optimizer.to_owned()].into_iter().chain(medians).chain([over_runs(s)]).collect()
    });
    let numbers = table(
        &[
            "optimizer",
            "gradient, µs",
            "optimizer step, µs",
            "both, median of runs (quartiles), µs",
        ],
        rows,
    );
    let title = format!("Time of a step on {}", task.task);
    let chart = BarChart {
        name: Name::new(
            id(&[task.task, "times"]),
            &title,
            "One bar per optimizer, the shortest step first: microseconds of its gradients, then of the \
             optimizer itself.",
        ),
        label: "microseconds, median of the final runs".to_owned(),
        parts: vec!["gradient", "optimizer"],
        bars,
    };
    Figure {
        id: id(&[task.task, "times"]),
        title,
        caption: "The whole of a step, its gradients and the optimizer itself: medians of the final runs, the \
                  shortest first. How far single runs lie apart stands with the numbers."
            .to_owned(),
        pictures: vec![chart.render()],
        table: numbers,
        live: None,
    }
}
