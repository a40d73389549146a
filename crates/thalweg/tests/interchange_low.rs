//! Imported states whose parameters, moments or state are kept in low precision.

use half::{bf16, f16};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use thalweg::recipes::*;
use thalweg::{Error, Library, LowPrecision, Optimizer, Param, StepReport, Storage};

const WEIGHT: &[usize] = &[2, 3];
const BIAS: &[usize] = &[3];
const PARAMS: &[(&str, &[usize])] = &[("layer.weight", WEIGHT), ("layer.bias", BIAS)];
const ALL: [LowPrecision; 4] = [
    LowPrecision::Nearest,
    LowPrecision::Stochastic,
    LowPrecision::Compensated,
    LowPrecision::Master,
];

/// What torch's Adam remembers of a model in bf16, its moments in bf16 too.
fn from_torch() -> Vec<u8> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = root.join("../../testdata/interchange/adam_bf16.safetensors");
    std::fs::read(path).expect("a state")
}

fn tensor(file: &[u8], name: &str) -> Vec<f32> {
    let file = SafeTensors::deserialize(file).expect("safetensors");
    let view = file.tensor(name).expect("a tensor");
    assert_eq!(view.dtype(), Dtype::BF16);
    view.data().as_chunks().0.iter().map(|b| bf16::from_le_bytes(*b).to_f32()).collect()
}

fn build(storage: Storage, low: LowPrecision) -> Optimizer<f32> {
    let builder = Optimizer::<f32>::builder().rest("all", adam().with("lr", 0.01).expect("a rate"));
    builder.threads(1).storage(storage).low_precision(low).seed(7).build().expect("an optimizer")
}

fn imported(low: LowPrecision) -> Optimizer<f32> {
    let mut opt = build(Storage::Native, low);
    let imported = opt.import_bytes(Library::Torch, PARAMS, &from_torch()).expect("it fits");
    assert_eq!(imported.steps, 5);
    opt
}

fn gradient(t: usize) -> Vec<f32> {
    (0..9).map(|i| ((i + 3 * t) as f32 * 0.7).sin()).collect()
}

fn start() -> Vec<bf16> {
    (0..9).map(|i| bf16::from_f32(1.0 + i as f32 / 7.0)).collect()
}

fn step_low(opt: &mut Optimizer<f32>, x: &mut [bf16], g: &[f32]) -> Result<StepReport, Error> {
    let (weight, bias) = x.split_at_mut(6);
    opt.step(&mut [
        Param::of("layer.weight", WEIGHT, weight).grad(&g[..6]),
        Param::of("layer.bias", BIAS, bias).grad(&g[6..]),
    ])
}

fn step(opt: &mut Optimizer<f32>, x: &mut [f32], g: &[f32]) {
    let (weight, bias) = x.split_at_mut(6);
    let params = &mut [
        Param::new("layer.weight", WEIGHT, weight, &g[..6]),
        Param::new("layer.bias", BIAS, bias, &g[6..]),
    ];
    assert!(opt.step(params).expect("a step").applied());
}

fn wide(x: &[bf16]) -> Vec<f32> {
    x.iter().map(|v| v.to_f32()).collect()
}

#[test]
fn moments_in_half_precision_are_widened() {
    let file = from_torch();
    let opt = imported(LowPrecision::default());
    assert_eq!(opt.slot("layer.bias", "m").expect("m"), tensor(&file, "layer.bias.exp_avg"));
    assert_eq!(opt.slot("layer.weight", "v").expect("v"), tensor(&file, "layer.weight.exp_avg_sq"));
    let mut wide = Optimizer::<f64>::new(adam()).expect("a valid chain");
    let _ = wide.import_bytes(Library::Torch, PARAMS, &file).expect("it fits");
    let m = wide.slot("layer.bias", "m").expect("m").iter().map(|m| *m as f32);
    assert!(m.eq(tensor(&file, "layer.bias.exp_avg")));
    // f16 the same way.
    let values = [0.5f32, -0.25, 3e-5].map(f16::from_f32);
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    let held = SafeTensors::deserialize(&file).expect("safetensors");
    let mut tensors = held.tensors();
    tensors.retain(|(name, _)| name != "layer.bias.exp_avg");
    let view = TensorView::new(Dtype::F16, vec![3], &bytes).expect("a tensor");
    tensors.push(("layer.bias.exp_avg".to_owned(), view));
    let file = safetensors::serialize(tensors, None).expect("safetensors");
    let mut opt = build(Storage::Native, LowPrecision::default());
    let _ = opt.import_bytes(Library::Torch, PARAMS, &file).expect("it fits");
    assert_eq!(opt.slot("layer.bias", "m").expect("m"), values.map(f16::to_f32));
}

