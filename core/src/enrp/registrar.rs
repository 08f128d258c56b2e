//! The machine: what it keeps, and which procedure takes which input.

use core::net::IpAddr;

use crate::association::{AssociationId, ConnectId, DownReason, Input, Ppid, Transmit};
use crate::entropy::Entropy;
use crate::handlespace::{Handlespace, Storage};
use crate::identifier::RegistrarId;
use crate::machine::Machine;
use crate::time::Instant;
use crate::wire::{AsapMessage, Cause, ParseError};

use super::announce::Announcer;
use super::associations::{self, AddError, Associations};
use super::config::Config;
use super::event::{Counters, Event, InputError, Limit, RemovalReason};
use super::peering::Peering;
use super::ring::Ring;
use super::subscriptions::Subscriptions;
use super::tables::{
    AssociationSlot, AssociationState, EventSlot, HandleBytes, REPLIES_PER_INPUT_MAX, ReplyKind,
    ReplySlot, Tables,
};

/// The smallest buffer for [`poll_transmit`](Machine::poll_transmit) that holds every message
/// but handle resolution responses, which list fewer elements in a smaller buffer.
pub const TRANSMIT_LEN_MIN: usize = 512;

/// RFC 5352 §2.2.14.
const ERROR_MESSAGE_TYPE: u8 = 0x0e;

/// A registrar, alone in its scope or, after
/// [`start_peering`](Registrar::start_peering), one of several.
///
/// Elements and pools live in `storage`, all else in `tables`. Associations are the driver's; the
/// registrar learns of them by [`Input::Up`] and ends them itself when their peers misbehave.
///
/// ```
/// use rserpool_core::association::{AssociationId, Input};
/// use rserpool_core::enrp::{Config, InlineTables, Registrar};
/// use rserpool_core::entropy::SplitMix64;
/// use rserpool_core::handlespace::Inline;
/// use rserpool_core::machine::Machine;
/// use rserpool_core::time::Instant;
///
/// let mut registrar = Registrar::new(
///     Config::default(),
///     Inline::<8, 4, 1, 2>::new(),
///     InlineTables::<4, 4, 4, 2, 16>::new(),
///     SplitMix64::new(1),
/// );
/// let up = Input::Up {
///     association: AssociationId(1),
///     connect: None,
///     peer_addresses: &["10.0.0.1".parse()?],
///     peer_port: 40_000,
/// };
/// registrar.handle_input(Instant::ZERO, up)?;
/// assert!(registrar.poll_transmit(Instant::ZERO, &mut [0; 512]).is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Registrar<S, T, E> {
    pub(super) handlespace: Handlespace<S>,
    pub(super) tables: T,
    pub(super) entropy: E,
    pub(super) config: Config,
    pub(super) identifier: RegistrarId,
    pub(super) counters: Counters,
    pub(super) replies: Ring,
    pub(super) challenge_deadline: Option<Instant>,
    pub(super) announcer: Announcer,
    pub(super) peering: Peering,
    pub(super) subscriptions: Subscriptions,
    associations: Associations,
    events: Ring,
    lost_event_count: u32,
    phase: Phase,
    /// The latest time that anybody named.
    now: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    /// Elements are being handed over to peers.
    HandingOver,
    /// Associations are being shut down.
    Stopping,
    Stopped,
}

impl<S: Storage, T: Tables, E: Entropy> Registrar<S, T, E> {
    /// A registrar that knows nobody yet.
    #[must_use]
    pub fn new(config: Config, storage: S, tables: T, mut entropy: E) -> Self {
        let mut identifier = config.identifier;
        if identifier == RegistrarId::UNKNOWN {
            // RFC 5353 §2.1: random and not zero.
            identifier = RegistrarId(entropy.next_u32().max(1));
        }
        Self {
            handlespace: Handlespace::new(storage),
            tables,
            entropy,
            config,
            identifier,
            counters: Counters::default(),
            replies: Ring::NEW,
            challenge_deadline: None,
            announcer: Announcer::NEW,
            peering: Peering::NEW,
            subscriptions: Subscriptions::NEW,
            associations: Associations::NEW,
            events: Ring::NEW,
            lost_event_count: 0,
            phase: Phase::Running,
            now: Instant::ZERO,
        }
    }

    /// The registrar's identifier.
    #[must_use]
    pub const fn identifier(&self) -> RegistrarId {
        self.identifier
    }

