//! The machine code of the sweep, as users get it: formulas are vector loops without calls, and
//! AdamW's reads four streams and writes three.
#![cfg(target_arch = "x86_64")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

/// One compiled function: its mangled name and its instructions and labels.
struct Function {
    name: String,
    lines: Vec<String>,
}

/// A loop: from its head to the last jump back there.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Loop {
    first: usize,
    last: usize,
}

/// The library compiled for release, as assembly.
fn functions() -> Vec<Function> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("codegen");
    let start = SystemTime::now();
    let output = Command::new(env!("CARGO"))
        .args(["rustc", "--release", "--lib", "--offline", "--package", "thalweg"])
        // The dependencies' code is not looked at, so their optimization is not waited for.
        .args(["--config", "profile.release.package.\"*\".opt-level=0"])
        .args(["--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")])
        .arg("--target-dir")
        .arg(&target)
        .args(["--", "--emit", "asm", "-C", "symbol-mangling-version=v0"])
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("CARGO_TERM_QUIET")
        .output()
        .expect("cargo starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let compiled = said.contains("Compiling thalweg ");
    let mut functions = vec![];
    for entry in std::fs::read_dir(target.join("release/deps")).expect("compiled files") {
        let entry = entry.expect("a directory entry");
        if entry.path().extension().is_none_or(|e| e != "s") {
            continue;
        }
        let written = entry.metadata().and_then(|m| m.modified()).expect("a time");
        if compiled && written < start {
            // Of an older source, and not overwritten.
            std::fs::remove_file(entry.path()).expect("our own file");
        } else {
            read(&std::fs::read_to_string(entry.path()).expect("assembly"), &mut functions);
        }
    }
    functions
}

/// Cuts a file into functions.
fn read(text: &str, to: &mut Vec<Function>) {
    let mut open: Option<Function> = None;
    for line in text.lines() {
        let line = line.trim();
        match line.strip_suffix(':') {
            Some(name) if name.starts_with("_R") => {
                open = Some(Function { name: name.to_owned(), lines: vec![] });
            }
            _ if line == ".cfi_endproc" => to.extend(open.take()),
            label => {
                if let Some(function) = &mut open
                    && (label.is_some() || !line.starts_with('.'))
                {
                    function.lines.push(line.to_owned());
                }
            }
        }
    }
}

/// Whether the instruction computes with floats, and on how many at once.
fn arithmetic(line: &str) -> Option<bool> {
    let word = line.split_whitespace().next()?.trim_start_matches('v');
    let kinds = ["add", "sub", "mul", "div", "sqrt", "max", "min"];
    let suffix = kinds.iter().find_map(|kind| word.strip_prefix(kind))?;
    match suffix {
        "ps" | "pd" => Some(true),
        "ss" | "sd" => Some(false),
        _ => None,
    }
}

impl Function {
    /// All loops, by their heads.
    fn loops(&self) -> Vec<Loop> {
        let labels: BTreeMap<&str, usize> = (0..self.lines.len())
            .filter_map(|k| self.lines[k].strip_suffix(':').map(|label| (label, k)))
            .collect();
        let mut ends: BTreeMap<usize, usize> = BTreeMap::new();
        for (k, line) in self.lines.iter().enumerate().filter(|(_, l)| l.starts_with('j')) {
            let target = line.split_whitespace().last().and_then(|label| labels.get(label));
            if let Some(head) = target.filter(|head| **head <= k) {
                ends.insert(*head, k);
            }
        }
        ends.into_iter().map(|(first, last)| Loop { first, last }).collect()
    }

    fn body(&self, l: Loop) -> impl Iterator<Item = &str> {
        self.lines[l.first..=l.last].iter().map(String::as_str)
    }

    /// The innermost loops that compute on vectors.
    fn vector_loops(&self) -> Vec<Loop> {
        let all = self.loops();
        let computes = |l: &Loop| self.body(*l).any(|line| arithmetic(line) == Some(true));
        let vector: Vec<Loop> = all.into_iter().filter(computes).collect();
        let inside = |a: &Loop, b: &Loop| a != b && b.first <= a.first && a.last <= b.last;
        vector.iter().filter(|l| !vector.iter().any(|m| inside(m, l))).copied().collect()
    }

    fn calls(&self, l: Loop) -> Vec<&str> {
        self.body(l).filter(|line| line.starts_with("call")).collect()
    }
}

/// The memory a vector instruction of the loop reads and writes, by its registers; the stack, where
/// constants may wait, is not among it.
fn streams<'a>(body: impl Iterator<Item = &'a str>) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut reads, mut writes) = (BTreeSet::new(), BTreeSet::new());
    for line in body.filter(|line| line.contains("mm") && line.contains('(')) {
        let open = line.find('(').expect("an operand");
        let close = open + line[open..].find(')').expect("its end");
        let registers = &line[open..=close];
        if registers.contains("%rsp") || registers.contains("%rip") {
            continue;
        }
        // In this notation the destination stands last.
        let written = close + 1 == line.len();
        (if written { &mut writes } else { &mut reads }).insert(registers.to_owned());
    }
    (reads, writes)
}

