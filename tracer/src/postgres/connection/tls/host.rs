//! Whether a certificate is for a host, by libpq's rules: the alternative names first,
//! and the common name where there are none of the sort that the host has
//! (`pgtls_verify_peer_name_matches_certificate_guts()` in
//! <https://github.com/postgres/postgres/blob/REL_15_STABLE/src/interfaces/libpq/fe-secure-openssl.c>,
//! and `wildcard_certificate_match()` in `fe-secure-common.c` beside it).

use std::net::IpAddr;

use rustls::pki_types::ServerName;
use x509_cert::Certificate;
use x509_cert::der::oid::db::rfc4519::COMMON_NAME;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// Whether it is for this host.
pub(super) fn bears(certificate: &Certificate, host: &ServerName<'_>) -> bool {
    let host = host.to_str();
    let address: Option<IpAddr> = host.parse().ok();
    // One that cannot be read leaves it open what is in it.
    let Ok(names) = certificate.tbs_certificate.get::<SubjectAltName>() else {
        return false;
    };
    let names = names.map_or(Vec::new(), |(_, names)| names.0);
    let mut of_its_sort = false;
    for name in &names {
        match (name, address) {
            (GeneralName::DnsName(name), _) => {
                of_its_sort |= address.is_none();
                if matches(name.as_str(), &host) {
                    return true;
                }
            }
            (GeneralName::IpAddress(octets), Some(address)) => {
                of_its_sort = true;
                if is(octets.as_bytes(), address) {
                    return true;
                }
            }
            _ => {}
        }
    }
    !of_its_sort && common_name(certificate).is_some_and(|name| matches(&name, &host))
}

fn is(octets: &[u8], address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => octets == address.octets(),
        IpAddr::V6(address) => octets == address.octets(),
    }
}

/// The first one.
fn common_name(certificate: &Certificate) -> Option<String> {
    let subject = &certificate.tbs_certificate.subject;
    let mut parts = subject.0.iter().flat_map(|one| one.0.iter());
    let name = parts.find(|one| one.oid == COMMON_NAME)?.value.value();
    String::from_utf8(name.to_vec()).ok()
}

/// The same name, or `*` for its first label.
fn matches(name: &str, host: &str) -> bool {
    // What is behind it would be seen by nobody.
    if name.contains('\0') {
        return false;
    }
    let parent = || {
        let parent = name.strip_prefix("*.")?;
        let (label, rest) = host.split_once('.')?;
        Some(!label.is_empty() && !parent.is_empty() && parent.eq_ignore_ascii_case(rest))
    };
    name.eq_ignore_ascii_case(host) || parent() == Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::connection::tls::certificate::read;
    use crate::postgres::connection::tls::certificate::tests::example;

    #[test]
    fn the_common_name_counts_where_no_other_name_of_the_hosts_sort_is() {
        for (name, host, expected) in [
            // Without any other name.
            ("server", "db1.example", true),
            ("server", "db2.example", false),
            ("server", "10.0.10.2", false),
            // With one of each sort.
            ("san", "db2.example", true),
            ("san", "10.0.10.2", true),
            ("san", "10.0.10.3", false),
            ("san", "db1.example", false),
            // With an address alone.
            ("ip", "db1.example", true),
            ("ip", "10.0.10.2", true),
        ] {
            let certificate = read(&example(name)).unwrap();
            let host = ServerName::try_from(host).unwrap();
            assert_eq!(bears(&certificate, &host), expected, "{name} {host:?}");
        }
    }

    #[test]
    fn a_star_stands_for_one_label() {
        for (name, host, expected) in [
            ("db1.example.com", "DB1.example.com", true),
            ("*.example.com", "db1.example.com", true),
            ("*.example.com", "a.db1.example.com", false),
            ("*.example.com", "example.com", false),
            ("*.example.com", ".example.com", false),
            ("db*.example.com", "db1.example.com", false),
            ("*", "db1", false),
            ("*.", "db1.", false),
            ("10.0.10.2", "10.0.10.2", true),
            ("db1\0.evil.example", "db1", false),
            ("", "db1", false),
        ] {
            assert_eq!(matches(name, host), expected, "{name:?} {host}");
        }
    }
}