    /// What it was configured with.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// How often things have happened.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The handlespace, to look at.
    #[must_use]
    pub const fn handlespace(&self) -> &Handlespace<S> {
        &self.handlespace
    }

    /// How many associations there are.
    #[must_use]
    pub const fn association_count(&self) -> u32 {
        self.associations.count()
    }

    /// Stops: hands its elements over to peers, if there are any, takes nothing any more and
    /// shuts all associations down. [`Event::Stopped`] tells when the last one is gone.
    pub fn stop(&mut self) {
        if self.phase != Phase::Running {
            return;
        }
        self.phase = Phase::HandingOver;
        self.announcer.stop();
        if !self.begin_hand_over() {
            self.shut_down_all();
        }
    }

    pub(super) fn shut_down_all(&mut self) {
        self.phase = Phase::Stopping;
        self.end_links();
        let slots = self.tables.lend().associations;
        for place in 0..slots.len() {
            if slots[place].state == AssociationState::Up {
                let id = slots[place].id;
                self.associations.end(slots, id, AssociationState::ShutdownOwed);
            }
        }
        self.stopped_if_alone();
    }

    /// Whether [`stop`](Self::stop) has come to its end.
    #[must_use]
    pub const fn is_stopped(&self) -> bool {
        matches!(self.phase, Phase::Stopped)
    }

