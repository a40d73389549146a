//! Mechanic (Cutkosky, Defazio & Mehta 2023, arXiv 2306.00144): a learned scale for the sum of the
//! updates of any optimizer.

use crate::hyper::Range;
use crate::part::{Fold, Join, Part, Scope};
use crate::real::Real;
use crate::registry::{Entry, log_range};
use crate::rule::{At, Here, Slot, slot, slot_as};

/// How many bettors share the scale (optax 6).
const BETTORS: usize = 6;

/// How much of the past each keeps: `1 − 0.1ⁱ` for `i` from 1. Written out, because the standard library
/// does not say how a power is rounded.
const BETAS: [f64; BETTORS] = [0.9, 0.99, 0.999, 0.9999, 0.99999, 0.999999];

crate::hypers! {
    /// Keeps the parameter at `start − s·Δ`, where Δ is the sum of the updates that reach it and `s` the
    /// sum of what six bettors have won on the agreement of Δ with the gradients. It stands last, after
    /// a chain with a learning rate of about 1. Remembers Δ and not the start: a difference to the
    /// start would have no digits while `s` is tiny. Every coordinate follows the scale at every step, so rows
    /// are not stepped alone. One extra reading pass.
    pub struct Mechanic {
        /// The first scale, shared by the bettors (paper 1e-8, optax 1e-6).
        s_init "s₀" once = 1e-6 in Range::POSITIVE,
        /// Pull of the parameter on the bets, relative to the norm of the gradient (paper, optax 1e-2).
        pull "λ_s" = 1e-2 in Range::NON_NEGATIVE,
        /// Keeps divisors from zero (paper, optax 1e-8).
        eps_s "ε_s" = 1e-8 in Range::POSITIVE,
    }
}

/// Per bettor: the wealth, the largest bet, the sum of squares and the scale.
type Bets<F> = (([F; BETTORS], [F; BETTORS]), ([F; BETTORS], [F; BETTORS]));

impl Fold for Mechanic {}

impl Part for Mechanic {
    type Memory<F: Real> = [F; 1];
    /// The bets, and the sum of the scales before and after the step.
    type Scalars<F: Real> = (Bets<F>, [F; 2]);
    type Terms<F: Real> = [F; 4];
    const SLOTS: &'static [Slot] = &[slot_as("delta", "Δ").exact()];
    #[rustfmt::skip]
    const SCALARS: &'static [Slot] = &[
        slot("r1"), slot("r2"), slot("r3"), slot("r4"), slot("r5"), slot("r6"),
        slot("m1"), slot("m2"), slot("m3"), slot("m4"), slot("m5"), slot("m6"),
        slot("v1"), slot("v2"), slot("v3"), slot("v4"), slot("v5"), slot("v6"),
        slot("s1"), slot("s2"), slot("s3"), slot("s4"), slot("s5"), slot("s6"),
        slot_as("last", "s′"), slot_as("scale", "s"),
    ];
    const JOIN: &'static [Join] = &[Join::Sum; 4];
    const SCOPE: Scope = Scope::Groups;
    const LAST: bool = true;
    // A row that misses a change of the scale is no longer at `start − s·Δ`, and nothing brings it back.
    const WHOLE: bool = true;

    fn scalars(&self) -> Self::Scalars<f64> {
        let zero = [0.0; BETTORS];
        let scales = [self.s_init.value(0); BETTORS];
        (((zero, zero), (zero, scales)), [sum(scales); 2])
    }

    #[inline(always)]
    fn terms<F: Real>(
        &self,
        _: &At<F>,
        _: usize,
        _: Self::Scalars<F>,
    ) -> impl Fn(F, Here<F>, [F; 1]) -> [F; 4] + Copy + Send + Sync + use<F> {
        |_, Here { g, x }, [delta]| [g * g, x * x, g * delta, x * delta]
    }

    fn settle<W: Real<Wide = W>>(
        &self,
        at: &At<W>,
        _: usize,
        [square_g, square_x, along, past]: [W; 4],
        (((r, m), (v, s)), [_, scale]): Self::Scalars<W>,
    ) -> Self::Scalars<W> {
        let (zero, eps) = (W::number(0.0), at.get(&self.eps_s));
        let pull = at.get(&self.pull) * scale * square_g.sqrt() / (square_x.sqrt() + eps);
        let bet = ((along + pull * past) * (scale / (scale + eps))).called("h");
        let share = at.get(&self.s_init) / W::number(BETTORS as f64);
        let (mut wealth, mut largest, mut squares, mut scales) = (r, m, v, s);
        for i in 0..BETTORS {
            let beta = W::number(BETAS[i]);
            // A bet larger than any before counts as the largest.
            let limited = bet.max(zero - m[i]).min(m[i]);
            largest[i] = (beta * m[i]).max(bet.abs() + eps);
            squares[i] = beta * beta * v[i] + bet * bet;
            wealth[i] = beta * r[i] + limited * s[i];
            scales[i] = (share * largest[i] + wealth[i].max(zero)) / (squares[i].sqrt() + eps);
        }
        (((wealth, largest), (squares, scales)), [scale, sum(scales)])
    }

    #[inline(always)]
    fn at<F: Real>(
        &self,
        at: &At<F>,
        (_, [last, scale]): Self::Scalars<F>,
    ) -> impl Fn(F, Here<F>, [F; 1]) -> (F, [F; 1]) + Copy + Send + Sync + use<F> {
        let wide = last.widen();
        let [kept] = at.lift([wide / (wide + at.get(&self.eps_s))]);
        move |u, _, [delta]| {
            let sum = kept * delta + u;
            (scale * sum - last * delta, [sum])
        }
    }
}

/// The sum of the six, in order.
fn sum<W: Real>(values: [W; BETTORS]) -> W {
    let [first, rest @ ..] = values;
    rest.into_iter().fold(first, |sum, value| sum + value)
}

crate::registry::blocks!(fold Mechanic);

pub(crate) const ENTRIES: &[Entry] = &[Entry {
    name: "mechanic",
    title: "Mechanic (Adam)",
    summary: "Adam whose learning rate is found by betting on the agreement of updates and gradients.",
    source: "Cutkosky, Defazio & Mehta 2023, arXiv 2306.00144; optax.contrib.mechanize",
    chain: recipes::mechanic,
    tune: &[log_range("lr", 1e-1, 1e1)],
}];

pub mod recipes {
    //! Ready-made chains.
    use super::Mechanic;
    use crate::chain::Chain;
    use crate::rules::{Adam, Scale};

    /// Mechanic around Adam: `lr` 1, `s_init` 1e-6, `pull` 1e-2 (optax).
    pub fn mechanic() -> Chain {
        Chain::new((<Adam>::default(), Scale::default().lr(1.0))).fold(Mechanic::default())
    }
}
