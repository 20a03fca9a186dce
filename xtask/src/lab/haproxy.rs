//! HAProxy: one port that leads to the primary, one that leads to standbys.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::patroni;
use crate::provision::http;
use crate::provision::packages::{self, HAPROXY_USER};
use crate::testbed::netns::Host;
use crate::testbed::postgres;

/// Behind this port is the primary.
pub(crate) const PRIMARY: u16 = 5000;

/// Behind this one are standbys.
pub(crate) const REPLICA: u16 = 5001;

/// Both ports, and what is behind them, as Patroni and the configuration call it.
pub(crate) const PORTS: [(u16, &str); 2] = [(PRIMARY, "primary"), (REPLICA, "replica")];

const STATUS: u16 = 7000;

/// The command that runs it with the configuration in the file.
pub(super) fn command(host: &Host, file: &Path) -> Result<Command> {
    let mut haproxy = host
        .netns
        .command_as(HAPROXY_USER, packages::program("haproxy")?);
    haproxy.arg("-db").arg("-f").arg(file);
    Ok(haproxy)
}

/// Its configuration: a database's host is what its Patroni says of it.
pub(super) fn configuration(own: Ipv4Addr, databases: &[(&str, Ipv4Addr)]) -> String {
    let mut text = format!(
        "global
    maxconn 2000
    log stdout format raw local0 notice

defaults
    mode tcp
    log global
    retries 2
    timeout connect 4s
    timeout client 60s
    timeout server 60s
    timeout check 5s

listen status
    mode http
    bind {own}:{STATUS}
    stats enable
    stats uri /
"
    );
    for (port, name) in PORTS {
        text += &format!(
            "
listen {name}
    bind {own}:{port}
    option httpchk OPTIONS /{name}
    http-check expect status 200
    default-server inter 1s fall 2 rise 1 on-marked-down shutdown-sessions
"
        );
        for (server, address) in databases {
            let (port, check) = (postgres::PORT, patroni::PORT);
            text +=
                &format!("    server {server} {address}:{port} maxconn 200 check port {check}\n");
        }
    }
    text
}

/// The servers that are up behind a port, by name.
pub(crate) fn up(host: &Host, port: u16) -> Result<Vec<String>> {
    let listen = PORTS.iter().find(|(known, _)| *known == port);
    let (_, listen) = listen.with_context(|| format!("nothing is behind port {port}"))?;
    let answer = http::get_on(host, STATUS, "/;csv").context("HAProxy does not answer")?;
    Ok(servers_up(&answer.body, listen))
}

fn servers_up(csv: &str, listen: &str) -> Vec<String> {
    let mut lines = csv.lines();
    let header: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
    let Some(status) = header.iter().position(|name| *name == "status") else {
        return Vec::new();
    };
    lines
        .map(|line| line.split(',').collect::<Vec<_>>())
        .filter(|fields| fields.first() == Some(&listen))
        .filter(|fields| fields.get(status).is_some_and(|it| it.starts_with("UP")))
        .filter_map(|fields| Some((*fields.get(1)?).to_owned()))
        // The sum of them.
        .filter(|server| server != "BACKEND")
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_up_when_its_line_says_so() {
        let csv = "# pxname,svname,qcur,status,weight\n\
                   primary,FRONTEND,,OPEN,\n\
                   primary,db1,0,UP,1\n\
                   primary,db2,0,DOWN,1\n\
                   primary,BACKEND,0,UP,1\n\
                   replica,db2,0,UP,1\n";
        let up = servers_up(csv, "primary");
        assert_eq!(up, ["db1"]);
        assert!(servers_up("", "primary").is_empty());
    }

    #[test]
    fn both_databases_stand_behind_both_ports() {
        let databases = [
            ("db1", Ipv4Addr::new(10, 0, 10, 2)),
            ("db2", Ipv4Addr::new(10, 0, 10, 3)),
        ];
        let text = configuration(Ipv4Addr::new(10, 0, 10, 6), &databases);
        assert_eq!(text.matches("server db1 10.0.10.2:5432").count(), 2);
        assert_eq!(text.matches("check port 8008").count(), 4);
        assert!(text.contains("option httpchk OPTIONS /primary"));
    }
}
