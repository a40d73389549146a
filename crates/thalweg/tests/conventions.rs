//! Conventions that no golden file pins, against their formulas.

mod common;

use common::walk::{Walk, near_relative};
use thalweg::rules::*;
use thalweg::{Chain, Denominator, Floor, Hat, Outside, Schedule};

/// The first step of Adam with this denominator and ε, in units of the learning rate.
fn first_step<E: Denominator>(eps: f64, g: f64) -> f64 {
    let direction = Adam::<E>::default().denominator(E::new(eps));
    Walk::new(Chain::new((direction, Scale::default().lr(1.0))), &[0.0]).fall(g)
}

#[test]
fn a_floor_counts_only_where_it_is_larger() {
    for g in [1e-3, 1e-6, 1e-8, 1e-9] {
        near_relative(first_step::<Floor>(1e-8, g), g / f64::max(g, 1e-8), 1e-12);
        near_relative(first_step::<Outside>(1e-8, g), g / (g + 1e-8), 1e-12);
    }
}

#[test]
fn epsilon_hat_counts_thirty_times_at_the_first_step() {
    for (g, want) in [(1e-4, 0.997), (1e-6, 0.767), (1e-7, 0.264), (1e-8, 0.061)] {
        let ratio = first_step::<Hat>(1e-8, g) / first_step::<Outside>(1e-8, g);
        assert!((ratio - want).abs() < 5e-4, "{g}: {ratio}");
    }
}

/// What share of the parameter a decay removes at each of three steps, the rate falling from its
/// peak 0.5 to a half and a quarter of it.
fn removed(decay: Chain) -> Vec<f64> {
    let rate = Schedule::Exponential { base: 0.5, factor: 0.5 };
    let chain = decay.then(Scale::default()).with("lr", rate).expect("in range");
    let mut walk = Walk::new(chain, &[1.0]);
    let mut shares = vec![];
    for _ in 0..3 {
        let before = walk.x[0];
        shares.push(walk.fall(0.0) / before);
    }
    shares
}

#[test]
fn decays_multiply_what_they_say() {
    let close = |got: Vec<f64>, want: [f64; 3]| {
        got.iter().zip(want).for_each(|(got, want)| near_relative(*got, want, 1e-12));
    };
    close(removed(DecayWeights::default().decay(0.1).into()), [0.05, 0.025, 0.0125]);
    close(removed(IndependentDecay::default().decay(0.1).into()), [0.1, 0.05, 0.025]);
    close(removed(CorrectedDecay::default().decay(0.1).into()), [0.05, 0.0125, 0.003125]);
}
