//! Checkpoints: what does not fit is refused with a reason and changes nothing; a file is whole or
//! is not there.

mod proof;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use proof::{Tensor, bits, composed, tame, train};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde_json::{Value, json};
use thalweg::recipes::{adam, adamw, egdd, gd, meta_egd, prodigy, schedule_free_adamw, sgd_hd};
use thalweg::rules::*;
use thalweg::{
    Chain, Element, Error, LossScale, NonFinite, Optimizer, Param, Pattern, Plateau, Schedule,
};

/// Name, type, shape and bytes of what a file holds.
type Entry = (String, Dtype, Vec<usize>, Vec<u8>);

/// The file with its entries and its header changed.
fn rewritten(bytes: &[u8], change: impl FnOnce(&mut Vec<Entry>, &mut Value)) -> Vec<u8> {
    let (_, metadata) = SafeTensors::read_metadata(bytes).unwrap();
    let mut header =
        serde_json::from_str(&metadata.metadata().as_ref().unwrap()["thalweg"]).unwrap();
    let tensors = SafeTensors::deserialize(bytes).unwrap();
    let mut entries: Vec<Entry> = tensors
        .iter()
        .map(|(name, t)| (name.to_owned(), t.dtype(), t.shape().to_vec(), t.data().to_vec()))
        .collect();
    change(&mut entries, &mut header);
    let views = entries.iter().map(|(name, dtype, shape, data)| {
        (name.clone(), TensorView::new(*dtype, shape.clone(), data).unwrap())
    });
    let metadata = HashMap::from([("thalweg".to_owned(), header.to_string())]);
    safetensors::serialize(views, Some(metadata)).unwrap()
}

/// Two groups, per-coordinate slots, a scalar of a tensor and one of a group.
fn two_groups() -> Optimizer<f32> {
    let gains = Chain::new(()).fold(<Egdd>::default()).fold(<Hypergradient>::default());
    let builder = Optimizer::<f32>::builder().group("head", "head.*", gains).rest("body", adam());
    builder.threads(1).build().unwrap()
}

fn trained() -> Optimizer<f32> {
    let mut opt = two_groups();
    let mut x = [Tensor::new("head.w", 0..70), Tensor::new("w", 100..300), Tensor::new("b", 0..3)];
    train(&mut opt, &mut x, 3, &tame(1));
    opt
}

/// Loading fails with these words, and leaves the optimizer as it was.
#[track_caller]
fn refused<E: Element>(opt: &mut Optimizer<E>, bytes: &[u8], words: &[&str]) {
    let before = opt.save_bytes().unwrap();
    let sentence = opt.load_bytes(bytes).expect_err("a refusal").to_string();
    assert!(sentence.starts_with("checkpoint: "), "{sentence}");
    for word in words {
        assert!(sentence.contains(word), "{sentence:?} does not say {word:?}");
    }
    assert!(opt.save_bytes().unwrap() == before, "{sentence}: something has changed");
}

mod strict {
    use super::*;

    #[test]
    fn an_unchanged_file_is_restored_exactly() {
        let bytes = trained().save_bytes().unwrap();
        assert!(trained().save_bytes().unwrap() == bytes, "equal runs write equal files");
        let same = rewritten(&bytes, |entries, _| entries.reverse());
        for bytes in [&bytes, &same] {
            let mut opt = two_groups();
            let loaded = opt.load_bytes(bytes).unwrap();
            assert_eq!((loaded.params, loaded.differences.len()), (3, 0));
            assert!(opt.save_bytes().unwrap() == trained().save_bytes().unwrap());
            // What was there before is replaced, not joined.
            assert!(opt.load_bytes(bytes).is_ok());
            assert_eq!(opt.params().count(), 3);
        }
    }

