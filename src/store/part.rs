//! The beginning of a download that may go on later: the file `part`, and `<part>.of` beside it that says of which object.
//!
//! Guarantee: bytes of two objects never meet in one file.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use super::{Object, StoreError};

/// A part that is being written.
pub struct Part {
    path: PathBuf,
    file: File,
    length: u64,
}

impl Part {
    /// Opens `part` where it ends, if it is a beginning of `object`, and an empty one otherwise.
    pub fn open(part: &Path, object: &Object) -> Result<Self, StoreError> {
        let failed = |source| StoreError::Io { path: part.to_owned(), source };
        let of = format!("{}\n{}\n{}\n", object.path, object.size, object.stamp);
        let mut file = OpenOptions::new().create(true).append(true).open(part).map_err(failed)?;
        let mut length = file.metadata().map_err(failed)?.len();
        let begun = fs::read_to_string(label(part)).is_ok_and(|written| written == of);
        if !begun || length > object.size {
            file.set_len(0).map_err(failed)?;
            length = 0;
            // Only after the old bytes are gone may the new name stand beside them.
            fs::write(label(part), of).map_err(failed)?;
        }
        file.flush().map_err(failed)?;
        Ok(Self { path: part.to_owned(), file, length })
    }

    /// How many bytes of the object are there.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Forgets what is there, to begin again.
    pub fn restart(&mut self) -> Result<(), StoreError> {
        self.file.set_len(0).map_err(|source| self.failed(source))?;
        self.length = 0;
        Ok(())
    }

    /// Adds bytes.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.file.write_all(bytes).map_err(|source| self.failed(source))?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Puts it onto the disk: the object is complete.
    pub fn finish(self) -> Result<(), StoreError> {
        self.file.sync_all().map_err(|source| self.failed(source))?;
        drop(fs::remove_file(label(&self.path)));
        Ok(())
    }

    fn failed(&self, source: io::Error) -> StoreError {
        StoreError::Io { path: self.path.clone(), source }
    }
}

/// Removes a part: it is of no use to anybody.
pub fn discard(part: &Path) {
    // If they cannot be removed, the label still keeps them from being taken for something else.
    drop(fs::remove_file(part));
    drop(fs::remove_file(label(part)));
}

fn label(part: &Path) -> PathBuf {
    let mut name = OsString::from(part);
    name.push(".of");
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(stamp: &str) -> Object {
        Object { path: "iris/1/model.onnx".to_owned(), size: 6, stamp: stamp.to_owned() }
    }

    #[test]
    fn a_part_goes_on_only_as_the_object_that_it_began_as() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("part");
        let mut part = Part::open(&path, &object("a")).unwrap();
        part.append(b"abc").unwrap();
        drop(part);
        assert_eq!(Part::open(&path, &object("a")).unwrap().length(), 3);
        assert_eq!(Part::open(&path, &object("b")).unwrap().length(), 0);
        assert_eq!(fs::read(&path).unwrap(), b"");
    }

    #[test]
    fn a_stray_file_is_no_beginning_and_a_finished_part_is_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("part");
        fs::write(&path, b"stray").unwrap();
        let mut part = Part::open(&path, &object("a")).unwrap();
        assert_eq!(part.length(), 0);
        part.append(b"abcdef").unwrap();
        part.finish().unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_disk_that_refuses_is_named() {
        let error = Part::open(Path::new("/nowhere/part"), &object("a")).err().unwrap();
        assert!(matches!(&error, StoreError::Io { .. }) && error.to_string().contains("/nowhere/part"), "{error}");
    }
}
