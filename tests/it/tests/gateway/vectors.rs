//! The golden frames of refusals, which the page about the protocol shows, are what this server says.

use rollcall_actors::room::Refusal;
use rollcall_actors::shell::{diverged, expired};
use rollcall_it::server::TestServer;
use rollcall_protocol::{ErrorFrame, Format, Seq};
use serde_json::Value;

/// Reads a golden frame.
fn golden(name: &str) -> Value {
    let path = format!("{}/../../protocol/vectors/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn golden_refusals_are_those_of_the_rooms() {
    let cases: [(&str, ErrorFrame); 10] = [
        ("error_busy", Refusal::Busy.to_frame(true)),
        ("error_outcome_unknown", Refusal::OutcomeUnknown.to_frame(true)),
        ("error_out_of_order", Refusal::OutOfOrder { last: 3 }.to_frame(true)),
        ("error_out_of_order_open", Refusal::OutOfOrder { last: 3 }.to_frame(false)),
        ("error_conflict", Refusal::Conflict.to_frame(false)),
        ("error_unknown_device", Refusal::UnknownDevice.to_frame(true)),
        ("error_not_found", Refusal::Target(Seq::new(99)).to_frame(true)),
        ("error_expired", expired(Seq::new(5), Seq::new(4097))),
        ("error_diverged", diverged(Seq::new(5), Seq::new(8))),
        ("left", expired(Seq::new(5), Seq::new(4097))),
    ];
    for (name, said) in cases {
        let golden = golden(name);
        let error = golden.get("error").or_else(|| golden.pointer("/left/error")).unwrap();
        assert_eq!(*error, serde_json::to_value(said).unwrap(), "{name}");
    }
}

#[tokio::test]
async fn golden_refusals_are_those_of_the_gateway() {
    let server = TestServer::build().start().await;
    let mut raw = server.user(Format::Json, "ann").await;
    // Of a field that is wrong, JSON tells the place, too, and the golden frame is that of both formats.
    for (name, command) in [("error_unknown_op", r#"{"id":8,"dance":{}}"#), ("error_without_id", "rubbish")] {
        raw.send_bytes(command.as_bytes()).await;
        let golden = golden(name);
        let said = match golden["id"].as_u64() {
            Some(id) => raw.reply(id).await.unwrap_err(),
            None => raw.nameless_error().await,
        };
        assert_eq!(serde_json::to_value(said).unwrap(), golden["error"], "{name}");
    }
    server.stop().await;
}
