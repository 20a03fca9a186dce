//! What a fault could break by mistake, which is not done unless it was allowed by name.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::inject::error::Refusal;

/// What the user allowed by a flag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allow {
    /// `--allow-gateway`
    pub gateway: bool,
    /// `--allow-ssh-peer`
    pub ssh_peer: bool,
    /// `--allow-loopback`
    pub loopback: bool,
    /// `--allow-whole-interface`
    pub whole_interface: bool,
}

/// What a fault could break by mistake.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hazards {
    /// Name of the fault's interface if that is a loopback.
    pub(crate) loopback: Option<String>,
    /// Every default gateway.
    pub(crate) gateways: Vec<IpAddr>,
    /// The client of the SSH session.
    pub(crate) ssh_peer: Option<IpAddr>,
}

/// Refuses what is neither safe nor allowed.
pub(crate) fn check(
    peers: &[IpNet],
    hazards: &Hazards,
    allow: Allow,
    corrupts: bool,
) -> Result<(), Refusal> {
    let peer = || {
        peers
            .iter()
            .find(|peer| peer.addr().to_canonical().is_loopback())
    };
    let what = match &hazards.loopback {
        Some(interface) => Some(format!("interface {interface}")),
        None => peer().map(|peer| format!("peer {peer}")),
    };
    match what {
        Some(what) if corrupts => return Err(Refusal::UncheckedLoopback { what }),
        Some(what) if !allow.loopback => return Err(Refusal::Loopback { what }),
        _ => {}
    }
    for &peer in peers {
        if peer.prefix_len() == 0 && !allow.whole_interface {
            return Err(Refusal::WholeInterface { peer });
        }
        if !allow.gateway
            && let Some(&gateway) = hazards.gateways.iter().find(|at| covers(peer, **at))
        {
            return Err(Refusal::Gateway { peer, gateway });
        }
        if !allow.ssh_peer
            && let Some(client) = hazards.ssh_peer.filter(|at| covers(peer, *at))
        {
            return Err(Refusal::SshPeer { peer, client });
        }
    }
    Ok(())
}

/// Whether the fault would match the address; an IPv4 address and its form
/// in IPv6 are the same to it.
fn covers(peer: IpNet, address: IpAddr) -> bool {
    if peer.contains(&address) {
        return true;
    }
    match (peer, address) {
        (IpNet::V6(peer), IpAddr::V4(address)) => peer.contains(&address.to_ipv6_mapped()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers(text: &str) -> Vec<IpNet> {
        text.split(' ').map(|peer| peer.parse().unwrap()).collect()
    }

    fn hazards() -> Hazards {
        Hazards {
            loopback: None,
            gateways: vec!["192.0.2.1".parse().unwrap(), "fe80::1".parse().unwrap()],
            ssh_peer: Some("198.51.100.9".parse().unwrap()),
        }
    }

    fn refusal(text: &str, allow: Allow) -> Option<String> {
        check(&peers(text), &hazards(), allow, true)
            .err()
            .map(|refusal| refusal.to_string())
    }

    #[test]
    fn each_danger_is_named_with_what_to_do() {
        for (text, word) in [
            ("127.0.0.1/32", "is loopback"),
            ("10.0.0.2/32 ::1/128", "is loopback"),
            ("192.0.2.1/32", "--allow-gateway"),
            ("192.0.2.0/24", "--allow-gateway"),
            ("::ffff:192.0.2.0/120", "--allow-gateway"),
            ("fe80::/64", "--allow-gateway"),
            ("10.0.0.2/32 198.51.100.9/32", "--allow-ssh-peer"),
            ("198.51.100.0/24", "--allow-ssh-peer"),
            ("0.0.0.0/0", "--allow-whole-interface"),
        ] {
            let refusal = refusal(text, Allow::default()).unwrap();
            assert!(refusal.contains(word), "{text}: {refusal}");
            assert!(!refusal.contains('\n'), "{text}: {refusal}");
        }
    }

    #[test]
    fn a_flag_allows_its_danger_only() {
        let gateway = Allow {
            gateway: true,
            ..Allow::default()
        };
        assert_eq!(refusal("192.0.2.1/32", gateway), None);
        assert!(refusal("198.51.100.9/32", gateway).is_some());
        assert!(refusal("127.0.0.1/32", gateway).is_some());
        let all = Allow {
            gateway: true,
            ssh_peer: true,
            loopback: true,
            whole_interface: true,
        };
        assert_eq!(refusal("0.0.0.0/0", all), None);
        assert!(refusal("0.0.0.0/0 ::1/128", all).is_some());
        let loopback = peers("127.0.0.1/32");
        let harmless = |allow| check(&loopback, &hazards(), allow, false);
        assert_eq!(harmless(all), Ok(()));
        let refused = harmless(Allow::default()).unwrap_err().to_string();
        assert!(refused.contains("--allow-loopback"), "{refused}");
    }

    #[test]
    fn an_ordinary_peer_is_not_refused() {
        assert_eq!(
            refusal("10.0.0.2/32 2001:db8::2/128", Allow::default()),
            None
        );
    }

    #[test]
    fn the_loopback_interface_is_refused_for_any_peer() {
        let hazards = Hazards {
            loopback: Some("lo".to_owned()),
            ..Hazards::default()
        };
        let refusal = check(&peers("10.0.0.2/32"), &hazards, Allow::default(), true).unwrap_err();
        assert!(refusal.to_string().contains("interface lo is loopback"));
    }
}
