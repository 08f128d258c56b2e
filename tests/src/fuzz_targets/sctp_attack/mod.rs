//! Two SCTP endpoints and their users, a bad network between them, and an attacker.
//!
//! Input: a byte for how both are set up, then commands: the low five bits of a byte say what,
//! the high three with what, and some take further bytes. The network loses, doubles, delays and
//! reorders; addresses fail and NATs forget; clocks jump; users come, go and crash. The attacker
//! hears all and says what it wants, with right tags or without, in the name of routers as well.
//! Afterwards network and attacker rest, both users shut down, and everything must come to an end
//! and leave all memory free.
//!
//! As long as the attacker does not use what it heard to make something new (old packets said
//! again are no news), data arrives once, whole and in order, and no association ends.

mod user;
mod wire;

use std::collections::VecDeque;
use std::time::Duration;

use rserpool_core::sctp::Config;
use rserpool_core::time::Instant;

use user::Side;
use wire::{ATTACKER, Parcel, SCTP_PORT, Secrets, UDP_PORT, address, place_of};

/// Runs the commands that `data` encodes.
///
/// # Panics
///
/// If data is lost, broken, doubled or out of order, timers are late, or there is no end.
pub fn run(data: &[u8]) {
    let mut script = Script(data);
    let Some(setup) = script.next() else { return };
    let mut world = World::new(setup);
    for _ in 0..COMMANDS_MAX {
        let Some(command) = script.next() else { break };
        world.obey(command & 31, command >> 5, &mut script);
        world.settle();
    }
    world.come_to_an_end();
}

struct Script<'a>(&'a [u8]);

impl Script<'_> {
    fn next(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    fn byte(&mut self) -> u8 {
        self.next().unwrap_or(0)
    }

    /// Up to 4 words of 4 bytes times `count`.
    fn words(&mut self, count: usize) -> Vec<u8> {
        let (words, rest) = self.0.split_at((4 * count).min(self.0.len() & !3));
        self.0 = rest;
        words.to_vec()
    }
}

struct World {
    now: Instant,
    sides: [Side; 2],
    /// On the way to each side.
    in_transit: [VecDeque<Parcel>; 2],
    /// What the attacker heard last.
    heard: VecDeque<Parcel>,
    secrets: Secrets,
    /// Nets that carry nothing.
    is_cut: [bool; 2],
    /// By how much a NAT moves each side's UDP port.
    nat: [u16; 2],
    is_in_udp: bool,
    /// A user has taken leave.
    is_closing: bool,
    /// The attacker makes new packets out of what it hears.
    may_tamper: bool,
    has_tampered: bool,
}

impl World {
    fn new(setup: u8) -> Self {
        let bit = |bit: u8| setup >> bit & 1 == 1;
        let mut config = Config::DEFAULT;
        if bit(3) {
            config.heartbeat_interval = None;
        }
        if bit(4) {
            config.path_retransmissions_max = 1;
            config.association_retransmissions_max = 4;
        }
        if bit(5) {
            config.stranger_replies_per_second = 2;
        }
        let addresses = if bit(0) { 2 } else { 1 };
        let mut world = Self {
            now: Instant::from_millis(1_000),
            sides: [0, 1].map(|index| Side::new(index, bit(1), addresses, config)),
            in_transit: [VecDeque::new(), VecDeque::new()],
            heard: VecDeque::new(),
            secrets: Secrets::default(),
            is_cut: [false; 2],
            nat: [0; 2],
            is_in_udp: bit(1),
            is_closing: false,
            may_tamper: bit(2),
            has_tampered: false,
        };
        if bit(6) {
            world.sides[0].connect(world.now, 0, bit(7));
            world.settle();
            for _ in 0..2 {
                world.deliver(1, 1);
                world.deliver(0, 1);
            }
        }
        world
    }

