//! What a fault would meet on the interface.

use std::io::ErrorKind;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::cli::CheckArguments;
use crate::command::check::row::Group::Interface;
use crate::command::check::row::Row;
use crate::command::check::shortfall;
use crate::inject::{Allow, InjectError, Peer, Refusal, Survey, survey};
use crate::kernel::netns::{Netns, NetnsError};

const NETNS: &str = "network namespace";
const INTERFACE: &str = "interface";
const OFFLOADS: &str = "offloads";
const REFUSAL: &str = "fault toward it";

/// Checks the interface that was asked for, in the namespace that was.
pub(super) fn rows(arguments: &CheckArguments, peers: &[Peer]) -> Vec<Row> {
    let mut rows = Vec::new();
    let entered = match &arguments.netns {
        None => None,
        Some(name) => match Netns::open(name).and_then(|netns| netns.enter()) {
            Ok(entered) => {
                rows.push(Row::yes(Interface, NETNS, name).required());
                Some(entered)
            }
            Err(error) => return vec![closed(&error), unknown("not checked, for the above")],
        },
    };
    let interface = arguments.interface.as_deref();
    if interface.is_none() && peers.is_empty() {
        rows.push(unknown("not asked; give --peer"));
        return rows;
    }
    let found = survey(interface, peers, Allow::default(), true);
    drop(entered);
    rows.extend(survey_rows(found, !peers.is_empty()));
    rows
}

fn unknown(why: &str) -> Row {
    Row::unknown(Interface, INTERFACE, why)
}

/// A run would end here, too.
fn closed(error: &NetnsError) -> Row {
    let gap = match error {
        NetnsError::Enter { .. } => shortfall::NETNS_FORBIDDEN,
        NetnsError::Open { cause, .. } if cause.kind() == ErrorKind::PermissionDenied => {
            shortfall::NETNS_FORBIDDEN
        }
        _ => shortfall::NETNS,
    };
    Row::no(Interface, NETNS, error.to_string(), gap).required()
}

fn survey_rows(found: Result<Survey, InjectError>, toward_peer: bool) -> Vec<Row> {
    let survey = match found {
        Ok(survey) => survey,
        Err(error @ (InjectError::Offloads { .. } | InjectError::Gateways(_))) => {
            return vec![unknown(&error.to_string())];
        }
        Err(error) => {
            let found = none(&error);
            return vec![Row::no(Interface, INTERFACE, found, shortfall::INTERFACE)];
        }
    };
    let found = match &survey.others[..] {
        [] => survey.interface.name.clone(),
        others => format!(
            "{}; a fault there spares what reaches the peer by {}",
            survey.interface.name,
            others.join(", ")
        ),
    };
    let mut rows = vec![Row::yes(Interface, INTERFACE, found)];
    // No flag allows a fault there, so its offloads are of no interest.
    if !matches!(survey.refusal, Some(Refusal::Loopback { .. })) {
        rows.push(offloads(&survey));
    }
    if let Some(refusal) = &survey.refusal {
        rows.push(refused(refusal));
    } else if toward_peer {
        let found = "not loopback, not the default gateway, not the peer of this SSH session";
        rows.push(Row::yes(Interface, REFUSAL, found));
    }
    rows
}

/// Without the remedy that the error of a run has in its words.
fn none(error: &InjectError) -> String {
    match error {
        InjectError::Route { peer, error } => format!("no route to {peer}: {error}"),
        InjectError::Interface { name, error } => format!("there is no {name}: {error}"),
        InjectError::NoInterface { peer } => {
            format!("{peer} is reached by no interface in particular")
        }
        other => other.to_string(),
    }
}

fn offloads(survey: &Survey) -> Row {
    if !survey.fixed.is_empty() {
        let found = format!("always on: {}", survey.fixed.join(", "));
        return Row::no(Interface, OFFLOADS, found, shortfall::FIXED_OFFLOADS);
    }
    let found = match survey.switched_off.as_slice() {
        [] => "none is on that a fault would have to switch off".to_owned(),
        names => format!(
            "on: {}; a fault switches them off and puts them back",
            names.join(", ")
        ),
    };
    Row::yes(Interface, OFFLOADS, found)
}

fn covers(peer: IpNet, address: IpAddr) -> String {
    if peer == IpNet::from(address) {
        format!("{address} is")
    } else {
        format!("{peer} covers {address}, which is")
    }
}

fn refused(refusal: &Refusal) -> Row {
    let (found, gap) = match refusal {
        Refusal::UncheckedLoopback { what } | Refusal::Loopback { what } => {
            (format!("{what} is loopback"), shortfall::LOOPBACK)
        }
        Refusal::WholeInterface { peer } => (
            format!("{peer} is every address"),
            shortfall::WHOLE_INTERFACE,
        ),
        Refusal::Gateway { peer, gateway } => (
            format!("{} the default gateway", covers(*peer, *gateway)),
            shortfall::GATEWAY,
        ),
        Refusal::SshPeer { peer, client } => (
            format!(
                "{} where this SSH session comes from",
                covers(*peer, *client)
            ),
            shortfall::SSH_PEER,
        ),
    };
    Row::no(Interface, REFUSAL, found, gap)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inject;

    fn surveyed(switched_off: &[&str], fixed: &[&str], refusal: Option<Refusal>) -> Vec<Row> {
        let own = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        survey_rows(
            Ok(Survey {
                interface: inject::Interface {
                    name: "ens160".to_owned(),
                    index: 2,
                },
                switched_off: own(switched_off),
                fixed: own(fixed),
                others: Vec::new(),
                refusal,
            }),
            true,
        )
    }

    #[test]
    fn offloads_that_can_be_switched_off_are_no_gap_and_fixed_ones_are() {
        let rows = surveyed(&["tx-checksum-ip-generic"], &[], None);
        assert!(rows.iter().all(|row| row.ok == Some(true)), "{rows:?}");
        assert!(rows[1].found.contains("tx-checksum-ip-generic"));
        let rows = surveyed(&[], &["tx-checksum-ip-generic"], None);
        assert_eq!(rows[1].ok, Some(false));
        assert!(rows[1].found.contains("always on"));
    }

    #[test]
    fn a_refusal_says_which_flag_allows_it() {
        let refusal = Refusal::Gateway {
            peer: "10.0.0.1/32".parse().unwrap(),
            gateway: "10.0.0.1".parse().unwrap(),
        };
        let rows = surveyed(&[], &[], Some(refusal));
        let remedy = rows[2].remedy.as_deref().unwrap();
        assert!(remedy.contains("--allow-gateway"), "{remedy}");
    }

    #[test]
    fn nothing_is_looked_at_that_was_not_asked_for() {
        let nothing = CheckArguments {
            commits: None,
            peer: None,
            interface: None,
            netns: None,
            json: false,
        };
        let rows = rows(&nothing, &[]);
        assert_eq!(rows, [unknown("not asked; give --peer")]);
    }

    #[test]
    fn no_interface_is_a_gap() {
        let none = InjectError::NoInterface {
            peer: "0.0.0.0/0".to_owned(),
        };
        assert_eq!(survey_rows(Err(none), true)[0].ok, Some(false));
        let silent = InjectError::Gateways(ErrorKind::PermissionDenied.into());
        assert_eq!(survey_rows(Err(silent), true)[0].ok, None);
    }
}
