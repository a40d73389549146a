//! AMSGrad (Reddi, Kale & Kumar 2018, arXiv 1904.09237).

use crate::convention::{Denominator, Outside};
use crate::hyper::{Hypers, Range};
use crate::real::Real;
use crate::registry::{Entry, log_range};
use crate::rule::{At, Here, Rule, Slot, slot};

/// Which second moment the running maximum is taken of.
pub trait MaximumOf: Hypers + Default + Clone + Send + Sync + 'static {
    /// `(what enters the maximum, what corrects it afterwards)`, given the bias correction.
    fn split<W: Real<Wide = W>>(correct: W) -> (W, W);
    /// What the first moment is multiplied by, given its bias correction.
    fn momentum<W: Real<Wide = W>>(correct: W) -> W {
        correct
    }
}

crate::hypers! {
    /// The maximum of the uncorrected moment, corrected afterwards (torch, Keras).
    pub struct Raw {}
}

impl MaximumOf for Raw {
    fn split<W: Real<Wide = W>>(correct: W) -> (W, W) {
        (W::number(1.0), correct)
    }
}

crate::hypers! {
    /// The maximum of the corrected moment (optax).
    pub struct Corrected {}
}

impl MaximumOf for Corrected {
    fn split<W: Real<Wide = W>>(correct: W) -> (W, W) {
        (correct, W::number(1.0))
    }
}

crate::hypers! {
    /// The maximum of the uncorrected moment; neither moment is corrected (the paper).
    pub struct Uncorrected {}
}

impl MaximumOf for Uncorrected {
    fn split<W: Real<Wide = W>>(_: W) -> (W, W) {
        (W::number(1.0), W::number(1.0))
    }
    fn momentum<W: Real<Wide = W>>(_: W) -> W {
        W::number(1.0)
    }
}

crate::hypers! {
    /// AMSGrad's direction: Adam's, divided by the root of the largest second moment so far, which
    /// repairs Adam's convergence proof (E71).
    pub struct AmsGrad<E: Denominator = Outside, M: MaximumOf = Raw> {
        /// Decay rate of the first moment (torch 0.9).
        beta1 "β₁" = 0.9 in Range::RATE,
        /// Decay rate of the second moment (torch 0.999).
        beta2 "β₂" = 0.999 in Range::RATE,
        with denominator: E = E::new(1e-8),
        with maximum: M = M::default(),
    }
}

impl<E: Denominator, M: MaximumOf> Rule for AmsGrad<E, M> {
    type Memory<F: Real> = [F; 3];
    const SLOTS: &'static [Slot] = &[slot("m"), slot("v").non_negative(), slot("v_max").non_negative()];

    #[inline(always)]
    fn at<F: Real>(
        &self,
        at: &At<F>,
    ) -> impl Fn(F, Here<F>, [F; 3]) -> (F, [F; 3]) + Copy + Send + Sync + use<F, E, M> {
        let [b1, a1, _] = at.ema(&self.beta1);
        let [b2, a2, _] = at.ema(&self.beta2);
        let (entering, after) = M::split(at.correction(&self.beta2));
        let [entering, c1] = at.lift([entering, M::momentum(at.correction(&self.beta1))]);
        let root = self.denominator.at(at, after);
        move |g, _, [m, v, v_max]| {
            let m = b1 * m + a1 * g;
            let v = b2 * v + a2 * g * g;
            let v_max = v_max.max(entering * v);
            (c1 * m / root(v_max), [m, v, v_max])
        }
    }
}

const TUNE: &[crate::registry::Tune] = &[log_range("lr", 1e-4, 1e0)];

crate::registry::blocks!(
    rule AmsGrad<Outside, Raw>,
    rule AmsGrad<crate::Inside, Raw>,
    rule AmsGrad<crate::Hat, Raw>,
    rule AmsGrad<crate::Floor, Raw>,
    rule AmsGrad<crate::Both, Raw>,
    rule AmsGrad<Outside, Corrected>,
    rule AmsGrad<crate::Inside, Corrected>,
    rule AmsGrad<crate::Hat, Corrected>,
    rule AmsGrad<crate::Floor, Corrected>,
    rule AmsGrad<crate::Both, Corrected>,
    rule AmsGrad<Outside, Uncorrected>,
    rule AmsGrad<crate::Inside, Uncorrected>,
    rule AmsGrad<crate::Hat, Uncorrected>,
    rule AmsGrad<crate::Floor, Uncorrected>,
    rule AmsGrad<crate::Both, Uncorrected>,
);

pub(crate) const ENTRIES: &[Entry] = &[
    Entry {
        name: "amsgrad",
        title: "AMSGrad",
        summary: "Adam that never forgets its largest second moment.",
        source: "Reddi, Kale & Kumar 2018, arXiv 1904.09237; torch.optim.Adam(amsgrad=True)",
        chain: recipes::amsgrad,
        tune: TUNE,
    },
    Entry {
        name: "amsgrad@optax",
        title: "AMSGrad (optax)",
        summary: "The maximum is taken of the corrected moment.",
        source: "optax.amsgrad",
        chain: recipes::amsgrad_optax,
        tune: TUNE,
    },
    Entry {
        name: "amsgrad@keras",
        title: "AMSGrad (Keras)",
        summary: "AMSGrad with ε-hat 1e-7.",
        source: "keras.optimizers.Adam(amsgrad=True)",
        chain: recipes::amsgrad_keras,
        tune: TUNE,
    },
    Entry {
        name: "amsgrad@paper",
        title: "AMSGrad (paper)",
        summary: "Neither moment is corrected for its start at zero.",
        source: "Reddi, Kale & Kumar 2018, arXiv 1904.09237, algorithm 2",
        chain: recipes::amsgrad_paper,
        tune: TUNE,
    },
];

pub mod recipes {
    //! Ready-made chains.
    use super::{AmsGrad, Corrected, Raw, Uncorrected};
    use crate::chain::Chain;
    use crate::convention::{Both, Denominator, Hat, Outside};
    use crate::rules::Scale;

    /// AMSGrad as in torch: `lr` 1e-3, `beta1` 0.9, `beta2` 0.999, `eps` 1e-8.
    pub fn amsgrad() -> Chain {
        Chain::new((<AmsGrad>::default(), Scale::default()))
    }

    /// AMSGrad as in optax: the maximum is taken of the corrected moment.
    pub fn amsgrad_optax() -> Chain {
        Chain::new((AmsGrad::<Both, Corrected>::default(), Scale::default()))
    }

    /// AMSGrad as in Keras: `eps` 1e-7 is added before the bias is removed.
    pub fn amsgrad_keras() -> Chain {
        let direction = AmsGrad::<Hat, Raw>::default().denominator(Hat::new(1e-7));
        Chain::new((direction, Scale::default()))
    }

    /// AMSGrad as in its paper, without bias correction: `lr` 1e-3, `beta1` 0.9, `beta2` 0.999; `eps`
    /// 1e-8 where the paper divides by the root alone.
    pub fn amsgrad_paper() -> Chain {
        Chain::new((AmsGrad::<Outside, Uncorrected>::default(), Scale::default()))
    }
}
