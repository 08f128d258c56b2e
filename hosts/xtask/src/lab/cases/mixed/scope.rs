//! A scope of registrars of both kinds, with elements of both kinds at each.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rserpool_core::identifier::{PeId, RegistrarId};

use super::wire::{self, Said};
use crate::lab::cases::probe::Probe;
use crate::lab::cases::rsplib::{self, PATIENCE};
use crate::lab::guest::{Guest, Program, at};
use crate::lab::process::{Process, await_some};
use crate::lab::{GUEST, Lab};

/// A scope, and all that runs in it.
pub(super) struct Scope {
    guest: Guest,
    pub(super) registrars: Vec<Registrar>,
    pub(super) elements: Vec<Element>,
    seed: u64,
    mark_count: usize,
}

/// A registrar.
pub(super) struct Registrar {
    pub(super) is_ours: bool,
    host: &'static str,
    pub(super) id: RegistrarId,
    running: Option<Running>,
    start_count: usize,
}

/// An element, and where it has registered first.
pub(super) struct Element {
    is_ours: bool,
    host: &'static str,
    registrar: &'static str,
    pub(super) pool: &'static str,
    pub(super) id: PeId,
    running: Option<Running>,
}

pub(super) enum Running {
    Ours(Process),
    Rsplib(Program),
}

