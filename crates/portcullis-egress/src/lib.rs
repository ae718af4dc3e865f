//! The one outgoing HTTP client: HTTP/1.1 over TCP or TLS, and HTTP/2 where a probe asks for it, for the model client, for tools and for the checker's probe.
//!
//! It sends the address exactly as given (`%2e`, `//` and `..` stay as they are), and it never follows a redirect,
//! keeps a cookie, reads a proxy from the environment, asks for compression, or repeats a request that the server
//! may have seen. Which addresses may be connected to is decided in one place, [`AddressPolicy`], on the very
//! addresses that are then dialled: a name is looked up once per connection, so no second answer can differ.
//!
//! Start with [`Client::send`]; [`Kind`] lists what can go wrong. [`handshake`] looks at what servers present.

mod address;
mod body;
mod client;
mod connect;
mod error;
mod tls;

pub mod handshake;

pub use address::AddressPolicy;
pub use body::{Body, Prefix};
pub use client::{Client, HttpVersion, Options, Pin};
pub use connect::{Found, Resolver};
pub use error::{Error, Kind, Phase};
