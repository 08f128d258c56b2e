//! Flags of a registrar that serves pool users by TCP, too.

use clap::Args;
use rserpool::transport::TcpConfig;
use serde::Deserialize;

use crate::cli::Switch;
use crate::failure::Failure;
use crate::values::Span;

/// How pool users are served by TCP; section `[registrar.tcp]` of the configuration file.
#[derive(Args, Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct TcpOptions {
    /// Whether pool users may come by TCP, too, at the port of the same number. [default: on, but
    /// with a warning off where the port is taken]
    #[arg(long, value_enum, value_name = "on|off", help_heading = "TCP")]
    pub(crate) tcp: Option<Switch>,
    /// The most TCP connections at a time. [default: 256]
    #[arg(long, value_name = "COUNT", help_heading = "TCP")]
    pub(crate) tcp_connections: Option<u32>,
    /// The most TCP connections of one address (with IPv6: one /64). [default: 64]
    #[arg(long, value_name = "COUNT", help_heading = "TCP")]
    pub(crate) tcp_connections_per_address: Option<u32>,
    /// How long a message, and the first one, may take to come. [default: 10s]
    #[arg(long, value_name = "SPAN", help_heading = "TCP")]
    pub(crate) tcp_message_timeout: Option<Span>,
    /// How long a TCP connection may be silent. [default: 5m]
    #[arg(long, value_name = "SPAN", help_heading = "TCP")]
    pub(crate) tcp_idle_timeout: Option<Span>,
}

impl TcpOptions {
    /// Fills what is not said here with what `file` says.
    pub(crate) fn or(self, file: Self) -> Self {
        Self {
            tcp: self.tcp.or(file.tcp),
            tcp_connections: self.tcp_connections.or(file.tcp_connections),
            tcp_connections_per_address: self
                .tcp_connections_per_address
                .or(file.tcp_connections_per_address),
            tcp_message_timeout: self.tcp_message_timeout.or(file.tcp_message_timeout),
            tcp_idle_timeout: self.tcp_idle_timeout.or(file.tcp_idle_timeout),
        }
    }

    /// What the flags stand for; `None` if nobody is to be served by TCP.
    pub(crate) fn config(&self) -> Result<Option<TcpConfig>, Failure> {
        if self.tcp == Some(Switch::Off) {
            return Ok(None);
        }
        let mut config = TcpConfig::default();
        config.is_required = self.tcp == Some(Switch::On);
        let count = |flag: &str, said: Option<u32>, default: usize| match said {
            Some(0) => Err(Failure::usage(format!("{flag} 0: then nobody could come"))
                .hint("say --tcp off for that")),
            said => Ok(said.map_or(default, |count| count as usize)),
        };
        config.connection_count_max =
            count("--tcp-connections", self.tcp_connections, config.connection_count_max)?;
        config.connections_per_address_max = count(
            "--tcp-connections-per-address",
            self.tcp_connections_per_address,
            config.connections_per_address_max,
        )?;
        if let Some(Span(span)) = self.tcp_message_timeout {
            config.message_timeout = span;
        }
        if let Some(Span(span)) = self.tcp_idle_timeout {
            config.idle_timeout = span;
        }
        Ok(Some(config))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tcp_is_on_but_not_required_unless_somebody_says_so() {
        let said = |tcp| TcpOptions { tcp, ..TcpOptions::default() }.config().unwrap();
        assert!(!said(None).unwrap().is_required);
        assert!(said(Some(Switch::On)).unwrap().is_required);
        assert!(said(Some(Switch::Off)).is_none());
    }

    #[test]
    fn no_connection_at_all_is_no_limit() {
        let said = TcpOptions { tcp_connections: Some(0), ..TcpOptions::default() };
        assert!(said.config().is_err());
    }
}
