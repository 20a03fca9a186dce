//! A server's certificate of X.509 version 1, as PostgreSQL's manual has them made
//! (<https://www.postgresql.org/docs/15/ssl-tcp.html#SSL-CERTIFICATE-CREATION>): it has
//! no extensions, so that it cannot say what it is for, and webpki takes none.
//!
//! What libpq makes sure of is made sure of here as well, for the one chain that the
//! manual makes: it is a root certificate itself, or one has signed it directly.

use std::sync::Arc;

use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::{CertificateError, Error, OtherError};
use x509_cert::Certificate;
use x509_cert::certificate::Version;
use x509_cert::der::asn1::AnyRef;
use x509_cert::der::oid::AssociatedOid;
use x509_cert::der::oid::db::rfc5280::{ANY_EXTENDED_KEY_USAGE, ID_KP_SERVER_AUTH};
use x509_cert::der::{Decode, Encode};
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, NameConstraints,
    SubjectKeyIdentifier,
};

use crate::postgres::connection::tls::certificate;

/// Why one is not trusted.
#[derive(Debug, thiserror::Error)]
enum Untrusted {
    #[error(
        "the server's certificate is of X.509 version 1, and none of the root certificates has signed it itself: put the one that has into sslrootcert, or make the server's certificate anew as version 3 (`openssl x509 -req -extfile …`)"
    )]
    NoRoot,
    #[error(
        "the server's certificate is of X.509 version 1, and the root certificate that has its issuer's name {0}"
    )]
    Root(&'static str),
}

impl From<Untrusted> for Error {
    fn from(untrusted: Untrusted) -> Self {
        Self::Other(OtherError(Arc::new(untrusted)))
    }
}

/// The certificate, if it is one of these. Version 2 is the same without extensions.
pub(super) fn read(der: &CertificateDer<'_>) -> Option<Certificate> {
    let read = certificate::read(der).ok()?;
    (read.tbs_certificate.version != Version::V3).then_some(read)
}

