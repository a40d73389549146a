//! Arguments, progress and tables. Results go to stdout, everything else to stderr.

/// Prints a line on stderr. Where nobody reads that any more (`2>&1 | head`) the work goes on.
macro_rules! say {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($text)*);
    }};
}
pub(crate) use say;

mod args;
mod compare;
mod data;
mod diff;
mod doctor;
mod experiment;
mod export;
mod list;
mod manual;
mod progress;
mod rerun;
mod stop;
mod table;
mod whatif;
mod wrong;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::{ColorChoice, CommandFactory, FromArgMatches};

pub use args::Color;
pub use args::{
    Cli, Command, CompareArgs, DataCommand, DescribeArgs, DoctorArgs, ExperimentArgs, ListArgs,
    Listing,
};
pub use diff::DiffArgs;
pub use export::{ExportArgs, Format};
pub use rerun::RerunArgs;
pub use whatif::WhatIfArgs;

use crate::{Error, Result};

/// Runs the command line of this process: exit code 0 for done, 1 for failed, 2 for a wrong request,
/// 130 for interrupted.
pub fn main() -> ExitCode {
    let matches = Cli::command().color(asked(&words())).try_get_matches();
    let cli = match matches.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => return wrong::tell(&error),
    };
    colour(cli.color);
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say!("error: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

/// The words of the command line, the program first. Those that are not UTF-8 serve as well: they are only shown.
fn words() -> Vec<String> {
    std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect()
}

/// When to colour help and what is said of a command line that cannot be read: `--color` as it stands there.
fn asked(words: &[String]) -> ColorChoice {
    let words: Vec<&String> = words.iter().take_while(|word| *word != "--").collect();
    let value = |(i, word): (usize, &&String)| match word.strip_prefix("--color")? {
        "" => words.get(i + 1).map(|next| next.as_str().to_owned()),
        rest => rest.strip_prefix('=').map(str::to_owned),
    };
    match words.iter().enumerate().filter_map(value).next_back().as_deref() {
        Some("always") => ColorChoice::Always,
        Some("never") => ColorChoice::Never,
        _ => ColorChoice::Auto,
    }
}

/// Whether somebody looks at stderr. A log of continuous integration may claim to be a terminal, and keeps every
/// state of a bar.
fn is_watched() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("CI").is_none_or(|value| value.is_empty())
}

/// Decides whether progress bars have colours.
fn colour(when: Color) {
    let wanted = match when {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => {
            std::io::stderr().is_terminal()
                && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        }
    };
    console::set_colors_enabled_stderr(wanted);
    console::set_colors_enabled(wanted);
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Compare(args) => compare::run(&args),
        Command::Experiment(args) => experiment::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::List(args) => list::run(&args),
        Command::Describe(args) => print(&crate::optimizers::describe(&args.name, args.json)?),
        Command::Data { command } => data::run(&command),
        Command::Rerun(args) => rerun::run(&args),
        Command::Whatif(args) => whatif::run(&args),
        Command::Diff(args) => diff::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Bench(args) => crate::bench::run(&args),
        Command::Completions { shell } => manual::completions(shell),
        Command::Man => manual::man(),
    }
}

/// Prints a result. A reader that has seen enough (`| head`) is no failure.
fn print(text: &str) -> Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(Error::failed(
            format!("cannot write to standard output: {e}"),
            "check where the output is sent",
        )),
        _ => Ok(()),
    }
}

/// Prints a value as JSON on one line.
fn print_json(value: &impl serde::Serialize) -> Result<()> {
    print(&(crate::store::json(value)? + "\n"))
}
