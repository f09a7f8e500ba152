//! Spans that a server exports, received and decoded as a collector does.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use prost::Message;

use crate::checkpoint::write_picture;
use crate::serve::{Serving, agent, form};

/// What others began: a trace, and the span in it that asks.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const ASKING: &str = "00f067aa0ba902b7";

/// Receives what is posted to a port of its own, until the test's process ends.
struct Collector {
    url: String,
    exports: Receiver<ExportTraceServiceRequest>,
}

impl Collector {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (sender, exports) = channel();
        thread::spawn(move || {
            for connection in listener.incoming() {
                let export = receive(&connection.unwrap());
                if sender.send(export).is_err() {
                    return;
                }
            }
        });
        Self { url, exports }
    }

    /// What has come, by service.
    fn spans(&self) -> Vec<(String, Span)> {
        let resources = self.exports.try_iter().flat_map(|export| export.resource_spans);
        let spans = resources.flat_map(|of| {
            let service = attributes(&of.resource.unwrap().attributes)["service.name"].clone();
            let spans = of.scope_spans.into_iter().flat_map(|scope| scope.spans);
            spans.map(move |span| (service.clone(), span)).collect::<Vec<_>>()
        });
        spans.collect()
    }
}

/// Reads and answers one post.
fn receive(mut connection: &TcpStream) -> ExportTraceServiceRequest {
    let mut reader = BufReader::new(connection);
    let lines = reader.by_ref().lines().map(Result::unwrap).take_while(|line| !line.is_empty());
    let head: Vec<_> = lines.map(|line| line.to_lowercase()).collect();
    assert_eq!(head[0], "post /v1/traces http/1.1");
    assert!(head.contains(&"content-type: application/x-protobuf".to_owned()), "{head:?}");
    assert!(head.contains(&"x-tenant: tests".to_owned()), "{head:?}");
    let length = head.iter().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    let answer = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    connection.write_all(answer).unwrap();
    ExportTraceServiceRequest::decode(&body[..]).unwrap()
}

/// In words, whatever their types.
fn attributes(pairs: &[KeyValue]) -> HashMap<String, String> {
    let words = |pair: &KeyValue| match pair.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        Value::DoubleValue(number) => Some(number.to_string()),
        _ => None,
    };
    pairs.iter().filter_map(|pair| Some((pair.key.clone(), words(pair)?))).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Captions a picture, as part of the trace with these flags; returns what was answered.
fn caption(server: &Serving, picture: &[u8], (id, flags): (&str, &str), path: &str) -> String {
    let request = agent()
        .post(format!("{}{path}", server.url))
        .header("content-type", "multipart/form-data; boundary=edge")
        .header("x-request-id", id)
        .header("traceparent", format!("00-{TRACE}-{ASKING}-{flags}"));
    request.send(form(picture)).unwrap().body_mut().read_to_string().unwrap()
}

