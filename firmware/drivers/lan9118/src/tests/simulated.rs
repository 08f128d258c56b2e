//! A chip made of registers, FIFOs and faults.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use crate::registers::*;
use crate::{Registers, State};

/// A handle to the simulated chip; the driver and the interrupt handler have one each.
#[derive(Clone)]
pub(super) struct Simulated(pub(super) Rc<RefCell<Inner>>);

/// What does not work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Fault {
    #[default]
    None,
    Asleep,
    SwappedBytes,
    UnknownId,
    ResetForEver,
    EepromForEver,
    MacForEver,
    PhyForEver,
}

/// Something that happens to the chip from outside.
#[derive(Clone, Debug)]
pub(super) enum Happening {
    Frame(Vec<u8>),
    Room(u32),
    Link(bool),
}

#[derive(Default)]
pub(super) struct Inner {
    pub(super) fault: Fault,
    /// Whether INT_STS shows frames and room as long as they are there, or only when they come.
    pub(super) level_triggered: bool,
    pub(super) room: u32,
    pub(super) sent: Vec<Vec<u8>>,
    pub(super) mac: [u32; 16],
    pub(super) phy: [u32; 32],
    pub(super) dump_count: u32,
    /// Register accesses so far, and at which of them something happens.
    pub(super) access_count: usize,
    pub(super) happens_at: Option<(usize, Happening)>,
    /// Whose handler the interrupt line calls.
    pub(super) handler: Option<&'static State>,
    pub(super) interrupt_count: u32,
    pub(super) interrupt_enable: u32,
    statuses: VecDeque<u32>,
    data: VecDeque<u32>,
    sending: Vec<u32>,
    interrupt_status: u32,
    interrupt_config: u32,
    hardware: u32,
    transmitter: u32,
    mac_data: u32,
    fifo_levels: u32,
}

impl Simulated {
    /// A chip after power-on, with the link up.
    pub(super) fn new(fault: Fault) -> Self {
        let mut inner = Inner { fault, room: 5120, ..Inner::default() };
        inner.mac[MAC_ADDRESS_LOW as usize] = 0x0302_0102;
        inner.mac[MAC_ADDRESS_HIGH as usize] = 0x0504;
        inner.phy[PHY_PARTNER as usize] = PHY_ALL_MODES;
        inner.phy[PHY_STATUS as usize] = PHY_LINK;
        Self(Rc::new(RefCell::new(inner)))
    }

    pub(super) fn happen(&self, what: Happening) {
        self.0.borrow_mut().happen(what);
        self.interrupt();
    }

    /// Puts a status and `words` words of data into the FIFOs.
    pub(super) fn queue_raw(&self, status: u32, words: usize) {
        self.0.borrow_mut().queue(status, std::iter::repeat_n(0xdead_beef, words));
        self.interrupt();
    }

    /// Takes all that is in the receive FIFO for data, as after an overrun.
    pub(super) fn lose_data(&self) {
        self.0.borrow_mut().data.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        let inner = self.0.borrow();
        inner.statuses.is_empty() && inner.data.is_empty()
    }

    /// Calls the handler if the line is active.
    fn interrupt(&self) {
        let handler = {
            let mut inner = self.0.borrow_mut();
            let active = inner.interrupt_status() & inner.interrupt_enable != 0
                && inner.interrupt_config & 0x111 == 0x111;
            // The processor does not interrupt its own handler.
            let handler = if active { inner.handler.take() } else { None };
            inner.interrupt_count += u32::from(handler.is_some());
            handler
        };
        if let Some(handler) = handler {
            handler.on_interrupt(&mut self.clone());
            self.0.borrow_mut().handler = Some(handler);
        }
    }

    fn after_access(&self) {
        let mut inner = self.0.borrow_mut();
        inner.access_count += 1;
        let now = inner.access_count;
        if let Some((_, what)) = inner.happens_at.take_if(|(at, _)| *at == now) {
            inner.happen(what);
        }
        drop(inner);
        self.interrupt();
    }
}

impl Registers for Simulated {
    fn read(&mut self, offset: usize) -> u32 {
        let value = self.0.borrow_mut().read(offset);
        self.after_access();
        value
    }

    fn write(&mut self, offset: usize, value: u32) {
        self.0.borrow_mut().write(offset, value);
        self.after_access();
    }
}

impl Inner {
    fn happen(&mut self, what: Happening) {
        match what {
            Happening::Frame(frame) => {
                let len = frame.len() + 4;
                let words = frame.chunks(4).map(|chunk| {
                    let mut word = [0xff; 4];
                    word[..chunk.len()].copy_from_slice(chunk);
                    u32::from_le_bytes(word)
                });
                let words: Vec<u32> = words.chain([0xffff_ffff]).take(len.div_ceil(4)).collect();
                self.queue((len as u32) << 16, words.into_iter());
            }
            Happening::Room(room) => {
                self.room = room;
                if room > (self.fifo_levels >> 24) * 64 {
                    self.interrupt_status |= INT_ROOM;
                }
            }
            Happening::Link(up) => {
                // A lost link is latched until it is read; a new one comes by negotiation.
                let status = &mut self.phy[PHY_STATUS as usize];
                let source = if up { 1 << 6 } else { 1 << 4 };
                *status = if up { *status | LINK_NOW } else { *status & !LINK_NOW & !PHY_LINK };
                self.phy[PHY_INT_SOURCE as usize] |= source;
            }
        }
    }

