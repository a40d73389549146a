//! The book's chapter "A new rule in 20 lines": its file is compiled here word for word, its
//! formula is looked at, and its golden file followed.

mod common;

use std::path::{Path, PathBuf};

use common::golden::{Case, cases_of};
use common::walk::{Walk, near_relative, tuned};

// What the file names when it stands in the library.
pub(crate) use thalweg::hypers;
pub(crate) mod hyper {
    pub use thalweg::Range;
}
pub(crate) mod real {
    pub use thalweg::Real;
}
pub(crate) mod rule {
    pub use thalweg::{At, Here, Rule, Slot, slot};
}
pub(crate) mod chain {
    pub use thalweg::Chain;
}
pub(crate) mod rules {
    pub use thalweg::rules::Scale;
}
pub(crate) mod registry {
    pub struct Entry {
        pub name: &'static str,
        pub title: &'static str,
        pub summary: &'static str,
        pub source: &'static str,
        pub chain: fn() -> thalweg::Chain,
        pub tune: &'static [thalweg::registry::Tune],
    }

    pub const fn log_range(hyper: &'static str, low: f64, high: f64) -> thalweg::registry::Tune {
        thalweg::registry::Tune { hyper, low, high }
    }

    macro_rules! blocks {
        (rule $block:ty) => {
            pub(crate) const BLOCKS: &[fn() -> thalweg::Chain] =
                &[|| thalweg::Chain::new(<$block>::default())];
        };
    }
    pub(crate) use blocks;
}

#[path = "../../../book/src/new_rule/powerball.rs"]
mod powerball;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn files() -> PathBuf {
    root().join("book/src/new_rule")
}

#[test]
fn the_rule_of_the_chapter_follows_its_golden_file() {
    let [entry] = powerball::ENTRIES else { panic!("one entry") };
    assert_eq!((entry.name, entry.tune[0].hyper), ("powerball", "lr"));
    assert!(!entry.title.is_empty() && !entry.summary.is_empty() && !entry.source.is_empty());
    let lines = (entry.chain)().formulas().to_string();
    let want = "m ← β·m + (1 − β)·g\nx ← x − η·sign(m / (1 − βᵗ))·|m / (1 − βᵗ)|^p\n";
    assert_eq!(lines, want);
    assert_eq!((powerball::BLOCKS[0])().slots(), ["m"]);
    let cases = cases_of(&files().join("powerball.toml"));
    assert_eq!(cases.len(), 2);
    for case in cases {
        follow(&case, (entry.chain)());
    }
}

fn follow(case: &Case, chain: thalweg::Chain) {
    let hypers: Vec<(&str, f64)> = case.hypers.iter().map(|(n, v)| (n.as_str(), *v)).collect();
    let mut walk = Walk::new(tuned(chain, &hypers), &case.x0);
    let mut compared = 0;
    for (t, g) in (1..).zip(&case.gradients) {
        walk.step(g);
        for (_, want) in case.at.iter().zip(&case.x).filter(|(at, _)| **at == t) {
            walk.x.iter().zip(want).for_each(|(x, want)| near_relative(*x, *want, case.tolerance));
            compared += 1;
        }
    }
    assert_eq!(compared, case.at.len());
    for (name, want) in &case.slots {
        let slot = walk.slot(name).iter().zip(want);
        slot.for_each(|(got, want)| near_relative(*got, *want, case.tolerance));
    }
}

/// One new file, one word in the catalogue, one golden file, and nothing else: in a copy of the
/// library, whose own test of the golden trajectories must then run the new one.
#[test]
#[ignore = "builds the library a second time; run with --include-ignored"]
fn one_file_one_line_one_golden_file() {
    let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join("new_rule");
    let library = copy.join("crates/thalweg");
    for folder in ["crates/thalweg/src", "crates/thalweg/tests/common", "testdata"] {
        // A file that is gone from the library must be gone from the copy.
        let _ = std::fs::remove_dir_all(copy.join(folder));
        copy_folder(&root().join(folder), &copy.join(folder));
    }
    // The manifest names one test; cargo asks for its file.
    for file in [
        "Cargo.toml",
        "Cargo.lock",
        "crates/thalweg/Cargo.toml",
        "crates/thalweg/tests/allocation.rs",
        "crates/thalweg/tests/golden.rs",
    ] {
        std::fs::copy(root().join(file), copy.join(file)).expect(file);
    }
    edit(&copy.join("Cargo.toml"), "\"crates/thalweg-lab\"", "\"crates/thalweg\"");

    // The three things.
    std::fs::copy(files().join("powerball.rs"), library.join("src/rules/powerball.rs")).expect("1");
    edit(&library.join("src/rules/mod.rs"), "catalogue!(\n", "catalogue!(\n    powerball,\n");
    let golden = copy.join("testdata/trajectories/powerball.toml");
    std::fs::copy(files().join("powerball.toml"), golden).expect("3");

    let cargo = std::process::Command::new(env!("CARGO"))
        .args(["test", "--offline", "--test", "golden"])
        .current_dir(&copy)
        .env("CARGO_TARGET_DIR", copy.join("target"))
        .output()
        .expect("cargo");
    let said = String::from_utf8_lossy(&cargo.stderr);
    assert!(cargo.status.success(), "{said}\n{}", String::from_utf8_lossy(&cargo.stdout));
}

fn edit(file: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(file).expect("a file to edit");
    assert!(text.contains(from), "{} lacks {from:?}", file.display());
    std::fs::write(file, text.replacen(from, to, 1)).expect("a writable file");
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let path = entry.expect("a directory entry").path();
        let there = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy_folder(&path, &there);
        } else {
            std::fs::copy(&path, there).expect("a file");
        }
    }
}
