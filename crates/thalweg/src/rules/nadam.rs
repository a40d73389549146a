//! NAdam (Dozat 2016, "Incorporating Nesterov Momentum into Adam"): Adam that looks one step ahead.

use crate::convention::{Both, Denominator, Outside};
use crate::hyper::{Hyper, Hypers, Range};
use crate::real::Real;
use crate::registry::{Entry, log_range};
use crate::rule::{At, Here, Rule, Slot, slot};

/// How a form of NAdam looks ahead: the constants of one step, given β₁ and β₂.
pub trait MomentumPath: Hypers + Default + Clone + Send + Sync + 'static {
    /// `[share of m kept, share of g that enters m, weight of m, weight of g, correction of v]`.
    fn at<F: Real>(&self, at: &At<F>, beta1: &Hyper, beta2: &Hyper) -> [F::Wide; 5];
}

crate::hypers! {
    /// A momentum μ that grows towards β₁, in the look-ahead only; the running average `m` has β₁
    /// itself (torch, Keras).
    pub struct GrowingMomentum {
        /// How fast μ grows: `μ = β₁·(1 − ½·0.96^(ψ·t))` (paper and torch 0.004, Keras 1).
        momentum_decay "ψ" = 0.004 in Range::NON_NEGATIVE,
    }
}

crate::hypers! {
    /// The paper's form: the growing μ is the decay rate of `m` as well, and the corrected second
    /// moment is multiplied by β₂.
    pub struct PaperMomentum {
        /// How fast μ grows: `μ = β₁·(1 − ½·0.96^(ψ·t))` (paper 0.004).
        momentum_decay "ψ" = 0.004 in Range::NON_NEGATIVE,
    }
}

crate::hypers! {
    /// β₁ at every step, each term corrected for the step it belongs to (optax).
    pub struct ConstantMomentum {}
}

/// The product of μ over the steps 1 to `t`, as if β₁ and ψ had always been what they are now.
///
/// It ends as soon as nothing more can be seen of it in `1 − product`, so that a late step costs no
/// more than an early one.
pub(crate) fn product_of_mu(t: u64, beta1: f64, psi: f64) -> f64 {
    let ratio = libm::pow(0.96, psi);
    let (mut product, mut power) = (1.0, 1.0);
    for _ in 0..t {
        power *= ratio;
        product *= beta1 * (1.0 - 0.5 * power);
        if product < 1e-20 {
            break;
        }
    }
    product
}

/// The growing momentum μ at step `t`.
pub(crate) fn growing_mu<W: Real<Wide = W>>(t: W, beta1: W, psi: W) -> W {
    let [one, half, base] = [1.0, 0.5, 0.96].map(W::number);
    beta1 * (one - half * base.pow(psi * t))
}

/// `[μ, weight of m, weight of g]` of the growing momentum.
fn growing<F: Real>(at: &At<F>, beta1: &Hyper, psi: &Hyper) -> [F::Wide; 3] {
    let (one, [beta, rate]) = (F::Wide::number(1.0), [beta1, psi].map(|hyper| at.get(hyper)));
    let now = growing_mu(at.t(), beta, rate).called("μ");
    let next = growing_mu(at.t() + one, beta, rate).called("μ₊");
    let product = at.quantity("Πμ", [beta1, psi], |t, [beta1, psi]| product_of_mu(t, beta1, psi));
    [now, next / (one - product * next), (one - now) / (one - product)]
}

impl MomentumPath for GrowingMomentum {
    fn at<F: Real>(&self, at: &At<F>, beta1: &Hyper, beta2: &Hyper) -> [F::Wide; 5] {
        let (one, b) = (F::Wide::number(1.0), at.get(beta1));
        let [_, m, g] = growing(at, beta1, &self.momentum_decay);
        [b, one - b, m, g, at.correction(beta2)]
    }
}

impl MomentumPath for PaperMomentum {
    fn at<F: Real>(&self, at: &At<F>, beta1: &Hyper, beta2: &Hyper) -> [F::Wide; 5] {
        let one = F::Wide::number(1.0);
        let [mu, m, g] = growing(at, beta1, &self.momentum_decay);
        [mu, one - mu, m, g, at.get(beta2) * at.correction(beta2)]
    }
}

impl MomentumPath for ConstantMomentum {
    fn at<F: Real>(&self, at: &At<F>, beta1: &Hyper, beta2: &Hyper) -> [F::Wide; 5] {
        let (one, b) = (F::Wide::number(1.0), at.get(beta1));
        let ahead = b / (one - b.pow(at.t() + one));
        [b, one - b, ahead, (one - b) * at.correction(beta1), at.correction(beta2)]
    }
}

crate::hypers! {
    /// NAdam's direction: Adam's with Nesterov momentum. In place of `m̂` stands what it will be
    /// at the next step, with the present gradient for the one that is not known yet.
    pub struct NAdam<E: Denominator = Outside, L: MomentumPath = GrowingMomentum> {
        /// Decay rate of the first moment, what μ grows towards (torch 0.9, paper 0.99).
        beta1 "β₁" = 0.9 in Range::RATE,
        /// Decay rate of the second moment (torch 0.999).
        beta2 "β₂" = 0.999 in Range::RATE,
        with denominator: E = E::new(1e-8),
        with path: L = L::default(),
    }
}

impl<E: Denominator, L: MomentumPath> Rule for NAdam<E, L> {
    type Memory<F: Real> = [F; 2];
    const SLOTS: &'static [Slot] = &[slot("m"), slot("v").non_negative()];

