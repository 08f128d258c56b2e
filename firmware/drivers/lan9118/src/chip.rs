//! What the chip can be asked to do, each with a bound on how long it may take.

use crate::registers::*;
use crate::{Error, FRAME_LEN_MAX, Registers};

/// The registers and what the driver wants of them.
#[derive(Debug)]
pub(crate) struct Chip<R> {
    pub(crate) registers: R,
    /// The interrupts that somebody waits for.
    armed: u32,
    full_duplex: bool,
}

/// What the receive FIFO had for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// A frame of this length is in the buffer.
    Frame(usize),
    /// A frame that is no good was thrown away.
    Bad,
    /// Nothing.
    Empty,
}

impl<R: Registers> Chip<R> {
    pub(crate) fn new(registers: R) -> Self {
        Self { registers, armed: 0, full_duplex: true }
    }

    /// Resets the chip and makes it ready, with no interrupt enabled.
    pub(crate) fn start(&mut self) -> Result<(), Error> {
        // Before it is awake, the chip answers nothing but this register.
        self.wait(PMT_CTRL, PMT_READY, PMT_READY, Error::NotReady)?;
        let test = self.registers.read(BYTE_TEST);
        if test != BYTE_TEST_VALUE {
            return Err(Error::ByteTest(test));
        }
        let id = (self.registers.read(ID_REV) >> 16) as u16;
        if !CHIP_IDS.contains(&id) {
            return Err(Error::UnknownChip(id));
        }
        self.registers.write(HW_CFG, HW_SOFT_RESET);
        self.wait(HW_CFG, HW_SOFT_RESET, 0, Error::Reset)?;
        self.wait(E2P_CMD, E2P_BUSY, 0, Error::Eeprom)?;

        self.registers.write(INT_EN, 0);
        self.registers.write(INT_STS, u32::MAX);
        self.registers.write(IRQ_CFG, IRQ_ACTIVE_HIGH);
        self.registers.write(FIFO_INT, FIFO_LEVELS);
        self.registers.write(GPIO_CFG, GPIO_LEDS);
        self.registers.write(HW_CFG, HW_DEFAULT);
        self.registers.write(RX_CFG, 0);
        self.registers.write(TX_CFG, TX_ON);

        self.phy_write(PHY_INT_MASK, PHY_INT_LINK)?;
        self.phy_write(PHY_ADVERTISED, PHY_ALL_MODES)?;
        self.phy_write(PHY_CONTROL, PHY_NEGOTIATE)?;
        self.run()
    }

    /// Starts sender and receiver of the MAC.
    fn run(&mut self) -> Result<(), Error> {
        let duplex = if self.full_duplex { MAC_FULL_DUPLEX } else { 0 };
        self.mac_write(MAC_CR, MAC_RUN | duplex)
    }

    pub(crate) fn mac_address(&mut self) -> Result<[u8; 6], Error> {
        let low = self.mac_read(MAC_ADDRESS_LOW)?.to_le_bytes();
        let high = self.mac_read(MAC_ADDRESS_HIGH)?.to_le_bytes();
        Ok([low[0], low[1], low[2], low[3], high[0], high[1]])
    }

    pub(crate) fn set_mac_address(&mut self, address: [u8; 6]) -> Result<(), Error> {
        let [a, b, c, d, e, f] = address;
        self.mac_write(MAC_ADDRESS_LOW, u32::from_le_bytes([a, b, c, d]))?;
        self.mac_write(MAC_ADDRESS_HIGH, u32::from_le_bytes([e, f, 0, 0]))
    }

    /// Whether the link is up; takes notice of the PHY's interrupt and of the duplex mode.
    pub(crate) fn link(&mut self) -> Result<bool, Error> {
        self.phy_read(PHY_INT_SOURCE)?; // Reading clears it.
        // A lost link stays in the register until it is read; what counts is the second read.
        self.phy_read(PHY_STATUS)?;
        let up = self.phy_read(PHY_STATUS)? & PHY_LINK != 0;
        if up {
            let common = self.phy_read(PHY_ADVERTISED)? & self.phy_read(PHY_PARTNER)?;
            let full = common & PHY_100_FULL != 0
                || common & PHY_100_HALF == 0 && common & PHY_10_FULL != 0;
            if full != self.full_duplex {
                self.full_duplex = full;
                self.run()?;
            }
        }
        Ok(up)
    }

    /// Enables interrupts besides those that are waited for already, but for those of `mask`.
    ///
    /// The interrupt handler disables all of them, so this also renews the others. If one of
    /// them was handled before this write, its task has been woken and will look again.
    pub(crate) fn arm(&mut self, interrupts: u32, mask: u32) {
        self.armed |= interrupts;
        self.registers.write(INT_EN, self.armed & !mask);
    }

    /// Nobody waits for these any more; they may come once more.
    pub(crate) fn disarm(&mut self, interrupts: u32) {
        self.armed &= !interrupts;
    }

    pub(crate) fn clear(&mut self, interrupts: u32) {
        self.registers.write(INT_STS, interrupts);
    }

    /// Whether a frame of any length can be sent now.
    pub(crate) fn has_room(&mut self) -> bool {
        self.registers.read(TX_FIFO_INF) & 0xffff >= TX_ROOM
    }

