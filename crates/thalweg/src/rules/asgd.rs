//! Averaged SGD (Polyak & Juditsky 1992; Ruppert 1988; Bottou's sgd).

use crate::hyper::Range;
use crate::real::Real;
use crate::registry::{Entry, log_range};
use crate::rule::{At, Here, Rule, Slot, slot_as};

crate::hypers! {
    /// Gradient descent with a falling rate and L2, which keeps the average of the parameters it has
    /// been at. Training goes on from `x`; it is evaluated at the average.
    ///
    /// `η_t = η/(1 + λ·η·(t−1))^α`; from step `t₀ + 2` on the average is over all steps since, before
    /// that it is `x` itself. It computes the new parameter to average it, so it is the last
    /// rule of its chain, brings its own rate, and takes no geometry.
    pub struct Asgd {
        /// Learning rate at the start (torch 1e-2).
        lr "η" = 1e-2 in Range::NON_NEGATIVE,
        /// Strength of the penalty `λ/2·‖x‖²`; it also sets how fast the rate falls (torch `lambd`).
        decay "λ" = 1e-4 in Range::NON_NEGATIVE,
        /// Power with which the rate falls (torch 0.75).
        alpha "α" = 0.75 in Range::NON_NEGATIVE,
        /// Number of steps before the averaging begins (torch 1e6: practically never).
        t0 "t₀" = 1e6 in Range::NON_NEGATIVE,
    }
}

/// The rate of the step after so many, and the share of its result in the average.
pub(crate) fn falling_rate<W: Real<Wide = W>>(before: W, [lr, decay, alpha, t0]: [W; 4]) -> [W; 2] {
    let one = W::number(1.0);
    [lr / (one + decay * lr * before).pow(alpha), one / (before - t0).max(one)]
}

impl Rule for Asgd {
    type Memory<F: Real> = [F; 1];
    const SLOTS: &'static [Slot] = &[slot_as("average", "a").exact()];
    const HAS_VIEW: bool = true;
    const LAST: bool = true;

    fn start<F: Real>(&self, x: F) -> [F; 1] {
        [x]
    }

    #[inline(always)]
    fn at<F: Real>(
        &self,
        at: &At<F>,
    ) -> impl Fn(F, Here<F>, [F; 1]) -> (F, [F; 1]) + Copy + Send + Sync + use<F> {
        let hypers = [&self.lr, &self.decay, &self.alpha, &self.t0].map(|hyper| at.get(hyper));
        let [rate, share] = falling_rate(at.t() - F::Wide::number(1.0), hypers);
        let [rate, decay, share] =
            at.lift([rate.called("η_t"), at.get(&self.decay), share.called("μ")]);
        move |g, here, [average]| {
            let u = rate * (g + decay * here.x);
            (u, [average + share * (here.x - u - average)])
        }
    }

    #[inline(always)]
    fn view<F: Real>(&self, _: &At<F>) -> impl Fn(F, [F; 1]) -> F + Copy + Send + Sync + use<F> {
        |_, [average]| average
    }
}

crate::registry::blocks!(rule Asgd);

pub(crate) const ENTRIES: &[Entry] = &[Entry {
    name: "asgd",
    title: "ASGD",
    summary: "Gradient descent with a falling rate that remembers the average of where it was.",
    source: "Polyak & Juditsky 1992; torch.optim.ASGD",
    chain: recipes::asgd,
    tune: &[log_range("lr", 1e-3, 1e1)],
}];

pub mod recipes {
    //! Ready-made chains.
    use super::Asgd;
    use crate::chain::Chain;

    /// ASGD as in torch: `lr` 0.01, `decay` 1e-4, `alpha` 0.75, `t0` 1e6.
    pub fn asgd() -> Chain {
        Chain::new(Asgd::default())
    }
}
