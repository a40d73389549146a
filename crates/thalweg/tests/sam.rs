//! Sharpness-aware minimisation: what the reference computes, and what a step between two gradients
//! may and may not leave behind.

use half::bf16;
use thalweg::recipes::{adamw, gd, momentum};
use thalweg::sam::{Ascent, Ball, Neighbourhood, Perturbed, Sam, Stretched};
use thalweg::{Chain, Error, LossScale, NonFinite, Optimizer, Outcome, Param, StepReport};

/// Curvatures of `½·a·x² + ¼·x⁴` for two tensors.
const A: [&[f64]; 2] = [&[4.0, 0.5, 1.0], &[2.0, 0.1]];
const NAMES: [&str; 2] = ["wide", "narrow"];
const SHAPES: [[usize; 1]; 2] = [[3], [2]];

fn start() -> [Vec<f64>; 2] {
    [vec![1.0, -1.2, 0.0], vec![0.5, 0.8]]
}

fn gradients(x: &[Vec<f64>; 2]) -> [Vec<f64>; 2] {
    let one = |k: usize| A[k].iter().zip(&x[k]).map(|(a, x)| a * x + x * x * x).collect();
    [one(0), one(1)]
}

fn params<'a>(x: &'a mut [Vec<f64>; 2], g: &'a [Vec<f64>; 2]) -> [Param<'a, f64>; 2] {
    let [a, b] = x;
    [Param::new(NAMES[0], &SHAPES[0], a, &g[0]), Param::new(NAMES[1], &SHAPES[1], b, &g[1])]
}

/// Two groups of momentum with rates of their own.
fn optimizer() -> Optimizer<f64> {
    let chain = |lr: f64| momentum().with("lr", lr).expect("in range");
    let builder = Optimizer::<f64>::builder().group("a", "wide", chain(0.1));
    builder.rest("b", chain(0.05)).threads(1).build().expect("valid")
}

fn perturbed<'a, N: Neighbourhood>(
    sam: &Sam<N>,
    opt: &'a mut Optimizer<f64>,
    x: &mut [Vec<f64>; 2],
) -> Perturbed<'a, f64> {
    let g = gradients(x);
    match sam.perturb(opt, &mut params(x, &g)).expect("finite") {
        Ascent::Perturbed(second) => second,
        Ascent::Refused(report) => panic!("{report:?}"),
    }
}

fn step<N: Neighbourhood>(
    sam: &Sam<N>,
    opt: &mut Optimizer<f64>,
    x: &mut [Vec<f64>; 2],
) -> StepReport {
    let second = perturbed(sam, opt, x);
    let g = gradients(x);
    second.step(&mut params(x, &g)).expect("a step")
}

fn after_five<N: Neighbourhood>(sam: &Sam<N>) -> Vec<f64> {
    let (mut opt, mut x) = (optimizer(), start());
    for k in 1..=5 {
        assert_eq!(step(sam, &mut opt, &mut x).step, k);
    }
    x.concat()
}

#[track_caller]
fn close(got: &[f64], want: &[f64], tolerance: f64) {
    assert_eq!(got.len(), want.len());
    for (got, want) in got.iter().zip(want) {
        assert!((got - want).abs() <= tolerance * want.abs(), "{got} is not {want}");
    }
}

#[test]
fn it_computes_what_the_reference_computes() {
    // The common code for SAM (davda54) in numpy, float64.
    let sam = after_five(&<Sam>::default());
    let want =
        [-0.5046426292729785, 0.45081667791123164, 0.0, -0.06574489198423109, 0.47497741278431493];
    close(&sam, &want, 1e-12);
    // pytorch_optimizer 4.1.0 on torch.optim.SGD; it gathers the norm in float32.
    let want =
        [-0.5046426257766552, 0.45081667862236874, 0.0, -0.06574489271116617, 0.47497741244394526];
    close(&sam, &want, 3e-8);
}

#[test]
fn the_adaptive_form_too() {
    let adaptive = |eta: f64| {
        let form = Stretched::default().eta(eta);
        after_five(&Sam::<Stretched>::default().rho(0.5).neighbourhood(form))
    };
    let want =
        [0.417344140985215, 0.9641863709717782, 0.0, -0.09524647704799274, 0.40652878510641866];
    close(&adaptive(0.0), &want, 1e-12);
    let want =
        [0.4173441844559307, 0.9641863422474919, 0.0, -0.09524647289432195, 0.40652879190004754];
    close(&adaptive(0.0), &want, 3e-7);
    let want =
        [0.43040049293660465, 0.9629999261515021, 0.0, -0.09684564594944231, 0.4054325720375044];
    close(&adaptive(0.01), &want, 1e-12);
}

