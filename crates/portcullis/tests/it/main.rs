//! The program as its users meet it.

#[cfg(test)]
mod approvals;
#[cfg(test)]
mod blocklist;
#[cfg(test)]
mod circles;
#[cfg(test)]
mod cli;
#[cfg(test)]
mod clients;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod demo;
#[cfg(test)]
mod drain;
#[cfg(test)]
mod edge;
#[cfg(test)]
mod exports;
#[cfg(test)]
mod flood;
#[cfg(test)]
mod guard;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod log;
#[cfg(test)]
mod mail;
#[cfg(feature = "guard-off")]
#[cfg(test)]
mod matrix;
#[cfg(test)]
mod pages;
#[cfg(test)]
mod powercut;
#[cfg(test)]
mod program;
#[cfg(feature = "sandbox")]
#[cfg(test)]
mod programs;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod tools;
