//! The router: which handler answers which operation, measured, and with a token where one is needed.
//!
//! A handler of an operation that takes a token is only reached with [`Authorised`], the proof. What no operation matches
//! answers 404 or 405 in the usual envelope. Polls are most of all requests and are answered before the router, see
//! [`Routes`].

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::future::RouteFuture;
use axum::routing::{MethodFilter, MethodRouter, on};
use futures::future::{BoxFuture, Either, Ready, ready};
use futures::{FutureExt, TryFutureExt};
use http::uri::PathAndQuery;
use http::{Method, Uri};
use proto::gateway_core::Action;

use crate::api::Api;
use crate::errors::ApiError;
use crate::events::Polled;
use crate::modules::Module;
use crate::oauth::Authorised;
use crate::operations::{self, Document, OpenDeliveryOperation, Operation, POLL, Row, Verb};
use crate::orders::json_response;
use crate::rate_limits::{OperationLimit, OperationLimits, caller};
use crate::telemetry::EndpointMetrics;
use crate::webhooks::endpoint as webhooks;
use crate::{
    catalog, documentation, events, idempotency, logistics, merchants, oauth, open_delivery, openapi, orders, replay,
    server, shipping, simulator,
};

/// Where what is ours alone is served, but for the documents.
const OWN_PATHS: &str = "/comanda/";

/// The segment of `path` at `index`, from 0; empty when there is none.
pub(crate) fn path_segment(path: &str, index: usize) -> &str {
    path.strip_prefix('/').unwrap_or(path).split('/').nth(index).unwrap_or_default()
}

/// Every operation, polls included: what asks with HEAD, or with a method that there is not, comes here.
fn router(api: &Arc<Api>) -> Router {
    let mut router = Router::new();
    let mut limits = OperationLimits::new(api.limits_requests, api.clock.clone());
    for row in operations::all() {
        let metrics = Arc::new(EndpointMetrics::new(row.id, api.clock.clone()));
        let limit = limits.of(row);
        for path in row.paths {
            let endpoint = endpoint(api, row, row.module(path), &metrics, limit.clone());
            for mounted in api.open_delivery.prefix.mount(row.document, path) {
                router = router.route(&mounted, endpoint.clone());
            }
        }
    }
    let metrics = Arc::new(EndpointMetrics::new("none", api.clock.clone()));
    let refuse = |error: fn() -> ApiError| {
        let (api, metrics) = (Arc::clone(api), Arc::clone(&metrics));
        move |uri: Uri| refuse(Arc::clone(&api), Arc::clone(&metrics), uri, error())
    };
    router
        .fallback(refuse(|| ApiError::not_found("There is no such resource.")))
        .method_not_allowed_fallback(refuse(ApiError::method_not_allowed))
}

/// Answers what no operation matches in the words of the dialect whose path it is.
async fn refuse(api: Arc<Api>, metrics: Arc<EndpointMetrics>, uri: Uri, error: ApiError) -> Response {
    let document = if api.open_delivery.prefix.covers(uri.path()) {
        Document::OpenDelivery
    } else if uri.path().starts_with(OWN_PATHS) {
        Document::Comanda
    } else {
        Document::Merchant
    };
    metrics.measure(async { error_shape(document)(error) }).await
}

/// How the errors of a document's operations look.
const fn error_shape(document: Document) -> fn(ApiError) -> Response {
    match document {
        Document::OpenDelivery => ApiError::into_problem,
        Document::Merchant => ApiError::into_response,
        Document::Comanda => ApiError::into_own_response,
    }
}

