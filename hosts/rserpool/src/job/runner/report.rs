//! What a runner is told, and what it tells its driver.

use core::time::Duration;

use rserpool_core::association::Endpoint;
use rserpool_core::compute::{DecodeError, PackageId, SILENCE_TIMEOUT};
use rserpool_core::identifier::PeId;
use thiserror::Error;

/// How a runner goes about it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RunnerConfig {
    /// Packages in flight to an element, at least 2 so that it never waits. Default: 3. An
    /// element with fewer free slots gets fewer.
    pub window: usize,
    /// An element is lost after so long without any message. Default: 3 s.
    pub silence_timeout: Duration,
    /// An element is pinged after so long without any message. Default: 1 s.
    pub ping_interval: Duration,
    /// An association is given up if it is not up after so long. Default: 5 s.
    pub connect_timeout: Duration,
    /// An element that leaves a package unanswered for so long is lost. Default: 3 s.
    pub accept_timeout: Duration,
    /// How often to look for newcomers in the pool. Default: 5 s.
    pub resolve_interval: Duration,
    /// How often to look while there are fewer than [`elements_min`](Self::elements_min).
    /// Default: 500 ms.
    pub resolve_interval_short: Duration,
    /// With fewer elements than this, look for others more often. Default: 2.
    pub elements_min: usize,
    /// The most elements used at once. Default: 64.
    pub elements_max: usize,
    /// The pause after a first refusal or failure of an element; it doubles each time, up to
    /// 32 times as long. Default: 100 ms.
    pub backoff: Duration,
    /// A package is not given to a second element while it has been in work for less than
    /// this. Default: 300 ms.
    pub duplicate_after_min: Duration,
    /// The job fails when a package failed on so many different elements. Default: 3.
    pub failures_max: usize,
    /// The job fails when so many elements in a row died while they computed the same package,
    /// without that getting any further. Default: 10.
    pub deaths_max: usize,
    /// How long the job may take. Default: for ever.
    pub deadline: Option<Duration>,
    /// The job fails after so long without any usable element. Default: 30 s.
    pub starvation_timeout: Option<Duration>,
}

impl Default for RunnerConfig {
    fn default() -> Self {
        Self {
            window: 3,
            silence_timeout: SILENCE_TIMEOUT,
            ping_interval: Duration::from_secs(1),
            connect_timeout: Duration::from_secs(5),
            accept_timeout: Duration::from_secs(3),
            resolve_interval: Duration::from_secs(5),
            resolve_interval_short: Duration::from_millis(500),
            elements_min: 2,
            elements_max: 64,
            backoff: Duration::from_millis(100),
            duplicate_after_min: Duration::from_millis(300),
            failures_max: 3,
            deaths_max: 10,
            deadline: None,
            starvation_timeout: Some(Duration::from_secs(30)),
        }
    }
}

/// What the driver should know or do.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// Please resolve the pool handle and answer with
    /// [`update_elements`](super::JobRunner::update_elements), with an empty list if there is no
    /// such pool. The runner asks again by itself.
    Resolve,
    /// Please report this element as unreachable (RFC 5352 §2.2.7 and §3.5).
    Unreachable {
        /// Which one.
        element: PeId,
    },
    /// An element takes part from now on.
    ElementUp {
        /// Which one.
        element: PeId,
    },
    /// An element takes part no longer.
    ElementLost {
        /// Which one.
        element: PeId,
        /// Why.
        reason: LossReason,
        /// How many packages it had.
        package_count: usize,
    },
    /// A package of a lost element continues elsewhere from a cookie.
    Resumed {
        /// Which package.
        package: PackageId,
        /// Who had it.
        from: PeId,
        /// Who has it now.
        to: PeId,
        /// Units of the kernel that need not be computed again.
        done: u64,
        /// Units in all.
        all: u64,
    },
    /// A package of a lost element begins again elsewhere: there was no cookie.
    Restarted {
        /// Which package.
        package: PackageId,
        /// Who had it.
        from: PeId,
        /// Who has it now.
        to: PeId,
    },
    /// A package is computed by a second element, since the first is slow.
    Duplicated {
        /// Which package.
        package: PackageId,
        /// Who has it.
        first: PeId,
        /// Who has it too.
        second: PeId,
    },
    /// An element did not take a package, or gave it up; somebody else gets it.
    Returned {
        /// Which package.
        package: PackageId,
        /// Who had it.
        element: PeId,
        /// Why, for people.
        why: &'static str,
    },
    /// A package is computed and the job has its output. Told once for each package.
    PackageDone {
        /// Which one.
        package: PackageId,
        /// By whom.
        element: PeId,
    },
    /// The job is over. Associations are being shut down; drain the runner until
    /// [`is_closed`](super::JobRunner::is_closed).
    Finished(Result<(), JobError>),
}

