//! What only SCTP right over IP needs: a network of its own, and the right to it.

use std::future::Future;
use std::process::Command;
use std::thread;

use nix::sched::{CloneFlags, unshare};
use tokio::runtime::Builder;

use super::{
    IpAddr, Ipv4Addr, Ipv6Addr, Net, SocketAddr, Transport, TransportChoice, TransportConfig,
    TransportError,
};
use crate::transport::socket::{LaneSocket, Why};

/// An address of the loopback interface of each such network.
pub(super) const SECOND_IPV6: IpAddr =
    IpAddr::V6(std::net::Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 2));

/// Runs a test in a network namespace, which ends with it.
pub(super) fn in_own_network<F>(net: Net, test: fn(Net) -> F)
where
    F: Future<Output = ()> + 'static,
{
    let run = move || {
        if let Err(reason) = enter_network() {
            let is_required = std::env::var_os("RAW_SCTP_REQUIRED").is_some();
            assert!(!is_required, "{reason}");
            println!("skipped: no network namespace can be made here ({reason})");
            return;
        }
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(test(net));
    };
    // A namespace is a thread's, and that of the threads that it starts.
    let done = thread::spawn(run).join();
    done.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

fn enter_network() -> Result<(), String> {
    if std::path::Path::new(super::driver::KERNEL_SCTP).exists() {
        return Err("the kernel has SCTP, which answers in all of them".into());
    }
    unshare(CloneFlags::CLONE_NEWNET).map_err(|error| format!("unshare: {error}"))?;
    for arguments in ["link set lo up", &format!("address add {SECOND_IPV6}/128 dev lo nodad")] {
        let status = Command::new("ip").args(arguments.split(' ')).status();
        match status {
            Ok(status) if status.success() => {}
            Ok(status) => return Err(format!("`ip {arguments}`: {status}")),
            Err(error) => return Err(format!("`ip {arguments}`: {error}")),
        }
    }
    Ok(())
}

/// Makes the loopback interface of this namespace narrower than packets usually are.
fn narrow_loopback() {
    let arguments = ["link", "set", "lo", "mtu", "1400"];
    assert!(Command::new("ip").args(arguments).status().unwrap().success());
}

/// What is too big is refused with the size that fits, and goes in fragments if it may.
async fn refused_for_its_size(net: Net) {
    narrow_loopback();
    let (batches, mut arrivals) = tokio::sync::mpsc::channel(4);
    let open = || LaneSocket::udp(SocketAddr::new(net.address, 0), batches.clone()).unwrap();
    let (from, to) = (open(), open());
    let to = SocketAddr::new(net.address, to.udp_port.unwrap());
    assert!(!from.send(None, to, &[7; 1_450]).await);
    let batch = arrivals.recv().await.unwrap();
    let returned: Vec<_> = batch.returned().map(|(_, why, quoted)| (why, quoted)).collect();
    assert_eq!(returned.first(), Some(&(Why::TooBig(1_400), &[][..])));
    from.let_fragment(true);
    assert!(from.send(None, to, &[7; 1_450]).await);
    loop {
        let batch = arrivals.recv().await.unwrap();
        if let Some((_, _, payload)) = batch.datagrams().next() {
            return assert_eq!(payload, [7; 1_450]);
        }
    }
}

/// The same for the packets of an association, which are cut anew.
async fn narrow(net: Net) {
    narrow_loopback();
    super::big_messages(net).await;
}

#[test]
fn a_packet_that_does_not_fit_is_refused_with_the_size_that_fits() {
    for address in [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()] {
        in_own_network(Net::raw(address), refused_for_its_size);
    }
}

#[test]
fn messages_come_whole_over_a_link_that_is_narrower_than_usual() {
    let address = Ipv4Addr::LOCALHOST.into();
    in_own_network(Net::raw(address), narrow);
    in_own_network(Net::raw(Ipv6Addr::LOCALHOST.into()), narrow);
    in_own_network(Net { choice: TransportChoice::Udp, address }, narrow);
}

/// Reads the capabilities of this thread: without CAP_NET_RAW nothing is to be had.
async fn refusal(net: Net) {
    let mut config = TransportConfig::at(net.address);
    config.choice = net.choice;
    match Transport::start(config).open(0, None, true).await {
        Ok(port) => assert!(port.udp_ports().is_empty(), "nothing is reached by UDP"),
        Err(error) => {
            assert!(matches!(error, TransportError::NoRawSockets { .. }), "{error}");
            let text = error.to_string();
            assert!(text.contains("CAP_NET_RAW") && text.contains("setcap"), "{text}");
        }
    }
}

#[test]
fn what_takes_a_capability_says_so() {
    // With or without the capability.
    in_own_network(Net::raw(Ipv4Addr::LOCALHOST.into()), refusal);
}
