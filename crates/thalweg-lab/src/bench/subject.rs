//! What is timed: an optimizer with the buffers of a workload, as a user would have them.

use std::time::Instant;

use half::bf16;
use thalweg::{NonFinite, Optimizer, Param, Stored, registry};

use super::bound;
use super::variant::{Variant, ramp};
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
    lending: Lending,
    steps: usize,
}

/// Steps after which zeroed gradients are written anew: long before moments have faded until they are subnormal
/// numbers, with which no processor is fast, and seldom enough that gradients are where the step has left them.
const ZEROED: usize = 256;

/// The least number of a gradient, and how far its numbers lie apart.
const FIRST: f32 = -0.05;
const GRAIN: f32 = 1e-4;

/// How gradients are given.
enum Lending {
    Dense,
    /// To be zeroed by the step.
    Zeroed,
    /// Of these rows.
    Rows(Vec<u32>),
    /// Of these rows, all being stepped.
    ExactRows(Vec<u32>),
}

impl Lending {
    fn of(variant: &Variant, workload: &Workload) -> Result<Lending> {
        Ok(match variant.rows(workload)? {
            Some(rows) if variant.is_exact() => Lending::ExactRows(rows),
            Some(rows) => Lending::Rows(rows),
            None if variant.is_tail() => Lending::Zeroed,
            None => Lending::Dense,
        })
    }

    fn lend<'a, S: Stored<f32>>(&'a self, param: Param<'a, f32>, g: &'a mut [S]) -> Param<'a, f32> {
        match self {
            Lending::Dense => param.grad(g),
            Lending::Zeroed => param.grad_to_zero(g),
            Lending::Rows(rows) => param.sparse_grad(rows, g),
            Lending::ExactRows(rows) => param.exact_sparse_grad(rows, g),
        }
    }
}

impl Subject {
    /// A variant of an optimizer on fresh buffers.
    pub(super) fn new(variant: &Variant, workload: &Workload, threads: usize) -> Result<Subject> {
        let optimizer = variant.optimizer(threads).map_err(|e: thalweg::Error| {
            Error::usage(e.to_string(), "see `thalweg list optimizers` and `thalweg bench --help`")
        })?;
        let lending = Lending::of(variant, workload)?;
        let sizes: Vec<usize> = workload.shapes.iter().map(|s| s.iter().product()).collect();
        let grad_sizes = workload.shapes.iter().zip(&sizes).map(|(shape, n)| match &lending {
            Lending::Rows(rows) | Lending::ExactRows(rows) => rows.len() * (n / shape[0]),
            Lending::Dense | Lending::Zeroed => *n,
        });
        let values = sizes.iter().map(|n| variant.numbers(*n, -0.5, 1e-3)).collect();
        let grads = grad_sizes.map(|n| variant.numbers(n, FIRST, GRAIN)).collect();
        Ok(Subject { optimizer, values, grads, lending, steps: 0 })
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
        Ok(Subject { optimizer, values, grads, lending: Lending::Dense, steps: 0 })
    }

    /// One step, in seconds.
    pub(super) fn step(&mut self, workload: &Workload) -> Result<f64> {
        let lending = &self.lending;
        let mut params: Vec<Param<'_, f32>> = (workload.names.iter().zip(&workload.shapes))
            .zip(self.values.iter_mut().zip(&mut self.grads))
            .map(|((name, shape), (x, g))| {
                let param = match x {
                    Numbers::F32(x) => Param::of(name, shape, x.as_mut_slice()),
                    Numbers::Bf16(x) => Param::of(name, shape, x.as_mut_slice()),
                };
                match g {
                    Numbers::F32(g) => lending.lend(param, g),
                    Numbers::Bf16(g) => lending.lend(param, g),
                }
            })
            .collect();
        let start = Instant::now();
        let report = self.optimizer.step(&mut params);
        let seconds = start.elapsed().as_secs_f64();
        drop(params);
        self.steps += 1;
        if matches!(self.lending, Lending::Zeroed) && self.steps.is_multiple_of(ZEROED) {
            self.differentiate();
        }
        match report {
            Ok(report) if report.applied() => Ok(seconds),
            Ok(_) => Err(Error::failed("a step was refused", "report this as a bug")),
            Err(e) => Err(Error::failed(e.to_string(), "report this as a bug")),
        }
    }
}

impl Subject {
    /// Gradients as a backward pass would leave them.
    fn differentiate(&mut self) {
        for grad in &mut self.grads {
            if let Numbers::F32(grad) = grad {
                grad.iter_mut().zip(ramp(FIRST, GRAIN)).for_each(|(g, new)| *g = new);
            }
        }
    }
}

/// The names of all optimizers, presets of one formula once.
pub(super) fn all() -> Vec<&'static str> {
    registry::all().iter().map(|e| e.name).filter(|name| !name.contains('@')).collect()
}
