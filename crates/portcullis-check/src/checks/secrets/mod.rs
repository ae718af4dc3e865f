//! Keys and secrets.

mod strength;

pub(super) mod sec_08_the_token_secret_is_strong;
pub(super) mod sec_09_the_encryption_key_is_strong;
pub(super) mod sec_10_the_form_secret_is_strong;
