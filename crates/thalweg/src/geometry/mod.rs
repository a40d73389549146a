//! Geometries: how an update is applied. Every direction can be used with every geometry, but for methods
//! that put the parameter at a place of their own or average it (Lookahead, SWA, ASGD, weight averages,
//! schedule-free methods, the SGD form of D-Adaptation): they take the new parameter for `x − u`, and
//! building an optimizer refuses them over a geometry.
//!
//! A mirror map ψ has a link ∇ψ; a step is taken on the link's side,
//! `∇ψ(x′) = ∇ψ(x) − u`, then projected onto the constraint set (Nemirovski & Yudin 1983;
//! Beck & Teboulle 2003). The Euclidean geometry, `x − u`, is what a chain does without one.

mod burg;
mod eg_pm;
mod entropy;
mod hypentropy;
mod p_norm;
mod simplex;

pub use burg::Burg;
pub use eg_pm::{BoundedEgPm, EgPm};
pub use entropy::NegativeEntropy;
pub use hypentropy::Hypentropy;
pub use p_norm::PNorm;
pub use simplex::Simplex;

crate::registry::blocks!(
    geometry NegativeEntropy,
    geometry Simplex,
    geometry Burg,
    geometry PNorm,
    geometry Hypentropy,
    geometry EgPm,
    geometry BoundedEgPm,
);
