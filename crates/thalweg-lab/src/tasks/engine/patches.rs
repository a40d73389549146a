//! The patches of an image as the columns of a matrix (im2col), and back.

use std::ops::Range;

use super::vector::{add, vectorized};

/// A square window that moves over an image of `channels` planes, zero-padded so that with stride 1
/// there is a place for every pixel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub(super) channels: usize,
    pub(super) height: usize,
    pub(super) width: usize,
    /// Height and width of the window: odd.
    pub(super) kernel: usize,
    /// Pixels from one place to the next, in both directions.
    pub(super) stride: usize,
}

impl Window {
    /// Values of one input plane.
    pub(super) fn plane(&self) -> usize {
        self.height * self.width
    }

    /// Values of one image.
    pub(super) fn image(&self) -> usize {
        self.channels * self.plane()
    }

    /// Places in a column and in a row.
    fn places(&self) -> [usize; 2] {
        [self.height, self.width].map(|n| (n - 1) / self.stride + 1)
    }

    /// All places: the columns of the patch matrix.
    pub(super) fn columns(&self) -> usize {
        self.places().iter().product()
    }

    /// Values under the window at one place: the rows of the patch matrix.
    pub(super) fn rows(&self) -> usize {
        self.channels * self.kernel * self.kernel
    }

    /// Whether the patch matrix is the image itself.
    pub(super) fn trivial(&self) -> bool {
        self.kernel == 1 && self.stride == 1
    }

    /// Writes the patch matrix of `image`, with rows `stride` apart.
    pub(super) fn gather(&self, image: &[f32], patches: &mut [f32], stride: usize) {
        let columns = self.columns();
        for (i, row) in patches.chunks_exact_mut(stride).enumerate() {
            let row = &mut row[..columns];
            let plane = self.plane_of(i);
            let offset = self.offset_of(i);
            if self.stride == 1 {
                let (to, from) = self.overlap(offset);
                row[to.clone()].copy_from_slice(&image[plane][from]);
                row[..to.start].fill(0.0);
                row[to.end..].fill(0.0);
                self.clear_wrapped(offset, row);
            } else {
                pick(row, &image[plane], self.places()[1], self.stride, self.bounds(offset));
            }
        }
    }

    /// Adds the columns of a patch matrix, which is spoiled, to where they came from.
    pub(super) fn scatter(&self, patches: &mut [f32], image: &mut [f32]) {
        for (i, row) in patches.chunks_exact_mut(self.columns()).enumerate() {
            let plane = self.plane_of(i);
            let offset = self.offset_of(i);
            if self.stride == 1 {
                self.clear_wrapped(offset, row);
                let (from, to) = self.overlap(offset);
                add(&mut image[plane][to], &row[from]);
            } else {
                let width = self.places()[1];
                put(&mut image[plane], row, width, self.stride, self.bounds(offset));
            }
        }
    }

    fn plane_of(&self, row: usize) -> Range<usize> {
        let channel = row / (self.kernel * self.kernel);
        channel * self.plane()..(channel + 1) * self.plane()
    }

    /// How far row `row` of the matrix looks down and right of the place, as multiples of a pixel.
    fn offset_of(&self, row: usize) -> [isize; 2] {
        let (k, half) = (self.kernel, (self.kernel / 2) as isize);
        [row / k % k, row % k].map(|o| o as isize - half)
    }

    /// With stride 1 the row is the plane, shifted: the range of the row and the range of the plane
    /// that meet. Pixels that cross the left or right border are still wrong.
    fn overlap(&self, [down, right]: [isize; 2]) -> (Range<usize>, Range<usize>) {
        let shift = down * self.width as isize + right;
        let (n, by) = (self.plane(), shift.unsigned_abs().min(self.plane()));
        if shift < 0 { (by..n, 0..n - by) } else { (0..n - by, by..n) }
    }

    /// Clears the values that a shift brought over the left or right border.
    fn clear_wrapped(&self, [_, right]: [isize; 2], row: &mut [f32]) {
        let by = right.unsigned_abs().min(self.width);
        if by > 0 {
            let outside = if right < 0 { 0..by } else { self.width - by..self.width };
            for line in row.chunks_exact_mut(self.width) {
                line[outside.clone()].fill(0.0);
            }
        }
    }