fn endpoint(
    api: &Arc<Api>,
    row: &Row,
    module: Option<Module>,
    metrics: &Arc<EndpointMetrics>,
    limit: Option<Arc<OperationLimit>>,
) -> MethodRouter {
    let error_shape = error_shape(row.document);
    let (api_of_all, metrics) = (Arc::clone(api), Arc::clone(metrics));
    let keeps_answers = row.keeps_answers();
    let wiring = Wiring { api: api_of_all, metrics, verb: row.verb, module, limit, error_shape, keeps_answers };
    let act = |action| wiring.authorised(move |api, authorised, request| orders::act(api, authorised, request, action));
    let step =
        |action| wiring.authorised(move |api, authorised, request| logistics::step(api, authorised, request, action));
    let answer = |action| {
        wiring.authorised(move |api, authorised, request| orders::answer_dispute(api, authorised, request, action))
    };
    match row.operation {
        Operation::Token => wiring.open(oauth::issue),
        Operation::UserCode => wiring.open(oauth::user_code),
        Operation::ActivationPage => wiring.open(oauth::activation_page),
        Operation::Activate => wiring.open(oauth::activate),
        Operation::Poll => wiring.authorised(events::poll),
        Operation::Acknowledge => wiring.authorised(events::acknowledge),
        Operation::EventStream => wiring.authorised(events::stream),
        Operation::UnacknowledgedEvents => wiring.authorised(events::unacknowledged),
        Operation::GetOrder => wiring.authorised(orders::details),
        Operation::Confirm => act(Action::Confirm),
        Operation::StartPreparation => act(Action::StartPreparation),
        Operation::ReadyToPickup => act(Action::ReadyToPickup),
        Operation::Dispatch => act(Action::Dispatch),
        Operation::CancellationReasons => wiring.authorised(orders::cancellation_reasons),
        Operation::RequestCancellation => act(Action::RequestCancellation),
        Operation::AcceptCancellation => act(Action::AcceptCancellation),
        Operation::DenyCancellation => act(Action::DenyCancellation),
        Operation::ValidatePickupCode => wiring.authorised(orders::validate_pickup_code),
        Operation::VerifyDeliveryCode => wiring.authorised(orders::verify_delivery_code),
        Operation::Tracking => wiring.authorised(orders::tracking),
        Operation::VirtualBag => wiring.authorised(orders::virtual_bag),
        Operation::RequestDriver => act(Action::RequestDriver),
        Operation::ShippingRequestDriver => act(Action::RequestDriver),
        Operation::CancelDriverRequest => act(Action::CancelDriverRequest),
        Operation::ShippingCancel => act(Action::RequestCancellation),
        Operation::LogisticsOrder => wiring.authorised(logistics::details),
        Operation::AssignDriver => wiring.authorised(logistics::assign_driver),
        Operation::GoToOrigin => step(Action::GoToOrigin),
        Operation::ArriveAtOrigin => step(Action::ArriveAtOrigin),
        Operation::LogisticsDispatch => step(Action::Collect),
        Operation::ArriveAtDestination => step(Action::ArriveAtDestination),
        Operation::LogisticsVerifyCode => wiring.authorised(logistics::verify_delivery_code),
        Operation::QuoteForPlace => wiring.authorised(shipping::for_place),
        Operation::QuoteForOrder => wiring.authorised(shipping::for_order),
        Operation::PlaceOutsideOrder => wiring.authorised(shipping::place_outside_order),
        Operation::RequestAddressChange => wiring.authorised(shipping::request_address_change),
        Operation::ConfirmAddressChange => act(Action::ConfirmAddressChange),
        Operation::AcceptAddressChange => act(Action::AcceptAddressChange),
        Operation::DenyAddressChange => act(Action::DenyAddressChange),
        Operation::AcceptDispute => answer(Action::AcceptDispute),
        Operation::RejectDispute => answer(Action::RejectDispute),
        Operation::ProposeAlternative => answer(Action::ProposeAlternative),
        Operation::CancellationEvidence => wiring.authorised(orders::cancellation_evidence),
        Operation::ListMerchants => wiring.authorised(merchants::list),
        Operation::GetMerchant => wiring.authorised(merchants::details),
        Operation::MerchantStatuses => wiring.authorised(merchants::statuses),
        Operation::MerchantStatus => wiring.authorised(merchants::one_status),
        Operation::Interruptions => wiring.authorised(merchants::interruptions),
        Operation::AddInterruption => wiring.authorised(merchants::add_interruption),
        Operation::RemoveInterruption => wiring.authorised(merchants::remove_interruption),
        Operation::OpeningHours => wiring.authorised(merchants::opening_hours),
        Operation::SetOpeningHours => wiring.authorised(merchants::set_opening_hours),
        Operation::PresenceHistory => wiring.authorised(merchants::presence_history),
        Operation::ReplayEvents => wiring.authorised(replay::replay),
        Operation::SimulateOrder => wiring.authorised(simulator::place),
        Operation::SimulateStep => wiring.authorised(simulator::step),
        Operation::CheckinQrcode => wiring.authorised(merchants::checkin_qrcode::checkin_qrcode),
        Operation::OpenDelivery(operation) => wiring.open_delivery(operation),
        Operation::Catalog(operation) => {
            wiring.authorised(move |api, authorised, request| catalog::answer(api, authorised, request, operation))
        }
        Operation::CatalogImage => wiring.open(catalog::image),
        Operation::Webhook => wiring.authorised(webhooks::show),
        Operation::SetWebhook => wiring.authorised(webhooks::set),
        Operation::RemoveWebhook => wiring.authorised(webhooks::remove),
        Operation::ResumeWebhook => wiring.authorised(webhooks::resume),
        Operation::WebhookDeliveries => wiring.authorised(webhooks::deliveries),
        Operation::WebhookDeadLetters => wiring.authorised(webhooks::dead_letters),
        Operation::RedeliverWebhook => wiring.authorised(webhooks::redeliver),
        Operation::RedeliverWebhooks => wiring.authorised(webhooks::redeliver_all),
        Operation::PosMenu => wiring.authorised(open_delivery::pos_menu),
        Operation::OpenApi(document) => {
            let document = openapi::render(document, &api.open_delivery.prefix);
            wiring.open(move |_, _| std::future::ready(Ok(json_response(document.clone()))))
        }
        Operation::DocumentationPage => wiring.open(|_, _| std::future::ready(Ok(documentation::page()))),
        Operation::DocumentationFile => {
            wiring.open(|_, request| std::future::ready(documentation::page_file(&request)))
        }
    }
}

