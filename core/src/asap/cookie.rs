//! Sealed cookies: state that a pool user carries from one pool element to the next without
//! being able to change it.
//!
//! RFC 5352 §3.8 wants cookies signed by the element that makes them and verified by the one
//! that gets them, and leaves the how to the implementation. Ours:
//!
//! ```text
//!  byte  0        version, 1
//!  byte  1        how many zero bytes follow the payload, 0 to 3
//!  bytes 2..4     zero
//!  bytes 4..      payload, then those zero bytes (a multiple of four bytes in all)
//!  last 32        HMAC-SHA-256 under the pool key over: context length (u16, big endian),
//!                 context, and all bytes of the cookie before it
//! ```
//!
//! The context is whatever the cookie must not be taken out of, usually the pool handle; it is
//! not in the cookie. Absent: encryption (a pool user may read what it carries) and freshness
//! (an old cookie stays good; what is inside must tell, as a progress counter does).

use core::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// How many bytes sealing adds at most, for a payload of any length.
pub const SEAL_OVERHEAD_LEN_MAX: usize = HEADER_LEN + PADDING_LEN_MAX + MAC_LEN;

/// The secret that all elements of a pool share.
#[derive(Clone)]
pub struct CookieKey([u8; CookieKey::LEN]);

impl CookieKey {
    /// How many bytes a key has.
    pub const LEN: usize = 32;

    /// Takes 32 secret bytes as a key.
    #[must_use]
    pub const fn new(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for CookieKey {
    /// Never shows the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CookieKey(..)")
    }
}

/// Why a cookie was not sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SealError {
    /// The buffer is too short.
    BufferTooShort {
        /// How many bytes it takes.
        needed_len: usize,
    },
    /// The context is longer than its length field can say.
    ContextTooLong,
}

/// Why a cookie was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum OpenError {
    /// Shorter than any sealed cookie.
    TooShort,
    /// Of a version that we do not know.
    Version {
        /// That version.
        found: u8,
    },
    /// Not sealed with this key in this context, or changed since.
    BadMac,
    /// Sealed with the right key, but laid out otherwise than this version says.
    Malformed,
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BufferTooShort { needed_len } => {
                write!(f, "the sealed cookie needs {needed_len} bytes")
            }
            Self::ContextTooLong => f.write_str("the context has more than 65535 bytes"),
        }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort => f.write_str("too short for a sealed cookie"),
            Self::Version { found } => write!(f, "cookie version {found}, not {VERSION}"),
            Self::BadMac => f.write_str("the cookie was not sealed with this pool's key"),
            Self::Malformed => f.write_str("the sealed cookie is laid out wrongly"),
        }
    }
}

impl core::error::Error for SealError {}
impl core::error::Error for OpenError {}

/// How many bytes `payload_len` bytes have when sealed; always a multiple of four, because
/// RSPLIB's parser reads no other cookies.
#[must_use]
pub const fn sealed_len(payload_len: usize) -> usize {
    HEADER_LEN + payload_len.saturating_add(padding_len(payload_len)).saturating_add(MAC_LEN)
}

/// Seals `payload` into the start of `sealed` and says how many bytes that took.
///
/// ```
/// use rserpool_core::asap::cookie::{CookieKey, OpenError, open, seal};
///
/// let key = CookieKey::new([7; 32]);
/// let mut cookie = [0; 64];
/// let len = seal(&key, b"ComputePool", b"row 17", &mut cookie)?;
/// assert_eq!(open(&key, b"ComputePool", &cookie[..len]), Ok(&b"row 17"[..]));
/// assert_eq!(open(&key, b"OtherPool", &cookie[..len]), Err(OpenError::BadMac));
/// # Ok::<(), rserpool_core::asap::cookie::SealError>(())
/// ```
///
/// # Errors
///
/// If `sealed` is shorter than [`sealed_len`] or the context longer than 65535 bytes.
pub fn seal(
    key: &CookieKey,
    context: &[u8],
    payload: &[u8],
    sealed: &mut [u8],
) -> Result<usize, SealError> {
    let context_len = u16::try_from(context.len()).map_err(|_| SealError::ContextTooLong)?;
    let needed_len = sealed_len(payload.len());
    let sealed = sealed.get_mut(..needed_len).ok_or(SealError::BufferTooShort { needed_len })?;
    let (body, mac_field) = sealed.split_at_mut(needed_len - MAC_LEN);
    let padding_len = padding_len(payload.len());
    body.fill(0);
    let (header, rest) = body.split_at_mut(HEADER_LEN);
    header[0] = VERSION;
    header[1] = padding_len as u8;
    rest[..payload.len()].copy_from_slice(payload);
    mac_field.copy_from_slice(&mac(key, context_len, context, body).finalize().into_bytes());
    Ok(needed_len)
}

