//! The search for a nonce whose SHA-256, after given data, begins with zero bits.

use heapless::Vec;
use postcard::experimental::max_size::MaxSize;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::super::kernel::{Budget, Kernel, KernelError, Output, Progress, Step};
use super::super::protocol::{BufferTooSmall, KernelId};
use super::{read, write};

/// The most bytes of data before the nonce.
pub const SHA_PREFIX_DATA_LEN_MAX: usize = 64;

/// The units of the budget that one hash costs.
const HASH_COST: u32 = 128;

/// The parameters: a range of nonces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ShaPrefixRange<'a> {
    /// What is hashed before the nonce (8 bytes, low byte first).
    pub data: &'a [u8],
    /// How many leading bits of the hash must be zero.
    pub zero_bits: u16,
    /// The first nonce.
    pub first: u64,
    /// How many nonces.
    pub count: u64,
}

impl ShaPrefixRange<'_> {
    /// The most bytes of a parameter block.
    pub(super) const POSTCARD_MAX_SIZE: usize =
        1 + SHA_PREFIX_DATA_LEN_MAX + u16::POSTCARD_MAX_SIZE + 2 * u64::POSTCARD_MAX_SIZE;

    /// Writes the parameter block; returns its length.
    ///
    /// # Errors
    ///
    /// If it does not fit.
    pub fn encode(&self, buf: &mut [u8]) -> Result<usize, BufferTooSmall> {
        postcard::to_slice(self, buf).map(|bytes| bytes.len()).map_err(|_| BufferTooSmall)
    }
}

/// The output: the smallest nonce of the range that will do, if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ShaPrefixFound {
    /// The nonce.
    pub nonce: u64,
    /// Its hash.
    pub hash: [u8; 32],
}

impl ShaPrefixFound {
    /// The bytes of an output: 1 or 0 (found or not), the nonce with its low byte first, the hash.
    pub const LEN: usize = 1 + 8 + 32;

    /// Reads the output of a package: `None` if it is no output, `Some(None)` if none was found.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Option<Self>> {
        let bytes: &[u8; Self::LEN] = bytes.try_into().ok()?;
        let (found, rest) = bytes.split_first()?;
        let (nonce, hash) = rest.split_first_chunk::<8>()?;
        match found {
            0 => Some(None),
            1 => {
                Some(Some(Self { nonce: u64::from_le_bytes(*nonce), hash: hash.try_into().ok()? }))
            }
            _ => None,
        }
    }

    /// Whether the hash is that of `data` and the nonce and begins with enough zero bits.
    #[must_use]
    pub fn is_right(&self, data: &[u8], zero_bits: u16) -> bool {
        hash_of(&prefix_of(data), self.nonce) == self.hash
            && leading_zero_bits(&self.hash) >= u32::from(zero_bits)
    }

    fn encode(found: Option<Self>) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        if let Some(Self { nonce, hash }) = found {
            bytes[0] = 1;
            bytes[1..9].copy_from_slice(&nonce.to_le_bytes());
            bytes[9..].copy_from_slice(&hash);
        }
        bytes
    }
}

/// The kernel.
#[derive(Clone, Debug)]
pub struct ShaPrefix {
    data: Vec<u8, SHA_PREFIX_DATA_LEN_MAX>,
    zero_bits: u16,
    first: u64,
    count: u64,
    state: State,
}

/// `done` stops at the nonce that was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
struct State {
    done: u64,
    ended: bool,
    written: bool,
}

impl Kernel for ShaPrefix {
    const ID: KernelId = KernelId(3);
    const NAME: &'static str = "sha-prefix";

    fn start(parameters: &[u8]) -> Result<Self, KernelError> {
        let ShaPrefixRange { data, zero_bits, first, count } =
            read(parameters, KernelError::Parameters)?;
        let data = Vec::from_slice(data).map_err(|_| KernelError::Parameters)?;
        if zero_bits > 256 || first.checked_add(count).is_none() {
            return Err(KernelError::Parameters);
        }
        Ok(Self { data, zero_bits, first, count, state: State::default() })
    }

    fn resume(parameters: &[u8], state: &[u8]) -> Result<Self, KernelError> {
        let kernel = Self::start(parameters)?;
        let state: State = read(state, KernelError::State)?;
        if state.done > kernel.count || (state.written && !state.ended) {
            return Err(KernelError::State);
        }
        Ok(Self { state, ..kernel })
    }

    fn output_len(&self) -> u64 {
        ShaPrefixFound::LEN as u64
    }

    fn emitted_len(&self) -> u64 {
        if self.state.written { ShaPrefixFound::LEN as u64 } else { 0 }
    }

    fn progress(&self) -> Progress {
        let done = if self.state.ended { self.count } else { self.state.done };
        Progress { done, all: self.count }
    }

