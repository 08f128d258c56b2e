//! The messages between a job runner and a worker, and what they are made of.
//!
//! Bytes that only this project reads: a version byte, then the message in postcard's encoding
//! (layouts and flows: `docs/compute-protocol.md`). They travel under [`Ppid::COMPUTE`] on
//! [`WORK_STREAM`]; stream 0 carries ASAP's cookies and cookie echoes.
//!
//! A message borrows its bytes; nothing here copies a parameter block or a chunk of output.
//!
//! [`Ppid::COMPUTE`]: crate::association::Ppid::COMPUTE

use core::fmt;
use core::time::Duration;

use postcard::experimental::max_size::MaxSize;
use serde::{Deserialize, Serialize};

use crate::association::StreamId;

/// The version of the layouts, the first byte of every message and cookie.
pub const VERSION: u8 = 1;
/// The stream of all messages of the work-package protocol.
pub const WORK_STREAM: StreamId = StreamId(1);
/// The most bytes that a parameter block may have.
pub const PARAMETER_LEN_MAX: usize = 128;
/// The most bytes of kernel state that a checkpoint may have.
pub const STATE_LEN_MAX: usize = 64;
/// The most kernels that a worker announces.
pub const KERNELS_MAX: usize = 16;
/// How often a worker that holds packages says something, unless configured otherwise.
pub const ALIVE_INTERVAL: Duration = Duration::from_millis(750);
/// After how long without any message an element is taken for dead, unless configured otherwise.
pub const SILENCE_TIMEOUT: Duration = Duration::from_secs(3);

/// The most bytes of a chunk message that are not output.
pub const CHUNK_OVERHEAD: usize = 1 + TAG_LEN + WorkId::POSTCARD_MAX_SIZE + 2 * 10 + LENGTH_LEN;
/// The most bytes of a message that carries neither parameters nor output.
pub const PLAIN_LEN_MAX: usize =
    1 + TAG_LEN + Limits::POSTCARD_MAX_SIZE + LENGTH_LEN + 2 * KERNELS_MAX;
/// The most bytes that a runner's message may have.
pub const RUNNER_MESSAGE_LEN_MAX: usize =
    1 + TAG_LEN + WorkId::POSTCARD_MAX_SIZE + 3 + 6 + LENGTH_LEN + PARAMETER_LEN_MAX;

/// Postcard writes the variant of an enum with fewer than 128 as one byte.
const TAG_LEN: usize = 1;
/// Lengths are below 2^21.
const LENGTH_LEN: usize = 3;

/// A job, named by a random number that no two jobs share.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    MaxSize,
)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct JobNonce(pub u64);

/// A package of a job, counted from 0.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    MaxSize,
)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PackageId(pub u32);

/// A kernel. Numbers from 0x8000 are free for private use.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    MaxSize,
)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct KernelId(pub u16);

/// What every message about a package names: the job and the package.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    MaxSize,
)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct WorkId {
    /// The job.
    pub job: JobNonce,
    /// The package of the job.
    pub package: PackageId,
}

impl fmt::Display for WorkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}/{}", self.job.0, self.package.0)
    }
}

/// What a worker can hold, as it says in its Hello.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Limits {
    /// How many packages it holds at once, for all its users together.
    pub slot_count: u16,
    /// The most bytes of a parameter block.
    pub parameter_len_max: u16,
    /// The most bytes of a chunk of output.
    pub chunk_len_max: u16,
    /// The most bytes of output that a package may have in all.
    pub output_len_max: u64,
    /// The longest that it is silent while it holds packages, in milliseconds.
    pub alive_interval_ms: u32,
}

/// The kernels that a worker has, as they stand in its Hello: two bytes each, low byte first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct KernelIds<'a>(&'a [u8]);

impl<'a> KernelIds<'a> {
    /// Writes `kernels` into `buf`; the ones beyond its end are left out.
    #[must_use]
    pub fn encode(kernels: &[KernelId], buf: &'a mut [u8; 2 * KERNELS_MAX]) -> Self {
        let mut len = 0;
        for (kernel, place) in kernels.iter().zip(buf.chunks_exact_mut(2)) {
            place.copy_from_slice(&kernel.0.to_le_bytes());
            len += 2;
        }
        Self(&buf[..len])
    }

