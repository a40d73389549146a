//! The optimizer: groups of parameters, their state, and the step.

mod admission;
mod builder;
mod cast;
mod checkpoint;
mod differences;
mod entries;
mod evaluation;
mod fit;
mod group;
mod guard;
mod interchange;
mod loss_scale;
mod param;
mod precision;
mod report;
pub mod sam;
mod settle;
mod sparse;
mod step;
mod sums;
mod together;

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use builder::Builder;
pub use checkpoint::Loaded;
pub use group::{Pattern, biases_and_norms};
pub use interchange::{Imported, Library, Name};
pub use loss_scale::LossScale;
pub use param::Param;
pub use precision::{LowPrecision, Storage};
pub use report::{Outcome, StepReport};

use crate::chain::Chain;
use crate::engine::buffer::Slots;
use crate::engine::codec::Packing;
use crate::engine::{Element, Isa, Threads};
use crate::error::Error;
use crate::hyper::{Hyper, Hypers};
use crate::part::Scope;
use crate::probe::Probe;
use cast::Cast;
use group::Group;
use precision::Precision;
use step::Work;

/// What to do with a gradient that holds NaN or infinity, or would once loss scale and weight are applied. It
/// never reaches state or parameter unless the check is switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NonFinite {
    /// Leave everything as it is, say so in the report, and fail after this many refused steps in
    /// a row. The default is `Skip { limit: 10 }`.
    Skip {
        /// Refused steps in a row that are an error; 0 and 1 mean the first one. Those after which a
        /// [loss scale](LossScale) becomes smaller do not count; it does so down to 2⁻²⁴.
        limit: u64,
    },
    /// Fail at once. A loss scale that adapts itself then never becomes smaller.
    Fail,
    /// Do not look. Saves the reading pass over the gradient that the check costs when nothing
    /// else needs the norm.
    Unchecked,
}

/// What a step makes of the gradients accumulated since the last one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Accumulation {
    /// Their mean, weighted as [`Optimizer::accumulate`] is told: with the number of samples as
    /// weights, the gradient of the mean loss over all of them.
    #[default]
    Mean,
    /// Their weighted sum.
    Sum,
}

/// A parameter's state.
struct State<E> {
    name: String,
    shape: Vec<usize>,
    len: usize,
    group: usize,
    /// Steps taken.
    t: u64,
    frozen: bool,
    /// The parameter's format.
    value: Option<Packing>,
    /// Imported, and no parameter was stepped with it yet.
    format_unknown: bool,
    /// Loaded or imported, and no step has had the parameter since.
    unmet: bool,
    /// Those of the chain, and the one that makes up for the parameter's format.
    slots: Slots<E>,
    /// Room for accumulated gradients, zero where there are none.
    sum: Option<Slots<E>>,
    /// Whether gradients were accumulated since the last step.
    summed: bool,
    /// Per stage of the chain.
    scalars: Vec<Vec<f64>>,
}

impl<E> State<E> {
    /// Whether the next step is to use what was accumulated.
    fn waits(&self) -> bool {
        self.summed && !self.frozen
    }
}

/// Trains parameters: chains of rules, one per group, stepping slices in place.
///
/// ```
/// use thalweg::{Optimizer, Param, recipes::adamw};
/// let mut opt = Optimizer::<f32>::new(adamw().with("lr", 0.1)?)?;
/// let (mut x, shape) = (vec![1.0, -2.0], [2]);
/// for _ in 0..200 {
///     let g: Vec<f32> = x.iter().map(|x| 2.0 * x).collect(); // of x², summed
///     opt.step(&mut [Param::new("x", &shape, &mut x, &g)])?;
/// }
/// assert!(x.iter().all(|x| x.abs() < 1e-2));
/// # Ok::<(), thalweg::Error>(())
/// ```
pub struct Optimizer<E: Element = f32> {
    groups: Vec<Group>,
    /// The order in which their stages are settled.
    order: Vec<together::Together>,
    states: Vec<State<E>>,
    index: HashMap<String, usize>,
    /// What was asked of `freeze` and `unfreeze`, for parameters met later; the last that matches counts.
    freezes: Vec<(group::Asked, bool)>,
    /// The list of the last step.
    cast: Cast<E>,
    /// Room for what a step works out.
    work: Work<E>,
    /// Room for what is between the two gradients of SAM.
    between: sam::Room<E>,
    /// What the last report said of learning rates and of parameters without a gradient. While nobody
    /// holds that report any more, the next one uses its memory.
    rates: Arc<[(String, Option<f64>)]>,
    missing: Arc<[String]>,
    /// Steps taken, the clock of the schedules.
    steps: u64,
    refused_in_a_row: u64,
    non_finite: NonFinite,
    max_norm: Hyper,
    threads: Threads,
    isa: Isa,
    probes: Vec<Probe>,
    probe_every: u64,
    precision: Precision,
    accumulation: Accumulation,
    /// The weight of the gradients accumulated since the last step.
    accumulated: f64,
    loss_scale: Option<LossScale>,
}

