//! Packets that no association owes: answers to strangers, echoes, last words.
//!
//! They are few and short-lived, since a driver drains them after each input; what does not fit
//! is not said, as if the network had lost it.

use core::net::IpAddr;

use heapless::Deque;

use crate::sctp::packet::{Cause, ChunkType, CommonHeader, PacketWriter};
use crate::sctp::types::{Packet, UdpPorts};
use crate::time::{Instant, Span};

/// Bytes of all waiting replies together; also the longest HEARTBEAT that is answered: elsewhere
/// than on boards whatever comes in a packet of usual size.
const BYTES: usize = crate::few(512, 1_500);
/// Of a chunk, and of a cause.
const HEADER_LEN: usize = 4;
const COUNT_MAX: usize = crate::few(4, 8);

/// The T bit of ABORT and SHUTDOWN COMPLETE: the tag is the one that came in.
pub(in crate::sctp) const REFLECTED: u8 = 1;

/// Where a packet goes and how it is labelled.
#[derive(Clone, Copy, Debug)]
pub(in crate::sctp) struct Route {
    pub(in crate::sctp) local: IpAddr,
    pub(in crate::sctp) remote: IpAddr,
    pub(in crate::sctp) udp: Option<UdpPorts>,
    pub(in crate::sctp) local_port: u16,
    pub(in crate::sctp) remote_port: u16,
    pub(in crate::sctp) tag: u32,
}

impl Route {
    /// Finishes the packet whose chunks, `chunks_len` bytes, are in `buf` behind the room for the
    /// common header.
    pub(in crate::sctp) fn finish(&self, buf: &mut [u8], chunks_len: usize) -> Option<Packet> {
        let len = CommonHeader::LEN + chunks_len;
        let header = CommonHeader {
            source_port: self.local_port,
            destination_port: self.remote_port,
            tag: self.tag,
        };
        header.emit(buf.get_mut(..len)?);
        let local = (!self.local.is_unspecified()).then_some(self.local);
        let Self { remote, udp, .. } = *self;
        Some(Packet { local, remote, udp, len, may_fragment: false })
    }
}

#[derive(Clone, Copy, Debug)]
struct Reply {
    route: Route,
    start: u16,
    len: u16,
    /// What the association owes may follow in the same packet.
    is_open: bool,
}

/// A reply that was written behind the room for the common header.
#[derive(Clone, Copy, Debug)]
pub(in crate::sctp) struct Written {
    pub(in crate::sctp) route: Route,
    /// Bytes of chunks.
    pub(in crate::sctp) len: usize,
    /// What the association owes may follow.
    pub(in crate::sctp) is_open: bool,
}

/// The replies that wait to be pulled.
#[derive(Debug)]
pub(in crate::sctp) struct Replies {
    bytes: [u8; BYTES],
    used: usize,
    waiting: Deque<Reply, COUNT_MAX>,
}

impl Replies {
    pub(super) const fn new() -> Self {
        Self { bytes: [0; BYTES], used: 0, waiting: Deque::new() }
    }

    /// Adds a packet with one chunk and in it one cause, or none; whether there was room.
    pub(in crate::sctp) fn push_cause(
        &mut self,
        route: &Route,
        kind: ChunkType,
        flags: u8,
        cause: Cause,
        info: &[u8],
    ) -> bool {
        self.push(route, &mut |writer| writer.cause(kind, flags, cause, info))
    }

    /// Adds an ERROR with one cause to a peer; what its association owes may follow it. Of `info`
    /// it has as much as there is room for here, and in a packet of `chunks_len` bytes of chunks.
    pub(in crate::sctp) fn push_error(
        &mut self,
        route: &Route,
        chunks_len: usize,
        cause: Cause,
        info: &[u8],
    ) {
        let used = if self.waiting.is_empty() { 0 } else { self.used };
        let room = chunks_len.min((BYTES - used) & !3).saturating_sub(2 * HEADER_LEN);
        let info = &info[..info.len().min(room)];
        let is_pushed = self.push_cause(route, ChunkType::ERROR, 0, cause, info);
        if let Some(reply) = self.waiting.back_mut().filter(|_| is_pushed) {
            reply.is_open = true;
        }
    }

