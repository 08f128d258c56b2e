//! Asking registrars by hand, and being one: over an association of the case's own.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Result, anyhow, bail, ensure};
use rserpool_core::association::Ppid;
use rserpool_core::identifier::{PeId, RegistrarId};
use rserpool_core::wire::asap::AsapMessage;
use rserpool_core::wire::enrp::EnrpMessage;
use rserpool_core::wire::{Cause, OperationError};

use super::crafted;
use super::rsplib::PATIENCE;
use crate::lab::association::{Association, Happening};

/// An association on which a case says what it wants.
pub(super) struct Probe(pub(super) Association);

/// What a registrar says of a pool.
#[derive(Debug)]
pub(super) struct Answer {
    /// Elements, and who their homes are.
    pub(super) elements: Vec<(PeId, RegistrarId)>,
    /// Policy and elements as they came.
    pub(super) parameters: Vec<u8>,
    /// Why there are none.
    pub(super) cause: Option<Cause>,
}

impl Probe {
    /// Sets an association up from `own` to a registrar's port.
    ///
    /// # Errors
    ///
    /// If it does not come up.
    pub(super) fn connect(own: &str, registrar: &str, port: u16, seed: u64) -> Result<Self> {
        let remote = SocketAddr::new(registrar.parse()?, port);
        Association::connect_by_udp(own.parse()?, remote, seed).map(Self)
    }

    /// Is a registrar at `address`, until somebody comes.
    ///
    /// # Errors
    ///
    /// If nobody does.
    pub(super) fn accept(address: &str, seed: u64) -> Result<Self> {
        Association::accept(address.parse()?, 3863, seed, PATIENCE).map(Self)
    }

    /// Sends a message.
    ///
    /// # Errors
    ///
    /// If it cannot be sent now.
    pub(super) fn send(&mut self, ppid: Ppid, message: &[u8]) -> Result<()> {
        ensure!(self.0.send(ppid, message)?, "there is no room for a message");
        Ok(())
    }

    /// Sends an ASAP message and waits for one that fits.
    ///
    /// # Errors
    ///
    /// If none comes.
    pub(super) fn ask<T>(
        &mut self,
        message: &[u8],
        pick: impl FnMut(&AsapMessage<'_>) -> Option<T>,
    ) -> Result<T> {
        self.send(Ppid::ASAP, message)?;
        self.await_asap(pick)
    }

    /// Waits for an ASAP message that fits.
    ///
    /// # Errors
    ///
    /// If none comes.
    pub(super) fn await_asap<T>(
        &mut self,
        mut pick: impl FnMut(&AsapMessage<'_>) -> Option<T>,
    ) -> Result<T> {
        self.await_message(|message| AsapMessage::parse(message).ok().and_then(|m| pick(&m)))
    }

    /// Sends an ENRP message and waits for one that fits.
    ///
    /// # Errors
    ///
    /// If none comes.
    pub(super) fn ask_enrp(
        &mut self,
        message: &[u8],
        fits: impl FnMut(&EnrpMessage<'_>) -> bool,
    ) -> Result<()> {
        self.send(Ppid::ENRP, message)?;
        self.await_enrp(fits)
    }

    /// Waits for an ENRP message that fits.
    ///
    /// # Errors
    ///
    /// If none comes.
    pub(super) fn await_enrp(
        &mut self,
        mut fits: impl FnMut(&EnrpMessage<'_>) -> bool,
    ) -> Result<()> {
        self.await_message(|message| {
            EnrpMessage::parse(message).ok().filter(|message| fits(message)).map(drop)
        })
    }

    fn await_message<T>(&mut self, mut pick: impl FnMut(&[u8]) -> Option<T>) -> Result<T> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.0.next(left)?.ok_or_else(|| anyhow!("no such answer"))? {
                Happening::Down(reason) => bail!("the association is gone: {reason}"),
                Happening::Writable | Happening::Path(..) => {}
                Happening::Message(_, message) => {
                    if let Some(found) = pick(&message) {
                        return Ok(found);
                    }
                }
            }
        }
    }

    /// Ends the association.
    ///
    /// # Errors
    ///
    /// If the registrar does not agree in time.
    pub(super) fn shut_down(self) -> Result<()> {
        self.0.shut_down()
    }

    /// Registers an element.
    ///
    /// # Errors
    ///
    /// If that is rejected.
    pub(super) fn register(&mut self, pool: &str, element: &[u8]) -> Result<()> {
        let registration = crafted::message(1, &[&crafted::pool(pool), element]);
        let rejected = self.ask(&registration, |message| match message {
            AsapMessage::RegistrationResponse(response) => Some(response.rejected),
            _ => None,
        })?;
        ensure!(!rejected, "the registration is rejected");
        Ok(())
    }

    /// Asks for all elements of a pool.
    ///
    /// # Errors
    ///
    /// If there is no answer.
    pub(super) fn resolve(&mut self, pool: &str) -> Result<Answer> {
        let pool = crafted::pool(pool);
        let items = crafted::parameter(0x803f, &[0xff; 4]);
        self.send(Ppid::ASAP, &crafted::message(5, &[&pool, &items]))?;
        self.await_message(|bytes| match AsapMessage::parse(bytes) {
            Ok(AsapMessage::HandleResolutionResponse(response)) => Some(Answer {
                elements: response.elements.iter().map(|found| (found.id, found.home)).collect(),
                parameters: bytes.get(4 + pool.len()..)?.to_vec(),
                cause: response.error.as_ref().and_then(cause_of),
            }),
            _ => None,
        })
    }
}

/// The first cause of an error.
pub(super) fn cause_of(error: &OperationError<'_>) -> Option<Cause> {
    error.causes().next().map(|cause| cause.code)
}
