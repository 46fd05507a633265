//! The shape of the table of settings, and what makes the typed tree of it.

/// A group of settings: a table of the file.
#[derive(Debug)]
pub struct SectionRow {
    /// Its name in the file.
    pub name: &'static str,
    /// What it is about, a line of text each.
    pub meaning: &'static [&'static str],
    /// Its settings, in the order of the docs.
    pub settings: &'static [SettingRow],
}

/// One setting.
#[derive(Debug)]
pub struct SettingRow {
    /// Its whole name, `section.key`.
    pub name: &'static str,
    /// Its name within the section.
    pub key: &'static str,
    /// What it means, a line of text each.
    pub meaning: &'static [&'static str],
    /// What kind of value it takes, as an error names it.
    pub expected: &'static str,
    /// Whether its value must never be shown.
    pub is_secret: bool,
}

impl SettingRow {
    /// Returns the environment variable that sets it, `ROLLCALL__SECTION__KEY`.
    pub fn variable(&self) -> String {
        format!("{}{}", super::source::VARIABLE_PREFIX, self.name.replace('.', "__").to_uppercase())
    }
}

/// Makes the structs of the sections, the struct of them all, and the table of their rows.
macro_rules! settings {
    ($(
        $(#[doc = $about:literal])+
        $section:ident: $Section:ident {
            $( $(#[doc = $meaning:literal])+ $key:ident: $type:ty = $default:expr, )+
        }
    )+) => {
        $(
            $(#[doc = $about])+
            #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
            #[serde(default, deny_unknown_fields)]
            pub struct $Section {
                $( $(#[doc = $meaning])+ pub $key: $type, )+
            }

            impl Default for $Section {
                fn default() -> Self {
                    Self { $( $key: $default, )+ }
                }
            }
        )+

        /// Everything that an operator may set.
        #[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct Config {
            $( $(#[doc = $about])+ pub $section: $Section, )+
        }

        /// Every section with its settings, in the order of the docs.
        pub const SECTIONS: &[$crate::config::SectionRow] = &[$(
            $crate::config::SectionRow {
                name: stringify!($section),
                meaning: &[$($about),+],
                settings: &[$(
                    $crate::config::SettingRow {
                        name: concat!(stringify!($section), ".", stringify!($key)),
                        key: stringify!($key),
                        meaning: &[$($meaning),+],
                        expected: <$type as $crate::config::value::SettingValue>::EXPECTED,
                        is_secret: <$type as $crate::config::value::SettingValue>::IS_SECRET,
                    },
                )+],
            },
        )+];
    };
}

pub(super) use settings;
