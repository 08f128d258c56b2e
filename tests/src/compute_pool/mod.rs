//! A pool of workers and a job runner in virtual time, joined by a simulated message transport,
//! with everything going wrong that a seed can think of.
//!
//! The transport is what SCTP gives: messages come whole, ordered within a stream, each once or
//! not at all when the association ends. What goes wrong is above it: processes die, freeze and
//! come back, restart under the same association, slow down, hand on their packages; cookies
//! are corrupted; the registrar lists elements that are dead.

mod troubles;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use rserpool::job::{
    Event, Job, JobError, JobRunner, JobStatistics, RunnerConfig, TRANSMIT_LEN_MAX,
};
use rserpool_core::asap::cookie::CookieKey;
use rserpool_core::association::{
    AssociationId, ConnectId, DownReason, Endpoint, Input, Ppid, StreamId, Transmit,
};
use rserpool_core::compute::kernels::StandardKernels;
use rserpool_core::compute::{
    BUDGET_MIN, Event as WorkerEvent, JobNonce, OutputDigest, PackageId, Worker, WorkerConfig,
};
use rserpool_core::entropy::{Entropy, SplitMix64};
use rserpool_core::identifier::{PeId, PoolHandle};
use rserpool_core::machine::Machine;
use rserpool_core::time::Instant;

type SimulatedWorker = Worker<StandardKernels, 3, 2, 1024>;

/// What may go wrong.
#[derive(Clone, Copy, Debug)]
pub struct Troubles {
    /// How often something happens to an element, on average; never if zero.
    pub interval: Duration,
    /// From then on nothing goes wrong any more and the frozen and dead come back.
    pub until: Duration,
    /// One cookie echo in so many is corrupted; none if 0.
    pub corrupt_one_in: u64,
}

impl Troubles {
    /// None.
    pub const NONE: Self =
        Self { interval: Duration::ZERO, until: Duration::ZERO, corrupt_one_in: 0 };
}

/// What an element is made of.
#[derive(Clone, Copy, Debug)]
pub struct ElementPlan {
    /// Units of the kernels in a millisecond.
    pub speed: u32,
    /// What happens to it at fixed times.
    pub fate: Fate,
}

/// What happens to an element at fixed times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Nothing.
    Lives,
    /// It dies, and the association breaks at once.
    Dies(Duration),
    /// It freezes (as by SIGSTOP or a pulled plug): nothing comes, nothing breaks.
    Freezes(Duration),
    /// It hands on its packages and leaves.
    Leaves(Duration),
    /// It comes into being only then.
    Arrives(Duration),
}

/// How a run ended.
#[derive(Debug)]
pub struct Report<J> {
    /// The job.
    pub job: J,
    /// What the runner said at the end.
    pub result: Result<(), JobError>,
    /// What the runner counted.
    pub statistics: JobStatistics,
    /// Packages in the order in which they came, and from whom.
    pub done: Vec<(PackageId, PeId)>,
    /// All events of the runner, with their times.
    pub events: Vec<(Instant, Event)>,
    /// When the job was over.
    pub finished_at: Instant,
    /// A sum over all that was sent: the same for the same seed.
    pub trace: OutputDigest,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Absent,
    Running,
    Frozen,
}

struct Host {
    id: PeId,
    endpoint: Endpoint,
    worker: SimulatedWorker,
    state: State,
    speed: u32,
    next_run: Option<Instant>,
    /// What has come while it was frozen.
    held: Vec<(AssociationId, Owned)>,
    /// Whether the registrar lists it.
    listed: bool,
}

impl Host {
    /// How long a slice of its computation takes: a millisecond, or as long as the least budget
    /// lasts.
    fn slice(&self) -> Duration {
        let units = u64::from(self.speed.max(BUDGET_MIN));
        Duration::from_micros(units * 1_000 / u64::from(self.speed.max(1)))
    }
}

