//! The tasks by name.

use super::super::{Domain, Family, Limit, Metric, Plane, Schedule, Task, Tier};
use super::streams::{JUMP, LATE, LateFeature, NoisyQuadratic, ScaleJump};
use super::surfaces::{Bowl, FlatToSteep, Regression, Rosenbrock, Saddle};
use crate::tasks::formula::{Function, open};
use crate::{Error, Result};

/// How far a run ends from the nearest minimum.
const DISTANCE: Metric =
    Metric { name: "distance to the minimum", higher_is_better: false, percent: false };

/// What the tasks have in common.
const COMMON: Task = Task {
    name: "",
    summary: "",
    groups: &["analytic"],
    tier: Tier::Smoke,
    data: "",
    loss: "value of the function",
    metric: Some(DISTANCE),
    domain: Domain::Free,
    limit: Limit::Times(1e3),
    floor: None,
    noisy: false,
    event: None,
    plane: None,
    open: |task| open(task, Saddle),
    batch: 0,
    budget: 500,
    trials: 16,
    seeds: 5,
    shortlist: &[],
    evaluations: 50,
    schedule: Schedule::Constant,
};

/// The floor of a task whose largest curvature at the minimum is `curvature`: the loss at a distance of
/// about `f32::EPSILON` from it, the nearest that a coordinate of size one can come. Minima at zero let
/// f32 go on to losses of 1e-90, in which only round-off would decide.
const fn resolution(curvature: f64) -> Option<f64> {
    Some(1e-14 * curvature)
}

/// The height of a function of two coordinates.
fn height(function: &impl Function, x: f64, y: f64) -> f64 {
    function.at(&[x, y], &mut [0.0; 2])
}

pub(in crate::tasks) const TASKS: &[Task] = &[
    Task {
        name: "bowl",
        summary: "quadratic bowl with curvatures 1, 10 and 100 along the axes",
        floor: resolution(100.0),
        budget: 200,
        open: |task| open(task, Bowl::new(&[1.0, 10.0, 100.0], false)),
        ..COMMON
    },
    Task {
        name: "bowl-rotated",
        summary: "the same bowl turned, so that no axis is one of its own",
        floor: resolution(100.0),
        budget: 200,
        open: |task| open(task, Bowl::new(&[1.0, 10.0, 100.0], true)),
        ..COMMON
    },
    Task {
        name: "rosenbrock",
        summary: "Rosenbrock's valley (1-x)^2 + 100 (y-x^2)^2 from near (-1.2, 1)",
        floor: resolution(1e3),
        groups: &["analytic", "plane"],
        plane: Some(&Plane {
            x: [-1.8, 1.6],
            y: [-0.6, 2.2],
            labels: ["x", "y"],
            value: &|x, y| height(&Rosenbrock, x, y),
            minima: &[[1.0, 1.0]],
        }),
        open: |task| open(task, Rosenbrock),
        budget: 1_000,
        ..COMMON
    },
    Task {
        name: "saddle",
        summary: "x^2/2 + (y^2-1)^2/4 from a start that leads to the saddle at the origin",
        floor: resolution(2.0),
        groups: &["analytic", "plane"],
        plane: Some(&Plane {
            x: [-0.8, 1.7],
            y: [-1.5, 1.5],
            labels: ["x", "y"],
            value: &|x, y| height(&Saddle, x, y),
            minima: &[[0.0, -1.0], [0.0, 1.0]],
        }),
        open: |task| open(task, Saddle),
        ..COMMON
    },
    Task {
        name: "regression",
        summary: "linear regression of ten points, condition number 313,418",
        groups: &["analytic", "plane"],
        loss: "sum of squared errors",
        // A hundred-millionth above the smallest sum, 101,936.729903.
        floor: Some(101_936.731),
        plane: Some(&Plane {
            x: [-200.0, -80.0],
            y: [-5.0, 5.0],
            labels: ["intercept b", "slope w"],
            value: &|b, w| height(&Regression, b, w),
            minima: &[[-188.433_196_657_3, 2.669_454_966_8]],
        }),
        open: |task| open(task, Regression),
        budget: 1_000,
        ..COMMON
    },
    Task {
        name: "flat-to-steep",
        summary: "one coordinate: a slope of 0.01, then a bowl of curvature 100",
        floor: resolution(100.0),
        open: |task| open(task, FlatToSteep),
        ..COMMON
    },
    Task {
        name: "scale-jump",
        summary: "a noisy bowl whose gradients become 100 times as large at evaluation 300",
        groups: &["analytic", "plane"],
        loss: "value of the function before the jump of its unit",
        noisy: true,
        event: Some(JUMP.0),
        // The jump itself is no divergence.
        limit: Limit::Times(1e5),
        plane: Some(&Plane {
            x: [-1.5, 3.5],
            y: [-1.5, 1.5],
            labels: ["x", "y"],
            value: &|x, y| height(&ScaleJump, x, y),
            minima: &[[0.0, 0.0]],
        }),
        open: |task| open(task, ScaleJump),
        ..COMMON
    },
    Task {
        name: "late-feature",
        summary: "five noisy coordinates, the last without a gradient until evaluation 300",
        noisy: true,
        event: Some(LATE),
        open: |task| open(task, LateFeature),
        ..COMMON
    },
    Task {
        name: "noisy-quadratic",
        summary: "20 curvatures from 0.01 to 1 with gradient noise of the same covariance",
        noisy: true,
        open: |task| open(task, NoisyQuadratic),
        ..COMMON
    },
];

pub(in crate::tasks) const FAMILIES: &[Family] = &[
    Family {
        name: "bowl",
        parameter: "condition number from 1 to 1e12",
        example: "bowl@1e4",
        summary: "quadratic bowl of two coordinates and any condition number, along the axes",
        make: |name, parameter| valley(name, parameter, false),
    },
    Family {
        name: "bowl-rotated",
        parameter: "condition number from 1 to 1e12",
        example: "bowl-rotated@1e4",
        summary: "the same, turned by 45 degrees",
        make: |name, parameter| valley(name, parameter, true),
    },
];

/// A bowl of two coordinates whose condition number is `parameter`.
fn valley(name: &'static str, parameter: &str, rotated: bool) -> Result<Task> {
    let steepest = condition(parameter)?;
    let value = move |x, y| height(&Bowl::new(&[1.0, steepest], rotated), x, y);
    let plane = Plane {
        x: [-1.6, 1.6],
        y: [-1.6, 1.6],
        labels: ["x", "y"],
        value: Box::leak(Box::new(value)),
        minima: &[[0.0, 0.0]],
    };
    let way = if rotated { "turned by 45 degrees" } else { "along the axes" };
    let summary = format!("quadratic bowl of two coordinates, condition number {parameter}, {way}");
    Ok(Task {
        name,
        summary: Box::leak(summary.into_boxed_str()),
        groups: &[],
        floor: resolution(steepest),
        plane: Some(Box::leak(Box::new(plane))),
        open: |task| {
            let (family, parameter) = task.name.split_once('@').unwrap_or((task.name, "1"));
            open(task, Bowl::new(&[1.0, condition(parameter)?], family.ends_with("rotated")))
        },
        ..COMMON
    })
}

fn condition(parameter: &str) -> Result<f64> {
    match parameter.parse() {
        Ok(condition @ 1.0..=1e12) => Ok(condition),
        _ => Err(Error::usage(
            format!("`{parameter}` is not a condition number"),
            "give a number from 1 to 1e12, as in bowl@1e4",
        )),
    }
}
