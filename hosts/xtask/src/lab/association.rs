//! An association that a case holds itself: our SCTP endpoint over plain sockets.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant as Clock};

use anyhow::{Context, Result, bail};
use rserpool_core::association::{Ppid, StreamId};
use rserpool_core::entropy::{Entropy, SplitMix64};
use rserpool_core::machine::Machine;
use rserpool_core::sctp::{Connect, Endpoint, Event, Handle, Inline, Input, SendError};
use rserpool_core::time::Instant;

use super::carrier::{Carrier, Home, Sockets};

/// An association, and the endpoint that has no other.
pub(crate) struct Association {
    endpoint: Endpoint<&'static mut Memory, SplitMix64>,
    sockets: Sockets,
    handle: Option<Handle>,
    start: Clock,
    chance: SplitMix64,
    /// Of a thousand packets in each direction, how many are lost.
    loss_permille: u64,
    buffer: Vec<u8>,
}

/// What happens to an association.
#[derive(Debug)]
pub(crate) enum Happening {
    /// A message has come.
    Message(Ppid, Vec<u8>),
    /// There may be room to send again.
    Writable,
    /// An address of the peer works, or does not any more.
    Path(IpAddr, bool),
    /// It is gone, for this reason.
    Down(String),
}

impl Association {
    /// Sets an association up from `home` to `remote`.
    ///
    /// # Errors
    ///
    /// If it does not come up in time.
    pub(crate) fn connect(home: &Home, remote: SocketAddr, seed: u64) -> Result<Self> {
        let mut association = Self::new(home, seed)?;
        let udp = association.sockets.udp_ports();
        let connect = Connect { local_port: LOCAL_PORT, remote, udp };
        let handle = association.endpoint.connect(Instant::ZERO, connect);
        association.handle = Some(handle.context("cannot connect")?);
        association.await_up(PATIENCE).with_context(|| format!("no association to {remote}"))?;
        Ok(association)
    }

    /// Sets an association up over UDP from `local` to `remote`.
    ///
    /// # Errors
    ///
    /// If it does not come up in time.
    pub(crate) fn connect_by_udp(local: IpAddr, remote: SocketAddr, seed: u64) -> Result<Self> {
        Self::connect(&Home::at(local, Carrier::Udp), remote, seed)
    }

    /// Listens at SCTP port `port` of `home`; [`await_peer`](Self::await_peer) comes next.
    ///
    /// # Errors
    ///
    /// If the sockets cannot be opened.
    pub(crate) fn listen(home: &Home, port: u16, seed: u64) -> Result<Self> {
        let mut association = Self::new(home, seed)?;
        association.endpoint.listen(port).context("cannot listen")?;
        Ok(association)
    }

    /// Waits for the first association to come up.
    ///
    /// # Errors
    ///
    /// If none does within `patience`.
    pub(crate) fn await_peer(&mut self, patience: Duration) -> Result<()> {
        self.await_up(patience).context("nobody comes")
    }

    /// Listens at SCTP port `port` of `local`, over UDP, and waits for the first association.
    ///
    /// # Errors
    ///
    /// If none comes up within `patience`.
    pub(crate) fn accept(local: IpAddr, port: u16, seed: u64, patience: Duration) -> Result<Self> {
        let mut association = Self::listen(&Home::at(local, Carrier::Udp), port, seed)?;
        association.await_peer(patience)?;
        association.endpoint.unlisten(port);
        Ok(association)
    }

    fn new(home: &Home, seed: u64) -> Result<Self> {
        let mut entropy = SplitMix64::new(seed);
        let mut secret = [0; 32];
        entropy.fill(&mut secret);
        // A case has few of them and ends soon.
        let memory = Box::leak(Box::new(Memory::new()));
        let mut endpoint = Endpoint::new(home.config, entropy, secret, memory);
        endpoint.set_addresses(&home.addresses).context("too many addresses")?;
        Ok(Self {
            endpoint,
            sockets: Sockets::open(home)?,
            handle: None,
            start: Clock::now(),
            chance: SplitMix64::new(seed ^ 1),
            loss_permille: 0,
            buffer: vec![0; MESSAGE_LEN_MAX],
        })
    }

    fn await_up(&mut self, patience: Duration) -> Result<()> {
        let deadline = Clock::now() + patience;
        loop {
            match self.next_event(deadline)? {
                None => bail!("not in {} s", patience.as_secs()),
                Some(Event::Up { handle, .. }) => {
                    self.handle = Some(handle);
                    return Ok(());
                }
                Some(Event::Down { reason, .. }) => bail!("{reason:?}"),
                Some(_) => {}
            }
        }
    }

    /// Loses so many of a thousand packets from now on, in each direction.
    pub(crate) fn lose(&mut self, permille: u64) {
        self.loss_permille = permille;
    }

