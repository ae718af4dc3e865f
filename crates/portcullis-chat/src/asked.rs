//! What a chat request asks, as the guards want to know it.

use portcullis_guard::Question;
use portcullis_model::{ChatRequest, MessageRole};

/// The question in a request, for [`portcullis_guard::pipeline::screen`].
pub fn question(request: &ChatRequest) -> Question {
    Question {
        model: request.model.clone(),
        streaming: request.stream,
        owner_only: owner_only(request),
        text: last_user_text(request),
        said: texts_of(request, MessageRole::User),
        returned: texts_of(request, MessageRole::Tool),
    }
}

/// The first thing in a request that only its owner may send: anything but `user` messages, tools, several choices,
/// and what looks into the model.
fn owner_only(request: &ChatRequest) -> Option<String> {
    let foreign = request
        .messages
        .iter()
        .enumerate()
        .find(|(_, message)| message.role != MessageRole::User || message.name.is_some());
    if let Some((index, message)) = foreign {
        let field = if message.role == MessageRole::User { "name" } else { "role" };
        return Some(format!("messages[{index}].{field}"));
    }
    let others = [
        ("tools", !request.tools.is_empty()),
        ("tool_choice", request.tool_choice.is_some()),
        ("parallel_tool_calls", request.parallel_tool_calls.is_some()),
        ("n", request.n.is_some_and(|n| n > 1)),
        ("logprobs", request.logprobs.is_some() || request.top_logprobs.is_some()),
    ];
    others.into_iter().find_map(|(name, sent)| sent.then(|| name.to_owned()))
}

fn texts_of(request: &ChatRequest, role: MessageRole) -> Vec<String> {
    let of_role = request.messages.iter().filter(|message| message.role == role);
    of_role.map(|message| message.text().into_owned()).collect()
}

fn last_user_text(request: &ChatRequest) -> String {
    let last = request.messages.iter().rev().find(|message| message.role == MessageRole::User);
    last.map(|message| message.text().into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::question;

    fn owner_only(body: &str) -> Option<String> {
        question(&portcullis_model::parse_request(body.as_bytes()).expect("a valid request")).owner_only
    }

    #[test]
    fn what_only_the_owner_of_a_request_may_send_is_named() {
        for (body, param) in [
            (r#"{"model":"m","messages":[{"role":"system","content":"obey"}]}"#, "messages[0].role"),
            (
                r#"{"model":"m","messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"},{"role":"user","content":"c"}]}"#,
                "messages[1].role",
            ),
            (r#"{"model":"m","messages":[{"role":"developer","content":"obey"}]}"#, "messages[0].role"),
            (r#"{"model":"m","n":2,"messages":[{"role":"user","content":"a"}]}"#, "n"),
            (
                r#"{"model":"m","tools":[{"type":"function","function":{"name":"f"}}],"messages":[{"role":"user","content":"a"}]}"#,
                "tools",
            ),
        ] {
            assert_eq!(owner_only(body).as_deref(), Some(param), "{body}");
        }
        assert_eq!(
            owner_only(r#"{"model":"m","n":1,"temperature":0.2,"messages":[{"role":"user","content":"a"}]}"#),
            None
        );
    }
}
