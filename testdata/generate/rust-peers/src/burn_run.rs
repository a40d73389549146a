//! burn: the record of a `ModuleOptimizer`, as tensors named after the parameters.

use std::collections::BTreeMap;

use burn_core as burn;
use burn_core::module::{Module, Param, ParamId};
use burn_core::tensor::{Device, FloatDType, Tensor, TensorData};
use burn_optim::decay::WeightDecayConfig;
use burn_optim::momentum::MomentumConfig;
use burn_optim::*;
use burn_pack::{Bytes, DType, Reader, Scalar, Writer};
use safetensors::SafeTensors;

use crate::{Hypers, Run, State};

#[derive(Module, Debug)]
struct Layer {
    weight: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
}

#[derive(Module, Debug)]
struct Model {
    layer: Layer,
}

pub struct BurnRun {
    model: Option<Model>,
    optimizer: ModuleOptimizer,
    lr: f64,
}

fn tensor<const D: usize>(device: &Device, values: &[f64], shape: [usize; D]) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), (device, DType::F64))
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    let data = tensor.into_data();
    assert_eq!(data.dtype(), DType::F64);
    data.as_bytes().chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect()
}

fn optimizer(name: &str, h: &Hypers<'_>) -> ModuleOptimizer {
    // Every number that burn takes as an `f32` is one.
    let narrow = |key: &str| {
        let value = h.get(key);
        assert_eq!(f64::from(value as f32), value, "{key}");
        value as f32
    };
    let decay = |key| Some(WeightDecayConfig { penalty: narrow(key) });
    let momentum = |nesterov: bool| MomentumConfig {
        momentum: h.get("momentum"),
        dampening: h.maybe("dampening").unwrap_or(0.0),
        nesterov,
    };
    let adam = || {
        let config = AdamConfig::new().with_beta_1(narrow("beta1")).with_beta_2(narrow("beta2"));
        config.with_epsilon(narrow("eps"))
    };
    let rms = |centered: bool| {
        let config = RmsPropConfig::new().with_alpha(narrow("rho")).with_epsilon(narrow("eps"));
        let momentum = h.maybe("momentum").map_or(0.0, |_| narrow("momentum"));
        config.with_momentum(momentum).with_centered(centered)
    };
    match name {
        "adam" => adam().init(),
        "adam_l2" => adam().with_weight_decay(decay("decay")).init(),
        "amsgrad" => adam().with_amsgrad(true).init(),
        "adamw" => AdamWConfig::new()
            .with_beta_1(narrow("beta1"))
            .with_beta_2(narrow("beta2"))
            .with_epsilon(narrow("eps"))
            .with_weight_decay(narrow("decay"))
            .init(),
        "momentum" => SgdConfig::new().with_momentum(Some(momentum(false))).init(),
        "nesterov" => SgdConfig::new().with_momentum(Some(momentum(true))).init(),
        "adagrad" => {
            AdaGradConfig::new().with_lr_decay(h.get("lr_decay")).with_epsilon(narrow("eps")).init()
        }
        "rmsprop" | "rmsprop_momentum" => rms(false).init(),
        "rmsprop_centered" | "rmsprop_centered_momentum" => rms(true).init(),
        "lion" => LionConfig::new()
            .with_beta_1(narrow("beta1"))
            .with_beta_2(narrow("beta2"))
            .with_weight_decay(narrow("decay"))
            .init(),
        "adan" => AdanConfig::new()
            .with_beta_1(narrow("beta1"))
            .with_beta_2(narrow("beta2"))
            .with_beta_3(narrow("beta3"))
            .with_epsilon(narrow("eps"))
            .with_weight_decay(narrow("decay"))
            .init(),
        "lamb" => LambConfig::new()
            .with_beta_1(narrow("beta1"))
            .with_beta_2(narrow("beta2"))
            .with_epsilon(narrow("eps"))
            .with_weight_decay(narrow("decay"))
            .init(),
        other => panic!("{other}"),
    }
}

/// A record's tensors are loaded in the device's default type, which is `f32` unless it is set before the first tensor.
pub fn in_double_precision() {
    Device::default().configure(FloatDType::F64).unwrap();
}

