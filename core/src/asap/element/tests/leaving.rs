//! Deregistration, updates, refused commands, and what is owed for bad input.

use super::*;

#[test]
fn deregisters_and_closes_the_association() {
    let mut trace = registered(Profile::Rsplib, 1);
    trace.deregister();
    assert_eq!(trace.log(), [format!("0 1> {DEREGISTRATION}")]);
    assert_eq!(trace.status(), PoolElementStatus::Deregistering);
    trace.receive(1, DEREGISTERED).unwrap();
    assert_eq!(trace.log(), ["0 shutdown 1", "0 Deregistered { cause: None }"]);
    assert_eq!(trace.status(), PoolElementStatus::Idle);
    assert_eq!(trace.machine.poll_timeout(), None);
    trace.down(1);
    assert_eq!(trace.log(), [""; 0]);
    // And may come back.
    trace.register();
    assert_eq!(trace.lines(), ["connect 1 to 10.77.0.11:3863"]);
}

#[test]
fn a_refused_deregistration_is_told_with_its_cause() {
    let mut trace = registered(Profile::Rsplib, 1);
    trace.deregister();
    trace.log();
    let refused = "040000240009001050696e67506f6e67506f6f6c000e0008aaaa0001000c0008000a0004";
    trace.receive(1, refused).unwrap();
    assert_eq!(trace.lines(), ["shutdown 1", "Deregistered { cause: Some(Cause(10)) }"]);
}

#[test]
fn t3_hunts_another_registrar_to_deregister_and_gives_up_after_max_reg_attempt() {
    let mut trace = registered(Profile::Rsplib, 1);
    trace.deregister();
    trace.log();
    trace.run_until(3_000);
    assert_eq!(
        trace.log(),
        ["3000 abort 1", "3000 connect 1 to 10.77.0.11:3863", "3000 RegistrarLost"]
    );
    trace.up(2, 1);
    assert_eq!(trace.messages(), [format!("2> {DEREGISTRATION}")]);
    trace.run_until(6_000);
    assert_eq!(trace.log(), ["6000 abort 2", "6000 RegistrarLost", "6000 DeregistrationFailed"]);
    assert_eq!(trace.status(), PoolElementStatus::Idle);
    assert_eq!(trace.machine.poll_timeout(), None);
}

#[test]
fn deregistration_without_any_registrar_ends_too() {
    let mut trace = registered(Profile::Rsplib, 1);
    trace.down(1);
    trace.deregister();
    trace.log();
    for connect in 1..20 {
        trace.refused(connect);
    }
    trace.run_until(6_000);
    assert_eq!(trace.lines().last().unwrap(), "DeregistrationFailed");
    assert_eq!(trace.machine.poll_timeout(), None);
}

#[test]
fn deregistration_before_anything_was_sent_needs_no_registrar() {
    let mut trace = element(Profile::Rsplib, 1);
    trace.register();
    trace.log();
    trace.deregister();
    assert_eq!(trace.log(), ["0 cancel 0", "0 Deregistered { cause: None }"]);
}

#[test]
fn an_expired_registration_is_renewed_at_once() {
    let mut trace = registered(Profile::Rsplib, 1);
    trace.receive(1, DEREGISTERED).unwrap();
    assert_eq!(trace.lines(), [format!("1> {REGISTRATION}"), "Expired".into()]);
    trace.receive(1, GRANTED).unwrap();
    assert_eq!(trace.lines(), ["Registered { warning: None }"]);
}

fn least_used(percent: u32) -> Policy {
    Policy::LeastUsed { load: Load(u32::MAX / 100 * percent) }
}

#[test]
fn a_load_is_registered_at_once_if_it_changed_enough_since_it_was_sent() {
    let mut trace = element(Profile::Rsplib, 1);
    trace.register_as(least_used(10)).unwrap();
    trace.up(1, 0);
    trace.receive(1, GRANTED).unwrap();
    trace.log();
    let update = |trace: &mut Trace<PoolElement>, load: u32| {
        let policy = Policy::LeastUsed { load: Load(load) };
        trace.command(|element, now| element.update_policy(now, policy)).unwrap();
        trace.messages().len()
    };
    let (sent, step) = (u32::MAX / 100 * 10, u32::MAX / 100);
    assert_eq!(update(&mut trace, sent + step / 2), 0);
    assert_eq!(update(&mut trace, sent + step - 1), 0, "small steps add up");
    assert_eq!(update(&mut trace, sent + step), 1);
    trace.receive(1, GRANTED).unwrap();
    assert_eq!(update(&mut trace, sent), 1);
}

