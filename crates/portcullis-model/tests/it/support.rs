//! What the tests share: a client for an upstream, and the text of an answer.

use std::time::Duration;

use futures_util::StreamExt as _;
use portcullis_model::upstream::{Behaviour, Reply, Scripted, Step, Upstream};
use portcullis_model::{
    Assembler, ChatRequest, ChunkStream, Completion, Message, Model as _, ModelError, OpenAi, OpenAiOptions,
};

/// Longer than anything here takes, shorter than a hung test.
pub(crate) const SOON: Duration = Duration::from_secs(10);

pub(crate) fn client(url: &str, change: impl FnOnce(&mut OpenAiOptions)) -> OpenAi {
    let mut options = OpenAiOptions::new(url);
    change(&mut options);
    OpenAi::new(options).unwrap()
}

pub(crate) fn hello() -> ChatRequest {
    ChatRequest::new("m", vec![Message::system("be brief"), Message::user("hello there")])
}

pub(crate) async fn serve(behaviour: impl Behaviour) -> (Upstream, OpenAi) {
    let upstream = Upstream::start(behaviour).await.unwrap();
    let client = client(&upstream.url(), |_| {});
    (upstream, client)
}

/// Puts a stream together, or gives its error with the text that came before.
pub(crate) async fn put_together(mut stream: ChunkStream) -> Result<Completion, (ModelError, String)> {
    let mut assembler = Assembler::new(usize::MAX);
    let mut text = String::new();
    while let Some(chunk) = stream.next().await {
        match chunk {
            Ok(chunk) => {
                for choice in &chunk.choices {
                    text.push_str(choice.delta.content.as_deref().unwrap_or_default());
                }
                assembler.push(&chunk).unwrap();
            }
            Err(error) => {
                assert!(stream.next().await.is_none(), "a stream ends after its error");
                return Err((error, text));
            }
        }
    }
    assembler.finish().map_err(|error| (error, text))
}

pub(crate) fn text(completion: &Completion) -> &str {
    completion.choices[0].message.content.as_deref().unwrap()
}

pub(crate) fn send(text: &str) -> Step {
    Step::Send(text.to_owned().into())
}

/// One well-formed frame with that text.
pub(crate) fn frame(text: &str) -> Step {
    let json = serde_json::json!({"id": "c", "created": 1, "model": "m", "choices": [{"index": 0, "delta": {"content": text}}]});
    send(&format!("data: {json}\n\n"))
}

pub(crate) fn done() -> Step {
    send("data: [DONE]\n\n")
}

/// Streams exactly these steps and gives what the client makes of them.
pub(crate) async fn streamed(steps: Vec<Step>) -> Result<Completion, (ModelError, String)> {
    let (_upstream, client) = serve(Scripted::raw(Reply::events(steps))).await;
    put_together(client.stream(&hello()).await.map_err(|error| (error, String::new()))?).await
}
