//! X18–X24: AdaGrad to AdamW where their formulas differ from what is said of them.

mod common;

use common::prng::Rng;
use common::walk::{Walk, all_printed, near, near_relative, printed, tuned};
use proptest::prelude::*;
use thalweg::recipes::*;
use thalweg::rules::{AdaGrad, Adam, L2, RmsProp, Scale};
use thalweg::{
    At, Chain, Denominator, Here, Inside, Optimizer, Param, Range, Real, Rule, Slot, hypers,
    registry, slot,
};

/// The regression demo: inputs and outputs.
const DEMO: [(f64, f64); 10] = [
    (338.0, 640.0),
    (333.0, 633.0),
    (328.0, 619.0),
    (207.0, 393.0),
    (226.0, 428.0),
    (25.0, 27.0),
    (179.0, 193.0),
    (60.0, 66.0),
    (208.0, 226.0),
    (606.0, 1591.0),
];

fn mean_square(b: f64, w: f64) -> f64 {
    DEMO.iter().map(|(x, y)| (y - b - w * x).powi(2)).sum::<f64>() / 10.0
}

/// The gradient of the sum, not of the mean, as in the demo.
fn demo_gradient(x: &[f64]) -> Vec<f64> {
    let mut gradient = vec![0.0, 0.0];
    for (input, output) in DEMO {
        let residual = output - x[0] - x[1] * input;
        gradient[0] -= 2.0 * residual;
        gradient[1] -= 2.0 * residual * input;
    }
    gradient
}

fn adagrad_with<E: Denominator>(lr: f64, denominator: E) -> Chain {
    let direction = AdaGrad::<E>::default().denominator(denominator);
    Chain::new((direction, Scale::default().lr(lr)))
}

/// Iteration, intercept, slope, mean square.
const DEMO_TABLE: [(usize, f64, f64, f64); 7] = [
    (1, -119.0, -3.0, 2624774.0),
    (2, -118.355442041234, -2.354543357960, 2042895.792818972),
    (10, -115.919584466227, 0.097619685179, 499533.837905523),
    (100, -114.033805259463, 2.451482140915, 11737.734982598),
    (1000, -118.993407911575, 2.469674868059, 11537.421631596),
    (10000, -152.507929371259, 2.566104337962, 10553.340409430),
    (100000, -188.366838749532, 2.669264071338, 10193.674216707),
];

#[test]
fn x18_adagrad_on_the_regression_demo() {
    for chain in [tuned(adagrad(), &[("lr", 1.0), ("eps", 0.0)]), tuned(adagrad(), &[("lr", 1.0)])]
    {
        check_demo(chain);
    }
    check_demo(adagrad_with(1.0, Inside::new(1e-8)));
}

fn check_demo(chain: Chain) {
    let mut walk = Walk::new(chain, &[-120.0, -4.0]);
    let mut done = 0;
    for (iteration, b, w, loss) in DEMO_TABLE {
        walk.descend(iteration - done, demo_gradient);
        done = iteration;
        near(walk.x[0], b, 1e-8);
        near(walk.x[1], w, 1e-8);
        // The loss is up to 2.6e6, of which 1e-8 is less than 53 bits hold.
        near(mean_square(walk.x[0], walk.x[1]), loss, 1e-8 + 1e-14 * loss);
    }
    let [g, h] = walk.slot("sum") else { panic!("two coordinates") };
    printed(*g, "6.340738968e+09");
    printed(*h, "6.605186425e+14");
    printed((walk.x[0] + 188.4331966573).abs(), "6.636e-02");
    printed(walk.x[1] - 2.6694549668, "-1.909e-04");
}

