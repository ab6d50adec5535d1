//! The tools that peers have registered, by session.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use snakepit_core::host_tools::RegisterError;
use snakepit_core::id::SessionId;
use snakepit_core::state::Session;
use snakepit_core::value::MetadataError;

use super::PeerTool;
use super::status::short_name;

/// Largest number of tools of one session.
const MAX_TOOLS: usize = 1_000;

/// Largest size of a tool's name in bytes.
const MAX_NAME: usize = 64;

/// Largest number of entries, and largest size in bytes, of a tool's metadata.
const MAX_METADATA: (usize, usize) = (32, 4096);

/// Largest size of a tool's description in bytes.
const MAX_DESCRIPTION: usize = 16 << 10;

/// A tool and the peer that registered it.
#[derive(Clone, Debug)]
pub(super) struct Registered {
    pub(super) worker: Arc<str>,
    /// `true` if that peer is a worker of the host; others may choose any name.
    pub(super) known_worker: bool,
    pub(super) tool: Arc<PeerTool>,
}

/// The registration of one tool.
#[derive(Debug)]
pub(super) struct Change {
    new: Arc<PeerTool>,
    /// The tool that it replaces, if any.
    previous: Option<Registered>,
}

/// The tools that peers have registered. They are dropped with their session.
#[derive(Debug, Default)]
pub(super) struct PeerTools {
    sessions: Mutex<HashMap<SessionId, OfSession>>,
}

#[derive(Debug, Default)]
struct OfSession {
    generation: u64,
    tools: BTreeMap<String, Registered>,
}

impl PeerTools {
    /// Registers these tools, without those whose names tools of the host have (`taken`), and
    /// returns what has changed, by name. A worker of the host (`known_worker`) replaces what
    /// others have registered, because all workers of a pool register the same tools.
    ///
    /// # Errors
    /// See [`RegisterError`]; also if the session ends meanwhile.
    pub(super) fn register(
        &self,
        session: &Session,
        worker: &Arc<str>,
        tools: Vec<PeerTool>,
        taken: &[String],
        known_worker: bool,
    ) -> Result<BTreeMap<String, Change>, RegisterError> {
        let generation = session.generation();
        let mut changes = BTreeMap::new();
        {
            let mut sessions = self.lock();
            let known = sessions
                .get(session.id())
                .filter(|it| it.generation == generation);
            let none = BTreeMap::new();
            let known = known.map_or(&none, |it| &it.tools);
            let new = checked(tools, known, taken, known_worker)?;
            let of_session = sessions.entry(session.id().clone()).or_default();
            if of_session.generation != generation {
                *of_session = OfSession {
                    generation,
                    tools: BTreeMap::new(),
                };
            }
            for (name, new) in new {
                let registered = Registered {
                    worker: worker.clone(),
                    known_worker,
                    tool: Arc::clone(&new),
                };
                let previous = of_session.tools.insert(name.clone(), registered);
                changes.insert(name, Change { new, previous });
            }
        }
        // A session that ended before the insertion has called `forget` already, so it is called
        // once more.
        session.touch().map_err(|error| {
            self.forget(session.id(), generation);
            RegisterError::Session(error)
        })?;
        Ok(changes)
    }

    /// Returns the tool of this name.
    pub(super) fn get(&self, session: &SessionId, name: &str) -> Option<Registered> {
        self.lock().get(session)?.tools.get(name).cloned()
    }

    /// Returns the tools that a worker of the host has registered for a session.
    pub(super) fn of_worker(&self, session: &SessionId, worker: &str) -> Vec<Arc<PeerTool>> {
        let sessions = self.lock();
        let tools = sessions.get(session).into_iter();
        let tools = tools.flat_map(|it| it.tools.values());
        let own = tools.filter(|it| it.known_worker && &*it.worker == worker);
        own.map(|it| Arc::clone(&it.tool)).collect()
    }

    /// Returns the number of tools of a session.
    pub(super) fn count(&self, session: &SessionId) -> usize {
        self.lock().get(session).map_or(0, |it| it.tools.len())
    }

    /// Takes a registration back: the tools that it replaced are there again.
    pub(super) fn undo(&self, session: &Session, changes: BTreeMap<String, Change>) {
        let mut sessions = self.lock();
        let of_session = sessions.get_mut(session.id());
        let Some(it) = of_session.filter(|it| it.generation == session.generation()) else {
            return;
        };
        for (name, Change { new, previous }) in changes {
            // Another peer may have replaced it meanwhile.
            let own = |it: &Registered| Arc::ptr_eq(&it.tool, &new);
            if !it.tools.get(&name).is_some_and(own) {
                continue;
            }
            match previous {
                Some(previous) => it.tools.insert(name, previous),
                None => it.tools.remove(&name),
            };
        }
    }

