//! `rollcall doctor`, as far as no other server is needed.

use std::net::{Ipv4Addr, TcpListener};

use serde_json::Value;

use super::program::{Ended, Machine};

/// What was found, by the name of the check.
fn status(ended: &Ended, check: &str) -> Option<String> {
    let findings = ended.output.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut found = findings.filter(|finding| finding["check"] == check);
    found.next().map(|finding| finding["status"].as_str().unwrap().to_owned())
}

#[test]
fn a_machine_without_any_configuration_is_well() {
    let machine = Machine::new();
    let ended = machine.run(&["doctor"]);
    let first = ended.done().lines().next().unwrap();
    assert!(first.starts_with("ok    config ") && first.ends_with("(there is no file)"), "{first}");
    let ended = machine.run(&["doctor", "--json"]);
    ended.done();
    for check in ["config", "data.folder", "data.space"] {
        assert_eq!(status(&ended, check).as_deref(), Some("ok"), "{ended:?}");
    }
    assert!(!machine.path("rollcall-data").exists(), "it has only looked");
}

#[test]
fn what_a_server_cannot_run_with_is_code_1() {
    let machine = Machine::new();
    machine.write("a-file", "");
    let folder = machine.run(&["doctor", "--data", "a-file"]);
    assert!(folder.code == 1 && folder.output.contains("FAIL  data.folder        a-file is no folder\n"), "{folder:?}");
    let space = machine.run(&["doctor", "--json", "--set", "data.free_space_reserve_bytes=9000000000000000"]);
    assert_eq!((space.code, status(&space, "data.space").as_deref()), (1, Some("fail")));
    let files = machine.run(&["doctor", "--json", "--set", "limits.connections_max=2000000000"]);
    assert_eq!((files.code, status(&files, "machine.files").as_deref()), (1, Some("fail")));
    let setting = machine.run(&["doctor", "--set", "rooms.idel_ms=5"]);
    assert!(setting.code == 1 && setting.output.contains("did you mean `rooms.idle_ms`?"), "{setting:?}");
}

#[test]
fn servers_of_the_log_that_are_not_there_are_said() {
    let machine = Machine::new();
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let contact_points = format!("cql.contact_points={free}");
    let ended = machine.run(&["doctor", "--json", "--set", "log.kind=cql", "--set", &contact_points]);
    assert_eq!((ended.code, status(&ended, "cql.reachable").as_deref()), (1, Some("fail")), "{ended:?}");
    assert_eq!(status(&ended, "data.space"), None, "entries are kept elsewhere");
    assert_eq!(status(&ended, "redis.reachable"), None, "it is in no cluster");
    let redis = format!("redis.servers={free}");
    let secret = "auth.secret=0123456789012345678901234567890123456789";
    let node = ["--set", "cluster.node=a", "--set", &redis, "--set", secret, "--set", "log.kind=cql"];
    let ended = machine.run(&[&["doctor", "--json", "--set", &contact_points][..], &node].concat());
    assert_eq!((ended.code, status(&ended, "redis.reachable").as_deref()), (1, Some("fail")), "{ended:?}");
}
