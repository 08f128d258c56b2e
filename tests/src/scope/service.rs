//! What an element does for users: it counts, one step for each request, and gives a cookie after
//! each step with which any other element of the pool can go on.
//!
//! Stream 0 carries ASAP's control channel, stream 1 requests and answers, between which nothing
//! keeps an order. A request is two words, how far the job is and whether a cookie says so; an
//! answer is the step that is done.

use std::collections::{BTreeMap, VecDeque};

use rserpool_core::asap::cookie::{CookieKey, open, seal, sealed_len};
use rserpool_core::asap::{Control, emit_cookie, read_control};
use rserpool_core::association::{AssociationId, Input, Ppid, StreamId, Transmit};
use rserpool_core::identifier::{PoolHandle, PoolHandleBuf};

/// The payload of requests and answers ("RSSW").
pub(super) const WORK: Ppid = Ppid(0x5253_5357);

/// The stream that carries them.
pub(super) const WORK_STREAM: StreamId = StreamId(1);

/// What a cookie holds: the job and the steps that are done.
pub(super) const COOKIE_PAYLOAD_LEN: usize = 8;

/// The longest message of the control channel.
pub(super) const CONTROL_LEN_MAX: usize = 128;

/// The secret of all pools here.
pub(super) fn pool_key() -> CookieKey {
    CookieKey::new([0x5c; CookieKey::LEN])
}

/// What an element has done for users.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServiceCounts {
    /// Steps of jobs.
    pub steps: u64,
    /// Jobs that went on from another element's cookie.
    pub resumed: u64,
}

/// A step that a user wants.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    pub(super) job: u32,
    pub(super) step: u32,
    /// A cookie says how far the job is, on the other stream.
    pub(super) is_resumed: bool,
}

impl Request {
    pub(super) fn to_bytes(self) -> [u8; 12] {
        let mut bytes = [0; 12];
        for (place, word) in
            bytes.chunks_exact_mut(4).zip([self.job, self.step, u32::from(self.is_resumed)])
        {
            place.copy_from_slice(&word.to_be_bytes());
        }
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let ([job, step, is_resumed], []) = bytes.as_chunks::<4>() else { return None };
        let [job, step, is_resumed] =
            [job, step, is_resumed].map(|word| u32::from_be_bytes(*word));
        Some(Self { job, step, is_resumed: is_resumed != 0 })
    }
}

/// Seals how far a job is.
pub(super) fn sealed_progress(pool: PoolHandle<'_>, job: u32, done: u32) -> Vec<u8> {
    let payload = [job.to_be_bytes(), done.to_be_bytes()].concat();
    let mut sealed = vec![0; sealed_len(COOKIE_PAYLOAD_LEN)];
    seal(&pool_key(), pool.as_bytes(), &payload, &mut sealed).expect("room");
    sealed
}

/// Reads what [`sealed_progress`] has sealed.
pub(super) fn opened_progress(pool: PoolHandle<'_>, cookie: &[u8]) -> (u32, u32) {
    let payload = open(&pool_key(), pool.as_bytes(), cookie).expect("a cookie of this pool");
    let (job, done) = payload.split_first_chunk::<4>().expect("a job");
    let done = done.try_into().expect("a step");
    (u32::from_be_bytes(*job), u32::from_be_bytes(done))
}

/// The element's side.
pub struct Service {
    pool: PoolHandleBuf,
    users: BTreeMap<AssociationId, Serving>,
    owed: VecDeque<(AssociationId, StreamId, Ppid, Vec<u8>)>,
    counts: ServiceCounts,
}

#[derive(Default)]
struct Serving {
    /// The job and its steps done.
    progress: Option<(u32, u32)>,
    /// A request that waits for its cookie.
    waiting: Option<Request>,
}

impl Service {
    pub(super) fn new(pool: PoolHandle<'_>) -> Self {
        Self {
            pool: pool.to_buf(),
            users: BTreeMap::new(),
            owed: VecDeque::new(),
            counts: ServiceCounts::default(),
        }
    }

    pub(super) fn counts(&self) -> ServiceCounts {
        self.counts
    }

    pub(super) fn handle_input(&mut self, input: Input<'_>) {
        match input {
            Input::Up { association, .. } => {
                self.users.insert(association, Serving::default());
            }
            Input::Down { association, .. } => {
                self.users.remove(&association);
            }
            Input::Message { association, stream, data, .. } if stream == WORK_STREAM => {
                let request = Request::from_bytes(data).expect("users send nothing else");
                self.on_request(association, request);
            }
            Input::Message { association, data, .. } => {
                let Ok(Control::CookieEcho(cookie)) = read_control(data) else {
                    panic!("users send nothing but echoes")
                };
                let progress = opened_progress(self.pool.as_handle(), cookie);
                let serving = self.users.entry(association).or_default();
                assert_eq!(serving.progress, None, "one echo an association");
                serving.progress = Some(progress);
                self.counts.resumed += 1;
                if let Some(request) = serving.waiting.take() {
                    self.on_request(association, request);
                }
            }
            _ => {}
        }
    }

    fn on_request(&mut self, association: AssociationId, request: Request) {
        let serving = self.users.entry(association).or_default();
        if request.is_resumed && serving.progress.is_none() {
            serving.waiting = Some(request);
            return;
        }
        let done = serving.progress.map_or(0, |(_, done)| done);
        // The user knows the newest cookie that it was given, so this is where to go on.
        assert_eq!(done + 1, request.step, "job {} goes on from an old cookie", request.job);
        let job = serving.progress.map_or(request.job, |(job, _)| job);
        assert_eq!(job, request.job, "the cookie of another job");
        serving.progress = Some((job, request.step));
        self.counts.steps += 1;
        let sealed = sealed_progress(self.pool.as_handle(), job, request.step);
        let mut cookie = vec![0; CONTROL_LEN_MAX];
        let len = emit_cookie(&sealed, &mut cookie).expect("room");
        cookie.truncate(len);
        self.owed.push_back((association, StreamId(0), Ppid::ASAP, cookie));
        let answer = request.step.to_be_bytes().to_vec();
        self.owed.push_back((association, WORK_STREAM, WORK, answer));
    }

    pub(super) fn poll_transmit(&mut self, buffer: &mut [u8]) -> Option<Transmit> {
        let (association, stream, ppid, bytes) = self.owed.pop_front()?;
        buffer[..bytes.len()].copy_from_slice(&bytes);
        Some(Transmit::Message { association, stream, ppid, len: bytes.len() })
    }
}
