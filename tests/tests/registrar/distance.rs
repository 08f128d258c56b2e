//! How far away elements are. draft-dreibholz-rserpool-delay.

use super::*;

on_each_storage! {
    half_the_round_trip_is_the_distance
    without_a_step_elements_say_how_far_away_they_are
    the_nearer_of_two_is_preferred
    round_trips_of_nobody_are_refused
}

fn far(distance: u32) -> Policy {
    Policy::LeastUsedDpf { load: Load(0), dpf: Load(1_000), distance }
}

fn measured<S: Storage>(bench: &mut Bench<S>, id: u32, ms: u32) {
    let association = AssociationId(id);
    bench.input(Input::RoundTrip { association, micros: ms * 1_000 }).expect("it is up");
}

fn distance<S: Storage>(bench: &Bench<S>, pe_id: u32) -> Option<u32> {
    let space = bench.registrar.handlespace();
    let index = space.find(handle("Far"), PeId(pe_id)).expect("registered");
    space.element(index).policy().distance()
}

fn half_the_round_trip_is_the_distance<S: Roomy>() {
    let mut bench = rsplib::<S>();
    bench.up(1, &["10.0.0.1"]);
    // What it says of itself is replaced.
    bench.registers(1, "Far", 1, far(777));
    assert_eq!(distance(&bench, 1), Some(0));
    measured(&mut bench, 1, 210);
    assert_eq!(distance(&bench, 1), Some(100));
    bench.registers(1, "Far", 1, far(777));
    assert_eq!(distance(&bench, 1), Some(100));
    measured(&mut bench, 1, 20);
    assert_eq!(distance(&bench, 1), Some(0));
}

fn without_a_step_elements_say_how_far_away_they_are<S: Roomy>() {
    let mut bench = configured::<S>(Profile::Rsplib, |config| {
        config.distance_step = Duration::ZERO;
    });
    bench.up(1, &["10.0.0.1"]);
    measured(&mut bench, 1, 210);
    bench.registers(1, "Far", 1, far(777));
    assert_eq!(distance(&bench, 1), Some(777));
}

fn the_nearer_of_two_is_preferred<S: Roomy>() {
    let mut bench = rsplib::<S>();
    for id in [1, 2] {
        bench.up(id, &[&address_of(id)]);
        bench.registers(id, "Far", id, far(0));
    }
    measured(&mut bench, 1, 300);
    measured(&mut bench, 2, 100);
    assert_eq!(bench.resolves(1, "Far", None), [2, 1]);
    measured(&mut bench, 1, 10);
    assert_eq!(bench.resolves(1, "Far", None), [1, 2]);
}

fn round_trips_of_nobody_are_refused<S: Roomy>() {
    let mut bench = rsplib::<S>();
    let input = Input::RoundTrip { association: AssociationId(1), micros: 1 };
    assert_eq!(bench.input(input), Err(InputError::UnknownAssociation));
}
