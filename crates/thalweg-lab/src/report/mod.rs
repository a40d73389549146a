//! The report: one HTML file that needs no network and no JavaScript.
//!
//! It draws what [`crate::protocol`] computed. The only arithmetic in here maps values to positions.

mod axis;
mod chart;
mod figures;
mod markup;
mod page;
mod plane;
mod tables;

pub use page::render;
pub use plane::figure;

#[cfg(test)]
mod tests;
