//! What strangers cannot do: take memory, be answered without limit, have us flood others, or
//! harm associations that they do not see (RFC 9260 §5.1, §8.4, §8.5, §12.2).

use core::net::IpAddr;
use core::time::Duration;
use std::format;
use std::string::String;
use std::vec;
use std::vec::Vec;

use super::craft::{
    Bench, HOST_PORT, PEER, PEER_PORT, PEER_TAG, chunk, data, init_value, packet, packet_between,
};
use super::link::Host;
use super::state_table::{STATES, in_state};
use crate::entropy::{Entropy, SplitMix64};
use crate::machine::Machine;
use crate::sctp::{Config, Datagram, Event, Input, InputError, Storage, TooBig, Unreachable};

/// All that an endpoint keeps, but for what has nothing to do with who wrote to it: counters, the
/// state of the random numbers, the tokens of the bucket, and the replies, which were sent.
pub(super) fn memory(host: &mut Host) -> String {
    assert!(!host.endpoint.has_replies());
    let mut shown = format!("{:?}", host.endpoint);
    for part in ["statistics: ", "replies: ", "bucket: ", "entropy: "] {
        let start = shown.find(part).expect("an endpoint has it");
        let mut depth = 0_i32;
        let end = shown[start..].find(|letter| {
            let (opens, closes) = (matches!(letter, '{' | '('), matches!(letter, '}' | ')'));
            depth += i32::from(opens) - i32::from(closes);
            closes && depth == 0
        });
        shown.replace_range(start..=start + end.expect("it ends"), "");
    }
    shown
}

/// An INIT of stranger `number`, each with ports, tag and address of its own.
pub(super) fn init_of(number: u32) -> (IpAddr, Vec<u8>) {
    let init = chunk(1, 0, &init_value(number | 1 << 31, &[]));
    let port = 1 + (number % 65_000) as u16;
    ((0xc633_0000 + number).to_be_bytes().into(), packet_between(port, HOST_PORT, 0, &[init]))
}

#[test]
fn nothing_is_kept_of_an_init() {
    let mut bench = Bench::established();
    // The first use of a key notes when it is to be replaced.
    let before = memory(&mut bench.host);
    for number in 0..100 {
        let (remote, init) = init_of(number);
        bench.give_from(remote, init).unwrap();
        assert_eq!(bench.replies()[0].kinds(), [2]);
        assert_eq!(memory(&mut bench.host), before, "after INIT {number}");
    }
}

#[test]
fn each_kind_of_reply_to_a_stranger_takes_a_token() {
    const LIMIT: u16 = 7;
    let config = Config { stranger_replies_per_second: LIMIT, ..Config::DEFAULT };
    let init = || chunk(1, 0, &init_value(PEER_TAG, &[]));
    let questions = [
        ("INIT ACK", packet(0, &[init()])),
        ("refusal", packet_between(PEER_PORT, 9, 0, &[init()])),
        ("ABORT", packet(PEER_TAG, &[data(1, b"x")])),
        ("SHUTDOWN COMPLETE", packet(PEER_TAG, &[chunk(8, 0, &[])])),
    ];
    for (name, question) in questions {
        let mut bench = Bench::listening();
        bench.host = Host::new(1, config);
        bench.host.endpoint.listen(HOST_PORT).unwrap();
        let mut ask = |times: usize, after: Duration| {
            bench.host.let_pass(after);
            let count = (0..times).filter(|_| {
                let _ = bench.give(question.clone());
                !bench.host.drain().is_empty()
            });
            count.count()
        };
        assert_eq!(ask(100, Duration::ZERO), usize::from(LIMIT), "{name}");
        assert_eq!(ask(100, Duration::from_millis(999)), usize::from(LIMIT) - 1, "{name}");
        assert_eq!(ask(100, Duration::from_secs(3_600)), usize::from(LIMIT), "{name}");
        let withheld = bench.host.endpoint.statistics().replies_withheld;
        assert_eq!(withheld, 300 - u64::from(3 * LIMIT - 1), "{name}");
    }
}

