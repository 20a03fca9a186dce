//! Names that were chosen to do harm: whole for programs, harmless for people.

use std::{
    fs,
    process::{Command, Stdio},
    thread,
};

use serde_json::Value;
use tracer_core::report::FlowReport;
use tracer_core::report::role::Kind;
use xtask::testbed::{
    command::{self, Running},
    wait,
};

use crate::postgres::roles;
use crate::postgres::watched::{LIMIT, Lab, Watched};
use crate::support::program::PROGRAM;

/// All that PostgreSQL lets an `application_name` be: printable, and 63 bytes.
const STANDBY: &str = r#"<script>alert("1")</script>'\$(id)`id`|x|[a](b)*_{{}}%s%n;--"xy"#;
/// Names of roles may hold anything but a zero.
const SENDER: &str = "\u{1b}]0;x\u{7}\u{1b}[2J\u{9b}31m\r<b>\"'\\\u{202e}ü\u{200b}\u{2066} 10.9.9.9(1): walreceiver xyz.";
const WATCHER: &str = "w\n\u{1b}[31m\"'\\<i>\u{202e}\u{2028}ümlaut";

/// What a client waits for until the cable is out.
const LOCK: u32 = 7;

fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// As it is written in a connection string.
fn value(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// What moves the cursor, hides text or turns its direction around.
fn does_harm(character: char) -> bool {
    let hidden = matches!(
        character,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
    );
    hidden || character.is_control() && character != '\n'
}

fn assert_harmless(what: &str, text: &str) {
    for line in text.lines() {
        assert!(!line.contains(does_harm), "{what}: {line:?}");
    }
}

#[test]
fn hostile_names_do_no_harm_in_any_output() {
    let lab = Lab::start("pghostile");
    assert_eq!((STANDBY.len(), SENDER.len()), (63, 63));
    lab.psql(&format!(
        "create role {} login replication",
        identifier(SENDER)
    ));
    lab.psql(&format!(
        "create role {} login in role pg_monitor",
        identifier(WATCHER)
    ));
    lab.psql("alter system set synchronous_standby_names = '*'");
    lab.psql("select pg_reload_conf()");
    let conninfo = format!(
        "host=10.0.10.2 user={} application_name={}",
        value(SENDER),
        value(STANDBY)
    );
    for text in [
        &format!("alter system set primary_conninfo = {}", literal(&conninfo)),
        "select pg_reload_conf()",
    ] {
        lab.pair.standby().value(text).unwrap();
    }
    let streams = format!(
        "select state || ' ' || sync_state from pg_stat_replication where application_name = {}",
        literal(STANDBY)
    );
    wait::until(LIMIT, "the standby under its new name", || {
        Ok((lab.psql(&streams) == "streaming sync").then_some(()))
    })
    .unwrap();

    let folder = tempfile::tempdir().unwrap();
    let events = folder.path().join("events").display().to_string();
    let dsn = format!("host=10.0.10.2 user={} dbname=postgres", value(WATCHER));
    let arguments = ["--events", &events, "--commits", "-vv"];
    let mut tool = Watched::start(lab.primary(), &dsn, &arguments);
    tool.await_line(&["streaming sync"]);
    let lock = format!("select pg_advisory_lock({LOCK})");
    let mut holder = lab.pair.primary().connect().unwrap();
    holder.query(&lock).unwrap();
    let mut psql = lab.standby().netns.command("psql");
    psql.args(["-h", "10.0.10.2", "-U", WATCHER, "-Xc"])
        .args([&lock, "postgres"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    // Its answer comes when the cable is out, and has to be sent again.
    let _psql = Running::new(psql.spawn().unwrap(), "psql");
    let waits = "select count(*) from pg_stat_activity where wait_event = 'advisory'";
    wait::until(LIMIT, "psql to wait", || {
        Ok((lab.psql(waits) == "1").then_some(()))
    })
    .unwrap();
    lab.plug_standby(false);
    holder
        .query(&format!("select pg_advisory_unlock({LOCK})"))
        .unwrap();
    thread::scope(|scope| {
        let commit = scope.spawn(|| lab.psql("insert into lab (note) values ('test')"));
        tool.await_line(&[" 1 waiting for a standby"]);
        // Until it is more than a moment: then there is something to be found.
        tool.await_line(&["reply 4."]);
        lab.plug_standby(true);
        commit.join().unwrap();
    });
    tool.await_line(&["streaming sync", " 0 waiting for a standby"]);
    let seen = tool.finish();

    assert_harmless("stdout", &seen.stdout);
    assert_harmless("stderr", &seen.stderr);
    let lines = fs::read_to_string(&events).unwrap();
    assert!(!lines.is_empty(), "nothing was sent again");
    assert!(
        !lines.contains(|c: char| c.is_control() && c != '\n'),
        "{lines:?}"
    );
    let each = lines.lines().map(serde_json::from_str::<Value>);
    assert!(each.into_iter().all(|line| line.is_ok()), "{lines:?}");

    // Programs get what the server has.
    assert_eq!(seen.postgres().user.as_deref(), Some(WATCHER));
    let standbys = seen.postgres().standbys.iter();
    let names: Vec<&str> = standbys.filter_map(|one| one.name.as_deref()).collect();
    assert_eq!(names, [STANDBY]);
    let flows = &seen.report.flows;
    let senders = roles::flows(&seen, Kind::Walsender);
    assert!(!senders.is_empty(), "{flows:?}");
    let is_its = |flow: &&FlowReport| flow.role.standby.as_deref() == Some(STANDBY);
    assert!(senders.iter().all(is_its), "{senders:?}");

    // A client's title holds its role's name.
    let mut titles = flows
        .iter()
        .filter_map(|flow| flow.process.as_ref()?.title.as_deref());
    let its = |title: &str| title.contains("<i>") && title.contains("ümlaut");
    assert!(titles.any(its), "{flows:?}");
    assert!(seen.stdout.contains("<i>"), "{}", seen.stdout);

    // People get it in quotes, and whole.
    let quoted = format!("\"{}\"", STANDBY.replace('\\', "\\\\").replace('"', "\\\""));
    let found = &seen.report.findings[0].text;
    assert!(found.contains(&quoted), "{found}");
    for what in [format!("replication to {quoted}"), format!("  {quoted} ")] {
        assert!(seen.stdout.contains(&what), "{what}: {}", seen.stdout);
    }
    let report = folder.path().join("run.json");
    fs::write(&report, &seen.json).unwrap();
    for format in ["html", "md", "text"] {
        let mut tracer = Command::new(PROGRAM);
        tracer.args(["report", "--format", format]).arg(&report);
        let text = command::output(&mut tracer).unwrap();
        assert_harmless(format, &text);
        // The name is in it, and is none of its markup.
        assert!(text.contains("alert("), "{format}: {text}");
        let markup: &[&str] = match format {
            "html" => &["<script>alert", "\\<i>", "<b>\""],
            "md" => &["<script>alert", " [a](b)", "x|["],
            _ => &[],
        };
        for markup in markup {
            assert!(!text.contains(markup), "{format} has {markup}: {text}");
        }
    }
    for text in seen.warnings() {
        assert_harmless("warning", text);
    }
    for finding in &seen.report.findings {
        assert_harmless("finding", &finding.text);
    }
}
