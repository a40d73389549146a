//! Recipe files: what is written is read back the same, and what is wrong is said with its place.

use proptest::prelude::*;
use thalweg::geometry::*;
use thalweg::recipes::{adam, adamw};
use thalweg::rules::*;
use thalweg::{
    Both, Builder, Chain, Denominator, Floor, Hypers, LossScale, NonFinite, Optimizer, Plateau,
    Schedule, Storage, biases_and_norms, registry,
};

/// What two optimizers must share to be the same: groups, formulas, values, state.
fn essence(builder: Builder) -> Vec<(String, String, String, Vec<String>, Vec<String>)> {
    let opt: Optimizer<f64> = builder.build().expect("a valid recipe");
    opt.groups()
        .map(|(name, chain)| {
            let formulas = chain.formulas().to_string();
            let hypers = format!("{chain:?}");
            (name.to_owned(), formulas, hypers, chain.slots(), chain.scalars())
        })
        .collect()
}

/// Through both formats, and the same text from what was read.
fn round_trip(make: impl Fn() -> Builder) {
    let want = essence(make());
    let toml = make().to_toml().expect("written");
    let read = || Builder::from_toml(&toml).unwrap_or_else(|e| panic!("{e}\n{toml}"));
    assert_eq!(essence(read()), want, "{toml}");
    assert_eq!(read().to_toml().expect("written"), toml);
    let json = make().to_json().expect("written");
    let read = || Builder::from_json(&json).unwrap_or_else(|e| panic!("{e}\n{json}"));
    assert_eq!(essence(read()), want, "{json}");
    assert_eq!(read().to_json().expect("written"), json);
    // The JSON is JSON to everybody, and the TOML is TOML.
    serde_json::from_str::<serde_json::Value>(&json).expect("JSON");
    toml.parse::<toml::Table>().expect("TOML");
}

fn schedules() -> Vec<Schedule> {
    let plateau = Plateau { start: Some(0.5), best: Some(1e-3), bad: 2, ..Plateau::new(0.05) };
    vec![
        Schedule::Constant(0.25),
        Schedule::Step { base: 0.1, factor: 0.5, every: 7 },
        Schedule::MultiStep { base: 0.1, factor: 0.5, milestones: vec![4, 9] },
        Schedule::Exponential { base: 0.1, factor: 0.99 },
        Schedule::Polynomial { from: 0.1, to: 0.01, steps: 5, power: 2.0 },
        Schedule::cosine(0.1, 1e-4, 5).after_warmup(3),
        Schedule::CosineRestarts { from: 0.1, to: 0.0, first: 4, growth: 2 },
        Schedule::one_cycle(0.1, 20),
        Schedule::Wsd { peak: 0.1, end: 0.0, warmup: 1, stable: 2, decay: 3 },
        Schedule::InverseSqrt { peak: 0.1, warmup: 4 },
        Schedule::Plateau(Plateau::new(0.1)),
        Schedule::Plateau(plateau.clone()),
        Schedule::Plateau(Plateau {
            mode: thalweg::PlateauMode::Max,
            threshold_mode: thalweg::ThresholdMode::Absolute,
            ..plateau
        }),
        Schedule::Sequential(vec![
            (3, Schedule::linear(0.0, 0.1, 3)),
            (2, Schedule::Constant(0.1).after_warmup(2)),
        ]),
    ]
}

#[test]
fn every_registry_entry_survives_both_formats() {
    for entry in registry::all() {
        round_trip(|| Builder::new().rest("all", (entry.chain)()));
    }
}

#[test]
fn every_schedule_survives_both_formats() {
    for schedule in schedules() {
        let chain = || thalweg::recipes::adamw_paper().with("lr", schedule.clone()).expect("lr");
        round_trip(|| Builder::new().rest("all", chain()));
    }
}