impl<E: Element> Optimizer<E> {
    /// One chain for every parameter.
    ///
    /// # Errors
    /// If a hyper-parameter is out of range, or the environment forces an instruction set that is
    /// not there.
    pub fn new(chain: impl Into<Chain>) -> Result<Self, Error> {
        Builder::new().rest("all", chain).build()
    }

    /// Several groups, clipping, threads, probes.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Steps taken so far; refused ones do not count.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The names of the groups with their chains.
    pub fn groups(&self) -> impl Iterator<Item = (&str, &Chain)> {
        self.groups.iter().map(|g| (g.name.as_str(), &g.chain))
    }

    /// Gives a hyper-parameter of every group (or of the one named) a value or schedule.
    ///
    /// # Errors
    /// If no group has it, or the value is not allowed, or it is another one for what is read
    /// [once](crate::HyperSpec::once) and parameters have been met; then nothing is changed.
    pub fn set(
        &mut self,
        group: Option<&str>,
        name: &str,
        value: impl Into<crate::Schedule>,
    ) -> Result<(), Error> {
        let schedule = value.into();
        let known: Vec<&str> = self.groups.iter().map(|g| g.name.as_str()).collect();
        let mut unknown = group
            .map(|name| Error::UnknownGroup { name: name.to_owned(), known: known.join(", ") });
        let mut changed = vec![];
        for (k, g) in self.groups.iter().enumerate() {
            if group.is_some_and(|wanted| wanted != g.name) {
                continue;
            }
            let mut chain = g.chain.clone();
            match chain.set(name, schedule.clone()) {
                Ok(()) => {
                    chain.check()?;
                    let restarts = changes_once(&g.chain, &chain);
                    if let (Some(name), false) = (restarts, self.states.is_empty()) {
                        let what = "is read once, when a parameter is met, and parameters have been; set \
                                    it before the first step";
                        return Err(Error::Conflict { name, what: what.to_owned() });
                    }
                    changed.push((k, chain, restarts.is_some()));
                }
                Err(e @ Error::UnknownHyper { .. }) => unknown = Some(e),
                Err(e) => return Err(e),
            }
        }
        if let (true, Some(error)) = (changed.is_empty(), unknown) {
            return Err(error);
        }
        for (k, chain, restarts) in changed {
            if restarts {
                self.groups[k].scalars = chain.stages().iter().map(|s| s.first_scalars()).collect();
            }
            self.groups[k].chain = chain;
        }
        Ok(())
    }

    /// Gives the limit of the norm over all gradients another value or schedule, as
    /// [`Builder::clip_global_norm`] does; infinity is none.
    ///
    /// # Errors
    /// If the value is not allowed; then the limit is what it was.
    pub fn clip_global_norm(&mut self, max_norm: impl Into<crate::Schedule>) -> Result<(), Error> {
        let mut limit = self.max_norm.clone();
        limit.set(max_norm);
        limit.check()?;
        self.max_norm = limit;
        Ok(())
    }

    /// Tells the plateau schedules that are active at the next step a measured quantity, such as the loss on
    /// validation data; [`Plateau::mode`](crate::Plateau) says which way is better. They are those of its
    /// hyper-parameters and of the limit of the norm; [`Sam`](sam::Sam) takes no plateau.
    pub fn observe(&mut self, metric: f64) {
        self.max_norm.observe(self.steps, metric);
        for group in &mut self.groups {
            group.chain.each_mut(&mut |hyper| hyper.observe(self.steps, metric));
        }
    }

    /// The instruction set in use.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Probes only every `every`-th step from now on, as [`Builder::probe_every`].
    pub fn probe_every(&mut self, every: std::num::NonZeroU64) {
        self.probe_every = every.get();
    }

