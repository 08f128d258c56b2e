//! Load without sense, as RSPLIB's CalcApp makes it: so many calculations, then done.
//!
//! Unlike CalcApp it really computes: the output is a sum that no shortcut gives, so that a
//! test sees whether each calculation was done exactly once.

use postcard::experimental::max_size::MaxSize;
use serde::{Deserialize, Serialize};

use super::super::kernel::{Budget, Kernel, KernelError, Output, Progress, Step};
use super::super::protocol::{BufferTooSmall, KernelId};
use super::{read, write};

/// The parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SyntheticLoad {
    /// How many calculations.
    pub count: u64,
    /// Where they begin.
    pub seed: u64,
}

impl SyntheticLoad {
    /// Writes the parameter block; returns its length.
    ///
    /// # Errors
    ///
    /// If it does not fit.
    pub fn encode(&self, buf: &mut [u8]) -> Result<usize, BufferTooSmall> {
        write(self, buf)
    }
}

/// The output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SyntheticResult {
    /// How many calculations.
    pub count: u64,
    /// Where they led.
    pub sum: u64,
}

impl SyntheticResult {
    /// Its bytes: two little-endian numbers.
    pub const LEN: usize = 16;

    /// Reads the output of a package.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (words, []) = bytes.as_chunks::<8>() else { return None };
        let &[count, sum] = words else { return None };
        Some(Self { count: u64::from_le_bytes(count), sum: u64::from_le_bytes(sum) })
    }
}

/// The kernel.
#[derive(Clone, Debug)]
pub struct Synthetic {
    count: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
struct State {
    done: u64,
    sum: u64,
    written: bool,
}

impl Kernel for Synthetic {
    const ID: KernelId = KernelId(4);
    const NAME: &'static str = "synthetic";

    fn start(parameters: &[u8]) -> Result<Self, KernelError> {
        let SyntheticLoad { count, seed } = read(parameters, KernelError::Parameters)?;
        Ok(Self { count, state: State { done: 0, sum: seed, written: false } })
    }

    fn resume(parameters: &[u8], state: &[u8]) -> Result<Self, KernelError> {
        let Self { count, .. } = Self::start(parameters)?;
        let state: State = read(state, KernelError::State)?;
        if state.done > count || (state.written && state.done < count) {
            return Err(KernelError::State);
        }
        Ok(Self { count, state })
    }

    fn output_len(&self) -> u64 {
        SyntheticResult::LEN as u64
    }

    fn emitted_len(&self) -> u64 {
        if self.state.written { SyntheticResult::LEN as u64 } else { 0 }
    }

    fn progress(&self) -> Progress {
        Progress { done: self.state.done, all: self.count }
    }

    fn step(&mut self, budget: &mut Budget, output: &mut Output<'_>) -> Step {
        while self.state.done < self.count {
            if !budget.spend(1) {
                return Step::Yield;
            }
            self.state.sum = calculate(self.state.sum);
            self.state.done += 1;
        }
        if !self.state.written {
            if output.room() < SyntheticResult::LEN {
                return Step::Yield;
            }
            output.push(&self.count.to_le_bytes());
            output.push(&self.state.sum.to_le_bytes());
            self.state.written = true;
        }
        Step::Done
    }

    fn checkpoint(&self, state: &mut [u8]) -> Option<usize> {
        write(&self.state, state).ok()
    }
}

/// One calculation: Knuth's linear congruential step, stirred.
fn calculate(sum: u64) -> u64 {
    let sum = sum.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    sum ^ (sum >> 29)
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::super::harness::{in_pieces, rubbish_is_refused_or_runs, whole};
    use super::*;

    fn block(count: u64, seed: u64) -> Vec<u8> {
        let mut buf = [0; 32];
        let len = SyntheticLoad { count, seed }.encode(&mut buf).unwrap();
        buf[..len].to_vec()
    }

    #[test]
    fn the_sum_is_that_of_a_plain_loop() {
        let mut sum = 9;
        for _ in 0..1_234 {
            sum = calculate(sum);
        }
        let bytes = whole::<Synthetic>(&block(1_234, 9));
        assert_eq!(SyntheticResult::decode(&bytes), Some(SyntheticResult { count: 1_234, sum }));
        assert_eq!(SyntheticResult::decode(&bytes[1..]), None);
    }

    #[test]
    fn interruptions_and_moves_change_nothing() {
        let parameters = block(50_000, 7);
        let expected = whole::<Synthetic>(&parameters);
        for seed in 0..10 {
            assert_eq!(in_pieces::<Synthetic>(&parameters, seed, 900), expected, "seed {seed}");
        }
    }

    #[test]
    fn rubbish_is_refused() {
        assert!(Synthetic::start(&[]).is_err());
        rubbish_is_refused_or_runs::<Synthetic>(&block(300, 5));
    }
}
