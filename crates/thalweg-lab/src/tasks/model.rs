//! The one door between the laboratory and whatever computes gradients.

use crate::Result;

/// Name and shape of a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterSpec {
    /// A stable name such as `fc1.weight`.
    pub name: String,
    /// Its dimensions; a weight is `[outputs, inputs, …]`.
    pub shape: Vec<usize>,
    /// The number of inputs that one output sums over; sets the scale of the initial values.
    pub fan_in: usize,
}

impl ParameterSpec {
    /// The number of coordinates.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are no coordinates.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Inputs and labels of a few examples.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// Normalised inputs, one example after another; empty if the model reads tokens.
    pub inputs: Vec<f32>,
    /// Tokens, one sequence after another; empty if the model reads numbers.
    pub tokens: Vec<u32>,
    /// The class of each row of the model's output: one per example, or one per token.
    pub labels: Vec<u8>,
}

/// How well a model does on some examples.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Score {
    /// The sum of the examples' cross-entropies, in nats.
    pub loss_sum: f64,
    /// How many examples were classified correctly.
    pub correct: usize,
    /// The number of examples.
    pub count: usize,
}

impl Score {
    /// The mean cross-entropy.
    pub fn loss(&self) -> f64 {
        self.loss_sum / self.count as f64
    }

    /// The share of examples classified correctly.
    pub fn accuracy(&self) -> f64 {
        self.correct as f64 / self.count as f64
    }
}

impl std::ops::AddAssign for Score {
    fn add_assign(&mut self, other: Score) {
        self.loss_sum += other.loss_sum;
        self.correct += other.correct;
        self.count += other.count;
    }
}

/// A model with named parameters that someone else owns and updates.
///
/// `values` and `gradients` hold one buffer per entry of [`Model::parameters`], in that order. An
/// implementation may move the buffers elsewhere during a call, but must put back buffers of the same
/// length: the values unchanged, the gradients overwritten. After an error their content is lost.
pub trait Model: Send {
    /// Names and shapes of the parameters.
    fn parameters(&self) -> &[ParameterSpec];

    /// The mean loss over `batch` at `values`; its gradients are written to `gradients`.
    fn loss_and_gradients(
        &mut self,
        values: &mut [Vec<f32>],
        batch: &Batch,
        gradients: &mut [Vec<f32>],
    ) -> Result<f32>;

    /// Loss and accuracy over `batch` at `values`, without gradients.
    fn evaluate(&mut self, values: &mut [Vec<f32>], batch: &Batch) -> Result<Score>;
}
