//! As much of WASI preview 1 as a job gets: its arguments, its input, its files, its output, a clock that stands apart and
//! numbers that follow from its seed. Every other call of that interface is answered with an error, and what is no
//! call of it does not link.
//!
//! Numbers of errors and layouts are those of the interface's specification (wasi_snapshot_preview1).

use wasmtime::{Caller, Extern, Linker, Memory};

use crate::files::Files;
use crate::state::State;

/// The only folder a job has.
const FOLDER: u32 = 3;
/// The most pieces of one read or write.
const PIECES: u32 = 1_024;
/// The most bytes of one call.
const AT_ONCE: usize = 1 << 20;

/// An error as programs are told it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Errno {
    BadFile = 8,
    Exists = 20,
    Fault = 21,
    TooBig = 22,
    IllegalBytes = 25,
    Invalid = 28,
    TooManyOpen = 33,
    NameTooLong = 37,
    NoEntry = 44,
    NoSpace = 51,
    NoCall = 52,
    NotSocket = 57,
    NotSupported = 58,
    NotCapable = 76,
}

/// Why a call ends the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Over {
    #[error("the job ended itself")]
    Exited,
    #[error("the job said more than it may")]
    Output,
}

type Call<'a> = Caller<'a, State>;
type Answer = Result<(), Errno>;

/// The job's memory, which it must export by this name.
fn memory(caller: &mut Call<'_>) -> Result<Memory, Errno> {
    caller.get_export("memory").and_then(Extern::into_memory).ok_or(Errno::Fault)
}

fn read(caller: &mut Call<'_>, at: u32, length: usize) -> Result<Vec<u8>, Errno> {
    let memory = memory(caller)?;
    let start = usize::try_from(at).map_err(|_| Errno::Fault)?;
    let end = start.checked_add(length).ok_or(Errno::Fault)?;
    memory.data(&caller).get(start..end).map(<[u8]>::to_vec).ok_or(Errno::Fault)
}

fn write(caller: &mut Call<'_>, at: u32, bytes: &[u8]) -> Answer {
    let memory = memory(caller)?;
    let start = usize::try_from(at).map_err(|_| Errno::Fault)?;
    memory.write(caller, start, bytes).map_err(|_| Errno::Fault)
}

fn word(caller: &mut Call<'_>, at: u32) -> Result<u32, Errno> {
    let bytes = read(caller, at, 4)?;
    bytes.try_into().map(u32::from_le_bytes).map_err(|_| Errno::Fault)
}

fn size(length: usize) -> Result<u32, Errno> {
    u32::try_from(length).map_err(|_| Errno::TooBig)
}

fn offset(at: u32, by: u32) -> Result<u32, Errno> {
    at.checked_add(by).ok_or(Errno::Fault)
}

/// The pieces of memory that a read or a write names.
fn pieces(caller: &mut Call<'_>, at: u32, count: u32) -> Result<Vec<(u32, usize)>, Errno> {
    if count > PIECES {
        return Err(Errno::Invalid);
    }
    let mut pieces = Vec::new();
    let mut left = AT_ONCE;
    for number in 0..count {
        let place = offset(at, number.checked_mul(8).ok_or(Errno::Fault)?)?;
        let (start, length) = (word(caller, place)?, word(caller, offset(place, 4)?)? as usize);
        let length = length.min(left);
        left -= length;
        pieces.push((start, length));
    }
    Ok(pieces)
}

fn path(caller: &mut Call<'_>, folder: u32, at: u32, length: u32) -> Result<String, Errno> {
    if folder != FOLDER {
        return Err(Errno::BadFile);
    }
    if length > 4_096 {
        return Err(Errno::NameTooLong);
    }
    let bytes = read(caller, at, length as usize)?;
    Files::name(&bytes)
}

fn fd_write(caller: &mut Call<'_>, fd: u32, at: u32, count: u32, told: u32) -> Result<Answer, Over> {
    let mut written = 0;
    let pieces = match pieces(caller, at, count) {
        Ok(pieces) => pieces,
        Err(errno) => return Ok(Err(errno)),
    };
    for (start, length) in pieces {
        let bytes = match read(caller, start, length) {
            Ok(bytes) => bytes,
            Err(errno) => return Ok(Err(errno)),
        };
        match fd {
            1 | 2 => {
                if !caller.data_mut().say(fd == 2, &bytes) {
                    return Err(Over::Output);
                }
            }
            _ => {
                if let Err(errno) = caller.data_mut().files.write(fd, &bytes) {
                    return Ok(Err(errno));
                }
            }
        }
        written += bytes.len();
    }
    Ok(size(written).and_then(|written| write(caller, told, &written.to_le_bytes())))
}

fn fd_read(caller: &mut Call<'_>, fd: u32, at: u32, count: u32, told: u32) -> Answer {
    let mut all = 0;
    for (start, length) in pieces(caller, at, count)? {
        let bytes = if fd == 0 {
            let state = caller.data_mut();
            let rest = state.input.get(state.read..).unwrap_or_default();
            let bytes = rest.get(..length.min(rest.len())).unwrap_or_default().to_vec();
            state.read += bytes.len();
            bytes
        } else {
            caller.data_mut().files.read(fd, length)?
        };
        write(caller, start, &bytes)?;
        all += bytes.len();
        if bytes.len() < length {
            break;
        }
    }
    let all = size(all)?;
    write(caller, told, &all.to_le_bytes())
}

