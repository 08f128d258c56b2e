//! Our registrar hears what RSPLIB's elements and users said to RSPLIB's registrar: does it answer
//! the same?

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rserpool::capture::{Capture, Carrier};
use rserpool::heap_storage::{HeapLimits, HeapStorage};
use rserpool_core::association::{AssociationId, Input, Ppid, StreamId};
use rserpool_core::enrp::Config;
use rserpool_core::profile::Profile;
use rserpool_core::wire::AsapMessage;
use rserpool_tests::registrar::{Bench, Said, alive};

/// The registrar whose part ours plays; it has the identifier of the bench's.
const REGISTRAR: &str = "10.77.0.11:3863";

/// Captures in which nothing dies, nothing is drawn by lot and one registrar does all: there the
/// answers are the same to the byte.
const CALM: [&str; 13] = [
    "announce-autoconfig",
    "hres-unknown-pool",
    "pe-local-option",
    "pingpong-session",
    "policy-LeastUsed",
    "policy-LeastUsedDegradation",
    "policy-Priority",
    "policy-PriorityLeastUsed",
    "policy-RoundRobin",
    "policy-WeightedRoundRobin",
    "calcapp-session",
    "rereg-dereg",
    "scripting-notready",
];

/// What each client heard, without keep-alives.
type Answers = BTreeMap<SocketAddr, Vec<Vec<u8>>>;

struct Replay {
    bench: Bench<HeapStorage>,
    clients: Vec<SocketAddr>,
    asked: BTreeMap<SocketAddr, usize>,
    ours: Answers,
    theirs: Answers,
}

impl Replay {
    fn of(path: &Path) -> Self {
        let storage = HeapStorage::new(HeapLimits::for_elements(64));
        let mut replay = Self {
            bench: Bench::new(Config::new(Profile::Rsplib), storage),
            clients: Vec::new(),
            asked: BTreeMap::new(),
            ours: Answers::new(),
            theirs: Answers::new(),
        };
        let registrar: SocketAddr = REGISTRAR.parse().unwrap();
        let mut time = Duration::ZERO;
        for message in Capture::open(path).expect("a capture") {
            let message = message.expect("a frame");
            let Carrier::Sctp { ppid: Ppid::ASAP, .. } = message.carrier else { continue };
            if message.retransmission {
                continue;
            }
            replay.sleep(message.time - time);
            time = message.time;
            if message.destination == registrar {
                replay.hear(message.source, &message.data);
            } else if message.source == registrar && message.data[0] != 7 {
                replay.theirs.entry(message.destination).or_default().push(message.data);
            }
        }
        replay
    }

    fn sleep(&mut self, span: Duration) {
        // In small steps, so that keep-alives are answered soon.
        let steps = span.as_millis() / 100;
        for _ in 0..steps {
            self.bench.sleep_ms(100);
            self.listen();
        }
        self.bench.sleep(span - Duration::from_millis(100) * steps as u32);
        self.listen();
    }

    fn hear(&mut self, client: SocketAddr, data: &[u8]) {
        let known = self.clients.iter().position(|&known| known == client);
        let id = known.unwrap_or_else(|| {
            self.clients.push(client);
            let id = self.clients.len() - 1;
            let addresses: [IpAddr; 1] = [client.ip()];
            let (peer_addresses, peer_port) = (&addresses, client.port());
            let association = AssociationId(id as u32);
            let up = Input::Up { association, connect: None, peer_addresses, peer_port };
            self.bench.input(up).expect("up");
            id
        });
        // Our own keep-alives are answered in `listen`.
        if data[0] == 8 {
            return;
        }
        if matches!(data[0], 1 | 2 | 5) {
            *self.asked.entry(client).or_default() += 1;
        }
        let association = AssociationId(id as u32);
        let (stream, ppid) = (StreamId(0), Ppid::ASAP);
        let result = self.bench.input(Input::Message { association, stream, ppid, data });
        assert_eq!(result, Ok(()), "{:?}", AsapMessage::parse(data));
        self.listen();
    }

    fn listen(&mut self) {
        for said in self.bench.said() {
            let Said::Message(id, bytes) = said else { panic!("{said:?}") };
            if let Ok(AsapMessage::EndpointKeepAlive(asked)) = AsapMessage::parse(&bytes) {
                let pool = std::str::from_utf8(asked.pool_handle.as_bytes()).unwrap();
                self.bench.hears(id, alive(pool, asked.pe_id.expect("ours").0)).unwrap();
                continue;
            }
            self.ours.entry(self.clients[id as usize]).or_default().push(bytes);
        }
    }
}

fn captures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures");
    let entries = fs::read_dir(folder).expect("the captures");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("a file").path()).collect();
    paths.retain(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.ends_with(".pcapng") && !name.starts_with("crafted-")
    });
    paths.sort();
    paths
}

fn name_of(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

#[test]
fn every_recorded_request_gets_one_answer_of_its_kind() {
    let mut answers = 0;
    for path in captures() {
        println!("{}", path.display());
        let replay = Replay::of(&path);
        for (client, asked) in &replay.asked {
            let ours = replay.ours.get(client).map_or(0, Vec::len);
            assert_eq!(ours, *asked, "{client} in {}", path.display());
            answers += ours;
        }
        for bytes in replay.ours.values().flatten() {
            assert!(AsapMessage::parse(bytes).is_ok());
            assert!(matches!(bytes[0], 3 | 4 | 6));
        }
    }
    assert!(answers > 200, "{answers}");
}

#[test]
fn where_nothing_dies_the_answers_are_the_same() {
    let mut seen = 0;
    for path in captures().iter().filter(|path| CALM.contains(&&*name_of(path))) {
        let replay = Replay::of(path);
        seen += 1;
        for (client, theirs) in &replay.theirs {
            let ours = &replay.ours[client];
            for (place, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
                assert_eq!(
                    ours,
                    theirs,
                    "answer {place} to {client} in {}:\n{:?}\n{:?}",
                    path.display(),
                    AsapMessage::parse(ours),
                    AsapMessage::parse(theirs),
                );
            }
        }
    }
    assert_eq!(seen, CALM.len());
}
