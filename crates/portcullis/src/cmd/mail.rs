//! `mail`: one message through the configured way, to see that it works before a member waits for a link.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow};
use portcullis_config::MailRoute;
use portcullis_core::SystemClock;
use portcullis_mail::Message;

use crate::args::Configured;
use crate::{instance, mail, out};

pub(super) async fn run(configured: &Configured, to: String) -> Result<ExitCode> {
    let config = instance::configuration(configured)?;
    let way = mail::way(&config, Arc::new(SystemClock::new()))?
        .ok_or_else(|| anyhow!("there is no `[mail]` in the configuration, so no mail can be sent"))?;
    let text = format!(
        "This message shows that {} can send mail.\n\nNobody needs to do anything about it.\n",
        config.public_url
    );
    let message = Message { to, subject: "A test of mail".to_owned(), text };
    way.send(message).await.context("the message was not sent")?;
    match config.mail.as_ref().map(|mail| &mail.route) {
        Some(MailRoute::Outbox { folder }) => out::line(format_args!("written to {}", folder.display())),
        _ => out::line("the mail server took the message"),
    }
    Ok(ExitCode::SUCCESS)
}
