//! What a step did.

use std::sync::Arc;

use crate::probe::{MomentReading, Reading};

/// Whether a step was taken.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// State and parameters have moved.
    Applied,
    /// Parameters and state are as they were: these parameters' gradients hold NaN or infinity, or would
    /// once loss scale and weight are applied and earlier batches added (name, how many).
    Refused(Vec<(String, u64)>),
}

/// What [`Optimizer::step`](crate::Optimizer::step) did.
#[derive(Clone, Debug)]
#[must_use = "a step may have been refused"]
#[non_exhaustive]
pub struct StepReport {
    /// Applied or refused.
    pub outcome: Outcome,
    /// Steps taken so far, this one included if it was applied.
    pub step: u64,
    /// The Euclidean norm over all gradients (accumulated, unscaled) before clipping; `None` if nothing needed it
    /// ([`NonFinite::Unchecked`](crate::NonFinite) without clipping).
    pub grad_norm: Option<f64>,
    /// The limit of that norm at this step; `None` without one.
    pub clip_global_norm: Option<f64>,
    /// What all gradients were multiplied by to limit their norm; 1 if they were not.
    pub clip_factor: f64,
    /// What the gradients were divided by: the loss scale before this step adapted it, 1 without one.
    pub loss_scale: f64,
    /// The weight of the gradients of this step: what the call was told, 1 by `step`, and that of those
    /// accumulated before.
    pub weight: f64,
    /// The hyper-parameter `lr` of each group at this step (`None` if its chain has none). Where a method
    /// learns its rate it is what that started from or is a factor of: the rate itself is a scalar
    /// ([`Optimizer::scalar`](crate::Optimizer::scalar)), and [`Gains::rates`](crate::Gains::rates).
    pub lr: Arc<[(String, Option<f64>)]>,
    /// Parameters that came without a gradient and were left alone; not those that stepped on what was
    /// accumulated.
    pub without_gradient: Arc<[String]>,
    /// Parameters met for the first time, in the order of the list: they start anew. After a checkpoint was
    /// loaded these are the ones it does not have, under this name at least; those that it has and no
    /// step was given are [`Optimizer::unmet`](crate::Optimizer::unmet).
    pub first_met: Arc<[String]>,
    /// Parameters left alone because they are frozen.
    pub frozen: usize,
    /// What [`Probe::Gains`](crate::Probe::Gains) read, if this step was probed.
    pub readings: Vec<Reading>,
    /// What [`Probe::Moments`](crate::Probe::Moments) read, if this step was probed.
    pub moments: Vec<MomentReading>,
}

impl StepReport {
    /// Whether state and parameters have moved.
    pub fn applied(&self) -> bool {
        self.outcome == Outcome::Applied
    }
}
