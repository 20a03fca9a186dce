//! `cargo xtask btf`: test data for the resolver of kernel offsets.
//!
//! Out of the BTF of a whole kernel (5 MB) it writes one that holds only the
//! types that tracer asks for (some 20 KB). Members of those keep their offsets;
//! pointers lose what they point to, and structs embedded by value that nobody
//! reads keep only their size. It shares no code with tracer's reader, so
//! that neither hides a fault of the other.

mod image;

use std::collections::HashMap;
use std::path::Path;

use crate::testbed::file;
use anyhow::{Context, Result, bail, ensure};

/// Structs whose fields are read.
const STRUCTS: [&str; 15] = [
    "sock_common",
    "sock",
    "inet_sock",
    "inet_connection_sock",
    "tcp_sock",
    "tcp_skb_cb",
    "sk_buff",
    "socket",
    "socket_alloc",
    "inode",
    "timer_list",
    "dst_entry",
    "net_device",
    "net",
    "ns_common",
];
/// Tracepoints whose parameters are counted.
const TRACEPOINTS: [&str; 6] = [
    "btf_trace_tcp_retransmit_skb",
    "btf_trace_tcp_retransmit_synack",
    "btf_trace_inet_sock_set_state",
    "btf_trace_tcp_bad_csum",
    "btf_trace_tcp_send_reset",
    "btf_trace_tcp_receive_reset",
];

const INT: u32 = 1;
const PTR: u32 = 2;
const ARRAY: u32 = 3;
const STRUCT: u32 = 4;
const UNION: u32 = 5;
const ENUM: u32 = 6;
const FWD: u32 = 7;
const TYPEDEF: u32 = 8;
const FUNC_PROTO: u32 = 13;
const ENUM64: u32 = 19;

/// Writes the small BTF of a kernel: `input` is a kernel image (`vmlinuz-…`) or
/// raw BTF such as `/sys/kernel/btf/vmlinux`.
pub(crate) fn run(input: &Path, output: &Path) -> Result<()> {
    let bytes = file::read(input)?;
    let bytes = image::btf(bytes).with_context(|| format!("no BTF in {}", input.display()))?;
    let small = shrink(&bytes).with_context(|| format!("cannot shrink {}", input.display()))?;
    file::write(output, &small)?;
    println!(
        "{}: {} of {} bytes",
        output.display(),
        small.len(),
        bytes.len()
    );
    Ok(())
}

/// `struct btf_type` with the words that follow it.
struct Type {
    name: u32,
    info: u32,
    word: u32,
    tail: Vec<u32>,
}

impl Type {
    fn kind(&self) -> u32 {
        self.info >> 24 & 0x7f
    }
}

struct Shrinker<'a> {
    types: Vec<Type>,
    strings: &'a [u8],
    /// New ids of the types that are kept.
    ids: HashMap<u32, u32>,
    /// They, in the order of their new ids; empty while being made.
    kept: Vec<Vec<u32>>,
    names: HashMap<String, u32>,
    new_strings: Vec<u8>,
}

fn shrink(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut shrinker = Shrinker::new(bytes)?;
    for name in STRUCTS {
        let id = shrinker.find(name, STRUCT);
        shrinker.keep(id.with_context(|| format!("it has no struct {name}"))?)?;
    }
    // Kernels differ in the tracepoints they have.
    for name in TRACEPOINTS {
        if let Some(id) = shrinker.find(name, TYPEDEF) {
            shrinker.keep_function(id)?;
        }
    }
    Ok(shrinker.write())
}

impl<'a> Shrinker<'a> {
    fn new(bytes: &'a [u8]) -> Result<Self> {
        let field = |n: usize| -> Result<usize> {
            let four = bytes.get(n * 4..).and_then(|rest| rest.first_chunk());
            Ok(u32::from_ne_bytes(*four.context("it is cut short")?) as usize)
        };
        ensure!(field(0)? & 0xff_ffff == 0x1_eb9f, "it is not BTF version 1");
        let header = field(1)?;
        let section = |offset: usize, length: usize| {
            bytes
                .get(header + offset..header + offset + length)
                .context("it is cut short")
        };
        let mut words = section(field(2)?, field(3)?)?
            .as_chunks::<4>()
            .0
            .iter()
            .map(|four| u32::from_ne_bytes(*four));
        let mut types = Vec::new();
        while let (Some(name), Some(info), Some(word)) = (words.next(), words.next(), words.next())
        {
            let n = (info & 0xff_ffff) as usize;
            let length = match info >> 24 & 0x7f {
                INT | 14 | 17 => 1,
                ARRAY => 3,
                STRUCT | UNION | 15 | ENUM64 => 3 * n,
                ENUM | FUNC_PROTO => 2 * n,
                PTR | 7..=12 | 16 | 18 => 0,
                kind => bail!("type {} is of the unknown kind {kind}", types.len() + 1),
            };
            let tail: Vec<u32> = words.by_ref().take(length).collect();
            ensure!(tail.len() == length, "it is cut short");
            types.push(Type {
                name,
                info,
                word,
                tail,
            });
        }
        Ok(Self {
            types,
            strings: section(field(4)?, field(5)?)?,
            ids: HashMap::new(),
            kept: Vec::new(),
            names: HashMap::from([(String::new(), 0)]),
            new_strings: vec![0],
        })
    }

