//! Language models over bytes: each byte of a text is foretold from those before it.

use std::sync::Arc;

use super::training::{self, Source};
use super::{
    Batch, Embedding, Network, Opened, ParameterSpec, Part, Problem, Score, Task, Workload,
};
use crate::data::{self, Text};
use crate::rng::{Purpose, Stream};
use crate::{Error, Result};

/// How large a model is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    /// Bytes that the model sees at most.
    pub context: usize,
    /// Numbers per byte inside the model.
    pub width: usize,
    /// Blocks of attention and perceptron.
    pub blocks: usize,
    /// Heads of the attention.
    pub heads: usize,
}

/// Windows that an evaluation takes at most, spread evenly: of the training and validation text, and of
/// the test text.
const WINDOWS: [usize; 2] = [256, 1_024];

/// A model and the text it learns.
struct Language {
    task: &'static Task,
    network: Network,
    context: usize,
    text: Arc<Text>,
    /// The number of each byte.
    numbers: Vec<u8>,
}

/// Loads the task's text for a model of this size.
pub(super) fn open(task: &'static Task, size: Size) -> Opened {
    let text = data::text(task.data)?;
    let shortest = [&text.train, &text.validation, &text.test].map(Vec::len).into_iter().min();
    let shortest = shortest.unwrap_or_default();
    let least = size.context + 1;
    if shortest < least {
        return Err(Error::usage(
            format!(
                "the text `{}` is too short for `{}`: one of its parts has {shortest} bytes, and it \
                 takes at least {least}",
                text.name, task.name
            ),
            format!("take in a file of at least {} bytes with `thalweg data add`", 20 * least),
        ));
    }
    let (numbers, vocabulary) = alphabet(&text.train);
    let embedding = Embedding { vocabulary, context: size.context, width: size.width };
    let network = Network::gpt(embedding, size.blocks, size.heads);
    Ok(Arc::new(Language { task, network, context: size.context, text, numbers }))
}

/// Numbers the bytes that occur in `text`, in their order; all others share the number after them.
/// Returns a number for each of the 256 bytes, and how many there are.
fn alphabet(text: &[u8]) -> (Vec<u8>, usize) {
    let mut occurs = [false; 256];
    text.iter().for_each(|b| occurs[usize::from(*b)] = true);
    let known = occurs.iter().filter(|o| **o).count();
    let mut next = 0;
    let numbers = occurs.iter().map(|occurs| {
        let own = if *occurs { next } else { known.min(255) };
        next += usize::from(*occurs);
        own as u8
    });
    (numbers.collect(), (known + 1).min(256))
}

impl Language {
    fn part(&self, part: Part) -> &[u8] {
        match part {
            Part::Train => &self.text.train,
            Part::Validation => &self.text.validation,
            Part::Test => &self.text.test,
        }
    }

    /// The windows that an evaluation of `part` takes.
    fn windows(&self, part: Part) -> usize {
        let most = WINDOWS[usize::from(part == Part::Test)];
        (self.last(part) / self.context + 1).min(most)
    }

    /// Where the last window of `part` begins.
    fn last(&self, part: Part) -> usize {
        self.part(part).len() - self.context - 1
    }

    /// Fills `batch` with the windows of `text` that begin at `starts`.
    fn fill(&self, batch: &mut Batch, text: &[u8], starts: impl Iterator<Item = usize>) {
        batch.tokens.clear();
        batch.labels.clear();
        let number = |byte: &u8| self.numbers[usize::from(*byte)];
        for start in starts {
            let window = &text[start..start + self.context + 1];
            batch.tokens.extend(window[..self.context].iter().map(|b| u32::from(number(b))));
            batch.labels.extend(window[1..].iter().map(number));
        }
    }
}

impl Workload for Language {
    fn problem(self: Arc<Self>, seed: u64) -> Result<Box<dyn Problem>> {
        let windows = Windows { seed, language: Arc::clone(&self) };
        Ok(training::problem(self.task, &self.network, seed, windows))
    }

    fn parameters(&self) -> Vec<ParameterSpec> {
        self.network.parameters()
    }

    fn examples(&self) -> [usize; 3] {
        [Part::Train, Part::Validation, Part::Test].map(|part| self.part(part).len())
    }

    fn evaluated(&self) -> [usize; 2] {
        [Part::Validation, Part::Test].map(|part| self.context * self.windows(part))
    }

    fn unit(&self) -> String {
        format!("bytes in windows of {}", self.context)
    }

