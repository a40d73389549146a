//! Parameters that come, go and rest; settings that change under way; errors that change nothing.

mod proof;

use proof::{Tensor, all_lengths, optimizer, remains, step, tame, train};
use std::sync::Arc;
use thalweg::geometry::{Burg, EgPm, Hypentropy, NegativeEntropy};
use thalweg::recipes::{adam, adamw, gd, meta_egd, meta_egd_tensor, rprop, sgd_hd};
use thalweg::rules::*;
use thalweg::{Chain, Error, Isa, Optimizer, Param, Plateau, Schedule, registry};

fn descent(lr: f64) -> Chain {
    gd().with("lr", lr).expect("in range")
}

/// An error's sentence, which must hold every one of these words.
#[track_caller]
fn says(result: Result<impl Sized, Error>, words: &[&str]) {
    let sentence = result.err().expect("an error").to_string();
    for word in words {
        assert!(sentence.contains(word), "{sentence:?} does not say {word:?}");
    }
}

/// One step on one coordinate; returns where it is now.
fn nudge(opt: &mut Optimizer<f64>, name: &str, mut x: f64, g: f64) -> Result<f64, Error> {
    let value = std::slice::from_mut(&mut x);
    assert!(opt.step(&mut [Param::new(name, &[1], value, &[g])])?.applied());
    Ok(x)
}

fn fresh(chain: Chain) -> Optimizer<f64> {
    Optimizer::new(chain).expect("a valid chain")
}

mod coming_and_going {
    use super::*;

    #[test]
    fn a_parameter_without_gradient_rests() {
        let mut opt = fresh(adam());
        let (mut a, mut b) = ([1.0], [1.0]);
        for _ in 0..3 {
            let params = &mut [
                Param::new("a", &[1], &mut a, &[0.5]),
                Param::without_gradient("b", &[1], &mut b),
            ];
            assert_eq!(*opt.step(params).unwrap().without_gradient, ["b"]);
        }
        assert_eq!(b, [1.0]);
        assert_eq!(opt.params().collect::<Vec<_>>(), [("a", 3), ("b", 0)]);
        assert_eq!(opt.slot("b", "m"), Some(&[0.0][..]));
    }

    #[test]
    fn what_is_frozen_before_it_is_met_stays() {
        let mut opt = fresh(descent(1.0));
        assert_eq!(opt.freeze("body.*").unwrap(), 0);
        assert_eq!(opt.unfreeze("body.norm").unwrap(), 0);
        for (name, end) in [("body.w", 1.0), ("body.norm", 0.5), ("head", 0.5), ("body.late", 1.0)]
        {
            assert_eq!(nudge(&mut opt, name, 1.0, 0.5).unwrap(), end, "{name}");
        }
        assert_eq!(opt.unfreeze("body.*").unwrap(), 3);
        assert_eq!(nudge(&mut opt, "body.w", 1.0, 0.5).unwrap(), 0.5);
        assert_eq!(nudge(&mut opt, "body.later", 1.0, 0.5).unwrap(), 0.5);
    }

    #[test]
    fn every_parameter_counts_its_own_steps() {
        // A newcomer's first step is a first step: its bias is corrected as such.
        let mut opt = fresh(adam());
        let want = nudge(&mut fresh(adam()), "late", 1.0, 0.5).unwrap();
        for _ in 0..5 {
            nudge(&mut opt, "early", 1.0, 0.3).unwrap();
        }
        let (mut early, mut late) = ([1.0], [1.0]);
        let params = &mut [
            Param::new("late", &[1], &mut late, &[0.5]),
            Param::new("early", &[1], &mut early, &[0.3]),
        ];
        assert!(opt.step(params).unwrap().applied());
        assert_eq!(late, [want]);
        assert_eq!(opt.params().collect::<Vec<_>>(), [("early", 6), ("late", 1)]);
        assert_eq!(opt.steps(), 6);
    }

