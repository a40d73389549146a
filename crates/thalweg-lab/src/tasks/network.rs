//! Networks as data: what the layers are, not how they are computed.

use super::model::ParameterSpec;
use crate::rng::{Purpose, Stream};

/// What a linear layer does with each of its sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    None,
    /// `max(z, 0)`.
    Relu,
    /// `z Φ(z)` in the tanh form of GPT-2 (Hendrycks and Gimpel, arXiv 1606.08415).
    Gelu,
}

/// One layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layer {
    /// `y = f(W x + b)` on every row of `inputs` numbers.
    Linear {
        /// The number of inputs.
        inputs: usize,
        /// The number of outputs.
        outputs: usize,
        /// `f`.
        activation: Activation,
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
    /// A convolution without bias, padded with zeros so that stride 1 keeps height and width.
    Conv {
        /// The number of input channels.
        inputs: usize,
        /// The number of output channels.
        outputs: usize,
        /// The height of the input.
        height: usize,
        /// The width of the input.
        width: usize,
        /// Height and width of the window; odd.
        kernel: usize,
        /// Pixels from one place of the window to the next.
        stride: usize,
    },
    /// Group normalisation (Wu and He, arXiv 1803.08494) with a scale and a shift per channel. In place
    /// of batch normalisation, whose running averages would make the loss depend on more than the
    /// parameters and the batch.
    GroupNorm {
        /// The number of channels.
        channels: usize,
        /// The number of groups; divides the number of channels.
        groups: usize,
        /// Height times width.
        plane: usize,
        /// Whether negative outputs become zero.
        relu: bool,
    },
    /// The mean of each channel over height and width.
    GlobalAveragePool {
        /// Height times width.
        plane: usize,
    },
    /// `y = body(x) + shortcut(x)`, then `max(y, 0)` if `relu`.
    Residual {
        /// What the names of its parameters begin with.
        name: String,
        /// The layers of the body.
        body: Vec<Layer>,
        /// The layers of the shortcut; none: `x` itself.
        shortcut: Vec<Layer>,
        /// Whether negative outputs become zero.
        relu: bool,
    },
    /// Layer normalisation of every row of `width` numbers, with a scale and a shift per column.
    LayerNorm {
        /// The length of a row.
        width: usize,
    },
    /// Causal attention; the input has rows of a query, a key and a value of `width` numbers each.
    Attention {
        /// The length of an output row.
        width: usize,
        /// The number of heads; divides `width`.
        heads: usize,
        /// Rows that belong to one sequence.
        context: usize,
    },
}

/// Turns the tokens of a sequence into the rows of the first layer: a vector per token plus a vector per
/// position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Embedding {
    /// The number of different tokens.
    pub vocabulary: usize,
    /// Tokens of a sequence.
    pub context: usize,
    /// The length of a vector.
    pub width: usize,
}

/// Layers in the order in which they are applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// What turns tokens into numbers; `None` if the inputs are numbers.
    pub embedding: Option<Embedding>,
    /// The layers.
    pub layers: Vec<Layer>,
}

impl Network {
    /// A stack of linear layers of the given widths, with `max(·, 0)` between them.
    pub fn mlp(widths: &[usize]) -> Self {
        let last = widths.len().saturating_sub(2);
        let activation = |i| if i < last { Activation::Relu } else { Activation::None };
        let layers = widths
            .windows(2)
            .enumerate()
            .map(|(i, w)| Layer::Linear { inputs: w[0], outputs: w[1], activation: activation(i) })
            .collect();
        Network { embedding: None, layers }
    }

    /// Two convolutions with pooling and a linear layer. `input` is channels, height and width of an
    /// image; both must be multiples of four.
    pub fn cnn(input: [usize; 3], channels: [usize; 2], classes: usize) -> Self {
        let ([inputs, height, width], [first, second]) = (input, channels);
        let conv = |inputs, outputs, by| Layer::ConvPool {
            inputs,
            outputs,
            height: height / by,
            width: width / by,
        };
        let flat = second * (height / 4) * (width / 4);
        let head = Layer::Linear { inputs: flat, outputs: classes, activation: Activation::None };
        Network {
            embedding: None,
            layers: vec![conv(inputs, first, 1), conv(first, second, 2), head],
        }
    }

    /// A residual network for small images (He et al., arXiv 1512.03385, section 4.2, with group
    /// normalisation): a 3x3 convolution, three stages of `blocks` blocks of two, with `width`,
    /// `2 width` and `4 width` channels, of which the second and third halve height and width; the mean
    /// over the plane; a linear layer. That makes `6 blocks + 2` layers. Height and width must be
    /// multiples of four, `width` of eight.
    pub fn resnet(input: [usize; 3], width: usize, blocks: usize, classes: usize) -> Self {
        let [channels, mut height, mut columns] = input;
        let stem = convolution(channels, width, [height, columns], 1, 3);
        let mut layers = vec![stem, norm(width, height * columns, true)];
        let mut inputs = width;
        for stage in 0..3 {
            for block in 0..blocks {
                let stride = if stage > 0 && block == 0 { 2 } else { 1 };
                let name = format!("stage{}.block{}", stage + 1, block + 1);
                let outputs = width << stage;
                layers.push(basic_block(name, [inputs, outputs], [height, columns], stride));
                (height, columns, inputs) = (height / stride, columns / stride, outputs);
            }
        }
        layers.push(Layer::GlobalAveragePool { plane: height * columns });
        let activation = Activation::None;
        layers.push(Layer::Linear { inputs, outputs: classes, activation });
        Network { embedding: None, layers }
    }

