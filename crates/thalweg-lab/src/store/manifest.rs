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
    /// The libraries that the program is made of, those that it names itself, with their versions.
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
            crates: crates(LOCK),
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

/// The exact version of every library.
const LOCK: &str = include_str!("../../../../Cargo.lock");

/// The words of a command as a shell reads them: in quotes where it would take them for something else.
pub(crate) fn command_line(words: &[String]) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./,:=@%+".contains(c);
    let quoted = |word: &String| match word.chars().all(plain) && !word.is_empty() {
        true => word.clone(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    };
    words.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

/// The libraries that the packages of this workspace name, with their versions.
fn crates(lock: &'static str) -> Vec<(&'static str, &'static str)> {
    let quoted = |line: &'static str| line.split('"').nth(1);
    let packages: Vec<(&str, &str, &str)> = lock
        .split("[[package]]")
        .filter_map(|block| {
            let of = |key: &str| block.lines().find(|l| l.starts_with(key)).and_then(quoted);
            Some((of("name = ")?, of("version = ")?, block))
        })
        .collect();
    let named = |own: &str| {
        let block = packages.iter().find(|(name, ..)| *name == own).map_or("", |p| p.2);
        let list = block.split_once("dependencies = [").map_or("", |(_, rest)| rest);
        // Where two versions of a library are built the version stands after the name.
        list.lines().filter_map(quoted).filter_map(|entry| entry.split(' ').next()).collect()
    };
    let direct: Vec<&str> = ["thalweg", "thalweg-lab"]
        .into_iter()
        .flat_map(|own| -> Vec<&str> { named(own) })
        .collect();
    packages
        .iter()
        .filter(|(name, ..)| direct.contains(name) && !name.starts_with("thalweg"))
        .map(|(name, version, _)| (*name, *version))
        .collect()
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
    let crates: Vec<String> = crates(LOCK).iter().map(|(name, v)| format!("{name} {v}")).collect();
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
    fn the_manifest_has_the_versions_of_the_libraries() {
        let crates = crates(LOCK);
        for known in [("gemm", "0.19.0"), ("rayon", "1.12.0"), ("serde_json", "1.0.154")] {
            assert!(crates.contains(&known), "{known:?} is not in {crates:?}");
        }
        assert!(crates.iter().all(|(name, _)| !name.starts_with("thalweg")));
    }
}
