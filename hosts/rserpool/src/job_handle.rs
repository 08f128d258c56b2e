//! A job that runs on a pool: one task owns its runner.

use std::time::Duration;

use rserpool_core::association::Ppid;
use rserpool_core::compute::JobNonce;
use rserpool_core::entropy::Entropy;
use rserpool_core::identifier::PoolHandleBuf;
use rserpool_core::machine::Machine;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::clock::{Clock, OsEntropy};
use crate::driven::Driven;
use crate::job::{
    ElementStatistics, Event, Job, JobError, JobRunner, JobStatistics, RunnerConfig,
    TRANSMIT_LEN_MAX,
};
use crate::pool_questions::{PoolQuestions, Resolution};
use crate::pool_user::{Activity, PoolUser, ResolveError, StartError};
use crate::transport::Transport;

/// A running job.
///
/// ```no_run
/// use rserpool::job::{MonteCarloJob, RunnerConfig};
/// use rserpool::transport::{Transport, TransportConfig};
/// use rserpool::{JobHandle, PoolUser, PoolUserConfig};
/// use rserpool_core::association::Endpoint;
/// use rserpool_core::compute::kernels::Integrand;
/// use rserpool_core::identifier::PoolHandle;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let transport = Transport::start(TransportConfig::default());
/// let registrar = Endpoint::new("127.0.0.1:3863".parse()?);
/// let user = PoolUser::start(&transport, PoolUserConfig::new(vec![registrar])).await?;
/// let pool = PoolHandle::new(b"ComputePool")?.to_buf();
/// let job = MonteCarloJob::new(Integrand::Ball { dimensions: 2 }, 1, 1_000_000, 10_000);
/// let handle = JobHandle::start(&transport, user, pool, job, RunnerConfig::default()).await?;
/// let outcome = handle.finish().await;
/// outcome.result?;
/// println!("a quarter of pi is about {}", outcome.job.estimate().0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct JobHandle<J> {
    events: mpsc::Receiver<Event>,
    snapshots: watch::Receiver<JobSnapshot>,
    cancel: mpsc::Sender<()>,
    task: JoinHandle<JobOutcome<J>>,
}

/// How far a job is.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct JobSnapshot {
    /// The share that is done, from 0 to 1, packages in work included.
    pub progress: f64,
    /// What the job has seen.
    pub statistics: JobStatistics,
    /// What each element has done.
    pub elements: Vec<ElementStatistics>,
}

/// What became of a job.
#[derive(Debug)]
#[non_exhaustive]
pub struct JobOutcome<J> {
    /// The job, with all that came.
    pub job: J,
    /// Whether it is complete.
    pub result: Result<(), JobError>,
    /// What it has seen, to the end.
    pub last: JobSnapshot,
    /// Why the pool was not resolved when last tried, if it was not.
    pub resolve_error: Option<ResolveError>,
}

impl<J: Job + Send + 'static> JobHandle<J> {
    /// Starts `job` on `pool`.
    ///
    /// # Errors
    ///
    /// If the transport cannot open a port.
    pub async fn start(
        transport: &Transport,
        user: PoolUser,
        pool: PoolHandleBuf,
        job: J,
        config: RunnerConfig,
    ) -> Result<Self, StartError> {
        let port = transport.open(0, None, false).await?;
        let (event_sender, events) = mpsc::channel(EVENT_COUNT_MAX);
        let (snapshot_sender, snapshots) = watch::channel(JobSnapshot::default());
        let (cancel, cancels) = mpsc::channel(1);
        let nonce = JobNonce(OsEntropy.next_u64());
        let clock = Clock::start();
        let runner = Box::new(JobRunner::new(clock.now(), job, nonce, config));
        let task = Task {
            driven: Driven::with_clock(runner, port, TRANSMIT_LEN_MAX, clock),
            questions: PoolQuestions::new(user, pool),
            events: event_sender,
            snapshots: snapshot_sender,
            result: None,
        };
        let task = tokio::spawn(task.run(cancels));
        Ok(Self { events, snapshots, cancel, task })
    }

    /// What happens next; `None` when the job is over. Events that nobody takes are dropped.
    pub async fn next_event(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    /// How far the job is.
    #[must_use]
    pub fn snapshot(&self) -> JobSnapshot {
        self.snapshots.borrow().clone()
    }

    /// Gives the job up.
    pub fn cancel(&self) {
        // One is enough.
        let _ = self.cancel.try_send(());
    }

    /// Waits for the end.
    ///
    /// # Panics
    ///
    /// If the job itself panicked.
    pub async fn finish(self) -> JobOutcome<J> {
        drop(self.events);
        self.task.await.expect("only a job that panics ends its task early")
    }
}

