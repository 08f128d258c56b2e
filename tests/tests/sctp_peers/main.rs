//! Our SCTP endpoint against other people's: the crates dcsctp and sctp-proto and, with the
//! feature `usrsctp`, the C library of that name, in process and in virtual time. Their tags are
//! random, so runs of the same seed differ.

#[cfg(feature = "usrsctp")]
mod usrsctp;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use dcsctp::api::{
    DcSctpSocket, ErrorKind, Message as DcMessage, Options, PpId, SendOptions, SocketEvent,
    SocketState, SocketTime, StreamId,
};
use rserpool_core::sctp::Config;
use rserpool_core::time::Instant;
use rserpool_tests::network::{Envelope, Weather};
use rserpool_tests::sctp_run::{CLIENT, Ending, Outcome, Plan, SERVER, run};
use rserpool_tests::sctp_stack::{End, Message, Ours, SCTP_PORT, Stack, UDP_PORT};
use sctp_proto::{
    Association, AssociationError, AssociationHandle, ClientConfig, DatagramEvent, Endpoint,
    EndpointConfig, Event, Payload, ReliabilityType, ServerConfig,
};

fn envelope(from: IpAddr, to: IpAddr, bytes: &[u8]) -> Envelope {
    Envelope { from, to, udp: Some((UDP_PORT, UDP_PORT)), bytes: bytes.to_vec() }
}

/// The crate dcsctp.
struct Dcsctp {
    socket: Box<dyn DcSctpSocket>,
    address: IpAddr,
    peer: IpAddr,
    out: VecDeque<Vec<u8>>,
    was_up: bool,
    end: Option<End>,
}

impl Dcsctp {
    fn new(address: IpAddr, peer: IpAddr) -> Self {
        let options = Options {
            local_port: SCTP_PORT,
            remote_port: SCTP_PORT,
            mtu: 1_472,
            ..Options::default()
        };
        let socket = dcsctp::new_socket("peer", &options);
        Self { socket, address, peer, out: VecDeque::new(), was_up: false, end: None }
    }

    fn at(&mut self, now: Instant) -> &mut dyn DcSctpSocket {
        self.socket.advance_time(SocketTime::zero() + Duration::from_micros(now.as_micros()));
        &mut *self.socket
    }

    fn take_events(&mut self) {
        while let Some(event) = self.socket.poll_event() {
            match event {
                SocketEvent::SendPacket(bytes) => self.out.push_back(bytes),
                SocketEvent::OnConnected() => self.was_up = true,
                SocketEvent::OnClosed() => {
                    self.end.get_or_insert(End::Shutdown);
                }
                SocketEvent::OnAborted(ErrorKind::TooManyRetries, _) => self.end = Some(End::Lost),
                SocketEvent::OnAborted(..) => self.end = Some(End::Aborted),
                // It reports what it does not know (parameter 8 in our INIT ACK) as an error.
                SocketEvent::OnError(kind, text) => println!("dcsctp: {kind:?} {text}"),
                _ => {}
            }
        }
    }
}

impl Stack for Dcsctp {
    fn name(&self) -> &'static str {
        "dcsctp"
    }

    fn connect(&mut self, now: Instant) {
        self.at(now).connect();
    }

    fn input(&mut self, now: Instant, envelope: &Envelope) {
        self.at(now).handle_input(&envelope.bytes);
    }

    fn timeout(&mut self, now: Instant) {
        self.at(now);
    }

    fn next_timeout(&self) -> Option<Instant> {
        let at = self.socket.poll_timeout();
        (at != SocketTime::infinite_future()).then(|| {
            let micros = (at - SocketTime::zero()).as_nanos().div_ceil(1_000);
            Instant::from_micros(micros as u64)
        })
    }

    fn output(&mut self, _now: Instant) -> Option<Envelope> {
        self.take_events();
        self.out.pop_front().map(|bytes| envelope(self.address, self.peer, &bytes))
    }

    fn send(&mut self, now: Instant, message: &Message) -> bool {
        let options =
            SendOptions { unordered: message.unordered == Some(true), ..SendOptions::default() };
        let (stream, ppid) = (StreamId(message.stream), PpId(message.ppid));
        let message = DcMessage::new(stream, ppid, message.data.clone());
        self.at(now).send(message, &options).is_ok()
    }

    fn recv(&mut self, _now: Instant) -> Option<Message> {
        let message = self.socket.get_next_message()?;
        Some(Message {
            stream: message.stream_id.0,
            ppid: message.ppid.0,
            unordered: None,
            data: message.payload,
        })
    }

    fn was_up(&self) -> bool {
        self.was_up
    }

    fn end(&self) -> Option<End> {
        self.end
    }

    fn shutdown(&mut self, now: Instant) {
        if self.socket.state() == SocketState::Connected {
            self.at(now).shutdown();
        }
    }

    fn abort(&mut self, now: Instant) {
        self.end = Some(End::Aborted);
        self.at(now).close();
    }
}

