//! The training engine: a network computed forward and backward on the CPU.
//!
//! A layer is an operation with an exact backward pass, and the way back is the list of layers from the
//! last to the first. A batch is cut into a fixed number of parts, each of which runs through all layers
//! by itself, small enough to stay in the cache; the parts' gradients are added in order, so the bits do
//! not depend on the number of threads. Buffers live as long as the model: a step allocates nothing.

mod attention;
mod build;
mod conv;
mod gemm;
mod linear;
mod loss;
mod norm;
mod op;
mod patches;
mod vector;

use std::sync::{Mutex, PoisonError};

use super::model::{Batch, Model, ParameterSpec, Score};
use super::network::{Embedding, Layer, Network};
use crate::{Error, Result};
use op::{Back, Memory, Scratch, Sequence};
use vector::{add, sized};

/// A [`Network`] at work.
#[derive(Debug)]
pub struct NetworkModel {
    parameters: Vec<ParameterSpec>,
    plan: Plan,
    parts: Vec<Work>,
    threads: usize,
}

/// What to compute, the same for every part.
#[derive(Debug)]
struct Plan {
    embedding: Option<Embedding>,
    layers: Sequence,
    /// Numbers or tokens of one example.
    example: usize,
    /// Rows of the output that belong to one example.
    rows: usize,
    classes: usize,
}

/// A part of a batch: its buffers.
#[derive(Debug, Default)]
struct Work {
    embedded: Vec<f32>,
    memory: Vec<Memory>,
    gradients: Vec<Vec<f32>>,
    under_way: [Vec<f32>; 2],
    scratch: Scratch,
    loss: f64,
    score: Score,
}

/// A part of a batch: its examples.
#[derive(Debug, Clone, Copy)]
struct Examples<'a> {
    inputs: &'a [f32],
    tokens: &'a [u32],
    labels: &'a [u8],
}

impl NetworkModel {
    /// The model of `network`, computed on `threads` threads; the bits do not depend on the number.
    /// More threads than parts (two for stacks of linear layers, eight for others) are of no use.
    pub fn new(network: &Network, threads: usize) -> Self {
        let plan = Plan {
            embedding: network.embedding,
            layers: build::sequence(&network.layers),
            example: network.example(),
            rows: network.embedding.map_or(1, |e| e.context),
            classes: network.classes(),
        };
        // A stack of linear layers is all weights: every part reads them again and has its own
        // gradients, so few parts are fast. In other networks the activations weigh more.
        let linear = network.layers.iter().all(|l| matches!(l, Layer::Linear { .. }));
        let mut parts = Vec::new();
        parts.resize_with(if linear { 2 } else { 8 }, Work::default);
        NetworkModel { parameters: network.parameters(), plan, parts, threads: threads.max(1) }
    }

    /// Runs `work` on every part of the batch, and returns the number of parts that have examples.
    fn run(
        &mut self,
        batch: &Batch,
        work: impl Fn(&Plan, &mut Work, Examples<'_>) + Sync,
    ) -> Result<usize> {
        let rows = self.plan.check(batch)?;
        let each = rows.div_ceil(self.parts.len()).max(1);
        let plan = &self.plan;
        let used = rows.div_ceil(each);
        let mut queue = self.parts[..used].iter_mut().enumerate().map(|(i, part)| {
            let range = i * each..rows.min((i + 1) * each);
            (part, plan.examples(batch, range))
        });
        if self.threads == 1 || used == 1 {
            queue.for_each(|(part, examples)| work(plan, part, examples));
            return Ok(used);
        }
        let queue = Mutex::new(&mut queue);
        let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
        rayon::scope(|scope| {
            for _ in 0..self.threads.min(used) {
                scope.spawn(|_| {
                    while let Some((part, examples)) = next() {
                        work(plan, part, examples);
                    }
                });
            }
        });
        Ok(used)
    }
}

impl Plan {
    /// The number of examples of the batch, if it fits the network.
    fn check(&self, batch: &Batch) -> Result<usize> {
        let values = if self.embedding.is_some() { batch.tokens.len() } else { batch.inputs.len() };
        let rows = values / self.example;
        let fits = rows * self.example == values && rows * self.rows == batch.labels.len();
        if rows == 0 || !fits {
            return Err(Error::failed(
                format!(
                    "a batch of {values} inputs and {} labels does not fit the network",
                    batch.labels.len()
                ),
                format!("give {} inputs and {} labels per example", self.example, self.rows),
            ));
        }
        let vocabulary = self.embedding.map_or(0, |e| e.vocabulary);
        let token = batch.tokens.iter().copied().filter(|t| *t as usize >= vocabulary).max();
        let label = batch.labels.iter().copied().filter(|l| usize::from(*l) >= self.classes).max();
        match (self.embedding.and(token), label.map(u32::from)) {
            (None, None) => Ok(rows),
            (Some(found), _) => Err(outside("token", found, vocabulary)),
            (_, Some(found)) => Err(outside("label", found, self.classes)),
        }
    }

