//! What is measured, against direct computation.

use super::*;

#[test]
fn wilson_agrees_with_scipy() {
    // scipy.stats.binomtest(k, n).proportion_ci(method="wilson")
    let near = |a: [f64; 2], b: [f64; 2]| {
        assert!((a[0] - b[0]).abs() < 1e-9 && (a[1] - b[1]).abs() < 1e-9, "{a:?} {b:?}");
    };
    near(wilson(4, 4), [0.5101091635454027, 1.0]);
    near(wilson(7, 10), [0.39677814746114526, 0.892208732593699]);
    assert_eq!(wilson(0, 0), [0.0, 1.0]);
}

#[test]
fn probes_agree_with_direct_computation() {
    let (lr, bench) = (0.01, bowl(1.0, 0.3));
    let (probes, _) = walk(tuned("momentum", &[("lr", lr)]), &bench, 45);
    assert_eq!(
        probes.iter().map(|p| p.step).collect::<Vec<_>>(),
        [2, 4, 8, 10, 16, 20, 30, 32, 40]
    );
    let (mut x, mut buf, mut last) = ([1.0f64; 3], [0.0f64; 3], [0.0f64; 3]);
    let (mut signal, mut noise, mut steps) = (0.0, 0.0, 0.0);
    for step in 1..=45 {
        let values = vec![x.iter().map(|x| *x as f32).collect::<Vec<f32>>()];
        let (loss, g) = (bench.gradient)(step, &values);
        let g: Vec<f64> = g[0].iter().map(|g| f64::from(*g)).collect();
        let opposed = (0..3).filter(|i| buf[*i] * g[*i] > 0.0).count() as f64 / 3.0;
        let same = (0..3).filter(|i| last[*i] * g[*i] > 0.0).count() as f64 / 3.0;
        if step > 1 {
            signal += (0..3).map(|i| last[i] * g[i]).sum::<f64>();
            noise += (0..3).map(|i| (g[i] - last[i]).powi(2) / 2.0).sum::<f64>();
            steps += 1.0;
        }
        let before = x.iter().map(|x| x * x).sum::<f64>().sqrt();
        (0..3).for_each(|i| buf[i] = 0.9 * buf[i] + g[i]);
        (0..3).for_each(|i| x[i] -= lr * buf[i]);
        let update = lr * buf.iter().map(|b| b * b).sum::<f64>().sqrt();
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-3 * (1e-2 + b.abs()), "{a} {b}");
        if let Some(probe) = probes.iter().find(|p| p.step == step) {
            let layer = &probe.layers[0];
            near(probe.loss, loss);
            near(probe.signal, signal / steps);
            near(probe.noise, noise / steps);
            (signal, noise, steps) = (0.0, 0.0, 0.0);
            near(layer.weight_norm, before);
            near(layer.start_norm.unwrap(), 3f64.sqrt());
            near(layer.update_norm, update);
            assert_eq!((layer.successive, layer.momentum), (Some(same), Some(opposed)));
            // A sum that forgets a tenth per step holds ten mean gradients when it is full.
            let whole = (1.0 - 0.9f64.powi(step as i32)) / 0.1;
            layer.rates.unwrap().iter().for_each(|rate| near(*rate, lr * whole));
            assert_eq!((probe.lr, probe.clip_factor, layer.untouched), (Some(lr), 1.0, 0.0));
        }
        last.copy_from_slice(&g);
    }
}

#[test]
fn effective_rates_of_adam_are_the_rate_over_its_divisor() {
    let n = 9;
    let bench = Bench {
        parameters: vec![spec("x", &[n])],
        // Near zero, where the smallest step is not lost in the rounding of the parameter.
        start: vec![vec![0.0; n]],
        gradient: Box::new(move |_, _| {
            (1.0, vec![(0..n).map(|i| 10f32.powi(-(i as i32))).collect()])
        }),
    };
    let (probes, _) = walk(tuned("adam", &[("lr", 1e-3), ("eps", 1e-4)]), &bench, 160);
    let rates = probes.last().unwrap().layers[0].rates.unwrap();
    let mut direct: Vec<f64> = (0..n).map(|i| 1e-3 / (10f64.powi(-(i as i32)) + 1e-4)).collect();
    direct.sort_by(f64::total_cmp);
    for (q, rate) in QUANTILES.iter().zip(rates) {
        let expected = direct[(q * (n - 1) as f64).round() as usize];
        assert!((rate / expected - 1.0).abs() < 2e-2, "{q}: {rate} {expected}");
    }
}

#[test]
fn the_noise_scale_is_that_of_the_gradients() {
    // A fixed gradient of squared norm 12 with noise of variance 4 in each of 3 coordinates: 1.
    let bench = Bench {
        parameters: vec![spec("x", &[3])],
        start: vec![vec![0.0; 3]],
        gradient: Box::new(|step, _| {
            let mut stream = Stream::new("noise", 7, Purpose::Order, step as u64);
            let mut normal = || (0..12).map(|_| stream.uniform()).sum::<f32>() - 6.0;
            (1.0, vec![(0..3).map(|_| 2.0 + 2.0 * normal()).collect()])
        }),
    };
    let (probes, _) = walk(tuned("gd", &[("lr", 1e-3)]), &bench, 20_000);
    let sum = |f: fn(&Probe) -> f64| probes.iter().map(f).sum::<f64>() / probes.len() as f64;
    assert!((sum(|p| p.signal) - 12.0).abs() < 0.6, "{}", sum(|p| p.signal));
    assert!((sum(|p| p.noise) - 12.0).abs() < 0.6, "{}", sum(|p| p.noise));
}

