//! A registrar's face towards its peers: the ENRP port, and presences by multicast.

use std::net::{Ipv4Addr, SocketAddr};

use rserpool_core::association::{Endpoint, Transmit};
use rserpool_core::machine::Machine;

use super::{LargeRegistrar, PeeringConfig, TRANSMIT_LEN_MAX};
use crate::announces::{Announcer, Interface, InterfaceWatch, Listener, next_change};
use crate::driven::Driven;
use crate::transport::{OwnedInput, Port, Transport, TransportError};

/// What a registrar talks to its peers by.
#[derive(Debug)]
pub(super) struct Peers {
    port: Port,
    listener: Listener,
    watch: Option<InterfaceWatch>,
    announcer: Option<Announcer>,
    buf: Vec<u8>,
}

/// What comes from peers.
#[derive(Debug)]
pub(super) enum Heard {
    /// By an association.
    Input(OwnedInput),
    /// By multicast.
    Presence(SocketAddr, Vec<u8>),
    /// Nothing: the interfaces have changed.
    Interfaces(Vec<Interface>),
    /// Nothing any more: the transport is gone.
    End,
}

impl Peers {
    /// Opens the ENRP port and enters the scope.
    pub(super) async fn meet(
        transport: &Transport,
        driven: &mut Driven<LargeRegistrar>,
        config: PeeringConfig,
    ) -> Result<Self, TransportError> {
        let port = transport.open(config.port, config.udp_port, true).await?;
        let towards = config.peers.iter().flat_map(|peer| &peer.addresses);
        let seen = towards.filter_map(|&address| transport.address_towards(address));
        let known = seen.chain(transport.local_addresses()).chain([Ipv4Addr::LOCALHOST.into()]);
        let mut own = Endpoint { port: port.number(), ..Endpoint::default() };
        for address in known {
            let is_spare = address.is_loopback() && !own.addresses.is_empty();
            if !own.addresses.contains(&address) && !is_spare {
                // More than can be told: the first ones do.
                let _ = own.addresses.push(address);
            }
        }
        let now = driven.now();
        if let Err(error) = driven.machine.start_peering(now, own, &config.peers) {
            tracing::warn!(%error, "not all peers are kept");
        }
        let bound = transport.addresses();
        let announces = config.announces.map(|config| config.bound_to(bound));
        if announces.is_some() && config.peers.is_empty() {
            driven.machine.seek_mentor(now);
        }
        let number = port.number();
        Ok(Self {
            port,
            listener: Listener::start(announces.as_ref()),
            watch: announces.as_ref().map(|config| InterfaceWatch::new(config.interfaces.clone())),
            announcer: announces.map(|config| Announcer::new(config, bound.to_vec(), number)),
            buf: vec![0; TRANSMIT_LEN_MAX],
        })
    }

    /// The SCTP port, and the UDP ports by which it can be reached.
    pub(super) fn port(&self) -> (u16, Vec<u16>) {
        (self.port.number(), self.port.udp_ports().to_vec())
    }

    /// Sends all that the registrar owes its peers.
    pub(super) async fn tell(&mut self, driven: &mut Driven<LargeRegistrar>) {
        let now = driven.now();
        while let Some(transmit) = driven.machine.peers().poll_transmit(now, &mut self.buf) {
            match (transmit, &mut self.announcer) {
                (Transmit::Multicast { len, .. }, Some(announcer)) => {
                    announcer.send(&self.buf[..len]);
                }
                // Presences go to known peers one by one as well.
                (Transmit::Multicast { .. }, None) => {}
                (transmit, _) => self.port.perform(transmit, &self.buf).await,
            }
        }
    }

    /// What comes next. Cancelling it loses nothing.
    pub(super) async fn next(&mut self) -> Heard {
        tokio::select! {
            input = self.port.recv() => input.map_or(Heard::End, Heard::Input),
            (source, presence) = self.listener.recv() => Heard::Presence(source, presence),
            interfaces = next_change(&mut self.watch) => Heard::Interfaces(interfaces),
        }
    }

    /// Gives it to the registrar; false when the transport is gone.
    pub(super) fn on_heard(&mut self, driven: &mut Driven<LargeRegistrar>, heard: Heard) -> bool {
        let now = driven.now();
        let result = match heard {
            Heard::Input(input) => driven.machine.peers().handle_input(now, input.as_input()),
            Heard::Presence(source, presence) => {
                driven.machine.handle_presence(now, source, &presence)
            }
            Heard::Interfaces(interfaces) => {
                if let Some(announcer) = &mut self.announcer {
                    // Who hears a presence takes its source as the address.
                    let _ = announcer.set_interfaces(&interfaces);
                }
                Ok(())
            }
            Heard::End => return false,
        };
        if let Err(error) = result {
            tracing::debug!(%error, "what a peer says is refused");
        }
        true
    }
}

/// What comes next from peers; never anything without peers.
pub(super) async fn next_of(peers: &mut Option<Peers>) -> Heard {
    match peers {
        Some(peers) => peers.next().await,
        None => std::future::pending().await,
    }
}
