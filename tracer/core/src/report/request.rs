//! What was asked for.

use serde::{Deserialize, Serialize};

/// What was asked for.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Request {
    /// Peers, as prefixes; empty for all.
    pub peers: Vec<String>,
    /// Ports; empty for all.
    pub ports: Vec<u16>,
    /// `current`, `all`, or what was named.
    pub netns: String,
    /// Length of an interval of `series`.
    pub interval_s: f64,
    /// The database to watch, without its password.
    pub pg: Option<String>,
    /// Commits a second to try there.
    pub commit_probe: Option<u32>,
    /// Whether commits were to be split; the first reports do not say.
    #[serde(default)]
    pub commits: bool,
    /// How long to run; `null` until stopped.
    pub duration_s: Option<f64>,
}

impl Request {
    /// Whose connections are counted, in words.
    #[must_use]
    pub fn whom(&self) -> String {
        whom(&self.peers, &self.ports)
    }
}

/// Peers and ports in words.
pub fn whom(peers: &[impl ToString], ports: &[u16]) -> String {
    let mut words = match peers {
        [] => "every peer".to_owned(),
        peers => listed(peers),
    };
    if !ports.is_empty() {
        words += &format!(", port {}", listed(ports));
    }
    words
}

fn listed(list: &[impl ToString]) -> String {
    let words: Vec<String> = list.iter().map(ToString::to_string).collect();
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::whom;

    #[test]
    fn peers_and_ports_are_told_in_words() {
        let peers = ["10.0.10.2", "10.0.11.0/24"];
        for (peers, ports, words) in [
            (&[][..], &[][..], "every peer"),
            (&[], &[5432], "every peer, port 5432"),
            (&peers, &[], "10.0.10.2, 10.0.11.0/24"),
            (&peers[..1], &[1, 2], "10.0.10.2, port 1, 2"),
        ] {
            assert_eq!(whom(peers, ports), words);
        }
    }
}
