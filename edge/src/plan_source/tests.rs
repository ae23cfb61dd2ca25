use std::fs;

use proxima_edge_core::edge_config::{CacheConfig, EdgeConfig};
use proxima_edge_core::link::{content_hash, hex_sha256};
use proxima_edge_core::timestamp::Timestamp;
use tempfile::TempDir;

use super::*;

/// A configuration that is told from others by its memory.
pub(crate) fn config(memory_mib: u64) -> EdgeConfig {
    EdgeConfig { requires: Vec::new(), cache: CacheConfig { memory: memory_mib << 20 }, distributions: Vec::new() }
}

pub(crate) fn envelope(uid: &str, term: u64, revision: u64) -> Envelope {
    let config = config(100 + revision);
    let hash = content_hash(&config);
    Envelope { uid: uid.to_owned(), term, revision, epoch: 0, generation: 1, hash, config }
}

struct Home {
    folder: TempDir,
    clock: Clock,
    metrics: Arc<Metrics>,
}

impl Home {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        for name in ["boot", "state"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        Self { folder, clock: Clock::manual(Timestamp::from_millis(1_000_000)), metrics: Arc::default() }
    }

    fn put(&self, file: &str, content: impl AsRef<[u8]>) {
        fs::write(self.folder.path().join(file), content).unwrap();
    }

    fn boot(&self, envelope: &Envelope) {
        self.put("boot/config.json", serde_json::to_vec_pretty(envelope).unwrap());
    }

    fn open(&self) -> PlanSource {
        let path = self.folder.path();
        PlanSource::open(&path.join("boot"), &path.join("state"), self.clock.clone(), Arc::clone(&self.metrics))
    }
}

fn served(source: &PlanSource) -> Option<(String, u64)> {
    let serving = source.serving()?;
    let memory = source.current().expect("what is served is compiled").cache_memory;
    assert_eq!(memory, (100 + serving.revision) << 20, "the plan in force is that of the revision named");
    Some((serving.uid, serving.revision))
}

fn reason(result: Result<(), LinkRefusal>) -> LinkRefusalReason {
    result.expect_err("it is refused").reason
}

#[test]
fn newer_copy_of_the_same_uid_wins_and_the_boot_copy_of_another_uid() {
    let some = |uid, term, revision| Some(envelope(uid, term, revision));
    for (name, boot, state, expected) in [
        ("nothing", None, None, None),
        ("boot only", some("a", 1, 1), None, Some(("a", 1))),
        ("state only", None, some("a", 1, 1), Some(("a", 1))),
        ("state is newer", some("a", 1, 1), some("a", 1, 2), Some(("a", 2))),
        ("boot is newer", some("a", 1, 3), some("a", 1, 2), Some(("a", 3))),
        ("term decides first", some("a", 2, 1), some("a", 1, 9), Some(("a", 1))),
        ("another uid", some("b", 1, 1), some("a", 9, 9), Some(("b", 1))),
    ] {
        let home = Home::new();
        boot.iter().for_each(|envelope| home.boot(envelope));
        if let Some(envelope) = state {
            home.put("state/state.json", serde_json::to_vec(&envelope).unwrap());
        }
        let source = home.open();
        assert_eq!(served(&source), expected.map(|(uid, revision)| (uid.to_owned(), revision)), "{name}");
        assert_eq!(source.current().is_some(), expected.is_some(), "{name}");
    }
}

