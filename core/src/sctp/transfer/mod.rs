//! The data transfer parts of an association (RFC 9260 §6, §7) as sub-state-machines that know
//! nothing of packets' ways, tags, chunks other than DATA and SACK, or the association's state.
//!
//! The interface to the endpoint (all `pub(crate)`; `P` is [`PacketWriter`](super::packet)):
//!
//! - `PathTransfer`: what data transfer keeps of one destination: congestion window, ssthresh,
//!   partial bytes acked, flight size, RTO estimate, T3 deadline. The endpoint's `Path` holds one.
//!   `PathTransfer::EMPTY` is all zero bits; `start(&mut self, &Parameters, pmdcs: u16, ipv6: bool)`.
//!   `rto() -> Duration`, `srtt() -> Option<Duration>`, `on_rtt(&Parameters, Duration)`,
//!   `back_off(&Parameters)`, `t3_deadline() -> Option<Instant>`, `pmdcs()`.
//! - `Parameters`: the section 16 values that data transfer needs (`RTO.*`, `Max.Burst`,
//!   `SACK.Delay`), in the endpoint's `Config`.
//! - `SenderState::EMPTY`, `ReceiverState::EMPTY`: plain structs in the association's slot.
//!   `TxDescriptor::EMPTY`, `RxDescriptor::EMPTY` likewise. All are all zero bits.
//! - `Sender<'s>::new(&mut SenderState, tx: &mut [u8], &mut [TxDescriptor])`:
//!   `start(initial: Tsn, peer_rwnd: u32, streams: u16)` (also after a restart; queued messages
//!   that were never sent may be kept: `keep_unsent: bool`); `push(stream, ppid, unordered, data,
//!   chunk_len_max) -> Result<(), PushError { Full, TooLong, NoSuchStream }>`;
//!   `on_sack(now, &Sack, &Parameters, &mut [PathTransfer access]) -> Result<SackOutcome, ..>`
//!   (`SackOutcome { advanced: bool, room: bool }`; an error means "abort, cause 13");
//!   `on_cumulative(now, Tsn, ..)` for the TSN in SHUTDOWN;
//!   `wants_to_send(&PathTransfer) -> bool`; `next_data(now, &Parameters, &mut PathTransfer, &mut P)
//!   -> usize` (bytes of chunks written; starts T3); `on_t3(now, &Parameters, &mut PathTransfer)
//!   -> counted: bool` (false where a zero window probe times out while SACKs come);
//!   `all_acked()`, `nothing_unsent()`, `writable(len)`.
//! - `Receiver<'s>::new(&mut ReceiverState, rx: &mut [u8], &mut [RxDescriptor])`:
//!   `start(initial: Tsn, streams: u16)`; `on_data(now, &DataChunk) -> DataOutcome { Accepted,
//!   Duplicate, NoRoom, NoSuchStream, Violation }`; `on_packet_end(now, &Parameters)`;
//!   `sack_due(now)`, `demand_sack()`, `has_gaps_or_duplicates()`, `write_sack(now, &mut P) -> bool`
//!   (whether it fitted; takes the debt away); `sack_deadline() -> Option<Instant>`;
//!   `readable() -> bool`; `peek_len() -> Option<usize>`; `pop(&mut buf) -> Option<Received>`;
//!   `cumulative() -> Tsn`; `a_rwnd() -> u32`.
//!
//! The endpoint asks for `next_data` in ESTABLISHED, SHUTDOWN-PENDING and SHUTDOWN-RECEIVED only,
//! with one path for now; descriptors carry a path index so that several can come.
