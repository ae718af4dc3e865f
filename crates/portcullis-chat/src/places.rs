//! Places at the model: a limited number at once, shared fairly, a bounded queue, and an end to waiting.
//!
//! Who comes free of the queue next is decided when a place comes free: of the communities with somebody waiting the one
//! that holds the fewest places, of its members the one that holds the fewest, then whoever was served longest ago. A
//! hundred questions of one member so wait for one another and for nobody else.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use portcullis_core::{Actor, CommunityId, Scope};
use portcullis_guard::{Code, Refusal};
use tokio::sync::oneshot;

/// The part of the queue that one member may fill, and one community.
const MEMBERS_PART: usize = 8;
const COMMUNITYS_PART: usize = 2;

/// How many places there are, and for whom.
#[derive(Debug, Clone, Copy)]
pub struct PlaceLimits {
    /// The most turns at the model at once.
    pub places: usize,
    /// The most of one member. A key that acts for no member is a back end with many people behind it, and is held to its
    /// community's limit alone.
    pub per_member: usize,
    /// The most of one community.
    pub per_community: usize,
    /// How many may wait.
    pub queue: usize,
    /// The longest wait.
    pub patience: Duration,
}

/// Hands out places at the model.
#[derive(Debug)]
pub struct Places(Arc<Room>);

#[derive(Debug)]
struct Room {
    limits: PlaceLimits,
    state: Mutex<State>,
}

/// A place, given back when dropped.
#[derive(Debug)]
pub struct Place {
    room: Arc<Room>,
    community: CommunityId,
    actor: Actor,
}

impl Places {
    /// Places within these limits, all free.
    pub fn new(limits: PlaceLimits) -> Self {
        Self(Arc::new(Room { limits, state: Mutex::default() }))
    }

    /// How many places there are.
    pub fn all(&self) -> usize {
        self.0.limits.places
    }

    /// How many are taken.
    pub fn taken(&self) -> usize {
        self.0.state.lock().held.places
    }

    /// How many requests wait for one.
    pub fn waiting(&self) -> usize {
        self.0.state.lock().held.waiting
    }

    /// Takes a place for whoever asks, waiting for one if the queue has room.
    pub async fn take(&self, scope: &Scope) -> Result<Place, Refusal> {
        let room = &self.0;
        let (community, actor) = (scope.community(), scope.actor());
        let (ticket, granted) = {
            let mut state = room.state.lock();
            if state.may_take(&room.limits, community, actor) {
                state.grant(community, actor);
                return Ok(Place { room: Arc::clone(room), community, actor });
            }
            state.join(&room.limits, community, actor)?
        };
        let _waiting = Waiting { room, community, actor, ticket };
        match tokio::time::timeout(room.limits.patience, granted).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) | Err(_) => Err(busy("no place at the model came free in time")),
        }
    }
}

impl Room {
    /// Gives what is free to those who wait.
    fn serve(self: &Arc<Self>) {
        let mut granted = Vec::new();
        {
            let mut state = self.state.lock();
            while let Some((community, actor, sender)) = state.next(&self.limits) {
                granted.push((sender, Place { room: Arc::clone(self), community, actor }));
            }
        }
        for (sender, place) in granted {
            // Whoever left just now gives the place back by not taking it, which is why no lock is held here.
            let _ = sender.send(place);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.room.state.lock().give_back(self.community, self.actor);
        self.room.serve();
    }
}

/// A request in the queue. One that gives up leaves it at once.
struct Waiting<'a> {
    room: &'a Room,
    community: CommunityId,
    actor: Actor,
    ticket: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.room.state.lock().leave(self.community, self.actor, self.ticket);
    }
}

#[derive(Debug, Default)]
struct State {
    held: Held,
    /// The number of the last request that joined or was served: the order of both.
    last: u64,
    communities: HashMap<CommunityId, Community>,
}

#[derive(Debug, Default)]
struct Community {
    held: Held,
    askers: HashMap<Actor, Asker>,
}

#[derive(Debug, Default)]
struct Asker {
    held: Held,
    queue: VecDeque<(u64, oneshot::Sender<Place>)>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Held {
    places: usize,
    waiting: usize,
    /// When one was served last, by number; 0 for never.
    served: u64,
}

impl Held {
    fn take(&mut self, number: u64) {
        self.places += 1;
        self.served = number;
    }

