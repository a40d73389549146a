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
        vec![Part::Html(tables::fairness(task)), times(task).into()]
    })
    .saying(&rules(view))
}

fn rules(view: &View<'_>) -> String {
    let rules = &view.document.outcome.rules;
    let items = [
        "Every optimizer got the same number of gradient evaluations per run and of tuning trials, on \
         the same scrambled Sobol points, mapped to the logarithm of the range it declares. The ranges \
         are the same for every task."
            .to_owned(),
        format!(
            "Tuning trials ran on seed {}; the trial with the lowest validation loss was repeated on \
             fresh seeds.",
            rules.tuning_seed,
        ),
        "Within a seed all optimizers start from the same values and see the same batches in the same \
         order, so differences are taken in pairs."
            .to_owned(),
        "A run's result is taken where its validation loss was lowest. Only final runs saw the test \
         set, once each."
            .to_owned(),
        "A run whose loss or gradients were not finite, or whose loss rose to 1000 times the initial \
         one, diverged. A diverged trial cannot be chosen; a diverged seed counts as an infinite loss. \
         None is dropped."
            .to_owned(),
        format!(
            "{} single-threaded runs shared the machine. The results do not depend on their number; \
             the seconds do.",
            rules.workers
        ),
    ];
    let items: String = items.iter().map(|text| format!("<li>{}</li>", escape(text))).collect();
    format!("<ul class=\"rules\">{items}</ul>\n")
}

/// Where the time of a step goes.
fn times(task: &TaskOutcome) -> Figure {
    let mut standings: Vec<&Standing> = task.standings.iter().collect();
    standings.sort_by(|a, b| a.step_microseconds.total_cmp(&b.step_microseconds));
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
            "One bar per optimizer, the cheapest step first: microseconds of the gradient, then of the \
             optimizer's own step.",
        ),
        label: "microseconds, mean over the final runs".to_owned(),
        parts: vec!["gradient", "optimizer"],
        bars,
    };
    Figure {
        id: id(&[task.task, "times"]),
        title,
        caption: "The cheapest step first.".to_owned(),
        pictures: vec![chart.render()],
        table: numbers,
        live: None,
    }
}
