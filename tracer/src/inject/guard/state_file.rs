//! What is known of a fault outside of the processes that make it: one file an
//! interface, which its guard writes before the first change and removes when all
//! is undone. What stays is a fault whose guard was killed.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::inject::guard::lock::{FOLDER, InterfaceLock, holder, name};
use crate::inject::guard::origin::Origin;
use crate::inject::guard::undo::Undo;
use crate::inject::{Directions, Interface};

/// A record is shorter than this.
const MAX_RECORD_BYTES: u64 = 256 * 1024;

/// What the tool says of its fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// The process that makes it.
    pub pid: u32,
    /// As they are typed.
    pub faults: Vec<String>,
    /// Addresses or networks.
    pub peers: Vec<String>,
    /// Empty for all.
    pub ports: Vec<u16>,
    /// Which direction.
    pub direction: Directions,
    /// `tcx`, `clsact` or `prio`.
    pub hook: String,
    /// How long it is to last.
    pub lasts_ms: u64,
}

/// The content of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Where it was made.
    #[serde(flatten)]
    pub(crate) origin: Origin,
    /// The process that undoes it.
    pub guard: u32,
    /// When its guard stood ready.
    pub since: Timestamp,
    /// When it ends by itself.
    pub until: Timestamp,
    /// What it is.
    #[serde(flatten)]
    pub note: Note,
    /// What undoes it.
    pub(crate) undo: Vec<Undo>,
}

/// A record that is held: it is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    claim: InterfaceLock,
    /// Whether it is to stay, for somebody to carry out.
    keep: bool,
}

/// A record that is there.
#[derive(Debug)]
pub(crate) struct Left {
    pub(crate) path: PathBuf,
    pub(crate) content: Content,
    /// Whether its guard or its tool lives, or somebody undoes it just now.
    pub(crate) active: bool,
}

/// What a file holds.
#[derive(Debug)]
pub(crate) enum Content {
    Record(Box<Record>),
    /// No whole record, as its guard leaves it if it is killed before it says that it
    /// stands ready, and so before anything is changed.
    Unfinished,
    /// Something else, such as the record of a later version.
    Unreadable(String),
}

impl Record {
    /// Inode of the network namespace that it was made in.
    #[must_use]
    pub const fn netns(&self) -> u32 {
        self.origin.netns.inode
    }

    /// Where it was made.
    pub(crate) const fn interface(&self) -> &Interface {
        &self.origin.interface
    }

    /// Writes it where everybody finds it, and holds it together with whoever shares it.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if another fault holds the interface.
    pub(crate) fn write(&self) -> io::Result<Held> {
        let mut claim = InterfaceLock::take(self.netns(), self.interface())?;
        match read(&mut claim.file)? {
            Content::Unfinished => {}
            // To be carried out before it is forgotten.
            Content::Record(_) => {
                return Err(io::Error::new(
                    io::ErrorKind::AlreadyExists,
                    "one is left of a fault whose guard was killed; undo that with `tracer clean`",
                ));
            }
            Content::Unreadable(reason) => {
                return Err(io::Error::new(
                    io::ErrorKind::AlreadyExists,
                    format!(
                        "{} is one that this version of tracer cannot read ({reason}); undo that fault with `tracer clean` of the version that made it",
                        claim.path.display()
                    ),
                ));
            }
        }
        // Nothing is changed yet: half a record stands for nothing, and goes.
        let held = Held { claim, keep: false };
        let mut file = &held.claim.file;
        let bytes = serde_json::to_vec(self).map_err(io::Error::other)?;
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(&bytes)?;
        held.claim.share()?;
        Ok(held)
    }

    /// That of an interface, if there is one.
    pub(crate) fn of(netns: u32, interface: &Interface) -> Option<Self> {
        let path = Path::new(FOLDER).join(name(netns, interface));
        match read(&mut File::open(path).ok()?).ok()? {
            Content::Record(record) => Some(*record),
            Content::Unfinished | Content::Unreadable(_) => None,
        }
    }
}

/// Holds an interface that has no record, or whose record could not be carried out, and
/// which then stays.
///
/// # Errors
/// [`io::ErrorKind::WouldBlock`] if a fault holds it.
pub(crate) fn hold(netns: u32, interface: &Interface) -> io::Result<Held> {
    let mut claim = InterfaceLock::take_leftover(netns, interface)?;
    let keep = !matches!(read(&mut claim.file)?, Content::Unfinished);
    Ok(Held { claim, keep })
}

