//! What a worker is told, and what it tells its driver.

use core::fmt;
use core::time::Duration;

use super::super::kernel::KernelSet;
use super::super::protocol::{
    ALIVE_INTERVAL, DecodeError, FailReason, KernelId, RejectReason, WorkId,
};
use crate::association::AssociationId;
use crate::identifier::PoolHandleBuf;

/// What a worker is told at its start.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WorkerConfig {
    /// The pool for which cookies are sealed.
    pub pool: PoolHandleBuf,
    /// How often a user whose packages are held hears of each. Default: [`ALIVE_INTERVAL`].
    pub alive_interval: Duration,
    /// How often a package that gets on is checkpointed. Default: 500 ms.
    pub cookie_interval: Duration,
    /// How many bytes of output go into a message, at most `OUTPUT` of the worker. Default: 1024.
    pub chunk_len: usize,
    /// The most output that a package may have. Default: no limit, since output is not stored.
    pub output_len_max: u64,
    /// The kernels that are offered, of those that the worker has: bit `i` stands for the one at
    /// `i` in its [`KernelSet::IDS`](super::super::kernel::KernelSet::IDS). Default: all.
    pub kernels: u32,
    /// How many of its slots the worker uses, at least one. Default: all.
    pub slot_count: u16,
}

impl WorkerConfig {
    /// The defaults, for a worker in `pool`.
    #[must_use]
    pub const fn new(pool: PoolHandleBuf) -> Self {
        Self {
            pool,
            alive_interval: ALIVE_INTERVAL,
            cookie_interval: Duration::from_millis(500),
            chunk_len: 1_024,
            output_len_max: u64::MAX,
            kernels: u32::MAX,
            slot_count: u16::MAX,
        }
    }

    /// Offers only these kernels, of those in the set `K`.
    ///
    /// ```
    /// use rserpool_core::compute::kernels::StandardKernels;
    /// use rserpool_core::compute::{KernelId, WorkerConfig};
    /// use rserpool_core::identifier::PoolHandle;
    ///
    /// let mut config = WorkerConfig::new(PoolHandle::new(b"ComputePool")?.to_buf());
    /// config.offer_only::<StandardKernels>(&[KernelId(1), KernelId(3)]);
    /// assert_eq!(config.kernels, 0b101);
    /// # Ok::<(), rserpool_core::identifier::PoolHandleError>(())
    /// ```
    pub fn offer_only<K: KernelSet>(&mut self, kernels: &[KernelId]) {
        self.kernels = 0;
        for (index, id) in (0..u32::BITS).zip(K::IDS) {
            self.kernels |= u32::from(kernels.contains(id)) << index;
        }
    }
}

/// How a worker stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Stop {
    /// It computes what it holds and takes nothing new.
    Finish,
    /// It gives back what it holds, each package with a last cookie.
    HandOn,
}

/// The share of slots in use, as a fraction of `u32::MAX`: the load that the policies of
/// RFC 5356 speak of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct LoadFraction(pub u32);

/// What a worker tells its driver. All but the last two are for logs: when nobody pulls, the
/// oldest are dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Event {
    /// A package was taken.
    Accepted {
        /// Whose.
        user: AssociationId,
        /// Which.
        work: WorkId,
        /// With which kernel.
        kernel: KernelId,
        /// From a cookie.
        resumed: bool,
    },
    /// A package was not taken.
    Rejected {
        /// Whose.
        user: AssociationId,
        /// Which.
        work: WorkId,
        /// Why.
        reason: RejectReason,
    },
    /// A package is computed and sent.
    Finished {
        /// Whose.
        user: AssociationId,
        /// Which.
        work: WorkId,
    },
    /// A package came to nothing.
    Failed {
        /// Whose.
        user: AssociationId,
        /// Which.
        work: WorkId,
        /// Why.
        reason: FailReason,
    },
    /// A package was cancelled, given back, or its user is gone.
    Released {
        /// Whose.
        user: AssociationId,
        /// Which.
        work: WorkId,
    },
    /// The load is not what it was; worth a re-registration under a load-dependent policy.
    LoadChanged {
        /// What it is now.
        load: LoadFraction,
    },
    /// After [`Worker::stop`](super::Worker::stop): nothing is held any more, nothing more to
    /// be said.
    Stopped,
}

/// Why an input was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum WorkerError {
    /// No user has this association.
    UnknownUser,
    /// The table of users is full; the newcomer is sent away.
    TooManyUsers,
    /// The bytes are no message of a runner.
    Decode(DecodeError),
    /// The bytes on the control channel are no ASAP message, or their cookie names no package.
    Control,
}

impl fmt::Display for WorkerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownUser => f.write_str("no user has this association"),
            Self::TooManyUsers => f.write_str("the table of users is full"),
            Self::Decode(error) => write!(f, "not a message of a runner: {error}"),
            Self::Control => f.write_str("not a cookie echo that names a package"),
        }
    }
}

impl core::error::Error for WorkerError {}

/// What a worker has done since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct WorkerStatistics {
    /// Packages taken, freshly or from a cookie.
    pub accepted: u64,
    /// Those of them that came in a cookie.
    pub resumed: u64,
    /// Packages not taken.
    pub rejected: u64,
    /// Packages computed and sent.
    pub finished: u64,
    /// Packages that came to nothing here.
    pub failed: u64,
    /// Packages cancelled, given back or left by their user.
    pub released: u64,
    /// Cookies sent.
    pub cookies: u64,
    /// Bytes of output sent.
    pub output_len: u64,
    /// Events that nobody pulled in time.
    pub events_lost: u64,
}