/// The crate sctp-proto.
struct SctpProto {
    endpoint: Endpoint,
    association: Option<(AssociationHandle, Association)>,
    start: std::time::Instant,
    address: IpAddr,
    peer: IpAddr,
    out: VecDeque<Vec<u8>>,
    was_up: bool,
    end: Option<End>,
}

impl SctpProto {
    fn new(address: IpAddr, peer: IpAddr) -> Self {
        Self {
            endpoint: Endpoint::new(
                Arc::new(EndpointConfig::new()),
                Some(Arc::new(ServerConfig::new())),
            ),
            association: None,
            start: std::time::Instant::now(),
            address,
            peer,
            out: VecDeque::new(),
            was_up: false,
            end: None,
        }
    }

    fn at(&self, now: Instant) -> std::time::Instant {
        self.start + now.saturating_duration_since(Instant::from_millis(1_000))
    }

    fn take_output(&mut self, now: Instant) {
        let now = self.at(now);
        let Some((_, association)) = &mut self.association else { return };
        while let Some(transmit) = association.poll_transmit(now) {
            let Payload::RawEncode(packets) = transmit.payload else { continue };
            self.out.extend(packets.iter().map(|packet| packet.to_vec()));
        }
        while let Some(event) = association.poll() {
            match event {
                Event::Connected => self.was_up = true,
                Event::AssociationLost { reason } => {
                    self.end = Some(match reason {
                        AssociationError::AssociationClosed => End::Shutdown,
                        AssociationError::TimedOut => End::Lost,
                        _ => End::Aborted,
                    });
                }
                Event::HandshakeFailed { .. } => self.end = Some(End::Lost),
                _ => {}
            }
        }
        // After its SHUTDOWN COMPLETE (type 14) it stays as it is, without a word.
        let has_completed = self.out.iter().any(|packet| packet.get(12) == Some(&14));
        if (association.is_closed() || has_completed) && self.was_up {
            self.end.get_or_insert(End::Shutdown);
        }
    }
}

impl Stack for SctpProto {
    fn name(&self) -> &'static str {
        "sctp-proto"
    }

    fn connect(&mut self, _now: Instant) {
        let config = ClientConfig::new();
        let remote = SocketAddr::new(self.peer, UDP_PORT);
        self.association = Some(self.endpoint.connect(config, remote).expect("a new endpoint"));
    }

    fn input(&mut self, now: Instant, envelope: &Envelope) {
        let remote = SocketAddr::new(envelope.from, UDP_PORT);
        let at = self.at(now);
        let data = envelope.bytes.clone().into();
        // It does not know the T bit of SHUTDOWN COMPLETE and would ask for ever.
        if matches!(envelope.bytes.get(12..14), Some(&[14, flags]) if flags & 1 != 0) {
            self.end.get_or_insert(End::Shutdown);
        }
        match self.endpoint.handle(at, remote, None, None, data) {
            Some((handle, DatagramEvent::NewAssociation(association))) => {
                self.association.get_or_insert((handle, association));
            }
            Some((_, DatagramEvent::AssociationEvent(event))) => {
                if let Some((_, association)) = &mut self.association {
                    association.handle_event(event);
                }
            }
            None => {}
        }
    }

    fn timeout(&mut self, now: Instant) {
        let at = self.at(now);
        if let Some((_, association)) = &mut self.association {
            association.handle_timeout(at);
        }
    }

    fn next_timeout(&self) -> Option<Instant> {
        let (_, association) = self.association.as_ref()?;
        let since = association.poll_timeout()?.saturating_duration_since(self.start);
        Some(Instant::from_millis(1_000) + since + Duration::from_micros(1))
    }

    fn output(&mut self, now: Instant) -> Option<Envelope> {
        self.take_output(now);
        while let Some(transmit) = self.endpoint.poll_transmit() {
            let Payload::RawEncode(packets) = transmit.payload else { continue };
            self.out.extend(packets.iter().map(|packet| packet.to_vec()));
        }
        self.out.pop_front().map(|bytes| envelope(self.address, self.peer, &bytes))
    }

    fn send(&mut self, _now: Instant, message: &Message) -> bool {
        let Some((_, association)) = &mut self.association else { return false };
        if association.stream(message.stream).is_err() {
            let _ = association.open_stream(message.stream, PPID.into());
        }
        let Ok(mut stream) = association.stream(message.stream) else { return false };
        let is_unordered = message.unordered == Some(true);
        let _ = stream.set_reliability_params(is_unordered, ReliabilityType::Reliable, 0);
        stream.write_with_ppi(&message.data, message.ppid.into()).is_ok()
    }

    fn recv(&mut self, _now: Instant) -> Option<Message> {
        let (_, association) = self.association.as_mut()?;
        while association.accept_stream().is_some() {}
        for id in association.stream_ids() {
            let Ok(mut stream) = association.stream(id) else { continue };
            let Ok(Some(chunks)) = stream.read() else { continue };
            let mut data = vec![0; chunks.len()];
            chunks.read(&mut data).expect("the buffer is as long");
            return Some(Message { stream: id, ppid: chunks.ppi as u32, unordered: None, data });
        }
        None
    }

    fn was_up(&self) -> bool {
        self.was_up
    }

    fn end(&self) -> Option<End> {
        self.end
    }

    fn shutdown(&mut self, _now: Instant) {
        if let Some((_, association)) = &mut self.association {
            let _ = association.shutdown();
        }
    }

    fn abort(&mut self, _now: Instant) {
        unreachable!("sctp-proto closes without a word")
    }
}

