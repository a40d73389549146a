//! The result in sentences.

use super::compared::SIGNIFICANT;
use super::types::{Standing, TaskOutcome};
use crate::optimizers::{self, DECAY, Entry};
use crate::protocol::plan::{LOWERINGS, Plan, ROUNDS};
use crate::protocol::stats::distributions::sign_test;
use crate::protocol::stats::multiple::may_be_best;
use crate::protocol::stats::scale::Scale;
use crate::protocol::stats::{Estimate, above_zero, all_or_none, paired_p_on};
use crate::tasks::{Schedule, Task};

/// The rules as sentences.
pub(super) fn rules(plan: &Plan) -> Vec<String> {
    let mut rules = tuning(plan);
    rules.extend([
        "Only the final runs see the test set, at their point of lowest validation loss. Methods that average are \
         judged at their averages. A divergence counts as the worst result and is never dropped."
            .to_owned(),
        "Optimizers are compared on the same seeds by paired t tests, which take the differences for \
         independent and roughly normal. An optimizer may be the best unless it is worse than some other \
         one: one-sided tests against each other one, corrected for their number (Bonferroni; multiple \
         comparisons with the best). With 95 % confidence the best is among the optimizers that are not \
         ruled out this way. Nothing is claimed about any two of the others."
            .to_owned(),
        "Where the smallest loss is known, what a run leaves above it spans decades, and the mean is that of \
         the worst seed. There the logarithms of what is left are averaged and tested: the mean is \
         geometric, and optimizers differ by factors."
            .to_owned(),
        "Targets: of the optimizers' median validation losses over the repetitions, the lower decile \
         (hard), the median (medium) and the upper quartile (easy). A run reaches one at its first measurement at or \
         below it: whoever stops there has that loss, even if the run diverges later."
            .to_owned(),
    ]);
    rules.extend(given(plan));
    rules.extend(plan.tasks.iter().map(|task| plan.seeds(task).count()).min().map(smallest_p));
    let counts = plan.tasks.iter().filter_map(|task| {
        // Those that have nothing to tune have no trials.
        let entry = plan.entries(task).into_iter().max_by_key(|entry| plan.trials(task, entry))?;
        let repeated = match plan.repeats(task, &entry) {
            (0, _) => String::new(),
            (best, fresh) => format!("the best {best} repeated on {}, ", count(fresh, "seed")),
        };
        Some(format!(
            "{}: {} per run; {} screening and {} further trials, {repeated}{}.",
            task.name,
            count(plan.budget(task), "gradient evaluation"),
            plan.trials(task, &entry),
            ROUNDS * plan.further_trials(task, &entry),
            count(plan.seeds(task).count(), "final seed"),
        ))
    });
    rules.extend(counts);
    rules.extend(plan.tasks.iter().flat_map(|task| left_out(plan, task)));
    rules.extend(undecayed(plan));
    rules.extend(scheduled(plan));
    rules.extend(twice(plan));
    rules.extend(noisy(plan));
    rules
}

/// How the final runs come by their hyper-parameters.
fn tuning(plan: &Plan) -> Vec<String> {
    if plan.trials == Some(0) {
        return vec![
            "Nothing is tuned: every optimizer runs with its defaults, and gets the same number of runs and of \
             gradient evaluations per run. A run of each on another seed stands for the repetitions of which targets \
             are made."
                .to_owned(),
        ];
    }
    vec![
        "Every optimizer gets the same number of runs (more only if all of its trials diverge, see below), \
         and every run the same number of gradient evaluations; its own defaults are run once for comparison and never selected."
            .to_owned(),
        format!(
            "Screening trials lie at the same scrambled Sobol points of each optimizer's declared \
             ranges, on one seed. {ROUNDS} times, an eighth as many trials follow: one decade beyond the \
             edge at which the best trial lies, or else inside."
        ),
        format!(
            "If every trial of a screen diverges, its learning rates were too large to say anything: the \
             screen is repeated three decades lower, at most {LOWERINGS} times, with as many trials as the \
             gradient evaluations pay for that the diverged trials left. So no search spends more \
             gradient evaluations than another may."
        ),
        "The best trials are repeated on fresh seeds, and the one with the lowest median validation loss \
         (of equal ones, the soonest) runs on the final seeds."
            .to_owned(),
    ]
}

