//! Stochastic weight averaging (Izmailov et al. 2018, arXiv 1803.05407).

use super::lookahead::STEPS;
use crate::real::Real;
use crate::registry::{Entry, log_range};
use crate::rule::{At, Here, Rule, Slot, slot_as};

crate::hypers! {
    /// The plain average of the parameter after every `k`-th step from a first one on, which is
    /// what is evaluated. Until then the parameter itself is.
    ///
    /// Last in its chain, after [`Scale`](crate::rules::Scale): it reads `x − u`, in the sweep that
    /// writes it. Elsewhere, and over a geometry, it is an error. The
    /// weight `w` is 1 up to the first step that counts, `1/n` at the `n`-th,
    /// and 0 between them. Both numbers must stay what they are while the average is gathered.
    pub struct Swa {
        /// The first step (from 1) whose result counts, rounded to a whole number (torch, in effect, 1).
        average_start "t₀" = 1.0 in STEPS,
        /// Steps from one that counts to the next (the length of a cycle), rounded to a whole number (torch, in effect, 1).
        average_every "k" = 1.0 in STEPS,
    }
}

impl Swa {
    /// The weight of the parameter after this step.
    fn weight<F: Real>(&self, at: &At<F>) -> F::Wide {
        let (first, every) = (at.whole(&self.average_start), at.whole(&self.average_every).max(1));
        let weight = match at.count().checked_sub(first) {
            None => 1.0,
            Some(since) if since % every == 0 => 1.0 / (since / every + 1) as f64,
            Some(_) => 0.0,
        };
        F::Wide::named("w", weight)
    }
}

impl Rule for Swa {
    type Memory<F: Real> = [F; 1];
    const SLOTS: &'static [Slot] = &[slot_as("average", "a").exact()];
    const HAS_VIEW: bool = true;
    const LAST: bool = true;

    fn start<F: Real>(&self, x: F) -> [F; 1] {
        [x]
    }

    #[inline(always)]
    fn at<F: Real>(
        &self,
        at: &At<F>,
    ) -> impl Fn(F, Here<F>, [F; 1]) -> (F, [F; 1]) + Copy + Send + Sync + use<F> {
        let weight = self.weight(at);
        let [weight] = at.lift([weight]);
        move |u, here, [average]| {
            let next = (here.x - u).called("y");
            (u, [average + weight * (next - average)])
        }
    }

    #[inline(always)]
    fn view<F: Real>(&self, _: &At<F>) -> impl Fn(F, [F; 1]) -> F + Copy + Send + Sync + use<F> {
        |_, [average]| average
    }
}

crate::registry::blocks!(rule Swa);

pub(crate) const ENTRIES: &[Entry] = &[Entry {
    name: "swa",
    title: "Stochastic weight averaging (SGD)",
    summary: "Momentum that evaluates the plain average of its parameters.",
    source: "Izmailov et al. 2018, arXiv 1803.05407; torch.optim.swa_utils.AveragedModel",
    chain: recipes::swa,
    tune: &[log_range("lr", 1e-4, 1e0)],
}];

pub mod recipes {
    //! Ready-made chains.
    use super::Swa;
    use crate::chain::Chain;
    use crate::rules::recipes::momentum;

    /// Momentum, evaluated at the average of all its steps; `average_start` and `average_every`
    /// say which steps count.
    pub fn swa() -> Chain {
        momentum().then(Swa::default())
    }
}
