//! A runner, message by message. Whole pools are in the tests package.

use core::time::Duration;

use std::net::SocketAddr;

use rserpool_core::asap::cookie::CookieKey;
use rserpool_core::association::{Ppid, StreamId};
use rserpool_core::compute::cookie::{Checkpoint, Control};
use rserpool_core::compute::{
    KERNELS_MAX, KernelId, KernelIds, Limits, OutputDigest, RejectReason, RunnerMessage,
    WORK_STREAM, WorkerMessage,
};
use rserpool_core::identifier::PoolHandle;

use super::super::SyntheticJob;
use super::*;

const START: Instant = Instant::from_millis(1_000);
const A: AssociationId = AssociationId(1);
const B: AssociationId = AssociationId(2);

struct Bench {
    runner: JobRunner<SyntheticJob>,
    now: Instant,
}

impl Bench {
    /// A runner of so many packages with elements at A (identifier 1) and B (identifier 2).
    fn new(package_count: u64) -> Self {
        let job = SyntheticJob::new(package_count * 10, 10);
        let runner = JobRunner::new(START, job, JobNonce(5), RunnerConfig::default());
        let mut bench = Self { runner, now: START };
        assert_eq!(bench.events(), [Event::Resolve]);
        let endpoint = |port| Endpoint::new(SocketAddr::from(([10, 0, 0, 1], port)));
        let elements = [(PeId(1), endpoint(1)), (PeId(2), endpoint(2))];
        bench.runner.update_elements(START, &elements);
        let connects: Vec<_> = bench
            .pull()
            .into_iter()
            .map(|(transmit, _)| match transmit {
                Transmit::Connect { connect, .. } => connect,
                other => panic!("{other:?}"),
            })
            .collect();
        for (association, connect) in [A, B].into_iter().zip(connects) {
            let connect = Some(connect);
            bench.input(Input::Up { association, connect, peer_addresses: &[], peer_port: 1 });
        }
        bench
    }

    fn input(&mut self, input: Input<'_>) {
        self.runner.handle_input(self.now, input).unwrap();
    }

    fn pass(&mut self, millis: u64) {
        self.now += Duration::from_millis(millis);
        self.runner.handle_timeout(self.now);
    }

    fn hello(&mut self, association: AssociationId) {
        let limits = Limits {
            slot_count: 2,
            parameter_len_max: 128,
            chunk_len_max: 1024,
            output_len_max: u64::MAX,
            alive_interval_ms: 750,
        };
        let mut ids = [0; 2 * KERNELS_MAX];
        let kernels = KernelIds::encode(&[KernelId(4)], &mut ids);
        self.hear(association, &WorkerMessage::Hello { limits, kernels });
    }

    fn hear(&mut self, association: AssociationId, message: &WorkerMessage<'_>) {
        let mut buf = [0; 256];
        let len = message.encode(&mut buf).unwrap();
        let (stream, ppid) = (WORK_STREAM, Ppid::COMPUTE);
        self.input(Input::Message { association, stream, ppid, data: &buf[..len] });
    }

    fn accept(&mut self, association: AssociationId, package: u32, offset: u64) {
        let work = self.runner.work(PackageId(package));
        self.hear(association, &WorkerMessage::Accept { work, offset, total: 16 });
    }

    fn chunk(&mut self, association: AssociationId, package: u32, offset: u64, bytes: &[u8]) {
        let work = self.runner.work(PackageId(package));
        self.hear(association, &WorkerMessage::Chunk { work, offset, total: 16, bytes });
    }

    fn done(&mut self, association: AssociationId, package: u32, digest: u64) {
        let work = self.runner.work(PackageId(package));
        self.hear(association, &WorkerMessage::Done { work, total: 16, digest });
    }

    /// All of a package at once.
    fn deliver(&mut self, association: AssociationId, package: u32) {
        self.accept(association, package, 0);
        self.chunk(association, package, 0, &output());
        self.done(association, package, OutputDigest::EMPTY.with(&output()).0);
    }

