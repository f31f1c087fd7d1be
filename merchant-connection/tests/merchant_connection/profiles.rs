//! Profiles: written, found by either id, refused by the field that does not fit.

use proto::conversions::to_bytes;
use proto::merchant_connection as wire;
use proto::merchant_connection::lookup_request::By;
use tonic::Code;

use crate::platform::{Platform, Running, config, merchant};

fn profile(number: u32) -> wire::Merchant {
    wire::Merchant {
        id: id(number),
        open_delivery_id: String::new(),
        name: format!("Cantina {number}"),
        corporate_name: "Cantina Ltda".to_owned(),
        time_zone: "America/Sao_Paulo".to_owned(),
        shifts: vec![wire::Shift { day_of_week: 7, start_minute: 1439, duration_minutes: 1440 }],
        interruptions: vec![wire::Interruption {
            id: "holiday".to_owned(),
            description: "Férias".to_owned(),
            start_ms: 1_000,
            end_ms: 2_000,
        }],
        created_at_ms: 1_700_000_000_000,
        version: 0,
        is_test: number % 2 == 1,
        coordinates: (number % 2 == 1)
            .then_some(wire::Coordinates { latitude_microdegrees: -23_561_414, longitude_microdegrees: 46_000_000 }),
        presentation: None,
    }
}

/// As it is answered after it was written once.
fn stored(number: u32) -> wire::Merchant {
    wire::Merchant { version: 1, ..profile(number) }
}

fn id(number: u32) -> bytes::Bytes {
    to_bytes(merchant(number).as_bytes())
}

fn with_id(number: u32, open_delivery_id: &str) -> wire::Merchant {
    wire::Merchant { open_delivery_id: open_delivery_id.to_owned(), ..profile(number) }
}

fn open_delivery_id(name: &str) -> String {
    format!("{name:-<36}")
}

async fn by_open_delivery_id(service: &Running, id: &str) -> Result<bytes::Bytes, Code> {
    let found = service.lookup(By::OpenDeliveryId(id.to_owned())).await;
    found.map(|merchant| merchant.id).map_err(|refused| refused.code())
}

#[tokio::test]
async fn a_profile_is_found_by_both_ids_and_replaced() {
    let platform = Platform::start().await;
    let service = platform.service(config()).await;
    let first = with_id(1, &open_delivery_id("first"));
    assert!(service.put(first.clone()).await.unwrap());
    let first = wire::Merchant { version: 1, ..first };
    assert_eq!(service.lookup(By::MerchantId(id(1))).await.unwrap(), first);
    assert_eq!(service.lookup(By::OpenDeliveryId(open_delivery_id("first"))).await.unwrap(), first);

    let second =
        wire::Merchant { name: "Outra".to_owned(), created_at_ms: 5, ..with_id(1, &open_delivery_id("second")) };
    assert!(!service.put(second.clone()).await.unwrap());
    let expected = wire::Merchant { created_at_ms: first.created_at_ms, version: 2, ..second };
    assert_eq!(service.lookup(By::MerchantId(id(1))).await.unwrap(), expected, "when it was added stays");
    assert_eq!(by_open_delivery_id(&service, &open_delivery_id("second")).await, Ok(id(1)));
    assert_eq!(by_open_delivery_id(&service, &open_delivery_id("first")).await, Err(Code::NotFound));
    assert!(service.put(with_id(2, &open_delivery_id("first"))).await.unwrap(), "an id given up is free");

    assert!(!service.put(profile(1)).await.unwrap());
    assert_eq!(by_open_delivery_id(&service, &open_delivery_id("second")).await, Err(Code::NotFound));
    service.stop().await;
}

