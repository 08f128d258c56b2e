//! The contract of `rserpool_core::machine`, for the sessions of all services on both sides:
//! whatever comes in, in whatever order, what comes out has an end, is repeatable, and goes to
//! associations that are up; after a timeout the next one is later; nothing is left at the end.

use std::collections::BTreeMap;
use std::time::Duration;

use rserpool_core::asap::{ResolvedElement, UserTransport, emit_business_card};
use rserpool_core::association::{
    AssociationId, ConnectId, DownReason, Endpoint, Input, Ppid, StreamId, Transmit,
};
use rserpool_core::compute::Stop;
use rserpool_core::entropy::{Entropy, SplitMix64};
use rserpool_core::identifier::{PeId, PoolHandle, RegistrarId};
use rserpool_core::machine::Machine;
use rserpool_core::time::Instant;
use rserpool_core::wire::Policy;

use super::recorded::{self, Said};
use super::{
    Call, CallEvent, CallerConfig, Serve, ServerEvent, Service, SessionCaller, SessionServer,
    basic, calc_app, fractal, ping_pong, scripting,
};

/// What the machine under test has, and what has come of it.
struct Bench {
    random: SplitMix64,
    now: Instant,
    /// Associations that are up, and whether the machine has asked to end them.
    links: BTreeMap<AssociationId, bool>,
    connects: Vec<ConnectId>,
    buf: Vec<u8>,
    /// Of all that came out.
    digest: u64,
}

impl Bench {
    fn new(seed: u64, len_max: usize) -> Self {
        let (random, now) = (SplitMix64::new(seed), Instant::from_millis(1_000));
        let (links, connects) = (BTreeMap::new(), Vec::new());
        Self { random, now, links, connects, buf: vec![0; len_max], digest: 0 }
    }

