//! Formulas of the sources that are not the library's, written as rules so that both run the same way.

use thalweg::{At, Here, Range, Real, Rule, Slot, hypers, slot};

hypers! {
    /// Source 000 §11.1: learned gains with momentum, with the product of the two buffers in place of
    /// the derivative (E24).
    pub struct ProductOfBuffers {
        /// Share of the buffer kept.
        momentum "μ" = 0.9 in Range::RATE,
        /// Rate at which the logarithm of the gain learns.
        gamma "γ" = 1e-5 in Range::NON_NEGATIVE,
    }
}

impl Rule for ProductOfBuffers {
    type Memory<F: Real> = [F; 2];
    const SLOTS: &'static [Slot] = &[slot("ell"), slot("buf")];

    fn at<F: Real>(
        &self,
        at: &At<F>,
    ) -> impl Fn(F, Here<F>, [F; 2]) -> (F, [F; 2]) + Copy + Send + Sync + use<F> {
        let [mu, gamma] = at.lift([at.get(&self.momentum), at.get(&self.gamma)]);
        move |d, _, [ell, buf]| {
            let new = mu * buf + d;
            let ell = ell + gamma * (buf * new);
            (ell.exp() * new, [ell, new])
        }
    }
}

hypers! {
    /// Decay after the step, on what the step has left: how E37 reads the note, and what SOAP's code does.
    pub struct DecayAfter {
        /// Share removed per step and unit of learning rate.
        decay "λ" = 0.1 in Range::NON_NEGATIVE,
        /// Learning rate.
        lr "η" = 0.1 in Range::NON_NEGATIVE,
    }
}

impl Rule for DecayAfter {
    type Memory<F: Real> = [F; 0];

    fn at<F: Real>(
        &self,
        at: &At<F>,
    ) -> impl Fn(F, Here<F>, [F; 0]) -> (F, [F; 0]) + Copy + Send + Sync + use<F> {
        let [share] = at.lift([at.get(&self.decay) * at.get(&self.lr)]);
        move |u, here, []| (u + share * (here.x - u), [])
    }
}

hypers! {
    /// Source 000 eq. 43: Adam without the correction of the start at zero (E13).
    pub struct Uncorrected {
        /// Decay rate of the first moment.
        beta1 "β₁" = 0.9 in Range::RATE,
        /// Decay rate of the second moment.
        beta2 "β₂" = 0.999 in Range::RATE,
        /// Added to the root.
        eps "ε" = 0.0 in Range::NON_NEGATIVE,
    }
}

impl Rule for Uncorrected {
    type Memory<F: Real> = [F; 2];
    const SLOTS: &'static [Slot] = &[slot("m"), slot("v")];

    fn at<F: Real>(
        &self,
        at: &At<F>,
    ) -> impl Fn(F, Here<F>, [F; 2]) -> (F, [F; 2]) + Copy + Send + Sync + use<F> {
        let [b1, a1, _] = at.ema(&self.beta1);
        let [b2, a2, _] = at.ema(&self.beta2);
        let [eps] = at.lift([at.get(&self.eps)]);
        move |g, _, [m, v]| {
            let (m, v) = (b1 * m + a1 * g, b2 * v + a2 * g * g);
            (m / (v.sqrt() + eps), [m, v])
        }
    }
}

hypers! {
    /// AMSGrad as in the paper on its convergence (Reddi, Kale & Kumar 2018), which corrects no moment.
    pub struct UncorrectedAmsGrad {
        /// Decay rate of the second moment.
        beta2 "β₂" = 0.1 in Range::RATE,
    }
}

impl Rule for UncorrectedAmsGrad {
    type Memory<F: Real> = [F; 2];
    const SLOTS: &'static [Slot] = &[slot("v"), slot("v_max")];

    fn at<F: Real>(
        &self,
        at: &At<F>,
    ) -> impl Fn(F, Here<F>, [F; 2]) -> (F, [F; 2]) + Copy + Send + Sync + use<F> {
        let [b, a, _] = at.ema(&self.beta2);
        move |g, _, [v, v_max]| {
            let v = b * v + a * g * g;
            let v_max = v_max.max(v);
            (g / v_max.sqrt(), [v, v_max])
        }
    }
}

hypers! {
    /// A running average of the gradient, corrected for its start at zero.
    pub struct CorrectedMean {
        /// Decay rate.
        beta "β" = 0.9 in Range::RATE,
    }
}

impl Rule for CorrectedMean {
    type Memory<F: Real> = [F; 1];
    const SLOTS: &'static [Slot] = &[slot("m")];

    fn at<F: Real>(
        &self,
        at: &At<F>,
    ) -> impl Fn(F, Here<F>, [F; 1]) -> (F, [F; 1]) + Copy + Send + Sync + use<F> {
        let [b, a, c] = at.ema(&self.beta);
        move |g, _, [m]| {
            let m = b * m + a * g;
            (c * m, [m])
        }
    }
}
