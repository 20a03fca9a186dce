//! `--listen`: an endpoint that Prometheus scrapes. It has a thread of its own and
//! shows what the run put there last: whoever asks, and however slowly, never holds up
//! the count.

pub(crate) mod metrics;

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Context as _;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;
use tracer_core::metrics::Metrics;
use tracer_core::render::openmetrics;

use crate::kernel::descriptors::{explained, is_exhausted};

/// Who scrapes opens one connection, or a few.
const MAX_CONNECTIONS: usize = 16;
/// From a connection's begin to the end of its answer.
const LIMIT: Duration = Duration::from_secs(10);
/// The most that a request may have; hyper takes no less.
const MAX_REQUEST_BYTES: usize = 8 * 1024;
/// After an error that affects all connections, such as too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// What is shown.
#[derive(Debug, Clone, Default)]
struct ShownMetrics(Arc<Mutex<Metrics>>);

impl ShownMetrics {
    fn lock(&self) -> MutexGuard<'_, Metrics> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An address that is listened on.
#[derive(Debug)]
pub(crate) struct ListenSocket {
    listener: TcpListener,
    address: SocketAddr,
}

/// The endpoint that answers there.
#[derive(Debug)]
pub(crate) struct Exporter {
    shown: ShownMetrics,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl ListenSocket {
    /// Binds at once, with the privileges and in the network namespace of the caller.
    pub(crate) fn bind(address: SocketAddr) -> anyhow::Result<Self> {
        let bind = || -> io::Result<Self> {
            let listener = TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            Ok(Self { listener, address })
        };
        bind().with_context(|| format!("cannot listen on --listen {address}"))
    }

    /// Begins to answer.
    pub(crate) fn serve(self) -> anyhow::Result<Exporter> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start the event loop for --listen")?;
        let shown = ShownMetrics::default();
        let (stop, stopped) = oneshot::channel();
        let served = shown.clone();
        log::debug!("metrics are at http://{}/metrics", self.address);
        let thread = thread::Builder::new()
            .name(env!("CARGO_PKG_NAME").to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    let listener = match tokio::net::TcpListener::from_std(self.listener) {
                        Ok(listener) => listener,
                        Err(error) => {
                            log::warn!("--listen {}: {error}", self.address);
                            return;
                        }
                    };
                    tokio::select! {
                        _ = stopped => {}
                        () = accept(&listener, &served) => {}
                    }
                });
                // Nobody's answer is waited for.
                runtime.shutdown_background();
            })
            .context("cannot start a thread for --listen")?;
        Ok(Exporter {
            shown,
            stop,
            thread,
        })
    }
}

impl Exporter {
    /// Shows this from now on.
    pub(crate) fn show(&self, metrics: Metrics) {
        *self.shown.lock() = metrics;
    }

    /// Ends it.
    pub(crate) fn finish(self) {
        // Nobody there to hear it has ended already.
        let _ = self.stop.send(());
        let _ = self.thread.join();
    }
}

async fn accept(listener: &tokio::net::TcpListener, shown: &ShownMetrics) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut warned = false;
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Once: it may come again with each scrape.
                if is_exhausted(&error) && !std::mem::replace(&mut warned, true) {
                    log::warn!("--listen: {}", explained(error.to_string()));
                }
                log::debug!("--listen: {error}");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        // Whoever comes when all are taken is sent away by closing.
        let Ok(permit) = Arc::clone(&room).try_acquire_owned() else {
            continue;
        };
        let shown = shown.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let answer = answer(&request, &shown);
                async move { Ok::<_, Infallible>(answer) }
            });
            let connection = http1::Builder::new()
                .keep_alive(false)
                .max_buf_size(MAX_REQUEST_BYTES)
                .serve_connection(TokioIo::new(stream), service);
            // Too late, too long, or gone: that is the other side's affair.
            let _ = timeout(LIMIT, connection).await;
            drop(permit);
        });
    }
}

fn answer(request: &Request<Incoming>, shown: &ShownMetrics) -> Response<Full<Bytes>> {
    let say = |status: StatusCode, text: &str| {
        let mut response = Response::new(Full::new(Bytes::from(text.to_owned())));
        *response.status_mut() = status;
        response
    };
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut response = say(StatusCode::METHOD_NOT_ALLOWED, "GET or HEAD\n");
        let allowed = HeaderValue::from_static("GET, HEAD");
        response.headers_mut().insert(ALLOW, allowed);
        return response;
    }
    if request.uri().path() != "/metrics" {
        return say(StatusCode::NOT_FOUND, "metrics are at /metrics\n");
    }
    let metrics = shown.lock().clone();
    match openmetrics::render(metrics) {
        Ok(text) => {
            let mut response = say(StatusCode::OK, &text);
            let media_type = HeaderValue::from_static(openmetrics::MEDIA_TYPE);
            response.headers_mut().insert(CONTENT_TYPE, media_type);
            response
        }
        Err(error) => say(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error}\n")),
    }
}
