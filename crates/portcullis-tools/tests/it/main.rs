//! Tools against servers that count who calls them: where a call may go, what it may bring back, and who may change what
//! a tool says.
#![expect(clippy::disallowed_methods, reason = "a test grants its own permits and spawns its own servers")]

#[cfg(test)]
mod addresses;
#[cfg(test)]
mod mcp;
#[cfg(test)]
mod server;
#[cfg(test)]
mod web;