/// What every endpoint is wired with.
struct Wiring {
    api: Arc<Api>,
    metrics: Arc<EndpointMetrics>,
    verb: Verb,
    /// What an application needs for it; `None` where no token is taken.
    module: Option<Module>,
    error_shape: fn(ApiError) -> Response,
    limit: Option<Arc<OperationLimit>>,
    /// Whether an Idempotency-Key is honoured.
    keeps_answers: bool,
}

impl Wiring {
    fn open_delivery(&self, operation: OpenDeliveryOperation) -> MethodRouter {
        use OpenDeliveryOperation as Od;
        let act = |action| {
            self.authorised(move |api, authorised, request| open_delivery::act(api, authorised, request, action))
        };
        let answer = |action| {
            self.authorised(move |api, authorised, request| {
                open_delivery::answer_cancellation(api, authorised, request, action)
            })
        };
        match operation {
            Od::Token => self.open(open_delivery::issue),
            Od::Versions => self.open(open_delivery::versions),
            Od::MerchantVersions => self.open(open_delivery::merchant_versions),
            Od::Poll => self.authorised(open_delivery::poll),
            Od::Acknowledge => self.authorised(open_delivery::acknowledge),
            Od::GetOrder => self.authorised(open_delivery::details),
            Od::Confirm => act(Action::Confirm),
            Od::Preparing => act(Action::StartPreparation),
            Od::ReadyForPickup => act(Action::ReadyToPickup),
            Od::PickedUp => act(Action::PickedUp),
            Od::Dispatch => act(Action::Dispatch),
            Od::Delivered => act(Action::Delivered),
            Od::RequestCancellation => self.authorised(open_delivery::request_cancellation),
            Od::AcceptCancellation => answer(Action::AcceptCancellation),
            Od::DenyCancellation => answer(Action::DenyCancellation),
            Od::ValidateCode => self.authorised(open_delivery::validate_code),
            Od::Track => self.authorised(open_delivery::track),
            Od::ChangeDetails => self.authorised(open_delivery::change_details),
            Od::MerchantStatus => self.authorised(open_delivery::merchant_status),
            Od::MerchantOnboarding => self.authorised(open_delivery::onboard),
            Od::MerchantReading => self.authorised(open_delivery::merchant_reading),
            Od::MenuUpdated => self.authorised(open_delivery::menu_updated),
        }
    }

