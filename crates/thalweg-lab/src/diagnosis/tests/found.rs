//! Every finding on a run that shows it, and none of it on a healthy one.

use super::*;

#[test]
fn a_run_at_a_fair_rate_is_healthy() {
    healthy(tuned("adam", &[("lr", 3e-3)]), &bowl(1.0, 1.0), 400);
    healthy(tuned("gd", &[("lr", 5e-3)]), &bowl(1.0, 1.0), 400);
    healthy(tuned("meta_egd_sign", &[("lr", 3e-3)]), &bowl(1.0, 1.0), 400);
}

#[test]
fn gains_that_explode_are_told_from_a_rate_that_is_too_large() {
    // The source's defaults on its own test problem (E28).
    let hypers = [("lr", 1e-3), ("gamma", 0.1), ("clip", f64::INFINITY)];
    let found =
        only(&findings(tuned("meta_egd", &hypers), &bowl(1.0, 0.0), 200), Kind::RateExplosion);
    assert_eq!((found.severity, found.figure.as_str()), (Severity::Critical, "gains"));
    assert!(found.change.contains("gamma") && found.measured > 10.0, "{found:?}");
    let found = only(&findings(tuned("gd", &[("lr", 0.1)]), &bowl(1.0, 0.0), 200), Kind::Diverged);
    assert!(found.change.contains("Lower the learning rate"));
}

#[test]
fn oscillation_and_slowness_are_seen_in_signs() {
    // 1.98/100 of curvature 100 flips its sign at each step; coordinate 3 alone carries the loss.
    let mut steep = bowl(1.0, 0.0);
    steep.start = vec![vec![0.0, 0.0, 1.0]];
    let found = findings(tuned("gd", &[("lr", 0.0199)]), &steep, 300);
    let found = at(&found, Kind::Oscillation, Some("x")).unwrap();
    assert_eq!(found.measured, 0.0);
    assert!(found.since <= 4 && found.interval[0] > 0.5, "{found:?}");
    let found =
        only(&findings(tuned("gd", &[("lr", 1e-5)]), &bowl(1.0, 0.0), 300), Kind::SlowProgress);
    assert!(found.change.contains("Raise the learning rate"));
    let hypers = [("lr", 1e-6), ("gamma", 1e-6)];
    let slow = findings(tuned("meta_egd", &hypers), &bowl(1.0, 0.0), 300);
    assert!(only(&slow, Kind::SlowProgress).change.contains("gamma"));
}

#[test]
fn oscillation_is_seen_where_one_coordinate_of_three_carries_the_loss() {
    let told = |name, hypers: &[(&str, f64)]| {
        let found = findings(tuned(name, hypers), &bowl(1.0, 0.0), 300);
        found.into_iter().find(|f| f.kind == Kind::Oscillation)
    };
    let found = told("gd", &[("lr", 0.0199)]).unwrap();
    assert_eq!((found.parameter, found.threshold), (None, -0.5));
    assert!(found.measured < -0.99 && found.change.contains("Lower the learning rate"));
    // Half of that is the best rate for the steepest of them.
    assert!(told("gd", &[("lr", 0.01)]).is_none());
    // With gains the advice is the erratum's.
    let found = told("meta_egd", &[("lr", 0.0199), ("gamma", 1e-12)]).unwrap();
    assert!(found.change.contains("shrinks its own"), "{}", found.change);
}

#[test]
fn gains_at_their_bounds() {
    // A gradient that never turns drives every gain up; one that always turns, down.
    let steady = |sign: fn(usize) -> f32| Bench {
        parameters: vec![spec("x", &[4])],
        start: vec![vec![1.0; 4]],
        gradient: Box::new(move |step, _| (1.0, vec![vec![sign(step); 4]])),
    };
    let up = tuned("meta_egd_sign", &[("lr", 1e-9), ("gamma", 0.5)]);
    let found = only(&findings(up, &steady(|_| 1.0), 200), Kind::GainsAtUpperBound);
    assert_eq!(found.measured, 1.0);
    assert!((10..=40).contains(&found.since), "{found:?}");
    let up = tuned("meta_egd_sign", &[("lr", 1e-9), ("gamma", 0.5)]);
    let (probes, _) = walk(up, &steady(|_| 1.0), 200);
    let found = diagnose(&Case { bounded: true, ..CASE }, &probes);
    assert!(at(&found, Kind::GainsAtUpperBound, Some("x")).is_none());
    let down = tuned("meta_egd_sign", &[("lr", 1e-9), ("gamma", 0.5)]);
    let turning: fn(usize) -> f32 = |step| if step % 2 == 0 { 1.0 } else { -1.0 };
    let found = findings(down, &steady(turning), 200);
    assert_eq!(only(&found, Kind::GainsAtLowerBound).measured, 1.0);
    for place in [None, Some("x")] {
        assert!(at(&found, Kind::Oscillation, place).unwrap().change.contains("lower bound"));
    }
}

