//! Virtual hours, by a clock that jumps.

use rserpool_core::time::Instant;
use rserpool_vectors::{Clock, HOURS, hours};

struct Jumping(Instant);

impl Clock for Jumping {
    fn now(&self) -> Instant {
        self.0
    }

    fn sleep_until(&mut self, at: Instant) {
        self.0 = self.0.max(at);
    }
}

#[test]
fn the_timers_act_as_often_as_they_should_in_six_hours() {
    let mut clock = Jumping(Instant::from_millis(1));
    let counts = hours(&mut clock);
    println!("{counts:?}");
    assert!(clock.0 >= Instant::ZERO + HOURS);
}