#[test]
fn settings_patterns_and_geometries_survive() {
    round_trip(|| {
        let clipped = Chain::new(())
            .fold(ClipNorm::default().max_norm(f64::INFINITY))
            .then((ClipValue::default().limit(0.5), Adam::<Floor>::default()))
            .then((CorrectedDecay::default(), Scale::default()))
            .over(BoundedEgPm::default().total(3.0));
        let both = AmsGrad::<Both, Corrected>::default().denominator(Both::new(1e-3).eps_root(2.0));
        Builder::new()
            .group("a \"quoted\" name", "enc.*.{bias,γ}", clipped)
            .group("regular", thalweg::Pattern::Regex(r"^head\.\d+".to_owned()), both)
            .group("vectors", biases_and_norms(), MetaEgd::<Balance, LastNonZero>::default())
            .rest("all", Chain::new(Scale::default()).over(PNorm::default().p(1.5)))
            .clip_global_norm(2.5)
            .non_finite(NonFinite::Fail)
            .threads(1)
    });
    let head = || thalweg::Pattern::from("head.*");
    round_trip(move || {
        Builder::new()
            .group("head", head().except(biases_and_norms()), adamw())
            .group("bare", head().and(biases_and_norms()), adam())
            .rest("all", adam())
    });
    round_trip(|| Builder::new().rest("nothing", ()).non_finite(NonFinite::Unchecked).threads(2));
    let falling = || thalweg::Schedule::cosine(2.0, 0.5, 9).after_warmup(3);
    let clipped = || Builder::new().rest("clipped", ()).clip_global_norm(falling());
    round_trip(clipped);
    let text = clipped().to_toml().expect("written");
    assert!(text.starts_with("clip_global_norm = { warmup = {"), "{text}");
    let wrong = text.replacen("2.0", "-2.0", 1);
    let error = Builder::from_toml(&wrong).expect_err("out of range").to_string();
    assert!(error.contains("clip_global_norm = -") && error.contains("(0, ∞]"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64, failure_persistence: None, ..Default::default()
    })]

    /// Any value in the range of its hyper-parameter, for every entry.
    #[test]
    fn values_survive_to_the_bit(share in 0.0..1.0f64, decade in -300..300i32, which: prop::sample::Index) {
        let entry = *which.get(&registry::all());
        let chain = || {
            let mut chain = (entry.chain)();
            let mut k = 0.0;
            chain.each_mut(&mut |hyper| {
                k += 1.0;
                // What blocks of a chain share must be equal.
                let shared = ["lr", "decay", "beta1", "beta2"].contains(&hyper.spec().name);
                let k = if shared { 0.5 } else { k };
                let wide = (share + k) * 10f64.powi(decade);
                let value = if hyper.spec().range.contains(wide) { wide } else { share / k };
                if hyper.spec().range.contains(value) {
                    hyper.set(value);
                }
            });
            chain
        };
        round_trip(|| Builder::new().rest("all", chain()));
    }
}

#[test]
fn loss_scale_and_the_storage_of_groups() {
    let make = || {
        Builder::new()
            .group("head", "head.*", registry::build("adamw", &[]).expect("adamw"))
            .rest("body", registry::build("lion", &[]).expect("lion"))
            .storage(Storage::Bf16)
            .group_storage("head", Storage::Block8)
            .loss_scale(LossScale::default().start(1024.0).growth(4.0, 7).backoff(0.25))
    };
    round_trip(make);
    let opt: Optimizer<f32> = Builder::from_toml(&make().to_toml().expect("written"))
        .expect("read")
        .build()
        .expect("valid");
    assert_eq!(opt.loss_scale(), 1024.0);
    let text = make().to_toml().expect("written");
    assert!(text.contains("storage = \"block8\"") && text.contains("interval = 7"), "{text}");
    let with = |line: &str| format!("{line}\n{GROUP}optimizer = \"gd\"\n");
    wrong(
        &with("loss_scale = { scale = 0.0 }"),
        "line 1, column 24: loss_scale = 0 is outside (0, ∞)",
    );
    wrong(
        &with("loss_scale = { grow = 2.0 }"),
        "line 1, column 16: no setting of a loss scale is called \"grow\"; did you mean growth? \
         (there are: scale, growth, backoff, interval)",
    );
}

#[test]
fn a_preset_with_values_is_the_registrys_chain() {
    let toml = "
        [[group]]
        name = 'decayed'
        glob = '*.weight'
        optimizer = 'adamw@keras'
        lr.cosine = { from = 0.1, to = 0, steps = 100 }
        decay = 1e-1

        [[group]]
        name = 'rest'
        chain = [{ rule = 'Adam', denominator = 'Hat' }, { rule = 'Scale', lr = 1 }]
    ";
    let opt: Optimizer<f32> = Builder::from_toml(toml).expect("a recipe").build().expect("valid");
    let groups: Vec<_> = opt.groups().collect();
    let hyper = |k: usize, name: &str| groups[k].1.hyper(name).expect("a name").schedule().clone();
    assert_eq!(hyper(0, "lr"), Schedule::cosine(0.1, 0.0, 100));
    assert_eq!((hyper(0, "decay"), hyper(0, "eps")), (0.1.into(), 1e-7.into()));
    // A block's defaults are its own, not those of the preset it may be part of.
    assert_eq!((hyper(1, "lr"), hyper(1, "eps")), (1.0.into(), 1e-8.into()));
}

