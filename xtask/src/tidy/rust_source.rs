//! Rust source as far as the rules need to read it: what is code, what is comment, and what is only built for tests.
//!
//! A lexer and not a parser, so that it reads a file that does not compile, and any edition.

/// One Rust file, line by line.
#[derive(Debug)]
pub struct RustSource {
    /// The whole text, in which comments and the contents of strings and chars are spaces. Byte positions and lines are
    /// those of the file.
    pub code: String,
    /// The whole text, in which everything but comments is spaces.
    pub comments: String,
    /// Whether the file says of itself that it is built for tests only.
    pub is_all_test: bool,
    /// Modules in other files that are declared under `#[cfg(test)]`.
    pub test_modules: Vec<String>,
    test_lines: Vec<bool>,
}

impl RustSource {
    /// Reads the text of a file.
    pub fn read(text: &str) -> RustSource {
        let (code, comments) = split_comments(text);
        let mut source = RustSource {
            is_all_test: code.contains("#![cfg(test)]"),
            test_modules: Vec::new(),
            test_lines: vec![false; text.lines().count() + 1],
            code,
            comments,
        };
        source.find_test_items();
        source
    }

    /// Returns the lines of code with their numbers, from 1.
    pub fn code_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    /// Returns the lines of code that are not built for tests only, with their numbers.
    pub fn shipped_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code_lines().filter(|&(line, _)| !self.is_test_line(line))
    }

    /// Returns the comment on a line, or nothing.
    pub fn comment_on(&self, line: usize) -> &str {
        self.comments.lines().nth(line - 1).unwrap_or_default().trim()
    }

    /// Tells whether a line belongs to an item under `#[cfg(test)]` or `#[test]`.
    pub fn is_test_line(&self, line: usize) -> bool {
        self.is_all_test || self.test_lines.get(line - 1).copied().unwrap_or(false)
    }

    /// Returns the number of the line that holds this byte.
    pub fn line_at(&self, position: usize) -> usize {
        1 + self.code.as_bytes()[..position].iter().filter(|&&byte| byte == b'\n').count()
    }

    fn find_test_items(&mut self) {
        let code = self.code.as_bytes();
        let mut position = 0;
        while let Some(start) = self.code[position..].find("#[").map(|offset| position + offset) {
            let attribute_end = end_of_group(code, start + 1);
            position = attribute_end;
            if !is_test_attribute(&self.code[start..attribute_end]) {
                continue;
            }
            let item_end = end_of_item(code, attribute_end);
            if let Some(module) = out_of_line_module(&self.code[attribute_end..item_end]) {
                self.test_modules.push(module.to_owned());
            }
            let (first, last) = (self.line_at(start), self.line_at(item_end.min(code.len())));
            self.test_lines[first - 1..last].fill(true);
            position = item_end;
        }
    }
}

/// Tells whether a line of code holds this token or path, not as a part of a longer word.
pub fn contains_token(code: &str, token: &str) -> bool {
    token_positions(code, token).next().is_some()
}

/// Returns where a line of code holds this token or path, not as a part of a longer word.
pub fn token_positions<'a>(code: &'a str, token: &'a str) -> impl Iterator<Item = usize> + 'a {
    let is_word = |byte: Option<&u8>| byte.is_some_and(|byte| is_word_byte(*byte));
    let (bytes, token_bytes) = (code.as_bytes(), token.as_bytes());
    code.match_indices(token).map(|(start, _)| start).filter(move |&start| {
        let before = start.checked_sub(1).and_then(|index| bytes.get(index));
        let after = bytes.get(start + token.len());
        let is_cut_before = is_word(token_bytes.first()) && is_word(before);
        let is_cut_after = is_word(token_bytes.last()) && is_word(after);
        !is_cut_before && !is_cut_after
    })
}

/// Tells whether a byte may be part of an identifier.
pub fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii()
}

