//! Sends announces.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, UdpSocket};

use rserpool_core::association::Endpoint;
use socket2::{Domain, Protocol, Socket, Type};

use super::AnnounceConfig;
use super::interfaces::{Interface, announced};

/// Sends a registrar's announces by all its interfaces, from a UDP port of its own.
#[derive(Debug)]
pub(crate) struct Announcer {
    config: AnnounceConfig,
    /// The addresses that the registrar is bound to.
    bound: Vec<IpAddr>,
    /// Its SCTP port.
    port: u16,
    sockets: Vec<(SocketAddr, UdpSocket)>,
}

impl Announcer {
    /// One for a registrar at SCTP port `port` of these addresses.
    pub(crate) fn new(config: AnnounceConfig, bound: Vec<IpAddr>, port: u16) -> Self {
        Self { config, bound, port, sockets: Vec::new() }
    }

    /// Announces by these interfaces from now on. Returns what is to be announced; nothing if
    /// there is no address.
    pub(crate) fn set_interfaces(&mut self, interfaces: &[Interface]) -> Option<Endpoint> {
        self.open(interfaces);
        self.endpoint(interfaces)
    }

    /// Where the registrar can be reached: at the addresses that it is bound to, or at those of
    /// its interfaces.
    fn endpoint(&self, interfaces: &[Interface]) -> Option<Endpoint> {
        let mut endpoint = Endpoint { port: self.port, ..Endpoint::default() };
        let of_interfaces = announced(interfaces);
        for &bound in &self.bound {
            let is_meant = |address: &&IpAddr| address.is_ipv4() == bound.is_ipv4();
            let meant = match bound.is_unspecified() {
                true => of_interfaces.iter().filter(is_meant).copied().collect(),
                false => vec![bound],
            };
            // More than can be announced: the first ones do.
            let _ = meant.into_iter().try_for_each(|address| endpoint.addresses.push(address));
        }
        (!endpoint.addresses.is_empty()).then_some(endpoint)
    }

    fn open(&mut self, interfaces: &[Interface]) {
        self.sockets.clear();
        for interface in interfaces {
            for &group in &self.config.groups {
                match open(group, interface, &self.bound, self.config.ttl) {
                    Ok(Some(socket)) => self.sockets.push((group, socket)),
                    Ok(None) => {}
                    Err(error) => {
                        tracing::debug!(?interface, %group, %error, "no announces there");
                    }
                }
            }
        }
        if self.sockets.is_empty() {
            tracing::warn!("no interface to announce the registrar by; looking for one");
        }
    }

    /// Sends an announce.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        for (group, socket) in &self.sockets {
            // Lost like any datagram may be: the next one follows in a second.
            if let Err(error) = socket.send_to(bytes, *group) {
                tracing::debug!(%group, %error, "an announce is not sent");
            }
        }
    }
}

/// A socket that sends to `group` by `interface`; none if it has no address of that family. It
/// sends from the one that the registrar is bound to, if it has that: who hears a presence takes
/// its source as an address of the registrar.
fn open(
    group: SocketAddr,
    interface: &Interface,
    bound: &[IpAddr],
    ttl: u8,
) -> io::Result<Option<UdpSocket>> {
    let of_family = |address: &&IpAddr| address.is_ipv4() == group.is_ipv4();
    let Some(first) = interface.addresses.iter().find(of_family) else { return Ok(None) };
    let is_here = |address: &&IpAddr| of_family(address) && interface.addresses.contains(address);
    let own = bound.iter().find(is_here);
    let socket = Socket::new(Domain::for_address(group), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    match own.unwrap_or(first) {
        IpAddr::V4(address) => {
            socket.set_multicast_if_v4(address)?;
            socket.set_multicast_loop_v4(true)?;
            socket.set_multicast_ttl_v4(ttl.into())?;
            socket.bind(&SocketAddr::from((*address, 0)).into())?;
        }
        // Otherwise the system chooses the source: a link-local address needs its interface with
        // it.
        IpAddr::V6(_) => {
            let source = own.copied().unwrap_or(Ipv6Addr::UNSPECIFIED.into());
            socket.set_multicast_if_v6(interface.index)?;
            socket.set_multicast_loop_v6(true)?;
            socket.set_multicast_hops_v6(ttl.into())?;
            socket.bind(&SocketAddr::from((source, 0)).into())?;
        }
    }
    Ok(Some(socket.into()))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::super::interfaces::InterfaceWatch;
    use super::super::{Interfaces, Listener};
    use super::*;

    const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    /// On loopback, in a group and at a port that nobody else has.
    fn config() -> AnnounceConfig {
        // A port that was free a moment ago.
        let socket = UdpSocket::bind((LOOPBACK, 0)).unwrap();
        let port = socket.local_addr().unwrap().port();
        let groups = vec![
            SocketAddr::from(([239, 255, 77, 1], port)),
            SocketAddr::new("ff02::77".parse().unwrap(), port),
        ];
        AnnounceConfig { groups, interfaces: Interfaces::At(LOOPBACK), ttl: 0 }
    }

    #[tokio::test]
    async fn what_is_announced_on_loopback_is_heard_by_all_on_loopback() {
        let config = config();
        let mut listeners = [Listener::start(Some(&config)), Listener::start(Some(&config))];
        let mut watch = InterfaceWatch::new(config.interfaces.clone());
        let mut announcer = Announcer::new(config, vec![LOOPBACK], 3_863);
        let endpoint = announcer.set_interfaces(&watch.changed().await).unwrap();
        assert_eq!(endpoint.to_string(), "127.0.0.1:3863");
        for listener in &mut listeners {
            // Until it has joined, nothing is heard.
            let (source, bytes) = loop {
                announcer.send(b"here I am");
                tokio::select! {
                    announce = listener.recv() => break announce,
                    () = tokio::time::sleep(std::time::Duration::from_millis(20)) => {}
                }
            };
            assert!(source.ip().is_loopback(), "{source}");
            assert_eq!(bytes, b"here I am");
        }
    }

    #[tokio::test]
    async fn what_is_announced_comes_from_where_the_registrar_is() {
        let second = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 7));
        let mut loopback = InterfaceWatch::new(Interfaces::At(LOOPBACK)).changed().await;
        loopback[0].addresses.push(second);
        for (bound, source) in [
            (second, second),
            (LOOPBACK, LOOPBACK),
            (Ipv4Addr::UNSPECIFIED.into(), LOOPBACK),
            (Ipv4Addr::new(10, 0, 0, 1).into(), LOOPBACK),
        ] {
            let mut announcer = Announcer::new(config(), vec![bound], 3_863);
            announcer.set_interfaces(&loopback);
            let (_, socket) = &announcer.sockets[0];
            assert_eq!(socket.local_addr().unwrap().ip(), source, "bound to {bound}");
        }
    }

    #[tokio::test]
    async fn a_wildcard_is_announced_as_the_addresses_of_its_interfaces() {
        let wildcard = vec![Ipv4Addr::UNSPECIFIED.into()];
        let mut announcer = Announcer::new(config(), wildcard, 7);
        let loopback = InterfaceWatch::new(Interfaces::At(LOOPBACK)).changed().await;
        assert_eq!(announcer.set_interfaces(&loopback).unwrap().addresses, [LOOPBACK]);
        assert_eq!(announcer.set_interfaces(&[]), None);
    }

    #[tokio::test]
    async fn nothing_is_heard_where_nothing_is_configured() {
        let mut listener = Listener::start(None);
        tokio::select! {
            announce = listener.recv() => panic!("{announce:?}"),
            () = tokio::task::yield_now() => {}
        }
    }
}
