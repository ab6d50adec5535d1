//! What a worker says of its threads, without what looks like a secret in their names.

use std::borrow::Cow;

use async_trait::async_trait;
use snakepit_core::Stacks;
use snakepit_core::profiling::{ProfileReport, Profiling};

use crate::redact::redact;

/// Masks the names of the threads.
pub(crate) fn without_secrets(mut stacks: Stacks) -> Stacks {
    for thread in &mut stacks.threads {
        mask(&mut thread.name);
    }
    stacks
}

fn mask(name: &mut String) {
    if let Cow::Owned(masked) = redact(name) {
        *name = masked;
    }
}

/// A profile that masks the names of the threads in its report.
#[derive(Debug)]
pub(crate) struct WithoutSecrets(pub(crate) Box<dyn Profiling>);

#[async_trait]
impl Profiling for WithoutSecrets {
    async fn ended(&self) {
        self.0.ended().await;
    }

    async fn stop(self: Box<Self>) -> Result<ProfileReport, String> {
        let mut report = self.0.stop().await?;
        for thread in &mut report.threads {
            mask(&mut thread.name);
        }
        Ok(report)
    }
}

#[cfg(test)]
mod tests {
    use snakepit_core::ThreadStack;

    use super::*;

    #[test]
    fn names_of_threads_have_no_secrets() {
        let thread = ThreadStack {
            name: "upload token='hush-hush'".to_owned(),
            ..ThreadStack::default()
        };
        let stacks = Stacks {
            threads: vec![thread],
            truncated: false,
        };
        let shown = without_secrets(stacks).to_string();
        assert_eq!(shown, "thread `upload token='<redacted>'`");
    }
}
