//! A sender and a receiver joined by a seeded network: both directions of RFC 9260 §6 and §7.

mod disorder;
mod recut;
mod soak;
mod traces;

use super::receiver::Message;
use core::time::Duration;
use std::vec;
use std::vec::Vec;

use super::*;
use crate::sctp::packet::{Chunk, Chunks, DataChunk, GapBlock, PacketWriter};
use crate::sctp::serial::Tsn;
use crate::time::Instant;

/// What packets carry besides the common header: PMTU 1500 over IPv4.
const PACKET_LEN: usize = 1_468;

#[derive(Clone, Copy)]
struct Sizes {
    tx_len: usize,
    rx_len: usize,
    descriptors: usize,
}

const SMALL: Sizes = Sizes { tx_len: 2_048, rx_len: 2_048, descriptors: 8 };
const LARGE: Sizes = Sizes { tx_len: 65_536, rx_len: 65_536, descriptors: 256 };

/// One direction of an association: the sender at one end, the receiver at the other.
struct Link {
    now: Instant,
    tx_state: SenderState,
    tx: Vec<u8>,
    tx_descriptors: Vec<TxDescriptor>,
    path: PathTransfer,
    rx_state: ReceiverState,
    rx: Vec<u8>,
    rx_descriptors: Vec<RxDescriptor>,
    parameters: Parameters,
}

impl Link {
    fn new(sizes: Sizes, initial: u32) -> Self {
        let mut link = Self {
            now: Instant::from_millis(1_000),
            tx_state: SenderState::EMPTY,
            tx: vec![0; sizes.tx_len],
            tx_descriptors: vec![TxDescriptor::EMPTY; sizes.descriptors],
            path: PathTransfer::EMPTY,
            rx_state: ReceiverState::EMPTY,
            rx: vec![0; sizes.rx_len],
            rx_descriptors: vec![RxDescriptor::EMPTY; sizes.descriptors],
            parameters: Parameters::DEFAULT,
        };
        link.path.start(&Parameters::DEFAULT, PACKET_LEN as u16, false);
        link.receiver().start(Tsn(initial), 8);
        let window = link.receiver().a_rwnd();
        link.sender().start(Tsn(initial), window, 8, false);
        link
    }

    fn sender(&mut self) -> Sender<'_> {
        Sender::new(&mut self.tx_state, &mut self.tx, &mut self.tx_descriptors)
    }

    fn receiver(&mut self) -> Receiver<'_> {
        Receiver::new(&mut self.rx_state, &mut self.rx, &mut self.rx_descriptors)
    }

    fn push(&mut self, stream: u16, unordered: bool, data: &[u8]) -> Result<(), PushError> {
        self.sender().push(stream, 11, unordered, data, PACKET_LEN as u16)
    }

    /// The next packet of DATA; empty if none may leave.
    fn data(&mut self) -> Vec<u8> {
        let mut buf = [0; PACKET_LEN];
        let mut writer = PacketWriter::new(&mut buf);
        let now = self.now;
        let mut sender = Sender::new(&mut self.tx_state, &mut self.tx, &mut self.tx_descriptors);
        let wants = sender.wants_to_send(&self.path);
        let len = sender.next_data(now, (0, true), &mut self.path, &mut writer);
        assert_eq!(wants, len > 0, "says whether it wants to send");
        buf[..len].to_vec()
    }

    fn deliver(&mut self, packet: &[u8]) -> Vec<DataOutcome> {
        let (now, parameters) = (self.now, self.parameters);
        let mut outcomes = Vec::new();
        for raw in Chunks::new(packet) {
            let Chunk::Data(chunk) = Chunk::parse(raw) else { panic!("only DATA is sent") };
            outcomes.push(self.receiver().on_data(&chunk));
        }
        self.receiver().on_packet_end(now, &parameters);
        outcomes
    }

    /// The SACK that is due, if one is.
    fn sack(&mut self) -> Option<Vec<u8>> {
        let now = self.now;
        self.receiver().is_sack_due(now).then(|| {
            let mut buf = [0; PACKET_LEN];
            let mut writer = PacketWriter::new(&mut buf);
            assert!(self.receiver().write_sack(&mut writer));
            let len = writer.len();
            buf[..len].to_vec()
        })
    }

    fn deliver_sack(&mut self, packet: &[u8]) -> Result<SackOutcome, NeverSent> {
        let raw = Chunks::new(packet).next().unwrap();
        let Chunk::Sack(sack) = Chunk::parse(raw) else { panic!("not a SACK") };
        let (now, parameters) = (self.now, self.parameters);
        let paths = core::slice::from_mut(&mut self.path);
        Sender::new(&mut self.tx_state, &mut self.tx, &mut self.tx_descriptors).on_sack(
            now,
            &sack,
            &parameters,
            paths,
        )
    }

    fn pop(&mut self) -> Option<(Message, Vec<u8>)> {
        let mut buf = vec![0; self.receiver().peek_len()?];
        let message = self.receiver().pop(&mut buf).unwrap();
        Some((message, buf))
    }

    fn expire_t3(&mut self) -> bool {
        self.now = self.path.t3_rtx().get().unwrap();
        let parameters = self.parameters;
        Sender::new(&mut self.tx_state, &mut self.tx, &mut self.tx_descriptors).on_t3(
            &parameters,
            0,
            &mut self.path,
        )
    }

    fn wait(&mut self, millis: u64) {
        self.now += Duration::from_millis(millis);
    }
}

fn tsns(packet: &[u8]) -> Vec<u32> {
    Chunks::new(packet)
        .map(|raw| match Chunk::parse(raw) {
            Chunk::Data(chunk) => chunk.tsn.0,
            _ => panic!("only DATA is sent"),
        })
        .collect()
}

fn sack_bytes(cumulative: u32, a_rwnd: u32, gaps: &[(u16, u16)]) -> Vec<u8> {
    let mut buf = [0; 200];
    let mut writer = PacketWriter::new(&mut buf);
    let gaps = gaps.iter().map(|&(start, end)| GapBlock { start, end });
    assert!(writer.sack(Tsn(cumulative), a_rwnd, gaps, core::iter::empty()));
    let len = writer.len();
    buf[..len].to_vec()
}