    fn obey(&mut self, command: u8, argument: u8, script: &mut Script<'_>) {
        let (side, rest) = (usize::from(argument & 1), argument >> 1);
        let now = self.now;
        match command {
            0..=2 => self.deliver(side, 1 + usize::from(rest)),
            3 => drop(self.in_transit[side].pop_front()),
            4 => {
                let first = self.in_transit[side].front().cloned();
                self.in_transit[side].extend(first);
            }
            5 => self.in_transit[side].rotate_left(usize::from(!self.in_transit[side].is_empty())),
            6 | 7 => self.sides[side].send(now, script.byte()),
            8 => self.sides[side].is_reading ^= !self.is_closing,
            9 | 10 => self.let_time_pass(),
            11 => self.jump(JUMPS_MS[usize::from(argument)]),
            12 => {
                let skew = Duration::from_millis(u64::from(script.byte()) * 500);
                self.sides[side].set_clock(rest & 1 == 0, skew);
            }
            13 => self.sides[side].connect(now, usize::from(rest), script.byte() & 1 == 1),
            14 => self.close(side, rest, false),
            15 if rest == 3 => self.close(side, script.byte(), true),
            16 if rest == 3 => self.sides[side].restart(),
            17 => self.is_cut[side] ^= true,
            18 => self.sides[side].prefer(now, usize::from(rest)),
            19 => self.nat[side] = u16::from(rest),
            20..=22 => self.repeat(script.byte(), argument),
            23 | 24 if self.may_tamper => self.alter(script),
            25 | 26 if self.may_tamper => self.forge_with_tag(argument, script),
            27 => self.forge_blindly(argument, script),
            28 => self.forge_unreachable(argument, script),
            30 | 31 => self.forge_too_big(command == 30, argument, script),
            29 => {
                for _ in 0..4 {
                    self.deliver(0, 20);
                    self.deliver(1, 20);
                }
            }
            _ => {}
        }
    }

    fn deliver(&mut self, side: usize, count: usize) {
        for _ in 0..count {
            let Some(parcel) = self.in_transit[side].pop_front() else { break };
            self.hand_over(side, parcel);
            self.settle();
        }
    }

    /// Brings a packet to its door, if net and NAT let it through.
    fn hand_over(&mut self, side: usize, mut parcel: Parcel) {
        let is_cut = place_of(parcel.to).is_some_and(|(_, net)| self.is_cut[net]);
        if is_cut {
            return;
        }
        if let Some((_, to)) = &mut parcel.udp {
            if *to != UDP_PORT + self.nat[side] {
                return;
            }
            *to = UDP_PORT;
        }
        self.sides[side].take_in(self.now, &parcel);
    }

    /// Lets both send what they owe and attend to their events.
    fn settle(&mut self) {
        let is_honest = !self.has_tampered;
        for _ in 0..ROUNDS_AT_ONCE_MAX {
            let mut is_still = true;
            for side in 0..2 {
                let [a, b] = &mut self.sides;
                let (reader, writer) = if side == 0 { (a, b) } else { (b, a) };
                reader.attend(self.now, &mut writer.sent, is_honest);
                for parcel in reader.drain(self.now) {
                    is_still = false;
                    self.carry(side, parcel);
                }
            }
            if is_still {
                return;
            }
        }
        panic!("the two do not fall silent");
    }

    fn carry(&mut self, side: usize, mut parcel: Parcel) {
        self.secrets.learn(&parcel);
        if let Some((from, _)) = &mut parcel.udp {
            *from += self.nat[side];
        }
        if self.heard.len() == HEARD_MAX {
            self.heard.pop_front();
        }
        self.heard.push_back(parcel.clone());
        // What goes to others, or to itself, is lost.
        let Some((to, _)) = place_of(parcel.to).filter(|&(to, _)| to != side) else { return };
        if self.in_transit[to].len() < IN_TRANSIT_MAX {
            self.in_transit[to].push_back(parcel);
        }
    }

    fn jump(&mut self, millis: u64) {
        self.now += Duration::from_millis(millis);
        self.pass_time();
    }

    fn let_time_pass(&mut self) {
        let wait = self.sides.iter().filter_map(|side| side.wait(self.now)).min();
        self.now += wait.unwrap_or(Duration::from_secs(1));
        self.pass_time();
    }

