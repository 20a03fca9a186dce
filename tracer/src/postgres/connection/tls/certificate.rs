//! A certificate of any version, read.

use rustls::pki_types::{CertificateDer, SignatureVerificationAlgorithm, SubjectPublicKeyInfoDer};
use rustls::{CertificateError, Error};
use webpki::RawPublicKeyEntity;
use x509_cert::Certificate;
use x509_cert::der::{Decode, Encode};

/// Reads it, and judges nothing.
pub(super) fn read(certificate: &CertificateDer<'_>) -> Result<Certificate, Error> {
    Certificate::from_der(certificate).map_err(|_| CertificateError::BadEncoding.into())
}

/// The key that it is for.
pub(super) fn public_key(
    certificate: &Certificate,
) -> Result<SubjectPublicKeyInfoDer<'static>, Error> {
    let key = certificate.tbs_certificate.subject_public_key_info.to_der();
    let key = key.map_err(|_| Error::from(CertificateError::BadEncoding))?;
    Ok(key.into())
}

/// Whether one of these algorithms makes it this key's signature.
pub(super) fn verify_signature(
    key: &SubjectPublicKeyInfoDer<'_>,
    possible: &[&dyn SignatureVerificationAlgorithm],
    message: &[u8],
    signature: &[u8],
) -> Result<(), Error> {
    let key = RawPublicKeyEntity::try_from(key).map_err(|_| CertificateError::BadEncoding)?;
    let fits = |one: &&dyn SignatureVerificationAlgorithm| {
        key.verify_signature(*one, message, signature).is_ok()
    };
    match possible.iter().any(fits) {
        true => Ok(()),
        false => Err(CertificateError::BadSignature.into()),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use rustls::pki_types::pem::PemObject;

    use super::*;

    /// Made with `openssl`, as the manual says, to be valid for a hundred years from
    /// 28 November 2026 on.
    const EXAMPLES: [(&str, &str); 8] = [
        ("ip", include_str!("examples/ip.pem")),
        ("limited", include_str!("examples/limited.pem")),
        ("no_authority", include_str!("examples/no_authority.pem")),
        ("other", include_str!("examples/other.pem")),
        ("root", include_str!("examples/root.pem")),
        (
            "root_of_version1",
            include_str!("examples/root_of_version1.pem"),
        ),
        ("san", include_str!("examples/san.pem")),
        ("server", include_str!("examples/server.pem")),
    ];

    pub(in crate::postgres::connection::tls) fn example(name: &str) -> CertificateDer<'static> {
        let (_, pem) = EXAMPLES.iter().find(|(one, _)| *one == name).unwrap();
        CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
    }

    #[test]
    fn a_key_is_read_of_any_version() {
        let key = |name| public_key(&read(&example(name)).unwrap()).unwrap();
        // Both are for the key of the root.
        assert_eq!(key("root"), key("root_of_version1"));
        assert_ne!(key("root"), key("server"));
        assert!(read(&CertificateDer::from_slice(b"0")).is_err());
    }
}
