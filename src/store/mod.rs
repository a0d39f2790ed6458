//! Where model artefacts lie. A folder so far.

pub mod local;
