//! The way mail goes, from the configuration.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use portcullis_config::{Config, MailRoute, MailSecurity};
use portcullis_core::{Clock, Secret};
use portcullis_mail::{Login, Mail, Outbox, Security, Sender, Smtp, SmtpOptions};

/// The way that `[mail]` names, if there is one; connects to nothing yet.
pub(crate) fn way(config: &Config, clock: Arc<dyn Clock>) -> Result<Option<Arc<dyn Mail>>> {
    let Some(mail) = &config.mail else { return Ok(None) };
    let name = mail.from_name.as_ref().map(portcullis_config::Name::as_str);
    let host = config.public_url.url().host().to_string();
    let sender = Sender::new(mail.from.as_str(), name, &host)
        .context("mail cannot be sent with this `mail.from` and `public_url`")?;
    Ok(Some(match &mail.route {
        MailRoute::Outbox { folder } => {
            let outbox = Outbox::open(folder.clone(), sender, clock);
            Arc::new(outbox.with_context(|| format!("the outbox {} cannot be used", folder.display()))?)
        }
        MailRoute::Smtp(server) => {
            let options = SmtpOptions {
                host: server.host.to_string(),
                port: server.port,
                security: match server.security {
                    MailSecurity::StartTls => Security::StartTls,
                    MailSecurity::Tls => Security::Tls,
                    MailSecurity::None => Security::Loopback,
                },
                login: server.login.as_ref().map(|login| Login {
                    username: Secret::new(login.username.as_str().to_owned()),
                    password: login.password.clone(),
                }),
                extra_roots_pem: server.roots.as_ref().map(|pem| pem.clone().into_bytes()),
                timeout: server.timeout,
            };
            let smtp = Smtp::new(options, sender, clock);
            Arc::new(smtp.context("the root certificates of `mail.ca_file` cannot be used")?)
        }
    }))
}