    /// The kernels.
    pub fn iter(&self) -> impl Iterator<Item = KernelId> + use<'a> {
        let pairs = self.0.as_chunks::<2>().0;
        pairs.iter().map(|&pair| KernelId(u16::from_le_bytes(pair)))
    }

    /// Whether `kernel` is among them.
    #[must_use]
    pub fn contains(&self, kernel: KernelId) -> bool {
        self.iter().any(|known| known == kernel)
    }
}

/// Why a worker does not take a package, or gives one back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum RejectReason {
    /// All slots are taken: try again later or elsewhere.
    Busy,
    /// The worker is going away; its latest cookie, if there is one, continues elsewhere.
    Stopping,
    /// The worker does not have the kernel.
    UnknownKernel,
    /// The kernel cannot read the parameters. Every worker would say so.
    BadParameters,
    /// Parameters, output or state exceed what the worker can hold.
    TooLarge,
    /// The cookie is not sealed with the key of the pool, or does not fit its package.
    BadCookie,
    /// The worker holds this package already.
    Duplicate,
}

/// Why a package that was accepted came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum FailReason {
    /// Its deadline passed.
    Deadline,
    /// The kernel gave up.
    Kernel,
    /// The kernel ended with another length of output than it had promised.
    Output,
}

/// What a worker says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum WorkerMessage<'a> {
    /// The first message on an association: what the worker is.
    Hello {
        /// What it can hold.
        limits: Limits,
        /// What it can compute.
        #[serde(borrow)]
        kernels: KernelIds<'a>,
    },
    /// A package was taken, freshly or from a cookie.
    Accept {
        /// Which one.
        work: WorkId,
        /// The position in its output from which chunks will follow.
        offset: u64,
        /// The length of its whole output, in bytes.
        total: u64,
    },
    /// A package was not taken, or is given back.
    Reject {
        /// Which one.
        work: WorkId,
        /// Why.
        reason: RejectReason,
    },
    /// A sign of life from a package: how far it is.
    Progress {
        /// Which one.
        work: WorkId,
        /// Units computed.
        done: u64,
        /// Units in all.
        all: u64,
    },
    /// A piece of the output. The pieces of a package come in order and without gaps.
    Chunk {
        /// Of which package.
        work: WorkId,
        /// Its position in the output.
        offset: u64,
        /// The length of the whole output.
        total: u64,
        /// The piece.
        bytes: &'a [u8],
    },
    /// A package is computed; all its chunks were sent before.
    Done {
        /// Which one.
        work: WorkId,
        /// The length of its output.
        total: u64,
        /// The [`OutputDigest`] of its output.
        digest: u64,
    },
    /// A package came to nothing.
    Failed {
        /// Which one.
        work: WorkId,
        /// Why.
        reason: FailReason,
    },
    /// The answer to a Ping.
    Pong {
        /// The number in the Ping.
        token: u32,
    },
}

/// What a runner says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum RunnerMessage<'a> {
    /// Please compute this.
    Package {
        /// Its name.
        work: WorkId,
        /// With which kernel.
        kernel: KernelId,
        /// How many milliseconds it may take; afterwards nobody wants the result.
        deadline_ms: Option<u32>,
        /// What to compute, in the kernel's own layout.
        parameters: &'a [u8],
    },
    /// The result is not wanted any more. There is no answer.
    Cancel {
        /// Which one.
        work: WorkId,
    },
    /// Are you there?
    Ping {
        /// Comes back in the Pong.
        token: u32,
    },
    /// No package of this user is wanted any more. There is no answer.
    Bye,
}

/// Why bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum DecodeError {
    /// There are no bytes.
    Empty,
    /// The first byte is another version.
    Version(u8),
    /// What follows the version is no message of this version.
    Malformed,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("an empty message"),
            Self::Version(version) => write!(f, "version {version} where {VERSION} was expected"),
            Self::Malformed => f.write_str("no message of the work-package protocol"),
        }
    }
}

impl core::error::Error for DecodeError {}

/// The buffer is too small for the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct BufferTooSmall;

impl fmt::Display for BufferTooSmall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the buffer is too small for the message")
    }
}

impl core::error::Error for BufferTooSmall {}

impl<'a> WorkerMessage<'a> {
    /// Reads one message.
    ///
    /// # Errors
    ///
    /// If `bytes` are not exactly one message of this version.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        decode(bytes)
    }

    /// Writes the message to the start of `buf`; returns its length.
    ///
    /// # Errors
    ///
    /// If it does not fit.
    pub fn encode(&self, buf: &mut [u8]) -> Result<usize, BufferTooSmall> {
        encode(self, buf)
    }
}

