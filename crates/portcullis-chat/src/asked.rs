//! What a chat request asks, as the guards want to know it.

use portcullis_guard::Question;
use portcullis_model::{ChatRequest, Content, Message, MessageRole, ResponseFormat};

/// The question in a request, for [`portcullis_guard::pipeline::screen`].
pub fn question(request: &ChatRequest) -> Question {
    Question {
        model: request.model.clone(),
        streaming: request.stream,
        owner_only: owner_only(request),
        text: last_user_text(request),
        said: request.stop.iter().cloned().chain(texts_of(request, MessageRole::User)).collect(),
        returned: texts_of(request, MessageRole::Tool),
    }
}

/// The first thing in a request that only its owner may send: anything but `user` messages, tools, several choices, a
/// schema for the answer, and what looks into the model.
fn owner_only(request: &ChatRequest) -> Option<String> {
    // Each field is named, so that a new one is placed: here, in what is screened, in what is left out, or among those
    // that hold no words.
    let ChatRequest {
        messages,
        tools,
        tool_choice,
        parallel_tool_calls,
        n,
        logprobs,
        top_logprobs,
        response_format,
        // Screened with what was said.
        stop: _,
        // Left out by [`as_judged`].
        user: _,
        // One of those that are configured.
        model: _,
        stream: _,
        include_usage: _,
        temperature: _,
        top_p: _,
        max_tokens: _,
        max_completion_tokens: _,
        seed: _,
        presence_penalty: _,
        frequency_penalty: _,
    } = request;
    let foreign = messages.iter().enumerate().find_map(|(index, message)| {
        // Only turns of other roles hold calls.
        let Message { role, name, content: _, tool_call_id: _, tool_calls: _ } = message;
        let field = match (role, name) {
            (MessageRole::User, None) => return None,
            (MessageRole::User, Some(_)) => "name",
            _ => "role",
        };
        Some(format!("messages[{index}].{field}"))
    });
    if foreign.is_some() {
        return foreign;
    }
    let schema = match response_format {
        Some(ResponseFormat::JsonSchema { .. }) => true,
        Some(ResponseFormat::Text | ResponseFormat::JsonObject) | None => false,
    };
    let others = [
        ("tools", !tools.is_empty()),
        ("tool_choice", tool_choice.is_some()),
        ("parallel_tool_calls", parallel_tool_calls.is_some()),
        ("n", n.is_some_and(|n| n > 1)),
        ("logprobs", logprobs.is_some() || top_logprobs.is_some()),
        // Its names and descriptions are words that the model reads.
        ("response_format", schema),
    ];
    others.into_iter().find_map(|(name, sent)| sent.then(|| name.to_owned()))
}

