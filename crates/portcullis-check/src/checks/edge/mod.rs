//! Transport, headers and what stands in front.

mod blocking;
mod chain;
mod headers;
mod hops;
mod networks;
mod places;

pub(super) mod edge_01_https_is_forced_everywhere;
pub(super) mod edge_02_certificates_are_valid;
pub(super) mod edge_03_certificates_last_three_more_weeks;
pub(super) mod edge_04_tls_1_3_is_spoken_everywhere;
pub(super) mod edge_07_security_headers_are_in_place;
pub(super) mod edge_09_blocked_addresses_are_blocked;
pub(super) mod edge_10_abusive_addresses_are_blocked_by_themselves;
pub(super) mod edge_11_floods_do_not_take_the_service_down;
pub(super) mod edge_12_shared_caches_hold_no_member_data;