    #[test]
    fn a_frozen_parameter_goes_on_where_it_was() {
        let (mut opt, mut alone) = (fresh(adam()), fresh(adam()));
        let (mut x, mut y) = (1.0, 1.0);
        for t in 0..6 {
            match t {
                2 => assert_eq!(opt.freeze("x*").unwrap(), 1),
                4 => assert_eq!(opt.unfreeze("x*").unwrap(), 1),
                _ => {}
            }
            let (before, mut other) = (x, [0.0]);
            let value = std::slice::from_mut(&mut x);
            let params = &mut [
                Param::new("x", &[1], value, &[0.25]),
                Param::new("other", &[1], &mut other, &[1.0]),
            ];
            let report = opt.step(params).unwrap();
            assert_eq!(report.frozen, usize::from(t == 2 || t == 3));
            if report.frozen == 1 {
                assert_eq!(x, before);
            } else {
                y = nudge(&mut alone, "x", y, 0.25).unwrap();
            }
        }
        assert_eq!(x, y);
        assert_eq!(opt.params().collect::<Vec<_>>(), [("x", 4), ("other", 6)]);
        says(opt.freeze("["), &["freeze: the pattern \"[\" cannot be read"]);
        says(opt.unfreeze("["), &["unfreeze: the pattern \"[\" cannot be read"]);
    }

    #[test]
    fn a_parameter_missing_from_the_list_keeps_its_state() {
        let (mut opt, mut alone) = (fresh(adam()), fresh(adam()));
        let mut x = nudge(&mut opt, "x", 1.0, 0.5).unwrap();
        let mut y = nudge(&mut alone, "x", 1.0, 0.5).unwrap();
        nudge(&mut opt, "z", 1.0, 0.5).unwrap();
        x = nudge(&mut opt, "x", x, -0.25).unwrap();
        y = nudge(&mut alone, "x", y, -0.25).unwrap();
        assert_eq!(x, y);
    }

    #[test]
    fn a_removed_parameter_starts_anew() {
        let mut opt = fresh(adam());
        for name in ["a", "x", "b"] {
            nudge(&mut opt, name, 1.0, 0.5).unwrap();
        }
        let b = bits_of(&opt, "b");
        assert!(opt.remove("x"));
        assert!(!opt.remove("x"));
        assert_eq!(opt.slot("x", "m"), None);
        assert_eq!(bits_of(&opt, "b"), b);
        let want = nudge(&mut fresh(adam()), "x", 3.0, 0.1).unwrap();
        assert_eq!(nudge(&mut opt, "x", 3.0, 0.1).unwrap(), want);
        assert_eq!(opt.params().collect::<Vec<_>>(), [("a", 1), ("b", 1), ("x", 1)]);
        // Of another shape it is another parameter.
        opt.remove("x");
        let (mut x, g) = ([1.0; 4], [0.5; 4]);
        assert!(opt.step(&mut [Param::new("x", &[2, 2], &mut x, &g)]).unwrap().applied());
    }

    fn bits_of(opt: &Optimizer<f64>, name: &str) -> [u64; 2] {
        ["m", "v"].map(|slot| opt.slot(name, slot).unwrap()[0].to_bits())
    }

    #[test]
    fn an_empty_list_is_a_step_without_work() {
        let mut opt = fresh(adam());
        let report = opt.step(&mut []).unwrap();
        assert!(report.applied());
        assert_eq!((report.grad_norm, report.step), (Some(0.0), 1));
    }
}

mod errors_change_nothing {
    use super::*;

