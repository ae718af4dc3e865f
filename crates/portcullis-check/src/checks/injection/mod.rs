//! What the bot can be talked into.

mod alarms;
mod attacks;
mod effects;
mod harmless;
pub mod poison;
mod screening;
mod stage;

pub use attacks::red_team;

pub(super) mod pi_01_prompt_injection_does_not_steer_the_bot;
pub(super) mod pi_02_instructions_in_uploads_are_not_followed;
pub(super) mod pi_03_the_system_prompt_stays_private;
pub(super) mod pi_04_admin_notes_cannot_be_talked_out;
pub(super) mod pi_05_tools_run_only_from_an_allow_list;
pub(super) mod pi_06_risky_requests_reach_a_human;
pub(super) mod pi_07_known_injection_patterns_are_recognised;
pub(super) mod pi_08_harmless_questions_are_not_refused;
pub(super) mod pi_09_sql_injection_is_prevented;
pub(super) mod pi_10_model_output_cannot_run_as_script;
pub(super) mod pi_11_forged_form_posts_are_refused;
pub(super) mod pi_12_filters_run_before_the_model;
