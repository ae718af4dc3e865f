//! What may be asked for.

use portcullis_model::{ProblemCode, parse_request};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// A valid request with some of its fields replaced.
fn with(changes: &Value) -> Vec<u8> {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "CANARY"}]});
    for (key, value) in changes.as_object().unwrap() {
        body[key] = value.clone();
    }
    body.to_string().into_bytes()
}

fn message(message: &Value) -> Vec<u8> {
    with(&json!({"messages": [{"role": "user", "content": "x"}, message]}))
}

#[test]
fn every_allow_listed_parameter_is_taken_and_sent_on_unchanged() {
    let full = json!({
        "model": "m-1",
        "messages": [
            {"role": "system", "content": "s"},
            {"role": "developer", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "name": "ops"},
            {"role": "user", "content": "u", "name": "ann"},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "content": "42", "tool_call_id": "c1"},
            {"role": "assistant", "content": ""},
        ],
        "stream": true, "stream_options": {"include_usage": true},
        "temperature": 0.25, "top_p": 1.0, "max_tokens": 100, "stop": ["a", "b"], "seed": -7, "n": 2,
        "presence_penalty": -2.0, "frequency_penalty": 2.0,
        "tools": [{"type": "function", "function": {"name": "f", "description": "d", "strict": true,
            "parameters": {"type": "object", "properties": {"z": {"type": "string"}, "a": {"enum": [1, 2.5, null]}}}}}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": false}},
        "user": "u-1", "parallel_tool_calls": false, "logprobs": true, "top_logprobs": 3,
    });
    let request = parse_request(full.to_string().as_bytes()).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&request.to_json()).unwrap(), full);
    assert_eq!(request.messages[1].text(), "a\nb");
    assert_eq!(parse_request(&request.to_json()).unwrap(), request);
}

#[test]
fn null_is_absent_and_one_stop_is_a_list_of_one() {
    let request = parse_request(&with(&json!({
        "stream": null, "stream_options": null, "temperature": null, "stop": "x", "tools": null, "tool_choice": "auto",
        "response_format": {"type": "text"}, "max_completion_tokens": 5, "max_tokens": null, "user": null,
    })))
    .unwrap();
    assert_eq!(
        serde_json::from_slice::<Value>(&request.to_json()).unwrap(),
        json!({"model": "m", "messages": [{"role": "user", "content": "CANARY"}], "stream": false, "stop": ["x"],
            "tool_choice": "auto", "response_format": {"type": "text"}, "max_completion_tokens": 5})
    );
    // As the public clients send an assistant's turn back.
    let echo = json!({"role": "assistant", "content": "a", "refusal": null, "annotations": [], "audio": null,
        "function_call": null, "tool_calls": null});
    parse_request(&message(&echo)).unwrap();
}

