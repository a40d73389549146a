//! D-Adaptation (Defazio & Mishchenko 2023, arXiv 2301.07733): learning rates from a lower bound on
//! the distance to the solution.

use crate::hyper::Range;
use crate::part::{Fold, Join, Part, Scope};
use crate::real::Real;
use crate::registry::{Entry, log_range};
use crate::rule::{At, Here, Slot, slot, slot_as};

crate::hypers! {
    /// Dual averaging from the start at the rate `d·η/‖g₁‖`, with the momentum of an average; `d` is
    /// the largest lower bound so far on the distance of the parameters to their solution.
    ///
    /// It stands last and takes no geometry: it puts the parameter where the average is. The bound divides a sum
    /// over all steps by `‖s‖` of the parameters of this one: it jumps when most of them are frozen or come
    /// without a gradient. So rows are not stepped alone.
    pub struct DAdaptSgd {
        /// Learning rate, a factor on the estimated distance (paper 1).
        lr "η" = 1.0 in Range::NON_NEGATIVE,
        /// Share of the parameter kept in its average (dadaptation 0).
        momentum "μ" = 0.0 in Range::RATE,
        /// The first estimate, in units of the parameter (paper 1e-6).
        d0 "d₀" once = 1e-6 in Range::POSITIVE,
        /// Largest growth of the estimate in a step (∞ in the official code: no limit).
        growth "γ" = 1e308 in Range::GROWTH,
    }
}

impl Fold for DAdaptSgd {}

impl Part for DAdaptSgd {
    type Memory<F: Real> = [F; 2];
    type Scalars<F: Real> = [F; 4];
    type Terms<F: Real> = [F; 3];
    const SLOTS: &'static [Slot] = &[slot("s").exact(), slot_as("x0", "x₀").exact()];
    const SCALARS: &'static [Slot] =
        &[slot("d"), slot_as("numerator", "r"), slot_as("first", "G"), slot_as("step", "δ")];
    const JOIN: &'static [Join] = &[Join::Sum; 3];
    const SCOPE: Scope = Scope::Groups;
    const LAST: bool = true;
    const PLACES: bool = true;
    // ‖s‖ of a few rows under the numerator of all is no bound, and `d` never falls again.
    const WHOLE: bool = true;

    fn start<F: Real>(&self, x: F) -> [F; 2] {
        [F::number(0.0), x]
    }

    fn scalars(&self) -> [f64; 4] {
        [self.d0.value(0), 0.0, 0.0, 0.0]
    }

    #[inline(always)]
    fn terms<F: Real>(
        &self,
        _: &At<F>,
        _: usize,
        _: [F; 4],
    ) -> impl Fn(F, Here<F>, [F; 2]) -> [F; 3] + Copy + Send + Sync + use<F> {
        |g, _, [s, _]| [g * s, s * s, g * g]
    }

    fn settle<W: Real<Wide = W>>(
        &self,
        at: &At<W>,
        _: usize,
        [along, square_s, square_g]: [W; 3],
        [d, numerator, first, _]: [W; 4],
    ) -> [W; 4] {
        let zero = W::number(0.0);
        // The first norm that is not zero; until then nothing moves.
        let first = W::select(zero.lt(first), first, square_g.sqrt());
        let step = d * at.get(&self.lr) / first.away_from_zero();
        let step = W::select(zero.lt(first), step, zero);
        let numerator = numerator + step * along;
        // ‖s + δ·g‖², without a second pass.
        let square = square_s + (step + step) * along + step * step * square_g;
        let found = (numerator + numerator) / square.max(zero).sqrt().away_from_zero();
        let found = found.called("d̂");
        let next = d.max(found.min(d * at.get(&self.growth)));
        [next, numerator, first, step]
    }

    #[inline(always)]
    fn at<F: Real>(
        &self,
        at: &At<F>,
        [_, _, _, step]: [F; 4],
    ) -> impl Fn(F, Here<F>, [F; 2]) -> (F, [F; 2]) + Copy + Send + Sync + use<F> {
        let [share] = at.lift([F::Wide::number(1.0) - at.get(&self.momentum)]);
        move |g, Here { x, .. }, [s, x0]| {
            let s = s + step * g;
            (share * (x - (x0 - s)), [s, x0])
        }
    }
}

crate::hypers! {
    /// Adam times `d`, the largest lower bound so far on the distance of the parameters to their solution.
    /// The bound's sums fade with `√β₂`. The rate is inside the first moment. As [`DAdaptSgd`], it jumps when most
    /// parameters are frozen or come without a gradient, and does not step rows alone.
    pub struct DAdaptAdam {
        /// Learning rate, a factor on the estimated distance (paper 1).
        lr "η" = 1.0 in Range::NON_NEGATIVE,
        /// Decay rate of the first moment (paper 0.9).
        beta1 "β₁" = 0.9 in Range::RATE,
        /// Decay rate of the second moment (paper 0.999); its root is that of the bound.
        beta2 "β₂" = 0.999 in Range::RATE,
        /// Added to the root, in units of the gradient (paper 1e-8).
        eps "ε" = 1e-8 in Range::NON_NEGATIVE,
        /// Share of the parameter removed per unit of step (dadaptation 0, decoupled).
        decay "λ" = 0.0 in Range::NON_NEGATIVE,
        /// The first estimate, in units of the parameter (paper 1e-6).
        d0 "d₀" once = 1e-6 in Range::POSITIVE,
        /// Largest growth of the estimate in a step (∞ in the official code: no limit).
        growth "γ" = 1e308 in Range::GROWTH,
    }
}

