//! What only SCTP right over IP needs: a network of its own, and the right to it.

use std::future::Future;
use std::process::Command;
use std::thread;

use nix::sched::{CloneFlags, unshare};
use tokio::runtime::Builder;

use super::{IpAddr, Ipv4Addr, Net, Transport, TransportConfig, TransportError};

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
