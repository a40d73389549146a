//! The result in sentences.

use super::types::{Standing, TaskOutcome};
use crate::protocol::plan::{Plan, ROUNDS};
use crate::tasks::Task;

/// The rules as sentences.
pub(super) fn rules(plan: &Plan) -> Vec<String> {
    let mut rules = vec![
        "Every optimizer gets the same number of runs, and every run the same number of gradient \
         evaluations; its own defaults are run once for comparison and never selected."
            .to_owned(),
        format!(
            "Screening trials lie at the same scrambled Sobol points of each optimizer's declared \
             ranges, on one seed. {ROUNDS} times, an eighth as many trials follow: one decade beyond the \
             edge at which the best trial lies, or else inside."
        ),
        "The best trials are repeated on fresh seeds, and the one with the lowest median validation loss \
         runs on the final seeds. Only those runs see the test set, at their point of lowest validation \
         loss. A divergence counts as the worst result and is never dropped."
            .to_owned(),
        "Optimizers are compared in pairs on the same seeds: paired t tests, corrected for all pairs of a \
         task (Holm); those that share a letter are not distinguishable. Bootstrap intervals are \
         expanded-percentile intervals for one pair."
            .to_owned(),
        "Targets: of the optimizers' median validation losses over the repetitions, the lowest (hard), the \
         median (medium) and the upper quartile (easy)."
            .to_owned(),
    ];
    let counts = plan.tasks.iter().filter_map(|task| {
        let entry = plan.entries(task).into_iter().next()?;
        let ((best, fresh), seeds) = (plan.repeats(task, &entry), plan.seeds(task).count());
        Some(format!(
            "{}: {} gradient evaluations per run; {} screening and {} further trials, the best {best} \
             repeated on {fresh} seeds, {seeds} final seeds.",
            task.name,
            plan.budget(task),
            plan.trials(task, &entry),
            ROUNDS * plan.further_trials(task, &entry),
        ))
    });
    rules.extend(counts);
    rules.extend(plan.tasks.iter().flat_map(|task| left_out(plan, task)));
    rules
}

/// Which optimizers are left out of a task, a sentence for each reason.
fn left_out(plan: &Plan, task: &Task) -> Vec<String> {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for (name, reason) in plan.left_out(task) {
        match reasons.iter_mut().find(|(r, _)| *r == reason) {
            Some((_, names)) => names.push(name),
            None => reasons.push((reason, vec![name])),
        }
    }
    let sentence = |(reason, names): (&str, Vec<&str>)| {
        let verb = if names.len() == 1 { "is" } else { "are each" };
        format!("On {}, {} {verb} left out: {reason}.", task.name, enumerate(&names))
    };
    reasons.into_iter().map(sentence).collect()
}

/// `a`, `a and b`, or `a, b and c`.
fn enumerate(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [init @ .., last] => format!("{} and {last}", init.join(", ")),
    }
}

/// A loss, with as many digits as can be read.
pub(crate) fn shown(loss: f64) -> String {
    if loss == 0.0 || loss.is_infinite() || loss.abs() >= 1e-3 {
        format!("{loss:.4}")
    } else {
        format!("{loss:.2e}")
    }
}

/// As many optimizers as a sentence can list.
const NAMED: usize = 6;

/// The result of a task in a sentence or two.
pub(super) fn verdict(task: &Task, standings: &[Standing], seeds: usize) -> String {
    let Some(first) = standings.first() else { return String::new() };
    if standings.iter().any(|s| s.seeds.len() < seeds) {
        let done: usize = standings.iter().map(|s| s.seeds.len()).sum();
        return format!(
            "Interrupted with {done} of {} final runs on {}: no optimizer can be called the best.",
            seeds * standings.len(),
            task.name
        );
    }
    if first.test_loss.mean.is_infinite() {
        return format!("Every optimizer diverged on at least one seed of {}.", task.name);
    }
    let mut text = format!(
        "{} has the lowest mean test loss on {} ({}{}).",
        first.optimizer,
        task.name,
        shown(first.test_loss.mean),
        match (task.metric, &first.test_metric) {
            (Some(metric), Some(value)) => {
                format!(", test {} {}", metric.name, metric.show(value.mean))
            }
            _ => String::new(),
        }
    );
    let equal: Vec<&str> =
        standings[1..].iter().filter(|s| s.may_equal_first).map(|s| s.optimizer).collect();
    if !equal.is_empty() {
        let them = match equal.len() {
            1..=NAMED => enumerate(&equal),
            n => format!("{n} of the {} others", standings.len() - 1),
        };
        text += &format!(
            " With {seeds} {}, corrected for all comparisons, it is not distinguishable from {them}.",
            if seeds == 1 { "seed" } else { "seeds" }
        );
    }
    text
}

/// What must not be concluded.
pub(super) fn limits(plan: &Plan, tasks: &[TaskOutcome]) -> Vec<String> {
    let mut limits = vec![
        "These are small models on small data, trained on a CPU. Nothing here ranks optimizers for \
         large models, other data or other budgets."
            .to_owned(),
        "Intervals come from a few seeds and assume independent, roughly normal results. They do not \
         contain the luck of the tuning trials, which were run on one seed."
            .to_owned(),
        "The first of many is partly the luckiest: its lead over those it shares a letter with is no \
         finding."
            .to_owned(),
        "Only the hyper-parameters with a range above were tuned; all others keep their defaults."
            .to_owned(),
        format!(
            "Seconds were measured with {} single-threaded runs at once on a machine that may have \
             had other work; compare them within this report only.",
            plan.workers
        ),
    ];
    let budget = tasks.iter().any(|t| t.standings.iter().any(|s| !s.edges.is_empty()));
    if budget {
        limits.push(
            "Where a best value lies at the edge of its range, the optimizer may do better outside."
                .to_owned(),
        );
    }
    limits
}
