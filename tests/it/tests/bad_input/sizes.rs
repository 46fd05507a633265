//! Frames and texts at their limits and beyond.

use rollcall_it::raw::Raw;
use rollcall_it::server::TestServer;
use rollcall_protocol::limits::FRAME_BYTES_MAX;
use rollcall_protocol::{Body, ErrorCode, Format};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

#[tokio::test]
async fn a_frame_beyond_its_limit_is_told_so() {
    let server = TestServer::start().await;
    let mut bob = server.user(Format::Json, "bob").await;
    for format in Format::ALL {
        for length in [FRAME_BYTES_MAX + 1, 4 * FRAME_BYTES_MAX] {
            let mut alice = server.user(format, "alice").await;
            // A connection that is reset while the frame is under way could lose the verdict, and the client would come again.
            alice.try_send_message(alice.message(&vec![b' '; length])).await.unwrap();
            assert_eq!(alice.closed().await, Some(4503), "{length} bytes");
        }
        // In pieces, too.
        let mut alice = server.user(format, "alice").await;
        for piece in 0..4 {
            let kind = if format == Format::Json { Data::Text } else { Data::Binary };
            let opcode = OpCode::Data(if piece == 0 { kind } else { Data::Continue });
            alice.send_message(Message::Frame(Frame::message(vec![b' '; FRAME_BYTES_MAX / 3], opcode, false))).await;
        }
        assert_eq!(alice.closed().await, Some(4503));
        bob.barrier().await;
    }
}

#[tokio::test]
async fn a_frame_at_its_limit_is_read() {
    let server = TestServer::start().await;
    let mut alice = server.user(Format::Json, "alice").await;
    let mut frame = br#"{"id":7,"leave":{"room":"nobody.joined.this"}}"#.to_vec();
    frame.resize(FRAME_BYTES_MAX, b' ');
    alice.send_bytes(&frame).await;
    assert_eq!(alice.reply(7).await.unwrap_err().code, ErrorCode::NotJoined);
}

/// The same text in all the ways in which it may be written.
async fn send_text(raw: &mut Raw, n: u64, text: &str, escaped: bool) -> Result<u64, (ErrorCode, String)> {
    let id = raw.next_id();
    let body = if escaped {
        let units: String = text.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect();
        format!(r#"{{ "text" : "{units}" }}"#)
    } else {
        format!(r#"{{"text":"{text}"}}"#)
    };
    let bytes = match raw.format() {
        Format::Json => format!(r#"{{"id":{id},"send":{{"room":"general","n":{n},"body":{body}}}}}"#).into_bytes(),
        Format::MsgPack => {
            let mut bytes = b"\x82\xa2id\xcf".to_vec();
            bytes.extend(id.to_be_bytes());
            bytes.extend(b"\xa4send\x83\xa4room\xa7general\xa1n\xcf");
            bytes.extend(n.to_be_bytes());
            bytes.extend(b"\xa4body\x81\xa4text\xdb");
            bytes.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
            bytes.extend(text.as_bytes());
            bytes
        }
    };
    raw.send_bytes(&bytes).await;
    raw.ack(id).await.map(|ack| ack.seq.get()).map_err(|error| (error.code, error.message))
}

#[tokio::test]
async fn a_text_of_100_001_characters() {
    let server = TestServer::start().await;
    for format in Format::ALL {
        let mut alice = server.user(format, "alice").await;
        for (character, escaped) in [("x", false), ("𝄞", false), ("𝄞", true)] {
            if escaped && format == Format::MsgPack {
                continue;
            }
            let text = character.repeat(100_001);
            let (code, message) = send_text(&mut alice, 1, &text, escaped).await.unwrap_err();
            assert_eq!(code, ErrorCode::TooLarge);
            assert!(message.contains("100001") && message.contains("100000"), "{message}");
        }
        let bytes = format!(r#"{{"pad":"{}"}}"#, "x".repeat(512 * 1024));
        let body = Body::from_stored(bytes).unwrap();
        let write = rollcall_protocol::Write { body: Some(body), ..rollcall_it::raw::write("general", 1) };
        let error = alice.ask(rollcall_protocol::Op::Write(rollcall_protocol::WriteOp::Send, write)).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::TooLarge);
        assert!(error.message.contains("524288"), "{}", error.message);
    }
    let mut alice = server.user(Format::Json, "alice").await;
    assert_eq!(alice.join("general", Some(0)).await.unwrap().head.get(), 0, "nothing was stored");
}

#[tokio::test]
async fn a_text_of_100_000_characters_of_four_bytes_is_one_text_in_every_form() {
    let server = TestServer::start().await;
    let mut readers = Vec::new();
    for format in Format::ALL {
        let mut reader = server.user(format, &format!("reader{format:?}")).await;
        reader.join("general", Some(0)).await.unwrap();
        readers.push(reader);
    }
    // Each character is one of the last plane that has four bytes in UTF-8 and two units in UTF-16.
    let text: String = "\u{10FFFD}\u{1F600}".repeat(50_000);
    assert_eq!((text.chars().count(), text.len()), (100_000, 400_000));
    let ways = [(Format::Json, false), (Format::Json, true), (Format::MsgPack, false)];
    for (at, (format, escaped)) in (0..).zip(ways) {
        let mut writer = server.user(format, &format!("writer{at}")).await;
        assert_eq!(send_text(&mut writer, 1, &text, escaped).await, Ok(at + 2));
        drop(writer);
        // Whoever tries it again in another form says the same thing.
        for (again, escaped) in ways {
            let mut writer = server.user(again, &format!("writer{at}")).await;
            assert_eq!(send_text(&mut writer, 1, &text, escaped).await, Ok(at + 2));
        }
    }

    let expected = format!(r#"{{"text":"{text}"}}"#);
    for reader in &mut readers {
        for entry in &reader.entries_through("general", 0, 4).await[1..] {
            assert!(entry.body.as_ref().unwrap().as_str() == expected, "entry {} was delivered otherwise", entry.seq);
        }
        let page = reader
            .history("general", |h| {
                (h.limit, h.evidence, h.after) = (Some(2), true, Some(rollcall_protocol::Seq::FIRST));
            })
            .await
            .unwrap();
        for entry in &page.list {
            assert!(entry.body.as_ref().unwrap().as_str() == expected, "entry {} was stored otherwise", entry.seq);
            let hash = rollcall_protocol::hash::content(&entry.salt.unwrap(), Some(&expected));
            assert_eq!(entry.content_hash, Some(hash), "entry {} was hashed otherwise", entry.seq);
        }
    }
}
