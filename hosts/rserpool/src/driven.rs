//! What every machine's task does: inputs and time in, transmissions out.

use std::collections::BTreeMap;
use std::fmt;

use rserpool_core::association::{AssociationId, Input, Transmit};
use rserpool_core::machine::Machine;
use rserpool_core::time::Instant;

use crate::announces::Announcer;
use crate::clock::Clock;
use crate::transport::{OwnedInput, Port};

/// A machine above a message transport.
pub(crate) trait MessageMachine:
    for<'a> Machine<Input<'a> = Input<'a>, Transmit = Transmit, Error: fmt::Display>
{
}

impl<M> MessageMachine for M where
    M: for<'a> Machine<Input<'a> = Input<'a>, Transmit = Transmit, Error: fmt::Display>
{
}

/// A machine, its port and its time.
#[derive(Debug)]
pub(crate) struct Driven<M> {
    /// On the heap, because machines are large and tasks move.
    pub(crate) machine: Box<M>,
    pub(crate) port: Port,
    clock: Clock,
    buf: Vec<u8>,
    /// The associations that are up, and since when.
    links: BTreeMap<AssociationId, tokio::time::Instant>,
    /// What sends to multicast groups; without it, that is lost.
    pub(crate) announcer: Option<Announcer>,
}

impl<M: MessageMachine> Driven<M> {
    /// `transmit_len_max` is the machine's longest message.
    pub(crate) fn new(machine: Box<M>, port: Port, transmit_len_max: usize) -> Self {
        Self::with_clock(machine, port, transmit_len_max, Clock::start())
    }

    /// The same for a machine that has seen `clock` before.
    pub(crate) fn with_clock(
        machine: Box<M>,
        port: Port,
        transmit_len_max: usize,
        clock: Clock,
    ) -> Self {
        let buf = vec![0; transmit_len_max];
        Self { machine, port, clock, buf, links: BTreeMap::new(), announcer: None }
    }

    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// How many associations are up.
    pub(crate) fn link_count(&self) -> usize {
        self.links.len()
    }

    /// Since when an association has been up.
    pub(crate) fn up_since(&self, association: AssociationId) -> Option<tokio::time::Instant> {
        self.links.get(&association).copied()
    }

    /// Sends all that the machine owes; returns whether that was anything. To be called after
    /// every mutation, before events are drained.
    pub(crate) async fn flush(&mut self) -> bool {
        let mut has_sent = false;
        while let Some(transmit) = self.machine.poll_transmit(self.clock.now(), &mut self.buf) {
            match (transmit, &mut self.announcer) {
                (Transmit::Multicast { len, .. }, Some(announcer)) => {
                    announcer.send(&self.buf[..len]);
                }
                (Transmit::Multicast { .. }, None) => {}
                (transmit, _) => self.port.perform(transmit, &self.buf).await,
            }
            has_sent = true;
        }
        has_sent
    }

    /// Takes the next input, or lets the time pass that the machine waits for. False when the
    /// transport is gone.
    ///
    /// Nothing is lost if the future is dropped.
    pub(crate) async fn step(&mut self) -> bool {
        let deadline = self.machine.poll_timeout();
        tokio::select! {
            input = self.port.recv() => {
                let Some(input) = input else { return false };
                let now = self.clock.now();
                match input {
                    OwnedInput::Up { association, .. } => {
                        self.links.insert(association, tokio::time::Instant::now());
                    }
                    OwnedInput::Down { association, .. } => {
                        self.links.remove(&association);
                    }
                    _ => {}
                }
                if let Err(error) = self.machine.handle_input(now, input.as_input()) {
                    tracing::debug!(%error, "input refused");
                }
            }
            () = self.clock.sleep_until(deadline) => {
                self.machine.handle_timeout(self.clock.now());
            }
        }
        true
    }
}
