//! What is broken: drawn from a seed, and nothing but that.

use std::fmt;
use std::time::Duration;

use crate::testbed::postgres::PORT;
use crate::testbed::random::Random;
use crate::testbed::wire::{Harm, Impairment, Which};

/// What happens to the replication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Broken {
    /// What the primary sends to the standby.
    Log(Harm),
    /// What the standby sends to the primary.
    Replies(Harm),
    /// Both directions.
    Both(Harm),
    /// Every flush of the standby's walreceiver takes longer.
    StandbyDisk(Duration),
    /// The walreceiver stands still again and again.
    StandbyReceiver(Duration),
    /// The standby replays nothing, and commits wait for that.
    StandbyReplay,
    /// The standby is shut down.
    StandbyGone,
    /// Every flush of the primary takes longer.
    PrimaryDisk(Duration),
    /// Somebody holds a lock on the table.
    Lock,
    /// Nothing.
    Nothing,
}

/// Trouble that harms no commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beside {
    Nothing,
    /// On a connection between the hosts that is not the replication.
    OtherConnections(Harm),
    /// On every connection, so little that nobody waits for long.
    Everything(Harm),
}

/// One fault, for a while.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trial {
    pub(super) broken: Broken,
    pub(super) beside: Beside,
    pub(super) calm: Duration,
    pub(super) long: Duration,
    /// How many bytes a commit writes, about.
    pub(super) bytes: u64,
    /// What the wire draws from.
    pub(super) seed: u64,
}

impl Trial {
    /// The one of this number.
    pub(super) fn draw(seed: u64, number: u32) -> Self {
        let mut random = Random::new(seed, number);
        let mut bytes = random.pick([20, 20, 3_000]);
        let broken = match random.between(0, 99) {
            0..60 => {
                let harm = network(&mut random);
                if is_of_size(harm) {
                    bytes = 3_000;
                }
                let place = random.between(0, 4);
                // What is large, the primary sends; and a cable is mostly cut both ways.
                match harm {
                    _ if is_of_size(harm) => Broken::Log(harm),
                    Harm::Cut if place < 3 => Broken::Both(harm),
                    _ if place == 4 => Broken::Both(harm),
                    _ if place < 2 => Broken::Log(harm),
                    _ => Broken::Replies(harm),
                }
            }
            60..70 => Broken::StandbyDisk(milliseconds(&mut random, 40, 900)),
            70..78 => Broken::StandbyReceiver(milliseconds(&mut random, 300, 2_500)),
            78..83 => Broken::StandbyReplay,
            83..87 => Broken::StandbyGone,
            87..92 => Broken::PrimaryDisk(milliseconds(&mut random, 150, 600)),
            92..96 => Broken::Lock,
            _ => Broken::Nothing,
        };
        let beside = match random.between(0, 3) {
            0 => Beside::OtherConnections(harmful(&mut random)),
            1 => Beside::Everything(harmless(&mut random)),
            _ => Beside::Nothing,
        };
        Self {
            broken,
            beside,
            calm: milliseconds(&mut random, 5_000, 7_000),
            long: milliseconds(&mut random, 8_000, 16_000),
            bytes,
            seed: random.between(0, u64::MAX - 1),
        }
    }

    /// What happens to the wire toward the standby, and to the one toward the primary.
    pub(super) fn impairments(&self) -> [Vec<Impairment>; 2] {
        let mut ways = [Vec::new(), Vec::new()];
        let own = |harm| Impairment {
            harm,
            which: if harm == Harm::Cut {
                Which::All
            } else {
                Which::Port(PORT)
            },
        };
        match self.broken {
            Broken::Log(harm) => ways[0].push(own(harm)),
            Broken::Replies(harm) => ways[1].push(own(harm)),
            Broken::Both(harm) => ways.iter_mut().for_each(|way| way.push(own(harm))),
            _ => {}
        }
        let beside = match self.beside {
            Beside::Nothing => None,
            Beside::OtherConnections(harm) => Some((harm, Which::OtherPorts(PORT))),
            Beside::Everything(harm) => Some((harm, Which::All)),
        };
        for way in &mut ways {
            way.extend(beside.map(|(harm, which)| Impairment { harm, which }));
        }
        ways
    }
}

fn is_of_size(harm: Harm) -> bool {
    matches!(harm, Harm::Rate { .. } | Harm::Larger { .. })
}

fn milliseconds(random: &mut Random, low: u64, high: u64) -> Duration {
    Duration::from_millis(random.between(low, high))
}

/// What a commit feels.
fn network(random: &mut Random) -> Harm {
    match random.between(0, 10) {
        0 | 1 => Harm::Loss {
            percent: random.between(15, 60),
        },
        2 => Harm::Bursts {
            begin: random.between(5, 15),
            end: random.between(15, 40),
        },
        3 | 4 => Harm::Damage {
            percent: random.between(15, 60),
        },
        5 => Harm::Delay {
            by: milliseconds(random, 60, 400),
            jitter: milliseconds(random, 0, 200),
        },
        6 => Harm::Rate {
            bytes_per_s: random.between(8_000, 24_000),
            queue_bytes: random.pick([4_000, 200_000]),
        },
        7 => Harm::Larger {
            bytes: usize::try_from(random.between(500, 1_300)).unwrap_or(usize::MAX),
        },
        8 => Harm::Hold {
            every: milliseconds(random, 4_000, 6_000),
            held: milliseconds(random, 1_000, 3_000),
        },
        _ => Harm::Cut,
    }
}

fn harmful(random: &mut Random) -> Harm {
    let percent = random.between(5, 40);
    random.pick([
        Harm::Loss { percent },
        Harm::Damage { percent },
        Harm::Reorder {
            percent,
            by: Duration::from_millis(5),
        },
    ])
}

fn harmless(random: &mut Random) -> Harm {
    let percent = random.between(5, 40);
    random.pick([
        Harm::Duplicate { percent },
        Harm::Reorder {
            percent,
            by: Duration::from_millis(3),
        },
        Harm::Delay {
            by: Duration::from_millis(1),
            jitter: Duration::from_millis(3),
        },
    ])
}

impl fmt::Display for Trial {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            to,
            "{:?} for {:.1} s, {} B a commit",
            self.broken,
            self.long.as_secs_f64(),
            self.bytes
        )?;
        match self.beside {
            Beside::Nothing => Ok(()),
            beside => write!(to, ", beside {beside:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_draws_the_same_trials_and_all_kinds_of_them() {
        let draw = |seed| (0..1_000).map(move |number| Trial::draw(seed, number).to_string());
        assert!(draw(1).eq(draw(1)));
        assert!(!draw(1).eq(draw(2)));
        let all: Vec<String> = draw(3).collect();
        for kind in [
            "Log(Loss",
            "Replies(Damage",
            "Both(Cut",
            "Bursts",
            "Delay",
            "Rate",
            "Larger",
            "Hold",
            "StandbyDisk",
            "StandbyReceiver",
            "StandbyReplay",
            "StandbyGone",
            "PrimaryDisk",
            "Lock",
            "Nothing",
            "OtherConnections",
            "Everything",
        ] {
            assert!(all.iter().any(|one| one.contains(kind)), "{kind}");
        }
    }

    #[test]
    fn what_depends_on_the_size_breaks_what_is_large() {
        for number in 0..500 {
            let trial = Trial::draw(5, number);
            if let Broken::Replies(harm) | Broken::Both(harm) = trial.broken {
                assert!(!is_of_size(harm), "{trial}");
            }
        }
    }
}
