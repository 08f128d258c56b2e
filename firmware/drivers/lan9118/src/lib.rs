#![doc = include_str!("../README.md")]
#![cfg_attr(not(test), no_std)]
#![deny(unsafe_code)]

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use core::task::Context;

use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState};
use embassy_sync::waitqueue::AtomicWaker;

mod chip;
mod mmio;
mod registers;
#[cfg(test)]
mod tests;

use chip::{Chip, Received};
pub use mmio::Mmio;

/// Access to the registers of one chip.
///
/// [`Mmio`] is the usual one. Implement it yourself for a chip behind another bus, or for a
/// simulated one.
pub trait Registers {
    /// Reads the register at `offset` (in bytes, a multiple of 4, below 256).
    fn read(&mut self, offset: usize) -> u32;

    /// Writes it.
    fn write(&mut self, offset: usize, value: u32);
}

/// The longest frame without its check sequence.
pub const FRAME_LEN_MAX: usize = 1514;

/// Memory for one frame each way.
///
/// All zero, so that a static one takes no flash.
#[derive(Debug)]
pub struct Buffers {
    receive: [u8; FRAME_LEN_MAX],
    send: [u8; FRAME_LEN_MAX],
}

impl Buffers {
    /// Empty buffers.
    #[must_use]
    pub const fn new() -> Self {
        Self { receive: [0; FRAME_LEN_MAX], send: [0; FRAME_LEN_MAX] }
    }
}

impl Default for Buffers {
    fn default() -> Self {
        Self::new()
    }
}

/// Why the chip could not be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Error {
    /// The chip does not wake up (PMT_CTRL). Is there one at this address?
    NotReady,
    /// BYTE_TEST reads this instead of 0x8765_4321: wrong address, bus width or byte order.
    ByteTest(u32),
    /// The identification is of no chip that this driver knows.
    UnknownChip(u16),
    /// The software reset does not end.
    Reset,
    /// Loading the MAC address from the EEPROM does not end.
    Eeprom,
    /// The MAC does not answer.
    Mac,
    /// The PHY does not answer.
    Phy,
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::NotReady => f.write_str("the chip does not wake up"),
            Self::ByteTest(value) => write!(f, "BYTE_TEST reads {value:#010x}"),
            Self::UnknownChip(id) => write!(f, "unknown chip {id:#06x}"),
            Self::Reset => f.write_str("the reset does not end"),
            Self::Eeprom => f.write_str("the EEPROM does not answer"),
            Self::Mac => f.write_str("the MAC does not answer"),
            Self::Phy => f.write_str("the PHY does not answer"),
        }
    }
}

impl core::error::Error for Error {}

/// What the driver and the interrupt handler share; put it in a static.
pub struct State {
    receive: AtomicWaker,
    send: AtomicWaker,
    link: AtomicWaker,
    /// The PHY wants to be asked.
    phy: AtomicBool,
    bad_frames: AtomicU32,
}

impl State {
    /// Nobody waits, nothing has happened.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            receive: AtomicWaker::new(),
            send: AtomicWaker::new(),
            link: AtomicWaker::new(),
            phy: AtomicBool::new(false),
            bad_frames: AtomicU32::new(0),
        }
    }

    /// Call this from the interrupt handler of the chip's line.
    ///
    /// Disables the chip's interrupts and wakes whoever waits; they enable what they need.
    pub fn on_interrupt(&self, registers: &mut impl Registers) {
        if registers.read(registers::INT_STS) & registers::INT_PHY != 0 {
            self.phy.store(true, Ordering::Relaxed);
        }
        registers.write(registers::INT_EN, 0);
        self.receive.wake();
        self.send.wake();
        self.link.wake();
    }

    /// How many received frames were thrown away because of their status or length.
    #[must_use]
    pub fn bad_frame_count(&self) -> u32 {
        self.bad_frames.load(Ordering::Relaxed)
    }

    fn note_bad_frame(&self) {
        // Only the driver writes, and some boards have no atomic addition.
        self.bad_frames.store(self.bad_frame_count().wrapping_add(1), Ordering::Relaxed);
    }
}

impl Default for State {
    fn default() -> Self {
        Self::new()
    }
}

/// The driver of one chip.
pub struct Lan9118<'d, R> {
    chip: Chip<R>,
    state: &'d State,
    buffers: &'d mut Buffers,
    mac_address: [u8; 6],
    link_up: bool,
}

impl<'d, R: Registers> Lan9118<'d, R> {
    /// Resets the chip and starts it.
    ///
    /// With `None` the address is the one that the chip has loaded from its EEPROM. Enable the
    /// interrupt at the processor afterwards: before, the chip's line may have the wrong
    /// polarity.
    ///
    /// # Errors
    ///
    /// If there is no chip, an unknown one, or a part of it does not answer in time.
    pub fn new(
        registers: R,
        state: &'d State,
        buffers: &'d mut Buffers,
        mac_address: Option<[u8; 6]>,
    ) -> Result<Self, Error> {
        let mut chip = Chip::new(registers);
        chip.start()?;
        let mac_address = match mac_address {
            Some(address) => {
                chip.set_mac_address(address)?;
                address
            }
            None => chip.mac_address()?,
        };
        state.phy.store(true, Ordering::Relaxed);
        Ok(Self { chip, state, buffers, mac_address, link_up: false })
    }