    fn data_sha256(&self) -> String {
        self.text.sha256.clone()
    }
}

/// Windows of a text.
struct Windows {
    language: Arc<Language>,
    seed: u64,
}

impl Source for Windows {
    fn draw(&mut self, step: usize, batch: &mut Batch) {
        let language = &self.language;
        let text = &language.text.train;
        let task = language.task;
        let mut stream = Stream::new(task.name, self.seed, Purpose::Order, step as u64);
        let places = u32::try_from(text.len() - language.context).unwrap_or(u32::MAX);
        let starts = (0..task.batch).map(|_| stream.below(places) as usize);
        language.fill(batch, text, starts);
    }

    fn pieces(&self, part: Part) -> usize {
        self.language.windows(part).div_ceil(self.language.task.batch)
    }

    fn piece(&self, part: Part, index: usize, batch: &mut Batch) {
        let language = &self.language;
        let (last, count, size) =
            (language.last(part), language.windows(part), language.task.batch);
        let windows = index * size..((index + 1) * size).min(count);
        let starts = windows.map(|i| last * i / (count - 1).max(1));
        language.fill(batch, language.part(part), starts);
    }

    /// The perplexity.
    fn metric(&self, score: &Score) -> f64 {
        score.loss().exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::Gradient;

    fn opened() -> Box<dyn Problem> {
        let task = super::super::select(&["lm-lincoln".to_owned()], None).unwrap()[0];
        (task.open)(task).unwrap().problem(1).unwrap()
    }

    #[test]
    fn what_is_evaluated_is_counted_in_bytes() {
        let task = super::super::select(&["lm-lincoln".to_owned()], None).unwrap()[0];
        let workload = (task.open)(task).unwrap();
        let ([_, validation, test], evaluated) = (workload.examples(), workload.evaluated());
        assert_eq!(workload.unit(), "bytes in windows of 32");
        for (evaluated, all) in evaluated.into_iter().zip([validation, test]) {
            assert!(evaluated <= all && evaluated > all - 33, "{evaluated} of {all}");
        }
        let more = data::text("lincoln").unwrap().train.repeat(3);
        let text = Arc::new(Text { test: more, ..(*data::text("lincoln").unwrap()).clone() });
        let network = Network::mlp(&[1, 1]);
        let language = Language { task, network, context: 32, text, numbers: Vec::new() };
        assert_eq!(language.evaluated()[1], 1_024 * 32);
    }

    #[test]
    fn bytes_that_do_not_occur_share_a_number() {
        let (numbers, count) = alphabet(b"banana");
        assert_eq!((numbers[97], numbers[98], numbers[110], numbers[0], count), (0, 1, 2, 3, 4));
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(alphabet(&all), (all.clone(), 256));
    }

    #[test]
    fn a_gradient_depends_on_its_step_only_and_starts_at_chance() {
        let (mut one, mut other) = (opened(), opened());
        let mut values = one.initial_values();
        let mut gradients = vec![Gradient::default(); values.len()];
        one.prepare(3).unwrap();
        let first = one.gradient(3, &mut values, &mut gradients).unwrap();
        let kept = gradients.clone();
        other.prepare(9).unwrap();
        other.gradient(9, &mut values, &mut gradients).unwrap();
        assert_ne!(kept, gradients);
        other.prepare(3).unwrap();
        assert_eq!(other.gradient(3, &mut values, &mut gradients).unwrap(), first);
        assert_eq!(kept, gradients);
        let chance = (values[0].len() as f64 / 32.0).ln();
        assert!((first - chance).abs() < 0.5, "{first}, at random {chance}");
    }

    #[test]
    fn descent_learns_the_frequencies_of_letters() {
        let mut problem = opened();
        let mut values = problem.initial_values();
        let mut gradients = vec![Gradient::default(); values.len()];
        let before = problem.evaluate(Part::Validation, &mut values).unwrap();
        assert_eq!(before.metric, Some(before.loss.exp()));
        for step in 0..60 {
            problem.prepare(step).unwrap();
            problem.gradient(step, &mut values, &mut gradients).unwrap();
            for (values, gradient) in values.iter_mut().zip(&gradients) {
                values.iter_mut().zip(gradient.values()).for_each(|(v, g)| *v -= 0.5 * g);
            }
        }
        let after = problem.evaluate(Part::Validation, &mut values).unwrap();
        // The entropy of single English letters, spaces and marks is about 3 nats.
        assert!(after.loss < 3.2 && after.loss < before.loss - 0.8, "{before:?} {after:?}");
    }
}