/// The demo has no ε: a gradient that is zero at first is 0/0 there (E48).
#[test]
fn x18_a_first_gradient_of_zero() {
    let adaptive = registry::all().into_iter().filter(|e| (e.chain)().hyper("eps").is_ok());
    let mut count = 0;
    for entry in adaptive {
        let mut chain = (entry.chain)();
        // AdaDelta's ε is its learning rate and must be positive: the smallest that rounds to zero.
        chain.set("eps", 0.0).or_else(|_| chain.set("eps", 1e-60)).expect("an ε");
        // A momentum that does not start at rest (Yogi in optax) moves without any gradient.
        if chain.hyper("initial_m").is_ok() {
            chain.set("initial_m", 0.0).expect("no momentum");
        }
        let mut wide = Walk::new(chain.clone(), &[1.0]);
        wide.step(&[0.0]);
        assert!(wide.x[0].is_finite(), "{}", entry.name);
        if chain.hyper("decay").is_err() {
            assert_eq!(wide.x[0], 1.0, "{}", entry.name);
        }
        let mut opt = Optimizer::<f32>::new(chain).expect("a valid chain");
        let mut x = [1.0f32];
        assert!(opt.step(&mut [Param::new("x", &[1], &mut x, &[0.0])]).expect("a step").applied());
        assert!(x[0].is_finite(), "{} in f32", entry.name);
        count += 1;
    }
    assert!(count > 20);
}

#[test]
fn x18_the_demo_itself() {
    let (mut sum, mut square, mut outputs, mut products) = (0.0, 0.0, 0.0, 0.0);
    for (x, y) in DEMO {
        (sum, square) = (sum + x, square + x * x);
        (outputs, products) = (outputs + y, products + x * y);
    }
    let determinant = 10.0 * square - sum * sum;
    let b = (square * outputs - sum * products) / determinant;
    let w = (10.0 * products - sum * outputs) / determinant;
    all_printed(&[b, w, mean_square(b, w)], &["-188.4331966573", "2.6694549668", "10193.672990"]);
    let (trace, root) = (10.0 + square, ((10.0 - square).powi(2) + 4.0 * sum * sum).sqrt());
    let (high, low) = (trace + root, 4.0 * determinant / (trace + root));
    all_printed(&[low, high, high / low], &["5.57347746", "1.74683043e+06", "313418.4"]);
    printed(2.0 / high, "1.1449e-06");

    let points: Vec<(f64, f64, f64)> = (0..100)
        .flat_map(|i| (0..100).map(move |j| (-200.0 + i as f64, -5.0 + 0.1 * j as f64)))
        .map(|(b, w)| (mean_square(b, w), b, w))
        .collect();
    let (low, b, w) = points.iter().copied().min_by(|a, b| a.0.total_cmp(&b.0)).expect("points");
    all_printed(&[low, b, w], &["10216.392", "-196", "2.7"]);
    let (high, b, w) = points.iter().copied().max_by(|a, b| a.0.total_cmp(&b.0)).expect("points");
    all_printed(&[high, b, w], &["5192293.4", "-200", "-5.0"]);
}

#[test]
fn x18_gradient_descent_on_the_demo() {
    let mut walk = Walk::new(tuned(gd(), &[("lr", 1e-7)]), &[-120.0, -4.0]);
    walk.descend(100_000, demo_gradient);
    all_printed(&walk.x, &["-123.692175", "2.483402"]);
    for (lr, diverges) in [(1.2e-6, true), (1.14e-6, false)] {
        let mut walk = Walk::new(tuned(gd(), &[("lr", lr)]), &[-120.0, -4.0]);
        walk.descend(1000, demo_gradient);
        assert_eq!(mean_square(walk.x[0], walk.x[1]) > 1e9, diverges, "{lr}");
    }
}

/// Step per unit of gradient after 1000 gradients of size 1 (or `before`), at each of `count`
/// gradients of size `after`.
fn rates(chain: Chain, before: f64, after: f64, count: usize) -> Vec<f64> {
    let mut walk = Walk::new(chain, &[0.0]);
    (0..1000).for_each(|_| walk.step(&[before]));
    (0..count).map(|_| walk.fall(after) / after).collect()
}

