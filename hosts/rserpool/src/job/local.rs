//! A job without a pool.

use rserpool_core::compute::kernels::StandardKernels;
use rserpool_core::compute::{
    Budget, KernelError, KernelSet, Output, PARAMETER_LEN_MAX, PackageId, Step,
};

use super::description::{BadOutput, Job, Verdict};

/// Computes all packages of a job in order, on the calling thread.
///
/// # Errors
///
/// If a kernel refuses the job's own parameters, or the job refuses what a kernel computed from
/// them. Both are mistakes in the job.
pub fn compute_locally(job: &mut impl Job) -> Result<(), LocalError> {
    for package in (0..job.package_count()).map(PackageId) {
        let mut block = [0; PARAMETER_LEN_MAX];
        let len = job.parameters(package, &mut block);
        let mut kernel = StandardKernels::start(job.kernel(), &block[..len])?;
        let output_len = usize::try_from(kernel.output_len()).map_err(|_| LocalError::TooLarge)?;
        let mut bytes = vec![0; output_len];
        let mut output = Output::new(&mut bytes);
        loop {
            match kernel.step(&mut Budget::new(u32::MAX), &mut output) {
                Step::Yield => {}
                Step::Done => break,
                Step::Failed => return Err(LocalError::Failed),
            }
        }
        if job.accept(package, output.written())? == Verdict::Enough {
            break;
        }
    }
    Ok(())
}

/// Why a job cannot be computed locally.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LocalError {
    /// The kernel does not begin.
    #[error("the kernel does not begin: {0}")]
    Kernel(#[from] KernelError),
    /// The kernel gave up.
    #[error("the kernel gave up")]
    Failed,
    /// The output exceeds the memory of this machine.
    #[error("the output of a package exceeds the memory of this machine")]
    TooLarge,
    /// The job refuses what the kernel computed.
    #[error(transparent)]
    Output(#[from] BadOutput),
}
