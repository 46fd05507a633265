//! Markdown as far as the rules need to read it: code spans, commands in code blocks, links and headings.

use std::collections::BTreeSet;

/// Something in a document that a rule looks at.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// What stands between backticks in running text.
    Code(&'a str),
    /// A line that a reader would type: all lines of a shell block, lines after `$ ` in any other.
    Command(&'a str),
    /// The target of a link or an image.
    Link(&'a str),
}

/// Returns the pieces of a document with the numbers of their lines.
pub fn pieces(text: &str) -> Vec<(usize, Piece<'_>)> {
    let mut pieces = Vec::new();
    for line in lines(text) {
        let in_line: Vec<Piece<'_>> = match line.block {
            Some(language) => command(line.text, language).into_iter().collect(),
            None => inline(line.text),
        };
        pieces.extend(in_line.into_iter().map(|piece| (line.number, piece)));
    }
    pieces
}

/// Returns the anchors that a document's headings and `id`s give, as GitHub makes them.
pub fn anchors(text: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    for line in lines(text).filter(|line| line.block.is_none()) {
        if let Some(heading) = line.text.strip_prefix('#') {
            let heading = heading.trim_start_matches('#').trim();
            let slug: String = heading.to_lowercase().chars().filter_map(slug_character).collect();
            let repeated = (1..).map(|count| format!("{slug}-{count}"));
            let free = std::iter::once(slug.clone()).chain(repeated).find(|anchor| !anchors.contains(anchor));
            anchors.extend(free);
        }
        anchors.extend(attribute_values(line.text, "id").map(str::to_owned));
    }
    anchors
}

struct Line<'a> {
    number: usize,
    text: &'a str,
    /// The language of the code block that holds the line, if one does; may be empty.
    block: Option<&'a str>,
}

/// Returns all lines but the fences themselves.
fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    let mut open: Option<(&str, &str)> = None;
    text.lines().enumerate().filter_map(move |(index, text)| {
        let trimmed = text.trim_start();
        let mark = ["```", "~~~"].into_iter().find(|mark| trimmed.starts_with(mark));
        match (open, mark) {
            (None, Some(mark)) => {
                open = Some((mark, trimmed.trim_start_matches(['`', '~']).trim()));
                None
            }
            (Some((opened, _)), Some(mark)) if opened == mark => {
                open = None;
                None
            }
            _ => Some(Line { number: index + 1, text, block: open.map(|(_, language)| language) }),
        }
    })
}

/// Returns the command in a line of a code block.
fn command<'a>(line: &'a str, language: &str) -> Option<Piece<'a>> {
    let line = line.trim();
    if let Some(command) = line.strip_prefix("$ ") {
        return Some(Piece::Command(command));
    }
    let is_typed = matches!(language, "sh" | "bash" | "shell") && !line.is_empty() && !line.starts_with('#');
    is_typed.then_some(Piece::Command(line))
}

/// Returns the code spans and links of a line of running text.
fn inline(line: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = line;
    if let Some(target) = reference_definition(line) {
        return vec![Piece::Link(target)];
    }
    while let Some(start) = rest.find(['`', ']']) {
        let after = &rest[start..];
        if after.starts_with('`') {
            let ticks = &after[..after.len() - after.trim_start_matches('`').len()];
            let body = &after[ticks.len()..];
            let Some(length) = body.find(ticks) else { break };
            pieces.push(Piece::Code(body[..length].trim()));
            rest = &body[length + ticks.len()..];
        } else if let Some((target, _)) = after.strip_prefix("](").and_then(|link| link.split_once(')')) {
            let target = target.split_whitespace().next().unwrap_or_default();
            pieces.push(Piece::Link(target.trim_start_matches('<').trim_end_matches('>')));
            rest = &after[2..];
        } else {
            rest = &after[1..];
        }
    }
    pieces.extend(["href", "src"].iter().flat_map(|name| attribute_values(line, name)).map(Piece::Link));
    pieces
}

/// The target in `[label]: target`.
fn reference_definition(line: &str) -> Option<&str> {
    let (label, target) = line.strip_prefix('[')?.split_once("]:")?;
    let target = target.split_whitespace().next()?;
    (!label.contains(']') && !label.starts_with('^')).then_some(target)
}

/// The values of an HTML attribute.
fn attribute_values<'a>(line: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let opening = format!(" {name}=\"");
    line.match_indices(&opening)
        .filter_map(|(start, opening)| Some(line[start + opening.len()..].split_once('"')?.0))
        .collect::<Vec<_>>()
        .into_iter()
}

fn slug_character(character: char) -> Option<char> {
    match character {
        ' ' => Some('-'),
        '-' | '_' => Some(character),
        _ => character.is_alphanumeric().then_some(character),
    }
}

#[cfg(test)]
mod tests {
    use super::{Piece, anchors, pieces};

    #[test]
    fn spans_links_and_commands_are_told_apart() {
        let text = "\
See `a.rs`, ``b `c` d`` and [the map](ARCHITECTURE.md \"map\"), [x][y], ![i](<i.png>) [`code`](c.rs)
```console
$ cargo xtask check
everything passed
```
```sh
# a comment
cargo xtask test   # all
```
[y]: docs/y.md
<img src=\"docs/logo.svg\"> ` unpaired";
        assert_eq!(
            pieces(text),
            [
                (1, Piece::Code("a.rs")),
                (1, Piece::Code("b `c` d")),
                (1, Piece::Link("ARCHITECTURE.md")),
                (1, Piece::Link("i.png")),
                (1, Piece::Code("code")),
                (1, Piece::Link("c.rs")),
                (3, Piece::Command("cargo xtask check")),
                (8, Piece::Command("cargo xtask test   # all")),
                (10, Piece::Link("docs/y.md")),
                (11, Piece::Link("docs/logo.svg")),
            ]
        );
    }

    #[test]
    fn anchors_are_those_of_github() {
        let text =
            "# The promise\n## P1: one order, *always*\n## The promise\n```\n# no heading\n```\n<a id=\"here\"></a>";
        let anchors = anchors(text);
        let anchors: Vec<&str> = anchors.iter().map(String::as_str).collect();
        assert_eq!(anchors, ["here", "p1-one-order-always", "the-promise", "the-promise-1"]);
    }
}
