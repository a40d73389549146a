//! `Probe::Moments` against direct computation from gradients and slots.

use std::num::NonZeroU64;

use thalweg::{Optimizer, Param, Probe, Storage, recipes::*, registry};

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
