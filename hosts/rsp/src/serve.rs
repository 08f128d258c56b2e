//! `rsp serve`.

use std::time::{Duration, Instant};

use rserpool::transport::Transport;
use rserpool::{ElementEvent, PoolElement, PoolElementConfig, Slots};
use rserpool_core::asap::PoolElementEvent;
use rserpool_core::asap::cookie::CookieKey;
use rserpool_core::identifier::PeId;
use rserpool_core::profile::Profile;
use rserpool_core::sctp::LISTEN_PORTS_MAX;
use rserpool_core::wire::Cause;
use tokio::sync::mpsc;

use crate::cli::{ScopeOptions, ServeOptions, Switch};
use crate::failure::{Failure, Status};
use crate::scope::{
    CLOSE_PATIENCE, Registrars, no_registrar, places, pool_handle, profile, registrars, reports,
    start_failure, stop_signal,
};
use crate::service::ServiceOptions;
use crate::transport::listen_at;
use crate::values::PoolKey;

/// Runs pool elements until a signal comes.
pub(crate) async fn serve(
    scope: ScopeOptions,
    options: ServeOptions,
    service: &ServiceOptions,
) -> Result<(), Failure> {
    let stopped = stop_signal(options.exit_with_stdin)?;
    let (transport_config, port, udp_port) = listen_at(&scope, options.listen.as_ref(), 0).await?;
    let registrars = registrars(&scope).await?;
    let mut config = element_config(&scope, &options, service, &registrars)?;
    (config.port, config.udp_port) = (port, udp_port);
    config.csp = reports(&scope).await?;
    let element_count = options.elements.unwrap_or(1);
    check_count(element_count, &options, port)?;

    let transport = Transport::start(transport_config);
    let (news_sender, mut news) = mpsc::channel(64);
    let mut stops = Vec::new();
    for _ in 0..element_count {
        let started = PoolElement::start(&transport, config.clone()).await;
        let element = started.map_err(|error| start_failure(&error))?;
        let (stop, stop_receiver) = mpsc::channel(1);
        let place = Place::of(&element, &transport, pool_name(&options, service));
        let keeper = Keeper { element, place, news: news_sender.clone() };
        stops.push((stop, tokio::spawn(keeper.keep(stop_receiver))));
    }
    drop(news_sender);
    let patience = options.patience.map_or(Duration::MAX, |span| span.0);
    let patience = tokio::time::sleep(patience.min(FOREVER));
    tokio::pin!(stopped, patience);
    let mut is_waiting = true;
    // One that announces itself once a second has a moment to do so.
    let mut warned_at = Instant::now();
    let result = loop {
        tokio::select! {
            () = &mut stopped => break Ok(()),
            () = &mut patience, if is_waiting => break Err(no_registrar(&registrars)),
            told = news.recv() => match told {
                Some(News::Registered) => is_waiting = false,
                Some(News::NoRegistrar) if warned_at.elapsed() >= WARN_INTERVAL => {
                    warned_at = Instant::now();
                    tracing::warn!("no registrar answers at {registrars}; still looking");
                }
                Some(News::NoRegistrar) => {}
                Some(News::Refused(cause)) => break Err(refused(cause, &registrars)),
                None => break Err(Failure::failed("the transport has ended by itself")),
            },
        }
    };
    // All of them at the same time: each may take its grace.
    let grace = options.grace.map_or(GRACE_DEFAULT, |span| span.0);
    for (stop, _) in &stops {
        let _ = stop.try_send(grace);
    }
    for (_, keeper) in stops {
        let _ = keeper.await;
    }
    transport.close(CLOSE_PATIENCE).await;
    result
}