#[test]
fn an_imported_state_takes_the_format_of_its_parameter() {
    for low in ALL {
        let (mut opt, mut x) = (imported(low), start());
        let (mut exact, mut y) = (imported(low), wide(&x));
        for t in 0..10 {
            if low == LowPrecision::Nearest {
                y = wide(&x);
            }
            step(&mut exact, &mut y, &gradient(t));
            assert!(step_low(&mut opt, &mut x, &gradient(t)).expect("a step").applied());
            for (x, y) in x.iter().zip(&y) {
                let last_digit = y.abs() / 128.0;
                let bound = match low {
                    LowPrecision::Nearest | LowPrecision::Master => {
                        assert_eq!(*x, bf16::from_f32(*y), "{low:?}, step {t}");
                        continue;
                    }
                    // The remainder is rounded too.
                    LowPrecision::Compensated => last_digit,
                    // Each step is off by less than a last digit.
                    _ => last_digit * (t + 1) as f32,
                };
                assert!((x.to_f32() - y).abs() <= bound, "{low:?}, step {t}: {x} {y}");
            }
        }
        let own = match low {
            LowPrecision::Master => Some("@master"),
            LowPrecision::Compensated => Some("@low"),
            _ => None,
        };
        for slot in ["@master", "@low"] {
            let there = opt.slot_values("layer.bias", slot).is_some();
            assert_eq!(there, own == Some(slot), "{low:?} {slot}");
        }
        // From now on it has that format.
        let (mut y, g) = ([0.0; 3], [0.1; 3]);
        let other = opt.step(&mut [Param::new("layer.bias", BIAS, &mut y, &g)]);
        assert!(other.expect_err("an error").to_string().contains("another number format"));
    }
}

#[test]
fn a_first_step_that_fails_decides_nothing() {
    for low in ALL {
        let (mut opt, mut x) = (imported(low), start());
        let before = opt.save_bytes().expect("a checkpoint");
        let refused = step_low(&mut opt, &mut x, &[f32::NAN; 9]).expect("a report");
        assert!(!refused.applied() && x == start());
        assert_eq!(opt.slot_values("layer.bias", "@master"), None);
        assert_eq!(opt.slot("layer.bias", "m"), imported(low).slot("layer.bias", "m"));
        assert!(opt.params().all(|(_, t)| t == 5));
        // The format is open, also after a checkpoint in between.
        let mut loaded = build(Storage::Native, low);
        let _ = loaded.load_bytes(&before).expect("a checkpoint");
        assert!(step_low(&mut loaded, &mut x, &gradient(0)).expect("a step").applied());
        let mut y = wide(&start());
        step(&mut opt, &mut y, &gradient(0));
        // A state can be replaced although its parameter was lent in bf16 before.
        let again = loaded.import_bytes(Library::Torch, PARAMS, &from_torch()).expect("it fits");
        assert_eq!(again.steps, 5);
        assert!(step_low(&mut loaded, &mut x, &gradient(0)).expect("a step").applied());
    }
}

#[test]
fn into_state_in_bf16_and_in_8_bits() {
    let (n, shape): (usize, &[usize]) = (8192, &[8192]);
    let params = [("x", shape)];
    let g: Vec<f32> = (0..n).map(|i| (i as f32 * 0.37).sin()).collect();
    let (mut there, mut x) = (build(Storage::Native, LowPrecision::default()), vec![1.0; n]);
    for _ in 0..5 {
        let _ = there.step(&mut [Param::new("x", shape, &mut x, &g)]).expect("a step");
    }
    let file = there.export_bytes(Library::Torch).expect("names");
    // One part in 128 and 256: a last digit of bf16, an 8-bit code next to the block's largest.
    for (storage, part) in [(Storage::Bf16, 1.0 / 128.0), (Storage::Block8, 1.0 / 64.0)] {
        for low in ALL {
            let mut opt = build(storage, low);
            let _ = opt.import_bytes(Library::Torch, &params, &file).expect("it fits");
            for slot in ["m", "v"] {
                let want = there.slot("x", slot).expect("a slot");
                let largest = want.iter().fold(0.0f32, |a, v| a.max(v.abs()));
                let got = opt.slot_values("x", slot).expect("a slot");
                assert_eq!(opt.slot("x", slot), None, "{storage:?}: it is packed");
                for (got, want) in got.iter().zip(want) {
                    assert!((got - want).abs() <= part * largest, "{storage:?} {slot}");
                }
            }
            let mut low_x: Vec<bf16> = x.iter().map(|x| bf16::from_f32(*x)).collect();
            let before = low_x.clone();
            let report = opt.step(&mut [Param::of("x", shape, &mut low_x).grad(&g)]);
            assert!(report.expect("a step").applied());
            assert!(low_x != before && opt.params().all(|(_, t)| t == 6));
        }
    }
}