    /// An endpoint that needs a token, of an application that has its module.
    fn authorised<H, F>(&self, handler: H) -> MethodRouter
    where
        H: Fn(Arc<Api>, Authorised, Request) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<Response, ApiError>> + Send + 'static,
    {
        // When the router is built, not when a request comes.
        let module =
            self.module.expect("every operation that takes a token belongs to a module: `operations::modules`");
        let (limit, keeps_answers, error_shape) = (self.limit.clone(), self.keeps_answers, self.error_shape);
        self.open(move |api, request| {
            let (handler, limit) = (handler.clone(), limit.clone());
            async move {
                let authorised = api.authorise_for(request.headers(), module)?;
                server::has_shown_a_token(request.extensions());
                limit.map_or(Ok(()), |limit| limit.check(&authorised))?;
                if keeps_answers && idempotency::is_asked(request.headers()) {
                    let of_whom = (caller(&authorised), authorised.access().scope_digest());
                    let of_work = Arc::clone(&api);
                    let work: idempotency::Work =
                        Box::new(move |request| Box::pin(handler(of_work, authorised, request)));
                    return idempotency::once(api, of_whom, request, error_shape, work).await;
                }
                handler(api, authorised, request).await
            }
        })
    }

    /// An endpoint that needs none.
    fn open<H, F>(&self, handler: H) -> MethodRouter
    where
        H: Fn(Arc<Api>, Request) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<Response, ApiError>> + Send + 'static,
    {
        let (api, metrics, error_shape) = (Arc::clone(&self.api), Arc::clone(&self.metrics), self.error_shape);
        let filter = match self.verb {
            Verb::Get => MethodFilter::GET,
            Verb::Post => MethodFilter::POST,
            Verb::Put => MethodFilter::PUT,
            Verb::Delete => MethodFilter::DELETE,
            Verb::Patch => MethodFilter::PATCH,
        };
        on(filter, move |request: Request| {
            let metrics = Arc::clone(&metrics);
            let answer = handler(Arc::clone(&api), request);
            async move { metrics.measure(async { answer.await.unwrap_or_else(error_shape) }).await }
        })
    }
}

/// The public API as the server calls it: the router behind a decoder of `%3A`, which some clients send for the colon of
/// `events:polling`, with polls taken out before it. The router boxes a future for each request and looks its path up;
/// a poll needs neither.
#[derive(Clone)]
pub(crate) struct Routes {
    shared: Arc<Shared>,
}

struct Shared {
    router: Router,
    api: Arc<Api>,
    poll_metrics: EndpointMetrics,
    /// Polls that wait: how long they take is what they asked for.
    held_poll_metrics: EndpointMetrics,
}

/// The answer to one request: there already, being waited for, or the router's.
pub(crate) type Answering = Either<Ready<Answer>, Either<BoxFuture<'static, Answer>, RouteFuture<Infallible>>>;

type Answer = Result<Response, Infallible>;

impl Routes {
    pub(crate) fn new(api: &Arc<Api>) -> Self {
        let poll_metrics = EndpointMetrics::new(POLL.id, api.clock.clone());
        let held_poll_metrics = EndpointMetrics::new("poll_held", api.clock.clone());
        let router = router(api);
        Self { shared: Arc::new(Shared { router, api: Arc::clone(api), poll_metrics, held_poll_metrics }) }
    }

