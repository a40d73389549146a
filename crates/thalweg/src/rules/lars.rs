//! LARS (You, Gitman & Ginsburg 2017, arXiv 1708.03888): momentum on gradients scaled to the
//! tensor's norm.

use crate::registry::{Entry, log_range};

pub(crate) const ENTRIES: &[Entry] = &[Entry {
    name: "lars",
    title: "LARS",
    summary: "Momentum on gradients that are scaled to a share of the tensor's norm.",
    source: "You, Gitman & Ginsburg 2017, arXiv 1708.03888; optax.lars",
    chain: recipes::lars,
    tune: &[log_range("lr", 1e-2, 1e2)],
}];

pub mod recipes {
    //! Ready-made chains.
    use crate::chain::Chain;
    use crate::rules::{DecayWeights, Momentum, Scale, TrustRatio};

    /// LARS: `lr` 1, `trust` 1e-3, `momentum` 0.9 with the rate in the buffer, `decay` 0 (optax).
    pub fn lars() -> Chain {
        Chain::new(DecayWeights::default().decay(0.0))
            .fold(TrustRatio::default().trust(1e-3))
            .then((Scale::default().lr(1.0), Momentum::default()))
    }
}
