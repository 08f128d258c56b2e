//! How elements are watched over, and how they go. RFC 5352 §3.4 and §3.5.

use super::*;

on_each_storage! {
    the_threshold_of_reports_is_a_setting
    only_the_elements_association_answers_for_it
    an_answer_in_the_last_moment_counts
    a_silent_element_leaves_others_on_other_associations
    stopping_answers_first_what_was_asked
    what_an_association_registered_goes_with_it
    a_restarted_peer_has_lost_its_elements
    more_associations_than_room_are_aborted
    stopping_shuts_down_and_takes_nothing
    keep_alives_go_on_while_they_are_answered
    a_silent_element_is_aborted_and_removed
    a_registration_is_a_sign_of_life
    a_thousand_elements_do_not_answer_in_one_burst
    no_interval_no_keep_alives
    a_report_probes_at_once
    a_living_element_is_not_flooded_with_probes
    more_distinct_reporters_than_the_threshold_remove
    registering_again_forgets_reports
    one_user_cannot_empty_a_pool
    reports_are_bounded_and_still_probe
    reports_of_the_unknown_are_ignored
    by_the_rfc_registrations_expire_after_seconds
    by_the_rfc_answered_keep_alives_do_not_prolong_a_life
    by_rsplib_own_elements_do_not_expire
    milliseconds_expire_where_configured
}

// The ends of associations.

fn what_an_association_registered_goes_with_it<S: Roomy>() {
    let mut bench = rsplib::<S>();
    bench.up(1, &["10.0.0.1", "10.0.0.2"]);
    bench.registers(1, "EchoPool", 1, RR);
    bench.registers(1, "PingPool", 2, RR);
    joins(&mut bench, 3);
    bench.told();
    bench.down(1, DownReason::Aborted);
    let reason = RemovalReason::AssociationDown(DownReason::Aborted);
    let pool = handle("PingPool").to_buf();
    let expected = [
        removed("EchoPool", 1, reason),
        removed("PingPool", 2, reason),
        Event::PoolRemoved { pool },
    ];
    assert_eq!(bench.told(), expected);
    assert_eq!(bench.elements(), [3]);
    assert_eq!(bench.hears(1, resolve("EchoPool", None)), Err(InputError::UnknownAssociation));
}

fn a_restarted_peer_has_lost_its_elements<S: Roomy>() {
    let mut bench = rsplib::<S>();
    joins(&mut bench, 1);
    bench.told();
    bench.input(Input::Restarted { association: AssociationId(1) }).unwrap();
    assert!(bench.told().contains(&removed("EchoPool", 1, RemovalReason::Restarted)));
    bench.registers(1, "EchoPool", 1, RR);
}

fn more_associations_than_room_are_aborted<S: Roomy>() {
    let mut bench = rsplib::<S>();
    for id in 0..1_200 {
        bench.up(id, &["10.0.0.1"]);
    }
    let up = Input::Up {
        association: AssociationId(5_000),
        connect: None,
        peer_addresses: &[],
        peer_port: 1,
    };
    assert_eq!(bench.input(up), Err(InputError::Limited(Limit::Associations)));
    assert_eq!(bench.said(), [Said::Abort(5_000)]);
    bench.down(17, DownReason::Shutdown);
    bench.up(5_001, &["10.0.0.1"]);
    let up = Input::Up {
        association: AssociationId(5_001),
        connect: None,
        peer_addresses: &[],
        peer_port: 1,
    };
    assert_eq!(bench.input(up), Err(InputError::KnownAssociation));
}

fn stopping_shuts_down_and_takes_nothing<S: Roomy>() {
    let mut bench = rsplib::<S>();
    joins(&mut bench, 1);
    joins(&mut bench, 2);
    bench.told();
    bench.registrar.stop();
    bench.drain();
    assert_eq!(bench.said(), [Said::Shutdown(1), Said::Shutdown(2)]);
    assert_eq!(bench.hears(1, resolve("EchoPool", None)), Err(InputError::UnknownAssociation));
    let up = Input::Up {
        association: AssociationId(3),
        connect: None,
        peer_addresses: &[ip("10.0.0.3")],
        peer_port: 1,
    };
    assert_eq!(bench.input(up), Err(InputError::Stopped));
    assert_eq!(bench.said(), [Said::Abort(3)]);
    bench.down(1, DownReason::Shutdown);
    assert!(!bench.registrar.is_stopped());
    bench.down(2, DownReason::Shutdown);
    assert_eq!(bench.told().last(), Some(&Event::Stopped));
    assert!(bench.registrar.is_stopped());
    assert_eq!(bench.registrar.handlespace().element_count(), 0);
}

