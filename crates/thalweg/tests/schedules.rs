//! Schedules against torch's, whose numbers at these steps follow from its documented formulas.

use thalweg::geometry::PNorm;
use thalweg::recipes::{adamw_paper, gd, prodigy, rprop};
use thalweg::rules::{ClipValue, Scale};
use thalweg::{Chain, Optimizer, Param, Plateau, Schedule};

fn values(schedule: &Schedule, steps: &[u64]) -> Vec<f64> {
    steps.iter().map(|s| schedule.value(*s)).collect()
}

#[track_caller]
fn close(schedule: &Schedule, points: &[(u64, f64)]) {
    for (step, want) in points {
        let got = schedule.value(*step);
        let near = (got - want).abs() <= 1e-13 * want.abs().max(1e-3);
        assert!(near, "{schedule:?} at {step} is {got}, not {want}");
    }
}

#[test]
fn steps_and_powers() {
    let step = Schedule::Step { base: 0.5, factor: 0.5, every: 3 };
    close(&step, &[(0, 0.5), (2, 0.5), (3, 0.25), (5, 0.25), (6, 0.125), (30, 0.5 / 1024.0)]);
    let multi = Schedule::MultiStep { base: 1.0, factor: 0.1, milestones: vec![2, 5, 5] };
    close(&multi, &[(0, 1.0), (1, 1.0), (2, 0.1), (4, 0.1), (5, 1e-3), (9, 1e-3)]);
    let exponential = Schedule::Exponential { base: 2.0, factor: 0.9 };
    close(&exponential, &[(0, 2.0), (1, 1.8), (2, 1.62), (10, 0.697_356_880_2)]);
    let squared = Schedule::Polynomial { from: 0.5, to: 0.0, steps: 4, power: 2.0 };
    close(&squared, &[(0, 0.5), (1, 0.281_25), (2, 0.125), (3, 0.031_25), (4, 0.0), (9, 0.0)]);
    close(&Schedule::linear(1.0, 0.5, 4), &[(0, 1.0), (1, 0.875), (4, 0.5), (u64::MAX, 0.5)]);
}

#[test]
fn cosines() {
    // to + (from − to)·(1 + cos(π·t/T))/2; cos of π/4 and π/3 are √½ and ½.
    let quarter = 0.1 + 0.9 * 0.5 * (1.0 + std::f64::consts::FRAC_1_SQRT_2);
    let cosine = Schedule::cosine(1.0, 0.1, 12);
    let points = [(0, 1.0), (3, quarter), (4, 0.775), (6, 0.55), (8, 0.325), (12, 0.1), (99, 0.1)];
    close(&cosine, &points);
    let restarts = Schedule::CosineRestarts { from: 1.0, to: 0.0, first: 2, growth: 2 };
    let points = [(0, 1.0), (1, 0.5), (2, 1.0), (4, 0.5), (5, 0.146_446_609_406_726_24), (6, 1.0)];
    close(&restarts, &points);
    let equal = Schedule::CosineRestarts { from: 1.0, to: 0.0, first: 4, growth: 1 };
    close(&equal, &[(0, 1.0), (2, 0.5), (4, 1.0), (4_000_002, 0.5)]);
}

#[test]
fn one_cycle_of_torch() {
    // OneCycleLR(max_lr=1, total_steps=10): up to step 0.3·10 − 1 = 2, down to step 9.
    let cycle = Schedule::one_cycle(1.0, 10);
    let down = |k: f64| 4e-6 + (1.0 - 4e-6) * 0.5 * (1.0 + (std::f64::consts::PI * k / 7.0).cos());
    close(&cycle, &[(0, 0.04), (1, 0.52), (2, 1.0), (3, down(1.0)), (6, down(4.0)), (9, 4e-6)]);
    assert_eq!(cycle.value(100), cycle.value(9));
    assert_eq!(cycle.peak(), 1.0);
}

