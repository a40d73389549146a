//! RAdam (Liu et al. 2020, arXiv 1908.03265): Adam that waits until its second moment can be trusted.

use crate::convention::{Denominator, Hat};
use crate::hyper::Range;
use crate::real::Real;
use crate::registry::{Entry, log_range};
use crate::rule::{At, Here, Rule, Slot, slot};

crate::hypers! {
    /// RAdam's direction: Adam's, times `r ≤ 1`, what the variance of the adaptive step is worth at
    /// step `t`. While fewer than `threshold` gradients' worth of variance is known, it is `m̂`
    /// undivided, momentum whose step has the size of the gradient.
    pub struct RAdam<E: Denominator = Hat> {
        /// Decay rate of the first moment (paper 0.9).
        beta1 "β₁" = 0.9 in Range::RATE,
        /// Decay rate of the second moment (paper 0.999).
        beta2 "β₂" = 0.999 in Range::RATE,
        /// Number of gradients that must be exceeded before v divides (torch 5, paper 4; official code and optax: 5 or more).
        threshold "N₀" = 5.0 in Range::at_least(4.0),
        with denominator: E = E::new(1e-8),
    }
}

/// The rectification at step `t`: how many gradients the second moment is worth (`N`, ρ in the
/// paper), and the square of the factor `r` that the adaptive step deserves.
pub(crate) fn rectify<W: Real<Wide = W>>(beta2: W, t: W) -> (W, W) {
    let [one, two, four] = [1.0, 2.0, 4.0].map(W::number);
    let fade = beta2.pow(t);
    let most = (two / (one - beta2) - one).called("N_max");
    let n = (most - two * t * fade / (one - fade)).called("N");
    let square = (n - four) / (most - four) * (n - two) / n * most / (most - two);
    // Where n is small the value is not used; its root must still be a number.
    (n, square.max(W::number(0.0)))
}

impl<E: Denominator> Rule for RAdam<E> {
    type Memory<F: Real> = [F; 2];
    const SLOTS: &'static [Slot] = &[slot("m"), slot("v").non_negative()];

    #[inline(always)]
    fn at<F: Real>(
        &self,
        at: &At<F>,
    ) -> impl Fn(F, Here<F>, [F; 2]) -> (F, [F; 2]) + Copy + Send + Sync + use<F, E> {
        let [b1, a1, c1] = at.ema(&self.beta1);
        let [b2, a2, _] = at.ema(&self.beta2);
        let (zero, one) = (F::Wide::number(0.0), F::Wide::number(1.0));
        let (n, square) = rectify(at.get(&self.beta2), at.t());
        let trust = square.sqrt().called("r");
        let ready = at.get(&self.threshold).lt(n);
        // Early steps divide by 1 in place of the root: both coefficients are exact.
        let [numerator, share, constant] = at.lift([
            F::Wide::select(ready, trust, one),
            F::Wide::select(ready, one, zero),
            F::Wide::select(ready, zero, one),
        ]);
        let root = self.denominator.at(at, at.correction(&self.beta2));
        move |g, _, [m, v]| {
            let m = b1 * m + a1 * g;
            let v = b2 * v + a2 * g * g;
            (numerator * c1 * m / (share * root(v) + constant), [m, v])
        }
    }
}

const TUNE: &[crate::registry::Tune] = &[log_range("lr", 1e-4, 1e0)];

crate::registry::blocks!(
    rule RAdam<crate::Hat>,
    rule RAdam<crate::Both>,
);

pub(crate) const ENTRIES: &[Entry] = &[
    Entry {
        name: "radam",
        title: "RAdam",
        summary: "Adam with a warm-up that follows from the variance of its second moment.",
        source: "Liu et al. 2020, arXiv 1908.03265; torch.optim.RAdam",
        chain: recipes::radam,
        tune: TUNE,
    },
    Entry {
        name: "radam@optax",
        title: "RAdam (optax)",
        summary: "RAdam with ε outside the corrected root, and a second one under it, 0 by default.",
        source: "optax.radam",
        chain: recipes::radam_optax,
        tune: TUNE,
    },
    Entry {
        name: "radam@paper",
        title: "RAdam (paper)",
        summary: "RAdam that divides as soon as the variance exists, at N > 4, and has no ε.",
        source: "Liu et al. 2020, arXiv 1908.03265, algorithm 2",
        chain: recipes::radam_paper,
        tune: TUNE,
    },
];

pub mod recipes {
    //! Ready-made chains.
    use super::RAdam;
    use crate::chain::Chain;
    use crate::convention::{Both, Denominator, Hat};
    use crate::rules::Scale;

    /// RAdam as in torch: `lr` 1e-3, `beta1` 0.9, `beta2` 0.999, `threshold` 5, `eps` 1e-8 (ε-hat).
    pub fn radam() -> Chain {
        Chain::new((<RAdam>::default(), Scale::default()))
    }

    /// RAdam as in optax: `eps` outside the corrected root, `eps_root` (0) under it.
    pub fn radam_optax() -> Chain {
        Chain::new((RAdam::<Both>::default(), Scale::default()))
    }

    /// RAdam as in the paper: `threshold` 4, `eps` 0; the other defaults are those of torch.
    pub fn radam_paper() -> Chain {
        let direction = RAdam::<Hat>::default().threshold(4.0).denominator(Hat::new(0.0));
        Chain::new((direction, Scale::default()))
    }
}
