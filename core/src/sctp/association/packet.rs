//! Chunks that come in for an association (RFC 9260 §6, §8.5).

use super::{Association, Events, State};
use crate::sctp::endpoint::Context;
use crate::sctp::packet::{
    Cause, Chunk, ChunkType, Chunks, DataChunk, PacketWriter, RawChunk, Sack, UnknownAction,
};
use crate::sctp::serial::Tsn;
use crate::sctp::transfer::{DataOutcome, NeverSent, SackOutcome, Sender};
use crate::sctp::types::InputError;

/// What a chunk asks of the walk through its packet.
enum Walk {
    On,
    Stop,
}

impl Association<'_> {
    /// Takes in a packet with verification tag `tag`.
    ///
    /// # Errors
    ///
    /// If it was dropped; [`InputError::OutOfTheBlue`] asks to treat it as a stranger's.
    pub(in crate::sctp) fn on_packet(
        &mut self,
        context: &mut Context<'_>,
        tag: u32,
        mut chunks: Chunks<'_>,
    ) -> Result<(), InputError> {
        let rest = chunks;
        let first = chunks.next().ok_or(InputError::Malformed)?;
        let is_alone = chunks.next().is_none();
        // RFC 9260 §8.5.1 A.
        if tag == 0 {
            return match Chunk::parse(first) {
                Chunk::Init(init) if is_alone => self.on_init(context, &init),
                _ => Err(InputError::WrongTag),
            };
        }
        if rest.contain(ChunkType::ABORT) {
            return self.on_packet_with_abort(context, tag, rest);
        }
        match ChunkType(first.kind) {
            ChunkType::COOKIE_ECHO => {
                let cookie = context.open_cookie(
                    first.value,
                    (self.tcb.local_port, self.tcb.remote_port),
                    tag,
                );
                self.on_cookie_echo(context, &cookie.ok_or(InputError::OutOfPlace)?)?;
            }
            // RFC 9260 §8.5.1 E.
            ChunkType::SHUTDOWN_ACK if self.tcb.state.is_opening() => {
                return Err(InputError::OutOfTheBlue);
            }
            // RFC 9260 §8.5.1 C.
            ChunkType::SHUTDOWN_COMPLETE => {
                let expected =
                    if first.flags & 1 == 0 { self.tcb.own_tag } else { self.tcb.peer_tag };
                if tag != expected {
                    return Err(InputError::WrongTag);
                }
                // RFC 9260 §6.10.
                if !is_alone {
                    return Err(InputError::OutOfPlace);
                }
                return self.on_shutdown_complete(context);
            }
            _ => {}
        }
        // RFC 9260 §6.10.
        if !is_alone && rest.contain(ChunkType::INIT_ACK) {
            return Err(InputError::OutOfPlace);
        }
        if tag != self.tcb.own_tag {
            return Err(InputError::WrongTag);
        }
        self.follow(context.source);
        self.on_chunks(context, rest)
    }

    /// RFC 9260 §8.5.1 B: nothing else in the packet counts.
    fn on_packet_with_abort(
        &mut self,
        context: &mut Context<'_>,
        tag: u32,
        chunks: Chunks<'_>,
    ) -> Result<(), InputError> {
        for raw in chunks {
            let Chunk::Abort { reflected, causes } = Chunk::parse(raw) else { continue };
            let expected = if reflected { self.tcb.peer_tag } else { self.tcb.own_tag };
            if tag != expected {
                return Err(InputError::WrongTag);
            }
            self.on_abort(context, reflected, causes);
            break;
        }
        Ok(())
    }

    pub(super) fn on_chunks(
        &mut self,
        context: &mut Context<'_>,
        chunks: Chunks<'_>,
    ) -> Result<(), InputError> {
        let mut has_data = false;
        let mut result = Ok(());
        for raw in chunks {
            // RFC 9260 §12.3: an INIT in company, or with a tag, hides what follows it.
            if ChunkType(raw.kind) == ChunkType::INIT {
                break;
            }
            has_data |= ChunkType(raw.kind) == ChunkType::DATA;
            match self.on_chunk(context, raw) {
                Ok(Walk::Stop) => break,
                Ok(Walk::On) => {}
                // A chunk out of place takes nothing away from those that follow it.
                Err(error) => result = Err(error),
            }
            if self.tcb.state == State::Closed {
                break;
            }
        }
        if has_data && self.tcb.state.takes_data() {
            self.on_data_end(context);
        }
        // RFC 9260 §9.2: any packet shows that the peer is busy with the shutdown.
        if self.tcb.state == State::ShutdownSent {
            self.tcb.control_count = 0;
        }
        result
    }

    fn on_chunk(
        &mut self,
        context: &mut Context<'_>,
        raw: RawChunk<'_>,
    ) -> Result<Walk, InputError> {
        match Chunk::parse(raw) {
            Chunk::Data(data) => self.on_data(context, &data),
            Chunk::Sack(sack) if self.tcb.state.sends_data() => self.on_sack(context, &sack),
            Chunk::InitAck(init) => self.on_init_ack(context, &init)?,
            Chunk::CookieAck => self.on_cookie_ack(context)?,
            Chunk::Heartbeat(value) => self.on_heartbeat(context, value),
            Chunk::HeartbeatAck(value) => self.on_heartbeat_ack(context, value),
            Chunk::Shutdown { cumulative } => self.on_shutdown(context, cumulative),
            Chunk::ShutdownAck => self.on_shutdown_ack(context),
            Chunk::Error { mut causes } => {
                if causes.any(|cause| Cause(cause.kind) == Cause::STALE_COOKIE) {
                    self.on_stale_cookie(context);
                }
            }
            Chunk::Unknown(raw) => return Ok(self.on_unknown(context, raw)),
            // The cookie was dealt with, if it was the first chunk. The others are out of place.
            Chunk::Init(_)
            | Chunk::CookieEcho
            | Chunk::ShutdownComplete
            | Chunk::Abort { .. }
            | Chunk::Sack(_)
            | Chunk::Malformed => {}
        }
        Ok(Walk::On)
    }

    /// RFC 9260 §3.2.
    fn on_unknown(&mut self, context: &mut Context<'_>, raw: RawChunk<'_>) -> Walk {
        let action = UnknownAction::from_bits(raw.kind >> 6);
        if action.reports() && self.tcb.peer_tag != 0 {
            self.push_error(context, Cause::UNRECOGNIZED_CHUNK, raw.bytes);
        }
        if action.stops() { Walk::Stop } else { Walk::On }
    }

    /// Answers with an ERROR whose cause is cut to what a packet can carry.
    fn push_error(&self, context: &mut Context<'_>, cause: Cause, info: &[u8]) {
        let route = self.tcb.route_to(context.source);
        let index = self.tcb.path_to(route.remote).unwrap_or(self.tcb.active());
        let chunks_len = self.tcb.chunks_len_max(&context.shared.config, index);
        context.shared.replies.push_error(&route, chunks_len, cause, info);
    }

    /// RFC 9260 §8.3: the answer goes where the question came from.
    fn on_heartbeat(&mut self, context: &mut Context<'_>, value: &[u8]) {
        if self.tcb.peer_tag == 0 {
            return;
        }
        let route = self.tcb.route_to(context.source);
        let mut write =
            |writer: &mut PacketWriter<'_>| writer.chunk(ChunkType::HEARTBEAT_ACK.0, 0, &[value]);
        context.shared.replies.push(&route, &mut write);
    }

    fn on_data(&mut self, context: &mut Context<'_>, data: &DataChunk<'_>) {
        if !self.tcb.state.takes_data() {
            return;
        }
        self.tcb.note_source(context.source);
        match self.receiver().on_data(data) {
            DataOutcome::Accepted | DataOutcome::Duplicate | DataOutcome::NoRoom => {}
            // RFC 9260 §6.5.
            DataOutcome::NoSuchStream => {
                let [s0, s1] = data.stream.to_be_bytes();
                self.push_error(context, Cause::INVALID_STREAM, &[s0, s1, 0, 0]);
            }
            // RFC 9260 §6.2.
            DataOutcome::NoUserData => {
                self.abort_with(context, Cause::NO_USER_DATA, &data.tsn.0.to_be_bytes());
            }
            DataOutcome::NeverFits => {
                self.abort_with(context, Cause::OUT_OF_RESOURCE, &[]);
            }
            DataOutcome::Violation => {
                self.abort_with(context, Cause::PROTOCOL_VIOLATION, &[]);
            }
        }
    }

    fn on_data_end(&mut self, context: &mut Context<'_>) {
        let parameters = &context.shared.parameters;
        let now = context.now;
        let mut receiver = self.receiver();
        receiver.on_packet_end(now, parameters);
        if receiver.is_readable() {
            self.tcb.events.add(Events::READABLE);
        }
        // RFC 9260 §9.2.
        if self.tcb.state == State::ShutdownSent {
            let mut receiver = self.receiver();
            if receiver.has_gaps_or_duplicates() {
                receiver.demand_sack();
            }
            self.tcb.owed.add(super::Owed::SHUTDOWN);
            self.start_control(context);
        }
    }

    fn on_sack(&mut self, context: &mut Context<'_>, sack: &Sack<'_>) {
        let parameters = &context.shared.parameters;
        let mut sender = Sender::new(&mut self.tcb.sender, self.tx, self.tx_descriptors);
        let outcome = sender.on_sack(context.now, sack, parameters, &mut self.tcb.transfers);
        if self.on_acked(context, outcome) {
            self.advance_shutdown(context);
        }
    }

    /// The peer has all up to `cumulative`; false if that ended the association.
    pub(super) fn on_cumulative(&mut self, context: &mut Context<'_>, cumulative: Tsn) -> bool {
        let parameters = &context.shared.parameters;
        let mut sender = Sender::new(&mut self.tcb.sender, self.tx, self.tx_descriptors);
        let transfers = &mut self.tcb.transfers;
        let outcome = sender.on_cumulative(context.now, cumulative, parameters, transfers);
        self.on_acked(context, Ok(outcome))
    }

    fn on_acked(
        &mut self,
        context: &mut Context<'_>,
        outcome: Result<SackOutcome, NeverSent>,
    ) -> bool {
        let Ok(outcome) = outcome else {
            self.abort_with(context, Cause::PROTOCOL_VIOLATION, &[]);
            return false;
        };
        if outcome.acked_paths != 0 {
            self.tcb.error_count = 0;
        }
        for index in 0..self.tcb.path_count() {
            if outcome.proven_paths & (1 << index) != 0 {
                self.clear_errors(index);
            }
            if outcome.acked_paths & (1 << index) != 0 {
                let acked_len = self.tcb.transfer(index).acked_len();
                self.on_mtu_answer(context, index, if outcome.advanced { acked_len } else { 0 });
            }
        }
        if outcome.advanced {
            self.tcb.stall_count = 0;
            self.notice_room(&context.shared.config);
        }
        true
    }
}
