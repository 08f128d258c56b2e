//! Announces of this registrar by multicast, and those of others. Read RFC 5352 §2.2.10 and §3.6
//! before editing.
//!
//! An announce says where the registrar's ASAP endpoint is by an SCTP transport, so that it may
//! be sent from any UDP port: `docs/protocol-notes.md`, "Announces".

use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use core::time::Duration;

use heapless::Vec;

use super::config::Config;
use super::event::{InputError, Limit};
use super::registrar::Registrar;
use super::tables::Tables;
use crate::association::{ADDRESSES_MAX, Channel, Endpoint, Transmit};
use crate::entropy::Entropy;
use crate::handlespace::Storage;
use crate::identifier::RegistrarId;
use crate::profile::Profile;
use crate::time::Instant;
use crate::wire::asap::{AsapMessage, ServerAnnounce};
use crate::wire::{Protocol, TransportBuf, TransportUse, Transports};

/// The multicast group of ENRP presences, which RSPLIB uses; the RFCs have none.
#[must_use]
pub const fn presence_group_v4() -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::new(239, 0, 0, 51), ENRP_PORT)
}

/// The same for IPv6, beside the group that RFC 5352 §8.3 has for announces.
#[must_use]
pub const fn presence_group_v6() -> SocketAddrV6 {
    SocketAddrV6::new(Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 0, 0x134), ENRP_PORT, 0, 0)
}

/// The well-known port of ENRP (RFC 5353 §6).
const ENRP_PORT: u16 = 9901;

/// The most other registrars that are counted. More of them announce a little too often.
const OTHERS_MAX: usize = 16;

/// Room for an SCTP transport of as many IPv6 addresses as an endpoint has.
const TRANSPORT_LEN_MAX: usize = 8 + 20 * ADDRESSES_MAX;

/// An endpoint cannot be announced: it has no port or no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct NotAnnounceable;

impl fmt::Display for NotAnnounceable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an announced registrar has a port and at least one address")
    }
}

impl core::error::Error for NotAnnounceable {}

/// What is announced, when, and who else does.
#[derive(Clone, Debug)]
pub(super) struct Announcer {
    state: State,
    others: Vec<Other, OTHERS_MAX>,
}

#[derive(Clone, Debug)]
enum State {
    Silent,
    Announcing {
        transport: TransportBuf<TRANSPORT_LEN_MAX>,
        /// T6-Serverannounce.
        t6: Instant,
        /// An announce is due and not drained yet.
        owed: bool,
    },
}

/// Another registrar that was found by its announces.
#[derive(Clone, Copy, Debug)]
struct Other {
    registrar: RegistrarId,
    expires: Instant,
}

impl Announcer {
    pub(super) const NEW: Self = Self { state: State::Silent, others: Vec::new() };

    fn start(&mut self, now: Instant, endpoint: &Endpoint) -> Result<(), NotAnnounceable> {
        if endpoint.port == 0 {
            return Err(NotAnnounceable);
        }
        let (protocol, data) = (Protocol::Sctp, TransportUse::Data);
        let transport = TransportBuf::new(protocol, endpoint.port, data, &endpoint.addresses)
            .map_err(|_| NotAnnounceable)?;
        self.state = State::Announcing { transport, t6: now, owed: false };
        Ok(())
    }

    pub(super) fn stop(&mut self) {
        self.state = State::Silent;
    }

    fn hear(&mut self, now: Instant, registrar: RegistrarId, expires: Instant) -> bool {
        let known = self.others.iter_mut().find(|other| other.registrar == registrar);
        if let Some(other) = known {
            other.expires = expires;
            return true;
        }
        self.others.retain(|other| other.expires > now);
        self.others.push(Other { registrar, expires }).is_ok()
    }

    /// The time to the next announce.
    fn interval(&self, now: Instant, config: &Config, random: &mut dyn Entropy) -> Duration {
        let t6 = config.t6_server_announce;
        match config.profile {
            // All registrars together announce once in T6.
            Profile::Rfc => {
                let others = self.others.iter().filter(|other| other.expires > now).count();
                t6.saturating_mul(u32::try_from(others).unwrap_or(u32::MAX).saturating_add(1))
            }
            // RSPLIB: an eighth more or less.
            Profile::Rsplib => {
                let eighth_micros = u64::try_from(t6.as_micros() / 8).unwrap_or(u64::MAX);
                let jitter = random.below(eighth_micros.saturating_mul(2));
                t6.saturating_sub(t6 / 8).saturating_add(Duration::from_micros(jitter))
            }
        }
        .max(INTERVAL_MIN)
    }

    pub(super) fn handle_timeout(
        &mut self,
        now: Instant,
        config: &Config,
        random: &mut dyn Entropy,
    ) {
        if !matches!(self.state, State::Announcing { t6, .. } if t6 <= now) {
            return;
        }
        let next = now + self.interval(now, config, random);
        if let State::Announcing { t6, owed, .. } = &mut self.state {
            (*t6, *owed) = (next, true);
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Silent => None,
            State::Announcing { t6, .. } => Some(t6),
        }
    }

