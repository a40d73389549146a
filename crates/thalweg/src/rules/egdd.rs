//! EGDD: exponentiated gradient "delta-delta" (lingvo, Google 2020): a gain per coordinate and a
//! scale per tensor, both learned multiplicatively from agreements that ignore sizes.

use crate::hyper::{Hyper, Hypers, Range};
use crate::part::{Fold, Join, Part};
use crate::probe::GainSlots;
use crate::real::Real;
use crate::registry::{Entry, log_range};
use crate::rule::{At, Here, Kind, Slot, slot, slot_as};

/// Limits of the gains in the reference code.
const GAIN: [f64; 2] = [0.01, 100.0];
/// Limits of the scale in the reference code.
const SCALE: [f64; 2] = [0.1, 10.0];

/// How gradient and running mean of a coordinate agree, which its gain learns from.
pub trait GainSignal: Hypers + Default + Clone + Send + Sync + 'static {
    /// What kind of number the mean gradient is to it.
    const MEMORY: Kind = Kind::Signed;

    /// What a gain that learns at this rate is multiplied by, of gradient and mean.
    fn factor<F: Real>(
        at: &At<F>,
        rate: F::Wide,
        beta: &Hyper,
    ) -> impl Fn(F, F) -> F + Copy + Send + Sync + use<F, Self>;
}

crate::hypers! {
    /// The product of their signs (`use_signs`, the default of the reference code).
    pub struct Signs {}
}

impl GainSignal for Signs {
    // Codes of eight bits have none for small numbers beside large ones, and zero has no sign.
    const MEMORY: Kind = Kind::Exact;

    #[inline(always)]
    fn factor<F: Real>(
        at: &At<F>,
        rate: F::Wide,
        _: &Hyper,
    ) -> impl Fn(F, F) -> F + Copy + Send + Sync + use<F> {
        // A sign has three values, so the factor has three: no exponential in the sweep.
        let [grow, shrink] = at.lift([rate.exp(), (-rate).exp()]);
        let (zero, one) = (F::number(0.0), F::number(1.0));
        move |g, mean| {
            let agreement = g.sign() * mean.sign();
            let falling = F::select(agreement.lt(zero), shrink, one);
            F::select(zero.lt(agreement), grow, falling)
        }
    }
}

crate::hypers! {
    /// Their product, the mean corrected for its start at zero (the reference code without `use_signs`). It
    /// has the units of a squared gradient, so γ must be chosen for the scale of the loss.
    pub struct Products {}
}

impl GainSignal for Products {
    #[inline(always)]
    fn factor<F: Real>(
        at: &At<F>,
        rate: F::Wide,
        beta: &Hyper,
    ) -> impl Fn(F, F) -> F + Copy + Send + Sync + use<F> {
        let one = F::Wide::number(1.0);
        // The mean is that of the step before; before the first it is zero.
        let before = (at.t() - one).max(one);
        let [rate] = at.lift([rate / (one - at.get(beta).pow(before))]);
        move |g, mean| (rate * g * mean).exp()
    }
}

/// How the gradient and the momentum of a tensor agree, which its scale learns from.
pub trait ScaleSignal: Hypers + Default + Clone + Send + Sync + 'static {
    /// Of `⟨g, h⟩`, `‖g‖²` and `‖h‖²`.
    fn of<W: Real<Wide = W>>(inner: W, g: W, h: W) -> W;
}

crate::hypers! {
    /// The cosine between them (`use_directions`, the default of the reference code).
    pub struct Directions {}
}

impl ScaleSignal for Directions {
    fn of<W: Real<Wide = W>>(inner: W, g: W, h: W) -> W {
        let guard = W::number(1e-10);
        (inner / ((g.sqrt() + guard) * (h.sqrt() + guard))).called("cos")
    }
}

crate::hypers! {
    /// Their inner product (the reference code without `use_directions`).
    pub struct InnerProduct {}
}

impl ScaleSignal for InnerProduct {
    fn of<W: Real<Wide = W>>(inner: W, _: W, _: W) -> W {
        inner
    }
}

crate::hypers! {
    /// EGDD. Around another direction `d` the momentum gathers `d` in place of `g`.
    ///
    /// With signs and directions, the defaults of the reference code,
    /// `scale ← clamp(scale·exp(κ·cos(g, h)))`, `gain ← clamp(gain·exp(γ·sign(g)·sign(mean)))`,
    /// `h ← μ·h + η·gain·d`, `mean ← β·mean + (1−β)·g`, update `scale·h`: multiplying the loss by a
    /// number and dividing the learning rate by it changes nothing.
    pub struct Egdd<A: GainSignal = Signs, B: ScaleSignal = Directions> {
        /// Learning rate, stored in the momentum (ours 1e-3).
        lr "η" = 1e-3 in Range::NON_NEGATIVE,
        /// Share of the momentum kept (lingvo 0.9).
        momentum "μ" = 0.9 in Range::RATE,
        /// Decay rate of the mean gradient (lingvo 0.9).
        beta "β" = 0.9 in Range::RATE,
        /// Rate at which the logarithms of the gains learn (lingvo 0.01).
        gain_lr "γ" = 1e-2 in Range::NON_NEGATIVE,
        /// Rate at which the logarithm of the scale learns (lingvo 1e-3).
        scale_lr "κ" = 1e-3 in Range::NON_NEGATIVE,
        with gain_signal: A = A::default(),
        with scale_signal: B = B::default(),
    }
}

