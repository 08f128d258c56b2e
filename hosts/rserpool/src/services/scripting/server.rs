//! The element's side of Scripting: what is uploaded and downloaded. Running scripts is for the
//! host, which is told by [`Output::Run`] and tells by [`Serve::on_outcome`].

use std::collections::VecDeque;
use std::sync::Arc;

use rserpool_core::association::Ppid;
use rserpool_core::time::Instant;
use sha1::{Digest, Sha1};

use super::{DATA_LEN_MAX, Hash, Message, REASON_FULL, TEXT_LEN_MAX};
use crate::services::keep_alive::{KeepAlive, Pace};
use crate::services::places::Places;
use crate::services::{Output, Refusal, Serve, Service};

/// What an element takes.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// The most scripts at a time; who comes then is told that the element is not ready.
    pub session_count_max: usize,
    /// The most bytes of a package, and of an environment.
    pub upload_len_max: usize,
    /// The most bytes of environments that are kept for the next package.
    pub cache_len_max: usize,
    /// How users are asked for signs of life.
    pub keep_alive: Pace,
}

impl Default for Limits {
    /// 4 scripts, 64 MiB, 128 MiB of environments, 15 s and 10 s.
    fn default() -> Self {
        use std::time::Duration;
        let (interval, timeout) = (Duration::from_secs(15), Duration::from_secs(10));
        Self {
            session_count_max: 4,
            upload_len_max: 64 << 20,
            cache_len_max: 128 << 20,
            keep_alive: Pace { interval, timeout },
        }
    }
}

/// A script that is to be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// What the user uploaded.
    pub package: Vec<u8>,
    /// What the package needs, if it said so.
    pub environment: Option<Arc<[u8]>>,
}

/// What came of a script.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Its exit status.
    pub status: u32,
    /// What it made.
    pub output: Vec<u8>,
}

/// Scripting, as an element serves it.
#[derive(Clone, Debug)]
pub struct Server {
    limits: Limits,
    /// What the element calls itself.
    name: Vec<u8>,
    places: Places,
    /// The oldest first.
    cache: VecDeque<(Hash, Arc<[u8]>)>,
}

impl Server {
    /// An element that calls itself `name`, which is cut to what a message holds.
    #[must_use]
    pub fn new(limits: Limits, name: &str) -> Self {
        let mut name = name.as_bytes().to_vec();
        name.truncate(TEXT_LEN_MAX);
        Self {
            limits,
            name,
            places: Places::new(limits.session_count_max),
            cache: VecDeque::new(),
        }
    }

    fn cached(&self, hash: &Hash) -> Option<Arc<[u8]>> {
        let found = self.cache.iter().find(|(cached, _)| cached == hash);
        found.map(|(_, environment)| Arc::clone(environment))
    }

    fn remember(&mut self, hash: Hash, environment: &Arc<[u8]>) {
        self.cache.retain(|(cached, _)| *cached != hash);
        self.cache.push_back((hash, Arc::clone(environment)));
        let len = |cache: &VecDeque<(Hash, Arc<[u8]>)>| {
            cache.iter().map(|(_, environment)| environment.len()).sum::<usize>()
        };
        while self.cache.len() > CACHE_COUNT_MAX || len(&self.cache) > self.limits.cache_len_max {
            self.cache.pop_front();
        }
    }

    /// The package is complete; the environment may have to come first.
    fn on_package(&mut self, session: &mut Session, package: Vec<u8>, hash: Option<Hash>) {
        let environment = match hash {
            None => None,
            Some(hash) => {
                let cached = self.cached(&hash);
                let is_needed = cached.is_none();
                session.owed.push_back(Owed::Environment { hash, is_needed });
                if is_needed {
                    let environment = Vec::new();
                    session.stage = Stage::Environment { package, hash, environment };
                    return;
                }
                cached
            }
        };
        session.begin(Run { package, environment });
    }
}

/// A session of [`Server`].
#[derive(Clone, Debug)]
pub struct Session {
    stage: Stage,
    /// It takes one of the places of the element.
    has_place: bool,
    owed: VecDeque<Owed>,
    /// Since the script began.
    keep_alive: Option<KeepAlive>,
}

