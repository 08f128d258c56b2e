//! A search for a nonce, cut into ranges of nonces.

use rserpool_core::compute::kernels::{
    SHA_PREFIX_DATA_LEN_MAX, ShaPrefix, ShaPrefixFound, ShaPrefixRange,
};
use rserpool_core::compute::{Kernel, KernelId, PARAMETER_LEN_MAX, PackageId};

use super::super::description::{BadOutput, Job, Verdict};
use super::Cut;

/// The smallest nonce whose SHA-256, after given data, begins with so many zero bits.
#[derive(Clone, Debug)]
pub struct ShaPrefixJob {
    data: Vec<u8>,
    zero_bits: u16,
    cut: Cut,
    /// Which packages have come.
    come: Vec<bool>,
    /// All packages before this one have come.
    complete: u32,
    found: Option<(PackageId, ShaPrefixFound)>,
}

impl ShaPrefixJob {
    /// Searches the nonces from 0 to below `count`, so many to a package. `None` if `data` has
    /// more than 64 bytes or `zero_bits` is over 256.
    #[must_use]
    pub fn new(data: &[u8], zero_bits: u16, count: u64, package_len: u64) -> Option<Self> {
        if data.len() > SHA_PREFIX_DATA_LEN_MAX || zero_bits > 256 {
            return None;
        }
        let cut = Cut::new(0, count, package_len);
        let come = vec![false; cut.package_count() as usize];
        Some(Self { data: data.to_vec(), zero_bits, cut, come, complete: 0, found: None })
    }

    /// The smallest nonce so far. It stands when the job is done.
    #[must_use]
    pub fn found(&self) -> Option<ShaPrefixFound> {
        self.found.map(|(_, found)| found)
    }
}

impl Job for ShaPrefixJob {
    fn kernel(&self) -> KernelId {
        ShaPrefix::ID
    }

    fn package_count(&self) -> u32 {
        self.cut.package_count()
    }

    fn output_len(&self, _package: PackageId) -> u64 {
        ShaPrefixFound::LEN as u64
    }

    fn parameters(&self, package: PackageId, block: &mut [u8; PARAMETER_LEN_MAX]) -> usize {
        let (first, count) = self.cut.package(package);
        let range = ShaPrefixRange { data: &self.data, zero_bits: self.zero_bits, first, count };
        range.encode(block).expect("the core asserts that a block has room for it")
    }

    fn accept(&mut self, package: PackageId, output: &[u8]) -> Result<Verdict, BadOutput> {
        let found = ShaPrefixFound::decode(output).ok_or(BadOutput)?;
        if let Some(found) = found {
            let (first, count) = self.cut.package(package);
            let inside = found.nonce >= first && found.nonce - first < count;
            if !inside || !found.is_right(&self.data, self.zero_bits) {
                return Err(BadOutput);
            }
            if self.found.is_none_or(|(earlier, _)| package < earlier) {
                self.found = Some((package, found));
            }
        }
        *self.come.get_mut(package.0 as usize).ok_or(BadOutput)? = true;
        let further = &self.come[self.complete as usize..];
        self.complete += further.iter().take_while(|&&come| come).count() as u32;
        // Packages after the one with a nonce cannot have a smaller one.
        let stands = self.found.is_some_and(|(at, _)| at.0 < self.complete);
        Ok(if stands { Verdict::Enough } else { Verdict::More })
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::compute_locally;
    use super::*;

    #[test]
    fn the_smallest_nonce_stands_only_when_all_before_have_come() {
        let mut alone = ShaPrefixJob::new(b"job", 8, 4_000, 4_000).unwrap();
        compute_locally(&mut alone).unwrap();
        let found = alone.found().unwrap();
        let mut cut = ShaPrefixJob::new(b"job", 8, 4_000, 50).unwrap();
        compute_locally(&mut cut).unwrap();
        assert_eq!(cut.found(), Some(found));

        let mut job = ShaPrefixJob::new(b"job", 8, found.nonce + 2, found.nonce.max(1)).unwrap();
        assert_eq!(job.package_count(), 2);
        let mut output = [0; ShaPrefixFound::LEN];
        output[0] = 1;
        output[1..9].copy_from_slice(&found.nonce.to_le_bytes());
        output[9..].copy_from_slice(&found.hash);
        assert_eq!(job.accept(PackageId(0), &output), Err(BadOutput), "out of its range");
        assert_eq!(job.accept(PackageId(1), &output), Ok(Verdict::More));
        assert_eq!(job.accept(PackageId(0), &[0; ShaPrefixFound::LEN]), Ok(Verdict::Enough));
        assert_eq!(job.found(), Some(found));
    }

    #[test]
    fn data_beyond_the_parameter_block_is_refused() {
        assert!(ShaPrefixJob::new(&[0; 65], 8, 1, 1).is_none());
        assert!(ShaPrefixJob::new(&[0; 64], 257, 1, 1).is_none());
    }
}
