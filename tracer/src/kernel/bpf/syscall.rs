//! `bpf(2)` for what aya does not make: maps whose key and value have types, and programs
//! that are attached by the number of a type.
//!
//! The structs are members of `union bpf_attr`, see
//! [`uapi/linux/bpf.h`](https://github.com/torvalds/linux/blob/v6.12/include/uapi/linux/bpf.h#L1487).
//! The kernel takes them in the length that it is given, and for 0 what is behind that.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use aya_obj::generated::bpf_insn;

const MAP_CREATE: libc::c_int = 0;
const MAP_UPDATE_ELEM: libc::c_int = 2;
const PROG_LOAD: libc::c_int = 5;
const RAW_TRACEPOINT_OPEN: libc::c_int = 17;
const MAP_LOOKUP_BATCH: libc::c_int = 24;
const BTF_LOAD: libc::c_int = 18;
const MAP_FREEZE: libc::c_int = 22;
/// `BPF_PROG_TYPE_TRACING`.
const TRACING: u32 = 26;
/// `BPF_TRACE_RAW_TP`.
const TYPED_TRACEPOINT: u32 = 23;
/// `BPF_OBJ_NAME_LEN`, the end included.
const NAME: usize = 16;
/// Enough for the end of what the verifier says, which is where the refusal stands.
const LOG_BYTES: usize = 1 << 20;

/// A map to be made.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(crate) struct NewMap {
    /// `enum bpf_map_type`.
    pub(crate) kind: u32,
    /// Bytes.
    pub(crate) key_size: u32,
    /// Bytes.
    pub(crate) value_size: u32,
    pub(crate) max_entries: u32,
    /// `BPF_F_*`.
    pub(crate) flags: u32,
}

#[repr(C)]
#[derive(Default)]
struct MapAttributes {
    map: NewMap,
    inner_map: u32,
    numa_node: u32,
    name: [u8; NAME],
    interface: u32,
    types: u32,
    key_type: u32,
    value_type: u32,
}

impl NewMap {
    /// Makes it, under this name; with the types of its key and value, if it needs them:
    /// what [`load_types`] gave, and two numbers in there.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn create(
        self,
        name: &str,
        types: Option<(BorrowedFd<'_>, u32, u32)>,
    ) -> io::Result<OwnedFd> {
        let mut attributes = MapAttributes {
            map: self,
            name: short(name),
            ..MapAttributes::default()
        };
        if let Some((types, key, value)) = types {
            attributes.types = number(types);
            attributes.key_type = key;
            attributes.value_type = value;
        }
        // SAFETY: nothing in it is a pointer.
        unsafe { open(MAP_CREATE, &attributes) }
    }
}

/// Writes an element of an array.
///
/// # Errors
/// What the kernel says.
pub(crate) fn set_element<T: aya::Pod>(
    map: BorrowedFd<'_>,
    index: u32,
    value: &T,
) -> io::Result<()> {
    // SAFETY: a value of the map's length.
    unsafe { update(map, index, (&raw const *value).cast()) }
}

/// Writes the only element of an array, and lets nobody write it any more.
///
/// # Errors
/// What the kernel says.
pub(crate) fn freeze_with(map: BorrowedFd<'_>, value: &[u8]) -> io::Result<()> {
    // SAFETY: as the caller made the map, a value of this length.
    unsafe { update(map, 0, value.as_ptr())? };
    // SAFETY: no pointer.
    unsafe { call(MAP_FREEZE, &number(map))? };
    Ok(())
}

/// # Safety
/// The value is as long as those of the map.
unsafe fn update(map: BorrowedFd<'_>, index: u32, value: *const u8) -> io::Result<()> {
    #[repr(C)]
    struct Element {
        map: u64,
        key: u64,
        value: u64,
        flags: u64,
    }
    let element = Element {
        map: number(map).into(),
        key: &raw const index as u64,
        value: value as u64,
        flags: 0,
    };
    // SAFETY: the kernel reads a key of four bytes and, by the caller's promise, a value.
    unsafe { call(MAP_UPDATE_ELEM, &element)? };
    Ok(())
}

/// Reads elements of an array from this one on, since Linux 5.6, and returns how many there were.
///
/// # Errors
/// What the kernel says.
pub(crate) fn read_array<T: aya::Pod>(
    map: BorrowedFd<'_>,
    begin: u32,
    values: &mut [T],
) -> io::Result<usize> {
    #[repr(C)]
    struct Batch {
        before: u64,
        last: u64,
        keys: u64,
        values: u64,
        count: u32,
        map: u32,
        element_flags: u64,
        flags: u64,
    }
    let mut keys = vec![0u32; values.len()];
    let mut last = 0u32;
    let before = begin.checked_sub(1);
    let mut batch = Batch {
        before: before
            .as_ref()
            .map_or(0, |before| &raw const *before as u64),
        last: &raw mut last as u64,
        keys: keys.as_mut_ptr() as u64,
        values: values.as_mut_ptr() as u64,
        count: length(values.len()),
        map: number(map),
        element_flags: 0,
        flags: 0,
    };
    // SAFETY: the kernel reads a key, writes one, and as many keys and values as there is room
    // for, which are of the sizes of the map: any bytes are a value. How many, it writes to
    // what it was called with.
    let read = unsafe { call(MAP_LOOKUP_BATCH, &raw mut batch) };
    match read {
        // At the end of the array there are fewer.
        Err(error) if error.raw_os_error() != Some(libc::ENOENT) => Err(error),
        _ => Ok(batch.count as usize),
    }
}

