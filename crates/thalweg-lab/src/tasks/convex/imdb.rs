//! Logistic regression on sets of words. A review touches the weights of its own words only, so gradients
//! are rows.

use std::sync::Arc;

use crate::Result;
use crate::data::{self, Bags, Reviews};
use crate::tasks::{Batches, Gradient, Measurement, ParameterSpec, Part, Problem, Task, Workload};

struct Imdb {
    task: &'static Task,
    reviews: Arc<Reviews>,
}

pub(super) fn open(task: &'static Task) -> Result<Arc<dyn Workload>> {
    Ok(Arc::new(Imdb { task, reviews: data::reviews()? }))
}

impl Workload for Imdb {
    fn problem(self: Arc<Self>, seed: u64) -> Result<Box<dyn Problem>> {
        let words = self.reviews.vocabulary.len();
        Ok(Box::new(Logistic {
            specs: self.parameters(),
            batches: Batches::new(self.task.name, seed, self.reviews.train.len(), self.task.batch),
            batch: Vec::new(),
            sums: vec![0.0; words],
            touched: Vec::new(),
            imdb: self,
        }))
    }

    fn parameters(&self) -> Vec<ParameterSpec> {
        let words = self.reviews.vocabulary.len();
        let spec = |name: &str, count: usize| ParameterSpec {
            name: name.to_owned(),
            shape: vec![count],
            fan_in: words,
        };
        vec![spec("weight", words), spec("bias", 1)]
    }

    fn examples(&self) -> [usize; 3] {
        [&self.reviews.train, &self.reviews.validation, &self.reviews.test].map(Bags::len)
    }

    fn data_sha256(&self) -> String {
        self.reviews.sha256.clone()
    }
}

struct Logistic {
    imdb: Arc<Imdb>,
    specs: Vec<ParameterSpec>,
    batches: Batches,
    /// The reviews of the step.
    batch: Vec<u32>,
    /// Their words in order, each once.
    touched: Vec<u32>,
    /// The gradient of every word's weight; zero between gradients.
    sums: Vec<f64>,
}

/// The cross-entropy of a review, and its derivative with respect to `logit`.
fn cross_entropy(logit: f64, label: u8) -> (f64, f64) {
    let positive = f64::from(label);
    let loss = logit.max(0.0) - positive * logit + (-logit.abs()).exp().ln_1p();
    (loss, 1.0 / (1.0 + (-logit).exp()) - positive)
}

fn logit(values: &[Vec<f32>], words: &[u32]) -> f64 {
    let weights = words.iter().map(|w| f64::from(values[0][*w as usize]));
    weights.sum::<f64>() + f64::from(values[1][0])
}

impl Problem for Logistic {
    fn parameters(&self) -> &[ParameterSpec] {
        &self.specs
    }

    fn initial_values(&self) -> Vec<Vec<f32>> {
        self.specs.iter().map(|s| vec![0.0; s.len()]).collect()
    }

    fn prepare(&mut self, step: usize) -> Result<()> {
        self.batch.clear();
        self.batch.extend_from_slice(self.batches.at(step));
        let reviews = &self.imdb.reviews.train;
        self.touched.clear();
        self.touched.extend(self.batch.iter().flat_map(|i| reviews.words(*i as usize)));
        self.touched.sort_unstable();
        self.touched.dedup();
        Ok(())
    }

    fn gradient(
        &mut self,
        _: usize,
        values: &mut [Vec<f32>],
        gradients: &mut [Gradient],
    ) -> Result<f64> {
        let reviews = &self.imdb.reviews.train;
        let share = 1.0 / self.batch.len() as f64;
        let (mut loss, mut bias) = (0.0, 0.0);
        for i in self.batch.iter().map(|i| *i as usize) {
            let words = reviews.words(i);
            let (own, slope) = cross_entropy(logit(values, words), reviews.labels[i]);
            loss += share * own;
            bias += share * slope;
            for word in words {
                self.sums[*word as usize] += share * slope;
            }
        }
        let [weight, offset] = gradients else { return Ok(loss) };
        let (rows, slopes) = weight.rows();
        rows.extend_from_slice(&self.touched);
        let sums = &mut self.sums;
        slopes.extend(rows.iter().map(|word| std::mem::take(&mut sums[*word as usize]) as f32));
        let offset = offset.dense();
        offset.clear();
        offset.push(bias as f32);
        Ok(loss)
    }

