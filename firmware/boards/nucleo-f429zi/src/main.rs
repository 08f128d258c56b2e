//! A pool element on ST's NUCLEO-F429ZI: docs/boards/nucleo-f429zi.md.
//!
//! Pressing the blue button makes it leave its pool; pressing it again starts the board anew.
#![no_std]
#![no_main]

use embassy_executor::Spawner;
use embassy_net::{Runner, Stack};
use embassy_stm32::eth::{self, Ethernet, GenericPhy, PacketQueue, Sma};
use embassy_stm32::exti::{self, ExtiInput};
use embassy_stm32::flash::Flash;
use embassy_stm32::gpio::Pull;
use embassy_stm32::mode::Async;
use embassy_stm32::peripherals::{ETH, ETH_SMA, RNG};
use embassy_stm32::rng::{self, Rng};
use embassy_stm32::{bind_interrupts, interrupt, uid};
use rserpool_firmware::identity::mac_address;
use rserpool_firmware::settings::{PAGE_LEN, Settings};
use rserpool_firmware::tasks::{Commands, run_element};
use rserpool_firmware::{Command, net};
use static_cell::StaticCell;
use {defmt_rtt as _, panic_probe as _};

bind_interrupts!(struct Irqs {
    ETH => eth::InterruptHandler;
    EXTI15_10 => exti::InterruptHandler<interrupt::typelevel::EXTI15_10>;
    HASH_RNG => rng::InterruptHandler<RNG>;
});

type Nic = Ethernet<'static, ETH, GenericPhy<Sma<'static, ETH_SMA>>>;

#[embassy_executor::main]
async fn main(spawner: Spawner) {
    static QUEUE: StaticCell<PacketQueue<4, 6>> = StaticCell::new();
    static RESOURCES: StaticCell<net::Resources> = StaticCell::new();
    static SETTINGS: StaticCell<Settings> = StaticCell::new();
    let p = embassy_stm32::init(clocks());
    let mut page = [0; PAGE_LEN];
    if Flash::new_blocking(p.FLASH).blocking_read(PAGE_AT, &mut page).is_err() {
        defmt::warn!("the page of settings cannot be read");
    }
    let unique = uid::uid();
    let settings = SETTINGS.init_with(|| Settings::of_board(&page, &unique));

    let mut random = Rng::new(p.RNG, Irqs);
    let mut noise = [0; 64];
    if random.async_fill_bytes(&mut noise).await.is_err() {
        defmt::panic!("the generator of random numbers fails");
    }
    let (net_seed, seed) = rserpool_firmware::random::seeds(&noise);

    let mac = mac_address(&unique);
    let nic = Ethernet::new(
        QUEUE.init_with(PacketQueue::new),
        p.ETH,
        Irqs,
        p.PA1,
        p.PA7,
        p.PC4,
        p.PC5,
        p.PG13,
        p.PB13,
        p.PG11,
        mac,
        p.ETH_SMA,
        p.PA2,
        p.PC1,
    );
    let resources = RESOURCES.init_with(net::Resources::new);
    let (stack, runner) = embassy_net::new(nic, net::config(settings), resources, net_seed);
    let button = ExtiInput::new(p.PC13, p.EXTI13, Pull::Down, Irqs);
    spawner.spawn(defmt::unwrap!(run_net(runner)));
    spawner.spawn(defmt::unwrap!(run(stack, settings, seed)));
    spawner.spawn(defmt::unwrap!(obey(button)));
    defmt::info!("pool element {=[u8]:02x}", mac);
}

/// 168 MHz from the internal oscillator, and 48 MHz for the generator of random numbers.
fn clocks() -> embassy_stm32::Config {
    use embassy_stm32::rcc::*;
    let mut config = embassy_stm32::Config::default();
    config.rcc.pll_src = PllSource::HSI;
    config.rcc.pll = Some(Pll {
        prediv: PllPreDiv::DIV8,
        mul: PllMul::MUL168,
        divp: Some(PllPDiv::DIV2),
        divq: Some(PllQDiv::DIV7),
        divr: None,
    });
    config.rcc.sys = Sysclk::PLL1_P;
    config.rcc.apb1_pre = APBPrescaler::DIV4;
    config.rcc.apb2_pre = APBPrescaler::DIV2;
    config
}

#[embassy_executor::task]
async fn run_net(mut runner: Runner<'static, Nic>) -> ! {
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
async fn obey(mut button: ExtiInput<'static, Async>) -> ! {
    button.wait_for_rising_edge().await;
    COMMANDS.signal(Command::Stop);
    button.wait_for_rising_edge().await;
    cortex_m::peripheral::SCB::sys_reset()
}

static COMMANDS: Commands = Commands::new();

/// The last erase block of the flash, from its start.
const PAGE_AT: u32 = 0x1e_0000;
