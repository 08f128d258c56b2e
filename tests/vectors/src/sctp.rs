//! Two SCTP endpoints in one image: handshake, data both ways, loss, shutdown.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use rserpool_core::association::{DownReason, Ppid, StreamId};
use rserpool_core::entropy::{Entropy, SplitMix64};
use rserpool_core::machine::Machine;
use rserpool_core::sctp::{
    Config, Connect, Datagram, Endpoint, Event, Handle, Inline, Input, UdpPorts,
};
use rserpool_core::time::Instant;

use crate::Trace;

/// Nothing is lost, and the receiver has room for all that the sender has.
#[must_use]
pub fn sctp_exchange() -> u64 {
    let mut pair = Pair::<8_192>::new(0);
    pair.run();
    let statistics = pair.ends[0].endpoint.statistics();
    assert_eq!(statistics.retransmission_timeouts, 0);
    pair.trace.digest()
}

/// One packet in five is lost, and the receiver's window is as small as a board's: everything
/// arrives all the same, some of it later.
#[must_use]
pub fn sctp_exchange_with_loss() -> u64 {
    let mut pair = Pair::<2_048>::new(20);
    pair.run();
    assert!(pair.lost_count > 10, "only {} packets were lost", pair.lost_count);
    let ends = pair.ends.iter();
    let timeouts = ends.map(|end| end.endpoint.statistics().retransmission_timeouts);
    assert!(timeouts.sum::<u64>() > 0, "no timer had to act");
    pair.trace.digest()
}

/// As many messages each way as are more than the buffers hold.
const MESSAGE_COUNT: u32 = 40;
const STREAM_COUNT: u32 = 3;
const MESSAGE_LEN_MAX: usize = 700;
const PORT: u16 = 3_863;
const SEED: u64 = 0xca11;
const ROUNDS_MAX: usize = 20_000;
const LATENCY: Duration = Duration::from_millis(10);

struct End<const RX_LEN: usize> {
    endpoint: Endpoint<Inline<1, 2_048, RX_LEN, 32>, SplitMix64>,
    address: IpAddr,
    handle: Option<Handle>,
    sent_count: u32,
    received_count: u32,
    next_of_stream: [u32; STREAM_COUNT as usize],
    down: Option<DownReason>,
}

struct Pair<const RX_LEN: usize> {
    ends: [End<RX_LEN>; 2],
    now: Instant,
    loss_percent: u64,
    random: SplitMix64,
    lost_count: u32,
    trace: Trace,
}

impl<const RX_LEN: usize> End<RX_LEN> {
    fn new(last: u8) -> Self {
        let entropy = SplitMix64::new(last.into());
        Self {
            endpoint: Endpoint::new(Config::DEFAULT, entropy, [last; 32], Inline::new()),
            address: IpAddr::from([10, 0, 0, last]),
            handle: None,
            sent_count: 0,
            received_count: 0,
            next_of_stream: [0; STREAM_COUNT as usize],
            down: None,
        }
    }

    /// Sends as much as there is room for.
    fn send(&mut self, now: Instant) {
        let Some(handle) = self.handle.filter(|_| self.down.is_none()) else { return };
        while self.sent_count < MESSAGE_COUNT {
            let mut buffer = [0; MESSAGE_LEN_MAX];
            let message = message(self.sent_count, &mut buffer);
            let stream = StreamId((self.sent_count % STREAM_COUNT) as u16);
            let ppid = Ppid(self.sent_count);
            if self.endpoint.send(now, handle, stream, ppid, false, message).is_err() {
                return;
            }
            self.sent_count += 1;
        }
    }

    fn take_events(&mut self, now: Instant, trace: &mut Trace) {
        while let Some(event) = self.endpoint.poll_event() {
            trace.value(event);
            match event {
                Event::Up { handle, .. } => self.handle = Some(handle),
                Event::Readable { handle } => self.receive(now, handle),
                Event::Down { reason, .. } => self.down = Some(reason),
                _ => {}
            }
        }
    }

