//! The laboratory behind the `thalweg` command: it trains real tasks with many optimizers under one
//! protocol and reports what happened.
//!
//! The rooms, and what each may do:
//!
//! - [`tasks`]: models and their gradients. Knows no optimizer.
//! - [`data`]: data sets, fetched by package name and checked before use.
//! - [`protocol`]: who runs how often with which hyper-parameters, and every statistic.
//! - [`experiments`]: the claims of the source documents, put to the test.
//! - [`diagnosis`]: what a run's gradients, steps and state say about how it is going.
//! - [`store`]: what was measured, as data.
//! - [`report`]: draws what [`protocol`] computed, and computes nothing itself.
//! - [`bench`]: the speed of the optimizers.
//! - [`cli`]: arguments, progress and tables.

pub mod bench;
pub mod cli;
pub mod data;
pub mod diagnosis;
pub mod error;
pub mod experiments;
mod files;
mod near;
pub mod optimizers;
pub mod protocol;
pub mod report;
pub mod rng;
pub mod store;
pub mod tasks;

pub use error::{Error, Result};
