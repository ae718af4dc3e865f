//! Communities kept apart.

mod counts;

pub(super) mod ten_01_members_cannot_query_another_community;
pub(super) mod ten_02_citations_matches_and_memories_are_scoped;
pub(super) mod ten_03_every_database_query_is_scoped;
pub(super) mod ten_04_vector_search_is_partitioned_or_filtered;
pub(super) mod ten_05_community_ids_from_the_client_are_ignored;
pub(super) mod ten_06_uploads_and_workspaces_open_only_to_their_members;
pub(super) mod ten_07_closed_spaces_stay_closed_to_the_bot;
