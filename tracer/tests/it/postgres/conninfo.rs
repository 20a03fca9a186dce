//! Connection strings, read by tracer and by the libpq of this machine.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_int};
use std::{env, ptr};

use tracer::postgres::connection::dsn;
use tracer::postgres::connection::dsn::DsnError;
use tracer::postgres::connection::target::LibpqEnvironment;
use tracer::postgres::{Target, TargetError};

/// So many strings unless `TRACER_DSN_COUNT` says otherwise, beginning with this seed
/// unless `TRACER_DSN_SEED` does.
const COUNT: u64 = 200_000;
const SEED: u64 = 0x5eed;

type Read = BTreeMap<String, Vec<u8>>;
type Entries = Vec<(String, Option<Vec<u8>>)>;

/// `PQconninfoOption`
/// (<https://www.postgresql.org/docs/15/libpq-connect.html#LIBPQ-PQCONNDEFAULTS>).
#[repr(C)]
struct Entry {
    keyword: *const c_char,
    variable: *const c_char,
    compiled: *const c_char,
    value: *const c_char,
    label: *const c_char,
    shown_as: *const c_char,
    shown_size: c_int,
}

struct Libpq {
    parse: unsafe extern "C" fn(*const c_char, *mut *mut c_char) -> *mut Entry,
    free: unsafe extern "C" fn(*mut Entry),
    free_text: unsafe extern "C" fn(*mut c_char),
}

impl Libpq {
    fn load() -> Self {
        // SAFETY: the name ends with a zero; libpq's initialisation touches nothing of
        // ours, and it is never unloaded.
        let library = unsafe { libc::dlopen(c"libpq.so.5".as_ptr(), libc::RTLD_NOW) };
        assert!(
            !library.is_null(),
            "libpq.so.5 cannot be loaded: install the package libpq5"
        );
        let symbol = |name: &CStr| {
            // SAFETY: the library is loaded, and the name ends with a zero.
            let found = unsafe { libc::dlsym(library, name.as_ptr()) };
            assert!(!found.is_null(), "libpq has no {name:?}");
            found
        };
        // SAFETY: these are the types that libpq-fe.h declares for these names.
        unsafe {
            Self {
                parse: std::mem::transmute::<
                    *mut libc::c_void,
                    unsafe extern "C" fn(*const c_char, *mut *mut c_char) -> *mut Entry,
                >(symbol(c"PQconninfoParse")),
                free: std::mem::transmute::<*mut libc::c_void, unsafe extern "C" fn(*mut Entry)>(
                    symbol(c"PQconninfoFree"),
                ),
                free_text: std::mem::transmute::<
                    *mut libc::c_void,
                    unsafe extern "C" fn(*mut c_char),
                >(symbol(c"PQfreemem")),
            }
        }
    }

    /// Every keyword, with the value that the string gives it.
    fn entries(&self, text: &str) -> Result<Entries, String> {
        let text = CString::new(text).unwrap();
        let mut error = ptr::null_mut();
        // SAFETY: both pointers are valid for the call.
        let list = unsafe { (self.parse)(text.as_ptr(), &raw mut error) };
        if list.is_null() {
            assert!(!error.is_null(), "libpq has no memory");
            // SAFETY: what it says ends with a zero, and is ours to free, once.
            return Err(unsafe {
                let said = CStr::from_ptr(error).to_string_lossy().into_owned();
                (self.free_text)(error);
                said
            });
        }
        let mut entries = Vec::new();
        for index in 0.. {
            // SAFETY: the list ends with an entry without a keyword, which is not passed.
            let entry = unsafe { &*list.add(index) };
            if entry.keyword.is_null() {
                break;
            }
            let text = |text: *const c_char| {
                // SAFETY: strings of the list end with a zero, and live until it is freed.
                (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_bytes().to_vec())
            };
            let keyword = String::from_utf8(text(entry.keyword).unwrap()).unwrap();
            entries.push((keyword, text(entry.value)));
        }
        // SAFETY: the list is libpq's own, and nothing of it is used any more.
        unsafe { (self.free)(list) };
        Ok(entries)
    }

    fn read(&self, text: &str) -> Result<Read, String> {
        let entries = self.entries(text)?.into_iter();
        Ok(entries
            .filter_map(|(keyword, value)| Some((keyword, value?)))
            .collect())
    }
}

/// Xorshift: as good as any here, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() >> 16).unwrap() % end
    }

    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len())]
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }
}

const KEYS: [&str; 12] = [
    "host",
    "hostaddr",
    "port",
    "user",
    "password",
    "dbname",
    "sslmode",
    "service",
    "requiressl",
    "options",
    "ssl",
    "hots",
];
const WORDS: [&str; 12] = [
    "db1", "me", "5432", "app", "é", "::1", "true", "1", "0", "/run", "require", "",
];
const BITS: [&str; 34] = [
    "=",
    " = ",
    " ",
    "\t",
    "\n",
    "\u{b}",
    "'",
    "''",
    "\\",
    "\\'",
    "\\\\",
    "@",
    ":",
    "/",
    "?",
    "&",
    "%",
    "%4",
    "%41",
    "%2f",
    "%00",
    "%e4",
    "%C3%A4",
    "%%",
    "[",
    "]",
    "[::1]",
    ",",
    ";",
    "#",
    "+",
    "postgres://",
    "é",
    "\u{a0}",
];

