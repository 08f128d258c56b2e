//! A registrar among peers, under any sequence of associations, messages and passing time on both
//! of its ports.

use std::net::SocketAddr;
use std::time::Duration;

use rserpool_core::association::{
    AssociationId, ConnectId, DownReason, Endpoint, Input, Ppid, StreamId, Transmit,
};
use rserpool_core::enrp::{Config, InlineTables, InputError, Registrar, WithPeers};
use rserpool_core::entropy::SplitMix64;
use rserpool_core::handlespace::Inline;
use rserpool_core::identifier::{PeId, PoolHandle, RegistrarId};
use rserpool_core::machine::Machine;
use rserpool_core::profile::Profile;
use rserpool_core::time::Instant;
use rserpool_core::wire::enrp::{
    EnrpMessage, HandleTableRequest, HandleTableResponseBuilder, HandleUpdate, InitTakeover,
    InitTakeoverAck, ListRequest, ListResponseBuilder, Presence, TakeoverServer, UpdateAction,
};
use rserpool_core::wire::{
    AsapMessage, Layout, PeChecksum, Policy, PoolElement, Protocol, RegistrationLife,
    ServerInformation, TransportBuf, TransportUse,
};

use super::registrar::Program;
use crate::registrar::{alive, deregister, element, register};

const US: RegistrarId = RegistrarId(3);
const PEERS: usize = 3;

type Tables = WithPeers<InlineTables<4, 4, 4, 2, 64>, PEERS, 4, 2, 700>;
type Small = Registrar<Inline<8, 3, 2, 4>, Tables, SplitMix64>;

struct Model {
    registrar: Box<Small>,
    now: Instant,
    /// Connection attempts that were not answered, of each port.
    attempts: [Vec<ConnectId>; 2],
    buf: Vec<u8>,
}

/// Runs the program; the first byte chooses profile and random numbers.
pub(super) fn run(data: &[u8]) {
    let mut program = Program::new(data);
    let choice = program.byte();
    let mut config = Config::new(if choice & 1 == 0 { Profile::Rfc } else { Profile::Rsplib });
    config.identifier = US;
    config.table_items_max = 2;
    let tables = Tables::new(InlineTables::new());
    let seed = SplitMix64::new(u64::from(choice));
    let mut model = Model {
        registrar: Box::new(Registrar::new(config, Inline::new(), tables, seed)),
        now: Instant::from_millis(1_000),
        attempts: [Vec::new(), Vec::new()],
        buf: vec![0; 2_048],
    };
    let known = if choice & 2 == 0 { &[endpoint(1)][..] } else { &[] };
    model.registrar.start_peering(model.now, endpoint(US.0), known).expect("room");
    model.drain();
    // Each step takes at least a byte.
    while !program.is_over() {
        model.step(&mut program);
        model.drain();
        model.check();
    }
}

fn endpoint(registrar: u32) -> Endpoint {
    let number = registrar as u8;
    Endpoint::new(SocketAddr::from(([10, 77, 0, number], 9_901)))
}

