//! The compute service: the work-package protocol, the worker that speaks it, and kernels.
//!
//! A **kernel** is a named function from a parameter block to an output block ([`kernel`] tells
//! how to add one). A [`Worker`] is the pool element's side: it takes packages, computes them in
//! bounded slices, sends output in chunks and seals checkpoints into ASAP cookies, from which
//! any other worker of the pool continues. The other side, the job runner, needs memory without
//! bounds and so lives on hosts.
//!
//! Read `docs/compute-protocol.md` before editing. Deliberately absent: time-outs of the runner,
//! any knowledge of jobs beyond their nonce, and authentication of users.

pub mod cookie;
pub mod kernel;
pub mod kernels;
mod protocol;
mod worker;

pub use kernel::{Budget, Kernel, KernelError, KernelSet, Output, Progress, Step};
pub use protocol::{
    ALIVE_INTERVAL, BufferTooSmall, CHUNK_OVERHEAD, DecodeError, FailReason, JobNonce,
    KERNELS_MAX, KernelId, KernelIds, Limits, OutputDigest, PARAMETER_LEN_MAX, PLAIN_LEN_MAX,
    PackageId, RUNNER_MESSAGE_LEN_MAX, RejectReason, RunnerMessage, SILENCE_TIMEOUT,
    STATE_LEN_MAX, VERSION, WORK_STREAM, WorkId, WorkerMessage,
};
pub use worker::{
    BUDGET_MIN, Event, LoadFraction, Stop, Worker, WorkerConfig, WorkerError, WorkerStatistics,
};
