//! What machines that run no kubelet prove themselves with: the authorities of step-ca, the word keepalived's machines know each
//! other by.
//!
//! The authorities are valid for ten years from `cluster init`, because nothing on these machines renews them.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyUsagePurpose};

use super::pki::{self, Key};
use super::{Secrets, Token, der};
use crate::{Error, Secret};

/// As long as an authority.
const DAYS: u64 = 3650;

/// step-ca's authorities.
pub(crate) struct Issuing {
    /// Certificate (PEM) of the root.
    pub(crate) root: String,
    /// Certificate (PEM) of the authority that issues.
    pub(crate) intermediate: String,
    /// Its key (PEM).
    pub(crate) intermediate_key: Secret,
}

impl Secrets {
    /// Returns the authorities of step-ca: the root signs the one that issues, and nothing else.
    pub(crate) fn issuing_authority(&self) -> Result<Issuing, Error> {
        let root_name = format!("{} root CA", self.cluster);
        let name = format!("{} issuing CA", self.cluster);
        let root_key = self.key("key/step-ca/root");
        let root_params = self.ca_params(&root_name, &root_key, 1);
        let root = root_params
            .self_signed(&root_key)
            .map_err(wrong(&root_name))?;
        let key = self.key("key/step-ca/issuing");
        let mut params = self.ca_params(&name, &key, 0);
        params.use_authority_key_identifier_extension = true;
        let issuer = Issuer::from_params(&root_params, &root_key);
        let certificate = params.signed_by(&key, &issuer).map_err(wrong(&name))?;
        Ok(Issuing {
            root: der::pem("CERTIFICATE", root.der()),
            intermediate: der::pem("CERTIFICATE", certificate.der()),
            intermediate_key: key.private_pem(),
        })
    }

    fn ca_params(&self, name: &str, key: &Key, below: u8) -> CertificateParams {
        let mut res = pki::params(self, name, self.created, DAYS);
        res.is_ca = IsCa::Ca(BasicConstraints::Constrained(below));
        res.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        res.key_identifier_method = key.identifier();
        res
    }

    /// Returns the eight letters that keepalived's password may have.
    pub(crate) fn vrrp_password(&self) -> Secret {
        let token = Token::derive(self, "vrrp").secret();
        let letters = token.expose().chars().rev().take(8);
        Secret::new(letters.collect::<String>())
    }
}

fn wrong(what: &str) -> impl Fn(rcgen::Error) -> Error + use<> {
    let what = what.to_owned();
    move |source| Error::Certificate {
        what: what.clone(),
        source,
    }
}
