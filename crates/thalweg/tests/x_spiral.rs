//! X48: a small network on three spirals, end to end, one optimizer instance per matrix.

mod common;

use std::sync::OnceLock;

use common::prng::Rng;
use common::walk::{Walk, near, near_relative, printed, tuned};
use thalweg::Chain;
use thalweg::recipes::*;
use thalweg::rules::{MetaEgd, Scale};

const PER_CLASS: usize = 30;
const CLASSES: usize = 3;
const HIDDEN: usize = 16;
/// Two coordinates and the constant 1.
const INPUTS: usize = 3;
/// The hidden units and the constant 1.
const FEATURES: usize = HIDDEN + 1;

struct Problem {
    points: Vec<[f64; INPUTS]>,
    labels: Vec<usize>,
    first: [Vec<f64>; 2],
}

/// What one pass forward and backward yields.
struct Pass {
    loss: f64,
    accuracy: f64,
    gradients: [Vec<f64>; 2],
}

fn problem() -> &'static Problem {
    static PROBLEM: OnceLock<Problem> = OnceLock::new();
    PROBLEM.get_or_init(|| {
        let mut rng = Rng::new(2024);
        let count = PER_CLASS * CLASSES;
        let noise = rng.normal(count * 2);
        let labels: Vec<usize> = (0..count).map(|i| i / PER_CLASS).collect();
        let point = |i: usize| {
            let t = ((i % PER_CLASS) as f64 + 0.5) / PER_CLASS as f64;
            let turn = 2.0 * std::f64::consts::PI * labels[i] as f64 / CLASSES as f64;
            let (sin, cos) = (2.5 * t + turn).sin_cos();
            [t * cos + 0.05 * noise[2 * i], t * sin + 0.05 * noise[2 * i + 1], 1.0]
        };
        let points = (0..count).map(point).collect();
        let mut matrix = |rows: usize, columns: usize| -> Vec<f64> {
            let values = rng.normal(rows * columns);
            values.into_iter().map(|w| w / (columns as f64).sqrt()).collect()
        };
        let first = [matrix(HIDDEN, INPUTS), matrix(CLASSES, FEATURES)];
        Problem { points, labels, first }
    })
}

/// The hidden units of a point, with the constant 1 at the end.
fn hidden(weights: &[f64], point: &[f64; INPUTS]) -> [f64; FEATURES] {
    let mut units = [1.0; FEATURES];
    for (unit, row) in units.iter_mut().zip(weights.chunks(INPUTS)) {
        *unit = row.iter().zip(point).map(|(w, x)| w * x).sum::<f64>().tanh();
    }
    units
}

/// The class probabilities for these hidden units.
fn probabilities(weights: &[f64], units: &[f64; FEATURES]) -> [f64; CLASSES] {
    let mut logits = [0.0; CLASSES];
    for (logit, row) in logits.iter_mut().zip(weights.chunks(FEATURES)) {
        *logit = row.iter().zip(units).map(|(w, h)| w * h).sum();
    }
    let highest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers = logits.map(|z| (z - highest).exp());
    let sum: f64 = powers.iter().sum();
    powers.map(|p| p / sum)
}

fn pass(first: &[f64], second: &[f64]) -> Pass {
    let Problem { points, labels, .. } = problem();
    let count = points.len() as f64;
    let (mut loss, mut right) = (0.0, 0);
    let mut gradients = [vec![0.0; first.len()], vec![0.0; second.len()]];
    for (point, label) in points.iter().zip(labels) {
        let units = hidden(first, point);
        let p = probabilities(second, &units);
        loss -= p[*label].ln() / count;
        right += usize::from(p.iter().all(|other| *other <= p[*label]));
        let mut back = [0.0; FEATURES];
        for (class, p) in p.into_iter().enumerate() {
            let error = (p - f64::from(u8::from(class == *label))) / count;
            for (k, unit) in units.iter().enumerate() {
                gradients[1][class * FEATURES + k] += error * unit;
                back[k] += error * second[class * FEATURES + k];
            }
        }
        for k in 0..HIDDEN {
            let error = back[k] * (1.0 - units[k] * units[k]);
            for (i, x) in point.iter().enumerate() {
                gradients[0][k * INPUTS + i] += error * x;
            }
        }
    }
    Pass { loss, accuracy: right as f64 / count, gradients }
}