impl BurnRun {
    pub fn new(name: &str, h: &Hypers<'_>, x: &[f64]) -> Self {
        // `ModuleOptimizer` takes only models that could be differentiated.
        let device = Device::default().autodiff();
        let weight = Param::from_tensor(tensor(&device, &x[..6], [2, 3]));
        let bias = Param::from_tensor(tensor(&device, &x[6..], [3]));
        let model = Some(Model { layer: Layer { weight, bias } });
        BurnRun { model, optimizer: optimizer(name, h), lr: h.get("lr") }
    }

    fn ids(&self) -> [(&'static str, ParamId); 2] {
        let layer = &self.model.as_ref().unwrap().layer;
        [("layer.weight", layer.weight.id), ("layer.bias", layer.bias.id)]
    }
}

// ANCHOR: burn
/// A record has `id.field` for all it remembers, and the path of each `id` in the module.
fn save_burn(optimizer: &ModuleOptimizer) -> State {
    let record = Reader::from_bytes(optimizer.into_bytes().unwrap()).unwrap();
    let (paths, scalars) = (record.metadata().clone(), record.scalars().clone());
    let name = |key: &str| {
        let (id, field) = key.split_once('.').unwrap();
        format!("{}.{field}", paths[id])
    };
    let mut state = State::default();
    for tensor in record.into_tensors().unwrap() {
        let (key, dtype, shape, _, bytes) = tensor.into_parts().unwrap();
        assert_eq!(dtype, DType::F64);
        state.tensor(name(&key), shape.to_vec(), bytes.to_vec());
    }
    for (key, value) in scalars.iter().filter(|(key, _)| !key.ends_with(".__rank")) {
        state.count(name(key), i64::try_from(*value).unwrap());
    }
    state
}

/// The way back, into an optimizer that was just made; `ids` are those of the parameters' paths.
fn load_burn(optimizer: ModuleOptimizer, ids: &[(&str, ParamId)], file: &[u8]) -> ModuleOptimizer {
    let (mut tensors, mut scalars) = (vec![], BTreeMap::new());
    for (name, view) in SafeTensors::deserialize(file).unwrap().tensors() {
        let of = |(path, id): &(&str, ParamId)| {
            Some((*id, name.strip_prefix(path)?.strip_prefix('.')?.to_owned()))
        };
        let (id, field) = ids.iter().find_map(of).unwrap();
        let key = format!("{}.{field}", id.val());
        match view.dtype() {
            safetensors::Dtype::I64 => {
                let count = i64::from_le_bytes(view.data().try_into().unwrap());
                scalars.insert(key, Scalar::UInt(count as u64));
            }
            _ => {
                let bytes = Bytes::from_bytes_vec(view.data().to_vec());
                let (shape, id) = (view.shape().to_vec(), Some(id.val()));
                tensors.push(burn_pack::Tensor::new(key, DType::F64, shape, id, bytes));
            }
        }
    }
    let write = |w: Writer, (key, value): (String, Scalar)| w.with_scalar(&key, value);
    let bytes = scalars.into_iter().fold(Writer::new(tensors), write).into_bytes().unwrap();
    optimizer.from_bytes(bytes).unwrap()
}
// ANCHOR_END: burn

impl Run for BurnRun {
    fn step(&mut self, g: &[f64]) {
        let [(_, weight), (_, bias)] = self.ids();
        let (device, mut gradients) = (Device::default(), GradientsParams::new());
        gradients.register(weight, tensor(&device, &g[..6], [2, 3]));
        gradients.register(bias, tensor(&device, &g[6..], [3]));
        let model = self.model.take().unwrap();
        self.model = Some(self.optimizer.step(self.lr, model, gradients));
    }

    fn x(&self) -> Vec<f64> {
        let layer = &self.model.as_ref().unwrap().layer;
        let mut x = values(layer.weight.val());
        x.extend(values(layer.bias.val()));
        x
    }

    fn state(&self) -> State {
        save_burn(&self.optimizer)
    }

    fn load(&mut self, file: &[u8]) -> bool {
        self.optimizer = load_burn(self.optimizer.clone(), &self.ids(), file);
        // What was not understood would be left out without a word.
        let record = Reader::from_bytes(self.optimizer.into_bytes().unwrap()).unwrap();
        let counters = record.scalars().keys().filter(|key| !key.ends_with(".__rank")).count();
        let loaded = record.tensor_names().len() + counters;
        assert_eq!(loaded, SafeTensors::deserialize(file).unwrap().len());
        true
    }
}
