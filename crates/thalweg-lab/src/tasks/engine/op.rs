//! What a layer is to the engine.

use super::vector::sized;

/// A layer at work on the examples of one part of a batch, one after another in memory.
///
/// Forward and backward write every number of their results, so buffers need not be cleared.
pub(super) trait Op: Send + Sync + std::fmt::Debug {
    /// The number of parameters it takes from the front of the list.
    fn parameters(&self) -> usize;

    /// Computes the output into `memory.y`, and keeps in `memory` what the way back needs.
    fn forward(&self, w: &[&[f32]], x: &[f32], memory: &mut Memory, scratch: &mut Scratch);

    /// From the gradient of the output, which it may overwrite, computes the gradients of its
    /// parameters and, if `dx` is given, of its input.
    fn backward(&self, w: &[&[f32]], x: &[f32], memory: &mut Memory, back: Back<'_>);
}

/// The gradients on the way back through a layer.
#[derive(Debug)]
pub(super) struct Back<'a> {
    /// Of the output.
    pub(super) dy: &'a mut Vec<f32>,
    /// Of the input, unless nobody asks for it.
    pub(super) dx: Option<&'a mut Vec<f32>>,
    /// Of the layer's parameters.
    pub(super) dw: &'a mut [Vec<f32>],
    /// See [`Scratch`].
    pub(super) scratch: &'a mut Scratch,
}

/// What a layer keeps from the forward to the backward pass; its buffers live as long as the model.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// The output.
    pub(super) y: Vec<f32>,
    /// Numbers of the layer's own.
    pub(super) kept: Vec<f32>,
    /// Marks of the layer's own.
    pub(super) marks: Vec<u8>,
    /// Gradients under way inside.
    pub(super) inner_gradients: [Vec<f32>; 2],
    /// Of the layers inside.
    pub(super) inner: Vec<Memory>,
}

/// Buffers without meaning from one layer to the next, one set per thread at work.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub(super) a: Vec<f32>,
    pub(super) b: Vec<f32>,
    pub(super) c: Vec<f32>,
}

/// Layers one after another.
#[derive(Debug)]
pub(super) struct Sequence(pub(super) Vec<Box<dyn Op>>);

impl Sequence {
    /// The number of parameters of all layers.
    pub(super) fn parameters(&self) -> usize {
        self.0.iter().map(|op| op.parameters()).sum()
    }

    /// Runs the layers; the result is the last memory's `y`.
    pub(super) fn forward(
        &self,
        mut w: &[&[f32]],
        x: &[f32],
        memory: &mut Vec<Memory>,
        scratch: &mut Scratch,
    ) {
        memory.resize_with(self.0.len(), Memory::default);
        for (i, op) in self.0.iter().enumerate() {
            let (own, rest) = w.split_at(op.parameters());
            w = rest;
            let (before, after) = memory.split_at_mut(i);
            op.forward(own, before.last().map_or(x, |m| &m.y), &mut after[0], scratch);
        }
    }

    /// Runs them backward. The gradient of the input ends in `back.dx`; that of the output is used up.
    pub(super) fn backward(&self, w: &[&[f32]], x: &[f32], memory: &mut [Memory], back: Back<'_>) {
        let Back { dy, dx, dw, scratch } = back;
        let mut spare = Vec::new();
        let wanted = dx.is_some();
        let dx = dx.unwrap_or(&mut spare);
        let mut end = self.parameters();
        for (i, op) in self.0.iter().enumerate().rev() {
            let start = end - op.parameters();
            let (before, after) = memory.split_at_mut(i);
            let x = before.last().map_or(x, |m| &m.y);
            let (w, dw) = (&w[start..end], &mut dw[start..end]);
            let below = (wanted || i > 0).then_some(&mut *dx);
            op.backward(w, x, &mut after[0], Back { dy, dx: below, dw, scratch });
            std::mem::swap(dy, dx);
            end = start;
        }
        std::mem::swap(dy, dx);
    }
}

/// `y = body(x) + shortcut(x)`, then `max(y, 0)` if `relu`; an empty shortcut passes `x` itself.
#[derive(Debug)]
pub(super) struct Residual {
    pub(super) body: Sequence,
    pub(super) shortcut: Sequence,
    pub(super) relu: bool,
}

impl Op for Residual {
    fn parameters(&self) -> usize {
        self.body.parameters() + self.shortcut.parameters()
    }

    fn forward(&self, w: &[&[f32]], x: &[f32], memory: &mut Memory, scratch: &mut Scratch) {
        memory.inner.resize_with(2, Memory::default);
        let (body, shortcut) = memory.inner.split_at_mut(1);
        let (w_body, w_shortcut) = w.split_at(self.body.parameters());
        self.body.forward(w_body, x, &mut body[0].inner, scratch);
        self.shortcut.forward(w_shortcut, x, &mut shortcut[0].inner, scratch);
        let a = body[0].inner.last().map_or(x, |m| &m.y);
        let b = shortcut[0].inner.last().map_or(x, |m| &m.y);
        join(sized(&mut memory.y, a.len()), a, b, if self.relu { 0.0 } else { f32::NEG_INFINITY });
    }

    fn backward(&self, w: &[&[f32]], x: &[f32], memory: &mut Memory, back: Back<'_>) {
        let Back { dy, dx, dw, scratch } = back;
        if self.relu {
            mask(dy, &memory.y);
        }
        let (body, shortcut) = memory.inner.split_at_mut(1);
        let (w_body, w_shortcut) = w.split_at(self.body.parameters());
        let (dw_body, dw_shortcut) = dw.split_at_mut(self.body.parameters());
        let [copy, other] = &mut memory.inner_gradients;
        sized(copy, dy.len()).copy_from_slice(dy);
        let Some(dx) = dx else {
            let back = Back { dy: copy, dx: None, dw: dw_body, scratch };
            self.body.backward(w_body, x, &mut body[0].inner, back);
            let back = Back { dy, dx: None, dw: dw_shortcut, scratch };
            self.shortcut.backward(w_shortcut, x, &mut shortcut[0].inner, back);
            return;
        };
        let back = Back { dy: copy, dx: Some(dx), dw: dw_body, scratch };
        self.body.backward(w_body, x, &mut body[0].inner, back);
        if self.shortcut.0.is_empty() {
            super::vector::add(dx, dy);
        } else {
            let back = Back { dy, dx: Some(other), dw: dw_shortcut, scratch };
            self.shortcut.backward(w_shortcut, x, &mut shortcut[0].inner, back);
            super::vector::add(dx, other);
        }
    }
}

super::vector::vectorized! {
    /// `y = max(a + b, floor)`, where NaN stays NaN.
    fn join(y: &mut [f32], a: &[f32], b: &[f32], floor: f32) {
        for ((y, a), b) in y.iter_mut().zip(a).zip(b) {
            let sum = a + b;
            *y = if sum < floor { floor } else { sum };
        }
    }

    /// Clears the gradients of outputs that the rectifier set to zero.
    pub(super) fn mask(dy: &mut [f32], y: &[f32]) {
        for (d, y) in dy.iter_mut().zip(y) {
            *d = if *y == 0.0 { 0.0 } else { *d };
        }
    }
}