    /// The address that this driver's frames come from.
    #[must_use]
    pub fn mac_address(&self) -> [u8; 6] {
        self.mac_address
    }

    /// The next good frame, as far as `BAD_FRAMES_MAX` bad ones do not hide it.
    fn next_frame(&mut self) -> Received {
        for _ in 0..BAD_FRAMES_MAX {
            match self.chip.receive(&mut self.buffers.receive) {
                Received::Bad => self.state.note_bad_frame(),
                other => return other,
            }
        }
        Received::Bad
    }

    /// Whether a frame can be sent; if not, `cx` is woken when it can.
    fn poll_room(&mut self, cx: &Context<'_>) -> bool {
        let mut room = self.chip.has_room();
        if !room {
            self.state.send.register(cx.waker());
            self.arm(registers::INT_ROOM);
            // What became free before the interrupt was cleared makes no other one.
            room = self.chip.has_room();
        }
        if room {
            self.chip.disarm(registers::INT_ROOM);
        }
        room
    }

    /// The length of a frame in the buffer; if there is none, `cx` is woken when there is.
    fn poll_frame(&mut self, cx: &Context<'_>) -> Option<usize> {
        let mut received = self.next_frame();
        if received == Received::Empty {
            self.state.receive.register(cx.waker());
            self.arm(registers::INT_RECEIVED);
            // What came before the interrupt was cleared makes no other one.
            received = self.next_frame();
        }
        if received != Received::Empty {
            self.chip.disarm(registers::INT_RECEIVED);
        }
        match received {
            Received::Frame(len) => Some(len),
            Received::Empty => None,
            Received::Bad => {
                // Enough for now: let others have a turn.
                cx.waker().wake_by_ref();
                None
            }
        }
    }

    /// Clears and enables an interrupt, besides those that are waited for already.
    fn arm(&mut self, interrupt: u32) {
        self.chip.clear(interrupt);
        // The PHY's lasts until `link_state` has asked it.
        let phy = if self.state.phy.load(Ordering::Relaxed) { registers::INT_PHY } else { 0 };
        self.chip.arm(interrupt, phy);
    }
}

impl<R: Registers> Driver for Lan9118<'_, R> {
    type RxToken<'a>
        = RxToken<'a>
    where
        Self: 'a;
    type TxToken<'a>
        = TxToken<'a, R>
    where
        Self: 'a;

    fn receive(&mut self, cx: &mut Context<'_>) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        if !self.poll_room(cx) {
            return None;
        }
        let len = self.poll_frame(cx)?;
        let frame = &mut self.buffers.receive[..len];
        let send = TxToken { chip: &mut self.chip, buffer: &mut self.buffers.send };
        Some((RxToken { frame }, send))
    }

    fn transmit(&mut self, cx: &mut Context<'_>) -> Option<Self::TxToken<'_>> {
        if !self.poll_room(cx) {
            return None;
        }
        Some(TxToken { chip: &mut self.chip, buffer: &mut self.buffers.send })
    }

    fn link_state(&mut self, cx: &mut Context<'_>) -> LinkState {
        self.state.link.register(cx.waker());
        if self.state.phy.load(Ordering::Relaxed) {
            self.state.phy.store(false, Ordering::Relaxed);
            match self.chip.link() {
                Ok(up) => {
                    self.link_up = up;
                    self.arm(registers::INT_PHY);
                }
                // A PHY that does not answer leaves the link as it was and is asked again.
                Err(_) => self.state.phy.store(true, Ordering::Relaxed),
            }
        }
        if self.link_up { LinkState::Up } else { LinkState::Down }
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.max_transmission_unit = FRAME_LEN_MAX;
        capabilities.max_burst_size = Some(1);
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ethernet(self.mac_address)
    }
}

/// A received frame.
#[derive(Debug)]
pub struct RxToken<'a> {
    frame: &'a mut [u8],
}

impl embassy_net_driver::RxToken for RxToken<'_> {
    fn consume<T, F: FnOnce(&mut [u8]) -> T>(self, f: F) -> T {
        f(self.frame)
    }
}

/// Room for a frame to send.
#[derive(Debug)]
pub struct TxToken<'a, R> {
    chip: &'a mut Chip<R>,
    buffer: &'a mut [u8; FRAME_LEN_MAX],
}

impl<R: Registers> embassy_net_driver::TxToken for TxToken<'_, R> {
    /// # Panics
    ///
    /// If `len` is more than [`FRAME_LEN_MAX`], which the driver gives as its limit.
    fn consume<T, F: FnOnce(&mut [u8]) -> T>(self, len: usize, f: F) -> T {
        let frame = &mut self.buffer[..len];
        let result = f(frame);
        self.chip.send(frame);
        result
    }
}

/// After so many bad frames in a row the driver lets others have a turn.
const BAD_FRAMES_MAX: usize = 16;