    /// A language model in the manner of GPT-2: embedding of tokens and positions, `blocks` blocks of
    /// attention and of a multi-layer perceptron four times as wide, each behind a layer normalisation
    /// and around a residual connection; a last normalisation and a linear layer. Its outputs are the
    /// logits of the next token, a row per position.
    pub fn gpt(embedding: Embedding, blocks: usize, heads: usize) -> Self {
        let Embedding { vocabulary, context, width } = embedding;
        let linear = |inputs, outputs, activation| Layer::Linear { inputs, outputs, activation };
        let residual = |name, body| Layer::Residual { name, body, shortcut: vec![], relu: false };
        let mut layers = Vec::new();
        for block in 1..=blocks {
            let attention = vec![
                Layer::LayerNorm { width },
                linear(width, 3 * width, Activation::None),
                Layer::Attention { width, heads, context },
                linear(width, width, Activation::None),
            ];
            let mlp = vec![
                Layer::LayerNorm { width },
                linear(width, 4 * width, Activation::Gelu),
                linear(4 * width, width, Activation::None),
            ];
            layers.push(residual(format!("block{block}.attention"), attention));
            layers.push(residual(format!("block{block}.mlp"), mlp));
        }
        layers.push(Layer::LayerNorm { width });
        layers.push(linear(width, vocabulary, Activation::None));
        Network { embedding: Some(embedding), layers }
    }

    /// Names and shapes of the parameters.
    pub fn parameters(&self) -> Vec<ParameterSpec> {
        self.described().into_iter().map(|(spec, _)| spec).collect()
    }

    /// Initial values. They depend on task and seed only, so that every optimizer starts from the same
    /// point. Linear layers and convolutions with bias start uniform in `±1/√fan_in`, as PyTorch starts
    /// them; convolutions before a normalisation normal with variance `2/fan_in` (He et al. 2015);
    /// embeddings normal with deviation 0.02; scales at one and shifts at zero.
    pub fn initial_values(&self, task: &str, seed: u64) -> Vec<Vec<f32>> {
        let described = self.described();
        let values = described.iter().enumerate().map(|(i, (spec, start))| {
            let mut stream = Stream::new(task, seed, Purpose::Init, i as u64);
            (0..spec.len()).map(|_| start.draw(&mut stream)).collect()
        });
        values.collect()
    }

    fn described(&self) -> Vec<(ParameterSpec, Start)> {
        let mut list = Vec::new();
        if let Some(Embedding { vocabulary, context, width }) = self.embedding {
            for (name, rows) in [("token", vocabulary), ("position", context)] {
                let (name, shape) = (format!("embedding.{name}"), vec![rows, width]);
                list.push((ParameterSpec { name, shape, fan_in: 1 }, Start::Normal(0.02)));
            }
        }
        describe(&self.layers, "", &mut list);
        list
    }
}

fn convolution(
    inputs: usize,
    outputs: usize,
    size: [usize; 2],
    stride: usize,
    kernel: usize,
) -> Layer {
    let [height, width] = size;
    Layer::Conv { inputs, outputs, height, width, kernel, stride }
}

/// Eight groups.
fn norm(channels: usize, plane: usize, relu: bool) -> Layer {
    Layer::GroupNorm { channels, groups: 8, plane, relu }
}

/// Two 3x3 convolutions, and a 1x1 convolution as shortcut where the shape changes.
fn basic_block(name: String, channels: [usize; 2], size: [usize; 2], stride: usize) -> Layer {
    let [inputs, outputs] = channels;
    let smaller = size.map(|n| n / stride);
    let plane = smaller.iter().product();
    let body = vec![
        convolution(inputs, outputs, size, stride, 3),
        norm(outputs, plane, true),
        convolution(outputs, outputs, smaller, 1, 3),
        norm(outputs, plane, false),
    ];
    let same = stride == 1 && inputs == outputs;
    let project =
        || vec![convolution(inputs, outputs, size, stride, 1), norm(outputs, plane, false)];
    let shortcut = if same { Vec::new() } else { project() };
    Layer::Residual { name, body, shortcut, relu: true }
}

/// How a parameter starts.
#[derive(Debug, Clone, Copy)]
enum Start {
    Constant(f32),
    /// Between minus this and this.
    Uniform(f32),
    /// With mean zero and this deviation.
    Normal(f32),
}

impl Start {
    fn draw(self, stream: &mut Stream) -> f32 {
        match self {
            Start::Constant(value) => value,
            Start::Uniform(bound) => (2.0 * stream.uniform() - 1.0) * bound,
            Start::Normal(deviation) => {
                // Box and Muller; one minus a number below one is never zero.
                let radius = (-2.0 * f64::from(1.0 - stream.uniform()).ln()).sqrt();
                let angle = std::f64::consts::TAU * f64::from(stream.uniform());
                (radius * angle.cos()) as f32 * deviation
            }
        }
    }
}

