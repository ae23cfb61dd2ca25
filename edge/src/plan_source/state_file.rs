//! The state file and the boot copy: reading, choosing, writing. Nothing here decides what is served.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use proxima_edge_core::limits;
use proxima_edge_core::link::{Envelope, content_hash, hex_sha256};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Content of the state file: the envelope, and what else must survive a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The configuration in force.
    pub envelope: Envelope,
    /// The configuration as the operator wrote it. It may have fields that this build does not know; they are part of
    /// the hash, and the next build may know them.
    pub config_text: String,
    /// Highest term that has spoken; the envelope's own may be lower.
    pub highest_term: u64,
}

/// Makes sure, at the start, that configurations can be kept: else every later one would have to be refused.
pub fn prepare(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let probe = folder.join(".probe");
    File::create(&probe)?;
    std::fs::remove_file(probe)
}

impl State {
    /// Checks the content hash. `text` is the configuration as it came, where that is known: either it or what this
    /// build understood of it has to match.
    pub fn new(envelope: Envelope, text: Option<&str>, highest_term: u64) -> Option<Self> {
        let matching = text.filter(|text| hex_sha256(text.as_bytes()) == envelope.hash);
        let config_text = match matching {
            Some(text) => text.to_owned(),
            None if content_hash(&envelope.config) == envelope.hash => {
                serde_json::to_string(&envelope.config).expect("it was hashed in this form")
            }
            None => return None,
        };
        let highest_term = highest_term.max(envelope.term);
        Some(Self { envelope, config_text, highest_term })
    }
}

/// What is in the file besides an envelope.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Extra {
    #[serde(default)]
    highest_term: u64,
}

/// The file: an [`Envelope`] whose configuration is the operator's own text, and [`Extra`].
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    uid: &'a str,
    term: u64,
    revision: u64,
    epoch: u64,
    generation: i64,
    hash: &'a str,
    config: &'a RawValue,
    highest_term: u64,
}

/// A copy of the configuration that could be read.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Which copy, for messages.
    pub what: &'static str,
    /// Its content.
    pub state: State,
}

/// Reads a copy. None when there is none; one that cannot be used is logged and left alone.
pub fn load(path: &Path, what: &'static str) -> Option<Loaded> {
    match read(path) {
        Ok(state) => Some(Loaded { what, state }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            tracing::error!(copy = what, path = %path.display(), %error, "could not read a copy of the configuration");
            None
        }
    }
}

fn read(path: &Path) -> io::Result<State> {
    let size = std::fs::metadata(path)?.len();
    if size > COPY_BYTES {
        return Err(io::Error::other(format!("{size} bytes are more than a configuration can have")));
    }
    let text = std::fs::read_to_string(path)?;
    let envelope: Envelope = serde_json::from_str(&text)?;
    let Extra { highest_term } = serde_json::from_str(&text)?;
    State::new(envelope, raw_config(&text), highest_term)
        .ok_or_else(|| io::Error::other("the content does not match its hash"))
}

/// A copy is a frame of the link with some room for indentation.
const COPY_BYTES: u64 = 4 * limits::LINK_FRAME_BYTES as u64;

/// The text of the field `config`, as written.
pub(crate) fn raw_config(json: &str) -> Option<&str> {
    #[derive(Deserialize)]
    struct Raw<'a> {
        #[serde(borrow)]
        config: &'a RawValue,
    }
    serde_json::from_str::<Raw<'_>>(json).ok().map(|raw| raw.config.get())
}

/// The copies in the order in which to try them. Of the same uid the newer one comes first: a mounted boot copy lags
/// behind by up to a minute and a half after a container restart. Of different uids only the boot copy counts: the
/// state is that of another Distribution, which had this folder before.
pub fn candidates(boot: Option<Loaded>, state: Option<Loaded>) -> Vec<Loaded> {
    let age = |loaded: &Loaded| (loaded.state.envelope.term, loaded.state.envelope.revision);
    match (boot, state) {
        (Some(boot), Some(state)) if boot.state.envelope.uid != state.state.envelope.uid => {
            tracing::warn!(boot = %boot.state.envelope.uid, state = %state.state.envelope.uid, "state file of another Distribution");
            vec![boot]
        }
        (Some(boot), Some(state)) if age(&boot) > age(&state) => vec![boot, state],
        (Some(boot), Some(state)) => vec![state, boot],
        (boot, state) => boot.into_iter().chain(state).collect(),
    }
}

/// Replaces the state file: after a crash at any moment either the old or the new one is there, whole.
pub fn write(path: &Path, state: &State) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let temporary = path.with_extension("json.new");
    let State { envelope, config_text, highest_term } = state;
    let content = serde_json::to_vec(&Written {
        uid: &envelope.uid,
        term: envelope.term,
        revision: envelope.revision,
        epoch: envelope.epoch,
        generation: envelope.generation,
        hash: &envelope.hash,
        config: serde_json::from_str(config_text)?,
        highest_term: *highest_term,
    })?;
    let mut file = File::create(&temporary)?;
    file.write_all(&content)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    File::open(folder)?.sync_all()
}
