//! What the interface refuses: each with a status, a code, and words that help.

use std::net::SocketAddr;
use std::path::Path;

use quittance_api::{ErrorCode, Hex, Info, Invoice, Problem};
use quittance_town::{ALICE, CAROL, Process, Town};
use serde_json::{Value, json};

use crate::{alone, program};

/// A request as anybody may send it.
struct Request<'a> {
    method: &'a str,
    path: &'a str,
    token: Option<&'a str>,
    content: Option<&'a str>,
    body: &'a str,
}

/// Where requests go, and the token that lets everything in.
struct Desk {
    address: SocketAddr,
    admin: String,
}

impl Desk {
    fn of(node: &Process) -> Self {
        let caller = node.caller().unwrap();
        Self {
            address: caller.address,
            admin: caller.token.clone(),
        }
    }

    fn send(&self, request: &Request<'_>) -> (u16, String) {
        let method = bitreq::Method::Custom(request.method.to_owned());
        let mut sent = bitreq::Request::new(method, format!("http://{}{}", self.address, request.path));
        if let Some(token) = request.token {
            sent = sent.with_header("Authorization", token);
        }
        if let Some(content) = request.content {
            sent = sent.with_header("Content-Type", content);
        }
        let answer = sent
            .with_body(request.body)
            .with_timeout(std::time::Duration::from_mins(1))
            .send()
            .unwrap();
        let text = String::from_utf8(answer.as_bytes().to_vec()).unwrap();
        (u16::try_from(answer.status_code).unwrap(), text)
    }

    /// How it is refused, with words for people.
    #[track_caller]
    fn refuses(&self, request: &Request<'_>) -> (u16, ErrorCode) {
        let (status, text) = self.send(request);
        let problem: Problem = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{status} {text:?}: {error}"));
        assert!(problem.message.len() > 10, "{problem:?}");
        assert_eq!(status, problem.code.status(), "{problem:?}");
        (status, problem.code)
    }

    /// How a body is refused that comes with every right.
    #[track_caller]
    fn refuses_body(&self, path: &str, body: &str) -> (u16, ErrorCode) {
        self.refuses(&Request {
            method: "POST",
            path,
            token: Some(&format!("Bearer {}", self.admin)),
            content: Some("application/json"),
            body,
        })
    }

    #[track_caller]
    fn refuses_get(&self, path: &str) -> (u16, ErrorCode) {
        self.refuses(&Request {
            method: "GET",
            path,
            token: Some(&format!("Bearer {}", self.admin)),
            content: None,
            body: "",
        })
    }
}

fn token(folder: &Path, scope: &str) -> String {
    let text = std::fs::read_to_string(folder.join(format!("token-{scope}"))).unwrap();
    format!("Bearer {}", text.trim())
}

/// What a token does not allow, by its scope.
const FORBIDDEN: [(&str, &str); 3] = [
    ("read", "invoices address payments keysend channels stop"),
    ("invoice", "payments keysend events/handled onchain sign stop"),
    ("pay", "channels peers onchain backup unlock stop"),
];

impl Desk {
    /// A call with a token, or without one.
    fn call(&self, method: &str, path: &str, token: Option<&str>) -> (u16, String) {
        self.send(&Request {
            method,
            path,
            token,
            content: Some("application/json"),
            body: "{}",
        })
    }

    #[track_caller]
    fn refuses_call(&self, method: &str, path: &str, token: Option<&str>) -> (u16, ErrorCode) {
        self.refuses(&Request {
            method,
            path,
            token,
            content: Some("application/json"),
            body: "{}",
        })
    }

    fn bearer(&self) -> String {
        format!("Bearer {}", self.admin)
    }
}

