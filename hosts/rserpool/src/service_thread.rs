//! The thread in which a pool element serves one of RSPLIB's services.

use std::collections::BTreeMap;
use std::io;

use rserpool_core::asap::ResolvedElement;
use rserpool_core::association::AssociationId;
use rserpool_core::compute::Stop;
use rserpool_core::identifier::{PeId, PoolHandleBuf};
use rserpool_core::machine::Machine;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::driven::Driven;
use crate::pool_element::ElementEvent;
use crate::scripts::{ScriptConfig, run_script};
use crate::services::scripting::Outcome;
use crate::services::{
    Serve, ServerEvent, Service, SessionServer, basic, calc_app, fractal, ping_pong, scripting,
};
use crate::transport::Port;
use crate::work::{Outlet, WorkerThread};

/// A service of RSPLIB that a pool element serves, and its limits.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ServiceConfig {
    /// Numbered replies.
    PingPong {
        /// The most sessions.
        session_count_max: usize,
        /// Each session is ended after so many replies, for those who test failovers.
        failure_after: Option<u64>,
    },
    /// Pretended calculations.
    CalcApp(calc_app::Limits),
    /// Pictures of the Mandelbrot set.
    Fractal(fractal::Limits),
    /// Scripts that are uploaded and run.
    Scripting {
        /// What is taken.
        limits: scripting::Limits,
        /// Whose scripts are run, and how.
        scripts: ScriptConfig,
    },
    /// Every message comes back.
    Echo {
        /// The most sessions.
        session_count_max: usize,
    },
    /// No message comes back.
    Discard {
        /// The most sessions.
        session_count_max: usize,
    },
    /// The time of day, once.
    Daytime {
        /// The most sessions.
        session_count_max: usize,
    },
}

impl ServiceConfig {
    /// Which service.
    #[must_use]
    pub const fn service(&self) -> Service {
        match self {
            Self::PingPong { .. } => Service::PingPong,
            Self::CalcApp(_) => Service::CalcApp,
            Self::Fractal(_) => Service::Fractal,
            Self::Scripting { .. } => Service::Scripting,
            Self::Echo { .. } => Service::Echo,
            Self::Discard { .. } => Service::Discard,
            Self::Daytime { .. } => Service::Daytime,
        }
    }
}

/// What business cards are made of.
#[derive(Debug)]
pub(crate) struct CardSource {
    pub(crate) pool: PoolHandleBuf,
    /// The element that gives them.
    pub(crate) identifier: PeId,
    /// All elements of the pool.
    pub(crate) elements: watch::Receiver<Vec<ResolvedElement>>,
}

/// What a thread has beside its service.
struct Equipment {
    port: Port,
    cards: Option<CardSource>,
    outlet: Outlet,
    /// By which it is told to stop.
    stops: mpsc::Receiver<Stop>,
}

/// Starts a thread that serves on `port`.
pub(crate) fn start(
    port: Port,
    service: ServiceConfig,
    cards: Option<CardSource>,
    outlet: Outlet,
) -> io::Result<WorkerThread> {
    WorkerThread::spawn(outlet, move |outlet, stops| {
        run(service, Equipment { port, cards, outlet, stops })
    })
}

async fn run(service: ServiceConfig, with: Equipment) {
    match service {
        ServiceConfig::PingPong { session_count_max, failure_after } => {
            serve(ping_pong::Server::new(session_count_max, failure_after), None, with).await;
        }
        ServiceConfig::CalcApp(limits) => {
            serve(calc_app::Server::new(limits), None, with).await;
        }
        ServiceConfig::Fractal(limits) => {
            serve(fractal::Server::new(limits), None, with).await;
        }
        ServiceConfig::Scripting { limits, scripts } => {
            let name = nix::unistd::gethostname().unwrap_or_default();
            let server = scripting::Server::new(limits, &name.to_string_lossy());
            serve(server, Some(scripts), with).await;
        }
        ServiceConfig::Echo { session_count_max } => {
            serve(basic::Server::new(basic::Kind::Echo, session_count_max), None, with).await;
        }
        ServiceConfig::Discard { session_count_max } => {
            serve(basic::Server::new(basic::Kind::Discard, session_count_max), None, with).await;
        }
        ServiceConfig::Daytime { session_count_max } => {
            let kind = basic::Kind::Daytime { tell: time_of_day };
            serve(basic::Server::new(kind, session_count_max), None, with).await;
        }
    }
}

async fn serve<S: Serve>(service: S, scripts: Option<ScriptConfig>, with: Equipment) {
    let Equipment { port, cards, outlet, stops } = with;
    let mut place = Place::new(port, service, scripts);
    let elements = cards.map(|source| {
        place.driven.machine.give_cards(source.pool, source.identifier);
        source.elements
    });
    place.serve(elements, outlet, stops).await;
}

