//! The report in a real browser: see `browser/walk.mjs`.
//!
//! Needs Node with npm, and Chromium: at `THALWEG_CHROMIUM`, or under one of its usual names. Without
//! them the test says what is missing and passes, for most who change the code have no use for a browser;
//! where `THALWEG_CHROMIUM` is set one is wanted, and what is missing is a failure.

mod skip;

use std::path::{Path, PathBuf};
use std::process::Command;

use skip::skip;

const CHROMIUM: [&str; 4] =
    ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// The variable that holds the browser's path.
const WANTED: &str = "THALWEG_CHROMIUM";
const WHAT: &str = "the report in a browser";

/// The first of the programs that runs.
fn found(programs: &[&str]) -> Option<String> {
    let runs = |program: &&&str| {
        Command::new(program).arg("--version").output().is_ok_and(|o| o.status.success())
    };
    programs.iter().find(runs).map(|p| (*p).to_owned())
}

fn chromium() -> Option<String> {
    let path = std::env::var(WANTED).ok().or_else(|| found(&CHROMIUM))?;
    // The driver starts a file, not a name.
    let output = Command::new("sh").args(["-c", "command -v \"$0\"", &path]).output().ok()?;
    let path = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (!path.is_empty()).then_some(path)
}

/// The driver, installed below the build directory.
fn driver(sources: &Path, place: &Path) -> Result<PathBuf, String> {
    std::fs::create_dir_all(place).map_err(|e| e.to_string())?;
    for file in ["package.json", "package-lock.json", "walk.mjs"] {
        std::fs::copy(sources.join(file), place.join(file)).map_err(|e| format!("{file}: {e}"))?;
    }
    let install = Command::new("npm")
        .args(["ci", "--no-audit", "--no-fund", "--prefer-offline"])
        .current_dir(place)
        .output()
        .map_err(|e| format!("npm does not start: {e}"))?;
    match install.status.success() {
        true => Ok(place.join("walk.mjs")),
        false => Err(format!("npm ci failed: {}", String::from_utf8_lossy(&install.stderr))),
    }
}

#[test]
fn the_report_works_in_a_browser() {
    let (Some(chromium), Some(node), Some(_)) = (chromium(), found(&["node"]), found(&["npm"]))
    else {
        return skip(WHAT, WANTED, "it needs chromium, node and npm on the PATH");
    };
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("browser");
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    let walk = match driver(&sources, &place) {
        Ok(walk) => walk,
        Err(why) => {
            return skip(WHAT, WANTED, &format!("its driver cannot be installed: {why}"));
        }
    };
    let out = tempfile::tempdir().unwrap();
    let made = Command::new(env!("CARGO_BIN_EXE_thalweg"))
        .args([
            "compare",
            "digits",
            "rosenbrock",
            "--optimizers",
            "adam,gd,momentum,lion,rmsprop,adagrad,sam",
        ])
        .args(["--budget", "80", "--trials", "4", "--seeds", "3", "--quiet", "--json", "--out"])
        .arg(out.path())
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let walked = Command::new(node)
        .arg(walk)
        .arg(out.path().join("report.html"))
        .arg(chromium)
        .arg(place.join("pictures"))
        .output()
        .unwrap();
    assert!(
        walked.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&walked.stdout),
        String::from_utf8_lossy(&walked.stderr)
    );
}