    fn pass_time(&mut self) {
        for side in &mut self.sides {
            side.pass_time(self.now);
        }
        self.settle();
        for side in &self.sides {
            side.check_timers(self.now);
        }
    }

    /// From now on both users take in what there is, since what they leave is lost at the end.
    fn close(&mut self, side: usize, argument: u8, at_once: bool) {
        self.is_closing = true;
        self.sides.iter_mut().for_each(|side| side.is_reading = true);
        self.settle();
        self.sides[side].close(self.now, argument, at_once);
    }

    fn heard(&self, index: u8) -> Option<&Parcel> {
        let back = usize::from(index) % self.heard.len().max(1);
        self.heard.iter().rev().nth(back)
    }

    /// Says something old again, perhaps from elsewhere.
    fn repeat(&mut self, index: u8, argument: u8) {
        let Some(mut parcel) = self.heard(index).cloned() else { return };
        let Some((to, _)) = place_of(parcel.to) else { return };
        match argument {
            1 => parcel.from = ATTACKER,
            2 | 3 => parcel.from = address(1 - to, usize::from(argument)),
            _ => {}
        }
        self.hand_over(to, parcel);
    }

    /// Says something old with a change.
    fn alter(&mut self, script: &mut Script<'_>) {
        let Some(mut parcel) = self.heard(script.byte()).cloned() else { return };
        let Some((to, _)) = place_of(parcel.to) else { return };
        let (how, at, value) = (script.byte(), usize::from(script.byte()), script.byte());
        let len = parcel.bytes.len();
        match how % 4 {
            0 | 1 => parcel.bytes[12 + at % (len - 12)] = value,
            2 => parcel.bytes.truncate((12 + 4 * at).min(len)),
            _ => {
                let other = self.heard(value).map_or(Vec::new(), |other| other.chunks().to_vec());
                parcel.bytes.extend(other);
                parcel.bytes.truncate(1_480);
            }
        }
        parcel.sum();
        self.has_tampered = true;
        self.hand_over(to, parcel);
    }

    /// Says something new with a tag that was heard.
    fn forge_with_tag(&mut self, argument: u8, script: &mut Script<'_>) {
        let Some(model) = self.heard(argument >> 2).cloned() else { return };
        let Some((to, _)) = place_of(model.to) else { return };
        let count = usize::from(script.byte() % 32);
        let chunks = script.words(count);
        let tag = if argument & 2 == 0 { model.tag() } else { 0 };
        let parcel = Parcel::forge(model.from, model.to, self.is_in_udp, tag, &chunks);
        self.has_tampered = true;
        self.hand_over(to, parcel);
    }

    /// Says something without having heard anything: nothing may come of it.
    fn forge_blindly(&mut self, argument: u8, script: &mut Script<'_>) {
        let to = usize::from(argument & 1);
        let from = [ATTACKER, address(1 - to, 0), address(1 - to, 1), ATTACKER];
        let from = from[usize::from(argument >> 1)];
        let count = usize::from(script.byte() % 32);
        let tag = if argument & 4 == 0 { 0 } else { 0x1111_1111 };
        let chunks = script.words(count);
        if self.secrets.are_in(&chunks) {
            return;
        }
        let parcel = Parcel::forge(from, address(to, 0), self.is_in_udp, tag, &chunks);
        let before = self.sides[to].statuses();
        let (is_init, len) = (parcel.starts_with(1), parcel.bytes.len());
        self.sides[to].take_in(self.now, &parcel);
        let answers = self.sides[to].drain(self.now);
        let back: Vec<_> = answers.iter().filter(|answer| answer.to == ATTACKER).collect();
        assert!(back.len() <= 1, "{} answers to one packet", back.len());
        let is_more = back.first().is_some_and(|answer| answer.bytes.len() > len && !is_init);
        assert!(!is_more, "an answer longer than the question: {back:?}");
        for answer in answers {
            self.carry(to, answer);
        }
        self.settle();
        // Draining may have sent what was owed, but the state can only be what it was.
        let states = |statuses: &[Option<rserpool_core::sctp::Status>]| -> Vec<_> {
            statuses.iter().map(|status| status.map(|status| status.state)).collect()
        };
        assert_eq!(states(&before), states(&self.sides[to].statuses()));
    }

