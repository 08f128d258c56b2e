//! The user's side of Scripting: uploads a package, waits, downloads what it made.

use std::sync::Arc;
use std::time::Duration;

use rserpool_core::association::Ppid;
use rserpool_core::time::Instant;
use sha1::{Digest, Sha1};

use super::{DATA_LEN_MAX, Hash, Message};
use crate::services::keep_alive::{KeepAlive, Pace};
use crate::services::{Act, Call, Refusal, Service};

/// What is run, and how patiently.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The package.
    pub package: Arc<[u8]>,
    /// What it needs.
    pub environment: Option<Arc<[u8]>>,
    /// How often a script that fails is tried again.
    pub retry_count_max: u32,
    /// Between two attempts.
    pub retry_delay: Duration,
    /// How long an element may take to say something before the script runs, or after.
    pub timeout: Duration,
    /// How elements are asked for signs of life while it runs.
    pub keep_alive: Pace,
    /// The most bytes of output.
    pub output_len_max: usize,
}

impl Config {
    /// A package, with the patience of RSPLIB: 3 more attempts, 10 s between them, 59.5 s for an
    /// answer, 10 s and 10 s for signs of life; and 1 GiB of output.
    #[must_use]
    pub fn new(package: Arc<[u8]>, environment: Option<Arc<[u8]>>) -> Self {
        let ten = Duration::from_secs(10);
        Self {
            package,
            environment,
            retry_count_max: 3,
            retry_delay: ten,
            timeout: Duration::from_millis(59_500),
            keep_alive: Pace { interval: ten, timeout: ten },
            output_len_max: 1 << 30,
        }
    }
}

/// What the user should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The element takes no package now.
    NotReady {
        /// Why.
        reason: u32,
        /// Who says so.
        text: Vec<u8>,
    },
    /// The element takes the package.
    Ready {
        /// Who says so.
        text: Vec<u8>,
    },
    /// The script runs.
    Begun,
    /// The script has ended.
    Ended {
        /// Its exit status.
        status: u32,
    },
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// How often an element was not ready.
    pub not_ready_count: u64,
    /// How often the script ran to its end and failed.
    pub failure_count: u32,
    /// The exit status of the last script, if one has ended.
    pub status: Option<u32>,
}

/// Scripting, as a user calls it.
#[derive(Clone, Debug)]
pub struct Client {
    config: Config,
    hash: Option<Hash>,
    stage: Stage,
    /// What was said or heard last.
    active_at: Instant,
    keep_alive: Option<KeepAlive>,
    owes_acknowledgement: bool,
    told: std::collections::VecDeque<Event>,
    output: Vec<u8>,
    statistics: Statistics,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Alone,
    /// The element says whether it is ready.
    Asking,
    /// The environment is to be named.
    Naming,
    Uploading {
        what: What,
        sent_len: usize,
    },
    /// The script is to begin.
    Uploaded,
    Running,
    Downloading,
    /// Another element is wanted, after a pause.
    Again,
    Silent,
    Done,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Package,
    Environment,
}

impl Client {
    /// Nothing was uploaded yet.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let environment = config.environment.as_deref();
        Self {
            hash: environment.map(|environment| Hash::from(Sha1::digest(environment))),
            config,
            stage: Stage::Alone,
            active_at: Instant::ZERO,
            keep_alive: None,
            owes_acknowledgement: false,
            told: std::collections::VecDeque::new(),
            output: Vec::new(),
            statistics: Statistics::default(),
        }
    }

    /// What came of it so far.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.statistics
    }

    /// What the last script made.
    #[must_use]
    pub fn into_output(self) -> Vec<u8> {
        self.output
    }

    fn on_status(&mut self, now: Instant, status: u32) -> Result<(), Refusal> {
        match self.stage {
            Stage::Uploaded if status == 0 => {
                self.stage = Stage::Running;
                self.keep_alive = Some(KeepAlive::new(now, self.config.keep_alive));
                self.told.push_back(Event::Begun);
            }
            // RSPLIB may refuse a package by a status that is not 0.
            Stage::Running | Stage::Uploaded => {
                self.stage = Stage::Downloading;
                self.keep_alive = None;
                self.output.clear();
                self.statistics.status = Some(status);
                self.statistics.failure_count += u32::from(status != 0);
                self.told.push_back(Event::Ended { status });
            }
            _ => return Err(Refusal::Unexpected),
        }
        Ok(())
    }

    fn on_download(&mut self, data: &[u8]) -> Result<(), Refusal> {
        if self.stage != Stage::Downloading {
            return Err(Refusal::Unexpected);
        }
        if self.output.len() + data.len() > self.config.output_len_max {
            return Err(Refusal::TooMuch(self.config.output_len_max as u64));
        }
        self.output.extend_from_slice(data);
        if data.is_empty() {
            let has_failed = self.statistics.status != Some(0);
            let may_retry = self.statistics.failure_count <= self.config.retry_count_max;
            self.stage = if has_failed && may_retry { Stage::Again } else { Stage::Done };
        }
        Ok(())
    }

    fn upload(&mut self, what: What, sent_len: usize) -> Vec<u8> {
        let data = match what {
            What::Package => &self.config.package,
            What::Environment => self.config.environment.as_ref().unwrap_or(&self.config.package),
        };
        let rest = data.get(sent_len..).unwrap_or_default();
        let chunk = &rest[..rest.len().min(DATA_LEN_MAX)];
        self.stage = match chunk.len() {
            0 => Stage::Uploaded,
            len => Stage::Uploading { what, sent_len: sent_len + len },
        };
        Message::Upload(chunk).to_bytes()
    }
}

