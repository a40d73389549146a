//! A comparison that is killed at random moments and continued ends with the same results, bit for bit,
//! as one that is left alone.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use thalweg_lab::protocol::{Observer, Phase, Plan, Run, compare_in, open};
use thalweg_lab::store::{Database, Kept};
use thalweg_lab::{optimizers, tasks};

fn compare(out: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_thalweg"));
    command
        .args(["compare", "digits-softmax", "--optimizers", "adamw,momentum,egdd", "--quiet"])
        .args(["--trials", "8", "--seeds", "3", "--budget", "300", "--workers", "2", "--out"])
        .arg(out)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// Everything but the clock.
fn results(out: &Path) -> String {
    let line = |run: Kept| {
        let points = run.points.iter().map(|p| (p.step, p.train_loss, p.validation));
        let points: Vec<_> = points.collect();
        format!(
            "{} {} {:?} {:?} {:?} {:?} {points:?}\n",
            run.cell(),
            run.phase,
            run.hypers,
            run.divergence,
            run.test_loss,
            run.test_metric
        )
    };
    Database::read(out).unwrap().kept(true).unwrap().into_iter().map(line).collect()
}

/// The runs that are kept, by their number, and when each ended.
fn kept(out: &Path) -> BTreeMap<i64, String> {
    // The first kill may have come before there was a file.
    let Ok(db) = rusqlite::Connection::open(out.join("runs.sqlite")) else {
        return BTreeMap::new();
    };
    let Ok(mut rows) = db.prepare("SELECT id, finished FROM runs") else { return BTreeMap::new() };
    let rows = rows.query_map([], |row| {
        Ok((row.get(0)?, format!("{:?}", row.get::<_, rusqlite::types::Value>(1)?)))
    });
    rows.unwrap().map(Result::unwrap).collect()
}

/// Waits of pseudo-random length, so that every run of the test kills elsewhere; the first is short enough to
/// find the fastest machine at work.
fn waits() -> impl Iterator<Item = Duration> {
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let mut state = clock.map_or(1, |t| t.as_nanos() as u64) | 1;
    let mut longest = 60;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let wait = Duration::from_millis(20 + state % longest);
        longest = 400;
        wait
    })
}

