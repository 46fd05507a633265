//! Writes the golden frames and the vectors of the hash chain, of bodies and of the tables; and fills in the generated parts
//! of the protocol's page.
//!
//! ```text
//! cargo run -p rollcall-protocol --example vectors -- protocol/vectors docs/protocol.md
//! ```
//! The same code always writes the same bytes, so a difference that git shows is a change of the protocol.

mod generate;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (folder, document) = (arguments.next(), arguments.next());
    let Some(folder) = folder.filter(|_| arguments.next().is_none()) else {
        bail!("usage: vectors FOLDER [DOCUMENT]");
    };
    fs::create_dir_all(&folder).with_context(|| format!("failed to create {}", folder.display()))?;
    for (name, bytes) in generate::files::files() {
        let path = folder.join(name);
        fs::write(&path, bytes).with_context(|| format!("failed to write {}", path.display()))?;
    }
    if let Some(document) = document {
        let text = fs::read_to_string(&document).with_context(|| format!("failed to read {}", document.display()))?;
        let text =
            generate::document::fill_in(&text).with_context(|| format!("failed to fill in {}", document.display()))?;
        fs::write(&document, text).with_context(|| format!("failed to write {}", document.display()))?;
    }
    Ok(())
}
