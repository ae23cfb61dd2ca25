//! Certificate authorities that an origin brings: which text they are, and whether an edge can use them.

use proxima_crds::{conditions::Reason, v1alpha1::CaBundleRef};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, pem::PemObject};

use super::Settings;
use crate::distribution::{schema::Fault, translate::Identity};

/// Lines around a certificate (RFC 7468 § 5).
const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// The certificates that a reference stands for, without anything else that the ConfigMap's text holds: comments would
/// only make edges larger, and a private key that somebody put there is nothing to hand around.
pub(in crate::distribution) fn certificates(reference: &CaBundleRef, settings: &Settings) -> Option<String> {
    let text = settings.ca_bundles.get(reference.name.as_str())?.get(reference.key.as_str())?;
    let mut inside = false;
    let mut certificates = String::new();
    for line in text.lines().map(str::trim_end) {
        inside |= line == BEGIN;
        if inside {
            certificates.push_str(line);
            certificates.push('\n');
        }
        inside &= line != END;
    }
    Some(certificates)
}

/// What is wrong with a reference at `field`.
pub(super) fn check(reference: &CaBundleRef, field: &str, who: &Identity, settings: &Settings) -> Option<Fault> {
    let object = format!("{}/{}", who.namespace, reference.name);
    let Some(data) = settings.ca_bundles.get(reference.name.as_str()) else {
        let message = if settings.is_local() {
            format!("there is no ConfigMap {object}; add the ConfigMap to a file given with --manifest")
        } else {
            format!("there is no ConfigMap {object}; create it, or name one of the Distribution's namespace")
        };
        return Some(Fault::new(Reason::ConfigMapNotFound, format!("{field}.name"), message));
    };
    let invalid = |part: &str, message| Some(Fault::new(Reason::CaBundleInvalid, format!("{field}{part}"), message));
    let Some(certificates) = certificates(reference, settings) else {
        let keys: Vec<&str> = data.keys().take(16).map(String::as_str).collect();
        let keys = if keys.is_empty() { "none".to_owned() } else { keys.join(", ") };
        let message = format!("ConfigMap {object} has no key {:?}; it has {keys}", reference.key.as_str());
        return invalid(".key", message);
    };
    let detail = unusable(&certificates)?;
    invalid("", format!("key {} of ConfigMap {object}: {detail}", reference.key))
}

/// What is wrong with certificates, if anything: read as an edge will read them.
fn unusable(certificates: &str) -> Option<String> {
    let mut roots = RootCertStore::empty();
    let mut count = 0;
    for certificate in CertificateDer::pem_slice_iter(certificates.as_bytes()) {
        count += 1;
        let added = certificate
            .map_err(|error| error.to_string())
            .and_then(|certificate| roots.add(certificate).map_err(|error| error.to_string()));
        if let Err(error) = added {
            return Some(format!("certificate {count} cannot be used: {error}; replace it by an X.509 certificate"));
        }
    }
    (count == 0).then(|| format!("there is no certificate in it; put PEM there that begins with {BEGIN}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proxima_crds::scalars::{ConfigMapKey, ConfigMapName};

    use super::*;
    use crate::distribution::validate::Services;

    fn pem(name: &str) -> String {
        rcgen::generate_simple_self_signed([name.to_owned()]).unwrap().cert.pem()
    }

    fn settings(text: &str) -> Settings {
        Settings {
            cluster_domain: "cluster.local".into(),
            services: Services::Cluster(BTreeMap::new()),
            addresses: Vec::new(),
            ca_bundles: BTreeMap::from([(
                "ours".to_owned(),
                BTreeMap::from([("ca.crt".to_owned(), text.to_owned()), ("note".to_owned(), "x".to_owned())]),
            )]),
        }
    }

    fn reference(name: &str, key: &str) -> CaBundleRef {
        CaBundleRef { name: ConfigMapName::from(name), key: ConfigMapKey::from(key) }
    }

    fn judged(reference: &CaBundleRef, settings: &Settings) -> Option<Fault> {
        let who = Identity { namespace: "web".into(), name: "shop".into(), uid: "u".into() };
        check(reference, "spec.origins[0].http.tls.caBundleRef", &who, settings)
    }

    #[test]
    fn certificates_are_taken_out_of_whatever_is_around_them() {
        let (one, other) = (pem("a"), pem("b"));
        let key = one.replace("CERTIFICATE", "PRIVATE KEY");
        let settings = settings(&format!("# ours\r\n{}\n{key}trailing\n{other}", one.replace('\n', "\r\n")));
        let reference = reference("ours", "ca.crt");
        assert_eq!(judged(&reference, &settings), None);
        assert_eq!(certificates(&reference, &settings), Some(format!("{one}{other}").replace("\r\n", "\n")));
    }

    #[test]
    fn what_is_missing_or_broken_is_named_with_its_place() {
        let broken = format!("{}{BEGIN}\nAAAA\n{END}\n", pem("a"));
        for (reference, text, reason, part, words) in [
            (
                reference("others", "ca.crt"),
                "",
                Reason::ConfigMapNotFound,
                ".name",
                "no ConfigMap web/others; create it",
            ),
            (
                reference("ours", "tls.crt"),
                "",
                Reason::CaBundleInvalid,
                ".key",
                "no key \"tls.crt\"; it has ca.crt, note",
            ),
            (reference("ours", "ca.crt"), "hello", Reason::CaBundleInvalid, "", "there is no certificate in it"),
            (reference("ours", "ca.crt"), &broken, Reason::CaBundleInvalid, "", "certificate 2 cannot be used"),
            (
                reference("ours", "ca.crt"),
                "-----BEGIN CERTIFICATE-----\nAAAA",
                Reason::CaBundleInvalid,
                "",
                "cannot be used",
            ),
        ] {
            let fault = judged(&reference, &settings(text)).expect(words);
            assert_eq!(fault.reason, reason, "{fault:?}");
            assert_eq!(fault.field, format!("spec.origins[0].http.tls.caBundleRef{part}"));
            assert!(fault.message.contains(words), "{fault:?} lacks {words}");
        }
    }

    #[test]
    fn local_mode_says_where_to_put_the_config_map() {
        let local = Settings { services: Services::Local(BTreeMap::new()), ..settings("") };
        let fault = judged(&reference("others", "ca.crt"), &local).unwrap();
        assert!(fault.message.contains("add the ConfigMap to a file given with --manifest"), "{fault:?}");
    }
}
