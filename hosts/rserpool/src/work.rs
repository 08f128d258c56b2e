//! The thread in which a pool element's worker computes.
//!
//! Computing and talking take turns: a slice of about a millisecond, then whatever came in.

use std::io;
use std::time::Duration;

use rserpool_core::asap::cookie::CookieKey;
use rserpool_core::compute::kernels::StandardKernels;
use rserpool_core::compute::{Event, KernelId, Stop, Worker, WorkerConfig};
use rserpool_core::identifier::PoolHandleBuf;
use rserpool_core::machine::Machine;
use rserpool_core::wire::Load;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use crate::driven::Driven;
use crate::pool_element::ElementEvent;
use crate::transport::Port;

/// How many packages a worker holds at a time: 1 to 32. Computing them takes turns, so more slots
/// do not make it faster, but keep it busy between packages and serve more users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slots(u16);

impl Slots {
    /// The most slots.
    pub const MAX: u16 = 32;

    /// As many slots as `count`, if a worker can have so many.
    ///
    /// ```
    /// use rserpool::Slots;
    ///
    /// assert!(Slots::of_count(7).is_some());
    /// assert_eq!(Slots::of_count(0), None);
    /// assert_eq!(Slots::of_count(33), None);
    /// ```
    #[must_use]
    pub fn of_count(count: u16) -> Option<Self> {
        (1..=Self::MAX).contains(&count).then_some(Self(count))
    }
}

impl Default for Slots {
    /// 4 slots.
    fn default() -> Self {
        Self(4)
    }
}

/// What a worker is made with.
#[derive(Debug)]
pub(crate) struct Workplace {
    pub(crate) pool: PoolHandleBuf,
    pub(crate) key: CookieKey,
    pub(crate) slots: Slots,
    /// The kernels that it offers; none: all that it has.
    pub(crate) kernels: Option<Vec<KernelId>>,
}

/// A worker's thread. It ends when it is stopped, or with its handle or its transport.
#[derive(Debug)]
pub(crate) struct WorkerThread {
    stops: mpsc::Sender<Stop>,
    ended: watch::Receiver<bool>,
}

impl WorkerThread {
    /// Starts a worker on `port`. It tells its load, how many users it has, and what it does.
    pub(crate) fn start(port: Port, place: Workplace, outlet: Outlet) -> io::Result<Self> {
        Self::spawn(outlet, move |outlet, stops| async move {
            match place.slots.0 {
                1..=4 => work::<4>(port, place, outlet, stops).await,
                5..=8 => work::<8>(port, place, outlet, stops).await,
                _ => work::<{ Slots::MAX as usize }>(port, place, outlet, stops).await,
            }
        })
    }

    /// Starts a thread that does what `work` says, on a runtime of its own.
    pub(crate) fn spawn<F: Future<Output = ()>>(
        outlet: Outlet,
        work: impl FnOnce(Outlet, mpsc::Receiver<Stop>) -> F + Send + 'static,
    ) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stops, stop_receiver) = mpsc::channel(2);
        let (end_sender, ended) = watch::channel(false);
        let run = move || {
            runtime.block_on(work(outlet, stop_receiver));
            let _ = end_sender.send(true);
        };
        std::thread::Builder::new().name("worker".into()).spawn(run)?;
        Ok(Self { stops, ended })
    }

    /// Stops the worker; returns whether it has ended within `patience`.
    pub(crate) async fn stop(&self, how: Stop, patience: Duration) -> bool {
        // A worker that has ended takes no orders.
        let _ = self.stops.send(how).await;
        let mut ended = self.ended.clone();
        let is_over = ended.wait_for(|&ended| ended);
        // An error means that the thread is gone without a word, which is an end, too.
        timeout(patience, is_over).await.is_ok()
    }
}

/// What a thread tells of its machine.
#[derive(Debug)]
pub(crate) struct Outlet {
    pub(crate) loads: watch::Sender<Load>,
    pub(crate) sessions: watch::Sender<usize>,
    pub(crate) events: mpsc::Sender<ElementEvent>,
}

impl Outlet {
    /// Tells how many users there are.
    pub(crate) fn tell_sessions(&self, count: usize) {
        self.sessions.send_if_modified(|known| std::mem::replace(known, count) != count);
    }
}

type StandardWorker<const SLOTS: usize> = Worker<StandardKernels, SLOTS, USERS_MAX, CHUNK_LEN>;

/// Computes; `SLOTS` is at least as many as there are in `place`.
async fn work<const SLOTS: usize>(
    port: Port,
    place: Workplace,
    outlet: Outlet,
    mut stops: mpsc::Receiver<Stop>,
) {
    let mut config = WorkerConfig::new(place.pool);
    config.slot_count = place.slots.0;
    if let Some(kernels) = &place.kernels {
        config.offer_only::<StandardKernels>(kernels);
    }
    config.chunk_len = CHUNK_LEN;
    config.cookie_interval = COOKIE_INTERVAL;
    let machine = Box::new(StandardWorker::<SLOTS>::new(config, place.key));
    let mut driven = Driven::new(machine, port, StandardWorker::<SLOTS>::TRANSMIT_LEN_MAX);
    loop {
        let has_more = driven.machine.run(SLICE_UNITS);
        // What was pulled may have unblocked a kernel.
        let has_sent = driven.flush().await;
        while let Some(event) = driven.machine.poll_event() {
            match event {
                Event::LoadChanged { load } => {
                    let _ = outlet.loads.send(Load(load.0));
                }
                Event::Stopped => return,
                event => {
                    let _ = outlet.events.try_send(ElementEvent::Work(event));
                }
            }
        }
        outlet.tell_sessions(driven.link_count());
        let is_busy = has_more || has_sent;
        tokio::select! {
            biased;
            is_on = driven.step() => if !is_on { return },
            stop = stops.recv() => match stop {
                Some(how) => driven.machine.stop(how),
                None => return,
            },
            () = tokio::task::yield_now(), if is_busy => {}
        }
    }
}

/// Job runners that are served at a time.
const USERS_MAX: usize = 64;

/// How often a package is checkpointed: so much work is lost at most when the element dies.
const COOKIE_INTERVAL: Duration = Duration::from_millis(50);

/// Bytes of output in a message.
const CHUNK_LEN: usize = 4_096;

/// How much is computed before others have their turn: about a millisecond.
const SLICE_UNITS: u32 = 300_000;
