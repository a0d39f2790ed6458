//! Where everything lies in a cache folder, and by which names.
//!
//! ```text
//! <directory>/format                 which layout this is
//!             admission, fetching    locks: see `Cache::admission` and `Cache::fetch`
//!             blobs/<sha256>         a file's content, never written again
//!             versions/<digest>/     a version: hard links to blobs, and manifest.json
//!             versions/<digest>.use  locked by whoever uses the version; its time is that of the last use
//!             parts/<identity>       a file on its way (with .of, what it is a part of, and .lock, held by whoever fetches it)
//!             index/<identity>       the sha256 of a listed file that no manifest tells
//! ```
//!
//! A `<digest>` stands for the paths, sizes and contents of a version, an `<identity>` for a file as a repository lists it.

use std::{
    fs, io,
    path::{Component, Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::{Cache, CacheError, Content, lock::Lock};
use crate::{codec::manifest::Manifest, store::Object};

/// What stands in `format`.
const FORMAT: &str = "modelmill model cache, format 1\n";
const FOLDERS: [&str; 4] = ["blobs", "versions", "parts", "index"];

/// The paths of a cache.
#[derive(Debug)]
pub struct Layout {
    root: PathBuf,
}

/// A file that a version is to have.
pub struct Wanted<'a> {
    /// The file as it was listed.
    pub object: &'a Object,
    /// Relative to the version's folder.
    pub path: &'a str,
    /// Its content, as the manifest says.
    pub promised: Option<String>,
    /// Its content, as far as it is known.
    pub sha256: Option<String>,
    /// What stands for the file as it was listed.
    pub identity: String,
}

impl Layout {
    /// A folder that is a cache, or becomes one.
    pub fn open(root: PathBuf) -> Result<Self, CacheError> {
        let unusable = |why: String| CacheError::Unusable { directory: root.clone(), why };
        let refused = |error: io::Error| unusable(error.to_string());
        fs::create_dir_all(&root).map_err(refused)?;
        // From here on the path must not depend on where the process stands.
        let layout = Self { root: fs::canonicalize(&root).map_err(refused)? };
        let _admission = Lock::exclusive(&layout.admission()).map_err(refused)?;
        let format = layout.root.join("format");
        match fs::read_to_string(&format) {
            Ok(text) if text == FORMAT => {}
            Ok(_) => return Err(unusable("another release of modelmill made it, empty it".to_owned())),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(refused(error)),
            Err(_) if FOLDERS.iter().any(|name| layout.root.join(name).exists()) => {
                return Err(unusable("it holds something else".to_owned()));
            }
            Err(_) => fs::write(&format, FORMAT).map_err(refused)?,
        }
        for name in FOLDERS {
            fs::create_dir_all(layout.root.join(name)).map_err(refused)?;
        }
        layout.try_links().map_err(|error| unusable(format!("it takes no hard links ({error})")))?;
        Ok(layout)
    }

    /// Whether versions can be made of hard links here.
    fn try_links(&self) -> io::Result<()> {
        let (file, link) = (self.root.join(".file"), self.root.join(".link"));
        drop(fs::remove_file(&link));
        fs::write(&file, "")?;
        fs::hard_link(&file, &link)?;
        fs::remove_file(&link)?;
        fs::remove_file(&file)
    }

    /// The cache's folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The lock of [`Cache::admission`].
    pub fn admission(&self) -> PathBuf {
        self.root.join("admission")
    }

    /// The lock that fetches share, and that who removes leftovers holds alone.
    pub fn fetching(&self) -> PathBuf {
        self.root.join("fetching")
    }

    pub fn blobs(&self) -> PathBuf {
        self.root.join("blobs")
    }

    pub fn blob(&self, sha256: &str) -> PathBuf {
        self.blobs().join(sha256)
    }

    pub fn versions(&self) -> PathBuf {
        self.root.join("versions")
    }

    pub fn version(&self, digest: &str) -> PathBuf {
        self.versions().join(digest)
    }

    /// The lock of those who use a version.
    pub fn in_use(&self, digest: &str) -> PathBuf {
        self.versions().join(format!("{digest}.use"))
    }

    pub fn parts(&self) -> PathBuf {
        self.root.join("parts")
    }

    pub fn part(&self, identity: &str) -> PathBuf {
        self.parts().join(identity)
    }

    /// The lock of who fetches a file.
    pub fn part_lock(&self, identity: &str) -> PathBuf {
        self.parts().join(format!("{identity}.lock"))
    }

    pub fn index(&self) -> PathBuf {
        self.root.join("index")
    }

    /// The sha256 of a listed file, if it was fetched before.
    pub fn known(&self, identity: &str) -> Option<String> {
        let sha256 = fs::read_to_string(self.index().join(identity)).ok()?.trim_end().to_owned();
        is_sha256(&sha256).then_some(sha256)
    }

    /// Remembers the sha256 of a listed file.
    pub fn remember(&self, identity: &str, sha256: &str) -> io::Result<()> {
        let fresh = self.index().join(format!(".{identity}"));
        fs::write(&fresh, format!("{sha256}\n"))?;
        fs::rename(&fresh, self.index().join(identity))
    }

    /// Whether the content is there, in a file of its size.
    pub fn has_blob(&self, sha256: &str, size: u64) -> bool {
        size_of(&self.blob(sha256)) == Some(size)
    }
}

impl Cache {
    /// The files of a version, with what is known of their contents.
    pub(super) fn wanted<'a>(&self, content: &'a Content) -> Result<Vec<Wanted<'a>>, CacheError> {
        let mut wanted = Vec::with_capacity(content.files.len());
        for object in &content.files {
            let path = content.relative(object);
            if path.is_empty() || !Path::new(path).components().all(|part| matches!(part, Component::Normal(_))) {
                return Err(CacheError::Outside(object.path.clone()));
            }
            let identity = hex(&format!("{}\0{}\0{}\0{}", self.repository, object.path, object.size, object.stamp));
            let promised = content.manifest.as_deref().and_then(|manifest| promised(manifest, path));
            let sha256 = promised.clone().or_else(|| self.layout.known(&identity));
            wanted.push(Wanted { object, path, promised, sha256, identity });
        }
        Ok(wanted)
    }
}

fn promised(manifest: &Manifest, path: &str) -> Option<String> {
    let sha256 = manifest.files.iter().find(|file| file.path == path)?.sha256.to_ascii_lowercase();
    is_sha256(&sha256).then_some(sha256)
}

/// Path, size and sha256 of each file, if all are known.
pub fn all_known<'a>(wanted: &'a [Wanted<'_>]) -> Option<Vec<(&'a str, u64, &'a str)>> {
    wanted.iter().map(|file| Some((file.path, file.object.size, file.sha256.as_deref()?))).collect()
}

/// What stands for a version's paths, sizes and contents, in the order of their paths.
pub fn digest(files: &[(&str, u64, &str)]) -> String {
    let mut text = String::new();
    for (path, size, sha256) in files {
        text += &format!("{path}\0{size}\0{sha256}\0");
    }
    hex(&text)
}

/// The size of a file; `None` if there is none.
pub fn size_of(path: &Path) -> Option<u64> {
    path.metadata().ok().filter(|metadata| metadata.is_file()).map(|metadata| metadata.len())
}

/// Half a sha256 is more than enough for a name.
fn hex(text: &str) -> String {
    Sha256::digest(text).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
}
