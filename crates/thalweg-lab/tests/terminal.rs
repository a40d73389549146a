//! What `--tui` does where there is no terminal.

use std::process::Command;

#[test]
fn results_stay_on_stdout_and_progress_is_plain_without_a_terminal() {
    let out = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_thalweg"));
    command.args(["compare", "digits-softmax", "--optimizers", "gd", "--budget", "20"]);
    command.args(["--trials", "2", "--seeds", "2", "--tui", "--json", "--out"]).arg(out.path());
    let done = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&done.stderr);
    // Control sequences would show up in a log.
    assert!(!stderr.contains('\u{1b}'), "{stderr}");
    if cfg!(feature = "tui") {
        assert!(done.status.success(), "{stderr}");
        assert!(stderr.contains("stderr is no terminal: plain progress"), "{stderr}");
        let results: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
        assert!(results.is_object());
    } else {
        assert_eq!(done.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains("--features tui") && done.stdout.is_empty(), "{stderr}");
    }
}
