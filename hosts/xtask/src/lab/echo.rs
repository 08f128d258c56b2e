//! A user of RSPLIB's echo service.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rserpool_core::association::Ppid;

pub(crate) use super::association::MESSAGE_LEN_MAX;
use super::association::{Association, Happening};
use super::carrier::Home;

/// An association to an echo server.
pub(crate) struct EchoClient(Association);

impl EchoClient {
    /// Sets an association up from `home` to `remote`.
    ///
    /// # Errors
    ///
    /// If it does not come up in time.
    pub(crate) fn connect(home: &Home, remote: SocketAddr, seed: u64) -> Result<Self> {
        Association::connect(home, remote, seed).map(Self)
    }

    /// Loses so many of a thousand packets from now on, in each direction.
    pub(crate) fn lose(&mut self, permille: u64) {
        self.0.lose(permille);
    }

    /// Sends `messages`, as fast as there is room, and compares what comes back; all must within
    /// `patience`.
    ///
    /// # Errors
    ///
    /// If something else comes back, or nothing in time.
    pub(crate) fn exchange(&mut self, messages: &[Vec<u8>], patience: Duration) -> Result<()> {
        let deadline = Instant::now() + patience;
        let (mut sent_count, mut echoed_count) = (0, 0);
        while echoed_count < messages.len() {
            while let Some(message) = messages.get(sent_count) {
                let ahead: usize = messages[echoed_count..sent_count].iter().map(Vec::len).sum();
                let is_too_much = ahead > 0 && ahead + message.len() > AHEAD_LEN_MAX;
                if is_too_much || !self.0.send(Ppid(0), message)? {
                    break;
                }
                sent_count += 1;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let place = || format!("{sent_count} sent, {echoed_count} came back");
            match self.0.next(left).with_context(place)? {
                None => bail!("not in time: {} of {}", place(), messages.len()),
                Some(Happening::Writable | Happening::Path(..)) => {}
                Some(Happening::Down(reason)) => bail!("{}, then: {reason}", place()),
                Some(Happening::Message(_, echo)) => {
                    let wanted = &messages[echoed_count];
                    if echo != *wanted {
                        let (came, went) = (echo.len(), wanted.len());
                        bail!("message {echoed_count} of {went} bytes comes as other {came}");
                    }
                    echoed_count += 1;
                }
            }
        }
        Ok(())
    }

    /// Ends the association.
    ///
    /// # Errors
    ///
    /// If the server does not agree in time.
    pub(crate) fn shut_down(self) -> Result<()> {
        self.0.shut_down()
    }
}

/// How many bytes may be on their way, but always one message: RSPLIB's services give a session up
/// as soon as the kernel takes no more from them.
const AHEAD_LEN_MAX: usize = 48 << 10;
