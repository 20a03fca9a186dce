//! Which standby of one sample is which of the sample before.
//!
//! A name is not enough: `pg_basebackup -R` leaves every standby with the name
//! `walreceiver`. Nor is a process: each connection has another.

use crate::report::sample::Standby;

/// More standbys than a primary has; later ones are not kept apart.
const MAX_STANDBYS: usize = 256;

/// Tells standbys apart: those that are there at the same moment are as many, and one
/// that comes back under its name and from its address is the one that was there.
#[derive(Debug, Default)]
pub(crate) struct Tracker {
    known: Vec<KnownStandby>,
    samples: u64,
}

#[derive(Debug)]
struct KnownStandby {
    name: Option<String>,
    address: Option<String>,
    /// Of its latest connection.
    pid: u32,
    /// The sample that showed it last.
    seen: u64,
}

impl Tracker {
    /// Gives each of one sample's standbys to `take`, with what is kept of it.
    pub(crate) fn each<'s, T: Default>(
        &mut self,
        standbys: &'s [Standby],
        kept: &mut Vec<T>,
        mut take: impl FnMut(&mut T, &'s Standby),
    ) {
        for (standby, number) in standbys.iter().zip(self.find(standbys)) {
            let Some(number) = number else {
                continue;
            };
            if kept.len() <= number {
                kept.resize_with(number + 1, T::default);
            }
            take(&mut kept[number], standby);
        }
    }

    /// Of each of one sample's standbys its number, from 0 on; `None` of what is no
    /// standby yet, or one too many.
    fn find(&mut self, standbys: &[Standby]) -> Vec<Option<usize>> {
        self.samples += 1;
        let mut found: Vec<Option<usize>> = standbys
            .iter()
            .map(|one| self.take(one, |known| known.pid == one.pid))
            .collect();
        for (one, number) in standbys.iter().zip(&mut found) {
            if number.is_none() {
                *number = self.take(one, |_| true).or_else(|| self.meet(one));
            }
        }
        found
    }

    /// The one that was there last of those that this may be, and that no other is.
    fn take(&mut self, one: &Standby, may_be: impl Fn(&KnownStandby) -> bool) -> Option<usize> {
        let samples = self.samples;
        let known = self.known.iter_mut().enumerate();
        let (number, known) = known
            .filter(|(_, known)| known.is_called_as(one) && known.seen < samples && may_be(known))
            .max_by_key(|(_, known)| known.seen)?;
        known.seen = samples;
        known.pid = one.pid;
        Some(number)
    }

    fn meet(&mut self, one: &Standby) -> Option<usize> {
        // One that comes back is refused while its slot is in use by the connection that
        // it has lost: nothing is sent on the new one.
        let begins = one.state.as_deref() == Some("startup");
        let is_there = |known: &KnownStandby| known.is_called_as(one) && known.seen == self.samples;
        if self.known.len() >= MAX_STANDBYS || (begins && self.known.iter().any(is_there)) {
            return None;
        }
        self.known.push(KnownStandby {
            name: one.name().map(str::to_owned),
            address: one.client_addr.clone(),
            pid: one.pid,
            seen: self.samples,
        });
        Some(self.known.len() - 1)
    }
}

impl KnownStandby {
    fn is_called_as(&self, one: &Standby) -> bool {
        self.name.as_deref() == one.name() && self.address == one.client_addr
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::tests::standby;

    fn at(address: &str, pid: u32) -> Standby {
        Standby {
            client_addr: Some(address.to_owned()),
            ..standby("walreceiver", pid)
        }
    }

    #[test]
    fn two_of_one_name_are_two() {
        let mut tracker = Tracker::default();
        let (one, two) = (at("10.0.10.3", 17), at("10.0.10.4", 18));
        let both = [Some(0), Some(1)];
        assert_eq!(tracker.find(&[one.clone(), two.clone()]), both);
        // Also from one address, and in another order.
        let third = at("10.0.10.3", 16);
        let found = tracker.find(&[third.clone(), one.clone(), two]);
        assert_eq!(found, [Some(2), Some(0), Some(1)]);
        assert_eq!(tracker.find(&[one, third]), [Some(0), Some(2)]);
    }

    #[test]
    fn one_that_comes_back_is_the_same() {
        let mut tracker = Tracker::default();
        assert_eq!(tracker.find(&[at("10.0.10.3", 17)]), [Some(0)]);
        assert_eq!(tracker.find(&[]), []);
        assert_eq!(tracker.find(&[at("10.0.10.3", 18)]), [Some(0)]);
        assert_eq!(tracker.find(&[at("10.0.10.3", 19)]), [Some(0)]);
        // Not from elsewhere.
        assert_eq!(tracker.find(&[at("10.0.10.4", 20)]), [Some(1)]);
    }

    #[test]
    fn one_that_is_refused_while_its_lost_connection_lasts_is_no_other() {
        let mut tracker = Tracker::default();
        let lost = at("10.0.10.3", 17);
        let refused = Standby {
            state: Some("startup".into()),
            ..at("10.0.10.3", 18)
        };
        tracker.find(std::slice::from_ref(&lost));
        assert_eq!(tracker.find(&[refused, lost]), [None, Some(0)]);
        assert_eq!(tracker.find(&[at("10.0.10.3", 19)]), [Some(0)]);
    }

    #[test]
    fn there_are_never_too_many() {
        let mut tracker = Tracker::default();
        for pid in 0..2 * u32::try_from(MAX_STANDBYS).unwrap() {
            tracker.find(&[at(&format!("10.0.{}.{}", pid / 256, pid % 256), pid)]);
        }
        assert_eq!(tracker.known.len(), MAX_STANDBYS);
    }
}
