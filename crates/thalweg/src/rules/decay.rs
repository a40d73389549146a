//! Weight decay in its five forms.
//!
//! | rule | per step | place in the chain |
//! |---|---|---|
//! | [`L2`] | adds `λ·x` to the gradient: what adaptive methods then divide away (E38) | first |
//! | [`DecayWeights`] | `x − η·λ·x`, decoupled (Loshchilov & Hutter 2019, arXiv 1711.05101, as torch writes it) | before [`Scale`](crate::rules::Scale) |
//! | [`IndependentDecay`] | `x − (η/η_peak)·λ·x`: the paper's own form, the rate's schedule without its size | before `Scale` |
//! | [`CorrectedDecay`] | `x − η·(η/η_peak)·λ·x` | before `Scale` |
//! | [`ProximalDecay`] | `(x − η·u)/(1 + η·λ)`, the update included (Adan) | before `Scale` |

use std::any::type_name;

use crate::error::Error;
use crate::hyper::{Block, Hyper, Hypers, Range};
use crate::real::Real;
use crate::registry::Entry;
use crate::rule::{At, Here, Rule};
use crate::rules::{DecayedTrustRatio, Scale};
use crate::schedule::Schedule;

crate::hypers! {
    /// Coupled L2 regularisation: adds `λ·x` to the gradient, before any moment sees it.
    pub struct L2 {
        /// Strength of the penalty `λ/2·‖x‖²`, in units of gradient per parameter (ours 0.01; torch 0).
        decay "λ" = 1e-2 in Range::NON_NEGATIVE,
    }
}

impl Rule for L2 {
    type Memory<F: Real> = [F; 0];
    const ON_GRADIENT: bool = true;

    #[inline(always)]
    fn at<F: Real>(
        &self,
        at: &At<F>,
    ) -> impl Fn(F, Here<F>, [F; 0]) -> (F, [F; 0]) + Copy + Send + Sync + use<F> {
        let [decay] = at.lift([at.get(&self.decay)]);
        move |g, here, []| (g + decay * here.x, [])
    }
}

crate::hypers! {
    /// Decoupled weight decay: adds `λ·x` to the update, which the learning rate then multiplies.
    pub struct DecayWeights {
        /// Share of the parameter removed per step and unit of learning rate (torch's AdamW 0.01).
        decay "λ" = 1e-2 in Range::NON_NEGATIVE,
    }
}

impl Rule for DecayWeights {
    type Memory<F: Real> = [F; 0];

    #[inline(always)]
    fn at<F: Real>(
        &self,
        at: &At<F>,
    ) -> impl Fn(F, Here<F>, [F; 0]) -> (F, [F; 0]) + Copy + Send + Sync + use<F> {
        let [decay] = at.lift([at.get(&self.decay)]);
        move |u, here, []| (u + decay * here.x, [])
    }
}

/// Independent weight decay: `λ·η_t/η_peak` of the parameter per step, so that λ keeps its meaning
/// when the learning rate is retuned. It stands before [`Scale`](crate::rules::Scale) and follows
/// the hyper-parameter `lr` of its own, which must have the same schedule ([`Chain::set`] does so by
/// name); building an optimizer refuses another one.
///
/// [`Chain::set`]: crate::Chain::set
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct IndependentDecay(Rated);

/// Corrected weight decay: `λ·η_t²/η_peak` of the parameter per step.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct CorrectedDecay(Rated);

crate::hypers! {
    /// A decay that knows the learning rate's schedule.
    pub struct Rated {
        /// Share of the parameter removed per step at the peak of the schedule (ours 1e-2).
        decay "λ" = 1e-2 in Range::NON_NEGATIVE,
        /// The learning rate whose schedule it follows (ours 1e-3).
        lr "η" = 1e-3 in Range::NON_NEGATIVE,
    }
}

impl Rated {
    fn peak<W: Real<Wide = W>>(&self) -> W {
        let peak = self.lr.schedule().peak();
        // A rate that is always zero moves nothing, whatever it is divided by.
        W::named("η_peak", if peak > 0.0 { peak } else { 1.0 })
    }
}

macro_rules! rated {
    ($name:ident, |$rated:ident, $at:ident| $factor:expr) => {
        impl $name {
            /// Sets λ.
            pub fn decay(mut self, value: impl Into<Schedule>) -> Self {
                self.0.decay.set(value);
                self
            }
            /// Sets the learning rate whose schedule is followed.
            pub fn lr(mut self, value: impl Into<Schedule>) -> Self {
                self.0.lr.set(value);
                self
            }
        }

        impl Hypers for $name {
            fn each(&self, see: &mut dyn FnMut(&Hyper)) {
                self.0.each(see);
            }
            fn each_mut(&mut self, see: &mut dyn FnMut(&mut Hyper)) {
                self.0.each_mut(see);
            }
        }

        impl Rule for $name {
            type Memory<F: Real> = [F; 0];

            #[inline(always)]
            fn at<F: Real>(
                &self,
                $at: &At<F>,
            ) -> impl Fn(F, Here<F>, [F; 0]) -> (F, [F; 0]) + Copy + Send + Sync + use<F> {
                let $rated = &self.0;
                let [decay] = $at.lift([$factor]);
                move |u, here, []| (u + decay * here.x, [])
            }
        }
    };
}
// The rate that Scale multiplies by is divided out again: what remains per step is λ·η_t/η_peak.
rated!(IndependentDecay, |rated, at| at.get(&rated.decay) / rated.peak());
rated!(CorrectedDecay, |rated, at| at.get(&rated.decay) * (at.get(&rated.lr) / rated.peak()));