#[test]
fn warm_ups() {
    let wsd = Schedule::Wsd { peak: 1.0, end: 0.0, warmup: 2, stable: 3, decay: 2 };
    close(&wsd, &[(0, 0.5), (1, 1.0), (2, 1.0), (5, 1.0), (6, 0.5), (7, 0.0), (8, 0.0)]);
    let inverse = Schedule::InverseSqrt { peak: 1.0, warmup: 4 };
    close(&inverse, &[(0, 0.25), (3, 1.0), (15, 0.5), (99, 0.2)]);
    let warm = Schedule::linear(1.0, 0.0, 4).after_warmup(4);
    close(&warm, &[(0, 0.25), (2, 0.75), (3, 1.0), (4, 1.0), (5, 0.75), (8, 0.0), (9, 0.0)]);
    let cold = Schedule::Constant(2.0).after_warmup(0);
    close(&cold, &[(0, 2.0)]);
}

#[test]
fn one_after_another() {
    let parts = vec![
        (2, Schedule::Constant(1.0)),
        (0, Schedule::Constant(9.0)),
        (3, Schedule::linear(1.0, 0.0, 2)),
        (1, Schedule::Constant(0.25)),
    ];
    let schedule = Schedule::Sequential(parts);
    assert_eq!(values(&schedule, &[0, 1, 2, 3, 4, 5, 99]), [1.0, 1.0, 1.0, 0.5, 0.0, 0.25, 0.25]);
}

/// The rates of plain descent while it is told these metrics.
fn told(plateau: Plateau, metrics: &[f64]) -> Vec<f64> {
    let chain = gd().with("lr", Schedule::Plateau(plateau)).expect("in range");
    let mut opt = Optimizer::<f64>::new(chain).expect("a valid chain");
    let rate = |metric: &f64| {
        opt.observe(*metric);
        let mut x = [0.0];
        let report = opt.step(&mut [Param::new("x", &[1], &mut x, &[1.0])]).expect("a step");
        report.lr[0].1.expect("a rate")
    };
    metrics.iter().map(rate).collect()
}

#[test]
fn plateaus_of_torch() {
    let halving = |patience| Plateau { patience, factor: 0.5, ..Plateau::new(1.0) };
    assert_eq!(told(halving(1), &[3.0, 2.0, 2.0, 2.0, 1.0]), [1.0, 1.0, 1.0, 0.5, 0.5]);
    // A relative fall of less than 1e-4 is none.
    assert_eq!(told(halving(0), &[2.0, 1.999_9, 1.999_7]), [1.0, 0.5, 0.5]);
    // While it cools down nothing is counted.
    let cooling = Plateau { cooldown: 2, ..halving(0) };
    assert_eq!(told(cooling, &[1.0, 1.0, 1.0, 1.0, 1.0]), [1.0, 0.5, 0.5, 0.5, 0.25]);
    let floored = Plateau { floor: 0.4, ..halving(0) };
    assert_eq!(told(floored, &[1.0; 4]), [1.0, 0.5, 0.4, 0.4]);
    // A floor above the value raises nothing.
    let below = Plateau { value: 0.1, floor: 0.4, ..halving(0) };
    assert_eq!(told(below, &[1.0; 3]), [0.1; 3]);
    // Losses may be negative; infinity and NaN are never an improvement. One that stands still is none either,
    // but for torch it is: −1 < −1·(1 − 1e-4).
    assert_eq!(told(halving(0), &[-1.0, -1.0, -1.000_05, -1.000_2]), [1.0, 0.5, 0.25, 0.25]);
    // Nor is a reduction too small to be made, as below 1e-8 in torch.
    let tiny = Plateau { value: 1e-8, ..halving(0) };
    assert_eq!(told(tiny, &[1.0, 1.0]), [1e-8, 5e-9]);
    assert_eq!(told(halving(0), &[-1.0, -2.0, -1.5]), [1.0, 1.0, 0.5]);
    let bad = [f64::INFINITY, f64::NAN, 1.0, f64::NAN];
    assert_eq!(told(halving(0), &bad), [0.5, 0.25, 0.25, 0.125]);
}

