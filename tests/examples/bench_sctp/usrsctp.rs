//! The C library usrsctp, by its address family AF_CONN.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rserpool_core::time::Instant;
use rserpool_usrsctp::{Key, Library, Received, Socket};

use super::link::{Link, Side};
use super::{PACKET_LEN_MAX, PORT, Pair, WINDOW};

pub(crate) struct Usrsctp {
    library: Library,
    keys: [Key; 2],
    client: Socket,
    listener: Socket,
    server: Option<Socket>,
    is_up: bool,
    /// Up to when it knows of time.
    time: Instant,
}

/// It does not say when its timers are due.
const TICK: Duration = Duration::from_millis(1);

static KEYS: AtomicUsize = AtomicUsize::new(1);

impl Usrsctp {
    pub(crate) fn new() -> Self {
        let library = Library::in_process();
        let keys = Side::BOTH.map(|_| KEYS.fetch_add(1, Ordering::Relaxed));
        let [client, listener] = keys.map(|key| {
            let (window, packet) = (WINDOW as u32, PACKET_LEN_MAX as u32);
            library.conn_socket(key, PORT, window, packet).expect("a new key")
        });
        listener.listen().expect("it is bound");
        let time = Instant::from_millis(1_000);
        Self { library, keys, client, listener, server: None, is_up: false, time }
    }
}

impl Pair for Usrsctp {
    fn connect(&mut self, _now: Instant) {
        self.client.connect_conn(PORT).expect("it is bound");
    }

    fn is_up(&mut self) -> bool {
        if self.server.is_none() {
            self.server = self.listener.accept().ok();
        }
        while let Ok(received) = self.client.recv(&mut [0; 256]) {
            self.is_up |= received == Received::Up;
        }
        self.is_up && self.server.is_some()
    }

    fn send(&mut self, _now: Instant, message: &[u8]) -> bool {
        self.client.send(0, 0, false, message).is_ok()
    }

    fn input(&mut self, _now: Instant, side: Side, packet: &[u8]) {
        self.library.input(self.keys[side as usize], packet);
    }

    fn output(&mut self, _now: Instant, _side: Side, link: &mut Link) {
        let Self { library, keys, .. } = self;
        library.output(|from, packet| {
            for side in Side::BOTH {
                if from == keys[side as usize] {
                    link.send(side.other(), packet);
                }
            }
        });
    }

    fn receive(&mut self, _now: Instant, buf: &mut [u8]) -> Option<usize> {
        let server = self.server.as_ref()?;
        loop {
            match server.recv(buf).ok()? {
                Received::Message { len, is_end: true, .. } => return Some(len),
                Received::Up | Received::Other => {}
                other => panic!("{other:?}"),
            }
        }
    }

    fn next_timeout(&self) -> Option<Instant> {
        Some(self.time + TICK)
    }

    fn timeout(&mut self, now: Instant) {
        let millis = now.saturating_duration_since(self.time).as_millis() as u32;
        if millis > 0 {
            self.time += Duration::from_millis(millis.into());
            self.library.advance(millis);
        }
    }
}
