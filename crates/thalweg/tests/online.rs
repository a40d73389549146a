//! Online games: what they count, and what they refuse.

use thalweg::geometry::Simplex;
use thalweg::online::*;
use thalweg::recipes::gd;
use thalweg::{Chain, Error, Optimizer};

fn player() -> Optimizer<f64> {
    Optimizer::new(gd().with("lr", 0.5).unwrap()).unwrap()
}

/// The squared distance to a place.
struct Distance(f64);

impl Loss for Distance {
    fn value(&self, x: &[f64]) -> f64 {
        (x[0] - self.0) * (x[0] - self.0)
    }
    fn gradient(&self, x: &[f64]) -> Vec<f64> {
        vec![2.0 * (x[0] - self.0)]
    }
}

#[test]
fn regret_counts_from_the_first_round() {
    // With the rate 1/2 the player stands where the last loss was zero.
    let losses = [1.0, 3.0, 3.0].map(Distance);
    let game = Game::play(&mut player(), &[0.0], losses).unwrap();
    assert_eq!(game.suffered(), [1.0, 4.0, 0.0]);
    assert_eq!((game.loss(), game.rounds(), game.point()), (5.0, 3, &[3.0][..]));
    assert_eq!(game.regret_curve(&[2.0]).unwrap(), [0.0, 3.0, 2.0]);
    assert_eq!(game.regret(&[3.0]).unwrap(), 1.0);
}

#[test]
fn the_best_expert_is_the_best_so_far() {
    let losses = [[1.0, 0.0], [0.0, 3.0]].map(|g| Linear(g.to_vec()));
    let chain: Chain = gd().with("lr", 0.0).unwrap();
    let mut still = Optimizer::new(chain.over(Simplex::default())).unwrap();
    let game = Game::play(&mut still, &[0.5, 0.5], losses).unwrap();
    assert_eq!(game.best_expert(), (0, 1.0));
    let curve = game.expert_regret_curve();
    assert!((curve[0] - 0.5).abs() < 1e-15 && (curve[1] - 1.0).abs() < 1e-15, "{curve:?}");
    let standing = game.standing(0.25).unwrap();
    assert_eq!((standing.setting.limit(), standing.best), (3.0, 0));
    assert!((standing.regret - 1.0).abs() < 1e-15);
    assert!((standing.bound - (std::f64::consts::LN_2 / 0.25 + 0.25 * 2.0 * 4.5)).abs() < 1e-14);
    assert!(standing.to_string().contains("regret 1.000000"), "{standing}");
}

/// A value that is finite where the gradient is not.
#[derive(Debug)]
struct Cusp;

impl Loss for Cusp {
    fn value(&self, _: &[f64]) -> f64 {
        0.0
    }
    fn gradient(&self, _: &[f64]) -> Vec<f64> {
        vec![f64::INFINITY]
    }
}

#[test]
fn mistakes_are_errors() {
    let says = |error: Error, what: &str| {
        assert!(error.to_string().contains(what), "{error} does not say {what:?}");
    };
    let none: [Linear; 0] = [];
    says(Game::play(&mut player(), &[], none.clone()).unwrap_err(), "no coordinates");
    let mut used = player();
    let game = Game::play(&mut used, &[0.0], [Linear(vec![1.0])]).unwrap();
    says(game.regret(&[]).unwrap_err(), "comparator");
    let again = Game::play(&mut used, &[0.0], [Linear(vec![1.0])]);
    says(again.unwrap_err(), "has taken 1 steps");
    let long = Game::play(&mut player(), &[0.0], [Linear(vec![1.0, 2.0])]);
    says(long.unwrap_err(), "has 2 coordinates, but must have 1");
    let nan = Game::play(&mut player(), &[1.0], [Linear(vec![f64::NAN])]);
    says(nan.unwrap_err(), "loss of round 1 is NaN");
    says(Game::play(&mut player(), &[0.0], [Cusp]).unwrap_err(), "non-finite");
    says(Game::play(&mut player(), &[0.0], none).unwrap().standing(0.1).unwrap_err(), "0 rounds");
    says(Experts::new(2, 1, -1.0).unwrap_err(), "limit -1");
    says(generalised_kl(&[1.0, -0.5], &[1.0, 1.0]).unwrap_err(), "p[1] = -0.5");
    says(itakura_saito(&[1.0], &[0.0]).unwrap_err(), "q[0] = 0");
    says(squared_euclidean(&[1.0], &[]).unwrap_err(), "q");
}

#[test]
fn divergences_at_the_border() {
    assert_eq!(generalised_kl(&[0.0, 1.0], &[0.5, 1.0]).unwrap(), 0.5);
    assert_eq!(generalised_kl(&[1.0], &[0.0]).unwrap(), f64::INFINITY);
    assert_eq!(kullback_leibler(&[0.0], &[0.0]).unwrap(), 0.0);
    let half = Experts::new(2, 1, 0.0).unwrap();
    assert_eq!((half.bound(0.0), half.tuned_lr()), (f64::INFINITY, f64::INFINITY));
}

#[test]
fn quotients_beyond_all_numbers_have_logarithms() {
    let log = (1e200f64).ln() - (1e-200f64).ln();
    let near = |got: f64, want: f64| assert!((got - want).abs() <= 1e-14 * want.abs(), "{got}");
    near(generalised_kl(&[1e-200], &[1e200]).unwrap(), 1e200);
    near(generalised_kl(&[1e200], &[1e-200]).unwrap(), 1e200 * (log - 1.0));
    near(kullback_leibler(&[1e-200], &[1e200]).unwrap(), -1e-200 * log);
    near(kullback_leibler(&[1e200], &[1e-200]).unwrap(), 1e200 * log);
    near(itakura_saito(&[1e-200], &[1e200]).unwrap(), log - 1.0);
    assert_eq!(itakura_saito(&[1e200], &[1e-200]).unwrap(), f64::INFINITY);
    // A quotient that has lost digits counts as too small.
    let small = kullback_leibler(&[1e-160], &[1e160]).unwrap();
    near(small, -1e-160 * ((1e160f64).ln() - (1e-160f64).ln()));
}

#[test]
fn a_game_without_charges_has_a_bound_of_zero() {
    for count in [1, 4] {
        let game = Experts::new(count, 10, 0.0).unwrap();
        assert_eq!((game.tuned_lr(), game.tuned_bound()), (f64::INFINITY, 0.0), "{count}");
        assert_eq!(game.bound(game.tuned_lr()), 0.0, "{count}");
    }
}
