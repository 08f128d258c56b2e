//! State cookies (RFC 9260 §5.1.3 to §5.1.5): all that an endpoint needs to build an association,
//! sealed and given to the peer to keep, so that a flood of INITs takes no memory.
//!
//! Layout: version 8, key index 8, content, HMAC-SHA-256 of all before it, cut to 16 bytes. The
//! content is the fields of [`Cookie`] in a fixed number of words, which a board can write with a
//! tenth of the code that a self-describing layout takes. Only we read it.
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

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::association::{Addresses, PATHS_MAX};
use super::types::UdpPorts;
use crate::entropy::Entropy;
use crate::time::Instant;

/// The longest sealed cookie.
pub(super) const COOKIE_LEN_MAX: usize = 2 + CONTENT_LEN + MAC_LEN;

/// What a cookie says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    pub(super) remote: IpAddr,
    /// Where it went.
    pub(super) local: IpAddr,
    pub(super) udp: Option<UdpPorts>,
    /// The peer's further addresses.
    pub(super) others: Addresses,
}

impl Cookie {
    /// The fields as words, in the order of the layout.
    fn to_words(self) -> [u32; WORDS] {
        let [created_high, created_low] = [(self.created >> 32) as u32, self.created as u32];
        let (remote_kind, [r0, r1, r2, r3]) = address_to_words(self.remote);
        let (local_kind, [l0, l1, l2, l3]) = address_to_words(self.local);
        let udp = self.udp.unwrap_or_default();
        let mut words = [0; WORDS];
        let (fixed, others) = words.split_at_mut(FIXED_WORDS);
        let mut kinds = remote_kind | local_kind << 1 | u32::from(self.udp.is_some()) << 2;
        kinds |= u32::from(self.others.has_more) << 3;
        for ((place, address), bit) in others.chunks_exact_mut(4).zip(self.others.first).zip(4..) {
            let (kind, address) = address_to_words(address);
            place.copy_from_slice(&address);
            kinds |= kind << bit;
        }
        fixed.copy_from_slice(&[
            created_high,
            created_low,
            pair(self.local_port, self.remote_port),
            self.own_tag,
            self.peer_tag,
            self.own_initial_tsn,
            self.peer_initial_tsn,
            self.peer_rwnd,
            pair(self.outbound_streams, self.inbound_streams),
            self.own_tie,
            self.peer_tie,
            kinds,
            r0,
            r1,
            r2,
            r3,
            l0,
            l1,
            l2,
            l3,
            pair(udp.local, udp.remote),
        ]);
        words
    }

    fn from_words(words: [u32; WORDS]) -> Self {
        let [
            created_high,
            created_low,
            ports,
            own_tag,
            peer_tag,
            own_initial_tsn,
            peer_initial_tsn,
            peer_rwnd,
            streams,
            own_tie,
            peer_tie,
            kinds,
            r0,
            r1,
            r2,
            r3,
            l0,
            l1,
            l2,
            l3,
            udp,
            ref rest @ ..,
        ] = words;
        let mut others = Addresses { has_more: kinds & 8 != 0, ..Addresses::NONE };
        for ((place, words), bit) in others.first.iter_mut().zip(rest.as_chunks().0).zip(4..) {
            *place = address_of_words(kinds >> bit & 1, *words);
        }
        let udp = UdpPorts { local: high(udp), remote: udp as u16 };
        Self {
            created: u64::from(created_high) << 32 | u64::from(created_low),
            local_port: high(ports),
            remote_port: ports as u16,
            own_tag,
            peer_tag,
            own_initial_tsn,
            peer_initial_tsn,
            peer_rwnd,
            outbound_streams: high(streams),
            inbound_streams: streams as u16,
            own_tie,
            peer_tie,
            remote: address_of_words(kinds & 1, [r0, r1, r2, r3]),
            local: address_of_words(kinds & 2, [l0, l1, l2, l3]),
            udp: (kinds & 4 != 0).then_some(udp),
            others,
        }
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
        for (place, word) in body.as_chunks_mut::<4>().0.iter_mut().zip(cookie.to_words()) {
            *place = word.to_be_bytes();
        }
        let (sealed, mac) = buf.split_last_chunk_mut::<MAC_LEN>()?;
        let full = self.mac(self.current, sealed)?.finalize().into_bytes();
        mac.copy_from_slice(full.get(..MAC_LEN)?);
        Some(COOKIE_LEN_MAX)
    }

