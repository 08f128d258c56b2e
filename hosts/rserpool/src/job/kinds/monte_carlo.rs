//! A Monte Carlo integration, cut into ranges of points.

use rserpool_core::compute::kernels::{Integrand, MonteCarlo, MonteCarloRange, MonteCarloSum};
use rserpool_core::compute::{Kernel, KernelId, PARAMETER_LEN_MAX, PackageId};

use super::super::description::{BadOutput, Job, Verdict};
use super::Cut;

/// The share of random points that fall inside something.
#[derive(Clone, Debug)]
pub struct MonteCarloJob {
    integrand: Integrand,
    seed: u64,
    cut: Cut,
    sum: MonteCarloSum,
}

impl MonteCarloJob {
    /// Counts `count` points of `seed`, so many to a package.
    #[must_use]
    pub fn new(integrand: Integrand, seed: u64, count: u64, package_len: u64) -> Self {
        let cut = Cut::new(0, count, package_len);
        Self { integrand, seed, cut, sum: MonteCarloSum::default() }
    }

    /// The points so far.
    #[must_use]
    pub fn sum(&self) -> MonteCarloSum {
        self.sum
    }

    /// The share of points inside and its standard error.
    #[must_use]
    pub fn estimate(&self) -> (f64, f64) {
        let count = self.sum.count.max(1) as f64;
        let share = self.sum.hits as f64 / count;
        (share, (share * (1.0 - share) / count).sqrt())
    }
}

impl Job for MonteCarloJob {
    fn kernel(&self) -> KernelId {
        MonteCarlo::ID
    }

    fn package_count(&self) -> u32 {
        self.cut.package_count()
    }

    fn output_len(&self, _package: PackageId) -> u64 {
        MonteCarloSum::LEN as u64
    }

    fn parameters(&self, package: PackageId, block: &mut [u8; PARAMETER_LEN_MAX]) -> usize {
        let (first, count) = self.cut.package(package);
        let range = MonteCarloRange { integrand: self.integrand, seed: self.seed, first, count };
        range.encode(block).expect("the core asserts that a block has room for it")
    }

    fn accept(&mut self, package: PackageId, output: &[u8]) -> Result<Verdict, BadOutput> {
        let sum = MonteCarloSum::decode(output).ok_or(BadOutput)?;
        if sum.count != self.cut.package(package).1 || sum.hits > sum.count {
            return Err(BadOutput);
        }
        self.sum.count += sum.count;
        self.sum.hits += sum.hits;
        Ok(Verdict::More)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::compute_locally;
    use super::*;

    #[test]
    fn the_sum_does_not_depend_on_the_cut() {
        let integrand = Integrand::Ball { dimensions: 2 };
        let sum = |package_len| {
            let mut job = MonteCarloJob::new(integrand, 3, 10_000, package_len);
            compute_locally(&mut job).unwrap();
            let (share, error) = job.estimate();
            assert!((share - core::f64::consts::FRAC_PI_4).abs() < 5.0 * error);
            job.sum()
        };
        assert_eq!(sum(10_000), sum(333));
        assert_eq!(sum(333).count, 10_000);
    }
}
