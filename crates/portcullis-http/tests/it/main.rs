//! The HTTP surface against real stores, a real journal and a real socket.

#[cfg(test)]
mod app;
#[cfg(test)]
mod approvals;
#[cfg(test)]
mod blocks;
#[cfg(test)]
mod budgets;
#[cfg(test)]
mod changes;
#[cfg(test)]
mod chat;
#[cfg(test)]
mod drain;
#[cfg(test)]
mod events;
#[cfg(test)]
mod handovers;
#[cfg(test)]
mod held;
#[cfg(test)]
mod isolation;
#[cfg(test)]
mod leaks;
#[cfg(test)]
mod leaving;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod meter;
#[cfg(test)]
mod operator;
#[cfg(test)]
mod pairs;
#[cfg(test)]
mod panics;
#[cfg(test)]
mod personal;
#[cfg(test)]
mod raw;
#[cfg(test)]
mod redirect;
#[cfg(test)]
mod retries;
#[cfg(test)]
mod routes;
#[cfg(test)]
mod screen;
#[cfg(test)]
mod sign_in;
#[cfg(test)]
mod standing;
// As it ships: the switches of the other build change nothing that it looks at, and it takes a while.
#[cfg(test)]
#[cfg(not(feature = "guard-off"))]
mod storm;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod tools;
#[cfg(test)]
mod unread;
