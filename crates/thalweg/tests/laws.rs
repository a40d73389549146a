//! The laws of the language and the engine, for every optimizer there is: what does not change the
//! result must not change a bit of it.

mod proof;

use proof::*;
use proptest::prelude::*;
use thalweg::rules::*;
use thalweg::{Chain, Element, Isa, Optimizer, Storage};

/// Few seeds: each proves the law for every chain, number type and border of the engine.
fn seeds(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, max_shrink_iters: 8, failure_persistence: None, ..Default::default() }
}

/// What a chain leaves behind after a few steps on tensors of every length.
fn outcome<E: Element>(chain: &Chain, isa: Isa, seed: u64) -> Vec<(String, Vec<u64>)> {
    let (mut opt, mut tensors) = (optimizer::<E>(chain, isa), all_lengths());
    train(&mut opt, &mut tensors, 3, &wide(seed));
    let mut remains = remains(&opt, &tensors).0;
    for tensor in &tensors {
        for slot in chain.slots() {
            let values = opt.slot(&tensor.name, &slot).expect("a slot of the chain");
            remains.push((format!("{}/{slot}", tensor.name), bits(values)));
        }
    }
    remains
}

/// The same rules grouped in every way, and each as a stage of its own, leave the same bits.
macro_rules! groupings {
    ($($a:expr, $b:expr, $c:expr;)*) => {
        vec![$({
            let (a, b, c) = ($a, $b, $c);
            vec![
                Chain::new((a.clone(), b.clone(), c.clone())),
                Chain::new(((a.clone(), b.clone()), c.clone())),
                Chain::new((a.clone(), (b.clone(), c.clone()))),
                Chain::new(((), a.clone(), (), b.clone(), c.clone(), ())),
                Chain::new(((a.clone(), ((), b.clone())), (c.clone(), ()))),
                Chain::new((((((((a.clone(),),),),), b.clone()),), c.clone())),
                Chain::new(a.clone()).then(b.clone()).then(c.clone()),
                Chain::new((a.clone(), b.clone())).then(c.clone()),
                Chain::new(a.clone()).then((b.clone(), c.clone())),
                Chain::new(()).then(a).then(()).then(b).then(((),)).then(c),
            ]
        }),*]
    };
}

fn every_rule_in_every_grouping() -> Vec<Vec<Chain>> {
    groupings! {
        <Adam>::default(), DecayWeights::default(), Scale::default();
        L2::default(), Adam::<thalweg::Hat>::default(), Scale::default();
        ClipValue::default(), Adam::<thalweg::Both>::default(), IndependentDecay::default();
        ClipValue::default().limit(0.3), L2::default(), <AmsGrad>::default();
        AmsGrad::<thalweg::Floor, Corrected>::default(), CorrectedDecay::default(), Scale::default();
        <AdaGrad>::default(), Momentum::default().dampening(0.5), Scale::default();
        <RmsProp>::default(), Scale::default(), Momentum::default();
        CenteredRmsProp::<thalweg::Inside>::default(), Nesterov::default(), Scale::default();
        AdaDelta::default(), <MetaEgd>::default(), Scale::default();
        <AdaBelief>::default(), MetaEgd::<Sign, LastNonZero>::default(), Scale::default();
        AdaBelief::<Separate>::default(), DecayWeights::default(), Scale::default();
        RectifiedAdaBelief::default(), <MetaEgdMomentum>::default(), Scale::default();
        Nesterov::default(), ClipValue::default().limit(1e-3), MetaEgd::<Balance>::default();
        <CorrectedRms>::default(), Scale::default(), Lookahead::default().k(2.0);
        Scale::default(), <WeightAverage>::default(), Swa::default().average_start(2.0);
        Scale::default(), WeightAverage::<FromZero>::default(), WeightAverage::<FromInitial>::default();
        Maximize::default(), <NAdam>::default(), Scale::default();
        NAdam::<thalweg::Both, ConstantMomentum>::default(), <RAdam>::default(), Scale::default();
        <Adamax>::default(), Lion::default(), ProximalDecay::default();
        Adamax::<OnMaximum>::default(), SignOf::default(), Scale::default();
        <Adan>::default(), ProximalDecay::default().decay(0.1), Scale::default();
        <Adopt>::default(), Signum::default(), Scale::default();
        AdEmaMix::<thalweg::Outside, Gradual>::default(), DecayWeights::default(), Scale::default();
        LaProp::<thalweg::HatBoth>::default(), Scale::default(), <Rprop>::default();
        Yogi::<thalweg::Both, AtInitial>::default(), Rprop::<AtNextStep>::default(), Asgd::default();
    }
}

