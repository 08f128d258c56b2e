//! Checkpoints of packages, sealed into ASAP cookies.
//!
//! A worker sends a cookie (RFC 5352 §2.2.13) on stream 0 each time a package has come further.
//! The runner keeps the latest of each package and hands it to another worker in a cookie echo
//! (§2.2.14) if the first is lost; the echo alone is enough to continue. Seal: [`asap::cookie`];
//! what is sealed: [`Checkpoint`].
//!
//! The runner has no key. It reads whose package a cookie is with [`Checkpoint::peek`], and
//! believes that as much as it believes a result.
//!
//! [`asap::cookie`]: crate::asap::cookie

use postcard::experimental::max_size::MaxSize;
use serde::{Deserialize, Serialize};

use super::kernel::Progress;
use super::protocol::{
    BufferTooSmall, KernelId, OutputDigest, PARAMETER_LEN_MAX, STATE_LEN_MAX, VERSION, WorkId,
    encode,
};
use crate::asap::cookie::{CookieKey, SEAL_OVERHEAD_LEN_MAX, open, seal};
use crate::identifier::PoolHandle;

/// The most bytes of a cookie or cookie echo message.
pub const COOKIE_MESSAGE_LEN_MAX: usize =
    COOKIE_HEADER_LEN + SEAL_OVERHEAD_LEN_MAX + CHECKPOINT_LEN_MAX;

/// What a sealed cookie holds.
///
/// Layout: version byte, then the fields in postcard's encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint<'a> {
    /// Which package.
    pub work: WorkId,
    /// Of which kernel.
    pub kernel: KernelId,
    /// How many milliseconds were left.
    pub deadline_ms: Option<u32>,
    /// Units computed.
    pub done: u64,
    /// Units in all.
    pub all: u64,
    /// Bytes of output sent.
    pub offset: u64,
    /// Bytes of output in all.
    pub total: u64,
    /// The sum of the output sent.
    pub digest: OutputDigest,
    /// The parameter block.
    pub parameters: &'a [u8],
    /// The kernel's state.
    pub state: &'a [u8],
}

/// The most bytes of a checkpoint, unsealed.
const CHECKPOINT_LEN_MAX: usize = 1
    + WorkId::POSTCARD_MAX_SIZE
    + KernelId::POSTCARD_MAX_SIZE
    + <Option<u32>>::POSTCARD_MAX_SIZE
    + 5 * u64::POSTCARD_MAX_SIZE
    + 2
    + PARAMETER_LEN_MAX
    + 1
    + STATE_LEN_MAX;

impl<'a> Checkpoint<'a> {
    /// How far the package is.
    #[must_use]
    pub fn progress(&self) -> Progress {
        Progress { done: self.done, all: self.all }
    }

    /// Writes the checkpoint as a cookie message, sealed for `pool`; returns its length.
    ///
    /// # Errors
    ///
    /// If it does not fit; [`COOKIE_MESSAGE_LEN_MAX`] bytes always do.
    pub fn seal(
        &self,
        key: &CookieKey,
        pool: PoolHandle<'_>,
        buf: &mut [u8],
    ) -> Result<usize, BufferTooSmall> {
        let mut payload = [0; CHECKPOINT_LEN_MAX];
        let payload_len = encode(self, &mut payload)?;
        let payload = payload.get(..payload_len).ok_or(BufferTooSmall)?;
        let sealed = buf.get_mut(COOKIE_HEADER_LEN..).ok_or(BufferTooSmall)?;
        let len = seal(key, pool.as_bytes(), payload, sealed).map_err(|_| BufferTooSmall)?;
        write_header(COOKIE, len, buf)
    }

    /// Opens a cookie that was sealed for `pool`; `None` if it was not, or says other things
    /// than a worker of this version would.
    #[must_use]
    pub fn open(key: &CookieKey, pool: PoolHandle<'_>, cookie: &'a [u8]) -> Option<Self> {
        let payload = open(key, pool.as_bytes(), cookie).ok()?;
        let (checkpoint, rest) = Self::decode(payload)?;
        let fits = checkpoint.offset <= checkpoint.total && checkpoint.done <= checkpoint.all;
        (rest.is_empty() && fits).then_some(checkpoint)
    }

    /// Reads a cookie without looking at its seal.
    #[must_use]
    pub fn peek(cookie: &'a [u8]) -> Option<Self> {
        let payload = cookie.get(SEAL_HEADER_LEN..)?;
        Some(Self::decode(payload)?.0)
    }

