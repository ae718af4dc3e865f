//! The member's pages, and the files they link to. Each shows what the routes under `/v1/` tell, within the same scope.

use axum::response::{Html, IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use jiff::Timestamp;
use portcullis_core::{Action, ConversationId, DocumentId, MemberId};
use portcullis_guard::{Code, Refusal};
use portcullis_pages::view;
use portcullis_pages::{Author, Frame};
use portcullis_store::conversations::{self, Said, StoredMessage};
use portcullis_store::memories::{LONGEST_MEMORY, MOST_MEMORIES};
use portcullis_store::{Community, CommunityRef, Document, Member};

use super::sign_in::{base_of, html, notice};
use super::{Call, OpenCall, id};

/// Conversations beside the chat, and on a page of the history.
const RECENT: usize = 8;
const LISTED: usize = 50;
/// The last messages of a conversation that its page shows.
const MESSAGES: usize = 100;

/// What every page of somebody signed in needs.
pub(super) struct Reader {
    community: Community,
    member: MemberId,
    csrf: String,
    /// Where the community's sign-in page begins.
    door: String,
}

impl Reader {
    /// A key or a token may read a page too, but has no session, and so no token for what the page changes.
    pub(super) async fn of(call: &Call) -> Result<Self, Refusal> {
        let (stores, scope) = (call.app.stores(), call.visit.scope());
        let nobody = || Refusal::new(Code::NotAllowed, "pages are for members; this key acts for none");
        let member = scope.member().ok_or_else(nobody)?;
        let found = stores.directory.find(CommunityRef::Id(scope.community())).await?;
        let community = found.ok_or_else(|| Refusal::new(Code::NotFound, "there is no such thing here"))?;
        let csrf = call.visit.session().map(|session| call.app.gate().csrf_token(session));
        let door = base_of(&call.app, &community);
        Ok(Self { community, member, csrf: csrf.unwrap_or_default(), door })
    }

    /// Only for the pages that name them: a key that was issued to read content does not cover reading its member.
    async fn member(&self, call: &Call) -> Result<Member, Refusal> {
        Ok(call.app.stores().members.get(call.visit.scope(), self.member).await?)
    }

    pub(super) fn csrf(&self) -> &str {
        &self.csrf
    }

    pub(super) fn frame(&self, call: &Call) -> Frame<'_> {
        Frame { community: &self.community.name, base: "", door: &self.door, notice: notice(&call.app) }
    }
}

pub(super) async fn chat(call: Call) -> Result<Response, Refusal> {
    let reader = Reader::of(&call).await?;
    show_chat(&call, &reader, None).await
}

pub(super) async fn conversation(call: Call) -> Result<Response, Refusal> {
    let reader = Reader::of(&call).await?;
    let conversation: ConversationId = id(&call)?;
    let store = &call.app.stores().conversations;
    let found = store.get(call.visit.scope(), conversation).await?;
    let messages = store.messages(call.visit.scope(), conversation, MESSAGES).await?;
    show_chat(&call, &reader, Some((found, messages))).await
}

async fn show_chat(
    call: &Call,
    reader: &Reader,
    shown: Option<(conversations::Conversation, Vec<StoredMessage>)>,
) -> Result<Response, Refusal> {
    let (scope, gate) = (call.visit.scope(), call.app.gate());
    let recent = call.app.stores().conversations.list(scope, None, RECENT).await?;
    let recent: Vec<Entry> = recent.iter().map(Entry::of).collect();
    let recent: Vec<_> = recent.iter().map(Entry::view).collect();
    let said = match shown {
        None => None,
        Some((conversation, messages)) => {
            Some((conversation.id.to_string(), conversation.title, Told::all(call, messages).await?))
        }
    };
    let member = reader.member(call).await?;
    let tightest = call.visit.tightest().map(|tightest| tightest.allowance);
    let page = portcullis_pages::chat(&view::Chat {
        frame: reader.frame(call),
        member: &member.name,
        csrf: &reader.csrf,
        model: gate.models().first().map_or("", String::as_str),
        conversation: said.as_ref().map(|(id, title, messages)| view::Conversation {
            id,
            title,
            messages: messages.iter().map(Told::view).collect(),
        }),
        recent: &recent,
        allowance: tightest.and_then(|left| {
            let resets = gate.clock().now().checked_add(left.resets_in).ok()?;
            Some(view::Allowance { remaining: left.remaining.into(), limit: left.limit.into(), resets })
        }),
    });
    Ok(html(StatusCode::OK, &page))
}