    fn queue(&mut self, status: u32, words: impl Iterator<Item = u32>) {
        if self.mac[MAC_CR as usize] & MAC_RX_ENABLE == 0 {
            return;
        }
        self.statuses.push_back(status);
        self.data.extend(words);
        if self.statuses.len() as u32 > self.fifo_levels & 0xff {
            self.interrupt_status |= INT_RECEIVED;
        }
    }

    fn interrupt_status(&self) -> u32 {
        let mut status = self.interrupt_status;
        if self.level_triggered {
            let room = self.room > (self.fifo_levels >> 24) * 64;
            status |= if room { INT_ROOM } else { 0 };
            let frames = self.statuses.len() as u32 > self.fifo_levels & 0xff;
            status |= if frames { INT_RECEIVED } else { 0 };
        }
        if self.phy[PHY_INT_SOURCE as usize] & self.phy[PHY_INT_MASK as usize] != 0 {
            status |= INT_PHY;
        }
        status
    }

    fn read(&mut self, offset: usize) -> u32 {
        match offset {
            RX_DATA => self.data.pop_front().expect("data that is there"),
            RX_STATUS => self.statuses.pop_front().expect("a status that is there"),
            ID_REV if self.fault == Fault::UnknownId => 0x1234_0001,
            ID_REV => 0x0118_0001,
            INT_STS => self.interrupt_status(),
            BYTE_TEST if self.fault == Fault::SwappedBytes => BYTE_TEST_VALUE.swap_bytes(),
            BYTE_TEST => BYTE_TEST_VALUE,
            HW_CFG => self.hardware,
            RX_FIFO_INF => ((self.statuses.len() as u32) << 16) | (self.data.len() as u32 * 4),
            TX_FIFO_INF => self.room,
            PMT_CTRL => u32::from(self.fault != Fault::Asleep),
            MAC_CSR_CMD if self.fault == Fault::MacForEver => MAC_BUSY,
            E2P_CMD if self.fault == Fault::EepromForEver => E2P_BUSY,
            MAC_CSR_DATA => self.mac_data,
            MAC_CSR_CMD | E2P_CMD | RX_CFG => 0,
            _ => panic!("read of register {offset:#x}"),
        }
    }

    fn write(&mut self, offset: usize, value: u32) {
        match offset {
            TX_DATA => self.send(value),
            IRQ_CFG => self.interrupt_config = value,
            INT_STS => self.interrupt_status &= !value,
            INT_EN => self.interrupt_enable = value,
            FIFO_INT => self.fifo_levels = value,
            RX_CFG if value & RX_DUMP != 0 => {
                self.statuses.clear();
                self.data.clear();
                self.dump_count += 1;
            }
            RX_CFG | GPIO_CFG => {}
            TX_CFG => self.transmitter = value,
            HW_CFG if value & HW_SOFT_RESET != 0 => {
                self.hardware = u32::from(self.fault == Fault::ResetForEver);
                self.interrupt_enable = 0;
                // After a reset the line is active low and not driven.
                self.interrupt_config = 0;
            }
            HW_CFG => self.hardware = value,
            MAC_CSR_DATA => self.mac_data = value,
            MAC_CSR_CMD => self.mac_command(value),
            _ => panic!("write of register {offset:#x}"),
        }
    }

    fn mac_command(&mut self, command: u32) {
        assert!(command & MAC_BUSY != 0);
        let register = command & 0xff;
        if command & MAC_READ != 0 {
            self.mac_data = self.mac[register as usize];
            return;
        }
        let old = std::mem::replace(&mut self.mac[register as usize], self.mac_data);
        match register {
            MAC_CR if old & !self.mac_data & MAC_RX_ENABLE != 0 => {
                self.interrupt_status |= INT_RX_STOPPED;
            }
            MAC_MII_ACCESS => self.mii_command(),
            _ => {}
        }
    }

    fn mii_command(&mut self) {
        let access = self.mac[MAC_MII_ACCESS as usize];
        assert_eq!(access >> 11, 1, "the internal PHY");
        let register = access >> 6 & 0x1f;
        if access & MII_WRITE != 0 {
            self.phy[register as usize] = self.mac[MAC_MII_DATA as usize];
        } else {
            self.mac[MAC_MII_DATA as usize] = self.phy[register as usize];
            let status = self.phy[PHY_STATUS as usize];
            match register {
                PHY_INT_SOURCE => self.phy[PHY_INT_SOURCE as usize] = 0,
                PHY_STATUS if status & LINK_NOW != 0 => self.phy[1] = status | PHY_LINK,
                _ => {}
            }
        }
        if self.fault != Fault::PhyForEver {
            self.mac[MAC_MII_ACCESS as usize] &= !MII_BUSY;
        }
    }

    fn send(&mut self, word: u32) {
        assert_eq!(self.transmitter, TX_ON);
        assert_eq!(self.hardware, HW_DEFAULT);
        self.sending.push(word);
        let command = self.sending[0];
        let len = command & 0x7ff;
        assert_eq!(command & !0x7ff, TX_WHOLE_FRAME);
        if self.sending.len() == 2 {
            assert_eq!(word & 0x7ff, len, "both commands name the same length");
        }
        if self.sending.len() == 2 + len.div_ceil(4) as usize {
            self.room -= self.sending.len() as u32 * 4;
            let mut frame: Vec<u8> =
                self.sending.drain(..).skip(2).flat_map(u32::to_le_bytes).collect();
            frame.truncate(len as usize);
            self.sent.push(frame);
        }
    }
}

/// Our own mark in the PHY's status: the link is up now, whatever is latched.
pub(super) const LINK_NOW: u32 = 1 << 16;
