//! Reaching the numbers inside candle's tensors.

use std::sync::{Mutex, PoisonError};

use candle_core::{CpuStorage, InplaceOp1, Layout, Result, Storage, Tensor, bail};

/// The values of a contiguous f32 operand of a CPU operation.
pub(super) fn operand<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let CpuStorage::F32(values) = storage else { bail!("the operand is not f32") };
    let Some((start, end)) = layout.contiguous_offsets() else {
        bail!("the operand is not contiguous")
    };
    Ok(&values[start..end])
}

/// The same for a tensor whose storage is locked by the caller.
pub(super) fn stored<'a>(storage: &'a Storage, layout: &Layout) -> Result<&'a [f32]> {
    match storage {
        Storage::Cpu(storage) => operand(storage, layout),
        _ => bail!("the tensor is not on the CPU"),
    }
}

/// Moves the buffer out of a tensor that is not used any more.
pub(super) fn take_buffer(tensor: &Tensor) -> Result<Vec<f32>> {
    struct Take(Mutex<Vec<f32>>);

    impl InplaceOp1 for Take {
        fn name(&self) -> &'static str {
            "take-buffer"
        }

        fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
            let CpuStorage::F32(values) = storage else { bail!("the tensor is not f32") };
            if layout.contiguous_offsets() != Some((0, values.len())) {
                bail!("the tensor is a view of another one");
            }
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = std::mem::take(values);
            Ok(())
        }
    }

    let take = Take(Mutex::new(Vec::new()));
    tensor.inplace_op1(&take)?;
    Ok(take.0.into_inner().unwrap_or_else(PoisonError::into_inner))
}