    fn cookie(&mut self, association: AssociationId, package: u32, offset: u64) {
        let checkpoint = Checkpoint {
            work: self.runner.work(PackageId(package)),
            kernel: KernelId(4),
            deadline_ms: None,
            done: 5,
            all: 10,
            offset,
            total: 16,
            digest: OutputDigest::EMPTY,
            parameters: &[],
            state: &[],
        };
        let mut buf = [0; 400];
        let pool = PoolHandle::new(b"ComputePool").unwrap();
        let len = checkpoint.seal(&CookieKey::new([0; 32]), pool, &mut buf).unwrap();
        let (stream, ppid) = (StreamId(0), Ppid::ASAP);
        self.input(Input::Message { association, stream, ppid, data: &buf[..len] });
    }

    fn lose(&mut self, association: AssociationId) {
        self.input(Input::Down { association, reason: DownReason::Lost });
    }

    fn pull(&mut self) -> Vec<(Transmit, Vec<u8>)> {
        let mut all = Vec::new();
        let mut buf = [0; TRANSMIT_LEN_MAX];
        while let Some(transmit) = self.runner.poll_transmit(self.now, &mut buf) {
            let len = if let Transmit::Message { len, .. } = transmit { len } else { 0 };
            all.push((transmit, buf[..len].to_vec()));
        }
        all
    }

    /// What is sent, in short: "A package 0", "B echo 1", "A cancel 2".
    fn said(&mut self) -> Vec<String> {
        self.pull().iter().map(|(transmit, bytes)| short(transmit, bytes)).collect()
    }

    fn events(&mut self) -> Vec<Event> {
        core::iter::from_fn(|| self.runner.poll_event()).collect()
    }
}

/// The output of any package; nobody looks at the sum.
fn output() -> [u8; 16] {
    let mut output = [7; 16];
    output[..8].copy_from_slice(&10_u64.to_le_bytes());
    output
}

fn short(transmit: &Transmit, bytes: &[u8]) -> String {
    let name = |association: AssociationId| if association == A { "A" } else { "B" };
    match *transmit {
        Transmit::Message { association, ppid: Ppid::ASAP, .. } => {
            let Some(Control::CookieEcho(cookie)) = Control::parse(bytes) else { panic!() };
            let package = Checkpoint::peek(cookie).unwrap().work.package.0;
            format!("{} echo {package}", name(association))
        }
        Transmit::Message { association, .. } => {
            let what = match RunnerMessage::decode(bytes).unwrap() {
                RunnerMessage::Package { work, .. } => format!("package {}", work.package.0),
                RunnerMessage::Cancel { work } => format!("cancel {}", work.package.0),
                RunnerMessage::Ping { .. } => "ping".into(),
                _ => "bye".into(),
            };
            format!("{} {what}", name(association))
        }
        Transmit::Abort { association } => format!("{} abort", name(association)),
        Transmit::Shutdown { association } => format!("{} shutdown", name(association)),
        ref other => format!("{other:?}"),
    }
}

#[test]
fn packages_go_out_in_turn_up_to_the_slots_of_each() {
    let mut bench = Bench::new(10);
    assert_eq!(bench.said(), Vec::<String>::new(), "not before the hellos");
    bench.hello(A);
    bench.hello(B);
    assert_eq!(bench.said(), ["A package 0", "A package 1", "B package 2", "B package 3"]);
    bench.deliver(B, 2);
    assert_eq!(bench.said(), ["B package 4", "B package 5"], "one more than its slots, to try");
    let done = Event::PackageDone { package: PackageId(2), element: PeId(2) };
    assert_eq!(bench.events().last(), Some(&done));
}