#[test]
fn nobody_comes_in_without_a_token_of_the_node_s() {
    let folder = tempfile::tempdir().unwrap();
    let (mut node, _ground) = alone(folder.path());
    node.start(&[]).unwrap();
    let desk = Desk::of(&node);
    let unauthorised = (401, ErrorCode::Unauthorised);
    let wrong = format!("Bearer {}", "0".repeat(64));
    let texts = ["", "Bearer", "Bearer ", &desk.admin, &wrong, "Basic YTpi"];
    for given in texts.map(Some).into_iter().chain([None]) {
        for path in ["/v1/info", "/v1/payments", "/v1/events", "/metrics"] {
            assert_eq!(desk.refuses_call("GET", path, given), unauthorised, "{path} {given:?}");
        }
        for path in ["/v1/payments", "/v1/stop", "/v1/unlock", "/v1/backup"] {
            assert_eq!(desk.refuses_call("POST", path, given), unauthorised, "{path} {given:?}");
        }
    }
}

#[test]
fn a_token_allows_what_its_scope_says_and_all_that_is_less() {
    let folder = tempfile::tempdir().unwrap();
    let (mut node, _ground) = alone(folder.path());
    node.start(&[]).unwrap();
    let desk = Desk::of(&node);
    for (scope, paths) in FORBIDDEN {
        let token = token(&node.folder, scope);
        for path in paths.split(' ') {
            let refused = desk.refuses_call("POST", &format!("/v1/{path}"), Some(&token));
            assert_eq!(refused, (403, ErrorCode::Forbidden), "{scope} {path}");
        }
        assert_eq!(desk.call("GET", "/v1/info", Some(&token)).0, 200, "{scope}");
    }
    let pay = token(&node.folder, "pay");
    assert_eq!(desk.call("POST", "/v1/address", Some(&pay)).0, 200);
}

#[test]
fn a_body_that_cannot_be_read_is_refused_before_anything_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let (mut node, _ground) = alone(folder.path());
    node.start(&[]).unwrap();
    let desk = Desk::of(&node);
    let bad = (400, ErrorCode::BadRequest);
    let deep = "[".repeat(10_000);
    let texts = [
        "",
        "{",
        "[]",
        "[1]",
        " [] ",
        "null",
        "{\"amount_msat\":}",
        "\u{feff}{}",
        "{}}",
        &deep,
    ];
    for body in texts {
        assert_eq!(desk.refuses_body("/v1/invoices", body), bad, "{body:?}");
    }
    for (path, body) in [
        ("invoices", json!({"amount_mast": 1})),
        ("payments", json!({"invoice": "x", "fee_limit_mast": 1})),
        ("channels", json!({"peer": "02", "capacity_sat": 1})),
        ("channels/00/close", json!({"how": "mutual"})),
        ("channels/00/close", json!({"how": "gently"})),
        ("events/handled", json!({})),
    ] {
        let refused = desk.refuses_body(&format!("/v1/{path}"), &body.to_string());
        assert_eq!(refused, bad, "{path} {body}");
    }
    let large = json!({"description": "x".repeat(64 * 1024)}).to_string();
    assert_eq!(desk.refuses_body("/v1/invoices", &large), (413, ErrorCode::TooLarge));
    for content in [None, Some("text/plain"), Some("application/x-www-form-urlencoded")] {
        let request = Request {
            method: "POST",
            path: "/v1/invoices",
            token: Some(&desk.bearer()),
            content,
            body: "{}",
        };
        assert_eq!(desk.refuses(&request), (415, ErrorCode::NotJson), "{content:?}");
    }
}

#[test]
fn a_path_or_a_query_that_cannot_be_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (mut node, _ground) = alone(folder.path());
    node.start(&[]).unwrap();
    let desk = Desk::of(&node);
    for path in [
        "?limit=-1",
        "?limit=x",
        "?limt=1",
        "?before=x",
        "/00",
        "/zz",
        "/%ff",
        "/00/receipt",
    ] {
        let refused = desk.refuses_get(&format!("/v1/payments{path}"));
        assert_eq!(refused, (400, ErrorCode::BadRequest), "{path}");
    }
    assert_eq!(desk.refuses_get("/v1/events?from=x"), (400, ErrorCode::BadRequest));
    assert_eq!(desk.refuses_get("/v2/info"), (404, ErrorCode::NotFound));
    assert_eq!(desk.refuses_body("/v1/stop/now", "{}"), (404, ErrorCode::NotFound));
    let token = desk.bearer();
    for (method, path) in [
        ("PUT", "/v1/info"),
        ("GET", "/v1/stop"),
        ("DELETE", "/v1/payments"),
        ("TRACE", "/health"),
    ] {
        let refused = desk.refuses_call(method, path, Some(&token));
        assert_eq!(refused, (405, ErrorCode::MethodNotAllowed), "{method} {path}");
    }
}

