//! A pool user: resolves pool handles.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use rserpool_core::asap::{
    self, POOL_USER_MESSAGE_LEN_MAX, PoolUserEvent, PoolUserFull, RegistrarsFull,
    ResolutionFailure, ResolutionId, ResolvedElement,
};
use rserpool_core::association::{Endpoint, Ppid};
use rserpool_core::identifier::{PeId, PoolHandleBuf};
use rserpool_core::machine::Machine;
use rserpool_core::profile::Profile;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::announces::{AnnounceConfig, Listener};
use crate::clock::OsEntropy;
use crate::csp::{self, ComponentId, CspConfig, Reporter, Status, report_due};
use crate::driven::Driven;
use crate::transport::{Transport, TransportError};

/// How a pool user behaves.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct PoolUserConfig {
    /// Whose habits decide where RFC and RSPLIB differ.
    pub profile: Profile,
    /// The registrars that may be asked; at most [`REGISTRARS_MAX`](asap::REGISTRARS_MAX).
    pub registrars: Vec<Endpoint>,
    /// Whether it speaks TCP with registrars instead of SCTP (RFC 5352 §3.3).
    pub by_tcp: bool,
    /// How long a resolved pool is answered from the cache, by the policy of the pool
    /// (stale.cache.value, RFC 5352 §7.2); zero: never.
    pub stale_cache: Duration,
    /// Where it hears of other registrars, to be asked when these do not answer; `None`: nowhere.
    pub announces: Option<AnnounceConfig>,
    /// Where it tells how it is; `None`: nowhere.
    pub csp: Option<CspConfig>,
}

impl PoolUserConfig {
    /// A pool user of these registrars, with the habits of RSPLIB.
    #[must_use]
    pub fn new(registrars: Vec<Endpoint>) -> Self {
        Self { registrars, ..Self::default() }
    }
}

/// A pool user (RFC 5352): resolves pool handles and reports dead elements.
///
/// Copies are the same pool user; with the last of them it ends.
///
/// ```no_run
/// use rserpool::{PoolUser, PoolUserConfig};
/// use rserpool::transport::{Transport, TransportConfig};
/// use rserpool_core::association::Endpoint;
/// use rserpool_core::identifier::PoolHandle;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let transport = Transport::start(TransportConfig::default());
/// let registrar = Endpoint::new("127.0.0.1:3863".parse()?);
/// let user = PoolUser::start(&transport, PoolUserConfig::new(vec![registrar])).await?;
/// let pool = PoolHandle::new(b"ComputePool")?.to_buf();
/// for element in user.resolve(pool, None).await? {
///     println!("{} at {}", element.id, element.transport.endpoint);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct PoolUser {
    commands: mpsc::Sender<Command>,
    activity: watch::Sender<Activity>,
}

/// What a pool user does with the elements that it has found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Activity {
    /// Whom it is connected with, by what, and since when.
    pub(crate) sessions: Vec<(PeId, Ppid, Instant)>,
    /// What it is at.
    pub(crate) text: String,
}

