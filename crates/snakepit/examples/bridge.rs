//! Serves sessions, host tools and the tools of a pool to gRPC clients in any language, on a Unix
//! socket and on TCP: `cargo run --example bridge --features bridge`. It prints how clients
//! connect, and ends with its input. `proto/README.md` has a client in Python.
#![expect(clippy::print_stdout, reason = "it prints how clients connect")]

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use snakepit::grpc::{Scope, ServeOptions, Serving, Token};
use snakepit::{HostTool, PoolBuilder, Snakepit, ToolFailure, ToolResult};

/// Arguments of the host tool.
#[derive(Deserialize, JsonSchema)]
struct Item {
    name: String,
}

fn price(item: &Item) -> ToolResult<f64> {
    match &*item.name {
        "apple" => Ok(0.5),
        "pear" => Ok(0.75),
        other => Err(ToolFailure::new(format!("there is no {other}"))),
    }
}

/// A running service.
pub(crate) struct Service {
    /// The Unix socket, for processes of this user.
    pub(crate) unix: Serving,
    /// The TCP port, for clients that have a token.
    pub(crate) tcp: Serving,
    /// Admits a client to everything.
    pub(crate) token: Token,
    /// Admits a client to the session `guest` alone.
    pub(crate) guest: Token,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let adapter = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/bridge.py");
    let snakepit = start(PoolBuilder::new("main", adapter)).await?;
    let base = std::env::var_os("XDG_RUNTIME_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let socket = base.join(format!("snakepit-bridge-{}", std::process::id()));
    let service = serve(&snakepit, &socket.join("s")).await?;
    println!("{}", service.unix.address());
    println!("{}", service.tcp.address());
    println!("token {}", service.token.secret());
    println!("token of session guest {}", service.guest.secret());
    tokio::task::spawn_blocking(|| io::copy(&mut io::stdin(), &mut io::sink())).await??;

    // Clients have some time for the requests that are running.
    let grace = Duration::from_secs(5);
    tokio::join!(service.unix.stop(grace), service.tcp.stop(grace));
    snakepit.shutdown().await;
    std::fs::remove_dir(socket)?;
    Ok(())
}

/// Starts a pool, and registers a host tool that its workers and the clients can call.
pub(crate) async fn start(pool: PoolBuilder) -> Result<Snakepit, Box<dyn Error>> {
    let price = HostTool::sync("price", |_, item: Item| price(&item)).exposed();
    let builder = Snakepit::builder().pool(pool).host_tool(price);
    Ok(builder.start().await?)
}

/// Serves on a Unix socket and on a free TCP port.
pub(crate) async fn serve(snakepit: &Snakepit, socket: &Path) -> Result<Service, Box<dyn Error>> {
    // With `bridge` instead, clients could not call the tools of workers.
    let bridge = snakepit.bridge_with_gateway();
    let (token, guest) = (Token::generate()?, Token::generate()?);
    let mut options = ServeOptions::new();
    options.clients = vec![(guest.clone(), Scope::sessions(["guest"]))];
    Ok(Service {
        unix: bridge.serve_unix(socket, &options).await?,
        tcp: bridge
            .serve_tcp(([127, 0, 0, 1], 0).into(), token.clone(), &options)
            .await?,
        token,
        guest,
    })
}
