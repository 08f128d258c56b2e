//! A worker, message by message.

mod cookies;

use std::vec;
use std::vec::Vec;

use core::time::Duration;

use super::super::cookie::{Checkpoint, Control};
use super::super::kernel::Kernel;
use super::super::kernels::{
    Fractal, FractalKind, FractalTile, StandardKernels, Synthetic, SyntheticLoad, SyntheticResult,
};
use super::super::protocol::{
    DecodeError, FailReason, JobNonce, KernelId, OutputDigest, PackageId, RejectReason,
    RunnerMessage, WORK_STREAM, WorkId, WorkerMessage,
};
use super::*;
use crate::association::{DownReason, StreamId};
use crate::entropy::{Entropy, SplitMix64};
use crate::identifier::PoolHandle;

type TestWorker = Worker<StandardKernels, 2, 2, 256>;

const KEY: CookieKey = CookieKey::new([1; 32]);
const A: AssociationId = AssociationId(10);
const B: AssociationId = AssociationId(20);
const START: Instant = Instant::from_millis(1_000);

fn pool() -> PoolHandle<'static> {
    PoolHandle::new(b"ComputePool").unwrap()
}

fn worker() -> TestWorker {
    TestWorker::new(WorkerConfig { chunk_len: 128, ..WorkerConfig::new(pool().to_buf()) }, KEY)
}

/// A worker that user A (and B) have found, its Hellos pulled.
fn worker_with(users: &[AssociationId]) -> TestWorker {
    let mut worker = worker();
    for &user in users {
        worker.handle_input(START, up(user)).unwrap();
    }
    let _ = pull(&mut worker, START);
    worker
}

fn up(association: AssociationId) -> Input<'static> {
    Input::Up { association, connect: None, peer_addresses: &[], peer_port: 1 }
}

fn work(package: u32) -> WorkId {
    WorkId { job: JobNonce(99), package: PackageId(package) }
}

fn say(worker: &mut TestWorker, now: Instant, user: AssociationId, message: &RunnerMessage<'_>) {
    let mut buf = [0; 256];
    let len = message.encode(&mut buf).unwrap();
    let input = Input::Message {
        association: user,
        stream: WORK_STREAM,
        ppid: Ppid::COMPUTE,
        data: &buf[..len],
    };
    worker.handle_input(now, input).unwrap();
}

fn echo(worker: &mut TestWorker, now: Instant, cookie: &[u8]) -> Result<(), WorkerError> {
    let mut buf = [0; 600];
    let len = Control::write_echo(cookie, &mut buf).unwrap();
    let data = &buf[..len];
    let (stream, ppid) = (StreamId(0), Ppid::ASAP);
    worker.handle_input(now, Input::Message { association: A, stream, ppid, data })
}

fn synthetic(count: u64) -> Vec<u8> {
    let mut buf = [0; 32];
    let len = SyntheticLoad { count, seed: 3 }.encode(&mut buf).unwrap();
    buf[..len].to_vec()
}

/// A tile of so many rows of 16 pixels, that is, of 64 bytes.
fn tile(height: u32) -> Vec<u8> {
    let tile = FractalTile {
        kind: FractalKind::Mandelbrot,
        left: -2.0,
        top: 1.0,
        step: 0.1,
        x: 0,
        y: 0,
        width: 16,
        height,
        iterations_max: 500,
    };
    let mut buf = [0; 128];
    let len = tile.encode(&mut buf).unwrap();
    buf[..len].to_vec()
}

fn give(
    worker: &mut TestWorker,
    user: AssociationId,
    package: u32,
    kernel: KernelId,
    block: &[u8],
) {
    let message = RunnerMessage::Package {
        work: work(package),
        kernel,
        deadline_ms: None,
        parameters: block,
    };
    say(worker, START, user, &message);
}

fn pull(worker: &mut TestWorker, now: Instant) -> Vec<(Transmit, Vec<u8>)> {
    let mut all = Vec::new();
    let mut buf = [0; TestWorker::TRANSMIT_LEN_MAX];
    while let Some(transmit) = worker.poll_transmit(now, &mut buf) {
        let len = if let Transmit::Message { len, .. } = transmit { len } else { 0 };
        all.push((transmit, buf[..len].to_vec()));
        assert!(all.len() < 1_000, "a worker that is only pulled falls silent");
    }
    all
}