#[test]
fn plateaus_of_torch_for_rising_metrics_and_absolute_thresholds() {
    use thalweg::PlateauMode::{Max, Min};
    use thalweg::ThresholdMode::{Absolute, Relative};
    // torch.optim.lr_scheduler.ReduceLROnPlateau 2.15.0, factor 0.5, patience 0, threshold 0.1.
    let rates = |mode, threshold_mode, metrics: &[f64]| {
        let plateau = Plateau { patience: 0, factor: 0.5, threshold: 0.1, ..Plateau::new(1.0) };
        told(Plateau { mode, threshold_mode, ..plateau }, metrics)
    };
    let rising = [0.5, 0.6, 0.6, 0.63, 0.7, 0.75, 0.9];
    assert_eq!(rates(Max, Relative, &rising), [1.0, 1.0, 0.5, 0.25, 0.25, 0.125, 0.125]);
    assert_eq!(rates(Max, Absolute, &rising), [1.0, 0.5, 0.25, 0.25, 0.125, 0.125, 0.125]);
    let below_zero = [-5.0, -4.95, -4.8, -4.0, -4.05];
    assert_eq!(rates(Max, Absolute, &below_zero), [1.0, 0.5, 0.5, 0.5, 0.25]);
    let falling = [1.0, 0.95, 0.85, 0.2, 0.15, 0.05, -0.2, -0.25, -0.4];
    let want = [1.0, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125, 0.125];
    assert_eq!(rates(Min, Absolute, &falling), want);
    let relative = [1.0, 0.95, 0.85, 0.2, 0.19, 0.05];
    assert_eq!(rates(Min, Relative, &relative), [1.0, 0.5, 0.5, 0.5, 0.25, 0.25]);
    let nan = [f64::NAN, 0.5, f64::NAN, 0.7];
    assert_eq!(rates(Max, Absolute, &nan), [0.5, 0.5, 0.25, 0.25]);
}

#[test]
fn a_plateau_counts_to_the_end_and_takes_no_infinity_for_the_best() {
    use thalweg::PlateauMode::{Max, Min};
    let most = Plateau { bad: u64::MAX, patience: u64::MAX - 1, factor: 0.5, ..Plateau::new(1.0) };
    assert_eq!(told(most, &[f64::NAN]), [0.5]);
    for (mode, best) in [(Min, f64::NEG_INFINITY), (Max, f64::INFINITY)] {
        let plateau = Plateau { mode, patience: 1, factor: 0.5, ..Plateau::new(1.0) };
        let chain = gd().with("lr", Schedule::Plateau(plateau)).expect("in range");
        let new = || Optimizer::<f64>::new(chain.clone()).expect("a valid chain");
        let (mut opt, mut resumed) = (new(), new());
        opt.observe(best);
        let _ = resumed.load_bytes(&opt.save_bytes().expect("bytes")).expect("a file");
        for _ in 0..3 {
            opt.observe(1.0);
            resumed.observe(1.0);
            let bytes = |opt: &Optimizer<f64>| opt.save_bytes().expect("bytes");
            assert!(bytes(&opt) == bytes(&resumed), "{mode:?}");
        }
    }
}

