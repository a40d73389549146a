//! Conventions that no golden file pins, against their formulas.

mod common;

use common::walk::{Walk, near_relative};
use thalweg::rules::*;
use thalweg::{Chain, Denominator, Floor, Hat, Optimizer, Outside, Schedule, recipes, registry};

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

#[test]
fn a_decay_that_goes_by_another_rate_than_the_chain_is_refused() {
    use thalweg::rules::{Adam, ProximalDecay};
    let refused = |rule: Chain, name: &str| {
        let chain = Chain::new(<Adam>::default()).append(rule);
        let error = Optimizer::<f64>::new(chain.clone()).map(drop).expect_err("another rate");
        let error = error.to_string();
        let words = [name, "0.001", "0.1", "Chain::set"];
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
        let mut opt = Optimizer::<f64>::new(chain.with("lr", 0.1).expect("in range"));
        assert!(opt.as_mut().expect("one rate").set(None, "lr", 0.01).is_ok());
    };
    let scale = || Scale::default().lr(0.1);
    refused((IndependentDecay::default(), scale()).into(), "IndependentDecay");
    refused((CorrectedDecay::default(), scale()).into(), "CorrectedDecay");
    // Wherever in the chain the rate is.
    let apart = Chain::new(ProximalDecay::default()).then(scale());
    refused(apart, "ProximalDecay");
    let keras = Chain::new(()).fold(DecayedTrustRatio::default()).then(scale());
    refused(keras, "DecayedTrustRatio");
}

#[test]
fn a_tensor_beyond_the_bounds_steps_as_one_at_them() {
    let lamb = |x: f64| {
        let bounds = Bounded::default().norm_min(0.5).norm_max(2.0);
        let bounded = TrustRatio::<Bounded>::default().bounds(bounds);
        let chain = Chain::new(()).fold(bounded).then(Scale::default().lr(0.1));
        Walk::new(chain, &[x]).fall(3.0)
    };
    for (x, size) in [(1.5, 1.5), (-1.5, 1.5), (0.25, 0.5), (0.0, 0.5), (40.0, 2.0)] {
        near_relative(lamb(x), 0.1 * size, 1e-12);
    }
    let crossed = TrustRatio::default().bounds(Bounded::default().norm_min(3.0).norm_max(2.0));
    let error = Optimizer::<f64>::new(Chain::new(()).fold(crossed)).map(drop);
    let error = error.expect_err("bounds that cross").to_string();
    assert!(error.contains("norm_min") && error.contains("norm_max"), "{error}");
}

#[test]
fn what_takes_an_update_for_the_whole_step_stands_last_and_takes_no_geometry() {
    use thalweg::geometry::NegativeEntropy;
    use thalweg::rules::{Lookahead, Mechanic, Scale, Swa, WeightAverage};
    let says = |chain: Chain, words: &[&str]| {
        let sentence = Optimizer::<f64>::new(chain).map(drop).expect_err("an error").to_string();
        assert!(words.iter().all(|w| sentence.contains(w)), "{sentence}");
    };
    let sgd = || Chain::new(Scale::default());
    let average = <WeightAverage>::default;
    says(Chain::new((average(), Scale::default())), &["WeightAverage", "`Scale` follows", "end"]);
    says(sgd().then(average()).then(Scale::default()), &["WeightAverage", "`Scale` follows"]);
    says(sgd().then((Lookahead::default(), (average(), Scale::default()))), &["`Scale` follows"]);
    says(recipes::prodigy().then(Scale::default()), &["Prodigy", "`Scale` follows"]);
    says(recipes::mechanic().fold(ClipNorm::default()), &["Mechanic", "`ClipNorm` follows"]);
    let entropy = |chain: Chain| chain.over(NegativeEntropy::default());
    says(entropy(sgd().then(average())), &["WeightAverage", "x − u", "`NegativeEntropy`"]);
    says(entropy(recipes::mechanic().then(average())), &["WeightAverage", "`NegativeEntropy`"]);
    says(recipes::d_adapt_sgd().then(Scale::default()), &["DAdaptSgd", "`Scale` follows"]);
    says(recipes::d_adapt_sgd().then(DecayWeights::default()), &["`DecayWeights` follows"]);
    says(entropy(recipes::d_adapt_sgd()), &["DAdaptSgd", "x − u", "`NegativeEntropy`"]);
    for entry in ["lookahead", "swa", "weight_average", "asgd", "schedule_free_sgd"] {
        says(entropy(registry::build(entry, &[]).expect("an entry")), &["x − u"]);
    }
    // Those that remember their own way, and a tuple that does nothing, are in nobody's way.
    let fine = [
        entropy(recipes::mechanic()),
        entropy(recipes::prodigy()),
        sgd().then((average(), Swa::default())).then(Lookahead::default()).then(((),)),
        sgd().fold(Mechanic::default()).then(average()),
    ];
    for chain in fine {
        assert!(Optimizer::<f64>::new(chain).is_ok());
    }
}

