//! Who may ask.

mod protected;
mod reaching;
mod tampering;

pub(super) mod auth_01_protected_routes_refuse_strangers;
pub(super) mod auth_02_expired_sessions_are_refused;
pub(super) mod auth_03_members_cannot_reach_admin_routes;
pub(super) mod auth_04_conversations_open_only_to_their_owner;
pub(super) mod auth_05_search_results_need_entitlement;
