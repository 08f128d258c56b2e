//! A column of the matrix: a registrar, and where our programs and RSPLIB's are started for it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rserpool_core::identifier::PeId;

use super::super::fractal;
use super::super::probe::Probe;
use super::super::rsplib::{self, PATIENCE};
use super::row::{Cell, Made};
use crate::lab::guest::{Guest, Program};
use crate::lab::process::{Process, await_some};
use crate::lab::{GUEST, Lab};
use crate::process::root;

/// Which registrar, and what SCTP our programs have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RegistrarKind {
    OursByUdp,
    OursByKernel,
    Rsplib,
}

/// A registrar that serves, and all that is needed for others.
pub(super) struct Column {
    kind: RegistrarKind,
    guest: Mutex<Guest>,
    registrar: Running,
    /// Asks the registrar what it knows.
    probe: Mutex<Probe>,
    package: PathBuf,
    fractals: PathBuf,
    /// How many processes were started: each has a name and an identifier of its own.
    count: AtomicU32,
}

/// A process, outside of the guest or in it.
enum Running {
    Outside(Process),
    Inside(Program),
}

impl Running {
    fn output(&self) -> String {
        match self {
            Self::Outside(process) => process.output(),
            Self::Inside(program) => program.output(),
        }
    }

    fn await_text(&self, text: &str, patience: Duration) -> Result<()> {
        self.await_texts(&[text.to_owned()], patience)
    }

    /// Waits until it has said all of `texts`, one after the other.
    fn await_texts(&self, texts: &[String], patience: Duration) -> Result<()> {
        let said = || {
            let output = self.output();
            let mut rest = output.as_str();
            for text in texts {
                let Some((_, behind)) = rest.split_once(text.as_str()) else { return Ok(None) };
                rest = behind;
            }
            Ok(Some(()))
        };
        await_some(patience, said)?.with_context(|| {
            let output = self.output();
            let last = output.lines().last().unwrap_or("nothing").to_owned();
            format!("{texts:?} is not said in {} s, but: {last}", patience.as_secs())
        })
    }
}

/// An element that is registered.
struct Element {
    running: Running,
    id: PeId,
}

impl Element {
    /// Its identifier without `0x`.
    fn digits(&self) -> String {
        format!("{:08x}", self.id.0)
    }
}

/// A client that runs, and the file that it writes.
struct Client {
    running: Running,
    output: PathBuf,
}

impl Column {
    /// Starts the registrar.
    pub(super) fn start(lab: &mut Lab, kind: RegistrarKind) -> Result<Self> {
        let mut guest = lab.boot()?;
        if kind != RegistrarKind::OursByKernel {
            rsplib::encapsulate(&mut guest)?;
        }
        let words = |host: &str| format!("registrar --listen {host} {OUR_REGISTRAR}");
        let (registrar, host) = match kind {
            RegistrarKind::Rsplib => (Running::Inside(rsplib::registrar(&mut guest)?), GUEST),
            RegistrarKind::OursByUdp => {
                let registrar = lab.rsp("registrar", &words("10.77.0.10:3863/9899"))?;
                (Running::Outside(registrar), "10.77.0.10")
            }
            RegistrarKind::OursByKernel => {
                let registrar = guest.spawn(&in_guest(&words(&format!("{GUEST}:3863"))))?;
                (Running::Inside(registrar), GUEST)
            }
        };
        if kind != RegistrarKind::Rsplib {
            registrar.await_text("ready at", PATIENCE)?;
        }
        Ok(Self {
            kind,
            guest: Mutex::new(guest),
            registrar,
            probe: Mutex::new(Probe::connect("10.77.0.11", host, 3863, lab.seed())?),
            package: package(lab)?,
            fractals: fractal::folder(lab, "fractals", &fractal::LONG)?,
            count: AtomicU32::new(0),
        })
    }

    /// The story of a cell, which no other one with this number has.
    pub(super) fn tell(&self, lab: &Lab, cell: &Cell, number: usize) -> Result<()> {
        let pool = match cell.has_usual_pool() {
            true => cell.row.pool.to_owned(),
            false => format!("{}-{number}", cell.row.pool),
        };
        let elements = [self.element(lab, cell, &pool)?, self.element(lab, cell, &pool)?];
        for element in &elements {
            self.await_registration(element, &pool).context("an element registers")?;
        }
        for element in &elements {
            let answers = self.await_keep_alive(element, cell.element, &pool);
            answers.context("an element answers a keep-alive")?;
        }
        let client = self.client(lab, cell, &pool).context("the client")?;
        let is_at_work = client.running.await_text(cell.client().is_at_work, PATIENCE);
        is_at_work.context("the client is at work")?;
        let [other, chosen] = chosen_last(elements, &client.running.output())?;
        self.kill(chosen.running).context("the element of the session is killed")?;
        must_go_on(cell, &client, &other).context("the client goes on")?;
        let forgotten = self.await_elements(&pool, |ids| ids == [other.id]);
        forgotten.context("the dead element is forgotten")?;
        // One of ours has ended by itself.
        let _ = self.kill(client.running);
        self.kill(other.running).context("the other element is killed")
    }

