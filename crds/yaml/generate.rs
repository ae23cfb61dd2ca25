//! Writes the resource definitions of this folder anew from the types: `cargo run -p proxima-crds --example generate`.

use std::{fs, io, path::Path};

fn main() -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("yaml");
    for (name, text) in proxima_crds::files() {
        fs::write(folder.join(name), text)?;
    }
    Ok(())
}
