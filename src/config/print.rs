//! Writes a configuration as the file that would make it.

use std::fmt::Write;

use toml::{Table, Value};

use super::{Config, Loaded, SECTIONS, SectionRow, SettingRow};

/// Returns a commented file that says what the defaults say.
pub fn default_toml() -> String {
    let head = "# Settings of rollcall, each at its default. What stands here is overruled by ROLLCALL__SECTION__KEY in the\n\
                # environment, and that by flags. `rollcall config check` finds mistakes, `rollcall config show` says what holds.\n";
    let tree = tree_of(&Config::default());
    let mut text = head.to_owned();
    for section in SECTIONS {
        text.push('\n');
        comment(&mut text, section.meaning);
        line(&mut text, &format!("[{}]", section.name));
        for row in section.settings {
            comment(&mut text, row.meaning);
            match value_of(&tree, row) {
                Some(value) => line(&mut text, &format!("{} = {value}", row.key)),
                None => line(&mut text, &format!("# {} takes {}; not set", row.key, row.expected)),
            }
        }
    }
    text
}

/// Returns the values that hold, as a file, with where each came from. Secrets are hidden.
pub fn effective_toml(loaded: &Loaded) -> String {
    let tree = tree_of(&loaded.config);
    let mut text = String::new();
    for section in SECTIONS {
        if !text.is_empty() {
            text.push('\n');
        }
        line(&mut text, &format!("[{}]", section.name));
        for row in section.settings {
            let shown = match value_of(&tree, row) {
                Some(value) => format!("{} = {value}", row.key),
                None => format!("# {} is not set", row.key),
            };
            line(&mut text, &format!("{shown:<50} # {}", loaded.sources.of(row.name)));
        }
    }
    text
}

/// Returns the values that hold with where each came from, by section and key: `{"value", "source"}`. Secrets are hidden, and
/// what is not set is null.
///
/// # Panics
/// Never: the values are plain.
pub fn effective_json(loaded: &Loaded) -> serde_json::Value {
    let tree = tree_of(&loaded.config);
    let setting = |row: &SettingRow| {
        let value = serde_json::to_value(value_of(&tree, row)).expect("a configuration is a tree of plain values");
        let source = loaded.sources.of(row.name).to_string();
        (row.key.to_owned(), serde_json::json!({"value": value, "source": source}))
    };
    let section = |section: &SectionRow| (section.name.to_owned(), section.settings.iter().map(setting).collect());
    serde_json::Value::Object(SECTIONS.iter().map(section).collect())
}

/// Returns the values as a tree; settings that are not set are left out, and secrets show as `***`.
fn tree_of(config: &Config) -> Table {
    Table::try_from(config).expect("a configuration is a tree of plain values")
}

fn value_of<'a>(tree: &'a Table, row: &SettingRow) -> Option<&'a Value> {
    let (section, key) = row.name.split_once('.').expect("a setting has a section");
    tree.get(section)?.get(key)
}

fn comment(text: &mut String, lines: &[&str]) {
    for words in lines {
        line(text, &format!("# {}", words.trim()));
    }
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("a string takes everything");
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_default_file_parses_back_to_the_defaults() {
        let text = default_toml();
        let loaded = Loaded::of_layers(Some((Path::new("default.toml"), &text)), Vec::new(), &[]).unwrap();
        assert_eq!(loaded.config, Config::default());
        for row in SECTIONS.iter().flat_map(|section| section.settings) {
            assert!(text.contains(&format!("\n{} = ", row.key)) || text.contains(&format!("\n# {} takes ", row.key)));
        }
    }

    #[test]
    fn what_holds_is_shown_with_its_source_and_without_secrets() {
        let file = "[auth]\nsecret = \"canary-canary-canary-canary-canary\"\n[rooms]\nidle_ms = 5\n";
        let variables = vec![("ROLLCALL__ROOMS__RING_ENTRIES_MAX".to_owned(), "7".to_owned())];
        let loaded = Loaded::of_layers(Some((Path::new("a.toml"), file)), variables, &[]).unwrap();
        let shown = effective_toml(&loaded);
        let lines: Vec<String> =
            shown.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        for expected in [
            "secret = \"***\" # a.toml:2",
            "idle_ms = 5 # a.toml:4",
            "ring_entries_max = 7 # ROLLCALL__ROOMS__RING_ENTRIES_MAX",
            "public = \"127.0.0.1:7400\" # default",
            "# guests is not set # default",
        ] {
            assert!(lines.iter().any(|line| line == expected), "{expected} is not in\n{shown}");
        }
        assert!(!shown.contains("canary"));
    }
}
