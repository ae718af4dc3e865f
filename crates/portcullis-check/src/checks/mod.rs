//! The list of checks, sorted by id. It is explicit, so that a check cannot be lost without a word.

mod auth;
mod belongings;
mod canary;
mod deployment;
mod edge;
mod forwarded;
mod injection;
mod limits;
mod markup;
mod operations;
mod roles;
mod sandbox;
mod saying;
mod secrets;
mod standing;
mod tenancy;

pub use injection::red_team;

use crate::check::Check;
pub use injection::poison;

/// Every check.
pub const CHECKS: &[Check] = &[
    auth::auth_01_protected_routes_refuse_strangers::CHECK,
    auth::auth_02_expired_sessions_are_refused::CHECK,
    auth::auth_03_members_cannot_reach_admin_routes::CHECK,
    auth::auth_04_conversations_open_only_to_their_owner::CHECK,
    auth::auth_05_search_results_need_entitlement::CHECK,
    operations::dpl_07_all_services_are_ready::CHECK,
    edge::edge_01_https_is_forced_everywhere::CHECK,
    edge::edge_02_certificates_are_valid::CHECK,
    edge::edge_03_certificates_last_three_more_weeks::CHECK,
    edge::edge_04_tls_1_3_is_spoken_everywhere::CHECK,
    edge::edge_07_security_headers_are_in_place::CHECK,
    edge::edge_09_blocked_addresses_are_blocked::CHECK,
    edge::edge_10_abusive_addresses_are_blocked_by_themselves::CHECK,
    edge::edge_11_floods_do_not_take_the_service_down::CHECK,
    edge::edge_12_shared_caches_hold_no_member_data::CHECK,
    operations::log_01_logs_hold_no_tokens_personal_data_or_prompts::CHECK,
    injection::pi_01_prompt_injection_does_not_steer_the_bot::CHECK,
    injection::pi_02_instructions_in_uploads_are_not_followed::CHECK,
    injection::pi_03_the_system_prompt_stays_private::CHECK,
    injection::pi_04_admin_notes_cannot_be_talked_out::CHECK,
    injection::pi_05_tools_run_only_from_an_allow_list::CHECK,
    injection::pi_06_risky_requests_reach_a_human::CHECK,
    injection::pi_07_known_injection_patterns_are_recognised::CHECK,
    injection::pi_08_harmless_questions_are_not_refused::CHECK,
    injection::pi_09_sql_injection_is_prevented::CHECK,
    injection::pi_10_model_output_cannot_run_as_script::CHECK,
    injection::pi_11_forged_form_posts_are_refused::CHECK,
    injection::pi_12_filters_run_before_the_model::CHECK,
    roles::rbac_01_roles_and_permissions_are_declared::CHECK,
    roles::rbac_02_every_user_has_a_role::CHECK,
    roles::rbac_03_permissions_are_enforced::CHECK,
    roles::rbac_04_new_users_get_the_least_role::CHECK,
    limits::rl_01_chat_is_limited_per_user_address_and_session::CHECK,
    limits::rl_03_the_standard_tier_is_exact::CHECK,
    limits::rl_04_the_enhanced_tier_is_exact::CHECK,
    limits::rl_05_the_dedicated_tier_is_exact::CHECK,
    limits::rl_06_limits_cannot_be_bypassed::CHECK,
    limits::rl_07_limits_hold_under_load::CHECK,
    limits::rl_09_model_costs_are_capped::CHECK,
    sandbox::sbx_05_sandboxed_code_cannot_get_out::CHECK,
    sandbox::sbx_06_sandboxes_run_side_by_side::CHECK,
    secrets::sec_08_the_token_secret_is_strong::CHECK,
    secrets::sec_09_the_encryption_key_is_strong::CHECK,
    secrets::sec_10_the_form_secret_is_strong::CHECK,
    tenancy::ten_01_members_cannot_query_another_community::CHECK,
    tenancy::ten_02_citations_matches_and_memories_are_scoped::CHECK,
    tenancy::ten_03_every_database_query_is_scoped::CHECK,
    tenancy::ten_04_vector_search_is_partitioned_or_filtered::CHECK,
    tenancy::ten_05_community_ids_from_the_client_are_ignored::CHECK,
    tenancy::ten_06_uploads_and_workspaces_open_only_to_their_members::CHECK,
    tenancy::ten_07_closed_spaces_stay_closed_to_the_bot::CHECK,
];