    fn examples<'a>(&self, batch: &'a Batch, range: std::ops::Range<usize>) -> Examples<'a> {
        let of = |each: usize| range.start * each..range.end * each;
        let (inputs, tokens) = match self.embedding {
            None => (&batch.inputs[of(self.example)], &[][..]),
            Some(_) => (&[][..], &batch.tokens[of(self.example)]),
        };
        Examples { inputs, tokens, labels: &batch.labels[of(self.rows)] }
    }

    /// Computes the logits of a part, and moves them to `part.under_way[0]`.
    fn forward(&self, w: &[&[f32]], part: &mut Work, examples: Examples<'_>) {
        let (tables, w) = w.split_at(self.tables());
        let mut x = examples.inputs;
        if let Some(embedding) = self.embedding {
            attention::embed(&embedding, tables, examples.tokens, &mut part.embedded);
            x = &part.embedded;
        }
        self.layers.forward(w, x, &mut part.memory, &mut part.scratch);
        let logits = part.memory.last().map_or(x, |m| &m.y);
        sized(&mut part.under_way[0], logits.len()).copy_from_slice(logits);
    }

    fn backward(&self, w: &[&[f32]], part: &mut Work, examples: Examples<'_>) {
        let Work { embedded, memory, gradients, under_way: [dy, dx], scratch, .. } = part;
        gradients.resize_with(w.len(), Vec::new);
        let (tables, dw) = gradients.split_at_mut(self.tables());
        let w = &w[self.tables()..];
        let Some(embedding) = self.embedding else {
            let back = Back { dy, dx: None, dw, scratch };
            return self.layers.backward(w, examples.inputs, memory, back);
        };
        self.layers.backward(w, embedded, memory, Back { dy, dx: Some(&mut *dx), dw, scratch });
        attention::embed_backward(&embedding, examples.tokens, dx, tables);
    }

    /// Parameters of the embedding.
    fn tables(&self) -> usize {
        if self.embedding.is_some() { 2 } else { 0 }
    }
}

fn outside(what: &str, found: u32, size: usize) -> Error {
    Error::failed(
        format!("the {what} {found} is outside the network's range 0 to {}", size.max(1) - 1),
        format!("give the network at least {} of them", u64::from(found) + 1),
    )
}

impl Model for NetworkModel {
    fn parameters(&self) -> &[ParameterSpec] {
        &self.parameters
    }

    fn loss_and_gradients(
        &mut self,
        values: &mut [Vec<f32>],
        batch: &Batch,
        gradients: &mut [Vec<f32>],
    ) -> Result<f32> {
        let w: Vec<&[f32]> = values.iter().map(Vec::as_slice).collect();
        let count = batch.labels.len();
        let used = self.run(batch, |plan, part, examples| {
            plan.forward(&w, part, examples);
            let scale = 1.0 / count as f32;
            part.loss = loss::cross_entropy(&mut part.under_way[0], examples.labels, scale);
            plan.backward(&w, part, examples);
        })?;
        for (i, gradient) in gradients.iter_mut().enumerate() {
            std::mem::swap(gradient, &mut self.parts[0].gradients[i]);
            for part in &self.parts[1..used] {
                add(gradient, &part.gradients[i]);
            }
        }
        let loss: f64 = self.parts[..used].iter().map(|part| part.loss).sum();
        Ok((loss / count as f64) as f32)
    }

    fn evaluate(&mut self, values: &mut [Vec<f32>], batch: &Batch) -> Result<Score> {
        let w: Vec<&[f32]> = values.iter().map(Vec::as_slice).collect();
        let used = self.run(batch, |plan, part, examples| {
            plan.forward(&w, part, examples);
            part.score = loss::score(&mut part.under_way[0], examples.labels);
        })?;
        let mut total = Score::default();
        self.parts[..used].iter().for_each(|part| total += part.score);
        Ok(total)
    }
}

#[cfg(test)]
mod tests;