/// Where nobody decays the weights, if anybody could.
fn undecayed(plan: &Plan) -> Option<String> {
    let kept = |task: &Task, entry: &Entry| optimizers::fixed(entry, task).contains(&(DECAY, 0.0));
    let without = |task: &&&Task| {
        !task.takes_decay() && plan.entries(task).iter().any(|entry| kept(task, entry))
    };
    let names: Vec<&str> = plan.tasks.iter().filter(without).map(|task| task.name).collect();
    (!names.is_empty()).then(|| {
        format!(
            "On {} weight decay is 0 unless it was asked for. These are formulas, which hold nothing out that \
             it could help with: it would pull towards zero, and only help who tunes it where the minimum is \
             there.",
            enumerate(&names)
        )
    })
}

/// Whose learning rate does not follow the schedule of the tasks, if any have one.
fn scheduled(plan: &Plan) -> Option<String> {
    let follow = plan.tasks.iter().find(|t| t.schedule != Schedule::Constant)?;
    let all = plan.runs();
    let names = |course: Schedule| -> Vec<&str> {
        let those =
            all.iter().filter(|(e, _)| optimizers::course(e.name, follow.schedule) == course);
        those.map(|(entry, _)| entry.name).collect()
    };
    let (learn, warm) = (names(Schedule::Constant), names(Schedule::Warmup));
    let mut text =
        "Learning rates follow the schedule of the task, those of the defaults too.".to_owned();
    if !learn.is_empty() {
        let verb = if learn.len() == 1 { "learns its" } else { "learn their" };
        text += &format!(" {} {verb} rate: the tuned one is where it starts.", enumerate(&learn));
    }
    if !warm.is_empty() {
        let verb = if warm.len() == 1 { "averages" } else { "average" };
        text += &format!(
            " {} {verb} instead: the rate warms up and stays where it is.",
            enumerate(&warm)
        );
    }
    Some(text)
}

/// What a second gradient per step costs, if anybody takes one.
fn twice(plan: &Plan) -> Option<String> {
    let all = plan.runs();
    let those = all.iter().filter(|(entry, _)| entry.gradients_per_step > 1);
    let names: Vec<&str> = those.map(|(entry, _)| entry.name).collect();
    let verb = if names.len() == 1 { "takes" } else { "take" };
    (!names.is_empty()).then(|| {
        format!(
            "{} {verb} two gradients of the same batch per step. Both are paid for, so there are half as \
             many steps, over which schedules run their whole course; of an odd number of gradient \
             evaluations the last one is left.",
            enumerate(&names)
        )
    })
}

/// How runs on noisy tasks are judged, if there are any.
fn noisy(plan: &Plan) -> Option<String> {
    let names: Vec<&str> = plan.tasks.iter().filter(|t| t.noisy).map(|t| t.name).collect();
    (!names.is_empty()).then(|| {
        format!(
            "On {} gradients are noisy and evaluation is not, and there are no examples to hold out: the \
             lowest of many evaluations would be luck. There every run, in tuning as in the end, counts as \
             the mean over the last tenth of its measurements, and has reached a target from when on such a \
             mean stays at or below it until the end.",
            enumerate(&names)
        )
    })
}

/// What the tests can say at all with so many seeds.
fn smallest_p(seeds: usize) -> String {
    if seeds < 2 {
        return "With one seed no test can tell anything apart.".to_owned();
    }
    format!(
        "A t test has no smallest probability. Where one of two runs diverged there is no difference, and \
         only signs are counted, as where all differences are equal: with {seeds} seeds such a one-sided test cannot get below {:.4}, or {:.4} \
         where one optimizer diverged on every seed and the other on none (Fisher's exact test). An \
         optimizer that diverged on any seed has an infinite mean loss, and is not the best if another did \
         not.",
        0.5 * sign_test(seeds, 0),
        0.5 * all_or_none(seeds),
    )
}

