//! A disk in memory that keeps apart what is durable and what is not, and that fails when told to.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use portcullis_audit::disk::{Access, Disk, FileLock, LogFile};

/// Small, seeded, and the same everywhere.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn seeded(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    /// From 0 to one less than `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

#[derive(Debug, Default, Clone)]
struct Inode {
    current: Vec<u8>,
    durable: Vec<u8>,
}

#[derive(Debug, Default)]
struct World {
    inodes: Vec<Inode>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    locked: HashSet<PathBuf>,
    operations: u64,
    syncs: u64,
    plan: Plan,
    dead: bool,
}

/// What goes wrong.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Plan {
    /// The machine dies at this operation.
    pub(crate) dies_at: Option<u64>,
    /// How many more bytes fit.
    pub(crate) room: Option<usize>,
    /// The most bytes that one write takes.
    pub(crate) at_most: Option<usize>,
    /// Whether files can be cut.
    pub(crate) refuses_cuts: bool,
    /// Whether syncing fails.
    pub(crate) refuses_syncs: bool,
}

#[derive(Debug, Default)]
struct Shared {
    world: Mutex<World>,
    unlocked: Condvar,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct SimDisk(Arc<Shared>);

impl SimDisk {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn plan(&self, plan: Plan) {
        self.0.world.lock().plan = plan;
    }

    pub(crate) fn operations(&self) -> u64 {
        self.0.world.lock().operations
    }

    pub(crate) fn syncs(&self) -> u64 {
        self.0.world.lock().syncs
    }

    /// The process is started again on a machine that never stopped: everything written is there, durable or not.
    pub(crate) fn continue_after_kill(&self) {
        let world = &mut *self.0.world.lock();
        world.locked.clear();
        world.dead = false;
        world.plan = Plan::default();
    }

    /// The power comes back: of what was not durable, a random part is there.
    pub(crate) fn restart(&self, random: &mut Random) {
        let world = &mut *self.0.world.lock();
        for inode in &mut world.inodes {
            inode.current = survivor(inode, random);
            inode.durable.clone_from(&inode.current);
        }
        let all: HashSet<PathBuf> = world.names.keys().chain(world.durable_names.keys()).cloned().collect();
        let mut sorted: Vec<_> = all.into_iter().collect();
        sorted.sort();
        let mut names = BTreeMap::new();
        for name in sorted {
            let (now, before) = (world.names.get(&name), world.durable_names.get(&name));
            let kept = if random.below(2) == 0 { now } else { before };
            if let Some(inode) = kept {
                names.insert(name, *inode);
            }
        }
        world.durable_names.clone_from(&names);
        world.names = names;
        world.locked.clear();
        world.dead = false;
        world.plan = Plan::default();
    }

