//! Packets that an association owes, built when they are pulled.

use core::net::IpAddr;

use super::handshake::tlv_header;
use super::own::OwnAddresses;
use super::path::place;
use super::{Association, Owed, State};
use crate::sctp::endpoint::{Context, Route};
use crate::sctp::packet::{Cause, ChunkType, CommonHeader, Init, PacketWriter, ParameterType};
use crate::sctp::transfer::{Receiver, Sender};
use crate::sctp::types::Packet;
use crate::time::Instant;

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
        let index = self.next_path(context.now);
        if !cfg!(feature = "small") && self.owes_nothing(context.now, index) {
            return None;
        }
        let config = &context.shared.config;
        let chunks_len = self.tcb.chunks_len_max(config, index);
        let probe_len = self.tcb.probe_len(index);
        let may_fragment = probe_len.is_none() && config.may_fragment(self.tcb.mtu(config, index));
        let room_len = probe_len.unwrap_or(chunks_len);
        if let Some(packet) = self.transmit_up_to(context, index, buf, room_len) {
            return Some(Packet { may_fragment, ..packet });
        }
        let size = self.oversize(index, chunks_len)?;
        let packet = self.transmit_up_to(context, index, buf, size)?;
        Some(Packet { may_fragment: true, ..packet })
    }

    /// Whether an established association has no packet for the path: drivers ask until then.
    fn owes_nothing(&mut self, now: Instant, index: usize) -> bool {
        self.tcb.state == State::Established
            && self.tcb.owed == Owed::NOTHING
            && !self.tcb.path(index).probe.is_due()
            && !self.receiver().is_sack_due(now)
            && !self.wants_to_send(index)
    }

    /// The path of the next packet: the cookie's for a COOKIE ACK; a probe's own; another than
    /// before for what was lost; the one that data came by for a SACK that has nothing to go with.
    /// RFC 9260 §6.4.
    fn next_path(&mut self, now: Instant) -> usize {
        let active = self.tcb.active();
        if self.tcb.path_count() == 1 {
            return active;
        }
        if self.tcb.owed.has(Owed::COOKIE_ACK) {
            return usize::from(self.tcb.source);
        }
        if self.tcb.owed != Owed::NOTHING {
            return active;
        }
        if let Some(index) = self.path_to_probe() {
            return index;
        }
        let (detour, source) = (usize::from(self.tcb.detour), usize::from(self.tcb.source));
        if !self.sender().has_lost() {
            self.tcb.detour = self.tcb.active;
        }
        let sends_data = self.tcb.state.sends_data();
        if sends_data && self.wants_to_send(detour) {
            return detour;
        }
        let has_data = sends_data && self.wants_to_send(active);
        // Whatever is thought of the path: data just came by it.
        let may_answer = self.tcb.path(source).is_confirmed;
        let is_sack_alone = !has_data && !self.tcb.path(active).probe.is_due();
        if is_sack_alone && may_answer && self.receiver().is_sack_due(now) {
            return source;
        }
        active
    }

    /// Writes what is owed behind the `len` bytes of chunks in `buf`, which go to `remote`; how
    /// many there are then.
    pub(in crate::sctp) fn transmit_behind(
        &mut self,
        context: &mut Context<'_>,
        remote: IpAddr,
        buf: &mut [u8],
        len: usize,
    ) -> usize {
        let Some(index) = self.tcb.path_to(remote) else { return len };
        // A padded HEARTBEAT must have all of its packet to be as long as it says.
        if self.tcb.probe_len(index).is_some() {
            return len;
        }
        let chunks_len = self.tcb.chunks_len_max(&context.shared.config, index);
        let end = buf.len().min(CommonHeader::LEN + chunks_len);
        let room = buf.get_mut(CommonHeader::LEN + len..end);
        let (Some(room), State::Established) = (room, self.tcb.state) else { return len };
        let mut writer = PacketWriter::new(room);
        self.write_bundle(context, index, &mut writer);
        len + writer.len()
    }

    /// Writes a packet for a path, with at most `chunks_len` bytes of chunks.
    fn transmit_up_to(
        &mut self,
        context: &mut Context<'_>,
        index: usize,
        buf: &mut [u8],
        chunks_len: usize,
    ) -> Option<Packet> {
        let end = buf.len().min(CommonHeader::LEN + chunks_len);
        let mut writer = PacketWriter::new(buf.get_mut(CommonHeader::LEN..end)?);
        let route = self.tcb.route_by(index);
        let route = if self.tcb.owed.take(Owed::INIT) {
            self.write_init(context, index, &mut writer);
            // RFC 9260 §8.5.1 A.
            Route { tag: 0, ..route }
        } else if self.tcb.owed.has(Owed::COOKIE_ECHO) {
            if self.write_cookie_echo(&mut writer) {
                self.tcb.owed.take(Owed::COOKIE_ECHO);
            }
            route
        } else {
            self.write_bundle(context, index, &mut writer);
            route
        };
        let len = writer.len();
        if len == 0 {
            return None;
        }
        route.finish(buf, len)
    }

    fn write_init(&mut self, context: &Context<'_>, index: usize, writer: &mut PacketWriter<'_>) {
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
        let path = self.tcb.path(index);
        let own = OwnAddresses::for_peer(&context.shared.addresses, path.remote, |_| true);
        let (addresses, kinds) = (own.parameters(), own.kinds(path.remote));
        let header = tlv_header(ParameterType::SUPPORTED_ADDRESS_TYPES, kinds.len());
        let parts: &[&[u8]] = &[&init.fixed_bytes(), &addresses, &header, &kinds];
        let _ = writer.chunk(ChunkType::INIT.0, 0, parts);
    }

    fn write_cookie_echo(&mut self, writer: &mut PacketWriter<'_>) -> bool {
        let (cookie_len, report_len) =
            (usize::from(self.tcb.cookie_len), usize::from(self.tcb.report_len));
        let (cookie, rest) = self.rx.split_at(cookie_len);
        let is_written = writer.chunk(ChunkType::COOKIE_ECHO.0, 0, &[cookie]);
        if is_written && report_len > 0 {
            let report = &rest[..report_len];
            let _ = writer.cause(ChunkType::ERROR, 0, Cause::UNRECOGNIZED_PARAMETERS, report);
        }
        is_written
    }

    /// Control chunks first, then a SACK, then DATA.
    fn write_bundle(
        &mut self,
        context: &mut Context<'_>,
        index: usize,
        writer: &mut PacketWriter<'_>,
    ) {
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
        let is_padded = self.tcb.probe_len(index).is_some();
        let is_probe = self.write_heartbeat(context, index, writer);
        if is_padded {
            writer.pad();
            return;
        }
        // What only asks whether a path works takes nothing along that should arrive.
        if is_probe && !self.tcb.needs(index) && !self.tcb.path(index).is_usable() {
            return;
        }
        // RFC 9260 §5.4: nothing else goes to an address that is not confirmed.
        if !self.tcb.path(index).is_confirmed {
            return;
        }
        let has_data = self.tcb.state.sends_data() && self.wants_to_send(index);
        let mut sender = Sender::new(&mut self.tcb.sender, self.tx, self.tx_descriptors);
        let mut receiver = Receiver::new(&mut self.tcb.receiver, self.rx, self.rx_descriptors);
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
        let is_active = index == usize::from(self.tcb.active);
        let transfer = &mut self.tcb.transfers[place(index)];
        if has_data && sender.next_data(now, (index as u8, is_active), transfer, writer) > 0 {
            self.note_sent(index, writer.len());
            self.defer_probe(context, index);
        }
    }

    /// Whether a packet on a path could carry DATA now. What was lost goes first, and alone it
    /// may take another path than the one in use.
    pub(super) fn wants_to_send(&mut self, index: usize) -> bool {
        let (active, detour) = (self.tcb.active(), usize::from(self.tcb.detour));
        let sender = Sender::new(&mut self.tcb.sender, self.tx, self.tx_descriptors);
        let wanted = if sender.has_lost() { detour } else { active };
        index == wanted && sender.wants_to_send(&self.tcb.transfers[place(index)])
    }
}
