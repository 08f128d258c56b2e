//! The endpoint: many associations behind one door.
//!
//! [`Endpoint`] is a thin shell; `engine` does the work, on a storage and an entropy source that
//! it does not know the types of. `stranger` answers packets of no association, `table` finds
//! associations, `replies` holds what no association owes.

mod context;
mod engine;
mod replies;
mod stranger;
mod table;

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use super::association::{Association, Status};
use super::config::Config;
use super::statistics::Statistics;
use super::storage::Storage;
use super::types::{
    Closed, Connect, ConnectError, Event, Handle, Input, InputError, ListenError, Packet,
    PathError, PathStatus, Received, SendError, TooManyAddresses,
};
use crate::association::{Ppid, StreamId};
use crate::entropy::Entropy;
use crate::machine::Machine;
use crate::time::Instant;

pub(super) use context::{Context, Source};
use engine::Engine;
pub(super) use engine::is_unicast;
pub(super) use replies::{REFLECTED, Route};
pub(super) use table::Links;

/// How many ports of an endpoint can listen at once.
pub const LISTEN_PORTS_MAX: usize = 32;

/// An SCTP endpoint: all associations of one process, whatever their ports.
///
/// The buffer for [`poll_transmit`](Machine::poll_transmit) must hold `Config::mtu` bytes.
#[derive(Debug)]
pub struct Endpoint<S, E> {
    engine: Engine,
    storage: S,
    entropy: E,
}

impl<S: Storage, E: Entropy> Endpoint<S, E> {
    /// An endpoint without associations. `secret` seals the state cookies and must be random.
    #[inline]
    pub const fn new(config: Config, entropy: E, secret: [u8; 32], storage: S) -> Self {
        Self { engine: Engine::new(config, secret), storage, entropy }
    }

    /// Accepts associations on `port` from now on.
    ///
    /// # Errors
    ///
    /// If [`LISTEN_PORTS_MAX`] ports listen already, or `port` is 0.
    pub fn listen(&mut self, port: u16) -> Result<(), ListenError> {
        self.engine.listen(port)
    }

    /// Accepts no more associations on `port`; those that are up stay.
    pub fn unlisten(&mut self, port: u16) {
        self.engine.unlisten(port);
    }

    /// Sets up an association; [`Event::Up`] or [`Event::Down`] follows.
    ///
    /// # Errors
    ///
    /// If there is no slot, or an association with this peer, or the address is no good.
    pub fn connect(&mut self, now: Instant, connect: Connect) -> Result<Handle, ConnectError> {
        self.engine.connect(now, &mut self.storage, &mut self.entropy, connect)
    }

