//! Random changes of training images that leave their class as it is.

use crate::rng::{Purpose, Stream};

/// What may be changed. Every image of every step is changed on its own, and the change depends on task,
/// seed and place in the training only: all optimizers see the same pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Augmentation {
    /// The image is framed by this many black pixels, and a window of its size cut out at random.
    pub padding: usize,
    /// Left and right are exchanged in half of the cases.
    pub flip: bool,
}

/// One change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Change {
    /// How far the window lies down and right of the image.
    pub offset: [isize; 2],
    pub flipped: bool,
}

impl Augmentation {
    /// The change of the `draw`-th image that is trained on.
    pub(super) fn change(self, task: &str, seed: u64, draw: u64) -> Change {
        let mut stream = Stream::new(task, seed, Purpose::Augment, draw);
        let places = 2 * self.padding as u32 + 1;
        let offset = [(); 2].map(|()| stream.below(places) as isize - self.padding as isize);
        Change { offset, flipped: self.flip && stream.below(2) == 1 }
    }
}

impl Change {
    /// Appends the changed image to `to`; `shape` is channels, height and width.
    pub(super) fn apply(self, image: &[u8], shape: [usize; 3], to: &mut Vec<u8>) {
        let [_, height, width] = shape;
        let [down, right] = self.offset;
        for plane in image.chunks_exact(height * width) {
            for y in 0..height as isize {
                let row = usize::try_from(y + down).ok().filter(|y| *y < height);
                let Some(row) = row.map(|y| &plane[y * width..][..width]) else {
                    to.resize(to.len() + width, 0);
                    continue;
                };
                for x in 0..width as isize {
                    let x = if self.flipped { width as isize - 1 - x } else { x };
                    let at = usize::try_from(x + right).ok();
                    to.push(at.and_then(|x| row.get(x)).copied().unwrap_or(0));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(change: Change) -> Vec<u8> {
        let mut to = Vec::new();
        change.apply(&[1, 2, 3, 4, 5, 6], [1, 2, 3], &mut to);
        to
    }

    #[test]
    fn crops_and_flips_are_what_they_say() {
        let at = |down, right, flipped| changed(Change { offset: [down, right], flipped });
        assert_eq!(at(0, 0, false), [1, 2, 3, 4, 5, 6]);
        assert_eq!(at(0, 0, true), [3, 2, 1, 6, 5, 4]);
        assert_eq!(at(1, 0, false), [4, 5, 6, 0, 0, 0]);
        assert_eq!(at(-1, 1, false), [0, 0, 0, 2, 3, 0]);
        assert_eq!(at(0, 1, true), [0, 3, 2, 0, 6, 5]);
        assert_eq!(at(2, -3, true), [0; 6]);
    }

    #[test]
    fn every_channel_is_changed_alike() {
        let mut to = vec![9];
        let change = Change { offset: [0, 1], flipped: false };
        change.apply(&[1, 2, 3, 4], [2, 1, 2], &mut to);
        assert_eq!(to, [9, 2, 0, 4, 0]);
    }

    #[test]
    fn changes_repeat_and_are_spread_evenly() {
        let augmentation = Augmentation { padding: 2, flip: true };
        let all: Vec<Change> = (0..5_000).map(|i| augmentation.change("t", 1, i)).collect();
        assert_eq!(all[7], augmentation.change("t", 1, 7));
        assert_ne!(all[..20], (0..20).map(|i| augmentation.change("t", 2, i)).collect::<Vec<_>>());
        let flipped = all.iter().filter(|c| c.flipped).count();
        assert!((2_400..2_600).contains(&flipped), "{flipped}");
        for place in 0..25 {
            let offset = [place / 5 - 2, place % 5 - 2];
            let count = all.iter().filter(|c| c.offset == offset).count();
            assert!((140..260).contains(&count), "{offset:?}: {count}");
        }
        let none = Augmentation { padding: 0, flip: false };
        assert_eq!(none.change("t", 1, 3), Change { offset: [0, 0], flipped: false });
    }
}
