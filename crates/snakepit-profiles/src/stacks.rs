//! Stacks and profiles of a worker without secrets and control characters in the names of threads,
//! functions and files.

use async_trait::async_trait;
use snakepit_core::error::Stacks;
use snakepit_core::id::CallId;
use snakepit_core::worker::profiling::{ProfileReport, Profiling};
use snakepit_grpc::link::{LinkClient, Mask as _};

use crate::masking::Secrets;

/// Masks the secrets in stacks.
pub(crate) fn without_secrets(mut stacks: Stacks, secrets: &Secrets) -> Stacks {
    for thread in &mut stacks.threads {
        name(&mut thread.name, secrets);
        for frame in &mut thread.frames {
            text(&mut frame.file, secrets);
            text(&mut frame.function, secrets);
        }
    }
    stacks
}

/// Masks the secrets in the name of a thread, and what looks like one.
fn name(name: &mut String, secrets: &Secrets) {
    secrets.redact(name);
    clean(name);
}

/// Masks the secrets in another text.
fn text(text: &mut String, secrets: &Secrets) {
    secrets.text(text);
    clean(text);
}

/// Replaces control characters, which a terminal or a log must not get. A secret may have some, so
/// that it is masked before.
fn clean(text: &mut String) {
    if text.contains(char::is_control) {
        *text = text.replace(char::is_control, "\u{fffd}");
    }
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
///
/// # Errors
/// The reason for which there is no profile, without secrets.
pub(crate) fn masked(
    begun: Result<Box<dyn Profiling>, String>,
    secrets: &Secrets,
) -> Result<Box<dyn Profiling>, String> {
    match begun {
        Ok(profiling) => Ok(Box::new(WithoutSecrets(profiling, secrets.clone()))),
        Err(reason) => Err(plain_reason(reason, secrets)),
    }
}

/// Returns the reason for which a worker gives no profile, without secrets.
fn plain_reason(mut reason: String, secrets: &Secrets) -> String {
    text(&mut reason, secrets);
    reason
}

#[async_trait]
impl Profiling for WithoutSecrets {
    async fn ended(&self) {
        self.0.ended().await;
    }

    async fn stop(self: Box<Self>) -> Result<ProfileReport, String> {
        let Self(profiling, secrets) = *self;
        let stopped = profiling.stop().await;
        let mut report = stopped.map_err(|reason| plain_reason(reason, &secrets))?;
        for thread in &mut report.threads {
            name(&mut thread.name, &secrets);
        }
        for frame in &mut report.frames {
            text(&mut frame.file, &secrets);
            text(&mut frame.function, &secrets);
        }
        for worker in &mut report.unprofiled {
            text(&mut worker.reason, &secrets);
        }
        Ok(report)
    }
}

#[cfg(test)]
mod tests {
    use snakepit_core::error::{StackFrame, ThreadStack};
    use snakepit_core::worker::profiling::{ProfiledFrame, ProfiledThread, UnprofiledWorker};

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
    #[test]
    fn secrets_with_control_characters_are_found_before_these_are_replaced() {
        let secrets = Secrets::default();
        secrets.0.add("kLQSQ\u{1}GZWtpb99").expect("it has room");
        let secret = "kLQSQ\u{1}GZWtpb99\u{1b}[2J".to_owned();
        let thread = ThreadStack {
            name: secret.clone(),
            frames: vec![StackFrame {
                file: secret.clone(),
                line: 3,
                function: secret.clone(),
            }],
            ..ThreadStack::default()
        };
        let stacks = Stacks {
            threads: vec![thread],
            truncated: false,
        };
        let shown = without_secrets(stacks, &secrets).to_string();
        let plain = "<redacted>\u{fffd}[2J";
        let expected = format!("thread `{plain}`\n  {plain}:3 in {plain}");
        assert_eq!(shown, expected);
        assert_eq!(plain_reason(secret, &secrets), plain);
    }

    #[derive(Debug)]
    struct Ended;

    #[async_trait]
    impl Profiling for Ended {
        async fn ended(&self) {}

        async fn stop(self: Box<Self>) -> Result<ProfileReport, String> {
            let secret = "kLQSQ\u{1}GZWtpb99\u{1b}[2J".to_owned();
            let mut report = ProfileReport::default();
            report.threads.push(ProfiledThread {
                name: secret.clone(),
                ..ProfiledThread::default()
            });
            report.frames.push(ProfiledFrame {
                function: secret.clone(),
                file: secret.clone(),
                ..ProfiledFrame::default()
            });
            report.unprofiled.push(UnprofiledWorker {
                reason: secret,
                ..UnprofiledWorker::default()
            });
            Ok(report)
        }
    }

    #[tokio::test]
    async fn names_in_profiles_have_no_secrets() {
        let secrets = Secrets::default();
        secrets.0.add("kLQSQ\u{1}GZWtpb99").expect("it has room");
        let profiling = masked(Ok(Box::new(Ended)), &secrets).expect("it runs");
        let report = profiling.stop().await.expect("it has stopped");
        let (frame, plain) = (&report.frames[0], "<redacted>\u{fffd}[2J");
        assert_eq!(
            [&*report.threads[0].name, &frame.function, &frame.file],
            [plain; 3]
        );
        assert_eq!(report.unprofiled[0].reason, plain);
    }
}
