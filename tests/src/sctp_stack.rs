//! One face for every SCTP stack that takes part in a test: ours and its peers.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rserpool_core::association::{DownReason, Ppid, StreamId};
use rserpool_core::entropy::SplitMix64;
use rserpool_core::machine::Machine;
use rserpool_core::sctp::{
    Config, Connect, Datagram, Endpoint, Event, Handle, Inline, Input, UdpPorts,
};
use rserpool_core::time::Instant;

use crate::network::Envelope;

/// A message as the tests see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The stream.
    pub stream: u16,
    /// What it is said to be.
    pub ppid: u32,
    /// Whether it was sent without regard to order; not every stack tells.
    pub unordered: Option<bool>,
    /// What it says.
    pub data: Vec<u8>,
}

/// How an association ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Gracefully.
    Shutdown,
    /// By an abort of either side.
    Aborted,
    /// The peer did not answer.
    Lost,
}

/// One end of one association.
pub trait Stack {
    /// What it is called.
    fn name(&self) -> &'static str;
    /// Opens the association to the other end.
    fn connect(&mut self, now: Instant);
    /// A packet came in.
    fn input(&mut self, now: Instant, envelope: &Envelope);
    /// Time has passed.
    fn timeout(&mut self, now: Instant);
    /// When [`timeout`](Stack::timeout) is next due.
    fn next_timeout(&self) -> Option<Instant>;
    /// The next packet to send.
    fn output(&mut self, now: Instant) -> Option<Envelope>;
    /// Queues a message; `false` if there is no room now.
    fn send(&mut self, now: Instant, message: &Message) -> bool;
    /// The next message received.
    fn recv(&mut self, now: Instant) -> Option<Message>;
    /// Whether it has been up.
    fn was_up(&self) -> bool;
    /// How it ended, once it did.
    fn end(&self) -> Option<End>;
    /// Ends the association gracefully.
    fn shutdown(&mut self, now: Instant);
    /// Ends the association at once.
    fn abort(&mut self, now: Instant);
}

/// The sizes of the endpoint under test: 64 KiB each way.
type Large = Inline<1, 65_536, 65_536, 256>;
/// The sizes of a board: 2 KiB each way.
type Small = Inline<1, 2_048, 2_048, 8>;

/// Our endpoint with one association.
pub struct Ours<S> {
    endpoint: Box<Endpoint<S, SplitMix64>>,
    address: IpAddr,
    peer: IpAddr,
    handle: Option<Handle>,
    was_up: bool,
    was_restarted: bool,
    end: Option<End>,
}

/// What both ends of a test agree on.
pub const SCTP_PORT: u16 = 5_000;
/// The UDP port of both ends.
pub const UDP_PORT: u16 = 9_899;

impl Ours<Large> {
    /// With buffers of a host.
    #[must_use]
    pub fn large(seed: u64, address: IpAddr, peer: IpAddr, config: Config) -> Self {
        Self::with(seed, address, peer, config, Inline::new())
    }
}

impl Ours<Small> {
    /// With buffers of a board.
    #[must_use]
    pub fn small(seed: u64, address: IpAddr, peer: IpAddr, config: Config) -> Self {
        Self::with(seed, address, peer, config, Inline::new())
    }
}

impl<S: rserpool_core::sctp::Storage> Ours<S> {
    fn with(seed: u64, address: IpAddr, peer: IpAddr, config: Config, storage: S) -> Self {
        let secret = seed.to_le_bytes().repeat(4).try_into().expect("32 bytes");
        let mut endpoint = Box::new(Endpoint::new(config, SplitMix64::new(seed), secret, storage));
        endpoint.listen(SCTP_PORT).expect("it is the first port");
        Self {
            endpoint,
            address,
            peer,
            handle: None,
            was_up: false,
            was_restarted: false,
            end: None,
        }
    }

    /// The endpoint itself.
    pub fn endpoint(&mut self) -> &mut Endpoint<S, SplitMix64> {
        &mut self.endpoint
    }

    /// Whether the peer restarted or came anew: what was in flight then is gone.
    #[must_use]
    pub fn was_restarted(&self) -> bool {
        self.was_restarted
    }

    fn take_events(&mut self) {
        while let Some(event) = self.endpoint.poll_event() {
            match event {
                Event::Up { handle, .. } => {
                    self.handle = Some(handle);
                    self.was_restarted |= self.was_up;
                    self.was_up = true;
                    self.end = None;
                }
                Event::Down { handle, reason, .. } if self.handle.is_none_or(|h| h == handle) => {
                    self.end = Some(match reason {
                        DownReason::Shutdown => End::Shutdown,
                        DownReason::Aborted => End::Aborted,
                        _ => End::Lost,
                    });
                }
                Event::Restarted { .. } => self.was_restarted = true,
                _ => {}
            }
        }
    }
}

impl<S: rserpool_core::sctp::Storage> Stack for Ours<S> {
    fn name(&self) -> &'static str {
        "ours"
    }

    fn connect(&mut self, now: Instant) {
        let connect = Connect {
            local_port: SCTP_PORT,
            remote: SocketAddr::new(self.peer, SCTP_PORT),
            udp: Some(UdpPorts { local: UDP_PORT, remote: UDP_PORT }),
        };
        self.handle = Some(self.endpoint.connect(now, connect).expect("there is room"));
    }

    fn input(&mut self, now: Instant, envelope: &Envelope) {
        let datagram = Datagram {
            local: envelope.to,
            remote: envelope.from,
            udp: envelope.udp_of_receiver(),
            payload: &envelope.bytes,
        };
        // Refusals are part of the game: packets come late and twice.
        let _ = self.endpoint.handle_input(now, Input::Datagram(datagram));
    }

    fn timeout(&mut self, now: Instant) {
        self.endpoint.handle_timeout(now);
    }

    fn next_timeout(&self) -> Option<Instant> {
        self.endpoint.poll_timeout()
    }

    fn output(&mut self, now: Instant) -> Option<Envelope> {
        let mut buf = [0; 1_500];
        let packet = self.endpoint.poll_transmit(now, &mut buf);
        self.take_events();
        let packet = packet?;
        let udp = packet.udp.map(|ports| (ports.local, ports.remote));
        let bytes = buf[..packet.len].to_vec();
        Some(Envelope { from: self.address, to: packet.remote, udp, bytes })
    }

    fn send(&mut self, now: Instant, message: &Message) -> bool {
        let Some(handle) = self.handle else { return false };
        let Message { stream, ppid, unordered, ref data } = *message;
        let unordered = unordered.unwrap_or(false);
        self.endpoint.send(now, handle, StreamId(stream), Ppid(ppid), unordered, data).is_ok()
    }

    fn recv(&mut self, now: Instant) -> Option<Message> {
        let mut buf = vec![0; 65_536];
        let received = self.endpoint.recv(now, self.handle?, &mut buf)?;
        buf.truncate(received.len);
        Some(Message {
            stream: received.stream.0,
            ppid: received.ppid.0,
            unordered: Some(received.unordered),
            data: buf,
        })
    }

    fn was_up(&self) -> bool {
        self.was_up
    }

    fn end(&self) -> Option<End> {
        self.end
    }

    fn shutdown(&mut self, now: Instant) {
        if let Some(handle) = self.handle {
            let _ = self.endpoint.shutdown(now, handle);
        }
    }

    fn abort(&mut self, now: Instant) {
        if let Some(handle) = self.handle {
            let _ = self.endpoint.abort(now, handle);
        }
    }
}

/// How long a run may take before it counts as hung.
pub const RUN_MAX: Duration = Duration::from_secs(4 * 3_600);
