//! A registrar under any sequence of associations, messages and passing time.
//!
//! The input is a program: one byte says what happens, a few more say how. Messages are sound
//! ones about a handful of pools and elements, sound ones with a byte changed, or bytes as they
//! come. After each step the machine's contract and the registrar's own invariants must hold.

use std::net::SocketAddr;
use std::time::Duration;

use rserpool_core::association::{AssociationId, DownReason, Endpoint, Input, Ppid, StreamId};
use rserpool_core::enrp::{Config, Event, InputError};
use rserpool_core::handlespace::slots::{Slots, SlotsMut};
use rserpool_core::handlespace::{Inline, Storage};
use rserpool_core::machine::Machine;
use rserpool_core::profile::Profile;
use rserpool_core::wire::{AsapMessage, Load, Policy, TransportUse};

use crate::registrar::{
    Bench, Element, Said, address_of, alive, deregister, element, ip, register, resolve,
    subscribe, unreachable,
};

const ELEMENTS: usize = 12;
const POOLS: usize = 4;
const ASSOCIATIONS: usize = 6;

/// A storage small enough to be full now and then.
struct Small(Box<Inline<ELEMENTS, POOLS, 1, 2>>);

impl Storage for Small {
    fn slots(&self) -> Slots<'_> {
        self.0.slots()
    }

    fn slots_mut(&mut self) -> SlotsMut<'_> {
        self.0.slots_mut()
    }
}

/// Runs the program twice: what comes out must be the same, and hold to the invariants.
///
/// With the first byte's highest bit set, it is a program of the registrar among its peers.
pub fn run(data: &[u8]) {
    if data.first().is_some_and(|first| first & 0x80 != 0) {
        super::peers::run(&data[1..]);
        return;
    }
    let first = trace(data);
    assert_eq!(first, trace(data), "the same inputs yield the same outputs");
}

/// Runs the program, and returns a digest of all that came out.
pub fn trace(data: &[u8]) -> u64 {
    let mut program = Program::new(data);
    let profile = if program.byte() & 1 == 0 { Profile::Rfc } else { Profile::Rsplib };
    let mut config = Config::new(profile);
    config.elements_per_association_max = 6;
    config.reports_per_reporter_max = 4;
    let (storage, seed) = (Small(Box::default()), u64::from(program.byte()));
    let bench = Bench::with_seed(config, storage, ASSOCIATIONS, seed);
    let mut model = Model { bench, up: Vec::new(), digest: 0xcbf2_9ce4_8422_2325, known: 0 };
    // Each step takes at least a byte.
    while !program.is_over() {
        model.step(&mut program);
        model.check();
    }
    model.digest
}

/// Bytes that say what to do; zeros when they have run out.
pub(super) struct Program<'a> {
    rest: &'a [u8],
}

impl<'a> Program<'a> {
    pub(super) const fn new(data: &'a [u8]) -> Self {
        Self { rest: data }
    }

    pub(super) const fn is_over(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn byte(&mut self) -> u8 {
        match self.rest.split_first() {
            Some((&byte, rest)) => {
                self.rest = rest;
                byte
            }
            None => 0,
        }
    }

    pub(super) fn below(&mut self, bound: u32) -> u32 {
        u32::from(self.byte()) % bound
    }

    pub(super) fn bytes(&mut self, len: usize) -> &'a [u8] {
        let (bytes, rest) = self.rest.split_at(len.min(self.rest.len()));
        self.rest = rest;
        bytes
    }
}

struct Model {
    bench: Bench<Small>,
    /// Associations that the driver has not seen the end of.
    up: Vec<u32>,
    digest: u64,
    /// Elements by the events alone.
    known: usize,
}