#[test]
fn a_plateau_saved_in_the_other_mode_brings_no_best() {
    let new = |mode| {
        let plateau = Plateau { patience: 0, factor: 0.5, mode, ..Plateau::new(1.0) };
        Optimizer::<f64>::new(gd().with("lr", Schedule::Plateau(plateau)).expect("in range"))
            .expect("a valid chain")
    };
    let rate = |opt: &Optimizer<f64>| {
        opt.groups().next().expect("a group").1.hyper("lr").expect("lr").value(0)
    };
    for (mode, want) in [(thalweg::PlateauMode::Min, 0.5), (thalweg::PlateauMode::Max, 1.0)] {
        let mut saved = new(thalweg::PlateauMode::Min);
        saved.observe(5.0);
        let mut opt = new(mode);
        let _ = opt.load_bytes(&saved.save_bytes().expect("bytes")).expect("a file");
        // Worse than 5 for a loss; the first that an accuracy is told.
        opt.observe(5.0);
        assert_eq!(rate(&opt), want);
    }
}

#[test]
fn peaks() {
    let schedules = [
        (Schedule::linear(0.1, 2.0, 7), 2.0),
        (Schedule::Exponential { base: 3.0, factor: 0.5 }, 3.0),
        (Schedule::InverseSqrt { peak: 2.0, warmup: 5 }, 2.0),
        (Schedule::Wsd { peak: 2.0, end: 0.0, warmup: 0, stable: 0, decay: 1 }, 2.0),
        (Schedule::Sequential(vec![(3, 1.0.into()), (1, 4.0.into())]), 4.0),
        (Schedule::cosine(2.0, 0.0, 9).after_warmup(3), 2.0),
    ];
    for (schedule, peak) in schedules {
        assert_eq!(schedule.peak(), peak, "{schedule:?}");
        assert!((0..50).all(|t| schedule.value(t) <= peak));
    }
}

/// Where one coordinate at 1 goes without a gradient, in units of the decay.
fn decayed(opt: &mut Optimizer<f64>) -> f64 {
    let mut x = [1.0];
    let report = opt.step(&mut [Param::new("x", &[1], &mut x, &[0.0])]).expect("a step");
    assert!(report.applied());
    (1.0 - x[0]) / 0.5
}

#[test]
fn independent_decay_follows_the_schedule_relative_to_its_peak() {
    let decay = |lr: Schedule| {
        let chain = adamw_paper().with("decay", 0.5).and_then(|c| c.with("lr", lr));
        Optimizer::<f64>::new(chain.expect("in range")).expect("a valid chain")
    };
    let mut opt = decay(Schedule::linear(1e-3, 0.0, 4));
    let shares: Vec<f64> = (0..4).map(|_| decayed(&mut opt)).collect();
    for (got, want) in shares.iter().zip([1.0, 0.75, 0.5, 0.25]) {
        assert!((got - want).abs() < 1e-15, "{shares:?}");
    }
    // A plateau's peak is where it began, not where it is.
    let plateau = Plateau { patience: 0, factor: 0.5, ..Plateau::new(1e-3) };
    let mut opt = decay(Schedule::Plateau(plateau));
    for want in [1.0, 0.5, 0.25] {
        opt.observe(1.0);
        assert!((decayed(&mut opt) - want).abs() < 1e-15);
    }
    // A rate of zero decays nothing, and divides by nothing.
    assert_eq!(decayed(&mut decay(0.0.into())), 0.0);
}

