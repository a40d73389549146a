//! What is timed: an optimizer with the buffers of a workload, as a user would have them.

use std::time::Instant;

use half::bf16;
use thalweg::{NonFinite, Optimizer, Param, registry};

use super::bound;
use super::variant::Variant;
use super::workload::Workload;
use crate::{Error, Result};

/// Buffers of a tensor in the format of a variant.
pub(super) enum Numbers {
    F32(Vec<f32>),
    Bf16(Vec<bf16>),
}

/// An optimizer at work.
pub(super) struct Subject {
    optimizer: Optimizer<f32>,
    values: Vec<Numbers>,
    grads: Vec<Numbers>,
    /// The rows that have a gradient, where it is sparse.
    rows: Option<Vec<u32>>,
    /// Whether the gradient is zeroed by the step.
    zeroed: bool,
}

impl Subject {
    /// A variant of an optimizer on fresh buffers.
    pub(super) fn new(variant: &Variant, workload: &Workload, threads: usize) -> Result<Subject> {
        let optimizer = variant.optimizer(threads).map_err(|e: thalweg::Error| {
            Error::usage(e.to_string(), "see `thalweg list optimizers` and `thalweg bench --help`")
        })?;
        let rows = variant.rows(workload)?;
        let sizes: Vec<usize> = workload.shapes.iter().map(|s| s.iter().product()).collect();
        let grad_sizes = workload.shapes.iter().zip(&sizes).map(|(shape, n)| match &rows {
            Some(rows) => rows.len() * (n / shape[0]),
            None => *n,
        });
        let values = sizes.iter().map(|n| variant.numbers(*n, -0.5, 1e-3)).collect();
        let grads = grad_sizes.map(|n| variant.numbers(n, -0.05, 1e-4)).collect();
        Ok(Subject { optimizer, values, grads, rows, zeroed: variant.is_tail() })
    }

    /// The kernel of the bound with `slots` state streams.
    pub(super) fn bound(slots: usize, workload: &Workload, threads: usize) -> Result<Subject> {
        let optimizer = Optimizer::<f32>::builder()
            .threads(threads)
            .non_finite(NonFinite::Unchecked)
            .rest("all", bound::chain(slots))
            .build()
            .map_err(|e| Error::failed(e.to_string(), "choose another thread count"))?;
        let sizes = workload.shapes.iter().map(|s| s.iter().product());
        let buffer = |n: usize| Numbers::F32(vec![1e-3; n]);
        let (values, grads) = (sizes.clone().map(buffer).collect(), sizes.map(buffer).collect());
        Ok(Subject { optimizer, values, grads, rows: None, zeroed: false })
    }

    /// One step, in seconds.
    pub(super) fn step(&mut self, workload: &Workload) -> Result<f64> {
        let mut params: Vec<Param<'_, f32>> = (workload.names.iter().zip(&workload.shapes))
            .zip(self.values.iter_mut().zip(&mut self.grads))
            .map(|((name, shape), (x, g))| {
                let param = match x {
                    Numbers::F32(x) => Param::of(name, shape, x.as_mut_slice()),
                    Numbers::Bf16(x) => Param::of(name, shape, x.as_mut_slice()),
                };
                match (g, &self.rows, self.zeroed) {
                    (Numbers::F32(g), Some(rows), _) => param.sparse_grad(rows, g.as_slice()),
                    (Numbers::Bf16(g), Some(rows), _) => param.sparse_grad(rows, g.as_slice()),
                    (Numbers::F32(g), None, true) => param.grad_to_zero(g.as_mut_slice()),
                    (Numbers::Bf16(g), None, true) => param.grad_to_zero(g.as_mut_slice()),
                    (Numbers::F32(g), None, false) => param.grad(g.as_slice()),
                    (Numbers::Bf16(g), None, false) => param.grad(g.as_slice()),
                }
            })
            .collect();
        let start = Instant::now();
        let report = self.optimizer.step(&mut params);
        let seconds = start.elapsed().as_secs_f64();
        match report {
            Ok(report) if report.applied() => Ok(seconds),
            Ok(_) => Err(Error::failed("a step was refused", "report this as a bug")),
            Err(e) => Err(Error::failed(e.to_string(), "report this as a bug")),
        }
    }
}

/// The names of all optimizers, presets of one formula once.
pub(super) fn all() -> Vec<&'static str> {
    registry::all().iter().map(|e| e.name).filter(|name| !name.contains('@')).collect()
}
