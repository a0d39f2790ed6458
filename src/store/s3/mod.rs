//! A model repository in a bucket: AWS S3 and whatever speaks its language.

pub use config::S3Config;

mod config;
