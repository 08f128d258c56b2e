//! A column of the matrix: a registrar, and where our programs and RSPLIB's are started for it.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

use super::super::rsplib::{self, PATIENCE};
use super::row::{Made, Row};
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
    guest: Guest,
    registrar: Running,
    package: PathBuf,
    /// How many processes were started: each has a name and an identifier of its own.
    count: u32,
    /// Where our elements are, outside of the guest.
    addresses: [&'static str; 2],
    /// Where RSPLIB's last program writes.
    last_out: String,
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

    fn kill(self, guest: &mut Guest) -> Result<()> {
        match self {
            Self::Outside(process) => process.kill(),
            Self::Inside(program) => guest.signal(&program, "KILL"),
        }
    }
}

/// An element that is registered.
struct Element {
    running: Running,
    /// Its identifier without `0x`.
    digits: String,
}

impl Column {
    /// Starts the registrar.
    pub(super) fn start(lab: &mut Lab, kind: RegistrarKind) -> Result<Self> {
        let mut guest = lab.boot()?;
        if kind != RegistrarKind::OursByKernel {
            rsplib::encapsulate(&mut guest)?;
        }
        let registrar = match kind {
            RegistrarKind::Rsplib => Running::Inside(rsplib::registrar(&mut guest)?),
            RegistrarKind::OursByUdp => {
                let words = "registrar --listen 10.77.0.10:3863/9899 --announces off --log debug";
                Running::Outside(lab.rsp("registrar", words)?)
            }
            RegistrarKind::OursByKernel => {
                let words = format!("registrar --listen {GUEST}:3863 --announces off --log debug");
                Running::Inside(guest.spawn(&in_guest(&words))?)
            }
        };
        if kind != RegistrarKind::Rsplib {
            registrar.await_text("ready at", PATIENCE)?;
        }
        let package = package(lab)?;
        let addresses = ["10.77.0.11", "10.77.0.12"];
        Ok(Self { kind, guest, registrar, package, count: 0, addresses, last_out: String::new() })
    }

    /// The story of a cell.
    pub(super) fn tell(
        &mut self,
        lab: &Lab,
        row: &Row,
        element: Made,
        client: Made,
    ) -> Result<()> {
        let first = self.element(lab, row, element).context("the first element")?;
        self.await_keep_alive(&first, element)?;
        let expected = row.client(client);
        let client_runs = self.client(lab, row, client).context("the client")?;
        client_runs.await_text(expected.is_at_work, PATIENCE).context("the client is at work")?;
        let second = self.element(lab, row, element).context("the second element")?;
        if client_runs.output().contains(&format!("${}", second.digits)) {
            bail!("the client is with the second element before the first is killed");
        }
        first.running.kill(&mut self.guest).context("the first element is killed")?;
        let texts = expected.has_gone_on.iter();
        let texts: Vec<_> = texts.map(|text| text.replace("{}", &second.digits)).collect();
        let gone_on = client_runs.await_texts(&texts, WORK_PATIENCE).and_then(|()| {
            // RSPLIB's client of scripts says nothing that is worth reading.
            match client == Made::Rsplibs && row.service == "scripting" {
                true => self.await_output(),
                false => Ok(()),
            }
        });
        let result = gone_on.context("the client goes on").and_then(|()| {
            let output = client_runs.output();
            let has_cookies = matches!(row.service, "pingpong" | "calcapp" | "fractal");
            let by_cookie = client == Made::Rsplibs || output.contains("1 resumed by cookie");
            match has_cookies && !by_cookie {
                true => Err(anyhow!("not by cookie: {}", output.trim())),
                false => Ok(()),
            }
        });
        // Pools are empty again for the next cell.
        let _ = client_runs.kill(&mut self.guest);
        second.running.kill(&mut self.guest)?;
        self.await_empty(lab, row)?;
        result
    }

    /// Starts an element, and waits until the registrar has it.
    fn element(&mut self, lab: &Lab, row: &Row, made: Made) -> Result<Element> {
        self.count += 1;
        let digits = format!("{:08x}", 0x3333_0000 + self.count);
        let (service, registrar) = (row.service, self.registrar_of(made));
        let running = match (made, self.kind) {
            (Made::Rsplibs, _) => {
                let words = format!("rspserver {} -identifier=0x{digits}", row.rspserver);
                self.rsplib(&words)?
            }
            (Made::Ours, RegistrarKind::OursByKernel) => {
                let flags = format!("--listen {GUEST}:0 --identifier 0x{digits} --log debug");
                let words = format!("serve {service} {} {flags} {registrar}", row.our_element);
                Running::Inside(self.guest.spawn(&in_guest(&words))?)
            }
            (Made::Ours, _) => {
                // By turns, so that two at a time are at two addresses.
                self.addresses.rotate_left(1);
                let address = self.addresses[0];
                let flags = format!("--listen {address}:0/9899 --identifier 0x{digits}");
                let words =
                    format!("serve {service} {} {flags} --log debug {registrar}", row.our_element);
                Running::Outside(lab.rsp(&format!("element-{digits}"), &words)?)
            }
        };
        self.await_pool(lab, row, |table| table.contains(&format!("0x{digits}")))?;
        Ok(Element { running, digits })
    }

