//! Finds the file of the ONNX Runtime library, and makes sure that it is whole before it is loaded.
//!
//! The order: what the command line or `ORT_DYLIB_PATH` says, then what lies beside the executable, then whatever the
//! system's loader knows by name. A place that somebody named is never passed over in silence. A library that was cut
//! short kills the process when it is touched (SIGBUS), which no error handling can catch: hence the look at its header.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use crate::backend::BackendError;

/// What the file is called: the start of its name, and the names under which system packages install it.
#[cfg(target_os = "macos")]
const NAMES: (&str, &[&str]) = ("libonnxruntime.", &["libonnxruntime.dylib", "libonnxruntime.1.dylib"]);
#[cfg(not(target_os = "macos"))]
const NAMES: (&str, &[&str]) = ("libonnxruntime.so", &["libonnxruntime.so", "libonnxruntime.so.1"]);

/// How to come by the library; the end of every sentence about its absence.
pub(super) const ADVICE: &str = "name the file with --onnxruntime or in ORT_DYLIB_PATH; it lies in the Python package \
     `onnxruntime` under onnxruntime/capi, and in every release of ONNX Runtime under lib";

/// Where people may have said that the library lies.
pub(super) struct Places<'a> {
    /// `--onnxruntime`.
    pub(super) given: Option<&'a Path>,
    /// `ORT_DYLIB_PATH`.
    pub(super) environment: Option<OsString>,
    /// The executable's folder.
    pub(super) beside: Option<PathBuf>,
}

impl<'a> Places<'a> {
    /// The places of this process.
    pub(super) fn of_process(given: Option<&'a Path>) -> Self {
        let environment = std::env::var_os("ORT_DYLIB_PATH").filter(|path| !path.is_empty());
        let beside = std::env::current_exe().ok().and_then(|exe| exe.parent().map(Path::to_owned));
        Self { given, environment, beside }
    }

    /// What to load, best first: one file, or names for the system's loader.
    ///
    /// # Errors
    /// If a place was named and no library is there.
    pub(super) fn candidates(&self) -> Result<Vec<PathBuf>, BackendError> {
        if let Some(path) = self.given {
            return named(path, "--onnxruntime");
        }
        if let Some(path) = &self.environment {
            return named(Path::new(path), "ORT_DYLIB_PATH");
        }
        if let Some(file) = self.beside.as_deref().and_then(library_in) {
            return Ok(vec![file]);
        }
        Ok(NAMES.1.iter().map(PathBuf::from).collect())
    }
}

/// The library at a place that somebody named: a file, a folder with one inside, or a name for the system's loader.
fn named(path: &Path, by: &str) -> Result<Vec<PathBuf>, BackendError> {
    if path.is_dir() {
        let missing = || format!("there is no {}* in `{}` (from {by}): {ADVICE}", NAMES.0, path.display());
        return library_in(path).map(|file| vec![file]).ok_or_else(|| BackendError::Runtime(missing()));
    }
    if path.exists() {
        // The loader would look for a relative path beside the executable first.
        return Ok(vec![path.canonicalize().unwrap_or_else(|_| path.to_owned())]);
    }
    if path.components().count() == 1 {
        return Ok(vec![path.to_owned()]);
    }
    let sentence = format!("the ONNX Runtime library is not at `{}` (from {by}): {ADVICE}", path.display());
    Err(BackendError::Runtime(sentence))
}

/// The library in a folder; the shortest name of several, which is the link to the newest.
fn library_in(folder: &Path) -> Option<PathBuf> {
    let is_library = |name: &OsStr| name.to_str().is_some_and(|name| name.starts_with(NAMES.0));
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .ok()?
        .flatten()
        .map(|entry| entry.file_name())
        .filter(|name| is_library(name) && folder.join(name).is_file())
        .collect();
    names.sort_by_key(|name| (name.len(), name.clone()));
    names.first().map(|name| folder.join(name))
}

