//! What the diagnosis found, the findings of one kind together.

use super::{Part, Section};
use crate::diagnosis::{Finding, Severity};
use crate::protocol::TaskOutcome;
use crate::report::markup::escape;
use crate::report::view::View;

/// The section.
pub(in crate::report) fn section(view: &View<'_>) -> Section {
    Section::per_task(view, "diagnosis", "What went wrong, and what to change", |task| {
        let groups = groups(task);
        if groups.is_empty() { Vec::new() } else { vec![Part::Html(list(&groups))] }
    })
    .saying(
        "<p>Found in most of the final runs of an optimizer, the most severe first. A finding means \
         that its sign stood beyond its bound in most of the later half of the probes (95 % interval of \
         the share above one half). <code>thalweg doctor</code> prints the same, with numbers.</p>",
    )
}

/// The findings of one kind, of every optimizer and parameter.
struct Group<'o> {
    finding: &'o Finding,
    members: Vec<(&'static str, &'o Finding)>,
}

fn groups(task: &TaskOutcome) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for standing in &task.standings {
        for finding in &standing.findings {
            let same = |g: &&mut Group<'_>| g.finding.kind == finding.kind;
            let member = (standing.optimizer, finding);
            match groups.iter_mut().find(same) {
                Some(group) => group.members.push(member),
                None => groups.push(Group { finding, members: vec![member] }),
            }
        }
    }
    groups.sort_by_key(|g| std::cmp::Reverse((g.finding.severity, g.members.len())));
    groups
}

fn list(groups: &[Group<'_>]) -> String {
    let items: String = groups.iter().map(item).collect();
    format!("<ul class=\"findings\">{items}</ul>\n")
}

fn item(group: &Group<'_>) -> String {
    let Finding { kind, severity, change, .. } = group.finding;
    let mut names: Vec<&str> = group.members.iter().map(|(name, _)| *name).collect();
    names.dedup();
    let words: String = group
        .members
        .iter()
        .map(|(name, f)| {
            let place = match &f.parameter {
                Some(parameter) => format!(" in <code>{}</code>", escape(parameter)),
                None => String::new(),
            };
            format!(
                "<li><b>{}</b>{place} since step {}, in {} of {} seeds: {}</li>",
                escape(name),
                f.since,
                f.seeds,
                f.seeds_of,
                escape(&f.what)
            )
        })
        .collect();
    let strong = if *severity == Severity::Note { "span" } else { "mark" };
    format!(
        "<li><details><summary><{strong}>{}</{strong}> <b>{}</b>: {}</summary>\
         <ul>{words}</ul></details><p>{}</p></li>\n",
        severity.name(),
        escape(&kind.name().replace('-', " ")),
        escape(&names.join(", ")),
        escape(change),
    )
}
