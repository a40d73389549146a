//! Hyper-parameters: a name, a symbol, a range, and a value that may follow a schedule.

use std::fmt::{self, Display};

use crate::error::Error;
use crate::plateau::Plateau;
use crate::schedule::{FAR, Schedule};

/// The values a hyper-parameter may take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Whether the lower end itself is allowed.
    pub low_allowed: bool,
    /// Whether the upper end itself is allowed.
    pub high_allowed: bool,
}

impl Range {
    /// All finite numbers.
    pub const ANY: Range = Range::new(f64::NEG_INFINITY, f64::INFINITY, false, false);
    /// `(0, ∞)`.
    pub const POSITIVE: Range = Range::new(0.0, f64::INFINITY, false, false);
    /// `[0, ∞)`.
    pub const NON_NEGATIVE: Range = Range::new(0.0, f64::INFINITY, true, false);
    /// `[0, 1)`: decay rates of running averages.
    pub const RATE: Range = Range::new(0.0, 1.0, true, false);
    /// `[0, 1]`.
    pub const UNIT: Range = Range::new(0.0, 1.0, true, true);
    /// `(0, 1)`: shares that neither vanish nor are all.
    pub const OPEN_UNIT: Range = Range::new(0.0, 1.0, false, false);
    /// `(0, ∞]`: limits, infinity being none.
    pub const LIMIT: Range = Range::new(0.0, f64::INFINITY, false, true);

    /// `[1, ∞]`: largest growth of what does not shrink, infinity being none.
    pub const GROWTH: Range = Range::new(1.0, f64::INFINITY, true, true);

    const fn new(low: f64, high: f64, low_allowed: bool, high_allowed: bool) -> Range {
        Range { low, high, low_allowed, high_allowed }
    }

    /// The numbers above `low`, without it.
    pub const fn above(low: f64) -> Range {
        Range::new(low, f64::INFINITY, false, false)
    }

    /// `low` and the numbers above it.
    pub const fn at_least(low: f64) -> Range {
        Range::new(low, f64::INFINITY, true, false)
    }

    /// Whether `value` is allowed.
    pub fn contains(&self, value: f64) -> bool {
        let above = value > self.low || (self.low_allowed && value == self.low);
        let below = value < self.high || (self.high_allowed && value == self.high);
        above && below
    }
}

impl Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = |v: f64| {
            if v.is_infinite() {
                if v > 0.0 { "∞".to_owned() } else { "−∞".to_owned() }
            } else {
                v.to_string()
            }
        };
        let open = if self.low_allowed { '[' } else { '(' };
        let close = if self.high_allowed { ']' } else { ')' };
        write!(f, "{open}{}, {}{close}", end(self.low), end(self.high))
    }
}

/// What a hyper-parameter is, apart from its value.
#[derive(Debug, PartialEq)]
pub struct HyperSpec {
    /// The one name in Rust, Python, command line, JSON and report.
    pub name: &'static str,
    /// The letter of the formula.
    pub symbol: &'static str,
    /// One sentence: meaning and unit.
    pub doc: &'static str,
    /// The default.
    pub default: f64,
    /// The permitted values.
    pub range: Range,
    /// Whether it is read once, when a parameter is met, or must not change while the method runs: no
    /// schedule is allowed, and no other value once parameters have been met.
    pub once: bool,
}

/// The value of a hyper-parameter: constant, or a [`Schedule`].
#[derive(Clone, Debug)]
pub struct Hyper {
    spec: &'static HyperSpec,
    schedule: Schedule,
}

impl Hyper {
    /// A hyper-parameter at its default.
    pub const fn new(spec: &'static HyperSpec) -> Hyper {
        Hyper { spec, schedule: Schedule::Constant(spec.default) }
    }

