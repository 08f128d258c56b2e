//! Many associations at one endpoint whose storage grows.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;
use std::boxed::Box;
use std::vec;
use std::vec::Vec;

use crate::association::{DownReason, Ppid, StreamId};
use crate::entropy::{Entropy, SplitMix64};
use crate::machine::Machine;
use crate::sctp::{
    Config, Connect, Datagram, Endpoint, Event, Handle, Inline, Input, Lent, Packet, RxDescriptor,
    Slot, Storage, TxDescriptor,
};
use crate::time::Instant;

const LEN: usize = 2_048;
const DESCRIPTORS: usize = 8;

#[derive(Default)]
struct Growing {
    slots: Vec<Slot>,
    bytes: Vec<[[u8; LEN]; 2]>,
    descriptors: Vec<([TxDescriptor; DESCRIPTORS], [RxDescriptor; DESCRIPTORS])>,
}

impl Growing {
    fn grow_to(&mut self, count: usize) {
        while self.slots.len() < count {
            self.slots.push(Slot::EMPTY);
            self.bytes.push([[0; LEN]; 2]);
            self.descriptors
                .push(([TxDescriptor::EMPTY; DESCRIPTORS], [RxDescriptor::EMPTY; DESCRIPTORS]));
        }
    }
}

impl Storage for Growing {
    fn slots(&self) -> &[Slot] {
        &self.slots
    }

    fn slots_mut(&mut self) -> &mut [Slot] {
        &mut self.slots
    }

    fn lend(&mut self, index: usize) -> Option<Lent<'_>> {
        let [tx, rx] = self.bytes.get_mut(index)?;
        let (tx_descriptors, rx_descriptors) = self.descriptors.get_mut(index)?;
        let slot = self.slots.get_mut(index)?;
        Some(Lent { slot, tx, rx, tx_descriptors, rx_descriptors })
    }
}

type Client = Endpoint<Box<Small>, SplitMix64>;
type Small = Inline<1, LEN, LEN, DESCRIPTORS>;

impl Storage for Box<Small> {
    fn slots(&self) -> &[Slot] {
        (**self).slots()
    }

    fn slots_mut(&mut self) -> &mut [Slot] {
        (**self).slots_mut()
    }

    fn lend(&mut self, index: usize) -> Option<Lent<'_>> {
        (**self).lend(index)
    }
}

const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 1, 0, 1));

fn client_address(index: usize) -> IpAddr {
    Ipv4Addr::new(10, 2, (index / 250) as u8, (index % 250) as u8 + 1).into()
}

struct World {
    server: Endpoint<Growing, SplitMix64>,
    clients: Vec<(Client, Option<Handle>)>,
    now: Instant,
    echo_count: usize,
    up_count: usize,
    down_count: usize,
}

impl World {
    fn deliver(&mut self, packet: &Packet, bytes: &[u8], from: IpAddr) {
        let datagram = Datagram { local: packet.remote, remote: from, udp: None, payload: bytes };
        if packet.remote == SERVER {
            let _ = self.server.handle_input(self.now, Input::Datagram(datagram));
            self.server_events();
        } else {
            let index = (0..self.clients.len()).find(|&at| client_address(at) == packet.remote);
            let client = &mut self.clients[index.unwrap()].0;
            let _ = client.handle_input(self.now, Input::Datagram(datagram));
        }
    }

    fn server_events(&mut self) {
        let mut buf = vec![0; LEN];
        while let Some(event) = self.server.poll_event() {
            match event {
                Event::Up { .. } => self.up_count += 1,
                Event::Down { reason, .. } => {
                    assert_eq!(reason, DownReason::Shutdown);
                    self.down_count += 1;
                }
                Event::Readable { handle } => {
                    while let Some(message) = self.server.recv(self.now, handle, &mut buf) {
                        let data = &buf[..message.len];
                        self.server
                            .send(self.now, handle, message.stream, message.ppid, false, data)
                            .unwrap();
                    }
                }
                _ => {}
            }
        }
    }