#[test]
fn x19_rmsprop_after_a_scale_jump() {
    let jumps = [
        (1.0, 10.0, 0.9, 17),
        (1.0, 10.0, 0.99, 174),
        (10.0, 1.0, 0.9, 58),
        (10.0, 1.0, 0.99, 602),
        (100.0, 1.0, 0.9, 102),
        (100.0, 1.0, 0.99, 1061),
    ];
    for (before, after, rho, steps) in jumps {
        let chain = tuned(rmsprop(), &[("lr", 1.0), ("rho", rho), ("eps", 0.0)]);
        let rates = rates(chain, before, after, 2000);
        let settled = rates.iter().position(|r| (r * after - 1.0).abs() <= 0.1).map(|k| k + 1);
        let settled = settled.expect("settles");
        assert!(settled.abs_diff(steps) <= 1, "{before} to {after} at {rho}: {settled}");
    }
}

#[test]
fn x19_rmsprop_forgets_geometrically() {
    let chain = tuned(rmsprop(), &[("rho", 0.9)]);
    let mut walk = Walk::new(chain, &[0.0]);
    (0..1000).for_each(|_| walk.step(&[1.0]));
    (0..10).for_each(|_| walk.step(&[10.0]));
    let left = (100.0 - walk.slot("v")[0]) / 99.0;
    printed(left, "0.348678");
    near(left, 0.9f64.powi(10), 1e-12);
}

#[test]
fn x19_adagrad_never_forgets_a_large_past() {
    let chain = || tuned(adagrad(), &[("lr", 1.0), ("eps", 0.0)]);
    let caught_up = |before, after| {
        let fresh = |k: usize| 1.0 / (after * ((k + 1) as f64).sqrt());
        let rates = rates(chain(), before, after, 20_000);
        rates.iter().enumerate().position(|(k, r)| *r >= 0.9 * fresh(k)).map(|k| k + 1)
    };
    assert_eq!(caught_up(1.0, 10.0), Some(43));
    assert_eq!(caught_up(1.0, 100.0), Some(1));
    assert_eq!(caught_up(10.0, 1.0), None);
    assert_eq!(caught_up(100.0, 1.0), None);
}

#[test]
fn x20_a_feature_becomes_relevant() {
    let rms = |rho| tuned(rmsprop(), &[("lr", 1.0), ("rho", rho), ("eps", 0.0)]);
    let ada = tuned(adagrad(), &[("lr", 1.0), ("eps", 0.0)]);
    let cases = [
        (ada, [".999995", ".707105", ".316228", ".1"]),
        (rms(0.9), ["3.162278", "2.294157", "1.239088", "1.000013"]),
        (rms(0.99), ["10.0", "7.0888", "3.2339", "1.2559"]),
    ];
    for (chain, want) in cases {
        let steps = rates(chain, 1e-4, 1.0, 100);
        all_printed(&[steps[0], steps[1], steps[9], steps[99]], &want);
    }
}

#[test]
fn x20_from_flat_to_steep() {
    let slope = |x: &[f64]| {
        let x = x[0];
        vec![if x.abs() > 1.0 { 0.01 * x.signum() } else { 100.0 * x }]
    };
    let rms = |rho| tuned(rmsprop(), &[("lr", 0.05), ("rho", rho)]);
    let cases =
        [(tuned(adagrad(), &[("lr", 0.05)]), 430, 719), (rms(0.9), 32, 53), (rms(0.99), 7, 12)];
    for (k, (chain, enters, arrives)) in cases.into_iter().enumerate() {
        let mut walk = Walk::new(chain, &[3.0]);
        let (mut entered, mut arrived) = (None, None);
        for t in 1..=2000 {
            walk.descend(1, slope);
            entered = entered.or((walk.x[0].abs() <= 1.0).then_some(t));
            arrived = arrived.or((walk.x[0].abs() < 0.05).then_some(t));
        }
        assert_eq!((entered, arrived), (Some(enters), Some(arrives)));
        if k < 2 {
            printed(walk.x[0].abs(), ["0.0000", "0.0250"][k]);
        } else {
            // A longer memory makes the cycle uneven by a little.
            near(walk.x[0].abs(), 0.025, 1e-3);
        }
    }
}

