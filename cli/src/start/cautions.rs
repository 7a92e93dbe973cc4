//! What is dangerous about a cluster process's settings, each said with the way to mend it.

use std::path::Path;

use super::config::Config;
use super::keys::{self, ALL, Key};
use super::roles::Role;
use crate::process::cautions;

/// All that applies to a process of this kind.
pub(super) fn of(config: &Config, role: &Role) -> anyhow::Result<Vec<String>> {
    let root = match role {
        // Another user for tasks can only be had by root.
        Role::Worker(options) if options.run_as.is_some() => None,
        Role::Worker(_) => cautions::root(cautions::AND_ITS_TASKS),
        Role::Scheduler(_) | Role::Web(_) => cautions::root(""),
    };
    let mut found: Vec<String> = root.into_iter().collect();
    found.extend(secrets(config, role.word()));
    let dags = match role {
        Role::Scheduler(options) => options.dags_dir.as_deref(),
        Role::Worker(options) => options.dags_dir.as_deref(),
        Role::Web(_) => None,
    };
    found.extend(dags.and_then(cautions::dags));
    if let Role::Web(options) = role {
        found.extend(cautions::token(&options.admin_token, &config.place(keys::WEB_ADMIN_TOKEN)));
    }
    let urls = config.list(keys::BROKER_URLS)?.unwrap_or_default();
    found.extend(urls.iter().filter_map(|url| cautions::broker(url)));
    Ok(found)
}

/// The files with secrets that this process reads: the configuration if some stand in it, and those that it names.
fn secrets(config: &Config, reader: &str) -> Vec<String> {
    let mine = |key: &&Key| key.readers.contains(&reader);
    let own = config.file_with_secrets().and_then(|file| cautions::secrets(file, "secrets of rota"));
    let named = ALL.iter().filter(mine).flat_map(|key| {
        let files = config.secret_files(*key);
        files.into_iter().filter_map(|file| cautions::secrets(Path::new(&file), key.path))
    });
    own.into_iter().chain(named).collect()
}
