//! The jobs that `rsp run` offers.

mod fractal;
mod monte_carlo;
mod sha_prefix;
mod synthetic;

pub use fractal::{FractalJob, FractalView};
pub use monte_carlo::MonteCarloJob;
pub use sha_prefix::ShaPrefixJob;
pub use synthetic::SyntheticJob;

use rserpool_core::compute::PackageId;

/// A range of numbers cut into packages of equal size, but for the last.
#[derive(Clone, Copy, Debug)]
struct Cut {
    first: u64,
    count: u64,
    package_len: u64,
}

impl Cut {
    /// Cuts so that there are at most `u32::MAX` packages of at least one number.
    fn new(first: u64, count: u64, package_len: u64) -> Self {
        let least = count.div_ceil(u64::from(u32::MAX)).max(1);
        let count = count.min(u64::MAX - first);
        Self { first, count, package_len: package_len.max(least) }
    }

    fn package_count(&self) -> u32 {
        u32::try_from(self.count.div_ceil(self.package_len)).unwrap_or(u32::MAX)
    }

    /// The first number of a package, and how many there are in it.
    fn package(&self, package: PackageId) -> (u64, u64) {
        let before = u64::from(package.0).saturating_mul(self.package_len).min(self.count);
        (self.first + before, self.package_len.min(self.count - before))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_covers_each_number_once() {
        for (count, package_len, packages) in [(10, 3, 4), (9, 3, 3), (0, 3, 0), (1, 0, 1)] {
            let cut = Cut::new(5, count, package_len);
            assert_eq!(cut.package_count(), packages);
            let mut next = 5;
            for package in (0..packages).map(PackageId) {
                let (first, len) = cut.package(package);
                assert_eq!(first, next);
                assert!(len > 0);
                next += len;
            }
            assert_eq!(next, 5 + count);
        }
        assert!(Cut::new(0, u64::MAX, 1).package_count() > 0);
    }
}
