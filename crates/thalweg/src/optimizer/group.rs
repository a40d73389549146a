//! Groups: which parameters a chain is for.

use std::fmt;
use std::sync::Arc;

use super::settle::stands_alone;
use crate::chain::Chain;
use crate::error::Error;
use crate::part::Supply;

/// A test on name and shape.
pub(crate) type Predicate = Arc<dyn Fn(&str, &[usize]) -> bool + Send + Sync>;

/// A pattern of [`freeze`](super::Optimizer::freeze), ready to be asked.
pub(super) struct Asked {
    pub(super) pattern: Pattern,
    pub(super) matches: Predicate,
}

/// Which parameters belong to a group.
#[derive(Clone)]
pub enum Pattern {
    /// By a glob over the whole name: `"encoder.*.bias"`, `"*.{bias,scale}"`.
    Glob(String),
    /// By a regular expression that matches anywhere in the name (anchor it with `^` and `$`).
    Regex(String),
    /// By a test of name and shape.
    Where(Predicate),
    /// Those with fewer than two axes: see [`biases_and_norms`].
    BiasesAndNorms,
    /// Those that belong to the first and to the second: see [`and`](Pattern::and).
    And(Box<Pattern>, Box<Pattern>),
    /// Those that belong to the first and not to the second: see [`except`](Pattern::except).
    Except(Box<Pattern>, Box<Pattern>),
    /// Those that belong to no other group.
    Rest,
}

impl Pattern {
    /// A test of name and shape.
    pub fn test(test: impl Fn(&str, &[usize]) -> bool + Send + Sync + 'static) -> Pattern {
        Pattern::Where(Arc::new(test))
    }

    /// Those of these that the other pattern takes, too.
    ///
    /// ```
    /// use thalweg::{Builder, Optimizer, Pattern, biases_and_norms, recipes::{adam, adamw}};
    /// let head = || Pattern::from("head.*");
    /// let opt: Optimizer<f32> = Builder::new()
    ///     .group("head", head().except(biases_and_norms()), adamw())
    ///     .group("head, no decay", head().and(biases_and_norms()), adam())
    ///     .rest("body", adamw())
    ///     .build()?;
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn and(self, other: impl Into<Pattern>) -> Pattern {
        Pattern::And(Box::new(self), Box::new(other.into()))
    }

    /// Those of these that the other pattern leaves.
    pub fn except(self, other: impl Into<Pattern>) -> Pattern {
        Pattern::Except(Box::new(self), Box::new(other.into()))
    }

    /// Whether it takes all that the other takes, as far as can be told without names.
    pub(super) fn covers(&self, other: &Pattern) -> bool {
        match (self, other) {
            (Pattern::Rest, _) | (Pattern::BiasesAndNorms, Pattern::BiasesAndNorms) => true,
            (Pattern::Glob(a), Pattern::Glob(b)) | (Pattern::Regex(a), Pattern::Regex(b)) => a == b,
            (Pattern::Where(a), Pattern::Where(b)) => Arc::ptr_eq(a, b),
            (Pattern::And(a, b), Pattern::And(c, d)) => a.covers(c) && b.covers(d),
            (Pattern::Except(a, b), Pattern::Except(c, d)) => a.covers(c) && d.covers(b),
            _ => false,
        }
    }

