//! `Probe::Moments` against direct computation from gradients and slots.

use std::num::NonZeroU64;

use thalweg::rules::*;
use thalweg::{
    Both, Chain, Floor, Gains, Hat, HatBoth, Hypers, Inside, Moments, Optimizer, Outside, Param,
    Probe, QUANTILES, Storage, recipes::*, registry,
};

/// Gradients of very different sizes, some zero, some that change sign.
fn gradient(step: usize, n: usize) -> Vec<f32> {
    let value = |i: usize| {
        let size = 10f32.powi(-((i % 9) as i32));
        let sign = if (i / 9 + step * (i % 5)).is_multiple_of(3) { -1.0 } else { 1.0 };
        if i.is_multiple_of(11) { 0.0 } else { sign * size }
    };
    (0..n).map(value).collect()
}

fn share(yes: impl Iterator<Item = bool>) -> f64 {
    let all: Vec<bool> = yes.collect();
    all.iter().filter(|y| **y).count() as f64 / all.len() as f64
}

/// Runs `steps` steps and compares every reading with what the slots say.
fn agrees(name: &str, eps: f64, first: &str, second: &str, dominated: impl Fn(f64, u64) -> bool) {
    let n = 3000;
    let chain = registry::build(name, &[("eps", eps)]).unwrap();
    let mut opt: Optimizer<f32> =
        Optimizer::<f32>::builder().rest("all", chain).probe(Probe::Moments).build().unwrap();
    let mut x = vec![0.5f32; n];
    for step in 1..=7 {
        let g = gradient(step, n);
        let before = opt.slot_values("x", first);
        let report = opt.step(&mut [Param::new("x", &[n], &mut x, &g)]).unwrap();
        let [reading] = report.moments.as_slice() else { panic!("one reading per parameter") };
        let read = &reading.moments;
        if let Some(m) = before {
            let both = m.iter().zip(&g).filter(|(m, g)| **m != 0.0 && **g != 0.0);
            assert_eq!(read.aligned, share(both.map(|(m, g)| (*m > 0.0) == (*g > 0.0))), "{name}");
        }
        let v = opt.slot_values("x", second).unwrap();
        assert_eq!(read.still_zero, 1.0 - share(v.iter().map(|v| *v > 0.0)), "{name}");
        let positive = || v.iter().map(|v| f64::from(*v)).filter(|v| *v > 0.0);
        let direct = share(positive().map(|v| dominated(v, step as u64)));
        assert!((read.eps_dominates - direct).abs() < 1e-12, "{name} {direct} {read:?}");
        let f16 = share(positive().map(|v| half::f16::from_f64(v) == half::f16::ZERO));
        assert!((read.lost_in_f16 - f16).abs() < 1e-12, "{name} {f16} {read:?}");
        assert!(read.lost_in_f16 > 0.0 && read.lost_in_bf16 == 0.0);
    }
}

#[test]
fn moments_agree_with_the_slots_wherever_epsilon_stands() {
    let bias = |t: u64| 1.0 - 0.999f64.powi(t as i32);
    agrees("adam", 3e-4, "m", "v", |v, t| (v / bias(t)).sqrt() < 3e-4);
    agrees("adam@keras", 3e-4, "m", "v", |v, _| v.sqrt() < 3e-4);
    agrees("adam@optax", 3e-4, "m", "v", |v, t| (v / bias(t)).sqrt() < 3e-4);
    agrees("rmsprop", 3e-4, "", "v", |v, _| v.sqrt() < 3e-4);
    agrees("rmsprop@optax", 3e-7, "", "v", |v, _| v < 3e-7);
    agrees("adagrad", 3e-4, "", "sum", |v, _| v.sqrt() < 3e-4);
    agrees("amsgrad", 3e-4, "m", "v_max", |v, t| (v / bias(t)).sqrt() < 3e-4);
    agrees("rmsprop_momentum", 3e-4, "buf", "v", |v, _| v.sqrt() < 3e-4);
}

#[test]
fn bf16_loses_what_single_precision_hardly_holds() {
    let mut opt: Optimizer<f32> =
        Optimizer::<f32>::builder().rest("all", adagrad()).probe(Probe::Moments).build().unwrap();
    // Squares of 1e-40 (held), 4e-41 (2⁻¹³⁴ is 4.6e-41) and 0.01.
    let (mut x, g) = ([0.0f32; 3], [1e-20f32, 6.3e-21, 0.1]);
    let report = opt.step(&mut [Param::new("x", &[3], &mut x, &g)]).unwrap();
    let read = &report.moments[0].moments;
    assert_eq!((read.lost_in_f16, read.lost_in_bf16), (2.0 / 3.0, 1.0 / 3.0));
}

