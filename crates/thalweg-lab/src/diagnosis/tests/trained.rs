//! What is found in runs of the laboratory's tasks, at rates that are far too high and at fair ones.

use super::*;
use crate::protocol::{Phase, RunSpec, train};
use crate::{optimizers, tasks};

/// The kinds and places of the warnings about a run.
fn warnings(task: &str, optimizer: &str, lr: f64, budget: usize) -> Vec<(Kind, Option<String>)> {
    let task = tasks::select(&[task.to_owned()], None).unwrap()[0];
    let entry = &optimizers::select(&[optimizer.to_owned()]).unwrap()[0];
    let spec = RunSpec::new(task, entry, vec![("lr", lr)], 1, budget);
    let run = train(&spec, &(task.open)(task).unwrap(), Phase::Final).unwrap();
    assert!(run.divergence.is_none(), "{:?}", run.divergence);
    let severe = run.findings.into_iter().filter(|f| f.severity > Severity::Note);
    severe.map(|f| (f.kind, f.parameter)).collect()
}

#[test]
fn a_rate_far_too_high_is_told_though_nothing_diverges() {
    let told = |task, optimizer, lr, budget, kind| {
        let found = warnings(task, optimizer, lr, budget);
        assert!(found.contains(&(kind, None)), "{task} {optimizer} {lr}: {found:?}");
        assert!(found.iter().all(|(kind, _)| *kind != Kind::SlowProgress), "{found:?}");
    };
    told("bowl", "gd", 0.0199, 200, Kind::Oscillation);
    told("noisy-quadratic", "gd", 1.9, 500, Kind::Oscillation);
    told("noisy-quadratic", "adam", 0.5, 500, Kind::Oscillation);
    told("digits-mlp", "adam", 0.1, 200, Kind::StartLost);
    told("lm-lincoln", "adam", 0.1, 60, Kind::StartLost);
}

#[test]
fn a_fair_rate_is_not() {
    for (task, optimizer, lr, budget) in [
        ("bowl", "gd", 0.015, 200),
        ("noisy-quadratic", "gd", 0.1, 500),
        ("noisy-quadratic", "adam", 0.02, 500),
        ("late-feature", "momentum", 0.02, 500),
        ("digits-mlp", "adam", 0.01, 200),
        ("lm-lincoln", "adam", 0.01, 60),
        // Three times as long as at the start, which is nothing to a matrix alone.
        ("digits-softmax", "gd", 3.4, 200),
    ] {
        let found = warnings(task, optimizer, lr, budget);
        assert!(found.is_empty(), "{task} {optimizer} {lr}: {found:?}");
    }
}