fn path_open(
    caller: &mut Call<'_>,
    folder: u32,
    (at, length): (u32, u32),
    (oflags, fdflags): (u32, u32),
    opened: u32,
) -> Answer {
    let name = path(caller, folder, at, length)?;
    let has = |flag: u32| oflags & flag != 0;
    // There are no folders to open.
    if has(2) {
        return Err(Errno::NotSupported);
    }
    let number = caller.data_mut().files.open(name, has(1), has(4), has(8), fdflags & 1 != 0)?;
    write(caller, opened, &number.to_le_bytes())
}

/// What kind of thing a number stands for, and that all may be done with it that is possible at all.
fn fd_fdstat_get(caller: &mut Call<'_>, fd: u32, at: u32) -> Answer {
    let kind: u8 = match fd {
        0..=2 => 2,
        FOLDER => 3,
        _ if caller.data().files.is_open(fd) => 4,
        _ => return Err(Errno::BadFile),
    };
    let mut stat = [0_u8; 24];
    let [first, _, _, _, _, _, _, _, rights @ ..] = &mut stat;
    *first = kind;
    rights.fill(0xff);
    write(caller, at, &stat)
}

/// Kind and size; the rest is nothing.
fn filestat(caller: &mut Call<'_>, at: u32, kind: u8, size: u64) -> Answer {
    let mut stat = Vec::with_capacity(64);
    stat.extend([0_u8; 16]);
    stat.extend(u64::from(kind).to_le_bytes());
    stat.extend(1_u64.to_le_bytes());
    stat.extend(size.to_le_bytes());
    stat.extend([0_u8; 24]);
    write(caller, at, &stat)
}

fn fd_filestat_get(caller: &mut Call<'_>, fd: u32, at: u32) -> Answer {
    let (kind, size) = match fd {
        0..=2 => (2, 0),
        FOLDER => (3, 0),
        _ => (4, caller.data().files.size(fd)?),
    };
    filestat(caller, at, kind, size)
}

fn path_filestat_get(caller: &mut Call<'_>, folder: u32, (at, length): (u32, u32), into: u32) -> Answer {
    let name = path(caller, folder, at, length)?;
    let size = caller.data().files.size_of(&name)?;
    filestat(caller, into, 4, size)
}

/// The only folder is called `.`.
fn fd_prestat_get(caller: &mut Call<'_>, fd: u32, at: u32) -> Answer {
    if fd != FOLDER {
        return Err(Errno::BadFile);
    }
    write(caller, at, &[0, 0, 0, 0, 1, 0, 0, 0])
}

fn fd_prestat_dir_name(caller: &mut Call<'_>, fd: u32, at: u32, length: u32) -> Answer {
    if fd != FOLDER {
        return Err(Errno::BadFile);
    }
    if length < 1 { Err(Errno::NameTooLong) } else { write(caller, at, b".") }
}

fn args_sizes_get(caller: &mut Call<'_>, count: u32, bytes: u32) -> Answer {
    let arguments = &caller.data().arguments;
    let (number, all) = (arguments.len(), arguments.iter().map(|one| one.len() + 1).sum());
    let (number, all) = (size(number)?, size(all)?);
    write(caller, count, &number.to_le_bytes())?;
    write(caller, bytes, &all.to_le_bytes())
}

fn args_get(caller: &mut Call<'_>, places: u32, texts: u32) -> Answer {
    let arguments = caller.data().arguments.clone();
    let (mut place, mut text) = (places, texts);
    for argument in arguments {
        write(caller, place, &text.to_le_bytes())?;
        let bytes = [argument.as_bytes(), &[0]].concat();
        write(caller, text, &bytes)?;
        place = offset(place, 4)?;
        text = offset(text, size(bytes.len())?)?;
    }
    Ok(())
}

fn random_get(caller: &mut Call<'_>, at: u32, length: u32) -> Answer {
    let length = length as usize;
    if length > AT_ONCE {
        return Err(Errno::TooBig);
    }
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend(caller.data_mut().random().to_le_bytes());
    }
    bytes.truncate(length);
    write(caller, at, &bytes)
}

fn told(answer: Answer) -> u32 {
    answer.map_or_else(|errno| errno as u32, |()| 0)
}

