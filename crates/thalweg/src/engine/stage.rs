//! Stages: parts behind one interface, so that a chain can be put together at run time.

use std::any::{Any, TypeId};
use std::marker::PhantomData;

use super::Element;
use super::isa::{Isa, On, Target, on};
use super::kernel::{
    Compiled, CompiledTerms, Double, Gather, Kernel, MAX_SLOTS, MAX_TERMS, Native, Precision,
};
use crate::error::Error;
use crate::hyper::Hypers;
use crate::member::Member;
use crate::part::{Join, Part, Scope, Supply};
use crate::probe::GainSlots;
use crate::real::Real;
use crate::rule::{At, Flow, Here, Memory, Slot};

/// The moment of a step: the parameter's step number (from 1) and the schedules' clock (from 0).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) t: u64,
    pub(crate) clock: u64,
}

/// What formulas are made for.
#[derive(Clone, Copy)]
pub(crate) struct Situation<'s> {
    pub(crate) isa: Isa,
    pub(crate) moment: Moment,
    /// The scalars of the part, as they are settled.
    pub(crate) scalars: &'s [f64],
}

/// A part whose type has been forgotten.
pub(crate) trait AnyStage: Hypers + Stage<f32> + Stage<f64> + Send + Sync {
    fn boxed_clone(&self) -> Box<dyn AnyStage>;
    /// The type of the part.
    fn kind(&self) -> TypeId;
    fn slots(&self) -> Vec<Slot>;
    fn slot_count(&self) -> usize;
    fn scalars(&self) -> &'static [Slot];
    fn first_scalars(&self) -> Vec<f64>;
    fn join(&self) -> &'static [Join];
    fn passes(&self) -> usize;
    fn reads(&self) -> bool;
    fn has_view(&self) -> bool;
    fn scope(&self) -> Scope;
    fn supply(&self) -> Supply;
    fn skips(&self, shape: &[usize]) -> bool;
    fn seed(&self, clock: u64) -> u64;
    fn is_geometry(&self) -> bool;
    fn is_rule(&self) -> bool;
    fn admits(&self, x: f64) -> Result<(), &'static str>;
    fn refuse(&self, sums: &[f64]) -> Option<(u64, &'static str)>;
    fn settle(&self, moment: Moment, pass: usize, sums: &[f64], scalars: &mut [f64]);
    fn check(&self) -> Result<(), Error>;
    fn members(&self, see: &mut dyn FnMut(Member));
    fn gains(&self, clock: u64) -> Option<GainSlots>;
    fn describe(&self, to: &mut crate::formula::Page);
    /// The formula of one coordinate as it is written.
    fn plain(&self, moment: Moment, scalars: &[f64]) -> Plain;
    /// The terms of a reading pass of one coordinate as they are written.
    fn plain_terms(&self, moment: Moment, pass: usize, scalars: &[f64]) -> PlainTerms;
}

/// A formula of one coordinate, with its memory.
pub(crate) type Plain = Box<dyn Fn(Flow<f64>, &mut [f64]) -> Flow<f64>>;
/// What is gathered of one coordinate, with its memory.
pub(crate) type PlainTerms = Box<dyn Fn(Flow<f64>, &[f64]) -> Vec<f64>>;

/// What of a stage depends on the number type of the data.
pub(crate) trait Stage<E> {
    /// Writes the memory of coordinates at `x`.
    fn start(&self, x: &[E], slots: &mut [&mut [E]]);
    /// Where to evaluate coordinates at `x`, as of the moment of their last step.
    fn view(&self, moment: Moment, scalars: &[f64], x: &[E], slots: &[&[E]], out: &mut [E]);
    /// Makes the formula of the situation the one at `at` in `kernels`.
    fn kernel(&self, situation: Situation<'_>, kernels: &mut Kernels<E>, at: usize);
    /// Makes the terms of a reading pass those at `at` in `gathers`.
    fn gather(&self, situation: Situation<'_>, pass: usize, gathers: &mut Gathers<E>, at: usize);
}

/// Formulas ready to run, one after another.
pub(crate) type Kernels<E> = Vec<Box<dyn Kernel<E>>>;
/// Terms ready to be gathered.
pub(crate) type Gathers<E> = Vec<Box<dyn Gather<E>>>;

/// Makes `new` the entry at `at`, in the memory of the one there if both are of one type: so that a
/// step like the one before allocates nothing. Entries that the list would lack are dropped.
macro_rules! put {
    ($list:expr, $at:expr, $new:expr) => {{
        let (list, at, new) = ($list, $at, $new);
        match list.get_mut(at).and_then(|old| same_type(old.as_mut(), &new)) {
            Some(old) => *old = new,
            None => {
                list.truncate(at);
                list.push(Box::new(new));
            }
        }
    }};
}

/// The entry as what it is, if that is the type of `new`.
fn same_type<'o, K: Any>(old: &'o mut dyn Any, _new: &K) -> Option<&'o mut K> {
    old.downcast_mut()
}

/// A part as a stage.
#[derive(Clone)]
pub(crate) struct PartStage<P, const GEOMETRY: bool>(pub(crate) P);

impl<P: Part, const GEOMETRY: bool> PartStage<P, GEOMETRY> {
    /// Whether the tables of a part are as long as what they are of: the engine goes by them, so what they leave
    /// out is not settled, not saved, or a stream that is not there. The names of rules are counted when the
    /// chain is checked: tuples put them together at run time.
    const FITS: () = {
        let (slots, scalars, terms) =
            (P::Memory::<f64>::LEN, P::Scalars::<f64>::LEN, P::Terms::<f64>::LEN);
        let state = matches!(P::SUPPLY, Supply::State);
        let of_rows = matches!(P::SUPPLY, Supply::Row);
        assert!(
            P::IS_RULE || slots <= MAX_SLOTS,
            "`Memory` holds more than 8 values, the most that a part can remember of a coordinate"
        );
        assert!(
            P::IS_RULE || !state || P::SLOTS.len() == slots,
            "`SLOTS` must name every value of `Memory`, in order: checkpoints go by the names"
        );
        assert!(
            P::SCALARS.len() == scalars,
            "`SCALARS` must name every value of `Scalars`, in order: checkpoints go by the names"
        );
        assert!(
            P::JOIN.len() == terms,
            "`JOIN` must say for every value of `Terms`, in order, how it is joined"
        );
        assert!(
            terms <= MAX_TERMS,
            "`Terms` holds more than 8 values, the most that a part can gather of a coordinate"
        );
        assert!(
            state || slots == 1,
            "`Memory` must hold one value where `SUPPLY` gives the number of a row, or noise"
        );
        assert!(
            of_rows == matches!(P::SCOPE, Scope::Row) && (!of_rows || scalars == 1),
            "`Supply::Row` and `Scope::Row` belong together, with one scalar for each row"
        );
        assert!(
            !of_rows || P::PASSES == 1 && terms > 0,
            "a part of `Scope::Row` gathers terms, in one pass"
        );
    };

