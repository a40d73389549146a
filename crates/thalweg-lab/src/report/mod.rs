//! The report: one HTML file that needs no network, is complete without JavaScript, and comes alive
//! with it.
//!
//! It draws what [`crate::protocol`] computed. The only arithmetic in here maps values to positions
//! and leaves out points too close to be seen. The page's own script computes one thing again: means,
//! bands and profiles of the runs that the reader has not hidden.

mod claims;
mod counterfactual;
mod data;
mod detail;
mod draw;
mod export;
mod figure;
mod live;
mod markup;
mod page;
mod palette;
mod sections;
mod shown;
mod tables;
mod view;

pub use claims::{claims, picture};
pub use counterfactual::{ways, ways_apart};
pub use export::{Picture, pictures, prepare, save, save_pictures};
pub use page::render;
#[cfg(feature = "tui")]
pub(crate) use palette::series;

#[cfg(test)]
mod tests;
