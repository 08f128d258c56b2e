//! The compute service: its messages and cookies, a worker and a job runner fed with whatever
//! comes.
//!
//! The first byte chooses. 0: the input is a message or cookie; what can be read is written and
//! read again. 1: a worker under a sequence of inputs. 2: a job runner under such a sequence.

use std::net::SocketAddr;
use std::time::Duration;

use rserpool::job::{Event, JobRunner, RunnerConfig, SyntheticJob, TRANSMIT_LEN_MAX};
use rserpool_core::asap::cookie::CookieKey;
use rserpool_core::association::{
    AssociationId, ConnectId, DownReason, Endpoint, Input, Ppid, StreamId, Transmit,
};
use rserpool_core::compute::cookie::{COOKIE_MESSAGE_LEN_MAX, Checkpoint, Control};
use rserpool_core::compute::kernels::{StandardKernels, SyntheticLoad};
use rserpool_core::compute::{
    JobNonce, KernelId, PackageId, RunnerMessage, Stop, Worker, WorkerConfig, WorkerMessage,
};
use rserpool_core::identifier::{PeId, PoolHandle};
use rserpool_core::machine::Machine;
use rserpool_core::time::Instant;

type SmallWorker = Worker<StandardKernels, 2, 2, 128>;

const KEY: CookieKey = CookieKey::new([3; 32]);
/// What one machine may say before it is pulled dry. More would be a machine that never stops.
const OUTPUTS_MAX: usize = 10_000;

/// Runs what `data` encodes.
///
/// # Panics
///
/// If an invariant is broken.
pub fn run(data: &[u8]) {
    match data.split_first() {
        Some((0, rest)) => messages(rest),
        Some((1, rest)) => worker(rest),
        Some((2, rest)) => runner(rest),
        _ => {}
    }
}

fn messages(data: &[u8]) {
    let mut buf = vec![0; data.len() + 512];
    if let Ok(message) = WorkerMessage::decode(data) {
        let len = message.encode(&mut buf).expect("there is room");
        assert!(len <= data.len(), "the shortest form is no longer");
        assert_eq!(WorkerMessage::decode(&buf[..len]), Ok(message));
    }
    if let Ok(message) = RunnerMessage::decode(data) {
        let len = message.encode(&mut buf).expect("there is room");
        assert!(len <= data.len(), "the shortest form is no longer");
        assert_eq!(RunnerMessage::decode(&buf[..len]), Ok(message));
    }
    let (Some(Control::Cookie(cookie)) | Some(Control::CookieEcho(cookie))) = Control::parse(data)
    else {
        return;
    };
    let pool = PoolHandle::new(b"ComputePool").expect("short enough");
    assert_eq!(Checkpoint::open(&KEY, pool, cookie), None, "nobody guesses the key");
    if let Some(checkpoint) = Checkpoint::peek(cookie)
        && checkpoint.parameters.len() <= 128
        && checkpoint.state.len() <= 64
    {
        let mut sealed = [0; COOKIE_MESSAGE_LEN_MAX];
        let len = checkpoint.seal(&KEY, pool, &mut sealed).expect("there is room");
        let Some(Control::Cookie(cookie)) = Control::parse(&sealed[..len]) else {
            panic!("what was sealed is a cookie")
        };
        assert_eq!(Checkpoint::peek(cookie), Some(checkpoint));
        let opened = Checkpoint::open(&KEY, pool, cookie);
        assert!(opened.is_none_or(|opened| opened == checkpoint));
    }
}

/// Takes bytes off the front of the input; zeros when it is used up.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn next(&mut self) -> u8 {
        match self.0.split_first() {
            Some((&first, rest)) => {
                self.0 = rest;
                first
            }
            None => 0,
        }
    }

    fn slice(&mut self) -> &'a [u8] {
        let len = usize::from(self.next()).min(self.0.len());
        let (slice, rest) = self.0.split_at(len);
        self.0 = rest;
        slice
    }
}

fn down(byte: u8) -> DownReason {
    match byte % 3 {
        0 => DownReason::Shutdown,
        1 => DownReason::Aborted,
        _ => DownReason::Lost,
    }
}

