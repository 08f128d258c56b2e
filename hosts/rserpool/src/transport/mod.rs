//! SCTP by the kernel where it has it, and by ourselves over UDP (RFC 6951), which needs neither a
//! kernel nor privileges; or by ourselves right over IP, which takes the capability CAP_NET_RAW.
//!
//! One task owns our SCTP endpoint with its UDP sockets and the kernel's sockets. A machine's task
//! opens a [`Port`] and sees nothing but [`Input`](rserpool_core::association::Input) and
//! [`Transmit`]: a port is open in both SCTPs, and an attempt to reach a peer is made by the
//! kernel's first and 50 ms later by ours; the first that succeeds is the association.
//!
//! Which UDP ports a process has, and how it finds those of others, is told in the project's
//! design: a listening process has 9899 if it is free and a port of its own in any case; who
//! connects tries both, 50 ms apart, and stays with the first that answers.

mod actions;
mod claims;
mod driver;
mod error;
mod inbox;
mod kernel;
mod lanes;
mod parameters;
mod socket;
mod storage;
mod tables;
mod tcp;
#[cfg(test)]
mod tests;
mod userland;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use rserpool_core::association::{AssociationId, ConnectId, Endpoint, Ppid, StreamId, Transmit};
use tokio::sync::{mpsc, oneshot};

use crate::announces::local_addresses;
pub use error::TransportError;
pub(crate) use inbox::{Inbox, OwnedInput};
use lanes::source_towards;
pub use parameters::{ParametersError, SctpParameters};
use tcp::Tcp;
pub use tcp::TcpConfig;

/// How a transport behaves.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TransportConfig {
    /// By which SCTP.
    pub choice: TransportChoice,
    /// The addresses to bind. Of several that are no wildcards peers are told, so that
    /// associations survive the loss of a path; our own SCTP has
    /// [`LOCAL_ADDRESSES_MAX`](rserpool_core::sctp::LOCAL_ADDRESSES_MAX) at most.
    pub addresses: Vec<IpAddr>,
    /// The most associations at a time.
    pub association_count_max: usize,
    /// Bytes to send that an association may hold: also the longest message.
    pub send_buffer_len: usize,
    /// Bytes received that an association may hold: also the longest message.
    pub receive_buffer_len: usize,
    /// How patient SCTP is, the kernel's and ours.
    pub parameters: SctpParameters,
}

/// Which SCTP a transport uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransportChoice {
    /// The kernel's, if it has one, and ours over UDP beside it.
    #[default]
    Auto,
    /// The kernel's alone.
    Kernel,
    /// Ours over UDP alone.
    Udp,
    /// Ours right over IP (protocol 132) alone. It takes the capability CAP_NET_RAW, and a kernel
    /// that has no SCTP of its own loaded.
    Raw,
}

impl Default for TransportConfig {
    /// Whatever SCTP there is, all addresses, 1024 associations, 256 KiB each way, and 10
    /// retransmissions, which take some six minutes.
    fn default() -> Self {
        Self {
            choice: TransportChoice::default(),
            addresses: vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
            association_count_max: 1_024,
            send_buffer_len: 256 << 10,
            receive_buffer_len: 256 << 10,
            parameters: SctpParameters::default(),
        }
    }
}

impl TransportConfig {
    /// The defaults, at one address; a wildcard stands for all addresses of its family.
    #[must_use]
    pub fn at(address: IpAddr) -> Self {
        Self { addresses: vec![address], ..Self::default() }
    }
}

/// An SCTP endpoint, or two, with their sockets. Copies are the same transport; with the last of
/// them and of its ports it ends, and aborts what is still up.
#[derive(Clone, Debug)]
pub struct Transport {
    commands: mpsc::Sender<Command>,
    addresses: Arc<[IpAddr]>,
    parameters: SctpParameters,
}

