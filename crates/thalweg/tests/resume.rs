//! Saved at any step and loaded into a fresh optimizer, a run goes on as if it had never stopped:
//! the same bits in parameters, state, and in the checkpoint that is written at the end.

mod proof;

use proof::*;
use proptest::prelude::*;
use thalweg::rules::*;
use thalweg::{Chain, Element, Isa, Optimizer, Plateau, Schedule};

const STEPS: u64 = 8;

/// Schedules that change within the run, each at other steps.
fn schedules() -> Vec<Schedule> {
    let plateau = Plateau { patience: 1, cooldown: 1, ..Plateau::new(0.02) };
    let parts = vec![
        (2, Schedule::Constant(0.03)),
        (3, Schedule::linear(0.03, 0.01, 3)),
        (1, Schedule::Constant(0.01)),
    ];
    vec![
        Schedule::cosine(0.02, 0.001, 5).after_warmup(3),
        Schedule::MultiStep { base: 0.02, factor: 0.1, milestones: vec![4, 6] },
        Schedule::Plateau(plateau.clone()),
        Schedule::Sequential(parts),
        Schedule::Plateau(Plateau { patience: 0, ..plateau }).after_warmup(2),
        Schedule::CosineRestarts { from: 0.02, to: 0.0, first: 2, growth: 2 },
        Schedule::one_cycle(0.02, 8),
        Schedule::Wsd { peak: 0.02, end: 0.0, warmup: 2, stable: 3, decay: 2 },
    ]
}

/// A metric that falls in some steps and not in others.
fn metric(step: u64) -> f64 {
    [5.0, 4.0, 4.0, 4.5, 3.0, 3.0, 3.0, 3.0][step as usize % 8]
}

fn tensors<E: Element>() -> Vec<Tensor<E>> {
    [("a", 0..70u64), ("empty", 100..100), ("b", 200..1230)]
        .into_iter()
        .map(|(name, ids)| Tensor::new(name, ids))
        .collect()
}

fn advance<E: Element>(opt: &mut Optimizer<E>, tensors: &mut [Tensor<E>], seed: u64) {
    // A norm limit, a parameter that comes later, and one that rests in between.
    let clock = opt.steps();
    let count = if clock < 2 { 2 } else { 3 };
    if clock == 3 {
        opt.freeze("a").expect("a pattern");
    }
    if clock == 5 {
        opt.unfreeze("a").expect("a pattern");
    }
    let report = step(opt, &mut tensors[..count], &tame(seed)).expect("a step");
    assert!(report.applied());
    opt.observe(metric(clock));
}

fn fresh<E: Element>(chain: &Chain) -> Optimizer<E> {
    let builder = Optimizer::<E>::builder().rest("all", chain.clone()).clip_global_norm(3.0);
    builder.isa(Isa::available()[0]).threads(1).build().expect("a valid chain")
}

fn resumes_at_every_step<E: Element>(what: &str, chain: &Chain, seed: u64) {
    let (mut opt, mut x) = (fresh::<E>(chain), tensors());
    let mut stops = vec![];
    for _ in 0..STEPS {
        stops.push((opt.save_bytes().expect("a checkpoint"), x.clone()));
        advance(&mut opt, &mut x, seed);
    }
    let want = remains(&opt, &x);
    for (k, (bytes, mut x)) in stops.into_iter().enumerate() {
        let mut opt = fresh::<E>(chain);
        let loaded = opt.load_bytes(&bytes).expect("a checkpoint that fits");
        assert_eq!(loaded.differences, Vec::<String>::new(), "{what}");
        for _ in k..STEPS as usize {
            advance(&mut opt, &mut x, seed);
        }
        let got = remains(&opt, &x);
        assert!(got.0 == want.0, "{what}: resumed at step {k}, the parameters differ");
        assert!(got.1 == want.1, "{what}: resumed at step {k}, the state differs");
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2, max_shrink_iters: 8, failure_persistence: None, ..Default::default()
    })]

    #[test]
    fn a_resumed_run_is_the_uninterrupted_one(seed: u64) {
        for (k, sentence) in sentences().iter().enumerate() {
            let mut chain = sentence.chain.clone();
            // Some learn their rate and allow no schedule.
            let scheduled = chain.clone().with("lr", schedules()[k % schedules().len()].clone());
            if let Some(scheduled) = scheduled.ok().filter(|c| Optimizer::<f64>::new(c.clone()).is_ok()) {
                chain = scheduled;
            }
            resumes_at_every_step::<f32>(&sentence.name, &chain, seed);
            resumes_at_every_step::<f64>(&sentence.name, &chain, seed);
        }
    }

    #[test]
    fn every_schedule_resumes_where_it_was(seed: u64) {
        for schedule in schedules() {
            let rules = (<Adam>::default(), DecayWeights::default(), Scale::default());
            let chain = Chain::new(rules).with("lr", schedule.clone()).expect("in range");
            resumes_at_every_step::<f32>(&format!("{schedule:?}"), &chain, seed);
        }
    }
}

