//! The hooks that remember sockets, as programs that the kernel gives types: they keep what
//! they remember in the socket itself, and load fields instead of asking for them.
//!
//! Whether a kernel takes them is found out by loading them. aya makes neither a map whose
//! key and value have types unless the object tells them, which ours, made by Rust, does
//! not; nor such a program without parsing all types of the kernel.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use aya::Ebpf;
use aya::maps::Map;
use aya_obj::generated::bpf_insn;
use aya_obj::{EbpfSectionKind, Object};
use tracer_ebpf::Socket;

use crate::kernel::bpf::syscall::{self, NewMap};
use crate::kernel::tracepoints::Tracepoints;
use crate::programs::Options;

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/typed.o"));

/// The map that is in the sockets.
const MEMORY: &str = "MEMORY";
/// `BPF_F_RDONLY_PROG`.
const READ_ONLY: u32 = 1 << 7;

/// Why these programs are not used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TypedError {
    #[error("this kernel keeps nothing in sockets for programs: {0}")]
    Storage(io::Error),
    #[error("the verifier refused the program {name}: {cause}")]
    Program { name: String, cause: io::Error },
    #[error("map {name}: {cause}")]
    Map { name: String, cause: io::Error },
    #[error("this kernel has no tracepoint {0}")]
    NoTracepoint(String),
    #[error("the programs do not fit their maps: {0}")]
    Object(String),
}

/// The programs, loaded.
#[derive(Debug)]
pub(crate) struct TypedPrograms {
    programs: HashMap<String, OwnedFd>,
    storage: OwnedFd,
    // Closing one detaches its program.
    links: Vec<OwnedFd>,
}

/// The programs, and their maps: all but loaded.
#[derive(Debug)]
pub(crate) struct Unloaded {
    object: Object,
    typedefs: HashMap<String, u32>,
    storage: OwnedFd,
    // Open until the programs are loaded, which then keep them.
    _constants: Vec<OwnedFd>,
}

impl Unloaded {
    /// Makes their maps; they share all but one with the programs of aya.
    pub(crate) fn prepare(options: &Options, ebpf: &Ebpf) -> Result<Self, TypedError> {
        let mut object = Object::parse(OBJECT).map_err(|error| unfit(&error))?;
        object
            .patch_map_data(globals(options))
            .map_err(|error| unfit(&error))?;
        let storage = storage()?;
        let defined: HashMap<_, _> = object.maps.drain().collect();
        let mut own = HashMap::new();
        for (name, map) in &defined {
            if map.section_kind() == EbpfSectionKind::Rodata {
                own.insert(name.as_str(), read_only(name, map)?);
            }
        }
        let descriptor = |name: &str| -> Result<BorrowedFd<'_>, TypedError> {
            match (name, own.get(name)) {
                (MEMORY, _) => Ok(storage.as_fd()),
                (_, Some(map)) => Ok(map.as_fd()),
                (_, None) => shared(ebpf, name),
            }
        };
        let mut maps = Vec::with_capacity(defined.len());
        for (name, map) in &defined {
            maps.push((name.as_str(), descriptor(name)?.as_raw_fd(), map));
        }
        let sections: HashSet<usize> = object
            .functions
            .keys()
            .map(|(section, _)| *section)
            .collect();
        object
            .relocate_maps(maps.into_iter(), &sections)
            .map_err(|error| unfit(&error))?;
        object
            .relocate_calls(&sections)
            .map_err(|error| unfit(&error))?;
        let names = object.programs.keys();
        let typedefs = names.map(|name| Ok((name.clone(), typedef(&options.tracepoints, name)?)));
        Ok(Self {
            typedefs: typedefs.collect::<Result<_, _>>()?,
            _constants: own.into_values().collect(),
            object,
            storage,
        })
    }

    /// Whether a program of this name is one of them.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.typedefs.contains_key(name)
    }

    /// Each of them, the longest first, as what hands it to the kernel.
    pub(crate) fn each(&self) -> Result<Vec<UnloadedProgram<'_>>, TypedError> {
        let programs = self.typedefs.iter().map(|(name, typedef)| {
            let program = self.object.programs.get(name).ok_or_else(|| unfit(name))?;
            let function = self.object.functions.get(&program.function_key());
            Ok(UnloadedProgram {
                name,
                license: &program.license,
                instructions: &function.ok_or_else(|| unfit(name))?.instructions,
                typedef: *typedef,
            })
        });
        let mut programs: Vec<UnloadedProgram<'_>> = programs.collect::<Result<_, _>>()?;
        programs.sort_by_key(|program| Reverse(program.instructions.len()));
        Ok(programs)
    }

    /// With what the kernel made of [`Self::each`].
    pub(crate) fn loaded(self, programs: HashMap<String, OwnedFd>) -> TypedPrograms {
        TypedPrograms {
            programs,
            storage: self.storage,
            links: Vec::new(),
        }
    }
}

/// One of them.
pub(crate) struct UnloadedProgram<'a> {
    name: &'a str,
    license: &'a CStr,
    instructions: &'a [bpf_insn],
    typedef: u32,
}