    const fn is_nothing(self) -> bool {
        self.places == 0 && self.waiting == 0
    }
}

impl PlaceLimits {
    const fn most_of(&self, actor: Actor) -> usize {
        match actor {
            Actor::Member(_) => self.per_member,
            Actor::Key(_) | Actor::Operator => self.per_community,
        }
    }

    fn most_waiting_of(&self, actor: Actor) -> usize {
        let part = match actor {
            Actor::Member(_) => MEMBERS_PART,
            Actor::Key(_) | Actor::Operator => COMMUNITYS_PART,
        };
        self.part_of_queue(part)
    }

    fn part_of_queue(&self, part: usize) -> usize {
        self.queue.div_ceil(part)
    }
}

impl State {
    /// Whether a place is free for them. Nobody who waits could take it: they would have been given it.
    fn may_take(&self, limits: &PlaceLimits, community: CommunityId, actor: Actor) -> bool {
        let Some(held) = self.communities.get(&community) else { return self.held.places < limits.places };
        let own = held.askers.get(&actor).map_or(0, |asker| asker.held.places);
        self.held.places < limits.places
            && held.held.places < limits.per_community
            && own < limits.most_of(actor)
    }

    fn grant(&mut self, community: CommunityId, actor: Actor) {
        self.last += 1;
        let number = self.last;
        self.held.take(number);
        let community = self.communities.entry(community).or_default();
        community.held.take(number);
        community.askers.entry(actor).or_default().held.take(number);
    }

    fn join(
        &mut self,
        limits: &PlaceLimits,
        community: CommunityId,
        actor: Actor,
    ) -> Result<(u64, oneshot::Receiver<Place>), Refusal> {
        let held = self.communities.get(&community);
        let own = held.and_then(|held| held.askers.get(&actor)).map_or(0, |asker| asker.held.waiting);
        if limits.queue > 0 && own >= limits.most_waiting_of(actor) {
            return Err(Refusal::new(
                Code::RateLimited,
                "too many of your questions wait for the model already",
            )
            .retry_after(RETRY)
            .by("model-places"));
        }
        let full = self.held.waiting >= limits.queue
            || held.is_some_and(|held| held.held.waiting >= limits.part_of_queue(COMMUNITYS_PART));
        if full {
            return Err(busy("all places at the model are taken and the queue is full"));
        }
        self.last += 1;
        let (sender, receiver) = oneshot::channel();
        self.held.waiting += 1;
        let community = self.communities.entry(community).or_default();
        community.held.waiting += 1;
        let asker = community.askers.entry(actor).or_default();
        asker.held.waiting += 1;
        asker.queue.push_back((self.last, sender));
        Ok((self.last, receiver))
    }

    /// Takes the next to be served out of the queue and counts their place.
    fn next(&mut self, limits: &PlaceLimits) -> Option<(CommunityId, Actor, oneshot::Sender<Place>)> {
        if self.held.places >= limits.places {
            return None;
        }
        let (_, id, actor) = self
            .communities
            .iter()
            .filter(|(_, community)| community.held.places < limits.per_community)
            .filter_map(|(id, community)| {
                let (oldest, actor) = community.next(limits)?;
                Some(((community.held.places, community.held.served, oldest), *id, actor))
            })
            .min_by_key(|(rank, ..)| *rank)?;
        let (ticket, _) = self.communities.get(&id)?.askers.get(&actor)?.queue.front()?;
        let ticket = *ticket;
        let sender = self.take_out(id, actor, ticket)?;
        self.grant(id, actor);
        Some((id, actor, sender))
    }

    fn take_out(&mut self, id: CommunityId, actor: Actor, ticket: u64) -> Option<oneshot::Sender<Place>> {
        let community = self.communities.get_mut(&id)?;
        let asker = community.askers.get_mut(&actor)?;
        let place = asker.queue.iter().position(|(number, _)| *number == ticket)?;
        let (_, sender) = asker.queue.remove(place)?;
        asker.held.waiting -= 1;
        community.held.waiting -= 1;
        self.held.waiting -= 1;
        Some(sender)
    }

    fn leave(&mut self, id: CommunityId, actor: Actor, ticket: u64) {
        self.take_out(id, actor, ticket);
        self.forget(id, actor);
    }

