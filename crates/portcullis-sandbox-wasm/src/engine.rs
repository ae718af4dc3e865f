//! [`Wasm`]: compiles a program, runs it on a thread of its caller's, and ends it when its time is over.

use std::fmt;
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use portcullis_sandbox::{Description, End, Error, Job, Limit, Ran, Sandbox};
use wasmtime::{Config, Engine, ExternType, InstancePre, Linker, Module, Store, Trap};

use crate::state::State;
use crate::wasi::{self, Over};

/// How long one step of the engine's time is: a job is ended at most this much late.
const STEP: Duration = Duration::from_millis(10);
/// The largest program, in bytes.
const LARGEST: usize = 16 << 20;
/// The stack of a job, in bytes.
const STACK: usize = 512 << 10;

/// The engine cannot be made on this machine.
#[derive(Debug, thiserror::Error)]
#[error("the WebAssembly engine cannot be used here: {0}")]
pub struct Unusable(String);

/// The embedded sandbox.
pub struct Wasm {
    engine: Engine,
    linker: Linker<State>,
    clock: Arc<Ticker>,
    ticking: Mutex<Option<JoinHandle<()>>>,
    kept: Mutex<Vec<Kept>>,
    /// One program is got ready at a time, and none twice.
    preparing: Mutex<()>,
}

/// A program that was got ready, for as long as somebody else holds its bytes. It is known by where these are, which costs
/// nothing: while this points there, nothing else can be.
struct Kept {
    program: Weak<[u8]>,
    ready: InstancePre<State>,
}

/// Moves the engine's time on while jobs run.
#[derive(Debug, Default)]
struct Ticker {
    need: Mutex<Need>,
    changed: Condvar,
}

/// What the clock goes by. All of it is behind one lock, which the thread that waits for a change holds until it waits: told
/// beside it, a change between its look and its wait would be missed.
#[derive(Debug, Default)]
struct Need {
    running: usize,
    closing: bool,
}

impl Ticker {
    fn tick(&self, engine: &Engine) {
        loop {
            let mut need = self.need.lock();
            while need.running == 0 && !need.closing {
                self.changed.wait(&mut need);
            }
            if need.closing {
                return;
            }
            drop(need);
            thread::sleep(STEP);
            engine.increment_epoch();
        }
    }

    fn close(&self) {
        self.need.lock().closing = true;
        self.changed.notify_all();
    }
}

/// A job that runs, as far as the clock is concerned.
struct Running<'t>(&'t Ticker);

impl<'t> Running<'t> {
    fn begin(ticker: &'t Ticker) -> Self {
        ticker.need.lock().running += 1;
        ticker.changed.notify_all();
        Self(ticker)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.need.lock().running -= 1;
    }
}

impl Wasm {
    /// An engine, with a thread that keeps its time.
    ///
    /// # Errors
    /// [`Unusable`] where the machine is none that it runs on.
    pub fn new() -> Result<Self, Unusable> {
        let unusable = |error: wasmtime::Error| Unusable(error.to_string());
        let mut config = Config::new();
        config.epoch_interruption(true).max_wasm_stack(STACK).wasm_backtrace_max_frames(None);
        let engine = Engine::new(&config).map_err(unusable)?;
        let mut linker = Linker::new(&engine);
        wasi::link(&mut linker).map_err(unusable)?;
        let clock = Arc::new(Ticker::default());
        let (own, ticking) = (Arc::clone(&clock), engine.clone());
        let ticking = thread::Builder::new()
            .name("sandbox-clock".to_owned())
            .spawn(move || own.tick(&ticking))
            .map_err(|error| Unusable(error.to_string()))?;
        Ok(Self {
            engine,
            linker,
            clock,
            ticking: Mutex::new(Some(ticking)),
            kept: Mutex::default(),
            preparing: Mutex::default(),
        })
    }

    /// A program compiled, with everything in place that it asks for. It holds nothing of any job.
    fn compile(&self, program: &[u8]) -> Result<InstancePre<State>, Error> {
        if program.len() > LARGEST {
            return Err(Error::Refused(format!("it has more than {LARGEST} bytes")));
        }
        // What the engine says of a program may quote it.
        let refused = |error: wasmtime::Error, why: &str| {
            tracing::debug!(%error, "a program was refused");
            Error::Refused(why.to_owned())
        };
        let module = Module::from_binary(&self.engine, program)
            .map_err(|error| refused(error, "it is no WebAssembly module that this engine takes"))?;
        let begins = matches!(
            module.get_export("_start"),
            Some(ExternType::Func(start)) if start.params().len() == 0 && start.results().len() == 0
        );
        if !begins {
            return Err(Error::Refused("it has no function `_start` to begin with".to_owned()));
        }
        self.linker.instantiate_pre(&module).map_err(|error| refused(error, "it asks for what no job gets"))
    }

    fn kept(&self, program: &Arc<[u8]>) -> Option<InstancePre<State>> {
        let at = Arc::as_ptr(program);
        let kept = self.kept.lock();
        kept.iter().find(|kept| std::ptr::eq(kept.program.as_ptr(), at)).map(|kept| kept.ready.clone())
    }
}

