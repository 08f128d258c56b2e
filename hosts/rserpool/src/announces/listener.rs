//! Hears announces.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};

use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::interfaces::interfaces;
use super::{AnnounceConfig, Interfaces, REFRESH_INTERVAL};

/// An announce, and who sent it.
pub(crate) type Announce = (SocketAddr, Vec<u8>);

/// Hears announces in all groups that are configured; ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Listener {
    announces: mpsc::Receiver<Announce>,
    _tasks: JoinSet<()>,
}

impl Listener {
    /// Joins the groups of `config`; without one, hears nothing.
    pub(crate) fn start(config: Option<&AnnounceConfig>) -> Self {
        let (sender, announces) = mpsc::channel(ANNOUNCE_COUNT_MAX);
        let mut tasks = JoinSet::new();
        for &group in config.into_iter().flat_map(|config| &config.groups) {
            let interfaces = config.map_or(Interfaces::All, |config| config.interfaces.clone());
            let group = Group { group, interfaces, sender: sender.clone() };
            tasks.spawn(group.listen());
        }
        Self { announces, _tasks: tasks }
    }

    /// The next announce; waits for ever if nothing is heard. Cancelling it loses nothing.
    pub(crate) async fn recv(&mut self) -> Announce {
        match self.announces.recv().await {
            Some(announce) => announce,
            None => std::future::pending().await,
        }
    }
}

/// A group to listen to.
struct Group {
    group: SocketAddr,
    interfaces: Interfaces,
    sender: mpsc::Sender<Announce>,
}

impl Group {
    async fn listen(self) {
        let mut is_told = false;
        loop {
            let refused = match bind(self.group) {
                Ok(socket) => self.receive(&socket).await,
                Err(error) => error,
            };
            let group = self.group;
            if is_told {
                tracing::debug!(%group, error = %refused, "announces are not heard");
            } else {
                tracing::warn!(
                    "announces of registrars to {group} are not heard: {refused}; trying again"
                );
            }
            is_told = true;
            tokio::time::sleep(REFRESH_INTERVAL).await;
        }
    }

    /// Hands announces on until the socket fails.
    async fn receive(&self, socket: &UdpSocket) -> io::Error {
        let mut joined = BTreeSet::new();
        let mut refresh_at = Instant::now();
        let mut buf = [0; ANNOUNCE_LEN_MAX];
        loop {
            if refresh_at <= Instant::now() {
                self.join(socket, &mut joined);
                refresh_at = Instant::now() + REFRESH_INTERVAL;
            }
            let received = tokio::select! {
                received = socket.recv_from(&mut buf) => received,
                () = sleep_until(refresh_at) => continue,
            };
            match received {
                // One too many is like one that got lost: it will be repeated.
                Ok((len, source)) => {
                    let _ = self.sender.try_send((source, buf[..len].to_vec()));
                }
                Err(error) => return error,
            }
        }
    }

    /// Joins the group at interfaces where it is not joined yet.
    fn join(&self, socket: &UdpSocket, joined: &mut BTreeSet<u32>) {
        let interfaces = interfaces(&self.interfaces);
        // An interface that is gone has left the group, and may come back.
        joined.retain(|index| interfaces.iter().any(|interface| interface.index == *index));
        for interface in interfaces {
            let index = interface.index;
            let has_family = |address: &IpAddr| address.is_ipv4() == self.group.is_ipv4();
            if joined.contains(&index) || !interface.addresses.iter().any(has_family) {
                continue;
            }
            match join_at(socket, self.group.ip(), index) {
                Ok(()) => {
                    joined.insert(index);
                }
                Err(error) => {
                    tracing::debug!(?interface, group = %self.group, %error, "not joined");
                }
            }
        }
    }
}

fn bind(group: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(group), Type::DGRAM, Some(Protocol::UDP))?;
    // Every process on the machine may listen.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    // Only what comes by an interface that this socket has joined at.
    if group.is_ipv4() {
        socket.set_multicast_all_v4(false)?;
    } else {
        socket.set_only_v6(true)?;
        socket.set_multicast_all_v6(false)?;
    }
    // Bound to the group: datagrams to the port that are sent to us alone are none of ours.
    socket.bind(&group.into())?;
    UdpSocket::from_std(socket.into())
}

fn join_at(socket: &UdpSocket, group: IpAddr, index: u32) -> io::Result<()> {
    let socket = socket2::SockRef::from(socket);
    let joined = match group {
        IpAddr::V4(group) => {
            socket.join_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(index))
        }
        IpAddr::V6(group) => socket.join_multicast_v6(&group, index),
    };
    match joined {
        // It came back before it was missed.
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(()),
        joined => joined,
    }
}

/// Announces that may wait for the machine.
const ANNOUNCE_COUNT_MAX: usize = 64;

/// Far longer than any announce.
const ANNOUNCE_LEN_MAX: usize = 2_048;
