//! Scrambled Sobol points: the tuning trials every optimizer shares.

use crate::rng::{Purpose, Stream};

/// The most hyper-parameters that can be tuned at once.
pub const DIMENSIONS: usize = 6;

/// Primitive polynomials (degree, inner coefficients) and initial direction numbers of dimensions
/// 2 to 6, from the table `new-joe-kuo-6` (Joe and Kuo, SIAM J. Sci. Comput. 30, 2008).
const JOE_KUO: [(u32, u32, &[u32]); DIMENSIONS - 1] =
    [(1, 0, &[1]), (2, 1, &[1, 3]), (3, 1, &[1, 3, 1]), (3, 2, &[1, 1, 1]), (4, 1, &[1, 1, 3, 3])];

/// The first `count` points of the Sobol sequence in `dimensions` dimensions, Owen-scrambled by
/// `seed`, in `[0, 1)`.
///
/// Scrambling keeps the stratification (of `2^k` points, exactly one falls in each interval of length
/// `2^-k`, in every coordinate) and moves no point onto the border of the range.
///
/// # Panics
/// If `dimensions` exceeds [`DIMENSIONS`].
pub fn points(task: &str, seed: u64, dimensions: usize, count: usize) -> Vec<Vec<f64>> {
    assert!(dimensions <= DIMENSIONS, "at most {DIMENSIONS} dimensions");
    let axes: Vec<_> = (0..dimensions)
        .map(|d| {
            let mut stream = Stream::new(task, seed, Purpose::Tuning, d as u64);
            (directions(d), stream.next_u32(), stream.next_u32())
        })
        .collect();
    (0..count as u32)
        .map(|i| {
            axes.iter()
                .map(|(directions, scramble, within)| {
                    let bits = owen(sobol(i, directions), *scramble);
                    // Below the 32 scrambled bits lies half a cell: `within` decides where in it.
                    (f64::from(bits) + f64::from(*within) / 4_294_967_296.0) / 4_294_967_296.0
                })
                .collect()
        })
        .collect()
}

fn directions(dimension: usize) -> [u32; 32] {
    let mut v = [0u32; 32];
    if dimension == 0 {
        for (i, v) in v.iter_mut().enumerate() {
            *v = 1 << (31 - i);
        }
        return v;
    }
    let (degree, coefficients, initial) = JOE_KUO[dimension - 1];
    let s = degree as usize;
    for i in 0..32 {
        if i < s {
            v[i] = initial[i] << (31 - i);
        } else {
            v[i] = v[i - s] ^ (v[i - s] >> s);
            for k in 1..s {
                v[i] ^= ((coefficients >> (s - 1 - k)) & 1) * v[i - k];
            }
        }
    }
    v
}

fn sobol(index: u32, directions: &[u32; 32]) -> u32 {
    let gray = index ^ (index >> 1);
    (0..32).filter(|bit| gray >> bit & 1 == 1).fold(0, |x, bit| x ^ directions[bit])
}

/// Nested uniform scrambling by a hash in which every bit depends only on the bits above it
/// (Laine and Karras 2011, with the constants of Burley, JCGT 9(4), 2020).
fn owen(x: u32, seed: u32) -> u32 {
    let mut x = x.reverse_bits();
    x ^= x.wrapping_mul(0x3d20_adea);
    x = x.wrapping_add(seed);
    x = x.wrapping_mul((seed >> 16) | 1);
    x ^= x.wrapping_mul(0x0552_6c56);
    x ^= x.wrapping_mul(0x53a2_2864);
    x.reverse_bits()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unscrambled_points_are_the_sobol_sequence() {
        let at = |i, d| sobol(i, &directions(d)) as f64 / 4_294_967_296.0;
        let x: Vec<f64> = (0..8).map(|i| at(i, 0)).collect();
        let y: Vec<f64> = (0..8).map(|i| at(i, 1)).collect();
        let z: Vec<f64> = (0..8).map(|i| at(i, 2)).collect();
        // The first points in Gray-code order, as published implementations give them.
        assert_eq!(x, [0.0, 0.5, 0.75, 0.25, 0.375, 0.875, 0.625, 0.125]);
        assert_eq!(y, [0.0, 0.5, 0.25, 0.75, 0.375, 0.875, 0.125, 0.625]);
        assert_eq!(z, [0.0, 0.5, 0.25, 0.75, 0.625, 0.125, 0.875, 0.375]);
    }

    #[test]
    fn every_coordinate_is_stratified_for_every_seed() {
        for seed in 0..20 {
            let points = points("task", seed, DIMENSIONS, 16);
            for d in 0..DIMENSIONS {
                let mut cells: Vec<usize> = points.iter().map(|p| (p[d] * 16.0) as usize).collect();
                cells.sort_unstable();
                assert_eq!(cells, (0..16).collect::<Vec<_>>(), "seed {seed}, dimension {d}");
            }
        }
    }

    #[test]
    fn a_longer_sequence_starts_with_the_shorter() {
        assert_eq!(points("t", 1, 2, 16)[..8], points("t", 1, 2, 8)[..]);
        assert_ne!(points("t", 1, 2, 8), points("t", 2, 2, 8));
    }
}
