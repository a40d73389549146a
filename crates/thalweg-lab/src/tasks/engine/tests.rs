//! The engine against finite differences and against itself.

use super::*;
use crate::rng::{Purpose, Stream};

fn batch(pixels: usize, rows: usize) -> Batch {
    let mut stream = Stream::new("engine-test", 0, Purpose::Order, 0);
    Batch {
        inputs: (0..rows * pixels).map(|_| 2.0 * stream.uniform() - 1.0).collect(),
        labels: (0..rows).map(|i| (i % 5) as u8).collect(),
    }
}

fn networks() -> [(Network, usize); 3] {
    let cnn = Network {
        layers: vec![
            Layer::ConvPool { inputs: 2, outputs: 3, height: 8, width: 12 },
            Layer::ConvPool { inputs: 3, outputs: 4, height: 4, width: 6 },
            Layer::Linear { inputs: 4 * 2 * 3, outputs: 5, relu: false },
        ],
    };
    [(Network::mlp(&[12, 5]), 12), (Network::mlp(&[12, 9, 7, 5]), 12), (cnn, 192)]
}

/// Loss and accuracy computed by candle's own operations wherever its own are right; the pooling takes
/// four shifted views because candle's `max_pool2d` scales its gradient by a quarter.
fn reference(network: &Network, values: &[Vec<f32>], batch: &Batch) -> (f32, Vec<Vec<f32>>) {
    let run = || -> candle_core::Result<_> {
        let rows = batch.labels.len();
        let leaves: Vec<Var> = network
            .parameters()
            .iter()
            .zip(values)
            .map(|(p, v)| Var::from_vec(v.clone(), p.shape.as_slice(), &Device::Cpu))
            .collect::<candle_core::Result<_>>()?;
        let mut x = Tensor::from_slice(&batch.inputs, batch.inputs.len(), &Device::Cpu)?;
        for (layer, pair) in network.layers.iter().zip(leaves.chunks_exact(2)) {
            x = match *layer {
                Layer::Linear { inputs, relu, .. } => {
                    let y = x.reshape((rows, inputs))?.matmul(&pair[0].t()?)?;
                    let y = y.broadcast_add(&pair[1])?;
                    if relu { y.relu()? } else { y }
                }
                Layer::ConvPool { inputs, outputs, height, width } => {
                    let y =
                        x.reshape((rows, inputs, height, width))?.conv2d(&pair[0], 1, 1, 1, 1)?;
                    let y = y.broadcast_add(&pair[1].reshape((1, outputs, 1, 1))?)?.relu()?;
                    let squares = y.reshape((rows, outputs, height / 2, 2, width / 2, 2))?;
                    squares.max(5)?.max(3)?
                }
            };
        }
        let labels: Vec<u32> = batch.labels.iter().map(|l| u32::from(*l)).collect();
        let labels = Tensor::from_vec(labels, (rows, 1), &Device::Cpu)?;
        let log_sum = x.exp()?.sum_keepdim(1)?.log()?;
        let loss = x.broadcast_sub(&log_sum)?.gather(&labels, 1)?.mean_all()?.neg()?;
        let store = loss.backward()?;
        let gradients = leaves
            .iter()
            .map(|l| store.get(l).unwrap().flatten_all()?.to_vec1::<f32>())
            .collect::<candle_core::Result<_>>()?;
        Ok((loss.to_scalar::<f32>()?, gradients))
    };
    run().unwrap()
}

#[test]
fn gradients_agree_with_plain_operations() {
    for (network, pixels) in networks() {
        let batch = batch(pixels, 11);
        let mut values = network.initial_values("engine-test", 1);
        let before = values.clone();
        let mut gradients = vec![Vec::new(); values.len()];
        let mut model = CandleModel::new(&network, 1);
        let loss = model.loss_and_gradients(&mut values, &batch, &mut gradients).unwrap();
        assert_eq!(values, before, "values come back unchanged");
        let (expected_loss, expected) = reference(&network, &values, &batch);
        assert!((loss - expected_loss).abs() < 1e-5, "{loss} {expected_loss}");
        for (parameter, (found, expected)) in
            model.parameters().iter().zip(gradients.iter().zip(&expected))
        {
            for (a, b) in found.iter().zip(expected) {
                assert!((a - b).abs() < 1e-5 + 1e-4 * b.abs(), "{}: {a} {b}", parameter.name);
            }
        }
    }
}

#[test]
fn gradients_agree_with_finite_differences() {
    for (network, pixels) in networks() {
        let batch = batch(pixels, 6);
        let mut values = network.initial_values("engine-test", 2);
        let mut gradients = vec![Vec::new(); values.len()];
        let mut model = CandleModel::new(&network, 1);
        model.loss_and_gradients(&mut values, &batch, &mut gradients).unwrap();
        for p in 0..values.len() {
            let i = values[p].len() / 2;
            // Small, so that no rectifier or maximum changes sides within the difference.
            let h = 5e-4;
            let mut at = |shift: f32| {
                let mut moved = values.clone();
                moved[p][i] += shift;
                model.evaluate(&mut moved, &batch).unwrap().loss()
            };
            let slope = (at(h) - at(-h)) / (2.0 * f64::from(h));
            let found = f64::from(gradients[p][i]);
            assert!((slope - found).abs() < 1e-3, "parameter {p}: {slope} {found}");
        }
    }
}

#[test]
fn bits_do_not_depend_on_the_number_of_threads() {
    for (network, pixels) in networks()
        .into_iter()
        .chain([(Network::mlp(&[784, 256, 128, 10]), 784), (Network::cnn(28, [32, 64], 10), 784)])
    {
        let batch = batch(pixels, 64);
        let mut outcomes = [1, 2, 3].map(|threads| {
            let mut values = network.initial_values("engine-test", 3);
            let mut gradients = vec![Vec::new(); values.len()];
            let mut model = CandleModel::new(&network, threads);
            let loss = model.loss_and_gradients(&mut values, &batch, &mut gradients).unwrap();
            (loss.to_bits(), gradients)
        });
        let first = std::mem::take(&mut outcomes[0]);
        assert!(outcomes[1..].iter().all(|o| *o == first));
    }
}

#[test]
fn a_divergence_is_not_rectified_away() {
    for (network, pixels) in networks() {
        let batch = batch(pixels, 5);
        let mut values = network.initial_values("engine-test", 4);
        values[0].fill(f32::NAN);
        let mut gradients = vec![Vec::new(); values.len()];
        let mut model = CandleModel::new(&network, 1);
        let loss = model.loss_and_gradients(&mut values, &batch, &mut gradients).unwrap();
        assert!(loss.is_nan());
        let score = model.evaluate(&mut values, &batch).unwrap();
        assert!(score.loss().is_nan() && score.correct == 0);
    }
}
