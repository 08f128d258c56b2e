//! What must hold: all the time, and when all is well.

use std::time::Duration;

use rserpool_core::asap::PoolElementStatus;
use rserpool_core::identifier::{PeId, PoolHandle, RegistrarId};

use super::plan::POOLS;
use super::world::{MemberState, SeatState, World};

/// How many elements of a pool a user keeps.
const WATCHED_MAX: usize = 8;

impl World {
    /// What holds whatever happens.
    pub(super) fn inspect(&mut self) {
        for place in 0..self.seats.len() {
            if self.seats[place].state != SeatState::Empty {
                self.scope.check_registrar(self.seats[place].node);
            }
        }
        for handed_out in std::mem::take(&mut self.scope.handed_out) {
            self.counts.add("elements handed out", handed_out.elements.len() as u64);
            for pe_id in handed_out.elements {
                self.assert_may_be_known(pe_id, "a user was told of");
            }
        }
    }

    /// An element that is gone may be listed for a while, which trouble makes longer.
    fn assert_may_be_known(&self, pe_id: PeId, how: &str) {
        let member = self.members.iter().find(|member| member.pe_id == pe_id);
        let member = member.unwrap_or_else(|| panic!("{how} {pe_id:?}, which never was"));
        if let MemberState::Out { since } = member.state {
            let age = self.scope.now.saturating_duration_since(since.max(self.last_blow));
            let most = self.plan.forgetting();
            assert!(age <= most, "{how} {pe_id:?}, gone for {age:?}, at most {most:?} allowed");
        }
    }

    /// Nobody knows of elements that have been gone for too long.
    pub(super) fn assert_nothing_stale(&self) {
        for place in self.seats_in(SeatState::Running) {
            for (_, pe_id, _) in self.scope.beliefs(self.seats[place].node) {
                self.assert_may_be_known(pe_id, "a registrar knows of");
            }
        }
    }

    /// One of these registrars and one of these elements that it should know and does not.
    pub(super) fn missing(&self, seats: &[usize], members: &[usize]) -> Option<(usize, usize)> {
        let pairs =
            seats.iter().flat_map(|&seat| members.iter().map(move |&member| (seat, member)));
        let mut unknown = pairs.filter(|&(seat, member)| {
            let handlespace = self.scope.registrar(self.seats[seat].node).handlespace();
            let pool = PoolHandle::new(POOLS[self.members[member].pool].as_bytes());
            handlespace.find(pool.expect("a handle"), self.members[member].pe_id).is_none()
        });
        unknown.next()
    }

    /// Whether any of these registrars believes that one to be a home.
    pub(super) fn is_home_at_any(&self, seats: &[usize], home: RegistrarId) -> bool {
        seats.iter().any(|&seat| {
            self.scope.registrar(self.seats[seat].node).handlespace().count_of(home) > 0
        })
    }

    /// What keeps the scope from being as it should when all is well: all registrars know the
    /// same, namely all elements that live, each with one home, which the element agrees to.
    pub(super) fn disagreement(&self) -> Option<String> {
        let running = self.seats_in(SeatState::Running);
        let members = self.members_in();
        let mut expected: Vec<PeId> =
            members.iter().map(|&place| self.members[place].pe_id).collect();
        expected.sort_unstable();
        let mut first = None;
        for &seat in &running {
            let seat = self.seats[seat];
            let registrar = self.scope.registrar(seat.node);
            if !registrar.has_joined() {
                return Some(format!("{:?} is still on its way in", seat.id));
            }
            let beliefs = self.scope.beliefs(seat.node);
            let mut known: Vec<PeId> = beliefs.iter().map(|&(_, pe_id, _)| pe_id).collect();
            known.sort_unstable();
            if known != expected {
                return Some(format!("{:?} knows {known:x?}, not {expected:x?}", seat.id));
            }
            if *first.get_or_insert_with(|| beliefs.clone()) != beliefs {
                return Some(format!("{:?} and the first disagree: {beliefs:x?}", seat.id));
            }
        }
        self.wrong_home(&running, &first.unwrap_or_default())
            .or_else(|| self.wrong_checksum(&running))
            .or_else(|| self.wrong_watch())
    }

