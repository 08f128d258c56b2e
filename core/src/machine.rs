//! How every machine is driven: five methods and one sentence.
//!
//! **After every mutation drain [`poll_transmit`](Machine::poll_transmit), then
//! [`poll_event`](Machine::poll_event), then sleep until
//! [`poll_timeout`](Machine::poll_timeout).** User commands (`register`, `resolve`, `send`) are
//! plain methods of each machine and count as mutations.
//!
//! Pending output is a bit on the object that owes it, never a stored packet: its bytes are
//! computed when it is pulled. Back-pressure is not to pull.

use crate::time::Instant;

/// A state machine without clock, socket or allocator.
pub trait Machine {
    /// What comes in: a message, a datagram, an association that came up or went down.
    type Input<'a>;
    /// What goes out; its bytes are in the buffer that the caller lent.
    type Transmit;
    /// What the user should know.
    type Event;
    /// Why an input was refused.
    type Error;

    /// Takes one input.
    ///
    /// # Errors
    ///
    /// If the input is refused. The machine stays usable, and what it owes its peer for the bad
    /// input (an error cause, an abort) comes out of [`poll_transmit`](Self::poll_transmit).
    fn handle_input(&mut self, now: Instant, input: Self::Input<'_>) -> Result<(), Self::Error>;

    /// Lets time pass: does all that is due at `now`. Calling it early does nothing.
    fn handle_timeout(&mut self, now: Instant);

    /// When to call [`handle_timeout`](Self::handle_timeout) next; `None` means never.
    #[must_use]
    fn poll_timeout(&self) -> Option<Instant>;

    /// The next thing to send. Its bytes, if it has any, are at the start of `buf`.
    ///
    /// `buf` must hold the machine's largest message (each machine names that bound).
    #[must_use]
    fn poll_transmit(&mut self, now: Instant, buf: &mut [u8]) -> Option<Self::Transmit>;

    /// The next thing that the user should know.
    #[must_use]
    fn poll_event(&mut self) -> Option<Self::Event>;
}