impl Model {
    fn step(&mut self, program: &mut Program<'_>) {
        let kind = program.byte() % 16;
        let id = program.below(8);
        match kind {
            0 | 1 if !self.up.contains(&id) => self.up(id),
            2 if self.up.contains(&id) => self.down(id, program),
            3 => {
                let _ = self.bench.input(Input::Restarted { association: AssociationId(id) });
            }
            4..=6 => {
                let millis = u64::from(program.byte()).pow(2) / 4;
                self.bench.sleep(Duration::from_millis(millis));
            }
            7 => {
                let len = usize::from(program.byte());
                let _ = self.bench.hears(id, program.bytes(len));
            }
            8 => {
                let mut message = sound(program);
                let place = program.byte() as usize % message.len();
                message[place] ^= program.byte();
                let _ = self.bench.hears(id, message);
            }
            9 => self.seldom(id, program),
            _ => self.sound(id, program),
        }
    }

    /// What happens seldom: another protocol, and announces.
    fn seldom(&mut self, id: u32, program: &mut Program<'_>) {
        match program.byte() {
            0xff => {
                let data = &sound(program);
                let (association, stream) = (AssociationId(id), StreamId(0));
                let ppid = Ppid(u32::from(program.byte()));
                let _ = self.bench.input(Input::Message { association, stream, ppid, data });
            }
            0xfe => {
                let (now, port) = (self.bench.now, u16::from(program.byte()));
                let endpoint = Endpoint::new(SocketAddr::from(([10, 77, 0, 11], port)));
                let started = self.bench.registrar.start_announcing(now, &endpoint);
                assert_eq!(started.is_ok(), port != 0);
            }
            0xfd => self.bench.registrar.stop_announcing(),
            0xfc => {
                let (now, source) = (self.bench.now, SocketAddr::from(([10, 77, 0, 12], 3863)));
                let announce = [10, 0, 0, 8, 0, 0, program.byte(), program.byte()];
                let len = 8 - program.below(16).saturating_sub(8) as usize;
                let _ = self.bench.registrar.handle_announce(now, source, &announce[..len]);
            }
            0xfb => {
                let micros = u32::from(program.byte()) << 16;
                let association = AssociationId(id);
                let _ = self.bench.input(Input::RoundTrip { association, micros });
            }
            _ => self.sound(id, program),
        }
        self.bench.drain();
    }

    fn sound(&mut self, id: u32, program: &mut Program<'_>) {
        let result = self.bench.hears(id, sound(program));
        assert_ne!(result, Err(InputError::Busy), "everything was drained");
        if !self.up.contains(&id) {
            assert_eq!(result, Err(InputError::UnknownAssociation));
        }
    }

    fn up(&mut self, id: u32) {
        let peer_addresses = &[ip(&address_of(id / 2 + 1)), ip("10.1.0.1")];
        let association = AssociationId(id);
        let up = Input::Up { association, connect: None, peer_addresses, peer_port: 30_000 };
        let result = self.bench.input(up);
        assert_eq!(result.is_ok(), self.up.len() < ASSOCIATIONS, "{result:?}");
        if result.is_ok() {
            self.up.push(id);
        } else {
            assert_eq!(self.bench.said(), [Said::Abort(id)]);
        }
    }

    fn down(&mut self, id: u32, program: &mut Program<'_>) {
        let reasons = [DownReason::Shutdown, DownReason::Aborted, DownReason::Lost];
        self.bench.down(id, reasons[program.below(3) as usize]);
        self.up.retain(|&up| up != id);
    }

