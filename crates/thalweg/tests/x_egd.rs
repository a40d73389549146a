//! X01–X04 and X06: exponentiated gradient, divergences, regret.

mod common;

use common::least_squares::{
    THIRDS, descent, exponentiated, feed, gradients, inside, squares, squares_gradient,
};
use common::prng::Rng;
use common::walk::{Walk, all_printed, distance, distance_relative, near, near_relative, printed};
use proptest::prelude::*;
use thalweg::geometry::{Burg, Simplex};
use thalweg::online::{self, Experts, Game, Linear};
use thalweg::{Chain, Optimizer, Param};

/// Exponentiated gradient as a product, which underflows where the logarithm does not.
fn product_form(x: &mut [f64], lr: f64, steps: usize, gradient: impl Fn(&[f64]) -> Vec<f64>) {
    for _ in 0..steps {
        let g = gradient(x);
        x.iter_mut().zip(g).for_each(|(x, g)| *x *= (-lr * g).exp());
    }
}

#[test]
fn x01_generator_vectors() {
    let mut bits = Rng::new(42);
    let want = [0xbdd7_3226_2feb_6e95, 0x28ef_e333_b266_f103, 0x4752_6757_130f_9f52];
    assert_eq!([(); 3].map(|()| bits.next_u64()), want);
    let mut uniform = Rng::new(42);
    let uniform = [(); 3].map(|()| uniform.uniform());
    all_printed(&uniform, &["0.74156488", "0.15991039", "0.27860113"]);
    let want = ["0.88224891", "1.38847329", "-0.45084988", "0.67071644"];
    all_printed(&Rng::new(42).normal(4), &want);
    // An odd request drops its last value and leaves the stream aligned to pairs.
    let mut odd = Rng::new(42);
    all_printed(&[odd.normal(1), odd.normal(2)].concat(), &[want[0], want[2], want[3]]);
    let mut signs = Rng::new(42);
    assert_eq!([(); 3].map(|()| signs.sign()), [1.0, -1.0, -1.0]);
}

#[test]
fn x02_non_negative_least_squares() {
    let mut walk = Walk::new(exponentiated(0.1), &THIRDS);
    walk.descend(200, inside);
    all_printed(&walk.x, &["0.98520374", "0.49633300", "0.03302112"]);
    near_relative(squares(&walk.x, [1.0, 0.5, 0.0]), 7.875496e-4, 1e-6);
    let mut multiplied = THIRDS;
    product_form(&mut multiplied, 0.1, 200, inside);
    assert!(distance_relative(&walk.x, &multiplied) <= 1e-13);
    walk.descend(1800, inside);
    all_printed(&walk.x, &["0.99846584", "0.49961678", "0.00344900"]);
}

#[test]
fn x02_the_solution_outside_the_orthant() {
    let outside = |x: &[f64]| squares_gradient(x, [1.0, 0.5, -0.3]);
    let mut walk = Walk::new(exponentiated(0.1), &THIRDS);
    walk.descend(400, outside);
    all_printed(&walk.x, &["0.86666666", "0.46666667", "5.8584e-09"]);
    assert!(distance(&walk.x, &[13.0 / 15.0, 7.0 / 15.0, 0.0]) < 1e-7);
    // The optimum on the orthant: no slope along the free coordinates, none inward on the third.
    let slope = outside(&[13.0 / 15.0, 7.0 / 15.0, 0.0]);
    assert!(slope[0].abs() < 1e-14 && slope[1].abs() < 1e-14 && slope[2] > 0.0, "{slope:?}");
    let mut plain = Walk::new(descent(0.1), &THIRDS);
    let mut first_negative = None;
    for t in 1..=2000 {
        plain.descend(1, outside);
        if plain.x.iter().any(|x| *x < 0.0) {
            first_negative = first_negative.or(Some(t));
        }
    }
    assert_eq!(first_negative, Some(8));
    assert!(distance(&plain.x, &[1.0, 0.5, -0.3]) < 1e-9, "{:?}", plain.x);
}

