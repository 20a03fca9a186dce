//! By which interfaces packets to a peer can leave: every one that the kernel may
//! choose, and not just the one that it chooses for one packet.
//!
//! A route lookup (`ip route get`) answers for one set of ports, marks and users. What
//! is worked out here is more than any packet sees: each policy rule that may apply,
//! and of the table that it names the best routes with all of their next hops.
//! Structs are those of
//! [linux/rtnetlink.h](https://github.com/torvalds/linux/blob/v6.18/include/uapi/linux/rtnetlink.h),
//! [linux/fib_rules.h](https://github.com/torvalds/linux/blob/v6.18/include/uapi/linux/fib_rules.h)
//! and [linux/nexthop.h](https://github.com/torvalds/linux/blob/v6.18/include/uapi/linux/nexthop.h).

#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

mod nexthop;
mod route;
mod rule;

use std::collections::BTreeSet;
use std::io;

use ipnet::IpNet;

use crate::kernel::fib::nexthop::Nexthops;
use crate::kernel::fib::route::{Best, Route};
use crate::kernel::fib::rule::{Action, Rule};

/// What decides where packets of one family go.
#[derive(Debug, Default)]
pub(crate) struct Fib {
    rules: Vec<Rule>,
    routes: Vec<Route>,
}

/// Whose addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Family {
    V4,
    V6,
}

impl Family {
    /// Of an address or a network.
    pub(crate) const fn of(net: IpNet) -> Self {
        match net {
            IpNet::V4(_) => Self::V4,
            IpNet::V6(_) => Self::V6,
        }
    }

    const fn number(self) -> u8 {
        match self {
            Self::V4 => libc::AF_INET as u8,
            Self::V6 => libc::AF_INET6 as u8,
        }
    }
}

/// By which interfaces packets may leave.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Ways {
    /// Their indices.
    pub(crate) interfaces: BTreeSet<u32>,
    /// Whether a policy rule decides by more than the destination.
    pub(crate) by_policy: bool,
}

/// Adds the interfaces of next hops that are objects of their own.
fn resolve(routes: &mut [Route], nexthops: &Nexthops) {
    for route in routes {
        if let Some(id) = route.nexthop {
            route.interfaces.extend(nexthops.interfaces(id));
        }
    }
}

