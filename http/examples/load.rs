//! Load on a service, for benches/case_http.py: so many clients, each with a connection that it keeps, ask one question after the other for so many seconds.
//!
//!     load ADDRESS:PORT PATH FILE CLIENTS SECONDS WARM
//!
//! FILE has a JSON body per line; client i begins at line i. The first WARM seconds are not counted. The last line of its output is
//! {"requests", "failed", "seconds", "p50", "p99", "max"}: times in milliseconds, from the first byte sent to the last byte read.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

struct Question {
    address: String,
    path: String,
    bodies: Vec<String>,
    begin: Instant,
    warm: Duration,
    end: Duration,
}

#[derive(Default)]
struct Seen {
    micros: Vec<u64>,
    failed: u64,
    first_failure: Option<String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, path, file, clients, seconds, warm] = arguments.as_slice() else {
        return Err("expected ADDRESS:PORT PATH FILE CLIENTS SECONDS WARM".into());
    };
    let (clients, seconds, warm): (usize, f64, f64) = (clients.parse()?, seconds.parse()?, warm.parse()?);
    let question = Arc::new(Question {
        address: address.clone(),
        path: path.clone(),
        bodies: std::fs::read_to_string(file)?.lines().map(str::to_owned).collect(),
        begin: Instant::now(),
        warm: Duration::from_secs_f64(warm),
        end: Duration::from_secs_f64(warm + seconds),
    });
    if question.bodies.is_empty() {
        return Err(format!("{file} has no line").into());
    }
    let running: Vec<_> = (0..clients)
        .map(|client| tokio::spawn(ask(client, Arc::clone(&question))))
        .collect();
    let mut all = Seen::default();
    for client in running {
        let seen = client.await??;
        all.micros.extend(seen.micros);
        all.failed += seen.failed;
        all.first_failure = all.first_failure.or(seen.first_failure);
    }
    if let Some(failure) = &all.first_failure {
        eprintln!("{} requests failed, the first with: {failure}", all.failed);
    }
    all.micros.sort_unstable();
    let at = |share: f64| {
        let place = (share * all.micros.len() as f64).ceil() as usize;
        all.micros.get(place.saturating_sub(1)).copied().unwrap_or(0) as f64 / 1000.0
    };
    println!(
        r#"{{"requests": {}, "failed": {}, "seconds": {seconds}, "p50": {}, "p99": {}, "max": {}}}"#,
        all.micros.len(),
        all.failed,
        at(0.5),
        at(0.99),
        at(1.0)
    );
    Ok(())
}

async fn ask(client: usize, question: Arc<Question>) -> Outcome<Seen> {
    let mut stream = TcpStream::connect(&question.address).await?;
    stream.set_nodelay(true)?;
    let (mut seen, mut answer) = (Seen::default(), Vec::new());
    for body in question.bodies.iter().cycle().skip(client) {
        let began = question.begin.elapsed();
        if began >= question.end {
            break;
        }
        let request = format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            question.path,
            question.address,
            body.len()
        );
        let clock = Instant::now();
        stream.write_all(request.as_bytes()).await?;
        let good = read_answer(&mut stream, &mut answer).await?;
        let took = clock.elapsed();
        if began < question.warm {
            continue;
        }
        if good {
            seen.micros.push(took.as_micros() as u64);
        } else {
            seen.failed += 1;
            seen.first_failure
                .get_or_insert_with(|| String::from_utf8_lossy(&answer).into_owned());
        }
    }
    Ok(seen)
}

/// Reads an answer whole; whether its status is 200 and it says why.
async fn read_answer(stream: &mut TcpStream, answer: &mut Vec<u8>) -> Outcome<bool> {
    answer.clear();
    let head = loop {
        if let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(answer).await? == 0 {
            return Err("the connection was closed".into());
        }
    };
    let header = String::from_utf8_lossy(&answer[..head]).to_ascii_lowercase();
    let length = header
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .ok_or("an answer without a length")?;
    let whole = head + length.trim().parse::<usize>()?;
    while answer.len() < whole {
        if stream.read_buf(answer).await? == 0 {
            return Err("the connection was closed".into());
        }
    }
    let explained = answer[head..].windows(18).any(|part| part == b"\"top_risk_factors\"");
    Ok(header.starts_with("http/1.1 200") && explained)
}
