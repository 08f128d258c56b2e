//! The network's thread: sockets, time, and the switch between them.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixDatagram};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant as WallInstant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rserpool_core::time::Instant;
use smoltcp::wire::EthernetAddress;
use socket2::{Domain, Protocol, Socket, Type};

use crate::addresses;
use crate::error::BenchError;
use crate::impairment::Impairment;
use crate::switch::{BoardId, Counters, Outside, SocketId, Switch};

/// A network for boards. It ends when it is dropped.
#[derive(Debug)]
pub struct Network {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    folder: tempfile::TempDir,
}

/// A board's link to the network; unplugged when it is dropped.
#[derive(Debug)]
pub struct Link {
    id: BoardId,
    address: Ipv4Addr,
    mac: [u8; 6],
    switch_path: PathBuf,
    board_path: PathBuf,
    shared: Arc<Shared>,
    /// Says on this machine that the address is ours.
    _claim: UnixDatagram,
}

impl Network {
    /// Starts a network; what its links do to frames follows `seed`.
    ///
    /// # Errors
    ///
    /// If the operating system refuses a folder, a socket or a thread.
    pub fn start(seed: u64) -> Result<Self, BenchError> {
        let folder = tempfile::Builder::new().prefix("rsp-boards-").tempdir();
        let folder = folder.map_err(BenchError::system("make a folder for sockets"))?;
        let (waker, wakened) =
            UnixDatagram::pair().map_err(BenchError::system("make a pair of sockets"))?;
        for socket in [&waker, &wakened] {
            socket.set_nonblocking(true).map_err(BenchError::system("set up a socket"))?;
        }
        let world = World::default();
        let state = State { switch: Switch::new(seed), world, is_ending: false };
        let shared =
            Arc::new(Shared { state: Mutex::new(state), start: WallInstant::now(), waker });
        let of_thread = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("board-network".into())
            .spawn(move || run(&of_thread, &wakened))
            .map_err(BenchError::system("start a thread"))?;
        Ok(Self { shared, thread: Some(thread), folder })
    }

    /// From now on the boards hear announcements of registrars that come by multicast on the
    /// loopback interface: all of them, or those of the registrar with one identifier.
    ///
    /// # Errors
    ///
    /// If the operating system refuses to join a group.
    pub fn hear_announces(&self, of: Option<u32>) -> Result<(), BenchError> {
        let mut groups = Vec::new();
        for group in GROUPS {
            let socket = join(group).map_err(BenchError::system(format!("join {group}")))?;
            groups.push((group, Arc::new(socket)));
        }
        let mut state = self.shared.lock();
        state.world.groups = groups;
        state.world.announcer = of;
        drop(state);
        self.shared.wake();
        Ok(())
    }

    /// From now on boards that ask for their address by DHCP have it for that long, in whole
    /// seconds, before they must renew; an hour if this is not called.
    pub fn set_lease_duration(&self, duration: Duration) {
        self.shared.lock().switch.set_lease_duration(duration);
    }

    /// Plugs a board in: its address, in the network 127.0.0.0/8, from which its MAC address
    /// follows.
    ///
    /// # Errors
    ///
    /// If another board on this machine has the address, or the operating system refuses the
    /// socket of the link.
    pub fn plug(&self, address: Ipv4Addr) -> Result<Link, BenchError> {
        let claim = claim(address);
        self.plug_claimed(address, claim.map_err(BenchError::system(format!("claim {address}")))?)
    }

    /// Plugs a board in at an address that no other board on this machine has.
    ///
    /// # Errors
    ///
    /// If there is none, or the operating system refuses the socket of the link.
    pub fn plug_anywhere(&self) -> Result<Link, BenchError> {
        // Where others are less likely to look: but for that the order does not matter.
        let start = std::process::id() as u16;
        let mut refusal = None;
        for step in 0..ADDRESS_COUNT {
            // The last octet is never 0 nor 255.
            let number = start.wrapping_add(step) % ADDRESS_COUNT;
            let [third, last] = [number / 250, number % 250 + 2].map(|octet| octet as u8);
            let address = Ipv4Addr::new(127, 77, third, last);
            match claim(address) {
                Ok(claim) => return self.plug_claimed(address, claim),
                Err(error) => refusal = Some(error),
            }
        }
        let error = refusal.unwrap_or_else(|| io::ErrorKind::AddrInUse.into());
        Err(BenchError::system("find a free address for a board")(error))
    }

