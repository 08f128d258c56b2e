//! A pool element and a pool user under any sequence of commands, messages and timeouts.
//!
//! The input is a list of steps: a byte that says what happens to whom, and bytes that say how.
//! What the machines put out is held against the contract of
//! [`machine`](rserpool_core::machine) and against what a transport can do.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::BTreeSet;

use rserpool_core::asap::{
    InputError, POOL_ELEMENT_MESSAGE_LEN_MAX, POOL_USER_MESSAGE_LEN_MAX, PoolElement,
    PoolElementConfig, PoolElementStatus, PoolUser, PoolUserConfig, PoolUserEvent, UserTransport,
};
use rserpool_core::association::{
    AssociationId, ConnectId, DownReason, Endpoint, Input, Ppid, StreamId, Transmit,
};
use rserpool_core::entropy::SplitMix64;
use rserpool_core::identifier::{PeId, PoolHandle, RegistrarId};
use rserpool_core::machine::Machine;
use rserpool_core::profile::Profile;
use rserpool_core::time::Instant;
use rserpool_core::wire::asap::{
    AsapMessage, DeregistrationResponse, EndpointKeepAlive, Error, HandleResolutionResponse,
    HandleResolutionResponseBuilder, RegistrationResponse,
};
use rserpool_core::wire::{
    Cause, Load, OperationError, Policy, Protocol, RegistrationLife, TransportBuf, TransportUse,
};

/// Runs the input twice: the same goes in, so the same must come out.
pub fn run(data: &[u8]) {
    let first = run_once(data);
    assert_eq!(first, run_once(data), "not repeatable");
}

fn run_once(data: &[u8]) -> u64 {
    let mut source = Source(data);
    let profile = if source.byte() & 1 == 0 { Profile::Rsplib } else { Profile::Rfc };
    let mut element = element_bench(profile, source.byte());
    let mut user = user_bench(profile, source.byte());
    for _ in 0..STEPS_MAX {
        let Some(step) = source.step() else { break };
        if step & 0x80 == 0 {
            element_step(&mut element, step & 0x0f, &mut source);
        } else {
            user_step(&mut user, step & 0x0f, &mut source);
        }
    }
    user.all_resolutions_end();
    element.leaving_ends();
    element.digest ^ user.digest.rotate_left(1)
}

/// The pool element, in `PoolA` or `PoolB`.
type ElementBench = Bench<PoolElement>;
type SmallUser = PoolUser<2, 3, 4>;
type UserBench = Bench<SmallUser>;

fn element_bench(profile: Profile, registrars: u8) -> ElementBench {
    let mut config = PoolElementConfig::new(profile);
    config.pe_id = Some(PE_ID);
    let mut element = PoolElement::new(config, &mut SplitMix64::new(u64::from(registrars)));
    for last in 0..registrars % 5 {
        element.add_registrar(&registrar(last)).expect("there is room for eight");
    }
    Bench::new(element, POOL_ELEMENT_MESSAGE_LEN_MAX)
}

fn user_bench(profile: Profile, registrars: u8) -> UserBench {
    let mut config = PoolUserConfig::new(profile);
    config.timers.stale_cache = Duration::from_secs(u64::from(registrars / 16));
    let mut user = SmallUser::new(config, &mut SplitMix64::new(u64::from(registrars)));
    for last in 0..registrars % 5 {
        user.add_registrar(&registrar(last)).expect("there is room for eight");
    }
    Bench::new(user, POOL_USER_MESSAGE_LEN_MAX)
}

fn element_step(bench: &mut ElementBench, step: u8, source: &mut Source<'_>) {
    let now = bench.now;
    let how = source.byte();
    match step {
        10 => {
            let transport = UserTransport::sctp(Endpoint::new(SocketAddr::from((
                [10, 77, 0, how],
                u16::from(how),
            ))));
            let _ = bench.machine.register(now, pool(how), &transport, policy(source.byte()));
        }
        11 => {
            let _ = bench.machine.update_policy(now, policy(how));
        }
        12 => {
            let _ = bench.machine.deregister(now);
        }
        13 => {
            bench.machine.stop();
            assert_eq!(bench.machine.status(), PoolElementStatus::Idle);
            assert_eq!(bench.machine.poll_timeout(), None);
        }
        14 => {
            let _ = bench.machine.handle_announce(now, from(how), &message(source));
        }
        _ => return bench.step(step, how, source),
    }
    bench.drain();
}

