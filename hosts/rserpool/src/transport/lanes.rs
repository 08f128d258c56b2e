//! Which sockets a process has, and which SCTP ports are reached by them.
//!
//! Over UDP every open SCTP port has a UDP port of its own: the same number, or its substitute.
//! That makes SCTP ports unique on a machine, although no kernel looks after them: RFC 6951 tells
//! associations apart by addresses and SCTP ports alone, so two processes must not use the same.
//! Right over IP, SCTP ports are claimed (see [`Claims`]).
//!
//! A listening process has UDP 9899, too, if it is free, and then sets its associations up from
//! there: a kernel that has been told one UDP port for all its peers (as Linux is) has no other
//! for them, and refuses what comes from another.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use rserpool_core::sctp::UDP_PORT;
use rserpool_core::sctp::lanes::fallback_udp_port;
use rserpool_core::time::Instant;
use tokio::sync::mpsc;

use super::claims::Claims;
use super::error::TransportError;
use super::socket::{Batch, LaneSocket};

/// The sockets of a transport.
#[derive(Debug)]
pub(crate) struct Lanes {
    /// The addresses to bind.
    addresses: Vec<IpAddr>,
    sockets: Vec<LaneSocket>,
    /// For raw sockets, which have no ports.
    claims: Option<Claims>,
    batches: mpsc::Sender<Batch>,
}

/// An SCTP port and how its packets travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PortLane {
    pub(crate) port: u16,
    /// The UDP port that its associations are set up from; `None`: right over IP.
    pub(crate) udp_port: Option<u16>,
}

impl Lanes {
    /// UDP sockets at `addresses`, when ports are opened.
    pub(crate) fn udp(addresses: Vec<IpAddr>, batches: mpsc::Sender<Batch>) -> Self {
        Self { addresses, sockets: Vec::new(), claims: None, batches }
    }

    /// Raw sockets at `addresses`, when ports are opened.
    pub(crate) fn raw(addresses: Vec<IpAddr>, batches: mpsc::Sender<Batch>) -> Self {
        let claims = Some(Claims::of(addresses.clone()));
        Self { addresses, sockets: Vec::new(), claims, batches }
    }

    /// The socket that reaches `remote` from UDP port `udp_port`, or right over IP; the one of
    /// our address `local`, if there is a choice.
    pub(crate) fn socket(
        &self,
        udp_port: Option<u16>,
        local: Option<IpAddr>,
        remote: IpAddr,
    ) -> Option<&LaneSocket> {
        let reaches = |socket: &&LaneSocket| {
            socket.udp_port == udp_port && socket.address.is_ipv4() == remote.is_ipv4()
        };
        let usable = || self.sockets.iter().filter(reaches);
        let first = usable().next()?;
        if usable().nth(1).is_none() {
            return Some(first);
        }
        let local = local.or_else(|| source_towards(remote));
        usable().find(|socket| Some(socket.address) == local).or(Some(first))
    }

    /// Whether a packet that came right over IP is for another process of this machine.
    pub(crate) fn is_others(&mut self, now: Instant, local: IpAddr, port: u16) -> bool {
        self.claims.as_mut().is_some_and(|claims| claims.is_others(now, local, port))
    }

    /// Gives SCTP port `port` up.
    pub(crate) fn close(&mut self, port: u16) {
        if let Some(claims) = &mut self.claims {
            claims.give_up(port);
        }
    }

    /// Opens SCTP port `port` (0: any) on UDP port `udp_port` (`None`: as the module says).
    pub(crate) fn open(
        &mut self,
        port: u16,
        udp_port: Option<u16>,
        listen: bool,
    ) -> Result<PortLane, TransportError> {
        if let Some(claims) = &mut self.claims {
            let port = claims.claim(port)?;
            self.open_raw().inspect_err(|_| self.close(port))?;
            return Ok(PortLane { port, udp_port: None });
        }
        let (port, mut own) = self.open_udp(port, udp_port)?;
        if listen && udp_port.is_none() {
            // Whoever else has it serves its own ports there.
            match self.bind(port, UDP_PORT) {
                Ok(()) => own = UDP_PORT,
                Err(error) => tracing::debug!(%error, "UDP {UDP_PORT} is not ours"),
            }
        }
        Ok(PortLane { port, udp_port: Some(own) })
    }

    /// Binds the UDP port that SCTP port `port` has of its own; both.
    fn open_udp(
        &mut self,
        port: u16,
        udp_port: Option<u16>,
    ) -> Result<(u16, u16), TransportError> {
        Ok(match (port, udp_port) {
            (0, None | Some(0)) => {
                let udp_port = self.bind_any()?;
                (udp_port, udp_port)
            }
            (0, Some(udp_port)) => {
                self.bind(0, udp_port)?;
                (self.bind_any()?, udp_port)
            }
            (port, Some(0)) => (port, self.bind_any()?),
            (port, udp_port) => {
                let udp_port = udp_port.unwrap_or(fallback_udp_port(port));
                self.bind(port, udp_port)?;
                (port, udp_port)
            }
        })
    }

    /// Opens the raw sockets, which all ports share.
    fn open_raw(&mut self) -> Result<(), TransportError> {
        if !self.sockets.is_empty() {
            return Ok(());
        }
        let mut sockets: Vec<LaneSocket> = Vec::new();
        for &address in &self.addresses {
            match LaneSocket::raw(address, self.batches.clone()) {
                Ok(socket) => sockets.push(socket),
                // A machine without IPv6 does without it.
                Err(error) if !sockets.is_empty() && is_family_missing(&error) => {}
                Err(error) => return Err(TransportError::of_raw(address, error)),
            }
        }
        self.sockets = sockets;
        Ok(())
    }

