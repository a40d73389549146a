//! What needs sums before it is a formula of one coordinate: folds and geometries.

use crate::error::Error;
use crate::hyper::{Block, Hyper, Hypers};
use crate::member::Member;
use crate::probe::GainSlots;
use crate::real::Real;
use crate::rule::{At, Flow, Here, Memory, Rule, Slot, zeros};

/// Over what a sum runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One parameter tensor.
    Tensor,
    /// All parameters of the group.
    Group,
    /// All parameters of all groups that have this part: every group settles scalars of its own from the
    /// same sums, so groups with the same hyper-parameters have the same scalars.
    Groups,
    /// One row of a tensor: the coordinates with the same index along the first axis, which are the
    /// weights of one output in the layout of torch and candle. A vector is one row.
    Row,
}

impl Scope {
    /// Whether the scalars are those of a group.
    pub(crate) fn is_of_group(self) -> bool {
        matches!(self, Scope::Group | Scope::Groups)
    }
}

/// Where the memory of a part comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Supply {
    /// From the step before: it is state.
    State,
    /// The scalar of the row, for parts of [`Scope::Row`], which have one. Nothing is remembered.
    Row,
    /// One standard normal number, a function of [`seed`](Part::seed), the parameter's name, its step
    /// number and the coordinate. Nothing is remembered.
    Noise,
}

/// How the terms of a sum are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Join {
    /// Added, in `f64`, in a fixed order.
    Sum,
    /// The largest is kept.
    Max,
}

/// A formula of one coordinate that may need numbers gathered over a tensor or a group first.
///
/// The engine reads the data once per pass: for every coordinate it evaluates
/// [`terms`](Self::terms) in `f64`, joins them, and lets [`settle`](Self::settle) turn the result
/// into the scalars of this step. With these, [`at`](Self::at) is an ordinary formula.
///
/// A [`Fold`] returns an update, as a [`Rule`] does; a [`Geometry`] returns the new parameter.
pub trait Part: Hypers + Clone + Send + Sync + 'static {
    /// What is remembered per coordinate.
    type Memory<F: Real>: Memory<F>;
    /// What is remembered per tensor or group, always in `f64`.
    type Scalars<F: Real>: Memory<F>;
    /// What is gathered from each coordinate.
    type Terms<F: Real>: Memory<F>;

    /// Names of the values remembered per coordinate, as many as `Memory` holds, which are at most 8. A chain that is
    /// given a part with another number does not compile, nor with other numbers of the next two.
    const SLOTS: &'static [Slot] = &[];
    /// Names of the scalars, as many as `Scalars` holds.
    const SCALARS: &'static [Slot] = &[];
    /// How each term is joined, for as many as `Terms` holds, which are at most 8.
    const JOIN: &'static [Join] = &[];
    /// Reading passes over the data before the formula can run. A part without
    /// [`Terms`](Self::Terms) reads nothing: its passes only settle the scalars.
    const PASSES: usize = 1;
    /// Whether the terms are exact, even summed over 1,024 coordinates, in the number type of the
    /// data: counts and extremes. Others are evaluated and summed in `f64`.
    const NATIVE: bool = false;
    /// Over what the terms are joined.
    const SCOPE: Scope = Scope::Tensor;
    /// Where its memory comes from.
    const SUPPLY: Supply = Supply::State;
    /// Whether the result is the gradient that all later rules see.
    const ON_GRADIENT: bool = false;
    /// As [`Rule::LAST`].
    const LAST: bool = false;
    /// As [`Rule::WHOLE`].
    const WHOLE: bool = Self::HAS_VIEW;
    /// Whether it takes the new parameter for `x − u`, so that it cannot be applied through a geometry: it
    /// averages the parameter, or puts it at a place of its own.
    const PLACES: bool = Self::HAS_VIEW;
    #[doc(hidden)]
    const REDEFINES_GRADIENT: bool = Self::ON_GRADIENT;
    #[doc(hidden)]
    const IS_RULE: bool = false;

    /// What a coordinate at `x` remembers before the first step.
    fn start<F: Real>(&self, _x: F) -> Self::Memory<F> {
        zeros()
    }

    /// The scalars before the first step.
    fn scalars(&self) -> Self::Scalars<f64> {
        zeros()
    }

    /// What pass number `pass` gathers from one coordinate.
    fn terms<F: Real>(
        &self,
        _at: &At<F>,
        _pass: usize,
        _scalars: Self::Scalars<F>,
    ) -> impl Fn(F, Here<F>, Self::Memory<F>) -> Self::Terms<F> + Copy + Send + Sync + use<F, Self>
    {
        |_, _, _| zeros()
    }

    /// The scalars after pass number `pass`.
    fn settle<W: Real<Wide = W>>(
        &self,
        _at: &At<W>,
        _pass: usize,
        _sums: Self::Terms<W>,
        scalars: Self::Scalars<W>,
    ) -> Self::Scalars<W> {
        scalars
    }

    /// Whether the step must be refused: how many coordinates object, and to what.
    fn refuse(&self, _sums: Self::Terms<f64>) -> Option<(u64, &'static str)> {
        None
    }

    /// Whether a parameter with this coordinate can be given to it at all.
    fn admits(&self, _x: f64) -> Result<(), &'static str> {
        Ok(())
    }

    /// Whether the rows of a tensor of this shape keep the [`scalars`](Self::scalars) they start with.
    fn skips(&self, _shape: &[usize]) -> bool {
        false
    }

    /// What the numbers of [`Supply::Noise`] depend on.
    fn seed(&self, _clock: u64) -> u64 {
        0
    }

    /// The formula at one step: update in, memory in, result out, memory out.
    fn at<F: Real>(
        &self,
        at: &At<F>,
        scalars: Self::Scalars<F>,
    ) -> impl Fn(F, Here<F>, Self::Memory<F>) -> (F, Self::Memory<F>) + Copy + Send + Sync + use<F, Self>;

    /// Whether the parameter is evaluated elsewhere than where it is trained, at
    /// [`view`](Self::view).
    const HAS_VIEW: bool = false;

    /// Where to evaluate the parameter: the parameter and what is remembered in, the value to
    /// evaluate out; see [`Rule::view`].
    #[inline(always)]
    fn view<F: Real>(
        &self,
        _at: &At<F>,
        _scalars: Self::Scalars<F>,
    ) -> impl Fn(F, Self::Memory<F>) -> F + Copy + Send + Sync + use<F, Self> {
        |x, _| x
    }

    /// Whether its hyper-parameters, each in its range, go together; asked before it is used.
    ///
    /// # Errors
    /// [`Error::Conflict`] if they do not.
    fn check(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Where it keeps learned gains, for [`Probe::Gains`](crate::Probe::Gains) to read.
    fn gains(&self, _clock: u64) -> Option<GainSlots> {
        None
    }

    #[doc(hidden)]
    fn members(&self, see: &mut dyn FnMut(Member)) {
        see(Member {
            path: std::any::type_name::<Self>(),
            on_gradient: Self::ON_GRADIENT,
            last: Self::LAST,
            places: Self::PLACES,
            whole: Self::WHOLE,
        });
    }

    #[doc(hidden)]
    fn slots(&self) -> Vec<Slot> {
        Self::SLOTS.to_vec()
    }

    #[doc(hidden)]
    #[inline(always)]
    fn flow<F: Real>(
        &self,
        at: &At<F>,
        scalars: Self::Scalars<F>,
    ) -> impl Fn(Flow<F>, Self::Memory<F>) -> (Flow<F>, Self::Memory<F>)
    + Copy
    + Send
    + Sync
    + use<F, Self> {
        let part = self.at(at, scalars);
        move |Flow { u, g, x }, memory| {
            let (u, memory) = part(u, Here { g, x }, memory);
            let g = if Self::ON_GRADIENT { u } else { g };
            (Flow { u, g, x }, memory)
        }
    }
}

