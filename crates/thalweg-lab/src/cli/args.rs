//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::bench::BenchArgs;

/// Trains real tasks with many optimizers, fairly tuned, and reports which one wins.
#[derive(Debug, Parser)]
#[command(name = "thalweg", version, about, max_term_width = 100)]
#[command(after_help = "Exit codes: 0 done, 1 failed, 2 wrong request.\n\
    Environment: THALWEG_CACHE (directory for data sets), NO_COLOR.")]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train tasks with many optimizers, tuned with equal budgets, and rank them.
    Compare(CompareArgs),
    /// Put the claims of the source documents to the test.
    Experiment(ExperimentArgs),
    /// List what there is.
    List(ListArgs),
    /// Print the recipe file of an optimizer: its building blocks with every value.
    Describe(DescribeArgs),
    /// Fetch and check data sets.
    Data {
        /// What to do with data sets.
        #[command(subcommand)]
        command: DataCommand,
    },
    /// Measure the speed of the optimizers.
    Bench(BenchArgs),
}

/// Arguments of `thalweg compare`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    thalweg compare                                    the 8x8 digits, all optimizers\n  \
    thalweg compare digits-mlp --optimizers adamw,sgd --seeds 10\n  \
    thalweg data get mnist && thalweg compare mnist-mlp --out mnist-report\n  \
    thalweg compare --json --quiet > results.json")]
pub struct CompareArgs {
    /// Tasks or groups of tasks: see `thalweg list tasks`. Default: digits.
    #[arg(value_name = "TASK")]
    pub tasks: Vec<String>,
    /// Compare these optimizers, separated by commas (`all`: presets too): see `thalweg list
    /// optimizers`. Default: all but presets on the digits, one of each family on MNIST.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub optimizers: Vec<String>,
    /// Seeds of the final runs; more seeds tell more optimizers apart. Default: the task's own number.
    #[arg(long, value_name = "N")]
    pub seeds: Option<usize>,
    /// Gradient evaluations per run. Default: the task's own number.
    #[arg(long, value_name = "N")]
    pub budget: Option<usize>,
    /// Tuning trials per optimizer. Default: the task's own number.
    #[arg(long, value_name = "N")]
    pub trials: Option<usize>,
    /// Runs at once. Default: one per core. Does not change the results.
    #[arg(long, value_name = "N")]
    pub workers: Option<usize>,
    /// Directory for `report.html` and `results.json`.
    #[arg(long, value_name = "DIR", default_value = "thalweg-out")]
    pub out: PathBuf,
    /// Print the results as one JSON object instead of tables.
    #[arg(long)]
    pub json: bool,
    /// Show no progress.
    #[arg(long, short)]
    pub quiet: bool,
}

/// Arguments of `thalweg experiment`.
#[derive(Debug, Args)]
#[command(after_help = "Exit code 1 if a number or a verdict differs from the reference.\n\
    Examples:\n  \
    thalweg experiment                                 every claim, one to two minutes\n  \
    thalweg experiment gain-order X18 --out figures    these, with their figures as SVG\n  \
    thalweg experiment all --json --quiet > findings.json")]
pub struct ExperimentArgs {
    /// Experiments, or acceptance rows (`X18`): see `thalweg list experiments`. Default: all.
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// Print the findings as one JSON array instead of text.
    #[arg(long)]
    pub json: bool,
    /// Directory for `experiments.json` and one SVG per figure.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Show no progress.
    #[arg(long, short)]
    pub quiet: bool,
}

/// Arguments of `thalweg list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// What to list.
    pub what: Listing,
    /// Print one JSON array instead of a table.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `thalweg describe`.
#[derive(Debug, Args)]
pub struct DescribeArgs {
    /// The optimizer: see `thalweg list optimizers`.
    pub name: String,
    /// Print it as JSON.
    #[arg(long)]
    pub json: bool,
}

/// What can be listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Listing {
    /// Optimizers, and the ranges they are tuned over.
    Optimizers,
    /// Tasks, with their models and budgets.
    Tasks,
    /// Data sets, and where they stand.
    Data,
    /// Claims that can be put to the test.
    Experiments,
}

/// What to do with data sets.
#[derive(Debug, Subcommand)]
pub enum DataCommand {
    /// List the data sets, and where they stand.
    List {
        /// Print one JSON array instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Fetch data sets into the cache and check them.
    #[command(after_help = "Example:\n  thalweg data get mnist")]
    Get {
        /// The data sets.
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
    /// Check data sets against their checksums. Default: all that are present.
    Verify {
        /// The data sets.
        #[arg(value_name = "NAME")]
        names: Vec<String>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn optimizers_are_separated_by_commas() {
        let cli = Cli::parse_from(["thalweg", "compare", "--optimizers", "a,b", "digits-mlp"]);
        let Command::Compare(args) = cli.command else { panic!("compare") };
        assert_eq!((args.optimizers.len(), args.tasks.len()), (2, 1));
    }
}
