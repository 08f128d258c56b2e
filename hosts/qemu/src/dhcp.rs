//! A DHCP server for boards (RFC 2131): each may have one address, its own, for a while.
//!
//! It keeps no offers and no pool: a board's address is its reservation, so that whatever a
//! board asks for, nobody else can have been given it.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use rserpool_core::time::Instant;
use smoltcp::wire::{
    DHCP_CLIENT_PORT, DHCP_SERVER_PORT, DhcpMessageType, DhcpPacket, DhcpRepr, EthernetAddress,
};

/// The lease of one board.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lease {
    mac: EthernetAddress,
    address: Ipv4Addr,
    /// When it ends, if the board has one.
    until: Option<Instant>,
}

/// What came of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The board is told what it may have.
    Offered,
    /// The board has a lease that it had not.
    Leased,
    /// The board keeps its lease.
    Renewed,
    /// The board is told that it must not use that address.
    Refused,
}

/// An answer to a board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) outcome: Outcome,
    /// Where it goes: to everybody, or to the board's address.
    pub(crate) to: SocketAddrV4,
    pub(crate) message: Vec<u8>,
}

impl Lease {
    /// What a board may have.
    pub(crate) const fn new(mac: EthernetAddress, address: Ipv4Addr) -> Self {
        Self { mac, address, until: None }
    }

    /// The board sent a message to the server; `None` if it is not to be answered.
    pub(crate) fn handle_message(
        &mut self,
        now: Instant,
        duration: Duration,
        message: &[u8],
    ) -> Option<Answer> {
        let packet = DhcpPacket::new_checked(message).ok()?;
        let request = DhcpRepr::parse(&packet).ok()?;
        if request.client_hardware_address != self.mac {
            return None;
        }
        let outcome = match request.message_type {
            DhcpMessageType::Discover => Outcome::Offered,
            DhcpMessageType::Request => self.judge(now, &request)?,
            DhcpMessageType::Release => {
                self.until = None;
                return None;
            }
            _ => return None,
        };
        match outcome {
            Outcome::Offered => {}
            Outcome::Leased | Outcome::Renewed => self.until = Some(now + duration),
            Outcome::Refused => self.until = None,
        }
        Some(self.answer(outcome, duration, &request))
    }

    /// RFC 2131 §4.3.2: who has an address renews it, who has none asks for one.
    fn judge(&self, now: Instant, request: &DhcpRepr<'_>) -> Option<Outcome> {
        if request.server_identifier.is_some_and(|server| server != SERVER) {
            // The board has chosen another server.
            return None;
        }
        let has_address = !request.client_ip.is_unspecified();
        let wanted = if has_address { Some(request.client_ip) } else { request.requested_ip };
        let is_running = self.until.is_some_and(|until| now < until);
        Some(match (wanted == Some(self.address), has_address) {
            (true, false) => Outcome::Leased,
            (true, true) if is_running => Outcome::Renewed,
            _ => Outcome::Refused,
        })
    }

    fn answer(&self, outcome: Outcome, duration: Duration, request: &DhcpRepr<'_>) -> Answer {
        let is_refused = outcome == Outcome::Refused;
        let given = |address| (!is_refused).then_some(address);
        let seconds = u32::try_from(duration.as_secs()).unwrap_or(u32::MAX);
        let message = DhcpRepr {
            message_type: match outcome {
                Outcome::Offered => DhcpMessageType::Offer,
                Outcome::Leased | Outcome::Renewed => DhcpMessageType::Ack,
                Outcome::Refused => DhcpMessageType::Nak,
            },
            transaction_id: request.transaction_id,
            secs: 0,
            client_hardware_address: self.mac,
            client_ip: given(request.client_ip).unwrap_or(Ipv4Addr::UNSPECIFIED),
            your_ip: given(self.address).unwrap_or(Ipv4Addr::UNSPECIFIED),
            server_ip: Ipv4Addr::UNSPECIFIED,
            router: given(SERVER),
            subnet_mask: given(SUBNET_MASK),
            relay_agent_ip: Ipv4Addr::UNSPECIFIED,
            broadcast: request.broadcast,
            requested_ip: None,
            client_identifier: request.client_identifier,
            server_identifier: Some(SERVER),
            parameter_request_list: None,
            dns_servers: None,
            max_size: None,
            lease_duration: (!is_refused).then_some(seconds),
            renew_duration: None,
            rebind_duration: None,
            additional_options: &[],
        };
        let mut bytes = vec![0; message.buffer_len()];
        let emitted = message.emit(&mut DhcpPacket::new_unchecked(&mut bytes[..]));
        emitted.expect("the buffer is as long as the message");
        // RFC 2131 §4.1.
        let to = match (is_refused, request.broadcast) {
            (false, false) => self.address,
            _ => Ipv4Addr::BROADCAST,
        };
        Answer { outcome, to: SocketAddrV4::new(to, DHCP_CLIENT_PORT), message: bytes }
    }
}

