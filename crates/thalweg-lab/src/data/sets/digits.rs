//! The digits that ship inside the program.

use super::images::{DataSet, Examples, divide};
use super::intact;
use crate::{Error, Result};

/// See `digits.LICENSE.md` for origin, licence and layout.
static BYTES: &[u8] = include_bytes!("digits.u8");
const SHA256: &str = "68aea062d35a127749050fa0e52dca09d6569ac08092c925610e0954e172dde2";
const PIXELS: usize = 64;

/// Sizes of the training, validation and test parts.
const PARTS: [usize; 3] = [1_077, 360, 360];

pub(in crate::data) fn load() -> Result<DataSet> {
    let [train, validation, test] = divide("digits", &parse(BYTES)?, PARTS);
    Ok(DataSet {
        name: "digits",
        shape: [1, 8, 8],
        classes: 10,
        normal: vec![[1.0 / 16.0, 0.0]],
        train,
        validation,
        test,
        sha256: SHA256.to_owned(),
    })
}

/// All digits in the order of their source.
pub(in crate::data) fn in_order() -> Result<Examples> {
    parse(BYTES)
}

pub(in crate::data) fn verify() -> Result<String> {
    intact("the digits", BYTES, SHA256)
}

fn parse(bytes: &[u8]) -> Result<Examples> {
    let damaged = |what: &str| {
        Error::failed(
            format!("the digits inside the program are damaged: {what}"),
            "install or build the program again",
        )
    };
    if bytes.len() != PARTS.iter().sum::<usize>() * (PIXELS + 1) {
        return Err(damaged("wrong length"));
    }
    let mut examples = Examples { images: Vec::new(), labels: Vec::new() };
    for record in bytes.chunks_exact(PIXELS + 1) {
        let (pixels, label) = record.split_at(PIXELS);
        if label[0] > 9 || pixels.iter().any(|p| *p > 16) {
            return Err(damaged("a value is out of range"));
        }
        examples.images.extend_from_slice(pixels);
        examples.labels.push(label[0]);
    }
    Ok(examples)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embedded_digits_are_intact_and_complete() {
        verify().unwrap();
        let all = parse(BYTES).unwrap();
        assert_eq!(all.labels[..10], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        let counts = (0..10).map(|c| all.labels.iter().filter(|l| **l == c).count());
        // The class sizes published with the data set.
        assert!(counts.eq([178, 182, 177, 183, 181, 182, 181, 179, 174, 180]));
    }

    #[test]
    fn parts_are_disjoint_and_cover_everything() {
        let data = load().unwrap();
        let mut all: Vec<&[u8]> = Vec::new();
        for part in [&data.train, &data.validation, &data.test] {
            all.extend(part.images.chunks_exact(PIXELS));
        }
        all.sort_unstable();
        let mut whole: Vec<&[u8]> = BYTES.chunks_exact(PIXELS + 1).map(|r| &r[..PIXELS]).collect();
        whole.sort_unstable();
        assert_eq!(all, whole);
        assert!((0..10).all(|c| data.test.labels.contains(&c)));
    }

    #[test]
    fn damage_is_noticed() {
        assert!(intact("the digits", &BYTES[1..], SHA256).unwrap_err().problem().contains(SHA256));
        assert!(parse(&BYTES[1..]).unwrap_err().problem().contains("wrong length"));
        let mut bytes = BYTES.to_vec();
        bytes[64] = 10;
        assert!(parse(&bytes).unwrap_err().problem().contains("out of range"));
    }
}