impl<'a> RunnerMessage<'a> {
    /// Reads one message.
    ///
    /// # Errors
    ///
    /// If `bytes` are not exactly one message of this version.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        decode(bytes)
    }

    /// Writes the message to the start of `buf`; returns its length.
    ///
    /// # Errors
    ///
    /// If it does not fit.
    pub fn encode(&self, buf: &mut [u8]) -> Result<usize, BufferTooSmall> {
        encode(self, buf)
    }
}

fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, DecodeError> {
    match bytes.split_first() {
        None => Err(DecodeError::Empty),
        Some((&VERSION, rest)) => match postcard::take_from_bytes(rest) {
            Ok((message, [])) => Ok(message),
            _ => Err(DecodeError::Malformed),
        },
        Some((&version, _)) => Err(DecodeError::Version(version)),
    }
}

pub(super) fn encode<T: Serialize>(message: &T, buf: &mut [u8]) -> Result<usize, BufferTooSmall> {
    let (version, room) = buf.split_first_mut().ok_or(BufferTooSmall)?;
    *version = VERSION;
    let bytes = postcard::to_slice(message, room).map_err(|_| BufferTooSmall)?;
    Ok(1 + bytes.len())
}

/// A running 64-bit FNV-1a sum of a package's output, by which the runner notices that it put
/// pieces together wrongly. It guards against mistakes, not against malice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct OutputDigest(pub u64);

impl OutputDigest {
    /// The sum of no bytes.
    pub const EMPTY: Self = Self(0xcbf2_9ce4_8422_2325);

