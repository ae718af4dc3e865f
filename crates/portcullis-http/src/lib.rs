//! The HTTP surface of `serve`: routes, errors, transport layers, the listener.
//!
//! It holds no rules: what a route may do is decided in `portcullis-guard`, and how a question is answered in
//! `portcullis-chat`. Start with [`routes`]: the one table of every route, what it needs, and what it does. A route
//! that is not in the table does not exist, and one that names no access does not compile.

pub mod address;
pub mod app;
mod block_file;
pub mod cookies;
mod crowd;
mod dispatch;
pub mod idempotency;
mod lasting;
mod limits;
pub mod openapi;
pub mod operator;
mod patience;
pub mod problem;
mod redirect;
mod requests;
pub mod routes;
pub mod server;
pub mod stack;
pub mod tls;

pub use address::TrustedProxies;
pub use app::{App, AppParts, BodyPace, Settings, SignInSettings};
pub use block_file::BlockFile;
pub use cookies::Cookies;
pub use dispatch::router;
pub use operator::{OPERATOR_ROUTES, Operator, OperatorParts, OperatorRoute, operator_router};
pub use problem::Problem;
pub use redirect::redirect;
pub use routes::{Access, ROUTES, Route};
pub use server::{Server, ServerLimits};
pub use tls::{Looked, OldestTls, Tls, TlsFault, TlsOptions};