#[test]
fn killed_at_random_moments_it_continues() {
    let (calm, stormy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    assert!(compare(calm.path()).status().unwrap().success());
    let (mut kills, mut before) = (0, BTreeMap::new());
    for wait in waits().take(60) {
        let mut child = compare(stormy.path()).spawn().unwrap();
        std::thread::sleep(wait);
        match child.try_wait().unwrap() {
            Some(status) => {
                assert!(status.success());
                break;
            }
            None => {
                // On Unix this is SIGKILL.
                child.kill().unwrap();
                child.wait().unwrap();
                kills += 1;
                let now = kept(stormy.path());
                assert!(
                    before.iter().all(|(id, ended)| now.get(id) == Some(ended)),
                    "kill {kills}"
                );
                before = now;
            }
        }
    }
    assert!(compare(stormy.path()).status().unwrap().success());
    let after = kept(stormy.path());
    assert!(before.iter().all(|(id, ended)| after.get(id) == Some(ended)), "runs were made twice");
    assert!(kills > 0, "the comparison was never killed");
    let (calm, stormy) = (results(calm.path()), results(stormy.path()));
    assert_eq!(calm.lines().count(), 3 * (1 + 8 + 2 + 9 + 3));
    assert_eq!(calm, stormy, "after {kills} kills");
}

const WORKERS: usize = 2;

/// Writes a letter for each run that begins; a kill does not take back what was written.
struct Journal(std::fs::File);

impl Observer for Journal {
    fn measured(&self, _: Phase, run: &Run) {
        if run.points.len() == 1 {
            (&self.0).write_all(b"b").unwrap();
        }
    }

    fn ended(&self, _: Phase, _: &Run) {}
}

/// What the next test kills: a comparison that tells which runs it begins.
#[test]
#[ignore = "does nothing unless the test below starts it"]
fn a_comparison_with_a_journal() {
    let Some(out) = std::env::var_os("THALWEG_TEST_JOURNAL") else { return };
    let out = Path::new(&out);
    let names = ["adamw", "momentum"].map(str::to_owned);
    let plan = Plan {
        tasks: tasks::select(&["digits-softmax".to_owned()], None).unwrap(),
        optimizers: Some(optimizers::select(&names).unwrap()),
        seeds: Some(3),
        trials: Some(8),
        budget: Some(300),
        tune: Vec::new(),
        targets: Vec::new(),
        study: 0,
        workers: WORKERS,
    };
    let journal = std::fs::File::options().create(true).append(true).open(out.join("journal"));
    let facts = vec![("test".to_owned(), "journal".to_owned())];
    let database = Database::open(out, &facts).unwrap();
    compare_in(&plan, &open(&plan).unwrap(), &database, &Journal(journal.unwrap())).unwrap();
}

#[test]
fn a_kill_loses_the_runs_in_hand_and_no_other() {
    let out = tempfile::tempdir().unwrap();
    let begun = || std::fs::read(out.path().join("journal")).map_or(0, |text| text.len());
    let (mut kills, mut lost) = (0, 0);
    for wait in waits().take(60) {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--ignored", "--exact", "a_comparison_with_a_journal"]);
        let mut child = child
            .env("THALWEG_TEST_JOURNAL", out.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(wait);
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success());
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
        let now = begun() - kept(out.path()).len();
        assert!((lost..=lost + WORKERS).contains(&now), "kill {kills}: {lost} lost, then {now}");
        lost = now;
    }
    assert!(kills > 0, "the comparison was never killed");
}

#[test]
fn another_plan_in_the_same_directory_is_refused() {
    let out = tempfile::tempdir().unwrap();
    let run = |seeds: &str, more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_thalweg"));
        command.args(["compare", "digits-softmax", "--optimizers", "gd", "--trials", "2"]);
        command.args(["--budget", "20", "--quiet", "--seeds", seeds, "--out"]).arg(out.path());
        command.args(more).output().unwrap()
    };
    assert!(run("1", &[]).status.success());
    let refused = run("2", &[]);
    assert_eq!(refused.status.code(), Some(2));
    let message = String::from_utf8(refused.stderr).unwrap();
    assert!(message.contains("2 trials, 1 seeds") && message.contains("--fresh"), "{message}");
    assert!(run("2", &["--fresh"]).status.success());
}

#[test]
fn tasks_and_optimizers_in_another_order_continue() {
    let out = tempfile::tempdir().unwrap();
    let run = |tasks: [&str; 2], optimizers: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_thalweg"));
        command.arg("compare").args(tasks).args(["--optimizers", optimizers, "--trials", "2"]);
        command.args(["--budget", "20", "--quiet", "--seeds", "2", "--out"]).arg(out.path());
        let done = command.output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    run(["saddle", "bowl"], "gd,adam");
    let before = kept(out.path());
    run(["bowl", "saddle"], "adam,gd");
    assert_eq!(before, kept(out.path()));
}

#[test]
fn rerun_reproduces_and_diff_sees_the_same_bits() {
    let out = tempfile::tempdir().unwrap();
    assert!(compare(out.path()).status().unwrap().success());
    let thalweg = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_thalweg"));
        command.args(args).output().unwrap()
    };
    let dir = out.path().to_str().unwrap();
    for cell in ["digits-softmax/adamw/1", "digits-softmax/egdd/t0", "digits-softmax/momentum/t9"] {
        let output = thalweg(&["rerun", cell, "--out", dir]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && text.contains("the same bits in all"), "{cell}: {text}");
        // Only final runs are probed.
        assert_eq!(text.contains(" probes"), cell.ends_with("/1"), "{text}");
    }
    assert_eq!(thalweg(&["rerun", "digits-softmax/adam/1", "--out", dir]).status.code(), Some(2));
    let diff = thalweg(&["diff", dir, dir, "--json"]);
    let changes: serde_json::Value = serde_json::from_slice(&diff.stdout).unwrap();
    let rows = changes["rows"].as_array().unwrap();
    assert!(rows.len() == 3 && rows.iter().all(|row| row["identical"] == true));
    let csv = String::from_utf8(thalweg(&["export", dir, "--format", "csv"]).stdout).unwrap();
    assert!(csv.lines().count() > 3 * 23 * 30);
    assert!(csv.lines().all(|line| line.matches(',').count() == 18));
}

