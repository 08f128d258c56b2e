//! Which SCTP a command uses, and where it listens.

use clap::ValueEnum;
use rserpool::transport::{TransportChoice, TransportConfig};
use serde::Deserialize;

use crate::address::Address;
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
}

impl TransportArg {
    /// The word on the command line.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Kernel => "kernel",
            Self::Udp => "udp",
        }
    }

    fn choice(self) -> TransportChoice {
        match self {
            Self::Auto => TransportChoice::Auto,
            Self::Kernel => TransportChoice::Kernel,
            Self::Udp => TransportChoice::Udp,
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

/// A transport that listens at `listen`: its addresses, SCTP port and UDP port.
pub(crate) async fn listen_at(
    said: Option<TransportArg>,
    listen: Option<&Address>,
    port_default: u16,
) -> Result<(TransportConfig, u16, Option<u16>), Failure> {
    let Some(listen) = listen else {
        return Ok((by(said, TransportConfig::default()), port_default, None));
    };
    if said == Some(TransportArg::Kernel) && listen.udp_port.is_some_and(|port| port != 0) {
        return Err(Failure::usage(format!(
            "--listen {listen}: with --transport kernel nothing listens at a UDP port of ours"
        ))
        .hint("leave /UDPPORT out; the kernel's SCTP has that of sysctl net.sctp.udp_port"));
    }
    let address = listen.lookup(port_default).await?;
    let config = by(said, TransportConfig::at(address.ip()));
    Ok((config, address.port(), listen.udp_port))
}
