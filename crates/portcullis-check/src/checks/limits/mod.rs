//! How much may be asked.

mod dimension;
mod users;

pub(super) mod rl_01_chat_is_limited_per_user_address_and_session;
