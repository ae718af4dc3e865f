//! The client against real sockets: raw listeners, so that what is sent is seen byte for byte.

#[cfg(test)]
mod addresses;
#[cfg(test)]
mod exchange;
#[cfg(test)]
mod handshakes;
#[cfg(test)]
mod raw;
#[cfg(test)]
mod secure;
#[cfg(test)]
mod timeouts;