/// Whether a file can be a shared library and is as long as its own header says.
///
/// # Errors
/// If it is not, with what it is instead.
pub(super) fn check_whole(path: &Path) -> Result<(), BackendError> {
    let wrong = |what: &str| Err(BackendError::Runtime(format!("`{}` {what}: {ADVICE}", path.display())));
    let mut start = Vec::new();
    let read = File::open(path).and_then(|file| {
        let length = file.metadata()?.len();
        file.take(64 * 1024).read_to_end(&mut start).map(|_| length)
    });
    match read {
        Err(error) => wrong(&format!("cannot be read ({error})")),
        Ok(_) if cfg!(not(target_os = "linux")) => Ok(()),
        Ok(_) if !start.starts_with(b"\x7fELF\x02\x01") => wrong("is no shared library for this system"),
        Ok(length) => match elf_length(&start) {
            None => wrong("is no shared library that can be understood"),
            Some(expected) if expected > length => {
                wrong(&format!("is cut short: it has {length} bytes of at least {expected}"))
            }
            Some(_) => Ok(()),
        },
    }
}

/// How long a little-endian 64-bit ELF file must be: the end of its last segment or of its table of sections.
/// <https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html>
fn elf_length(start: &[u8]) -> Option<u64> {
    let number = |at: usize, bytes: usize| -> Option<u64> {
        let field = start.get(at..at.checked_add(bytes)?)?;
        Some(field.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    };
    let sections = number(0x28, 8)?.checked_add(number(0x3a, 2)? * number(0x3c, 2)?)?;
    let (segments, size, count) = (usize::try_from(number(0x20, 8)?).ok()?, number(0x36, 2)?, number(0x38, 2)?);
    let mut length = sections;
    for index in 0..count {
        let segment = segments.checked_add(usize::try_from(index * size).ok()?)?;
        let end = number(segment.checked_add(0x08)?, 8)?.checked_add(number(segment + 0x20, 8)?)?;
        length = length.max(end);
    }
    Some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(given: Option<&Path>) -> Places<'_> {
        Places { given, environment: None, beside: None }
    }

    #[test]
    fn a_named_place_without_a_library_is_an_error_that_says_who_named_it() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("libonnxruntime.so.9");
        let error = places(Some(&missing)).candidates().unwrap_err().to_string();
        assert!(error.contains("libonnxruntime.so.9") && error.contains("--onnxruntime"), "{error}");

        let environment = Some(folder.path().as_os_str().to_owned());
        let error = Places { given: None, environment, beside: None }.candidates().unwrap_err().to_string();
        assert!(error.contains("there is no libonnxruntime"), "{error}");
        assert!(error.contains("ORT_DYLIB_PATH"), "{error}");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_command_line_wins_over_the_environment_and_that_over_the_neighbourhood() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| {
            let path = folder.path().canonicalize().unwrap().join(name);
            std::fs::write(&path, "").unwrap();
            path
        };
        let (given, variable) = (file("mine.so"), file("other.so"));
        let beside = file("libonnxruntime.so.1.31.1");
        let mut all = Places {
            given: Some(&given),
            environment: Some(variable.clone().into()),
            beside: beside.parent().map(Path::to_owned),
        };
        assert_eq!(all.candidates().unwrap(), std::slice::from_ref(&given));
        all.given = None;
        assert_eq!(all.candidates().unwrap(), [variable]);
        all.environment = None;
        assert_eq!(all.candidates().unwrap(), [beside]);
        all.beside = None;
        assert_eq!(all.candidates().unwrap()[0], Path::new("libonnxruntime.so"));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_library_that_was_cut_short_or_is_none_is_refused_before_it_is_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("libonnxruntime.so");
        // This test's own executable is a whole ELF file with the same header as a library.
        let whole = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let sentence = |content: &[u8]| {
            std::fs::write(&path, content).unwrap();
            check_whole(&path).map_err(|error| error.to_string())
        };
        assert_eq!(sentence(&whole), Ok(()));
        assert!(sentence(&whole[..whole.len() - 1]).unwrap_err().contains("is cut short"));
        assert!(sentence(&whole[..40]).unwrap_err().contains("can be understood"));
        assert!(sentence(b"<html>not found</html>").unwrap_err().contains("is no shared library"));
    }
}