    /// The UDP ports by which the outside may reach us, the usual one first.
    pub(crate) fn udp_ports(&self) -> Vec<u16> {
        let own = self.sockets.iter().filter_map(|socket| socket.udp_port);
        let mut ports: Vec<u16> = own.collect();
        ports.sort_by_key(|&port| (port != UDP_PORT, port));
        ports.dedup();
        ports
    }

    /// Binds a UDP port that nobody has, at every address.
    fn bind_any(&mut self) -> Result<u16, TransportError> {
        let mut last = None;
        for _ in 0..TRY_COUNT_MAX {
            let first = self.addresses[0];
            let socket = self
                .bind_at(SocketAddr::new(first, 0))
                .map_err(|error| TransportError::of_bind(0, SocketAddr::new(first, 0), error))?;
            let Some(udp_port) = socket.udp_port else { continue };
            match self.bind_rest(vec![socket], udp_port) {
                Ok(sockets) => {
                    self.sockets.extend(sockets);
                    return Ok(udp_port);
                }
                // The number is free for one family of addresses, but not for the other.
                Err((address, error)) => {
                    last = Some(TransportError::of_bind(udp_port, address, error));
                }
            }
        }
        Err(last.expect("there was at least one try"))
    }

    /// Binds `udp_port` at every address; all or none. What is bound already is fine.
    fn bind(&mut self, port: u16, udp_port: u16) -> Result<(), TransportError> {
        if self.sockets.iter().any(|socket| socket.udp_port == Some(udp_port)) {
            return Ok(());
        }
        let bound = self.bind_rest(Vec::new(), udp_port);
        let sockets =
            bound.map_err(|(address, error)| TransportError::of_bind(port, address, error))?;
        self.sockets.extend(sockets);
        Ok(())
    }

    /// Binds `udp_port` at the addresses that come after those of `sockets`.
    fn bind_rest(
        &self,
        mut sockets: Vec<LaneSocket>,
        udp_port: u16,
    ) -> Result<Vec<LaneSocket>, (SocketAddr, io::Error)> {
        for &address in &self.addresses[sockets.len()..] {
            let address = SocketAddr::new(address, udp_port);
            match self.bind_at(address) {
                Ok(socket) => sockets.push(socket),
                // A machine without IPv6 does without it.
                Err(error) if !sockets.is_empty() && is_family_missing(&error) => {}
                Err(error) => return Err((address, error)),
            }
        }
        Ok(sockets)
    }

    fn bind_at(&self, address: SocketAddr) -> io::Result<LaneSocket> {
        LaneSocket::udp(address, self.batches.clone())
    }
}

/// The address of this machine from which `remote` is reached, by the system's routes.
pub(super) fn source_towards(remote: IpAddr) -> Option<IpAddr> {
    let any: IpAddr = match remote {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    // Connecting a UDP socket sends nothing, but asks for a route.
    let socket = std::net::UdpSocket::bind(SocketAddr::new(any, 0)).ok()?;
    socket.connect(SocketAddr::new(remote, UDP_PORT)).ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}

fn is_family_missing(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(nix::errno::Errno::from_raw);
    error.kind() == io::ErrorKind::AddrNotAvailable
        || code == Some(nix::errno::Errno::EAFNOSUPPORT)
}

/// Numbers tried that are free for one family of addresses but not for the other.
const TRY_COUNT_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn lanes() -> Lanes {
        let (batches, _) = mpsc::channel(1);
        Lanes::udp(vec![Ipv4Addr::LOCALHOST.into()], batches)
    }

    #[tokio::test]
    async fn a_port_has_the_udp_port_of_the_same_number() {
        let mut lanes = lanes();
        let lane = lanes.open(0, None, false).unwrap();
        assert_eq!(lane.udp_port, Some(lane.port));
        assert_eq!(lanes.udp_ports(), [lane.port]);
    }

    #[tokio::test]
    async fn who_has_the_usual_udp_port_sets_associations_up_from_it() {
        // Another address than that of other tests, which may have the port.
        let lanes = || {
            let (batches, _) = mpsc::channel(1);
            Lanes::udp(vec![Ipv4Addr::new(127, 77, 78, 79).into()], batches)
        };
        let (mut first, mut second) = (lanes(), lanes());
        let lane = first.open(9_901, None, true).unwrap();
        assert_eq!((lane.udp_port, first.udp_ports()), (Some(9_899), vec![9_899, 19_901]));
        let lane = second.open(3_863, None, true).unwrap();
        assert_eq!((lane.udp_port, second.udp_ports()), (Some(13_863), vec![13_863]));
        // Who does not listen leaves it to those who do.
        drop((first, second));
        assert_eq!(lanes().open(4_000, None, false).unwrap().udp_port, Some(4_000));
    }

    #[tokio::test]
    async fn the_same_port_in_another_process_is_in_use() {
        let (mut ours, mut theirs) = (lanes(), lanes());
        let lane = ours.open(0, Some(0), true).unwrap();
        match theirs.open(lane.port, None, true) {
            Err(TransportError::AddressInUse { port, .. }) => assert_eq!(port, lane.port),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn an_address_of_another_machine_is_none_of_ours() {
        let (batches, _) = mpsc::channel(1);
        let mut lanes = Lanes::udp(vec![Ipv4Addr::new(192, 0, 2, 1).into()], batches);
        let error = lanes.open(0, None, false).unwrap_err();
        assert!(matches!(error, TransportError::NoSuchAddress { .. }), "{error}");
    }
}