    fn give_back(&mut self, id: CommunityId, actor: Actor) {
        self.held.places -= 1;
        if let Some(community) = self.communities.get_mut(&id) {
            community.held.places -= 1;
            if let Some(asker) = community.askers.get_mut(&actor) {
                asker.held.places -= 1;
            }
        }
        self.forget(id, actor);
    }

    /// Keeps nothing of those who hold and want nothing.
    fn forget(&mut self, id: CommunityId, actor: Actor) {
        let Some(community) = self.communities.get_mut(&id) else { return };
        if community.askers.get(&actor).is_some_and(|asker| asker.held.is_nothing()) {
            community.askers.remove(&actor);
        }
        if community.held.is_nothing() {
            self.communities.remove(&id);
        }
    }
}

impl Community {
    /// The next of this community, with the number of their oldest request.
    fn next(&self, limits: &PlaceLimits) -> Option<(u64, Actor)> {
        self.askers
            .iter()
            .filter(|(actor, asker)| asker.held.places < limits.most_of(**actor))
            .filter_map(|(actor, asker)| {
                let (oldest, _) = asker.queue.front()?;
                Some(((asker.held.places, asker.held.served, *oldest), *actor))
            })
            .min_by_key(|(rank, _)| *rank)
            .map(|((.., oldest), actor)| (oldest, actor))
    }
}

/// How long to wait before asking again.
const RETRY: Duration = Duration::from_secs(2);

fn busy(detail: &'static str) -> Refusal {
    Refusal::new(Code::ModelBusy, detail).retry_after(RETRY).by("model-places")
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::{Pin, pin};
    use std::task::Poll;
    use std::time::Duration;

    use portcullis_core::{AbilitySet, Actor, CommunityId, Grant, KeyId, MemberId, Role, Scope, Tier};
    use portcullis_guard::{Code, Refusal};

    use super::{Place, PlaceLimits, Places};

    const LIMITS: PlaceLimits = PlaceLimits {
        places: 1,
        per_member: 1,
        per_community: 1,
        queue: 1_000,
        patience: Duration::from_secs(5),
    };

    #[expect(clippy::disallowed_methods, reason = "a test's own scope")]
    fn scope(community: u8, actor: Actor) -> Scope {
        Scope::grant(Grant {
            community: CommunityId::from_bytes([community; 16]),
            actor,
            role: Role::Member,
            abilities: AbilitySet::NONE,
            spaces: [].into(),
            tier: Tier::Standard,
        })
    }

    fn member(community: u8, member: u8) -> Scope {
        scope(community, Actor::Member(MemberId::from_bytes([member; 16])))
    }

    type Taking<'a> = Pin<Box<dyn Future<Output = Result<Place, Refusal>> + Send + 'a>>;

    /// A request that has come: it holds a place, or waits, or was refused.
    fn come<'a>(places: &'a Places, scope: &'a Scope) -> Taking<'a> {
        let mut taking: Taking<'a> = Box::pin(places.take(scope));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        if let Poll::Ready(done) = taking.as_mut().poll(&mut context) {
            return Box::pin(std::future::ready(done));
        }
        taking
    }

