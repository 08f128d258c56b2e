//! Packages that continue from cookies, and cookies that do not deserve it.

use super::*;

/// A worker that is in the middle of a tile, and its cookie.
fn halfway() -> (TestWorker, Vec<u8>) {
    let mut worker = worker_with(&[A]);
    give(&mut worker, A, 1, Fractal::ID, &tile(64));
    for _ in 0..20 {
        worker.run(1_500);
        let _ = pull(&mut worker, START);
    }
    let now = START + Duration::from_millis(500);
    worker.handle_timeout(now);
    let cookie = cookie(&pull(&mut worker, now)).unwrap();
    (worker, cookie)
}

#[test]
fn another_worker_continues_from_a_cookie() {
    let (_, cookie) = halfway();
    let checkpoint = Checkpoint::peek(&cookie).unwrap();
    assert!(checkpoint.offset > 500 && checkpoint.offset < 64 * 64, "{}", checkpoint.offset);
    let mut other = worker_with(&[A]);
    echo(&mut other, START, &cookie).unwrap();
    let accept =
        WorkerMessage::Accept { work: work(1), offset: checkpoint.offset, total: 64 * 64 };
    assert_eq!(said(&pull(&mut other, START)), [accept]);
    let rest = output_of(&mut other, 1);
    let whole = crate::compute::kernels::harness::whole::<Fractal>(&tile(64));
    assert_eq!(rest[checkpoint.offset as usize..], whole[checkpoint.offset as usize..]);
    assert_eq!(other.statistics().resumed, 1);
}

#[test]
fn a_cookie_stands_behind_all_output_that_it_counts() {
    let (mut worker, cookie) = halfway();
    let offset = Checkpoint::peek(&cookie).unwrap().offset;
    worker.run(100_000);
    let pulled = pull(&mut worker, START);
    let Some(WorkerMessage::Chunk { offset: next, .. }) = said(&pulled).first().copied() else {
        panic!()
    };
    assert_eq!(next, offset);
}

#[test]
fn no_cookie_is_sent_without_progress() {
    let mut worker = worker_with(&[A]);
    give(&mut worker, A, 1, Synthetic::ID, &synthetic(1_000_000));
    for round in 1..5 {
        let now = START + Duration::from_millis(500 * round);
        worker.handle_timeout(now);
        assert_eq!(cookie(&pull(&mut worker, now)), None);
    }
    worker.run(2_000);
    let now = START + Duration::from_millis(2_500);
    worker.handle_timeout(now);
    assert!(cookie(&pull(&mut worker, now)).is_some());
}

#[test]
fn a_corrupted_cookie_is_refused() {
    let (_, cookie) = halfway();
    let mut worker = worker_with(&[A]);
    let (mut refused, mut unnamed) = (0, 0);
    for bit in 0..cookie.len() * 8 {
        let mut changed = cookie.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        match echo(&mut worker, START, &changed) {
            Ok(()) => refused += 1,
            Err(WorkerError::Control) => unnamed += 1,
            other => panic!("{other:?}"),
        }
        for message in said(&pull(&mut worker, START)) {
            let bad = matches!(message, WorkerMessage::Reject { reason, .. }
                if reason == RejectReason::BadCookie);
            assert!(bad, "bit {bit}: {message:?}");
        }
    }
    assert_eq!(worker.held_count(), 0);
    assert!(refused > 500, "{refused} refused, {unnamed} name no package");
}

#[test]
fn a_sealed_cookie_that_does_not_fit_its_package_is_refused() {
    let (_, cookie) = halfway();
    let right = Checkpoint::peek(&cookie).unwrap();
    let wrong = [
        Checkpoint { offset: right.offset + 4, ..right },
        Checkpoint { done: right.done + 1, ..right },
        Checkpoint { all: right.all + 1, ..right },
        Checkpoint { total: right.total + 4, ..right },
        Checkpoint { state: &[1], ..right },
        Checkpoint { parameters: &[], ..right },
        Checkpoint { kernel: Synthetic::ID, ..right },
    ];
    let mut buf = [0; 600];
    for checkpoint in wrong {
        let len = checkpoint.seal(&KEY, pool(), &mut buf).unwrap();
        let mut worker = worker_with(&[A]);
        echo(&mut worker, START, &buf[8..len]).unwrap();
        let reject = WorkerMessage::Reject { work: work(1), reason: RejectReason::BadCookie };
        assert_eq!(said(&pull(&mut worker, START)), [reject], "{checkpoint:?}");
    }
    let other_key = CookieKey::new([2; 32]);
    let len = right.seal(&other_key, pool(), &mut buf).unwrap();
    let mut worker = worker_with(&[A]);
    echo(&mut worker, START, &buf[8..len]).unwrap();
    assert_eq!(worker.held_count(), 0);
}