fn grouping_changes_nothing<E: Element>(isa: Isa, seed: u64) {
    for chains in every_rule_in_every_grouping() {
        let want = outcome::<E>(&chains[0], isa, seed);
        for (k, chain) in chains.iter().enumerate().skip(1) {
            assert_same(&outcome::<E>(chain, isa, seed), &want, &format!("{k}: {chain:?}"));
        }
    }
}

/// Compares without printing thousands of numbers.
#[track_caller]
fn assert_same(got: &[(String, Vec<u64>)], want: &[(String, Vec<u64>)], what: &str) {
    assert_eq!(got.len(), want.len(), "{what}");
    for ((name, got), (_, want)) in got.iter().zip(want) {
        let first = got.iter().zip(want).position(|(a, b)| a != b);
        assert_eq!((first, got.len()), (None, want.len()), "{what}: {name} differs there");
    }
}

#[track_caller]
fn assert_finite<E: Element>(opt: &Optimizer<E>, tensors: &[Tensor<E>], what: &str) {
    for tensor in tensors {
        let bad = tensor.x().iter().position(|v| !v.widen().is_finite());
        assert_eq!(bad, None, "{what}: {} is not finite there", tensor.name);
        for slot in opt.groups().next().expect("a group").1.slots() {
            let values = opt.slot_values(&tensor.name, &slot).expect("a slot");
            let bad = values.iter().position(|v| !v.widen().is_finite());
            assert_eq!(bad, None, "{what}: {}/{slot} is not finite there", tensor.name);
        }
    }
}

proptest! {
    #![proptest_config(seeds(2))]

    #[test]
    fn tuples_group_as_they_like_and_a_chain_is_its_tuple(seed: u64) {
        for isa in Isa::available() {
            grouping_changes_nothing::<f32>(isa, seed);
            grouping_changes_nothing::<f64>(isa, seed);
        }
    }

    #[test]
    fn stage_by_stage_is_the_compiled_loop(seed: u64) {
        for sentence in sentences() {
            for isa in Isa::available() {
                let what = format!("{} on {isa}", sentence.name);
                let staged = sentence.staged();
                let want = outcome::<f32>(&sentence.chain, isa, seed);
                assert_same(&outcome::<f32>(&staged, isa, seed), &want, &what);
                let want = outcome::<f64>(&sentence.chain, isa, seed);
                assert_same(&outcome::<f64>(&staged, isa, seed), &want, &what);
            }
        }
    }

    #[test]
    fn instruction_sets_agree(seed: u64) {
        for sentence in sentences() {
            let want32 = outcome::<f32>(&sentence.chain, Isa::Scalar, seed);
            let want64 = outcome::<f64>(&sentence.chain, Isa::Scalar, seed);
            for isa in Isa::available() {
                let what = format!("{} on {isa}", sentence.name);
                assert_same(&outcome::<f32>(&sentence.chain, isa, seed), &want32, &what);
                assert_same(&outcome::<f64>(&sentence.chain, isa, seed), &want64, &what);
            }
        }
    }

    #[test]
    fn threads_agree(seed: u64) {
        for sentence in sentences() {
            threads_agree_on::<f32>(&sentence, seed);
            threads_agree_on::<f64>(&sentence, seed);
        }
    }

    #[test]
    fn where_a_slice_stands_does_not_matter(seed: u64, offset in 1usize..16) {
        for sentence in sentences() {
            alignment_does_not_matter::<f32>(&sentence, seed, offset);
            alignment_does_not_matter::<f64>(&sentence, seed, offset);
        }
    }

    #[test]
    fn the_order_of_tensors_does_not_matter(seed: u64) {
        for sentence in sentences() {
            order_does_not_matter::<f32>(&sentence, seed);
            order_does_not_matter::<f64>(&sentence, seed);
        }
    }
}

