//! From layers as data to layers at work.

use super::super::network::{Layer, Network};
use super::attention::Attention;
use super::conv::{Conv, ConvPool, GlobalAveragePool};
use super::linear::Linear;
use super::norm::{GroupNorm, LayerNorm};
use super::op::{Op, Residual, Sequence};
use super::patches::Window;

/// The operations of `layers`.
pub(super) fn sequence(layers: &[Layer]) -> Sequence {
    Sequence(layers.iter().map(operation).collect())
}

fn operation(layer: &Layer) -> Box<dyn Op> {
    match *layer {
        Layer::Linear { inputs, outputs, activation } => {
            Box::new(Linear { inputs, outputs, activation })
        }
        Layer::ConvPool { inputs: channels, outputs, height, width } => {
            let window = Window { channels, height, width, kernel: 3, stride: 1 };
            Box::new(ConvPool { window, outputs })
        }
        Layer::Conv { inputs: channels, outputs, height, width, kernel, stride } => {
            Box::new(Conv { window: Window { channels, height, width, kernel, stride }, outputs })
        }
        Layer::GroupNorm { channels, groups, plane, relu } => {
            Box::new(GroupNorm { channels, groups, plane, relu })
        }
        Layer::GlobalAveragePool { plane } => Box::new(GlobalAveragePool { plane }),
        Layer::Residual { ref body, ref shortcut, relu, .. } => {
            Box::new(Residual { body: sequence(body), shortcut: sequence(shortcut), relu })
        }
        Layer::LayerNorm { width } => Box::new(LayerNorm { width }),
        Layer::Attention { width, heads, context } => Box::new(Attention { width, heads, context }),
    }
}

impl Network {
    /// Numbers, or tokens, of one example.
    pub fn example(&self) -> usize {
        if let Some(embedding) = self.embedding {
            return embedding.context;
        }
        match self.layers.first() {
            Some(Layer::Linear { inputs, .. }) => *inputs,
            Some(Layer::ConvPool { inputs, height, width, .. })
            | Some(Layer::Conv { inputs, height, width, .. }) => inputs * height * width,
            Some(Layer::GroupNorm { channels, plane, .. }) => channels * plane,
            Some(Layer::GlobalAveragePool { plane }) => *plane,
            Some(Layer::LayerNorm { width }) => *width,
            Some(Layer::Attention { width, context, .. }) => 3 * width * context,
            Some(Layer::Residual { body, .. }) => {
                Network { embedding: None, layers: body.clone() }.example()
            }
            None => 1,
        }
    }

    /// The number of classes: the outputs of the last layer, which should be linear.
    pub fn classes(&self) -> usize {
        match self.layers.last() {
            Some(Layer::Linear { outputs, .. }) => *outputs,
            _ => 0,
        }
    }
}
