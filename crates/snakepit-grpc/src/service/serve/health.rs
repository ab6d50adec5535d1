//! `grpc.health.v1`: reports whether calls of clients find workers.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::interval;
use tonic::server::NamedService as _;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use super::super::gateway::Gateway;
use super::super::server::BridgeServer;
use crate::pb::bridge_service_server::BridgeServiceServer;

/// Largest delay of the status.
const INTERVAL: Duration = Duration::from_millis(250);

/// The names of the server as a whole and of its one service.
const SERVICES: [&str; 2] = ["", BridgeServiceServer::<BridgeServer>::NAME];

pub(super) async fn set(health: &HealthReporter, serving: bool) {
    let status = if serving {
        ServingStatus::Serving
    } else {
        ServingStatus::NotServing
    };
    for service in SERVICES {
        health.set_service_status(service, status).await;
    }
}

/// Follows the pools forever. `serving` is the status that was reported last.
pub(super) async fn follow(health: HealthReporter, gateway: Arc<dyn Gateway>, mut serving: bool) {
    let mut interval = interval(INTERVAL);
    loop {
        interval.tick().await;
        let now = gateway.is_ready();
        if now != serving {
            serving = now;
            set(&health, serving).await;
        }
    }
}
