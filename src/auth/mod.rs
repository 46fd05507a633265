//! Who somebody is and what that allows: tokens of users, tokens of guests.
//!
//! A user's token is a JWT signed with the configured secret (HS256 and nothing else). A guest's token is made here, signed with
//! a key that lies in the data folder, so that guests keep their names over a restart. The two have different keys, types and
//! issuers, and neither is ever taken for the other.

mod claims;
mod error;
mod guest_key;
mod identity;
mod private_file;
mod room_pattern;
mod verifier;

pub use claims::{Claims, issue};
pub use error::{AuthError, AuthSetupError};
pub use guest_key::GUEST_KEY_FILE;
pub use identity::Identity;
pub use private_file::{PrivateFileError, open_or_make};
pub use room_pattern::{PatternError, RoomPattern};
pub use verifier::{GUEST_NAME_PREFIX, Guest, TokenVerifier};