    #[test]
    fn tensors_missing_superfluous_or_of_another_kind() {
        let bytes = trained().save_bytes().unwrap();
        for name in ["w/m", "head.w/@0.scale", "@head/@1.rate", "head.w/mean"] {
            let without = rewritten(&bytes, |e, _| e.retain(|entry| entry.0 != name));
            refused(&mut trained(), &without, &["lacks", name]);
            let resized = rewritten(&bytes, |entries, _| {
                let entry = entries.iter_mut().find(|e| e.0 == name).unwrap();
                entry.3.extend(entry.3.clone());
                entry.2 = vec![2, entry.2.iter().product()];
            });
            refused(&mut trained(), &resized, &[name, "[2, ", "not"]);
            // As many bytes, read as something else.
            let retyped = rewritten(&bytes, |entries, _| {
                let entry = entries.iter_mut().find(|e| e.0 == name).unwrap();
                entry.1 = if entry.1 == Dtype::F64 { Dtype::I64 } else { Dtype::I32 };
            });
            refused(&mut trained(), &retyped, &[name, "is I", "not F"]);
        }
        for extra in ["w/n", "z/m", "@head/@1.pace", "unheard of"] {
            let more = rewritten(&bytes, |entries, _| {
                entries.push((extra.into(), Dtype::F32, vec![1], vec![0; 4]));
            });
            refused(&mut trained(), &more, &["belong to no parameter or slot", extra, "0 more"]);
        }
    }

    #[test]
    fn another_number_type_is_not_converted() {
        let bytes = trained().save_bytes().unwrap();
        let mut opt = Optimizer::<f64>::builder()
            .group(
                "head",
                "head.*",
                Chain::new(()).fold(<Egdd>::default()).fold(<Hypergradient>::default()),
            )
            .rest("body", adam())
            .build::<f64>()
            .unwrap();
        refused(&mut opt, &bytes, &["is F32", "not F64"]);
    }

    #[test]
    fn groups_and_chains_must_be_the_same() {
        let bytes = trained().save_bytes().unwrap();
        let build = |head: &str, pattern: &str, body: Chain| {
            let gains = Chain::new(()).fold(<Egdd>::default()).fold(<Hypergradient>::default());
            let builder =
                Optimizer::<f32>::builder().group(head, pattern, gains).rest("body", body);
            builder.build::<f32>().unwrap()
        };
        refused(&mut build("top", "head.*", adam()), &bytes, &["has no group \"top\""]);
        refused(&mut build("head", "head.*", gd()), &bytes, &["\"body\"", "[\"m\", \"v\"]", "[]"]);
        let adagrad = thalweg::recipes::adagrad();
        refused(&mut build("head", "head.*", adagrad), &bytes, &["remembers", "[\"sum\"]"]);
        let moved = &mut build("head", "h*.b", adam());
        refused(moved, &bytes, &["\"head.w\"", "of group \"head\"", "\"body\" here"]);
        let mut fewer = Optimizer::<f32>::builder().rest("body", adam()).build::<f32>().unwrap();
        refused(&mut fewer, &bytes, &["has a group \"head\"", "not here"]);
        // No pattern here matches the parameter.
        let chain = || Chain::new(()).fold(<Egdd>::default()).fold(<Hypergradient>::default());
        let builder = Optimizer::<f32>::builder().group("head", "head.*", chain());
        let builder = builder.group("body", Pattern::Regex("^w".into()), adam());
        let mut none = builder.build::<f32>().unwrap();
        refused(&mut none, &bytes, &["\"b\"", "no group"]);
    }

    #[test]
    fn plateaus_that_lead_out_of_the_range() {
        let plateau = |value: f64, floor: f64| {
            Schedule::Plateau(Plateau { patience: 0, factor: 0.5, floor, ..Plateau::new(value) })
        };
        let opt = |rate: Schedule| -> Optimizer<f32> {
            let builder = Optimizer::<f32>::builder().rest("all", gd().with("lr", rate).unwrap());
            builder.clip_global_norm(plateau(4.0, 0.0)).build().unwrap()
        };
        let mut saved = opt(plateau(0.1, 0.0));
        (0..2).for_each(|_| saved.observe(1.0));
        let bytes = saved.save_bytes().unwrap();
        for (value, words) in [
            (-5.0, "group \"all\": lr = -5 is outside [0, ∞)"),
            (0.2, "Plateau.start is 0.1, but the value now is 0.2"),
        ] {
            let file = rewritten(&bytes, |_, header| {
                header["groups"][0]["hypers"][0][1]["plateau"]["value"] = json!(value);
            });
            refused(&mut opt(plateau(0.1, 0.0)), &file, &[words]);
        }
        let file = rewritten(&bytes, |_, header| {
            header["settings"]["max_norm"]["plateau"]["value"] = json!(-1.0);
        });
        let words = ["clip_global_norm = -1 is outside (0, ∞]"];
        refused(&mut opt(plateau(0.1, 0.0)), &file, &words);
    }