// Keep-alives, RFC 5352 §3.4 and §3.5.

fn keep_alives_go_on_while_they_are_answered<S: Roomy>() {
    let mut bench = rsplib::<S>();
    joins(&mut bench, 1);
    let mut count = 0;
    for _ in 0..6_000 {
        bench.sleep_ms(10);
        for said in bench.said() {
            assert_eq!(said, to(1, keep_alive("EchoPool", 1)));
            bench.hears(1, alive("EchoPool", 1)).unwrap();
            count += 1;
        }
    }
    // One minute, 5 s apart on average and between 2.5 s and 7.5 s each.
    assert!((8..=24).contains(&count), "{count}");
    assert_eq!(bench.registrar.counters().keep_alive_acks, count);
    assert_eq!(bench.elements(), [1]);
}

fn a_silent_element_is_aborted_and_removed<S: Roomy>() {
    let mut bench = rsplib::<S>();
    bench.up(1, &["10.0.0.1", "10.0.0.2"]);
    bench.registers(1, "EchoPool", 1, RR);
    bench.registers(1, "PingPool", 2, RR);
    bench.told();
    let mut waited = 0;
    while bench.said().is_empty() {
        bench.sleep_ms(1);
        waited += 1;
    }
    assert!((2_500..=7_500).contains(&waited), "{waited}");
    bench.sleep_ms(4_999);
    assert!(!bench.said().contains(&Said::Abort(1)));
    bench.sleep_ms(1);
    assert_eq!(bench.said(), [Said::Abort(1)]);
    assert_eq!(bench.elements(), []);
    let reasons: Vec<_> = bench
        .told()
        .into_iter()
        .filter_map(|event| match event {
            Event::ElementRemoved { reason, .. } => Some(reason),
            _ => None,
        })
        .collect();
    let expected = [RemovalReason::KeepAliveTimeout, RemovalReason::AssociationAborted];
    assert_eq!(reasons, expected);
    bench.down(1, DownReason::Aborted);
    assert_eq!(bench.registrar.association_count(), 0);
}

fn a_registration_is_a_sign_of_life<S: Roomy>() {
    let mut bench = rsplib::<S>();
    joins(&mut bench, 1);
    for _ in 0..50 {
        bench.sleep_ms(2_400);
        assert_eq!(bench.said(), [], "no keep-alive comes within half an interval");
        bench.registers(1, "EchoPool", 1, RR);
    }
    while bench.said().is_empty() {
        bench.sleep_ms(10);
    }
    // Unanswered, but the element registers again.
    bench.sleep_ms(4_000);
    bench.registers(1, "EchoPool", 1, RR);
    bench.sleep_ms(2_400);
    assert_eq!(bench.elements(), [1]);
    assert_eq!(bench.said(), []);
}

fn a_thousand_elements_do_not_answer_in_one_burst<S: Roomy>() {
    let mut bench = rsplib::<S>();
    for id in 1..=1_000 {
        bench.up(id, &["10.0.0.1"]);
        let own = Element { addresses: vec![ip("10.0.0.1")], ..element("P", id) };
        bench.hears(id, register(&own)).unwrap();
    }
    bench.said();
    // Keep-alives in each tenth of a second; all elements registered at the same instant.
    let mut histogram = [0_usize; 600];
    for slot in &mut histogram {
        for _ in 0..10 {
            bench.sleep_ms(10);
            for said in bench.said() {
                let Said::Message(id, message) = said else { panic!("{said:?}") };
                assert_eq!(message, keep_alive("P", id));
                bench.hears(id, alive("P", id)).unwrap();
                *slot += 1;
            }
        }
    }
    assert!(histogram[..24].iter().all(|&count| count == 0), "{histogram:?}");
    // 1,000 in 5 s are 20 in a tenth of a second; four times that never happens.
    assert!(histogram.iter().all(|&count| count < 50), "{histogram:?}");
    assert!(histogram[100..].iter().all(|&count| count > 3), "{histogram:?}");
    assert_eq!(bench.registrar.handlespace().element_count(), 1_000);
}

