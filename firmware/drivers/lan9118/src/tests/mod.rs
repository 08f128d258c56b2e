//! The driver against a simulated chip.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::task::{Wake, Waker};

use embassy_net_driver::{RxToken as _, TxToken as _};

use super::*;
use registers::*;
use simulated::{Fault, Happening, LINK_NOW, Simulated};

mod simulated;
mod wakes;

/// Counts how often it is woken.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A running driver, its chip, and the task that polls it.
struct Bench {
    chip: Simulated,
    driver: Lan9118<'static, Simulated>,
    state: &'static State,
    count: Arc<Count>,
    waker: Waker,
}

impl Bench {
    fn new() -> Self {
        Self::with(Simulated::new(Fault::None))
    }

    fn with(chip: Simulated) -> Self {
        let state: &'static State = Box::leak(Box::new(State::new()));
        let buffers = Box::leak(Box::new(Buffers::new()));
        chip.0.borrow_mut().phy[PHY_STATUS as usize] |= LINK_NOW;
        let driver = Lan9118::new(chip.clone(), state, buffers, None).expect("a chip that works");
        chip.0.borrow_mut().handler = Some(state);
        let count = Arc::new(Count::default());
        let waker = Waker::from(count.clone());
        Self { chip, driver, state, count, waker }
    }

    fn wakes(&self) -> usize {
        self.count.0.load(Ordering::Relaxed)
    }

    fn receive(&mut self) -> Option<Vec<u8>> {
        let (frame, _) = self.driver.receive(&mut Context::from_waker(&self.waker))?;
        Some(frame.consume(|bytes| bytes.to_vec()))
    }

    fn send(&mut self, frame: &[u8]) -> bool {
        let token = self.driver.transmit(&mut Context::from_waker(&self.waker));
        token.map(|token| token.consume(frame.len(), |out| out.copy_from_slice(frame))).is_some()
    }

    fn link(&mut self) -> bool {
        self.driver.link_state(&mut Context::from_waker(&self.waker)) == LinkState::Up
    }
}

fn frame(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index * 7 + len) as u8).collect()
}

fn start(fault: Fault) -> Result<[u8; 6], Error> {
    let state = State::new();
    let mut buffers = Buffers::new();
    let chip = Simulated::new(fault);
    Lan9118::new(chip, &state, &mut buffers, None).map(|driver| driver.mac_address())
}

#[test]
fn the_address_comes_from_the_eeprom() {
    assert_eq!(start(Fault::None), Ok([2, 1, 2, 3, 4, 5]));
}

#[test]
fn an_address_that_is_given_goes_into_the_chip() {
    let state = State::new();
    let mut buffers = Buffers::new();
    let chip = Simulated::new(Fault::None);
    let address = [0x02, 0xaa, 0xbb, 0xcc, 0xdd, 0xee];
    let driver = Lan9118::new(chip.clone(), &state, &mut buffers, Some(address)).unwrap();
    assert_eq!(driver.hardware_address(), HardwareAddress::Ethernet(address));
    assert_eq!(chip.0.borrow().mac[MAC_ADDRESS_LOW as usize], 0xccbb_aa02);
    assert_eq!(chip.0.borrow().mac[MAC_ADDRESS_HIGH as usize], 0xeedd);
}

#[test]
fn a_part_that_does_not_answer_is_an_error_and_not_a_hang() {
    for (fault, error) in [
        (Fault::Asleep, Error::NotReady),
        (Fault::SwappedBytes, Error::ByteTest(0x2143_6587)),
        (Fault::UnknownId, Error::UnknownChip(0x1234)),
        (Fault::ResetForEver, Error::Reset),
        (Fault::EepromForEver, Error::Eeprom),
        (Fault::MacForEver, Error::Mac),
        (Fault::PhyForEver, Error::Phy),
    ] {
        assert_eq!(start(fault), Err(error));
    }
}

#[test]
fn all_multicast_is_received() {
    let bench = Bench::new();
    assert_eq!(bench.chip.0.borrow().mac[MAC_CR as usize], 0x0018_000c);
}

#[test]
fn frames_of_every_length_come_in_whole() {
    let mut bench = Bench::new();
    for len in FRAME_LENS {
        bench.chip.happen(Happening::Frame(frame(len)));
        assert_eq!(bench.receive(), Some(frame(len)), "{len}");
        assert!(bench.chip.is_empty(), "{len}");
    }
    assert_eq!(bench.state.bad_frame_count(), 0);
}

#[test]
fn frames_of_every_length_go_out_whole() {
    let mut bench = Bench::new();
    for len in FRAME_LENS {
        bench.chip.0.borrow_mut().room = 5120;
        assert!(bench.send(&frame(len)));
        assert_eq!(bench.chip.0.borrow_mut().sent.pop(), Some(frame(len)));
    }
}

#[test]
fn a_reply_can_be_sent_while_its_request_is_read() {
    let mut bench = Bench::new();
    bench.chip.happen(Happening::Frame(frame(100)));
    let mut context = Context::from_waker(&bench.waker);
    let (received, reply) = bench.driver.receive(&mut context).unwrap();
    received.consume(|bytes| reply.consume(100, |out| out.copy_from_slice(bytes)));
    assert_eq!(bench.chip.0.borrow().sent, [frame(100)]);
}

