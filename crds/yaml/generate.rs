//! Writes the resource definitions anew from the types, into this folder and into the chart `proxima-crds`:
//! `cargo run -p proxima-crds --example generate`.

use std::{fs, io, path::Path};

fn main() -> io::Result<()> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    write(&own.join("yaml"), proxima_crds::files())?;
    write(&own.join("../charts/proxima-crds/templates"), proxima_crds::chart_files())
}

fn write(folder: &Path, files: Vec<(String, String)>) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    files.into_iter().try_for_each(|(name, text)| fs::write(folder.join(name), text))
}
