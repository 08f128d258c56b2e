//! A pool element on Arm's MPS2 AN385, as QEMU emulates it.
//!
//! Settings are those of the build, changed by `-semihosting-config arg=KEY=VALUE`. Over UART0 it
//! takes the lines `status`, which it answers by one line, and `stop`: it leaves its pool and ends
//! QEMU with status 0. Status 1 says that it could not start, 101 that it panicked.
#![no_std]
#![no_main]

use core::cell::Cell;

use critical_section::Mutex;
use embassy_executor::Spawner;
use embassy_net::{Runner, Stack};
use mps2_an385_bsp::host::{self, ARGUMENTS_LEN_MAX};
use mps2_an385_bsp::{Nic, stack, uart};
use rserpool_core::asap::PoolElementStatus;
use rserpool_firmware::settings::Settings;
use rserpool_firmware::tasks::{Commands, run_element};
use rserpool_firmware::{Command, Event, Status, net};
use static_cell::StaticCell;

#[cortex_m_rt::entry]
fn main() -> ! {
    let settings = settings();
    let nic = match mps2_an385_bsp::start() {
        Ok(nic) => nic,
        Err(error) => give_up(&error),
    };
    mps2_an385_bsp::run(|spawner| start(spawner, settings, nic))
}

/// The settings of the build, changed by the arguments.
///
/// Not inlined, like `start`: `main` never returns, so its stack is taken for ever.
#[inline(never)]
fn settings() -> &'static Settings {
    static SETTINGS: StaticCell<Settings> = StaticCell::new();
    let settings = SETTINGS.init_with(Settings::at_build);
    if let Err(error) = settings.apply(host::arguments(&mut [0; ARGUMENTS_LEN_MAX])) {
        give_up(&error);
    }
    settings
}

fn give_up(error: &dyn core::fmt::Display) -> ! {
    #[cfg(feature = "defmt")]
    defmt::error!("cannot start: {}", defmt::Display2Format(error));
    #[cfg(not(feature = "defmt"))]
    let _ = error;
    host::exit(1)
}

#[inline(never)]
fn start(spawner: Spawner, settings: &'static Settings, nic: Nic) {
    static RESOURCES: StaticCell<net::Resources> = StaticCell::new();
    let mut seed = [0; 40];
    host::fill_random(&mut seed);
    let (net_seed, seed) = seed.split_first_chunk().expect("there are enough");
    let resources = RESOURCES.init_with(net::Resources::new);
    let net_seed = u64::from_le_bytes(*net_seed);
    let (stack, runner) = embassy_net::new(nic, net::config(settings), resources, net_seed);
    let seed = seed.first_chunk().expect("there are enough");
    spawner.spawn(run_net(runner).expect("it runs once"));
    spawner.spawn(run(stack, settings, *seed).expect("it runs once"));
    spawner.spawn(obey().expect("it runs once"));
    #[cfg(feature = "defmt")]
    defmt::info!("pool element starts");
}

#[embassy_executor::task]
async fn run_net(mut runner: Runner<'static, Nic>) -> ! {
    runner.run().await
}

#[embassy_executor::task]
async fn run(stack: Stack<'static>, settings: &'static Settings, seed: [u8; 32]) {
    run_element(stack, settings, seed, &COMMANDS, &mut observe).await;
    tell_status();
    host::exit(0)
}

fn observe(event: &Event, status: &Status) {
    critical_section::with(|section| STATUS.borrow(section).set(Some(*status)));
    #[cfg(feature = "defmt")]
    defmt::info!("{}: {}", event, status);
    #[cfg(not(feature = "defmt"))]
    let _ = event;
}

/// Does what the lines at the UART say.
#[embassy_executor::task]
async fn obey() -> ! {
    loop {
        match uart::read_line().await.as_bytes() {
            b"stop" => COMMANDS.signal(Command::Stop),
            b"start" => COMMANDS.signal(Command::Start),
            b"status" => tell_status(),
            _ => uart::write(b"unknown: there are start, status, stop\n"),
        }
    }
}

/// Writes one line: the element as of the last event, and the deepest stack so far, in bytes.
fn tell_status() {
    let status = critical_section::with(|section| STATUS.borrow(section).get());
    let is_registered = |s: Status| s.membership == PoolElementStatus::Registered;
    let number = |value: fn(Status) -> u32| status.map_or(0, value);
    for (name, value) in [
        ("link", number(|status| status.is_link_up.into())),
        ("registered", u32::from(status.is_some_and(is_registered))),
        ("id", number(|status| status.pe_id.0)),
        ("associations", number(|status| status.association_count as u32)),
        ("packages", number(|status| status.package_count as u32)),
        ("stack", stack::high_water()),
    ] {
        uart::write(name.as_bytes());
        uart::write(b"=");
        uart::write_number(value);
        uart::write(if name == "stack" { b"\n" } else { b" " });
    }
}

static COMMANDS: Commands = Commands::new();
static STATUS: Mutex<Cell<Option<Status>>> = Mutex::new(Cell::new(None));
