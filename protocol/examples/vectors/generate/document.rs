//! Fills in the generated parts of a document: what stands between `<!-- generated: PART -->` and `<!-- end -->`.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::{Context, Result, bail};
use rollcall_protocol::limits::LIMITS;
use rollcall_protocol::{CloseCode, ERRORS, Verdict, verdict};
use serde_json::Value;

use super::files::frames;

const BEGIN: &str = "<!-- generated: ";
const END: &str = "<!-- end -->";

/// The length that a line of an example may have, in characters.
const LINE_CHARS_MAX: usize = 100;

/// Returns the document with each generated part as it must be now.
///
/// # Errors
/// Where a part has no end or a name that nothing is generated for.
pub fn fill_in(document: &str) -> Result<String> {
    let examples: BTreeMap<_, _> = frames().into_iter().map(|vector| (vector.name, vector.json)).collect();
    let mut filled = String::new();
    let mut rest = document;
    while let Some((before, from_name)) = rest.split_once(BEGIN) {
        let (name, after) = from_name.split_once(" -->\n").context("a generated part has no name")?;
        let (_, after) = after.split_once(END).with_context(|| format!("the generated part {name} has no end"))?;
        let part = match name {
            "errors" => errors(),
            "close codes" => close_codes(),
            "limits" => limits(),
            _ => match name.strip_prefix("example ").map(|name| (name, examples.get(name))) {
                Some((_, Some(json))) => example(json)?,
                _ => bail!("nothing is generated for {name}"),
            },
        };
        write!(filled, "{before}{BEGIN}{name} -->\n{part}{END}")?;
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

fn errors() -> String {
    let mut table = "| code | try again | HTTP | what it means and what to do |\n|---|---|---|---|\n".to_owned();
    for row in ERRORS {
        let retry = if row.retryable { "yes" } else { "no" };
        table += &format!("| `{}` | {retry} | {} | {} |\n", row.wire, row.http, row.meaning);
    }
    table
}

fn close_codes() -> String {
    let mut table = "| code | reason | connect again | what happened and what to do |\n|---|---|---|---|\n".to_owned();
    for code in CloseCode::ALL {
        let verdict = match verdict(Some(code.number())) {
            Verdict::Backoff => "with backoff",
            Verdict::AtOnce => "at once",
            Verdict::Stop => "no",
        };
        table += &format!("| {} | {} | {verdict} | {} |\n", code.number(), code.reason(), code.meaning());
    }
    table
}

fn limits() -> String {
    let mut table = "| limit | value | of what |\n|---|---|---|\n".to_owned();
    for row in LIMITS {
        table += &format!("| `{}` | {} | {} |\n", row.name.to_lowercase(), grouped(row.value), row.meaning.trim());
    }
    table
}

/// Writes a number with a comma before every third digit from the end.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}

fn example(json: &[u8]) -> Result<String> {
    let mut text = String::new();
    write_value(&serde_json::from_slice(json)?, 0, &mut text);
    Ok(format!("```json\n{text}\n```\n"))
}

/// Writes a value on one line if it fits, else each field or element on a line of its own.
fn write_value(value: &Value, indent: usize, out: &mut String) {
    let fields: Vec<(Option<&String>, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(key, value)| (Some(key), value)).collect(),
        Value::Array(items) => items.iter().map(|item| (None, item)).collect(),
        _ => Vec::new(),
    };
    let line = one_line(value);
    if fields.is_empty() || indent + line.chars().count() <= LINE_CHARS_MAX {
        out.push_str(&line);
        return;
    }
    let (open, close) = if value.is_object() { ('{', '}') } else { ('[', ']') };
    out.push(open);
    for (at, (key, value)) in fields.into_iter().enumerate() {
        out.push_str(if at > 0 { ",\n" } else { "\n" });
        out.push_str(&" ".repeat(indent + 2));
        if let Some(key) = key {
            out.push_str(&format!("{}: ", Value::from(key.as_str())));
        }
        write_value(value, indent + 2, out);
    }
    out.push('\n');
    out.push_str(&" ".repeat(indent));
    out.push(close);
}

fn one_line(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let field = |(key, value): (&String, &Value)| format!("{}: {}", Value::from(key.as_str()), one_line(value));
            format!("{{{}}}", fields.iter().map(field).collect::<Vec<_>>().join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(one_line).collect::<Vec<_>>().join(", ")),
        plain => plain.to_string(),
    }
}
