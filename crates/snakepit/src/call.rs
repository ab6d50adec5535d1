//! One call of a tool: its arguments, its options, and the ways to run it.

use std::fmt;
use std::marker::PhantomData;
use std::num::NonZeroU16;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{
    Affinity, CallOptions, Error, ManyResults, Payload, PayloadError, Pool, ResultStream, Session,
    SessionId,
};

/// A call of a tool that has not started.
///
/// [`Snakepit::call`](crate::Snakepit::call) and [`PoolHandle::call`](crate::PoolHandle::call)
/// create one. Awaiting it runs the tool and returns its result; [`stream`](Self::stream) returns
/// the chunks of a streaming tool; [`each`](Self::each) calls the tool once per item. `R` is the
/// type of the result, of a chunk, or of the result of one item.
///
/// ```no_run
/// # async fn demo(snakepit: snakepit::Snakepit) -> Result<(), snakepit::Error> {
/// use std::time::Duration;
///
/// use snakepit::args;
///
/// let mean: f64 = snakepit
///     .call("mean")
///     .args(args! { "xs" => [1.0, 2.0, 3.0] })
///     .timeout(Duration::from_secs(5))
///     .idempotent()
///     .await?;
///
/// let mut lines = snakepit.call::<String>("lines").session("ada").stream().await?;
/// while let Some(line) = lines.next().await {
///     println!("{}", line?);
/// }
///
/// let mut squares = snakepit.call::<i64>("square").each((0..1_000).map(|n| (n,)));
/// while let Some(square) = squares.next().await {
///     println!("{}", square?);
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Cancel safety
/// Dropping the future of a call cancels it; the tool may have run in part.
#[must_use = "a call does nothing unless it is awaited, or read with `stream` or `each`"]
pub struct Call<R, A = ()> {
    pool: Pool,
    tool: Arc<str>,
    args: A,
    options: CallOptions,
    result: PhantomData<fn() -> R>,
}

/// The arguments of a [`Call`], encoded.
#[derive(Debug)]
pub struct Arguments(Result<Payload, PayloadError>);

impl<R> Call<R> {
    #[inline(always)]
    pub(crate) const fn new(pool: Pool, tool: Arc<str>, options: CallOptions) -> Self {
        Self {
            pool,
            tool,
            args: (),
            options,
            result: PhantomData,
        }
    }

    /// Sets the arguments: a struct, a map or [`args!`](crate::args!) for keyword arguments, a
    /// tuple or an array for positional ones. A call without them passes none.
    #[inline(always)]
    pub fn args(self, args: impl Serialize) -> Call<R, Arguments> {
        Call {
            pool: self.pool,
            tool: self.tool,
            args: Arguments(Payload::encode(&args)),
            options: self.options,
            result: PhantomData,
        }
    }

    /// Calls the tool once per item, spread over all workers of the pool. Yields one result per
    /// item, in order.
    ///
    /// Each item holds the arguments of one call, in the forms of [`args`](Self::args). Items are
    /// taken as results are consumed.
    pub fn each<I>(self, items: I) -> ManyResults<R>
    where
        I: IntoIterator,
        I::Item: Serialize,
        I::IntoIter: Send + 'static,
    {
        ManyResults::start(&self.pool, self.tool, items.into_iter(), &self.options)
    }
}

impl<R, A> Call<R, A> {
    /// Sets all options at once. The session and the affinity of the handle stay if `options` has
    /// none.
    pub fn options(self, options: &CallOptions) -> Self {
        self.with(|handle| options.clone().or_session_of(&handle))
    }

    /// Sets the session. Overrides that of the handle.
    pub fn session(self, id: impl Into<SessionId>) -> Self {
        self.with(|options| options.session(id))
    }

    /// Sets the session, and the generation of it that the call is for; see
    /// [`CallOptions::in_session`].
    pub fn in_session(self, session: &Session) -> Self {
        self.with(|options| options.in_session(session))
    }