    /// Each of these lists is refused, and leaves two trained parameters and their state alone.
    #[test]
    fn shapes_names_and_lengths() {
        let (a, b, c) = ([2, 3], [4], [5]);
        let g = vec![0.5; 6];
        type Case<'c> = (Vec<(&'c str, &'c [usize], usize, usize)>, &'c [&'c str]);
        let cases: [Case<'_>; 6] = [
            (vec![("c", &c, 5, 5), ("a", &[3, 2], 6, 6)], &["\"a\"", "[3, 2]", "[2, 3]", "remove"]),
            (vec![("c", &c, 5, 5), ("d", &[2, 2], 3, 3)], &["\"d\"", "3 values", "means 4"]),
            (vec![("c", &c, 5, 5), ("d", &c, 5, 4)], &["\"d\"", "5 values", "gradient has 4"]),
            (vec![("a", &a, 6, 6), ("c", &c, 5, 5), ("a", &a, 6, 6)], &["\"a\"", "twice"]),
            (vec![("a", &a, 6, 5), ("b", &b, 4, 4)], &["\"a\"", "gradient has 5"]),
            (vec![("c", &c, 5, 5), ("none", &c, 5, 5)], &["\"none\"", "no group"]),
        ];
        for (list, words) in cases {
            let builder = Optimizer::<f64>::builder().group("all", "?", adam());
            let mut opt: Optimizer<f64> = builder.build().unwrap();
            let (mut x, mut y) = (vec![1.0; 6], vec![2.0; 4]);
            let both = &mut [Param::new("a", &a, &mut x, &g), Param::new("b", &b, &mut y, &g[..4])];
            assert!(opt.step(both).unwrap().applied());
            let before = opt.save_bytes().unwrap();
            let mut values: Vec<Vec<f64>> = list.iter().map(|p| vec![7.0; p.2]).collect();
            let mut params: Vec<Param<'_, f64>> = list
                .iter()
                .zip(&mut values)
                .map(|((name, shape, _, n), x)| Param::new(name, shape, x, &g[..*n]))
                .collect();
            says(opt.step(&mut params), words);
            assert!(values.iter().flatten().all(|x| *x == 7.0), "{words:?}");
            assert!(opt.save_bytes().unwrap() == before, "{words:?} left something behind");
        }
    }

    #[test]
    fn a_geometry_refuses_starts_outside_its_domain() {
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let mut opt = fresh(gd().over(NegativeEntropy::default()));
            let (mut x, mut y) = ([1.0, bad, bad], [1.0]);
            let params = &mut [
                Param::new("fine", &[1], &mut y, &[0.5]),
                Param::new("x", &[3], &mut x, &[0.5; 3]),
            ];
            says(
                opt.step(params),
                &["\"x\"", "2 coordinates", "above zero", "nothing was changed"],
            );
            assert_eq!((y, x[0], opt.params().count()), ([1.0], 1.0, 0));
        }
    }

    #[test]
    fn burg_refuses_a_step_out_of_its_domain() {
        let momentum = (Momentum::default(), Scale::default().lr(1.0));
        let mut opt = fresh(Chain::new(momentum).over(Burg::default()));
        let (mut x, mut y) = ([1.0, 2.0], [1.0]);
        let fine = &mut [
            Param::new("y", &[1], &mut y, &[0.5]),
            Param::new("x", &[2], &mut x, &[0.5, -0.25]),
        ];
        assert!(opt.step(fine).unwrap().applied());
        assert_eq!((y, x), ([1.0 / 1.5], [1.0 / 1.5, 2.0 / 0.5]));
        let before = (opt.save_bytes().unwrap(), x, y);
        // 1 + x·u with u = 0.9·0.5 − 9 < −1/x.
        let mut new = [1.0];
        let far = &mut [
            Param::new("y", &[1], &mut y, &[0.5]),
            Param::new("x", &[2], &mut x, &[-9.0, 0.0]),
            Param::new("new", &[1], &mut new, &[0.0]),
        ];
        says(opt.step(far), &["\"x\"", "1 coordinates", "lower the learning rate"]);
        assert!((opt.save_bytes().unwrap(), x, y) == before);
    }
}

mod settings {
    use super::*;

