//! A pool element on ST's NUCLEO-F429ZI: docs/boards/nucleo-f429zi.md.
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
    HASH_RNG => rng::InterruptHandler<RNG>;
});

#[embassy_executor::main]
async fn main(spawner: Spawner) {
    nucleo::start(spawner).await;
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

/// The last erase block of the flash, from its start.
const PAGE_AT: u32 = 0x1e_0000;