    /// Looks whether audits mend in time what registrars have missed of each other.
    pub(super) fn audit(&mut self) {
        let running = self.seats_in(SeatState::Running);
        let (now, most) = (self.scope.now, self.plan.audit());
        for (at, of) in running.iter().flat_map(|&at| running.iter().map(move |&of| (at, of))) {
            let sum = |place: usize| {
                let handlespace = self.scope.registrar(self.seats[place].node).handlespace();
                handlespace.checksum(self.seats[of].id)
            };
            if sum(at) == sum(of) {
                self.differing.remove(&(at, of));
                continue;
            }
            let since = *self.differing.entry((at, of)).or_insert(now);
            let age = now.saturating_duration_since(since);
            let [(at, known), (of, owned)] = [at, of].map(|place| {
                let seat = self.seats[place];
                (seat.id, self.scope.beliefs(seat.node))
            });
            let what = "has had other elements of";
            assert!(
                age <= most,
                "{at:?} {what} {of:?} than it for {age:?}: {known:x?} {owned:x?}"
            );
        }
    }

    /// A user that watches a pool and was not told what is in it now.
    fn wrong_watch(&self) -> Option<String> {
        self.watchers.iter().find_map(|&(node, pool)| {
            let members = self.members_in().into_iter().map(|place| self.members[place]);
            let members = members.filter(|member| member.pool == pool);
            let members: Vec<PeId> = members.map(|member| member.pe_id).collect();
            let handle = PoolHandle::new(POOLS[pool].as_bytes()).expect("a handle");
            let told = self.scope.user(node).elements(handle).iter();
            let told: Vec<PeId> = told.map(|element| element.id).collect();
            let is_all = told.len() == members.len().min(WATCHED_MAX);
            let is_right = is_all && told.iter().all(|pe_id| members.contains(pe_id));
            (!is_right).then(|| format!("{node:?} was told of {told:x?}, not {members:x?}"))
        })
    }

    fn wrong_home(
        &self,
        running: &[usize],
        beliefs: &[(String, PeId, RegistrarId)],
    ) -> Option<String> {
        for &(_, pe_id, home) in beliefs {
            if !running.iter().any(|&seat| self.seats[seat].id == home) {
                return Some(format!("{home:?}, the home of {pe_id:?}, does not run"));
            }
            let member = self.members.iter().find(|member| member.pe_id == pe_id)?;
            let element = self.scope.element(member.node);
            let renews = element.status() == PoolElementStatus::Registering;
            if element.status() != PoolElementStatus::Registered && !renews {
                return Some(format!("{pe_id:?} is {:?}", element.status()));
            }
            let its_home = element.home().unwrap_or(RegistrarId::UNKNOWN);
            if its_home != home && its_home != RegistrarId::UNKNOWN {
                return Some(format!("{pe_id:?} takes {its_home:?} for its home, not {home:?}"));
            }
        }
        None
    }

    fn wrong_checksum(&self, running: &[usize]) -> Option<String> {
        let sum = |at: usize, of: usize| {
            let handlespace = self.scope.registrar(self.seats[at].node).handlespace();
            handlespace.checksum(self.seats[of].id)
        };
        for &of in running {
            for &at in running {
                if sum(at, of) != sum(of, of) {
                    return Some(format!("the checksums of {:?} differ", self.seats[of].id));
                }
            }
        }
        None
    }

    /// After everybody has left nothing is in use that was lent.
    pub(super) fn leak(&mut self) -> Option<String> {
        for place in self.seats_in(SeatState::Running) {
            let Self { seats, scope, .. } = self;
            let (node, id) = (seats[place].node, seats[place].id);
            let usage = scope.usage(node);
            let handlespace = scope.registrar(node).handlespace();
            let counts = (handlespace.element_count(), handlespace.pool_count());
            let others = [usage.associations, usage.reports, usage.challenges, usage.adoptions];
            if counts != (0, 0) || others != [0; 4] {
                return Some(format!("{id:?} still has {counts:?} and {usage:?}"));
            }
        }
        None
    }

    /// Waits until something is so.
    ///
    /// # Panics
    ///
    /// If it takes too long, with what stands in the way.
    pub(super) fn await_that(
        &mut self,
        what: &str,
        most: Duration,
        step: Duration,
        mut hindrance: impl FnMut(&mut Self) -> Option<String>,
    ) -> Duration {
        let begin = self.scope.now;
        loop {
            let Some(reason) = hindrance(self) else {
                return self.scope.now.saturating_duration_since(begin);
            };
            let age = self.scope.now.saturating_duration_since(begin);
            assert!(age <= most, "{what}: not within {most:?}: {reason}");
            self.pass(step);
        }
    }
}
