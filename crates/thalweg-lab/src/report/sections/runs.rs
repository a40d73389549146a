//! Every final run by itself.

use std::fmt::Write as _;

use super::{Part, Section, has_runs, no_runs};
use crate::protocol::{Standing, TaskOutcome};
use crate::report::detail::left_out;
use crate::report::markup::{escape, number};
use crate::report::shown::Shown;
use crate::report::view::{View, id};

/// The section.
pub(in crate::report) fn section(view: &View<'_>) -> Section {
    let section = Section::per_task(view, "runs", "Run by run", |task| match has_runs(task) {
        true => vec![Part::Html(list(view, task))],
        false => vec![no_runs()],
    });
    section.saying(
        "<p>One entry per optimizer: what was chosen, and how each seed ended. With scripts, the boxes \
         leave single runs out of every curve, band and profile of this page.</p>",
    )
}

/// The optimizers that have an entry, and how many could have one.
fn listed<'t>(view: &View<'_>, task: &'t TaskOutcome) -> (Vec<&'t Standing>, usize) {
    let mut all: Vec<&Standing> = task.ran().collect();
    let count = all.len();
    all.truncate(view.detail.entries);
    (all, count)
}

/// The id of an optimizer's entry; `None` if it has none.
pub(super) fn address(view: &View<'_>, task: &TaskOutcome, optimizer: &str) -> Option<String> {
    let is_listed = listed(view, task).0.iter().any(|s| s.optimizer == optimizer);
    is_listed.then(|| id(&[task.task, "runs", optimizer]))
}

fn list(view: &View<'_>, task: &TaskOutcome) -> String {
    let (listed, all) = listed(view, task);
    let entries: String = listed.iter().map(|s| entry(task, s)).collect();
    match left_out(listed.len(), all, "entries") {
        missing if missing.is_empty() => entries,
        missing => format!("{entries}<p class=\"caption\">{missing}</p>\n"),
    }
}

fn entry(task: &TaskOutcome, s: &Standing) -> String {
    let chosen: Vec<String> =
        s.chosen.iter().map(|(hyper, v)| format!("{hyper} {}", number(*v))).collect();
    let chosen = if chosen.is_empty() { "defaults".to_owned() } else { chosen.join(", ") };
    let shown = Shown(task.scale);
    let mut html = format!(
        "<details class=\"run\" id=\"{8}\"><summary><b>{0}</b> <span>rank {1}, {2}</span></summary><p>{3}</p>\
         <div class=\"wide\"><table><thead><tr><th scope=\"col\">seed</th>\
         <th scope=\"col\">{6}</th><th scope=\"col\">{4}</th>\
         <th scope=\"col\">{7}</th><th scope=\"col\">{5}</th>\
         <th scope=\"col\">remark</th></tr></thead><tbody>",
        escape(s.optimizer),
        s.rank,
        escape(&chosen),
        escape(s.summary),
        task.metric.map_or_else(|| "metric".to_owned(), |m| format!("test {}", escape(m.name))),
        if task.noisy { "ended after" } else { "best after" },
        shown.label("test loss"),
        shown.label("validation loss"),
        id(&[task.task, "runs", s.optimizer]),
    );
    for run in &s.seeds {
        let remark = run.divergence.as_ref().map_or_else(String::new, |d| {
            format!("<mark>diverged at {}: {}</mark>", d.step, escape(&d.reason))
        });
        let _ = write!(
            html,
            "<tr data-run=\"{0}/{1}/{2}\"><th scope=\"row\">{2}</th><td class=\"n\">{3}</td>\
             <td class=\"n\">{4}</td><td class=\"n\">{5}</td><td class=\"n\">{6}</td><td>{remark}</td></tr>",
            escape(task.task),
            escape(s.optimizer),
            run.seed,
            number(shown.loss(run.test_loss)),
            match (task.metric, run.test_metric) {
                (Some(metric), Some(value)) if value.is_finite() => metric.show(value),
                (Some(_), Some(value)) => number(value),
                _ => "–".to_owned(),
            },
            number(shown.loss(run.validation_loss)),
            run.best_step,
        );
    }
    html + "</tbody></table></div></details>\n"
}