    fn text(&self, offset: u32) -> String {
        let rest = self.strings.get(offset as usize..).unwrap_or_default();
        let text = rest.split(|byte| *byte == 0).next().unwrap_or_default();
        String::from_utf8_lossy(text).into_owned()
    }

    /// The first of that name and kind that has a body.
    fn find(&self, name: &str, kind: u32) -> Option<u32> {
        let is = |t: &Type| t.kind() == kind && t.word != 0 && self.text(t.name) == name;
        let at = self.types.iter().position(is)?;
        u32::try_from(at + 1).ok()
    }

    fn get(&self, id: u32) -> Result<&Type> {
        let at = (id as usize).checked_sub(1);
        at.and_then(|at| self.types.get(at))
            .with_context(|| format!("it has no type {id}"))
    }

    fn name(&mut self, old: u32) -> u32 {
        let text = self.text(old);
        if let Some(known) = self.names.get(&text) {
            return *known;
        }
        let new = self.new_strings.len() as u32;
        self.new_strings.extend(text.bytes());
        self.new_strings.push(0);
        self.names.insert(text, new);
        new
    }

    /// Keeps a type and what it holds by value; returns its new id.
    fn keep(&mut self, id: u32) -> Result<u32> {
        if id == 0 {
            return Ok(0);
        }
        if let Some(known) = self.ids.get(&id) {
            return Ok(*known);
        }
        let new = self.reserve();
        self.ids.insert(id, new);
        let Type {
            name,
            info,
            word,
            ref tail,
        } = *self.get(id)?;
        let (kind, mut tail) = (info >> 24 & 0x7f, tail.clone());
        let (mut info, mut word) = (info, word);
        match kind {
            INT | FWD | 16 => {}
            PTR => word = 0,
            ARRAY => {
                for id in &mut tail[..2] {
                    *id = self.keep(*id)?;
                }
            }
            STRUCT | UNION if self.is_read(name) => {
                for member in tail.chunks_exact_mut(3) {
                    member[0] = self.name(member[0]);
                    member[1] = self.keep(member[1])?;
                }
            }
            STRUCT | UNION | ENUM | ENUM64 => {
                info = kind << 24;
                tail.clear();
            }
            TYPEDEF | 9..=11 | 18 => word = self.keep(word)?,
            _ => bail!("type {id} of kind {kind} is held by value"),
        }
        let name = self.name(name);
        self.put(new, [name, info, word], tail);
        Ok(new)
    }

    /// Keeps `typedef RESULT (*NAME)(PARAMETERS)` with the number of parameters.
    fn keep_function(&mut self, typedef: u32) -> Result<()> {
        let Type {
            name, info, word, ..
        } = *self.get(typedef)?;
        let pointer = self.get(word)?;
        let (pointer_info, function) = (pointer.info, self.get(pointer.word)?);
        ensure!(
            pointer.kind() == PTR && function.kind() == FUNC_PROTO,
            "{} is no pointer to a function",
            self.text(name)
        );
        let (function_info, mut parameters) = (function.info, function.tail.clone());
        for parameter in parameters.chunks_exact_mut(2) {
            parameter[0] = self.name(parameter[0]);
            parameter[1] = self.keep(parameter[1])?;
        }
        let [new, new_pointer, new_function] = [(); 3].map(|()| self.reserve());
        let name = self.name(name);
        self.put(new, [name, info, new_pointer], Vec::new());
        self.put(new_pointer, [0, pointer_info, new_function], Vec::new());
        self.put(new_function, [0, function_info, 0], parameters);
        Ok(())
    }

    fn is_read(&self, name: u32) -> bool {
        name == 0 || STRUCTS.contains(&self.text(name).as_str())
    }

    fn reserve(&mut self) -> u32 {
        self.kept.push(Vec::new());
        self.kept.len() as u32
    }

    fn put(&mut self, id: u32, head: [u32; 3], tail: Vec<u32>) {
        self.kept[id as usize - 1] = head.into_iter().chain(tail).collect();
    }

    fn write(&self) -> Vec<u8> {
        let types: Vec<u32> = self.kept.iter().flatten().copied().collect();
        let strings = &self.new_strings;
        let (size, texts) = (types.len() as u32 * 4, strings.len() as u32);
        let header = [0x1_eb9f, 24, 0, size, size, texts];
        let words = header.into_iter().chain(types);
        words
            .flat_map(u32::to_ne_bytes)
            .chain(strings.iter().copied())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_is_small_already_stays_as_it_is() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tracer/testdata/btf");
        let mut seen = 0;
        for entry in fs::read_dir(folder).expect(folder) {
            let path = entry.expect(folder).path();
            if path.extension().is_some_and(|extension| extension == "btf") {
                let bytes = fs::read(&path).expect("read");
                assert!(
                    shrink(&bytes).expect("shrink") == bytes,
                    "{}",
                    path.display()
                );
                seen += 1;
            }
        }
        assert!(seen > 0, "no test data in {folder}");
    }

    #[test]
    fn what_is_no_kernel_is_refused() {
        assert!(shrink(b"").is_err());
        assert!(shrink(&[0; 64]).is_err());
        assert!(image::btf(vec![0; 4096]).is_err());
        assert!(image::btf(b"\x7fELF".to_vec()).is_err());
    }
}
