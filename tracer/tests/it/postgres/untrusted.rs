//! What answers need not be a server: it costs neither memory nor time.

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use xtask::testbed::{
    command::Running,
    netns::{Host, Net},
};

use crate::postgres::{
    login::openssl,
    watched::{LIMIT, Watched},
};
use crate::support::program::PROGRAM;
use crate::support::report::Report;

/// Far below what each of them sends, and above what a run takes; kB.
const MOST_MEMORY: u64 = 128 << 10;
const TLS_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// What is sent, again and again until nobody takes it any more.
#[derive(Clone)]
struct Flood {
    /// Instead of an answer to the login, or to the first question.
    at_login: bool,
    first: Vec<u8>,
    then: Vec<u8>,
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [&[kind][..], &length.to_be_bytes(), body].concat()
}

/// The same until there are enough for a write.
fn many(message: &[u8]) -> Vec<u8> {
    message.repeat((1 << 16) / message.len() + 1)
}

fn header(kind: u8, length: u32) -> Vec<u8> {
    [&[kind][..], &length.to_be_bytes()].concat()
}

/// A message as a client sends it, without its length.
fn taken(stream: &mut impl Read) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let mut body = vec![0; u32::from_be_bytes(length) as usize - 4];
    stream.read_exact(&mut body).ok()?;
    Some(body)
}

/// Lets a client in, and answers its first question; ends when it does not read.
fn drown(mut stream: impl Read + Write, flood: &Flood) -> Option<()> {
    taken(&mut stream)?;
    if !flood.at_login {
        let login = [
            message(b'R', &0_u32.to_be_bytes()),
            message(b'K', &[0; 8]),
            message(b'Z', b"I"),
        ];
        stream.write_all(&login.concat()).ok()?;
        stream.flush().ok()?;
        stream.read_exact(&mut [0]).ok()?;
        taken(&mut stream)?;
    }
    stream.write_all(&flood.first).ok()?;
    loop {
        stream.write_all(&flood.then).ok()?;
    }
}

/// Listens on the host, for as long as the test runs.
fn listen(host: &Host, serve: impl Fn(TcpStream) + Clone + Send + 'static) {
    let listener = host
        .netns
        .enter(|| Ok(TcpListener::bind("10.0.10.2:5432")?))
        .unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let serve = serve.clone();
            thread::spawn(move || serve(stream.unwrap()));
        }
    });
}

fn tls(folder: &Path) -> Arc<ServerConfig> {
    openssl(
        folder,
        "req -new -x509 -days 2 -nodes -newkey rsa:2048 -subj /CN=10.0.10.2 \
         -keyout key -out crt",
    );
    let certificate = CertificateDer::from_pem_file(folder.join("crt")).unwrap();
    let key = PrivateKeyDer::from_pem_file(folder.join("key")).unwrap();
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let config = builder.with_no_client_auth();
    Arc::new(config.with_single_cert(vec![certificate], key).unwrap())
}

/// Drowns a run in that, and returns the only warning that it has.
fn drowned(tag: &str, flood: &Flood, tls: Option<Arc<ServerConfig>>) {
    let net = Net::pair(tag, "ens160").unwrap();
    let host = net.host("primary").unwrap();
    let sslmode = if tls.is_some() { "require" } else { "prefer" };
    let flood = flood.clone();
    listen(host, move |mut stream| {
        let mut request = [0; 8];
        stream.read_exact(&mut request).unwrap();
        // One that comes later, to cancel, is not answered.
        if request != TLS_REQUEST {
            return;
        }
        match &tls {
            None => {
                stream.write_all(b"N").unwrap();
                drown(stream, &flood);
            }
            Some(tls) => {
                stream.write_all(b"S").unwrap();
                let session = ServerConnection::new(Arc::clone(tls)).unwrap();
                drown(StreamOwned::new(session, stream), &flood);
            }
        }
    });
    let dsn = format!("host=10.0.10.2 user=postgres sslmode={sslmode}");
    let mut tool = Watched::start(host, &dsn, &[]);
    tool.await_line(&["PostgreSQL: no sample for", "sent "]);
    let memory = tool.most_memory();
    println!("{tag}: at most {memory} kB");
    let seen = tool.finish();
    assert!(memory < MOST_MEMORY, "{tag}: {memory} kB");
    let warnings = seen.warnings();
    let [warning] = warnings.as_slice() else {
        panic!("{tag}: {warnings:?}");
    };
    for word in ["sent ", "PostgreSQL server", "ended the connection"] {
        assert!(warning.contains(word), "{tag}: {warning}");
    }
    assert_eq!(warning.lines().count(), 1, "{tag}: {warning}");
    assert_eq!(seen.postgres().gaps.len(), 1, "{tag}");
    assert_eq!(seen.postgres().samples, 0, "{tag}");
}

