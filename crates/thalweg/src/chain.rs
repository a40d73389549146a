//! Chains: what an optimizer does to one group of parameters.

use std::fmt;

use crate::engine::AnyStage;
use crate::engine::kernel::{BLOCK, MAX_SLOTS};
use crate::engine::stage::PartStage;
use crate::engine::tensor::MAX_CHAIN_SLOTS;
use crate::error::Error;
use crate::formula::Page;
use crate::hyper::{Block, Hyper, Hypers};
use crate::member::Member;
use crate::optimizer::Storage;
use crate::part::{Fold, Geometry, OfRule};
use crate::rule::{Kind, Rule, Slot};
use crate::schedule::Schedule;

/// Directions one after another, and how the result is applied to the parameter.
///
/// A chain is put together at run time from rules, tuples of rules, folds and a geometry. Whatever
/// its length, a step moves every byte of parameter, gradient and state once (and each fold
/// reads the data once more).
///
/// ```
/// use thalweg::{Chain, rules::*, geometry::NegativeEntropy};
/// // AdamW with the gradient's norm limited per tensor, on positive parameters.
/// let chain = Chain::new(())
///     .fold(ClipNorm::default().max_norm(1.0))
///     .then((<Adam>::default(), DecayWeights::default(), Scale::default().lr(1e-3)))
///     .over(NegativeEntropy::default());
/// assert_eq!(chain.hyper("lr")?.value(0), 1e-3);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub struct Chain {
    stages: Vec<Box<dyn AnyStage>>,
}

impl Chain {
    /// A chain of one rule (or tuple of rules); `()` is empty.
    pub fn new(rule: impl Rule) -> Chain {
        Chain { stages: vec![] }.then(rule)
    }

    /// Adds a rule, or a tuple of rules compiled into one loop.
    #[must_use]
    pub fn then<R: Rule>(self, rule: R) -> Chain {
        // The empty rule would only copy the update to where it is.
        if std::any::TypeId::of::<R>() == std::any::TypeId::of::<()>() {
            return self;
        }
        self.push(PartStage::<_, false>::new(OfRule(rule)))
    }

    /// Adds a fold.
    #[must_use]
    pub fn fold(self, fold: impl Fold) -> Chain {
        self.push(PartStage::<_, false>::new(fold))
    }

    /// Adds the stages of another chain.
    #[must_use]
    pub fn append(mut self, other: Chain) -> Chain {
        let geometry = self.stages.pop_if(|s| s.is_geometry());
        let replaced = other.stages.iter().any(|s| s.is_geometry());
        self.stages.extend(other.stages);
        self.stages.extend(geometry.filter(|_| !replaced));
        self
    }

    /// Applies the update through `geometry` in place of `x − u`; the last one given counts.
    #[must_use]
    pub fn over(mut self, geometry: impl Geometry) -> Chain {
        self.stages.pop_if(|s| s.is_geometry());
        self.stages.push(Box::new(PartStage::<_, true>::new(geometry)));
        self
    }

    fn push(mut self, stage: impl AnyStage + 'static) -> Chain {
        let geometry = self.stages.pop_if(|s| s.is_geometry());
        self.stages.push(Box::new(stage));
        self.stages.extend(geometry);
        self
    }

    /// The hyper-parameter called `name`.
    ///
    /// # Errors
    /// [`Error::UnknownHyper`], listing the names there are.
    pub fn hyper(&self, name: &str) -> Result<Hyper, Error> {
        self.find(name).ok_or_else(|| self.unknown(name))
    }

    /// The value of the hyper-parameter called `name` at a moment, if there is one.
    pub(crate) fn value(&self, name: &str, clock: u64) -> Option<f64> {
        let mut value = None;
        self.each(&mut |hyper| {
            if value.is_none() && hyper.spec().name == name {
                value = Some(hyper.value(clock));
            }
        });
        value
    }

    /// All hyper-parameters in the order of the formulas.
    pub fn hypers(&self) -> Vec<Hyper> {
        let mut all = vec![];
        self.each(&mut |h| all.push(h.clone()));
        all
    }

    /// Gives every hyper-parameter called `name` a value or a [`Schedule`].
    ///
    /// # Errors
    /// [`Error::UnknownHyper`] if there is none; [`Error::Hyper`] or [`Error::Schedule`] if the
    /// value is not allowed. Then the chain is as it was.
    pub fn set(&mut self, name: &str, value: impl Into<Schedule>) -> Result<(), Error> {
        let schedule = value.into();
        let (mut changed, mut checked) = (self.clone(), None);
        changed.each_mut(&mut |hyper| {
            if hyper.spec().name == name {
                hyper.set(schedule.clone());
                // Equal names may have different ranges.
                checked = Some(checked.take().unwrap_or(Ok(())).and_then(|()| hyper.check()));
            }
        });
        checked.unwrap_or_else(|| Err(self.unknown(name)))?;
        *self = changed;
        Ok(())
    }