#[test]
fn what_is_no_schedule_is_refused() {
    let restarts = |first, growth| Schedule::CosineRestarts { from: 1.0, to: 0.0, first, growth };
    let bad = [
        Schedule::Step { base: 1.0, factor: 0.5, every: 0 },
        Schedule::linear(1.0, 0.0, 0),
        Schedule::cosine(1.0, 0.0, 0),
        Schedule::Polynomial { from: 1.0, to: 0.0, steps: 3, power: 0.0 },
        restarts(0, 1),
        restarts(1, 0),
        Schedule::one_cycle(1.0, 1),
        Schedule::one_cycle(1.0, 3),
        Schedule::OneCycle { peak: 1.0, start: 0.1, end: 0.0, steps: 9, rising: 1.0 },
        Schedule::Wsd { peak: 1.0, end: 0.0, warmup: 1, stable: 1, decay: 0 },
        Schedule::InverseSqrt { peak: 1.0, warmup: 0 },
        Schedule::MultiStep { base: 1.0, factor: 0.1, milestones: vec![5, 2] },
        Schedule::Sequential(vec![]),
        Schedule::Sequential(vec![(3, Schedule::cosine(1.0, 0.0, 0))]),
        Schedule::cosine(1.0, 0.0, 0).after_warmup(3),
        Schedule::Plateau(Plateau { factor: 1.0, ..Plateau::new(1.0) }),
        Schedule::Plateau(Plateau { start: Some(0.5), ..Plateau::new(1.0) }),
        Schedule::Plateau(Plateau { best: Some(f64::INFINITY), ..Plateau::new(1.0) }),
        Schedule::Step { base: 1.0, factor: f64::INFINITY, every: 1 << 50 },
        Schedule::MultiStep { base: 1.0, factor: f64::INFINITY, milestones: vec![] },
        Schedule::Exponential { base: 1.0, factor: f64::NAN },
    ];
    for schedule in bad {
        let error = gd().with("lr", schedule.clone()).expect_err("no schedule").to_string();
        assert!(error.starts_with("schedule: "), "{schedule:?}: {error}");
    }
}

#[test]
fn a_rate_may_grow_and_a_share_may_not() {
    let growing = [
        Schedule::Exponential { base: 1e-6, factor: 1.1 },
        Schedule::Step { base: 1e-6, factor: 2.0, every: 10 },
        Schedule::Exponential { base: 1e-6, factor: 1.1 }.after_warmup(5),
    ];
    for schedule in growing {
        let chain = gd().with("lr", schedule.clone()).expect("a learning-rate range test");
        let mut opt = Optimizer::<f64>::new(chain).expect("a valid chain");
        let mut x = [0.0];
        let report = opt.step(&mut [Param::new("x", &[1], &mut x, &[1.0])]).expect("a step");
        assert_eq!(report.lr[0].1, Some(schedule.value(0)));
        let error = thalweg::recipes::adam().with("beta1", schedule.clone());
        let sentence = error.expect_err("it leaves [0, 1)").to_string();
        assert!(sentence.contains("beta1 grows without end, out of [0, 1)"), "{sentence}");
        assert!(sentence.contains("Sequential"), "{sentence}");
        let ended = Schedule::Sequential(vec![(20, schedule.clone()), (1, 0.9.into())]);
        assert!(thalweg::recipes::adam().with("beta1", ended.clone()).is_ok());
        // A decay relative to the peak needs one.
        let chain = adamw_paper().with("lr", schedule).expect("in range");
        let error = Optimizer::<f64>::new(chain).expect_err("no peak").to_string();
        assert!(error.contains("peak of the learning rate"), "{error}");
        let chain = adamw_paper().with("lr", ended).expect("in range");
        assert!(Optimizer::<f64>::new(chain).is_ok());
    }
    // Out of a range that ends at a number, it says what number.
    let error = thalweg::recipes::adam().with("beta1", Schedule::linear(0.5, 1.5, 9));
    assert_eq!(error.expect_err("too large").to_string(), "beta1 = 1.5 is outside [0, 1)");
}

