//! The HTTP server beside the counting: two threads that give way to it, and the channels between.

mod budget;
mod desk;
pub(super) mod slip;

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;

use futures_util::future::select;
use tokio::runtime::Builder;
use tokio::sync::oneshot;

use self::desk::Desk;
use self::slip::{Inbox, Live};
use super::pipeline::spawn;
use crate::config::{Counting, HttpConfig};
use crate::engine::look::clerk::Clerk;
use crate::engine::shard::Shelf;
use crate::error::Failure;
use crate::io::clock::Clock;
use crate::io::http::Door;
use crate::io::http::gate::{Access, Token};
use crate::limits::{HTTP_TOKEN_CHARS_MAX, HTTP_TOKEN_CHARS_MIN};
use crate::observe::board::Board;
use crate::observe::happenings::{AddressTaken, Listening};

/// How much the threads of the HTTP server give way to those of the counting, by nice(2).
const NICENESS: i32 = 10;

/// A running server, as the counting sees it. It ends when this is dropped.
pub(super) struct Web {
    /// Where questions come in.
    pub(super) inbox: Inbox,
    _stop: oneshot::Sender<()>,
}

impl Web {
    /// Starts a server that tells what is on a board.
    ///
    /// # Errors
    ///
    /// An address that is not to be had, or a token that cannot be read or is none.
    pub(super) fn start(
        config: &HttpConfig,
        board: &Arc<Board>,
        counting: &Counting,
        shelf: Option<Box<dyn Shelf>>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, Failure> {
        let access = match &config.token_file {
            None => Access::Open,
            Some(file) => Access::Token(read_token(file)?),
        };
        let listener = listen(config)?;
        let address = listener
            .local_addr()
            .map_err(|error| refused(config, &error))?;
        let (live, inbox) = Live::new(shelf);
        let clerk = Clerk::new(live, counting.precision, counting.rules.calendar.clone());
        let desk = Desk::open(clerk, Arc::clone(clock))?;
        let wants_token = matches!(access, Access::Token(_));
        let door = Door::new(
            Arc::clone(board),
            Arc::new(desk),
            access,
            config.hosts.clone(),
        );
        let (stop, stopped) = oneshot::channel();
        // Not joined: an answer that is under way must not keep the process from ending.
        drop(spawn("http".to_owned(), move || {
            serve(door, listener, stopped)
        })?);
        Listening {
            address: &format!("http://{address}/"),
            wants_token,
        }
        .emit();
        Ok(Self { inbox, _stop: stop })
    }
}

fn serve(door: Door, listener: TcpListener, stopped: oneshot::Receiver<()>) {
    give_way();
    let runtime = Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build();
    // Without a runtime there is no server, and the counting goes on; the listener is closed, which clients see.
    let Ok(runtime) = runtime else { return };
    runtime.block_on(async {
        if let Ok(listener) = tokio::net::TcpListener::from_std(listener) {
            // Nothing is ever sent: the other end is dropped when the service ends.
            select(pin!(door.serve(listener)), stopped).await;
        }
    });
}

/// On a machine that is short of cores, counting comes first.
pub(super) fn give_way() {
    // On Linux this is about the calling thread alone. Where it fails, nothing is lost but this courtesy.
    let _ = rustix::process::setpriority_process(None, NICENESS);
}

fn listen(config: &HttpConfig) -> Result<TcpListener, Failure> {
    let bind = |address| {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    bind(config.address)
        .or_else(|error: std::io::Error| {
            if !config.any_port {
                return Err(error);
            }
            AddressTaken {
                why: &error.to_string(),
            }
            .emit();
            bind((config.address.ip(), 0).into())
        })
        .map_err(|error| refused(config, &error))
}

fn refused(config: &HttpConfig, error: &std::io::Error) -> Failure {
    Failure::Unavailable(format!(
        "cannot listen on {}: {error}; choose another address with --http",
        config.address
    ))
}

fn read_token(file: &Path) -> Result<Token, Failure> {
    let text = fs::read_to_string(file).map_err(|error| {
        Failure::NoInput(format!(
            "cannot read --http-token-file {}: {error}",
            file.display()
        ))
    })?;
    let token = text.trim();
    let is_long_enough = (HTTP_TOKEN_CHARS_MIN..=HTTP_TOKEN_CHARS_MAX).contains(&token.len());
    if !is_long_enough || !token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(Failure::Usage(format!(
            "--http-token-file must hold one token of {HTTP_TOKEN_CHARS_MIN} to {HTTP_TOKEN_CHARS_MAX} printable characters, such as 'openssl rand -hex 32' makes"
        )));
    }
    Ok(Token::new(token.to_owned()))
}