    /// Drops all tools of a peer and returns their number.
    pub(super) fn forget_worker(&self, worker: &str) -> usize {
        let mut sessions = self.lock();
        let count = |sessions: &HashMap<SessionId, OfSession>| -> usize {
            sessions.values().map(|it| it.tools.len()).sum()
        };
        let before = count(&sessions);
        for of_session in sessions.values_mut() {
            of_session.tools.retain(|_, it| &*it.worker != worker);
        }
        before - count(&sessions)
    }

    /// Drops all tools of a session that has ended.
    pub(super) fn forget(&self, session: &SessionId, generation: u64) {
        let mut sessions = self.lock();
        if sessions
            .get(session)
            .is_some_and(|it| it.generation <= generation)
        {
            sessions.remove(session);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<SessionId, OfSession>> {
        // Every change is one insertion or removal, so a panic leaves the map consistent.
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the tools to register by their names.
///
/// # Errors
/// One of them cannot be registered, or tools of the host have all of the names.
fn checked(
    tools: Vec<PeerTool>,
    known: &BTreeMap<String, Registered>,
    taken: &[String],
    known_worker: bool,
) -> Result<BTreeMap<String, Arc<PeerTool>>, RegisterError> {
    let mut new = BTreeMap::new();
    let limit = MAX_TOOLS;
    let mut refused = None;
    let taken: HashSet<&str> = taken.iter().map(String::as_str).collect();
    let is_new = |tool: &&PeerTool| !known.contains_key(&tool.name) && !taken.contains(&*tool.name);
    let usage = known.len();
    if usage + tools.iter().filter(is_new).count() > limit {
        return Err(RegisterError::TooMany { usage, limit });
    }
    for mut tool in tools {
        check_name(&tool.name)?;
        check_metadata(&tool)?;
        tool.description = super::status::shortened(&tool.description, MAX_DESCRIPTION);
        let name = tool.name.clone();
        if taken.contains(&*name) {
            refused.get_or_insert(name);
            continue;
        }
        let exists = known.contains_key(&name) && !known_worker;
        if exists || new.insert(name, Arc::new(tool.clone())).is_some() {
            return Err(RegisterError::Duplicate(tool.name));
        }
    }
    match refused {
        Some(name) if new.is_empty() => Err(RegisterError::Duplicate(name)),
        _ => Ok(new),
    }
}

fn check_name(name: &str) -> Result<(), RegisterError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let reason = match name.as_bytes() {
        [] => "is empty",
        bytes if bytes.len() > MAX_NAME => "is longer than 64 bytes",
        [first, ..] if !first.is_ascii_alphanumeric() => "does not begin with a letter or digit",
        bytes if !bytes.iter().copied().all(allowed) => {
            "has characters other than a-z A-Z 0-9 . _ -"
        }
        _ => return Ok(()),
    };
    let name = short_name(name);
    Err(RegisterError::Name { name, reason })
}

fn check_metadata(tool: &PeerTool) -> Result<(), RegisterError> {
    let (entries, bytes) = MAX_METADATA;
    let size: usize = tool
        .metadata
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum();
    let source = if tool.metadata.len() > entries {
        MetadataError::Entries(tool.metadata.len())
    } else if size > bytes {
        MetadataError::Bytes(size)
    } else {
        return Ok(());
    };
    let tool = tool.name.clone();
    Err(RegisterError::Metadata { tool, source })
}

#[cfg(test)]
mod tests {
    use snakepit_core::state::{SessionConfig, SessionOptions, Sessions};

    use super::*;

    fn named(names: &[&str]) -> Vec<PeerTool> {
        let tool = |name: &&str| PeerTool {
            name: (*name).to_owned(),
            ..PeerTool::default()
        };
        names.iter().map(tool).collect()
    }

    fn session() -> Session {
        let sessions = Sessions::new(SessionConfig::new()).unwrap();
        sessions.create("s", SessionOptions::new()).unwrap()
    }

    #[test]
    fn a_batch_is_registered_whole_or_not_at_all() {
        let (tools, session, worker) = (PeerTools::default(), session(), Arc::from("w"));
        tools
            .register(&session, &worker, named(&["a", "b"]), &[], false)
            .unwrap();
        for (batch, taken) in [
            (&["c", "a"][..], None),
            (&["d", "d"], None),
            (&["e"], Some("e")),
        ] {
            let taken: Vec<String> = taken.into_iter().map(str::to_owned).collect();
            let error = tools
                .register(&session, &worker, named(batch), &taken, false)
                .unwrap_err();
            assert!(error.to_string().contains("duplicate_tool"), "{error}");
        }
        assert_eq!(tools.count(session.id()), 2);
        let taken = ["e".to_owned()];
        let named_e_f = named(&["e", "f"]);
        let names = tools.register(&session, &worker, named_e_f, &taken, false);
        let names: Vec<_> = names.unwrap().into_keys().collect();
        assert_eq!(names, ["f"], "a name of a host tool refuses no other");
        assert_eq!(&*tools.get(session.id(), "b").unwrap().worker, "w");
    }

    #[test]
    fn workers_of_a_host_replace_each_others_tools() {
        let (tools, session) = (PeerTools::default(), session());
        for worker in ["w-0", "w-1", "w-1"].map(Arc::from) {
            let names = tools.register(&session, &worker, named(&["a"]), &[], true);
            assert!(names.unwrap().into_keys().eq(["a"]));
            assert_eq!(tools.of_worker(session.id(), &worker).len(), 1);
        }
        assert!(tools.of_worker(session.id(), "w-0").is_empty());
    }

    #[test]
    fn a_peer_with_the_name_of_a_worker_is_none() {
        let (tools, session, worker) = (PeerTools::default(), session(), Arc::from("main-7"));
        tools
            .register(&session, &worker, named(&["a"]), &[], false)
            .unwrap();
        assert!(tools.of_worker(session.id(), "main-7").is_empty());
        assert!(!tools.get(session.id(), "a").unwrap().known_worker);
    }

    #[test]
    fn an_undone_registration_leaves_the_tools_that_it_replaced() {
        let (tools, session) = (PeerTools::default(), session());
        let [one, two, three] = ["w-0", "w-1", "w-2"].map(Arc::from);
        let register = |worker: &Arc<str>, names: &[&str]| {
            let changes = tools.register(&session, worker, named(names), &[], true);
            changes.unwrap()
        };
        register(&one, &["a", "b"]);
        let changes = register(&two, &["a", "b", "c"]);
        register(&three, &["b"]);
        tools.undo(&session, changes);
        let worker = |name| tools.get(session.id(), name).map(|it| it.worker);
        let workers = ["a", "b", "c"].map(worker);
        assert_eq!(workers, [Some(one), Some(three), None]);
    }

    #[test]
    fn tools_that_replace_others_or_are_refused_do_not_count() {
        let (tools, session, worker) = (PeerTools::default(), session(), Arc::from("w"));
        let names: Vec<String> = (0..=MAX_TOOLS).map(|n| format!("t{n}")).collect();
        let all: Vec<&str> = names.iter().map(String::as_str).collect();
        let taken = &names[MAX_TOOLS..];
        for _ in 0..2 {
            let changes = tools.register(&session, &worker, named(&all), taken, true);
            assert_eq!(changes.unwrap().len(), MAX_TOOLS);
        }
        let error = tools.register(&session, &worker, named(&["x"]), taken, true);
        assert!(matches!(error, Err(RegisterError::TooMany { .. })));
    }

    #[test]
    fn names_and_metadata_are_checked() {
        let (tools, session, worker) = (PeerTools::default(), session(), Arc::from("w"));
        let long = "x".repeat(65);
        for name in ["", "-a", ".a", "_a", "a b", "ä", "a/b", &long] {
            let error = tools
                .register(&session, &worker, named(&[name]), &[], false)
                .unwrap_err();
            assert!(
                matches!(error, RegisterError::Name { .. }),
                "{name}: {error}"
            );
        }
        let metadata = (0..33).map(|n| (n.to_string(), String::new())).collect();
        let tool = PeerTool {
            name: "a".into(),
            metadata,
            ..PeerTool::default()
        };
        let error = tools
            .register(&session, &worker, vec![tool], &[], false)
            .unwrap_err();
        assert!(matches!(error, RegisterError::Metadata { .. }), "{error}");
        let many: Vec<String> = (0..1001).map(|n| format!("t{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let error = tools
            .register(&session, &worker, named(&many), &[], false)
            .unwrap_err();
        assert!(matches!(error, RegisterError::TooMany { .. }), "{error}");
        assert_eq!(tools.count(session.id()), 0);
        tools
            .register(&session, &worker, named(&["0", "A.b-c_d"]), &[], false)
            .unwrap();
    }

    #[test]
    fn tools_go_with_their_session() {
        let (tools, session, worker) = (PeerTools::default(), session(), Arc::from("w"));
        session.delete().unwrap();
        let error = tools
            .register(&session, &worker, named(&["a"]), &[], false)
            .unwrap_err();
        assert!(matches!(error, RegisterError::Session(_)), "{error}");
        assert_eq!(tools.count(session.id()), 0);
    }
}
