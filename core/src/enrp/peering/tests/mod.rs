//! Traces of the registrar among its peers: what it hears, and line by line what it says.
//!
//! A line is `LINK TYPE FLAGS SENDER>RECEIVER`. The registrar is 1; peers are 2, 3 and 4, each on
//! the link of its number.

mod audit;
mod identity;
mod join;
mod messages;
mod status;
mod takeover;
mod updates;

use core::net::SocketAddr;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use super::table::PeerState;
use super::*;
use crate::association::{ConnectId, DownReason, StreamId};
use crate::enrp::{Config, InlineTables, WithPeers};
use crate::entropy::SplitMix64;
use crate::handlespace::Inline;
use crate::identifier::{PeId, PoolHandle};
use crate::profile::Profile;
use crate::wire::asap::{AsapMessage, EndpointKeepAliveAck, Registration};
use crate::wire::enrp::{
    HandleTableRequest, HandleTableResponse, HandleTableResponseBuilder, InitTakeover,
    InitTakeoverAck, ListRequest, ListResponse, ListResponseBuilder, Presence, TakeoverServer,
};
use crate::wire::{
    PeChecksum, Policy, PoolElement, Protocol, RegistrationLife, ServerInformation, TransportBuf,
    TransportUse,
};
use core::time::Duration;

type Small = WithPeers<InlineTables<8, 8, 4, 2, 64>, 4, 6, 4, 4_096>;

const US: u32 = 1;
const SECOND: Duration = Duration::from_secs(1);
const RR: Policy = Policy::RoundRobin;
/// The checksum of a registrar without elements.
const NOTHING: u16 = 0xffff;

struct Bench {
    registrar: Registrar<Inline<16, 8, 2, 8>, Small, SplitMix64>,
    now: Instant,
}

impl Bench {
    /// A registrar of that profile, with settings of the test.
    fn new(profile: Profile, set: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::new(profile);
        config.identifier = RegistrarId(US);
        set(&mut config);
        let tables = WithPeers::new(InlineTables::new());
        let registrar = Registrar::new(config, Inline::new(), tables, SplitMix64::new(7));
        Self { registrar, now: Instant::from_millis(1_000) }
    }

    /// It enters the scope of the peers with these numbers.
    fn starts(&mut self, peers: &[u32]) {
        let peers: Vec<_> = peers.iter().map(|&number| endpoint(number)).collect();
        self.registrar.start_peering(self.now, endpoint(US), &peers).unwrap();
    }

    /// One that is in, with peers that have said all that peers say at first.
    fn among(profile: Profile, peers: &[u32]) -> Self {
        Self::among_as(US, profile, peers)
    }

    /// The same of a registrar with another identifier.
    fn among_as(identifier: u32, profile: Profile, peers: &[u32]) -> Self {
        let mut bench = Self::new(profile, |config| config.identifier = RegistrarId(identifier));
        bench.starts(&[]);
        for &peer in peers {
            bench.links(peer);
            bench.hears(peer, presence(peer, false, NOTHING)).unwrap();
        }
        bench.said();
        bench
    }

    /// An association that the peer began is up.
    fn links(&mut self, number: u32) {
        self.up(number, None);
    }

    /// The one that we wanted is up.
    fn connects(&mut self, number: u32, connect: u32) {
        self.up(number, Some(ConnectId(connect)));
    }

    fn up(&mut self, number: u32, connect: Option<ConnectId>) {
        let Endpoint { addresses, port, .. } = endpoint(number);
        let (association, peer_addresses) = (AssociationId(number), &addresses[..]);
        let up = Input::Up { association, connect, peer_addresses, peer_port: port };
        self.registrar.peers().handle_input(self.now, up).unwrap();
    }

    fn down(&mut self, number: u32) {
        let (association, reason) = (AssociationId(number), DownReason::Lost);
        let down = Input::Down { association, reason };
        self.registrar.peers().handle_input(self.now, down).unwrap();
    }

    fn hears(&mut self, number: u32, message: impl AsRef<[u8]>) -> Result<(), InputError> {
        let (association, stream, ppid) = (AssociationId(number), StreamId(0), Ppid::ENRP);
        let data = message.as_ref();
        let input = Input::Message { association, stream, ppid, data };
        self.registrar.peers().handle_input(self.now, input)
    }

