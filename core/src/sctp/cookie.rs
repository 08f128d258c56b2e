//! State cookies (RFC 9260 §5.1.3 to §5.1.5): all that an endpoint needs to build an association,
//! sealed and given to the peer to keep, so that a flood of INITs takes no memory.
//!
//! Layout: version 8, key index 8, content (postcard), HMAC-SHA-256 of all before it, cut to 16
//! bytes. Only we read it.
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::arithmetic_side_effects
    )
)]

use core::net::IpAddr;
use core::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::types::UdpPorts;
use crate::entropy::Entropy;
use crate::time::Instant;

/// The longest sealed cookie.
pub(super) const COOKIE_LEN_MAX: usize = 160;

/// What a cookie says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cookie {
    /// When it was made, in our microseconds.
    pub(super) created: u64,
    pub(super) local_port: u16,
    pub(super) remote_port: u16,
    pub(super) own_tag: u32,
    pub(super) peer_tag: u32,
    pub(super) own_initial_tsn: u32,
    pub(super) peer_initial_tsn: u32,
    pub(super) peer_rwnd: u32,
    pub(super) outbound_streams: u16,
    pub(super) inbound_streams: u16,
    /// The tie tags of the association that was there already; 0 if none was.
    pub(super) own_tie: u32,
    pub(super) peer_tie: u32,
    /// Where the INIT came from.
    pub(super) remote: Address,
    /// Where it went.
    pub(super) local: Address,
    pub(super) udp: Option<(u16, u16)>,
}

/// An address of either family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Address {
    V4([u8; 4]),
    V6([u8; 16]),
}

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::V4(address.octets()),
            IpAddr::V6(address) => Self::V6(address.octets()),
        }
    }
}

impl From<Address> for IpAddr {
    fn from(address: Address) -> Self {
        match address {
            Address::V4(octets) => octets.into(),
            Address::V6(octets) => octets.into(),
        }
    }
}

impl Cookie {
    /// The UDP ports of the INIT.
    pub(super) fn udp_ports(&self) -> Option<UdpPorts> {
        self.udp.map(|(local, remote)| UdpPorts { local, remote })
    }

    /// By how much the cookie is older than `life` at `now`.
    pub(super) fn staleness(&self, now: Instant, life: Duration) -> Option<Duration> {
        let age = now.saturating_duration_since(Instant::from_micros(self.created));
        age.checked_sub(life).filter(|over| !over.is_zero())
    }
}

/// Two keys, of which the younger seals and both open.
#[derive(Clone)]
pub(super) struct CookieKeys {
    keys: [[u8; 32]; 2],
    current: u8,
    rotate_at: Option<Instant>,
}

impl core::fmt::Debug for CookieKeys {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("CookieKeys").field("current", &self.current).finish_non_exhaustive()
    }
}

impl CookieKeys {
    /// Keys that start with `secret`.
    pub(super) const fn new(secret: [u8; 32]) -> Self {
        Self { keys: [secret; 2], current: 0, rotate_at: None }
    }

    /// Replaces the older key by a random one if the younger is old.
    fn rotate(&mut self, now: Instant, entropy: &mut dyn Entropy) {
        match self.rotate_at {
            Some(at) if now < at => return,
            Some(_) => {
                self.current ^= 1;
                if let Some(key) = self.keys.get_mut(usize::from(self.current)) {
                    entropy.fill(key);
                }
            }
            None => {}
        }
        self.rotate_at = Some(now + KEY_LIFE);
    }

    /// Writes `cookie`, sealed, to the start of `buf`; returns its length.
    pub(super) fn seal(
        &mut self,
        now: Instant,
        entropy: &mut dyn Entropy,
        cookie: &Cookie,
        buf: &mut [u8; COOKIE_LEN_MAX],
    ) -> Option<usize> {
        self.rotate(now, entropy);
        let (head, body) = buf.split_first_chunk_mut::<2>()?;
        *head = [VERSION, self.current];
        let content_len = postcard::to_slice(cookie, body).ok()?.len();
        let sealed_len = content_len.checked_add(head.len())?;
        let mac = self.mac(self.current, buf.get(..sealed_len)?)?;
        let end = sealed_len.checked_add(MAC_LEN)?;
        buf.get_mut(sealed_len..end)?.copy_from_slice(mac.finalize().into_bytes().get(..MAC_LEN)?);
        Some(end)
    }