    #[test]
    fn out_of_range_names_value_and_range() {
        let cases: [(&str, &str, f64, &str); 8] = [
            ("adam", "beta1", 1.0, "beta1 = 1 is outside [0, 1)"),
            ("adam", "beta2", -0.1, "beta2 = -0.1 is outside [0, 1)"),
            ("adam", "eps", -1e-8, "eps = -0.00000001 is outside [0, ∞)"),
            ("adam", "lr", f64::NAN, "lr = NaN is outside [0, ∞)"),
            ("gd", "lr", f64::INFINITY, "lr = inf is outside [0, ∞)"),
            ("meta_egd", "nu_min", 0.0, "nu_min = 0 is outside (0, ∞)"),
            ("meta_egd", "clip", 0.0, "clip = 0 is outside (0, ∞]"),
            ("momentum", "dampening", 1.5, "dampening = 1.5 is outside [0, 1]"),
        ];
        for (name, hyper, value, want) in cases {
            let error = registry::build(name, &[(hyper, value)]).unwrap_err();
            assert_eq!(error.to_string(), want);
        }
        // A setter does not check; building does.
        let rule = (<Adam>::default().beta1(2.0), Scale::default());
        says(Optimizer::<f32>::new(rule), &["beta1 = 2 is outside [0, 1)"]);
        says(registry::build("adam", &[("beta3", 0.5)]), &["\"beta3\"", "beta1, beta2, eps, lr"]);
    }

    #[test]
    fn of_two_equal_names_both_are_checked() {
        let rules = || (ClipValue::default(), L2::default(), DecayWeights::default());
        let mut chain = Chain::new(rules()).fold(GroupGain::<PerGroup, Cosine>::default());
        says(chain.set("decay", -1.0), &["decay = -1"]);
        // `beta` of EGDD is a rate, that of hypentropy is any positive number.
        let both =
            Chain::new(()).fold(<Egdd>::default()).over(thalweg::geometry::Hypentropy::default());
        says(both.with("beta", 2.0), &["beta = 2 is outside [0, 1)"]);
    }

    #[test]
    fn a_schedule_must_stay_in_range_all_the_way() {
        let bad = [
            Schedule::linear(0.1, -0.1, 10),
            Schedule::Exponential { base: 0.1, factor: -0.5 },
            Schedule::Step { base: 0.1, factor: -1.0, every: 1 },
            Schedule::CosineRestarts { from: 0.1, to: -0.01, first: 2, growth: 3 },
            Schedule::MultiStep { base: 0.1, factor: -1.0, milestones: vec![5] },
            Schedule::cosine(f64::NAN, 0.0, 5),
            Schedule::Sequential(vec![(5, Schedule::linear(0.1, 0.0, 5)), (1, (-1.0).into())]),
        ];
        for schedule in bad {
            assert!(adam().with("lr", schedule.clone()).is_err(), "{schedule:?}");
        }
    }

    #[test]
    fn set_changes_one_group_or_all_or_nothing() {
        let mut opt = Optimizer::<f64>::builder()
            .group("a", "a", descent(1.0))
            .group("b", "b", adamw())
            .build::<f64>()
            .unwrap();
        let value = |opt: &Optimizer<f64>, group: &str, name: &str| {
            let chain = opt.groups().find(|g| g.0 == group).unwrap().1.clone();
            chain.hyper(name).ok().map(|h| h.value(0))
        };
        opt.set(None, "lr", 0.5).unwrap();
        assert_eq!((value(&opt, "a", "lr"), value(&opt, "b", "lr")), (Some(0.5), Some(0.5)));
        opt.set(Some("b"), "lr", 0.25).unwrap();
        assert_eq!((value(&opt, "a", "lr"), value(&opt, "b", "lr")), (Some(0.5), Some(0.25)));
        // A name that only one group has is set there.
        opt.set(None, "decay", 0.125).unwrap();
        assert_eq!(value(&opt, "b", "decay"), Some(0.125));
        says(opt.set(Some("a"), "decay", 0.0), &["\"decay\"", "lr"]);
        says(opt.set(Some("c"), "lr", 0.0), &["\"c\"", "a, b"]);
        says(opt.set(None, "lr", -1.0), &["lr = -1 is outside [0, ∞)"]);
        assert_eq!((value(&opt, "a", "lr"), value(&opt, "b", "lr")), (Some(0.5), Some(0.25)));
    }

