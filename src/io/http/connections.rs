//! Connections: how many there may be, for how long, and which one goes when another one comes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::{Method, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio::time::sleep;

use super::patient::Patient;
use super::stream::Streaming;
use crate::limits::{
    HTTP_ACCEPT_RETRY_MS, HTTP_CONNECTIONS_MAX, HTTP_HEAD_BYTES, HTTP_HEAD_MS, HTTP_HEADERS_MAX,
};

/// The open connections.
#[derive(Debug, Default)]
pub(super) struct Connections {
    open: Mutex<Open>,
    /// Connections that gave way to others, or for which there was no room.
    turned_away: AtomicU64,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    /// By number, the oldest first.
    connections: BTreeMap<u64, Connection>,
    /// Counts requests, so that the connection can be found that has had none for longest.
    requests: u64,
}

#[derive(Debug)]
struct Connection {
    /// Whether a request on it is being answered.
    is_busy: Arc<AtomicBool>,
    /// [`Open::requests`] at its last request, or when it was opened.
    last_used: u64,
    /// `None` for the moment between its entry and its start.
    task: Option<AbortHandle>,
}

impl Connections {
    pub(super) fn open(&self) -> usize {
        self.open.lock().connections.len()
    }

    pub(super) fn turned_away(&self) -> u64 {
        self.turned_away.load(Ordering::Relaxed)
    }

    /// Makes room for one more, if there is none at the cost of the one that nobody has used for longest.
    fn enter(&self) -> Option<(u64, Arc<AtomicBool>)> {
        let mut open = self.open.lock();
        if open.connections.len() >= HTTP_CONNECTIONS_MAX {
            self.turned_away.fetch_add(1, Ordering::Relaxed);
            let idle = open.connections.iter();
            let idle = idle.filter(|(_, c)| !c.is_busy.load(Ordering::Relaxed));
            let number = *idle.min_by_key(|(_, c)| c.last_used)?.0;
            let gone = open.connections.remove(&number)?;
            gone.task.iter().for_each(AbortHandle::abort);
        }
        let number = open.next;
        open.next += 1;
        open.requests += 1;
        let is_busy = Arc::new(AtomicBool::new(false));
        let connection = Connection {
            is_busy: Arc::clone(&is_busy),
            last_used: open.requests,
            task: None,
        };
        open.connections.insert(number, connection);
        Some((number, is_busy))
    }

    fn use_again(&self, number: u64) {
        let mut open = self.open.lock();
        open.requests += 1;
        let requests = open.requests;
        if let Some(connection) = open.connections.get_mut(&number) {
            connection.last_used = requests;
        }
    }

    fn leave(&self, number: u64) {
        self.open.lock().connections.remove(&number);
    }
}

/// Accepts connections for ever.
pub(super) async fn accept(listener: TcpListener, router: Router, connections: Arc<Connections>) {
    loop {
        let Ok((socket, _)) = listener.accept().await else {
            // Out of descriptors, or the client has left already: a moment later there may be some again.
            sleep(Duration::from_millis(HTTP_ACCEPT_RETRY_MS)).await;
            continue;
        };
        let Some((number, is_busy)) = connections.enter() else {
            continue;
        };
        let task = {
            let (router, connections) = (router.clone(), Arc::clone(&connections));
            tokio::spawn(async move {
                serve(socket, router, number, is_busy, &connections).await;
                connections.leave(number);
            })
        };
        let mut open = connections.open.lock();
        if let Some(connection) = open.connections.get_mut(&number) {
            connection.task = Some(task.abort_handle());
        }
    }
}

async fn serve(
    socket: TcpStream,
    router: Router,
    number: u64,
    is_busy: Arc<AtomicBool>,
    connections: &Connections,
) {
    // Small answers should not wait for the acknowledgement of those before them.
    let _ = socket.set_nodelay(true);
    let router = TowerToHyperService::new(router);
    let answer = service_fn(|request: Request<Incoming>| {
        is_busy.store(true, Ordering::Relaxed);
        connections.use_again(number);
        // Whoever asks for a stream's head gets no stream.
        let may_stream = request.method() == Method::GET;
        let answer = router.call(request);
        let is_busy = &is_busy;
        async move {
            let answer = answer.await?;
            // Somebody listens to a stream all the time: it gives way to nobody.
            if !may_stream || answer.extensions().get::<Streaming>().is_none() {
                is_busy.store(false, Ordering::Relaxed);
            }
            Ok::<_, std::convert::Infallible>(answer)
        }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(HTTP_HEAD_MS))
        .max_buf_size(HTTP_HEAD_BYTES)
        .max_headers(HTTP_HEADERS_MAX)
        .serve_connection(TokioIo::new(Patient::new(socket)), answer);
    // A client that sends what is no request, or leaves, has hurt nobody but itself.
    let _ = served.await;
}
