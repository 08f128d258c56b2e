//! What the commands share: registrars, profile, transport, signals.

use std::fmt;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use rserpool::csp::{CSP_PORT, CspConfig};
use rserpool::transport::{Transport, TransportError};
use rserpool::{AnnounceConfig, Interfaces, ResolveError, StartError};
use rserpool_core::association::Endpoint;
use rserpool_core::identifier::{PoolHandle, PoolHandleBuf};
use rserpool_core::profile::Profile;
use rserpool_core::sctp::lanes::usual_udp_ports;
use tokio::io::AsyncReadExt;
use tokio::signal::unix::{SignalKind, signal};

use crate::address::{ASAP_PORT, Address};
use crate::cli::{ProfileChoice, ScopeOptions, Switch};
use crate::failure::{Failure, Status};
use crate::transport::check_udp_port;
use crate::values::Span;

/// The pool that computes unless another is named.
pub(crate) const POOL_DEFAULT: &str = "ComputePool";

/// How registrars are found.
#[derive(Clone, Debug)]
pub(crate) struct Registrars {
    /// Those that are configured, or the one of this machine.
    pub(crate) configured: Vec<Endpoint>,
    /// Where others announce themselves, if anybody listens.
    pub(crate) announces: Option<AnnounceConfig>,
}

impl fmt::Display for Registrars {
    /// As the user knows them: `10.0.0.1:3863, 10.0.0.2:3863 or any announced address`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.configured.iter().map(Endpoint::to_string).collect();
        f.write_str(&names.join(", "))?;
        match (names.is_empty(), &self.announces) {
            (_, None) => Ok(()),
            (true, Some(_)) => f.write_str("any announced address"),
            (false, Some(_)) => f.write_str(" or any announced address"),
        }
    }
}

/// How the command finds its registrars.
pub(crate) async fn registrars(options: &ScopeOptions) -> Result<Registrars, Failure> {
    let local = [Address { host: "127.0.0.1".into(), port: None, udp_port: None }];
    let addresses: &[Address] = match (options.registrars.as_slice(), options.announces) {
        ([], Some(Switch::On)) => &[],
        ([], _) => &local,
        (some, _) => some,
    };
    let mut configured = Vec::with_capacity(addresses.len());
    for address in addresses {
        check_udp_port(options.transport, "--registrar", address)?;
        let mut endpoint = Endpoint::new(address.lookup(ASAP_PORT).await?);
        endpoint.udp_port = address.udp_port;
        configured.push(endpoint);
    }
    let listens = match options.announces {
        Some(said) => said == Switch::On,
        None => options.registrars.is_empty(),
    };
    Ok(Registrars { configured, announces: listens.then(|| announces(options)) })
}

/// Where registrars announce themselves.
pub(crate) fn announces(options: &ScopeOptions) -> AnnounceConfig {
    let mut config = AnnounceConfig::of(profile(options));
    if !options.announce_groups.is_empty() {
        config.groups = options.announce_groups.iter().map(|group| group.at(ASAP_PORT)).collect();
    }
    if let Some(interface) = &options.announce_interface {
        config.interfaces = match interface.parse() {
            Ok(address) => Interfaces::At(address),
            Err(_) => Interfaces::Named(interface.clone()),
        };
    }
    config
}

/// Where we tell how we are, if that is wished: by flag, file or environment, as RSPLIB's
/// programs know it.
pub(crate) async fn reports(options: &ScopeOptions) -> Result<Option<CspConfig>, Failure> {
    let server = match &options.csp_server {
        Some(server) => Some(server.clone()),
        None => from_environment(CSP_SERVER, str::parse)?,
    };
    let Some(server) = server else { return Ok(None) };
    let millis = |text: &str| match text.parse() {
        Ok(millis) => Ok(Duration::from_millis(millis)),
        Err(_) => text.parse::<Span>().map(|span| span.0),
    };
    let mut config = CspConfig::new(server.lookup(CSP_PORT).await?);
    config.interval = match options.csp_interval {
        Some(interval) => interval.0,
        None => from_environment(CSP_INTERVAL, millis)?.unwrap_or(config.interval),
    };
    if config.interval < CspConfig::INTERVAL_MIN {
        let (said, min) = (config.interval.as_millis(), CspConfig::INTERVAL_MIN.as_millis());
        return Err(Failure::usage(format!("--csp-interval {said}ms is shorter than {min}ms"))
            .hint("leave it out for a report each second"));
    }
    Ok(Some(config))
}

