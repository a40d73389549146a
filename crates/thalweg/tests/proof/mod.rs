//! What the proofs share: tensors, gradients that depend on nothing but a seed, and every chain a
//! law has to hold for.

#![allow(dead_code, reason = "every test file uses a part of it")]

use thalweg::geometry::{BoundedEgPm, Burg, EgPm, Hypentropy, NegativeEntropy, PNorm, Simplex};
use thalweg::rules::*;
use thalweg::{Chain, Element, Isa, Optimizer, Param, StepReport, registry};

/// Lengths on both sides of every border of the engine: chunks of 64, blocks of 1,024.
pub const LENGTHS: [usize; 9] = [0, 1, 63, 64, 65, 1023, 1024, 1025, 3 * 1024 + 17];
/// Enough coordinates for several threads to take part.
pub const LONG: usize = 40 * 1024 + 77;

/// A well-mixed number for a key (the finaliser of SplitMix64).
pub fn mix(key: u64) -> u64 {
    let mut z = key.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A number in [0, 1) for a key.
pub fn unit(key: u64) -> f64 {
    (mix(key) >> 11) as f64 / (1u64 << 53) as f64
}

fn key(seed: u64, step: u64, id: u64) -> u64 {
    mix(mix(seed ^ mix(step)) ^ id)
}

/// Gradients from 1e-9 to 1e6 with either sign, one in sixteen zero.
pub fn wide(seed: u64) -> impl Fn(u64, u64) -> f64 {
    move |step, id| {
        let k = key(seed, step, id);
        let sign = if k & 1 == 0 { 1.0 } else { -1.0 };
        let zero = (k >> 1) & 15 == 0;
        if zero { 0.0 } else { sign * 10f64.powf(15.0 * unit(k) - 9.0) }
    }
}

/// Gradients between −1 and 1, none of them zero.
pub fn tame(seed: u64) -> impl Fn(u64, u64) -> f64 {
    move |step, id| {
        let v = 2.0 * unit(key(seed, step, id)) - 1.0;
        if v.abs() < 1e-3 { 1e-3 } else { v }
    }
}

/// A parameter whose coordinates carry numbers: gradients follow the number, wherever it stands.
#[derive(Clone, Debug)]
pub struct Tensor<E> {
    pub name: String,
    pub shape: Vec<usize>,
    pub ids: Vec<u64>,
    /// How many values of the buffer stand before the first coordinate; also for the gradient.
    pub offset: usize,
    buffer: Vec<E>,
}

impl<E: Element> Tensor<E> {
    /// Coordinates `ids`, each starting between 0.1 and 2 by its number.
    pub fn new(name: &str, ids: impl IntoIterator<Item = u64>) -> Tensor<E> {
        let ids: Vec<u64> = ids.into_iter().collect();
        let buffer = ids.iter().map(|id| E::lift(0.1 + 1.9 * unit(*id))).collect();
        Tensor { name: name.to_owned(), shape: vec![ids.len()], ids, offset: 0, buffer }
    }

    /// The same, `offset` values further on in memory.
    pub fn shifted(mut self, offset: usize) -> Tensor<E> {
        self.offset = offset;
        self.buffer.splice(0..0, std::iter::repeat_n(E::lift(7.0), offset));
        self
    }

    pub fn x(&self) -> &[E] {
        &self.buffer[self.offset..]
    }

    pub fn x_mut(&mut self) -> &mut [E] {
        &mut self.buffer[self.offset..]
    }
}

/// One tensor per length of [`LENGTHS`].
pub fn all_lengths<E: Element>() -> Vec<Tensor<E>> {
    let tensor = |(k, n): (usize, &usize)| {
        let first = 10_000 * k as u64;
        Tensor::new(&format!("t{k}"), first..first + *n as u64)
    };
    LENGTHS.iter().enumerate().map(tensor).collect()
}

/// Takes one step with gradients by step and coordinate number.
pub fn step<E: Element>(
    opt: &mut Optimizer<E>,
    tensors: &mut [Tensor<E>],
    gradient: &impl Fn(u64, u64) -> f64,
) -> Result<StepReport, thalweg::Error> {
    let clock = opt.steps();
    let gradients: Vec<Vec<E>> = tensors
        .iter()
        .map(|t| {
            let front = std::iter::repeat_n(E::lift(0.0), t.offset);
            front.chain(t.ids.iter().map(|id| E::lift(gradient(clock, *id)))).collect()
        })
        .collect();
    let mut params: Vec<Param<'_, E>> = tensors
        .iter_mut()
        .zip(&gradients)
        .map(|(t, g)| Param::new(&t.name, &t.shape, &mut t.buffer[t.offset..], &g[t.offset..]))
        .collect();
    opt.step(&mut params)
}

/// An optimizer of one group on the calling thread.
pub fn optimizer<E: Element>(chain: &Chain, isa: Isa) -> Optimizer<E> {
    let builder = Optimizer::<E>::builder().rest("all", chain.clone());
    builder.isa(isa).threads(1).build().expect("a valid chain")
}

/// Takes `steps` steps, all of which must be applied.
pub fn train<E: Element>(
    opt: &mut Optimizer<E>,
    tensors: &mut [Tensor<E>],
    steps: usize,
    gradient: &impl Fn(u64, u64) -> f64,
) {
    for _ in 0..steps {
        let report = step(opt, tensors, gradient).expect("a step");
        assert!(report.applied());
    }
}

/// The exact values: equal only if every bit is.
pub fn bits<E: Element>(values: &[E]) -> Vec<u64> {
    values.iter().map(|v| v.widen().to_bits()).collect()
}

/// Everything a run leaves behind: parameters by name, and all state as a checkpoint writes it.
pub fn remains<E: Element>(
    opt: &Optimizer<E>,
    tensors: &[Tensor<E>],
) -> (Vec<(String, Vec<u64>)>, Vec<u8>) {
    let values = tensors.iter().map(|t| (t.name.clone(), bits(t.x()))).collect();
    (values, opt.save_bytes().expect("a checkpoint"))
}

/// A chain that laws are proved for.
pub struct Sentence {
    pub name: String,
    pub chain: Chain,
}

impl Sentence {
    fn new(name: &str, chain: Chain) -> Sentence {
        Sentence { name: name.to_owned(), chain }
    }

    /// Whether every coordinate goes its own way, wherever it stands: no sum is kept for the tensor or the
    /// group, none is taken of a row, and no noise is drawn by place.
    pub fn element_wise(&self) -> bool {
        let by_place = ["adaptive clip", "centralize", "noise"].contains(&self.name.as_str());
        !by_place && !self.scalars().iter().any(|name| name.contains('@'))
    }

    /// The names of the checkpoint's entries after one step.
    fn scalars(&self) -> Vec<String> {
        let mut opt = optimizer::<f64>(&self.chain, Isa::Scalar);
        train(&mut opt, &mut [Tensor::new("x", 0..3)], 1, &tame(1));
        let bytes = opt.save_bytes().expect("a checkpoint");
        let tensors = safetensors::SafeTensors::deserialize(&bytes).expect("safetensors");
        tensors.names().into_iter().map(str::to_owned).collect()
    }

    /// The same chain, run stage by stage.
    pub fn staged(&self) -> Chain {
        staged(self.chain.clone())
    }
}

/// The chain with every rule a stage of its own, however its tuples are grouped, and one at the end that
/// does nothing: an empty tuple. So no two rules share a compiled loop.
pub fn staged(chain: Chain) -> Chain {
    let (staged, stages) = chain.block_by_block().expect("blocks that stand alone");
    assert_eq!(stages, thalweg::Hypers::blocks(&chain).len());
    staged.then(((),))
}

/// Every optimizer of the registry.
pub fn registered() -> Vec<Sentence> {
    registry::all().into_iter().map(|e| Sentence::new(e.name, (e.chain)())).collect()
}

/// Directions through geometries, folds before rules, and other chains no registry entry shows.
pub fn composed() -> Vec<Sentence> {
    let adam = || Chain::new((<Adam>::default(), Scale::default().lr(0.01)));
    let gain = GroupGain::<PerGroup, Inner>::default();
    let meta = MetaEgd::<Balance, LastNonZero>::default();
    let clipped = Chain::new(ClipValue::default().limit(0.5)).fold(ClipNorm::default());
    let corrected = (<AmsGrad>::default(), CorrectedDecay::default(), Scale::default());
    vec![
        Sentence::new("nothing", Chain::new(())),
        Sentence::new("entropy", adam().over(NegativeEntropy::default())),
        Sentence::new("simplex", adam().over(Simplex::default())),
        Sentence::new("burg", adam().over(Burg::default())),
        Sentence::new("p-norm", adam().over(PNorm::default().p(1.5))),
        Sentence::new("hypentropy", adam().over(Hypentropy::default().beta(0.3))),
        Sentence::new("eg±", adam().over(EgPm::default())),
        Sentence::new("eg±, bounded", adam().over(BoundedEgPm::default().total(3.0))),
        Sentence::new("clip, then adamw", clipped.append(thalweg::recipes::adamw())),
        Sentence::new("gain of the group", Chain::new(()).fold(gain).append(adam())),
        Sentence::new("corrected decay", Chain::new(corrected)),
        Sentence::new("balance", Chain::new((meta, Scale::default()))),
        Sentence::new("adaptive clip", Chain::new(()).fold(AdaptiveClip::default()).append(adam())),
        Sentence::new("centralize", Chain::new(()).fold(Centralize::default()).append(adam())),
        Sentence::new("noise", Chain::new(()).fold(GradientNoise::default()).append(adam())),
        Sentence::new("maximize", Chain::new((Maximize::default(), Scale::default().lr(0.01)))),
    ]
}

/// Both of them.
pub fn sentences() -> Vec<Sentence> {
    registered().into_iter().chain(composed()).collect()
}
