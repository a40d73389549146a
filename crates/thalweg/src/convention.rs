//! Conventions as types: where ε stands, which second moment a maximum is taken of.
//!
//! Libraries give one name to different formulas. Here each difference is a type, so a chain says
//! which formula it is; the presets of the registry (`adam@keras`) name the combinations.

use crate::hyper::{Hyper, Hypers, Range};
use crate::real::Real;
use crate::rule::At;

/// How the second moment `v` and ε become what the update is divided by.
///
/// Where ε is zero, the smallest normal number stands in for it: the divisor of a coordinate that
/// has never had a gradient must not be zero (E48).
pub trait Denominator: Hypers + Clone + Send + Sync + 'static {
    /// With ε at this default.
    fn new(eps: f64) -> Self;

    /// The divisor as a formula of `v`. `correct` is what removes the bias of `v`'s start at zero,
    /// `1/(1 − β₂ᵗ)`; 1 for rules that do not.
    fn at<F: Real>(
        &self,
        at: &At<F>,
        correct: F::Wide,
    ) -> impl Fn(F) -> F + Copy + Send + Sync + use<F, Self>;
}

/// Sets the one hyper-parameter called ε.
fn with_eps<D: Default + Hypers>(eps: f64) -> D {
    let mut denominator = D::default();
    denominator.each_mut(&mut |hyper: &mut Hyper| {
        if hyper.spec().name == "eps" {
            hyper.set(eps);
        }
    });
    denominator
}

macro_rules! denominator {
    ($name:ident, |$self:ident, $at:ident, $correct:ident| $make:block) => {
        impl Denominator for $name {
            fn new(eps: f64) -> Self {
                with_eps(eps)
            }
            #[inline(always)]
            fn at<F: Real>(
                &$self,
                $at: &At<F>,
                $correct: F::Wide,
            ) -> impl Fn(F) -> F + Copy + Send + Sync + use<F> {
                $make
            }
        }
    };
}

crate::hypers! {
    /// `√v̂ + ε`: the papers' Adam and AdaGrad, torch, optax (Adam).
    pub struct Outside {
        /// Added to the root, in units of the gradient (torch's Adam 1e-8).
        eps "ε" = 1e-8 in Range::NON_NEGATIVE,
    }
}
denominator!(Outside, |self, at, correct| {
    let [correct, eps] = at.lift([correct, at.get(&self.eps)]);
    let eps = eps.away_from_zero();
    move |v| (v * correct).sqrt() + eps
});

crate::hypers! {
    /// `√(v̂ + ε)`: RMSProp and AdaGrad in optax, Keras and TensorFlow. For gradients below √ε the
    /// step is smaller than with [`Outside`] by orders of magnitude.
    pub struct Inside {
        /// Added under the root, in units of the squared gradient (ours 1e-8).
        eps "ε" = 1e-8 in Range::NON_NEGATIVE,
    }
}
denominator!(Inside, |self, at, correct| {
    let [correct, eps] = at.lift([correct, at.get(&self.eps)]);
    let eps = eps.away_from_zero();
    move |v| (v * correct + eps).sqrt()
});

crate::hypers! {
    /// `(√v + ε)·√correction`: ε is added before the bias is removed ("ε-hat", Keras, TensorFlow).
    /// At the first step ε counts `1/√(1−β₂)` times as much as with [`Outside`].
    pub struct Hat {
        /// Added to the uncorrected root, in units of the gradient (ours 1e-8).
        eps "ε" = 1e-8 in Range::NON_NEGATIVE,
    }
}
denominator!(Hat, |self, at, correct| {
    let [root, eps] = at.lift([correct.sqrt(), at.get(&self.eps)]);
    let eps = eps.away_from_zero();
    move |v| (v.sqrt() + eps) * root
});

crate::hypers! {
    /// `max(√v̂, ε)`: exact where ε does not matter (heavyball).
    pub struct Floor {
        /// The smallest divisor, in units of the gradient (ours 1e-8).
        eps "ε" = 1e-8 in Range::NON_NEGATIVE,
    }
}
denominator!(Floor, |self, at, correct| {
    let [correct, eps] = at.lift([correct, at.get(&self.eps)]);
    let eps = eps.away_from_zero();
    move |v| (v * correct).sqrt().max(eps)
});

crate::hypers! {
    /// `√(v̂ + ε₀) + ε`: optax's Adam family, which has both.
    pub struct Both {
        /// Added to the root, in units of the gradient (optax's Adam 1e-8).
        eps "ε" = 1e-8 in Range::NON_NEGATIVE,
        /// Added under the root, in units of the squared gradient (optax's Adam 0).
        eps_root "ε₀" = 0.0 in Range::NON_NEGATIVE,
    }
}
denominator!(Both, |self, at, correct| {
    let [correct, eps, root] = at.lift([correct, at.get(&self.eps), at.get(&self.eps_root)]);
    let eps = eps.away_from_zero();
    move |v| (v * correct + root).sqrt() + eps
});

crate::hypers! {
    /// `(√(v + ε₀) + ε)·√correction`: both, before the bias is removed (pytorch-optimizer).
    pub struct HatBoth {
        /// Added to the uncorrected root, in units of the gradient (ours 1e-8).
        eps "ε" = 1e-8 in Range::NON_NEGATIVE,
        /// Added under the uncorrected root, in units of the squared gradient (ours 1e-15).
        eps_root "ε₀" = 1e-15 in Range::NON_NEGATIVE,
    }
}
denominator!(HatBoth, |self, at, correct| {
    let [root, eps, inside] = at.lift([correct.sqrt(), at.get(&self.eps), at.get(&self.eps_root)]);
    let eps = eps.away_from_zero();
    move |v| ((v + inside).sqrt() + eps) * root
});
