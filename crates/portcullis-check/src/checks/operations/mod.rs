//! Deploying and running.

mod versions;

pub(super) mod dpl_07_all_services_are_ready;
pub(super) mod log_01_logs_hold_no_tokens_personal_data_or_prompts;