#[derive(Clone, Debug)]
enum Owned {
    Up(Option<ConnectId>),
    ConnectFailed(ConnectId),
    Message(StreamId, Ppid, Vec<u8>),
    Down(DownReason),
}

#[derive(Clone, Debug)]
enum Delivery {
    ToRunner(AssociationId, Owned),
    ToHost(usize, AssociationId, Owned),
    Elements,
    Fate(usize, Fate),
    Trouble,
    Return(usize),
    Unlist(PeId),
}

#[derive(Clone, Copy)]
struct Wire {
    host: usize,
    runner_up: bool,
    host_up: bool,
}

/// A pool at work on one job.
pub struct ComputePool<J> {
    now: Instant,
    random: SplitMix64,
    runner: JobRunner<J>,
    hosts: Vec<Host>,
    wires: BTreeMap<AssociationId, Wire>,
    queue: BTreeMap<(Instant, u64), Delivery>,
    /// The last arrival for each direction and stream of an association.
    arrivals: BTreeMap<(AssociationId, bool, StreamId), Instant>,
    sequence: u64,
    troubles: Troubles,
    next_id: u32,
    events: Vec<(Instant, Event)>,
    result: Option<(Instant, Result<(), JobError>)>,
    trace: OutputDigest,
}

/// Longer than any run of the tests should last.
const PATIENCE: Duration = Duration::from_secs(3_600);

impl<J: Job> ComputePool<J> {
    /// A pool of these elements that will compute `job`.
    pub fn new(
        seed: u64,
        job: J,
        config: RunnerConfig,
        plans: &[ElementPlan],
        troubles: Troubles,
    ) -> Self {
        let now = Instant::from_millis(1_000);
        let mut pool = Self {
            now,
            random: SplitMix64::new(seed),
            runner: JobRunner::new(now, job, JobNonce(seed), config),
            hosts: Vec::new(),
            wires: BTreeMap::new(),
            queue: BTreeMap::new(),
            arrivals: BTreeMap::new(),
            sequence: 0,
            troubles,
            next_id: 1,
            events: Vec::new(),
            result: None,
            trace: OutputDigest::EMPTY,
        };
        for (index, plan) in plans.iter().enumerate() {
            let mut host = pool.host(index, plan.speed);
            let at = match plan.fate {
                Fate::Lives => None,
                Fate::Arrives(at) => {
                    host.state = State::Absent;
                    host.listed = false;
                    Some(at)
                }
                Fate::Dies(at) | Fate::Freezes(at) | Fate::Leaves(at) => Some(at),
            };
            pool.hosts.push(host);
            if let Some(at) = at {
                pool.post(now + at, Delivery::Fate(index, plan.fate));
            }
        }
        if !troubles.interval.is_zero() {
            pool.post(now + troubles.interval / 2, Delivery::Trouble);
        }
        pool
    }

    /// Cancels the job after `span`.
    pub fn run_for(&mut self, span: Duration) {
        let end = self.now + span;
        self.drain();
        while self.result.is_none() && self.next_time().is_some_and(|next| next <= end) {
            self.turn();
        }
        self.now = end;
        self.runner.cancel(end);
        self.drain();
    }

    /// Lets the pool work until the job is over and all associations are down.
    ///
    /// # Panics
    ///
    /// If that takes for ever, a machine spins, or a package is reported twice.
    pub fn run(mut self) -> Report<J> {
        let end = self.now + PATIENCE;
        self.drain();
        while !self.runner.is_closed() {
            assert!(self.now < end, "the job hangs: {:?}", self.runner.statistics());
            self.turn();
        }
        let (finished_at, result) = self.result.expect("a closed runner has finished");
        let mut done = Vec::new();
        let mut seen = BTreeSet::new();
        for (_, event) in &self.events {
            if let Event::PackageDone { package, element } = *event {
                assert!(seen.insert(package), "{package:?} is reported twice");
                done.push((package, element));
            }
        }
        let statistics = self.runner.statistics();
        assert_eq!(statistics.done_count as usize, done.len());
        Report {
            job: self.runner.into_job(),
            result,
            statistics,
            done,
            events: self.events,
            finished_at,
            trace: self.trace,
        }
    }

