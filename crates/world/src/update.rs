//! Runs the resource's own async function, for `put` and `apply`.

use std::time::Duration;

use rules::{Operation, Resource, Updated};

use crate::{CallError, Host, Invocation, Report, within};

/// Runs the update of an operation, and cuts it off at `until` (since the Unix epoch). If it must
/// be tried again later, reports why.
pub async fn update<R: Resource>(
    host: &impl Host,
    resource: &R,
    operation: &Operation,
    until: Duration,
    invocation: &Invocation,
) -> Updated {
    let time_left = until.saturating_sub(host.now());
    let update = async { Ok(resource.update(operation, time_left).await) };
    let updated = within(host, until, update).await;
    let updated =
        updated.unwrap_or_else(|_: CallError| Updated::TryLater("it took too long".to_owned()));
    if let Updated::TryLater(reason) = &updated {
        let report = Report::warn(invocation, "the update must be tried again later");
        let report = report.resource(&operation.resource).operation(operation.id);
        host.report(&report.because(reason));
    }
    updated
}
