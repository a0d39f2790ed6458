//! `modelmill manifest`: writes down what a version of a model consists of, so that half of it is never served.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use bytesize::ByteSize;
use clap::Args;

use super::print;
use crate::{
    codec::manifest::{FileEntry, Manifest},
    model::loader::sha256,
    store::{LocalStore, Store},
};

/// The file that a version is served from; without it there is no version.
pub const MODEL: &str = "model.onnx";

/// The list of a version's files.
pub const MANIFEST: &str = "manifest.json";

/// Write the manifest.json of a model version
///
/// The manifest lists every file of the folder with its size and sha256. Where it is uploaded last, a worker takes the version
/// the moment it is complete, and holds every file against it. `modelmill push` makes one by itself.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    modelmill manifest models/iris/3\n  \
    modelmill manifest build/ && aws s3 cp build/manifest.json s3://models/iris/3/    # after all the others\n\n\
    Hidden and unfinished files (.part, .tmp) are left out, and so are links that point outside of the folder.")]
pub struct ManifestArgs {
    /// The folder of the version: model.onnx and what lies beside it
    #[arg(value_name = "FOLDER")]
    pub folder: PathBuf,
}

/// Writes the manifest and prints what is in it.
///
/// # Errors
/// If the folder holds no model, or cannot be read or written.
pub fn run(args: &ManifestArgs) -> anyhow::Result<ExitCode> {
    let manifest = of_folder(&args.folder)?;
    let path = args.folder.join(MANIFEST);
    write(&args.folder, &manifest.to_json()).with_context(|| format!("`{}` cannot be written", path.display()))?;
    let mut text = format!("{}\n", path.display());
    for file in &manifest.files {
        text += &format!("  {}  {:>10}  {}\n", &file.sha256[..16], ByteSize(file.size).to_string(), file.path);
    }
    print(text)?;
    Ok(ExitCode::SUCCESS)
}

/// The manifest of a version's folder: every file but itself, sorted by path.
///
/// # Errors
/// If the folder holds no model, or cannot be read.
pub fn of_folder(folder: &Path) -> anyhow::Result<Manifest> {
    let mut files = Vec::new();
    for (path, size) in files_of(folder)? {
        let place = folder.join(&path);
        let sha256 = sha256(&place).with_context(|| format!("`{}` cannot be read", place.display()))?;
        files.push(FileEntry { path, size, sha256 });
    }
    Ok(Manifest { files })
}

/// The files of a version's folder with their sizes, the manifest left out, sorted by path.
///
/// # Errors
/// If there is no model among them, or the folder cannot be read.
pub fn files_of(folder: &Path) -> anyhow::Result<Vec<(String, u64)>> {
    let objects = LocalStore::at(&folder.to_string_lossy())?.list()?;
    if !objects.iter().any(|object| object.path == MODEL) {
        bail!(
            "there is no {MODEL} in `{}`: name the folder of a version, which holds it and the files beside it",
            folder.display()
        );
    }
    Ok(objects.into_iter().filter(|object| object.path != MANIFEST).map(|object| (object.path, object.size)).collect())
}

/// The whole file appears at once, or not at all.
fn write(folder: &Path, text: &[u8]) -> std::io::Result<()> {
    let unfinished = folder.join(format!(".{MANIFEST}.{}", std::process::id()));
    let write = || {
        let mut file = File::create(&unfinished)?;
        file.write_all(text)?;
        file.sync_all()?;
        fs::rename(&unfinished, folder.join(MANIFEST))
    };
    write().inspect_err(|_| drop(fs::remove_file(&unfinished)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_lists_every_file_but_itself_with_what_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        put(MODEL, "abc");
        put("labels.txt", "");
        put(".hidden", "x");
        run(&ManifestArgs { folder: folder.path().to_owned() }).unwrap();
        // Once more, with the first one there.
        run(&ManifestArgs { folder: folder.path().to_owned() }).unwrap();
        let manifest = Manifest::parse(&fs::read(folder.path().join(MANIFEST)).unwrap()).unwrap();
        let files: Vec<_> =
            manifest.files.iter().map(|file| (file.path.as_str(), file.size, &file.sha256[..8])).collect();
        // From FIPS 180-2: SHA-256 of `abc` and of nothing.
        assert_eq!(files, [("labels.txt", 0, "e3b0c442"), (MODEL, 3, "ba7816bf")]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 4, "nothing unfinished is left over");
    }

    #[test]
    fn a_folder_without_a_model_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("1")).unwrap();
        fs::write(folder.path().join("1/model.onnx"), "").unwrap();
        let error = run(&ManifestArgs { folder: folder.path().to_owned() }).unwrap_err().to_string();
        assert!(error.contains("there is no model.onnx in"), "{error}");
        assert!(!folder.path().join(MANIFEST).exists());
    }
}