/// Whether it is to be trusted by these roots at this moment.
pub(super) fn verify(
    der: &CertificateDer<'_>,
    own: &Certificate,
    roots: &[CertificateDer<'_>],
    now: UnixTime,
    known: &WebPkiSupportedAlgorithms,
) -> Result<(), Error> {
    if own.tbs_certificate.extensions.is_some() {
        return Err(CertificateError::BadEncoding.into());
    }
    is_valid_at(own, now)?;
    if roots.contains(der) {
        return Ok(());
    }
    let mut last = Error::from(Untrusted::NoRoot);
    for root in roots.iter().filter_map(|root| certificate::read(root).ok()) {
        if root.tbs_certificate.subject != own.tbs_certificate.issuer {
            continue;
        }
        match is_signed_by(own, &root, now, known) {
            Ok(()) => return Ok(()),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn is_valid_at(certificate: &Certificate, now: UnixTime) -> Result<(), Error> {
    let validity = certificate.tbs_certificate.validity;
    let second = now.as_secs();
    if second < validity.not_before.to_unix_duration().as_secs() {
        return Err(CertificateError::NotValidYet.into());
    }
    if second > validity.not_after.to_unix_duration().as_secs() {
        return Err(CertificateError::Expired.into());
    }
    Ok(())
}

fn is_signed_by(
    own: &Certificate,
    root: &Certificate,
    now: UnixTime,
    known: &WebPkiSupportedAlgorithms,
) -> Result<(), Error> {
    is_valid_at(root, now)?;
    may_sign(root)?;
    let encoding = |_| Error::from(CertificateError::BadEncoding);
    if own.signature_algorithm != own.tbs_certificate.signature {
        return Err(CertificateError::BadEncoding.into());
    }
    // Of DER, there is one way to write it: what was not written so has no such signature.
    let signed = own.tbs_certificate.to_der().map_err(encoding)?;
    let algorithm = own.signature_algorithm.to_der().map_err(encoding)?;
    let algorithm = AnyRef::from_der(&algorithm).map_err(encoding)?.value();
    let possible: Vec<_> = known
        .all
        .iter()
        .copied()
        .filter(|one| one.signature_alg_id().as_ref() == algorithm)
        .collect();
    let signature = own.signature.as_bytes();
    let signature = signature.ok_or(CertificateError::BadEncoding)?;
    let key = certificate::public_key(root)?;
    certificate::verify_signature(&key, &possible, &signed, signature)
}

/// Whether a root certificate may sign a server's, as OpenSSL judges it (`check_ca()` in
/// <https://github.com/openssl/openssl/blob/openssl-3.0/crypto/x509/v3_purp.c>): by what
/// it says of itself, or as one of version 1 that has signed itself.
fn may_sign(root: &Certificate) -> Result<(), Error> {
    let own = &root.tbs_certificate;
    if own.version != Version::V3 {
        return match own.subject == own.issuer && own.extensions.is_none() {
            true => Ok(()),
            false => Err(Untrusted::Root("is of version 1 as well and no root").into()),
        };
    }
    let encoding = |_| Error::from(CertificateError::BadEncoding);
    let basic = own.get::<BasicConstraints>().map_err(encoding)?;
    if !basic.is_some_and(|(_, basic)| basic.ca) {
        return Err(Untrusted::Root("may not sign others (basicConstraints)").into());
    }
    let usage = own.get::<KeyUsage>().map_err(encoding)?;
    if usage.is_some_and(|(_, usage)| !usage.key_cert_sign()) {
        return Err(Untrusted::Root("may not sign others (keyUsage)").into());
    }
    let extended = own.get::<ExtendedKeyUsage>().map_err(encoding)?;
    let server = [ID_KP_SERVER_AUTH, ANY_EXTENDED_KEY_USAGE];
    if extended.is_some_and(|(_, usage)| !usage.0.iter().any(|one| server.contains(one))) {
        return Err(Untrusted::Root("may not sign servers' (extendedKeyUsage)").into());
    }
    let judged = [
        BasicConstraints::OID,
        KeyUsage::OID,
        ExtendedKeyUsage::OID,
        SubjectKeyIdentifier::OID,
        AuthorityKeyIdentifier::OID,
    ];
    let mut others = own.extensions.iter().flatten();
    // What it forbids by these would have to be looked for in the server's.
    let limits = others.any(|one| {
        one.extn_id == NameConstraints::OID || one.critical && !judged.contains(&one.extn_id)
    });
    match limits {
        true => Err(Untrusted::Root("sets limits that are not judged here").into()),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustls::crypto::ring;

    use super::*;
    use crate::postgres::connection::tls::certificate::tests::example;

    /// 1 January 2027, s.
    const VALID: u64 = 1_798_761_600;

    fn judge(roots: &[&str], second: u64) -> Result<(), String> {
        let server = example("server");
        let roots: Vec<_> = roots.iter().map(|name| example(name)).collect();
        let known = ring::default_provider().signature_verification_algorithms;
        let now = UnixTime::since_unix_epoch(Duration::from_secs(second));
        let own = read(&server).unwrap();
        verify(&server, &own, &roots, now, &known).map_err(|error| error.to_string())
    }

    #[test]
    fn one_that_a_root_has_signed_is_trusted() {
        assert_eq!(judge(&["root"], VALID), Ok(()));
        // A root of version 1 has nothing to say for itself, and libpq takes it.
        assert_eq!(judge(&["root_of_version1"], VALID), Ok(()));
        // Another root of its name does not stand in the way.
        assert_eq!(judge(&["root", "other"], VALID), Ok(()));
        assert_eq!(judge(&["other", "root"], VALID), Ok(()));
        // Itself as a root.
        assert_eq!(judge(&["server"], VALID), Ok(()));
    }

    #[test]
    fn one_that_none_has_signed_is_not() {
        for (roots, word) in [
            (&["other"][..], "BadSignature"),
            (&["no_authority"], "basicConstraints"),
            (&["limited"], "limits"),
            (&["san"], "put the one that has into sslrootcert"),
            (&[], "put the one that has into sslrootcert"),
        ] {
            let said = judge(roots, VALID).unwrap_err();
            assert!(said.contains(word), "{roots:?}: {said}");
            assert!(!said.contains('\n'), "{said}");
        }
    }

    #[test]
    fn before_its_time_and_after_it_none_is_trusted() {
        for roots in [&["root"][..], &["server"]] {
            let early = judge(roots, 1_000_000_000).unwrap_err();
            assert!(early.contains("NotValidYet"), "{early}");
            let late = judge(roots, 10_000_000_000).unwrap_err();
            assert!(late.contains("Expired"), "{late}");
        }
    }

    #[test]
    fn version_3_is_none_of_these() {
        assert!(read(&example("root")).is_none());
        assert!(read(&example("root_of_version1")).is_some());
    }
}
