//! Users that are told when a pool changes. RFC 5352 §2.2.5 and §2.2.6.

use rserpool_core::wire::asap::AsapMessage;

use super::*;

on_each_storage! {
    a_subscriber_is_told_of_each_change
    changes_in_quick_succession_are_one_update
    a_registration_that_says_nothing_new_is_no_change
    an_update_costs_no_turn
    the_end_of_the_pool_ends_the_subscription
    a_negative_answer_is_no_subscription
    asking_without_the_bit_ends_the_subscription
    the_end_of_the_association_ends_the_subscription
    an_association_has_so_many_subscriptions
    a_registrar_has_so_many_subscriptions
    users_that_are_owed_much_take_turns
    without_tables_nobody_is_subscribed
}

/// The handle resolution responses since the last look: to whom, whether with the A bit, and the
/// elements, or the cause.
fn updates<S: Storage>(bench: &mut Bench<S>) -> Vec<(u32, bool, Result<Vec<u32>, Cause>)> {
    let mut updates = Vec::new();
    for said in bench.said() {
        let Said::Message(to, bytes) = said else { panic!("{said:?}") };
        let AsapMessage::HandleResolutionResponse(response) = AsapMessage::parse(&bytes).unwrap()
        else {
            continue;
        };
        let listed = response.elements.iter().map(|element| element.id.0).collect();
        let result = response.error.map_or(Ok(listed), |error| Err(error.cause()));
        updates.push((to, response.accept, result));
    }
    updates
}

/// A registrar with an element, and a user on association 9 that subscribes to its pool.
fn subscribed<S: Roomy>() -> Bench<S> {
    let mut bench = rsplib::<S>();
    joins(&mut bench, 1);
    bench.up(9, &["10.0.0.9"]);
    bench.hears(9, subscribe("EchoPool", Some(100))).unwrap();
    assert_eq!(updates(&mut bench), [(9, true, Ok(vec![1]))]);
    bench.sleep_ms(500);
    bench
}

fn more<S: Storage>(bench: &mut Bench<S>, id: u32) {
    bench.up(id, &[&address_of(id)]);
    bench.hears(id, register(&element("EchoPool", id))).unwrap();
}

fn a_subscriber_is_told_of_each_change<S: Roomy>() {
    let mut bench = subscribed::<S>();
    more(&mut bench, 2);
    assert_eq!(updates(&mut bench), [(9, true, Ok(vec![1, 2]))]);
    bench.sleep_ms(500);
    bench.hears(2, deregister("EchoPool", 2)).unwrap();
    assert_eq!(updates(&mut bench), [(9, true, Ok(vec![1]))]);
    bench.sleep_ms(500);
    more(&mut bench, 3);
    assert_eq!(updates(&mut bench), [(9, true, Ok(vec![1, 3]))]);
    bench.sleep_ms(500);
    bench.down(3, DownReason::Lost);
    assert_eq!(updates(&mut bench), [(9, true, Ok(vec![1]))]);
    bench.sleep_ms(1_000);
    joins_other_pool(&mut bench);
    assert_eq!(updates(&mut bench), []);
}

fn joins_other_pool<S: Storage>(bench: &mut Bench<S>) {
    bench.up(8, &["10.0.0.8"]);
    bench.hears(8, register(&element("Other", 8))).unwrap();
}

fn changes_in_quick_succession_are_one_update<S: Roomy>() {
    let mut bench = subscribed::<S>();
    for id in 2..=5 {
        more(&mut bench, id);
    }
    // The first goes out at once, and one for all others half a second later.
    assert_eq!(updates(&mut bench), [(9, true, Ok(vec![1, 2]))]);
    bench.sleep_ms(499);
    assert_eq!(updates(&mut bench), []);
    bench.sleep_ms(1);
    assert_eq!(updates(&mut bench), [(9, true, Ok(vec![1, 2, 3, 4, 5]))]);
    assert_eq!(bench.registrar.counters().updates, 2);
    bench.sleep_ms(2_000);
    assert_eq!(updates(&mut bench), []);
}

fn a_registration_that_says_nothing_new_is_no_change<S: Roomy>() {
    let mut bench = subscribed::<S>();
    bench.hears(1, register(&element("EchoPool", 1))).unwrap();
    assert_eq!(updates(&mut bench), []);
    bench.hears(1, register(&Element { port: 4_001, ..element("EchoPool", 1) })).unwrap();
    assert_eq!(updates(&mut bench), [(9, true, Ok(vec![1]))]);
}

fn an_update_costs_no_turn<S: Roomy>() {
    let mut bench = subscribed::<S>();
    more(&mut bench, 2);
    assert_eq!(updates(&mut bench), [(9, true, Ok(vec![1, 2]))]);
    bench.up(7, &["10.0.0.7"]);
    let turns = [0; 4].map(|_| bench.resolves(7, "EchoPool", Some(1))[0]);
    assert_eq!(turns, [1, 2, 1, 2]);
}

fn the_end_of_the_pool_ends_the_subscription<S: Roomy>() {
    let mut bench = subscribed::<S>();
    bench.hears(1, deregister("EchoPool", 1)).unwrap();
    assert_eq!(updates(&mut bench), [(9, false, Err(Cause::UNKNOWN_POOL_HANDLE))]);
    assert_eq!(bench.registrar.subscription_count(), 0);
    bench.sleep_ms(1_000);
    bench.hears(1, register(&element("EchoPool", 1))).unwrap();
    assert_eq!(updates(&mut bench), [], "RFC 5352 §2.2.5: no updates when it is created");
}

