//! CIFAR-10, from a package that keeps each batch as one picture of 10,000 rows, a row per image.

use super::images::{Examples, Layout};
use super::{expect, member};
use crate::data::arrays::Arrays;
use crate::data::fetch::Member;

/// CIFAR-10.
pub(in crate::data) const CIFAR10: Layout = Layout {
    name: "cifar10",
    shape: [3, 32, 32],
    counts: [50_000, 10_000],
    moments: &[[0.491_40, 0.247_03], [0.482_16, 0.243_49], [0.446_53, 0.261_59]],
};

/// Pixels of an image, and images of a batch.
const PIXELS: usize = 32 * 32;
const BATCH: usize = 10_000;

/// The pictures, with the SHA-256 of the batch as the original distribution's binary version has it.
const BATCHES: [(&str, &str); 6] = [
    ("data_batch_1.png", "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5"),
    ("data_batch_2.png", "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed"),
    ("data_batch_3.png", "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67"),
    ("data_batch_4.png", "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48"),
    ("data_batch_5.png", "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add"),
    ("test_batch.png", "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b"),
];

/// The labels; the spelling is the package's.
const LABELS: [&str; 2] = ["train_lables.json", "test_lables.json"];

pub(in crate::data) fn wanted(path: &str) -> bool {
    BATCHES.iter().any(|(f, _)| path.ends_with(f)) || LABELS.iter().any(|f| path.ends_with(f))
}

pub(in crate::data) fn convert(members: &[Member]) -> Result<Arrays, String> {
    let labels = |file: &str| -> Result<Vec<u8>, String> {
        let file = member(members, file)?;
        serde_json::from_slice(&file.bytes).map_err(|e| format!("{}: {e}", file.path))
    };
    let mut parts = [0, 1].map(|_| Examples { images: Vec::new(), labels: Vec::new() });
    for (part, file) in parts.iter_mut().zip(LABELS) {
        part.labels = labels(file)?;
    }
    for (i, (file, sha256)) in BATCHES.iter().enumerate() {
        let (part, first) = (usize::from(i == 5), i % 5 * BATCH);
        let labels = parts[part].labels.get(first..first + BATCH);
        let labels = labels.ok_or_else(|| format!("{} ends too soon", LABELS[part]))?;
        let images = planes(&member(members, file)?.bytes).map_err(|e| format!("{file}: {e}"))?;
        let canonical: Vec<u8> = labels
            .iter()
            .zip(images.chunks_exact(3 * PIXELS))
            .flat_map(|(label, image)| std::iter::once(label).chain(image))
            .copied()
            .collect();
        expect(&format!("the images and labels of {file}"), &canonical, sha256)?;
        parts[part].images.extend(images);
    }
    Ok(CIFAR10.store(parts))
}

/// The images of a picture, channel by channel.
fn planes(picture: &[u8]) -> Result<Vec<u8>, String> {
    let decoder = png::Decoder::new(std::io::Cursor::new(picture));
    let mut reader = decoder.read_info().map_err(|e| e.to_string())?;
    let info = reader.info();
    let expected = (PIXELS as u32, BATCH as u32, png::ColorType::Rgb, png::BitDepth::Eight);
    if (info.width, info.height, info.color_type, info.bit_depth) != expected {
        return Err(format!(
            "it is a picture of {}x{}, expected {PIXELS}x{BATCH} in 8-bit RGB",
            info.width, info.height
        ));
    }
    let mut pixels = vec![0; 3 * PIXELS * BATCH];
    reader.next_frame(&mut pixels).map_err(|e| e.to_string())?;
    let mut planes = Vec::with_capacity(pixels.len());
    for image in pixels.chunks_exact(3 * PIXELS) {
        for channel in 0..3 {
            planes.extend(image.iter().skip(channel).step_by(3));
        }
    }
    Ok(planes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(width: u32, height: u32, pixels: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width, height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.write_header().unwrap().write_image_data(pixels).unwrap();
        bytes
    }

    #[test]
    fn rows_of_a_picture_become_channels_of_images() {
        let mut pixels = vec![0; 3 * PIXELS * BATCH];
        pixels[3 * PIXELS..3 * PIXELS + 6].copy_from_slice(&[1, 2, 3, 4, 5, 6]);
        let planes = planes(&picture(PIXELS as u32, BATCH as u32, &pixels)).unwrap();
        let image = &planes[3 * PIXELS..];
        assert_eq!([image[0], image[1], image[PIXELS], image[2 * PIXELS + 1]], [1, 4, 2, 6]);
    }

    #[test]
    fn other_files_are_refused() {
        assert!(planes(&picture(2, 1, &[0; 6])).unwrap_err().contains("2x1"));
        assert!(planes(b"no picture").is_err());
        assert!(convert(&[]).unwrap_err().contains("train_lables.json"));
        let blank = picture(PIXELS as u32, BATCH as u32, &vec![0; 3 * PIXELS * BATCH]);
        let labels = serde_json::to_vec(&vec![0; 5 * BATCH]).unwrap();
        let mut members: Vec<Member> = BATCHES
            .iter()
            .map(|(f, _)| Member { path: (*f).to_owned(), bytes: blank.clone() })
            .collect();
        members.extend(LABELS.map(|f| Member { path: f.to_owned(), bytes: labels.clone() }));
        let error = convert(&members).unwrap_err();
        assert!(error.contains("data_batch_1.png") && error.contains("SHA-256"), "{error}");
    }
}
