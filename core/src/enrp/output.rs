//! Handle resolution, and the bytes of replies: both are decided when a reply is drained. Read
//! RFC 5352 §3.3 (and §2.2.14 for errors) before editing.

use crate::association::{AssociationId, Ppid, StreamId, Transmit};
use crate::entropy::Entropy;
use crate::handlespace::{ResolveError, Storage};
use crate::identifier::PoolHandle;
use crate::time::Instant;
use crate::wire::asap::{
    AsapMessage, DeregistrationResponse, Error, HandleResolution, HandleResolutionResponse,
    HandleResolutionResponseBuilder, RegistrationResponse,
};
use crate::wire::{Cause, EmitError, Layout, OperationError, UnknownMessage};

use super::config::HANDLE_RESOLUTION_ITEMS_MAX;
use super::event::{Event, InputError, Limit};
use super::registrar::Registrar;
use super::tables::{HandleBytes, REPORTED_LEN_MAX, ReplyKind, ReplySlot, Tables};

impl<S: Storage, T: Tables, E: Entropy> Registrar<S, T, E> {
    pub(super) fn on_handle_resolution(
        &mut self,
        now: Instant,
        id: AssociationId,
        message: &HandleResolution<'_>,
    ) -> Result<(), InputError> {
        let limit = self.config.handle_resolution_rate;
        let slot = self.up(id).ok_or(InputError::UnknownAssociation)?;
        let is_within = slot.handle_resolutions.admit(now, limit);
        let reply = ReplySlot {
            kind: ReplyKind::HandleResolution,
            association: id,
            pool: HandleBytes::new(message.pool_handle),
            subscribe: message.subscribe,
            items: match message.items {
                None | Some(0) => self.config.handle_resolution_items,
                Some(items) => items,
            }
            .clamp(1, HANDLE_RESOLUTION_ITEMS_MAX),
            ..ReplySlot::FREE
        };
        if !is_within {
            self.counters.handle_resolutions_rejected += 1;
            let kind = ReplyKind::HandleResolutionRejected;
            let cause = Cause::LACK_OF_RESOURCES;
            let _ = self.reject(ReplySlot { kind, cause, ..reply });
            return Err(self.limited(id, Limit::HandleResolutionRate));
        }
        self.reply(reply);
        Ok(())
    }

    /// Reports the parameters of a message that were skipped but are to be reported (RFC 5354
    /// §3).
    pub(super) fn report_unrecognized(
        &mut self,
        now: Instant,
        id: AssociationId,
        message: &AsapMessage<'_>,
    ) {
        let mut reply = ReplySlot { kind: ReplyKind::UnrecognizedParameters, ..ReplySlot::FREE };
        let mut len = 0;
        for parameter in message.unrecognized() {
            let Some(place) = reply.data.get_mut(len..len + parameter.len()) else {
                break;
            };
            place.copy_from_slice(parameter);
            // What is behind the last one is zero, and so is the padding.
            len = (len + parameter.len()).next_multiple_of(4).min(REPORTED_LEN_MAX);
        }
        reply.data_len = len as u16;
        let is_error = matches!(message, AsapMessage::Error(_));
        if message.unrecognized().next().is_some() && !is_error {
            self.reply_error(now, id, reply);
        }
    }

    /// A message of an unknown type is reported if its type asks for it (RFC 5354 §4).
    pub(super) fn on_unknown(
        &mut self,
        now: Instant,
        id: AssociationId,
        message: UnknownMessage<'_>,
    ) -> InputError {
        self.counters.unexpected += 1;
        if let Some(error) = message.operation_error() {
            let cause = error.cause();
            let reply = ReplySlot { kind: ReplyKind::Error, cause, ..ReplySlot::FREE };
            self.reply_error(now, id, reply.with_data(message.bytes));
        }
        InputError::Unexpected
    }