fn no_interval_no_keep_alives<S: Roomy>() {
    let mut bench = configured::<S>(Profile::Rsplib, |config| {
        config.keep_alive_interval = Duration::ZERO;
    });
    joins(&mut bench, 1);
    bench.sleep(Duration::from_secs(100_000));
    assert_eq!(bench.said(), []);
    assert_eq!(bench.elements(), [1]);
}

// Unreachable reports, RFC 5352 §3.5.

fn a_report_probes_at_once<S: Roomy>() {
    let mut bench = rsplib::<S>();
    joins(&mut bench, 1);
    bench.up(2, &["10.0.0.2"]);
    bench.told();
    assert_eq!(bench.hears(2, unreachable("EchoPool", 1)), Ok(()));
    assert_eq!(bench.said(), [to(1, keep_alive("EchoPool", 1))]);
    bench.hears(2, unreachable("EchoPool", 1)).unwrap();
    assert_eq!(bench.said(), [], "one probe is under way already");
    bench.sleep_ms(5_000);
    assert_eq!(bench.said(), [Said::Abort(1)]);
    let told = bench.told();
    assert!(told.contains(&removed("EchoPool", 1, RemovalReason::Unreachable)), "{told:?}");
}

fn a_living_element_is_not_flooded_with_probes<S: Roomy>() {
    let mut bench = configured::<S>(Profile::Rsplib, |config| {
        config.unreachable_rate = RateLimit::UNLIMITED;
    });
    joins(&mut bench, 1);
    bench.up(2, &["10.0.0.2"]);
    let mut probes = 0;
    // Ten seconds of a report each 10 ms.
    for _ in 0..1_000 {
        bench.hears(2, unreachable("EchoPool", 1)).unwrap();
        for said in bench.said() {
            assert_eq!(said, to(1, keep_alive("EchoPool", 1)));
            bench.hears(1, alive("EchoPool", 1)).unwrap();
            probes += 1;
        }
        bench.sleep_ms(10);
    }
    assert!((9..=11).contains(&probes), "{probes}");
    assert_eq!(bench.elements(), [1], "and one reporter counts once");
}

fn more_distinct_reporters_than_the_threshold_remove<S: Roomy>() {
    let mut bench = rsplib::<S>();
    joins(&mut bench, 1);
    joins(&mut bench, 2);
    bench.told();
    for id in 11..=14 {
        bench.up(id, &[&address_of(id)]);
    }
    for id in [11, 12, 11, 13, 12] {
        bench.hears(id, unreachable("EchoPool", 1)).unwrap();
        bench.hears(1, alive("EchoPool", 1)).unwrap();
    }
    // A new association of the same host is no new reporter.
    bench.up(15, &[&address_of(11)]);
    bench.hears(15, unreachable("EchoPool", 1)).unwrap();
    assert_eq!(bench.elements(), [1, 2]);
    bench.hears(14, unreachable("EchoPool", 1)).unwrap();
    assert_eq!(bench.elements(), [2]);
    assert_eq!(bench.told(), [removed("EchoPool", 1, RemovalReason::BadReports)]);
    // Its association stays: it can register again, and then counts as new.
    bench.said();
    bench.registers(1, "EchoPool", 1, RR);
    for id in 11..=13 {
        bench.hears(id, unreachable("EchoPool", 1)).unwrap();
    }
    assert_eq!(bench.elements(), [1, 2]);
}

fn registering_again_forgets_reports<S: Roomy>() {
    let mut bench = rsplib::<S>();
    joins(&mut bench, 1);
    for id in 11..=14 {
        bench.up(id, &[&address_of(id)]);
    }
    for _ in 0..3 {
        for id in 11..=13 {
            bench.hears(id, unreachable("EchoPool", 1)).unwrap();
        }
        bench.said();
        bench.registers(1, "EchoPool", 1, RR);
    }
    bench.hears(14, unreachable("EchoPool", 1)).unwrap();
    assert_eq!(bench.elements(), [1]);
}

