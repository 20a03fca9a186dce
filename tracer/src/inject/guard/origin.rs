//! The interface that a fault was made on, found again whatever became of it.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use tracer_core::report::whereabouts::Whereabouts;

use crate::inject::{InjectError, Interface};
use crate::kernel::link::{self, Link};
use crate::kernel::netns::{self, Identity, Netns};

/// Where a fault was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Origin {
    /// The network namespace.
    #[serde(flatten)]
    pub(crate) netns: Identity,
    /// The interface, as it was called there.
    pub(crate) interface: Interface,
    /// What the interface is known by; [`None`] in what an earlier version wrote.
    #[serde(default)]
    pub(crate) marks: Option<Marks>,
}

/// What an interface keeps when it is renamed or moved. An index alone may be
/// another's by now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Marks {
    /// `veth` and so on; null of a device that no software makes.
    kind: Option<String>,
    /// Index of its other end, or of what it is on.
    #[serde(default)]
    lower: Option<u32>,
    /// Hardware address, as `ip link` shows it; null if it has none.
    address: Option<String>,
    /// The one that it was made with, where the kernel knows it.
    permanent: Option<String>,
}

/// Where an interface was found.
struct FoundInterface {
    whereabouts: Whereabouts,
    /// By the name that it has now, and the namespace if that is another one than
    /// the thread is in.
    place: Option<(Interface, Option<Netns>)>,
}

impl Origin {
    /// The interface, in the namespace of the calling thread.
    pub(crate) fn of(interface: &Interface) -> Result<Self, InjectError> {
        let gone = |error| InjectError::Interface {
            name: interface.name.clone(),
            error,
        };
        let link = link::by_index(interface.index)
            .and_then(|link| link.ok_or_else(|| std::io::Error::from_raw_os_error(libc::ENODEV)))
            .map_err(gone)?;
        let netns = Identity::current().map_err(|error| gone(std::io::Error::other(error)))?;
        Ok(Self {
            netns,
            interface: interface.clone(),
            marks: Some(Marks::of(&link)),
        })
    }

    /// What became of it.
    pub(crate) fn whereabouts(&self) -> Whereabouts {
        self.find().whereabouts
    }

    /// Calls the closure with what became of it and, if it still is somewhere, with
    /// its name there, on this thread in its namespace.
    pub(crate) fn visit<T>(
        &self,
        there: impl FnOnce(&Interface, &Whereabouts) -> T,
    ) -> (Whereabouts, Option<T>) {
        let FoundInterface { whereabouts, place } = self.find();
        let Some((interface, netns)) = place else {
            return (whereabouts, None);
        };
        match netns.as_ref().map(Netns::enter).transpose() {
            Ok(_inside) => {
                let visited = there(&interface, &whereabouts);
                (whereabouts, Some(visited))
            }
            Err(error) => {
                let reason = error.to_string();
                (Whereabouts::Unknown { reason }, None)
            }
        }
    }

    fn find(&self) -> FoundInterface {
        let nowhere = |whereabouts| FoundInterface {
            whereabouts,
            place: None,
        };
        if self.netns.is_of_another_boot() {
            return nowhere(Whereabouts::Gone);
        }
        match self.at_home() {
            Err(reason) => nowhere(Whereabouts::Unknown { reason }),
            Ok(Some(found)) => found,
            Ok(None) => match self.elsewhere() {
                Ok(Some(found)) => found,
                Ok(None) => nowhere(Whereabouts::Gone),
                Err(reason) => nowhere(Whereabouts::Unknown { reason }),
            },
        }
    }

    /// In the namespace that it was in; [`None`] if it is not, or that is gone.
    fn at_home(&self) -> Result<Option<FoundInterface>, String> {
        let current = Identity::current().map_err(|error| error.to_string())?;
        if self.netns.may_be(&current) {
            return self.here();
        }
        for netns in netns::all().map_err(|error| error.to_string())? {
            if netns.inode() != self.netns.inode {
                continue;
            }
            let inside = netns.enter().map_err(|error| error.to_string())?;
            let there = Identity::current().map_err(|error| error.to_string())?;
            let found = match self.netns.may_be(&there) {
                true => self.here()?,
                false => None,
            };
            drop(inside);
            return Ok(found.map(|found| FoundInterface {
                place: found.place.map(|(interface, _)| (interface, Some(netns))),
                ..found
            }));
        }
        Ok(None)
    }

    /// In the namespace of the calling thread, which is its own.
    fn here(&self) -> Result<Option<FoundInterface>, String> {
        let Interface { name, index } = &self.interface;
        let Some(link) = link::by_index(*index).map_err(|error| error.to_string())? else {
            return Ok(None);
        };
        let same_name = link.name == *name;
        let is_it = match &self.marks {
            Some(marks) => marks.are_of(&link, same_name),
            None if same_name => true,
            None => {
                return Err(format!(
                    "the interface of its index is called {} now, and a record of an earlier version does not say whether it is the same",
                    link.name
                ));
            }
        };
        if !is_it {
            // It may have gone elsewhere, before another one got its index.
            let elsewhere = self.elsewhere()?;
            return Ok(Some(elsewhere.unwrap_or(FoundInterface {
                whereabouts: Whereabouts::Replaced { name: link.name },
                place: None,
            })));
        }
        let interface = Interface {
            name: link.name,
            index: *index,
        };
        Ok(Some(FoundInterface {
            whereabouts: match same_name {
                true => Whereabouts::AsBefore,
                false => Whereabouts::Renamed {
                    name: interface.name.clone(),
                },
            },
            place: Some((interface, None)),
        }))
    }

