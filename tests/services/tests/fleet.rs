//! Servers that stay until they are ended, as `cargo xtask services` runs them.

mod support;

use std::fs;

use rollcall_services::{
    Ending, Fleet, FleetRequest, Kind, ProcessId, Redis, RedisMode, ServerRecord, ServerState, unless_skipped,
};
use support::{assert_no_process_in, processes_in};

const ONE_REDIS: FleetRequest = FleetRequest { cassandra_nodes: 0, redis: RedisMode::Single };
const SENTINELS: FleetRequest = FleetRequest { cassandra_nodes: 0, redis: RedisMode::Sentinel };

fn states(fleet: &Fleet) -> Vec<ServerState> {
    fleet.servers().iter().map(ServerRecord::state).collect()
}

#[test]
fn redis_stays_until_it_is_ended_and_is_started_once() {
    let folder = tempfile::tempdir().unwrap();
    let Some(fleet) = unless_skipped(Fleet::up(folder.path(), ONE_REDIS)) else { return };
    assert_eq!(processes_in(folder.path()).len(), 1, "the server, and no guard any more");
    let loaded = Fleet::load(folder.path()).unwrap().unwrap();
    assert_eq!(loaded.servers(), fleet.servers());
    assert_eq!(loaded.redis_urls(), [format!("redis://{}", fleet.servers()[0].address)]);
    assert_eq!(states(&loaded), [ServerState::Ready]);

    let again = Fleet::up(folder.path(), ONE_REDIS).unwrap();
    assert_eq!(again.servers(), fleet.servers(), "the same server as before");
    let other = Fleet::up(folder.path(), SENTINELS).unwrap_err().to_string();
    assert!(other.contains("services down"), "{other}");

    let endings = Fleet::down(folder.path()).unwrap();
    assert_eq!(endings.iter().map(|(_, ending)| *ending).collect::<Vec<_>>(), [Ending::Ended]);
    assert_no_process_in(folder.path());
    assert_eq!(states(&fleet), [ServerState::Ended]);
    assert!(Fleet::load(folder.path()).unwrap().is_none() && Fleet::down(folder.path()).unwrap().is_empty());
    assert!(fs::read_to_string(&fleet.servers()[0].log).unwrap().contains("Ready to accept connections"));
}

#[test]
fn redis_under_sentinel_is_silent_when_stopped_and_ended_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let Some(fleet) = unless_skipped(Fleet::up(folder.path(), SENTINELS)) else { return };
    let kinds: Vec<Kind> = fleet.servers().iter().map(|server| server.kind).collect();
    assert_eq!(kinds, [[Kind::Redis; 3], [Kind::Sentinel; 3]].concat());
    assert_eq!(fleet.redis_urls().len(), 3, "clients ask the Sentinels");

    let stop = std::process::Command::new("kill").args(["-STOP", &fleet.servers()[2].process.pid.to_string()]).status();
    assert!(stop.unwrap().success());
    let expected =
        [[ServerState::Ready; 2], [ServerState::Silent, ServerState::Ready], [ServerState::Ready; 2]].concat();
    assert_eq!(states(&fleet), expected);
    let endings = Fleet::down(folder.path()).unwrap();
    assert!(endings.iter().all(|(_, ending)| *ending == Ending::Ended), "{endings:?}");
    assert_no_process_in(folder.path());
}

#[test]
fn redis_that_took_the_number_of_another_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let Some(bystander) = unless_skipped(Redis::start(&folder.path().join("bystander"))) else { return };
    let servers = folder.path().join("servers");
    Fleet::up(&servers, ONE_REDIS).unwrap();
    let ended = Fleet::down(&servers).unwrap();

    // As if the number of the ended server had been given to the bystander since.
    let process = bystander.process().unwrap();
    let mut record = ended[0].0.clone();
    record.process = ProcessId { started_ticks: process.started_ticks - 1, ..process };
    let state = serde_json::json!({ "request": ONE_REDIS, "servers": [record] });
    fs::write(servers.join("services.json"), state.to_string()).unwrap();
    let ended = Fleet::down(&servers).unwrap();
    assert_eq!(ended[0].1, Ending::HadEnded);
    assert!(bystander.is_running() && bystander.command(&["PING"]).is_ok());
}

#[test]
fn a_folder_with_other_things_in_it_is_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let precious = folder.path().join("redis");
    fs::write(&precious, "mine").unwrap();
    let refused = Fleet::up(folder.path(), ONE_REDIS).unwrap_err().to_string();
    assert!(refused.contains("holds other things"), "{refused}");
    assert_eq!(fs::read_to_string(&precious).unwrap(), "mine");
}

#[test]
fn redis_that_cannot_have_its_port_says_so_with_its_log() {
    let folder = tempfile::tempdir().unwrap();
    let Some(redis) = unless_skipped(Redis::start(folder.path())) else { return };
    redis.kill();
    let taken = std::net::TcpListener::bind(redis.address()).unwrap();
    let error = redis.restart().unwrap_err().to_string();
    assert!(error.starts_with("redis ended (exit status: 1)") && error.contains("Address already in use"), "{error}");
    drop(taken);
    redis.restart().unwrap();
    assert!(redis.is_running());
}
