//! The network of a case: a bridge in a namespace of its own, which ends with the case.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::process::Process;

/// The bridge, with the addresses of userland processes.
const BRIDGE: &str = "lab0";

/// A bridge that is never up, so that nothing goes through it.
const VOID: &str = "void0";

/// The bridge of a second network.
const SECOND_BRIDGE: &str = "lab1";

/// The recorded traffic.
pub(crate) const TRAFFIC: &str = "traffic.pcapng";

/// Makes the bridge and gives it `addresses`.
///
/// # Errors
///
/// If the kernel refuses it.
pub(crate) fn bridge(addresses: &[&str]) -> Result<()> {
    ip("link set lo up")?;
    ip(&format!("link add {BRIDGE} type bridge mcast_snooping 0"))?;
    for address in addresses {
        add_address(address)?;
    }
    ip(&format!("link set {BRIDGE} up"))?;
    ip(&format!("route add default dev {BRIDGE}"))
}

/// Gives the bridge another address.
///
/// # Errors
///
/// If the kernel refuses it.
pub(crate) fn add_address(address: &str) -> Result<()> {
    ip(&format!("address add {address}/24 dev {BRIDGE}"))
}

/// Makes another bridge, for a second network, with `address`.
///
/// # Errors
///
/// If the kernel refuses it.
pub(crate) fn second_bridge(address: &str) -> Result<()> {
    ip(&format!("link add {SECOND_BRIDGE} type bridge mcast_snooping 0"))?;
    ip(&format!("link add {VOID} type bridge"))?;
    ip(&format!("address add {address}/24 dev {SECOND_BRIDGE}"))?;
    ip(&format!("link set {SECOND_BRIDGE} up"))
}

/// Makes a tap device on the bridge, or on the second.
///
/// # Errors
///
/// If the kernel refuses it.
pub(crate) fn tap(name: &str, is_second: bool) -> Result<()> {
    let bridge = if is_second { SECOND_BRIDGE } else { BRIDGE };
    ip(&format!("tuntap add dev {name} mode tap"))
        .context("tap devices need /dev/net/tun to be open to this user")?;
    ip(&format!("link set {name} master {bridge} up"))
}

/// Cuts the way to a tap device on the bridge, in both directions: all packets are lost, and
/// nobody is told. A tap device on no bridge would do as an interface of ours.
///
/// # Errors
///
/// If the kernel refuses it.
pub(crate) fn sever(name: &str) -> Result<()> {
    ip(&format!("link set {name} master {VOID}"))
}

/// Mends it.
///
/// # Errors
///
/// If the kernel refuses it.
pub(crate) fn mend(name: &str) -> Result<()> {
    ip(&format!("link set {name} master {BRIDGE}"))
}

/// The hardware address of a guest's host, or of a board.
pub(crate) fn mac_of(address: &str) -> String {
    let last: u8 = address.rsplit('.').next().and_then(|last| last.parse().ok()).unwrap_or(0);
    format!("02:00:0a:4d:00:{last:02x}")
}

/// Records what passes the bridge, and what our processes say to each other, if the recorder is
/// there.
///
/// # Errors
///
/// If the recorder does not begin to record.
pub(crate) fn record(folder: &Path) -> Result<Option<Process>> {
    if !crate::process::exists("dumpcap") {
        return Ok(None);
    }
    let mut command = Command::new("dumpcap");
    command.args(["-q", "-i", BRIDGE, "-i", "lo", "-w"]).arg(folder.join(TRAFFIC));
    let recorder = Process::start("recorder", command, folder)?;
    recorder.await_text("File:", Duration::from_secs(20))?;
    Ok(Some(recorder))
}

fn ip(arguments: &str) -> Result<()> {
    let output =
        Command::new("ip").args(arguments.split(' ')).output().context("cannot run ip")?;
    if !output.status.success() {
        bail!("`ip {arguments}`: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