#[test]
fn amounts_out_of_range_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let (mut node, _ground) = alone(folder.path());
    let id = node.start(&[]).unwrap().id.to_string();
    let desk = Desk::of(&node);
    let bad = (400, ErrorCode::BadRequest);
    let over = 21_000_000_u64 * 100_000_000 + 1;
    for amount in [
        json!(0),
        json!(over * 1_000),
        json!(u64::MAX),
        json!(-1),
        json!(1.5),
        json!("1"),
        json!(null),
    ] {
        if !amount.is_null() {
            let invoice = json!({"amount_msat": amount}).to_string();
            assert_eq!(desk.refuses_body("/v1/invoices", &invoice), bad, "{amount}");
        }
        let keysend = json!({"id": "1".repeat(64), "node": id, "amount_msat": amount}).to_string();
        assert_eq!(desk.refuses_body("/v1/keysend", &keysend), bad, "{amount}");
    }
    assert_eq!(desk.refuses_body("/v1/invoices", "{\"amount_msat\": 1e400}"), bad);
    assert_eq!(
        desk.refuses_body("/v1/invoices", "{\"amount_msat\": 18446744073709551616}"),
        bad
    );
    let address = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";
    for amount in [json!(0), json!(over), json!(u64::MAX)] {
        let channel = json!({"peer": id, "capacity_sat": amount}).to_string();
        assert_eq!(desk.refuses_body("/v1/channels", &channel), bad, "{amount}");
        let onchain = json!({"address": address, "amount_sat": amount}).to_string();
        assert_eq!(desk.refuses_body("/v1/onchain", &onchain), bad, "{amount}");
    }
    let push = json!({"peer": id, "capacity_sat": 1_000_000, "push_msat": 1_000_000_001_u64}).to_string();
    assert_eq!(desk.refuses_body("/v1/channels", &push), bad);
    let feerate = json!({"address": address, "amount_sat": 1_000, "feerate_sat_per_kw": 1}).to_string();
    assert_eq!(desk.refuses_body("/v1/onchain", &feerate), bad);
    let elsewhere = json!({"address": "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "amount_sat": 1_000}).to_string();
    assert_eq!(desk.refuses_body("/v1/onchain", &elsewhere), bad);
    let poor = json!({"address": address, "amount_sat": 1_000}).to_string();
    assert_eq!(
        desk.refuses_body("/v1/onchain", &poor),
        (409, ErrorCode::InsufficientFunds)
    );
}

#[test]
fn peers_that_are_none_or_cannot_be_reached_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let (mut node, _ground) = alone(folder.path());
    let ours = node.start(&[]).unwrap().id.to_string();
    let desk = Desk::of(&node);
    let stranger = "02eec7245d6b7d2ccb30380bfbe2a3648cd7a942653f5aa340edcea1f283686619";
    let open = json!({"peer": stranger, "capacity_sat": 1_000_000}).to_string();
    assert_eq!(
        desk.refuses_body("/v1/channels", &open),
        (409, ErrorCode::PeerNotConnected)
    );
    let nobody = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let call = |id: &str, address: &str| json!({"id": id, "address": address}).to_string();
    let unreachable = (502, ErrorCode::PeerUnreachable);
    assert_eq!(
        desk.refuses_body("/v1/peers", &call(stranger, &nobody.to_string())),
        unreachable
    );
    let bad = (400, ErrorCode::BadRequest);
    let no_point = format!("05{}", &stranger[2..]);
    for (id, address) in [
        (stranger, "nowhere:x"),
        (stranger, ""),
        (&no_point, "h:1"),
        (&ours, "127.0.0.1:1"),
    ] {
        assert_eq!(
            desk.refuses_body("/v1/peers", &call(id, address)),
            bad,
            "{id} {address}"
        );
    }
}

