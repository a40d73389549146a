//! Networks that classify images.

use std::sync::Arc;

use super::engine::NetworkModel;
use super::{
    Batch, Batches, Gradient, Measurement, Model, Network, ParameterSpec, Part, Problem, Score,
    Task, Workload,
};
use crate::Result;
use crate::data::{self, DataSet, Examples};

/// Examples evaluated at once: few enough to stay in the cache.
const CHUNK: usize = 250;

/// A network and the images it learns.
struct Images {
    task: &'static Task,
    network: Network,
    data: Arc<DataSet>,
}

/// Loads the task's data set for this network.
pub(super) fn open(task: &'static Task, network: Network) -> Result<Arc<dyn Workload>> {
    Ok(Arc::new(Images { task, network, data: data::shared(task.data)? }))
}

impl Workload for Images {
    fn problem(self: Arc<Self>, seed: u64) -> Result<Box<dyn Problem>> {
        let count = self.data.train.len();
        Ok(Box::new(Classification {
            model: NetworkModel::new(&self.network, 1),
            batches: Batches::new(self.task.name, seed, count, self.task.batch),
            batch: Batch::default(),
            dense: Vec::new(),
            seed,
            images: self,
        }))
    }

    fn parameters(&self) -> Vec<ParameterSpec> {
        self.network.parameters()
    }

    fn examples(&self) -> [usize; 3] {
        [self.data.train.len(), self.data.validation.len(), self.data.test.len()]
    }

    fn data_sha256(&self) -> String {
        self.data.sha256.clone()
    }
}

struct Classification {
    images: Arc<Images>,
    model: NetworkModel,
    batches: Batches,
    batch: Batch,
    dense: Vec<Vec<f32>>,
    seed: u64,
}

impl Problem for Classification {
    fn parameters(&self) -> &[ParameterSpec] {
        self.model.parameters()
    }

    fn initial_values(&self) -> Vec<Vec<f32>> {
        self.images.network.initial_values(self.images.task.name, self.seed)
    }

    fn prepare(&mut self, step: usize) -> Result<()> {
        let data = &self.images.data;
        fill(&mut self.batch, data, &data.train, self.batches.at(step));
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
        let data = &self.images.data;
        let examples = match part {
            Part::Train => &data.train,
            Part::Validation => &data.validation,
            Part::Test => &data.test,
        };
        let indices: Vec<u32> = (0..examples.len() as u32).collect();
        let mut total = Score::default();
        for chunk in indices.chunks(CHUNK) {
            fill(&mut self.batch, data, examples, chunk);
            total += self.model.evaluate(values, &self.batch)?;
        }
        Ok(Measurement { loss: total.loss(), metric: Some(total.accuracy()) })
    }
}

/// Fills `batch` with the normalised examples at `indices`.
fn fill(batch: &mut Batch, data: &DataSet, examples: &Examples, indices: &[u32]) {
    let pixels = data.pixels();
    batch.inputs.clear();
    batch.labels.clear();
    for &i in indices {
        let image = &examples.images[i as usize * pixels..][..pixels];
        data.normalise(image, &mut batch.inputs);
        batch.labels.push(examples.labels[i as usize]);
    }
}
