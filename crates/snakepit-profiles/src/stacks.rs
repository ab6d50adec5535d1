//! Stacks and profiles of a worker without secrets in the names of threads, functions and files.

use async_trait::async_trait;
use snakepit_core::error::Stacks;
use snakepit_core::id::CallId;
use snakepit_core::worker::profiling::{ProfileReport, Profiling};
use snakepit_grpc::link::{LinkClient, Mask as _};

use crate::masking::Secrets;

/// Masks the secrets in stacks.
pub(crate) fn without_secrets(mut stacks: Stacks, secrets: &Secrets) -> Stacks {
    for thread in &mut stacks.threads {
        secrets.redact(&mut thread.name);
        for frame in &mut thread.frames {
            secrets.text(&mut frame.file);
            secrets.text(&mut frame.function);
        }
    }
    stacks
}

/// Replaces numbers of attempts by numbers of calls. Drops tasks of calls that have ended
/// meanwhile.
pub(crate) fn with_call_numbers(mut stacks: Stacks, links: &[LinkClient]) -> Stacks {
    let number_of = |attempt| links.iter().find_map(|link| link.number_of(attempt));
    stacks.threads.retain_mut(|thread| {
        let call = thread.call.map(|attempt| number_of(CallId(attempt)));
        thread.call = call.flatten().map(|call| call.0);
        call.is_none_or(|call| call.is_some())
    });
    stacks
}

/// A profile whose report has no secrets in its names.
#[derive(Debug)]
struct WithoutSecrets(Box<dyn Profiling>, Secrets);

/// Wraps a profile so that its report has no secrets in its names.
pub(crate) fn masked(profiling: Box<dyn Profiling>, secrets: &Secrets) -> Box<dyn Profiling> {
    Box::new(WithoutSecrets(profiling, secrets.clone()))
}

#[async_trait]
impl Profiling for WithoutSecrets {
    async fn ended(&self) {
        self.0.ended().await;
    }

    async fn stop(self: Box<Self>) -> Result<ProfileReport, String> {
        let Self(profiling, secrets) = *self;
        let mut report = profiling.stop().await?;
        for thread in &mut report.threads {
            secrets.redact(&mut thread.name);
        }
        for frame in &mut report.frames {
            secrets.text(&mut frame.file);
            secrets.text(&mut frame.function);
        }
        Ok(report)
    }
}

#[cfg(test)]
mod tests {
    use snakepit_core::error::{StackFrame, ThreadStack};

    use super::*;

    #[test]
    fn names_in_stacks_have_no_secrets() {
        let thread = ThreadStack {
            name: "upload token='hush-hush' to correcthorse".to_owned(),
            frames: vec![StackFrame {
                file: "/tmp/correcthorse/tools.py".to_owned(),
                line: 3,
                function: "of_correcthorse".to_owned(),
            }],
            ..ThreadStack::default()
        };
        let stacks = Stacks {
            threads: vec![thread],
            truncated: false,
        };
        let secrets = Secrets::default();
        secrets.0.add("correcthorse").expect("it has room");
        let shown = without_secrets(stacks, &secrets).to_string();
        let expected = "thread `upload token='<redacted>' to <redacted>`\n  \
                        /tmp/<redacted>/tools.py:3 in of_<redacted>";
        assert_eq!(shown, expected);
    }
}