    /// The sum of the bytes so far and `bytes`.
    #[must_use]
    pub fn with(self, bytes: &[u8]) -> Self {
        bytes.iter().fold(self, |sum, &byte| {
            Self((sum.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    const WORK: WorkId = WorkId { job: JobNonce(0x0102_0304_0506_0708), package: PackageId(300) };
    /// The job nonce and the package number of `WORK`, in postcard's variable-length integers.
    const WORK_BYTES: &[u8] = &[0x88, 0x8e, 0x98, 0xa8, 0xc0, 0xe0, 0x80, 0x81, 0x01, 0xac, 0x02];

    fn bytes_of(message: &WorkerMessage<'_>) -> Vec<u8> {
        let mut buf = [0; 512];
        let len = message.encode(&mut buf).unwrap();
        assert_eq!(WorkerMessage::decode(&buf[..len]).as_ref(), Ok(message));
        for cut in 0..len {
            assert!(WorkerMessage::decode(&buf[..cut]).is_err(), "{cut} of {len} bytes");
        }
        buf[..len].to_vec()
    }

    fn runner_bytes_of(message: &RunnerMessage<'_>) -> Vec<u8> {
        let mut buf = [0; 512];
        let len = message.encode(&mut buf).unwrap();
        assert_eq!(RunnerMessage::decode(&buf[..len]).as_ref(), Ok(message));
        for cut in 0..len {
            assert!(RunnerMessage::decode(&buf[..cut]).is_err(), "{cut} of {len} bytes");
        }
        buf[..len].to_vec()
    }

    fn with_work(head: &[u8], tail: &[u8]) -> Vec<u8> {
        [head, WORK_BYTES, tail].concat()
    }

    #[test]
    fn bytes_of_a_hello() {
        let limits = Limits {
            slot_count: 2,
            parameter_len_max: 128,
            chunk_len_max: 1024,
            output_len_max: 1 << 20,
            alive_interval_ms: 750,
        };
        let mut buf = [0; 2 * KERNELS_MAX];
        let kernels = KernelIds::encode(&[KernelId(1), KernelId(0x8001)], &mut buf);
        assert!(kernels.contains(KernelId(0x8001)) && !kernels.contains(KernelId(2)));
        assert_eq!(
            bytes_of(&WorkerMessage::Hello { limits, kernels }),
            [1, 0, 2, 0x80, 1, 0x80, 8, 0x80, 0x80, 0x40, 0xee, 5, 4, 1, 0, 1, 0x80]
        );
    }

    #[test]
    fn bytes_of_the_other_messages_of_a_worker() {
        let message = WorkerMessage::Accept { work: WORK, offset: 0, total: 200 };
        assert_eq!(bytes_of(&message), with_work(&[1, 1], &[0, 0xc8, 1]));
        let message = WorkerMessage::Reject { work: WORK, reason: RejectReason::BadCookie };
        assert_eq!(bytes_of(&message), with_work(&[1, 2], &[5]));
        let message = WorkerMessage::Progress { work: WORK, done: 5, all: 7 };
        assert_eq!(bytes_of(&message), with_work(&[1, 3], &[5, 7]));
        let message = WorkerMessage::Chunk { work: WORK, offset: 4, total: 6, bytes: &[8, 9] };
        assert_eq!(bytes_of(&message), with_work(&[1, 4], &[4, 6, 2, 8, 9]));
        let message = WorkerMessage::Done { work: WORK, total: 6, digest: 1 };
        assert_eq!(bytes_of(&message), with_work(&[1, 5], &[6, 1]));
        let message = WorkerMessage::Failed { work: WORK, reason: FailReason::Output };
        assert_eq!(bytes_of(&message), with_work(&[1, 6], &[2]));
        assert_eq!(bytes_of(&WorkerMessage::Pong { token: 3 }), [1, 7, 3]);
    }

    #[test]
    fn bytes_of_the_messages_of_a_runner() {
        let message = RunnerMessage::Package {
            work: WORK,
            kernel: KernelId(2),
            deadline_ms: Some(9),
            parameters: &[7, 7],
        };
        assert_eq!(runner_bytes_of(&message), with_work(&[1, 0], &[2, 1, 9, 2, 7, 7]));
        let message = RunnerMessage::Cancel { work: WORK };
        assert_eq!(runner_bytes_of(&message), with_work(&[1, 1], &[]));
        assert_eq!(runner_bytes_of(&RunnerMessage::Ping { token: 128 }), [1, 2, 0x80, 1]);
        assert_eq!(runner_bytes_of(&RunnerMessage::Bye), [1, 3]);
    }

    #[test]
    fn the_longest_messages_fit_their_bounds() {
        let most = WorkId { job: JobNonce(u64::MAX), package: PackageId(u32::MAX) };
        let mut buf = [0; 4096];
        let message = WorkerMessage::Chunk {
            work: most,
            offset: u64::MAX,
            total: u64::MAX,
            bytes: &[0; 1024],
        };
        let len = message.encode(&mut buf).unwrap();
        assert!((1024..=1024 + CHUNK_OVERHEAD).contains(&len));
        let limits = Limits {
            slot_count: u16::MAX,
            parameter_len_max: u16::MAX,
            chunk_len_max: u16::MAX,
            output_len_max: u64::MAX,
            alive_interval_ms: u32::MAX,
        };
        let mut ids = [0; 2 * KERNELS_MAX];
        let kernels = KernelIds::encode(&[KernelId(u16::MAX); KERNELS_MAX + 1], &mut ids);
        let len = WorkerMessage::Hello { limits, kernels }.encode(&mut buf).unwrap();
        assert!(len <= PLAIN_LEN_MAX);
        let message = WorkerMessage::Progress { work: most, done: u64::MAX, all: u64::MAX };
        assert!(message.encode(&mut buf).unwrap() <= PLAIN_LEN_MAX);
        let message = RunnerMessage::Package {
            work: most,
            kernel: KernelId(u16::MAX),
            deadline_ms: Some(u32::MAX),
            parameters: &[0xff; PARAMETER_LEN_MAX],
        };
        assert!(message.encode(&mut buf).unwrap() <= RUNNER_MESSAGE_LEN_MAX);
    }

    #[test]
    fn another_version_and_trailing_bytes_are_refused() {
        assert_eq!(RunnerMessage::decode(&[]), Err(DecodeError::Empty));
        assert_eq!(RunnerMessage::decode(&[2, 3]), Err(DecodeError::Version(2)));
        assert_eq!(RunnerMessage::decode(&[1, 3, 0]), Err(DecodeError::Malformed));
        assert_eq!(RunnerMessage::decode(&[1, 99]), Err(DecodeError::Malformed));
        assert_eq!(RunnerMessage::Bye.encode(&mut [0; 1]), Err(BufferTooSmall));
    }

    #[test]
    fn the_published_sums_of_fnv() {
        assert_eq!(OutputDigest::EMPTY.with(b"a").0, 0xaf63_dc4c_8601_ec8c);
        assert_eq!(OutputDigest::EMPTY.with(b"foo").with(b"bar").0, 0x8594_4171_f739_67e8);
    }
}