    /// The next reply that can be sent.
    pub(super) fn next_reply(&mut self, buf: &mut [u8]) -> Option<Transmit> {
        // Each round takes a reply off the queue.
        while let Some(reply) = self.replies.pop(self.tables.lend().replies) {
            let association = reply.association;
            match reply.kind {
                // Its association is gone.
                ReplyKind::None => continue,
                ReplyKind::Abort => return Some(Transmit::Abort { association }),
                _ => {}
            }
            let Ok(len) = self.emit(&reply, buf) else {
                self.counters.unsendable += 1;
                continue;
            };
            let (stream, ppid) = (StreamId(0), Ppid::ASAP);
            return Some(Transmit::Message { association, stream, ppid, len });
        }
        None
    }

    fn emit(&mut self, reply: &ReplySlot, buf: &mut [u8]) -> Result<usize, EmitError> {
        let error = OperationError::new(reply.cause, reply.data());
        match (reply.kind, reply.pool.as_handle()) {
            (ReplyKind::Registered, Some(pool)) => {
                RegistrationResponse::granted(pool, reply.element).emit(buf)
            }
            (ReplyKind::RegistrationRejected, Some(pool)) => {
                RegistrationResponse::refused(pool, reply.element, error).emit(buf)
            }
            (ReplyKind::Deregistered, Some(pool)) => {
                DeregistrationResponse::new(pool, reply.element).emit(buf)
            }
            (ReplyKind::DeregistrationRejected, Some(pool)) => {
                let response = DeregistrationResponse::new(pool, reply.element);
                DeregistrationResponse { error: Some(error), ..response }.emit(buf)
            }
            (ReplyKind::HandleResolution, Some(pool)) => self.emit_resolution(reply, pool, buf),
            (ReplyKind::HandleResolutionRejected, Some(pool)) => {
                HandleResolutionResponse::refused(pool, error).emit(buf)
            }
            (ReplyKind::UnrecognizedParameters, _) => {
                let parameters = Layout(Some(reply.data())).unrecognized(0);
                let unspecified = OperationError::new(Cause::UNRECOGNIZED_PARAMETER, &[]);
                let error = OperationError::unrecognized(parameters).unwrap_or(unspecified);
                self.emit_error(error, buf)
            }
            (ReplyKind::Error, _) => self.emit_error(error, buf),
            _ => Err(EmitError::Full),
        }
    }

    fn emit_error(
        &mut self,
        error: OperationError<'_>,
        buf: &mut [u8],
    ) -> Result<usize, EmitError> {
        self.counters.errors_sent += 1;
        Error::new(error).emit(buf)
    }

    /// Selects elements and lists them, as many as are wanted and fit. The policy at the head is
    /// the first element's, as RSPLIB wants it.
    fn emit_resolution(
        &mut self,
        reply: &ReplySlot,
        pool: PoolHandle<'_>,
        buf: &mut [u8],
    ) -> Result<usize, EmitError> {
        let mut response = HandleResolutionResponseBuilder::new(buf, pool)?;
        let mut has_policy = false;
        let items = reply.items as usize;
        // Whoever asks without subscribing wants no more updates.
        let is_subscribed = match reply.subscribe {
            true => self.subscribe(reply.association, reply.pool, reply.items),
            false => {
                self.unsubscribe(reply.association, Some(&reply.pool));
                false
            }
        };
        response.accept(is_subscribed);
        let selected = self.handlespace.resolve(pool, items, &mut self.entropy, |view| {
            has_policy = has_policy || response.policy(view.policy()).is_ok();
            has_policy && response.element(&view.to_wire(false)).is_ok()
        });
        let len = response.finish();
        let cause = match selected {
            // The buffer has no room for a single one.
            Ok(0) => Cause::LACK_OF_RESOURCES,
            Ok(_) => {
                self.counters.handle_resolutions += 1;
                return Ok(len);
            }
            Err(ResolveError::UnknownPool) => Cause::UNKNOWN_POOL_HANDLE,
            Err(ResolveError::NothingSelectable) => Cause::LACK_OF_RESOURCES,
        };
        if is_subscribed {
            self.unsubscribe(reply.association, Some(&reply.pool));
        }
        self.counters.handle_resolutions_rejected += 1;
        self.tell(Event::Rejected { association: reply.association, cause });
        HandleResolutionResponse::refused(pool, OperationError::new(cause, &[])).emit(buf)
    }
}
