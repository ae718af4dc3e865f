//! From an upstream's HTTP answer to a whole answer, a stream, or an error.
//!
//! Works on any body, so that the test upstreams are read by the very code that reads the real ones.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, Response, StatusCode};
use http_body::Body;
use http_body_util::BodyExt as _;
use tokio::time::{Instant, timeout_at};

use super::frames::Frames;
use super::{Bounds, Timeouts};
use crate::answer::{Assembler, Completion, read};
use crate::error::{Kind, ModelError, Phase};
use crate::model::ChunkStream;

/// Most of an error answer that is read, in bytes, and how long it is waited for.
const REFUSAL_BYTES: usize = 16 * 1024;
const REFUSAL_WAIT: Duration = Duration::from_secs(2);
/// Longest pause that an upstream can ask for.
const LONGEST_RETRY_AFTER: u64 = 24 * 60 * 60;

/// The moments by which parts of one answer must be there, and how much of it is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    pub(crate) first_byte: Instant,
    pub(crate) idle: Duration,
    pub(crate) total: Instant,
    pub(crate) bounds: Bounds,
}

impl Reading {
    pub(crate) fn starting_at(start: Instant, timeouts: Timeouts, bounds: Bounds) -> Self {
        let total = start + timeouts.total;
        Self { first_byte: (start + timeouts.first_byte).min(total), idle: timeouts.idle, total, bounds }
    }
}

/// What an upstream says its body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    Events,
    Unsaid,
    Other,
}

fn form(headers: &HeaderMap) -> Form {
    let Some(value) = headers.get(CONTENT_TYPE) else { return Form::Unsaid };
    let value = value.to_str().unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        "application/json" => Form::Json,
        "text/event-stream" => Form::Events,
        _ => Form::Other,
    }
}

/// Reads the answer to a request for the whole. An upstream that streams all the same is put together.
pub(crate) async fn whole_of<B>(response: Response<B>, reading: &Reading) -> Result<Completion, ModelError>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<ModelError>,
{
    let response = refuse_errors(response).await?;
    match form(response.headers()) {
        Form::Json | Form::Unsaid => read::completion(
            &collect(response.into_body(), reading.bounds.answer_bytes, reading.total).await?,
        ),
        Form::Events => {
            let mut frames = Frames::new(response.into_body(), reading);
            let mut assembler = Assembler::new(reading.bounds.answer_bytes);
            while let Some(chunk) = futures_util::StreamExt::next(&mut frames).await {
                assembler.push(&chunk?)?;
            }
            assembler.finish()
        }
        Form::Other => Err(wrong_form()),
    }
}

/// Reads the answer to a request for a stream. An upstream that sends the whole all the same is cut into frames.
pub(crate) async fn stream_of<B>(response: Response<B>, reading: &Reading) -> Result<ChunkStream, ModelError>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<ModelError>,
{
    let response = refuse_errors(response).await?;
    match form(response.headers()) {
        Form::Events | Form::Unsaid => Ok(ChunkStream::new(Frames::new(response.into_body(), reading))),
        Form::Json => {
            let bytes = collect(response.into_body(), reading.bounds.answer_bytes, reading.total).await?;
            Ok(ChunkStream::of_whole(read::completion(&bytes)?))
        }
        Form::Other => Err(wrong_form()),
    }
}

/// The body of an answer that is neither an error nor a stream.
pub(crate) async fn accepted<B>(response: Response<B>, reading: &Reading) -> Result<Bytes, ModelError>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<ModelError>,
{
    let response = refuse_errors(response).await?;
    collect(response.into_body(), reading.bounds.answer_bytes, reading.total).await
}

fn wrong_form() -> ModelError {
    ModelError::malformed("neither JSON nor a stream of events").status_was(StatusCode::OK.as_u16())
}

async fn refuse_errors<B>(response: Response<B>) -> Result<Response<B>, ModelError>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<ModelError>,
{
    let status = response.status();
    if status == StatusCode::OK {
        return Ok(response);
    }
    let retry_after = retry_after(response.headers());
    // An error answer that cannot be read is an error all the same: then its status alone says which.
    let body = collect(response.into_body(), REFUSAL_BYTES, Instant::now() + REFUSAL_WAIT).await;
    let error = read::refusal(status.as_u16(), &body.unwrap_or_default());
    Err(match (error.kind(), retry_after) {
        (Kind::Overloaded { .. }, Some(_)) => error.overloaded(retry_after),
        (Kind::Unavailable, Some(_)) if status == StatusCode::SERVICE_UNAVAILABLE => {
            error.overloaded(retry_after)
        }
        _ => error,
    })
}

/// The pause that is asked for. The header's other form, a date, is not used by these upstreams and is passed over.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds.min(LONGEST_RETRY_AFTER)))
}

async fn collect<B>(mut body: B, limit: usize, deadline: Instant) -> Result<Bytes, ModelError>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<ModelError>,
{
    let mut bytes = BytesMut::new();
    loop {
        let frame = timeout_at(deadline, body.frame())
            .await
            .map_err(|_| ModelError::new(Kind::TimedOut(Phase::Total)))?;
        let Some(frame) = frame else { return Ok(bytes.freeze()) };
        if let Ok(data) = frame.map_err(Into::into)?.into_data() {
            if bytes.len().saturating_add(data.len()) > limit {
                return Err(ModelError::new(Kind::TooLarge));
            }
            bytes.extend_from_slice(&data);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderMap;
    use http::header::{CONTENT_TYPE, RETRY_AFTER};

    use super::{Form, form, retry_after};

    #[test]
    fn a_pause_is_read_in_seconds_and_bounded() {
        for (text, wanted) in [
            ("7", Some(7)),
            (" 0 ", Some(0)),
            ("99999999999", Some(86_400)),
            ("-1", None),
            ("1.5", None),
            ("Wed, 21 Oct 2015 07:28:00 GMT", None),
            ("99999999999999999999999", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().unwrap());
            assert_eq!(retry_after(&headers), wanted.map(Duration::from_secs), "{text}");
        }
    }

    #[test]
    fn the_form_is_read_from_the_content_type() {
        for (text, wanted) in [
            ("application/json", Form::Json),
            ("Application/JSON; charset=utf-8", Form::Json),
            ("text/event-stream;charset=utf-8", Form::Events),
            ("text/html", Form::Other),
            ("", Form::Other),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, text.parse().unwrap());
            assert_eq!(form(&headers), wanted, "{text}");
        }
        assert_eq!(form(&HeaderMap::new()), Form::Unsaid);
    }
}
