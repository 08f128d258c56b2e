//! Packets that an association owes, built when they are pulled.

use super::{Association, Owed, PRIMARY, Probe, State};
use crate::sctp::endpoint::{Context, Route};
use crate::sctp::packet::{Cause, ChunkType, CommonHeader, Init, PacketWriter, ParameterType};
use crate::sctp::transfer::{Receiver, Sender};
use crate::sctp::types::Packet;

impl Association<'_> {
    /// Writes the next packet into `buf`, if one is owed.
    pub(in crate::sctp) fn transmit(
        &mut self,
        context: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Option<Packet> {
        if self.tcb.state == State::Closed {
            return None;
        }
        let chunks_len = self.tcb.chunks_len_max(&context.shared.config);
        let packet = self.transmit_up_to(context, buf, chunks_len);
        // A chunk that was cut before the path was encapsulated is 8 bytes too long for it. It
        // goes out alone, and IP has to fragment it. RFC 9260 §6.9.
        let at_start = self.tcb.transfers[PRIMARY].chunk_len_max() as usize;
        if packet.is_none() && at_start > chunks_len {
            return self.transmit_up_to(context, buf, at_start);
        }
        packet
    }

    /// Writes what is owed behind the `len` bytes of chunks in `buf`; how many there are then.
    pub(in crate::sctp) fn transmit_behind(
        &mut self,
        context: &mut Context<'_>,
        buf: &mut [u8],
        len: usize,
    ) -> usize {
        let end =
            buf.len().min(CommonHeader::LEN + self.tcb.chunks_len_max(&context.shared.config));
        let room = buf.get_mut(CommonHeader::LEN + len..end);
        let (Some(room), State::Established) = (room, self.tcb.state) else { return len };
        let mut writer = PacketWriter::new(room);
        self.write_bundle(context, &mut writer);
        len + writer.len()
    }

    /// The same, with at most `chunks_len` bytes of chunks.
    fn transmit_up_to(
        &mut self,
        context: &mut Context<'_>,
        buf: &mut [u8],
        chunks_len: usize,
    ) -> Option<Packet> {
        let end = buf.len().min(CommonHeader::LEN + chunks_len);
        let mut writer = PacketWriter::new(buf.get_mut(CommonHeader::LEN..end)?);
        let route = self.tcb.route();
        let route = if self.tcb.owed.take(Owed::INIT) {
            self.write_init(context, &mut writer);
            // RFC 9260 §8.5.1 A.
            Route { tag: 0, ..route }
        } else if self.tcb.owed.take(Owed::COOKIE_ECHO) {
            self.write_cookie_echo(&mut writer);
            route
        } else {
            self.write_bundle(context, &mut writer);
            route
        };
        let len = writer.len();
        if len == 0 {
            return None;
        }
        route.finish(buf, len)
    }

    fn write_init(&mut self, context: &Context<'_>, writer: &mut PacketWriter<'_>) {
        let a_rwnd = self.window_to_offer();
        let config = &context.shared.config;
        let init = Init {
            tag: self.tcb.own_tag,
            a_rwnd,
            outbound_streams: config.outbound_streams(),
            inbound_streams: config.inbound_streams(),
            initial_tsn: self.tcb.own_initial_tsn,
            parameters: &[],
        };
        // RFC 9260 §5.1.2: we have addresses of one family here.
        let [kind, own_kind] = [
            ParameterType::SUPPORTED_ADDRESS_TYPES,
            if self.tcb.paths[PRIMARY].remote.is_ipv6() {
                ParameterType::IPV6_ADDRESS
            } else {
                ParameterType::IPV4_ADDRESS
            },
        ]
        .map(|kind| kind.0.to_be_bytes());
        let parts: &[&[u8]] = &[&init.fixed_bytes(), &kind, &[0, 6], &own_kind];
        let _ = writer.chunk(ChunkType::INIT.0, 0, parts);
    }

    fn write_cookie_echo(&mut self, writer: &mut PacketWriter<'_>) {
        let (cookie_len, report_len) =
            (usize::from(self.tcb.cookie_len), usize::from(self.tcb.report_len));
        let (cookie, rest) = self.rx.split_at(cookie_len);
        let _ = writer.chunk(ChunkType::COOKIE_ECHO.0, 0, &[cookie]);
        if report_len > 0 {
            let report = &rest[..report_len];
            let _ = writer.cause(ChunkType::ERROR, 0, Cause::UNRECOGNIZED_PARAMETERS, report);
        }
    }

    /// Control chunks first, then a SACK, then DATA.
    fn write_bundle(&mut self, context: &mut Context<'_>, writer: &mut PacketWriter<'_>) {
        let now = context.now;
        if self.tcb.owed.take(Owed::COOKIE_ACK) {
            let _ = writer.chunk(ChunkType::COOKIE_ACK.0, 0, &[]);
        }
        if self.tcb.state.is_opening() {
            return;
        }
        if self.tcb.owed.take(Owed::SHUTDOWN_ACK) {
            let _ = writer.chunk(ChunkType::SHUTDOWN_ACK.0, 0, &[]);
            return;
        }
        self.write_heartbeat(context, writer);
        let mut sender = Sender::new(&mut self.tcb.sender, self.tx, self.tx_descriptors);
        let mut receiver = Receiver::new(&mut self.tcb.receiver, self.rx, self.rx_descriptors);
        let transfer = &mut self.tcb.transfers[PRIMARY];
        let has_data = self.tcb.state.sends_data() && sender.wants_to_send(transfer);
        let owes_shutdown = self.tcb.owed.take(Owed::SHUTDOWN);
        if owes_shutdown {
            let cumulative = receiver.cumulative().0.to_be_bytes();
            let _ = writer.chunk(ChunkType::SHUTDOWN.0, 0, &[&cumulative]);
            if !receiver.has_gaps_or_duplicates() {
                receiver.settle();
            }
        }
        if receiver.is_sack_due(now) || (has_data && receiver.owes_sack()) {
            let _ = receiver.write_sack(writer);
        }
        if has_data && sender.next_data(now, PRIMARY as u8, transfer, writer) > 0 {
            self.defer_probe(context);
        }
    }

    fn write_heartbeat(&mut self, context: &Context<'_>, writer: &mut PacketWriter<'_>) {
        let Probe::Due { nonce } = self.tcb.paths[PRIMARY].probe else { return };
        if writer.chunk(ChunkType::HEARTBEAT.0, 0, &[&heartbeat_info(nonce)]) {
            let at = context.now;
            let expires = at + self.tcb.transfers[PRIMARY].rto();
            self.tcb.paths[PRIMARY].probe = Probe::Sent { nonce, at, expires };
        }
    }

    /// DATA was sent, so the path is not idle. RFC 9260 §8.3.
    fn defer_probe(&mut self, context: &mut Context<'_>) {
        if matches!(self.tcb.paths[PRIMARY].probe, Probe::Waiting { .. }) {
            self.wait_for_probe(context);
        }
    }
}

/// The parameters of our HEARTBEATs: one, with the nonce.
pub(super) fn heartbeat_info(nonce: u64) -> [u8; 12] {
    let [a, b, c, d, e, f, g, h] = nonce.to_be_bytes();
    [0, 1, 0, 12, a, b, c, d, e, f, g, h]
}