#[test]
fn both_probes_fit_into_one_step_and_change_nothing() {
    let walk = |probes: &[Probe], every: u64, storage: Storage| {
        let mut builder = Optimizer::<f32>::builder().rest("all", meta_egd_adam());
        for probe in probes {
            builder = builder.probe(*probe);
        }
        let every = NonZeroU64::new(every).unwrap();
        let builder = builder.probe_every(every).storage(storage);
        let mut opt: Optimizer<f32> = builder.build().unwrap();
        let mut x = vec![0.5f32; 5000];
        let mut seen = vec![];
        for step in 0..9 {
            let g = gradient(step, 5000);
            let report = opt.step(&mut [Param::new("x", &[5000], &mut x, &g)]).unwrap();
            seen.push((report.readings.len(), report.moments.len()));
        }
        (x, seen)
    };
    for storage in [Storage::Native, Storage::Bf16, Storage::Block8] {
        let (plain, none) = walk(&[], 1, storage);
        assert_eq!(none, [(0, 0); 9]);
        let (probed, seen) = walk(&[Probe::Moments, Probe::Gains], 4, storage);
        assert_eq!(probed, plain);
        let due = |step: usize| if (step + 1).is_multiple_of(4) { (1, 1) } else { (0, 0) };
        assert_eq!(seen, (0..9).map(due).collect::<Vec<_>>());
    }
}

#[test]
fn a_probe_that_would_see_nothing_says_so() {
    let blind = Optimizer::<f32>::builder().rest("all", gd()).probe(Probe::Moments);
    let message = blind.build::<f32>().unwrap_err().to_string();
    assert!(message.contains("drop the probe"), "{message}");
}

/// What `Probe::Gains` reads against the state after the step and the direction remembered before it.
fn gains_agree(name: &str, tune: &[(&str, f64)]) {
    let n = 3000;
    let chain = registry::build(name, tune).unwrap();
    let lr = chain.hyper("lr").unwrap().value(0);
    let mut opt: Optimizer<f64> =
        Optimizer::<f64>::builder().rest("all", chain).probe(Probe::Gains).build().unwrap();
    let direction = |opt: &Optimizer<f64>| {
        opt.slot("x", "prev").or_else(|| opt.slot("x", "mean")).map(<[f64]>::to_vec)
    };
    let mut x = vec![0.5f64; n];
    for step in 1..=9 {
        let g: Vec<f64> = gradient(step, n).into_iter().map(f64::from).collect();
        let before = direction(&opt);
        let report = opt.step(&mut [Param::new("x", &[n], &mut x, &g)]).unwrap();
        let [reading] = report.readings.as_slice() else { panic!("{name}: one reading") };
        let read = &reading.gains;
        if let Some(d) = before {
            let both = d.iter().zip(&g).filter(|(d, g)| **d != 0.0 && **g != 0.0);
            let want = share(both.map(|(d, g)| (*d > 0.0) == (*g > 0.0)));
            assert!(read.aligned == want || want.is_nan(), "{name}: {} {want}", read.aligned);
        }
        let scalar = |scalar| opt.scalar("x", scalar);
        let gains: Vec<f64> = match (opt.slot("x", "ell"), opt.slot("x", "gain")) {
            (Some(ell), _) => ell.iter().map(|ell| ell.exp()).collect(),
            (_, Some(gain)) => gain.to_vec(),
            _ => vec![scalar("ell").map_or_else(|| scalar("rate").unwrap(), f64::exp)],
        };
        let factor =
            scalar("scale").unwrap_or(1.0) * if scalar("rate").is_some() { 1.0 } else { lr };
        let [min, max] = [f64::min, f64::max].map(|of| gains.iter().copied().reduce(of).unwrap());
        let near = |a: f64, b: f64| (a - b).abs() <= 1e-13 * b.abs();
        assert!(near(read.min, min) && near(read.max, max), "{name}: {read:?} {min} {max}");
        assert!(near(factor, 1.0) || read.rates.iter().all(|r| *r <= factor * max * 1.0001));
        assert!(
            read.rates[0] >= factor * min * 0.9999 && read.rates.is_sorted(),
            "{name}: {read:?}"
        );
        if gains.len() == 1 {
            assert!(read.rates.iter().all(|rate| near(*rate, factor * min)), "{name}: {read:?}");
        } else {
            let mut sorted = gains.clone();
            sorted.sort_by(f64::total_cmp);
            let median = factor * sorted[n / 2];
            assert!((read.rates[2] / median - 1.0).abs() < 0.5, "{name}: {read:?} {median}");
        }
    }
}

