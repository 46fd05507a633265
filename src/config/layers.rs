//! Puts the layers on top of each other, checks each value where it was written, and remembers where it came from.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::{Table, Value};

use super::source::VARIABLE_PREFIX;
use super::{Config, ConfigError, SECTIONS, SectionRow, SettingRow, Source};

/// The file that is read where no other is named, if it is there.
const DEFAULT_FILE: &str = "rollcall.toml";

/// The longest piece of a value that an error repeats, in characters.
const SHOWN_CHARS_MAX: usize = 60;

/// Where each value was set that is not the default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources(BTreeMap<&'static str, Source>);

impl Sources {
    /// Returns where a setting, named `section.key`, got its value.
    pub fn of(&self, name: &str) -> &Source {
        self.0.get(name).unwrap_or(&Source::Default)
    }
}

/// A configuration that was read and checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The values.
    pub config: Config,
    /// Where each came from.
    pub sources: Sources,
    /// The file that was read, if one was.
    pub file: Option<PathBuf>,
}

/// A value given by a flag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlagValue {
    /// The flag, as errors name it.
    pub flag: String,
    /// The setting, `section.key`.
    pub name: String,
    /// The value, as text.
    pub value: String,
}

impl Loaded {
    /// Reads the file (`rollcall.toml` in the working folder, if there is one, where none is named), the process's environment
    /// and flags, and checks the whole.
    ///
    /// # Errors
    /// Where anything of it cannot be used; the error names the place and what would do.
    pub fn read(file: Option<&Path>, flags: &[FlagValue]) -> Result<Self, ConfigError> {
        let path = match file {
            Some(path) => Some(path.to_owned()),
            None => Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.exists()),
        };
        let text = match &path {
            Some(path) => Some(
                std::fs::read_to_string(path)
                    .map_err(|error| ConfigError::Unreadable { path: path.clone(), reason: error.to_string() })?,
            ),
            None => None,
        };
        let variables = own_variables(std::env::vars_os())?;
        Self::of_layers(path.as_deref().zip(text.as_deref()), variables, flags)
    }

    /// Puts layers that were read already on top of the defaults.
    ///
    /// # Errors
    /// As [`Loaded::read`].
    pub fn of_layers(
        file: Option<(&Path, &str)>,
        mut variables: Vec<(String, String)>,
        flags: &[FlagValue],
    ) -> Result<Self, ConfigError> {
        let mut layers = Layers::default();
        if let Some((path, text)) = file {
            layers.put_file(path, text)?;
        }
        variables.sort();
        for (variable, text) in variables {
            let name = variable.strip_prefix(VARIABLE_PREFIX).unwrap_or(&variable).replace("__", ".").to_lowercase();
            let row = find(&name).ok_or_else(|| ConfigError::Unknown {
                source_name: "environment".to_owned(),
                name: variable.clone(),
                nearest: nearest(&name).map(SettingRow::variable),
            })?;
            layers.put_text(row, &text, Source::Variable(variable))?;
        }
        for FlagValue { flag, name, value } in flags {
            let row = find(name).ok_or_else(|| ConfigError::Unknown {
                source_name: flag.clone(),
                name: name.clone(),
                nearest: nearest(name).map(|row| row.name.to_owned()),
            })?;
            layers.put_text(row, value, Source::Flag(flag.clone()))?;
        }
        let loaded = layers.finish(file.map(|(path, _)| path.to_owned()));
        loaded.config.check_with(&loaded.sources)?;
        Ok(loaded)
    }
}

/// The values so far: each fits its setting.
#[derive(Default)]
struct Layers {
    values: BTreeMap<&'static str, (&'static SettingRow, Value)>,
    sources: Sources,
}

impl Layers {
    fn put_file(&mut self, path: &Path, text: &str) -> Result<(), ConfigError> {
        let line_at = |offset: usize| text[..offset.min(text.len())].matches('\n').count() + 1;
        let source_at = |offset: usize| Source::File { path: path.to_owned(), line: line_at(offset) };
        let syntax = |error: toml::de::Error| ConfigError::Syntax {
            path: path.to_owned(),
            line: line_at(error.span().map_or(0, |span| span.start)),
            reason: error.message().to_owned(),
        };
        // Once for the places, once for the values.
        let places = toml::de::DeTable::parse(text).map_err(syntax)?;
        let values: Table = toml::from_str(text).map_err(syntax)?;
        for (section_name, section_places) in places.get_ref() {
            let place = source_at(section_name.span().start);
            let name: &str = section_name.get_ref();
            let Some(section) = SECTIONS.iter().find(|section| section.name == name) else {
                let first = section_places.get_ref().as_table().and_then(|table| table.keys().next());
                let whole = first.map_or_else(|| name.to_owned(), |key| format!("{name}.{}", key.get_ref()));
                return Err(ConfigError::Unknown {
                    source_name: place.to_string(),
                    name: name.to_owned(),
                    nearest: nearest_section(name, &whole),
                });
            };
            let (Some(places), Some(values)) = (section_places.get_ref().as_table(), values[name].as_table()) else {
                let example = section.settings[0].name.to_owned();
                return Err(ConfigError::Section { source_name: place.to_string(), name: name.to_owned(), example });
            };
            for key in places.keys() {
                let place = source_at(key.span().start);
                let row = setting_of(section, key.get_ref(), &place)?;
                self.put(row, values[row.key].clone(), place)?;
            }
        }
        Ok(())
    }

