//! The end of a pool.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use tokio::time::{Instant, sleep_until};

use super::Supervisor;
use crate::events::emit;
use crate::pool::event::Event;
use crate::pool::foreign;
use crate::pool::upkeep::past::Past;
use crate::worker::Worker;

impl Supervisor {
    /// Lets running calls end, then stops all workers. New calls are rejected already.
    pub(super) async fn close(mut self, drain: Duration, mut grace: Duration) {
        self.shared.begin_close();
        // Dropping a start stops the process that it has started.
        self.starts.shutdown().await;
        let until = Instant::now() + drain;
        let keys = self.shared.lock().retire_all();
        while !drain.is_zero() && self.shared.lock().in_use() > 0 {
            tokio::select! {
                event = self.events.recv() => match event {
                    Some(Event::Resize { done, .. }) => drop(done.send(())),
                    // The last handle is gone: no caller waits any more.
                    Some(Event::Close { drain, grace: now }) if drain.is_zero() => {
                        grace = now;
                        break;
                    }
                    Some(_) => {}
                    None => break,
                },
                Some(Ok((key, exit))) = self.watchers.join_next() => {
                    self.shared.remove(key);
                    let live = self.shared.lock().take_ended(key);
                    if let Some(live) = live {
                        self.shared.report_end(&Past::of(&live), &exit, exit.expected);
                    }
                }
                () = sleep_until(until) => break,
            }
        }
        let stops: Vec<_> = {
            let mut state = self.shared.lock();
            let spares = state.take_spares();
            let workers = keys.iter().filter_map(|key| state.live(*key));
            let workers = workers.map(|live| (Past::of(live), Arc::clone(&live.worker)));
            let spares = spares.into_iter().map(|spare| {
                let past = Past::of_spare(&spare.id, spare.ready.elapsed());
                (past, spare.worker)
            });
            workers.chain(spares).collect()
        };
        let why = if drain.is_zero() {
            "ended by its host: the pool was closed without waiting for calls".to_owned()
        } else {
            format!(
                "ended by its host: the pool was shut down; running calls had `drain_timeout` ({drain:?})"
            )
        };
        for (_, worker) in &stops {
            foreign::will_end(&**worker, &why);
        }
        let stop = |(_, worker): &(_, Arc<dyn Worker>)| {
            let worker = Arc::clone(worker);
            async move { foreign::stop(&*worker, grace).await }
        };
        join_all(stops.iter().map(stop)).await;
        for key in keys {
            self.shared.remove(key);
            drop(self.shared.lock().take_ended(key));
        }
        for (past, worker) in stops {
            // The worker is gone, so its exit is known.
            let exit = foreign::closed(worker).now_or_never();
            self.shared
                .report_end(&past, &exit.unwrap_or_default(), true);
        }
        let pool = self.shared.config.name.clone();
        emit!(self.shared.hub, PoolClosed { pool });
        self.shared
            .readiness
            .send_modify(|state| state.closed = true);
    }
}