/// Gives a job these calls and no others.
pub(crate) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    const MODULE: &str = "wasi_snapshot_preview1";
    macro_rules! call {
        ($name:literal, |$caller:ident $(, $arg:ident: $kind:ty)*| $body:expr) => {
            linker.func_wrap(MODULE, $name, |mut $caller: Call<'_> $(, $arg: $kind)*| -> u32 {
                let $caller = &mut $caller;
                told($body)
            })?;
        };
    }
    /// Calls that are there and never do anything.
    macro_rules! never {
        ($errno:ident: $($name:literal($($kind:ty),*);)*) => {
            $(linker.func_wrap(MODULE, $name, |_: Call<'_> $(, _: $kind)*| -> u32 { Errno::$errno as u32 })?;)*
        };
    }
    linker.func_wrap(
        MODULE,
        "fd_write",
        |mut caller: Call<'_>, fd: u32, at: u32, count: u32, into: u32| {
            fd_write(&mut caller, fd, at, count, into).map(told).map_err(wasmtime::Error::from)
        },
    )?;
    linker.func_wrap(MODULE, "proc_exit", |mut caller: Call<'_>, code: u32| -> wasmtime::Result<()> {
        caller.data_mut().exited = Some(code.cast_signed());
        Err(Over::Exited.into())
    })?;
    call!("fd_read", |caller, fd: u32, at: u32, count: u32, into: u32| fd_read(caller, fd, at, count, into));
    call!("fd_close", |caller, fd: u32| caller.data_mut().files.close(fd));
    call!("fd_seek", |caller, fd: u32, by: i64, whence: u32, into: u32| {
        let at = caller.data_mut().files.seek(fd, by, whence);
        at.and_then(|at| write(caller, into, &at.to_le_bytes()))
    });
    call!("fd_tell", |caller, fd: u32, into: u32| {
        let at = caller.data_mut().files.seek(fd, 0, 1);
        at.and_then(|at| write(caller, into, &at.to_le_bytes()))
    });
    call!("fd_fdstat_get", |caller, fd: u32, at: u32| fd_fdstat_get(caller, fd, at));
    call!("fd_filestat_get", |caller, fd: u32, at: u32| fd_filestat_get(caller, fd, at));
    call!("fd_prestat_get", |caller, fd: u32, at: u32| fd_prestat_get(caller, fd, at));
    call!("fd_prestat_dir_name", |caller, fd: u32, at: u32, length: u32| {
        fd_prestat_dir_name(caller, fd, at, length)
    });
    linker.func_wrap(
        MODULE,
        "path_open",
        |mut caller: Call<'_>,
         folder: u32,
         _dirflags: u32,
         at: u32,
         length: u32,
         oflags: u32,
         _rights: u64,
         _inherited: u64,
         fdflags: u32,
         opened: u32|
         -> u32 { told(path_open(&mut caller, folder, (at, length), (oflags, fdflags), opened)) },
    )?;
    call!("path_filestat_get", |caller, folder: u32, _flags: u32, at: u32, length: u32, into: u32| {
        path_filestat_get(caller, folder, (at, length), into)
    });
    call!("path_unlink_file", |caller, folder: u32, at: u32, length: u32| {
        path(caller, folder, at, length).and_then(|name| caller.data_mut().files.remove(&name))
    });
    call!("args_sizes_get", |caller, count: u32, bytes: u32| args_sizes_get(caller, count, bytes));
    call!("args_get", |caller, places: u32, texts: u32| args_get(caller, places, texts));
    call!("environ_sizes_get", |caller, count: u32, bytes: u32| {
        write(caller, count, &[0; 4]).and_then(|()| write(caller, bytes, &[0; 4]))
    });
    call!("environ_get", |_caller, _places: u32, _texts: u32| Ok(()));
    call!("clock_time_get", |caller, _id: u32, _precision: u64, into: u32| {
        let time = caller.data_mut().time();
        write(caller, into, &time.to_le_bytes())
    });
    call!("clock_res_get", |caller, _id: u32, into: u32| write(caller, into, &1_000_u64.to_le_bytes()));
    call!("random_get", |caller, at: u32, length: u32| random_get(caller, at, length));
    call!("sched_yield", |_caller| Ok(()));
    never! { NotSupported:
        "fd_advise"(u32, u64, u64, u32);
        "fd_allocate"(u32, u64, u64);
        "fd_datasync"(u32);
        "fd_sync"(u32);
        "fd_fdstat_set_flags"(u32, u32);
        "fd_fdstat_set_rights"(u32, u64, u64);
        "fd_filestat_set_size"(u32, u64);
        "fd_filestat_set_times"(u32, u64, u64, u32);
        "fd_pread"(u32, u32, u32, u64, u32);
        "fd_pwrite"(u32, u32, u32, u64, u32);
        "fd_readdir"(u32, u32, u32, u64, u32);
        "fd_renumber"(u32, u32);
        "path_create_directory"(u32, u32, u32);
        "path_filestat_set_times"(u32, u32, u32, u32, u64, u64, u32);
        "path_link"(u32, u32, u32, u32, u32, u32, u32);
        "path_readlink"(u32, u32, u32, u32, u32, u32);
        "path_remove_directory"(u32, u32, u32);
        "path_rename"(u32, u32, u32, u32, u32, u32);
        "path_symlink"(u32, u32, u32, u32, u32);
        "poll_oneoff"(u32, u32, u32, u32);
    }
    never! { NoCall: "proc_raise"(u32); }
    never! { NotSocket:
        "sock_accept"(u32, u32, u32);
        "sock_recv"(u32, u32, u32, u32, u32, u32);
        "sock_send"(u32, u32, u32, u32, u32);
        "sock_shutdown"(u32, u32);
    }
    Ok(())
}