#[test]
fn the_run_is_one_that_a_checkpoint_matters_to() {
    // Without the state, or with the schedule restarted, the run ends elsewhere.
    let chain = thalweg::recipes::adam().with("lr", schedules()[0].clone()).expect("in range");
    let (mut opt, mut x) = (fresh::<f32>(&chain), tensors());
    (0..4).for_each(|_| advance(&mut opt, &mut x, 1));
    let mut forgetful = (fresh::<f32>(&chain), x.clone());
    (0..4).for_each(|_| advance(&mut opt, &mut x, 1));
    (0..4).for_each(|_| advance(&mut forgetful.0, &mut forgetful.1, 1));
    assert_ne!(remains(&opt, &x).0, remains(&forgetful.0, &forgetful.1).0);
}

#[test]
fn a_plateau_goes_on_in_proportion_to_where_it_starts_here() {
    let rate = |value: f64| {
        let plateau = Plateau { patience: 0, factor: 0.5, ..Plateau::new(value) };
        let chain = thalweg::recipes::gd().with("lr", Schedule::Plateau(plateau));
        Optimizer::<f64>::new(chain.expect("in range")).expect("a chain")
    };
    let mut saved = rate(0.3);
    (0..3).for_each(|_| saved.observe(1.0)); // The first one is the best so far.
    for (start, now) in [(0.3, 0.075), (1e-2, 2.5e-3)] {
        let mut opt = rate(start);
        let loaded = opt.load_bytes(&saved.save_bytes().expect("bytes")).expect("a file");
        assert_eq!(opt.groups().next().expect("a group").1.hyper("lr").expect("lr").value(0), now);
        assert_eq!(loaded.differences.len(), usize::from(start != 0.3), "{loaded:?}");
        assert!(loaded.differences.iter().all(|d| d.starts_with("all.lr: saved")), "{loaded:?}");
        // What is saved now says the same again.
        let mut again = rate(start);
        let loaded = again.load_bytes(&opt.save_bytes().expect("bytes")).expect("a file");
        assert!(loaded.differences.is_empty(), "{loaded:?}");
    }
    // Nothing is in proportion to zero.
    let mut still = rate(0.0);
    (0..3).for_each(|_| still.observe(1.0));
    let mut opt = rate(1e-2);
    let loaded = opt.load_bytes(&still.save_bytes().expect("bytes")).expect("a file");
    assert_eq!(opt.groups().next().expect("a group").1.hyper("lr").expect("lr").value(0), 1e-2);
    assert_eq!(loaded.differences.len(), 1, "{loaded:?}");
    // One that has not been lowered starts where it is told to.
    let mut opt = rate(1e-2);
    let loaded = opt.load_bytes(&rate(0.3).save_bytes().expect("bytes")).expect("a file");
    assert_eq!(loaded.differences.len(), 1, "{loaded:?}");
    assert_eq!(opt.groups().next().expect("a group").1.hyper("lr").expect("lr").value(0), 1e-2);
}