impl<A: GainSignal, B: ScaleSignal> Fold for Egdd<A, B> {}

impl<A: GainSignal, B: ScaleSignal> Part for Egdd<A, B> {
    type Memory<F: Real> = [F; 3];
    type Scalars<F: Real> = [F; 1];
    type Terms<F: Real> = [F; 3];
    const SLOTS: &'static [Slot] = &[slot_as("gain", "p").exact(), slot_as("buf", "h"), slot("mean").of(A::MEMORY)];
    const SCALARS: &'static [Slot] = &[slot_as("scale", "s")];
    const JOIN: &'static [Join] = &[Join::Sum; 3];

    fn start<F: Real>(&self, _: F) -> [F; 3] {
        [F::number(1.0), F::number(0.0), F::number(0.0)]
    }

    fn scalars(&self) -> [f64; 1] {
        [1.0]
    }

    #[inline(always)]
    fn terms<F: Real>(
        &self,
        _: &At<F>,
        _: usize,
        _: [F; 1],
    ) -> impl Fn(F, Here<F>, [F; 3]) -> [F; 3] + Copy + Send + Sync + use<F, A, B> {
        |_, Here { g, .. }, [_, h, _]| [g * h, g * g, h * h]
    }

    fn settle<W: Real<Wide = W>>(
        &self,
        at: &At<W>,
        _: usize,
        [inner, g, h]: [W; 3],
        [scale]: [W; 1],
    ) -> [W; 1] {
        let [low, high] = SCALE.map(W::number);
        let aligned = B::of(inner, g, h);
        [(scale * (at.get(&self.scale_lr) * aligned).exp()).clamp(low, high)]
    }

    #[inline(always)]
    fn at<F: Real>(
        &self,
        at: &At<F>,
        [scale]: [F; 1],
    ) -> impl Fn(F, Here<F>, [F; 3]) -> (F, [F; 3]) + Copy + Send + Sync + use<F, A, B> {
        let [lr, mu] = at.lift([at.get(&self.lr), at.get(&self.momentum)]);
        let [b, a, _] = at.ema(&self.beta);
        let factor = A::factor(at, at.get(&self.gain_lr), &self.beta);
        let [low, high] = GAIN.map(F::number);
        move |d, Here { g, .. }, [p, h, mean]| {
            let p = (p * factor(g, mean)).clamp(low, high);
            let h = mu * h + lr * p * d;
            let mean = b * mean + a * g;
            (scale * h, [p, h, mean])
        }
    }

    fn gains(&self, _: u64) -> Option<GainSlots> {
        let [min, max] = GAIN;
        Some(GainSlots { logarithm: false, scale: Some(0), ..GainSlots::per_coordinate(2, min, max) })
    }
}

crate::registry::blocks!(fold Egdd, fold Egdd<Products, InnerProduct>);

const SOURCE: &str = "lingvo egdd.py (Google 2020); Amid, Anil, Fifty & Warmuth 2022, arXiv 2202.00145";

pub(crate) const ENTRIES: &[Entry] = &[
    Entry {
        name: "egdd",
        title: "EGDD",
        summary: "Learned gains per coordinate and a learned scale per tensor, blind to the loss's scale.",
        source: SOURCE,
        chain: recipes::egdd,
        tune: &[log_range("lr", 1e-3, 1e1), log_range("gain_lr", 1e-3, 1e-1)],
    },
    Entry {
        name: "egdd_product",
        title: "EGDD (products)",
        summary: "EGDD whose gains and scale learn from products of gradients, sizes and all.",
        source: SOURCE,
        chain: recipes::egdd_product,
        tune: &[log_range("lr", 1e-3, 1e1), log_range("gain_lr", 1e-3, 1e2)],
    },
];

pub mod recipes {
    //! Ready-made chains.
    use super::{Egdd, InnerProduct, Products};
    use crate::chain::Chain;

    /// EGDD: `lr` 1e-3, `momentum` 0.9, `beta` 0.9, `gain_lr` 0.01, `scale_lr` 0.001 (reference code).
    pub fn egdd() -> Chain {
        Chain::new(()).fold(<Egdd>::default())
    }

    /// EGDD without signs and directions: hyper-parameters as in [`egdd`].
    pub fn egdd_product() -> Chain {
        Chain::new(()).fold(Egdd::<Products, InnerProduct>::default())
    }
}