#[test]
fn momentum_that_carries_past_the_valley() {
    // One minimum, a gradient that always points against the mean of those before it.
    let bench = Bench {
        parameters: vec![spec("x", &[2])],
        start: vec![vec![1.0; 2]],
        gradient: Box::new(|step, _| (1.0, vec![vec![if step % 2 == 0 { 2.0 } else { -2.0 }; 2]])),
    };
    let found = findings(tuned("momentum", &[("lr", 1e-6)]), &bench, 200);
    only(&found, Kind::MomentumOpposed);
}

#[test]
fn epsilon_in_charge() {
    let found = findings(tuned("adam", &[("lr", 1e-3), ("eps", 1e3)]), &bowl(1.0, 1.0), 200);
    let found = only(&found, Kind::EpsilonDominates);
    assert_eq!((found.measured, found.since), (1.0, 2));
}

#[test]
fn a_second_moment_that_remembers_what_is_gone() {
    // The gradient falls to a thousandth after ten steps.
    let bench = || Bench {
        parameters: vec![spec("x", &[1, 3])],
        start: vec![vec![1.0; 3]],
        gradient: Box::new(|step, _| {
            let size = if step <= 10 { 1.0 } else { 1e-3 };
            (1.0 / (1 + step) as f64, vec![vec![size; 3]])
        }),
    };
    let told = |name: &str, hypers: &[(&str, f64)]| {
        let found = findings(tuned(name, hypers), &bench(), 400);
        found.into_iter().find(|f| f.kind == Kind::StaleMoments)
    };
    // After 300 steps 0.01·0.999³⁰⁰ of the moment is left, whose root is 86 thousandths.
    let found = told("adam", &[("lr", 1e-4)]).unwrap();
    assert!((found.measured - 86.0).abs() < 3.0 && found.since > 10, "{found:?}");
    assert!(told("amsgrad", &[("lr", 1e-4)]).is_some());
    assert!(told("adam", &[("lr", 1e-4), ("beta2", 0.9)]).is_none());
    // A sum is meant to remember.
    assert!(told("adagrad", &[("lr", 1e-4)]).is_none());
    // Who is at the minimum needs no longer steps.
    let (probes, _) = walk(tuned("adam", &[("lr", 1e-4)]), &bench(), 400);
    let ended =
        |case: Case<'_>| diagnose(&case, &probes).iter().all(|f| f.kind != Kind::StaleMoments);
    assert!(ended(Case { solved: true, ..CASE }));
    // Nor does who fits the batches far better than the examples held out.
    assert!(ended(Case { losses: Some([1.0, 0.1]), ..CASE }));
    assert!(!ended(Case { losses: Some([1.0, 0.003]), ..CASE }));
}

#[test]
fn sizes_of_steps() {
    let found = findings(tuned("adam", &[("lr", 1.0)]), &bowl(1.0, 1.0), 200);
    only(&found, Kind::UpdatesLarge);
    let found = findings(tuned("adam", &[("lr", 1e-8)]), &bowl(1.0, 1.0), 200);
    only(&found, Kind::UpdatesSmall);
}