#[tokio::test]
async fn an_open_delivery_id_belongs_to_one_merchant() {
    let platform = Platform::start().await;
    let service = platform.service(config()).await;
    let taken = open_delivery_id("taken");
    service.put(with_id(1, &taken)).await.unwrap();
    let refused = service.put(with_id(2, &taken)).await.unwrap_err();
    assert_eq!(refused.code(), Code::AlreadyExists);
    assert!(refused.message().contains("openDeliveryId"), "{}", refused.message());
    assert_eq!(service.lookup(By::MerchantId(id(2))).await.unwrap_err().code(), Code::NotFound, "nothing was written");
    service.put(with_id(2, &open_delivery_id("own"))).await.unwrap();
    assert_eq!(service.put(with_id(2, &taken)).await.unwrap_err().code(), Code::AlreadyExists);
    assert_eq!(by_open_delivery_id(&service, &open_delivery_id("own")).await, Ok(id(2)));
    assert_eq!(by_open_delivery_id(&service, &taken).await, Ok(id(1)));
    assert!(!service.put(with_id(1, &taken)).await.unwrap(), "its own id is not taken");
    service.stop().await;
}

/// Six writers give one merchant six ids at once: the profile names one of them, and only that one is taken.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_replacements_leave_no_id_behind() {
    let platform = Platform::start().await;
    let service = platform.service(config()).await;
    for round in 0..5 {
        let name = |writer: usize| open_delivery_id(&format!("r{round}w{writer}"));
        let puts = (0..6).map(|writer| service.put(with_id(1, &name(writer))));
        let written = futures::future::join_all(puts).await;
        assert!(written.iter().any(Result::is_ok));
        assert!(written.iter().flatten().filter(|created| **created).count() <= 1, "created once");
        let names = service.lookup(By::MerchantId(id(1))).await.unwrap().open_delivery_id;
        for writer in 0..6 {
            let expected = if name(writer) == names { Ok(id(1)) } else { Err(Code::NotFound) };
            assert_eq!(by_open_delivery_id(&service, &name(writer)).await, expected);
        }
    }
    service.stop().await;
}

