//! The circumstances of a comparison.

use serde::Serialize;

/// What someone needs to know to repeat a comparison, or to doubt it.
#[derive(Debug, Clone, Serialize)]
pub struct Manifest {
    /// The version of this program.
    pub version: &'static str,
    /// The engine that computed the gradients.
    pub engine: &'static str,
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
    /// Seconds the comparison took in all.
    pub seconds: f64,
}

impl Manifest {
    /// The manifest of this process.
    pub fn new(command: Vec<String>, seconds: f64) -> Self {
        Manifest {
            version: env!("CARGO_PKG_VERSION"),
            engine: "own layers on gemm 0.19.0",
            command,
            platform: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            cpu: cpu_name(),
            cpu_features: cpu_features(),
            cpu_threads: threads(),
            seconds,
        }
    }
}

/// Threads the machine offers.
pub(crate) fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, |n| n.get())
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
