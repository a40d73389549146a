//! The page.

use std::fmt::Write as _;

use super::markup::{escape, number};
use super::{figures, tables};
use crate::data::SOURCES;
use crate::protocol::TaskOutcome;
use crate::store::Document;

const STYLE: &str = include_str!("style.css");

/// The report as one self-contained HTML document (well-formed XML, too).
pub fn render(document: &Document) -> String {
    let outcome = &document.outcome;
    let mut order: Vec<&str> = Vec::new();
    for standing in outcome.tasks.iter().flat_map(|t| &t.standings) {
        if !order.contains(&standing.optimizer) {
            order.push(standing.optimizer);
        }
    }
    // An optimizer looks the same in every figure of the report.
    let styles = |name: &str| order.iter().position(|o| *o == name).unwrap_or(0);
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\
         <meta name=\"color-scheme\" content=\"light dark\"/>\
         <title>thalweg: {} optimizers compared</title>\n<style>{STYLE}</style></head><body><main>\n",
        order.len()
    );
    let _ = write!(
        html,
        "<h1>{} optimizers, {}</h1>\n<section class=\"verdict\">",
        order.len(),
        match &outcome.tasks[..] {
            [task] => format!("one task: {}", escape(task.task)),
            tasks => format!("{} tasks", tasks.len()),
        }
    );
    for task in &outcome.tasks {
        let _ = write!(html, "<p>{}</p>", escape(&task.verdict));
    }
    html += "</section>\n";
    html += &limits(&outcome.cannot_say);
    for task in &outcome.tasks {
        html += &section(task, &styles);
    }
    html += &rules(document);
    html += &manifest(document);
    html + "</main></body></html>\n"
}

fn limits(cannot_say: &[String]) -> String {
    let items: String =
        cannot_say.iter().map(|text| format!("<li>{}</li>", escape(text))).collect();
    format!("<aside><h2>What this cannot say</h2><ul>{items}</ul></aside>\n")
}

fn section(task: &TaskOutcome, styles: &dyn Fn(&str) -> usize) -> String {
    let [train, validation, test] = task.examples;
    let examples = match task.data {
        "" => "a formula, on which training, validation and test are the same".to_owned(),
        _ => format!(
            "{train} examples to train on, {validation} to select on, {test} to report on; batches \
             of {}",
            task.batch
        ),
    };
    let mut html = format!(
        "<section><h2 id=\"{0}\">{0}</h2><p>{1}. Loss: {7}. {2} coordinates, {8}; \
         {4}. {3} gradient evaluations per run. Learning rate: {5}. Final runs on {6} seeds.</p>\n",
        escape(task.task),
        escape(task.summary),
        task.parameters,
        task.budget,
        examples,
        task.schedule.describe(),
        task.seeds.len(),
        escape(task.loss),
        task.domain.describe(),
    );
    html += &tables::ranking(task, styles);
    html += &figures::curves(task, styles);
    html += &tables::curve(task);
    html += &figures::sensitivity(task, styles);
    html += &tables::fairness(task);
    html + "</section>\n"
}

fn rules(document: &Document) -> String {
    let rules = &document.outcome.rules;
    let mut items = vec![
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
        "A run's result is taken where its validation loss was lowest. Only final runs saw the test set, \
         once each."
            .to_owned(),
        "A run whose loss or gradients were not finite, or whose loss rose to 1000 times the initial one, \
         diverged. A diverged trial cannot be chosen; a diverged seed counts as an infinite loss and \
         the worst possible metric. None is dropped."
            .to_owned(),
        "“↑ edge” and “↓ edge” mark an optimum at the edge of what was tried: the range may be too narrow \
         for that optimizer here."
            .to_owned(),
    ];
    items.push(format!(
        "{} single-threaded runs shared the machine. The results do not depend on their number; the \
         seconds do.",
        rules.workers
    ));
    let items: String = items.iter().map(|text| format!("<li>{}</li>", escape(text))).collect();
    format!("<section><h2>How it was made fair</h2><ul>{items}</ul></section>\n")
}

fn manifest(document: &Document) -> String {
    let m = &document.manifest;
    let mut rows: Vec<(&str, String)> = vec![
        ("program", format!("thalweg {}", m.version)),
        ("engine", m.engine.to_owned()),
        ("command", m.command.join(" ")),
        ("machine", format!("{}, {}, {} threads", m.cpu, m.platform, m.cpu_threads)),
        ("instruction sets", m.cpu_features.join(" ")),
        ("duration", format!("{} s", number(m.seconds))),
    ];
    let mut seen: Vec<&str> = Vec::new();
    for task in &document.outcome.tasks {
        if !seen.contains(&task.data) {
            seen.push(task.data);
            rows.push(("data", format!("{}, SHA-256 {}", task.data, task.data_sha256)));
            if let Some(source) = SOURCES.iter().find(|s| s.name == task.data) {
                rows.push(("", format!("{} ({})", source.citation, source.licence)));
            }
        }
    }
    let rows: String = rows
        .iter()
        .map(|(key, value)| {
            format!("<tr><th scope=\"row\">{key}</th><td>{}</td></tr>", escape(value))
        })
        .collect();
    format!(
        "<section><h2>How to repeat it</h2><table class=\"manifest\"><tbody>{rows}</tbody></table>\
         <p>All numbers, every seed and every tuning trial are in <code>results.json</code> beside this \
         file.</p></section>\n"
    )
}
