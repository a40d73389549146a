//! The training engine: candle keeps the tape, and the layers are our own operations on it.
//!
//! candle's own convolution and pooling are slow on a CPU, and its backward pass allocates per
//! operation, so a whole layer is one operation here. Values and gradients cross the border without a
//! copy: the caller's buffers become tensors and come back.

mod conv;
mod gemm;
mod linear;
mod loss;
mod tensor;

use candle_core::{Device, Tensor, Var};

use super::model::{Batch, Model, ParameterSpec, Score};
use super::network::{Layer, Network};
use crate::Result;
use conv::ConvPool;
use linear::Linear;
use loss::CrossEntropy;
use tensor::take_buffer;

/// A [`Network`] computed with candle.
#[derive(Debug)]
pub struct CandleModel {
    layers: Vec<Layer>,
    parameters: Vec<ParameterSpec>,
    threads: usize,
}

impl CandleModel {
    /// The model of `network`, computed on `threads` threads; the bits do not depend on the number.
    pub fn new(network: &Network, threads: usize) -> Self {
        CandleModel {
            layers: network.layers.clone(),
            parameters: network.parameters(),
            threads: threads.max(1),
        }
    }

    /// The logits of the examples in `inputs`; `parameters` are in pairs of weight and bias.
    fn logits<T: AsRef<Tensor>>(&self, parameters: &[T], inputs: &[f32]) -> Result<Tensor> {
        let mut x = self.input(inputs)?;
        for (layer, pair) in self.layers.iter().zip(parameters.chunks_exact(2)) {
            let (weight, bias) = (pair[0].as_ref(), pair[1].as_ref());
            x = match *layer {
                Layer::Linear { inputs, relu, .. } => {
                    let rows = x.elem_count() / inputs;
                    let op = Linear { relu, threads: self.threads };
                    x.reshape((rows, inputs))?.apply_op3(weight, bias, op)?
                }
                Layer::ConvPool { .. } => x.apply_op3(weight, bias, ConvPool::new(self.threads))?,
            };
        }
        Ok(x)
    }

    fn input(&self, inputs: &[f32]) -> Result<Tensor> {
        let shape = match self.layers.first() {
            Some(Layer::ConvPool { inputs: channels, height, width, .. }) => {
                let rows = inputs.len() / (channels * height * width);
                vec![rows, *channels, *height, *width]
            }
            _ => vec![inputs.len()],
        };
        Ok(Tensor::from_slice(inputs, shape, &Device::Cpu)?)
    }
}

/// So that [`CandleModel::logits`] takes variables (with a tape) and tensors (without) alike.
struct Leaf(Var);

impl AsRef<Tensor> for Leaf {
    fn as_ref(&self) -> &Tensor {
        self.0.as_tensor()
    }
}

impl Model for CandleModel {
    fn parameters(&self) -> &[ParameterSpec] {
        &self.parameters
    }

    fn loss_and_gradients(
        &mut self,
        values: &mut [Vec<f32>],
        batch: &Batch,
        gradients: &mut [Vec<f32>],
    ) -> Result<f32> {
        let leaves = self
            .parameters
            .iter()
            .zip(values.iter_mut())
            .map(|(p, v)| {
                Ok(Leaf(Var::from_vec(std::mem::take(v), p.shape.as_slice(), &Device::Cpu)?))
            })
            .collect::<Result<Vec<_>>>()?;
        let logits = self.logits(&leaves, &batch.inputs)?;
        let loss = logits.apply_op1(CrossEntropy::new(&batch.labels))?;
        let mut store = loss.backward()?;
        let loss = loss.to_scalar::<f32>()?;
        for ((leaf, value), gradient) in leaves.into_iter().zip(values).zip(gradients) {
            let tensor = store.remove(leaf.as_ref()).ok_or_else(|| {
                candle_core::Error::Msg("a parameter received no gradient".to_owned())
            })?;
            *gradient = take_buffer(&tensor)?;
            *value = take_buffer(leaf.as_ref())?;
        }
        Ok(loss)
    }

    fn evaluate(&mut self, values: &mut [Vec<f32>], batch: &Batch) -> Result<Score> {
        let tensors = self
            .parameters
            .iter()
            .zip(values.iter_mut())
            .map(|(p, v)| {
                Ok(Tensor::from_vec(std::mem::take(v), p.shape.as_slice(), &Device::Cpu)?)
            })
            .collect::<Result<Vec<_>>>()?;
        let logits = self.logits(&tensors, &batch.inputs)?;
        for (tensor, value) in tensors.iter().zip(values) {
            *value = take_buffer(tensor)?;
        }
        Ok(loss::score(&take_buffer(&logits)?, &batch.labels))
    }
}

#[cfg(test)]
mod tests;
