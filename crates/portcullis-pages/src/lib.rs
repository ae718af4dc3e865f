//! The member's web pages: functions from typed views to HTML, the files they link to, and the policy under which a
//! browser may show them.
//!
//! It reads nothing, waits for nothing and knows no route: who serves the pages looks everything up within the
//! asker's scope and hands it over. All text in a view is judged as hostile, whoever wrote it. Templates print through
//! one escaper ([`escape`]) that also takes out what a reader cannot see; an answer's Markdown is rendered, then
//! sanitised ([`answer`]); links are built here and lead to this site, or to `http` and `https` with the true host
//! beside them ([`link`]). No page has an inline script, style or handler, so [`POLICY`] allows none.
//!
//! The script asks for `POST /v1/chat/completions` (streaming, with `Idempotency-Key` and with `X-Conversation-Id`, which
//! is `new` for the first question), `BASE/chat/ID/last` for the [`answer_fragment`] of the last stored answer, and the
//! changing methods of `/v1/conversations/ID`, `/v1/memories`, `/v1/memories/ID`, `/v1/sessions`, `/v1/sessions/ID` and
//! `/v1/session`, `POST /v1/handovers/ID/acknowledge`, `/v1/approvals/ID/approve` and `deny`, and `/v1/me/approvals/ID/resume`. Each changing request carries `X-CSRF-Token`. The forms of the sign-in pages are posted without a
//! script and so without that header; pages set the referrer policy `same-origin`, because browsers send `Origin: null`
//! with a form under `no-referrer`.
//!
//! Start with [`view`] for what a page shows, and `templates/` for how.

mod answer;
mod assets;
mod escape;
mod link;
mod page;
pub mod view;
mod when;

pub use answer::answer_fragment;
pub use assets::{Asset, assets, cache_control};
pub use page::{
    account, approvals, chat, choose, confirm, document, elsewhere, handovers, history, link_refused,
    link_sent, memories, refused, sign_in,
};
pub use view::{
    Account, Allowance, Approval, ApprovalReader, Approvals, Author, Chat, Choose, ChooseProblem, Confirm,
    Conversation, Document, Elsewhere, Frame, Handover, Handovers, History, LinkRefused, LinkSent, Listed,
    Memories, Memory, Message, Notice, Part, Plan, Refused, Session, SignIn, SignInProblem, Source, Way,
};

/// The `Content-Security-Policy` of every page.
///
/// Scripts, styles and icons come from this site as files, and nothing else is loaded. The one script makes markup
/// only through the Trusted Types policy `portcullis`, whose result it copies node by node from an allow-list.
pub const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types portcullis";
