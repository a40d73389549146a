//! Counter-based random numbers (Philox 4x32-10).
//!
//! A draw is a pure function of (task, seed, purpose, step, index). Every optimizer therefore starts
//! from the same parameters and sees the same batches, whatever ran before it and on which thread.

const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];

/// The Philox 4x32 bijection with ten rounds (Salmon et al., SC 2011).
pub fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for round in 0..10 {
        if round > 0 {
            key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
        }
        let a = u64::from(MULTIPLIERS[0]) * u64::from(counter[0]);
        let b = u64::from(MULTIPLIERS[1]) * u64::from(counter[2]);
        counter = [
            (b >> 32) as u32 ^ counter[1] ^ key[0],
            b as u32,
            (a >> 32) as u32 ^ counter[3] ^ key[1],
            a as u32,
        ];
    }
    counter
}

/// What a stream of random numbers is for; streams of different purpose never overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Initial values of the parameters; the step is the parameter's index.
    Init = 1,
    /// The order of the training examples; the step is the epoch.
    Order = 2,
    /// The division into training, validation and test examples.
    Split = 3,
    /// Scrambling of the quasi-random tuning points; the step is the dimension.
    Tuning = 4,
    /// Noise of gradients; the step is the gradient evaluation.
    Noise = 5,
    /// Random changes of training images; the step counts the images.
    Augment = 6,
    /// Resampling for intervals; the step is the number of the resample.
    Bootstrap = 20,
}

/// A stream of random numbers, addressed by what it is for.
#[derive(Debug, Clone)]
pub struct Stream {
    key: [u32; 2],
    counter: [u32; 4],
    buffer: [u32; 4],
    used: usize,
}

impl Stream {
    /// The stream of `purpose` at `step`, for one task and seed.
    pub fn new(task: &str, seed: u64, purpose: Purpose, step: u64) -> Self {
        let key = mix(fnv1a(task.as_bytes()) ^ mix(seed));
        let counter = [0, purpose as u32, step as u32, (step >> 32) as u32];
        Stream { key: [key as u32, (key >> 32) as u32], counter, buffer: [0; 4], used: 4 }
    }

    /// The next 32 uniform bits.
    pub fn next_u32(&mut self) -> u32 {
        if self.used == 4 {
            self.buffer = philox(self.counter, self.key);
            self.counter[0] = self.counter[0].wrapping_add(1);
            self.used = 0;
        }
        self.used += 1;
        self.buffer[self.used - 1]
    }

    /// A number in `[0, 1)` with 24 random bits, exact in f32.
    pub fn uniform(&mut self) -> f32 {
        (self.next_u32() >> 8) as f32 * (1.0 / 16_777_216.0)
    }

    /// An unbiased integer in `0..n`. `n` must not be zero.
    pub fn below(&mut self, n: u32) -> u32 {
        // Lemire's method: reject the few draws that would favour small results.
        let threshold = n.wrapping_neg() % n;
        loop {
            let wide = u64::from(self.next_u32()) * u64::from(n);
            if wide as u32 >= threshold {
                return (wide >> 32) as u32;
            }
        }
    }

    /// A uniformly random permutation of `0..n`.
    pub fn permutation(&mut self, n: usize) -> Vec<u32> {
        let mut order: Vec<u32> = (0..n as u32).collect();
        for i in (1..n).rev() {
            order.swap(i, self.below(i as u32 + 1) as usize);
        }
        order
    }
}

/// The 64-bit FNV-1a hash: stable across versions and platforms, unlike the standard hasher.
pub fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The SplitMix64 finaliser: spreads neighbouring seeds over the whole key space.
fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Vectors published with Random123 (`kat_vectors`).
    #[test]
    fn philox_agrees_with_the_known_answers() {
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(
            philox([u32::MAX; 4], [u32::MAX; 2]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
        assert_eq!(
            philox(
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0]
            ),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn streams_repeat_and_do_not_overlap() {
        let draw = |task: &str, seed, purpose, step| {
            let mut stream = Stream::new(task, seed, purpose, step);
            (0..8).map(|_| stream.next_u32()).collect::<Vec<_>>()
        };
        let first = draw("a", 1, Purpose::Init, 0);
        assert_eq!(first, draw("a", 1, Purpose::Init, 0));
        for other in [
            draw("b", 1, Purpose::Init, 0),
            draw("a", 2, Purpose::Init, 0),
            draw("a", 1, Purpose::Order, 0),
            draw("a", 1, Purpose::Init, 1),
        ] {
            assert_ne!(first, other);
        }
    }

    #[test]
    fn permutation_holds_every_index_once() {
        let mut order = Stream::new("t", 3, Purpose::Order, 0).permutation(1000);
        assert_ne!(order[..10], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        order.sort_unstable();
        assert_eq!(order, (0..1000).collect::<Vec<u32>>());
    }

    #[test]
    fn uniform_is_in_range_and_centred() {
        let mut stream = Stream::new("t", 0, Purpose::Init, 0);
        let draws: Vec<f32> = (0..100_000).map(|_| stream.uniform()).collect();
        assert!(draws.iter().all(|u| (0.0..1.0).contains(u)));
        let mean = draws.iter().sum::<f32>() / draws.len() as f32;
        assert!((mean - 0.5).abs() < 0.005, "mean {mean}");
    }
}
