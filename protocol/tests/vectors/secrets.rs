//! Nothing that is printed for people who look after a server shows a token or what somebody said.

use rollcall_protocol::{Body, Format, Hello, NewBody, Refresh};

use crate::wire::written;

const CANARY: &str = "canary-7f3a";

#[track_caller]
fn assert_silent(printed: &str) {
    assert!(!printed.contains(CANARY), "{printed}");
}

#[test]
fn debug_shows_no_token_and_no_body() {
    let token = CANARY.to_owned();
    assert_silent(&format!(
        "{:?}",
        Hello { token: Some(token.clone()), session: Some(token.clone()), ..Hello::default() }
    ));
    assert_silent(&format!("{:?}", Refresh { token }));
    assert_silent(&format!("{:#?}", Body::text(CANARY).unwrap()));
    assert_silent(&format!("{:?}", serde_json::from_str::<NewBody>(&format!("\"{CANARY}\"")).unwrap()));
    let commands = [
        format!(r#"{{"id":1,"hello":{{"token":"{CANARY}"}}}}"#),
        format!(r#"{{"id":1,"refresh":{{"token":"{CANARY}"}}}}"#),
        format!(r#"{{"id":1,"send":{{"room":"r","n":1,"body":{{"text":"{CANARY}"}}}}}}"#),
        format!(r#"{{"id":1,"send":{{"room":"r","n":1,"body":{{"{CANARY}":1}}}}}}"#),
    ];
    let hash = "0".repeat(64);
    let entry = format!(r#"{{"seq":1,"kind":"message","created_at":0,"sender":"a","body":{{"text":"{CANARY}"}}}}"#);
    let frames = [
        format!(
            r#"{{"id":1,"ok":{{"connection":"c","user":"u","device":"d","token":"{CANARY}","server_time_ms":0,"ping_interval_ms":1,"pong_timeout_ms":1}}}}"#
        ),
        format!(r#"{{"entries":{{"room":"r","epoch":1,"list":[{entry}],"hash":"{hash}"}}}}"#),
        format!(r#"{{"id":1,"ok":{{"room":"r","head":1,"floor":1,"list":[{entry}],"hash":"{hash}"}}}}"#),
    ];
    for format in Format::ALL {
        for command in &commands {
            assert_silent(&format!("{:?}", format.decode_command(&written(format, command)).unwrap()));
        }
        for frame in &frames {
            let frame = format.decode(&written(format, frame)).unwrap();
            assert_silent(&format!("{frame:?}"));
            if let rollcall_protocol::Incoming::Ok(_, fields) = frame {
                assert_silent(&format!("{:?} {:?}", fields.clone().welcome(), fields.history()));
            }
        }
    }
}

#[test]
fn errors_repeat_nothing_that_was_sent() {
    let commands = [
        format!(r#"{{"id":"{CANARY}","pong":{{}}}}"#),
        format!(r#"{{"id":1,"hello":"{CANARY}"}}"#),
        format!(r#"{{"id":1,"hello":{{"token":"x","attempt":"{CANARY}"}}}}"#),
        format!(r#"{{"id":1,"hello":{{"device":"/{CANARY}"}}}}"#),
        format!(r#"{{"id":1,"send":"{CANARY}"}}"#),
        format!(r#"{{"id":1,"send":{{"room":"r","n":"{CANARY}"}}}}"#),
        format!(r#"{{"id":1,"send":{{"room":"r","n":"a\"{CANARY}\\\"{CANARY}"}}}}"#),
        format!(r#"{{"id":1,"send":{{"room":"r","n":1,"body":{{"{CANARY}":1,"{CANARY}":1}}}}}}"#),
        format!(r#"{{"id":1,"send":{{"room":"{CANARY}","{CANARY}":1}}}}"#),
        format!(r#"{{"id":1,"join":{{"room":"r","hash":"{CANARY}"}}}}"#),
    ];
    for format in Format::ALL {
        for command in &commands {
            let error = format.decode_command(&written(format, command)).unwrap_err();
            assert_silent(&format!("{error} {error:?}"));
        }
        let kind = format!(r#"{{"entries":{{"room":"r","epoch":1,"list":[{{"seq":1,"kind":{{"{CANARY}":1}}}}]}}}}"#);
        assert!(format.decode(&written(format, &kind)).is_err());
    }
}

/// Values are cut out of an error, so that a frame of 1.5 MiB does not come back as one.
#[test]
fn errors_are_short() {
    let long = "\\u0001".repeat(100_000);
    for format in Format::ALL {
        let error = format.decode_command(&written(format, &format!(r#"{{"id":"{long}"}}"#))).unwrap_err();
        assert!(error.to_string().len() < 200, "{} bytes", error.to_string().len());
    }
}
