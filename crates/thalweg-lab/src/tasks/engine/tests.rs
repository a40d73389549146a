//! The engine against finite differences, against PyTorch and against itself.

use super::*;
use crate::rng::{Purpose, Stream};

fn networks() -> Vec<Network> {
    let cnn = Network::cnn([2, 8, 12], [3, 4], 5);
    let embedding = Embedding { vocabulary: 5, context: 6, width: 8 };
    vec![
        Network::mlp(&[12, 5]),
        Network::mlp(&[12, 9, 7, 5]),
        cnn,
        Network::resnet([3, 8, 8], 8, 1, 5),
        Network::gpt(embedding, 2, 2),
    ]
}

fn batch(network: &Network, examples: usize) -> Batch {
    let mut stream = Stream::new("engine-test", 0, Purpose::Order, 0);
    let values = network.example() * examples;
    let rows = examples * network.embedding.map_or(1, |e| e.context);
    let mut batch = Batch::default();
    match network.embedding {
        Some(e) => batch.tokens = (0..values).map(|_| stream.below(e.vocabulary as u32)).collect(),
        None => batch.inputs = (0..values).map(|_| 2.0 * stream.uniform() - 1.0).collect(),
    }
    batch.labels = (0..rows).map(|i| (i % 5) as u8).collect();
    batch
}

fn gradients_of(
    network: &Network,
    values: &mut [Vec<f32>],
    batch: &Batch,
    threads: usize,
) -> (f32, Vec<Vec<f32>>) {
    let mut gradients = vec![Vec::new(); values.len()];
    let mut model = NetworkModel::new(network, threads);
    let loss = model.loss_and_gradients(values, batch, &mut gradients).unwrap();
    (loss, gradients)
}

/// Along a random direction of each parameter. A rectifier or maximum that changes sides within the
/// difference adds an error that grows with the step (8 % at 2e-3 for the first convolution of the small
/// CNN, 0.7 % at 5e-4, 0.8 % at 2.5e-4); rounding adds one that grows as the step shrinks, and a mean of
/// several differences halves it.
#[test]
fn gradients_agree_with_finite_differences() {
    for network in networks() {
        let batch = batch(&network, 11);
        let mut values = network.initial_values("engine-test", 2);
        let before = values.clone();
        let (loss, gradients) = gradients_of(&network, &mut values, &batch, 1);
        assert_eq!(values, before, "values come back unchanged");
        let mut model = NetworkModel::new(&network, 1);
        let score = model.evaluate(&mut values, &batch).unwrap();
        assert!((score.loss() - f64::from(loss)).abs() < 1e-6);
        for (p, spec) in network.parameters().iter().enumerate() {
            let mut stream = Stream::new("direction", p as u64, Purpose::Init, 0);
            let size = 1.0 / (spec.len() as f32).sqrt();
            let along: Vec<f32> =
                (0..spec.len()).map(|_| (2.0 * stream.uniform() - 1.0) * size).collect();
            let mut at = |shift: f32| {
                let mut moved = values.clone();
                moved[p].iter_mut().zip(&along).for_each(|(v, a)| *v += shift * a);
                model.evaluate(&mut moved, &batch).unwrap().loss()
            };
            let steps = [2e-4f32, 2.5e-4, 3e-4, 3.5e-4];
            let differences = steps.map(|h| (at(h) - at(-h)) / (2.0 * f64::from(h)));
            let slope = differences.iter().sum::<f64>() / steps.len() as f64;
            let found: f32 = gradients[p].iter().zip(&along).map(|(g, a)| g * a).sum();
            let error = (slope - f64::from(found)).abs();
            assert!(error < 2e-4 + 0.01 * slope.abs(), "{}: {slope} {found}", spec.name);
        }
    }
}

#[derive(serde::Deserialize)]
struct Expected {
    loss: f64,
    sums: Vec<[f64; 2]>,
}

