//! Powerball (Yuan et al. 2016, arXiv 1603.07421) on a running average of the gradient.

use crate::hyper::Range;
use crate::real::Real;
use crate::registry::{Entry, log_range};
use crate::rule::{At, Here, Rule, Slot, slot};

crate::hypers! {
    /// The running average raised to a power that keeps its sign: `sign(m̂)·|m̂|^p`.
    pub struct Powerball {
        /// Decay rate of the average.
        beta "β" = 0.9 in Range::RATE,
        /// The power: 1 leaves the average as it is, 0 leaves its sign.
        power "p" = 0.5 in Range::UNIT,
    }
}

impl Rule for Powerball {
    type Memory<F: Real> = [F; 1];
    const SLOTS: &'static [Slot] = &[slot("m")];

    #[inline(always)]
    fn at<F: Real>(
        &self,
        at: &At<F>,
    ) -> impl Fn(F, Here<F>, [F; 1]) -> (F, [F; 1]) + Copy + Send + Sync + use<F> {
        let [b, a, c] = at.ema(&self.beta);
        let [p] = at.lift([at.get(&self.power)]);
        move |g, _, [m]| {
            let m = b * m + a * g;
            let mean = c * m;
            (mean.sign() * mean.abs().pow(p), [m])
        }
    }
}

crate::registry::blocks!(rule Powerball);

pub(crate) const ENTRIES: &[Entry] = &[Entry {
    name: "powerball",
    title: "Powerball",
    summary: "A power of the running mean of the gradient, between momentum and its sign.",
    source: "Yuan et al. 2016, arXiv 1603.07421",
    chain: recipes::powerball,
    tune: &[log_range("lr", 1e-4, 1e-1)],
}];

pub mod recipes {
    //! Ready-made chains.
    use super::Powerball;
    use crate::chain::Chain;
    use crate::rules::Scale;

    /// Powerball: `lr` 1e-3, `beta` 0.9, `power` 0.5.
    pub fn powerball() -> Chain {
        Chain::new((Powerball::default(), Scale::default()))
    }
}