fn a_negative_answer_is_no_subscription<S: Roomy>() {
    let mut bench = rsplib::<S>();
    bench.up(9, &["10.0.0.9"]);
    bench.hears(9, subscribe("EchoPool", None)).unwrap();
    assert_eq!(updates(&mut bench), [(9, false, Err(Cause::UNKNOWN_POOL_HANDLE))]);
    assert_eq!(bench.registrar.subscription_count(), 0);
    joins(&mut bench, 1);
    bench.sleep_ms(1_000);
    assert_eq!(updates(&mut bench), []);
}

fn asking_without_the_bit_ends_the_subscription<S: Roomy>() {
    let mut bench = subscribed::<S>();
    assert_eq!(bench.resolves(9, "Other", None), [0; 0]);
    assert_eq!(bench.registrar.subscription_count(), 1);
    bench.hears(9, subscribe("EchoPool", None)).unwrap();
    assert_eq!(updates(&mut bench), [(9, true, Ok(vec![1]))]);
    assert_eq!(bench.registrar.subscription_count(), 1, "the same one goes on");
    assert_eq!(bench.resolves(9, "EchoPool", None), [1]);
    assert_eq!(bench.registrar.subscription_count(), 0);
    more(&mut bench, 2);
    assert_eq!(updates(&mut bench), []);
}

fn the_end_of_the_association_ends_the_subscription<S: Roomy>() {
    let mut bench = subscribed::<S>();
    more(&mut bench, 2);
    more(&mut bench, 3);
    bench.down(9, DownReason::Lost);
    bench.said();
    bench.sleep_ms(1_000);
    assert_eq!(updates(&mut bench), [], "what was owed is forgotten");
    let mut bench = subscribed::<S>();
    bench.input(Input::Restarted { association: AssociationId(9) }).unwrap();
    more(&mut bench, 2);
    assert_eq!(updates(&mut bench), [], "it does not remember");
}

fn an_association_has_so_many_subscriptions<S: Roomy>() {
    let mut bench = configured::<S>(Profile::Rsplib, |config| {
        config.subscriptions_per_association_max = 2;
    });
    bench.up(1, &["10.0.0.1"]);
    bench.up(9, &["10.0.0.9"]);
    let mut accepted = Vec::new();
    for pool in ["A", "B", "C", "A"] {
        bench.hears(1, register(&element(pool, 1))).unwrap();
        bench.said();
        bench.hears(9, subscribe(pool, None)).unwrap();
        accepted.push(updates(&mut bench)[0].1);
    }
    assert_eq!(accepted, [true, true, false, true]);
    assert_eq!(bench.registrar.subscription_count(), 2);
}

fn a_registrar_has_so_many_subscriptions<S: Roomy>() {
    // The bench has room for 1,024.
    let mut bench = rsplib::<S>();
    joins(&mut bench, 1);
    let mut accepted = 0;
    for id in 100..1_200 {
        bench.up(id, &["10.1.0.1"]);
        bench.hears(id, subscribe("EchoPool", None)).unwrap();
        accepted += u32::from(updates(&mut bench)[0].1);
    }
    assert_eq!((accepted, bench.registrar.subscription_count()), (1_024, 1_024));
    bench.down(100, DownReason::Shutdown);
    bench.hears(1_199, subscribe("EchoPool", None)).unwrap();
    assert_eq!(updates(&mut bench), [(1_199, true, Ok(vec![1]))]);
}

fn users_that_are_owed_much_take_turns<S: Roomy>() {
    let mut bench = subscribed::<S>();
    bench.up(10, &["10.0.0.10"]);
    bench.hears(10, subscribe("EchoPool", Some(1))).unwrap();
    bench.said();
    bench.sleep_ms(500);
    for id in 2..=4 {
        more(&mut bench, id);
        let to: Vec<u32> = updates(&mut bench).iter().map(|update| update.0).collect();
        assert_eq!(to, [9, 10]);
        bench.sleep_ms(500);
    }
    // Each gets as many as it wanted.
    more(&mut bench, 5);
    assert_eq!(updates(&mut bench), [(9, true, Ok(vec![1, 2, 3, 4, 5])), (10, true, Ok(vec![1]))]);
}

fn without_tables_nobody_is_subscribed<S: Roomy>() {
    use rserpool_core::association::Transmit;
    use rserpool_core::enrp::{InlineTables, Registrar};
    use rserpool_core::entropy::SplitMix64;
    let tables = InlineTables::<4, 4, 4, 2, 8>::new();
    let mut registrar = Registrar::new(Config::default(), S::roomy(), tables, SplitMix64::new(1));
    let (now, mut buffer) = (rserpool_core::time::Instant::from_millis(1), [0; 512]);
    let association = AssociationId(1);
    let peer_addresses = &[ip("10.0.0.1")];
    let up = Input::Up { association, connect: None, peer_addresses, peer_port: 1 };
    registrar.handle_input(now, up).unwrap();
    let mut hears = |data: &[u8]| {
        let (stream, ppid) = (StreamId(0), Ppid::ASAP);
        registrar.handle_input(now, Input::Message { association, stream, ppid, data }).unwrap();
        match registrar.poll_transmit(now, &mut buffer) {
            Some(Transmit::Message { len, .. }) => buffer[..len].to_vec(),
            other => panic!("{other:?}"),
        }
    };
    hears(&register(&element("EchoPool", 1)));
    let response = hears(&subscribe("EchoPool", None));
    assert_eq!(response[..2], [6, 0], "no A bit");
}
