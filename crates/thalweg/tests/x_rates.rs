//! X37, X44, X45, X50: rates, regret, and what the methods become in their limits.

mod common;

use common::prng::Rng;
use common::walk::{Walk, all_printed, near, near_relative, printed, tuned};
use proptest::prelude::*;
use thalweg::recipes::*;
use thalweg::rules::Scale;
use thalweg::{At, Chain, Here, Range, Real, Rule, Schedule, Slot, hypers, slot};

#[test]
fn x37_adabelief_measures_surprise() {
    let mut rng = Rng::new(37);
    let mut walk = Walk::new(adabelief(), &[0.0; 200]);
    let (mut sum, mut count) = (0.0, 0.0);
    for t in 1..=10_000 {
        let g: Vec<f64> = rng.normal(200).into_iter().map(|z| 3.0 + 2.0 * z).collect();
        walk.step(&g);
        if t > 8000 && t % 50 == 0 {
            sum += walk.slot("s").iter().sum::<f64>();
            count += 200.0;
        }
    }
    near_relative(sum / count, 3.4105, 0.01);
}

/// On a constant gradient there is no surprise, and the step grows.
#[test]
fn x37_adabelief_on_a_constant_gradient() {
    let mut walk = Walk::new(adabelief(), &[0.0]);
    let falls: Vec<f64> = (0..2000).map(|_| walk.fall(1.0)).collect();
    let shown = [1, 10, 100, 1000, 2000].map(|t| falls[t - 1]);
    all_printed(&shown, &["1.1111e-3", "1.6354e-3", "4.9551e-3", "2.0031e-2", "3.8633e-2"]);
}

/// Average regret on the three-periodic problem of Reddi et al. after 300, 3000 and 30000 rounds:
/// the loss is `3x` in every third round and `−x` in the others, x in [−1, 1].
fn regret(chain: Chain) -> [f64; 3] {
    let mut walk = Walk::new(chain, &[1.0]);
    let (mut suffered, mut slopes) = (0.0, 0.0);
    let mut regrets = vec![];
    for t in 1..=30_000 {
        let slope = if t % 3 == 1 { 3.0 } else { -1.0 };
        suffered += slope * walk.x[0];
        slopes += slope;
        walk.step(&[slope]);
        walk.x[0] = walk.x[0].clamp(-1.0, 1.0);
        if [300, 3000, 30_000].contains(&t) {
            // The best fixed point is an end of the interval.
            regrets.push((suffered + f64::abs(slopes)) / f64::from(t));
        }
    }
    regrets.try_into().expect("three rounds")
}

/// The chain with the learning rate ½/√t.
fn falling(mut chain: Chain, hypers: &[(&str, f64)]) -> Chain {
    chain.set("lr", Schedule::InverseSqrt { peak: 0.5, warmup: 1 }).expect("a schedule");
    tuned(chain, hypers)
}

/// The reference's methods have no bias correction, as in the paper; without a first moment that
/// makes Adam RMSProp.
#[test]
fn x44_a_short_memory_does_not_converge() {
    let adam_without_momentum = falling(rmsprop(), &[("rho", 0.1)]);
    let mut walk = Walk::new(adam_without_momentum.clone(), &[1.0]);
    all_printed(&regret(adam_without_momentum), &[".69274", ".67482", ".66923"]);
    let corrected = regret(falling(adam(), &[("beta1", 0.0), ("beta2", 0.1)]));
    near(corrected[2], 2.0 / 3.0, 3e-3);
    // It ends at the wrong end of the interval.
    for t in 1..=30_000 {
        walk.step(&[if t % 3 == 1 { 3.0 } else { -1.0 }]);
        walk.x[0] = walk.x[0].clamp(-1.0, 1.0);
    }
    near(walk.x[0], 1.0, 1e-12);
}

#[test]
fn x44_a_long_memory_converges() {
    let uncorrected = falling(amsgrad_paper(), &[("beta1", 0.0), ("beta2", 0.1), ("eps", 0.0)]);
    all_printed(&regret(uncorrected), &[".20083", ".02735", ".00503"]);
    all_printed(&regret(tuned(adagrad(), &[("lr", 0.5)])), &[".16717", ".0276", ".0062"]);
    all_printed(&regret(falling(gd(), &[])), &[".11401", ".03223", ".0098"]);
    // The library's AMSGrad corrects its moments; and Adam forgets slowly enough with its defaults.
    for chain in [falling(amsgrad(), &[("beta1", 0.0), ("beta2", 0.1)]), falling(adam(), &[])] {
        let [early, later, late] = regret(chain);
        assert!(later < 0.2 * early && late < 0.2 * later && late < 0.0052);
    }
}