#[test]
fn the_perturbation_has_the_radius() {
    let (mut opt, mut x) = (optimizer(), start());
    let second = perturbed(&<Sam>::default().rho(0.2), &mut opt, &mut x);
    let far = start().concat().iter().zip(x.concat()).map(|(a, b)| (a - b) * (a - b)).sum::<f64>();
    assert!((far.sqrt() - 0.2).abs() < 1e-12);
    let g = gradients(&start()).concat();
    assert!((second.norm() - g.iter().map(|g| g * g).sum::<f64>().sqrt()).abs() < 1e-12);
    second.cancel(&mut params(&mut x, &gradients(&start()))).expect("all there");
}

#[test]
fn without_a_radius_it_is_the_optimizer() {
    let (mut opt, mut x) = (optimizer(), start());
    let (mut plain, mut y) = (optimizer(), start());
    for _ in 0..4 {
        let _ = step(&<Sam>::default().rho(0.0), &mut opt, &mut x);
        let g = gradients(&y);
        let _ = plain.step(&mut params(&mut y, &g)).expect("a step");
    }
    assert_eq!(x, y);
    assert_eq!(opt.save_bytes().expect("bytes"), plain.save_bytes().expect("bytes"));
}

#[test]
fn cancelling_restores_every_bit_and_leaves_no_trace() {
    let (mut opt, mut x) = (optimizer(), start());
    let before = opt.save_bytes().expect("bytes");
    for _ in 0..2 {
        let kept = x.clone();
        let second = perturbed(&<Sam>::default(), &mut opt, &mut x);
        assert_ne!(kept, x);
        let g = gradients(&x);
        second.cancel(&mut params(&mut x, &g)).expect("all there");
        assert_eq!(kept, x);
    }
    assert_eq!(opt.save_bytes().expect("bytes"), before);
    assert_eq!(opt.params().count(), 0);
}

#[test]
fn a_gradient_that_is_not_finite_changes_nothing() {
    let (mut opt, mut x) = (optimizer(), start());
    let _ = step(&<Sam>::default(), &mut opt, &mut x);
    let kept = x.clone();
    let mut g = gradients(&x);
    g[1][0] = f64::NAN;
    g[1][1] = f64::INFINITY;
    let answer = <Sam>::default().perturb(&mut opt, &mut params(&mut x, &g)).expect("skipped");
    let Ascent::Refused(report) = answer else { panic!("perturbed by NaN") };
    assert_eq!(report.outcome, Outcome::Refused(vec![("narrow".to_owned(), 2)]));
    assert_eq!((&x, opt.steps()), (&kept, 1));
    // Nor does a second one: the parameters come back, and the step is refused.
    let second = perturbed(&<Sam>::default(), &mut opt, &mut x);
    let report = second.step(&mut params(&mut x, &g)).expect("skipped");
    assert!(!report.applied());
    assert_eq!((&x, opt.steps()), (&kept, 1));
    // Both count as refused in a row: ten of them are an error.
    for _ in 2..9 {
        let answer = <Sam>::default().perturb(&mut opt, &mut params(&mut x, &g)).expect("skipped");
        assert!(matches!(answer, Ascent::Refused(_)));
    }
    let error = <Sam>::default().perturb(&mut opt, &mut params(&mut x, &g)).expect_err("enough");
    assert!(matches!(error, Error::NonFinite { .. }), "{error}");
    assert_eq!(x, kept);
}

#[test]
fn a_policy_that_does_not_look_still_refuses_to_perturb_by_nan() {
    let builder = Optimizer::<f64>::builder().rest("all", adamw());
    let mut opt = builder.non_finite(NonFinite::Unchecked).build::<f64>().expect("valid");
    let (mut x, g) = (start(), [vec![f64::NAN; 3], vec![0.0; 2]]);
    let answer = <Sam>::default().perturb(&mut opt, &mut params(&mut x, &g));
    assert!(matches!(answer, Err(Error::NonFinite { .. })));
    assert_eq!(x, start());
    // What led to the error is left to be looked at.
    let (mut x, mut g) = ([1.0], [f64::NAN]);
    let given = Param::without_gradient("x", &[1], &mut x).grad_to_zero(&mut g);
    assert!(<Sam>::default().perturb(&mut opt, &mut [given]).is_err() && g[0].is_nan());
}

