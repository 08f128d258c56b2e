//! A handlespace as text and as JSON.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use rserpool::{DumpedElement, DumpedTransport, HandlespaceDump};
use rserpool_core::association::Endpoint;
use rserpool_core::profile::Profile;
use rserpool_core::wire::RegistrationLife;
use serde_json::{Value, json};

use crate::policy::written;

/// A list of registrars, pools and elements.
pub(super) fn list(dump: &HandlespaceDump, endpoint: &Endpoint, profile: Profile) -> String {
    let pools = pools(dump);
    let mut text = format!(
        "registrar {} at {endpoint}: {}, {}\n",
        dump.registrar,
        counted(pools.len(), "pool"),
        counted(dump.elements.len(), "element")
    );
    text += "\nPEERS\n";
    match dump.peers.as_deref() {
        None => text += "  not told\n",
        Some([]) => text += "  none\n",
        Some(peers) => {
            for peer in peers {
                text += &format!("  {}  {}\n", peer.identifier, place(&peer.transport));
            }
        }
    }
    for (pool, elements) in &pools {
        let policy = elements.first().map_or("", |element| policy_name(element));
        let count = counted(elements.len(), "element");
        text += &format!("\nPOOL \"{pool}\"  {policy}, {count}\n");
        for element in elements {
            text += &element_lines(element, profile);
        }
    }
    text += "\nHOMES\n";
    let sums = dump.checksums();
    if sums.is_empty() {
        text += "  none\n";
    }
    for (home, (sum, count)) in &sums {
        let verdict = match verdict(dump, *sum).filter(|_| *home == dump.registrar) {
            Some(true) => ", as it announces".to_owned(),
            Some(false) => {
                let announced = dump.announced_checksum.unwrap_or_default();
                format!(", but it announces {announced:#06x}")
            }
            None => String::new(),
        };
        text +=
            &format!("  {home}  {}, checksum {sum:#06x}{verdict}\n", counted(*count, "element"));
    }
    text
}

fn element_lines(element: &DumpedElement, profile: Profile) -> String {
    let mut text = format!(
        "  {}  home {}  life {}  {}\n",
        element.identifier,
        element.home,
        life(element.registration_life, profile),
        written(&element.policy)
    );
    text += &format!("    users       {}\n", place(&element.user_transport));
    if let Some(transport) = &element.asap_transport {
        text += &format!("    registrars  {}\n", place(transport));
    }
    text
}

/// The same as JSON.
pub(super) fn json(dump: &HandlespaceDump, endpoint: &Endpoint, profile: Profile) -> Value {
    let pools: Vec<_> = pools(dump)
        .into_iter()
        .map(|(pool, elements)| {
            json!({
                "pool": pool,
                "policy": elements.first().map(|element| policy_name(element)),
                "elements": elements.iter().map(|it| element(it, profile)).collect::<Vec<_>>(),
            })
        })
        .collect();
    let peers = dump.peers.as_ref().map(|peers| {
        let peer = |peer: &rserpool::DumpedPeer| {
            json!({
                "identifier": peer.identifier.to_string(),
                "transport": transport(&peer.transport),
            })
        };
        peers.iter().map(peer).collect::<Vec<_>>()
    });
    let homes: Vec<_> = dump
        .checksums()
        .into_iter()
        .map(|(home, (sum, count))| {
            json!({
                "identifier": home.to_string(),
                "elements": count,
                "checksum": format!("{sum:#06x}"),
            })
        })
        .collect();
    json!({
        "registrar": dump.registrar.to_string(),
        "address": endpoint.to_string(),
        "announced_checksum": dump.announced_checksum.map(|sum| format!("{sum:#06x}")),
        "peers": peers,
        "pools": pools,
        "homes": homes,
    })
}

fn element(element: &DumpedElement, profile: Profile) -> Value {
    json!({
        "identifier": element.identifier.to_string(),
        "home": element.home.to_string(),
        "registration_life_seconds": seconds(element.registration_life, profile),
        "policy": written(&element.policy),
        "user_transport": transport(&element.user_transport),
        "asap_transport": element.asap_transport.as_ref().map(transport),
    })
}

fn transport(transport: &DumpedTransport) -> Value {
    json!({
        "protocol": protocol(transport),
        "port": transport.port,
        "addresses": transport.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

/// The elements by the names of their pools.
fn pools(dump: &HandlespaceDump) -> BTreeMap<String, Vec<&DumpedElement>> {
    let mut pools: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for element in &dump.elements {
        pools.entry(element.pool.to_string()).or_default().push(element);
    }
    pools
}

fn policy_name(element: &DumpedElement) -> &'static str {
    element.policy.policy_type().name().unwrap_or("unknown policy")
}

/// A transport: `SCTP 10.0.0.7:4000, 192.168.0.7:4000`.
fn place(transport: &DumpedTransport) -> String {
    let address = |address| SocketAddr::new(address, transport.port).to_string();
    let places: Vec<_> = transport.addresses.iter().copied().map(address).collect();
    format!("{} {}", protocol(transport).to_uppercase(), places.join(", "))
}

fn protocol(transport: &DumpedTransport) -> String {
    format!("{:?}", transport.protocol).to_lowercase()
}

fn life(life: RegistrationLife, profile: Profile) -> String {
    seconds(life, profile).map_or_else(|| "for ever".to_owned(), |seconds| format!("{seconds} s"))
}

/// How long a registration lasts: RSPLIB tells milliseconds, the RFC seconds.
fn seconds(life: RegistrationLife, profile: Profile) -> Option<f64> {
    let per_second = match profile {
        Profile::Rsplib => 1_000.0,
        Profile::Rfc => 1.0,
    };
    (life != RegistrationLife::INFINITE).then_some(f64::from(life.0) / per_second)
}

/// Whether the registrar announces what its elements add up to.
fn verdict(dump: &HandlespaceDump, sum: u16) -> Option<bool> {
    dump.announced_checksum.map(|announced| announced == sum)
}

fn counted(count: usize, word: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {word}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint() -> Endpoint {
        Endpoint::new("10.0.0.1:9901".parse().unwrap())
    }

    #[test]
    fn an_empty_handlespace_is_told_as_such() {
        let mut dump = HandlespaceDump::default();
        dump.peers = Some(Vec::new());
        let text = list(&dump, &endpoint(), Profile::Rsplib);
        let expected = "registrar 0x00000000 at 10.0.0.1:9901: 0 pools, 0 elements\n\n\
                        PEERS\n  none\n\nHOMES\n  none\n";
        assert_eq!(text, expected);
        dump.peers = None;
        assert!(list(&dump, &endpoint(), Profile::Rsplib).contains("PEERS\n  not told\n"));
        assert_eq!(json(&dump, &endpoint(), Profile::Rsplib)["peers"], Value::Null);
    }

    #[test]
    fn a_life_is_in_the_units_of_the_profile() {
        assert_eq!(life(RegistrationLife(90_000), Profile::Rsplib), "90 s");
        assert_eq!(life(RegistrationLife(300), Profile::Rfc), "300 s");
        assert_eq!(life(RegistrationLife::INFINITE, Profile::Rfc), "for ever");
    }
}