    /// The test it stands for; an error says that it was given to `place`.
    pub(crate) fn compile(&self, place: &str) -> Result<Predicate, Error> {
        let error = |pattern: &str, why: String| Error::Pattern {
            place: place.to_owned(),
            pattern: pattern.to_owned(),
            why,
        };
        match self {
            Pattern::Glob(glob) => {
                let glob = globset::Glob::new(glob)
                    .map_err(|e| error(glob, e.kind().to_string()))?
                    .compile_matcher();
                Ok(Arc::new(move |name, _| glob.is_match(name)))
            }
            Pattern::Regex(regex) => {
                let regex = regex::Regex::new(regex).map_err(|e| error(regex, e.to_string()))?;
                Ok(Arc::new(move |name, _| regex.is_match(name)))
            }
            Pattern::Where(test) => Ok(test.clone()),
            Pattern::BiasesAndNorms => Ok(Arc::new(|_, shape| shape.len() < 2)),
            Pattern::And(a, b) => {
                let (a, b) = (a.compile(place)?, b.compile(place)?);
                Ok(Arc::new(move |name, shape| a(name, shape) && b(name, shape)))
            }
            Pattern::Except(a, b) => {
                let (a, b) = (a.compile(place)?, b.compile(place)?);
                Ok(Arc::new(move |name, shape| a(name, shape) && !b(name, shape)))
            }
            // Not asked: the caller looks for the rest last.
            Pattern::Rest => Ok(Arc::new(|_, _| true)),
        }
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pattern::Glob(glob) => write!(f, "Glob({glob:?})"),
            Pattern::Regex(regex) => write!(f, "Regex({regex:?})"),
            Pattern::Where(_) => f.write_str("Where(..)"),
            Pattern::BiasesAndNorms => f.write_str("BiasesAndNorms"),
            Pattern::And(a, b) => write!(f, "And({a:?}, {b:?})"),
            Pattern::Except(a, b) => write!(f, "Except({a:?}, {b:?})"),
            Pattern::Rest => f.write_str("Rest"),
        }
    }
}

impl From<&str> for Pattern {
    /// A glob.
    fn from(glob: &str) -> Pattern {
        Pattern::Glob(glob.to_owned())
    }
}

/// The parameters that weight decay is usually kept from: vectors and scalars (biases, gains of
/// normalisation layers), that is everything with fewer than two axes, as in the usual loops over
/// `p.ndim`. The weight of a layer with a single output has two. Where a normalisation keeps its gains in more axes,
/// [`Pattern::test`] says which they are; [`and`](Pattern::and) and [`except`](Pattern::except) restrict it to a
/// part of a model.
///
/// ```
/// use thalweg::{Builder, Optimizer, biases_and_norms, recipes::{adam, adamw}};
/// let opt: Optimizer<f32> = Builder::new()
///     .group("no decay", biases_and_norms(), adam())
///     .rest("decay", adamw())
///     .build()?;
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn biases_and_norms() -> Pattern {
    Pattern::BiasesAndNorms
}

/// A group.
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) matches: Predicate,
    pub(crate) rest: bool,
    pub(crate) chain: Chain,
    /// The format of its state.
    pub(crate) storage: super::Storage,
    /// Per stage, for parts whose scope is the group.
    pub(crate) scalars: Vec<Vec<f64>>,
    /// Whether its tensors cannot share the formulas of the chain.
    pub(super) alone: bool,
    /// Whether the chain is given noise.
    pub(super) noisy: bool,
    /// Values remembered per coordinate.
    pub(super) slots: usize,
}

impl Group {
    pub(super) fn new(
        name: String,
        pattern: &Pattern,
        chain: Chain,
        storage: super::Storage,
    ) -> Result<Group, Error> {
        let stages = chain.stages();
        Ok(Group {
            matches: pattern.compile(&format!("group {name:?}"))?,
            rest: matches!(pattern, Pattern::Rest),
            scalars: stages.iter().map(|s| s.first_scalars()).collect(),
            alone: stages.iter().any(|s| stands_alone(s.as_ref())),
            noisy: stages.iter().any(|s| s.supply() == Supply::Noise),
            slots: chain.memory_per_coordinate(),
            name,
            chain,
            storage,
        })
    }

    /// How many passes read the data before those of stage `stage`.
    pub(super) fn passes_before(&self, stage: usize) -> usize {
        let before = self.chain.stages()[..stage].iter().filter(|s| s.reads());
        before.map(|s| s.passes()).sum()
    }
}

/// The group a parameter belongs to.
pub(crate) fn assign(groups: &[Group], name: &str, shape: &[usize]) -> Result<usize, Error> {
    let explicit: Vec<usize> = (0..groups.len())
        .filter(|k| !groups[*k].rest && (groups[*k].matches)(name, shape))
        .collect();
    match (&explicit[..], groups.iter().position(|g| g.rest)) {
        ([one], _) => Ok(*one),
        ([], Some(rest)) => Ok(rest),
        _ => Err(Error::Group {
            parameter: name.to_owned(),
            matches: explicit.iter().map(|k| groups[*k].name.clone()).collect(),
            groups: groups.iter().map(|g| g.name.as_str()).collect::<Vec<_>>().join(", "),
        }),
    }
}
