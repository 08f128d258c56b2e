//! Bytes as messages and cookies of every service, and as what users and elements say in
//! sessions.

use std::time::Duration;

use rserpool::services::{
    Call, Serve, SessionServer, basic, calc_app, fractal, ping_pong, scripting,
};
use rserpool_core::association::{AssociationId, DownReason, Input, Ppid, StreamId};
use rserpool_core::machine::Machine;
use rserpool_core::time::Instant;

/// Reads `data` as every message and cookie, then as a script for every service.
///
/// # Panics
///
/// If what is read is not written again to the same bytes, or a session breaks its bounds.
pub fn run(data: &[u8]) {
    check_messages(data);
    check_cookies(data);
    let limits = fractal::Limits::default();
    serve(ping_pong::Server::new(2, Some(5)), data);
    serve(calc_app::Server::new(calc_app::Limits::default()), data);
    serve(fractal::Server::new(limits), data);
    serve(scripting::Server::new(scripting::Limits::default(), "fuzz"), data);
    serve(basic::Server::new(basic::Kind::Echo, 2), data);
    call(ping_pong::Client::new(ping_pong::Config::default()), data);
    call(calc_app::Client::new(calc_app::Config::default()), data);
    let timeout = Duration::from_secs(3);
    call(fractal::Client::new(fractal::Config { parameter: PICTURE, timeout }), data);
    let package: &[u8] = b"package";
    call(scripting::Client::new(scripting::Config::new(package.into(), None)), data);
    let what = basic::What::Echo(vec![b"one".into(), b"two".into()]);
    call(basic::Client::new(basic::Config { what, timeout }), data);
}

/// A message is written again as it came, but for flags that mean nothing.
fn check_messages(data: &[u8]) {
    let same = |bytes: Vec<u8>| {
        let mut data = data.to_vec();
        data[1] = bytes[1];
        assert_eq!(bytes, data);
    };
    if let Ok(message) = ping_pong::Message::parse(data) {
        same(message.to_bytes());
    }
    if let Ok(message) = calc_app::Message::parse(data) {
        same(message.to_bytes());
    }
    if let Ok(message) = fractal::Message::parse(data) {
        same(message.to_bytes());
    }
    if let Ok(message) = scripting::Message::parse(data) {
        same(message.to_bytes());
        assert_eq!(scripting::Message::parse(&message.to_bytes()), Ok(message));
    }
}

fn check_cookies(data: &[u8]) {
    if let Ok(cookie) = ping_pong::Cookie::parse(data) {
        assert_eq!(cookie.to_bytes()[..], *data);
    }
    if let Ok(cookie) = calc_app::Cookie::parse(data) {
        assert_eq!(cookie.to_bytes()[..], *data);
    }
    if let Ok(cookie) = fractal::Cookie::parse(data) {
        let mut same = data.to_vec();
        // The header within it: flags and length mean nothing.
        same[9..12].copy_from_slice(&[0, 0, 4]);
        assert_eq!(cookie.to_bytes(), same);
    }
}

/// Users of an element that say what `data` says: a byte for who and what, one for the length.
fn serve<S: Serve>(service: S, data: &[u8]) {
    let ppid = service.ppid();
    let mut server = SessionServer::new(service, 2);
    let mut buf = vec![0; SessionServer::<S>::TRANSMIT_LEN_MAX];
    let mut now = Instant::from_millis(1_000);
    for (step, said) in steps(data).enumerate().take(STEP_COUNT_MAX) {
        let association = AssociationId(u32::from(said.who % 3));
        let stream = StreamId(0);
        let input = match said.what {
            0 => Input::Up { association, connect: None, peer_addresses: &[], peer_port: 1 },
            1 => Input::Down { association, reason: DownReason::Lost },
            2 => Input::Message { association, stream, ppid: Ppid::ASAP, data: said.bytes },
            3 => {
                now += Duration::from_millis(100 * u64::from(said.who));
                server.handle_timeout(now);
                continue;
            }
            _ => Input::Message { association, stream, ppid, data: said.bytes },
        };
        let _ = server.handle_input(now, input);
        server.run(now, 10);
        for _ in 0..SENT_COUNT_MAX {
            let Some(_) = server.poll_transmit(now, &mut buf) else { break };
        }
        assert!(server.session_count() <= 2, "after step {step}");
        while server.poll_event().is_some() {}
    }
}

/// Elements that say to a client what `data` says.
fn call<C: Call>(mut client: C, data: &[u8]) {
    let mut now = Instant::from_millis(1_000);
    let mut is_up = false;
    for said in steps(data).take(STEP_COUNT_MAX) {
        match (said.what, is_up) {
            (0, false) => {
                client.on_up(now, said.who % 2 == 1);
                is_up = true;
            }
            (1, true) => {
                client.on_down(now);
                is_up = false;
            }
            (3, _) => {
                now += Duration::from_millis(100 * u64::from(said.who));
                client.on_timeout(now);
            }
            (_, true) => {
                let _ = client.on_message(now, said.bytes);
            }
            (_, false) => {}
        }
        for _ in 0..SENT_COUNT_MAX {
            let Some(_) = client.poll(now) else { break };
        }
    }
}

struct Step<'a> {
    what: u8,
    who: u8,
    bytes: &'a [u8],
}

fn steps(data: &[u8]) -> impl Iterator<Item = Step<'_>> {
    let mut rest = data;
    std::iter::from_fn(move || {
        let (&[first, len], behind) = rest.split_first_chunk()?;
        let (bytes, behind) = behind.split_at(usize::from(len).min(behind.len()));
        rest = behind;
        Some(Step { what: first % 8, who: first / 8, bytes })
    })
}

/// A picture that clients of the target want.
const PICTURE: fractal::Parameter = fractal::Parameter {
    width: 4,
    height: 3,
    iterations_max: 5,
    algorithm: fractal::Algorithm::Mandelbrot,
    c1: (-1.5, 1.5),
    c2: (1.5, -1.5),
    n: 2.0,
};

/// Steps of a script that are taken.
const STEP_COUNT_MAX: usize = 64;

/// Messages that are pulled after a step.
const SENT_COUNT_MAX: usize = 64;
