//! The embedded sandbox, for everybody who runs something in it: tools of the model, and what checks try. It is made here alone, so
//! that what is judged is made as what is used is.

use std::sync::Arc;

use anyhow::Result;
use portcullis_config::Config;
use portcullis_sandbox::Sandbox;
use portcullis_sandbox_wasm::Wasm;

/// The sandbox, and how many of its jobs run at a time: as many as are wanted.
#[cfg(not(feature = "guard-off"))]
pub(crate) fn sandbox(_: &Config, at_once: usize) -> Result<(Arc<dyn Sandbox>, usize)> {
    Ok((Arc::new(Wasm::new()?), at_once))
}

/// The same with the walls off that the configuration says.
#[cfg(feature = "guard-off")]
pub(crate) fn sandbox(config: &Config, at_once: usize) -> Result<(Arc<dyn Sandbox>, usize)> {
    use portcullis_sandbox::conformance::wrong::{Flaw, Wrong};

    let off = |name: &str| config.danger.guards_off.iter().any(|guard| guard.as_str() == name);
    let places = if off("sandbox-places") { usize::from(u8::MAX) } else { at_once };
    let wasm = Wasm::new()?;
    Ok(match off("sandbox-apart") {
        true => (Arc::new(Wrong::new(Flaw::Remembering, wasm)), places),
        false => (Arc::new(wasm), places),
    })
}