#[test]
fn x21_spread_of_running_averages() {
    // A thousand coordinates are a thousand runs.
    let mut rng = Rng::new(21);
    let spread = |values: &[f64]| {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64
    };
    let chain = |rho| tuned(rmsprop(), &[("rho", rho)]);
    for (rho, want) in [(0.9f64, 0.3244), (0.99, 0.1003)] {
        let mut walk = Walk::new(chain(rho), &[0.0; 1000]);
        let mut variances = vec![];
        for t in 1..=3000 {
            walk.step(&rng.normal(1000));
            if t > 1000 && t % 100 == 0 {
                variances.push(spread(walk.slot("v")));
            }
        }
        let variance = variances.iter().sum::<f64>() / variances.len() as f64;
        near_relative(variance.sqrt(), want, 0.03);
        near_relative((2.0 * (1.0 - rho) / (1.0 + rho)).sqrt(), want, 1e-3);
    }
    let mut walk = Walk::new(adam(), &[0.0; 1000]);
    let mut variances = vec![];
    for t in 1..=1000 {
        walk.step(&rng.normal(1000));
        if t > 200 && t % 20 == 0 {
            variances.push(spread(walk.slot("m")));
        }
    }
    near_relative(variances.iter().sum::<f64>() / variances.len() as f64, 0.0526, 0.03);
}

/// The raw average is biased at first, the corrected one is not (E59).
#[test]
fn x21_the_raw_average_is_biased() {
    let mut walk = Walk::new(tuned(adam(), &[("beta2", 0.9)]), &[0.0]);
    (0..5).for_each(|_| walk.step(&[2.0]));
    let v = walk.slot("v")[0];
    printed(v, "1.638");
    printed(v / (1.0 - 0.9f64.powi(5)), "4.0");
}

#[test]
fn x22_decay_alone() {
    let after = |chain: Chain, decay| {
        let mut walk = Walk::new(tuned(chain, &[("lr", 1e-3), ("decay", decay)]), &[1.0]);
        walk.descend(1000, |_| vec![0.0]);
        walk.x[0]
    };
    let coupled = [(0.1, "0.257665085"), (0.01, "0.257665628"), (1e-4, "0.257725382")];
    for (decay, want) in coupled {
        printed(after(adam_l2(), decay), want);
    }
    let decoupled = [(0.1, "0.904832893559"), (0.01, "0.990049784246"), (1e-4, "0.999900004995")];
    for (decay, want) in decoupled {
        printed(after(adamw(), decay), want);
        near(after(adamw(), decay), (1.0 - 1e-3 * decay).powi(1000), 1e-12);
    }
}

#[test]
fn x22_decay_under_noise() {
    for noise in [0.1, 1.0, 10.0, 100.0] {
        for (chain, want) in [(adam_l2(), 1e-3 * 0.01 / noise), (adamw(), 1e-5)] {
            let mut rng = Rng::new(22);
            // Coordinates in pairs with opposite noise: their sum shows the decay alone.
            let mut walk = Walk::new(tuned(chain, &[("lr", 1e-3)]), &[1.0; 200]);
            for _ in 0..4000 {
                let signs = (0..100).map(|_| noise * rng.sign());
                let g: Vec<f64> = signs.flat_map(|s| [s, -s]).collect();
                walk.step(&g);
            }
            let mean = walk.x.iter().sum::<f64>() / 200.0;
            near_relative(-mean.ln() / 4000.0, want, 0.01);
        }
    }
}

hypers! {
    /// The decay of the source's note: after the step, on what the step has left.
    struct DecayAfter {
        /// Share removed per step and unit of learning rate.
        decay "λ" = 0.1 in Range::NON_NEGATIVE,
        /// Learning rate.
        lr "η" = 0.1 in Range::NON_NEGATIVE,
    }
}