    fn note(&mut self, what: &str) {
        for byte in what.bytes() {
            self.digest = (self.digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    /// Pulls all that there is, which must have an end, and be followed by silence.
    fn drain<M>(&mut self, machine: &mut M) -> Vec<M::Event>
    where
        M: Machine<Transmit = Transmit>,
        M::Event: std::fmt::Debug,
    {
        let mut sent_count = 0;
        while let Some(transmit) = machine.poll_transmit(self.now, &mut self.buf) {
            self.on_transmit(transmit);
            sent_count += 1;
            assert!(sent_count < SENT_COUNT_MAX, "there is no end of what it sends");
        }
        let events: Vec<_> = std::iter::from_fn(|| machine.poll_event()).take(1_000).collect();
        assert!(events.len() < 1_000, "there is no end of what it tells");
        for event in &events {
            self.note(&format!("{event:?}"));
        }
        assert_eq!(machine.poll_transmit(self.now, &mut self.buf), None, "silent once drained");
        events
    }

    fn on_transmit(&mut self, transmit: Transmit) {
        match &transmit {
            Transmit::Connect { connect, .. } => self.connects.push(*connect),
            Transmit::CancelConnect { connect } => {
                assert!(self.connects.contains(connect), "{transmit:?}");
                self.connects.retain(|known| known != connect);
            }
            Transmit::Message { association, len, .. } => {
                assert_eq!(self.links.get(association), Some(&false), "{transmit:?}");
                let bytes = self.buf[..*len].to_vec();
                self.note(&format!("{bytes:?}"));
            }
            Transmit::Shutdown { association } | Transmit::Abort { association } => {
                let is_ended = self.links.get_mut(association);
                *is_ended.unwrap_or_else(|| panic!("{transmit:?}")) = true;
            }
            Transmit::Multicast { .. } => panic!("{transmit:?}"),
            _ => {}
        }
        self.note(&format!("{transmit:?}"));
    }

    /// What is due is done, and the next is later.
    fn timeout<M>(&mut self, machine: &mut M) -> Vec<M::Event>
    where
        M: Machine<Transmit = Transmit>,
        M::Event: std::fmt::Debug,
    {
        machine.handle_timeout(self.now);
        let events = self.drain(machine);
        let next = machine.poll_timeout();
        assert!(next.is_none_or(|next| next > self.now), "it spins: {next:?} at {:?}", self.now);
        events
    }

    /// One of the links, if there are any.
    fn link(&mut self) -> Option<AssociationId> {
        let count = self.links.len() as u64;
        let index = (count > 0).then(|| self.random.below(count) as usize)?;
        self.links.keys().nth(index).copied()
    }

    /// Something that was said, now and then with a wrong byte, or rubbish.
    fn data(&mut self, said: &[Said]) -> (Ppid, Vec<u8>) {
        let said = &said[self.random.below(said.len() as u64) as usize];
        let mut data = said.data.clone();
        match self.random.below(8) {
            0 if !data.is_empty() => {
                let place = self.random.below(data.len().min(24) as u64) as usize;
                data[place] = self.random.below(256) as u8;
            }
            1 => data.truncate(self.random.below(data.len() as u64 + 1) as usize),
            _ => {}
        }
        let ppid = if self.random.below(20) == 0 { Ppid(99) } else { said.ppid };
        (ppid, data)
    }
}

/// Drives sessions of a service at random; what came out.
fn serve<S: Serve>(seed: u64, service: S, said: &[Said]) -> u64 {
    let mut server = SessionServer::new(service, 3);
    server.give_cards(pool().to_buf(), PeId(1));
    let mut bench = Bench::new(seed, SessionServer::<S>::TRANSMIT_LEN_MAX);
    let mut next_id = 1;
    let mut stops = 0;
    for _ in 0..STEP_COUNT {
        let now = bench.now;
        match bench.random.below(16) {
            0 | 1 => {
                let association = AssociationId(next_id);
                next_id += 1;
                bench.links.insert(association, false);
                server.handle_input(now, up(association, None)).unwrap();
            }
            2 => {
                if let Some(association) = bench.link() {
                    bench.links.remove(&association);
                    server.handle_input(now, down(association)).unwrap();
                }
            }
            3 if bench.random.below(4) == 0 => {
                if let Some(association) = bench.link() {
                    bench.links.insert(association, false);
                    let _ = server.handle_input(now, Input::Restarted { association });
                }
            }
            4 => server.set_elements(&elements(&mut bench.random)),
            5 | 6 => bench.now += Duration::from_millis(bench.random.below(4_000)),
            7 => drop(server.run(now, 20_000)),
            8 if bench.random.below(60) == 0 => server.stop(now, Stop::HandOn),
            _ => {
                let (ppid, data) = bench.data(said);
                // From a stranger now and then.
                let association = bench.link().unwrap_or(AssociationId(0));
                let (stream, data) = (StreamId(0), &data[..]);
                let _ =
                    server.handle_input(now, Input::Message { association, stream, ppid, data });
            }
        }
        let events = [bench.drain(&mut server), bench.timeout(&mut server)].concat();
        stops += events.iter().filter(|event| **event == ServerEvent::Stopped).count();
        assert!(server.session_count() <= 3);
    }
    let now = bench.now;
    server.stop(now, Stop::HandOn);
    for (association, _) in std::mem::take(&mut bench.links) {
        server.handle_input(now, down(association)).unwrap();
    }
    let events = bench.drain(&mut server);
    stops += events.iter().filter(|event| **event == ServerEvent::Stopped).count();
    assert_eq!((server.session_count(), server.poll_timeout(), stops), (0, None, 1));
    assert!(!server.run(now, 1_000));
    bench.digest
}

/// A caller, and what it has asked for and told.
struct Calling<C: Call> {
    bench: Bench,
    caller: SessionCaller<C>,
    next_id: u32,
    is_asked: bool,
    end_count: usize,
}

impl<C> Calling<C>
where
    C: Call,
    C::Event: std::fmt::Debug,
{
    fn new(seed: u64, client: C) -> Self {
        let bench = Bench::new(seed, SessionCaller::<C>::TRANSMIT_LEN_MAX);
        let deadline = Some(Duration::from_secs(300));
        let config = CallerConfig { deadline, ..CallerConfig::default() };
        let caller = SessionCaller::new(bench.now, client, pool(), config);
        Self { bench, caller, next_id: 1, is_asked: false, end_count: 0 }
    }

    fn step(&mut self, said: &[Said]) {
        let now = self.bench.now;
        match self.bench.random.below(12) {
            0 | 1 if self.is_asked => {
                self.is_asked = false;
                let found = elements(&mut self.bench.random);
                let is_found = self.bench.random.below(4) > 0;
                self.caller.on_resolution(now, is_found.then_some(&found[..]));
            }
            2 | 3 => self.answer_attempt(),
            4 if self.bench.random.below(3) == 0 => {
                if let Some(association) = self.bench.link() {
                    self.bench.links.remove(&association);
                    self.caller.handle_input(now, down(association)).unwrap();
                }
            }
            5 if self.bench.random.below(8) == 0 => {
                if let Some(association) = self.bench.link() {
                    self.caller.handle_input(now, Input::Restarted { association }).unwrap();
                }
            }
            6 | 7 => self.bench.now += Duration::from_millis(self.bench.random.below(2_000)),
            8 => {
                let mut card = [0; 1_024];
                let others = elements(&mut self.bench.random);
                let len = emit_business_card(pool(), &others, &mut card).unwrap();
                hear(&mut self.bench, &mut self.caller, Ppid::ASAP, &card[..len]);
            }
            _ => {
                let (ppid, data) = self.bench.data(said);
                hear(&mut self.bench, &mut self.caller, ppid, &data);
            }
        }
    }

    fn answer_attempt(&mut self) {
        let Some(connect) = self.bench.connects.pop() else { return };
        let association = AssociationId(self.next_id);
        self.next_id += 1;
        let input = match self.bench.random.below(4) {
            0 => Input::ConnectFailed { connect },
            _ => {
                self.bench.links.insert(association, false);
                up(association, Some(connect))
            }
        };
        self.caller.handle_input(self.bench.now, input).unwrap();
    }

    /// Pulls what there is, and what is there when the time is over.
    fn settle(&mut self) {
        let events = self.bench.drain(&mut self.caller);
        let more = self.bench.timeout(&mut self.caller);
        for event in events.iter().chain(&more) {
            match event {
                CallEvent::Finished(_) => self.end_count += 1,
                CallEvent::Resolve { .. } => {
                    assert_eq!(self.end_count, 0, "it asks although all is over");
                    self.is_asked = true;
                }
                _ => {}
            }
        }
    }
}

/// Drives a caller at random; what came out.
fn call<C>(seed: u64, client: C, said: &[Said]) -> u64
where
    C: Call,
    C::Event: std::fmt::Debug,
{
    let mut calling = Calling::new(seed, client);
    for _ in 0..STEP_COUNT {
        calling.step(said);
        calling.settle();
    }
    calling.bench.now += Duration::from_secs(301);
    calling.settle();
    let Calling { bench, caller, end_count, .. } = calling;
    assert_eq!((end_count, caller.poll_timeout(), caller.is_closed()), (1, None, true));
    assert!(bench.links.values().all(|is_ended| *is_ended), "{:?}", bench.links);
    assert!(bench.connects.is_empty(), "{:?}", bench.connects);
    bench.digest
}

fn hear<C: Call>(bench: &mut Bench, caller: &mut SessionCaller<C>, ppid: Ppid, data: &[u8]) {
    let association = bench.link().unwrap_or(AssociationId(0));
    let message = Input::Message { association, stream: StreamId(0), ppid, data };
    let _ = caller.handle_input(bench.now, message);
}

fn up(association: AssociationId, connect: Option<ConnectId>) -> Input<'static> {
    Input::Up { association, connect, peer_addresses: &[], peer_port: 7 }
}

fn down(association: AssociationId) -> Input<'static> {
    Input::Down { association, reason: DownReason::Lost }
}

fn pool() -> PoolHandle<'static> {
    PoolHandle::new(b"AnyPool").expect("a short handle")
}

