//! The time driver: a counter of 1 MHz, 32 bits wide, and a timer as the alarm clock.

use core::cell::RefCell;
use core::task::Waker;

use critical_section::{CriticalSection, Mutex};
use embassy_time_driver::Driver;
use embassy_time_queue_utils::Queue;

use crate::registers::*;

struct Clock(Mutex<RefCell<State>>);

struct State {
    queue: Queue,
    /// How often the counter has begun anew, as far as it has been seen.
    wraps: u32,
    last: u32,
}

embassy_time_driver::time_driver_impl!(static CLOCK: Clock = Clock(Mutex::new(RefCell::new(
    State { queue: Queue::new(), wraps: 0, last: 0 }
))));

impl Driver for Clock {
    fn now(&self) -> u64 {
        critical_section::with(|section| self.0.borrow_ref_mut(section).now())
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        critical_section::with(|section| {
            let mut state = self.0.borrow_ref_mut(section);
            if state.queue.schedule_wake(at, waker) {
                state.ring_next();
            }
        });
    }
}

impl State {
    fn now(&mut self) -> u64 {
        let counter = FPGA_COUNTER.read();
        if counter < self.last {
            self.wraps += 1;
        }
        self.last = counter;
        u64::from(self.wraps) << 32 | u64::from(counter)
    }

    /// Wakes whose time has come, and sets the alarm for the next.
    fn ring_next(&mut self) {
        let now = self.now();
        let next = self.queue.next_expiration(now);
        let delay = next.saturating_sub(now).clamp(1, ALARM_US_MAX) as u32;
        TIMER1_CONTROL.write(0);
        TIMER1_INT_CLEAR.write(1);
        TIMER1_RELOAD.write(delay * CLOCK_MHZ);
        TIMER1_VALUE.write(delay * CLOCK_MHZ);
        TIMER1_CONTROL.write(TIMER_RUN);
    }
}

pub(crate) fn start() {
    FPGA_PRESCALE.write(CLOCK_MHZ - 1);
    ring();
}

/// The alarm's interrupt.
pub(crate) fn ring() {
    critical_section::with(|section: CriticalSection<'_>| {
        CLOCK.0.borrow_ref_mut(section).ring_next();
    });
}

const CLOCK_MHZ: u32 = 25;
/// The timer's longest run. The counter takes 71 minutes for a round, so no round goes unseen.
const ALARM_US_MAX: u64 = 150_000_000;
const _: () = assert!(ALARM_US_MAX * (CLOCK_MHZ as u64) < u32::MAX as u64);
/// Timer control: run, and interrupt at zero.
const TIMER_RUN: u32 = 1 << 3 | 1;