/// All elements that a registrar knows, by pool and identifier, with their homes.
pub(super) type Table = BTreeMap<(&'static str, PeId), RegistrarId>;

impl Registrar {
    pub(super) const fn ours(host: &'static str, id: u32) -> Self {
        Self { is_ours: true, host, id: RegistrarId(id), running: None, start_count: 0 }
    }

    pub(super) const fn rsplib(host: &'static str, id: u32) -> Self {
        Self { is_ours: false, host, id: RegistrarId(id), running: None, start_count: 0 }
    }

    /// How checks call it.
    pub(super) fn name(&self) -> String {
        format!("{} {}", if self.is_ours { "rsp registrar" } else { "rspregistrar" }, self.id)
    }
}

impl Scope {
    /// Boots the guest and starts all registrars.
    ///
    /// # Errors
    ///
    /// If one does not serve.
    pub(super) fn start(lab: &mut Lab, registrars: Vec<Registrar>) -> Result<Self> {
        let mut scope = Self::prepare(lab, registrars)?;
        for index in 0..scope.registrars.len() {
            scope.start_registrar(lab, index)?;
        }
        Ok(scope)
    }

    /// Boots the guest, and starts no registrar yet.
    ///
    /// # Errors
    ///
    /// If the guest does not come up.
    pub(super) fn prepare(lab: &mut Lab, registrars: Vec<Registrar>) -> Result<Self> {
        let seed = lab.seed();
        println!("   seed {seed}");
        let hosts = registrars.iter().filter(|registrar| !registrar.is_ours).map(|r| r.host);
        let mut hosts: Vec<_> = hosts.filter(|host| *host != GUEST).collect();
        hosts.push(ELEMENTS_OF_RSPLIB);
        let mut guest = lab.boot_hosts(&hosts)?;
        for host in [GUEST].iter().chain(&hosts) {
            rsplib::encapsulate_at(&mut guest, host)?;
        }
        Ok(Self { guest, registrars, elements: Vec::new(), seed, mark_count: 0 })
    }

    /// Starts a registrar, and waits until it serves elements.
    ///
    /// # Errors
    ///
    /// If it does not.
    pub(super) fn start_registrar(&mut self, lab: &Lab, index: usize) -> Result<()> {
        let registrar = &mut self.registrars[index];
        let (host, id) = (registrar.host, registrar.id);
        registrar.start_count += 1;
        registrar.running = Some(if registrar.is_ours {
            let name = format!("registrar{index}-{}", registrar.start_count);
            let place = format!("--listen {host}:3863/9899 --enrp-port 9901 --identifier {id}");
            let multicast = "--announces on --announce-interface lab0 --log info";
            let process =
                lab.rsp(&name, &format!("registrar {place} {multicast} {OUR_TIMERS}"))?;
            process.await_text("meets peers at", PATIENCE)?;
            Running::Ours(process)
        } else {
            let words = format!("-identifier={id} {RSPLIB_TIMERS}");
            Running::Rsplib(rsplib::registrar_at(&mut self.guest, host, &words)?)
        });
        Ok(())
    }

    /// Starts an element of each kind at each registrar.
    ///
    /// # Errors
    ///
    /// If one cannot be started.
    pub(super) fn start_elements(&mut self, lab: &Lab) -> Result<()> {
        for (index, registrar) in self.registrars.iter().enumerate() {
            let number = u32::try_from(index).unwrap_or(0);
            let pool = POOLS[index % POOLS.len()];
            for (is_ours, host, id) in [
                (true, ELEMENTS_OF_OURS[index], 0x7700_0001 + number),
                (false, ELEMENTS_OF_RSPLIB, 0x2200_0001 + number),
            ] {
                let (registrar, id) = (registrar.host, PeId(id));
                let running = None;
                self.elements.push(Element { is_ours, host, registrar, pool, id, running });
            }
        }
        (0..self.elements.len()).try_for_each(|index| self.start_element(lab, index))
    }

    /// Starts an element.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub(super) fn start_element(&mut self, lab: &Lab, index: usize) -> Result<()> {
        let element = &mut self.elements[index];
        let &mut Element { host, registrar, pool, id, .. } = element;
        element.running = Some(if element.is_ours {
            let words = our_element(host, registrar, pool);
            let name = format!("element-{id}");
            Running::Ours(lab.rsp(&name, &format!("serve --identifier {id} {words}"))?)
        } else {
            let words = format!("-poolhandle={pool} -policy=RoundRobin -identifier={id}");
            let place = format!("-registrar={registrar}:3863 -asapannounce=off");
            let command = format!("stdbuf -oL rspserver -echo {words} {place} {RSPLIB_LIFE}");
            Running::Rsplib(self.guest.spawn(&at(host, &command))?)
        });
        Ok(())
    }

    /// How elements of ours are started at `host` that know one registrar.
    pub(super) fn words_of_elements(&self, index: usize, host: &str) -> String {
        our_element(host, self.registrars[index].host, POOLS[0])
    }

    /// Ends a registrar as a crash does.
    ///
    /// # Errors
    ///
    /// If it has ended already.
    pub(super) fn kill_registrar(&mut self, index: usize) -> Result<()> {
        match self.registrars[index].running.take().context("it does not run")? {
            Running::Ours(process) => process.kill(),
            Running::Rsplib(program) => self.guest.signal(&program, "KILL"),
        }
    }

    /// Asks a registrar to end; [`await_end`](Self::await_end) waits until it has.
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub(super) fn ask_to_end(&mut self, index: usize) -> Result<Running> {
        let running = self.registrars[index].running.take().context("it does not run")?;
        match &running {
            Running::Ours(process) => process.ask_to_end(),
            Running::Rsplib(program) => self.guest.signal(program, "INT")?,
        }
        Ok(running)
    }

    /// Waits until a process that was asked to end has done so.
    ///
    /// # Errors
    ///
    /// If it does not, or fails.
    pub(super) fn await_end(&mut self, running: Running) -> Result<()> {
        match running {
            Running::Ours(process) => process.finish(PATIENCE).map(drop),
            Running::Rsplib(program) => program.await_end(&mut self.guest, PATIENCE),
        }
    }

    /// Lets the elements of these registrars, or of all, end and start again, so that they are
    /// where they have registered first.
    ///
    /// # Errors
    ///
    /// If they do not end, are not forgotten, or do not come back.
    pub(super) fn return_elements(&mut self, lab: &Lab, of: Range<usize>) -> Result<()> {
        let hosts: Vec<_> = self.registrars[of].iter().map(|registrar| registrar.host).collect();
        let is_meant = |element: &Element| hosts.contains(&element.registrar);
        let meant: Vec<_> =
            (0..self.elements.len()).filter(|index| is_meant(&self.elements[*index])).collect();
        for &index in &meant {
            let running = self.elements[index].running.take().context("it does not run")?;
            match &running {
                Running::Ours(process) => process.ask_to_end(),
                Running::Rsplib(program) => self.guest.signal(program, "INT")?,
            }
            self.await_end(running)?;
        }
        let left = self.first_homes();
        self.await_tables(PATIENCE, |table| table.keys().eq(left.keys()))?;
        for &index in &meant {
            self.start_element(lab, index)?;
        }
        let back = self.first_homes();
        let is_back = |key: &(&str, PeId), home: &RegistrarId| back.get(key) == Some(home);
        let ids: Vec<_> = meant.iter().map(|&index| self.elements[index].id).collect();
        self.await_tables(PATIENCE, |table| {
            let mut of_these = table.iter().filter(|((_, id), _)| ids.contains(id));
            table.len() == back.len() && of_these.all(|(key, home)| is_back(key, home))
        })?;
        Ok(())
    }

    /// Leaves a mark in the traffic; what is said from then on.
    ///
    /// # Errors
    ///
    /// If nothing is recorded.
    pub(super) fn mark(&mut self, lab: &Lab) -> Result<String> {
        self.mark_count += 1;
        let mark = format!("mark {}", self.mark_count);
        lab.mark(&mark)?;
        Ok(mark)
    }

    /// What registrars have said since a mark, as far as it is recorded.
    ///
    /// # Errors
    ///
    /// If the recorded traffic cannot be read.
    pub(super) fn said_since(&self, lab: &Lab, mark: &str) -> Result<Said> {
        let hosts = self.registrars.iter().filter_map(|r| Some((r.host.parse().ok()?, r.id)));
        let said = wire::said_since(&lab.traffic(), mark, &hosts.collect())?;
        Ok(said.unwrap_or_default())
    }

    /// The elements that run now, with the homes that they have registered at first.
    pub(super) fn first_homes(&self) -> Table {
        let running = self.elements.iter().filter(|element| element.running.is_some());
        let home_of = |host| self.registrars.iter().find(|registrar| registrar.host == host);
        running
            .filter_map(|element| {
                Some(((element.pool, element.id), home_of(element.registrar)?.id))
            })
            .collect()
    }

    /// The registrars that run, or only those of ours.
    fn running(&self, only_ours: bool) -> Vec<usize> {
        let is_meant = |registrar: &Registrar| {
            registrar.running.is_some() && (registrar.is_ours || !only_ours)
        };
        (0..self.registrars.len()).filter(|&index| is_meant(&self.registrars[index])).collect()
    }

    /// Whether one of ours runs.
    pub(super) fn has_running_of_ours(&self) -> bool {
        !self.running(true).is_empty()
    }

    /// Asks a registrar from the address `own`.
    ///
    /// # Errors
    ///
    /// If it cannot be reached.
    pub(super) fn probe(&mut self, own: &str, index: usize) -> Result<Probe> {
        self.seed = self.seed.wrapping_add(7);
        let registrar = &self.registrars[index];
        Probe::connect(own, registrar.host, 3863, self.seed)
            .with_context(|| format!("at {}", registrar.name()))
    }

    /// Waits until all registrars that run have the same table, and it is as wanted.
    ///
    /// # Errors
    ///
    /// If that does not happen in time.
    pub(super) fn await_tables(
        &mut self,
        patience: Duration,
        is_wanted: impl Fn(&Table) -> bool,
    ) -> Result<Table> {
        let mut last = Vec::new();
        let found = await_some(patience, || {
            last = Vec::new();
            for index in self.running(false) {
                let mut probe = self.probe(PROBES[0], index)?;
                last.push((self.registrars[index].name(), table(&mut probe)?));
                probe.shut_down()?;
            }
            let (_, first) = last.first().context("no registrar runs")?;
            let is_same = last.iter().all(|(_, table)| table == first);
            Ok((is_same && is_wanted(first)).then(|| first.clone()))
        })?;
        found.with_context(|| format!("after {} s: {last:?}", patience.as_secs()))
    }

    /// Watches our registrars until all elements have other homes than `dead`; how long that
    /// takes. They must be resolvable all the time.
    ///
    /// # Errors
    ///
    /// If one is not, or it takes longer than `patience`.
    pub(super) fn watch_takeover(
        &mut self,
        dead: RegistrarId,
        patience: Duration,
    ) -> Result<Duration> {
        let wanted = self.first_homes();
        let start = Instant::now();
        let mut probes = Vec::new();
        for (index, own) in self.running(true).into_iter().zip(PROBES) {
            probes.push((index, self.probe(own, index)?));
        }
        ensure!(!probes.is_empty(), "none of our registrars runs");
        await_some(patience, || {
            let mut is_done = true;
            for (index, probe) in &mut probes {
                let table = table(probe)?;
                let seconds = start.elapsed().as_secs_f32();
                if let Some((pool, id)) = wanted.keys().find(|key| !table.contains_key(*key)) {
                    let name = self.registrars[*index].name();
                    bail!("after {seconds:.1} s {name} does not find {id} of {pool}: {table:?}");
                }
                is_done &= table.values().all(|home| *home != dead);
            }
            Ok(is_done.then(|| start.elapsed()))
        })?
        .with_context(|| format!("not in {} s", patience.as_secs_f32()))
    }

    /// Checks that the registrars that run agree, in what they say to users and to each other:
    /// from now on, presences come from each to each, two of them, with the checksum of what all
    /// know of its sender's elements; each home tells all the others of a renewed registration of
    /// each of its elements; and nobody asks twice for what it does not believe.
    ///
    /// # Errors
    ///
    /// If that is not so in time.
    pub(super) fn must_agree(&mut self, lab: &Lab) -> Result<()> {
        let homes = self.first_homes();
        let has_all = |table: &Table| table.keys().eq(homes.keys());
        let table = self.await_tables(PATIENCE, has_all)?;
        let mark = self.mark(lab)?;
        let ids: Vec<_> =
            self.running(false).into_iter().map(|index| self.registrars[index].id).collect();
        let deadline = Instant::now() + PATIENCE;
        let said = loop {
            let said = self.said_since(lab, &mark)?;
            match missing(&said, &ids, &table) {
                None => break said,
                Some(what) if Instant::now() > deadline => bail!("not in time: {what}"),
                Some(_) => std::thread::sleep(wire::READ_INTERVAL),
            }
        };
        for ((sender, receiver), checksums) in &said.presences {
            let own = table.iter().filter(|(_, home)| *home == sender);
            let wanted = wire::checksum(own.map(|((pool, id), _)| (*pool, *id)));
            ensure!(
                checksums.iter().all(|checksum| *checksum == wanted),
                "{sender} says {checksums:04x?} to {receiver}, and not {wanted:04x}: {table:?}"
            );
        }
        // A peer on a new association is asked for its own elements once, whatever it says.
        let mut asked = said.audits.clone();
        asked.sort_unstable();
        let again: Vec<_> = asked.windows(2).filter(|pair| pair[0] == pair[1]).collect();
        ensure!(again.is_empty(), "there are audits again and again: {:?}", said.audits);
        ensure!(said.deleted.is_empty(), "elements are deleted: {:?}", said.deleted);
        let still = self.await_tables(PATIENCE, has_all)?;
        ensure!(still == table, "meanwhile {table:?} has become {still:?}");
        Ok(())
    }
}

