//! `rsp call`: users of RSPLIB's services.
//!
//! A file a service: its flags, its client, and what is printed in the end.

mod basic;
mod calc_app;
mod fractal;
mod ping_pong;
mod scripting;

use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use rserpool::services::{Call, CallError, CallEvent, CallStatistics, CallerConfig, Service};
use rserpool::transport::{Transport, TransportConfig};
use rserpool::{CallHandle, CallOutcome, PoolUser, PoolUserConfig, ResolveError};
use rserpool_core::identifier::PoolHandleBuf;
use serde_json::{Value, json};

use crate::cli::ScopeOptions;
use crate::failure::Failure;
use crate::scope::{
    CLOSE_PATIENCE, Registrars, no_registrar, pool_handle, profile, registrars, reports,
    resolve_failure, start_failure, stop_signal,
};
use crate::transport::to_connect;
use crate::values::Span;

/// `rsp call`.
#[derive(Args, Clone, Debug)]
pub(crate) struct CallArgs {
    #[command(subcommand)]
    service: CallService,
}

#[derive(Clone, Debug, Subcommand)]
enum CallService {
    /// Ping, and count the replies, over all elements.
    Pingpong {
        #[command(flatten)]
        shared: Shared,
        #[command(flatten)]
        options: ping_pong::Options,
    },
    /// Let elements pretend to calculate, one job after the other.
    Calcapp {
        #[command(flatten)]
        shared: Shared,
        #[command(flatten)]
        options: calc_app::Options,
    },
    /// Let elements compute a picture of the Mandelbrot set, and write it as PNG.
    Fractal {
        #[command(flatten)]
        shared: Shared,
        #[command(flatten)]
        options: fractal::Options,
    },
    /// Send lines, and print what comes back.
    Echo {
        #[command(flatten)]
        shared: Shared,
        #[command(flatten)]
        options: basic::Options,
    },
    /// Send lines that nobody answers.
    Discard {
        #[command(flatten)]
        shared: Shared,
        #[command(flatten)]
        options: basic::Options,
    },
    /// Print the time of day of an element.
    Daytime {
        #[command(flatten)]
        shared: Shared,
    },
    /// Upload a package, let its script run, and download what it made.
    Scripting {
        #[command(flatten)]
        shared: Shared,
        #[command(flatten)]
        options: scripting::Options,
    },
}

/// What all services have.
#[derive(Args, Clone, Debug)]
struct Shared {
    #[command(flatten)]
    scope: ScopeOptions,
    /// The pool to call. [default: the service's usual one]
    #[arg(long, value_name = "POOL")]
    pool: Option<String>,
    /// How long to wait for an element when there is none. [default: 15s]
    #[arg(long, value_name = "SPAN")]
    patience: Option<Span>,
    /// Give up after this time. [default: never]
    #[arg(long, value_name = "SPAN")]
    deadline: Option<Span>,
    /// Speak TCP with the registrar instead of SCTP; with elements it is SCTP still.
    #[arg(long)]
    tcp: bool,
    /// How long to go on with the elements that a registrar has named, selecting among them by
    /// the pool's policy, before it is asked again. [default: 0s]
    #[arg(long, value_name = "SPAN")]
    stale_cache: Option<Span>,
    /// Print the summary as JSON, and nothing else.
    #[arg(long)]
    json: bool,
}

/// Calls a service and prints what came of it.
pub(crate) async fn call(args: CallArgs, file_scope: ScopeOptions) -> Result<(), Failure> {
    match args.service {
        CallService::Pingpong { shared, options } => {
            let place = Place::find(shared, file_scope, Service::PingPong).await?;
            ping_pong::call(place, &options).await
        }
        CallService::Calcapp { shared, options } => {
            let place = Place::find(shared, file_scope, Service::CalcApp).await?;
            calc_app::call(place, &options).await
        }
        CallService::Fractal { shared, options } => {
            let place = Place::find(shared, file_scope, Service::Fractal).await?;
            fractal::call(place, &options).await
        }
        CallService::Echo { shared, options } => {
            let place = Place::find(shared, file_scope, Service::Echo).await?;
            basic::echo(place, options).await
        }
        CallService::Discard { shared, options } => {
            let place = Place::find(shared, file_scope, Service::Discard).await?;
            basic::discard(place, options).await
        }
        CallService::Daytime { shared } => {
            let place = Place::find(shared, file_scope, Service::Daytime).await?;
            basic::daytime(place).await
        }
        CallService::Scripting { shared, options } => {
            let place = Place::find(shared, file_scope, Service::Scripting).await?;
            scripting::call(place, &options).await
        }
    }
}

