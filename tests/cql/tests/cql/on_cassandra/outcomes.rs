//! Appends whose outcome nobody knows: a proxy between log and server loses or holds back what goes through it.

use std::time::Duration;

use rollcall::log::{CqlLog, CqlOptions};
use rollcall_actors::ports::{Activate, AppendOutcome, Log, NotCommitted};
use rollcall_cql_tests::Keyspace;
use rollcall_it::log_contract::LogUnderTest as _;
use rollcall_it::scribe::{Scribe, assert_chained, read_all};
use rollcall_protocol::{Entry, OwnerId, Seq};
use rollcall_proxy::{Direction, Proxy};
use tokio::task::JoinHandle;
use tokio::time::timeout;

const FENCED: AppendOutcome = AppendOutcome::NotCommitted(NotCommitted::Fenced);

/// How long one statement is waited for.
const REQUEST_TIMEOUT: Duration = Duration::from_millis(300);

/// A log behind a proxy, and its owner of one room, which has one entry.
struct Distant {
    keyspace: Keyspace,
    proxy: Proxy,
    log: CqlLog,
    scribe: Scribe,
    stored: Vec<Entry>,
}

impl Distant {
    async fn start() -> Option<Self> {
        Self::start_with(|options| CqlOptions { request_timeout: REQUEST_TIMEOUT, ..options }).await
    }

    async fn start_with(change: impl FnOnce(CqlOptions) -> CqlOptions) -> Option<Self> {
        let keyspace = Keyspace::shared().await?;
        let proxy = Proxy::start(keyspace.address()).await.unwrap();
        let contact_points = vec![proxy.address().to_string()];
        let log = keyspace.open(|options| change(CqlOptions { contact_points, ..options })).await;
        let mut scribe = Scribe::activate(&log, &keyspace.room("room"), 1).await;
        let stored = scribe.commit_messages(&log, 1).await;
        Some(Self { keyspace, proxy, log, scribe, stored })
    }

    /// Appends two entries, and does not wait for what becomes of them.
    fn append(&mut self) -> (Vec<Entry>, JoinHandle<AppendOutcome>) {
        let entries = self.scribe.messages(2);
        let append = self.log.append(self.scribe.append(entries.clone()));
        (entries, tokio::spawn(append))
    }

    /// Waits until the server has the room's entries up to this number.
    async fn stored_through(&self, last: u64) {
        let near = self.keyspace.log();
        let is_there =
            async { while near.tail(&self.scribe.room).await.unwrap().unwrap().last_seq < Seq::new(last) {} };
        timeout(Duration::from_secs(10), is_there).await.expect("the append arrives");
    }

    /// Another node takes the room and writes to it.
    async fn taken_over(&self) -> Vec<Entry> {
        let near = self.keyspace.log();
        let mut other = Scribe::activate(&*near, self.scribe.room.as_str(), 2).await;
        other.commit_messages(&*near, 3).await
    }

    /// The way is free again; connections of which something was lost are cut.
    fn heal(&self) {
        self.proxy.black_hole(false);
        self.proxy.cut();
    }

    /// Appends that were unknown for a while, and proved to be applied or not.
    fn settled(&self) -> (u64, u64) {
        let stats = self.log.stats();
        (stats.settled_applied, stats.settled_not_applied)
    }

    async fn stored(&self) -> Vec<Entry> {
        let entries = read_all(&*self.keyspace.log(), &self.scribe.room).await;
        assert_chained(&self.scribe.room, &entries);
        entries
    }
}

