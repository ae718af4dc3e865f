//! Who may ask.

mod protected;

pub(super) mod auth_01_protected_routes_refuse_strangers;
pub(super) mod auth_02_expired_sessions_are_refused;
pub(super) mod auth_05_search_results_need_entitlement;