#[derive(Clone, Debug)]
enum Stage {
    /// The element is full.
    NotReady,
    /// The package comes.
    Package {
        package: Vec<u8>,
        hash: Option<Hash>,
    },
    /// Its environment comes.
    Environment {
        package: Vec<u8>,
        hash: Hash,
        environment: Vec<u8>,
    },
    Running,
    /// The output goes.
    Output {
        output: Vec<u8>,
        sent_len: usize,
    },
    /// The user has all, and is to go.
    Done,
    /// It is sent away.
    Leaving,
}

/// What a session owes, in this order.
#[derive(Clone, Debug)]
enum Owed {
    Readiness,
    Environment { hash: Hash, is_needed: bool },
    Run(Run),
    Status(u32),
    Acknowledgement,
}

impl Session {
    fn begin(&mut self, run: Run) {
        self.owed.push_back(Owed::Status(BEGUN));
        self.owed.push_back(Owed::Run(run));
        self.stage = Stage::Running;
    }
}

impl Serve for Server {
    type Session = Session;

    fn ppid(&self) -> Ppid {
        Service::Scripting.ppid()
    }

    fn open(&mut self, _: Instant) -> Option<Session> {
        let has_place = self.places.take();
        let stage = match has_place {
            true => Stage::Package { package: Vec::new(), hash: None },
            false => Stage::NotReady,
        };
        let owed = [Owed::Readiness].into();
        Some(Session { stage, has_place, owed, keep_alive: None })
    }

    fn close(&mut self, _: Instant, session: Session) {
        if session.has_place {
            self.places.free();
        }
    }

    fn on_message(
        &mut self,
        now: Instant,
        session: &mut Session,
        data: &[u8],
    ) -> Result<(), Refusal> {
        if let Some(keep_alive) = &mut session.keep_alive {
            keep_alive.on_heard(now);
        }
        let len_max = self.limits.upload_len_max;
        match (Message::parse(data)?, &mut session.stage) {
            (Message::KeepAlive, _) => {
                let has = session.owed.iter().any(|owed| matches!(owed, Owed::Acknowledgement));
                if !has {
                    session.owed.push_back(Owed::Acknowledgement);
                }
            }
            (Message::KeepAliveAck { .. }, _) => {}
            (Message::Environment { hash, .. }, Stage::Package { hash: named, .. }) => {
                *named = Some(hash);
            }
            (Message::Upload([]), Stage::Package { package, hash }) => {
                let (package, hash) = (std::mem::take(package), *hash);
                self.on_package(session, package, hash);
            }
            (Message::Upload(data), Stage::Package { package, .. }) => {
                append(package, data, len_max)?;
            }
            (Message::Upload([]), Stage::Environment { package, hash, environment }) => {
                let environment: Arc<[u8]> = std::mem::take(environment).into();
                let (package, hash) = (std::mem::take(package), *hash);
                if Hash::from(Sha1::digest(&environment)) != hash {
                    return Err(Refusal::Unexpected);
                }
                self.remember(hash, &environment);
                session.begin(Run { package, environment: Some(environment) });
            }
            (Message::Upload(data), Stage::Environment { environment, .. }) => {
                append(environment, data, len_max)?;
            }
            // Who is told to come again may have begun already.
            (Message::Upload(_) | Message::Environment { .. }, Stage::NotReady) => {}
            _ => return Err(Refusal::Unexpected),
        }
        if matches!(session.stage, Stage::Running) && session.keep_alive.is_none() {
            session.keep_alive = Some(KeepAlive::new(now, self.limits.keep_alive));
        }
        Ok(())
    }

    fn on_outcome(&mut self, _: Instant, session: &mut Session, outcome: Outcome) {
        if let Stage::Running = session.stage {
            session.owed.push_back(Owed::Status(outcome.status));
            session.stage = Stage::Output { output: outcome.output, sent_len: 0 };
        }
    }