impl Rule for DecayAfter {
    type Memory<F: Real> = [F; 0];

    fn at<F: Real>(
        &self,
        at: &At<F>,
    ) -> impl Fn(F, Here<F>, [F; 0]) -> (F, [F; 0]) + Copy + Send + Sync + use<F> {
        let [share] = at.lift([at.get(&self.decay) * at.get(&self.lr)]);
        move |u, here, []| (u + share * (here.x - u), [])
    }
}

#[test]
fn x22_decay_before_and_after_the_step() {
    let (start, g) = ([1.0, -2.0, 0.5], [0.3, -1.0, 2.0]);
    let mut before =
        Walk::new(tuned(adamw(), &[("lr", 0.1), ("decay", 0.1), ("eps", 0.0)]), &start);
    before.step(&g);
    let wrong = tuned(adam(), &[("eps", 0.0), ("lr", 0.1)]).then(DecayAfter::default());
    let mut after = Walk::new(wrong, &start);
    after.step(&g);
    for (got, want) in before.x.iter().zip([0.89, -1.88, 0.395]) {
        near(*got, want, 1e-12);
    }
    for (got, want) in after.x.iter().zip([0.891, -1.881, 0.396]) {
        near(*got, want, 1e-12);
    }
}

#[test]
fn x22_where_the_penalty_stops() {
    for (h, want) in [(1.0, "0.909091"), (10.0, "0.990099")] {
        let slope = |x: &[f64]| vec![h * (x[0] - 1.0)];
        let adam = tuned(adam_l2(), &[("lr", 0.01), ("decay", 0.1)]);
        let plain = Chain::new((L2::default().decay(0.1), Scale::default().lr(0.05)));
        for chain in [adam, plain] {
            let mut walk = Walk::new(chain, &[0.0]);
            walk.descend(5000, slope);
            printed(walk.x[0], want);
            near(walk.x[0], h / (h + 0.1), 1e-6);
        }
    }
}

hypers! {
    /// Adam without the correction of the start at zero, as the source prints it (E13).
    struct Uncorrected {
        /// Decay rate of the first moment.
        beta1 "β₁" = 0.9 in Range::RATE,
        /// Decay rate of the second moment.
        beta2 "β₂" = 0.999 in Range::RATE,
        /// Added to the root.
        eps "ε" = 0.0 in Range::NON_NEGATIVE,
    }
}

impl Rule for Uncorrected {
    type Memory<F: Real> = [F; 2];
    const SLOTS: &'static [Slot] = &[slot("m"), slot("v")];

    fn at<F: Real>(
        &self,
        at: &At<F>,
    ) -> impl Fn(F, Here<F>, [F; 2]) -> (F, [F; 2]) + Copy + Send + Sync + use<F> {
        let [b1, a1, _] = at.ema(&self.beta1);
        let [b2, a2, _] = at.ema(&self.beta2);
        let [eps] = at.lift([at.get(&self.eps)]);
        move |g, _, [m, v]| {
            let (m, v) = (b1 * m + a1 * g, b2 * v + a2 * g * g);
            (m / (v.sqrt() + eps), [m, v])
        }
    }
}

#[test]
fn x23_bias_correction() {
    let first = |chain: Chain, g: f64| Walk::new(tuned(chain, &[("lr", 1.0)]), &[0.0]).fall(g);
    near(first(tuned(adam(), &[("eps", 0.0)]), 0.4), 1.0, 1e-12);
    let uncorrected = |eps: f64| Chain::new((Uncorrected::default().eps(eps), Scale::default()));
    near(first(uncorrected(0.0), 0.4), 0.1 / 0.001f64.sqrt(), 1e-12);
    // The reference's last digit is that of ε = 1e-8 beside a gradient of about this size.
    printed(first(uncorrected(1e-8), 0.4), "3.162275");
    let mut walk = Walk::new(tuned(uncorrected(0.0), &[("lr", 1.0)]), &[0.0]);
    let falls: Vec<f64> = (0..1000).map(|_| walk.fall(1.0)).collect();
    let shown = [5, 10, 12, 100, 1000].map(|t| falls[t - 1]);
    all_printed(&shown, &["5.7971", "6.5279", "6.5685", "3.2408", "1.2576"]);
    assert!(falls.iter().all(|f| *f <= falls[11]));
}