    #[inline(always)]
    fn at<F: Real>(
        &self,
        at: &At<F>,
    ) -> impl Fn(F, Here<F>, [F; 2]) -> (F, [F; 2]) + Copy + Send + Sync + use<F, E, L> {
        let [keep, new, weight_m, weight_g, correct] =
            self.path.at(at, &self.beta1, &self.beta2);
        let [keep, new, weight_m, weight_g] = at.lift([keep, new, weight_m, weight_g]);
        let [b2, a2, _] = at.ema(&self.beta2);
        let root = self.denominator.at(at, correct);
        move |g, _, [m, v]| {
            let m = keep * m + new * g;
            let v = b2 * v + a2 * g * g;
            ((weight_m * m + weight_g * g) / root(v), [m, v])
        }
    }
}

const TUNE: &[crate::registry::Tune] = &[log_range("lr", 1e-4, 1e0)];
const TUNE_W: &[crate::registry::Tune] =
    &[log_range("lr", 1e-4, 1e0), log_range("decay", 1e-4, 1e-1)];

crate::registry::blocks!(
    rule NAdam<crate::Outside, GrowingMomentum>,
    rule NAdam<crate::Outside, PaperMomentum>,
    rule NAdam<crate::Both, ConstantMomentum>,
);

pub(crate) const ENTRIES: &[Entry] = &[
    Entry {
        name: "nadam",
        title: "NAdam",
        summary: "Adam with Nesterov momentum that grows towards β₁.",
        source: "Dozat 2016; torch.optim.NAdam",
        chain: recipes::nadam,
        tune: TUNE,
    },
    Entry {
        name: "nadam@keras",
        title: "NAdam (Keras)",
        summary: "NAdam whose momentum has grown after about a hundred steps; ε 1e-7.",
        source: "keras.optimizers.Nadam",
        chain: recipes::nadam_keras,
        tune: TUNE,
    },
    Entry {
        name: "nadam@optax",
        title: "NAdam (optax)",
        summary: "NAdam with a constant momentum.",
        source: "optax.nadam",
        chain: recipes::nadam_optax,
        tune: TUNE,
    },
    Entry {
        name: "nadam@paper",
        title: "NAdam (paper)",
        summary: "The paper's form: the growing momentum is in the running average too.",
        source: "Dozat 2016, algorithm 2",
        chain: recipes::nadam_paper,
        tune: TUNE,
    },
    Entry {
        name: "nadamw",
        title: "NAdamW",
        summary: "NAdam with decoupled weight decay.",
        source: "Dozat 2016; torch.optim.NAdam(decoupled_weight_decay=True)",
        chain: recipes::nadamw,
        tune: TUNE_W,
    },
];

pub mod recipes {
    //! Ready-made chains.
    use super::{Both, ConstantMomentum, GrowingMomentum, NAdam, Outside, PaperMomentum};
    use crate::chain::Chain;
    use crate::convention::Denominator;
    use crate::rules::{DecayWeights, Scale};

    /// NAdam as in torch: `lr` 2e-3, `beta1` 0.9, `beta2` 0.999, `eps` 1e-8, `momentum_decay` 4e-3.
    pub fn nadam() -> Chain {
        Chain::new((<NAdam>::default(), Scale::default().lr(2e-3)))
    }

    /// NAdam as in Keras: `lr` 1e-3, `eps` 1e-7, `momentum_decay` 1.
    pub fn nadam_keras() -> Chain {
        let direction = NAdam::<Outside, GrowingMomentum>::default()
            .denominator(Outside::new(1e-7))
            .path(GrowingMomentum::default().momentum_decay(1.0));
        Chain::new((direction, Scale::default()))
    }

    /// NAdam as in optax (`optax.nadam`, Adam with `nesterov=True`): no growing momentum, and
    /// `eps_root` (0) under the root.
    pub fn nadam_optax() -> Chain {
        Chain::new((NAdam::<Both, ConstantMomentum>::default(), Scale::default()))
    }

    /// NAdam as in the paper: `lr` 2e-3, `beta1` 0.99, `beta2` 0.999, `eps` 1e-8.
    pub fn nadam_paper() -> Chain {
        let direction = NAdam::<Outside, PaperMomentum>::default().beta1(0.99);
        Chain::new((direction, Scale::default().lr(2e-3)))
    }

    /// NAdam with decoupled weight decay, as torch's `decoupled_weight_decay`: `lr` 2e-3, `decay` 1e-2 (ours; torch 0).
    pub fn nadamw() -> Chain {
        let scale = Scale::default().lr(2e-3);
        Chain::new((<NAdam>::default(), DecayWeights::default(), scale))
    }
}

#[cfg(test)]
mod tests {
    use super::product_of_mu;

    #[test]
    fn the_product_is_that_of_its_factors() {
        for (beta1, psi) in [(0.9, 0.004), (0.9, 1.0), (0.99, 0.004), (0.999, 0.5), (0.5, 0.0)] {
            let mut want = 1.0;
            for t in 1..20_000_u64 {
                want *= beta1 * (1.0 - 0.5 * libm::pow(0.96, psi * t as f64));
                let got = product_of_mu(t, beta1, psi);
                assert!((got - want).abs() <= 1e-14 * (1.0 - want), "{beta1} {psi} {t}: {got} {want}");
            }
        }
    }
}
