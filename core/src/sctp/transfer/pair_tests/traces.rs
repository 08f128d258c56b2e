//! Traces of single rules.

use super::*;

#[test]
fn a_message_arrives_and_the_first_is_acknowledged_at_once() {
    let mut link = Link::new(LARGE, 100);
    link.push(3, false, b"hello").unwrap();
    let packet = link.data();
    assert_eq!(
        packet,
        [0, 3, 0, 21, 0, 0, 0, 100, 0, 3, 0, 0, 0, 0, 0, 11, 104, 101, 108, 108, 111, 0, 0, 0]
    );
    assert!(link.data().is_empty());
    assert_eq!(link.deliver(&packet), [DataOutcome::Accepted]);
    let (message, bytes) = link.pop().unwrap();
    assert_eq!(message, Message { stream: 3, ppid: 11, unordered: false, len: 5 });
    assert_eq!(bytes, b"hello");
    let sack = link.sack().expect("the first DATA is acknowledged at once");
    let outcome = link.deliver_sack(&sack).unwrap();
    assert_eq!(
        outcome,
        SackOutcome { is_current: true, advanced: true, acked_paths: 1, proven_paths: 1 }
    );
    assert!(link.sender().all_acked());
    assert_eq!(link.path.t3_rtx().get(), None);
}

#[test]
fn every_second_packet_is_acknowledged_or_the_delay_ends() {
    let mut link = Link::new(LARGE, 1);
    for round in 0..4_u8 {
        link.push(0, false, &[round]).unwrap();
        let packet = link.data();
        link.deliver(&packet);
        // At once for the first, not for the second, for the third as the second since then.
        assert_eq!(link.sack().is_some(), round == 0 || round == 2, "round {round}");
    }
    assert_eq!(link.receiver().state.sack_timer().get(), Some(Instant::from_millis(1_200)));
    link.wait(200);
    assert!(link.sack().is_some());
    assert_eq!(link.receiver().state.sack_timer().get(), None);
}

#[test]
fn several_chunks_of_a_packet_count_once() {
    let mut link = Link::new(LARGE, 1);
    for _ in 0..2 {
        for _ in 0..3 {
            link.push(0, false, b"x").unwrap();
        }
        let packet = link.data();
        assert_eq!(tsns(&packet).len(), 3);
        link.deliver(&packet);
        while link.pop().is_some() {}
    }
    assert!(link.sack().is_some(), "for the first");
    assert!(link.sack().is_none());
}

#[test]
fn the_i_bit_asks_for_a_sack_at_once() {
    let mut link = Link::new(LARGE, 1);
    link.push(0, false, b"x").unwrap();
    let packet = link.data();
    link.deliver(&packet);
    link.sack().unwrap();
    link.sender().close();
    link.push(0, false, b"x").unwrap();
    let packet = link.data();
    assert_eq!(packet[1], 8 | 3);
    link.deliver(&packet);
    assert!(link.sack().is_some());
}

#[test]
fn a_full_send_queue_asks_for_a_sack_at_once() {
    let mut link = Link::new(SMALL, 1);
    link.push(0, false, &[1; 1_452]).unwrap();
    assert_eq!(link.push(0, false, &[1; 1_452]), Err(PushError::Full));
    assert_eq!(link.data()[1], 8 | 3);
}

#[test]
fn a_long_message_is_cut_at_multiples_of_four() {
    let mut link = Link::new(LARGE, u32::MAX);
    link.push(0, false, &[7; 3_000]).unwrap();
    let packets = [link.data(), link.data(), link.data()];
    assert_eq!(packets.each_ref().map(Vec::len), [1_468, 1_468, 16 + 96]);
    assert_eq!(packets.each_ref().map(|packet| packet[1]), [2, 0, 1]);
    assert_eq!(packets.each_ref().map(|packet| tsns(packet)[0]), [u32::MAX, 0, 1]);
    for index in [2, 0, 1] {
        assert!(link.pop().is_none());
        link.deliver(&packets[index]);
    }
    assert!(link.pop().unwrap().1 == [7; 3_000]);
}