    pub(super) const fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running)
    }

    pub(super) fn has_association_room(&mut self) -> bool {
        (self.associations.count() as usize) < self.tables.lend().associations.len()
    }

    pub(super) fn shut_down(&mut self, id: AssociationId) {
        let slots = self.tables.lend().associations;
        self.associations.end(slots, id, AssociationState::ShutdownOwed);
    }

    pub(super) fn stopped_if_alone(&mut self) {
        let is_alone = self.associations.count() == 0 && !self.has_links();
        if self.phase == Phase::Stopping && is_alone {
            self.phase = Phase::Stopped;
            self.tell(Event::Stopped);
        }
    }

    /// Time does not run backwards here.
    pub(super) fn advance(&mut self, now: Instant) -> Instant {
        self.now = self.now.max(now);
        self.now
    }

    /// The latest time that anybody named.
    pub(super) const fn now(&self) -> Instant {
        self.now
    }

    /// The association's slot, if it is up.
    pub(super) fn up(&mut self, id: AssociationId) -> Option<&mut AssociationSlot> {
        associations::slot(self.tables.lend().associations, id)
            .filter(|slot| slot.state == AssociationState::Up)
    }

    /// The association's slot, whatever it is doing.
    pub(super) fn association(&mut self, id: AssociationId) -> Option<&mut AssociationSlot> {
        associations::slot(self.tables.lend().associations, id)
    }

    /// Queues a reply. Every caller made sure that there is room: inputs by
    /// `REPLIES_PER_INPUT_MAX`, timeouts by [`has_reply_room`](Self::has_reply_room).
    pub(super) fn reply(&mut self, reply: ReplySlot) {
        let queued = self.replies.push(self.tables.lend().replies, reply);
        debug_assert!(queued, "room for replies is checked before inputs and timeouts are taken");
    }

    pub(super) fn has_reply_room(&mut self, count: usize) -> bool {
        self.replies.free(self.tables.lend().replies) >= count
    }

    pub(super) fn tell(&mut self, event: Event) {
        if !self.events.push(self.tables.lend().events, EventSlot { event }) {
            self.lost_event_count = self.lost_event_count.saturating_add(1);
        }
    }

    /// Tells that a limit was met, and yields the error for it.
    pub(super) fn limited(&mut self, association: AssociationId, limit: Limit) -> InputError {
        self.counters.limited += 1;
        self.tell(Event::Limited { association, limit });
        InputError::Limited(limit)
    }

    /// Aborts an association and removes its elements.
    pub(super) fn abort(&mut self, now: Instant, id: AssociationId, reason: RemovalReason) {
        let slots = self.tables.lend().associations;
        if self.associations.end(slots, id, AssociationState::AbortOwed) {
            self.counters.aborts += 1;
        }
        self.forget_peer(now, id, reason);
    }

    /// Drops what an association is owed and what it has registered.
    fn forget_peer(&mut self, now: Instant, id: AssociationId, reason: RemovalReason) {
        self.replies.for_each(self.tables.lend().replies, |reply| {
            if reply.association == id {
                reply.kind = ReplyKind::None;
            }
        });
        self.drop_challenges_of(id);
        self.unsubscribe(id, None);
        // Each round takes an element off the association.
        while let Some(index) = self.handlespace.first_of(id) {
            if self.handlespace.element(index).home() != self.identifier {
                self.let_go(index);
            } else if self.phase == Phase::HandingOver {
                // It may have left for the home that was suggested, which will tell.
                self.detach(index);
            } else if !self.ask_elsewhere(now, index) {
                self.remove_element(now, index, reason);
            }
        }
    }

    fn on_up(
        &mut self,
        now: Instant,
        id: AssociationId,
        connect: Option<ConnectId>,
        peer_addresses: &[IpAddr],
        peer_port: u16,
    ) -> Result<(), InputError> {
        if self.phase != Phase::Running {
            self.refuse(now, id, connect);
            return Err(InputError::Stopped);
        }
        let slots = self.tables.lend().associations;
        match self.associations.add(slots, id, peer_addresses, peer_port) {
            Ok(()) => {
                if let Some(connect) = connect {
                    if let Some(slot) = self.up(id) {
                        slot.is_own = true;
                    }
                    self.on_adoption_up(now, connect, id);
                }
                Ok(())
            }
            Err(AddError::Known) => Err(InputError::KnownAssociation),
            Err(AddError::Full) => {
                self.refuse(now, id, connect);
                self.counters.aborts += 1;
                Err(self.limited(id, Limit::Associations))
            }
        }
    }

    /// Has the driver abort an association that is not to be, though it may be one that we wanted.
    fn refuse(&mut self, now: Instant, id: AssociationId, connect: Option<ConnectId>) {
        self.reply(ReplySlot { kind: ReplyKind::Abort, association: id, ..ReplySlot::FREE });
        if let Some(connect) = connect {
            self.on_adoption_refused(now, connect);
        }
    }

    fn on_down(
        &mut self,
        now: Instant,
        id: AssociationId,
        reason: DownReason,
    ) -> Result<(), InputError> {
        if self.association(id).is_none() {
            return Err(InputError::UnknownAssociation);
        }
        self.forget_peer(now, id, RemovalReason::AssociationDown(reason));
        self.associations.remove(self.tables.lend().associations, id);
        self.stopped_if_alone();
        Ok(())
    }

    /// The peer has lost its state, and so what it had registered (RFC 9260 §5.2).
    fn on_restarted(&mut self, now: Instant, id: AssociationId) -> Result<(), InputError> {
        if self.up(id).is_none() {
            return Err(InputError::UnknownAssociation);
        }
        self.forget_peer(now, id, RemovalReason::Restarted);
        Ok(())
    }

    fn on_message(
        &mut self,
        now: Instant,
        id: AssociationId,
        ppid: Ppid,
        data: &[u8],
    ) -> Result<(), InputError> {
        if self.up(id).is_none() {
            return Err(InputError::UnknownAssociation);
        }
        if ppid != Ppid::ASAP {
            self.counters.unexpected += 1;
            // As RSPLIB does: a registrar at the wrong port is told; what is of neither protocol
            // is not for us.
            if ppid == Ppid::ENRP {
                self.abort(now, id, RemovalReason::AssociationAborted);
            }
            return Err(InputError::WrongPpid);
        }
        let message = match AsapMessage::parse(data) {
            Ok(message) => message,
            Err(error) => return Err(self.on_malformed(now, id, data, error)),
        };
        self.report_unrecognized(now, id, &message);
        match message {
            AsapMessage::Registration(message) => {
                self.on_registration(now, id, message.pool_handle, message.element)
            }
            AsapMessage::Deregistration(message) => {
                self.on_deregistration(now, id, message.pool_handle, message.pe_id)
            }
            AsapMessage::HandleResolution(message) => self.on_handle_resolution(now, id, &message),
            AsapMessage::EndpointKeepAliveAck(message) => {
                self.on_keep_alive_ack(now, id, message.pool_handle, message.pe_id)
            }
            AsapMessage::EndpointUnreachable(message) => {
                self.on_endpoint_unreachable(now, id, message.pool_handle, message.pe_id)
            }
            AsapMessage::Error(_) => {
                self.counters.errors_received += 1;
                Ok(())
            }
            AsapMessage::Unknown(message) => Err(self.on_unknown(now, id, message)),
            // Known, but nothing that an element or a user sends to a registrar.
            _ => {
                self.counters.unexpected += 1;
                Err(InputError::Unexpected)
            }
        }
    }

    fn on_malformed(
        &mut self,
        now: Instant,
        id: AssociationId,
        data: &[u8],
        error: ParseError<'_>,
    ) -> InputError {
        self.counters.malformed += 1;
        // An Error is never answered by an Error, or two peers could go on for ever.
        let is_error = data.first() == Some(&ERROR_MESSAGE_TYPE);
        if let Some(cause) = error.cause().filter(|_| !is_error) {
            let reply = ReplySlot { kind: ReplyKind::Error, cause, ..ReplySlot::FREE };
            self.reply_error(now, id, reply.with_data(error.bytes));
        }
        InputError::Malformed
    }

    /// Queues an error message, unless the association has had too many.
    pub(super) fn reply_error(&mut self, now: Instant, id: AssociationId, reply: ReplySlot) {
        let limit = self.config.error_rate;
        if self.up(id).is_some_and(|slot| slot.errors.admit(now, limit)) {
            self.reply(ReplySlot { association: id, ..reply });
        } else {
            self.limited(id, Limit::ErrorRate);
        }
    }

    /// Queues the rejection of a request.
    pub(super) fn reject(&mut self, reply: ReplySlot) -> InputError {
        let (association, cause) = (reply.association, reply.cause);
        self.reply(reply);
        self.tell(Event::Rejected { association, cause });
        InputError::Rejected(cause)
    }
}

