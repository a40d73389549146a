//! X05: mirror maps for signed parameters.

mod common;

use common::least_squares::{THIRDS, descent, exponentiated, feed, gradients, inside};
use common::walk::{Walk, distance, near, printed};
use proptest::prelude::*;
use thalweg::geometry::{Burg, EgPm, Hypentropy, PNorm};
use thalweg::{Chain, Optimizer, Param};

fn hypentropic(lr: f64, beta: f64) -> Chain {
    descent(lr).over(Hypentropy::default().beta(beta))
}

#[test]
fn x05_signed_maps() {
    // Both weights start at β/2 = 0.35, which is the parameter 0.
    let mut pair = Walk::new(descent(0.05).over(EgPm::default().beta(0.7)), &[0.0; 3]);
    pair.step(&[0.0; 3]);
    for weight in ["log_plus", "log_minus"] {
        assert!(distance(pair.slot(weight), &[0.35_f64.ln(); 3]) < 1e-15);
    }
    let mut single = Walk::new(hypentropic(0.05, 0.7), &[0.0; 3]);
    pair.descend(300, inside);
    single.descend(300, inside);
    assert!(distance(&pair.x, &single.x) <= 1e-13);
    assert!(distance(&pair.x, &[1.0, 0.5, 0.0]) < 0.1, "{:?} has not moved", pair.x);
}

#[test]
fn x05_hypentropy_between_its_limits() {
    let mut wide = Walk::new(hypentropic(0.01 / 1e4, 1e4), &THIRDS);
    let mut plain = Walk::new(descent(0.01), &THIRDS);
    wide.descend(50, inside);
    plain.descend(50, inside);
    printed(distance(&wide.x, &plain.x), "3e-10");
    let mut narrow = Walk::new(hypentropic(0.01, 1e-9), &THIRDS);
    let mut entropic = Walk::new(exponentiated(0.01), &THIRDS);
    narrow.descend(50, inside);
    entropic.descend(50, inside);
    assert!(distance(&narrow.x, &entropic.x) <= 1e-12);
}

#[test]
fn x05_a_step_in_a_p_norm() {
    let norm = |x: &[f64], p: f64| x.iter().map(|x| x.abs().powf(p)).sum::<f64>().powf(1.0 / p);
    let link = |x: &[f64], p: f64| -> Vec<f64> {
        let divisor = norm(x, p).powf(p - 2.0);
        x.iter().map(|x| x.signum() * x.abs().powf(p - 1.0) / divisor).collect()
    };
    let (x, g) = ([0.3, -1.2, 2.0], [1.0, 0.5, -0.25]);
    for (p, q) in [(1.5, 3.0), (1.25, 5.0), (2.0, 2.0)] {
        let dual: Vec<f64> = link(&x, p).iter().zip(g).map(|(dual, g)| dual - 0.1 * g).collect();
        let moved = feed(descent(0.1).over(PNorm::default().p(p)), &x, &[g.to_vec()]);
        assert!(distance(&moved, &link(&dual, q)) <= 1e-13);
        assert!(distance(&link(&link(&x, p), q), &x) <= 1e-12);
    }
}

#[test]
fn x05_burg_refuses_what_it_cannot_do() {
    let mut opt = Optimizer::<f64>::new(descent(1.0).over(Burg::default())).unwrap();
    let mut x = [1.0, 1.0];
    let refused = opt.step(&mut [Param::new("x", &[2], &mut x, &[-2.0, 0.5])]).unwrap_err();
    assert!(refused.to_string().contains("lower the learning rate"), "{refused}");
    assert_eq!((x, opt.steps()), ([1.0, 1.0], 0));
    let report = opt.step(&mut [Param::new("x", &[2], &mut x, &[-0.5, 0.5])]).unwrap();
    assert!(report.applied());
    near(x[0], 2.0, 1e-15);
}

#[test]
fn x05_burg_sees_the_number_that_single_precision_divides_by() {
    let (mut applied, mut refused) = (0, 0);
    for k in 0..400 {
        // At the border 1 + x·u is 0 in single precision, whatever it is in double.
        let start = 0.5 + 1.85e-3 * k as f32;
        let border = -1.0 / start;
        for g in [border.next_down(), border, border.next_up()] {
            let chain = descent(1.0).over(Burg::default());
            let mut opt =
                Optimizer::<f32>::builder().rest("all", chain).threads(1).build().unwrap();
            let mut x = [start];
            match opt.step(&mut [Param::new("x", &[1], &mut x, &[g])]) {
                Ok(report) => {
                    assert!(
                        report.applied() && x[0].is_finite() && x[0] > 0.0,
                        "{start} {g}: {x:?}"
                    );
                    applied += 1;
                }
                Err(_) => {
                    assert_eq!(x, [start]);
                    refused += 1;
                }
            }
        }
    }
    assert!(applied > 100 && refused > 100, "{applied} {refused}");
    // One so long that the parameter would be 0, where it could never leave, is none either.
    let mut opt = Optimizer::<f32>::new(descent(1.0).over(Burg::default())).unwrap();
    assert!(opt.step(&mut [Param::new("x", &[1], &mut [1e-3], &[3e38])]).is_ok());
    assert!(opt.step(&mut [Param::new("x", &[1], &mut [1e10], &[3e38])]).is_err());
}