/// How an element of ours is started.
fn our_element(host: &str, registrar: &str, pool: &str) -> String {
    let place = format!("--listen {host}:0/9899 --registrar {registrar}:3863/9899 --log info");
    let life = "--reregistration-interval 3s --registration-life 9s";
    format!("{place} --pool {pool} --policy RoundRobin --slots 1 {life}")
}

/// What is missing until all have said what they say regularly.
fn missing(said: &Said, ids: &[RegistrarId], table: &Table) -> Option<String> {
    for &sender in ids {
        for &receiver in ids.iter().filter(|receiver| **receiver != sender) {
            if said.presence_count(sender, receiver) < 2 {
                return Some(format!("two presences from {sender} to {receiver}"));
            }
            let own = table.iter().filter(|(_, home)| **home == sender);
            let told = |id| said.added.contains_key(&((sender, receiver), id));
            if let Some(((_, id), _)) = own.into_iter().find(|((_, id), _)| !told(*id)) {
                return Some(format!("an update of {id} from {sender} to {receiver}"));
            }
        }
        if said.presence_count(sender, RegistrarId::UNKNOWN) == 0 {
            return Some(format!("a presence from {sender} to all"));
        }
    }
    None
}

/// All elements that a registrar knows.
///
/// # Errors
///
/// If it does not answer, or lists one twice.
pub(super) fn table(probe: &mut Probe) -> Result<Table> {
    let mut table = Table::new();
    for pool in POOLS {
        for (id, home) in probe.resolve(pool)?.elements {
            let before = table.insert((pool, id), home);
            ensure!(before.is_none(), "{id} is listed twice");
        }
    }
    Ok(table)
}