    fn plug_claimed(&self, address: Ipv4Addr, claim: UnixDatagram) -> Result<Link, BenchError> {
        let [a, b, c, d] = address.octets();
        let mac = [0x02, 0x00, a, b, c, d];
        let mut state = self.shared.lock();
        let State { switch, world, .. } = &mut *state;
        let id = switch.add(address, EthernetAddress(mac), world);
        let path = |side: &str| self.folder.path().join(format!("{}.{side}", id.0));
        let (switch_path, board_path) = (path("switch"), path("board"));
        let bound = UnixDatagram::bind(&switch_path)
            .and_then(|socket| socket.set_nonblocking(true).map(|()| socket));
        match bound {
            Ok(socket) => {
                let cable = Cable {
                    socket: Arc::new(socket),
                    board_path: board_path.clone(),
                    waiting: VecDeque::new(),
                };
                world.cables.insert(id, cable);
            }
            Err(error) => {
                switch.remove(id, world);
                return Err(BenchError::system("bind a board's link")(error));
            }
        }
        drop(state);
        self.shared.wake();
        let shared = Arc::clone(&self.shared);
        Ok(Link { id, address, mac, switch_path, board_path, shared, _claim: claim })
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.shared.lock().is_ending = true;
        self.shared.wake();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Link {
    /// The board's address.
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// The IPv6 address that the board may have, in a network of 64 bits, or finds by itself.
    #[must_use]
    pub fn address_v6(&self) -> Ipv6Addr {
        addresses::v6_of(EthernetAddress(self.mac))
    }

    /// An SCTP port for the board's service over IPv6: processes reach it at `::1`, which all
    /// boards share, at the UDP port of the same number.
    ///
    /// # Errors
    ///
    /// If there is none, or this machine has no IPv6.
    pub fn open_lane(&self) -> Result<u16, BenchError> {
        let mut state = self.shared.lock();
        let State { switch, world, .. } = &mut *state;
        let port = switch.open_lane(self.id, world);
        drop(state);
        self.shared.wake();
        let refusal = || io::Error::from(io::ErrorKind::AddrNotAvailable);
        port.ok_or_else(refusal).map_err(BenchError::system("find a port at ::1 for a board"))
    }

    /// The board's MAC address.
    #[must_use]
    pub fn mac(&self) -> [u8; 6] {
        self.mac
    }

    /// The switch's end: a UNIX datagram socket that takes one frame a datagram.
    #[must_use]
    pub fn switch_path(&self) -> &Path {
        &self.switch_path
    }

    /// Where the board's end is to be bound.
    #[must_use]
    pub fn board_path(&self) -> &Path {
        &self.board_path
    }

    /// Makes the link worse, or better.
    pub fn impair(&self, impairment: Impairment) {
        self.shared.lock().switch.impair(self.id, impairment);
    }

    /// What the link has seen.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.shared.lock().switch.counters(self.id)
    }

    /// Puts any bytes on the link as a frame to the board; `false` if it has no room now.
    pub fn inject(&self, frame: &[u8]) -> bool {
        let mut state = self.shared.lock();
        let State { switch, world, .. } = &mut *state;
        // What the network has to say comes first.
        let has_room = world.cables.get(&self.id).is_some_and(|cable| cable.waiting.is_empty());
        has_room && switch.inject(self.id, frame, world)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        let State { switch, world, .. } = &mut *state;
        switch.remove(self.id, world);
        world.cables.remove(&self.id);
        drop(state);
        self.shared.wake();
        let _ = std::fs::remove_file(&self.switch_path);
    }
}

/// What the network's thread and its handles share.
#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    start: WallInstant,
    waker: UnixDatagram,
}

#[derive(Debug)]
struct State {
    switch: Switch,
    world: World,
    is_ending: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves frames half-way, no more.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the thread look at what has changed.
    fn wake(&self) {
        // If there is no room, it has been woken already.
        let _ = self.waker.send(&[0]);
    }

    fn now(&self) -> Instant {
        let micros = self.start.elapsed().as_micros();
        Instant::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }
}

