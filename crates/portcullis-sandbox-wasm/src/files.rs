//! A job's own files, in memory: flat, bounded, and gone with the job.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::wasi::Errno;

/// What a file takes beside its bytes and its name.
const EACH: usize = 64;
/// The most files that are open at once.
const OPEN: usize = 128;
/// The longest name, in bytes.
const LONGEST: usize = 255;

/// A file that is open.
#[derive(Debug)]
struct Open {
    name: String,
    at: usize,
    appends: bool,
}

/// The files, and those that are open, by number. As a file grows twice its length may be allocated, and never more: so
/// all together take at most twice what they may hold.
#[derive(Debug)]
pub(crate) struct Files {
    most: usize,
    used: usize,
    held: BTreeMap<String, Vec<u8>>,
    open: BTreeMap<u32, Open>,
    pub(crate) reached: bool,
}

impl Files {
    /// These to begin with. They count; where they do not fit, nothing more is written.
    pub(crate) fn new(most: usize, given: &[(String, Arc<[u8]>)]) -> Self {
        let held: BTreeMap<String, Vec<u8>> =
            given.iter().map(|(name, bytes)| (name.clone(), bytes.to_vec())).collect();
        let used = held.iter().map(|(name, bytes)| name.len() + bytes.len() + EACH).sum();
        Self { most, used, held, open: BTreeMap::new(), reached: false }
    }

    /// The file's own name for a path: one part, nothing above, nothing hidden in it.
    pub(crate) fn name(path: &[u8]) -> Result<String, Errno> {
        let text = std::str::from_utf8(path).map_err(|_| Errno::IllegalBytes)?;
        if text.contains('\0') {
            return Err(Errno::Invalid);
        }
        // An absolute path, and one that goes up anywhere, leads out of what the job has.
        if text.starts_with('/') || text.split('/').any(|part| part == "..") {
            return Err(Errno::NotCapable);
        }
        let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        match parts.as_slice() {
            [name] if name.len() <= LONGEST => Ok((*name).to_owned()),
            [_] => Err(Errno::NameTooLong),
            // There are no folders.
            _ => Err(Errno::NoEntry),
        }
    }

    pub(crate) fn open(
        &mut self,
        name: String,
        creates: bool,
        exclusive: bool,
        truncates: bool,
        appends: bool,
    ) -> Result<u32, Errno> {
        if self.open.len() >= OPEN {
            return Err(Errno::TooManyOpen);
        }
        match self.held.get_mut(&name) {
            Some(_) if exclusive => return Err(Errno::Exists),
            Some(bytes) if truncates => {
                self.used = self.used.saturating_sub(bytes.len());
                // Not `clear`, which keeps the memory, and that counts no more.
                *bytes = Vec::new();
            }
            Some(_) => {}
            None if creates => {
                self.take(name.len() + EACH)?;
                self.held.insert(name.clone(), Vec::new());
            }
            None => return Err(Errno::NoEntry),
        }
        let number = (4..).find(|number| !self.open.contains_key(number)).ok_or(Errno::TooManyOpen)?;
        self.open.insert(number, Open { name, at: 0, appends });
        Ok(number)
    }

    pub(crate) fn close(&mut self, number: u32) -> Result<(), Errno> {
        self.open.remove(&number).map(drop).ok_or(Errno::BadFile)
    }

    pub(crate) fn is_open(&self, number: u32) -> bool {
        self.open.contains_key(&number)
    }

    /// The next bytes of a file, at most so many.
    pub(crate) fn read(&mut self, number: u32, most: usize) -> Result<Vec<u8>, Errno> {
        let open = self.open.get_mut(&number).ok_or(Errno::BadFile)?;
        let bytes = self.held.get(&open.name).map_or(&[][..], Vec::as_slice);
        let rest = bytes.get(open.at..).unwrap_or_default();
        let read = rest.get(..most.min(rest.len())).unwrap_or_default().to_vec();
        open.at += read.len();
        Ok(read)
    }

    pub(crate) fn write(&mut self, number: u32, bytes: &[u8]) -> Result<(), Errno> {
        let open = self.open.get(&number).ok_or(Errno::BadFile)?;
        let (name, appends, at) = (open.name.clone(), open.appends, open.at);
        let length = self.held.get(&name).map(Vec::len).ok_or(Errno::NoEntry)?;
        let at = if appends { length } else { at };
        let end = at.checked_add(bytes.len()).ok_or(Errno::TooBig)?;
        self.take(end.saturating_sub(length))?;
        if let Some(file) = self.held.get_mut(&name) {
            if file.len() < end {
                file.resize(end, 0);
            }
            if let Some(place) = file.get_mut(at..end) {
                place.copy_from_slice(bytes);
            }
        }
        if let Some(open) = self.open.get_mut(&number) {
            open.at = end;
        }
        Ok(())
    }