#[test]
fn what_cannot_be_queued_is_refused_whole() {
    let mut link = Link::new(SMALL, 1);
    assert_eq!(link.push(0, false, b""), Err(PushError::Empty));
    assert_eq!(link.push(8, false, b"x"), Err(PushError::NoSuchStream));
    assert_eq!(link.push(0, false, &[0; 2_049]), Err(PushError::TooLong));
    for _ in 0..8 {
        link.push(0, false, b"x").unwrap();
    }
    assert_eq!(link.push(0, false, b"x"), Err(PushError::Full), "descriptors");
    assert!(!link.sender().is_writable(1, 1_468));
    let packet = link.data();
    link.deliver(&packet);
    let sack = link.sack().unwrap();
    link.deliver_sack(&sack).unwrap();
    assert!(link.sender().is_writable(2_048, 1_468));
    link.push(0, false, &[0; 2_048]).unwrap();
    assert_eq!(link.push(0, false, b"x"), Err(PushError::Full), "bytes");
}

#[test]
fn ordered_messages_wait_and_unordered_ones_and_other_streams_do_not() {
    let mut link = Link::new(LARGE, 1);
    let mut packets = Vec::new();
    for (stream, unordered) in [(0, false), (0, false), (0, true), (1, false)] {
        link.push(stream, unordered, &[packets.len() as u8]).unwrap();
        packets.push(link.data());
    }
    for packet in &packets[1..] {
        link.deliver(packet);
    }
    assert_eq!(link.pop().unwrap().1, [2]);
    assert_eq!(link.pop().unwrap().1, [3]);
    assert!(link.pop().is_none());
    link.deliver(&packets[0]);
    assert_eq!(link.pop().unwrap().1, [0]);
    assert_eq!(link.pop().unwrap().1, [1]);
}

#[test]
fn gaps_and_duplicates_are_reported_at_once() {
    let mut link = Link::new(LARGE, 1);
    let packets: Vec<_> = (0..4_u8)
        .map(|index| {
            link.push(0, false, &[index]).unwrap();
            link.data()
        })
        .collect();
    link.deliver(&packets[0]);
    link.sack().unwrap();
    assert_eq!(link.deliver(&packets[0]), [DataOutcome::Duplicate]);
    let sack = link.sack().expect("a packet of duplicates only");
    assert_eq!(sack[12..], [0, 0, 0, 1, 0, 0, 0, 1]);
    link.deliver(&packets[2]);
    let sack = link.sack().expect("a gap");
    assert_eq!(sack[4..8], [0, 0, 0, 1]);
    assert_eq!(sack[12..], [0, 1, 0, 0, 0, 2, 0, 2]);
    link.deliver(&packets[3]);
    link.sack().expect("the gap is still there");
    link.deliver(&packets[1]);
    let sack = link.sack().expect("the gap is filled");
    assert_eq!(sack[4..8], [0, 0, 0, 4]);
}

#[test]
fn the_third_miss_sends_again_at_once_and_halves_the_window() {
    let mut link = Link::new(LARGE, 1);
    for _ in 0..4 {
        link.push(0, false, &[0; 1_452]).unwrap();
    }
    for tsn in 1..=3 {
        assert_eq!(tsns(&link.data()), [tsn]);
    }
    link.deliver_sack(&sack_bytes(0, 65_536, &[(2, 2)])).unwrap();
    assert_eq!(tsns(&link.data()), [4]);
    link.deliver_sack(&sack_bytes(0, 65_536, &[(2, 3)])).unwrap();
    assert!(link.data().is_empty());
    link.deliver_sack(&sack_bytes(0, 65_536, &[(2, 4)])).unwrap();
    assert_eq!(link.path.window(), 5_872);
    let recovery = link.tx_state.recovery_exit;
    assert_eq!(recovery, Some(Tsn(4)));
    let before = link.now;
    link.wait(100);
    assert_eq!(tsns(&link.data()), [1]);
    assert_eq!(link.path.t3_rtx().get(), Some(before + Duration::from_millis(1_100)));
    link.deliver_sack(&sack_bytes(4, 65_536, &[])).unwrap();
    assert_eq!(link.tx_state.recovery_exit, None);
    assert!(link.sender().all_acked());
    assert_eq!(link.path.srtt(), None, "retransmitted data gives no sample");
}

#[test]
fn repeated_gap_reports_are_no_misses() {
    let mut link = Link::new(LARGE, 1);
    for _ in 0..3 {
        link.push(0, false, &[0; 1_000]).unwrap();
        link.data();
    }
    for _ in 0..9 {
        // Nothing is newly acknowledged by the later ones (HTNA).
        link.deliver_sack(&sack_bytes(0, 65_536, &[(2, 3)])).unwrap();
    }
    assert!(link.data().is_empty());
}