#[test]
fn an_old_cookie_is_told_to_be_stale_no_faster_than_strangers_are_answered() {
    let mut bench = Bench::listening();
    let cookie = bench.cookie(&[]);
    bench.host.let_pass(Duration::from_secs(61));
    let echo = packet(bench.host_tag, &[chunk(10, 0, &cookie)]);
    let mut count = 0;
    for _ in 0..3_000 {
        let _ = bench.give(echo.clone());
        count += bench.replies().len();
    }
    assert_eq!(count, usize::from(Config::DEFAULT.stranger_replies_per_second));
}

/// What a stranger may send: chunks that are nearly right, in any company.
fn question(random: &mut SplitMix64, cookie: &[u8]) -> Vec<u8> {
    let mut chunks = Vec::new();
    for _ in 0..1 + random.below(3) {
        let mut value = match random.below(6) {
            0 | 1 => init_value(random.next_u32(), &parameters(random)),
            2 => cookie.to_vec(),
            _ => {
                let mut bytes = vec![0; random.below(60) as usize];
                random.fill(&mut bytes);
                bytes
            }
        };
        if random.below(4) == 0 && !value.is_empty() {
            let at = random.below(value.len() as u64) as usize;
            value[at] = random.next_u32() as u8;
        }
        let kinds = [1, 1, 1, 10, 0, 2, 3, 4, 7, 8, 9, 11, 14, 0x40, 0x80, 0xc0];
        chunks.push(chunk(kinds[random.below(16) as usize], random.next_u32() as u8 & 3, &value));
        if random.below(3) > 0 {
            break;
        }
    }
    let tag = if chunks[0][0] == 1 { 0 } else { random.next_u32() };
    let port = if random.below(8) == 0 { 9 } else { HOST_PORT };
    packet_between(PEER_PORT, port, tag, &chunks)
}

/// Parameters of an INIT, many of which must be reported.
fn parameters(random: &mut SplitMix64) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..random.below(40) {
        let kinds = [[0, 5], [0, 6], [0, 11], [0, 12], [0x80, 9], [0xc0, 9], [0xc1, 1], [0x40, 2]];
        let len = random.below(5) as u8 * 4;
        bytes.extend(kinds[random.below(8) as usize]);
        bytes.extend([0, 4 + len]);
        bytes.extend((0..len).map(|_| random.next_u32() as u8));
    }
    bytes
}

/// Bytes of an INIT ACK beyond twice what the INIT has: the cookie, and our own four addresses.
const INIT_ACK_EXTRA_LEN: usize = 220;

#[test]
fn no_reply_is_longer_than_its_question_but_the_init_ack() {
    let mut bench = Bench::listening();
    let cookie = bench.cookie(&[]);
    let own = [1, 2, 3, 4].map(|last| IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, last]));
    bench.host.endpoint.set_addresses(&own).unwrap();
    let mut random = SplitMix64::new(5);
    let (mut init_ack_count, mut reply_count, mut worst) = (0, 0, 0.0_f64);
    for number in 0..20_000_u32 {
        bench.host.let_pass(Duration::from_millis(2));
        let question = question(&mut random, &cookie);
        let _ = bench.give_from((0xc633_0000 + number).to_be_bytes().into(), question.clone());
        let replies = bench.host.drain();
        assert!(replies.len() <= 1, "{number}: {replies:?}");
        assert!(bench.host.events.is_empty(), "{number}: {:?}", bench.host.events);
        let Some(reply) = replies.first() else { continue };
        let (asked, answered) = (question.len(), reply.bytes.len());
        if reply.bytes[12] == 2 {
            init_ack_count += 1;
            assert!(answered <= 2 * asked + INIT_ACK_EXTRA_LEN, "{answered} for {asked}");
            worst = worst.max(answered as f64 / asked as f64);
        } else {
            reply_count += 1;
            assert!(answered <= asked, "{number}: {answered} for {asked}");
        }
    }
    std::println!("{init_ack_count} INIT ACKs, at worst {worst:.1} times, {reply_count} others");
    assert!(init_ack_count > 1_000 && reply_count > 1_000);
    assert!(worst < 9.0);
}

