//! The invariants of ARCHITECTURE.md that a program can check.

use std::fs;
use std::path::{Path, PathBuf};

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Every Rust file below `folder` (or `folder` itself), with its path from `src` on.
fn files(folder: &Path) -> Vec<(String, String)> {
    let mut found = vec![];
    if folder.is_dir() {
        for entry in fs::read_dir(folder).expect("a readable folder") {
            found.extend(files(&entry.expect("a directory entry").path()));
        }
    } else {
        let name = folder.strip_prefix(source()).expect("below src");
        let text = fs::read_to_string(folder).expect("a readable file");
        found.push((name.display().to_string(), text));
    }
    found
}

/// Lines of code of a file, its comments and its own tests left out.
fn code(text: &str) -> impl Iterator<Item = &str> {
    let end = text.find("#[cfg(test)]").unwrap_or(text.len());
    text[..end].lines().map(str::trim).filter(|line| !line.starts_with("//"))
}

/// Asserts that no line of code in these files and folders holds any of the words.
fn never(places: &[&str], words: &[&str]) {
    let mut seen = 0;
    for place in places {
        for (name, text) in files(&source().join(place)) {
            seen += 1;
            for line in code(&text) {
                for word in words {
                    assert!(!line.contains(word), "{name}: `{word}` in `{line}`");
                }
            }
        }
    }
    assert!(seen >= places.len());
}

const LANGUAGE: &[&str] = &[
    "real.rs",
    "math.rs",
    "sym",
    "notation.rs",
    "hyper.rs",
    "schedule.rs",
    "plateau.rs",
    "rule.rs",
    "member.rs",
    "part.rs",
    "convention.rs",
    "geometry",
    "rules",
];

#[test]
fn the_language_does_no_io_and_knows_no_threads() {
    never(
        LANGUAGE,
        &["std::fs", "std::io", "std::thread", "std::net", "rayon", "println!", "eprintln!"],
    );
}

#[test]
fn unsafe_stays_in_the_engine() {
    for (name, text) in files(&source()) {
        let engine = name.starts_with("engine/");
        for line in code(&text) {
            let word = line.contains("unsafe ") || line.contains("unsafe{");
            assert!(engine || !word, "{name}: `{line}`");
        }
    }
}

#[test]
fn formulas_do_not_allocate_or_call_the_platform() {
    // A `Vec` may stand in a description of a rule, never in a formula: formulas are closures
    // that begin with `move |`.
    for folder in ["rules", "geometry"] {
        for (name, text) in files(&source().join(folder)) {
            for formula in text.split("move |").skip(1) {
                let end = formula.find("\n        }\n");
                let body = &formula[..end.unwrap_or(formula.floor_char_boundary(400))];
                for word in
                    ["vec!", "Vec::", "Box::", ".to_vec()", "String", "f32::", "f64::", "mul_add"]
                {
                    assert!(!body.contains(word), "{name}: `{word}` in a formula");
                }
            }
        }
    }
}

#[test]
fn scalars_are_settled_without_the_platforms_functions() {
    // The methods of floats that `Real` does not have: their last bits are the platform's.
    let mut seen = 0;
    for folder in ["rules", "geometry"] {
        for (name, text) in files(&source().join(folder)) {
            for settle in text.split("fn settle<").skip(1) {
                let body = settle.split("\n    }\n").next().expect("the end of a function");
                seen += 1;
                for word in
                    ["vec!", "Vec::", "Box::", "String", "f64::", ".powi(", ".powf(", "mul_add"]
                {
                    assert!(!body.contains(word), "{name}: `{word}` where scalars are settled");
                }
            }
        }
    }
    assert!(seen > 10);
}

#[test]
fn every_rule_file_is_in_the_catalogue() {
    let catalogue = fs::read_to_string(source().join("rules/mod.rs")).expect("rules/mod.rs");
    let list = catalogue.split("catalogue!(").nth(1).expect("the catalogue");
    for (name, _) in files(&source().join("rules")) {
        let file = name.trim_start_matches("rules/").trim_end_matches(".rs");
        assert!(file == "mod" || list.contains(file), "{name} is not in the catalogue");
    }
}

#[test]
fn slots_are_named_as_many_as_they_are() {
    for entry in thalweg::registry::all() {
        let chain = (entry.chain)();
        assert_eq!(chain.slots().len(), chain.memory_per_coordinate(), "{}", entry.name);
        let formulas = chain.formulas().to_string();
        assert!(formulas.contains("x ←"), "{}: {formulas}", entry.name);
    }
}