impl Fold for DAdaptAdam {}

impl Part for DAdaptAdam {
    type Memory<F: Real> = [F; 3];
    type Scalars<F: Real> = [F; 3];
    type Terms<F: Real> = [F; 2];
    const SLOTS: &'static [Slot] = &[slot("m"), slot("v").non_negative(), slot("s")];
    const SCALARS: &'static [Slot] =
        &[slot("d"), slot_as("numerator", "r"), slot_as("step", "δ")];
    const JOIN: &'static [Join] = &[Join::Sum; 2];
    const SCOPE: Scope = Scope::Groups;
    // As for `DAdaptSgd`.
    const WHOLE: bool = true;

    fn scalars(&self) -> [f64; 3] {
        [self.d0.value(0), 0.0, 0.0]
    }

    #[inline(always)]
    fn terms<F: Real>(
        &self,
        at: &At<F>,
        _: usize,
        [d, ..]: [F; 3],
    ) -> impl Fn(F, Here<F>, [F; 3]) -> [F; 2] + Copy + Send + Sync + use<F> {
        let (one, b) = (F::Wide::number(1.0), at.get(&self.beta2).sqrt());
        let weight = d.widen() * at.get(&self.lr) * (one - b);
        let [b, weight, eps] = at.lift([b, weight, at.get(&self.eps)]);
        let eps = eps.away_from_zero();
        move |g, _, [_, v, s]| [g * s / (v.sqrt() + eps), (b * s + weight * g).abs()]
    }

    fn settle<W: Real<Wide = W>>(
        &self,
        at: &At<W>,
        _: usize,
        [along, size]: [W; 2],
        [d, numerator, _]: [W; 3],
    ) -> [W; 3] {
        let (zero, b) = (W::number(0.0), at.get(&self.beta2).sqrt());
        let rest = W::number(1.0) - b;
        let size = size.called("‖s‖₁");
        let (step, moves) = (d * at.get(&self.lr), zero.lt(size));
        let sum = b * numerator + rest * (step * along);
        let found = W::select(moves, sum / (rest * size).away_from_zero(), zero).called("d̂");
        let next = d.max(found.min(d * at.get(&self.growth)));
        [next, sum, W::select(moves, step, zero)]
    }

    #[inline(always)]
    fn at<F: Real>(
        &self,
        at: &At<F>,
        [_, _, step]: [F; 3],
    ) -> impl Fn(F, Here<F>, [F; 3]) -> (F, [F; 3]) + Copy + Send + Sync + use<F> {
        let (one, step) = (F::Wide::number(1.0), step.widen());
        let (b1, b2) = (at.get(&self.beta1), at.get(&self.beta2));
        let b = b2.sqrt();
        let [b1, a1, b2, a2] = at.lift([b1, step * (one - b1), b2, one - b2]);
        let [b, weight, eps, decay] =
            at.lift([b, step * (one - b), at.get(&self.eps), step * at.get(&self.decay)]);
        let eps = eps.away_from_zero();
        move |g, Here { x, .. }, [m, v, s]| {
            let m = b1 * m + a1 * g;
            let v = b2 * v + a2 * g * g;
            (m / (v.sqrt() + eps) + decay * x, [m, v, b * s + weight * g])
        }
    }
}

crate::registry::blocks!(fold DAdaptSgd, fold DAdaptAdam);

pub(crate) const ENTRIES: &[Entry] = &[
    Entry {
        name: "d_adapt_sgd",
        title: "D-Adaptation (SGD)",
        summary: "Gradient descent at a rate from a lower bound on the distance to the solution.",
        source: "Defazio & Mishchenko 2023, arXiv 2301.07733; dadaptation.DAdaptSGD",
        chain: recipes::d_adapt_sgd,
        tune: &[log_range("lr", 1e-1, 1e1)],
    },
    Entry {
        name: "d_adapt_adam",
        title: "D-Adaptation (Adam)",
        summary: "Adam at a rate from a lower bound on the distance to the solution.",
        source: "Defazio & Mishchenko 2023, arXiv 2301.07733; dadaptation.DAdaptAdam",
        chain: recipes::d_adapt_adam,
        tune: &[log_range("lr", 1e-1, 1e1), log_range("decay", 1e-4, 1e-1)],
    },
];

pub mod recipes {
    //! Ready-made chains.
    use super::{DAdaptAdam, DAdaptSgd};
    use crate::chain::Chain;

    /// D-Adaptation of SGD: `lr` 1, `momentum` 0, `d0` 1e-6 (dadaptation).
    pub fn d_adapt_sgd() -> Chain {
        Chain::new(()).fold(DAdaptSgd::default())
    }

    /// D-Adaptation of Adam: `lr` 1, `beta1` 0.9, `beta2` 0.999, `eps` 1e-8, `decay` 0 (dadaptation).
    pub fn d_adapt_adam() -> Chain {
        Chain::new(()).fold(DAdaptAdam::default())
    }
}
