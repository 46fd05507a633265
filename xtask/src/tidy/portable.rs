//! Rule: no file names a path of one machine or a private package registry.

use super::Tree;
use super::rules::Finding;
use super::rust_source::is_word_byte;

/// Folders that are somebody's own. Written in two parts, since this file is checked as well.
const MACHINE_FOLDERS: &[&str] = &[concat!("/", "work/"), concat!("/", "root/"), concat!("/", "home/")];

/// Where lock files may say that a package came from.
const PUBLIC_SOURCES: &[&str] =
    &["registry+https://github.com/rust-lang/crates.io-index", "https://registry.npmjs.org/"];

/// Starts of settings that send a package manager elsewhere; they belong into a user's own configuration.
const REGISTRY_SETTINGS: &[&str] = &["registry=", "registry =", "[registries", "[source.", "index-url", "replace-with"];

/// Files in which such a setting would be one.
const SETTINGS_FILES: &[&str] = &[".npmrc", ".yarnrc.yml", "config.toml", "pip.conf", "bunfig.toml"];

/// Words of host names that only a mirror has.
const MIRROR_WORDS: &[&str] = &["mirror", "artifactory", "nexus", "registry", "pypi-proxy", "npm-proxy"];

/// Finds paths and registries that only some machine has.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, file) in tree.files() {
        let name = path.rsplit('/').next().unwrap_or(path);
        for (index, text) in file.text.lines().enumerate() {
            let mut find = |advice: String| findings.push(Finding::new(path, index + 1, advice));
            if let Some(folder) = MACHINE_FOLDERS.iter().find(|folder| names_folder(text, folder)) {
                find(format!(
                    "`{folder}` is a folder of one machine: name what lies in the repository, or take it as a setting"
                ));
            }
            if let Some(source) = foreign_source(name, text) {
                find(format!("`{source}` is no public registry: lock the packages again without a mirror"));
            } else if let Some(host) = mirror_host(text) {
                find(format!("`{host}` is a private registry: leave it to each machine's own configuration"));
            }
            let is_setting = SETTINGS_FILES.contains(&name)
                && REGISTRY_SETTINGS.iter().any(|setting| text.trim().starts_with(setting));
            if is_setting {
                find("a registry is each machine's own setting: remove it here".to_owned());
            }
        }
    }
    findings
}

/// Tells whether a text names a folder from the root: what stands before it is no part of the same path.
fn names_folder(text: &str, folder: &str) -> bool {
    text.match_indices(folder).any(|(start, _)| {
        let before = text[..start].bytes().next_back();
        before.is_none_or(|byte| !is_word_byte(byte) && !matches!(byte, b'.' | b'-' | b'/' | b'}' | b'*' | b'~'))
    })
}

/// Returns the source of a locked package, if it is no public one.
fn foreign_source<'a>(name: &str, text: &'a str) -> Option<&'a str> {
    let text = text.trim();
    let source = match name {
        "Cargo.lock" => text.strip_prefix("source = \""),
        "package-lock.json" => text.strip_prefix("\"resolved\": \""),
        _ => None,
    }?;
    let source = source.split('"').next()?;
    let is_remote = source.contains("://");
    (is_remote && !PUBLIC_SOURCES.iter().any(|public| source.starts_with(public))).then_some(source)
}

/// Returns the host of a URL that is some mirror's.
fn mirror_host(text: &str) -> Option<&str> {
    text.match_indices("://").find_map(|(start, separator)| {
        let rest = &text[start + separator.len()..];
        let host =
            rest.split(|character: char| !character.is_ascii_alphanumeric() && !"-.@_".contains(character)).next()?;
        let is_public = PUBLIC_SOURCES.iter().any(|public| public.contains(&format!("//{host}/")));
        let words = host.split(['.', '-', '@', '_']).collect::<Vec<_>>();
        (!is_public && MIRROR_WORDS.iter().any(|mirror| words.contains(mirror) || host.contains(&format!("{mirror}."))))
            .then_some(host)
    })
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::testing::places;

    #[test]
    fn what_any_machine_has_is_kept() {
        let files = [
            ("Cargo.lock", "source = \"registry+https://github.com/rust-lang/crates.io-index\""),
            ("web/package-lock.json", "\"resolved\": \"https://registry.npmjs.org/a/-/a-1.0.0.tgz\""),
            (".cargo/config.toml", "[alias]\nxtask = \"run\""),
            (
                "README.md",
                "docs/work/x, $HOME/home/x, ~/.config, https://docs.rs/home/x, /var/lib/rollcall, registry of rooms",
            ),
        ];
        assert_eq!(places(check, &files), [""; 0]);
    }

    #[test]
    fn what_one_machine_has_is_found() {
        let host = ["https://crates.", "mirror", ".example/index"].concat();
        for folder in super::MACHINE_FOLDERS {
            let text = format!("fine\nlet folder = \"{folder}x\";");
            assert_eq!(places(check, &[("src/a.rs", &text)]), ["src/a.rs:2"]);
        }
        let files = [
            (".npmrc", "registry=https://packages.example/"),
            ("Cargo.lock", "source = \"sparse+https://packages.example/index/\""),
            ("docs/a.md", host.as_str()),
        ];
        assert_eq!(places(check, &files), [".npmrc:1", "Cargo.lock:1", "docs/a.md:1"]);
    }
}