/// The messages on the work stream.
fn said(pulled: &[(Transmit, Vec<u8>)]) -> Vec<WorkerMessage<'_>> {
    let on_work = |it: &&(Transmit, Vec<u8>)| {
        matches!(it.0, Transmit::Message { ppid: Ppid::COMPUTE, stream: WORK_STREAM, .. })
    };
    pulled.iter().filter(on_work).map(|it| WorkerMessage::decode(&it.1).unwrap()).collect()
}

/// The last cookie on the control stream.
fn cookie(pulled: &[(Transmit, Vec<u8>)]) -> Option<Vec<u8>> {
    let mut cookies = pulled.iter().filter_map(|(transmit, bytes)| match transmit {
        Transmit::Message { ppid: Ppid::ASAP, stream: StreamId(0), .. } => {
            match Control::parse(bytes) {
                Some(Control::Cookie(cookie)) => Some(cookie.to_vec()),
                _ => panic!("not a cookie"),
            }
        }
        _ => None,
    });
    cookies.next_back()
}

fn events(worker: &mut TestWorker) -> Vec<Event> {
    core::iter::from_fn(|| worker.poll_event()).collect()
}

/// Runs and pulls until there is nothing more to compute; the output of `package`.
fn output_of(worker: &mut TestWorker, package: u32) -> Vec<u8> {
    let mut output = Vec::new();
    loop {
        let more = worker.run(5_000);
        let pulled = pull(worker, START);
        for message in said(&pulled) {
            match message {
                WorkerMessage::Chunk { work: of, offset, bytes, .. } if of == work(package) => {
                    if output.is_empty() {
                        output = vec![0; offset as usize];
                    }
                    assert_eq!(offset, output.len() as u64, "without gaps");
                    output.extend_from_slice(bytes);
                }
                WorkerMessage::Done { work: of, total, .. } if of == work(package) => {
                    assert_eq!(total, output.len() as u64);
                    return output;
                }
                _ => {}
            }
        }
        assert!(more || !pulled.is_empty(), "the package does not come to an end");
    }
}

#[test]
fn a_worker_says_hello_when_a_user_comes() {
    let mut worker = worker();
    worker.handle_input(START, up(A)).unwrap();
    let pulled = pull(&mut worker, START);
    let [WorkerMessage::Hello { limits, kernels }] = said(&pulled)[..] else { panic!() };
    assert_eq!((limits.slot_count, limits.chunk_len_max, limits.alive_interval_ms), (2, 128, 750));
    assert!(kernels.iter().eq([1, 2, 3, 4].map(KernelId)));
    assert_eq!(worker.poll_timeout(), None);
}

#[test]
fn a_package_is_accepted_computed_and_done() {
    let mut worker = worker_with(&[A]);
    give(&mut worker, A, 7, Synthetic::ID, &synthetic(3_000));
    assert_eq!(
        said(&pull(&mut worker, START)),
        [WorkerMessage::Accept { work: work(7), offset: 0, total: 16 }]
    );
    assert_eq!(worker.load(), LoadFraction(u32::MAX / 2));
    while worker.run(0) {}
    let pulled = pull(&mut worker, START);
    let [WorkerMessage::Chunk { offset: 0, total: 16, bytes, .. }, done] = said(&pulled)[..]
    else {
        panic!()
    };
    assert_eq!(SyntheticResult::decode(bytes).unwrap().count, 3_000);
    let digest = OutputDigest::EMPTY.with(bytes).0;
    assert_eq!(done, WorkerMessage::Done { work: work(7), total: 16, digest });
    let load = LoadFraction(0);
    let accepted =
        Event::Accepted { user: A, work: work(7), kernel: Synthetic::ID, resumed: false };
    assert_eq!(events(&mut worker), [accepted, Event::Finished { user: A, work: work(7) }]);
    assert_eq!((worker.load(), worker.held_count()), (load, 0));
}