impl Model {
    fn step(&mut self, program: &mut Program<'_>) {
        let (kind, id) = (program.byte() % 20, program.below(6));
        match kind {
            0..=2 => {
                let (is_peer, number) = (kind < 2, if kind < 2 { id } else { id + 8 });
                let connect = self.attempt(is_peer, program);
                self.input(is_peer, up(number, connect));
            }
            3 | 4 => {
                let reason = [DownReason::Shutdown, DownReason::Lost][program.below(2) as usize];
                let (is_peer, number) = (kind == 3, if kind == 3 { id } else { id + 8 });
                self.input(is_peer, Input::Down { association: AssociationId(number), reason });
            }
            5 => self.input(true, Input::Restarted { association: AssociationId(id) }),
            6 => {
                let is_peer = program.below(2) == 0;
                if let Some(connect) = self.attempt(is_peer, program) {
                    self.input(is_peer, Input::ConnectFailed { connect });
                }
            }
            7 | 8 => {
                let millis = u64::from(program.byte()).pow(2) / 2;
                self.sleep(Duration::from_millis(millis));
            }
            9 => {
                let len = usize::from(program.byte());
                self.hears(true, id, program.bytes(len));
            }
            10 => {
                let mut message = sound(program);
                let place = program.byte() as usize % message.len();
                message[place] ^= program.byte();
                self.hears(true, id, &message);
            }
            11 => {
                let source = SocketAddr::from(([10, 77, 0, program.below(6) as u8], 9_901));
                let message = sound(program);
                let _ = self.registrar.handle_presence(self.now, source, &message);
            }
            12..=14 => {
                let (pool, pe_id) = (pool(program), program.below(4));
                let message = match program.below(4) {
                    0 => deregister(pool, pe_id),
                    1 => alive(pool, pe_id),
                    _ => register(&element(pool, pe_id)),
                };
                self.hears(false, id + 8, &message);
            }
            15 => match program.byte() {
                0xff => self.registrar.stop(),
                micros => {
                    let (association, micros) = (AssociationId(id), u32::from(micros) << 16);
                    self.input(true, Input::RoundTrip { association, micros });
                }
            },
            _ => self.hears(true, id, &sound(program)),
        }
    }

    fn attempt(&mut self, is_peer: bool, program: &mut Program<'_>) -> Option<ConnectId> {
        let attempts = &mut self.attempts[usize::from(is_peer)];
        let place = program.byte() as usize;
        (place < attempts.len()).then(|| attempts.swap_remove(place))
    }

    fn hears(&mut self, is_peer: bool, id: u32, data: &[u8]) {
        let ppid = if is_peer { Ppid::ENRP } else { Ppid::ASAP };
        let (association, stream) = (AssociationId(id), StreamId(0));
        self.input(is_peer, Input::Message { association, stream, ppid, data });
    }

    fn input(&mut self, is_peer: bool, input: Input<'_>) {
        let result = match is_peer {
            true => self.registrar.peers().handle_input(self.now, input),
            false => self.registrar.handle_input(self.now, input),
        };
        assert_ne!(result, Err(InputError::Busy), "everything was drained");
    }

    fn sleep(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(at) = self.registrar.poll_timeout().filter(|&at| at <= end) {
            self.now = self.now.max(at);
            self.registrar.handle_timeout(self.now);
            self.drain();
        }
        self.now = end;
    }

    /// Takes all output. What goes to peers and elements is well-formed.
    fn drain(&mut self) {
        loop {
            if let Some(transmit) = self.registrar.poll_transmit(self.now, &mut self.buf) {
                self.sent(false, transmit);
            } else if let Some(transmit) =
                self.registrar.peers().poll_transmit(self.now, &mut self.buf)
            {
                self.sent(true, transmit);
            } else {
                break;
            }
        }
        while self.registrar.poll_event().is_some() {}
    }

    fn sent(&mut self, is_peer: bool, transmit: Transmit) {
        let attempts = &mut self.attempts[usize::from(is_peer)];
        match transmit {
            Transmit::Connect { connect, .. } => attempts.push(connect),
            Transmit::CancelConnect { connect } => attempts.retain(|&other| other != connect),
            Transmit::Message { len, .. } | Transmit::Multicast { len, .. } => {
                let bytes = &self.buf[..len];
                match is_peer {
                    true => drop(EnrpMessage::parse(bytes).expect("well-formed")),
                    false => drop(AsapMessage::parse(bytes).expect("well-formed")),
                }
            }
            _ => {}
        }
    }

    fn check(&mut self) {
        self.registrar.handlespace().check();
        let mut peers = 0;
        self.registrar.for_each_peer(|_| peers += 1);
        assert!(peers <= PEERS);
        let timeout = self.registrar.poll_timeout();
        assert!(timeout.is_none_or(|at| at > self.now) || self.is_due(), "nothing moves");
    }

    /// Does what is due; whether that was enough.
    fn is_due(&mut self) -> bool {
        for _ in 0..64 {
            if self.registrar.poll_timeout().is_none_or(|at| at > self.now) {
                return true;
            }
            self.registrar.handle_timeout(self.now);
            self.drain();
        }
        false
    }
}