#[test]
fn x02_zero_is_absorbing_and_underflow_is_not() {
    let mut from_zero = [0.0, 1.0 / 3.0, 1.0 / 3.0];
    product_form(&mut from_zero, 0.1, 200, inside);
    assert_eq!(from_zero[0], 0.0);
    let mut opt = Optimizer::<f64>::new(exponentiated(0.1)).unwrap();
    let mut x = [0.0, 1.0];
    let refused = opt.step(&mut [Param::new("x", &[2], &mut x, &[1.0, 1.0])]);
    assert!(refused.unwrap_err().to_string().contains("needs a start above zero"));
    assert_eq!(x, [0.0, 1.0]);

    let (mut multiplied, mut steps) = (1.0_f32, 0);
    while multiplied > 0.0 {
        multiplied *= (-1.0_f32).exp();
        steps += 1;
    }
    assert_eq!(steps, 104);
    let mut opt = Optimizer::<f32>::new(exponentiated(1.0)).unwrap();
    let mut x = [1.0_f32];
    let mut step = |x: &mut [f32; 1], g: f32| {
        assert!(opt.step(&mut [Param::new("x", &[1], x, &[g])]).unwrap().applied());
    };
    (0..104).for_each(|_| step(&mut x, 1.0));
    assert_eq!(x, [0.0]);
    (0..104).for_each(|_| step(&mut x, -1.0));
    assert_eq!(x, [1.0]);
}

/// Twenty steps in units in which the parameter of the problem is `scale` times ours.
fn in_units(
    chain: Chain,
    start: f64,
    scale: f64,
    read: fn(f64) -> f64,
    slope: fn(f64) -> f64,
) -> Vec<f64> {
    let mut walk = Walk::new(chain, &[start; 3]);
    let parameter = |z: &[f64]| z.iter().map(|z| scale * read(*z)).collect::<Vec<f64>>();
    walk.descend(20, |z| {
        let g = inside(&parameter(z));
        g.iter().zip(z).map(|(g, z)| scale * g * slope(*z)).collect()
    });
    parameter(&walk.x)
}

#[test]
fn x03_scaling() {
    let logarithmic =
        |scale: f64| in_units(descent(0.01), (1.0 / (3.0 * scale)).ln(), scale, f64::exp, f64::exp);
    assert!(distance(&logarithmic(10.0), &logarithmic(1.0)) <= 1e-12);
    let entropic =
        |scale: f64| in_units(exponentiated(0.01), 1.0 / (3.0 * scale), scale, |x| x, |_| 1.0);
    near(distance(&entropic(10.0), &entropic(1.0)), 0.3396, 1e-3);
}

#[test]
fn x03_flows() {
    // Two flows, each by two methods: 10⁵ steps of 1e-5 are time 1.
    let flow = |chain: Chain, start: f64, read: fn(f64) -> f64, slope: fn(f64) -> f64| {
        let mut walk = Walk::new(chain, &[start; 3]);
        walk.descend(100_000, |z| {
            let x: Vec<f64> = z.iter().map(|z| read(*z)).collect();
            inside(&x).iter().zip(z).map(|(g, z)| g * slope(*z)).collect()
        });
        walk.x.iter().map(|z| read(*z)).collect::<Vec<f64>>()
    };
    let third: f64 = 1.0 / 3.0;
    let entropic = [0.827429, 0.491544, 0.309548];
    let exponentiated = flow(exponentiated(1e-5), third, |x| x, |_| 1.0);
    assert!(distance(&exponentiated, &entropic) <= 5e-6, "{exponentiated:?}");
    let quarter_square = flow(descent(1e-5), 2.0 * third.sqrt(), |u| u * u / 4.0, |u| u / 2.0);
    assert!(distance(&quarter_square, &entropic) <= 5e-6, "{quarter_square:?}");
    let barrier = [0.760394, 0.487240, 0.372678];
    let logarithmic = flow(descent(1e-5), third.ln(), f64::exp, f64::exp);
    assert!(distance(&logarithmic, &barrier) <= 5e-6, "{logarithmic:?}");
    let burg = flow(descent(1e-5).over(Burg::default()), third, |x| x, |_| 1.0);
    assert!(distance(&burg, &barrier) <= 5e-6, "{burg:?}");
}

