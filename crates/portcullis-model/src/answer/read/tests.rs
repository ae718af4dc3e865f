use proptest::prelude::*;
use serde_json::{Value, json};

use super::{chunk, completion, models, refusal};
use crate::error::{Kind, Rejection};

/// Every key that a frame may hold, at any depth.
const ALLOWED: [&str; 21] = [
    "object",
    "id",
    "created",
    "model",
    "choices",
    "usage",
    "index",
    "delta",
    "message",
    "finish_reason",
    "role",
    "content",
    "reasoning_content",
    "refusal",
    "tool_calls",
    "type",
    "function",
    "name",
    "arguments",
    "prompt_tokens",
    "completion_tokens",
];

fn keys(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                found.push(key.clone());
                keys(value, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| keys(item, found)),
        _ => {}
    }
}

fn rebuilt(frame: &Value) -> Value {
    let json = serde_json::to_string(&chunk(frame.to_string().as_bytes()).unwrap()).unwrap();
    assert!(!json.contains('\n'));
    serde_json::from_str(&json).unwrap()
}

#[test]
fn a_frame_is_rebuilt_from_the_allow_list_only() {
    let frame = json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 5, "model": "m-1",
        "system_fingerprint": "CANARY", "prompt": "CANARY", "x_secret": {"a": ["CANARY"]}, "service_tier": "CANARY",
        "choices": [{
            "index": 1, "logprobs": {"content": "CANARY"}, "text": "CANARY", "x": "CANARY", "finish_reason": "CANARY",
            "delta": {"role": "CANARY", "content": "hello\n", "reasoning": "CANARY", "function_call": {"name": "CANARY"},
                "annotations": ["CANARY"], "audio": {"data": "CANARY"},
                "tool_calls": [{"index": 2, "id": "c", "type": "CANARY", "x": "CANARY",
                    "function": {"name": "f", "arguments": "{}", "x": "CANARY"}}]},
        }],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3,
            "prompt_tokens_details": {"cached_tokens": "CANARY"}},
    });
    assert_eq!(
        rebuilt(&frame),
        json!({
            "object": "chat.completion.chunk", "id": "chatcmpl-1", "created": 5, "model": "m-1",
            "choices": [{"index": 1, "finish_reason": "stop", "delta": {"role": "assistant", "content": "hello\n",
                "tool_calls": [{"index": 2, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
        })
    );
}

#[test]
fn what_upstreams_leave_out_or_send_as_null_is_taken() {
    let minimal = json!({"choices": [{"delta": {"content": "x"}}]});
    assert_eq!(
        rebuilt(&minimal),
        json!({"object": "chat.completion.chunk", "id": "", "created": 0, "model": "",
            "choices": [{"index": 0, "finish_reason": null, "delta": {"content": "x"}}]})
    );
    for frame in [
        json!({"choices": []}),
        json!({"id": null, "created": null, "model": null, "usage": null, "error": null, "choices": [{"index": null,
            "finish_reason": null, "delta": null}]}),
        json!({"choices": [{"delta": {"role": null, "content": null, "tool_calls": null, "refusal": null}}]}),
        json!({"choices": [{"delta": {"tool_calls": [{"function": null}]}}]}),
    ] {
        chunk(frame.to_string().as_bytes()).unwrap();
    }
    let total = json!({"choices": [], "usage": {"prompt_tokens": 2, "completion_tokens": 3}});
    assert_eq!(rebuilt(&total)["usage"]["total_tokens"], 5);
}

#[test]
fn a_hostile_frame_is_refused() {
    let deep = format!("{{\"choices\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let many = format!("{{\"choices\":[{}{{}}]}}", "{},".repeat(128));
    let bodies = [
        "",
        "{}",
        "null",
        "[]",
        "\"x\"",
        "{\"choices\":{}}",
        "{\"choices\":[1]}",
        "{\"choices\":[{\"delta\":\"x\"}]}",
        "{\"choices\":[{\"delta\":{\"content\":1}}]}",
        "{\"choices\":[{\"delta\":{\"content\":[{\"text\":\"x\"}]}}]}",
        "{\"choices\":[{\"delta\":{\"content\":\"\\ud800\"}}]}",
        "{\"choices\":[{\"delta\":{\"tool_calls\":{}}}]}",
        "{\"choices\":[{\"index\":-1,\"delta\":{}}]}",
        "{\"choices\":[{\"index\":128,\"delta\":{}}]}",
        "{\"choices\":[{\"index\":4294967296,\"delta\":{}}]}",
        "{\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":99999}]}}]}",
        "{\"choices\":[],\"created\":NaN}",
        "{\"choices\":[],\"created\":1e999}",
        "{\"choices\":[],\"created\":1.5}",
        "{\"choices\":[],\"usage\":{\"prompt_tokens\":-1}}",
        "{\"choices\":[],\"usage\":{\"prompt_tokens\":18446744073709551615}}",
        "{\"choices\":[],\"choices\":[]}",
        "{\"choices\":[{\"delta\":{\"content\":\"a\",\"content\":\"b\"}}]}",
        "{\"choices\":[]} {}",
        "{\"choices\":[",
        &deep,
        &many,
    ];
    for body in bodies {
        let error = chunk(body.as_bytes()).unwrap_err();
        assert_eq!(error.kind(), Kind::Malformed, "{}", body.chars().take(80).collect::<String>());
    }
    assert_eq!(
        chunk(b"{\"choices\":[{\"delta\":{\"content\":\"\xff\"}}]}").unwrap_err().kind(),
        Kind::Malformed
    );
    // What is skipped may be as deep and as odd as it likes, as long as it is JSON.
    let skipped = format!("{{\"choices\":[],\"x\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(
        chunk(skipped.as_bytes()).is_ok() || chunk(skipped.as_bytes()).unwrap_err().kind() == Kind::Malformed
    );
}