    /// Starts an element.
    fn element(&self, lab: &Lab, cell: &Cell, pool: &str) -> Result<Element> {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let id = PeId(0x3333_0001 + count);
        let row = cell.row;
        let running = match (cell.element, self.kind) {
            (Made::Rsplibs, _) => {
                let words = format!("rspserver {} -identifier={id} {THEIR_LIFE}", row.rspserver);
                self.rsplib(cell, &words, pool, count)?
            }
            (Made::Ours, RegistrarKind::OursByKernel) => {
                let words = self.our_element(cell, &format!("{GUEST}:0"), id, pool);
                self.inside(&in_guest(&words))?
            }
            (Made::Ours, _) => {
                // The kernel's SCTP connects to no other UDP port.
                let address = format!("10.77.0.{}", FIRST_ADDRESS + count);
                lab.add_address(&address)?;
                let words = self.our_element(cell, &format!("{address}:0/9899"), id, pool);
                Running::Outside(lab.rsp(&format!("element-{id}"), &words)?)
            }
        };
        Ok(Element { running, id })
    }

    fn our_element(&self, cell: &Cell, listen: &str, id: PeId, pool: &str) -> String {
        let row = cell.row;
        let flags = format!("--listen {listen} --identifier {id} {OUR_LIFE} --log debug");
        let registrar = self.registrar_of(Made::Ours);
        let pool = pool_flag("--pool ", cell, pool);
        format!("serve {} {} {pool} {flags} {registrar}", row.service, row.our_element)
    }

    fn client(&self, lab: &Lab, cell: &Cell, pool: &str) -> Result<Client> {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let words = cell.client().words;
        let output = lab.folder.join(format!("out-{count}"));
        if cell.client == Made::Rsplibs {
            let running = self.rsplib(cell, words, pool, count)?;
            return Ok(Client { running, output });
        }
        let words = self.with_files(words, count);
        let words = format!("{words} {}", pool_flag("--pool ", cell, pool));
        let registrar = self.registrar_of(Made::Ours);
        let words = format!("call {} {words} --log debug {registrar}", cell.row.service);
        let running = match self.kind {
            RegistrarKind::OursByKernel => self.inside(&in_guest(&words))?,
            _ => {
                let words = words.replace(OUT_IN_GUEST, "");
                Running::Outside(lab.rsp(&format!("client-{count}"), &words)?)
            }
        };
        Ok(Client { running, output })
    }

    /// Starts one of RSPLIB's programs.
    fn rsplib(&self, cell: &Cell, words: &str, pool: &str, count: u32) -> Result<Running> {
        let flags = format!("{} -loglevel=6 -logcolor=off", self.registrar_of(Made::Rsplibs));
        let words = self.with_files(words, count);
        let words = match words.contains("REGISTRAR") {
            true => words,
            false => format!("{words} POOL REGISTRAR"),
        };
        let pool = pool_flag("-poolhandle=", cell, pool);
        let words = words.replace("POOL", &pool).replace("REGISTRAR", &flags);
        self.inside(&format!("stdbuf -oL {words}"))
    }

    /// Starts a program in the guest, which has one processor: first come the registrar and the
    /// shell.
    fn inside(&self, command: &str) -> Result<Running> {
        self.guest().spawn(&format!("nice {command}")).map(Running::Inside)
    }

    /// Names the files of a program that runs in the guest.
    fn with_files(&self, words: &str, count: u32) -> String {
        words
            .replace("PACKAGE", &self.package.display().to_string())
            .replace("FRACTALS", &self.fractals.display().to_string())
            .replace("OUT", &format!("{OUT_IN_GUEST}out-{count}"))
    }

    /// How a program finds the registrar.
    fn registrar_of(&self, made: Made) -> String {
        let host = match self.kind {
            RegistrarKind::OursByUdp => "10.77.0.10",
            _ => GUEST,
        };
        match (made, self.kind) {
            (Made::Rsplibs, _) => format!("-registrar={host}:3863 -asapannounce=off"),
            (Made::Ours, RegistrarKind::OursByKernel) => {
                format!("--transport kernel --registrar {host}:3863")
            }
            (Made::Ours, _) => format!("--transport udp --registrar {host}:3863/9899"),
        }
    }

    fn await_registration(&self, element: &Element, pool: &str) -> Result<()> {
        self.await_elements(pool, |ids| ids.contains(&element.id))
    }

    /// An element answers the registrar's keep-alives.
    fn await_keep_alive(&self, element: &Element, made: Made, pool: &str) -> Result<()> {
        let digits = element.digits();
        match (made, self.kind) {
            (Made::Rsplibs, _) => {
                let answer = format!("Sending KeepAliveAck for pool element ${digits}");
                element.running.await_text(&answer, PATIENCE)
            }
            (Made::Ours, RegistrarKind::Rsplib) => {
                let answer = format!("Got EndpointKeepAliveAck for pool element ${digits}");
                self.registrar.await_text(&answer, PATIENCE)
            }
            // Ours say nothing of it, but our registrar drops an element that does not answer.
            (Made::Ours, _) => {
                std::thread::sleep(KEEP_ALIVE_MAX);
                ensure!(self.elements(pool)?.contains(&element.id), "it is dropped");
                Ok(())
            }
        }
    }

