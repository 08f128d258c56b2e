//! Whose an SCTP port is on this machine, where packets go right over IP.
//!
//! A raw socket gets the packets of all processes of the machine, and the kernel knows no SCTP
//! ports. So whoever uses one claims it by an abstract UNIX address that names address and port;
//! it belongs to the network namespace, and goes with the process. Packets for a port that another
//! process has claimed are that one's alone: whoever else sees them says nothing. What is
//! for a port that nobody has, everybody may answer.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::IpAddr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use rserpool_core::entropy::Entropy;
use rserpool_core::time::Instant;

use super::error::TransportError;
use crate::announces::local_addresses;
use crate::clock::OsEntropy;

/// The SCTP ports that a transport has, and what it knows of others.
#[derive(Debug)]
pub(crate) struct Claims {
    addresses: Vec<IpAddr>,
    held: BTreeMap<u16, Vec<UnixDatagram>>,
    /// Ports of other processes, and until when that is believed.
    others: HashMap<(IpAddr, u16), Instant>,
}

impl Claims {
    /// None yet, at `addresses`.
    pub(crate) fn of(addresses: Vec<IpAddr>) -> Self {
        Self { addresses, held: BTreeMap::new(), others: HashMap::new() }
    }

    /// Claims `port` (0: any) at all addresses; which.
    pub(crate) fn claim(&mut self, port: u16) -> Result<u16, TransportError> {
        let refused = |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => TransportError::RawPortInUse { port },
            _ => TransportError::Claim { port, source },
        };
        let mut tries_left = TRY_COUNT_MAX;
        loop {
            let number = if port == 0 { any_port() } else { port };
            match self.try_claim(number) {
                Err(error) if port != 0 || tries_left == 0 => return Err(refused(error)),
                Err(_) => tries_left -= 1,
                Ok(held) => {
                    self.held.insert(number, held);
                    return Ok(number);
                }
            }
        }
    }

    /// Gives a port up.
    pub(crate) fn give_up(&mut self, port: u16) {
        self.held.remove(&port);
    }

    /// Whether another process has `port` at our address `local`.
    pub(crate) fn is_others(&mut self, now: Instant, local: IpAddr, port: u16) -> bool {
        if self.held.contains_key(&port) {
            return false;
        }
        if self.others.get(&(local, port)).is_some_and(|&until| now < until) {
            return true;
        }
        let is_others = is_claimed(local, port) || is_claimed(any_of(local), port);
        if is_others {
            if self.others.len() >= OTHER_COUNT_MAX {
                self.others.clear();
            }
            self.others.insert((local, port), now + BELIEF);
        }
        is_others
    }

    fn try_claim(&self, port: u16) -> io::Result<Vec<UnixDatagram>> {
        let mut held = Vec::new();
        for &address in &self.addresses {
            let is_met = match address.is_unspecified() {
                true => local_addresses()
                    .into_iter()
                    .any(|other| other.is_ipv4() == address.is_ipv4() && is_claimed(other, port)),
                false => is_claimed(any_of(address), port),
            };
            if is_met {
                return Err(io::ErrorKind::AddrInUse.into());
            }
            held.push(UnixDatagram::bind_addr(&name_of(address, port)?)?);
        }
        Ok(held)
    }
}

/// Whether some process claims `port` at `address`.
fn is_claimed(address: IpAddr, port: u16) -> bool {
    let asked = || UnixDatagram::unbound()?.connect_addr(&name_of(address, port)?);
    asked().is_ok()
}

/// The name of a claim.
fn name_of(address: IpAddr, port: u16) -> io::Result<SocketAddr> {
    SocketAddr::from_abstract_name(format!("sctp/{address}/{port}"))
}

/// The wildcard of an address's family.
fn any_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    }
}

/// One of the dynamic ports (RFC 6335 §6).
fn any_port() -> u16 {
    0xc000 | (OsEntropy.next_u64() as u16)
}

/// Random ports that are tried.
const TRY_COUNT_MAX: usize = 64;

/// How long a port is believed to be another process's.
const BELIEF: Duration = Duration::from_secs(1);

/// How many ports of others are remembered.
const OTHER_COUNT_MAX: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    // Claims belong to the network namespace, so each test has addresses of its own.
    const OURS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 77, 0, 1));
    const THEIRS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 77, 0, 2));

    #[test]
    fn a_port_has_one_owner_at_an_address() {
        let (mut first, mut second) = (Claims::of(vec![OURS]), Claims::of(vec![OURS]));
        assert_eq!(first.claim(3_863).unwrap(), 3_863);
        assert!(!first.is_others(Instant::ZERO, OURS, 3_863));
        match second.claim(3_863) {
            Err(TransportError::RawPortInUse { port: 3_863 }) => {}
            other => panic!("{other:?}"),
        }
        assert!(second.is_others(Instant::ZERO, OURS, 3_863));
        assert!(!second.is_others(Instant::ZERO, THEIRS, 3_863));
        first.give_up(3_863);
        let later = Instant::ZERO + BELIEF;
        assert!(second.is_others(Instant::ZERO, OURS, 3_863), "it is still believed");
        assert!(!second.is_others(later, OURS, 3_863));
        assert_eq!(second.claim(3_863).unwrap(), 3_863);
    }

    #[test]
    fn who_takes_any_port_gets_one_of_its_own() {
        let (mut first, mut second) = (Claims::of(vec![THEIRS]), Claims::of(vec![THEIRS]));
        let (one, other) = (first.claim(0).unwrap(), second.claim(0).unwrap());
        assert_ne!(one, other);
        assert!(second.is_others(Instant::ZERO, THEIRS, one));
    }
}