/// The mean square of two thousand runs of stochastic gradient descent on `x²/2` with standard
/// normal noise, after `steps` steps at the rate `lr(t)`.
fn mean_square(rng: &mut Rng, lr: impl Fn(f64) -> f64, steps: u32, start: f64) -> f64 {
    const RUNS: usize = 2000;
    let mut walk = Walk::new(gd(), &[start; RUNS]);
    for t in 1..=steps {
        walk.opt.set(None, "lr", lr(f64::from(t))).expect("a rate");
        let noise = rng.normal(RUNS);
        let g: Vec<f64> = walk.x.iter().zip(noise).map(|(x, z)| x + z).collect();
        walk.step(&g);
    }
    walk.x.iter().map(|x| x * x).sum::<f64>() / RUNS as f64
}

#[test]
fn x45_rates_of_stochastic_gradient_descent() {
    let mut rng = Rng::new(45);
    for t in [30, 100, 300, 1000] {
        near(f64::from(t) * mean_square(&mut rng, |t| 1.0 / t, t, 1.0), 1.0, 0.1);
    }
    for lr in [0.02, 0.1, 0.5] {
        let floor = mean_square(&mut rng, |_| lr, (20.0 / lr) as u32, 1.0);
        near_relative(floor, lr / (2.0 - lr), 0.1);
    }
    let root = mean_square(&mut rng, |t| 0.1 / t.sqrt(), 10_000, 0.0);
    near(100.0 * root, 0.05, 0.005);
}

#[test]
fn x50_adam_is_no_descent_method() {
    for (lr, want) in [(0.01, 34), (0.1, 192), (0.5, 183)] {
        let mut walk = Walk::new(tuned(adam(), &[("lr", lr)]), &[1.0]);
        let climbing = (0..500).filter(|_| {
            let g = walk.x[0];
            walk.fall(g) * g < 0.0
        });
        assert_eq!(climbing.count(), want, "lr {lr}");
    }
}

hypers! {
    /// A running average of the gradient, corrected for its start at zero.
    struct CorrectedMean {
        /// Decay rate.
        beta "β" = 0.9 in Range::RATE,
    }
}

impl Rule for CorrectedMean {
    type Memory<F: Real> = [F; 1];
    const SLOTS: &'static [Slot] = &[slot("m")];

    fn at<F: Real>(
        &self,
        at: &At<F>,
    ) -> impl Fn(F, Here<F>, [F; 1]) -> (F, [F; 1]) + Copy + Send + Sync + use<F> {
        let [b, a, c] = at.ema(&self.beta);
        move |g, _, [m]| {
            let m = b * m + a * g;
            (c * m, [m])
        }
    }
}

/// How far Adam with a huge ε is from momentum without any, fifty steps from `start` on
/// `curvature·x²/2`.
fn distance_to_momentum(eps: f64, curvature: f64, start: f64) -> f64 {
    let mut adam = Walk::new(tuned(adam(), &[("lr", 0.1 * eps), ("eps", eps)]), &[start]);
    let mean = Chain::new((CorrectedMean::default(), Scale::default().lr(0.1)));
    let mut mean = Walk::new(mean, &[start]);
    adam.descend(50, |x| vec![curvature * x[0]]);
    mean.descend(50, |x| vec![curvature * x[0]]);
    (adam.x[0] - mean.x[0]).abs()
}

/// The reference names no problem for its 1.9e-7; this one has it, and the distance falls with ε.
#[test]
fn x50_a_large_epsilon_makes_adam_momentum() {
    printed(distance_to_momentum(1e6, 0.5, 2.0), "1.9e-7");
    assert!(distance_to_momentum(1e6, 1.0, 1.0) < 1.9e-7);
    for eps in [1e4, 1e5, 1e6] {
        let falls =
            distance_to_momentum(eps, 0.5, 2.0) / distance_to_momentum(10.0 * eps, 0.5, 2.0);
        near_relative(falls, 10.0, 1e-3);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Without momentum the update never points up the gradient (E73).
    #[test]
    fn x50_methods_without_momentum_descend(
        gradients in prop::collection::vec(-10.0..10.0f64, 1..60), lr in 1e-3..1.0f64,
    ) {
        for chain in [gd(), adagrad(), rmsprop(), rmsprop_optax(), adadelta()] {
            let mut walk = Walk::new(tuned(chain, &[("lr", lr)]), &[0.0]);
            for g in &gradients {
                prop_assert!(walk.fall(*g) * g >= 0.0);
            }
        }
    }

    /// On a constant gradient the surprise of the first step is `β₁²` of the square, so that
    /// AdaBelief starts with `1/β₁` times the rate.
    #[test]
    fn x37_the_first_step_of_adabelief(g in 1e-3..1e3f64, beta1 in 0.1..0.99f64) {
        let chain = tuned(adabelief(), &[("lr", 1.0), ("beta1", beta1), ("eps", 0.0)]);
        near_relative(Walk::new(chain, &[0.0]).fall(g), 1.0 / beta1, 1e-11);
    }
}