    /// Sets the strength of the session's bond to a worker. Overrides the pool's.
    pub fn affinity(self, affinity: Affinity) -> Self {
        self.with(|options| options.affinity(affinity))
    }

    /// Sets the time for the whole call, queue included. Overrides the pool's.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.with(|options| options.timeout(timeout))
    }

    /// Sets the longest time in the queue. Overrides the pool's.
    pub fn queue_timeout(self, timeout: Duration) -> Self {
        self.with(|options| options.queue_timeout(timeout))
    }

    /// Adds a text for the tool, which reads it in the `request_metadata` of its context.
    pub fn metadata(self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.with(|options| options.metadata(key, value))
    }

    /// Marks the call as harmless to run twice: the pool may repeat it if its worker died.
    pub fn idempotent(self) -> Self {
        self.with(CallOptions::idempotent)
    }

    /// Sets the identity of the call in the pool's quarantine, by default its tool and arguments.
    pub fn fingerprint(self, fingerprint: impl Into<Arc<str>>) -> Self {
        self.with(|options| options.fingerprint(fingerprint))
    }

    /// Sets the key by which the call takes turns in a fair pool, by default its session.
    pub fn fair_key(self, key: impl Into<Arc<str>>) -> Self {
        self.with(|options| options.fair_key(key))
    }

    /// Sets the weight of that key, 1 by default.
    pub fn fair_weight(self, weight: NonZeroU16) -> Self {
        self.with(|options| options.fair_weight(weight))
    }

    fn with(mut self, set: impl FnOnce(CallOptions) -> CallOptions) -> Self {
        self.options = set(self.options);
        self
    }
}

impl<R: DeserializeOwned, A: IntoArguments> Call<R, A> {
    /// Starts a streaming tool and returns its chunks. Dropping the stream cancels the call.
    ///
    /// # Errors
    /// Every [`Error`]; once the call runs, an error is the last item of the stream.
    pub fn stream(self) -> impl Future<Output = Result<ResultStream<R>, Error>> + Send + use<R, A> {
        let (pool, tool, args, options) = self.into_parts();
        async move {
            Ok(ResultStream::new(
                pool.execute_stream(tool, args?, &options).await?,
            ))
        }
    }

    /// Runs the call without an allocation for its future.
    // Inlined, since the caller then moves the arguments of the future and not its whole room.
    #[inline(always)]
    pub(crate) fn run(self) -> impl Future<Output = Result<R, Error>> + Send + use<R, A> {
        let (pool, tool, args, options) = self.into_parts();
        async move {
            // Pinned where it lies: to await it by value moves it once more.
            let reply = pin!(pool.execute(tool, args?, &options));
            Ok(reply.await?.decode()?)
        }
    }

    #[inline(always)]
    fn into_parts(self) -> (Pool, Arc<str>, Result<Payload, PayloadError>, CallOptions) {
        (self.pool, self.tool, self.args.encoded(), self.options)
    }
}

impl<R: DeserializeOwned + 'static, A: IntoArguments> IntoFuture for Call<R, A> {
    type Output = Result<R, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl<R, A> fmt::Debug for Call<R, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("pool", self.pool.name())
            .field("tool", &self.tool)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// The arguments of a call: [`Arguments`], or `()` for none.
pub trait IntoArguments: sealed::Sealed + Send + 'static {
    #[doc(hidden)]
    fn encoded(self) -> Result<Payload, PayloadError>;
}

impl IntoArguments for () {
    #[inline(always)]
    fn encoded(self) -> Result<Payload, PayloadError> {
        Payload::encode(&())
    }
}

impl IntoArguments for Arguments {
    #[inline(always)]
    fn encoded(self) -> Result<Payload, PayloadError> {
        self.0
    }
}

mod sealed {
    pub trait Sealed {}

    impl Sealed for () {}
    impl Sealed for super::Arguments {}
}