    /// The announce, if one is owed. A buffer that is too short loses it until the next one.
    pub(super) fn poll_transmit(
        &mut self,
        registrar: RegistrarId,
        buf: &mut [u8],
    ) -> Option<Transmit> {
        let State::Announcing { transport, owed, .. } = &mut self.state else { return None };
        if !core::mem::take(owed) {
            return None;
        }
        let transports = Transports::one(transport.as_transport());
        let len = ServerAnnounce::new(registrar, transports).emit(buf).ok()?;
        Some(Transmit::Multicast { channel: Channel::Asap, len })
    }
}

impl<S: Storage, T: Tables, E: Entropy> Registrar<S, T, E> {
    /// Announces the registrar to the multicast group of ASAP, as soon as it has entered its scope
    /// and then whenever T6 (RFC 5352 §3.6) says: as reachable at `endpoint`, of which the UDP
    /// port is not told.
    ///
    /// # Errors
    ///
    /// If `endpoint` has no port or no address; then what was announced before goes on. A
    /// registrar that is stopping takes it, and stays silent.
    pub fn start_announcing(
        &mut self,
        now: Instant,
        endpoint: &Endpoint,
    ) -> Result<(), NotAnnounceable> {
        let now = self.advance(now);
        self.announcer.start(now, endpoint)?;
        if !self.is_running() {
            self.announcer.stop();
        }
        Ok(())
    }

    /// Announces no more.
    pub fn stop_announcing(&mut self) {
        self.announcer.stop();
    }

    /// Takes an announce that came by multicast. With profile `rfc`, other registrars make this
    /// one announce itself less often (RFC 5352 §3.6); nothing else follows from it.
    ///
    /// # Errors
    ///
    /// If it is no announce, or if too many registrars are known.
    pub fn handle_announce(
        &mut self,
        now: Instant,
        _source: SocketAddr,
        bytes: &[u8],
    ) -> Result<(), InputError> {
        let now = self.advance(now);
        let announce = match AsapMessage::parse(bytes) {
            Ok(AsapMessage::ServerAnnounce(announce)) => announce,
            Ok(_) => return Err(InputError::Unexpected),
            Err(_) => return Err(InputError::Malformed),
        };
        // Our own come back to us.
        if announce.registrar == self.identifier {
            return Ok(());
        }
        // It may know as many others as we can.
        let interval_max = self.config.t6_server_announce.saturating_mul(OTHERS_MAX as u32 + 1);
        let expires = now + self.config.t7_enrp_outdate.saturating_add(interval_max);
        if self.announcer.hear(now, announce.registrar, expires) {
            Ok(())
        } else {
            Err(InputError::Limited(Limit::Announces))
        }
    }
}

