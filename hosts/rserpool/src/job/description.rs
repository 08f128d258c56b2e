//! What a job is.

use rserpool_core::compute::{KernelId, PARAMETER_LEN_MAX, PackageId};
use thiserror::Error;

/// Work that can be cut into packages, and what becomes of their outputs.
pub trait Job {
    /// The kernel of all packages.
    fn kernel(&self) -> KernelId;

    /// How many packages there are; they are numbered from 0.
    fn package_count(&self) -> u32;

    /// How many bytes the output of a package has.
    fn output_len(&self, package: PackageId) -> u64;

    /// Writes the parameter block of a package; returns its length. The same package always
    /// has the same parameters.
    fn parameters(&self, package: PackageId, block: &mut [u8; PARAMETER_LEN_MAX]) -> usize;

    /// Takes the output of a package. Packages come in any order, each of them once.
    ///
    /// # Errors
    ///
    /// If the output cannot be right. The package is then computed again, and may come again.
    fn accept(&mut self, package: PackageId, output: &[u8]) -> Result<Verdict, BadOutput>;
}

/// Whether a job needs more packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As long as there are any.
    More,
    /// The result stands; the rest need not be computed.
    Enough,
}

/// An output that no correct worker would send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the output of the package cannot be right")]
pub struct BadOutput;