    fn decode(payload: &'a [u8]) -> Option<(Self, &'a [u8])> {
        match payload.split_first()? {
            (&VERSION, rest) => postcard::take_from_bytes(rest).ok(),
            _ => None,
        }
    }
}

/// What ASAP says on a session's control channel, as far as the compute service needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control<'a> {
    /// State for the pool user to keep (RFC 5352 §2.2.13).
    Cookie(&'a [u8]),
    /// State that the pool user brings (RFC 5352 §2.2.14).
    CookieEcho(&'a [u8]),
    /// Something else.
    Other,
}

impl<'a> Control<'a> {
    /// Reads a message of the control channel; `None` if it is no ASAP message.
    ///
    /// Only the two messages with a cookie are looked into: a message header (type, flags,
    /// length) and a cookie parameter (type 0x000d, length) around the cookie.
    #[must_use]
    pub fn parse(message: &'a [u8]) -> Option<Self> {
        let &[kind, _flags, a, b, ref body @ ..] = message else { return None };
        let len = usize::from(u16::from_be_bytes([a, b])).checked_sub(4)?;
        let body = body.get(..len)?;
        if kind != COOKIE && kind != COOKIE_ECHO {
            return Some(Self::Other);
        }
        let &[0x00, 0x0d, a, b, ref rest @ ..] = body else { return None };
        let len = usize::from(u16::from_be_bytes([a, b])).checked_sub(4)?;
        let cookie = rest.get(..len)?;
        Some(if kind == COOKIE { Self::Cookie(cookie) } else { Self::CookieEcho(cookie) })
    }

    /// Writes a cookie echo message; returns its length.
    ///
    /// # Errors
    ///
    /// If it does not fit.
    pub fn write_echo(cookie: &[u8], buf: &mut [u8]) -> Result<usize, BufferTooSmall> {
        let end = COOKIE_HEADER_LEN + cookie.len();
        buf.get_mut(COOKIE_HEADER_LEN..end).ok_or(BufferTooSmall)?.copy_from_slice(cookie);
        write_header(COOKIE_ECHO, cookie.len(), buf)
    }
}

const COOKIE: u8 = 11;
const COOKIE_ECHO: u8 = 12;
/// Message header and parameter header.
const COOKIE_HEADER_LEN: usize = 8;
/// What stands before the payload of a sealed cookie.
const SEAL_HEADER_LEN: usize = 4;

/// Sealed cookies are multiples of four bytes, so neither the parameter nor the message is padded.
fn write_header(kind: u8, cookie_len: usize, buf: &mut [u8]) -> Result<usize, BufferTooSmall> {
    let len = COOKIE_HEADER_LEN + cookie_len;
    let [high, low] = u16::try_from(len).map_err(|_| BufferTooSmall)?.to_be_bytes();
    let [cookie_high, cookie_low] = (len as u16 - 4).to_be_bytes();
    let header = buf.first_chunk_mut::<COOKIE_HEADER_LEN>().ok_or(BufferTooSmall)?;
    *header = [kind, 0, high, low, 0x00, 0x0d, cookie_high, cookie_low];
    Ok(len)
}

#[cfg(test)]
mod tests {
    use super::super::protocol::{JobNonce, PackageId};
    use super::*;

    const KEY: CookieKey = CookieKey::new([9; 32]);
    const CHECKPOINT: Checkpoint<'_> = Checkpoint {
        work: WorkId { job: JobNonce(7), package: PackageId(300) },
        kernel: KernelId(2),
        deadline_ms: Some(5),
        done: 3,
        all: 4,
        offset: 16,
        total: 32,
        digest: OutputDigest(1),
        parameters: &[1, 2],
        state: &[3],
    };

    fn pool() -> PoolHandle<'static> {
        PoolHandle::new(b"ComputePool").unwrap()
    }

    #[test]
    fn bytes_of_a_cookie_message() {
        let mut buf = [0; COOKIE_MESSAGE_LEN_MAX];
        let len = CHECKPOINT.seal(&KEY, pool(), &mut buf).unwrap();
        assert_eq!(len, 8 + 4 + 20 + 32);
        // ASAP's two headers, then the seal's own, then the checkpoint.
        assert_eq!(buf[..12], [11, 0, 0, 64, 0, 13, 0, 60, 1, 3, 0, 0]);
        let payload = [1, 7, 0xac, 2, 2, 1, 5, 3, 4, 16, 32, 1, 2, 1, 2, 1, 3];
        assert_eq!(buf[12..12 + payload.len()], payload);
    }

    #[test]
    fn a_cookie_comes_back_and_goes_out_as_an_echo() {
        let mut buf = [0; COOKIE_MESSAGE_LEN_MAX];
        let len = CHECKPOINT.seal(&KEY, pool(), &mut buf).unwrap();
        let Some(Control::Cookie(cookie)) = Control::parse(&buf[..len]) else { panic!() };
        assert_eq!(Checkpoint::peek(cookie), Some(CHECKPOINT));
        let mut echo = [0; COOKIE_MESSAGE_LEN_MAX];
        assert_eq!(Control::write_echo(cookie, &mut echo), Ok(len));
        assert_eq!(echo[0], 12);
        assert_eq!(Control::parse(&echo[..len]), Some(Control::CookieEcho(cookie)));
        assert_eq!(Checkpoint::open(&KEY, pool(), cookie), Some(CHECKPOINT));
    }

    #[test]
    fn any_changed_bit_is_refused() {
        let mut buf = [0; COOKIE_MESSAGE_LEN_MAX];
        let len = CHECKPOINT.seal(&KEY, pool(), &mut buf).unwrap();
        for bit in 0..(len - 8) * 8 {
            let mut cookie = buf[8..len].to_vec();
            cookie[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Checkpoint::open(&KEY, pool(), &cookie), None, "bit {bit}");
        }
    }

    #[test]
    fn another_key_pool_or_progress_is_refused() {
        let mut buf = [0; COOKIE_MESSAGE_LEN_MAX];
        let len = CHECKPOINT.seal(&KEY, pool(), &mut buf).unwrap();
        let other = CookieKey::new([8; 32]);
        assert_eq!(Checkpoint::open(&other, pool(), &buf[8..len]), None);
        let other = PoolHandle::new(b"Other").unwrap();
        assert_eq!(Checkpoint::open(&KEY, other, &buf[8..len]), None);
        for bad in [Checkpoint { done: 5, ..CHECKPOINT }, Checkpoint { offset: 33, ..CHECKPOINT }]
        {
            let len = bad.seal(&KEY, pool(), &mut buf).unwrap();
            assert_eq!(Checkpoint::open(&KEY, pool(), &buf[8..len]), None);
        }
    }

    #[test]
    fn the_longest_checkpoint_fits_its_bound() {
        let longest = Checkpoint {
            work: WorkId { job: JobNonce(u64::MAX), package: PackageId(u32::MAX) },
            kernel: KernelId(u16::MAX),
            deadline_ms: Some(u32::MAX),
            done: u64::MAX,
            all: u64::MAX,
            offset: u64::MAX,
            total: u64::MAX,
            digest: OutputDigest(u64::MAX),
            parameters: &[0; PARAMETER_LEN_MAX],
            state: &[0; STATE_LEN_MAX],
        };
        let mut buf = [0; COOKIE_MESSAGE_LEN_MAX];
        let len = longest.seal(&KEY, pool(), &mut buf).unwrap();
        assert_eq!(Checkpoint::open(&KEY, pool(), &buf[8..len]), Some(longest));
        assert_eq!(longest.seal(&KEY, pool(), &mut buf[..len - 1]), Err(BufferTooSmall));
        // As docs/compute-protocol.md says.
        assert_eq!(COOKIE_MESSAGE_LEN_MAX, 317);
    }

    #[test]
    fn other_control_messages_are_told_apart_from_rubbish() {
        // RSPLIB's ping-pong cookie, and an endpoint keep-alive's header.
        let cookie = b"\x0b\0\0\x18\0\x0d\0\x14<PP-TD1>\0\0\0\0\0\0\0\x02";
        assert_eq!(Control::parse(cookie), Some(Control::Cookie(&cookie[8..])));
        assert_eq!(Control::parse(&[7, 0, 0, 4]), Some(Control::Other));
        for rubbish in [&b"\x0b\0\0\x18"[..], b"\x0b\0\0\x03", b"\x0b\0\0\x08\0\x0d\0\x08", b""] {
            assert_eq!(Control::parse(rubbish), None);
        }
    }
}