/// Where a call goes to.
struct Place {
    pool: PoolHandleBuf,
    registrars: Registrars,
    user_config: PoolUserConfig,
    transport_config: TransportConfig,
    config: CallerConfig,
    json: bool,
}

/// What came of calls.
struct Done<C> {
    clients: Vec<C>,
    statistics: CallStatistics,
    elapsed: Duration,
    json: bool,
}

impl Place {
    async fn find(
        shared: Shared,
        file_scope: ScopeOptions,
        service: Service,
    ) -> Result<Self, Failure> {
        let scope = shared.scope.or(file_scope);
        let pool = pool_handle(shared.pool.as_deref().unwrap_or(service.pool()))?;
        let registrars = registrars(&scope).await?;
        let mut user_config = PoolUserConfig::new(registrars.configured.clone());
        user_config.announces.clone_from(&registrars.announces);
        user_config.profile = profile(&scope);
        user_config.csp = reports(&scope).await?;
        user_config.by_tcp = shared.tcp;
        user_config.stale_cache = shared.stale_cache.map_or(Duration::ZERO, |span| span.0);
        let mut config = CallerConfig::default();
        if let Some(patience) = shared.patience {
            config.patience = patience.0;
        }
        config.deadline = shared.deadline.map(|span| span.0);
        let transport_config = to_connect(&scope)?;
        let json = shared.json;
        Ok(Self { pool, registrars, user_config, transport_config, config, json })
    }

    /// Lets a client do what it wants.
    async fn call<C>(self, client: C, tell: impl FnMut(C::Event)) -> Result<Done<C>, Failure>
    where
        C: Call + Send + 'static,
        C::Event: Send,
    {
        self.call_all(vec![client], tell).await
    }

    /// Lets several clients do what they want, at the same time.
    async fn call_all<C>(
        self,
        clients: Vec<C>,
        mut tell: impl FnMut(C::Event),
    ) -> Result<Done<C>, Failure>
    where
        C: Call + Send + 'static,
        C::Event: Send,
    {
        let stopped = stop_signal(false)?;
        tokio::pin!(stopped);
        let began = Instant::now();
        let transport = Transport::start(self.transport_config.clone());
        let user = PoolUser::start(&transport, self.user_config.clone()).await;
        let user = user.map_err(|error| start_failure(&error))?;
        let (event_sender, mut events) = tokio::sync::mpsc::channel(EVENT_COUNT_MAX);
        let (cancel_sender, _) = tokio::sync::watch::channel(false);
        let mut tasks = Vec::new();
        for client in clients {
            let (pool, config) = (self.pool, self.config);
            let handle = CallHandle::start(&transport, user.clone(), pool, client, config).await;
            let handle = handle.map_err(|error| start_failure(&error))?;
            let (events, cancelled) = (event_sender.clone(), cancel_sender.subscribe());
            tasks.push(tokio::spawn(follow(handle, events, cancelled)));
        }
        drop(event_sender);
        let mut is_interrupted = false;
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    Some(event) => tell(event),
                    None => break,
                },
                () = &mut stopped, if !is_interrupted => {
                    is_interrupted = true;
                    let _ = cancel_sender.send(true);
                }
            }
        }
        let mut done = Done {
            clients: Vec::new(),
            statistics: CallStatistics::default(),
            elapsed: began.elapsed(),
            json: self.json,
        };
        let mut failure = None;
        for task in tasks {
            let outcome = task.await.map_err(|error| Failure::failed(error.to_string()))?;
            failure = failure.or(self.failure(&outcome, is_interrupted));
            done.add(outcome);
        }
        user.end().await;
        transport.close(CLOSE_PATIENCE).await;
        failure.map_or(Ok(done), Err)
    }

    /// Why a call has no result, if it has none.
    fn failure<C>(&self, outcome: &CallOutcome<C>, is_interrupted: bool) -> Option<Failure> {
        let error = outcome.result.err()?;
        Some(match (error, outcome.resolve_error) {
            _ if is_interrupted => Failure::interrupted("interrupted: the call is given up"),
            (CallError::NoElement { .. }, Some(ResolveError::NoRegistrar)) => {
                no_registrar(&self.registrars)
            }
            (CallError::NoElement { .. }, Some(error @ ResolveError::UnknownPool(_))) => {
                resolve_failure(error, &self.registrars)
            }
            // A registrar that is not there does not even say no.
            (CallError::NoElement { .. }, None) if outcome.statistics.failovers == 0 => {
                no_registrar(&self.registrars)
            }
            _ => Failure::failed(format!("the call failed: {error}")),
        })
    }
}