    /// An element registers here, on an ASAP association of its number.
    fn registers(&mut self, pool: &str, pe_id: u32) {
        self.try_to_register(pool, pe_id).unwrap();
    }

    fn try_to_register(&mut self, pool: &str, pe_id: u32) -> Result<(), InputError> {
        self.asap_up(pe_id, "10.0.1.1");
        let mut bytes = [0; 256];
        let transport = transport(3_000, "10.0.1.1", TransportUse::DataPlusControl);
        let element = element(pe_id, RegistrarId::UNKNOWN, RR, &transport);
        let len = Registration::new(handle(pool), element).emit(&mut bytes).unwrap();
        self.try_asap(pe_id, &bytes[..len])
    }

    /// An association with an element is up; it may have been before.
    fn asap_up(&mut self, association: u32, address: &str) {
        let peer_addresses = &[address.parse().unwrap()];
        let (association, connect) = (AssociationId(association), None);
        let up = Input::Up { association, connect, peer_addresses, peer_port: 3_000 };
        let _ = self.registrar.handle_input(self.now, up);
    }

    /// The element says that it lives.
    fn acks(&mut self, association: u32, pool: &str, pe_id: u32) {
        let mut bytes = [0; 128];
        let ack = EndpointKeepAliveAck::new(handle(pool), PeId(pe_id));
        let len = ack.emit(&mut bytes).unwrap();
        self.hears_asap(association, &bytes[..len]);
    }

    fn hears_asap(&mut self, association: u32, data: &[u8]) {
        self.try_asap(association, data).unwrap();
    }

    fn try_asap(&mut self, association: u32, data: &[u8]) -> Result<(), InputError> {
        let (association, stream, ppid) = (AssociationId(association), StreamId(0), Ppid::ASAP);
        let input = Input::Message { association, stream, ppid, data };
        self.registrar.handle_input(self.now, input)
    }

    /// Time passes, and everything that is due happens when it is due.
    fn passes(&mut self, span: Duration) {
        let end = self.now + span;
        let mut steps = 0;
        while let Some(at) = self.registrar.poll_timeout().filter(|&at| at <= end) {
            steps += 1;
            assert!(steps < 10_000, "what is due at {at:?} does not get done");
            self.now = self.now.max(at);
            self.registrar.handle_timeout(self.now);
        }
        self.now = end;
    }

    /// What it has said to its peers since the last look, link by link.
    fn said(&mut self) -> Vec<String> {
        let mut buf = [0; 2_048];
        let mut lines = Vec::new();
        while let Some(transmit) = self.registrar.peers().poll_transmit(self.now, &mut buf) {
            lines.push(line(&transmit, &buf));
        }
        while self.registrar.poll_event().is_some() {}
        lines.sort_by_key(|line| line.split(' ').next().map(ToString::to_string));
        lines
    }

    /// What it has said to its elements since the last look.
    fn said_to_elements(&mut self) -> Vec<String> {
        let mut buf = [0; 2_048];
        let mut lines = Vec::new();
        while let Some(transmit) = self.registrar.poll_transmit(self.now, &mut buf) {
            lines.push(match &transmit {
                Transmit::Message { association, len, .. } => {
                    match AsapMessage::parse(&buf[..*len]).unwrap() {
                        AsapMessage::EndpointKeepAlive(message) => format!(
                            "{} KEEP_ALIVE{} {}",
                            association.0,
                            if message.home { " H" } else { "" },
                            message.registrar.0
                        ),
                        _ => format!("{} other", association.0),
                    }
                }
                other => line(other, &buf),
            });
        }
        lines
    }

    /// The elements that it knows, as `POOL/ELEMENT@HOME`.
    fn knows(&self) -> Vec<String> {
        self.registrar.handlespace.check();
        let mut lines = Vec::new();
        self.registrar.handlespace.walk_after(None, None, |view| {
            let pool = String::from_utf8_lossy(view.pool().as_bytes()).into_owned();
            lines.push(format!("{pool}/{}@{}", view.pe_id().0, view.home().0));
            true
        });
        lines.sort();
        lines
    }

    fn state_of(&mut self, peer: u32) -> Option<PeerState> {
        let place = self.registrar.place_of(RegistrarId(peer))?;
        Some(self.registrar.tables.lend().peers[place].state)
    }
}

