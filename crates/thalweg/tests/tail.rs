//! The tail of a training step in one call: loss scale, accumulation, clipping, the chain, the copy in
//! low precision, the zeroed gradient; each against the same done by hand.

mod common;

use common::prng::Rng;
use common::walk::distance_relative;
use half::{bf16, f16};
use thalweg::recipes::*;
use thalweg::{Accumulation, Builder, Error, LossScale, NonFinite, Optimizer, Outcome, Param};

fn builder() -> Builder {
    Optimizer::<f64>::builder().rest("all", adamw()).threads(1)
}

const LENGTHS: [usize; 3] = [5, 1500, 64];
const SHAPES: [[usize; 1]; 3] = [[5], [1500], [64]];
const NAMES: [&str; 3] = ["c", "a", "b"];

fn draw(rng: &mut Rng) -> Vec<Vec<f64>> {
    LENGTHS.iter().map(|n| rng.normal(*n)).collect()
}

fn zeroed<'a>(x: &'a mut [Vec<f64>], g: &'a mut [Vec<f64>]) -> Vec<Param<'a, f64>> {
    (x.iter_mut().zip(g).zip(NAMES.iter().zip(&SHAPES)))
        .map(|((x, g), (name, shape))| Param::of(name, shape, x).grad_to_zero(g))
        .collect()
}

#[test]
fn one_call_does_what_is_done_by_hand() {
    for mode in [Accumulation::Mean, Accumulation::Sum] {
        let all = builder().clip_global_norm(0.5).accumulation(mode);
        let mut tail: Optimizer<f64> =
            all.loss_scale(LossScale::default().start(1024.0)).build().expect("a chain");
        let mut plain: Optimizer<f64> = builder().build().expect("a chain");
        let mut rng = Rng::new(8);
        let mut x = draw(&mut rng);
        let mut y = x.clone();
        for _ in 0..5 {
            let weights = [3.0, 1.0, 4.0];
            let batches: Vec<Vec<Vec<f64>>> = weights.iter().map(|_| draw(&mut rng)).collect();
            let mut last = 0.0;
            for (k, (batch, weight)) in batches.iter().zip(weights).enumerate() {
                let scale = tail.loss_scale();
                let mut g: Vec<Vec<f64>> =
                    batch.iter().map(|g| g.iter().map(|g| g * scale).collect()).collect();
                let params = &mut zeroed(&mut x, &mut g);
                let report = if k < 2 {
                    tail.accumulate(params, weight).expect("a batch")
                } else {
                    tail.step_weighted(params, weight).expect("a step")
                };
                assert!(report.applied() && report.loss_scale == scale);
                assert!(g.iter().flatten().all(|g| *g == 0.0));
                last = report.grad_norm.expect("a norm");
            }
            // By hand: the weighted mean, its norm, the factor, a step.
            let total = if mode == Accumulation::Mean { 8.0 } else { 1.0 };
            let mean = |t: usize, i: usize| {
                let sum: f64 = batches.iter().zip(weights).map(|(b, w)| w * b[t][i]).sum();
                sum / total
            };
            let mut g: Vec<Vec<f64>> =
                (0..3).map(|t| (0..LENGTHS[t]).map(|i| mean(t, i)).collect()).collect();
            let norm = g.iter().flatten().map(|g| g * g).sum::<f64>().sqrt();
            assert!((last - norm).abs() < 1e-12 * norm);
            g.iter_mut().flatten().for_each(|g| *g *= 0.5 / norm);
            let _ = plain.step(&mut zeroed(&mut y, &mut g)).expect("a step");
        }
        assert_eq!((tail.steps(), tail.accumulated()), (5, 0.0));
        for (x, y) in x.iter().zip(&y) {
            // Coordinates near zero keep the absolute error of the steps.
            let shifted = |v: &Vec<f64>| v.iter().map(|v| v + 10.0).collect::<Vec<_>>();
            assert!(distance_relative(&shifted(x), &shifted(y)) < 1e-12);
        }
    }
}

