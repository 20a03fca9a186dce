//! The archive format in which a kernel takes its first root: cpio, "newc"
//! ([format](https://docs.kernel.org/driver-api/early-userspace/buffer-format.html)).

use std::collections::BTreeSet;

const FOLDER: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;

/// An archive in the making; everything in it belongs to root.
#[derive(Debug, Default)]
pub(super) struct Cpio {
    bytes: Vec<u8>,
    entries: u32,
    folders: BTreeSet<String>,
}

impl Cpio {
    /// Adds a file that may be executed, and the folders that it is in.
    pub(super) fn file(&mut self, path: &str, content: &[u8]) {
        for (end, _) in path.match_indices('/') {
            if self.folders.insert(path[..end].to_owned()) {
                self.entry(&path[..end], FOLDER, &[]);
            }
        }
        self.entry(path, PROGRAM, content);
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, &[]);
        self.bytes
    }

    fn entry(&mut self, path: &str, mode: u32, content: &[u8]) {
        self.entries += 1;
        let links = 1 + u32::from(mode == FOLDER);
        // Truncation is out of reach: a kernel refuses files of 4 GiB here.
        let (size, name) = (content.len() as u32, path.len() as u32 + 1);
        // inode, mode, user, group, links, time, size, device and the file's
        // own (major and minor each), length of the name, checksum (unused).
        let inode = self.entries;
        let fields = [inode, mode, 0, 0, links, 0, size, 0, 0, 0, 0, name, 0];
        self.bytes.extend(b"070701");
        for field in fields {
            self.bytes.extend(format!("{field:08x}").bytes());
        }
        self.bytes.extend(path.bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_what_the_format_says() {
        let mut cpio = Cpio::default();
        cpio.file("bin/x", b"hello");
        let bytes = cpio.finish();
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(text.len() % 4, 0);
        let zero = "00000000";
        let folder = format!(
            "070701{}{}{zero}{zero}{}{zero}{zero}{zero}{zero}{zero}{zero}{}{zero}bin\0",
            "00000001", "000041ed", "00000002", "00000004"
        );
        let folder = format!(
            "{folder:\0<width$}",
            width = folder.len().next_multiple_of(4)
        );
        assert!(text.starts_with(&folder), "{text:?}");
        let file = &text[folder.len()..];
        assert_eq!(&file[54..62], "00000005", "its size");
        assert_eq!(&file[94..102], "00000006", "its name's length");
        assert_eq!(&file[110..116], "bin/x\0");
        assert_eq!(&file[116..124], "hello\0\0\0");
        assert!(text.contains("TRAILER!!!\0"));
    }
}