#[test]
fn huge_gradients_have_a_norm_and_zero_ones_a_place() {
    let (mut opt, mut x) = (optimizer(), start());
    let g = [vec![3e200, 0.0, 0.0], vec![0.0, -4e200]];
    match <Sam<Ball>>::default().rho(1.0).perturb(&mut opt, &mut params(&mut x, &g)) {
        Ok(Ascent::Perturbed(second)) => {
            assert!((second.norm() / 5e200 - 1.0).abs() < 1e-12);
            drop(second);
        }
        other => panic!("{other:?}"),
    }
    close(&x.concat(), &[1.6, -1.2, 0.0, 0.5, 0.8 - 0.8], 1e-12);
    let (mut x, g) = (start(), [vec![0.0; 3], vec![0.0; 2]]);
    let answer = <Sam>::default().perturb(&mut opt, &mut params(&mut x, &g));
    drop(answer.expect("zero is finite"));
    assert_eq!(x, start());
}

#[test]
fn frozen_parameters_and_those_without_gradient_stay() {
    let (mut opt, mut x) = (optimizer(), start());
    let _ = step(&<Sam>::default(), &mut opt, &mut x);
    assert_eq!(opt.freeze("narrow").expect("a pattern"), 1);
    let kept = x.clone();
    let second = perturbed(&<Sam>::default(), &mut opt, &mut x);
    assert_eq!(x[1], kept[1]);
    assert_ne!(x[0], kept[0]);
    let g = gradients(&x);
    let report = second.step(&mut params(&mut x, &g)).expect("a step");
    assert_eq!((report.frozen, &x[1]), (1, &kept[1]));
    // Without a gradient in the first list, a parameter does not enter the norm; without one in
    // the second it is put back and left alone.
    let [a, b] = &mut x;
    let kept = a.clone();
    let mut list = [Param::new("wide", &[3], a, &g[0]), Param::without_gradient("narrow", &[2], b)];
    let Ascent::Perturbed(second) = <Sam>::default().perturb(&mut opt, &mut list).expect("finite")
    else {
        panic!("refused");
    };
    let mut list =
        [Param::without_gradient("narrow", &[2], b), Param::without_gradient("wide", &[3], a)];
    let report = second.step(&mut list).expect("a step");
    assert_eq!((report.without_gradient.len(), &*a), (2, &kept));
}

#[test]
fn a_list_that_does_not_fit_is_an_error_and_the_rest_is_restored() {
    let (mut opt, mut x) = (optimizer(), start());
    let second = perturbed(&<Sam>::default(), &mut opt, &mut x);
    let g = gradients(&x);
    let error = second.step(&mut params(&mut x, &g)[..1]).expect_err("one is missing");
    assert!(error.to_string().contains("\"narrow\": was perturbed and is missing"), "{error}");
    assert_eq!(x[0], start()[0]);
    assert_eq!(opt.steps(), 0);
    let error = <Sam>::default().rho(-1.0).perturb(&mut opt, &mut []).expect_err("out of range");
    assert!(error.to_string().starts_with("rho = -1"), "{error}");
    // The same errors as the step's.
    let [a, b] = &mut x;
    let twice = &mut [Param::new("wide", &[3], a, &g[0]), Param::new("wide", &[2], b, &g[1])];
    let error = <Sam>::default().perturb(&mut opt, twice).expect_err("given twice");
    assert!(matches!(error, Error::Duplicate { .. }));
}

#[test]
fn a_run_resumes_between_steps() {
    let sam = <Sam>::default();
    let (mut opt, mut x) = (optimizer(), start());
    (0..3).for_each(|_| drop(step(&sam, &mut opt, &mut x)));
    let (mut other, mut y) = (optimizer(), x.clone());
    let _ = other.load_bytes(&opt.save_bytes().expect("bytes")).expect("that fits");
    (0..3).for_each(|_| drop(step(&sam, &mut opt, &mut x)));
    (0..3).for_each(|_| drop(step(&sam, &mut other, &mut y)));
    assert_eq!(x, y);
}

