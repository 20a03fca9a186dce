//! Servers whose programs are called otherwise, and what is only called like one.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::PathBuf,
    process::{Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;
use tracer_core::report::role::{Kind, ToldBy};
use xtask::testbed::{command::Running, postgres::Programs, wait};

use crate::postgres::{
    commits, roles,
    watched::{LIMIT, Lab, Watched},
};
use crate::support::program::PROGRAM;

/// A folder in which everybody may run programs.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

/// What the kernel calls the server's first process.
fn comm(lab: &Lab) -> String {
    let path = format!("/proc/{}/comm", lab.pair.primary().pid());
    fs::read_to_string(path).unwrap().trim_end().to_owned()
}

/// What `tracer check` says of servers, by their first processes.
fn servers() -> Vec<(u32, Value)> {
    let mut tracer = Command::new(PROGRAM);
    let output = tracer.args(["check", "--json"]).output().unwrap();
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = answer["checks"].as_array().unwrap().iter();
    rows.filter_map(|row| {
        let pid = row["name"].as_str()?.strip_prefix("server, pid ")?;
        Some((pid.parse().ok()?, row.clone()))
    })
    .collect()
}

/// One row for each of both servers.
fn both_are_checked(lab: &Lab) {
    let found = servers();
    for server in [lab.pair.primary(), lab.pair.standby()] {
        let pid = commits::pid(server);
        let rows: Vec<_> = found.iter().filter(|(one, _)| *one == pid).collect();
        let [(_, row)] = rows[..] else {
            panic!("{pid}: {found:?}");
        };
        assert_eq!(row["ok"], true, "{row}");
    }
}

/// As packages for RHEL and Amazon Linux have one.
#[test]
fn a_server_that_is_started_by_a_link_to_it_is_one() {
    let folder = folder();
    let programs = Programs::own().unwrap();
    let link = folder.path().join("postmaster");
    symlink(programs.path("postgres"), &link).unwrap();
    let lab = Lab::of("pglink", &programs.with_server(link));
    assert_eq!(comm(&lab), "postmaster");
    both_are_checked(&lab);
    roles::replication_is_named_at_both_ends_and_clients_are_clients(&lab);
    commits::commits_that_write_are_counted_whatever_else_is_done(&lab);
}

/// A vendor's name, titles as short as they get, and a package upgrade since the start.
#[test]
fn a_server_of_any_name_is_one_also_when_its_file_has_gone() {
    let folder = folder();
    let programs = Programs::own().unwrap();
    let copy = folder.path().join("a-databaseserver");
    fs::copy(programs.path("postgres"), &copy).unwrap();
    let mut lab = Lab::of("pgcopy", &programs.with_server(copy.clone()));
    lab.psql("alter system set cluster_name = 'a: b'");
    lab.psql("alter system set update_process_title = off");
    lab.restart_primary();
    let streams = "select count(*) from pg_stat_replication where state = 'streaming'";
    wait::until(LIMIT, "the standby to stream again", || {
        Ok((lab.psql(streams) == "1").then_some(()))
    })
    .unwrap();
    assert_eq!(comm(&lab), "a-databaseserve");
    fs::remove_file(&copy).unwrap();
    fs::write(&copy, "another version\n").unwrap();
    both_are_checked(&lab);
    roles::replication_is_named_at_both_ends_and_clients_are_clients(&lab);
    commits::commits_that_write_are_counted_whatever_else_is_done(&lab);
}

/// A client that sleeps, from the standby's host, by this program.
fn client(lab: &Lab, program: &PathBuf, note: &str) -> Running {
    let mut psql = lab.standby().netns.command(program);
    psql.args(["-h", "10.0.10.2", "-U", "postgres", "-Xc"])
        .arg(format!("select pg_sleep(600) /* {note} */"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let running = Running::new(psql.spawn().unwrap(), "psql");
    let asleep = format!(
        "select count(*) from pg_stat_activity where wait_event = 'PgSleep' and query like '%{note}%'"
    );
    wait::until(LIMIT, "psql to sleep", || {
        Ok((lab.psql(&asleep) == "1").then_some(()))
    })
    .unwrap();
    running
}

#[test]
fn a_client_and_a_script_that_are_called_like_a_server_are_none() {
    let lab = Lab::start("pgfalse");
    let folder = folder();
    let named = folder.path().join("postgres");
    fs::copy(Programs::own().unwrap().path("psql"), &named).unwrap();
    let client = client(&lab, &named, "client");
    // A script holds the connection itself.
    let script = folder.path().join("postmaster");
    let text = "#!/bin/bash\nexec 3<>/dev/tcp/10.0.10.2/5432; read -r _\n";
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let mut scripted = lab.standby().netns.command(&script);
    scripted.stdin(Stdio::piped()).stdout(Stdio::null());
    let script = Running::new(scripted.spawn().unwrap(), "the script");
    let pids = [client.pid(), script.pid()];
    wait::until(LIMIT, "the script to be connected", || {
        let files = fs::read_dir(format!("/proc/{}/fd", pids[1]))?;
        let mut links = files
            .flatten()
            .filter_map(|file| fs::read_link(file.path()).ok());
        Ok(links
            .any(|link| link.to_string_lossy().starts_with("socket:"))
            .then_some(()))
    })
    .unwrap();

    let mut tool = Watched::without_database(lab.standby(), &["--commits"], &[]);
    tool.await_line(&["commits: "]);
    let seen = tool.finish();
    for pid in pids {
        let role = &roles::flow_of(&seen, pid).role;
        assert_eq!(role.kind, Kind::Client, "{role:?}");
        assert_eq!(role.told_by, Some(ToldBy::Port), "{role:?}");
        let pid = pid.as_raw().cast_unsigned();
        assert!(servers().iter().all(|(one, _)| *one != pid));
    }
    let path = named.display().to_string();
    let programs = &seen.commits().programs;
    assert!(programs.iter().all(|one| one.path != path), "{programs:?}");
}
