//! Bodies: what a message says, a JSON value.
//!
//! A body is stored as JSON text without insignificant whitespace, each string with the shortest escapes and each number
//! in the shortest form that reads back as the same value. Connections that speak MessagePack send and get native values. [`NewBody`] parses either
//! and shows in one pass that the value can be told in both, so that no committed body can poison a reader.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::limits;

/// A body as it is stored: JSON text that was normalised. Cloning shares the text.
#[derive(Clone)]
pub struct Body(Arc<RawValue>);

impl Body {
    /// Takes a body's text from a store, as it was normalised when it was written.
    ///
    /// # Errors
    /// Where it is not JSON: the store is damaged.
    pub fn from_stored(text: String) -> Result<Self, serde_json::Error> {
        Ok(Self(Arc::from(RawValue::from_string(text)?)))
    }

    /// Normalises a JSON value.
    ///
    /// # Errors
    /// Where it could not be sent as a body.
    pub fn from_value(value: &impl Serialize) -> Result<Self, BodyError> {
        let text = serde_json::to_string(value).map_err(|error| BodyError::Invalid(error.to_string()))?;
        serde_json::from_str::<NewBody>(&text).map_err(|error| BodyError::Invalid(error.to_string()))?.check()
    }

    /// Makes the conventional body of a text message, `{"text": …}`.
    ///
    /// # Errors
    /// Where the text has more than 100,000 characters.
    pub fn text(text: &str) -> Result<Self, BodyError> {
        Self::from_value(&std::collections::BTreeMap::from([("text", text)]))
    }

    /// Returns the stored JSON text.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// Reads the body as a value of the caller's type.
    ///
    /// # Errors
    /// Where it does not have that shape.
    pub fn parse<'a, T: Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.as_str())
    }
}

impl PartialEq for Body {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Body {}

impl std::hash::Hash for Body {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Debug for Body {
    /// Shows the size alone: what people say is never printed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} bytes)", self.as_str().len())
    }
}

impl Serialize for Body {
    /// Writes the text as it is to JSON, and native values to any other format.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            self.0.serialize(serializer)
        } else {
            let mut json = serde_json::Deserializer::from_str(self.as_str());
            serde_transcode::transcode(&mut json, serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Body {
    /// Takes a body that the server has normalised: JSON as it stands, native values transcoded.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            Ok(Self(Arc::from(Box::<RawValue>::deserialize(deserializer)?)))
        } else {
            let new = NewBody::deserialize(deserializer)?;
            Self::from_stored(new.text).map_err(de::Error::custom)
        }
    }
}

/// Why a value cannot be a body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Its `text` has too many characters.
    #[error("the text has {found} characters, more than {max}", max = limits::TEXT_CHARS_MAX)]
    Text {
        /// How many Unicode scalar values it has.
        found: usize,
    },
    /// The normalised text is too large.
    #[error("the body has more than {max} bytes", max = limits::BODY_BYTES_MAX)]
    Size,
    /// It is not a value that both formats can tell.
    #[error("{0}")]
    Invalid(String),
}

/// A body as a client sent it: normalised, its limits not checked yet.
///
/// Deserializing refuses what one of the formats could not tell: nesting beyond 64, a number that is not an i64, u64 or
/// finite f64, a lone surrogate, a duplicate key, a key that is not a string, binary data.
#[derive(Clone, Default, PartialEq)]
pub struct NewBody {
    text: String,
    /// The normalised text would have passed the limit, and was not kept.
    oversize: bool,
    /// Unicode scalar values in the top-level `text`.
    text_chars: usize,
}

impl NewBody {
    /// Checks the limits on size and text.
    ///
    /// # Errors
    /// Where one is passed.
    pub fn check(self) -> Result<Body, BodyError> {
        if self.text_chars > limits::TEXT_CHARS_MAX {
            return Err(BodyError::Text { found: self.text_chars });
        }
        if self.oversize {
            return Err(BodyError::Size);
        }
        Body::from_stored(self.text).map_err(|error| BodyError::Invalid(error.to_string()))
    }