    fn answer(&self, request: Request) -> Answering {
        if request.method() == Method::GET && POLL.paths.contains(&request.uri().path()) {
            return self.poll(&request);
        }
        Either::Right(Either::Right(tower::Service::call(&mut self.shared.router.clone(), request)))
    }

    fn poll(&self, request: &Request) -> Answering {
        let Shared { api, poll_metrics, .. } = &*self.shared;
        let started_at = poll_metrics.now();
        let begun = api.authorise_for(request.headers(), Module::Events).and_then(|authorised| {
            server::has_shown_a_token(request.extensions());
            events::begin(api, authorised, request)
        });
        let response = match begun {
            Ok(Polled::Answered(response)) => response,
            Err(error) => error.into_response(),
            Ok(Polled::Held(answer)) => {
                let shared = Arc::clone(&self.shared);
                let answer = async { answer.await.unwrap_or_else(ApiError::into_response) };
                return Either::Right(Either::Left(Box::pin(async move {
                    Ok(shared.held_poll_metrics.measure_from(started_at, answer).await)
                })));
            }
            Ok(Polled::Waiting(answer)) => {
                let shared = Arc::clone(&self.shared);
                let answer = async { answer.await.unwrap_or_else(ApiError::into_response) };
                return Either::Right(Either::Left(Box::pin(async move {
                    Ok(shared.poll_metrics.measure_from(started_at, answer).await)
                })));
            }
        };
        poll_metrics.answered(started_at, response.status());
        Either::Left(ready(Ok(response)))
    }
}

impl tower::Service<Request> for Routes {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Infallible>> {
        // A router is always ready.
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        if request.uri().path().contains('%')
            && let Some(uri) = with_colons(request.uri())
        {
            *request.uri_mut() = uri;
        }
        match operations::deprecated::link_of(request.uri().path()) {
            None => self.answer(request),
            Some(link) => saying_deprecated(self.answer(request), link),
        }
    }
}

/// Has an answer say that its path is deprecated.
fn saying_deprecated(answering: Answering, link: &'static str) -> Answering {
    let say = move |mut response: Response| {
        operations::deprecated::say(response.headers_mut(), link);
        response
    };
    match answering {
        Either::Left(answered) => Either::Left(ready(answered.into_inner().map(say))),
        Either::Right(waiting) => Either::Right(Either::Left(waiting.map_ok(say).boxed())),
    }
}

/// `uri` with every `%3A` of its path decoded. Nothing else is: an id needs no escapes, and decoding a slash would change the route.
fn with_colons(uri: &Uri) -> Option<Uri> {
    let path = uri.path().replace("%3A", ":").replace("%3a", ":");
    let path_and_query = match uri.query() {
        Some(query) => PathAndQuery::try_from(format!("{path}?{query}")),
        None => PathAndQuery::try_from(path),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(path_and_query.ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colons_are_decoded_and_nothing_else() {
        let decode = |uri: &'static str| with_colons(&Uri::from_static(uri)).unwrap().to_string();
        assert_eq!(decode("/events/v1.0/events%3Apolling?types=A%3AB"), "/events/v1.0/events:polling?types=A%3AB");
        assert_eq!(decode("/a%2Fb%3ac"), "/a%2Fb:c");
        assert_eq!(decode("http://host/a%3Ab"), "http://host/a:b");
    }

    #[test]
    fn segments_count_from_the_first_slash() {
        assert_eq!(path_segment("/order/v1.0/orders/abc/confirm", 3), "abc");
        assert_eq!(path_segment("/a", 3), "");
    }

    #[test]
    fn no_operation_is_listed_twice() {
        let rows: Vec<&Row> = operations::all().collect();
        for (index, row) in rows.iter().enumerate() {
            assert!(rows[..index].iter().all(|other| other.operation != row.operation && other.id != row.id));
        }
    }
}
