//! Randomness, handed in by the caller.

/// A source of random bytes.
///
/// Tags, initial sequence numbers and nonces come from here, so outside of simulations it must
/// be cryptographically strong.
pub trait Entropy {
    /// Fills `bytes` with random bytes.
    fn fill(&mut self, bytes: &mut [u8]);

    /// A random number of 32 bits.
    fn next_u32(&mut self) -> u32 {
        let mut bytes = [0; 4];
        self.fill(&mut bytes);
        u32::from_le_bytes(bytes)
    }

    /// A random number of 64 bits.
    fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// A random number below `bound`, 0 if `bound` is 0. Each is as likely as the others.
    fn below(&mut self, bound: u64) -> u64 {
        // Multiply and shift; a round is retried with probability below one half.
        if bound == 0 {
            return 0;
        }
        let reject_below = bound.wrapping_neg() % bound;
        let mut product = 0;
        for _ in 0..ROUNDS_MAX {
            product = u128::from(self.next_u64()) * u128::from(bound);
            if product as u64 >= reject_below {
                break;
            }
        }
        (product >> 64) as u64
    }
}

/// A number below `bound`, 0 if `bound` is 0, not quite fair (by one in 2^32 / `bound`): for
/// jitter and other choices that nobody gains by, at a fraction of the code of [`Entropy::below`].
pub(crate) fn roughly_below(entropy: &mut dyn Entropy, bound: u32) -> u32 {
    ((u64::from(entropy.next_u32()) * u64::from(bound)) >> 32) as u32
}

/// After so many rounds without luck (less often than once in 2^64) the generator is stuck, and
/// a number that is not quite fair is better than none.
const ROUNDS_MAX: usize = 64;

impl<E: Entropy + ?Sized> Entropy for &mut E {
    fn fill(&mut self, bytes: &mut [u8]) {
        (**self).fill(bytes);
    }
}

/// The SplitMix64 generator: small, seeded, repeatable and **not** fit for secrets.
///
/// For simulations, tests, benchmarks and the choices of policies that need no secrecy.
#[derive(Clone, Debug)]
pub struct SplitMix64(u64);

impl SplitMix64 {
    /// The stream of `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }
}

impl Entropy for SplitMix64 {
    fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let word = self.next_u64().to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
    }

    fn next_u32(&mut self) -> u32 {
        (self.next_u64() >> 32) as u32
    }

    fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_stream_of_seed_zero() {
        let mut random = SplitMix64::new(0);
        assert_eq!(random.next_u64(), 0xe220_a839_7b1d_cdaf);
        assert_eq!(random.next_u64(), 0x6e78_9e6a_a1b9_65f4);
    }

    #[test]
    fn below_reaches_every_number_and_no_other() {
        let mut random = SplitMix64::new(7);
        let mut seen = [0_u32; 5];
        for _ in 0..5_000 {
            seen[usize::try_from(random.below(5)).unwrap()] += 1;
        }
        assert!(seen.iter().all(|&count| (900..1_100).contains(&count)), "{seen:?}");
        assert_eq!(random.below(0), 0);
        assert_eq!(random.below(1), 0);
    }

    #[test]
    fn a_generator_that_is_stuck_stops_nobody() {
        struct Stuck(u8);
        impl Entropy for Stuck {
            fn fill(&mut self, bytes: &mut [u8]) {
                bytes.fill(self.0);
            }
        }
        for bound in [3, 5_000_001, 1 << 63, u64::MAX] {
            for byte in [0x00, 0x55, 0xff] {
                assert!(Stuck(byte).below(bound) < bound);
            }
        }
    }
}