/// Holds the record of a guard that stands ready, together with it: should the guard be killed,
/// nobody undoes the fault under the tool that makes it.
///
/// # Errors
/// If it cannot be held, or is another guard's.
pub(crate) fn share(origin: &Origin, guard: u32) -> io::Result<Held> {
    let path = Path::new(FOLDER).join(name(origin.netns.inode, &origin.interface));
    let mut claim = InterfaceLock::shared(&path)?;
    match read(&mut claim.file)? {
        Content::Record(record) if record.guard == guard => Ok(Held { claim, keep: true }),
        _ => Err(io::Error::other("it is not this guard's")),
    }
}

/// Every record that is there.
pub(crate) fn all() -> io::Result<Vec<Left>> {
    let entries = match fs::read_dir(FOLDER) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let is_record = path
            .file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name.starts_with("fault-"));
        if !is_record {
            continue;
        }
        match left(path) {
            Ok(left) => found.push(left),
            // What goes meanwhile is gone.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    found.sort_by_key(|left| match &left.content {
        Content::Record(record) => (record.netns(), record.interface().index),
        // Behind those that can be read.
        Content::Unfinished | Content::Unreadable(_) => (u32::MAX, u32::MAX),
    });
    Ok(found)
}

/// Reading it changes nothing, whatever it is, and keeps nobody from it.
fn left(path: PathBuf) -> io::Result<Left> {
    let mut file = File::open(&path)?;
    Ok(Left {
        active: holder(&file)?.is_some(),
        content: read(&mut file)?,
        path,
    })
}

/// Holds a record that no fault holds, for it to be carried out. It is read after it is
/// locked: what was read before may have been carried out meanwhile, and another fault
/// have begun.
///
/// # Errors
/// [`io::ErrorKind::NotFound`] if it is gone.
pub(crate) fn claim(path: &Path) -> io::Result<(Content, Option<Held>)> {
    match InterfaceLock::of_leftover(path) {
        Ok(mut claim) => {
            let content = read(&mut claim.file)?;
            Ok((content, Some(Held { claim, keep: true })))
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Ok((read(&mut File::open(path)?)?, None))
        }
        Err(error) => Err(error),
    }
}

fn read(file: &mut File) -> io::Result<Content> {
    let mut bytes = Vec::new();
    file.take(MAX_RECORD_BYTES).read_to_end(&mut bytes)?;
    Ok(match serde_json::from_slice::<Record>(&bytes) {
        Ok(record) => Content::Record(Box::new(record)),
        Err(error) if error.is_eof() => Content::Unfinished,
        Err(error) => Content::Unreadable(error.to_string()),
    })
}

impl Held {
    /// Something could not be undone: the record is to stay.
    pub(crate) fn keep(&mut self) {
        self.keep = true;
    }

    /// All is undone: the record is to go.
    pub(crate) fn release(mut self) {
        self.keep = false;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.keep {
            // Under the lock: nobody takes it for one that was left.
            self.claim.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As version 0.6 wrote it, and as this one does, but for what is behind it.
    const OLD: &str = r#"{"netns":4026532000,"interface":{"name":"eth0","index":2},"guard":9,
        "since":"2026-01-01T00:00:00Z","until":"2026-01-01T00:01:00Z","pid":7,
        "faults":["loss=1%"],"peers":["10.0.10.2"],"ports":[],"direction":"out",
        "hook":"tcx","lasts_ms":60000,"undo":[UNDO]}"#;

    fn content(text: &str) -> Content {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file.rewind().unwrap();
        read(&mut file).unwrap()
    }

    #[test]
    fn who_reads_records_keeps_nobody_from_carrying_them_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fault-4026532000-2.json");
        fs::write(&path, OLD.replace("UNDO", "")).unwrap();
        let seen = left(path.clone()).unwrap();
        let (content, held) = claim(&path).unwrap();
        assert!(matches!(content, Content::Record(_)) && held.is_some());
        assert!(!seen.active && left(path.clone()).unwrap().active);
        held.unwrap().release();
        assert_eq!(claim(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_record_of_an_earlier_version_is_one() {
        let text = OLD.replace("UNDO", r#"{"offloads":["tx-checksum-ipv4"]}"#);
        let Content::Record(record) = content(&text) else {
            panic!("not a record");
        };
        assert_eq!(
            (record.netns(), record.interface().index),
            (4_026_532_000, 2)
        );
        assert_eq!(record.origin.netns.cookie, None);
        assert_eq!(record.origin.marks, None);
    }

    #[test]
    fn a_record_of_a_later_version_is_none_of_nothing() {
        let text = OLD.replace("UNDO", r#"{"quantum":1}"#);
        let Content::Unreadable(why) = content(&text) else {
            panic!("read")
        };
        assert!(why.contains("quantum"), "{why}");
        for half in ["", &text[..100]] {
            assert!(matches!(content(half), Content::Unfinished), "{half}");
        }
    }
}