/// Returns the position after the bracket that closes the one at `open`.
pub fn end_of_group(code: &[u8], open: usize) -> usize {
    let mut depth = 0_usize;
    for (index, byte) in code.iter().enumerate().skip(open) {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return index + 1;
        }
    }
    code.len()
}

/// Tells whether an attribute (`#[…]`) leaves its item to test builds.
fn is_test_attribute(attribute: &str) -> bool {
    let compact: String = attribute.chars().filter(|character| !character.is_whitespace()).collect();
    let is_condition =
        compact.starts_with("#[cfg(") && contains_token(&compact, "test") && !compact.contains("not(test)");
    let is_test_function = compact == "#[test]" || compact.ends_with("::test]") || compact.contains("::test(");
    is_condition || is_test_function
}

/// Returns the position after the item that starts at `start`, further attributes included.
fn end_of_item(code: &[u8], start: usize) -> usize {
    let mut index = start;
    while index < code.len() {
        match code[index] {
            b'{' => return end_of_group(code, index),
            b'(' | b'[' => index = end_of_group(code, index),
            b';' => return index + 1,
            // The end of what holds the item: a field or a variant without a semicolon.
            b'}' | b')' | b']' => return index,
            _ => index += 1,
        }
    }
    code.len()
}

/// Returns the name in `mod name;`, if the item is that.
fn out_of_line_module(item: &str) -> Option<&str> {
    let declaration = item.trim().strip_suffix(';')?;
    let (_, name) = declaration.rsplit_once("mod ")?;
    let name = name.trim();
    name.bytes().all(is_word_byte).then_some(name)
}

/// Splits a text into code and comments, each with spaces in place of the other and of the contents of strings.
fn split_comments(text: &str) -> (String, String) {
    let bytes = text.as_bytes();
    let mut code = blank(bytes);
    let mut comments = blank(bytes);
    let mut index = 0;
    while index < bytes.len() {
        let rest = &bytes[index..];
        let starts_word = index == 0 || !is_word_byte(bytes[index - 1]);
        let end = if rest.starts_with(b"//") {
            let end = index + rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
            comments[index..end].copy_from_slice(&bytes[index..end]);
            end
        } else if rest.starts_with(b"/*") {
            let end = index + block_comment_length(rest);
            comments[index..end].copy_from_slice(&bytes[index..end]);
            end
        } else if let Some(length) = starts_word.then(|| raw_string_length(rest)).flatten() {
            index + length
        } else if rest[0] == b'"' {
            index + quoted_length(rest, b'"')
        } else if rest[0] == b'\'' && is_char_literal(&text[index + 1..]) {
            index + quoted_length(rest, b'\'')
        } else {
            code[index] = bytes[index];
            index += 1;
            continue;
        };
        if !rest.starts_with(b"/") {
            // The quotes stay, so that a string is still something.
            code[index] = b'"';
            code[end - 1] = b'"';
        }
        index = end;
    }
    let text_of = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (text_of(code), text_of(comments))
}

fn blank(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|&byte| if byte == b'\n' { b'\n' } else { b' ' }).collect()
}

/// The length of a block comment, which may hold others.
fn block_comment_length(rest: &[u8]) -> usize {
    let (mut depth, mut index) = (0_usize, 0);
    while index < rest.len() {
        if rest[index..].starts_with(b"/*") {
            depth += 1;
            index += 2;
        } else if rest[index..].starts_with(b"*/") {
            depth -= 1;
            index += 2;
            if depth == 0 {
                return index;
            }
        } else {
            index += 1;
        }
    }
    rest.len()
}

/// The length of a raw string with its prefix, if the text starts with one.
fn raw_string_length(rest: &[u8]) -> Option<usize> {
    let prefix = if rest[0] == b'r' { 1 } else { 2 };
    if !matches!(rest.get(..prefix)?, b"r" | b"br" | b"cr") {
        return None;
    }
    let hashes = rest[prefix..].iter().take_while(|&&byte| byte == b'#').count();
    let body = prefix + hashes + 1;
    if rest.get(body - 1) != Some(&b'"') {
        return None;
    }
    let mut close = vec![b'"'];
    close.resize(1 + hashes, b'#');
    let length = rest[body..].windows(close.len()).position(|window| window == close);
    Some(length.map_or(rest.len(), |length| body + length + close.len()))
}