/// A [`Part`] that returns an update: gradient clipping by norm, trust ratios, learned scales.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a fold",
    note = "a rule of one coordinate is added with `.then(..)`, a geometry with `.over(..)`"
)]
pub trait Fold: Part {}

/// A [`Part`] that applies the update: it returns the new parameter. Every direction can be applied
/// through every geometry, but for those that [place](Part::PLACES) the parameter themselves.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a geometry",
    note = "a rule of one coordinate is added with `.then(..)`, a fold with `.fold(..)`"
)]
pub trait Geometry: Part {}

/// A rule, seen as a part without sums.
#[derive(Clone)]
pub(crate) struct OfRule<R>(pub(crate) R);

impl<R: Rule> Hypers for OfRule<R> {
    fn each(&self, see: &mut dyn FnMut(&Hyper)) {
        self.0.each(see);
    }
    fn each_mut(&mut self, see: &mut dyn FnMut(&mut Hyper)) {
        self.0.each_mut(see);
    }
    fn blocks(&self) -> Vec<Block> {
        self.0.blocks()
    }
}

impl<R: Rule> Part for OfRule<R> {
    type Memory<F: Real> = R::Memory<F>;
    type Scalars<F: Real> = [F; 0];
    type Terms<F: Real> = [F; 0];
    const PASSES: usize = 0;
    const REDEFINES_GRADIENT: bool = R::REDEFINES_GRADIENT;
    const HAS_VIEW: bool = R::HAS_VIEW;

    #[inline(always)]
    fn view<F: Real>(
        &self,
        at: &At<F>,
        _: [F; 0],
    ) -> impl Fn(F, Self::Memory<F>) -> F + Copy + Send + Sync + use<F, R> {
        self.0.view(at)
    }
    const IS_RULE: bool = true;

    fn start<F: Real>(&self, x: F) -> Self::Memory<F> {
        self.0.start(x)
    }

    #[inline(always)]
    fn at<F: Real>(
        &self,
        at: &At<F>,
        _: [F; 0],
    ) -> impl Fn(F, Here<F>, Self::Memory<F>) -> (F, Self::Memory<F>) + Copy + Send + Sync + use<F, R>
    {
        self.0.at(at)
    }

    fn slots(&self) -> Vec<Slot> {
        self.0.slots()
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

    #[inline(always)]
    fn flow<F: Real>(
        &self,
        at: &At<F>,
        _: [F; 0],
    ) -> impl Fn(Flow<F>, Self::Memory<F>) -> (Flow<F>, Self::Memory<F>) + Copy + Send + Sync + use<F, R>
    {
        self.0.flow(at)
    }
}

/// Checks every hyper-parameter of `part` against its range.
pub(crate) fn check(part: &dyn Hypers) -> Result<(), Error> {
    let mut result = Ok(());
    part.each(&mut |hyper| {
        if result.is_ok() {
            result = hyper.check().and_then(|()| hyper.check_once());
        }
    });
    result
}