crate::hypers! {
    /// Proximal weight decay: the step that minimises the penalty `λ/2·‖x‖²` together with the
    /// linear model of the loss, `(x − η·u)/(1 + η·λ)` (Xie et al. 2022, arXiv 2208.06677). It stands
    /// right before [`Scale`](crate::rules::Scale) and must have the same learning rate.
    pub struct ProximalDecay {
        /// Strength of the penalty, in units of update per parameter (ours 0).
        decay "λ" = 0.0 in Range::NON_NEGATIVE,
        /// The learning rate that follows (ours 1e-3).
        lr "η" = 1e-3 in Range::NON_NEGATIVE,
    }
}

impl Rule for ProximalDecay {
    type Memory<F: Real> = [F; 0];

    #[inline(always)]
    fn at<F: Real>(
        &self,
        at: &At<F>,
    ) -> impl Fn(F, Here<F>, [F; 0]) -> (F, [F; 0]) + Copy + Send + Sync + use<F> {
        let one = F::Wide::number(1.0);
        let share = one / (one + at.get(&self.lr) * at.get(&self.decay));
        let [share, decay] = at.lift([share, at.get(&self.decay)]);
        move |u, here, []| (share * (u + decay * here.x), [])
    }
}
/// Pairs of blocks that share a hyper-parameter: what one removes the other counts, what one divides by the other
/// rectifies, what one averages the other corrects for.
const SHARED: [(&str, [&str; 2]); 4] = [
    ("decay", ["DecayWeights", "SeparateTrustRatio"]),
    ("beta2", ["CorrectedRms", "RectifiedRate"]),
    ("beta1", ["MarsCorrection", "Adam"]),
    ("beta1", ["MarsCorrection", "Signum"]),
];

/// Whether blocks that share a hyper-parameter have the same.
pub(crate) fn same_shared(blocks: &[Block]) -> Result<(), Error> {
    fn own<'b>(blocks: &'b [Block], name: &str, hyper: &str) -> Option<&'b Hyper> {
        blocks.iter().find_map(|block| match block.name() == name {
            true => block.hypers.iter().find(|h| h.spec().name == hyper),
            false => block.parts.iter().find_map(|(_, part)| own(std::slice::from_ref(part), name, hyper)),
        })
    }
    for (hyper, [a, b]) in SHARED {
        let Some((x, y)) = own(blocks, a, hyper).zip(own(blocks, b, hyper)) else { continue };
        if x.schedule() != y.schedule() {
            let what = format!(
                "is {} in {a}, but {} in {b}; give both the same, as `Chain::set` does",
                x.schedule(),
                y.schedule()
            );
            return Err(Error::Conflict { name: hyper, what });
        }
    }
    Ok(())
}

/// Whether every decay that goes by the learning rate has that of the chain. Another one makes it
/// stronger or weaker by the ratio of the two, with nothing else to show for it.
pub(crate) fn same_rates(blocks: &[Block]) -> Result<(), Error> {
    let rate = |block: &Block| block.hypers.iter().find(|h| h.spec().name == "lr").cloned();
    let scale = blocks.iter().find(|b| b.path == type_name::<Scale>());
    let Some(scale) = scale.and_then(rate) else { return Ok(()) };
    let proximal = type_name::<ProximalDecay>();
    let decays = [
        type_name::<IndependentDecay>(),
        type_name::<CorrectedDecay>(),
        proximal,
        type_name::<DecayedTrustRatio>(),
    ];
    let decays = blocks.iter().filter(|b| decays.contains(&b.path));
    let endless = |b: &&Block| {
        b.path != proximal && rate(b).is_some_and(|lr| lr.schedule().peak().is_infinite())
    };
    if let Some(decay) = decays.clone().find(endless) {
        let what = "is relative to the peak of the learning rate, which grows without end; let another \
                    schedule follow in a `Sequential`";
        return Err(Error::Conflict { name: decay.name(), what: what.to_owned() });
    }
    match decays.filter_map(|b| Some((b, rate(b)?))).find(|d| d.1.schedule() != scale.schedule()) {
        None => Ok(()),
        Some((decay, own)) => Err(Error::Conflict {
            name: decay.name(),
            what: format!(
                "its lr is {}, but that of `Scale` is {}; give both the same, as `Chain::set` does",
                own.schedule(),
                scale.schedule()
            ),
        }),
    }
}

crate::registry::blocks!(
    rule L2,
    rule DecayWeights,
    rule IndependentDecay,
    rule CorrectedDecay,
    rule ProximalDecay,
);

pub(crate) const ENTRIES: &[Entry] = &[];
pub(crate) mod recipes {}
