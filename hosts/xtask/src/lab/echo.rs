//! A user of RSPLIB's echo service: our SCTP endpoint over a plain UDP socket.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant as Clock};

use anyhow::{Context, Result, bail};
use rserpool_core::association::{Ppid, StreamId};
use rserpool_core::entropy::{Entropy, SplitMix64};
use rserpool_core::machine::Machine;
use rserpool_core::sctp::{
    Config, Connect, Datagram, Endpoint, Event, Handle, Inline, Input, SendError, UDP_PORT,
    UdpPorts,
};
use rserpool_core::time::Instant;

/// An association to an echo server.
pub(crate) struct EchoClient {
    endpoint: Endpoint<&'static mut Memory, SplitMix64>,
    socket: UdpSocket,
    local: IpAddr,
    handle: Handle,
    start: Clock,
    chance: SplitMix64,
    /// Of a thousand packets in each direction, how many are lost.
    loss_permille: u64,
    buffer: Vec<u8>,
}

impl EchoClient {
    /// Sets an association up from `local` to `remote`, both at UDP 9899.
    ///
    /// # Errors
    ///
    /// If it does not come up in time.
    pub(crate) fn connect(local: IpAddr, remote: SocketAddr, seed: u64) -> Result<Self> {
        let socket = UdpSocket::bind((local, UDP_PORT))?;
        let mut entropy = SplitMix64::new(seed);
        let mut secret = [0; 32];
        entropy.fill(&mut secret);
        // A case has one client and ends soon.
        let memory = Box::leak(Box::new(Memory::new()));
        let mut endpoint = Endpoint::new(Config::DEFAULT, entropy, secret, memory);
        let udp = Some(UdpPorts { local: UDP_PORT, remote: UDP_PORT });
        let connect = Connect { local_port: LOCAL_PORT, remote, udp };
        let handle = endpoint.connect(Instant::ZERO, connect).context("cannot connect")?;
        let chance = SplitMix64::new(seed ^ 1);
        let (start, buffer) = (Clock::now(), vec![0; MESSAGE_LEN_MAX]);
        let mut client =
            Self { endpoint, socket, local, handle, start, chance, loss_permille: 0, buffer };
        while !matches!(client.next_event(PATIENCE)?, Event::Up { .. }) {}
        Ok(client)
    }

    /// Loses so many of a thousand packets from now on, in each direction.
    pub(crate) fn lose(&mut self, permille: u64) {
        self.loss_permille = permille;
    }

    /// Sends `messages`, as fast as there is room, and compares what comes back; all must within
    /// `patience`.
    ///
    /// # Errors
    ///
    /// If something else comes back, or nothing in time.
    pub(crate) fn exchange(&mut self, messages: &[Vec<u8>], patience: Duration) -> Result<()> {
        let deadline = Clock::now() + patience;
        let (mut sent_count, mut echoed_count) = (0, 0);
        while echoed_count < messages.len() {
            while let Some(message) = messages.get(sent_count) {
                let ahead: usize = messages[echoed_count..sent_count].iter().map(Vec::len).sum();
                if ahead > 0 && ahead + message.len() > AHEAD_LEN_MAX {
                    break;
                }
                let now = self.now();
                match self.endpoint.send(now, self.handle, StreamId(0), Ppid(0), false, message) {
                    Ok(()) => sent_count += 1,
                    Err(SendError::Full) => break,
                    Err(error) => bail!("message {sent_count} cannot be sent: {error}"),
                }
            }
            let left = deadline.saturating_duration_since(Clock::now());
            let event = self.next_event(left).with_context(|| {
                format!("{sent_count} of {} sent, {echoed_count} came back", messages.len())
            })?;
            if !matches!(event, Event::Readable { .. }) {
                continue;
            }
            let now = self.now();
            while let Some(received) = self.endpoint.recv(now, self.handle, &mut self.buffer) {
                let Some(wanted) = messages.get(echoed_count) else { bail!("one too many") };
                let echo = &self.buffer[..received.len];
                if echo != &wanted[..] {
                    let (came, went) = (echo.len(), wanted.len());
                    bail!("message {echoed_count} of {went} bytes comes back as other {came}");
                }
                echoed_count += 1;
            }
        }
        Ok(())
    }

    /// Ends the association.
    ///
    /// # Errors
    ///
    /// If the server does not agree in time.
    pub(crate) fn shut_down(mut self) -> Result<()> {
        let now = self.now();
        self.endpoint.shutdown(now, self.handle).context("the association is gone")?;
        loop {
            if let Event::Down { reason, .. } = self.next_event_even_down(PATIENCE)? {
                let reason = format!("{reason:?}");
                return if reason == "Shutdown" { Ok(()) } else { bail!("it ended by {reason}") };
            }
        }
    }

    fn next_event(&mut self, patience: Duration) -> Result<Event> {
        match self.next_event_even_down(patience)? {
            Event::Down { reason, .. } => bail!("the association is down: {reason:?}"),
            event => Ok(event),
        }
    }

    /// Drives the endpoint to its next event.
    fn next_event_even_down(&mut self, patience: Duration) -> Result<Event> {
        let deadline = Clock::now() + patience;
        let mut packet = [0; 1_500];
        loop {
            while let Some(sent) = self.endpoint.poll_transmit(self.now(), &mut packet) {
                let port = sent.udp.map_or(UDP_PORT, |ports| ports.remote);
                if !self.is_lost() {
                    self.socket.send_to(&packet[..sent.len], (sent.remote, port))?;
                }
            }
            if let Some(event) = self.endpoint.poll_event() {
                return Ok(event);
            }
            let now = self.now();
            if Clock::now() >= deadline {
                bail!("nothing more comes in {} s", patience.as_secs());
            }
            let due = self
                .endpoint
                .poll_timeout()
                .map_or(LOOK_INTERVAL, |due| due.saturating_duration_since(now));
            self.socket.set_read_timeout(Some(due.clamp(TICK, LOOK_INTERVAL)))?;
            match self.socket.recv_from(&mut packet) {
                Ok((len, from)) if !self.is_lost() => self.take(&packet[..len], from),
                Ok(_) => {}
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) => return Err(error).context("cannot receive"),
            }
            self.endpoint.handle_timeout(self.now());
        }
    }

    fn take(&mut self, payload: &[u8], from: SocketAddr) {
        let udp = Some(UdpPorts { local: UDP_PORT, remote: from.port() });
        let datagram = Datagram { local: self.local, remote: from.ip(), udp, payload };
        // A packet that is no good is as good as lost.
        let _ = self.endpoint.handle_input(self.now(), Input::Datagram(datagram));
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

/// How many bytes may be on their way, but always one message: RSPLIB's services give a session up
/// as soon as the kernel takes no more from them.
const AHEAD_LEN_MAX: usize = 48 << 10;

const LOCAL_PORT: u16 = 5_006;

const PATIENCE: Duration = Duration::from_secs(20);
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
const TICK: Duration = Duration::from_millis(1);