#[test]
fn x24_where_epsilon_stands() {
    let inside = |eps| RmsProp::<Inside>::default().rho(0.9).denominator(Inside::new(eps));
    let chains = [
        tuned(adagrad(), &[("eps", 1e-10)]),
        tuned(adagrad(), &[("eps", 1e-8)]),
        adagrad_with(1.0, Inside::new(1e-8)),
        tuned(adam(), &[("eps", 1e-8)]),
        tuned(rmsprop(), &[("rho", 0.9), ("eps", 1e-8)]),
        Chain::new((inside(1e-8), Scale::default())),
        tuned(adadelta(), &[("rho", 0.9), ("eps", 1e-6)]),
    ];
    let table = [
        (1e-2, "1.000000 .999999 .999950 .999999 3.162268 3.160698 3.015113e-3"),
        (1e-4, ".999999 .999900 .7071068 .999900 3.161278 .9534626 9.995004e-5"),
        (1e-6, ".999900 .990099 9.9995e-3 .990099 3.065343 9.99995e-3 1.0e-6"),
        (1e-8, ".990099 .5 1.0e-4 .5 .759747 1.0e-4 1.0e-8"),
    ];
    for (g, row) in table {
        for (chain, want) in chains.iter().zip(row.split(' ')) {
            let mut walk = Walk::new(tuned(chain.clone(), &[("lr", 1.0)]), &[0.0]);
            printed(walk.fall(g), want);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Corrected Adam moves by the learning rate at every step on a constant gradient.
    #[test]
    fn x23_a_constant_gradient_moves_by_the_rate(
        size in 1e-6..1e6f64, sign in prop::bool::ANY, lr in 1e-6..1.0f64,
        beta1 in 0.0..0.99f64, beta2 in 0.0..0.9999f64,
    ) {
        let g = if sign { size } else { -size };
        let direction = <Adam>::default().beta1(beta1).beta2(beta2);
        let chain = Chain::new((direction, Scale::default().lr(lr)));
        let mut walk = Walk::new(tuned(chain, &[("eps", 0.0)]), &[0.0]);
        for _ in 0..50 {
            near_relative(walk.fall(g), lr * g.signum(), 1e-11);
        }
    }

    /// Whatever came before, the error of the mean square shrinks by ρ per step of a constant
    /// gradient.
    #[test]
    fn x19_any_past_fades_by_rho(
        rho in 0.0..0.999f64, past in prop::collection::vec(-10.0..10.0f64, 1..20),
        c in 0.1..10.0f64, steps in 1..50i32,
    ) {
        let mut walk = Walk::new(tuned(rmsprop(), &[("rho", rho)]), &[0.0]);
        past.iter().for_each(|g| walk.step(&[*g]));
        let error = walk.slot("v")[0] - c * c;
        (0..steps).for_each(|_| walk.step(&[c]));
        near(walk.slot("v")[0] - c * c, rho.powi(steps) * error, 1e-12 * (c * c + error.abs()));
    }

    /// ε bounds the rate from above by lr/ε (E58).
    #[test]
    fn x24_epsilon_caps_the_rate(g in -1e-3..1e-3f64, eps in 1e-9..1e-2f64) {
        let mut walk = Walk::new(tuned(adam(), &[("lr", 1.0), ("eps", eps)]), &[0.0]);
        for _ in 0..5 {
            prop_assert!(walk.fall(g).abs() <= g.abs() / eps * (1.0 + 1e-12));
        }
    }
}