    /// The elements of a pool, as the registrar knows them.
    fn elements(&self, pool: &str) -> Result<Vec<PeId>> {
        let mut probe = self.probe.lock().expect("no cell panics");
        let answer = probe.resolve(pool)?;
        Ok(answer.elements.into_iter().map(|(id, _)| id).collect())
    }

    /// Waits until the registrar knows the elements that are wanted.
    fn await_elements(&self, pool: &str, is_wanted: impl Fn(&[PeId]) -> bool) -> Result<()> {
        let mut last = Vec::new();
        let found = await_some(PATIENCE, || {
            last = self.elements(pool)?;
            Ok(is_wanted(&last).then_some(()))
        })?;
        found.with_context(|| format!("{pool} has {last:?}"))
    }

    fn kill(&self, running: Running) -> Result<()> {
        match running {
            Running::Outside(process) => process.kill(),
            Running::Inside(program) => self.guest().signal(&program, "KILL"),
        }
    }

    fn guest(&self) -> MutexGuard<'_, Guest> {
        self.guest.lock().expect("no cell panics")
    }
}

/// The elements, with that one last which a client has named last.
fn chosen_last(elements: [Element; 2], said: &str) -> Result<[Element; 2]> {
    let place = |element: &Element| said.rfind(&element.digits());
    let [first, second] = elements;
    match (place(&first), place(&second)) {
        (None, None) => bail!("the client does not say which element it has"),
        (first_place, second_place) if first_place > second_place => Ok([second, first]),
        _ => Ok([first, second]),
    }
}

/// Waits until a client has what it wants from the other element.
fn must_go_on(cell: &Cell, client: &Client, other: &Element) -> Result<()> {
    let expected = cell.client();
    let texts = expected.has_gone_on.iter();
    let texts: Vec<_> = texts.map(|text| text.replace("{}", &other.digits())).collect();
    client.running.await_texts(&texts, WORK_PATIENCE)?;
    if cell.client == Made::Ours {
        let output = client.running.output();
        let sessions = output.lines().find(|line| line.starts_with("sessions"));
        let sessions = sessions.context("it says nothing of its sessions")?;
        ensure!(!sessions.contains(" 0 failovers"), "it has not failed over: {sessions}");
        let is_resumed = !sessions.contains(" 0 resumed");
        ensure!(is_resumed == cell.row.has_cookies, "by cookies or not: {sessions}");
    }
    if let Some(text) = expected.output {
        let written = std::fs::read_to_string(&client.output).context("what it writes")?;
        ensure!(written == text, "it writes {written:?}");
    }
    Ok(())
}

/// One of our programs, as the guest runs it.
fn in_guest(words: &str) -> String {
    format!("{} {words}", root().join("target/debug/rsp").display())
}

/// How a program is told its pool, if it is to be told.
fn pool_flag(flag: &str, cell: &Cell, pool: &str) -> String {
    match cell.has_usual_pool() {
        true => String::new(),
        false => format!("{flag}{pool}"),
    }
}

/// A package whose script takes a while.
fn package(lab: &Lab) -> Result<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let folder = &lab.folder;
    let script = folder.join("ssrun");
    std::fs::write(&script, "#!/bin/sh\nsleep 5\necho done >\"$1\"\n")?;
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755))?;
    let package = folder.join("package.tar");
    let mut tar = std::process::Command::new("tar");
    tar.arg("--create").arg("--file").arg(&package).arg("--directory").arg(folder).arg("ssrun");
    match tar.status().context("cannot run tar")?.success() {
        true => Ok(package),
        false => bail!("tar makes no package"),
    }
}

/// Flags of our registrar.
const OUR_REGISTRAR: &str = "--announces off --log debug --limit handle-resolution-rate=off \
     --timer keep-alive-interval=1s --timer keep-alive-timeout=2s";

/// How often elements renew their registrations: if the first one is lost on a busy machine, the
/// next is in time.
const OUR_LIFE: &str = "--reregistration-interval 5s --registration-life 15s";
const THEIR_LIFE: &str = "-rereginterval=5000";

/// After this time an element that answers no keep-alive is dropped by our registrar.
const KEEP_ALIVE_MAX: Duration = Duration::from_millis(3_500);

/// How long a client may take to do what it wants, with two elements.
const WORK_PATIENCE: Duration = Duration::from_secs(180);

/// The address of our first element outside of the guest; each has one of its own.
const FIRST_ADDRESS: u32 = 32;

/// The folder of the case, as the guest may write to it.
const OUT_IN_GUEST: &str = "/run/out/";
