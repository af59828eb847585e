//! The content that was confirmed last, kept in `--state-dir` over restarts.
//!
//! A start on content that the group has refused uses it instead. The file has a line of JSON, and
//! after it the bytes of all mirrors, one after the other.
//!
//! **Invariant.** A file that is damaged, or of other mirrors, counts as missing.

use crate::mirror::{Content, Leaves, MirrorSpec, Mirrored};
use crate::rollout::Versioned;
use farm_core::cli::chain;
use farm_core::codec::dir::check_name;
use farm_core::files::error::FileError;
use farm_core::files::file::{read, replace_as};
use farm_core::files::write_options::{FileMode, WriteOptions};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The most bytes of such a file.
const BYTES_MAX: usize = 512 << 20;

/// Content contains secrets.
const MODE: &str = "600";

/// The file of the content that was confirmed last.
#[derive(Debug)]
pub(super) struct SavedContent {
    path: PathBuf,
    mirrors: Vec<MirrorSpec>,
    /// What the file holds, as far as is known.
    saved: Option<Content>,
}

impl SavedContent {
    /// The file of the member `id` of a group in that directory. Nothing is read yet.
    pub(super) fn new(directory: &Path, group: &str, id: &str, mirrors: Vec<MirrorSpec>) -> Self {
        // A name of a group or a member has no slash in it.
        let path = directory.join(format!("{group}.{id}.confirmed"));
        Self { path, mirrors, saved: None }
    }

    /// The content, if there is one of these mirrors.
    pub(super) fn load(&mut self) -> Option<Content> {
        let path = self.path.display();
        let content = match read(&self.path, BYTES_MAX) {
            Ok(bytes) => decode(&bytes, &self.mirrors),
            Err(error) if error.is_missing() => None,
            Err(error) => {
                log::warn!("the confirmed files are not known: {}", chain(&error));
                return None;
            }
        };
        if content.is_none() && self.path.exists() {
            log::warn!("{path} does not hold files of these mirrors; it is not used");
        }
        self.saved.clone_from(&content);
        content
    }

    /// Keeps a content that works.
    pub(super) fn save(&mut self, content: &Content) {
        if self.saved.as_ref().is_some_and(|saved| saved.is_same(content)) {
            return;
        }
        match self.write(content) {
            Ok(()) => self.saved = Some(content.clone()),
            Err(error) => log::warn!("the confirmed files are not kept: {}", chain(&error)),
        }
    }

    fn write(&self, content: &Content) -> Result<(), FileError> {
        let options = WriteOptions { mode: FileMode::parse(MODE).ok(), ..WriteOptions::default() };
        replace_as(&self.path, &encode(content, &self.mirrors), &options).map(drop)
    }
}

fn encode(content: &Content, mirrors: &[MirrorSpec]) -> Vec<u8> {
    let mut all_bytes = Vec::new();
    let mut parts = Vec::new();
    for (mirror, mirrored) in mirrors.iter().zip(content.mirrored()) {
        let mut part = Map::from_iter([("znode".to_owned(), mirror.znode.as_str().into())]);
        match mirrored {
            Mirrored::Absent => {}
            Mirrored::Bytes(bytes) => {
                part.insert("bytes".to_owned(), bytes.len().into());
                all_bytes.extend_from_slice(bytes);
            }
            Mirrored::Tree(leaves) => {
                let files: Vec<Value> =
                    leaves.iter().map(|(path, bytes)| json!([path, bytes.len()])).collect();
                part.insert("files".to_owned(), files.into());
                leaves.values().for_each(|bytes| all_bytes.extend_from_slice(bytes));
            }
        }
        parts.push(Value::Object(part));
    }
    let version = content.version().to_string();
    let mut encoded =
        json!({"v": 1, "version": version, "mirrors": parts}).to_string().into_bytes();
    encoded.push(b'\n');
    encoded.append(&mut all_bytes);
    encoded
}

