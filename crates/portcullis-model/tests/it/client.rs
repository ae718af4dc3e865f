//! What the client sends, and what it makes of good answers.

use http::{HeaderMap, StatusCode};
use portcullis_core::Secret;
use portcullis_model::upstream::{Answer, Echo, Reply, Scripted, Turn, Upstream};
use portcullis_model::{FinishReason, FunctionCall, Message, Model as _, ToolCall};
use serde_json::json;

use crate::support::{client, done, frame, hello, put_together, send, serve, streamed, text};

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn the_upstream_is_sent_the_allow_listed_request_and_the_key() {
    let upstream = Upstream::start(Echo).await.unwrap();
    let model = client(&upstream.url(), |options| options.key = Some(Secret::new("sk-test".into())));
    let mut request = hello();
    request.temperature = Some(0.5);
    request.include_usage = true;
    model.complete(&request).await.unwrap();
    let streamed = put_together(model.stream(&request).await.unwrap()).await.unwrap();
    assert!(streamed.usage.is_some());

    let heard = upstream.requests();
    let messages =
        json!([{"role": "system", "content": "be brief"}, {"role": "user", "content": "hello there"}]);
    assert_eq!(
        heard[0].json(),
        json!({"model": "m", "messages": messages, "stream": false, "temperature": 0.5})
    );
    assert_eq!(
        heard[1].json(),
        json!({"model": "m", "messages": messages, "stream": true, "temperature": 0.5,
            "stream_options": {"include_usage": true}})
    );
    for (heard, accept) in heard.iter().zip(["application/json", "text/event-stream"]) {
        assert_eq!((heard.method.as_str(), heard.path.as_str()), ("POST", "/v1/chat/completions"));
        assert_eq!(header(&heard.headers, "authorization"), "Bearer sk-test");
        assert_eq!(header(&heard.headers, "content-type"), "application/json");
        assert_eq!(header(&heard.headers, "accept"), accept);
        assert!(header(&heard.headers, "user-agent").starts_with("portcullis/"));
        assert_eq!(heard.headers.len(), 6, "{:?}", heard.headers.keys());
    }
}

#[tokio::test]
async fn an_answer_is_the_same_streamed_or_whole() {
    let answer = Answer {
        reasoning: Some("let me think".into()),
        tool_calls: vec![ToolCall {
            id: "call_1".into(),
            function: FunctionCall { name: "f".into(), arguments: "{\"a\":[1,2,3]}".into() },
        }],
        ..Answer::text("Grüße, welt\n\"quoted\"", 3)
    };
    let (_upstream, model) = serve(Scripted::new(vec![Turn::Answer(answer)])).await;
    let mut request = hello();
    request.include_usage = true;
    let whole = model.complete(&request).await.unwrap();
    assert_eq!(text(&whole), "Grüße, welt\n\"quoted\"");
    assert_eq!(whole.choices[0].finish_reason, Some(FinishReason::ToolCalls));
    let chunks = model.stream(&request).await.unwrap();
    assert!(!chunks.is_made());
    let mut streamed = put_together(chunks).await.unwrap();
    // The two requests differ in length, and so do the tokens counted.
    streamed.usage = whole.usage;
    assert_eq!(streamed, whole);
}

#[tokio::test]
async fn a_whole_answer_to_a_request_for_a_stream_is_known_to_be_made() {
    let message = json!({ "role": "assistant", "content": "all of it" });
    let body = json!({ "choices": [{ "index": 0, "message": message, "finish_reason": "stop" }] });
    let (_upstream, model) = serve(Scripted::raw(Reply::json(StatusCode::OK, &body))).await;
    let chunks = model.stream(&hello()).await.unwrap();
    assert!(chunks.is_made());
    assert_eq!(text(&put_together(chunks).await.unwrap()), "all of it");
}

#[tokio::test]
async fn models_are_listed_and_a_ping_needs_no_answer() {
    let (upstream, model) = serve(Echo).await;
    let models = model.models().await.unwrap();
    assert_eq!(models.iter().map(|model| model.id.as_str()).collect::<Vec<_>>(), ["echo"]);
    model.ping().await.unwrap();
    assert!(upstream.requests().iter().all(|heard| heard.path == "/v1/models"));
    assert_eq!(upstream.served(), 2);
}

#[tokio::test]
async fn an_upstream_that_sends_the_other_form_is_understood() {
    let events = Reply::events(vec![frame("a"), frame("b"), done()]);
    let (_upstream, model) = serve(Scripted::raw(events)).await;
    assert_eq!(text(&model.complete(&hello()).await.unwrap()), "ab");

    let whole = json!({"choices": [{"message": {"role": "assistant", "content": "ab"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}});
    let (_upstream, model) = serve(Scripted::raw(Reply::json(http::StatusCode::OK, &whole))).await;
    let streamed = put_together(model.stream(&hello()).await.unwrap()).await.unwrap();
    assert_eq!((text(&streamed), streamed.usage.unwrap().total_tokens), ("ab", 2));
}

#[tokio::test]
async fn a_stream_is_read_however_its_bytes_are_split() {
    let parts = [
        ": hi\r\n",
        "\r\n",
        "data: {\"choices\":[{\"delta\":{\"content\":\"Grü\"}}]}\r\n\r\n",
        "event: message\rdata: {\"choices\":\rdata: [{\"delta\":{\"content\":\"ße\"}}]}\r\r",
        "data:[DONE]\n\n",
    ];
    let stream = format!("\u{feff}{}", parts.concat());
    for size in [1, 2, 3, 7, 64, 4096] {
        let reply = Reply::events(vec![send(&stream)]).split_every(size);
        assert_eq!(text(&streamed(reply.steps).await.unwrap()), "Grüße", "pieces of {size}");
    }
    assert_eq!(text(&streamed(vec![frame("x"), send("data: [DONE]")]).await.unwrap()), "x");
}

#[tokio::test]
async fn a_finished_stream_gives_its_connection_back() {
    let (upstream, model) = serve(Echo).await;
    for _ in 0..5 {
        put_together(model.stream(&hello()).await.unwrap()).await.unwrap();
        model.complete(&hello()).await.unwrap();
    }
    assert_eq!((upstream.served(), upstream.abandoned()), (10, 0));
    assert!(upstream.connections() <= 2, "{} connections for ten requests", upstream.connections());
}

#[tokio::test]
async fn a_request_holds_what_its_messages_hold() {
    let (upstream, model) = serve(Echo).await;
    let mut request = hello();
    request.messages.push(Message {
        content: None,
        tool_calls: vec![ToolCall {
            id: "c".into(),
            function: FunctionCall { name: "f".into(), arguments: "{}".into() },
        }],
        ..Message::assistant("")
    });
    request.messages.push(Message {
        tool_call_id: Some("c".into()),
        ..Message::new(portcullis_model::MessageRole::Tool, "42")
    });
    model.complete(&request).await.unwrap();
    assert_eq!(
        upstream.requests()[0].json()["messages"].as_array().unwrap()[2..],
        [
            json!({"role": "assistant", "content": null,
                "tool_calls": [{"type": "function", "id": "c", "function": {"name": "f", "arguments": "{}"}}]}),
            json!({"role": "tool", "content": "42", "tool_call_id": "c"}),
        ]
    );
}
