//! `modelmill push`: brings a version of a model into a repository, in the order that keeps half a version from being served.
//!
//! The files first, `model.onnx` last among them, since nothing is a version without it, and `manifest.json` after all of
//! them. What broke off is not a version yet, and the same command goes on with it.

use std::{
    path::PathBuf,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::Context;
use bytesize::ByteSize;
use clap::Args;

use super::{UsageError, print, signals};
use crate::{
    config,
    store::{S3Config, S3Store, StoreError},
};

use progress::Progress;
use target::{Place, Target};
use version::Version;

mod bucket;
mod folder;
mod progress;
mod target;
mod version;

/// Upload a model version into a repository
///
/// All files of the folder are sent, and manifest.json last: workers take the version the moment it is complete. A manifest that
/// is in the folder already is held against the files first; without one it is made.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    modelmill push build/ s3://models/production/iris/4\n  \
    modelmill push build/ s3://models/iris/4 --server server.yaml      # the endpoint as the workers know it\n  \
    modelmill push build/ s3://models/iris/4 --endpoint http://localhost:9000\n  \
    modelmill push build/ /srv/models/iris/4\n\n\
    What broke off goes on with the same command: files that are there with the same sha256 (which goes with each as\n\
    metadata) are not sent again.\n\n\
    Exit codes: 0 the version is there, 1 it is not, 2 the arguments are wrong.")]
pub struct PushArgs {
    /// The folder of the version: model.onnx and what lies beside it
    #[arg(value_name = "FOLDER")]
    pub folder: PathBuf,
    /// Where the version goes: the repository, then /MODEL/VERSION
    #[arg(value_name = "s3://BUCKET/PREFIX/MODEL/VERSION|PATH")]
    pub target: String,
    /// Replace the version if it is there. Workers notice, and load it anew
    #[arg(long)]
    pub replace: bool,
    /// Reach the bucket as `models.s3` of this server file says
    #[arg(long, value_name = "FILE", env = "MODELMILL_SERVER")]
    pub server: Option<PathBuf>,
    /// The address of the S3 server; by default $AWS_ENDPOINT_URL, else AWS
    #[arg(long, value_name = "URL")]
    pub endpoint: Option<String>,
    /// The bucket's region; by default $AWS_REGION, or the profile's
    #[arg(long)]
    pub region: Option<String>,
    /// The profile of the shared credentials file; by default $AWS_PROFILE
    #[arg(long)]
    pub profile: Option<String>,
    /// A credentials file of its own, in the form of ~/.aws/credentials
    #[arg(long, value_name = "FILE")]
    pub credentials_file: Option<PathBuf>,
    /// A PEM file of authorities to trust beside the system's; by default $AWS_CA_BUNDLE
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// Whether the bucket stands in the path of the address; by default it does unless the server is AWS
    #[arg(long, value_name = "BOOL")]
    pub path_style: Option<bool>,
}

/// What became of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// The version is there now; so many bytes were sent.
    Sent(u64),
    /// It was there, the very same.
    AlreadyThere,
}

/// Pushes a version.
///
/// # Errors
/// If the folder is no version, its manifest does not fit it, the target holds another one, or the way there fails.
pub fn run(args: &PushArgs) -> anyhow::Result<ExitCode> {
    let target = Target::parse(&args.target).map_err(UsageError)?;
    let s3 = args.s3()?;
    let version = Version::read(&args.folder)?;
    let cancelled = Arc::new(AtomicBool::new(false));
    let heard = Arc::clone(&cancelled);
    signals::listen(move || {
        if heard.swap(true, Ordering::AcqRel) {
            std::process::exit(130);
        }
    })?;
    let progress = Progress::new(version.size(), cancelled);
    let pushed = match &target.place {
        Place::Bucket(url) => {
            let store = S3Store::open(url, &s3).map_err(|error| UsageError(error.to_string()))?;
            bucket::push(&store, &version, args.replace, &progress)
        }
        Place::Folder(folder) => folder::push(folder, &version, args.replace, &progress),
    };
    progress.finish();
    match pushed.with_context(|| format!("{target} is not pushed"))? {
        Pushed::Sent(bytes) => print(format!("{target} is complete: {} sent\n", ByteSize(bytes)))?,
        Pushed::AlreadyThere => print(format!("{target} is there already, the same in every byte\n"))?,
    }
    Ok(ExitCode::SUCCESS)
}

impl PushArgs {
    /// As the server file says, but for what the arguments say.
    fn s3(&self) -> anyhow::Result<S3Config> {
        let file = self.server.as_deref().map(config::load_server).transpose()?;
        let file = file.map(|server| server.models.s3).unwrap_or_default();
        let named = self.profile.is_some() || self.credentials_file.is_some();
        Ok(S3Config {
            endpoint: self.endpoint.clone().or(file.endpoint),
            region: self.region.clone().or(file.region),
            path_style: self.path_style.or(file.path_style),
            // Who may read without credentials needs them for writing all the same.
            anonymous: file.anonymous && !named,
            profile: self.profile.clone().or(file.profile),
            credentials_file: self.credentials_file.clone().or(file.credentials_file),
            ca_file: self.ca_file.clone().or(file.ca_file),
        })
    }
}

/// The refusal to write over a version.
fn exists(what: &str) -> anyhow::Error {
    anyhow::anyhow!(
        "{what}; versions are not changed once they are there: push it under the next number, or say --replace"
    )
}

/// What a cancelled push leaves.
fn cancelled(error: StoreError) -> anyhow::Error {
    match error {
        StoreError::Cancelled => anyhow::anyhow!("cancelled; the same command goes on with it"),
        other => other.into(),
    }
}
