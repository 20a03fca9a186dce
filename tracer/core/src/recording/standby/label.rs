//! What a standby is called among others: where two have one name, also by where each
//! is.

use std::net::{IpAddr, SocketAddr};

use crate::report::sample::{Sample, Standby};
use crate::text;

/// What is known of where one is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Who<'a> {
    /// What it calls itself, or its address.
    pub name: Option<&'a str>,
    /// Its address; `None` for a socket file, or if we may not see it.
    pub address: Option<&'a str>,
    /// The port of its latest connection.
    pub port: Option<u16>,
    /// The walsender of that.
    pub pid: Option<u32>,
}

impl<'a> From<&'a Standby> for Who<'a> {
    fn from(standby: &'a Standby) -> Self {
        Self {
            name: standby.name(),
            address: standby.client_addr.as_deref(),
            port: standby.client_port,
            pid: Some(standby.pid),
        }
    }
}

/// Of each where it is, so that no two of one name are at the same place: by address,
/// and by port or process where another of its name has the same.
#[must_use]
pub fn places(all: &[Who<'_>]) -> Vec<Option<String>> {
    let place = |one: &Who<'_>| {
        let others = all.iter();
        let same = others.filter(|other| (other.name, other.address) == (one.name, one.address));
        if same.count() < 2 {
            return one.address.map(str::to_owned);
        }
        match (one.address, one.port, one.pid) {
            (Some(address), Some(port), _) => Some(end(address, port)),
            (address, _, Some(pid)) => {
                let address = address.map_or(String::new(), |address| format!("{address}, "));
                Some(format!("{address}process {pid}"))
            }
            (address, ..) => address.map(str::to_owned),
        }
    };
    all.iter().map(place).collect()
}

fn end(address: &str, port: u16) -> String {
    match address.parse::<IpAddr>() {
        Ok(parsed) => SocketAddr::new(parsed, port).to_string(),
        Err(_) => format!("{address}:{port}"),
    }
}

/// What each is called, harmless in a line.
pub(crate) fn labels(all: &[Who<'_>]) -> Vec<String> {
    let named = |one: &Who<'_>| all.iter().filter(|other| other.name == one.name).count();
    let label = |(one, place): (&Who<'_>, Option<String>)| {
        let name = one.name.map_or_else(|| "?".to_owned(), text::name);
        match place.filter(|_| named(one) > 1) {
            Some(place) => format!("{name} ({})", text::harmless(&place, 63)),
            None => name,
        }
    };
    all.iter().zip(places(all)).map(label).collect()
}

/// The same of all standbys of a sample.
pub(crate) fn of_sample(sample: &Sample) -> Vec<String> {
    let all: Vec<_> = sample.standbys.iter().map(Who::from).collect();
    labels(&all)
}

/// What one of a sample's standbys is called.
pub(crate) fn of(sample: &Sample, standby: &Standby) -> String {
    let mut standbys = sample.standbys.iter();
    let place = standbys.position(|one| one.pid == standby.pid);
    let label = place.and_then(|place| of_sample(sample).into_iter().nth(place));
    label.unwrap_or_else(|| labels(&[Who::from(standby)]).concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who<'a>(
        name: Option<&'a str>,
        address: Option<&'a str>,
        port: Option<u16>,
        pid: u32,
    ) -> Who<'a> {
        Who {
            name,
            address,
            port,
            pid: Some(pid),
        }
    }

    #[test]
    fn a_name_of_its_own_is_enough() {
        let all = [
            who(Some("db2"), Some("10.0.10.3"), Some(4), 1),
            who(Some("a b"), Some("10.0.10.3"), Some(5), 2),
            who(None, None, None, 3),
        ];
        assert_eq!(labels(&all), ["db2", "\"a b\"", "?"]);
    }

    #[test]
    fn those_of_one_name_are_told_apart_by_what_tells_them_apart() {
        let same = Some("walreceiver");
        let all = [
            who(same, Some("10.0.10.3"), Some(40_396), 1),
            who(same, Some("10.0.10.4"), Some(40_396), 2),
            who(same, Some("fd00::3"), Some(1), 3),
            who(same, Some("fd00::3"), Some(2), 4),
            who(same, None, None, 5),
            who(None, None, None, 6),
            who(None, None, None, 7),
        ];
        assert_eq!(
            labels(&all),
            [
                "walreceiver (10.0.10.3)",
                "walreceiver (10.0.10.4)",
                "walreceiver ([fd00::3]:1)",
                "walreceiver ([fd00::3]:2)",
                "walreceiver",
                "? (process 6)",
                "? (process 7)",
            ]
        );
        let places = places(&all);
        assert_eq!(places[0].as_deref(), Some("10.0.10.3"));
        assert_eq!(places[3].as_deref(), Some("[fd00::3]:2"));
        assert_eq!(places[4], None);
    }
}
