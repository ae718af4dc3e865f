//! What code tries in order to get out, each as a small program in the text form of WebAssembly with WASI preview 1.
//!
//! A program says `ESCAPED` when it got where no job may get, and `held` when it was refused; a bomb says nothing and has to be
//! stopped. It is told apart from a sandbox in which nothing works by [`hello`] and [`own_files`].
//!
//! The suite of backends runs them, and the checks of a deployment whose sandbox runs WebAssembly.

use crate::job::Limit;

/// What a program says that got out.
pub const ESCAPED: &str = "ESCAPED";
/// What a program says that was refused.
pub const HELD: &str = "held";

/// What has to become of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// It says that it was refused.
    Held,
    /// It is stopped by one of these limits, or says that it was refused, or breaks off by itself.
    Bounded(&'static [Limit]),
    /// It does not even begin, for it asks for what no job gets; or it breaks off.
    Refused,
}

/// Something that code tries.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// What it tries.
    pub name: &'static str,
    /// The program.
    pub program: String,
    /// What has to become of it.
    pub expect: Expect,
}

const IMPORTS: &str = r#"
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close" (func $fd_close (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_prestat_get" (func $prestat (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_symlink" (func $symlink (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_link" (func $link (param i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_rename" (func $rename (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_send" (func $sock_send (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_accept" (func $sock_accept (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_raise" (func $raise (param i32) (result i32)))
"#;

/// A program around the body of its `_start`. `text` stands at 1024; 64 to 127 are free; what is read comes to 4096.
fn program(text: &str, body: &str) -> String {
    with("", text, 1, body)
}

fn with(imports: &str, text: &str, pages: u64, body: &str) -> String {
    let data: String = text.bytes().map(|byte| format!("\\{byte:02x}")).collect();
    format!(
        r#"(module {IMPORTS} {imports}
  (memory (export "memory") {pages})
  (data (i32.const 0) "ESCAPED\n") (data (i32.const 16) "held\n") (data (i32.const 1024) "{data}")
  (func $tell (param $fd i32) (param $at i32) (param $len i32) (result i32)
    (i32.store (i32.const 64) (local.get $at)) (i32.store (i32.const 68) (local.get $len))
    (call $fd_write (local.get $fd) (i32.const 64) (i32.const 1) (i32.const 72)))
  (func $say (param $at i32) (param $len i32) (drop (call $tell (i32.const 1) (local.get $at) (local.get $len))))
  (func $judge (param $errno i32)
    (if (i32.eqz (local.get $errno))
      (then (call $say (i32.const 0) (i32.const 8)))
      (else (call $say (i32.const 16) (i32.const 5)))))
  (func $open (param $dir i32) (param $at i32) (param $len i32) (param $flags i32) (result i32)
    (call $path_open (local.get $dir) (i32.const 1) (local.get $at) (local.get $len) (local.get $flags)
      (i64.const 0x1fffffff) (i64.const 0x1fffffff) (i32.const 0) (i32.const 80)))
  (func (export "_start") {body}))"#
    )
}

/// Opens a file that is not the job's.
pub fn opens(name: &'static str, path: &str) -> Attempt {
    let body = format!(
        "(call $judge (call $open (i32.const 3) (i32.const 1024) (i32.const {}) (i32.const 0)))",
        path.len()
    );
    Attempt { name, program: program(path, &body), expect: Expect::Held }
}

fn held(name: &'static str, text: &str, body: &str) -> Attempt {
    Attempt { name, program: program(text, body), expect: Expect::Held }
}

fn bounded(name: &'static str, limits: &'static [Limit], body: &str) -> Attempt {
    Attempt { name, program: program("x", body), expect: Expect::Bounded(limits) }
}

/// Asks for a function that no job gets.
fn asks_for(name: &'static str, import: &str, call: &str) -> Attempt {
    Attempt { name, program: with(import, "169.254.169.254", 1, call), expect: Expect::Refused }
}

/// Says `hello`, and what it read.
pub fn hello() -> String {
    program(
        "hello ",
        "(call $say (i32.const 1024) (i32.const 6))
         (i32.store (i32.const 64) (i32.const 4096)) (i32.store (i32.const 68) (i32.const 100))
         (drop (call $fd_read (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 76)))
         (call $say (i32.const 4096) (i32.load (i32.const 76)))",
    )
}

/// Writes a file of its own, reads it back and says what it holds.
pub fn own_files() -> String {
    program(
        "notes.txt",
        "(if (call $open (i32.const 3) (i32.const 1024) (i32.const 9) (i32.const 1)) (then unreachable))
         (drop (call $tell (i32.load (i32.const 80)) (i32.const 1024) (i32.const 9)))
         (drop (call $fd_close (i32.load (i32.const 80))))
         (if (call $open (i32.const 3) (i32.const 1024) (i32.const 9) (i32.const 0)) (then unreachable))
         (i32.store (i32.const 64) (i32.const 4096)) (i32.store (i32.const 68) (i32.const 100))
         (drop (call $fd_read (i32.load (i32.const 80)) (i32.const 64) (i32.const 1) (i32.const 76)))
         (call $say (i32.const 4096) (i32.load (i32.const 76)))",
    )
}

/// Opens `notes.txt`, which another job may have written.
pub fn reads_notes() -> String {
    opens("another job's file", "notes.txt").program
}

/// Says what stands in `notes.txt`, if that is there already; writes what it reads there, says it, and goes on without end.
pub fn stays() -> String {
    program(
        "notes.txt",
        "(local $length i32)
         (if (i32.eqz (call $open (i32.const 3) (i32.const 1024) (i32.const 9) (i32.const 0)))
           (then
             (i32.store (i32.const 64) (i32.const 8192)) (i32.store (i32.const 68) (i32.const 100))
             (drop (call $fd_read (i32.load (i32.const 80)) (i32.const 64) (i32.const 1) (i32.const 76)))
             (call $say (i32.const 8192) (i32.load (i32.const 76)))
             (drop (call $fd_close (i32.load (i32.const 80))))))
         (i32.store (i32.const 64) (i32.const 4096)) (i32.store (i32.const 68) (i32.const 100))
         (drop (call $fd_read (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 76)))
         (local.set $length (i32.load (i32.const 76)))
         (if (call $open (i32.const 3) (i32.const 1024) (i32.const 9) (i32.const 1)) (then unreachable))
         (drop (call $tell (i32.load (i32.const 80)) (i32.const 4096) (local.get $length)))
         (drop (call $fd_close (i32.load (i32.const 80))))
         (call $say (i32.const 4096) (local.get $length))
         (loop $on (br $on))",
    )
}

/// Counts in its memory how often it ran, and says that: `run 1`, unless it is given the memory of a job before it.
pub fn counts() -> String {
    program(
        "run 0",
        "(i32.store8 (i32.const 1028) (i32.add (i32.load8_u (i32.const 1028)) (i32.const 1)))
         (call $say (i32.const 1024) (i32.const 5))",
    )
}

/// Says what time it is, as eight bytes.
pub fn tells_time() -> String {
    program(
        "",
        "(drop (call $clock (i32.const 0) (i64.const 1) (i32.const 4096))) (call $say (i32.const 4096) (i32.const 8))",
    )
}

/// Everything that is tried.
pub fn attempts() -> Vec<Attempt> {
    use Limit::{Files, Memory, Output, Time};
    const EACH: &str = "(local $fd i32) (local.set $fd (i32.const 0)) (loop $next";
    const ON: &str = "(local.set $fd (i32.add (local.get $fd) (i32.const 1))) (br_if $next (i32.lt_u (local.get $fd) (i32.const 64))))
         (call $judge (i32.const 1))";
    let each =
        |test: &str| format!("{EACH} (if (i32.eqz {test}) (then (call $judge (i32.const 0)) return)) {ON}");
    vec![
        opens("a file of the machine", "/etc/passwd"),
        opens("a file of the machine without the first stroke", "etc/passwd"),
        opens("a file above", "../etc/passwd"),
        opens("a file far above", "../../../../../../../../etc/passwd"),
        opens("a file above by way of a folder", "a/../../etc/passwd"),
        opens("a file above with strokes doubled", "..//..//etc//passwd"),
        opens("a file above by way of here", "./../etc/passwd"),
        opens("the environment of the process", "/proc/self/environ"),
        opens("the memory of the process", "/proc/self/mem"),
        opens("open files of the process", "/dev/fd/0"),
        opens("a device", "/dev/urandom"),
        opens("the service manager's socket", "/run/docker.sock"),
        opens("the metadata address as a file", "/dev/tcp/169.254.169.254/80"),
        opens("a name with a null byte", "notes\0/../../etc/passwd"),
        held(
            "folders beside its own",
            "etc/passwd",
            "(local $fd i32) (local.set $fd (i32.const 4)) (loop $next
               (if (i32.eqz (call $prestat (local.get $fd) (i32.const 64))) (then (call $judge (i32.const 0)) return))
               (if (i32.eqz (call $open (local.get $fd) (i32.const 1024) (i32.const 10) (i32.const 0)))
                 (then (call $judge (i32.const 0)) return))
               (local.set $fd (i32.add (local.get $fd) (i32.const 1)))
               (br_if $next (i32.lt_u (local.get $fd) (i32.const 256))))
             (call $judge (i32.const 1))",
        ),
        held(
            "a symbolic link to the machine",
            "/etc/passwdinside",
            "(drop (call $symlink (i32.const 1024) (i32.const 11) (i32.const 3) (i32.const 1035) (i32.const 6)))
             (call $judge (call $open (i32.const 3) (i32.const 1035) (i32.const 6) (i32.const 0)))",
        ),
        held(
            "a hard link to the machine",
            "../etc/passwdinside",
            "(call $judge (call $link (i32.const 3) (i32.const 0) (i32.const 1024) (i32.const 13)
               (i32.const 3) (i32.const 1037) (i32.const 6)))",
        ),
        held(
            "a file of the machine under another name",
            "../etc/passwdinside",
            "(call $judge (call $rename (i32.const 3) (i32.const 1024) (i32.const 13)
               (i32.const 3) (i32.const 1037) (i32.const 6)))",
        ),
        held(
            "a file above, to write",
            "../escaped.txt",
            "(call $judge (call $open (i32.const 3) (i32.const 1024) (i32.const 14) (i32.const 1)))",
        ),
        held(
            "the environment",
            "",
            "(drop (call $environ (i32.const 64) (i32.const 68)))
             (call $judge (i32.eqz (i32.load (i32.const 64))))",
        ),
        held("a socket that is open", "", &each("(call $sock_send (local.get $fd) (i32.const 64) (i32.const 0) (i32.const 0) (i32.const 80))")),
        held("a connection that waits", "", &each("(call $sock_accept (local.get $fd) (i32.const 0) (i32.const 80))")),
        held("a signal to the process", "", "(call $judge (call $raise (i32.const 9)))"),
        asks_for(
            "a socket to the metadata address",
            r#"(import "wasi_snapshot_preview1" "sock_open" (func $sock_open (param i32 i32 i32 i32) (result i32)))"#,
            "(call $judge (call $sock_open (i32.const 1) (i32.const 1) (i32.const 0) (i32.const 80)))",
        ),
        asks_for(
            "a connection by the machine's own library",
            r#"(import "env" "connect" (func $connect (param i32 i32 i32) (result i32)))"#,
            "(call $judge (call $connect (i32.const 3) (i32.const 1024) (i32.const 15)))",
        ),
        asks_for(
            "another process",
            r#"(import "wasix_32v1" "proc_fork" (func $fork (param i32 i32) (result i32)))"#,
            "(call $judge (call $fork (i32.const 0) (i32.const 80)))",
        ),
        asks_for(
            "another thread",
            r#"(import "wasi" "thread-spawn" (func $spawn (param i32) (result i32)))"#,
            "(call $judge (i32.lt_s (call $spawn (i32.const 0)) (i32.const 0)))",
        ),
        asks_for(
            "a command of the machine",
            r#"(import "env" "system" (func $system (param i32) (result i32)))"#,
            "(call $judge (call $system (i32.const 1024)))",
        ),
        Attempt {
            name: "memory outside its own",
            program: program("", "(call $say (i32.const 0x7fff0000) (i32.const 64)) (drop (i32.load (i32.const 0x7fff0000)))"),
            expect: Expect::Bounded(&[]),
        },
        Attempt {
            name: "all memory from the start",
            program: with("", "", 60_000, "(call $judge (i32.const 0))"),
            expect: Expect::Refused,
        },
        bounded("an endless loop", &[Time], "(loop $on (br $on))"),
        bounded("a sleep without end", &[Time], "(i64.store (i32.const 128) (i64.const 0x7fffffffffffffff)) (i32.store8 (i32.const 112) (i32.const 0))
             (drop (call $poll (i32.const 104) (i32.const 512) (i32.const 1) (i32.const 96))) (call $judge (i32.const 1))"),
        Attempt {
            name: "a stack without end",
            program: program("", "(call $deeper) (call $judge (i32.const 0))").replace(
                "(func (export \"_start\")",
                "(func $deeper (call $deeper) (call $deeper))\n  (func (export \"_start\")",
            ),
            expect: Expect::Bounded(&[Memory]),
        },
        bounded(
            "ever more memory",
            &[Memory],
            "(loop $on
               (br_if $on (i32.ne (memory.grow (i32.const 8)) (i32.const -1))))
             (call $judge (i32.le_u (memory.size) (i32.const 64)))",
        ),
        bounded("ever more output", &[Output], "(loop $on (call $say (i32.const 0) (i32.const 0)) (call $say (i32.const 2048) (i32.const 30000)) (br $on))"),
        bounded(
            "one file without end",
            &[Files],
            "(drop (call $open (i32.const 3) (i32.const 1024) (i32.const 1) (i32.const 1)))
             (loop $on (br_if $on (i32.eqz (call $tell (i32.load (i32.const 80)) (i32.const 2048) (i32.const 30000)))))
             (call $judge (i32.const 1))",
        ),
        bounded(
            "files without end",
            &[Files],
            "(local $n i32) (loop $on
               (i32.store (i32.const 1024) (i32.add (i32.const 0x61616161) (i32.or
                 (i32.or (i32.and (local.get $n) (i32.const 15)) (i32.and (i32.shl (local.get $n) (i32.const 4)) (i32.const 0xf00)))
                 (i32.or (i32.and (i32.shl (local.get $n) (i32.const 8)) (i32.const 0xf0000))
                   (i32.and (i32.shl (local.get $n) (i32.const 12)) (i32.const 0xf000000))))))
               (local.set $n (i32.add (local.get $n) (i32.const 1)))
               (if (i32.gt_u (local.get $n) (i32.const 60000)) (then (call $judge (i32.const 0)) return))
               (if (i32.eqz (call $open (i32.const 3) (i32.const 1024) (i32.const 4) (i32.const 1)))
                 (then (drop (call $fd_close (i32.load (i32.const 80)))) (br $on))))
             (call $judge (i32.const 1))",
        ),
        bounded(
            "open files without end",
            &[Files],
            "(local $n i32) (loop $on
               (local.set $n (i32.add (local.get $n) (i32.const 1)))
               (if (i32.gt_u (local.get $n) (i32.const 1000000)) (then (call $judge (i32.const 0)) return))
               (br_if $on (i32.eqz (call $open (i32.const 3) (i32.const 1024) (i32.const 1) (i32.const 1)))))
             (call $judge (i32.const 1))",
        ),
    ]
}