    /// Leaves the parameters that match alone from now on, those met later too; their state is kept.
    /// Returns how many of the parameters seen so far match.
    ///
    /// A checkpoint does not hold the patterns. It says of each parameter that had been met whether it is
    /// frozen, and of others nothing: after loading such a one is trained when it comes, and
    /// [`Loaded::differences`] cannot name it. A program that freezes by pattern does so each time it
    /// builds the optimizer, before it loads; patterns given then stay in force.
    ///
    /// A pattern replaces an equal one given before, and [`Pattern::Rest`], which takes all parameters here,
    /// replaces every one. Of tests ([`Pattern::test`]) only clones of one are equal.
    ///
    /// # Errors
    /// [`Error::Pattern`] if the pattern cannot be read.
    pub fn freeze(&mut self, pattern: impl Into<Pattern>) -> Result<usize, Error> {
        self.set_frozen("freeze", pattern.into(), true)
    }

    /// Ends [`freeze`](Self::freeze): the parameters go on where they were.
    ///
    /// # Errors
    /// [`Error::Pattern`] if the pattern cannot be read.
    pub fn unfreeze(&mut self, pattern: impl Into<Pattern>) -> Result<usize, Error> {
        self.set_frozen("unfreeze", pattern.into(), false)
    }

    fn set_frozen(&mut self, call: &str, pattern: Pattern, frozen: bool) -> Result<usize, Error> {
        let matches = pattern.compile(call)?;
        let mut count = 0;
        for state in &mut self.states {
            if matches(&state.name, &state.shape) {
                state.frozen = frozen;
                count += 1;
            }
        }
        // A loop that freezes and unfreezes at every epoch must not collect patterns.
        self.freezes.retain(|(earlier, _)| !pattern.covers(&earlier.pattern));
        self.freezes.push((group::Asked { pattern, matches }, frozen));
        Ok(count)
    }

    /// Forgets a parameter and its state, so that it starts anew if it comes back. What its group
    /// remembers as a whole (a learned gain, a distance) stays. Says whether it was known.
    pub fn remove(&mut self, name: &str) -> bool {
        let Some(gone) = self.index.remove(name) else { return false };
        self.states.remove(gone);
        // With the last sum goes the weight of the batches, or the next gradient would be divided by it.
        if !self.states.iter().any(|state| state.summed) {
            self.accumulated = 0.0;
        }
        self.cast.clear();
        self.index = self.states.iter().enumerate().map(|(k, s)| (s.name.clone(), k)).collect();
        true
    }

    /// The names of the parameters seen so far with the number of steps each has taken.
    pub fn params(&self) -> impl Iterator<Item = (&str, u64)> {
        self.states.iter().map(|s| (s.name.as_str(), s.t))
    }

    /// The names of parameters that came with a loaded checkpoint or an import and that no step was given
    /// since. Once the whole model has been stepped, what is left here is gone or has another name there,
    /// under which it has started anew, as [`StepReport::first_met`] tells. [`remove`](Self::remove) forgets it.
    ///
    /// ```
    /// use thalweg::{Optimizer, Param, recipes::adam};
    /// let (mut x, g) = ([1.0], [0.5]);
    /// let mut opt = Optimizer::<f32>::new(adam())?;
    /// let _ = opt.step(&mut [Param::new("embed", &[1], &mut x, &g)])?;
    /// let mut resumed = Optimizer::<f32>::new(adam())?;
    /// let _ = resumed.load_bytes(&opt.save_bytes()?)?;
    /// let report = resumed.step(&mut [Param::new("embedding", &[1], &mut x, &g)])?;
    /// assert_eq!(*report.first_met, ["embedding"]);
    /// assert!(resumed.unmet().eq(["embed"]));
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn unmet(&self) -> impl Iterator<Item = &str> {
        self.states.iter().filter(|s| s.unmet).map(|s| s.name.as_str())
    }

    /// One slot of a parameter's state (`"m"`), as long as the parameter. `None` if there is none, or
    /// if it is kept in another format than `E`: see [`slot_values`](Self::slot_values).
    pub fn slot(&self, param: &str, slot: &str) -> Option<&[E]> {
        let (state, k) = self.find_slot(param, slot)?;
        state.slots.slot(k)
    }

    /// The values of one slot of a parameter's state, whatever format they are kept in.
    pub fn slot_values(&self, param: &str, slot: &str) -> Option<Vec<E>> {
        let (state, k) = self.find_slot(param, slot)?;
        Some(state.slots.values(k, self.isa))
    }

    /// How one slot of a parameter's state is kept, which [`Builder::storage`] asks for and the kind of slot or the
    /// size of the parameter may refuse. `None` if its chain has none of this name.
    pub fn slot_storage(&self, param: &str, slot: &str) -> Option<Storage> {
        let (state, k) = self.find_slot(param, slot)?;
        match state.slots.packing(k) {
            None => Some(Storage::Native),
            Some(Packing::Bf16) => Some(Storage::Bf16),
            Some(Packing::Signed | Packing::Unsigned) => Some(Storage::Block8),
            // The engine's own slot beside a parameter in f16, which no chain has.
            Some(Packing::F16 | Packing::F16Rest) => None,
        }
    }