    /// Puts a value that is there as text: the first reading that the setting takes.
    fn put_text(&mut self, row: &'static SettingRow, text: &str, source: Source) -> Result<(), ConfigError> {
        let as_text = Value::String(text.to_owned());
        let list = text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(Value::from).collect();
        let readings = [
            Some(as_text.clone()),
            text.trim().parse().ok().map(Value::Integer),
            text.trim().parse().ok().map(Value::Boolean),
            Some(Value::Array(list)),
        ];
        let value = readings.into_iter().flatten().find(|value| fits(row, value)).unwrap_or(as_text);
        self.put(row, value, source)
    }

    fn put(&mut self, row: &'static SettingRow, value: Value, source: Source) -> Result<(), ConfigError> {
        if !fits(row, &value) {
            return Err(ConfigError::WrongType {
                source_name: source.to_string(),
                name: row.name,
                expected: row.expected,
                found: shown(row, &value),
            });
        }
        self.values.insert(row.name, (row, value));
        self.sources.0.insert(row.name, source);
        Ok(())
    }

    fn finish(self, file: Option<PathBuf>) -> Loaded {
        let mut tree = Table::new();
        for (name, (row, value)) in self.values {
            let section = name.split_once('.').expect("a setting has a section").0;
            let section = tree.entry(section).or_insert_with(|| Value::Table(Table::new()));
            section.as_table_mut().expect("a section is a table").insert(row.key.to_owned(), value);
        }
        let config = Config::deserialize(tree).expect("each value was tried by itself");
        Loaded { config, sources: self.sources, file }
    }
}

/// Tells whether a setting takes a value, by making a configuration with nothing else in it.
fn fits(row: &SettingRow, value: &Value) -> bool {
    let (section, key) = row.name.split_once('.').expect("a setting has a section");
    let inner = Table::from_iter([(key.to_owned(), value.clone())]);
    Config::deserialize(Table::from_iter([(section.to_owned(), Value::Table(inner))])).is_ok()
}

fn shown(row: &SettingRow, value: &Value) -> String {
    match value {
        Value::Table(_) => "a table".to_owned(),
        Value::Array(_) if row.is_secret => "a list".to_owned(),
        _ if row.is_secret => format!("a value of the type {}", value.type_str()),
        _ => {
            let text = value.to_string();
            let cut: String = text.chars().filter(|character| !character.is_control()).take(SHOWN_CHARS_MAX).collect();
            if cut.len() < text.len() { format!("{cut}…") } else { cut }
        }
    }
}

fn all_settings() -> impl Iterator<Item = &'static SettingRow> {
    SECTIONS.iter().flat_map(|section| section.settings)
}

fn find(name: &str) -> Option<&'static SettingRow> {
    all_settings().find(|row| row.name == name)
}

fn setting_of(section: &'static SectionRow, key: &str, place: &Source) -> Result<&'static SettingRow, ConfigError> {
    section.settings.iter().find(|row| row.key == key).ok_or_else(|| {
        let name = format!("{}.{key}", section.name);
        let nearest = nearest(&name).map(|row| row.name.to_owned());
        ConfigError::Unknown { source_name: place.to_string(), name, nearest }
    })
}

/// Takes the variables that are settings.
fn own_variables(variables: impl Iterator<Item = (OsString, OsString)>) -> Result<Vec<(String, String)>, ConfigError> {
    let is_own = |name: &OsString| name.as_encoded_bytes().starts_with(VARIABLE_PREFIX.as_bytes());
    let text = |name: &OsString, text: OsString| {
        text.into_string().map_err(|_| ConfigError::NotUtf8 { source_name: name.to_string_lossy().into_owned() })
    };
    variables
        .filter(|(name, _)| is_own(name))
        .map(|(name, value)| Ok((text(&name, name.clone())?, text(&name, value)?)))
        .collect()
}

/// Finds the setting that somebody most likely meant: one of the same key in another section before all others. None where
/// all are too far for a slip of the fingers.
fn nearest(name: &str) -> Option<&'static SettingRow> {
    let key = name.rsplit('.').next().unwrap_or(name);
    let distance = |row: &&SettingRow| {
        if row.key == key { 0 } else { strsim::damerau_levenshtein(row.name, name) }
    };
    let nearest = all_settings().min_by_key(distance)?;
    // A third of a name written wrongly is a slip still; more is another word.
    (distance(&nearest) <= name.chars().count().div_ceil(3)).then_some(nearest)
}

fn nearest_section(name: &str, whole: &str) -> Option<String> {
    // A key of a section that was written at the top, such as `public = …`, is nearer to its setting than to any section.
    if let Some(row) = all_settings().find(|row| row.key == name) {
        return Some(row.name.to_owned());
    }
    let by_name = SECTIONS.iter().map(|section| section.name).min_by_key(|section| strsim::levenshtein(section, name));
    match by_name.filter(|section| strsim::levenshtein(section, name) <= 2) {
        Some(section) => Some(section.to_owned()),
        None => nearest(whole).map(|row| row.name.to_owned()),
    }
}

#[cfg(test)]
mod tests;
