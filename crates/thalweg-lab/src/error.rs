//! The laboratory's one error type: what went wrong, and what to do about it.

use std::fmt;

/// A result of the laboratory.
pub type Result<T> = std::result::Result<T, Error>;

/// Whose mistake an error is; decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The work could not be done (exit code 1).
    Failed,
    /// The user asked to stop (exit code 130).
    Interrupted,
    /// The command line asked for something that does not exist (exit code 2).
    Usage,
}

/// An error that always names its remedy.
#[derive(Debug, Clone)]
pub struct Error {
    kind: Kind,
    problem: String,
    fix: String,
}

impl Error {
    /// Work that failed: `problem` says what happened, `fix` what the reader can do.
    pub fn failed(problem: impl Into<String>, fix: impl Into<String>) -> Self {
        Error { kind: Kind::Failed, problem: problem.into(), fix: fix.into() }
    }

    /// Work that the user stopped: `problem` says how far it came, `fix` how to go on.
    pub fn interrupted(problem: impl Into<String>, fix: impl Into<String>) -> Self {
        Error { kind: Kind::Interrupted, problem: problem.into(), fix: fix.into() }
    }

    /// A wrong request: `problem` says what was asked, `fix` what may be asked.
    pub fn usage(problem: impl Into<String>, fix: impl Into<String>) -> Self {
        Error { kind: Kind::Usage, problem: problem.into(), fix: fix.into() }
    }

    /// Whose mistake it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What went wrong.
    pub fn problem(&self) -> &str {
        &self.problem
    }

    /// What to do about it.
    pub fn fix(&self) -> &str {
        &self.fix
    }

    /// The process exit code that goes with the error.
    pub fn exit_code(&self) -> u8 {
        match self.kind {
            Kind::Failed => 1,
            Kind::Usage => 2,
            Kind::Interrupted => 130,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n  fix: {}", self.problem, self.fix)
    }
}

impl std::error::Error for Error {}
