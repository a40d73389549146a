//! The language: rules of one coordinate, and tuples of them.

use crate::hyper::{Block, Hyper, Hypers};
use crate::member::Member;
use crate::probe::GainSlots;
use crate::real::Real;

/// One number a rule remembers per coordinate (or, for a [`Part`](crate::Part), per tensor).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Its name in checkpoints; public, and the same as the letter where the letter is a name.
    pub name: &'static str,
    /// The letter of the formula.
    pub symbol: &'static str,
    /// What low-precision storage has to know of its values.
    pub kind: Kind,
}

/// What kind of number a slot remembers: which low-precision formats can hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Of either sign, near zero where little matters: a first moment, a momentum.
    Signed,
    /// Never negative, and divided by: a second moment.
    NonNegative,
    /// A position, a logarithm, a counter, whose absolute error matters, or a number of which only the sign is read:
    /// it is never packed.
    Exact,
}

impl Slot {
    /// A slot of numbers that are never negative.
    pub const fn non_negative(self) -> Slot {
        Slot { kind: Kind::NonNegative, ..self }
    }

    /// A slot of numbers of this kind.
    pub const fn of(self, kind: Kind) -> Slot {
        Slot { kind, ..self }
    }

    /// A slot that is never kept in low precision.
    pub const fn exact(self) -> Slot {
        Slot { kind: Kind::Exact, ..self }
    }
}

/// A slot whose name is its letter, of numbers of either sign.
pub const fn slot(name: &'static str) -> Slot {
    slot_as(name, name)
}

/// A slot called `name` that the formula writes as `symbol`.
pub const fn slot_as(name: &'static str, symbol: &'static str) -> Slot {
    Slot { name, symbol, kind: Kind::Signed }
}

/// A fixed number of values: what a rule remembers for one coordinate. Arrays and nested pairs
/// of arrays are memories.
pub trait Memory<F>: Copy + Send + Sync {
    /// How many values.
    const LEN: usize;
    /// Takes `LEN` values in order.
    fn load(next: &mut impl FnMut() -> F) -> Self;
    /// Hands out the values in the same order.
    fn store(self, give: &mut impl FnMut(F));
}

macro_rules! array_memory {
    ($($length:literal: $($place:literal)*;)*) => {$(
        impl<F: Copy + Send + Sync> Memory<F> for [F; $length] {
            const LEN: usize = $length;
            #[inline(always)]
            fn load(_next: &mut impl FnMut() -> F) -> Self {
                // The place is named only to repeat the call as often as there are places.
                [$({ let _: usize = $place; _next() }),*]
            }
            #[inline(always)]
            fn store(self, _give: &mut impl FnMut(F)) {
                $(_give(self[$place]);)*
            }
        }
    )*};
}
array_memory! {
    0: ; 1: 0; 2: 0 1; 3: 0 1 2; 4: 0 1 2 3; 5: 0 1 2 3 4; 6: 0 1 2 3 4 5; 7: 0 1 2 3 4 5 6;
    8: 0 1 2 3 4 5 6 7;
}

impl<F, A: Memory<F>, B: Memory<F>> Memory<F> for (A, B) {
    const LEN: usize = A::LEN + B::LEN;
    #[inline(always)]
    fn load(next: &mut impl FnMut() -> F) -> Self {
        (A::load(next), B::load(next))
    }
    #[inline(always)]
    fn store(self, give: &mut impl FnMut(F)) {
        self.0.store(give);
        self.1.store(give);
    }
}

/// A memory of zeros.
#[inline(always)]
pub(crate) fn zeros<F: Real, M: Memory<F>>() -> M {
    M::load(&mut || F::number(0.0))
}

/// The moment a formula is evaluated for: the step number and the values of the schedules.
///
/// Everything derived from it is computed once per step in [`Real::Wide`] (`f64`).
#[derive(Clone, Copy, Debug)]
pub struct At<F: Real> {
    t: F::Wide,
    count: u64,
    clock: u64,
}

impl<F: Real> At<F> {
    /// Step `t` (from 1) of a parameter, with the schedules at `clock` (from 0).
    pub fn new(t: u64, clock: u64) -> At<F> {
        At { t: F::Wide::named("t", t as f64), count: t, clock }
    }

    /// The number of this step, from 1.
    #[inline(always)]
    pub fn t(&self) -> F::Wide {
        self.t
    }

    /// Whether this is the parameter's first step.
    pub fn is_first(&self) -> bool {
        self.count == 1
    }