#[test]
fn every_learned_gain_has_its_monitors() {
    for name in
        ["meta_egd", "meta_egd_momentum", "meta_egd_sign", "meta_egd_sparse", "meta_egd_adam"]
    {
        gains_agree(name, &[("gamma", 0.1), ("lr", 0.01)]);
    }
    gains_agree("meta_egd_tensor", &[("gamma", 0.3), ("lr", 0.01)]);
    gains_agree("egdd", &[("scale_lr", 0.5), ("lr", 0.01)]);
    gains_agree("funnelled_sgdm", &[("scale_lr", 0.5), ("lr", 0.01)]);
    for name in ["sgd_hd", "sgd_hd_cosine", "adam_hd"] {
        gains_agree(name, &[("hyper_lr", 1e-4), ("lr", 0.01)]);
    }
}

/// The moments of a rule that divides, alone, and where it moves zeros, in each of a few steps.
fn divided(rule: &Chain, eps: f64) -> Vec<(Moments, Vec<f64>, Vec<f64>)> {
    let n = 900;
    let chain = rule.clone().with("eps", eps).unwrap();
    let mut opt: Optimizer<f64> =
        Optimizer::<f64>::builder().rest("all", chain).probe(Probe::Moments).build().unwrap();
    let step = |step| {
        let g: Vec<f64> = gradient(step, n).into_iter().map(f64::from).collect();
        let mut x = vec![0.0; n];
        let report = opt.step(&mut [Param::new("x", &[n], &mut x, &g)]).unwrap();
        let second = ["v_max", "v", "sum"].iter().find_map(|slot| opt.slot("x", slot));
        (report.moments[0].moments.clone(), x, second.unwrap().to_vec())
    };
    (1..=9).map(step).collect()
}

/// By how much ε shortens the step where it is as large as the root, from the divisor's formula.
fn halfway(denominator: &str) -> f64 {
    match denominator {
        "Inside" => 2f64.sqrt(),
        "Floor" => 1.0,
        _ => 2.0,
    }
}

/// Every rule that divides by the root of a second moment, its first moment being the same whatever ε is.
fn rules_that_divide() -> Vec<Chain> {
    vec![
        <Adam>::default().into(),
        Adam::<Inside>::default().into(),
        Adam::<Hat>::default().into(),
        Adam::<Floor>::default().into(),
        Adam::<Both>::default().into(),
        <AmsGrad>::default().into(),
        AmsGrad::<Hat, Raw>::default().into(),
        AmsGrad::<Both, Corrected>::default().into(),
        AmsGrad::<Outside, Uncorrected>::default().into(),
        <Adan>::default().into(),
        Adan::<Both, Complement>::default().into(),
        <NAdam>::default().into(),
        NAdam::<Outside, PaperMomentum>::default().into(),
        NAdam::<Both, ConstantMomentum>::default().into(),
        <RAdam>::default().into(),
        <Yogi>::default().into(),
        Yogi::<Both, AtInitial>::default().into(),
        <AdEmaMix>::default().into(),
        AdEmaMix::<Both>::default().into(),
        LaProp::<Outside>::default().beta1(0.0).into(),
        LaProp::<HatBoth>::default().beta1(0.0).into(),
        <RmsProp>::default().into(),
        RmsProp::<Inside>::default().into(),
        <AdaGrad>::default().into(),
        AdaGrad::<Inside>::default().into(),
        <CorrectedRms>::default().into(),
    ]
}

#[test]
fn epsilon_dominates_where_it_halves_the_step() {
    for rule in rules_that_divide() {
        let mut rule = rule;
        for unused in ["eps_root", "initial", "initial_m"] {
            let _ = rule.set(unused, 0.0);
        }
        let blocks = rule.blocks();
        let place = |place: &str| blocks[0].parts.iter().find(|p| p.0 == place);
        let limit = halfway(place("denominator").expect("a denominator").1.name());
        let eps = if limit == 2f64.sqrt() { 1e-7 } else { 3e-4 };
        let mut some = false;
        for ((with, far, v), (_, full, _)) in divided(&rule, eps).iter().zip(divided(&rule, 0.0)) {
            let moved = (0..v.len()).filter(|k| v[*k] > 0.0 && full[*k] != 0.0);
            let ratios: Vec<f64> = moved.map(|k| full[k] / far[k]).collect();
            let direct = share(ratios.iter().map(|ratio| *ratio > limit * (1.0 + 1e-12)));
            if with.eps_dominates.is_nan() {
                // RAdam's first steps divide by nothing.
                assert!(ratios.iter().all(|ratio| *ratio == 1.0), "{rule:?} {ratios:?}");
                continue;
            }
            some |= 0.1 < direct && direct < 0.9;
            assert!((with.eps_dominates - direct).abs() < 1e-12, "{blocks:?}: {direct} {with:?}");
        }
        assert!(some, "{blocks:?}: nothing was told apart");
    }
}

