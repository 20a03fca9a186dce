//! Answers of the kernel about interfaces, routes, rules, next hops and queues
//! (`NETLINK_ROUTE`).

use ipnet::IpNet;
use tracer::foreign;
use tracer::kernel::tc::{Netem, Object};

const RTM_NEWROUTE: u16 = 24;
const RTM_NEWRULE: u16 = 32;
const RTM_NEWNEXTHOP: u16 = 104;
const PEERS: [&str; 4] = [
    "10.0.10.2/32",
    "10.0.10.0/24",
    "0.0.0.0/0",
    "fd00:10::2/128",
];

/// The bytes are datagrams, one behind the other.
///
/// Each message is read as whatever it may be; what is read is no longer than it, and
/// packets leave by interfaces that a route or a next hop names.
pub fn target(data: &[u8]) {
    let mut messages: Vec<Vec<u8>> = Vec::new();
    let _ = foreign::messages(data, true, |message| {
        messages.push(message.to_vec());
        Ok(())
    });
    assert!(messages.iter().map(Vec::len).sum::<usize>() <= data.len());
    for message in &messages {
        if let Some(object) = Object::parse(message) {
            assert!(object.options.len() <= message.len());
            let _ = (
                object.bpf_name(),
                object.priority(),
                Netem::has_seed(&object, 1),
            );
        }
        if let Some(link) = foreign::interface(message) {
            assert!(link.address.len() <= message.len());
        }
        let _ = foreign::moved(message);
    }
    let of = |kind: u16| -> Vec<&[u8]> {
        let is_it = |message: &&Vec<u8>| message.get(4..6) == Some(&kind.to_ne_bytes());
        messages.iter().filter(is_it).map(Vec::as_slice).collect()
    };
    let (rules, routes, nexthops) = (of(RTM_NEWRULE), of(RTM_NEWROUTE), of(RTM_NEWNEXTHOP));
    for peer in PEERS {
        let peer: IpNet = peer.parse().expect("a network");
        let Some(ways) = foreign::ways(&rules, &routes, &nexthops, peer) else {
            return;
        };
        let named = |index: &u32| {
            let mut all = routes.iter().chain(&nexthops);
            all.any(|one| one.windows(4).any(|word| word == index.to_ne_bytes()))
        };
        assert!(ways.iter().all(named), "{ways:?}");
    }
}
