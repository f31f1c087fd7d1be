//! Runs something on a thread of its own, and survives whatever becomes of it.
//!
//! A panic in a simulated runtime cannot be unwound: what is dropped on the way panics again, and the process aborts. So
//! the thread reports the panic and stops for ever, with what it holds; a run that hangs is left alone as well. It stops
//! within the panic hook, which nobody can replace from then on: the harness of tests would wait for it for ever.

use std::cell::RefCell;
use std::panic::PanicHookInfo;
use std::sync::{Once, mpsc};
use std::thread;
use std::time::Duration;

type Report = Box<dyn FnOnce(String)>;

thread_local! {
    static REPORT: RefCell<Option<Report>> = const { RefCell::new(None) };
}

/// Deep futures are polled on it.
const STACK_BYTES: usize = 16 * 1024 * 1024;

/// What `work` gives.
///
/// # Errors
/// With the panic, or that it took more than `limit` of real time.
pub fn run<T: Send + 'static>(limit: Duration, work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    report_panics();
    let (sender, ended) = mpsc::channel();
    let panicked = sender.clone();
    let thread = thread::Builder::new().stack_size(STACK_BYTES).spawn(move || {
        let report = move |text| {
            let _ = panicked.send(Err(text));
        };
        REPORT.set(Some(Box::new(report)));
        let done = work();
        REPORT.set(None);
        let _ = sender.send(Ok(done));
    });
    thread.map_err(|error| format!("no thread: {error}"))?;
    let hung = |_| Err(format!("it did not end within {} s", limit.as_secs()));
    ended.recv_timeout(limit).unwrap_or_else(hung)
}

fn report_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| match REPORT.take() {
            Some(report) => {
                report(text_of(panic));
                loop {
                    thread::park();
                }
            }
            None => usual(panic),
        }));
    });
}

fn text_of(panic: &PanicHookInfo<'_>) -> String {
    let text = panic.payload_as_str().unwrap_or("without a text");
    let place = panic.location().map_or_else(String::new, |place| format!(" at {}:{}", place.file(), place.line()));
    format!("a task panicked{place}: {text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    // That a panic is reported is shown by the planted bugs that make openraft panic, in a process of their own.
    #[test]
    fn a_result_comes_back() {
        assert_eq!(run(LIMIT, || 7), Ok(7));
    }

    #[test]
    fn a_run_that_hangs_is_left() {
        assert!(run(Duration::from_millis(20), || thread::sleep(LIMIT)).is_err());
    }
}