    /// [`set`](Self::set) in a row.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn with(mut self, name: &str, value: impl Into<Schedule>) -> Result<Chain, Error> {
        self.set(name, value)?;
        Ok(self)
    }

    fn unknown(&self, name: &str) -> Error {
        let mut known: Vec<&str> = vec![];
        for hyper in self.hypers() {
            if !known.contains(&hyper.spec().name) {
                known.push(hyper.spec().name);
            }
        }
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Error::UnknownHyper { name: name.to_owned(), known }
    }

    /// The names of the values remembered per coordinate, without repetition: the second slot
    /// called `m` is `m.2`.
    pub fn slots(&self) -> Vec<String> {
        unique(self.stages.iter().flat_map(|s| s.slots()))
    }

    /// Numbers remembered per coordinate; times 4 or 8 it is the state in bytes.
    pub fn memory_per_coordinate(&self) -> usize {
        self.stages.iter().map(|s| s.slot_count()).sum()
    }

    /// Bytes of state per coordinate of a large `f32` parameter, as they are kept in `storage`: 8 bits
    /// and their scale per block of 1,024 for moments, the number itself for positions.
    ///
    /// ```
    /// use thalweg::{Storage, recipes::{adamw, lookahead}};
    /// assert_eq!(adamw().bytes_per_coordinate(Storage::Native), 8.0);
    /// assert_eq!(adamw().bytes_per_coordinate(Storage::Block8), 2.0078125);
    /// assert_eq!(lookahead().bytes_per_coordinate(Storage::Bf16), 8.0); // 2 + 2, and 4 for a position
    /// ```
    pub fn bytes_per_coordinate(&self, storage: Storage) -> f64 {
        let bytes = |slot: Slot| match (storage, slot.kind) {
            (Storage::Native, _) | (_, Kind::Exact) => 4.0,
            (Storage::Bf16, _) => 2.0,
            (Storage::Block8, _) => 1.0 + 4.0 / BLOCK as f64,
        };
        // An empty sum of floats is −0.
        self.slot_list().into_iter().map(bytes).fold(0.0, |sum, bytes| sum + bytes)
    }

    /// The values remembered per coordinate, stage after stage.
    pub(crate) fn slot_list(&self) -> Vec<Slot> {
        self.stages.iter().flat_map(|s| s.slots()).collect()
    }

    /// The names of the values remembered per tensor or group, always in `f64`.
    pub fn scalars(&self) -> Vec<String> {
        unique(self.stages.iter().flat_map(|s| s.scalars().iter().copied()))
    }

    /// Whether a probe finds something to read in this chain; an optimizer none of whose chains is
    /// seen by a probe cannot be built.
    ///
    /// ```
    /// use thalweg::{Probe, recipes::{adam, meta_egd}};
    /// assert!(adam().is_seen_by(Probe::Moments) && !adam().is_seen_by(Probe::Gains));
    /// assert!(meta_egd().is_seen_by(Probe::Gains));
    /// ```
    pub fn is_seen_by(&self, probe: crate::Probe) -> bool {
        crate::probe::sees(probe, self)
    }

    /// Passes that read the data before the one that reads and writes it: one or two for each fold
    /// or geometry that needs sums.
    pub fn reading_passes(&self) -> usize {
        self.stages.iter().filter(|s| s.reads()).map(|s| s.passes()).sum()
    }

    /// Whether the parameters are to be evaluated elsewhere than where they are trained; if so,
    /// [`Optimizer::evaluation`](crate::Optimizer::evaluation) says where.
    ///
    /// ```
    /// use thalweg::recipes::{adamw, schedule_free_adamw};
    /// assert!(schedule_free_adamw().has_view() && !adamw().has_view());
    /// ```
    pub fn has_view(&self) -> bool {
        self.stages.iter().any(|s| s.has_view())
    }

    /// Whether a few rows of a tensor can be stepped alone, as
    /// [`Param::sparse_grad`](crate::Param::sparse_grad) does; if not,
    /// [`Param::exact_sparse_grad`](crate::Param::exact_sparse_grad) steps all of them.
    ///
    /// ```
    /// use thalweg::{geometry::Simplex, recipes::{adam, adan, gd, lookahead}};
    /// assert!(adam().takes_rows());
    /// assert!(!adan().takes_rows() && !lookahead().takes_rows());
    /// assert!(!gd().over(Simplex::default()).takes_rows());
    /// ```
    pub fn takes_rows(&self) -> bool {
        self.refuses_rows().is_none()
    }

    /// Why rows cannot be stepped alone.
    pub(crate) fn refuses_rows(&self) -> Option<String> {
        if self.stages.iter().any(|s| s.is_geometry() && s.reads()) {
            return Some("its geometry sums over the whole tensor".to_owned());
        }
        let mut whole = None;
        let stages = self.stages.iter();
        stages.for_each(|s| s.members(&mut |m| whole = whole.take().or(m.whole.then_some(m))));
        let what = "goes by the steps of the whole tensor, which rows stepped alone do not take";
        whole.map(|member: Member| format!("`{}` {what}", member.name()))
    }

    /// The formulas, as the machine runs them.
    pub fn formulas(&self) -> Page {
        let mut page = Page::default();
        for stage in &self.stages {
            stage.describe(&mut page);
        }
        page
    }

    /// The same chain with each building block a stage of its own, and how many stages that are: to
    /// prove that grouping changes nothing.
    ///
    /// # Errors
    /// If a block is not of this library, or in a form that no recipe file can name.
    #[doc(hidden)]
    pub fn block_by_block(&self) -> Result<(Chain, usize), String> {
        let chain = crate::recipe_file::block_by_block(&self.blocks())?;
        let stages = chain.stages.len();
        Ok((chain, stages))
    }

    /// For each stage, how many building blocks stand before it.
    pub(crate) fn first_blocks(&self) -> Vec<usize> {
        let (mut before, mut first) = (0, vec![]);
        for stage in &self.stages {
            first.push(before);
            before += stage.blocks().len();
        }
        first
    }

    pub(crate) fn stages(&self) -> &[Box<dyn AnyStage>] {
        &self.stages
    }

    /// A chain with at least one stage: the empty one subtracts the gradient as it is.
    pub(crate) fn or_identity(self) -> Chain {
        if self.stages.is_empty() {
            self.push(PartStage::<_, false>::new(OfRule(())))
        } else {
            self
        }
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        crate::part::check(self)?;
        self.stages.iter().try_for_each(|stage| stage.check())?;
        let blocks = self.blocks();
        crate::rules::same_rates(&blocks)?;
        crate::rules::same_shared(&blocks)?;
        self.check_order()?;
        let all = self.memory_per_coordinate();
        // One more may be added for the parameter's own precision.
        if all >= MAX_CHAIN_SLOTS {
            return Err(Error::Engine(format!(
                "the chain remembers {all} values per coordinate; at most {} are possible",
                MAX_CHAIN_SLOTS - 1
            )));
        }
        self.stages.iter().try_for_each(|stage| check_slots(stage.as_ref()))
    }

    /// Whether nothing changes the step behind the back of members that take it for the whole step.
    fn check_order(&self) -> Result<(), Error> {
        let mut last: Option<Member> = None;
        let mut wrong = None;
        for stage in &self.stages {
            stage.members(&mut |member| {
                let Some(before) = last else {
                    last = Some(member).filter(|member| member.last);
                    return;
                };
                let other = member.name();
                if stage.is_geometry() {
                    let what = "it takes the new parameter for x − u, which is not where";
                    let all = format!("{what} `{other}` puts it; leave one of the two out");
                    wrong = wrong.take().or(before.places.then_some((before, all)));
                } else if !member.last {
                    let what = "it takes the update it is given for the whole step, but";
                    let all = format!("{what} `{other}` follows; put it at the end of the chain");
                    wrong = wrong.take().or(Some((before, all)));
                } else if member.places {
                    last = Some(member);
                }
            });
        }
        let Some((member, what)) = wrong else { return Ok(()) };
        Err(Error::Conflict { name: member.name(), what })
    }
}

