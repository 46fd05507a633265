//! What decoding costs in memory: never more than a small multiple of what arrived, whatever a header claims.
//!
//! A test binary of its own, since it counts every allocation of the process; and one test, so that nothing else runs.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use rollcall_protocol::Format;
use rollcall_protocol::limits::FRAME_BYTES_MAX;

/// The system's allocator, with a count of what is in use.
struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

fn grow(bytes: usize) {
    let in_use = IN_USE.fetch_add(bytes, Ordering::Relaxed) + bytes;
    PEAK.fetch_max(in_use, Ordering::Relaxed);
}

#[expect(unsafe_code, reason = "an allocator cannot be written without; each call is passed on as it came")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        grow(new_size);
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.realloc(pointer, layout, new_size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Returns the most that was allocated at one time while the work was done, in bytes.
fn peak_of(work: impl FnOnce()) -> usize {
    let before = IN_USE.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    work();
    PEAK.load(Ordering::Relaxed) - before
}

/// A `send` with a body.
fn send(format: Format, body: &[u8]) -> Vec<u8> {
    match format {
        Format::Json => [br#"{"id":1,"send":{"room":"r","n":1,"body":"#.as_slice(), body, b"}}"].concat(),
        Format::MsgPack => [b"\x82\xa2id\x01\xa4send\x83\xa4room\xa1r\xa1n\x01\xa4body".as_slice(), body].concat(),
    }
}

/// Repeats a piece until a frame is nearly full.
fn fill(piece: &str) -> String {
    piece.repeat((FRAME_BYTES_MAX - 200) / piece.len())
}

#[test]
fn decoding_takes_memory_for_what_arrived_and_not_for_what_was_claimed() {
    let kib = 1024;
    for header in [b"\xdf", b"\xdd", b"\xdb", b"\xc6", b"\xc9"] {
        let claim = [header.as_slice(), &[0xff; 4], b"\xa1a\x01"].concat();
        let list = b"\x81\xa7entries\x84\xa4room\xa1r\xa5epoch\x01\xa4list\xdd\xff\xff\xff\xff".to_vec();
        for frame in
            [claim.clone(), send(Format::MsgPack, &claim), [b"\x82\xa2id\x01\xa4send".as_slice(), &claim].concat()]
        {
            let peak = peak_of(|| assert!(Format::MsgPack.decode_command(&frame).is_err()));
            assert!(peak < 16 * kib, "{frame:x?} took {peak} bytes");
        }
        for frame in [claim, list] {
            let peak = peak_of(|| assert!(Format::MsgPack.decode(&frame).is_err()));
            assert!(peak < 1024 * kib + 16 * kib, "{frame:x?} took {peak} bytes: more than serde reserves with care");
        }
    }

    let keys: String = (0..150_000).map(|number| format!("\"{number:x}\":0,")).collect();
    let json = [
        ("text", format!(r#"{{"text":"{}"}}"#, fill(r"\ud83d\udc19")), 4),
        ("array", format!("[{}1]", fill("1,")), 4),
        ("keys", format!("{{{}\"x\":0}}", &keys), 16),
        ("nesting", fill("["), 4),
        ("digits", fill("1"), 4),
        ("decimals", format!("0.{}", fill("1")), 4),
        ("whitespace", format!("{}1", fill(" ")), 4),
    ];
    for (what, body, times) in json {
        let frame = send(Format::Json, body.as_bytes());
        assert!(frame.len() <= FRAME_BYTES_MAX);
        let peak = peak_of(|| drop(Format::Json.decode_command(&frame)));
        assert!(peak < times * frame.len(), "{what}: a frame of {} bytes took {peak}", frame.len());
    }

    let wide = [b"\xdd\x00\x16\x00\x00".as_slice(), &[0xc0; 0x0016_0000]].concat();
    let frame = send(Format::MsgPack, &wide);
    let peak = peak_of(|| drop(Format::MsgPack.decode_command(&frame)));
    assert!(peak < 2 * frame.len(), "an array of nils took {peak} bytes");

    let misplaced = format!(r#"{{"id":"{}","pong":{{}}}}"#, fill("\\u0001"));
    let peak = peak_of(|| drop(Format::Json.decode_command(misplaced.as_bytes())));
    assert!(peak < 16 * misplaced.len(), "a text in a number's place took {peak} bytes");
}
