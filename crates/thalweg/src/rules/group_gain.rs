//! One learned gain for a whole tensor or group: MetaEGD's group form, made to mean something (E26).

use crate::hyper::{Hypers, Range};
use crate::part::{Fold, Join, Part, Scope};
use crate::probe::{GainPlace, GainSlots};
use crate::real::Real;
use crate::registry::{Entry, log_range};
use crate::rule::{At, Here, Slot, slot, slot_as};

/// What of `⟨prev, g⟩` and the two squared norms moves the gain.
pub trait Agreement: Hypers + Default + Clone + Send + Sync + 'static {
    /// The signal.
    fn agreement<W: Real<Wide = W>>(inner: W, square_last: W, square_g: W) -> W;
}

crate::hypers! {
    /// The inner product itself; it has the units of a squared gradient.
    pub struct Inner {}
}

impl Agreement for Inner {
    fn agreement<W: Real<Wide = W>>(inner: W, _: W, _: W) -> W {
        inner
    }
}

crate::hypers! {
    /// The cosine of the angle, between −1 and 1; scale-free.
    pub struct Cosine {}
}

impl Agreement for Cosine {
    fn agreement<W: Real<Wide = W>>(inner: W, square_last: W, square_g: W) -> W {
        let (zero, norm) = (W::number(0.0), square_last.sqrt() * square_g.sqrt());
        W::select(zero.lt(norm), inner / norm, zero).called("cos")
    }
}

/// Over what one gain is shared.
pub trait Shared: Hypers + Default + Clone + Send + Sync + 'static {
    /// The scope of the sums.
    const SCOPE: Scope;
}

crate::hypers! {
    /// One gain per tensor.
    pub struct PerTensor {}
}

impl Shared for PerTensor {
    const SCOPE: Scope = Scope::Tensor;
}

crate::hypers! {
    /// One gain per parameter group.
    pub struct PerGroup {}
}

impl Shared for PerGroup {
    const SCOPE: Scope = Scope::Group;
}

crate::hypers! {
    /// One gain ν for all coordinates of a group (or tensor), learned from the agreement of the
    /// last direction with the new gradient: `ln ν ← clamp(ln ν + γ·agreement)`.
    pub struct GroupGain<S: Shared = PerGroup, A: Agreement = Cosine> {
        /// Rate at which the logarithm of the gain learns, per unit of agreement (ours 0.01).
        gamma "γ" = 1e-2 in Range::NON_NEGATIVE,
        /// Smallest gain (ours 1e-3).
        nu_min "ν_min" = 1e-3 in Range::POSITIVE,
        /// Largest gain (ours 1000).
        nu_max "ν_max" = 1e3 in Range::POSITIVE,
        with shared: S = S::default(),
        with agreement: A = A::default(),
    }
}

impl<S: Shared, A: Agreement> Fold for GroupGain<S, A> {}

impl<S: Shared, A: Agreement> Part for GroupGain<S, A> {
    type Memory<F: Real> = [F; 1];
    type Scalars<F: Real> = [F; 1];
    type Terms<F: Real> = [F; 3];
    const SLOTS: &'static [Slot] = &[slot("prev")];
    const SCALARS: &'static [Slot] = &[slot_as("ell", "ℓ")];
    const JOIN: &'static [Join] = &[Join::Sum; 3];
    const SCOPE: Scope = S::SCOPE;

    fn check(&self) -> Result<(), crate::Error> {
        self.nu_min.below(&self.nu_max)
    }

    #[inline(always)]
    fn terms<F: Real>(
        &self,
        _: &At<F>,
        _: usize,
        _: [F; 1],
    ) -> impl Fn(F, Here<F>, [F; 1]) -> [F; 3] + Copy + Send + Sync + use<F, S, A> {
        |_, Here { g, .. }, [prev]| [prev * g, prev * prev, g * g]
    }

    fn settle<W: Real<Wide = W>>(
        &self,
        at: &At<W>,
        _: usize,
        [inner, last, new]: [W; 3],
        [ell]: [W; 1],
    ) -> [W; 1] {
        let ell = ell + at.get(&self.gamma) * A::agreement(inner, last, new);
        [ell.clamp(at.get(&self.nu_min).ln(), at.get(&self.nu_max).ln())]
    }

    #[inline(always)]
    fn at<F: Real>(
        &self,
        _: &At<F>,
        [ell]: [F; 1],
    ) -> impl Fn(F, Here<F>, [F; 1]) -> (F, [F; 1]) + Copy + Send + Sync + use<F, S, A> {
        let gain = ell.exp();
        move |d, _, _| (gain * d, [d])
    }

    fn gains(&self, clock: u64) -> Option<GainSlots> {
        let (min, max) = (self.nu_min.value(clock), self.nu_max.value(clock));
        let gain = GainPlace::Scalar(0);
        Some(GainSlots { gain, ..GainSlots::per_coordinate(0, min, max) })
    }
}

crate::registry::blocks!(
    fold GroupGain<PerGroup, Cosine>,
    fold GroupGain<PerGroup, Inner>,
    fold GroupGain<PerTensor, Cosine>,
    fold GroupGain<PerTensor, Inner>,
);

pub(crate) const ENTRIES: &[Entry] = &[Entry {
    name: "meta_egd_tensor",
    title: "MetaEGD per tensor",
    summary: "One learned gain per tensor, driven by the cosine of successive gradients.",
    source: "the source documents' group form of MetaEGD, corrected (E26)",
    chain: recipes::meta_egd_tensor,
    tune: &[log_range("lr", 1e-3, 1e1), log_range("gamma", 1e-3, 1e-1)],
}];

pub mod recipes {
    //! Ready-made chains.
    use super::{Cosine, GroupGain, PerTensor};
    use crate::chain::Chain;
    use crate::rules::Scale;

    /// One learned gain per tensor: `gamma` 0.01, `lr` 1e-3.
    pub fn meta_egd_tensor() -> Chain {
        Chain::new(()).fold(GroupGain::<PerTensor, Cosine>::default()).then(Scale::default())
    }
}