fn up(id: u32, connect: Option<ConnectId>) -> Input<'static> {
    const ADDRESSES: [[std::net::IpAddr; 1]; 6] = {
        let mut addresses = [[std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)]; 6];
        let mut number = 0;
        while number < 6 {
            let address = std::net::Ipv4Addr::new(10, 77, 0, number as u8);
            addresses[number] = [std::net::IpAddr::V4(address)];
            number += 1;
        }
        addresses
    };
    let peer_addresses = &ADDRESSES[(id % 6) as usize];
    Input::Up { association: AssociationId(id), connect, peer_addresses, peer_port: 9_901 }
}

fn pool(program: &mut Program<'_>) -> &'static str {
    ["A", "Bee", "Sea-Pool", "D"][program.below(4) as usize]
}

/// A well-formed ENRP message, of one of five registrars of which one is the machine itself.
fn sound(program: &mut Program<'_>) -> Vec<u8> {
    let (kind, sender) = (program.byte() % 16, RegistrarId(program.below(5) + 1));
    let other = RegistrarId(program.below(6));
    let mut buf = vec![0; 1_024];
    let address = std::net::IpAddr::from([10, 77, 0, other.0 as u8]);
    let transport =
        TransportBuf::<64>::new(Protocol::Sctp, 9_901, TransportUse::Data, &[address]).unwrap();
    let server = ServerInformation::new(sender, transport.as_transport());
    let flag = program.byte();
    let len = match kind {
        0 | 1 => {
            let sum = PeChecksum(u16::from(flag) << 8);
            Presence::new(flag & 1 != 0, other, sum, server).emit(&mut buf)
        }
        2 => ListRequest::new(sender, US).emit(&mut buf),
        3 => {
            let mut list = ListResponseBuilder::new(&mut buf, sender, US).unwrap();
            let _ = list.server(&ServerInformation::new(other, transport.as_transport()));
            Ok(list.finish())
        }
        4 => HandleTableRequest::new(flag & 1 != 0, sender, US).emit(&mut buf),
        5..=7 => {
            let mut table = HandleTableResponseBuilder::new(&mut buf, sender, US).unwrap();
            for _ in 0..flag % 4 {
                let pool = PoolHandle::new(pool(program).as_bytes()).unwrap();
                let _ = table.element(pool, &foreign(other, program, &transport));
            }
            Ok(table.more(flag & 16 != 0).finish())
        }
        8..=11 => {
            let action = if flag & 1 == 0 { UpdateAction::ADD } else { UpdateAction::DELETE };
            let pool = PoolHandle::new(pool(program).as_bytes()).unwrap();
            let element = foreign(other, program, &transport);
            let update = HandleUpdate::new(sender, US, action, pool, element);
            HandleUpdate { takeover_suggested: flag & 2 != 0, ..update }.emit(&mut buf)
        }
        12 | 13 => InitTakeover::new(sender, US, other).emit(&mut buf),
        14 => InitTakeoverAck::new(sender, US, other).emit(&mut buf),
        _ => TakeoverServer::new(sender, US, other).emit(&mut buf),
    };
    buf.truncate(len.unwrap());
    buf
}

fn foreign<'a>(
    home: RegistrarId,
    program: &mut Program<'_>,
    transport: &'a TransportBuf<64>,
) -> PoolElement<'a> {
    let value = program.byte();
    PoolElement {
        id: PeId(u32::from(value % 5)),
        home,
        registration_life: RegistrationLife(u32::from(value) << 4),
        user_transport: transport.as_transport(),
        policy: if value < 200 { Policy::RoundRobin } else { Policy::Random },
        asap_transport: (value & 1 == 0).then(|| transport.as_transport()),
        layout: Layout::OURS,
    }
}

#[cfg(test)]
mod tests {
    use rserpool_core::entropy::Entropy;

    use super::*;

    #[test]
    fn random_programs_break_nothing() {
        let mut random = SplitMix64::new(7);
        for _ in 0..300 {
            let mut data = vec![0; 600];
            data.fill_with(|| random.next_u32() as u8);
            run(&data);
        }
    }
}
