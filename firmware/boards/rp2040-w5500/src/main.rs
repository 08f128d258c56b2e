//! A pool element on an RP2040 with a W5500: docs/boards/rp2040-w5500.md.
//!
//! Connecting GP22 with ground makes it leave its pool; doing so again starts the board anew.
#![no_std]
#![no_main]

use embassy_executor::Spawner;
use embassy_net::{Runner, Stack};
use embassy_net_wiznet::chip::W5500;
use embassy_net_wiznet::{Device, State};
use embassy_rp::clocks::RoscRng;
use embassy_rp::flash::{Blocking, Flash};
use embassy_rp::gpio::{Input, Level, Output, Pull};
use embassy_rp::peripherals::{DMA_CH0, DMA_CH1, SPI0};
use embassy_rp::spi::{Async, Config, Spi};
use embassy_rp::watchdog::Watchdog;
use embassy_rp::{bind_interrupts, dma};
use embassy_time::Delay;
use embedded_hal_bus::spi::ExclusiveDevice;
use rserpool_firmware::identity::mac_address;
use rserpool_firmware::settings::{PAGE_LEN, Settings};
use rserpool_firmware::tasks::{Commands, run_element};
use rserpool_firmware::{Command, net};
use static_cell::StaticCell;
use {defmt_rtt as _, panic_probe as _};

bind_interrupts!(struct Irqs {
    DMA_IRQ_0 => dma::InterruptHandler<DMA_CH0>, dma::InterruptHandler<DMA_CH1>;
});

type Bus = ExclusiveDevice<Spi<'static, SPI0, Async>, Output<'static>, Delay>;
type Chip = embassy_net_wiznet::Runner<'static, W5500, Bus, Input<'static>, Output<'static>>;

#[embassy_executor::main]
async fn main(spawner: Spawner) {
    static STATE: StaticCell<State<4, 4>> = StaticCell::new();
    static RESOURCES: StaticCell<net::Resources> = StaticCell::new();
    static SETTINGS: StaticCell<Settings> = StaticCell::new();
    let p = embassy_rp::init(Default::default());
    let (mut page, mut unique) = ([0; PAGE_LEN], [0; 8]);
    let mut flash = Flash::<_, Blocking, FLASH_LEN>::new_blocking(p.FLASH);
    if flash.blocking_read(PAGE_AT, &mut page).is_err() {
        defmt::warn!("the page of settings cannot be read");
    }
    if flash.blocking_unique_id(&mut unique).is_err() {
        defmt::panic!("the flash has no number");
    }
    let settings = SETTINGS.init_with(|| Settings::of_board(&page, &unique));

    // The bits of the ring oscillator are few and alike, so many go into the seed.
    let mut noise = [0; 1_024];
    RoscRng.fill_bytes(&mut noise);
    let (net_seed, seed) = rserpool_firmware::random::seeds(&noise);

    let mut config = Config::default();
    config.frequency = 50_000_000;
    let spi = Spi::new(p.SPI0, p.PIN_18, p.PIN_19, p.PIN_16, p.DMA_CH0, p.DMA_CH1, Irqs, config);
    let select = Output::new(p.PIN_17, Level::High);
    let bus = defmt::unwrap!(ExclusiveDevice::new(spi, select, Delay));
    let interrupt = Input::new(p.PIN_21, Pull::Up);
    let reset = Output::new(p.PIN_20, Level::High);
    let mac = mac_address(&unique);
    let state = STATE.init_with(State::new);
    let chip = embassy_net_wiznet::new(mac, state, bus, interrupt, reset).await;
    let Ok((nic, chip)) = chip else { defmt::panic!("the W5500 does not answer") };

    let resources = RESOURCES.init_with(net::Resources::new);
    let (stack, runner) = embassy_net::new(nic, net::config(settings), resources, net_seed);
    spawner.spawn(defmt::unwrap!(run_chip(chip)));
    spawner.spawn(defmt::unwrap!(run_net(runner)));
    spawner.spawn(defmt::unwrap!(run(stack, settings, seed)));
    let button = Input::new(p.PIN_22, Pull::Up);
    spawner.spawn(defmt::unwrap!(obey(button, Watchdog::new(p.WATCHDOG))));
    defmt::info!("pool element {=[u8]:02x}", mac);
}

#[embassy_executor::task]
async fn run_chip(chip: Chip) -> ! {
    chip.run().await
}

#[embassy_executor::task]
async fn run_net(mut runner: Runner<'static, Device<'static>>) -> ! {
    runner.run().await
}

#[embassy_executor::task]
async fn run(stack: Stack<'static>, settings: &'static Settings, seed: [u8; 32]) {
    run_element(stack, settings, seed, &COMMANDS, &mut |event, status| {
        defmt::info!("{}: {}", event, status);
    })
    .await;
    defmt::info!("left the pool");
}

#[embassy_executor::task]
async fn obey(mut button: Input<'static>, mut watchdog: Watchdog) {
    button.wait_for_falling_edge().await;
    COMMANDS.signal(Command::Stop);
    button.wait_for_falling_edge().await;
    watchdog.trigger_reset();
}

static COMMANDS: Commands = Commands::new();

const FLASH_LEN: usize = 2 * 1_024 * 1_024;
/// The last erase block of the flash, from its start.
const PAGE_AT: u32 = 0x1f_f000;
