//! BTF that is written here, and what is found in it.

use crate::kernel::btf::*;

/// Writes BTF: types in order of their ids, names as they come.
#[derive(Default)]
struct Writer {
    types: Vec<u32>,
    strings: Vec<u8>,
}

const INT: u32 = 1;
const PTR: u32 = 2;
const ARRAY: u32 = 3;
const STRUCT: u32 = 4;
const UNION: u32 = 5;
const TYPEDEF: u32 = 8;
const VOLATILE: u32 = 9;
const CONST: u32 = 10;
const FUNC_PROTO: u32 = 13;
const TYPE_TAG: u32 = 18;
const FLAG: u32 = 1 << 7;
const OUTER: TypeName = TypeName::Struct("outer");

impl Writer {
    fn name(&mut self, text: &str) -> u32 {
        if self.strings.is_empty() {
            self.strings.push(0);
        }
        if text.is_empty() {
            return 0;
        }
        let at = self.strings.len() as u32;
        self.strings.extend(text.bytes());
        self.strings.push(0);
        at
    }

    fn add(&mut self, kind: u32, name: &str, n: u32, word: u32, tail: &[u32]) -> &mut Self {
        let name = self.name(name);
        self.types.extend([name, kind << 24 | n, word]);
        self.types.extend(tail);
        self
    }

    fn int(&mut self, bytes: u32, bits: u32, shift: u32) -> &mut Self {
        self.add(INT, "int", 0, bytes, &[shift << 16 | bits])
    }

    /// A struct of (name, type, offset word).
    fn of(&mut self, kind: u32, name: &str, members: &[(&str, u32, u32)]) -> &mut Self {
        let mut tail = Vec::new();
        for (name, id, offset) in members {
            tail.extend([self.name(name), *id, *offset]);
        }
        self.add(kind, name, members.len() as u32, 64, &tail)
    }

    fn bytes(&self) -> Vec<u8> {
        let length = self.types.len() as u32 * 4;
        let header = [0x1_eb9f, 24, 0, length, length, self.strings.len() as u32];
        let words = header.iter().chain(&self.types);
        let mut bytes: Vec<u8> = words.flat_map(|word| word.to_ne_bytes()).collect();
        bytes.extend(&self.strings);
        bytes
    }
}

fn look(writer: &Writer, path: &[&str]) -> Result<Option<Member>, BtfError> {
    let bytes = writer.bytes();
    let btf = Btf::parse(&bytes, &[OUTER])?;
    btf.member(btf.find(OUTER).expect("outer"), path)
}

#[test]
fn members_of_anonymous_and_of_named_structs_are_found() {
    let mut writer = Writer::default();
    writer
        .int(4, 32, 0)
        .of(STRUCT, "", &[("deep", 1, 96)])
        .of(UNION, "", &[("first", 1, 0), ("", 2, 0)])
        .of(STRUCT, "named", &[("inner", 1, 32), ("", 3, 64)])
        .add(TYPEDEF, "alias", 0, 4, &[])
        .add(CONST, "", 0, 5, &[])
        .add(VOLATILE, "", 0, 6, &[])
        .add(TYPE_TAG, "tag", 0, 7, &[])
        .of(STRUCT, "outer", &[("a", 1, 0), ("", 3, 32), ("b", 8, 256)]);
    let at = |path: &[&str]| {
        let found = look(&writer, path).expect("BTF");
        found.map(|member| (member.bit_offset, member.bit_width))
    };
    assert_eq!(at(&["a"]), Some((0, None)));
    assert_eq!(at(&["first"]), Some((32, None)));
    assert_eq!(at(&["deep"]), Some((128, None)));
    assert_eq!(at(&["b", "inner"]), Some((288, None)));
    assert_eq!(at(&["b", "deep"]), Some((416, None)));
    assert_eq!(at(&["c"]), None);
    assert_eq!(at(&["a", "inner"]), None);
    assert_eq!(at(&["inner"]), None);
    assert_eq!(at(&["deepe"]), None);
}

