//! No wake-up is lost, wherever in a poll something happens.
//!
//! A poll is a sequence of register accesses. Each test lets one thing happen after the first
//! access, then (with a new chip) after the second, and so on to the end, with the interrupt
//! handler running at once whenever the chip's line is active. Whatever the moment, the poll must
//! find the thing itself, or its task must be woken and find it then.

use super::*;

/// Runs `poll` with `what` happening at each of its accesses, and after it. `poll` says whether
/// it has found the thing.
fn at_every_moment(
    prepare: impl Fn(&mut Bench),
    what: &Happening,
    poll: impl Fn(&mut Bench) -> bool,
) {
    for level_triggered in [false, true] {
        let count = {
            let mut bench = Bench::new();
            bench.chip.0.borrow_mut().level_triggered = level_triggered;
            prepare(&mut bench);
            let (before, wakes) = (bench.chip.0.borrow().access_count, bench.wakes());
            assert!(!poll(&mut bench), "nothing has happened yet");
            assert_eq!(bench.wakes(), wakes);
            bench.chip.0.borrow().access_count - before
        };
        assert!(count > 0);
        for moment in 1..=count {
            let mut bench = Bench::new();
            bench.chip.0.borrow_mut().level_triggered = level_triggered;
            prepare(&mut bench);
            let at = bench.chip.0.borrow().access_count + moment;
            bench.chip.0.borrow_mut().happens_at = Some((at, what.clone()));
            let wakes = bench.wakes();
            if !poll(&mut bench) {
                assert!(bench.wakes() > wakes, "lost at access {moment} of {count}");
                assert!(poll(&mut bench), "woken for nothing at access {moment}");
            }
        }
        let mut bench = Bench::new();
        bench.chip.0.borrow_mut().level_triggered = level_triggered;
        prepare(&mut bench);
        assert!(!poll(&mut bench));
        let wakes = bench.wakes();
        bench.chip.happen(what.clone());
        assert!(bench.wakes() > wakes && poll(&mut bench), "lost after the poll");
    }
}

/// The first look at the link enables its interrupt.
fn settle(bench: &mut Bench) {
    assert!(bench.link());
}

#[test]
fn of_a_frame() {
    // Nobody has asked for the link, so this poll alone brings the wake-up.
    at_every_moment(|_| {}, &Happening::Frame(frame(60)), |bench| bench.receive().is_some());
}

#[test]
fn of_a_frame_behind_a_bad_one() {
    let prepare = |bench: &mut Bench| {
        settle(bench);
        bench.chip.queue_raw(100 << 16 | RX_ERROR, 25);
    };
    at_every_moment(prepare, &Happening::Frame(frame(60)), |bench| bench.receive().is_some());
}

#[test]
fn of_room_to_send() {
    let prepare = |bench: &mut Bench| bench.chip.0.borrow_mut().room = 100;
    at_every_moment(prepare, &Happening::Room(5120), |bench| bench.send(&frame(60)));
}

#[test]
fn of_room_to_reply() {
    let prepare = |bench: &mut Bench| {
        bench.chip.0.borrow_mut().room = 100;
        bench.chip.happen(Happening::Frame(frame(60)));
    };
    at_every_moment(prepare, &Happening::Room(5120), |bench| bench.receive().is_some());
}

#[test]
fn of_a_lost_link() {
    // The very first look takes the longest.
    at_every_moment(|_| {}, &Happening::Link(false), |bench| !bench.link());
}

#[test]
fn of_a_lost_link_while_frames_are_polled() {
    at_every_moment(settle, &Happening::Link(false), |bench| {
        assert_eq!(bench.receive(), None);
        !bench.link()
    });
}

#[test]
fn of_a_frame_while_the_link_is_polled() {
    let prepare = |bench: &mut Bench| {
        settle(bench);
        bench.chip.happen(Happening::Link(true));
    };
    at_every_moment(prepare, &Happening::Frame(frame(60)), |bench| {
        let received = bench.receive().is_some();
        assert!(bench.link());
        received
    });
}

#[test]
fn an_interrupt_is_not_repeated_until_it_is_asked_for() {
    let mut bench = Bench::new();
    assert_eq!(bench.receive(), None);
    for len in 60..70 {
        bench.chip.happen(Happening::Frame(frame(len)));
    }
    assert_eq!(bench.chip.0.borrow().interrupt_count, 1);
    assert_eq!(bench.chip.0.borrow().interrupt_enable, 0);
    for len in 60..70 {
        assert_eq!(bench.receive(), Some(frame(len)));
    }
    assert_eq!(bench.receive(), None);
    assert_eq!(bench.chip.0.borrow().interrupt_enable, INT_RECEIVED);
}
