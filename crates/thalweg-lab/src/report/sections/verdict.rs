//! The first screen: what came out, and what must not be concluded from it.

use std::fmt::Write as _;

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
    match tasks {
        [task] => {
            let _ = write!(html, "<h1>{}</h1>", escape(&task.verdict));
        }
        _ => {
            html += "<h1>Verdicts</h1><ul>";
            for task in tasks {
                let _ = write!(html, "<li>{}</li>", escape(&task.verdict));
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
    html + &format!("<aside><h2>What this cannot say</h2><ul>{items}</ul></aside></header>\n")
}

fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}
