//! A peer of the kernel's SCTP that a case runs in its guest: takes numbered messages, or sends
//! them, at one or several addresses.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use linux_sctp::{
    AddressChange, AssociationChange, AssociationId, Event, Family, Heartbeat, Notification,
    Received, RtoOptions, SendInfo, Socket,
};
use rserpool_core::sctp::Config;

use super::transfer::{self, INTERVAL};

/// What it is to do: words of the command line, separated by spaces.
#[derive(Debug)]
struct Order {
    /// The peer's addresses; none: take messages.
    remotes: Vec<IpAddr>,
    locals: Vec<IpAddr>,
    /// The SCTP port of whoever listens.
    port: u16,
    is_udp: bool,
    is_tuned: bool,
    seconds: u64,
}

/// Runs it: `sink|source PORT udp|raw tuned|default SECONDS LOCALS [REMOTES]`.
///
/// # Errors
///
/// If the words make no sense, the kernel refuses something, or what comes is not in order.
pub(crate) fn run(words: &str) -> Result<()> {
    let order = parse(words).with_context(|| format!("`{words}`"))?;
    let socket = open(&order)?;
    if order.remotes.is_empty() { sink(&socket) } else { source(&socket, &order) }
}

fn parse(words: &str) -> Result<Order> {
    let words: Vec<_> = words.split_whitespace().collect();
    let [_, port, carrier, parameters, seconds, locals, ref remotes @ ..] = words[..] else {
        bail!("words are missing");
    };
    let addresses = |text: &str| text.split(',').map(str::parse).collect::<Result<Vec<_>, _>>();
    let remotes = match remotes {
        [remotes, ..] => addresses(remotes)?,
        [] => Vec::new(),
    };
    Ok(Order {
        remotes,
        locals: addresses(locals)?,
        port: port.parse()?,
        is_udp: carrier == "udp",
        is_tuned: parameters == "tuned",
        seconds: seconds.parse()?,
    })
}

fn open(order: &Order) -> Result<Socket> {
    let socket = Socket::new(Family::Ipv4)?;
    let port = if order.remotes.is_empty() { order.port } else { 0 };
    let (first, more) = order.locals.split_first().context("no address")?;
    socket.bind(SocketAddr::new(*first, port))?;
    let port = socket.local_address()?.port();
    let more: Vec<_> = more.iter().map(|&address| SocketAddr::new(address, port)).collect();
    if !more.is_empty() {
        socket.bind_more(&more)?;
    }
    for event in [Event::AssociationChange, Event::AddressChange] {
        socket.subscribe(event, true)?;
    }
    let all = AssociationId::default();
    if order.is_udp {
        socket.set_remote_udp_port(all, rserpool_core::sctp::UDP_PORT)?;
    }
    let Config { rto_initial, rto_min, rto_max, .. } = transfer::config(order.is_tuned);
    socket.set_rto(all, RtoOptions { initial: rto_initial, min: rto_min, max: rto_max })?;
    let config = transfer::config(order.is_tuned);
    socket.set_heartbeat(
        all,
        Heartbeat {
            interval: config.heartbeat_interval,
            path_retransmissions_max: Some(config.path_retransmissions_max.into()),
        },
    )?;
    if order.remotes.is_empty() {
        socket.listen(4)?;
    }
    println!("open at {port}");
    Ok(socket)
}

/// Takes messages until the association is shut down.
fn sink(socket: &Socket) -> Result<()> {
    let mut count = 0;
    let mut buffer = vec![0; 68 << 10];
    loop {
        match next(socket, &mut buffer, Duration::from_secs(3_600))? {
            Some(Received::Message { len, .. }) => {
                transfer::check(count, &buffer[..len])?;
                count += 1;
            }
            Some(Received::Notification(told)) => {
                if tell(&told)? {
                    println!("{count} messages in order");
                    return Ok(());
                }
            }
            _ => bail!("nothing comes any more after {count} messages"),
        }
    }
}

/// Sends messages for some time, then shuts the association down.
fn source(socket: &Socket, order: &Order) -> Result<()> {
    let of = |&address: &IpAddr| SocketAddr::new(address, order.port);
    let remotes: Vec<_> = order.remotes.iter().map(of).collect();
    let association = socket.connectx(&remotes)?;
    let mut buffer = vec![0; 68 << 10];
    let end = Instant::now() + Duration::from_secs(order.seconds);
    let (mut number, mut is_up, mut due) = (0, false, Instant::now());
    loop {
        let is_over = Instant::now() >= end;
        if is_up && !is_over && due <= Instant::now() {
            due += INTERVAL;
            let info = SendInfo { association, ..SendInfo::default() };
            match socket.send(info, &transfer::message(number)) {
                Ok(()) => number += 1,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error).context("cannot send"),
            }
        }
        if is_over && is_up {
            println!("{number} messages sent");
            socket.shut_down(association)?;
            is_up = false;
        }
        if let Some(Received::Notification(told)) = next(socket, &mut buffer, TICK)? {
            if tell(&told)? {
                return Ok(());
            }
            is_up |= !is_over && number == 0;
        }
        if is_over && Instant::now() > end + PATIENCE {
            bail!("it is not shut down");
        }
    }
}

fn next(socket: &Socket, buffer: &mut [u8], patience: Duration) -> Result<Option<Received>> {
    let deadline = Instant::now() + patience;
    loop {
        match socket.recv(buffer) {
            Ok(received) => return Ok(Some(received)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error).context("cannot receive"),
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Prints what is told of paths; whether the association is shut down.
fn tell(told: &Notification) -> Result<bool> {
    match told {
        Notification::AddressChange { address, change, .. } => {
            let state = match change {
                AddressChange::Unreachable => "down",
                AddressChange::Available => "back",
                _ => "else",
            };
            let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
            println!("path {} {state} at {now}", address.ip());
        }
        Notification::AssociationChange { change: AssociationChange::ShutDown, .. } => {
            return Ok(true);
        }
        Notification::AssociationChange {
            change: change @ (AssociationChange::Lost | AssociationChange::CannotStart),
            ..
        } => bail!("the association ended: {change:?}"),
        _ => {}
    }
    Ok(false)
}

const TICK: Duration = Duration::from_millis(2);
const PATIENCE: Duration = Duration::from_secs(120);