#[test]
fn the_radius_follows_its_schedule_and_new_parameters_start_where_they_were() {
    use thalweg::Schedule;
    let sam =
        <Sam>::default().rho(Schedule::MultiStep { base: 0.0, factor: 0.5, milestones: vec![] });
    let (mut opt, mut x) = (optimizer(), start());
    let second = perturbed(&sam, &mut opt, &mut x);
    assert_eq!(x, start());
    second.cancel(&mut params(&mut x, &gradients(&start()))).expect("all there");
    // A memory that starts at the parameter starts at the unperturbed one.
    let chain = Chain::new(thalweg::rules::Scale::default().lr(0.0))
        .then(thalweg::rules::Lookahead::default());
    let mut opt = Optimizer::<f64>::new(chain).expect("valid");
    let _ = step(&<Sam>::default().rho(0.5), &mut opt, &mut x);
    assert_eq!(opt.slot("wide", "slow").expect("a slot"), start()[0]);
}

#[test]
fn a_plateau_is_refused_where_nobody_tells_it_a_metric() {
    use thalweg::{Plateau, Schedule};
    let plateau = || Schedule::Plateau(Plateau::new(0.1)).after_warmup(2);
    let form = Stretched::default().eta(plateau());
    let refused = |sentence: String, name: &str| {
        assert!(sentence.starts_with(&format!("{name}: follows a plateau")), "{sentence}");
    };
    let (mut opt, mut x) = (optimizer(), start());
    let g = gradients(&x);
    let sam = <Sam>::default().rho(plateau());
    let error = sam.perturb(&mut opt, &mut params(&mut x, &g)).expect_err("no metric");
    refused(error.to_string(), "rho");
    let sam = Sam::<Stretched>::default().neighbourhood(form);
    let error = sam.perturb(&mut opt, &mut params(&mut x, &g)).expect_err("no metric");
    refused(error.to_string(), "eta");
    assert_eq!(x, start());
}

#[test]
fn it_looks_at_one_batch_and_says_so() {
    let (mut opt, mut x) = (optimizer(), start());
    let g = gradients(&x);
    assert!(opt.accumulate(&mut params(&mut x, &g), 1.0).unwrap().applied());
    let before = x.clone();
    let sentence = match <Sam>::default().perturb(&mut opt, &mut params(&mut x, &g)) {
        Err(error) => error.to_string(),
        Ok(_) => panic!("it perturbed"),
    };
    assert!(sentence.contains("one batch"), "{sentence}");
    assert_eq!(x, before);
}

/// One coordinate whose bf16 copy is the model: `½·x²`, its gradients exact.
fn with_copy<'a>(x: &'a mut [f32], g: &'a [f32], copy: &'a mut [bf16]) -> [Param<'a, f32>; 1] {
    [Param::new("x", &[2], x, g).copy_to(copy)]
}

#[test]
fn a_model_in_the_copy_is_perturbed_and_put_back() {
    let chain = gd().with("lr", 0.5).expect("in range");
    let mut opt = Optimizer::<f32>::new(chain).expect("valid");
    let sam = <Sam>::default().rho(0.5);
    // The copy is not the rounded parameter: what comes back is what it held.
    let held = [bf16::from_f32(7.0), bf16::from_f32(-3.0)];
    let (mut x, mut copy) = ([1.0f32, 0.0], held);
    let perturb = |opt: &mut Optimizer<f32>, x: &mut [f32], copy: &mut [bf16]| {
        let answer = sam.perturb(opt, &mut with_copy(x, &[1.0, 0.0], copy)).map(drop);
        answer.expect("finite");
    };
    perturb(&mut opt, &mut x, &mut copy);
    assert_eq!((x, copy.map(f32::from)), ([1.5, 0.0], [1.5, 0.0]));
    let (mut x, mut copy) = ([1.0f32, 0.0], held);
    let Ok(Ascent::Perturbed(second)) =
        sam.perturb(&mut opt, &mut with_copy(&mut x, &[1.0, 0.0], &mut copy))
    else {
        panic!("not perturbed");
    };
    second.cancel(&mut with_copy(&mut x, &[0.0; 2], &mut copy)).expect("all there");
    assert_eq!((x, copy), ([1.0, 0.0], held));
    // A second step that is refused leaves both as they were, and one that is taken writes both.
    for (gradient, after) in [([f32::NAN, 0.0], 7.0), ([1.5, 0.0], 0.25)] {
        let Ok(Ascent::Perturbed(second)) =
            sam.perturb(&mut opt, &mut with_copy(&mut x, &[1.0, 0.0], &mut copy))
        else {
            panic!("not perturbed");
        };
        let _ = second.step(&mut with_copy(&mut x, &gradient, &mut copy)).expect("skipped");
        assert_eq!(f32::from(copy[0]), after);
    }
    let Ok(Ascent::Perturbed(second)) =
        sam.perturb(&mut opt, &mut with_copy(&mut x, &[1.0, 0.0], &mut copy))
    else {
        panic!("not perturbed");
    };
    let error = second.step(&mut [Param::new("x", &[2], &mut x, &[1.0; 2])]).expect_err("no copy");
    assert!(error.to_string().contains("copy that was perturbed"), "{error}");
    assert_eq!(x[0], 0.25);
}

