//! Keep-alives and changes of the home.

use super::*;

#[test]
fn keep_alives_are_acknowledged_with_and_without_identifier() {
    let mut trace = registered(Profile::Rsplib, 1);
    trace.receive(1, KEEP_ALIVE).unwrap();
    assert_eq!(trace.log(), [format!("0 1> {ACK}")]);
    trace.receive(1, KEEP_ALIVE_WITHOUT_ID).unwrap();
    assert_eq!(trace.log(), [format!("0 1> {ACK}")]);
}

#[test]
fn a_pool_handle_with_padding_is_acknowledged_byte_for_byte() {
    let config = PoolElementConfig { pe_id: Some(PeId(0xaaaa_0003)), ..config(Profile::Rsplib) };
    let mut element = PoolElement::new(config, &mut SplitMix64::new(1));
    element.add_registrar(&registrar(11)).unwrap();
    let mut trace = Trace::new(element);
    let pool = PoolHandle::new(b"Odd7chr").unwrap();
    trace.command(|element, now| element.register(now, pool, &service(), Policy::Random)).unwrap();
    trace.up(1, 0);
    trace.log();
    trace.receive(1, "0700001c111111110009000b4f64643763687200000e0008aaaa0003").unwrap();
    assert_eq!(trace.messages(), ["1> 080000180009000b4f64643763687200000e0008aaaa0003"]);
}

#[test]
fn a_keep_alive_is_acknowledged_before_the_registration_is_answered() {
    let mut trace = element(Profile::Rsplib, 1);
    trace.register();
    assert_eq!(trace.receive(5, KEEP_ALIVE), Err(InputError::Unexpected), "nothing sent yet");
    trace.up(1, 0);
    trace.log();
    trace.receive(1, KEEP_ALIVE).unwrap();
    assert_eq!(trace.messages(), [format!("1> {ACK}")]);
}

#[test]
fn keep_alives_for_others_are_not_acknowledged() {
    let mut trace = registered(Profile::Rsplib, 1);
    let other_element = KEEP_ALIVE.replace("aaaa0001", "aaaa0002");
    assert_eq!(trace.receive(1, &other_element), Err(InputError::Unexpected));
    let other_pool = KEEP_ALIVE.replace("50696e67", "50696e68");
    assert_eq!(trace.receive(1, &other_pool), Err(InputError::Unexpected));
    // RSPLIB would answer this one; RFC 5352 §3.4 (KA1) says not to.
    let other_pool = KEEP_ALIVE_WITHOUT_ID.replace("50696e67", "50696e68");
    assert_eq!(trace.receive(1, &other_pool), Err(InputError::Unexpected));
    assert_eq!(trace.log(), [""; 0]);
}

#[test]
fn a_keep_alive_from_another_registrar_is_acknowledged_there() {
    let mut trace = registered(Profile::Rsplib, 1);
    trace.up(7, None);
    let from_2 = KEEP_ALIVE.replace("11111111", "22222222");
    trace.receive(7, &from_2).unwrap();
    assert_eq!(trace.log(), [format!("0 7> {ACK}")]);
    assert_eq!(trace.machine.home(), Some(RegistrarId::UNKNOWN), "still the old one");
}

#[test]
fn keep_alives_tell_who_the_home_is() {
    let mut trace = registered(Profile::Rsplib, 1);
    trace.receive(1, KEEP_ALIVE).unwrap();
    assert_eq!(trace.machine.home(), Some(RegistrarId(0x1111_1111)));
    trace.log();
    trace.run_until(30_000);
    assert_eq!(trace.messages(), [format!("1> {REREGISTRATION}")]);
    // Another identifier on the same association: it is what the registrar now calls itself.
    trace.receive(1, KEEP_ALIVE_HOME_2).unwrap();
    assert_eq!(trace.machine.home(), Some(RegistrarId(0x2222_2222)));
    assert_eq!(trace.messages(), [format!("1> {ACK}")]);
}

#[test]
fn a_flood_of_keep_alives_costs_one_answer_an_association() {
    let mut element = registered(Profile::Rsplib, 1).machine;
    let data = bytes(KEEP_ALIVE);
    let mut refused = 0;
    for association in (2..40).flat_map(|association| [association; 3]) {
        let input = Input::Message {
            association: AssociationId(association),
            stream: crate::association::StreamId(0),
            ppid: Ppid::ASAP,
            data: &data,
        };
        refused += usize::from(element.handle_input(Instant::ZERO, input).is_err());
    }
    assert_eq!(refused, (38 - ACKS_MAX) * 3);
    let mut buf = [0; POOL_ELEMENT_MESSAGE_LEN_MAX];
    let mut answers = 0;
    while element.poll_transmit(Instant::ZERO, &mut buf).is_some() {
        answers += 1;
    }
    assert_eq!(answers, ACKS_MAX);
}

#[test]
fn a_home_change_aborts_the_old_association_and_registers_at_once() {
    let mut trace = registered(Profile::Rsplib, 1);
    trace.up(7, None);
    trace.run_until(5);
    trace.receive(7, KEEP_ALIVE_HOME_2).unwrap();
    let registration = REGISTRATION.replace("aaaa000100000000", "aaaa000122222222");
    assert_eq!(
        trace.log(),
        [
            "5 abort 1".into(),
            format!("5 7> {ACK}"),
            format!("5 7> {registration}"),
            "5 HomeChanged { registrar: RegistrarId(0x22222222) }".into(),
        ]
    );
    trace.receive(7, GRANTED).unwrap();
    assert_eq!(trace.status(), PoolElementStatus::Registered);
    // The end of the old association is no loss, that of the new one is.
    trace.down(1);
    assert_eq!(trace.lines(), [""; 0], "registered all the time");
    trace.down(7);
    assert!(trace.lines().contains(&"RegistrarLost".into()));
}

#[test]
fn a_home_change_ends_a_hunt() {
    let mut trace = registered(Profile::Rsplib, 1);
    trace.down(1);
    assert_eq!(trace.lines(), ["connect 1 to 10.77.0.11:3863", "RegistrarLost"]);
    trace.up(7, None);
    trace.receive(7, KEEP_ALIVE_HOME_2).unwrap();
    let lines = trace.lines();
    assert_eq!(lines[0], "cancel 1");
    assert_eq!(trace.status(), PoolElementStatus::Registering);
    // The cancellation crossed with the success.
    trace.up(8, 1);
    assert_eq!(trace.lines(), ["abort 8"]);
}
