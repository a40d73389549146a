//! What a step does around its formulas: groups, reports, refusals, clipping, parameters that come
//! and go.

mod proof;

use proof::bits;
use thalweg::geometry::NegativeEntropy;
use thalweg::recipes::{adam, adamw, egdd, gd, momentum};
use thalweg::{Chain, Error, NonFinite, Optimizer, Outcome, Param, Pattern, biases_and_norms};

/// Plain descent with this rate.
fn descent(lr: f64) -> Chain {
    gd().with("lr", lr).expect("in range")
}

/// Steps parameters given as (name, shape, values, gradient).
fn step(
    opt: &mut Optimizer<f64>,
    params: &mut [(&str, Vec<usize>, Vec<f64>, Option<Vec<f64>>)],
) -> Result<thalweg::StepReport, Error> {
    let mut list: Vec<Param<'_, f64>> = params
        .iter_mut()
        .map(|(name, shape, x, g)| match g {
            Some(g) => Param::new(name, shape, x, g),
            None => Param::without_gradient(name, shape, x),
        })
        .collect();
    opt.step(&mut list)
}

/// A step that is taken.
#[track_caller]
fn moves(
    opt: &mut Optimizer<f64>,
    params: &mut [(&str, Vec<usize>, Vec<f64>, Option<Vec<f64>>)],
) -> thalweg::StepReport {
    let report = step(opt, params).unwrap();
    assert!(report.applied());
    report
}

fn one(name: &str, x: f64, g: f64) -> (&str, Vec<usize>, Vec<f64>, Option<Vec<f64>>) {
    (name, vec![1], vec![x], Some(vec![g]))
}

/// An error's sentence, which must hold every one of these words.
#[track_caller]
fn says(result: Result<impl Sized, Error>, words: &[&str]) {
    let sentence = result.err().expect("an error").to_string();
    for word in words {
        assert!(sentence.contains(word), "{sentence:?} does not say {word:?}");
    }
}

mod groups {
    use super::*;

    #[test]
    fn globs_expressions_tests_and_the_rest() {
        let mut opt = Optimizer::<f64>::builder()
            .group("glob", "encoder.*.{weight,bias}", descent(1.0))
            .group("regex", Pattern::Regex(r"^head\.\d+$".into()), descent(2.0))
            .group(
                "test",
                Pattern::test(|name, shape| name != "r" && shape == [1, 1]),
                descent(3.0),
            )
            .rest("rest", descent(4.0))
            .build::<f64>()
            .unwrap();
        let mut params = [
            one("encoder.1.weight", 0.0, 1.0),
            one("encoder.1.gain", 0.0, 1.0),
            one("head.12", 0.0, 1.0),
            one("head.12.x", 0.0, 1.0),
            ("small", vec![1, 1], vec![0.0], Some(vec![1.0])),
            ("r", vec![1, 1], vec![0.0], Some(vec![1.0])),
        ];
        let report = moves(&mut opt, &mut params);
        let moved: Vec<f64> = params.iter().map(|p| -p.2[0]).collect();
        assert_eq!(moved, [1.0, 4.0, 2.0, 4.0, 3.0, 4.0]);
        let rates: Vec<(&str, Option<f64>)> =
            report.lr.iter().map(|(name, lr)| (name.as_str(), *lr)).collect();
        let want = [("glob", 1.0), ("regex", 2.0), ("test", 3.0), ("rest", 4.0)];
        assert_eq!(rates, want.map(|(name, lr)| (name, Some(lr))));
    }