    /// Sends a message on stream 0; false if there is no room now.
    ///
    /// # Errors
    ///
    /// If it can never be sent.
    pub(crate) fn send(&mut self, ppid: Ppid, message: &[u8]) -> Result<bool> {
        let (now, handle) = (self.now(), self.handle.context("it is gone")?);
        match self.endpoint.send(now, handle, StreamId(0), ppid, false, message) {
            Ok(()) => Ok(true),
            Err(SendError::Full) => Ok(false),
            Err(error) => bail!("a message of {} bytes: {error}", message.len()),
        }
    }

    /// Sends what is due, and waits for what happens next, at most `patience`.
    ///
    /// # Errors
    ///
    /// If the socket fails.
    pub(crate) fn next(&mut self, patience: Duration) -> Result<Option<Happening>> {
        let deadline = Clock::now() + patience;
        loop {
            let (now, handle) = (self.now(), self.handle);
            if let Some(handle) = handle
                && let Some(received) = self.endpoint.recv(now, handle, &mut self.buffer)
            {
                let message = self.buffer[..received.len].to_vec();
                return Ok(Some(Happening::Message(received.ppid, message)));
            }
            match self.next_event(deadline)? {
                None => return Ok(None),
                Some(Event::Writable { .. }) => return Ok(Some(Happening::Writable)),
                Some(Event::Path { remote, is_reachable, .. }) => {
                    return Ok(Some(Happening::Path(remote, is_reachable)));
                }
                Some(Event::Down { reason, .. }) => {
                    self.handle = None;
                    return Ok(Some(Happening::Down(format!("{reason:?}"))));
                }
                Some(_) => {}
            }
        }
    }

    /// Ends the association.
    ///
    /// # Errors
    ///
    /// If the peer does not agree in time.
    pub(crate) fn shut_down(mut self) -> Result<()> {
        let (now, handle) = (self.now(), self.handle.context("it is gone already")?);
        self.endpoint.shutdown(now, handle).context("it is gone already")?;
        loop {
            match self.next(PATIENCE)? {
                None => bail!("it is not down in {} s", PATIENCE.as_secs()),
                Some(Happening::Down(reason)) if reason == "Shutdown" => return Ok(()),
                Some(Happening::Down(reason)) => bail!("it ended by {reason}"),
                Some(_) => {}
            }
        }
    }

    /// Drives the endpoint to its next event.
    fn next_event(&mut self, deadline: Clock) -> Result<Option<Event>> {
        let mut packet = [0; 1_500];
        loop {
            while let Some(sent) = self.endpoint.poll_transmit(self.now(), &mut packet) {
                if !self.is_lost() {
                    self.sockets.send(&sent, &packet[..sent.len]);
                }
            }
            if let Some(event) = self.endpoint.poll_event() {
                return Ok(Some(event));
            }
            let left = deadline.saturating_duration_since(Clock::now());
            if left.is_zero() {
                return Ok(None);
            }
            let now = self.now();
            let due = self
                .endpoint
                .poll_timeout()
                .map_or(LOOK_INTERVAL, |due| due.saturating_duration_since(now));
            let wait = due.min(left).clamp(TICK, LOOK_INTERVAL);
            let datagram = self.sockets.receive(&mut packet, wait)?;
            if let Some(datagram) = datagram
                && !self.is_lost()
            {
                // A packet that is no good is as good as lost.
                let _ = self.endpoint.handle_input(self.now(), Input::Datagram(datagram));
            }
            self.endpoint.handle_timeout(self.now());
        }
    }

    /// Messages and parts of them that the peer has not acknowledged.
    pub(crate) fn outstanding_count(&self) -> u32 {
        let status = self.handle.and_then(|handle| self.endpoint.status(handle));
        status.map_or(0, |status| status.unacknowledged + status.pending)
    }

    /// Which address of the peer is used.
    pub(crate) fn active(&self) -> Option<IpAddr> {
        let handle = self.handle?;
        let mut paths = (0..).map_while(|index| self.endpoint.path(handle, index));
        paths.find(|path| path.is_active).map(|path| path.remote)
    }

    fn is_lost(&mut self) -> bool {
        self.chance.below(1_000) < self.loss_permille
    }

    fn now(&self) -> Instant {
        Instant::from_micros(self.start.elapsed().as_micros().try_into().unwrap_or(u64::MAX))
    }
}

type Memory = Inline<1, { 128 << 10 }, { 128 << 10 }, 1_024>;

/// The longest message: RSPLIB's buffer.
pub(crate) const MESSAGE_LEN_MAX: usize = 65_536;

const LOCAL_PORT: u16 = 5_006;

const PATIENCE: Duration = Duration::from_secs(20);
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
const TICK: Duration = Duration::from_millis(1);
