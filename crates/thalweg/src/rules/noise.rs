//! Gradient noise (Neelakantan et al. 2015, arXiv 1511.06807): normal noise of falling variance.

use crate::error::Error;
use crate::hyper::Range;
use crate::part::{Fold, Part, Supply};
use crate::real::Real;
use crate::registry::Entry;
use crate::rule::{At, Here};
use crate::schedule::Schedule;

const TWO_TO_53: f64 = 9_007_199_254_740_992.0;

crate::hypers! {
    /// Adds normal noise of variance `σ²/tᵞ` to every gradient. The noise is a function of the seed, the
    /// parameter's name, its step number and the coordinate: the same for any number of threads, and
    /// after resuming.
    pub struct GradientNoise {
        /// Variance at the first step, in units of the squared gradient (paper 0.01, 0.3 or 1).
        variance "σ²" = 1e-2 in Range::NON_NEGATIVE,
        /// How fast the variance falls (paper 0.55).
        falling "γ" = 0.55 in Range::NON_NEGATIVE,
        /// What the noise depends on, a whole number up to 2⁵³ (ours 0).
        seed "seed" = 0.0 in Range::NON_NEGATIVE,
    }
}

impl Fold for GradientNoise {}

impl Part for GradientNoise {
    type Memory<F: Real> = [F; 1];
    type Scalars<F: Real> = [F; 0];
    type Terms<F: Real> = [F; 0];
    const PASSES: usize = 0;
    const SUPPLY: Supply = Supply::Noise;
    const ON_GRADIENT: bool = true;

    fn check(&self) -> Result<(), Error> {
        let seed = self.seed.schedule();
        match seed {
            // Beyond 2⁵³ neighbours would be one number.
            Schedule::Constant(seed) if libm::trunc(*seed) == *seed && *seed <= TWO_TO_53 => Ok(()),
            _ => Err(Error::Conflict {
                name: self.seed.spec().name,
                what: format!("is {seed}; give it a whole number up to 2⁵³"),
            }),
        }
    }

    fn seed(&self, clock: u64) -> u64 {
        self.seed.value(clock) as u64
    }

    #[inline(always)]
    fn at<F: Real>(
        &self,
        at: &At<F>,
        _: [F; 0],
    ) -> impl Fn(F, Here<F>, [F; 1]) -> (F, [F; 1]) + Copy + Send + Sync + use<F> {
        let variance = at.get(&self.variance) / at.t().pow(at.get(&self.falling));
        let [deviation] = at.lift([variance.sqrt()]);
        move |g, _, [noise]| (g + deviation * noise, [noise])
    }
}

crate::registry::blocks!(fold GradientNoise);

pub(crate) const ENTRIES: &[Entry] = &[];

pub mod recipes {
    //! None: it is put before a direction.
}
