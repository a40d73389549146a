//! The speed of the optimizers against the machine's own memory bound.
//!
//! A step cannot be faster than its bytes: every element-wise method reads parameter, gradient and
//! state once and writes parameter and state once. The bound of a method is therefore measured,
//! here and now, with kernels that move the same streams and compute next to nothing
//! ([`bound`]); the share is the bound's time over the method's.

mod bound;
mod measure;
mod subject;
mod variant;
mod workload;

use clap::Args;

use crate::{Error, Result};
use measure::{Row, Session};
use workload::Workload;

/// Arguments of `thalweg bench`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    thalweg bench --workloads w4                       a small perceptron: seconds\n  \
    thalweg bench --optimizers adamw,lion --threads 1,2 --shrink 16    a quick look at two of them\n  \
    thalweg bench --optimizers adamw,adamw+state8,adamw+bf16 --workloads w2 --rounds 5 --json")]
pub struct BenchArgs {
    /// Workloads: w1 (one tensor of 64 Mi), w2 (GPT-2 small), w3 (1,000 tensors of 1,024),
    /// w4 (an MLP of 235 thousand), table (a million rows of 64, for sparse gradients).
    #[arg(long, value_delimiter = ',', default_value = "w1,w2,w3,w4")]
    pub workloads: Vec<String>,
    /// Optimizers by registry name; all by default. `chain3`, `guarded`, `probed` and `tail` stand for
    /// AdamW as three stages, AdamW with the finite check, MetaEGD with probes, and AdamW with clipping,
    /// weight average and zeroed gradient. After a name, `+state16`, `+state8` and `+bf16` choose how
    /// state, or everything, is kept; `+rows=0.01` gives one row in a hundred a gradient,
    /// and `+exact` after it steps the others, too.
    #[arg(long, value_delimiter = ',')]
    pub optimizers: Vec<String>,
    /// Thread counts.
    #[arg(long, value_delimiter = ',', default_values_t = default_threads())]
    pub threads: Vec<usize>,
    /// Rounds; bound and optimizers take turns in each, and the median counts.
    #[arg(long, default_value_t = 9)]
    pub rounds: usize,
    /// Divide the size of the workloads by this, for a quick look.
    #[arg(long, default_value_t = 1)]
    pub shrink: usize,
    /// Print one JSON object per line instead of a table.
    #[arg(long)]
    pub json: bool,
}

fn default_threads() -> Vec<usize> {
    vec![std::thread::available_parallelism().map_or(1, usize::from)]
}

/// Runs the benchmark.
pub fn run(args: &BenchArgs) -> Result<()> {
    if args.rounds == 0 || args.shrink == 0 || args.threads.contains(&0) {
        return Err(Error::usage(
            "--rounds, --shrink and --threads must be at least 1",
            "leave them out for the defaults",
        ));
    }
    let every = || subject::all().into_iter().chain(variant::SPECIAL).map(str::to_owned).collect();
    let names = if args.optimizers.is_empty() { every() } else { args.optimizers.clone() };
    if !args.json {
        println!("{}", Row::header());
    }
    for name in &args.workloads {
        let workload = Workload::named(name, args.shrink)?;
        for threads in &args.threads {
            let session = Session { workload: &workload, threads: *threads, rounds: args.rounds };
            session.run(&names, &mut |row| {
                println!("{}", if args.json { row.json() } else { row.line() });
            })?;
        }
    }
    Ok(())
}
