//! What the bot can be talked into.

mod attacks;
mod stage;

pub(super) mod pi_03_the_system_prompt_stays_private;