#[test]
fn the_copy_is_the_new_value_rounded() {
    let mut opt = Optimizer::<f32>::new(adamw().with("lr", 0.1).expect("lr")).expect("a chain");
    for n in [1, 63, 64, 1500, 40_000] {
        let (name, shape) = (format!("x{n}"), [n]);
        let mut rng = Rng::new(n as u64);
        let mut x: Vec<f32> = rng.normal(n).into_iter().map(|v| v as f32).collect();
        let g: Vec<f32> = rng.normal(n).into_iter().map(|v| v as f32).collect();
        let (mut low, mut half) = (vec![bf16::ZERO; n], vec![f16::ZERO; n]);
        let param = Param::of(&name, &shape, &mut x).grad(&g).copy_to(&mut low);
        assert!(opt.step(&mut [param]).expect("a step").applied());
        assert!(low.iter().zip(&x).all(|(l, x)| *l == bf16::from_f32(*x)));
        let param = Param::of(&name, &shape, &mut x).grad(&g).copy_to(&mut half);
        assert!(opt.step(&mut [param]).expect("a step").applied());
        assert!(half.iter().zip(&x).all(|(h, x)| *h == f16::from_f32(*x)));
    }
}

#[test]
fn the_loss_scale_follows_torchs_schedule() {
    // torch.amp.GradScaler(init_scale=8, growth_interval=3): doubled after three steps in a row
    // without overflow, halved at each overflow, the step skipped.
    let scale = LossScale::default().start(8.0).growth(2.0, 3);
    let mut opt: Optimizer<f64> = builder().loss_scale(scale).build().expect("a chain");
    let (mut x, mut scales) = (vec![1.0; 4], vec![]);
    for overflow in [0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0] {
        let before = x.clone();
        let mut g = vec![if overflow == 1 { f64::INFINITY } else { 1.0 }; 4];
        let report = opt.step(&mut [Param::of("x", &[4], &mut x).grad_to_zero(&mut g)]);
        let report = report.expect("a report");
        assert_eq!(report.applied(), overflow == 0);
        assert_eq!(x == before, overflow == 1);
        // A refused step zeroes what is to be zeroed, or the loop would add to infinity.
        assert_eq!(g, [0.0; 4]);
        scales.push(opt.loss_scale());
    }
    assert_eq!(scales, [8., 8., 16., 16., 16., 8., 8., 8., 4., 4., 4., 8., 8.]);
    assert_eq!(opt.steps(), 11);
}

#[test]
fn overflows_are_forgiven_while_the_scale_can_still_shrink() {
    let scale = LossScale::default().start(2f64.powi(-22));
    let policy = NonFinite::Skip { limit: 2 };
    let mut opt: Optimizer<f64> =
        builder().loss_scale(scale).non_finite(policy).build().expect("a chain");
    let mut x = vec![1.0];
    let mut step = || opt.step(&mut [Param::new("x", &[1], &mut x, &[f64::NAN])]);
    // At 2⁻²² and 2⁻²³ the scale becomes smaller; at 2⁻²⁴, the smallest, the limit counts.
    for _ in 0..3 {
        let report = step().expect("a report");
        assert!(matches!(&report.outcome, Outcome::Refused(r) if r == &[("x".to_owned(), 1)]));
    }
    assert!(matches!(step(), Err(Error::NonFinite { .. })));
}

#[test]
fn a_limit_of_zero_forgives_them_too() {
    for limit in [0, 1] {
        let scale = LossScale::default().start(2f64.powi(-22));
        let builder = builder().loss_scale(scale).non_finite(NonFinite::Skip { limit });
        let mut opt: Optimizer<f64> = builder.build().expect("a chain");
        let mut x = vec![1.0];
        let mut step = || opt.step(&mut [Param::new("x", &[1], &mut x, &[f64::NAN])]);
        // Twice it becomes smaller; at the smallest none is left.
        for _ in 0..2 {
            assert!(!step().expect("a report").applied(), "{limit}");
        }
        assert!(matches!(step(), Err(Error::NonFinite { .. })), "{limit}");
    }
}