/// What rows of so many columns begin with.
fn columns(count: u16) -> Vec<u8> {
    let column = [&b"a\0"[..], &[0; 18]].concat();
    let all = column.repeat(count.into());
    message(b'T', &[&count.to_be_bytes()[..], &all].concat())
}

fn rows() -> Flood {
    Flood {
        at_login: false,
        first: columns(1),
        then: many(&message(b'D', &[0, 1, 0xff, 0xff, 0xff, 0xff])),
    }
}

#[test]
fn what_is_sent_without_end_is_not_kept() {
    let zeros = vec![0; 1 << 16];
    let notice = many(&message(b'N', b"SNOTICE\0Mhello\0\0"));
    // Without a value, a column takes more memory than it is long.
    let wide = [&30_000_u16.to_be_bytes()[..], &[0xff; 120_000]].concat();
    let wide = message(b'D', &wide);
    // Each of another name: 'a' to 'p', eight of them.
    let parameters: Vec<u8> = (0_u32..4_096)
        .flat_map(|number| {
            let name = number.to_be_bytes().map(|byte| b'a' + byte % 16);
            message(b'S', &[&name[..], b"\0x\0"].concat())
        })
        .collect();
    for (tag, at_login, first, then) in [
        (
            "pgbig",
            false,
            [columns(1), header(b'D', 1 << 30)].concat(),
            &zeros,
        ),
        ("pgbiglog", true, header(b'R', 1 << 30), &zeros),
        ("pgnotes", false, Vec::new(), &notice),
        ("pgparams", true, message(b'R', &[0; 4]), &parameters),
        ("pgrows", false, columns(1), &rows().then),
        ("pgwide", false, columns(30_000), &wide),
    ] {
        let then = then.clone();
        let flood = Flood {
            at_login,
            first,
            then,
        };
        drowned(tag, &flood, None);
    }
    let folder = tempfile::tempdir().unwrap();
    drowned("pgsealed", &rows(), Some(tls(folder.path())));
}

#[test]
fn a_server_that_says_nothing_does_not_make_a_run_longer() {
    let net = Net::pair("pgmute", "ens160").unwrap();
    let host = net.host("primary").unwrap();
    let (met, meetings) = mpsc::channel();
    listen(host, move |mut stream| {
        let _ = met.send(Instant::now());
        // It takes everything, and does not even close what the other side has closed.
        let _ = stream.read_to_end(&mut Vec::new());
        thread::park();
    });
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report.json");
    let asked = Duration::from_secs(3);
    let mut tracer = host.netns.command(PROGRAM);
    tracer
        .args(["run", "--all", "--duration", "3s", "--json"])
        .arg(&report)
        .args(["--pg", "host=10.0.10.2 user=postgres sslmode=disable"]);
    let running = Running::new(tracer.spawn().unwrap(), "tracer");
    let begun = meetings.recv_timeout(LIMIT).unwrap();
    assert!(running.wait(Some(LIMIT)).unwrap().success());
    let took = begun.elapsed();
    println!("it took {took:?}");
    // It writes its report, and waits half a second for what it has closed itself.
    assert!(took < asked + Duration::from_millis(1_900), "{took:?}");
    let report = Report::read(&fs::read(report).unwrap()).unwrap();
    let duration = report.window.duration_s;
    assert!((3.0..4.0).contains(&duration), "{duration}");
}