    /// Takes a message to send. Before the association is up there is no room yet.
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
        let (storage, entropy) = (&mut self.storage, &mut self.entropy);
        let sent = self
            .engine
            .with_handle(now, storage, entropy, handle, |association, context| {
                association.send(&context.shared.config, stream, ppid, unordered, data)
            })
            .unwrap_or(Err(SendError::Closed));
        self.engine.shared.statistics.messages_out += u64::from(sent.is_ok());
        sent
    }

    /// Whether a message of `len` bytes would be taken now. If not, [`Event::Writable`] does not
    /// tell when: only a refusal of [`send`](Self::send) asks for it.
    pub fn is_writable(&mut self, now: Instant, handle: Handle, len: usize) -> bool {
        let (storage, entropy) = (&mut self.storage, &mut self.entropy);
        let asked = |association: &mut Association<'_>, context: &mut Context<'_>| {
            association.is_writable(&context.shared.config, len)
        };
        self.engine.with_handle(now, storage, entropy, handle, asked).unwrap_or(false)
    }

    /// The next whole message, copied into `buf`, which should be as long as the storage's receive
    /// buffer: a message that `buf` cannot hold stays where it is.
    pub fn recv(&mut self, now: Instant, handle: Handle, buf: &mut [u8]) -> Option<Received> {
        self.engine.receive(now, &mut self.storage, &mut self.entropy, handle, buf)
    }

    /// Shuts the association down once all that was sent has arrived; [`Event::Down`] follows.
    ///
    /// # Errors
    ///
    /// If the association is gone.
    pub fn shutdown(&mut self, now: Instant, handle: Handle) -> Result<(), Closed> {
        self.engine
            .with_handle(
                now,
                &mut self.storage,
                &mut self.entropy,
                handle,
                |association, context| {
                    association.shut_down(context);
                },
            )
            .ok_or(Closed)
    }

    /// Ends the association at once; [`Event::Down`] follows.
    ///
    /// # Errors
    ///
    /// If the association is gone.
    pub fn abort(&mut self, now: Instant, handle: Handle) -> Result<(), Closed> {
        self.engine
            .with_handle(
                now,
                &mut self.storage,
                &mut self.entropy,
                handle,
                |association, context| {
                    association.abort(context);
                },
            )
            .ok_or(Closed)
    }

    /// Tells peers of associations to come that they can reach us at all of `addresses`, if there
    /// are several. They must be on this machine; packets may arrive at any of them.
    ///
    /// # Errors
    ///
    /// If there are more than [`LOCAL_ADDRESSES_MAX`](crate::sctp::LOCAL_ADDRESSES_MAX).
    pub fn set_addresses(&mut self, addresses: &[IpAddr]) -> Result<(), TooManyAddresses> {
        self.engine.shared.addresses = addresses.try_into().map_err(|_| TooManyAddresses)?;
        Ok(())
    }

    /// Names another address of the peer right after [`connect`](Self::connect): if the first one
    /// does not answer, this one is tried.
    ///
    /// # Errors
    ///
    /// If the peer has answered already, or has as many addresses as are kept.
    pub fn add_address(
        &mut self,
        now: Instant,
        handle: Handle,
        remote: IpAddr,
    ) -> Result<(), PathError> {
        let (storage, entropy) = (&mut self.storage, &mut self.entropy);
        let is_taken = self
            .engine
            .with_handle(now, storage, entropy, handle, |association, context| {
                association.add_address(context, remote)
            })
            .ok_or(PathError::Closed)?;
        if is_taken { Ok(()) } else { Err(PathError::Refused) }
    }

    /// Prefers one of the peer's addresses: it is used as long as it works.
    ///
    /// # Errors
    ///
    /// If the peer has no such address.
    pub fn set_primary(
        &mut self,
        now: Instant,
        handle: Handle,
        remote: IpAddr,
    ) -> Result<(), PathError> {
        let (storage, entropy) = (&mut self.storage, &mut self.entropy);
        let is_known = self
            .engine
            .with_handle(now, storage, entropy, handle, |association, _| {
                association.set_primary(remote)
            })
            .ok_or(PathError::Closed)?;
        if is_known { Ok(()) } else { Err(PathError::Unknown) }
    }

    /// How the paths to a peer are doing, one by one from 0; `None` after the last.
    pub fn path(&self, handle: Handle, index: usize) -> Option<PathStatus> {
        let slot = engine::index_of(self.storage.slots(), handle)?;
        self.storage.slots().get(slot)?.tcb.path_status(self.config(), index)
    }

    /// The peer's primary address and its SCTP port.
    pub fn peer(&self, handle: Handle) -> Option<SocketAddr> {
        let index = engine::index_of(self.storage.slots(), handle)?;
        Some(self.storage.slots().get(index)?.tcb.peer())
    }

    /// How an association is doing; `None` once its user was told that it is over.
    pub fn status(&self, handle: Handle) -> Option<Status> {
        let index = engine::index_of(self.storage.slots(), handle)?;
        Some(self.storage.slots().get(index)?.tcb.status(self.config()))
    }

    /// The smoothed round-trip time of the primary path, once measured.
    pub fn srtt(&self, handle: Handle) -> Option<Duration> {
        self.status(handle)?.srtt
    }

    /// What was counted so far.
    pub const fn statistics(&self) -> &Statistics {
        &self.engine.shared.statistics
    }

    /// Lets the endpoint behave otherwise from now on, in the associations that it has as well.
    pub fn configure(&mut self, config: Config) {
        self.engine.configure(config);
    }

    /// How the endpoint behaves.
    pub const fn config(&self) -> &Config {
        &self.engine.shared.config
    }

    /// Whether packets wait that no association owes, such as answers to INITs.
    ///
    /// There is room for few of them. A driver that lets several inputs pass before it drains
    /// `poll_transmit` (so that they are acknowledged at once) drains it early when this is so.
    pub fn has_replies(&self) -> bool {
        self.engine.shared.replies.is_any_waiting()
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
        self.engine.on_input(now, &mut self.storage, &mut self.entropy, input)
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.engine.on_time(now, &mut self.storage, &mut self.entropy);
    }

    #[cfg_attr(feature = "small", inline(never))]
    fn poll_timeout(&self) -> Option<Instant> {
        self.engine.next_deadline(&self.storage)
    }

    fn poll_transmit(&mut self, now: Instant, buf: &mut [u8]) -> Option<Packet> {
        self.engine.next_packet(now, &mut self.storage, &mut self.entropy, buf)
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.engine.next_event(&mut self.storage)
    }
}