    fn host(&mut self, index: usize, speed: u32) -> Host {
        let id = PeId(self.next_id);
        self.next_id += 1;
        let address = IpAddr::V4(Ipv4Addr::new(10, 0, 0, index as u8));
        let pool = PoolHandle::new(b"ComputePool").expect("short enough").to_buf();
        Host {
            id,
            endpoint: Endpoint::new(SocketAddr::new(address, id.0 as u16)),
            worker: SimulatedWorker::new(WorkerConfig::new(pool), CookieKey::new([5; 32])),
            state: State::Running,
            speed,
            next_run: None,
            held: Vec::new(),
            listed: true,
        }
    }

    fn post(&mut self, at: Instant, delivery: Delivery) {
        self.queue.insert((at, self.sequence), delivery);
        self.sequence += 1;
    }

    fn delay(&mut self) -> Duration {
        Duration::from_micros(100 + self.random.below(2_000))
    }

    /// Posts a message so that it stays in order within its stream. Nothing comes before the
    /// association is up, and a graceful end after everything else.
    fn carry(&mut self, association: AssociationId, to_host: bool, what: Owned) {
        let Some(&wire) = self.wires.get(&association) else { return };
        let streams: &[u16] = match &what {
            Owned::Message(stream, ..) => &[stream.0],
            Owned::Down(DownReason::Aborted | DownReason::Lost) => &[],
            _ => &[0, 1],
        };
        let mut at = self.now + self.delay();
        for &stream in streams {
            let last = self.arrivals.get(&(association, to_host, StreamId(stream)));
            at = at.max(last.copied().unwrap_or(at));
        }
        for &stream in streams {
            self.arrivals.insert((association, to_host, StreamId(stream)), at);
        }
        let delivery = if to_host {
            Delivery::ToHost(wire.host, association, what)
        } else {
            Delivery::ToRunner(association, what)
        };
        self.post(at, delivery);
    }

    fn next_time(&self) -> Option<Instant> {
        let queued = self.queue.keys().next().map(|key| key.0);
        let mut next = Instant::earliest(queued, self.runner.poll_timeout());
        for host in self.hosts.iter().filter(|host| host.state == State::Running) {
            next = Instant::earliest(next, host.next_run);
            next = Instant::earliest(next, host.worker.poll_timeout());
        }
        next
    }

    /// Jumps to the next thing that happens, and lets it happen.
    fn turn(&mut self) {
        let next = self.next_time().expect("a runner that is not closed waits for something");
        self.now = self.now.max(next);
        while let Some(entry) = self.queue.first_entry().filter(|entry| entry.key().0 <= self.now)
        {
            let delivery = entry.remove();
            self.deliver(delivery);
            self.drain();
        }
        for index in 0..self.hosts.len() {
            self.work(index);
        }
        if self.runner.poll_timeout().is_some_and(|at| at <= self.now) {
            self.runner.handle_timeout(self.now);
            let again = self.runner.poll_timeout();
            assert!(again.is_none_or(|at| at > self.now), "the runner spins at {:?}", self.now);
        }
        self.drain();
    }

    fn work(&mut self, index: usize) {
        let (now, host) = (self.now, &mut self.hosts[index]);
        if host.state != State::Running {
            return;
        }
        if host.worker.poll_timeout().is_some_and(|at| at <= now) {
            host.worker.handle_timeout(now);
            let again = host.worker.poll_timeout();
            assert!(again.is_none_or(|at| at > now), "a worker spins at {now:?}");
        }
        if host.next_run.is_some_and(|at| at <= now) {
            let more = host.worker.run(host.speed);
            host.next_run = more.then(|| now + host.slice());
        }
    }

