//! What nodes tell one another through the log.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rollcall_actors::ports::{LogError, Takeovers};
use rollcall_cql_tests::Keyspace;
use rollcall_it::log_contract::LogUnderTest as _;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_tell_one_another_of_takeovers() {
    let Some(keyspace) = Keyspace::shared().await else { return };
    let other = Arc::new(keyspace.open(|options| options).await);
    rollcall_it::takeovers_contract::check(keyspace.log(), other, &keyspace.room("")).await;
}

/// Rows of servers whose clocks are apart, and of long ago.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_minute_is_read_whatever_clocks_say() {
    let Some(keyspace) = Keyspace::own().await else { return };
    let log = keyspace.open(|options| options).await;
    let now_ms = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    let ages_s = [-20, 0, 30, 59, 80, 125, 200, 599];
    for age_s in ages_s {
        let at_ms = now_ms - age_s * 1_000;
        let values = format!("({}, minTimeuuid({at_ms}), 'aged.{age_s}', 7)", at_ms.div_euclid(60_000));
        keyspace.query(&format!("INSERT INTO {{}}.takeovers (slot, at, channel_id, epoch) VALUES {values}"));
    }
    let read = log.recent().await.unwrap();
    let read: BTreeSet<_> = read.iter().map(|takeover| takeover.room.as_str().to_owned()).collect();
    for age_s in ages_s {
        let is_read = read.contains(&format!("aged.{age_s}"));
        // Between the two it is as the time falls, and this test's own time is not the server's.
        if age_s <= 80 {
            assert!(is_read, "of {age_s} s ago: {read:?}");
        } else if age_s > 120 {
            assert!(!is_read, "of {age_s} s ago: {read:?}");
        }
    }
    let ttl = keyspace.query(&format!("SELECT ttl(epoch) FROM {{}}.takeovers WHERE slot = {}", now_ms / 60_000));
    let ttl = ttl[0][0].clone().expect("it has one");
    assert!(i32::from_be_bytes(ttl.try_into().unwrap()) <= 600, "rows go by themselves");
}

/// Where a row cannot be read, nobody knows what it would have said: the node looks at its rooms instead.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_was_never_written_is_damage() {
    let Some(keyspace) = Keyspace::own().await else { return };
    let log = keyspace.open(|options| options).await;
    for (columns, values) in
        [("epoch", "7"), ("channel_id", "'r'"), ("channel_id, epoch", "'', 7"), ("channel_id, epoch", "'r', -1")]
    {
        keyspace.query("TRUNCATE {}.takeovers");
        assert_eq!(log.recent().await, Ok(Vec::new()));
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        let slot = now_ms / 60_000;
        keyspace.query(&format!("INSERT INTO {{}}.takeovers (slot, at, {columns}) VALUES ({slot}, now(), {values})"));
        let read = log.recent().await;
        assert!(matches!(read, Err(LogError::Damaged(_))), "{columns}: {read:?}");
    }
}
