//! AdaBelief (Zhuang et al. 2020, arXiv 2010.07468), plain and with rectification.

use crate::hyper::{Hypers, Range};
use crate::real::Real;
use crate::registry::{Entry, log_range};
use crate::rule::{At, Here, Rule, Slot, slot};
use crate::rules::radam::rectify;

/// The two places where AdaBelief has an ε.
pub trait Guard: Hypers + Default + Clone + Send + Sync + 'static {
    /// `(added to s at every step, added to the root)`.
    fn get<F: Real>(&self, at: &At<F>) -> (F::Wide, F::Wide);
}

crate::hypers! {
    /// One ε for both places, as in the paper and the official code.
    pub struct Same {
        /// Added to s at every step, where it accumulates up to ε/(1−β₂), and to the root of s (official code 1e-16).
        eps "ε" = 1e-16 in Range::NON_NEGATIVE,
    }
}

impl Guard for Same {
    fn get<F: Real>(&self, at: &At<F>) -> (F::Wide, F::Wide) {
        (at.get(&self.eps), at.get(&self.eps))
    }
}

crate::hypers! {
    /// Two of them, as in optax.
    pub struct Separate {
        /// Added to the root of s, in units of the gradient (official code 1e-16).
        eps "ε" = 1e-16 in Range::NON_NEGATIVE,
        /// Added to s at every step, where it accumulates up to ε₀/(1−β₂) (optax 1e-16).
        eps_root "ε₀" = 1e-16 in Range::NON_NEGATIVE,
    }
}

impl Guard for Separate {
    fn get<F: Real>(&self, at: &At<F>) -> (F::Wide, F::Wide) {
        (at.get(&self.eps_root), at.get(&self.eps))
    }
}

crate::hypers! {
    /// AdaBelief's direction: Adam's, with the mean square of `g − m`, the surprise, in place of
    /// the mean square of `g`.
    ///
    /// The ε inside `s` is part of the published algorithm (E53) and accumulates. On a constant
    /// gradient `s` decays to it and the step grows.
    pub struct AdaBelief<G: Guard = Same> {
        /// Decay rate of the first moment (paper 0.9).
        beta1 "β₁" = 0.9 in Range::RATE,
        /// Decay rate of the mean squared surprise (paper 0.999).
        beta2 "β₂" = 0.999 in Range::RATE,
        with guard: G = G::default(),
    }
}

impl<G: Guard> Rule for AdaBelief<G> {
    type Memory<F: Real> = [F; 2];
    const SLOTS: &'static [Slot] = &[slot("m"), slot("s").non_negative()];

    #[inline(always)]
    fn at<F: Real>(
        &self,
        at: &At<F>,
    ) -> impl Fn(F, Here<F>, [F; 2]) -> (F, [F; 2]) + Copy + Send + Sync + use<F, G> {
        let [b1, a1, c1] = at.ema(&self.beta1);
        let [b2, a2, c2] = at.ema(&self.beta2);
        let (inside, outside) = self.guard.get(at);
        let [inside, outside] = at.lift([inside, outside]);
        let outside = outside.away_from_zero();
        move |g, _, [m, s]| {
            let m = b1 * m + a1 * g;
            let d = g - m;
            let s = b2 * s + a2 * d * d + inside;
            (c1 * m / ((c2 * s).sqrt() + outside), [m, s])
        }
    }
}

crate::hypers! {
    /// AdaBelief with the rectification of RAdam (Liu et al. 2020, arXiv 1908.03265), the default
    /// of the official code: while fewer than five gradients' worth of variance is known, it steps
    /// with `m̂` undivided, which is plain momentum and diverges on steep problems.
    pub struct RectifiedAdaBelief {
        /// Decay rate of the first moment (paper 0.9).
        beta1 "β₁" = 0.9 in Range::RATE,
        /// Decay rate of the mean squared surprise (paper 0.999).
        beta2 "β₂" = 0.999 in Range::RATE,
        /// Added to s at every step, where it accumulates up to ε/(1−β₂), and to the root of s (official code 1e-16).
        eps "ε" = 1e-16 in Range::NON_NEGATIVE,
    }
}

