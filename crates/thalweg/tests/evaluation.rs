//! Where parameters are evaluated: never at the price of training, and the same after a checkpoint.

mod common;
mod proof;

use half::bf16;
use proof::*;
use proptest::prelude::*;
use thalweg::rules::*;
use thalweg::{Chain, Element, Error, Isa, LowPrecision, Optimizer, Param, recipes, registry};

/// Chains that are evaluated elsewhere than where they train.
fn with_views() -> Vec<Sentence> {
    let mut all: Vec<Sentence> = registered();
    let sgd = || Chain::new(Scale::default().lr(0.1));
    all.retain(|s| s.chain.has_view());
    for (name, chain) in [
        ("from the start", sgd().then(WeightAverage::<FromInitial>::default())),
        ("two averages", sgd().then((Swa::default(), <WeightAverage>::default()))),
        ("two stages", sgd().then(Lookahead::default()).then(<WeightAverage>::default())),
    ] {
        all.push(Sentence { name: name.to_owned(), chain });
    }
    assert!(all.len() >= 11);
    all
}

fn views<E: Element>(opt: &Optimizer<E>, tensors: &[Tensor<E>]) -> Vec<Vec<u64>> {
    tensors
        .iter()
        .map(|t| {
            let mut out = vec![E::lift(f64::NAN); t.x().len()];
            opt.evaluation(&t.name, t.x(), &mut out).expect("a view");
            bits(&out)
        })
        .collect()
}

fn looking_changes_nothing<E: Element>(sentence: &Sentence, seed: u64) {
    let run = |look: bool| {
        let (mut opt, mut x) =
            (optimizer::<E>(&sentence.chain, Isa::available()[0]), all_lengths());
        for _ in 0..7 {
            train(&mut opt, &mut x, 1, &tame(seed));
            if look {
                assert_eq!(views(&opt, &x), views(&opt, &x), "{}", sentence.name);
            }
        }
        remains(&opt, &x)
    };
    assert!(run(true) == run(false), "{}: looking changed the run", sentence.name);
}

fn a_checkpoint_keeps_the_view<E: Element>(sentence: &Sentence, seed: u64) {
    let fresh = || optimizer::<E>(&sentence.chain, Isa::available()[0]);
    let (mut opt, mut x) = (fresh(), all_lengths());
    train(&mut opt, &mut x, 6, &tame(seed));
    let mut other = fresh();
    let _ = other.load_bytes(&opt.save_bytes().expect("a checkpoint")).expect("that fits");
    assert!(views(&opt, &x) == views(&other, &x), "{}", sentence.name);
}

fn instruction_sets_see_the_same<E: Element>(sentence: &Sentence, seed: u64) {
    let run = |isa: Isa, chain: &Chain| {
        let (mut opt, mut x) = (optimizer::<E>(chain, isa), all_lengths());
        train(&mut opt, &mut x, 6, &tame(seed));
        views(&opt, &x)
    };
    let want = run(Isa::Scalar, &sentence.chain);
    for isa in Isa::available() {
        assert!(run(isa, &sentence.chain) == want, "{} on {isa}", sentence.name);
        assert!(run(isa, &sentence.staged()) == want, "{} on {isa}, staged", sentence.name);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2, max_shrink_iters: 8, failure_persistence: None, ..Default::default()
    })]

    #[test]
    fn a_view_never_changes_anything(seed: u64) {
        for sentence in with_views() {
            looking_changes_nothing::<f32>(&sentence, seed);
            looking_changes_nothing::<f64>(&sentence, seed);
        }
    }

    #[test]
    fn a_resumed_run_has_the_same_view(seed: u64) {
        for sentence in with_views() {
            a_checkpoint_keeps_the_view::<f32>(&sentence, seed);
            a_checkpoint_keeps_the_view::<f64>(&sentence, seed);
        }
    }

    #[test]
    fn a_view_has_the_same_bits_on_every_instruction_set(seed: u64) {
        for sentence in with_views() {
            instruction_sets_see_the_same::<f32>(&sentence, seed);
            instruction_sets_see_the_same::<f64>(&sentence, seed);
        }
    }

    #[test]
    fn averages_do_not_change_the_training_they_watch(seed: u64) {
        let train_with = |chain: Chain| {
            let (mut opt, mut x) = (optimizer::<f32>(&chain, Isa::available()[0]), all_lengths());
            train(&mut opt, &mut x, 5, &tame(seed));
            x.iter().map(|t| bits(t.x())).collect::<Vec<_>>()
        };
        let adam = thalweg::recipes::adam;
        let want = train_with(adam());
        assert!(train_with(adam().then(<WeightAverage>::default())) == want);
        assert!(train_with(adam().then(WeightAverage::<FromZero>::default())) == want);
        assert!(train_with(adam().then(Swa::default().average_start(3.0))) == want);
        // An average reads the very parameter that the sweep writes.
        let forgetful = adam().then(<WeightAverage>::default().average_decay(0.0));
        let (mut opt, mut x) = (optimizer::<f32>(&forgetful, Isa::available()[0]), all_lengths());
        train(&mut opt, &mut x, 5, &tame(seed));
        assert!(views(&opt, &x) == x.iter().map(|t| bits(t.x())).collect::<Vec<_>>());
    }
}