    fn on_timeout(&mut self, now: Instant, session: &mut Session) {
        if let Some(keep_alive) = &mut session.keep_alive {
            keep_alive.on_timeout(now);
            if keep_alive.is_silent() {
                session.stage = Stage::Leaving;
                session.owed.clear();
                session.keep_alive = None;
            }
        }
    }

    fn poll_timeout(&self, session: &Session) -> Option<Instant> {
        session.keep_alive.as_ref().and_then(KeepAlive::poll_timeout)
    }

    fn poll(&mut self, _: Instant, session: &mut Session) -> Option<Output> {
        let message = |message: Message<'_>| Some(Output::Message(message.to_bytes()));
        if let Some(owed) = session.owed.pop_front() {
            return match owed {
                Owed::Readiness => message(match session.stage {
                    Stage::NotReady => Message::NotReady { reason: REASON_FULL, text: &self.name },
                    _ => Message::Ready { text: &self.name },
                }),
                Owed::Environment { hash, is_needed } => {
                    message(Message::Environment { hash, is_needed })
                }
                Owed::Run(run) => Some(Output::Run(run)),
                Owed::Status(status) => message(Message::Status(status)),
                Owed::Acknowledgement => message(Message::KeepAliveAck { status: Some(BEGUN) }),
            };
        }
        if session.keep_alive.as_mut().is_some_and(KeepAlive::take_question) {
            return message(Message::KeepAlive);
        }
        match &mut session.stage {
            Stage::Output { output, sent_len } => {
                let rest = &output[*sent_len..];
                let chunk = &rest[..rest.len().min(DATA_LEN_MAX)];
                let download = Message::Download(chunk).to_bytes();
                *sent_len += chunk.len();
                if chunk.is_empty() {
                    session.stage = Stage::Done;
                }
                Some(Output::Message(download))
            }
            Stage::Leaving => Some(Output::Close),
            _ => None,
        }
    }

    fn hand_on(&mut self, _: Instant, session: &mut Session) {
        // There is nothing that another element could go on with, but what is done is given.
        if !matches!(session.stage, Stage::Output { .. } | Stage::Done) {
            session.owed.clear();
        }
        session.stage = Stage::Leaving;
    }

    fn load(&self) -> f64 {
        self.places.load()
    }
}

fn append(to: &mut Vec<u8>, data: &[u8], len_max: usize) -> Result<(), Refusal> {
    if to.len() + data.len() > len_max {
        return Err(Refusal::TooMuch(len_max as u64));
    }
    to.extend_from_slice(data);
    Ok(())
}

/// The status of a script that has begun.
const BEGUN: u32 = 0;