#[test]
fn a_chunk_is_fast_retransmitted_once() {
    let mut link = Link::new(LARGE, 1);
    for _ in 0..20 {
        link.push(0, false, &[0; 100]).unwrap();
        link.data();
    }
    for end in 2..=4 {
        link.deliver_sack(&sack_bytes(0, 65_536, &[(2, end)])).unwrap();
    }
    assert_eq!(tsns(&link.data()), [1]);
    for end in 5..=12 {
        link.deliver_sack(&sack_bytes(0, 65_536, &[(2, end)])).unwrap();
    }
    assert!(link.data().is_empty());
    assert!(link.expire_t3());
    assert_eq!(tsns(&link.data())[0], 1);
}

#[test]
fn a_reneging_peer_gets_it_again() {
    let mut link = Link::new(LARGE, 1);
    for _ in 0..3 {
        link.push(0, false, &[0; 1_000]).unwrap();
        link.data();
    }
    link.deliver_sack(&sack_bytes(1, 65_536, &[(2, 2)])).unwrap();
    assert_eq!(link.path.flight(), 1_016);
    link.deliver_sack(&sack_bytes(2, 65_536, &[])).unwrap();
    assert_eq!(link.path.flight(), 1_016, "TSN 3 is outstanding again");
    assert!(link.path.t3_rtx().get().is_some());
    link.expire_t3();
    assert_eq!(tsns(&link.data()), [3]);
}

#[test]
fn old_and_impossible_sacks_are_told_apart() {
    let mut link = Link::new(LARGE, u32::MAX);
    for _ in 0..3 {
        link.push(0, false, &[0; 100]).unwrap();
    }
    link.data();
    link.deliver_sack(&sack_bytes(0, 65_536, &[])).unwrap();
    let old = link.deliver_sack(&sack_bytes(u32::MAX, 0, &[])).unwrap();
    assert_eq!(old, SackOutcome::default());
    assert_eq!(link.deliver_sack(&sack_bytes(2, 65_536, &[])), Err(NeverSent));
    // Blocks beyond what was sent, empty, reversed or overlapping do no harm.
    let gaps = [(0, 9), (3, 2), (5, 900), (1, 1), (1, u16::MAX)];
    link.deliver_sack(&sack_bytes(0, 65_536, &gaps)).unwrap();
    link.deliver_sack(&sack_bytes(1, 65_536, &[])).unwrap();
    assert!(link.sender().all_acked());
}

#[test]
fn timeout_backs_off_and_sends_one_packet() {
    let mut link = Link::new(LARGE, 1);
    for _ in 0..3 {
        link.push(0, false, &[0; 1_000]).unwrap();
        link.data();
    }
    assert!(link.expire_t3());
    assert_eq!(link.path.rto(), Span(2_000_000));
    assert_eq!(tsns(&link.data()), [1]);
    assert_eq!(tsns(&link.data()), [2], "still below the window of one full packet");
    assert!(link.data().is_empty());
    link.deliver_sack(&sack_bytes(2, 65_536, &[])).unwrap();
    assert_eq!(tsns(&link.data()), [3]);
    assert_eq!(link.path.srtt(), None);
}

#[test]
fn a_round_trip_is_measured_once_at_a_time() {
    let mut link = Link::new(LARGE, 1);
    link.push(0, false, b"x").unwrap();
    link.data();
    link.wait(30);
    link.push(0, false, b"x").unwrap();
    link.data();
    link.wait(70);
    link.deliver_sack(&sack_bytes(2, 65_536, &[])).unwrap();
    assert_eq!(link.path.srtt(), Some(Span(100_000)));
}

#[test]
fn a_closed_window_is_probed_without_counting_errors() {
    let mut link = Link::new(LARGE, 1);
    for _ in 0..3 {
        link.push(0, false, &[0; 1_400]).unwrap();
    }
    assert_eq!(tsns(&link.data()), [1]);
    link.deliver_sack(&sack_bytes(1, 0, &[])).unwrap();
    assert_eq!(tsns(&link.data()), [2], "the probe");
    assert!(link.data().is_empty());
    for _ in 0..20 {
        link.deliver_sack(&sack_bytes(1, 0, &[])).unwrap();
        assert!(!link.expire_t3(), "the peer answers");
        assert_eq!(tsns(&link.data()), [2]);
        assert!(link.data().is_empty());
    }
    assert!(link.expire_t3(), "silence counts");
    link.data();
    // The window opens while the timer has backed off to a minute: no need to wait for it.
    link.deliver_sack(&sack_bytes(1, 65_536, &[])).unwrap();
    assert_eq!(tsns(&link.data()), [2]);
    link.deliver_sack(&sack_bytes(2, 65_536, &[])).unwrap();
    assert_eq!(tsns(&link.data()), [3]);
}

