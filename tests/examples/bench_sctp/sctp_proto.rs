//! The crate sctp-proto.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rserpool_core::time::Instant;
use sctp_proto::{
    Association, AssociationHandle, ClientConfig, DatagramEvent, Endpoint, EndpointConfig, Event,
    Payload, PayloadProtocolIdentifier, ServerConfig, TransportConfig,
};

use super::link::{Link, Side};
use super::{PACKET_LEN_MAX, Pair, WINDOW};

pub(crate) struct SctpProto {
    ends: [Endpoint; 2],
    associations: [Option<(AssociationHandle, Association)>; 2],
    is_up: [bool; 2],
    start: std::time::Instant,
}

const STREAM: u16 = 0;
/// Common header and header of a DATA chunk, which it adds to its largest payload.
const HEADERS_LEN: usize = 28;

fn transport() -> Arc<TransportConfig> {
    let config = TransportConfig::default();
    Arc::new(config.with_max_receive_buffer_size(WINDOW as u32))
}

impl SctpProto {
    pub(crate) fn new() -> Self {
        let mut config = EndpointConfig::new();
        config.max_payload_size((PACKET_LEN_MAX - HEADERS_LEN) as u32);
        let config = Arc::new(config);
        let mut server = ServerConfig::new();
        server.transport = transport();
        let server = Some(Arc::new(server));
        Self {
            ends: [Endpoint::new(config.clone(), None), Endpoint::new(config, server)],
            associations: [None, None],
            is_up: [false; 2],
            start: std::time::Instant::now(),
        }
    }

    fn at(&self, now: Instant) -> std::time::Instant {
        self.start + now.saturating_duration_since(Instant::from_millis(0))
    }

    fn address(side: Side) -> SocketAddr {
        ([10, 0, 0, side as u8 + 1], 5_000).into()
    }
}

impl Pair for SctpProto {
    fn connect(&mut self, _now: Instant) {
        let mut config = ClientConfig::new();
        config.transport = transport();
        let association = self.ends[0].connect(config, Self::address(Side::Server));
        self.associations[0] = Some(association.expect("a new endpoint"));
    }

    fn is_up(&mut self) -> bool {
        if self.is_up == [true; 2]
            && let Some((_, client)) = &mut self.associations[0]
            && client.stream(STREAM).is_err()
        {
            let ppid = PayloadProtocolIdentifier::Binary;
            client.open_stream(STREAM, ppid).expect("the association is up");
        }
        self.is_up == [true; 2]
    }

    /// It has no bound of its own for what is queued.
    fn send(&mut self, _now: Instant, message: &[u8]) -> bool {
        let Some((_, client)) = &mut self.associations[0] else { return false };
        let Ok(mut stream) = client.stream(STREAM) else { return false };
        let queued = stream.buffered_amount().unwrap_or(usize::MAX);
        queued + message.len() <= WINDOW && stream.write(message).is_ok()
    }

    fn input(&mut self, now: Instant, side: Side, packet: &[u8]) {
        let (at, remote) = (self.at(now), Self::address(side.other()));
        let packet = packet.to_vec().into();
        let slot = &mut self.associations[side as usize];
        match self.ends[side as usize].handle(at, remote, None, None, packet) {
            Some((handle, DatagramEvent::NewAssociation(association))) => {
                slot.get_or_insert((handle, association));
            }
            Some((_, DatagramEvent::AssociationEvent(event))) => {
                if let Some((_, association)) = slot {
                    association.handle_event(event);
                }
            }
            None => {}
        }
    }

    fn output(&mut self, now: Instant, side: Side, link: &mut Link) {
        let at = self.at(now);
        let mut send = |payload: Payload| {
            let Payload::RawEncode(packets) = payload else { return };
            packets.iter().for_each(|packet| link.send(side.other(), packet));
        };
        if let Some((_, association)) = &mut self.associations[side as usize] {
            while let Some(transmit) = association.poll_transmit(at) {
                send(transmit.payload);
            }
            while let Some(event) = association.poll() {
                self.is_up[side as usize] |= matches!(event, Event::Connected);
            }
        }
        while let Some(transmit) = self.ends[side as usize].poll_transmit() {
            send(transmit.payload);
        }
    }

    fn receive(&mut self, _now: Instant, buf: &mut [u8]) -> Option<usize> {
        let (_, server) = self.associations[1].as_mut()?;
        if server.stream(STREAM).is_err() {
            server.accept_stream();
        }
        let chunks = server.stream(STREAM).ok()?.read().ok()??;
        chunks.read(buf).ok()
    }

    fn next_timeout(&self) -> Option<Instant> {
        let timeouts = self.associations.iter().flatten();
        let at = timeouts.filter_map(|(_, association)| association.poll_timeout()).min()?;
        let since = at.saturating_duration_since(self.start);
        Some(Instant::from_millis(0) + since + Duration::from_micros(1))
    }

    fn timeout(&mut self, now: Instant) {
        let at = self.at(now);
        for (_, association) in self.associations.iter_mut().flatten() {
            association.handle_timeout(at);
        }
    }
}
