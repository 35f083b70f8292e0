//! What the main config declares itself: folders, sinks and grants.

use crate::config::settings::{self, Settings};
use crate::guest::grant::{Granted, Grants};
use crate::kernel::rule::Origin;

use super::reload::Places;
use super::sink::file::FileSink;
use super::sink::webhook::{Webhook, WebhookSettings};
use super::sink::{Declared, Standing, terminal};

/// The folders that are watched, and the sinks and grants of the main config. The error says what
/// to mend.
pub fn of(settings: &Settings) -> Result<Places, String> {
    let own_grants = Grants::from_tables(settings.grants.clone(), settings.secrets.0.clone())?;
    let granted = |sink| Declared {
        sink,
        standing: Standing::Granted {
            granted: Granted::default(),
            settings: serde_json::Value::Null,
        },
    };
    let origin = Origin { file: "watchfire.toml".into(), line: 0 };
    let mut built_in = vec![granted(terminal::declare())];
    for file in &settings.sinks.file {
        // Of a relative path the sink would make one in its own folder.
        let path = std::path::absolute(&file.path)
            .map_err(|error| format!("[[sinks.file]] {}: path: {error}", file.name))?;
        let sink = FileSink { path, rotate_bytes: file.rotate_bytes, keep: file.keep };
        built_in.push(granted(sink.declare(&file.name, origin.clone())));
    }
    for webhook in &settings.sinks.webhook {
        built_in.push(webhook_sink(webhook, &own_grants, &origin)?);
    }
    Ok(Places {
        rules: settings.paths.rules.clone(),
        plugins: settings.paths.plugins.clone(),
        grants: settings.paths.grants.clone(),
        own_grants,
        built_in,
        is_strict: settings.listen.is_open(),
    })
}

/// The operator wrote the webhook's address into the main config: that is its grant. Secrets that
/// it names must be there.
fn webhook_sink(
    settings: &settings::WebhookSink,
    grants: &Grants,
    origin: &Origin,
) -> Result<Declared, String> {
    let place = |what: String| format!("[[sinks.webhook]] {}: {what}", settings.name);
    let webhook = Webhook::new(&WebhookSettings {
        url: settings.url.clone(),
        method: None,
        headers: settings.headers.clone(),
        body: settings.body.clone(),
        timeout: None,
    })
    .map_err(place)?;
    let sink = webhook.declare(&settings.name, origin.clone());
    let granted = grants.in_full(&sink.needs).map_err(|blocked| place(blocked.why))?;
    let standing = Standing::Granted { granted, settings: serde_json::Value::Null };
    Ok(Declared { sink, standing })
}
