//! Gradient descent: `x − η·g` (Cauchy 1847).

use crate::registry::{Entry, log_range};

pub(crate) const ENTRIES: &[Entry] = &[Entry {
    name: "gd",
    title: "Gradient descent",
    summary: "One global learning rate, no memory: the baseline.",
    source: "Cauchy 1847; torch.optim.SGD with momentum 0",
    chain: recipes::gd,
    tune: &[log_range("lr", 1e-3, 1e1)],
}];

pub mod recipes {
    //! Ready-made chains.
    use crate::chain::Chain;
    use crate::rules::Scale;

    /// Gradient descent. `lr` 1e-3 (torch's default; tune it).
    pub fn gd() -> Chain {
        Chain::new(Scale::default())
    }
}