    /// Adds a packet with the chunks that `write` writes; whether there was room.
    pub(in crate::sctp) fn push(
        &mut self,
        route: &Route,
        write: &mut dyn FnMut(&mut PacketWriter<'_>) -> bool,
    ) -> bool {
        if self.waiting.is_empty() {
            self.used = 0;
        }
        let start = self.used;
        let mut writer = PacketWriter::new(&mut self.bytes[start..]);
        if self.waiting.is_full() || !write(&mut writer) {
            return false;
        }
        let len = writer.len();
        self.used += len;
        let reply = Reply { route: *route, start: start as u16, len: len as u16, is_open: false };
        self.waiting.push_back(reply).is_ok()
    }

    /// Whether there is something to [`pop`](Self::pop).
    pub(super) fn is_any_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Writes the oldest reply into `buf`. One that `buf` cannot hold is dropped.
    pub(super) fn pop(&mut self, buf: &mut [u8]) -> Option<Written> {
        while let Some(Reply { route, start, len, is_open }) = self.waiting.pop_front() {
            let (start, len) = (usize::from(start), usize::from(len));
            let room = buf.get_mut(CommonHeader::LEN..).and_then(|room| room.get_mut(..len));
            if let Some(room) = room {
                room.copy_from_slice(&self.bytes[start..start + len]);
                return Some(Written { route, len, is_open });
            }
        }
        None
    }
}

/// Limits how many replies strangers get: a token bucket that holds one second's worth.
#[derive(Debug)]
pub(super) struct TokenBucket {
    spent: u32,
    refilled: Instant,
}

impl TokenBucket {
    pub(super) const fn new() -> Self {
        Self { spent: 0, refilled: Instant::ZERO }
    }

    /// Takes a token if one of the `per_second` is left.
    pub(super) fn take(&mut self, now: Instant, per_second: u16) -> bool {
        // Milliseconds are near enough, and their product with the rate fits a word.
        let elapsed_ms = (Span::between(self.refilled, now).0 / 1_000).min(1_000);
        let earned = elapsed_ms * u32::from(per_second) / 1_000;
        if earned > 0 {
            self.spent = self.spent.saturating_sub(earned);
            self.refilled = now;
        }
        let is_left = self.spent < u32::from(per_second);
        self.spent += u32::from(is_left);
        is_left
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::Ipv4Addr;

    const ROUTE: Route = Route {
        local: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)),
        remote: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)),
        udp: None,
        local_port: 1,
        remote_port: 2,
        tag: 3,
    };

    #[test]
    fn replies_come_out_in_order_and_no_more_than_fit() {
        let mut replies = Replies::new();
        let mut pushed = 0;
        while replies.push(&ROUTE, &mut |writer| writer.chunk(4, 0, &[&[pushed; 200]])) {
            pushed += 1;
        }
        assert_eq!(pushed, 7);
        let mut buf = [0; 300];
        for index in 0..pushed {
            assert_eq!(replies.pop(&mut buf).unwrap().len, 204);
            assert_eq!(buf[16], index);
        }
        assert!(replies.pop(&mut buf).is_none());
        assert!(replies.push(&ROUTE, &mut |writer| writer.chunk(4, 0, &[&[0; 1_496]])));
    }

    #[test]
    fn an_error_is_cut_to_its_packet_and_to_the_room() {
        let mut replies = Replies::new();
        let cause = Cause::UNRECOGNIZED_CHUNK;
        replies.push_error(&ROUTE, 1_200, cause, &[7; 1_499]);
        replies.push_error(&ROUTE, 1_200, cause, &[7; 1_499]);
        // No room for a cause, however short.
        replies.push_error(&ROUTE, 1_200, cause, &[7; 1_499]);
        let mut buf = [0; 1_500];
        for (len, chunk_len) in [(1_200, 1_200_u16), (300, 300)] {
            assert_eq!(replies.pop(&mut buf).unwrap().len, len);
            let cause_len = chunk_len - 4;
            assert_eq!(buf[14..16], chunk_len.to_be_bytes());
            assert_eq!(buf[18..20], cause_len.to_be_bytes());
        }
        assert!(replies.pop(&mut buf).is_none());
    }

    #[test]
    fn the_bucket_refills_with_time() {
        let mut bucket = TokenBucket::new();
        let granted = (0..100).filter(|_| bucket.take(Instant::from_millis(5_000), 10)).count();
        assert_eq!(granted, 10);
        assert!(!bucket.take(Instant::from_millis(5_099), 10));
        assert!(bucket.take(Instant::from_millis(5_100), 10));
        assert!(!bucket.take(Instant::from_millis(5_100), 10));
    }
}