fn decode(encoded: &[u8], mirrors: &[MirrorSpec]) -> Option<Content> {
    let end = encoded.iter().position(|byte| *byte == b'\n')?;
    let (head, mut rest) = (encoded.get(..end)?, encoded.get(end + 1..)?);
    let head: Value = serde_json::from_slice(head).ok()?;
    let version = head.get("version")?.as_str()?.parse().ok()?;
    let parts = head.get("mirrors")?.as_array()?;
    if head.get("v")?.as_u64()? != 1 || parts.len() != mirrors.len() {
        return None;
    }
    let mut take = |length: &Value| -> Option<Arc<[u8]>> {
        let (bytes, left) = rest.split_at_checked(usize::try_from(length.as_u64()?).ok()?)?;
        rest = left;
        Some(bytes.into())
    };
    let mut content = Vec::new();
    for (mirror, part) in mirrors.iter().zip(parts) {
        let part = part.as_object()?;
        if part.get("znode")?.as_str()? != mirror.znode.as_str() {
            return None;
        }
        content.push(match (part.get("bytes"), part.get("files")) {
            (Some(length), None) if !mirror.is_tree => Mirrored::Bytes(take(length)?),
            (None, Some(files)) if mirror.is_tree => {
                let mut leaves = Leaves::new();
                for file in files.as_array()? {
                    let [path, length] = file.as_array()?.as_slice() else { return None };
                    let path = path.as_str()?;
                    if path.split('/').any(|name| check_name(name).is_err()) {
                        return None;
                    }
                    leaves.insert(path.to_owned(), take(length)?);
                }
                Mirrored::Tree(Arc::new(leaves))
            }
            (None, None) => Mirrored::Absent,
            _ => return None,
        });
    }
    rest.is_empty().then(|| Content::of(content, version))
}

#[cfg(test)]
mod tests {
    use super::*;
    use farm_harness::Scratch;

    fn specs() -> Vec<MirrorSpec> {
        ["/x/a=/a", "/x/b=/b,optional", "/x/t/=/t/"].map(|text| text.parse().unwrap()).to_vec()
    }

    fn content() -> Content {
        let leaves = [("x", &b"1\n"[..]), ("d/y", b"")];
        let leaves = leaves.map(|(path, bytes)| (path.to_owned(), Arc::from(bytes)));
        let tree = Mirrored::Tree(Arc::new(leaves.into_iter().collect()));
        let all = vec![Mirrored::Bytes(b"\0\xff\n"[..].into()), Mirrored::Absent, tree];
        Content::of(all, "0123456789ab".parse().unwrap())
    }

    #[test]
    fn what_was_saved_is_loaded_with_its_version() {
        let scratch = Scratch::new();
        let mut saved = SavedContent::new(scratch.path(), "web", "db-1.2", specs());
        assert_eq!(saved.load(), None);
        saved.save(&content());
        let mut later = SavedContent::new(scratch.path(), "web", "db-1.2", specs());
        assert!(later.load().unwrap().is_same(&content()));
        assert_eq!(SavedContent::new(scratch.path(), "web", "db-1", specs()).load(), None);
        let others = vec![specs().remove(0)];
        assert_eq!(SavedContent::new(scratch.path(), "web", "db-1.2", others).load(), None);
    }

    #[test]
    fn a_damaged_file_is_not_used() {
        let encoded = encode(&content(), &specs());
        assert!(decode(&encoded, &specs()).unwrap().is_same(&content()));
        for end in 0..encoded.len() {
            assert_eq!(decode(&encoded[..end], &specs()), None, "{end}");
        }
        let longer = [&encoded[..], b"x"].concat();
        assert_eq!(decode(&longer, &specs()), None);
        for (from, to) in [("\"d/y\"", "\"../y\""), ("\"v\":1", "\"v\":2"), ("\"/a\"", "\"/c\"")] {
            let text = String::from_utf8_lossy(&encoded).replace(from, to);
            assert_eq!(decode(text.as_bytes(), &specs()), None, "{to}");
        }
    }
}
