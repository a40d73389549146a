//! The circumstances of a comparison.

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::Facts;
use super::database::PLAN;
use crate::optimizers;
use crate::protocol::{Plan, Workloads};

/// What someone needs to know to repeat a comparison, or to doubt it.
#[derive(Debug, Clone, Serialize)]
pub struct Manifest {
    /// The version of this program.
    pub version: &'static str,
    /// SHA-256 of the program file; empty if it could not be read.
    pub program_sha256: String,
    /// The engine that computed the gradients.
    pub engine: &'static str,
    /// The libraries that the program is built with, those that it names itself, with their versions.
    pub crates: Vec<(&'static str, &'static str)>,
    /// The command line.
    pub command: Vec<String>,
    /// Operating system and architecture.
    pub platform: String,
    /// The processor, as it names itself.
    pub cpu: String,
    /// Instruction sets that the kernels may have used.
    pub cpu_features: Vec<&'static str>,
    /// Threads the machine offers.
    pub cpu_threads: usize,
    /// Seconds that the calls of `compare` took which came to a report, one after another.
    pub seconds: f64,
}

impl Manifest {
    /// The manifest of this process.
    pub fn new(command: Vec<String>, seconds: f64) -> Self {
        Manifest {
            version: env!("CARGO_PKG_VERSION"),
            program_sha256: program_sha256(),
            engine: ENGINE,
            crates: crates(),
            command,
            platform: platform(),
            cpu: cpu_name(),
            cpu_features: cpu_features(),
            cpu_threads: threads(),
            seconds,
        }
    }
}

/// What computes the gradients.
const ENGINE: &str = "own layers on gemm 0.19.0";

/// What names the libraries of this program.
const PACKAGES: [&str; 2] =
    [include_str!("../../../thalweg/Cargo.toml"), include_str!("../../Cargo.toml")];

/// The words of a command as a shell reads them: in quotes where it would take them for something else.
pub(crate) fn command_line(words: &[String]) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./,:=@%+".contains(c);
    let quoted = |word: &String| match word.chars().all(plain) && !word.is_empty() {
        true => word.clone(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    };
    words.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

/// The libraries that the packages of this workspace name and that this program is built with. Each is pinned
/// to one version.
fn crates() -> Vec<(&'static str, &'static str)> {
    let named = |package: &'static str| {
        let section = package.split_once("\n[dependencies]\n").map_or("", |(_, rest)| rest);
        section.lines().take_while(|line| !line.starts_with('['))
    };
    let mut all: Vec<(&str, &str)> = PACKAGES
        .into_iter()
        .flat_map(named)
        .filter_map(|line| {
            let (name, rest) = line.split_once(" = ")?;
            Some((name, rest.split("\"=").nth(1)?.split('"').next()?))
        })
        .filter(|(name, _)| built_in(name))
        .collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Whether a library that is named is part of this program.
fn built_in(library: &str) -> bool {
    match library {
        "parquet" => cfg!(feature = "parquet"),
        "ratatui" => cfg!(feature = "tui"),
        "resvg" => cfg!(feature = "png"),
        own => !own.starts_with("thalweg"),
    }
}

/// What decides the results of a plan in this process. Instruction sets are among it: matrix products
/// round differently on different ones.
pub(crate) fn facts(plan: &Plan, workloads: &Workloads) -> Facts {
    let mut facts: Facts = vec![
        ("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        ("program_sha256".to_owned(), program_sha256()),
        ("cpu_features".to_owned(), cpu_features().join(" ")),
        (PLAN.to_owned(), plan.describe().join("\n")),
    ];
    for task in &plan.tasks {
        for fact in optimizers::recipes(&plan.entries(task)) {
            if !facts.contains(&fact) {
                facts.push(fact);
            }
        }
    }
    let data = workloads.iter().map(|(task, workload)| (task, workload.data_sha256()));
    facts.extend(data.map(|(task, sha256)| (data_key(task), sha256)));
    facts
}

/// The key of the fact that holds the SHA-256 of a task's data.
pub(crate) fn data_key(task: &str) -> String {
    format!("data_sha256/{task}")
}

/// What does not decide results: the rest of the [`Manifest`], of the process that was last at work, and what later
/// commands need to know of the tasks without opening them.
pub(crate) fn notes(workloads: &Workloads) -> Facts {
    let crates: Vec<String> = crates().iter().map(|(name, v)| format!("{name} {v}")).collect();
    let mut notes: Facts = vec![
        ("engine".to_owned(), ENGINE.to_owned()),
        ("crates".to_owned(), crates.join(", ")),
        ("platform".to_owned(), platform()),
        ("cpu".to_owned(), cpu_name()),
        ("cpu_threads".to_owned(), threads().to_string()),
    ];
    let known = workloads.iter().filter_map(|(task, workload)| Some((task, workload.optimum()?)));
    notes.extend(known.map(|(task, optimum)| (optimum_key(task), optimum.to_string())));
    notes
}

/// The key of the note that holds the smallest loss of a task.
pub(crate) fn optimum_key(task: &str) -> String {
    format!("optimum/{task}")
}

/// SHA-256 of the program file; empty if it cannot be read.
pub(crate) fn program_sha256() -> String {
    let program = std::env::current_exe().and_then(std::fs::read).unwrap_or_default();
    if program.is_empty() {
        return String::new();
    }
    Sha256::digest(program).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Threads the machine offers.
pub(crate) fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, |n| n.get())
}

fn platform() -> String {
    format!("{} {}", std::env::consts::OS, std::env::consts::ARCH)
}

fn cpu_name() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    info.lines()
        .find_map(|line| line.strip_prefix("model name").and_then(|rest| rest.split_once(':')))
        .map_or_else(|| "unknown".to_owned(), |(_, name)| name.trim().to_owned())
}

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
fn cpu_features() -> Vec<&'static str> {
    [
        ("sse4.2", is_x86_feature_detected!("sse4.2")),
        ("avx", is_x86_feature_detected!("avx")),
        ("avx2", is_x86_feature_detected!("avx2")),
        ("fma", is_x86_feature_detected!("fma")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
        ("avx512bw", is_x86_feature_detected!("avx512bw")),
    ]
    .into_iter()
    .filter_map(|(name, there)| there.then_some(name))
    .collect()
}

#[cfg(not(any(target_arch = "x86", target_arch = "x86_64")))]
fn cpu_features() -> Vec<&'static str> {
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_the_command_as_it_was_given() {
        let words = ["thalweg", "--out", "my dir", "it's", "", "a.b=0.9..1", "bowl@1e4"];
        let line = command_line(&words.map(str::to_owned));
        assert_eq!(line, r"thalweg --out 'my dir' 'it'\''s' '' a.b=0.9..1 bowl@1e4");
    }

    #[test]
    fn the_manifest_has_the_libraries_of_this_program_and_no_others() {
        let crates = crates();
        for known in [("gemm", "0.19.0"), ("rayon", "1.12.0"), ("serde_json", "1.0.154")] {
            assert!(crates.contains(&known), "{known:?} is not in {crates:?}");
        }
        let named = |library: &str| crates.iter().filter(|(name, _)| *name == library).count();
        assert_eq!(named("half"), 1, "both packages name it: {crates:?}");
        assert_eq!(named("ratatui"), usize::from(cfg!(feature = "tui")), "{crates:?}");
        for absent in ["thalweg", "proptest", "trybuild", "rustix", "roxmltree"] {
            assert_eq!(named(absent), 0, "{absent} is in {crates:?}");
        }
    }
}