fn message(association: AssociationId, ppid: Ppid, data: &[u8]) -> Input<'_> {
    let stream = StreamId(u16::from(ppid == Ppid::COMPUTE));
    Input::Message { association, stream, ppid, data }
}

fn worker(data: &[u8]) {
    let mut bytes = Bytes(data);
    let pool = PoolHandle::new(b"ComputePool").expect("short enough").to_buf();
    let mut worker = SmallWorker::new(WorkerConfig::new(pool), KEY);
    let mut now = Instant::from_millis(1);
    let mut cookie: Vec<u8> = Vec::new();
    while !bytes.0.is_empty() {
        let association = AssociationId(u32::from(bytes.next() % 3));
        let mut buf = [0; 512];
        let up = Input::Up { association, connect: None, peer_addresses: &[], peer_port: 1 };
        match bytes.next() % 10 {
            0 | 1 => drop(worker.handle_input(now, up)),
            2 => drop(worker.handle_input(now, Input::Restarted { association })),
            3 => {
                let reason = down(bytes.next());
                let _ = worker.handle_input(now, Input::Down { association, reason });
            }
            4 => {
                let data = bytes.slice();
                let _ = worker.handle_input(now, message(association, Ppid::COMPUTE, data));
            }
            5 => {
                let data = bytes.slice();
                let _ = worker.handle_input(now, message(association, Ppid::ASAP, data));
            }
            6 => {
                let len = package(&mut bytes, &mut buf);
                let _ = worker.handle_input(now, message(association, Ppid::COMPUTE, &buf[..len]));
            }
            7 => {
                // The last cookie, perhaps with a changed byte.
                let len = Control::write_echo(&cookie, &mut buf).expect("there is room");
                let place = usize::from(bytes.next()) % len;
                buf[place] ^= bytes.next();
                let _ = worker.handle_input(now, message(association, Ppid::ASAP, &buf[..len]));
            }
            8 => {
                now += Duration::from_millis(u64::from(bytes.next()) * 8);
                worker.handle_timeout(now);
            }
            _ if bytes.next() == 255 => worker.stop(Stop::HandOn),
            _ => drop(worker.run(u32::from(bytes.next()) * 64)),
        }
        drain_worker(&mut worker, now, &mut cookie);
        worker.handle_timeout(now);
        assert!(worker.poll_timeout().is_none_or(|next| next > now), "the worker spins");
        drain_worker(&mut worker, now, &mut cookie);
        assert!(worker.held_count() <= 2);
    }
}

/// A package of some kernel, its parameters sound or not.
fn package(bytes: &mut Bytes<'_>, buf: &mut [u8; 512]) -> usize {
    let kernel = KernelId(u16::from(bytes.next() % 6));
    let package = PackageId(u32::from(bytes.next() % 4));
    let mut block = [0; 32];
    let load = SyntheticLoad { count: u64::from(bytes.next()) * 300, seed: 1 };
    let block_len = load.encode(&mut block).expect("there is room");
    let raw = bytes.slice();
    let parameters = if raw.is_empty() { &block[..block_len] } else { raw };
    let work = rserpool_core::compute::WorkId { job: JobNonce(1), package };
    let message = RunnerMessage::Package { work, kernel, deadline_ms: None, parameters };
    message.encode(buf).expect("a slice has at most 255 bytes")
}

fn drain_worker(worker: &mut SmallWorker, now: Instant, cookie: &mut Vec<u8>) {
    let mut buf = [0; SmallWorker::TRANSMIT_LEN_MAX];
    for _ in 0..OUTPUTS_MAX {
        let Some(transmit) = worker.poll_transmit(now, &mut buf) else {
            while worker.poll_event().is_some() {}
            return;
        };
        let Transmit::Message { ppid, len, .. } = transmit else { continue };
        if ppid == Ppid::COMPUTE {
            assert!(WorkerMessage::decode(&buf[..len]).is_ok());
        } else {
            let Some(Control::Cookie(sent)) = Control::parse(&buf[..len]) else {
                panic!("a worker sends nothing but cookies on the control channel")
            };
            let pool = PoolHandle::new(b"ComputePool").expect("short enough");
            assert!(Checkpoint::open(&KEY, pool, sent).is_some());
            cookie.clear();
            cookie.extend_from_slice(sent);
        }
    }
    panic!("the worker never falls silent");
}