    /// Name, symbol, range and default.
    pub fn spec(&self) -> &'static HyperSpec {
        self.spec
    }

    /// The schedule that gives the value; a constant is one too.
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// The value at `step`, counted from 0.
    pub fn value(&self, step: u64) -> f64 {
        self.schedule.value(step)
    }

    /// Replaces the value. It is checked against the range by [`check`](Self::check), which
    /// building an optimizer calls.
    pub fn set(&mut self, value: impl Into<Schedule>) {
        self.schedule = value.into();
    }

    /// Whether every value it will take is in range. A value that grows without end may do so where the
    /// range has no end either; one that a [`Plateau`](crate::Plateau) or a factor lowers without end may
    /// tend to zero where only that is excluded.
    ///
    /// # Errors
    /// [`Error::Hyper`] with the first value that is not, [`Error::Schedule`] if the schedule is
    /// malformed, grows out of a range that ends, or can be lowered out of the range by a plateau.
    pub fn check(&self) -> Result<(), Error> {
        self.schedule.check()?;
        let mut result = Ok(());
        self.schedule.knots(&mut |step| {
            if result.is_ok() {
                result = self.check_at(step);
            }
        });
        self.schedule.plateaus(&mut |plateau| {
            if result.is_ok() {
                result = self.check_lowered(plateau);
            }
        });
        result
    }

    fn check_at(&self, step: u64) -> Result<(), Error> {
        let (value, range) = (self.schedule.value(step), self.spec.range);
        let tends = step >= FAR && self.schedule.is_endless();
        // A decaying schedule may tend to zero where zero itself is excluded, and not arrive there.
        let fades = tends && value == 0.0 && range.low == 0.0;
        let grows = tends && value == f64::INFINITY;
        if range.contains(value) || fades || (grows && range.high == value) {
            return Ok(());
        }
        let (name, range) = (self.spec.name, range.to_string());
        Err(if grows {
            Error::Schedule {
                what: format!(
                    "{name} grows without end, out of {range}; let something follow before it \
                     leaves: Sequential([(steps, this one), (1, Constant(..))])"
                ),
            }
        } else {
            Error::Hyper { name, value, range }
        })
    }

    /// Whether it stays in range however often the plateau is lowered.
    fn check_lowered(&self, plateau: &Plateau) -> Result<(), Error> {
        let (lowest, range) = (plateau.lowest(), self.spec.range);
        let fades = lowest == 0.0 && range.low == 0.0;
        if range.contains(lowest) || fades {
            return Ok(());
        }
        let name = self.spec.name;
        Err(Error::Schedule {
            what: format!(
                "{name} can be lowered to {lowest} by its plateau, out of {range}; set the plateau's \
                 `floor` to a value inside"
            ),
        })
    }

    /// Whether it is a constant if it must be one.
    pub(crate) fn check_once(&self) -> Result<(), Error> {
        if self.spec.once && !matches!(self.schedule, Schedule::Constant(_)) {
            let what =
                "follows a schedule, but is read once, when a parameter is met; give it a constant";
            return Err(Error::Conflict { name: self.spec.name, what: what.to_owned() });
        }
        Ok(())
    }

    /// Whether it is at no time above `other`.
    pub(crate) fn below(&self, other: &Hyper) -> Result<(), Error> {
        let mut result = Ok(());
        let mut refuse = |what: String| {
            if result.is_ok() {
                result = Err(Error::Conflict { name: self.spec.name, what });
            }
        };
        let name = other.spec.name;
        for schedule in [&self.schedule, &other.schedule] {
            schedule.knots(&mut |step| {
                let (low, high) = (self.value(step), other.value(step));
                if low > high {
                    refuse(format!("is {low}, but {name} is {high}; it must not be larger"));
                }
            });
        }
        // A plateau may be lowered at any time.
        let high = self.schedule.peak();
        other.schedule.plateaus(&mut |plateau| {
            let lowest = plateau.lowest();
            if high > lowest {
                refuse(format!(
                    "is up to {high}, but {name} can be lowered to {lowest} by its plateau; set the \
                     plateau's `floor` to {high} or more"
                ));
            }
        });
        result
    }

    pub(crate) fn resume(&mut self, saved: &Schedule) {
        self.schedule.resume(saved);
    }

    pub(crate) fn observe(&mut self, step: u64, metric: f64) {
        self.schedule.observe(step, metric);
    }
}

impl From<f64> for Schedule {
    fn from(value: f64) -> Schedule {
        Schedule::Constant(value)
    }
}

/// A building block as data: what a recipe file says about it.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub struct Block {
    /// The whole path of its type, which says which formula it is.
    pub path: &'static str,
    /// Its own hyper-parameters.
    pub hypers: Vec<Hyper>,
    /// The types that complete it, by the name of their place.
    pub parts: Vec<(&'static str, Block)>,
}

impl Block {
    /// The type's own name, without its path and what it is generic over.
    pub fn name(&self) -> &'static str {
        crate::member::own_name(self.path)
    }

    /// All hyper-parameters in the order of [`Hypers::each`].
    pub(crate) fn all(&self) -> Vec<&Hyper> {
        let mut all: Vec<&Hyper> = self.hypers.iter().collect();
        all.extend(self.parts.iter().flat_map(|(_, part)| part.all()));
        all
    }

    pub(crate) fn all_mut(&mut self) -> Vec<&mut Hyper> {
        let mut all: Vec<&mut Hyper> = self.hypers.iter_mut().collect();
        all.extend(self.parts.iter_mut().flat_map(|(_, part)| part.all_mut()));
        all
    }
}

