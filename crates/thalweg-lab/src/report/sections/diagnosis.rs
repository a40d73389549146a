//! What the diagnosis found, the findings of one kind and one advice together.

use super::{Part, Section, why};
use crate::diagnosis::{Finding, Kind, Severity, if_stored, in_few_seeds};
use crate::protocol::{Standing, TaskOutcome};
use crate::report::markup::{count, escape, prose};
use crate::report::view::View;

/// The section.
pub(in crate::report) fn section(view: &View<'_>) -> Section {
    Section::per_task(view, "diagnosis", "What went wrong, and what to change", |task| {
        let rest = rare(task).into_iter().chain(storage(task));
        let seen = why::Seen::new(view, task);
        let items: String =
            groups(task).iter().map(|group| item(&seen, group)).chain(rest).collect();
        match items.is_empty() {
            true => Vec::new(),
            false => vec![Part::Html(format!("<ul class=\"findings\">{items}</ul>\n"))],
        }
    })
    .saying(
        "<p>Found in more than half of the final runs of an optimizer (a divergence: in any), the most \
         severe first; how many of the seeds have it stands with each, in the words and numbers of the \
         first of them. A finding means that its sign stood beyond its bound in most of the later half of \
         the probes (95 % interval of the share above one half); the noise scale is one number from all of \
         these probes, with its own interval. <code>thalweg doctor</code> prints the same, with numbers, \
         and of single seeds.</p>",
    )
}

/// The findings of one kind, of every optimizer and parameter of which the same is to be said and changed: what
/// an optimizer's trials showed decides both.
struct Group<'o> {
    finding: &'o Finding,
    members: Vec<(&'static str, &'o Finding)>,
}

/// What findings of one group have in common.
fn told(f: &Finding) -> (Kind, Severity, &str) {
    (f.kind, f.severity, &f.change)
}

fn groups(task: &TaskOutcome) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for standing in &task.standings {
        for finding in standing.findings.iter().filter(|f| f.is_told()) {
            let same = |g: &&mut Group<'_>| told(g.finding) == told(finding);
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

/// A sentence for each optimizer about which there is one.
fn lines(task: &TaskOutcome, said: impl Fn(&Standing) -> Option<String>) -> Vec<String> {
    let line = |s: &Standing| {
        Some(format!("<li><b>{}</b>: {}</li>", escape(s.optimizer), prose(&said(s)?)))
    };
    task.standings.iter().filter_map(line).collect()
}

/// What happened in fewer seeds, a line per optimizer: it may be chance.
fn rare(task: &TaskOutcome) -> Option<String> {
    let lines = lines(task, |s| in_few_seeds(&s.findings));
    (!lines.is_empty()).then(|| {
        format!(
            "<li><details><summary>In no more than half of the seeds, of {}</summary>\
             <ul>{}</ul></details></li>\n",
            count(lines.len(), "optimizer"),
            lines.concat()
        )
    })
}

/// What other storage would have lost, a line per optimizer: the runs themselves did not have it.
fn storage(task: &TaskOutcome) -> Option<String> {
    let lines = lines(task, |s| if_stored(&s.findings));
    (!lines.is_empty()).then(|| {
        format!(
            "<li><details><summary>What state in f16 or 8 bits would have lost, of {}</summary>\
             <ul>{}</ul></details><p>Only if you mean to store it so: <code>thalweg doctor --if-stored \
             f16</code> or <code>block8</code> says in which parameters.</p></li>\n",
            count(lines.len(), "optimizer"),
            lines.concat()
        )
    })
}

fn item(seen: &why::Seen<'_>, group: &Group<'_>) -> String {
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
                "<li><b>{}</b>{place} since step {}, in {} of {} seeds: {}{}</li>",
                escape(name),
                f.since,
                f.seeds,
                f.seeds_of,
                prose(&f.what),
                seen.link(name, f),
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
        prose(change),
    )
}