#[test]
fn a_trust_ratio_that_stretches_most_updates_is_told() {
    let lamb = |trust| tuned("lamb", &[("trust", trust), ("lr", 1e-6)]);
    let (probes, _) = walk(lamb(50.0), &bowl(1.0, 0.0), 100);
    // Adam's direction has a coordinate of nearly 1 wherever the gradient is steady, and decay adds little.
    let ratio = |p: &Probe| p.layers[0].trust_ratio.unwrap();
    let expected = |p: &Probe| 50.0 * p.layers[0].weight_norm / 3f64.sqrt();
    assert!(probes.iter().all(|p| (ratio(p) / expected(p) - 1.0).abs() < 0.05), "{probes:?}");
    let told = |trust| findings(lamb(trust), &bowl(1.0, 0.0), 200);
    let found = only(&told(50.0), Kind::TrustRatioLarge);
    assert!(found.measured > 10.0 && found.threshold == 10.0, "{found:?}");
    assert!(told(1.0).iter().all(|f| f.kind != Kind::TrustRatioLarge));
    let (probes, _) = walk(tuned("adam", &[]), &bowl(1.0, 0.0), 10);
    assert!(probes.iter().all(|p| p.layers[0].trust_ratio.is_none()));
}

#[test]
fn a_trust_ratio_that_is_held_far_from_the_norm_is_told() {
    let lamb = |hypers: &[(&str, f64)]| {
        let bounds: Vec<(&str, f64)> = [("lr", 1e-6)].iter().chain(hypers).copied().collect();
        let (probes, _) = walk(tuned("lamb@paper", &bounds), &bowl(1.0, 0.0), 200);
        let found = diagnose(&CASE, &probes);
        (probes[0].layers[0].norm_counted, at(&found, Kind::TrustRatioHeld, Some("x")).cloned())
    };
    // The norm is the root of 3 and hardly moves.
    let near = |counted: Option<f64>, norm: f64| {
        (counted.unwrap() * 3f64.sqrt() / norm - 1.0).abs() < 1e-3
    };
    let (counted, found) = lamb(&[("norm_max", 0.1)]);
    assert!(near(counted, 0.1) && found.unwrap().change.contains("Raise `norm_max`"));
    let (counted, found) = lamb(&[("norm_min", 30.0), ("norm_max", 40.0)]);
    assert!(near(counted, 30.0) && found.unwrap().change.contains("Lower `norm_min`"));
    // The paper's limits do no harm here, and half of the norm is no tenth of it.
    assert_eq!(lamb(&[]), (Some(1.0), None));
    assert_eq!(lamb(&[("norm_max", 0.8)]).1, None);
    let (probes, _) = walk(tuned("lamb", &[]), &bowl(1.0, 0.0), 10);
    assert!(probes.iter().all(|p| p.layers[0].norm_counted.is_none()));
}

#[test]
fn clipping_at_every_step() {
    let clipped = watched(adam().with("lr", 3e-3).unwrap()).clip_global_norm(1e-2);
    let found = only(&findings(clipped, &bowl(1.0, 1.0), 200), Kind::ClipSaturated);
    assert_eq!(found.parameter, None);
    let chain = Chain::new(()).fold(ClipNorm::default().max_norm(1e-2)).append(adam());
    let clipped = watched(chain.with("lr", 3e-3).unwrap());
    let found = only(&findings(clipped, &bowl(1.0, 1.0), 200), Kind::ClipSaturated);
    assert_eq!(found.parameter.as_deref(), Some("x"));
    let loose = watched(adam().with("lr", 3e-3).unwrap()).clip_global_norm(1e3);
    healthy(loose, &bowl(1.0, 1.0), 200);
}

#[test]
fn coordinates_and_parameters_without_gradient() {
    let mut bench = bowl(1.0, 1.0);
    bench.parameters = vec![spec("x", &[1, 4]), spec("idle", &[2])];
    bench.start = vec![vec![1.0; 4], vec![1.0; 2]];
    let inner = bowl(1.0, 1.0).gradient;
    bench.gradient = Box::new(move |step, values| {
        let (loss, mut g) = inner(step, &[values[0][..3].to_vec()]);
        g[0].push(0.0);
        g.push(vec![0.0; 2]);
        (loss, g)
    });
    let found = findings(tuned("adam", &[("lr", 3e-3)]), &bench, 200);
    let dead = only(&found, Kind::DeadCoordinates);
    assert_eq!((dead.parameter.as_deref(), dead.measured), (Some("x"), 0.25));
    assert_eq!(only(&found, Kind::NoGradient).parameter.as_deref(), Some("idle"));
}