/// The negative entropy `Σ x·ln x − x` and its divergence by definition.
fn entropic_divergence(p: &[f64], q: &[f64]) -> f64 {
    let potential = |x: &[f64]| x.iter().map(|x| x * x.ln() - x).sum();
    online::bregman(potential, |x| x.iter().map(|x| x.ln()).collect(), p, q).unwrap()
}

#[test]
fn x04_divergences() {
    let (p, q) = ([0.2, 0.5, 1.0], [0.3; 3]);
    let divergence = entropic_divergence(&p, &q);
    printed(divergence, "0.5782925946");
    printed(online::kullback_leibler(&p, &q).unwrap(), "1.3782925946");
    near(online::generalised_kl(&p, &q).unwrap(), divergence, 1e-12);
    assert!((entropic_divergence(&q, &p) - divergence).abs() > 0.1, "it is not symmetric");
    // From the uniform distribution, ln d less the entropy: ln d only for a vertex.
    let uniform = [0.1; 10];
    let pair = [[0.5; 2].as_slice(), &[0.0; 8]].concat();
    printed(online::kullback_leibler(&pair, &uniform).unwrap(), "1.609");
    let vertex = [[1.0].as_slice(), &[0.0; 9]].concat();
    near(online::kullback_leibler(&vertex, &uniform).unwrap(), 10f64.ln(), 1e-12);
}

#[test]
fn x04_a_step_on_the_simplex() {
    let mut walk = Walk::new(descent(0.5).over(Simplex::default()), &THIRDS);
    walk.step(&[1.0, 0.0, -1.0]);
    all_printed(&walk.x, &["0.18632372", "0.30719589", "0.50648039"]);
    let mut unnormalised = Walk::new(exponentiated(0.5), &THIRDS);
    unnormalised.step(&[1.0, 0.0, -1.0]);
    printed(unnormalised.x.iter().sum(), "1.085084");
}

#[test]
fn x04_shares_sum_to_one_in_single_precision_too() {
    // What all updates have in common is hundreds of times what tells them apart.
    let chain = descent(329.0).over(Simplex::default());
    let mut opt = thalweg::Optimizer::<f32>::new(chain).unwrap();
    let mut x = [0.125_f32; 8];
    for t in 0..50 {
        let day = |i: usize| (1.7 * t as f32 + i as f32).sin();
        let g: Vec<f32> = (0..8).map(|i| -1.0 - 0.002 * day(i)).collect();
        let report = opt.step(&mut [thalweg::Param::new("x", &[8], &mut x, &g)]).unwrap();
        assert!(report.applied());
        let sum: f64 = x.iter().map(|x| f64::from(*x)).sum();
        // Each share is off by a few roundings of itself.
        assert!((sum - 1.0).abs() <= 4.0 * f64::from(f32::EPSILON), "{t}: {sum}");
    }
    assert!(x.iter().all(|x| *x > 0.01), "{x:?}");
}

/// Charges of `limit` in absolute value with the signs of a stream.
fn charges(seed: u64, rounds: usize, limit: f64) -> Vec<Linear> {
    let mut rng = Rng::new(seed);
    (0..rounds).map(|_| Linear((0..10).map(|_| limit * rng.sign()).collect())).collect()
}

fn expert(lr: f64) -> Optimizer<f64> {
    let chain = descent(lr).over(Simplex::default());
    Optimizer::<f64>::builder().rest("all", chain).threads(1).build().unwrap()
}

/// The regret of exponentiated gradient on random signs.
fn regret(seed: u64, rounds: usize, limit: f64, lr: f64) -> f64 {
    let game = Game::play(&mut expert(lr), &[0.1; 10], charges(seed, rounds, limit)).unwrap();
    game.standing(lr).unwrap().regret
}

#[test]
fn x06_regret_on_signs() {
    let unit = Experts::new(10, 2000, 1.0).unwrap();
    let small = regret(7, 2000, 1.0, unit.tuned_lr());
    printed(small, "78.122179");
    printed(unit.tuned_bound(), "95.9705");
    near_relative(unit.bound(unit.tuned_lr()), unit.tuned_bound(), 1e-14);
    let hundred = Experts::new(10, 2000, 100.0).unwrap();
    let large = regret(7, 2000, 100.0, hundred.tuned_lr());
    printed(large, "7812.217941");
    near_relative(large, 100.0 * small, 1e-12);
    assert!(large <= hundred.tuned_bound());
    printed(hundred.tuned_bound(), "9597.1");
}