/// The real sockets.
#[derive(Debug, Default)]
struct World {
    cables: BTreeMap<BoardId, Cable>,
    sockets: BTreeMap<SocketId, Arc<UdpSocket>>,
    groups: Vec<(SocketAddrV4, Arc<UdpSocket>)>,
    /// Whose announcements the boards hear; `None`: all.
    announcer: Option<u32>,
    next_socket: u32,
}

/// Our end of a board's link.
#[derive(Debug)]
struct Cable {
    socket: Arc<UnixDatagram>,
    board_path: PathBuf,
    /// Frames that the board's end had no room for.
    waiting: VecDeque<Vec<u8>>,
}

impl Cable {
    /// Sends what waits, as far as there is room.
    fn flush(&mut self) {
        while let Some(frame) = self.waiting.front() {
            match self.socket.send_to(frame, &self.board_path) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // Without a board at the other end frames go nowhere.
                _ => self.waiting.pop_front(),
            };
        }
    }
}

impl Outside for World {
    fn bind(&mut self, address: SocketAddr) -> Option<SocketId> {
        let socket = UdpSocket::bind(address).ok()?;
        socket.set_nonblocking(true).ok()?;
        let socket = Socket::from(socket);
        if address.is_ipv4() {
            // What a board says to a group is for this machine alone.
            socket.set_multicast_if_v4(&Ipv4Addr::LOCALHOST).ok()?;
        }
        let id = SocketId(self.next_socket);
        self.next_socket += 1;
        self.sockets.insert(id, Arc::new(socket.into()));
        Some(id)
    }

    fn port_of(&self, socket: SocketId) -> Option<u16> {
        Some(self.sockets.get(&socket)?.local_addr().ok()?.port())
    }

    fn unbind(&mut self, socket: SocketId) {
        self.sockets.remove(&socket);
    }

    fn send(&mut self, socket: SocketId, to: SocketAddr, data: &[u8]) {
        if let Some(socket) = self.sockets.get(&socket) {
            // A datagram that is refused is lost, as any other may be. The error may be that of
            // an earlier one, and is cleared by being told.
            if socket.send_to(data, to).is_err() {
                let _ = socket.send_to(data, to);
            }
        }
    }

    fn deliver(&mut self, board: BoardId, frame: &[u8]) -> bool {
        let Some(cable) = self.cables.get_mut(&board) else { return false };
        if cable.waiting.len() >= WAITING_COUNT_MAX {
            return false;
        }
        cable.waiting.push_back(frame.to_vec());
        cable.flush();
        true
    }
}

/// What a readable socket belongs to.
enum Source {
    Waker,
    Cable(BoardId, Arc<UnixDatagram>),
    Socket(SocketId, Arc<UdpSocket>),
    Group(SocketAddrV4, Arc<UdpSocket>),
}

/// Carries frames and datagrams until the network is dropped.
fn run(shared: &Shared, wakened: &UnixDatagram) {
    let mut buf = vec![0; BUFFER_LEN];
    loop {
        let state = shared.lock();
        if state.is_ending {
            return;
        }
        let sources = state.world.sources();
        let timeout = state.poll_timeout(shared.now());
        drop(state);
        let readable = wait(&sources, wakened, timeout);
        let mut state = shared.lock();
        let now = shared.now();
        for (source, is_readable) in sources.iter().zip(readable) {
            if is_readable {
                state.read(now, source, wakened, &mut buf);
            }
        }
        let State { switch, world, .. } = &mut *state;
        switch.handle_timeout(now, world);
        for cable in world.cables.values_mut() {
            cable.flush();
        }
    }
}

/// Waits until something can be read, and says what.
fn wait(sources: &[Source], wakened: &UnixDatagram, timeout: PollTimeout) -> Vec<bool> {
    let mut fds = Vec::with_capacity(sources.len());
    for source in sources {
        let fd = match source {
            Source::Waker => wakened.as_fd(),
            Source::Cable(_, socket) => socket.as_fd(),
            Source::Socket(_, socket) | Source::Group(_, socket) => socket.as_fd(),
        };
        fds.push(PollFd::new(fd, PollFlags::POLLIN));
    }
    // An interrupted wait finds nothing, and is repeated.
    let _ = poll(&mut fds, timeout);
    fds.iter().map(|fd| fd.any().unwrap_or(false)).collect()
}

