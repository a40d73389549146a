//! What `--tui` does to a terminal, and where there is none.

#[cfg(all(unix, feature = "tui"))]
mod pty;

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

/// A log keeps every state of a bar.
#[cfg(all(unix, feature = "tui"))]
#[test]
fn continuous_integration_gets_plain_lines_on_a_terminal_too() {
    for (ci, bars) in [("", true), ("true", false)] {
        let (terminal, out) = (pty::Pty::open(), tempfile::tempdir().unwrap());
        let mut command = Command::new(env!("CARGO_BIN_EXE_thalweg"));
        command.args([
            "compare",
            "rosenbrock",
            "--optimizers",
            "gd",
            "--budget",
            "20",
            "--trials",
            "2",
        ]);
        command.args(["--seeds", "2", "--out"]).arg(out.path()).env("CI", ci);
        let mut child = terminal.spawn(&mut command);
        assert!(pty::ended(&mut child).success());
        terminal.wait_for("report: ");
        assert_eq!(terminal.text().contains('\u{1b}'), bars, "{:?}", terminal.text());
    }
}

/// Steps that no test could wait for are given up, and what the terminal and the store hold is in order.
#[cfg(all(unix, feature = "tui"))]
#[test]
fn a_second_ctrl_c_gives_up_the_runs_in_hand() {
    use std::io::Write;
    use std::time::Duration;
    use thalweg_lab::store::Database;

    let (terminal, out) = (pty::Pty::open(), tempfile::tempdir().unwrap());
    let ctrl_c = || (&terminal.user).write_all(b"\x03").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_thalweg"));
    command.args(["compare", "digits-mlp", "--optimizers", "gd", "--budget", "100000000"]);
    command.args(["--trials", "2", "--seeds", "2", "--tui", "--out"]).arg(out.path());
    let mut child = terminal.spawn(&mut command);
    terminal.wait_for("cross-entropy");
    assert!(!terminal.is_ordinary());
    ctrl_c();
    std::thread::sleep(Duration::from_secs(1));
    assert!(child.try_wait().unwrap().is_none(), "the first one waits for the runs in hand");
    ctrl_c();
    assert_eq!(pty::ended(&mut child).code(), Some(130));
    assert!(terminal.is_ordinary());
    terminal.wait_for("interrupted after 0 of");
    let text = terminal.text();
    let before = text.split("interrupted after 0 of").next().unwrap();
    assert!(before.contains("\u{1b}[?1049l\u{1b}[?25h"), "{text:?}");
    let results = std::fs::read_to_string(out.path().join("results.json")).unwrap();
    let results: serde_json::Value = serde_json::from_str(&results).unwrap();
    assert!(results["outcome"]["interrupted"].as_str().unwrap().starts_with("interrupted after 0"));
    assert!(out.path().join("report.html").exists());
    assert!(Database::read(out.path()).unwrap().kept(true).unwrap().is_empty());
    let db = rusqlite::Connection::open(out.path().join("runs.sqlite")).unwrap();
    let sound: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok");
}
