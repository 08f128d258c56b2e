//! Monte Carlo integration: volumes, by counting the random points that fall inside.
//!
//! Point number n of a seed is the same wherever it is computed, and hits are counted with
//! integers; so ranges of points can be cut and added in any way and the sum is exact.

use postcard::experimental::max_size::MaxSize;
use serde::{Deserialize, Serialize};

use super::super::kernel::{Budget, Kernel, KernelError, Output, Progress, Step};
use super::super::protocol::{BufferTooSmall, KernelId};
use super::{read, write};
use crate::entropy::{Entropy, SplitMix64};

/// The most dimensions of a ball.
const DIMENSIONS_MAX: u8 = 16;
/// The highest power.
const EXPONENT_MAX: u8 = 16;

/// What is integrated over the unit cube, where a coordinate is a multiple of 2^-32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Integrand {
    /// The part of the unit ball with positive coordinates. With two dimensions that is a
    /// quarter of pi.
    Ball {
        /// From 1 to 16.
        dimensions: u8,
    },
    /// The area below y = x^exponent: 1 / (exponent + 1).
    Power {
        /// From 1 to 16.
        exponent: u8,
    },
}

impl Integrand {
    fn is_sound(self) -> bool {
        match self {
            Self::Ball { dimensions } => (1..=DIMENSIONS_MAX).contains(&dimensions),
            Self::Power { exponent } => (1..=EXPONENT_MAX).contains(&exponent),
        }
    }

    /// Whether a random point is inside.
    fn hit(self, random: &mut SplitMix64) -> bool {
        match self {
            Self::Ball { dimensions } => {
                let mut sum = 0_u128;
                for _ in 0..dimensions {
                    let x = u64::from(random.next_u32());
                    sum += u128::from(x * x);
                }
                sum < 1 << 64
            }
            Self::Power { exponent } => {
                let x = u64::from(random.next_u32());
                let mut power = x;
                for _ in 1..exponent {
                    power = (power * x) >> 32;
                }
                u64::from(random.next_u32()) < power
            }
        }
    }
}

/// The parameters: a range of points.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct MonteCarloRange {
    /// What is integrated.
    pub integrand: Integrand,
    /// The seed of the whole job.
    pub seed: u64,
    /// The first point.
    pub first: u64,
    /// How many points.
    pub count: u64,
}

impl MonteCarloRange {
    /// Writes the parameter block; returns its length.
    ///
    /// # Errors
    ///
    /// If it does not fit.
    pub fn encode(&self, buf: &mut [u8]) -> Result<usize, BufferTooSmall> {
        write(self, buf)
    }
}

/// The output: how many points were inside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct MonteCarloSum {
    /// Points.
    pub count: u64,
    /// Those inside.
    pub hits: u64,
}

impl MonteCarloSum {
    /// Its bytes: two little-endian numbers.
    pub const LEN: usize = 16;

    /// Reads the output of a package.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (words, []) = bytes.as_chunks::<8>() else { return None };
        let &[count, hits] = words else { return None };
        Some(Self { count: u64::from_le_bytes(count), hits: u64::from_le_bytes(hits) })
    }

    fn encode(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..8].copy_from_slice(&self.count.to_le_bytes());
        bytes[8..].copy_from_slice(&self.hits.to_le_bytes());
        bytes
    }
}

/// The kernel.
#[derive(Clone, Debug)]
pub struct MonteCarlo {
    range: MonteCarloRange,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
struct State {
    done: u64,
    hits: u64,
    written: bool,
}

impl Kernel for MonteCarlo {
    const ID: KernelId = KernelId(2);
    const NAME: &'static str = "monte-carlo";

    fn start(parameters: &[u8]) -> Result<Self, KernelError> {
        let range: MonteCarloRange = read(parameters, KernelError::Parameters)?;
        let sound = range.integrand.is_sound() && range.first.checked_add(range.count).is_some();
        if !sound {
            return Err(KernelError::Parameters);
        }
        Ok(Self { range, state: State::default() })
    }

    fn resume(parameters: &[u8], state: &[u8]) -> Result<Self, KernelError> {
        let Self { range, .. } = Self::start(parameters)?;
        let state: State = read(state, KernelError::State)?;
        let fits = state.done <= range.count
            && state.hits <= state.done
            && (!state.written || state.done == range.count);
        if fits { Ok(Self { range, state }) } else { Err(KernelError::State) }
    }

    fn output_len(&self) -> u64 {
        MonteCarloSum::LEN as u64
    }

