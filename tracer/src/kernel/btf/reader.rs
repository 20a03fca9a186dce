//! One walk over the types, and access to single types after it.

use crate::kernel::btf::{BtfError, kind};

/// One type in this many has its place remembered. A larger step costs steps at
/// every look-up, a smaller one memory: 64 makes 10 KB of a 6.18 kernel.
const STEP: u32 = 64;
/// About so many bytes are those types.
const STRIDE: usize = STEP as usize * 32;
/// Aliases in a row: real kernels have four.
const MAX_ALIASES: u32 = 32;
const MAGIC: u16 = 0xeb9f;

/// The name of a type to look for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TypeName {
    /// `struct NAME`, with members (not a forward declaration).
    Struct(&'static str),
    /// `typedef … NAME`.
    Typedef(&'static str),
}

/// BTF whose types have been walked once.
#[derive(Debug)]
pub struct Btf<'a> {
    types: &'a [u8],
    strings: &'a [u8],
    /// Offsets in `types` of the ids 1, 1 + `STEP`, 1 + 2 `STEP` …
    index: Vec<u32>,
    /// Highest type id; 0 is `void`.
    last: u32,
    named: Vec<(TypeName, u32)>,
}

/// `struct btf_type` and what follows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Type<'a> {
    pub(super) id: u32,
    pub(super) kind: u32,
    pub(super) elements: u32,
    /// Of a struct or union: member offsets carry bit-field widths.
    pub(super) kind_flag: bool,
    /// Size in bytes or id of the type referred to.
    pub(super) word: u32,
    name: u32,
    pub(super) tail: &'a [u8],
}

impl Type<'_> {
    /// Where the next one begins, if this one begins there.
    fn end(&self, at: usize) -> usize {
        at.saturating_add(kind::HEADER)
            .saturating_add(self.tail.len())
    }
}

impl<'a> Btf<'a> {
    /// Checks the header, walks all types and remembers where the wanted ones are.
    ///
    /// # Errors
    /// What is no BTF of this machine's byte order, is cut short, or has a kind of
    /// type that is not known. A wanted name that is not there is no error.
    pub fn parse(bytes: &'a [u8], wanted: &[TypeName]) -> Result<Self, BtfError> {
        let (types, strings) = sections(bytes)?;
        let mut btf = Self {
            types,
            strings,
            index: Vec::with_capacity(types.len() / STRIDE),
            last: 0,
            named: Vec::with_capacity(wanted.len()),
        };
        btf.walk(&Search::new(wanted))?;
        Ok(btf)
    }

    /// Id of a type that was wanted; the first, if several have the name.
    pub fn find(&self, name: TypeName) -> Option<u32> {
        let found = self.named.iter().find(|(n, _)| *n == name)?;
        Some(found.1)
    }

    /// How many types there are, `void` not counted.
    pub const fn type_count(&self) -> u32 {
        self.last
    }

    /// Number of parameters of a function type that a typedef's pointer leads to,
    /// `None` if the type is something else.
    ///
    /// # Errors
    /// Damaged data.
    pub fn parameters(&self, typedef: u32) -> Result<Option<u32>, BtfError> {
        let pointer = self.strip(typedef)?;
        if pointer.kind != kind::PTR || pointer.word == 0 {
            return Ok(None);
        }
        let function = self.strip(pointer.word)?;
        Ok((function.kind == kind::FUNC_PROTO).then_some(function.elements))
    }

    fn walk(&mut self, search: &Search<'_>) -> Result<(), BtfError> {
        let mut at = 0;
        while at < self.types.len() {
            // 2³² types would take 48 GiB, and lengths are of 32 bits.
            let id = self.last.saturating_add(1);
            let found = decode(self.types, at, id)?;
            if self.last.is_multiple_of(STEP) {
                // The header gives section lengths in 32 bits.
                self.index.push(at as u32);
            }
            self.last = id;
            at = found.end(at);
            if let Some(name) = search.matches(&found, self.strings)
                && self.find(name).is_none()
            {
                self.named.push((name, id));
            }
        }
        Ok(())
    }

    /// The type of that id.
    pub(super) fn get(&self, id: u32) -> Result<Type<'a>, BtfError> {
        let missing = BtfError::NoSuchType(id);
        if id == 0 || id > self.last {
            return Err(missing);
        }
        let before = id.saturating_sub(1);
        let slot = before / STEP;
        let mut at = *self.index.get(slot as usize).ok_or(missing)? as usize;
        let mut here = id.saturating_sub(before % STEP);
        loop {
            let found = decode(self.types, at, here)?;
            if here == id {
                return Ok(found);
            }
            at = found.end(at);
            here = here.saturating_add(1);
        }
    }

    /// The type of that id without typedefs, qualifiers and type tags. `void`
    /// comes out as [`BtfError::NoSuchType`].
    pub(super) fn strip(&self, id: u32) -> Result<Type<'a>, BtfError> {
        let mut found = self.get(id)?;
        for _ in 0..MAX_ALIASES {
            if !kind::is_alias(found.kind) {
                return Ok(found);
            }
            found = self.get(found.word)?;
        }
        Err(BtfError::Endless(id))
    }

    /// Whether the string at that offset of the string section is `name`.
    pub(super) fn is_named(&self, offset: u32, name: &str) -> bool {
        is_string(self.strings, offset, name.as_bytes())
    }
}

