//! TLS by rustls, with libpq's rules of what is checked.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::target::{SslMode, Tls};

/// Where distributions keep the authorities that they trust.
const SYSTEM_ROOTS: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];

/// TLS cannot be had as the connection string asks for it.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file of certificates or keys.
    #[error("{path}: {cause}")]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// No authorities of the system's.
    #[error("sslrootcert=system: this system's certificates are not where they are looked for ({})", SYSTEM_ROOTS.join(", "))]
    NoSystemRoots,
    /// A certificate without its key, or the other way round.
    #[error("a client's certificate and its key belong together: sslcert and sslkey")]
    HalfIdentity,
    /// What rustls says.
    #[error("{0}")]
    Rustls(#[from] Error),
}

/// Prepares what all connections share.
///
/// # Errors
/// When a file is missing or cannot be understood.
pub fn connector(tls: &Tls) -> Result<MakeRustlsConnect, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let versions: &[_] = if tls.only_1_3 {
        &[&rustls::version::TLS13]
    } else {
        rustls::DEFAULT_VERSIONS
    };
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Verifier::new(tls, provider)?));
    let mut config = match (&tls.certificate, &tls.key) {
        (None, None) => builder.with_no_client_auth(),
        (Some(certificate), Some(key)) => {
            builder.with_client_auth_cert(certificates(certificate)?, private_key(key)?)?
        }
        _ => return Err(TlsError::HalfIdentity),
    };
    if tls.direct {
        config.alpn_protocols = vec![b"postgresql".to_vec()];
    }
    Ok(MakeRustlsConnect::new(config))
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

/// Checks as much of a server's certificate as `sslmode` asks for.
#[derive(Debug)]
struct Verifier {
    /// `None` checks nothing.
    roots: Option<Roots>,
    check_name: bool,
    provider: Arc<CryptoProvider>,
}

#[derive(Debug)]
struct Roots {
    verifier: Arc<WebPkiServerVerifier>,
    certificates: Vec<CertificateDer<'static>>,
}

impl Verifier {
    fn new(tls: &Tls, provider: Arc<CryptoProvider>) -> Result<Self, TlsError> {
        let checks = match (tls.mode, &tls.root) {
            (SslMode::VerifyCa | SslMode::VerifyFull, _) => true,
            // With a root certificate, libpq's `require` is `verify-ca`.
            (SslMode::Require, Some(root)) => root.exists(),
            _ => false,
        };
        let roots = match (checks, &tls.root) {
            (true, Some(root)) => Some(Roots::read(root, &provider)?),
            _ => None,
        };
        Ok(Self {
            roots,
            check_name: tls.mode == SslMode::VerifyFull,
            provider,
        })
    }
}

impl Roots {
    fn read(path: &Path, provider: &Arc<CryptoProvider>) -> Result<Self, TlsError> {
        let mut store = RootCertStore::empty();
        let certificates = if path == Path::new("system") {
            let there = SYSTEM_ROOTS.iter().map(Path::new).find(|p| p.exists());
            let found = certificates(there.ok_or(TlsError::NoSystemRoots)?)?;
            // Some of these are always too odd to be used.
            store.add_parsable_certificates(found);
            Vec::new()
        } else {
            let found = certificates(path)?;
            for certificate in &found {
                store.add(certificate.clone())?;
            }
            found
        };
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(provider))
                .build()
                .map_err(|error| TlsError::File {
                    path: path.to_owned(),
                    cause: error.to_string(),
                })?;
        Ok(Self {
            verifier,
            certificates,
        })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        use CertificateError::{Expired, ExpiredContext, NotValidForName, NotValidForNameContext};
        let Some(roots) = &self.roots else {
            return Ok(ServerCertVerified::assertion());
        };
        let verdict = roots.verifier.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        match verdict {
            // The name is looked at last.
            Err(Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. }))
                if !self.check_name =>
            {
                Ok(ServerCertVerified::assertion())
            }
            Err(error @ Error::InvalidCertificate(Expired | ExpiredContext { .. })) => Err(error),
            // The server's own certificate given as a root, as PostgreSQL's manual
            // proposes: that it may sign others is no reason to refuse it.
            Err(Error::InvalidCertificate(_)) if roots.certificates.contains(end_entity) => {
                if self.check_name {
                    verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                }
                Ok(ServerCertVerified::assertion())
            }
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