#[test]
fn the_load_is_told_when_it_changes() {
    let mut worker = worker_with(&[A]);
    give(&mut worker, A, 1, Synthetic::ID, &synthetic(1));
    give(&mut worker, A, 2, Synthetic::ID, &synthetic(1));
    let load = LoadFraction(u32::MAX);
    assert_eq!(events(&mut worker).last(), Some(&Event::LoadChanged { load }));
    worker.run(9_999);
    let _ = pull(&mut worker, START);
    let load = LoadFraction(0);
    assert_eq!(events(&mut worker).last(), Some(&Event::LoadChanged { load }));
    assert_eq!(events(&mut worker), []);
}

#[test]
fn packages_that_cannot_be_taken_are_refused_with_the_reason() {
    let mut worker = worker_with(&[A]);
    give(&mut worker, A, 1, KernelId(77), &[]);
    give(&mut worker, A, 2, Synthetic::ID, &[]);
    give(&mut worker, A, 3, Synthetic::ID, &synthetic(10));
    give(&mut worker, A, 3, Synthetic::ID, &synthetic(10));
    give(&mut worker, A, 4, Synthetic::ID, &synthetic(10));
    give(&mut worker, A, 5, Synthetic::ID, &synthetic(10));
    let pulled = pull(&mut worker, START);
    let refused: Vec<_> = said(&pulled)
        .into_iter()
        .filter_map(|message| match message {
            WorkerMessage::Reject { work, reason } => Some((work.package.0, reason)),
            _ => None,
        })
        .collect();
    let expected = [
        (1, RejectReason::UnknownKernel),
        (2, RejectReason::BadParameters),
        (3, RejectReason::Duplicate),
        (5, RejectReason::Busy),
    ];
    assert_eq!(refused, expected);
    assert_eq!((worker.statistics().accepted, worker.statistics().rejected), (2, 4));
}

#[test]
fn a_kernel_that_is_not_offered_is_as_unknown_as_one_that_is_not_there() {
    let config = WorkerConfig { kernels: 0b1001, ..WorkerConfig::new(pool().to_buf()) };
    let mut worker = TestWorker::new(config, KEY);
    worker.handle_input(START, up(A)).unwrap();
    give(&mut worker, A, 1, KernelId(2), &[]);
    give(&mut worker, A, 2, Synthetic::ID, &synthetic(10));
    let pulled = pull(&mut worker, START);
    let said = said(&pulled);
    let [WorkerMessage::Hello { kernels, .. }, refusal, accept] = said[..] else { panic!() };
    assert!(kernels.iter().eq([1, 4].map(KernelId)));
    let reason = RejectReason::UnknownKernel;
    assert_eq!(refusal, WorkerMessage::Reject { work: work(1), reason });
    assert!(matches!(accept, WorkerMessage::Accept { .. }));
}

#[test]
fn a_worker_may_use_fewer_slots_than_it_has() {
    let mut config = WorkerConfig::new(pool().to_buf());
    config.slot_count = 1;
    let mut worker = TestWorker::new(config, CookieKey::new([7; 32]));
    worker.handle_input(START, up(A)).unwrap();
    let pulled = pull(&mut worker, START);
    let [WorkerMessage::Hello { limits, .. }] = said(&pulled)[..] else { panic!() };
    assert_eq!(limits.slot_count, 1);
    give(&mut worker, A, 1, Synthetic::ID, &synthetic(3_000));
    assert_eq!(worker.load(), LoadFraction(u32::MAX));
    pull(&mut worker, START);
    give(&mut worker, A, 2, Synthetic::ID, &synthetic(3_000));
    let busy = WorkerMessage::Reject { work: work(2), reason: RejectReason::Busy };
    assert_eq!(said(&pull(&mut worker, START)), [busy]);
}

#[test]
fn output_beyond_the_limit_is_refused() {
    let config = WorkerConfig { output_len_max: 15, ..WorkerConfig::new(pool().to_buf()) };
    let mut worker = TestWorker::new(config, KEY);
    worker.handle_input(START, up(A)).unwrap();
    give(&mut worker, A, 1, Synthetic::ID, &synthetic(10));
    let reject = WorkerMessage::Reject { work: work(1), reason: RejectReason::TooLarge };
    assert_eq!(said(&pull(&mut worker, START)).last(), Some(&reject));
}