#[track_caller]
fn refused(read: Result<Builder, thalweg::Error>, wanted: &str) {
    let message = read.expect_err("an error").to_string();
    assert_eq!(message, wanted);
}

#[track_caller]
fn wrong(toml: &str, wanted: &str) {
    refused(Builder::from_toml(toml), wanted);
}

#[track_caller]
fn wrong_start(toml: &str, wanted: &str) {
    let message = Builder::from_toml(toml).expect_err("an error").to_string();
    assert!(message.starts_with(wanted), "{message}");
}

const GROUP: &str = "[[group]]\nname = \"all\"\n";

#[test]
fn errors_point_at_the_place_and_say_what_is_near() {
    let with = |line: &str| format!("{GROUP}{line}\n");
    wrong_start(
        &with("optimizer = \"adamw_\""),
        "line 3, column 13: no optimizer is called \"adamw_\"; did you mean adamw",
    );
    wrong(
        &with("optimizer = \"adam\"\nbeta_1 = 0.9"),
        "line 4, column 1: no hyper-parameter is called \"beta_1\"; did you mean beta1 or beta2? \
         (there are: beta1, beta2, eps, lr)",
    );
    wrong(
        &with("optimizer = \"adam\"\nlr = 1e-3\nbeta2 = 1.0"),
        "line 5, column 9: beta2 = 1 is outside [0, 1)",
    );
    wrong(
        &with("optimizer = \"gd\"\nlr = { cosine = { from = 1.0, too = 0.0, steps = 5 } }"),
        "line 4, column 31: no field of cosine is called \"too\"; did you mean to? \
         (there are: from, steps, to)",
    );
    wrong(
        &with("optimizer = \"gd\"\nlr = { cosine = { from = 1.0, to = 0.0 } }"),
        "line 4, column 17: cosine needs \"steps\"",
    );
    wrong_start(
        &with("optimizer = \"gd\"\nlr = { cosin = { from = 1.0, to = 0.0 } }"),
        "line 4, column 8: no schedule is called \"cosin\"; did you mean cosine? (there are: ",
    );
    wrong_start(
        &with("optimizer = \"gd\"\nlr = { cosine = { from = 1.0, to = 0.0, steps = 1.5 } }"),
        "line 4, column 49: invalid type: floating point `1.5`, expected u64",
    );
    wrong(
        &with("optimizer = \"gd\"\nlr = { cosine = { from = 1.0, to = -1.0, steps = 5 } }"),
        "line 4, column 6: lr = -1 is outside [0, ∞)",
    );
    wrong_start(
        &with("chain = [\n  { rule = \"Adaam\" },\n]"),
        "line 4, column 12: no rule is called \"Adaam\"; did you mean Adam",
    );
    wrong(
        &with("chain = [\n  { rule = \"ClipNorm\" },\n]"),
        "line 4, column 5: ClipNorm is a fold: write `fold = \"ClipNorm\"`",
    );
    wrong(
        &with("chain = [{ rule = \"Adam\", denominator = \"hat\" }]"),
        "line 3, column 41: no denominator is called \"hat\"; did you mean Hat? \
         (there are: Outside, Inside, Hat, Floor, Both, HatBoth)",
    );
    wrong(
        &with("chain = [{ rule = \"Scale\", lr = -1.0 }]"),
        "line 3, column 33: lr = -1 is outside [0, ∞)",
    );
    wrong(
        &with("chain = [{ rule = \"Scale\", rate = 1.0 }]"),
        "line 3, column 28: no hyper-parameter of Scale is called \"rate\" (there are: lr)",
    );
    wrong(
        &with("chain = [{ geometry = \"Burg\" }, { rule = \"Scale\" }]"),
        "line 3, column 10: a geometry stands last in its chain",
    );
    wrong(&with(""), "line 1, column 1: group \"all\" needs an `optimizer` or a `chain`");
    wrong(
        &with("optimizer = \"gd\"\nlr = true"),
        "line 4, column 6: true or false where a number or a schedule belongs",
    );
    wrong_start(
        &with("glob = \"[\"\noptimizer = \"gd\""),
        "line 3, column 8: group \"all\": the pattern",
    );
    wrong("threads = 0\ngroup = []", "line 1, column 11: threads = 0 is outside [1, 65536]");
    wrong("group = [", "line 1, column 10: unclosed array, expected `]`");
    wrong_start("clip = 1\ngroup = []", "line 1, column 1: no key is called \"clip\"");
}