    /// A part whose tables fit it; others do not compile.
    pub(crate) fn new(part: P) -> Self {
        const { Self::FITS }
        PartStage(part)
    }
}

/// Reads a memory from a slice.
fn read<F: Copy, M: Memory<F>>(values: &[F]) -> M {
    let mut values = values.iter();
    M::load(&mut || *values.next().expect("a slice as long as the memory"))
}

/// Writes a memory to a slice.
fn write<F: Copy, M: Memory<F>>(memory: M, to: &mut [F]) {
    let mut to = to.iter_mut();
    memory.store(&mut |v| *to.next().expect("a slice as long as the memory") = v);
}

impl<P: Part, const GEOMETRY: bool> Hypers for PartStage<P, GEOMETRY> {
    fn each(&self, see: &mut dyn FnMut(&crate::hyper::Hyper)) {
        self.0.each(see);
    }
    fn each_mut(&mut self, see: &mut dyn FnMut(&mut crate::hyper::Hyper)) {
        self.0.each_mut(see);
    }
    fn blocks(&self) -> Vec<crate::hyper::Block> {
        self.0.blocks()
    }
}

impl<P: Part, const GEOMETRY: bool> AnyStage for PartStage<P, GEOMETRY> {
    fn boxed_clone(&self) -> Box<dyn AnyStage> {
        Box::new(self.clone())
    }
    fn kind(&self) -> TypeId {
        TypeId::of::<P>()
    }
    fn slots(&self) -> Vec<Slot> {
        if P::SUPPLY == Supply::State { self.0.slots() } else { vec![] }
    }
    fn slot_count(&self) -> usize {
        if P::SUPPLY == Supply::State { P::Memory::<f64>::LEN } else { 0 }
    }
    fn scalars(&self) -> &'static [Slot] {
        if P::SCOPE == Scope::Row { &[] } else { P::SCALARS }
    }
    fn first_scalars(&self) -> Vec<f64> {
        let mut values = vec![0.0; P::Scalars::<f64>::LEN];
        write(self.0.scalars(), &mut values);
        values
    }
    fn join(&self) -> &'static [Join] {
        P::JOIN
    }
    fn passes(&self) -> usize {
        P::PASSES
    }
    fn reads(&self) -> bool {
        P::Terms::<f64>::LEN > 0
    }
    fn has_view(&self) -> bool {
        P::HAS_VIEW
    }
    fn scope(&self) -> Scope {
        P::SCOPE
    }
    fn supply(&self) -> Supply {
        P::SUPPLY
    }
    fn skips(&self, shape: &[usize]) -> bool {
        self.0.skips(shape)
    }
    fn seed(&self, clock: u64) -> u64 {
        self.0.seed(clock)
    }
    fn is_geometry(&self) -> bool {
        GEOMETRY
    }
    fn is_rule(&self) -> bool {
        P::IS_RULE
    }
    fn admits(&self, x: f64) -> Result<(), &'static str> {
        self.0.admits(x)
    }
    fn refuse(&self, sums: &[f64]) -> Option<(u64, &'static str)> {
        self.0.refuse(read(sums))
    }
    fn settle(&self, moment: Moment, pass: usize, sums: &[f64], scalars: &mut [f64]) {
        let at = At::<f64>::new(moment.t, moment.clock);
        let settled = self.0.settle(&at, pass, read(sums), read(scalars));
        write(settled, scalars);
    }
    fn check(&self) -> Result<(), Error> {
        self.0.check()
    }
    fn members(&self, see: &mut dyn FnMut(Member)) {
        self.0.members(see);
    }
    fn gains(&self, clock: u64) -> Option<GainSlots> {
        self.0.gains(clock)
    }
    fn describe(&self, to: &mut crate::formula::Page) {
        to.part(&self.0, GEOMETRY);
    }
    fn plain(&self, moment: Moment, scalars: &[f64]) -> Plain {
        let flow = self.0.flow(&At::<f64>::new(moment.t, moment.clock), read(scalars));
        Box::new(move |coordinate, memory| {
            let (coordinate, new) = flow(coordinate, read(memory));
            write(new, memory);
            coordinate
        })
    }
    fn plain_terms(&self, moment: Moment, pass: usize, scalars: &[f64]) -> PlainTerms {
        let at = At::<f64>::new(moment.t, moment.clock);
        let terms = self.0.terms(&at, pass, read(scalars));
        Box::new(move |Flow { u, g, x }, memory| {
            let mut all = vec![0.0; P::Terms::<f64>::LEN];
            write(terms(u, Here { g, x }, read(memory)), &mut all);
            all
        })
    }
}

