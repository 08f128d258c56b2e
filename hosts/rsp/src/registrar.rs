//! `rsp registrar`.

use rserpool::transport::Transport;
use rserpool::{AnnounceConfig, ENRP_PORT, PeeringConfig, Registrar, RegistrarConfig};
use rserpool_core::association::Endpoint;
use rserpool_core::enrp;
use rserpool_core::identifier::RegistrarId;

use crate::address::{ASAP_PORT, EnrpPort};
use crate::cli::{RegistrarOptions, ScopeOptions, Switch};
use crate::failure::Failure;
use crate::scope::{
    CLOSE_PATIENCE, announces, places, profile, reports, stop_signal, transport_failure,
};
use crate::transport::{check_own_udp_port, check_udp_port, listen_at};
use crate::values::Suggestions;

/// Runs a registrar until a signal comes.
pub(crate) async fn registrar(
    scope: ScopeOptions,
    options: RegistrarOptions,
) -> Result<(), Failure> {
    let stopped = stop_signal(options.exit_with_stdin)?;
    let (mut transport_config, port, udp_port) =
        listen_at(&scope, options.listen.as_ref(), ASAP_PORT).await?;
    let mut config = RegistrarConfig::default();
    config.registrar = enrp::Config::new(profile(&scope));
    config.registrar.observed_address = options.observed_addresses;
    if let Some(identifier) = options.identifier {
        config.registrar.identifier = RegistrarId(identifier.0);
    }
    (config.port, config.udp_port) = (port, udp_port);
    if scope.announces != Some(Switch::Off) {
        let mut announces = announces(&scope);
        announces.ttl = options.announce_ttl.unwrap_or(announces.ttl);
        config.announces = Some(announces);
    }
    config.csp = reports(&scope).await?;
    config.tcp = options.tcp.config()?;
    config.peering = peering(&scope, &options).await?;
    if let (Some(peering), Some(announces)) = (&mut config.peering, &config.announces) {
        let mut of_peers = AnnounceConfig::of_peers();
        (of_peers.interfaces, of_peers.ttl) = (announces.interfaces.clone(), announces.ttl);
        if !options.peer_groups.is_empty() {
            of_peers.groups =
                options.peer_groups.iter().map(|group| group.at(ENRP_PORT)).collect();
        }
        peering.announces = Some(of_peers);
    }
    set_limits(&options, &mut config)?;
    transport_config.association_count_max = config.association_count_max;
    // Control messages are small, and there may be many associations.
    transport_config.send_buffer_len = BUFFER_LEN;
    transport_config.receive_buffer_len = BUFFER_LEN;

    let transport = Transport::start(transport_config);
    let started = Registrar::start(&transport, config).await;
    let mut registrar = started.map_err(|error| transport_failure(&error))?;
    let identifier = registrar.identifier();
    let places_of = |port, udp_ports| places(&transport, port, udp_ports, registrar.by_kernel());
    let mut ready_at = places_of(registrar.port(), registrar.udp_ports()).into_iter();
    note!("registrar {identifier} ready at {}", ready_at.next().unwrap_or_default());
    for place in ready_at {
        note!("  also at {place}");
    }
    if let Some((port, udp_ports)) = registrar.enrp_port() {
        let place = places_of(port, udp_ports).into_iter().next();
        note!("registrar {identifier} meets peers at {}", place.unwrap_or_default());
    }
    if registrar.serves_tcp() {
        note!("registrar {identifier} serves pool users by TCP at port {}", registrar.port());
    }
    tokio::pin!(stopped);
    loop {
        tokio::select! {
            () = &mut stopped => break,
            event = registrar.next_event() => match event {
                Some(event) => log(event),
                None => return Err(Failure::failed("the transport has ended by itself")),
            },
        }
    }
    tracing::info!("stopping");
    registrar.stop(CLOSE_PATIENCE).await;
    transport.close(CLOSE_PATIENCE).await;
    Ok(())
}

/// How the registrar meets its peers, if it is to have any.
async fn peering(
    scope: &ScopeOptions,
    options: &RegistrarOptions,
) -> Result<Option<PeeringConfig>, Failure> {
    if options.peers.is_empty() && options.enrp_port.is_none() {
        return Ok(None);
    }
    let mut peering = PeeringConfig::default();
    if let Some(EnrpPort { port, udp_port }) = options.enrp_port {
        check_own_udp_port(scope.transport, "--enrp-port", udp_port)?;
        (peering.port, peering.udp_port) = (port, udp_port);
    }
    for peer in &options.peers {
        check_udp_port(scope.transport, "--peer", peer)?;
        let mut endpoint = Endpoint::new(peer.lookup(ENRP_PORT).await?);
        endpoint.udp_port = peer.udp_port;
        peering.peers.push(endpoint);
    }
    Ok(Some(peering))
}

/// Its timers, its limits, and how much it has room for.
fn set_limits(options: &RegistrarOptions, config: &mut RegistrarConfig) -> Result<(), Failure> {
    options.timers.iter().for_each(|timer| timer.set(&mut config.registrar));
    options.limits.iter().for_each(|limit| limit.set(&mut config.registrar));
    if let Some(suggestions) = options.takeover_suggestions {
        config.registrar.accept_takeover_suggestion = suggestions != Suggestions::Off;
        config.registrar.suggest_takeover = suggestions == Suggestions::Both;
    }
    let (elements, associations) = (options.max_elements, options.max_associations);
    config.element_count_max =
        count("--max-elements", elements, config.element_count_max, ELEMENTS_MAX)?;
    config.association_count_max =
        count("--max-associations", associations, config.association_count_max, ASSOCIATIONS_MAX)?;
    Ok(())
}

fn count(flag: &str, said: Option<u32>, default: usize, max: u32) -> Result<usize, Failure> {
    match said {
        Some(count) if !(1..=max).contains(&count) => {
            Err(Failure::usage(format!("{flag} {count}: a registrar has room for 1 to {max}"))
                .hint(format!("leave {flag} out for {default}")))
        }
        Some(count) => Ok(count as usize),
        None => Ok(default),
    }
}

fn log(event: enrp::Event) {
    match event {
        enrp::Event::Limited { .. } => {
            tracing::warn!(?event, "a limit was met");
        }
        event => tracing::info!(?event, "registrar"),
    }
}

/// 256 bytes each, taken at the start: 4 GiB.
const ELEMENTS_MAX: u32 = 16_000_000;

/// As many as there are ports of one address.
const ASSOCIATIONS_MAX: u32 = 65_536;

/// Bytes that an association may hold in each direction.
const BUFFER_LEN: usize = 64 << 10;