/// However T6 is configured, the network is not flooded.
const INTERVAL_MIN: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::super::tables::InlineTables;
    use super::*;
    use crate::entropy::SplitMix64;
    use crate::handlespace::Inline;
    use crate::machine::Machine;
    use std::vec::Vec;

    type Small = Registrar<Inline<4, 2, 1, 1>, InlineTables<2, 4, 2, 1, 3>, SplitMix64>;

    const US: RegistrarId = RegistrarId(0x1111_1111);
    const MS: fn(u64) -> Instant = Instant::from_millis;
    const SOURCE: SocketAddr =
        SocketAddr::new(core::net::IpAddr::V4(core::net::Ipv4Addr::new(10, 77, 0, 12)), 40_000);

    fn small(profile: Profile) -> Small {
        let mut config = Config::new(profile);
        config.identifier = US;
        Registrar::new(config, Inline::new(), InlineTables::new(), SplitMix64::new(3))
    }

    fn endpoint() -> Endpoint {
        Endpoint::new(SocketAddr::from(([10, 77, 0, 11], 3863)))
    }

    fn announce(registrar: u32) -> [u8; 8] {
        let [a, b, c, d] = registrar.to_be_bytes();
        [10, 0, 0, 8, a, b, c, d]
    }

    /// The announces until `end`, with their times in milliseconds.
    fn announces(registrar: &mut Small, from: u64, end: u64) -> Vec<(u64, Vec<u8>)> {
        let (mut now, mut buf, mut seen) = (from, [0; 64], Vec::new());
        loop {
            registrar.handle_timeout(MS(now));
            while let Some(transmit) = registrar.poll_transmit(MS(now), &mut buf) {
                let Transmit::Multicast { channel: Channel::Asap, len } = transmit else {
                    panic!("{transmit:?}")
                };
                seen.push((now, buf[..len].to_vec()));
            }
            match registrar.poll_timeout() {
                Some(at) if at <= MS(end) => now = now.max(at.as_micros().div_ceil(1_000)),
                _ => return seen,
            }
        }
    }

    #[test]
    fn an_announce_names_the_sctp_endpoint() {
        let mut registrar = small(Profile::Rsplib);
        registrar.start_announcing(MS(5), &endpoint()).unwrap();
        let seen = announces(&mut registrar, 5, 5);
        let expected =
            *b"\x0a\0\0\x18\x11\x11\x11\x11\0\x04\0\x10\x0f\x17\0\0\0\x01\0\x08\x0a\x4d\0\x0b";
        assert_eq!(seen, [(5, expected.to_vec())]);
    }

    #[test]
    fn presences_go_to_rsplibs_group() {
        assert_eq!(presence_group_v4(), "239.0.0.51:9901".parse().unwrap());
        assert_eq!(presence_group_v6(), "[ff05::134]:9901".parse().unwrap());
    }

    #[test]
    fn nobody_is_announced_who_was_not_told_to() {
        let mut registrar = small(Profile::Rfc);
        assert_eq!(announces(&mut registrar, 0, 60_000), []);
        let no_port = Endpoint { port: 0, ..endpoint() };
        assert_eq!(registrar.start_announcing(MS(0), &no_port), Err(NotAnnounceable));
        let nowhere = Endpoint { port: 3863, ..Endpoint::default() };
        assert_eq!(registrar.start_announcing(MS(0), &nowhere), Err(NotAnnounceable));
        assert_eq!(registrar.poll_timeout(), None);
    }

    #[test]
    fn rsplib_announces_every_second_or_an_eighth_more_or_less() {
        let mut registrar = small(Profile::Rsplib);
        for other in 1..=5 {
            registrar.handle_announce(MS(0), SOURCE, &announce(other)).unwrap();
        }
        registrar.start_announcing(MS(0), &endpoint()).unwrap();
        let seen = announces(&mut registrar, 0, 100_000);
        assert!((95..=106).contains(&seen.len()), "{}", seen.len());
        for pair in seen.windows(2) {
            let gap = pair[1].0 - pair[0].0;
            assert!((875..=1_126).contains(&gap), "{gap}");
        }
    }

    #[test]
    fn the_rfc_shares_one_announce_a_second_among_all() {
        let mut registrar = small(Profile::Rfc);
        // Ourselves do not count, and the same one only once.
        for other in [US.0, 1, 2, 2, 3] {
            registrar.handle_announce(MS(0), SOURCE, &announce(other)).unwrap();
        }
        registrar.start_announcing(MS(0), &endpoint()).unwrap();
        let times: Vec<u64> =
            announces(&mut registrar, 0, 20_000).iter().map(|seen| seen.0).collect();
        assert_eq!(times, [0, 4_000, 8_000, 12_000, 16_000, 20_000]);
        // T7 and the longest interval later the others are forgotten.
        let times: Vec<u64> =
            announces(&mut registrar, 20_000, 26_000).iter().map(|seen| seen.0).collect();
        assert_eq!(times, [24_000, 25_000, 26_000]);
    }

    #[test]
    fn a_flood_of_announces_fills_a_bounded_list() {
        let mut registrar = small(Profile::Rfc);
        for other in 1..=OTHERS_MAX as u32 {
            registrar.handle_announce(MS(0), SOURCE, &announce(other)).unwrap();
        }
        let full = Err(InputError::Limited(Limit::Announces));
        assert_eq!(registrar.handle_announce(MS(1), SOURCE, &announce(99)), full);
        assert_eq!(registrar.handle_announce(MS(1), SOURCE, &announce(1)), Ok(()));
        let unexpected =
            registrar.handle_announce(MS(1), SOURCE, b"\x0e\0\0\x0c\0\x0c\0\x08\0\x09\0\x04");
        assert_eq!(unexpected, Err(InputError::Unexpected));
        assert_eq!(registrar.handle_announce(MS(1), SOURCE, b"x"), Err(InputError::Malformed));
    }

    #[test]
    fn a_registrar_that_stops_is_silent() {
        let mut registrar = small(Profile::Rsplib);
        registrar.start_announcing(MS(0), &endpoint()).unwrap();
        assert_eq!(announces(&mut registrar, 0, 10).len(), 1);
        registrar.stop();
        assert_eq!(announces(&mut registrar, 10, 60_000), []);
        registrar.start_announcing(MS(60_000), &endpoint()).unwrap();
        assert_eq!(registrar.poll_timeout(), None);
    }

    #[test]
    fn a_registrar_that_enters_a_scope_announces_itself_when_it_is_in() {
        let mut registrar = small(Profile::Rsplib);
        registrar.start_announcing(MS(0), &endpoint()).unwrap();
        registrar.start_peering(MS(0), Endpoint { port: 9_901, ..endpoint() }, &[]).unwrap();
        registrar.seek_mentor(MS(0));
        let times: Vec<u64> =
            announces(&mut registrar, 0, 5_100).iter().map(|seen| seen.0).collect();
        assert_eq!(times, [5_000], "nobody was found in the mentor discovery time");
    }

    #[test]
    fn an_announce_that_is_not_drained_is_not_stored_twice() {
        let mut registrar = small(Profile::Rsplib);
        registrar.start_announcing(MS(0), &endpoint()).unwrap();
        for at in 0..10 {
            registrar.handle_timeout(MS(at * 2_000));
        }
        assert_eq!(announces(&mut registrar, 18_000, 18_000).len(), 1);
    }
}
