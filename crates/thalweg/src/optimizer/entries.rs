//! The tensors of a checkpoint.

use std::collections::HashSet;

use safetensors::tensor::{Dtype, SafeTensors};

use crate::error::Error;

pub(super) fn fail(what: impl Into<String>) -> Error {
    Error::Checkpoint(what.into())
}

/// The tensors of a file, each to be asked for once.
pub(super) struct Entries<'a> {
    tensors: &'a SafeTensors<'a>,
    used: HashSet<String>,
}

impl<'a> Entries<'a> {
    pub(super) fn new(tensors: &'a SafeTensors<'a>) -> Self {
        Entries { tensors, used: HashSet::new() }
    }

    /// The bytes of a tensor that must be there, of this type and shape.
    pub(super) fn get(
        &mut self,
        name: String,
        want: Dtype,
        wanted: &[usize],
    ) -> Result<&'a [u8], Error> {
        let tensor =
            self.tensors.tensor(&name).map_err(|_| fail(format!("lacks the tensor {name:?}")))?;
        if tensor.dtype() != want || tensor.shape() != wanted {
            let (is, shape) = (tensor.dtype(), tensor.shape());
            return Err(fail(format!("{name:?} is {is:?} {shape:?}, not {want:?} {wanted:?}")));
        }
        self.used.insert(name);
        Ok(tensor.data())
    }

    pub(super) fn scalar(&mut self, name: String) -> Result<f64, Error> {
        let bytes = self.get(name, Dtype::F64, &[])?;
        Ok(f64::from_le_bytes(bytes.try_into().expect("eight bytes")))
    }

    pub(super) fn all_used(&self) -> Result<(), Error> {
        let mut extra: Vec<&str> = self.tensors.names();
        extra.retain(|name| !self.used.contains(*name));
        extra.sort_unstable();
        match extra.first() {
            None => Ok(()),
            Some(first) => Err(fail(format!(
                "holds tensors that belong to no parameter or slot here: {first:?} and {} more",
                extra.len() - 1
            ))),
        }
    }
}