/// Waits for longer than one statement is waited for, during which nothing must be said of the append.
async fn stays_unknown(append: &mut JoinHandle<AppendOutcome>) {
    let outcome = timeout(REQUEST_TIMEOUT * 2, append).await;
    assert!(outcome.is_err(), "an outcome that nobody knows was told: {outcome:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_answer_was_lost_and_the_append_was_not() {
    let Some(mut distant) = Distant::start().await else { return };
    distant.proxy.swallow(Direction::Down, true);
    let (entries, mut append) = distant.append();
    distant.stored_through(3).await;
    stays_unknown(&mut append).await;
    distant.heal();
    assert_eq!(append.await.unwrap(), AppendOutcome::Committed);
    assert_eq!(distant.settled(), (1, 0));
    let more = distant.scribe.commit_messages(&distant.log, 1).await;
    assert_eq!(distant.stored().await, [distant.stored.clone(), entries, more].concat());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_append_was_lost_and_is_sent_again() {
    let Some(mut distant) = Distant::start().await else { return };
    distant.proxy.swallow(Direction::Up, true);
    let (entries, mut append) = distant.append();
    stays_unknown(&mut append).await;
    assert_eq!(distant.stored().await, distant.stored);
    distant.heal();
    assert_eq!(append.await.unwrap(), AppendOutcome::Committed);
    assert_eq!(distant.stored().await, [distant.stored.clone(), entries].concat());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_answer_was_lost_and_then_another_owner_came() {
    let Some(mut distant) = Distant::start().await else { return };
    distant.proxy.swallow(Direction::Down, true);
    let (entries, mut append) = distant.append();
    distant.stored_through(3).await;
    let others = distant.taken_over().await;
    stays_unknown(&mut append).await;
    distant.heal();
    assert_eq!(append.await.unwrap(), AppendOutcome::Committed, "its rows are there");
    let (_, late) = distant.append();
    assert_eq!(late.await.unwrap(), FENCED);
    assert_eq!(distant.stored().await, [distant.stored.clone(), entries, others].concat());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_append_was_lost_and_then_another_owner_came() {
    let Some(mut distant) = Distant::start().await else { return };
    distant.proxy.swallow(Direction::Up, true);
    let (_, mut append) = distant.append();
    stays_unknown(&mut append).await;
    let others = distant.taken_over().await;
    distant.heal();
    assert_eq!(append.await.unwrap(), FENCED, "others have its numbers");
    assert_eq!(distant.settled(), (0, 1));
    assert_eq!(distant.stored().await, [distant.stored.clone(), others].concat());
}

/// The append arrives at the server after another owner's activation, as it was sent before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_that_was_held_back_changes_nothing_any_more() {
    let patient = |options| CqlOptions {
        request_timeout: Duration::from_secs(30),
        append_deadline: Duration::from_secs(60),
        ..options
    };
    let Some(mut distant) = Distant::start_with(patient).await else { return };
    distant.proxy.hold(Direction::Up, true);
    let (_, append) = distant.append();
    let others = distant.taken_over().await;
    distant.proxy.hold(Direction::Up, false);
    // Its first copy, and the only one: the server has answered it.
    assert_eq!(append.await.unwrap(), FENCED);
    assert_eq!(distant.stored().await, [distant.stored.clone(), others].concat());
}

/// What cannot be found out in time is told as unknown, and nothing is numbered after it under that fence.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outcome_that_stays_unknown_ends_the_ownership() {
    let hasty =
        |options| CqlOptions { request_timeout: REQUEST_TIMEOUT, append_deadline: REQUEST_TIMEOUT * 3, ..options };
    for lost in [Direction::Up, Direction::Down] {
        let Some(mut distant) = Distant::start_with(hasty).await else { return };
        distant.proxy.swallow(lost, true);
        let (entries, append) = distant.append();
        let (_, queued) = distant.append();
        assert!(matches!(append.await.unwrap(), AppendOutcome::Unknown(_)));
        assert_eq!(queued.await.unwrap(), FENCED, "it was never sent");
        distant.heal();
        let (_, late) = distant.append();
        assert_eq!(late.await.unwrap(), FENCED, "though nobody else is there");
        // The next activation finds out.
        let near = distant.keyspace.log();
        let mut next = Scribe::activate(&*near, distant.scribe.room.as_str(), 2).await;
        let arrived = if lost == Direction::Down { entries } else { Vec::new() };
        let more = next.commit_messages(&*near, 1).await;
        assert_eq!(distant.stored().await, [distant.stored.clone(), arrived, more].concat());
    }
}

/// While nobody answers, reads and activations say so instead of waiting for ever, and afterwards all is well by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_away_comes_back() {
    let hasty =
        |options| CqlOptions { request_timeout: REQUEST_TIMEOUT, activation_deadline: REQUEST_TIMEOUT * 3, ..options };
    let Some(distant) = Distant::start_with(hasty).await else { return };
    let room = &distant.scribe.room;
    distant.proxy.black_hole(true);
    assert!(distant.log.tail(room).await.is_err());
    assert!(distant.log.activate(room, Activate::by(OwnerId(3))).await.is_err());
    let until = async |is_away: bool| {
        let looked = async {
            while distant.log.away().is_some() != is_away {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(30), looked).await.expect("the driver connects again by itself");
    };
    until(true).await;
    distant.proxy.refuse(true);
    distant.heal();
    assert!(distant.log.tail(room).await.is_err());
    distant.proxy.refuse(false);
    until(false).await;
    let mut scribe = Scribe::activate(&distant.log, room.as_str(), 4).await;
    scribe.commit_messages(&distant.log, 1).await;
}