#[test]
fn a_bad_request_is_refused_with_the_parameter_that_is_wrong() {
    use ProblemCode::{
        DuplicateKey, InvalidJson, InvalidType, InvalidValue, MissingParameter, UnknownParameter,
    };
    let deep = format!("{{\"model\":\"m\",\"messages\":{}{}}}", "[".repeat(200), "]".repeat(200));
    let many: Vec<Value> = vec![json!({"role": "user", "content": "x"}); 4097];
    let tool = |function: Value| with(&json!({"tools": [{"type": "function", "function": function}]}));
    let cases: Vec<(Vec<u8>, ProblemCode, Option<&str>)> = vec![
        (b"".to_vec(), InvalidJson, None),
        (b"hello".to_vec(), InvalidJson, None),
        (b"{\"model\":\"m\"".to_vec(), InvalidJson, None),
        (b"{\"model\":\"\xff\"}".to_vec(), InvalidJson, None),
        (b"\xef\xbb\xbf{}".to_vec(), InvalidJson, None),
        (br#"{"model":"\ud800","messages":[]}"#.to_vec(), InvalidJson, None),
        (br#"{"model":"m","temperature":NaN}"#.to_vec(), InvalidJson, None),
        (br#"{"model":"m","temperature":1e999}"#.to_vec(), InvalidJson, None),
        (deep.into_bytes(), InvalidJson, None),
        (b"[]".to_vec(), InvalidType, None),
        (b"null".to_vec(), InvalidType, None),
        (
            br#"{"model":"m","model":"m","messages":[{"role":"user","content":"x"}]}"#.to_vec(),
            DuplicateKey,
            Some("model"),
        ),
        (
            br#"{"model":"m","messages":[{"role":"user","role":"system","content":"x"}]}"#.to_vec(),
            DuplicateKey,
            Some("role"),
        ),
        (b"{}".to_vec(), MissingParameter, Some("model")),
        (br#"{"model":"m"}"#.to_vec(), MissingParameter, Some("messages")),
        (with(&json!({"model": null})), MissingParameter, Some("model")),
        (with(&json!({"model": 7})), InvalidType, Some("model")),
        (with(&json!({"model": ""})), InvalidValue, Some("model")),
        (with(&json!({"model": "a\nb"})), InvalidValue, Some("model")),
        (with(&json!({"model": "m".repeat(257)})), InvalidValue, Some("model")),
        (with(&json!({"messages": {}})), InvalidType, Some("messages")),
        (with(&json!({"messages": []})), InvalidValue, Some("messages")),
        (with(&json!({"messages": many})), InvalidValue, Some("messages")),
        (with(&json!({"messages": ["x"]})), InvalidType, Some("messages[0]")),
        (message(&json!({"content": "x"})), MissingParameter, Some("messages[1].role")),
        (message(&json!({"role": "root", "content": "x"})), InvalidValue, Some("messages[1].role")),
        (
            message(&json!({"role": "function", "name": "f", "content": "x"})),
            InvalidValue,
            Some("messages[1].role"),
        ),
        (message(&json!({"role": "System", "content": "x"})), InvalidValue, Some("messages[1].role")),
        (message(&json!({"role": "user"})), MissingParameter, Some("messages[1].content")),
        (message(&json!({"role": "user", "content": null})), MissingParameter, Some("messages[1].content")),
        (message(&json!({"role": "user", "content": 7})), InvalidType, Some("messages[1].content")),
        (message(&json!({"role": "user", "content": []})), InvalidValue, Some("messages[1].content")),
        (
            message(
                &json!({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://x"}}]}),
            ),
            InvalidValue,
            Some("messages[1].content[0].type"),
        ),
        (
            message(&json!({"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "text"}]})),
            MissingParameter,
            Some("messages[1].content[1].text"),
        ),
        (
            message(
                &json!({"role": "user", "content": [{"type": "text", "text": "x", "cache_control": {}}]}),
            ),
            UnknownParameter,
            Some("messages[1].content[0].cache_control"),
        ),
        (
            message(&json!({"role": "user", "content": "x", "name": "a b"})),
            InvalidValue,
            Some("messages[1].name"),
        ),
        (
            message(&json!({"role": "user", "content": "x", "weight": 1})),
            UnknownParameter,
            Some("messages[1].weight"),
        ),
        (
            message(&json!({"role": "user", "content": "x", "tool_calls": []})),
            UnknownParameter,
            Some("messages[1].tool_calls"),
        ),
        (
            message(&json!({"role": "user", "content": "x", "tool_call_id": "c"})),
            UnknownParameter,
            Some("messages[1].tool_call_id"),
        ),
        (
            message(&json!({"role": "user", "content": "x", "refusal": null})),
            UnknownParameter,
            Some("messages[1].refusal"),
        ),
        (
            message(&json!({"role": "assistant", "content": "x", "refusal": "no"})),
            InvalidValue,
            Some("messages[1].refusal"),
        ),
        (
            message(&json!({"role": "assistant", "content": null, "tool_calls": []})),
            MissingParameter,
            Some("messages[1].content"),
        ),
        (
            message(
                &json!({"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f"}}]}),
            ),
            MissingParameter,
            Some("messages[1].tool_calls[0].function.arguments"),
        ),
        (
            message(
                &json!({"role": "assistant", "tool_calls": [{"id": "c", "type": "custom", "function": {}}]}),
            ),
            InvalidValue,
            Some("messages[1].tool_calls[0].type"),
        ),
        (
            message(&json!({"role": "tool", "content": "x"})),
            MissingParameter,
            Some("messages[1].tool_call_id"),
        ),
        (with(&json!({"stream": "true"})), InvalidType, Some("stream")),
        (with(&json!({"stream": 1})), InvalidType, Some("stream")),
        (with(&json!({"stream_options": {"include_usage": true}})), InvalidValue, Some("stream_options")),
        (
            with(&json!({"stream": true, "stream_options": {"x": 1}})),
            UnknownParameter,
            Some("stream_options.x"),
        ),
        (with(&json!({"temperature": 2.1})), InvalidValue, Some("temperature")),
        (with(&json!({"temperature": "1"})), InvalidType, Some("temperature")),
        (with(&json!({"top_p": -0.1})), InvalidValue, Some("top_p")),
        (with(&json!({"max_tokens": 0})), InvalidValue, Some("max_tokens")),
        (with(&json!({"max_tokens": -5})), InvalidValue, Some("max_tokens")),
        (with(&json!({"max_tokens": 1.5})), InvalidValue, Some("max_tokens")),
        (with(&json!({"max_tokens": 4_294_967_296_u64})), InvalidValue, Some("max_tokens")),
        (with(&json!({"max_tokens": 5, "max_completion_tokens": 5})), InvalidValue, Some("max_tokens")),
        (with(&json!({"stop": ["a", "b", "c", "d", "e"]})), InvalidValue, Some("stop")),
        (with(&json!({"stop": ["a", ""]})), InvalidValue, Some("stop[1]")),
        (with(&json!({"stop": 7})), InvalidType, Some("stop")),
        (with(&json!({"seed": 1.5})), InvalidValue, Some("seed")),
        (with(&json!({"n": 0})), InvalidValue, Some("n")),
        (with(&json!({"n": 129})), InvalidValue, Some("n")),
        (with(&json!({"presence_penalty": 3})), InvalidValue, Some("presence_penalty")),
        (with(&json!({"frequency_penalty": -3})), InvalidValue, Some("frequency_penalty")),
        (with(&json!({"tools": vec![json!({}); 129]})), InvalidValue, Some("tools")),
        (with(&json!({"tools": [{"type": "code_interpreter"}]})), InvalidValue, Some("tools[0].type")),
        (tool(json!({})), MissingParameter, Some("tools[0].function.name")),
        (tool(json!({"name": "a b"})), InvalidValue, Some("tools[0].function.name")),
        (tool(json!({"name": "f", "parameters": "x"})), InvalidType, Some("tools[0].function.parameters")),
        (tool(json!({"name": "f", "x": 1})), UnknownParameter, Some("tools[0].function.x")),
        (with(&json!({"tool_choice": "maybe"})), InvalidValue, Some("tool_choice")),
        (with(&json!({"tool_choice": {"type": "function"}})), MissingParameter, Some("tool_choice.function")),
        (with(&json!({"response_format": {"type": "xml"}})), InvalidValue, Some("response_format.type")),
        (
            with(&json!({"response_format": {"type": "text", "x": 1}})),
            UnknownParameter,
            Some("response_format.x"),
        ),
        (
            with(&json!({"response_format": {"type": "json_schema"}})),
            MissingParameter,
            Some("response_format.json_schema"),
        ),
        (with(&json!({"user": "a\u{0}b"})), InvalidValue, Some("user")),
        (with(&json!({"parallel_tool_calls": "no"})), InvalidType, Some("parallel_tool_calls")),
        (with(&json!({"top_logprobs": 21})), InvalidValue, Some("top_logprobs")),
        (with(&json!({"metadata": {}})), UnknownParameter, Some("metadata")),
        (with(&json!({"store": true})), UnknownParameter, Some("store")),
        (with(&json!({"functions": []})), UnknownParameter, Some("functions")),
        (with(&json!({"logit_bias": {}})), UnknownParameter, Some("logit_bias")),
        (with(&json!({"extra_body": {}, "top_k": 1})), UnknownParameter, None),
        (with(&json!({"__proto__": {}})), UnknownParameter, Some("__proto__")),
        (with(&json!({"Model": "x"})), UnknownParameter, Some("Model")),
        (with(&json!({"scope": "all"})), UnknownParameter, Some("scope")),
        (with(&json!({"community_id": "x"})), UnknownParameter, Some("community_id")),
    ];
    for (body, code, param) in cases {
        let text = String::from_utf8_lossy(&body).chars().take(160).collect::<String>();
        let problem = parse_request(&body).expect_err(&text);
        assert_eq!(problem.code(), code, "{text}: {problem}");
        if code != UnknownParameter || param.is_some() {
            assert_eq!(problem.param(), param, "{text}: {problem}");
        }
        assert!(!problem.to_string().contains("CANARY"), "a value is repeated: {problem}");
    }
}

const TOP: [&str; 20] = [
    "model",
    "messages",
    "stream",
    "stream_options",
    "temperature",
    "top_p",
    "max_tokens",
    "max_completion_tokens",
    "stop",
    "seed",
    "n",
    "presence_penalty",
    "frequency_penalty",
    "tools",
    "tool_choice",
    "response_format",
    "user",
    "parallel_tool_calls",
    "logprobs",
    "top_logprobs",
];
const IN_MESSAGE: [&str; 5] = ["role", "content", "name", "tool_call_id", "tool_calls"];

/// One field of a request: mostly one that is fine, now and then any value at all or a field that is not known.
fn any_field() -> impl Strategy<Value = (&'static str, Value)> {
    // Eighths are exact in binary, so that reading and writing cannot move them.
    let eighths = |key: &'static str, least: i32, most: i32| {
        (least * 8..=most * 8).prop_map(move |eighths| (key, json!(f64::from(eighths) / 8.0)))
    };
    let whole = |key: &'static str| (1_u32..20).prop_map(move |number| (key, json!(number)));
    let flag = |key: &'static str| any::<bool>().prop_map(move |flag| (key, json!(flag)));
    let one_of = |key: &'static str, values: Vec<Value>| (Just(key), prop::sample::select(values));
    let schema = json!({"type": "object", "x_any": [1, {"deep": null}]});
    let function =
        json!({"type": "function", "function": {"name": "f", "description": "d", "parameters": schema}});
    let known = prop_oneof![
        eighths("temperature", 0, 2),
        eighths("top_p", 0, 1),
        eighths("presence_penalty", -2, 2),
        eighths("frequency_penalty", -2, 2),
        whole("max_tokens"),
        whole("max_completion_tokens"),
        whole("n"),
        whole("top_logprobs"),
        any::<i64>().prop_map(|seed| ("seed", json!(seed))),
        flag("stream"),
        flag("logprobs"),
        flag("parallel_tool_calls"),
        one_of("stop", vec![json!("x"), json!(["x", "y"]), json!([])]),
        one_of("tools", vec![json!([]), json!([function])]),
        one_of("tool_choice", vec![json!("none"), json!("auto"), json!("required")]),
        one_of(
            "response_format",
            vec![
                json!({"type": "text"}),
                json!({"type": "json_object"}),
                json!({"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}),
            ]
        ),
        "[a-z]{1,5}".prop_map(|user| ("user", json!(user))),
    ];
    let any_key = prop::sample::select(
        TOP.iter().copied().chain(["x_secret", "metadata", "scope"]).collect::<Vec<_>>(),
    );
    let any_value = prop::sample::select(vec![
        Value::Null,
        json!(true),
        json!(-1),
        json!("x"),
        json!({"x_secret": 1}),
        json!([1]),
    ]);
    prop_oneof![8 => known, 1 => (any_key, any_value)]
}

fn any_message() -> impl Strategy<Value = Value> {
    let role = prop::sample::select(vec!["system", "developer", "user", "assistant", "tool"]);
    let content = prop_oneof![
        4 => "\\PC{0,12}".prop_map(Value::from),
        4 => prop::collection::vec("\\PC{0,6}", 1..3).prop_map(|texts| texts
            .into_iter()
            .map(|text| json!({"type": "text", "text": text}))
            .collect::<Value>()),
        1 => Just(Value::Null),
    ];
    let call = json!([{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]);
    let extra = prop::option::weighted(
        0.1,
        prop::sample::select(vec![
            ("name", json!("ann")),
            ("tool_call_id", json!("c")),
            ("tool_calls", call),
            ("x_secret", json!(1)),
            ("refusal", Value::Null),
        ]),
    );
    (role, content, extra).prop_map(|(role, content, extra)| {
        let mut message = json!({"role": role, "content": content});
        if role == "tool" {
            message["tool_call_id"] = json!("c");
        }
        if let Some((key, value)) = extra {
            message[key] = value;
        }
        message
    })
}

fn any_request() -> impl Strategy<Value = Map<String, Value>> {
    let fields = prop::collection::vec(any_field(), 0..5);
    (prop::collection::vec(any_message(), 1..4), fields).prop_map(|(messages, fields)| {
        let mut request: Map<String, Value> =
            fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        request.insert("model".into(), json!("m"));
        request.insert("messages".into(), Value::from(messages));
        request
    })
}

fn without_nulls(value: &Value) -> Value {
    let fields = value.as_object().unwrap().iter().filter(|(_, value)| !value.is_null());
    Value::Object(fields.map(|(key, value)| (key.clone(), value.clone())).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_request_that_is_taken_is_sent_on_with_exactly_its_allow_listed_fields(given in any_request()) {
        let Ok(request) = parse_request(&serde_json::to_vec(&given).unwrap()) else { return Ok(()) };
        let sent: Map<String, Value> = serde_json::from_slice(&request.to_json()).unwrap();
        for key in sent.keys() {
            prop_assert!(TOP.contains(&key.as_str()), "{} is sent", key);
        }
        for (key, value) in &given {
            prop_assert!(TOP.contains(&key.as_str()), "{} is taken", key);
            match (key.as_str(), value) {
                ("messages", Value::Array(messages)) => {
                    for (given, sent) in messages.iter().zip(sent["messages"].as_array().unwrap()) {
                        prop_assert_eq!(without_nulls(given), without_nulls(sent));
                        prop_assert!(sent.as_object().unwrap().keys().all(|key| IN_MESSAGE.contains(&key.as_str())));
                    }
                }
                // Empty or one-valued forms that mean the same as another form.
                ("stop" | "stream_options" | "tools", _) | (_, Value::Null) => {}
                (_, Value::Number(number)) => prop_assert_eq!(number.as_f64(), sent[key].as_f64()),
                (_, value) => prop_assert_eq!(value, &sent[key]),
            }
        }
        prop_assert_eq!(&parse_request(&request.to_json()).unwrap(), &request, "what is sent reads back the same");
    }

    #[test]
    fn no_bytes_make_the_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse_request(&bytes);
    }
}