#[test]
fn what_is_frozen_before_loading_stays_so() {
    let new = || Optimizer::<f64>::new(thalweg::recipes::adam()).expect("a chain");
    let mut x = ["encoder.w", "head.w"].map(|name| Tensor::new(name, 0..3));
    let mut opt = new();
    train(&mut opt, &mut x, 2, &tame(1));
    let (free, start) = (opt.save_bytes().expect("bytes"), x[0].clone());
    let mut opt = new();
    assert_eq!(opt.freeze("encoder.*").expect("a glob"), 0);
    let loaded = opt.load_bytes(&free).expect("a file");
    assert_eq!(loaded.differences, ["encoder.w: saved not frozen, here frozen"]);
    train(&mut opt, &mut x, 1, &tame(1));
    assert_eq!(opt.params().collect::<Vec<_>>(), [("encoder.w", 2), ("head.w", 3)]);
    assert_eq!(x[0].x(), start.x());
    // Where nothing was asked, the file says it; where something was, that counts both ways.
    let frozen = opt.save_bytes().expect("bytes");
    assert!(new().load_bytes(&frozen).expect("a file").differences.is_empty());
    let mut opt = new();
    let _ = opt.unfreeze("*").expect("a glob");
    let loaded = opt.load_bytes(&frozen).expect("a file");
    assert_eq!(loaded.differences, ["encoder.w: saved frozen, here not frozen"]);
}

#[test]
fn settings_that_differ_are_named_and_those_here_stay() {
    use thalweg::{Accumulation, LossScale, NonFinite};
    let scale = || LossScale::default().start(1024.0);
    let plain = || Optimizer::<f64>::builder().rest("all", thalweg::recipes::gd());
    let other = plain()
        .clip_global_norm(0.5)
        .accumulation(Accumulation::Sum)
        .non_finite(NonFinite::Fail)
        .loss_scale(scale().growth(4.0, 100));
    let mut other = other.build::<f64>().expect("a chain");
    let saved = plain().loss_scale(scale()).build::<f64>().expect("a chain");
    let saved = saved.save_bytes().expect("bytes");
    let want = [
        "clip_global_norm: saved none, here 0.5",
        "accumulation: saved Mean, here Sum",
        "non_finite: saved Skip { limit: 10 }, here Fail",
        "loss_scale.growth: saved 2, here 4",
        "loss_scale.interval: saved 2000, here 100",
    ];
    assert_eq!(other.load_bytes(&saved).expect("a file").differences, want);
    // A limit with a schedule is compared as one, and a plateau of it goes on.
    let plateau = Schedule::Plateau(Plateau { patience: 0, factor: 0.5, ..Plateau::new(4.0) });
    let limited =
        |limit: Schedule| plain().clip_global_norm(limit).build::<f64>().expect("a limit");
    let mut lowered = limited(plateau.clone());
    (0..2).for_each(|_| lowered.observe(1.0));
    let saved = lowered.save_bytes().expect("bytes");
    let mut again = limited(plateau);
    assert_eq!(again.load_bytes(&saved).expect("a file").differences, [""; 0]);
    assert!(again.save_bytes().expect("bytes") == saved, "where the plateau was");
    let differences = limited(2.5.into()).load_bytes(&saved).expect("a file").differences;
    assert!(
        differences.len() == 1
            && differences[0].starts_with("clip_global_norm: saved Plateau")
            && differences[0].ends_with("here 2.5"),
        "{differences:?}"
    );
    // A scale that never changes is a setting; one that adapts itself goes on.
    let constant = |value| plain().loss_scale(LossScale::constant(value)).build::<f64>();
    let saved = constant(8.0).expect("a chain").save_bytes().expect("bytes");
    let mut opt = constant(4.0).expect("a chain");
    let loaded = opt.load_bytes(&saved).expect("a file");
    assert_eq!(loaded.differences, ["loss_scale.scale: saved 8, here 4"]);
    assert_eq!(opt.loss_scale(), 4.0);
}