    fn find_slot(&self, param: &str, slot: &str) -> Option<(&State<E>, usize)> {
        let state = &self.states[*self.index.get(param)?];
        let names = self.slot_names(state.group, state.value);
        Some((state, names.iter().position(|n| n == slot)?))
    }

    /// The slots of a parameter: those of its chain, and the engine's own.
    fn slot_names(&self, group: usize, value: Option<Packing>) -> Vec<String> {
        let own = self.precision.own_slot(value).map(str::to_owned);
        self.groups[group].chain.slots().into_iter().chain(own).collect()
    }

    /// What the loss is to be multiplied by before the next backward pass: 1 without
    /// [`Builder::loss_scale`].
    pub fn loss_scale(&self) -> f64 {
        self.loss_scale.as_ref().map_or(1.0, LossScale::value)
    }

    /// A scalar of a parameter's state (EGDD's `"scale"`), or of its group's.
    pub fn scalar(&self, param: &str, scalar: &str) -> Option<f64> {
        let state = &self.states[*self.index.get(param)?];
        let group = &self.groups[state.group];
        for (k, stage) in group.chain.stages().iter().enumerate() {
            if let Some(at) = stage.scalars().iter().position(|s| s.name == scalar) {
                return self.scalars_of(state, k).get(at).copied();
            }
        }
        None
    }

    /// The scalars of stage `k` that hold for a parameter: its own or its group's.
    fn scalars_of<'s>(&'s self, state: &'s State<E>, k: usize) -> &'s [f64] {
        let group = &self.groups[state.group];
        let scalars = match group.chain.stages()[k].scope() {
            Scope::Tensor => state.scalars.get(k),
            Scope::Group | Scope::Groups | Scope::Row => group.scalars.get(k),
        };
        scalars.map_or(&[], Vec::as_slice)
    }

    /// Bytes of state held for the parameters seen so far, accumulated gradients included.
    pub fn state_bytes(&self) -> usize {
        let sum = |s: &State<E>| s.sum.as_ref().map_or(0, Slots::used_bytes);
        self.states.iter().map(|s| s.slots.used_bytes() + sum(s)).sum()
    }
}

/// A hyper-parameter that is read once and differs between two forms of a chain.
fn changes_once(before: &Chain, after: &Chain) -> Option<&'static str> {
    let (before, after) = (before.hypers(), after.hypers());
    let mut pairs = before.iter().zip(&after);
    let other = pairs.find(|(b, a)| b.spec().once && b.schedule() != a.schedule());
    other.map(|(hyper, _)| hyper.spec().name)
}

impl<E: Element> std::fmt::Debug for Optimizer<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Optimizer")
            .field("steps", &self.steps)
            .field("groups", &self.groups.iter().map(|g| (&g.name, &g.chain)).collect::<Vec<_>>())
            .field("params", &self.states.len())
            .field("isa", &self.isa)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_that_another_overrides_are_dropped() {
        let mut opt = Optimizer::<f64>::new(crate::recipes::gd()).expect("a chain");
        let head = || Pattern::from("head.*");
        let test = Pattern::test(|name, _| name.len() == 2);
        for _ in 0..3 {
            opt.freeze("body.*").expect("a glob");
            opt.freeze(Pattern::Regex("^norm".to_owned())).expect("a regular expression");
            opt.freeze(head().except(biases_and_norms())).expect("a pattern");
            opt.freeze(head().and(biases_and_norms())).expect("a pattern");
            opt.unfreeze(test.clone()).expect("a test");
            opt.unfreeze("body.*").expect("a glob");
        }
        assert_eq!(opt.freezes.len(), 5);
        assert_eq!(opt.asked_frozen("body.w", &[2, 2]), Some(false));
        assert_eq!(opt.asked_frozen("norm", &[2]), Some(true));
        assert_eq!(opt.asked_frozen("ab", &[2]), Some(false));
        // What is left of one and of the other may differ.
        opt.freeze(head().except("*.bias")).expect("a pattern");
        assert_eq!(opt.freezes.len(), 6);
        opt.unfreeze(Pattern::Rest).expect("all");
        assert_eq!(opt.freezes.len(), 1);
        assert_eq!(opt.asked_frozen("norm", &[2]), Some(false));
    }
}
