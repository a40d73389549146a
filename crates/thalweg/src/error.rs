//! What can go wrong, said so that the reader knows what to change.

use std::path::PathBuf;

/// An error of this crate. Every message names the offending value and what would be right.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A hyper-parameter lies outside its range.
    #[error("{name} = {value} is outside {range}")]
    Hyper {
        /// The hyper-parameter's name.
        name: &'static str,
        /// The value that was given or reached by its schedule.
        value: f64,
        /// The permitted range.
        range: String,
    },
    /// Hyper-parameters or members of a chain that do not go together, or a schedule where there can be
    /// none.
    #[error("{name}: {what}")]
    Conflict {
        /// The name of the hyper-parameter or the member.
        name: &'static str,
        /// What is wrong and what would be right.
        what: String,
    },
    /// A schedule does not describe a function of the step.
    #[error("schedule: {what}")]
    Schedule {
        /// What is wrong and what would be right.
        what: String,
    },
    /// There is no hyper-parameter of that name.
    #[error("no hyper-parameter is called {name:?}; there are: {known}")]
    UnknownHyper {
        /// The name that was asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// There is no group of that name.
    #[error("no group is called {name:?}; there are: {known}")]
    UnknownGroup {
        /// The name that was asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// No parameter of that name has been stepped, and no group takes one.
    #[error(
        "no parameter called {name:?} has taken a step, and no group takes that name; there are: {known}"
    )]
    UnknownParameter {
        /// The name that was asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// There is no optimizer of that name.
    #[error("no optimizer is called {name:?}{hint}")]
    UnknownOptimizer {
        /// The name that was asked for.
        name: String,
        /// The nearest known names.
        hint: String,
    },
    /// A pattern for names cannot be read.
    #[error("{place}: the pattern {pattern:?} cannot be read: {why}")]
    Pattern {
        /// What it was given to: a group, `freeze` or `unfreeze`.
        place: String,
        /// The pattern.
        pattern: String,
        /// The parser's complaint.
        why: String,
    },
    /// A parameter belongs to no group or to several.
    #[error("parameter {parameter:?} matches {}; every parameter must match exactly one of: {groups}",
        if matches.is_empty() { "no group".to_owned() } else { format!("{} groups ({})", matches.len(), matches.join(", ")) })]
    Group {
        /// The parameter.
        parameter: String,
        /// The groups it matches.
        matches: Vec<String>,
        /// All groups.
        groups: String,
    },
    /// The optimizer has no group.
    #[error("the optimizer has no group; add one with `.group(name, pattern, chain)`")]
    NoGroup,
    /// Two groups or two parameters share a name.
    #[error("{what} {name:?} is given twice; names must be unique")]
    Duplicate {
        /// "group" or "parameter".
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A shape does not multiply out to the length of the data, or changed since the last step.
    #[error("parameter {parameter:?}: {what}")]
    Shape {
        /// The parameter.
        parameter: String,
        /// What does not fit.
        what: String,
    },
    /// A gradient holds NaN or infinity and the policy is to stop.
    #[error(
        "gradient of {parameter:?} holds {count} non-finite values at step {step}{more}; \
         state and parameters are unchanged. Lower the learning rate, clip, or look at the loss"
    )]
    NonFinite {
        /// The first parameter concerned.
        parameter: String,
        /// How many of its gradient's values are NaN or infinite.
        count: u64,
        /// The step that was refused.
        step: u64,
        /// How many steps in a row were refused, if the limit was reached.
        more: String,
    },
    /// A parameter is outside the domain of the geometry, or a step would lead out of it.
    #[error("parameter {parameter:?}: {count} coordinates {what}; nothing was changed")]
    Domain {
        /// The parameter.
        parameter: String,
        /// How many coordinates.
        count: u64,
        /// What they violate and what to do.
        what: &'static str,
    },
    /// A recipe file does not describe an optimizer.
    #[error("{place}: {what}")]
    Recipe {
        /// File, line and column.
        place: String,
        /// What is wrong there, and what would be right.
        what: String,
    },
    /// A checkpoint does not fit this optimizer.
    #[error("checkpoint: {0}")]
    Checkpoint(String),
    /// A state of another library does not fit this optimizer.
    #[error("{library} state: {what}")]
    Interchange {
        /// Whose state.
        library: crate::Library,
        /// What does not fit.
        what: String,
    },
    /// A file could not be read or written.
    #[error("{action} {}: {source}", path.display())]
    Io {
        /// "reading", "writing", …
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The operating system's answer.
        source: std::io::Error,
    },
    /// An online game or a divergence cannot be what was asked for.
    #[error("online: {0}")]
    Online(String),
    /// A setting of the engine is not usable here.
    #[error("{0}")]
    Engine(String),
}