/// Passes on what a client tells, until it is done or cancelled.
async fn follow<C>(
    mut handle: CallHandle<C>,
    events: tokio::sync::mpsc::Sender<C::Event>,
    mut cancelled: tokio::sync::watch::Receiver<bool>,
) -> CallOutcome<C>
where
    C: Call + Send + 'static,
    C::Event: Send,
{
    let mut may_cancel = true;
    loop {
        tokio::select! {
            event = handle.next_event() => match event {
                Some(CallEvent::Client(event)) => {
                    let _ = events.send(event).await;
                }
                Some(_) => {}
                None => return handle.finish().await,
            },
            result = cancelled.changed(), if may_cancel => {
                may_cancel = false;
                if result.is_ok() {
                    handle.cancel();
                }
            }
        }
    }
}

impl<C> Done<C> {
    fn add(&mut self, outcome: CallOutcome<C>) {
        self.clients.push(outcome.client);
        let (all, one) = (&mut self.statistics, outcome.statistics);
        all.sessions += one.sessions;
        all.failovers += one.failovers;
        all.resumed += one.resumed;
        all.cookies += one.cookies;
        all.business_cards += one.business_cards;
        for (all, one) in [(&mut all.sent, one.sent), (&mut all.received, one.received)] {
            all.messages += one.messages;
            all.bytes += one.bytes;
        }
    }

    /// Prints lines of a service's own and those of all, or all of it as JSON.
    fn print(&self, lines: &[(&str, String)], result: Value) {
        let CallStatistics { sessions, failovers, resumed, sent, received, .. } = self.statistics;
        if self.json {
            let summary = json!({
                "seconds": self.elapsed.as_secs_f64(),
                "sessions": sessions,
                "failovers": failovers,
                "resumed": resumed,
                "cookies": self.statistics.cookies,
                "business_cards": self.statistics.business_cards,
                "sent": { "messages": sent.messages, "bytes": sent.bytes },
                "received": { "messages": received.messages, "bytes": received.bytes },
                "result": result,
            });
            say!("{summary}");
            return;
        }
        for (name, value) in lines {
            say!("{name:<12}{value}");
        }
        say!("sessions    {sessions}, {failovers} failovers, {resumed} resumed by cookie");
        let bytes = |it: u64| format!("{it} bytes");
        say!(
            "traffic     {} messages out ({}), {} in ({})",
            sent.messages,
            bytes(sent.bytes),
            received.messages,
            bytes(received.bytes)
        );
        say!("time        {:.2} s", self.elapsed.as_secs_f64());
    }
}

/// Milliseconds, as they are printed.
fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1_000.0
}

/// Events that may wait to be printed.
const EVENT_COUNT_MAX: usize = 256;

pub(crate) const CALL_HELP: &str = "\
Examples:
  rsp call pingpong --count 100 --interval 10ms
  rsp call calcapp --jobs 5 --size 2000000 --interval 1s --json
  rsp call fractal --size 800x600 --sessions 4 --out fractal.png
  rsp call echo hello
  rsp call scripting package.tar --out result.tar.gz

When an element dies, another goes on, from the last cookie where the service
has any. Exit code 0 says that all was done, 3 and 4 that no registrar or no
pool was found, 1 that it came to nothing otherwise. See `rsp --help`.";