    fn check(&mut self) {
        for said in self.bench.said() {
            if let Said::Message(to, bytes) = &said {
                assert!(self.up.contains(to), "{said:?} to an association that is gone");
                check_message(bytes);
            }
            if let Said::Announce(bytes) = &said {
                check_message(bytes);
            }
            self.note(format!("{said:?}").as_bytes());
        }
        for event in self.bench.told() {
            match event {
                Event::ElementRegistered { .. } => self.known += 1,
                Event::ElementRemoved { .. } => self.known -= 1,
                _ => {}
            }
            self.note(format!("{event:?}").as_bytes());
        }
        let registrar = &mut self.bench.registrar;
        let handlespace = registrar.handlespace();
        assert_eq!(handlespace.element_count(), self.known, "events tell of each element");
        assert_eq!(handlespace.count_of(registrar.identifier()), self.known);
        assert!(self.known <= ELEMENTS && handlespace.pool_count() <= POOLS);
        assert_eq!(registrar.association_count() as usize, self.up.len());
        if self.up.is_empty() {
            assert_eq!(registrar.subscription_count(), 0, "nobody is there to be told");
        }
        let mut tied = 0;
        for &id in &self.up {
            let of_association = handlespace.elements_of(AssociationId(id)).count();
            assert!(of_association <= 6, "elements_per_association_max");
            tied += of_association;
        }
        assert_eq!(tied, self.known, "each element belongs to an association that is up");
        // Drained is drained, and a time-out before its time does nothing.
        let now = self.bench.now;
        let timeout = registrar.poll_timeout();
        assert!(timeout.is_none_or(|at| at >= now), "what is due was done");
        if timeout != Some(now) {
            registrar.handle_timeout(now);
            self.bench.drain();
            assert_eq!((self.bench.said(), self.bench.told()), (vec![], vec![]));
        }
    }

    /// FNV-1a.
    fn note(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.digest = (self.digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

/// What a registrar says is well-formed, and a response lists elements or says why not.
fn check_message(bytes: &[u8]) {
    let message = AsapMessage::parse(bytes).expect("well-formed");
    let mut again = vec![0; message.encoded_len()];
    assert_eq!(message.emit(&mut again), Ok(bytes.len()));
    assert_eq!(again, bytes);
    match message {
        AsapMessage::HandleResolutionResponse(response) => {
            let count = response.elements.iter().count();
            assert_eq!(count == 0, response.error.is_some());
            assert_eq!(count == 0, response.policy.is_none());
            assert!(count <= ELEMENTS);
        }
        AsapMessage::RegistrationResponse(response) => {
            assert_eq!(response.rejected, response.error.is_some());
        }
        AsapMessage::DeregistrationResponse(_)
        | AsapMessage::EndpointKeepAlive(_)
        | AsapMessage::ServerAnnounce(_)
        | AsapMessage::Error(_) => {}
        other => panic!("a registrar does not say {other:?}"),
    }
}

/// A well-formed message that a registrar takes.
fn sound(program: &mut Program<'_>) -> Vec<u8> {
    let kind = program.byte() % 12;
    let pool = ["A", "Bee", "Sea-Pool", "0123456789abcdef0123456789abcdef", "E"];
    let pool = pool[program.below(5) as usize];
    let pe_id = program.below(7);
    match kind {
        0..=4 => register(&sound_element(pool, pe_id, program)),
        5 => deregister(pool, pe_id),
        6 | 7 => {
            let items = match program.byte() {
                items @ 128..192 => return subscribe(pool, Some(u32::from(items) - 128)),
                0 => None,
                255 => Some(u32::MAX),
                items => Some(u32::from(items)),
            };
            resolve(pool, items)
        }
        8 | 9 => alive(pool, pe_id),
        _ => unreachable(pool, pe_id),
    }
}

fn sound_element<'a>(pool: &'a str, pe_id: u32, program: &mut Program<'_>) -> Element<'a> {
    let value = u32::from(program.byte());
    let policy = match program.below(8) {
        0 => Policy::Random,
        1 => Policy::WeightedRandom { weight: value % 3 },
        2 => Policy::WeightedRoundRobin { weight: value },
        3 => Policy::LeastUsed { load: Load(value << 24) },
        4 => Policy::LeastUsedDpf { load: Load(value), dpf: Load(value << 16), distance: value },
        _ => Policy::RoundRobin,
    };
    let addresses = match program.below(8) {
        0 => vec![ip("192.0.2.1")],
        1 => vec![ip("10.1.0.1"), ip(&address_of(1)), ip(&address_of(2))],
        2 => vec![ip("fd77::1"), ip("10.1.0.1")],
        _ => vec![ip("10.1.0.1")],
    };
    let transport_use = match program.below(8) {
        0 => TransportUse::Data,
        _ => TransportUse::DataPlusControl,
    };
    let life = value.pow(2);
    Element { addresses, policy, transport_use, life, ..element(pool, pe_id) }
}
