//! Climbing in place of descending.

use crate::real::Real;
use crate::registry::Entry;
use crate::rule::{At, Here, Rule};

crate::hypers! {
    /// Turns the sign of the gradient, so that what follows maximizes. First in its chain.
    pub struct Maximize {}
}

impl Rule for Maximize {
    type Memory<F: Real> = [F; 0];
    const ON_GRADIENT: bool = true;

    #[inline(always)]
    fn at<F: Real>(
        &self,
        _: &At<F>,
    ) -> impl Fn(F, Here<F>, [F; 0]) -> (F, [F; 0]) + Copy + Send + Sync + use<F> {
        move |g, _, []| (-g, [])
    }
}

crate::registry::blocks!(rule Maximize);

pub(crate) const ENTRIES: &[Entry] = &[];
pub(crate) mod recipes {}