impl Rule for RectifiedAdaBelief {
    type Memory<F: Real> = [F; 2];
    const SLOTS: &'static [Slot] = &[slot("m"), slot("s").non_negative()];

    #[inline(always)]
    fn at<F: Real>(
        &self,
        at: &At<F>,
    ) -> impl Fn(F, Here<F>, [F; 2]) -> (F, [F; 2]) + Copy + Send + Sync + use<F> {
        let [b1, a1, c1] = at.ema(&self.beta1);
        let [b2, a2, _] = at.ema(&self.beta2);
        let (zero, one) = (F::Wide::number(0.0), F::Wide::number(1.0));
        let (n, square) = rectify(at.get(&self.beta2), at.t());
        let early = n.lt(F::Wide::number(5.0));
        // The bias of s is removed here, where it costs nothing.
        let trust = (square / at.correction(&self.beta2)).sqrt().called("r");
        // Early steps divide by 1 in place of √s + ε: both coefficients are exact.
        let numerator = F::Wide::select(early, one, trust);
        let [numerator, root, constant, eps] = at.lift([
            numerator,
            F::Wide::select(early, zero, one),
            F::Wide::select(early, one, zero),
            at.get(&self.eps),
        ]);
        let guard = eps.away_from_zero();
        move |g, _, [m, s]| {
            let m = b1 * m + a1 * g;
            let d = g - m;
            let s = b2 * s + a2 * d * d + eps;
            let u = numerator * c1 * m / (root * (s.sqrt() + guard) + constant);
            (u, [m, s])
        }
    }
}

const TUNE: &[crate::registry::Tune] = &[log_range("lr", 1e-4, 1e0)];
const PAPER: &str = "Zhuang et al. 2020, arXiv 2010.07468; adabelief-pytorch 0.2.1";

crate::registry::blocks!(
    rule AdaBelief<Same>,
    rule AdaBelief<Separate>,
    rule RectifiedAdaBelief,
);

pub(crate) const ENTRIES: &[Entry] = &[
    Entry {
        name: "adabelief",
        title: "AdaBelief",
        summary: "Adam that divides by how much the gradient surprises its running mean.",
        source: PAPER,
        chain: recipes::adabelief,
        tune: TUNE,
    },
    Entry {
        name: "adabelief@optax",
        title: "AdaBelief (optax)",
        summary: "AdaBelief with two separate ε.",
        source: "optax.adabelief",
        chain: recipes::adabelief_optax,
        tune: TUNE,
    },
    Entry {
        name: "adabelief_rectified",
        title: "AdaBelief, rectified",
        summary: "AdaBelief with RAdam's warm-up; plain momentum in the first steps.",
        source: PAPER,
        chain: recipes::adabelief_rectified,
        tune: TUNE,
    },
];

pub mod recipes {
    //! Ready-made chains.
    use super::{AdaBelief, RectifiedAdaBelief, Separate};
    use crate::chain::Chain;
    use crate::rules::Scale;

    /// AdaBelief, the paper's form: `lr` 1e-3, `beta1` 0.9, `beta2` 0.999, `eps` 1e-16 (official code).
    pub fn adabelief() -> Chain {
        Chain::new((<AdaBelief>::default(), Scale::default()))
    }

    /// AdaBelief as in optax: `eps` and `eps_root` 1e-16.
    pub fn adabelief_optax() -> Chain {
        Chain::new((AdaBelief::<Separate>::default(), Scale::default()))
    }

    /// AdaBelief as the official code runs it by default, with rectification.
    pub fn adabelief_rectified() -> Chain {
        Chain::new((RectifiedAdaBelief::default(), Scale::default()))
    }
}
