//! What ST's Nucleo boards with Ethernet have in common, a module of each: the same pins, the
//! same button. A board adds its interrupts ([`Irqs`]), its [`clocks`] and where its flash ends.
//!
//! Pressing the blue button makes it leave its pool; pressing it again starts the board anew.

use embassy_executor::Spawner;
use embassy_net::{Runner, Stack};
use embassy_stm32::eth::{Ethernet, GenericPhy, PacketQueue, Sma};
use embassy_stm32::exti::ExtiInput;
use embassy_stm32::flash::Flash;
use embassy_stm32::gpio::Pull;
use embassy_stm32::mode::Async;
use embassy_stm32::peripherals::{ETH, ETH_SMA};
use embassy_stm32::rng::Rng;
use embassy_stm32::uid;
use rserpool_firmware::identity::mac_address;
use rserpool_firmware::settings::{PAGE_LEN, Settings};
use rserpool_firmware::tasks::{Commands, run_element};
use rserpool_firmware::{Command, net};
use static_cell::StaticCell;
use {defmt_rtt as _, panic_probe as _};

use crate::{Irqs, PAGE_AT, clocks};

type Nic = Ethernet<'static, ETH, GenericPhy<Sma<'static, ETH_SMA>>>;

/// Starts the pool element.
pub(crate) async fn start(spawner: Spawner) {
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
