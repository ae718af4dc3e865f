//! Roles, what they may do, and who has them.

mod cells;
pub(super) mod joining;
mod letters;
mod listing;

pub(super) mod rbac_01_roles_and_permissions_are_declared;
pub(super) mod rbac_02_every_user_has_a_role;
pub(super) mod rbac_03_permissions_are_enforced;
pub(super) mod rbac_04_new_users_get_the_least_role;
