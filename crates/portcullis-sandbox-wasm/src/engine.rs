//! [`Wasm`]: compiles a program, runs it on a thread of its caller's, and ends it when its time is over.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use portcullis_sandbox::{Description, End, Error, Job, Limit, Ran, Sandbox};
use wasmtime::{Config, Engine, Linker, Module, Store, Trap};

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
}

/// Moves the engine's time on while jobs run.
#[derive(Debug, Default)]
struct Ticker {
    running: Mutex<usize>,
    begun: Condvar,
    closing: AtomicBool,
}

impl Ticker {
    fn tick(&self, engine: &Engine) {
        loop {
            {
                let mut running = self.running.lock();
                while *running == 0 && !self.closing.load(Ordering::Acquire) {
                    self.begun.wait(&mut running);
                }
            }
            if self.closing.load(Ordering::Acquire) {
                return;
            }
            thread::sleep(STEP);
            engine.increment_epoch();
        }
    }
}

/// A job that runs, as far as the clock is concerned.
struct Running<'t>(&'t Ticker);

impl<'t> Running<'t> {
    fn begin(ticker: &'t Ticker) -> Self {
        *ticker.running.lock() += 1;
        ticker.begun.notify_all();
        Self(ticker)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        *self.0.running.lock() -= 1;
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
        Ok(Self { engine, linker, clock, ticking: Mutex::new(Some(ticking)) })
    }

    fn compile(&self, job: &Job) -> Result<Module, Error> {
        if job.program.len() > LARGEST {
            return Err(Error::Refused(format!("it has more than {LARGEST} bytes")));
        }
        // What the engine says of a program may quote it.
        Module::from_binary(&self.engine, &job.program).map_err(|error| {
            tracing::debug!(%error, "a program was refused");
            Error::Refused("it is no WebAssembly module that this engine takes".to_owned())
        })
    }
}

impl Drop for Wasm {
    fn drop(&mut self) {
        self.clock.closing.store(true, Ordering::Release);
        self.clock.begun.notify_all();
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

    fn run(&self, job: &Job) -> Result<Ran, Error> {
        let module = self.compile(job)?;
        let mut store = Store::new(&self.engine, State::new(job));
        store.limiter(|state| &mut state.room);
        let steps = job.limits.time.as_millis().div_ceil(STEP.as_millis());
        store.set_epoch_deadline(u64::try_from(steps).unwrap_or(u64::MAX).max(1));
        store.epoch_deadline_trap();
        let running = Running::begin(&self.clock);
        let ended = self.linker.instantiate(&mut store, &module).map_err(|error| (error, true)).and_then(
            |instance| {
                let start = instance.get_typed_func::<(), ()>(&mut store, "_start");
                let start = start.map_err(|error| (error, true))?;
                start.call(&mut store, ()).map_err(|error| (error, false))
            },
        );
        drop(running);
        let state = store.into_data();
        let end = match ended {
            Ok(()) => End::Exited(0),
            Err((error, before)) => match how(&error, &state) {
                Some(end) => end,
                // What does not link, or does not fit before it has begun, does not run.
                None if before => {
                    tracing::debug!(%error, "a program was refused");
                    return Err(Error::Refused("it asks for what no job gets".to_owned()));
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
