//! The guest: a machine that asks a registrar for all that it knows, and leaves.
//!
//! ```text
//! Connecting --up--> Asking --all told, or refused--> Leaving --down--> Gone
//!      |                +--------------down----------------------------->
//!      +--failed------------------------------------------------------->
//! ```

use std::time::Duration;

use rserpool_core::association::{
    AssociationId, ConnectId, Endpoint, Input, Ppid, StreamId, Transmit,
};
use rserpool_core::enrp::InputError;
use rserpool_core::identifier::RegistrarId;
use rserpool_core::machine::Machine;
use rserpool_core::time::Instant;
use rserpool_core::wire::enrp::{
    EnrpMessage, HandleTableRequest, HandleTableResponse, InitTakeoverAck, ListRequest,
    ListResponse, Presence,
};
use rserpool_core::wire::{
    EmitError, PeChecksum, Protocol, ServerInformation, TransportBuf, TransportUse,
};

use super::table::{DumpedElement, DumpedPeer, HandlespaceDump};

/// The most bytes of a message of a guest.
pub(super) const MESSAGE_LEN_MAX: usize = 512;

/// How it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// All is told.
    Told,
    NoAnswer,
    Ended,
    Silent,
    Refused,
    Misbehaves(&'static str),
    TooMany(usize),
}

/// A guest of a scope.
#[derive(Debug)]
pub(super) struct Guest {
    identifier: RegistrarId,
    own: Endpoint,
    registrar: Endpoint,
    state: State,
    owes: u16,
    /// Whose takeover of whom it is not in the way of.
    ack_owed: Option<RegistrarId>,
    has_table: bool,
    has_list: bool,
    has_presence: bool,
    /// When it does without what is not told: the list, and the presence.
    enough_at: Option<Instant>,
    end: Option<End>,
    dump: HandlespaceDump,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Connecting {
        is_owed: bool,
    },
    Asking {
        association: AssociationId,
    },
    /// `Down` is still to come.
    Leaving {
        association: AssociationId,
        is_owed: bool,
    },
    Gone,
}

impl Guest {
    /// A guest that calls itself `identifier`, reached at `own`, at `registrar`.
    pub(super) fn new(identifier: RegistrarId, own: Endpoint, registrar: Endpoint) -> Self {
        Self {
            identifier,
            own,
            registrar,
            state: State::Connecting { is_owed: true },
            owes: 0,
            ack_owed: None,
            has_table: false,
            has_list: false,
            has_presence: false,
            enough_at: None,
            end: None,
            dump: HandlespaceDump::default(),
        }
    }

    /// What was told.
    pub(super) fn into_dump(self) -> HandlespaceDump {
        self.dump
    }

    /// Whether nothing is left to do.
    pub(super) fn is_gone(&self) -> bool {
        self.state == State::Gone
    }

    /// Takes leave.
    pub(super) fn leave(&mut self, end: End) {
        let (state, debt) = match self.state {
            State::Asking { association } => (State::Leaving { association, is_owed: true }, 0),
            State::Connecting { is_owed: true } => (State::Gone, 0),
            State::Connecting { is_owed: false } => (State::Gone, owes::CANCEL),
            State::Leaving { .. } | State::Gone => return,
        };
        (self.state, self.owes) = (state, debt);
        (self.end, self.enough_at) = (Some(end), None);
    }

    /// There is no association, and there will be none.
    fn on_gone(&mut self, end: End) {
        if matches!(self.state, State::Connecting { .. } | State::Asking { .. }) {
            self.end = Some(end);
        }
        (self.state, self.owes, self.enough_at) = (State::Gone, 0, None);
    }

