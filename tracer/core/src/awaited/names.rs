//! `synchronous_standby_names`, read as the server reads it.
//!
//! The grammar is that of
//! [`syncrep_gram.y`](https://github.com/postgres/postgres/blob/REL_15_STABLE/src/backend/replication/syncrep_gram.y)
//! and
//! [`syncrep_scanner.l`](https://github.com/postgres/postgres/blob/REL_15_STABLE/src/backend/replication/syncrep_scanner.l),
//! the same in 13 to 17.

/// How the standbys that are listed share the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// `FIRST n`: the first ones in the list that stream, and each of them.
    First,
    /// `ANY n`: so many of them, whichever they are.
    Any,
}

/// Whom commits wait for, as the setting says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandbyNames {
    /// How the listed ones share the work.
    pub method: Method,
    /// How many have to confirm a commit.
    pub needed: usize,
    /// The list, in order; `*` stands for any name.
    pub listed: Vec<String>,
}

impl StandbyNames {
    /// Reads the setting; `None` if it is empty, or nothing that a server would accept.
    #[must_use]
    pub fn parse(setting: &str) -> Option<Self> {
        let tokens = tokens(setting)?;
        let (method, needed, list) = match tokens.as_slice() {
            [
                Token::First,
                Token::Number(needed),
                Token::Open,
                list @ ..,
                Token::Close,
            ]
            | [Token::Number(needed), Token::Open, list @ .., Token::Close] => {
                (Method::First, needed.parse().ok()?, list)
            }
            [
                Token::Any,
                Token::Number(needed),
                Token::Open,
                list @ ..,
                Token::Close,
            ] => (Method::Any, needed.parse().ok()?, list),
            list => (Method::First, 1, list),
        };
        let listed = names(list)?;
        (needed > 0).then_some(Self {
            method,
            needed,
            listed,
        })
    }

    /// The place in the list of a standby that calls itself so, from 0: the first that is
    /// its name without regard to case, or is `*` (`SyncRepGetStandbyPriority()` in
    /// [`syncrep.c`](https://github.com/postgres/postgres/blob/REL_15_STABLE/src/backend/replication/syncrep.c)).
    pub fn place(&self, name: &str) -> Option<usize> {
        let mut listed = self.listed.iter();
        listed.position(|one| one == ANY_NAME || one.eq_ignore_ascii_case(name))
    }
}

pub(crate) const ANY_NAME: &str = "*";

#[derive(Debug, PartialEq, Eq)]
enum Token {
    Any,
    First,
    Name(String),
    Number(String),
    Comma,
    Open,
    Close,
}

/// A list of names that are separated by commas. A number may be a name, too.
fn names(list: &[Token]) -> Option<Vec<String>> {
    let mut separators = list.iter().skip(1).step_by(2);
    if list.len().is_multiple_of(2) || !separators.all(|token| *token == Token::Comma) {
        return None;
    }
    let named = list.iter().step_by(2).map(|token| match token {
        Token::Name(name) | Token::Number(name) => Some(name.clone()),
        _ => None,
    });
    named.collect()
}

fn tokens(setting: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = setting;
    loop {
        let mut characters = rest.chars();
        let Some(first) = characters.next() else {
            return Some(tokens);
        };
        let after = characters.as_str();
        let (token, behind) = match first {
            ' ' | '\t' | '\n' | '\r' | '\u{b}' | '\u{c}' => (None, after),
            ',' => (Some(Token::Comma), after),
            '(' => (Some(Token::Open), after),
            ')' => (Some(Token::Close), after),
            '*' => (Some(Token::Name(ANY_NAME.to_owned())), after),
            '"' => {
                let (name, behind) = quoted(after)?;
                (Some(Token::Name(name)), behind)
            }
            first if first.is_ascii_digit() => {
                let (number, behind) = while_it_is(rest, |one| one.is_ascii_digit());
                (Some(Token::Number(number.to_owned())), behind)
            }
            first if first.is_ascii_alphabetic() || first == '_' || !first.is_ascii() => {
                let (word, behind) = while_it_is(rest, |one| {
                    one.is_ascii_alphanumeric() || matches!(one, '_' | '$') || !one.is_ascii()
                });
                (Some(word_token(word)), behind)
            }
            _ => return None,
        };
        tokens.extend(token);
        rest = behind;
    }
}

fn while_it_is(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|one| !belongs(one)).unwrap_or(text.len()))
}

fn word_token(word: &str) -> Token {
    if word.eq_ignore_ascii_case("any") {
        Token::Any
    } else if word.eq_ignore_ascii_case("first") {
        Token::First
    } else {
        Token::Name(word.to_owned())
    }
}

/// What stands before the closing quote, in which two are one, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut rest = text;
    loop {
        let (before, behind) = rest.split_once('"')?;
        name.push_str(before);
        match behind.strip_prefix('"') {
            Some(behind) => {
                name.push('"');
                rest = behind;
            }
            None => return Some((name, behind)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(setting: &str) -> Option<(Method, usize, Vec<String>)> {
        let names = StandbyNames::parse(setting)?;
        Some((names.method, names.needed, names.listed))
    }

    fn names(
        method: Method,
        needed: usize,
        listed: &[&str],
    ) -> Option<(Method, usize, Vec<String>)> {
        let listed = listed.iter().map(|&name| name.to_owned()).collect();
        Some((method, needed, listed))
    }

    #[test]
    fn it_is_read_as_by_the_server() {
        use Method::{Any, First};
        for (setting, expected) in [
            ("db2", names(First, 1, &["db2"])),
            ("db2, db3", names(First, 1, &["db2", "db3"])),
            ("2 (db2,db3)", names(First, 2, &["db2", "db3"])),
            (
                "FIRST 2 (db2, db3, db4)",
                names(First, 2, &["db2", "db3", "db4"]),
            ),
            ("any 1(db2,\"Db 3\")", names(Any, 1, &["db2", "Db 3"])),
            ("*", names(First, 1, &["*"])),
            ("ANY 2 (*)", names(Any, 2, &["*"])),
            (" \t\"a\"\"b\" ", names(First, 1, &["a\"b"])),
            ("\"any\", \"first\"", names(First, 1, &["any", "first"])),
            ("1, 2", names(First, 1, &["1", "2"])),
            ("2 (1, 2)", names(First, 2, &["1", "2"])),
            ("дб2", names(First, 1, &["дб2"])),
            ("first_standby", names(First, 1, &["first_standby"])),
        ] {
            assert_eq!(parsed(setting), expected, "{setting}");
        }
    }

    #[test]
    fn what_no_server_accepts_is_nothing() {
        for setting in [
            "",
            " ",
            "db-2",
            "db2,",
            ",",
            "db2 db3",
            "FIRST (db2)",
            "ANY 1 db2",
            "FIRST 0 (db2)",
            "any",
            "\"db2",
            "1 (db2",
            "FIRST 99999999999999999999 (db2)",
            "(db2)",
        ] {
            assert_eq!(parsed(setting), None, "{setting}");
        }
    }

    #[test]
    fn names_match_without_regard_to_case_and_the_first_counts() {
        let names = StandbyNames::parse("db2, DB3, *").unwrap();
        let places = ["DB2", "db3", "db4", ""].map(|name| names.place(name));
        assert_eq!(places, [Some(0), Some(1), Some(2), Some(2)]);
        assert_eq!(StandbyNames::parse("db2").unwrap().place("db3"), None);
    }
}