/// Why an element takes part no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LossReason {
    /// No association could be set up.
    ConnectFailed,
    /// Its association broke.
    AssociationLost,
    /// It said goodbye.
    Shutdown,
    /// It restarted and has forgotten its packages.
    Restarted,
    /// Its association is up but nothing comes any more.
    Silent,
    /// It does not answer packages, or not in this protocol.
    Misbehaves,
}

/// Why a job failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum JobError {
    /// Its time is over.
    #[error("the deadline of the job passed with {done} of {all} packages done")]
    Deadline {
        /// Packages done.
        done: u32,
        /// Packages in all.
        all: u32,
    },
    /// It was cancelled.
    #[error("the job was cancelled")]
    Cancelled,
    /// A package fails wherever it is computed.
    #[error("package {} fails on all elements ({elements}), so it is at fault itself", package.0)]
    Poisonous {
        /// Which one.
        package: PackageId,
        /// On how many elements.
        elements: usize,
    },
    /// Elements die of a package.
    #[error("{elements} elements died while they computed package {}", package.0)]
    Deadly {
        /// Which one.
        package: PackageId,
        /// How many elements.
        elements: usize,
    },
    /// There was nobody to compute.
    #[error("for {} s the pool had no usable element; is `rsp serve` running?", waited.as_secs())]
    NoElements {
        /// How long the runner waited.
        waited: Duration,
    },
}

/// Why an input was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RunnerError {
    /// The association or attempt is none of the runner's.
    #[error("the association is not one of the job runner's")]
    UnknownAssociation,
    /// The bytes are no message of a worker.
    #[error("not a message of a worker: {0}")]
    Decode(#[from] DecodeError),
    /// The bytes on the control channel are no ASAP message, or their cookie names no package.
    #[error("not a cookie that names a package")]
    Control,
    /// The worker does what it must not.
    #[error("the worker breaks the protocol")]
    Protocol,
}

/// What an element has done.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ElementStatistics {
    /// Who.
    pub element: PeId,
    /// Where.
    pub endpoint: Endpoint,
    /// Whether it takes part now.
    pub up: bool,
    /// Packages in flight to it now.
    pub in_flight_count: usize,
    /// Packages whose result came from it.
    pub package_count: u64,
    /// Bytes of output that came from it.
    pub output_len: u64,
    /// Cookies that came from it.
    pub cookie_count: u64,
    /// Packages that it continued from another's cookie.
    pub resumed_count: u64,
    /// Packages that it lost.
    pub lost_count: u64,
    /// Packages that it computed besides another element.
    pub duplicate_count: u64,
    /// Packages that it refused or gave back.
    pub returned_count: u64,
}

/// What a job has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct JobStatistics {
    /// Packages in all.
    pub package_count: u32,
    /// Packages done.
    pub done_count: u32,
    /// Elements lost, each time counted.
    pub elements_lost: u64,
    /// Packages that continued elsewhere from a cookie.
    pub resumed_count: u64,
    /// Packages of lost elements that began again.
    pub restarted_count: u64,
    /// Packages given to a second element.
    pub duplicated_count: u64,
    /// Those of them where the second element was first.
    pub duplicates_won: u64,
    /// Packages refused or given back.
    pub returned_count: u64,
    /// Outputs that were wrong.
    pub wrong_output_count: u64,
    /// Units of the kernels that had to be computed again.
    pub units_lost: u64,
    /// Summed over the packages of lost elements: from the last sign of life of the one to the
    /// acceptance by the other.
    pub failover_time: Duration,
}
