//! Tasks of a user's own: the example as it stands, sparse gradients, and domains.

#[path = "../examples/own_task.rs"]
mod own_task;

use std::sync::Arc;

use thalweg_lab::protocol::{Phase, Plan, Run, RunSpec, Silent, compare, train};
use thalweg_lab::store::Document;
use thalweg_lab::tasks::{
    self, Domain, Gradient, Limit, Measurement, ParameterSpec, Part, Problem, Task, Workload,
};
use thalweg_lab::{Result, optimizers, report};

fn run(task: &'static Task, optimizer: &str, lr: f64, budget: usize) -> Run {
    let entry = &optimizers::select(&[optimizer.to_owned()]).unwrap()[0];
    let spec = RunSpec::new(task, entry, vec![("lr", lr)], 1, budget);
    train(&spec, &(task.open)(task).unwrap(), Phase::Final).unwrap()
}

#[test]
fn a_registered_task_is_one_like_the_others() {
    let task = tasks::register(own_task::SPRINGS).unwrap();
    assert_eq!(tasks::register(own_task::SPRINGS).unwrap_err().exit_code(), 2);
    assert_eq!(tasks::select(&["springs".to_owned()], None).unwrap()[0].name, "springs");
    let plan = Plan {
        tasks: vec![task],
        optimizers: Some(optimizers::select(&["gd".to_owned(), "adam".to_owned()]).unwrap()),
        seeds: Some(3),
        trials: Some(4),
        budget: Some(200),
        tune: Vec::new(),
        targets: Vec::new(),
        study: 0,
        workers: 2,
    };
    let outcome = compare(&plan, &Silent).unwrap();
    let task = &outcome.tasks[0];
    assert_eq!((task.parameters, task.examples), (4, [120, 40, 40]));
    assert_eq!((task.data_sha256.len(), task.evaluated), (64, [40, 40]));
    for standing in &task.standings {
        assert!(standing.test_loss.mean < 0.5 * task.initial_loss, "{}", standing.optimizer);
        assert!(standing.test_metric.is_some());
    }
}

#[test]
fn the_gradient_of_the_example_agrees_with_differences() {
    let task: &'static Task = Box::leak(Box::new(Task { batch: 120, ..own_task::SPRINGS }));
    let mut problem = (task.open)(task).unwrap().problem(1).unwrap();
    let mut values = problem.initial_values();
    let mut gradients = vec![Gradient::default(); 2];
    problem.gradient(0, &mut values, &mut gradients).unwrap();
    let h = 1.0 / 512.0;
    for p in 0..2 {
        for i in 0..2 {
            let mut at = |offset: f32| {
                let mut moved = values.clone();
                moved[p][i] += offset;
                // The differences as f32 arithmetic made them.
                let moved_by = f64::from(moved[p][i]) - f64::from(values[p][i]);
                (problem.evaluate(Part::Train, &mut moved).unwrap().loss, moved_by)
            };
            let ((up, a), (down, b)) = (at(h), at(-h));
            let found = f64::from(gradients[p].values()[i]);
            assert!(((up - down) / (a - b) - found).abs() < 1e-3 * (1.0 + found.abs()));
        }
    }
}

/// `½ |x − target|²` in four rows of two; each gradient is that of two rows, one of them in two parts.
struct Rows {
    sparse: bool,
}

const TARGET: [f32; 8] = [1.0, -1.0, 2.0, 0.5, -0.5, 1.5, 3.0, -2.0];

impl Workload for Rows {
    fn problem(self: Arc<Self>, _: u64) -> Result<Box<dyn Problem>> {
        Ok(Box::new(Embedding { specs: self.parameters(), sparse: self.sparse }))
    }

    fn parameters(&self) -> Vec<ParameterSpec> {
        vec![ParameterSpec { name: "rows".to_owned(), shape: vec![4, 2], fan_in: 1 }]
    }
}

struct Embedding {
    specs: Vec<ParameterSpec>,
    sparse: bool,
}

impl Problem for Embedding {
    fn parameters(&self) -> &[ParameterSpec] {
        &self.specs
    }