/// Opens what [`seal`] made under the same key and in the same context: gives the payload.
///
/// The comparison of the MAC takes the same time wherever the first difference is.
///
/// # Errors
///
/// If the cookie is not exactly what a holder of the key sealed in this context.
pub fn open<'a>(key: &CookieKey, context: &[u8], sealed: &'a [u8]) -> Result<&'a [u8], OpenError> {
    let found = *sealed.first().ok_or(OpenError::TooShort)?;
    if found != VERSION {
        return Err(OpenError::Version { found });
    }
    let body_len = sealed.len().checked_sub(MAC_LEN).ok_or(OpenError::TooShort)?;
    let (body, mac_field) = sealed.split_at_checked(body_len).ok_or(OpenError::TooShort)?;
    let context_len = u16::try_from(context.len()).map_err(|_| OpenError::BadMac)?;
    mac(key, context_len, context, body).verify_slice(mac_field).map_err(|_| OpenError::BadMac)?;

    let &[_, padding_len, 0, 0, ref rest @ ..] = body else {
        return Err(OpenError::Malformed);
    };
    if usize::from(padding_len) > PADDING_LEN_MAX {
        return Err(OpenError::Malformed);
    }
    let payload_len = rest.len().checked_sub(usize::from(padding_len));
    payload_len.and_then(|len| rest.get(..len)).ok_or(OpenError::Malformed)
}

/// The version that we write and read.
const VERSION: u8 = 1;
const HEADER_LEN: usize = 4;
const PADDING_LEN_MAX: usize = 3;
const MAC_LEN: usize = 32;

const fn padding_len(payload_len: usize) -> usize {
    payload_len.wrapping_neg() % 4
}

fn mac(key: &CookieKey, context_len: u16, context: &[u8], body: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(&key.0).expect("HMAC takes keys of any length");
    mac.update(&context_len.to_be_bytes());
    mac.update(context);
    mac.update(body);
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: CookieKey = CookieKey::new([0x42; 32]);
    const POOL: &[u8] = b"ComputePool";

    fn sealed(payload: &[u8]) -> std::vec::Vec<u8> {
        let mut buf = std::vec![0xee; payload.len() + SEAL_OVERHEAD_LEN_MAX];
        let len = seal(&KEY, POOL, payload, &mut buf).unwrap();
        buf.truncate(len);
        buf
    }

    #[test]
    fn every_payload_comes_back_and_is_padded_to_four() {
        for len in 0..70 {
            let payload = std::vec![0x5a; len];
            let cookie = sealed(&payload);
            assert_eq!(cookie.len() % 4, 0);
            assert_eq!(cookie.len(), sealed_len(len));
            assert_eq!(open(&KEY, POOL, &cookie), Ok(&payload[..]));
        }
    }

    #[test]
    fn the_layout_of_version_1_stays_as_it_is() {
        let cookie = sealed(b"row17");
        assert_eq!(cookie[..12], *b"\x01\x03\0\0row17\0\0\0");
        // Computed with Python's hmac module over context length, context and body.
        assert_eq!(cookie[12..16], [0xd7, 0x62, 0x69, 0x9c]);
    }

    #[test]
    fn any_changed_bit_is_refused() {
        let cookie = sealed(b"progress 9");
        for bit in 0..cookie.len() * 8 {
            let mut changed = cookie.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let refused = open(&KEY, POOL, &changed).unwrap_err();
            let version_hit = bit < 8;
            assert_eq!(matches!(refused, OpenError::Version { .. }), version_hit, "bit {bit}");
            assert_eq!(refused == OpenError::BadMac, !version_hit, "bit {bit}");
        }
    }

    #[test]
    fn a_truncated_cookie_is_refused_at_each_length() {
        let cookie = sealed(b"progress 9");
        for len in 0..cookie.len() {
            assert!(open(&KEY, POOL, &cookie[..len]).is_err(), "length {len}");
        }
    }

    #[test]
    fn another_key_or_pool_is_refused() {
        let cookie = sealed(b"x");
        let other = CookieKey::new([0x43; 32]);
        assert_eq!(open(&other, POOL, &cookie), Err(OpenError::BadMac));
        assert_eq!(open(&KEY, b"ComputePoo", &cookie), Err(OpenError::BadMac));
    }

    #[test]
    fn context_and_body_cannot_be_shifted_into_one_another() {
        let mut buf = [0; 64];
        let len = seal(&KEY, b"", b"x", &mut buf).unwrap();
        assert_eq!(open(&KEY, &buf[..1], &buf[..len]), Err(OpenError::BadMac));
    }

    #[test]
    fn another_version_is_refused_before_anything_else() {
        let mut cookie = sealed(b"x");
        cookie[0] = 2;
        assert_eq!(open(&KEY, POOL, &cookie), Err(OpenError::Version { found: 2 }));
        assert_eq!(open(&KEY, POOL, &[]), Err(OpenError::TooShort));
    }

    #[test]
    fn a_short_buffer_says_what_it_takes() {
        assert_eq!(
            seal(&KEY, POOL, b"12345", &mut [0; 43]),
            Err(SealError::BufferTooShort { needed_len: 44 })
        );
    }

    #[test]
    fn a_key_does_not_show_itself() {
        assert_eq!(std::format!("{KEY:?}"), "CookieKey(..)");
    }
}
