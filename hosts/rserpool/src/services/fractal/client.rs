//! The user's side of Fractal: a picture, or a band of one, until every pixel is there.

use std::time::Duration;

use rserpool_core::association::Ppid;
use rserpool_core::time::Instant;

use super::{Message, Parameter};
use crate::services::{Act, Call, Refusal, Service};

/// What picture.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// The picture.
    pub parameter: Parameter,
    /// How long an element may be silent. RSPLIB's say something every second.
    pub timeout: Duration,
}

/// Some rows of a picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Band {
    /// The first of them.
    pub first_row: u32,
    /// A picture of these rows alone.
    pub parameter: Parameter,
}

impl Band {
    /// Cuts a picture into `count` bands that are about as high as each other, or fewer if it has
    /// not so many rows.
    #[must_use]
    pub fn cut(whole: Parameter, count: u32) -> Vec<Self> {
        let count = count.clamp(1, whole.height.max(1));
        let step = (whole.c2.1 - whole.c1.1) / f64::from(whole.height);
        let edge = |index: u32| {
            let rows = u64::from(whole.height) * u64::from(index) / u64::from(count);
            rows as u32
        };
        // A single band is the whole, with not even a rounding between them.
        let at = |row: u32| match row == whole.height {
            true => whole.c2.1,
            false => whole.c1.1 + f64::from(row) * step,
        };
        let bands = (0..count).map(|index| {
            let (first_row, end_row) = (edge(index), edge(index + 1));
            let parameter = Parameter {
                height: end_row - first_row,
                c1: (whole.c1.0, at(first_row)),
                c2: (whole.c2.0, at(end_row)),
                ..whole
            };
            Self { first_row, parameter }
        });
        bands.collect()
    }
}

/// What the user should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A part of the picture has come.
    Pixels {
        /// How many pixels are there.
        done: u64,
        /// How many there will be.
        of: u64,
    },
}

/// What came of the picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Pixels that are there.
    pub pixel_count: u64,
    /// Pixels that came again after a failover.
    pub repeat_count: u64,
}

/// Fractal, as a user calls it.
#[derive(Clone, Debug)]
pub struct Client {
    config: Config,
    /// `None` for what has not come.
    pixels: Vec<Option<u32>>,
    state: State,
    heard_at: Instant,
    has_news: bool,
    statistics: Statistics,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Alone,
    Owed,
    InWork,
    Silent,
    /// The element said that it was done, but it is not.
    Incomplete,
    Complete,
}

impl Client {
    /// Nothing has come yet.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let count = usize::try_from(config.parameter.pixel_count()).unwrap_or(usize::MAX);
        Self {
            config,
            pixels: vec![None; count],
            state: State::Alone,
            heard_at: Instant::ZERO,
            has_news: false,
            statistics: Statistics::default(),
        }
    }

    /// What came of it so far.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.statistics
    }

    /// The picture row by row; 0 for what has not come.
    #[must_use]
    pub fn into_pixels(self) -> Vec<u32> {
        self.pixels.into_iter().map(Option::unwrap_or_default).collect()
    }

    fn on_data(
        &mut self,
        x: u32,
        y: u32,
        values: impl Iterator<Item = u32>,
    ) -> Result<(), Refusal> {
        let first = self.config.parameter.index(x, y).ok_or(Refusal::Unexpected)?;
        let first = usize::try_from(first).map_err(|_| Refusal::Unexpected)?;
        for (index, value) in (first..).zip(values) {
            let pixel = self.pixels.get_mut(index).ok_or(Refusal::Unexpected)?;
            match pixel.replace(value) {
                None => self.statistics.pixel_count += 1,
                Some(_) => self.statistics.repeat_count += 1,
            }
        }
        self.has_news = true;
        Ok(())
    }
}

impl Call for Client {
    type Event = Event;

    fn ppid(&self) -> Ppid {
        Service::Fractal.ppid()
    }

    fn on_up(&mut self, now: Instant, is_resumed: bool) {
        self.heard_at = now;
        self.state = if is_resumed { State::InWork } else { State::Owed };
    }