/// Gives the kernel types of ours.
///
/// # Errors
/// What the kernel says.
pub(crate) fn load_types(btf: &[u8]) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Types {
        btf: u64,
        log: u64,
        length: u32,
        log_size: u32,
        log_level: u32,
        _pad: u32,
    }
    let types = Types {
        btf: btf.as_ptr() as u64,
        log: 0,
        length: length(btf.len()),
        log_size: 0,
        log_level: 0,
        _pad: 0,
    };
    // SAFETY: the kernel reads `length` bytes.
    unsafe { open(BTF_LOAD, &types) }
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct NewProgram {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; NAME],
    interface: u32,
    attach_kind: u32,
    types: u32,
    function_record: u32,
    functions: u64,
    function_count: u32,
    line_record: u32,
    lines: u64,
    line_count: u32,
    attach_type: u32,
}

/// Loads a program for a tracepoint whose arguments have types: the number of the typedef
/// `btf_trace_…` in the kernel's BTF.
///
/// # Errors
/// What the kernel says; what its verifier says is logged.
pub(crate) fn load_typed_tracepoint(
    name: &str,
    license: &CStr,
    instructions: &[bpf_insn],
    typedef: u32,
) -> io::Result<OwnedFd> {
    let program = NewProgram {
        kind: TRACING,
        count: length(instructions.len()),
        instructions: instructions.as_ptr() as u64,
        license: license.as_ptr() as u64,
        name: short(name),
        attach_kind: TYPED_TRACEPOINT,
        attach_type: typedef,
        ..NewProgram::default()
    };
    // SAFETY: the kernel reads `count` instructions and a string that ends.
    unsafe { open(PROG_LOAD, &program) }.inspect_err(|_| {
        if log::log_enabled!(log::Level::Debug) {
            log::debug!("{name}: {}", refusal(&program));
        }
    })
}

/// What the verifier says to a program that it refuses.
fn refusal(program: &NewProgram) -> String {
    let mut log = vec![0u8; LOG_BYTES];
    let again = NewProgram {
        log_level: 1,
        log_size: length(log.len()),
        log: log.as_mut_ptr() as u64,
        ..*program
    };
    // SAFETY: as for the program itself; the kernel writes at most `log_size` bytes.
    let _ = unsafe { open(PROG_LOAD, &again) };
    let end = log.iter().position(|byte| *byte == 0).unwrap_or(log.len());
    String::from_utf8_lossy(log.get(..end).unwrap_or_default()).into_owned()
}

/// Attaches a program of [`load_typed_tracepoint`], until what is returned is closed.
///
/// # Errors
/// What the kernel says.
pub(crate) fn attach_typed_tracepoint(program: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Open {
        name: u64,
        program: u32,
        _pad: u32,
    }
    let attributes = Open {
        name: 0,
        program: number(program),
        _pad: 0,
    };
    // SAFETY: without a name, no pointer.
    unsafe { open(RAW_TRACEPOINT_OPEN, &attributes) }
}

/// # Safety
/// As [`call`]; and the command gives a descriptor.
unsafe fn open<T>(command: libc::c_int, attributes: &T) -> io::Result<OwnedFd> {
    // SAFETY: the caller's promise.
    let descriptor = unsafe { call(command, attributes)? };
    // SAFETY: the kernel made it for us.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// # Safety
/// `attributes` are those of this command, and what they point to is there.
unsafe fn call<T>(command: libc::c_int, attributes: *const T) -> io::Result<i32> {
    // SAFETY: the kernel reads as many bytes as it is told; the rest is the caller's promise.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attributes, size_of::<T>()) };
    match result {
        ..0 => Err(io::Error::last_os_error()),
        result => i32::try_from(result).map_err(io::Error::other),
    }
}

fn number(descriptor: BorrowedFd<'_>) -> u32 {
    u32::try_from(descriptor.as_raw_fd()).unwrap_or(u32::MAX)
}

fn length(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// As much of a name as the kernel keeps.
fn short(name: &str) -> [u8; NAME] {
    let mut kept = [0; NAME];
    let bytes = name.bytes().take(NAME - 1);
    kept.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
    kept
}
