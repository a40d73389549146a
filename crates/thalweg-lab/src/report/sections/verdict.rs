//! The first screen: what came out, and what must not be concluded from it.

use std::fmt::Write as _;

use crate::protocol::{Outcome, TaskOutcome};
use crate::report::detail;
use crate::report::markup::escape;
use crate::report::view::View;

/// The head of the page.
pub(in crate::report) fn html(view: &View<'_>) -> String {
    let tasks = view.tasks();
    let mut html = format!(
        "<header><p class=\"kicker\">thalweg · {} · {}</p>\n",
        count(view.order.len(), "optimizer"),
        match tasks {
            [task] => format!("task {}", escape(task.task)),
            tasks => count(tasks.len(), "task"),
        }
    );
    html += "<div class=\"verdict\" role=\"region\" aria-label=\"Verdict\">";
    if let Some(how_far) = &view.document.outcome.interrupted {
        let _ = write!(html, "<p><mark>Not complete: {}.</mark></p>", escape(how_far));
    }
    match tasks {
        [task] => {
            let _ = write!(html, "<h1>{}</h1>{}", escape(&task.verdict), basis(task));
        }
        _ => {
            let _ = write!(html, "<h1>{}</h1><ul>", escape(&overall(&view.document.outcome)));
            for task in tasks {
                let _ = write!(html, "<li>{} {}</li>", escape(&task.verdict), basis(task));
            }
            html += "</ul>";
        }
    }
    html += "</div>\n";
    let items: String = view
        .document
        .outcome
        .cannot_say
        .iter()
        .map(|text| format!("<li>{}</li>", escape(text)))
        .collect();
    let thinned = detail::notice(view);
    html + &format!(
        "<aside><h2>What this cannot say</h2><ul>{items}</ul>{thinned}</aside></header>\n"
    )
}

/// What the profiles say about all tasks together.
fn overall(outcome: &Outcome) -> String {
    let Some(first) = outcome.profiles.first().filter(|p| p.solved > 0) else {
        return "No optimizer met a target.".to_owned();
    };
    let next = outcome
        .profiles
        .get(1)
        .map_or_else(String::new, |p| format!("; next is {} ({:.2})", p.solver, p.score));
    format!(
        "Over all tasks, {} meets the targets soonest: profile score {:.2}, {} of {} targets met{next}. \
         Scores have no error bars; how sure each task is stands below.",
        first.solver, first.score, first.solved, first.problems
    )
}

/// What the verdict rests on.
fn basis(task: &TaskOutcome) -> String {
    format!(
        "<span class=\"sure\">{} gradient evaluations per run, {}, tier {}.</span>",
        task.budget,
        count(task.seeds.len(), "final seed"),
        format!("{:?}", task.tier).to_lowercase(),
    )
}

fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}