#[test]
fn bit_fields_are_read_in_both_encodings() {
    let mut writer = Writer::default();
    writer.int(1, 8, 0).of(
        STRUCT | FLAG,
        "outer",
        &[("new", 1, 5 << 24 | 83), ("whole", 1, 96)],
    );
    let new = look(&writer, &["new"]).expect("BTF").expect("new");
    assert_eq!(
        (new.bit_offset, new.bit_width, new.byte_offset()),
        (83, Some(5), 10)
    );
    let whole = look(&writer, &["whole"]).expect("BTF").expect("whole");
    assert_eq!((whole.bit_offset, whole.bit_width), (96, None));

    let mut writer = Writer::default();
    writer
        .int(1, 5, 2)
        .int(4, 32, 0)
        .of(STRUCT, "outer", &[("old", 1, 80), ("whole", 2, 96)]);
    let old = look(&writer, &["old"]).expect("BTF").expect("old");
    assert_eq!((old.bit_offset, old.bit_width), (82, Some(5)));
    let whole = look(&writer, &["whole"]).expect("BTF").expect("whole");
    assert_eq!(whole.bit_width, None);
}

#[test]
fn sizes_and_parameters_are_told() {
    let mut writer = Writer::default();
    writer
        .int(2, 16, 0)
        .add(ARRAY, "", 0, 0, &[1, 1, 3])
        .add(ARRAY, "", 0, 0, &[2, 1, 4])
        .add(FUNC_PROTO, "", 2, 0, &[0, 0, 0, 1])
        .add(PTR, "", 0, 4, &[])
        .add(TYPEDEF, "call", 0, 5, &[])
        .add(PTR, "", 0, 0, &[]);
    let bytes = writer.bytes();
    let call = TypeName::Typedef("call");
    let btf = Btf::parse(&bytes, &[call, TypeName::Struct("call")]).expect("BTF");
    assert_eq!(btf.type_count(), 7);
    let size = |id| btf.size(id).expect("size");
    assert_eq!([size(0), size(1), size(3)], [None, Some(2), Some(24)]);
    assert_eq!([size(4), size(6)], [None, Some(8)]);
    assert_eq!(btf.find(call), Some(6));
    assert_eq!(btf.find(TypeName::Struct("call")), None);
    assert_eq!(btf.parameters(6), Ok(Some(2)));
    assert_eq!(btf.parameters(7), Ok(None));
    assert_eq!(btf.parameters(1), Ok(None));
    assert_eq!(btf.parameters(8), Err(BtfError::NoSuchType(8)));
}

#[test]
fn the_first_struct_with_members_is_taken_past_many_others() {
    let mut writer = Writer::default();
    writer.int(4, 32, 0);
    for _ in 0..300 {
        writer.of(STRUCT, "other", &[("x", 1, 0)]);
    }
    writer
        .of(STRUCT, "outer", &[])
        .of(STRUCT, "outer", &[("x", 1, 8)])
        .of(STRUCT, "outer", &[("x", 1, 16)]);
    assert_eq!(
        look(&writer, &["x"]).expect("BTF").map(|m| m.bit_offset),
        Some(8)
    );
}

#[test]
fn what_leads_in_a_circle_is_an_error() {
    // A struct that holds itself twice: without a bound, 2 to the depth.
    let mut writer = Writer::default();
    writer.of(STRUCT, "outer", &[("", 1, 0), ("", 1, 0)]);
    assert_eq!(look(&writer, &["x"]), Err(BtfError::Endless(1)));
    let mut writer = Writer::default();
    writer
        .of(STRUCT, "outer", &[("a", 2, 0)])
        .add(TYPEDEF, "loop", 0, 3, &[])
        .add(TYPEDEF, "loop", 0, 2, &[])
        .add(ARRAY, "", 0, 0, &[4, 4, 1]);
    assert_eq!(look(&writer, &["a", "b"]), Err(BtfError::Endless(2)));
    let bytes = writer.bytes();
    let btf = Btf::parse(&bytes, &[]).expect("BTF");
    assert_eq!(btf.size(4), Err(BtfError::Endless(4)));
}

#[test]
fn what_is_no_btf_of_this_machine_is_told_apart() {
    let mut writer = Writer::default();
    let good = writer.int(4, 32, 0).bytes();
    let parse = |bytes: &[u8]| Btf::parse(bytes, &[]).map(|btf| btf.type_count());
    assert_eq!(parse(&good), Ok(1));
    let changed = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        parse(&bytes)
    };
    assert_eq!(changed(0, 0x7f), Err(BtfError::Magic(0xeb7f)));
    assert_eq!(changed(2, 2), Err(BtfError::Version(2)));
    assert_eq!(changed(24 + 7, 60), Err(BtfError::Kind { id: 1, kind: 60 }));
    let swapped = [&[0xeb, 0x9f], &good[2..]].concat();
    assert_eq!(parse(&swapped), Err(BtfError::ByteOrder));
    assert!(matches!(changed(13, 1), Err(BtfError::Truncated { .. })));
    assert!(matches!(parse(&[]), Err(BtfError::Truncated { .. })));
}
