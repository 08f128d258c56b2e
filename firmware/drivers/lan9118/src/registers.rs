//! Offsets and bits, by the names of the data sheet.

pub(crate) const RX_DATA: usize = 0x00;
pub(crate) const TX_DATA: usize = 0x20;
pub(crate) const RX_STATUS: usize = 0x40;
pub(crate) const ID_REV: usize = 0x50;
pub(crate) const IRQ_CFG: usize = 0x54;
pub(crate) const INT_STS: usize = 0x58;
pub(crate) const INT_EN: usize = 0x5c;
pub(crate) const BYTE_TEST: usize = 0x64;
pub(crate) const FIFO_INT: usize = 0x68;
pub(crate) const RX_CFG: usize = 0x6c;
pub(crate) const TX_CFG: usize = 0x70;
pub(crate) const HW_CFG: usize = 0x74;
pub(crate) const RX_FIFO_INF: usize = 0x7c;
pub(crate) const TX_FIFO_INF: usize = 0x80;
pub(crate) const PMT_CTRL: usize = 0x84;
pub(crate) const GPIO_CFG: usize = 0x88;
pub(crate) const MAC_CSR_CMD: usize = 0xa4;
pub(crate) const MAC_CSR_DATA: usize = 0xa8;
pub(crate) const E2P_CMD: usize = 0xb0;

/// What BYTE_TEST reads if the bus has the right byte order.
pub(crate) const BYTE_TEST_VALUE: u32 = 0x8765_4321;
/// PMT_CTRL: the chip is awake and answers.
pub(crate) const PMT_READY: u32 = 1;
/// HW_CFG: reset everything but the PHY; reads 1 until done.
pub(crate) const HW_SOFT_RESET: u32 = 1;
/// HW_CFG: a bit that must be one (store and forward), and 5 KiB for frames to send.
pub(crate) const HW_DEFAULT: u32 = 1 << 20 | 5 << 16;
/// E2P_CMD: the MAC address is being loaded from the EEPROM.
pub(crate) const E2P_BUSY: u32 = 1 << 31;
/// IRQ_CFG: the line is driven, high means interrupt, push-pull.
pub(crate) const IRQ_ACTIVE_HIGH: u32 = 1 << 8 | 1 << 4 | 1;
/// GPIO_CFG: the three pins show link, speed and duplex.
pub(crate) const GPIO_LEDS: u32 = 7 << 28 | 7 << 16;
/// TX_CFG: transmit, and let old transmit statuses be overwritten.
pub(crate) const TX_ON: u32 = 1 << 1 | 1 << 2;
/// RX_CFG: throw away what is in the receive FIFOs; reads 1 until done.
pub(crate) const RX_DUMP: u32 = 1 << 15;

/// INT_STS, INT_EN: more received frames than the level.
pub(crate) const INT_RECEIVED: u32 = 1 << 3;
/// INT_STS, INT_EN: more room for frames to send than the level.
pub(crate) const INT_ROOM: u32 = 1 << 9;
/// INT_STS, INT_EN: the PHY has something to say.
pub(crate) const INT_PHY: u32 = 1 << 18;
/// INT_STS: the receiver has come to rest.
pub(crate) const INT_RX_STOPPED: u32 = 1 << 24;
/// FIFO_INT: an interrupt for every frame, and for room of more than 24 units of 64 bytes.
pub(crate) const FIFO_LEVELS: u32 = 24 << 24;

/// RX status: something is wrong with the frame.
pub(crate) const RX_ERROR: u32 = 1 << 15;
/// TX command A: the buffer is the first and the last of its frame.
pub(crate) const TX_WHOLE_FRAME: u32 = 1 << 13 | 1 << 12;

pub(crate) const MAC_BUSY: u32 = 1 << 31;
pub(crate) const MAC_READ: u32 = 1 << 30;
pub(crate) const MAC_CR: u32 = 1;
pub(crate) const MAC_ADDRESS_HIGH: u32 = 2;
pub(crate) const MAC_ADDRESS_LOW: u32 = 3;
pub(crate) const MAC_MII_ACCESS: u32 = 6;
pub(crate) const MAC_MII_DATA: u32 = 7;

/// MAC_CR: send and receive, all multicast groups included (a driver is not told which).
pub(crate) const MAC_RUN: u32 = 1 << 19 | 1 << 3 | 1 << 2;
pub(crate) const MAC_RX_ENABLE: u32 = 1 << 2;
pub(crate) const MAC_FULL_DUPLEX: u32 = 1 << 20;

/// MII_ACC: the address of the internal PHY.
pub(crate) const MII_PHY: u32 = 1 << 11;
pub(crate) const MII_WRITE: u32 = 1 << 1;
pub(crate) const MII_BUSY: u32 = 1;

pub(crate) const PHY_CONTROL: u32 = 0;
pub(crate) const PHY_STATUS: u32 = 1;
pub(crate) const PHY_ADVERTISED: u32 = 4;
pub(crate) const PHY_PARTNER: u32 = 5;
pub(crate) const PHY_INT_SOURCE: u32 = 29;
pub(crate) const PHY_INT_MASK: u32 = 30;

/// Control: negotiate, from the beginning.
pub(crate) const PHY_NEGOTIATE: u32 = 1 << 12 | 1 << 9;
/// Status: the link is up, or has been down since the last read.
pub(crate) const PHY_LINK: u32 = 1 << 2;
/// Advertised, partner: 10 and 100 Mbit/s, half and full duplex, and the mark of IEEE 802.3.
pub(crate) const PHY_ALL_MODES: u32 = 0xf << 5 | 1;
pub(crate) const PHY_10_FULL: u32 = 1 << 6;
pub(crate) const PHY_100_HALF: u32 = 1 << 7;
pub(crate) const PHY_100_FULL: u32 = 1 << 8;
/// Interrupt: negotiation is complete, or the link went down.
pub(crate) const PHY_INT_LINK: u32 = 1 << 6 | 1 << 4;
