//! The kernels that every worker has.

mod fractal;
mod monte_carlo;
mod sha_prefix;
mod synthetic;

pub use fractal::{Fractal, FractalKind, FractalTile, PIXEL_LEN};
pub use monte_carlo::{Integrand, MonteCarlo, MonteCarloRange, MonteCarloSum};
pub use sha_prefix::{SHA_PREFIX_DATA_LEN_MAX, ShaPrefix, ShaPrefixFound, ShaPrefixRange};
pub use synthetic::{Synthetic, SyntheticLoad, SyntheticResult};

use postcard::experimental::max_size::MaxSize;
use serde::{Deserialize, Serialize};

use super::kernel::KernelError;
use super::protocol::{BufferTooSmall, PARAMETER_LEN_MAX, STATE_LEN_MAX};

crate::kernel_set! {
    /// A running computation of one of the kernels that every worker has.
    #[derive(Clone, Debug)]
    pub enum StandardKernels {
        /// Tiles of the Mandelbrot set and of Julia sets.
        Fractal(Fractal),
        /// Volumes by counting random points.
        MonteCarlo(MonteCarlo),
        /// A nonce whose SHA-256 begins with zero bits.
        ShaPrefix(ShaPrefix),
        /// Load without sense.
        Synthetic(Synthetic),
    }
}

const _: () = {
    assert!(FractalTile::POSTCARD_MAX_SIZE <= PARAMETER_LEN_MAX);
    assert!(MonteCarloRange::POSTCARD_MAX_SIZE <= PARAMETER_LEN_MAX);
    assert!(ShaPrefixRange::POSTCARD_MAX_SIZE <= PARAMETER_LEN_MAX);
    assert!(SyntheticLoad::POSTCARD_MAX_SIZE <= PARAMETER_LEN_MAX);
    assert!(fractal::STATE_LEN <= STATE_LEN_MAX);
};

/// Reads a parameter block, all of it.
fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8], error: KernelError) -> Result<T, KernelError> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        _ => Err(error),
    }
}

/// Writes a parameter block.
fn write<T: Serialize + MaxSize>(value: &T, buf: &mut [u8]) -> Result<usize, BufferTooSmall> {
    postcard::to_slice(value, buf).map(|bytes| bytes.len()).map_err(|_| BufferTooSmall)
}

/// A harness that the kernels' tests share.
#[cfg(test)]
pub(super) mod harness {
    use std::vec;
    use std::vec::Vec;

    use super::super::kernel::{Budget, Kernel, Output, Step};
    use super::super::protocol::STATE_LEN_MAX;
    use crate::entropy::{Entropy, SplitMix64};

    /// Runs a kernel in one go.
    pub(crate) fn whole<K: Kernel>(parameters: &[u8]) -> Vec<u8> {
        let mut kernel = K::start(parameters).unwrap();
        let mut bytes = vec![0; usize::try_from(kernel.output_len()).unwrap()];
        let mut output = Output::new(&mut bytes);
        while kernel.step(&mut Budget::new(u32::MAX), &mut output) != Step::Done {}
        assert_eq!(kernel.emitted_len(), kernel.output_len());
        assert_eq!(kernel.progress().done, kernel.progress().all);
        assert_eq!(output.room(), 0);
        bytes
    }

    /// Runs a kernel in random small steps and windows, moving it through a checkpoint after
    /// many of them.
    pub(crate) fn in_pieces<K: Kernel>(parameters: &[u8], seed: u64, budget: u64) -> Vec<u8> {
        let mut random = SplitMix64::new(seed);
        let mut kernel = K::start(parameters).unwrap();
        let mut all = Vec::new();
        for _ in 0..100_000 {
            let mut window = vec![0; random.below(64) as usize];
            let mut output = Output::new(&mut window);
            let before = kernel.progress().done;
            let step = kernel.step(&mut Budget::new(random.below(budget) as u32), &mut output);
            all.extend_from_slice(output.written());
            assert_eq!(kernel.emitted_len(), all.len() as u64);
            assert!(kernel.progress().done >= before);
            assert!(kernel.progress().done <= kernel.progress().all);
            if step == Step::Done {
                assert_eq!(kernel.output_len(), all.len() as u64);
                return all;
            }
            if random.below(4) == 0 {
                let mut state = [0; STATE_LEN_MAX];
                let len = kernel.checkpoint(&mut state).unwrap();
                assert!(kernel.checkpoint(&mut state[..len - 1]).is_none());
                kernel = K::resume(parameters, &state[..len]).unwrap();
            }
        }
        panic!("seed {seed}: the kernel does not come to an end");
    }

    /// Random parameters and states are taken or refused, and what is taken can be stepped.
    pub(crate) fn rubbish_is_refused_or_runs<K: Kernel>(good: &[u8]) {
        let mut random = SplitMix64::new(1);
        for _ in 0..2_000 {
            let mut parameters = good.to_vec();
            let place = random.below(parameters.len() as u64) as usize;
            parameters[place] = random.next_u32() as u8;
            let mut state = [0; STATE_LEN_MAX];
            random.fill(&mut state);
            let keep = random.below(20) as usize;
            state[keep.min(STATE_LEN_MAX)..].fill(0);
            let len = random.below(STATE_LEN_MAX as u64) as usize;
            for mut kernel in [K::start(&parameters), K::resume(&parameters, &state[..len])]
                .into_iter()
                .flatten()
            {
                let mut window = [0; 128];
                let _ = kernel.step(&mut Budget::new(500), &mut Output::new(&mut window));
                assert!(kernel.emitted_len() <= kernel.output_len());
                assert!(kernel.progress().done <= kernel.progress().all);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::kernel::KernelSet;
    use super::super::protocol::KernelId;
    use super::*;

    #[test]
    fn a_kernel_is_found_by_its_number() {
        assert_eq!(StandardKernels::IDS, [1, 2, 3, 4].map(KernelId));
        assert_eq!(StandardKernels::name(KernelId(3)), Some("sha-prefix"));
        assert_eq!(StandardKernels::name(KernelId(5)), None);
        let unknown = StandardKernels::start(KernelId(5), &[]);
        assert_eq!(unknown.err(), Some(KernelError::Unknown));
    }
}