#[test]
fn x06_the_rate_of_the_source_breaks_its_bound() {
    for (limit, suffered, bound) in [(100.0, "9881.180986", "959.7052"), (4.0, "331.757", "191.94")]
    {
        let log = 10f64.ln();
        let wrong_lr = (2.0 * log / (limit * 2000.0)).sqrt();
        let got = regret(7, 2000, limit, wrong_lr);
        printed(got, suffered);
        let wrong_bound = (2.0 * limit * 2000.0 * log).sqrt();
        printed(wrong_bound, bound);
        assert!(got > wrong_bound);
        // The bound before tuning holds for the wrong rate as for any.
        assert!(got <= Experts::new(10, 2000, limit).unwrap().bound(wrong_lr));
    }
}

/// Charges `limit` for the heaviest expert and pays as much for the others.
fn against_the_heaviest(x: &[f64], limit: f64) -> Linear {
    let heavier = |a: usize, b: usize| if x[b] > x[a] { b } else { a };
    let heaviest = (0..x.len()).reduce(heavier).unwrap();
    Linear((0..x.len()).map(|i| if i == heaviest { limit } else { -limit }).collect())
}

#[test]
fn x06_adaptive_adversary() {
    let lr = Experts::new(10, 2000, 1.0).unwrap().tuned_lr();
    let adversary = |x: &[f64]| against_the_heaviest(x, 1.0);
    let game = Game::against(&mut expert(lr), &[0.1; 10], 2000, adversary).unwrap();
    let standing = game.standing(lr).unwrap();
    printed(standing.regret, "17.492990");
    // The best expert is a comparator like any other.
    let mut vertex = [0.0; 10];
    vertex[standing.best] = 1.0;
    near(game.regret(&vertex).unwrap(), standing.regret, 1e-9);
    near(*game.expert_regret_curve().last().unwrap(), standing.regret, 1e-9);
}

#[test]
fn x06_regret_grows_with_the_root_of_the_rounds() {
    let lengths = [250, 500, 1000, 2000, 4000];
    let means = lengths.map(|rounds| {
        let lr = Experts::new(10, rounds, 1.0).unwrap().tuned_lr();
        (1000..1020).map(|seed| regret(seed, rounds, 1.0, lr)).sum::<f64>() / 20.0
    });
    all_printed(&means, &["24.663", "34.079", "48.795", "69.481", "98.064"]);
    let (x, y) = (lengths.map(|t| (t as f64).ln()), means.map(f64::ln));
    let mean = |v: [f64; 5]| v.iter().sum::<f64>() / 5.0;
    let (x0, y0) = (mean(x), mean(y));
    let covariance: f64 = x.iter().zip(y).map(|(x, y)| (x - x0) * (y - y0)).sum();
    let variance: f64 = x.iter().map(|x| (x - x0) * (x - x0)).sum();
    let slope = covariance / variance;
    near(slope, 0.501, 0.02);
    printed(slope, "0.501");
}