    fn step(&mut self, budget: &mut Budget, output: &mut Output<'_>) -> Step {
        let prefix = prefix_of(&self.data);
        let enough = u32::from(self.zero_bits);
        while !self.state.ended {
            if self.state.done == self.count {
                self.state.ended = true;
                break;
            }
            if !budget.spend(HASH_COST) {
                return Step::Yield;
            }
            let hash = hash_of(&prefix, self.first + self.state.done);
            if leading_zero_bits(&hash) >= enough {
                self.state.ended = true;
            } else {
                self.state.done += 1;
            }
        }
        if !self.state.written {
            let found = (self.state.done < self.count).then(|| {
                let nonce = self.first + self.state.done;
                ShaPrefixFound { nonce, hash: hash_of(&prefix, nonce) }
            });
            if !output.push(&ShaPrefixFound::encode(found)) {
                return Step::Yield;
            }
            self.state.written = true;
        }
        Step::Done
    }

    fn checkpoint(&self, state: &mut [u8]) -> Option<usize> {
        write(&self.state, state).ok()
    }
}

fn prefix_of(data: &[u8]) -> Sha256 {
    let mut prefix = Sha256::new();
    prefix.update(data);
    prefix
}

fn hash_of(prefix: &Sha256, nonce: u64) -> [u8; 32] {
    let mut hasher = prefix.clone();
    hasher.update(nonce.to_le_bytes());
    hasher.finalize().into()
}

fn leading_zero_bits(hash: &[u8; 32]) -> u32 {
    let zero_bytes = hash.iter().take_while(|&&byte| byte == 0).count() as u32;
    let rest = hash.iter().find(|&&byte| byte != 0).map_or(0, |byte| byte.leading_zeros());
    zero_bytes * 8 + rest
}

#[cfg(test)]
mod tests {
    use super::super::harness::{in_pieces, rubbish_is_refused_or_runs, whole};
    use super::*;

    const RANGE: ShaPrefixRange<'_> =
        ShaPrefixRange { data: b"rserpool", zero_bits: 9, first: 100, count: 3_000 };

    fn block(range: &ShaPrefixRange<'_>) -> std::vec::Vec<u8> {
        let mut buf = [0; 128];
        let len = range.encode(&mut buf).unwrap();
        buf[..len].to_vec()
    }

    fn found(range: &ShaPrefixRange<'_>) -> Option<ShaPrefixFound> {
        ShaPrefixFound::decode(&whole::<ShaPrefix>(&block(range))).unwrap()
    }

    #[test]
    fn the_smallest_nonce_is_found() {
        let mut expected = None;
        for nonce in RANGE.first..RANGE.first + RANGE.count {
            let mut text = RANGE.data.to_vec();
            text.extend_from_slice(&nonce.to_le_bytes());
            let hash: [u8; 32] = Sha256::digest(&text).into();
            if hash[0] == 0 && hash[1] < 0x80 {
                expected = Some(ShaPrefixFound { nonce, hash });
                break;
            }
        }
        assert!(expected.is_some_and(|it| it.is_right(RANGE.data, 9)));
        assert_eq!(found(&RANGE), expected);
    }

    #[test]
    fn a_range_without_a_nonce_says_so() {
        assert_eq!(found(&ShaPrefixRange { zero_bits: 60, count: 200, ..RANGE }), None);
        assert_eq!(found(&ShaPrefixRange { count: 0, ..RANGE }), None);
        assert_eq!(ShaPrefixFound::decode(&[2; ShaPrefixFound::LEN]), None);
    }

    #[test]
    fn a_hash_that_is_not_of_the_nonce_is_wrong() {
        let right = found(&RANGE).unwrap();
        let wrong = ShaPrefixFound { nonce: right.nonce + 1, ..right };
        assert!(!wrong.is_right(RANGE.data, 9));
        assert!(!right.is_right(RANGE.data, 255));
    }

    #[test]
    fn interruptions_and_moves_change_nothing() {
        let parameters = block(&RANGE);
        let expected = whole::<ShaPrefix>(&parameters);
        for seed in 0..10 {
            let pieces = in_pieces::<ShaPrefix>(&parameters, seed, 3_000);
            assert_eq!(pieces, expected, "seed {seed}");
        }
    }

    #[test]
    fn parameters_out_of_range_are_refused() {
        let long = [0; SHA_PREFIX_DATA_LEN_MAX + 1];
        let bad = [
            ShaPrefixRange { data: &long, ..RANGE },
            ShaPrefixRange { zero_bits: 257, ..RANGE },
            ShaPrefixRange { first: u64::MAX, ..RANGE },
        ];
        for range in bad {
            assert_eq!(ShaPrefix::start(&block(&range)).err(), Some(KernelError::Parameters));
        }
        rubbish_is_refused_or_runs::<ShaPrefix>(&block(&RANGE));
    }
}