impl ReplySlot {
    /// A reply about an element.
    pub(super) fn about(
        kind: ReplyKind,
        association: AssociationId,
        pool: HandleBytes,
        element: crate::identifier::PeId,
    ) -> Self {
        Self { kind, association, pool, element, ..Self::FREE }
    }

    /// The same with an error cause.
    pub(super) fn because(self, cause: Cause) -> Self {
        Self { cause, ..self }
    }
}

impl<S: Storage, T: Tables, E: Entropy> Machine for Registrar<S, T, E> {
    type Input<'a> = Input<'a>;
    type Transmit = Transmit;
    type Event = Event;
    type Error = InputError;

    fn handle_input(&mut self, now: Instant, input: Input<'_>) -> Result<(), InputError> {
        let now = self.advance(now);
        let may_reply =
            matches!(input, Input::Up { .. } | Input::UserUp { .. } | Input::Message { .. });
        if may_reply && !self.has_reply_room(REPLIES_PER_INPUT_MAX) {
            return Err(InputError::Busy);
        }
        let result = match input {
            Input::Up { association, connect, peer_addresses, peer_port } => {
                self.on_up(now, association, connect, peer_addresses, peer_port)
            }
            Input::UserUp { association, peer_addresses, peer_port } => {
                let result = self.on_up(now, association, None, peer_addresses, peer_port);
                if result.is_ok()
                    && let Some(slot) = self.up(association)
                {
                    slot.is_user = true;
                }
                result
            }
            Input::Message { association, ppid, data, .. } => {
                self.on_message(now, association, ppid, data)
            }
            Input::Restarted { association } => self.on_restarted(now, association),
            Input::Down { association, reason } => self.on_down(now, association, reason),
            Input::ConnectFailed { connect } => self.on_adoption_failed(now, connect),
            Input::RoundTrip { association, micros } => self.on_round_trip(association, micros),
        };
        self.end_hand_over_if_done();
        result
    }