fn threads_agree_on<E: Element>(sentence: &Sentence, seed: u64) {
    let run = |threads: Option<usize>| {
        let mut tensors: Vec<Tensor<E>> = all_lengths();
        tensors.push(Tensor::new("long", 1_000_000..1_000_000 + LONG as u64));
        let builder = Optimizer::<E>::builder().rest("all", sentence.chain.clone());
        let builder = if let Some(n) = threads { builder.threads(n) } else { builder };
        let mut opt = builder.build::<E>().expect("a valid chain");
        train(&mut opt, &mut tensors, 2, &wide(seed));
        remains(&opt, &tensors)
    };
    let want = run(Some(1));
    for threads in [Some(2), Some(3), None] {
        let got = run(threads);
        let what = format!("{} on {threads:?} threads", sentence.name);
        assert_same(&got.0, &want.0, &what);
        assert!(got.1 == want.1, "{what}: the state differs");
    }
}

fn alignment_does_not_matter<E: Element>(sentence: &Sentence, seed: u64, offset: usize) {
    let run = |offset: usize| {
        let mut opt = optimizer(&sentence.chain, Isa::available()[0]);
        let tensors = all_lengths::<E>().into_iter().map(|t| t.shifted(offset));
        let mut tensors: Vec<Tensor<E>> = tensors.collect();
        train(&mut opt, &mut tensors, 2, &wide(seed));
        remains(&opt, &tensors)
    };
    let (got, want) = (run(offset), run(0));
    assert_same(&got.0, &want.0, &sentence.name);
    assert!(got.1 == want.1, "{}: the state differs", sentence.name);
}

/// Tensors that share a sum are joined in the order of their names; all others are alone.
fn order_does_not_matter<E: Element>(sentence: &Sentence, seed: u64) {
    let run = |reversed: bool| {
        let mut opt = optimizer(&sentence.chain, Isa::available()[0]);
        let mut tensors: Vec<Tensor<E>> = all_lengths();
        // Long enough to be cut, at places that depend on what comes before.
        for (name, first) in [("long", 1_000_000), ("longer", 2_000_000)] {
            tensors.push(Tensor::new(name, first..first + LONG as u64));
        }
        for k in 0..3 {
            // The order may also change between steps.
            if reversed && k != 1 {
                tensors.reverse();
            }
            train(&mut opt, &mut tensors, 1, &wide(seed));
        }
        let mut values = remains(&opt, &tensors).0;
        values.sort();
        values
    };
    assert_same(&run(true), &run(false), &sentence.name);
}

/// Steps both with the same gradients by coordinate number, and compares by number.
fn rearranged<E: Element>(chain: &Chain, tensors: Vec<Tensor<E>>, seed: u64) -> Vec<(u64, u64)> {
    let (mut opt, mut tensors) = (optimizer(chain, Isa::available()[0]), tensors);
    train(&mut opt, &mut tensors, 3, &wide(seed));
    let mut values: Vec<(u64, u64)> =
        tensors.iter().flat_map(|t| t.ids.iter().copied().zip(bits(t.x()))).collect();
    values.sort_unstable();
    values
}

