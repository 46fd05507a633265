use proptest::collection::vec;
use proptest::prelude::*;
use rollcall_protocol::{DeviceId, UserId};

use super::*;

/// A connection, as (session, attempt).
type Connection = (u8, u64);

fn key(device: &str) -> SenderKey {
    SenderKey { user: UserId::parse("ann").unwrap(), device: DeviceId::parse(device).unwrap() }
}

fn hello(sessions: &Sessions, device: &str, (session, attempt): Connection) -> Arc<Inbox> {
    let inbox = Inbox::new();
    let session = Session { id: format!("session {session}").into(), attempt };
    sessions.hello(key(device), session, Arc::clone(&inbox));
    inbox
}

/// Waits until the registry has seen everything so far: it closes the first of two connections of a device of its own.
async fn settle(sessions: &Sessions) {
    let first = hello(sessions, "barrier", (0, 1));
    hello(sessions, "barrier", (1, 1));
    first.rung().await;
}

fn closed(inbox: &Inbox) -> Option<CloseCode> {
    inbox.take().close
}

/// What each connection of one device was told, after all of them said hello in this order.
async fn told(connections: &[Connection]) -> Vec<Option<CloseCode>> {
    let sessions = Sessions::start().await.unwrap();
    let inboxes: Vec<_> = connections.iter().map(|&connection| hello(&sessions, "phone", connection)).collect();
    settle(&sessions).await;
    sessions.stop();
    inboxes.iter().map(|inbox| closed(inbox)).collect()
}

const SUPERSEDED: Option<CloseCode> = Some(CloseCode::Superseded);
const REPLACED: Option<CloseCode> = Some(CloseCode::Replaced);

#[tokio::test]
async fn a_newer_attempt_supersedes_the_older_one() {
    assert_eq!(told(&[(1, 1), (1, 2), (1, 5)]).await, [SUPERSEDED, SUPERSEDED, None]);
}

#[tokio::test]
async fn an_older_attempt_that_comes_late_is_superseded_itself() {
    assert_eq!(told(&[(1, 2), (1, 1), (1, 1)]).await, [None, SUPERSEDED, SUPERSEDED]);
}

#[tokio::test]
async fn the_same_attempt_again_stays() {
    assert_eq!(told(&[(1, 2), (1, 2)]).await, [SUPERSEDED, None]);
}

#[tokio::test]
async fn another_session_replaces() {
    assert_eq!(told(&[(1, 7), (2, 1), (1, 8)]).await, [REPLACED, REPLACED, None]);
}

#[tokio::test]
async fn devices_do_not_disturb_each_other() {
    let sessions = Sessions::start().await.unwrap();
    let phone = hello(&sessions, "phone", (1, 1));
    let laptop = hello(&sessions, "laptop", (2, 1));
    settle(&sessions).await;
    assert_eq!((closed(&phone), closed(&laptop)), (None, None));
}

#[tokio::test]
async fn one_that_went_is_forgotten_and_a_loser_takes_nobody_along() {
    let sessions = Sessions::start().await.unwrap();
    let first = hello(&sessions, "phone", (1, 1));
    let second = hello(&sessions, "phone", (1, 2));
    sessions.gone(key("phone"), Arc::clone(&first));
    let third = hello(&sessions, "phone", (2, 1));
    sessions.gone(key("phone"), Arc::clone(&third));
    let fourth = hello(&sessions, "phone", (1, 1));
    settle(&sessions).await;
    assert_eq!(closed(&first), SUPERSEDED);
    assert_eq!(closed(&second), REPLACED, "the first one's end did not end its registration");
    assert_eq!((closed(&third), closed(&fourth)), (None, None), "whoever comes after the end finds nobody");
    sessions.gone(key("phone"), Arc::clone(&fourth));
    settle(&sessions).await;
    assert_eq!(Arc::strong_count(&fourth), 1, "the registry keeps nothing of connections that ended");
}

fn connections() -> impl Strategy<Value = Vec<Connection>> {
    vec((0_u8..3, 1_u64..5), 1..12)
}

proptest! {
    /// Connections come in any order; those that were told to close end at once, some of them before others come.
    #[test]
    fn of_any_set_exactly_one_survives(connections in connections(), end_early in vec(any::<bool>(), 12)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let survivors = runtime.block_on(async {
            let sessions = Sessions::start().await.unwrap();
            let mut live: Vec<(Connection, Arc<Inbox>)> = Vec::new();
            for (connection, end_early) in connections.iter().zip(end_early) {
                live.push((*connection, hello(&sessions, "phone", *connection)));
                if end_early {
                    end_losers(&sessions, &mut live).await;
                }
            }
            end_losers(&sessions, &mut live).await;
            sessions.stop();
            live
        });
        prop_assert_eq!(survivors.len(), 1, "{:?}", survivors);
        let (session, attempt) = survivors[0].0;
        let newest_of_run = connections.iter().rev().take_while(|(other, _)| *other == session).map(|(_, n)| *n).max();
        prop_assert_eq!(Some(attempt), newest_of_run, "the last session's newest attempt since the one before it");
    }
}

async fn end_losers(sessions: &Sessions, live: &mut Vec<(Connection, Arc<Inbox>)>) {
    settle(sessions).await;
    live.retain(|(_, inbox)| {
        let stays = closed(inbox).is_none();
        if !stays {
            sessions.gone(key("phone"), Arc::clone(inbox));
        }
        stays
    });
}
