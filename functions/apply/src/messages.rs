//! Deletes, hides and forwards messages.

use std::time::Duration;

use aws_lambda_events::sqs::SqsMessage;
use futures_util::{StreamExt, stream};
use lambda_shell::sqs_event::receives;
use queues::message::{Defect, UnreadableMessage};
use rules::work::backoff;
use world::{Host, Inbox, Invocation, Level, Metric, Outbox, Report, within};

use crate::batch::{Batch, HandedBack};
use crate::{Apply, CONCURRENCY, sent_ms, unix_ms};

impl<H: Host, R, S, O, I: Inbox, Q: Outbox> Apply<H, R, S, O, I, Q> {
    /// Sorts the unreadable messages. One of another version goes back to the queue, for code that
    /// knows that version; any other is poison.
    pub(crate) fn sort_out_unreadable<'a>(
        &self,
        unreadable: Vec<(&'a SqsMessage, UnreadableMessage)>,
        batch: &mut Batch<'a>,
    ) {
        for (message, error) in unreadable {
            let reason = (Level::Error, error.to_string());
            let of = match error.defect {
                Defect::Version(_) => &mut batch.handed_back,
                Defect::Part(_) => &mut batch.poison,
            };
            of.push(HandedBack { message, operation: error.operation, reason });
        }
    }

    /// Deletes finished messages, so that a suspect that ends the process cannot affect them.
    pub(crate) async fn delete_finished(&self, batch: &Batch<'_>, invocation: &Invocation) {
        let handles = batch.finished.iter().filter_map(|message| message.receipt_handle.as_deref());
        let deletions = stream::iter(handles)
            .map(|handle| within(&self.host, invocation.deadline, self.updates.delete(handle)));
        let mut deletions = deletions.buffer_unordered(CONCURRENCY);
        while let Some(deleted) = deletions.next().await {
            if let Err(error) = deleted {
                let report = Report::warn(invocation, "could not delete a finished message");
                self.host.report(&report.failed(&error));
            }
        }
    }

    /// Forwards poison messages to the dead-letter queue; they are then finished. Hands back those
    /// that it cannot forward.
    pub(crate) async fn send_to_dead_letters(
        &self,
        batch: &mut Batch<'_>,
        invocation: &Invocation,
    ) {
        for poison in std::mem::take(&mut batch.poison) {
            let (message, (level, reason)) = (poison.message, &poison.reason);
            let forward = self.dead_letters.forward(message);
            match within(&self.host, invocation.deadline, forward).await {
                Ok(()) => {
                    batch.finished.push(message);
                    let report =
                        Report::error(invocation, "sent a message to the dead-letter queue");
                    self.host.report(&poison.about(report.because(reason)));
                }
                Err(error) => {
                    let reason = (*level, format!("{reason}; {error}"));
                    batch.handed_back.push(HandedBack { reason, ..poison });
                }
            }
        }
    }

    /// Reports each message that is handed back, and hides it, for longer after each receive.
    pub(crate) async fn hand_back(&self, batch: &Batch<'_>, invocation: &Invocation) {
        let handed_back = stream::iter(&batch.handed_back);
        handed_back.for_each_concurrent(CONCURRENCY, |one| self.hide(one, invocation)).await;
    }

    async fn hide(&self, handed_back: &HandedBack<'_>, invocation: &Invocation) {
        let (message, (level, reason)) = (handed_back.message, &handed_back.reason);
        let report = Report::warn(invocation, "handed back a message").because(reason);
        let report = handed_back.about(report.count(Metric::HandedBack));
        let age_s = sent_ms(message).map(|sent| (unix_ms(self.host.now()) - sent).max(0) / 1000);
        let report = match age_s {
            Some(age_s) => report.value(Metric::HandedBackAge, age_s),
            None => report,
        };
        self.host.report(&Report { level: *level, ..report });
        let Some(receipt_handle) = &message.receipt_handle else { return };
        let timeout: Duration = backoff::visibility(receives(message), self.host.random());
        let hide = self.updates.hide(receipt_handle, timeout);
        if let Err(error) = within(&self.host, invocation.deadline, hide).await {
            let message =
                "could not hide a message: it comes back after the queue's own visibility timeout";
            let report = Report::warn(invocation, message).failed(&error);
            self.host.report(&handed_back.about(report));
        }
    }
}