/// sctp-proto knows only the PPIDs of WebRTC: this is binary data.
const PPID: u32 = 53;

const FAIR: Plan = Plan {
    weather: Weather::FAIR,
    message_count: 60,
    len_max: 20_000,
    streams: 4,
    unordered_every: 5,
    ppid: Some(PPID),
    ending: Ending::ClientShutsDown,
};

/// One packet of twenty lost, some twice, most overtaking others.
const RAIN: Plan =
    Plan { weather: Weather { loss: 50, duplication: 50, ..Weather::STORM }, ..FAIR };

type MakePeer = fn(IpAddr, IpAddr) -> Box<dyn Stack>;

const DCSCTP: MakePeer = |address, peer| Box::new(Dcsctp::new(address, peer));
const SCTP_PROTO: MakePeer = |address, peer| Box::new(SctpProto::new(address, peer));

fn we_connect(plan: &Plan, seed: u64, peer: MakePeer) -> Outcome {
    let mut ours = Ours::large(seed, CLIENT, SERVER, Config::DEFAULT);
    run(plan, seed, &mut ours, &mut *peer(SERVER, CLIENT))
}

fn we_accept(plan: &Plan, seed: u64, peer: MakePeer) -> Outcome {
    let mut ours = Ours::large(seed, SERVER, CLIENT, Config::DEFAULT);
    run(plan, seed, &mut *peer(CLIENT, SERVER), &mut ours)
}

fn all_arrives(plan: &Plan, seeds: u64, peer: MakePeer, expected: End) {
    for seed in 0..seeds {
        for (who, run) in
            [("we connect", we_connect as fn(&_, _, _) -> _), ("we accept", we_accept)]
        {
            let outcome: Outcome = run(plan, seed, peer);
            assert!(outcome.complete, "{who}, seed {seed}: {outcome:?}");
            assert_eq!(outcome.ends, [Some(expected); 2], "{who}, seed {seed}: {outcome:?}");
        }
    }
}

#[test]
fn dcsctp_in_fair_weather() {
    all_arrives(&FAIR, 3, DCSCTP, End::Shutdown);
    all_arrives(&Plan { ending: Ending::ServerShutsDown, ..FAIR }, 3, DCSCTP, End::Shutdown);
}

#[test]
fn dcsctp_in_the_rain() {
    all_arrives(&RAIN, 10, DCSCTP, End::Shutdown);
}

#[test]
fn dcsctp_and_aborts() {
    all_arrives(&Plan { ending: Ending::ClientAborts, ..FAIR }, 2, DCSCTP, End::Aborted);
    all_arrives(&Plan { ending: Ending::ServerAborts, ..FAIR }, 2, DCSCTP, End::Aborted);
}

#[test]
fn sctp_proto_in_fair_weather() {
    all_arrives(&FAIR, 3, SCTP_PROTO, End::Shutdown);
    all_arrives(&Plan { ending: Ending::ServerShutsDown, ..FAIR }, 3, SCTP_PROTO, End::Shutdown);
}

#[test]
fn sctp_proto_in_the_rain() {
    all_arrives(&RAIN, 10, SCTP_PROTO, End::Shutdown);
}

#[test]
fn sctp_proto_is_told_of_our_abort() {
    let outcome = we_connect(&Plan { ending: Ending::ClientAborts, ..FAIR }, 1, SCTP_PROTO);
    assert!(outcome.complete && outcome.ends.iter().all(Option::is_some), "{outcome:?}");
    let outcome = we_accept(&Plan { ending: Ending::ServerAborts, ..FAIR }, 1, SCTP_PROTO);
    assert!(outcome.complete && outcome.ends.iter().all(Option::is_some), "{outcome:?}");
}
