//! X26–X30: what step sizes have to do with curvature, and what they have not.

mod common;

use common::prng::Rng;
use common::walk::{Walk, bowl, bowl_gradient, near, near_relative, printed, tuned};
use proptest::prelude::*;
use thalweg::recipes::*;
use thalweg::{Chain, Optimizer, Param};

/// The slope of `3w² − 12w + 5`.
fn slope(x: &[f64]) -> Vec<f64> {
    vec![6.0 * x[0] - 12.0]
}

/// Where gradient descent at this rate is after each step from 10.
fn parabola(lr: f64, slope: impl Fn(&[f64]) -> Vec<f64>, count: usize) -> Vec<f64> {
    let mut walk = Walk::new(tuned(gd(), &[("lr", lr)]), &[10.0]);
    let mut places = vec![];
    for _ in 0..count {
        walk.descend(1, &slope);
        places.push(walk.x[0]);
    }
    places
}

#[test]
fn x26_one_parameter() {
    let last = |lr| parabola(lr, slope, 50)[49];
    near(parabola(1.0 / 6.0, slope, 1)[0], 2.0, 1e-12);
    for (place, want) in parabola(1.0 / 3.0, slope, 50).into_iter().zip([-6.0, 10.0].repeat(25)) {
        near(place, want, 1e-9);
    }
    printed((last(1.9 / 6.0) - 2.0).abs(), "0.04123");
    printed((last(2.1 / 6.0) - 2.0).abs(), "939.1");
    near((last(2.0 / 6.0) - 2.0).abs(), 8.0, 1e-9);
    // The source's derivative, a·w + b, has its root elsewhere (E44).
    near(parabola(1.0 / 3.0, |x| vec![3.0 * x[0] - 12.0], 1)[0], 4.0, 1e-12);
}

const PAIR: [f64; 2] = [1.0, 100.0];

