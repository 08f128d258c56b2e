//! A pool element on ST's NUCLEO-H743ZI (and ZI2): docs/boards/nucleo-h743zi.md.
#![no_std]
#![no_main]

use embassy_executor::Spawner;
use embassy_stm32::exti;
use embassy_stm32::peripherals::RNG;
use embassy_stm32::{bind_interrupts, eth, interrupt, rng};

#[path = "../../../shared/nucleo.rs"]
mod nucleo;

bind_interrupts!(struct Irqs {
    ETH => eth::InterruptHandler;
    EXTI15_10 => exti::InterruptHandler<interrupt::typelevel::EXTI15_10>;
    RNG => rng::InterruptHandler<RNG>;
});

#[embassy_executor::main]
async fn main(spawner: Spawner) {
    nucleo::start(spawner).await;
}

/// 400 MHz from the internal oscillator; the network and the generator of random numbers have
/// clocks of their own.
fn clocks() -> embassy_stm32::Config {
    use embassy_stm32::rcc::*;
    let mut config = embassy_stm32::Config::default();
    config.rcc.pll1 = Some(Pll {
        source: PllSource::HSI,
        prediv: PllPreDiv::DIV4,
        mul: PllMul::MUL50,
        fracn: None,
        divp: Some(PllDiv::DIV2),
        divq: None,
        divr: None,
    });
    config.rcc.sys = Sysclk::PLL1_P;
    config.rcc.ahb_pre = AHBPrescaler::DIV2;
    config.rcc.apb1_pre = APBPrescaler::DIV2;
    config.rcc.apb2_pre = APBPrescaler::DIV2;
    config.rcc.apb3_pre = APBPrescaler::DIV2;
    config.rcc.apb4_pre = APBPrescaler::DIV2;
    config.rcc.voltage_scale = VoltageScale::Scale1;
    config
}

/// The last erase block of the flash, from its start.
const PAGE_AT: u32 = 0x1e_0000;
