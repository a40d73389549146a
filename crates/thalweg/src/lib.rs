//! Adaptive learning rates: every optimizer written once, as its formula, and run as one pass over
//! memory.

// Lets the `hypers!` macro name this crate the same way inside and outside of it.
extern crate self as thalweg;

mod chain;
mod convention;
mod engine;
mod error;
mod formula;
pub mod geometry;
mod hyper;
mod math;
pub mod online;
mod optimizer;
mod part;
mod probe;
mod real;
pub mod registry;
mod rule;
pub mod rules;
mod schedule;
mod sym;

/// Optimizers ready to use: chains with the defaults of paper or library.
pub mod recipes {
    pub use crate::rules::recipes::*;
}

pub use chain::Chain;
pub use convention::{Both, Denominator, Floor, Hat, Inside, Outside};
pub use engine::{Element, Isa, Threads};
pub use error::Error;
pub use formula::{Line, Page};
pub use hyper::{Hyper, HyperSpec, Hypers, Range};
pub use optimizer::{
    Builder, Loaded, NonFinite, Optimizer, Outcome, Param, Pattern, StepReport, biases_and_norms,
};
pub use part::{Fold, Geometry, Join, Part, Scope};
pub use probe::{GainSlots, Gains, Probe, QUANTILES, Reading};
pub use real::Real;
pub use rule::{At, Flow, Here, Memory, Rule, Slot, slot, slot_as};
pub use schedule::{Plateau, Schedule};
pub use sym::{Formula, Sym, SymMask};