fn one_user_cannot_empty_a_pool<S: Roomy>() {
    let mut bench = rsplib::<S>();
    for id in 1..=20 {
        joins(&mut bench, id);
    }
    bench.up(99, &["10.0.0.99"]);
    for _ in 0..200 {
        for pe_id in 1..=20 {
            let _ = bench.hears(99, unreachable("EchoPool", pe_id));
            for said in bench.said() {
                let Said::Message(id, _) = said else { panic!("{said:?}") };
                bench.hears(id, alive("EchoPool", id)).unwrap();
            }
        }
        bench.sleep_ms(100);
        for said in bench.said() {
            let Said::Message(id, _) = said else { panic!("{said:?}") };
            bench.hears(id, alive("EchoPool", id)).unwrap();
        }
    }
    assert_eq!(bench.elements().len(), 20);
}

fn reports_are_bounded_and_still_probe<S: Roomy>() {
    let mut bench = configured::<S>(Profile::Rsplib, |config| {
        config.unreachable_rate = RateLimit::UNLIMITED;
        config.reports_per_reporter_max = 2;
    });
    for id in 1..=3 {
        joins(&mut bench, id);
    }
    bench.up(9, &["10.0.0.9"]);
    for pe_id in 1..=2 {
        assert_eq!(bench.hears(9, unreachable("EchoPool", pe_id)), Ok(()));
    }
    bench.said();
    let limited = Err(InputError::Limited(Limit::Reports));
    assert_eq!(bench.hears(9, unreachable("EchoPool", 3)), limited);
    assert_eq!(bench.said(), [to(3, keep_alive("EchoPool", 3))]);
}

fn reports_of_the_unknown_are_ignored<S: Roomy>() {
    let mut bench = rsplib::<S>();
    bench.up(1, &["10.0.0.1"]);
    assert_eq!(bench.hears(1, unreachable("EchoPool", 1)), Ok(()));
    assert_eq!(bench.hears(1, alive("EchoPool", 1)), Ok(()));
    assert_eq!((bench.said(), bench.told()), (vec![], vec![]));
}

// Expiry, RFC 5352 §3.2.

fn by_the_rfc_registrations_expire_after_seconds<S: Roomy>() {
    let mut bench = configured::<S>(Profile::Rfc, |config| {
        config.keep_alive_interval = Duration::ZERO;
    });
    bench.up(1, &["10.0.0.1", "10.0.0.2"]);
    let short = Element { life: 60, ..element("EchoPool", 1) };
    let for_ever = Element { life: u32::MAX, ..element("EchoPool", 2) };
    bench.hears(1, register(&short)).unwrap();
    bench.hears(1, register(&for_ever)).unwrap();
    bench.sleep_ms(40_000);
    bench.hears(1, register(&short)).unwrap();
    bench.sleep_ms(59_999);
    bench.said();
    bench.told();
    bench.sleep_ms(1);
    assert_eq!(bench.said(), [to(1, deregistered("EchoPool", 1, None))]);
    assert_eq!(bench.told(), [removed("EchoPool", 1, RemovalReason::Expired)]);
    bench.sleep(Duration::from_secs(1_000_000));
    assert_eq!(bench.elements(), [2]);
}

fn by_the_rfc_answered_keep_alives_do_not_prolong_a_life<S: Roomy>() {
    let mut bench = rfc::<S>();
    bench.up(1, &["10.0.0.1"]);
    let short = Element { life: 100, ..element("EchoPool", 1) };
    bench.hears(1, register(&short)).unwrap();
    bench.said();
    let mut keep_alives = 0;
    for second in 0..100 {
        assert_eq!(bench.elements(), [1], "after {second} s");
        bench.sleep_ms(1_000);
        for said in bench.said() {
            if said == to(1, keep_alive("EchoPool", 1)) {
                bench.hears(1, alive("EchoPool", 1)).unwrap();
                keep_alives += 1;
            }
        }
    }
    assert_eq!(bench.elements(), []);
    assert!((2..=6).contains(&keep_alives), "{keep_alives}");
}

