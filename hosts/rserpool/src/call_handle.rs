//! A call that runs against a pool: one task owns its caller.

use rserpool_core::identifier::PoolHandleBuf;
use rserpool_core::machine::Machine;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::driven::Driven;
use crate::pool_questions::{PoolQuestions, Resolution};
use crate::pool_user::{PoolUser, ResolveError, StartError};
use crate::services::{
    Call, CallError, CallEvent, CallStatistics, CallerConfig, Loss, SessionCaller,
};
use crate::transport::Transport;

/// A running call: a client of a service, and its session with one element after the other.
///
/// ```no_run
/// use rserpool::services::{CallerConfig, Service, ping_pong};
/// use rserpool::transport::{Transport, TransportConfig};
/// use rserpool::{CallHandle, PoolUser, PoolUserConfig};
/// use rserpool_core::association::Endpoint;
/// use rserpool_core::identifier::PoolHandle;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let transport = Transport::start(TransportConfig::default());
/// let registrar = Endpoint::new("127.0.0.1:3863".parse()?);
/// let user = PoolUser::start(&transport, PoolUserConfig::new(vec![registrar])).await?;
/// let pool = PoolHandle::new(Service::PingPong.pool().as_bytes())?.to_buf();
/// let client = ping_pong::Client::new(ping_pong::Config::default());
/// let config = CallerConfig::default();
/// let handle = CallHandle::start(&transport, user, pool, client, config).await?;
/// let outcome = handle.finish().await;
/// outcome.result?;
/// println!("{} replies", outcome.client.statistics().pong_count);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct CallHandle<C: Call> {
    events: mpsc::Receiver<CallEvent<C::Event>>,
    cancel: Option<oneshot::Sender<()>>,
    task: JoinHandle<CallOutcome<C>>,
}

/// What became of a call.
#[derive(Debug)]
#[non_exhaustive]
pub struct CallOutcome<C> {
    /// The client, with all that came.
    pub client: C,
    /// Whether it has what it wanted.
    pub result: Result<(), CallError>,
    /// What its sessions have seen.
    pub statistics: CallStatistics,
    /// Why the pool was not resolved when last tried, if it was not.
    pub resolve_error: Option<ResolveError>,
}

impl<C> CallHandle<C>
where
    C: Call + Send + 'static,
    C::Event: Send,
{
    /// Lets `client` call `pool`.
    ///
    /// # Errors
    ///
    /// If the transport cannot open a port.
    pub async fn start(
        transport: &Transport,
        user: PoolUser,
        pool: PoolHandleBuf,
        client: C,
        config: CallerConfig,
    ) -> Result<Self, StartError> {
        let port = transport.open(0, None, false).await?;
        let (event_sender, events) = mpsc::channel(EVENT_COUNT_MAX);
        let (cancel, cancelled) = oneshot::channel();
        let clock = Clock::start();
        let caller = SessionCaller::new(clock.now(), client, pool.as_handle(), config);
        let len_max = SessionCaller::<C>::TRANSMIT_LEN_MAX;
        let task = Task {
            driven: Driven::with_clock(Box::new(caller), port, len_max, clock),
            questions: PoolQuestions::new(user, pool),
            events: event_sender,
            result: None,
        };
        let task = tokio::spawn(task.run(cancelled));
        Ok(Self { events, cancel: Some(cancel), task })
    }

    /// What happens next; `None` when it is over. The call waits for nobody: events that are not
    /// taken in time are dropped.
    pub async fn next_event(&mut self) -> Option<CallEvent<C::Event>> {
        self.events.recv().await
    }

    /// Gives it up.
    pub fn cancel(&mut self) {
        if let Some(cancel) = self.cancel.take() {
            let _ = cancel.send(());
        }
    }

    /// Waits for the end.
    ///
    /// # Panics
    ///
    /// If the client itself panicked.
    pub async fn finish(self) -> CallOutcome<C> {
        let Self { events, cancel, task } = self;
        drop(events);
        let outcome = task.await.expect("only a client that panics ends its task early");
        drop(cancel);
        outcome
    }
}

/// Owns the caller.
struct Task<C: Call> {
    driven: Driven<SessionCaller<C>>,
    questions: PoolQuestions,
    events: mpsc::Sender<CallEvent<C::Event>>,
    result: Option<Result<(), CallError>>,
}

impl<C: Call> Task<C> {
    async fn run(mut self, mut cancelled: oneshot::Receiver<()>) -> CallOutcome<C> {
        let mut may_cancel = true;
        loop {
            self.driven.flush().await;
            while let Some(event) = self.driven.machine.poll_event() {
                self.on_event(event);
            }
            if self.driven.machine.is_closed() {
                break;
            }
            tokio::select! {
                is_on = self.driven.step() => if !is_on { break },
                asked = &mut cancelled, if may_cancel => {
                    may_cancel = false;
                    if asked.is_ok() {
                        self.driven.machine.cancel();
                    }
                }
                resolution = self.questions.answer() => self.on_resolution(&resolution),
            }
        }
        let statistics = self.driven.machine.statistics();
        // Without a result the transport has gone away.
        let result = self.result.unwrap_or(Err(CallError::Cancelled));
        let client = self.driven.machine.into_client();
        CallOutcome { client, result, statistics, resolve_error: self.questions.last_error }
    }

    fn on_event(&mut self, event: CallEvent<C::Event>) {
        match event {
            CallEvent::Resolve { items } => self.questions.resolve(items),
            CallEvent::Unreachable { element } => self.questions.report_unreachable(element),
            CallEvent::Finished(result) => {
                self.result = Some(result);
                let _ = self.events.try_send(CallEvent::Finished(result));
            }
            event => {
                match &event {
                    CallEvent::Up { element, is_resumed } => {
                        tracing::info!(%element, is_resumed, "session");
                    }
                    CallEvent::Cookie { element } => tracing::debug!(%element, "cookie"),
                    CallEvent::BusinessCard { element } => {
                        tracing::debug!(%element, "business card");
                    }
                    CallEvent::Lost { element, why: Loss::Unwanted } => {
                        tracing::debug!(%element, "another element is wanted");
                    }
                    CallEvent::Lost { element, why } => {
                        tracing::info!(%element, ?why, "element lost");
                    }
                    _ => {}
                }
                let _ = self.events.try_send(event);
            }
        }
    }

    fn on_resolution(&mut self, resolution: &Resolution) {
        let now = self.driven.now();
        self.driven.machine.on_resolution(now, resolution.as_deref().ok());
    }
}

/// Events that may wait for the user.
const EVENT_COUNT_MAX: usize = 4_096;
