//! The cluster's authorities (RFC 5280) with the extensions of kubeadm's own, on ECDSA P-256 keys.
//!
//! Signatures are deterministic (RFC 6979), serial numbers are hashes: the same seed gives the same certificates. kubeadm finds
//! the files and says "Using existing certificate authority"; it makes the leaf certificates on the nodes.

use base64ct::{Base64, Encoding as _};
use p256::SecretKey;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use p256::elliptic_curve::sec1::ToEncodedPoint as _;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyUsagePurpose, PublicKeyData as _,
    SanType, SerialNumber,
};
use sha2::{Digest as _, Sha256};

use super::{Secrets, UnixTime, der, derive};
use crate::{Error, Secret, hex};

/// The label of the key that signs service accounts' tokens.
pub(super) const SERVICE_ACCOUNT: &str = "key/service-account";

const DAY_SECONDS: u64 = 86_400;

/// How long authorities are valid, and what nobody could renew.
pub(super) const AUTHORITY_DAYS: u64 = 3650;

/// The authorities of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Authority {
    /// Signs the API server's, the kubelets' and the users' certificates.
    Kubernetes,
    /// Signs the certificate by which the API server speaks to extensions.
    FrontProxy,
    /// Signs etcd's certificates.
    Etcd,
}

impl Authority {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Kubernetes, Self::FrontProxy, Self::Etcd];

    /// The common name kubeadm gives it.
    pub fn common_name(self) -> &'static str {
        match self {
            Self::Kubernetes => "kubernetes",
            Self::FrontProxy => "front-proxy-ca",
            Self::Etcd => "etcd-ca",
        }
    }

    /// The path of its files below `pki`, without `.crt` and `.key`.
    pub fn path(self) -> &'static str {
        match self {
            Self::Kubernetes => "ca",
            Self::FrontProxy => "front-proxy-ca",
            Self::Etcd => "etcd/ca",
        }
    }

    pub(super) fn key_label(self) -> &'static str {
        match self {
            Self::Kubernetes => "key/ca",
            Self::FrontProxy => "key/front-proxy-ca",
            Self::Etcd => "key/etcd-ca",
        }
    }
}

/// A P-256 key pair that signs for `rcgen`.
pub(super) struct Key {
    secret: SigningKey,
    /// The public point, uncompressed.
    point: [u8; 65],
}

impl Key {
    /// Derives the key of `label`: the first candidate that is a scalar of the curve, which all but one in 2^32 are.
    pub(super) fn derive(secrets: &Secrets, label: &str) -> Self {
        let secret = (0_u32..)
            .find_map(|attempt| {
                let candidate: [u8; 32] = derive::bytes(secrets, &format!("{label}/{attempt}"));
                SecretKey::from_slice(&candidate).ok()
            })
            .expect("one of 2^32 candidates is a scalar");
        let mut point = [0; 65];
        point.copy_from_slice(secret.public_key().to_encoded_point(false).as_bytes());
        Self {
            secret: secret.into(),
            point,
        }
    }

    pub(super) fn private_pem(&self) -> Secret {
        let mut scalar = [0; 32];
        scalar.copy_from_slice(&self.secret.to_bytes());
        der::sec1_pem(&scalar, &self.point)
    }

    pub(super) fn public_pem(&self) -> String {
        der::pem("PUBLIC KEY", &self.subject_public_key_info())
    }

    /// The pin kubeadm knows: SHA-256 over the subject's public key info.
    pub(super) fn spki_hash(&self) -> String {
        let digest = Sha256::digest(self.subject_public_key_info());
        format!("sha256:{}", hex::encode(&digest))
    }

    /// The subject key identifier: SHA-256 over the key's bits, cut to 160 (RFC 7093 §2, method 1).
    pub(super) fn identifier(&self) -> KeyIdMethod {
        KeyIdMethod::PreSpecified(
            Sha256::digest(self.point)
                .iter()
                .take(20)
                .copied()
                .collect(),
        )
    }
}

impl rcgen::PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        &self.point
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signature: Signature = self.secret.sign(message);
        Ok(signature.to_der().as_bytes().to_vec())
    }
}