    /// The value of a hyper-parameter at this step.
    #[inline(always)]
    pub fn get(&self, hyper: &Hyper) -> F::Wide {
        F::Wide::hyper(hyper.spec(), hyper.value(self.clock))
    }

    /// A number of the step that takes more than a formula, such as a product over all steps so
    /// far: `of` receives the number of the step, from 1, and the values of `hypers`. Formulas are
    /// printed with its name.
    pub fn quantity<const N: usize>(
        &self,
        name: &'static str,
        hypers: [&Hyper; N],
        of: impl FnOnce(u64, [f64; N]) -> f64,
    ) -> F::Wide {
        F::Wide::named(name, of(self.count, hypers.map(|h| h.value(self.clock))))
    }

    /// What is left of the step number after taking out whole multiples of `every`, a whole number;
    /// printed as `t mod k`.
    #[inline(always)]
    pub fn remainder(&self, every: &Hyper) -> F::Wide {
        F::Wide::named("t mod k", (self.count % self.whole(every).max(1)) as f64)
    }

    /// The whole number nearest to a hyper-parameter.
    pub(crate) fn whole(&self, hyper: &Hyper) -> u64 {
        hyper.value(self.clock).round() as u64
    }

    /// The step number, from 1.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Rounds constants of the step to the number type of the sweep.
    #[inline(always)]
    pub fn lift<const N: usize>(&self, constants: [F::Wide; N]) -> [F; N] {
        constants.map(F::lift)
    }

    /// What removes the bias of a running average's start at zero: `1/(1 − βᵗ)`.
    #[inline(always)]
    pub fn correction(&self, beta: &Hyper) -> F::Wide {
        let one = F::Wide::number(1.0);
        one / (one - self.get(beta).pow(self.t))
    }

    /// The constants of a running average with decay rate β: `[β, 1 − β, 1/(1 − βᵗ)]`.
    ///
    /// The last one corrects the bias of a start at zero. It is a factor and not a divisor, so
    /// that the sweep divides once per coordinate.
    #[inline(always)]
    pub fn ema(&self, beta: &Hyper) -> [F; 3] {
        let (one, b) = (F::Wide::number(1.0), self.get(beta));
        self.lift([b, one - b, self.correction(beta)])
    }
}

/// What a rule can see of its coordinate besides the update that reaches it.
#[derive(Clone, Copy, Debug)]
pub struct Here<F> {
    /// The gradient, as the rules that redefine it (clip, L2) have left it.
    pub g: F,
    /// The parameter.
    pub x: F,
}

/// An update on its way through a chain.
#[derive(Clone, Copy, Debug)]
pub struct Flow<F> {
    /// The update so far; the first rule of a chain receives the gradient.
    pub u: F,
    /// The gradient.
    pub g: F,
    /// The parameter.
    pub x: F,
}

