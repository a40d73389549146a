//! `thalweg data`.

use std::path::Path;

use super::args::DataCommand;
use crate::data::{self, SOURCES, State};
use crate::{Error, Result};

pub(super) fn run(command: &DataCommand) -> Result<()> {
    match command {
        DataCommand::List { json } => super::list::data(*json),
        DataCommand::Get { names, from } => match (&names[..], from) {
            ([name], Some(from)) => get(name, Some(from)),
            (_, Some(_)) => Err(Error::usage(
                "--from gives one archive, but several data sets are named",
                "name one data set per archive",
            )),
            (names, None) => names.iter().try_for_each(|name| get(name, None)),
        },
        DataCommand::Add { name, path } => {
            let place = data::add(name, path)?;
            super::print(&format!("{name}: {}\n", place.display()))
        }
        DataCommand::Verify { names } => verify(names),
    }
}

fn get(name: &str, archive: Option<&Path>) -> Result<()> {
    let source = data::find(name)?;
    let place = match data::get(name, archive)? {
        Some(path) => path.display().to_string(),
        None => "part of the program, nothing to fetch".to_owned(),
    };
    super::print(&format!(
        "{name}: {place}\n  licence: {}\n  cite: {}\n",
        source.licence, source.citation
    ))
}

fn verify(names: &[String]) -> Result<()> {
    let mut chosen = names.to_vec();
    if names.is_empty() {
        for source in SOURCES {
            if data::state(source)? != State::Absent {
                chosen.push(source.name.to_owned());
            }
        }
        chosen.extend(data::own_texts()?);
    }
    let mut bad: Vec<(&str, Error)> = Vec::new();
    for name in &chosen {
        match data::verify(name) {
            Ok(sha256) => super::print(&format!("{name}: intact, SHA-256 {sha256}\n"))?,
            // One that is alone is told by the error that this ends with.
            Err(error) if chosen.len() == 1 => return Err(error),
            Err(error) => {
                super::print(&format!("{name}: {error}\n"))?;
                bad.push((name, error));
            }
        }
    }
    if bad.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = bad.iter().map(|(name, _)| *name).collect();
    Err(Error::failed(
        format!("{} of {} data sets are not intact: {}", bad.len(), chosen.len(), names.join(", ")),
        "follow the `fix` line of each above",
    ))
}