fn runner(data: &[u8]) {
    let mut bytes = Bytes(data);
    let mut now = Instant::from_millis(1);
    let job = SyntheticJob::new(u64::from(bytes.next()), 10);
    let mut runner = JobRunner::new(now, job, JobNonce(1), RunnerConfig::default());
    let mut done = std::collections::BTreeSet::new();
    let mut connects = Vec::new();
    drain_runner(&mut runner, now, &mut done, &mut connects);
    while !bytes.0.is_empty() {
        let association = AssociationId(u32::from(bytes.next() % 4));
        match bytes.next() % 9 {
            0 => {
                let count = usize::from(bytes.next() % 4);
                let address = SocketAddr::from(([10, 0, 0, 1], 1));
                let list: Vec<_> = (0..count)
                    .map(|_| (PeId(u32::from(bytes.next() % 4)), Endpoint::new(address)))
                    .collect();
                runner.update_elements(now, &list);
            }
            1 | 2 => {
                let connect = connects.pop().or(Some(ConnectId(u32::from(bytes.next()))));
                let up = Input::Up { association, connect, peer_addresses: &[], peer_port: 1 };
                let _ = runner.handle_input(now, up);
            }
            3 => {
                let connect = connects.pop().unwrap_or(ConnectId(0));
                let _ = runner.handle_input(now, Input::ConnectFailed { connect });
            }
            4 => {
                let reason = down(bytes.next());
                let _ = runner.handle_input(now, Input::Down { association, reason });
            }
            5 => drop(runner.handle_input(now, Input::Restarted { association })),
            6 => {
                let ppid = if bytes.next() % 4 == 0 { Ppid::ASAP } else { Ppid::COMPUTE };
                let _ = runner.handle_input(now, message(association, ppid, bytes.slice()));
            }
            7 => {
                now += Duration::from_millis(u64::from(bytes.next()) * 8);
                runner.handle_timeout(now);
            }
            _ if bytes.next() == 255 => runner.cancel(now),
            _ => {}
        }
        drain_runner(&mut runner, now, &mut done, &mut connects);
        runner.handle_timeout(now);
        assert!(runner.poll_timeout().is_none_or(|next| next > now), "the runner spins");
        drain_runner(&mut runner, now, &mut done, &mut connects);
    }
    assert_eq!(runner.statistics().done_count as usize, done.len());
}

fn drain_runner(
    runner: &mut JobRunner<SyntheticJob>,
    now: Instant,
    done: &mut std::collections::BTreeSet<PackageId>,
    connects: &mut Vec<ConnectId>,
) {
    let mut buf = [0; TRANSMIT_LEN_MAX];
    for _ in 0..OUTPUTS_MAX {
        let Some(transmit) = runner.poll_transmit(now, &mut buf) else {
            while let Some(event) = runner.poll_event() {
                if let Event::PackageDone { package, .. } = event {
                    assert!(done.insert(package), "{package:?} is reported twice");
                }
            }
            return;
        };
        match transmit {
            Transmit::Connect { connect, .. } => connects.push(connect),
            Transmit::Message { ppid: Ppid::COMPUTE, len, .. } => {
                assert!(RunnerMessage::decode(&buf[..len]).is_ok());
            }
            _ => {}
        }
    }
    panic!("the runner never falls silent");
}

#[cfg(test)]
mod tests {
    use rserpool_core::entropy::{Entropy, SplitMix64};

    #[test]
    fn random_inputs_break_no_invariant() {
        let mut random = SplitMix64::new(11);
        for round in 0..6_000 {
            let mut data = vec![0; random.below(300) as usize + 1];
            random.fill(&mut data);
            data[0] = (round % 3) as u8;
            super::run(&data);
        }
    }
}