#[test]
fn every_rule_of_the_registry_that_divides_is_among_those_compared() {
    let compared: Vec<&str> = rules_that_divide().iter().map(|c| c.blocks()[0].name()).collect();
    for entry in registry::all() {
        for block in (entry.chain)().blocks() {
            let divides = block.parts.iter().any(|(place, _)| *place == "denominator");
            // ADOPT divides by the moment before the step; the other has another root.
            let else_where = ["Adopt", "CenteredRmsProp"].contains(&block.name());
            assert!(!divides || else_where || compared.contains(&block.name()), "{block:?}");
        }
    }
    for (read, _, v) in divided(&<Adopt>::default().into(), 3e-4) {
        let direct = share(v.iter().filter(|v| **v > 0.0).map(|v| v.sqrt() < 3e-4));
        assert!((read.eps_dominates - direct).abs() < 1e-12, "{direct} {read:?}");
    }
    let chain = registry::build("rmsprop_centered", &[]).unwrap();
    let mut opt: Optimizer<f64> =
        Optimizer::<f64>::builder().rest("all", chain).probe(Probe::Moments).build().unwrap();
    let report = opt.step(&mut [Param::new("x", &[1], &mut [0.0], &[1e-12])]).unwrap();
    assert!(report.moments[0].moments.eps_dominates.is_nan());
}

/// The share of coordinates of one sign among those where neither is zero.
fn agreement(a: &[f64], b: &[f64]) -> f64 {
    let both = a.iter().zip(b).filter(|(a, b)| **a != 0.0 && **b != 0.0);
    share(both.map(|(a, b)| (*a > 0.0) == (*b > 0.0)))
}

/// Chains with something that redefines the gradient before a `MetaEgd`, which remembers what it saw.
fn redefined() -> Vec<Chain> {
    let meta = || Chain::new((<MetaEgd>::default(), Scale::default().lr(1e-3)));
    let noise = GradientNoise::default().variance(0.5);
    let pair = || (Maximize::default(), L2::default().decay(2.0));
    vec![
        (Maximize::default(), <MetaEgd>::default(), Scale::default()).into(),
        Chain::new(Maximize::default()).append(meta()),
        (L2::default().decay(3.0), <MetaEgd>::default(), Scale::default()).into(),
        Chain::new(()).fold(Centralize::default()).append(meta()),
        Chain::new(()).fold(noise.clone()).append(meta()),
        Chain::new(()).fold(noise).then((pair(), <MetaEgd>::default())),
        Chain::new((Momentum::default(), Maximize::default())).append(meta()),
        (Momentum::default(), pair(), <MetaEgd>::default(), Maximize::default()).into(),
    ]
}

#[test]
fn agreement_is_with_the_gradient_that_the_rule_sees() {
    // Of a constant gradient that is climbed, all coordinates agree.
    let mut opt: Optimizer<f32> = Optimizer::<f32>::builder()
        .rest("all", redefined().remove(0))
        .probe(Probe::Gains)
        .build()
        .unwrap();
    let mut x = [0.5f32; 5];
    for step in 0..3 {
        let report = opt.step(&mut [Param::new("x", &[5], &mut x, &[1.0; 5])]).unwrap();
        let aligned = report.readings[0].gains.aligned;
        assert!(if step == 0 { aligned.is_nan() } else { aligned == 1.0 }, "{step}: {aligned}");
    }
    for chain in redefined() {
        for storage in [Storage::Native, Storage::Block8] {
            let walk = |probe: bool| {
                let mut builder = Optimizer::<f64>::builder().rest("all", chain.clone());
                builder = if probe { builder.probe(Probe::Gains) } else { builder };
                let mut opt: Optimizer<f64> = builder.storage(storage).threads(1).build().unwrap();
                let (shape, mut x) = ([150, 43], vec![0.5f64; 150 * 43]);
                let mut apart = false;
                for step in 1..=6 {
                    let g: Vec<f64> = gradient(step, x.len()).into_iter().map(f64::from).collect();
                    let before = opt.slot_values("x", "prev");
                    let report = opt.step(&mut [Param::new("x", &shape, &mut x, &g)]).unwrap();
                    let (Some(before), true) = (before, probe) else { continue };
                    // In eight bits the smallest are rounded to nothing.
                    let seen = opt.slot_values("x", "prev").unwrap();
                    let (want, got) = (agreement(&before, &seen), report.readings[0].gains.aligned);
                    let few = if storage == Storage::Native { 1e-12 } else { 0.2 };
                    assert!((want - got).abs() < few, "{:?}: {got} {want}", chain.blocks());
                    apart |= (agreement(&before, &g) - want).abs() > 0.01;
                }
                assert!(apart || !probe, "{:?}: as if nothing were redefined", chain.blocks());
                x
            };
            assert_eq!(walk(true), walk(false), "a probe changes nothing");
        }
    }
}