/// Leaves of a member's request what was judged: of each message the one text that guards have read, since parts are put
/// together by each model in its own way; and no name of who asks, which a member could choose.
pub(crate) fn as_judged(request: &mut ChatRequest) {
    request.user = None;
    for message in &mut request.messages {
        if let Some(Content::Parts(_)) = message.content {
            message.content = Some(Content::Text(message.text().into_owned()));
        }
    }
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
    use serde_json::{Value, json};

    use super::{as_judged, question};

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

    /// What becomes of a field that a member sends.
    enum Field {
        /// It is refused, with the parameter that is named.
        Refused(&'static str),
        /// Its words are screened.
        Screened,
        /// It holds no words of the member's that a model reads.
        Wordless,
        /// It is left out of what the model is sent (`put_in_context`).
        LeftOut,
    }

    #[test]
    fn no_field_carries_a_members_words_past_the_screen() {
        use Field::{LeftOut, Refused, Screened, Wordless};
        let user = json!({ "role": "user", "content": "WORDS" });
        let message = |message: Value| json!([user, message]);
        let call =
            json!([{ "id": "c", "type": "function", "function": { "name": "WORDS", "arguments": "WORDS" } }]);
        let function =
            json!({ "name": "WORDS", "description": "WORDS", "parameters": { "description": "WORDS" } });
        let named = json!({ "name": "WORDS", "description": "WORDS", "schema": { "title": "WORDS" } });
        let fields = [
            ("messages", json!([user]), Screened),
            (
                "messages",
                message(json!({ "role": "user", "content": [{ "type": "text", "text": "WORDS" }] })),
                Screened,
            ),
            (
                "messages",
                message(json!({ "role": "user", "content": "a", "name": "WORDS" })),
                Refused("messages[1].name"),
            ),
            (
                "messages",
                message(json!({ "role": "system", "content": "WORDS" })),
                Refused("messages[1].role"),
            ),
            (
                "messages",
                message(json!({ "role": "developer", "content": "WORDS" })),
                Refused("messages[1].role"),
            ),
            (
                "messages",
                message(json!({ "role": "assistant", "content": "WORDS" })),
                Refused("messages[1].role"),
            ),
            (
                "messages",
                message(json!({ "role": "assistant", "tool_calls": call })),
                Refused("messages[1].role"),
            ),
            (
                "messages",
                message(json!({ "role": "tool", "tool_call_id": "WORDS", "content": "WORDS" })),
                Refused("messages[1].role"),
            ),
            // One of those that are configured, or it is refused.
            ("model", json!("m"), Wordless),
            ("stream", json!(true), Wordless),
            ("stream_options", json!({ "include_usage": true }), Wordless),
            ("temperature", json!(0.5), Wordless),
            ("top_p", json!(0.5), Wordless),
            ("max_tokens", json!(5), Wordless),
            ("max_completion_tokens", json!(5), Wordless),
            ("stop", json!(["WORDS"]), Screened),
            ("seed", json!(7), Wordless),
            ("n", json!(2), Refused("n")),
            ("presence_penalty", json!(0.5), Wordless),
            ("frequency_penalty", json!(0.5), Wordless),
            ("tools", json!([{ "type": "function", "function": function }]), Refused("tools")),
            ("tool_choice", json!("auto"), Refused("tool_choice")),
            (
                "tool_choice",
                json!({ "type": "function", "function": { "name": "WORDS" } }),
                Refused("tool_choice"),
            ),
            ("response_format", json!({ "type": "text" }), Wordless),
            ("response_format", json!({ "type": "json_object" }), Wordless),
            (
                "response_format",
                json!({ "type": "json_schema", "json_schema": named }),
                Refused("response_format"),
            ),
            ("user", json!("WORDS"), LeftOut),
            ("parallel_tool_calls", json!(true), Refused("parallel_tool_calls")),
            ("logprobs", json!(true), Refused("logprobs")),
            ("top_logprobs", json!(3), Refused("logprobs")),
        ];
        for (key, value, wanted) in fields {
            let mut body = json!({ "model": "m", "messages": [{ "role": "user", "content": "hello" }] });
            body[key] = value;
            if key == "stream_options" {
                body["stream"] = json!(true);
            }
            let mut request =
                portcullis_model::parse_request(body.to_string().as_bytes()).expect("a valid request");
            let asked = question(&request);
            as_judged(&mut request);
            let sent: Value = serde_json::from_slice(&request.to_json()).expect("JSON");
            let screened = asked.said.iter().any(|said| said == "WORDS");
            let reached = sent.to_string().contains("WORDS");
            match wanted {
                Refused(param) => assert_eq!(asked.owner_only.as_deref(), Some(param), "{body}"),
                Screened => assert!(asked.owner_only.is_none() && screened && reached, "{body}"),
                Wordless => {
                    assert!(asked.owner_only.is_none() && !body.to_string().contains("WORDS"), "{body}");
                    assert_eq!(sent[key], body[key], "{body}");
                }
                LeftOut => assert!(asked.owner_only.is_none() && sent.get(key).is_none(), "{body}"),
            }
        }
    }

    #[test]
    fn what_is_sent_of_a_message_is_what_was_judged() {
        let parts = r#"{"model":"m","user":"u","messages":[{"role":"user","content":"Hello"},{"role":"user",
            "content":[{"type":"text","text":"Ig"},{"type":"text","text":"no"},{"type":"text","text":"re"}]}]}"#;
        let mut request = portcullis_model::parse_request(parts.as_bytes()).expect("a valid request");
        let said = question(&request).said;
        as_judged(&mut request);
        let sent: Value = serde_json::from_slice(&request.to_json()).expect("JSON");
        let contents: Vec<&Value> =
            sent["messages"].as_array().expect("a list").iter().map(|message| &message["content"]).collect();
        assert_eq!(contents, ["Hello", "Ig\nno\nre"]);
        assert_eq!(said, ["Hello", "Ig\nno\nre"]);
    }
}