const SETS: [&str; 2] = ["12Avx512Target", "10Avx2Target"];

/// The kernels of a set in single precision: the functions that carry its target feature.
fn kernels<'f>(functions: &'f [Function], set: &str) -> Vec<&'f Function> {
    let sweep = |f: &&Function| {
        let element = f.name.split_once("5SweepB").and_then(|(_, rest)| rest.split_once('_'));
        let compiled = f.name.contains(set) && f.name.contains("8compiled");
        compiled && element.is_some_and(|(_, kind)| kind.starts_with('f'))
    };
    functions.iter().filter(sweep).collect()
}

/// The reading passes of the rules on a set, in either precision. (Geometries take powers and
/// exponentials in double precision, which are calls.)
fn terms<'f>(functions: &'f [Function], set: &str) -> Vec<&'f Function> {
    let reading = |f: &&Function| {
        let pass = f.name.contains("8compiled") && f.name.contains("6kernel5Terms");
        // A rule alone has no terms.
        let of_rules = f.name.contains("5rules") && !f.name.contains("6OfRule");
        pass && f.name.contains(set) && of_rules
    };
    functions.iter().filter(reading).collect()
}

/// The kernel of `(Adam, DecayWeights, Scale)` that subtracts its result from the parameter.
fn adamw<'f>(functions: &'f [Function], set: &str) -> &'f Function {
    let plain = |f: &&&Function| {
        let rules = f.name.split_once("4AdamNt").map_or("", |(_, rest)| rest);
        let rules = rules.split_once("5ScaleEE").map_or("", |(rules, _)| rules);
        // No convention between the rules, and the second of the three uses of a result.
        rules.contains("12DecayWeights")
            && !rules.contains("10convention")
            && f.name.contains("Kh1_")
    };
    let found: Vec<&Function> = kernels(functions, set).into_iter().filter(|f| plain(&f)).collect();
    let names: Vec<&str> = found.iter().map(|f| f.name.as_str()).collect();
    assert_eq!(found.len(), 1, "AdamW's kernel on {set} is not one of them: {names:#?}");
    found[0]
}

/// The compiler may make two versions of the loop, with prefetching and without: each coordinate
/// passes through one, so each must be the whole formula, and nothing may stand beside them.
fn adamw_is_one_vector_loop(function: &Function, set: &str) {
    let text = function.lines.join("\n");
    let loops = function.vector_loops();
    assert!(!loops.is_empty(), "no vector loop on {set}:\n{text}");
    let vector = |l: &&str| arithmetic(l) == Some(true);
    let everywhere = function.lines.iter().map(String::as_str).filter(vector).count();
    let inside: usize = loops.iter().map(|l| function.body(*l).filter(vector).count()).sum();
    assert_eq!(inside, everywhere, "vector arithmetic outside of the loop on {set}:\n{text}");
    for l in loops {
        let hot: Vec<&str> = function.body(l).collect();
        assert!(hot.iter().all(|l| arithmetic(l) != Some(false)), "scalar arithmetic:\n{text}");
        assert_eq!(function.calls(l), Vec::<&str>::new(), "{set}");
        let count = |word: &str| hot.iter().filter(|l| l.starts_with(word)).count();
        // One root and one quotient per coordinate, at the full width of the set.
        assert!(count("vsqrtps") > 0 && count("vsqrtps") == count("vdivps"), "{set}:\n{text}");
        let width = if set == SETS[0] { "zmm" } else { "ymm" };
        let wide = |l: &&&str| l.starts_with("vsqrtps") && l.contains(width);
        assert_eq!(hot.iter().filter(wide).count(), count("vsqrtps"), "{set}: not {width}\n{text}");
        let (reads, writes) = streams(hot.iter().copied());
        assert_eq!((reads.len(), writes.len()), (4, 3), "{set}: {reads:?} {writes:?}\n{text}");
        assert!(writes.is_subset(&reads), "{set}: {reads:?} {writes:?}\n{text}");
    }
}

#[test]
fn formulas_are_vector_loops_without_calls() {
    let functions = functions();
    for set in SETS {
        adamw_is_one_vector_loop(adamw(&functions, set), set);
        let kernels = kernels(&functions, set);
        assert!(kernels.len() > 60, "only {} kernels on {set}", kernels.len());
        for kernel in kernels {
            let loops = kernel.vector_loops();
            assert!(!loops.is_empty(), "no vector loop in {}", kernel.name);
            for l in kernel.loops() {
                assert_eq!(kernel.calls(l), Vec::<&str>::new(), "in {}", kernel.name);
            }
            for l in loops {
                let scalar = kernel.body(l).filter(|line| arithmetic(line) == Some(false)).count();
                assert_eq!(scalar, 0, "scalar arithmetic in {}", kernel.name);
            }
        }
        let terms = terms(&functions, set);
        assert!(terms.len() > 30, "only {} reading passes on {set}", terms.len());
        for pass in terms {
            assert!(!pass.vector_loops().is_empty(), "no vector loop in {}", pass.name);
            for l in pass.loops() {
                assert_eq!(pass.calls(l), Vec::<&str>::new(), "in {}", pass.name);
            }
        }
    }
}