    #[test]
    fn headers_that_contradict_themselves() {
        let bytes = trained().save_bytes().unwrap();
        let cases: [(fn(&mut Value), &[&str]); 7] = [
            (|h| h["version"] = json!(4), &["version 4", "reads up to 3"]),
            (|h| *h = json!({ "steps": 3 }), &["header", "version"]),
            (|h| h["steps"] = json!("three"), &["header"]),
            (|h| h["params"][1]["shape"] = json!([201]), &["[200], not F32 [201]"]),
            (|h| h["params"][1]["shape"] = json!([u64::MAX, 3]), &["too large"]),
            (|h| h["params"][2] = h["params"][1].clone(), &["\"w\" twice"]),
            (|h| h["params"][1]["group"] = json!("head"), &["\"w\"", "\"head\"", "\"body\" here"]),
        ];
        for (change, words) in cases {
            refused(&mut trained(), &rewritten(&bytes, |_, header| change(header)), words);
        }
        for (name, value, words) in [
            ("steps", json!(u64::MAX), "steps = 18446744073709551615"),
            ("refused_in_a_row", json!(u64::MAX), "refused_in_a_row = 18446744073709551615"),
            ("accumulated", json!(-5.0), "accumulated = -5 is outside [0, ∞)"),
        ] {
            let file = rewritten(&bytes, |_, header| header[name] = value);
            refused(&mut trained(), &file, &[words]);
        }
        let file = rewritten(&bytes, |_, header| header["params"][1]["t"] = json!(1u64 << 53));
        refused(&mut trained(), &file, &["t = 9007199254740992", "below 2^53"]);
        let scaled = || {
            let builder = Optimizer::<f32>::builder().rest("all", adam());
            builder.loss_scale(LossScale::default()).build::<f32>().unwrap()
        };
        let bytes = scaled().save_bytes().unwrap();
        for (name, value, words) in [
            ("scale", json!(0.0), "loss_scale = 0 is outside (0, ∞)"),
            ("scale", json!(-1.0), "loss_scale = -1 is outside (0, ∞)"),
            ("calm", json!(u64::MAX), "calm = 18446744073709551615"),
        ] {
            let file = rewritten(&bytes, |_, header| header["loss_scale"][name] = value);
            refused(&mut scaled(), &file, &[words]);
        }
        // A newer version is said to be one even if nothing else of it is understood.
        let newer = rewritten(&bytes, |_, header| *header = json!({ "version": 9, "all": "new" }));
        refused(&mut trained(), &newer, &["version 9"]);
    }

