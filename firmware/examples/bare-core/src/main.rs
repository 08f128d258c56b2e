//! The protocol core alone in someone's own firmware: no embassy, no executor, no allocator.
//!
//! Three machines and a main loop. SCTP turns packets into associations and messages; the pool
//! element keeps us registered; the worker computes. Each is driven in the same way: give it
//! what came in, then drain `poll_transmit` and `poll_event`, then come back by `poll_timeout`.
//! [`node`] is that; [`radio`] is where your modem's driver goes.
#![no_std]
#![no_main]

mod node;
mod radio;

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;

use cortex_m_rt::entry;
use rserpool_core::asap::cookie::CookieKey;
use rserpool_core::association::Endpoint;
use rserpool_core::machine::Machine;
use static_cell::ConstStaticCell;

use crate::node::{Memory, Node};
use crate::radio::{Modem, Radio};

/// Zeros only, so it lies in `.bss`.
static MEMORY: ConstStaticCell<Memory> = ConstStaticCell::new(Memory::new());

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 21));
const REGISTRAR: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 77, 0, 11)), 3863);
/// Units of work between two looks at the radio: some milliseconds.
const SLICE: u32 = 20_000;
const IDLE: Duration = Duration::from_secs(1);

#[entry]
fn main() -> ! {
    let mut radio = Modem::new();
    let now = radio.now();
    let key = CookieKey::new([7; 32]);
    let mut node = Node::new(MEMORY.take(), HERE, radio.entropy(), key);
    // Both fail only for reasons that are constants here: too many registrars, a bad address.
    let _ = node.element.add_registrar(&Endpoint::new(REGISTRAR));
    let _ = node.register(now);
    let mut packet = [0; node::PACKET_LEN];
    loop {
        let now = radio.now();
        while let Some((remote, len)) = radio.receive(&mut packet) {
            node.on_packet(now, remote, packet.get(..len).unwrap_or_default());
        }
        node.handle_timeout(now);
        let is_busy = node.worker.run(SLICE);
        node.exchange(now);
        while let Some(sent) = node.sctp.poll_transmit(now, &mut packet) {
            radio.send(sent.remote, packet.get(..sent.len).unwrap_or_default());
        }
        if !is_busy {
            radio.sleep_until(node.poll_timeout().unwrap_or(now + IDLE));
        }
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    cortex_m::peripheral::SCB::sys_reset()
}