fn user_step(bench: &mut UserBench, step: u8, source: &mut Source<'_>) {
    let now = bench.now;
    let how = source.byte();
    match step {
        10 => {
            if how & 0xf0 == 0xf0 {
                let _ = bench.machine.watch(now, pool(how));
            }
            if how & 0xf0 == 0xe0 {
                bench.machine.unwatch(now, pool(how));
            }
            let items = (how & 4 == 0).then(|| u32::from(source.byte()));
            if let Ok(resolution) = bench.machine.resolve(now, pool(how), items) {
                assert!(bench.pending.insert(resolution.0), "two of the same number");
            }
        }
        11 => {
            let _ = bench.machine.report_unreachable(now, pool(how), PeId(u32::from(how)));
        }
        12 => bench.machine.purge(pool(how)),
        13 => {
            bench.machine.stop();
            bench.pending.clear();
            assert_eq!(bench.machine.poll_timeout(), None);
        }
        14 => {
            let _ = bench.machine.handle_announce(now, from(how), &message(source));
        }
        _ => return bench.step(step, how, source),
    }
    bench.drain();
}

/// A machine with a transport that can do what transports do.
struct Bench<M> {
    machine: M,
    message_len_max: usize,
    now: Instant,
    /// Attempts under way.
    connects: Vec<u32>,
    /// Associations that are up, and whether the machine asked for them.
    open: Vec<(u32, bool)>,
    /// Associations that the machine has closed and not heard the end of.
    closing: Vec<u32>,
    next_association: u32,
    /// All attempts ever.
    attempted: BTreeSet<u32>,
    /// Resolutions that have not ended.
    pending: BTreeSet<u32>,
    digest: u64,
}

/// Events that the bench looks into.
trait Ended {
    fn ended(&self) -> Option<u32>;
}

impl Ended for PoolUserEvent {
    fn ended(&self) -> Option<u32> {
        match self {
            Self::Resolved { resolution, .. }
            | Self::UnknownPool { resolution, .. }
            | Self::NoRegistrar { resolution, .. }
            | Self::Failed { resolution, .. } => Some(resolution.0),
            _ => None,
        }
    }
}

impl Ended for rserpool_core::asap::PoolElementEvent {
    fn ended(&self) -> Option<u32> {
        None
    }
}

