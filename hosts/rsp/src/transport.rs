//! Which SCTP a command uses, and where it listens.

use std::net::IpAddr;

use clap::ValueEnum;
use rserpool::transport::{TransportChoice, TransportConfig};
use serde::Deserialize;

use crate::address::Address;
use crate::cli::ScopeOptions;
use crate::failure::Failure;

/// `--transport`.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum TransportArg {
    /// The kernel's SCTP, if it has one, and ours over UDP beside it.
    Auto,
    /// The kernel's SCTP alone.
    Kernel,
    /// Our SCTP over UDP alone.
    Udp,
    /// Our SCTP right over IP alone; it takes the capability CAP_NET_RAW.
    Raw,
}

impl TransportArg {
    /// The word on the command line.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Kernel => "kernel",
            Self::Udp => "udp",
            Self::Raw => "raw",
        }
    }

    fn choice(self) -> TransportChoice {
        match self {
            Self::Auto => TransportChoice::Auto,
            Self::Kernel => TransportChoice::Kernel,
            Self::Udp => TransportChoice::Udp,
            Self::Raw => TransportChoice::Raw,
        }
    }
}

/// `config` with the SCTP that is asked for.
pub(crate) fn by(said: Option<TransportArg>, mut config: TransportConfig) -> TransportConfig {
    if let Some(said) = said {
        config.choice = said.choice();
    }
    config
}

/// A transport with the SCTP that is asked for, and its parameters.
fn with_sctp(scope: &ScopeOptions) -> Result<TransportConfig, Failure> {
    let mut config = by(scope.transport, TransportConfig::default());
    config.parameters = scope.sctp.parameters()?;
    Ok(config)
}

/// The transport of a command that only connects.
pub(crate) fn to_connect(scope: &ScopeOptions) -> Result<TransportConfig, Failure> {
    with_locals(with_sctp(scope)?, None, &scope.locals)
}

/// A transport that listens at `listen`: its addresses, SCTP port and UDP port.
pub(crate) async fn listen_at(
    scope: &ScopeOptions,
    listen: Option<&Address>,
    port_default: u16,
) -> Result<(TransportConfig, u16, Option<u16>), Failure> {
    let config = with_sctp(scope)?;
    let Some(listen) = listen else {
        return Ok((with_locals(config, None, &scope.locals)?, port_default, None));
    };
    check_own_udp_port(scope.transport, "--listen", listen.udp_port)?;
    let address = listen.lookup(port_default).await?;
    let config = with_locals(config, Some(address.ip()), &scope.locals)?;
    Ok((config, address.port(), listen.udp_port))
}

/// Refuses a UDP port to listen at where nothing would.
pub(crate) fn check_own_udp_port(
    said: Option<TransportArg>,
    flag: &str,
    udp_port: Option<u16>,
) -> Result<(), Failure> {
    let hint = match said {
        Some(TransportArg::Kernel) => {
            "leave /UDPPORT out; the kernel's SCTP has that of sysctl net.sctp.udp_port"
        }
        Some(TransportArg::Raw) => "leave /UDPPORT out, or choose --transport udp",
        _ => return Ok(()),
    };
    match (said, udp_port) {
        (Some(said), Some(udp_port @ 1..)) => Err(Failure::usage(format!(
            "{flag} with /{udp_port}: with --transport {} nothing listens at a UDP port of ours",
            said.word()
        ))
        .hint(hint)),
        _ => Ok(()),
    }
}

/// Refuses a UDP port where nothing goes by UDP.
pub(crate) fn check_udp_port(
    said: Option<TransportArg>,
    flag: &str,
    address: &Address,
) -> Result<(), Failure> {
    match (said, address.udp_port) {
        (Some(TransportArg::Raw), Some(1..)) => Err(Failure::usage(format!(
            "{flag} {address}: with --transport raw nothing goes by UDP"
        ))
        .hint("leave /UDPPORT out, or choose --transport udp")),
        _ => Ok(()),
    }
}

/// `config` at the address `listen`, if there is one, and `locals`, if there are any.
fn with_locals(
    mut config: TransportConfig,
    listen: Option<IpAddr>,
    locals: &[IpAddr],
) -> Result<TransportConfig, Failure> {
    let mut addresses = Vec::from_iter(listen);
    for local in locals {
        if !addresses.contains(local) {
            addresses.push(*local);
        }
    }
    if addresses.len() > 1 && addresses.iter().any(IpAddr::is_unspecified) {
        return Err(Failure::usage("a wildcard stands for all addresses, and is alone")
            .hint("name the addresses, one by --listen and the others by --local, or none"));
    }
    if !addresses.is_empty() {
        config.addresses = addresses;
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_udp_port_at_which_nothing_would_listen_is_refused() {
        let is_fine = |said, udp_port| check_own_udp_port(said, "--enrp-port", udp_port).is_ok();
        for said in [Some(TransportArg::Kernel), Some(TransportArg::Raw)] {
            assert!(!is_fine(said, Some(9_899)));
            assert!(is_fine(said, Some(0)) && is_fine(said, None));
        }
        assert!(is_fine(Some(TransportArg::Udp), Some(9_899)) && is_fine(None, Some(9_899)));
    }

    #[test]
    fn addresses_of_all_flags_are_used_once() {
        let [one, other] = ["10.0.0.1", "10.1.0.1"].map(|text| text.parse::<IpAddr>().unwrap());
        let of = |listen, locals: &[IpAddr]| {
            with_locals(TransportConfig::default(), listen, locals).map(|config| config.addresses)
        };
        assert_eq!(of(Some(one), &[other, one]).unwrap(), [one, other]);
        assert_eq!(of(None, &[other]).unwrap(), [other]);
        assert_eq!(of(None, &[]).unwrap(), TransportConfig::default().addresses);
        assert!(of(Some("0.0.0.0".parse().unwrap()), &[other]).is_err());
    }
}
