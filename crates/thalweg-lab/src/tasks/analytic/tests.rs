//! Gradients against differences, minima against gradients, numbers against the sources.

use super::streams::{JUMP, LATE, LateFeature, NoisyQuadratic, ScaleJump};
use super::surfaces::{Bowl, FlatToSteep, Regression, Rosenbrock, Saddle};
use super::*;
use std::sync::Arc;

use crate::rng::Purpose;
use crate::tasks::formula::{Function, check_gradient};
use crate::tasks::{Gradient, Part};

fn functions() -> Vec<(&'static str, Box<dyn Function>)> {
    vec![
        ("bowl", Box::new(Bowl::new(&[1.0, 10.0, 100.0], false))),
        ("rotated", Box::new(Bowl::new(&[1.0, 10.0, 100.0], true))),
        ("rosenbrock", Box::new(Rosenbrock)),
        ("saddle", Box::new(Saddle)),
        ("flat-to-steep", Box::new(FlatToSteep)),
        ("regression", Box::new(Regression)),
        ("noisy-quadratic", Box::new(NoisyQuadratic)),
        ("scale-jump", Box::new(ScaleJump)),
        ("late-feature", Box::new(LateFeature)),
    ]
}

fn stream(step: u64) -> Stream {
    Stream::new("t", 1, Purpose::Noise, step)
}

#[test]
fn gradients_agree_with_differences() {
    for (name, function) in functions() {
        for trial in 0..5 {
            let mut x = function.start(&mut stream(trial));
            x.iter_mut().for_each(|x| *x += 0.05 * trial as f64);
            check_gradient(name, function.as_ref(), &x);
        }
    }
}

#[test]
fn minima_have_no_slope_and_no_lower_neighbour() {
    for (name, function) in functions() {
        for minimum in function.minima() {
            let mut gradient = vec![0.0; minimum.len()];
            let lowest = function.at(&minimum, &mut gradient);
            assert!(gradient.iter().all(|g| g.abs() < 1e-6), "{name}: {gradient:?}");
            for i in 0..minimum.len() {
                for offset in [-0.01, 0.01] {
                    let mut near = minimum.clone();
                    near[i] += offset;
                    assert!(function.at(&near, &mut gradient) > lowest, "{name}");
                }
            }
        }
    }
}

#[test]
fn the_regression_has_the_numbers_of_its_source() {
    let minimum = &Regression.minima()[0];
    assert!((minimum[0] + 188.433_196_657_3).abs() < 1e-9);
    assert!((minimum[1] - 2.669_454_966_8).abs() < 1e-9);
    let mut gradient = [0.0; 2];
    assert!((Regression.at(minimum, &mut gradient) / 10.0 - 10_193.672_990).abs() < 1e-6);
    // AdaGrad's second point from the source's start, lr 1, eps 0.
    Regression.at(&[-120.0, -4.0], &mut gradient);
    assert!(gradient.iter().all(|g| *g < 0.0));
    assert!((Regression.at(&[-119.0, -3.0], &mut gradient) / 10.0 - 2_624_774.0).abs() < 0.5);
}

#[test]
fn a_turned_bowl_has_the_same_curvatures_but_no_axis() {
    let (straight, turned) = (Bowl::new(&[1.0, 100.0], false), Bowl::new(&[1.0, 100.0], true));
    let mut g = [0.0; 2];
    let half = 0.5f64.sqrt();
    assert!((turned.at(&[half, half], &mut g) - straight.at(&[1.0, 0.0], &mut g)).abs() < 1e-12);
    assert!((turned.at(&[half, -half], &mut g) - straight.at(&[0.0, 1.0], &mut g)).abs() < 1e-12);
    // Both start at the same height.
    let [a, b] = [&straight, &turned].map(|bowl| bowl.start(&mut stream(0)));
    assert!((straight.at(&a, &mut g) - turned.at(&b, &mut g)).abs() < 1e-9);
    let mut g = [0.0; 3];
    let turned = Bowl::new(&[1.0, 10.0, 100.0], true);
    assert!((turned.at(&[1.0, 0.0, 0.0], &mut g) * 2.0 - 37.0).abs() < 1e-9);
}

#[test]
fn noise_has_mean_zero_and_variance_one() {
    let mut stream = stream(0);
    let draws: Vec<f64> = (0..20_000).map(|_| noise(&mut stream)).collect();
    let mean = draws.iter().sum::<f64>() / 2e4;
    let variance = draws.iter().map(|d| d * d).sum::<f64>() / 2e4;
    assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.03, "{mean} {variance}");
}

#[test]
fn jumps_and_late_features_come_at_their_step() {
    let seen = |function: &dyn Function, step: usize| {
        let x = function.start(&mut stream(0));
        let mut gradient = vec![0.0; x.len()];
        function.seen(step, &mut stream(7), &x, &mut gradient);
        gradient
    };
    let (before, after) = (seen(&ScaleJump, JUMP.0 - 1), seen(&ScaleJump, JUMP.0));
    assert!((after[0] / before[0] - JUMP.1).abs() < 1e-9);
    assert_eq!(seen(&LateFeature, LATE - 1)[4], 0.0);
    assert!(seen(&LateFeature, LATE)[4] < -1.0);
}

#[test]
fn floors_lie_just_above_the_minimum() {
    for name in TASKS.iter().map(|t| t.name).chain(["bowl@1e4", "bowl-rotated@1e8"]) {
        let task = crate::tasks::select(&[name.to_owned()], None).unwrap()[0];
        let workload = (task.open)(task).unwrap();
        let optimum = workload.optimum().unwrap();
        let mut problem = workload.problem(1).unwrap();
        let start = problem.evaluate(Part::Test, &mut problem.initial_values()).unwrap().loss;
        assert_eq!(task.floor.is_none(), task.noisy, "{name}: noise is its floor");
        if let Some(floor) = task.floor {
            assert!(floor > optimum && floor < optimum + 1e-9 * start, "{name}: {floor} {optimum}");
        }
    }
}

#[test]
fn problems_repeat_for_a_seed_and_differ_between_seeds() {
    for task in TASKS {
        let task = crate::tasks::select(&[task.name.to_owned()], None).unwrap()[0];
        let workload = (task.open)(task).unwrap();
        let optimum = workload.optimum().unwrap();
        let run = |seed: u64, step: usize| {
            let mut problem = Arc::clone(&workload).problem(seed).unwrap();
            let mut values = problem.initial_values();
            let mut gradients = vec![Gradient::default()];
            let loss = problem.gradient(step, &mut values, &mut gradients).unwrap();
            let measured = problem.evaluate(Part::Test, &mut values).unwrap();
            assert!(measured.loss > optimum && measured.metric.unwrap() > 0.0, "{}", task.name);
            (loss.to_bits(), gradients, values)
        };
        assert_eq!(run(1, 3), run(1, 3));
        assert_ne!(run(1, 3).2, run(2, 3).2, "{}", task.name);
        if let Some(plane) = task.plane {
            let start = run(1, 0).2[0].iter().map(|v| f64::from(*v)).collect::<Vec<_>>();
            let inside = |range: [f64; 2], v: f64| range[0] < v && v < range[1];
            assert!(inside(plane.x, start[0]) && inside(plane.y, start[1]), "{}", task.name);
        }
    }
}