    /// Sends a frame for which there is room.
    pub(crate) fn send(&mut self, frame: &[u8]) {
        let len = frame.len() as u32;
        self.registers.write(TX_DATA, TX_WHOLE_FRAME | len);
        self.registers.write(TX_DATA, len);
        for chunk in frame.chunks(4) {
            let mut word = [0; 4];
            word[..chunk.len()].copy_from_slice(chunk);
            self.registers.write(TX_DATA, u32::from_le_bytes(word));
        }
    }

    /// Takes one frame from the receive FIFO.
    pub(crate) fn receive(&mut self, buffer: &mut [u8; FRAME_LEN_MAX]) -> Received {
        let fill = self.registers.read(RX_FIFO_INF);
        if fill >> 16 & 0xff == 0 {
            return Received::Empty;
        }
        let status = self.registers.read(RX_STATUS);
        let len = (status >> 16 & 0x3fff) as usize;
        let words = len.div_ceil(4);
        if words * 4 > (fill & 0xffff) as usize {
            self.dump();
            return Received::Bad;
        }
        // The chip counts and delivers the check sequence at the end.
        let frame_len = len.saturating_sub(FCS_LEN);
        if status & RX_ERROR != 0 || !(FRAME_LEN_MIN..=FRAME_LEN_MAX).contains(&frame_len) {
            for _ in 0..words {
                self.registers.read(RX_DATA);
            }
            return Received::Bad;
        }
        let mut chunks = buffer[..frame_len].chunks_mut(4);
        for _ in 0..words {
            let word = self.registers.read(RX_DATA).to_le_bytes();
            if let Some(chunk) = chunks.next() {
                chunk.copy_from_slice(&word[..chunk.len()]);
            }
        }
        Received::Frame(frame_len)
    }

    /// Empties the receive FIFOs, because statuses and data do not belong together any more.
    ///
    /// Each wait is bounded, and no failure is reported: the next frame shows whether it helped.
    fn dump(&mut self) {
        let Ok(control) = self.mac_read(MAC_CR) else { return };
        let _ = self.mac_write(MAC_CR, control & !MAC_RX_ENABLE);
        let _ = self.wait(INT_STS, INT_RX_STOPPED, INT_RX_STOPPED, Error::Mac);
        self.registers.write(INT_STS, INT_RX_STOPPED);
        self.registers.write(RX_CFG, RX_DUMP);
        let _ = self.wait(RX_CFG, RX_DUMP, 0, Error::Mac);
        self.registers.write(RX_CFG, 0);
        let _ = self.mac_write(MAC_CR, control);
    }

    fn phy_read(&mut self, register: u32) -> Result<u32, Error> {
        self.mii(register << 6)?;
        self.mac_read(MAC_MII_DATA)
    }

    fn phy_write(&mut self, register: u32, value: u32) -> Result<(), Error> {
        self.mac_write(MAC_MII_DATA, value)?;
        self.mii(register << 6 | MII_WRITE)
    }

    fn mii(&mut self, access: u32) -> Result<(), Error> {
        self.mac_write(MAC_MII_ACCESS, MII_PHY | access | MII_BUSY)?;
        for _ in 0..POLLS_MAX {
            if self.mac_read(MAC_MII_ACCESS)? & MII_BUSY == 0 {
                return Ok(());
            }
        }
        Err(Error::Phy)
    }

    fn mac_read(&mut self, register: u32) -> Result<u32, Error> {
        self.registers.write(MAC_CSR_CMD, MAC_BUSY | MAC_READ | register);
        self.wait(MAC_CSR_CMD, MAC_BUSY, 0, Error::Mac)?;
        Ok(self.registers.read(MAC_CSR_DATA))
    }

    fn mac_write(&mut self, register: u32, value: u32) -> Result<(), Error> {
        self.registers.write(MAC_CSR_DATA, value);
        self.registers.write(MAC_CSR_CMD, MAC_BUSY | register);
        self.wait(MAC_CSR_CMD, MAC_BUSY, 0, Error::Mac)
    }

    /// Waits until the bits of `mask` are those of `value`.
    fn wait(&mut self, offset: usize, mask: u32, value: u32, error: Error) -> Result<(), Error> {
        for _ in 0..POLLS_MAX {
            if self.registers.read(offset) & mask == value {
                return Ok(());
            }
        }
        Err(error)
    }
}

/// How often a register is read until something has happened. The longest wait is that for the
/// EEPROM, a few milliseconds; one read takes 45 ns or more.
pub(crate) const POLLS_MAX: u32 = 1_000_000;
/// LAN9115 to 9118, LAN9215 to 9218, LAN9210, 9211, 9220 and 9221.
const CHIP_IDS: [u16; 12] = [
    0x0115, 0x0116, 0x0117, 0x0118, 0x115a, 0x116a, 0x117a, 0x118a, 0x9210, 0x9211, 0x9220, 0x9221,
];
/// The check sequence at the end of a received frame.
const FCS_LEN: usize = 4;
/// Two addresses and a type.
const FRAME_LEN_MIN: usize = 14;
/// The longest frame, rounded up to words, and its two commands.
const TX_ROOM: u32 = (FRAME_LEN_MAX.next_multiple_of(4) + 8) as u32;
