//! Transport, headers and what stands in front.

mod headers;

pub(super) mod edge_07_security_headers_are_in_place;
