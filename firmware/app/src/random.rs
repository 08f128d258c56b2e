//! A generator for secrets, from one seed that the board's hardware gives at the start.

use rserpool_core::entropy::Entropy;
use sha2::{Digest, Sha256};

/// Hashes a secret key and a counter; the key is renewed after every request, so that who learns
/// it later does not learn what was drawn before.
#[derive(Clone)]
pub struct HashRandom {
    key: [u8; 32],
}

impl HashRandom {
    /// A generator from `seed`, which must be random: all that is secret comes from it.
    #[must_use]
    pub const fn new(seed: [u8; 32]) -> Self {
        Self { key: seed }
    }

    fn block(&self, counter: u32) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.key);
        hash.update(counter.to_be_bytes());
        hash.finalize().into()
    }
}

impl core::fmt::Debug for HashRandom {
    /// Never shows the key.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("HashRandom(..)")
    }
}

impl Entropy for HashRandom {
    fn fill(&mut self, bytes: &mut [u8]) {
        for (counter, chunk) in (1_u32..).zip(bytes.chunks_mut(32)) {
            chunk.copy_from_slice(&self.block(counter)[..chunk.len()]);
        }
        self.key = self.block(0);
    }
}

/// Makes two independent seeds of what a board's hardware gives as `noise`: one for its IP stack
/// and one for the pool element. Weak noise may be made up for by its length.
#[must_use]
pub fn seeds(noise: &[u8]) -> (u64, [u8; 32]) {
    let digest = |purpose: &[u8]| -> [u8; 32] {
        Sha256::new().chain_update(purpose).chain_update(noise).finalize().into()
    };
    let [a, b, c, d, e, f, g, h, ..] = digest(b"net");
    (u64::from_le_bytes([a, b, c, d, e, f, g, h]), digest(b"element"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bit_of_noise_counts_in_both_seeds() {
        let (net, element) = seeds(&[0; 100]);
        let mut noise = [0; 100];
        noise[99] = 1;
        let (other_net, other_element) = seeds(&noise);
        assert_ne!(net, other_net);
        assert_ne!(element, other_element);
        assert_ne!(net.to_le_bytes(), element[..8]);
    }

    #[test]
    fn draws_differ_and_repeat_with_the_seed() {
        let (mut a, mut b) = (HashRandom::new([1; 32]), HashRandom::new([1; 32]));
        let (mut first, mut second) = ([0; 70], [0; 70]);
        a.fill(&mut first);
        b.fill(&mut second);
        assert_eq!(first, second);
        a.fill(&mut second);
        assert_ne!(first, second);
        assert_ne!(first[..32], first[32..64]);
        assert_ne!(HashRandom::new([2; 32]).next_u64(), HashRandom::new([1; 32]).next_u64());
    }
}