    #[test]
    fn none_or_two_are_errors_that_name_them() {
        let builder = || Optimizer::<f64>::builder().group("a", "x*", gd()).group("b", "*y", gd());
        let mut opt = builder().build::<f64>().unwrap();
        let got = step(&mut opt, &mut [one("x", 1.0, 1.0), one("z", 1.0, 1.0)]);
        says(got, &["\"z\"", "no group", "a, b"]);
        says(step(&mut opt, &mut [one("xy", 1.0, 1.0)]), &["\"xy\"", "2 groups (a, b)"]);
        // The rest takes what matches none, not what matches two.
        let mut opt = builder().rest("c", gd()).build::<f64>().unwrap();
        assert!(step(&mut opt, &mut [one("z", 1.0, 1.0)]).is_ok());
        says(step(&mut opt, &mut [one("xy", 1.0, 1.0)]), &["2 groups (a, b)"]);
    }

    #[test]
    fn settings_that_cannot_be_are_refused_when_building() {
        let new = Optimizer::<f64>::builder;
        says(new().build::<f64>(), &["no group", ".group(name, pattern, chain)"]);
        let twice = new().group("a", "x", gd()).group("a", "y", gd());
        says(twice.build::<f64>(), &["group \"a\"", "twice"]);
        says(new().rest("a", gd()).rest("b", gd()).build::<f64>(), &["group \"b\"", "twice"]);
        says(new().group("a", "x[", gd()).build::<f64>(), &["group \"a\"", "\"x[\""]);
        let regex = new().group("a", Pattern::Regex("(".into()), gd());
        says(regex.build::<f64>(), &["group \"a\"", "\"(\""]);
        says(
            new().rest("a", gd()).threads(0).build::<f64>(),
            &["threads = 0 is outside [1, 65536]"],
        );
        says(new().rest("a", gd()).threads(usize::MAX).build::<f64>(), &["outside [1, 65536]"]);
        for norm in [0.0, -1.0, f64::NAN] {
            let clipped = new().rest("a", gd()).clip_global_norm(norm);
            says(clipped.build::<f64>(), &["clip_global_norm", &norm.to_string(), "(0, ∞]"]);
        }
    }

    #[test]
    fn vectors_and_scalars_are_biases_and_norms() {
        let mut opt = Optimizer::<f64>::builder()
            .group("plain", biases_and_norms(), adam())
            .rest("decayed", adamw().with("decay", 1.0).unwrap())
            .build::<f64>()
            .unwrap();
        let shapes: [&[usize]; 6] = [&[], &[4], &[1, 4, 1], &[4, 1], &[2, 2], &[2, 1, 2]];
        let names = ["scalar", "vector", "row", "column", "matrix", "kernel"];
        let mut params: Vec<_> = names
            .iter()
            .zip(shapes)
            .map(|(name, shape)| {
                let n = shape.iter().product();
                (*name, shape.to_vec(), vec![1.0; n], Some(vec![0.0; n]))
            })
            .collect();
        let _ = moves(&mut opt, &mut params);
        let decayed: Vec<bool> = params.iter().map(|p| p.2[0] != 1.0).collect();
        assert_eq!(decayed, [false, false, true, true, true, true]);
    }

    #[test]
    fn patterns_are_put_together() {
        let head = || Pattern::from("head.*");
        let mut opt = Optimizer::<f64>::builder()
            .group("head", head().except(biases_and_norms()), gd().with("lr", 1.0).unwrap())
            .group("vectors", head().and(biases_and_norms()), gd().with("lr", 2.0).unwrap())
            .rest("body", gd().with("lr", 3.0).unwrap())
            .build::<f64>()
            .unwrap();
        let of = |name, shape: &[usize]| (name, shape.to_vec(), vec![0.0; 1], Some(vec![1.0; 1]));
        let mut params =
            vec![of("head.weight", &[1, 1]), of("head.bias", &[1]), of("body.bias", &[1])];
        let _ = moves(&mut opt, &mut params);
        assert_eq!(params.iter().map(|p| p.2[0]).collect::<Vec<_>>(), [-1.0, -2.0, -3.0]);
        let wrong = Optimizer::<f64>::builder().group("a", head().and("["), gd());
        says(wrong.build::<f64>(), &["a", "["]);
    }
}

