//! Boards at RSPLIB's registrar, by raw SCTP and over UDP.

use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::Case;
use super::ours::{self, AT};
use super::rsplib::{self, PATIENCE};
use crate::lab::Lab;
use crate::lab::guest::Program;
use crate::lab::process::{Process, await_some};

pub(super) const RAW: Case = Case {
    name: "board-raw",
    what: "an emulated board at rspregistrar, IP protocol 132 to the kernel's SCTP",
    patience: Duration::from_secs(300),
    has_boards: true,
    run: |lab| run(lab, "raw", "10.77.0.2:3863"),
};

pub(super) const UDP: Case = Case {
    name: "board-udp",
    what: "an emulated board at rspregistrar, over UDP 9899",
    patience: Duration::from_secs(300),
    has_boards: true,
    run: |lab| run(lab, "udp", "10.77.0.2:3863/9899"),
};

fn run(lab: &mut Lab, transport: &str, registrar_at: &str) -> Result<()> {
    let mut guest = lab.boot()?;
    // Our programs on this side reach the kernel over UDP; it replies as it was asked.
    guest.must("sysctl -q net.sctp.udp_port=9899")?;
    let started = rsplib::registrar(&mut guest);
    let registrar = lab.check("rspregistrar serves", started)?;
    let place = (&*lab.tap()?, BOARD);
    let told = format!("registrar={registrar_at}");
    let transport_setting = format!("transport={transport}");
    let settings_of = |registrar| {
        [registrar, &*transport_setting, SETTING_IDENTIFIER, SETTING_KEY, "rereg=9000"]
    };
    let settings = settings_of(&told);
    let board = lab.board("board", place, &settings)?;
    let registered = ours::await_registration(&registrar, IDENTIFIER, 0);
    lab.check("the board registers", registered)?;
    let had = rsplib::must_have(&mut guest, IDENTIFIER, BOARD);
    lab.check("rspregistrar has it, at its address", had)?;
    let alive = rsplib::await_keep_alives(&registrar, IDENTIFIER, 3);
    lab.check("it answers three keep-alives", alive)?;
    let before = ours::registration_count(&registrar, IDENTIFIER);
    let renewed = ours::await_registration(&registrar, IDENTIFIER, before);
    lab.check("it renews its registration", renewed)?;
    let alive = rsplib::await_keep_alives(&registrar, IDENTIFIER, 3);
    lab.check("it answers three more", alive)?;
    let listed = ours::must_resolve(lab, &[IDENTIFIER]);
    lab.check("rsp resolve finds it through rspregistrar", listed)?;
    if transport == "udp" {
        let job = lab.rsp("run", &format!("run fractal --size 64x48 --iterations 500 {AT}"))?;
        let done = job.finish(Duration::from_secs(90)).and_then(|summary| {
            let own = summary.lines().any(|line| line.contains(IDENTIFIER));
            own.then_some(()).with_context(|| format!("not by the board: {summary}"))
        });
        lab.check("it computes a job that finds it through rspregistrar", done)?;
    }

    // Before its registrar can notice: SCTP sees a restart of the association.
    lab.check("the board is reset", board.kill())?;
    let before = ours::registration_count(&registrar, IDENTIFIER);
    let board = lab.board("board-again", place, &settings)?;
    let registered = ours::await_registration(&registrar, IDENTIFIER, before);
    lab.check("it registers again", registered)?;
    let alive = rsplib::await_keep_alives(&registrar, IDENTIFIER, 2);
    lab.check("it answers keep-alives again", alive)?;

    lab.check("the board is unplugged", board.kill())?;
    let gone = rsplib::await_gone(&mut guest, IDENTIFIER);
    lab.check("rspregistrar notices that it is gone", gone)?;

    let mut board = lab.board("board-last", place, &settings_of("registrar=none"))?;
    let back = await_some(PATIENCE, || Ok(rsplib::entry(&mut guest, IDENTIFIER)?.map(drop)))?;
    lab.check(
        "told of no registrar, it finds rspregistrar by its announces",
        back.context("it does not register"),
    )?;
    board.say("stop")?;
    lab.check("told to stop, it deregisters and ends", deregistered(board, &registrar))?;
    match rsplib::entry(&mut guest, IDENTIFIER)? {
        None => Ok(()),
        Some(_) => bail!("rspregistrar still has it"),
    }
}

fn deregistered(board: Process, registrar: &Program) -> Result<()> {
    board.finish(PATIENCE)?;
    registrar.await_text("Deregistration request", PATIENCE)
}

/// The board's address and identifier.
const BOARD: &str = "10.77.0.20";
const IDENTIFIER: &str = "0x77000020";
const SETTING_IDENTIFIER: &str = "id=0x77000020";
const SETTING_KEY: &str = "key=00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