#[test]
fn a_batch_with_a_non_finite_gradient_is_left_out() {
    let mut opt: Optimizer<f64> = builder().build().expect("a chain");
    let mut other: Optimizer<f64> = builder().build().expect("a chain");
    let (mut x, mut y) = (vec![1.0; 3], vec![1.0; 3]);
    let batch = |opt: &mut Optimizer<f64>, x: &mut Vec<f64>, g: [f64; 3]| {
        opt.accumulate(&mut [Param::new("x", &[3], x, &g)], 1.0).expect("a report").applied()
    };
    assert!(batch(&mut opt, &mut x, [1.0, 2.0, 3.0]));
    assert!(!batch(&mut opt, &mut x, [1.0, f64::NAN, 3.0]));
    assert_eq!((opt.accumulated(), opt.steps()), (1.0, 0));
    assert!(batch(&mut other, &mut y, [1.0, 2.0, 3.0]));
    for (opt, x) in [(&mut opt, &mut x), (&mut other, &mut y)] {
        let g = [0.5, 0.5, -0.5];
        let report = opt.step(&mut [Param::new("x", &[3], x, &g)]).expect("a step");
        assert!(report.applied() && report.weight == 2.0);
    }
    assert_eq!(x, y);
}

#[test]
fn a_finite_gradient_that_scaling_would_make_infinite_is_refused() {
    let sum = || Optimizer::<f32>::builder().rest("all", adam()).accumulation(Accumulation::Sum);
    let scaled = |scale| sum().loss_scale(LossScale::constant(scale));
    let (large, some) = ([1e35f32, 0.0], [1.0f32, 0.0]);
    for (what, builder, g, weight, count) in [
        ("scale", scaled(1e-5), large, 1.0, 1),
        ("scale beyond the range", scaled(1e-40), large, 1.0, 2),
        ("weight", sum(), some, 1e38, 0),
        ("weight beyond the range", sum(), some, 1e300, 2),
        ("both", scaled(1e-5), some, 1e35, 2),
        ("clipped", sum().clip_global_norm(1.0), large, 1e4, 0),
    ] {
        let mut opt: Optimizer<f32> = builder.build().expect("a chain");
        let mut x = vec![1.0f32; 2];
        let report = opt.step_weighted(&mut [Param::new("x", &[2], &mut x, &g)], weight);
        let report = report.expect("a report");
        if count == 0 {
            assert!(report.applied(), "{what}");
            continue;
        }
        assert_eq!(report.outcome, Outcome::Refused(vec![("x".to_owned(), count)]), "{what}");
        assert!(
            x == [1.0; 2] && opt.slot("x", "m").is_none() && report.clip_factor == 1.0,
            "{what}"
        );
    }
    let failing = scaled(1e-5).non_finite(NonFinite::Fail);
    let mut opt: Optimizer<f32> = failing.build().expect("a chain");
    let error = opt.step(&mut [Param::new("x", &[1], &mut [1.0], &large[..1])]).unwrap_err();
    assert!(error.to_string().contains("once loss scale and weight are applied"), "{error}");
}

#[test]
fn a_loss_scale_does_not_shrink_to_nothing_nor_by_an_error() {
    let build = |policy| -> Optimizer<f32> {
        let builder = builder().loss_scale(LossScale::default()).non_finite(policy);
        builder.build().expect("a chain")
    };
    let mut opt = build(NonFinite::Skip { limit: 1000 });
    let mut x = vec![1.0f32];
    for _ in 0..160 {
        let report = opt.step(&mut [Param::new("x", &[1], &mut x, &[f32::NAN])]);
        assert!(!report.expect("a report").applied());
    }
    assert_eq!(opt.loss_scale(), 2f64.powi(-24));
    let report = opt.step(&mut [Param::new("x", &[1], &mut x, &[1.0])]).expect("a step");
    assert!(report.applied() && x[0].is_finite());
    // Nor does one below that grow by shrinking.
    let tiny = builder().loss_scale(LossScale::default().start(1e-9));
    let mut opt: Optimizer<f64> = tiny.build().expect("a chain");
    let _ = opt.step(&mut [Param::new("x", &[1], &mut [1.0], &[f64::NAN])]).expect("a report");
    assert_eq!(opt.loss_scale(), 1e-9);
    for policy in [NonFinite::Fail, NonFinite::Skip { limit: 3 }] {
        let mut opt = build(policy);
        let mut bad = || {
            let before = opt.save_bytes().expect("bytes");
            let result = opt.step(&mut [Param::new("x", &[1], &mut [1.0], &[f32::NAN])]);
            (result.is_err(), opt.save_bytes().expect("bytes") == before)
        };
        let all: Vec<(bool, bool)> = (0..50).map(|_| bad()).collect();
        assert!(all.iter().all(|(error, same)| error == same), "{policy:?}: {all:?}");
        assert!(all.last() == Some(&(true, true)), "{policy:?}");
    }
}