#[test]
fn without_a_view_the_parameter_itself_is_evaluated() {
    for sentence in registered().iter().filter(|s| !s.chain.has_view()) {
        let (mut opt, mut x) = (optimizer::<f64>(&sentence.chain, Isa::Scalar), all_lengths());
        train(&mut opt, &mut x, 2, &tame(1));
        let want: Vec<_> = x.iter().map(|t| bits(t.x())).collect();
        assert!(views(&opt, &x) == want, "{}", sentence.name);
    }
}

/// One coordinate at 1, stepped with these gradients: the parameter and where it is evaluated.
fn one(chain: impl Into<Chain>, gradients: &[f64]) -> (f64, f64) {
    let (mut opt, mut x) = (Optimizer::<f64>::new(chain).expect("valid"), [1.0]);
    for g in gradients {
        let _ = opt.step(&mut [Param::new("x", &[1], &mut x, &[*g])]).expect("a step");
    }
    let mut view = [f64::NAN];
    opt.evaluation("x", &x, &mut view).expect("a view");
    (x[0], view[0])
}

#[test]
fn of_two_views_the_last_counts() {
    let sgd = || Scale::default().lr(1.0);
    let swa = Swa::default;
    let short = || <WeightAverage>::default().average_decay(0.5);
    // From 1 with gradients −1, −2 to 2 and 4: the plain average is 3, the running one too at ½;
    // with ¾ it is 2.5.
    let slow = || short().average_decay(0.75);
    let steps = &[-1.0, -2.0];
    assert_eq!(one((sgd(), swa()), steps), (4.0, 3.0));
    assert_eq!(one((sgd(), slow()), steps), (4.0, 2.5));
    assert_eq!(one((sgd(), swa(), slow()), steps), (4.0, 2.5));
    assert_eq!(one((sgd(), slow(), swa()), steps), (4.0, 3.0));
    assert_eq!(one((sgd(), (slow(), swa())), steps), (4.0, 3.0));
    assert_eq!(one(Chain::new(sgd()).then(slow()).then(swa()), steps), (4.0, 3.0));
    assert_eq!(one(Chain::new(sgd()).then(swa()).then((slow(), ())), steps), (4.0, 2.5));
    // A view that reads the parameter is given the parameter, not the view before it.
    let free = |first: Chain| one(first.fold(<ScheduleFree>::default().lr(1.0)), steps);
    assert_eq!(free(Chain::new(())), free(Chain::new(swa())));
}

#[test]
fn averages_by_hand() {
    let sgd = || Scale::default().lr(1.0);
    // 1, then 0, 2, 4.
    let steps = &[1.0, -2.0, -2.0];
    assert_eq!(one((sgd(), <WeightAverage>::default().average_decay(0.5)), steps).1, 2.5);
    let zero = WeightAverage::<FromZero>::default().average_decay(0.5);
    assert_eq!(one((sgd(), zero), steps).1, 2.5 * (1.0 / 0.875));
    let initial = WeightAverage::<FromInitial>::default().average_decay(0.5);
    assert_eq!(one((sgd(), initial), steps).1, 2.625);
    assert_eq!(one((sgd(), Swa::default()), steps).1, 2.0);
    assert_eq!(one((sgd(), Swa::default().average_start(2.0)), steps).1, 3.0);
    assert_eq!(one((sgd(), Swa::default().average_every(2.0)), steps).1, 2.0);
    assert_eq!(one((sgd(), Swa::default().average_start(9.0)), steps).1, 4.0);
    // Fast weights to 2, slow ones half-way from 1; then the fast ones go on from there.
    assert_eq!(one((sgd(), Lookahead::default().k(2.0)), &steps[..2]), (1.5, 1.5));
    assert_eq!(one((sgd(), Lookahead::default().k(2.0)), steps), (3.5, 1.5));
}