#[test]
fn the_window_holds_the_second_fragment_back() {
    let mut link = Link::new(LARGE, 1);
    link.sender().start(Tsn(1), 1_500, 8, false);
    link.push(0, false, &[0; 2_000]).unwrap();
    assert_eq!(link.data().len(), 1_468);
    assert!(link.data().is_empty());
    link.deliver_sack(&sack_bytes(1, 1_500, &[])).unwrap();
    assert_eq!(link.data().len(), 564);
}

#[test]
fn a_slow_reader_closes_the_window_and_opens_it_by_an_update() {
    let mut link = Link::new(SMALL, 1);
    let full = link.receiver().a_rwnd();
    assert!(full >= 1_500, "RFC 9260 §3.3.2 demands it: {full}");
    let mut first = None;
    for _ in 0..4 {
        if link.push(0, false, &[9; 700]).is_ok() {
            let packet = link.data();
            first.get_or_insert(packet.clone());
            link.deliver(&packet);
            let sack = link.sack();
            sack.map(|sack| link.deliver_sack(&sack).unwrap());
        }
    }
    let dropped = DataChunk { tsn: Tsn(3), ..chunk(3, 0, 2, true, true, &[0; 700]) };
    assert_eq!(link.receiver().on_data(&dropped), DataOutcome::NoRoom);
    let now = link.now;
    link.receiver().on_packet_end(now, &Parameters::DEFAULT);
    let sack = link.sack().expect("DATA that is dropped is answered at once");
    assert_eq!(sack[4..8], [0, 0, 0, 2]);
    assert!(link.pop().is_some());
    assert!(link.sack().is_some(), "the window grew by a quarter of the buffer");
    assert_eq!(link.receiver().on_data(&dropped), DataOutcome::Accepted);
}

fn chunk<'a>(
    tsn: u32,
    stream: u16,
    ssn: u16,
    beginning: bool,
    ending: bool,
    payload: &'a [u8],
) -> DataChunk<'a> {
    DataChunk {
        tsn: Tsn(tsn),
        stream,
        ssn: crate::sctp::serial::Ssn(ssn),
        ppid: 0,
        immediate: false,
        unordered: false,
        beginning,
        ending,
        payload,
    }
}

#[test]
fn hopeless_and_contradictory_chunks_are_told() {
    let mut link = Link::new(SMALL, 1);
    let mut receiver = link.receiver();
    assert_eq!(receiver.on_data(&chunk(1, 0, 0, true, true, b"")), DataOutcome::NoUserData);
    assert_eq!(receiver.on_data(&chunk(1, 8, 0, true, true, b"x")), DataOutcome::NoSuchStream);
    assert_eq!(receiver.cumulative(), Tsn(1), "acknowledged all the same");
    assert_eq!(receiver.on_data(&chunk(2, 0, 0, false, true, b"x")), DataOutcome::Violation);
    assert_eq!(receiver.on_data(&chunk(2, 0, 0, true, false, &[0; 1_452])), DataOutcome::Accepted);
    assert_eq!(receiver.on_data(&chunk(3, 1, 0, false, true, b"x")), DataOutcome::Violation);
    assert_eq!(receiver.on_data(&chunk(3, 0, 0, true, true, b"x")), DataOutcome::Violation);
    assert_eq!(
        receiver.on_data(&chunk(3, 0, 0, false, false, &[0; 1_452])),
        DataOutcome::NeverFits
    );
    assert_eq!(receiver.on_data(&chunk(3, 0, 0, false, true, b"x")), DataOutcome::Accepted);
    assert_eq!(receiver.on_data(&chunk(4, 0, 0, true, true, b"x")), DataOutcome::Violation);
    assert_eq!(receiver.on_data(&chunk(400, 0, 2, true, true, b"x")), DataOutcome::NoRoom);
}