#[test]
fn an_accumulating_backward_pass_gives_the_second_gradient_alone() {
    let (mut opt, mut x) = (optimizer(), start());
    let mut g = gradients(&x);
    let list = |x: &mut [Vec<f64>; 2],
                g: &mut [Vec<f64>; 2],
                act: &mut dyn FnMut(&mut [Param<'_, f64>])| {
        let ([a, b], [ga, gb]) = (x, g);
        act(&mut [
            Param::of(NAMES[0], &SHAPES[0], a).grad_to_zero(ga),
            Param::of(NAMES[1], &SHAPES[1], b).grad_to_zero(gb),
        ]);
    };
    list(&mut x, &mut g, &mut |params| {
        let answer = <Sam>::default().perturb(&mut opt, params);
        assert!(matches!(answer, Ok(Ascent::Perturbed(_))));
    });
    assert_eq!(g.concat(), [0.0; 5]);
    g[0][1] = f64::INFINITY;
    g[1][0] = 1.0;
    list(&mut x, &mut g, &mut |params| {
        let answer = <Sam>::default().perturb(&mut opt, params);
        assert!(matches!(answer, Ok(Ascent::Refused(_))));
    });
    assert_eq!(g.concat(), [0.0; 5]);
}

#[test]
fn the_loss_scale_is_divided_out_of_the_norm_and_of_nothing_else() {
    let run = |scale: f64| {
        let builder = Optimizer::<f64>::builder().rest("all", momentum());
        let builder = builder.loss_scale(LossScale::constant(scale));
        let (mut opt, mut x) = (builder.build::<f64>().expect("valid"), start());
        let g = gradients(&x).map(|g| g.iter().map(|g| scale * g).collect());
        let norm = match <Sam>::default().perturb(&mut opt, &mut params(&mut x, &g)) {
            Ok(Ascent::Perturbed(second)) => second.norm(),
            other => panic!("{other:?}"),
        };
        (norm, x)
    };
    assert_eq!(run(1024.0), run(1.0));
}

#[test]
fn a_half_precision_parameter_moves_block_by_block() {
    // Longer than a block of the engine, in a format that is decoded.
    let n = 2500;
    let mut opt = Optimizer::<f32>::new(gd()).expect("valid");
    let value = |k: usize| bf16::from_f32(0.01 * k as f32);
    let mut x: Vec<bf16> = (0..n).map(value).collect();
    let g: Vec<bf16> = (0..n).map(|k| bf16::from_f32((k % 7) as f32 - 3.0)).collect();
    let norm = g.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
    let before = x.clone();
    let sam = <Sam>::default().rho(50.0);
    let answer = sam.perturb(&mut opt, &mut [Param::of("x", &[n], &mut x).grad(&g)]);
    let Ok(Ascent::Perturbed(second)) = answer else { panic!("not perturbed") };
    for k in 0..n {
        let want = f64::from(before[k]) + 50.0 * f64::from(g[k]) / (norm + 1e-12);
        assert_eq!(x[k], bf16::from_f32(want as f32), "{k}");
    }
    second.cancel(&mut [Param::of("x", &[n], &mut x).grad(&g)]).expect("all there");
    assert_eq!(x, before);
}