impl<E: Element, P: Part, const GEOMETRY: bool> Stage<E> for PartStage<P, GEOMETRY> {
    fn start(&self, x: &[E], slots: &mut [&mut [E]]) {
        if P::SUPPLY != Supply::State {
            return;
        }
        for (i, x) in x.iter().enumerate() {
            let mut k = 0;
            self.0.start(*x).store(&mut |v| {
                slots[k][i] = v;
                k += 1;
            });
        }
    }

    fn view(&self, moment: Moment, scalars: &[f64], x: &[E], slots: &[&[E]], out: &mut [E]) {
        let at = At::<E>::new(moment.t, moment.clock);
        let view = self.0.view(&at, lifted(scalars));
        for (i, (x, out)) in x.iter().zip(out).enumerate() {
            let mut slots = slots.iter();
            let memory = P::Memory::load(&mut || slots.next().expect("a slot for each value")[i]);
            *out = view(*x, memory);
        }
    }

    fn kernel(&self, situation: Situation<'_>, kernels: &mut Kernels<E>, at: usize) {
        let Situation { isa, moment, scalars } = situation;
        on!(isa, T => {
            let moment = At::<On<T, E>>::new(moment.t, moment.clock);
            let flow = self.0.flow(&moment, lifted(scalars));
            put!(kernels, at, Compiled::<T, P, _, GEOMETRY> { flow, marker: PhantomData });
        })
    }

    fn gather(&self, situation: Situation<'_>, pass: usize, gathers: &mut Gathers<E>, at: usize) {
        on!(situation.isa, T => if P::NATIVE {
            self.terms::<T, Native, E>(situation, pass, gathers, at);
        } else {
            self.terms::<T, Double, E>(situation, pass, gathers, at);
        })
    }
}

impl<P: Part, const GEOMETRY: bool> PartStage<P, GEOMETRY> {
    fn terms<T: Target, N: Precision, E: Element>(
        &self,
        Situation { moment, scalars, .. }: Situation<'_>,
        pass: usize,
        gathers: &mut Gathers<E>,
        at: usize,
    ) {
        let moment = At::<N::Number<T, E>>::new(moment.t, moment.clock);
        let terms = self.0.terms(&moment, pass, lifted(scalars));
        put!(gathers, at, CompiledTerms::<T, N, P, _> { terms, marker: PhantomData });
    }
}

/// Scalars in the number type of the formulas.
fn lifted<F: Real<Wide = f64>, M: Memory<F>>(scalars: &[f64]) -> M {
    let mut scalars = scalars.iter();
    M::load(&mut || lift(*scalars.next().expect("as many scalars as the part has")))
}

/// A scalar in the number type of the formulas, or the nearest finite number of it: what divides by the
/// norm of a tiny gradient is more than `f32` holds, and infinity times that gradient no small step.
pub(crate) fn lift<F: Real<Wide = f64>>(scalar: f64) -> F {
    let lifted = F::lift(scalar);
    let beyond = scalar.is_finite() && lifted.widen().is_infinite();
    if beyond { F::lift(f64::from(f32::MAX).copysign(scalar)) } else { lifted }
}