proptest! {
    #![proptest_config(seeds(4))]

    #[test]
    fn coordinates_may_stand_anywhere(seed: u64) {
        let n = 2100u64;
        let mut shuffled: Vec<u64> = (0..n).collect();
        shuffled.sort_by_key(|id| mix(seed ^ id));
        for sentence in sentences().iter().filter(|s| s.element_wise()) {
            let want = rearranged::<f32>(&sentence.chain, vec![Tensor::new("x", 0..n)], seed);
            let got = vec![Tensor::<f32>::new("x", shuffled.iter().copied())];
            prop_assert!(rearranged(&sentence.chain, got, seed) == want, "{}", sentence.name);
        }
    }

    #[test]
    fn two_halves_are_the_whole(seed: u64, cut in 0u64..2100) {
        let n = 2100u64;
        for sentence in sentences().iter().filter(|s| s.element_wise()) {
            let want = rearranged::<f32>(&sentence.chain, vec![Tensor::new("x", 0..n)], seed);
            let got = vec![Tensor::<f32>::new("front", 0..cut), Tensor::new("back", cut..n)];
            prop_assert!(rearranged(&sentence.chain, got, seed) == want, "{}", sentence.name);
        }
    }

    #[test]
    fn every_coordinate_alone_is_the_whole(seed: u64) {
        // A block, a chunk, and a last chunk with all places but one.
        let n = 1024 + 64 + 63;
        for sentence in sentences().iter().filter(|s| s.element_wise()) {
            let want = rearranged::<f32>(&sentence.chain, vec![Tensor::new("x", 0..n)], seed);
            let alone = (0..n).map(|id| Tensor::<f32>::new(&id.to_string(), [id])).collect();
            prop_assert!(rearranged(&sentence.chain, alone, seed) == want, "{}", sentence.name);
        }
    }

    #[test]
    fn sums_do_not_depend_on_where_coordinates_stand(seed: u64) {
        // Up to rounding: a sum in another order is another sum.
        let run = |chain: &Chain, ids: Vec<u64>| {
            let (mut opt, mut x) = (optimizer(chain, Isa::available()[0]), [Tensor::<f64>::new("x", ids)]);
            train(&mut opt, &mut x, 3, &tame(seed));
            let mut values: Vec<(u64, f64)> =
                x[0].ids.iter().copied().zip(x[0].x().iter().copied()).collect();
            values.sort_by_key(|v| v.0);
            values
        };
        let mut shuffled: Vec<u64> = (0..2100).collect();
        shuffled.sort_by_key(|id| mix(seed ^ id));
        for sentence in sentences().iter().filter(|s| !s.element_wise() && s.name != "noise") {
            let want = run(&sentence.chain, (0..2100).collect());
            for (got, want) in run(&sentence.chain, shuffled.clone()).iter().zip(want) {
                prop_assert!((got.1 - want.1).abs() <= 1e-12 * want.1.abs().max(1e-3), "{}", sentence.name);
            }
        }
    }

    #[test]
    fn finite_in_finite_out(seed: u64) {
        for sentence in sentences() {
            for storage in [Storage::Native, Storage::Bf16, Storage::Block8] {
                stays_finite::<f32>(&sentence, storage, seed);
                stays_finite::<f64>(&sentence, storage, seed);
            }
        }
    }
}

#[test]
fn a_zero_gradient_moves_nothing() {
    for sentence in registered() {
        let mut chain = sentence.chain.clone();
        if chain.hyper("decay").is_ok() {
            // Prodigy and D-Adaptation, which estimate a distance `d`, take no step at all before the
            // first gradient, as the official codes do (their trajectories on `sparse`).
            if chain.scalars().iter().any(|s| s == "d") {
                chain.set("decay", 0.1).expect("a decay");
                nothing_moves::<f32>(&sentence.name, &chain);
                nothing_moves::<f64>(&sentence.name, &chain);
            } else {
                decay_alone_moves::<f32>(&sentence);
                decay_alone_moves::<f64>(&sentence);
            }
            chain.set("decay", 0.0).expect("no decay");
        }
        // Yogi's momentum starts at a number in optax, and moves until it is forgotten.
        if chain.hyper("initial_m").is_ok() {
            chain.set("initial_m", 0.0).expect("no momentum");
        }
        nothing_moves::<f32>(&sentence.name, &chain);
        nothing_moves::<f64>(&sentence.name, &chain);
        // Nor without an ε to divide nothing by, where it may be zero.
        if chain.set("eps", 0.0).is_ok() {
            nothing_moves::<f32>(&sentence.name, &chain);
            nothing_moves::<f64>(&sentence.name, &chain);
        }
    }
}

fn nothing_moves<E: Element>(what: &str, chain: &Chain) {
    let (mut opt, mut tensors) = (optimizer::<E>(chain, Isa::available()[0]), all_lengths());
    let before: Vec<Tensor<E>> = tensors.clone();
    train(&mut opt, &mut tensors, 3, &|_, _| 0.0);
    for (now, before) in tensors.iter().zip(&before) {
        assert!(bits(now.x()) == bits(before.x()), "{what} moves {}", now.name);
    }
}