    fn step<T>(&self, work: impl FnOnce(&mut World) -> io::Result<T>) -> io::Result<T> {
        let world = &mut *self.0.world.lock();
        world.operations += 1;
        if world.plan.dies_at.is_some_and(|at| world.operations >= at) {
            world.dead = true;
        }
        if world.dead { Err(io::Error::other("the machine is off")) } else { work(world) }
    }
}

/// What is left of a file: everything durable, and of what was appended since a part, perhaps with holes.
fn survivor(inode: &Inode, random: &mut Random) -> Vec<u8> {
    let Inode { current, durable } = inode;
    if !current.starts_with(durable) {
        return if random.below(2) == 0 { current.clone() } else { durable.clone() };
    }
    let appended = current.len() - durable.len();
    let mut left = current[..durable.len() + random.below(appended + 1)].to_vec();
    match random.below(3) {
        // A plain prefix.
        0 => {}
        // The length is durable, the content of the last sectors is not.
        1 => {
            let from = durable.len() + random.below(left.len() - durable.len() + 1);
            let from = (from / 512 * 512).max(durable.len());
            left[from..].fill(0);
        }
        // Sectors reach the disk in any order.
        _ => {
            left = current.clone();
            for start in (durable.len() / 512 * 512..left.len()).step_by(512) {
                if random.below(2) == 0 {
                    let end = (start + 512).min(left.len());
                    left[start.max(durable.len())..end].fill(0);
                }
            }
        }
    }
    left
}

impl Disk for SimDisk {
    fn create_dir(&self, _: &Path) -> io::Result<()> {
        self.step(|_| Ok(()))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.step(|world| {
            let inside = world.names.keys().filter(|path| path.parent() == Some(dir));
            Ok(inside.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect())
        })
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.step(|world| Ok(world.names.contains_key(path)))
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn LogFile>> {
        self.step(|world| {
            let inode = match (world.names.get(path), access) {
                (Some(inode), _) => *inode,
                (None, Access::Read) => return Err(io::ErrorKind::NotFound.into()),
                (None, Access::Append) => {
                    world.inodes.push(Inode::default());
                    world.names.insert(path.to_owned(), world.inodes.len() - 1);
                    world.inodes.len() - 1
                }
            };
            Ok(Box::new(SimFile { disk: self.clone(), inode }) as Box<dyn LogFile>)
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step(|world| {
            let inode = world.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
            world.names.insert(to.to_owned(), inode);
            Ok(())
        })
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        self.step(|world| {
            world.durable_names.clone_from(&world.names);
            Ok(())
        })
    }

    fn open_lock(&self, path: &Path, _: Access) -> io::Result<Box<dyn FileLock>> {
        self.step(|_| Ok(()))?;
        Ok(Box::new(SimLock { disk: self.clone(), path: path.to_owned(), held: false }))
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    inode: usize,
}

impl LogFile for SimFile {
    fn length(&self) -> io::Result<u64> {
        self.disk.step(|world| Ok(world.inodes[self.inode].current.len() as u64))
    }

    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        self.disk.step(|world| {
            let content = &world.inodes[self.inode].current;
            let rest = &content[(offset as usize).min(content.len())..];
            let count = rest.len().min(into.len());
            into[..count].copy_from_slice(&rest[..count]);
            Ok(count)
        })
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let content_before_death = bytes.len() / 2;
        let written = self.disk.step(|world| {
            let mut count = bytes.len().min(world.plan.at_most.unwrap_or(usize::MAX));
            if let Some(room) = &mut world.plan.room {
                if *room == 0 {
                    return Err(io::ErrorKind::StorageFull.into());
                }
                count = count.min(*room);
                *room -= count;
            }
            world.inodes[self.inode].current.extend_from_slice(&bytes[..count]);
            Ok(count)
        });
        let world = &mut *self.disk.0.world.lock();
        if written.is_err() && world.plan.dies_at == Some(world.operations) {
            // It died in the middle of this write.
            world.inodes[self.inode].current.extend_from_slice(&bytes[..content_before_death]);
        }
        written
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.disk.step(|world| {
            if world.plan.refuses_cuts {
                return Err(io::ErrorKind::StorageFull.into());
            }
            world.inodes[self.inode].current.resize(len as usize, 0);
            Ok(())
        })
    }

    fn sync(&mut self) -> io::Result<()> {
        self.disk.step(|world| {
            if world.plan.refuses_syncs {
                return Err(io::Error::other("the disk does not answer"));
            }
            world.syncs += 1;
            let inode = &mut world.inodes[self.inode];
            inode.durable.clone_from(&inode.current);
            Ok(())
        })
    }
}

#[derive(Debug)]
struct SimLock {
    disk: SimDisk,
    path: PathBuf,
    held: bool,
}

impl FileLock for SimLock {
    fn lock(&mut self) -> io::Result<()> {
        self.disk.step(|_| Ok(()))?;
        let shared = &self.disk.0;
        let mut world = shared.world.lock();
        while !world.locked.insert(self.path.clone()) {
            shared.unlocked.wait(&mut world);
        }
        self.held = true;
        Ok(())
    }

    fn lock_shared(&mut self) -> io::Result<()> {
        self.lock()
    }

    fn try_lock(&mut self) -> io::Result<bool> {
        self.held = self.disk.step(|world| Ok(world.locked.insert(self.path.clone())))?;
        Ok(self.held)
    }

    fn unlock(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.held) {
            self.disk.0.world.lock().locked.remove(&self.path);
            self.disk.0.unlocked.notify_all();
        }
        Ok(())
    }
}

impl Drop for SimLock {
    fn drop(&mut self) {
        let _ = self.unlock();
    }
}
