//! How to repeat it.

use super::{Part, Section};
use crate::data::SOURCES;
use crate::report::markup::{count, escape, number};
use crate::report::view::View;
use crate::store::command_line;

/// The section.
pub(in crate::report) fn section(view: &View<'_>) -> Section {
    let m = &view.document.manifest;
    let rules = &view.document.outcome.rules;
    let mut rows: Vec<(&str, String)> = vec![
        ("program", format!("thalweg {}, SHA-256 {}", m.version, m.program_sha256)),
        ("engine", m.engine.to_owned()),
        (
            "libraries",
            m.crates.iter().map(|(name, v)| format!("{name} {v}")).collect::<Vec<_>>().join(", "),
        ),
        ("command", command_line(&m.command)),
        ("machine", format!("{}, {}, {}", m.cpu, m.platform, count(m.cpu_threads, "thread"))),
        ("instruction sets", m.cpu_features.join(" ")),
        ("duration", format!("{} s, {} at once", number(m.seconds), count(rules.workers, "run"))),
        (
            "seeds",
            format!("tuning on {}, repetitions from {} on", rules.tuning_seed, rules.repeat_seed),
        ),
    ];
    for task in view.tasks() {
        let seeds: Vec<String> = task.seeds.iter().map(u64::to_string).collect();
        rows.push(("", format!("final runs on {}: {}", task.task, seeds.join(", "))));
    }
    let mut seen: Vec<&str> = Vec::new();
    for task in view.tasks() {
        if !task.data.is_empty() && !seen.contains(&task.data) {
            seen.push(task.data);
            let sum = match &task.data_sha256[..] {
                "" => "no checksum given".to_owned(),
                sum => format!("SHA-256 {sum}"),
            };
            rows.push(("data", format!("{}, {sum}", task.data)));
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
    let licence = escape(super::super::page::PLOT_LICENCE);
    let html = format!(
        "<table class=\"manifest\"><tbody>{rows}</tbody></table>\
         <p id=\"downloads\">All numbers, every seed and every tuning trial are in \
         <code>results.json</code> beside this file. <code>thalweg rerun TASK/OPTIMIZER/SEED --out DIR</code>, \
         with the directory of this file, makes a final run again and says whether it is the same bit for \
         bit. <code>thalweg export DIR --format csv</code> writes every point of every run.</p>\
         <details><summary>Licence of uPlot, which draws the interactive charts</summary>\
         <pre>{licence}</pre></details>\n"
    );
    Section { id: "manifest", heading: "How to repeat it", parts: vec![Part::Html(html)] }
}
