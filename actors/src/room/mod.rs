//! The room core.
