//! Steps over columns of features, and over the set of columns itself.

pub mod cast;
pub mod clip;
mod convert;
pub mod impute;
pub mod rename;
pub mod reshape;
pub mod select;
pub mod stack;
pub mod standardize;
mod statistics;
