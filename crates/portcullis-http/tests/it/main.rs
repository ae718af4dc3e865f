//! The HTTP surface against real stores, a real journal and a real socket.

#[cfg(test)]
mod app;
#[cfg(test)]
mod chat;
#[cfg(test)]
mod isolation;
#[cfg(test)]
mod personal;
#[cfg(test)]
mod routes;
#[cfg(test)]
mod sign_in;
#[cfg(test)]
mod storm;
