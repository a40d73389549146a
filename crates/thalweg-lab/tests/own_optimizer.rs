//! Optimizers of a user's own: the example as it stands, recipe files, and ranges.

#[path = "../examples/own_optimizer.rs"]
mod own_optimizer;

use std::path::Path;
use std::process::{Command, Output};

use thalweg_lab::optimizers::{self, Range};
use thalweg_lab::protocol::{Plan, Silent, compare};
use thalweg_lab::tasks;

fn plan(names: &[&str]) -> Plan {
    let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
    Plan {
        tasks: tasks::select(&["digits-softmax".to_owned()], None).unwrap(),
        optimizers: Some(optimizers::select(&names).unwrap()),
        seeds: Some(2),
        trials: Some(4),
        budget: Some(80),
        tune: Vec::new(),
        targets: Vec::new(),
        study: 0,
        workers: 2,
    }
}

#[test]
fn a_registered_optimizer_is_one_like_the_others() {
    own_optimizer::register().unwrap();
    assert_eq!(own_optimizer::register().unwrap_err().exit_code(), 2);
    let mut plan = plan(&["soft_sign", "gd"]);
    let wider = Range { hyper: "beta", low: 0.5, high: 0.99 };
    plan.tune = vec![("soft_sign".to_owned(), wider)];
    let outcome = compare(&plan, &Silent).unwrap();
    let standing = outcome.tasks[0].standings.iter().find(|s| s.optimizer == "soft_sign").unwrap();
    assert!(standing.test_loss.mean < 0.5 * outcome.tasks[0].initial_loss);
    assert_eq!(
        standing.declared.iter().map(|r| r.hyper).collect::<Vec<_>>(),
        ["lr", "delta", "beta"]
    );
    for trial in &standing.trials {
        let beta = trial.hypers.iter().find(|h| h.0 == "beta").unwrap().1;
        assert!((0.05..1.0).contains(&beta), "{beta}");
    }
    assert!(standing.fixed.is_empty());
}

#[test]
fn ranges_that_cannot_be_searched_are_refused() {
    let problem = |name: &str, hyper: &'static str, low: f64, high: f64| {
        let mut plan = plan(&["adam"]);
        plan.tune = vec![(name.to_owned(), Range { hyper, low, high })];
        let error = compare(&plan, &Silent).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        error.problem().to_owned()
    };
    assert!(problem("adam", "lr", 0.0, 1.0).contains("logarithm"));
    assert!(problem("adam", "lr", 1.0, 0.1).contains("logarithm"));
    assert!(problem("momentum", "lr", 0.1, 1.0).contains("not compared"));
    assert!(problem("adam", "beta3", 0.1, 0.9).contains("beta3"));
    assert!(problem("adam", "beta1", 0.1, 1.5).contains("1.5"));
}

fn thalweg(home: &Path, args: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_thalweg"));
    command.args(args.split(' ')).current_dir(home).output().unwrap()
}

#[track_caller]
fn told(output: &Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

const RECIPE: &str = "[[group]]\nname = \"all\"\noptimizer = \"adam\"\nlr = 0.01\nbeta1 = 0.5\n";

#[test]
fn a_recipe_file_is_compared_and_kept_with_the_runs() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    std::fs::write(home.join("mine.toml"), RECIPE).unwrap();
    let compare = "compare digits-softmax --optimizers mine.toml,adam --tune mine.beta2=0.9..0.999 \
                   --trials 2 --seeds 2 --budget 40 --quiet --out r";
    let table = told(&thalweg(home, compare));
    assert!(table.contains("mine") && table.contains("beta2"), "{table}");
    // The file is not needed any more.
    std::fs::remove_file(home.join("mine.toml")).unwrap();
    assert!(told(&thalweg(home, "rerun digits-softmax/mine/1 --out r")).contains("the same bits"));
    let ways = told(&thalweg(home, "whatif r/digits-softmax/adam"));
    assert!(ways.contains("mine that watched"), "{ways}");
    // Another recipe is another comparison.
    std::fs::write(home.join("mine.toml"), RECIPE.replace("0.5", "0.6")).unwrap();
    let other = thalweg(home, compare);
    assert_eq!(other.status.code(), Some(2));
    let error = String::from_utf8_lossy(&other.stderr);
    assert!(error.contains("another comparison") && error.contains("0.6"), "{error}");
}

#[test]
fn a_recipe_that_leaves_parameters_out_is_refused_before_anything_runs() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    std::fs::write(
        home.join("part.toml"),
        RECIPE.replace("name = \"all\"", "name = \"w\"\nglob = \"*.weight\""),
    )
    .unwrap();
    let output = thalweg(home, "compare digits-softmax --optimizers part.toml --quiet --out r");
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        error.contains("`part` cannot train digits-softmax") && error.contains("bias"),
        "{error}"
    );
    assert!(!home.join("r").exists());
}
