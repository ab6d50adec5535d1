//! Workers in other languages: the example in Node, and workers that misbehave.

mod conform;
mod grpcio;
mod hostile;
mod installed;
mod node;
mod page;
#[path = "../../../snakepit-grpc/tests/it/venv.rs"]
mod venv;

use snakepit::{PoolBuilder, Snakepit};

use installed::{node_pool as pool, packages};

async fn start(pool: PoolBuilder) -> Snakepit {
    Snakepit::builder().pool(pool).start().await.unwrap()
}