/// Owns the runner.
struct Task<J> {
    driven: Driven<JobRunner<J>>,
    questions: PoolQuestions,
    events: mpsc::Sender<Event>,
    snapshots: watch::Sender<JobSnapshot>,
    result: Option<Result<(), JobError>>,
}

impl<J: Job + Send + 'static> Task<J> {
    async fn run(mut self, mut cancels: mpsc::Receiver<()>) -> JobOutcome<J> {
        let mut told_at = Instant::now();
        loop {
            self.driven.flush().await;
            while let Some(event) = self.driven.machine.poll_event() {
                self.on_event(event);
            }
            if self.driven.machine.is_closed() {
                break;
            }
            if told_at.elapsed() >= SNAPSHOT_INTERVAL {
                told_at = Instant::now();
                let _ = self.snapshots.send(snapshot(&self.driven.machine));
                self.questions.user.set_activity(self.activity());
            }
            tokio::select! {
                is_on = self.driven.step() => if !is_on { break },
                Some(()) = cancels.recv() => {
                    let now = self.driven.now();
                    self.driven.machine.cancel(now);
                }
                resolution = self.questions.answer() => self.on_resolution(resolution),
            }
        }
        let last = snapshot(&self.driven.machine);
        self.questions.user.set_activity(Activity::default());
        // Without a result the transport has gone away.
        let result = self.result.unwrap_or(Err(JobError::Cancelled));
        let job = self.driven.machine.into_job();
        JobOutcome { job, result, last, resolve_error: self.questions.last_error }
    }

    fn activity(&self) -> Activity {
        let runner = &self.driven.machine;
        let (now, now_outside) = (self.driven.now(), Instant::now());
        let outside = |since| now_outside.checked_sub(now.saturating_duration_since(since));
        let session =
            |(element, since)| (element, Ppid::COMPUTE, outside(since).unwrap_or(now_outside));
        let sessions = runner.sessions().map(session).collect();
        let JobStatistics { done_count, package_count, .. } = runner.statistics();
        Activity { sessions, text: format!("{done_count} of {package_count} Packages") }
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Resolve => self.questions.resolve(RESOLUTION_ITEMS),
            Event::Unreachable { element } => self.questions.report_unreachable(element),
            Event::Finished(result) => {
                self.result = Some(result);
                let _ = self.events.try_send(Event::Finished(result));
            }
            event => {
                tracing::debug!(?event, "job");
                let _ = self.events.try_send(event);
            }
        }
    }

    fn on_resolution(&mut self, resolution: Resolution) {
        let elements: Vec<_> = match resolution {
            Ok(elements) => {
                let elements = elements.into_iter();
                elements.map(|element| (element.id, element.transport.endpoint)).collect()
            }
            Err(ResolveError::UnknownPool(_)) => Vec::new(),
            // Without an answer, what was known of the pool stands.
            Err(_) => return,
        };
        let now = self.driven.now();
        self.driven.machine.update_elements(now, &elements);
    }
}

fn snapshot<J: Job>(runner: &JobRunner<J>) -> JobSnapshot {
    JobSnapshot {
        progress: runner.progress(),
        statistics: runner.statistics(),
        elements: runner.elements().collect(),
    }
}

/// Events that may wait for the user.
const EVENT_COUNT_MAX: usize = 4_096;

/// How often the user may see how far the job is.
const SNAPSHOT_INTERVAL: Duration = Duration::from_millis(50);

/// As many elements as a registrar lists in one answer.
const RESOLUTION_ITEMS: u32 = 128;
