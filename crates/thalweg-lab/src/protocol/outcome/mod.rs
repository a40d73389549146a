//! From runs to results: everything the report draws is computed here.

mod apart;
mod compared;
mod standing;
mod types;
mod words;

pub use types::{
    Apart, Band, CurvePoint, Edge, Extension, Flip, Half, Leader, Level, Map, Outcome, Pair,
    Repeat, Rules, SeedResult, Side, Standing, Target, TaskOutcome, ToTarget, Trial,
};
pub(crate) use words::shown;

use super::plan::{Plan, ROUNDS};
use super::search::Contest;
use super::stats::median;
use super::stats::profile::{Profile, profiles};
use super::stats::scale::Scale;
use super::{Phase, Workloads, interrupt};
use crate::tasks::{Task, Workload};

/// The outcome of `plan`.
pub(super) fn of(plan: &Plan, workloads: &Workloads, contests: &[Contest]) -> Outcome {
    let tasks: Vec<TaskOutcome> = plan
        .tasks
        .iter()
        .map(|task| {
            let own: Vec<&Contest> = contests.iter().filter(|c| c.task.name == task.name).collect();
            task_outcome(plan, task, workloads[task.name].as_ref(), &own)
        })
        .collect();
    let rules = Rules {
        tuning_seed: plan.tuning_seed(),
        repeat_seed: plan.repeat_seed(),
        rounds: ROUNDS,
        workers: plan.workers,
        words: words::rules(plan),
    };
    let done: usize = contests.iter().map(|c| c.records.len()).sum();
    let extra: usize = contests.iter().map(|c| c.extra).sum();
    let planned = extra + plan.runs().iter().map(|(_, runs)| runs).sum::<usize>();
    Outcome {
        rules,
        profiles: profiles_of(&tasks),
        interrupted: (interrupt::requested() && done < planned)
            .then(|| format!("interrupted after {done} of {planned} runs")),
        cannot_say: words::limits(plan, &tasks),
        tasks,
    }
}

fn task_outcome(
    plan: &Plan,
    task: &'static Task,
    workload: &dyn Workload,
    contests: &[&Contest],
) -> TaskOutcome {
    let starts: Vec<f64> = contests
        .iter()
        .flat_map(|c| &c.records)
        .filter_map(|r| r.run.points.first().map(|p| p.validation.loss))
        .collect();
    let initial_loss = median(&starts);
    let tested = contests.iter().flat_map(|c| c.of(Phase::Final)).filter_map(|r| r.run.test);
    let scale = Scale::of(workload.optimum(), tested.map(|t| t.loss));
    let mut standings: Vec<Standing> =
        contests.iter().map(|c| standing::standing(c, initial_loss, scale)).collect();
    rank(&mut standings, task);
    compared::place(&mut standings, scale);
    place_soonest(&mut standings, task, plan.seeds(task).count());
    let given = plan.given_targets(task);
    let targets = given.map_or_else(|| compared::targets(&standings), <[_]>::to_vec);
    let budget = plan.budget(task);
    let reached = compared::Reached::on(task, budget);
    for standing in &mut standings {
        standing.to_target = compared::to_target(&standing.seeds, &targets, reached);
    }
    TaskOutcome {
        task: task.name,
        summary: task.summary,
        tier: task.tier,
        loss: task.loss,
        floor: task.floor,
        noisy: task.noisy,
        metric: task.metric,
        domain: task.domain,
        data: task.data,
        data_sha256: workload.data_sha256(),
        examples: workload.examples(),
        evaluated: workload.evaluated(),
        unit: workload.unit(),
        parameters: workload.parameters().iter().map(|p| p.len()).sum(),
        batch: task.batch,
        budget,
        schedule: task.schedule,
        seeds: plan.seeds(task).collect(),
        optimum: workload.optimum(),
        scale,
        map: task.plane.map(Map::of),
        initial_loss,
        targets,
        flips: compared::flips(&standings, scale, task.noisy),
        apart: apart::apart(&standings),
        leaders: compared::leaders(&standings, budget, scale, task.noisy),
        pairs: compared::pairs(&standings, scale, task.floor),
        left_out: words::left_out(plan, task),
        verdict: words::verdict(task, &standings, plan.seeds(task).count(), scale),
        standings,
    }
}

/// The lowest typical test loss first. Of two that have solved the task on every seed (their losses are its
/// floor) the faster one comes first. Other equal losses (two optimizers that diverged on some seed) fall
/// back to the metric, then to the order in which the optimizers were asked for; without final runs, to
/// the best trial.
fn rank(standings: &mut [Standing], task: &Task) {
    let sign = if task.metric.is_some_and(|m| m.higher_is_better) { -1.0 } else { 1.0 };
    let metric = |s: &Standing| s.test_metric.as_ref().map_or(0.0, |m| sign * m.mean);
    let trial = |s: &Standing| s.trials.iter().map(|t| t.validation_loss).fold(f64::NAN, f64::min);
    let steps = |s: &Standing| if s.solved(task.floor) { s.mean_best_step() } else { 0.0 };
    standings.sort_by(|a, b| {
        (b.has_runs().cmp(&a.has_runs()))
            .then(a.test_loss.mean.total_cmp(&b.test_loss.mean))
            .then(steps(a).total_cmp(&steps(b)))
            .then(metric(a).total_cmp(&metric(b)))
            .then(trial(a).total_cmp(&trial(b)))
    });
}