#[test]
fn output_larger_than_the_buffer_flows_as_it_is_pulled() {
    let mut worker = worker_with(&[A]);
    // 64 rows of 64 bytes through a buffer of 256.
    give(&mut worker, A, 1, Fractal::ID, &tile(64));
    while worker.run(100_000) {}
    assert!(!worker.run(100_000), "nothing to compute until the output is pulled");
    assert_eq!(worker.held_count(), 1);
    let output = output_of_after_stall(&mut worker);
    assert_eq!(output.len(), 64 * 64);
    assert_eq!(output, crate::compute::kernels::harness::whole::<Fractal>(&tile(64)));
}

fn output_of_after_stall(worker: &mut TestWorker) -> Vec<u8> {
    let mut output = Vec::new();
    for _ in 0..1_000 {
        let pulled = pull(worker, START);
        for message in said(&pulled) {
            if let WorkerMessage::Chunk { bytes, .. } = message {
                output.extend_from_slice(bytes);
            }
        }
        if worker.held_count() == 0 {
            break;
        }
        worker.run(100_000);
    }
    output
}

#[test]
fn users_take_turns() {
    let mut worker = worker_with(&[A, B]);
    give(&mut worker, A, 1, Synthetic::ID, &synthetic(10_000));
    give(&mut worker, B, 2, Synthetic::ID, &synthetic(10_000));
    worker.run(2_000);
    worker.run(2_000);
    worker.handle_timeout(START + Duration::from_millis(750));
    let pulled = pull(&mut worker, START);
    let progress: Vec<_> = said(&pulled)
        .into_iter()
        .filter_map(|message| match message {
            WorkerMessage::Progress { work, done, .. } => Some((work.package.0, done)),
            _ => None,
        })
        .collect();
    assert_eq!(progress, [(1, 2_000), (2, 2_000)]);
}

#[test]
fn a_users_packages_are_computed_in_order() {
    let mut worker = worker_with(&[A]);
    give(&mut worker, A, 1, Synthetic::ID, &synthetic(5_000));
    give(&mut worker, A, 2, Synthetic::ID, &synthetic(5_000));
    let mut done = Vec::new();
    while worker.run(2_000) {
        for message in said(&pull(&mut worker, START)) {
            if let WorkerMessage::Done { work, .. } = message {
                done.push(work.package.0);
            }
        }
    }
    assert_eq!(done, [1]);
    let pulled = pull(&mut worker, START);
    let said = said(&pulled);
    let Some(WorkerMessage::Done { work: last, .. }) = said.last() else { panic!("{said:?}") };
    assert_eq!(*last, work(2));
}

#[test]
fn a_worker_that_holds_packages_is_never_silent_for_long() {
    let mut worker = worker_with(&[A]);
    give(&mut worker, A, 1, Synthetic::ID, &synthetic(1_000_000_000));
    let _ = pull(&mut worker, START);
    let mut heard = START;
    let mut now = START;
    for _ in 0..100 {
        now = worker.poll_timeout().unwrap().max(now);
        worker.handle_timeout(now);
        worker.run(2_000);
        let pulled = pull(&mut worker, now);
        if !pulled.is_empty() {
            let silence = now.saturating_duration_since(heard);
            assert!(silence <= Duration::from_millis(750), "{silence:?}");
            heard = now;
        }
    }
    assert!(heard >= START + Duration::from_secs(10));
}

#[test]
fn a_ping_is_answered() {
    let mut worker = worker_with(&[A]);
    say(&mut worker, START, A, &RunnerMessage::Ping { token: 5 });
    assert_eq!(said(&pull(&mut worker, START)), [WorkerMessage::Pong { token: 5 }]);
}

#[test]
fn cancel_bye_and_the_end_of_an_association_free_the_slots() {
    let end = Input::Down { association: A, reason: DownReason::Lost };
    for how in 0..4 {
        let mut worker = worker_with(&[A]);
        give(&mut worker, A, 1, Synthetic::ID, &synthetic(1_000_000));
        match how {
            0 => say(&mut worker, START, A, &RunnerMessage::Cancel { work: work(1) }),
            1 => say(&mut worker, START, A, &RunnerMessage::Bye),
            2 => worker.handle_input(START, end).unwrap(),
            _ => worker.handle_input(START, Input::Restarted { association: A }).unwrap(),
        }
        assert_eq!(worker.held_count(), 0);
        assert!(!worker.run(1_000));
        let released = Event::Released { user: A, work: work(1) };
        assert!(events(&mut worker).contains(&released));
        let pulled = pull(&mut worker, START);
        let hello = matches!(said(&pulled)[..], [WorkerMessage::Hello { .. }]);
        assert_eq!((pulled.len(), hello), if how == 3 { (1, true) } else { (0, false) });
    }
}

