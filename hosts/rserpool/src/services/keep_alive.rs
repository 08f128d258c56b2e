//! Signs of life within a session: asked for when there was none for a while.

use std::time::Duration;

use rserpool_core::time::Instant;

/// Asks for signs of life, and notices when there are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeepAlive {
    pace: Pace,
    state: State,
}

/// How often to ask, and how long to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// From one sign of life to the next question.
    pub interval: Duration,
    /// From a question to the conclusion.
    pub timeout: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Quiet { ask_at: Instant },
    Owed { give_up_at: Instant },
    Asked { give_up_at: Instant },
    Silent,
}

impl KeepAlive {
    /// Somebody is there now.
    pub(crate) fn new(now: Instant, pace: Pace) -> Self {
        Self { pace, state: State::Quiet { ask_at: now + pace.interval } }
    }

    /// A sign of life.
    pub(crate) fn on_heard(&mut self, now: Instant) {
        self.state = State::Quiet { ask_at: now + self.pace.interval };
    }

    /// Time has passed.
    pub(crate) fn on_timeout(&mut self, now: Instant) {
        self.state = match self.state {
            State::Quiet { ask_at } if ask_at <= now => {
                State::Owed { give_up_at: now + self.pace.timeout }
            }
            State::Owed { give_up_at } | State::Asked { give_up_at } if give_up_at <= now => {
                State::Silent
            }
            state => state,
        };
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Quiet { ask_at } => Some(ask_at),
            State::Owed { give_up_at } | State::Asked { give_up_at } => Some(give_up_at),
            State::Silent => None,
        }
    }

    /// Whether a question is owed; it counts as asked then.
    pub(crate) fn take_question(&mut self) -> bool {
        let State::Owed { give_up_at } = self.state else { return false };
        self.state = State::Asked { give_up_at };
        true
    }

    /// Nobody answers.
    pub(crate) fn is_silent(&self) -> bool {
        self.state == State::Silent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_noticed_after_a_question_without_answer() {
        let at = Instant::from_millis;
        let pace = Pace { interval: Duration::from_millis(10), timeout: Duration::from_millis(5) };
        let mut life = KeepAlive::new(at(0), pace);
        life.on_timeout(at(9));
        assert!(!life.take_question());
        life.on_timeout(at(10));
        assert!(life.take_question() && !life.take_question());
        life.on_heard(at(12));
        assert_eq!(life.poll_timeout(), Some(at(22)));
        life.on_timeout(at(22));
        assert!(life.take_question());
        life.on_timeout(at(27));
        assert!(life.is_silent());
        assert_eq!(life.poll_timeout(), None);
    }
}