    fn on_message(&mut self, now: Instant, data: &[u8]) -> Result<(), InputError> {
        let Ok(message) = EnrpMessage::parse(data) else {
            self.leave(End::Misbehaves("a message is malformed"));
            return Err(InputError::Malformed);
        };
        match message {
            EnrpMessage::Presence(presence) => {
                self.has_presence = true;
                self.dump.registrar = presence.sender;
                self.dump.announced_checksum = presence.checksum.map(|sum| sum.0);
                if presence.reply_required {
                    self.owes |= owes::PRESENCE;
                }
            }
            // Whoever takes us for a mentor is to look for another one.
            EnrpMessage::ListRequest(_) => self.owes |= owes::LIST_REFUSAL,
            EnrpMessage::HandleTableRequest(_) => self.owes |= owes::TABLE_REFUSAL,
            EnrpMessage::InitTakeover(message) if message.target == self.identifier => {
                self.owes |= owes::PRESENCE;
            }
            EnrpMessage::InitTakeover(message) => self.ack_owed = Some(message.target),
            EnrpMessage::ListResponse(list) => self.on_list(&list),
            EnrpMessage::HandleTableResponse(table) => self.on_table(now, &table),
            EnrpMessage::Error(_) => self.leave(End::Misbehaves("it reports an error")),
            // What happens in the scope meanwhile.
            _ => {}
        }
        if self.has_table && self.has_list && self.has_presence {
            self.leave(End::Told);
        }
        Ok(())
    }

    fn on_list(&mut self, list: &ListResponse<'_>) {
        self.has_list = true;
        if list.rejected {
            return;
        }
        let others = list.servers.iter().filter(|server| server.id != self.identifier);
        self.dump.peers =
            Some(others.map(|server| DumpedPeer::of(server.id, server.transport)).collect());
    }

    fn on_table(&mut self, now: Instant, table: &HandleTableResponse<'_>) {
        if table.rejected {
            return self.leave(End::Refused);
        }
        self.dump.registrar = table.sender;
        let before = self.dump.elements.len();
        for (pool, element) in table.entries {
            if self.dump.elements.len() >= ELEMENTS_MAX {
                return self.leave(End::TooMany(ELEMENTS_MAX));
            }
            self.dump.elements.push(DumpedElement::of(pool.to_buf(), &element));
        }
        match table.more {
            // Nobody is asked without end.
            true if self.dump.elements.len() == before => {
                self.leave(End::Misbehaves("a table goes on, but has no elements"));
            }
            true => self.owes |= owes::TABLE_REQUEST,
            false => {
                self.has_table = true;
                self.enough_at = Some(now + REST_PATIENCE);
            }
        }
    }

    fn emit(&mut self, debt: u16, buf: &mut [u8]) -> Result<usize, EmitError> {
        let (us, registrar) = (self.identifier, self.dump.registrar);
        match debt {
            owes::PRESENCE_QUESTION | owes::PRESENCE => {
                let (protocol, data) = (Protocol::Sctp, TransportUse::Data);
                let Endpoint { port, addresses, .. } = &self.own;
                let transport =
                    TransportBuf::<MESSAGE_LEN_MAX>::new(protocol, *port, data, addresses)?;
                let server = ServerInformation::new(us, transport.as_transport());
                let is_question = debt == owes::PRESENCE_QUESTION;
                Presence::new(is_question, registrar, NO_ELEMENTS, server).emit(buf)
            }
            owes::LIST_REQUEST => ListRequest::new(us, registrar).emit(buf),
            owes::TABLE_REQUEST => HandleTableRequest::new(false, us, registrar).emit(buf),
            owes::LIST_REFUSAL => ListResponse::refused(us, registrar).emit(buf),
            _ => HandleTableResponse::refused(us, registrar).emit(buf),
        }
    }

    /// The next message on the association.
    fn next_message(&mut self, buf: &mut [u8]) -> Option<usize> {
        if let Some(target) = self.ack_owed.take() {
            let (us, registrar) = (self.identifier, self.dump.registrar);
            if let Ok(len) = InitTakeoverAck::new(us, registrar, target).emit(buf) {
                return Some(len);
            }
        }
        let debt = owes::ORDER.into_iter().find(|debt| self.owes & debt != 0)?;
        self.owes &= !debt;
        let emitted = self.emit(debt, buf);
        debug_assert!(emitted.is_ok(), "a guest's messages are short");
        emitted.ok()
    }
}

impl Machine for Guest {
    type Input<'a> = Input<'a>;
    type Transmit = Transmit;
    type Event = End;
    type Error = InputError;