/// The most environments that are kept; RSPLIB keeps as many.
const CACHE_COUNT_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::recorded;

    fn server() -> Server {
        Server::new(Limits { session_count_max: 1, ..Limits::default() }, "(none)")
    }

    fn hear(server: &mut Server, session: &mut Session, message: Message<'_>) {
        server.on_message(Instant::ZERO, session, &message.to_bytes()).unwrap();
    }

    fn outputs(server: &mut Server, session: &mut Session) -> Vec<Output> {
        std::iter::from_fn(|| server.poll(Instant::ZERO, session)).take(100).collect()
    }

    fn said(message: Message<'_>) -> Output {
        Output::Message(message.to_bytes())
    }

    #[test]
    fn a_recorded_session_is_answered_with_the_recorded_bytes() {
        // The first of the two users; the second is told to wait.
        let all = recorded::said("scripting-notready", Service::Scripting);
        let user = all.iter().find(|said| said.data[0] == 2).unwrap().by;
        let element = all[0].by;
        let ours: Vec<_> = all.iter().filter(|said| said.by == user).collect();
        let mut server = server();
        let mut session = server.open(Instant::ZERO).unwrap();
        let mut other = server.open(Instant::ZERO).unwrap();
        assert_eq!(outputs(&mut server, &mut session), [Output::Message(all[0].data.clone())]);
        let not_ready = all.iter().find(|said| said.data[0] == 0).unwrap();
        assert_eq!(not_ready.by, element);
        assert_eq!(outputs(&mut server, &mut other), [Output::Message(not_ready.data.clone())]);
        for said in ours.iter().filter(|said| said.data[0] == 2) {
            server.on_message(Instant::ZERO, &mut session, &said.data).unwrap();
        }
        let statuses: Vec<_> = all.iter().filter(|said| said.data[0] == 6).collect();
        let begun = outputs(&mut server, &mut session);
        let [status, Output::Run(run)] = &begun[..] else { panic!("{begun:?}") };
        assert_eq!(*status, Output::Message(statuses[0].data.clone()));
        assert_eq!((run.package.len(), &run.package[..5]), (10_240, &b"ssrun"[..]));
        let download = all.iter().find(|said| said.data[0] == 3).unwrap();
        let outcome = Outcome { status: 0, output: download.data[4..].to_vec() };
        server.on_outcome(Instant::ZERO, &mut session, outcome);
        let expected = [
            Output::Message(statuses[1].data.clone()),
            Output::Message(download.data.clone()),
            said(Message::Download(&[])),
        ];
        assert_eq!(outputs(&mut server, &mut session), expected);
    }

    #[test]
    fn an_environment_is_asked_for_once() {
        let mut server = server();
        let hash = Hash::from(Sha1::digest(b"tools"));
        for is_needed in [true, false] {
            let mut session = server.open(Instant::ZERO).unwrap();
            outputs(&mut server, &mut session);
            hear(&mut server, &mut session, Message::Environment { hash, is_needed: false });
            hear(&mut server, &mut session, Message::Upload(b"package"));
            hear(&mut server, &mut session, Message::Upload(b""));
            let answer = said(Message::Environment { hash, is_needed });
            if is_needed {
                assert_eq!(outputs(&mut server, &mut session), [answer]);
                hear(&mut server, &mut session, Message::Upload(b"to"));
                hear(&mut server, &mut session, Message::Upload(b"ols"));
                hear(&mut server, &mut session, Message::Upload(b""));
            } else {
                assert_eq!(server.poll(Instant::ZERO, &mut session), Some(answer));
            }
            let begun = outputs(&mut server, &mut session);
            let [_, Output::Run(run)] = &begun[..] else { panic!("{begun:?}") };
            assert_eq!(run.environment.as_deref(), Some(&b"tools"[..]));
            server.close(Instant::ZERO, session);
        }
    }

    #[test]
    fn an_environment_of_another_name_is_refused() {
        let mut server = server();
        let mut session = server.open(Instant::ZERO).unwrap();
        let hash = Hash::from(Sha1::digest(b"tools"));
        hear(&mut server, &mut session, Message::Environment { hash, is_needed: false });
        hear(&mut server, &mut session, Message::Upload(b""));
        hear(&mut server, &mut session, Message::Upload(b"evil"));
        let end = Message::Upload(b"").to_bytes();
        let refused = server.on_message(Instant::ZERO, &mut session, &end);
        assert_eq!(refused, Err(Refusal::Unexpected));
    }

    #[test]
    fn an_upload_has_a_bound() {
        let mut server =
            Server::new(Limits { upload_len_max: 20_000, ..Limits::default() }, "here");
        let mut session = server.open(Instant::ZERO).unwrap();
        let part = Message::Upload(&[7; DATA_LEN_MAX]).to_bytes();
        server.on_message(Instant::ZERO, &mut session, &part).unwrap();
        let refused = server.on_message(Instant::ZERO, &mut session, &part);
        assert_eq!(refused, Err(Refusal::TooMuch(20_000)));
    }

    #[test]
    fn a_silent_user_is_sent_away() {
        let mut server = server();
        let mut session = server.open(Instant::ZERO).unwrap();
        hear(&mut server, &mut session, Message::Upload(b""));
        outputs(&mut server, &mut session);
        server.on_timeout(Instant::from_millis(15_000), &mut session);
        assert_eq!(outputs(&mut server, &mut session), [said(Message::KeepAlive)]);
        server.on_timeout(Instant::from_millis(25_000), &mut session);
        let last = server.poll(Instant::from_millis(25_000), &mut session);
        assert_eq!(last, Some(Output::Close));
    }
}
