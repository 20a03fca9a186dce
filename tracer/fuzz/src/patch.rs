//! Changes to JSON that stays JSON: input that gets past the parser, to what comes behind it.

use serde_json::Value;

/// The most changes of one input.
const MAX_CHANGES: usize = 16;
/// What numbers and texts are made of that are likely to be minded.
const WORDS: [&str; 16] = [
    "",
    "0",
    "-1",
    "1e308",
    "18446744073709551615",
    "2026-01-02T03:04:05.000001Z",
    "-009999-01-01T00:00:00Z",
    "9999-12-30T22:00:00.9999999Z",
    "10.0.10.2",
    "::ffff:10.0.10.3",
    "fe80::1%eth0",
    "<script>alert(1)</script>",
    "\u{1b}[2J\u{202e}\n",
    "streaming",
    "FIRST 2 (db2, *)",
    "[](http://x) @y | `z` \\",
];
const NUMBERS: [f64; 12] = [
    0.0,
    1.0,
    -1.0,
    0.5,
    1e-300,
    1e308,
    -1e308,
    1e9,
    1e18,
    1e19,
    253_402_207_200.0,
    4_294_967_296.0,
];

/// Takes bytes from the front.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn next(&mut self) -> Option<usize> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(usize::from(*first))
    }

    fn word(&mut self) -> Option<usize> {
        Some(self.next()? | self.next()? << 8)
    }
}

/// Changes a value as the bytes say: which place (2), how (1), and what it takes for that.
pub(crate) fn apply(value: &mut Value, bytes: &[u8]) {
    let mut bytes = Bytes(bytes);
    for _ in 0..MAX_CHANGES {
        if change(value, &mut bytes).is_none() {
            return;
        }
    }
}

fn change(value: &mut Value, bytes: &mut Bytes<'_>) -> Option<()> {
    let (number, how) = (bytes.word()?, bytes.next()?);
    let count = count(value);
    let place = nth(value, &mut (number % count))?;
    match how % 10 {
        0 => *place = Value::Null,
        1 => *place = u64::MAX.into(),
        2 => *place = i64::MIN.into(),
        3 => *place = NUMBERS.get(bytes.next()? % NUMBERS.len()).copied()?.into(),
        4 => *place = (*WORDS.get(bytes.next()? % WORDS.len())?).into(),
        5 => *place = bytes.word()?.into(),
        6 => {
            let length = bytes.next()?.min(bytes.0.len());
            let (text, rest) = bytes.0.split_at(length);
            bytes.0 = rest;
            *place = String::from_utf8_lossy(text).into_owned().into();
        }
        7 => clear(place),
        8 => repeat(place, bytes.next()? % 4),
        _ => remove(place, bytes.next()?),
    }
    Some(())
}

fn children(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(all) => all.iter().collect(),
        Value::Object(all) => all.values().collect(),
        _ => Vec::new(),
    }
}

/// How many values there are, this one included.
fn count(value: &Value) -> usize {
    1 + children(value).into_iter().map(count).sum::<usize>()
}

/// The value of this number, counted from 0, parents first.
fn nth<'a>(value: &'a mut Value, number: &mut usize) -> Option<&'a mut Value> {
    if *number == 0 {
        return Some(value);
    }
    *number -= 1;
    let children: Vec<&mut Value> = match value {
        Value::Array(all) => all.iter_mut().collect(),
        Value::Object(all) => all.values_mut().collect(),
        _ => Vec::new(),
    };
    children.into_iter().find_map(|child| nth(child, number))
}

fn clear(value: &mut Value) {
    match value {
        Value::Array(all) => all.clear(),
        Value::String(text) => text.clear(),
        value => *value = Value::Bool(false),
    }
}

/// Appends what an array has, or what a text says, once more.
fn repeat(value: &mut Value, times: usize) {
    for _ in 0..times {
        match value {
            Value::Array(all) if all.len() < 64 => all.extend(all.clone()),
            Value::String(text) if text.len() < 4096 => *text = text.repeat(2),
            _ => {}
        }
    }
}

fn remove(value: &mut Value, number: usize) {
    match value {
        Value::Array(all) if !all.is_empty() => {
            all.swap_remove(number % all.len());
        }
        Value::Object(all) if !all.is_empty() => {
            let name = all.keys().nth(number % all.len()).cloned();
            name.and_then(|name| all.remove(&name));
        }
        _ => {}
    }
}
