//! What a job may have of the engine: memory, tables, instances.

use wasmtime::ResourceLimiter;

/// The most entries of a program's tables.
const ENTRIES: usize = 20_000;

/// Counts memory, and notes when more was asked for than there is.
#[derive(Debug)]
pub(crate) struct Room {
    memory: usize,
    pub(crate) reached: bool,
}

impl Room {
    pub(crate) const fn new(memory: usize) -> Self {
        Self { memory, reached: false }
    }
}

impl ResourceLimiter for Room {
    fn memory_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        self.reached |= desired > self.memory;
        Ok(desired <= self.memory)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        self.reached |= desired > ENTRIES;
        Ok(desired <= ENTRIES)
    }

    fn instances(&self) -> usize {
        1
    }

    fn tables(&self) -> usize {
        4
    }

    fn memories(&self) -> usize {
        1
    }
}