#[test]
fn schedule_free_stands_still_while_the_rate_is_zero() {
    let chain = Chain::new(()).fold(<ScheduleFree>::default().lr(0.0));
    assert_eq!(one(chain, &[3.0, -2.0]), (1.0, 1.0));
}

#[test]
fn before_the_first_step_it_is_the_start() {
    for sentence in with_views() {
        let (mut opt, mut x) = (optimizer::<f64>(&sentence.chain, Isa::Scalar), [0.25]);
        let mut other = [1.0];
        let report = opt
            .step(&mut [
                Param::without_gradient("x", &[1], &mut x),
                Param::new("y", &[1], &mut other, &[1.0]),
            ])
            .expect("a step");
        assert!(report.applied());
        let mut view = [f64::NAN];
        opt.evaluation("x", &[0.5], &mut view).expect("a view");
        assert_eq!(view, [0.5], "{}", sentence.name);
    }
}

#[test]
fn before_a_step_is_applied_it_is_the_parameter_itself() {
    let scale = thalweg::LossScale::default();
    for sentence in with_views() {
        let builder = Optimizer::<f64>::builder().rest("all", sentence.chain.clone());
        let mut opt = builder.loss_scale(scale.clone()).build::<f64>().expect("valid");
        let (mut x, mut view) = ([0.25, -2.0], [f64::NAN; 2]);
        opt.evaluation("x", &x, &mut view).expect("a view before any step");
        assert_eq!(view, x, "{}", sentence.name);
        let overflow = [f64::INFINITY, 1.0];
        let report = opt.step(&mut [Param::new("x", &[2], &mut x, &overflow)]).expect("a report");
        assert!(!report.applied());
        view = [f64::NAN; 2];
        opt.evaluation("x", &x, &mut view).expect("a view after a refused step");
        assert_eq!(view, x, "{}", sentence.name);
    }
}

#[test]
fn groups_have_views_of_their_own() {
    let sgd = || Chain::new(Scale::default().lr(1.0));
    let averaged = sgd().then(<WeightAverage>::default().average_decay(0.5));
    let builder = Optimizer::<f64>::builder().group("a", "a*", averaged).rest("b", sgd());
    let mut opt = builder.build::<f64>().expect("valid");
    let (mut a, mut b) = ([1.0], [1.0]);
    for g in [[1.0], [-2.0]] {
        let mut params = [Param::new("b", &[1], &mut b, &g), Param::new("a", &[1], &mut a, &g)];
        let _ = opt.step(&mut params).expect("a step");
    }
    let (mut va, mut vb) = ([0.0], [0.0]);
    opt.evaluation("a", &a, &mut va).expect("a view");
    opt.evaluation("b", &b, &mut vb).expect("a view");
    assert_eq!((va, vb), ([1.0], [2.0]));
}

#[test]
fn errors_say_what_is_wrong() {
    let builder = Optimizer::<f64>::builder().group("x", "x*", thalweg::recipes::swa());
    let (mut opt, mut x) = (builder.build::<f64>().expect("valid"), [1.0, 2.0]);
    let mut out = [7.0, 7.0];
    let error = opt.evaluation("y", &x, &mut out).expect_err("no group takes it");
    assert!(matches!(&error, Error::UnknownParameter { name, .. } if name == "y"));
    assert!(error.to_string().contains("none"), "{error}");
    let error = opt.evaluation("x", &x, &mut out[..1]).expect_err("too short");
    assert!(error.to_string().contains("has 2 values, but 1 places"), "{error}");
    let _ = opt.step(&mut [Param::new("x", &[2], &mut x, &[0.0, 0.0])]).expect("a step");
    let error = opt.evaluation("y", &x, &mut out).expect_err("unknown");
    assert!(error.to_string().contains("\"y\"") && error.to_string().contains(": x"), "{error}");
    let error = opt.evaluation("x", &x[..1], &mut out).expect_err("too short");
    assert!(error.to_string().contains("has 2 values, but 1 values were given"), "{error}");
    let error = opt.evaluation("x", &x, &mut out[..1]).expect_err("too short");
    assert!(error.to_string().contains("1 places for the result"), "{error}");
    assert_eq!(out, [7.0, 7.0]);
}