/// What an environment variable says, if it is set.
fn from_environment<T>(
    name: &str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<Option<T>, Failure> {
    let Ok(text) = std::env::var(name) else { return Ok(None) };
    let wrong = |why| Failure::usage(format!("the environment's {name} is wrong: {why}"));
    parse(&text).map(Some).map_err(wrong)
}

/// The profile that is configured.
pub(crate) fn profile(options: &ScopeOptions) -> Profile {
    match options.profile {
        Some(ProfileChoice::Rfc) => Profile::Rfc,
        Some(ProfileChoice::Rsplib) | None => Profile::Rsplib,
    }
}

/// The name of a pool as a pool handle.
pub(crate) fn pool_handle(name: &str) -> Result<PoolHandleBuf, Failure> {
    let handle = PoolHandle::new(name.as_bytes());
    handle
        .map(PoolHandle::to_buf)
        .map_err(|error| Failure::usage(format!("\"{name}\" cannot name a pool: {error}")))
}

/// Where a port can be reached, to be copied: the best address first, at least one.
///
/// It is `address:port` where those who connect find the way by themselves: by the kernel's SCTP
/// if both have it, or at the usual UDP ports. Otherwise it is `address:port/udp`, which means our
/// SCTP over UDP alone, and if the kernel's serves, too, `address:port` behind that.
pub(crate) fn places(
    transport: &Transport,
    port: u16,
    udp_ports: &[u16],
    by_kernel: bool,
) -> Vec<String> {
    let mut addresses = transport.local_addresses();
    if addresses.is_empty() {
        // The system does not tell which addresses it has.
        addresses.push(Ipv4Addr::LOCALHOST.into());
    }
    let pins = pins(port, udp_ports, by_kernel);
    let place = |address: IpAddr| {
        pins.iter().map(move |&udp_port| Address {
            host: address.to_string(),
            port: Some(port),
            udp_port,
        })
    };
    addresses.into_iter().flat_map(place).map(|address| address.to_string()).collect()
}

/// The UDP ports to name with a port.
fn pins(port: u16, udp_ports: &[u16], by_kernel: bool) -> Vec<Option<u16>> {
    let usual = usual_udp_ports(port);
    match udp_ports.first() {
        Some(&first) if !udp_ports.iter().any(|udp_port| usual.contains(udp_port)) => {
            let bare = by_kernel.then_some(None);
            [Some(first)].into_iter().chain(bare).collect()
        }
        _ => vec![None],
    }
}

/// How a transport's error reads on the command line.
pub(crate) fn transport_failure(error: &TransportError) -> Failure {
    let status = match error {
        TransportError::AddressInUse { .. }
        | TransportError::KernelPortInUse { .. }
        | TransportError::RawPortInUse { .. }
        | TransportError::PortOpen { .. } => Status::AddressInUse,
        TransportError::NoSuchAddress { .. } | TransportError::TooManyAddresses { .. } => {
            Status::Usage
        }
        _ => Status::Failed,
    };
    let failure = Failure::new(status, error);
    match error {
        TransportError::AddressInUse { .. } => failure
            .hint("`ss -lunp` tells which program has it; --listen HOST:0 takes a free port"),
        TransportError::KernelPortInUse { .. } => failure.hint(
            "`ss -lSp` tells which program has it; --listen HOST:0 takes a free port, and \
             --transport udp does without the kernel's SCTP",
        ),
        TransportError::NoRawSockets { .. } => {
            failure.hint("--transport udp needs no such right; peers must have SCTP over UDP then")
        }
        TransportError::KernelSctpLoaded => failure.hint("--transport kernel uses it"),
        TransportError::NoKernelSctp { .. } => failure.hint(
            "`modprobe sctp` loads it where there is such a module; --transport udp does without",
        ),
        _ => failure,
    }
}

/// How the error of a handle's start reads on the command line.
pub(crate) fn start_failure(error: &StartError) -> Failure {
    match error {
        StartError::Transport(error) => transport_failure(error),
        StartError::Registrars(_) | StartError::Register(_) => Failure::usage(error),
        StartError::NoAddress => {
            Failure::usage(error).hint("use --address IP, once for each address")
        }
        _ => Failure::failed(error),
    }
}

/// No registrar answers.
pub(crate) fn no_registrar(registrars: &Registrars) -> Failure {
    Failure::new(Status::NoRegistrar, format!("no registrar answers at {registrars}"))
        .hint("start one with `rsp registrar`, or name one with --registrar HOST[:PORT][/UDPPORT]")
}

/// How the error of a resolution reads on the command line.
pub(crate) fn resolve_failure(error: ResolveError, registrars: &Registrars) -> Failure {
    match error {
        ResolveError::NoRegistrar => no_registrar(registrars),
        ResolveError::UnknownPool(pool) => Failure::new(
            Status::UnknownPool,
            format!("the registrar at {registrars} knows no pool \"{pool}\""),
        )
        .hint(format!("start an element with `rsp serve --pool {pool}`, or check the name")),
        other => Failure::failed(other),
    }
}

/// Waits for SIGINT, SIGTERM, or (if asked to) the end of standard input.
pub(crate) fn stop_signal(with_stdin: bool) -> Result<impl Future<Output = ()>, Failure> {
    let refused = |error| Failure::failed(format!("cannot wait for signals: {error}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(refused)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(refused)?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            () = end_of_stdin(), if with_stdin => {}
        }
    })
}

async fn end_of_stdin() {
    let mut stdin = tokio::io::stdin();
    let mut scratch = [0; 64];
    while stdin.read(&mut scratch).await.is_ok_and(|len| len > 0) {}
}

/// The environment's monitor and interval, as RSPLIB names them.
const CSP_SERVER: &str = "CSP_SERVER";
const CSP_INTERVAL: &str = "CSP_INTERVAL";

/// How long associations may take to shut down at the end of a command.
pub(crate) const CLOSE_PATIENCE: Duration = Duration::from_millis(1_500);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_udp_port_is_named_where_nobody_would_look_for_it() {
        assert_eq!(pins(3_863, &[9_899, 13_863], false), [None]);
        assert_eq!(pins(3_863, &[13_863], false), [None]);
        assert_eq!(pins(9_901, &[13_863, 19_901], true), [None]);
        assert_eq!(pins(40_123, &[40_123], false), [None]);
        assert_eq!(pins(40_123, &[40_124], false), [Some(40_124)]);
        assert_eq!(pins(3_863, &[4_000], true), [Some(4_000), None]);
        assert_eq!(pins(3_863, &[], true), [None], "the kernel's SCTP alone");
    }
}
