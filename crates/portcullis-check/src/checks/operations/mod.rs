//! Deploying and running.

mod versions;

pub(super) mod dpl_07_all_services_are_ready;
