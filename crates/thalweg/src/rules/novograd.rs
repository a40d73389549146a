//! NovoGrad (Ginsburg et al. 2019, arXiv 1905.11286): one second moment per tensor.

use crate::hyper::Range;
use crate::part::{Fold, Join, Part};
use crate::real::Real;
use crate::registry::{Entry, log_range};
use crate::rule::{At, Here, Slot, slot};

crate::hypers! {
    /// `v ← β₂·v + (1−β₂)·‖g‖²` per tensor, started at the first `‖g‖²`;
    /// `m ← β₁·m + g/(√v + ε) + λ·x`, update `m`.
    pub struct NovoGrad {
        /// Share of the momentum kept; what is new enters undamped (optax 0.9).
        beta1 "β₁" = 0.9 in Range::RATE,
        /// Decay rate of the squared norm (optax 0.25, pytorch_optimizer 0.98).
        beta2 "β₂" = 0.25 in Range::RATE,
        /// Added to the root, in units of the gradient's norm (optax).
        eps "ε" = 1e-6 in Range::NON_NEGATIVE,
        /// Weight decay inside the momentum, per unit of learning rate (optax 0).
        decay "λ" = 0.0 in Range::NON_NEGATIVE,
    }
}

impl Fold for NovoGrad {}

impl Part for NovoGrad {
    type Memory<F: Real> = [F; 1];
    type Scalars<F: Real> = [F; 2];
    type Terms<F: Real> = [F; 1];
    const SLOTS: &'static [Slot] = &[slot("m")];
    const SCALARS: &'static [Slot] = &[slot("v"), slot("norm")];
    const JOIN: &'static [Join] = &[Join::Sum];

    #[inline(always)]
    fn terms<F: Real>(
        &self,
        _: &At<F>,
        _: usize,
        _: [F; 2],
    ) -> impl Fn(F, Here<F>, [F; 1]) -> [F; 1] + Copy + Send + Sync + use<F> {
        |g, _, _| [g * g]
    }

    fn settle<W: Real<Wide = W>>(
        &self,
        at: &At<W>,
        _: usize,
        [square]: [W; 1],
        [v, _]: [W; 2],
    ) -> [W; 2] {
        let (one, b) = (W::number(1.0), at.get(&self.beta2));
        let v = if at.is_first() { square } else { b * v + (one - b) * square };
        [v, v.sqrt()]
    }

    #[inline(always)]
    fn at<F: Real>(
        &self,
        at: &At<F>,
        [_, norm]: [F; 2],
    ) -> impl Fn(F, Here<F>, [F; 1]) -> (F, [F; 1]) + Copy + Send + Sync + use<F> {
        let [b, decay, eps] =
            at.lift([at.get(&self.beta1), at.get(&self.decay), at.get(&self.eps)]);
        // In the numbers of the sweep: the reciprocal of an `f64` may be more than `f32` holds.
        let factor = F::number(1.0) / (norm + eps.away_from_zero());
        move |g, Here { x, .. }, [m]| {
            let m = b * m + (factor * g + decay * x);
            (m, [m])
        }
    }
}

crate::registry::blocks!(fold NovoGrad);

pub(crate) const ENTRIES: &[Entry] = &[
    Entry {
        name: "novograd",
        title: "NovoGrad",
        summary: "Momentum on gradients divided by a running norm of their tensor.",
        source: "Ginsburg et al. 2019, arXiv 1905.11286; optax.novograd",
        chain: recipes::novograd,
        tune: &[log_range("lr", 1e-4, 1e0)],
    },
    Entry {
        name: "novograd@paper",
        title: "NovoGrad (paper)",
        summary: "NovoGrad with the long memory of its authors.",
        source: "Ginsburg et al. 2019, arXiv 1905.11286, algorithm 1",
        chain: recipes::novograd_paper,
        tune: &[log_range("lr", 1e-4, 1e0)],
    },
];

pub mod recipes {
    //! Ready-made chains.
    use super::NovoGrad;
    use crate::chain::Chain;
    use crate::rules::Scale;

    /// NovoGrad as in optax: `lr` 1e-3, `beta1` 0.9, `beta2` 0.25, `eps` 1e-6, `decay` 0.
    pub fn novograd() -> Chain {
        Chain::new(()).fold(NovoGrad::default()).then(Scale::default())
    }

    /// NovoGrad with its authors' values: `lr` 0.01, `beta1` 0.95, `beta2` 0.98, `eps` 1e-8, `decay` 0.
    pub fn novograd_paper() -> Chain {
        let direction = NovoGrad::default().beta1(0.95).beta2(0.98).eps(1e-8);
        Chain::new(()).fold(direction).then(Scale::default().lr(0.01))
    }
}