#[test]
fn ids_and_names_are_plain_and_bounded() {
    let frame = json!({"id": "a b\n\"é\u{202e}c", "model": "m".repeat(5000), "choices": []});
    let rebuilt = rebuilt(&frame);
    assert_eq!(rebuilt["id"], "ab\"c");
    assert_eq!(rebuilt["model"].as_str().unwrap().len(), 256);
}

#[test]
fn a_whole_answer_needs_a_choice_and_a_message() {
    let good = json!({"id": "x", "choices": [{"message": {"role": "assistant", "content": "hi", "x": "CANARY"},
        "finish_reason": "length", "logprobs": "CANARY"}], "x_secret": "CANARY"});
    let answer = completion(good.to_string().as_bytes()).unwrap();
    assert_eq!(
        serde_json::from_slice::<Value>(&answer.to_json()).unwrap(),
        json!({"object": "chat.completion", "id": "x", "created": 0, "model": "",
            "choices": [{"index": 0, "finish_reason": "length", "message": {"role": "assistant", "content": "hi"}}]})
    );
    for bad in
        [json!({}), json!({"choices": []}), json!({"choices": [{}]}), json!({"choices": [{"message": null}]})]
    {
        assert_eq!(completion(bad.to_string().as_bytes()).unwrap_err().kind(), Kind::Malformed, "{bad}");
    }
}

#[test]
fn an_upstream_error_gives_its_kind_and_code_and_not_its_words() {
    let cases = [
        (
            400,
            json!({"error": {"message": "CANARY", "type": "invalid_request_error", "code": null}}),
            Kind::Rejected(Rejection::Other),
            Some("invalid_request_error"),
        ),
        (
            400,
            json!({"error": {"message": "CANARY", "code": "context_length_exceeded"}}),
            Kind::Rejected(Rejection::ContextLength),
            Some("context_length_exceeded"),
        ),
        (
            400,
            json!({"error": {"message": "This model's maximum context length is 10 CANARY", "code": 400}}),
            Kind::Rejected(Rejection::ContextLength),
            Some("400"),
        ),
        (
            401,
            json!({"error": {"code": "invalid_api_key", "message": "CANARY"}}),
            Kind::Unauthorised,
            Some("invalid_api_key"),
        ),
        (403, json!({}), Kind::Unauthorised, None),
        (404, json!({"error": "CANARY CANARY"}), Kind::Rejected(Rejection::NotFound), None),
        (413, json!([]), Kind::Rejected(Rejection::Other), None),
        (429, json!({"error": {"type": "CANARY with spaces"}}), Kind::Overloaded { retry_after: None }, None),
        (500, json!({"error": {"code": {"deep": "CANARY"}}}), Kind::Unavailable, None),
        (503, json!("CANARY"), Kind::Unavailable, None),
        (302, json!({}), Kind::Malformed, None),
    ];
    for (status, body, kind, code) in cases {
        let error = refusal(status, body.to_string().as_bytes());
        assert_eq!((error.kind(), error.code(), error.status()), (kind, code, Some(status)), "{body}");
        assert!(!format!("{error} {error:?}").contains("CANARY"));
    }
    let within_stream = [
        (
            json!({"error": {"message": "CANARY", "code": "rate_limit_exceeded"}}),
            Kind::Overloaded { retry_after: None },
        ),
        (json!({"error": {"message": "CANARY", "code": 502}}), Kind::Unavailable),
        (json!({"error": {"message": "CANARY"}, "choices": []}), Kind::Unavailable),
        (
            json!({"error": {"message": "CANARY", "type": "invalid_request_error"}}),
            Kind::Rejected(Rejection::Other),
        ),
    ];
    for (frame, kind) in within_stream {
        let error = chunk(frame.to_string().as_bytes()).unwrap_err();
        assert_eq!(error.kind(), kind, "{frame}");
        assert!(!format!("{error} {error:?}").contains("CANARY"));
    }
}

#[test]
fn a_list_of_models_is_bounded() {
    let list = json!({"object": "list", "data": [{"id": "a", "created": 1, "x": "CANARY"}, {"id": ""}, {"id": "b"}]});
    let ids: Vec<String> =
        models(list.to_string().as_bytes()).unwrap().into_iter().map(|model| model.id).collect();
    assert_eq!(ids, ["a", "b"]);
    let many = json!({"data": vec![json!({"id": "a"}); 4097]});
    assert_eq!(models(many.to_string().as_bytes()).unwrap_err().kind(), Kind::Malformed);
}

fn any_json() -> impl Strategy<Value = Value> {
    let key = prop::sample::select(
        ALLOWED
            .iter()
            .copied()
            .chain(["x_secret", "prompt", "logprobs", "error", "total_tokens"])
            .collect::<Vec<_>>(),
    );
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0_u32..200).prop_map(Value::from),
        "[a-z ]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map(key.clone().prop_map(String::from), inner, 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_frame_brings_a_key_that_is_not_allowed(choices in prop::collection::vec(any_json(), 0..3), rest in any_json()) {
        let mut frame = rest.as_object().cloned().unwrap_or_default();
        frame.insert("choices".into(), Value::from(choices));
        let bytes = Value::Object(frame).to_string();
        if let Ok(read) = chunk(bytes.as_bytes()) {
            let json = serde_json::to_value(&read).unwrap();
            let mut found = Vec::new();
            keys(&json, &mut found);
            for key in found {
                prop_assert!(ALLOWED.contains(&key.as_str()) || key == "total_tokens", "{}", key);
            }
        }
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = chunk(&bytes);
        let _ = completion(&bytes);
        let _ = refusal(400, &bytes);
    }
}
