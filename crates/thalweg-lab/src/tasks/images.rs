//! Networks that classify images.

use std::sync::Arc;

pub(super) use super::augment::Augmentation;
use super::training::{self, Source};
use super::{Batch, Batches, Network, Opened, ParameterSpec, Part, Problem, Score, Task, Workload};
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
        let classes = Classified {
            batches: Batches::new(self.task.name, seed, count, self.task.batch),
            changed: Vec::new(),
            seed,
            images: Arc::clone(&self),
        };
        Ok(training::problem(self.task, &self.network, seed, classes))
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

struct Classified {
    images: Arc<Images>,
    batches: Batches,
    /// The bytes of an image after augmentation.
    changed: Vec<u8>,
    seed: u64,
}

impl Classified {
    fn part(&self, part: Part) -> &Examples {
        let data = &self.images.data;
        match part {
            Part::Train => &data.train,
            Part::Validation => &data.validation,
            Part::Test => &data.test,
        }
    }
}

impl Source for Classified {
    fn draw(&mut self, step: usize, batch: &mut Batch) {
        let images = &self.images;
        let (data, task) = (&images.data, images.task);
        let indices = self.batches.at(step);
        let first = (step * indices.len()) as u64;
        fill(batch, data, &data.train, indices.iter().copied(), |i, image, inputs| {
            let Some(augmentation) = images.augmentation else {
                return data.normalise(image, inputs);
            };
            self.changed.clear();
            let change = augmentation.change(task.name, self.seed, first + i as u64);
            change.apply(image, data.shape, &mut self.changed);
            data.normalise(&self.changed, inputs);
        });
    }

    fn pieces(&self, part: Part) -> usize {
        self.part(part).len().div_ceil(CHUNK)
    }

    fn piece(&self, part: Part, index: usize, batch: &mut Batch) {
        let (data, examples) = (&self.images.data, self.part(part));
        let first = index * CHUNK;
        let indices = first as u32..(first + CHUNK).min(examples.len()) as u32;
        fill(batch, data, examples, indices, |_, image, inputs| data.normalise(image, inputs));
    }

    fn metric(&self, score: &Score) -> f64 {
        score.accuracy()
    }
}

/// Fills `batch` with the examples at `indices`; `append` turns the i-th image into inputs.
fn fill(
    batch: &mut Batch,
    data: &DataSet,
    examples: &Examples,
    indices: impl Iterator<Item = u32>,
    mut append: impl FnMut(usize, &[u8], &mut Vec<f32>),
) {
    let pixels = data.pixels();
    batch.inputs.clear();
    batch.labels.clear();
    for (i, index) in indices.enumerate() {
        append(i, &examples.images[index as usize * pixels..][..pixels], &mut batch.inputs);
        batch.labels.push(examples.labels[index as usize]);
    }
}
