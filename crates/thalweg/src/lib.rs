//! Adaptive optimizers: every method written once, as its formula, and run as one pass over
//! memory.
//!
//! ```
//! use thalweg::{Optimizer, Param, recipes::adamw};
//!
//! let mut opt = Optimizer::<f32>::new(adamw().with("lr", 0.1)?)?;
//! let (mut x, gradient) = (vec![1.0, -2.0], vec![0.5, -0.25]);
//! let report = opt.step(&mut [Param::new("x", &[2], &mut x, &gradient)])?;
//! assert!(report.applied() && x[0] < 1.0 && x[1] > -2.0);
//! # Ok::<(), thalweg::Error>(())
//! ```
//!
//! Parameters and gradients are slices, lent for one step with a name and a shape. The training
//! loop is yours.
//!
//! # Where things are
//!
//! | you want | look at |
//! |---|---|
//! | an optimizer with its usual defaults | [`recipes`], or by name [`registry`] |
//! | to put one together | [`Chain`], [`rules`], [`geometry`], and [conventions as types](Denominator) |
//! | to write one | [`Rule`]; with sums over a tensor first, [`Fold`] or [`Geometry`] |
//! | to step parameters | [`Optimizer`], [`Builder`], [`Param`], [`StepReport`] |
//! | half precision, 8-bit state | [`Storage`], [`LowPrecision`], [`Param::of`] |
//! | accumulation, loss scale, sparse gradients | [`Optimizer::accumulate`], [`LossScale`], [`Param::sparse_grad`] |
//! | averages, SAM | [`Optimizer::evaluation`], [`sam`] |
//! | groups | [`Pattern`], [`biases_and_norms`] |
//! | a hyper-parameter that changes | [`Schedule`], [`Plateau`] |
//! | an optimizer described in a file | [`Builder::from_file`], [`Builder::to_toml`] |
//! | to save and go on | [`Optimizer::save`], [`Optimizer::load`] |
//! | to go on from another library's state | [`Optimizer::import_bytes`], [`Library`] |
//! | to watch learned gains and moments | [`Probe`], [`Gains`], [`Moments`] |
//! | formulas on paper | [`Chain::formulas`] |
//! | regret | [`online`] |
//!
//! # What it promises
//!
//! The same bits for any number of threads, any instruction set, any grouping of a chain into
//! tuples, and after loading a checkpoint. A step that fails has changed nothing, and one that is refused
//! no more than the count of refusals and a loss scale that adapts itself. A gradient with NaN or infinity never
//! reaches state, unless the check is switched off; then only whether a number is NaN is the same everywhere, not
//! its bits, nor the sign of the zero that 8-bit state makes of it.
//!
//! # What it does not do
//!
//! There are no matrix methods (Muon, Shampoo, K-FAC), no second-order methods, and no adapters for
//! tensor libraries. It computes no gradients.

// Lets the `hypers!` macro name this crate the same way inside and outside of it.
extern crate self as thalweg;

mod chain;
mod convention;
#[cfg(doctest)]
mod doctests;
mod engine;
mod error;
mod formula;
pub mod geometry;
mod hyper;
mod math;
mod member;
#[doc(hidden)]
pub mod naive;
mod notation;
pub mod online;
mod optimizer;
mod part;
mod plateau;
mod probe;
mod real;
mod recipe_file;
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
pub use convention::{Both, Denominator, Floor, Hat, HatBoth, Inside, Outside};
pub use engine::lent::Stored;
pub use engine::{Element, Isa, OwnThreads, Threads};
pub use error::Error;
pub use formula::{Line, Page};
#[doc(hidden)]
pub use hyper::Block;
pub use hyper::{Hyper, HyperSpec, Hypers, Range};
pub use optimizer::sam;
pub use optimizer::{
    Accumulation, Builder, Imported, Library, Loaded, LossScale, LowPrecision, Name, NonFinite,
    Optimizer, Outcome, Param, Pattern, StepReport, Storage, biases_and_norms,
};
pub use part::{Fold, Geometry, Join, Part, Scope, Supply};
pub use plateau::{Plateau, PlateauMode, ThresholdMode};
pub use probe::{GainPlace, GainSlots, Gains, MomentReading, Moments, Probe, QUANTILES, Reading};
pub use real::Real;
pub use rule::{At, Flow, Here, Kind, Memory, Rule, Slot, slot, slot_as};
pub use schedule::Schedule;
pub use sym::{Formula, Sym, SymMask};