#[test]
fn copy_that_cannot_be_used_leaves_the_other() {
    let good = envelope("a", 1, 1);
    let mut forged = envelope("a", 9, 9);
    forged.config = config(1);
    let mut foreign = envelope("a", 9, 9);
    foreign.config.requires = vec!["future".to_owned()];
    foreign.hash = content_hash(&foreign.config);
    let json = |envelope: &Envelope| serde_json::to_vec(envelope).unwrap();
    for (name, bad) in [
        ("empty", Vec::new()),
        ("half", json(&envelope("a", 9, 9))[..80].to_vec()),
        ("not UTF-8", vec![0xff; 10]),
        ("content does not match its hash", json(&forged)),
        ("unknown feature", json(&foreign)),
    ] {
        let home = Home::new();
        home.boot(&good);
        home.put("state/state.json", &bad);
        assert_eq!(served(&home.open()), Some(("a".to_owned(), 1)), "{name}: state file");

        let home = Home::new();
        home.put("boot/config.json", &bad);
        assert_eq!(served(&home.open()), None, "{name}: boot copy, alone");
        home.put("state/state.json", json(&good));
        assert_eq!(served(&home.open()), Some(("a".to_owned(), 1)), "{name}: boot copy");
    }
}

#[test]
fn what_was_acknowledged_is_served_after_a_crash() {
    let home = Home::new();
    home.boot(&envelope("a", 1, 1));
    let source = home.open();
    source.install(envelope("a", 1, 2), None).unwrap();
    let mut third = envelope("a", 4, 3);
    third.epoch = 7;
    source.install(third, None).unwrap();
    drop(source);
    let again = home.open();
    assert_eq!(served(&again), Some(("a".to_owned(), 3)));
    assert_eq!(again.epoch(), 7);
    assert_eq!(reason(again.install(envelope("a", 3, 9), None)), LinkRefusalReason::LowerTerm);
}

#[test]
fn term_of_a_ping_is_remembered_over_a_crash() {
    let home = Home::new();
    home.boot(&envelope("a", 1, 1));
    home.open().ping(5, 1, 0).unwrap();
    let again = home.open();
    assert_eq!(served(&again), Some(("a".to_owned(), 1)));
    assert_eq!(reason(again.ping(4, 1, 0)), LinkRefusalReason::LowerTerm);
    assert_eq!(reason(again.install(envelope("a", 4, 2), None)), LinkRefusalReason::LowerTerm);
    again.install(envelope("a", 5, 2), None).unwrap();
}

#[test]
fn what_is_refused_changes_nothing() {
    let home = Home::new();
    let source = home.open();
    source.install(envelope("a", 5, 5), None).unwrap();
    let state = fs::read(home.folder.path().join("state/state.json")).unwrap();
    let mut forged = envelope("a", 6, 6);
    forged.hash = hex_sha256(b"something else");
    let mut foreign = envelope("a", 6, 6);
    foreign.config.requires = vec!["future".to_owned()];
    foreign.hash = content_hash(&foreign.config);
    let mut invalid = envelope("a", 6, 6);
    invalid.config.cache.memory = 1;
    invalid.hash = content_hash(&invalid.config);
    for (message, expected) in [
        (envelope("a", 4, 9), LinkRefusalReason::LowerTerm),
        (envelope("a", 5, 4), LinkRefusalReason::LowerRevision),
        (envelope("b", 6, 6), LinkRefusalReason::WrongDistribution),
        (forged, LinkRefusalReason::HashMismatch),
        (foreign, LinkRefusalReason::UnknownFeature),
        (invalid, LinkRefusalReason::Invalid),
    ] {
        assert_eq!(reason(source.install(message, None)), expected);
        assert_eq!(served(&source), Some(("a".to_owned(), 5)), "{expected:?}");
        assert_eq!(fs::read(home.folder.path().join("state/state.json")).unwrap(), state, "{expected:?}");
    }
    source.install(envelope("a", 5, 5), None).unwrap();
    source.install(envelope("a", 6, 1), None).unwrap();
    assert_eq!(served(&source), Some(("a".to_owned(), 1)), "a new term may count anew");
}

#[test]
fn configuration_that_cannot_be_written_is_not_served() {
    let home = Home::new();
    let source = home.open();
    fs::remove_dir_all(home.folder.path().join("state")).unwrap();
    assert_eq!(reason(source.install(envelope("a", 1, 1), None)), LinkRefusalReason::StateNotWritten);
    assert_eq!(served(&source), None);
    assert!(source.current().is_none());
    fs::create_dir(home.folder.path().join("state")).unwrap();
    source.install(envelope("a", 1, 1), None).unwrap();
}