/// A row of the table: the loss after 10, 100 and 300 steps, the accuracy after 300, and the
/// steps until the loss is at most 0.1.
#[track_caller]
fn check(chain: Chain, losses: [f64; 3], accuracy: f64, steps: usize) {
    let mut layers = problem().first.each_ref().map(|w| Walk::new(chain.clone(), w));
    let mut now = pass(&layers[0].x, &layers[1].x);
    let mut reached = None;
    for t in 1..=3000 {
        for (layer, gradient) in layers.iter_mut().zip(&now.gradients) {
            layer.step(gradient);
        }
        now = pass(&layers[0].x, &layers[1].x);
        if now.loss <= 0.1 && reached.is_none() {
            reached = Some(t);
        }
        if let Some(at) = [10, 100, 300].iter().position(|at| *at == t) {
            near_relative(now.loss, losses[at], 1e-6);
        }
        if t == 300 {
            near(now.accuracy, accuracy, 5e-4);
        }
        if t >= 300 && reached.is_some() {
            break;
        }
    }
    assert_eq!(reached, Some(steps));
}

fn lr(chain: Chain, lr: f64) -> Chain {
    tuned(chain, &[("lr", lr)])
}

#[test]
fn x48_start() {
    let [first, second] = &problem().first;
    let start = pass(first, second);
    printed(start.loss, "1.245013845370");
    let square: f64 = start.gradients.iter().flatten().map(|g| g * g).sum();
    printed(square.sqrt(), "0.7405319011");
}

/// The backward pass is written by hand: against central differences in every coordinate.
#[test]
fn x48_gradient() {
    let step = 1e-5;
    let gradients = pass(&problem().first[0], &problem().first[1]).gradients;
    for layer in 0..2 {
        for k in 0..gradients[layer].len() {
            let loss = |by: f64| {
                let mut weights = problem().first.clone();
                weights[layer][k] += by;
                pass(&weights[0], &weights[1]).loss
            };
            let slope = (loss(step) - loss(-step)) / (2.0 * step);
            near(gradients[layer][k], slope, 1e-10);
        }
    }
}

#[test]
fn x48_gradient_descent() {
    check(lr(gd(), 0.5), [0.58223281, 0.26120033, 0.17227267], 0.944, 631);
}

#[test]
fn x48_nesterov() {
    check(lr(nesterov(), 0.2), [0.40133095, 0.13406478, 0.06824117], 0.967, 151);
}

#[test]
fn x48_adagrad() {
    check(lr(adagrad(), 0.1), [0.44106827, 0.21870194, 0.10328529], 0.978, 313);
}

#[test]
fn x48_rmsprop() {
    let chain = tuned(rmsprop(), &[("lr", 0.01), ("rho", 0.9)]);
    check(chain, [0.75357014, 0.21960335, 0.05851366], 0.967, 187);
}

#[test]
fn x48_adadelta() {
    check(adadelta(), [1.10148119, 0.42824768, 0.19788099], 0.922, 515);
}

#[test]
fn x48_adam() {
    check(lr(adam(), 0.02), [0.71552775, 0.20256108, 0.06603866], 0.967, 185);
}

#[test]
fn x48_adamw() {
    let chain = tuned(adamw(), &[("lr", 0.02), ("decay", 0.01)]);
    check(chain, [0.71609265, 0.20459570, 0.06772771], 0.967, 189);
}

#[test]
fn x48_adabelief() {
    check(lr(adabelief(), 0.02), [0.61502592, 0.13041610, 0.05670521], 0.978, 120);
}

#[test]
fn x48_meta_egd() {
    let gains = <MetaEgd>::default().gamma(1.0).clip(f64::INFINITY);
    let chain = Chain::new((gains, Scale::default().lr(0.5)));
    check(chain, [0.57398053, 0.25855048, 0.16456882], 0.933, 603);
}

#[test]
fn x48_egdd() {
    check(lr(egdd(), 0.1), [0.57808993, 0.17614937, 0.05230368], 0.978, 151);
}
