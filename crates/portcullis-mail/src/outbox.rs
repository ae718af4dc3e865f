//! A folder in the place of a mail server, for the demo and for trying things out.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use portcullis_core::Clock;
use portcullis_core::secret::random_bytes;

use crate::error::Error;
use crate::letter::Sender;
use crate::message::{Mail, Message};

/// Writes each message as a file of its own, `.eml`, whose names sort by time. Folder and files are the owner's
/// alone: a sign-in link in them signs in whoever reads it.
#[derive(Debug)]
pub struct Outbox {
    folder: PathBuf,
    sender: Sender,
    clock: Arc<dyn Clock>,
}

impl Outbox {
    /// An outbox in that folder, which is made if it is not there.
    ///
    /// # Errors
    /// [`Error::Exposed`] when other accounts can use the folder, [`Error::Folder`] when it cannot be made.
    pub fn open(folder: PathBuf, sender: Sender, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        prepare(&folder)?;
        Ok(Self { folder, sender, clock })
    }

    async fn blocking<F>(work: F) -> Result<(), Error>
    where
        F: FnOnce() -> Result<(), Error> + Send + 'static,
    {
        tokio::task::spawn_blocking(work).await.unwrap_or(Err(Error::Closed))
    }
}

#[async_trait]
impl Mail for Outbox {
    async fn send(&self, message: Message) -> Result<(), Error> {
        let now = self.clock.now();
        let bytes = self.sender.compose(&message, now)?.formatted();
        let random: String = random_bytes::<6>().iter().map(|byte| format!("{byte:02x}")).collect();
        let name = format!("{}-{random}.eml", now.strftime("%Y%m%dT%H%M%S.%9fZ"));
        let folder = self.folder.clone();
        Self::blocking(move || {
            prepare(&folder)?;
            write(&folder, &name, &bytes).map_err(|error| Error::Folder(error.kind()))
        })
        .await
    }

    async fn ping(&self) -> Result<(), Error> {
        let folder = self.folder.clone();
        Self::blocking(move || prepare(&folder)).await
    }
}

fn prepare(folder: &Path) -> Result<(), Error> {
    let failed = |error: io::Error| Error::Folder(error.kind());
    match DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed(error)),
    }
    let metadata = folder.metadata().map_err(failed)?;
    let mode = metadata.permissions().mode() & 0o7777;
    match () {
        () if !metadata.is_dir() => Err(Error::Folder(io::ErrorKind::NotADirectory)),
        () if mode & 0o077 != 0 => Err(Error::Exposed(mode)),
        () => Ok(()),
    }
}

/// Written under another name and moved, so that whoever looks for `.eml` never sees half a message.
fn write(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let unfinished = folder.join(format!(".{name}.unfinished"));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    let moved = written.and_then(|()| std::fs::rename(&unfinished, folder.join(name)));
    if moved.is_err() {
        let _ = std::fs::remove_file(&unfinished);
    }
    moved
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use jiff::Timestamp;
    use portcullis_core::ManualClock;

    use super::*;

    fn message(subject: &str) -> Message {
        Message { to: "a@example.org".to_owned(), subject: subject.to_owned(), text: "t".to_owned() }
    }

    fn outbox(folder: &Path) -> (Result<Outbox, Error>, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::at(Timestamp::UNIX_EPOCH));
        let sender = Sender::new("a@example.org", None, "example.org").unwrap();
        (Outbox::open(folder.to_owned(), sender, Arc::clone(&clock) as Arc<dyn Clock>), clock)
    }

    #[tokio::test]
    async fn files_are_the_owners_alone_and_sorted_by_time() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("outbox");
        let (outbox, clock) = outbox(&folder);
        let outbox = outbox.unwrap();
        for subject in ["first", "second", "third"] {
            outbox.send(message(subject)).await.unwrap();
            clock.advance(Duration::from_millis(1));
        }
        outbox.ping().await.unwrap();
        let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let subject = |path: &PathBuf| {
            let text = fs::read_to_string(path).unwrap();
            text.lines().find_map(|line| line.strip_prefix("Subject: ").map(str::to_owned)).unwrap()
        };
        assert_eq!(files.iter().map(subject).collect::<Vec<_>>(), ["first", "second", "third"]);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert!(files.iter().all(|file| mode(file) == 0o600 && file.extension().is_some_and(|e| e == "eml")));
        assert_eq!(mode(&folder), 0o700);
    }

    #[tokio::test]
    async fn a_folder_that_others_can_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("outbox");
        let opened = outbox(&folder).0.unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o750)).unwrap();
        assert_eq!(opened.send(message("s")).await, Err(Error::Exposed(0o750)));
        assert_eq!(outbox(&folder).0.unwrap_err(), Error::Exposed(0o750));
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        assert_eq!(outbox(&file).0.unwrap_err(), Error::Folder(io::ErrorKind::NotADirectory));
        let deep = outbox(&dir.path().join("no/such")).0;
        assert_eq!(deep.unwrap_err(), Error::Folder(io::ErrorKind::NotFound));
    }

    #[tokio::test]
    async fn what_cannot_be_composed_leaves_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("outbox");
        let outbox = outbox(&folder).0.unwrap();
        assert_eq!(outbox.send(message("a\nb")).await, Err(Error::Subject));
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    }
}
