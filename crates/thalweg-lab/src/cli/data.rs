//! `thalweg data`.

use super::args::DataCommand;
use crate::Result;
use crate::data::{self, SOURCES, State};

pub(super) fn run(command: &DataCommand) -> Result<()> {
    match command {
        DataCommand::List { json } => super::list::data(*json),
        DataCommand::Get { names } => names.iter().try_for_each(|name| get(name)),
        DataCommand::Verify { names } => verify(names),
    }
}

fn get(name: &str) -> Result<()> {
    let source = data::find(name)?;
    let place = match data::get(name)? {
        Some(path) => path.display().to_string(),
        None => "part of the program, nothing to fetch".to_owned(),
    };
    super::print(&format!(
        "{name}: {place}\n  licence: {}\n  cite: {}\n",
        source.licence, source.citation
    ))
}

fn verify(names: &[String]) -> Result<()> {
    let mut chosen = Vec::new();
    for source in SOURCES {
        if names.is_empty() && data::state(source)? != State::Absent {
            chosen.push(source.name.to_owned());
        }
    }
    chosen.extend_from_slice(names);
    for name in chosen {
        let sha256 = data::verify(&name)?;
        super::print(&format!("{name}: intact, SHA-256 {sha256}\n"))?;
    }
    Ok(())
}