    /// Streams may overtake one another, messages of one stream may not.
    fn receive(&mut self, now: Instant, handle: Handle) {
        let mut buffer = [0; 2_048];
        while let Some(received) = self.endpoint.recv(now, handle, &mut buffer) {
            let number = received.ppid.0;
            assert_eq!(u32::from(received.stream.0), number % STREAM_COUNT);
            let mut expected = [0; MESSAGE_LEN_MAX];
            assert!(buffer[..received.len] == *message(number, &mut expected), "{number}");
            let next = &mut self.next_of_stream[usize::from(received.stream.0)];
            assert_eq!(number / STREAM_COUNT, *next, "message {number} is out of order");
            *next += 1;
            self.received_count += 1;
        }
    }
}

impl<const RX_LEN: usize> Pair<RX_LEN> {
    fn new(loss_percent: u64) -> Self {
        Self {
            ends: [End::new(1), End::new(2)],
            now: Instant::from_millis(1),
            loss_percent,
            random: SplitMix64::new(SEED),
            lost_count: 0,
            trace: Trace::new(),
        }
    }

    fn run(&mut self) {
        let [a, b] = &mut self.ends;
        b.endpoint.listen(PORT).expect("it is the first port");
        let remote = SocketAddr::new(b.address, PORT);
        let udp = Some(UdpPorts { local: 9_899, remote: 9_899 });
        a.endpoint.connect(self.now, Connect { local_port: 0, remote, udp }).expect("room");
        self.run_until(|ends| {
            ends.iter()
                .all(|end| end.sent_count == MESSAGE_COUNT && end.received_count == MESSAGE_COUNT)
        });
        let [a, _] = &mut self.ends;
        let handle = a.handle.expect("it is up");
        a.endpoint.shutdown(self.now, handle).expect("it is up");
        self.run_until(|ends| ends.iter().all(|end| end.down.is_some()));
        for end in &self.ends {
            assert_eq!(end.down, Some(DownReason::Shutdown));
            assert_eq!(end.endpoint.statistics().established, 1);
            assert_eq!(end.endpoint.poll_timeout(), None);
        }
    }

    fn run_until(&mut self, is_done: impl Fn(&[End<RX_LEN>; 2]) -> bool) {
        for _ in 0..ROUNDS_MAX {
            if is_done(&self.ends) {
                return;
            }
            for end in &mut self.ends {
                end.send(self.now);
            }
            let packets = self.carry(0) + self.carry(1);
            self.trace.value((self.now, packets));
            let [a, b] = &mut self.ends;
            let next = Instant::earliest(a.endpoint.poll_timeout(), b.endpoint.poll_timeout());
            self.now = match packets {
                0 => next.expect("somebody waits for something"),
                _ => self.now + LATENCY,
            };
            for end in &mut self.ends {
                end.endpoint.handle_timeout(self.now);
            }
        }
        panic!("it never ends");
    }

    /// Carries all packets of one end to the other, or loses them. Returns how many there were.
    fn carry(&mut self, from: usize) -> u32 {
        let (now, mut packets, mut buffer) = (self.now, 0, [0; 1_500]);
        let [a, b] = &mut self.ends;
        let (from, to) = if from == 0 { (a, b) } else { (b, a) };
        while let Some(packet) = from.endpoint.poll_transmit(now, &mut buffer) {
            let payload = &buffer[..packet.len];
            self.trace.bytes(payload);
            packets += 1;
            assert_eq!(packet.remote, to.address);
            if self.random.below(100) < self.loss_percent {
                self.lost_count += 1;
                continue;
            }
            let udp = packet.udp.map(|udp| UdpPorts { local: udp.remote, remote: udp.local });
            let (local, remote) = (to.address, from.address);
            let datagram = Datagram { local, remote, udp, payload };
            // What comes late is refused, and that is right.
            let _ = to.endpoint.handle_input(now, Input::Datagram(datagram));
        }
        from.take_events(now, &mut self.trace);
        to.take_events(now, &mut self.trace);
        packets
    }
}

/// Message number `number`: of a length and with bytes of its own.
fn message(number: u32, buffer: &mut [u8; MESSAGE_LEN_MAX]) -> &[u8] {
    let mut random = SplitMix64::new(number.into());
    let len = 1 + random.below(MESSAGE_LEN_MAX as u64 - 1) as usize;
    random.fill(&mut buffer[..len]);
    &buffer[..len]
}
