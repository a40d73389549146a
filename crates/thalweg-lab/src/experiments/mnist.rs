//! X48 on MNIST: the same table on real data.

use super::figure::{Axis, Figure};
use super::{Experiment, Record, Verdict};
use crate::data::{self, State};
use crate::protocol::{FIRST_SEED, Phase, Run, RunSpec, train};
use crate::{Result, optimizers, tasks};

pub(super) const ALL: &[Experiment] = &[Experiment {
    name: "mnist",
    row: "X48",
    source: "000 §12.2; 004 §10.5",
    claim: "Adam reaches the target in fewer steps than SGD, at the same time per step",
    correct: "the source's numbers are invented (it says so); these are measured",
    errata: &["E74"],
    features: &["F055", "F057", "F141", "F147"],
    expected: Verdict::HoldsIf("SGD has no momentum"),
    run,
}];

const TASK: &str = "mnist-mlp";
/// Gradient evaluations of a run.
const BUDGET: usize = 2_000;
/// Validation loss, in nats, at which a run has arrived.
const TARGET: f64 = 0.12;

/// Usual learning rates for a network of this size; no method is tuned.
const METHODS: &[(&str, f64)] = &[
    ("gd", 0.1),
    ("nesterov", 0.05),
    ("adagrad", 0.02),
    ("rmsprop", 1e-3),
    ("adam", 1e-3),
    ("adamw", 1e-3),
    ("adabelief", 1e-3),
    ("egdd", 0.05),
];

fn run(r: &mut Record) -> Result<()> {
    if data::state(data::find("mnist")?)? == State::Absent {
        r.not_run(
            "MNIST is not on this machine; fetch it with `thalweg data get mnist`".to_owned(),
        );
        return Ok(());
    }
    let task = tasks::select(&[TASK.to_owned()], None)?[0];
    let workload = (task.open)(task)?;
    let mut figure = Figure::new(
        "mnist",
        "A multi-layer perceptron on MNIST: validation loss by step",
        Axis::linear("step"),
        Axis::log("validation loss"),
    );
    let mut arrivals = vec![];
    for (name, lr) in METHODS {
        let entry = &optimizers::select(&[(*name).to_owned()])?[0];
        let spec = RunSpec::new(task, entry, vec![("lr", *lr)], FIRST_SEED, BUDGET);
        let run = train(&spec, &workload, Phase::Final)?;
        let steps = arrival(&run);
        note(r, name, &run, steps);
        arrivals.push((*name, steps.unwrap_or(usize::MAX)));
        let curve = run.points.iter().map(|p| (p.step as f64, p.validation.loss));
        figure = figure.line(name, curve.collect::<Vec<_>>());
    }
    r.figure(figure.bound("target", [(0.0, TARGET), (BUDGET as f64, TARGET)]));
    let steps =
        |name: &str| arrivals.iter().find(|(n, _)| *n == name).map_or(usize::MAX, |(_, s)| *s);
    for other in ["gd", "nesterov"] {
        r.claim(&format!("Adam against {other}"), steps("adam") < steps(other));
    }
    Ok(())
}

/// The step of the first evaluation at the target.
fn arrival(run: &Run) -> Option<usize> {
    run.points.iter().find(|p| p.validation.loss <= TARGET).map(|p| p.step)
}

fn note(r: &mut Record, name: &str, run: &Run, steps: Option<usize>) {
    let seconds = run.gradient_seconds + run.optimizer_seconds;
    let step = seconds / run.gradients.max(1) as f64;
    let steps = steps.map_or(f64::INFINITY, |s| s as f64);
    r.note(&format!("{name}, steps to a validation loss of {TARGET}"), steps);
    r.note(&format!("{name}, milliseconds per step"), 1e3 * step);
    r.note(&format!("{name}, seconds to a validation loss of {TARGET}"), step * steps);
    r.note(&format!("{name}, best validation loss"), run.validation_loss());
}