/// Which optimizers are left out of a task, a sentence for each reason.
pub(super) fn left_out(plan: &Plan, task: &Task) -> Vec<String> {
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

/// As many names as a sentence can list, and how many more there are.
fn some_of(names: &[&str]) -> String {
    match names.get(..NAMED) {
        Some(first) if names.len() > NAMED => {
            format!("{} and {}", first.join(", "), count(names.len() - NAMED, "other"))
        }
        _ => enumerate(names),
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

/// What the user has decided that a comparison decides itself otherwise.
fn given(plan: &Plan) -> Vec<String> {
    let mut given = Vec::new();
    let tasks: Vec<&str> = plan
        .tasks
        .iter()
        .filter(|task| plan.given_targets(task).is_some())
        .map(|t| t.name)
        .collect();
    if !tasks.is_empty() {
        given.push(format!(
            "The targets on {} are those of an earlier comparison; they do not depend on which optimizers are \
             compared here.",
            tasks.join(", ")
        ));
    }
    if !plan.tune.is_empty() {
        let ranges = plan.tune.iter().map(|(name, range)| {
            format!("{} of {name} from {} to {}", range.hyper, range.low, range.high)
        });
        given.push(format!(
            "Chosen by whoever made this comparison, and not declared by the optimizers, were these ranges: {}.",
            ranges.collect::<Vec<_>>().join("; ")
        ));
    }
    given
}

/// As many optimizers as a sentence can list.
const NAMED: usize = 6;

/// The result of a task in a sentence or two.
pub(super) fn verdict(task: &Task, standings: &[Standing], seeds: usize, scale: Scale) -> String {
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
    let solved: Vec<&Standing> = standings.iter().filter(|s| s.solved(task.floor)).collect();
    if solved.len() > 1 {
        return format!(
            "{} of {} optimizers solve {} on every seed (loss at most {}).",
            solved.len(),
            standings.len(),
            task.name,
            shown(first.test_loss.mean),
        ) + &soonest(&solved, seeds);
    }
    let (what, loss) = match scale {
        Scale::Plain => ("has the lowest mean test loss on", shown(first.test_loss.mean)),
        Scale::Above(minimum) => (
            "comes nearest to the smallest loss of",
            format!("geometric mean {} above it", shown(first.test_loss.mean - minimum)),
        ),
    };
    let text = format!(
        "{} {what} {} ({loss}{}).",
        first.optimizer,
        task.name,
        match (task.metric, &first.test_metric) {
            (Some(metric), Some(value)) => {
                format!(", test {} {}", metric.name, metric.show(value.mean))
            }
            _ => String::new(),
        }
    );
    text + &confidence(standings, seeds, scale)
}

/// Which of those that solve a task on every seed may be the soonest to do so.
fn soonest(solved: &[&Standing], seeds: usize) -> String {
    let least = solved.iter().map(|s| s.mean_best_step()).fold(f64::INFINITY, f64::min);
    let equal: Vec<&str> =
        solved.iter().filter(|s| s.mean_best_step() <= least).map(|s| s.optimizer).collect();
    if seeds < 2 {
        return format!(
            " Soonest on the one seed, which tells nothing about another: {}, after {least:.0} gradient \
             evaluations.",
            some_of(&equal)
        );
    }
    let may_be: Vec<&str> = solved
        .iter()
        .filter(|s| s.p_soonest.is_some_and(|p| p >= SIGNIFICANT))
        .map(|s| s.optimizer)
        .collect();
    let them = match may_be[..] {
        [only] => format!("{only} is the soonest"),
        _ => format!("the soonest is one of {}", some_of(&may_be)),
    };
    format!(
        " At 95 % confidence {them} ({} after {least:.0} gradient evaluations, mean over {}; one-sided paired \
         t tests of each against each other one, corrected for {}).",
        some_of(&equal),
        count(seeds, "seed"),
        solved.len() - 1
    )
}

/// How well the gradient evaluations of each of those that solve a task on every seed agree with its being the
/// soonest to do so.
pub(super) fn p_soonest(solved: &[&Standing]) -> Vec<f64> {
    let grid = solved.iter().filter_map(|s| s.every()).max().unwrap_or(0) as f64;
    let steps: Vec<Vec<f64>> =
        solved.iter().map(|s| s.seeds.iter().map(|r| r.best_step as f64).collect()).collect();
    let later = |i: usize, j: usize| {
        let (a, b) = (&steps[i], &steps[j]);
        above_zero(paired_p_on(a, b, grid), Estimate::of_differences(a, b).mean)
    };
    may_be_best(solved.len(), later)
}

/// Which optimizers may be the best.
fn confidence(standings: &[Standing], seeds: usize, scale: Scale) -> String {
    let others = standings.len() - 1;
    if others == 0 {
        return String::new();
    }
    let best: Vec<&str> = standings.iter().filter(|s| s.may_be_best).map(|s| s.optimizer).collect();
    if seeds < 2 {
        return " One seed rules nothing out: any of the others may be the best.".to_owned();
    }
    let seeds = count(seeds, "seed");
    if best.len() > others {
        return format!(" With {seeds} none of the others can be ruled out as the best.");
    }
    let them = match best[..] {
        [_] => "it is the best: all others are ruled out".to_owned(),
        _ if best.len() <= NAMED => format!("the best is one of {}", enumerate(&best)),
        _ => format!("the best is it or one of {} of the {others} others", best.len() - 1),
    };
    let what = match scale {
        Scale::Plain => "",
        Scale::Above(_) => "on the logarithms of what is left, ",
    };
    format!(
        " At 95 % confidence {them} ({seeds}; one-sided paired t tests {what}of each against each other \
         one, corrected for {others})."
    )
}

fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// What must not be concluded.
pub(super) fn limits(plan: &Plan, tasks: &[TaskOutcome]) -> Vec<String> {
    let mut limits = vec![
        "These are small models on small data, trained on a CPU. Nothing here ranks optimizers for \
         large models, other data or other budgets."
            .to_owned(),
        "Intervals come from a few seeds and assume independent, roughly normal results.".to_owned()
            + match plan.trials {
                Some(0) => "",
                _ => {
                    " They do not contain the luck of the tuning trials, which were run on one seed: give the same \
                     command with `--study 1` and another `--out`, and `thalweg diff` tells what that changes."
                }
            },
        "They hold for these training and test examples: all seeds share them, and other examples might put \
         optimizers that lie close in another order."
            .to_owned(),
        "The first of many is partly the luckiest: its lead over those that may be the best as well is no \
         finding, and its lead over the others is overestimated."
            .to_owned(),
        match plan.trials {
            Some(0) => "Nothing was tuned. Defaults were chosen by their authors for other models and budgets, \
                        and whose suit these tasks says little of the method.",
            _ => "Only the hyper-parameters that the rankings list as chosen by tuning were tuned; all others \
                  keep their defaults.",
        }
        .to_owned(),
        format!(
            "Seconds were measured with {} at once on a machine that may have had other work; compare them \
             within this report only.",
            count(plan.workers, "single-threaded run")
        ),
    ];
    for task in &plan.tasks {
        if let Some(event) = task.event.filter(|event| plan.budget(task) <= *event) {
            limits.push(format!(
                "{} is about what happens at gradient evaluation {event}, and runs of {} end before it.",
                task.name,
                plan.budget(task)
            ));
        }
    }
    let still: Vec<&str> =
        plan.tasks.iter().filter(|t| t.is_formula() && !t.noisy).map(|t| t.name).collect();
    if !still.is_empty() {
        limits.push(format!(
            "Without noise a seed only moves the start: on {} intervals say how results vary with that, and \
             with nothing else.",
            enumerate(&still)
        ));
    }
    let edges = tasks.iter().any(|t| t.standings.iter().any(|s| !s.edges.is_empty()));
    if edges {
        limits.push(
            "Where a best value lies at the edge of its range, the optimizer may do better outside."
                .to_owned(),
        );
    }
    limits
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks;

    #[test]
    fn a_sentence_lists_no_more_names_than_can_be_read() {
        let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
        assert_eq!(some_of(&names[..2]), "a and b");
        assert_eq!(some_of(&names[..6]), "a, b, c, d, e and f");
        assert_eq!(some_of(&names[..7]), "a, b, c, d, e, f and 1 other");
        assert_eq!(some_of(&names), "a, b, c, d, e, f and 2 others");
    }

    #[test]
    fn trials_are_counted_of_one_that_has_some() {
        let names = ["adam", "gd"].map(str::to_owned);
        let mut entries = optimizers::select(&names).unwrap();
        entries[0].tune.clear();
        let told = |entries: &[Entry]| {
            let plan = Plan {
                tasks: tasks::select(&["digits-softmax".to_owned()], None).unwrap(),
                optimizers: Some(entries.to_vec()),
                seeds: Some(3),
                trials: Some(8),
                budget: Some(40),
                tune: Vec::new(),
                targets: Vec::new(),
                study: 0,
                workers: 1,
            };
            let rules = rules(&plan);
            rules.into_iter().find(|rule| rule.starts_with("digits-softmax: ")).unwrap()
        };
        let further = ROUNDS;
        let all = format!(
            "digits-softmax: 40 gradient evaluations per run; 8 screening and {further} further trials, the \
             best 3 repeated on 3 seeds, 3 final seeds."
        );
        assert_eq!(told(&entries), all);
        let alone = told(&entries[..1]);
        assert!(alone.ends_with("0 screening and 0 further trials, 3 final seeds."), "{alone}");
    }
}