/// Up to six elements.
fn elements(random: &mut SplitMix64) -> Vec<ResolvedElement> {
    let element = |id| ResolvedElement {
        id: PeId(id),
        home: RegistrarId(1),
        transport: UserTransport::sctp(Endpoint::new("10.0.0.1:7001".parse().unwrap())),
        policy: Policy::RoundRobin,
    };
    (0..random.below(7)).map(|_| element(1 + random.below(9) as u32)).collect()
}

/// Runs each seed twice: the same goes in, so the same must come out; other seeds yield others.
fn repeatedly(run: impl Fn(u64) -> u64) {
    let mut digests = std::collections::BTreeSet::new();
    for seed in 0..SEED_COUNT {
        // Shown if the test fails.
        println!("seed {seed}");
        let digest = run(seed);
        assert_eq!(digest, run(seed), "not repeatable");
        digests.insert(digest);
    }
    assert_eq!(digests.len() as u64, SEED_COUNT);
}

#[test]
fn ping_pong_keeps_the_contract_of_machines() {
    let said = recorded::said("pingpong-failover-kill9", Service::PingPong);
    repeatedly(|seed| serve(seed, ping_pong::Server::new(2, Some(5)), &said));
    let config = || ping_pong::Config { count: 60, ..Default::default() };
    repeatedly(|seed| call(seed, ping_pong::Client::new(config()), &said));
}