    fn bounds(&self, offset: [isize; 2]) -> [[isize; 2]; 2] {
        [[offset[0], self.height as isize], [offset[1], self.width as isize]]
    }
}

vectorized! {
    /// `row[y][x] = plane[y s + down][x s + right]`, zero outside.
    fn pick(row: &mut [f32], plane: &[f32], width: usize, s: usize, bounds: [[isize; 2]; 2]) {
        let [[down, height], [right, columns]] = bounds;
        for (y, line) in row.chunks_exact_mut(width).enumerate() {
            let from = (y * s) as isize + down;
            if from < 0 || from >= height {
                line.fill(0.0);
                continue;
            }
            let from = &plane[(from * columns) as usize..((from + 1) * columns) as usize];
            for (x, to) in line.iter_mut().enumerate() {
                let at = (x * s) as isize + right;
                *to = if at < 0 || at >= columns { 0.0 } else { from[at as usize] };
            }
        }
    }

    /// `plane[y s + down][x s + right] += row[y][x]` for the places inside.
    fn put(plane: &mut [f32], row: &[f32], width: usize, s: usize, bounds: [[isize; 2]; 2]) {
        let [[down, height], [right, columns]] = bounds;
        for (y, line) in row.chunks_exact(width).enumerate() {
            let to = (y * s) as isize + down;
            if to < 0 || to >= height {
                continue;
            }
            let to = &mut plane[(to * columns) as usize..((to + 1) * columns) as usize];
            for (x, from) in line.iter().enumerate() {
                let at = (x * s) as isize + right;
                if at >= 0 && at < columns {
                    to[at as usize] += from;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The patch matrix by its definition.
    fn slow(w: &Window, image: &[f32]) -> Vec<f32> {
        let half = (w.kernel / 2) as isize;
        let [rows, columns] = w.places();
        let mut patches = Vec::new();
        for channel in 0..w.channels {
            for offset in 0..w.kernel * w.kernel {
                let [dy, dx] = [offset / w.kernel, offset % w.kernel].map(|o| o as isize - half);
                for place in 0..rows * columns {
                    let y = (place / columns * w.stride) as isize + dy;
                    let x = (place % columns * w.stride) as isize + dx;
                    let inside = y >= 0 && y < w.height as isize && x >= 0 && x < w.width as isize;
                    let at = channel as isize * w.plane() as isize + y * w.width as isize + x;
                    patches.push(if inside { image[at as usize] } else { 0.0 });
                }
            }
        }
        patches
    }

    #[test]
    fn gathering_agrees_with_the_definition_and_scattering_is_its_transpose() {
        for (kernel, stride, height, width) in
            [(3, 1, 4, 6), (3, 2, 6, 4), (1, 2, 4, 4), (1, 1, 3, 2), (5, 1, 3, 3), (3, 2, 5, 7)]
        {
            let w = Window { channels: 2, height, width, kernel, stride };
            let image: Vec<f32> = (0..w.image()).map(|i| i as f32 + 1.0).collect();
            let mut patches = vec![f32::NAN; w.rows() * w.columns()];
            w.gather(&image, &mut patches, w.columns());
            assert_eq!(patches, slow(&w, &image), "{w:?}");
            let stride = w.columns() + 3;
            let mut apart = vec![f32::NAN; w.rows() * stride];
            w.gather(&image, &mut apart, stride);
            let rows = apart.chunks_exact(stride).zip(patches.chunks_exact(w.columns()));
            assert!(rows.into_iter().all(|(a, b)| a[..w.columns()] == *b), "{w:?}");
            // <gather(a), b> = <a, scatter(b)>
            let b: Vec<f32> = (0..patches.len()).map(|i| (i % 7) as f32).collect();
            let left: f32 = patches.iter().zip(&b).map(|(p, b)| p * b).sum();
            let mut back = vec![0.0; image.len()];
            w.scatter(&mut b.clone(), &mut back);
            let right: f32 = image.iter().zip(&back).map(|(a, b)| a * b).sum();
            assert_eq!(left, right, "{w:?}");
        }
    }
}