    #[test]
    fn ranges_end_where_the_method_does() {
        for value in [0.0, 1.0] {
            says(rprop().with("eta_minus", value), &["eta_minus", "outside (0, 1)"]);
        }
        let noise = |seed: Schedule| {
            Optimizer::<f64>::new(Chain::new(()).fold(GradientNoise::default().seed(seed)))
        };
        assert!(noise(3.0.into()).is_ok() && noise(9_007_199_254_740_992.0.into()).is_ok());
        says(noise(1.5.into()), &["seed", "1.5", "whole number"]);
        says(noise(1e16.into()), &["seed", "whole number"]);
        says(noise(Schedule::linear(0.0, 1.0, 9)), &["seed", "whole number"]);
    }

    #[test]
    fn what_is_read_once_can_be_set_until_a_parameter_is_met() {
        use thalweg::recipes::{d_adapt_sgd, mechanic, prodigy, schedule_free_sgd, yogi};
        let cases = [
            (sgd_hd(), "lr"),
            (rprop(), "lr"),
            (gd().over(Hypentropy::default()), "beta"),
            (prodigy(), "d0"),
            (d_adapt_sgd(), "d0"),
            (mechanic(), "s_init"),
            (schedule_free_sgd(), "beta1"),
            (yogi(), "initial"),
        ];
        for (chain, name) in cases {
            let scheduled = chain.clone().with(name, Schedule::linear(0.5, 0.25, 9)).unwrap();
            says(Optimizer::<f64>::new(scheduled), &[name, "read once"]);
            let mut late = fresh(chain.clone());
            late.set(None, name, 0.25).unwrap();
            let mut early = fresh(chain.with(name, 0.25).unwrap());
            for _ in 0..2 {
                let ends = [&mut late, &mut early].map(|opt| nudge(opt, "x", 1.0, 0.5).unwrap());
                assert_eq!(ends[0], ends[1], "{name}");
            }
            says(late.set(None, name, 0.125), &[name, "read once", "before the first step"]);
            late.set(None, name, 0.25).unwrap();
        }
        // What else the chain has can be set at any time.
        let mut opt = fresh(sgd_hd());
        nudge(&mut opt, "x", 1.0, 0.5).unwrap();
        opt.set(None, "hyper_lr", 1e-3).unwrap();
    }

    #[test]
    fn schedules_follow_the_clock_of_the_optimizer() {
        let mut opt = fresh(descent(1.0));
        opt.set(None, "lr", Schedule::linear(1.0, 0.0, 4)).unwrap();
        let mut falls = vec![];
        for _ in 0..6 {
            let mut x = [0.0];
            let report = opt.step(&mut [Param::new("x", &[1], &mut x, &[1.0])]).unwrap();
            assert_eq!(*report.lr, [("all".to_owned(), Some(-x[0] + 0.0))]);
            falls.push(-x[0]);
        }
        assert_eq!(falls, [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]);
        // A newcomer has its own step number but not its own clock.
        opt.set(None, "lr", Schedule::MultiStep { base: 1.0, factor: 0.5, milestones: vec![6] })
            .unwrap();
        assert_eq!(nudge(&mut opt, "new", 0.0, 1.0).unwrap(), -0.5);
    }

    #[test]
    fn observing_lowers_a_plateau_everywhere() {
        let plateau = Plateau { patience: 0, factor: 0.5, ..Plateau::new(1.0) };
        let mut opt = Optimizer::<f64>::builder()
            .group("a", "a", descent(1.0).with("lr", Schedule::Plateau(plateau.clone())).unwrap())
            .group("b", "b", descent(1.0).with("lr", Schedule::Plateau(plateau)).unwrap())
            .build::<f64>()
            .unwrap();
        for (metric, want) in [(3.0, 1.0), (2.0, 1.0), (2.0, 0.5), (f64::NAN, 0.25), (1.0, 0.25)] {
            opt.observe(metric);
            for name in ["a", "b"] {
                assert_eq!(nudge(&mut opt, name, 0.0, 1.0).unwrap(), -want);
            }
        }
    }