/// The length of a string or char with its quotes.
fn quoted_length(rest: &[u8], quote: u8) -> usize {
    let mut index = 1;
    while index < rest.len() {
        match rest[index] {
            b'\\' => index += 2,
            byte if byte == quote => return index + 1,
            _ => index += 1,
        }
    }
    rest.len()
}

/// Tells a char (`'a'`, `'\n'`) from a lifetime (`'a`), by what follows the quote.
fn is_char_literal(after_quote: &str) -> bool {
    let mut characters = after_quote.chars();
    match characters.next() {
        Some('\\') => true,
        Some(_) => characters.next() == Some('\''),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{RustSource, contains_token};

    fn code(text: &str) -> String {
        RustSource::read(text).code
    }

    #[test]
    fn comments_and_contents_of_strings_are_not_code() {
        assert_eq!(code("a(); // b()\nc();"), "a();       \nc();");
        assert_eq!(code("a /* b /* c */ d */ e"), format!("a {} e", " ".repeat(17)));
        assert_eq!(code(r#"f("x \" y", g)"#), r#"f("      ", g)"#);
        assert_eq!(code("f(r#\"a \" b\"#, br\"c\")"), format!("f(\"{}\", \"{}\")", " ".repeat(8), " ".repeat(3)));
        assert_eq!(code("'a' '\\'' '\"' x"), "\" \" \"  \" \" \" x");
        assert_eq!(code("fn f<'a>(x: &'a str) {}"), "fn f<'a>(x: &'a str) {}");
        assert_eq!(code("let r#type = 1;"), "let r#type = 1;");
        assert_eq!(code("var\"x\""), "var\" \"");
        assert_eq!(code("\"ä\" ä // ä"), format!("\"  \" ä {}", " ".repeat(5)));
    }

    #[test]
    fn text_that_ends_early_is_read_to_its_end() {
        for text in ["\"abc", "'\\", "r#\"abc", "/* abc", "#[cfg(test)]\nmod x {", "#[cfg(", "#", "\"\\"] {
            assert_eq!(RustSource::read(text).code.len(), text.len(), "{text}");
        }
    }

    #[test]
    fn comments_keep_their_lines() {
        let source = RustSource::read("a(); // pace: why\nb(\"// no comment\");");
        assert_eq!(source.comment_on(1), "// pace: why");
        assert_eq!(source.comment_on(2), "");
    }

    #[test]
    fn test_items_are_found_with_their_attributes() {
        let source = RustSource::read(
            "fn shipped() {}\n#[cfg(test)]\n#[expect(dead_code, reason = \"]\")]\nmod tests {\n    fn inner() {}\n}\n\
             fn shipped() {}\n#[tokio::test(flavor = \"current_thread\")]\nasync fn case() {\n}\n#[cfg(not(test))]\n\
             fn shipped() {}\n#[cfg(all(test, unix))] mod far;\nfn shipped() {}\n#[cfg(feature = \"test\")]\nfn shipped() {}",
        );
        let shipped: Vec<usize> = source.shipped_lines().map(|(line, _)| line).collect();
        assert_eq!(shipped, [1, 7, 11, 12, 14, 15, 16]);
        assert_eq!(source.test_modules, ["far"]);
    }

    #[test]
    fn tokens_are_whole_words() {
        assert!(contains_token("let x = rand::random();", "rand::"));
        assert!(!contains_token("let x = operand::new();", "rand::"));
        assert!(!contains_token("MyHashMapLike", "HashMap"));
        assert!(contains_token("x.await?", ".await"));
    }
}
