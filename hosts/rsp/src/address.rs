//! Addresses as they are written on the command line: `HOST[:PORT][/UDPPORT]`.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};

use crate::failure::Failure;

/// The port of ASAP (RFC 5354 §8.2), which a registrar's `HOST` alone stands for.
pub(crate) const ASAP_PORT: u16 = 3863;

/// A host, its SCTP port unless it is the usual one, and (if it shall not be found out) its UDP
/// port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
    pub(crate) udp_port: Option<u16>,
}

impl Address {
    /// The first socket address of the host; `port_default` is used if no port is written.
    pub(crate) async fn lookup(&self, port_default: u16) -> Result<SocketAddr, Failure> {
        let port = self.port.unwrap_or(port_default);
        let found = tokio::net::lookup_host((self.host.as_str(), port)).await;
        let unknown = |why: String| {
            Failure::usage(format!("cannot find the host \"{}\": {why}", self.host))
                .hint("use an IP address, or a name that this machine can resolve")
        };
        match found {
            Ok(mut addresses) => {
                addresses.next().ok_or_else(|| unknown("it has no address".into()))
            }
            Err(error) => Err(unknown(error.to_string())),
        }
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str, what: &str| {
            text.parse::<u16>().map_err(|_| format!("\"{text}\" is no {what} (0 to 65535)"))
        };
        let (place, udp_port) = match text.rsplit_once('/') {
            Some((place, udp_port)) => (place, Some(number(udp_port, "UDP port")?)),
            None => (text, None),
        };
        let (host, port) = match place.rsplit_once(':') {
            // A bare IPv6 address has colons, too; one with a port stands in brackets.
            Some((host, _)) if host.contains(':') && !host.starts_with('[') => (place, None),
            Some((_, port)) if port.ends_with(']') => (place, None),
            Some((host, port)) => (host, Some(number(port, "port")?)),
            None => (place, None),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err("the host is missing: write HOST[:PORT][/UDPPORT]".into());
        }
        Ok(Self { host: host.into(), port, udp_port })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]", self.host)?,
            false => f.write_str(&self.host)?,
        }
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        match self.udp_port {
            Some(udp_port) => write!(f, "/{udp_port}"),
            None => Ok(()),
        }
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A UDP socket, as `HOST[:PORT]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UdpPlace(Address);

impl UdpPlace {
    /// The first socket address of the host; `port_default` is used if no port is written.
    pub(crate) async fn lookup(&self, port_default: u16) -> Result<SocketAddr, Failure> {
        self.0.lookup(port_default).await
    }
}

impl FromStr for UdpPlace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse()? {
            Address { udp_port: Some(_), .. } => {
                Err("the port is a UDP port: write HOST[:PORT]".into())
            }
            address => Ok(Self(address)),
        }
    }
}

impl<'de> Deserialize<'de> for UdpPlace {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The ENRP port of a registrar, as `PORT[/UDPPORT]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EnrpPort {
    pub(crate) port: u16,
    pub(crate) udp_port: Option<u16>,
}

impl FromStr for EnrpPort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Address { port, udp_port, .. } = format!("host:{text}").parse()?;
        let port = port.ok_or("the port is missing: write PORT[/UDPPORT]")?;
        Ok(Self { port, udp_port })
    }
}

impl<'de> Deserialize<'de> for EnrpPort {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(host: &str, port: impl Into<Option<u16>>, udp_port: Option<u16>) -> Address {
        Address { host: host.into(), port: port.into(), udp_port }
    }

    #[test]
    fn what_is_not_written_is_left_open() {
        assert_eq!("node7".parse(), Ok(address("node7", None, None)));
        assert_eq!("10.0.0.7:4000".parse(), Ok(address("10.0.0.7", 4000, None)));
        assert_eq!("10.0.0.7:4000/9".parse(), Ok(address("10.0.0.7", 4000, Some(9))));
        assert_eq!("10.0.0.7/9899".parse(), Ok(address("10.0.0.7", None, Some(9899))));
    }

    #[test]
    fn an_ipv6_address_with_a_port_stands_in_brackets() {
        assert_eq!("::1".parse(), Ok(address("::1", None, None)));
        assert_eq!("[::1]:77/8".parse(), Ok(address("::1", 77, Some(8))));
        assert_eq!("[fe80::7]".parse(), Ok(address("fe80::7", None, None)));
    }

    #[test]
    fn what_is_written_is_read_back() {
        for text in ["10.0.0.7:4000/9", "[::1]:77", "[::1]", "node7:1/2", "node7/2"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn an_enrp_port_has_no_host() {
        assert_eq!("9901".parse(), Ok(EnrpPort { port: 9901, udp_port: None }));
        assert_eq!("0/7".parse(), Ok(EnrpPort { port: 0, udp_port: Some(7) }));
        for text in ["", "x", "70000", "1.2.3.4:9901", "9901/x"] {
            assert!(text.parse::<EnrpPort>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_udp_socket_has_one_port() {
        assert_eq!("10.0.0.7:2960".parse(), Ok(UdpPlace(address("10.0.0.7", 2960, None))));
        assert!("10.0.0.7:2960/1".parse::<UdpPlace>().is_err());
    }

    #[test]
    fn nonsense_is_refused_with_a_reason() {
        for text in ["", ":3863", "node7:x", "node7:70000", "node7:1/x"] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
