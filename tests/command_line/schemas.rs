//! `rollcall schema`, and a server whose log is elsewhere, as far as no CQL server is needed.

use std::net::{Ipv4Addr, TcpListener};

use super::program::Machine;

#[test]
fn the_tables_can_be_printed() {
    let machine = Machine::new();
    let ddl = include_str!("../../schema.cql").trim_end();
    assert_eq!(machine.run(&["schema", "apply", "--print"]).done(), ddl);
    let keyspace = ["schema", "apply", "--print", "--set", "cql.replication=dc1=3,dc2=1", "--set", "cql.keyspace=k"];
    let expected = "CREATE KEYSPACE IF NOT EXISTS k WITH replication = \
                    {'class': 'NetworkTopologyStrategy', 'dc1': 3, 'dc2': 1};";
    let ended = machine.run(&keyspace);
    assert_eq!(ended.done().split_once("\n\n").unwrap(), (expected, ddl));
}

#[test]
fn settings_that_cannot_be_used_are_said_with_code_64() {
    let machine = Machine::new();
    let expected =
        "rollcall: --set: `cql.replication` holds \"dc1\": write a data centre and its copies, such as dc1=3";
    let ended = machine.run(&["schema", "apply", "--print", "--set", "cql.replication=dc1"]);
    assert_eq!(ended.failed(64), expected);
    let ended = machine.run(&["config", "check", "--set", "log.kind=redis"]);
    assert_eq!(ended.failed(64), "rollcall: --set: `log.kind` takes \"embedded\" or \"cql\", not \"redis\"");
    let user = ["config", "check", "--set", "log.kind=cql", "--set", "cql.user=ann"];
    let expected = "rollcall: --set: `cql.user` is set and no password: set `cql.password_file`";
    assert_eq!(machine.run(&user).failed(64), expected);
    let certificates = ["schema", "apply", "--set", "cql.tls_ca_file=none.pem"];
    let expected = "rollcall: failed to use the certificates in none.pem: No such file or directory (os error 2)";
    assert_eq!(machine.run(&certificates).failed(64), expected);
}

#[test]
fn servers_that_are_not_there_are_said_with_code_69() {
    let machine = Machine::new();
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let contact_points = format!("cql.contact_points={free}");
    let own = ["--set", "log.kind=cql", "--set", &contact_points];
    let ports = ["--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"];
    for command in [&["schema", "apply"][..], &[&["serve"][..], &ports].concat()] {
        let ended = machine.run(&[command, &own].concat());
        let text = ended.failed(69);
        assert!(text.contains(&format!("failed to reach a CQL server at {free}: ")), "{text}");
    }
}