    /// Whether its turn has come.
    fn served(taking: &mut Taking<'_>) -> Option<Place> {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match pin!(taking).poll(&mut context) {
            Poll::Ready(done) => Some(done.expect("a place")),
            Poll::Pending => None,
        }
    }

    #[tokio::test]
    async fn one_member_with_a_hundred_questions_makes_no_other_wait() {
        let places = Places::new(LIMITS);
        let (busy, other) = (member(1, 1), member(1, 2));
        let held = places.take(&busy).await.expect("the first place is free");
        let mut queued: Vec<_> = (0..100).map(|_| come(&places, &busy)).collect();
        let mut single = come(&places, &other);
        drop(held);
        let place = served(&mut single).expect("the other member is next");
        assert!(queued.iter_mut().all(|taking| served(taking).is_none()));
        drop(place);
        let next: Vec<_> = queued.iter_mut().filter_map(served).collect();
        assert_eq!(next.len(), 1, "then the first goes on");
    }

    #[tokio::test]
    async fn members_take_turns_and_so_do_communities() {
        let places = Places::new(LIMITS);
        let held = places.take(&member(9, 9)).await.expect("the first place is free");
        // Community 1 comes first, with three members; community 2 has one.
        let askers: Vec<(&str, Scope)> = [
            ("1a", member(1, 1)),
            ("1a", member(1, 1)),
            ("1b", member(1, 2)),
            ("1c", member(1, 3)),
            ("2d", member(2, 4)),
            ("2d", member(2, 4)),
        ]
        .into();
        let mut queued: Vec<_> = askers.iter().map(|(name, scope)| (*name, come(&places, scope))).collect();
        drop(held);
        let mut order = Vec::new();
        while !queued.is_empty() {
            let (at, place) = queued
                .iter_mut()
                .enumerate()
                .find_map(|(at, (_, taking))| Some((at, served(taking)?)))
                .expect("somebody is served");
            order.push(queued.remove(at).0);
            drop(place);
        }
        assert_eq!(order, ["1a", "2d", "1b", "2d", "1c", "1a"]);
    }

    #[tokio::test]
    async fn nobody_holds_more_than_their_part_while_places_are_free() {
        let places = Places::new(PlaceLimits { places: 10, per_member: 2, per_community: 3, ..LIMITS });
        let (ada, bo, cy) = (member(1, 1), member(1, 2), member(2, 3));
        let first = places.take(&ada).await.expect("free");
        let _second = places.take(&ada).await.expect("free");
        let mut third = come(&places, &ada);
        assert!(served(&mut third).is_none(), "a member holds two");
        let _theirs = places.take(&bo).await.expect("free");
        let mut fourth = come(&places, &bo);
        assert!(served(&mut fourth).is_none(), "a community holds three");
        let _elsewhere = places.take(&cy).await.expect("another community is not touched");
        drop(first);
        assert!(served(&mut fourth).is_some() ^ served(&mut third).is_some(), "one place, one of the two");
    }

    #[tokio::test]
    async fn a_back_end_is_held_to_its_communitys_part() {
        let places = Places::new(PlaceLimits { places: 10, per_member: 1, per_community: 3, ..LIMITS });
        let backend = scope(1, Actor::Key(KeyId::from_bytes([1; 16])));
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(places.take(&backend).await.expect("free"));
        }
        assert!(served(&mut come(&places, &backend)).is_none());
    }

    #[tokio::test]
    async fn nobody_fills_the_queue_alone() {
        let places = Places::new(PlaceLimits { queue: 16, ..LIMITS });
        let _held = places.take(&member(9, 9)).await.expect("the first place is free");
        let ada = member(1, 1);
        let _waiting: Vec<_> = (0..2).map(|_| come(&places, &ada)).collect();
        let refused = places.take(&ada).await.expect_err("an eighth of the queue");
        assert_eq!((refused.code, refused.retry_after.is_some()), (Code::RateLimited, true));
        let others: Vec<Scope> = (2..9).map(|id| member(1, id)).collect();
        let _more: Vec<_> = others.iter().take(6).map(|scope| come(&places, scope)).collect();
        let refused = places.take(&others[6]).await.expect_err("half of the queue");
        assert_eq!((refused.code, refused.retry_after.is_some()), (Code::ModelBusy, true));
        assert!(served(&mut come(&places, &member(2, 1))).is_none(), "another community still waits");
    }

    #[tokio::test]
    async fn the_queue_is_bounded_and_waiting_ends() {
        let limits = PlaceLimits { queue: 1, patience: Duration::from_millis(50), ..LIMITS };
        let places = Places::new(limits);
        let (ada, bo) = (member(1, 1), member(2, 2));
        let held = places.take(&ada).await.expect("the first place is free");
        let (waited, refused) = tokio::join!(places.take(&ada), places.take(&bo));
        assert_eq!(refused.expect_err("the queue holds one").code, Code::ModelBusy);
        assert_eq!(waited.expect_err("the place is held for longer than the wait").code, Code::ModelBusy);
        drop(held);
        assert!(places.take(&bo).await.is_ok());
        assert!(places.0.state.lock().communities.is_empty(), "nothing is kept of those who are gone");
    }

    #[tokio::test]
    async fn who_gives_up_leaves_the_queue_and_who_left_takes_no_place_along() {
        let places = Places::new(PlaceLimits { queue: 1, ..LIMITS });
        let (ada, bo) = (member(1, 1), member(1, 2));
        let held = places.take(&ada).await.expect("the first place is free");
        drop(come(&places, &bo));
        let given = come(&places, &bo);
        drop(held);
        // Given the place and gone before it was taken up.
        drop(given);
        assert!(places.take(&ada).await.is_ok());
    }
}