    fn on_message(&mut self, now: Instant, data: &[u8]) -> Result<(), Refusal> {
        self.heard_at = now;
        match Message::parse(data)? {
            Message::Data { x, y, values } => self.on_data(x, y, values.iter()),
            Message::End => {
                let is_complete =
                    self.statistics.pixel_count == self.config.parameter.pixel_count();
                self.state = if is_complete { State::Complete } else { State::Incomplete };
                Ok(())
            }
            Message::Parameter(_) => Err(Refusal::Unexpected),
        }
    }

    fn on_down(&mut self, _: Instant) {
        self.state = State::Alone;
    }

    fn on_timeout(&mut self, now: Instant) {
        if self.state == State::InWork && self.heard_at + self.config.timeout <= now {
            self.state = State::Silent;
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        (self.state == State::InWork).then_some(self.heard_at + self.config.timeout)
    }

    fn poll(&mut self, now: Instant) -> Option<Act<Event>> {
        if self.has_news {
            self.has_news = false;
            let (done, of) = (self.statistics.pixel_count, self.config.parameter.pixel_count());
            return Some(Act::Tell(Event::Pixels { done, of }));
        }
        match self.state {
            State::Owed => {
                self.state = State::InWork;
                Some(Act::Message(Message::Parameter(self.config.parameter).to_bytes()))
            }
            State::Silent => Some(Act::FailOver { at: now, with_cookie: true }),
            State::Incomplete => Some(Act::FailOver { at: now, with_cookie: false }),
            State::Complete => Some(Act::Finish),
            State::Alone | State::InWork => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::render;
    use super::*;
    use crate::services::recorded;

    #[test]
    fn a_recorded_picture_is_asked_for_and_put_together() {
        let said = recorded::said("fractal-session", Service::Fractal);
        let Ok(Message::Parameter(parameter)) = Message::parse(&said[0].data) else { panic!() };
        let timeout = Duration::from_secs(10);
        let mut client = Client::new(Config { parameter, timeout });
        client.on_up(Instant::ZERO, false);
        assert_eq!(client.poll(Instant::ZERO), Some(Act::Message(said[0].data.clone())));
        for said in said.iter().filter(|said| said.data[0] == 2) {
            client.on_message(Instant::ZERO, &said.data).unwrap();
        }
        let told = Act::Tell(Event::Pixels { done: 14_800, of: 14_800 });
        assert_eq!(client.poll(Instant::ZERO), Some(told));
        assert_eq!(client.poll(Instant::ZERO), Some(Act::Finish));
        assert_eq!(client.statistics().repeat_count, 0);
        assert!(client.into_pixels() == render(&parameter));
    }

    #[test]
    fn what_is_outside_of_the_picture_is_refused() {
        let said = recorded::said("fractal-session", Service::Fractal);
        let Ok(Message::Parameter(parameter)) = Message::parse(&said[0].data) else { panic!() };
        let timeout = Duration::from_secs(10);
        let mut client =
            Client::new(Config { parameter: Parameter { height: 1, ..parameter }, timeout });
        client.on_up(Instant::ZERO, false);
        // 324 values in a picture of 200.
        let data = said.iter().find(|said| said.data[0] == 2).unwrap();
        assert_eq!(client.on_message(Instant::ZERO, &data.data), Err(Refusal::Unexpected));
        let end = Message::End.to_bytes();
        let mut client = Client::new(Config { parameter, timeout });
        client.on_up(Instant::ZERO, false);
        client.poll(Instant::ZERO);
        client.on_message(Instant::ZERO, &end).unwrap();
        let again = Act::FailOver { at: Instant::ZERO, with_cookie: false };
        assert_eq!(client.poll(Instant::ZERO), Some(again));
    }

    #[test]
    fn bands_cover_all_rows() {
        let said = recorded::said("fractal-session", Service::Fractal);
        let Ok(Message::Parameter(whole)) = Message::parse(&said[0].data) else { panic!() };
        assert_eq!(Band::cut(whole, 1), [Band { first_row: 0, parameter: whole }]);
        let bands = Band::cut(whole, 5);
        let mut row = 0;
        for band in &bands {
            assert_eq!(band.first_row, row);
            row += band.parameter.height;
        }
        assert_eq!((bands.len(), row), (5, whole.height));
        assert_eq!(Band::cut(Parameter { height: 2, ..whole }, 5).len(), 2);
    }
}
