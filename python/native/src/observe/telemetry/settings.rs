//! Telemetry settings of the host, in the form that Python code reads.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use prost::Message as _;
use snakepit_grpc::pb;

use crate::codec::msgpack::{Token, write};

/// The current settings, which the host may change at any time.
#[derive(Debug)]
pub(super) struct Settings {
    enabled: AtomicBool,
    version: AtomicU64,
    /// The last change was not applied to Python code yet.
    is_new: AtomicBool,
    /// The settings as a MessagePack map.
    map: Mutex<Vec<u8>>,
}

impl Settings {
    pub(super) fn new(first: &pb::TelemetrySettings) -> Self {
        Self {
            enabled: AtomicBool::new(first.enabled),
            version: AtomicU64::new(1),
            is_new: AtomicBool::new(false),
            map: Mutex::new(encode(first)),
        }
    }

    /// Applies the head of a frame; ignores one that cannot be decoded.
    pub(super) fn set(&self, head: &[u8]) {
        let Ok(settings) = pb::TelemetrySettings::decode(head) else {
            return;
        };
        let mut map = self.map.lock().unwrap_or_else(PoisonError::into_inner);
        *map = encode(&settings);
        self.enabled.store(settings.enabled, Ordering::Relaxed);
        self.version.fetch_add(1, Ordering::Release);
        self.is_new.store(true, Ordering::Release);
    }

    /// Returns whether the host has changed the settings, once for each change.
    pub(super) fn take_new(&self) -> bool {
        self.is_new.load(Ordering::Relaxed) && self.is_new.swap(false, Ordering::AcqRel)
    }

    pub(super) fn is_enabled(&self) -> bool {
        self.enabled.load(Ordering::Relaxed)
    }

    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    pub(super) fn get(&self) -> (u64, Vec<u8>) {
        let map = self.map.lock().unwrap_or_else(PoisonError::into_inner);
        (self.version(), map.clone())
    }
}

/// Returns the settings of a host that takes no records.
pub(super) fn off() -> (u64, Vec<u8>) {
    (0, encode(&pb::TelemetrySettings::default()))
}

fn encode(settings: &pb::TelemetrySettings) -> Vec<u8> {
    let mut out = Vec::new();
    let text = |out: &mut Vec<u8>, text: &str| write(out, Token::Str(text));
    write(&mut out, Token::Map(5));
    text(&mut out, "enabled");
    write(&mut out, Token::Bool(settings.enabled));
    text(&mut out, "sampling");
    write(&mut out, Token::Float(settings.sampling));
    for (name, globs) in [("allow", &settings.allow), ("deny", &settings.deny)] {
        text(&mut out, name);
        write(&mut out, Token::Array(globs.len()));
        globs.iter().for_each(|glob| text(&mut out, glob));
    }
    text(&mut out, "levels");
    write(&mut out, Token::Map(settings.levels.len()));
    for (logger, level) in &settings.levels {
        text(&mut out, logger);
        write(&mut out, Token::Int(i64::from(*level)));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_a_new_version_and_garbage_is_none() {
        let first = pb::TelemetrySettings {
            enabled: true,
            sampling: 0.5,
            ..Default::default()
        };
        let settings = Settings::new(&first);
        assert!(settings.is_enabled());
        assert_eq!(settings.get(), (1, encode(&first)));
        settings.set(&[0xff; 3]);
        assert_eq!(settings.version(), 1);
        let second = pb::TelemetrySettings {
            deny: vec!["urllib3.*".into()],
            levels: [("a".to_owned(), 30)].into(),
            ..Default::default()
        };
        settings.set(&second.encode_to_vec());
        assert!(!settings.is_enabled());
        let (version, map) = settings.get();
        assert_eq!((version, settings.version()), (2, 2));
        let text = String::from_utf8_lossy(&map);
        assert!(text.contains("urllib3.*") && map.ends_with(&[0x81, 0xa1, b'a', 30]));
    }
}