impl Transport {
    /// Starts a transport; sockets are opened with its ports.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn start(config: TransportConfig) -> Self {
        let (sender, commands) = mpsc::channel(COMMAND_COUNT_MAX);
        let addresses = config.addresses.clone().into();
        tokio::spawn(driver::Driver::new(&config, commands).run());
        Self { commands: sender, addresses, parameters: config.parameters }
    }

    /// Opens SCTP port `port` (0: any free one), to `listen` on or only to connect from.
    ///
    /// `udp_port` pins the UDP port of our own SCTP (0: any free one).
    ///
    /// # Errors
    ///
    /// If the address is in use, none of this machine's, or refused by the operating system; if
    /// kernel SCTP is chosen and there is none; or if the parameters make no sense.
    pub async fn open(
        &self,
        port: u16,
        udp_port: Option<u16>,
        listen: bool,
    ) -> Result<Port, TransportError> {
        self.parameters.check()?;
        let (answer, opened) = oneshot::channel();
        let command = Command::Open { port, udp_port, listen, answer };
        self.commands.send(command).await.map_err(|_| TransportError::Closed)?;
        let Opened { port, udp_ports, by_kernel, inbox } =
            opened.await.map_err(|_| TransportError::Closed)??;
        let commands = self.commands.clone();
        Ok(Port { port, udp_ports, by_kernel, inbox, commands, tcp: None })
    }

    /// Shuts all associations down gracefully; those that take longer than `patience` are
    /// aborted. All ports end.
    pub async fn close(self, patience: Duration) {
        let (answer, closed) = oneshot::channel();
        if self.commands.send(Command::CloseAll { patience, answer }).await.is_ok() {
            let _ = closed.await;
        }
    }

    /// The addresses that it is bound to.
    pub(crate) fn addresses(&self) -> &[IpAddr] {
        &self.addresses
    }

    /// The addresses that peers are told of, if there are several.
    pub(crate) fn told_addresses(&self) -> Vec<IpAddr> {
        told_addresses(&self.addresses)
    }

    /// The addresses by which others may reach it, loopback last: those that it is bound to, and
    /// for a wildcard all of this machine but link-local ones.
    #[must_use]
    pub fn local_addresses(&self) -> Vec<IpAddr> {
        let mut addresses = Vec::new();
        for bound in self.addresses.iter() {
            let is_meant = |address: &IpAddr| address.is_ipv4() == bound.is_ipv4();
            match bound.is_unspecified() {
                true => addresses.extend(local_addresses().into_iter().filter(is_meant)),
                false => addresses.push(*bound),
            }
        }
        addresses.sort_by_key(|address| (address.is_loopback(), address.is_ipv6()));
        addresses
    }

    /// The address by which `remote` sees us: what is bound, or the one that the route to
    /// `remote` has.
    #[must_use]
    pub fn address_towards(&self, remote: IpAddr) -> Option<IpAddr> {
        let same_family = |address: &&IpAddr| address.is_ipv4() == remote.is_ipv4();
        let mut bound = self.addresses.iter().copied().filter(|address| same_family(&address));
        let first = bound.clone().next()?;
        if !first.is_unspecified() && bound.clone().nth(1).is_none() {
            return Some(first);
        }
        let source = source_towards(remote)?;
        let is_it = |bound: &IpAddr| bound.is_unspecified() || *bound == source;
        Some(if bound.any(|bound| is_it(&bound)) { source } else { first })
    }
}

/// An open SCTP port of a transport: what a machine's task holds.
#[derive(Debug)]
pub struct Port {
    port: u16,
    udp_ports: Vec<u16>,
    by_kernel: bool,
    inbox: Inbox,
    commands: mpsc::Sender<Command>,
    /// For pool users and those who serve them.
    tcp: Option<Tcp>,
}