#[test]
fn only_what_multiplies_for_ever_tends_to_zero_or_infinity() {
    let coef = |schedule: Schedule| prodigy().with("d_coef", schedule);
    let fading = Schedule::Exponential { base: 1e-3, factor: 0.9 };
    let milestones = |factor: f64, milestones: &[u64]| Schedule::MultiStep {
        base: 0.1,
        factor,
        milestones: milestones.to_vec(),
    };
    assert!(coef(fading.clone()).is_ok());
    assert!(coef(fading.clone().after_warmup(3)).is_ok());
    assert!(coef(Schedule::Sequential(vec![(9, 0.1.into()), (1, fading.clone())])).is_ok());
    assert!(coef(Schedule::Step { base: 1e-3, factor: 0.5, every: 10 }).is_ok());
    // A rate may be zero.
    assert!(gd().with("lr", Schedule::Step { base: 0.1, factor: 0.0, every: 9 }).is_ok());
    let far = 1 << 41;
    for zero in [
        Schedule::Step { base: 1e-3, factor: 0.0, every: 9 },
        Schedule::Exponential { base: 1e-3, factor: 0.0 },
        milestones(1e-200, &[1, 2]),
        milestones(0.0, &[far]),
        Schedule::linear(1e-3, 0.0, far),
        Schedule::Sequential(vec![(far, fading), (1, 0.1.into())]),
        Schedule::Sequential(vec![(far, 0.1.into()), (1, 0.0.into())]),
    ] {
        let sentence = coef(zero.clone()).expect_err("zero is excluded").to_string();
        assert_eq!(sentence, "d_coef = 0 is outside (0, ∞)", "{zero:?}");
    }
    let growing = Schedule::Exponential { base: 1.0, factor: 2.0 };
    for infinite in [
        milestones(1e200, &[1, 2]),
        milestones(1e200, &[far, far]),
        Schedule::Sequential(vec![(9999, growing), (1, 0.1.into())]),
    ] {
        let sentence = gd().with("lr", infinite.clone()).expect_err("no rate").to_string();
        assert_eq!(sentence, "lr = inf is outside [0, ∞)", "{infinite:?}");
    }
}

#[test]
fn a_plateau_stays_in_range_however_often_it_is_lowered() {
    let p = |plateau: Plateau| {
        let schedule = Schedule::Plateau(Plateau { patience: 0, ..plateau });
        let parts = vec![(9, 4.0.into()), (1, schedule.clone().after_warmup(1))];
        [schedule, Schedule::Sequential(parts)]
            .map(|schedule| Chain::new(Scale::default()).over(PNorm::default()).with("p", schedule))
    };
    for plateau in [Plateau::new(2.0), Plateau { floor: 1.0, ..Plateau::new(2.0) }] {
        let lowest = plateau.floor;
        for chain in p(plateau) {
            let sentence = chain.expect_err("it falls below 1").to_string();
            let want =
                format!("schedule: p can be lowered to {lowest} by its plateau, out of (1, ∞)");
            assert!(sentence.starts_with(&want) && sentence.contains("`floor`"), "{sentence}");
        }
    }
    // With a floor in range it can be lowered, and something else be set afterwards.
    let [chain, _] = p(Plateau { floor: 1.5, ..Plateau::new(2.0) }).map(|c| c.expect("in range"));
    let mut opt = Optimizer::<f64>::new(chain).expect("a valid chain");
    (0..9).for_each(|_| opt.observe(1.0));
    assert_eq!(opt.groups().next().expect("a group").1.hyper("p").expect("p").value(0), 1.5);
    opt.set(None, "lr", 0.5).expect("the plateau is still in range");
    // Where only zero is excluded it is tended to, and not reached.
    let fading = Schedule::Plateau(Plateau { patience: 0, ..Plateau::new(1e-300) });
    let mut opt = Optimizer::<f64>::new(prodigy().with("d_coef", fading).expect("in range"))
        .expect("a valid chain");
    (0..99).for_each(|_| opt.observe(1.0));
    assert!(
        opt.groups().next().expect("a group").1.hyper("d_coef").expect("d_coef").value(0) > 0.0
    );
    opt.set(None, "lr", 0.5).expect("the plateau is still in range");
}

#[test]
fn a_limit_may_not_be_lowered_below_another() {
    let most = |floor: f64| {
        let plateau = Schedule::Plateau(Plateau { floor, ..Plateau::new(50.0) });
        let chain = rprop().with("step_min", 0.25).and_then(|c| c.with("step_max", plateau));
        Optimizer::<f64>::new(chain.expect("both in range")).map(drop)
    };
    let sentence = most(0.1).expect_err("it would be the smaller one").to_string();
    let want = "step_min: is up to 0.25, but step_max can be lowered to 0.1 by its plateau";
    assert!(sentence.starts_with(want) && sentence.contains("`floor` to 0.25"), "{sentence}");
    most(0.25).expect("at no time smaller");
}

