//! RSPLIB's programs in the guest, and what they say.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

use crate::lab::GUEST;
use crate::lab::guest::{Guest, Program, at};
use crate::lab::process::await_some;

/// The registrar's identifier.
pub(super) const IDENTIFIER: &str = "0x11111111";

/// Lets the guest's kernel speak SCTP over UDP, to peers that do so at port 9899.
///
/// # Errors
///
/// If the kernel cannot.
pub(super) fn encapsulate(guest: &mut Guest) -> Result<()> {
    encapsulate_at(guest, GUEST)
}

/// The same at one of the guest's hosts.
///
/// # Errors
///
/// If the kernel cannot.
pub(super) fn encapsulate_at(guest: &mut Guest, host: &str) -> Result<()> {
    let ports = "sysctl -q net.sctp.udp_port=9899 net.sctp.encap_port=9899";
    guest.must(&at(host, ports)).map(drop)
}

/// Starts RSPLIB's registrar and waits until it serves. It asks for signs of life every 2 s, a
/// little more often than by default, since a case watches several of them.
///
/// # Errors
///
/// If it does not start.
pub(super) fn registrar(guest: &mut Guest) -> Result<Program> {
    let words = format!("-identifier={IDENTIFIER} -endpointkeepalivetransmissioninterval=2000");
    registrar_at(guest, GUEST, &words)
}

/// Starts RSPLIB's registrar at one of the guest's hosts, and waits until it serves.
///
/// # Errors
///
/// If it does not start.
pub(super) fn registrar_at(guest: &mut Guest, host: &str, words: &str) -> Result<Program> {
    let command = format!(
        "stdbuf -oL rspregistrar -asap={host}:3863 -enrp={host}:9901 -loglevel=9 -logcolor=off"
    );
    let program = guest.spawn(&at(host, &format!("{command} {words}")))?;
    program.await_text("Registrar started", PATIENCE)?;
    Ok(program)
}

/// How many keep-alives of the registrar an element has answered.
pub(super) fn keep_alive_count(registrar: &Program, element: &str) -> usize {
    let acknowledged = format!("Got EndpointKeepAliveAck for pool element ${}", digits(element));
    registrar.output().matches(&acknowledged).count()
}

/// Waits until an element has answered `count` more keep-alives.
///
/// # Errors
///
/// If that does not happen in time.
pub(super) fn await_keep_alives(registrar: &Program, element: &str, count: usize) -> Result<()> {
    let before = keep_alive_count(registrar, element);
    let patience = KEEP_ALIVE_PATIENCE * count.try_into().unwrap_or(u32::MAX);
    let enough = || Ok((keep_alive_count(registrar, element) >= before + count).then_some(()));
    await_some(patience, enough)?.with_context(|| {
        let answered = keep_alive_count(registrar, element) - before;
        format!("{answered} keep-alives answered in {} s", patience.as_secs())
    })
}

/// The registrar's entry of an element, as `hsdump` prints it.
///
/// # Errors
///
/// If the registrar does not tell its handlespace.
pub(super) fn entry(guest: &mut Guest, element: &str) -> Result<Option<String>> {
    let dump = guest.run(Duration::from_secs(15), &format!("hsdump {GUEST}:9901"))?;
    let index = dump.text.split("*-- Selection:").next().unwrap_or_default();
    if !index.contains("*-- Index:") {
        bail!("hsdump says no handlespace: {}", dump.text.lines().last().unwrap_or_default());
    }
    let entries = index.split("- idx:").skip(1);
    let own = format!(": ${} ", digits(element));
    Ok(entries.filter(|entry| entry.contains(&own)).map(str::to_owned).next())
}

/// Checks that the registrar has an element, at `address`.
///
/// # Errors
///
/// If it has not.
pub(super) fn must_have(guest: &mut Guest, element: &str, address: &str) -> Result<()> {
    let entry = entry(guest, element)?.ok_or_else(|| anyhow!("{element} is not there"))?;
    let user = entry.lines().find(|line| line.contains("userT:")).unwrap_or_default().trim();
    if !user.contains(&format!("{{{address}}}")) {
        bail!("{element} is there at another address: {user}");
    }
    Ok(())
}

/// Waits until the registrar has an element no longer.
///
/// # Errors
///
/// If it still has it.
pub(super) fn await_gone(guest: &mut Guest, element: &str) -> Result<()> {
    let gone = || Ok(entry(guest, element)?.is_none().then_some(()));
    await_some(PATIENCE, gone)?.with_context(|| format!("{element} is still there"))
}

/// An identifier without its `0x`.
fn digits(identifier: &str) -> &str {
    identifier.trim_start_matches("0x")
}

/// How long something may take that usually takes no time.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// How long one keep-alive may take: the interval, and much more.
const KEEP_ALIVE_PATIENCE: Duration = Duration::from_secs(8);