    fn drain(&mut self) {
        let mut buf = [0; 4096];
        loop {
            let mut quiet = true;
            while let Some(transmit) =
                self.runner.poll_transmit(self.now, &mut buf[..TRANSMIT_LEN_MAX])
            {
                quiet = false;
                self.runner_transmits(transmit, &buf);
            }
            while let Some(event) = self.runner.poll_event() {
                quiet = false;
                self.on_runner_event(event);
            }
            for index in 0..self.hosts.len() {
                if self.hosts[index].state != State::Running {
                    continue;
                }
                let len_max = SimulatedWorker::TRANSMIT_LEN_MAX;
                while let Some(transmit) =
                    self.hosts[index].worker.poll_transmit(self.now, &mut buf[..len_max])
                {
                    quiet = false;
                    self.host_transmits(index, transmit, &buf);
                }
                while let Some(event) = self.hosts[index].worker.poll_event() {
                    if event == WorkerEvent::Stopped {
                        self.leave(index);
                    }
                }
                let host = &mut self.hosts[index];
                if host.next_run.is_none() && host.worker.held_count() > 0 {
                    host.next_run = Some(self.now + host.slice());
                }
            }
            if quiet {
                return;
            }
        }
    }

    fn runner_transmits(&mut self, transmit: Transmit, buf: &[u8]) {
        match transmit {
            Transmit::Connect { connect, endpoint } => self.connect(connect, &endpoint),
            Transmit::CancelConnect { .. } => {}
            Transmit::Message { association, stream, ppid, len } => {
                let mut data = buf[..len].to_vec();
                self.trace = self.trace.with(&data);
                let one_in = self.troubles.corrupt_one_in;
                if ppid == Ppid::ASAP && one_in > 0 && self.random.below(one_in) == 0 {
                    // Beyond the headers of ASAP, or it would not be taken for a cookie.
                    let bit = 64 + self.random.below((len as u64 - 8) * 8);
                    data[(bit / 8) as usize] ^= 1 << (bit % 8);
                }
                self.carry(association, true, Owned::Message(stream, ppid, data));
            }
            Transmit::Shutdown { association } => {
                // A frozen peer does not answer a shutdown; abort will have to do.
                let frozen = self
                    .wires
                    .get(&association)
                    .is_some_and(|wire| self.hosts[wire.host].state == State::Frozen);
                self.carry(association, true, Owned::Down(DownReason::Shutdown));
                if !frozen {
                    self.carry(association, false, Owned::Down(DownReason::Shutdown));
                }
            }
            Transmit::Abort { association } => {
                self.carry(association, true, Owned::Down(DownReason::Aborted));
                self.carry(association, false, Owned::Down(DownReason::Aborted));
            }
            _ => {}
        }
    }

    fn connect(&mut self, connect: ConnectId, endpoint: &Endpoint) {
        let found = self.hosts.iter().position(|host| host.endpoint == *endpoint);
        let alive = found.filter(|&index| self.hosts[index].state == State::Running);
        let association = AssociationId(self.sequence as u32);
        let Some(index) = alive else {
            let frozen = found.is_some_and(|index| self.hosts[index].state == State::Frozen);
            let after = if frozen { Duration::from_secs(4) } else { self.delay() };
            let failed = Owned::ConnectFailed(connect);
            self.post(self.now + after, Delivery::ToRunner(association, failed));
            return;
        };
        self.wires.insert(association, Wire { host: index, runner_up: false, host_up: false });
        self.carry(association, true, Owned::Up(None));
        self.carry(association, false, Owned::Up(Some(connect)));
    }