    fn evaluate(&mut self, part: Part, values: &mut [Vec<f32>]) -> Result<Measurement> {
        let reviews = match part {
            Part::Train => &self.imdb.reviews.train,
            Part::Validation => &self.imdb.reviews.validation,
            Part::Test => &self.imdb.reviews.test,
        };
        let (mut loss, mut correct) = (0.0, 0);
        for (i, label) in reviews.labels.iter().enumerate() {
            let logit = logit(values, reviews.words(i));
            loss += cross_entropy(logit, *label).0;
            correct += usize::from((logit > 0.0) == (*label == 1));
        }
        let count = reviews.len().max(1) as f64;
        Ok(Measurement { loss: loss / count, metric: Some(correct as f64 / count) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem() -> Box<dyn Problem> {
        let mut bags = Bags::default();
        for (words, label) in [(&[0, 2][..], 1), (&[1, 2], 0), (&[0, 1, 3], 1), (&[], 0)] {
            bags.push(words, label);
        }
        let reviews = Reviews {
            vocabulary: ["a", "b", "c", "d", "e"].map(str::to_owned).to_vec(),
            train: bags.clone(),
            validation: bags.clone(),
            test: bags,
            sha256: String::new(),
        };
        let task = crate::tasks::select(&["imdb-logistic".to_owned()], None).unwrap()[0];
        Arc::new(Imdb { task, reviews: Arc::new(reviews) }).problem(1).unwrap()
    }

    #[test]
    fn sparse_gradients_agree_with_differences() {
        let mut problem = problem();
        let mut values = vec![vec![0.5, -0.25, 1.0, 0.125, 9.0], vec![0.25]];
        let mut gradients = vec![Gradient::default(); 2];
        problem.prepare(0).unwrap();
        let loss = problem.gradient(0, &mut values, &mut gradients).unwrap();
        let measured = problem.evaluate(Part::Train, &mut values).unwrap();
        assert!((loss - measured.loss).abs() < 1e-12);
        let Gradient::Rows { rows, .. } = &gradients[0] else { panic!("sparse") };
        assert_eq!(rows, &[0, 1, 2, 3]);
        let h = 1.0 / 256.0;
        for (p, shape) in [vec![5], vec![1]].iter().enumerate() {
            for (i, gradient) in gradients[p].to_dense(shape).iter().enumerate() {
                let mut at = |offset: f32| {
                    let mut moved = values.clone();
                    moved[p][i] += offset;
                    problem.evaluate(Part::Train, &mut moved).unwrap().loss
                };
                let difference = (at(h) - at(-h)) / (2.0 * f64::from(h));
                assert!((difference - f64::from(*gradient)).abs() < 1e-5, "{p} {i}");
            }
        }
    }

    #[test]
    fn an_untouched_buffer_is_clean_at_the_next_step() {
        let mut problem = problem();
        let mut values = problem.initial_values();
        let mut gradients = vec![Gradient::default(); 2];
        problem.prepare(0).unwrap();
        problem.gradient(0, &mut values, &mut gradients).unwrap();
        let first = gradients.clone();
        problem.prepare(0).unwrap();
        problem.gradient(0, &mut values, &mut gradients).unwrap();
        assert_eq!(first, gradients);
        // Two of four reviews are positive, and nothing has been learned.
        let measured = problem.evaluate(Part::Test, &mut values).unwrap();
        assert!((measured.loss - 2f64.ln()).abs() < 1e-12 && measured.metric == Some(0.5));
    }

    #[test]
    fn the_batch_is_drawn_outside_of_the_gradient() {
        let mut problem = problem();
        let mut values = problem.initial_values();
        let mut gradients = vec![Gradient::default(); 2];
        problem.gradient(0, &mut values, &mut gradients).unwrap();
        assert!(gradients[0].values().is_empty(), "nothing was prepared");
        problem.prepare(0).unwrap();
        problem.gradient(0, &mut values, &mut gradients).unwrap();
        assert_eq!(gradients[0].values().len(), 4);
    }

    #[test]
    fn extreme_logits_stay_finite() {
        assert_eq!(cross_entropy(1e6, 1).0, 0.0);
        assert_eq!(cross_entropy(-1e6, 1), (1e6, -1.0));
        assert!((cross_entropy(0.0, 0).1 - 0.5).abs() < 1e-15);
    }
}
