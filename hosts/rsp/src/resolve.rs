//! `rsp resolve`.

use std::time::Duration;

use rserpool::transport::Transport;
use rserpool::{PoolUser, PoolUserConfig, ResolveError};
use rserpool_core::asap::ResolvedElement;
use rserpool_core::identifier::PoolHandleBuf;
use serde_json::json;

use crate::cli::{ResolveOptions, ScopeOptions};
use crate::failure::Failure;
use crate::policy::written;
use crate::scope::{
    CLOSE_PATIENCE, no_registrar, pool_handle, profile, registrars, reports, resolve_failure,
    start_failure, stop_signal,
};
use crate::transport::to_connect;

/// Prints the elements of a pool.
pub(crate) async fn resolve(scope: ScopeOptions, options: ResolveOptions) -> Result<(), Failure> {
    let pool = pool_handle(&options.pool)?;
    if options.items == Some(0) {
        return Err(Failure::usage("--items 0: there is nothing to ask for")
            .hint("choose 1 or more, or leave --items out"));
    }
    let registrars = registrars(&scope).await?;
    let mut config = PoolUserConfig::new(registrars.configured.clone());
    config.announces.clone_from(&registrars.announces);
    config.profile = profile(&scope);
    config.csp = reports(&scope).await?;
    config.by_tcp = options.tcp;
    let transport = Transport::start(to_connect(&scope)?);
    let started = PoolUser::start(&transport, config).await;
    let user = started.map_err(|error| start_failure(&error))?;
    if options.watch {
        return watch(&user, pool, options.json).await;
    }
    let patience = options.patience.map_or(PATIENCE_DEFAULT, |span| span.0);
    let items = options.items.unwrap_or(ITEMS_DEFAULT);
    let answer = tokio::time::timeout(patience, user.resolve(pool, Some(items))).await;
    user.end().await;
    transport.close(CLOSE_PATIENCE).await;
    let elements = match answer {
        Err(_) => return Err(no_registrar(&registrars)),
        Ok(Err(error)) => return Err(resolve_failure(error, &registrars)),
        Ok(Ok(elements)) => elements,
    };
    if options.json {
        say!("{}", json_of(pool, &elements));
    } else {
        print_table(&elements);
    }
    Ok(())
}

/// Resolves `pool` again and again until it has elements or the patience is over.
pub(crate) async fn await_pool(
    user: &PoolUser,
    pool: PoolHandleBuf,
    patience: Duration,
) -> Result<(), ResolveError> {
    let deadline = tokio::time::Instant::now() + patience;
    // What is said if not even one answer comes in time.
    let mut last = ResolveError::NoRegistrar;
    loop {
        match tokio::time::timeout_at(deadline, user.resolve(pool, Some(1))).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) => last = error,
            Err(_) => return Err(last),
        }
        let again = tokio::time::Instant::now() + RETRY_INTERVAL;
        if again >= deadline {
            return Err(last);
        }
        tokio::time::sleep_until(again).await;
    }
}

/// Prints what changes until a signal comes.
async fn watch(user: &PoolUser, pool: PoolHandleBuf, is_json: bool) -> Result<(), Failure> {
    let stopped = stop_signal(false)?;
    tokio::pin!(stopped);
    let ended = || Failure::failed("the pool user has ended by itself");
    let mut watched = user.watch(pool).await.map_err(|_| ended())?;
    let mut known = Vec::new();
    loop {
        let elements = tokio::select! {
            () = &mut stopped => return Ok(()),
            changed = watched.changed() => changed.ok_or_else(ended)?,
        };
        if is_json {
            say!("{}", json_of(pool, &elements));
        } else {
            for line in differences(&known, &elements) {
                say!("{line}");
            }
        }
        known = elements;
    }
}

/// What has become of the elements, a line each.
fn differences(before: &[ResolvedElement], after: &[ResolvedElement]) -> Vec<String> {
    let find = |list: &[ResolvedElement], id| list.iter().position(|element| element.id == id);
    let gone = before.iter().filter(|element| find(after, element.id).is_none());
    let mut lines: Vec<_> = gone.map(|element| format!("- {}", row(element))).collect();
    for element in after {
        match find(before, element.id) {
            None => lines.push(format!("+ {}", row(element))),
            Some(place) if before[place] != *element => lines.push(format!("~ {}", row(element))),
            Some(_) => {}
        }
    }
    lines
}

fn json_of(pool: PoolHandleBuf, elements: &[ResolvedElement]) -> serde_json::Value {
    let elements: Vec<_> = elements
        .iter()
        .map(|element| {
            let endpoint = &element.transport.endpoint;
            json!({
                "identifier": element.id.to_string(),
                "home": element.home.to_string(),
                "protocol": format!("{:?}", element.transport.protocol).to_lowercase(),
                "addresses": endpoint.addresses.iter().map(ToString::to_string)
                    .collect::<Vec<_>>(),
                "port": endpoint.port,
                "policy": written(&element.policy),
            })
        })
        .collect();
    json!({ "pool": pool.to_string(), "elements": elements })
}

fn print_table(elements: &[ResolvedElement]) {
    say!("{:<12}{:<12}{:<26}POLICY", "ELEMENT", "HOME", "ADDRESS");
    for element in elements {
        say!("{}", row(element));
    }
}

fn row(element: &ResolvedElement) -> String {
    let endpoint = &element.transport.endpoint;
    let place = endpoint.to_string();
    let others = match endpoint.addresses.len() {
        0 | 1 => String::new(),
        count => format!(" +{}", count - 1),
    };
    format!(
        "{:<12}{:<12}{:<26}{}",
        element.id.to_string(),
        element.home.to_string(),
        place + &others,
        written(&element.policy)
    )
}

/// How long to wait for a registrar.
const PATIENCE_DEFAULT: Duration = Duration::from_secs(10);

/// As many as a registrar lists in one answer.
const ITEMS_DEFAULT: u32 = 128;

/// How often to ask again for a pool that is not there yet.
const RETRY_INTERVAL: Duration = Duration::from_millis(300);