#[test]
fn blocks_that_share_a_hyper_parameter_must_agree() {
    let built = |chain: Chain| Optimizer::<f64>::builder().rest("all", chain).build::<f64>();
    for (name, hyper, other) in [
        ("lars@paper", "decay", 0.5),
        ("schedule_free_radam", "beta2", 0.9),
        ("mars", "beta1", 0.8),
        ("mars@pytorch_optimizer", "beta1", 0.8),
        ("mars_lion", "beta1", 0.8),
    ] {
        let chain = registry::build(name, &[(hyper, other)]).expect("set for both");
        assert!(built(chain).is_ok(), "{name}");
    }
    let apart = Chain::new(DecayWeights::default().decay(0.5))
        .fold(SeparateTrustRatio::default().decay(5e-4))
        .then(Scale::default());
    let error = built(apart).expect_err("two decays").to_string();
    assert!(
        error.contains("decay: is 0.5 in DecayWeights") && error.contains("SeparateTrustRatio"),
        "{error}"
    );
    let corrected = || Chain::new(()).fold(MarsCorrection::default());
    for (chain, moment) in [
        (corrected().then(<Adam>::default()), "Adam"),
        (corrected().then(Signum::default()), "Signum"),
    ] {
        let error = built(chain).expect_err("two rates").to_string();
        let words = format!("beta1: is 0.95 in MarsCorrection, but 0.9 in {moment}");
        assert!(error.contains(&words), "{error}");
    }
}

#[test]
fn a_schedule_may_tend_to_an_end_that_is_excluded_and_not_reach_it() {
    let clipped = |limit: Schedule| {
        let builder = Optimizer::<f64>::builder().rest("all", recipes::gd());
        builder.clip_global_norm(limit).build::<f64>()
    };
    assert!(clipped(Schedule::Exponential { base: 1.0, factor: 0.5 }).is_ok());
    assert!(clipped(Schedule::linear(1.0, 1e-3, 9)).is_ok());
    let error = clipped(Schedule::linear(1.0, 0.0, 9)).expect_err("zero clips everything");
    assert!(error.to_string().contains("clip_global_norm = 0"), "{error}");
}

#[test]
fn every_default_has_an_owner() {
    const OWNERS: [&str; 15] = [
        "ours",
        "torch",
        "optax",
        "keras",
        "Keras",
        "paper",
        "official",
        "lingvo",
        "pytorch_optimizer",
        "optimi",
        "LAMB",
        "source",
        "TensorFlow",
        "prodigyopt",
        "dadaptation",
    ];
    for entry in registry::all() {
        for hyper in (entry.chain)().hypers() {
            let doc = hyper.spec().doc;
            let parts = doc.split('(').skip(1).filter_map(|part| part.split(')').next());
            let owned = parts.clone().any(|part| OWNERS.iter().any(|owner| part.contains(owner)));
            assert!(
                owned,
                "{}: {} = {}: {doc}",
                entry.name,
                hyper.spec().name,
                hyper.spec().default
            );
        }
    }
}