#[test]
fn low_precision_would_lose_small_moments() {
    let found = findings(tuned("adam", &[("lr", 3e-3)]), &bowl(1e-7, 1e-5), 200);
    let found = only(&found, Kind::UnderflowF16);
    assert_eq!((found.measured, found.severity), (1.0, Severity::Note));
    let found = findings(tuned("rmsprop", &[("lr", 3e-3)]), &bowl(1e-22, 1e-22), 200);
    only(&found, Kind::UnderflowBf16);
    // One large gradient in the block puts the others below its lowest code.
    let bench = |n: usize| Bench {
        parameters: vec![spec("x", &[n])],
        start: vec![vec![1.0; n]],
        gradient: Box::new(move |_, _| {
            let g = |i: usize| if i.is_multiple_of(64) { 100.0 } else { 0.01 };
            (1.0, vec![(0..n).map(g).collect()])
        }),
    };
    let kept = |n, storage| {
        let found = findings(tuned("adam", &[("lr", 1e-3)]).storage(storage), &bench(n), 200);
        let told = [Kind::Underflow8Bit, Kind::LowestCode]
            .map(|kind| at(&found, kind, Some("x")).cloned());
        told.map(|f| f.map(|f| (f.severity, f.measured)))
    };
    let share = 63.0 / 64.0;
    assert_eq!(kept(4096, Storage::Native), [Some((Severity::Note, share)), None]);
    assert_eq!(kept(4096, Storage::Bf16), [Some((Severity::Note, share)), None]);
    // What is kept so is no longer a matter of what would be.
    assert_eq!(kept(4096, Storage::Block8), [None, Some((Severity::Warning, share))]);
    // Small parameters are not kept in 8 bits.
    assert_eq!(kept(4032, Storage::Native), [None, None]);
    assert_eq!(kept(4032, Storage::Block8), [None, None]);
}

#[test]
fn noise_that_hides_the_direction() {
    // Squared norm 1 of the gradient, 1,000 of the noise.
    let gradients = |mean: f32| Bench {
        parameters: vec![spec("x", &[1000])],
        start: vec![vec![0.0; 1000]],
        gradient: Box::new(move |step, _| {
            let mut stream = Stream::new("noise", 3, Purpose::Order, step as u64);
            let mut normal = || (0..12).map(|_| stream.uniform()).sum::<f32>() - 6.0;
            (1.0, vec![(0..1000).map(|_| mean + normal()).collect()])
        }),
    };
    let clear = findings(tuned("gd", &[("lr", 1e-6)]), &gradients(0.5), 400);
    assert!(clear.is_empty(), "{clear:?}");
    let found = findings(tuned("gd", &[("lr", 1e-6)]), &gradients(0.0316), 400);
    let found = only(&found, Kind::NoiseDominates);
    assert!(found.measured > 30.0, "{found:?}");
    assert!(
        found.what.contains(" gradients") && !found.what.contains("examples"),
        "{}",
        found.what
    );
}

#[test]
fn seeds_are_counted_and_those_of_the_majority_shared_but_a_lost_run_always_is() {
    let slow = findings(tuned("gd", &[("lr", 1e-5)]), &bowl(1.0, 0.0), 300);
    let lost = findings(tuned("gd", &[("lr", 0.1)]), &bowl(1.0, 0.0), 300);
    let joined = over_seeds(&[&slow, &slow, &lost]);
    assert_eq!((joined[0].kind, joined[0].seeds), (Kind::Diverged, 1));
    assert!(joined[0].is_shared());
    let found = only(&joined, Kind::SlowProgress);
    assert_eq!((found.seeds, found.seeds_of), (2, 3));
    assert!(found.is_shared() && in_few_seeds(&joined).is_none());
    let alone = over_seeds(&[&[], &slow, &[]]);
    let found = only(&alone, Kind::SlowProgress);
    assert_eq!((found.seeds, found.seeds_of, found.is_shared()), (1, 3, false));
    let told = in_few_seeds(&alone).unwrap();
    assert!(told.contains("slow-progress in the whole run (1 of 3)"), "{told}");
    // Half is not more than half, and what is shared comes first.
    let both = over_seeds(&[&slow, &[]]);
    assert!(!only(&both, Kind::SlowProgress).is_shared());
    let first = over_seeds(&[&slow, &lost, &lost]);
    let place = |shared: bool| first.iter().position(|f| f.is_shared() == shared);
    assert!(place(true) < place(false), "{first:?}");
}

