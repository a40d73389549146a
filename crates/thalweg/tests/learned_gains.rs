//! Learned gains that no library has, against loops written out from their papers, and against what
//! they become where they can only be one thing.

mod common;

use common::prng::Rng;
use common::walk::distance_relative;
use thalweg::rules::*;
use thalweg::{Chain, Optimizer, Param, registry};

const STEPS: usize = 40;
const N: usize = 5;

/// Gradients of a bowl with noise; now and then a coordinate has none.
fn gradient(rng: &mut Rng, x: &[f64]) -> Vec<f64> {
    let noise = rng.normal(x.len());
    let value = |(i, (x, e)): (usize, (&f64, f64))| (i + 1) as f64 * x + 0.3 * e;
    let all = x.iter().zip(noise).enumerate().map(value);
    all.map(|g| if rng.uniform() < 0.2 { 0.0 } else { g }).collect()
}

/// Where the chain takes `start`, a tensor per entry of `lengths`, all of one group.
fn run(chain: Chain, lengths: &[usize]) -> Vec<f64> {
    let n = lengths.iter().sum();
    let (mut rng, mut x) = (Rng::new(17), vec![1.0; n]);
    let mut opt = Optimizer::<f64>::new(chain).unwrap();
    let names: Vec<String> = (0..lengths.len()).map(|k| format!("w{k}")).collect();
    for _ in 0..STEPS {
        let g = gradient(&mut rng, &x);
        let (mut x, mut g, mut params) = (&mut x[..], &g[..], vec![]);
        for (name, len) in names.iter().zip(lengths) {
            let (mine, rest) = x.split_at_mut(*len);
            params.push(Param::new(name, std::slice::from_ref(len), mine, &g[..*len]));
            (x, g) = (rest, &g[*len..]);
        }
        assert!(opt.step(&mut params).unwrap().applied());
    }
    x
}

/// Where a loop takes the same start: `update` is what a step subtracts.
fn by_hand(n: usize, mut update: impl FnMut(usize, &[f64]) -> Vec<f64>) -> Vec<f64> {
    let (mut rng, mut x) = (Rng::new(17), vec![1.0; n]);
    for t in 1..=STEPS {
        let g = gradient(&mut rng, &x);
        x.iter_mut().zip(update(t, &g)).for_each(|(x, u)| *x -= u);
    }
    x
}

#[track_caller]
fn same(a: &[f64], b: &[f64]) {
    assert!(distance_relative(a, b) < 1e-11, "{a:?}\n{b:?}");
}

fn entry(name: &str, values: &[(&str, f64)]) -> Chain {
    registry::build(name, values).unwrap()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let norms = dot(a, a).sqrt() * dot(b, b).sqrt();
    if norms > 0.0 { dot(a, b) / norms } else { 0.0 }
}

fn sign(v: f64) -> f64 {
    if v == 0.0 { 0.0 } else { v.signum() }
}

/// One MetaEGD gain's logarithm: `ℓ ← clamp(ℓ + γ·signal, ln ν_min, ln ν_max)`.
fn learn(ell: f64, gamma: f64, signal: f64) -> f64 {
    (ell + gamma * signal).clamp(1e-3f64.ln(), 1e3f64.ln())
}

#[test]
fn meta_egd_by_sign_and_with_the_last_gradient_that_was_not_zero() {
    for (name, by_sign) in [("meta_egd_sign", true), ("meta_egd_sparse", false)] {
        let got = run(entry(name, &[("gamma", 0.2), ("lr", 0.05)]), &[N]);
        let (mut ell, mut prev) = ([0.0; N], [0.0; N]);
        let want = by_hand(N, |_, g| {
            (0..N)
                .map(|i| {
                    let product: f64 = prev[i] * g[i];
                    let signal = if by_sign { sign(product) } else { product.clamp(-1.0, 1.0) };
                    ell[i] = learn(ell[i], 0.2, signal);
                    prev[i] = if !by_sign && g[i] == 0.0 { prev[i] } else { g[i] };
                    0.05 * ell[i].exp() * g[i]
                })
                .collect()
        });
        same(&got, &want);
    }
}

#[test]
fn meta_egd_by_balance() {
    let rule = MetaEgd::<Balance>::default().gamma(0.2);
    let got = run((rule, Scale::default().lr(0.05)).into(), &[N]);
    let (mut ell, mut prev) = ([0.0; N], [0.0; N]);
    let want = by_hand(N, |_, g| {
        (0..N)
            .map(|i| {
                let squares: f64 = prev[i] * prev[i] + g[i] * g[i];
                let balance = 2.0 * prev[i] * g[i] / squares;
                ell[i] = learn(ell[i], 0.2, if squares > 0.0 { balance } else { 0.0 });
                prev[i] = g[i];
                0.05 * ell[i].exp() * g[i]
            })
            .collect()
    });
    same(&got, &want);
}