/// Such a shape holds nothing, however its other axes multiply.
#[test]
fn an_axis_of_size_zero_leaves_no_coordinate() {
    let long = 1 << (usize::BITS - 2);
    for shape in [[0, long, long], [long, long, 0]] {
        let mut opt = Optimizer::<f64>::new(adam()).unwrap();
        let report = opt.step(&mut [Param::new("x", &shape, &mut [], &[])]).unwrap();
        assert!(report.applied());
        let rows = Param::of("x", &shape, &mut [0.0; 0]).exact_sparse_grad(&[], &[0.0; 0]);
        assert!(opt.step(&mut [rows]).unwrap().applied());
    }
}

mod refusals {
    use super::*;

    const BAD: [f64; 3] = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY];

    fn guarded(policy: NonFinite) -> Optimizer<f64> {
        let mut opt =
            Optimizer::<f64>::builder().rest("all", adam()).non_finite(policy).build().unwrap();
        let _ = moves(&mut opt, &mut [one("a", 1.0, 0.5), one("b", 2.0, 0.5)]);
        opt
    }

    /// A step with three non-finite values in `b`; nothing but the count of refusals may change.
    fn bad_step(opt: &mut Optimizer<f64>) -> Result<thalweg::StepReport, Error> {
        let mut params = [
            ("a", vec![1], vec![1.0], Some(vec![0.1])),
            ("b", vec![4], vec![2.0; 4], Some(vec![BAD[0], 1.0, BAD[1], BAD[2]])),
        ];
        let state = |opt: &Optimizer<f64>| {
            let slots = ["m", "v"].map(|s| opt.slot("a", s).map(bits));
            (slots, opt.steps(), opt.params().map(|(n, t)| (n.to_owned(), t)).collect::<Vec<_>>())
        };
        let before = state(opt);
        let result = step(opt, &mut params);
        assert_eq!((&params[0].2, &params[1].2), (&vec![1.0], &vec![2.0; 4]));
        assert_eq!(state(opt), before);
        result
    }

    fn with_long_b(policy: NonFinite) -> Optimizer<f64> {
        let mut opt = guarded(policy);
        assert!(opt.remove("b"));
        let long = ("b", vec![4], vec![2.0; 4], Some(vec![0.1; 4]));
        let _ = moves(&mut opt, &mut [one("a", 1.0, 0.5), long]);
        opt
    }

    #[test]
    fn skip_counts_and_fails_at_its_limit() {
        let mut opt = with_long_b(NonFinite::Skip { limit: 3 });
        for _ in 0..2 {
            let report = bad_step(&mut opt).unwrap();
            assert!(!report.applied());
            assert_eq!(report.outcome, Outcome::Refused(vec![("b".into(), 3)]));
            assert_eq!(report.step, 2);
            assert!(report.grad_norm.unwrap().is_nan());
        }
        says(bad_step(&mut opt), &["\"b\"", "3 non-finite", "step 3", "3 refused in a row"]);
    }

    #[test]
    fn a_good_step_ends_the_row() {
        let mut opt = with_long_b(NonFinite::Skip { limit: 2 });
        for _ in 0..3 {
            assert!(!bad_step(&mut opt).unwrap().applied());
            let long = ("b", vec![4], vec![2.0; 4], Some(vec![0.1; 4]));
            assert!(step(&mut opt, &mut [one("a", 1.0, 0.5), long]).unwrap().applied());
        }
    }

    #[test]
    fn fail_fails_at_once() {
        let mut opt = with_long_b(NonFinite::Fail);
        says(bad_step(&mut opt), &["\"b\"", "3 non-finite", "state and parameters are unchanged"]);
    }

    #[test]
    fn unchecked_looks_at_nothing() {
        let mut opt = guarded(NonFinite::Unchecked);
        let mut params = [one("a", 1.0, f64::NAN), one("b", 2.0, 0.5)];
        let report = moves(&mut opt, &mut params);
        assert!(report.applied() && report.grad_norm.is_none());
        assert!(params[0].2[0].is_nan() && params[1].2[0] < 2.0);
    }

    #[test]
    fn one_bad_value_is_seen_wherever_it_stands() {
        for n in [1, 64, 65, 1024, 3000] {
            for at in [0, n / 2, n - 1] {
                for bad in BAD {
                    let mut opt = Optimizer::<f32>::new(gd()).unwrap();
                    let (mut x, mut g) = (vec![1.0f32; n], vec![0.5f32; n]);
                    g[at] = bad as f32;
                    let report = opt.step(&mut [Param::new("x", &[n], &mut x, &g)]).unwrap();
                    assert_eq!(report.outcome, Outcome::Refused(vec![("x".into(), 1)]));
                    assert!(x.iter().all(|x| *x == 1.0));
                }
            }
        }
    }

    #[test]
    fn a_refused_parameter_that_is_new_leaves_no_trace() {
        // Its memory would be that of the value it came with, which the user may change.
        let chain = || gd().over(NegativeEntropy::default());
        let mut opt = Optimizer::<f64>::new(chain()).unwrap();
        assert!(!step(&mut opt, &mut [one("x", 1.0, f64::NAN)]).unwrap().applied());
        assert_eq!(opt.params().count(), 0);
        let mut late = [one("x", 8.0, 0.0)];
        let _ = moves(&mut opt, &mut late);
        assert!((late[0].2[0] - 8.0).abs() < 1e-14, "{}", late[0].2[0]);
    }
}