/// Tampers with one number in the store: the rerun must name it.
#[test]
fn rerun_names_the_first_difference() {
    let out = tempfile::tempdir().unwrap();
    assert!(compare(out.path()).status().unwrap().success());
    let db = rusqlite::Connection::open(out.path().join("runs.sqlite")).unwrap();
    let changed = db.execute(
        "UPDATE points SET validation_loss = validation_loss + 1e-15 WHERE position = 3 AND run IN
         (SELECT r.id FROM runs r JOIN trials t ON t.id = r.trial
          WHERE t.optimizer = 'adamw' AND r.phase = 'final' AND r.seed = 2)",
        [],
    );
    assert_eq!(changed.unwrap(), 1);
    let message = || {
        let output = Command::new(env!("CARGO_BIN_EXE_thalweg"))
            .args(["rerun", "digits-softmax/adamw/2", "--out"])
            .arg(out.path())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    let point = message();
    assert!(point.contains("the validation loss was"), "{point}");
    // What was looked at earlier differs earlier.
    let changed = db.execute(
        r#"UPDATE probes SET probe = replace(probe, '"clip_factor":1.0', '"clip_factor":1.5')
           WHERE step = 2 AND run IN
           (SELECT r.id FROM runs r JOIN trials t ON t.id = r.trial
            WHERE t.optimizer = 'adamw' AND r.phase = 'final' AND r.seed = 2)"#,
        [],
    );
    assert_eq!(changed.unwrap(), 1);
    let probe = message();
    let told =
        "after 2 gradient evaluations, the probe of clip_factor in model was 1.5, now it is 1.0";
    assert!(probe.contains(told), "{probe}");
}

/// A text of the user's own that was replaced under the same name.
#[test]
fn rerun_refuses_other_data_than_those_of_the_run() {
    let here = tempfile::tempdir().unwrap();
    let (file, out) = (here.path().join("text"), here.path().join("out"));
    let thalweg = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_thalweg"));
        command.args(args).env("THALWEG_CACHE", here.path().join("cache")).output().unwrap()
    };
    let add = |line: &str| {
        std::fs::write(&file, line.repeat(200)).unwrap();
        assert!(thalweg(&["data", "add", "own", file.to_str().unwrap()]).status.success());
    };
    let out = out.to_str().unwrap();
    let rerun = || thalweg(&["rerun", "lm@own/gd/t0", "--out", out]);
    add("the quick brown fox jumps over the lazy dog\n");
    let compare = ["compare", "lm@own", "--optimizers", "gd", "--trials", "1", "--seeds", "1"];
    let done = thalweg(&[&compare[..], &["--budget", "2", "--quiet", "--out", out]].concat());
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(rerun().status.success());
    let sum = || Database::read(Path::new(out)).unwrap().fact("data_sha256/lm@own").unwrap();
    let before = sum().unwrap();
    // As many letters, and the same ones.
    add("the quick brown dog jumps over the lazy fox\n");
    let refused = rerun();
    let message = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{message}");
    let told =
        format!("the data of lm@own are not those of the run: their SHA-256 was {before}, now");
    assert!(message.contains(&told) && message.contains("thalweg data add"), "{message}");
    let now = message.split("now it is ").nth(1).unwrap();
    let now: String = now.chars().take_while(char::is_ascii_hexdigit).collect();
    assert!(now.len() == 64 && now != before, "{message}");
}

