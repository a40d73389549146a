//! The first screen: what came out, and what must not be concluded from it.

use std::fmt::Write as _;

use crate::protocol::{Outcome, TaskOutcome};
use crate::report::detail;
use crate::report::markup::{count, escape, number, prose};
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
        .map(|text| format!("<li>{}</li>", prose(text)))
        .collect();
    let thinned = detail::notice(view);
    html + &format!(
        "<aside><h2>What this cannot say</h2><ul>{items}</ul>{thinned}</aside></header>\n"
    )
}

/// What can be said about all tasks together: who may be the best on every one, or else that nobody is.
fn overall(outcome: &Outcome) -> String {
    let tasks = &outcome.tasks;
    let Some(first) = tasks.first() else { return String::new() };
    let seeds = tasks.iter().map(|t| t.seeds.len()).min().unwrap_or(0);
    let basis = given(tasks).join(" and ");
    if tasks.iter().any(|t| t.standings.iter().any(|s| s.seeds.len() < t.seeds.len())) {
        return format!("Not all final runs were made ({basis}): no optimizer is called the best.");
    }
    if seeds < 2 {
        return format!("One seed rules nothing out: no optimizer is called the best ({basis}).");
    }
    // What is said of all of them would be wrong too often if each had the 5 % to itself (Bonferroni).
    let share = 0.05 / tasks.len() as f64;
    let per_task: Vec<Vec<&str>> = tasks.iter().map(|task| task.may_be_best(share)).collect();
    let basis = format!(
        "{basis} (corrected for {} tasks: {} % to be wrong on each, not 5 %)",
        tasks.len(),
        number(100.0 * share)
    );
    let everywhere: Vec<&str> = first
        .standings
        .iter()
        .map(|s| s.optimizer)
        .filter(|name| per_task.iter().all(|best| best.contains(name)))
        .collect();
    let every = every(tasks.len());
    let listed_alike = tasks.iter().all(|t| same_optimizers(t, first));
    let whoever =
        if listed_alike { "the optimizers" } else { "those that were run on all of them" };
    match everywhere[..] {
        [] => nobody(whoever, &basis, tasks, &per_task),
        [only] if listed_alike => {
            format!("{only} is the only optimizer that may be the best on {every}, at {basis}.")
        }
        [only] => {
            format!("Of {whoever}, {only} alone may be the best on {every}, at {basis}.")
        }
        _ => format!(
            "{} may each be the best on {every}: none of them is ruled out at {basis}.",
            listed(&everywhere)
        ),
    }
}

/// With more tasks than this the sentences below the heading say what each of them came to.
const TOLD: usize = 3;

/// That nobody may be the best on every task: with few tasks who is on which, with many who is on most.
fn nobody(whoever: &str, basis: &str, tasks: &[TaskOutcome], best: &[Vec<&str>]) -> String {
    let text = format!("None of {whoever} may be the best on {}, at {basis}", every(tasks.len()));
    if tasks.len() <= TOLD {
        let each = tasks.iter().zip(best).map(|(t, best)| one(t.task, best));
        return format!("{text}: {}.", each.collect::<Vec<String>>().join("; "));
    }
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for name in best.iter().flatten() {
        match counts.iter_mut().find(|(n, _)| n == name) {
            Some((_, tasks)) => *tasks += 1,
            None => counts.push((*name, 1)),
        }
    }
    let most = counts.iter().map(|(_, tasks)| *tasks).max().unwrap_or(0);
    let often: Vec<&str> =
        counts.iter().filter(|(_, tasks)| *tasks == most).map(|(name, _)| *name).collect();
    let each = if often.len() > 1 { "each " } else { "" };
    match most {
        0 => format!("{text}."),
        _ => format!("{text}; {} may {each}be on {most}, more than any other.", listed(&often)),
    }
}

/// So many tasks, which are all.
fn every(tasks: usize) -> String {
    if tasks == 2 { "both tasks".to_owned() } else { format!("all {tasks} tasks") }
}

/// Whether two tasks had the same optimizers.
fn same_optimizers(a: &TaskOutcome, b: &TaskOutcome) -> bool {
    let in_b = |name: &str| b.standings.iter().any(|s| s.optimizer == name);
    a.standings.len() == b.standings.len() && a.standings.iter().all(|s| in_b(s.optimizer))
}

/// The best on one task, in a few words.
fn one(task: &str, best: &[&str]) -> String {
    match best {
        [] => format!("on {task} all diverged"),
        [only] => format!("on {task} it is {only}"),
        [first, rest @ ..] if rest.len() > 2 => {
            format!("on {task} {first} or one of {} others", rest.len())
        }
        _ => format!("on {task} it is one of {}", listed(best)),
    }
}

/// As many optimizers as a heading can name.
const NAMED: usize = 6;

/// The names, or the first of them and how many more there are.
fn listed(names: &[&str]) -> String {
    match names {
        [first @ .., _] if first.len() >= NAMED => {
            let others = count(names.len() - NAMED, "other");
            format!("{} and {others}", names[..NAMED].join(", "))
        }
        [init @ .., last] if !init.is_empty() => format!("{} and {last}", init.join(", ")),
        _ => names.concat(),
    }
}

/// A number that all tasks share, or the smallest and the largest.
fn span(values: impl Iterator<Item = usize> + Clone) -> String {
    let (low, high) = (values.clone().min().unwrap_or(0), values.max().unwrap_or(0));
    if low == high { low.to_string() } else { format!("{low} to {high}") }
}

fn span_of(values: impl Iterator<Item = usize> + Clone, what: &str) -> String {
    let one = values.clone().all(|v| v == 1);
    format!("{} {what}{}", span(values), if one { "" } else { "s" })
}

/// Gradient evaluations and seeds of all tasks.
pub(super) fn given(tasks: &[TaskOutcome]) -> [String; 2] {
    [
        span_of(tasks.iter().map(|t| t.budget), "gradient evaluation") + " per run",
        span_of(tasks.iter().map(|t| t.seeds.len()), "final seed"),
    ]
}

/// What the verdict rests on.
fn basis(task: &TaskOutcome) -> String {
    format!(
        "<span class=\"sure\">{} per run, {}, tier {}.</span>",
        count(task.budget, "gradient evaluation"),
        count(task.seeds.len(), "final seed"),
        task.tier.name(),
    )
}
