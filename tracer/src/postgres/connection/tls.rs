//! TLS by rustls, with libpq's rules of what is checked.

#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

mod certificate;
mod host;
mod verifier;
mod version1;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io};

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, Error, InconsistentKeys};
use rustls_native_certs::{CertificateResult, load_native_certs};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::postgres::connection::target::Tls;
use crate::postgres::connection::tls::verifier::Verifier;

/// TLS cannot be had as the connection string asks for it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("{path}: {cause}")]
    File { path: PathBuf, cause: String },
    #[error(
        "sslrootcert=system: this system's certificates are not where they are looked for ({0})"
    )]
    NoSystemRoots(String),
    /// A certificate without its key, or the other way round.
    #[error("a client's certificate and its key belong together: sslcert and sslkey")]
    HalfIdentity,
    #[error("{0}")]
    Rustls(#[from] Error),
}

/// Prepares what all connections share.
pub(crate) fn connector(tls: &Tls) -> Result<MakeRustlsConnect, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let versions: &[_] = if tls.only_1_3 {
        &[&rustls::version::TLS13]
    } else {
        rustls::DEFAULT_VERSIONS
    };
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Verifier::new(tls, Arc::clone(&provider))?));
    let mut config = match (&tls.certificate, &tls.key) {
        (None, None) => builder.with_no_client_auth(),
        (Some(certificate), Some(key)) => {
            let identity = identity(certificate, key, &provider)?;
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity)))
        }
        _ => return Err(TlsError::HalfIdentity),
    };
    if tls.direct {
        config.alpn_protocols = vec![b"postgresql".to_vec()];
    }
    Ok(MakeRustlsConnect::new(config))
}

/// What is found of a server's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct JudgedCertificate {
    /// Whether it has a key that can be read.
    pub(crate) has_key: bool,
    /// Whether it is for the host.
    pub(crate) is_for_host: bool,
    /// Of one of version 1 or 2, whether the roots make it trusted; `None` of others.
    pub(crate) trusted: Option<bool>,
}

/// Judges a certificate in memory (DER) by roots, for a host, at a second since 1970;
/// `None` if it is none.
pub(crate) fn judge(
    certificate: &[u8],
    roots: &[CertificateDer<'_>],
    host: &ServerName<'_>,
    second: u64,
) -> Option<JudgedCertificate> {
    let der = CertificateDer::from_slice(certificate);
    let read = certificate::read(&der).ok()?;
    let known = ring::default_provider().signature_verification_algorithms;
    let now = UnixTime::since_unix_epoch(Duration::from_secs(second));
    Some(JudgedCertificate {
        has_key: certificate::public_key(&read).is_ok(),
        is_for_host: host::bears(&read, host),
        trusted: version1::read(&der)
            .map(|own| version1::verify(&der, &own, roots, now, &known).is_ok()),
    })
}

/// The client's own certificate, with its key. Whether a certificate of version 1 will
/// do, as the manual's recipe makes one, is for the server to say.
fn identity(
    certificate: &Path,
    key: &Path,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, TlsError> {
    let own = provider.key_provider.load_private_key(private_key(key)?)?;
    let identity = CertifiedKey::new(certificates(certificate)?, own);
    let key = || identity.key.public_key();
    match identity.keys_match() {
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(identity),
        Err(Error::InvalidCertificate(_)) => {
            let there = certificate::read(identity.end_entity_cert()?)?;
            if key().is_some_and(|key| certificate::public_key(&there).ok() != Some(key)) {
                return Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch).into());
            }
            Ok(identity)
        }
        Err(error) => Err(error.into()),
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let file = |cause: String| TlsError::File {
        path: path.to_owned(),
        cause,
    };
    let found: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| file(error.to_string()))?;
    if found.is_empty() {
        return Err(file("there is no certificate in it".to_owned()));
    }
    Ok(found)
}

/// The authorities that this system trusts, found as OpenSSL finds them: where
/// `SSL_CERT_FILE` and `SSL_CERT_DIR` say, else where distributions keep them.
fn system_roots() -> Result<Vec<CertificateDer<'static>>, TlsError> {
    usable_roots(load_native_certs())
}

fn usable_roots(found: CertificateResult) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let CertificateResult { certs, errors, .. } = found;
    let causes: Vec<String> = errors.iter().map(ToString::to_string).collect();
    if certs.is_empty() {
        return Err(TlsError::NoSystemRoots(match causes.is_empty() {
            true => "SSL_CERT_FILE, SSL_CERT_DIR, or where distributions keep them".to_owned(),
            false => causes.join(", "),
        }));
    }
    for cause in causes {
        log::debug!("sslrootcert=system: {cause}");
    }
    Ok(certs)
}

/// A key that others can read is none, says libpq.
fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let file = |cause: String| TlsError::File {
        path: path.to_owned(),
        cause,
    };
    let metadata = fs::metadata(path).map_err(|error: io::Error| file(error.to_string()))?;
    // As libpq: the group may read a key that is root's.
    if metadata.permissions().mode() & 0o037 != 0 {
        return Err(file("others may use this key; `chmod 0600` it".to_owned()));
    }
    PrivateKeyDer::from_pem_file(path).map_err(|error| file(error.to_string()))
}

#[cfg(test)]
mod tests {
    use rustls_native_certs::load_certs_from_paths;

    use super::*;

    #[test]
    fn a_system_without_authorities_is_an_error_and_one_odd_file_among_others_is_not() {
        let none = usable_roots(CertificateResult::default()).unwrap_err();
        let said = "sslrootcert=system: this system's certificates are not where they are \
                    looked for (SSL_CERT_FILE, SSL_CERT_DIR, or where distributions keep them)";
        assert_eq!(none.to_string(), said);
        let missing = || load_certs_from_paths(Some(Path::new("/no/such/file")), None);
        let said = usable_roots(missing()).unwrap_err().to_string();
        assert!(said.contains("/no/such/file"), "{said}");
        let mut found = missing();
        found.certs.push(certificate::tests::example("root"));
        assert_eq!(usable_roots(found).unwrap().len(), 1);
    }
}
