//! Makes the answer that ScyllaDB gives to a conditional statement of one that Cassandra gave.
//!
//! Cassandra answers with one row of the columns that it has something to say about. ScyllaDB answers with one row for each
//! statement of a batch, and every row has all columns of key and conditions, null where there is nothing.

/// The columns after `[applied]`, with their types in the protocol: a text is 13, a bigint 2, a uuid 12.
const COLUMNS: [(&str, u16); 6] =
    [("channel_id", 13), ("bucket", 2), ("message_id", 2), ("epoch", 2), ("owner", 12), ("last_seq", 2)];
const BOOLEAN: u16 = 4;
const ROWS: i32 = 2;
const GLOBAL_TABLE: i32 = 1;
/// As of a batch of an update and two inserts.
const STATEMENTS: i32 = 3;

/// Rewrites the body of a result of the CQL protocol, version 4, that has a column `[applied]`.
///
/// # Panics
/// Where the body is no such result.
pub fn as_scylladb(body: &[u8]) -> Vec<u8> {
    let mut rest = body;
    assert_eq!(int(&mut rest), ROWS);
    assert_eq!(int(&mut rest), GLOBAL_TABLE, "all columns are of one table, and there is one page");
    let count = int(&mut rest);
    let (keyspace, table) = (string(&mut rest), string(&mut rest));
    let names: Vec<&str> = (0..count)
        .map(|_| {
            let name = string(&mut rest);
            short(&mut rest);
            name
        })
        .collect();
    assert!(int(&mut rest) >= 1, "a conditional statement is answered with a row");
    let values: Vec<Option<&[u8]>> = (0..count).map(|_| bytes(&mut rest)).collect();
    let value_of = |name: &str| names.iter().position(|it| *it == name).and_then(|at| values[at]);

    let mut out = Vec::new();
    for number in [ROWS, GLOBAL_TABLE, 1 + i32::try_from(COLUMNS.len()).unwrap()] {
        out.extend(number.to_be_bytes());
    }
    put_string(&mut out, keyspace);
    put_string(&mut out, table);
    for (name, column_type) in [("[applied]", BOOLEAN)].into_iter().chain(COLUMNS) {
        put_string(&mut out, name);
        out.extend(column_type.to_be_bytes());
    }
    out.extend(STATEMENTS.to_be_bytes());
    for statement in 0..STATEMENTS {
        put_bytes(&mut out, value_of("[applied]"));
        for (name, _) in COLUMNS {
            put_bytes(&mut out, if statement == 0 { value_of(name) } else { None });
        }
    }
    out
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (taken, after) = rest.split_at(count);
    *rest = after;
    taken
}

fn int(rest: &mut &[u8]) -> i32 {
    i32::from_be_bytes(take(rest, 4).try_into().unwrap())
}

fn short(rest: &mut &[u8]) -> u16 {
    u16::from_be_bytes(take(rest, 2).try_into().unwrap())
}

fn string<'a>(rest: &mut &'a [u8]) -> &'a str {
    let length = short(rest);
    std::str::from_utf8(take(rest, length.into())).unwrap()
}

fn bytes<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    usize::try_from(int(rest)).ok().map(|length| take(rest, length))
}

fn put_string(out: &mut Vec<u8>, text: &str) {
    out.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
    out.extend(text.as_bytes());
}

fn put_bytes(out: &mut Vec<u8>, value: Option<&[u8]>) {
    let length = value.map_or(-1, |value| i32::try_from(value.len()).unwrap());
    out.extend(length.to_be_bytes());
    out.extend(value.unwrap_or_default());
}