impl<M> Bench<M>
where
    M: for<'a> Machine<
            Input<'a> = Input<'a>,
            Transmit = Transmit,
            Error = InputError,
            Event: Ended + core::fmt::Debug,
        >,
{
    fn new(machine: M, message_len_max: usize) -> Self {
        Self {
            machine,
            message_len_max,
            now: Instant::ZERO,
            connects: Vec::new(),
            open: Vec::new(),
            closing: Vec::new(),
            next_association: 0,
            attempted: BTreeSet::new(),
            pending: BTreeSet::new(),
            digest: 0xcbf2_9ce4_8422_2325,
        }
    }

    fn step(&mut self, step: u8, how: u8, source: &mut Source<'_>) {
        match step {
            0 => self.pass(Duration::from_millis(u64::from(how) * 10)),
            1 => self.pass(Duration::from_secs(u64::from(how))),
            2 => self.next_timeout(),
            3 => self.connected(how),
            4 => self.refused(how),
            5 => self.ended(how),
            6 => {
                if let Some(&(association, _)) = pick(&self.open, how) {
                    self.input(Input::Restarted { association: AssociationId(association) });
                }
            }
            7 => self.called(),
            8 => self.message(how, Ppid::ASAP, &message(source)),
            9 => {
                let len = usize::from(source.byte());
                let data = source.take(len);
                let ppid = Ppid(if how & 0x80 == 0 { 11 } else { u32::from(how) });
                self.message(how, ppid, data);
            }
            _ => {}
        }
    }

    /// Time passes, with all timers on the way.
    fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        for _ in 0..TIMEOUTS_MAX {
            let Some(next) = self.machine.poll_timeout().filter(|&next| next <= end) else {
                self.now = end;
                // Too early or without reason: nothing may happen.
                self.machine.handle_timeout(self.now);
                self.drain();
                return;
            };
            self.now = self.now.max(next);
            self.machine.handle_timeout(self.now);
            self.drain();
            let again = self.machine.poll_timeout();
            assert!(again.is_none_or(|again| again > self.now), "busy loop: {again:?}");
        }
        panic!("more than {TIMEOUTS_MAX} timeouts within {span:?}");
    }

    fn next_timeout(&mut self) {
        if let Some(next) = self.machine.poll_timeout() {
            self.pass(next.saturating_duration_since(self.now));
        }
    }

    fn connected(&mut self, how: u8) {
        if self.connects.is_empty() {
            return;
        }
        let connect = self.connects.remove(usize::from(how) % self.connects.len());
        self.up(Some(ConnectId(connect)));
    }

    fn called(&mut self) {
        if self.open.len() < ASSOCIATIONS_MAX {
            self.up(None);
        }
    }

    fn up(&mut self, connect: Option<ConnectId>) {
        let association = self.next_association;
        self.next_association += 1;
        self.open.push((association, connect.is_some()));
        let association = AssociationId(association);
        self.input(Input::Up { association, connect, peer_addresses: &[], peer_port: 3863 });
    }

    fn refused(&mut self, how: u8) {
        if self.connects.is_empty() {
            return;
        }
        let connect = self.connects.remove(usize::from(how) % self.connects.len());
        self.input(Input::ConnectFailed { connect: ConnectId(connect) });
    }

    fn ended(&mut self, how: u8) {
        let association = if how & 0x80 == 0 {
            let Some(&(association, _)) = pick(&self.open, how) else { return };
            self.open.retain(|&(open, _)| open != association);
            association
        } else {
            let Some(&association) = pick(&self.closing, how) else { return };
            self.closing.retain(|&closing| closing != association);
            association
        };
        let reason = match how & 3 {
            0 => DownReason::Shutdown,
            1 => DownReason::Aborted,
            _ => DownReason::Lost,
        };
        self.input(Input::Down { association: AssociationId(association), reason });
    }

    fn message(&mut self, how: u8, ppid: Ppid, data: &[u8]) {
        if let Some(&(association, _)) = pick(&self.open, how & 0x7f) {
            let association = AssociationId(association);
            self.input(Input::Message { association, stream: StreamId(0), ppid, data });
        }
    }

    fn input(&mut self, input: Input<'_>) {
        let _ = self.machine.handle_input(self.now, input);
        self.drain();
    }

    fn drain(&mut self) {
        let mut buf = [0; 512];
        let buf = &mut buf[..self.message_len_max];
        for pulled in 0.. {
            assert!(pulled < TRANSMITS_MAX, "more than {TRANSMITS_MAX} things to send at once");
            let Some(transmit) = self.machine.poll_transmit(self.now, buf) else { break };
            self.check(&transmit, buf);
            let note = format!("{transmit:?}");
            self.note(note.as_bytes());
        }
        for pulled in 0.. {
            assert!(pulled < TRANSMITS_MAX, "more than {TRANSMITS_MAX} events at once");
            let Some(event) = self.machine.poll_event() else { break };
            if let Some(resolution) = event.ended() {
                assert!(self.pending.remove(&resolution), "{event:?} ended twice");
            }
            let note = format!("{event:?}");
            self.note(note.as_bytes());
        }
        // RFC 5352 §3.6, SH1; and of what came up all but the home is closed again.
        assert!(self.connects.len() <= 3, "{} attempts at a time", self.connects.len());
        let asked_for = self.open.iter().filter(|(_, asked_for)| *asked_for).count();
        assert!(asked_for <= 1, "{asked_for} associations to registrars: {:?}", self.open);
    }

    fn check(&mut self, transmit: &Transmit, buf: &[u8]) {
        match *transmit {
            Transmit::Connect { connect, ref endpoint } => {
                assert!(self.attempted.insert(connect.0), "two attempts of the same number");
                assert!(!endpoint.addresses.is_empty());
                self.connects.push(connect.0);
            }
            Transmit::CancelConnect { connect } => {
                assert!(self.connects.contains(&connect.0), "nothing to cancel");
                self.connects.retain(|&under_way| under_way != connect.0);
            }
            Transmit::Message { association, stream, ppid, len } => {
                assert!(self.is_open(association), "to {association:?}, which is not up");
                assert_eq!((stream, ppid), (StreamId(0), Ppid::ASAP));
                let message = AsapMessage::parse(&buf[..len]).expect("we send nothing malformed");
                assert!(!matches!(message, AsapMessage::Unknown(_)));
                self.note(&buf[..len]);
            }
            Transmit::Shutdown { association } | Transmit::Abort { association } => {
                assert!(self.is_open(association), "closes {association:?}, which is not up");
                self.open.retain(|&(open, _)| open != association.0);
                self.closing.push(association.0);
            }
            ref other => panic!("{other:?}"),
        }
    }

    fn is_open(&self, association: AssociationId) -> bool {
        self.open.iter().any(|&(open, _)| open == association.0)
    }

    /// FNV-1a over all that came out.
    fn note(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.digest = (self.digest ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

impl UserBench {
    /// With no answer at all, every resolution ends within T1 and its repetitions.
    fn all_resolutions_end(&mut self) {
        self.pass(Duration::from_secs(4 * 15));
        assert!(self.pending.is_empty(), "{:?} never ended", self.pending);
    }
}

impl ElementBench {
    /// With no answer at all, a deregistration ends within T3 and its repetitions.
    fn leaving_ends(&mut self) {
        let _ = self.machine.deregister(self.now);
        self.drain();
        self.pass(Duration::from_secs(3 * 30));
        assert_eq!(self.machine.status(), PoolElementStatus::Idle);
        assert_eq!(self.machine.poll_timeout(), None);
    }
}

/// A well-formed message that may have to do with what was asked.
fn message(source: &mut Source<'_>) -> Vec<u8> {
    let (kind, how) = (source.byte(), source.byte());
    let pool = pool(how);
    let pe_id = if how & 4 == 0 { PE_ID } else { PeId(u32::from(how)) };
    let error = OperationError::new(Cause(u16::from(how & 0x0f)), &[]);
    let error = (how & 8 != 0).then_some(error);
    let mut buf = vec![0; 1_024];
    let len = match kind % 8 {
        0 => {
            let mut response = RegistrationResponse::granted(pool, pe_id);
            response.rejected = how & 0x10 != 0;
            response.error = error;
            response.emit(&mut buf)
        }
        1 => {
            let mut response = DeregistrationResponse::new(pool, pe_id);
            response.error = error;
            response.emit(&mut buf)
        }
        2 | 3 => {
            let registrar = RegistrarId(u32::from(how >> 5));
            let mut keep_alive = EndpointKeepAlive::new(how & 0x10 != 0, registrar, pool, pe_id);
            if how & 8 == 0 {
                keep_alive.pe_id = None;
            }
            keep_alive.emit(&mut buf)
        }
        4 | 5 => match error {
            Some(error) => HandleResolutionResponse::refused(pool, error).emit(&mut buf),
            None => Ok(resolution(pool, source, &mut buf)),
        },
        6 => Error::new(error.unwrap_or(OperationError::new(Cause(16), &[]))).emit(&mut buf),
        _ => {
            buf[..12].copy_from_slice(b"\x0a\x00\x00\x08\x11\x11\x11\x11\0\0\0\0");
            Ok(8)
        }
    };
    buf.truncate(len.expect("1024 bytes are enough"));
    buf
}

/// A Handle Resolution Response with some elements; says how long it is.
fn resolution(pool: PoolHandle<'_>, source: &mut Source<'_>, buf: &mut [u8]) -> usize {
    let mut response = HandleResolutionResponseBuilder::new(buf, pool).expect("room");
    response.policy(policy(source.byte())).expect("room");
    for _ in 0..source.byte() % 6 {
        let id = source.byte();
        let address = [10, 77, 0, source.byte()].into();
        let port = u16::from(source.byte());
        let transport =
            TransportBuf::<32>::new(Protocol::Sctp, port, TransportUse::Data, &[address])
                .expect("room");
        let element = rserpool_core::wire::PoolElement::new(
            PeId(u32::from(id)),
            RegistrationLife(1_000),
            transport.as_transport(),
            policy(id),
        );
        response.element(&element).expect("room");
    }
    response.finish()
}

fn policy(how: u8) -> Policy {
    match how % 4 {
        0 => Policy::RoundRobin,
        1 => Policy::Random,
        2 => Policy::WeightedRoundRobin { weight: u32::from(how) },
        _ => Policy::LeastUsed { load: Load(u32::from(how) << 24) },
    }
}

fn pool(how: u8) -> PoolHandle<'static> {
    let handle: &[u8] = match how & 3 {
        0 | 1 => b"PoolA",
        2 => b"PoolB",
        _ => b"PoolC",
    };
    PoolHandle::new(handle).expect("five bytes")
}

fn from(how: u8) -> SocketAddr {
    SocketAddr::from(([10, 77, 0, how], 40_000))
}

fn registrar(last: u8) -> Endpoint {
    Endpoint::new(SocketAddr::from(([10, 77, 1, last], 3863)))
}

fn pick<T>(of: &[T], how: u8) -> Option<&T> {
    of.get(usize::from(how).checked_rem(of.len())?)
}

/// The input, byte by byte; zeros follow its end.
struct Source<'a>(&'a [u8]);

impl<'a> Source<'a> {
    fn step(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    fn byte(&mut self) -> u8 {
        self.step().unwrap_or(0)
    }

    fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }
}

const PE_ID: PeId = PeId(0xaaaa_0001);
const STEPS_MAX: usize = 1_000;
const ASSOCIATIONS_MAX: usize = 16;
/// Of one drain: eight acknowledgements, eight reports, some attempts and closings.
const TRANSMITS_MAX: usize = 40;
/// Within 255 s: renewals every 100 ms at the most.
const TIMEOUTS_MAX: usize = 4_000;
