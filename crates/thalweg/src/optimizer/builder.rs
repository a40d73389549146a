//! Putting an optimizer together.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::cast::Cast;
use super::group::{Group, Pattern};
use super::guard::MAX_NORM;
use super::precision::{LowPrecision, Precision, Storage};
use super::step::Work;
use super::{Accumulation, LossScale, NonFinite, Optimizer, sam};
use crate::chain::Chain;
use crate::engine::{Element, Isa, Threads};
use crate::error::Error;
use crate::hyper::Hyper;
use crate::probe::Probe;
use crate::schedule::Schedule;

/// Collects what an [`Optimizer`] is made of; [`build`](Self::build) checks it.
///
/// ```
/// use thalweg::{Builder, NonFinite, Optimizer, recipes::{adamw, momentum}};
/// let opt: Optimizer<f32> = Builder::new()
///     .group("head", "head.*", momentum().with("lr", 0.1)?)
///     .rest("body", adamw())
///     .clip_global_norm(1.0)
///     .non_finite(NonFinite::Fail)
///     .build()?;
/// # Ok::<(), thalweg::Error>(())
/// ```
#[must_use]
pub struct Builder {
    pub(crate) groups: Vec<(String, Pattern, Chain)>,
    pub(crate) non_finite: NonFinite,
    pub(crate) max_norm: Hyper,
    pub(crate) threads: Result<Threads, Error>,
    isa: Option<Isa>,
    probes: Vec<Probe>,
    probe_every: u64,
    pub(crate) precision: Precision,
    pub(crate) storage: Storage,
    pub(crate) group_storage: Vec<(String, Storage)>,
    pub(crate) accumulation: Accumulation,
    pub(crate) loss_scale: Option<LossScale>,
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("groups", &self.groups)
            .field("non_finite", &self.non_finite)
            .field("clip_global_norm", self.max_norm.schedule())
            .finish_non_exhaustive()
    }
}

impl Default for Builder {
    fn default() -> Self {
        Builder::new()
    }
}

impl Builder {
    /// Nothing yet.
    pub fn new() -> Builder {
        Builder {
            groups: vec![],
            non_finite: NonFinite::Skip { limit: 10 },
            max_norm: Hyper::new(&MAX_NORM),
            threads: Ok(Threads::default()),
            isa: None,
            probes: vec![],
            probe_every: 1,
            precision: Precision::default(),
            storage: Storage::default(),
            group_storage: vec![],
            accumulation: Accumulation::default(),
            loss_scale: None,
        }
    }

    /// A group: the parameters that match `pattern` (a glob if it is a string) follow `chain`.
    pub fn group(
        mut self,
        name: &str,
        pattern: impl Into<Pattern>,
        chain: impl Into<Chain>,
    ) -> Builder {
        self.groups.push((name.to_owned(), pattern.into(), chain.into()));
        self
    }

    /// The group of the parameters that no other group matches.
    pub fn rest(self, name: &str, chain: impl Into<Chain>) -> Builder {
        self.group(name, Pattern::Rest, chain)
    }

    /// Scales all gradients of a step by `max_norm / norm` if the Euclidean norm over all
    /// parameters of all groups exceeds `max_norm` (Pascanu et al. 2013, arXiv 1211.5063).
    ///
    /// The factor is exact, as in optax; torch adds 1e-6 to the norm. It costs one reading pass
    /// over the gradients, which the check for non-finite values makes anyway. The limit may follow a
    /// schedule, and [`Optimizer::clip_global_norm`] changes it; infinity, the default, is none.
    pub fn clip_global_norm(mut self, max_norm: impl Into<Schedule>) -> Builder {
        self.max_norm.set(max_norm);
        self
    }

    /// What to do with a gradient that holds NaN or infinity.
    pub fn non_finite(mut self, policy: NonFinite) -> Builder {
        self.non_finite = policy;
        self
    }

    /// Steps on `count` threads; 1 keeps the step on the caller's. Without this, or
    /// [`pool`](Self::pool), rayon's current pool is used, which allocates at every step.
    pub fn threads(mut self, count: usize) -> Builder {
        self.threads = Threads::count(count);
        self
    }

    /// Steps on a pool of the user's, and the calling thread.
    pub fn pool(mut self, pool: Arc<rayon::ThreadPool>) -> Builder {
        self.threads = Ok(Threads::Pool(pool));
        self
    }

    /// Forces an instruction set, as the environment variable `THALWEG_ISA` does.
    pub fn isa(mut self, isa: Isa) -> Builder {
        self.isa = Some(isa);
        self
    }

    /// Adds a probe: its numbers stand in the [`StepReport`](crate::StepReport) of every step, or of
    /// those that [`probe_every`](Self::probe_every) chooses.
    pub fn probe(mut self, probe: Probe) -> Builder {
        self.probes.push(probe);
        self
    }

    /// Probes only the steps whose number (from 1) `every` divides; 1 is the default. Other steps
    /// cost nothing more, and no step does anything else for being probed.
    ///
    /// ```
    /// use std::num::NonZeroU64;
    /// use thalweg::{Optimizer, Param, Probe, recipes::adam};
    /// let mut opt: Optimizer<f32> = Optimizer::<f32>::builder()
    ///     .rest("all", adam().with("eps", 1e-3)?)
    ///     .probe(Probe::Moments)
    ///     .probe_every(NonZeroU64::new(10).unwrap())
    ///     .build()?;
    /// let (mut x, g) = ([0.0; 4], [1.0, 1.0, 1e-5, 0.0]);
    /// for step in 1..=20 {
    ///     let report = opt.step(&mut [Param::new("x", &[4], &mut x, &g)])?;
    ///     match report.moments.as_slice() {
    ///         [reading] => {
    ///             assert_eq!(step % 10, 0);
    ///             // The smallest gradient disappears behind ε; the last coordinate never had one.
    ///             assert_eq!(reading.moments.eps_dominates, 1.0 / 3.0);
    ///             assert_eq!(reading.moments.still_zero, 1.0 / 4.0);
    ///         }
    ///         _ => assert_ne!(step % 10, 0),
    ///     }
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn probe_every(mut self, every: std::num::NonZeroU64) -> Builder {
        self.probe_every = every.get();
        self
    }

