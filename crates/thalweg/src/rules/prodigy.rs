//! Prodigy (Mishchenko & Defazio 2023, arXiv 2306.06101): Adam whose learning rate is an estimate of
//! the distance to the solution.

use crate::hyper::{Hypers, Range};
use crate::part::{Fold, Join, Part, Scope};
use crate::real::Real;
use crate::registry::{Entry, Tune, log_range};
use crate::rule::{At, Here, Slot, slot, slot_as};

/// How Prodigy treats its first steps.
pub trait Opening: Hypers + Clone + Send + Sync + 'static {
    /// Without hyper-parameters of its own.
    fn new() -> Self;
    /// Whether the start at zero of the moments is corrected, as part of the rate.
    const CORRECTED: bool;
    /// Whether the rate, which a warm-up keeps small, is kept out of the divisor of the estimate.
    const GUARDED: bool;
}

crate::hypers! {
    /// Moments uncorrected, the learning rate part of the estimate (paper, prodigyopt's default).
    pub struct Unguarded {}
}
crate::hypers! {
    /// Moments corrected, the rate part of the estimate (optax; prodigyopt with `use_bias_correction`).
    pub struct CorrectedMoments {}
}
crate::hypers! {
    /// Moments corrected, the estimate safe from a learning-rate warm-up (prodigyopt with
    /// `use_bias_correction` and `safeguard_warmup`).
    pub struct Guarded {}
}

impl Opening for Unguarded {
    fn new() -> Unguarded {
        Unguarded::default()
    }
    const CORRECTED: bool = false;
    const GUARDED: bool = false;
}
impl Opening for CorrectedMoments {
    fn new() -> CorrectedMoments {
        CorrectedMoments::default()
    }
    const CORRECTED: bool = true;
    const GUARDED: bool = false;
}
impl Opening for Guarded {
    fn new() -> Guarded {
        Guarded::default()
    }
    const CORRECTED: bool = true;
    const GUARDED: bool = true;
}

crate::hypers! {
    /// Adam times `d`, the estimated distance of the parameters to their solution. The estimate and its
    /// sums fade with `β₃ = √β₂`. Nothing moves before the first gradient that is not zero. It stands
    /// last: the way it remembers is the sum of its own updates. One extra reading pass.
    ///
    /// The estimate divides a sum over all steps by `‖s‖₁` of the parameters of this one, and does not fall: it
    /// jumps when most of them are frozen or come without a gradient. So rows are not stepped alone.
    pub struct Prodigy<W: Opening = Unguarded> {
        /// Learning rate, a factor on the estimated distance (paper 1).
        lr "η" = 1.0 in Range::NON_NEGATIVE,
        /// Decay rate of the first moment (paper 0.9).
        beta1 "β₁" = 0.9 in Range::RATE,
        /// Decay rate of the second moment (paper 0.999); its root is that of the estimate.
        beta2 "β₂" = 0.999 in Range::RATE,
        /// Added to the root times the distance, in units of the gradient (paper 1e-8).
        eps "ε" = 1e-8 in Range::NON_NEGATIVE,
        /// Share of the parameter removed per unit of step, not of gradient (prodigyopt 0).
        decay "λ" = 0.0 in Range::NON_NEGATIVE,
        /// The first estimate, in units of the parameter (paper 1e-6).
        d0 "d₀" once = 1e-6 in Range::POSITIVE,
        /// A factor on every estimate (prodigyopt 1).
        d_coef "c" = 1.0 in Range::POSITIVE,
        /// Largest growth of the estimate in a step (∞ in the official code: no limit).
        growth "γ" = 1e308 in Range::GROWTH,
        with opening: W = W::new(),
    }
}

impl<W: Opening> Prodigy<W> {
    /// The step at distance `d`, and the weight of its gradient in the estimate.
    fn step<F: Real>(&self, at: &At<F>, d: F::Wide) -> [F::Wide; 2] {
        let plain = d * at.get(&self.lr);
        let share = d / at.get(&self.d0);
        let step = if W::CORRECTED {
            let root = (F::Wide::number(1.0) / at.correction(&self.beta2)).sqrt();
            plain * (root * at.correction(&self.beta1))
        } else {
            plain
        };
        [step, share * if W::GUARDED { d } else { step }]
    }
}

impl<W: Opening> Fold for Prodigy<W> {}

