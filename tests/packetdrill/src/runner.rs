//! Runs a script: virtual time, the queue of what the endpoint sent, and the order of events.

use std::collections::VecDeque;
use std::net::IpAddr;

use rserpool_core::time::Instant;

use crate::bindings::Bindings;
use crate::calls;
use crate::error::{At, ScriptError};
use crate::matching;
use crate::script::{Action, Event, Packet, PacketBody, Script, Time};
use crate::sockets::{Emitted, LOCAL, REMOTE, Sockets};
use crate::wire;

/// Virtual time that a script may take, and that `*` waits.
const SCRIPT_US_MAX: u64 = 300_000_000;
/// Timeouts and packets of one script.
const STEPS_MAX: u32 = 10_000;
/// Timeouts in a row that do not move time.
const STALLS_MAX: u32 = 100;
/// The tolerance of a strict run, whatever the script says.
const STRICT_US: u64 = 1_000;

pub(crate) struct Runner {
    sockets: Sockets,
    bindings: Bindings,
    now_us: u64,
    /// When the previous event was over.
    previous_us: u64,
    /// What the endpoint sent and no event was about yet.
    queue: VecDeque<Emitted>,
    tolerance_us: u64,
    is_strict: bool,
    steps: u32,
}

impl Runner {
    /// Runs `script`; `seed` makes the endpoint's random numbers.
    pub(crate) fn run(script: &Script, seed: u64, is_strict: bool) -> Result<(), ScriptError> {
        let mut runner = Self {
            sockets: Sockets::new(seed),
            bindings: Bindings::default(),
            now_us: 0,
            previous_us: 0,
            queue: VecDeque::new(),
            tolerance_us: if is_strict { STRICT_US } else { script.tolerance_us },
            is_strict,
            steps: 0,
        };
        for event in &script.events {
            runner.on_event(event).map_err(|reason| {
                let (s, us) = (runner.now_us / 1_000_000, runner.now_us % 1_000_000);
                ScriptError::new(At::line(event.line), format!("{reason} (at {s}.{us:06} s)"))
            })?;
        }
        Ok(())
    }

    fn on_event(&mut self, event: &Event) -> Result<(), String> {
        let target_us = match event.time {
            Time::Absolute(us) => Some(us),
            Time::Relative(us) => Some(self.previous_us.saturating_add(us)),
            Time::Any => None,
        };
        if target_us.is_some_and(|us| us > SCRIPT_US_MAX) {
            return Err("the script takes too long".into());
        }
        if target_us.is_some_and(|us| us.saturating_add(self.tolerance_us) < self.previous_us) {
            return Err("the event before it was over later than this one is to be".into());
        }
        match &event.action {
            Action::Expect(packet) => self.expect(packet, target_us),
            action => {
                self.advance(target_us.unwrap_or(self.now_us))?;
                match action {
                    Action::Inject(packet) => self.inject(packet),
                    Action::Call(call) => {
                        let now = self.now();
                        calls::run(&mut self.sockets, now, call)?;
                    }
                    Action::Expect(_) | Action::Shell => {}
                }
                self.drain()?;
                self.previous_us = self.now_us;
                Ok(())
            }
        }
    }

    fn now(&self) -> Instant {
        Instant::from_micros(self.now_us)
    }

    fn inject(&mut self, packet: &Packet) {
        let (tag, body) = self.bindings.localize(packet);
        let chunks = match body {
            PacketBody::Chunks(chunks) => wire::encode(&chunks),
            PacketBody::Bytes(bytes) => bytes,
        };
        let bytes = wire::packet(tag, &chunks, packet.has_bad_checksum);
        let addresses = packet.addresses.unwrap_or((REMOTE, LOCAL));
        self.sockets.inject(self.now(), addresses, &bytes);
    }