/// Whether a datagram is for the server.
pub(crate) fn is_for_server(from: SocketAddr, to: SocketAddr) -> bool {
    let is_there = [Ipv4Addr::BROADCAST, SERVER].iter().any(|it| to.ip() == *it);
    is_there && (from.port(), to.port()) == (DHCP_CLIENT_PORT, DHCP_SERVER_PORT)
}

/// Where the server's answers come from.
pub(crate) const SOURCE: SocketAddrV4 = SocketAddrV4::new(SERVER, DHCP_SERVER_PORT);

/// The server, and the router to whatever is no board: no board is given this address.
pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(127, 77, 255, 254);

/// The loopback network's.
const SUBNET_MASK: Ipv4Addr = Ipv4Addr::new(255, 0, 0, 0);

/// How long a lease lasts if nobody says otherwise.
pub(crate) const LEASE_DURATION: Duration = Duration::from_secs(3_600);

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const MAC: EthernetAddress = EthernetAddress([2, 0, 127, 77, 0, 10]);
    const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 77, 0, 10);
    const NOW: Instant = Instant::from_millis(1_000);
    const MINUTE: Duration = Duration::from_secs(60);

    /// A message of a client that has no address.
    pub(crate) fn request(kind: DhcpMessageType, mac: EthernetAddress) -> DhcpRepr<'static> {
        DhcpRepr {
            message_type: kind,
            transaction_id: 0x0102_0304,
            secs: 0,
            client_hardware_address: mac,
            client_ip: Ipv4Addr::UNSPECIFIED,
            your_ip: Ipv4Addr::UNSPECIFIED,
            server_ip: Ipv4Addr::UNSPECIFIED,
            router: None,
            subnet_mask: None,
            relay_agent_ip: Ipv4Addr::UNSPECIFIED,
            broadcast: false,
            requested_ip: None,
            client_identifier: Some(mac),
            server_identifier: None,
            parameter_request_list: None,
            dns_servers: None,
            max_size: None,
            lease_duration: None,
            renew_duration: None,
            rebind_duration: None,
            additional_options: &[],
        }
    }

    pub(crate) fn bytes(message: &DhcpRepr<'_>) -> Vec<u8> {
        let mut bytes = vec![0; message.buffer_len()];
        message.emit(&mut DhcpPacket::new_unchecked(&mut bytes[..])).unwrap();
        bytes
    }

    fn selecting(address: Ipv4Addr) -> DhcpRepr<'static> {
        DhcpRepr {
            requested_ip: Some(address),
            server_identifier: Some(SERVER),
            ..request(DhcpMessageType::Request, MAC)
        }
    }

    fn renewing(address: Ipv4Addr) -> DhcpRepr<'static> {
        DhcpRepr { client_ip: address, ..request(DhcpMessageType::Request, MAC) }
    }

    fn outcome(lease: &mut Lease, now: Instant, message: &DhcpRepr<'_>) -> Option<Outcome> {
        lease.handle_message(now, MINUTE, &bytes(message)).map(|answer| answer.outcome)
    }

    #[test]
    fn an_address_is_offered_and_leased_with_all_that_a_client_needs() {
        let mut lease = Lease::new(MAC, ADDRESS);
        for (message, kind, outcome) in [
            (request(DhcpMessageType::Discover, MAC), DhcpMessageType::Offer, Outcome::Offered),
            (selecting(ADDRESS), DhcpMessageType::Ack, Outcome::Leased),
        ] {
            let answer = lease.handle_message(NOW, MINUTE, &bytes(&message)).unwrap();
            assert_eq!(answer.outcome, outcome);
            assert_eq!(answer.to, SocketAddrV4::new(ADDRESS, 68));
            let packet = DhcpPacket::new_checked(&answer.message[..]).unwrap();
            let told = DhcpRepr::parse(&packet).unwrap();
            assert_eq!((told.message_type, told.transaction_id), (kind, 0x0102_0304));
            assert_eq!((told.your_ip, told.lease_duration), (ADDRESS, Some(60)));
            assert_eq!(told.subnet_mask, Some(Ipv4Addr::new(255, 0, 0, 0)));
            assert_eq!((told.router, told.server_identifier), (Some(SERVER), Some(SERVER)));
        }
    }

    #[test]
    fn a_lease_is_renewed_until_it_ends() {
        let mut lease = Lease::new(MAC, ADDRESS);
        assert_eq!(outcome(&mut lease, NOW, &renewing(ADDRESS)), Some(Outcome::Refused));
        assert_eq!(outcome(&mut lease, NOW, &selecting(ADDRESS)), Some(Outcome::Leased));
        let half = NOW + MINUTE / 2;
        assert_eq!(outcome(&mut lease, half, &renewing(ADDRESS)), Some(Outcome::Renewed));
        let end = half + MINUTE;
        let last = Instant::from_micros(end.as_micros() - 1);
        assert_eq!(outcome(&mut lease.clone(), last, &renewing(ADDRESS)), Some(Outcome::Renewed));
        assert_eq!(outcome(&mut lease, end, &renewing(ADDRESS)), Some(Outcome::Refused));
        assert_eq!(outcome(&mut lease, end, &selecting(ADDRESS)), Some(Outcome::Leased));
        assert_eq!(outcome(&mut lease, end, &request(DhcpMessageType::Release, MAC)), None);
        assert_eq!(outcome(&mut lease, end, &renewing(ADDRESS)), Some(Outcome::Refused));
    }

    #[test]
    fn another_address_is_refused_by_broadcast_and_takes_the_lease() {
        let mut lease = Lease::new(MAC, ADDRESS);
        assert_eq!(outcome(&mut lease, NOW, &selecting(ADDRESS)), Some(Outcome::Leased));
        let wrong = selecting(Ipv4Addr::new(127, 77, 0, 11));
        let answer = lease.handle_message(NOW, MINUTE, &bytes(&wrong)).unwrap();
        assert_eq!(answer.outcome, Outcome::Refused);
        assert_eq!(answer.to, SocketAddrV4::new(Ipv4Addr::BROADCAST, 68));
        assert_eq!(outcome(&mut lease, NOW, &renewing(ADDRESS)), Some(Outcome::Refused));
    }

    #[test]
    fn a_client_that_asks_for_broadcast_gets_it() {
        let mut lease = Lease::new(MAC, ADDRESS);
        let message = DhcpRepr { broadcast: true, ..selecting(ADDRESS) };
        let answer = lease.handle_message(NOW, MINUTE, &bytes(&message)).unwrap();
        assert_eq!((answer.outcome, *answer.to.ip()), (Outcome::Leased, Ipv4Addr::BROADCAST));
    }

    #[test]
    fn what_is_for_others_is_not_answered() {
        let mut lease = Lease::new(MAC, ADDRESS);
        let elsewhere = DhcpRepr {
            server_identifier: Some(Ipv4Addr::new(127, 77, 0, 9)),
            ..selecting(ADDRESS)
        };
        let stranger = request(DhcpMessageType::Discover, EthernetAddress([2, 0, 0, 0, 0, 9]));
        let decline = request(DhcpMessageType::Decline, MAC);
        for message in [elsewhere, stranger, decline] {
            assert_eq!(outcome(&mut lease, NOW, &message), None, "{message:?}");
        }
    }

    #[test]
    fn every_cut_and_every_broken_byte_is_survived() {
        let whole = bytes(&selecting(ADDRESS));
        for len in 0..whole.len() {
            let _ = Lease::new(MAC, ADDRESS).handle_message(NOW, MINUTE, &whole[..len]);
        }
        for index in 0..whole.len() {
            for bit in 0..8 {
                let mut broken = whole.clone();
                broken[index] ^= 1 << bit;
                let answer = Lease::new(MAC, ADDRESS).handle_message(NOW, MINUTE, &broken);
                let is_whole = answer.is_none_or(|answer| {
                    DhcpPacket::new_checked(&answer.message[..])
                        .is_ok_and(|packet| DhcpRepr::parse(&packet).is_ok())
                });
                assert!(is_whole, "byte {index} bit {bit}");
            }
        }
    }
}