fn element_config(
    scope: &ScopeOptions,
    options: &ServeOptions,
    service: &ServiceOptions,
    registrars: &Registrars,
) -> Result<PoolElementConfig, Failure> {
    let pool = pool_handle(pool_name(options, service))?;
    let served = service.config()?;
    let key = match &served {
        None => pool_key(options)?,
        Some(_) => {
            check_compute_flags(options)?;
            PoolKey::DEVELOPMENT
        }
    };
    let mut config =
        PoolElementConfig::new(registrars.configured.clone(), pool, CookieKey::new(key.0));
    config.service = served;
    config.announces.clone_from(&registrars.announces);
    if config.announces.is_some() && scope.registrars.is_empty() {
        // The registrar of this machine may announce itself by an address that others can use.
        config.last_resort = config.registrars.pop();
    }
    config.profile = profile(scope);
    config.gives_cards = match service.business_cards {
        Some(said) => said == Switch::On,
        None => config.profile == Profile::Rfc,
    };
    config.identifier = options.identifier.map(|identifier| PeId(identifier.0));
    let policy = service.choice().policy(service.session_count_max());
    config.policy = options.policy.unwrap_or(policy).to_policy();
    if let Some(count) = options.slots {
        config.slots = Slots::of_count(count).ok_or_else(|| {
            let max = Slots::MAX;
            Failure::usage(format!("--slots {count}: an element has 1 to {max} slots"))
        })?;
    }
    if !options.kernels.is_empty() {
        config.kernels = Some(options.kernels.iter().map(|kernel| kernel.0).collect());
    }
    config.addresses.clone_from(&options.addresses);
    config.registration_life = options.registration_life.map(|span| span.0);
    config.reregistration_interval = options.reregistration_interval.map(|span| span.0);
    Ok(config)
}

/// The pool to join.
fn pool_name<'a>(options: &'a ServeOptions, service: &ServiceOptions) -> &'a str {
    options.pool.as_deref().unwrap_or(service.choice().pool())
}

/// Refuses flags of work packages, which mean nothing for services.
fn check_compute_flags(options: &ServeOptions) -> Result<(), Failure> {
    let flags = [
        ("--slots", options.slots.is_some()),
        ("--kernels", !options.kernels.is_empty()),
        ("--pool-key", options.pool_key.is_some()),
        ("--pool-key-file", options.pool_key_file.is_some()),
    ];
    match flags.into_iter().find(|&(_, is_said)| is_said) {
        Some((flag, _)) => Err(Failure::usage(format!("{flag} is for work packages"))
            .hint("leave it out, or the name of the service")),
        None => Ok(()),
    }
}

fn check_count(count: u16, options: &ServeOptions, port: u16) -> Result<(), Failure> {
    match count {
        0 => Err(Failure::usage("--elements 0: there is nothing to serve")
            .hint("run at least one element")),
        1 => Ok(()),
        count if usize::from(count) > ELEMENTS_MAX => Err(Failure::usage(format!(
            "--elements {count}: a process has room for {ELEMENTS_MAX}"
        ))
        .hint("run several `rsp serve`")),
        _ if options.identifier.is_some() => {
            Err(Failure::usage("several elements cannot have the same --identifier")
                .hint("leave --identifier out, or run one `rsp serve` for each"))
        }
        _ if port != 0 => Err(Failure::usage("several elements cannot listen on the same port")
            .hint("leave the port in --listen 0, or run one `rsp serve` for each")),
        _ => Ok(()),
    }
}

/// The pool key: from a flag or the file, from the environment, or the well-known one.
fn pool_key(options: &ServeOptions) -> Result<PoolKey, Failure> {
    if let Some(key) = &options.pool_key {
        return Ok(key.clone());
    }
    if let Some(path) = &options.pool_key_file {
        let bytes = std::fs::read(path).map_err(|error| {
            Failure::usage(format!("cannot read the pool key {}: {error}", path.display()))
                .hint(format!("make one: head -c 32 /dev/urandom > {}", path.display()))
        })?;
        return PoolKey::from_file_bytes(&bytes).map_err(|error| {
            Failure::usage(format!("no pool key in {}: {error}", path.display()))
                .hint("the file holds 64 hexadecimal digits, or the 32 bytes themselves")
        });
    }
    if let Ok(text) = std::env::var(KEY_VARIABLE) {
        return text.parse().map_err(|error| Failure::usage(format!("{KEY_VARIABLE}: {error}")));
    }
    tracing::warn!(
        "no pool key: using the well-known development key, so whoever reaches this element can \
         forge the state of packages; give all elements of the pool a --pool-key-file"
    );
    Ok(PoolKey::DEVELOPMENT)
}

/// What an element is called when it is ready.
struct Place {
    pool: String,
    address: String,
}

