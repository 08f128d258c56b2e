//! Boards come into a pool, leave it, and come back.

use std::time::Duration;

use rserpool_qemu::{HOST_V6, Impairment};

use crate::bench::{Bench, TRANSPORTS, await_gone, await_listed, await_that, listed};
use crate::job::{Running, computed_locally};
use crate::process::Process;
use crate::working::picture;

#[test]
fn a_board_registers_and_deregisters_by_both_transports() {
    let bench = Bench::new();
    let (_registrar, place) = Process::registrar();
    let mut boards = TRANSPORTS.map(|transport| bench.registered_board(&place, transport));
    let pool = listed(&place);
    for board in &mut boards {
        assert_eq!(pool[&board.id], board.address().to_string());
        assert_eq!(board.status()["registered"], 1);
        board.board.say("stop").unwrap();
    }
    for board in &mut boards {
        await_gone(&place, &board.id);
        await_that("the end of the firmware", || board.board.ended().unwrap().is_some());
        assert_eq!(board.board.ended().unwrap().unwrap().code(), Some(0));
        // Its log, decoded.
        await_that("the last line of the log", || board.output().contains(" info  Stopped: "));
        assert!(board.output().contains(" info  Membership(Registered { warning: None }): "));
    }
}

#[test]
fn a_board_finds_a_registrar_by_its_announces() {
    let bench = Bench::new();
    // Others on this machine may announce themselves, too; they are not meant.
    let identifier = bench.seed as u32 | 1;
    bench.network.hear_announces(Some(identifier)).unwrap();
    let number = identifier.to_string();
    let listen = ["registrar", "--listen", "127.0.0.1:0/0", "--identifier", &number];
    let registrar = Process::start(&listen);
    let place = registrar.place();
    let settings = [("registrar", "none"), ("announces", "on")];
    let boards = TRANSPORTS.map(|transport| bench.board(&[], transport, &settings));
    for board in &boards {
        await_listed(&place, &board.id);
    }
}

#[test]
fn a_board_whose_registrar_dies_finds_another() {
    let bench = Bench::new();
    for transport in TRANSPORTS {
        let (first, second) = (Process::registrar(), Process::registrar());
        let places = [first.1.as_str(), second.1.as_str()];
        // Idle associations are probed every second, so that a death is noticed soon.
        let board = bench.board(&places, transport, &[("heartbeat", "1000")]);
        let is_at = |place: &str| listed(place).contains_key(&board.id);
        await_that("a registration", || places.iter().any(|place| is_at(place)));
        if is_at(&first.1) {
            first.0.kill();
            await_listed(&second.1, &board.id);
        } else {
            second.0.kill();
            await_listed(&first.1, &board.id);
        }
    }
}

#[test]
fn a_board_comes_back_after_its_link_was_down() {
    let bench = Bench::new();
    let (_registrar, place) = Process::registrar();
    for transport in TRANSPORTS {
        let mut board = bench.registered_board(&place, transport);
        board.board.set_link(false).unwrap();
        await_gone(&place, &board.id);
        board.board.set_link(true).unwrap();
        await_listed(&place, &board.id);
    }
}

#[test]
fn a_board_gets_its_address_by_dhcp_and_renews_it() {
    let bench = Bench::new();
    bench.network.set_lease_duration(Duration::from_secs(8));
    let (_registrar, place) = Process::registrar();
    for transport in TRANSPORTS {
        let mut board = bench.board(&[&place], transport, &[("ip", "dhcp")]);
        await_listed(&place, &board.id);
        assert_eq!(listed(&place)[&board.id], board.address().to_string());
        let done = Running::start(&place, picture()).finish();
        assert_eq!(done.job.pixels(), computed_locally(picture()).pixels());
        assert!(done.packages_of(&board.id) > 0, "{:?}", done.last.elements);
        let leases = board.board.link().counters().leases;
        board.board.set_link(false).unwrap();
        await_gone(&place, &board.id);
        board.board.set_link(true).unwrap();
        await_listed(&place, &board.id);
        // A new link may be one to another network, so it asks anew; and then it renews.
        assert!(board.board.link().counters().leases > leases);
        let renewals = board.board.link().counters().lease_renewals;
        await_that("a renewal", || board.board.link().counters().lease_renewals > renewals);
        await_listed(&place, &board.id);
        board.board.say("stop").unwrap();
        await_gone(&place, &board.id);
    }
}

#[test]
fn a_board_whose_lease_ran_out_asks_for_another() {
    let bench = Bench::new();
    bench.network.set_lease_duration(Duration::from_secs(4));
    let (_registrar, place) = Process::registrar();
    let mut board = bench.board(&[&place], "udp", &[("ip", "dhcp")]);
    await_listed(&place, &board.id);
    board.board.link().impair(Impairment::drop(1_000));
    await_that("an address less", || board.status()["link"] == 0);
    let leases = board.board.link().counters().leases;
    board.board.link().impair(Impairment::NONE);
    await_that("a lease", || board.board.link().counters().leases > leases);
    await_that("a registration", || board.status()["registered"] == 1);
    await_listed(&place, &board.id);
}

#[test]
fn a_board_takes_part_over_ipv6() {
    let bench = Bench::new();
    let (_registrar, place) = Process::registrar_at("[::1]:0/0", &["--observed-addresses"]);
    let port = place.rsplit_once("]:").unwrap().1;
    let registrar = format!("[{HOST_V6}]:{port}");
    for (transport, is_static) in [("udp", true), ("raw", true), ("raw", false)] {
        let link = bench.network.plug_anywhere().unwrap();
        let address = match is_static {
            true => format!("{}/64", link.address_v6()),
            false => "dhcp".to_owned(),
        };
        let port = link.open_lane().unwrap().to_string();
        let settings = [("ip", address.as_str()), ("port", &port)];
        let mut board = Bench::board_at(link, &[&registrar], transport, &settings);
        await_listed(&place, &board.id);
        assert_eq!(listed(&place)[&board.id], "::1");
        let done = Running::start(&place, picture()).finish();
        assert_eq!(done.job.pixels(), computed_locally(picture()).pixels());
        assert!(done.packages_of(&board.id) > 0, "{:?}", done.last.elements);
        board.board.set_link(false).unwrap();
        await_gone(&place, &board.id);
        board.board.set_link(true).unwrap();
        await_listed(&place, &board.id);
        board.board.say("stop").unwrap();
        await_gone(&place, &board.id);
    }
}

#[test]
fn a_board_stays_registered_on_a_bad_link() {
    let bench = Bench::new();
    let (_registrar, place) = Process::registrar();
    for transport in TRANSPORTS {
        // So that one of three arrives, which SCTP sends before T2 or the keep-alive timeout ends.
        let link = Impairment::drop(100).in_a_row(1).duplicate(50).reorder(50);
        let board = bench.board(&[&place], transport, &[]);
        board.board.link().impair(link);
        await_listed(&place, &board.id);
        // Through some keep-alives.
        await_that("fifty frames", || {
            assert!(listed(&place).contains_key(&board.id), "seed {}", bench.seed);
            board.board.link().counters().sent > 50
        });
        assert!(board.board.link().counters().dropped > 0);
    }
}
