//! Stable error codes.

use std::fmt;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// A stable code for each kind of failure. Codes never change their meaning; messages may.
        ///
        /// SP1xxx: configuration. SP2xxx: the call's input or output. SP3xxx: the tool itself.
        /// SP4xxx: the pool. SP5xxx: workers. SP6xxx: the registry of worker processes. SP7xxx:
        /// sessions, variables and programs. SP8xxx: host tools. SP9xxx: inspection of a running
        /// host.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorCode {
            $($(#[$doc])* $name,)*
        }

        impl ErrorCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Returns the code as text, for example `SP2003`.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            /// Returns the code with this text. `None` if there is none.
            pub fn parse(text: &str) -> Option<Self> {
                match text {
                    $($text => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}

codes! {
    /// A configuration value is out of range or of the wrong type.
    InvalidConfig = "SP1001",
    /// A configuration key does not exist.
    UnknownKey = "SP1002",
    /// No pool has this name.
    UnknownPool = "SP1003",
    /// No worker has this name.
    UnknownWorker = "SP1004",
    /// There is no tokio runtime, or it has no timers.
    NoRuntime = "SP1005",
    /// A command line cannot be understood.
    WrongUsage = "SP1006",
    /// No tool has this name.
    UnknownTool = "SP2001",
    /// A required argument is missing.
    MissingArgument = "SP2002",
    /// An argument has the wrong type.
    WrongArgument = "SP2003",
    /// The tool has no such argument.
    UnknownArgument = "SP2004",
    /// A payload is larger than the limit.
    PayloadTooLarge = "SP2005",
    /// A payload is not valid: malformed, nested too deep, not UTF-8, unknown extension.
    InvalidPayload = "SP2006",
    /// A result or a chunk holds a value that cannot be sent.
    UnsendableResult = "SP2007",
    /// The arguments must be a map, an array or nil.
    InvalidArguments = "SP2008",
    /// A streaming tool was called as a plain one, or the other way round.
    WrongCallKind = "SP2009",
    /// A received value does not fit the type that the caller requested.
    UnexpectedType = "SP2010",
    /// The tool raised an exception.
    ToolRaised = "SP3001",
    /// The call was cancelled.
    Cancelled = "SP3002",
    /// The queue is full.
    Saturated = "SP4001",
    /// The call waited too long in the queue.
    QueueTimeout = "SP4002",
    /// The call's deadline passed while a worker had it.
    CallTimeout = "SP4003",
    /// The pool is closed.
    Closed = "SP4004",
    /// The pool did not become ready in time.
    NotReady = "SP4005",
    /// The pool has given up starting workers for now.
    StartGaveUp = "SP4006",
    /// The session's worker has no free slot, and the caller chose not to wait.
    AffinityBusy = "SP4007",
    /// The session's worker is gone, and the session's data in its memory is lost.
    AffinityLost = "SP4008",
    /// The pool cannot remember more strict sessions.
    AffinityFull = "SP4009",
    /// A nested call would wait forever for calls that wait for it.
    Deadlock = "SP4010",
    /// The call has killed too many workers and is rejected for a while.
    Quarantined = "SP4011",
    /// Workers fail; calls are rejected at once for a while.
    CircuitOpen = "SP4012",
    /// The worker died during the call.
    WorkerDied = "SP5001",
    /// The worker did not start.
    StartFailed = "SP5002",
    /// The adapter cannot be found or loaded.
    AdapterFailed = "SP5003",
    /// The adapter has no tools.
    NoTools = "SP5004",
    /// No usable interpreter.
    NoInterpreter = "SP5005",
    /// The worker runtime (`snakepit_bridge`) cannot be found or is of another version.
    NoBridge = "SP5006",
    /// The peer broke the protocol.
    Protocol = "SP5007",
    /// The directory for the records of worker processes cannot be used.
    DataDir = "SP6001",
    /// The requested containment does not work on this system.
    NoContainment = "SP6011",
    /// No session has this id, or it has expired.
    UnknownSession = "SP7001",
    /// A session of this id exists already.
    SessionExists = "SP7002",
    /// The session of this handle was replaced by another one of the same id.
    StaleSession = "SP7003",
    /// An id, a name or a time to live cannot be used.
    InvalidState = "SP7004",
    /// Metadata has too many entries or bytes.
    InvalidMetadata = "SP7005",
    /// A quota is exceeded.
    QuotaExceeded = "SP7006",
    /// The host's state is closed.
    StateClosed = "SP7007",
    /// The session of this handle has expired.
    SessionExpired = "SP7008",
    /// No variable has this name.
    UnknownVariable = "SP7101",
    /// A variable of this name exists already.
    VariableExists = "SP7102",
    /// The value is not of the variable's type.
    WrongVariableType = "SP7103",
    /// The value violates a constraint.
    ConstraintViolated = "SP7104",
    /// A constraint cannot be used.
    InvalidConstraint = "SP7105",
    /// The variable was changed in the meantime.
    StaleVersion = "SP7106",
    /// No program has this name.
    UnknownProgram = "SP7201",
    /// No host tool has this name, or it is not exposed.
    UnknownHostTool = "SP8001",
    /// A host tool of this name exists already.
    DuplicateTool = "SP8002",
    /// The name of a host tool cannot be used.
    InvalidToolName = "SP8003",
    /// The number of host tools has reached its limit.
    TooManyTools = "SP8004",
    /// The host tool returned an error.
    HostToolFailed = "SP8005",
    /// The host tool panicked.
    HostToolPanicked = "SP8006",
    /// The deadline passed while a host tool ran.
    HostToolTimeout = "SP8007",
    /// Calls are nested too deeply.
    TooDeep = "SP8008",
    /// A request to the host names a call that is not running.
    NotRunning = "SP8009",
    /// A request to the host is malformed or unknown.
    InvalidRequest = "SP8010",
    /// Too many requests to the host are in progress.
    TooManyRequests = "SP8011",
    /// No open stream has this number.
    UnknownStream = "SP8012",
    /// No host runs, or none with this name.
    NoHost = "SP9001",
    /// Several hosts run, and none was named.
    SeveralHosts = "SP9002",
    /// The host ended before it answered.
    HostGone = "SP9003",
    /// The host speaks another version of the admin protocol.
    HostVersion = "SP9004",
    /// An action was requested without permission.
    ActionNotAllowed = "SP9005",
    /// The admin socket of a host cannot be used or trusted.
    AdminSocket = "SP9006",
    /// The host could not answer.
    AdminFailed = "SP9007",
    /// The flight recording of a host cannot be read.
    BadRecording = "SP9008",
    /// A worker cannot be profiled.
    NoProfile = "SP9009",
    /// The process of the host is stopped and answers nothing.
    HostStopped = "SP9010",
    /// The program cannot read its input or write its output.
    OutputFailed = "SP9011",
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