impl<W: Opening> Part for Prodigy<W> {
    type Memory<F: Real> = [F; 4];
    type Scalars<F: Real> = [F; 5];
    type Terms<F: Real> = [F; 2];
    const SLOTS: &'static [Slot] =
        &[slot("m"), slot("v").non_negative(), slot("s"), slot_as("way", "w").exact()];
    const SCALARS: &'static [Slot] = &[
        slot("d"),
        slot("d_max"),
        slot_as("numerator", "r"),
        slot_as("step", "δ"),
        slot_as("last", "d′"),
    ];
    const JOIN: &'static [Join] = &[Join::Sum; 2];
    const SCOPE: Scope = Scope::Groups;
    const LAST: bool = true;
    // ‖s‖₁ of a few rows under the numerator of all is no distance, and the estimate never falls again.
    const WHOLE: bool = true;

    fn scalars(&self) -> [f64; 5] {
        let d0 = self.d0.value(0);
        [d0, d0, 0.0, 0.0, d0]
    }

    #[inline(always)]
    fn terms<F: Real>(
        &self,
        at: &At<F>,
        _: usize,
        [d, ..]: [F; 5],
    ) -> impl Fn(F, Here<F>, [F; 4]) -> [F; 2] + Copy + Send + Sync + use<F, W> {
        let [_, weight] = self.step(at, d.widen());
        let [b3, weight] = at.lift([at.get(&self.beta2).sqrt(), weight]);
        move |g, _, [_, _, s, way]| [g * way, (b3 * s + weight * g).abs()]
    }

    fn settle<V: Real<Wide = V>>(
        &self,
        at: &At<V>,
        _: usize,
        [way, size]: [V; 2],
        [d, d_max, numerator, ..]: [V; 5],
    ) -> [V; 5] {
        let zero = V::number(0.0);
        let (d0, b3) = (at.get(&self.d0), at.get(&self.beta2).sqrt());
        let [step, _] = self.step(at, d);
        let size = size.called("‖s‖₁");
        let moves = zero.lt(size);
        let sum = b3 * numerator + d / d0 * step * way;
        let found = at.get(&self.d_coef) * sum / size.away_from_zero();
        let found = V::select(moves, found, zero).called("d̂");
        // While the estimate is the first one it jumps to what is found, whatever its growth.
        let from = V::select(d0.lt(d), d, d.max(found));
        let most = d_max.max(found);
        let next = most.min(from * at.get(&self.growth));
        [next, most, sum, V::select(moves, step, zero), d]
    }

    #[inline(always)]
    fn at<F: Real>(
        &self,
        at: &At<F>,
        [d, _, _, step, last]: [F; 5],
    ) -> impl Fn(F, Here<F>, [F; 4]) -> (F, [F; 4]) + Copy + Send + Sync + use<F, W> {
        let (one, last) = (F::Wide::number(1.0), last.widen());
        let (b1, b2) = (at.get(&self.beta1), at.get(&self.beta2));
        let [_, weight] = self.step(at, last);
        let [b3, weight, a1, a2] =
            at.lift([b2.sqrt(), weight, last * (one - b1), last * last * (one - b2)]);
        let [b1, b2, decay, floor] =
            at.lift([b1, b2, at.get(&self.decay), d.widen() * at.get(&self.eps)]);
        let floor = floor.away_from_zero();
        move |g, Here { x, .. }, [m, v, s, way]| {
            let m = b1 * m + a1 * g;
            let v = b2 * v + a2 * g * g;
            let s = b3 * s + weight * g;
            let u = step * (m / (v.sqrt() + floor) + decay * x);
            (u, [m, v, s, way + u])
        }
    }
}

crate::registry::blocks!(fold Prodigy<Unguarded>, fold Prodigy<CorrectedMoments>, fold Prodigy<Guarded>);

const TUNE: &[Tune] = &[log_range("lr", 1e-1, 1e1), log_range("decay", 1e-4, 1e-1)];

pub(crate) const ENTRIES: &[Entry] = &[
    Entry {
        name: "prodigy",
        title: "Prodigy",
        summary: "Adam at the estimated distance to the solution, without a rate to tune.",
        source: "Mishchenko & Defazio 2023, arXiv 2306.06101; prodigyopt",
        chain: recipes::prodigy,
        tune: TUNE,
    },
    Entry {
        name: "prodigy@optax",
        title: "Prodigy (optax)",
        summary: "Prodigy with corrected moments.",
        source: "optax.contrib.prodigy",
        chain: recipes::prodigy_optax,
        tune: TUNE,
    },
    Entry {
        name: "prodigy_guarded",
        title: "Prodigy, guarded",
        summary: "Prodigy with corrected moments and an estimate that a warm-up does not disturb.",
        source: "prodigyopt with use_bias_correction and safeguard_warmup",
        chain: recipes::prodigy_guarded,
        tune: TUNE,
    },
];

pub mod recipes {
    //! Ready-made chains.
    use super::{CorrectedMoments, Guarded, Prodigy};
    use crate::chain::Chain;

    /// Prodigy: `lr` 1, `d0` 1e-6, `beta1` 0.9, `beta2` 0.999, `eps` 1e-8, `decay` 0 (prodigyopt).
    pub fn prodigy() -> Chain {
        Chain::new(()).fold(<Prodigy>::default())
    }

    /// Prodigy as in optax: as [`prodigy`], moments corrected.
    pub fn prodigy_optax() -> Chain {
        Chain::new(()).fold(Prodigy::<CorrectedMoments>::default())
    }

    /// Prodigy for use with a warm-up: as [`prodigy`], moments corrected and the estimate guarded.
    pub fn prodigy_guarded() -> Chain {
        Chain::new(()).fold(Prodigy::<Guarded>::default())
    }
}