/// Things that have hyper-parameters.
pub trait Hypers {
    /// Shows each hyper-parameter in the order of the formula.
    fn each(&self, see: &mut dyn FnMut(&Hyper));
    /// Shows each hyper-parameter for change.
    fn each_mut(&mut self, see: &mut dyn FnMut(&mut Hyper));

    /// The building blocks it consists of.
    #[doc(hidden)]
    fn blocks(&self) -> Vec<Block> {
        let mut hypers = vec![];
        self.each(&mut |h| hypers.push(h.clone()));
        vec![Block { path: std::any::type_name::<Self>(), hypers, parts: vec![] }]
    }

    /// The hyper-parameter called `name`, if there is one.
    fn find(&self, name: &str) -> Option<Hyper> {
        let mut found = None;
        self.each(&mut |h| {
            if h.spec.name == name && found.is_none() {
                found = Some(h.clone());
            }
        });
        found
    }
}

/// Declares a rule's struct: its hyper-parameters with symbol, default and range, a `Default`,
/// a setter of the same name for each, and [`Hypers`].
///
/// ```
/// thalweg::hypers! {
///     /// Multiplies by a number.
///     pub struct Twice {
///         /// The factor, dimensionless.
///         factor "k" = 2.0 in thalweg::Range::ANY,
///     }
/// }
/// let rule = Twice::default().factor(3.0);
/// # use thalweg::Hypers;
/// assert_eq!(rule.find("factor").unwrap().value(0), 3.0);
/// ```
///
/// What is read once, when a parameter is met, is marked so after its symbol: `start "s₀" once = 1.0 in …`.
///
/// After the hyper-parameters a rule may have parts, types that complete the formula and may have
/// hyper-parameters of their own: `with denominator: E = E::new(1e-8),`.
#[macro_export]
macro_rules! hypers {
    (@once) => { false };
    (@once once) => { true };
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident $(<$($kind:ident: $bound:path = $default_kind:ty),+>)? {
            $(
                #[doc = $doc:literal]
                $field:ident $symbol:literal $($once:ident)? = $default:literal in $range:expr,
            )*
            $(with $part:ident: $part_type:ty = $part_default:expr,)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug)]
        #[must_use]
        $vis struct $name $(<$($kind: $bound = $default_kind),+>)? {
            $(#[doc = $doc] pub(crate) $field: $crate::Hyper,)*
            $(pub(crate) $part: $part_type,)*
        }

        impl $(<$($kind: $bound),+>)? ::core::default::Default for $name $(<$($kind),+>)? {
            fn default() -> Self {
                $name {
                    $($field: {
                        static SPEC: $crate::HyperSpec = $crate::HyperSpec {
                            name: stringify!($field),
                            symbol: $symbol,
                            doc: $doc,
                            default: $default,
                            range: $range,
                            once: $crate::hypers!(@once $($once)?),
                        };
                        $crate::Hyper::new(&SPEC)
                    },)*
                    $($part: $part_default,)*
                }
            }
        }

        impl $(<$($kind: $bound),+>)? $name $(<$($kind),+>)? {
            $(
                #[doc = concat!(
                    $doc, " Default `", stringify!($default), "`, range `", stringify!($range), "`."
                )]
                $vis fn $field(mut self, value: impl Into<$crate::Schedule>) -> Self {
                    self.$field.set(value);
                    self
                }
            )*
            $(
                #[doc = concat!("Replaces the `", stringify!($part), "` part.")]
                $vis fn $part(mut self, part: $part_type) -> Self {
                    self.$part = part;
                    self
                }
            )*
        }

        impl $(<$($kind: $bound),+>)? $crate::Hypers for $name $(<$($kind),+>)? {
            fn each(&self, _see: &mut dyn FnMut(&$crate::Hyper)) {
                $(_see(&self.$field);)*
                $($crate::Hypers::each(&self.$part, _see);)*
            }
            fn each_mut(&mut self, _see: &mut dyn FnMut(&mut $crate::Hyper)) {
                $(_see(&mut self.$field);)*
                $($crate::Hypers::each_mut(&mut self.$part, _see);)*
            }
            fn blocks(&self) -> ::std::vec::Vec<$crate::Block> {
                let parts: ::std::vec::Vec<(&'static str, ::std::vec::Vec<$crate::Block>)> =
                    ::std::vec![$((stringify!($part), $crate::Hypers::blocks(&self.$part)),)*];
                let named = |(place, blocks): (_, ::std::vec::Vec<$crate::Block>)| {
                    blocks.into_iter().map(move |block| (place, block))
                };
                ::std::vec![$crate::Block {
                    path: ::core::any::type_name::<Self>(),
                    hypers: ::std::vec![$(self.$field.clone(),)*],
                    parts: parts.into_iter().flat_map(named).collect(),
                }]
            }
        }
    };
}