/// Writes into the standings who may be the soonest, and so the best, where all runs were made and more than one
/// solves the task on every one of several seeds.
fn place_soonest(standings: &mut [Standing], task: &Task, seeds: usize) {
    let solved: Vec<usize> =
        (0..standings.len()).filter(|i| standings[*i].solved(task.floor)).collect();
    if seeds < 2 || solved.len() < 2 || standings.iter().any(|s| s.seeds.len() < seeds) {
        return;
    }
    let all: Vec<&Standing> = solved.iter().map(|i| &standings[*i]).collect();
    for (i, p) in solved.into_iter().zip(words::p_soonest(&all)) {
        standings[i].p_soonest = Some(p);
    }
    for standing in standings {
        standing.may_be_best = standing.p_soonest.is_some_and(|p| p >= compared::SIGNIFICANT);
    }
}

/// Profiles over every target of every task, the highest score first.
fn profiles_of(tasks: &[TaskOutcome]) -> Vec<Profile> {
    let mut solvers: Vec<String> = Vec::new();
    for standing in tasks.iter().flat_map(|t| &t.standings) {
        if !solvers.iter().any(|s| s == standing.optimizer) {
            solvers.push(standing.optimizer.to_owned());
        }
    }
    let cost = |solver: &str, task: &TaskOutcome, i: usize| {
        // Who was interrupted before the final runs has missed nothing.
        let own = |s: &&Standing| s.optimizer == solver && s.has_runs();
        let standing = task.standings.iter().find(own)?;
        Some(standing.to_target[i].median_gradients.unwrap_or(f64::INFINITY))
    };
    let costs: Vec<Vec<Option<f64>>> = solvers
        .iter()
        .map(|solver| {
            let of = |task: &TaskOutcome| {
                let targets = task.distinct_targets().into_iter();
                targets.map(|i| cost(solver, task, i)).collect::<Vec<_>>()
            };
            tasks.iter().flat_map(of).collect()
        })
        .collect();
    let mut profiles = profiles(&solvers, &costs);
    profiles.sort_by(|a, b| b.score.total_cmp(&a.score));
    profiles
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Silent, compare};
    use crate::{optimizers, tasks};

    /// A comparison on a task that some of its optimizers solve.
    fn solved() -> Outcome {
        let names = ["gd", "adagrad", "nesterov", "rmsprop"].map(str::to_owned);
        let plan = Plan {
            tasks: tasks::select(&["bowl@4".to_owned()], None).unwrap(),
            optimizers: Some(optimizers::select(&names).unwrap()),
            seeds: Some(3),
            trials: Some(8),
            budget: Some(500),
            tune: Vec::new(),
            targets: Vec::new(),
            study: 0,
            workers: 2,
        };
        compare(&plan, &Silent).unwrap()
    }

    #[test]
    fn of_those_that_solve_a_task_the_verdict_and_the_set_name_the_same() {
        let mut task = solved().tasks.remove(0);
        let solve = |s: &&Standing| s.solved(task.floor);
        let count = task.standings.iter().filter(solve).count();
        assert!(count > 1, "{}", task.verdict);
        assert_eq!(task.standings.iter().filter(|s| s.p_soonest.is_some()).count(), count);
        let soonest = task.may_be_best(0.05);
        assert!(soonest.len() < count, "{}", task.verdict);
        let told = task.verdict.split("confidence ").nth(1).unwrap();
        for standing in &task.standings {
            let name = standing.optimizer;
            assert_eq!(soonest.contains(&name), told.contains(name), "{name}: {}", task.verdict);
        }
        // Who is asked for more than 95 % rules out fewer.
        assert_eq!(task.may_be_best(0.0).len(), count);
        let marked = task.standings.iter().filter(|s| s.may_be_best).map(|s| s.optimizer);
        assert_eq!(marked.collect::<Vec<_>>(), soonest);
        // Where nobody solves it the losses decide.
        task.standings.iter_mut().for_each(|s| s.p_soonest = None);
        let lowest = task.standings.iter().filter(|s| s.p_best >= 0.05).count();
        assert_eq!(task.may_be_best(0.05).len(), lowest);
    }

    #[test]
    fn equal_targets_count_once() {
        let mut tasks = solved().tasks;
        let loss = tasks[0].targets[0].loss;
        let problems = |tasks: &[TaskOutcome]| profiles_of(tasks)[0].problems;
        tasks[0].targets[1].loss = 0.5 * loss;
        // Round-off makes no other target.
        tasks[0].targets[2].loss = loss * (1.0 + f64::from(f32::EPSILON));
        assert_eq!((tasks[0].distinct_targets(), problems(&tasks)), (vec![0, 1], 2));
    }

    #[test]
    fn who_has_no_final_runs_has_missed_no_target() {
        let mut tasks = solved().tasks;
        let whole = profiles_of(&tasks);
        let gone = tasks[0].standings[0].optimizer;
        tasks[0].standings[0].seeds.clear();
        let problems = |profiles: &[Profile], solver: &str| {
            profiles.iter().find(|p| p.solver == solver).unwrap().problems
        };
        let left = profiles_of(&tasks);
        assert!(problems(&whole, gone) > 0);
        assert_eq!(problems(&left, gone), 0);
        let other = tasks[0].standings[1].optimizer;
        assert_eq!(problems(&left, other), problems(&whole, other));
    }
}