/// How long it may take until the elements of a dead registrar have other homes: silence, no
/// answer, no acknowledgement, and a little for the looking.
pub(super) const DETECTION: Duration = Duration::from_millis(2_000 + 1_500 + 1_500 + 1_000);

const OUR_TIMERS: &str = "--timer peer-heartbeat-cycle=1s --timer max-time-last-heard=2s \
     --timer max-time-no-response=1500ms --timer mentor-timeout=2s \
     --timer takeover-timeout=1500ms --timer keep-alive-interval=2s \
     --timer keep-alive-timeout=2s";

const RSPLIB_TIMERS: &str = "-peerheartbeatcycle=1000 -peermaxtimelastheard=2000 \
     -peermaxtimenoresponse=1500 -mentordiscoverytimeout=2000 -takeoverexpiryinterval=1500 \
     -endpointkeepalivetransmissioninterval=2000 -endpointkeepalivetimeoutinterval=2000 \
     -loglevel=4";

/// RSPLIB's elements register for three times as long.
const RSPLIB_LIFE: &str = "-rereginterval=3000 -loglevel=3 -logcolor=off";

/// The pools; a handle of odd length is padded in checksums.
const POOLS: [&str; 2] = ["MixedPool", "EvenPool"];

/// Where our elements are.
const ELEMENTS_OF_OURS: [&str; 3] = ["10.77.0.12", "10.77.0.14", "10.77.0.15"];

/// Where RSPLIB's are, all of them.
const ELEMENTS_OF_RSPLIB: &str = "10.77.0.4";

/// Where tables are asked for from.
const PROBES: [&str; 2] = ["10.77.0.13", "10.77.0.16"];
