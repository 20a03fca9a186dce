//! What a recording is read from: a file or standard input, compressed or not.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read as _};
use std::path::Path;

use anyhow::{Context as _, bail};
use flate2::bufread::MultiGzDecoder;

use crate::files::input::name;

const GZIP: &[u8] = b"\x1f\x8b";
/// How files begin that are not read, what they are, and what makes text of them.
const OTHERS: [(&[u8], &str, &str); 6] = [
    (b"\x28\xb5\x2f\xfd", "compressed with zstd", "zstd -dc"),
    (b"\xfd7zXZ\x00", "compressed with xz", "xz -dc"),
    (b"BZh", "compressed with bzip2", "bzip2 -dc"),
    (b"\x04\x22\x4d\x18", "compressed with lz4", "lz4 -dc"),
    (b"\xff\xfe", "in UTF-16", "iconv -f UTF-16 -t UTF-8"),
    (b"\xfe\xff", "in UTF-16", "iconv -f UTF-16 -t UTF-8"),
];
/// The longest of these beginnings.
const MAX_MAGIC_BYTES: u64 = 6;

/// Opens a recording; `-` is standard input.
pub(super) fn open(path: &Path) -> anyhow::Result<Box<dyn BufRead>> {
    let unreadable = || format!("cannot read {}", name(path));
    let source: Box<dyn BufRead> = if path == Path::new("-") {
        Box::new(BufReader::new(io::stdin()))
    } else {
        let file = File::open(path).with_context(unreadable)?;
        Box::new(BufReader::new(file))
    };
    text(source).with_context(unreadable)
}

/// The text of it; its beginning decides that.
pub(super) fn text(mut source: Box<dyn BufRead>) -> anyhow::Result<Box<dyn BufRead>> {
    let mut head = Vec::new();
    source
        .by_ref()
        .take(MAX_MAGIC_BYTES)
        .read_to_end(&mut head)?;
    for (begin, what, remedy) in OTHERS {
        if head.starts_with(begin) {
            bail!("it is {what}: `{remedy} FILE | tracer replay -` reads it");
        }
    }
    let packed = head.starts_with(GZIP);
    let source = Cursor::new(head).chain(source);
    Ok(match packed {
        // Of several that were joined, each.
        true => Box::new(BufReader::new(MultiGzDecoder::new(source))),
        false => Box::new(source),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn read(bytes: Vec<u8>) -> anyhow::Result<String> {
        let mut read = String::new();
        text(Box::new(Cursor::new(bytes)))?.read_to_string(&mut read)?;
        Ok(read)
    }

    #[test]
    fn gzip_is_read_and_what_is_not_is_named() {
        let packed = |text: &str| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(text.as_bytes()).unwrap();
            encoder.finish().unwrap()
        };
        let both = [packed("one\n"), packed("two\n")].concat();
        assert_eq!(read(both).unwrap(), "one\ntwo\n");
        for plain in ["", "{", "{\"time\":\"2026"] {
            assert_eq!(read(plain.into()).unwrap(), plain);
        }
        for (begin, what, remedy) in OTHERS {
            let error = read([begin, b"more"].concat()).unwrap_err().to_string();
            assert!(error.contains(what) && error.contains(remedy), "{error}");
        }
    }
}