/// Status words of frames that are no good, with the length that the FIFO holds of them.
const BAD: [u32; 7] = [
    100 << 16 | RX_ERROR,
    0,            // No length at all.
    3 << 16,      // Less than its check sequence.
    17 << 16,     // One byte short of a header.
    1519 << 16,   // One byte too long for the buffer.
    0x2000 << 16, // The longest that fits into the FIFO.
    1518 << 16 | RX_ERROR,
];

#[test]
fn a_bad_frame_is_skipped_and_counted() {
    for (index, status) in BAD.into_iter().enumerate() {
        let mut bench = Bench::new();
        bench.chip.queue_raw(status, (status >> 16 & 0x3fff).div_ceil(4) as usize);
        bench.chip.happen(Happening::Frame(frame(60)));
        assert_eq!(bench.receive(), Some(frame(60)), "{index}");
        assert_eq!(bench.state.bad_frame_count(), 1, "{index}");
        assert_eq!(bench.receive(), None, "{index}");
        assert!(bench.chip.is_empty(), "{index}");
    }
}

#[test]
fn a_flood_of_bad_frames_leaves_others_their_turn() {
    let mut bench = Bench::new();
    for _ in 0..100 {
        bench.chip.queue_raw(BAD[0], 25);
    }
    bench.chip.happen(Happening::Frame(frame(60)));
    let mut polls = 0;
    let received = loop {
        let before = bench.wakes();
        if let Some(received) = bench.receive() {
            break received;
        }
        polls += 1;
        assert!(bench.wakes() > before, "it asks for the next turn itself");
    };
    assert_eq!(received, frame(60));
    assert_eq!(polls, 100 / BAD_FRAMES_MAX);
    assert_eq!(bench.state.bad_frame_count(), 100);
}

#[test]
fn fifos_out_of_step_are_emptied() {
    let mut bench = Bench::new();
    bench.chip.happen(Happening::Frame(frame(300)));
    bench.chip.happen(Happening::Frame(frame(400)));
    bench.chip.lose_data();
    assert_eq!(bench.receive(), None);
    assert_eq!(bench.chip.0.borrow().dump_count, 1);
    assert_eq!(bench.state.bad_frame_count(), 1);
    // The receiver runs again.
    bench.chip.happen(Happening::Frame(frame(500)));
    assert_eq!(bench.receive(), Some(frame(500)));
}

#[test]
fn nothing_is_taken_from_the_chip_without_room_for_a_reply() {
    let mut bench = Bench::new();
    bench.chip.0.borrow_mut().room = 1523;
    bench.chip.happen(Happening::Frame(frame(60)));
    assert_eq!(bench.receive(), None);
    assert!(!bench.send(&frame(60)));
    bench.chip.0.borrow_mut().room = 1524;
    assert_eq!(bench.receive(), Some(frame(60)));
    assert!(bench.send(&frame(1514)));
    assert_eq!(bench.chip.0.borrow().room, 0);
}

#[test]
fn the_duplex_mode_is_that_of_the_negotiation() {
    for (partner, full) in [
        (PHY_ALL_MODES, true),
        (PHY_100_HALF | 1 << 5, false),
        (PHY_100_HALF | PHY_10_FULL, false), // 100 half is better than 10 full.
        (PHY_10_FULL | 1 << 5, true),
        (1 << 5, false),
    ] {
        let mut bench = Bench::new();
        bench.chip.0.borrow_mut().phy[PHY_PARTNER as usize] = partner;
        assert!(bench.link());
        let control = bench.chip.0.borrow().mac[MAC_CR as usize];
        assert_eq!(control & MAC_FULL_DUPLEX != 0, full, "{partner:#x}");
    }
}

#[test]
fn a_link_that_came_back_before_anybody_looked_is_up() {
    let mut bench = Bench::new();
    assert!(bench.link());
    bench.chip.happen(Happening::Link(false));
    bench.chip.happen(Happening::Link(true));
    assert!(bench.link());
}

#[test]
fn a_phy_that_falls_silent_is_asked_again_later() {
    let mut bench = Bench::new();
    assert!(bench.link());
    bench.chip.0.borrow_mut().fault = Fault::PhyForEver;
    bench.chip.happen(Happening::Link(false));
    assert!(bench.link(), "unknown, so as before");
    bench.chip.0.borrow_mut().fault = Fault::None;
    assert!(!bench.link());
}

#[test]
fn a_quiet_link_costs_no_register_access() {
    let mut bench = Bench::new();
    assert!(bench.link());
    let before = bench.chip.0.borrow().access_count;
    assert!(bench.link());
    assert_eq!(bench.chip.0.borrow().access_count, before);
}

#[test]
fn errors_say_what_is_wrong() {
    assert_eq!(Error::ByteTest(0x2143_6587).to_string(), "BYTE_TEST reads 0x21436587");
    assert_eq!(Error::UnknownChip(0x1234).to_string(), "unknown chip 0x1234");
}

const FRAME_LENS: [usize; 12] = [14, 15, 16, 17, 18, 42, 60, 61, 1000, 1512, 1513, 1514];