#[test]
fn changes_while_registering_are_sent_after_the_answer() {
    let mut trace = element(Profile::Rsplib, 1);
    trace.register_as(least_used(10)).unwrap();
    trace.up(1, 0);
    trace.log();
    for percent in [20, 30, 40] {
        let policy = least_used(percent);
        trace.command(|element, now| element.update_policy(now, policy)).unwrap();
    }
    assert_eq!(trace.log(), [""; 0], "one registration at a time");
    trace.receive(1, GRANTED).unwrap();
    let messages = trace.messages();
    assert_eq!(messages.len(), 1);
    let load = format!("{:08x}", u32::MAX / 100 * 40);
    assert!(messages[0].ends_with(&format!("0008000c40000001{load}")), "{messages:?}");
}

#[test]
fn a_rejected_value_that_has_changed_meanwhile_is_corrected_at_once() {
    let mut trace = element(Profile::Rfc, 1);
    trace.register_as(least_used(10)).unwrap();
    trace.up(1, 0);
    let policy = Policy::RoundRobin;
    trace.command(|element, now| element.update_policy(now, policy)).unwrap();
    trace.log();
    trace.receive(1, REJECTED).unwrap();
    assert_eq!(trace.messages().len(), 1);
}

#[test]
fn commands_out_of_place_are_refused() {
    let mut trace = element(Profile::Rsplib, 1);
    let policy = Policy::RoundRobin;
    let update = trace.command(|element, now| element.update_policy(now, policy));
    assert_eq!(update, Err(CommandError::NotRegistered));
    assert_eq!(
        trace.command(|element, now| element.deregister(now)),
        Err(CommandError::NotRegistered)
    );
    trace.register();
    let other = PoolHandle::new(b"OtherPool").unwrap();
    let register = trace.command(|element, now| element.register(now, other, &service(), policy));
    assert_eq!(register, Err(CommandError::OtherPool));
    trace.up(1, 0);
    trace.deregister();
    assert_eq!(trace.register_as(policy), Err(CommandError::Leaving));
    assert_eq!(trace.command(|element, now| element.deregister(now)), Err(CommandError::Leaving));
}

#[test]
fn a_transport_that_nobody_could_use_is_not_registered() {
    let mut trace = element(Profile::Rsplib, 1);
    let mut try_with = |transport: UserTransport| {
        trace.command(|element, now| element.register(now, pool(), &transport, Policy::Random))
    };
    let mut nowhere = service();
    nowhere.endpoint.addresses.clear();
    let refused = CommandError::Transport(UserTransportError::AddressCount);
    assert_eq!(try_with(nowhere), Err(refused));
    let mut two_for_tcp = service();
    two_for_tcp.protocol = crate::wire::Protocol::Tcp;
    two_for_tcp.endpoint.addresses.push([10, 77, 1, 21].into()).unwrap();
    assert_eq!(try_with(two_for_tcp), Err(refused));
    let mut no_port = service();
    no_port.endpoint.port = 0;
    assert_eq!(try_with(no_port), Err(CommandError::Transport(UserTransportError::NoPort)));
    let mut opaque = service();
    opaque.protocol = crate::wire::Protocol::Opaque;
    assert_eq!(try_with(opaque), Err(CommandError::Transport(UserTransportError::Protocol)));
}

