//! A pool element on Arm's MPS2 AN385.
#![no_std]
#![no_main]

use core::net::Ipv4Addr;

use embassy_executor::Spawner;
use embassy_net::udp::{PacketMetadata, UdpSocket};
use embassy_net::{Config, Ipv4Cidr, Runner, Stack, StackResources, StaticConfigV4};
use mps2_an385_bsp::{Nic, host, say, stack, uart};
use static_cell::StaticCell;

#[cortex_m_rt::entry]
fn main() -> ! {
    let nic = match mps2_an385_bsp::start() {
        Ok(nic) => nic,
        Err(error) => {
            say!("the network chip does not start: {error}");
            host::exit(1)
        }
    };
    mps2_an385_bsp::run(|spawner| start(spawner, nic))
}

fn start(spawner: Spawner, nic: Nic) {
    static RESOURCES: StaticCell<StackResources<3>> = StaticCell::new();
    let mut address = Ipv4Cidr::new(Ipv4Addr::new(127, 77, 0, 5), 8);
    for argument in host::arguments().iter() {
        if let Some(text) = argument.strip_prefix("ip=") {
            address = text.parse().unwrap_or(address);
        }
    }
    let config = Config::ipv4_static(StaticConfigV4 {
        address,
        gateway: None,
        dns_servers: Default::default(),
    });
    let mut seed = [0; 8];
    host::fill_random(&mut seed);
    let resources = RESOURCES.init(StackResources::new());
    let (stack, runner) = embassy_net::new(nic, config, resources, u64::from_le_bytes(seed));
    spawner.spawn(net(runner).expect("one instance"));
    spawner.spawn(echo(stack).expect("one instance"));
    spawner.spawn(command().expect("one instance"));
    say!("up at {address}");
}

#[embassy_executor::task]
async fn net(mut runner: Runner<'static, Nic>) -> ! {
    runner.run().await
}

#[embassy_executor::task]
async fn echo(stack: Stack<'static>) -> ! {
    let (mut received, mut receive) = ([PacketMetadata::EMPTY; 4], [0; 2048]);
    let (mut sent, mut send) = ([PacketMetadata::EMPTY; 4], [0; 2048]);
    let mut socket = UdpSocket::new(stack, &mut received, &mut receive, &mut sent, &mut send);
    socket.bind(7).expect("the port is free");
    let mut buffer = [0; 1500];
    loop {
        if let Ok((len, from)) = socket.recv_from(&mut buffer).await {
            let _ = socket.send_to(&buffer[..len], from).await;
        }
    }
}

#[embassy_executor::task]
async fn command() -> ! {
    loop {
        let line = uart::read_line().await;
        match line.as_bytes() {
            b"stop" => host::exit(0),
            b"status" => {
                uart::write(b"stack=");
                uart::write_number(stack::high_water());
                uart::write(b"\n");
            }
            _ => uart::write(b"unknown\n"),
        }
    }
}