    fn push(&mut self, text: &str) {
        if self.text.len() + text.len() > limits::BODY_BYTES_MAX {
            self.oversize = true;
        } else if !self.oversize {
            self.text.push_str(text);
        }
    }

    fn push_number(&mut self, number: impl fmt::Display) {
        let mut text = String::new();
        write!(text, "{number}").expect("writing to a string does not fail");
        self.push(&text);
    }

    fn push_string(&mut self, text: &str) {
        let plain = !text.bytes().any(|byte| byte < 0x20 || byte == b'"' || byte == b'\\');
        if plain {
            self.push("\"");
            self.push(text);
            self.push("\"");
        } else {
            self.push(&serde_json::to_string(text).expect("a string is always JSON"));
        }
    }
}

impl fmt::Debug for NewBody {
    /// Shows the size alone, as [`Body`] does.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NewBody({}{} bytes)", if self.oversize { "more than " } else { "" }, self.text.len())
    }
}

impl<'de> Deserialize<'de> for NewBody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut body = Self::default();
        Value { body: &mut body, depth: 0, is_text: false }.deserialize(deserializer)?;
        Ok(body)
    }
}

/// One value of a body, written to the body's text as it is read.
struct Value<'a> {
    body: &'a mut NewBody,
    /// How many arrays and objects it is in.
    depth: usize,
    /// Whether it is the value of the outermost object's `text`.
    is_text: bool,
}

impl Value<'_> {
    fn nested<E: de::Error>(&self) -> Result<usize, E> {
        let depth = self.depth + 1;
        if depth > limits::BODY_DEPTH_MAX {
            return Err(E::custom(format_args!("the body is nested more than {} deep", limits::BODY_DEPTH_MAX)));
        }
        Ok(depth)
    }
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of JSON: null, true, false, a number, a string, an array or an object")
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        self.body.push("null");
        Ok(())
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<(), E> {
        self.body.push(if value { "true" } else { "false" });
        Ok(())
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<(), E> {
        self.body.push_number(value);
        Ok(())
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<(), E> {
        self.body.push_number(value);
        Ok(())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<(), E> {
        if !value.is_finite() {
            return Err(E::custom("a number of the body is not finite"));
        }
        let text = serde_json::to_string(&value).map_err(E::custom)?;
        self.body.push(&text);
        Ok(())
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<(), E> {
        if self.is_text {
            self.body.text_chars = value.chars().count();
        }
        self.body.push_string(value);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let depth = self.nested()?;
        self.body.push("[");
        let mut first = true;
        while seq.next_element_seed(Element { body: self.body, depth, first })?.is_some() {
            first = false;
        }
        self.body.push("]");
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let depth = self.nested()?;
        self.body.push("{");
        let mut keys = Vec::new();
        while let Some(key) = map.next_key::<Key>()? {
            if !keys.is_empty() {
                self.body.push(",");
            }
            self.body.push_string(&key.0);
            self.body.push(":");
            let is_text = depth == 1 && &*key.0 == "text";
            map.next_value_seed(Value { body: self.body, depth, is_text })?;
            keys.push(key.0);
        }
        self.body.push("}");
        keys.sort_unstable();
        if keys.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(de::Error::custom("an object of the body has a key twice"));
        }
        Ok(())
    }
}

/// One element of an array, with the comma before it.
struct Element<'a> {
    body: &'a mut NewBody,
    depth: usize,
    first: bool,
}

impl<'de> DeserializeSeed<'de> for Element<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if !self.first {
            self.body.push(",");
        }
        Value { body: self.body, depth: self.depth, is_text: false }.deserialize(deserializer)
    }
}

/// A key of an object: a string in either format.
struct Key(Box<str>);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Key;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string as the key of an object")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Key, E> {
                Ok(Key(text.into()))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests;