#[test]
fn what_only_building_would_refuse_has_a_place_too() {
    let with = |line: &str| format!("{GROUP}{line}\n");
    wrong_start(
        &with("optimizer = \"rprop\"\nlr = { cosine = { from = 0.1, to = 0.0, steps = 9 } }"),
        "line 4, column 6: lr: follows a schedule",
    );
    wrong_start(
        &with("optimizer = \"rprop\"\neta_plus = 1.5\nstep_min = 100"),
        "line 5, column 12: step_min: is 100, but step_max is 50",
    );
    wrong_start(
        &with("optimizer = \"meta_egd\"\nnu_min = 2000"),
        "line 4, column 10: nu_min: is 2000, but nu_max is 1000",
    );
    // Where the value was not given, the optimizer is what is wrong.
    wrong_start(
        &with("optimizer = \"rprop\"\nstep_max = 1e-9"),
        "line 3, column 13: step_min: is 0.000001, but step_max is",
    );
    wrong_start(
        &format!("loss_scale = {{}}\nnon_finite = \"unchecked\"\n{}", with("optimizer = \"gd\"")),
        "line 2, column 14: non_finite: is Unchecked, but the loss scale adapts",
    );
    wrong("threads = 1\ngroup = []", "line 2, column 9: a recipe needs at least one group");
    wrong_start(
        &with("optimizer = \"gd\"\nlr = 1e400"),
        "line 4, column 6: a number out of range where",
    );
    let open = with("optimizer = \"meta_egd\"\nclip = inf");
    assert!(Builder::from_toml(&open).is_ok());
}

#[test]
fn json_errors_have_places_too() {
    let json = "{\n  \"group\": [\n    { \"name\": \"γ\", \"optimizer\": \"adam\",\n      \"beta_1\": 0.9 }\n  ]\n}";
    refused(
        Builder::from_json(json),
        "line 4, column 7: no hyper-parameter is called \"beta_1\"; did you mean beta1 or beta2? \
         (there are: beta1, beta2, eps, lr)",
    );
    let twice = json.replace("beta_1\": 0.9", "lr\": 0.9, \"lr\": 1");
    refused(Builder::from_json(&twice), "line 4, column 18: \"lr\" is given twice");
    let message = Builder::from_json("{\n  \"group\": [,]\n}").expect_err("an error").to_string();
    assert!(message.starts_with("line 2, column 13: expected value"), "{message}");
    let huge = json.replace("beta_1\": 0.9", "lr\": 1e400");
    let message = Builder::from_json(&huge).expect_err("an error").to_string();
    assert!(message.starts_with("line 4, column 13: number out of range"), "{message}");
    let surrogate = json.replace("\"adam\"", "\n\"\\ud800\"");
    let message = Builder::from_json(&surrogate).expect_err("an error").to_string();
    assert!(message.starts_with("line 4, column 1: "), "{message}");
    let key = json.replace("beta_1", "\\ud800");
    let message = Builder::from_json(&key).expect_err("an error").to_string();
    assert!(message.starts_with("line 4, column "), "{message}");
    for depth in [200, 200_000] {
        let deep = format!("{{\n\"group\": {}1{}}}", "[".repeat(depth), "]".repeat(depth));
        let wanted = "line 2, column 137: lists and tables are nested more than 128 deep";
        refused(Builder::from_json(&deep), wanted);
    }
}

#[test]
fn what_no_file_can_say_is_refused() {
    thalweg::hypers! {
        /// Has the name of a rule here, and is another.
        pub struct Scale {}
    }
    impl thalweg::Rule for Scale {
        type Memory<F: thalweg::Real> = [F; 0];
        fn at<F: thalweg::Real>(
            &self,
            _: &thalweg::At<F>,
        ) -> impl Fn(F, thalweg::Here<F>, [F; 0]) -> (F, [F; 0]) + Copy + Send + Sync + use<F>
        {
            |u, _, []| (u, [])
        }
    }
    let foreign = Builder::new().rest("all", Chain::new(Scale::default())).to_toml();
    assert!(foreign.expect_err("foreign").to_string().contains("no file can name the rule"));
    let test = thalweg::Pattern::test(|name, _| name.len() > 3);
    let test = Builder::new().group("long", test, thalweg::recipes::gd()).to_json();
    assert!(test.expect_err("a function").to_string().contains("a test that is a function"));
}

#[test]
fn a_file_is_named_in_its_errors() {
    let path = std::env::temp_dir().join(format!("thalweg-recipe-{}.json", std::process::id()));
    std::fs::write(&path, "{}").expect("a file");
    let message = Builder::from_file(&path).expect_err("an error").to_string();
    std::fs::remove_file(&path).expect("the file");
    assert_eq!(message, format!("{}, line 1, column 1: \"group\" is missing", path.display()));
}