    /// Opens a cookie that came back; `None` if we did not seal it.
    pub(super) fn open(&self, bytes: &[u8]) -> Option<Cookie> {
        let (sealed, mac) = bytes.split_last_chunk::<MAC_LEN>()?;
        let (&[version, key], content) = sealed.split_first_chunk::<2>()?;
        if version != VERSION {
            return None;
        }
        self.mac(key, sealed)?.verify_truncated_left(mac).ok()?;
        postcard::from_bytes(content).ok()
    }

    fn mac(&self, key: u8, sealed: &[u8]) -> Option<Hmac<Sha256>> {
        let mut block = [0; 64];
        block.first_chunk_mut()?.clone_from(self.keys.get(usize::from(key))?);
        let mut mac = Hmac::<Sha256>::new(&block.into());
        mac.update(sealed);
        Some(mac)
    }
}

const VERSION: u8 = 1;
const MAC_LEN: usize = 16;
/// How long a key seals. It opens for as long again, which is far longer than cookies live.
const KEY_LIFE: Duration = Duration::from_secs(3_600);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SplitMix64;

    const COOKIE: Cookie = Cookie {
        created: u64::MAX,
        local_port: u16::MAX,
        remote_port: u16::MAX,
        own_tag: u32::MAX,
        peer_tag: u32::MAX,
        own_initial_tsn: u32::MAX,
        peer_initial_tsn: u32::MAX,
        peer_rwnd: u32::MAX,
        outbound_streams: u16::MAX,
        inbound_streams: u16::MAX,
        own_tie: u32::MAX,
        peer_tie: u32::MAX,
        remote: Address::V6([0xff; 16]),
        local: Address::V6([0xff; 16]),
        udp: Some((u16::MAX, u16::MAX)),
    };

    fn sealed(keys: &mut CookieKeys, now: Instant) -> ([u8; COOKIE_LEN_MAX], usize) {
        let mut buf = [0; COOKIE_LEN_MAX];
        let len = keys.seal(now, &mut SplitMix64::new(1), &COOKIE, &mut buf).unwrap();
        (buf, len)
    }

    #[test]
    fn the_largest_cookie_fits_and_comes_back() {
        let mut keys = CookieKeys::new([7; 32]);
        let (buf, len) = sealed(&mut keys, Instant::ZERO);
        assert_eq!(keys.open(&buf[..len]), Some(COOKIE));
        assert_eq!((buf[0], buf[1], len), (1, 0, 116));
    }

    #[test]
    fn each_bit_is_sealed() {
        let mut keys = CookieKeys::new([7; 32]);
        let (buf, len) = sealed(&mut keys, Instant::ZERO);
        for bit in 0..len * 8 {
            let mut broken = buf;
            broken[bit / 8] ^= 1 << (bit % 8);
            // Both keys are the same before the first rotation, but the index is sealed too.
            assert_eq!(keys.open(&broken[..len]), None, "bit {bit}");
        }
        for cut in 0..len {
            assert_eq!(keys.open(&buf[..cut]), None, "cut at {cut}");
        }
        assert_eq!(CookieKeys::new([8; 32]).open(&buf[..len]), None);
    }

    #[test]
    fn a_key_opens_one_rotation_longer_than_it_seals() {
        let mut keys = CookieKeys::new([7; 32]);
        let (old, old_len) = sealed(&mut keys, Instant::ZERO);
        let (young, young_len) = sealed(&mut keys, Instant::ZERO + KEY_LIFE);
        assert_eq!((old[1], young[1]), (0, 1));
        assert!(keys.open(&old[..old_len]).is_some());
        assert!(keys.open(&young[..young_len]).is_some());
        let _ = sealed(&mut keys, Instant::ZERO + KEY_LIFE + KEY_LIFE);
        assert!(keys.open(&old[..old_len]).is_none());
        assert!(keys.open(&young[..young_len]).is_some());
    }

    #[test]
    fn a_cookie_is_stale_once_its_life_is_over() {
        let cookie = Cookie { created: 1_000_000, ..COOKIE };
        let life = Duration::from_secs(60);
        assert_eq!(cookie.staleness(Instant::from_micros(61_000_000), life), None);
        let over = cookie.staleness(Instant::from_micros(61_000_001), life);
        assert_eq!(over, Some(Duration::from_micros(1)));
    }
}
