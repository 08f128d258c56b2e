//! The crate dcsctp.

use std::time::Duration;

use dcsctp::api::{
    DcSctpSocket, Message, Options, PpId, SendOptions, SocketEvent, SocketState, SocketTime,
    StreamId,
};
use rserpool_core::time::Instant;

use super::link::{Link, Side};
use super::{PACKET_LEN_MAX, PORT, Pair, WINDOW};

pub(crate) struct Dcsctp {
    ends: [Box<dyn DcSctpSocket>; 2],
}

impl Dcsctp {
    pub(crate) fn new() -> Self {
        let options = Options {
            local_port: PORT,
            remote_port: PORT,
            mtu: PACKET_LEN_MAX,
            max_receiver_window_buffer_size: WINDOW,
            max_send_buffer_size: WINDOW,
            per_stream_send_queue_limit: WINDOW,
            ..Options::default()
        };
        Self { ends: ["client", "server"].map(|name| dcsctp::new_socket(name, &options)) }
    }

    fn at(&mut self, now: Instant, side: Side) -> &mut dyn DcSctpSocket {
        let end = &mut *self.ends[side as usize];
        end.advance_time(SocketTime::zero() + Duration::from_micros(now.as_micros()));
        end
    }
}

impl Pair for Dcsctp {
    fn connect(&mut self, now: Instant) {
        self.at(now, Side::Client).connect();
    }

    fn is_up(&mut self) -> bool {
        self.ends.iter().all(|end| end.state() == SocketState::Connected)
    }

    fn send(&mut self, _now: Instant, message: &[u8]) -> bool {
        let message = Message::new(StreamId(0), PpId(0), message.to_vec());
        self.ends[0].send(message, &SendOptions::default()).is_ok()
    }

    fn input(&mut self, now: Instant, side: Side, packet: &[u8]) {
        self.at(now, side).handle_input(packet);
    }

    fn output(&mut self, _now: Instant, side: Side, link: &mut Link) {
        while let Some(event) = self.ends[side as usize].poll_event() {
            if let SocketEvent::SendPacket(bytes) = event {
                link.send(side.other(), &bytes);
            }
        }
    }

    fn receive(&mut self, _now: Instant, buf: &mut [u8]) -> Option<usize> {
        let message = self.ends[1].get_next_message()?;
        buf[..message.payload.len()].copy_from_slice(&message.payload);
        Some(message.payload.len())
    }

    fn next_timeout(&self) -> Option<Instant> {
        let at = self.ends.iter().map(|end| end.poll_timeout()).min()?;
        (at != SocketTime::infinite_future()).then(|| {
            let micros = (at - SocketTime::zero()).as_nanos().div_ceil(1_000);
            Instant::from_micros(micros as u64)
        })
    }

    fn timeout(&mut self, now: Instant) {
        for side in Side::BOTH {
            self.at(now, side);
        }
    }
}