#[test]
fn a_job_ends_with_bye_and_shutdown() {
    let mut bench = Bench::new(1);
    bench.hello(A);
    assert_eq!(bench.said(), ["A package 0"]);
    bench.deliver(A, 0);
    assert_eq!(bench.events().last(), Some(&Event::Finished(Ok(()))));
    assert_eq!(bench.said(), ["A bye", "A shutdown", "B bye", "B shutdown"]);
    bench.input(Input::Down { association: A, reason: DownReason::Shutdown });
    assert!(!bench.runner.is_closed());
    bench.pass(2_000);
    assert_eq!(bench.said(), ["B abort"], "B does not shut down in time");
    bench.input(Input::Down { association: B, reason: DownReason::Aborted });
    assert!(bench.runner.is_closed());
    assert_eq!(bench.runner.poll_timeout(), None);
}

#[test]
fn a_lost_package_continues_from_the_cookie_and_behind_the_output() {
    let mut bench = Bench::new(2);
    bench.hello(A);
    let _ = bench.said();
    bench.accept(A, 0, 0);
    bench.chunk(A, 0, 0, &output()[..6]);
    bench.cookie(A, 0, 6);
    bench.chunk(A, 0, 6, &output()[6..9]);
    bench.lose(A);
    bench.hello(B);
    assert_eq!(bench.said(), ["B echo 0", "B package 1"]);
    bench.accept(B, 0, 6);
    let resumed =
        Event::Resumed { package: PackageId(0), from: PeId(1), to: PeId(2), done: 5, all: 10 };
    assert_eq!(bench.events().last(), Some(&resumed));
    bench.chunk(B, 0, 6, &output()[6..]);
    bench.done(B, 0, OutputDigest::EMPTY.with(&output()).0);
    let done = Event::PackageDone { package: PackageId(0), element: PeId(2) };
    assert_eq!(bench.events().last(), Some(&done));
}

#[test]
fn a_cookie_ahead_of_its_output_is_not_used_until_that_has_come() {
    for output_comes in [false, true] {
        let mut bench = Bench::new(1);
        bench.hello(A);
        let _ = bench.said();
        bench.accept(A, 0, 0);
        bench.cookie(A, 0, 6);
        if output_comes {
            bench.chunk(A, 0, 0, &output()[..6]);
        }
        bench.lose(A);
        bench.hello(B);
        let expected = if output_comes { "B echo 0" } else { "B package 0" };
        assert_eq!(bench.said(), [expected]);
    }
}

#[test]
fn a_refused_cookie_is_given_up_for_a_fresh_start() {
    let mut bench = Bench::new(1);
    bench.hello(A);
    let _ = bench.said();
    bench.accept(A, 0, 0);
    bench.cookie(A, 0, 0);
    bench.lose(A);
    bench.hello(B);
    assert_eq!(bench.said(), ["B echo 0"]);
    let work = bench.runner.work(PackageId(0));
    bench.hear(B, &WorkerMessage::Reject { work, reason: RejectReason::BadCookie });
    assert_eq!(bench.said(), ["B package 0"]);
}

#[test]
fn a_wrong_digest_sends_the_package_to_somebody_else() {
    let mut bench = Bench::new(1);
    bench.hello(A);
    let _ = bench.said();
    bench.accept(A, 0, 0);
    bench.chunk(A, 0, 0, &output());
    bench.done(A, 0, 123);
    assert_eq!(bench.runner.statistics().wrong_output_count, 1);
    bench.hello(B);
    assert_eq!(bench.said(), ["B package 0"]);
    bench.deliver(B, 0);
    assert_eq!(bench.events().last(), Some(&Event::Finished(Ok(()))));
}

#[test]
fn a_second_result_of_a_package_is_not_reported() {
    let mut bench = Bench::new(1);
    bench.hello(A);
    bench.accept(A, 0, 0);
    bench.hello(B);
    let _ = bench.said();
    bench.accept(A, 0, 0);
    bench.pass(700);
    assert_eq!(bench.said(), ["B package 0"], "A is slow");
    bench.deliver(B, 0);
    bench.chunk(A, 0, 0, &output());
    bench.done(A, 0, OutputDigest::EMPTY.with(&output()).0);
    let done = |event: &Event| matches!(event, Event::PackageDone { .. });
    assert_eq!(bench.events().iter().filter(|event| done(event)).count(), 1);
    assert_eq!(bench.runner.statistics().duplicates_won, 1);
}

