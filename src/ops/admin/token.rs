//! The operators' token: drawn at the first start, kept in the data folder, where only the server's user can read it.

use std::fmt;
use std::io;
use std::path::Path;

use axum::http::{HeaderMap, header};

use crate::auth::{PrivateFileError, open_or_make};

/// The token's file in the data folder.
pub const ADMIN_TOKEN_FILE: &str = "admin-token";

/// Bytes that are drawn; the file has twice as many hexadecimal digits.
const TOKEN_BYTES: usize = 32;

/// A token that somebody has put there must be as hard to guess as one that is drawn, nearly.
const TOKEN_CHARS_MIN: usize = 32;

/// What an operator has to show.
#[derive(Clone)]
pub struct AdminToken(String);

impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdminToken(***)")
    }
}

impl AdminToken {
    /// Reads the token of a data folder, and draws one first where there is none. The folder is made too.
    ///
    /// # Errors
    /// Where the file cannot be used, or others on this machine may read it.
    pub fn open(data_dir: &Path) -> Result<Self, PrivateFileError> {
        let path = data_dir.join(ADMIN_TOKEN_FILE);
        let bytes = open_or_make(&path, || {
            let mut drawn = [0; TOKEN_BYTES];
            getrandom::fill(&mut drawn)?;
            let digits: String = drawn.iter().map(|byte| format!("{byte:02x}")).collect();
            Ok(format!("{digits}\n").into_bytes())
        })?;
        let token = String::from_utf8_lossy(&bytes).trim().to_owned();
        if token.len() < TOKEN_CHARS_MIN {
            let text = format!("it holds a token of {} characters, and {TOKEN_CHARS_MIN} are the least", token.len());
            return Err(PrivateFileError::Io { path, source: io::Error::new(io::ErrorKind::InvalidData, text) });
        }
        Ok(Self(token))
    }

    /// Tells whether a request shows the token, as `Authorization: Bearer …`. Takes as long for a wrong one as for the right one.
    pub fn is_shown_by(&self, headers: &HeaderMap) -> bool {
        let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let shown =
            shown.and_then(|value| value.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let Some((_, shown)) = shown else { return false };
        let (shown, own) = (shown.trim().as_bytes(), self.0.as_bytes());
        let differs = shown.iter().zip(own).fold(0, |differs, (a, b)| differs | (a ^ b));
        shown.len() == own.len() && differs == 0
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn showing(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())])
    }

    #[test]
    fn a_token_is_drawn_once_and_shown_by_whoever_can_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let token = AdminToken::open(folder.path()).unwrap();
        let path = folder.path().join(ADMIN_TOKEN_FILE);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let text = fs::read_to_string(path).unwrap();
        assert!(text.trim().len() == 64 && !format!("{token:?}").contains(text.trim()));
        let again = AdminToken::open(folder.path()).unwrap();
        assert!(again.is_shown_by(&showing(&format!("Bearer {}", text.trim()))));
        assert!(again.is_shown_by(&showing(format!("bearer  {text}").trim())));
        let other = text.trim().chars().rev().collect::<String>();
        for wrong in [
            format!("Bearer {other}"),
            format!("Basic {}", text.trim()),
            "Bearer ".to_owned(),
            text.trim()[1..].to_owned(),
        ] {
            assert!(!again.is_shown_by(&showing(&wrong)), "{wrong}");
        }
        assert!(!again.is_shown_by(&HeaderMap::new()));
    }

    #[test]
    fn a_token_that_could_be_guessed_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(ADMIN_TOKEN_FILE);
        fs::write(&path, "secret\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(AdminToken::open(folder.path()).is_err());
    }
}