#[test]
fn a_batch_that_would_make_the_sum_infinite_is_left_out() {
    for (limit, error) in [(10, false), (1, true)] {
        let builder = Optimizer::<f32>::builder().rest("all", adam());
        let builder = builder.non_finite(NonFinite::Skip { limit });
        let mut opt: Optimizer<f32> = builder.build().expect("a chain");
        let mut x = vec![1.0f32; 2];
        let mut batch = |opt: &mut Optimizer<f32>, weight| {
            let mut g = [2e38, 1.0];
            let param = Param::of("x", &[2], &mut x).grad_to_zero(&mut g);
            let report = opt.accumulate(&mut [param], weight);
            // What led to an error is left to be looked at.
            assert_eq!(g, if report.is_ok() { [0.0; 2] } else { [2e38, 1.0] });
            report
        };
        assert!(batch(&mut opt, 1.0).expect("a report").applied());
        for weight in [1.0, 1e38, 1e300] {
            match batch(&mut opt, weight) {
                Ok(report) => {
                    let count = if weight > 1e200 { 2 } else { 1 };
                    assert_eq!(report.outcome, Outcome::Refused(vec![("x".to_owned(), count)]));
                    assert!(!error);
                }
                Err(why) => {
                    assert!(error && why.to_string().contains("`discard_accumulated`"), "{why}");
                }
            }
            assert_eq!(opt.accumulated(), 1.0);
        }
        // The step after it is not blocked.
        let report = opt.step(&mut [Param::new("x", &[2], &mut x, &[1.0, 1.0])]).expect("a step");
        assert!(report.applied() && x.iter().all(|x| x.is_finite()));
    }
}

#[test]
fn a_parameter_without_a_new_gradient_steps_on_what_was_accumulated() {
    let mut opt = Optimizer::<f64>::new(gd().with("lr", 1.0).expect("lr")).expect("a chain");
    let (mut x, mut y) = (vec![0.0], vec![0.0]);
    let mut batch = [Param::new("x", &[1], &mut x, &[9.0]), Param::new("y", &[1], &mut y, &[3.0])];
    let _ = opt.accumulate(&mut batch, 1.0).expect("a batch");
    // A batch that says nothing of one of them leaves its sum as it is.
    let mut part =
        [Param::without_gradient("y", &[1], &mut y), Param::new("x", &[1], &mut x, &[0.0])];
    let report = opt.accumulate(&mut part, 1.0).expect("a batch");
    assert!(*report.without_gradient == ["y"] && opt.accumulated() == 2.0);
    let error = opt.step(&mut [Param::new("x", &[1], &mut x, &[0.0])]).expect_err("an error");
    assert!(error.to_string().contains("\"y\"") && error.to_string().contains("accumulated"));
    let mut last =
        [Param::new("x", &[1], &mut x, &[0.0]), Param::without_gradient("y", &[1], &mut y)];
    let report = opt.step(&mut last).expect("a step");
    assert!(report.without_gradient.is_empty() && report.weight == 3.0);
    assert_eq!((x[0], y[0]), (-3.0, -1.0));
    // The sums have been used up.
    let mut next = [Param::new("x", &[1], &mut x, &[1.0]), Param::new("y", &[1], &mut y, &[1.0])];
    let _ = opt.step(&mut next).expect("a step");
    assert_eq!((x[0], y[0]), (-4.0, -2.0));
}

#[test]
fn a_run_broken_in_the_middle_of_accumulation_is_the_unbroken_one() {
    let make = || -> Optimizer<f64> {
        let scale = LossScale::default().start(2.0).growth(2.0, 2);
        builder().loss_scale(scale).clip_global_norm(1.0).build().expect("a chain")
    };
    let mut ends = vec![];
    for broken in [false, true] {
        let (mut opt, mut rng) = (make(), Rng::new(2));
        let mut x = draw(&mut rng);
        for k in 0..12 {
            let mut g = draw(&mut rng);
            let params = &mut zeroed(&mut x, &mut g);
            let report = if k % 3 < 2 { opt.accumulate(params, 2.0) } else { opt.step(params) };
            assert!(report.expect("a report").applied());
            if broken {
                let saved = opt.save_bytes().expect("a checkpoint");
                opt = make();
                assert_eq!(opt.load_bytes(&saved).expect("the same optimizer").params, 3);
            }
        }
        ends.push((x, opt.save_bytes().expect("a checkpoint"), opt.loss_scale()));
    }
    assert!(ends[0] == ends[1]);
    assert_eq!(ends[0].2, 8.0);
    let mut without: Optimizer<f64> = builder().build().expect("a chain");
    let error = without.load_bytes(&ends[0].1).expect_err("an error").to_string();
    assert!(error.contains("with a loss scale"), "{error}");
}

