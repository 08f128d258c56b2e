//! Lines of text over UART0.

use core::cell::RefCell;
use core::future::poll_fn;
use core::task::Poll;

use critical_section::Mutex;
use embassy_sync::waitqueue::AtomicWaker;

use crate::registers::*;

/// The longest line; the end of a longer one is cut off.
pub const LINE_LEN_MAX: usize = 32;

/// A line, without its end.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    bytes: [u8; LINE_LEN_MAX],
    len: usize,
}

impl Line {
    /// What is in it; blanks at both ends do not count.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes[..self.len].trim_ascii()
    }
}

/// The next line. Those that come before the last one was taken are lost.
pub async fn read_line() -> Line {
    poll_fn(|context| {
        WAKER.register(context.waker());
        let line = critical_section::with(|section| {
            let mut input = INPUT.borrow_ref_mut(section);
            input.complete.then(|| {
                let line = input.line;
                *input = Input::EMPTY;
                line
            })
        });
        line.map_or(Poll::Pending, Poll::Ready)
    })
    .await
}

/// Writes bytes, waiting for each to be on its way. What nobody fetches is lost.
pub fn write(bytes: &[u8]) {
    for byte in bytes {
        for _ in 0..POLLS_MAX {
            if UART0_STATE.read() & STATE_SEND_FULL == 0 {
                break;
            }
        }
        UART0_DATA.write(u32::from(*byte));
    }
}

/// Writes a number, decimal.
pub fn write_number(number: u32) {
    if number >= 10 {
        let mut digits = [0; 10];
        let mut rest = number;
        let mut first = digits.len();
        while rest > 0 && first > 0 {
            first -= 1;
            digits[first] = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        write(&digits[first..]);
    } else {
        write(&[b'0' + number as u8]);
    }
}

pub(crate) fn start() {
    UART0_BAUD_DIVIDER.write(BAUD_DIVIDER);
    UART0_CONTROL.write(CONTROL_SEND | CONTROL_RECEIVE | CONTROL_RECEIVE_INTERRUPT);
}

/// The interrupt of a received byte.
pub(crate) fn on_received() {
    UART0_INT_CLEAR.write(INT_RECEIVE);
    if UART0_STATE.read() & STATE_RECEIVED == 0 {
        return;
    }
    let byte = UART0_DATA.read() as u8;
    let complete = critical_section::with(|section| {
        let mut input = INPUT.borrow_ref_mut(section);
        input.take(byte);
        input.complete
    });
    if complete {
        WAKER.wake();
    }
}

/// The line that is coming in.
struct Input {
    line: Line,
    complete: bool,
}

impl Input {
    const EMPTY: Self = Self { line: Line { bytes: [0; LINE_LEN_MAX], len: 0 }, complete: false };

    fn take(&mut self, byte: u8) {
        if self.complete {
            return;
        }
        if byte == b'\n' {
            self.complete = true;
        } else if let Some(place) = self.line.bytes.get_mut(self.line.len) {
            *place = byte;
            self.line.len += 1;
        }
    }
}

static INPUT: Mutex<RefCell<Input>> = Mutex::new(RefCell::new(Input::EMPTY));
static WAKER: AtomicWaker = AtomicWaker::new();

/// 115,200 baud from 25 MHz.
const BAUD_DIVIDER: u32 = 217;
const CONTROL_SEND: u32 = 1;
const CONTROL_RECEIVE: u32 = 1 << 1;
const CONTROL_RECEIVE_INTERRUPT: u32 = 1 << 3;
const STATE_SEND_FULL: u32 = 1;
const STATE_RECEIVED: u32 = 1 << 1;
const INT_RECEIVE: u32 = 1 << 1;
/// A byte takes 87 us, some 2,200 cycles.
const POLLS_MAX: u32 = 10_000;