    fn emitted_len(&self) -> u64 {
        if self.state.written { MonteCarloSum::LEN as u64 } else { 0 }
    }

    fn progress(&self) -> Progress {
        Progress { done: self.state.done, all: self.range.count }
    }

    fn step(&mut self, budget: &mut Budget, output: &mut Output<'_>) -> Step {
        while self.state.done < self.range.count {
            if !budget.spend(1) {
                return Step::Yield;
            }
            let number = self.range.first + self.state.done;
            let mut random = SplitMix64::new(point_seed(self.range.seed, number));
            self.state.hits += u64::from(self.range.integrand.hit(&mut random));
            self.state.done += 1;
        }
        if !self.state.written {
            let sum = MonteCarloSum { count: self.range.count, hits: self.state.hits };
            if !output.push(&sum.encode()) {
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

/// The seed of point `number`: so far from its neighbours' that their streams do not overlap.
fn point_seed(seed: u64, number: u64) -> u64 {
    SplitMix64::new(seed ^ number.wrapping_mul(0xd134_2543_de82_ef95)).next_u64()
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::super::harness::{in_pieces, rubbish_is_refused_or_runs, whole};
    use super::*;

    const RANGE: MonteCarloRange = MonteCarloRange {
        integrand: Integrand::Ball { dimensions: 2 },
        seed: 42,
        first: 1_000,
        count: 40_000,
    };

    fn block(range: &MonteCarloRange) -> Vec<u8> {
        let mut buf = [0; 128];
        let len = range.encode(&mut buf).unwrap();
        buf[..len].to_vec()
    }

    fn sum(range: &MonteCarloRange) -> MonteCarloSum {
        MonteCarloSum::decode(&whole::<MonteCarlo>(&block(range))).unwrap()
    }

    fn share(integrand: Integrand) -> f64 {
        let sum = sum(&MonteCarloRange { integrand, ..RANGE });
        sum.hits as f64 / sum.count as f64
    }

    #[test]
    fn known_volumes_come_out() {
        let quarter_of_pi = core::f64::consts::FRAC_PI_4;
        // Four standard deviations at 40,000 points are at most 0.01.
        assert!((share(Integrand::Ball { dimensions: 1 }) - 1.0).abs() < 1e-9);
        assert!((share(Integrand::Ball { dimensions: 2 }) - quarter_of_pi).abs() < 0.01);
        assert!((share(Integrand::Ball { dimensions: 3 }) - quarter_of_pi / 1.5).abs() < 0.01);
        assert!((share(Integrand::Power { exponent: 1 }) - 0.5).abs() < 0.01);
        assert!((share(Integrand::Power { exponent: 3 }) - 0.25).abs() < 0.01);
    }

    #[test]
    fn hits_equal_a_plain_count() {
        let mut hits = 0;
        for number in RANGE.first..RANGE.first + RANGE.count {
            let mut random = SplitMix64::new(point_seed(RANGE.seed, number));
            let x = f64::from(random.next_u32()) / 4_294_967_296.0;
            let y = f64::from(random.next_u32()) / 4_294_967_296.0;
            hits += u64::from(x * x + y * y < 1.0);
        }
        assert_eq!(sum(&RANGE), MonteCarloSum { count: RANGE.count, hits });
    }

    #[test]
    fn parts_add_up_exactly() {
        let first = MonteCarloRange { count: 12_345, ..RANGE };
        let second =
            MonteCarloRange { first: RANGE.first + 12_345, count: RANGE.count - 12_345, ..RANGE };
        assert_eq!(sum(&first).hits + sum(&second).hits, sum(&RANGE).hits);
    }

    #[test]
    fn interruptions_and_moves_change_nothing() {
        let parameters = block(&RANGE);
        let expected = whole::<MonteCarlo>(&parameters);
        for seed in 0..10 {
            assert_eq!(in_pieces::<MonteCarlo>(&parameters, seed, 900), expected, "seed {seed}");
        }
    }

    #[test]
    fn parameters_out_of_range_are_refused() {
        let bad = [
            MonteCarloRange { first: u64::MAX, ..RANGE },
            MonteCarloRange { integrand: Integrand::Ball { dimensions: 17 }, ..RANGE },
            MonteCarloRange { integrand: Integrand::Power { exponent: 0 }, ..RANGE },
        ];
        for range in bad {
            let refused = MonteCarlo::start(&block(&range)).err();
            assert_eq!(refused, Some(KernelError::Parameters), "{range:?}");
        }
        rubbish_is_refused_or_runs::<MonteCarlo>(&block(&RANGE));
    }
}