fn endpoint(number: u32) -> Endpoint {
    let address = format!("10.0.0.{number}:9901").parse::<SocketAddr>().unwrap();
    Endpoint::new(address)
}

fn handle(pool: &str) -> PoolHandle<'_> {
    PoolHandle::new(pool.as_bytes()).unwrap()
}

fn transport(port: u16, address: &str, usage: TransportUse) -> TransportBuf<16> {
    TransportBuf::new(Protocol::Sctp, port, usage, &[address.parse().unwrap()]).unwrap()
}

fn element(
    pe_id: u32,
    home: RegistrarId,
    policy: Policy,
    transport: &TransportBuf<16>,
) -> PoolElement<'_> {
    let life = RegistrationLife(300_000);
    let element = PoolElement::new(PeId(pe_id), life, transport.as_transport(), policy);
    PoolElement { home, asap_transport: Some(transport.as_transport()), ..element }
}

/// A line for what goes out.
fn line(transmit: &Transmit, buf: &[u8]) -> String {
    match transmit {
        Transmit::Message { association, stream, ppid, len } => {
            assert_eq!((*stream, *ppid), (StreamId(0), Ppid::ENRP));
            format!("{} {}", association.0, message(&buf[..*len]))
        }
        Transmit::Multicast { len, .. } => format!("all {}", message(&buf[..*len])),
        Transmit::Connect { connect, endpoint } => format!("connect {} {endpoint}", connect.0),
        Transmit::Abort { association } => format!("abort {}", association.0),
        Transmit::Shutdown { association } => format!("shut down {}", association.0),
        Transmit::CancelConnect { connect } => format!("cancel {}", connect.0),
    }
}

fn message(bytes: &[u8]) -> String {
    let message = EnrpMessage::parse(bytes).unwrap();
    let (from, to) = message.ids().unwrap();
    let (from, to) = (from.0, to.0);
    let flag = |is_set: bool, name: &str| if is_set { name.to_string() } else { String::new() };
    match message {
        EnrpMessage::Presence(it) => {
            let sum = it.checksum.unwrap().0;
            format!("PRESENCE{} {from}>{to} {sum:04x}", flag(it.reply_required, " R"))
        }
        EnrpMessage::ListRequest(_) => format!("LIST_REQUEST {from}>{to}"),
        EnrpMessage::ListResponse(it) => {
            let servers: Vec<_> = it.servers.into_iter().map(|server| server.id.0).collect();
            format!("LIST_RESPONSE{} {from}>{to} {servers:?}", flag(it.rejected, " R"))
        }
        EnrpMessage::HandleTableRequest(it) => {
            format!("TABLE_REQUEST{} {from}>{to}", flag(it.own_only, " W"))
        }
        EnrpMessage::HandleTableResponse(it) => {
            let entries: Vec<_> = it.entries.iter().map(|(_, element)| element.id.0).collect();
            let flags = flag(it.rejected, " R") + &flag(it.more, " M");
            format!("TABLE_RESPONSE{flags} {from}>{to} {entries:?}")
        }
        EnrpMessage::HandleUpdate(it) => {
            let pool = String::from_utf8_lossy(it.pool_handle.as_bytes());
            let what = match it.action {
                UpdateAction::ADD => "ADD",
                UpdateAction::DELETE => "DEL",
                _ => "?",
            };
            let flags = flag(it.takeover_suggested, " T");
            let (pe, home) = (it.element.id.0, it.element.home.0);
            format!("UPDATE{flags} {from}>{to} {what} {pool}/{pe}@{home}")
        }
        EnrpMessage::InitTakeover(it) => format!("INIT_TAKEOVER {from}>{to} of {}", it.target.0),
        EnrpMessage::InitTakeoverAck(it) => {
            format!("INIT_TAKEOVER_ACK {from}>{to} of {}", it.target.0)
        }
        EnrpMessage::TakeoverServer(it) => {
            format!("TAKEOVER_SERVER {from}>{to} of {}", it.target.0)
        }
        EnrpMessage::Error(it) => {
            let causes = it.error.causes();
            let causes: Vec<_> = causes.into_iter().map(|cause| cause.code.0).collect();
            format!("ERROR {from}>{to} {causes:?}")
        }
        EnrpMessage::Unknown(_) => "unknown".into(),
    }
}

