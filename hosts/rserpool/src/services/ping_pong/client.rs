//! The user's side of PingPong: one ping after the other, each until it is answered.

use std::time::Duration;

use rserpool_core::association::Ppid;
use rserpool_core::time::Instant;

use super::Message;
use crate::services::{Act, Call, Refusal, Service};

/// What is pinged.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Config {
    /// How many pings.
    pub count: u64,
    /// From one ping to the next.
    pub interval: Duration,
    /// From a ping to the conclusion that the element does not answer.
    pub timeout: Duration,
    /// What the clock shows at the machine's zero, in microseconds since 1970.
    pub epoch_micros: u64,
}

impl Default for Config {
    /// 10 pings, every 500 ms (RSPLIB's), answered within 3 s.
    fn default() -> Self {
        Self {
            count: 10,
            interval: Duration::from_millis(500),
            timeout: Duration::from_secs(3),
            epoch_micros: 0,
        }
    }
}

/// What the user should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A ping was answered.
    Pong {
        /// The number of the ping.
        number: u64,
        /// The number of the reply, over all elements.
        reply: u64,
        /// How long it took.
        round_trip: Duration,
    },
}

/// What came of the pings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Pings that were answered.
    pub pong_count: u64,
    /// Pings that were said again to another element.
    pub repeat_count: u64,
    /// The number of the last reply.
    pub last_reply: u64,
    /// Replies whose number did not follow the last one.
    pub jump_count: u64,
    /// The shortest round trip.
    pub round_trip_min: Duration,
    /// The longest round trip.
    pub round_trip_max: Duration,
    /// All round trips together.
    pub round_trip_sum: Duration,
}

/// PingPong, as a user calls it.
#[derive(Clone, Debug)]
pub struct Client {
    config: Config,
    state: State,
    /// The number of the ping that is or will be under way.
    number: u64,
    is_repeat: bool,
    told: Option<Event>,
    statistics: Statistics,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting { until: Instant },
    Owed,
    Asked { at: Instant },
    Silent,
    Done,
}

impl Client {
    /// Nothing was said yet.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let statistics = Statistics { round_trip_min: Duration::MAX, ..Statistics::default() };
        let state = if config.count == 0 { State::Done } else { State::Owed };
        Self { config, state, number: 1, is_repeat: false, told: None, statistics }
    }

    /// What came of it so far.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.statistics
    }

    fn on_pong(&mut self, now: Instant, asked_at: Instant, reply: u64) {
        let round_trip = now.saturating_duration_since(asked_at);
        let statistics = &mut self.statistics;
        statistics.pong_count += 1;
        let follows = reply == statistics.last_reply.wrapping_add(1);
        statistics.jump_count += u64::from(!follows);
        statistics.last_reply = reply;
        statistics.round_trip_min = statistics.round_trip_min.min(round_trip);
        statistics.round_trip_max = statistics.round_trip_max.max(round_trip);
        statistics.round_trip_sum += round_trip;
        self.told = Some(Event::Pong { number: self.number, reply, round_trip });
        self.is_repeat = false;
        self.state = match self.number >= self.config.count {
            true => State::Done,
            false => State::Waiting { until: asked_at + self.config.interval },
        };
        self.number += u64::from(self.state != State::Done);
    }
}

impl Call for Client {
    type Event = Event;

    fn ppid(&self) -> Ppid {
        Service::PingPong.ppid()
    }

    fn on_up(&mut self, _: Instant, _: bool) {}

    fn on_message(&mut self, now: Instant, data: &[u8]) -> Result<(), Refusal> {
        let Message::Pong { number, reply, .. } = Message::parse(data)? else {
            return Err(Refusal::Unexpected);
        };
        // Another number is a late answer to a ping that was said twice.
        if let State::Asked { at } = self.state
            && number == self.number
        {
            self.on_pong(now, at, reply);
        }
        Ok(())
    }

    fn on_down(&mut self, _: Instant) {
        if let State::Asked { .. } | State::Silent = self.state {
            self.state = State::Owed;
            self.is_repeat = true;
        }
    }

    fn on_timeout(&mut self, now: Instant) {
        self.state = match self.state {
            State::Waiting { until } if until <= now => State::Owed,
            State::Asked { at } if at + self.config.timeout <= now => State::Silent,
            state => state,
        };
    }

    fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Waiting { until } => Some(until),
            State::Asked { at } => Some(at + self.config.timeout),
            State::Owed | State::Silent | State::Done => None,
        }
    }

    fn poll(&mut self, now: Instant) -> Option<Act<Event>> {
        if let Some(event) = self.told.take() {
            return Some(Act::Tell(event));
        }
        match self.state {
            State::Owed => {
                self.state = State::Asked { at: now };
                self.statistics.repeat_count += u64::from(self.is_repeat);
                let number = self.number;
                let micros = self.config.epoch_micros.saturating_add(now.as_micros());
                // As RSPLIB writes it.
                let text = format!("Nachricht: {number}, Zeitstempel: {micros}");
                let ping = Message::Ping { number, data: text.as_bytes() };
                Some(Act::Message(ping.to_bytes()))
            }
            State::Silent => Some(Act::FailOver { at: now, with_cookie: true }),
            State::Done => Some(Act::Finish),
            State::Waiting { .. } | State::Asked { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::recorded;

    #[test]
    fn the_first_ping_has_the_recorded_bytes() {
        let said = recorded::said("pingpong-session", Service::PingPong);
        let Ok(Message::Ping { data, .. }) = Message::parse(&said[0].data) else { panic!() };
        let text = std::str::from_utf8(data).unwrap();
        let micros: u64 = text.rsplit(' ').next().unwrap().parse().unwrap();
        let config = Config { epoch_micros: micros - 1_000_000, ..Config::default() };
        let mut client = Client::new(config);
        let now = Instant::from_millis(1_000);
        client.on_up(now, false);
        assert_eq!(client.poll(now), Some(Act::Message(said[0].data.clone())));
        assert_eq!(client.poll(now), None);
        let pong = said.iter().find(|said| said.data[0] == 2).unwrap();
        let later = Instant::from_millis(1_007);
        client.on_message(later, &pong.data).unwrap();
        let round_trip = Duration::from_millis(7);
        let told = Act::Tell(Event::Pong { number: 1, reply: 1, round_trip });
        assert_eq!(client.poll(later), Some(told));
        assert_eq!(client.poll_timeout(), Some(Instant::from_millis(1_500)));
    }

    #[test]
    fn a_ping_without_answer_is_said_again_to_another_element() {
        let mut client = Client::new(Config { count: 1, ..Config::default() });
        let at = Instant::from_millis;
        client.on_up(at(0), false);
        assert!(matches!(client.poll(at(0)), Some(Act::Message(_))));
        client.on_timeout(at(3_000));
        let fail_over = Act::FailOver { at: at(3_000), with_cookie: true };
        assert_eq!(client.poll(at(3_000)), Some(fail_over));
        client.on_down(at(3_000));
        client.on_up(at(3_100), true);
        let Some(Act::Message(again)) = client.poll(at(3_100)) else { panic!() };
        let Ok(Message::Ping { number: 1, .. }) = Message::parse(&again) else { panic!() };
        let pong = Message::Pong { number: 1, reply: 8, data: b"" }.to_bytes();
        client.on_message(at(3_200), &pong).unwrap();
        assert!(matches!(client.poll(at(3_200)), Some(Act::Tell(_))));
        assert_eq!(client.poll(at(3_200)), Some(Act::Finish));
        assert_eq!((client.statistics().repeat_count, client.statistics().last_reply), (1, 8));
    }
}
