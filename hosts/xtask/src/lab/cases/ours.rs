//! Our programs at RSPLIB's registrar in the guest, and what they say.

use anyhow::{Context, Result, bail};

use super::rsplib::{self, PATIENCE};
use crate::lab::Lab;
use crate::lab::guest::Program;
use crate::lab::process::{Process, await_some};

/// Where our programs look for the registrar.
pub(super) const AT: &str = "--registrar 10.77.0.2:3863/9899";

/// Starts an element and waits until it says that it is registered; it and its identifier. It
/// renews its registration less often than the registrar asks for signs of life.
///
/// # Errors
///
/// If it does not register.
pub(super) fn element(lab: &Lab, name: &str, address: &str) -> Result<(Process, String)> {
    element_by(lab, name, address, AT)
}

/// The same for an element that finds its registrar by other `words`.
///
/// # Errors
///
/// If it does not register.
pub(super) fn element_by(
    lab: &Lab,
    name: &str,
    address: &str,
    words: &str,
) -> Result<(Process, String)> {
    let element = lab.rsp(
        name,
        &format!(
            "serve --listen {address}:0/9899 --reregistration-interval 9s --log debug {words} \
             --slots 1 --pool-key {KEY}"
        ),
    )?;
    let ready = element.await_text("ready at", PATIENCE);
    let line = lab.check(&format!("the {name} element registers"), ready)?;
    let identifier = line.split_whitespace().nth(1).context("a line without identifier")?;
    Ok((element, identifier.to_owned()))
}

/// How many registrations of an element the registrar has read.
pub(super) fn registration_count(registrar: &Program, element: &str) -> usize {
    let digits = element.trim_start_matches("0x");
    let request = format!("Registration request for ComputePool/${digits}");
    registrar.output().matches(&request).count()
}

/// Waits until the registrar has read more than `before` registrations of an element.
///
/// # Errors
///
/// If it does not in time.
pub(super) fn await_registration(registrar: &Program, element: &str, before: usize) -> Result<()> {
    let more = || Ok((registration_count(registrar, element) > before).then_some(()));
    await_some(PATIENCE, more)?.context("no further registration")
}

/// Resolves the pool through RSPLIB's registrar, found by `words`; the lines of the table.
///
/// # Errors
///
/// If there is no answer.
pub(super) fn resolve(lab: &Lab, words: &str) -> Result<Vec<String>> {
    let resolve = lab.rsp("resolve", &format!("resolve ComputePool {words}"))?;
    let table = resolve.finish(PATIENCE)?;
    Ok(table.lines().filter(|line| line.starts_with("0x")).map(str::to_owned).collect())
}

/// Resolves the pool through RSPLIB's registrar; all of `elements` must be there.
///
/// # Errors
///
/// If one is not, or at another home.
pub(super) fn must_resolve(lab: &Lab, elements: &[&str]) -> Result<()> {
    must_resolve_by(lab, elements, AT)
}

/// The same for a user that finds its registrar by other `words`.
///
/// # Errors
///
/// If one is not, or at another home.
pub(super) fn must_resolve_by(lab: &Lab, elements: &[&str], words: &str) -> Result<()> {
    let lines = resolve(lab, words)?;
    for element in elements {
        let line = lines.iter().find(|line| line.starts_with(element));
        let Some(line) = line else { bail!("{element} is not in the answer") };
        if !line.contains(rsplib::IDENTIFIER) {
            bail!("another home than {}: {line}", rsplib::IDENTIFIER);
        }
    }
    Ok(())
}

/// The pool key of elements and boards.
pub(super) const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