    fn handle_input(&mut self, now: Instant, input: Input<'_>) -> Result<(), InputError> {
        match input {
            Input::Up { association, .. } => match self.state {
                State::Connecting { .. } => {
                    self.state = State::Asking { association };
                    self.owes = owes::PRESENCE_QUESTION | owes::LIST_REQUEST | owes::TABLE_REQUEST;
                }
                // It was called off too late.
                _ => self.state = State::Leaving { association, is_owed: true },
            },
            Input::ConnectFailed { .. } => self.on_gone(End::NoAnswer),
            Input::Message { ppid: Ppid::ENRP, data, .. } => {
                if matches!(self.state, State::Asking { .. }) {
                    return self.on_message(now, data);
                }
            }
            Input::Message { .. } => {
                self.leave(End::Misbehaves("it does not speak ENRP"));
                return Err(InputError::WrongPpid);
            }
            Input::Restarted { .. } => self.leave(End::Ended),
            Input::Down { .. } => self.on_gone(End::Ended),
            _ => {}
        }
        Ok(())
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.enough_at.is_some_and(|at| at <= now) {
            self.leave(End::Told);
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.enough_at
    }

    fn poll_transmit(&mut self, _now: Instant, buf: &mut [u8]) -> Option<Transmit> {
        match &mut self.state {
            State::Connecting { is_owed } => {
                let endpoint = self.registrar.clone();
                std::mem::take(is_owed).then_some(Transmit::Connect { connect: CONNECT, endpoint })
            }
            State::Gone => {
                let is_owed = std::mem::take(&mut self.owes) == owes::CANCEL;
                is_owed.then_some(Transmit::CancelConnect { connect: CONNECT })
            }
            State::Asking { association } => {
                let association = *association;
                let len = self.next_message(buf)?;
                let (stream, ppid) = (StreamId(0), Ppid::ENRP);
                Some(Transmit::Message { association, stream, ppid, len })
            }
            State::Leaving { association, is_owed } => {
                let association = *association;
                std::mem::take(is_owed).then_some(Transmit::Shutdown { association })
            }
        }
    }

    fn poll_event(&mut self) -> Option<End> {
        self.end.take()
    }
}

/// What the registrar is owed.
mod owes {
    pub(super) const PRESENCE_QUESTION: u16 = 1;
    pub(super) const PRESENCE: u16 = 2;
    pub(super) const LIST_REQUEST: u16 = 4;
    pub(super) const TABLE_REQUEST: u16 = 8;
    pub(super) const LIST_REFUSAL: u16 = 16;
    pub(super) const TABLE_REFUSAL: u16 = 32;
    /// An attempt to connect is to be called off.
    pub(super) const CANCEL: u16 = 64;

    /// In which order.
    pub(super) const ORDER: [u16; 6] =
        [PRESENCE_QUESTION, PRESENCE, LIST_REQUEST, TABLE_REQUEST, LIST_REFUSAL, TABLE_REFUSAL];
}

/// The checksum of who owns no elements.
const NO_ELEMENTS: PeChecksum = PeChecksum(0xffff);

/// The one attempt to connect.
const CONNECT: ConnectId = ConnectId(0);

/// The most elements that are kept.
const ELEMENTS_MAX: usize = 1_000_000;

/// How long a list and a presence are waited for when the table is there.
const REST_PATIENCE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use rserpool_core::association::DownReason;
    use rserpool_core::identifier::PeId;

    use super::*;

    const START: Instant = Instant::from_millis(1_000);
    const ASSOCIATION: AssociationId = AssociationId(7);

    /// What RSPLIB's registrar said to RSPLIB's own reader, as recorded.
    const PRESENCE: &str = "0101002c11111111c5045afe000f0006cbc30000000b00181111111100040010\
                            26ad0000000100080a4d000b";
    const LIST: &str = "0600003c11111111c5045afe000b0018222222220004001026ad0000000100080a4d000c\
                        000b0018c5045afe00040010aa570000000100080a4d001f";
    const TABLE: &str = "030000ec11111111c5045afe0009000b4f64643763687200000a0044aaaa0003\
        1111111100003a980004001088a10001000100080a4d001700080014b0002002000000008000000000000000\
        0004001090b90000000100080a4d00170009000c4563686f506f6f6c000a0038aaaa00011111111100003a98\
        0004001089e50001000100080a4d00150008000800000001\
        00040010a4790000000100080a4d00150009001050696e67506f6e67506f6f6c000a003caaaa000211111111\
        00003a9800040010a2260001000100080a4d00160008000c000000020000000300040010ad7f0000\
        000100080a4d0016";