#[test]
fn the_longest_registration_fits_the_named_bound() {
    let mut transport = service();
    transport.endpoint.addresses.clear();
    for last in 0..crate::association::ADDRESSES_MAX as u16 {
        let address = core::net::Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, last);
        transport.endpoint.addresses.push(address.into()).unwrap();
    }
    let policy = Policy::LeastUsedDegradationDpf {
        load: Load::MAX,
        degradation: Load::MAX,
        dpf: Load::MAX,
        distance: 1,
    };
    let mut element = PoolElement::new(config(Profile::Rsplib), &mut SplitMix64::new(1));
    element.add_registrar(&registrar(11)).unwrap();
    let pool = PoolHandle::new(&[b'x'; 32]).unwrap();
    element.register(Instant::ZERO, pool, &transport, policy).unwrap();
    let mut buf = [0; POOL_ELEMENT_MESSAGE_LEN_MAX];
    assert!(element.poll_transmit(Instant::ZERO, &mut buf).is_some());
    let up = Input::Up {
        association: AssociationId(1),
        connect: Some(crate::association::ConnectId(0)),
        peer_addresses: &[],
        peer_port: 3863,
    };
    element.handle_input(Instant::ZERO, up).unwrap();
    let sent = element.poll_transmit(Instant::ZERO, &mut buf);
    assert!(matches!(sent, Some(Transmit::Message { .. })), "{sent:?}");
}

#[test]
fn unknown_parameters_are_reported_if_their_type_says_so() {
    let mut trace = registered(Profile::Rsplib, 1);
    // Skipped and reported: the keep-alive is acknowledged as well.
    let reported = KEEP_ALIVE.replacen("07000020", "07000028", 1) + "c0420008deadbeef";
    trace.receive(1, &reported).unwrap();
    assert_eq!(
        trace.messages(),
        [format!("1> {ACK}"), "1> 0e000014000c00100001000cc0420008deadbeef".into()]
    );
    // Skipped in silence.
    let silent = KEEP_ALIVE.replacen("07000020", "07000028", 1) + "80420008deadbeef";
    trace.receive(1, &silent).unwrap();
    assert_eq!(trace.messages(), [format!("1> {ACK}")]);
    // The message is dropped and the parameter reported.
    let dropped = KEEP_ALIVE.replacen("07000020", "07000028", 1) + "40420008deadbeef";
    let cause = Some(Cause::UNRECOGNIZED_PARAMETER);
    assert_eq!(trace.receive(1, &dropped), Err(InputError::Malformed { cause }));
    assert_eq!(trace.messages(), ["1> 0e000014000c00100001000c40420008deadbeef"]);
    // Dropped in silence.
    let dropped = KEEP_ALIVE.replacen("07000020", "07000028", 1) + "00420008deadbeef";
    assert_eq!(trace.receive(1, &dropped), Err(InputError::Malformed { cause: None }));
    assert_eq!(trace.messages(), [""; 0]);
}

#[test]
fn unknown_messages_are_reported_but_errors_never() {
    let mut trace = registered(Profile::Rsplib, 1);
    assert_eq!(trace.receive(1, "60000008deadbeef"), Err(InputError::UnknownMessage));
    assert_eq!(trace.messages(), ["1> 0e000014000c00100002000c60000008deadbeef"]);
    // The type asks for silence.
    assert_eq!(trace.receive(1, "20000008deadbeef"), Err(InputError::UnknownMessage));
    assert_eq!(trace.messages(), [""; 0]);
    assert!(trace.receive(1, "0e0000084042000c").is_err());
    assert_eq!(trace.messages(), [""; 0]);
}

#[test]
fn a_long_parameter_is_reported_without_its_bytes() {
    let mut trace = registered(Profile::Rsplib, 1);
    let long = KEEP_ALIVE.replacen("07000020", "070000c0", 1) + "c04200a0" + &"00".repeat(156);
    trace.receive(1, &long).unwrap();
    assert_eq!(trace.messages()[1], "1> 0e00000c000c000800010004");
}

#[test]
fn stop_ends_everything_at_once() {
    let mut trace = registered(Profile::Rsplib, 1);
    trace.command(|element, _| element.stop());
    assert_eq!(trace.lines(), ["shutdown 1"]);
    assert_eq!(trace.machine.poll_timeout(), None);
    assert_eq!(trace.receive(1, KEEP_ALIVE), Err(InputError::Unexpected));
}

#[test]
fn identifiers_are_random_and_never_zero() {
    let config = PoolElementConfig::new(Profile::Rsplib);
    let id = |seed| PoolElement::new(config.clone(), &mut SplitMix64::new(seed)).pe_id();
    assert_ne!(id(1), id(2));
    struct Zero;
    impl Entropy for Zero {
        fn fill(&mut self, bytes: &mut [u8]) {
            bytes.fill(0);
        }
    }
    assert_ne!(PoolElement::new(config.clone(), &mut Zero).pe_id(), PeId(0));
}