#[test]
fn a_passed_deadline_fails_the_package() {
    let mut worker = worker_with(&[A]);
    let block = synthetic(1_000_000);
    let message = RunnerMessage::Package {
        work: work(1),
        kernel: Synthetic::ID,
        deadline_ms: Some(40),
        parameters: &block,
    };
    say(&mut worker, START, A, &message);
    let at = START + Duration::from_millis(40);
    assert_eq!(worker.poll_timeout(), Some(at));
    worker.handle_timeout(at);
    let failed = WorkerMessage::Failed { work: work(1), reason: FailReason::Deadline };
    assert_eq!(said(&pull(&mut worker, at)).last(), Some(&failed));
    assert_eq!(worker.held_count(), 0);
}

#[test]
fn a_worker_that_finishes_computes_what_it_holds_and_no_more() {
    let mut worker = worker_with(&[A]);
    give(&mut worker, A, 1, Synthetic::ID, &synthetic(5_000));
    worker.stop(Stop::Finish);
    give(&mut worker, A, 2, Synthetic::ID, &synthetic(5_000));
    let pulled = pull(&mut worker, START);
    let reject = WorkerMessage::Reject { work: work(2), reason: RejectReason::Stopping };
    assert!(said(&pulled).contains(&reject));
    assert!(!events(&mut worker).contains(&Event::Stopped));
    assert_eq!(output_of(&mut worker, 1).len(), 16);
    assert_eq!(events(&mut worker).last(), Some(&Event::Stopped));
    assert_eq!(events(&mut worker), []);
    worker.reopen();
    give(&mut worker, A, 3, Synthetic::ID, &synthetic(10));
    assert!(matches!(
        events(&mut worker)[..],
        [Event::Accepted { .. }, Event::LoadChanged { .. }]
    ));
}

#[test]
fn a_worker_that_hands_on_gives_a_last_cookie_and_then_the_package_back() {
    let mut worker = worker_with(&[A]);
    give(&mut worker, A, 1, Fractal::ID, &tile(64));
    give(&mut worker, A, 2, Synthetic::ID, &synthetic(5_000));
    worker.run(30_000);
    worker.stop(Stop::HandOn);
    let pulled = pull(&mut worker, START);
    let checkpoint = cookie(&pulled).unwrap();
    let checkpoint = Checkpoint::peek(&checkpoint).unwrap();
    assert_eq!(checkpoint.work, work(1), "the other has not begun and needs no cookie");
    let sent: usize = said(&pulled)
        .iter()
        .map(|it| if let WorkerMessage::Chunk { bytes, .. } = it { bytes.len() } else { 0 })
        .sum();
    assert_eq!(checkpoint.offset, sent as u64);
    let reject =
        |package| WorkerMessage::Reject { work: work(package), reason: RejectReason::Stopping };
    assert!(said(&pulled).contains(&reject(1)) && said(&pulled).contains(&reject(2)));
    assert_eq!(worker.held_count(), 0);
    assert_eq!(events(&mut worker).last(), Some(&Event::Stopped));
}

#[test]
fn a_user_too_many_is_sent_away() {
    let mut worker = worker_with(&[A, B]);
    let third = AssociationId(30);
    assert_eq!(worker.handle_input(START, up(third)), Err(WorkerError::TooManyUsers));
    assert_eq!(pull(&mut worker, START), [(Transmit::Abort { association: third }, vec![])]);
    worker.handle_input(START, Input::Down { association: A, reason: DownReason::Lost }).unwrap();
    assert_eq!(worker.handle_input(START, up(third)), Ok(()));
}

