//! Load without sense, cut into equal packages.

use rserpool_core::compute::kernels::{Synthetic, SyntheticLoad, SyntheticResult};
use rserpool_core::compute::{Kernel, KernelId, PARAMETER_LEN_MAX, PackageId};

use super::super::description::{BadOutput, Job, Verdict};
use super::Cut;

/// So many calculations that lead nowhere.
#[derive(Clone, Debug)]
pub struct SyntheticJob {
    cut: Cut,
    count: u64,
    sum: u64,
}

impl SyntheticJob {
    /// `count` calculations, so many to a package.
    #[must_use]
    pub fn new(count: u64, package_len: u64) -> Self {
        Self { cut: Cut::new(0, count, package_len), count: 0, sum: 0 }
    }

    /// The calculations that are done.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// A sum over all packages, whatever their order.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.sum
    }
}

impl Job for SyntheticJob {
    fn kernel(&self) -> KernelId {
        Synthetic::ID
    }

    fn package_count(&self) -> u32 {
        self.cut.package_count()
    }

    fn output_len(&self, _package: PackageId) -> u64 {
        SyntheticResult::LEN as u64
    }

    fn parameters(&self, package: PackageId, block: &mut [u8; PARAMETER_LEN_MAX]) -> usize {
        let (seed, count) = self.cut.package(package);
        let load = SyntheticLoad { count, seed };
        load.encode(block).expect("the core asserts that a block has room for it")
    }

    fn accept(&mut self, package: PackageId, output: &[u8]) -> Result<Verdict, BadOutput> {
        let result = SyntheticResult::decode(output).ok_or(BadOutput)?;
        if result.count != self.cut.package(package).1 {
            return Err(BadOutput);
        }
        self.count += result.count;
        self.sum = self.sum.wrapping_add(result.sum);
        Ok(Verdict::More)
    }
}