impl Call for Client {
    type Event = Event;

    fn ppid(&self) -> Ppid {
        Service::Scripting.ppid()
    }

    fn on_up(&mut self, now: Instant, _: bool) {
        self.active_at = now;
        self.stage = Stage::Asking;
        self.owes_acknowledgement = false;
    }

    fn on_message(&mut self, now: Instant, data: &[u8]) -> Result<(), Refusal> {
        self.active_at = now;
        if let Some(keep_alive) = &mut self.keep_alive {
            keep_alive.on_heard(now);
        }
        match (Message::parse(data)?, self.stage) {
            (Message::Ready { text }, Stage::Asking) => {
                self.told.push_back(Event::Ready { text: text.into() });
                self.stage = match self.hash {
                    Some(_) => Stage::Naming,
                    None => Stage::Uploading { what: What::Package, sent_len: 0 },
                };
            }
            (Message::NotReady { reason, text }, Stage::Asking) => {
                self.statistics.not_ready_count += 1;
                self.told.push_back(Event::NotReady { reason, text: text.into() });
                self.stage = Stage::Again;
            }
            (Message::Environment { hash, is_needed }, Stage::Uploaded)
                if Some(hash) == self.hash =>
            {
                if is_needed {
                    self.stage = Stage::Uploading { what: What::Environment, sent_len: 0 };
                }
            }
            (Message::Status(status), _) => return self.on_status(now, status),
            (Message::Download(data), _) => return self.on_download(data),
            (Message::KeepAlive, _) => self.owes_acknowledgement = true,
            (Message::KeepAliveAck { .. }, _) => {}
            _ => return Err(Refusal::Unexpected),
        }
        Ok(())
    }

    fn on_down(&mut self, _: Instant) {
        if self.stage != Stage::Done {
            self.stage = Stage::Alone;
        }
        self.keep_alive = None;
    }

