//! Stacks and profiles of a worker with secrets redacted from thread names.

use std::borrow::Cow;

use async_trait::async_trait;
use snakepit_core::error::Stacks;
use snakepit_core::id::CallId;
use snakepit_core::worker::profiling::{ProfileReport, Profiling};
use snakepit_grpc::link::LinkClient;
use snakepit_redact::redact;

/// Redacts the names of the threads.
pub(crate) fn without_secrets(mut stacks: Stacks) -> Stacks {
    for thread in &mut stacks.threads {
        mask(&mut thread.name);
    }
    stacks
}

/// Redacts the names of the threads and replaces numbers of attempts by numbers of calls. Drops
/// tasks of calls that have ended meanwhile.
pub(crate) fn with_call_numbers(stacks: Stacks, links: &[LinkClient]) -> Stacks {
    let number_of = |attempt| links.iter().find_map(|link| link.number_of(attempt));
    let mut stacks = without_secrets(stacks);
    stacks.threads.retain_mut(|thread| {
        let call = thread.call.map(|attempt| number_of(CallId(attempt)));
        thread.call = call.flatten().map(|call| call.0);
        call.is_none_or(|call| call.is_some())
    });
    stacks
}

fn mask(name: &mut String) {
    if let Cow::Owned(masked) = redact(name) {
        *name = masked;
    }
}

/// A profile that masks the names of the threads in its report.
#[derive(Debug)]
struct WithoutSecrets(Box<dyn Profiling>);

/// Wraps a profile so that its report has no secrets in names of threads.
pub(crate) fn masked(profiling: Box<dyn Profiling>) -> Box<dyn Profiling> {
    Box::new(WithoutSecrets(profiling))
}

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
    use snakepit_core::error::ThreadStack;

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
