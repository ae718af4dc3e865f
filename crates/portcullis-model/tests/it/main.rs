//! The client and the test upstreams over real sockets, and the reading of requests.

#[cfg(test)]
mod cancellation;
#[cfg(test)]
mod client;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod request;
#[cfg(test)]
mod support;
#[cfg(test)]
mod timeouts;
#[cfg(test)]
mod upstreams;