/// Why a pool user cannot be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The transport refuses.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// Too many registrars are configured.
    #[error("{0}; name fewer of them")]
    Registrars(#[from] RegistrarsFull),
    /// The element cannot be registered as it is configured.
    #[error("the pool element cannot be registered: {0}")]
    Register(#[from] asap::CommandError),
    /// None of this machine's addresses reaches the registrars.
    #[error("no address of this machine reaches a registrar; name the addresses to register")]
    NoAddress,
    /// There is no thread for the worker.
    #[error("cannot start a thread for the worker: {0}")]
    Thread(#[from] std::io::Error),
}

/// Why a pool handle was not resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// No registrar answers.
    #[error("no registrar answers; start one with `rsp registrar`, or name another")]
    NoRegistrar,
    /// The registrar knows no such pool.
    #[error("the registrar knows no pool \"{0}\"; start an element with `rsp serve`")]
    UnknownPool(PoolHandleBuf),
    /// The registrar could not or would not.
    #[error("the registrar did not resolve the pool: {0:?}")]
    Failed(ResolutionFailure),
    /// Too many resolutions at a time.
    #[error("{0}; try again later")]
    Full(#[from] PoolUserFull),
    /// The pool user has ended.
    #[error("the pool user has ended")]
    Ended,
}

impl PoolUser {
    /// Starts a pool user; it asks a registrar when there is something to resolve.
    ///
    /// # Errors
    ///
    /// If there are too many registrars, or the transport cannot open a port.
    pub async fn start(transport: &Transport, config: PoolUserConfig) -> Result<Self, StartError> {
        let mut core = asap::PoolUserConfig::new(config.profile);
        core.timers.stale_cache = config.stale_cache;
        let mut machine = Box::new(Large::new(core, &mut OsEntropy));
        for registrar in &config.registrars {
            machine.add_registrar(registrar)?;
        }
        let mut port = transport.open(0, None, false).await?;
        if config.by_tcp {
            port.connect_by_tcp();
        }
        let (sender, commands) = mpsc::channel(COMMAND_COUNT_MAX);
        let driven = Driven::new(machine, port, POOL_USER_MESSAGE_LEN_MAX);
        let announces = config.announces.map(|config| config.bound_to(transport.addresses()));
        let listener = Listener::start(announces.as_ref());
        let (activity, activities) = watch::channel(Activity::default());
        let (id, place) = (csp::random_user(), csp::location(transport, None));
        let reporter = Reporter::start(config.csp, id, place);
        let (waiting, watched) = (HashMap::new(), HashMap::new());
        let task = Task { driven, listener, reporter, activities, commands, waiting, watched };
        tokio::spawn(task.run());
        Ok(Self { commands: sender, activity })
    }

    /// Resolves `pool` to at most `items` elements, the preferred one first; `None` leaves their
    /// number to the registrar.
    ///
    /// # Errors
    ///
    /// If there is no registrar, no such pool, or no answer.
    pub async fn resolve(
        &self,
        pool: PoolHandleBuf,
        items: Option<u32>,
    ) -> Result<Vec<ResolvedElement>, ResolveError> {
        let (answer, resolved) = oneshot::channel();
        let command = Command::Resolve { pool, items, answer };
        self.commands.send(command).await.map_err(|_| ResolveError::Ended)?;
        resolved.await.map_err(|_| ResolveError::Ended)?
    }

    /// Watches `pool`: the registrar tells of its changes (RFC 5352 §2.2.5), or is asked for them
    /// from time to time.
    ///
    /// # Errors
    ///
    /// If too many pools are resolved or watched.
    pub async fn watch(&self, pool: PoolHandleBuf) -> Result<PoolWatch, ResolveError> {
        let (answer, watched) = oneshot::channel();
        let command = Command::Watch { pool, answer };
        self.commands.send(command).await.map_err(|_| ResolveError::Ended)?;
        let elements = watched.await.map_err(|_| ResolveError::Ended)??;
        Ok(PoolWatch { pool, elements, commands: self.commands.clone() })
    }

    /// Tells the registrar that an element does not answer (RFC 5352 §3.5).
    pub async fn report_unreachable(&self, pool: PoolHandleBuf, element: PeId) {
        // Reports are a favour: the registrar finds out by itself, too.
        let _ = self.commands.send(Command::Report { pool, element }).await;
    }

    /// Ends it, for all its copies, and waits until it has said good-bye.
    pub async fn end(self) {
        let (answer, ended) = oneshot::channel();
        if self.commands.send(Command::End { answer }).await.is_ok() {
            let _ = ended.await;
        }
    }

    /// What it does from now on, for its reports.
    pub(crate) fn set_activity(&self, activity: Activity) {
        self.activity.send_replace(activity);
    }
}

/// A pool that is watched, until this is dropped.
#[derive(Debug)]
pub struct PoolWatch {
    pool: PoolHandleBuf,
    elements: watch::Receiver<Option<Vec<ResolvedElement>>>,
    commands: mpsc::Sender<Command>,
}

impl PoolWatch {
    /// Waits until something has changed, and yields all elements that there are now; first those
    /// at the beginning. None of them: there is no such pool. Changes that nobody has waited for
    /// are one. `None` if the pool user has ended.
    pub async fn changed(&mut self) -> Option<Vec<ResolvedElement>> {
        loop {
            self.elements.changed().await.ok()?;
            if let Some(elements) = &*self.elements.borrow_and_update() {
                return Some(elements.clone());
            }
        }
    }
}

impl Drop for PoolWatch {
    fn drop(&mut self) {
        // With no room for this, the end is noticed with the next change.
        let _ = self.commands.try_send(Command::Unwatch { pool: self.pool });
    }
}

type Watched = watch::Sender<Option<Vec<ResolvedElement>>>;

type WatchAnswer =
    oneshot::Sender<Result<watch::Receiver<Option<Vec<ResolvedElement>>>, ResolveError>>;

enum Command {
    Resolve { pool: PoolHandleBuf, items: Option<u32>, answer: Answer },
    Report { pool: PoolHandleBuf, element: PeId },
    Watch { pool: PoolHandleBuf, answer: WatchAnswer },
    Unwatch { pool: PoolHandleBuf },
    End { answer: oneshot::Sender<()> },
}

type Answer = oneshot::Sender<Result<Vec<ResolvedElement>, ResolveError>>;

/// Room for all that one answer of a registrar can list.
type Large = asap::PoolUser<4, 128, 32>;

struct Task {
    driven: Driven<Large>,
    listener: Listener,
    reporter: Option<Reporter>,
    activities: watch::Receiver<Activity>,
    commands: mpsc::Receiver<Command>,
    waiting: HashMap<ResolutionId, Answer>,
    watched: HashMap<PoolHandleBuf, Watched>,
}

impl Task {
    async fn run(mut self) {
        loop {
            self.driven.flush().await;
            while let Some(event) = self.driven.machine.poll_event() {
                self.on_event(event);
            }
            tokio::select! {
                is_on = self.driven.step() => if !is_on { return },
                (source, announce) = self.listener.recv() => self.on_announce(source, &announce),
                () = report_due(&mut self.reporter) => self.report(),
                command = self.commands.recv() => match command {
                    Some(Command::Resolve { pool, items, answer }) => {
                        self.on_resolve(pool, items, answer);
                    }
                    Some(Command::Report { pool, element }) => self.on_unreachable(pool, element),
                    Some(Command::Watch { pool, answer }) => {
                        let _ = answer.send(self.on_watch(pool));
                    }
                    Some(Command::Unwatch { pool }) => self.on_unwatch(pool),
                    Some(Command::End { answer }) => return self.end(Some(answer)).await,
                    None => return self.end(None).await,
                },
            }
        }
    }

    async fn end(mut self, answer: Option<oneshot::Sender<()>>) {
        self.driven.machine.stop();
        self.driven.flush().await;
        self.reporter = None;
        // Nobody waits for it if the last copy is gone.
        answer.map(|answer| answer.send(()));
    }

    fn report(&mut self) {
        let Some(reporter) = &mut self.reporter else { return };
        let Activity { sessions, text } = self.activities.borrow().clone();
        let machine = &self.driven.machine;
        let mut associations = Vec::new();
        if let (Some(home), Some(association)) = (machine.home(), machine.home_association()) {
            let since = self.driven.up_since(association);
            associations.push(csp::association(ComponentId::registrar(home), Ppid::ASAP, since));
        }
        let text = match (associations.is_empty(), text.is_empty()) {
            (true, _) => csp::LOOKING.to_owned(),
            (false, true) => csp::counted(sessions.len(), "Session"),
            (false, false) => format!("{}, {text}", csp::counted(sessions.len(), "Session")),
        };
        associations.extend(sessions.into_iter().map(|(element, ppid, since)| {
            csp::association(ComponentId::pool_element(element), ppid, Some(since))
        }));
        reporter.report(Status { text, workload: None, associations });
    }

    fn on_announce(&mut self, source: SocketAddr, announce: &[u8]) {
        let now = self.driven.now();
        if let Err(error) = self.driven.machine.handle_announce(now, source, announce) {
            tracing::debug!(%error, %source, "announce refused");
        }
    }

    fn on_resolve(&mut self, pool: PoolHandleBuf, items: Option<u32>, answer: Answer) {
        let now = self.driven.now();
        match self.driven.machine.resolve(now, pool.as_handle(), items) {
            Ok(resolution) => {
                self.waiting.insert(resolution, answer);
            }
            Err(error) => {
                let _ = answer.send(Err(error.into()));
            }
        }
    }

    fn on_watch(
        &mut self,
        pool: PoolHandleBuf,
    ) -> Result<watch::Receiver<Option<Vec<ResolvedElement>>>, ResolveError> {
        let now = self.driven.now();
        self.driven.machine.watch(now, pool.as_handle())?;
        let known = self.watched.entry(pool).or_insert_with(|| watch::channel(None).0);
        let mut receiver = known.subscribe();
        if known.borrow().is_some() {
            // Who comes later begins with what there is, too.
            receiver.mark_changed();
        }
        Ok(receiver)
    }

    fn on_unwatch(&mut self, pool: PoolHandleBuf) {
        if self.watched.get(&pool).is_some_and(|known| known.receiver_count() == 0) {
            self.watched.remove(&pool);
            let now = self.driven.now();
            self.driven.machine.unwatch(now, pool.as_handle());
        }
    }

    fn on_updated(&mut self, pool: PoolHandleBuf) {
        let elements = self.driven.machine.elements(pool.as_handle()).to_vec();
        if let Some(known) = self.watched.get(&pool) {
            known.send_if_modified(|told| {
                let is_news = told.as_ref() != Some(&elements);
                *told = Some(elements);
                is_news
            });
            self.on_unwatch(pool);
        }
    }

    fn on_unreachable(&mut self, pool: PoolHandleBuf, element: PeId) {
        let now = self.driven.now();
        let machine = &mut self.driven.machine;
        if let Err(error) = machine.report_unreachable(now, pool.as_handle(), element) {
            tracing::debug!(%error, %element, "not reported as unreachable");
        }
    }

    fn on_event(&mut self, event: PoolUserEvent) {
        let (resolution, result) = match event {
            PoolUserEvent::Resolved { resolution, pool } => {
                let elements = self.driven.machine.elements(pool.as_handle());
                (resolution, Ok(elements.to_vec()))
            }
            PoolUserEvent::UnknownPool { resolution, pool } => {
                (resolution, Err(ResolveError::UnknownPool(pool)))
            }
            PoolUserEvent::NoRegistrar { resolution, .. } => {
                (resolution, Err(ResolveError::NoRegistrar))
            }
            PoolUserEvent::Failed { resolution, reason, .. } => {
                (resolution, Err(ResolveError::Failed(reason)))
            }
            PoolUserEvent::Updated { pool } => return self.on_updated(pool),
            other => {
                tracing::debug!(event = ?other, "pool user");
                return;
            }
        };
        if let Some(answer) = self.waiting.remove(&resolution) {
            let _ = answer.send(result);
        }
    }
}

/// Commands that may wait for the pool user.
const COMMAND_COUNT_MAX: usize = 64;
