//! What a poll costs this process, request by request: CPU, allocations and allocated bytes, beside an empty handler.
//!
//! `cargo bench -p kitchen-api --bench poll_cost [merchants] [rounds]`. The real API over the real order-events
//! answers on this thread; what belongs to a socket and to hyper is left out on both sides, so the difference between
//! the rows is what `comanda bench poll` can show at most, less what runs in the background. One application polls for one
//! merchant at a time, with nothing pending. Both are measured in turns; a figure is the median of the rounds.
#![allow(clippy::unwrap_used, reason = "an example may fail loudly")]
#![allow(clippy::disallowed_methods, reason = "it measures this machine, in real time")]
#![allow(clippy::cast_precision_loss, clippy::print_stdout, reason = "figures for people")]

mod allocations;
mod applications;
#[path = "../../tests/kitchen_api/nobody_authorises.rs"]
mod nobody_authorises;
mod peers;
mod platform;

use std::convert::Infallible;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use axum::Router;
use axum::body::Body;
use http::{Request, Response, StatusCode};
use order_model::MerchantId;

use allocations::{Allocations, Counting, thread_cpu_ns};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Requests that are made, then answered, at a time: their making is not measured.
const BATCH: usize = 500;
/// Batches of one round.
const BATCHES: usize = 100;

/// Of the command line, from 0; cargo adds `--bench`.
fn arguments() -> impl Iterator<Item = String> {
    std::env::args().filter(|argument| argument != "--bench")
}

fn main() {
    let argument =
        |at: usize, default: usize| arguments().nth(at).and_then(|text| text.parse().ok()).unwrap_or(default);
    let (merchants, rounds) = (argument(1, 60_000), argument(2, 15));
    let platform = platform::start(u32::try_from(merchants).unwrap());
    let empty = Router::new().route("/", axum::routing::get(|| async { StatusCode::NO_CONTENT }));
    let request = |path: &'static str| {
        let (token, scope) = (platform.token.clone(), platform.merchants.clone());
        // A stride that shares no factor with the count visits every merchant in an order caches do not like.
        move |number: usize| request(path, &token, scope[number * 7919 % scope.len()])
    };
    let mut cases = [
        Case::new("empty handler", empty, request("/")),
        Case::new("poll", platform.routes.clone(), request("/events/v1.0/events:polling")),
    ];
    for case in &mut cases {
        (case.round)();
    }
    for _ in 0..rounds {
        for case in &mut cases {
            case.figures.push((case.round)());
        }
    }
    print(&cases, merchants);
}

fn request(path: &str, token: &str, merchant: MerchantId) -> Request<Body> {
    Request::get(path)
        .header("host", "localhost")
        .header("authorization", format!("Bearer {token}"))
        .header("x-polling-merchants", merchant.to_string())
        .body(Body::empty())
        .unwrap()
}

/// What one request cost.
#[derive(Clone, Copy)]
struct Figures {
    cpu_ns: f64,
    allocations: f64,
    bytes: f64,
}

/// Something that answers requests.
struct Case {
    name: &'static str,
    round: Box<dyn FnMut() -> Figures>,
    figures: Vec<Figures>,
}

impl Case {
    fn new<S>(name: &'static str, mut service: S, request: impl Fn(usize) -> Request<Body> + 'static) -> Self
    where
        S: tower::Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + 'static,
    {
        let mut number = 0;
        let round = Box::new(move || {
            let (mut cpu_ns, mut allocated) = (0, Allocations::default());
            for _ in 0..BATCHES {
                let requests: Vec<Request<Body>> = (number..number + BATCH).map(&request).collect();
                number += BATCH;
                let (before, cpu_before) = (Allocations::of_this_thread(), thread_cpu_ns());
                for request in requests {
                    answer(&mut service, request);
                }
                cpu_ns += thread_cpu_ns() - cpu_before;
                allocated = allocated.plus(Allocations::of_this_thread().since(before));
            }
            let each = |total: u64| total as f64 / (BATCH * BATCHES) as f64;
            Figures { cpu_ns: each(cpu_ns), allocations: each(allocated.count), bytes: each(allocated.bytes) }
        });
        Self { name, round, figures: Vec::new() }
    }

    fn median(&self, pick: impl Fn(&Figures) -> f64) -> f64 {
        let mut all: Vec<f64> = self.figures.iter().map(pick).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    }
}

/// As the accept loop does it: a clone of the service for each request. The answer has to be there at once.
fn answer<S>(service: &mut S, request: Request<Body>)
where
    S: tower::Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone,
{
    let mut service = service.clone();
    let mut answering = pin!(service.call(request));
    match answering.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(response)) => assert_eq!(response.status(), StatusCode::NO_CONTENT),
        Poll::Ready(Err(never)) => match never {},
        Poll::Pending => panic!("a local poll waits for nothing"),
    }
}

fn print(cases: &[Case], merchants: usize) {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("{merchants} merchants; load average {}", load.split(' ').next().unwrap_or_default());
    println!("{:<16}{:>10}{:>14}{:>12}", "", "CPU ns", "allocations", "bytes");
    let row = |name: &str, cpu_ns: f64, allocations: f64, bytes: f64| {
        println!("{name:<16}{cpu_ns:>10.0}{allocations:>14.2}{bytes:>12.0}");
    };
    let of =
        |case: &Case| (case.median(|one| one.cpu_ns), case.median(|one| one.allocations), case.median(|one| one.bytes));
    for case in cases {
        let (cpu_ns, allocations, bytes) = of(case);
        row(case.name, cpu_ns, allocations, bytes);
    }
    let ((cpu_ns, allocations, bytes), empty) = (of(&cases[1]), of(&cases[0]));
    row("poll - empty", cpu_ns - empty.0, allocations - empty.1, bytes - empty.2);
    println!("poll / empty: {:.2}x CPU, without hyper and the socket on either side", cpu_ns / empty.0);
}