    fn host_transmits(&mut self, _index: usize, transmit: Transmit, buf: &[u8]) {
        match transmit {
            Transmit::Message { association, stream, ppid, len } => {
                self.trace = self.trace.with(&buf[..len]);
                let message = Owned::Message(stream, ppid, buf[..len].to_vec());
                self.carry(association, false, message);
            }
            Transmit::Abort { association } | Transmit::Shutdown { association } => {
                self.carry(association, false, Owned::Down(DownReason::Aborted));
                self.carry(association, true, Owned::Down(DownReason::Aborted));
            }
            _ => {}
        }
    }

    fn on_runner_event(&mut self, event: Event) {
        match &event {
            Event::Resolve => {
                let at = self.now + self.delay() * 5;
                self.post(at, Delivery::Elements);
            }
            Event::Unreachable { element } => {
                // The registrar probes before it believes.
                let at = self.now + Duration::from_millis(self.random.below(800));
                self.post(at, Delivery::Unlist(*element));
            }
            Event::Finished(result) => {
                assert!(self.result.is_none(), "a job finishes once");
                self.result = Some((self.now, *result));
            }
            _ => {}
        }
        self.events.push((self.now, event));
    }

    fn deliver(&mut self, delivery: Delivery) {
        match delivery {
            Delivery::ToRunner(association, what) => self.give_runner(association, &what),
            Delivery::ToHost(index, association, what) => self.give_host(index, association, what),
            Delivery::Elements => {
                let listed = self.hosts.iter().filter(|host| host.listed);
                let mut list: Vec<_> =
                    listed.map(|host| (host.id, host.endpoint.clone())).collect();
                list.truncate(3 + self.random.below(4) as usize);
                self.runner.update_elements(self.now, &list);
            }
            Delivery::Fate(index, fate) => self.befall(index, fate),
            Delivery::Trouble => self.trouble(),
            Delivery::Return(index) => self.come_back(index),
            Delivery::Unlist(id) => {
                let gone = |host: &&mut Host| host.id == id && host.state != State::Running;
                if let Some(host) = self.hosts.iter_mut().find(gone) {
                    host.listed = false;
                }
            }
        }
    }

    fn give_runner(&mut self, association: AssociationId, what: &Owned) {
        if let Owned::ConnectFailed(connect) = *what {
            let _ = self.runner.handle_input(self.now, Input::ConnectFailed { connect });
            return;
        }
        let Some(wire) = self.wires.get_mut(&association) else { return };
        match what {
            Owned::Up(_) => wire.runner_up = true,
            Owned::Down(_) if wire.runner_up => wire.runner_up = false,
            _ if !wire.runner_up => return,
            _ => {}
        }
        let result = self.runner.handle_input(self.now, input(association, what));
        assert_eq!(result, Ok(()), "{what:?}");
    }

    fn give_host(&mut self, index: usize, association: AssociationId, what: Owned) {
        let host = &mut self.hosts[index];
        match host.state {
            State::Absent => return,
            State::Frozen => {
                host.held.push((association, what));
                return;
            }
            State::Running => {}
        }
        let Some(wire) = self.wires.get_mut(&association) else { return };
        match what {
            Owned::Up(_) => wire.host_up = true,
            Owned::Down(_) if wire.host_up => wire.host_up = false,
            _ if !wire.host_up => return,
            _ => {}
        }
        let result = host.worker.handle_input(self.now, input(association, &what));
        let corrupt = self.troubles.corrupt_one_in > 0;
        assert!(result.is_ok() || corrupt, "{result:?} for {what:?}");
    }
}

fn input(association: AssociationId, what: &Owned) -> Input<'_> {
    match what {
        Owned::Up(connect) => {
            Input::Up { association, connect: *connect, peer_addresses: &[], peer_port: 1 }
        }
        Owned::ConnectFailed(connect) => Input::ConnectFailed { connect: *connect },
        Owned::Message(stream, ppid, data) => {
            Input::Message { association, stream: *stream, ppid: *ppid, data }
        }
        Owned::Down(reason) => Input::Down { association, reason: *reason },
    }
}