    /// The format that state is kept in.
    ///
    /// ```
    /// use thalweg::{Optimizer, Param, Storage, recipes::adam};
    /// let mut opt: Optimizer<f32> =
    ///     Optimizer::<f32>::builder().rest("all", adam()).storage(Storage::Block8).build()?;
    /// let (mut x, g) = (vec![0.0; 8192], vec![1.0; 8192]);
    /// opt.step(&mut [Param::new("x", &[8192], &mut x, &g)])?;
    /// assert_eq!(opt.state_bytes(), 2 * (8192 + 4 * 8)); // m and v: codes, and scales per block
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn storage(mut self, storage: Storage) -> Builder {
        self.storage = storage;
        self
    }

    /// The format that the state of one group is kept in.
    pub fn group_storage(mut self, group: &str, storage: Storage) -> Builder {
        self.group_storage.push((group.to_owned(), storage));
        self
    }

    /// What makes up for the precision of parameters in bf16 or f16.
    pub fn low_precision(mut self, how: LowPrecision) -> Builder {
        self.precision.low = how;
        self
    }

    /// The seed of stochastic rounding, 0 by default. Every parameter, slot, step and coordinate
    /// draws a number of its own, whoever computes it. (Of a parameter with more than 2³² coordinates some share theirs.)
    pub fn seed(mut self, seed: u64) -> Builder {
        self.precision.seed = seed;
        self
    }

    /// What a step makes of accumulated gradients; the mean by default.
    pub fn accumulation(mut self, accumulation: Accumulation) -> Builder {
        self.accumulation = accumulation;
        self
    }

    /// Divides the gradients by a loss scale that adapts itself.
    pub fn loss_scale(mut self, scale: LossScale) -> Builder {
        self.loss_scale = Some(scale);
        self
    }

    /// Whether somebody sees the overflows that a loss scale adapts itself to.
    pub(crate) fn check_overflows(&self) -> Result<(), Error> {
        let adapts = self.loss_scale.as_ref().is_some_and(|scale| !scale.is_constant());
        if adapts && self.non_finite == NonFinite::Unchecked {
            return Err(Error::Conflict {
                name: "non_finite",
                what: "is Unchecked, but the loss scale adapts itself to overflows, which nobody would \
                       see; choose Skip or Fail, or `LossScale::constant`"
                    .to_owned(),
            });
        }
        Ok(())
    }

    /// Checks everything and makes the optimizer.
    ///
    /// # Errors
    /// No group, two groups of one name or two rests, an unreadable pattern, a hyper-parameter out
    /// of range or in conflict with another, zero threads, an instruction set that is not there, a loss
    /// scale that adapts itself without a check for overflow.
    pub fn build<E: Element>(self) -> Result<Optimizer<E>, Error> {
        if self.groups.is_empty() {
            return Err(Error::NoGroup);
        }
        self.max_norm.check()?;
        if let Some((name, value, range)) = self.loss_scale.as_ref().and_then(LossScale::wrong) {
            return Err(Error::Hyper { name, value, range: range.to_owned() });
        }
        self.check_overflows()?;
        let isa = match self.isa {
            Some(isa) if !Isa::available().contains(&isa) => {
                return Err(Error::Engine(format!("instruction set {isa} is not available here")));
            }
            Some(isa) => isa,
            None => Isa::detect()?,
        };
        let known = || self.groups.iter().map(|g| g.0.as_str()).collect::<Vec<_>>().join(", ");
        let named = |name: &String| self.groups.iter().any(|g| g.0 == *name);
        if let Some((name, _)) = self.group_storage.iter().find(|(name, _)| !named(name)) {
            return Err(Error::UnknownGroup { name: name.clone(), known: known() });
        }
        let mut groups: Vec<Group> = vec![];
        for (name, pattern, chain) in self.groups {
            chain.check()?;
            let chain = chain.or_identity();
            let rest = matches!(pattern, Pattern::Rest);
            if groups.iter().any(|g| g.name == name || (g.rest && rest)) {
                return Err(Error::Duplicate { what: "group", name });
            }
            let own = self.group_storage.iter().rev().find(|(group, _)| *group == name);
            let storage = own.map_or(self.storage, |(_, storage)| *storage);
            groups.push(Group::new(name, &pattern, chain, storage)?);
        }
        let chains: Vec<&Chain> = groups.iter().map(|g| &g.chain).collect();
        crate::probe::check(&self.probes, &chains)?;
        Ok(Optimizer {
            rates: groups.iter().map(|g| (g.name.clone(), None)).collect(),
            missing: Arc::default(),
            order: super::together::order(&groups)?,
            groups,
            states: vec![],
            index: HashMap::new(),
            cast: Cast::default(),
            work: Work::default(),
            between: sam::Room::default(),
            steps: 0,
            refused_in_a_row: 0,
            non_finite: self.non_finite,
            max_norm: self.max_norm,
            threads: self.threads?,
            isa,
            probes: self.probes,
            probe_every: self.probe_every,
            precision: self.precision,
            accumulation: self.accumulation,
            accumulated: 0.0,
            freezes: vec![],
            loss_scale: self.loss_scale,
        })
    }
}