/// An optimizer's formula for one coordinate.
///
/// [`at`](Self::at) computes the constants of the step and returns the formula as a closure:
/// update in, memory in, update out, memory out. The engine subtracts the last rule's result from
/// the parameter (or hands it to a [`Geometry`](crate::Geometry)). The closure may not branch on
/// configuration, allocate, or look at anything but its arguments; the same text runs as `f32`,
/// as `f64`, and as a [symbol](crate::Sym) that prints it.
///
/// A tuple of up to eight rules is a rule that applies them from left to right; `()` is the rule
/// that does nothing.
///
/// ```
/// use thalweg::{At, Here, Real, Rule, Slot, hypers, slot, Range};
///
/// hypers! {
///     /// A running average of the gradient.
///     pub struct Average {
///         /// Decay rate.
///         beta "β" = 0.9 in Range::RATE,
///     }
/// }
///
/// impl Rule for Average {
///     type Memory<F: Real> = [F; 1];
///     const SLOTS: &'static [Slot] = &[slot("m")];
///
///     fn at<F: Real>(
///         &self,
///         at: &At<F>,
///     ) -> impl Fn(F, Here<F>, [F; 1]) -> (F, [F; 1]) + Copy + Send + Sync + use<F> {
///         let [b, a, _] = at.ema(&self.beta);
///         move |g, _, [m]| {
///             let m = b * m + a * g;
///             (m, [m])
///         }
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a rule of one coordinate",
    label = "a chain and its tuples hold rules",
    note = "a fold (it needs sums over a tensor first) is added with `.fold(..)`, \
            a geometry (how the update is applied) with `.over(..)`",
    note = "a tuple holds at most eight rules; tuples of tuples hold more"
)]
pub trait Rule: Hypers + Clone + Send + Sync + 'static {
    /// What is remembered per coordinate, e.g. `[F; 2]`.
    type Memory<F: Real>: Memory<F>;
    /// The names of the remembered values, as many as `Memory` holds; an optimizer with another number of them is
    /// not built.
    const SLOTS: &'static [Slot] = &[];
    /// Whether the result is the gradient that all later rules see (clip, L2) and not an update.
    const ON_GRADIENT: bool = false;
    /// Whether its update is taken for the whole change of the parameter, `x − u`, as averages of the
    /// parameter take it: only others like it may follow in a chain, and one with a view cannot be applied
    /// through a geometry.
    const LAST: bool = false;
    /// Whether it goes by the steps of the whole tensor, so that a few of its rows cannot be stepped alone:
    /// its first step is unlike the others, it keeps an average that all rows enter at every step, or it divides
    /// what was summed over all steps by what is summed over this one.
    const WHOLE: bool = Self::HAS_VIEW;
    #[doc(hidden)]
    const REDEFINES_GRADIENT: bool = Self::ON_GRADIENT;

    /// The formula at one step.
    fn at<F: Real>(
        &self,
        at: &At<F>,
    ) -> impl Fn(F, Here<F>, Self::Memory<F>) -> (F, Self::Memory<F>) + Copy + Send + Sync + use<F, Self>;

    /// What a coordinate at `x` remembers before the first step; zeros unless overridden.
    fn start<F: Real>(&self, _x: F) -> Self::Memory<F> {
        zeros()
    }

    /// The names of the remembered values.
    fn slots(&self) -> Vec<Slot> {
        Self::SLOTS.to_vec()
    }

    /// Whether its hyper-parameters, each in its range, go together; asked before it is used.
    ///
    /// # Errors
    /// [`Error::Conflict`](crate::Error::Conflict) if they do not.
    fn check(&self) -> Result<(), crate::Error> {
        Ok(())
    }

    /// Where it keeps learned gains, for [`Probe::Gains`](crate::Probe::Gains) to read.
    fn gains(&self, _clock: u64) -> Option<GainSlots> {
        None
    }

    /// Whether the parameter is evaluated elsewhere than where it is trained, at
    /// [`view`](Self::view).
    const HAS_VIEW: bool = false;

    /// Where to evaluate the parameter: the parameter and what is remembered in, the value to
    /// evaluate out; see [`Optimizer::evaluation`](crate::Optimizer::evaluation). It is read only
    /// where [`HAS_VIEW`](Self::HAS_VIEW) says so. In a tuple the last member that has a view counts.
    #[inline(always)]
    fn view<F: Real>(
        &self,
        _at: &At<F>,
    ) -> impl Fn(F, Self::Memory<F>) -> F + Copy + Send + Sync + use<F, Self> {
        |x, _| x
    }

    /// Shows every member of it in order.
    #[doc(hidden)]
    fn members(&self, see: &mut dyn FnMut(Member)) {
        see(Member::of_rule::<Self>());
    }

    /// [`at`](Self::at), with the gradient passed along; only tuples write this themselves.
    #[doc(hidden)]
    #[inline(always)]
    fn flow<F: Real>(
        &self,
        at: &At<F>,
    ) -> impl Fn(Flow<F>, Self::Memory<F>) -> (Flow<F>, Self::Memory<F>)
    + Copy
    + Send
    + Sync
    + use<F, Self> {
        let rule = self.at(at);
        move |Flow { u, g, x }, memory| {
            let (u, memory) = rule(u, Here { g, x }, memory);
            let g = if Self::ON_GRADIENT { u } else { g };
            (Flow { u, g, x }, memory)
        }
    }
}

impl Hypers for () {
    fn each(&self, _: &mut dyn FnMut(&Hyper)) {}
    fn each_mut(&mut self, _: &mut dyn FnMut(&mut Hyper)) {}
    fn blocks(&self) -> Vec<Block> {
        vec![]
    }
}

impl Rule for () {
    type Memory<F: Real> = [F; 0];

    fn members(&self, _: &mut dyn FnMut(Member)) {}

    #[inline(always)]
    fn at<F: Real>(
        &self,
        _: &At<F>,
    ) -> impl Fn(F, Here<F>, [F; 0]) -> (F, [F; 0]) + Copy + Send + Sync + use<F> {
        |u, _, memory| (u, memory)
    }
}