    fn initial_values(&self) -> Vec<Vec<f32>> {
        vec![vec![0.0; 8]]
    }

    fn gradient(
        &mut self,
        step: usize,
        values: &mut [Vec<f32>],
        gradients: &mut [Gradient],
    ) -> Result<f64> {
        let (first, second) = (step as u32 % 4, (step as u32 + 1) % 4);
        let (rows, slopes) = gradients[0].rows();
        for (row, share) in [(second, 0.25), (first, 1.0), (second, 0.75)] {
            rows.push(row);
            let from = row as usize * 2;
            slopes.extend((from..from + 2).map(|i| share * (values[0][i] - TARGET[i])));
        }
        if !self.sparse {
            let dense = gradients[0].to_dense(&[4, 2]);
            *gradients[0].dense() = dense;
        }
        Ok(self.evaluate(Part::Train, values)?.loss)
    }

    fn evaluate(&mut self, _: Part, values: &mut [Vec<f32>]) -> Result<Measurement> {
        let off = values[0].iter().zip(TARGET).map(|(v, t)| f64::from(v - t));
        Ok(Measurement { loss: 0.5 * off.map(|d| d * d).sum::<f64>(), metric: None })
    }
}

fn rows(name: &'static str, sparse: bool) -> &'static Task {
    let open = match sparse {
        true => |_| Ok(Arc::new(Rows { sparse: true }) as Arc<dyn Workload>),
        false => |_| Ok(Arc::new(Rows { sparse: false }) as Arc<dyn Workload>),
    };
    let task = Task { name, data: "", metric: None, open, ..own_task::SPRINGS };
    tasks::register(task).unwrap()
}

#[test]
fn sparse_gradients_train_as_dense_ones_where_a_zero_gradient_changes_nothing() {
    let (sparse, dense) = (rows("rows-sparse", true), rows("rows-dense", false));
    for (optimizer, lr) in [("gd", 0.3), ("adagrad", 0.5)] {
        let [a, b] = [sparse, dense].map(|task| run(task, optimizer, lr, 80));
        assert!(a.divergence.is_none(), "{optimizer}: {:?}", a.divergence);
        let losses = |r: &Run| r.points.iter().map(|p| p.validation.loss).collect::<Vec<_>>();
        assert_eq!(losses(&a), losses(&b), "{optimizer}");
        assert!(a.validation_loss() < 1e-2 * a.points[0].validation.loss, "{optimizer}");
    }
    // Others skip the rows that were not seen, and still arrive.
    for optimizer in ["momentum", "adam", "adamw", "rmsprop", "adabelief", "meta_egd_adam", "egdd"]
    {
        let run = run(sparse, optimizer, 0.05, 400);
        assert!(run.divergence.is_none(), "{optimizer}: {:?}", run.divergence);
        assert!(run.validation_loss() < 0.1 * run.points[0].validation.loss, "{optimizer}");
    }
}

#[test]
fn steps_stay_inside_the_domain_and_approach_the_optimum() {
    for (name, optimizer, lr, budget) in [
        ("experts", "gd", 0.5, 1_000),
        ("portfolio", "gd", 20.0, 2_000),
        ("nnls", "gd", 0.01, 500),
        ("nnls", "adam", 0.1, 500),
    ] {
        let task = tasks::select(&[name.to_owned()], None).unwrap()[0];
        let workload = (task.open)(task).unwrap();
        let optimum = workload.optimum().unwrap();
        let run = run(task, optimizer, lr, budget);
        assert!(run.divergence.is_none(), "{name}: {:?}", run.divergence);
        let first = run.points[0].validation.loss - optimum;
        for point in &run.points {
            // Outside of the domain some losses are lower.
            assert!(point.validation.loss > optimum - 1e-6, "{name} {optimizer}: {point:?}");
        }
        let last = run.validation_loss() - optimum;
        assert!(last < 0.3 * first, "{name} {optimizer}: {first} to {last}");
    }
}

/// A comparison of a moment.
fn short(task: &'static Task, names: &[&str]) -> Plan {
    let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
    Plan {
        tasks: vec![task],
        optimizers: Some(optimizers::select(&names).unwrap()),
        seeds: Some(2),
        trials: Some(2),
        budget: Some(20),
        tune: Vec::new(),
        targets: Vec::new(),
        study: 0,
        workers: 2,
    }
}

#[test]
fn optimizers_that_do_not_fit_a_domain_are_left_out_and_say_why() {
    let experts = tasks::select(&["experts".to_owned()], None).unwrap()[0];
    let plan = |names: &[&str]| short(experts, names);
    let outcome = compare(&plan(&["gd", "adamw", "nadamw", "prodigy"]), &Silent).unwrap();
    assert_eq!(outcome.tasks[0].standings.len(), 1);
    let words = outcome.rules.words.join("\n");
    assert!(words.contains("On experts, adamw and nadamw are each left out: its weight decay"));
    assert!(words.contains("prodigy is left out"));
    assert!(outcome.tasks[0].left_out.iter().any(|s| s.contains("prodigy is left out")));
    let none = compare(&plan(&["adamw"]), &Silent).unwrap_err();
    assert!(none.exit_code() == 2 && none.problem().contains("decay"), "{none}");
}

#[test]
fn data_without_a_checksum_say_so() {
    let open = |_| Ok(Arc::new(Rows { sparse: false }) as Arc<dyn Workload>);
    let task = Task { name: "rows-of-mine", data: "mine", metric: None, open, ..own_task::SPRINGS };
    let plan = short(tasks::register(task).unwrap(), &["gd"]);
    let document = Document::new(compare(&plan, &Silent).unwrap(), Vec::new(), 0.0);
    assert!(report::render(&document).contains("mine, no checksum given"));
}

/// A loss that starts at zero and goes below.
#[test]
fn a_task_says_itself_what_a_divergence_is() {
    struct Slope;
    impl Workload for Slope {
        fn problem(self: Arc<Self>, _: u64) -> Result<Box<dyn Problem>> {
            Ok(Box::new(Down(self.parameters())))
        }
        fn parameters(&self) -> Vec<ParameterSpec> {
            vec![ParameterSpec { name: "x".to_owned(), shape: vec![1], fan_in: 1 }]
        }
    }
    struct Down(Vec<ParameterSpec>);
    impl Problem for Down {
        fn parameters(&self) -> &[ParameterSpec] {
            &self.0
        }
        fn initial_values(&self) -> Vec<Vec<f32>> {
            vec![vec![0.0]]
        }
        fn gradient(
            &mut self,
            _: usize,
            values: &mut [Vec<f32>],
            gradients: &mut [Gradient],
        ) -> Result<f64> {
            let x = values[0][0];
            let gradient = gradients[0].dense();
            gradient.clear();
            gradient.push(2.0 * x - 2.0);
            Ok(f64::from(x * x - 2.0 * x))
        }
        fn evaluate(&mut self, _: Part, values: &mut [Vec<f32>]) -> Result<Measurement> {
            let x = f64::from(values[0][0]);
            Ok(Measurement { loss: x * x - 2.0 * x, metric: None })
        }
    }
    let make = |name, limit| {
        let open = |_| Ok(Arc::new(Slope) as Arc<dyn Workload>);
        let task = Task { name, data: "", metric: None, open, limit, ..own_task::SPRINGS };
        tasks::register(task).unwrap()
    };
    for (name, limit) in [("down-times", Limit::Times(1e3)), ("down-above", Limit::Above(10.0))] {
        let task = make(name, limit);
        let good = run(task, "gd", 0.3, 60);
        assert!(good.divergence.is_none() && (good.validation_loss() + 1.0).abs() < 1e-6);
        let bad = run(task, "gd", 1.5, 200);
        let reason = bad.divergence.unwrap().reason;
        let expected = if name == "down-above" { "above 10" } else { "not finite" };
        assert!(reason.contains(expected), "{reason}");
    }
    assert_eq!(own_task::SPRINGS.domain, Domain::Free);
}
