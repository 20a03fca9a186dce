//! Certificates as PostgreSQL's manual has them made: what `psql` takes is taken.

use std::{fs, path::Path, process::Command};

use xtask::testbed::command;

use crate::postgres::login::{in_by, openssl, refused_by_tls, role};
use crate::postgres::watched::Lab;

const KEY: &str = "-newkey rsa:2048 -nodes";

/// A key and a request of this name.
fn request(folder: &Path, name: &str, subject: &str) {
    openssl(
        folder,
        &format!("req -new {KEY} -subj /CN={subject} -keyout {name}.key -out {name}.csr"),
    );
}

/// A root, and what it has signed, which says nothing of itself.
fn make(folder: &Path) {
    for root in ["root", "other"] {
        request(folder, root, root);
        openssl(
            folder,
            &format!(
                "x509 -req -in {root}.csr -days 2 -extfile /etc/ssl/openssl.cnf -extensions v3_ca \
                 -signkey {root}.key -out {root}.crt"
            ),
        );
    }
    fs::write(folder.join("v3.cnf"), "basicConstraints=CA:FALSE\n").unwrap();
    for (name, subject, more) in [
        ("server", "10.0.10.2", ""),
        ("named", "10.0.10.2", " -extfile v3.cnf"),
        ("wrong", "10.0.10.9", ""),
        ("watcher", "watcher", ""),
    ] {
        request(folder, name, subject);
        openssl(
            folder,
            &format!(
                "x509 -req -in {name}.csr -days 2 -CA root.crt -CAkey root.key -CAcreateserial \
                 -out {name}.crt{more}"
            ),
        );
    }
    request(folder, "alone", "10.0.10.2");
    openssl(
        folder,
        "x509 -req -in alone.csr -days 2 -signkey alone.key -out alone.crt",
    );
    for (name, version) in [
        ("server", "1 (0x0)"),
        ("alone", "1 (0x0)"),
        ("named", "3 (0x2)"),
    ] {
        let mut show = Command::new("openssl");
        show.args(["x509", "-noout", "-text", "-in", &format!("{name}.crt")])
            .current_dir(folder);
        let text = command::output(&mut show).unwrap();
        assert!(text.contains(&format!("Version: {version}")), "{text}");
    }
}

struct Server<'a> {
    lab: Lab,
    folder: &'a Path,
}

impl Server<'_> {
    /// Has the server show this certificate, by this version of TLS at most.
    fn show(&mut self, name: &str, tls: &str) {
        let data = self.lab.pair.primary().data();
        for (from, to, mode) in [
            (format!("{name}.key"), "server.key", "600"),
            (format!("{name}.crt"), "server.crt", "644"),
            ("root.crt".to_owned(), "root.crt", "644"),
        ] {
            let mut install = Command::new("install");
            install
                .args(["-o", "postgres", "-g", "postgres", "-m", mode])
                .arg(self.folder.join(from))
                .arg(data.join(to));
            command::output(&mut install).unwrap();
        }
        self.lab.psql("alter system set ssl = on");
        self.lab.psql("alter system set ssl_ca_file = 'root.crt'");
        self.lab.psql(&format!(
            "alter system set ssl_max_protocol_version = '{tls}'"
        ));
        self.lab.restart_primary();
    }

    /// What both are told.
    fn dsn(&self, rest: &str) -> String {
        let rest = rest.replace("{}", &self.folder.display().to_string());
        format!("host=10.0.10.2 dbname=postgres {rest}")
    }

    /// Whether `psql` gets in.
    fn psql(&self, rest: &str) -> bool {
        let mut psql = self.lab.primary().netns.command("psql");
        psql.args(["-XAtc", "select 1", &self.dsn(rest)]);
        psql.env("HOME", "/nonexistent")
            .output()
            .unwrap()
            .status
            .success()
    }

    fn takes(&self, rest: &str) {
        assert!(self.psql(rest), "psql is refused: {rest}");
        in_by(&self.lab, &self.dsn(rest), &[]);
    }

    fn refuses(&self, rest: &str, word: &str) {
        assert!(!self.psql(rest), "psql is not refused: {rest}");
        refused_by_tls(&self.lab, &self.dsn(rest), word);
    }
}

#[test]
fn what_psql_takes_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    make(folder.path());
    let lab = Lab::start("pgcert");
    role(&lab, "watcher");
    lab.allow(
        "hostssl all watcher 10.0.10.0/24 cert\nhostssl all all 10.0.10.0/24 trust\n\
         hostnossl all postgres,watcher 10.0.10.2/32 reject",
    );
    let mut server = Server {
        lab,
        folder: folder.path(),
    };

    for tls in ["TLSv1.3", "TLSv1.2"] {
        server.show("server", tls);
        for mode in ["allow", "prefer", "require"] {
            server.takes(&format!("user=postgres sslmode={mode}"));
        }
        for mode in ["require", "verify-ca", "verify-full"] {
            server.takes(&format!(
                "user=postgres sslmode={mode} sslrootcert={{}}/root.crt"
            ));
        }
        let other = "user=postgres sslmode=verify-ca sslrootcert={}/other.crt";
        server.refuses(other, "put the one that has into sslrootcert");
    }
    // The client's own, of version 1 as well.
    let own = "user=watcher sslmode=verify-full sslrootcert={}/root.crt";
    server.takes(&format!(
        "{own} sslcert={{}}/watcher.crt sslkey={{}}/watcher.key"
    ));
    let mixed = format!("{own} sslcert={{}}/watcher.crt sslkey={{}}/other.key");
    server.refuses(&mixed, "KeyMismatch");

    server.show("wrong", "TLSv1.3");
    server.takes("user=postgres sslmode=verify-ca sslrootcert={}/root.crt");
    let full = "user=postgres sslmode=verify-full sslrootcert={}/root.crt";
    server.refuses(full, "NotValidForName");

    // Of version 3, with the name where it was before there were others.
    server.show("named", "TLSv1.3");
    server.takes(full);

    // Signed by itself, and given as a root.
    server.show("alone", "TLSv1.3");
    for mode in ["require", "verify-ca", "verify-full"] {
        server.takes(&format!(
            "user=postgres sslmode={mode} sslrootcert={{}}/alone.crt"
        ));
    }
    server.takes("user=postgres sslmode=require");
    server.refuses(full, "sslrootcert");
}
