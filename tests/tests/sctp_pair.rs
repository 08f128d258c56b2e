//! Our SCTP endpoint against itself.
//!
//! `RSERPOOL_SEEDS=10000 cargo test --release -p rserpool-tests --test sctp_pair` runs the full
//! number of seeds; `RSERPOOL_SEED=n` replays one.

use std::env;
use std::time::Duration;

use rserpool_core::sctp::Config;
use rserpool_tests::network::Weather;
use rserpool_tests::sctp_run::{CLIENT, Ending, Outcome, Plan, SERVER, run};
use rserpool_tests::sctp_stack::{End, Ours};

const FAIR: Plan = Plan {
    weather: Weather::FAIR,
    message_count: 50,
    len_max: 20_000,
    streams: 4,
    unordered_every: 5,
    ppid: None,
    ending: Ending::ClientShutsDown,
};

const STORM: Plan = Plan { weather: Weather::STORM, message_count: 20, len_max: 6_000, ..FAIR };

fn large(plan: &Plan, seed: u64) -> Outcome {
    let mut client = Ours::large(seed, CLIENT, SERVER, Config::DEFAULT);
    let mut server = Ours::large(!seed, SERVER, CLIENT, Config::DEFAULT);
    run(plan, seed, &mut client, &mut server)
}

fn small(plan: &Plan, seed: u64) -> Outcome {
    let plan = Plan { len_max: plan.len_max.min(1_400), ..*plan };
    let mut client = Ours::small(seed, CLIENT, SERVER, Config::DEFAULT);
    let mut server = Ours::small(!seed, SERVER, CLIENT, Config::DEFAULT);
    run(&plan, seed, &mut client, &mut server)
}

const BOTH_SHUT_DOWN: [Option<End>; 2] = [Some(End::Shutdown), Some(End::Shutdown)];

#[test]
fn all_messages_arrive_in_fair_weather_and_both_ends_shut_down() {
    for ending in [Ending::ClientShutsDown, Ending::ServerShutsDown, Ending::BothShutDown] {
        for run in [large, small] {
            let outcome = run(&Plan { ending, ..FAIR }, 1);
            assert!(outcome.complete, "{ending:?}: {outcome:?}");
            assert_eq!(outcome.ends, BOTH_SHUT_DOWN, "{ending:?}");
        }
    }
}

#[test]
fn an_abort_ends_both_at_once() {
    for ending in [Ending::ClientAborts, Ending::ServerAborts] {
        let outcome = large(&Plan { ending, ..FAIR }, 1);
        assert!(outcome.complete, "{ending:?}: {outcome:?}");
        assert_eq!(outcome.ends, [Some(End::Aborted), Some(End::Aborted)], "{ending:?}");
    }
}

#[test]
fn a_narrow_link_is_filled_without_being_flooded() {
    let weather = Weather { bandwidth: Some(250_000), ..Weather::FAIR };
    let outcome = large(&Plan { weather, message_count: 200, ..FAIR }, 1);
    assert!(outcome.complete, "{outcome:?}");
    let (sent, lost) = outcome.packets;
    // Some 700 KB each way take about three seconds.
    assert!(outcome.took < Duration::from_secs(5), "{outcome:?}");
    assert!(lost * 20 < sent, "{outcome:?}");
}

#[test]
fn the_same_seed_sends_the_same_bytes() {
    for seed in 0..10 {
        assert_eq!(large(&STORM, seed), large(&STORM, seed), "seed {seed}");
        assert_ne!(large(&STORM, seed).digest, large(&STORM, seed + 1).digest);
    }
}

#[test]
fn messages_survive_the_storm_or_both_ends_learn_of_the_loss() {
    let one = env::var("RSERPOOL_SEED").ok().map(|seed| seed.parse().expect("a number"));
    let count = env::var("RSERPOOL_SEEDS").map_or(500, |count| count.parse().expect("a number"));
    let (mut run_count, mut complete_count) = (0_u64, 0_u64);
    for seed in one.map_or(0..count, |seed: u64| seed..seed + 1) {
        println!("to replay: RSERPOOL_SEED={seed} cargo test -p rserpool-tests --test sctp_pair");
        for run in [large, small] {
            let outcome = run(&STORM, seed);
            run_count += 1;
            if outcome.complete && outcome.ends == BOTH_SHUT_DOWN {
                complete_count += 1;
                continue;
            }
            println!("incomplete: seed {seed}: {outcome:?}");
            let failed = |end: Option<End>| end.is_none_or(|end| end != End::Shutdown);
            if !outcome.complete {
                assert!(outcome.ends.into_iter().all(failed), "seed {seed}: {outcome:?}");
            }
        }
    }
    println!("{complete_count} of {run_count} runs complete");
    assert!(complete_count * 1_000 >= run_count * 999, "{complete_count} of {run_count}");
}
