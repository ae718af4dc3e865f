//! Sums over what weights are made from. The test of the shipped weights takes them too.

use std::path::Path;

/// The code that decides what weights come out, seen from the crate's folder.
pub(crate) const CODE: &[&str] = &[
    "examples/train/chance.rs",
    "examples/train/coded.rs",
    "examples/train/fit.rs",
    "examples/train/forum.rs",
    "examples/train/held.txt",
    "examples/train/main.rs",
    "examples/train/report.rs",
    "examples/train/rows.rs",
    "examples/train/templates.rs",
    "examples/train/templates.txt",
    "src/decode.rs",
    "src/features.rs",
    "src/fold.rs",
    "src/form.rs",
    "src/judge.rs",
    "src/lexicon.rs",
    "src/lexicon.txt",
    "src/model.rs",
    "src/reading.rs",
    "src/scorer.rs",
    "src/windows.rs",
    "../portcullis-core/src/unseen.rs",
];

/// The data, below the folder beside the workspace.
pub(crate) const DATA: &[&str] = &[
    "injection/train.jsonl.zst",
    "communities/urho3d-forum.tar.zst",
    "communities/slicer-forum.tar.zst",
    "communities/rust-guild.tar.zst",
    "communities/python-circle.tar.zst",
];

/// The sum over files and their names.
pub(crate) fn of(folder: &Path, names: &[&str]) -> std::io::Result<[u8; 32]> {
    let mut sum = ring::digest::Context::new(&ring::digest::SHA256);
    for name in names {
        let bytes = std::fs::read(folder.join(name))?;
        sum.update(format!("{name} {}\n", bytes.len()).as_bytes());
        sum.update(&bytes);
    }
    Ok(finished(sum))
}

/// The sum over a text.
pub(crate) fn of_text(text: &str) -> [u8; 32] {
    let mut sum = ring::digest::Context::new(&ring::digest::SHA256);
    sum.update(text.as_bytes());
    finished(sum)
}

fn finished(sum: ring::digest::Context) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(sum.finish().as_ref());
    bytes
}