fn by_rsplib_own_elements_do_not_expire<S: Roomy>() {
    let mut bench = configured::<S>(Profile::Rsplib, |config| {
        config.keep_alive_interval = Duration::ZERO;
    });
    bench.up(1, &["10.0.0.1"]);
    for life in [0, 1, 90_000] {
        bench.hears(1, register(&Element { life, ..element("EchoPool", 1) })).unwrap();
        bench.sleep(Duration::from_secs(1_000));
        assert_eq!(bench.elements(), [1]);
    }
}

fn milliseconds_expire_where_configured<S: Roomy>() {
    let mut bench = configured::<S>(Profile::Rsplib, |config| {
        config.keep_alive_interval = Duration::ZERO;
        config.expire_own_elements = true;
    });
    bench.up(1, &["10.0.0.1"]);
    let short = Element { life: 90_000, ..element("EchoPool", 1) };
    bench.hears(1, register(&short)).unwrap();
    bench.sleep_ms(89_999);
    assert_eq!(bench.elements(), [1]);
    bench.sleep_ms(1);
    assert_eq!(bench.elements(), []);
}

// Settings and edges.

fn the_threshold_of_reports_is_a_setting<S: Roomy>() {
    for (max, left) in [(0, vec![]), (u8::MAX, vec![1])] {
        let mut bench = configured::<S>(Profile::Rsplib, |config| config.max_bad_pe_reports = max);
        joins(&mut bench, 1);
        for id in 10..40 {
            bench.up(id, &[&address_of(id)]);
            let _ = bench.hears(id, unreachable("EchoPool", 1));
        }
        assert_eq!(bench.elements(), left);
    }
}

fn only_the_elements_association_answers_for_it<S: Roomy>() {
    let mut bench = rsplib::<S>();
    joins(&mut bench, 1);
    bench.up(2, &["10.0.0.2"]);
    bench.hears(2, unreachable("EchoPool", 1)).unwrap();
    bench.said();
    for _ in 0..4 {
        bench.hears(2, alive("EchoPool", 1)).unwrap();
        bench.sleep_ms(1_000);
    }
    bench.sleep_ms(1_000);
    assert_eq!(bench.elements(), []);
    assert_eq!(bench.registrar.counters().keep_alive_acks, 0);
}

fn an_answer_in_the_last_moment_counts<S: Roomy>() {
    let mut bench = rsplib::<S>();
    joins(&mut bench, 1);
    bench.up(2, &["10.0.0.2"]);
    bench.hears(2, unreachable("EchoPool", 1)).unwrap();
    bench.sleep_ms(4_999);
    bench.hears(1, alive("EchoPool", 1)).unwrap();
    bench.sleep_ms(2);
    assert_eq!(bench.elements(), [1]);
    assert_eq!(bench.said(), [to(1, keep_alive("EchoPool", 1))]);
}

fn a_silent_element_leaves_others_on_other_associations<S: Roomy>() {
    let mut bench = rsplib::<S>();
    joins(&mut bench, 1);
    joins(&mut bench, 2);
    for _ in 0..200 {
        bench.sleep_ms(100);
        for said in bench.said() {
            if said == to(2, keep_alive("EchoPool", 2)) {
                bench.hears(2, alive("EchoPool", 2)).unwrap();
            }
        }
    }
    assert_eq!(bench.elements(), [2]);
}

fn stopping_answers_first_what_was_asked<S: Roomy>() {
    let mut bench = rsplib::<S>();
    joins(&mut bench, 1);
    let data = &resolve("EchoPool", None);
    let (association, stream, ppid) = (AssociationId(1), StreamId(0), Ppid::ASAP);
    let input = Input::Message { association, stream, ppid, data };
    bench.registrar.handle_input(bench.now, input).unwrap();
    bench.registrar.stop();
    bench.drain();
    let answer = to(1, resolved(RR, &[element("EchoPool", 1)]));
    assert_eq!(bench.said(), [answer, Said::Shutdown(1)]);
    // A registrar that nobody uses has stopped at once.
    let mut bench = rsplib::<S>();
    bench.registrar.stop();
    bench.drain();
    assert_eq!(bench.told(), [Event::Stopped]);
}