    /// Opens a cookie that came back; `None` if we did not seal it.
    pub(super) fn open(&self, bytes: &[u8]) -> Option<Cookie> {
        let (sealed, mac) = bytes.split_last_chunk::<MAC_LEN>()?;
        let (&[version, key], content) = sealed.split_first_chunk::<2>()?;
        if version != VERSION {
            return None;
        }
        let content: &[u8; CONTENT_LEN] = content.try_into().ok()?;
        self.mac(key, sealed)?.verify_truncated_left(mac).ok()?;
        let mut words = [0; WORDS];
        for (word, &bytes) in words.iter_mut().zip(content.as_chunks::<4>().0) {
            *word = u32::from_be_bytes(bytes);
        }
        Some(Cookie::from_words(words))
    }

    fn mac(&self, key: u8, sealed: &[u8]) -> Option<Hmac<Sha256>> {
        let mut block = [0; 64];
        block.first_chunk_mut()?.clone_from(self.keys.get(usize::from(key))?);
        let mut mac = Hmac::<Sha256>::new(&block.into());
        mac.update(sealed);
        Some(mac)
    }
}

const fn pair(first: u16, second: u16) -> u32 {
    (first as u32) << 16 | second as u32
}

const fn high(pair: u32) -> u16 {
    (pair >> 16) as u16
}

/// 1 for IPv6 and 0 for IPv4, and the address.
const fn address_to_words(address: IpAddr) -> (u32, [u32; 4]) {
    match address {
        IpAddr::V4(address) => (0, [address.to_bits(), 0, 0, 0]),
        IpAddr::V6(address) => {
            let bits = address.to_bits();
            let words =
                [(bits >> 96) as u32, (bits >> 64) as u32, (bits >> 32) as u32, bits as u32];
            (1, words)
        }
    }
}

/// The address, of IPv4 if `kind` is 0.
const fn address_of_words(kind: u32, [a, b, c, d]: [u32; 4]) -> IpAddr {
    if kind == 0 {
        return IpAddr::V4(Ipv4Addr::from_bits(a));
    }
    let bits = (a as u128) << 96 | (b as u128) << 64 | (c as u128) << 32 | d as u128;
    IpAddr::V6(Ipv6Addr::from_bits(bits))
}

const VERSION: u8 = 3;
const FIXED_WORDS: usize = 21;
const WORDS: usize = FIXED_WORDS + 4 * (PATHS_MAX - 1);
const CONTENT_LEN: usize = 4 * WORDS;
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
        remote: IpAddr::V6(Ipv6Addr::from_bits(u128::MAX)),
        local: IpAddr::V6(Ipv6Addr::from_bits(u128::MAX)),
        udp: Some(UdpPorts { local: u16::MAX, remote: u16::MAX }),
        others: Addresses {
            first: [IpAddr::V6(Ipv6Addr::from_bits(u128::MAX)); PATHS_MAX - 1],
            has_more: true,
        },
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
        assert_eq!((buf[0], buf[1], len), (3, 0, COOKIE_LEN_MAX));
    }

    #[test]
    fn every_field_has_its_place() {
        let cookie = Cookie {
            created: 0x0102_0304_0506_0708,
            local_port: 0x1112,
            remote_port: 0x1314,
            own_tag: 0x2122_2324,
            peer_tag: 0x3132_3334,
            own_initial_tsn: 0x4142_4344,
            peer_initial_tsn: 0x5152_5354,
            peer_rwnd: 0x6162_6364,
            outbound_streams: 0x7172,
            inbound_streams: 0x7374,
            own_tie: 0x8182_8384,
            peer_tie: 0x9192_9394,
            remote: "10.77.0.21".parse().unwrap(),
            local: "fd00::1:2".parse().unwrap(),
            udp: None,
            others: Addresses::NONE,
        };
        let [words, other] = [cookie, Cookie { udp: Some(UdpPorts::default()), ..COOKIE }]
            .map(|cookie| (cookie.to_words(), cookie));
        assert_eq!(Cookie::from_words(words.0), words.1);
        assert_eq!(Cookie::from_words(other.0), other.1);
        assert_eq!(words.0[..3], [0x0102_0304, 0x0506_0708, 0x1112_1314]);
        assert_eq!(
            words.0[11..FIXED_WORDS],
            [2, 0x0a4d_0015, 0, 0, 0, 0xfd00_0000, 0, 0, 0x0001_0002, 0]
        );
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