    fn handle_timeout(&mut self, now: Instant) {
        let now = self.advance(now);
        self.on_challenge_timeouts(now);
        self.on_element_deadlines(now);
        self.on_peer_deadlines(now);
        self.find_subscription_deadline();
        if self.has_joined() {
            self.announcer.handle_timeout(now, &self.config, &mut self.entropy);
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let deadline =
            Instant::earliest(self.handlespace.next_deadline(), self.challenge_deadline);
        // Who is still entering the scope has nothing to offer yet.
        let t6 = self.announcer.poll_timeout().filter(|_| self.has_joined());
        let deadline = Instant::earliest(deadline, t6);
        let deadline = Instant::earliest(deadline, self.subscriptions.deadline);
        Instant::earliest(deadline, self.peering.deadline)
    }

    fn poll_transmit(&mut self, now: Instant, buf: &mut [u8]) -> Option<Transmit> {
        self.advance(now);
        if let Some(transmit) = self.next_reply(buf) {
            return Some(transmit);
        }
        if let Some(transmit) = self.next_keep_alive(buf) {
            return Some(transmit);
        }
        if let Some(transmit) = self.next_adoption() {
            return Some(transmit);
        }
        if let Some(transmit) = self.next_update(buf) {
            return Some(transmit);
        }
        let slots = self.tables.lend().associations;
        match self.associations.next_ending(slots) {
            Some((association, AssociationState::ShutdownOwed)) => {
                Some(Transmit::Shutdown { association })
            }
            Some((association, _)) => Some(Transmit::Abort { association }),
            None => self.announcer.poll_transmit(self.identifier, buf),
        }
    }

    fn poll_event(&mut self) -> Option<Event> {
        if let Some(slot) = self.events.pop(self.tables.lend().events) {
            return Some(slot.event);
        }
        let count = core::mem::take(&mut self.lost_event_count);
        (count > 0).then_some(Event::EventsLost { count })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tables::InlineTables;
    use super::*;
    use crate::association::{ConnectId, StreamId};
    use crate::entropy::SplitMix64;
    use crate::handlespace::Inline;
    use crate::identifier::{PeId, PoolHandle};
    use crate::wire::asap::{HandleResolution, Registration, RegistrationResponse};
    use crate::wire::{
        Layout, Policy, PoolElement, Protocol, RegistrationLife, TransportBuf, TransportUse,
    };

    type Small = Registrar<Inline<4, 2, 1, 1>, InlineTables<2, 4, 2, 1, 3>, SplitMix64>;

    const NOW: Instant = Instant::from_millis(1);
    const ID: AssociationId = AssociationId(7);

    fn small() -> Small {
        let config = Config::default();
        Registrar::new(config, Inline::new(), InlineTables::new(), SplitMix64::new(3))
    }

    fn up(registrar: &mut Small) {
        let peer_addresses = &["10.0.0.1".parse().unwrap()];
        let connect: Option<ConnectId> = None;
        let up = Input::Up { association: ID, connect, peer_addresses, peer_port: 9 };
        registrar.handle_input(NOW, up).unwrap();
    }

    fn hear(registrar: &mut Small, message: AsapMessage<'_>) -> Result<(), InputError> {
        let mut bytes = [0; 256];
        let len = message.emit(&mut bytes).unwrap();
        let (association, stream, ppid) = (ID, StreamId(0), Ppid::ASAP);
        let data = &bytes[..len];
        registrar.handle_input(NOW, Input::Message { association, stream, ppid, data })
    }

    fn register(registrar: &mut Small, pe_id: u32) -> Result<(), InputError> {
        let address = "10.0.0.1".parse().unwrap();
        let (protocol, control) = (Protocol::Sctp, TransportUse::DataPlusControl);
        let transport = TransportBuf::<16>::new(protocol, 4_000, control, &[address]).unwrap();
        let element = PoolElement {
            id: PeId(pe_id),
            home: RegistrarId::UNKNOWN,
            registration_life: RegistrationLife(90_000),
            user_transport: transport.as_transport(),
            policy: Policy::RoundRobin,
            asap_transport: None,
            layout: Layout::OURS,
        };
        let pool = PoolHandle::new(b"Pool").unwrap();
        hear(registrar, AsapMessage::Registration(Registration::new(pool, element)))
    }

    #[test]
    fn an_identifier_is_drawn_and_is_not_zero() {
        assert_ne!(small().identifier(), RegistrarId::UNKNOWN);
    }

    #[test]
    fn a_small_registrar_registers_resolves_and_forgets() {
        let mut registrar = small();
        let mut buf = [0; TRANSMIT_LEN_MIN];
        up(&mut registrar);
        register(&mut registrar, 1).unwrap();
        let Some(Transmit::Message { association: ID, len, .. }) =
            registrar.poll_transmit(NOW, &mut buf)
        else {
            panic!("no response")
        };
        let pool = PoolHandle::new(b"Pool").unwrap();
        let granted = RegistrationResponse::granted(pool, PeId(1));
        let response = AsapMessage::parse(&buf[..len]).unwrap();
        assert_eq!(response, AsapMessage::RegistrationResponse(granted));
        let resolution = HandleResolution::new(pool, None);
        hear(&mut registrar, AsapMessage::HandleResolution(resolution)).unwrap();
        let Some(Transmit::Message { len, .. }) = registrar.poll_transmit(NOW, &mut buf) else {
            panic!("no response")
        };
        let AsapMessage::HandleResolutionResponse(response) =
            AsapMessage::parse(&buf[..len]).unwrap()
        else {
            panic!("another response")
        };
        assert_eq!(response.elements.iter().next().unwrap().id, PeId(1));
        let down = Input::Down { association: ID, reason: DownReason::Lost };
        registrar.handle_input(NOW, down).unwrap();
        assert_eq!(registrar.handlespace().element_count(), 0);
        assert_eq!(registrar.poll_timeout(), None);
    }

    #[test]
    fn events_that_nobody_takes_are_counted() {
        let mut registrar = small();
        up(&mut registrar);
        for pe_id in 1..=4 {
            register(&mut registrar, pe_id).unwrap();
            while registrar.poll_transmit(NOW, &mut [0; TRANSMIT_LEN_MIN]).is_some() {}
        }
        // A pool and four elements, and room for three.
        assert!(matches!(registrar.poll_event(), Some(Event::PoolCreated { .. })));
        for _ in 0..2 {
            assert!(matches!(registrar.poll_event(), Some(Event::ElementRegistered { .. })));
        }
        assert_eq!(registrar.poll_event(), Some(Event::EventsLost { count: 2 }));
        assert_eq!(registrar.poll_event(), None);
    }

    #[test]
    fn what_does_not_fit_the_buffer_is_dropped_and_counted() {
        let mut registrar = small();
        up(&mut registrar);
        register(&mut registrar, 1).unwrap();
        assert_eq!(registrar.poll_transmit(NOW, &mut [0; 8]), None);
        assert_eq!(registrar.counters().unsendable, 1);
    }

    /// Says all that it has to say: to whom and of which type.
    fn said<S: Storage, T: Tables>(
        registrar: &mut Registrar<S, T, SplitMix64>,
    ) -> std::vec::Vec<(u32, u8)> {
        let mut buf = [0; TRANSMIT_LEN_MIN];
        let mut said = std::vec::Vec::new();
        while let Some(transmit) = registrar.poll_transmit(NOW, &mut buf) {
            let Transmit::Message { association, .. } = transmit else {
                panic!("{transmit:?}");
            };
            said.push((association.0, buf[0]));
        }
        said
    }

    #[test]
    fn one_input_causes_no_more_replies_than_there_is_room_for() {
        let tables = InlineTables::<2, REPLIES_PER_INPUT_MAX, 2, 1, 8>::new();
        let config = Config::new(crate::profile::Profile::Rfc);
        let mut registrar =
            Registrar::new(config, Inline::<4, 2, 1, 1>::new(), tables, SplitMix64::new(3));
        for id in [1, 2] {
            let up = Input::Up {
                association: AssociationId(id),
                connect: None,
                peer_addresses: &["10.0.0.1".parse().unwrap()],
                peer_port: 9,
            };
            registrar.handle_input(NOW, up).unwrap();
        }
        let mut hear = |id, data: &[u8]| {
            let (association, stream, ppid) = (AssociationId(id), StreamId(0), Ppid::ASAP);
            let input = Input::Message { association, stream, ppid, data };
            registrar.handle_input(NOW, input).unwrap();
            said(&mut registrar)
        };
        let plain = *b"\x01\0\0\x34\0\x09\0\x08Pool\0\x0a\0\x28\0\0\0\x01\0\0\0\0\0\0\0\x5a\
            \0\x04\0\x10\x0f\xa0\0\x01\0\x01\0\x08\x0a\0\0\x01\0\x08\0\x08\0\0\0\x01";
        assert_eq!(hear(1, &plain), [(1, 3)]);
        // The identifier is taken: its holder is asked whether it is alive.
        assert_eq!(hear(2, &plain), [(1, 7)]);
        // It registers anew, with a parameter that it wants to hear about if nobody knows it: an
        // error and a response to it, and a response to whoever wanted its identifier.
        let mut odd = plain.to_vec();
        odd.extend(*b"\xc0\x99\0\x04");
        odd[3] += 4;
        assert_eq!(hear(1, &odd), [(1, 14), (2, 3), (1, 3)]);
    }
}