    fn run(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            while self.carry() {}
            let clients = self.clients.iter().filter_map(|(client, _)| client.poll_timeout());
            let next = clients.chain(self.server.poll_timeout()).min();
            self.now = next.filter(|&next| next < end).unwrap_or(end).max(self.now);
            self.server.handle_timeout(self.now);
            self.server_events();
            self.clients.iter_mut().for_each(|(client, _)| client.handle_timeout(self.now));
            if self.now >= end {
                return;
            }
        }
    }

    fn carry(&mut self) -> bool {
        let mut moved = false;
        let mut buf = vec![0; 1_500];
        let mut message = vec![0; LEN];
        for index in 0..self.clients.len() {
            while let Some(packet) = self.clients[index].0.poll_transmit(self.now, &mut buf) {
                moved = true;
                self.deliver(&packet, &buf[..packet.len], client_address(index));
                self.drain_server();
            }
            let (client, handle) = &mut self.clients[index];
            while let Some(event) = client.poll_event() {
                match event {
                    Event::Readable { handle } => {
                        while client.recv(self.now, handle, &mut message).is_some() {
                            self.echo_count += 1;
                        }
                    }
                    Event::Down { .. } => *handle = None,
                    _ => {}
                }
            }
        }
        self.drain_server() || moved
    }

    fn drain_server(&mut self) -> bool {
        let mut buf = vec![0; 1_500];
        let mut moved = false;
        while let Some(packet) = self.server.poll_transmit(self.now, &mut buf) {
            moved = true;
            self.deliver(&packet, &buf[..packet.len], SERVER);
        }
        moved
    }
}

#[test]
fn associations_come_and_go_at_an_endpoint_that_grows() {
    const CLIENTS: usize = 120;
    let mut random = SplitMix64::new(5);
    let client = |index| {
        let storage = Box::new(Small::new());
        (Endpoint::new(Config::DEFAULT, SplitMix64::new(index), [1; 32], storage), None)
    };
    let mut world = World {
        server: Endpoint::new(Config::DEFAULT, SplitMix64::new(0), [2; 32], Growing::default()),
        clients: (1..=CLIENTS as u64).map(client).collect(),
        now: Instant::from_millis(1),
        echo_count: 0,
        up_count: 0,
        down_count: 0,
    };
    world.server.listen(3_863).unwrap();
    let (mut connect_count, mut sent_count) = (0, 0);
    for round in 0..12 {
        world.server.storage_mut().grow_to(((round + 1) * 13).min(CLIENTS));
        let limit = ((round + 1) * 13).min(CLIENTS);
        for index in 0..limit {
            let now = world.now;
            let (client, handle) = &mut world.clients[index];
            match handle {
                None => {
                    let remote = SocketAddr::new(SERVER, 3_863);
                    // All use the same port, so that the address alone tells them apart.
                    let connect = Connect { local_port: 7_000, remote, udp: None };
                    *handle = Some(client.connect(now, connect).unwrap());
                    connect_count += 1;
                }
                Some(handle) if random.below(3) == 0 => client.shutdown(now, *handle).unwrap(),
                Some(handle) => {
                    client.send(now, *handle, StreamId(0), Ppid(1), false, b"hello").unwrap();
                    sent_count += 1;
                }
            }
        }
        world.run(Duration::from_secs(2));
    }
    for (client, handle) in &mut world.clients {
        if let Some(handle) = handle {
            client.shutdown(world.now, *handle).unwrap();
        }
    }
    world.run(Duration::from_secs(2));
    assert!(connect_count > 200 && sent_count > 300);
    assert_eq!((world.up_count, world.down_count), (connect_count, connect_count));
    assert_eq!(world.echo_count, sent_count);
    assert_eq!(world.server.poll_timeout(), None);
}
