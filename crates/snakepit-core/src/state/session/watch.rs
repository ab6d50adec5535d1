//! Watching the changes of one session.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::counters::Counters;
use super::store::Access;
use super::{Session, StateError};
use crate::events::emit;
use crate::state::{ChangeBatch, ChangeStream, WatchFilter, WatchFrom, WatchItem};

/// Number of changes that a stream reads at a time.
const BATCH: usize = 256;

impl Session {
    /// Watches the changes of variables. Does not keep the session alive.
    ///
    /// # Errors
    /// The session is over.
    pub fn watch(&self, filter: WatchFilter, from: WatchFrom) -> Result<ChangeStream, StateError> {
        let last = self.with(Access::Peek, |live| live.data_mut().log.last())?;
        let after = match from {
            WatchFrom::Now => last,
            WatchFrom::After(seq) => seq,
        };
        let watch = Watch {
            session: self.clone(),
            filter,
            after,
            items: VecDeque::new(),
        };
        let items = futures_util::stream::unfold(Some(watch), async |watch| {
            let mut watch = watch?;
            match watch.next().await {
                Ok(item) => Some((Ok(item), Some(watch))),
                Err(error) => Some((Err(error), None)),
            }
        });
        Ok(ChangeStream::new(Box::pin(items)))
    }

    /// Pulls at most `max` changes after number `after`. If there are none, waits for one, up to
    /// `wait`. With `None` for `after`, returns at once with the current number and no changes.
    ///
    /// # Errors
    /// The session is over, or ends while this waits.
    ///
    /// # Cancel safety
    /// Safe: the same pull can be made again.
    pub async fn changes_after(
        &self,
        after: Option<u64>,
        filter: &WatchFilter,
        max: usize,
        wait: Duration,
    ) -> Result<ChangeBatch, StateError> {
        self.touch()?;
        let Some(after) = after else {
            let next = self.with(Access::Peek, |live| live.data_mut().log.last())?;
            return Ok(ChangeBatch::none(next));
        };
        let until = Instant::now().checked_add(wait);
        self.pull(after, filter, max.max(1), until).await
    }

    /// Waits for changes until a moment; `None` for no limit.
    async fn pull(
        &self,
        mut after: u64,
        filter: &WatchFilter,
        max: usize,
        until: Option<Instant>,
    ) -> Result<ChangeBatch, StateError> {
        let notify = self.with(Access::Peek, |live| live.data_mut().log.notify())?;
        loop {
            // Created before the log is read: it receives all later wake-ups, so that no change is
            // missed.
            let changed = notify.notified();
            let now = self.inner.now();
            let (batch, last, expires) = self.with(Access::Peek, |live| {
                let expires = live.may_expire(now);
                let log = &live.data_mut().log;
                (log.after(after, filter, max), log.last(), expires)
            })?;
            if batch.missed > 0 {
                Counters::add(&self.store().counters.missed, batch.missed);
                emit!(
                    self.store().events,
                    WatchLagged {
                        session: self.id.clone(),
                        missed: batch.missed,
                    }
                );
            }
            if batch.missed > 0 || !batch.changes.is_empty() {
                return Ok(batch);
            }
            after = batch.next;
            if after < last {
                continue;
            }
            let expires = self.inner.epoch.checked_add(Duration::from_nanos(expires));
            let wake = [until, expires].into_iter().flatten().min();
            tokio::select! {
                () = changed => {}
                () = async { sleep_until(wake.expect("checked")).await }, if wake.is_some() => {
                    if until.is_some_and(|until| until <= Instant::now()) {
                        // An empty answer is correct only if the session still exists.
                        self.with(Access::Peek, |_| ())?;
                        return Ok(ChangeBatch::none(after));
                    }
                }
            }
        }
    }
}

/// The state of a watcher.
struct Watch {
    session: Session,
    filter: WatchFilter,
    after: u64,
    items: VecDeque<WatchItem>,
}

impl Watch {
    async fn next(&mut self) -> Result<WatchItem, StateError> {
        loop {
            if let Some(item) = self.items.pop_front() {
                return Ok(item);
            }
            let pull = self.session.pull(self.after, &self.filter, BATCH, None);
            let ChangeBatch {
                changes,
                next,
                missed,
            } = pull.await?;
            self.after = next;
            if missed > 0 {
                self.items.push_back(WatchItem::Lagged { missed });
            }
            let changes = changes
                .into_iter()
                .map(|change| WatchItem::Change(Arc::clone(&change)));
            self.items.extend(changes);
        }
    }
}