    #[test]
    fn threads_and_pools() {
        let pool = Arc::new(rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap());
        let new = || Optimizer::<f32>::builder().rest("all", adam());
        let builders = [new(), new().threads(1), new().threads(4), new().pool(pool.clone())];
        let mut all = vec![];
        for builder in builders {
            let mut opt = builder.build::<f32>().unwrap();
            let mut tensors = all_lengths();
            tensors.push(Tensor::new("long", 0..proof::LONG as u64));
            train(&mut opt, &mut tensors, 2, &tame(5));
            all.push(remains(&opt, &tensors));
        }
        assert!(all.iter().all(|r| *r == all[0]));
        // From inside the user's own pool.
        let inside = pool.install(|| {
            let (mut opt, mut x) = (new().build::<f32>().unwrap(), all_lengths());
            x.push(Tensor::new("long", 0..proof::LONG as u64));
            train(&mut opt, &mut x, 2, &tame(5));
            remains(&opt, &x)
        });
        assert!(inside == all[0]);
    }

    #[test]
    fn a_missing_instruction_set_is_an_error() {
        for isa in [Isa::Avx2, Isa::Avx512].into_iter().filter(|i| !Isa::available().contains(i)) {
            says(
                Optimizer::<f32>::builder().rest("all", gd()).isa(isa).build::<f32>(),
                &["not available"],
            );
        }
        let opt = optimizer::<f32>(&gd(), Isa::Scalar);
        assert_eq!(opt.isa(), Isa::Scalar);
    }

    #[test]
    fn the_report_numbers_applied_steps() {
        let (mut opt, mut x) = (optimizer::<f64>(&adam(), Isa::Scalar), [Tensor::new("x", 0..3)]);
        assert_eq!(step(&mut opt, &mut x, &tame(1)).unwrap().step, 1);
        assert_eq!(step(&mut opt, &mut x, &|_, _| f64::NAN).unwrap().step, 1);
        assert_eq!(step(&mut opt, &mut x, &tame(1)).unwrap().step, 2);
        assert_eq!(opt.steps(), 2);
    }
}

#[test]
fn hyper_parameters_that_do_not_go_together_are_named() {
    let chain = |chain: Result<Chain, Error>| chain.and_then(Optimizer::<f64>::new);
    let meta =
        |low: f64, high: f64| meta_egd().with("nu_min", low).and_then(|c| c.with("nu_max", high));
    assert!(chain(meta(0.5, 0.5)).is_ok());
    says(chain(meta(2.0, 1.0)), &["nu_min", "is 2", "nu_max is 1"]);
    let momentum = thalweg::recipes::meta_egd_momentum().with("nu_min", 2e3);
    says(chain(momentum), &["nu_min", "is 2000", "nu_max is 1000"]);
    says(
        chain(
            meta_egd_tensor()
                .with("nu_min", Schedule::linear(0.1, 9.0, 10))
                .and_then(|c| c.with("nu_max", 5.0)),
        ),
        &["nu_min", "is 9", "nu_max is 5"],
    );
    let falling = || Schedule::linear(1.0, 0.5, 10);
    says(chain(sgd_hd().with("lr", falling())), &["lr", "schedule", "constant"]);
    says(chain(rprop().with("lr", falling())), &["lr", "constant"]);
    for geometry in [
        gd().over(Hypentropy::default().beta(falling())),
        gd().over(EgPm::default().beta(falling())),
    ] {
        says(chain(Ok(geometry)), &["beta", "constant"]);
    }
    // Set later, the same holds, and nothing changes.
    let mut opt = fresh(meta(0.5, 2.0).unwrap());
    says(opt.set(None, "nu_max", 0.25), &["nu_min", "nu_max is 0.25"]);
    assert_eq!(opt.groups().next().unwrap().1.hyper("nu_max").unwrap().value(0), 2.0);
}
