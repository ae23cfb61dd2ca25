//! Messages between operator and edge.
//!
//! One TLS 1.3 connection per edge, opened by the operator to the edge's control port. Both sides authenticate by a pin
//! of the other's public key (SHA-256 of its SubjectPublicKeyInfo, in hex). Each frame is a 4-byte big-endian length and
//! that many bytes of JSON; a frame longer than [`limits::LINK_FRAME_BYTES`](crate::limits::LINK_FRAME_BYTES) ends the
//! connection. The operator sends [`ToEdge`], the edge answers every frame with one [`FromEdge`], in order. Right after
//! the handshake the edge sends one `FromEdge` unasked, so that the operator knows what it serves.
//!
//! **Guarantees.** A message with a lower term than the highest seen is refused, so a deposed operator can do no harm. A
//! configuration is acknowledged only after it is written to the state file and serves requests. A refused one changes
//! nothing: the last good configuration serves on.

use serde::{Deserialize, Serialize};

use crate::edge_config::EdgeConfig;

/// A configuration and its place in history. Also the content of the boot copy and of the state file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    /// Uid of the Distribution. A boot copy and a state file of different uids are never compared.
    pub uid: String,
    /// Which operator process speaks; a later one has a higher number.
    pub term: u64,
    /// Counts the accepted changes of this Distribution.
    pub revision: u64,
    /// Counts its invalidations.
    pub epoch: u64,
    /// `metadata.generation` that the configuration was made from.
    pub generation: i64,
    /// SHA-256 in hex of the configuration as JSON; see [`content_hash`].
    pub hash: String,
    /// The configuration itself.
    pub config: EdgeConfig,
}

/// What the operator says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum ToEdge {
    /// Serve this from now on.
    Configure(Box<Envelope>),
    /// Are you there, and what do you serve? Carries what the operator believes to be current.
    Ping {
        /// Term of the sender.
        term: u64,
        /// Revision that is current.
        revision: u64,
        /// Epoch that is current.
        epoch: u64,
    },
}

/// What the edge answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FromEdge {
    /// Name of the edge process (pod name).
    pub edge: String,
    /// Its zone.
    pub zone: String,
    /// What it serves at this moment; absent before the first valid configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serving: Option<Serving>,
    /// Why the message just received was refused; absent when it was honoured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<LinkRefusal>,
}

/// Identity of the configuration that an edge serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Serving {
    /// Uid of the Distribution.
    pub uid: String,
    /// Revision.
    pub revision: u64,
    /// Epoch.
    pub epoch: u64,
    /// Content hash.
    pub hash: String,
}

/// Why an edge refused a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LinkRefusal {
    /// One of a closed set; also the metric label.
    pub reason: LinkRefusalReason,
    /// For people.
    pub detail: String,
}

/// The closed set of reasons in [`LinkRefusal`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum LinkRefusalReason {
    /// The sender's term is lower than one already seen.
    LowerTerm,
    /// The revision is lower than the one served, in the same term.
    LowerRevision,
    /// The frame is not a message.
    Malformed,
    /// The frame is longer than allowed.
    TooLarge,
    /// The content does not match its hash.
    HashMismatch,
    /// The configuration is for another Distribution than the edge was started for.
    WrongDistribution,
    /// The configuration does not compile; the detail lists the problems.
    Invalid,
    /// The configuration needs a feature that this edge does not know.
    UnknownFeature,
    /// The state file could not be written.
    StateNotWritten,
    /// No client certificate, or not the pinned one.
    WrongPin,
}

impl LinkRefusalReason {
    /// Every reason, for metrics.
    pub const ALL: [Self; 10] = [
        Self::LowerTerm,
        Self::LowerRevision,
        Self::Malformed,
        Self::TooLarge,
        Self::HashMismatch,
        Self::WrongDistribution,
        Self::Invalid,
        Self::UnknownFeature,
        Self::StateNotWritten,
        Self::WrongPin,
    ];

    /// The stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LowerTerm => "LowerTerm",
            Self::LowerRevision => "LowerRevision",
            Self::Malformed => "Malformed",
            Self::TooLarge => "TooLarge",
            Self::HashMismatch => "HashMismatch",
            Self::WrongDistribution => "WrongDistribution",
            Self::Invalid => "Invalid",
            Self::UnknownFeature => "UnknownFeature",
            Self::StateNotWritten => "StateNotWritten",
            Self::WrongPin => "WrongPin",
        }
    }
}

/// Content hash of a configuration: SHA-256, in lower-case hex, of its JSON.
pub fn content_hash(config: &EdgeConfig) -> String {
    let json = serde_json::to_vec(config).expect("a configuration has no map keys and no numbers that JSON lacks");
    hex_sha256(&json)
}

/// SHA-256 in lower-case hex; also the form of a public-key pin.
pub fn hex_sha256(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    use std::fmt::Write;
    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        write!(hex, "{byte:02x}").expect("writing to a String cannot fail");
    }
    hex
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::fixture::config;

    fn envelope() -> Envelope {
        let config = config();
        let hash = content_hash(&config);
        Envelope { uid: "u-1".to_owned(), term: 1, revision: 2, epoch: 3, generation: 4, hash, config }
    }

    #[test]
    fn hash_is_the_digest_of_the_json() {
        assert_eq!(hex_sha256(b""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        let empty = EdgeConfig { distributions: Vec::new(), ..config() };
        assert_eq!(content_hash(&empty), hex_sha256(br#"{"cache":{"memory":268435456},"distributions":[]}"#));
        assert_ne!(content_hash(&empty), content_hash(&config()));
    }

    #[test]
    fn hash_survives_a_journey_through_json() {
        let json = serde_json::to_string(&envelope()).unwrap();
        let arrived: Envelope = serde_json::from_str(&json).unwrap();
        assert_eq!(content_hash(&arrived.config), arrived.hash);
    }

    #[test]
    fn messages_to_the_edge_name_their_type() {
        let ping = ToEdge::Ping { term: 1, revision: 2, epoch: 3 };
        assert_eq!(serde_json::to_value(&ping).unwrap(), json!({"type": "ping", "term": 1, "revision": 2, "epoch": 3}));
        let configure = serde_json::to_value(ToEdge::Configure(Box::new(envelope()))).unwrap();
        assert_eq!((&configure["type"], &configure["revision"]), (&json!("configure"), &json!(2)));
        assert_eq!(serde_json::from_value::<ToEdge>(configure).unwrap(), ToEdge::Configure(Box::new(envelope())));
    }

    #[test]
    fn fields_of_a_later_version_are_ignored() {
        let ping = json!({"type": "ping", "term": 1, "revision": 2, "epoch": 3, "mood": "good"});
        assert_eq!(serde_json::from_value::<ToEdge>(ping).unwrap(), ToEdge::Ping { term: 1, revision: 2, epoch: 3 });
        let answer = json!({"edge": "e", "zone": "a", "mood": "good"});
        let expected = FromEdge { edge: "e".to_owned(), zone: "a".to_owned(), serving: None, refused: None };
        assert_eq!(serde_json::from_value::<FromEdge>(answer).unwrap(), expected);
    }

    #[test]
    fn reasons_of_refusal_have_one_name_everywhere() {
        for reason in LinkRefusalReason::ALL {
            assert_eq!(serde_json::to_value(reason).unwrap(), Value::from(reason.as_str()));
        }
    }
}