#[test]
fn the_loser_of_a_race_is_cancelled() {
    let mut bench = Bench::new(3);
    bench.hello(A);
    let _ = bench.said();
    bench.accept(A, 0, 0);
    bench.accept(A, 1, 0);
    bench.hello(B);
    assert_eq!(bench.said(), ["B package 2"]);
    bench.pass(400);
    bench.deliver(B, 2);
    assert_eq!(bench.said(), ["B package 1"], "what is queued at A");
    bench.deliver(B, 1);
    assert_eq!(bench.said(), ["A cancel 1", "B package 0"]);
}

#[test]
fn a_busy_element_gets_less_and_later() {
    let mut bench = Bench::new(3);
    bench.hello(A);
    assert_eq!(bench.said(), ["A package 0", "A package 1"]);
    bench.accept(A, 0, 0);
    let work = bench.runner.work(PackageId(1));
    bench.hear(A, &WorkerMessage::Reject { work, reason: RejectReason::Busy });
    assert_eq!(bench.said(), Vec::<String>::new());
    bench.pass(100);
    assert_eq!(bench.said(), Vec::<String>::new(), "it holds as much as it can");
    bench.chunk(A, 0, 0, &output());
    bench.done(A, 0, OutputDigest::EMPTY.with(&output()).0);
    assert_eq!(bench.said(), ["A package 1", "A package 2"]);
}

#[test]
fn silence_is_probed_and_then_taken_for_death() {
    let mut bench = Bench::new(1);
    bench.hello(A);
    bench.hello(B);
    let _ = bench.said();
    bench.accept(A, 0, 0);
    bench.pass(1_000);
    assert_eq!(bench.said(), ["A ping", "B ping", "B package 0"]);
    bench.hear(B, &WorkerMessage::Pong { token: 1 });
    bench.accept(B, 0, 0);
    bench.pass(1_000);
    bench.hear(B, &WorkerMessage::Pong { token: 3 });
    bench.pass(999);
    let _ = bench.events();
    bench.pass(1);
    let lost =
        Event::ElementLost { element: PeId(1), reason: LossReason::Silent, package_count: 1 };
    assert_eq!(bench.events(), [lost, Event::Unreachable { element: PeId(1) }]);
    assert!(bench.said().contains(&"A abort".to_owned()));
}

#[test]
fn a_runner_that_slept_does_not_blame_the_elements() {
    let mut bench = Bench::new(1);
    bench.hello(A);
    let _ = bench.said();
    bench.accept(A, 0, 0);
    let _ = bench.events();
    bench.pass(60_000);
    let lost = |event: &Event| matches!(event, Event::ElementLost { .. });
    assert!(!bench.events().iter().any(lost));
    bench.deliver(A, 0);
}

#[test]
fn a_worker_of_another_kernel_is_left_alone() {
    let mut bench = Bench::new(1);
    let limits = Limits { slot_count: 2, ..Limits::default() };
    let mut ids = [0; 2 * KERNELS_MAX];
    let kernels = KernelIds::encode(&[KernelId(1)], &mut ids);
    bench.hear(A, &WorkerMessage::Hello { limits, kernels });
    assert_eq!(bench.said(), Vec::<String>::new());
}

#[test]
fn what_came_up_too_late_is_aborted() {
    let mut bench = Bench::new(1);
    let association = AssociationId(9);
    let connect = Some(ConnectId(77));
    bench.input(Input::Up { association, connect, peer_addresses: &[], peer_port: 1 });
    assert_eq!(bench.pull(), [(Transmit::Abort { association }, vec![])]);
    bench.input(Input::Down { association, reason: DownReason::Aborted });
}