    fn expect(&mut self, packet: &Packet, target_us: Option<u64>) -> Result<(), String> {
        let interval_us = target_us.unwrap_or(0).saturating_sub(self.previous_us);
        let tolerance_us = match self.is_strict {
            true => self.tolerance_us,
            false => self.tolerance_us.max(interval_us / 8),
        };
        let limit_us = match target_us {
            Some(us) => us.saturating_add(tolerance_us),
            None => self.now_us.saturating_add(SCRIPT_US_MAX),
        };
        while self.queue.is_empty() {
            if !self.step(limit_us)? {
                return Err(format!("expected {}, nothing was sent", describe(&packet.body)));
            }
        }
        let emitted = self.queue.pop_front().ok_or("nothing was sent")?;
        let sent =
            wire::parse(&emitted.bytes).map_err(|reason| format!("bad packet: {reason}"))?;
        let wrong = |reason: String| format!("{reason}; sent was {sent}");
        matching::check(packet, &sent, &mut self.bindings).map_err(wrong)?;
        check_addresses(packet, &emitted).map_err(wrong)?;
        let emitted_us = emitted.at_us;
        if let Some(target_us) = target_us.filter(|us| us.abs_diff(emitted_us) > tolerance_us) {
            let (late, by) = (emitted_us > target_us, target_us.abs_diff(emitted_us));
            let word = if late { "late" } else { "early" };
            return Err(wrong(format!("it came {by} us too {word}")));
        }
        self.previous_us = self.previous_us.max(emitted_us);
        Ok(())
    }

    /// Lets time go on to `target_us`, and everything happen that is due on the way.
    fn advance(&mut self, target_us: u64) -> Result<(), String> {
        while self.step(target_us)? {}
        self.now_us = self.now_us.max(target_us);
        Ok(())
    }

    /// Goes on to the next timeout, if it is due by `limit_us`; whether it was.
    fn step(&mut self, limit_us: u64) -> Result<bool, String> {
        let mut stalls = 0;
        let Some(next) = self.sockets.next_timeout().map(Instant::as_micros) else {
            return Ok(false);
        };
        if next > limit_us {
            return Ok(false);
        }
        self.now_us = self.now_us.max(next);
        while self.sockets.next_timeout().is_some_and(|next| next <= self.now()) {
            self.sockets.on_timeout(self.now());
            self.drain()?;
            stalls += 1;
            if stalls > STALLS_MAX {
                return Err("a timeout does not move when it is served".into());
            }
        }
        Ok(true)
    }

    /// Takes out of the endpoint whatever it has.
    fn drain(&mut self) -> Result<(), String> {
        loop {
            self.steps += 1;
            if self.steps > STEPS_MAX {
                return Err("the endpoint does not come to rest".into());
            }
            match self.sockets.next_packet(self.now()) {
                Some(emitted) if counts(&emitted) => self.queue.push_back(emitted),
                Some(_) => {}
                None => break,
            }
        }
        self.sockets.take_events(self.now());
        Ok(())
    }
}

/// Scripts do not have the probes of the peer's further addresses.
fn counts(emitted: &Emitted) -> bool {
    let is_probe = wire::parse(&emitted.bytes).is_ok_and(|sent| {
        sent.chunks.iter().all(|chunk| chunk.kind == crate::chunk::kinds::HEARTBEAT)
    });
    emitted.remote == IpAddr::V4(REMOTE) || !is_probe
}

fn check_addresses(packet: &Packet, emitted: &Emitted) -> Result<(), String> {
    let Some((source, destination)) = packet.addresses else { return Ok(()) };
    let is_source = emitted.local.is_none_or(|local| local == IpAddr::V4(source));
    match is_source && emitted.remote == IpAddr::V4(destination) {
        true => Ok(()),
        false => Err(format!(
            "{source} > {destination} expected, got {:?} > {}",
            emitted.local, emitted.remote
        )),
    }
}

fn describe(body: &PacketBody) -> String {
    let PacketBody::Chunks(chunks) = body else { return "bytes".into() };
    let name = |kind| crate::chunk::kinds::name_of(kind).unwrap_or("CHUNK");
    chunks.iter().map(|chunk| name(chunk.kind)).collect::<Vec<_>>().join("; ")
}
