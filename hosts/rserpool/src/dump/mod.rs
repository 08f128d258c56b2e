//! Reading the whole handlespace of a registrar, as its peers do (RFC 5353 §3.2.3).
//!
//! A registrar tells its tables to peers alone, so the reader says that it is one, for as long
//! as it reads: it owns no element, refuses to tell a table or a list of its own, and stands in
//! nobody's way in a takeover. ENRP has no good-bye: the registrar forgets it when it is silent,
//! and has nothing to take over. See "Guests" in the project's protocol notes.

mod machine;
mod table;

use std::time::Duration;

use rserpool_core::association::Endpoint;
use rserpool_core::entropy::Entropy;
use rserpool_core::identifier::RegistrarId;
use rserpool_core::machine::Machine;
use tokio::time::{Instant, timeout_at};

use crate::clock::OsEntropy;
use crate::driven::Driven;
use crate::transport::{Transport, TransportError};
use machine::{End, Guest, MESSAGE_LEN_MAX};

pub use table::{DumpedElement, DumpedPeer, DumpedTransport, HandlespaceDump};

/// Why a handlespace was not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DumpError {
    /// The transport refuses.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// None of this machine's addresses reaches the registrar.
    #[error("no address of this machine reaches the registrar")]
    NoAddress,
    /// There is no association with it.
    #[error("nobody answers")]
    NoAnswer,
    /// It ended the association before all was told.
    #[error("it ended the association before it had told its handlespace")]
    Ended,
    /// It did not answer in time.
    #[error("it did not answer in time")]
    Silent,
    /// It does not tell its handlespace.
    #[error("it refuses to tell its handlespace, as one does that is still joining its scope")]
    Refused,
    /// It answers with an error, or with what makes no sense.
    #[error("it does not answer as a registrar does: {0}")]
    Misbehaves(&'static str),
    /// There is more than can be kept.
    #[error("it tells of more than {0} elements")]
    TooMany(usize),
}

impl HandlespaceDump {
    /// Reads the handlespace of the registrar whose ENRP port is at `registrar`, within
    /// `patience`. One that refuses is asked again until then.
    ///
    /// # Errors
    ///
    /// If it cannot be reached, or does not tell all.
    pub async fn read(
        transport: &Transport,
        registrar: Endpoint,
        patience: Duration,
    ) -> Result<Self, DumpError> {
        let deadline = Instant::now() + patience;
        loop {
            let reading = read_once(transport, registrar.clone(), deadline);
            match reading.await {
                Err(DumpError::Refused) if Instant::now() + REFUSAL_PAUSE < deadline => {
                    tokio::time::sleep(REFUSAL_PAUSE).await;
                }
                result => return result,
            }
        }
    }
}

async fn read_once(
    transport: &Transport,
    registrar: Endpoint,
    deadline: Instant,
) -> Result<HandlespaceDump, DumpError> {
    let port = transport.open(0, None, false).await?;
    let towards = registrar.addresses.iter();
    let address = towards.filter_map(|&address| transport.address_towards(address)).next();
    let mut own = Endpoint { port: port.number(), ..Endpoint::default() };
    let _ = own.addresses.push(address.ok_or(DumpError::NoAddress)?);
    // 0 says that it is not known.
    let identifier = RegistrarId(OsEntropy.next_u64() as u32 | 1);
    let guest = Guest::new(identifier, own, registrar);
    let mut driven = Driven::new(Box::new(guest), port, MESSAGE_LEN_MAX);
    let end = match timeout_at(deadline, await_end(&mut driven)).await {
        Ok(end) => end,
        Err(_) => {
            driven.machine.leave(End::Silent);
            End::Silent
        }
    };
    let leave = async {
        driven.flush().await;
        while !driven.machine.is_gone() && driven.step().await {
            driven.flush().await;
        }
    };
    // What is told need not wait for a registrar that does not end the association.
    let _ = tokio::time::timeout(LEAVE_PATIENCE, leave).await;
    match end {
        End::Told => Ok(driven.machine.into_dump()),
        End::NoAnswer => Err(DumpError::NoAnswer),
        End::Ended => Err(DumpError::Ended),
        End::Silent => Err(DumpError::Silent),
        End::Refused => Err(DumpError::Refused),
        End::Misbehaves(how) => Err(DumpError::Misbehaves(how)),
        End::TooMany(count) => Err(DumpError::TooMany(count)),
    }
}

/// Waits until all is told, or until it is clear that it will not be.
async fn await_end(driven: &mut Driven<Guest>) -> End {
    loop {
        driven.flush().await;
        if let Some(end) = driven.machine.poll_event() {
            return end;
        }
        if !driven.step().await {
            return End::Ended;
        }
    }
}

/// How soon one that refuses is asked again.
const REFUSAL_PAUSE: Duration = Duration::from_millis(500);

/// How long taking leave may take.
const LEAVE_PATIENCE: Duration = Duration::from_secs(2);
