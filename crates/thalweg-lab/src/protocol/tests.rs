//! The protocol as a whole, on the digits.

use std::collections::HashMap;
use std::sync::Mutex;

use super::search::{Contest, Record};
use super::*;
use crate::tasks::{Gradient, Measurement, ParameterSpec, Part, Problem, Task};
use crate::{optimizers, tasks};

struct Counter(Mutex<HashMap<(String, &'static str), usize>>);

impl Observer for Counter {
    fn ended(&self, phase: Phase, run: &Run) {
        *self.0.lock().unwrap().entry((format!("{phase:?}"), run.spec.optimizer)).or_default() += 1;
    }
}

fn plan(workers: usize) -> Plan {
    Plan {
        tasks: tasks::select(&["digits-softmax".to_owned()], None).unwrap(),
        optimizers: Some(optimizers::select(&["adam".to_owned(), "adamw".to_owned()]).unwrap()),
        seeds: Some(3),
        trials: Some(4),
        budget: Some(60),
        tune: Vec::new(),
        targets: Vec::new(),
        study: 0,
        workers,
    }
}

fn silent() -> Counter {
    Counter(Mutex::new(HashMap::new()))
}

/// Everything but the clock.
fn fingerprint(outcome: &Outcome) -> String {
    let mut text = String::new();
    for standing in outcome.tasks.iter().flat_map(|t| &t.standings) {
        text += &format!("{} {:?} {:?}\n", standing.optimizer, standing.chosen, standing.test_loss);
        for seed in &standing.seeds {
            for p in &seed.points {
                text += &format!("{} {:?} {:?}\n", p.step, p.train_loss, p.validation);
            }
        }
    }
    text
}

#[test]
fn another_study_tunes_elsewhere_and_compares_on_the_same_seeds() {
    let of = |study| {
        let outcome = compare(&Plan { study, ..plan(2) }, &silent()).unwrap();
        let standing = |name: &str| {
            let standings = &outcome.tasks[0].standings;
            standings.iter().find(|s| s.optimizer == name).unwrap().clone()
        };
        (outcome.rules.tuning_seed, outcome.rules.repeat_seed, standing("adam"))
    };
    let (first, second) = (of(0), of(1));
    assert_eq!((first.0, first.1), (TUNING_SEED, REPEAT_SEED));
    assert!(second.0 > first.1 && second.1 > second.0);
    let seeds = |s: &Standing| s.seeds.iter().map(|s| s.seed).collect::<Vec<_>>();
    assert_eq!(seeds(&first.2), seeds(&second.2));
    assert_ne!(first.2.chosen, second.2.chosen);
}

#[test]
fn results_do_not_depend_on_how_many_run_at_once() {
    let alone = compare(&plan(1), &silent()).unwrap();
    let together = compare(&plan(3), &silent()).unwrap();
    assert_eq!(fingerprint(&alone), fingerprint(&together));
}

#[test]
fn every_optimizer_gets_the_same_budget() {
    let counter = silent();
    let outcome = compare(&plan(2), &counter).unwrap();
    let counts = counter.0.into_inner().unwrap();
    for name in ["adam", "adamw"] {
        for (phase, runs) in
            [("Default", 1), ("Screening", 4), ("Extension", 2), ("Repeat", 4), ("Final", 3)]
        {
            assert_eq!(counts[&(phase.to_owned(), name)], runs, "{phase}");
        }
    }
    for standing in &outcome.tasks[0].standings {
        assert_eq!(standing.gradients_spent, 14 * 60);
        assert_eq!((standing.runs, standing.trials.len()), (14, 6));
    }
}

#[test]
fn without_trials_the_defaults_are_compared() {
    let plan = Plan { trials: Some(0), ..plan(2) };
    let counter = silent();
    let outcome = compare(&plan, &counter).unwrap();
    let counts = counter.0.into_inner().unwrap();
    let of = |phase: &str| counts.get(&(phase.to_owned(), "adam")).copied();
    assert_eq!((of("Default"), of("Final")), (Some(1), Some(3)));
    assert_eq!(counts.len(), 4);
    let task = &outcome.tasks[0];
    assert!(!task.targets.is_empty() && !task.verdict.is_empty());
    for standing in &task.standings {
        assert!(standing.chosen.is_empty() && standing.declared.is_empty());
        assert!(standing.fixed.iter().any(|(hyper, _)| *hyper == "lr"));
    }
    assert!(outcome.cannot_say.iter().any(|words| words.starts_with("Nothing was tuned.")));
    assert!(outcome.rules.words.iter().all(|words| !words.contains("Sobol")));
    let tune = vec![("adam".to_owned(), optimizers::Range { hyper: "lr", low: 1e-3, high: 1.0 })];
    let error = compare(&Plan { tune, ..plan }, &silent()).unwrap_err();
    assert!(error.problem().contains("--trials 0"), "{error}");
}

#[test]
fn optimizers_share_start_and_trials() {
    let outcome = compare(&plan(2), &silent()).unwrap();
    let [a, b] = &outcome.tasks[0].standings[..] else { panic!("two standings") };
    for (a, b) in a.seeds.iter().zip(&b.seeds) {
        assert_eq!(a.points[0].validation, b.points[0].validation);
    }
    assert_ne!(a.seeds[0].points[0].validation, a.seeds[1].points[0].validation);
    let position = |s: &Standing, i: usize| {
        let r = s.ranges[0];
        (s.trials[i].hypers[0].1.ln() - r.low.ln()) / (r.high.ln() - r.low.ln())
    };
    for i in 0..4 {
        assert!((position(a, i) - position(b, i)).abs() < 1e-12);
    }
}

#[test]
fn tuning_never_sees_the_test_set() {
    struct NoTest;
    impl Observer for NoTest {
        fn ended(&self, phase: Phase, run: &Run) {
            assert_eq!(run.test.is_some(), phase == Phase::Final);
        }
    }
    compare(&plan(1), &NoTest).unwrap();
}

#[test]
fn divergence_is_counted_and_ranks_last() {
    let mut plan = plan(2);
    // The first optimizer is made to diverge in every trial and on every seed.
    let entries = plan.optimizers.as_mut().unwrap();
    (entries[0].tune[0].low, entries[0].tune[0].high) = (1e30, 1e35);
    let outcome = compare(&plan, &silent()).unwrap();
    let last = &outcome.tasks[0].standings[1];
    assert_eq!((last.optimizer, last.rank), ("adam", 2));
    // The screen was repeated three times at lower rates, with one trial less for what had been spent.
    assert_eq!((last.diverged_trials, last.diverged_seeds), (4 + 3 * 3 + 2, 3));
    assert_eq!((last.diverged_runs, last.runs), (22, 23));
    assert!(last.test_loss.mean.is_infinite() && !last.may_be_best);
    assert!(last.to_target.iter().all(|t| t.reached == 0 && t.median_gradients.is_none()));
}

#[test]
fn a_run_is_shown_after_each_measurement() {
    /// How many points were shown, and how many the runs had in the end.
    struct Shown(Mutex<[usize; 2]>);
    impl Observer for Shown {
        fn measured(&self, _: Phase, run: &Run) {
            assert!(run.points.last().is_some() && run.test.is_none());
            self.0.lock().unwrap()[0] += 1;
        }
        fn ended(&self, _: Phase, run: &Run) {
            self.0.lock().unwrap()[1] += run.points.len();
        }
    }
    let shown = Shown(Mutex::new([0; 2]));
    compare(&plan(2), &shown).unwrap();
    let [shown, kept] = shown.0.into_inner().unwrap();
    assert!(shown > 0 && shown == kept, "{shown} of {kept}");
}

#[test]
fn a_screen_in_which_all_diverge_is_repeated_lower_for_what_it_left() {
    struct Added(Mutex<Vec<&'static str>>);
    impl Observer for Added {
        fn ended(&self, _: Phase, _: &Run) {}
        fn added(&self, job: &Job) {
            self.0.lock().unwrap().push(job.spec.optimizer);
        }
    }
    let names = ["gd", "adam"].map(str::to_owned);
    let plan = Plan {
        tasks: tasks::select(&["regression".to_owned()], None).unwrap(),
        optimizers: Some(optimizers::select(&names).unwrap()),
        trials: Some(6),
        ..plan(2)
    };
    let added = Added(Mutex::new(Vec::new()));
    let outcome = compare(&plan, &added).unwrap();
    let task = &outcome.tasks[0];
    let standing = |name| task.standings.iter().find(|s| s.optimizer == name).unwrap();
    let (gd, adam) = (standing("gd"), standing("adam"));
    assert!(gd.test_loss.mean < 0.5 * task.initial_loss && gd.diverged_seeds == 0);
    // Above 2/λ = 1.14e-6 descent diverges, whatever the optimizer declares.
    assert!(gd.chosen[0].1 < 1.2e-6, "{:?}", gd.chosen);
    assert!(gd.extensions[0].all_diverged && gd.extensions[0].high == gd.declared[0].low);
    assert!(gd.ranges[0].low <= 1e-3 * gd.declared[0].low * 1.001);
    let extra = added.0.into_inner().unwrap();
    assert!(!extra.is_empty() && extra.iter().all(|name| *name == "gd"));
    assert_eq!((gd.trials.len(), adam.trials.len()), (8 + extra.len(), 8));
    assert!(gd.gradients_spent <= adam.gradients_spent, "{}", gd.gradients_spent);
    let numbers: Vec<usize> = gd.trials.iter().map(|t| t.number).collect();
    assert_eq!(numbers, (1..=gd.trials.len()).collect::<Vec<_>>());
}

#[test]
fn what_is_solved_is_ranked_by_how_soon() {
    let names = ["gd", "adagrad", "nesterov", "rmsprop"].map(str::to_owned);
    let plan = Plan {
        tasks: tasks::select(&["bowl@4".to_owned()], None).unwrap(),
        optimizers: Some(optimizers::select(&names).unwrap()),
        trials: Some(8),
        budget: Some(500),
        ..plan(2)
    };
    let outcome = compare(&plan, &silent()).unwrap();
    let task = &outcome.tasks[0];
    let solved: Vec<&Standing> = task.standings.iter().filter(|s| s.solved(task.floor)).collect();
    assert!(solved.len() > 1, "{}", task.verdict);
    assert!(solved.windows(2).all(|s| s[0].mean_best_step() <= s[1].mean_best_step()));
    for standing in &solved {
        assert!(Some(standing.test_loss.mean) == task.floor && standing.p_best == 1.0);
        assert_eq!(standing.may_be_best, standing.p_soonest.unwrap() >= 0.05);
        let lowest = standing.seeds.iter().flat_map(|s| &s.points).map(|p| p.validation.loss);
        assert!(lowest.fold(f64::INFINITY, f64::min) >= task.floor.unwrap());
    }
    let expected = format!("{} of 4 optimizers solve bowl@4 on every seed", solved.len());
    assert!(task.verdict.starts_with(&expected), "{}", task.verdict);
}

#[test]
fn of_trials_that_solve_a_task_the_soonest_is_chosen() {
    let names = ["gd", "adagrad", "rmsprop"].map(str::to_owned);
    let plan = Plan {
        tasks: tasks::select(&["bowl".to_owned()], None).unwrap(),
        optimizers: Some(optimizers::select(&names).unwrap()),
        trials: Some(16),
        budget: Some(400),
        ..plan(2)
    };
    let (task, workloads) = (plan.tasks[0], open(&plan).unwrap());
    let step = |r: &Record| r.run.best.unwrap().step;
    let mut choices = 0;
    for entry in plan.entries(task) {
        let mut contest = Contest::new(0, task, entry);
        for stage in [Contest::screening, Contest::repeats] {
            let made = stage(&contest, &plan).into_iter();
            let made = made.map(|job| perform(&job, &workloads, &Forgetful, &silent()).unwrap());
            contest.records.extend(made.flatten().collect::<Vec<_>>());
        }
        let solved = |r: &&&Record| Some(r.run.validation_loss()) == task.floor;
        let trials = contest.trials();
        let steps: Vec<usize> = trials.iter().filter(solved).map(|r| step(r)).collect();
        if steps.is_empty() {
            continue;
        }
        assert_eq!(Some(&step(contest.best(1)[0])), steps.iter().min());
        let repeated = |trial: usize| -> Option<f64> {
            let runs: Vec<&Record> =
                contest.of(Phase::Repeat).filter(|r| r.trial == trial).collect();
            let solves = runs.iter().filter(solved).count() == runs.len() && !runs.is_empty();
            solves.then(|| stats::mean(&runs.iter().map(|r| step(r) as f64).collect::<Vec<_>>()))
        };
        let sums: Vec<f64> = trials.iter().filter_map(|r| repeated(r.trial)).collect();
        if sums.len() > 1 {
            let soonest = sums.iter().copied().fold(f64::INFINITY, f64::min);
            assert_eq!(repeated(contest.chosen().unwrap().trial), Some(soonest));
            choices += 1;
        }
    }
    assert!(choices > 0, "no optimizer had a choice");
}

#[test]
fn weight_decay_is_no_part_of_a_formula_unless_asked_for() {
    let mut plan = Plan {
        tasks: tasks::select(&["bowl".to_owned(), "digits-softmax".to_owned()], None).unwrap(),
        ..plan(2)
    };
    let tuned = |plan: &Plan, task: usize| -> Vec<&str> {
        plan.entries(plan.tasks[task])[1].tune.iter().map(|range| range.hyper).collect()
    };
    assert_eq!(tuned(&plan, 0), ["lr"]);
    assert_eq!(tuned(&plan, 1), ["lr", "decay"]);
    let said = |plan: &Plan| {
        let outcome = compare(plan, &silent()).unwrap();
        outcome.rules.words.iter().any(|w| w.starts_with("On bowl weight decay is 0"))
    };
    assert!(said(&plan));
    let decay = optimizers::Range { hyper: "decay", low: 1e-3, high: 1.0 };
    plan.tune.push(("adamw".to_owned(), decay));
    assert_eq!(tuned(&plan, 0), ["lr", "decay"]);
    assert!(!said(&plan));
}

#[test]
fn where_gradients_are_noisy_the_end_counts_and_not_the_luckiest_moment() {
    let names = ["momentum", "adam", "meta_egd_adam", "gd"].map(str::to_owned);
    let plan = Plan {
        tasks: tasks::select(&["scale-jump".to_owned()], None).unwrap(),
        optimizers: Some(optimizers::select(&names).unwrap()),
        budget: None,
        ..plan(2)
    };
    let outcome = compare(&plan, &silent()).unwrap();
    let task = &outcome.tasks[0];
    let end = |seed: &SeedResult| {
        let late = seed.points.iter().filter(|p| p.step > 450).map(|p| p.validation.loss);
        stats::mean(&late.collect::<Vec<_>>())
    };
    let ends: Vec<f64> = task
        .standings
        .iter()
        .map(|s| {
            let ends: Vec<f64> = s.seeds.iter().map(end).collect();
            for (seed, end) in s.seeds.iter().zip(&ends) {
                let [test, validation] = [seed.test_loss, seed.validation_loss];
                assert!(seed.divergence.is_some() || (test == *end && validation == *end));
            }
            if s.diverged_seeds > 0 { f64::INFINITY } else { task.scale.typical(&ends) }
        })
        .collect();
    assert!(ends[0].is_finite() && ends.windows(2).all(|pair| pair[0] <= pair[1]), "{ends:?}");
    assert!(outcome.rules.words.iter().any(|w| w.starts_with("On scale-jump gradients are noisy")));
    // Whoever is ruled out lost to somebody in a test of the two alone.
    assert_eq!(task.pairs.len(), 6);
    for s in task.standings.iter().filter(|s| !s.may_be_best && s.diverged_seeds == 0) {
        let lost = |p: &&Pair| p.optimizers[1] == s.optimizer && p.distinguishable;
        assert!(task.pairs.iter().any(|p| lost(&p)), "{}", s.optimizer);
    }
}

/// Their measurements go down to the floor and up again; what counts is from when on they stay there.
#[test]
fn who_solves_a_task_with_noise_is_ranked_by_when_it_is_there_for_good() {
    let names = ["momentum", "nesterov", "gd"].map(str::to_owned);
    let plan = Plan {
        tasks: tasks::select(&["experts".to_owned()], None).unwrap(),
        optimizers: Some(optimizers::select(&names).unwrap()),
        trials: Some(16),
        budget: None,
        ..plan(2)
    };
    let outcome = compare(&plan, &silent()).unwrap();
    let (task, floor) = (&outcome.tasks[0], plan.tasks[0].floor.unwrap());
    let solved: Vec<&Standing> = task.standings.iter().filter(|s| s.solved(Some(floor))).collect();
    assert!(solved.len() > 1 && task.noisy, "{}", task.verdict);
    for seed in solved.iter().flat_map(|s| &s.seeds) {
        let (before, there) = seed
            .points
            .split_at(seed.points.iter().position(|p| p.step == seed.best_step).unwrap());
        assert!(there.iter().all(|p| p.validation.loss == floor));
        assert!(before.last().is_some_and(|p| p.validation.loss > floor));
    }
    assert!(solved.windows(2).all(|s| s[0].mean_best_step() <= s[1].mean_best_step()));
    assert!(solved[0].mean_best_step() < 0.9 * task.budget as f64, "{}", task.verdict);
}

/// What an optimizer with an average is judged at is the average of its steps, of which the trajectory tells.
#[test]
fn averages_are_what_is_judged() {
    let task = tasks::select(&["bowl@4".to_owned()], None).unwrap()[0];
    let trained = |name: &str| {
        let entry = &optimizers::select(&[name.to_owned()]).unwrap()[0];
        let spec = RunSpec::new(task, entry, vec![("lr", 0.01)], 1, 100);
        train(&spec, &(task.open)(task).unwrap(), Phase::Final).unwrap()
    };
    let (plain, averaged) = (trained("adam"), trained("weight_average"));
    assert_eq!(plain.trajectory, averaged.trajectory, "training itself is the same");
    let [_, steps @ ..] = &averaged.trajectory[..] else { panic!("no steps") };
    let keep = |old: [f64; 2], new: &[f64; 2]| [0, 1].map(|i| 0.999 * old[i] + 0.001 * new[i]);
    let [x, y] = steps[1..].iter().fold(steps[0], keep);
    let expected = (task.plane.unwrap().value)(x, y);
    for judged in [averaged.points.last().unwrap().validation.loss, averaged.test.unwrap().loss] {
        assert!((judged / expected - 1.0).abs() < 1e-4, "{judged} {expected}");
    }
    assert!(expected > 1.1 * plain.test.unwrap().loss);
}

/// Time passes by gradient evaluations: an optimizer that takes two per step meets the event when all do.
#[test]
fn an_event_comes_for_all_at_the_same_cost() {
    let task = tasks::select(&["late-feature".to_owned()], None).unwrap()[0];
    for name in ["momentum", "sam"] {
        let entry = &optimizers::select(&[name.to_owned()]).unwrap()[0];
        let spec = RunSpec::new(task, entry, vec![("lr", 0.1)], 1, 500);
        let run = train(&spec, &(task.open)(task).unwrap(), Phase::Final).unwrap();
        let at = |step: usize| run.points.iter().find(|p| p.step >= step).unwrap().validation.loss;
        // The unseen coordinate is two away from where it should be.
        assert!((at(290) - 2.0).abs() < 0.2 && run.test.unwrap().loss < 0.2, "{name}");
    }
    let plan = Plan { tasks: vec![task], ..plan(2) };
    let outcome = compare(&plan, &silent()).unwrap();
    assert!(outcome.cannot_say.iter().any(|w| w.contains("runs of 60 end before it")));
}

#[test]
fn curves_average_as_the_ranking_does() {
    let plan = Plan { tasks: tasks::select(&["rosenbrock".to_owned()], None).unwrap(), ..plan(2) };
    let task = &compare(&plan, &silent()).unwrap().tasks[0];
    assert!(matches!(task.scale, stats::scale::Scale::Above(_)));
    let first = &task.standings[0];
    for (i, point) in first.curve.iter().enumerate() {
        let losses: Vec<f64> = first.seeds.iter().map(|s| s.points[i].validation.loss).collect();
        assert_eq!(point.validation_loss.mean, task.scale.typical(&losses));
    }
}

#[test]
fn one_seed_rules_nothing_out() {
    let mut plan = Plan { seeds: Some(1), ..plan(2) };
    let entries = plan.optimizers.as_mut().unwrap();
    (entries[0].tune[0].low, entries[0].tune[0].high) = (1e30, 1e35);
    let task = &compare(&plan, &silent()).unwrap().tasks[0];
    assert!(task.standings[1].test_loss.mean.is_infinite());
    assert!(task.standings.iter().all(|s| s.may_be_best && s.p_best == 1.0));
    assert!(
        task.verdict.ends_with("One seed rules nothing out: any of the others may be the best.")
    );
}

#[test]
fn the_verdict_is_corrected_for_the_comparisons_it_makes() {
    let names = ["adam", "adamw", "gd", "lion", "adagrad"].map(str::to_owned);
    let plan =
        Plan { optimizers: Some(optimizers::select(&names).unwrap()), seeds: Some(4), ..plan(2) };
    let outcome = compare(&plan, &silent()).unwrap();
    let task = &outcome.tasks[0];
    // Of ranks 1 and 2 only the second can be worse, and by its test against the first or a later one.
    let [first, second] = [&task.standings[0], &task.standings[1]];
    assert!(first.may_be_best && first.p_best == 1.0);
    let losses = |s: &Standing| s.seeds.iter().map(|r| r.test_loss).collect::<Vec<f64>>();
    let p = stats::paired_p(&losses(second), &losses(first));
    assert!(second.p_best <= 4.0 * 0.5 * p + 1e-12);
    let best: Vec<&str> =
        task.standings.iter().filter(|s| s.may_be_best).map(|s| s.optimizer).collect();
    let verdict = &task.verdict;
    match best.len() {
        5 => assert!(verdict.contains("none of the others"), "{verdict}"),
        1 => assert!(verdict.contains("all others are ruled out"), "{verdict}"),
        _ => assert!(best.iter().all(|name| verdict.contains(name)), "{verdict}"),
    }
    assert!(outcome.rules.words.iter().any(|w| w.contains("0.0625")), "2⁻⁴ of a sign test");
}

#[test]
fn an_optimum_at_the_edge_is_flagged() {
    let mut plan = plan(2);
    let entries = plan.optimizers.as_mut().unwrap();
    entries.truncate(1);
    (entries[0].tune[0].low, entries[0].tune[0].high) = (1e-8, 1e-5);
    let outcome = compare(&plan, &silent()).unwrap();
    let standing = &outcome.tasks[0].standings[0];
    assert_eq!(standing.edges, [Edge { hyper: "lr", side: Side::High }]);
    // Each round has searched one more decade beyond the edge.
    let ends: Vec<f64> = standing.extensions.iter().map(|e| e.high).collect();
    assert_eq!(ends, [1e-5 * 10.0, 1e-5 * 10.0 * 10.0]);
    let beyond: Vec<f64> = standing
        .trials
        .iter()
        .filter(|t| t.phase == Phase::Extension)
        .map(|t| t.hypers[0].1)
        .collect();
    assert!(beyond[0] > 1e-5 && beyond[0] < 1e-4 && beyond[1] > 1e-4 && beyond[1] < 1e-3);
    assert_eq!(standing.ranges[0].high, ends[1]);
}

#[test]
fn nothing_to_do_is_a_usage_error() {
    for plan in [
        Plan { seeds: Some(0), ..plan(1) },
        Plan { budget: Some(0), ..plan(1) },
        Plan { optimizers: Some(Vec::new()), ..plan(1) },
    ] {
        assert_eq!(compare(&plan, &silent()).unwrap_err().exit_code(), 2);
    }
}

/// A workload that remembers of which batches gradients were taken.
struct Watched {
    inner: Arc<dyn Workload>,
    batches: Arc<Mutex<Vec<usize>>>,
}

struct WatchedProblem {
    inner: Box<dyn Problem>,
    batches: Arc<Mutex<Vec<usize>>>,
}

impl Workload for Watched {
    fn problem(self: Arc<Self>, seed: u64) -> Result<Box<dyn Problem>> {
        let inner = Arc::clone(&self.inner).problem(seed)?;
        Ok(Box::new(WatchedProblem { inner, batches: Arc::clone(&self.batches) }))
    }

    fn parameters(&self) -> Vec<ParameterSpec> {
        self.inner.parameters()
    }
}

impl Problem for WatchedProblem {
    fn parameters(&self) -> &[ParameterSpec] {
        self.inner.parameters()
    }

    fn initial_values(&self) -> Vec<Vec<f32>> {
        self.inner.initial_values()
    }

    fn prepare(&mut self, step: usize) -> Result<()> {
        self.inner.prepare(step)
    }

    fn gradient(
        &mut self,
        step: usize,
        values: &mut [Vec<f32>],
        gradients: &mut [Gradient],
    ) -> Result<f64> {
        self.batches.lock().unwrap().push(step);
        self.inner.gradient(step, values, gradients)
    }

    fn evaluate(&mut self, part: Part, values: &mut [Vec<f32>]) -> Result<Measurement> {
        self.inner.evaluate(part, values)
    }
}

/// A final run on digits, and the batches of its gradients.
fn watched(optimizer: &str, hypers: Vec<(&'static str, f64)>, budget: usize) -> (Run, Vec<usize>) {
    let task: &'static Task = tasks::select(&["digits-mlp".to_owned()], None).unwrap()[0];
    let batches = Arc::new(Mutex::new(Vec::new()));
    let inner = (task.open)(task).unwrap();
    let workload: Arc<dyn Workload> = Arc::new(Watched { inner, batches: Arc::clone(&batches) });
    let entry = &optimizers::select(&[optimizer.to_owned()]).unwrap()[0];
    let spec = RunSpec::new(task, entry, hypers, 5, budget);
    let run = train(&spec, &workload, Phase::Final).unwrap();
    let batches = batches.lock().unwrap().clone();
    (run, batches)
}

#[test]
fn both_gradients_of_a_step_are_counted_and_see_the_same_batch() {
    for (name, budget) in [("sam", 60), ("asam", 61), ("sam_adamw", 60)] {
        let (run, batches) = watched(name, vec![("lr", 0.01), ("rho", 0.1)], budget);
        let twice: Vec<usize> = (0..30).flat_map(|batch| [batch, batch]).collect();
        assert_eq!(batches, twice, "{name}");
        assert_eq!((run.gradients, run.points.last().unwrap().step), (60, 60));
        assert!(run.points.iter().all(|p| p.step % 2 == 0));
        assert!(run.divergence.is_none() && run.test.is_some());
        assert!(run.gradient_seconds > 0.0 && run.optimizer_seconds > 0.0);
        let (again, _) = watched(name, vec![("lr", 0.01), ("rho", 0.1)], budget);
        assert_eq!(first_difference(&run, &again), None);
    }
}

#[test]
fn without_a_radius_sam_is_the_optimizer_inside_on_half_the_budget() {
    let (sam, _) = watched("sam", vec![("lr", 0.05), ("rho", 0.0)], 80);
    let (plain, _) = watched("momentum", vec![("lr", 0.05)], 40);
    let end = |run: &Run| run.points.last().unwrap().validation;
    assert_eq!(end(&sam), end(&plain));
    // The learning rate has gone its whole way, warm-up and fall.
    let rates = |run: &Run| run.probes.iter().map(|p| (p.step, p.lr)).collect::<Vec<_>>();
    assert_eq!(rates(&sam), rates(&plain));
    let radius = watched("sam", vec![("lr", 0.05), ("rho", 0.2)], 80).0;
    assert_ne!(end(&radius), end(&plain));
    let stretched = watched("asam", vec![("lr", 0.05), ("rho", 0.2)], 80).0;
    assert_ne!(end(&radius), end(&stretched));
}

#[test]
fn clocks_know_how_many_gradients_a_step_takes() {
    let names = ["momentum", "sam"].map(str::to_owned);
    let chosen = Some(optimizers::select(&names).unwrap());
    let plan = Plan { optimizers: chosen, budget: Some(61), ..plan(2) };
    let outcome = compare(&plan, &silent()).unwrap();
    let task = &outcome.tasks[0];
    for (name, gradients, steps) in [("momentum", 61, 61), ("sam", 60, 30)] {
        let standing = task.standings.iter().find(|s| s.optimizer == name).unwrap();
        let end = standing.curve.last().unwrap();
        assert_eq!((end.gradients, end.step, end.samples), (gradients, steps, steps * task.batch));
        let runs = standing.runs - standing.diverged_runs;
        assert!(standing.gradients_spent >= runs * gradients);
    }
    let told = |w: &String| w.starts_with("sam takes two gradients");
    assert!(outcome.rules.words.iter().any(told));
}
