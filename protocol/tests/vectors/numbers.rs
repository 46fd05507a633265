//! Numbers of the wire end at 2^53 - 1, wherever they stand.

use rollcall_protocol::Format;

use crate::wire::written;

#[test]
fn a_number_beyond_what_javascript_holds_is_refused() {
    let commands = [
        r#"{"id":#,"pong":{}}"#,
        r#"{"id":1,"hello":{"attempt":#}}"#,
        r#"{"id":1,"join":{"room":"r","after":#}}"#,
        r#"{"id":1,"send":{"room":"r","n":#}}"#,
        r#"{"id":1,"send":{"room":"r","n":1,"prev":#}}"#,
        r#"{"id":1,"send":{"room":"r","n":1,"since":#}}"#,
        r#"{"id":1,"edit":{"room":"r","n":1,"target":#}}"#,
        r#"{"id":1,"history":{"room":"r","after":#}}"#,
        r#"{"id":1,"history":{"room":"r","before":#}}"#,
        r#"{"id":1,"history":{"room":"r","around":#}}"#,
    ];
    for command in commands {
        for format in Format::ALL {
            let with = |number: &str| format.decode_command(&written(format, &command.replace('#', number)));
            assert!(with("9007199254740991").is_ok(), "{command} in {format:?}");
            assert!(with("0").is_ok(), "{command} in {format:?}");
            for number in ["9007199254740992", "18446744073709551615", "18446744073709551616", "-1", "1.0", "\"1\""] {
                assert!(with(number).is_err(), "{command} with {number} in {format:?}");
            }
        }
    }
}

#[test]
fn a_number_of_the_server_beyond_that_is_refused_too() {
    let frames = [
        r#"{"id":1,"ok":{"seq":#}}"#,
        r#"{"ping":{"heads":{"r":#}}}"#,
        r#"{"entries":{"room":"r","epoch":#,"list":[],"hash":"%"}}"#,
    ];
    for frame in frames {
        for format in Format::ALL {
            let frame = frame.replace('%', &"0".repeat(64));
            let with = |number: &str| format.decode(&written(format, &frame.replace('#', number)));
            assert!(with("9007199254740991").is_ok(), "{frame} in {format:?}");
            assert!(with("9007199254740992").is_err(), "{frame} in {format:?}");
        }
    }
}