#[test]
fn only_constants_may_be_infinite() {
    let limit = |schedule: Schedule| {
        Chain::new((ClipValue::default(), Scale::default())).with("limit", schedule)
    };
    let relaxed = Schedule::Sequential(vec![(2, 1.0.into()), (1, f64::INFINITY.into())]);
    assert!(limit(relaxed).is_ok());
    let stepped = Schedule::Step { base: f64::INFINITY, factor: 0.5, every: 2 };
    let error = limit(stepped).expect_err("it could not be saved").to_string();
    assert!(error.contains("only a constant"), "{error}");
}

#[test]
fn a_schedule_that_is_refused_has_values_all_the_same() {
    let bad = [
        Schedule::Step { base: 1.0, factor: 0.5, every: 0 },
        Schedule::CosineRestarts { from: 1.0, to: 0.0, first: 0, growth: 2 },
        Schedule::CosineRestarts { from: 1.0, to: 0.0, first: 0, growth: 1 },
        Schedule::CosineRestarts { from: 1.0, to: 0.0, first: 3, growth: 0 },
        Schedule::Sequential(vec![]),
        Schedule::Sequential(vec![]).after_warmup(2),
        Schedule::OneCycle { peak: 1.0, start: 0.1, end: 0.0, steps: 0, rising: 0.3 },
        Schedule::InverseSqrt { peak: 1.0, warmup: 0 },
        Schedule::Wsd { peak: 1.0, end: 0.0, warmup: u64::MAX, stable: u64::MAX, decay: u64::MAX },
        Schedule::Sequential(vec![(u64::MAX, 1.0.into()), (u64::MAX, 1.0.into())]),
        Schedule::linear(1.0, 0.0, 5).after_warmup(u64::MAX),
    ];
    for schedule in bad {
        // Neither of these may panic or go on for ever.
        let _ = values(&schedule, &[0, 1, 7, u64::MAX - 1, u64::MAX]);
        let _ = schedule.peak();
    }
}

#[test]
fn what_is_refused_changes_nothing() {
    let mut chain = gd();
    for bad in [Schedule::cosine(1.0, 0.0, 0), Schedule::Constant(-1.0)] {
        assert!(chain.set("lr", bad).is_err());
        assert_eq!(
            chain.hyper("lr").expect("lr").schedule(),
            gd().hyper("lr").expect("lr").schedule()
        );
    }
}

#[test]
fn only_the_active_plateau_observes() {
    let plateau =
        |value: f64| Schedule::Plateau(Plateau { patience: 0, factor: 0.5, ..Plateau::new(value) });
    let rates = |schedule: Schedule| {
        let chain = gd().with("lr", schedule).expect("in range");
        let mut opt = Optimizer::<f64>::new(chain).expect("a valid chain");
        let rate = |_| {
            let mut x = [0.0];
            let report = opt.step(&mut [Param::new("x", &[1], &mut x, &[1.0])]).expect("a step");
            opt.observe(1.0);
            report.lr[0].1.expect("a rate")
        };
        (0..6).map(rate).collect::<Vec<f64>>()
    };
    // The metric is first seen when the warm-up is over.
    assert_eq!(rates(plateau(1.0).after_warmup(3)), [1.0 / 3.0, 2.0 / 3.0, 1.0, 1.0, 0.5, 0.25]);
    let parts = vec![(2, plateau(1.0)), (9, plateau(8.0))];
    assert_eq!(rates(Schedule::Sequential(parts)), [1.0, 1.0, 8.0, 4.0, 2.0, 1.0]);
}
