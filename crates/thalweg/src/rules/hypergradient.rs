//! Hypergradient descent (Baydin et al. 2018, arXiv 1703.04782): the learning rate itself follows
//! its gradient.

use crate::hyper::{Hypers, Range};
use crate::part::{Fold, Join, Part, Scope};
use crate::probe::GainSlots;
use crate::real::Real;
use crate::registry::{Entry, log_range};
use crate::rule::{At, Here, Slot, slot, slot_as};

/// How the hypergradient changes the rate.
pub trait RateUpdate: Hypers + Default + Clone + Send + Sync + 'static {
    /// The new rate, from `⟨g, u₋₁⟩` and the two squared norms.
    fn update<W: Real<Wide = W>>(rate: W, step: W, inner: W, square_g: W, square_u: W) -> W;
}

crate::hypers! {
    /// `rate + h·⟨g, u₋₁⟩`, the paper's form.
    pub struct Additive {}
}

impl RateUpdate for Additive {
    fn update<W: Real<Wide = W>>(rate: W, step: W, inner: W, _: W, _: W) -> W {
        rate + step * inner
    }
}

crate::hypers! {
    /// `rate·(1 + h·cos(g, u₋₁))`, the paper's multiplicative form; scale-free.
    pub struct Multiplicative {}
}

impl RateUpdate for Multiplicative {
    fn update<W: Real<Wide = W>>(rate: W, step: W, inner: W, square_g: W, square_u: W) -> W {
        let (zero, norm) = (W::number(0.0), square_g.sqrt() * square_u.sqrt());
        let cosine = W::select(zero.lt(norm), inner / norm, zero).called("cos");
        rate + rate * step * cosine
    }
}

crate::hypers! {
    /// A learning rate for the whole group that follows its gradient, around whatever direction
    /// comes before it. It takes the place of [`Scale`](crate::rules::Scale).
    ///
    /// The rate is kept from falling below zero, where the method would climb.
    pub struct Hypergradient<R: RateUpdate = Additive> {
        /// The rate at the start; no schedule, since what is learned replaces it (ours 1e-3).
        lr "η₀" once = 1e-3 in Range::NON_NEGATIVE,
        /// The rate of the rate (official code: 1e-6 for SGD, 1e-8 for Adam).
        hyper_lr "κ" = 1e-6 in Range::NON_NEGATIVE,
        with update: R = R::default(),
    }
}

impl<R: RateUpdate> Fold for Hypergradient<R> {}

impl<R: RateUpdate> Part for Hypergradient<R> {
    type Memory<F: Real> = [F; 1];
    type Scalars<F: Real> = [F; 1];
    type Terms<F: Real> = [F; 3];
    const SLOTS: &'static [Slot] = &[slot("prev")];
    const SCALARS: &'static [Slot] = &[slot_as("rate", "η")];
    const JOIN: &'static [Join] = &[Join::Sum; 3];
    const SCOPE: Scope = Scope::Group;

    fn scalars(&self) -> [f64; 1] {
        [self.lr.value(0)]
    }

    #[inline(always)]
    fn terms<F: Real>(
        &self,
        _: &At<F>,
        _: usize,
        _: [F; 1],
    ) -> impl Fn(F, Here<F>, [F; 1]) -> [F; 3] + Copy + Send + Sync + use<F, R> {
        |_, Here { g, .. }, [prev]| [g * prev, g * g, prev * prev]
    }

    fn settle<W: Real<Wide = W>>(
        &self,
        at: &At<W>,
        _: usize,
        [inner, g, u]: [W; 3],
        [rate]: [W; 1],
    ) -> [W; 1] {
        [R::update(rate, at.get(&self.hyper_lr), inner, g, u).max(W::number(0.0))]
    }

    #[inline(always)]
    fn at<F: Real>(
        &self,
        _: &At<F>,
        [rate]: [F; 1],
    ) -> impl Fn(F, Here<F>, [F; 1]) -> (F, [F; 1]) + Copy + Send + Sync + use<F, R> {
        move |u, _, _| (rate * u, [u])
    }

    fn gains(&self, _: u64) -> Option<GainSlots> {
        Some(GainSlots::rate(0, 0))
    }
}

const PAPER: &str = "Baydin et al. 2018, arXiv 1703.04782";

crate::registry::blocks!(
    fold Hypergradient<Additive>,
    fold Hypergradient<Multiplicative>,
);

pub(crate) const ENTRIES: &[Entry] = &[
    Entry {
        name: "sgd_hd",
        title: "SGD-HD",
        summary: "Gradient descent whose learning rate follows its own gradient.",
        source: PAPER,
        chain: recipes::sgd_hd,
        tune: &[log_range("lr", 1e-3, 1e1), log_range("hyper_lr", 1e-6, 1e-2)],
    },
    Entry {
        name: "adam_hd",
        title: "Adam-HD",
        summary: "Adam whose learning rate follows its own gradient.",
        source: PAPER,
        chain: recipes::adam_hd,
        tune: &[log_range("lr", 1e-4, 1e0), log_range("hyper_lr", 1e-8, 1e-4)],
    },
    Entry {
        name: "sgd_hd_cosine",
        title: "SGD-HD, multiplicative",
        summary: "Hypergradient descent by the cosine of successive gradients.",
        source: PAPER,
        chain: recipes::sgd_hd_cosine,
        tune: &[log_range("lr", 1e-3, 1e1), log_range("hyper_lr", 1e-3, 1e-1)],
    },
];

pub mod recipes {
    //! Ready-made chains.
    use super::{Hypergradient, Multiplicative};
    use crate::chain::Chain;
    use crate::convention::Hat;
    use crate::rules::Adam;

    /// SGD with hypergradient descent: `lr` 1e-3 at the start, `hyper_lr` 1e-6 (official code).
    pub fn sgd_hd() -> Chain {
        Chain::new(()).fold(<Hypergradient>::default())
    }

    /// Adam (ε-hat) with hypergradient descent: `lr` 1e-3 at the start, `hyper_lr` 1e-8 (official code).
    pub fn adam_hd() -> Chain {
        Chain::new(Adam::<Hat>::default()).fold(<Hypergradient>::default().hyper_lr(1e-8))
    }

    /// SGD with multiplicative hypergradient descent: `hyper_lr` 0.02.
    pub fn sgd_hd_cosine() -> Chain {
        Chain::new(()).fold(Hypergradient::<Multiplicative>::default().hyper_lr(0.02))
    }
}
