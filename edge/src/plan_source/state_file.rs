//! The state file and the boot copy: reading, choosing, writing. Nothing here decides what is served.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use proxima_edge_core::limits;
use proxima_edge_core::link::Envelope;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Content of the state file: the envelope, and what else must survive a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// The configuration in force.
    #[serde(flatten)]
    pub envelope: Envelope,
    /// Highest term that has spoken; the envelope's own may be lower.
    #[serde(default)]
    pub highest_term: u64,
}

/// A copy of the configuration that could be read.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Which copy, for messages.
    pub what: &'static str,
    /// Its content.
    pub envelope: Envelope,
    /// Highest term that it knows of.
    pub highest_term: u64,
}

/// Reads a copy. None when there is none; one that cannot be used is logged and left alone.
pub fn load(path: &Path, what: &'static str) -> Option<Loaded> {
    match read(path) {
        Ok(State { envelope, highest_term }) => {
            let highest_term = highest_term.max(envelope.term);
            Some(Loaded { what, envelope, highest_term })
        }
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
    let mut state: State = serde_json::from_str(&text)?;
    if state.highest_term == 0 {
        state.highest_term = state.envelope.term;
    }
    if !super::hash_matches(&state.envelope, raw_config(&text)) {
        return Err(io::Error::other("the content does not match its hash"));
    }
    Ok(state)
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
    let age = |loaded: &Loaded| (loaded.envelope.term, loaded.envelope.revision);
    match (boot, state) {
        (Some(boot), Some(state)) if boot.envelope.uid != state.envelope.uid => {
            tracing::warn!(boot = %boot.envelope.uid, state = %state.envelope.uid, "state file of another Distribution");
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
    let mut file = File::create(&temporary)?;
    file.write_all(&serde_json::to_vec(state)?)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    File::open(folder)?.sync_all()
}