    #[test]
    fn bytes_that_are_no_checkpoint() {
        let bytes = trained().save_bytes().unwrap();
        refused(&mut trained(), b"", &["not readable"]);
        refused(&mut trained(), b"\x89PNG\r\n\x1a\n and so on", &["not readable"]);
        refused(&mut trained(), &[0xff; 64], &["not readable"]);
        let other = safetensors::serialize(Vec::<(String, TensorView<'_>)>::new(), None).unwrap();
        refused(&mut trained(), &other, &["no thalweg header", "something else"]);
        for cut in (0..bytes.len()).step_by(7).chain([bytes.len() - 1]) {
            refused(&mut trained(), &bytes[..cut], &[]);
        }
        let mut longer = bytes.clone();
        longer.push(0);
        refused(&mut trained(), &longer, &[]);
    }

    #[test]
    fn a_byte_gone_wrong_in_the_header_is_refused_or_harmless() {
        // A changed digit may still be a valid file; what may not happen is a half-loaded one.
        let bytes = trained().save_bytes().unwrap();
        let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let mut opt = trained();
        let before = opt.save_bytes().unwrap();
        let mut refused = 0;
        for at in 0..header {
            for flip in [0x01, 0x10, 0x80] {
                let mut bad = bytes.clone();
                bad[at] ^= flip;
                match opt.load_bytes(&bad) {
                    Err(_) => refused += 1,
                    Ok(_) => opt = trained(),
                }
                assert!(opt.save_bytes().unwrap() == before, "byte {at} ^ {flip:#x}");
            }
        }
        assert!(refused > 2 * header, "only {refused} of {} were noticed", 3 * header);
    }
}

mod files {
    use super::*;

    /// An empty folder of this test's own.
    fn folder(name: &str) -> PathBuf {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("checkpoint").join(name);
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<String> =
            entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn saving_leaves_one_whole_file() {
        let folder = folder("whole");
        let path = folder.join("run.safetensors");
        two_groups().save(&path).unwrap();
        trained().save(&path).unwrap();
        assert_eq!(names(&folder), ["run.safetensors"]);
        assert!(std::fs::read(&path).unwrap() == trained().save_bytes().unwrap());
        let mut opt = two_groups();
        assert_eq!(opt.load(&path).unwrap().params, 3);
        assert!(opt.save_bytes().unwrap() == trained().save_bytes().unwrap());
    }

    #[test]
    fn a_failure_keeps_the_old_file_and_no_part_of_the_new() {
        let folder = folder("kept");
        let path = folder.join("run");
        two_groups().save(&path).unwrap();
        let before = std::fs::read(&path).unwrap();
        // Where the new file would be written there is a folder.
        let part = format!("run.{}.part", std::process::id());
        std::fs::create_dir(folder.join(&part)).unwrap();
        let error = trained().save(&path).unwrap_err();
        assert!(matches!(&error, Error::Io { action: "writing", .. }), "{error}");
        assert!(std::fs::read(&path).unwrap() == before);
        std::fs::remove_dir(folder.join(&part)).unwrap();
        // Where it would be renamed to there is a folder.
        std::fs::create_dir(folder.join("taken")).unwrap();
        let error = trained().save(folder.join("taken")).unwrap_err();
        assert!(error.to_string().contains("taken"), "{error}");
        assert_eq!(names(&folder), ["run", "taken"]);
    }

    #[test]
    fn paths_that_cannot_be_are_named() {
        let missing = folder("missing").join("no").join("such");
        let mut opt = trained();
        for error in [opt.save(&missing).unwrap_err(), opt.load(&missing).unwrap_err()] {
            assert!(error.to_string().contains("such"), "{error}");
        }
    }
}

mod content {
    use super::*;

    fn differences(saved: Chain, here: Chain) -> Vec<String> {
        let (mut from, mut to) =
            (Optimizer::<f64>::new(saved).unwrap(), Optimizer::<f64>::new(here).unwrap());
        train(&mut from, &mut [Tensor::new("x", 0..9)], 2, &tame(1));
        to.load_bytes(&from.save_bytes().unwrap()).unwrap().differences
    }

    #[test]
    fn hyper_parameters_that_differ_are_named_and_those_here_stay() {
        assert_eq!(differences(adamw(), adamw()), Vec::<String>::new());
        let other = adamw().with("lr", 0.01).and_then(|c| c.with("decay", 0.0)).unwrap();
        let want = ["all.decay: saved 0.01, here 0", "all.lr: saved 0.001, here 0.01"];
        assert_eq!(differences(adamw(), other.clone()), want);
        let mut opt = Optimizer::<f64>::new(other).unwrap();
        let _ =
            opt.load_bytes(&Optimizer::<f64>::new(adamw()).unwrap().save_bytes().unwrap()).unwrap();
        assert_eq!(opt.groups().next().unwrap().1.hyper("lr").unwrap().value(0), 0.01);
        // One more in the middle does not make its neighbours look different.
        assert_eq!(
            differences(adam(), adamw()),
            [
                "all: saved by `Adam<Outside>, Scale`, here `Adam<Outside>, DecayWeights, Scale`, which goes on \
             with the same slots",
                "all.decay: not saved, here 0.01",
            ]
        );
        assert_eq!(differences(adamw(), adam())[1..], ["all.decay: saved 0.01, not here"]);
        let scheduled = adam().with("lr", Schedule::linear(1e-3, 0.0, 9)).unwrap();
        let found = differences(adam(), scheduled);
        assert!(found.len() == 1 && found[0].starts_with("all.lr: saved 0.001, here Polynomial"));
    }

    #[test]
    fn of_two_equal_names_each_is_compared_with_its_own() {
        let chain = |first: f64, second: f64| {
            Chain::new((
                ClipValue::default().limit(first),
                <Adam>::default(),
                ClipValue::default().limit(second),
            ))
        };
        assert_eq!(differences(chain(1.0, 2.0), chain(1.0, 2.0)), Vec::<String>::new());
        assert_eq!(differences(chain(1.0, 2.0), chain(1.0, 3.0)), ["all.limit: saved 2, here 3"]);
    }

    #[test]
    fn a_plateau_goes_on_even_if_the_chain_has_one_hyper_parameter_more() {
        let plateau = Plateau { patience: 0, factor: 0.5, ..Plateau::new(1.0) };
        let lowered = |chain: Chain| chain.with("lr", Schedule::Plateau(plateau.clone())).unwrap();
        let mut opt = Optimizer::<f64>::new(lowered(adam())).unwrap();
        (0..3).for_each(|_| opt.observe(1.0));
        let mut more = Optimizer::<f64>::new(lowered(adamw())).unwrap();
        let loaded = more.load_bytes(&opt.save_bytes().unwrap()).unwrap();
        assert_eq!(
            loaded.differences,
            [
                "all: saved by `Adam<Outside>, Scale`, here `Adam<Outside>, DecayWeights, Scale`, which goes on \
             with the same slots",
                "all.decay: not saved, here 0.01",
            ]
        );
        assert_eq!(more.groups().next().unwrap().1.hyper("lr").unwrap().value(0), 0.25);
    }

    #[test]
    fn infinity_is_a_value_like_any_other() {
        let open = || meta_egd().with("clip", f64::INFINITY).unwrap();
        assert_eq!(differences(open(), open()), Vec::<String>::new());
        assert_eq!(differences(open(), meta_egd()), ["all.clip: saved inf, here 1"]);
        let relaxed = Schedule::Sequential(vec![(2, 1.0.into()), (1, f64::INFINITY.into())]);
        let chain = || meta_egd().with("clip", relaxed.clone()).unwrap();
        assert_eq!(differences(chain(), chain()), Vec::<String>::new());
    }

    #[test]
    fn any_name_and_any_shape() {
        let names = ["", "a/m", "@all", "@all/@0.rate", "ä β\u{1F600}", "__metadata__", "x\"\\\n"];
        let shapes: [&[usize]; 7] = [&[], &[0], &[1], &[2, 3], &[0, 5], &[1, 1, 1], &[7]];
        for chain in [sgd_hd(), adam(), egdd()] {
            let mut opt = Optimizer::<f64>::new(chain.clone()).unwrap();
            let mut values: Vec<Vec<f64>> =
                shapes.iter().map(|s| vec![1.0; s.iter().product()]).collect();
            let gradients = values.clone();
            let mut params: Vec<Param<'_, f64>> = values
                .iter_mut()
                .enumerate()
                .map(|(k, x)| Param::new(names[k], shapes[k], x, &gradients[k]))
                .collect();
            assert!(opt.step(&mut params).unwrap().applied());
            let bytes = opt.save_bytes().unwrap();
            let mut other = Optimizer::<f64>::new(chain).unwrap();
            assert_eq!(other.load_bytes(&bytes).unwrap().params, 7);
            assert!(other.save_bytes().unwrap() == bytes);
            assert!(other.step(&mut params).unwrap().applied());
        }
    }

    #[test]
    fn what_was_renamed_is_seen_at_both_ends() {
        let mut opt = two_groups();
        let (n, nan) = (tame(1), |_: u64, _: u64| f64::NAN);
        let mut x = [Tensor::new("head.w", 0..70), Tensor::new("weight", 0..200)];
        let first = |opt: &mut Optimizer<f32>, x: &mut [Tensor<f32>]| {
            proof::step(opt, x, &n).unwrap().first_met.to_vec()
        };
        // Without a checkpoint all are new once, and nobody is waited for.
        assert_eq!(first(&mut opt, &mut x), ["head.w", "weight"]);
        assert!(first(&mut opt, &mut x).is_empty() && opt.unmet().next().is_none());
        let bytes = trained().save_bytes().unwrap();
        let _ = opt.load_bytes(&bytes).unwrap();
        assert!(opt.unmet().eq(["head.w", "w", "b"]));
        // A refused step has met nobody.
        assert!(proof::step(&mut opt, &mut x, &nan).unwrap().first_met.is_empty());
        assert_eq!(opt.unmet().count(), 3);
        assert_eq!(first(&mut opt, &mut x), ["weight"]);
        assert!(opt.unmet().eq(["w", "b"]));
        // Accumulating meets as a step does, without a gradient or frozen as well.
        opt.freeze("b").unwrap();
        let (mut b, mut c) = ([0.0; 3], [0.0; 2]);
        let b = Param::new("b", &[3], &mut b, &[1.0; 3]);
        let list = &mut [b, Param::without_gradient("c", &[2], &mut c)];
        assert_eq!(*opt.accumulate(list, 1.0).unwrap().first_met, ["c"]);
        assert!(opt.unmet().eq(["w"]));
        // It stays so in the next file, until it is removed.
        let mut other = two_groups();
        let _ = other.load_bytes(&opt.save_bytes().unwrap()).unwrap();
        assert_eq!(other.unmet().count(), 5);
        assert!(opt.remove("w") && opt.unmet().next().is_none());
    }

    #[test]
    fn frozen_parameters_and_refusals_are_remembered() {
        let new = || {
            let builder = Optimizer::<f64>::builder().rest("all", adam());
            builder.non_finite(NonFinite::Skip { limit: 2 }).build::<f64>().unwrap()
        };
        let nan = |_, _| f64::NAN;
        let (mut opt, mut x) = (new(), [Tensor::new("a", 0..2), Tensor::new("b", 2..4)]);
        train(&mut opt, &mut x, 1, &tame(1));
        opt.freeze("a").unwrap();
        assert!(!proof::step(&mut opt, &mut x, &nan).unwrap().applied());
        let mut other = new();
        let _ = other.load_bytes(&opt.save_bytes().unwrap()).unwrap();
        let before = x[0].clone();
        assert!(proof::step(&mut other, &mut x, &nan).is_err());
        train(&mut other, &mut x, 1, &tame(1));
        assert_eq!(before.x(), x[0].x());
        assert_eq!(other.params().collect::<Vec<_>>(), [("a", 1), ("b", 2)]);
    }

    #[test]
    fn scalars_of_folds_and_geometries_stand_in_the_file() {
        let mut kept = vec![];
        for sentence in composed() {
            let mut opt = Optimizer::<f64>::new(sentence.chain.clone()).unwrap();
            train(&mut opt, &mut [Tensor::new("x", 0..5)], 1, &tame(1));
            let bytes = opt.save_bytes().unwrap();
            let tensors = SafeTensors::deserialize(&bytes).unwrap();
            kept.extend(tensors.names().iter().filter(|n| n.contains('@')).map(|n| n.to_string()));
        }
        for name in ["x/@2.log_z", "x/@2.a", "@all/@0.ell", "x/@1.factor"] {
            assert!(kept.iter().any(|k| k == name), "{name} is not among {kept:?}");
        }
    }
}

#[test]
fn another_formula_with_the_same_slots_is_a_difference() {
    let save = |chain: Chain| {
        let mut opt = Optimizer::<f64>::new(chain).unwrap();
        let mut x = [Tensor::new("w", 0..3)];
        train(&mut opt, &mut x, 2, &tame(1));
        opt.save_bytes().unwrap()
    };
    let scale = || Scale::default().lr(0.1);
    let pairs: [(Chain, Chain, &str); 3] = [
        (
            (Momentum::default(), scale()).into(),
            (scale(), Momentum::default()).into(),
            "Momentum, Scale",
        ),
        (meta_egd(), Chain::new((<MetaEgd<Sign>>::default(), scale())), "MetaEgd<Product, Last>"),
        (
            Chain::new((<L2>::default(), <Adam>::default(), scale())),
            Chain::new((<Adam>::default(), <DecayWeights>::default(), scale())),
            "L2, Adam",
        ),
    ];
    for (then, now, name) in pairs {
        let bytes = save(then.clone());
        let load = |chain: Chain| Optimizer::<f64>::new(chain).unwrap().load_bytes(&bytes).unwrap();
        assert_eq!(load(then).differences, [""; 0]);
        let differences = load(now).differences;
        assert!(differences[0].contains(&format!("saved by `{name}")), "{differences:?}");
    }
    // A file from before this was written down, or the settings were, says nothing of it.
    let bytes = rewritten(&save(gd()), |_, header| {
        header["groups"][0].as_object_mut().unwrap().remove("formula");
        assert!(header.as_object_mut().unwrap().remove("settings").is_some());
    });
    assert!(
        Optimizer::<f64>::new(gd()).unwrap().load_bytes(&bytes).unwrap().differences.is_empty()
    );
}

/// Chains whose folds and geometries keep scalars behind rules that may share a tuple.
fn with_scalars_behind_tuples() -> Vec<Chain> {
    let direction = || Chain::new((L2::default(), <Adam>::default(), Scale::default().lr(0.01)));
    vec![
        direction().fold(ClipNorm::default()),
        direction().fold(GroupGain::<PerTensor>::default()).fold(Mechanic::default()),
        Chain::new((Maximize::default(), Maximize::default())).append(egdd()),
        schedule_free_adamw(),
        direction().over(thalweg::geometry::Simplex::default()),
    ]
}

#[test]
fn a_chain_may_be_grouped_otherwise_when_it_goes_on() {
    for chain in with_scalars_behind_tuples() {
        let (apart, stages) = chain.block_by_block().unwrap();
        assert!(stages > 1, "{chain:?}");
        let walk = |opt: &mut Optimizer<f64>, x: &mut [Tensor<f64>]| train(opt, x, 3, &tame(1));
        let new = |chain: &Chain| Optimizer::<f64>::new(chain.clone()).unwrap();
        let tensors = || [Tensor::new("w", 0..5), Tensor::new("v", 5..9)];
        let (mut whole, mut want) = (new(&chain), tensors());
        walk(&mut whole, &mut want);
        let middle = (whole.save_bytes().unwrap(), want.clone());
        walk(&mut whole, &mut want);
        for (from, to) in [(&chain, &apart), (&apart, &chain), (&apart, &apart)] {
            let (mut first, mut x) = (new(from), tensors());
            walk(&mut first, &mut x);
            let bytes = first.save_bytes().unwrap();
            assert!(bytes == middle.0, "{chain:?}: equal states are equal files");
            let mut second = new(to);
            let loaded = second.load_bytes(&bytes).unwrap_or_else(|e| panic!("{chain:?}: {e}"));
            assert_eq!(loaded.differences, [""; 0]);
            walk(&mut second, &mut x);
            for (got, want) in x.iter().zip(&want) {
                assert_eq!(bits(got.x()), bits(want.x()), "{chain:?}");
            }
            assert!(second.save_bytes().unwrap() == whole.save_bytes().unwrap(), "{chain:?}");
        }
    }
}

#[test]
fn what_is_read_once_must_be_what_was_read() {
    let new = |d0: f64| Optimizer::<f32>::new(prodigy().with("d0", d0).unwrap()).unwrap();
    let mut opt = new(1e-3);
    train(&mut opt, &mut [Tensor::new("w", 0..3)], 2, &tame(1));
    let bytes = opt.save_bytes().unwrap();
    refused(&mut new(1e-6), &bytes, &["\"all\"", "d0 was 0.001", "0.000001 here", "d0 = 0.001"]);
    let loaded = new(1e-3).load_bytes(&bytes).unwrap();
    assert_eq!((loaded.params, loaded.differences), (1, vec![]));
    // What else the chain has may differ.
    let chain = prodigy().with("d0", 1e-3).and_then(|c| c.with("lr", 0.5)).unwrap();
    let loaded = Optimizer::<f32>::new(chain).unwrap().load_bytes(&bytes).unwrap();
    assert_eq!(loaded.differences, ["all.lr: saved 1, here 0.5"]);
}