mod clipping {
    use super::*;

    fn clipped(max_norm: f64) -> Optimizer<f64> {
        let builder = Optimizer::<f64>::builder().rest("all", descent(1.0));
        builder.clip_global_norm(max_norm).build().unwrap()
    }

    #[test]
    fn the_norm_runs_over_all_parameters_and_the_factor_is_exact() {
        let mut opt = clipped(1.25);
        let mut params = [one("a", 0.0, 3.0), ("b", vec![2], vec![0.0; 2], Some(vec![0.0, 4.0]))];
        let report = moves(&mut opt, &mut params);
        assert_eq!((report.grad_norm, report.clip_factor), (Some(5.0), 0.25));
        assert_eq!((&params[0].2, &params[1].2), (&vec![-0.75], &vec![-0.0, -1.0]));
    }

    #[test]
    fn a_norm_at_the_limit_is_left_alone() {
        let mut params = [one("a", 0.0, 3.0), one("b", 0.0, 4.0)];
        let report = moves(&mut clipped(5.0), &mut params);
        assert_eq!((report.grad_norm, report.clip_factor), (Some(5.0), 1.0));
        assert_eq!(params[0].2, [-3.0]);
        let report = moves(&mut clipped(f64::INFINITY), &mut params);
        assert_eq!(report.clip_factor, 1.0);
    }

    #[test]
    fn the_limit_follows_a_schedule_and_can_be_changed() {
        use thalweg::{NonFinite, Plateau, Schedule};
        let falling = Schedule::linear(5.0, 1.0, 2);
        let builder = Optimizer::<f64>::builder().rest("all", descent(1.0));
        let builder = builder.clip_global_norm(falling).non_finite(NonFinite::Unchecked);
        let mut opt: Optimizer<f64> = builder.build().unwrap();
        let step = |opt: &mut Optimizer<f64>| {
            let report = moves(opt, &mut [one("a", 0.0, 10.0)]);
            (report.clip_global_norm, report.clip_factor)
        };
        assert_eq!([(); 4].map(|()| step(&mut opt).1), [0.5, 0.3, 0.1, 0.1]);
        opt.clip_global_norm(2.0).unwrap();
        for wrong in [0.0, -1.0, f64::NAN] {
            assert!(opt.clip_global_norm(wrong).unwrap_err().to_string().contains("(0, ∞]"));
        }
        assert!(opt.clip_global_norm(Schedule::linear(1.0, -1.0, 9)).is_err());
        assert_eq!(step(&mut opt), (Some(2.0), 0.2));
        let plateau = Plateau { patience: 0, factor: 0.5, ..Plateau::new(4.0) };
        opt.clip_global_norm(Schedule::Plateau(plateau)).unwrap();
        (0..2).for_each(|_| opt.observe(1.0));
        assert_eq!(step(&mut opt), (Some(2.0), 0.2));
        // Infinity is none, and then nobody has to read the gradients.
        opt.clip_global_norm(f64::INFINITY).unwrap();
        let report = moves(&mut opt, &mut [one("a", 0.0, 10.0)]);
        assert_eq!((report.clip_global_norm, report.clip_factor), (None, 1.0));
        assert_eq!(report.grad_norm, None);
    }