#[test]
fn meta_egd_around_adam() {
    let got = run(entry("meta_egd_adam", &[("gamma", 0.2), ("lr", 0.05)]), &[N]);
    let (mut m, mut v, mut ell, mut prev) = ([0.0; N], [0.0; N], [0.0; N], [0.0; N]);
    let want = by_hand(N, |t, g| {
        let (c1, c2) = (1.0 - 0.9f64.powi(t as i32), 1.0 - 0.999f64.powi(t as i32));
        (0..N)
            .map(|i| {
                m[i] = 0.9 * m[i] + 0.1 * g[i];
                v[i] = 0.999 * v[i] + 0.001 * g[i] * g[i];
                let d = m[i] / c1 / ((v[i] / c2).sqrt() + 1e-8);
                ell[i] = learn(ell[i], 0.2, sign(prev[i]) * sign(g[i]));
                prev[i] = d;
                0.05 * ell[i].exp() * d
            })
            .collect()
    });
    same(&got, &want);
}

#[test]
fn one_gain_for_a_tensor_follows_the_cosine() {
    let got = run(entry("meta_egd_tensor", &[("gamma", 0.2), ("lr", 0.05)]), &[N]);
    let (mut ell, mut prev) = (0.0, vec![0.0; N]);
    let want = by_hand(N, |_, g| {
        ell = learn(ell, 0.2, cosine(&prev, g));
        prev = g.to_vec();
        g.iter().map(|g| 0.05 * f64::exp(ell) * g).collect()
    });
    same(&got, &want);
}

#[test]
fn a_group_of_two_tensors_has_the_gain_of_the_whole() {
    fn with<S: Shared, A: Agreement>() -> Chain {
        Chain::new(()).fold(GroupGain::<S, A>::default().gamma(0.2)).then(Scale::default().lr(0.05))
    }
    same(&run(with::<PerGroup, Cosine>(), &[2, 3]), &run(with::<PerTensor, Cosine>(), &[N]));
    same(&run(with::<PerGroup, Inner>(), &[2, 3]), &run(with::<PerTensor, Inner>(), &[N]));
    let apart = run(with::<PerTensor, Cosine>(), &[2, 3]);
    assert!(distance_relative(&apart, &run(with::<PerTensor, Cosine>(), &[N])) > 1e-3);
    // Of a single coordinate it is the coordinate's own.
    let scale = || Scale::default().lr(0.05);
    let alone = MetaEgd::<Product>::default().gamma(0.2).clip(f64::INFINITY);
    same(&run(with::<PerTensor, Inner>(), &[1]), &run((alone, scale()).into(), &[1]));
    let by_sign = MetaEgd::<Sign>::default().gamma(0.2);
    same(&run(with::<PerTensor, Cosine>(), &[1]), &run((by_sign, scale()).into(), &[1]));
}

#[test]
fn the_multiplicative_hypergradient() {
    let got = run(entry("sgd_hd_cosine", &[("hyper_lr", 0.05), ("lr", 0.05)]), &[N]);
    let (mut rate, mut prev) = (0.05, vec![0.0; N]);
    let want = by_hand(N, |_, g| {
        rate *= 1.0 + 0.05 * cosine(&prev, g);
        prev = g.to_vec();
        g.iter().map(|g| rate * g).collect()
    });
    same(&got, &want);
}

#[test]
fn funnelled_descent() {
    let tuned =
        [("gain_lr", 0.2), ("scale_lr", 0.02), ("lr", 0.03), ("momentum", 0.8), ("beta", 0.7)];
    let got = run(entry("funnelled_sgdm", &tuned), &[N]);
    let (mut ell, mut h, mut m, mut scale) = ([0.0; N], [0.0; N], [0.0; N], 1.0);
    let want = by_hand(N, |_, g| {
        scale = f64::clamp(scale * (0.02 * dot(&h, g)).exp(), 1e-3, 1e3);
        (0..N)
            .map(|i| {
                ell[i] = learn(ell[i], 0.2, m[i] * g[i]);
                m[i] = 0.7 * m[i] + 0.3 * g[i];
                h[i] = 0.8 * h[i] + 0.03 * f64::exp(ell[i]) * g[i];
                scale * h[i]
            })
            .collect()
    });
    same(&got, &want);
    // Without learning it is momentum with the rate inside.
    let still = [("gain_lr", 0.0), ("scale_lr", 0.0), ("lr", 0.03), ("momentum", 0.8)];
    let momentum: Chain = (Scale::default().lr(0.03), Momentum::default().momentum(0.8)).into();
    for name in ["funnelled_sgdm", "egdd"] {
        same(&run(entry(name, &still), &[N]), &run(momentum.clone(), &[N]));
    }
}