#[test]
fn x05_p_norms_near_1_keep_small_and_large_numbers_in_single_precision() {
    // The way back is a power of p/(p − 1): 21 for p = 1.05.
    for p in [1.05, 1.1, 1.2, 2.0, 3.0] {
        for size in [1e-10f64, 1e-5, 3e-5, 1.0, 1e3] {
            for n in [1, 10, 1000] {
                let steps = |i: usize| {
                    size * (1.0 + (i % 7) as f64 / 7.0)
                        * if i.is_multiple_of(2) { 1.0 } else { -1.0 }
                };
                let chain = || descent(1.0).over(PNorm::default().p(p));
                let (mut single, mut double) = (vec![0.0f32; n], vec![0.0f64; n]);
                let mut opts = (
                    Optimizer::<f32>::new(chain()).unwrap(),
                    Optimizer::<f64>::new(chain()).unwrap(),
                );
                for _ in 0..3 {
                    let g: Vec<f64> = (0..n).map(steps).collect();
                    let narrow: Vec<f32> = g.iter().map(|g| *g as f32).collect();
                    let _ =
                        opts.0.step(&mut [Param::new("x", &[n], &mut single, &narrow)]).unwrap();
                    let _ = opts.1.step(&mut [Param::new("x", &[n], &mut double, &g)]).unwrap();
                }
                let norm = double.iter().map(|x| x.abs()).fold(0.0, f64::max);
                assert!(norm > 0.0 && norm.is_finite(), "{p} {size} {n}");
                for (a, b) in single.iter().zip(&double) {
                    assert!((f64::from(*a) - b).abs() <= 1e-4 * norm, "{p} {size} {n}: {a} {b}");
                }
            }
        }
    }
}

#[test]
fn x05_p_norms_know_no_scale() {
    // Everything times a power of two is the same step times it, far beyond where powers are numbers.
    for p in [1.01, 1.03, 1.5, 50.0] {
        let run = |scale: f64, x: [f64; 3]| {
            let chain = descent(1.0).over(PNorm::default().p(p));
            let x = x.map(|x| x * scale);
            let gradients =
                [[0.3, 0.5, -0.25], [-0.1, 0.4, 0.2]].map(|g| g.map(|g| g * scale).to_vec());
            feed(chain, &x, &gradients).iter().map(|x| x / scale).collect::<Vec<f64>>()
        };
        for start in [[0.0; 3], [1.0, -0.75, 0.5]] {
            let want = run(1.0, start);
            assert!(want.iter().all(|x| x.is_finite() && *x != 0.0) || p < 1.1, "{p} {want:?}");
            for power in [-900, -300, -34, 34, 300, 900] {
                let got = run(2f64.powi(power), start);
                assert!(distance(&got, &want) <= 1e-12, "{p} 2^{power}: {got:?} {want:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn x05_exact_the_pair_is_hypentropy(
        x in proptest::collection::vec(-3.0..3.0_f64, 6), g in gradients(20, 6),
        lr in 0.0..0.1, beta in 0.01..5.0_f64,
    ) {
        let pair = feed(descent(lr).over(EgPm::default().beta(beta)), &x, &g);
        let single = feed(hypentropic(lr, beta), &x, &g);
        // The difference of two weights is exact to the size of the larger one.
        for (a, b) in pair.iter().zip(&single) {
            prop_assert!((a - b).abs() <= 1e-12 * (a.abs() + beta).max(1.0));
        }
    }

    #[test]
    fn x05_exact_p_norms(
        x in proptest::collection::vec(-3.0..3.0_f64, 6), g in gradients(20, 6),
        lr in 0.0..0.1, p in 1.1..4.0_f64,
    ) {
        let over = |p: f64, lr: f64| descent(lr).over(PNorm::default().p(p));
        prop_assert!(distance(&feed(over(2.0, lr), &x, &g), &feed(descent(lr), &x, &g)) <= 1e-12);
        // Without a step it is the link and its inverse; 1.5 and 3 are conjugate.
        prop_assert!(distance(&feed(over(1.5, lr), &x, &[vec![0.0; 6]]), &x) <= 1e-12);
        prop_assert!(distance(&feed(over(p, lr), &x, &[vec![0.0; 6]]), &x) <= 1e-11);
        prop_assert_eq!(feed(over(p, lr), &[0.0; 6], &[vec![0.0; 6]]), vec![0.0; 6]);
    }
}

#[test]
fn small_scales_are_numbers_in_single_precision() {
    let still = |chain: Chain, beta: f32, x: &[f32]| {
        let (mut opt, mut moved) = (Optimizer::<f32>::new(chain).unwrap(), x.to_vec());
        let g = vec![0.0; x.len()];
        let report = opt.step(&mut [Param::new("x", &[x.len()], &mut moved, &g)]).unwrap();
        assert!(report.applied());
        for (x, moved) in x.iter().zip(&moved) {
            // A logarithm of size 88 has five digits behind it, and weights of size β cancel.
            let few = 1e-4 * x.abs() + 1e-5 * beta + 1e-30;
            assert!((x - moved).abs() <= few, "{beta}: {moved} is not {x}");
        }
    };
    let start = [0.0, 1.0, -2.0, 1e-3, -1e-12];
    for beta in [1e-6, 1e-20, 1e-23, 1e-30, 1e-36] {
        let exact = f64::from(beta);
        still(descent(0.1).over(EgPm::default().beta(exact)), beta, &start);
        still(descent(0.1).over(Hypentropy::default().beta(exact)), beta, &start);
    }
    // One that single precision does not have is the smallest that it has.
    still(descent(0.1).over(EgPm::default().beta(1e-50)), 0.0, &start);
    still(descent(0.1).over(Hypentropy::default().beta(1e-50)), 0.0, &[0.0, 0.5]);
    // Nor does a large parameter leave the range with its square.
    let large = [0.0, 3e25, -1e20, 1.0];
    still(descent(0.1).over(EgPm::default()), 1.0, &large);
    still(descent(0.1).over(Hypentropy::default()), 1.0, &large);
}