/// The exception: weight decay shrinks parameters whatever the gradient.
fn decay_alone_moves<E: Element>(sentence: &Sentence) {
    let chain = sentence.chain.clone().with("decay", 0.1).expect("a decay");
    let mut opt = optimizer::<E>(&chain, Isa::available()[0]);
    let mut tensors = [Tensor::<E>::new("x", 0..100)];
    let before = tensors[0].clone();
    // A rectified rate is zero in the first five steps.
    train(&mut opt, &mut tensors, 8, &|_, _| 0.0);
    for (now, before) in tensors[0].x().iter().zip(before.x()) {
        assert!(now.widen() < before.widen(), "{} does not decay", sentence.name);
    }
}

fn stays_finite<E: Element>(sentence: &Sentence, storage: Storage, seed: u64) {
    for isa in [Isa::available()[0], Isa::Scalar] {
        let builder = Optimizer::<E>::builder().rest("all", sentence.chain.clone());
        let mut opt: Optimizer<E> =
            builder.isa(isa).threads(1).storage(storage).build().expect("a valid chain");
        let (mut tensors, what) = (all_lengths(), format!("{} in {storage:?}", sentence.name));
        if storage != Storage::Native {
            // Shorter tensors are not kept in few bits.
            tensors = vec![Tensor::new("packed", 0..5 * 1024 + 17)];
        }
        train(&mut opt, &mut tensors, 12, &wide(seed));
        assert_finite(&opt, &tensors, &what);
        // From one end of the range to the other, and to nothing.
        train(&mut opt, &mut tensors, 2, &|_, id| if id % 2 == 0 { 1e6 } else { -1e-9 });
        train(&mut opt, &mut tensors, 2, &|_, id| if id % 2 == 0 { -1e-9 } else { 1e6 });
        train(&mut opt, &mut tensors, 2, &|_, _| 0.0);
        assert_finite(&opt, &tensors, &what);
    }
}

/// The chains whose direction does not change when all gradients are multiplied by a number.
fn scale_free() -> Vec<Chain> {
    ["adam", "adam@keras", "adam@optax", "adamw", "amsgrad", "amsgrad@optax", "rmsprop", "adagrad"]
        .iter()
        .map(|name| thalweg::registry::build(name, &[("eps", 0.0)]).expect("ε may be zero"))
        .chain([Chain::new((MetaEgd::<Sign>::default(), <Adam>::default(), Scale::default()))
            .with("eps", 0.0)
            .expect("ε may be zero")])
        .collect()
}

fn scale_does_not_matter<E: Element>(seed: u64, exponent: i32) {
    for chain in scale_free() {
        let run = |scale: f64| {
            let (mut opt, mut x) = (optimizer::<E>(&chain, Isa::available()[0]), all_lengths());
            let tame = tame(seed);
            train(&mut opt, &mut x, 5, &|step, id| scale * tame(step, id));
            x.iter().map(|t| bits(t.x())).collect::<Vec<_>>()
        };
        // A power of two shifts exponents only: every rounding stays the same.
        assert!(run(1.0) == run(2f64.powi(exponent)), "{chain:?}");
    }
}

proptest! {
    #![proptest_config(seeds(4))]

    #[test]
    fn without_epsilon_the_scale_of_the_loss_does_not_matter(seed: u64, exponent in -24i32..24) {
        scale_does_not_matter::<f32>(seed, exponent);
        scale_does_not_matter::<f64>(seed, exponent);
    }
}

#[test]
fn epsilon_is_what_the_scale_of_the_loss_matters_to() {
    // The law above must be able to fail.
    let run = |scale: f64| {
        let chain = thalweg::recipes::adam();
        let (mut opt, mut x) = (optimizer::<f64>(&chain, Isa::Scalar), [Tensor::new("x", 0..9)]);
        let tame = tame(3);
        train(&mut opt, &mut x, 5, &|step, id| scale * tame(step, id));
        bits(x[0].x())
    };
    assert_ne!(run(1.0), run(2f64.powi(-20)));
}
