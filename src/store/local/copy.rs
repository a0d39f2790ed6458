//! Reading and copying files of a folder, held against what was listed.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

use super::{Object, StoreError, stamp, unreadable};
use crate::store::part::{self, Part};

/// So much is copied between two looks at whether to go on.
const PIECE: usize = 1 << 20;

/// All of a file of at most `most` bytes.
pub fn read(file: &Path, path: &str, most: u64) -> Result<Vec<u8>, StoreError> {
    let mut bytes = Vec::new();
    let mut read = || -> io::Result<usize> { File::open(file)?.take(most.saturating_add(1)).read_to_end(&mut bytes) };
    match read() {
        Ok(length) if length as u64 > most => Err(StoreError::TooLarge { path: path.to_owned(), most }),
        Ok(_) => Ok(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(StoreError::Missing(path.to_owned())),
        Err(error) => Err(unreadable(file, &error)),
    }
}

/// Copies a listed file, or the rest of it, into `part`.
pub fn download(
    from: &Path,
    object: &Object,
    part: &Path,
    progress: &mut dyn FnMut(u64) -> bool,
) -> Result<(), StoreError> {
    let lost = |error: io::Error| unreadable(from, &error);
    let mut source = File::open(from).map_err(lost)?;
    let listed = |file: &File| file.metadata().is_ok_and(|metadata| stamp(&metadata) == object.stamp);
    let mut begun = Part::open(part, object)?;
    let mut changed = !listed(&source);
    source.seek(SeekFrom::Start(begun.length())).map_err(lost)?;
    let mut piece = vec![0; PIECE];
    while !changed && begun.length() < object.size {
        match source.read(&mut piece).map_err(lost)? {
            0 => changed = true,
            length => begun.append(&piece[..length])?,
        }
        if !progress(begun.length()) {
            return Err(StoreError::Cancelled);
        }
    }
    // What was written over while it was copied is neither the old object nor the new one.
    if changed || begun.length() != object.size || !listed(&source) {
        part::discard(part);
        return Err(StoreError::Changed(object.path.clone()));
    }
    begun.finish()
}

#[cfg(test)]
mod tests {
    use std::{fs, fs::OpenOptions, io::Write};

    use super::*;
    use crate::store::{Store, local::LocalStore};

    fn store(content: &[u8]) -> (tempfile::TempDir, LocalStore, Object) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("weights"), content).unwrap();
        let store = LocalStore::at(folder.path().to_str().unwrap()).unwrap();
        let object = store.list().unwrap().remove(0);
        (folder, store, object)
    }

    #[test]
    fn a_cancelled_copy_goes_on_where_it_ended() {
        let content: Vec<u8> = (0..3 * PIECE + 5).map(|at| (at % 251) as u8).collect();
        let (_guard, store, object) = store(&content);
        let target = tempfile::tempdir().unwrap();
        let part = target.path().join("part");
        let cancelled = store.download(&object, &part, &mut |_| false);
        assert!(matches!(cancelled, Err(StoreError::Cancelled)));
        let mut told = Vec::new();
        store
            .download(&object, &part, &mut |bytes| {
                told.push(bytes);
                true
            })
            .unwrap();
        assert_eq!(told[0], 2 * PIECE as u64, "the first piece was not copied again");
        assert_eq!(fs::read(&part).unwrap(), content);
    }

    #[test]
    fn a_file_that_is_written_to_meanwhile_is_not_the_listed_one() {
        let (folder, store, object) = store(&vec![7; 2 * PIECE]);
        let target = tempfile::tempdir().unwrap();
        let part = target.path().join("part");
        let changed = store.download(&object, &part, &mut |_| {
            let mut file = OpenOptions::new().append(true).open(folder.path().join("weights")).unwrap();
            file.write_all(b"more").unwrap();
            true
        });
        assert!(matches!(changed, Err(StoreError::Changed(_))));
        assert!(!part.exists());
    }
}
