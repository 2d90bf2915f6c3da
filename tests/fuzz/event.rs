//! Whatever JSON a gateway hands over, the service that the functions run has an answer.
//! `make -C tests fuzz SECONDS=60` runs it.

#![no_main]

use std::time::Duration;

use futures_util::FutureExt;
use lambda_http::{Body, Response};
use lambda_runtime::{Context, LambdaEvent, Service};
use lambda_shell::{Access, GatewayEvent, gateway};
use libfuzzer_sys::fuzz_target;
use world::{Host, Report};

struct Quiet;

impl Host for Quiet {
    fn now(&self) -> Duration {
        Duration::ZERO
    }

    fn random(&self) -> u64 {
        0
    }

    async fn sleep(&self, _: Duration) {}

    fn report(&self, _: &Report<'_>) {}
}

fuzz_target!(|event: &[u8]| {
    let Ok(event) = serde_json::from_slice::<GatewayEvent>(event) else { return };
    let handle = |_| async { Response::new(Body::Empty) };
    let event = LambdaEvent::new(event, Context::default());
    let answer = gateway::service(&Quiet, &Access::Everyone, &handle).call(event).now_or_never();
    assert!(answer.is_some_and(|answer| answer.is_ok()));
});