#[test]
fn addresses_that_a_peer_lists_get_a_probe_now_and_then_and_nothing_else() {
    let mut bench = Bench::listening();
    let victim = [0, 5, 0, 8, 198, 51, 100, 7];
    let cookie = bench.cookie(&victim);
    bench.trade(&[chunk(10, 0, &cookie)]);
    let Some(Event::Up { handle, .. }) = bench.host.events.pop() else { panic!() };
    bench.handle = Some(handle);
    let victim = IpAddr::from([198, 51, 100, 7]);
    let mut counts = [0; 2];
    for second in 0..600 {
        // A message now and then, which the peer acknowledges.
        let text = data(1_000 + second, b"x");
        let _ = bench.give(packet(bench.host_tag, &[text]));
        for sent in bench.host.drain() {
            if sent.packet.remote == victim {
                assert_eq!((sent.bytes[12], sent.bytes.len()), (4, 12 + 16));
                counts[usize::from(second >= 60)] += 1;
            }
        }
        bench.host.let_pass(Duration::from_secs(1));
    }
    let [first_minute, later] = counts;
    assert!(first_minute <= 6, "{first_minute} probes in the first minute");
    assert!(later <= 10, "{later} in nine more");
}

/// Packets of somebody who knows ports and addresses but no tag.
fn blind_packets(bench: &Bench) -> Vec<(String, Vec<u8>)> {
    let init_ack = init_value(9, &[0, 7, 0, 8, 1, 2, 3, 4]);
    let sack = [&bench.has_received(1)[..], &[0, 1, 0, 0, 0, 0, 0, 0]].concat();
    let chunks = [
        chunk(0, 3, &[&1_000_u32.to_be_bytes()[..], &[0, 0, 0, 0, 0, 0, 0, 11, b'x']].concat()),
        chunk(2, 0, &init_ack),
        chunk(3, 0, &sack),
        chunk(4, 0, &[0, 1, 0, 8, 1, 2, 3, 4]),
        chunk(5, 0, &[0, 1, 0, 12, 1, 2, 3, 4, 5, 6, 7, 8]),
        chunk(6, 0, &[]),
        chunk(6, 1, &[]),
        chunk(7, 0, &bench.has_received(1)),
        chunk(8, 0, &[]),
        chunk(9, 0, &[0, 3, 0, 8, 0, 0, 0, 1]),
        chunk(10, 0, &[3; 150]),
        chunk(11, 0, &[]),
        chunk(14, 0, &[]),
        chunk(14, 1, &[]),
        chunk(0x40, 0, &[]),
        chunk(0xc1, 0, &[]),
    ];
    let mut packets = Vec::new();
    for tag in [0, 1, bench.host_tag ^ 1, PEER_TAG ^ 1, bench.host_tag.swap_bytes()] {
        for chunk in &chunks {
            let name = format!("chunk {} with tag {tag:08x}", chunk[0]);
            packets.push((name, packet(tag, core::slice::from_ref(chunk))));
        }
    }
    packets
}

#[test]
fn blind_packets_change_no_association_in_any_state() {
    for state in STATES {
        let mut bench = in_state(state);
        bench.host.events.clear();
        let before = memory(&mut bench.host);
        for (name, blind) in blind_packets(&bench) {
            for remote in [PEER, [10, 0, 0, 77].into()] {
                let result = bench.give_from(remote, blind.clone());
                assert!(result.is_err(), "{state:?}: {name} was taken");
                let _ = bench.replies();
            }
            assert_eq!(memory(&mut bench.host), before, "{state:?}: {name}");
        }
        for quoted in [&[0; 8][..], &[0x0f, 0x17, 0x13, 0x88, 9, 9, 9, 9], &[0x0f, 0x17]] {
            let (now, host) = (bench.host.now, &mut bench.host.endpoint);
            let gone = Input::Unreachable(Unreachable { remote: PEER, quoted });
            let small = Input::TooBig(TooBig { remote: PEER, mtu: 600, quoted });
            for error in [gone, small] {
                assert!(host.handle_input(now, error).is_err(), "{state:?}: {error:?}");
            }
        }
        assert_eq!(memory(&mut bench.host), before, "{state:?}: ICMP");
        assert!(bench.host.events.is_empty(), "{state:?}: {:?}", bench.host.events);
    }
}

