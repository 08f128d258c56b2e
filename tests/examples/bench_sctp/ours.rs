//! The core's endpoint.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use rserpool_core::association::{Ppid, StreamId};
use rserpool_core::entropy::SplitMix64;
use rserpool_core::machine::Machine;
use rserpool_core::sctp::{Config, Connect, Datagram, Endpoint, Event, Handle, Inline, Input};
use rserpool_core::time::Instant;

use super::link::{Link, Side};
use super::{PACKET_LEN_MAX, PORT, Pair, WINDOW};

/// As many chunks as a window of the smallest messages has.
const DESCRIPTORS: usize = WINDOW / 64;

type Memory = Inline<1, WINDOW, WINDOW, DESCRIPTORS>;

pub(crate) struct Ours {
    ends: [Box<Endpoint<Memory, SplitMix64>>; 2],
    handles: [Option<Handle>; 2],
}

const ADDRESSES: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2))];

impl Ours {
    pub(crate) fn new() -> Self {
        let ends = Side::BOTH.map(|side| {
            let (random, secret) = (SplitMix64::new(side as u64), [side as u8; 32]);
            Box::new(Endpoint::new(Config::DEFAULT, random, secret, Memory::new()))
        });
        Self { ends, handles: [None; 2] }
    }
}

impl Pair for Ours {
    fn connect(&mut self, now: Instant) {
        self.ends[1].listen(PORT).expect("it is the first port");
        let remote = SocketAddr::new(ADDRESSES[1], PORT);
        let connect = Connect { local_port: PORT, remote, udp: None };
        self.ends[0].connect(now, connect).expect("there is room");
    }

    fn is_up(&mut self) -> bool {
        self.handles.iter().all(Option::is_some)
    }

    fn send(&mut self, now: Instant, message: &[u8]) -> bool {
        let Some(handle) = self.handles[0] else { return false };
        self.ends[0].send(now, handle, StreamId(0), Ppid(0), false, message).is_ok()
    }

    fn input(&mut self, now: Instant, side: Side, packet: &[u8]) {
        let (local, remote) = (ADDRESSES[side as usize], ADDRESSES[side.other() as usize]);
        let datagram = Datagram { local, remote, udp: None, payload: packet };
        let input = Input::Datagram(datagram);
        self.ends[side as usize].handle_input(now, input).expect("nobody disturbs");
    }

    fn output(&mut self, now: Instant, side: Side, link: &mut Link) {
        let end = &mut self.ends[side as usize];
        let mut buf = [0; PACKET_LEN_MAX];
        while let Some(packet) = end.poll_transmit(now, &mut buf) {
            link.send(side.other(), &buf[..packet.len]);
        }
        while let Some(event) = end.poll_event() {
            if let Event::Up { handle, .. } = event {
                self.handles[side as usize] = Some(handle);
            }
        }
    }

    fn receive(&mut self, now: Instant, buf: &mut [u8]) -> Option<usize> {
        let received = self.ends[1].recv(now, self.handles[1]?, buf)?;
        Some(received.len)
    }

    fn next_timeout(&self) -> Option<Instant> {
        Instant::earliest(self.ends[0].poll_timeout(), self.ends[1].poll_timeout())
    }

    fn timeout(&mut self, now: Instant) {
        for end in &mut self.ends {
            end.handle_timeout(now);
        }
    }
}