#[test]
fn what_closes_the_gap_displaces_what_came_too_early() {
    let mut link = Link::new(SMALL, 1);
    let mut receiver = link.receiver();
    for tsn in 2..=6 {
        let bytes = [tsn as u8; 250];
        let early = chunk(tsn, 0, tsn as u16 - 1, true, true, &bytes);
        assert_eq!(receiver.on_data(&early), DataOutcome::Accepted);
    }
    let early = chunk(7, 0, 6, true, true, &[7; 250]);
    assert_eq!(receiver.on_data(&early), DataOutcome::NoRoom, "keeps room for a chunk like it");
    let closing = chunk(1, 0, 0, true, true, &[1; 1_452]);
    assert_eq!(receiver.on_data(&closing), DataOutcome::Accepted);
    assert_eq!(receiver.cumulative(), Tsn(2));
    assert!(!receiver.has_gaps_or_duplicates(), "TSN 3 to 6 are given up");
    assert_eq!(link.pop().unwrap().0.len, 1_452);
    assert_eq!(link.pop().unwrap().1, [2; 250]);
    let again = chunk(3, 0, 2, true, true, b"again");
    assert_eq!(link.receiver().on_data(&again), DataOutcome::Accepted);
    assert_eq!(link.pop().unwrap().1, b"again");
}

#[test]
fn a_message_of_more_fragments_than_descriptors_hides_none_that_came_early() {
    let mut link = Link::new(SMALL, 1);
    let mut receiver = link.receiver();
    // The last of the first message, TSN 8, is late; the second one goes from TSN 9 to 20.
    let tsns = [1, 2, 9, 3, 4, 5, 6, 7, 10, 11, 8].into_iter().chain(12..=20);
    for tsn in tsns {
        let fragment = match tsn {
            1..=8 => chunk(tsn, 0, 0, tsn == 1, tsn == 8, b"a"),
            _ => chunk(tsn, 0, 1, tsn == 9, tsn == 20, b"b"),
        };
        assert_eq!(receiver.on_data(&fragment), DataOutcome::Accepted, "TSN {tsn}");
    }
    assert_eq!(receiver.cumulative(), Tsn(20));
    assert_eq!(link.pop().unwrap().1, [b'a'; 8]);
    assert_eq!(link.pop().unwrap().1, [b'b'; 12]);
}

#[test]
fn a_message_as_long_as_the_buffer_fits_in_whatever_order_it_comes() {
    let mut link = Link::new(SMALL, 1);
    let mut receiver = link.receiver();
    let message: Vec<u8> = (0..receiver.capacity()).map(|byte| byte as u8).collect();
    let fragments: Vec<_> = message.chunks(536).zip(1..).collect();
    let fragment = |tsn: u32| {
        let (payload, _) = fragments[tsn as usize - 1];
        chunk(tsn, 0, 0, tsn == 1, tsn == 4, payload)
    };
    // The second one came late, so that no block was filled up by what follows it.
    for tsn in [1, 3, 2, 4] {
        assert_eq!(receiver.on_data(&fragment(tsn)), DataOutcome::Accepted, "TSN {tsn}");
    }
    assert_eq!(link.pop().unwrap().1, message);
    let mut receiver = link.receiver();
    assert_eq!(receiver.a_rwnd(), receiver.capacity());
}

#[test]
fn stream_sequence_numbers_wrap() {
    let mut link = Link::new(LARGE, u32::MAX - 70_000);
    for round in 0..140_000_u32 {
        link.push(2, false, &round.to_be_bytes()).unwrap();
        let packet = link.data();
        link.deliver(&packet);
        assert_eq!(link.pop().unwrap().1, round.to_be_bytes());
        if let Some(sack) = link.sack() {
            link.deliver_sack(&sack).unwrap();
        }
    }
    assert_eq!(link.receiver().cumulative(), Tsn((u32::MAX - 70_000).wrapping_add(139_999)));
}

#[test]
fn a_restart_keeps_what_was_never_sent() {
    let mut link = Link::new(LARGE, 1);
    link.push(0, false, b"sent").unwrap();
    link.push(0, false, &[1; 2_000]).unwrap();
    link.data();
    link.push(5, false, b"of a stream that goes").unwrap();
    link.push(1, false, b"kept").unwrap();
    link.push(0, false, &[2; 1_500]).unwrap();
    link.sender().start(Tsn(77), 65_536, 2, true);
    link.path.start(&Parameters::DEFAULT, PACKET_LEN as u16, false);
    link.receiver().start(Tsn(77), 2);
    for _ in 0..4 {
        let packet = link.data();
        link.deliver(&packet);
    }
    assert!(link.pop().unwrap().1 == [1; 2_000]);
    assert!(link.pop().unwrap().1 == b"kept");
    assert!(link.pop().unwrap().1 == [2; 1_500]);
    assert!(link.pop().is_none());
}
