//! Networks that classify images.

use std::sync::Arc;

pub(super) use super::augment::Augmentation;
use super::engine::NetworkModel;
use super::{
    Batch, Batches, Gradient, Measurement, Model, Network, Opened, ParameterSpec, Part, Problem,
    Score, Task, Workload,
};
use crate::Result;
use crate::data::{self, DataSet, Examples};

/// Examples evaluated at once: few enough to stay in the cache.
const CHUNK: usize = 250;

/// A network and the images it learns.
struct Images {
    task: &'static Task,
    network: Network,
    /// How training images are changed, if at all.
    augmentation: Option<Augmentation>,
    data: Arc<DataSet>,
}

/// Loads the task's data set for this network.
pub(super) fn open(
    task: &'static Task,
    network: Network,
    augmentation: Option<Augmentation>,
) -> Opened {
    Ok(Arc::new(Images { task, network, augmentation, data: data::shared(task.data)? }))
}

impl Workload for Images {
    fn problem(self: Arc<Self>, seed: u64) -> Result<Box<dyn Problem>> {
        let count = self.data.train.len();
        Ok(Box::new(Classification {
            model: NetworkModel::new(&self.network, 1),
            batches: Batches::new(self.task.name, seed, count, self.task.batch),
            batch: Batch::default(),
            dense: Vec::new(),
            changed: Vec::new(),
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
    /// The bytes of an image after augmentation.
    changed: Vec<u8>,
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
        let images = &self.images;
        let (data, task) = (&images.data, images.task);
        let indices = self.batches.at(step);
        let first = (step * indices.len()) as u64;
        fill(&mut self.batch, data, &data.train, indices, |i, image, inputs| {
            let Some(augmentation) = images.augmentation else {
                return data.normalise(image, inputs);
            };
            self.changed.clear();
            let change = augmentation.change(task.name, self.seed, first + i as u64);
            change.apply(image, data.shape, &mut self.changed);
            data.normalise(&self.changed, inputs);
        });
        Ok(())
    }

    fn gradient(
        &mut self,
        _: usize,
        values: &mut [Vec<f32>],
        gradients: &mut [Gradient],
    ) -> Result<f64> {
        dense_gradient(&mut self.model, values, &self.batch, gradients, &mut self.dense)
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
            fill(&mut self.batch, data, examples, chunk, |_, image, inputs| {
                data.normalise(image, inputs);
            });
            total += self.model.evaluate(values, &self.batch)?;
        }
        Ok(Measurement { loss: total.loss(), metric: Some(total.accuracy()) })
    }
}

/// Fills `batch` with the examples at `indices`; `append` turns the i-th image into inputs.
fn fill(
    batch: &mut Batch,
    data: &DataSet,
    examples: &Examples,
    indices: &[u32],
    mut append: impl FnMut(usize, &[u8], &mut Vec<f32>),
) {
    let pixels = data.pixels();
    batch.inputs.clear();
    batch.labels.clear();
    for (i, &index) in indices.iter().enumerate() {
        append(i, &examples.images[index as usize * pixels..][..pixels], &mut batch.inputs);
        batch.labels.push(examples.labels[index as usize]);
    }
}

/// The loss and the gradients of a model, all of them dense; `dense` is a buffer.
pub(super) fn dense_gradient(
    model: &mut NetworkModel,
    values: &mut [Vec<f32>],
    batch: &Batch,
    gradients: &mut [Gradient],
    dense: &mut Vec<Vec<f32>>,
) -> Result<f64> {
    dense.clear();
    dense.extend(gradients.iter_mut().map(|g| std::mem::take(g.dense())));
    let loss = model.loss_and_gradients(values, batch, dense)?;
    for (gradient, dense) in gradients.iter_mut().zip(dense) {
        *gradient.dense() = std::mem::take(dense);
    }
    Ok(f64::from(loss))
}