#[test]
fn the_momentum_agrees_with_the_gradient_that_it_is_of() {
    for chain in [
        Chain::new((Maximize::default(), <Adam>::default(), Scale::default())),
        Chain::new(Maximize::default()).then((Momentum::default(), Scale::default())),
    ] {
        let mut opt: Optimizer<f64> =
            Optimizer::<f64>::builder().rest("all", chain).probe(Probe::Moments).build().unwrap();
        let mut x = [0.5f64; 40];
        for step in 0..4 {
            let report = opt.step(&mut [Param::new("x", &[40], &mut x, &[1.0; 40])]).unwrap();
            let aligned = report.moments[0].moments.aligned;
            assert!(if step == 0 { aligned.is_nan() } else { aligned == 1.0 }, "{step}: {aligned}");
        }
    }
}

#[test]
fn what_cannot_be_known_is_no_number() {
    thalweg::hypers! {
        /// Turns the gradient, and is not this library's.
        pub struct Turn {}
    }
    impl thalweg::Rule for Turn {
        type Memory<F: thalweg::Real> = [F; 0];
        const ON_GRADIENT: bool = true;
        fn at<F: thalweg::Real>(
            &self,
            _: &thalweg::At<F>,
        ) -> impl Fn(F, thalweg::Here<F>, [F; 0]) -> (F, [F; 0]) + Copy + Send + Sync + use<F>
        {
            |u, _, []| (-u, [])
        }
    }
    let aligned = |chain: Chain| {
        let mut opt: Optimizer<f64> =
            Optimizer::<f64>::builder().rest("all", chain).probe(Probe::Gains).build().unwrap();
        let mut step = || {
            let report = opt.step(&mut [Param::new("x", &[2], &mut [0.5; 2], &[1.0; 2])]).unwrap();
            report.readings[0].gains.aligned
        };
        [step(), step()][1]
    };
    assert!(aligned((Turn::default(), <MetaEgd>::default()).into()).is_nan());
    // A stage of its own can be looked behind, and what comes later does not matter.
    assert_eq!(aligned(Chain::new(Turn::default()).then(<MetaEgd>::default())), 1.0);
    assert_eq!(aligned(Chain::new(<MetaEgd>::default()).then(Turn::default())), 1.0);
}

#[test]
fn the_gains_of_a_sparse_step_are_those_of_its_rows() {
    let chain = || meta_egd().with("gamma", 0.5).and_then(|c| c.with("lr", 0.01)).unwrap();
    let mut opt: Optimizer<f64> =
        Optimizer::<f64>::builder().rest("all", chain()).probe(Probe::Gains).build().unwrap();
    let (shape, mut x) = ([400, 30], vec![0.5f64; 400 * 30]);
    let rows: Vec<u32> = vec![391, 7, 8, 200];
    let mut last: Option<Gains> = None;
    for step in 0..4 {
        let g: Vec<f64> =
            (0..4 * 30).map(|k| 0.5 + 0.1 * f64::from(k as u8) + step as f64).collect();
        let param = Param::of("x", &shape, &mut x).sparse_grad(&rows, &g);
        let report = opt.step(&mut [param]).unwrap();
        last = Some(report.readings[0].gains.clone());
    }
    let gains = last.unwrap();
    let ell = opt.slot("x", "ell").unwrap();
    let mut touched: Vec<f64> =
        rows.iter().flat_map(|row| &ell[*row as usize * 30..][..30]).map(|ell| ell.exp()).collect();
    touched.sort_by(f64::total_cmp);
    let near = |a: f64, b: f64| (a - b).abs() <= 1e-12 * b.abs();
    assert!(near(gains.min, touched[0]) && near(gains.max, touched[119]), "{gains:?}");
    // All of them are in the sample: it is the quantile of these rows, which have grown, and no other.
    for (q, rate) in QUANTILES.iter().zip(gains.rates) {
        let want = 0.01 * touched[(q * 119.0).round() as usize];
        assert!(near(rate, want) && rate > 0.01, "{q}: {rate} {want}");
    }
}