#[test]
fn schedule_free_reads_the_data_no_more_often_than_others() {
    let chain = thalweg::recipes::schedule_free_adamw();
    assert_eq!((chain.reading_passes(), chain.memory_per_coordinate()), (0, 2));
    assert_eq!(chain.scalars(), ["lr_max", "weight_sum", "weight"]);
    let range = chain.hyper("beta1").expect("beta1").spec().range;
    assert!(!range.contains(0.0) && !range.contains(1.0));
    for entry in registry::all().iter().filter(|e| e.name.starts_with("weight_average")) {
        assert_eq!((entry.chain)().reading_passes(), 0);
    }
}

#[test]
fn averaged_descent_is_evaluated_at_its_average() {
    let chain = thalweg::recipes::asgd().with("t0", 0.0).unwrap().with("decay", 0.0).unwrap();
    // It is at ½, 0, −½; the average is ½ and 0 itself, then half of the way from 0 to −½.
    assert_eq!(one(chain.with("lr", 0.5).unwrap(), &[1.0, 1.0, 1.0]), (-0.5, -0.25));
}

/// Parameters in bf16, stepped beside the same in f32 with gradients that do not depend on them.
fn half_precision(low: LowPrecision) -> [Vec<f32>; 2] {
    let shape = [3000];
    let mut rng = common::prng::Rng::new(9);
    let start: Vec<bf16> = rng.normal(shape[0]).into_iter().map(bf16::from_f64).collect();
    let (mut half, mut full): (_, Vec<f32>) =
        (start.clone(), start.iter().map(|x| x.to_f32()).collect());
    let builder = || {
        // Far too small for bf16: rounded to the nearest nothing would move.
        let chain = thalweg::recipes::schedule_free_sgd().with("lr", 1e-4).expect("a rate");
        Optimizer::<f32>::builder().rest("all", chain).threads(1)
    };
    let mut a = builder().low_precision(low).build::<f32>().expect("valid");
    let mut b = builder().build::<f32>().expect("valid");
    for _ in 0..50 {
        let g: Vec<f32> = rng.normal(shape[0]).into_iter().map(|g| g as f32).collect();
        let _ = a.step(&mut [Param::of("x", &shape, &mut half).grad(&g)]).expect("a step");
        let _ = b.step(&mut [Param::new("x", &shape, &mut full, &g)]).expect("a step");
    }
    let mut views = [vec![0.0; shape[0]], vec![0.0; shape[0]]];
    a.evaluation("x", &half, &mut views[0]).expect("a view");
    b.evaluation("x", &full, &mut views[1]).expect("a view");
    // Widened by the user it is the same parameter.
    let wide: Vec<f32> = half.iter().map(|x| x.to_f32()).collect();
    let mut again = vec![0.0; shape[0]];
    a.evaluation("x", &wide, &mut again).expect("a view");
    assert!(again == views[0], "{low:?}");
    views
}

#[test]
fn views_of_half_precision_know_what_is_kept_beside_it() {
    let [master, full] = half_precision(LowPrecision::Master);
    assert!(master == full);
    let error = |views: [Vec<f32>; 2]| {
        let pairs = views[0].iter().zip(&views[1]).filter(|(_, b)| b.abs() > 0.1);
        pairs.map(|(a, b)| ((a - b) / b).abs()).fold(0.0, f32::max)
    };
    // A remainder in bf16 under a value in bf16: sixteen bits between them.
    let compensated = error(half_precision(LowPrecision::Compensated));
    assert!(compensated < 50.0 * 2f32.powi(-16), "{compensated}");
    let nearest = error(half_precision(LowPrecision::Nearest));
    assert!(nearest > 10.0 * compensated, "{nearest} {compensated}");
}

/// What is kept and what is new are shares of one whole: an average of what never moves is that.
#[test]
fn an_average_of_what_stands_still_stands_still() {
    let chains =
        [recipes::weight_average().with("average_decay", 0.99999).unwrap(), recipes::swa()];
    for chain in chains {
        let mut opt = Optimizer::<f32>::builder().rest("all", chain).threads(1).build().unwrap();
        let mut x: Vec<f32> = (1..=512).map(|i| (i as f32).ln()).collect();
        let (start, zeros) = (x.clone(), vec![0.0; 512]);
        for _ in 0..5_000 {
            let _ = opt.step(&mut [Param::new("x", &[512], &mut x, &zeros)]).unwrap();
        }
        let mut view = vec![0.0; 512];
        opt.evaluation("x", &x, &mut view).expect("a view");
        assert!(x == start && view == start);
    }
}