fn emitted(emit: impl FnOnce(&mut [u8]) -> usize) -> Vec<u8> {
    let mut bytes = [0; 2_048];
    let len = emit(&mut bytes);
    bytes[..len].to_vec()
}

fn presence(from: u32, reply_required: bool, sum: u16) -> Vec<u8> {
    let at = transport(9_901, &format!("10.0.0.{from}"), TransportUse::Data);
    let server = ServerInformation::new(RegistrarId(from), at.as_transport());
    let (all, sum) = (RegistrarId::UNKNOWN, PeChecksum(sum));
    emitted(|buf| Presence::new(reply_required, all, sum, server).emit(buf).unwrap())
}

fn list_request(from: u32) -> Vec<u8> {
    emitted(|buf| ListRequest::new(RegistrarId(from), RegistrarId(US)).emit(buf).unwrap())
}

fn list_response(from: u32, servers: &[u32]) -> Vec<u8> {
    emitted(|buf| {
        let (from, to) = (RegistrarId(from), RegistrarId(US));
        let mut list = ListResponseBuilder::new(buf, from, to).unwrap();
        for &number in servers {
            let at = transport(9_901, &format!("10.0.0.{number}"), TransportUse::Data);
            let server = ServerInformation::new(RegistrarId(number), at.as_transport());
            list.server(&server).unwrap();
        }
        list.finish()
    })
}

fn list_refusal(from: u32) -> Vec<u8> {
    let (from, to) = (RegistrarId(from), RegistrarId(US));
    emitted(|buf| ListResponse::refused(from, to).emit(buf).unwrap())
}

fn table_request(from: u32, own_only: bool) -> Vec<u8> {
    let (from, to) = (RegistrarId(from), RegistrarId(US));
    emitted(|buf| HandleTableRequest::new(own_only, from, to).emit(buf).unwrap())
}

fn table_response(from: u32, more: bool, entries: &[(&str, u32, u32, Policy)]) -> Vec<u8> {
    emitted(|buf| {
        let (from, to) = (RegistrarId(from), RegistrarId(US));
        let mut table = HandleTableResponseBuilder::new(buf, from, to).unwrap();
        let at = transport(3_000, "10.0.1.1", TransportUse::DataPlusControl);
        for &(pool, pe_id, home, policy) in entries {
            let element = element(pe_id, RegistrarId(home), policy, &at);
            table.element(handle(pool), &element).unwrap();
        }
        table.more(more).finish()
    })
}

fn table_refusal(from: u32) -> Vec<u8> {
    let (from, to) = (RegistrarId(from), RegistrarId(US));
    emitted(|buf| HandleTableResponse::refused(from, to).emit(buf).unwrap())
}

fn update(from: u32, action: UpdateAction, pool: &str, pe_id: u32, policy: Policy) -> Vec<u8> {
    let at = transport(3_000, "10.0.1.1", TransportUse::DataPlusControl);
    let element = element(pe_id, RegistrarId(from), policy, &at);
    let (from, all) = (RegistrarId(from), RegistrarId::UNKNOWN);
    let update = HandleUpdate::new(from, all, action, handle(pool), element);
    emitted(|buf| update.emit(buf).unwrap())
}

fn adds(from: u32, pool: &str, pe_id: u32) -> Vec<u8> {
    update(from, UpdateAction::ADD, pool, pe_id, RR)
}

fn deletes(from: u32, pool: &str, pe_id: u32) -> Vec<u8> {
    update(from, UpdateAction::DELETE, pool, pe_id, RR)
}

fn init_takeover(from: u32, target: u32) -> Vec<u8> {
    let (from, all) = (RegistrarId(from), RegistrarId::UNKNOWN);
    emitted(|buf| InitTakeover::new(from, all, RegistrarId(target)).emit(buf).unwrap())
}

fn init_takeover_ack(from: u32, target: u32) -> Vec<u8> {
    let (from, to) = (RegistrarId(from), RegistrarId(US));
    emitted(|buf| InitTakeoverAck::new(from, to, RegistrarId(target)).emit(buf).unwrap())
}

fn takeover_server(from: u32, target: u32) -> Vec<u8> {
    let (from, all) = (RegistrarId(from), RegistrarId::UNKNOWN);
    emitted(|buf| TakeoverServer::new(from, all, RegistrarId(target)).emit(buf).unwrap())
}
