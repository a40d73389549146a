//! What is timed: an optimizer with the buffers of a workload, as a user would have them.

use std::time::Instant;

use thalweg::{Chain, NonFinite, Optimizer, Param, Probe, registry, rules};

use super::bound::{self, MOST_SLOTS};
use super::workload::Workload;
use crate::{Error, Result};

/// AdamW put together at run time, stage by stage.
const CHAIN3: &str = "chain3";
/// AdamW with the check for non-finite gradients that is on by default.
const GUARDED: &str = "guarded";
/// MetaEGD with the gains probe at every step.
const PROBED: &str = "probed";

/// The names of all element-wise optimizers (presets of one formula once), and the three above.
pub(super) fn all() -> Vec<String> {
    let formula = |e: &&&registry::Entry| !e.name.contains('@');
    let mut names: Vec<String> =
        registry::all().iter().filter(formula).map(|e| e.name.to_owned()).collect();
    names.extend([CHAIN3, GUARDED, PROBED].map(str::to_owned));
    names
}

/// An optimizer at work.
pub(super) struct Subject {
    optimizer: Optimizer<f32>,
    values: Vec<Vec<f32>>,
    grads: Vec<Vec<f32>>,
    /// State streams: what the bound for it must move.
    pub(super) slots: usize,
}

impl Subject {
    /// The optimizer called `name` on fresh buffers.
    pub(super) fn named(name: &str, workload: &Workload, threads: usize) -> Result<Subject> {
        let library =
            |e: thalweg::Error| Error::usage(e.to_string(), "see `thalweg list optimizers`");
        let mut builder = Optimizer::<f32>::builder().threads(threads);
        let chain = match name {
            CHAIN3 => Chain::new(<rules::Adam>::default())
                .then(rules::DecayWeights::default())
                .then(rules::Scale::default()),
            GUARDED => registry::build("adamw", &[]).map_err(library)?,
            PROBED => {
                builder = builder.probe(Probe::Gains);
                registry::build("meta_egd", &[]).map_err(library)?
            }
            name => registry::build(name, &[]).map_err(library)?,
        };
        if name != GUARDED {
            builder = builder.non_finite(NonFinite::Unchecked);
        }
        let slots = chain.memory_per_coordinate().min(MOST_SLOTS);
        Ok(Subject::new(builder.rest("all", chain).build().map_err(library)?, slots, workload))
    }

    /// The kernel of the bound with `slots` state streams, on the same buffers.
    pub(super) fn bound(slots: usize, workload: &Workload, threads: usize) -> Result<Subject> {
        let optimizer = Optimizer::<f32>::builder()
            .threads(threads)
            .non_finite(NonFinite::Unchecked)
            .rest("all", bound::chain(slots))
            .build()
            .map_err(|e| Error::failed(e.to_string(), "choose another thread count"))?;
        Ok(Subject::new(optimizer, slots, workload))
    }

    fn new(optimizer: Optimizer<f32>, slots: usize, workload: &Workload) -> Subject {
        let buffer = |from: f32, step: f32| -> Vec<Vec<f32>> {
            let sizes = workload.shapes.iter().map(|s| s.iter().product::<usize>());
            let value = |i: usize| from + step * (i % 1013) as f32;
            sizes.map(|n| (0..n).map(value).collect()).collect()
        };
        Subject { optimizer, values: buffer(-0.5, 1e-3), grads: buffer(-0.05, 1e-4), slots }
    }

    /// One step, in seconds.
    pub(super) fn step(&mut self, workload: &Workload) -> Result<f64> {
        let mut params: Vec<Param<'_, f32>> = (workload.names.iter().zip(&workload.shapes))
            .zip(self.values.iter_mut().zip(&self.grads))
            .map(|((name, shape), (x, g))| Param::new(name, shape, x, g))
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