/// The numbers of `peers/engine.py --numbers`: PyTorch 2.15 in double precision.
#[test]
fn loss_and_gradients_agree_with_pytorch() {
    let expected: std::collections::BTreeMap<String, Expected> =
        serde_json::from_str(include_str!("torch.json")).unwrap();
    let filled = |n: usize, p: usize, scale: f64| -> Vec<f32> {
        let value = |i: usize| ((i * 7919 + p * 104_729) % 1009) as f64 / 1009.0 - 0.5;
        (0..n).map(|i| (value(i) * scale) as f32).collect()
    };
    let embedding = Embedding { vocabulary: 11, context: 6, width: 16 };
    let images = Batch {
        inputs: filled(6 * 192, 99, 2.0),
        labels: (0..6).map(|i| i % 5).collect(),
        ..Batch::default()
    };
    let text = Batch {
        tokens: (0..18).map(|i| i * 5 % 11).collect(),
        labels: (0..18).map(|i| i * 3 % 11).collect(),
        ..Batch::default()
    };
    let small = Batch { inputs: filled(6 * 192, 99, 2.0), ..images.clone() };
    let resnet = Network::resnet([3, 8, 8], 8, 1, 5);
    for (name, network, batch) in [
        ("cnn", Network::cnn([2, 8, 12], [3, 4], 5), small),
        ("resnet", resnet, images),
        ("lm", Network::gpt(embedding, 2, 4), text),
    ] {
        let expected = &expected[name];
        let specs = network.parameters();
        let mut values: Vec<Vec<f32>> =
            specs.iter().enumerate().map(|(p, s)| filled(s.len(), p, 0.6)).collect();
        let (loss, gradients) = gradients_of(&network, &mut values, &batch, 1);
        assert!((f64::from(loss) - expected.loss).abs() < 1e-5, "{name}: {loss}");
        assert_eq!(specs.len(), expected.sums.len());
        for ((spec, g), [norm, weighted]) in specs.iter().zip(&gradients).zip(&expected.sums) {
            let found = g.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
            let weights = (0..g.len()).map(|i| (i % 7) as f64 - 3.0);
            let sum: f64 = g.iter().zip(weights).map(|(g, w)| f64::from(*g) * w).sum();
            let bound = 1e-5 + 1e-4 * norm;
            assert!((found - norm).abs() < bound, "{name} {}: {found} {norm}", spec.name);
            assert!((sum - weighted).abs() < 10.0 * bound, "{}: {sum} {weighted}", spec.name);
        }
    }
}

#[test]
fn bits_do_not_depend_on_the_number_of_threads() {
    let mut networks = networks();
    networks.push(Network::mlp(&[784, 256, 128, 10]));
    networks.push(Network::cnn([1, 28, 28], [32, 64], 10));
    for network in networks {
        let batch = batch(&network, 37);
        let mut values = network.initial_values("engine-test", 3);
        let first = gradients_of(&network, &mut values, &batch, 1);
        for threads in [2, 3] {
            assert!(first == gradients_of(&network, &mut values, &batch, threads));
        }
    }
}

/// Buffers of an earlier and larger batch must leave no trace.
#[test]
fn a_model_gives_the_same_bits_when_it_is_used_again() {
    for network in networks() {
        let (large, small) = (batch(&network, 21), batch(&network, 3));
        let mut values = network.initial_values("engine-test", 5);
        let fresh = gradients_of(&network, &mut values, &small, 1);
        let mut model = NetworkModel::new(&network, 1);
        let mut gradients = vec![Vec::new(); values.len()];
        model.loss_and_gradients(&mut values, &large, &mut gradients).unwrap();
        model.evaluate(&mut values, &large).unwrap();
        let loss = model.loss_and_gradients(&mut values, &small, &mut gradients).unwrap();
        assert!((loss, gradients) == fresh);
    }
}

#[test]
fn a_divergence_is_not_rectified_away() {
    for network in networks() {
        let batch = batch(&network, 5);
        let mut values = network.initial_values("engine-test", 4);
        values.iter_mut().for_each(|v| v.fill(f32::NAN));
        let (loss, _) = gradients_of(&network, &mut values, &batch, 1);
        assert!(loss.is_nan());
        let score = NetworkModel::new(&network, 1).evaluate(&mut values, &batch).unwrap();
        assert!(score.loss().is_nan() && score.correct == 0);
    }
}

#[test]
fn a_batch_that_does_not_fit_is_an_error_and_no_panic() {
    let network = Network::mlp(&[4, 3]);
    let mut model = NetworkModel::new(&network, 1);
    let mut values = network.initial_values("engine-test", 0);
    for (inputs, labels) in [(0, 0), (5, 1), (8, 1)] {
        let batch =
            Batch { inputs: vec![0.0; inputs], labels: vec![0; labels], ..Batch::default() };
        assert!(model.evaluate(&mut values, &batch).is_err());
    }
    let batch = Batch { inputs: vec![0.0; 4], labels: vec![3], ..Batch::default() };
    assert!(model.evaluate(&mut values, &batch).unwrap_err().problem().contains("label 3"));
}