impl World {
    /// Whether an announcement is for our boards: the identifier of the registrar comes after
    /// the header of the message (RFC 5352 §2.2.10).
    fn is_meant(&self, announcement: &[u8]) -> bool {
        let said = announcement.get(4..8);
        self.announcer.is_none_or(|wanted| said == Some(&wanted.to_be_bytes()))
    }

    fn sources(&self) -> Vec<Source> {
        let cables = self.cables.iter();
        let cables = cables.map(|(&id, cable)| Source::Cable(id, Arc::clone(&cable.socket)));
        let sockets = self.sockets.iter();
        let sockets = sockets.map(|(&id, socket)| Source::Socket(id, Arc::clone(socket)));
        let groups = self.groups.iter();
        let groups = groups.map(|(group, socket)| Source::Group(*group, Arc::clone(socket)));
        std::iter::once(Source::Waker).chain(cables).chain(sockets).chain(groups).collect()
    }
}

impl State {
    fn poll_timeout(&self, now: Instant) -> PollTimeout {
        if self.world.cables.values().any(|cable| !cable.waiting.is_empty()) {
            return PollTimeout::from(1_u8);
        }
        let Some(at) = self.switch.poll_timeout() else { return PollTimeout::NONE };
        // Rounded up, so that it is due when we look.
        let millis = at.saturating_duration_since(now).as_micros().div_ceil(1_000);
        PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX)
    }

    /// Reads what there is at one socket, within bounds.
    fn read(&mut self, now: Instant, source: &Source, wakened: &UnixDatagram, buf: &mut [u8]) {
        let Self { switch, world, .. } = self;
        for _ in 0..BATCH_COUNT_MAX {
            let is_read = match source {
                Source::Waker => wakened.recv(buf).is_ok(),
                Source::Cable(id, socket) => match socket.recv(buf) {
                    Ok(len) => {
                        switch.handle_frame(now, *id, &buf[..len], world);
                        true
                    }
                    Err(_) => false,
                },
                Source::Socket(id, socket) => match socket.recv_from(buf) {
                    Ok((len, from)) => {
                        switch.handle_datagram(now, *id, from, &buf[..len], world);
                        true
                    }
                    Err(_) => false,
                },
                Source::Group(group, socket) => match socket.recv_from(buf) {
                    Ok((len, from)) => {
                        if world.is_meant(&buf[..len]) {
                            switch.handle_multicast(
                                now,
                                from,
                                (*group).into(),
                                &buf[..len],
                                world,
                            );
                        }
                        true
                    }
                    Err(_) => false,
                },
            };
            if !is_read {
                return;
            }
        }
    }
}

/// Takes an address for a board, against every other network on this machine: UDP sockets would
/// not tell, for they look for another port if theirs is taken.
fn claim(address: Ipv4Addr) -> io::Result<UnixDatagram> {
    let name = format!("rsp-board-{address}");
    UnixDatagram::bind_addr(&UnixAddr::from_abstract_name(name)?)
}

/// A socket that hears what is said to a group on the loopback interface.
fn join(group: SocketAddrV4) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    // Bound to the group, so that nothing else that comes to the port arrives here.
    socket.bind(&SocketAddr::new(IpAddr::V4(*group.ip()), group.port()).into())?;
    socket.join_multicast_v4(group.ip(), &Ipv4Addr::LOCALHOST)?;
    Ok(socket.into())
}

/// Where registrars announce themselves to pool elements: RSPLIB's group and that of the RFC.
const GROUPS: [SocketAddrV4; 2] = [
    SocketAddrV4::new(Ipv4Addr::new(239, 0, 0, 50), 3863),
    SocketAddrV4::new(Ipv4Addr::new(224, 0, 1, 185), 3863),
];

/// Addresses that are tried for a board.
const ADDRESS_COUNT: u16 = 250 * 250;

/// Frames that may wait for a board.
const WAITING_COUNT_MAX: usize = 256;

/// Datagrams that are read from one socket before others have their turn.
const BATCH_COUNT_MAX: usize = 64;

/// Room for any datagram.
const BUFFER_LEN: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_boards_only() {
        let networks = [1, 2].map(|seed| Network::start(seed).unwrap());
        let first = networks[0].plug_anywhere().unwrap();
        assert!(networks[1].plug(first.address()).is_err());
        let second = networks[1].plug_anywhere().unwrap();
        assert_ne!(first.address(), second.address());
        let address = first.address();
        drop(first);
        networks[1].plug(address).unwrap();
    }
}
