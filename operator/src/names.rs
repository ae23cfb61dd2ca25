//! Names of everything that the operator makes. Fixed for ever: another name is another object.
//!
//! A Distribution's name neither contains `-edge-` nor ends in `-edge` (rules of its definition), so what stands before
//! the first `-edge` of a child's name is the Distribution, and children of two Distributions never share a name.

use proxima_edge_core::link::hex_sha256;

/// Secret in every namespace with Distributions: the server key of its edges and the pin of the operator.
pub const LINK_SECRET: &str = "proxima-edge";
/// Secret in the operator's namespace: the key that it proves itself to edges with.
pub const CLIENT_SECRET: &str = "proxima-operator-link";
/// Lease in the operator's namespace: who leads, and the term.
pub const LEASE: &str = "proxima-operator";

/// Longest name of a Service, bytes (RFC 1035: a label of a DNS name).
const LABEL_BYTES: usize = 63;
/// Digits of the hash that tells apart zones whose names look alike in DNS letters. Zones of one cluster are few:
/// two that are spelled alike and share these twenty bits do not happen.
const HASH_DIGITS: usize = 5;

/// The Service in front of all edges.
pub fn edge_service(distribution: &str) -> String {
    format!("{distribution}-edge")
}

/// Deployment, Service and PodDisruptionBudget of one zone: the zone in DNS letters, and a hash where these do not say
/// it all.
///
/// Pods append 17 characters. Where that is too long for a host name the API server cuts the name in front of its random
/// end, so the length is spent on the zone's name.
pub fn zone_object(distribution: &str, zone: &str) -> String {
    let prefix = zone_object_prefix(distribution);
    let room = LABEL_BYTES.saturating_sub(prefix.len());
    if zone.len() <= room && is_label(zone) && !looks_hashed(zone) {
        return prefix + zone;
    }
    let hash = &hex_sha256(zone.as_bytes())[..HASH_DIGITS];
    let letters = zone.chars().map(|c| c.to_ascii_lowercase());
    let letters = letters.map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' });
    let cut: String = letters.take(room.saturating_sub(HASH_DIGITS + 1)).collect();
    match cut.trim_matches('-') {
        "" => prefix + hash,
        readable => format!("{prefix}{readable}-{hash}"),
    }
}

/// What the names of objects of zones begin with, and none of another Distribution.
pub fn zone_object_prefix(distribution: &str) -> String {
    format!("{distribution}-edge-")
}

/// The ConfigMap that edges start from.
pub fn boot_copy(distribution: &str) -> String {
    format!("{distribution}-edge-boot")
}

/// Letters, digits and inner dashes, as in the label of a DNS name.
fn is_label(text: &str) -> bool {
    let inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    !text.is_empty() && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

/// Ends as if in a hash. Such a zone gets one too, so that it never has the name of another that needed it.
fn looks_hashed(zone: &str) -> bool {
    let tail = zone.rsplit_once('-').map_or(zone, |(_, tail)| tail);
    tail.len() == HASH_DIGITS && tail.bytes().all(|c| c.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_zone_in_dns_letters_is_named_as_it_is() {
        assert_eq!(zone_object("shop", "sa-east-1a"), "shop-edge-sa-east-1a");
        assert_eq!(zone_object("shop", "default"), "shop-edge-default");
        assert_eq!(zone_object("shop", "1"), "shop-edge-1");
    }

    #[test]
    fn a_zone_in_other_letters_gets_a_hash() {
        assert_eq!(zone_object("shop", "Rack_1.b"), format!("shop-edge-rack-1-b-{}", &hex_sha256(b"Rack_1.b")[..5]));
        assert_eq!(zone_object("shop", ""), format!("shop-edge-{}", &hex_sha256(b"")[..5]));
    }

    #[test]
    fn a_long_zone_is_cut_and_gets_a_hash() {
        let (name, zone) = ("n".repeat(40), "northamerica-northeast1-a");
        let object = zone_object(&name, zone);
        assert_eq!(object, format!("{name}-edge-northameric-{}", &hex_sha256(zone.as_bytes())[..5]));
        assert_eq!(object.len(), LABEL_BYTES);
    }

    #[test]
    fn a_zone_that_ends_like_a_hash_gets_one_of_its_own() {
        let hashed = zone_object("shop", "Rack");
        let zone = hashed.strip_prefix("shop-edge-").expect("it is a zone of the shop");
        assert_ne!(zone_object("shop", zone), hashed);
    }

    fn distribution() -> impl Strategy<Value = String> {
        // Biased towards what could be mistaken for the separator.
        proptest::string::string_regex("[a-z]([a-z0-9]|-|-edge|edge){0,8}[a-z0-9]")
            .expect("the pattern is fixed")
            .prop_filter("the definition's rules", |name| {
                name.len() <= 40 && !name.contains("-edge-") && !name.ends_with("-edge")
            })
    }

    fn zone() -> impl Strategy<Value = String> {
        proptest::string::string_regex("[A-Ca-c0-1](([A-Ca-c0-1._-]|-edge-){0,24}[A-Ca-c0-1])?")
            .expect("the pattern is fixed")
            .prop_filter("a label value", |zone| zone.len() <= 63)
    }

    proptest! {
        #[test]
        fn every_name_is_a_dns_label(name in distribution(), zone in zone()) {
            for object in [zone_object(&name, &zone), edge_service(&name), boot_copy(&name)] {
                prop_assert!(is_label(&object) && object.len() <= LABEL_BYTES, "{}", object);
                prop_assert!(object.starts_with(|c: char| c.is_ascii_lowercase()), "{}", object);
            }
        }

        #[test]
        fn different_zones_and_distributions_have_different_names(
            one in (distribution(), zone()),
            other in (distribution(), zone()),
        ) {
            prop_assert_eq!(one == other, zone_object(&one.0, &one.1) == zone_object(&other.0, &other.1));
            prop_assert_ne!(zone_object(&one.0, &one.1), edge_service(&other.0));
        }

        #[test]
        fn zones_that_differ_in_case_or_punctuation_have_different_names(zone in zone()) {
            for similar in [zone.to_ascii_uppercase(), zone.replace('_', "."), zone.replace('.', "-")] {
                prop_assert_eq!(similar == zone, zone_object("shop", &similar) == zone_object("shop", &zone));
            }
        }
    }
}