#[test]
fn gains_that_explode_in_some_seeds_are_the_cause_in_all() {
    let hypers = [("lr", 1e-3), ("gamma", 0.1), ("clip", f64::INFINITY)];
    let exploded = findings(tuned("meta_egd", &hypers), &bowl(1.0, 0.0), 200);
    let lost = findings(tuned("gd", &[("lr", 0.1)]), &bowl(1.0, 0.0), 200);
    let joined = over_seeds(&[&lost, &exploded, &lost]);
    let found = only(&joined, Kind::RateExplosion);
    assert_eq!((found.seeds, found.seeds_of), (3, 3));
    assert!(found.change.contains("gamma") && at(&joined, Kind::Diverged, None).is_none());
    assert_eq!(only(&over_seeds(&[&lost, &lost]), Kind::Diverged).seeds, 2);
}

#[test]
fn a_gradient_that_dies_is_told_and_asks_for_no_larger_steps() {
    let bench = Bench {
        parameters: vec![spec("x", &[1, 3])],
        start: vec![vec![1.0; 3]],
        gradient: Box::new(|step, _| (1.0, vec![vec![if step < 25 { 1.0 } else { 0.0 }; 3]])),
    };
    let found = findings(tuned("gd", &[("lr", 1e-3)]), &bench, 200);
    let dead = only(&found, Kind::GradientVanished);
    assert!((25..=32).contains(&dead.since) && dead.change.contains("Lower"), "{dead:?}");
    assert!(found.iter().all(|f| f.kind != Kind::UpdatesSmall), "{found:?}");
}

#[test]
fn a_run_that_ends_no_lower_than_it_began_is_told() {
    let (probes, _) = walk(tuned("adam", &[("lr", 3e-3)]), &bowl(1.0, 1.0), 200);
    let told = |losses, solved| {
        let found = diagnose(&Case { losses: Some(losses), solved, ..CASE }, &probes);
        found.iter().any(|f| f.kind == Kind::NoProgress)
    };
    assert!(told([2.3, 2.3], false) && told([2.3, 8.0], false));
    assert!(!told([2.3, 2.2], false) && !told([1e-12, 1e-12], true));
}

#[test]
fn who_is_told_to_go_slower_is_not_told_to_go_faster() {
    // Gradients of one direction, as those of a run that is far away.
    let bench = Bench {
        parameters: vec![spec("x", &[1, 3])],
        start: vec![vec![1.0; 3]],
        gradient: Box::new(|step, _| (1.0 / (1 + step) as f64, vec![vec![1.0; 3]])),
    };
    let (probes, _) = walk(tuned("momentum", &[("lr", 1e-3)]), &bench, 400);
    let told = |losses, memory| diagnose(&Case { losses: Some(losses), memory, ..CASE }, &probes);
    only(&told([2.0, 1.0], 0.9), Kind::SlowProgress);
    let lost = told([2.0, 3.0], 0.9);
    assert!(at(&lost, Kind::SlowProgress, None).is_none(), "{lost:?}");
    let found = only(&lost, Kind::NoProgress);
    assert!(found.change.starts_with("Lower the learning rate"));
    // The last probe came before the end.
    assert!(
        found.what.starts_with("At the end of the run the validation loss, 3.0000"),
        "{found:?}"
    );
    // 0.9 to the power of 200 is nothing, 0.999 to it is 82 in a hundred.
    let found = only(&told([2.0, 3.0], 0.999), Kind::NoProgress);
    assert!(
        found.change.contains("remembers about 1000 steps, and 81.9 % of a swing are left"),
        "{}",
        found.change
    );
    // Tiny steps are the reason that is left.
    let (probes, _) = walk(tuned("momentum", &[("lr", 1e-9)]), &bench, 400);
    let found = diagnose(&Case { losses: Some([2.0, 2.0]), ..CASE }, &probes);
    assert!(at(&found, Kind::SlowProgress, None).is_some(), "{found:?}");
}

#[test]
fn slow_progress_is_seen_under_noise_and_not_where_gradients_have_an_offset() {
    let slow = |case: Case<'_>| {
        let (probes, _) = walk(tuned("gd", &[("lr", 1e-5)]), &bowl(1.0, 15.0), 400);
        diagnose(&case, &probes)
    };
    let found = only(&slow(CASE), Kind::SlowProgress);
    assert!(
        found.what.contains("point one way") && found.change.contains("add momentum"),
        "{found:?}"
    );
    let found = only(&slow(Case { memory: 0.9, ..CASE }), Kind::SlowProgress);
    assert!(!found.change.contains("momentum"));
    assert!(slow(Case { bounded: true, ..CASE }).iter().all(|f| f.kind != Kind::SlowProgress));
}

