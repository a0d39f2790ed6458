//! Where a version goes: a repository in a bucket or a folder, then the model, then the version's number.

use std::{fmt, path::PathBuf};

use crate::request::{MODEL_NAME_RULE, is_model_name};

/// A version of a model in a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The version's own place.
    pub place: Place,
    /// As it was written.
    shown: String,
}

/// Where a version's files go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Below this URL.
    Bucket(String),
    /// Into this folder.
    Folder(PathBuf),
}

impl Target {
    /// Reads `s3://bucket/prefix/model/version`, `file:///repository/model/version` or a path of that form.
    ///
    /// # Errors
    /// A sentence that says what would be one.
    pub fn parse(text: &str) -> Result<Self, String> {
        let shown = text.trim_end_matches('/').to_owned();
        let place = match shown.split_once("://") {
            Some(("s3", _)) => Place::Bucket(shown.clone()),
            Some(("file", path)) if path.starts_with('/') => Place::Folder(path.into()),
            None => Place::Folder(shown.as_str().into()),
            Some(_) => return Err(format!("`{text}` is no target: write s3://…, file:///… or a path")),
        };
        // A bucket is a repository at least.
        let path = shown.strip_prefix("s3://").map_or(Some(shown.as_str()), |rest| Some(rest.split_once('/')?.1));
        let mut parts = path.unwrap_or_default().rsplit('/');
        let (version, model) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let number = version.parse::<u64>().ok().filter(|number| *number > 0 && number.to_string() == version);
        if number.is_none() || model.is_empty() {
            return Err(format!(
                "`{text}` names no version: expected the repository, then /MODEL/VERSION, where the version is a whole \
                 number from 1 on, such as s3://models/iris/3"
            ));
        }
        if !is_model_name(model) {
            return Err(format!("`{model}` is no model name: {MODEL_NAME_RULE}"));
        }
        Ok(Self { place, shown })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_ends_with_a_model_and_a_number() {
        assert_eq!(Target::parse("s3://b/iris/3/").unwrap().place, Place::Bucket("s3://b/iris/3".to_owned()));
        assert_eq!(Target::parse("file:///srv/iris/3").unwrap().place, Place::Folder("/srv/iris/3".into()));
        assert_eq!(Target::parse("models/iris/12").unwrap().place, Place::Folder("models/iris/12".into()));
        for wrong in
            ["s3://iris/3", "s3://b/iris", "s3://b/iris/v3", "iris/0", "iris/03", "3", "gs://b/iris/3", "a/../3", ""]
        {
            assert!(Target::parse(wrong).is_err(), "{wrong}");
        }
    }
}