fn word(random: &mut Random) -> String {
    let mut word = String::new();
    for _ in 0..=random.below(3) {
        word += match random.below(4) {
            0 => random.of(&BITS),
            _ => random.of(&WORDS),
        };
    }
    word
}

fn pairs(random: &mut Random) -> String {
    let mut text = String::new();
    for _ in 0..random.below(4) {
        let (key, equals) = (random.of(&KEYS), random.of(&["=", " = ", "= ", " ="]));
        let value = word(random);
        let quote = random.of(&["", "", "'"]);
        let between = random.of(&[" ", "  ", "\n", ""]);
        text += &format!("{key}{equals}{quote}{value}{quote}{between}");
    }
    text
}

fn uri(random: &mut Random) -> String {
    let mut text = random.of(&["postgresql://", "postgres://"]).to_owned();
    if random.one_in(2) {
        text += &word(random);
        if random.one_in(2) {
            text += &format!(":{}", word(random));
        }
        text += "@";
    }
    for number in 0..random.below(3) {
        text += if number == 0 { "" } else { "," };
        text += &word(random);
        if random.one_in(3) {
            text += &format!(":{}", word(random));
        }
    }
    if random.one_in(2) {
        text += &format!("/{}", word(random));
    }
    for number in 0..random.below(3) {
        text += if number == 0 { "?" } else { "&" };
        text += &format!("{}={}", random.of(&KEYS), word(random));
    }
    text
}

/// A string of either form, as it is meant or with something wrong.
fn string(random: &mut Random) -> String {
    let mut text = match random.below(5) {
        0 | 1 => pairs(random),
        2 | 3 => uri(random),
        _ => (0..random.below(8)).map(|_| word(random)).collect(),
    };
    for _ in 0..random.below(3) {
        let places: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        if places.is_empty() {
            break;
        }
        let at = places[random.below(places.len())];
        if random.one_in(2) {
            text.insert_str(at, random.of(&BITS));
        } else {
            text.remove(at);
        }
    }
    text
}

/// Why tracer refuses what libpq takes, where that is meant.
fn purpose(error: &DsnError, text: &str, libpq: &Read) -> Option<&'static str> {
    // A parameter may have replaced what comes before it.
    let given = |key: &str| text.contains(&format!("{key}="));
    let has_at = |key: &str| {
        let value = libpq.get(key);
        value.is_some_and(|value| value.contains(&b'@')) || given(key)
    };
    match error {
        DsnError::At if text.contains('@') && (has_at("host") || has_at("port")) => {
            Some("no host and no port has an `@`: it is a password's, which would be shown")
        }
        DsnError::LateAt if text.contains('@') && has_at("dbname") => {
            Some("a password with a `/` was taken for a host and a database, which are shown")
        }
        DsnError::NotText if text.contains('%') => {
            Some("the client library takes no names but UTF-8")
        }
        _ => None,
    }
}

fn variable(name: &str, otherwise: u64) -> u64 {
    env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

#[test]
fn a_string_is_read_as_libpq_reads_it() {
    let libpq = Libpq::load();
    let known: Vec<String> = libpq
        .entries("")
        .unwrap()
        .into_iter()
        .map(|e| e.0)
        .collect();
    let seed = variable("TRACER_DSN_SEED", SEED);
    let count = variable("TRACER_DSN_COUNT", COUNT);
    println!("{count} strings from seed {seed}");
    let mut random = Random(seed.max(1));
    let (mut taken, mut refused) = (0, 0);
    let mut on_purpose = BTreeMap::<&str, u64>::new();
    for number in 0..count {
        let text = string(&mut random);
        let theirs = libpq.read(&text);
        // Which keywords there are is judged later.
        let ours = dsn::parse(&text).map(|settings| {
            let settings = settings.into_iter();
            let read: Read = settings.map(|(k, v)| (k, v.into_bytes())).collect();
            read.keys().all(|key| known.contains(key)).then_some(read)
        });
        match (&ours, &theirs) {
            (Ok(Some(ours)), Ok(theirs)) if ours == theirs => taken += 1,
            (Ok(None) | Err(_), Err(_)) => refused += 1,
            (Err(error), Ok(read)) if purpose(error, &text, read).is_some() => {
                *on_purpose
                    .entry(purpose(error, &text, read).unwrap())
                    .or_default() += 1;
            }
            _ => panic!(
                "string {number} from seed {seed}: {text:?}\ntracer: {ours:?}\nlibpq: {theirs:?}"
            ),
        }
    }
    println!("both take {taken} and refuse {refused}; on purpose: {on_purpose:#?}");
    assert!(taken > count / 10 && refused > count / 10);
}

#[test]
fn every_keyword_of_libpq_s_is_known() {
    for (keyword, _) in Libpq::load().entries("").unwrap() {
        let around = LibpqEnvironment {
            variable: &|_| None,
            user: Some("me".to_owned()),
            home: None,
        };
        let resolved = Target::resolve(&format!("{keyword}=1"), &around);
        let unknown = matches!(
            resolved,
            Err(TargetError::Unknown(_) | TargetError::UnknownHidden)
        );
        assert!(!unknown, "{keyword}");
    }
}