    fn client(&mut self, lab: &Lab, row: &Row, made: Made) -> Result<Running> {
        self.count += 1;
        let out = format!("out-{}", self.count);
        let words = row.client(made).words;
        let words = words.replace("PACKAGE", &self.package.display().to_string());
        if made == Made::Rsplibs {
            return self.rsplib(&words);
        }
        let registrar = self.registrar_of(made);
        let out = match row.service {
            "fractal" => format!(" --out /run/{out}.png"),
            _ => String::new(),
        };
        let words = words.replace("OUT", &format!("/run/out-{}", self.count));
        let words = format!("call {} {words}{out} --log debug {registrar}", row.service);
        match self.kind {
            RegistrarKind::OursByKernel => {
                Ok(Running::Inside(self.guest.spawn(&in_guest(&words))?))
            }
            _ => {
                let words = words.replace("/run/", "");
                Ok(Running::Outside(lab.rsp(&format!("client-{}", self.count), &words)?))
            }
        }
    }

    /// Starts one of RSPLIB's programs.
    fn rsplib(&mut self, words: &str) -> Result<Running> {
        let flags = format!("{} -loglevel=9 -logcolor=off", self.registrar_of(Made::Rsplibs));
        self.last_out = format!("/run/out-{}", self.count);
        let words = words.replace("OUT", &self.last_out);
        let command = match words.contains("REGISTRAR") {
            true => words.replace("REGISTRAR", &flags),
            false => format!("{words} {flags}"),
        };
        Ok(Running::Inside(self.guest.spawn(&format!("stdbuf -oL {command}"))?))
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

    /// An element answers the registrar's keep-alives.
    fn await_keep_alive(&self, element: &Element, made: Made) -> Result<()> {
        let digits = &element.digits;
        let answers = match (made, self.kind) {
            (Made::Rsplibs, _) => {
                let answer = format!("Sending KeepAliveAck for pool element ${digits}");
                element.running.await_text(&answer, PATIENCE)
            }
            (Made::Ours, RegistrarKind::Rsplib) => {
                let answer = format!("Got EndpointKeepAliveAck for pool element ${digits}");
                self.registrar.await_text(&answer, PATIENCE)
            }
            // Ours among themselves: a registrar of ours drops an element that does not answer.
            (Made::Ours, _) => Ok(()),
        };
        answers.context("the first element answers a keep-alive")
    }

    /// Waits for what the last client is to download.
    fn await_output(&mut self) -> Result<()> {
        let path = self.last_out.clone();
        let found = await_some(WORK_PATIENCE, || {
            let output = self.guest.run(PATIENCE, &format!("cat {path}"))?;
            Ok((output.text == "done\n").then_some(()))
        })?;
        found.context("nothing is downloaded")
    }

    fn await_empty(&mut self, lab: &Lab, row: &Row) -> Result<()> {
        self.await_pool(lab, row, |table| !table.contains("0x")).context("the pool is empty")
    }

    /// Waits until the table of a row's pool is as wanted.
    fn await_pool(
        &mut self,
        lab: &Lab,
        row: &Row,
        is_wanted: impl Fn(&str) -> bool,
    ) -> Result<()> {
        let words = format!("resolve {} {}", row.pool, self.registrar_of(Made::Ours));
        let mut table = String::new();
        let found = await_some(PATIENCE, || {
            table = match self.kind {
                RegistrarKind::OursByKernel => self.guest.run(PATIENCE, &in_guest(&words))?.text,
                _ => lab.rsp("resolve", &words)?.finish(PATIENCE).unwrap_or_default(),
            };
            Ok(is_wanted(&table).then_some(()))
        })?;
        found.with_context(|| format!("the pool has: {}", table.trim()))
    }
}

/// One of our programs, as the guest runs it.
fn in_guest(words: &str) -> String {
    format!("{} {words}", root().join("target/debug/rsp").display())
}

/// A package whose script takes a while.
fn package(lab: &Lab) -> Result<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let folder = &lab.folder;
    let script = folder.join("ssrun");
    std::fs::write(&script, "#!/bin/sh\nsleep 10\necho done >\"$1\"\n")?;
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755))?;
    let package = folder.join("package.tar");
    let mut tar = std::process::Command::new("tar");
    tar.arg("--create").arg("--file").arg(&package).arg("--directory").arg(folder).arg("ssrun");
    match tar.status().context("cannot run tar")?.success() {
        true => Ok(package),
        false => bail!("tar makes no package"),
    }
}

/// How long a client may take to do what it wants, with two elements.
const WORK_PATIENCE: Duration = Duration::from_secs(120);