/// Whether every value that a stage remembers has a name, and there is room for all.
fn check_slots(stage: &dyn AnyStage) -> Result<(), Error> {
    let (values, names) = (stage.slot_count(), stage.slots().len());
    if names != values {
        let mut members = vec![];
        stage.members(&mut |member| members.push(member.name()));
        return Err(Error::Engine(format!(
            "`{}` remembers {values} values per coordinate and names {names}; name each of `Memory` in \
             `SLOTS`, in order",
            members.join("`, `")
        )));
    }
    if values > MAX_SLOTS {
        return Err(Error::Engine(format!(
            "a stage remembers {values} values per coordinate; at most {MAX_SLOTS} fit one stage, so split \
             its tuple with `.then(..)`"
        )));
    }
    Ok(())
}

/// Numbers repeated names.
pub(crate) fn unique(slots: impl Iterator<Item = Slot>) -> Vec<String> {
    let mut names: Vec<String> = vec![];
    for slot in slots {
        let mut name = slot.name.to_owned();
        let mut k = 2;
        while names.contains(&name) {
            name = format!("{}.{k}", slot.name);
            k += 1;
        }
        names.push(name);
    }
    names
}

impl Clone for Chain {
    fn clone(&self) -> Chain {
        Chain { stages: self.stages.iter().map(|s| s.boxed_clone()).collect() }
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for hyper in self.hypers() {
            map.entry(&hyper.spec().name, hyper.schedule());
        }
        map.finish()
    }
}

impl Hypers for Chain {
    fn each(&self, see: &mut dyn FnMut(&Hyper)) {
        self.stages.iter().for_each(|s| s.each(see));
    }
    fn each_mut(&mut self, see: &mut dyn FnMut(&mut Hyper)) {
        self.stages.iter_mut().for_each(|s| s.each_mut(see));
    }
    fn blocks(&self) -> Vec<Block> {
        self.stages.iter().flat_map(|s| s.blocks()).collect()
    }
}

impl<R: Rule> From<R> for Chain {
    fn from(rule: R) -> Chain {
        Chain::new(rule)
    }
}
