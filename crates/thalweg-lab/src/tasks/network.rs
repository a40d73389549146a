//! Networks as data: what the layers are, not how they are computed.

use super::model::ParameterSpec;
use crate::rng::{Purpose, Stream};

/// One layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    /// `y = W x + b`, then `max(y, 0)` if `relu`.
    Linear {
        /// The number of inputs.
        inputs: usize,
        /// The number of outputs.
        outputs: usize,
        /// Whether negative outputs become zero.
        relu: bool,
    },
    /// A 3x3 convolution with zero padding 1, bias, `max(·, 0)` and 2x2 maximum pooling. Height and
    /// width are those of the input and must be even.
    ConvPool {
        /// The number of input channels.
        inputs: usize,
        /// The number of output channels.
        outputs: usize,
        /// The height of the input.
        height: usize,
        /// The width of the input.
        width: usize,
    },
}

/// Layers in the order in which they are applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// The layers.
    pub layers: Vec<Layer>,
}

impl Network {
    /// A stack of linear layers of the given widths, with `max(·, 0)` between them.
    pub fn mlp(widths: &[usize]) -> Self {
        let last = widths.len().saturating_sub(2);
        let layers = widths
            .windows(2)
            .enumerate()
            .map(|(i, w)| Layer::Linear { inputs: w[0], outputs: w[1], relu: i < last })
            .collect();
        Network { layers }
    }

    /// Two convolutions and a linear layer for square images with one channel.
    pub fn cnn(side: usize, channels: [usize; 2], classes: usize) -> Self {
        let [first, second] = channels;
        let (half, quarter) = (side / 2, side / 4);
        let inputs = second * quarter * quarter;
        Network {
            layers: vec![
                Layer::ConvPool { inputs: 1, outputs: first, height: side, width: side },
                Layer::ConvPool { inputs: first, outputs: second, height: half, width: half },
                Layer::Linear { inputs, outputs: classes, relu: false },
            ],
        }
    }

    /// Names and shapes of the parameters, a weight and a bias per layer.
    pub fn parameters(&self) -> Vec<ParameterSpec> {
        let (mut linear, mut conv) = (0, 0);
        self.layers
            .iter()
            .flat_map(|layer| {
                let (prefix, shape, fan_in) = match *layer {
                    Layer::Linear { inputs, outputs, .. } => {
                        linear += 1;
                        (format!("fc{linear}"), vec![outputs, inputs], inputs)
                    }
                    Layer::ConvPool { inputs, outputs, .. } => {
                        conv += 1;
                        (format!("conv{conv}"), vec![outputs, inputs, 3, 3], inputs * 9)
                    }
                };
                let bias = vec![shape[0]];
                [
                    ParameterSpec { name: format!("{prefix}.weight"), shape, fan_in },
                    ParameterSpec { name: format!("{prefix}.bias"), shape: bias, fan_in },
                ]
            })
            .collect()
    }

    /// Initial values: uniform in `±1/√fan_in`, as PyTorch starts linear and convolution layers. They
    /// depend on task and seed only, so that every optimizer starts from the same point.
    pub fn initial_values(&self, task: &str, seed: u64) -> Vec<Vec<f32>> {
        self.parameters()
            .iter()
            .enumerate()
            .map(|(i, parameter)| {
                let bound = 1.0 / (parameter.fan_in as f32).sqrt();
                let mut stream = Stream::new(task, seed, Purpose::Init, i as u64);
                (0..parameter.len()).map(|_| (2.0 * stream.uniform() - 1.0) * bound).collect()
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_shapes_are_those_of_the_field() {
        let names = |n: Network| -> Vec<(String, Vec<usize>)> {
            n.parameters().into_iter().map(|p| (p.name, p.shape)).collect()
        };
        let mlp = names(Network::mlp(&[4, 3, 2]));
        assert_eq!(mlp[0], ("fc1.weight".to_owned(), vec![3, 4]));
        assert_eq!(mlp[3], ("fc2.bias".to_owned(), vec![2]));
        let cnn = names(Network::cnn(28, [32, 64], 10));
        assert_eq!(cnn[2], ("conv2.weight".to_owned(), vec![64, 32, 3, 3]));
        assert_eq!(cnn[4], ("fc1.weight".to_owned(), vec![10, 3136]));
    }

    #[test]
    fn only_the_last_linear_layer_is_without_relu() {
        let relu: Vec<bool> = Network::mlp(&[5, 4, 3, 2])
            .layers
            .iter()
            .map(|l| matches!(l, Layer::Linear { relu: true, .. }))
            .collect();
        assert_eq!(relu, [true, true, false]);
    }

    #[test]
    fn initial_values_depend_on_task_and_seed_only() {
        let network = Network::mlp(&[64, 10]);
        assert_eq!(network.initial_values("t", 1), network.initial_values("t", 1));
        assert_ne!(network.initial_values("t", 1), network.initial_values("t", 2));
        assert!(network.initial_values("t", 1)[0].iter().all(|v| v.abs() <= 0.125));
    }
}
