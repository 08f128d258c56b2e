//! Random messages through a random network.

use std::{format, vec};

use super::*;
use crate::entropy::{Entropy, SplitMix64};

/// How the network of a run treats packets: per mille.
#[derive(Clone, Copy)]
struct Weather {
    loss: u64,
    duplication: u64,
    jitter_millis: u64,
}

/// One run: what was queued, what is on its way, what arrived.
struct Run {
    seed: u64,
    sizes: Sizes,
    weather: Weather,
    random: SplitMix64,
    link: Link,
    /// When it arrives, the step in which it was sent, whether it is DATA.
    in_transit: Vec<(Instant, u64, bool, Vec<u8>)>,
    blocked: Option<(u16, bool, Vec<u8>)>,
    queued: u32,
    received: Vec<bool>,
    last_of_stream: [Option<u32>; 8],
}

/// Sends `message_count` messages through the weather; panics unless each arrives once, in order.
fn soak(seed: u64, sizes: Sizes, weather: Weather, message_count: u32) {
    let mut random = SplitMix64::new(seed);
    let mut run = Run {
        seed,
        sizes,
        weather,
        link: Link::new(sizes, random.next_u32()),
        random,
        in_transit: Vec::new(),
        blocked: None,
        queued: 0,
        received: vec![false; message_count as usize],
        last_of_stream: [None; 8],
    };
    for step in 0..2_000_000 {
        run.queue();
        run.send(step);
        if run.received.iter().all(|&is_received| is_received) && run.link.sender().all_acked() {
            return;
        }
        run.wait();
        run.arrive();
        run.read();
    }
    panic!("seed {seed} does not end");
}

impl Run {
    fn queue(&mut self) {
        while (self.queued as usize) < self.received.len() {
            let message = self.blocked.take().unwrap_or_else(|| self.make_up());
            let (stream, unordered, data) = &message;
            if self.link.push(*stream, *unordered, data).is_err() {
                self.blocked = Some(message);
                break;
            }
            self.queued += 1;
        }
    }

    fn make_up(&mut self) -> (u16, bool, Vec<u8>) {
        let longest = match self.random.below(4) {
            0 => 20,
            1 => 300,
            2 => 1_400,
            _ => self.sizes.rx_len as u64 * 7 / 10,
        };
        let mut data = vec![self.queued as u8; 8 + self.random.below(longest) as usize];
        data[..4].copy_from_slice(&self.queued.to_be_bytes());
        (self.random.below(8) as u16, self.random.below(5) == 0, data)
    }

    fn send(&mut self, step: u64) {
        loop {
            let packet = self.link.data();
            if packet.is_empty() {
                break;
            }
            self.put_on_the_way(step, true, packet);
        }
        if let Some(sack) = self.link.sack() {
            self.put_on_the_way(step, false, sack);
        }
    }

    fn put_on_the_way(&mut self, step: u64, is_data: bool, packet: Vec<u8>) {
        let copies = 1 + u32::from(self.random.below(1_000) < self.weather.duplication);
        for _ in 0..copies {
            if self.random.below(1_000) >= self.weather.loss {
                let delay = 10 + self.random.below(self.weather.jitter_millis + 1);
                let at = self.link.now + Duration::from_millis(delay);
                self.in_transit.push((at, step, is_data, packet.clone()));
            }
        }
    }

    fn wait(&mut self) {
        let link = &mut self.link;
        let arrival = self.in_transit.iter().map(|&(at, ..)| at).min();
        let reading = link.receiver().is_readable().then(|| link.now + Duration::from_millis(5));
        let next =
            [arrival, reading, link.path.t3_rtx().get(), link.receiver().state.sack_timer().get()];
        let next = next.into_iter().flatten().min();
        let next = next.unwrap_or_else(|| panic!("seed {} is stuck", self.seed));
        link.now = link.now.max(next);
        if link.path.t3_rtx().get().is_some_and(|at| at <= link.now) {
            link.expire_t3();
        }
    }

    fn arrive(&mut self) {
        let now = self.link.now;
        self.in_transit.sort_by_key(|&(at, step, ..)| (at, step));
        while self.in_transit.first().is_some_and(|&(at, ..)| at <= now) {
            let (.., is_data, packet) = self.in_transit.remove(0);
            if !is_data {
                self.link.deliver_sack(&packet).unwrap();
                continue;
            }
            for outcome in self.link.deliver(&packet) {
                use DataOutcome::{Accepted, Duplicate, NoRoom};
                let is_fine = matches!(outcome, Accepted | Duplicate | NoRoom);
                assert!(is_fine, "{outcome:?}, seed {}", self.seed);
            }
        }
    }

    fn read(&mut self) {
        while self.random.below(3) > 0 {
            let Some((message, bytes)) = self.link.pop() else { break };
            let number = u32::from_be_bytes(bytes[..4].try_into().unwrap());
            let context = format!("message {number}, seed {}", self.seed);
            assert!(bytes[4..].iter().all(|&byte| byte == number as u8), "{context} is broken");
            let received = &mut self.received[number as usize];
            assert!(!core::mem::replace(received, true), "{context} came twice");
            if !message.unordered {
                let last = self.last_of_stream[usize::from(message.stream)].replace(number);
                assert!(last.is_none_or(|last| last < number), "{context} out of order");
            }
        }
    }
}

#[test]
fn messages_survive_fair_weather() {
    for seed in 0..20 {
        soak(seed, LARGE, Weather { loss: 0, duplication: 0, jitter_millis: 0 }, 100);
        soak(seed, SMALL, Weather { loss: 0, duplication: 0, jitter_millis: 0 }, 100);
    }
}

#[test]
fn messages_survive_loss_duplication_and_reordering() {
    for seed in 0..60 {
        soak(seed, LARGE, Weather { loss: 200, duplication: 100, jitter_millis: 80 }, 60);
        soak(seed, SMALL, Weather { loss: 200, duplication: 100, jitter_millis: 80 }, 60);
    }
}