#[test]
fn a_blind_init_changes_no_association_in_any_state() {
    for state in STATES {
        let mut bench = in_state(state);
        bench.host.events.clear();
        // In SHUTDOWN-ACK-SENT it asks for the SHUTDOWN ACK once more, which is all (§9.2).
        let before = memory(&mut bench.host);
        for number in 1..200 {
            let init = chunk(1, 0, &init_value(number, &[0, 5, 0, 8, 198, 51, 100, 7]));
            let _ = bench.give(packet(0, &[init]));
            let _ = bench.replies();
        }
        assert_eq!(memory(&mut bench.host), before, "{state:?}");
        assert!(bench.host.events.is_empty(), "{state:?}: {:?}", bench.host.events);
    }
}

#[test]
fn a_guessed_tsn_beyond_the_map_leaves_nothing_behind() {
    let mut bench = Bench::established();
    let before = bench.host.messages.len();
    for step in 0..2_000_u32 {
        let guess = data(1_000_u32.wrapping_add(0x2_0000).wrapping_add(step << 12), b"forged");
        bench.trade(&[guess]);
    }
    bench.trade(&[data(1_000, b"right")]);
    let texts: Vec<_> = bench.host.messages[before..].iter().map(|message| &message.2).collect();
    assert_eq!(texts, [b"right"]);
    let is_readable = |event: &Event| matches!(event, Event::Readable { .. });
    assert!(bench.host.events.iter().all(is_readable), "{:?}", bench.host.events);
}

#[test]
fn cookies_are_good_for_one_rotation_of_the_keys_and_no_longer() {
    const HOUR: Duration = Duration::from_secs(3_600);
    let mut bench = Bench::listening();
    // Keys alone decide, not the age of the cookie.
    bench.host.endpoint.configure(Config { cookie_life: 100 * HOUR, ..Config::DEFAULT });
    let cookie = bench.cookie_for(1, &[]);
    let (port, tag) = (PEER_PORT, bench.host_tag);
    let echo = packet_between(port, HOST_PORT, tag, &[chunk(10, 0, &cookie)]);
    let seal_another = |bench: &mut Bench| {
        let (remote, init) = init_of(7);
        bench.give_from(remote, init).unwrap();
        bench.replies();
    };
    bench.host.let_pass(HOUR);
    seal_another(&mut bench);
    assert_eq!(bench.give(echo.clone()), Ok(()), "the old key still opens");
    assert_eq!(bench.replies()[0].kinds(), [11]);
    let Some(Event::Up { handle, .. }) = bench.host.events.pop() else { panic!() };
    let _ = bench.host.endpoint.abort(bench.host.now, handle);
    bench.replies();
    // The same with a cookie that two rotations have passed over.
    let cookie = bench.cookie_for(2, &[]);
    let echo = packet(bench.host_tag, &[chunk(10, 0, &cookie)]);
    for _ in 0..2 {
        bench.host.let_pass(HOUR);
        seal_another(&mut bench);
    }
    let refused = bench.host.endpoint.statistics().cookies_refused;
    assert_eq!(bench.give(echo), Err(InputError::OutOfTheBlue));
    assert_eq!(bench.host.endpoint.statistics().cookies_refused, refused + 1);
    assert!(bench.replies().is_empty());
}

/// How many packets of each kind a flood has: `RSERPOOL_FLOOD`, or few.
fn flood_count() -> u32 {
    std::env::var("RSERPOOL_FLOOD").map_or(3_000, |count| count.parse().expect("a number"))
}

/// A transfer that must go on, both ways, while strangers flood one end.
struct Transfer {
    hosts: [Host; 2],
    handles: [crate::sctp::Handle; 2],
    sent_count: u32,
}

/// Packets of the flood between two turns of the transfer, which are a millisecond apart.
const PACKETS_PER_TURN: u32 = 100;

impl Transfer {
    fn new() -> Self {
        let (a, b, handle_a, handle_b) = super::link::connected();
        Self { hosts: [a, b], handles: [handle_a, handle_b], sent_count: 0 }
    }

    /// A message each way arrives.
    fn turn(&mut self) {
        use crate::association::{Ppid, StreamId};
        let text = self.sent_count.to_be_bytes().repeat(20);
        for (host, &handle) in self.hosts.iter_mut().zip(&self.handles) {
            host.let_pass(Duration::from_millis(1));
            let sent = host.endpoint.send(host.now, handle, StreamId(0), Ppid(1), false, &text);
            sent.expect("the last one was acknowledged");
        }
        self.sent_count += 1;
        let [a, b] = &mut self.hosts;
        super::link::run(a, b);
        for host in &mut self.hosts {
            let texts: Vec<_> = host.messages.drain(..).map(|message| message.2).collect();
            assert_eq!(texts, [text.as_slice()]);
            assert!(host.events.iter().all(|event| matches!(event, Event::Readable { .. })));
            host.events.clear();
        }
    }