/// Waits until there are others in the pool, or other ones; for ever if nobody wants to know.
async fn changed(elements: &mut Option<watch::Receiver<Vec<ResolvedElement>>>) {
    if let Some(elements) = elements
        && elements.changed().await.is_ok()
    {
        return;
    }
    // When nobody tells any more, what is known stands.
    std::future::pending().await
}

/// The time as RSPLIB's element writes it: `Sunday, 22-November-2026 08:51:47.438723`.
fn time_of_day() -> String {
    jiff::ZonedDateTime::now().strftime("%A, %d-%B-%Y %H:%M:%S.%6f\n").to_string()
}

/// The sessions of a service, and the scripts that run for them.
struct Place<S: Serve> {
    driven: Driven<SessionServer<S>>,
    scripts: Option<ScriptConfig>,
    running: BTreeMap<AssociationId, JoinHandle<()>>,
    outcome_sender: mpsc::Sender<(AssociationId, Outcome)>,
    outcomes: mpsc::Receiver<(AssociationId, Outcome)>,
}

impl<S: Serve> Place<S> {
    fn new(port: Port, service: S, scripts: Option<ScriptConfig>) -> Self {
        let machine = Box::new(SessionServer::new(service, SESSION_COUNT_MAX));
        let driven = Driven::new(machine, port, SessionServer::<S>::TRANSMIT_LEN_MAX);
        let (outcome_sender, outcomes) = mpsc::channel(1);
        Self { driven, scripts, running: BTreeMap::new(), outcome_sender, outcomes }
    }

    async fn serve(
        mut self,
        mut elements: Option<watch::Receiver<Vec<ResolvedElement>>>,
        outlet: Outlet,
        mut stops: mpsc::Receiver<Stop>,
    ) {
        loop {
            let now = self.driven.now();
            let has_more = self.driven.machine.run(now, SLICE_UNITS);
            let has_sent = self.driven.flush().await;
            while let Some(event) = self.driven.machine.poll_event() {
                if event == ServerEvent::Stopped {
                    return;
                }
                self.on_event(event, &outlet);
            }
            outlet.tell_sessions(self.driven.machine.session_count());
            let is_busy = has_more || has_sent;
            tokio::select! {
                biased;
                is_on = self.driven.step() => if !is_on { return },
                stop = stops.recv() => match stop {
                    Some(how) => {
                        let now = self.driven.now();
                        self.driven.machine.stop(now, how);
                    }
                    None => return,
                },
                Some((association, outcome)) = self.outcomes.recv() => {
                    self.running.remove(&association);
                    let now = self.driven.now();
                    self.driven.machine.finish(now, association, outcome);
                }
                () = changed(&mut elements) => {
                    if let Some(elements) = &mut elements {
                        self.driven.machine.set_elements(&elements.borrow_and_update());
                    }
                }
                () = tokio::task::yield_now(), if is_busy => {}
            }
        }
    }

    fn on_event(&mut self, event: ServerEvent, outlet: &Outlet) {
        match event {
            ServerEvent::LoadChanged(load) => {
                let _ = outlet.loads.send(load);
            }
            ServerEvent::Run { association, run } => {
                let Some(config) = self.scripts.clone() else { return };
                let sender = self.outcome_sender.clone();
                let script = tokio::spawn(async move {
                    let outcome = run_script(&config, run).await;
                    let _ = sender.send((association, outcome)).await;
                });
                self.running.insert(association, script);
            }
            ServerEvent::Closed { association } => {
                // Nobody waits for it any more; its processes end with its task.
                if let Some(script) = self.running.remove(&association) {
                    script.abort();
                }
                let _ = outlet.events.try_send(ElementEvent::Service(event));
            }
            event => {
                let _ = outlet.events.try_send(ElementEvent::Service(event));
            }
        }
    }
}

impl<S: Serve> Drop for Place<S> {
    fn drop(&mut self) {
        for script in self.running.values() {
            script.abort();
        }
    }
}

/// Sessions of an element, those included that are told that it is full.
const SESSION_COUNT_MAX: usize = 1_000;

/// How much is computed before others have their turn: about a millisecond.
const SLICE_UNITS: u32 = 300_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_written_as_in_the_recording() {
        let time = time_of_day();
        let recorded = "Sunday, 22-November-2026 08:51:47.438723\n";
        // Names of days and months differ in length, the rest does not.
        let shape = |text: &str| {
            let (day, rest) = text.split_once(", ").unwrap();
            let (date, clock) = rest.split_once(' ').unwrap();
            let date: Vec<_> = date.split('-').map(str::to_owned).collect();
            assert!(day.ends_with("day"), "{text}");
            assert_eq!(date.len(), 3, "{text}");
            (date[0].len(), date[2].len(), clock.replace(|it: char| it.is_ascii_digit(), "0"))
        };
        assert_eq!(shape(&time), shape(recorded));
    }
}