#[test]
fn a_drained_server_has_sent_a_span_per_request_and_stage() {
    let folder = tempfile::tempdir().unwrap();
    let picture = folder.path().join("picture.png");
    write_picture(&picture, 96);
    let picture = std::fs::read(picture).unwrap();
    let collector = Collector::start();
    let server = Serving::start(
        folder.path(),
        &[
            ("MUE_OTLP_ENDPOINT", &collector.url),
            ("MUE_OTLP_SERVICE", "captions"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=tests"),
        ],
    );
    let answer = caption(&server, &picture, ("first", "01"), "/v1/caption");
    assert!(answer.contains("\"caption\""), "{answer}");
    caption(&server, &picture, ("unsampled", "00"), "/v1/caption");
    caption(&server, b"no picture", ("refused", "01"), "/v1/caption");
    agent().get(format!("{}/health/ready", server.url)).call().unwrap();
    server.terminate();
    assert_eq!(server.wait().code(), Some(0));

    let spans = collector.spans();
    assert!(spans.iter().all(|(service, _)| service == "captions"), "{spans:?}");
    let requests: HashMap<_, _> = spans
        .iter()
        .filter_map(|(_, span)| {
            let attributes = attributes(&span.attributes);
            Some((attributes.get("mue.request_id")?.clone(), (span, attributes)))
        })
        .collect();
    assert_eq!(requests.len(), 2, "neither the unsampled one nor health: {requests:?}");

    let (first, found) = &requests["first"];
    assert_eq!((first.name.as_str(), first.kind()), ("POST /v1/caption", SpanKind::Server));
    assert_eq!((hex(&first.trace_id), hex(&first.parent_span_id)), (TRACE.into(), ASKING.into()));
    for (name, value) in [
        ("http.request.method", "POST"),
        ("http.route", "/v1/caption"),
        ("http.response.status_code", "200"),
        ("mue.task", "caption"),
        ("mue.outcome", "ok"),
    ] {
        assert_eq!(found[name], value, "{found:?}");
    }
    assert!(first.events.iter().any(|event| event.name == "answered"), "{first:?}");

    let children = spans.iter().map(|(_, span)| span);
    let children = children.filter(|span| span.parent_span_id == first.span_id);
    let mut children: Vec<_> = children.collect();
    children.sort_by_key(|span| span.start_time_unix_nano);
    let names: Vec<_> = children.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["preprocess", "queue", "encode", "decode"]);
    for stage in &children {
        let within = first.start_time_unix_nano..=first.end_time_unix_nano;
        assert!(stage.trace_id == first.trace_id && within.contains(&stage.start_time_unix_nano));
        assert!(stage.end_time_unix_nano >= stage.start_time_unix_nano, "{stage:?}");
    }
    let encode = attributes(&children[2].attributes);
    assert!(encode["mue.image.layer"].parse::<u32>().unwrap() >= 1, "{encode:?}");
    assert!(attributes(&children[3].attributes).contains_key("mue.decoder.mean_layer"));

    let (refused, found) = &requests["refused"];
    assert_eq!(found["mue.outcome"], "invalid_image", "{found:?}");
    let status = refused.status.as_ref().map_or(StatusCode::Unset, |status| status.code());
    assert_eq!(status, StatusCode::Unset, "the client's fault is no failure of the server");
}

#[test]
fn a_stream_is_one_span_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let picture = folder.path().join("picture.png");
    write_picture(&picture, 96);
    let collector = Collector::start();
    let base = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.as_str()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=tests"),
    ];
    let server = Serving::start(folder.path(), &base);
    let body = format!(
        "--edge\r\ncontent-disposition: form-data; name=\"stream\"\r\n\r\ntrue\r\n{}",
        "--edge\r\ncontent-disposition: form-data; name=\"image\"\r\n\r\n"
    );
    let body = [body.as_bytes(), &std::fs::read(picture).unwrap(), b"\r\n--edge--\r\n"].concat();
    let request = agent().post(format!("{}/v1/caption", server.url));
    let request = request.header("content-type", "multipart/form-data; boundary=edge");
    let events = request.send(body).unwrap().body_mut().read_to_string().unwrap();
    assert!(events.contains("event: result"), "{events}");
    server.terminate();
    assert_eq!(server.wait().code(), Some(0));

    let spans = collector.spans();
    let of = |name: &str| &spans.iter().find(|(_, span)| span.name == name).unwrap().1;
    let (request, decode) = (of("POST /v1/caption"), of("decode"));
    assert_eq!(spans[0].0, "mue");
    assert!(request.parent_span_id.is_empty(), "nobody asked for it in a trace");
    assert_eq!(decode.parent_span_id, request.span_id);
    assert!(decode.end_time_unix_nano <= request.end_time_unix_nano, "{request:?} {decode:?}");
    assert_eq!(attributes(&request.attributes)["mue.outcome"], "ok");
}