    /// Gives host `b` packets of strangers; how many packets it answered with.
    fn flood(&mut self, mut next: impl FnMut(u32) -> (IpAddr, Vec<u8>)) -> u64 {
        let (mut reply_count, start) = (0, self.hosts[1].now);
        self.turn();
        // All but the association itself, which goes on.
        let others = |host: &mut Host| format!("{:?}", &host.endpoint.storage_mut().slots()[1..]);
        let before = (others(&mut self.hosts[1]), self.hosts[1].endpoint.poll_timeout().is_some());
        for number in 0..flood_count() {
            let (remote, payload) = next(number);
            let host = &mut self.hosts[1];
            let (now, local) = (host.now, host.address);
            let datagram = Datagram { local, remote, udp: None, payload: &payload };
            let _ = host.endpoint.handle_input(now, Input::Datagram(datagram));
            let mut buf = [0; 1_500];
            while host.endpoint.poll_transmit(now, &mut buf).is_some() {
                reply_count += 1;
            }
            if number % PACKETS_PER_TURN == 0 {
                self.turn();
            }
        }
        let host = &mut self.hosts[1];
        assert_eq!(others(host), before.0);
        assert_eq!(host.endpoint.statistics().established, 1);
        let seconds = host.now.saturating_duration_since(start).as_secs_f64();
        let per_second = f64::from(Config::DEFAULT.stranger_replies_per_second);
        let most = per_second * (1.0 + seconds);
        assert!(reply_count as f64 <= most, "{reply_count} replies in {seconds} s");
        reply_count
    }
}

#[test]
fn a_flood_of_inits_keeps_nothing_and_disturbs_no_transfer() {
    let mut transfer = Transfer::new();
    let reply_count = transfer.flood(init_of);
    std::println!("{} INITs, {reply_count} replies", flood_count());
    assert!(reply_count > 0);
}

#[test]
fn a_flood_of_forged_cookies_keeps_nothing_and_disturbs_no_transfer() {
    let mut bench = Bench::listening();
    let cookie = bench.cookie(&[]);
    let mut transfer = Transfer::new();
    let reply_count = transfer.flood(|number| {
        let mut cookie = cookie.clone();
        let at = number as usize % cookie.len();
        cookie[at] ^= 1 << (number % 8);
        let echo = chunk(10, 0, &cookie);
        let port = 1 + (number % 65_000) as u16;
        (
            (0xc633_0000 + number).to_be_bytes().into(),
            packet_between(port, HOST_PORT, number, &[echo]),
        )
    });
    let statistics = transfer.hosts[1].endpoint.statistics();
    std::println!("{} COOKIE ECHOs, {reply_count} replies", flood_count());
    assert_eq!(reply_count, 0);
    assert!(statistics.cookies_refused >= u64::from(flood_count()) * 9 / 10);
}

#[test]
fn a_flood_of_rubbish_keeps_nothing_and_disturbs_no_transfer() {
    let mut transfer = Transfer::new();
    let mut random = SplitMix64::new(77);
    let peer = transfer.hosts[0].address;
    let reply_count = transfer.flood(|_| {
        let mut body = vec![0; 4 + random.below(60) as usize];
        random.fill(&mut body);
        // Known types and lengths that may be right, from the peer itself or others.
        if random.below(4) > 0 {
            let len = body.len() as u8;
            body[0] %= 16;
            body[2..4].copy_from_slice(&[0, len - random.below(4) as u8]);
        }
        let remote =
            if random.below(2) == 0 { peer } else { random.next_u32().to_be_bytes().into() };
        let tag = if random.below(3) == 0 { 0 } else { random.next_u32() };
        let mut bytes = packet_between(5_000, 3_863, tag, &[body]);
        if random.below(8) == 0 {
            let at = random.below(bytes.len() as u64) as usize;
            bytes[at] ^= 1;
        }
        (remote, bytes)
    });
    std::println!("{} packets, {reply_count} replies", flood_count());
}
