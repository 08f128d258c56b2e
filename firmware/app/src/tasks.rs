//! The task that is a pool element, over embassy-net.
//!
//! One task owns the node. Talking and computing take turns: what came in, what is owed, one
//! slice of a kernel, and then other tasks (embassy-net's among them).

use core::future::{Future, poll_fn};
use core::net::{IpAddr, SocketAddr};
use core::pin::pin;
use core::task::{Context, Poll};

use embassy_futures::yield_now;
use embassy_net::Stack;
use embassy_net::udp::{self, UdpSocket};
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::signal::Signal;
use embassy_time::{Duration, Timer};
use rserpool_core::time::Instant;
use static_cell::ConstStaticCell;

use crate::net::{HEADROOM, PACKET_LEN, SctpSocket, SocketMemory, SocketNotes, address_of, watch};
use crate::node::{Node, NodeMemory};
use crate::settings::Settings;
use crate::{Command, Event, Status};

/// How a board's user tells the element what to do.
pub type Commands = Signal<CriticalSectionRawMutex, Command>;

/// Runs the pool element until it was told to stop and has left its pool.
///
/// `seed` must be random; `commands` may be signalled from anywhere; `observe` is told every
/// event.
///
/// # Panics
///
/// If it is called twice: there is memory for one element.
pub async fn run_element(
    stack: Stack<'static>,
    settings: &Settings,
    seed: [u8; 32],
    commands: &Commands,
    observe: &mut dyn FnMut(&Event, &Status),
) {
    let memory = MEMORY.take();
    let mut notes = SocketNotes::new();
    let mut announce_notes = [udp::PacketMetadata::EMPTY; 2];
    let node = Node::new(settings, seed, NODE_MEMORY.take());
    let mut element = Element {
        stack,
        settings,
        node,
        commands,
        observe,
        packet: &mut memory.packet,
        address: None,
        unflushed: None,
    };
    loop {
        let socket = SctpSocket::open(stack, settings, &mut notes, &mut memory.sctp);
        let announces = settings
            .listens_for_announces
            .then(|| open_announces(stack, &mut announce_notes, &mut memory.announces));
        if element.serve(socket, announces.as_ref()).await == Serve::Stopped {
            return;
        }
    }
}

/// How serving ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Serve {
    /// The node has left its pool.
    Stopped,
    /// The socket does not get rid of its packets: smoltcp keeps one for a neighbour that does
    /// not answer, and all others behind it. A new socket begins without them; SCTP sends again.
    Stuck,
}

struct Element<'e> {
    stack: Stack<'static>,
    settings: &'e Settings,
    node: &'e mut Node<'static>,
    commands: &'e Commands,
    observe: &'e mut dyn FnMut(&Event, &Status),
    packet: &'e mut [u8; PACKET_LEN],
    /// Our address, as the node knows it.
    address: Option<IpAddr>,
    /// Since when packets have been on their way through the socket.
    unflushed: Option<Instant>,
}

