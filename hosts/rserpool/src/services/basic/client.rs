//! The user's side of Echo, Discard and Daytime.

use std::time::Duration;

use rserpool_core::association::Ppid;
use rserpool_core::time::Instant;

use crate::services::{Act, Call, Refusal, Service};

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// These messages back, one after the other.
    Echo(Vec<Vec<u8>>),
    /// That these messages arrive.
    Discard(Vec<Vec<u8>>),
    /// The time of day.
    Daytime,
}

/// What is wanted, and how long an element may take.
#[derive(Clone, Debug)]
pub struct Config {
    /// What is wanted.
    pub what: What,
    /// For an answer.
    pub timeout: Duration,
}

/// What the user should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A message came back, or the time.
    Said {
        /// The message.
        data: Vec<u8>,
        /// How long it took.
        round_trip: Duration,
    },
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Messages that were answered, or for Discard said.
    pub done_count: u64,
    /// Messages that were said again to another element.
    pub repeat_count: u64,
}

/// Echo, Discard or Daytime, as a user calls it.
#[derive(Clone, Debug)]
pub struct Client {
    config: Config,
    state: State,
    /// How many messages are done.
    next: usize,
    told: Option<Event>,
    statistics: Statistics,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Alone,
    Ready,
    Waiting { since: Instant },
    Silent,
    Done,
}

impl Client {
    /// Nothing was said yet.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let statistics = Statistics::default();
        Self { config, state: State::Alone, next: 0, told: None, statistics }
    }

    /// What came of it so far.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.statistics
    }
}

impl Call for Client {
    type Event = Event;

    fn ppid(&self) -> Ppid {
        Service::Echo.ppid()
    }

    fn on_up(&mut self, now: Instant, _: bool) {
        self.state = match self.config.what {
            What::Daytime => State::Waiting { since: now },
            What::Echo(_) | What::Discard(_) => State::Ready,
        };
    }

    fn on_message(&mut self, now: Instant, data: &[u8]) -> Result<(), Refusal> {
        let State::Waiting { since } = self.state else { return Err(Refusal::Unexpected) };
        self.state = match &self.config.what {
            What::Echo(messages) => match messages.get(self.next) {
                Some(message) if message == data => State::Ready,
                _ => return Err(Refusal::Unexpected),
            },
            What::Discard(_) => return Err(Refusal::Unexpected),
            What::Daytime => State::Done,
        };
        self.next += 1;
        self.statistics.done_count += 1;
        let round_trip = now.saturating_duration_since(since);
        self.told = Some(Event::Said { data: data.to_vec(), round_trip });
        Ok(())
    }

    fn on_down(&mut self, _: Instant) {
        if let (State::Waiting { .. } | State::Silent, What::Echo(_)) =
            (self.state, &self.config.what)
        {
            self.statistics.repeat_count += 1;
        }
        if let What::Discard(_) = self.config.what {
            self.on_undelivered(Instant::ZERO);
        }
        // Daytime sends its users away when it has told the time.
        if self.state != State::Done {
            self.state = State::Alone;
        }
    }

    fn on_undelivered(&mut self, _: Instant) -> bool {
        let What::Discard(_) = self.config.what else { return false };
        self.statistics.repeat_count += self.next as u64;
        (self.next, self.statistics.done_count) = (0, 0);
        true
    }

    fn on_timeout(&mut self, now: Instant) {
        if let State::Waiting { since } = self.state
            && since + self.config.timeout <= now
        {
            self.state = State::Silent;
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Waiting { since } => Some(since + self.config.timeout),
            _ => None,
        }
    }

    fn poll(&mut self, now: Instant) -> Option<Act<Event>> {
        if let Some(event) = self.told.take() {
            return Some(Act::Tell(event));
        }
        match (self.state, &self.config.what) {
            (State::Ready, What::Echo(messages)) => match messages.get(self.next) {
                Some(message) => {
                    self.state = State::Waiting { since: now };
                    Some(Act::Message(message.clone()))
                }
                None => Some(Act::Finish),
            },
            (State::Ready, What::Discard(messages)) => match messages.get(self.next) {
                Some(message) => {
                    self.next += 1;
                    self.statistics.done_count += 1;
                    Some(Act::Message(message.clone()))
                }
                None => Some(Act::Finish),
            },
            (State::Done, _) => Some(Act::Finish),
            (State::Silent, _) => Some(Act::FailOver { at: now, with_cookie: false }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::recorded;

    fn client(what: What) -> Client {
        let mut client = Client::new(Config { what, timeout: Duration::from_secs(3) });
        client.on_up(Instant::ZERO, false);
        client
    }

    #[test]
    fn a_recorded_echo_is_taken() {
        let said = recorded::said("basic-services", Service::Echo);
        let mut client = client(What::Echo(vec![said[0].data.clone()]));
        assert_eq!(client.poll(Instant::ZERO), Some(Act::Message(said[0].data.clone())));
        client.on_message(Instant::ZERO, &said[1].data).unwrap();
        assert!(matches!(client.poll(Instant::ZERO), Some(Act::Tell(Event::Said { .. }))));
        assert_eq!(client.poll(Instant::ZERO), Some(Act::Finish));
    }

    #[test]
    fn a_wrong_echo_is_refused() {
        let mut client = client(What::Echo(vec![b"right".into()]));
        client.poll(Instant::ZERO);
        assert_eq!(client.on_message(Instant::ZERO, b"wrong"), Err(Refusal::Unexpected));
    }

    #[test]
    fn what_was_not_delivered_is_said_again() {
        let mut client = client(What::Discard(vec![b"one".into(), b"two".into()]));
        for message in ["one", "two"] {
            let said = client.poll(Instant::ZERO);
            assert_eq!(said, Some(Act::Message(message.into())));
        }
        assert_eq!(client.poll(Instant::ZERO), Some(Act::Finish));
        assert!(client.on_undelivered(Instant::ZERO));
        client.on_up(Instant::ZERO, false);
        assert_eq!(client.poll(Instant::ZERO), Some(Act::Message(b"one".into())));
        assert_eq!(client.statistics().repeat_count, 2);
    }

    #[test]
    fn a_recorded_time_is_taken() {
        let said = recorded::said("basic-services", Service::Daytime);
        let time = said.iter().find(|said| said.data.starts_with(b"Sunday, ")).unwrap();
        let mut client = client(What::Daytime);
        assert_eq!(client.poll(Instant::ZERO), None);
        client.on_message(Instant::ZERO, &time.data).unwrap();
        assert!(matches!(client.poll(Instant::ZERO), Some(Act::Tell(_))));
        assert_eq!(client.poll(Instant::ZERO), Some(Act::Finish));
    }
}
