//! A slot of a worker: one package, its computation and the output not yet sent.

use crate::association::AssociationId;
use crate::time::Instant;

use super::super::cookie::Checkpoint;
use super::super::kernel::{Budget, KernelSet, Output, Step};
use super::super::protocol::{
    FailReason, KernelId, OutputDigest, PARAMETER_LEN_MAX, STATE_LEN_MAX, WorkId,
};
use heapless::Vec;

/// How a package stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// There is more to compute.
    Running,
    /// The kernel waits for its output to be sent.
    Blocked,
    /// All is computed; the rest of the output is to be sent.
    Computed,
    /// Came to nothing.
    Failed(FailReason),
    /// To be given back.
    HandedOn,
}

/// What a package owes its user besides output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Owed {
    pub(super) accept: bool,
    pub(super) cookie: bool,
    pub(super) progress: bool,
    /// Output is to be sent although it is less than a chunk.
    pub(super) flush: bool,
}

/// A package in work.
#[derive(Debug)]
pub(super) struct Slot<K, const OUTPUT: usize> {
    pub(super) user: AssociationId,
    pub(super) work: WorkId,
    pub(super) kernel: KernelId,
    pub(super) parameters: Vec<u8, PARAMETER_LEN_MAX>,
    pub(super) computation: K,
    /// Grows from package to package: the oldest of a user is computed first.
    pub(super) sequence: u64,
    pub(super) phase: Phase,
    pub(super) owed: Owed,
    /// Where chunks begin: 0, or where the cookie left off.
    pub(super) offset: u64,
    pub(super) deadline: Option<Instant>,
    pub(super) cookie_due: Instant,
    /// What was done at the last cookie.
    pub(super) cookie_done: u64,
    pub(super) digest: OutputDigest,
    pub(super) pending: Vec<u8, OUTPUT>,
}

impl<K: KernelSet, const OUTPUT: usize> Slot<K, OUTPUT> {
    /// Computes one slice.
    pub(super) fn step(&mut self, budget: &mut Budget) {
        let before = (budget.left(), self.pending.len());
        // The window is the free end of the buffer, which this fills with zeros.
        let _ = self.pending.resize(OUTPUT, 0);
        let mut output = Output::new(&mut self.pending[before.1..]);
        let step = self.computation.step(budget, &mut output);
        let written = output.written();
        self.digest = self.digest.with(written);
        let len = before.1 + written.len();
        self.pending.truncate(len);
        self.phase = match step {
            Step::Failed => Phase::Failed(FailReason::Kernel),
            Step::Done if self.is_complete() => Phase::Computed,
            Step::Done => Phase::Failed(FailReason::Output),
            Step::Yield if (budget.left(), len) != before => Phase::Running,
            // A kernel that neither computes nor writes in an empty window never will.
            Step::Yield if self.pending.is_empty() => Phase::Failed(FailReason::Kernel),
            Step::Yield => Phase::Blocked,
        };
    }

    /// The output was as long as promised.
    fn is_complete(&self) -> bool {
        self.computation.emitted_len() == self.computation.output_len()
            && self.offset + self.pending.len() as u64 == self.computation.output_len()
    }

    /// Whether the next thing to send is output.
    pub(super) fn owes_chunk(&self, chunk_len: usize) -> bool {
        let eager = match self.phase {
            Phase::Running => self.owed.flush || self.owed.cookie,
            Phase::Blocked | Phase::Computed | Phase::HandedOn => true,
            Phase::Failed(_) => return false,
        };
        self.pending.len() >= chunk_len || (eager && !self.pending.is_empty())
    }

    /// Forgets `len` bytes of output that were sent.
    pub(super) fn sent(&mut self, len: usize) {
        let kept = self.pending.len() - len;
        self.pending.copy_within(len.., 0);
        self.pending.truncate(kept);
        self.offset += len as u64;
        if self.pending.is_empty() {
            self.owed.flush = false;
        }
        if self.phase == Phase::Blocked {
            self.phase = Phase::Running;
        }
    }

    /// The checkpoint; only when all output was sent. `None` if the kernel has none to give.
    pub(super) fn checkpoint<'a>(
        &'a self,
        now: Instant,
        state: &'a mut [u8; STATE_LEN_MAX],
    ) -> Option<Checkpoint<'a>> {
        let state_len = self.computation.checkpoint(state)?;
        let progress = self.computation.progress();
        let left = |deadline: Instant| {
            u32::try_from(deadline.saturating_duration_since(now).as_millis()).unwrap_or(u32::MAX)
        };
        Some(Checkpoint {
            work: self.work,
            kernel: self.kernel,
            deadline_ms: self.deadline.map(left),
            done: progress.done,
            all: progress.all,
            offset: self.offset,
            total: self.computation.output_len(),
            digest: self.digest,
            parameters: &self.parameters,
            state: state.get(..state_len)?,
        })
    }
}