impl Element<'_> {
    async fn serve(
        &mut self,
        mut socket: SctpSocket<'_>,
        announces: Option<&UdpSocket<'_>>,
    ) -> Serve {
        self.unflushed = None;
        loop {
            self.look_at_link();
            self.receive(&socket, announces).await;
            self.node.work(SLICE_UNITS);
            if self.transmit(&socket).await.is_err() || self.is_stuck(&mut socket).await {
                return Serve::Stuck;
            }
            if self.tell() {
                return Serve::Stopped;
            }
            if self.node.wants_work() {
                yield_now().await;
                self.look_at_time();
            } else {
                self.wait(&socket, announces).await;
            }
        }
    }

    /// Tells the node when its address comes, goes or changes.
    fn look_at_link(&mut self) {
        let address = address_of(self.stack, self.settings);
        if address == self.address {
            return;
        }
        self.address = address;
        match address {
            Some(address) => {
                // What has no room or no such family hears no announces.
                let _ = match address {
                    IpAddr::V4(_) => self.stack.join_multicast_group(ANNOUNCE_GROUP),
                    #[cfg(feature = "ipv6")]
                    IpAddr::V6(_) => self.stack.join_multicast_group(ANNOUNCE_GROUP_V6),
                    #[cfg(not(feature = "ipv6"))]
                    IpAddr::V6(_) => Ok(()),
                };
                self.node.link_up(now(), address);
            }
            None => self.node.link_down(now()),
        }
    }

    fn look_at_time(&mut self) {
        let now = now();
        if self.node.poll_timeout().is_some_and(|timeout| timeout <= now) {
            self.node.handle_timeout(now);
        }
        if let Some(command) = self.commands.try_take() {
            self.node.command(now, command);
        }
    }

    /// Hands the node what has come in.
    async fn receive(&mut self, socket: &SctpSocket<'_>, announces: Option<&UdpSocket<'_>>) {
        let Some(local) = self.address else { return };
        poll_fn(|cx| {
            for _ in 0..BURST_MAX {
                let take = |datagram: rserpool_core::sctp::Datagram<'_>| {
                    self.node.handle_datagram(now(), datagram);
                };
                if socket.poll_receive(cx, local, self.packet, take).is_pending() {
                    break;
                }
            }
            if let Some(announces) = announces {
                for _ in 0..BURST_MAX {
                    let Poll::Ready(received) = announces.poll_recv_from(self.packet, cx) else {
                        break;
                    };
                    let Ok((len, meta)) = received else { continue };
                    let source = SocketAddr::new(meta.endpoint.addr.into(), meta.endpoint.port);
                    if let Some(bytes) = self.packet.get(..len) {
                        self.node.handle_announce(now(), source, bytes);
                    }
                }
            }
            Poll::Ready(())
        })
        .await;
    }

    /// Sends what the node owes.
    async fn transmit(&mut self, socket: &SctpSocket<'_>) -> Result<(), Stuck> {
        // Without an address it is lost, as the peers will notice.
        let local = self.address;
        while let Some(packet) = self.node.poll_datagram(now(), &mut self.packet[HEADROOM..]) {
            let Some(local) = local else { continue };
            self.unflushed.get_or_insert(now());
            let mut give_up = pin!(Timer::after(STUCK_AFTER));
            poll_fn(|cx| {
                if socket.poll_send(cx, local, &packet, self.packet).is_ready() {
                    return Poll::Ready(Ok(()));
                }
                give_up.as_mut().poll(cx).map(|()| Err(Stuck))
            })
            .await?;
        }
        Ok(())
    }

    /// Whether packets stay in the socket.
    async fn is_stuck(&mut self, socket: &mut SctpSocket<'_>) -> bool {
        let Some(since) = self.unflushed else { return false };
        let is_flushed =
            poll_fn(|cx: &mut Context<'_>| Poll::Ready(socket.poll_flushed(cx).is_ready())).await;
        if is_flushed {
            self.unflushed = None;
            return false;
        }
        now().saturating_duration_since(since).as_micros() >= u128::from(STUCK_AFTER.as_micros())
    }

    /// Tells the user what happened; true when that was the end.
    fn tell(&mut self) -> bool {
        while let Some(event) = self.node.poll_event() {
            let status = self.node.status();
            (self.observe)(&event, &status);
            if event == Event::Stopped {
                return true;
            }
        }
        false
    }

    /// Waits until there is something to do.
    async fn wait(&mut self, socket: &SctpSocket<'_>, announces: Option<&UdpSocket<'_>>) {
        let timeout = self.node.poll_timeout();
        let check = self.unflushed.map(|since| since + core::time::Duration::from_millis(100));
        let wake_at = Instant::earliest(timeout, check);
        let mut timer = pin!(Timer::at(embassy(wake_at.unwrap_or(Instant::NEVER))));
        let mut command = pin!(self.commands.wait());
        let commanded = poll_fn(|cx| {
            if let Poll::Ready(command) = command.as_mut().poll(cx) {
                return Poll::Ready(Some(command));
            }
            let is_readable = socket.poll_readable(cx).is_ready();
            let is_announced =
                announces.is_some_and(|announces| announces.poll_recv_ready(cx).is_ready());
            let is_due = timer.as_mut().poll(cx).is_ready();
            watch(self.stack, cx);
            let is_changed = address_of(self.stack, self.settings) != self.address;
            if is_readable || is_announced || is_due || is_changed {
                return Poll::Ready(None);
            }
            Poll::Pending
        })
        .await;
        if let Some(command) = commanded {
            self.node.command(now(), command);
        }
        self.look_at_time();
    }
}

/// The ring of the socket did not empty.
struct Stuck;

/// The time as the node counts it.
fn now() -> Instant {
    Instant::from_micros(embassy_time::Instant::now().as_micros())
}

fn embassy(at: Instant) -> embassy_time::Instant {
    if at == Instant::NEVER {
        return embassy_time::Instant::MAX;
    }
    embassy_time::Instant::from_micros(at.as_micros())
}

struct Memory {
    sctp: SocketMemory,
    announces: [u8; ANNOUNCES_LEN],
    packet: [u8; PACKET_LEN],
}

fn open_announces<'a>(
    stack: Stack<'a>,
    notes: &'a mut [udp::PacketMetadata],
    memory: &'a mut [u8],
) -> UdpSocket<'a> {
    let mut socket = UdpSocket::new(stack, notes, memory, &mut [], &mut []);
    // Only port 0 is refused, and a socket that is bound: neither is so.
    let _ = socket.bind(ANNOUNCE_PORT);
    socket
}

/// All zero bits, so that it takes no flash.
static MEMORY: ConstStaticCell<Memory> = ConstStaticCell::new(Memory {
    sctp: SocketMemory::new(),
    announces: [0; ANNOUNCES_LEN],
    packet: [0; PACKET_LEN],
});
static NODE_MEMORY: ConstStaticCell<NodeMemory<'static>> = ConstStaticCell::new(NodeMemory::new());

/// Where registrars announce themselves: RSPLIB's group and port, with IPv6 the RFC's.
const ANNOUNCE_GROUP: core::net::Ipv4Addr = core::net::Ipv4Addr::new(239, 0, 0, 50);
#[cfg(feature = "ipv6")]
const ANNOUNCE_GROUP_V6: core::net::Ipv6Addr =
    core::net::Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 0, 0x133);
const ANNOUNCE_PORT: u16 = 3_863;
const ANNOUNCES_LEN: usize = 256;

/// How much is computed before others have their turn: some milliseconds on a Cortex-M3.
const SLICE_UNITS: u32 = 1_024;
/// Packets taken before the node may speak.
const BURST_MAX: usize = 8;
/// How long a packet may stay in the socket.
const STUCK_AFTER: Duration = Duration::from_millis(500);
