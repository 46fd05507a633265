//! Text that must never be shown.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

/// What is shown in the place of a secret.
const HIDDEN: &str = "***";

/// A text that `Debug`, `Display` and serde show as `***`.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the text itself: for keys of signatures and for nothing that is printed.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(HIDDEN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_shown_by_nothing() {
        let secret = Secret::new("canary");
        let shown = [format!("{secret:?}"), format!("{secret}"), serde_json::to_string(&secret).unwrap()];
        assert_eq!(shown, ["***", "***", "\"***\""]);
        assert_eq!(secret.reveal(), "canary");
    }
}