    /// In any other namespace that can be found.
    fn elsewhere(&self) -> Result<Option<FoundInterface>, String> {
        let Some(marks) = &self.marks else {
            return Ok(None);
        };
        for netns in netns::all().map_err(|error| error.to_string())? {
            // One that goes meanwhile has nothing of it any more.
            let Ok(inside) = netns.enter() else { continue };
            let here = Identity::current().map_err(|error| error.to_string())?;
            let links = match self.netns.may_be(&here) {
                true => Vec::new(),
                false => link::all().map_err(|error| error.to_string())?,
            };
            drop(inside);
            let found = links
                .into_iter()
                .find(|link| marks.moved_to(link, self.interface.index));
            if let Some(link) = found {
                let interface = Interface {
                    name: link.name,
                    index: link.index,
                };
                return Ok(Some(FoundInterface {
                    whereabouts: Whereabouts::Moved {
                        netns: netns.inode(),
                        namespace: netns::shown(netns.inode()),
                        name: interface.name.clone(),
                    },
                    place: Some((interface, Some(netns))),
                }));
            }
        }
        Ok(None)
    }
}

impl Marks {
    fn of(link: &Link) -> Self {
        Self {
            kind: link.kind.clone(),
            lower: link.lower,
            address: written(&link.address),
            permanent: link.permanent.as_deref().and_then(written),
        }
    }

    /// Whether the interface of its index, in its namespace, is it. A new name and a
    /// new address at once are another one's.
    fn are_of(&self, link: &Link, same_name: bool) -> bool {
        let now = Self::of(link);
        if self.kind != now.kind || self.permanent != now.permanent {
            return false;
        }
        same_name
            || self.permanent.is_some()
            || (self.address.is_some() && self.address == now.address)
    }

    /// Whether an interface of another namespace is it. Without a permanent address
    /// the one that it has now does not suffice: containers are given the same
    /// addresses, names and indices again. A veth has to have the same other end;
    /// something else, to have kept its index, as the kernel lets it where that is free.
    fn moved_to(&self, link: &Link, index: u32) -> bool {
        let now = Self::of(link);
        if self.kind != now.kind || self.permanent != now.permanent {
            return false;
        }
        if self.permanent.is_some() {
            return true;
        }
        let same_place = match self.kind.as_deref() {
            Some("veth") => self.lower.is_some() && self.lower == now.lower,
            _ => link.index == index,
        };
        same_place && self.address.is_some() && self.address == now.address
    }
}

/// As `ip link` writes it; [`None`] of none, and of zeros, which distinguish nothing.
fn written(address: &[u8]) -> Option<String> {
    if address.iter().all(|byte| *byte == 0) {
        return None;
    }
    let mut text = String::new();
    for (at, byte) in address.iter().enumerate() {
        let separator = if at == 0 { "" } else { ":" };
        // Into a string, which takes everything.
        let _ = write!(text, "{separator}{byte:02x}");
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(kind: Option<&str>, address: u8, permanent: Option<u8>) -> Link {
        let six = |last| vec![2, 0, 0, 0, 0, last];
        Link {
            index: 7,
            name: "eth0".to_owned(),
            kind: kind.map(str::to_owned),
            lower: None,
            address: six(address),
            permanent: permanent.map(six),
        }
    }

    #[test]
    fn a_name_or_an_address_may_change_and_not_both() {
        let veth = Marks::of(&link(Some("veth"), 1, None));
        assert_eq!(veth.address.as_deref(), Some("02:00:00:00:00:01"));
        assert!(veth.are_of(&link(Some("veth"), 1, None), false));
        assert!(veth.are_of(&link(Some("veth"), 9, None), true));
        assert!(!veth.are_of(&link(Some("veth"), 9, None), false));
        assert!(!veth.are_of(&link(Some("dummy"), 1, None), true));
        assert!(!veth.are_of(&link(None, 1, Some(1)), true));
    }

    #[test]
    fn a_permanent_address_decides() {
        let device = Marks::of(&link(None, 1, Some(1)));
        assert!(device.are_of(&link(None, 5, Some(1)), false));
        assert!(!device.are_of(&link(None, 1, Some(2)), true));
        assert!(device.moved_to(&link(None, 5, Some(1)), 99));
        assert!(!device.moved_to(&link(None, 1, Some(2)), 7));
    }

    #[test]
    fn what_containers_share_does_not_tell_them_apart() {
        let ended = |lower| Link {
            lower: Some(lower),
            ..link(Some("veth"), 1, None)
        };
        let veth = Marks::of(&ended(3));
        assert!(veth.moved_to(&ended(3), 6));
        assert!(!veth.moved_to(&ended(4), 7));
        let tap = Marks::of(&link(Some("tun"), 1, None));
        assert!(tap.moved_to(&link(Some("tun"), 1, None), 7));
        assert!(!tap.moved_to(&link(Some("tun"), 1, None), 6));
        let nothing = Link {
            address: vec![0; 6],
            ..link(None, 1, None)
        };
        assert!(!Marks::of(&nothing).moved_to(&nothing, 7));
    }
}
