//! What to do about a command line that cannot be read: clap says what is wrong with it.

use std::process::ExitCode;

use clap::CommandFactory;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::Cli;

/// Prints what clap has to say, and the remedy if it is about a mistake.
pub(super) fn tell(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        error.exit();
    }
    // A closed stderr leaves nobody to tell.
    let _ = error.print();
    crate::cli::say!("\n  fix: {}", fix(error, super::words().get(1..).unwrap_or_default()));
    ExitCode::from(2)
}

fn fix(error: &clap::Error, words: &[String]) -> String {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(texts)) if !texts.is_empty() => Some(texts.join(", ")),
        _ => None,
    };
    let help = format!("`{} --help`", command(words));
    let argument = context(ContextKind::InvalidArg).unwrap_or_default();
    let near = context(ContextKind::SuggestedArg).or(context(ContextKind::SuggestedSubcommand));
    match (error.kind(), context(ContextKind::ValidValue), near) {
        (ErrorKind::InvalidValue, Some(values), _) => format!("choose for {argument}: {values}"),
        (ErrorKind::ValueValidation, ..) if argument.ends_with("<N>") => {
            format!("give {argument} a whole number that is not negative")
        }
        (ErrorKind::MissingRequiredArgument, ..) => format!("add {argument}; see {help}"),
        (ErrorKind::ArgumentConflict, ..) => format!("leave {argument} out; see {help}"),
        (_, _, Some(near)) => format!("write `{near}`, if that is meant; see {help}"),
        _ => format!("see {help}"),
    }
}

/// The command that the words begin with, as far as there is one.
fn command(words: &[String]) -> String {
    let (mut now, mut name) = (Cli::command(), "thalweg".to_owned());
    for word in words {
        let Some(next) = now.find_subcommand(word).cloned() else { break };
        name += &format!(" {}", next.get_name());
        now = next;
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn told(line: &str) -> String {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let all = std::iter::once("thalweg".to_owned()).chain(words.clone());
        fix(&Cli::try_parse_from(all).unwrap_err(), &words)
    }

    #[test]
    fn every_mistake_has_a_fix_that_fits() {
        for (line, want) in [
            ("compare --budget -5", "give --budget <N> a whole number that is not negative"),
            ("compare --study -1", "give --study <N> a whole number that is not negative"),
            ("compare --budget x", "give --budget <N> a whole number that is not negative"),
            ("compare --tier large", "choose for --tier <TIER>: smoke, standard, full"),
            ("compare --seed 3", "write `--seeds`, if that is meant; see `thalweg compare --help`"),
            ("compar", "write `compare`, if that is meant; see `thalweg --help`"),
            ("compare --nonsense", "see `thalweg compare --help`"),
            ("data get", "add <NAME>...; see `thalweg data get --help`"),
            ("compare --tui --quiet", "leave --tui out; see `thalweg compare --help`"),
        ] {
            assert_eq!(told(line), want, "{line}");
        }
    }
}
