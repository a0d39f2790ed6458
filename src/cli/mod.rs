//! One file per subcommand.
pub mod connection;
pub mod load;
pub mod send;