#[test]
fn round_off_beside_the_gradients_of_its_parameter_is_not_for_epsilon_to_answer() {
    // A third of the coordinates have gradients that are round-off beside the others.
    let bench = |small: f32| Bench {
        parameters: vec![spec("b", &[9])],
        start: vec![vec![0.0; 9]],
        gradient: Box::new(move |step, _| {
            let sign = if step % 2 == 0 { 1.0 } else { -1.0 };
            let g = |i: usize| if i.is_multiple_of(3) { small * sign } else { 1.0 + sign / 2.0 };
            (1.0, vec![(0..9).map(g).collect()])
        }),
    };
    let told = |small| {
        let found = findings(tuned("adam", &[("lr", 1e-3)]), &bench(small), 200);
        found.iter().any(|f| f.kind == Kind::EpsilonDominates)
    };
    assert!(!told(1e-9));
    // A hundred thousandth is a gradient, if a small one.
    let found = findings(tuned("adam", &[("lr", 1e-3), ("eps", 1e-4)]), &bench(1e-5), 200);
    assert!((only(&found, Kind::EpsilonDominates).measured - 1.0 / 3.0).abs() < 1e-9);
}

#[test]
fn a_run_that_has_hardly_begun_is_told_however_much_batches_differ() {
    // A slope that is a tenth of the noise of each gradient, and losses that differ from batch to batch by more than they
    // fall.
    let bench = || Bench {
        parameters: vec![spec("x", &[1000])],
        start: vec![vec![0.0; 1000]],
        gradient: Box::new(|step, _| {
            let mut stream = Stream::new("begun", 4, Purpose::Order, step as u64);
            let mut normal = || (0..12).map(|_| stream.uniform()).sum::<f32>() - 6.0;
            let loss = 2.3 + 0.1 * f64::from(normal());
            (loss, vec![(0..1000).map(|_| 0.5 + normal()).collect()])
        }),
    };
    let told = |losses| {
        let (probes, _) = walk(tuned("gd", &[("lr", 1e-7)]), &bench(), 400);
        let found = diagnose(&Case { losses: Some(losses), ..CASE }, &probes);
        found.into_iter().find(|f| f.kind == Kind::SlowProgress)
    };
    let found = told([2.303, 2.302]).unwrap();
    assert!(found.what.starts_with("Only 0.0434 %") && found.change.contains("Raise"), "{found:?}");
    assert!(told([2.303, 0.2]).is_none());
}

#[test]
fn the_whole_run_comes_before_its_parameters() {
    let rocks = |parameter: Option<&str>| Finding {
        parameter: parameter.map(str::to_owned),
        ..Finding::of_run(
            Kind::Oscillation,
            Severity::Warning,
            1,
            [0.0; 2],
            String::new(),
            String::new(),
            "",
        )
    };
    let [part, whole] = [Some("w"), None].map(|place| vec![rocks(place)]);
    let both = [&whole[..], &part].concat();
    let places = |seeds: &[&[Finding]]| -> Vec<String> {
        over_seeds(seeds).iter().map(|f| format!("{} {}", f.place(), f.seeds)).collect()
    };
    // Found in half of the seeds it still comes after what most have.
    assert_eq!(places(&[&part, &both]), ["w 2", "the whole run 1"]);
    assert_eq!(places(&[&part, &both, &whole]), ["the whole run 2", "w 2"]);
}

#[test]
fn a_state_that_comes_and_goes_has_a_first_step() {
    let rule = super::super::rules::Rule {
        kind: Kind::Oscillation,
        severity: Severity::Warning,
        threshold: 0.5,
        below: false,
        figure: "",
        what: &|_| String::new(),
        change: "",
    };
    // Beyond in three of four of the later probes, and not in the last.
    let series: Vec<(usize, Option<f64>)> =
        (0..40).map(|i| (10 + i, Some(f64::from(u8::from(i >= 20 && i % 4 != 3))))).collect();
    let found = rule.judge(None, &series).unwrap();
    assert_eq!((found.beyond, found.probes, found.since), (15, 20, 30));
}
