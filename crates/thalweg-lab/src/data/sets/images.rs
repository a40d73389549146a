//! Images with labels, divided into parts.

use crate::data::arrays::Arrays;
use crate::rng::{Purpose, Stream};

/// Images with labels, stored as bytes and normalised when a batch is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examples {
    /// Pixels, one image after another, each channel by channel and row by row.
    pub images: Vec<u8>,
    /// The class of each image.
    pub labels: Vec<u8>,
}

impl Examples {
    /// The number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The images at `indices`, in that order.
    fn select(&self, indices: &[u32]) -> Examples {
        let pixels = self.images.len() / self.len().max(1);
        let mut images = Vec::with_capacity(indices.len() * pixels);
        for &i in indices {
            images.extend_from_slice(&self.images[i as usize * pixels..][..pixels]);
        }
        Examples { images, labels: indices.iter().map(|&i| self.labels[i as usize]).collect() }
    }
}

/// Images divided for training, selection and the final report.
#[derive(Debug, Clone)]
pub struct DataSet {
    /// The name under which [`load`](crate::data::load) finds it.
    pub name: &'static str,
    /// Channels, height and width of an image.
    pub shape: [usize; 3],
    /// The number of classes.
    pub classes: usize,
    /// A pixel byte `p` of a channel becomes the input `p * scale + offset`; one pair per channel.
    pub normal: Vec<[f32; 2]>,
    /// What the optimizers train on.
    pub train: Examples,
    /// What hyper-parameters are selected on.
    pub validation: Examples,
    /// What results are reported on, and nothing else.
    pub test: Examples,
    /// SHA-256 of the stored form.
    pub sha256: String,
}

impl DataSet {
    /// The number of inputs of one image.
    pub fn pixels(&self) -> usize {
        self.shape.iter().product()
    }

    /// Appends the normalised inputs of an image, given as its bytes, to `inputs`.
    pub fn normalise(&self, image: &[u8], inputs: &mut Vec<f32>) {
        let plane = (self.shape[1] * self.shape[2]).max(1);
        for (channel, [scale, offset]) in image.chunks(plane).zip(&self.normal) {
            inputs.extend(channel.iter().map(|p| f32::from(*p) * scale + offset));
        }
    }
}

/// What is known about stored images before they are read.
pub(in crate::data) struct Layout {
    pub name: &'static str,
    pub shape: [usize; 3],
    /// Canonical training and test images.
    pub counts: [usize; 2],
    /// Mean and standard deviation of the training pixels on the scale 0 to 1, per channel.
    pub moments: &'static [[f32; 2]],
}

/// Images of the canonical training part that are held out for validation.
const VALIDATION: usize = 5_000;
const CLASSES: usize = 10;

impl Layout {
    /// The stored form of training images and labels, test images and labels.
    pub(super) fn store(&self, [train, test]: [Examples; 2]) -> Arrays {
        let [c, h, w] = self.shape;
        let mut arrays = Arrays::default();
        for (part, name) in [(train, "train"), (test, "test")] {
            let count = part.len();
            arrays.bytes(&format!("{name}.images"), &[count, c, h, w], part.images);
            arrays.bytes(&format!("{name}.labels"), &[count], part.labels);
        }
        arrays
    }

    /// Reads the stored form; `Err` says what is wrong with it.
    pub(in crate::data) fn load(
        &self,
        mut arrays: Arrays,
        sha256: String,
    ) -> Result<DataSet, String> {
        let pixels: usize = self.shape.iter().product();
        let mut part = |name: &str, count: usize| {
            let images = arrays.take_bytes(&format!("{name}.images"))?;
            let labels = arrays.take_bytes(&format!("{name}.labels"))?;
            match (images.len() == count * pixels, labels.len() == count) {
                (true, true) => Ok(Examples { images, labels }),
                _ => Err(format!("its part `{name}` has not {count} images of {pixels} bytes")),
            }
        };
        let (all, test) = (part("train", self.counts[0])?, part("test", self.counts[1])?);
        let mut labels = all.labels.iter().chain(&test.labels);
        if let Some(label) = labels.find(|l| usize::from(**l) >= CLASSES) {
            return Err(format!("it has a label {label}"));
        }
        let [validation, train] =
            divide(self.name, &all, [VALIDATION, self.counts[0] - VALIDATION]);
        Ok(DataSet {
            name: self.name,
            shape: self.shape,
            classes: CLASSES,
            normal: self.moments.iter().map(|[m, d]| [1.0 / (255.0 * d), -m / d]).collect(),
            train,
            validation,
            test,
            sha256,
        })
    }
}

/// Divides `all` into parts of the given sizes, in an order that depends on the data set only, so that
/// the division is the same for every run, seed and machine.
pub(super) fn divide<const N: usize>(
    name: &str,
    all: &Examples,
    sizes: [usize; N],
) -> [Examples; N] {
    let order = Stream::new(name, 0, Purpose::Split, 0).permutation(all.len());
    let mut start = 0;
    sizes.map(|size| {
        start += size;
        all.select(&order[start - size..start])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_normalised_on_their_own() {
        let empty = || Examples { images: Vec::new(), labels: Vec::new() };
        let set = DataSet {
            name: "t",
            shape: [2, 1, 2],
            classes: 2,
            normal: vec![[1.0, 0.5], [2.0, 0.0]],
            train: empty(),
            validation: empty(),
            test: empty(),
            sha256: String::new(),
        };
        let mut inputs = vec![9.0];
        set.normalise(&[1, 2, 3, 4], &mut inputs);
        assert_eq!(inputs, [9.0, 1.5, 2.5, 6.0, 8.0]);
    }

    #[test]
    fn stored_images_of_the_wrong_size_are_refused() {
        let layout = Layout { name: "t", shape: [1, 1, 2], counts: [1, 1], moments: &[[0.5, 0.5]] };
        let one = |label| Examples { images: vec![1, 2], labels: vec![label] };
        let short = Examples { images: vec![1], labels: vec![1] };
        let wrong = layout.store([one(1), short]);
        assert!(layout.load(wrong, String::new()).unwrap_err().contains("`test`"));
        let wrong = layout.store([one(1), one(10)]);
        assert!(layout.load(wrong, String::new()).unwrap_err().contains("label 10"));
    }
}
