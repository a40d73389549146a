//! The linear layer, with bias and activation in the same operation.

use super::super::network::Activation;
use super::gemm::{Matrix, multiply};
use super::op::{Back, Memory, Op, Scratch, mask};
use super::vector::{add_rows, sized, tanh, vectorized};

/// `y = f(x Wᵀ + b)`; parameters `W [outputs, inputs]`, `b [outputs]`. An example may have many rows.
#[derive(Debug)]
pub(super) struct Linear {
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    pub(super) activation: Activation,
}

impl Op for Linear {
    fn parameters(&self) -> usize {
        2
    }

    fn forward(&self, w: &[&[f32]], x: &[f32], memory: &mut Memory, scratch: &mut Scratch) {
        let rows = x.len() / self.inputs;
        let y = sized(&mut memory.y, rows * self.outputs);
        let weights = Matrix::spread(w[0], self.outputs, self.inputs, &mut scratch.a);
        multiply(y, Matrix::new(x, rows, self.inputs), weights.transposed(), false);
        match self.activation {
            Activation::None => bias_floor(y, w[1], f32::NEG_INFINITY),
            Activation::Relu => bias_floor(y, w[1], 0.0),
            Activation::Gelu => bias_gelu(y, w[1], sized(&mut memory.kept, y.len())),
        }
    }

    fn backward(&self, w: &[&[f32]], x: &[f32], memory: &mut Memory, back: Back<'_>) {
        let Back { dy, dx, dw, .. } = back;
        let rows = x.len() / self.inputs;
        match self.activation {
            Activation::None => {}
            Activation::Relu => mask(dy, &memory.y),
            Activation::Gelu => scale(dy, &memory.kept),
        }
        let gradient = Matrix::new(dy, rows, self.outputs);
        let (weight, bias) = dw.split_at_mut(1);
        let weight = sized(&mut weight[0], self.outputs * self.inputs);
        multiply(weight, gradient.transposed(), Matrix::new(x, rows, self.inputs), false);
        let bias = sized(&mut bias[0], self.outputs);
        bias.fill(0.0);
        add_rows(bias, dy);
        if let Some(dx) = dx {
            let weights = Matrix::new(w[0], self.outputs, self.inputs);
            multiply(sized(dx, x.len()), gradient, weights, false);
        }
    }
}

/// √(2/π) and the cubic coefficient of the tanh form of GELU.
const GELU: [f32; 2] = [0.797_884_6, 0.044_715];

vectorized! {
    /// `y = max(y + b, floor)`. Not `f32::max`: it would turn NaN into zero and hide a divergence.
    fn bias_floor(y: &mut [f32], bias: &[f32], floor: f32) {
        for row in y.chunks_exact_mut(bias.len()) {
            for (y, b) in row.iter_mut().zip(bias) {
                let sum = *y + b;
                *y = if sum < floor { floor } else { sum };
            }
        }
    }

    /// `y = z (1 + t) / 2` with `z = y + b`, `t = tanh(√(2/π) (z + 0.044715 z³))`: GELU in the tanh
    /// form of GPT-2 (Hendrycks and Gimpel 2016). The slope at `z` is kept for the way back.
    fn bias_gelu(y: &mut [f32], bias: &[f32], slope: &mut [f32]) {
        let [a, c] = GELU;
        let rows = y.chunks_exact_mut(bias.len()).zip(slope.chunks_exact_mut(bias.len()));
        for (row, slope) in rows {
            for ((y, b), slope) in row.iter_mut().zip(bias).zip(slope) {
                let z = *y + b;
                let t = tanh(a * (z + c * z * z * z));
                let inner = a * (1.0 + 3.0 * c * z * z);
                *slope = 0.5 * (1.0 + t) + 0.5 * z * (1.0 - t * t) * inner;
                *y = 0.5 * z * (1.0 + t);
            }
        }
    }

    fn scale(dy: &mut [f32], slope: &[f32]) {
        for (d, s) in dy.iter_mut().zip(slope) {
            *d *= s;
        }
    }
}