impl Drop for Wasm {
    fn drop(&mut self) {
        self.clock.close();
        if let Some(ticking) = self.ticking.lock().take() {
            // It ends within a step.
            drop(ticking.join());
        }
    }
}

impl fmt::Debug for Wasm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wasm").finish_non_exhaustive()
    }
}

impl Sandbox for Wasm {
    fn describe(&self) -> Description {
        Description {
            kind: "webassembly",
            walls: "WebAssembly in this process, every call answered from memory",
        }
    }

    fn prepare(&self, program: &Arc<[u8]>) -> Result<(), Error> {
        let _one = self.preparing.lock();
        if self.kept(program).is_some() {
            return Ok(());
        }
        let ready = self.compile(program)?;
        let mut kept = self.kept.lock();
        kept.retain(|kept| kept.program.strong_count() > 0);
        kept.push(Kept { program: Arc::downgrade(program), ready });
        Ok(())
    }

    fn run(&self, job: &Job) -> Result<Ran, Error> {
        let ready = match self.kept(&job.program) {
            Some(ready) => ready,
            None => self.compile(&job.program)?,
        };
        let mut store = Store::new(&self.engine, State::new(job));
        store.limiter(|state| &mut state.room);
        let steps = job.limits.time.as_millis().div_ceil(STEP.as_millis());
        store.set_epoch_deadline(u64::try_from(steps).unwrap_or(u64::MAX).max(1));
        store.epoch_deadline_trap();
        let running = Running::begin(&self.clock);
        let ended = ready.instantiate(&mut store).map_err(|error| (error, true)).and_then(|instance| {
            let start = instance.get_typed_func::<(), ()>(&mut store, "_start");
            let start = start.map_err(|error| (error, true))?;
            start.call(&mut store, ()).map_err(|error| (error, false))
        });
        drop(running);
        let state = store.into_data();
        let end = match ended {
            Ok(()) => End::Exited(0),
            Err((error, before)) => match how(&error, &state) {
                Some(end) => end,
                // What does not fit before it has begun does not run.
                None if before => {
                    tracing::debug!(%error, "a program was refused");
                    return Err(Error::Refused("it asks for more than a job gets".to_owned()));
                }
                None => End::Trapped,
            },
        };
        Ok(Ran { end, output: state.output, errors: state.errors })
    }
}

/// How a job ended that did not just return, where that is told.
fn how(error: &wasmtime::Error, state: &State) -> Option<End> {
    match (error.downcast_ref::<Over>(), error.downcast_ref::<Trap>()) {
        (Some(Over::Exited), _) => state.exited.map(End::Exited),
        (Some(Over::Output), _) => Some(End::Stopped(Limit::Output)),
        (None, Some(Trap::Interrupt)) => Some(End::Stopped(Limit::Time)),
        // More than a limit allows, which a program that does not look at its errors breaks off for.
        (None, Some(_)) if state.room.reached => Some(End::Stopped(Limit::Memory)),
        (None, Some(_)) if state.files.reached => Some(End::Stopped(Limit::Files)),
        (None, Some(_)) => Some(End::Trapped),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn the_clock_ends_with_its_sandbox_whenever_that_is() {
        let engine = Engine::default();
        // The moment between its look at whether it is over and its wait is short, so it is told at many.
        for nanoseconds in (0..40_000).step_by(2) {
            let clock = Arc::new(Ticker::default());
            let (own, engine) = (Arc::clone(&clock), engine.clone());
            let ticking = thread::spawn(move || own.tick(&engine));
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_nanos(nanoseconds) {
                std::hint::spin_loop();
            }
            clock.close();
            let told = Instant::now();
            while !ticking.is_finished() {
                assert!(told.elapsed() < Duration::from_secs(10), "it waits on, told after {nanoseconds} ns");
                thread::yield_now();
            }
        }
    }

    #[test]
    fn a_program_is_compiled_once_and_kept_while_somebody_holds_it() {
        let wasm = Wasm::new().expect("an engine");
        let program = |code: &str| -> Arc<[u8]> {
            let text = format!("(module (memory (export \"memory\") 1) (func (export \"_start\") {code}))");
            wat::parse_str(text).expect("a program").into()
        };
        let (one, same, other) = (program(""), program(""), program("unreachable"));
        let kept = || wasm.kept.lock().len();
        for program in [&one, &one, &other] {
            wasm.prepare(program).expect("it is got ready");
        }
        assert_eq!(kept(), 2);
        // The bytes are told apart by where they are: what merely looks the same is compiled for itself, and kept nowhere.
        assert!(wasm.kept(&one).is_some() && wasm.kept(&same).is_none());
        for (program, end) in [(&one, End::Exited(0)), (&same, End::Exited(0)), (&other, End::Trapped)] {
            assert_eq!(wasm.run(&Job::new(Arc::clone(program))).expect("it ran").end, end);
        }
        assert_eq!(kept(), 2);
        drop(one);
        wasm.prepare(&same).expect("it is got ready");
        assert_eq!(kept(), 2, "the one that nobody holds is gone");
        assert!(wasm.prepare(&Arc::from(*b"no program")).is_err());
        assert_eq!(kept(), 2, "what is refused is not kept");
    }
}
