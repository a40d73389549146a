//! The diagnosis of whole comparisons: what it must not say of tasks without noise, of runs that solved
//! their task, and against what the trials have shown.

use thalweg_lab::diagnosis::{Finding, Kind};
use thalweg_lab::protocol::{Phase, Plan, RunSpec, Silent, compare, train};
use thalweg_lab::{optimizers, tasks};

/// What is found in final runs of these seeds.
fn found(task: &str, optimizer: &str, lr: f64, seeds: u64) -> Vec<Vec<Finding>> {
    let task = tasks::select(&[task.to_owned()], None).unwrap()[0];
    let entry = &optimizers::select(&[optimizer.to_owned()]).unwrap()[0];
    let workload = (task.open)(task).unwrap();
    let one = |seed| {
        let spec = RunSpec::new(task, entry, vec![("lr", lr)], seed, task.budget);
        train(&spec, &workload, Phase::Final).unwrap().findings
    };
    (1..=seeds).map(one).collect()
}

fn count(found: &[Vec<Finding>], kind: Kind) -> usize {
    found.iter().filter(|of| of.iter().any(|f| f.kind == kind)).count()
}

#[test]
fn a_change_of_exact_gradients_is_no_noise() {
    for (task, optimizer, lr) in [
        ("rosenbrock", "lion", 1e-2),
        ("rosenbrock", "sign_sgd", 1e-2),
        ("regression", "lion", 1.0),
    ] {
        let found = found(task, optimizer, lr, 5);
        assert_eq!(count(&found, Kind::NoiseDominates), 0, "{task}/{optimizer}");
    }
}

/// At a rate of 0.3 the steps turn the gradient round as often as not, and two seeds of five were told of a
/// noise that hides it.
#[test]
fn a_noisy_formula_is_judged_alike_on_all_seeds() {
    for lr in [0.3, 0.03, 0.003] {
        let found = found("noisy-quadratic", "gd", lr, 5);
        let count = count(&found, Kind::NoiseDominates);
        assert!(count == 0 || count == 5, "rate {lr}: {count} of 5 seeds");
    }
}

#[test]
fn a_solved_run_is_not_slow() {
    // At this rate all seeds come to the floor, and to it along one direction.
    let saddle = tasks::select(&["saddle".to_owned()], None).unwrap()[0];
    let entry = &optimizers::select(&["gd".to_owned()]).unwrap()[0];
    let workload = (saddle.open)(saddle).unwrap();
    for seed in 1..=5 {
        let spec = RunSpec::new(saddle, entry, vec![("lr", 0.2)], seed, saddle.budget);
        let run = train(&spec, &workload, Phase::Final).unwrap();
        assert_eq!(run.best.map(|p| p.validation.loss), saddle.floor);
        assert!(run.findings.iter().all(|f| f.kind != Kind::SlowProgress), "{:?}", run.findings);
    }
}

#[test]
fn advice_stays_below_the_rates_that_diverged() {
    let plan = Plan {
        tasks: tasks::select(&["rosenbrock".to_owned()], None).unwrap(),
        optimizers: Some(optimizers::select(&["gd".to_owned()]).unwrap()),
        seeds: None,
        trials: None,
        budget: None,
        tune: Vec::new(),
        targets: Vec::new(),
        study: 0,
        workers: 2,
    };
    let outcome = compare(&plan, &Silent).unwrap();
    let standing = &outcome.tasks[0].standings[0];
    let slow = standing.findings.iter().find(|f| f.kind == Kind::SlowProgress).unwrap();
    assert!(slow.change.contains("times this rate diverged"), "{}", slow.change);
    let lr = standing.chosen[0].1;
    let diverged = standing.trials.iter().filter(|t| t.divergence.is_some());
    let least = diverged.map(|t| t.hypers[0].1).fold(f64::INFINITY, f64::min);
    assert!(slow.change.contains(&format!("{:.2} times", least / lr)), "{}", slow.change);
}