/// The smallest loss of a task goes with its results, so that `diff` compares them as `compare` does.
#[test]
fn diff_compares_by_ratios_where_the_smallest_loss_is_known() {
    let here = tempfile::tempdir().unwrap();
    let directory = |budget: &str| here.path().join(budget).to_str().unwrap().to_owned();
    let thalweg =
        |args: &[&str]| Command::new(env!("CARGO_BIN_EXE_thalweg")).args(args).output().unwrap();
    for budget in ["20", "200"] {
        let compare =
            ["compare", "rosenbrock", "--optimizers", "adamw", "--trials", "2", "--quiet"];
        let more = ["--seeds", "4", "--budget", budget, "--out", &directory(budget)];
        assert!(thalweg(&[&compare[..], &more].concat()).status.success());
    }
    let (a, b) = (directory("20"), directory("200"));
    let changes = thalweg(&["diff", &a, &b, "--json"]);
    let changes: serde_json::Value = serde_json::from_slice(&changes.stdout).unwrap();
    // What was asked for is not the same, and that comes first.
    assert_eq!(changes["apart"].as_array().unwrap().len(), 1, "{changes}");
    assert_eq!(changes["apart"][0]["what"], "task rosenbrock");
    let row = &changes["rows"][0];
    assert_eq!(row["scale"]["above"], 0.0, "{row}");
    let (loss, ratio) = (&row["loss"], row["distance"]["mean"].as_f64().unwrap());
    // The minimum is 0, so the ratio of geometric means is the geometric mean of ratios.
    let means = loss[1].as_f64().unwrap() / loss[0].as_f64().unwrap();
    assert!((ratio / means - 1.0).abs() < 1e-12, "{row}");
    let text = String::from_utf8(thalweg(&["diff", &a, &b]).stdout).unwrap();
    assert!(text.starts_with("not the same task rosenbrock: 20 gradient"), "{text}");
    assert!(text.contains("× 0.") && text.contains("geometric means"), "{text}");
}

/// The first Ctrl-C waits for the experiments in hand, and leaves a page of what there is.
#[cfg(unix)]
#[test]
fn ctrl_c_leaves_the_experiments_that_have_ended() {
    use std::io::{BufRead, BufReader};
    let out = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_thalweg"))
        .args(["experiment", "all", "--json", "--out"])
        .arg(out.path())
        // Without MNIST, and with more experiments than threads on any machine.
        .env("THALWEG_CACHE", out.path().join("cache"))
        .env("RAYON_NUM_THREADS", "2")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(told.next().unwrap().unwrap().starts_with("1 of "));
    let interrupt = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(interrupt.unwrap().success());
    let told: Vec<String> = told.map(Result::unwrap).collect();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{told:?}");
    let text = std::fs::read_to_string(out.path().join("experiments.json")).unwrap();
    let findings: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    let ended = format!("interrupted after {} of ", findings.len());
    assert!(told.iter().any(|line| line.contains(&ended)), "{told:?}");
    assert!(out.path().join("experiments.html").is_file());
}

/// The first Ctrl-C leaves a report of what there is, and the same command continues.
#[cfg(unix)]
#[test]
fn ctrl_c_leaves_a_partial_report() {
    let out = tempfile::tempdir().unwrap();
    let mut child = compare(out.path()).spawn().unwrap();
    let runs = || Database::read(out.path()).and_then(|db| db.kept(false)).map_or(0, |r| r.len());
    while runs() < 5 {
        std::thread::sleep(Duration::from_millis(5));
    }
    let interrupt = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(interrupt.unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let results = std::fs::read_to_string(out.path().join("results.json")).unwrap();
    let results: serde_json::Value = serde_json::from_str(&results).unwrap();
    let how_far = results["outcome"]["interrupted"].as_str().unwrap();
    assert!(how_far.contains("of 69 runs"), "{how_far}");
    assert!(out.path().join("report.html").exists());
    assert!(compare(out.path()).status().unwrap().success());
}