    /// Moves to a place, and tells it. Past the end is a place too; it takes room when something is written there.
    pub(crate) fn seek(&mut self, number: u32, offset: i64, whence: u32) -> Result<u64, Errno> {
        let open = self.open.get_mut(&number).ok_or(Errno::BadFile)?;
        let length = self.held.get(&open.name).map_or(0, Vec::len);
        let from = match whence {
            0 => 0,
            1 => open.at,
            2 => length,
            _ => return Err(Errno::Invalid),
        };
        let from = i64::try_from(from).map_err(|_| Errno::Invalid)?;
        let at = from.checked_add(offset).and_then(|at| usize::try_from(at).ok()).ok_or(Errno::Invalid)?;
        open.at = at;
        Ok(at as u64)
    }

    pub(crate) fn size(&self, number: u32) -> Result<u64, Errno> {
        let open = self.open.get(&number).ok_or(Errno::BadFile)?;
        Ok(self.held.get(&open.name).map_or(0, Vec::len) as u64)
    }

    pub(crate) fn size_of(&self, name: &str) -> Result<u64, Errno> {
        self.held.get(name).map(|bytes| bytes.len() as u64).ok_or(Errno::NoEntry)
    }

    pub(crate) fn remove(&mut self, name: &str) -> Result<(), Errno> {
        let bytes = self.held.remove(name).ok_or(Errno::NoEntry)?;
        self.used = self.used.saturating_sub(name.len() + bytes.len() + EACH);
        Ok(())
    }

    fn take(&mut self, bytes: usize) -> Result<(), Errno> {
        let used = self.used.saturating_add(bytes);
        if used > self.most {
            self.reached = true;
            return Err(Errno::NoSpace);
        }
        self.used = used;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_nowhere_else() {
        for (path, wanted) in
            [("notes.txt", Ok("notes.txt")), ("./notes.txt", Ok("notes.txt")), ("a//", Ok("a"))]
        {
            assert_eq!(Files::name(path.as_bytes()), wanted.map(str::to_owned), "{path}");
        }
        for (path, wanted) in [
            ("/etc/passwd", Errno::NotCapable),
            ("..", Errno::NotCapable),
            ("a/../../b", Errno::NotCapable),
            ("a/b", Errno::NoEntry),
            ("", Errno::NoEntry),
            ("a\0b", Errno::Invalid),
        ] {
            assert_eq!(Files::name(path.as_bytes()), Err(wanted), "{path:?}");
        }
        assert_eq!(Files::name(&[0xff]), Err(Errno::IllegalBytes));
    }

    #[test]
    fn what_is_written_counts_and_what_is_removed_does_not() {
        let mut files = Files::new(EACH + 20, &[]);
        let number = files.open("a".to_owned(), true, true, false, false).expect("room");
        files.write(number, &[7; 19]).expect("room");
        assert_eq!(files.write(number, &[7]), Err(Errno::NoSpace));
        assert_eq!(files.open("b".to_owned(), true, false, false, false), Err(Errno::NoSpace));
        assert!(files.reached);
        assert_eq!(files.seek(number, 0, 0), Ok(0));
        assert_eq!(files.read(number, 100).map(|bytes| bytes.len()), Ok(19));
        files.remove("a").expect("it is there");
        assert!(files.open("b".to_owned(), true, false, false, false).is_ok());
        // Far past the end takes all that is between.
        assert_eq!(files.seek(5, i64::MAX, 0), Ok(i64::MAX as u64));
        assert_eq!(files.write(5, &[1]), Err(Errno::NoSpace));
    }
    #[test]
    fn what_is_cut_off_is_given_back_and_not_held_beside_what_counts() {
        let mut files = Files::new(1 << 20, &[]);
        let allocated = |files: &Files| files.held.values().map(Vec::capacity).sum::<usize>();
        for n in 0..50 {
            let name = format!("file {n}");
            let number = files.open(name.clone(), true, false, false, false).expect("room");
            for _ in 0..9 {
                files.write(number, &[7; 100 << 10]).expect("room");
            }
            files.close(number).expect("it is open");
            let number = files.open(name, false, false, true, false).expect("it is there");
            assert_eq!(files.size(number), Ok(0));
            files.close(number).expect("it is open");
            assert!(allocated(&files) <= 2 << 20, "{n}: {}", allocated(&files));
        }
        assert_eq!(allocated(&files), 0);
        // Nor is much more held than counts while a file grows little by little.
        let number = files.open("slow".to_owned(), true, false, false, false).expect("room");
        while files.write(number, &[7; 1_000]).is_ok() {
            assert!(allocated(&files) <= 2 << 20);
        }
    }
}