#[test]
fn calc_app_keeps_the_contract_of_machines() {
    let said = recorded::said("calcapp-session", Service::CalcApp);
    repeatedly(|seed| serve(seed, calc_app::Server::new(calc_app::Limits::default()), &said));
    repeatedly(|seed| call(seed, calc_app::Client::new(calc_app::Config::default()), &said));
}

#[test]
fn fractal_keeps_the_contract_of_machines() {
    let said = recorded::said("fractal-session", Service::Fractal);
    repeatedly(|seed| serve(seed, fractal::Server::new(fractal::Limits::default()), &said));
    let parameter = fractal::Parameter {
        width: 40,
        height: 30,
        iterations_max: 5,
        algorithm: fractal::Algorithm::Mandelbrot,
        c1: (-1.5, 1.5),
        c2: (1.5, -1.5),
        n: 2.0,
    };
    let timeout = Duration::from_secs(3);
    let config = || fractal::Config { parameter, timeout };
    repeatedly(|seed| call(seed, fractal::Client::new(config()), &said));
}

#[test]
fn scripting_keeps_the_contract_of_machines() {
    let said = recorded::said("scripting-notready", Service::Scripting);
    let limits = scripting::Limits::default;
    repeatedly(|seed| serve(seed, scripting::Server::new(limits(), "test"), &said));
    let package: &[u8] = &[7; 40_000];
    let config = || scripting::Config::new(package.into(), None);
    repeatedly(|seed| call(seed, scripting::Client::new(config()), &said));
}

#[test]
fn basic_services_keep_the_contract_of_machines() {
    let said = recorded::said("basic-services", Service::Echo);
    for kind in [basic::Kind::Echo, basic::Kind::Discard, basic::Kind::Daytime { tell: noon }] {
        repeatedly(|seed| serve(seed, basic::Server::new(kind, 2), &said));
    }
    let (what, timeout) = (basic::What::Echo(vec![b"one".into(); 30]), Duration::from_secs(3));
    let config = || basic::Config { what: what.clone(), timeout };
    repeatedly(|seed| call(seed, basic::Client::new(config()), &said));
}

fn noon() -> String {
    "noon\n".into()
}

const SEED_COUNT: u64 = 40;
const STEP_COUNT: usize = 300;

/// More than the longest answer to one input.
const SENT_COUNT_MAX: usize = 5_000;