    fn on_timeout(&mut self, now: Instant) {
        if let Some(keep_alive) = &mut self.keep_alive {
            keep_alive.on_timeout(now);
            if keep_alive.is_silent() {
                self.stage = Stage::Silent;
            }
        } else if self.active_at + self.config.timeout <= now {
            self.stage = Stage::Silent;
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        match (self.stage, &self.keep_alive) {
            (Stage::Alone | Stage::Again | Stage::Silent | Stage::Done, _) => None,
            (_, Some(keep_alive)) => keep_alive.poll_timeout(),
            (_, None) => Some(self.active_at + self.config.timeout),
        }
    }

    fn poll(&mut self, now: Instant) -> Option<Act<Event>> {
        if let Some(event) = self.told.pop_front() {
            return Some(Act::Tell(event));
        }
        if self.owes_acknowledgement {
            self.owes_acknowledgement = false;
            return Some(Act::Message(Message::KeepAliveAck { status: None }.to_bytes()));
        }
        if self.keep_alive.as_mut().is_some_and(KeepAlive::take_question) {
            return Some(Act::Message(Message::KeepAlive.to_bytes()));
        }
        match self.stage {
            Stage::Naming => {
                self.active_at = now;
                self.stage = Stage::Uploading { what: What::Package, sent_len: 0 };
                let hash = self.hash.unwrap_or_default();
                Some(Act::Message(Message::Environment { hash, is_needed: false }.to_bytes()))
            }
            Stage::Uploading { what, sent_len } => {
                self.active_at = now;
                Some(Act::Message(self.upload(what, sent_len)))
            }
            Stage::Again => {
                let at = now + self.config.retry_delay;
                Some(Act::FailOver { at, with_cookie: false })
            }
            Stage::Silent => Some(Act::FailOver { at: now, with_cookie: false }),
            Stage::Done => Some(Act::Finish),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::recorded;

    fn acts(client: &mut Client) -> Vec<Act<Event>> {
        std::iter::from_fn(|| client.poll(Instant::ZERO)).take(20).collect()
    }

    fn hear(client: &mut Client, message: Message<'_>) {
        client.on_message(Instant::ZERO, &message.to_bytes()).unwrap();
    }

    #[test]
    fn a_recorded_package_goes_out_with_the_recorded_bytes() {
        let all = recorded::said("scripting-notready", Service::Scripting);
        let user = all.iter().find(|said| said.data[0] == 2).unwrap().by;
        let mine: Vec<_> =
            all.iter().filter(|said| said.by == user).map(|said| said.data.clone()).collect();
        let package = mine[0][4..].into();
        let mut client = Client::new(Config::new(package, None));
        client.on_up(Instant::ZERO, false);
        let mut messages = Vec::new();
        // Nothing is said to another user before the first is done but that it must wait.
        let ready = all.iter().find(|said| said.data[0] == 1).unwrap();
        let rest = all.iter().filter(|said| matches!(said.data[0], 3 | 4 | 6)).take(5);
        for said in [ready].into_iter().chain(rest) {
            client.on_message(Instant::ZERO, &said.data).unwrap();
            for act in acts(&mut client) {
                if let Act::Message(message) = act {
                    messages.push(message);
                }
            }
        }
        assert_eq!(messages, mine);
        assert_eq!(client.statistics().status, Some(0));
        assert_eq!(client.into_output().len(), 128);
    }

    #[test]
    fn an_environment_is_named_and_uploaded_when_needed() {
        let environment: Arc<[u8]> = b"tools".as_slice().into();
        let config = Config::new(b"package".as_slice().into(), Some(environment));
        let mut client = Client::new(config);
        client.on_up(Instant::ZERO, false);
        hear(&mut client, Message::Ready { text: b"here" });
        let hash = Hash::from(Sha1::digest(b"tools"));
        let said = |message: Message<'_>| Act::Message(message.to_bytes());
        assert_eq!(
            acts(&mut client)[1..],
            [
                said(Message::Environment { hash, is_needed: false }),
                said(Message::Upload(b"package")),
                said(Message::Upload(b"")),
            ]
        );
        hear(&mut client, Message::Environment { hash, is_needed: true });
        let upload = [said(Message::Upload(b"tools")), said(Message::Upload(b""))];
        assert_eq!(acts(&mut client), upload);
        hear(&mut client, Message::Status(0));
        assert_eq!(acts(&mut client), [Act::Tell(Event::Begun)]);
    }

    #[test]
    fn a_script_that_fails_is_tried_again_and_its_last_output_kept() {
        let mut config = Config::new(b"package".as_slice().into(), None);
        config.retry_count_max = 1;
        let mut client = Client::new(config);
        for attempt in 0..2 {
            client.on_up(Instant::ZERO, false);
            hear(&mut client, Message::Ready { text: b"" });
            acts(&mut client);
            hear(&mut client, Message::Status(0));
            hear(&mut client, Message::Status(7));
            hear(&mut client, Message::Download(b"why"));
            hear(&mut client, Message::Download(b""));
            let last = acts(&mut client).pop().unwrap();
            let again = Act::FailOver { at: Instant::from_millis(10_000), with_cookie: false };
            assert_eq!(last, if attempt == 0 { again } else { Act::Finish });
            if attempt == 0 {
                client.on_down(Instant::ZERO);
            }
        }
        assert_eq!(client.statistics().failure_count, 2);
        assert_eq!(client.into_output(), b"why");
    }

    #[test]
    fn who_is_not_ready_is_left_for_a_while() {
        let mut client = Client::new(Config::new(b"package".as_slice().into(), None));
        client.on_up(Instant::ZERO, false);
        let recorded = recorded::said("scripting-notready", Service::Scripting);
        let not_ready = recorded.iter().find(|said| said.data[0] == 0).unwrap();
        client.on_message(Instant::ZERO, &not_ready.data).unwrap();
        let acts = [client.poll(Instant::ZERO), client.poll(Instant::ZERO)];
        let at = Instant::from_millis(10_000);
        let text = b"(none)".to_vec();
        let told = Act::Tell(Event::NotReady { reason: 1, text });
        assert_eq!(acts, [Some(told), Some(Act::FailOver { at, with_cookie: false })]);
    }
}