fn norm(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// By what factor one late step of gradient descent on `(x₁² + 100·x₂²)/2` shrinks the error.
fn asymptotic_ratio(lr: f64) -> f64 {
    let gradient = |x: &[f64]| vec![PAIR[0] * x[0], PAIR[1] * x[1]];
    let mut walk = Walk::new(tuned(gd(), &[("lr", lr)]), &[1.0, 1.0]);
    walk.descend(3000, gradient);
    let before = norm(&walk.x);
    walk.descend(1, gradient);
    norm(&walk.x) / before
}

#[test]
fn x27_rates_of_gradient_descent() {
    printed(asymptotic_ratio(2.0 / 101.0), ".980198");
    near(asymptotic_ratio(1.0 / 100.0), 0.99, 1e-9);
    near(asymptotic_ratio(1.99 / 100.0), 0.99, 1e-9);
}

/// The condition number of `D⁻¹A`, as gradient descent with one rate per coordinate sees it.
fn condition(preconditioner: [f64; 2]) -> f64 {
    let lr = 1e-3;
    let chain = |k: usize| tuned(gd(), &[("lr", lr / preconditioner[k])]);
    let builder = Optimizer::<f64>::builder().group("flat", "flat", chain(0));
    let mut opt = builder.rest("steep", chain(1)).build::<f64>().expect("two groups");
    let (mut flat, mut steep) = ([1.0], [1.0]);
    let (g, h) = ([PAIR[0]], [PAIR[1]]);
    let mut params =
        [Param::new("flat", &[1], &mut flat, &g), Param::new("steep", &[1], &mut steep, &h)];
    assert!(opt.step(&mut params).expect("a step").applied());
    let eigenvalues = [(1.0 - flat[0]) / lr, (1.0 - steep[0]) / lr];
    eigenvalues[0].max(eigenvalues[1]) / eigenvalues[0].min(eigenvalues[1])
}

#[test]
fn x27_preconditioners() {
    near_relative(condition([1.0, 1.0]), 100.0, 1e-9);
    near_relative(condition(PAIR), 1.0, 1e-9);
    // As printed in the source: the inverse square of D proportional to the curvature (E40).
    near_relative(condition(PAIR.map(|a| a.powf(-0.5))), 1000.0, 1e-9);
}

/// The methods that look at each coordinate alone and at no scale.
fn scale_free() -> [Chain; 4] {
    [
        tuned(adagrad(), &[("lr", 0.5), ("eps", 0.0)]),
        tuned(rmsprop(), &[("lr", 0.01), ("rho", 0.9), ("eps", 0.0)]),
        tuned(adam(), &[("lr", 0.05), ("eps", 0.0)]),
        tuned(adabelief(), &[("lr", 0.05), ("eps", 0.0)]),
    ]
}

#[test]
fn x28_diagonal_curvature_does_not_matter() {
    let curvature = [1.0, 10.0, 100.0, 1e4];
    let want = ["4.31704927e-25", "0.08758652", "-0.0042114", "0.0043739"];
    for (chain, want) in scale_free().into_iter().zip(want) {
        let mut walk = Walk::new(chain, &[1.0; 4]);
        walk.descend(100, |x| x.iter().zip(curvature).map(|(x, h)| h * x).collect());
        for x in &walk.x {
            printed(*x, want);
            near(*x, walk.x[0], 1e-12);
        }
    }
}

/// Steps until `(x₁² + 100·x₂²)/2`, turned by the angle with this sine and cosine, is below 1e-6;
/// the start turns with it.
fn steps_when_turned(chain: Chain, (sin, cos): (f64, f64)) -> usize {
    let aligned = |x: &[f64]| [cos * x[0] + sin * x[1], cos * x[1] - sin * x[0]];
    let mut walk = Walk::new(chain, &[cos - sin, sin + cos]);
    for t in 1..2000 {
        walk.descend(1, |x| {
            let y = aligned(x);
            let g = [PAIR[0] * y[0], PAIR[1] * y[1]];
            vec![cos * g[0] - sin * g[1], sin * g[0] + cos * g[1]]
        });
        let y = aligned(&walk.x);
        if 0.5 * (PAIR[0] * y[0] * y[0] + PAIR[1] * y[1] * y[1]) < 1e-6 {
            return t;
        }
    }
    panic!("not below 1e-6 in 2000 steps")
}

#[test]
fn x28_rotation_matters() {
    let table = [
        (tuned(adagrad(), &[("lr", 0.5)]), 16, 973),
        (tuned(adam(), &[("lr", 0.05)]), 129, 901),
        (tuned(adabelief(), &[("lr", 0.05)]), 106, 752),
        (tuned(gd(), &[("lr", 2.0 / 101.0)]), 444, 444),
    ];
    let half_right_angle = std::f64::consts::FRAC_PI_4.sin_cos();
    for (chain, aligned, turned) in table {
        let got = steps_when_turned(chain.clone(), (0.0, 1.0));
        assert!(got.abs_diff(aligned) <= 1, "{got} is not {aligned}");
        let got = steps_when_turned(chain, half_right_angle);
        assert!(got.abs_diff(turned) <= 1, "{got} is not {turned}");
    }
}

#[test]
fn x29_adagrad_settles_on_a_quadratic() {
    let mut walk = Walk::new(tuned(adagrad(), &[("lr", 1.0)]), &[10.0]);
    walk.descend(2000, <[f64]>::to_vec);
    let sum = walk.slot("sum")[0];
    printed(sum, "1004.018484");
    printed(1.0 / sum.sqrt(), ".031559");
    near(walk.x[0], 0.0, 1e-20);
}

#[test]
fn x29_adagrad_on_sparse_and_noisy_gradients() {
    let chain = || tuned(adagrad(), &[("lr", 1.0), ("eps", 0.0)]);
    let mut walk = Walk::new(chain(), &[0.0, 0.0]);
    for t in 1..10_000 {
        walk.step(&[1.0, f64::from(u8::from(t % 100 == 0))]);
    }
    let before = walk.x.clone();
    walk.step(&[1.0, 1.0]);
    near_relative((before[1] - walk.x[1]) / (before[0] - walk.x[0]), 10.0, 1e-12);

    let (mut rng, count) = (Rng::new(29), 20_000);
    let mut walk = Walk::new(chain(), &[0.0; 8]);
    (0..count).for_each(|_| walk.step(&rng.normal(8)));
    for sum in walk.slot("sum") {
        near((f64::from(count) / sum).sqrt(), 1.0, 0.02);
    }
}

/// Size is not curvature: on a straight line of any slope the rate falls as 1/√t (E47).
#[test]
fn x29_adagrad_on_a_straight_line() {
    for slope in [1.0, 100.0] {
        let mut walk = Walk::new(tuned(adagrad(), &[("lr", 1.0), ("eps", 0.0)]), &[0.0]);
        for t in 1..=1000 {
            near_relative(walk.fall(slope) / slope, 1.0 / (slope * f64::from(t).sqrt()), 1e-12);
        }
    }
}

#[test]
fn x30_adadelta_has_a_rate_and_it_is_epsilon() {
    let first = Walk::new(adadelta(), &[0.0]).fall(1.0);
    printed(first, "3.162262e-03");
    for (eps, want) in [(1e-8, 1839), (1e-6, 374), (1e-4, 77), (1e-2, 10)] {
        let mut walk = Walk::new(tuned(adadelta(), &[("eps", eps)]), &[1.0; 3]);
        let steps = (1..3000).find(|_| {
            walk.descend(1, bowl_gradient);
            bowl(&walk.x) < 1e-3
        });
        assert_eq!(steps, Some(want), "eps {eps}");
        let first = Walk::new(tuned(adadelta(), &[("eps", eps)]), &[0.0]).fall(1e6);
        near_relative(first, (eps / 0.1f64).sqrt(), 1e-9);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// On a diagonal quadratic the way of every coordinate is the same, whatever its curvature.
    #[test]
    fn x28_any_diagonal_curvature(
        curvature in prop::collection::vec(1e-4..1e4f64, 2..6), start in 0.1..10.0f64,
    ) {
        for chain in scale_free() {
            let mut walk = Walk::new(chain, &vec![start; curvature.len()]);
            walk.descend(100, |x| x.iter().zip(&curvature).map(|(x, h)| h * x).collect());
            for x in &walk.x {
                near(*x, walk.x[0], 1e-12 * start);
            }
        }
    }

    /// On a quadratic of one parameter the step `1/f″` lands on the minimum from anywhere.
    #[test]
    fn x26_the_right_step_takes_one(
        a in 1e-3..1e3f64, b in -1e3..1e3f64, start in -1e3..1e3f64,
    ) {
        let mut walk = Walk::new(tuned(gd(), &[("lr", 0.5 / a)]), &[start]);
        walk.descend(1, |x| vec![2.0 * a * x[0] + b]);
        let minimum = -b / (2.0 * a);
        near(walk.x[0], minimum, 1e-12 * (minimum.abs() + start.abs()));
    }
}
