//! The linear layer, with bias and rectifier in the same operation.

use candle_core::{CpuStorage, CustomOp3, Device, Layout, Result, Shape, Tensor};

use super::gemm::{Matrix, multiply};
use super::tensor::{operand, stored};

/// `y = x Wᵀ + b`, then `max(y, 0)` if `relu`; arguments `x [n, i]`, `W [o, i]`, `b [o]`.
#[derive(Debug)]
pub(super) struct Linear {
    pub(super) relu: bool,
    pub(super) threads: usize,
}

impl CustomOp3 for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        w: &CpuStorage,
        w_layout: &Layout,
        b: &CpuStorage,
        b_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (rows, inputs) = x_layout.shape().dims2()?;
        let outputs = w_layout.shape().dims2()?.0;
        let (x, w, b) = (operand(x, x_layout)?, operand(w, w_layout)?, operand(b, b_layout)?);
        let mut y = vec![0.0; rows * outputs];
        let weights = Matrix::new(w, outputs, inputs).transposed();
        multiply(&mut y, Matrix::new(x, rows, inputs), weights, false, self.threads);
        // Not `max`: it would turn NaN into zero and hide a divergence.
        let floor = if self.relu { 0.0 } else { f32::NEG_INFINITY };
        for row in y.chunks_exact_mut(outputs) {
            for (y, b) in row.iter_mut().zip(b) {
                let sum = *y + b;
                *y = if sum < floor { floor } else { sum };
            }
        }
        Ok((CpuStorage::F32(y), (rows, outputs).into()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        _b: &Tensor,
        y: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let ((rows, inputs), outputs) = (x.dims2()?, w.dims2()?.0);
        let ((xs, xl), (ws, wl)) = (x.storage_and_layout(), w.storage_and_layout());
        let ((ys, yl), (ds, dl)) = (y.storage_and_layout(), dy.storage_and_layout());
        let (x_values, w_values) = (stored(&xs, xl)?, stored(&ws, wl)?);
        let (y_values, mut dy) = (stored(&ys, yl)?, stored(&ds, dl)?);

        let masked: Vec<f32>;
        if self.relu {
            let pass = |(d, y): (&f32, &f32)| if *y == 0.0 { 0.0 } else { *d };
            masked = dy.iter().zip(y_values).map(pass).collect();
            dy = &masked;
        }
        let dy_matrix = Matrix::new(dy, rows, outputs);
        let mut dw = vec![0.0; outputs * inputs];
        let x_matrix = Matrix::new(x_values, rows, inputs);
        multiply(&mut dw, dy_matrix.transposed(), x_matrix, false, self.threads);
        let mut db = vec![0.0; outputs];
        for row in dy.chunks_exact(outputs) {
            for (sum, d) in db.iter_mut().zip(row) {
                *sum += d;
            }
        }
        // The first layer's input is data: nobody asks for its gradient.
        let dx = if x.track_op() {
            let mut dx = vec![0.0; rows * inputs];
            let weights = Matrix::new(w_values, outputs, inputs);
            multiply(&mut dx, dy_matrix, weights, false, self.threads);
            Some(Tensor::from_vec(dx, (rows, inputs), &Device::Cpu)?)
        } else {
            None
        };
        let dw = Tensor::from_vec(dw, (outputs, inputs), &Device::Cpu)?;
        let db = Tensor::from_vec(db, outputs, &Device::Cpu)?;
        Ok((dx, Some(dw), Some(db)))
    }
}