/// Appends the parameters of `layers`, in the order in which the engine takes them.
fn describe(layers: &[Layer], prefix: &str, list: &mut Vec<(ParameterSpec, Start)>) {
    let (mut linear, mut conv, mut norms) = (0, 0, 0);
    for layer in layers {
        match *layer {
            Layer::Linear { inputs, outputs, .. } => {
                linear += 1;
                let name = format!("{prefix}fc{linear}");
                describe_biased(name, vec![outputs, inputs], inputs, list);
            }
            Layer::ConvPool { inputs, outputs, .. } => {
                conv += 1;
                let name = format!("{prefix}conv{conv}");
                describe_biased(name, vec![outputs, inputs, 3, 3], inputs * 9, list);
            }
            Layer::Conv { inputs, outputs, kernel, .. } => {
                conv += 1;
                let (name, fan_in) =
                    (format!("{prefix}conv{conv}.weight"), inputs * kernel * kernel);
                let shape = vec![outputs, inputs, kernel, kernel];
                let start = Start::Normal((2.0 / fan_in as f32).sqrt());
                list.push((ParameterSpec { name, shape, fan_in }, start));
            }
            Layer::GroupNorm { channels: size, .. } | Layer::LayerNorm { width: size } => {
                norms += 1;
                for (what, value) in [("weight", 1.0), ("bias", 0.0)] {
                    let name = format!("{prefix}norm{norms}.{what}");
                    let spec = ParameterSpec { name, shape: vec![size], fan_in: 1 };
                    list.push((spec, Start::Constant(value)));
                }
            }
            Layer::Residual { ref name, ref body, ref shortcut, .. } => {
                describe(body, &format!("{prefix}{name}."), list);
                describe(shortcut, &format!("{prefix}{name}.shortcut."), list);
            }
            Layer::GlobalAveragePool { .. } | Layer::Attention { .. } => {}
        }
    }
}

/// A weight and a bias, uniform in `±1/√fan_in`.
fn describe_biased(
    name: String,
    shape: Vec<usize>,
    fan_in: usize,
    list: &mut Vec<(ParameterSpec, Start)>,
) {
    let start = Start::Uniform(1.0 / (fan_in as f32).sqrt());
    let bias = vec![shape[0]];
    list.push((ParameterSpec { name: format!("{name}.weight"), shape, fan_in }, start));
    list.push((ParameterSpec { name: format!("{name}.bias"), shape: bias, fan_in }, start));
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
        let cnn = names(Network::cnn([1, 28, 28], [32, 64], 10));
        assert_eq!(cnn[2], ("conv2.weight".to_owned(), vec![64, 32, 3, 3]));
        assert_eq!(cnn[4], ("fc1.weight".to_owned(), vec![10, 3136]));
    }

    #[test]
    fn only_the_last_linear_layer_is_without_relu() {
        let relu: Vec<bool> = Network::mlp(&[5, 4, 3, 2])
            .layers
            .iter()
            .map(|l| matches!(l, Layer::Linear { activation: Activation::Relu, .. }))
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

    #[test]
    fn a_residual_network_names_its_stages() {
        let network = Network::resnet([3, 32, 32], 16, 1, 10);
        let specs = network.parameters();
        let names: Vec<&str> = specs.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names[..3], ["conv1.weight", "norm1.weight", "norm1.bias"]);
        assert!(names.contains(&"stage2.block1.shortcut.conv1.weight"));
        assert!(!names.contains(&"stage1.block1.shortcut.conv1.weight"));
        assert_eq!(specs.iter().map(ParameterSpec::len).sum::<usize>(), 78_042);
    }

    #[test]
    fn a_language_model_names_its_blocks() {
        let embedding = Embedding { vocabulary: 65, context: 16, width: 32 };
        let specs = Network::gpt(embedding, 2, 4).parameters();
        let find = |name: &str| specs.iter().find(|p| p.name == name).map(|p| p.shape.clone());
        assert_eq!(find("embedding.token"), Some(vec![65, 32]));
        assert_eq!(find("block2.attention.fc1.weight"), Some(vec![96, 32]));
        assert_eq!(find("block1.mlp.fc2.weight"), Some(vec![32, 128]));
        assert_eq!(find("fc1.weight"), Some(vec![65, 32]));
    }

    #[test]
    fn normal_draws_have_the_deviation_they_should() {
        let mut stream = Stream::new("t", 0, Purpose::Init, 0);
        let draws: Vec<f32> = (0..100_000).map(|_| Start::Normal(2.0).draw(&mut stream)).collect();
        let mean = draws.iter().sum::<f32>() / 1e5;
        let variance = draws.iter().map(|v| v * v).sum::<f32>() / 1e5;
        assert!(mean.abs() < 0.03 && (variance - 4.0).abs() < 0.08, "{mean} {variance}");
    }
}