#[test]
fn what_nobody_knows_is_said_to_be_unknown() {
    let folder = tempfile::tempdir().unwrap();
    let (mut node, _ground) = alone(folder.path());
    node.start(&[]).unwrap();
    let desk = Desk::of(&node);
    let zeros = "0".repeat(64);
    for path in ["close", "feerate"] {
        let body = if path == "close" {
            json!({})
        } else {
            json!({"feerate_sat_per_kw": 1_000})
        };
        let refused = desk.refuses_body(&format!("/v1/channels/{zeros}/{path}"), &body.to_string());
        assert_eq!(refused, (404, ErrorCode::UnknownChannel), "{path}");
    }
    let unknown = (404, ErrorCode::UnknownPayment);
    assert_eq!(desk.refuses_get(&format!("/v1/payments/{zeros}")), unknown);
    assert_eq!(desk.refuses_get(&format!("/v1/payments/{zeros}/receipt")), unknown);
    assert_eq!(
        desk.refuses_body(&format!("/v1/payments/{zeros}/abandon"), "{}"),
        unknown
    );
    let nothing_held = (404, ErrorCode::NothingHeld);
    let preimage = json!({"preimage": zeros}).to_string();
    assert_eq!(desk.refuses_body("/v1/held/claim", &preimage), nothing_held);
    let hash = json!({"payment_hash": zeros}).to_string();
    assert_eq!(desk.refuses_body("/v1/held/refuse", &hash), nothing_held);
    let not_shown = json!({"number": 7}).to_string();
    assert_eq!(
        desk.refuses_body("/v1/events/handled", &not_shown),
        (409, ErrorCode::NotShown)
    );
    let bad_invoice = (400, ErrorCode::BadInvoice);
    for invoice in ["", "lnbcrt1", "hello", &"l".repeat(10_000)] {
        assert_eq!(
            desk.refuses_body("/v1/payments", &json!({"invoice": invoice}).to_string()),
            bad_invoice
        );
        assert_eq!(
            desk.refuses_body("/v1/decode", &json!({"invoice": invoice}).to_string()),
            bad_invoice
        );
    }
}

#[test]
fn an_id_that_is_used_pays_nothing_else_and_answers_the_same_for_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let town = Town::new(program(), folder.path(), None, &[]).unwrap();
    town.wait_until_usable().unwrap();
    let order = town.order(70_000, Hex([5; 32])).unwrap();
    let alice = town.nodes[ALICE].caller().unwrap();
    order.give(alice).unwrap();
    town.settle(std::slice::from_ref(&order)).unwrap();
    let again = order.give(alice).unwrap();
    assert_eq!(
        again.state,
        quittance_api::PaymentState::Sent,
        "asking again tells what became of it"
    );
    let desk = Desk::of(&town.nodes[ALICE]);
    let conflict = (409, ErrorCode::PaymentConflict);
    let carol = town.nodes[CAROL].caller().unwrap();
    let other: Invoice = carol.post("/v1/invoices", &json!({"amount_msat": 70_000})).unwrap();
    let body = json!({"id": Hex([5; 32]).to_string(), "invoice": other.invoice}).to_string();
    assert_eq!(desk.refuses_body("/v1/payments", &body), conflict);
    let node = carol.get::<Info>("/v1/info").unwrap().id.to_string();
    let keysend =
        |amount: u64| json!({"id": Hex([5; 32]).to_string(), "node": node, "amount_msat": amount}).to_string();
    assert_eq!(desk.refuses_body("/v1/keysend", &keysend(70_000)), conflict);
    let spent: Value = alice.get("/v1/balance").unwrap();
    assert_eq!(
        spent["channels_msat"],
        json!(10_000_000_000_u64 - 70_000 - again.fee_msat.unwrap())
    );
}