#[test]
fn settings_out_of_range_are_named() {
    let mut opt: Optimizer<f64> = builder().build().expect("a chain");
    for weight in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let error = opt.step_weighted(&mut [], weight).expect_err("an error").to_string();
        assert!(error.contains("weight") && error.contains("(0, ∞)"), "{error}");
    }
    for (scale, words) in [
        (LossScale::constant(0.0), "loss_scale = 0"),
        (LossScale::default().growth(0.5, 10), "growth = 0.5"),
        (LossScale::default().growth(2.0, 0), "interval = 0"),
        (LossScale::default().backoff(1.5), "backoff = 1.5"),
    ] {
        let error = builder().loss_scale(scale).build::<f64>().expect_err("an error").to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn who_takes_no_part_gets_the_rest_of_the_tail() {
    let mut opt: Optimizer<f32> =
        Optimizer::<f32>::builder().rest("all", adamw()).build().expect("a chain");
    let _ = opt.freeze("frozen").expect("a glob");
    let (mut x, mut y, mut z) = ([1.0f32, 2.0], [3.0f32, 4.0], [5.0f32]);
    let (mut g, mut h) = ([0.5f32, 0.5], [bf16::ONE; 2]);
    let (mut of_frozen, mut of_idle) = ([f16::ZERO; 2], [bf16::ZERO; 1]);
    let report = opt.step(&mut [
        Param::of("x", &[2], &mut x).grad_to_zero(&mut g),
        Param::of("frozen", &[2], &mut y).grad_to_zero(&mut h).copy_to(&mut of_frozen),
        Param::of("idle", &[1], &mut z).copy_to(&mut of_idle),
    ]);
    assert!(report.expect("a step").applied());
    assert_eq!((g, h, y, z), ([0.0; 2], [bf16::ZERO; 2], [3.0, 4.0], [5.0]));
    assert_eq!((of_frozen, of_idle), ([3.0, 4.0].map(f16::from_f32), [bf16::from_f32(5.0)]));
    // A refused step and an accumulated batch zero the gradient too.
    for value in [f32::NAN, 1.0] {
        let (mut g, mut h) = ([value; 2], [bf16::ONE; 2]);
        let params = &mut [
            Param::of("x", &[2], &mut x).grad_to_zero(&mut g),
            Param::of("frozen", &[2], &mut y).grad_to_zero(&mut h),
        ];
        let report = if value.is_nan() { opt.step(params) } else { opt.accumulate(params, 1.0) };
        assert_eq!(report.expect("an answer").applied(), !value.is_nan());
        assert_eq!(h, [bf16::ZERO; 2]);
    }
}

#[test]
fn what_was_accumulated_before_freezing_ends_with_the_step() {
    let (mut x, mut y) = ([0.0f64], [0.0f64]);
    let mut opt: Optimizer<f64> =
        Optimizer::new(gd().with("lr", 1.0).expect("lr")).expect("a chain");
    let mut batch = |opt: &mut Optimizer<f64>, step: bool, g: f64| {
        let g = [g];
        let params = &mut [Param::new("x", &[1], &mut x, &g), Param::new("y", &[1], &mut y, &g)];
        let report = if step { opt.step(params) } else { opt.accumulate(params, 1.0) };
        assert!(report.expect("an answer").applied());
        (x[0], y[0])
    };
    let _ = batch(&mut opt, false, 100.0);
    let _ = opt.freeze("x").expect("a glob");
    let (x, y) = batch(&mut opt, true, 2.0);
    assert_eq!((x, y), (0.0, -51.0));
    let _ = opt.unfreeze("x").expect("a glob");
    let _ = batch(&mut opt, false, 1.0);
    let (x, y) = batch(&mut opt, true, 3.0);
    assert_eq!((x, y), (-2.0, -53.0));
}

#[test]
fn removing_who_waits_takes_the_weight_along() {
    let (mut x, mut y) = ([0.0f64], [0.0f64]);
    let mut opt: Optimizer<f64> =
        Optimizer::new(gd().with("lr", 1.0).expect("lr")).expect("a chain");
    let both = &mut [Param::new("x", &[1], &mut x, &[4.0]), Param::new("y", &[1], &mut y, &[8.0])];
    assert!(opt.accumulate(both, 3.0).expect("a batch").applied());
    // While another one waits, the batch counts for it.
    assert!(opt.remove("x") && opt.accumulated() == 3.0);
    assert!(opt.step(&mut [Param::new("y", &[1], &mut y, &[0.0])]).expect("a step").applied());
    assert_eq!((y, opt.accumulated()), ([-6.0], 0.0));
    for frozen in [false, true] {
        x = [0.0];
        let batch = &mut [Param::new("x", &[1], &mut x, &[4.0])];
        assert!(opt.accumulate(batch, 3.0).expect("a batch").applied());
        if frozen {
            let _ = opt.freeze("x").expect("a glob");
        }
        assert!(opt.remove("x") && opt.accumulated() == 0.0);
        let _ = opt.unfreeze("x").expect("a glob");
        let step = opt.step(&mut [Param::new("x", &[1], &mut x, &[4.0])]).expect("a step");
        assert_eq!((step.weight, x), (1.0, [-4.0]));
        assert!(opt.remove("x"));
    }
}

#[test]
fn freezing_all_who_wait_ends_with_the_step() {
    let mut x = [0.0f64];
    let mut opt: Optimizer<f64> =
        Optimizer::new(gd().with("lr", 1.0).expect("lr")).expect("a chain");
    let mut call = |opt: &mut Optimizer<f64>, accumulates: bool| {
        let params = &mut [Param::new("x", &[1], &mut x, &[4.0])];
        let report = if accumulates { opt.accumulate(params, 3.0) } else { opt.step(params) };
        assert!(report.expect("an answer").applied());
        (x[0], opt.accumulated())
    };
    assert_eq!(call(&mut opt, true), (0.0, 3.0));
    let _ = opt.freeze("x").expect("a glob");
    assert_eq!(call(&mut opt, false), (0.0, 0.0));
    let _ = opt.unfreeze("x").expect("a glob");
    assert_eq!(call(&mut opt, false), (-4.0, 0.0));
    assert_eq!(opt.step(&mut []).expect("a step").weight, 1.0);
}

#[test]
fn only_what_was_accumulated_since_the_last_step_is_used() {
    // Momentum moves on without a gradient, so a step on an empty sum shows.
    let chain = || momentum().with("lr", 1.0).expect("lr");
    let mut opt = Optimizer::<f64>::new(chain()).expect("a chain");
    let (mut x, mut y) = ([0.0], [0.0]);
    for _ in 0..2 {
        let both =
            &mut [Param::new("x", &[1], &mut x, &[1.0]), Param::new("y", &[1], &mut y, &[1.0])];
        let _ = opt.accumulate(both, 1.0).expect("a batch");
        let _ = opt.step(both).expect("a step");
    }
    // Of the other nothing waits: it may be missing, and stands still if it comes without a gradient.
    let resting = y;
    let _ = opt.accumulate(&mut [Param::new("x", &[1], &mut x, &[1.0])], 1.0).expect("a batch");
    let nan = opt.step(&mut [
        Param::new("x", &[1], &mut x, &[f64::NAN]),
        Param::new("y", &[1], &mut y, &[1.0]),
    ]);
    assert!(!nan.expect("a report").applied());
    let _ = opt
        .step(&mut [
            Param::new("x", &[1], &mut x, &[1.0]),
            Param::without_gradient("y", &[1], &mut y),
        ])
        .expect("a step");
    assert_eq!(y, resting);
    assert_eq!(opt.params().collect::<Vec<_>>(), [("x", 3), ("y", 2)]);
    let _ = opt.accumulate(&mut [Param::new("x", &[1], &mut x, &[1.0])], 1.0).expect("a batch");
    assert!(opt.step(&mut [Param::new("x", &[1], &mut x, &[1.0])]).is_ok());
}

#[test]
fn discarded_gradients_never_were() {
    let ends = [false, true].map(|discards| {
        let mut opt: Optimizer<f64> = builder().build().expect("a chain");
        let mut x = [1.0, 2.0];
        let bytes = opt.state_bytes();
        if discards {
            let _ = opt
                .accumulate(&mut [Param::new("x", &[2], &mut x, &[5.0, -3.0])], 2.0)
                .expect("a batch");
            opt.discard_accumulated();
            assert_eq!((opt.accumulated(), opt.state_bytes()), (0.0, bytes + 2 * 2 * 8));
        }
        let report = opt.step(&mut [Param::new("x", &[2], &mut x, &[0.5, 0.25])]).expect("a step");
        assert_eq!(report.weight, 1.0);
        (x, opt.save_bytes().expect("a checkpoint"))
    });
    assert!(ends[0] == ends[1]);
}

#[test]
fn a_loss_scale_that_adapts_itself_must_see_overflows() {
    let build = |scale: LossScale| {
        builder().loss_scale(scale).non_finite(NonFinite::Unchecked).build::<f64>().map(drop)
    };
    let error = build(LossScale::default()).expect_err("nobody looks").to_string();
    assert!(error.contains("Unchecked") && error.contains("LossScale::constant"), "{error}");
    assert!(build(LossScale::constant(1024.0)).is_ok());
}

#[test]
fn a_step_that_fails_leaves_the_gradients_to_be_looked_at() {
    let skip = NonFinite::Skip { limit: 2 };
    for (policy, kept) in [(NonFinite::Fail, [true, true]), (skip, [false, true])] {
        let mut opt: Optimizer<f64> =
            Builder::new().rest("all", gd()).non_finite(policy).build().expect("a chain");
        for kept in kept {
            let (mut x, mut g) = ([1.0, 1.0], [f64::NAN, 2.0]);
            let answer =
                opt.step(&mut [Param::without_gradient("x", &[2], &mut x).grad_to_zero(&mut g)]);
            assert_eq!(answer.is_err(), kept);
            assert!(x == [1.0, 1.0] && g[1] == if kept { 2.0 } else { 0.0 }, "{g:?}");
        }
        let (mut x, mut g) = ([1.0], [f64::NAN]);
        let batch = opt.accumulate(
            &mut [Param::without_gradient("x", &[1], &mut x).grad_to_zero(&mut g)],
            1.0,
        );
        assert!(batch.is_err() && g[0].is_nan());
    }
}

#[test]
fn a_weight_without_a_sum_divides_nothing() {
    let mut opt: Optimizer<f64> =
        Optimizer::new(gd().with("lr", 1.0).expect("lr")).expect("a chain");
    let (mut x, mut y) = ([0.0], [0.0]);
    let _ = opt.accumulate(&mut [Param::new("x", &[1], &mut x, &[1.0])], 3.0).expect("a batch");
    let _ = opt.freeze("x").expect("a glob");
    let _ = opt.step(&mut [Param::new("y", &[1], &mut y, &[1.0])]).expect("a step");
    assert_eq!((x, y, opt.accumulated()), ([0.0], [-1.0], 0.0));
}

#[test]
fn a_factor_that_the_number_type_cannot_hold_is_named() {
    let new = |scale| -> Optimizer<f32> {
        let builder = Builder::new().rest("all", gd()).loss_scale(LossScale::constant(scale));
        builder.build().expect("a chain")
    };
    let (mut x, g) = ([1.0f32], [1.0f32]);
    let mut step = |scale, weight| {
        let said = new(scale).accumulate(&mut [Param::new("x", &[1], &mut x, &g)], weight);
        said.map(|report| report.applied()).map_err(|e| e.to_string())
    };
    assert_eq!(step(1.0, 1.0), Ok(true));
    for (scale, weight, name) in
        [(1e46, 1.0, "loss_scale"), (1.0, 1e-50, "weight"), (1e20, 1e-30, "weight")]
    {
        let said = step(scale, weight).expect_err(name);
        assert!(said.contains(name) && said.contains("number type"), "{said}");
    }
    // Nor may the weights of several batches together be more than there is.
    let mut opt: Optimizer<f64> = Optimizer::new(gd()).expect("a chain");
    let (mut x, g) = ([1.0f64], [1.0f64]);
    let mut add = || opt.accumulate(&mut [Param::new("x", &[1], &mut x, &g)], 1.7e308).is_ok();
    assert_eq!([add(), add()], [true, false]);
}
