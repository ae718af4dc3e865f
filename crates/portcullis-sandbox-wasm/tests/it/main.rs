//! The suite of sandboxes against the embedded one, and against sandboxes that are wrong on purpose.

#![cfg(test)]

use std::sync::Arc;
use std::time::Duration;

use portcullis_core::{SystemClock, Tasks};
use portcullis_sandbox::conformance::attempts::attempts;
use portcullis_sandbox::conformance::wrong::{Flaw, Wrong};
use portcullis_sandbox::conformance::{TIGHT, attempts, judge, problems};
use portcullis_sandbox::{End, Error, Job, Limit, Limits, Queue, Sandbox};
use portcullis_sandbox_wasm::Wasm;

fn assembled(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

#[test]
fn nothing_gets_out_and_what_must_work_works() {
    assert!(attempts().len() >= 20, "{}", attempts().len());
    let wrong = judge(&Wasm::new().expect("an engine"), &assembled);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_wrong_sandbox_is_caught() {
    for flaw in Flaw::ALL {
        let sandbox = Wrong::new(flaw, Wasm::new().expect("an engine"));
        let caught = problems(&sandbox, &assembled).next();
        println!("{flaw:?}: {}", caught.unwrap_or_else(|| panic!("{flaw:?} was not caught")));
    }
}

#[test]
fn a_program_ends_with_its_own_code_and_reads_its_arguments() {
    let text = r#"(module
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (import "wasi_snapshot_preview1" "args_sizes_get" (func $sizes (param i32 i32) (result i32)))
        (memory (export "memory") 1)
        (func (export "_start") (drop (call $sizes (i32.const 0) (i32.const 4))) (call $exit (i32.load (i32.const 4)))))"#;
    let wasm = Wasm::new().expect("an engine");
    let job = Job { arguments: vec!["a".to_owned(), "bcd".to_owned()], ..Job::new(assembled(text)) };
    assert_eq!(wasm.run(&job).expect("it ran").end, End::Exited(6));
}

#[test]
fn what_is_no_program_is_refused_and_nothing_of_it_is_repeated() {
    let wasm = Wasm::new().expect("an engine");
    for bytes in [b"".as_slice(), b"not a program: tamarisk", b"\0asm\x01\0\0\0tamarisk"] {
        let Err(Error::Refused(why)) = wasm.run(&Job::new(bytes)) else { panic!("it ran") };
        assert!(!why.contains("tamarisk"), "{why}");
    }
    let no_start = assembled("(module (memory (export \"memory\") 1))");
    assert!(matches!(wasm.run(&Job::new(no_start)), Err(Error::Refused(_))));
}

/// Each says its own marker, again and again for a while; none says another's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_run_side_by_side_and_hear_nothing_of_each_other() {
    const AT_ONCE: usize = 4;
    let wasm: Arc<dyn Sandbox> = Arc::new(Wasm::new().expect("an engine"));
    let queue = Arc::new(Queue::new(wasm, Arc::new(SystemClock::new()), AT_ONCE, 100));
    let program: Arc<[u8]> = assembled(&attempts::hello()).into();
    let tasks = Tasks::new();
    let jobs = (0..3 * AT_ONCE).map(|number| {
        let (queue, program) = (Arc::clone(&queue), Arc::clone(&program));
        let job = Job { input: Arc::from(format!("marker {number}.").into_bytes()), ..Job::new(program) };
        tasks.spawn(async move { (number, queue.run(job).await) })
    });
    for job in jobs.collect::<Vec<_>>() {
        let (number, held) = job.await.expect("no task fails");
        let held = held.expect("more than there are places wait, and run");
        assert_eq!(String::from_utf8_lossy(&held.ran.output), format!("hello marker {number}."));
    }
}

#[test]
fn a_bomb_beside_it_changes_nothing_for_another_job() {
    let wasm = Arc::new(Wasm::new().expect("an engine"));
    let bomb = attempts().into_iter().find(|attempt| attempt.name == "an endless loop").expect("it is there");
    let limits = Limits { time: Duration::from_millis(400), ..TIGHT };
    let bomb = Job::new(assembled(&bomb.program)).within(limits);
    std::thread::scope(|scope| {
        let looping = scope.spawn(|| wasm.run(&bomb).expect("it ran").end);
        let greeted = wasm.run(&Job::new(assembled(&attempts::hello()))).expect("it ran");
        assert_eq!(greeted.end, End::Exited(0));
        assert_eq!(looping.join().expect("it ends"), End::Stopped(Limit::Time));
    });
}
