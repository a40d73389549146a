//! Which examples each gradient evaluation sees.

use crate::rng::{Purpose, Stream};

/// The order of the training examples: a fresh permutation per epoch, the incomplete last batch left
/// out. The batch of a step depends on task, seed and step only.
#[derive(Debug, Clone)]
pub struct Batches {
    task: &'static str,
    seed: u64,
    count: usize,
    size: usize,
    /// The epoch that `order` is of.
    epoch: Option<usize>,
    order: Vec<u32>,
}

impl Batches {
    /// Batches of `size` out of `count` examples (all of them if there are fewer). `count` and `size`
    /// must not be zero.
    pub fn new(task: &'static str, seed: u64, count: usize, size: usize) -> Self {
        Batches { task, seed, count, size: size.min(count).max(1), epoch: None, order: Vec::new() }
    }

    /// The indices of the examples of gradient evaluation `step`, from 0.
    pub fn at(&mut self, step: usize) -> &[u32] {
        let per_epoch = (self.count / self.size).max(1);
        let (epoch, batch) = (step / per_epoch, step % per_epoch);
        if self.epoch != Some(epoch) {
            let mut stream = Stream::new(self.task, self.seed, Purpose::Order, epoch as u64);
            self.order = stream.permutation(self.count);
            self.epoch = Some(epoch);
        }
        &self.order[batch * self.size..][..self.size]
    }

    /// The number of the epoch that `step` belongs to, from 0.
    pub fn epoch(&self, step: usize) -> usize {
        step / (self.count / self.size).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_depends_on_its_step_only() {
        let mut forward = Batches::new("t", 1, 10, 3);
        let all: Vec<Vec<u32>> = (0..9).map(|step| forward.at(step).to_vec()).collect();
        let mut backward = Batches::new("t", 1, 10, 3);
        for step in (0..9).rev() {
            assert_eq!(backward.at(step), all[step]);
        }
        assert_ne!(all[..3], all[3..6]);
    }

    #[test]
    fn an_epoch_sees_no_example_twice() {
        let mut batches = Batches::new("t", 1, 10, 3);
        let mut seen: Vec<u32> = (0..3).flat_map(|step| batches.at(step).to_vec()).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!((seen.len(), batches.epoch(2), batches.epoch(3)), (9, 0, 1));
    }

    #[test]
    fn few_examples_are_one_batch() {
        assert_eq!(Batches::new("t", 1, 2, 64).at(5).len(), 2);
    }
}
