//! The names of nodes, and of their lives.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::ports::NodeId;

/// Length of a node's name, in bytes.
pub const NODE_NAME_BYTES_MAX: usize = 64;

/// One life of a node: drawn at random each time that it starts, so that what was meant for an earlier life is not taken for the
/// present one's. As text 16 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub u64);

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for Incarnation {
    type Err = NodeNameError;

    fn from_str(text: &str) -> Result<Self, NodeNameError> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != 16 || !text.bytes().all(is_digit) {
            return Err(NodeNameError::Incarnation);
        }
        u64::from_str_radix(text, 16).map(Self).map_err(|_| NodeNameError::Incarnation)
    }
}

/// A node in one of its lives: who sends an envelope, and whom it is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeRef {
    /// Its name.
    pub node: NodeId,
    /// Its present life.
    pub incarnation: Incarnation,
}

impl NodeRef {
    /// Names a node in one of its lives.
    pub fn new(node: NodeId, incarnation: Incarnation) -> Self {
        Self { node, incarnation }
    }
}

impl fmt::Display for NodeRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.node.0, self.incarnation)
    }
}

/// Why a text names no node, or no life of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NodeNameError {
    /// The name has another length or alphabet.
    #[error("a node's name has 1 to {NODE_NAME_BYTES_MAX} letters, digits and, after the first, `._-`")]
    Name,
    /// It is no number of 64 bits in hexadecimal.
    #[error("an incarnation has 16 lower-case hexadecimal digits")]
    Incarnation,
}

/// Parses a node's name: it is part of keys and channels, where braces and slashes mean something else.
///
/// # Errors
/// Where the text is empty, too long, or has a character outside the alphabet.
pub fn parse_node_id(text: &str) -> Result<NodeId, NodeNameError> {
    let fits = |(at, byte): (usize, u8)| byte.is_ascii_alphanumeric() || at > 0 && matches!(byte, b'.' | b'_' | b'-');
    if text.is_empty() || text.len() > NODE_NAME_BYTES_MAX || !text.bytes().enumerate().all(fits) {
        return Err(NodeNameError::Name);
    }
    Ok(NodeId(Arc::from(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_names_that_are_not() {
        for text in ["", "-a", "a b", "a{b}", "a/b", "ä", &"n".repeat(65)] {
            assert_eq!(parse_node_id(text), Err(NodeNameError::Name), "{text:?}");
        }
        for text in ["a", "node-1.eu_2", &"n".repeat(64)] {
            assert_eq!(&*parse_node_id(text).unwrap().0, text);
        }
    }

    #[test]
    fn an_incarnation_reads_back_from_its_text() {
        let incarnation = Incarnation(0x00ab_0000_0000_0001);
        assert_eq!(incarnation.to_string(), "00ab000000000001");
        assert_eq!("00ab000000000001".parse(), Ok(incarnation));
        for text in ["", "1", "+0ab000000000001", "00AB000000000001", "00ab0000000000011"] {
            assert_eq!(text.parse::<Incarnation>(), Err(NodeNameError::Incarnation), "{text:?}");
        }
    }
}
