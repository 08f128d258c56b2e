//! A fictional modem that carries SCTP packets. Yours replaces [`Modem`].

use core::hint::black_box;
use core::net::IpAddr;

use rserpool_core::entropy::{Entropy, SplitMix64};
use rserpool_core::time::Instant;

use crate::node::PACKET_LEN;

/// What the core needs of a board: packets, a clock and randomness.
pub(crate) trait Radio {
    /// A packet that came in, from the SCTP header on, copied into `buf`: from where, and its
    /// length.
    fn receive(&mut self, buf: &mut [u8]) -> Option<(IpAddr, usize)>;
    /// Sends an SCTP packet; one that cannot be sent is lost, and SCTP sends it again.
    fn send(&mut self, remote: IpAddr, packet: &[u8]);
    /// The time since start.
    fn now(&self) -> Instant;
    /// Sleeps until a packet comes in, or until `deadline`.
    fn sleep_until(&mut self, deadline: Instant);
    /// A generator. On a real board: its hardware generator, since SCTP's tags must be secret.
    fn entropy(&mut self) -> impl Entropy + 'static;
}

/// What is sent comes back.
pub(crate) struct Modem {
    packet: [u8; PACKET_LEN],
    waiting: Option<(IpAddr, usize)>,
    micros: u64,
}

impl Modem {
    pub(crate) fn new() -> Self {
        Self { packet: [0; PACKET_LEN], waiting: None, micros: 0 }
    }
}

impl Radio for Modem {
    fn receive(&mut self, buf: &mut [u8]) -> Option<(IpAddr, usize)> {
        // A black box, so that the compiler does not reason about what comes in.
        let (remote, len) = black_box(self.waiting.take())?;
        buf.get_mut(..len)?.copy_from_slice(black_box(&self.packet).get(..len)?);
        Some((remote, len))
    }

    fn send(&mut self, remote: IpAddr, packet: &[u8]) {
        if let Some(place) = self.packet.get_mut(..packet.len()) {
            place.copy_from_slice(packet);
            self.waiting = Some((remote, packet.len()));
        }
    }

    fn now(&self) -> Instant {
        Instant::from_micros(black_box(self.micros))
    }

    fn sleep_until(&mut self, deadline: Instant) {
        self.micros = deadline.as_micros();
        cortex_m::asm::wfi();
    }

    fn entropy(&mut self) -> impl Entropy + 'static {
        SplitMix64::new(black_box(1))
    }
}