/// The last answer of a conversation, rendered: what the chat page puts in the place of the text that streamed.
pub(super) async fn last(call: Call) -> Result<Response, Refusal> {
    let conversation: ConversationId = id(&call)?;
    let messages = call.app.stores().conversations.messages(call.visit.scope(), conversation, 2).await?;
    let answer =
        messages.into_iter().rev().find(|message| message.author == conversations::Author::Assistant);
    let answer = answer.ok_or_else(|| Refusal::new(Code::NotFound, "there is no such thing here"))?;
    let said = Told::all(&call, vec![answer]).await?;
    let shown = said.first().map(Told::view);
    let text = shown.as_ref().and_then(|message| message.text).unwrap_or_default();
    let sources = shown.as_ref().map_or(&[][..], |message| message.sources.as_slice());
    let fragment = portcullis_pages::answer_fragment(text, sources);
    Ok((StatusCode::OK, Html(fragment)).into_response())
}

pub(super) async fn history(call: Call) -> Result<Response, Refusal> {
    let reader = Reader::of(&call).await?;
    let before = match call.query("before") {
        None => None,
        Some(text) => Some(text.parse::<Timestamp>().map_err(|_| {
            Refusal::new(Code::InvalidRequest, "`before` must be a moment such as 2026-01-31T00:00:00Z")
                .param("before")
        })?),
    };
    let found = call.app.stores().conversations.list(call.visit.scope(), before, LISTED).await?;
    let older = found.last().filter(|_| found.len() == LISTED);
    let older = older.map(|last| format!("/history?before={}", last.updated));
    let entries: Vec<Entry> = found.iter().map(Entry::of).collect();
    let entries: Vec<_> = entries.iter().map(Entry::view).collect();
    let page = portcullis_pages::history(&view::History {
        frame: reader.frame(&call),
        csrf: &reader.csrf,
        conversations: &entries,
        older: older.as_deref(),
    });
    Ok(html(StatusCode::OK, &page))
}

pub(super) async fn memories(call: Call) -> Result<Response, Refusal> {
    let reader = Reader::of(&call).await?;
    let memories = call.app.stores().memories.list(call.visit.scope()).await?;
    let ids: Vec<String> = memories.iter().map(|memory| memory.id.to_string()).collect();
    let shown: Vec<_> = memories
        .iter()
        .zip(&ids)
        .map(|(memory, id)| view::Memory { id, text: &memory.text, updated: memory.updated })
        .collect();
    let page = portcullis_pages::memories(&view::Memories {
        frame: reader.frame(&call),
        csrf: &reader.csrf,
        memories: &shown,
        most: MOST_MEMORIES,
        longest: LONGEST_MEMORY,
    });
    Ok(html(StatusCode::OK, &page))
}

pub(super) async fn account(call: Call) -> Result<Response, Refusal> {
    let reader = Reader::of(&call).await?;
    let member = reader.member(&call).await?;
    let now = call.app.gate().clock().now();
    let plans: Vec<_> = member
        .entitlements
        .iter()
        .map(|held| view::Plan {
            name: &held.plan,
            until: held.until,
            ended: held.until.is_some_and(|until| until <= now),
        })
        .collect();
    let current = call.visit.session();
    let found = call.app.stores().sessions.list(call.visit.scope()).await?;
    let ids: Vec<String> = found.iter().map(|session| session.id.to_string()).collect();
    let sessions: Vec<_> = found
        .iter()
        .zip(&ids)
        .map(|(session, id)| view::Session {
            id,
            created: session.created,
            last_used: session.last_used,
            expires: session.expires,
            current: current == Some(session.id),
        })
        .collect();
    let page = portcullis_pages::account(&view::Account {
        frame: reader.frame(&call),
        csrf: &reader.csrf,
        name: &member.name,
        role: member.role.name(),
        handles: call.visit.scope().may(Action::HandleHandovers),
        plans: &plans,
        sessions: &sessions,
    });
    Ok(html(StatusCode::OK, &page))
}

