//! The `thalweg` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    thalweg_lab::cli::main()
}