impl Fib {
    /// Reads the rules of a family, and the routes that any of these peers has to do
    /// with, in the network namespace of the calling thread.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn toward(peers: &[IpNet], family: Family) -> io::Result<Self> {
        let rules = rule::all(family.number())?;
        let mut routes = route::all(family.number(), peers)?;
        // The kernel tells the next hops with each route, unless it was told not to
        // (`net.ipv4.nexthop_compat_mode`).
        if routes
            .iter()
            .any(|it| it.interfaces.is_empty() && it.nexthop.is_some())
        {
            resolve(&mut routes, &Nexthops::read()?);
        }
        Ok(Self { rules, routes })
    }

    /// Of whole messages that are in memory: rules, routes and next hops; [`None`] if one
    /// of them is cut short.
    pub(crate) fn of_messages(
        rules: &[&[u8]],
        routes: &[&[u8]],
        nexthops: &[&[u8]],
    ) -> Option<Self> {
        let rules = rules.iter().map(|bytes| Rule::parse(bytes));
        let mut rules: Vec<Rule> = rules.collect::<Option<_>>()?;
        rules.sort_by_key(|rule| rule.priority);
        let routes = routes.iter().map(|bytes| Route::parse(bytes));
        let mut routes: Vec<Route> = routes.collect::<Option<_>>()?;
        resolve(&mut routes, &Nexthops::of_messages(nexthops)?);
        Some(Self { rules, routes })
    }

    /// Where packets to the peer may go: to a network, to any of it.
    pub(crate) fn ways(&self, peer: IpNet) -> Ways {
        let (mut certain, mut possible) = (BTreeSet::new(), BTreeSet::new());
        for rule in self.rules.iter().filter(|rule| rule.may_apply(peer)) {
            let for_all = rule.applies_to_all(peer);
            let tables = match rule.action {
                Action::Table(table) => BTreeSet::from([table]),
                // Whichever the device at hand is bound to.
                Action::AnyTable => {
                    let tables = self.routes.iter().map(|route| route.table);
                    tables.filter(|table| !rule::is_usual(*table)).collect()
                }
                Action::Stop if for_all => break,
                Action::Stop | Action::Skip => continue,
            };
            let mut ends = for_all;
            for table in tables {
                let candidates = self.routes.iter().filter(|route| route.table == table);
                let found = route::best(candidates, peer, rule.suppressed);
                match for_all {
                    true => certain.extend(found.interfaces),
                    false => possible.extend(found.interfaces),
                }
                ends &= found.outcome == Best::Final;
            }
            if ends {
                break;
            }
        }
        Ways {
            by_policy: !possible.is_subset(&certain),
            interfaces: &certain | &possible,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIN: u32 = 254;

    fn rule(priority: u32, table: u32) -> Rule {
        Rule {
            priority,
            action: Action::Table(table),
            to: None,
            conditional: false,
            suppressed: None,
        }
    }

    fn route(table: u32, to: &str, interfaces: &[u32]) -> Route {
        Route {
            table,
            to: to.parse().unwrap(),
            priority: 0,
            special: false,
            fate: route::RouteAction::Forward,
            nexthop: None,
            interfaces: interfaces.to_vec(),
        }
    }

    fn ways(rules: Vec<Rule>, routes: Vec<Route>, peer: &str) -> (Vec<u32>, bool) {
        let ways = Fib { rules, routes }.ways(peer.parse().unwrap());
        (ways.interfaces.into_iter().collect(), ways.by_policy)
    }

    fn usual() -> Vec<Rule> {
        vec![rule(0, 255), rule(32_766, MAIN), rule(32_767, 253)]
    }

    #[test]
    fn the_longest_prefix_wins_and_all_of_its_next_hops_count() {
        let routes = || {
            vec![
                route(MAIN, "0.0.0.0/0", &[1]),
                route(MAIN, "10.0.0.0/8", &[2, 3]),
                route(MAIN, "10.1.0.0/16", &[4]),
                route(253, "10.0.0.0/8", &[9]),
            ]
        };
        assert_eq!(ways(usual(), routes(), "10.1.0.1/32"), (vec![4], false));
        assert_eq!(ways(usual(), routes(), "10.2.0.1/32"), (vec![2, 3], false));
        assert_eq!(ways(usual(), routes(), "192.0.2.1/32"), (vec![1], false));
        // A network, of which a part goes elsewhere.
        assert_eq!(
            ways(usual(), routes(), "10.0.0.0/8"),
            (vec![2, 3, 4], false)
        );
    }

    #[test]
    fn the_lowest_metric_wins() {
        let mut routes = vec![
            route(MAIN, "0.0.0.0/0", &[1]),
            route(MAIN, "0.0.0.0/0", &[2]),
        ];
        routes[1].priority = 100;
        assert_eq!(ways(usual(), routes.clone(), "10.0.0.1/32").0, [1]);
        // Two routers of IPv6 have the same.
        routes[1].priority = 0;
        assert_eq!(ways(usual(), routes, "10.0.0.1/32").0, [1, 2]);
    }

    #[test]
    fn a_rule_for_some_packets_adds_its_table_and_one_for_all_ends_it() {
        let routes = || {
            vec![
                route(MAIN, "10.0.0.0/8", &[1]),
                route(100, "0.0.0.0/0", &[2]),
            ]
        };
        let with = |more: Rule| {
            let mut rules = usual();
            rules.insert(1, more);
            ways(rules, routes(), "10.0.0.1/32")
        };
        let marked = Rule {
            conditional: true,
            ..rule(100, 100)
        };
        assert_eq!(with(marked.clone()), (vec![1, 2], true));
        assert_eq!(with(rule(100, 100)), (vec![2], false));
        let to = |net: &str| Rule {
            to: Some(net.parse().unwrap()),
            ..rule(100, 100)
        };
        assert_eq!(with(to("192.0.2.0/24")), (vec![1], false));
        assert_eq!(with(to("10.0.0.0/24")), (vec![2], false));
        // What stops only some leaves the others their way.
        let stop = Rule {
            action: Action::Stop,
            ..marked
        };
        assert_eq!(with(stop), (vec![1], false));
    }

    #[test]
    fn a_table_of_devices_may_be_any() {
        let bound = Rule {
            action: Action::AnyTable,
            conditional: true,
            ..rule(1000, 0)
        };
        let mut rules = usual();
        rules.insert(1, bound);
        let routes = || {
            vec![
                route(MAIN, "10.0.0.0/8", &[1]),
                route(253, "10.0.0.0/8", &[2]),
            ]
        };
        assert_eq!(
            ways(rules.clone(), routes(), "10.0.0.1/32"),
            (vec![1], false)
        );
        let devices = [route(10, "10.0.0.0/24", &[3]), route(11, "0.0.0.0/0", &[4])];
        let routes = [&routes()[..], &devices].concat();
        assert_eq!(ways(rules, routes, "10.0.0.1/32"), (vec![1, 3, 4], true));
    }

    #[test]
    fn a_default_route_may_be_suppressed() {
        // What `wg-quick` makes.
        let mut rules = usual();
        rules.insert(
            1,
            Rule {
                suppressed: Some(0),
                ..rule(1, MAIN)
            },
        );
        rules.insert(
            2,
            Rule {
                conditional: true,
                ..rule(2, 51_820)
            },
        );
        let routes = vec![
            route(MAIN, "0.0.0.0/0", &[1]),
            route(MAIN, "10.0.0.0/24", &[1]),
            route(51_820, "0.0.0.0/0", &[7]),
        ];
        assert_eq!(
            ways(rules.clone(), routes.clone(), "10.0.0.1/32"),
            (vec![1], false)
        );
        assert_eq!(ways(rules, routes, "192.0.2.1/32"), (vec![1, 7], true));
    }

    #[test]
    fn what_is_thrown_goes_on_and_what_is_refused_does_not() {
        let mut routes = vec![
            route(100, "10.0.0.0/8", &[]),
            route(MAIN, "10.0.0.0/8", &[1]),
        ];
        let mut rules = usual();
        rules.insert(1, rule(1, 100));
        routes[0].fate = route::RouteAction::Throw;
        assert_eq!(ways(rules.clone(), routes.clone(), "10.0.0.1/32").0, [1]);
        routes[0].fate = route::RouteAction::Nowhere;
        assert!(ways(rules, routes, "10.0.0.1/32").0.is_empty());
    }
}