#[test]
fn findings_and_probes_survive_json() {
    let (probes, _) = walk(tuned("adam", &[("lr", 1e-3)]), &bowl(1.0, 1.0), 40);
    let text = serde_json::to_string(&probes).unwrap();
    assert_eq!(serde_json::from_str::<Vec<Probe>>(&text).unwrap(), probes);
    let found = findings(tuned("gd", &[("lr", 0.1)]), &bowl(1.0, 0.0), 200);
    let text = serde_json::to_string(&found).unwrap();
    assert_eq!(serde_json::from_str::<Vec<Finding>>(&text).unwrap(), found);
    assert!(text.contains(found[0].kind.name()));
}

#[test]
fn effective_rates_do_not_depend_on_what_a_method_keeps() {
    let (bench, lr) = (bowl(1.0, 0.3), 0.004);
    let rates = |name: &str| {
        let (probes, _) = walk(tuned(name, &[("lr", lr)]), &bench, 45);
        probes.into_iter().map(|p| p.layers[0].rates.unwrap()).collect::<Vec<_>>()
    };
    // The learning rate stands in the buffer of one and before it in the other; the steps are the same.
    for (a, b) in rates("momentum").iter().flatten().zip(rates("momentum@keras").iter().flatten()) {
        assert!((a / b - 1.0).abs() < 1e-3, "{a} {b}");
    }
    rates("gd").iter().flatten().for_each(|rate| assert!((rate / lr - 1.0).abs() < 1e-3, "{rate}"));
    // One gain, one rate for all, whatever the gradient's size.
    let (probes, _) = walk(tuned("meta_egd", &[("lr", lr), ("gamma", 1e-9)]), &bench, 45);
    let rates = probes.iter().flat_map(|p| p.layers[0].rates.unwrap());
    rates.for_each(|rate| assert!((rate / lr - 1.0).abs() < 1e-3, "{rate}"));
}

#[test]
fn running_means_are_those_of_sparse_gradients_too() {
    // In a large parameter a sample is followed.
    sums(&[3, 2], &[1, 2]);
    sums(&[5_000, 2], &[17, 4_999]);
}

/// That sparse gradients leave the same as the dense ones that they stand for.
fn sums(shape: &[usize], at: &[u32; 2]) {
    let parameters = [spec("x", shape)];
    let rows = |rows: &[u32], values: &[f32]| Gradient::Rows {
        rows: rows.to_vec(),
        values: values.to_vec(),
    };
    let [a, b] = *at;
    let sparse = [rows(&[b, 0, b], &[1., 2., 3., 4., 5., 6.]), rows(&[a, b], &[7., 8., 9., 1.])];
    let [mut a, mut b] = [0.9; 2].map(|memory| Recorder::new(10, &parameters, memory, 0.0));
    for gradient in sparse {
        b.see(&[Gradient::Dense(gradient.to_dense(shape))]);
        a.see(&[gradient]);
    }
    assert_eq!(format!("{a:?}"), format!("{b:?}"));
}

#[test]
fn batches_of_one_epoch_look_no_less_alike_than_independent_ones() {
    // Examples whose gradients sum to zero, eight at a time in an order that is drawn anew in every epoch.
    let (examples, batch) = (64, 8);
    let mut stream = Stream::new("epochs", 5, Purpose::Order, 0);
    let mut all: Vec<[f64; 4]> = (0..examples)
        .map(|_| [(); 4].map(|()| (0..12).map(|_| f64::from(stream.uniform())).sum::<f64>() - 6.0))
        .collect();
    for k in 0..4 {
        let mean = all.iter().map(|g| g[k]).sum::<f64>() / examples as f64;
        all.iter_mut().for_each(|g| g[k] -= mean);
    }
    let ratio = |portion: f64| {
        let mut recorder = Recorder::new(1, &[spec("x", &[4])], 0.0, portion);
        let mut order: Vec<usize> = (0..examples).collect();
        let mut stream = Stream::new("epochs", 6, Purpose::Order, 0);
        for _ in 0..4_000 {
            for i in (1..examples).rev() {
                order.swap(i, stream.below(i as u32 + 1) as usize);
            }
            for batch in order.chunks(batch) {
                let mean = |k: usize| batch.iter().map(|i| all[*i][k]).sum::<f64>() as f32 / 8.0;
                recorder.see(&[Gradient::Dense((0..4).map(mean).collect())]);
            }
        }
        let (signal, noise, _) = recorder.pairs;
        signal / noise
    };
    assert!((ratio(0.0) + 0.125 * 0.875).abs() < 0.01, "{}", ratio(0.0));
    assert!(ratio(0.125).abs() < 0.01, "{}", ratio(0.125));
}

#[test]
fn a_gradient_is_looked_at_once() {
    let looked = |every| {
        let (probes, _) = walk_at(every, tuned("gd", &[("lr", 1e-3)]), &bowl(1.0, 0.0), 12);
        probes.iter().map(|p| (p.step, p.layers[0].looked)).collect::<Vec<_>>()
    };
    // That of each probe and the one before it.
    assert_eq!(looked(5), [(2, 2), (4, 4), (5, 5), (8, 7), (10, 9)]);
    assert_eq!(looked(1), (2..=12).map(|step| (step, step)).collect::<Vec<_>>());
}