pub(super) async fn document(call: Call) -> Result<Response, Refusal> {
    let reader = Reader::of(&call).await?;
    let wanted: DocumentId = id(&call)?;
    let Document { title, url, author, written, text, .. } =
        call.app.stores().content.document(call.visit.scope(), wanted).await?;
    let parts: Vec<_> = text
        .chunks
        .iter()
        .map(|chunk| view::Part {
            heading: &chunk.heading,
            author: chunk.author.as_deref(),
            text: &chunk.text,
        })
        .collect();
    let page = portcullis_pages::document(&view::Document {
        frame: reader.frame(&call),
        title: &title,
        author: author.as_deref(),
        written,
        url: url.as_deref(),
        parts: &parts,
    });
    Ok(html(StatusCode::OK, &page))
}

pub(super) async fn style(call: OpenCall) -> Result<Response, Refusal> {
    asset(&call, "/assets/portcullis.css")
}

pub(super) async fn script(call: OpenCall) -> Result<Response, Refusal> {
    asset(&call, "/assets/portcullis.js")
}

pub(super) async fn mark(call: OpenCall) -> Result<Response, Refusal> {
    asset(&call, "/assets/portcullis.svg")
}

/// A file of the pages. Their links name its content, so browsers may keep it.
fn asset(call: &OpenCall, path: &str) -> Result<Response, Refusal> {
    let found = portcullis_pages::assets().iter().find(|asset| asset.path == path);
    let asset = found.ok_or_else(|| Refusal::new(Code::NotFound, "there is no such file here"))?;
    let wanted = call.query.strip_prefix("v=");
    let etag = HeaderValue::from_str(&format!("\"{}\"", asset.etag));
    let etag = etag.map_err(|_| Refusal::new(Code::Internal, "the file has no valid tag"))?;
    let unchanged = call.headers.get(header::IF_NONE_MATCH) == Some(&etag);
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(asset.content_type)),
        (header::CACHE_CONTROL, HeaderValue::from_static(portcullis_pages::cache_control(asset, wanted))),
        (header::ETAG, etag),
    ];
    if unchanged {
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    Ok((StatusCode::OK, headers, asset.body).into_response())
}

/// A conversation in a list.
struct Entry {
    id: String,
    title: String,
    updated: Timestamp,
}

impl Entry {
    fn of(conversation: &conversations::Conversation) -> Self {
        Self {
            id: conversation.id.to_string(),
            title: conversation.title.clone(),
            updated: conversation.updated,
        }
    }

    fn view(&self) -> view::Listed<'_> {
        view::Listed { id: &self.id, title: &self.title, updated: self.updated }
    }
}

/// A message with its sources' titles.
struct Told {
    message: StoredMessage,
    sources: Vec<(String, String)>,
}

impl Told {
    /// Looks the titles up, within the scope: what it does not reach has no title here.
    async fn all(call: &Call, messages: Vec<StoredMessage>) -> Result<Vec<Self>, Refusal> {
        let mut wanted: Vec<DocumentId> =
            messages.iter().flat_map(|message| message.sources.iter().copied()).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let titles = call.app.stores().content.titles(call.visit.scope(), &wanted).await?;
        let mut all = Vec::with_capacity(messages.len());
        for message in messages {
            let sources = message.sources.iter();
            let sources = sources.filter_map(|id| Some((id.to_string(), titles.get(id)?.clone()))).collect();
            all.push(Self { message, sources });
        }
        Ok(all)
    }

    fn view(&self) -> view::Message<'_> {
        let sources = self.sources.iter().enumerate().map(|(place, (document, title))| view::Source {
            base: "",
            number: Some(place + 1),
            document,
            title,
        });
        view::Message {
            author: match self.message.author {
                conversations::Author::Member => Author::Member,
                conversations::Author::Assistant => Author::Assistant,
            },
            text: match &self.message.said {
                Said::Text(text) => Some(text),
                Said::Withheld => None,
            },
            sources: sources.collect(),
            when: self.message.created,
        }
    }
}
