//! What is checked of a server, by libpq's rules.

use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, verify_tls12_signature, verify_tls13_signature,
    verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use crate::postgres::connection::target::{SslMode, Tls};
use crate::postgres::connection::tls::{
    TlsError, certificate, certificates, host, system_roots, version1,
};

/// Checks as much of a server's certificate as `sslmode` asks for.
#[derive(Debug)]
pub(super) struct Verifier {
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
    pub(super) fn new(tls: &Tls, provider: Arc<CryptoProvider>) -> Result<Self, TlsError> {
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

impl Verifier {
    /// Whether it is for this host, if that matters.
    fn named(
        &self,
        end_entity: &CertificateDer<'_>,
        server_name: &ServerName<'_>,
    ) -> Result<ServerCertVerified, Error> {
        if self.check_name && !host::bears(&certificate::read(end_entity)?, server_name) {
            return Err(CertificateError::NotValidForName.into());
        }
        Ok(ServerCertVerified::assertion())
    }
}

impl Roots {
    fn read(path: &Path, provider: &Arc<CryptoProvider>) -> Result<Self, TlsError> {
        let mut store = RootCertStore::empty();
        let certificates = if path == Path::new("system") {
            // Some of these are always too odd to be used.
            store.add_parsable_certificates(system_roots()?);
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
        use CertificateError::{
            Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet,
            NotValidYetContext,
        };
        let Some(roots) = &self.roots else {
            return Ok(ServerCertVerified::assertion());
        };
        if let Some(old) = version1::read(end_entity) {
            let known = &self.provider.signature_verification_algorithms;
            version1::verify(end_entity, &old, &roots.certificates, now, known)?;
            return self.named(end_entity, server_name);
        }
        let verdict = roots.verifier.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        match verdict {
            // The name is checked last, and not by libpq's rules.
            Err(Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. })) => {
                self.named(end_entity, server_name)
            }
            Err(
                error @ Error::InvalidCertificate(
                    Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. },
                ),
            ) => Err(error),
            // The server's own certificate given as a root, as PostgreSQL's manual
            // proposes: that it may sign others is no reason to refuse it.
            Err(Error::InvalidCertificate(_)) if roots.certificates.contains(end_entity) => {
                self.named(end_entity, server_name)
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
        if ParsedCertificate::try_from(cert).is_ok() {
            return verify_tls12_signature(message, cert, dss, algorithms);
        }
        // Who it is says nothing of whether the key is its own.
        let key = certificate::public_key(&certificate::read(cert)?)?;
        let mut known = algorithms.mapping.iter();
        let (_, possible) = known
            .find(|(scheme, _)| *scheme == dss.scheme)
            .ok_or(CertificateError::BadSignature)?;
        certificate::verify_signature(&key, possible, message, dss.signature())?;
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        if ParsedCertificate::try_from(cert).is_ok() {
            return verify_tls13_signature(message, cert, dss, algorithms);
        }
        let key = certificate::public_key(&certificate::read(cert)?)?;
        verify_tls13_signature_with_raw_key(message, &key, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