impl Place {
    fn of(element: &PoolElement, transport: &Transport, pool: &str) -> Self {
        Self {
            pool: pool.into(),
            address: places(transport, element.port(), element.udp_ports(), false).swap_remove(0),
        }
    }
}

/// What the elements tell the command.
enum News {
    Registered,
    NoRegistrar,
    /// The first registration was refused.
    Refused(Option<Cause>),
}

/// Looks after one element.
struct Keeper {
    element: PoolElement,
    place: Place,
    news: mpsc::Sender<News>,
}

impl Keeper {
    async fn keep(mut self, mut stops: mpsc::Receiver<Duration>) {
        let identifier = self.element.identifier();
        let mut was_registered = false;
        loop {
            let event = tokio::select! {
                grace = stops.recv() => {
                    self.element.stop(grace.unwrap_or_default()).await;
                    tracing::info!(element = %identifier, "stopped");
                    return;
                }
                event = self.element.next_event() => event,
            };
            match event {
                None => return,
                Some(ElementEvent::Work(event)) => {
                    tracing::debug!(element = %identifier, ?event, "work");
                }
                Some(ElementEvent::Service(event)) => {
                    tracing::debug!(element = %identifier, ?event, "service");
                }
                Some(ElementEvent::Membership(event)) => {
                    tracing::info!(element = %identifier, ?event, "membership");
                    self.on_membership(event, &mut was_registered).await;
                }
                Some(_) => {}
            }
        }
    }

    async fn on_membership(&self, event: PoolElementEvent, was_registered: &mut bool) {
        let identifier = self.element.identifier();
        let news = match event {
            PoolElementEvent::Registered { .. } => {
                if !*was_registered {
                    let Place { pool, address } = &self.place;
                    note!("element {identifier} in {pool} ready at {address}");
                }
                *was_registered = true;
                News::Registered
            }
            PoolElementEvent::NoRegistrar => News::NoRegistrar,
            PoolElementEvent::Rejected { cause, .. } if !*was_registered => News::Refused(cause),
            PoolElementEvent::Rejected { cause, .. } => {
                tracing::warn!(element = %identifier, ?cause, "the registrar refuses it");
                return;
            }
            _ => return,
        };
        // The command may be on its way out.
        let _ = self.news.send(news).await;
    }
}

/// Why the registrar refused, and what to do.
fn refused(cause: Option<Cause>, registrars: &Registrars) -> Failure {
    let (why, hint) = match cause {
        Some(Cause::LACK_OF_RESOURCES) => (
            "its handlespace is full",
            "raise --max-elements of the registrar, or stop elements that are not needed",
        ),
        Some(Cause::INCONSISTENT_POOL_POLICY) => (
            "the pool has another policy",
            "give this element the --policy of the others, or another --pool",
        ),
        Some(Cause::NON_UNIQUE_PE_IDENTIFIER) => {
            ("another element has this identifier", "leave --identifier out, or choose another")
        }
        Some(Cause::INVALID_VALUES) => (
            "it finds a value invalid, most likely the address",
            "register an address by which the registrar sees this element, with --address IP",
        ),
        Some(Cause::INCONSISTENT_DATA_CONTROL | Cause::INCONSISTENT_TRANSPORT_TYPE) => {
            ("the elements of the pool are reached by another transport", "choose another --pool")
        }
        _ => ("it does not say why", "look into the registrar's log (--log info)"),
    };
    let code = cause.map_or_else(String::new, |cause| format!(" (error cause {:#06x})", cause.0));
    Failure::new(
        Status::Rejected,
        format!("the registrar at {registrars} refuses the registration: {why}{code}"),
    )
    .hint(hint)
}

/// Each element listens on two ports: one for users, one for registrars.
const ELEMENTS_MAX: usize = LISTEN_PORTS_MAX / 2;

/// How long unfinished packages may go on.
const GRACE_DEFAULT: Duration = Duration::from_secs(2);

/// How often, and how early, it is said that no registrar answers.
const WARN_INTERVAL: Duration = Duration::from_secs(3);

/// Longer than any process lives, and short enough for a timer.
const FOREVER: Duration = Duration::from_secs(3_600 * 24 * 365 * 10);

/// The environment variable that may hold the pool key.
pub(crate) const KEY_VARIABLE: &str = "RSP_POOL_KEY";
