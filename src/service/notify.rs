//! Notifications of the service manager, by the protocol of sd_notify(3). Without `NOTIFY_SOCKET` they do nothing.

use sd_notify::NotifyState;

use crate::log::Quoted;

/// The process serves clients, with the settings in force.
pub fn ready() {
    notify(&[NotifyState::Ready]);
}

/// The settings are being read again. [`ready`] follows.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(_) => notify(&[NotifyState::Reloading]),
    }
}

/// The process has begun to stop.
pub fn stopping() {
    notify(&[NotifyState::Stopping]);
}

/// Another process is the service from now on.
pub fn replaced_by(process: u32) {
    notify(&[NotifyState::MainPid(process)]);
}

/// The process works.
pub(super) fn alive() {
    notify(&[NotifyState::Watchdog]);
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        log::debug!("service manager not notified reason={}", Quoted(&error.to_string()));
    }
}