impl Port {
    /// Its SCTP port number.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.port
    }

    /// The UDP ports by which it can be reached, the usual one first; none if it cannot.
    #[must_use]
    pub fn udp_ports(&self) -> &[u16] {
        &self.udp_ports
    }

    /// Whether it can be reached by the kernel's SCTP.
    #[must_use]
    pub fn by_kernel(&self) -> bool {
        self.by_kernel
    }

    /// Serves pool users by TCP, too, at the port of the same number.
    ///
    /// # Errors
    ///
    /// If another program has it.
    pub(crate) fn listen_by_tcp(
        &mut self,
        config: TcpConfig,
        addresses: &[IpAddr],
    ) -> Result<(), TransportError> {
        self.tcp = Some(Tcp::listen(config, addresses, self.port)?);
        Ok(())
    }

    /// Connects by TCP from now on, instead of SCTP.
    pub(crate) fn connect_by_tcp(&mut self) {
        self.tcp = Some(Tcp::to_connect());
    }

    /// The next input; `None` when the transport is gone. Cancelling it loses nothing.
    pub(crate) async fn recv(&self) -> Option<OwnedInput> {
        match &self.tcp {
            None => self.inbox.pop().await,
            Some(tcp) => tokio::select! {
                input = self.inbox.pop() => input,
                input = tcp.recv() => input,
            },
        }
    }

    /// Does what a machine wants; `buf` is the buffer that it wrote to.
    pub(crate) async fn perform(&self, transmit: Transmit, buf: &[u8]) {
        if self.tcp.as_ref().is_some_and(|tcp| tcp.perform(&transmit, buf)) {
            return;
        }
        let action = match transmit {
            Transmit::Connect { connect, endpoint } => Action::Connect { connect, endpoint },
            Transmit::CancelConnect { connect } => Action::CancelConnect { connect },
            Transmit::Message { association, stream, ppid, len } => {
                Action::Message { association, stream, ppid, data: buf[..len].into() }
            }
            Transmit::Shutdown { association } => Action::Shutdown { association },
            Transmit::Abort { association } => Action::Abort { association },
            other => {
                tracing::error!(?other, "the transport does not know this wish of a machine");
                return;
            }
        };
        // A transport that is gone says so by the end of `recv`.
        let _ = self.commands.send(Command::Act { port: self.port, action }).await;
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        let command = Command::Close { port: self.port };
        if let Err(mpsc::error::TrySendError::Full(command)) = self.commands.try_send(command) {
            let commands = self.commands.clone();
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                runtime.spawn(async move { commands.send(command).await });
            }
        }
    }
}

/// What the transport's task is asked to do.
#[derive(Debug)]
enum Command {
    Open {
        port: u16,
        udp_port: Option<u16>,
        listen: bool,
        answer: oneshot::Sender<Result<Opened, TransportError>>,
    },
    Act {
        port: u16,
        action: Action,
    },
    /// The port is not wanted any more; its associations are shut down.
    Close {
        port: u16,
    },
    CloseAll {
        patience: Duration,
        answer: oneshot::Sender<()>,
    },
}

/// A [`Transmit`] that owns its bytes.
#[derive(Debug)]
enum Action {
    Connect { connect: ConnectId, endpoint: Endpoint },
    CancelConnect { connect: ConnectId },
    Message { association: AssociationId, stream: StreamId, ppid: Ppid, data: Vec<u8> },
    Shutdown { association: AssociationId },
    Abort { association: AssociationId },
}

/// What comes of opening a port.
#[derive(Debug)]
struct Opened {
    port: u16,
    udp_ports: Vec<u16>,
    by_kernel: bool,
    inbox: Inbox,
}

/// Of the addresses that we are bound to, those that peers are told of: all if there are several.
/// A wildcard stands for addresses that peers may not be able to use, or have themselves.
fn told_addresses(bound: &[IpAddr]) -> Vec<IpAddr> {
    let told: Vec<_> = bound.iter().copied().filter(|address| !address.is_unspecified()).collect();
    if told.len() > 1 { told } else { Vec::new() }
}

/// Commands that may wait for the transport's task.
const COMMAND_COUNT_MAX: usize = 256;