#[test]
fn strangers_and_rubbish_are_refused() {
    let mut worker = worker_with(&[A]);
    let message =
        |association, ppid, data| Input::Message { association, stream: WORK_STREAM, ppid, data };
    let refused = worker.handle_input(START, message(B, Ppid::COMPUTE, &[1, 3]));
    assert_eq!(refused, Err(WorkerError::UnknownUser));
    let refused = worker.handle_input(START, message(A, Ppid::COMPUTE, &[9, 3]));
    assert_eq!(refused, Err(WorkerError::Decode(DecodeError::Version(9))));
    let refused = worker.handle_input(START, message(A, Ppid::ASAP, &[12, 0, 0, 4]));
    assert_eq!(refused, Err(WorkerError::Control));
    assert_eq!(worker.handle_input(START, message(A, Ppid(33), &[1])), Ok(()));
    assert_eq!(pull(&mut worker, START), []);
}

/// The contract of all machines, with random inputs: after each mutation the outputs come to
/// an end, the next timeout is in the future once the present one was handled, and nothing is
/// held for a user who is gone.
#[test]
fn a_worker_keeps_the_contract_of_machines() {
    for seed in 0..200 {
        let mut random = SplitMix64::new(seed);
        let mut worker = worker();
        let mut now = START;
        let mut cookies: Vec<Vec<u8>> = Vec::new();
        for _ in 0..200 {
            random_mutation(&mut worker, &mut random, &mut now, &cookies);
            let pulled = pull(&mut worker, now);
            cookies.extend(cookie(&pulled));
            let events = events(&mut worker);
            assert!(events.len() <= 24, "seed {seed}");
            assert!(pull(&mut worker, now).is_empty(), "seed {seed}: silent once drained");
            worker.handle_timeout(now);
            let next = worker.poll_timeout();
            assert!(next.is_none_or(|next| next > now), "seed {seed}: spins");
            let _ = pull(&mut worker, now);
        }
        for association in [A, B, AssociationId(30)] {
            let _ =
                worker.handle_input(now, Input::Down { association, reason: DownReason::Lost });
        }
        assert_eq!((worker.held_count(), worker.poll_timeout()), (0, None), "seed {seed}");
        assert!(!worker.run(10_000));
    }
}

fn random_mutation(
    worker: &mut TestWorker,
    random: &mut SplitMix64,
    now: &mut Instant,
    cookies: &[Vec<u8>],
) {
    let user = [A, B, AssociationId(30)][random.below(3) as usize];
    let package = random.below(4) as u32;
    let input = |ppid, data| Input::Message { association: user, stream: WORK_STREAM, ppid, data };
    let mut buf = [0; 300];
    match random.below(12) {
        0 | 1 => drop(worker.handle_input(*now, up(user))),
        2 => drop(worker.handle_input(*now, Input::Restarted { association: user })),
        3 => {
            let down = Input::Down { association: user, reason: DownReason::Aborted };
            let _ = worker.handle_input(*now, down);
        }
        4..=6 => {
            let block = if random.below(2) == 0 { tile(9) } else { synthetic(9_000) };
            let message = RunnerMessage::Package {
                work: work(package),
                kernel: KernelId(random.below(5) as u16 + 1),
                deadline_ms: (random.below(3) == 0).then(|| random.below(900) as u32),
                parameters: &block,
            };
            let len = message.encode(&mut buf).unwrap();
            let _ = worker.handle_input(*now, input(Ppid::COMPUTE, &buf[..len]));
        }
        7 => {
            let message = RunnerMessage::Cancel { work: work(package) };
            let len = message.encode(&mut buf).unwrap();
            let _ = worker.handle_input(*now, input(Ppid::COMPUTE, &buf[..len]));
        }
        8 => {
            random.fill(&mut buf);
            let ppid = if random.below(2) == 0 { Ppid::COMPUTE } else { Ppid::ASAP };
            buf[0] = 1;
            let _ = worker.handle_input(*now, input(ppid, &buf[..random.below(60) as usize]));
        }
        9 if !cookies.is_empty() => {
            let _ = echo(worker, *now, &cookies[random.below(cookies.len() as u64) as usize]);
        }
        10 => {
            *now += Duration::from_millis(random.below(900));
            worker.handle_timeout(*now);
        }
        _ => drop(worker.run(random.below(20_000) as u32)),
    }
}