#[test]
fn fields_of_a_newer_operator_are_ignored_but_part_of_the_hash() {
    let raw = r#"{"cache":{"memory":106954752},"distributions":[],"newer":{"field":1}}"#;
    let mut message = envelope("a", 1, 2);
    message.hash = hex_sha256(raw.as_bytes());
    let home = Home::new();
    assert_eq!(reason(home.open().install(message.clone(), None)), LinkRefusalReason::HashMismatch);
    home.open().install(message.clone(), Some(raw)).unwrap();
    let text = format!(r#"{{"type":"configure","config": {raw} ,"uid":"a"}}"#);
    assert_eq!(raw_config(&text), Some(raw));
    assert_eq!(served(&home.open()), Some(("a".to_owned(), 2)));
    let written = fs::read_to_string(home.folder.path().join("state/state.json")).unwrap();
    assert_eq!(raw_config(&written), Some(raw), "the next build may know them");
}

#[test]
fn epoch_never_goes_back() {
    let home = Home::new();
    let source = home.open();
    let mut first = envelope("a", 1, 1);
    first.epoch = 9;
    source.install(first, None).unwrap();
    source.install(envelope("a", 2, 2), None).unwrap();
    assert_eq!((source.epoch(), source.serving().unwrap().epoch), (9, 9));
}

#[test]
fn readiness_follows_operator_and_clock() {
    let home = Home::new();
    home.boot(&envelope("a", 1, 1));
    let source = home.open();
    assert_eq!(source.readiness(false), Readiness::NotConfirmed);
    source.operator_connected();
    home.clock.advance(limits::BOOT_GRACE * 2);
    assert_eq!(source.readiness(false), Readiness::NotConfirmed, "the operator may still say something newer");
    source.ping(1, 2, 0).unwrap();
    assert_eq!(source.readiness(false), Readiness::NotConfirmed, "it knows a newer revision");
    source.operator_gone();
    assert_eq!(source.readiness(false), Readiness::NotConfirmed);
    home.clock.advance(limits::BOOT_GRACE);
    assert_eq!(source.readiness(false), Readiness::ReadyWithoutOperator);
    assert_eq!((home.metrics.ready.get(), home.metrics.ready_without_operator.get()), (1, 1));
    source.ping(1, 1, 0).unwrap();
    assert_eq!(source.readiness(false), Readiness::Ready);
    assert_eq!(source.readiness(true), Readiness::Draining);
    assert_eq!((home.metrics.ready.get(), home.metrics.ready_without_operator.get()), (0, 1));

    let empty = Home::new();
    let source = empty.open();
    empty.clock.advance(limits::BOOT_GRACE * 9);
    assert_eq!(source.readiness(false), Readiness::NotConfigured);
    source.install(envelope("a", 1, 1), None).unwrap();
    assert_eq!(source.readiness(false), Readiness::Ready);
}

#[test]
fn file_of_serve_is_ready_at_once_or_says_what_is_wrong() {
    let home = Home::new();
    let open = |content: &str| {
        home.put("boot/alone.json", content);
        let path = home.folder.path().join("boot/alone.json");
        PlanSource::from_file(&path, home.clock.clone(), Arc::clone(&home.metrics))
    };
    let source = open(&serde_json::to_string(&config(64)).unwrap()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(source.readiness(false), Readiness::Ready);
    assert_eq!(source.current().unwrap().cache_memory, 64 << 20);
    for (content, said) in [
        ("{", "line 1 column 1"),
        (r#"{"distributions":[],"requires":["future"]}"#, "future"),
        (r#"{"distributions":[],"cache":{"memory":1}}"#, "memory"),
    ] {
        let error = open(content).err().expect("it is refused").to_string();
        assert!(error.contains("--config") && error.contains(said), "{error}");
    }
}