impl UnloadedProgram<'_> {
    /// Its name, and what the kernel made of it.
    pub(crate) fn load(&self) -> Result<(String, OwnedFd), TypedError> {
        let loaded = syscall::load_typed_tracepoint(
            self.name,
            self.license,
            self.instructions,
            self.typedef,
        );
        let name = self.name.to_owned();
        match loaded {
            Ok(loaded) => Ok((name, loaded)),
            Err(cause) => Err(TypedError::Program { name, cause }),
        }
    }
}

impl TypedPrograms {
    /// Attaches the program of that name; `None` if there is none of them.
    pub(crate) fn attach(&mut self, name: &str) -> Option<io::Result<()>> {
        let program = self.programs.get(name)?;
        let attached = syscall::attach_typed_tracepoint(program.as_fd());
        Some(attached.map(|link| self.links.push(link)))
    }

    /// The map whose values are in the sockets.
    pub(crate) fn storage(&self) -> BorrowedFd<'_> {
        self.storage.as_fd()
    }

    /// All of them.
    pub(crate) fn programs(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.programs.values().map(AsFd::as_fd)
    }
}

/// Those of the options that this object has: the verifier's constants.
fn globals(options: &Options) -> HashMap<&str, (&[u8], bool)> {
    let globals = options.globals().into_iter();
    globals.map(|(name, value)| (name, (value, true))).collect()
}

/// A map in the sockets. The kernel wants to know the types of its key, which is a
/// descriptor's number, and of its value.
fn storage() -> Result<OwnedFd, TypedError> {
    /// `BPF_MAP_TYPE_SK_STORAGE`.
    const KIND: u32 = 24;
    /// `BPF_F_NO_PREALLOC`, which it demands.
    const ON_DEMAND: u32 = 1;
    let types = syscall::load_types(&types()).map_err(TypedError::Storage)?;
    let map = NewMap {
        kind: KIND,
        key_size: size_of::<i32>() as u32,
        value_size: size_of::<Socket>() as u32,
        flags: ON_DEMAND,
        ..NewMap::default()
    };
    map.create(MEMORY, Some((types.as_fd(), 1, 3)))
        .map_err(TypedError::Storage)
}

/// BTF of three types: 1 is the key, `int`; 3 is the value, a struct of so many words of
/// four bytes that it is as long as a [`Socket`]
/// ([format](https://docs.kernel.org/bpf/btf.html)).
fn types() -> Vec<u8> {
    const INT: u32 = 1 << 24;
    const ARRAY: u32 = 3 << 24;
    const STRUCT: u32 = 4 << 24;
    const SIGNED_32_BITS: u32 = 1 << 24 | 32;
    let words = size_of::<Socket>() as u32 / 4;
    let value = size_of::<Socket>() as u32;
    let types = [
        // Name (in the strings below), kind, size, and what it is.
        [1, INT, 4, SIGNED_32_BITS].as_slice(),
        // No name, kind, 0; of what, by what, how many.
        &[0, ARRAY, 0, 1, 1, words],
        // No name, kind and members, size; of the member no name, its type, where.
        &[0, STRUCT | 1, value, 0, 2, 0],
    ]
    .concat();
    let strings = b"\0int\0";
    let length = types.len() as u32 * 4;
    // u16 magic, u8 version, u8 flags; lengths of the header, and where the types and the
    // strings begin behind it and how long they are.
    let mut bytes = 0xeb9f_u16.to_ne_bytes().to_vec();
    bytes.extend([1, 0]);
    let header = [24, 0, length, length, strings.len() as u32];
    for word in header.iter().chain(&types) {
        bytes.extend(word.to_ne_bytes());
    }
    bytes.extend(strings);
    bytes
}

/// The object's constants, which nobody changes from here on.
fn read_only(name: &str, map: &aya_obj::Map) -> Result<OwnedFd, TypedError> {
    let failed = |cause| TypedError::Map {
        name: name.to_owned(),
        cause,
    };
    let array = NewMap {
        kind: map.map_type(),
        key_size: map.key_size(),
        value_size: map.value_size(),
        max_entries: map.max_entries(),
        flags: map.map_flags() | READ_ONLY,
    };
    let made = array.create("typed.rodata", None).map_err(failed)?;
    syscall::freeze_with(made.as_fd(), map.data()).map_err(failed)?;
    Ok(made)
}

/// A map that aya made.
fn shared<'a>(ebpf: &'a Ebpf, name: &str) -> Result<BorrowedFd<'a>, TypedError> {
    match ebpf.map(name) {
        Some(
            Map::Array(map)
            | Map::HashMap(map)
            | Map::LpmTrie(map)
            | Map::LruHashMap(map)
            | Map::PerCpuArray(map)
            | Map::PerCpuHashMap(map)
            | Map::RingBuf(map)
            | Map::Stack(map),
        ) => Ok(map.fd().as_fd()),
        _ => Err(unfit(name)),
    }
}

fn typedef(tracepoints: &Tracepoints, name: &str) -> Result<u32, TypedError> {
    let found = tracepoints.named(name).map(|one| one.btf_id);
    found.ok_or_else(|| TypedError::NoTracepoint(name.to_owned()))
}

fn unfit(why: &(impl ToString + ?Sized)) -> TypedError {
    TypedError::Object(why.to_string())
}