    fn hex(text: &str) -> Vec<u8> {
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16);
        text.as_bytes().chunks(2).map(|pair| byte(pair).unwrap()).collect()
    }

    fn guest() -> Guest {
        let endpoint = |text: &str| Endpoint::new(text.parse().unwrap());
        let (own, registrar) = (endpoint("10.77.0.31:43607"), endpoint("10.77.0.11:9901"));
        Guest::new(RegistrarId(0xc504_5afe), own, registrar)
    }

    /// A guest that has asked.
    fn asking() -> Guest {
        let mut guest = guest();
        assert!(matches!(sent(&mut guest)[..], [Sent::Other(Transmit::Connect { .. })]));
        let up = Input::Up {
            association: ASSOCIATION,
            connect: Some(CONNECT),
            peer_addresses: &[],
            peer_port: 9901,
        };
        guest.handle_input(START, up).unwrap();
        let asked = [
            "0101002cc5045afe00000000000f0006ffff0000000b0018c5045afe00040010aa570000\
             000100080a4d001f",
            "0500000cc5045afe00000000",
            "0200000cc5045afe00000000",
        ];
        assert_eq!(sent(&mut guest), asked.map(|text| Sent::Message(hex(text))));
        guest
    }

    #[derive(Debug, PartialEq)]
    enum Sent {
        Message(Vec<u8>),
        Other(Transmit),
    }

    fn sent(guest: &mut Guest) -> Vec<Sent> {
        let mut buf = [0; MESSAGE_LEN_MAX];
        let next = || match guest.poll_transmit(START, &mut buf)? {
            Transmit::Message { association, ppid, len, .. } => {
                assert_eq!((association, ppid), (ASSOCIATION, Ppid::ENRP));
                Some(Sent::Message(buf[..len].to_vec()))
            }
            other => Some(Sent::Other(other)),
        };
        std::iter::from_fn(next).collect()
    }

    fn told(guest: &mut Guest, bytes: &[u8]) {
        let (association, stream, ppid) = (ASSOCIATION, StreamId(0), Ppid::ENRP);
        let message = Input::Message { association, stream, ppid, data: bytes };
        let _ = guest.handle_input(START, message);
    }

    fn leaves(guest: &mut Guest, end: End) {
        assert_eq!(guest.poll_event(), Some(end));
        let shutdown = Sent::Other(Transmit::Shutdown { association: ASSOCIATION });
        assert_eq!(sent(guest), [shutdown]);
        let down = Input::Down { association: ASSOCIATION, reason: DownReason::Shutdown };
        guest.handle_input(START, down).unwrap();
        assert!(guest.is_gone());
        assert_eq!(guest.poll_event(), None);
    }

    #[test]
    fn a_handlespace_is_read_as_rsplib_tells_it() {
        let mut guest = asking();
        told(&mut guest, &hex(PRESENCE));
        let sent = sent(&mut guest);
        let [Sent::Message(answer)] = &sent[..] else { panic!("{sent:?}") };
        assert_eq!(answer[..12], hex("0100002cc5045afe11111111"));
        told(&mut guest, &hex(LIST));
        told(&mut guest, &hex(TABLE));
        leaves(&mut guest, End::Told);
        let dump = guest.into_dump();
        assert_eq!(dump.registrar, RegistrarId(0x1111_1111));
        let peers = dump.peers.as_deref().unwrap();
        let [peer] = peers else { panic!("{peers:?}") };
        assert_eq!((peer.identifier, peer.transport.port), (RegistrarId(0x2222_2222), 9901));
        let elements = dump.elements.iter();
        let elements: Vec<_> = elements.map(|it| (it.pool.to_string(), it.identifier)).collect();
        assert_eq!(elements[0], ("Odd7chr".to_owned(), PeId(0xaaaa_0003)));
        assert_eq!(elements.len(), 3);
        // What the registrar announces is what its elements add up to.
        assert_eq!(dump.announced_checksum, Some(0xcbc3));
        let sums: Vec<_> = dump.checksums().into_iter().collect();
        assert_eq!(sums, [(RegistrarId(0x1111_1111), (0xcbc3, 3))]);
    }

    #[test]
    fn a_table_that_goes_on_is_asked_for_again() {
        let mut guest = asking();
        let mut more = hex(TABLE);
        more[1] = 2;
        told(&mut guest, &more);
        let request = hex("0200000cc5045afe11111111");
        assert_eq!(sent(&mut guest), [Sent::Message(request)]);
        told(&mut guest, &hex("0300000c11111111c5045afe"));
        // The list and the presence are waited for, but not for ever.
        assert_eq!(guest.poll_event(), None);
        assert_eq!(guest.poll_timeout(), Some(START + REST_PATIENCE));
        guest.handle_timeout(START + REST_PATIENCE);
        leaves(&mut guest, End::Told);
        let dump = guest.into_dump();
        assert_eq!((dump.elements.len(), dump.peers, dump.announced_checksum), (3, None, None));
    }

    #[test]
    fn a_table_that_never_ends_is_not_read_on() {
        let mut guest = asking();
        told(&mut guest, &hex("0302000c11111111c5045afe"));
        assert!(matches!(guest.poll_event(), Some(End::Misbehaves(_))));
    }

    #[test]
    fn a_refusal_ends_it() {
        let mut guest = asking();
        told(&mut guest, &hex("0301000c11111111c5045afe"));
        leaves(&mut guest, End::Refused);
    }

    #[test]
    fn it_is_nobodys_mentor_and_in_nobodys_way() {
        let mut guest = asking();
        told(&mut guest, &hex(PRESENCE));
        let _ = sent(&mut guest);
        told(&mut guest, &hex("0500000c11111111c5045afe"));
        told(&mut guest, &hex("0200000c11111111c5045afe"));
        told(&mut guest, &hex("070000101111111100000000000000aa"));
        let answers = [
            "08000010c5045afe11111111000000aa",
            "0601000cc5045afe11111111",
            "0301000cc5045afe11111111",
        ];
        assert_eq!(sent(&mut guest), answers.map(|text| Sent::Message(hex(text))));
        told(&mut guest, &hex("070000101111111100000000c5045afe"));
        assert!(matches!(&sent(&mut guest)[..], [Sent::Message(presence)] if presence[0] == 1));
        guest.leave(End::Silent);
        leaves(&mut guest, End::Silent);
    }

    #[test]
    fn who_is_not_there_is_not_waited_for() {
        let mut guest = guest();
        let _ = sent(&mut guest);
        guest.handle_input(START, Input::ConnectFailed { connect: CONNECT }).unwrap();
        assert_eq!(guest.poll_event(), Some(End::NoAnswer));
        assert!(guest.is_gone());
        assert_eq!(sent(&mut guest), []);
    }

    #[test]
    fn an_attempt_is_called_off() {
        let mut guest = guest();
        let _ = sent(&mut guest);
        guest.leave(End::Silent);
        let cancel = Transmit::CancelConnect { connect: CONNECT };
        assert_eq!(sent(&mut guest), [Sent::Other(cancel)]);
        assert!(guest.is_gone());
    }

    #[test]
    fn nonsense_ends_it() {
        for bytes in [&b""[..], b"hello", &hex("0a00000c1111111100000000")] {
            let mut guest = asking();
            told(&mut guest, bytes);
            assert!(matches!(guest.poll_event(), Some(End::Misbehaves(_))), "{bytes:?}");
        }
        let mut guest = asking();
        let (association, stream) = (ASSOCIATION, StreamId(0));
        let message = Input::Message { association, stream, ppid: Ppid::ASAP, data: b"" };
        assert_eq!(guest.handle_input(START, message), Err(InputError::WrongPpid));
    }
}
