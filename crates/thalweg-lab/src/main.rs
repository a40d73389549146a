//! The `thalweg` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    if std::env::var_os("CANDLE_NUM_THREADS").is_none() {
        // candle adds gradients on a pool that all threads of the process share and wait for by
        // spinning: runs side by side would stand in line for it and burn each other's core.
        //
        // SAFETY: this is the first statement of the program, so no other thread exists that could
        // read or write the environment at the same time.
        unsafe { std::env::set_var("CANDLE_NUM_THREADS", "1") };
    }
    thalweg_lab::cli::main()
}