    #[test]
    fn frozen_and_missing_gradients_do_not_count() {
        let mut opt = clipped(1.0);
        let _ = moves(&mut opt, &mut [one("a", 0.0, 0.0), one("b", 0.0, 0.0)]);
        opt.freeze("b").unwrap();
        let mut params =
            [one("a", 0.0, 2.0), one("b", 0.0, f64::NAN), ("c", vec![1], vec![1.0], None)];
        let report = moves(&mut opt, &mut params);
        assert_eq!((report.grad_norm, report.clip_factor), (Some(2.0), 0.5));
    }

    #[test]
    fn a_norm_beyond_the_largest_number_is_clipped_too() {
        let mut params = [one("a", 0.0, 3e200), one("b", 0.0, 4e200)];
        let report = moves(&mut clipped(1.0), &mut params);
        assert!(report.applied());
        assert!((params[0].2[0] + 0.6).abs() < 1e-15, "{}", params[0].2[0]);
        assert!((report.grad_norm.unwrap() / 5e200 - 1.0).abs() < 1e-15);
    }

    #[test]
    fn clipping_comes_before_every_rule() {
        // A chain of one stage and one of several see the same clipped gradient.
        for chain in [momentum(), proof::staged(momentum()), egdd()] {
            let new = |max_norm| {
                let builder = Optimizer::<f64>::builder().rest("all", chain.clone());
                builder.clip_global_norm(max_norm).build::<f64>().unwrap()
            };
            let (mut clipped, mut free) = ([one("a", 1.0, 8.0)], [one("a", 1.0, 0.5)]);
            let _ = moves(&mut new(0.5), &mut clipped);
            let _ = moves(&mut new(100.0), &mut free);
            assert_eq!(clipped[0].2, free[0].2);
        }
    }
}

thalweg::hypers! {
    /// The gradient before this one, which it remembers without a name.
    struct Late {}
}

impl thalweg::Rule for Late {
    type Memory<F: thalweg::Real> = [F; 1];

    fn at<F: thalweg::Real>(
        &self,
        _: &thalweg::At<F>,
    ) -> impl Fn(F, thalweg::Here<F>, [F; 1]) -> (F, [F; 1]) + Copy + Send + Sync + use<F> {
        |g, _, [last]| (last, [g])
    }
}

#[test]
fn what_a_rule_remembers_has_names_and_fits_a_stage() {
    let refused = |chain: Chain| Optimizer::<f64>::new(chain).expect_err("an error").to_string();
    let unnamed = refused(Chain::new((Late::default(), thalweg::rules::Scale::default())));
    assert!(
        unnamed.contains("`Late`, `Scale` remembers 1 values") && unnamed.contains("names 0"),
        "{unnamed}"
    );
    let (m, a) = (thalweg::rules::Momentum::default, <thalweg::rules::Adam>::default);
    assert!(Optimizer::<f64>::new(((a(), a()), (a(), a()))).is_ok());
    let nine = refused(Chain::new(((a(), a()), (a(), a()), m())));
    assert!(nine.contains("remembers 9 values") && nine.contains("`.then(..)`"), "{nine}");
}
