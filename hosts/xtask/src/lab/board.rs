//! Boards: the firmware in QEMU, at the case's bridge.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::network::mac_of;
use super::process::Process;

/// A board at the end of tap device `tap`, at `address`, with `settings` (`KEY=VALUE`).
pub(crate) fn start(
    folder: &Path,
    name: &str,
    firmware: &Path,
    (tap, address): (&str, &str),
    settings: &[&str],
) -> Result<Process> {
    let mut semihosting = format!("enable=on,target=native,arg=firmware,arg=ip={address}/24");
    for setting in settings {
        semihosting += &format!(",arg={setting}");
    }
    let mut command = Command::new(super::QEMU);
    command
        .args(["-M", "mps2-an385", "-display", "none", "-monitor", "none", "-serial", "stdio"])
        .args(["-semihosting-config", &semihosting])
        .args(["-netdev", &format!("tap,id=lab,ifname={tap},script=no,downscript=no")])
        .args(["-net", &format!("nic,netdev=lab,macaddr={}", mac_of(address))])
        .arg("-kernel")
        .arg(firmware);
    Process::start_with_input(name, command, folder)
}
