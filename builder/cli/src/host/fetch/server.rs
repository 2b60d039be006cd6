//! A small HTTP server for tests, on 127.0.0.1, which misbehaves as it is told. One request a connection.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) path: String,
    /// By names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
}

impl Request {
    /// Returns the first byte that is asked for, if not all are.
    pub(crate) fn from(&self) -> Option<usize> {
        self.headers
            .get("range")?
            .strip_prefix("bytes=")?
            .strip_suffix('-')?
            .parse()
            .ok()
    }
}

/// An answer as it goes.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
    /// After how many bytes of the body the connection is cut.
    pub(crate) cut: usize,
    /// How long nothing happens before the body.
    pub(crate) pause: Duration,
    /// Whether the body's length is told.
    pub(crate) told: bool,
}

impl Reply {
    pub(crate) fn new(status: u16, body: &[u8]) -> Self {
        let body = body.to_vec();
        Self {
            status,
            headers: Vec::new(),
            body,
            cut: usize::MAX,
            pause: Duration::ZERO,
            told: true,
        }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn cut(self, cut: usize) -> Self {
        Self { cut, ..self }
    }

    /// Returns what a good server answers: a part if one was asked for of this version, else the whole.
    pub(crate) fn file(request: &Request, body: &[u8], tag: &str) -> Self {
        let same = request.headers.get("if-range").is_none_or(|it| it == tag);
        match request.from().filter(|_| same) {
            Some(from) if from >= body.len() => {
                Self::new(416, b"").with("Content-Range", format!("bytes */{}", body.len()))
            }
            Some(from) => Self::new(206, &body[from..])
                .with(
                    "Content-Range",
                    format!("bytes {from}-{}/{}", body.len() - 1, body.len()),
                )
                .with("ETag", tag),
            None => Self::new(200, body).with("ETag", tag),
        }
    }
}

type Handler = dyn Fn(&Request, usize) -> Reply + Send + Sync;

/// A server that lives as long as this does.
pub(crate) struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Request>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts a server that answers by `handler`, which is told how many requests came before.
    pub(crate) fn start(
        handler: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, stop) = (
            Arc::new(Mutex::new(Vec::new())),
            Arc::new(AtomicBool::new(false)),
        );
        let handler: Arc<Handler> = Arc::new(handler);
        let thread = std::thread::spawn({
            let (seen, stop) = (seen.clone(), stop.clone());
            move || {
                for stream in listener.incoming() {
                    if stop.load(Ordering::SeqCst) {
                        return;
                    }
                    let (seen, handler) = (seen.clone(), handler.clone());
                    std::thread::spawn(move || serve(stream.unwrap(), &seen, &*handler));
                }
            }
        });
        Self {
            address,
            seen,
            stop,
            thread: Some(thread),
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
        self.thread.take().unwrap().join().unwrap();
    }
}

/// Answers one request; clients that go away are none of its business.
fn serve(mut stream: TcpStream, seen: &Mutex<Vec<Request>>, handler: &Handler) {
    let mut lines = BufReader::new(stream.try_clone().unwrap())
        .lines()
        .map_while(Result::ok);
    let Some(first) = lines.next() else { return };
    let path = first.split(' ').nth(1).unwrap().to_owned();
    let headers = lines
        .take_while(|it| !it.is_empty())
        .filter_map(|it| {
            it.split_once(": ")
                .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        })
        .collect();
    let request = Request { path, headers };
    let before = {
        let mut seen = seen.lock().unwrap();
        seen.push(request.clone());
        seen.len() - 1
    };
    let reply = handler(&request, before);
    let mut head = format!("HTTP/1.1 {} X\r\nConnection: close\r\n", reply.status);
    if reply.told {
        head += &["Content-Length: ", &reply.body.len().to_string(), "\r\n"].concat();
    }
    for (name, value) in &reply.headers {
        head += &[name, ": ", value, "\r\n"].concat();
    }
    let sent = stream.write_all((head + "\r\n").as_bytes());
    std::thread::sleep(reply.pause);
    let body = &reply.body[..reply.body.len().min(reply.cut)];
    drop(sent.and_then(|()| stream.write_all(body)));
}
