//! Small runs that are looked at.

mod found;
mod measured;
mod trained;

use std::borrow::Cow;
use std::num::NonZeroU64;

use thalweg::{Builder, Chain, Optimizer, Param, Probe as Watch, Storage, rules::ClipNorm};
use thalweg::{QUANTILES, recipes::*, registry};

use super::*;
use crate::rng::{Purpose, Stream};
use crate::tasks::{Gradient, ParameterSpec};

/// The loss and gradients of a small task, and its parameters with their start.
struct Bench {
    parameters: Vec<ParameterSpec>,
    start: Vec<Vec<f32>>,
    gradient: Box<dyn Fn(usize, &[Vec<f32>]) -> (f64, Vec<Vec<f32>>)>,
}

fn spec(name: &str, shape: &[usize]) -> ParameterSpec {
    ParameterSpec { name: name.to_owned(), shape: shape.to_vec(), fan_in: 1 }
}

/// The bowl `(x₁² + 10·x₂² + 100·x₃²)/2` times `scale`, with noise of that deviation on the gradient.
fn bowl(scale: f64, noise: f32) -> Bench {
    let curvature = [1.0, 10.0, 100.0];
    Bench {
        parameters: vec![spec("x", &[1, 3])],
        start: vec![vec![1.0; 3]],
        gradient: Box::new(move |step, values| {
            let mut stream = Stream::new("bowl", 1, Purpose::Order, step as u64);
            let x = || values[0].iter().zip(curvature);
            let loss = x().map(|(x, c)| scale * c * f64::from(*x).powi(2) / 2.0).sum();
            let g = x().map(|(x, c)| {
                let normal: f32 = (0..12).map(|_| stream.uniform()).sum::<f32>() - 6.0;
                (scale * c) as f32 * x + noise * normal
            });
            (loss, vec![g.collect()])
        }),
    }
}

/// Probes of a run, and why it ended.
fn walk(builder: Builder, bench: &Bench, steps: usize) -> (Vec<Probe>, Option<usize>) {
    walk_at(10, builder, bench, steps)
}

/// The same, looked at every so many steps.
fn walk_at(
    every: usize,
    builder: Builder,
    bench: &Bench,
    steps: usize,
) -> (Vec<Probe>, Option<usize>) {
    let mut optimizer: Optimizer<f32> = builder.threads(1).build().unwrap();
    let hyper = |name| optimizer.groups().find_map(|(_, chain)| chain.hyper(name).ok());
    let memory = ["beta1", "momentum"].into_iter().find_map(hyper).map_or(0.0, |h| h.value(0));
    let mut recorder = Recorder::new(every, &bench.parameters, memory, 0.0);
    let mut values = bench.start.clone();
    let initial = (bench.gradient)(0, &values).0;
    for step in 1..=steps {
        let (loss, gradients) = (bench.gradient)(step, &values);
        if !loss.is_finite() || loss > 1e3 * initial {
            return (recorder.into_probes(), Some(step));
        }
        let views: Vec<Cow<'_, [f32]>> = gradients.iter().map(|g| Cow::Borrowed(&g[..])).collect();
        recorder.see(&gradients.iter().cloned().map(Gradient::Dense).collect::<Vec<_>>());
        recorder.before(step, &values, &views);
        let mut params: Vec<Param<'_, f32>> = (bench.parameters.iter().zip(&mut values))
            .zip(&gradients)
            .map(|((p, x), g)| Param::new(&p.name, &p.shape, x, g))
            .collect();
        let due = if recorder.is_due(step) { 1 } else { u64::MAX };
        optimizer.probe_every(NonZeroU64::new(due).unwrap());
        let report = optimizer.step(&mut params).unwrap();
        recorder.after(step, loss, &values, &views, &optimizer, &report);
    }
    (recorder.into_probes(), None)
}

fn watched(chain: Chain) -> Builder {
    let mut builder = Optimizer::<f32>::builder();
    for watch in [Watch::Gains, Watch::Moments] {
        if chain.is_seen_by(watch) {
            builder = builder.probe(watch);
        }
    }
    builder.rest("all", chain)
}

fn tuned(name: &str, hypers: &[(&str, f64)]) -> Builder {
    watched(registry::build(name, hypers).unwrap())
}

fn findings(builder: Builder, bench: &Bench, steps: usize) -> Vec<Finding> {
    let (probes, ended) = walk(builder, bench, steps);
    let divergence = ended.map(|step| (step, "the loss is out of bounds"));
    diagnose(&Case { divergence, ..CASE }, &probes)
}

const CASE: Case<'static> = Case {
    divergence: None,
    batch: Some(1),
    solved: false,
    losses: None,
    bounded: false,
    memory: 0.0,
};

#[track_caller]
fn only(findings: &[Finding], kind: Kind) -> Finding {
    let found: Vec<&Finding> = findings.iter().filter(|f| f.kind == kind).collect();
    let kinds: Vec<Kind> = findings.iter().map(|f| f.kind).collect();
    assert_eq!(found.len(), 1, "{kinds:?}");
    found[0].clone()
}

/// What was found of a kind in a parameter, or in the whole run.
fn at<'f>(findings: &'f [Finding], kind: Kind, parameter: Option<&str>) -> Option<&'f Finding> {
    findings.iter().find(|f| f.kind == kind && f.parameter.as_deref() == parameter)
}

#[track_caller]
fn healthy(builder: Builder, bench: &Bench, steps: usize) {
    let found = findings(builder, bench, steps);
    assert!(found.is_empty(), "{found:#?}");
}