#[tokio::test]
async fn a_field_that_does_not_fit_is_named() {
    let platform = Platform::start().await;
    let service = platform.service(config()).await;
    let interruption = |id: &str, description: &str, start_ms, end_ms| {
        let (id, description) = (id.to_owned(), description.to_owned());
        vec![wire::Interruption { id, description, start_ms, end_ms }]
    };
    let shift =
        |day_of_week, start_minute, duration_minutes| vec![wire::Shift { day_of_week, start_minute, duration_minutes }];
    let refused = [
        ("merchant_id", wire::Merchant { id: vec![1].into(), ..profile(1) }),
        ("name", wire::Merchant { name: "  ".to_owned(), ..profile(1) }),
        ("name", wire::Merchant { name: "x".repeat(201), ..profile(1) }),
        ("corporateName", wire::Merchant { corporate_name: "x".repeat(201), ..profile(1) }),
        ("timeZone", wire::Merchant { time_zone: "Brasilia".to_owned(), ..profile(1) }),
        ("openDeliveryId", with_id(1, "x")),
        ("openDeliveryId", with_id(1, &"x".repeat(101))),
        ("shifts", wire::Merchant { shifts: shift(0, 0, 60), ..profile(1) }),
        ("shifts", wire::Merchant { shifts: shift(1, 1440, 60), ..profile(1) }),
        ("shifts", wire::Merchant { shifts: shift(1, 0, 1441), ..profile(1) }),
        ("shifts", wire::Merchant { shifts: shift(1, 0, 60).repeat(85), ..profile(1) }),
        ("interruptions", wire::Merchant { interruptions: interruption("i", "", 2, 2), ..profile(1) }),
        ("interruptions", wire::Merchant { interruptions: interruption("i", &"x".repeat(501), 1, 2), ..profile(1) }),
        (
            "interruptions",
            wire::Merchant { interruptions: vec![interruption("i", "", 1, 2)[0].clone(); 101], ..profile(1) },
        ),
    ];
    for (field, merchant) in refused {
        let refused = service.put(merchant).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{field}");
        assert!(refused.message().starts_with(field), "{field}: {}", refused.message());
    }
    assert_eq!(service.lookup(By::MerchantId(id(1))).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(by_open_delivery_id(&service, "").await, Err(Code::NotFound));
    assert_eq!(by_open_delivery_id(&service, &"x".repeat(10_000)).await, Err(Code::NotFound), "longer than any key");
    service.stop().await;
}

#[tokio::test]
async fn merchants_are_got_in_the_order_asked_for() {
    let platform = Platform::start().await;
    let service = platform.service(config()).await;
    let profiles: Vec<_> = (0..250).map(|number| (&profile(number)).try_into().unwrap()).collect();
    platform.store().seed_profiles(&profiles).await.unwrap();
    let order: Vec<u32> = (0..300).map(|place| place * 7 % 300).collect();
    let get = async |numbers: &[u32]| {
        let merchant_ids = numbers.iter().map(|number| id(*number)).collect();
        let reply = service
            .api
            .clone()
            .get_merchants(wire::GetMerchantsRequest { merchant_ids, with_presentation: false })
            .await
            .unwrap();
        reply.into_inner().merchants
    };
    let found = get(&order).await;
    let expected: Vec<wire::Merchant> =
        order.iter().filter(|number| **number < 250).map(|number| stored(*number)).collect();
    assert_eq!(found.len(), 250);
    assert_eq!(found, expected);
    assert_eq!(get(&[3, 3, 1, 3]).await, [stored(3), stored(1)], "each once");
    assert_eq!(get(&[]).await, []);

    // Seeding again leaves what is there.
    let renamed = merchant_connection::profile::Merchant { name: "Outra".to_owned(), ..profiles[3].clone() };
    platform.store().seed_profiles(&[renamed]).await.unwrap();
    assert_eq!(platform.store().profile(merchant(3)).await.unwrap().unwrap().name, "Cantina 3");
    service.stop().await;
}

/// How the operator describes a merchant is answered to whoever asks for it, written part by part, and left as it is by every
/// profile that is put, also by one that says something else: an earlier version's, which does not know of it, says nothing.
#[tokio::test]
async fn a_presentation_is_shown_on_demand_and_no_profile_that_is_put_changes_it() {
    use merchant_connection::profile::{Address, Presentation};
    let platform = Platform::start().await;
    let service = platform.service(config()).await;
    service.put(profile(1)).await.unwrap();
    service.put(profile(2)).await.unwrap();
    let store = platform.store();
    let text = |text: &str| Some(text.to_owned());
    let first = Presentation {
        description: text("Massas"),
        exclusive: Some(true),
        address: Address { state: text("SP"), city: text("São Paulo"), ..Address::default() },
        ..Presentation::default()
    };
    store.present(merchant(2), &first).await.unwrap();
    let address = Address { street: text("Rua A"), number: text("1"), ..Address::default() };
    let second = Presentation {
        average_ticket_cents: Some(4_550),
        description: text(""),
        address: Address { country: text("BR"), district: text("Centro"), postal_code: text("01000000"), ..address },
        ..Presentation::default()
    };
    store.present(merchant(2), &second).await.unwrap();
    store.present(merchant(2), &Presentation::default()).await.unwrap();
    let expected = wire::Presentation {
        description: String::new(),
        average_ticket_cents: 4_550,
        exclusive: true,
        country: "BR".to_owned(),
        state: "SP".to_owned(),
        city: "São Paulo".to_owned(),
        district: "Centro".to_owned(),
        street: "Rua A".to_owned(),
        number: "1".to_owned(),
        postal_code: "01000000".to_owned(),
    };
    let get = async |with_presentation| {
        let merchant_ids = vec![id(2), id(1), id(3)];
        let request = wire::GetMerchantsRequest { merchant_ids, with_presentation };
        let found = service.api.clone().get_merchants(request).await.unwrap().into_inner().merchants;
        found.into_iter().map(|merchant| merchant.presentation).collect::<Vec<_>>()
    };
    assert_eq!(get(false).await, [None, None]);
    assert_eq!(get(true).await, [Some(expected.clone()), Some(wire::Presentation::default())]);
    service.put(profile(2)).await.unwrap();
    let other = wire::Presentation { description: "Outra".to_owned(), ..wire::Presentation::default() };
    service.put(wire::Merchant { presentation: Some(other), ..profile(2) }).await.unwrap();
    assert_eq!(get(true).await[0], Some(expected));
    assert_eq!(service.lookup(By::MerchantId(id(2))).await.unwrap().presentation, None);
    service.stop().await;
}
