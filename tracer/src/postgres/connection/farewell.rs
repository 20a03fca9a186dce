//! The end of a connection: nothing of it stays in the server.

use std::time::Duration;

use tokio::time::timeout;

use crate::postgres::connection::{Parts, cancel};

/// What is under way has this long to be answered before it is cancelled.
const GRACE: Duration = Duration::from_millis(250);
/// Between attempts to cancel: doubled from the first up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LAST_PAUSE: Duration = Duration::from_secs(10);
/// How often it is tried: for about a minute.
const ATTEMPTS: u32 = 10;
/// How long a cancel request may take: a pooler may have to connect for it.
const CANCELLING: Duration = Duration::from_secs(5);
/// Nothing is under way: the goodbye has only to be sent.
const PARTING: Duration = Duration::from_secs(1);

/// Says goodbye, so that the server does not log an unexpected end; if an answer is
/// still awaited, once that is there. A backend that waits for a standby does not notice
/// that its client is gone: it is asked to end that wait, which leaves its commit one.
/// <https://github.com/postgres/postgres/blob/REL_15_STABLE/src/backend/replication/syncrep.c>
pub(super) async fn say(parts: Parts, busy: bool) {
    let Parts {
        client,
        mut transfer,
        presence,
        via,
        key,
        door,
        found: _,
    } = parts;
    // From now on the goodbye is due, behind the answers that are awaited.
    drop(client);
    let patience = if busy { GRACE } else { PARTING };
    let mut ended = timeout(patience, &mut transfer).await.is_ok();
    let mut pause = FIRST_PAUSE;
    for _ in 0..ATTEMPTS {
        if ended {
            break;
        }
        // What went wrong shows by the answer that does not come.
        if let Some(key) = &key {
            let _ = timeout(CANCELLING, cancel::send(key, &via, &door.target)).await;
        }
        ended = timeout(pause, &mut transfer).await.is_ok();
        pause = (pause * 2).min(LAST_PAUSE);
    }
    if !ended {
        transfer.abort();
    }
    presence.end().await;
}