    /// An ICMP error, with the tag of a packet that was heard or with none.
    fn forge_unreachable(&mut self, argument: u8, script: &mut Script<'_>) {
        let Some(model) = self.heard(script.byte()).cloned() else { return };
        let Some((to, _)) = place_of(model.from) else { return };
        let is_informed = argument == 7 && self.may_tamper;
        let mut quoted =
            model.bytes[..(8 + 4 * usize::from(argument)).min(20).min(model.bytes.len())].to_vec();
        if is_informed {
            self.has_tampered = true;
        } else {
            quoted[..2].copy_from_slice(&SCTP_PORT.to_be_bytes());
            quoted[4..].fill(0x11);
        }
        let before = self.sides[to].statuses();
        self.sides[to].take_in_unreachable(self.now, model.to, &quoted);
        assert!(is_informed || before == self.sides[to].statuses());
    }

    /// An ICMP error that says how long packets may be, with the start of one that was heard or
    /// of one that nobody sent. Whatever it says, data still arrives.
    fn forge_too_big(&mut self, is_informed: bool, argument: u8, script: &mut Script<'_>) {
        let Some(model) = self.heard(script.byte()).cloned() else { return };
        let Some((to, _)) = place_of(model.from) else { return };
        let mut quoted = model.bytes[..20.min(model.bytes.len())].to_vec();
        if !is_informed {
            quoted[4..].fill(0x11);
        }
        let mtu = REPORTED_MTUS[usize::from(argument)];
        let before = self.sides[to].statuses();
        self.sides[to].take_in_too_big(self.now, model.to, mtu, &quoted);
        assert!(is_informed || before == self.sides[to].statuses());
    }

    /// The network and the attacker are kind; both users read, then shut down.
    fn come_to_an_end(&mut self) {
        self.is_cut = [false; 2];
        self.nat = [0; 2];
        self.sides.iter_mut().for_each(|side| side.is_reading = true);
        for _ in 0..ROUNDS_MAX {
            for side in 0..2 {
                self.deliver(side, usize::MAX);
            }
            if self.in_transit.iter().any(|parcels| !parcels.is_empty()) {
                continue;
            }
            if self.sides.iter().all(Side::is_at_rest) {
                break;
            }
            self.sides.iter_mut().for_each(|side| side.close_all(self.now));
            self.settle();
            if self.in_transit.iter().all(VecDeque::is_empty) {
                self.let_time_pass();
            }
        }
        let is_over = self.sides.iter().all(Side::is_at_rest);
        let [a, b] = &self.sides;
        assert!(is_over, "no end: {}; {}", a.describe(self.now), b.describe(self.now));
        self.sides.iter_mut().for_each(|side| side.check_memory(self.now));
        let [a, b] = &self.sides;
        if !self.has_tampered {
            a.check_complete(&b.sent, b);
            b.check_complete(&a.sent, a);
        }
    }
}

/// What ICMP says that packets may be long.
const REPORTED_MTUS: [u32; 8] = [0, 68, 576, 1_000, 1_280, 1_499, 65_535, u32::MAX];
/// How far clocks jump.
const JUMPS_MS: [u64; 8] = [1, 50, 199, 1_000, 3_000, 31_000, 61_000, 3_700_000];
/// Commands that are obeyed.
const COMMANDS_MAX: usize = 400;
/// Packets that the attacker remembers.
const HEARD_MAX: usize = 64;
/// Packets that the network holds for each side.
const IN_TRANSIT_MAX: usize = 200;
/// Turns in one instant until both must be silent.
const ROUNDS_AT_ONCE_MAX: u32 = 100;
/// Rounds until everything has come to an end.
const ROUNDS_MAX: u32 = 5_000;
