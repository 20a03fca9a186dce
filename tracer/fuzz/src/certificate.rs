//! Certificates of servers.

use std::sync::LazyLock;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tracer::foreign;

/// 1 January 2027: all examples are valid, s.
const NOW: u64 = 1_798_761_600;
const HOSTS: [&str; 4] = ["db1.example", "db2.example", "10.0.10.2", "::1"];

static ROOTS: LazyLock<[CertificateDer<'static>; 2]> = LazyLock::new(|| {
    let root = include_bytes!("../../src/postgres/connection/tls/examples/root.pem");
    let old = include_bytes!("../../src/postgres/connection/tls/examples/root_of_version1.pem");
    [&root[..], old].map(read)
});
/// Those that these roots have signed.
static SIGNED: LazyLock<[CertificateDer<'static>; 2]> = LazyLock::new(|| {
    let server = include_bytes!("../../src/postgres/connection/tls/examples/server.pem");
    [read(server), ROOTS[1].clone()]
});

fn read(pem: &[u8]) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem).expect("an example is a certificate")
}

/// The bytes are a certificate, DER or PEM.
///
/// None is trusted but those that were signed, bit by bit.
pub fn target(data: &[u8]) {
    if data.starts_with(b"--") {
        for found in CertificateDer::pem_slice_iter(data).flatten() {
            judge(&found);
        }
        return;
    }
    judge(data);
}

fn judge(der: &[u8]) {
    for host in HOSTS {
        let host = ServerName::try_from(host).expect("a name");
        let Some((_, _, trusted)) = foreign::certificate(der, &*ROOTS, &host, NOW) else {
            return;
        };
        let signed = SIGNED.iter().any(|one| **one == *der);
        assert!(trusted != Some(true) || signed, "a certificate is forged");
    }
}