/// What is wanted, arranged so that most types are dismissed by one look.
struct Search<'w> {
    wanted: &'w [TypeName],
    /// First bytes of the wanted struct names.
    structs: [bool; 256],
    /// Likewise of typedefs.
    typedefs: [bool; 256],
}

impl<'w> Search<'w> {
    fn new(wanted: &'w [TypeName]) -> Self {
        let mut search = Self {
            wanted,
            structs: [false; 256],
            typedefs: [false; 256],
        };
        for name in wanted {
            let (set, text) = match name {
                TypeName::Struct(text) => (&mut search.structs, text),
                TypeName::Typedef(text) => (&mut search.typedefs, text),
            };
            let first = text.bytes().next().map(usize::from);
            if let Some(place) = first.and_then(|first| set.get_mut(first)) {
                *place = true;
            }
        }
        search
    }

    fn matches(&self, found: &Type<'_>, strings: &[u8]) -> Option<TypeName> {
        let firsts = match found.kind {
            kind::STRUCT if found.elements > 0 => &self.structs,
            kind::TYPEDEF => &self.typedefs,
            _ => return None,
        };
        let first = *strings.get(found.name as usize)?;
        if firsts.get(usize::from(first)) != Some(&true) {
            return None;
        }
        let is = |name: &&TypeName| match name {
            TypeName::Struct(text) => {
                found.kind == kind::STRUCT && is_string(strings, found.name, text.as_bytes())
            }
            TypeName::Typedef(text) => {
                found.kind == kind::TYPEDEF && is_string(strings, found.name, text.as_bytes())
            }
        };
        self.wanted.iter().find(is).copied()
    }
}

fn is_string(strings: &[u8], offset: u32, name: &[u8]) -> bool {
    strings
        .get(offset as usize..)
        .and_then(|rest| rest.strip_prefix(name))
        .is_some_and(|rest| rest.first() == Some(&0))
}

/// The `n`th 32-bit word.
pub(super) fn word(bytes: &[u8], n: usize) -> Option<u32> {
    let four = bytes.get(n.checked_mul(4)?..)?.first_chunk()?;
    Some(u32::from_ne_bytes(*four))
}

fn decode(types: &[u8], at: usize, id: u32) -> Result<Type<'_>, BtfError> {
    let cut = |need: usize| BtfError::Truncated {
        what: "a type",
        need: need as u64,
        have: types.len() as u64,
    };
    let rest = types.get(at..).unwrap_or_default();
    let begins = at.saturating_add(kind::HEADER);
    let header = |n| word(rest, n).ok_or_else(|| cut(begins));
    let (name, info, last) = (header(0)?, header(1)?, header(2)?);
    // Newer kernels (7.3) give both fields bits that were unused and 0; taking
    // the wider ones reads old data alike.
    let (kind, elements) = ((info >> 24) & 0x7f, info & 0x00ff_ffff);
    let length = kind::tail(kind, elements).ok_or(BtfError::Kind { id, kind })?;
    let tail = rest.get(kind::HEADER..).and_then(|tail| tail.get(..length));
    let tail = tail.ok_or_else(|| cut(begins.saturating_add(length)))?;
    Ok(Type {
        id,
        kind,
        elements,
        kind_flag: info >> 31 == 1,
        word: last,
        name,
        tail,
    })
}

/// The type section and the string section.
fn sections(bytes: &[u8]) -> Result<(&[u8], &[u8]), BtfError> {
    // struct btf_header: u16 magic, u8 version, u8 flags, u32 hdr_len, type_off,
    // type_len, str_off, str_len; newer ones are longer, which hdr_len tells.
    let short = |need: u64, what| BtfError::Truncated {
        what,
        need,
        have: bytes.len() as u64,
    };
    let [m0, m1, version, ..] = *bytes else {
        return Err(short(24, "its header"));
    };
    let magic = u16::from_ne_bytes([m0, m1]);
    if magic == MAGIC.swap_bytes() {
        return Err(BtfError::ByteOrder);
    }
    if magic != MAGIC {
        return Err(BtfError::Magic(magic));
    }
    if version != 1 {
        return Err(BtfError::Version(version));
    }
    let field = |n| word(bytes, n).ok_or_else(|| short(24, "its header"));
    let header = field(1)?;
    let section = |offset: u32, length: u32, what| {
        // The sum of three numbers of 32 bits.
        let start = u64::from(header).saturating_add(offset.into());
        let end = start.saturating_add(length.into());
        let range = usize::try_from(start).ok().zip(usize::try_from(end).ok());
        range
            .and_then(|(start, end)| bytes.get(start..end))
            .ok_or_else(|| short(end, what))
    };
    Ok((
        section(field(2)?, field(3)?, "its type section")?,
        section(field(4)?, field(5)?, "its string section")?,
    ))
}
