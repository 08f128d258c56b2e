//! Several addresses.

use super::{IpAddr, Net, OwnedInput, SocketAddr, Transport, association_of, connect, next};

pub(super) async fn all_told(net: Net) {
    let [one, other] = homes(net);
    let mut config = net.config();
    config.addresses = vec![one, other];
    let server = Transport::start(config.clone()).open(0, Some(0), true).await.unwrap();
    let port = Transport::start(config).open(0, None, false).await.unwrap();
    let ours = match connect(&port, net.endpoint(&server)).await {
        OwnedInput::Up { peer_addresses, .. } => peer_addresses,
        other => panic!("{other:?}"),
    };
    let theirs = match next(&server).await {
        OwnedInput::Up { peer_addresses, .. } => peer_addresses,
        other => panic!("{other:?}"),
    };
    for mut told in [ours, theirs] {
        assert_eq!(told.len(), 2, "{told:?}");
        told.sort_unstable();
        assert_eq!(told, [one, other]);
    }
}

#[tokio::test]
async fn more_addresses_than_can_be_told_are_refused() {
    let net = Net::of(super::TransportChoice::Udp).unwrap();
    let mut config = net.config();
    config.addresses = (1..=5).map(|last| IpAddr::from([127, 0, 0, last])).collect();
    match Transport::start(config).open(0, Some(0), true).await {
        Err(super::TransportError::TooManyAddresses { count: 5, max: 4 }) => {}
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn who_is_reached_at_the_second_address_answers_from_it() {
    let net = Net::of(super::TransportChoice::Udp).unwrap();
    let [_, other] = homes(net);
    let mut config = net.config();
    config.addresses = vec!["0.0.0.0".parse().unwrap()];
    let server = Transport::start(config).open(0, Some(0), true).await.unwrap();
    let port = net.start().open(0, None, false).await.unwrap();
    let mut to = net.endpoint(&server);
    to.addresses.clear();
    to.addresses.push(SocketAddr::new(other, 0).ip()).unwrap();
    association_of(connect(&port, to).await);
}

/// Two addresses of the loopback interface, of each family.
fn homes(net: Net) -> [IpAddr; 2] {
    match net.address {
        IpAddr::V4(_) => [IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2])],
        // The namespace has it: see `raw_only`.
        IpAddr::V6(_) => [net.address, super::raw_only::SECOND_IPV6],
    }
}