/// A certificate and the private key that belongs to it.
pub(super) struct Certified {
    certificate: Certificate,
    params: CertificateParams,
    key: Key,
}

impl Certified {
    pub(super) fn certificate_pem(&self) -> String {
        der::pem("CERTIFICATE", self.certificate.der())
    }

    /// The key, PEM in SEC 1 form.
    pub(super) fn key_pem(&self) -> Secret {
        self.key.private_pem()
    }

    /// Makes a certificate that signs itself.
    pub(super) fn self_signed(
        params: CertificateParams,
        key: Key,
        subject: &str,
    ) -> Result<Self, Error> {
        Self::of(params.self_signed(&key), params, key, subject)
    }

    /// Makes a certificate that this one signs.
    pub(super) fn sign(
        &self,
        params: CertificateParams,
        key: Key,
        subject: &str,
    ) -> Result<Self, Error> {
        let issuer = Issuer::from_params(&self.params, &self.key);
        Self::of(params.signed_by(&key, &issuer), params, key, subject)
    }

    fn of(
        certificate: Result<Certificate, rcgen::Error>,
        params: CertificateParams,
        key: Key,
        subject: &str,
    ) -> Result<Self, Error> {
        let certificate = certificate.map_err(|source| Error::Certificate {
            what: subject.to_owned(),
            source,
        })?;
        Ok(Self {
            certificate,
            params,
            key,
        })
    }

    /// The certificate's PEM in base64 once more, as a kubeconfig embeds it.
    pub(super) fn certificate_data(&self) -> String {
        Base64::encode_string(self.certificate_pem().as_bytes())
    }

    /// The key's PEM in base64 once more, as a kubeconfig embeds it.
    pub(super) fn key_data(&self) -> Secret {
        Secret::new(Base64::encode_string(
            self.key.private_pem().expose().as_bytes(),
        ))
    }
}

/// Makes the self-signed certificate of an authority, as client-go's `NewSelfSignedCACert` does for kubeadm.
pub(super) fn authority(secrets: &Secrets, authority: Authority) -> Result<Certified, Error> {
    let name = authority.common_name();
    let key = secrets.key(authority.key_label());
    let mut params = params(secrets, name, secrets.created, AUTHORITY_DAYS);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages.push(KeyUsagePurpose::KeyCertSign);
    params.key_identifier_method = key.identifier();
    let dns_name = name.try_into().map_err(|source| Error::Certificate {
        what: name.to_owned(),
        source,
    })?;
    params.subject_alt_names = vec![SanType::DnsName(dns_name)];
    Certified::self_signed(params, key, name)
}

/// Makes a client certificate of `group`, signed by the cluster's authority.
pub(super) fn client(
    secrets: &Secrets,
    name: &str,
    group: &str,
    not_before: UnixTime,
) -> Result<Certified, Error> {
    let key = secrets.key(&format!("key/client/{name}"));
    let mut params = params(secrets, name, not_before, 365);
    params
        .distinguished_name
        .push(DnType::OrganizationName, group);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_identifier_method = key.identifier();
    let ca = authority(secrets, Authority::Kubernetes)?;
    ca.sign(params, key, name)
}

/// What all certificates have in common.
pub(super) fn params(
    secrets: &Secrets,
    name: &str,
    not_before: UnixTime,
    days: u64,
) -> CertificateParams {
    let mut res = CertificateParams::default();
    let not_before = UnixTime(not_before.0.min(UnixTime::LAST.0));
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let seconds = std::time::Duration::from_secs;
    res.not_before = epoch + seconds(not_before.0);
    res.not_after = epoch + seconds(not_before.0 + days * DAY_SECONDS);
    res.distinguished_name = DistinguishedName::new();
    res.distinguished_name.push(DnType::CommonName, name);
    res.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyEncipherment,
    ];
    // RFC 5280 §4.1.2.2: positive and at most 20 octets. The first bit is clear, the second set, so it is never shorter.
    let mut serial: [u8; 16] = derive::bytes(secrets, &format!("serial/{name}/{}", not_before.0));
    serial[0] = serial[0] & 0x3f | 0x40;
    res.serial_number = Some(SerialNumber::from_slice(&serial));
    res
}
