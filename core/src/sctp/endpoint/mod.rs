//! The endpoint: many associations behind one door.

use core::net::SocketAddr;
use core::time::Duration;

use super::config::Config;
use super::statistics::Statistics;
use super::storage::Storage;
use super::types::{
    Closed, Connect, ConnectError, Event, Handle, Input, InputError, ListenError, Packet,
    Received, SendError,
};
use crate::association::{Ppid, StreamId};
use crate::entropy::Entropy;
use crate::machine::Machine;
use crate::time::Instant;

/// How many ports of an endpoint can listen at once.
pub const LISTEN_PORTS_MAX: usize = 8;

/// An SCTP endpoint: all associations of one process, whatever their ports.
///
/// The buffer for [`poll_transmit`](Machine::poll_transmit) must hold [`Config::mtu`] bytes.
#[derive(Debug)]
pub struct Endpoint<S, E> {
    config: Config,
    storage: S,
    entropy: E,
    secret: [u8; 32],
    statistics: Statistics,
}

impl<S: Storage, E: Entropy> Endpoint<S, E> {
    /// An endpoint without associations. `secret` seals the state cookies and must be random.
    pub const fn new(config: Config, entropy: E, secret: [u8; 32], storage: S) -> Self {
        let statistics = Statistics {
            packets_in: 0,
            packets_out: 0,
            malformed: 0,
            out_of_the_blue: 0,
            wrong_tag: 0,
            replies_withheld: 0,
            cookies_refused: 0,
            established: 0,
            refused: 0,
            restarted: 0,
            aborted: 0,
            shut_down: 0,
            lost: 0,
            retransmission_timeouts: 0,
            messages_out: 0,
            messages_in: 0,
        };
        Self { config, storage, entropy, secret, statistics }
    }

    /// Accepts associations on `port` from now on.
    ///
    /// # Errors
    ///
    /// If [`LISTEN_PORTS_MAX`] ports listen already, or `port` is 0.
    pub fn listen(&mut self, port: u16) -> Result<(), ListenError> {
        let _ = (port, &mut self.secret, &mut self.entropy);
        Ok(())
    }

    /// Accepts no more associations on `port`; those that are up stay.
    pub fn unlisten(&mut self, port: u16) {
        let _ = port;
    }

    /// Sets up an association; [`Event::Up`] or [`Event::Down`] follows.
    ///
    /// # Errors
    ///
    /// If there is no slot, or an association with this peer, or the address is no good.
    pub fn connect(&mut self, now: Instant, connect: Connect) -> Result<Handle, ConnectError> {
        let _ = (now, connect);
        Err(ConnectError::Full)
    }

    /// Takes a message to send. It may be called before the association is up.
    ///
    /// # Errors
    ///
    /// Nothing was taken: there is no room, no such stream, or no such association.
    pub fn send(
        &mut self,
        now: Instant,
        handle: Handle,
        stream: StreamId,
        ppid: Ppid,
        unordered: bool,
        data: &[u8],
    ) -> Result<(), SendError> {
        let _ = (now, handle, stream, ppid, unordered, data);
        Err(SendError::Closed)
    }

    /// The next whole message, copied into `buf`.
    pub fn recv(&mut self, now: Instant, handle: Handle, buf: &mut [u8]) -> Option<Received> {
        let _ = (now, handle, buf);
        None
    }

    /// Shuts the association down once all that was sent has arrived; [`Event::Down`] follows.
    ///
    /// # Errors
    ///
    /// If the association is gone.
    pub fn shutdown(&mut self, now: Instant, handle: Handle) -> Result<(), Closed> {
        let _ = (now, handle);
        Err(Closed)
    }

    /// Ends the association at once; [`Event::Down`] follows.
    ///
    /// # Errors
    ///
    /// If the association is gone.
    pub fn abort(&mut self, now: Instant, handle: Handle) -> Result<(), Closed> {
        let _ = (now, handle);
        Err(Closed)
    }

    /// The peer's address and SCTP port.
    pub fn peer(&self, handle: Handle) -> Option<SocketAddr> {
        let _ = handle;
        None
    }

    /// The smoothed round-trip time, once measured.
    pub fn srtt(&self, handle: Handle) -> Option<Duration> {
        let _ = handle;
        None
    }

    /// What was counted so far.
    pub const fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// How the endpoint behaves.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// The storage, so that a host can let it grow between calls.
    pub const fn storage_mut(&mut self) -> &mut S {
        &mut self.storage
    }
}

impl<S: Storage, E: Entropy> Machine for Endpoint<S, E> {
    type Input<'a> = Input<'a>;
    type Transmit = Packet;
    type Event = Event;
    type Error = InputError;

    fn handle_input(&mut self, now: Instant, input: Input<'_>) -> Result<(), InputError> {
        let _ = (now, input);
        Err(InputError::Malformed)
    }

    fn handle_timeout(&mut self, now: Instant) {
        let _ = now;
    }

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    fn poll_transmit(&mut self, now: Instant, buf: &mut [u8]) -> Option<Packet> {
        let _ = (now, buf);
        None
    }

    fn poll_event(&mut self) -> Option<Event> {
        None
    }
}
