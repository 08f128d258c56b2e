//! The network interfaces of this machine.

use std::net::IpAddr;

use nix::ifaddrs::getifaddrs;
use nix::net::if_::{InterfaceFlags, if_nametoindex};

use tokio::time::{Instant, sleep_until};

use super::{Interfaces, REFRESH_INTERVAL};

/// An interface that is up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interface {
    /// Its number at the system.
    pub(super) index: u32,
    name: String,
    pub(super) addresses: Vec<IpAddr>,
}

/// Looks at the interfaces of this machine every few seconds.
#[derive(Debug)]
pub(crate) struct InterfaceWatch {
    wanted: Interfaces,
    last: Option<Vec<Interface>>,
    look_at: Instant,
}

impl InterfaceWatch {
    /// One for the interfaces that are meant by `wanted`.
    pub(crate) fn new(wanted: Interfaces) -> Self {
        Self { wanted, last: None, look_at: Instant::now() }
    }

    /// Waits until there is something new; the first time what there is. Cancelling it loses
    /// nothing.
    pub(crate) async fn changed(&mut self) -> Vec<Interface> {
        loop {
            sleep_until(self.look_at).await;
            self.look_at = Instant::now() + REFRESH_INTERVAL;
            let found = interfaces(&self.wanted);
            if self.last.as_ref() != Some(&found) {
                self.last = Some(found.clone());
                return found;
            }
        }
    }
}

/// The interfaces when they have changed; never without a watch. Cancelling it loses nothing.
pub(crate) async fn next_change(watch: &mut Option<InterfaceWatch>) -> Vec<Interface> {
    match watch {
        Some(watch) => watch.changed().await,
        None => std::future::pending().await,
    }
}

/// The interfaces that are meant by `wanted`, in the order of the system. None if the system does
/// not tell.
pub(super) fn interfaces(wanted: &Interfaces) -> Vec<Interface> {
    let mut found = all();
    found.retain(|interface| match wanted {
        Interfaces::All => true,
        // All of 127.0.0.0/8 is on loopback.
        Interfaces::At(address) if address.is_loopback() => {
            interface.addresses.iter().any(IpAddr::is_loopback)
        }
        Interfaces::At(address) => interface.addresses.contains(address),
        Interfaces::Named(name) => interface.name == *name,
    });
    found
}

fn all() -> Vec<Interface> {
    let entries = match getifaddrs() {
        Ok(entries) => entries,
        Err(error) => {
            tracing::warn!(%error, "cannot list the network interfaces");
            return Vec::new();
        }
    };
    let mut found: Vec<Interface> = Vec::new();
    for entry in entries.filter(|entry| entry.flags.contains(InterfaceFlags::IFF_UP)) {
        let address = entry.address.and_then(|address| {
            let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
        });
        let Some(address) = address else { continue };
        let name = entry.interface_name;
        match found.iter_mut().find(|interface| interface.name == name) {
            Some(interface) => interface.addresses.push(address),
            None => {
                // An interface without an index is gone by now.
                let Ok(index) = if_nametoindex(name.as_str()) else { continue };
                found.push(Interface { index, name, addresses: vec![address] });
            }
        }
    }
    found
}

/// The addresses of `interfaces` by which others may reach us, IPv4 first, loopback last. Those
/// that mean something on one link only are left out.
fn usable(interfaces: &[Interface]) -> Vec<IpAddr> {
    let is_usable = |address: &IpAddr| match address {
        IpAddr::V4(v4) => !v4.is_link_local(),
        IpAddr::V6(v6) => !v6.is_unicast_link_local(),
    };
    let addresses = interfaces.iter().flat_map(|interface| &interface.addresses);
    let mut usable: Vec<IpAddr> = addresses.copied().filter(is_usable).collect();
    usable.sort_by_key(|address| (address.is_loopback(), address.is_ipv6()));
    usable
}

/// All addresses by which this machine may be reached, from here or from elsewhere.
pub(crate) fn local_addresses() -> Vec<IpAddr> {
    usable(&all())
}

/// The addresses to announce of `interfaces`: those that others can use if there are any.
pub(super) fn announced(interfaces: &[Interface]) -> Vec<IpAddr> {
    let mut addresses = usable(interfaces);
    if addresses.iter().any(|address| !address.is_loopback()) {
        addresses.retain(|address| !address.is_loopback());
    }
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(index: u32, addresses: &[&str]) -> Interface {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        Interface { index, name: format!("if{index}"), addresses }
    }

    #[test]
    fn this_machine_has_a_loopback_interface() {
        let loopback = interfaces(&Interfaces::At("127.9.9.9".parse().unwrap()));
        assert_eq!(loopback.len(), 1, "{loopback:?}");
        assert!(loopback[0].addresses.contains(&"127.0.0.1".parse().unwrap()));
        assert_eq!(announced(&loopback)[0], "127.0.0.1".parse::<IpAddr>().unwrap());
        assert!(local_addresses().contains(&"127.0.0.1".parse().unwrap()));
        assert_eq!(interfaces(&Interfaces::Named("nonesuch7".into())), []);
        let outside = Interfaces::At("192.0.2.77".parse().unwrap());
        assert!(interfaces(&outside).is_empty(), "a documentation address is nobody's");
    }

    #[test]
    fn loopback_is_announced_only_where_there_is_nothing_else() {
        let lo = interface(1, &["127.0.0.1", "::1"]);
        let eth = interface(2, &["fe80::1", "fd00::2", "10.0.0.7", "169.254.0.1"]);
        let texts = |interfaces: &[Interface]| -> Vec<String> {
            announced(interfaces).iter().map(ToString::to_string).collect()
        };
        assert_eq!(texts(&[lo.clone(), eth]), ["10.0.0.7", "fd00::2"]);
        assert_eq!(texts(&[lo]), ["127.0.0.1", "::1"]);
    }
}
