//! A network in training: what does not depend on where its examples come from.

use super::engine::NetworkModel;
use super::{
    Batch, Gradient, Measurement, Model, Network, ParameterSpec, Part, Problem, Score, Task,
};
use crate::Result;

/// The examples of a network, as a run sees them.
pub(super) trait Source: Send {
    /// Fills `batch` with the examples of gradient evaluation `step`.
    fn draw(&mut self, step: usize, batch: &mut Batch);

    /// In how many pieces a part is evaluated.
    fn pieces(&self, part: Part) -> usize;

    /// Fills `batch` with a piece of a part.
    fn piece(&self, part: Part, index: usize, batch: &mut Batch);

    /// The task's metric.
    fn metric(&self, score: &Score) -> f64;
}

struct Training<S> {
    source: S,
    start: Vec<Vec<f32>>,
    model: NetworkModel,
    batch: Batch,
    /// Room for the gradients while the model computes them.
    dense: Vec<Vec<f32>>,
}

/// The run of a seed: `network` on the examples of `source`.
pub(super) fn problem<S: Source + 'static>(
    task: &Task,
    network: &Network,
    seed: u64,
    source: S,
) -> Box<dyn Problem> {
    Box::new(Training {
        source,
        start: network.initial_values(task.name, seed),
        model: NetworkModel::new(network, 1),
        batch: Batch::default(),
        dense: Vec::new(),
    })
}

impl<S: Source> Problem for Training<S> {
    fn parameters(&self) -> &[ParameterSpec] {
        self.model.parameters()
    }

    fn initial_values(&self) -> Vec<Vec<f32>> {
        self.start.clone()
    }

    fn prepare(&mut self, step: usize) -> Result<()> {
        self.source.draw(step, &mut self.batch);
        Ok(())
    }

    fn gradient(
        &mut self,
        _: usize,
        values: &mut [Vec<f32>],
        gradients: &mut [Gradient],
    ) -> Result<f64> {
        self.dense.clear();
        self.dense.extend(gradients.iter_mut().map(|g| std::mem::take(g.dense())));
        let loss = self.model.loss_and_gradients(values, &self.batch, &mut self.dense)?;
        for (gradient, dense) in gradients.iter_mut().zip(&mut self.dense) {
            *gradient.dense() = std::mem::take(dense);
        }
        Ok(f64::from(loss))
    }

    fn evaluate(&mut self, part: Part, values: &mut [Vec<f32>]) -> Result<Measurement> {
        let mut total = Score::default();
        for index in 0..self.source.pieces(part) {
            self.source.piece(part, index, &mut self.batch);
            total += self.model.evaluate(values, &self.batch)?;
        }
        Ok(Measurement { loss: total.loss(), metric: Some(self.source.metric(&total)) })
    }
}
