//! Jobs: work for a whole pool, cut into packages.
//!
//! A [`Job`] says what its packages are and puts their outputs together; [`JobRunner`] gets
//! them computed by whichever pool elements there are. The runner is a machine without clock or
//! socket, like those of the core, but with memory as it likes. [`compute_locally`] does the
//! same work alone and on the spot, to compare with.
//!
//! Read `docs/compute-protocol.md` before editing. Deliberately absent: handle resolution (the
//! driver does it with the pool user when [`Event::Resolve`] asks for it), sockets, threads.

mod description;
mod kinds;
mod local;
mod runner;

pub use description::{BadOutput, Job, Verdict};
pub use kinds::{FractalJob, FractalView, MonteCarloJob, ShaPrefixJob, SyntheticJob};
pub use local::compute_locally;
pub use runner::{
    ElementStatistics, Event, JobError, JobRunner, JobStatistics, LossReason, RunnerConfig,
    RunnerError, TRANSMIT_LEN_MAX,
};