fn positives(length: usize) -> impl Strategy<Value = Vec<f64>> {
    proptest::collection::vec(0.05..3.0_f64, length)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn x02_exact_logarithm_and_product(x in positives(5), g in gradients(20, 5), lr in 0.0..0.5) {
        let mut multiplied = x.clone();
        for g in &g {
            product_form(&mut multiplied, lr, 1, |_| g.clone());
        }
        let logarithm = feed(exponentiated(lr), &x, &g);
        prop_assert!(distance_relative(&logarithm, &multiplied) <= 1e-13);
    }

    #[test]
    fn x03_exact_scaling(scale in 0.01..100.0_f64, start in 0.1..1.0_f64) {
        let run = |scale: f64| {
            in_units(descent(0.01), (start / scale).ln(), scale, f64::exp, f64::exp)
        };
        prop_assert!(distance(&run(scale), &run(1.0)) <= 1e-12);
    }

    #[test]
    fn x04_exact_divergences(p in positives(4), q in positives(4)) {
        let kl = online::kullback_leibler(&p, &q).unwrap();
        let generalised = online::generalised_kl(&p, &q).unwrap();
        let total = |v: &[f64]| v.iter().sum::<f64>();
        prop_assert!((generalised - entropic_divergence(&p, &q)).abs() <= 1e-12);
        prop_assert!((generalised - (kl - total(&p) + total(&q))).abs() <= 1e-12);
        let euclidean = online::bregman(
            |x| x.iter().map(|x| x * x / 2.0).sum(), |x| x.to_vec(), &p, &q).unwrap();
        prop_assert!((online::squared_euclidean(&p, &q).unwrap() - euclidean).abs() <= 1e-12);
        let burg = online::bregman(
            |x| -x.iter().map(|x| x.ln()).sum::<f64>(),
            |x| x.iter().map(|x| -1.0 / x).collect(), &p, &q).unwrap();
        let itakura_saito = online::itakura_saito(&p, &q).unwrap();
        prop_assert!((itakura_saito - burg).abs() <= 1e-11 * burg.max(1.0));
        // Never negative, and zero where the points are equal and only there.
        for d in [online::squared_euclidean, online::generalised_kl, online::itakura_saito] {
            prop_assert!(d(&p, &q).unwrap() > 0.0);
            prop_assert_eq!(d(&p, &p).unwrap(), 0.0);
        }
    }

    #[test]
    fn x04_exact_the_simplex_is_kept(
        x in positives(7), g in gradients(10, 7), lr in 0.0..5.0, shift in -50.0..50.0_f64,
    ) {
        let chain = || descent(lr).over(Simplex::default());
        let end = feed(chain(), &x, &g);
        prop_assert!((end.iter().sum::<f64>() - 1.0).abs() <= 1e-12);
        // What is charged to every expert alike moves nothing.
        let shifted: Vec<Vec<f64>> =
            g.iter().map(|g| g.iter().map(|g| g + shift).collect()).collect();
        prop_assert!(distance_relative(&feed(chain(), &x, &shifted), &end) <= 1e-11);
        // One step after another is one step with the sum.
        let total: Vec<f64> = (0..7).map(|i| g.iter().map(|g| g[i]).sum()).collect();
        prop_assert!(distance_relative(&feed(chain(), &x, &[total]), &end) <= 1e-12);
    }

    #[test]
    fn x06_exact_scaling(limit in 0.01..100.0_f64, seed: u64) {
        let lr = |limit: f64| Experts::new(10, 60, limit).unwrap().tuned_lr();
        let unit = regret(seed, 60, 1.0, lr(1.0));
        let scaled = regret(seed, 60, limit, lr(limit));
        prop_assert!((scaled - limit * unit).abs() <= 1e-12 * limit * 60.0);
    }

    #[test]
    fn x06_exact_no_sequence_beats_the_bound(
        losses in (2..12_usize).prop_flat_map(|d| (1..80_usize).prop_flat_map(move |t| gradients(t, d))),
        lr in 0.001..5.0_f64,
    ) {
        let d = losses[0].len();
        let start = vec![1.0 / d as f64; d];
        let game = Game::play(&mut expert(lr), &start, losses.into_iter().map(Linear)).unwrap();
        let standing = game.standing(lr).unwrap();
        prop_assert!(standing.regret <= standing.bound, "{}", standing);
        prop_assert!(standing.setting.tuned_bound() <= standing.bound * (1.0 + 1e-12));
        // After every round, too.
        for (t, regret) in game.expert_regret_curve().into_iter().enumerate() {
            let so_far = Experts::new(d, t + 1, standing.setting.limit()).unwrap();
            prop_assert!(regret <= so_far.bound(lr));
        }
    }

    #[test]
    fn x06_exact_no_adversary_beats_the_bound(
        d in 2..12_usize, rounds in 1..200_usize, limit in 0.1..10.0_f64, lr in 0.001..5.0_f64,
    ) {
        let start = vec![1.0 / d as f64; d];
        let adversary = |x: &[f64]| against_the_heaviest(x, limit);
        let game = Game::against(&mut expert(lr), &start, rounds, adversary).unwrap();
        let standing = game.standing(lr).unwrap();
        prop_assert!(standing.regret <= standing.bound, "{}", standing);
    }
}