/// Nests a list from the left: `(((a, b), c), d)`.
macro_rules! nest {
    ($only:expr) => { $only };
    ($a:expr, $b:expr $(, $rest:expr)*) => { nest!(($a, $b) $(, $rest)*) };
}
macro_rules! nest_type {
    ($only:ty) => { $only };
    ($a:ty, $b:ty $(, $rest:ty)*) => { nest_type!(($a, $b) $(, $rest)*) };
}
macro_rules! nest_pattern {
    ($only:pat) => { $only };
    ($a:pat, $b:pat $(, $rest:pat)*) => { nest_pattern!(($a, $b) $(, $rest)*) };
}

macro_rules! tuple {
    ($($rule:ident $index:tt $memory:ident),+) => {
        impl<$($rule: Hypers),+> Hypers for ($($rule,)+) {
            fn each(&self, see: &mut dyn FnMut(&Hyper)) {
                $(self.$index.each(see);)+
            }
            fn each_mut(&mut self, see: &mut dyn FnMut(&mut Hyper)) {
                $(self.$index.each_mut(see);)+
            }
            fn blocks(&self) -> Vec<Block> {
                let mut blocks = vec![];
                $(blocks.extend(self.$index.blocks());)+
                blocks
            }
        }

        impl<$($rule: Rule),+> Rule for ($($rule,)+) {
            type Memory<F: Real> = nest_type!($($rule::Memory<F>),+);
            const REDEFINES_GRADIENT: bool = $($rule::REDEFINES_GRADIENT)||+;
            const HAS_VIEW: bool = $($rule::HAS_VIEW)||+;

            fn check(&self) -> Result<(), crate::Error> {
                $(self.$index.check()?;)+
                Ok(())
            }

            fn members(&self, see: &mut dyn FnMut(Member)) {
                $(self.$index.members(see);)+
            }

            #[inline(always)]
            #[allow(non_snake_case, reason = "each rule's closure is named as its type")]
            fn view<F: Real>(
                &self,
                at: &At<F>,
            ) -> impl Fn(F, Self::Memory<F>) -> F + Copy + Send + Sync + use<F, $($rule),+> {
                $(let $rule = self.$index.view(at);)+
                move |x, nest_pattern!($($memory),+)| {
                    let seen = x;
                    // Each view is given the parameter itself, so that one replaces another.
                    $(let seen = if $rule::HAS_VIEW { $rule(x, $memory) } else { seen };)+
                    seen
                }
            }

            #[inline(always)]
            fn at<F: Real>(
                &self,
                at: &At<F>,
            ) -> impl Fn(F, Here<F>, Self::Memory<F>) -> (F, Self::Memory<F>)
                   + Copy + Send + Sync + use<F, $($rule),+>
            {
                let flow = self.flow(at);
                move |u, Here { g, x }, memory| {
                    let (flow, memory) = flow(Flow { u, g, x }, memory);
                    (flow.u, memory)
                }
            }

            #[inline(always)]
            fn start<F: Real>(&self, x: F) -> Self::Memory<F> {
                nest!($(self.$index.start(x)),+)
            }

            fn slots(&self) -> Vec<Slot> {
                let mut slots = Vec::new();
                $(slots.extend(self.$index.slots());)+
                slots
            }

            fn gains(&self, clock: u64) -> Option<GainSlots> {
                let mut first = 0;
                $(
                    if let Some(gains) = self.$index.gains(clock) {
                        return Some(gains.shifted(first));
                    }
                    first += $rule::Memory::<f64>::LEN;
                )+
                let _ = first;
                None
            }

            #[inline(always)]
            #[allow(non_snake_case, reason = "each rule's closure is named as its type")]
            fn flow<F: Real>(
                &self,
                at: &At<F>,
            ) -> impl Fn(Flow<F>, Self::Memory<F>) -> (Flow<F>, Self::Memory<F>)
                   + Copy + Send + Sync + use<F, $($rule),+>
            {
                $(let $rule = self.$index.flow(at);)+
                move |flow, nest_pattern!($($memory),+)| {
                    $(let (flow, $memory) = $rule(flow, $memory);)+
                    (flow, nest!($($memory),+))
                }
            }
        }
    };
}
tuple!(A 0 a);
tuple!(A 0 a, B 1 b);
tuple!(A 0 a, B 1 b, C 2 c);
tuple!(A 0 a, B 1 b, C 2 c, D 3 d);
tuple!(A 0 a, B 1 b, C 2 c, D 3 d, E 4 e);
tuple!(A 0 a, B 1 b, C 2 c, D 3 d, E 4 e, G 5 g);
tuple!(A 0 a, B 1 b, C 2 c, D 3 d, E 4 e, G 5 g, H 6 h);
tuple!(A 0 a, B 1 b, C 2 c, D 3 d, E 4 e, G 5 g, H 6 h, I 7 i);
